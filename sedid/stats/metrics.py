"""Detection metrics and calibration. Positive = generated; every score here is oriented: higher = more generated.

A t-error is oriented by its polarity: with the paper's ("smaller" = generated) the oriented score is -E.
"""

from dataclasses import dataclass

import numpy as np

QUANTILES = 201
"""Points kept of each reference distribution: every half percent."""


@dataclass(frozen=True)
class Metrics:
    """How well scores separate real from generated; all in [0, 1].

    Attributes:
        auc: area under the ROC curve.
        best_acc: accuracy at the best threshold OF THE EVALUATED SET (the paper's figure: an oracle).
        acc: accuracy at a threshold that was fixed beforehand; None without one.
        tpr_at_1: highest TPR with FPR <= 1 %; None with fewer than 100 real images.
        tpr_at_01: the same at 0.1 %; None with fewer than 1,000.
        real, generated: image counts.
    """

    auc: float
    best_acc: float
    acc: float | None
    tpr_at_1: float | None
    tpr_at_01: float | None
    real: int
    generated: int


def roc(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """FPR, TPR and thresholds of oriented scores, every distinct score kept.

    Raises:
        ValueError: a class is empty or a score is not finite.
    """
    from sklearn.metrics import roc_curve

    if not len(real) or not len(generated):
        raise ValueError(f"both classes are needed: {len(real)} real and {len(generated)} generated scores")
    scores = np.concatenate([real, generated]).astype(np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite; the images or the weights are broken")
    labels = np.repeat([0, 1], [len(real), len(generated)])
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    return fpr, tpr, thresholds


def tpr_at(real: np.ndarray, generated: np.ndarray, target_fpr: float) -> float | None:
    """The highest TPR whose FPR does not exceed the target; None where the real images cannot resolve it."""
    if len(real) * target_fpr < 1 - 1e-9:
        return None
    fpr, tpr, _ = roc(real, generated)
    return float(tpr[fpr <= target_fpr].max())


def best_threshold(real: np.ndarray, generated: np.ndarray) -> float:
    """The threshold of the highest balanced accuracy: call generated where score >= threshold.

    It lies midway between the two neighbouring scores, so that it does not hug one of them; of equally good ones it is the
    highest. So a score lies below it wherever it is finite: calling all generated is no better than calling nothing so.
    """
    fpr, tpr, thresholds = roc(real, generated)
    best = int(np.argmax(tpr - fpr))
    scores = np.unique(np.concatenate([real, generated]))
    if not np.isfinite(thresholds[best]):  # nothing is called generated
        return float(scores[-1] + 1e-12 + abs(scores[-1]) * 1e-6)
    below = scores[scores < thresholds[best]]
    return float((thresholds[best] + below[-1]) / 2)


def balanced_accuracy(real: np.ndarray, generated: np.ndarray, threshold: float) -> float:
    """Mean of the two classes' accuracies: unequal counts do not move it."""
    return float((np.mean(real < threshold) + np.mean(generated >= threshold)) / 2)


def measure(real: np.ndarray, generated: np.ndarray, threshold: float | None = None) -> Metrics:
    """All metrics of two sets of oriented scores.

    Args:
        threshold: oriented, from a calibration split; gives `acc`.
    """
    fpr, tpr, _ = roc(real, generated)
    return Metrics(
        auc=float(np.trapezoid(tpr, fpr)),
        best_acc=float(((1 - fpr + tpr) / 2).max()),
        acc=None if threshold is None else balanced_accuracy(real, generated, threshold),
        tpr_at_1=tpr_at(real, generated, 0.01),
        tpr_at_01=tpr_at(real, generated, 0.001),
        real=len(real),
        generated=len(generated),
    )


@dataclass(frozen=True)
class Cut:
    """Which way round raw scores tell real from generated, and from where on, fitted on a calibration split.

    Attributes:
        polarity: "smaller" if a smaller score means generated, else "larger".
        threshold: oriented: generated if sign * score >= threshold.
        auc: in this polarity, so never below 0.5.
    """

    polarity: str
    threshold: float
    auc: float

    @property
    def sign(self) -> int:
        """What turns a raw score into an oriented one."""
        return sign_of(self.polarity)


def sign_of(polarity: str) -> int:
    """-1 where a smaller raw score means generated, else 1."""
    return -1 if polarity == "smaller" else 1


def fit_cut(real: np.ndarray, generated: np.ndarray) -> Cut:
    """The polarity that holds on raw scores (N,) of both classes, and the threshold of the highest balanced accuracy.

    Raises:
        ValueError: a class is empty or a score is not finite.
    """
    auc = measure(-real, -generated).auc
    polarity = "smaller" if auc >= 0.5 else "larger"
    sign = sign_of(polarity)
    return Cut(polarity, best_threshold(sign * real, sign * generated), max(auc, 1 - auc))


def undecided_band(real: np.ndarray, generated: np.ndarray, threshold: float, error_rate: float) -> tuple[float, float]:
    """The oriented scores between which no verdict is given.

    At or above the upper end at most `error_rate` of the real scores lie, at or below the lower end at most
    `error_rate` of the generated ones. Where the classes are so far apart that both limits would cross, the
    band closes on the threshold.

    Returns:
        low <= threshold <= high.
    """
    high = _just_above(real, error_rate)
    low = -_just_above(-generated, error_rate)
    return min(low, threshold), max(high, threshold)


def _just_above(scores: np.ndarray, share: float) -> float:
    """The smallest number that at most this share of the scores reach."""
    allowed = int(share * len(scores) + 1e-9)
    return float(np.nextafter(np.sort(scores)[len(scores) - 1 - allowed], np.inf))


def quantiles(scores: np.ndarray) -> tuple[float, ...]:
    """The reference distribution of scores, as QUANTILES evenly spaced quantiles of six significant digits."""
    return tuple(float(f"{value:.6g}") for value in np.quantile(scores, np.linspace(0, 1, QUANTILES)))


def percentile(reference: tuple[float, ...], score: float) -> float:
    """Percent of the reference at or below the score, 0 .. 100, interpolated between stored quantiles."""
    return float(np.interp(score, reference, np.linspace(0, 100, len(reference)), left=0.0, right=100.0))

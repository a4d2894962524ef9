"""What a score says about one image: a probability, how well it is calibrated, and conformal abstention.

Both classes weigh the same everywhere, whatever their counts: a probability here is that of "generated" for an image
that was as likely to be the one as the other. Calibrators and conformal p-values come from the calibration split;
reliability, Brier score and error are measured on the test split.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sedid.stats.intervals import share_interval

BINS = 10
SIMULATIONS = 500

Classes = tuple[np.ndarray, np.ndarray]
"""One array of the real images and one of the generated ones."""


def pooled(classes: Classes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, labels (1 = generated) and weights (N,) of both classes; the weights of either sum to N / 2."""
    real, generated = classes
    count = len(real) + len(generated)
    weights = np.repeat([count / 2 / len(real), count / 2 / len(generated)], [len(real), len(generated)])
    return np.concatenate(classes), np.repeat([0, 1], [len(real), len(generated)]), weights


Calibrator = Callable[[np.ndarray], np.ndarray]
"""Oriented scores (N,) -> probability of "generated" (N,)."""


def platt(real: np.ndarray, generated: np.ndarray) -> Calibrator:
    """A logistic curve through oriented scores (Platt 1999), with his targets, which keep it finite.

    The targets are a little less sure than 0 and 1, by one image a class: where the classes do not overlap, a plain
    fit would be infinitely steep. Feed it scores that are roughly normal: minus or plus the logarithm of a t-error.
    """
    from sklearn.linear_model import LogisticRegression

    scores, labels, weights = pooled((real, generated))
    target = np.where(labels == 1, (len(generated) + 1) / (len(generated) + 2), 1 / (len(real) + 2))
    middle, spread = scores.mean(), scores.std() or 1.0
    x = (scores - middle)[:, None] / spread
    # a soft target is both labels, each with its share of the weight
    fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(
        np.concatenate([x, x]),
        np.repeat([1, 0], len(x)),
        sample_weight=np.concatenate([weights * target, weights * (1 - target)]),
    )
    return lambda values: fitted.predict_proba((values - middle)[:, None] / spread)[:, 1]


def isotonic(real: np.ndarray, generated: np.ndarray) -> Calibrator:
    """The best increasing step function of oriented scores (Zadrozny & Elkan 2002); it may say 0 and 1."""
    from sklearn.isotonic import IsotonicRegression

    scores, labels, weights = pooled((real, generated))
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels, sample_weight=weights)
    calibrator: Calibrator = fitted.predict
    return calibrator


@dataclass(frozen=True)
class Bin:
    """One point of a reliability diagram.

    Attributes:
        low, high: the probabilities it covers.
        predicted: their mean.
        observed: share of generated images among them, with its 95 % interval (Clopper & Pearson 1934).
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass(frozen=True)
class Reliability:
    """How far probabilities can be taken at their word, on a set of images.

    Attributes:
        bins: of equally many images, in ascending probability.
        ece: expected calibration error, mean over the bins of |predicted - observed|.
        ece_expected, ece_limit: mean and 95 % point of the ECE that perfectly calibrated probabilities would show
            on as many images: it is never 0.
        brier: mean of (probability - label)^2; always saying 0.5 has 0.25.
        miscalibration, refinement: brier = miscalibration + refinement. The refinement is the Brier score after the
            best increasing recalibration on these very images (Dimitriadis, Gneiting & Jordan 2021): what the order of
            the scores allows.
        nll: mean negative log-likelihood of the labels, natural logarithm, probabilities kept 1e-6 away from 0 and 1; always
            saying 0.5 has 0.693. None in older results.
    """

    bins: tuple[Bin, ...]
    ece: float
    ece_expected: float
    ece_limit: float
    brier: float
    miscalibration: float
    refinement: float
    nll: float | None = None


def binned(probabilities: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each probability, 0 .. at most bins - 1; equally many images a bin, equal probabilities together."""
    edges = np.unique(np.quantile(probabilities, np.arange(1, bins) / bins))
    _, numbers = np.unique(np.searchsorted(edges, probabilities, side="left"), return_inverse=True)
    return numbers


def _calibration_error(numbers: np.ndarray, gaps: np.ndarray, weights: np.ndarray) -> float:
    """Mean over the bins of |mean gap|, gap = probability - label."""
    return float(np.abs(np.bincount(numbers, weights * gaps)).sum() / weights.sum())


def reliability(real: np.ndarray, generated: np.ndarray, seed: int = 0) -> Reliability:
    """Reliability diagram, ECE and Brier score of probabilities of "generated".

    Args:
        real, generated: probabilities the images of each class got, (N,) in [0, 1].

    Raises:
        ValueError: a class is empty, or a probability lies outside [0, 1].
    """
    if not len(real) or not len(generated):
        raise ValueError(f"both classes are needed: {len(real)} real and {len(generated)} generated probabilities")
    values, labels, weights = pooled((real, generated))
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a probability lies outside 0 .. 1")
    numbers = binned(values)
    bins = []
    for number in range(numbers.max() + 1):
        inside = numbers == number
        w = weights[inside]
        observed = float(np.average(labels[inside], weights=w))
        effective = w.sum() ** 2 / (w**2).sum()  # with unequal classes fewer images than counted
        low, high = share_interval(observed, effective)
        predicted = float(np.average(values[inside], weights=w))
        ends = (float(values[inside].min()), float(values[inside].max()))
        bins.append(Bin(*ends, int(inside.sum()), predicted, observed, low, high))
    brier = float(np.average((values - labels) ** 2, weights=weights))
    refined = isotonic_in_sample(values, labels, weights)
    refinement = float(np.average((refined - labels) ** 2, weights=weights))
    expected = perfect_errors(values, labels, numbers, seed)
    return Reliability(
        bins=tuple(bins),
        ece=_calibration_error(numbers, values - labels, weights),
        ece_expected=float(expected.mean()),
        ece_limit=float(np.quantile(expected, 0.95)),
        brier=brier,
        miscalibration=brier - refinement,
        refinement=refinement,
        nll=float(-np.average(np.log(np.where(labels == 1, values, 1 - values).clip(1e-6, 1)), weights=weights)),
    )


def isotonic_in_sample(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The best increasing recalibration of values on the images they were given to, (N,)."""
    from sklearn.isotonic import IsotonicRegression

    fitted: np.ndarray = IsotonicRegression(y_min=0, y_max=1).fit_transform(values, labels, sample_weight=weights)
    return fitted


def perfect_errors(values: np.ndarray, labels: np.ndarray, numbers: np.ndarray, seed: int) -> np.ndarray:
    """ECE of labels drawn as these probabilities say, with as many images of either class as there are: SIMULATIONS.

    Given the count of generated images, independent labels are distributed alike under every common factor of their
    odds. The one that makes the expected count right is drawn with, and draws of another count are dropped: about one
    in sqrt(2 pi variance) is kept.
    """
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    log_odds, generated = logit(np.clip(values, 1e-6, 1 - 1e-6)), int(labels.sum())  # certainty may be wrong
    shift = brentq(lambda factor: expit(log_odds + factor).sum() - generated, -60, 60)
    drawn_as = expit(log_odds + shift)
    share = labels.mean()
    rng, found = np.random.default_rng(seed), np.empty(0)
    while len(found) < SIMULATIONS:
        drawn = rng.random((SIMULATIONS, len(values))) < drawn_as
        kept = drawn[drawn.sum(axis=1) == generated]
        weights = np.where(kept, 0.5 / share, 0.5 / (1 - share))
        errors = [_calibration_error(numbers, values - row, w) for row, w in zip(kept, weights, strict=True)]
        found = np.append(found, errors)
    return found[:SIMULATIONS]


def p_values(calibration: Classes, scores: np.ndarray) -> Classes:
    """Class-conditional (Mondrian) split-conformal p-values of oriented scores (Vovk, Gammerman & Shafer 2005).

    Args:
        calibration: oriented scores of the calibration split, (N,) of each class.
        scores: of new images, (M,).

    Returns:
        Of "real": the share of calibration reals that look at least as generated, and of "generated": the share of
        generated ones that look at least as real; the new image counts among them, so neither is ever 0. (M,) each.
    """
    real, generated = (np.sort(part) for part in calibration)
    above = len(real) - np.searchsorted(real, scores, side="left")
    below = np.searchsorted(generated, scores, side="right")
    return (above + 1) / (len(real) + 1), (below + 1) / (len(generated) + 1)


@dataclass(frozen=True)
class Conformal:
    """Conformal verdicts at one error rate, on a test split.

    The prediction set of an image holds the classes whose p-value exceeds the error rate. One class alone is the
    verdict; both or none is "cannot tell". For new images of either class the set misses the true class at most
    at the error rate, exactly so if the scores were not chosen on the calibration images.

    Attributes:
        missed_real, missed_generated: share of each class whose set does not hold it, with its exact 95 % interval: what
            the error rate promises.
        wrong_real, wrong_generated: share of each class with the other one as its verdict.
        right_real, right_generated: share of each class with a right verdict.
        abstained: share without a verdict, both classes weighing the same; `both` and `none` are its parts.
    """

    error_rate: float
    missed_real: float
    missed_real_interval: tuple[float, float]
    missed_generated: float
    missed_generated_interval: tuple[float, float]
    wrong_real: float
    wrong_generated: float
    right_real: float
    right_generated: float
    abstained: float
    both: float
    none: float


def conformal(calibration: Classes, test: Classes, error_rate: float) -> Conformal:
    """Verdicts and abstentions at one error rate.

    Args:
        calibration, test: oriented scores, (N,) of each class.

    Raises:
        ValueError: the error rate is not between 0 and 1.
    """
    if not 0 < error_rate < 1:
        raise ValueError(f"error_rate must be above 0 and below 1, not {error_rate}")
    held = [[p > error_rate for p in p_values(calibration, scores)] for scores in test]  # [class][candidate label]
    missed = [float(np.mean(~held[label][label])) for label in (0, 1)]
    right = [float(np.mean(held[label][label] & ~held[label][1 - label])) for label in (0, 1)]
    wrong = [float(np.mean(held[label][1 - label] & ~held[label][label])) for label in (0, 1)]
    both = sum(float(np.mean(one & other)) for one, other in held) / 2
    none = sum(float(np.mean(~(one | other))) for one, other in held) / 2
    return Conformal(
        error_rate=error_rate,
        missed_real=missed[0],
        missed_real_interval=share_interval(missed[0], len(test[0])),
        missed_generated=missed[1],
        missed_generated_interval=share_interval(missed[1], len(test[1])),
        wrong_real=wrong[0],
        wrong_generated=wrong[1],
        right_real=right[0],
        right_generated=right[1],
        abstained=both + none,
        both=both,
        none=none,
    )

"""How far image statistics account for the difference between two classes of t-errors.

Every AUC here has the paper's polarity: a smaller value counts as generated. Below 0.5 the data turn it round.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sedid.stats.intervals import auc_interval
from sedid.stats.metrics import measure

LEAST = 40  # images a class to fit on half of them and measure on the other


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """0.612 [0.570, 0.655]."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class HeldEqual:
    """AUC of t-errors before and after the statistics are held equal, of the same images."""

    before: Estimate
    after: Estimate


OfClasses = dict[str, Estimate | None]
"""real and generated -> the rank correlation within that class; None where it is not defined (`spearman`)."""


def spearman(x: np.ndarray, y: np.ndarray) -> Estimate | None:
    """Spearman's rank correlation with a 95 % interval; None where a side is constant or there are fewer than 10 pairs.

    The interval is Fisher's z with the variance (1 + rho^2 / 2) / (N - 3) of Bonett & Wright 2000.

    Args:
        x, y: (N,).
    """
    from scipy.stats import spearmanr

    if len(x) < 10 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    rho = float(spearmanr(x, y).statistic)
    z, margin = np.arctanh(np.clip(rho, -0.999999, 0.999999)), 1.96 * np.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    return Estimate(rho, float(np.tanh(z - margin)), float(np.tanh(z + margin)))


def auc_of_smaller(real: np.ndarray, generated: np.ndarray) -> Estimate:
    """AUC of raw values (N,), a smaller one counting as generated, with its 95 % interval."""
    return Estimate(measure(-real, -generated).auc, *auc_interval(-real, -generated))


def mean_ratio(logs: np.ndarray) -> Estimate:
    """The geometric mean of ratios, by their logarithms (N,), with its 95 % interval by Student's t."""
    from scipy.stats import t

    middle = float(logs.mean())
    margin = float(t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))) if len(logs) > 1 else np.inf
    return Estimate(float(np.exp(middle)), float(np.exp(middle - margin)), float(np.exp(middle + margin)))


def matched(real: np.ndarray, generated: np.ndarray, apart: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Places of images paired one to one by a statistic, as many pairs as there can be, the closest ones of these.

    Args:
        real, generated: the statistic, (N,), above 0.
        apart: by which share the two of a pair may differ.

    Returns:
        Places of the reals and of the generated images; both empty where fewer than LEAST / 2 pairs are found.
    """
    from scipy.optimize import linear_sum_assignment

    differ = np.abs(np.log(np.maximum(real, 1e-9))[:, None] - np.log(np.maximum(generated, 1e-9)))
    within = differ <= np.log1p(apart)
    rows, columns = linear_sum_assignment(np.where(within, differ, 1e3))
    kept = within[rows, columns]
    if kept.sum() < LEAST // 2:
        return np.zeros(0, int), np.zeros(0, int)
    return rows[kept], columns[kept]


def halves(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint random halves of `count` places, ascending; the second one is larger if they cannot be equal."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def predictors(features: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
    """Features (N, F) standardised as in `fitted_on` (M, F), outliers clipped at 5, with their squares beside: (N, 2 F)."""
    scaled = ((features - fitted_on.mean(axis=0)) / (fitted_on.std(axis=0) + 1e-12)).clip(-5, 5)
    return np.hstack([scaled, scaled**2])


def held_equal(
    real: np.ndarray, generated: np.ndarray, of_real: np.ndarray, of_generated: np.ndarray, seed: int = 0
) -> HeldEqual | None:
    """AUC of the t-errors with the statistics held equal (analysis of covariance, cross-validated).

    On half of the images of each class log E is regressed on the statistics and their squares, each class around its
    own mean, so that the slopes are those within the classes and the difference between the classes is not fitted away.
    On the other half, log E minus the fitted part is what the statistics do not account for.

    What a statistic accounts for need not be an artefact: where a generator makes smoother images, smoothness is a part
    of what it does. And a relation that is neither linear nor quadratic in these statistics stays in the residual.

    Args:
        real, generated: t-errors (N,), above 0.
        of_real, of_generated: statistics (N, F) of the same images.

    Returns:
        Of the second half: the AUC of its t-errors, and that of its residuals. None with fewer than LEAST images of a
        class.
    """
    if min(len(real), len(generated)) < LEAST:
        return None
    logs = [np.log(np.maximum(scores, 1e-30)) for scores in (real, generated)]
    features = [of_real, of_generated]
    split = [halves(len(scores), seed + i) for i, scores in enumerate(logs)]
    fitted_on = np.concatenate([values[fit] for values, (fit, _) in zip(features, split, strict=True)])
    inputs = [predictors(values, fitted_on) for values in features]

    def centred(parts: list[np.ndarray]) -> np.ndarray:
        inner = [values[fit] for values, (fit, _) in zip(parts, split, strict=True)]
        return np.concatenate([values - values.mean(axis=0) for values in inner])

    slopes = np.linalg.lstsq(centred(inputs), centred(logs), rcond=None)[0]
    residuals = [(log - values @ slopes)[rest] for log, values, (_, rest) in zip(logs, inputs, split, strict=True)]
    measured = [log[rest] for log, (_, rest) in zip(logs, split, strict=True)]
    return HeldEqual(auc_of_smaller(measured[0], measured[1]), auc_of_smaller(residuals[0], residuals[1]))


def verdict_on(auc: Estimate) -> str:
    """What an AUC shows, in words: "smaller", "larger" or "none", by which side of 0.5 its interval lies on."""
    return "smaller" if auc.low > 0.5 else "larger" if auc.high < 0.5 else "none"


SHOWN = {
    "smaller": "generated images have the smaller t-error, as in the paper",
    "larger": "generated images have the larger t-error, the paper's polarity turned round",
    "none": "no difference between the classes is shown",
}
LEFT = {"smaller": "generated is smaller", "larger": "generated is larger", "none": "no difference is shown"}


def closest(correlations: Mapping[str, OfClasses]) -> tuple[str, float] | None:
    """The statistic (by name) that a t-error follows most closely, and how closely: the weaker of its two correlations.

    None where no statistic has both.
    """
    strengths = {
        name: min(abs(found.value) for found in both.values() if found)
        for name, both in correlations.items()
        if None not in both.values()
    }
    return max(strengths.items(), key=lambda item: item[1], default=None)


def finding(
    t_sec: int,
    auc: Estimate,
    correlations: Mapping[str, OfClasses],
    chain: Estimate,
    equal: HeldEqual | None,
    labels: Mapping[str, str],
    alone: Mapping[str, Estimate],
) -> str:
    """One sentence on what the data of one T_SEC show, no more.

    Args:
        auc: as measured.
        correlations: by statistic.
        chain: the AUC of images that all passed through the same resize and JPEG.
        equal: with the statistics held equal (`held_equal`).
        labels: what each statistic is called.
        alone: AUC of each statistic.
    """
    sentence = f"T_SEC {t_sec}: {SHOWN[verdict_on(auc)]} (AUC {auc})"
    if followed := closest(correlations):
        name, both = followed[0], correlations[followed[0]]
        signed = {kind: f"{found.value:+.2f}" for kind, found in both.items() if found}
        sentence += (
            f"; of the statistics the t-error follows {labels[name]} most closely (rank correlation {signed['real']} in "
            f"reals, {signed['generated']} in generated images), which by itself gives AUC {alone[name].value:.3f}"
        )
    sentence += f"; with the same resize and JPEG for both, {LEFT[verdict_on(chain)]} ({chain})"
    if equal is not None:
        sentence += (
            f"; with the statistics held equal, {LEFT[verdict_on(equal.after)]} ({equal.after}, against "
            f"{equal.before.value:.3f} of the same images as measured)"
        )
    return sentence + "."

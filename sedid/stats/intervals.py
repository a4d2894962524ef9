"""How sure a metric is: intervals, and the test of the difference between two AUCs on the same images.

Scores are oriented: higher = more generated. Every interval speaks of other images of the same kind, for a detector
that is held fixed. An AUC gets DeLong's standard error with one more image of either class at either end of the scale,
and Student's t: the way Agresti & Coull (1998) and Agresti & Caffo (2000) mend the interval of a share, so that few
images, or classes that no image of the sample mixes, are not taken for certainty (20 right answers of 20 leave about
one in seven open). A balanced accuracy is the AUC of the calls 0 and 1, and so has the same interval. The coverage of
all of them is simulated in tests/test_statistics.py. The best accuracy has none: it is the largest of many accuracies
on the very images that chose the threshold, hence too high by an amount they cannot tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import erfc, hypot, inf, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from sedid.stats.metrics import measure

METRICS = ("auc", "acc", "tpr_at_1", "tpr_at_01")
"""Fields of `metrics.Metrics` that have an interval."""

BUDGETS = {"tpr_at_1": 0.01, "tpr_at_01": 0.001}
"""Metric -> the share of real images it may call generated."""

ABOUT = (
    "95 %, of the test images, the detector held fixed. AUC and ACC: DeLong's standard error with one more image of "
    "either class at either end, Student's t. TPR: the threshold between order statistics of the reals, joined with "
    "the share's own interval; none where the reals are too few to bound the threshold. Best ACC: none, it is the "
    "largest of many on these very images"
)
"""What results files say about their intervals."""

CELLS = 2_000_000  # of one table (resample, distinct score): 16 MB

Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Metric of method a minus that of method b, on the same images.

    Attributes:
        low, high: 95 % interval of the difference.
        p_value: two-sided, of the hypothesis that there is none.
    """

    difference: float
    low: float
    high: float
    p_value: float


class Curve:
    """The ROC curve of two sets of scores under any weights of the images: sorted once, then weighted in tables."""

    def __init__(self, real: np.ndarray, generated: np.ndarray) -> None:
        pooled = np.concatenate([real, generated]).astype(np.float64)
        self.scores, place = np.unique(pooled, return_inverse=True)
        self.parts = [self._grouped(part) for part in np.split(place, [len(real)])]

    @staticmethod
    def _grouped(place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order of a class's images by score, where each distinct score of theirs starts, and its column."""
        order = np.argsort(place, kind="stable")
        columns, starts = np.unique(place[order], return_index=True)
        return order, starts, columns

    def _reached(self, part: int, counts: np.ndarray) -> np.ndarray:
        """Share of a class at or above each distinct score, then 0 (nothing reaches more): (resamples, scores + 1).

        NaN where a resample has none of the class.
        """
        order, starts, columns = self.parts[part]
        table = np.zeros((len(counts), len(self.scores) + 1))
        table[:, columns] = np.add.reduceat(counts[:, order], starts, axis=1)
        with np.errstate(invalid="ignore"):
            shares: np.ndarray = np.cumsum(table[:, ::-1], axis=1)[:, ::-1] / counts.sum(axis=1, keepdims=True)
        return shares

    def auc(self, real_counts: np.ndarray, generated_counts: np.ndarray) -> np.ndarray:
        """The AUC of every resample, (resamples,).

        Args:
            real_counts, generated_counts: how often each image is in each resample, ints (resamples, images).
        """
        fpr, tpr = self._reached(0, real_counts), self._reached(1, generated_counts)
        # of every real score's weight, the generated weight above it and half of that at it
        areas: np.ndarray = ((fpr[:, :-1] - fpr[:, 1:]) * (tpr[:, :-1] + tpr[:, 1:])).sum(1) / 2
        return areas


def bootstrap_counts(reals: int, generated: int, resamples: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stratified bootstrap draws as counts an image, ints (some resamples, images) of each class, a table at a time.

    Raises:
        ValueError: fewer than 2 resamples.
    """
    if resamples < 2:
        raise ValueError(f"an interval needs at least 2 resamples, not {resamples}")
    rng = np.random.default_rng(seed)
    rows = max(1, CELLS // (reals + generated))
    for start in range(0, resamples, rows):
        drawn = min(rows, resamples - start)
        yield _drawn(rng, drawn, reals), _drawn(rng, drawn, generated)


def _drawn(rng: np.random.Generator, rows: int, images: int) -> np.ndarray:
    """Multinomial counts: `images` draws with replacement a row."""
    picked = rng.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
    return np.bincount(picked.ravel(), minlength=rows * images).reshape(rows, images)


def share_interval(share: np.ndarray | float, count: np.ndarray | float, level: float = 0.95) -> tuple[Any, Any]:
    """The exact interval of a binomial share (Clopper & Pearson 1934): its coverage is never below `level`.

    Args:
        share: in [0, 1].
        count: images behind it; of weighted ones the effective count, which need not be whole.

    Returns:
        (low, high), as float or arrays of the arguments' shape.
    """
    from scipy.stats import beta

    hits, misses, tail = np.multiply(share, count), np.multiply(1 - np.asarray(share), count), (1 - level) / 2
    low = np.where(hits > 1e-9, beta.ppf(tail, np.maximum(hits, 1e-9), misses + 1), 0.0)
    high = np.where(misses > 1e-9, beta.ppf(1 - tail, hits + 1, np.maximum(misses, 1e-9)), 1.0)
    return (float(low), float(high)) if np.ndim(low) == 0 else (low, high)


def auc_interval(
    real: np.ndarray, generated: np.ndarray, level: float = 0.95, ends: tuple[float, float] = (-inf, inf)
) -> Interval:
    """Interval of an AUC by DeLong's standard error, each class with one more image at either of the `ends`.

    Args:
        real, generated: oriented scores, (N,).
    """
    found = float(placements(real, generated)[0].mean())
    parts = placements(np.append(real, ends), np.append(generated, ends))
    middle, margin = float(parts[0].mean()), welch(parts, level)
    return min(max(middle - margin, 0.0), found), max(min(middle + margin, 1.0), found)


def welch(parts: tuple[np.ndarray, np.ndarray], level: float = 0.95) -> float:
    """Half the width of an interval of an AUC, given its structural components (`placements`).

    Its degrees of freedom are those of Welch and Satterthwaite: of 20 images against 2,000 the 20 decide.
    """
    from scipy.special import stdtrit  # the quantile of Student's t

    errors = [part.var(ddof=1) / len(part) for part in parts]
    total = sum(errors)
    if not total:
        return 0.0
    freedom = total**2 / sum(error**2 / (len(part) - 1) for error, part in zip(errors, parts, strict=True))
    return float(stdtrit(freedom, (1 + level) / 2) * sqrt(total))


def tpr_interval(real: np.ndarray, generated: np.ndarray, budget: float, level: float = 0.95) -> Interval | None:
    """Interval of the share of generated images found at the threshold that a share `budget` of ALL reals reaches.

    Two things are uncertain: where that threshold lies, which order statistics of the reals bound (how many of them
    are above it is binomial), and the share of generated images above it. The two distances are joined as Newcombe
    (1998) joins those of two shares.

    Returns:
        None where so few reals are expected above the threshold that none of them may be: it then has no upper bound.
    """
    from scipy.stats import binom

    fewest, most = (int(binom.ppf(tail, len(real), budget)) for tail in ((1 - level) / 2, (1 + level) / 2))
    if fewest < 1:
        return None
    descending = np.sort(real)[::-1]

    def found(above: int) -> float:
        """Share of generated images above the threshold that lets so many reals pass."""
        return float(np.mean(generated > descending[above]))

    share = found(int(budget * len(real) + 1e-9))
    low, high = share_interval(share, len(generated), level)
    least = found(fewest - 1)
    greatest = float(np.mean(generated >= descending[min(most, len(real) - 1)]))
    return max(share - hypot(share - least, share - low), 0.0), min(share + hypot(greatest - share, high - share), 1.0)


def intervals(
    real: np.ndarray, generated: np.ndarray, threshold: float | None = None, level: float = 0.95
) -> dict[str, Interval | None]:
    """An interval of every metric that can have one.

    Args:
        real, generated: oriented scores, (N,).
        threshold: oriented, fixed beforehand; gives `acc`.
        level: coverage, in (0, 1).

    Returns:
        METRICS -> (low, high); None where `metrics.measure` gives None or the images cannot bound the metric.

    Raises:
        ValueError: a class is empty, a score is not finite, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level}")
    point = measure(real, generated, threshold)
    made: dict[str, Interval | None] = {"auc": auc_interval(real, generated, level), "acc": None}
    if threshold is not None:
        made["acc"] = auc_interval(real >= threshold, generated >= threshold, level, ends=(0.0, 1.0))
    for name, budget in BUDGETS.items():
        known = getattr(point, name) is not None
        made[name] = tpr_interval(real, generated, budget, level) if known else None
    return made


def placements(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components in O(N log N) (Sun & Xu 2014, eq. 8 to 10).

    Returns:
        Of each generated image the share of real ones below it (half of those at it), of each real image the share
        of generated ones above it; the mean of either is the AUC.
    """
    from scipy.stats import rankdata  # equal scores share the middle of their ranks

    ranks = rankdata(np.concatenate([real, generated]))
    of_generated = (ranks[len(real) :] - rankdata(generated)) / len(real)
    of_real = 1 - (ranks[: len(real)] - rankdata(real)) / len(generated)
    return of_generated, of_real


def _check_paired(real_a: np.ndarray, generated_a: np.ndarray, real_b: np.ndarray, generated_b: np.ndarray) -> None:
    if len(real_a) != len(real_b) or len(generated_a) != len(generated_b):
        raise ValueError(
            "two methods are compared on the same images in the same order, not on "
            f"{len(real_a)} + {len(generated_a)} and {len(real_b)} + {len(generated_b)}"
        )
    if min(len(real_a), len(generated_a)) < 2:
        raise ValueError(f"at least two images of each class are needed, not {len(real_a)} and {len(generated_a)}")
    if not all(np.isfinite(scores).all() for scores in (real_a, generated_a, real_b, generated_b)):
        raise ValueError("a score is not finite; the images or the weights are broken")


def delong(real_a: np.ndarray, generated_a: np.ndarray, real_b: np.ndarray, generated_b: np.ndarray) -> Difference:
    """AUC a minus AUC b with the paired test of DeLong, DeLong & Clarke-Pearson (1988).

    Args:
        real_a, real_b: oriented scores of the same real images in the same order, (N,); likewise generated.

    Raises:
        ValueError: the images are not paired, fewer than two of a class, or a score is not finite.
    """
    _check_paired(real_a, generated_a, real_b, generated_b)
    parts = zip(placements(real_a, generated_a), placements(real_b, generated_b), strict=True)
    of_generated, of_real = (a - b for a, b in parts)
    difference = float(of_generated.mean())
    error = sqrt(of_generated.var(ddof=1) / len(of_generated) + of_real.var(ddof=1) / len(of_real))
    margin = NormalDist().inv_cdf(0.975) * error
    # without spread either both order the images alike, or one separates the classes and the other inverts them
    distance = abs(difference) / error if error else 0.0 if difference == 0 else inf
    return Difference(difference, difference - margin, difference + margin, erfc(distance / sqrt(2)))

"""How sure a metric is: bootstrap intervals, and tests of the difference between two methods on the same images.

Scores are oriented: higher = more generated. Images are the unit of resampling, each class for itself, so that every
resample has the class counts of the set.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import erfc, inf, sqrt
from statistics import NormalDist

import numpy as np

from sedid.metrics import measure

METRICS = ("auc", "best_acc", "acc", "tpr_at_1", "tpr_at_01")
"""Fields of `metrics.Metrics` that get an interval."""

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
            return np.cumsum(table[:, ::-1], axis=1)[:, ::-1] / counts.sum(axis=1, keepdims=True)

    def auc(self, real_counts: np.ndarray, generated_counts: np.ndarray) -> np.ndarray:
        """The AUC of every resample, (resamples,); arguments as `metrics`."""
        return self._area(self._reached(0, real_counts), self._reached(1, generated_counts))

    @staticmethod
    def _area(fpr: np.ndarray, tpr: np.ndarray) -> np.ndarray:
        # of every real score's weight, the generated weight above it and half of that at it
        return ((fpr[:, :-1] - fpr[:, 1:]) * (tpr[:, :-1] + tpr[:, 1:])).sum(1) / 2

    def metrics(
        self, real_counts: np.ndarray, generated_counts: np.ndarray, threshold: float | None = None
    ) -> dict[str, np.ndarray]:
        """Every metric of every resample.

        Args:
            real_counts, generated_counts: how often each image is in each resample, ints (resamples, images).

        Returns:
            Name -> (resamples,); `acc` only with a threshold.
        """
        fpr, tpr = self._reached(0, real_counts), self._reached(1, generated_counts)
        found = {
            "auc": self._area(fpr, tpr),
            "best_acc": ((1 - fpr + tpr) / 2).max(1),
        }
        for name, target in (("tpr_at_1", 0.01), ("tpr_at_01", 0.001)):
            lowest = np.argmax(fpr <= target, axis=1)  # fpr falls along the row, so does tpr
            found[name] = tpr[np.arange(len(tpr)), lowest]
        if threshold is not None:
            at = int(np.searchsorted(self.scores, threshold))
            found["acc"] = (1 - fpr[:, at] + tpr[:, at]) / 2
        return found


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


def intervals(
    real: np.ndarray,
    generated: np.ndarray,
    threshold: float | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Percentile bootstrap intervals of every metric (Efron & Tibshirani 1993, chapter 13), stratified by class.

    They say how much the figures would move with other images of the same kind, for a fixed detector. Where no
    image of one class scores like any of the other, every resample says 1, and so does the interval: it then
    knows no better than the sample.

    Args:
        real, generated: oriented scores, (N,).
        threshold: oriented, fixed beforehand; gives `acc`.
        level: coverage, in (0, 1).

    Returns:
        METRICS -> (low, high); None where `metrics.measure` gives None.

    Raises:
        ValueError: a class is empty, a score is not finite, fewer than 2 resamples, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, not {level}")
    point = measure(real, generated, threshold)
    curve = Curve(real, generated)
    drawn = [
        curve.metrics(*counts, threshold) for counts in bootstrap_counts(len(real), len(generated), resamples, seed)
    ]
    ends = ((1 - level) / 2, (1 + level) / 2)

    def interval(name: str) -> Interval | None:
        if getattr(point, name) is None:
            return None
        low, high = np.quantile(np.concatenate([part[name] for part in drawn]), ends)
        return float(low), float(high)

    return {name: interval(name) for name in METRICS}


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, float64 (N,); equal values share the middle of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def placements(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components in O(N log N) (Sun & Xu 2014, eq. 8 to 10).

    Returns:
        Of each generated image the share of real ones below it (half of those at it), of each real image the share
        of generated ones above it; the mean of either is the AUC.
    """
    ranks = midranks(np.concatenate([real, generated]))
    of_generated = (ranks[len(real) :] - midranks(generated)) / len(real)
    of_real = 1 - (ranks[: len(real)] - midranks(real)) / len(generated)
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


def paired_bootstrap(
    real_a: np.ndarray,
    generated_a: np.ndarray,
    real_b: np.ndarray,
    generated_b: np.ndarray,
    metric: str = "auc",
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Any metric's difference between two methods: the same images are drawn for both.

    Args:
        real_a, real_b: oriented scores of the same real images in the same order, (N,); likewise generated.
        metric: of METRICS, but not `acc`, which would need a threshold a method.

    Raises:
        ValueError: an unknown metric, one that so few real images cannot resolve, or as `delong`.
    """
    names = [name for name in METRICS if name != "acc"]
    if metric not in names:
        raise ValueError(f"unknown metric {metric!r}; accepted: {', '.join(names)}")
    _check_paired(real_a, generated_a, real_b, generated_b)
    values = [getattr(measure(*scores), metric) for scores in ((real_a, generated_a), (real_b, generated_b))]
    if None in values:
        raise ValueError(f"{len(real_a)} real images cannot resolve {metric}")
    one, two = Curve(real_a, generated_a), Curve(real_b, generated_b)
    drawn = np.concatenate(
        [
            one.metrics(*counts)[metric] - two.metrics(*counts)[metric]
            for counts in bootstrap_counts(len(real_a), len(generated_a), resamples, seed)
        ]
    )
    low, high = np.quantile(drawn, (0.025, 0.975))
    # the smaller tail, doubled; one more on either side keeps a finite number of draws from ever saying 0
    tail = (1 + min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))) / (1 + resamples)
    return Difference(values[0] - values[1], float(low), float(high), min(1.0, 2 * tail))

"""Whether an image is like the calibration images at all: where those of each class lie, and how far out another one is.

An image is described by a few plain statistics of its pixels and the logarithms of its t-errors along a walk, T_SEC by T_SEC.
The calibration images of a class are a cloud in these: a mean and a covariance (Ledoit and Wolf's, by scikit-learn). How far
out an image is, its Mahalanobis distance d from the cloud says:

    d(x)^2 = (x - mean)^T covariance^-1 (x - mean)

Where a verdict is read before the end of the walk, the t-errors up to there count: their part of mean and covariance. The
limit of a cloud is the distance that all but OUTLYING of its own class keep, each image measured against a cloud that was
fitted without it. An image within the limit of either cloud is in range. Pure arrays: no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sedid.stats.stopping import log_errors

OUTLYING = 0.02
"""Share of a class's own images that its limits leave out."""
LEAST = 40
"""Images a class needs for a cloud."""
FOLDS = 5


@dataclass(frozen=True)
class Cloud:
    """Where the calibration images of one class lie.

    Attributes:
        mean: of the statistics, then of the log t-errors along the walk.
        covariance: of the same, a row each.
        limits: the largest distance that is in range, for the first one t-error, for the first two, and so on.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    limits: tuple[float, ...]

    def distances(self, described: np.ndarray) -> np.ndarray:
        """The distance d of images, (N,); described: (N, statistics and any number of t-errors)."""
        size = described.shape[1]
        away = described - np.array(self.mean[:size])
        with np.errstate(invalid="ignore"):  # a t-error that is no number is nowhere
            d: np.ndarray = np.sqrt((away.T * np.linalg.solve(self._covariance(size), away.T)).sum(axis=0))
        return d

    def shift(self, changes: np.ndarray) -> float:
        """By how much d can change at most when each entry of a description changes by at most `changes`."""
        precision = np.abs(np.linalg.inv(self._covariance(len(changes))))
        return float(np.sqrt(changes @ precision @ changes))

    def _covariance(self, size: int) -> np.ndarray:
        return np.array([row[:size] for row in self.covariance[:size]])


@dataclass(frozen=True)
class Range:
    """Where the calibration images of both classes lie, along one walk."""

    real: Cloud
    generated: Cloud

    @property
    def clouds(self) -> tuple[Cloud, Cloud]:
        """Both."""
        return self.real, self.generated

    def inside(self, statistics: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Whether images are in range, bool (N,).

        Args:
            statistics: (N, S), as those of the calibration images.
            errors: t-errors (steps, N), from the walk's first T_SEC on to where the verdict is read.
        """
        described = describe(statistics, errors)
        return np.logical_or(*(cloud.distances(described) <= cloud.limits[len(errors) - 1] for cloud in self.clouds))

    def near_limit(self, statistics: np.ndarray, errors: np.ndarray, shares: Sequence[float]) -> np.ndarray:
        """Whether images could change sides of a limit, at any of these T_SEC, bool (N,).

        Args:
            shares: by which share each t-error may change, (steps,).
        """
        near = np.zeros(len(statistics), bool)
        for steps in range(1, len(errors) + 1):
            described = describe(statistics, errors[:steps])
            changes = np.array([*np.zeros(statistics.shape[1]), *shares[:steps]])
            for cloud in self.clouds:
                near |= np.abs(cloud.distances(described) - cloud.limits[steps - 1]) <= cloud.shift(changes)
        return near


def describe(statistics: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Images (N, S) and their t-errors (steps, N) as points, (N, S + steps)."""
    return np.concatenate([statistics, log_errors(errors).T], axis=1)


def fit_cloud(statistics: np.ndarray, errors: np.ndarray) -> Cloud:
    """Where images of one class lie.

    Args:
        statistics: (N, S), N at least LEAST.
        errors: t-errors (steps, N) of a whole walk.
    """
    described = describe(statistics, errors)
    sizes = range(statistics.shape[1] + 1, described.shape[1] + 1)
    held = np.empty((len(sizes), len(described)))
    for fold in range(FOLDS):
        inside = np.arange(len(described)) % FOLDS == fold
        others = Cloud(*_fit(described[~inside]), ())
        for row, size in enumerate(sizes):
            held[row, inside] = others.distances(described[inside, :size])
    limits = np.quantile(held, 1 - OUTLYING, axis=1, method="higher")
    return Cloud(*_fit(described), tuple(limits.tolist()))


def _fit(described: np.ndarray) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    from sklearn.covariance import ledoit_wolf

    mean, spread = described.mean(axis=0), described.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    covariance = ledoit_wolf((described - mean) / spread)[0] * np.outer(spread, spread)
    return tuple(mean.tolist()), tuple(tuple(row) for row in covariance.tolist())


def fit_range(real: tuple[np.ndarray, np.ndarray], generated: tuple[np.ndarray, np.ndarray]) -> Range | None:
    """Where the calibration images lie, from statistics (N, S) and t-errors (steps, N) of both classes.

    None where a class has fewer than LEAST images: they do not say where its others lie.
    """
    if min(len(real[0]), len(generated[0])) < LEAST:
        return None
    return Range(fit_cloud(*real), fit_cloud(*generated))

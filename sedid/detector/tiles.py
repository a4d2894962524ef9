"""Tiles of a picture that is larger than the model: each judged at its native size, nothing resized.

The whole-image verdict is of the picture made small. The tiles show what that hides, but they are no better
founded: a model of 32 by 32 pictures of whole objects never saw a piece of a photograph, so tiles lie outside what
it was trained and calibrated on. No threshold is known for what the tiles come to together; it is no verdict.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np

from sedid.detector.batches import Report, calls, judge_in_batches, verdict_of
from sedid.detector.detector import Call, Detector, Judgement
from sedid.method.diffusion import Steps, steps_in_words

MAX_TILES = 256
MAX_EVALUATIONS = 2048  # of the network, a tile at a time: MAX_TILES at k = 165, fewer where a trajectory is longer
CAVEAT = (
    "Pieces of a photograph are not what this model was trained or calibrated on (whole pictures made small), so a tile's "
    "verdict is a hint at best, and no threshold is known for all tiles together."
)


@dataclass(frozen=True)
class Grid:
    """Where the tiles lie.

    Attributes:
        width, height: of the picture, pixels.
        size: side of a tile.
        stride: from one tile to the next; `size` where the tiles cover the picture, a multiple of it where they are thinned.
        columns, rows: left and top edges, ascending; the last one ends at the picture's edge.
        full: how many tiles cover the picture.
    """

    width: int
    height: int
    size: int
    stride: int
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    full: int

    def __len__(self) -> int:
        return len(self.columns) * len(self.rows)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """(left, top) of every tile, row by row."""
        return [(left, top) for top in self.rows for left in self.columns]

    @property
    def covered(self) -> float:
        """Share of the picture's pixels that lie in a tile."""
        return _union(self.columns, self.size) * _union(self.rows, self.size) / (self.width * self.height)

    @property
    def words(self) -> str:
        """In a sentence, what was looked at."""
        tile = f"{self.size} by {self.size} pixels"
        if self.stride > self.size:
            return (
                f"Covering the {self.width}x{self.height} picture takes {self.full:,} tiles of {tile}, more than are scored "
                f"here. One in every {self.stride // self.size} in both directions was: {len(self)} tiles, "
                f"{self.covered:.1%} of the picture."
            )
        if len(self) == 1:
            return f"The picture is one tile of {tile}."
        shifted = self.width % self.size or self.height % self.size
        edges = " Those of the last row or column overlap their neighbours." if shifted else ""
        return f"{len(self)} tiles of {tile} cover the whole {self.width}x{self.height} picture.{edges}"


def plan(width: int, height: int, size: int, each: int, evaluations: int = MAX_EVALUATIONS) -> Grid:
    """The tiles of a picture: side by side, the last row and column shifted inwards; thinned where they are too many.

    Args:
        each: evaluations a tile takes (`Detector.evaluations` up to its `reach`).
        evaluations: of the network, a tile at a time, that all of them may take; four tiles are always there.

    Raises:
        ValueError: the picture is smaller than one tile.
    """
    if min(width, height) < size:
        raise ValueError(
            f"Tiles are {size} by {size} pixels; a picture of {width}x{height} is too small to be cut into them."
        )
    limit = max(4, min(MAX_TILES, evaluations // each))
    stride = size
    while _count(width, size, stride) * _count(height, size, stride) > limit:
        stride += size
    full = _count(width, size, size) * _count(height, size, size)
    return Grid(width, height, size, stride, _edges(width, size, stride), _edges(height, size, stride), full)


def _count(length: int, size: int, stride: int) -> int:
    return ceil((length - size) / stride) + 1


def _edges(length: int, size: int, stride: int) -> tuple[int, ...]:
    return tuple(min(place * stride, length - size) for place in range(_count(length, size, stride)))


def _union(edges: tuple[int, ...], size: int) -> int:
    """Pixels of one side that lie in a tile."""
    return size + sum(min(size, after - before) for before, after in pairwise(edges))


def cut(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """The tiles of a picture.

    Args:
        pixels: uint8 (grid.height, grid.width, 3).

    Returns:
        uint8 (N, size, size, 3), in the order of the grid's corners.
    """
    return np.stack([pixels[top : top + grid.size, left : left + grid.size] for left, top in grid.corners])


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of the tiles' scores."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class PatchMap:
    """Every tile judged at one (k, T_SEC), in the order of the grid's corners."""

    grid: Grid
    k: Steps
    t_sec: int
    judgements: tuple[Judgement, ...]

    def scores(self, method: str = "STAT") -> np.ndarray:
        """t-errors (STAT; also where nothing is calibrated) or probabilities of "generated" (NN), float64 (N,).

        Raises:
            ValueError: NN is not calibrated here.
        """
        if method == "STAT":
            return np.array([judgement.t_error for judgement in self.judgements])
        found = [judgement.nn.score for judgement in self.judgements if judgement.nn is not None]
        if not found:
            raise ValueError(f"the classifier is not calibrated at {steps_in_words(self.k)}")
        return np.array(found)

    def spread(self, method: str = "STAT") -> Spread:
        """Median and quartiles of `scores`."""
        return Spread(*(float(value) for value in np.quantile(self.scores(method), (0.25, 0.5, 0.75))))

    def has(self, method: str) -> bool:
        """Whether the tiles have verdicts of this method."""
        return verdict_of(self.judgements[0], method) is not None

    def calls(self, method: str) -> Counter[Call]:
        """How many tiles got which call."""
        return calls(self.judgements, method)

    def share_generated(self, method: str) -> float:
        """Share of all tiles called generated, 0 .. 1."""
        return self.calls(method)[Call.GENERATED] / len(self.judgements)


def score_patches(
    detector: Detector, picture: Any, k: Steps | None = None, t_sec: int | None = None, report: Report | None = None
) -> PatchMap:
    """Judge the tiles of a picture.

    Args:
        picture: RGB, a PIL image or uint8 (H, W, 3), at its full size.
        k, t_sec: default to the calibrated pair.

    Raises:
        ValueError: as `plan`, or (k, T_SEC) as `check_step`.
    """
    k, t_sec = detector.pair(k, t_sec)
    pixels = np.asarray(picture)
    each = detector.evaluations(k, detector.reach(k, t_sec))
    grid = plan(pixels.shape[1], pixels.shape[0], detector.size, each)
    return PatchMap(grid, k, t_sec, tuple(judge_in_batches(detector, cut(pixels, grid), k, t_sec, report)))

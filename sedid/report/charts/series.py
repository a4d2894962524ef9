"""What a chart shows: lines through points, with bands, and histograms. Plain numbers, fit for a drawing and a table alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Numbers = Sequence[float] | np.ndarray
TOLERANCE = 0.12  # of a hundredth of the plot: how far a drawn line may pass beside a point that is left out


@dataclass(frozen=True)
class Series:
    """Points in ascending x; a y that is NaN breaks the line.

    Attributes:
        name: what the legend calls it; series of one name share an entry, and are switched together.
        x, y: the points.
        style: a colour (one, two, three, four, five, six, faint, real, generated, image) and, after it, how the line is drawn
            (dash, dots, mixed, long, short, thin, bold).
        marked: each point has a marker of its own, with its values as a note.
        low, high: a band around the line at the same x; empty: none.
        line: the points are joined.
    """

    name: str
    x: Numbers
    y: Numbers
    style: str = "one"
    marked: bool = False
    low: Numbers = ()
    high: Numbers = ()
    line: bool = True


@dataclass(frozen=True)
class Bins:
    """A histogram: the share of a set in each bin.

    Attributes:
        edges: ascending, one more than `shares`.
        shares: sum to 1.
    """

    name: str
    edges: Numbers
    shares: Numbers
    style: str


COLOURS = ("one", "two", "three", "four", "five", "six")
LINES = ("", "dash", "dots", "mixed", "long", "short")
STYLES = tuple(
    " ".join(filter(None, (colour, LINES[(place + turn) % len(LINES)], "thin" * (turn % 2))))
    for turn in range(len(LINES))
    for place, colour in enumerate(COLOURS)
)
"""Styles for lines of one chart: twelve are told apart without their colours, six of them thin."""


def stressed(style: str) -> str:
    """A style's colour as a bold line without gaps: one that stands out of the others."""
    return f"{style.split()[0]} bold"


def histogram(name: str, values: Numbers, edges: np.ndarray, style: str) -> Bins:
    """Values (N,) on given bins; what lies beyond the edges counts into the first and the last one."""
    counts = np.histogram(np.asarray(values).clip(edges[0], edges[-1]), edges)[0]
    return Bins(name, edges, counts / max(1, len(values)), style)


def density(name: str, quantiles: Numbers, edges: np.ndarray, style: str) -> Bins:
    """A distribution, known by its evenly spaced quantiles, on given bins; what lies beyond the edges counts as in `histogram`."""
    cumulative = np.interp(edges, quantiles, np.linspace(0, 1, len(quantiles)))
    cumulative[0], cumulative[-1] = 0, 1
    return Bins(name, edges, np.diff(cumulative), style)


def needed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points of a line are needed to draw it: the others lie closer to it than TOLERANCE.

    Args:
        x, y: positions 0 .. 100, (N,); NaN breaks the line.

    Returns:
        Indices, ascending: of the ends and corners, and of what breaks the line.
    """
    known = np.isfinite(x) & np.isfinite(y)
    keep = ~known
    breaks = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    todo = [(first, end - 1) for first, end in breaks.reshape(-1, 2)]
    for first, last in todo:
        keep[[first, last]] = True
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        across, up = x[last] - x[first], y[last] - y[first]
        from_x, from_y = x[first + 1 : last] - x[first], y[first + 1 : last] - y[first]
        length = np.hypot(across, up)
        away = np.abs(up * from_x - across * from_y) / length if length else np.hypot(from_x, from_y)
        farthest = int(away.argmax())
        if away[farthest] > TOLERANCE:
            corner = first + 1 + farthest
            keep[corner] = True
            todo += [(first, corner), (corner, last)]
    return np.flatnonzero(keep)


def line_path(x: np.ndarray, y: np.ndarray) -> str:
    """SVG path data through positions 0 .. 100, y upwards; NaN breaks it."""
    parts, pen_up = [], True
    for across, up in zip(x, y, strict=True):
        if np.isfinite(across) and np.isfinite(up):
            parts.append(f"{'M' if pen_up else 'L'}{round(float(across), 2):g} {round(100 - float(up), 2):g}")
            pen_up = False
        else:
            pen_up = True
    return "".join(parts)

"""A value axis: where a value stands on it, and which round values are written along it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sedid.report.pictures import short

LARGEST, SMALLEST = 1e300, 1e-290  # beyond and below them a difference of two values is no number any more
PHONE = 250  # pixels of a plot on a phone
LETTER, APART = 6.7, 7  # pixels of one character of a tick, and between two ticks


class Tick(NamedTuple):
    """A round value on an axis: where it stands (0 .. 100), and what is written there ("" where there is no room)."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """A value axis. Any two ends make one: what cannot be drawn is mended, see `usable`.

    Attributes:
        name: what stands along it.
        low, high: the values at its two ends; high may be the smaller one.
        ticks: values to write instead of round ones; those outside are left out.
        log: logarithmic, where both ends are positive.
        column: a shorter name, for read-outs and tables; default: the name up to its first comma.
    """

    name: str
    low: float
    high: float
    ticks: Sequence[float] = ()
    log: bool = False
    column: str = ""

    def __post_init__(self) -> None:
        low, high, log = usable(self.low, self.high, self.log)
        for name, value in (("low", low), ("high", high), ("log", log)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "column", self.column or self.name.split(",")[0])

    def at(self, values: ArrayLike) -> np.ndarray:
        """Positions 0 .. 100, clipped to the ends; NaN stays."""
        found = np.asarray(values, dtype=np.float64)
        if self.log:
            found = np.log10(np.maximum(found, min(self.low, self.high)))
            low, high = log10(self.low), log10(self.high)
        else:
            low, high = self.low, self.high
        return 100 * ((found - low) / (high - low)).clip(0, 1) + 0.0  # no minus zero

    def marks(self) -> list[float]:
        """The values written along the axis, from its left or lower end."""
        found = self.ticks or round_values(self.low, self.high, self.log)
        inside = {float(value) for value in found if min(self.low, self.high) <= value <= max(self.low, self.high)}
        return sorted(inside, reverse=self.high < self.low)

    def labels(self, across: bool = True) -> list[Tick]:
        """The marks with what is written at each: no label comes near another, not even on a phone.

        Args:
            across: the axis runs from left to right, else upwards, where labels of one line stand close.
        """
        made, free = [], -np.inf
        for value in self.marks():
            at, label = float(self.at(value)), short(value)
            half = LETTER * len(label) / 2 if across else 0.0
            room = at * PHONE / 100 - half >= free or not across
            made.append(Tick(at, label if room else ""))
            free = at * PHONE / 100 + half + APART if room else free
        return made


def usable(low: float, high: float, log: bool) -> tuple[float, float, bool]:
    """Ends between which values can be told apart.

    An end that is not finite makes the axis 0 .. 1. A logarithmic axis needs two positive ends, or it is linear. Ends that
    are equal (to nine digits) move apart: around the value, by half of it.

    Returns:
        low, high, log; finite, high - low neither 0 nor beyond float64.
    """
    low, high = float(low), float(high)
    if not (isfinite(low) and isfinite(high)):
        low, high = 0.0, 1.0
    low, high = (0.0 if abs(v) < SMALLEST else min(max(v, -LARGEST), LARGEST) for v in (low, high))
    log = log and low > 0 and high > 0
    if abs(high - low) <= 1e-9 * max(abs(low), abs(high)):
        return (low / 2, high * 2, True) if log else (low - (abs(low) / 2 or 0.5), high + (abs(low) / 2 or 0.5), False)
    return low, high, log


def round_values(low: float, high: float, log: bool = False) -> list[float]:
    """Two to fourteen round values between two different ends, ascending."""
    low, high = sorted((low, high))
    if log:
        decades = range(floor(log10(low)), ceil(log10(high)) + 1)
        span = log10(high) - log10(low)
        steps, every = (1, 2, 5) if span < 2.4 else (1,), ceil(span / 8)
        made = [step * 10.0**decade for decade in decades if decade % every == 0 for step in steps]
        inside = [value for value in made if low <= value <= high]
        if len(inside) > 2:
            return inside
    raw = (high - low) / 5
    unit = 10.0 ** floor(log10(raw))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw * (1 - 1e-9))
    made = [float(f"{step * i:.10g}") for i in range(ceil(low / step - 1e-6), floor(high / step + 1e-6) + 1)]
    return [value for value in made if low <= value <= high]


def over(name: str, values: ArrayLike, log_from: float = 12.0) -> Scale:
    """A scale over the positive ones of some values, with a margin.

    Args:
        name: as in `Scale`.
        values: any shape; what is not finite does not count.
        log_from: where the largest is more than this many times the smallest, the scale is logarithmic; else it begins at 0.
    """
    seen = np.asarray(values, dtype=np.float64)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if not seen.size:
        return Scale(name, 0, 1)
    low, high = float(seen.min()), float(seen.max())
    return Scale(name, low / 1.25, high * 1.25, log=True) if high > log_from * low else Scale(name, 0, high * 1.1)


SHARES = Scale("", 0, 1, (0, 0.25, 0.5, 0.75, 1))
"""A share, or an AUC."""

"""Charts as HTML strings: where a score falls among the references, and the t-error along T_SEC.

Lines and areas are an SVG that stretches with its box; everything written is HTML on top, at its natural size on
every screen. Colours come from the style sheet, so both themes work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log10

import numpy as np

from sedid.detector.detector import Calibration
from sedid.report.pictures import number, short, text


@dataclass(frozen=True)
class Scale:
    """A value axis: where a value sits between 0 (low) and 1 (high); outside values are clamped."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Position of a value, 0 .. 1."""
        low, high, value = (log10(max(v, 1e-12)) if self.log else v for v in (self.low, self.high, value))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    def ticks(self) -> list[float]:
        """Three to eight round values inside."""
        if self.log:
            decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            wanted = [1, 2, 5] if log10(self.high / self.low) < 2.4 else [1]
            marks = [m * 10.0**d for d in decades for m in wanted]
        else:
            raw = (self.high - self.low) / 4
            unit = 10.0 ** floor(log10(raw))
            step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw)
            marks = [step * i for i in range(ceil(self.low / step), floor(self.high / step) + 1)]
        return [mark for mark in marks if self.low <= mark <= self.high]


def percent(fraction: float) -> str:
    """A CSS length."""
    return f"{100 * fraction:.2f}%"


def tick_labels(scale: Scale, axis: str, marks: Sequence[float] | None = None) -> str:
    """HTML labels of an axis, "x" along the bottom or "y" along the left; by default at the scale's own ticks."""
    side = "left" if axis == "x" else "bottom"
    return "".join(
        f'<span class="sed-tick sed-tick-{axis}" style="{side}:{percent(scale.at(tick))}">{short(tick)}</span>'
        for tick in (scale.ticks() if marks is None else marks)
    )


def density(quantiles: Sequence[float], edges: np.ndarray) -> np.ndarray:
    """The share of a reference between successive edges, from its evenly spaced quantiles; sums to 1.

    What lies beyond the edges counts into the first and the last bin.
    """
    cumulative = np.interp(edges, quantiles, np.linspace(0, 1, len(quantiles)))
    cumulative[0], cumulative[-1] = 0, 1
    return np.diff(cumulative)


def _steps(shares: np.ndarray, top: float) -> str:
    """An SVG path of bars without gaps, in a 100 x 100 box."""
    width = 100 / len(shares)
    heights = [100 - 94 * share / top for share in shares]
    moves = "".join(f"L{i * width:.2f} {y:.2f}L{(i + 1) * width:.2f} {y:.2f}" for i, y in enumerate(heights))
    return f"M0 100{moves}L100 100Z"


def histogram(calibration: Calibration, score: float, what: str, unit_interval: bool = False, bins: int = 36) -> str:
    """The two references, the undecided band, the threshold and this image.

    Args:
        what: name of the score, for the axis and screen readers.
        unit_interval: the axis runs from 0 to 1 (a probability).
    """
    edge = round(0.005 * (len(calibration.real) - 1))
    low = min(calibration.real[edge], calibration.generated[edge])
    high = max(calibration.real[-1 - edge], calibration.generated[-1 - edge])
    margin = 0.04 * (high - low)
    scale = Scale(0.0, 1.0) if unit_interval else Scale(max(0.0, low - margin), high + margin)
    edges = np.linspace(scale.low, scale.high, bins + 1)
    shares = {"real": density(calibration.real, edges), "generated": density(calibration.generated, edges)}
    top = max(share.max() for share in shares.values())
    areas = "".join(f'<path class="sed-area sed-{name}" d="{_steps(share, top)}"/>' for name, share in shares.items())
    band = [scale.at(value) for value in calibration.band]
    left, right = ("generated", "real") if calibration.polarity == "smaller" else ("real", "generated")
    beyond = "" if scale.low <= score <= scale.high else (" ←" if score < scale.low else " →")
    at = scale.at(score)
    shift = 0 if at < 0.15 else -100 if at > 0.85 else -50
    label = (
        f"{what}: this image at {number(score)}, threshold {number(calibration.threshold)}, "
        f"no verdict between {number(calibration.band[0])} and {number(calibration.band[1])}"
    )
    return f"""<div class="sed-hist" role="img" aria-label="{text(label)}"><div class="sed-plot">
<div class="sed-band" style="left:{percent(band[0])};width:{percent(band[1] - band[0])}"></div>
<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{areas}</svg>
<div class="sed-threshold" style="left:{percent(scale.at(calibration.threshold))}"></div>
<div class="sed-marker" style="left:{percent(at)}"><b style="transform:translateX({shift}%)">this image{beyond}</b></div>
</div><div class="sed-axis-x">{tick_labels(scale, "x")}</div>
<div class="sed-ends"><span class="sed-ink-{left}">◂ {left}</span><span>{text(what)}</span><span class="sed-ink-{right}">{right} ▸</span></div>
</div>"""


@dataclass(frozen=True)
class Curve:
    """What the curve shows, all on one scale (raw or weight-free).

    Attributes:
        t_secs, values: this image's t-error at every T_SEC.
        bands: for each reference, at the calibrated T_SECs: (T_SEC, 5 %, median, 95 %).
        other: a second image's t-errors, to be compared: then the first is called A and this one B.
    """

    t_secs: Sequence[int]
    values: Sequence[float]
    bands: Mapping[str, Sequence[tuple[int, float, float, float]]]
    other: Sequence[float] = ()

    def scale(self) -> Scale:
        """The value axis over everything shown: logarithmic where the values span more than a factor of 12."""
        seen = [v for v in (*self.values, *self.other) if 0 < v < inf]
        seen += [value for band in self.bands.values() for row in band for value in row[1:] if value > 0]
        if not seen:
            return Scale(0.0, 1.0)
        low, high = min(seen), max(seen)
        return Scale(low / 1.25, high * 1.25, True) if high > 12 * low else Scale(0.0, high * 1.1)


def _line(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points)


def curve_chart(curve: Curve, t_sec: int, timesteps: int, what: str) -> str:
    """The t-error of an image (or two) against T_SEC over the reference bands; a click on it names a T_SEC.

    Args:
        t_sec: where the marker stands.
        timesteps: T of the schedule; the axis ends there.
        what: name of the value axis.
    """
    scale, along = curve.scale(), Scale(0, timesteps)

    def spot(t: float, value: float) -> tuple[float, float]:
        return 100 * along.at(t), 100 - 100 * scale.at(value)

    shapes = []
    for name, rows in curve.bands.items():
        if len(rows) == 1:  # a band of no width would not be seen
            rows = [(rows[0][0] + shift, *rows[0][1:]) for shift in (-8, 8)]
        if rows:
            outline = [spot(t, low) for t, low, _, _ in rows] + [spot(t, high) for t, _, _, high in reversed(rows)]
            shapes.append(f'<path class="sed-area sed-{name}" d="{_line(outline)}Z"/>')
            shapes.append(f'<path class="sed-median sed-{name}" d="{_line([spot(t, m) for t, _, m, _ in rows])}"/>')

    def named(part: str, style: str) -> str:
        return f"{part} {part}{style}" if style else part

    dots = marks = label = ""
    lines = [("A " if curve.other else "", "", curve.values)] + ([("B ", "-b", curve.other)] if curve.other else [])
    place = curve.t_secs.index(t_sec)
    highest = max(values[place] for _, _, values in lines)
    for name, style, values in lines:
        points = list(zip(curve.t_secs, values, strict=True))
        shapes.append(f'<path class="{named("sed-line", style)}" d="{_line([spot(*point) for point in points])}"/>')
        dots += "".join(
            f'<i class="{named("sed-dot", style)}" style="left:{x:.2f}%;top:{y:.2f}%" title="{name}T_SEC {t}: {number(value)}"></i>'
            for t, value in points
            if len(points) <= 40
            for x, y in [spot(t, value)]
        )
        x, y = spot(t_sec, values[place])
        below = " sed-low" if values[place] < highest else ""
        marks += (
            f'<b class="{named("sed-here", style)}" style="left:{x:.2f}%;top:{y:.2f}%">'
            f'<span class="{"sed-flip" if x > 70 else ""}{below}">{name}{number(values[place])}</span></b>'
        )
        label += f"{', ' if label else ''}{name}{number(values[place])}"
    rules = "".join(f'<hr style="bottom:{percent(scale.at(tick))}">' for tick in scale.ticks())
    label = f"{what} against T_SEC: {label} at T_SEC {t_sec}"
    k, last = curve.t_secs[0], curve.t_secs[-1]
    return f"""<div class="sed-curve" role="img" aria-label="{text(label)}"><div class="sed-axis-y">{tick_labels(scale, "y")}</div>
<div class="sed-plot" data-timesteps="{timesteps}" data-k="{k}" data-last="{last}">{rules}
<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{"".join(shapes)}</svg>{dots}
<div class="sed-now" style="left:{percent(along.at(t_sec))}"></div>
{marks}
</div><div class="sed-axis-x">{tick_labels(along, "x", curve.t_secs if len(curve.t_secs) <= 8 else None)}</div></div>"""

"""Charts of results as HTML strings, for the page and the report: an SVG that stretches with its box, words on top.

Words are plain text, or `markupsafe.Markup` where they are HTML already. Colours are CSS variables (`static/charts.css`), so both themes work; `--sed-real` and `--sed-generated` come from the
surrounding page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import escape


@dataclass(frozen=True)
class Axis:
    """One axis: its name, its ends and where it is labelled."""

    name: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def at(self, values: np.ndarray | float) -> np.ndarray:
        """Positions 0 .. 100, clipped to the ends; NaN stays."""
        values = np.asarray(values, dtype=np.float64)
        if self.log:
            scaled = np.log(np.maximum(values, self.low) / self.low) / np.log(self.high / self.low)
        else:
            scaled = (values - self.low) / (self.high - self.low or 1)
        return 100 * scaled.clip(0, 1)


SHARES = Axis("", 0, 1, (0, 0.25, 0.5, 0.75, 1))


@dataclass(frozen=True)
class Line:
    """A line through points in ascending x; NaN in y breaks it.

    Attributes:
        style: CSS classes: res-one, res-two, res-real, res-generated or res-faint, with res-dash or res-thin.
        dots: mark every point, with its values as a tooltip.
    """

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    style: str
    dots: bool = False


def plain(value: float) -> str:
    """A tick in few characters: 0.25, 1000, 1e-05."""
    return f"{value:g}"


def line_path(x: np.ndarray, y: np.ndarray) -> str:
    """SVG path data through positions 0 .. 100 (y upwards); steps below a fifth of a unit are left out."""
    parts, last, pen_up = [], None, True
    for point in zip(np.round(5 * x) / 5, np.round(5 * (100 - y)) / 5, strict=True):
        if not np.isfinite(point).all():
            pen_up = True
        elif pen_up or point != last:
            parts.append(f"{'M' if pen_up else 'L'}{point[0]:g} {point[1]:g}")
            last, pen_up = point, False
    return "".join(parts)


def keys(items: Sequence[tuple[str, str]]) -> str:
    """A legend of (label, style) pairs; each label once."""
    unique = dict(items)
    return '<div class="res-keys">{}</div>'.format(
        "".join(f'<span><i class="{style}"></i>{escape(label)}</span>' for label, style in unique.items())
    )


def frame(title: str, note: str, legend: str, inside: str, x: Axis, y: Axis | None, label: str) -> str:
    """A chart around what is `inside` its plot."""
    ticks = "".join(f'<span class="res-x" style="left:{x.at(tick):.2f}%">{plain(tick)}</span>' for tick in x.ticks)
    if y is not None:
        ticks += "".join(
            f'<hr style="bottom:{y.at(tick):.2f}%"><span class="res-y" style="bottom:{y.at(tick):.2f}%">{plain(tick)}</span>'
            for tick in y.ticks
        )
    return (
        f'<figure class="res-chart" role="img" aria-label="{escape(label)}"><figcaption>{escape(title)} '
        f'<small>{escape(note)}</small></figcaption>{legend}<div class="res-plot">{ticks}{inside}</div>'
        f'<div class="res-name">{escape(x.name)}</div></figure>'
    )


def svg(shapes: str) -> str:
    """Shapes in the 100 x 100 box that fills a plot."""
    return f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{shapes}</svg>'


def line_chart(
    title: str,
    lines: Sequence[Line],
    x: Axis,
    y: Axis = SHARES,
    note: str = "",
    mark: tuple[float, str] | None = None,
) -> str:
    """Lines over shared axes.

    Args:
        mark: (x, words) of a vertical line.
    """
    shapes, dots = [], []
    for line in lines:
        across, up = x.at(np.asarray(line.x, float)), y.at(np.asarray(line.y, float))
        shapes.append(f'<path class="{line.style}" d="{line_path(across, up)}"/>')
        if line.dots:
            dots += [
                f'<i class="{line.style.split()[0]}" style="left:{a:.2f}%;bottom:{u:.2f}%" '
                f'title="{escape(line.label)} at {plain(at)}: {value:.3f}"></i>'
                for a, u, at, value in zip(across, up, line.x, line.y, strict=True)
                if np.isfinite(u)
            ]
    if mark is not None:
        dots.append(f'<div class="res-mark" style="left:{x.at(mark[0]):.2f}%"><span>{escape(mark[1])}</span></div>')
    label = f"{title}: {', '.join(dict.fromkeys(line.label for line in lines))}, against {x.name}"
    legend = keys([(line.label, line.style) for line in lines])
    return frame(title, note, legend, svg("".join(shapes)) + "".join(dots), x, y, label)


def round_ticks(low: float, high: float) -> list[float]:
    """Three to eight round values between two numbers."""
    raw = (high - low) / 4 or 1.0
    unit = 10.0 ** np.floor(np.log10(raw))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw * (1 - 1e-9))
    return [float(f"{step * i:.10g}") for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def histogram(
    title: str,
    real: np.ndarray,
    generated: np.ndarray,
    name: str,
    threshold: float | None = None,
    band: Sequence[float] | None = None,
    bins: int = 40,
) -> str:
    """Scores of both classes on shared bins, each class with area 1; what lies beyond the axis counts at its ends.

    Args:
        name: of the score, for the axis.
        threshold, band: drawn if given.
    """
    low, high = (float(v) for v in np.quantile(np.concatenate([real, generated]), (0.002, 0.998)))
    low, high = (min(low, 0.0), high) if high > low else (low - 0.5, high + 0.5)
    axis = Axis(name, low, high, round_ticks(low, high))
    edges = np.linspace(low, high, bins + 1)
    shares = {
        kind: np.histogram(values.clip(low, high), edges)[0] / len(values)
        for kind, values in (("real", real), ("generated", generated))
    }
    top = max(share.max() for share in shares.values())
    shapes = ""
    for kind, share in shares.items():
        steps = "".join(
            f"L{100 * i / bins:g} {100 - 94 * value / top:.1f}L{100 * (i + 1) / bins:g} {100 - 94 * value / top:.1f}"
            for i, value in enumerate(share)
        )
        shapes += f'<path class="res-area res-{kind}" d="M0 100{steps}L100 100Z"/>'
    extra = ""
    if band is not None:
        left, right = (float(axis.at(value)) for value in band)
        extra += f'<div class="res-band" style="left:{left:.2f}%;width:{right - left:.2f}%"></div>'
    if threshold is not None:
        extra += f'<div class="res-mark" style="left:{axis.at(threshold):.2f}%"><span>threshold</span></div>'
    named = [(f"{kind} images", f"res-box res-{kind}") for kind in shares]
    legend = keys(named if band is None else [*named, ("no verdict", "res-box res-faint")])
    return frame(title, "", legend, extra + svg(shapes), axis, None, f"{title}: {name} of real and of generated images")

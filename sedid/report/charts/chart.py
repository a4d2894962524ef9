"""A chart of lines, bands, points or histograms as an HTML figure whose SVG stretches with its box.

The plot is one SVG without a view box: what has a place is placed in per cent, what has a size keeps it, so words and markers
stay as they are on every screen. Lines lie in a box of 100 x 100 that fills the plot. Colours are classes of `charts.css`.
Words are plain text, or `markupsafe.Markup` where they are HTML already.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from markupsafe import Markup, escape

from sedid.escaping import whole
from sedid.report.charts.scale import SHARES, Scale
from sedid.report.charts.series import Bins, Numbers, Series, line_path, needed
from sedid.report.charts.table import Table, column, plain
from sedid.report.pictures import number, short

SWITCHED = 16  # entries of a legend that can be switched; `charts.css` has a rule for each
MARKERS = {
    "two": "M-3.5-3.5h7v7h-7z",
    "three": "M0-5L5 0L0 5L-5 0z",
    "four": "M0-4.8L4.6 3.6h-9.2z",
    "five": "M0 4.8L4.6-3.6h-9.2z",
    "six": "M-1.3-4h2.6v2.7H4v2.6H1.3V4h-2.6V1.3H-4v-2.6h2.7z",
    "generated": "M-3.5-3.5h7v7h-7z",
}
"""A colour's marker, where it is no circle: lines are told apart without colours too."""


@dataclass(frozen=True)
class Mark:
    """A vertical line at x, with words on top."""

    x: float
    label: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Spot:
    """A point that is stressed, with its value beside it; `below` it where something else stands above."""

    x: float
    y: float
    label: str
    below: bool = False


def attributes(values: Mapping[str, object]) -> str:
    """HTML attributes."""
    return "".join(f' {name}="{escape(str(value))}"' for name, value in values.items())


def classes(style: str) -> str:
    """The classes of a style."""
    return " ".join(f"ch-{word}" for word in style.split())


def stretched(shapes: str) -> str:
    """Shapes of a box of 100 x 100 that fills the plot."""
    return f'<svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">{shapes}</svg>'


def marker(at: tuple[float, float], style: str, words: str) -> str:
    """The marker of a point, per cent from the left and from below."""
    left, top, title = f"{at[0]:.2f}%", f"{100 - at[1]:.2f}%", f"<title>{escape(words)}</title>"
    drawn = MARKERS.get(style.split()[0])
    if drawn is None:
        return f'<circle class="ch-marker" cx="{left}" cy="{top}" r="4">{title}</circle>'
    return f'<svg x="{left}" y="{top}"><path class="ch-marker" d="{drawn}">{title}</path></svg>'


def swatch(one: Series | Bins) -> str:
    """What stands for a series in the legend."""
    if isinstance(one, Bins):
        shape = '<rect class="ch-area ch-edge" x="4" y="1" width="18" height="10"/>'
    else:
        drawn = MARKERS.get(one.style.split()[0])
        dot = f'<path class="ch-marker" transform="translate(13 6)" d="{drawn}"/>' if drawn else '<circle class="ch-marker" cx="13" cy="6" r="4"/>'  # fmt: skip
        shape = '<rect class="ch-area" y="0" width="26" height="12"/>' if len(one.low) else ""
        shape += '<path class="ch-line" d="M0 6H26"/>' if one.line else ""
        shape += dot if one.marked or not one.line else ""
    return f'<svg class="ch-swatch {classes(one.style)}" width="26" height="12" aria-hidden="true">{shape}</svg>'


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title, note: stand above it; the note says what the y axis measures where the scale has no name.
        series: in the order in which they are drawn; all lines or all histograms.
        y: None for histograms, whose height has no unit.
        marks, spots: stressed places.
        band: the values of x in which no verdict is given.
        ends: what lies to the left and to the right, for the line below.
        said: what a screen reader says first; default: made of the title and the names.
        style: classes of the figure.
        data: attributes of the plot, for a script.
        over: HTML on top of the plot.
    """

    title: str
    series: Sequence[Series | Bins]
    x: Scale
    y: Scale | None = SHARES
    note: str = ""
    marks: Sequence[Mark] = ()
    spots: Sequence[Spot] = ()
    band: Sequence[float] | None = None
    ends: tuple[str, str] | None = None
    said: str = ""
    style: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    over: str = ""

    @cached_property
    def measured(self) -> str:
        """The name of what y measures."""
        return (self.y.column if self.y else "") or plain(self.note).split(",")[0] or plain(self.title)

    @cached_property
    def top(self) -> float:
        """The highest share of a histogram, at 94 % of the plot's height."""
        return (
            max([float(np.max(one.shares)) for one in self.series if isinstance(one, Bins) and len(one.shares)] or [0])
            or 1.0
        )

    @cached_property
    def shown(self) -> tuple[Series | Bins, ...]:
        """The series with the points that are needed to draw them, all of them where each is marked."""
        return tuple(self._shown(one) for one in self.series)

    def _shown(self, one: Series | Bins) -> Series | Bins:
        if isinstance(one, Bins) or one.marked or not one.line or len(one.low):
            return one
        keep = needed(*self.places(one.x, one.y))
        return Series(one.name, np.asarray(one.x)[keep], np.asarray(one.y)[keep], one.style)

    def places(self, x: Numbers, y: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """Positions 0 .. 100 of points; NaN for those that are not finite."""
        scale = self.y or Scale("", 0, self.top / 0.94)
        across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        known = np.isfinite(across) & np.isfinite(up)
        return np.where(known, self.x.at(across), np.nan), np.where(known, scale.at(up), np.nan)

    def table(self) -> Table:
        """The numbers of what is drawn."""
        first = plain(self.x.column) or "x"
        bins = [one for one in self.shown if isinstance(one, Bins)]
        if bins:
            rows = [(plain(one.name), (one.edges[:-1], one.edges[1:], one.shares)) for one in bins]
            names: tuple[str, ...] = (f"{first} from", "to", "share")
        else:
            lines = [one for one in self.shown if isinstance(one, Series)]
            rows = [(plain(one.name), (one.x, one.y, *((one.low, one.high) if len(one.low) else ()))) for one in lines]
            names = (first, self.measured, *(("low", "high") if any(len(one.low) for one in lines) else ()))
        return Table(names, tuple((name, tuple(map(column, parts))) for name, parts in rows))

    def html(self) -> Markup:
        """The figure, for a page or a report."""
        names = list(dict.fromkeys(map(str, (one.name for one in self.series))))
        groups = "".join(
            f'<g class="ch-series ch-{names.index(str(one.name))} {classes(one.style)}">{self._drawn(one)}</g>'
            for one in self.shown
        )
        kind = (
            "bins"
            if self.y is None
            else "line"
            if any(isinstance(one, Series) and one.line for one in self.series)
            else "points"
        )
        label = self.said or f"{plain(self.title)}: {', '.join(map(plain, names))}, against {plain(self.x.name)}"
        data = {
            "data-kind": kind,
            "data-chart": self.table().json(),
            "data-x": ends(self.x),
            "data-y": ends(self.y) if self.y else "",
        }
        labelled = "ch-labelled" if any(mark.label for mark in self.marks) else ""  # room above the plot
        foot = f'<div class="ch-foot">{escape(self.x.name)}</div>'
        if self.ends is not None:
            left, right = self.ends
            foot = (
                f'<div class="ch-foot ch-ends"><span class="ch-{left}">◂ {left}</span><span>{escape(self.x.name)}</span>'
                f'<span class="ch-{right}">{right} ▸</span></div>'
            )
        return Markup(
            f'<figure class="{" ".join(filter(None, ("chart", labelled, self.style)))}"{attributes(data)}>{caption(self.title, self.note)}'
            f'{self._keys(names)}<div class="ch-plot"{attributes(self.data)}><svg class="ch-svg" role="img" aria-label="{escape(label)}">'
            f"{self._axes()}{self._band()}{groups}{''.join(map(self._mark, self.marks))}{''.join(map(self._spot, self.spots))}</svg>"
            f"{self.over}</div>{foot}</figure>"
        )

    __html__ = html

    def _keys(self, names: list[str]) -> str:
        """The legend: an entry a name, switched by a checkbox (and `charts.css`) where there are several."""
        made = []
        for place, name in enumerate(names):
            one = next(one for one in self.series if str(one.name) == name)
            words = f"{swatch(one)}{escape(one.name)}"
            switched = len(names) > 1 and place < SWITCHED
            made.append(
                f'<label><input type="checkbox" checked>{words}</label>' if switched else f"<span>{words}</span>"
            )
        if self.band is not None:
            made.append('<span><svg class="ch-swatch" width="26" height="12" aria-hidden="true"><path class="ch-hatch" d="M0 0L90 90"/></svg>no verdict</span>')  # fmt: skip
        return f'<div class="ch-keys">{"".join(made)}</div>'

    def _axes(self) -> str:
        made = "".join(
            f'<line class="ch-rule" x2="100%" y1="{100 - tick.at:.2f}%" y2="{100 - tick.at:.2f}%"/>'
            f'<text class="ch-y" x="-7" y="{100 - tick.at:.2f}%" dy=".35em">{tick.label}</text>'
            for tick in (self.y.labels(across=False) if self.y else ())
        )
        return made + across(self.x) + frame(self.y is not None)

    def _band(self) -> str:
        if self.band is None:
            return ""
        left, right = sorted(float(self.x.at(value)) for value in self.band)
        return f'<svg class="ch-cut" x="{left:.2f}%" width="{right - left:.2f}%" height="100%"><path class="ch-hatch" d="M0 0L1500 1500"/></svg>'

    def _drawn(self, one: Series | Bins) -> str:
        return "".join(self._bars(one) if isinstance(one, Bins) else self._lines(one))

    def _bars(self, one: Bins) -> Iterator[str]:
        edges = self.x.at(one.edges)
        heights = 100 - 94 * np.asarray(one.shares, dtype=np.float64) / self.top
        steps = "".join(f"L{edges[i]:.2f} {up:.2f}L{edges[i + 1]:.2f} {up:.2f}" for i, up in enumerate(heights))
        yield stretched(f'<path class="ch-area ch-edge" d="M{edges[0]:.2f} 100{steps}L{edges[-1]:.2f} 100Z"><title>{escape(one.name)}</title></path>')  # fmt: skip

    def _lines(self, one: Series) -> Iterator[str]:
        across, up = self.places(one.x, one.y)
        shapes = ""
        if len(one.low):
            left, low = self.places(one.x, one.low)
            _, high = self.places(one.x, one.high)
            if len(left) == 1:  # a band of no width would not be seen
                left, low, high = np.array([left[0] - 0.8, left[0] + 0.8]), low.repeat(2), high.repeat(2)
            outline = line_path(np.concatenate([left, left[::-1]]), np.concatenate([low, high[::-1]]))
            shapes += f'<path class="ch-area" d="{outline}Z"/>' if outline else ""
        if one.line:
            shapes += f'<path class="ch-line" d="{line_path(across, up)}"><title>{escape(one.name)}</title></path>'
        elif not one.marked:
            cloud = "".join(f"M{a:.1f} {100 - b:.1f}h0" for a, b in zip(across, up, strict=True) if np.isfinite(b))
            shapes += f'<path class="ch-cloud" d="{cloud}"/>'
        yield stretched(shapes)
        for at, x, y in zip(zip(across, up, strict=True), one.x, one.y, strict=True):
            if one.marked and np.isfinite(at[1]):
                yield marker(
                    at, one.style, f"{plain(one.name)}: {plain(self.x.column)} {short(x)}, {self.measured} {number(y)}"
                )

    def _mark(self, mark: Mark) -> str:
        at = float(self.x.at(mark.x))
        arrow = ""
        if mark.strong and not min(self.x.low, self.x.high) <= mark.x <= max(self.x.low, self.x.high):
            arrow = " ←" if at == 0 else " →"
        return (
            f'<g class="ch-mark{" ch-strong" if mark.strong else ""}"><line x1="{at:.2f}%" x2="{at:.2f}%" y1="-3" y2="100%"/>'
            f'<text x="{at:.2f}%" y="-7" text-anchor="{anchor(at)}">{escape(mark.label)}{arrow}</text></g>'
        )

    def _spot(self, spot: Spot) -> str:
        (left,), (up,) = (part.tolist() for part in self.places([spot.x], [spot.y]))
        if not np.isfinite(up):
            return ""
        at = f'{left:.2f}%" {{}}="{100 - up:.2f}%"'
        side = 'text-anchor="end" dx="-12"' if left > 70 else 'dx="12"'
        return (
            f'<g class="ch-spot"><circle cx="{at.format("cy")} r="6.5"/><text x="{at.format("y")} {side} dy="{18 if spot.below else -8}">'
            f"{escape(spot.label)}</text></g>"
        )


def of_source(html: str, *source: str) -> Markup:
    """HTML whose charts show one thing: a detector and a study, say. The files the page makes of them are named after it."""
    return Markup('<div data-charts="{}">{}</div>').format(whole(" ".join(map(plain, source))), Markup(html))


def ends(scale: Scale) -> str:
    """A scale as the script reads it."""
    return f"{scale.low:.9g} {scale.high:.9g}{' log' if scale.log else ''}"


def anchor(at: float) -> str:
    """On which side of a place words fit, per cent from the left."""
    return "start" if at < 15 else "end" if at > 85 else "middle"


def across(scale: Scale) -> str:
    """Ticks and labels along the bottom."""
    return "".join(
        f'<line class="ch-tick" x1="{tick.at:.2f}%" x2="{tick.at:.2f}%" y1="100%" y2="100%" transform="translate(0 4)"/>'
        f'<text class="ch-x" x="{tick.at:.2f}%" y="100%" dy="17">{tick.label}</text>'
        for tick in scale.labels()
    )


def frame(left: bool) -> str:
    """The lines of the axes."""
    side = '<line class="ch-axis" y2="100%"/>' if left else ""
    return f'{side}<line class="ch-axis" x2="100%" y1="100%" y2="100%"/>'


def caption(title: str, note: str = "") -> str:
    """What stands above a chart."""
    small = f" <small>{escape(note)}</small>" if note else ""
    return f"<figcaption>{escape(title)}{small}</figcaption>"

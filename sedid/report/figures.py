"""Charts as `matplotlib.figure.Figure`, for files: no pyplot, no global state, safe in threads. They read what the page draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sedid.detector.detector import Detector, Inspection
from sedid.detector.words import verdict_lines
from sedid.method.diffusion import pair_in_words
from sedid.report.charts.chart import Chart
from sedid.report.charts.grid import HOT, Grid
from sedid.report.charts.series import Bins
from sedid.report.charts.table import plain
from sedid.report.curve import along
from sedid.report.pictures import short
from sedid.report.style import palette
from sedid.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

PALETTE = palette()
INKS = {name: f"res-{name}" for name in ("one", "two", "three", "four", "five", "six", "faint")}
INKS |= {"real": "sed-real", "generated": "sed-generated", "image": "sed-ink"}
DASHES: dict[str, Any] = {"dash": "--", "dots": ":", "mixed": "-.", "long": (0, (9, 2)), "short": (0, (1.5, 1.5))}
"""How a line of this style (`charts.series.LINES`) is drawn."""
WIDTHS = {"thin": 0.8, "bold": 2.6}
MARKERS = {"two": "s", "three": "D", "four": "^", "five": "v", "six": "P", "generated": "s"}
FILMSTRIP = 7  # frames at most
FORMATS = (".png", ".svg", ".pdf")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix names the format.

    Raises:
        ValueError: the suffix is not .png, .svg or .pdf.
        OSError: the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"a figure is written as {', '.join(FORMATS)}; {path.name!r} names none of them")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Creator": "SeDID Explorer"})


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def viewable(x: Tensor) -> np.ndarray:
    """One image (1, 3, H, W) on the [-1, 1] scale -> float (H, W, 3) in [0, 1], clipped."""
    return ((x[0].float().clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()


def inspection_figure(inspection: Inspection, detector: Detector) -> Figure:
    """Everything about one image on a page: trajectory, the two compared images, heatmap, curve, verdicts."""
    found, trace = inspection.judgement, inspection.trace
    near, _ = trace.step(found.t_sec)
    figure = new_figure(12, 8.5)
    strip, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=(1.1, 1.35, 1.6))[:, 0]

    walked = [point for point in trace.points if point.t <= found.t_sec]
    shown = [
        walked[i] for i in np.unique(np.linspace(0, len(walked) - 1, min(len(walked), FILMSTRIP)).round().astype(int))
    ]
    strip.suptitle("Reverse trajectory: the image walked towards noise, without randomness")
    for axes, point in zip(np.atleast_1d(strip.subplots(1, len(shown))), shown, strict=True):
        picture(axes, viewable(trace.picture(point.x)), f"$\\tilde x_{{{point.t}}}$")

    axes = middle.subplots(1, 4)
    picture(axes[0], trace.image, "the image the detector sees")
    picture(axes[1], viewable(trace.picture(near.x)), f"$\\tilde x_{{{near.t}}}$")
    picture(
        axes[2], viewable(trace.picture(trace.denoised(found.t_sec))), f"denoised from {found.t_sec} back to {near.t}"
    )
    heat = axes[3].imshow(trace.t_error(found.t_sec).map[0].sum(0).numpy(), cmap="inferno")
    axes[3].set_title(f"t-error, sum {found.t_error:.4g}", fontsize=10)
    axes[3].set_axis_off()
    middle.colorbar(heat, ax=axes[3], label=f"squared difference, {near.x.shape[1]} channels")

    axes = bottom.subplots(1, 2, width_ratios=(1.2, 1))
    draw(axes[0], along(detector, [trace], found.t_sec))
    axes[1].set_axis_off()
    lines = [f"{detector.name}, {pair_in_words(found.k, found.t_sec)}", "", *verdict_lines(inspection, detector), ""]
    lines.append(f"t-error = weight {found.weight:.4g} x change of {trace.schedule.words.said} {found.change:.4g}")
    axes[1].text(0, 1, "\n".join(lines), va="top", fontsize=9.5, wrap=True, parse_math=False)
    return figure


def picture(axes: Axes, pixels: np.ndarray, title: str) -> None:
    """One image, unsmoothed, with a title and no ticks."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def figure_of(chart: Chart | Grid) -> Figure:
    """A chart of the page as a figure."""
    if isinstance(chart, Grid):
        return _grid(chart)
    figure = new_figure(6, 4.2)
    axes = figure.subplots()
    draw(axes, chart)
    axes.set_title(words(chart.title), fontsize=10)
    return figure


def words(text: str) -> str:
    """Words as matplotlib shows them: without HTML, and no formula."""
    return plain(text).replace("$", r"\$")


def draw(axes: Axes, chart: Chart) -> None:
    """Draw a chart's series, marks, band and spots, on its scales."""
    named: set[str] = set()
    for one in chart.series:
        ink, *looks = one.style.split()
        colour, label = PALETTE[INKS[ink]], "_" if str(one.name) in named else words(one.name)
        named.add(str(one.name))
        if isinstance(one, Bins):
            axes.stairs(one.shares, one.edges, fill=True, color=colour, alpha=0.45, label=label)
            continue
        if len(one.low):
            axes.fill_between(one.x, one.low, one.high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            *(one.x, one.y),
            color=colour,
            linestyle=next((DASHES[look] for look in looks if look in DASHES), "-") if one.line else "none",
            linewidth=next((WIDTHS[look] for look in looks if look in WIDTHS), 1.5),
            marker=MARKERS.get(ink, "o") if one.marked or not one.line else "none",
            markersize=4,
            label=label,
        )
    if chart.band is not None:
        axes.axvspan(*chart.band, color=PALETTE["sed-undecided"], alpha=0.2, linewidth=0, label="no verdict")
    for mark in chart.marks:
        line = {"linewidth": 2} if mark.strong else {"linewidth": 1, "linestyle": "--"}
        axes.axvline(
            mark.x, color=PALETTE["sed-ink" if mark.strong else "sed-quiet"], label=words(mark.label) or "_", **line
        )
    for spot in chart.spots:
        axes.plot(
            [spot.x], [spot.y], color=PALETTE["sed-accent"], marker="o", markersize=8, linestyle="none", label="_"
        )
        axes.annotate(
            words(spot.label), (spot.x, spot.y), (6, -12 if spot.below else 6), textcoords="offset points", fontsize=9
        )
    for scale, name, title in ((chart.x, "x", chart.x.name), (chart.y, "y", chart.measured)):
        if scale is None:
            axes.set(yticks=[])
            continue
        marks = scale.marks()
        axes.set(
            **{
                f"{name}scale": "log" if scale.log else "linear",
                f"{name}lim": (scale.low, scale.high),
                f"{name}label": words(title),
            }
        )
        axes.set(**{f"{name}ticks": marks, f"{name}ticklabels": [short(mark) for mark in marks]})
    axes.minorticks_off()
    axes.legend(fontsize=8, frameon=False)


def _grid(grid: Grid) -> Figure:
    """A grid's cells, each over the step it measures."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    rows = sorted({cell.row for cell in grid.cells})
    ramp = LinearSegmentedColormap.from_list("heat", [PALETTE["sed-cool"], PALETTE["sed-hot"]])
    figure = new_figure(9, 1.4 + 0.4 * len(rows))
    axes = figure.subplots()
    for cell in sorted(grid.cells, key=lambda cell: bool(cell.frame)):
        corner, wide = (cell.start, rows.index(cell.row) - 0.5), cell.end - cell.start
        heat = None if cell.value is None else grid.heat(cell.value)
        edge = PALETTE[{"chosen": "sed-generated", "best": "res-two"}.get(cell.frame, "sed-plane")]
        colour = PALETTE["sed-soft"] if heat is None else ramp(heat / 100)
        axes.add_patch(
            Rectangle(corner, wide, 1, facecolor=colour, edgecolor=edge, linewidth=2.5 if cell.frame else 0.8)
        )
        written = "n/a" if cell.value is None else f"{cell.value:.3f}".removeprefix("0")
        ink = PALETTE["sed-on-hot" if heat is not None and heat >= HOT else "sed-on-cool"]
        turned = 90 if wide < 70 else 0
        axes.text((cell.start + cell.end) / 2, rows.index(cell.row), written, ha="center", va="center", color=ink, fontsize=7, rotation=turned)  # fmt: skip
    axes.set(
        xlim=(grid.x.low, grid.x.high), ylim=(len(rows) - 0.5, -0.5), xlabel=words(grid.x.name), ylabel=words(grid.rows)
    )
    axes.set_yticks(range(len(rows)), [str(row) for row in rows])
    axes.set_title(words(grid.title), fontsize=10)
    return figure

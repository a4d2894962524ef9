"""Arrays in, `matplotlib.figure.Figure` out: no pyplot, no global state, safe in threads."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from sedid.detector.detector import Calibration, Detector, Inspection
from sedid.detector.words import verdict_lines
from sedid.method.diffusion import pair_in_words
from sedid.report.style import palette
from sedid.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = palette()
REAL_COLOUR, GENERATED_COLOUR, MARK = (PALETTE[name] for name in ("sed-real", "sed-generated", "sed-ink"))
LINES = ("res-one", "res-two", "res-three", "res-four", "sed-real", "sed-generated")
FILMSTRIP = 7  # frames at most
FORMATS = (".png", ".svg", ".pdf")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure; the suffix names the format.

    Raises:
        ValueError: the suffix is not .png, .svg or .pdf.
        OSError: the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"a figure is written as {', '.join(FORMATS)}; {path.name!r} names none of them")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, metadata={"Creator": "SeDID Explorer"})


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def viewable(x: Tensor) -> np.ndarray:
    """One image (1, 3, H, W) on the [-1, 1] scale -> float (H, W, 3) in [0, 1], clipped."""
    return ((x[0].float().clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()


def inspection_figure(inspection: Inspection, detector: Detector) -> "Figure":
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
        picture(axes, viewable(point.x), f"$\\tilde x_{{{point.t}}}$")

    axes = middle.subplots(1, 4)
    picture(axes[0], trace.image, "the image the detector sees")
    picture(axes[1], viewable(near.x), f"$\\tilde x_{{{near.t}}}$")
    picture(axes[2], viewable(trace.denoised(found.t_sec)), f"denoised from {found.t_sec} back to {near.t}")
    heat = axes[3].imshow(trace.t_error(found.t_sec).map[0].sum(0).numpy(), cmap="inferno")
    axes[3].set_title(f"t-error, sum {found.t_error:.4g}", fontsize=10)
    axes[3].set_axis_off()
    middle.colorbar(heat, ax=axes[3], label="squared difference, 3 channels")

    axes = bottom.subplots(1, 2, width_ratios=(1.2, 1))
    at = (detector.stat.get((found.k, t_sec)) for t_sec in detector.t_secs(found.k))
    calibrations = [calibration for calibration in at if calibration is not None]
    curve_plot(axes[0], trace.t_secs, trace.curve, found.t_sec, calibrations)
    axes[1].set_axis_off()
    lines = [f"{detector.name}, {pair_in_words(found.k, found.t_sec)}", "", *verdict_lines(inspection, detector), ""]
    lines.append(f"t-error = weight {found.weight:.4g} x change of predicted noise {found.change:.4g}")
    axes[1].text(0, 1, "\n".join(lines), va="top", fontsize=9.5, wrap=True, parse_math=False)
    return figure


def picture(axes: "Axes", pixels: np.ndarray, title: str) -> None:
    """One image, unsmoothed, with a title and no ticks."""
    axes.imshow(pixels, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def curve_plot(
    axes: "Axes", t_secs: Sequence[int], errors: Sequence[float], t_sec: int, calibrations: Sequence[Calibration]
) -> None:
    """The t-error against T_SEC, over the central 90 % of the real and generated references of one k."""
    at = [calibration.t_sec for calibration in calibrations]
    for name, colour in (("real", REAL_COLOUR), ("generated", GENERATED_COLOUR)) if calibrations else ():
        low, middle, high = np.array([np.quantile(getattr(c, name), (0.05, 0.5, 0.95)) for c in calibrations]).T
        axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0, label=f"{name}, central 90 %")
        axes.plot(at, middle, color=colour, linewidth=1)
    axes.plot(t_secs, errors, color=MARK, marker="o", markersize=4, label="this image")
    axes.axvline(t_sec, color=MARK, linestyle=":", linewidth=1)
    axes.set(yscale="log", xlabel="T_SEC", ylabel="t-error", xticks=t_secs if len(t_secs) <= 12 else axes.get_xticks())
    axes.legend(fontsize=8, frameon=False)


def roc_figure(curves: dict[str, tuple[np.ndarray, np.ndarray]], log: bool = False) -> "Figure":
    """ROC curves.

    Args:
        curves: label -> (FPR, TPR), each ascending in [0, 1].
        log: FPR on a logarithmic axis, for the low rates.
    """
    figure = new_figure(5, 5)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=PALETTE["res-faint"], linestyle=":", linewidth=1)
    for (label, (fpr, tpr)), colour in zip(curves.items(), _colours(len(curves)), strict=True):
        axes.plot(fpr, tpr, drawstyle="steps-post", color=colour, label=label)
    axes.set(xlabel="real images called generated (FPR)", ylabel="generated images found (TPR)", ylim=(0, 1.01))
    axes.set(xscale="log", xlim=(1e-3, 1)) if log else axes.set(xlim=(0, 1))
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return figure


def _colours(count: int) -> list[Any]:
    if count <= len(LINES):
        return [PALETTE[name] for name in LINES[:count]]
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.95, count)))


def histogram_figure(
    real: np.ndarray,
    generated: np.ndarray,
    threshold: float | None = None,
    band: tuple[float, float] | None = None,
    score: float | None = None,
    label: str = "t-error",
) -> "Figure":
    """Scores of both classes, on shared bins, each class with area 1.

    Args:
        real, generated: scores (N,), (M,); quantiles of a distribution do as well.
        threshold, band: drawn if given.
        score: one image's, marked if given.
    """
    both = np.concatenate([real, generated])
    low, high = np.quantile(both, (0.001, 0.999))
    bins = np.linspace(low, high, 41).tolist()
    figure = new_figure(6, 3.5)
    axes = figure.subplots()
    for name, scores, colour in (("real", real, REAL_COLOUR), ("generated", generated, GENERATED_COLOUR)):
        axes.hist(scores, bins, density=True, color=colour, alpha=0.45, label=name)
    if band is not None:
        axes.axvspan(*band, color=PALETTE["res-faint"], alpha=0.25, linewidth=0, label="cannot tell")
    if threshold is not None:
        axes.axvline(threshold, color=PALETTE["sed-quiet"], linestyle="--", label="threshold")
    if score is not None:
        axes.axvline(score, color=MARK, linewidth=2, label="this image")
    axes.set(xlabel=label, yticks=[])
    axes.legend(fontsize=8, frameon=False)
    return figure


def sweep_heatmap(
    values: np.ndarray, rows: Sequence[int], columns: Sequence[int], label: str, mark: tuple[int, int] | None = None
) -> "Figure":
    """A measurement over k (rows) and T_SEC (columns).

    Args:
        values: (len(rows), len(columns)); NaN where there is none.
        mark: (row, column) values of a cell to frame, e.g. the calibrated pair.
    """
    from matplotlib.patches import Rectangle

    figure = new_figure(2 + 0.6 * len(columns), 1.5 + 0.4 * len(rows))
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(values), cmap="viridis", aspect="auto")
    middle = np.nanmean([np.nanmin(values), np.nanmax(values)]) if np.isfinite(values).any() else 0.0
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value < middle else "black"
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour, fontsize=7)
    if mark is not None:
        corner = (columns.index(mark[1]) - 0.5, rows.index(mark[0]) - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=GENERATED_COLOUR, linewidth=2.5))
    axes.set(xlabel="T_SEC", ylabel="k")
    axes.set_xticks(range(len(columns)), [str(value) for value in columns], rotation=90 if len(columns) > 12 else 0)
    axes.set_yticks(range(len(rows)), [str(value) for value in rows])
    figure.colorbar(image, label=label)
    return figure

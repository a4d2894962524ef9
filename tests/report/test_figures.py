"""Figures show what they were given."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, shared_detector
from matplotlib.figure import Figure
from PIL import Image

from sedid.paths import ROOT
from sedid.report.figures import (
    GENERATED_COLOUR,
    histogram_figure,
    inspection_figure,
    roc_figure,
    save_figure,
    sweep_heatmap,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_an_inspection_shows_trajectory_comparison_heatmap_curve_and_verdicts(tmp_path: Path) -> None:
    found = shared_detector().inspect(pictures(1)[0])
    figure = inspection_figure(found, shared_detector())
    assert titles(figure)[:4] == [rf"$\tilde x_{{{t}}}$" for t in (0, 165, 330, 495)]
    assert titles(figure)[4:7] == ["the image the detector sees", r"$\tilde x_{330}$", "denoised from 495 back to 330"]
    heat = figure.axes[7].images[0]
    assert float(heat.get_array().sum()) == pytest.approx(found.judgement.t_error, rel=1e-4)
    assert np.array_equal(np.rint(figure.axes[4].images[0].get_array()), found.trace.image)
    curve = next(axes for axes in figure.axes if axes.get_xlabel() == "T_SEC")
    assert tuple(curve.lines[-2].get_ydata()) == found.trace.curve
    assert [text.get_text() for text in curve.get_legend().get_texts()] == [
        "real, central 90 %",
        "generated, central 90 %",
        "this image",
    ]
    assert "STAT: " in words(figure)
    assert "NN: " in words(figure)
    save_figure(figure, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as written:
        assert written.size == (1800, 1275)


def test_an_uncalibrated_pair_and_a_long_trajectory_fit_too() -> None:
    figure = inspection_figure(shared_detector().inspect(pictures(1)[0], k=90, t_sec=900), shared_detector())
    strip = titles(figure)[:7]
    assert (strip[0], strip[-1]) == (r"$\tilde x_{0}$", r"$\tilde x_{900}$")
    assert titles(figure)[7] == "the image the detector sees"
    assert "nearest calibrated pair is T_SEC = 825, k = 165" in words(figure)


def test_a_figure_is_not_written_in_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf"):
        save_figure(Figure(), tmp_path / "figure.gif")
    assert list(tmp_path.iterdir()) == []
    save_figure(roc_figure({"chance": (np.arange(2), np.arange(2))}), tmp_path / "figure.svg")
    assert "<svg" in (tmp_path / "figure.svg").read_text(encoding="utf-8")


def test_roc_curves_are_labelled_and_told_apart() -> None:
    rates = np.linspace(0, 1, 5)
    figure = roc_figure({f"T_SEC {t}": (rates, rates**0.5) for t in range(8)}, log=True)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert len(axes.lines) == 9
    assert len({str(line.get_color()) for line in axes.lines[1:]}) == 8
    assert len(axes.get_legend().get_texts()) == 8


def test_a_histogram_gives_each_class_the_same_area_and_marks_the_image() -> None:
    rng = np.random.default_rng(0)
    figure = histogram_figure(rng.normal(0, 1, 900), rng.normal(1, 1, 90), 0.5, (0.3, 0.7), score=0.9)
    axes = figure.axes[0]
    for bars in axes.containers:
        assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(1, rel=1e-6)
    assert [float(line.get_xdata()[0]) for line in axes.lines] == [0.5, 0.9]
    assert {"real", "generated", "cannot tell", "threshold", "this image"} == {
        text.get_text() for text in axes.get_legend().get_texts()
    }


def test_a_sweep_frames_the_marked_cell_and_leaves_gaps_empty() -> None:
    values = np.array([[0.5, 0.6], [0.7, np.nan]])
    figure = sweep_heatmap(values, [100, 165], [330, 660], "AUC", mark=(165, 330))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.500", "0.600", "0.700"]
    (frame,) = axes.patches
    assert (frame.get_xy(), frame.get_edgecolor()[:3]) == (
        (-0.5, 0.5),
        pytest.approx(tuple(int(GENERATED_COLOUR[i : i + 2], 16) / 255 for i in (1, 3, 5))),
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["100", "165"]


def test_pyplot_stays_out() -> None:
    code = "import sys, sedid.report.figures as f; f.roc_figure({'a': ([0, 1], [0, 1])}); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0

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
from sedid.report.charts.chart import Chart, Mark, Spot
from sedid.report.charts.grid import Cell, Grid
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import STYLES, Series, histogram
from sedid.report.figures import PALETTE, figure_of, inspection_figure, save_figure

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
    assert tuple(curve.lines[2].get_ydata()) == found.trace.curve
    named = [text.get_text() for text in curve.get_legend().get_texts()]
    assert [name.split(",")[0] for name in named] == ["real", "generated", "this image"]
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
    assert "nearest calibrated pair is k = 165, T_SEC = 825" in words(figure)


def test_a_figure_is_not_written_in_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf"):
        save_figure(Figure(), tmp_path / "figure.gif")
    assert list(tmp_path.iterdir()) == []
    chance = Chart("ROC", [Series("chance", [0, 1], [0, 1])], Scale("FPR", 0, 1))
    save_figure(figure_of(chance), tmp_path / "figure.svg")
    assert "<svg" in (tmp_path / "figure.svg").read_text(encoding="utf-8")


def test_lines_are_those_of_the_chart() -> None:
    rates = np.linspace(0, 1, 5)
    lines = [Series(f"cost {i} $", rates, rates**0.5, style) for i, style in enumerate(STYLES[:8])]
    spots = [Spot(0.5, 0.7, "0.7")]
    chart = Chart("ROC", lines, Scale("FPR, logarithmic", 1e-3, 1, log=True), marks=[Mark(0.1, "here")], spots=spots)
    axes = figure_of(chart).axes[0]
    assert axes.get_xscale() == "log"
    drawn = [(str(line.get_color()), line.get_linestyle(), line.get_marker()) for line in axes.lines[:8]]
    assert len(set(drawn)) == 8
    assert [line.get_ydata().tolist() for line in axes.lines[:8]] == [one.y.tolist() for one in lines]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [*(rf"cost {i} \$" for i in range(8)), "here"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.001", "0.01", "0.1", "1"]


def test_histograms_keep_their_shares_and_what_is_marked() -> None:
    rng, edges = np.random.default_rng(0), np.linspace(-3, 4, 11)
    sets = [histogram(name, rng.normal(i, 1, 90), edges, name) for i, name in enumerate(("real", "generated"))]
    marks = [Mark(0.5, "threshold"), Mark(0.9, "this image", strong=True)]
    axes = figure_of(Chart("Scores", sets, Scale("t-error", -3, 4), None, marks=marks, band=(0.3, 0.7))).axes[0]
    assert [float(line.get_xdata()[0]) for line in axes.lines] == [0.5, 0.9]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["real", "generated", "no verdict", "threshold", "this image"]
    assert [patch.get_data().values.sum() for patch in axes.patches[:2]] == pytest.approx([1, 1])


def test_a_grid_frames_the_stressed_cell_and_says_where_nothing_was_measured() -> None:
    values = {(165, 165): 0.5, (165, 330): 0.6, (330, 330): None}
    cells = [
        Cell(k, t - k, t, value, "", "chosen" if t == 330 and k == 165 else "") for (k, t), value in values.items()
    ]
    axes = figure_of(Grid("AUC", cells, Scale("T_SEC", 0, 1000))).axes[0]
    assert sorted(text.get_text() for text in axes.texts) == [".500", ".600", "n/a"]
    framed = axes.patches[-1]
    assert (framed.get_xy(), framed.get_width()) == ((165, -0.5), 165)
    assert framed.get_edgecolor()[:3] == pytest.approx(
        tuple(int(PALETTE["sed-generated"][i : i + 2], 16) / 255 for i in (1, 3, 5))
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["165", "330"]


def test_pyplot_stays_out() -> None:
    code = (
        "import sys, sedid.report.figures as f; from sedid.report.charts.chart import Chart, Series, Scale; "
        "f.figure_of(Chart('', [Series('', [0], [1])], Scale('', 0, 1))); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0

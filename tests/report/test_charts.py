"""Charts: any two ends make an axis, what is drawn is what the series say, and it can be read without colours, script or mouse."""

import json
import re
from html import unescape
from itertools import pairwise
from math import inf, isfinite, nan

import numpy as np
import pytest
from helpers.fakes import make_detector, make_image, ramp
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from sedid.progress import finish
from sedid.report.charts.chart import Chart
from sedid.report.charts.grid import HOT, Cell, Grid
from sedid.report.charts.scale import LETTER, PHONE, SHARES, Scale, over
from sedid.report.charts.series import STYLES, TOLERANCE, Series, density, histogram, line_path, needed
from sedid.report.curve import along, among_references, references
from sedid.report.figures import DASHES, WIDTHS
from sedid.report.pictures import number
from sedid.report.style import STATIC, palette

ANY = st.one_of(st.floats(), st.sampled_from([0.0, 1e-310, 1e300, -1e308, inf, -inf, nan]))
NAMES = st.text("abc,\"'<&=\n", min_size=1, max_size=8)


@given(ANY, ANY, st.booleans())
@pytest.mark.filterwarnings("error")
def test_any_two_ends_make_an_axis(low: float, high: float, log: bool) -> None:
    scale = Scale("", low, high, log=log)
    assert isfinite(scale.high - scale.low)
    assert scale.high != scale.low
    assert scale.at([scale.low, scale.high]).tolist() == pytest.approx([0, 100])
    marks = scale.marks()
    assert 2 <= len(marks) <= 14
    assert all(min(scale.low, scale.high) <= mark <= max(scale.low, scale.high) for mark in marks)
    places = scale.at(marks)
    assert (np.diff(places) > 0).all()
    beyond = scale.at([-inf, inf, nan])
    assert set(beyond[:2].tolist()) == {0, 100}
    assert np.isnan(beyond[2])


@given(ANY, ANY, st.booleans(), st.lists(st.floats(-2000, 2000), max_size=12))
def test_no_label_stands_on_another_on_a_phone(low: float, high: float, log: bool, ticks: list[float]) -> None:
    labels = [tick for tick in Scale("", low, high, ticks, log).labels() if tick.label]
    spans = [(tick.at * PHONE / 100, LETTER * len(tick.label) / 2) for tick in labels]
    for (left, half), (right, other) in pairwise(spans):
        assert left + half < right - other


def test_an_axis_may_run_backwards() -> None:
    assert Scale("quality", 95, 10, (95, 70, 10)).marks() == [95, 70, 10]
    assert Scale("quality", 95, 10).at([95, 10]).tolist() == [0, 100]


def test_a_scale_over_values_is_logarithmic_where_they_span_decades() -> None:
    assert not over("", [1, 2, nan, -1]).log
    assert over("", [1, 200, inf]).log
    assert over("", [0, 0, nan]) == Scale("", 0, 1)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=60))
def test_a_line_passes_every_point_that_is_left_out(points: list[tuple[float, float]]) -> None:
    x, y = np.array(sorted(points)).T
    kept = needed(x, y)
    assert {0, len(x) - 1} <= set(kept.tolist())
    for first, last in pairwise(kept):
        for i in range(first, last):
            start, step = np.array([x[first], y[first]]), np.array([x[last] - x[first], y[last] - y[first]])
            gap = np.array([x[i], y[i]]) - start
            length = np.hypot(*step)
            away = abs(step[0] * gap[1] - step[1] * gap[0]) / length if length else np.hypot(*gap)
            assert away <= TOLERANCE + 1e-9


def test_a_line_breaks_where_a_value_is_missing() -> None:
    assert line_path(np.array([0, 10, 20, 30, 40.0]), np.array([0, 50, nan, 50, 100])) == "M0 100L10 50M30 50L40 0"
    assert needed(np.arange(5.0), np.array([1, 1, nan, 1, 1.0])).tolist() == [0, 1, 2, 3, 4]
    drawn = str(Chart("t", [Series("a", [0, 1, 2], [0.5, inf, 0.5])], Scale("x", 0, 2)).html())
    assert "inf" not in drawn
    assert "nan" not in drawn


def carried(html: str) -> dict:
    """The numbers a chart carries for its read-out and its CSV."""
    found = re.search(r'data-chart="(.*?)"', html)
    assert found
    return json.loads(unescape(found[1]))


@given(st.lists(st.tuples(NAMES, st.lists(st.floats(0, 1), min_size=1, max_size=5)), min_size=1, max_size=4))
def test_a_chart_carries_the_numbers_of_its_series(made: list[tuple[str, list[float]]]) -> None:
    series = [Series(name, range(len(y)), y, marked=True, low=y, high=y) for name, y in made]
    table = carried(str(Chart("t", series, Scale("x, at k", 0, 4), note="AUC").html()))
    assert table["columns"] == ["x", "AUC", "low", "high"]
    for one, (_, x, y, low, high) in zip(series, table["series"], strict=True):
        assert x == list(one.x)
        assert y == low == high == pytest.approx(list(one.y), rel=1e-5, abs=1e-300)


def test_names_are_words_however_they_are_spelt() -> None:
    drawn = str(Chart("<t>", [Series(Markup("a &lt;b"), [0], [1]), Series("<i>", [0], [1])], Scale("<x>", 0, 1)).html())
    assert [name for name, *_ in carried(drawn)["series"]] == ["a <b", "<i>"]
    assert not re.findall(r"<(?:i|t|x|b)>", drawn)


def test_lines_are_told_apart_and_switched_without_colour_or_script() -> None:
    assert len(set(STYLES)) == 36
    for place in range(0, 36, 12):  # twelve in a row are drawn in twelve ways, on the page and in files
        ways = {style.partition(" ")[2] for style in STYLES[place : place + 12]}
        assert len(ways) == 12
        words = set(" ".join(ways).split())
        assert words <= DASHES.keys() | WIDTHS.keys()
        assert all(f".ch-{word} .ch-line" in (STATIC / "charts.css").read_text() for word in words)
    drawn = str(
        Chart("t", [Series(f"m{i}", [0, 1], [0, 1], style) for i, style in enumerate(STYLES[:4])], SHARES).html()
    )
    assert drawn.count('<input type="checkbox" checked>') == 4
    assert [f'class="ch-series ch-{i} ' in drawn for i in range(4)] == [True] * 4
    assert drawn.count("ch-dash") == drawn.count("ch-dots") == 2  # in the legend and in the plot
    alone = str(Chart("t", [Series("one", [0, 1], [0, 1])], SHARES).html())
    assert "<input" not in alone
    assert "<script" not in drawn


def test_every_mark_says_its_values() -> None:
    drawn = str(Chart("AUC", [Series("STAT", [165, 330], [0.5, nan], marked=True)], Scale("T_SEC", 0, 1000)).html())
    assert "<title>STAT: T_SEC 165, AUC 0.500</title>" in drawn
    assert drawn.count("ch-marker") == 2  # the legend's and one point: the other was not measured


def test_bins_hold_every_value_once() -> None:
    edges = np.linspace(0, 10, 6)
    assert histogram("real", [-5, 1, 1, 9, 99], edges, "real").shares.tolist() == [0.6, 0, 0, 0, 0.4]
    assert density("real", ramp(0, 10), edges, "real").shares == pytest.approx([0.2] * 5)
    assert density("real", ramp(0, 10), np.linspace(5, 6, 3), "real").shares.sum() == pytest.approx(1)
    empty = str(Chart("t", [histogram("real", [], edges, "real")], Scale("x", 0, 10), None).html())
    assert "nan" not in empty


def test_a_score_beyond_the_references_is_pointed_at() -> None:
    calibration = make_detector().stat[165, 330]
    assert "this image →" in among_references(calibration, 5000.0, "t-error").html()
    inside = among_references(calibration, 50.0, "t-error").html()
    assert "this image<" in inside
    assert inside.index("◂ generated") < inside.index("real ▸")  # smaller means generated


def test_the_curve_shows_a_band_for_each_reference_and_where_one_is() -> None:
    detector = make_detector()
    trace = finish(detector.trace(make_image(), 165))
    drawn = str(along(detector, [trace], 330).html())
    assert drawn.count('<path class="ch-area"') == 2
    assert f'aria-label="t-error against T_SEC: {number(trace.curve[1])} at T_SEC 330"' in drawn
    assert f'data-t-secs="{" ".join(map(str, trace.t_secs))}"' in drawn
    names = [name for name, *_ in carried(drawn)["series"]]
    assert names == ["real, 5\N{EN DASH}95% and median", "generated, 5\N{EN DASH}95% and median", "this image"]
    both = carried(str(along(detector, [trace, trace], 330).html()))["series"]
    assert [name for name, *_ in both[-2:]] == ["A", "B"]
    assert both[-1][2] == pytest.approx(trace.curve, rel=1e-5)


def test_references_are_quantiles_divided_by_the_weight_where_asked() -> None:
    detector = make_detector()
    trace = finish(detector.trace(make_image(), 165))
    _, generated = references(detector, trace, False)
    assert [generated.x[0], generated.low[0], generated.y[0], generated.high[0]] == pytest.approx([330, 5, 50, 95])
    _, free = references(detector, trace, True)
    assert free.y[0] == pytest.approx(50 / detector.schedule.weight(165, 330))
    assert references(detector, finish(detector.trace(make_image(), 100)), False) == []


def test_a_grid_colours_over_its_own_range_and_writes_every_number() -> None:
    values = {(165, 165): 0.52, (165, 330): 0.6, (330, 330): 0.7, (330, 660): None}
    grid = Grid(
        "AUC", [Cell(k, t - k, t, value, f"{k} {t}") for (k, t), value in values.items()], Scale("T_SEC", 0, 1000)
    )
    drawn = str(grid.html())
    assert [grid.heat(value) for value in (0.52, 0.6, 0.7)] == pytest.approx([0, 44.4, 100], abs=0.1)
    assert re.findall(r'<text dy=".35em">(.*?)</text>', drawn) == [".52", ".60", ".70", "n/a"]
    assert carried(drawn)["series"] == [["AUC", [165, 165, 330, 330], [165, 330, 330, 660], [0.52, 0.6, 0.7, None]]]
    assert Grid("AUC", [Cell(1, 0, 1, None, "")], SHARES).range is None
    assert Grid("AUC", [Cell(1, 0, 1, 0.5, "")], SHARES).heat(0.5) == 50


def luminance(colour: np.ndarray) -> float:
    return float(colour.clip(0, 1) @ [0.2126, 0.7152, 0.0722])


LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
OKLAB = np.array([[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099], [0.0259040371, 0.7827717662, -0.808675766]])  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_a_number_is_readable_on_every_colour_of_a_grid(dark: bool) -> None:
    """WCAG AA, 4.5 to 1, along the whole ramp, which CSS mixes in oklab."""
    named = palette(dark)
    linear = {
        name: np.array([((int(named[f"sed-{name}"][i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (1, 3, 5)])
        for name in ("cool", "hot", "on-cool", "on-hot")
    }
    ends = [OKLAB @ np.cbrt(LMS @ linear[name]) for name in ("cool", "hot")]
    for heat in range(101):
        mixed = ends[0] + (ends[1] - ends[0]) * heat / 100
        paper = luminance(np.linalg.inv(LMS) @ (np.linalg.inv(OKLAB) @ mixed) ** 3)
        ink = luminance(linear["on-hot" if heat >= HOT else "on-cool"])
        assert (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05) >= 4.45, heat

"""Charts in a browser: values by arrow keys and touch, lines switched in the legend, and what is taken away."""

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.grid import Cell, Grid
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import Series
from sedid.report.style import STATIC, css

T_SECS = Scale("T_SEC, at k = 165", 0, 1000)
LINES = Chart(
    "AUC of STAT",
    [
        Series('=real, "held-out"', [165, 330, 660], [0.5, None, 0.75], "one", marked=True),
        Series("members", [165, 330, 660], [0.25, 0.5, 1], "two dash", low=[0.2, 0.4, 0.9], high=[0.3, 0.6, 1]),
    ],
    T_SECS,
    note="AUC",
)
GRID = Grid(
    "AUC", [Cell(k, t - k, t, t / 1000, f"k {k}, T_SEC {t}") for k, t in ((165, 165), (165, 330), (330, 330))], T_SECS
)


BOTH = LINES.html() + GRID.html()


@pytest.fixture(scope="module")
def page(browser) -> Iterator:
    context = browser.new_context(viewport={"width": 360, "height": 800}, has_touch=True, accept_downloads=True)
    visit = context.new_page()
    problems: list[str] = []
    visit.on("pageerror", lambda error: problems.append(str(error)))
    body = of_source(BOTH, "cifar10", "sweep")
    script = (STATIC / "charts.js").read_text(encoding="utf-8")
    visit.set_content(f"<!doctype html><style>{css('tokens', 'charts')}</style><body>{body}<script>{script}</script>")
    yield visit
    context.close()
    assert problems == []


def taken(page, chart: int, kind: str, folder: Path) -> Path:
    """What a chart's menu saves."""
    page.locator(".ch-save summary").nth(chart).click()
    with page.expect_download() as download:
        page.locator(".ch-save").nth(chart).locator(f"[data-save={kind}]").click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def test_arrow_keys_read_values_and_the_legend_switches_lines(page) -> None:
    said = page.locator(".chart [role=status]").first
    page.locator(".ch-svg").first.focus()
    page.keyboard.press("ArrowRight")
    assert said.inner_text().split("\n") == ["T_SEC 165", '=real, "held-out": 0.5', "members: 0.25 (0.2 to 0.3)"]
    page.keyboard.press("ArrowRight")
    assert said.inner_text().split("\n") == ["T_SEC 330", "members: 0.5 (0.4 to 0.6)"]  # the other was not measured
    page.locator(".ch-keys label").nth(1).click()
    assert page.locator(".ch-series.ch-1").is_hidden()
    page.locator(".ch-svg").first.focus()
    page.keyboard.press("End")
    assert said.inner_text().split("\n") == ["T_SEC 660", '=real, "held-out": 0.75']
    page.keyboard.press("Escape")
    assert said.inner_text() == ""
    page.locator(".ch-keys label").nth(1).click()
    assert page.locator(".ch-series.ch-1").is_visible()


def test_a_chart_that_is_drawn_anew_goes_on_being_read(page) -> None:
    page.locator(".ch-svg").first.focus()
    page.keyboard.press("End")
    page.evaluate("html => { document.querySelector('[data-charts]').innerHTML = html; }", BOTH)
    page.wait_for_function("document.activeElement.matches('.ch-svg')")
    assert page.locator(".chart [role=status]").first.inner_text().startswith("T_SEC 660")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".chart [role=status]").first.inner_text().startswith("T_SEC 330")
    page.mouse.click(350, 790)
    page.wait_for_function("document.querySelector('.ch-read').textContent === ''")
    page.evaluate("html => { document.querySelector('[data-charts]').innerHTML = html; }", BOTH)
    assert page.evaluate("document.activeElement === document.body")


def test_a_first_tap_reads_a_cell_and_a_second_one_goes_there(page) -> None:
    page.evaluate(
        "document.addEventListener('click', event => { window.gone = event.target.closest('.sed-go')?.dataset.t; })"
    )
    box = page.locator(".ch-svg").nth(1).bounding_box()
    spot = (box["x"] + 0.25 * box["width"], box["y"] + 14)
    page.touchscreen.tap(*spot)
    assert page.locator(".ch-grid [role=status]").inner_text() == "k 165, T_SEC 330"
    assert page.evaluate("window.gone") is None
    page.touchscreen.tap(*spot)
    assert page.evaluate("window.gone") == "330"
    page.locator(".ch-svg").nth(1).focus()
    for key in ("Home", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert page.locator(".ch-grid [role=status]").inner_text() == "k 330, T_SEC 330"


def test_every_chart_is_taken_away_as_csv_svg_and_png(page, tmp_path: Path) -> None:
    table = taken(page, 0, "csv", tmp_path)
    assert table.name == "cifar10-sweep-auc-of-stat.csv"
    rows = list(csv.reader(StringIO(table.read_text(encoding="utf-8"))))
    assert rows[0] == ["series", "T_SEC", "AUC", "low", "high"]
    held = '\'=real, "held-out"'  # not what a spreadsheet would compute
    assert rows[1:4] == [[held, "165", "0.5", "", ""], [held, "330", "", "", ""], [held, "660", "0.75", "", ""]]
    assert rows[4:] == [["members", "165", "0.25", "0.2", "0.3"], ["members", "330", "0.5", "0.4", "0.6"], ["members", "660", "1", "0.9", "1"]]  # fmt: skip
    for chart in (0, 1):
        drawing = taken(page, chart, "svg", tmp_path).read_text(encoding="utf-8")
        assert "var(" not in drawing
        assert "oklab" not in drawing
        ElementTree.fromstring(drawing)
        with Image.open(taken(page, chart, "png", tmp_path)) as image:
            assert image.width == 2 * 734
            assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 20  # something is drawn
    grid = taken(page, 1, "csv", tmp_path).read_text(encoding="utf-8").splitlines()
    assert grid == ["series,k,T_SEC,value", "AUC,165,165,0.165", "AUC,165,330,0.33", "AUC,330,330,0.33"]

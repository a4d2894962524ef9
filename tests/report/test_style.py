"""One palette, in one file; reports hold the very sheets that the page serves, and these need nothing of Gradio's."""

import re
from pathlib import Path

import pytest

from sedid.paths import ROOT
from sedid.report.page import page
from sedid.report.style import SHARED, STATIC, css, palette
from sedid.ui import launch_options

SHEETS = sorted(ROOT.glob("sedid/**/static/*.css"))


@pytest.mark.parametrize("sheet", [sheet for sheet in SHEETS if sheet.stem != "tokens"], ids=lambda sheet: sheet.stem)
def test_only_the_palette_names_colours(sheet: Path) -> None:
    rules = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r":[^;{}]*(#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl)a?\([^)]*\))[^;{}]*;", rules) == []


def test_every_colour_has_a_value_on_light_and_on_dark() -> None:
    named = set(re.findall(r"--([\w-]+):", css("tokens")))
    light, dark = palette(), palette(dark=True)
    assert named == set(light) == set(dark)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in (*light.values(), *dark.values()))
    assert (light["sed-plane"], dark["sed-plane"]) == ("#ffffff", "#18202d")


@pytest.mark.parametrize("sheet", ["parts", "charts", "results", "document", "case", "sheet"])
def test_a_report_needs_no_variable_of_gradio(sheet: str) -> None:
    inline = {"heat", "share", "chart-height"}  # set by the parts themselves
    assert set(re.findall(r"var\(--([\w-]+)\)", css(sheet))) <= set(palette()) | inline


def test_page_and_report_have_the_same_sheets() -> None:
    served = launch_options()["css_paths"]
    assert served[: len(SHARED)] == [STATIC / f"{name}.css" for name in SHARED]
    assert all(path.read_text(encoding="utf-8") in page("x", "") for path in served[: len(SHARED)])
    documents = {"document", "case", "sheet"}
    assert {path for path in SHEETS if path.stem not in documents} == set(served)

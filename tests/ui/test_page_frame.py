"""The question, the two ways to begin, and the foot."""

from pathlib import Path

import pytest

import sedid
from sedid.ui.server.document import TITLE


@pytest.fixture(scope="module")
def tabs() -> tuple[str, ...]:
    return ("inspect", "gallery", "learn")


def test_a_visitor_begins_with_a_generated_picture_or_with_the_tour(page) -> None:
    assert page.locator("h1").all_inner_texts() == [TITLE]
    page.locator("#sed-try").click()
    page.wait_for_selector(".sed-example[data-name^=generated][aria-pressed=true]")
    page.locator("#sed-tour").click()
    page.wait_for_selector("#learn", state="visible")
    assert "tab=learn" in page.url
    assert page.locator("h1:visible").all_inner_texts() == [TITLE]  # the same question over every tab


def test_the_calls_stand_under_the_image_and_stay_in_view(page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector("#verdicts .sed-card")
    tops = page.evaluate(
        "['#photo', '#strip', '#controls', '#verdicts'].map(one => document.querySelector(one).getBoundingClientRect().top)"
    )
    assert tops == sorted(tops)
    cards = page.locator("#verdicts h3").all_inner_texts()
    assert page.locator("#strip b").all_inner_texts() == cards
    page.locator("#seen").scroll_into_view_if_needed()
    page.locator("#controls").hover()
    page.mouse.wheel(0, 250)
    page.wait_for_function("scrollY > 0")
    assert page.locator("#strip").bounding_box()["y"] >= 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("tab", ["gallery", "learn"])
def test_a_tab_that_does_not_follow_inspect_names_its_detector(page, tab: str) -> None:
    page.get_by_role("tab", name=tab.title(), exact=True).click()
    said = page.get_by_text("Everything on this tab uses the detector").locator("visible=true")
    said.wait_for()
    assert "cifar10 (shipped)" in said.inner_text()


def test_the_foot_says_whose_it_is_and_how_to_cite_it(page) -> None:
    foot = page.locator("#sed-foot")
    assert f"SeDID Explorer {sedid.__version__}" in foot.inner_text()
    assert "MIT" in foot.inner_text()
    foot.locator("summary").click()
    assert "2307.06272" in foot.locator("details p").last.inner_text()


def test_one_version_is_told_everywhere() -> None:
    root = Path(sedid.__file__).parents[1]
    assert f"version: {sedid.__version__}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {sedid.__version__} (" in (root / "CHANGELOG.md").read_text(encoding="utf-8")

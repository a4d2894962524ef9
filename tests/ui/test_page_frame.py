"""The question, the two ways to begin, and the foot."""

import re
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
    page.locator("#t-sec input[type=range]").press("ArrowRight")
    page.wait_for_function("document.querySelector('#sed-said').textContent.startsWith('STAT')")  # a live region
    told = page.locator("[role=status]").all_text_contents()
    assert told
    assert not any("common." in one for one in told)
    cards = page.locator("#verdicts .sed-call").all_inner_texts()
    assert page.locator("#strip b").all_inner_texts() == cards
    page.locator("#seen").scroll_into_view_if_needed()
    page.locator("#controls").hover()
    page.mouse.wheel(0, 250)
    page.wait_for_function("scrollY > 0")
    assert page.locator("#strip").bounding_box()["y"] >= 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_lies_behind_the_page_has_its_colour(page) -> None:
    """Past its end, and where it is shorter than the window: the dark page ended in white."""
    page.emulate_media(color_scheme="light")
    page.goto(page.url.partition("?")[0] + "?__theme=dark")
    page.wait_for_selector("#sed-title", state="attached")
    behind, ground = page.evaluate(
        """() => { const own = document.createElement("i"); own.style.color = "var(--body-background-fill)";
        document.body.append(own); return [getComputedStyle(document.body).backgroundColor, getComputedStyle(own).color] }"""
    )
    assert behind == ground != "rgb(255, 255, 255)"


def test_what_stays_in_view_covers_nothing(page) -> None:
    """The box of k and T_SEC lay over the heading of what is about the file, which could then not be closed."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page.locator("#file-facts button").click()
    page.wait_for_selector("#file-facts table, #file-facts dl")
    covered = """() => {
      const wrong = [];
      for (let y = 0; y < document.body.scrollHeight; y += 90) {
        scrollTo(0, y);
        for (const name of ['#seen img', '#file-facts button', '#calibrated', '#t-sec input']) {
          const one = document.querySelector(name), box = one.getBoundingClientRect(), x = box.x + box.width / 2;
          const at = box.y + box.height / 2, top = at > 84 && at < innerHeight ? document.elementFromPoint(x, at) : one;
          if (!one.contains(top) && !top.contains(one)) wrong.push(`${name} under ${top.outerHTML.slice(0, 60)} at ${y}`);
        }
      }
      return wrong;
    }"""
    assert page.evaluate(covered) == []


def test_back_and_forward_lead_from_tab_to_tab_and_from_step_to_step(page) -> None:
    def at(tab: str, step: str = "") -> None:
        page.wait_for_selector(f"button[role=tab][aria-selected=true][data-tab-id={tab}]")
        page.wait_for_function("step => (new URL(location).searchParams.get('step') ?? '') === step", arg=step)
        if step:
            page.wait_for_selector(f'#learn .learn[data-place="{step}"]')

    page.get_by_role("tab", name="Learn", exact=True).click()
    page.wait_for_selector('#learn .learn[data-place="0"]')
    for step in ("3", "1"):
        page.locator(f'.learn-nav [data-step="{step}"]').click()
        at("learn", step)
    page.get_by_role("tab", name="Inspect", exact=True).click()
    at("inspect")
    page.locator("#t-sec input[type=range]").press("ArrowRight")
    page.wait_for_url(re.compile("t_sec=495"))  # no place of its own
    for move, tab, step in (
        (page.go_back, "learn", "1"),
        (page.go_back, "learn", "3"),
        (page.go_forward, "learn", "1"),
        (page.go_forward, "inspect", ""),
    ):
        move()
        at(tab, step)
    page.wait_for_url(re.compile("t_sec=495"))


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

"""Every tab and every step of the lesson, light and dark, on a desktop and on the narrowest phone, which is also a desktop at
400 %: readable, named for those who cannot see it, no wider than the screen, and gone through by keyboard; and the page does not
jump while it opens."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.browsing import WAIT, served
from helpers.fakes import make_detector
from helpers.keyboard import walk

from sedid import ui
from sedid.ui import TABS, launch_options, opening
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.learn.steps import PLACES
from sedid.ui.screenshots import READY, SETTLED
from sedid.ui.theme import SedidTheme

DESKTOP, TABLET, PHONE = ({"width": width, "height": 800} for width in (1280, 768, 320))
LOOK = "root => axe.run(root || document, { resultTypes: ['violations'] }).then(found => found.violations)"
CUT = """root => {
  const seen = [...(document.querySelector(root || 'body')).querySelectorAll('*')].filter(one => one.checkVisibility());
  const short = seen.filter(one => one.role === 'combobox' && one.value && one.value.length < 20);
  const cut = short.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => `cut off: ${one.value}`);
  const matrix = seen.filter(one => one.matches('.res-confusion')).map(one => one.parentElement);
  cut.push(...matrix.filter(one => one.scrollWidth > one.clientWidth + 1).map(() => 'cut off: a confusion matrix'));
  for (const drawing of seen.filter(one => one.matches('.world-drawing'))) {
    const words = [...drawing.querySelectorAll('text')].map(one => [one.textContent, one.getBoundingClientRect()]);
    words.forEach(([said, one], i) => words.slice(i + 1).forEach(([other, two]) => {
      const apart = one.right <= two.left || two.right <= one.left || one.bottom <= two.top + 4 || two.bottom <= one.top + 4;
      if (!apart) cut.push(`written over each other: ${said}, ${other}`);
    }));
    const glass = drawing.querySelector('.world-lens')?.getBoundingClientRect();
    const point = drawing.querySelector('.world-landed')?.getBoundingClientRect();
    if (glass && point.right > glass.left && point.top < glass.bottom && point.bottom > glass.top)
      cut.push('the glass lies over what it enlarges');
  }
  return cut;
}"""
"""Short choices and tables that do not fit, and words of a drawing over others."""
TOPS = "() => ['photo', 'examples', 'controls', 'verdicts'].map(id => document.getElementById(id).getBoundingClientRect().top)"


@pytest.fixture(scope="module")
def url(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("SEDID_RUNS", str(tmp_path_factory.mktemp("runs")))
        with served(Context(lambda: detector, list_examples(examples))) as address:
            yield address


@pytest.fixture
def opened(browser, url: str):
    """Opens a place of the page by its address; what the console calls an error is one at the end."""
    from axe_playwright_python.base import AXE_SCRIPT

    context = browser.new_context(viewport=DESKTOP, color_scheme="light")
    context.set_default_timeout(WAIT)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def goto(tab: str, step: str = "") -> Any:
        page.goto(f"{url}?tab={tab}&step={step}&__theme=light")
        page.wait_for_selector(f"button[role=tab][aria-selected=true][data-tab-id={tab}]", state="attached")
        if tab == "guide":  # its text comes by itself, with links that are stops, too
            page.wait_for_selector(READY[tab])
        page.wait_for_function(SETTLED)
        page.add_style_tag(content="* { transition: none !important; }")  # what turns dark is so at once
        page.evaluate(AXE_SCRIPT)
        return page

    yield goto
    context.close()
    assert wrong == []


def faults(page: Any, root: str = "") -> dict[str, list[str]]:
    """What is wrong with the page, or with a part of it, for eyes, for who hears it read, and on a phone for fingers and keyboard:
    on a light desktop, and on a dark phone; on a tablet what is cut off; at the end it is as it was."""
    found = {}
    page.set_viewport_size(TABLET)
    page.wait_for_function(SETTLED)
    found["tablet"] = page.evaluate(CUT, root)
    for size, dark in ((PHONE, True), (DESKTOP, False)):
        page.set_viewport_size(size)
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_function(SETTLED)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        wrong = [f"{wide} pixels too wide"] if wide > 0 else []
        wrong += page.evaluate(CUT, root)
        for violation in page.evaluate(LOOK, root):
            wrong += [f"{violation['id']}: {node['html'][:200]}" for node in violation["nodes"]]
        found["phone, dark" if dark else "desktop, light"] = wrong + (walk(page, root) if dark else [])
    return {view: wrong for view, wrong in found.items() if wrong}


@pytest.mark.parametrize("tab", [name for name in TABS if name != "learn"])
def test_every_tab_is_readable_fits_and_is_reached(opened, tab: str) -> None:
    assert faults(opened(tab)) == {}


@pytest.mark.parametrize("places", [PLACES[:6], PLACES[6:]], ids=["the first steps", "the others"])
def test_every_step_is_readable_fits_and_is_reached(opened, places: tuple[str, ...]) -> None:
    page = opened("learn", places[0])
    found = {places[0]: faults(page)}
    for place in places[1:]:
        page.locator(f'.learn-nav [data-step="{place}"]').click()
        page.wait_for_selector(f'#learn .learn[data-place="{place}"]')
        page.wait_for_function(SETTLED)
        found[place] = faults(page, "#learn")
    assert {place: wrong for place, wrong in found.items() if wrong} == {}


def test_no_name_is_styled_twice() -> None:
    """A name that two sheets took for parts of their own once broke the figures of a job letter by letter."""
    served = "".join(path.read_text(encoding="utf-8") for path in launch_options()["css_paths"])
    css = re.sub(r"/\*.*?\*/", "", served, flags=re.DOTALL)
    always = re.sub(r"@[\w-]+[^{;]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", css)  # without media queries
    rules = Counter(selector.strip() for selector in re.findall(r"([^{}]+)\{", always))
    assert [rule for rule, count in rules.items() if count > 1 and rule not in (":root", ".dark")] == []


def test_the_page_fetches_no_font() -> None:
    """Those of Gradio were a fifth of the page's weight, and their cut-down files lacked digits."""
    assert "fonts/" not in SedidTheme()._get_theme_css()


def test_the_page_weighs_no_more_than_it_did(browser, url: str) -> None:
    """The bars of issue 17 are 60 requests and 350 kB: `opening` says how much of both is Gradio alone."""
    found = opening.visit(browser, url)
    assert 0 < found.words <= found.verdict
    assert 0 < found.requests <= 66
    assert 0 < found.bytes < 380_000


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_moves_when_the_verdicts_arrive(
    browser, examples: Path, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(ui, "TABS", ("inspect", "learn"))
    detector = make_detector()
    detector.eps_model.gate.clear()  # type: ignore[attr-defined]
    with served(Context(lambda: detector, list_examples(examples))) as url:
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.set_default_timeout(WAIT)
        try:
            page.goto(url)
            page.wait_for_selector("#stop")  # the network is at work
            page.wait_for_function("document.fonts.status === 'loaded'")
            before = page.evaluate(TOPS)
        finally:
            detector.eps_model.gate.set()  # type: ignore[attr-defined]
        page.wait_for_selector("#verdicts .sed-card")
        assert page.evaluate(TOPS) == pytest.approx(before, abs=20)  # a line: the button for the pair may take two
        page.close()

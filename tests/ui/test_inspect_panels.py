"""Stability, tiles, file facts and case report in the Inspect tab: their events, and visits with a browser."""

import html as escaping
import json
import re
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.browsing import wait_for_t_sec
from helpers.fakes import calling, make_detector, make_image
from PIL import Image

from sedid.data.file_facts import file_facts
from sedid.detector.stability import check, versions
from sedid.detector.tiles import plan, score_patches
from sedid.models.sharing import ROWS_ON_CPU
from sedid.report import evidence
from sedid.report.case import pixel_hash
from sedid.report.pictures import preview
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.inspect import facts_panel, stability_panel, tiles_panel
from sedid.ui.inspect.case_panel import file_name
from sedid.ui.inspect.events import Inspector, Parts, Visit
from sedid.ui.inspect.stability_panel import Checker
from sedid.ui.inspect.tiles_panel import Tiler
from sedid.ui.inspect.view import Shown
from sedid.ui.menu import DEFAULT, Menu
from sedid.ui.server import access

# --- as HTML ---------------------------------------------------------------------------------------------------


def test_every_tile_says_its_score_and_no_two_are_drawn_over_each_other() -> None:
    detector, picture = make_detector(), make_image(5, 80)
    found = score_patches(detector, picture, 165, 330)
    drawn = evidence.patch_part(found, preview(Image.fromarray(picture)))
    labels = [escaping.unescape(label) for label in re.findall(r'data-tile="\d+"[^>]* aria-label="([^"]+)"', drawn)]
    assert len(labels) == len(found.grid)
    for label, judgement in zip(labels, found.judgements, strict=True):
        assert evidence.number(judgement.t_error) in label
        assert "STAT" in label
        assert "NN" in label
    assert drawn.count('tabindex="0"') == 1  # one stop for the keyboard; arrows move on from there
    widths = evidence.drawn(found.grid.columns, 32)
    assert sum(widths.values()) == 80
    assert "not what this model was trained" in drawn
    still = evidence.patch_part(found, "", live=False)
    assert "<button" not in still
    bare = score_patches(make_detector(calibrated=False), picture, 165, 330)
    assert 'value="stat"' not in evidence.patch_part(bare, "")


def test_rows_that_got_another_verdict_are_marked() -> None:
    found = check(make_detector(), make_image(2))
    first = replace(found.judgements[0], stat=calling("real", found.judgements[0].stat))
    other = replace(first, stat=calling("cannot tell", first.stat))
    same = replace(found, judgements=(first,) * len(found.versions))
    moved = replace(found, judgements=(first, other, *same.judgements[2:]))
    assert "sed-moved" not in evidence.stability_part(same)
    drawn = evidence.stability_part(moved)
    assert drawn.count("sed-moved") == 1
    assert f"Only {len(found.versions) - 1} of {len(found.versions)}" in drawn


def test_facts_are_escaped() -> None:
    table = evidence.facts_table(file_facts(b"x", '<img src=x onerror="alert(1)">'))
    assert "<img" not in table
    assert "easy to forge" in table


def test_a_report_has_a_harmless_file_name() -> None:
    assert file_name("../../etc/pass wd.png") == "case-etc-pass-wd.html"
    assert file_name("") == "case-image.html"


# --- the events ------------------------------------------------------------------------------------------------


@pytest.fixture
def inspector() -> Inspector:
    detector = make_detector()
    with gr.Blocks():
        parts = Parts(gr.State(), *(gr.HTML() for _ in range(len(fields(Parts)) - 1)))  # type: ignore[arg-type]
    return Inspector(Context(lambda: detector), parts)


@pytest.fixture
def tiler(inspector: Inspector) -> Tiler:
    with gr.Blocks():
        panel = tiles_panel.Panel(gr.Accordion(), gr.Button(), gr.HTML(), gr.State(), gr.Button())
    return Tiler(inspector, panel)


@pytest.fixture
def checker(inspector: Inspector) -> Checker:
    with gr.Blocks():
        panel = stability_panel.Panel(gr.HTML(), gr.Button(), gr.HTML(), gr.State())
    return Checker(inspector, panel)


def visit(shown: Shown | None, **sent: Any) -> Visit:
    event: Any = SimpleNamespace(_data=sent)
    request: Any = SimpleNamespace(session_hash="me")
    return Visit(DEFAULT, shown, False, True, event, request, lambda *_, **__: None)  # type: ignore[arg-type]


@pytest.fixture
def shown(photo: Path) -> Shown:
    detector = make_detector()
    seen = detector.prepare(Image.open(photo))
    return Shown(seen, ("resized",), 165, 330, file=photo, name="photo.png")


def test_the_tiles_are_those_of_the_file_and_a_click_opens_one(tiler: Tiler, shown: Shown, photo: Path) -> None:
    tiled = tiler.run(visit(shown))[tiler.panel.tiled]
    picture = np.asarray(Image.open(photo))
    grid = plan(80, 80, 32, 3)
    assert tiled.found.grid == grid
    left, top = grid.corners[5]
    updates = tiler.open(visit(shown, tile=5), tiled)
    opened = updates[tiler.inspector.parts.state]
    assert np.array_equal(opened.image, picture[top : top + 32, left : left + 32])
    assert opened.notes == (f"tile 6 of 9, at column {left}, row {top} of the 80x80 picture; not resized",)
    assert (opened.whole, opened.example) == (shown, "")
    assert "data-tile" in updates[tiler.inspector.parts.seen]
    assert tiler.outdate(visit(opened), tiled) == gr.skip()  # the map stays beside its tile
    returned = tiler.back(visit(replace(opened, t_sec=495)))[tiler.inspector.parts.state]
    assert np.array_equal(returned.image, shown.image)
    assert (returned.t_sec, returned.whole) == (495, None)
    again = tiler.run(visit(opened))[tiler.panel.tiled]
    assert again.whole is shown  # also when it is run from a tile


def test_a_map_goes_with_what_it_was_about(tiler: Tiler, shown: Shown) -> None:
    tiled = tiler.run(visit(shown))[tiler.panel.tiled]
    for other in (replace(shown, t_sec=495), replace(shown, file=b"another"), None):
        assert tiler.outdate(visit(other), tiled)[tiler.panel.tiled] is None
    assert tiler.open(visit(replace(shown, t_sec=495), tile=1), tiled) == gr.skip()
    for place in (-1, 9, "x", None):
        assert tiler.open(visit(shown, tile=place), tiled) == gr.skip()
    assert tiler.back(visit(shown)) == gr.skip()


def test_what_cannot_be_cut_is_refused_in_words(tiler: Tiler, shown: Shown, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.fromarray(make_image(0, 20)).save(small)
    with pytest.raises(gr.Error, match="too small"):
        tiler.run(visit(replace(shown, file=small)))
    with pytest.raises(gr.Error, match="no longer here") as caught:
        tiler.run(visit(replace(shown, file=tmp_path / "gone.png")))
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ValueError, match="no longer here"):
        facts_panel.facts_of(replace(shown, file=tmp_path / "gone.png"))


def test_the_facts_say_when_the_browser_wrote_the_picture_anew(tiler: Tiler, shown: Shown) -> None:
    for name, said in (("clipboard.png", True), ("photo.png", False)):
        facts = facts_panel.draw(tiler.inspector, visit(replace(shown, name=name)))
        assert f"<dd>{name}</dd>" in facts
        assert ("the browser wrote it anew" in facts) is said


def test_on_a_public_page_the_tiles_fit_a_visitors_share(
    tiler: Tiler, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large.png"
    Image.fromarray(make_image(0, 640)).save(large)
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    found = tiler.run(visit(replace(shown, file=large)))[tiler.panel.tiled].found
    assert len(found.grid) * 3 <= access.PAGE_EVALUATIONS / 2  # three evaluations a tile at T_SEC 330
    assert found.grid.stride > 32
    assert "One in every" in found.grid.words


def test_stop_ends_the_tiles_and_the_check(tiler: Tiler, checker: Checker, shown: Shown) -> None:
    def stopping(*_: Any, **__: Any) -> None:
        tiler.inspector.context.traces.turns.want("me", None)

    stopped = replace(visit(shown), progress=stopping)  # type: ignore[arg-type]
    network: Any = tiler.inspector.detector().eps_model
    assert tiler.run(stopped) == gr.skip()
    turns = -(-9 // ROWS_ON_CPU)  # of one step of the nine tiles
    assert network.network.calls == 2 * turns  # at its second step it noticed
    assert checker.check(stopped) == gr.skip()
    turns += -(-len(versions(shown.image)) // ROWS_ON_CPU)
    assert network.network.calls == 2 * turns
    assert tiler.panel.tiled in tiler.run(visit(shown))  # and Stop is not remembered


def test_a_check_goes_with_what_it_was_about(checker: Checker, shown: Shown) -> None:
    made = checker.check(visit(shown))[checker.panel.checked]
    assert made[1].versions[0].image is shown.image
    assert checker.outdate(visit(shown), made) == gr.skip()
    for other in (replace(shown, t_sec=495), replace(shown, image=make_image(9)), None):
        assert checker.outdate(visit(other), made) == {checker.panel.checked: None, checker.panel.shown: ""}


# --- the page --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tabs() -> tuple[str, ...]:
    return ("inspect",)


@pytest.fixture(scope="module")
def context(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A page whose menu holds its own detector alone: no other one is opened and asked."""
    place, detector = tmp_path_factory.mktemp("menu"), make_detector()
    return Context(lambda: detector, list_examples(examples), Menu(checkpoints=place / "none", runs=place / "runs"))


def upload(page, photo: Path) -> None:
    wait_for_t_sec(page, 330)
    page.set_input_files("#photo input[type=file]", str(photo))
    page.wait_for_selector("#seen >> text=resized from 80x80")


def unfold(page, name: str) -> None:
    page.locator(f"#{name} > button").click()


def test_stop_is_offered_while_work_goes_on_and_not_when_gradio_hides_how_long_it_took(page) -> None:
    """Gradio sometimes leaves the last progress text on the page and hides what holds it."""
    wait_for_t_sec(page, 330)
    tracker = '<div class="wrap hide" id="tracker"><div class="progress-text">0.1s</div></div>'
    page.evaluate("html => document.querySelector('#walking').insertAdjacentHTML('beforeend', html)", tracker)
    assert not page.locator("#stop").is_visible()
    page.evaluate("document.querySelector('#tracker').classList.remove('hide')")
    assert page.locator("#stop").is_visible()
    page.evaluate("document.querySelector('#tracker').remove()")


def test_tiles_are_read_by_keyboard_opened_and_left_again(page, photo: Path) -> None:
    upload(page, photo)
    unfold(page, "tiles")
    page.locator("#tiles-run").click()
    page.wait_for_selector("#tiled .sed-tile")
    page.mouse.move(0, 0)  # the tiles may come to lie under the pointer, which would then name one
    page.locator("#tiled .sed-tile").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    told = page.locator("#tiled .sed-told")
    assert told.inner_text().startswith("Tile 5 of 9, at column 32, row 32: t-error")
    page.locator("#tiled .sed-tile").nth(2).hover()
    assert told.inner_text().startswith("Tile 3 of 9")
    page.locator("#tiled .sed-tile").nth(4).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#seen >> text=tile 5 of 9")
    page.wait_for_selector("#tiled .sed-tile[data-tile='4'][aria-pressed=true]")
    page.wait_for_selector("#stop", state="hidden")
    page.locator("#tile-back").click()
    page.wait_for_selector("#seen >> text=resized from 80x80")
    page.wait_for_selector("#tile-back", state="hidden")
    assert page.locator("#tiled [aria-pressed=true]").count() == 0
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("(map => map.scrollWidth <= map.clientWidth)(document.querySelector('#tiled'))")
    page.locator("#t-sec input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#tiled .sed-map", state="detached")  # of another T_SEC


def test_facts_follow_the_file_and_stability_is_run_only_when_asked(page, photo: Path, context: Context) -> None:
    upload(page, photo)
    unfold(page, "file-facts")
    page.wait_for_selector(f"#facts-shown >> text={file_facts(photo).sha256}")
    asked = "performance.getEntriesByType('resource').filter(one => one.name.includes('/queue/join')).length"
    assert page.evaluate(asked) == 3  # the page's opening, the upload and the facts: what is folded asks nothing
    unfold(page, "whose")
    own = next(label for label, key in context.menu.choices() if key == DEFAULT)
    page.wait_for_selector(f"#whose-shown tbody th >> text={own}")
    assert page.locator("#whose-shown td").first.inner_text().count("%") == 2
    unfold(page, "resave")
    page.wait_for_selector("#resaved .sed-before")
    assert page.locator("#stable .sed-versions").count() == 0
    page.locator("#stable-check").click()
    page.wait_for_selector("#stable .sed-versions")
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("(part => part.scrollWidth <= part.clientWidth)(document.querySelector('#stable'))")
    example = context.examples[1]
    page.locator(f".sed-example[data-name={example.name}]").click()
    page.wait_for_selector(f"#facts-shown >> text={file_facts(example.path).sha256}")
    page.wait_for_selector("#stable .sed-versions", state="detached")


def test_one_click_saves_a_case_with_what_was_run(page, photo: Path, context: Context) -> None:
    upload(page, photo)
    unfold(page, "resave")
    page.wait_for_selector("#resaved .sed-before")
    page.locator("#stable-check").click()
    page.wait_for_selector("#stable .sed-versions")
    page.set_viewport_size({"width": 390, "height": 900})
    with page.expect_download() as saving:
        page.locator("#case-make").click()
    assert saving.value.suggested_filename == "case-photo.html"
    report = Path(saving.value.path()).read_text(encoding="utf-8")
    told = json.loads(escaping.unescape(re.search(r'<pre id="case-json">(.*?)</pre>', report, re.DOTALL)[1]))  # type: ignore[index]
    seen = context.detectors.get().prepare(Image.open(photo))
    assert told["pixels_sha256"] == pixel_hash(seen)
    assert told["file_sha256"] == file_facts(photo).sha256
    assert "stability" in told
    assert "tiles" not in told
    assert told["t_error"] == context.detectors.get().inspect(seen).judgement.t_error

"""The panel "Re-save this image": what it says as pure functions, its events, and one visit with a browser."""

import base64
import re
from dataclasses import fields, replace
from io import BytesIO
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.browsing import score, wait_for_t_sec
from helpers.fakes import calling, make_detector, make_image
from PIL import Image

from sedid.data.perturb import FAMILIES, NONE, perturb, perturbation
from sedid.detector.detector import Call, Detector
from sedid.progress import finish
from sedid.report.pictures import number
from sedid.ui.context import Context
from sedid.ui.inspect.events import Inspector, Parts, Visit
from sedid.ui.inspect.resave_panel import NOTHING, Panel, Resaver, compare, named, outcome, reach, usual
from sedid.ui.inspect.view import Shown
from sedid.ui.menu import DEFAULT


def judged(detector: Detector, image: np.ndarray, t_sec: int = 330):
    return detector.judge(finish(detector.trace(image, 165)), t_sec)


def compared(detector: Detector, one, t_sec: int = 330) -> str:
    image = make_image()
    traces = [finish(detector.trace(version, 165)) for version in (image, perturb(image, one))]
    return compare(detector, *traces, t_sec, one)


def decode(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))


# --- in words --------------------------------------------------------------------------------------------------


def test_both_pictures_and_both_t_errors_are_shown() -> None:
    detector, one = make_detector(), perturbation("jpeg", 30)
    drawn = compared(detector, one)
    pictures = [decode(uri) for uri in re.findall(r'src="(data:[^"]+)"', drawn)]
    assert np.array_equal(pictures[0], make_image())
    assert np.array_equal(pictures[1], perturb(make_image(), one))
    assert len(pictures) == 3
    errors = [judged(detector, version).t_error for version in (make_image(), pictures[1])]
    moved = f"{errors[1] / errors[0] - 1:+.0%}".replace("-", "\N{MINUS SIGN}")
    assert f"<td>{number(errors[0])}</td><td>{number(errors[1])} <span>({moved})" in drawn
    assert FAMILIES["jpeg"].about in drawn


def test_the_outcome_names_the_verdicts_that_changed() -> None:
    detector = make_detector()
    there = judged(detector, make_image())
    assert there.stat is not None
    assert there.nn is not None
    real = replace(there, stat=calling("real", there.stat), nn=calling("real", there.nn))
    unsure = replace(real, nn=calling("cannot tell", there.nn))
    none = replace(real, stat=None, nn=None)
    assert outcome(real, real) == "<b>Both verdicts hold.</b>"
    assert outcome(real, unsure) == "<b>The verdict changes</b>: NN from “Looks real” to “Cannot tell”. STAT stays."
    lost = replace(unsure, stat=calling(Call.OUTSIDE, there.stat))
    both = outcome(real, lost)
    assert both.startswith("<b>Both verdicts change</b>: STAT from “Looks real” to “Outside the calibrated range”; NN")
    assert outcome(replace(real, nn=None), replace(real, nn=None)) == "<b>The verdict holds.</b>"
    assert "only the t-errors" in outcome(none, none)
    assert outcome(lost, lost) == (
        "<b>The verdict holds.</b> STAT: no verdict to hold, outside the calibrated range as it is and changed."
    )


def test_without_a_calibration_the_t_errors_still_stand_there() -> None:
    drawn = compared(make_detector(calibrated=False), perturbation("blur", 1))
    assert drawn.count("<tr>") == 2
    assert "k = 165, T_SEC = 330" in drawn
    assert "Nothing is calibrated at this k and T_SEC" in drawn
    alone = compared(make_detector(), perturbation("blur", 1), 660)
    assert "<th>NN</th>" in alone
    assert "<th>STAT</th>" not in alone
    assert "At k = 165, T_SEC = 660, NN at its own T_SEC 330." in alone


def test_a_menu_entry_has_its_slider_and_its_usual_strength() -> None:
    for name, family in FAMILIES.items():
        slider, strength = reach(name), usual(name)
        assert strength is not None
        assert family.low <= strength <= family.high
        assert slider["visible"] == (name != "flip")
        assert named(name, strength).strength == strength
    assert reach("none") == {"visible": False}
    assert named("flip", 75).strength == 1  # the slider is not there and keeps its last value
    assert named("none", "anything") == NONE


@pytest.mark.parametrize(
    ("name", "strength", "said"),
    [("jpeg", 500, "from 1 to 100"), ("jpeg", None, "a number"), ("<b>", 1, "unknown name"), ("blur", "x", "a number")],
)
def test_what_does_not_exist_is_refused_in_words(name: Any, strength: Any, said: str) -> None:
    with pytest.raises(gr.Error, match=said) as caught:
        named(name, strength)
    assert "<b>" not in str(caught.value)


# --- the events ------------------------------------------------------------------------------------------------


class Request:
    """What a handler reads of a request."""

    session_hash = "me"


@pytest.fixture
def resaver() -> Resaver:
    detector = make_detector()
    with gr.Blocks():
        parts = Parts(gr.State(), *(gr.HTML() for _ in range(len(fields(Parts)) - 1)))  # type: ignore[arg-type]
        panel = Panel(gr.Accordion(), gr.Dropdown(), gr.Slider(), gr.HTML(), gr.Button())
    return Resaver(Inspector(Context(lambda: detector), parts), panel)


def visit(shown: Shown | None) -> Visit:
    event = gr.EventData(None, None)
    return Visit(DEFAULT, shown, False, True, event, Request(), lambda *_, **__: None)  # type: ignore[arg-type]


def evaluations(resaver: Resaver) -> int:
    return resaver.inspector.detector().eps_model.network.calls  # type: ignore[attr-defined]


SHOWN = Shown(make_image(), ("a note",), 165, 330, "real-01")


def test_one_trajectory_answers_and_is_kept(resaver: Resaver) -> None:
    resaver.inspector.context.traces.walk(resaver.inspector.detector(), SHOWN.image, 165)  # the inspection itself
    before = evaluations(resaver)
    made = resaver.show(visit(SHOWN), "jpeg", 50)
    assert evaluations(resaver) == before + 7
    resaver.show(visit(replace(SHOWN, t_sec=660)), "jpeg", 50)
    resaver.show(visit(SHOWN), "none", None)
    assert evaluations(resaver) == before + 7
    assert made[resaver.panel.take].interactive
    assert "sed-pair" in made[resaver.panel.shown]


def test_an_empty_page_costs_nothing(resaver: Resaver) -> None:
    assert resaver.show(visit(None), "jpeg", 50) == gr.skip()
    assert evaluations(resaver) == 0


def test_the_last_strength_asked_for_wins(resaver: Resaver) -> None:
    resaver.wish("jpeg", 50, Request())  # type: ignore[arg-type]
    assert resaver.show(visit(SHOWN), "jpeg", 75) == gr.skip()  # outdated before it began
    assert evaluations(resaver) == 1  # it noticed at its first step
    assert resaver.panel.shown in resaver.show(visit(SHOWN), "jpeg", 50)
    resaver.choose("blur", Request())  # type: ignore[arg-type]
    assert resaver.panel.shown in resaver.show(visit(SHOWN), "blur", usual("blur"))
    resaver.fold(Request())  # type: ignore[arg-type]
    assert resaver.show(visit(SHOWN), "noise", 5) == gr.skip()


def test_a_walk_ends_when_the_tab_moves_to_another_k_but_not_after_stop(resaver: Resaver) -> None:
    turns = resaver.inspector.context.traces.turns
    turns.want("me", 165)

    def moving(done: tuple[int, int], **_: Any) -> None:
        if done[0] == 3:
            turns.want("me", 100)

    assert resaver.show(replace(visit(SHOWN), progress=moving), "jpeg", 50) == gr.skip()  # type: ignore[arg-type]
    assert evaluations(resaver) == 4
    turns.want("me", None)  # Stop was pressed some time ago
    assert resaver.panel.shown in resaver.show(visit(SHOWN), "jpeg", 50)


def test_taking_a_version_over_costs_no_evaluation_and_says_so(resaver: Resaver) -> None:
    resaver.show(visit(SHOWN), "noise", 5)
    before = evaluations(resaver)
    updates = resaver.take(visit(SHOWN), "noise", 5)
    assert evaluations(resaver) == before
    shown = updates[resaver.inspector.parts.state]
    assert np.array_equal(shown.image, perturb(SHOWN.image, perturbation("noise", 5)))
    assert shown.notes == ("a note", "re-saved here: noise, sigma 5 of 255")
    assert (shown.k, shown.t_sec, shown.example) == (165, 330, "")
    assert updates[resaver.panel.kind] == "none"
    assert updates[resaver.panel.shown] == NOTHING
    assert resaver.take(visit(SHOWN), "none", None) == gr.skip()


# --- the page --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tabs() -> tuple[str, ...]:
    return ("inspect",)


def unfold(page) -> None:
    wait_for_t_sec(page, 330)
    button = page.locator("#resave > button")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#resaved .sed-before")


def changed_to(page, label: str) -> None:
    page.wait_for_selector(f"#resaved figcaption >> text={label}")


def choose(page, title: str) -> None:
    page.locator("#resave-kind input").click()
    page.get_by_role("option", name=title).click()


def test_a_visitor_re_saves_by_keyboard_and_the_inspection_stays(page) -> None:
    wait_for_t_sec(page, 330)
    assert not page.locator("#resaved").is_visible()
    before, state = score(page), page.url
    unfold(page)
    changed_to(page, "JPEG, quality 75")
    slider = page.locator("#resave-strength input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    changed_to(page, "JPEG, quality 74")
    page.locator("#resave-strength input[type=number]").fill("30")
    page.keyboard.press("Tab")
    changed_to(page, "JPEG, quality 30")
    assert (score(page), page.url) == (before, state)
    assert re.search("hold|change", page.locator(".sed-outcome").inner_text())
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("(panel => panel.scrollWidth <= panel.clientWidth)(document.querySelector('#resaved'))")


def test_the_panel_follows_the_tab_and_its_menu(page) -> None:
    unfold(page)
    choose(page, "Mirror")
    changed_to(page, "mirrored left to right")
    assert not page.locator("#resave-strength").is_visible()
    page.locator("#t-sec input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#resaved >> text=T_SEC = 495")
    shown = page.locator("#resaved img").first.get_attribute("src")
    page.locator(".sed-example[data-name=generated-01]").click()
    page.wait_for_function("src => document.querySelector('#resaved img').src !== src", arg=shown)
    choose(page, "Gaussian blur")
    changed_to(page, "blurred, sigma 1 px")
    page.wait_for_selector("#resave-strength input[type=range][max='4']")
    choose(page, "Nothing")
    page.wait_for_selector("#resaved >> text=Choose above")
    assert page.locator("#resave-take").is_disabled()


def test_the_other_version_is_taken_over(page) -> None:
    unfold(page)
    before = score(page)
    page.locator("#resave-take").click()
    page.wait_for_selector("#seen >> text=re-saved here: JPEG, quality 75")
    page.wait_for_selector("#resaved >> text=Choose above")
    assert score(page) != before
    assert page.locator(".sed-example[aria-pressed=true]").count() == 0
    assert "example=" not in page.url


def test_the_last_strength_wins_while_the_network_is_busy(page, context: Context) -> None:
    unfold(page)
    model = context.detectors.get().eps_model.network
    number = page.locator("#resave-strength input[type=number]")
    model.gate.clear()  # type: ignore[attr-defined]
    try:
        for quality in ("20", "15", "10"):
            number.fill(quality)
            page.keyboard.press("Tab")
    finally:
        model.gate.set()  # type: ignore[attr-defined]
    changed_to(page, "JPEG, quality 10")

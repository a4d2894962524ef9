"""Events of the Inspect tab as functions: which detector they use, and what happens when two run at once. No browser."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fakes import CountingModel, make_detector, make_image
from PIL import Image

from sedid import ui
from sedid.report.pictures import data_uri

ui.quiet()
# gradio comes after that, which keeps it from calling home
import gradio as gr  # noqa: E402  # isort: skip

from sedid.ui.context import Context  # noqa: E402
from sedid.ui.examples import list_examples  # noqa: E402
from sedid.ui.inspect import stability_panel, tiles_panel  # noqa: E402
from sedid.ui.inspect.events import Inspector, Parts, Visit  # noqa: E402
from sedid.ui.inspect.view import Shown  # noqa: E402
from sedid.ui.menu import Menu  # noqa: E402

SHOWN = Shown(make_image(1), (), 165, 330)


def an_inspector(examples: Path) -> tuple[Inspector, CountingModel]:
    """Its parts are their names."""
    detector = make_detector()
    parts: Any = Parts(*(field.name for field in fields(Parts)))
    assert isinstance(detector.eps_model, CountingModel)
    return Inspector(Context(lambda: detector, list_examples(examples)), parts), detector.eps_model


def visit(shown: Shown | None = SHOWN, **sent: Any) -> Visit:
    """An event of one page."""
    request: Any = gr.Request(session_hash="me", query_params={})
    event: Any = gr.EventData(None, sent)
    return Visit("default", shown, False, False, event, request, lambda *_, **__: None)  # type: ignore[arg-type]


def payload(seed: int) -> dict[str, Any]:
    """A picture that was pasted."""
    return {"url": data_uri(make_image(seed, 64)), "orig_name": f"{seed}.png"}


EVENTS: dict[str, Callable[[Inspector], Any]] = {
    "load": lambda on: on.load(visit(None)),
    "take": lambda on: on.take(visit(), payload(3)),
    "take the first": lambda on: on.take(visit(None), payload(3)),
    "pick": lambda on: on.pick(visit(example="real-02")),
    "set_k": lambda on: on.set_k(visit(), 110),
    "go_there": lambda on: on.go_there(visit(k=330, t_sec=660)),
    "go_calibrated": lambda on: on.go_calibrated(visit()),
    "set_t_sec": lambda on: on.set_t_sec(visit(), 495),
    "switch": lambda on: on.switch(visit()),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_opens_its_detector_once(name: str, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a second look it may have been calibrated anew, and one's trace would meet the judge of another."""
    on, _ = an_inspector(examples)
    asked: list[str] = []
    get = on.context.detectors.get
    monkeypatch.setattr(on.context.detectors, "get", lambda key="default": asked.append(key) or get(key))
    updates = EVENTS[name](on)
    assert "verdicts" in updates
    assert asked == ["default"]


def test_of_two_pictures_at_once_the_later_one_is_shown(examples: Path) -> None:
    on, model = an_inspector(examples)
    first, second = payload(3), payload(4)
    model.gate.clear()
    with ThreadPoolExecutor(2) as events:
        early = events.submit(on.take, visit(), first)
        while not on.context.traces.turns._wanted.get("me"):
            pass
        late = events.submit(on.take, visit(), second)
        while on.context.traces.turns.wants("me", 165, seen(on, 3)):
            pass
        model.gate.set()
        assert set(early.result()) == {"photo"}  # the one that stays shown until the later one is there
        assert late.result()["state"].name == "4.png"


def wished(on: Inspector, event: Visit) -> Any:
    """The slider of k is let go: two events, of which the first says nothing of the image."""
    on.wish(gr.EventData(None, {"k": 165}), event.request)  # type: ignore[arg-type]
    return on.set_k(event, 165)


GOING: dict[str, Callable[[Inspector, Visit], Any]] = {
    "calibrated": lambda on, event: on.go_calibrated(event),
    "card": lambda on, event: on.go_there(replace(event, event=gr.EventData(None, {"k": 165, "t_sec": 495}))),  # type: ignore[arg-type]
    "slider": wished,
}


@pytest.mark.parametrize("first", [True, False], ids=["first picture", "another one"])
@pytest.mark.parametrize("going", GOING)
def test_a_picture_on_its_way_goes_to_the_pair_that_was_asked_for_meanwhile(
    going: str, first: bool, examples: Path
) -> None:
    """It was dropped, and the one before it went there."""
    on, model = an_inspector(examples)
    before = None if first else replace(SHOWN, k=110, t_sec=220)
    on.context.traces.turns.want("me", 110)
    model.gate.clear()
    with ThreadPoolExecutor(2) as events:
        sent = Shown(*(make_image(5), (), 110, 220), name="5.png")
        early = events.submit(on.take, visit(before or sent), payload(3))
        while on.context.traces.turns.coming("me") is None:
            pass
        late = events.submit(GOING[going], on, visit(before))
        while on.context.traces.turns.wants("me", 110):
            pass
        model.gate.set()
        assert "photo" not in early.result()  # the picture that was sent stays in its place
        assert (late.result()["state"].name, late.result()["state"].k) == ("3.png", 165)
    assert on.context.traces.turns.coming("me") is None


def test_a_picture_that_no_browser_shows_has_its_preview_wherever_it_goes(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent to another pair while it walked, it kept the browser's sign for a broken picture."""
    on, model = an_inspector(examples)
    monkeypatch.setattr("sedid.ui.upload.get_upload_folder", lambda: str(tmp_path))
    tiff = tmp_path / "3.tif"
    Image.fromarray(make_image(3, 64)).save(tiff)
    model.gate.clear()
    with ThreadPoolExecutor(2) as events:
        early = events.submit(
            on.take, visit(replace(SHOWN, k=110, t_sec=220)), {"path": str(tiff), "orig_name": "3.tif"}
        )
        while on.context.traces.turns.coming("me") is None:
            pass
        late = events.submit(on.go_calibrated, visit(SHOWN))
        while on.context.traces.turns.wants("me", 110):
            pass
        model.gate.set()
        assert list(early.result()) == ["photo"]
        assert early.result()["photo"].shape == (64, 64, 3)
        arrived = late.result()["state"]
    # and another detector reads the file, not the preview
    assert on.seen_by(replace(on.detector(), center_crop=0.5), arrived, None).notes[-1].startswith("cut from 64x64")
    tiff.unlink()
    with pytest.raises(ValueError, match="no longer here"):
        on.seen_by(replace(on.detector(), center_crop=0.5), arrived, None)


def test_what_a_panel_is_asked_of_a_picture_on_its_way_does_not_end_its_walk(examples: Path) -> None:
    """The upload was dropped, and the picture before it was judged."""
    on, model = an_inspector(examples)
    panel: Any = stability_panel.Panel(*(field.name for field in fields(stability_panel.Panel)))
    tiles: Any = tiles_panel.Panel(*(field.name for field in fields(tiles_panel.Panel)))
    model.gate.clear()
    with ThreadPoolExecutor(3) as events:
        walking = events.submit(on.take, visit(), payload(3))
        while on.context.traces.turns.coming("me") is None:
            pass
        checked = events.submit(stability_panel.Checker(on, panel).check, visit())
        tiled = events.submit(tiles_panel.Tiler(on, tiles).run, visit())
        model.gate.set()
        shown = walking.result()["state"]
        assert shown.name == "3.png"
        assert checked.result()["checked"][0] == stability_panel.subject(visit(shown))
        assert tiled.result()["tiled"].subject == tiles_panel.subject(visit(shown))
        assert tiled.result()["tiled"].whole.name == "3.png"


@pytest.mark.parametrize("size", [32, 16])
@pytest.mark.parametrize("then", ["", "default"], ids=["another detector", "and back"])
def test_a_picture_on_its_way_is_walked_by_the_detector_that_was_chosen_meanwhile(
    size: int, then: str, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was dropped, and the one before it was shown with the other detector."""
    on, model = an_inspector(examples)
    other = replace(on.detector(), size=size, name="other", chosen=(165, 495))
    on.context.menu = Menu("fake", tmp_path / "checkpoints", tmp_path / "runs")
    get = on.context.detectors.get
    monkeypatch.setattr(on.context.detectors, "get", lambda key="default": other if key == "other" else get(key))
    turns = on.context.traces.turns
    model.gate.clear()
    with ThreadPoolExecutor(3) as events:
        early = events.submit(on.take, visit(), payload(3))
        while turns.coming("me") is None:
            pass
        assert on.choose(visit(), "other").value == "other"  # opening it ends nothing
        chosen = [events.submit(on.follow, visit(), "other", None)]
        while turns.about("me").source != "other":
            pass
        if then:
            chosen.append(events.submit(on.follow, visit(), then, None))
            while turns.about("me").source != then:
                pass
        model.gate.set()
        found = chosen[-1].result()
        assert then or early.result() == gr.skip()  # the picture that was sent stays in its place
        assert not then or chosen[0].result() == {"menu": then}
    by, pair, side = ("default", (165, 330), 32) if then else ("other", (165, 495), size)
    assert (found["source"], found["menu"]) == (by, by)
    assert (found["state"].name, found["state"].k, found["state"].t_sec) == ("3.png", *pair)
    assert found["state"].image.shape == (side, side, 3)
    assert turns.coming("me") is None


def test_a_picture_sent_while_another_detector_walks_is_taken_by_that_one(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It won with the detector that the visitor had left, and the image input went back to the picture before."""
    on, model = an_inspector(examples)
    other = replace(on.detector(), size=16, name="other", chosen=(165, 495))
    on.context.menu = Menu("fake", tmp_path / "checkpoints", tmp_path / "runs")
    get = on.context.detectors.get
    monkeypatch.setattr(on.context.detectors, "get", lambda key="default": other if key == "other" else get(key))
    before, turns = replace(SHOWN, k=110, t_sec=220), on.context.traces.turns
    model.gate.clear()
    with ThreadPoolExecutor(2) as events:
        chosen = events.submit(on.follow, visit(before), "other", {"url": data_uri(before.image)})
        while turns.about("me").source != "other":
            pass
        sent = events.submit(on.take, visit(before), payload(3))
        while turns.coming("me")[1].name != "3.png":
            pass
        model.gate.set()
        assert chosen.result() == {"menu": "other"}
    found = sent.result()
    assert (found["source"], found["menu"], found["state"].t_sec) == ("other", "other", 495)
    assert (found["state"].name, len(found["state"].image)) == ("3.png", 16)


@pytest.mark.parametrize(("name", "noted"), [("clipboard.png", True), ("image.png", True), ("cat.png", False)])
def test_a_picture_that_the_browser_wrote_anew_says_so(name: str, noted: bool, examples: Path) -> None:
    """What its file said of itself is that of the browser's; Gradio gives a picture of the camera by its change alone."""
    on, _ = an_inspector(examples)
    sent = payload(3) | {"orig_name": name, "size": 900}
    shown = (on.photograph if name == "image.png" else on.take)(visit(), sent)["state"]
    again = on.seen_by(replace(on.detector(), size=16), shown, None)
    for one in (shown, again):
        assert any("the browser wrote it anew" in note for note in one.notes) is noted


def seen(on: Inspector, seed: int) -> np.ndarray:
    """A picture as the detector sees it."""
    return on.detector().prepare(Image.fromarray(make_image(seed, 64)))


def test_a_walk_finished_too_late_is_not_shown(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on, _ = an_inspector(examples)
    render = Inspector.render

    def slow(self: Inspector, *arguments: Any) -> Any:
        found = render(self, *arguments)
        self.context.traces.turns.want("me", 165, make_image(9))  # another event, meanwhile
        return found

    monkeypatch.setattr(Inspector, "render", slow)
    updates = on.go_there(visit(replace(SHOWN), k=165, t_sec=495))
    assert not isinstance(updates, dict) or "verdicts" not in updates

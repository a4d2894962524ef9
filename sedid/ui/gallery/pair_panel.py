"""Two images side by side: the third part of the Gallery tab. Layout, wiring and what the events do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from sedid.detector.detector import Detector, as_seen
from sedid.report.pictures import enlarge
from sedid.ui.context import START, Context
from sedid.ui.examples import Example
from sedid.ui.gallery.pair import NAMES, Pair, Side, comparison, strip, waiting
from sedid.ui.inspect.events import K_RANGE, NO_DETECTOR, asked, k_range, whole
from sedid.ui.inspect.view import snap
from sedid.ui.kit import html
from sedid.ui.upload import read_upload, refusal

SIDES = ("a", "b")
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Parts:
    """The components that events read or change."""

    pair: gr.State
    photos: dict[str, gr.Image]
    strips: dict[str, gr.HTML]
    k: gr.Slider
    t_sec: gr.Slider
    drawn: gr.HTML

    def all(self) -> list[Any]:
        """Every part, as the outputs of an event."""
        return [self.pair, *self.photos.values(), *self.strips.values(), self.k, self.t_sec, self.drawn]


def build(context: Context, tab: gr.Tab) -> Callable[[Any, gr.State], None]:
    """Lay out the part and wire it. Call inside its tab.

    Returns:
        What lets another part send a picture: call it with the event and the state that then holds (side, pixels, name).
    """
    photos, strips = {}, {}
    with gr.Row():
        for side, name in zip(SIDES, NAMES, strict=True):
            with gr.Column(min_width=150):
                photos[side] = gr.Image(
                    type="filepath",
                    format="png",
                    label=f"Image {name}",
                    sources=["upload", "clipboard"],
                    height=170,
                    elem_id=f"bench-{side}",
                    alt_text=f"Image {name} of the comparison",
                    buttons=[],
                )
                strips[side] = html("", f"bench-{side}-examples", "gallery")
    with gr.Row():
        k = gr.Slider(*K_RANGE, START[0], step=5, label="k of both", buttons=[], elem_id="bench-k", min_width=220)
        t_sec = gr.Slider(
            START[0],
            990,
            START[1],
            step=START[0],
            label="T_SEC of both",
            buttons=[],
            elem_id="bench-t-sec",
            min_width=220,
        )
    drawn = html(waiting(Pair()), "bench-drawn", "gallery")
    parts = Parts(gr.State(Pair()), photos, strips, k, t_sec, drawn)

    on, view = Bench(context, parts), [parts.pair, k, t_sec]
    heavy: dict[str, Any] = {
        "outputs": parts.all(),
        "show_progress_on": drawn,
        "api_visibility": "private",
        "trigger_mode": "always_last",
        "concurrency_id": "pair",  # each changes the pair that the one before it left
        "concurrency_limit": 1,
    }
    tab.select(on.enter, view, **heavy)
    for side in SIDES:
        photos[side].upload(on.taking(side), [photos[side], *view], preprocess=False, **heavy).failure(
            on.restore, parts.pair, list(photos.values()), show_progress="hidden", api_visibility="private"
        )
        photos[side].clear(on.clearing(side), view, **heavy)
        strips[side].select(on.picking(side), view, **heavy)
    k.input(on.draw, view, **heavy)
    t_sec.input(on.move, view, **heavy)
    drawn.select(on.go, view, **heavy)

    def receive(event: Any, chosen: gr.State) -> None:
        event.then(on.receive, [chosen, *view], **heavy)

    return receive


@dataclass(frozen=True)
class Bench:
    """What the events do. The detector is the app's own; trajectories come from the shared cache."""

    context: Context
    parts: Parts

    def detector(self) -> Detector:
        """The detector, or a refusal the visitor reads."""
        try:
            return self.context.detectors.get()
        except (OSError, ValueError) as error:
            raise refusal(ValueError(NO_DETECTOR)) from error

    def draw(self, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """The comparison at the nearest (k, T_SEC) there is, or what is still missing."""
        detector = self.detector()
        low, high = k_range(detector)
        k = min(max(whole(k, START[0]), low), high)
        t_sec = snap(detector, k, whole(t_sec, START[1]))
        sides = [side for side in (pair.a, pair.b) if side is not None]
        try:
            traces = (
                [self.context.traces.walk(detector, side.image, k) for side in sides]
                if len(sides) == len(SIDES)
                else []
            )
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        ends = gr.Slider(minimum=k, maximum=detector.max_t_sec(k), step=k, value=t_sec)
        shown = comparison(detector, sides, traces, t_sec) if traces else waiting(pair)
        return {self.parts.pair: pair, self.parts.t_sec: ends, self.parts.drawn: shown}

    def put(self, side: str, image: Side | None, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """Another image on one side."""
        pair = pair.put(side, image)
        return self.draw(pair, k, t_sec) | {self.parts.strips[side]: self.strip(side, image)}

    def strip(self, side: str, image: Side | None) -> str:
        """The examples of one side."""
        pictures = [self.example(example).image for example in self.context.examples]
        return strip(self.context.examples, pictures, side, image)

    def example(self, example: Example) -> Side:
        """An example as a side."""
        image, notes = as_seen(self.detector(), example.path)
        return Side(image, example.name.replace("-", " "), notes, example.name)

    def enter(self, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """The part is opened; the first time with one real and one generated example at the calibrated pair."""
        if pair.a is not None or pair.b is not None:
            return gr.skip()
        detector = self.detector()
        for side, origin in zip(SIDES, ("real", "generated"), strict=True):
            first = next((example for example in self.context.examples if example.origin == origin), None)
            pair = pair.put(side, self.example(first) if first else None)
        k, t_sec = detector.uniform
        low, high = k_range(detector)
        return (
            self.draw(pair, k, t_sec)
            | {self.parts.k: gr.Slider(minimum=low, maximum=high, value=k)}
            | {self.parts.strips[side]: self.strip(side, getattr(pair, side)) for side in SIDES}
            | {self.parts.photos[side]: self.face(getattr(pair, side)) for side in SIDES}
        )

    def face(self, side: Side | None) -> np.ndarray | None:
        """What the image input shows of a side."""
        return enlarge(side.image) if side else None

    def taking(self, side: str) -> Callable[..., Updates]:
        """The handler of an upload."""

        def take(payload: dict[str, Any] | None, pair: Pair, k: Any, t_sec: Any) -> Updates:
            try:
                upload = read_upload(self.detector(), payload)
            except (OSError, ValueError) as error:
                raise refusal(error) from error
            name = str((payload or {}).get("orig_name") or "upload")
            updates = self.put(side, Side(upload.seen, name, upload.notes), pair, k, t_sec)
            return updates if upload.preview is None else updates | {self.parts.photos[side]: upload.preview}

        return take

    def clearing(self, side: str) -> Callable[..., Updates]:
        """The handler of an image taken away."""
        return lambda pair, k, t_sec: self.put(side, None, pair, k, t_sec)

    def picking(self, side: str) -> Callable[..., Updates]:
        """The handler of a click on an example."""

        def pick(event: gr.EventData, pair: Pair, k: Any, t_sec: Any) -> Updates:
            name = asked(event, "example")
            example = next((example for example in self.context.examples if example.name == name), None)
            if example is None:
                return gr.skip()
            image = self.example(example)
            return self.put(side, image, pair, k, t_sec) | {self.parts.photos[side]: self.face(image)}

        return pick

    def receive(self, chosen: tuple[str, np.ndarray, str] | None, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """A picture of the reference set was sent here."""
        if chosen is None:
            return gr.skip()
        first = {} if pair.a or pair.b else self.enter(pair, k, t_sec)
        if first:
            pair, (k, t_sec) = first[self.parts.pair], self.detector().uniform
        side, pixels, name = chosen
        image = Side(pixels, name)
        return first | self.put(side, image, pair, k, t_sec) | {self.parts.photos[side]: self.face(image)}

    def restore(self, pair: Pair) -> list[Any]:
        """What the image inputs show after a refusal: the images still compared."""
        return [self.face(pair.a), self.face(pair.b)]

    def move(self, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """T_SEC was changed: a slider being dragged is not set back."""
        updates = self.draw(pair, k, t_sec)
        if updates[self.parts.t_sec].value == t_sec:
            del updates[self.parts.t_sec]
        return updates

    def go(self, event: gr.EventData, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """A click on the chart named a T_SEC."""
        return self.draw(pair, k, asked(event, "t_sec"))

"""Two images side by side: the third part of the Gallery tab. Layout, wiring and what the events do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from sedid.detector.detector import Detector, as_seen
from sedid.report.pictures import enlarge
from sedid.ui.context import START, Context
from sedid.ui.examples import Example
from sedid.ui.frame import Head
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


def build(context: Context, head: Head, tab: gr.Tab, part: gr.Tab) -> Callable[[Any, gr.State], None]:
    """Lay out the part and wire it. Call inside its tab.

    Args:
        tab: the Gallery tab.
        part: its third part.

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

    on, view = Bench(context, parts), [head.source, parts.pair, k, t_sec]
    uploads = [photos[side] for side in SIDES]
    heavy: dict[str, Any] = {
        "outputs": parts.all(),
        "show_progress_on": drawn,
        "api_visibility": "private",
        "trigger_mode": "always_last",
        "concurrency_id": "pair",  # each changes the pair that the one before it left
        "concurrency_limit": 1,
    }
    part.select(on.enter, view, **heavy)
    tab.select(on.follow, [*view, *uploads], preprocess=False, **heavy)
    head.follow("gallery", on.follow, [*view, *uploads], preprocess=False, **heavy)
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
    """What the events do; `source` is the key of the detector in use. Trajectories come from the shared cache."""

    context: Context
    parts: Parts

    def detector(self, source: str) -> Detector:
        """The detector, or a refusal the visitor reads."""
        try:
            return self.context.detectors.get(source)
        except (OSError, ValueError) as error:
            raise refusal(ValueError(NO_DETECTOR)) from error

    def draw(self, source: str, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """The comparison at the nearest (k, T_SEC) there is, or what is still missing."""
        detector, pair = self.detector(source), replace(pair, source=source)
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

    def put(self, source: str, side: str, image: Side | None, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """Another image on one side."""
        pair = pair.put(side, image)
        return self.draw(source, pair, k, t_sec) | {self.parts.strips[side]: self.strip(source, side, image)}

    def strip(self, source: str, side: str, image: Side | None) -> str:
        """The examples of one side."""
        examples = self.context.examples_of(source)
        return strip(examples, [self.example(source, example).image for example in examples], side, image)

    def example(self, source: str, example: Example) -> Side:
        """An example as a side."""
        image, notes = as_seen(self.detector(source), example.path)
        return Side(image, example.name.replace("-", " "), notes, example.name)

    def enter(self, source: str, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """The part is opened; the first time with one real and one generated example at the calibrated pair."""
        return gr.skip() if pair.a is not None or pair.b is not None else self.whole(source, self.first(source, pair))

    def first(self, source: str, pair: Pair) -> Pair:
        """The pair with the first real and the first generated example."""
        for side, origin in zip(SIDES, ("real", "generated"), strict=True):
            first = next((one for one in self.context.examples_of(source) if one.origin == origin), None)
            pair = pair.put(side, self.example(source, first) if first else None)
        return pair

    def whole(self, source: str, pair: Pair) -> Updates:
        """Every part, at the detector's own pair."""
        detector = self.detector(source)
        k, t_sec = detector.uniform
        low, high = k_range(detector)
        return (
            self.draw(source, pair, k, t_sec)
            | {self.parts.k: gr.Slider(minimum=low, maximum=high, value=k)}
            | {self.parts.strips[side]: self.strip(source, side, getattr(pair, side)) for side in SIDES}
            | {self.parts.photos[side]: self.face(getattr(pair, side)) for side in SIDES}
        )

    def follow(self, source: str, pair: Pair, _k: Any, _t_sec: Any, *uploads: dict[str, Any] | None) -> Updates:
        """Another detector is in use: uploads are seen anew by it, examples make way for its own."""
        if pair.source == source or (pair.a is None and pair.b is None):
            return gr.skip()
        detector, own = self.detector(source), {one.name for one in self.context.examples_of(source)}
        fresh = self.first(source, pair)
        for side, payload in zip(SIDES, uploads, strict=True):
            before: Side | None = getattr(pair, side)
            if before is None or before.example in own or not before.example:
                try:
                    fresh = fresh.put(side, before and self.seen_by(detector, before, payload))
                except (OSError, ValueError) as error:
                    raise refusal(error) from error
        return self.whole(source, fresh)

    def seen_by(self, detector: Detector, side: Side, payload: dict[str, Any] | None) -> Side:
        """An image as another detector sees it, from the file at hand.

        Raises:
            OSError, ValueError: the image is gone.
        """
        upload = read_upload(detector, payload)
        return replace(side, image=upload.seen, notes=upload.notes)

    def face(self, side: Side | None) -> np.ndarray | None:
        """What the image input shows of a side."""
        return enlarge(side.image) if side else None

    def taking(self, side: str) -> Callable[..., Updates]:
        """The handler of an upload."""

        def take(payload: dict[str, Any] | None, source: str, pair: Pair, k: Any, t_sec: Any) -> Updates:
            try:
                upload = read_upload(self.detector(source), payload)
            except (OSError, ValueError) as error:
                raise refusal(error) from error
            name = str((payload or {}).get("orig_name") or "upload")
            updates = self.put(source, side, Side(upload.seen, name, upload.notes), pair, k, t_sec)
            return updates if upload.preview is None else updates | {self.parts.photos[side]: upload.preview}

        return take

    def clearing(self, side: str) -> Callable[..., Updates]:
        """The handler of an image taken away."""
        return lambda source, pair, k, t_sec: self.put(source, side, None, pair, k, t_sec)

    def picking(self, side: str) -> Callable[..., Updates]:
        """The handler of a click on an example."""

        def pick(event: gr.EventData, source: str, pair: Pair, k: Any, t_sec: Any) -> Updates:
            name = asked(event, "example")
            example = next((one for one in self.context.examples_of(source) if one.name == name), None)
            if example is None:
                return gr.skip()
            image = self.example(source, example)
            return self.put(source, side, image, pair, k, t_sec) | {self.parts.photos[side]: self.face(image)}

        return pick

    def receive(
        self, chosen: tuple[str, np.ndarray, str] | None, source: str, pair: Pair, k: Any, t_sec: Any
    ) -> Updates:
        """A picture of the reference set was sent here."""
        if chosen is None:
            return gr.skip()
        first = {} if pair.a or pair.b else self.enter(source, pair, k, t_sec)
        if first:
            pair, (k, t_sec) = first[self.parts.pair], self.detector(source).uniform
        side, pixels, name = chosen
        image = Side(pixels, name)
        return first | self.put(source, side, image, pair, k, t_sec) | {self.parts.photos[side]: self.face(image)}

    def restore(self, pair: Pair) -> list[Any]:
        """What the image inputs show after a refusal: the images still compared."""
        return [self.face(pair.a), self.face(pair.b)]

    def move(self, source: str, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """T_SEC was changed: a slider being dragged is not set back."""
        updates = self.draw(source, pair, k, t_sec)
        if updates[self.parts.t_sec].value == t_sec:
            del updates[self.parts.t_sec]
        return updates

    def go(self, event: gr.EventData, source: str, pair: Pair, k: Any, t_sec: Any) -> Updates:
        """A click on the chart named a T_SEC."""
        return self.draw(source, pair, k, asked(event, "t_sec"))

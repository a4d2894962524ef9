"""What the Inspect tab does: each method answers one event with the parts of the page that change.

A `Shown` in the session says what the visitor looks at. Only `analyse` may evaluate the network; everything else
reads the cached trace.
"""

import logging
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import gradio as gr

from sedid.detectors import Detector, as_seen
from sedid.diffusion import check_step
from sedid.ui.context import START, Context, Example, Stopped
from sedid.ui.filmstrip import seen
from sedid.ui.inspect_view import Sections, Shown, as_json, sections, snap
from sedid.ui.pictures import enlarge
from sedid.ui.upload import read_upload, refusal

K_RANGE = (5, 495)

WAITING = '<div class="sed-state">Loading the detector …</div>'
NO_DETECTOR = "No detector could be opened. Name a detector bundle in SEDID_DETECTOR, or make checkpoints/cifar10."
EMPTY = '<div class="sed-state">Upload, paste or photograph an image, or pick an example.</div>'

PROGRESS = gr.Progress()
Updates = dict[Any, Any]  # component: its new value


@dataclass(frozen=True)
class Parts:
    """The components of the tab that events read or change."""

    shown: gr.State
    photo: gr.Image
    seen: gr.HTML
    k: gr.Slider
    t_sec: gr.Slider
    calibrated: gr.Button
    verdicts: gr.HTML
    heat: gr.HTML
    curve: gr.HTML
    factors: gr.HTML
    compared: gr.HTML
    film: gr.HTML

    def all(self) -> list[Any]:
        """Every part, as the outputs of an event."""
        return [getattr(self, field.name) for field in fields(self)]

    def sections(self) -> list[gr.HTML]:
        """The parts that follow T_SEC, in the order of `Sections`."""
        return [getattr(self, field.name) for field in fields(Sections)]


@dataclass(frozen=True)
class Inspector:
    """The event handlers of one tab; `free` and `lock` are its two switches."""

    context: Context
    parts: Parts

    def detector(self) -> Detector:
        """The detector, or a refusal the visitor reads."""
        try:
            return self.context.detector()
        except (OSError, ValueError) as error:  # its text names folders of this machine, so it goes to the log
            logging.getLogger(__name__).warning("%s", error)
            raise refusal(ValueError(NO_DETECTOR)) from error

    def render(
        self,
        state: Shown,
        free: bool,
        lock: bool,
        session: str | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> Updates:
        """The parts that follow T_SEC, for a state that becomes the shown one."""
        detector = self.detector()
        trace = self.context.walk(state.image, state.k, session, report)
        strings = astuple(sections(detector, trace, detector.judge(trace, state.t_sec), free, lock))
        return {self.parts.shown: state} | dict(zip(self.parts.sections(), strings, strict=True))

    def analyse(self, state: Shown, free: bool, lock: bool, request: gr.Request, progress: gr.Progress) -> Updates:
        """The whole page for a new image or a new k.

        Raises:
            Stopped: the visitor did not wait for it.
        """
        session = request.session_hash or ""
        self.context.turns.want(session, state.k)

        def report(done: int, total: int) -> None:
            progress((done, total), desc=f"k = {state.k}: step {done} of {total}", unit="steps")

        updates = self.render(state, free, lock, session, report)
        return (
            updates
            | self.controls(state.k, state.t_sec)
            | {self.parts.seen: seen(state.image, state.notes, state.example)}
        )

    def controls(self, k: int, t_sec: int) -> Updates:
        """Both sliders; the steps of T_SEC follow k."""
        ends = gr.Slider(minimum=k, maximum=self.detector().max_t_sec(k), step=k, value=t_sec)
        return {self.parts.k: k, self.parts.t_sec: ends}

    def pair(self, state: Shown | None) -> tuple[int, int]:
        """The (k, T_SEC) a new image starts at."""
        return (state.k, state.t_sec) if state else self.detector().chosen or START

    def load(self, free: bool, lock: bool, request: gr.Request, progress: gr.Progress = PROGRESS) -> Updates:
        """A page opens, with an example already analysed; ?k=, t_sec= and example= name another view."""
        try:
            detector = self.detector()
        except gr.Error:
            return {self.parts.verdicts: f'<div class="sed-state"><b>{NO_DETECTOR}</b></div>'}
        query, start = dict(request.query_params), self.pair(None)
        k = min(max(whole(query.get("k"), start[0]), K_RANGE[0]), K_RANGE[1])
        pair = k, snap(detector, k, whole(query.get("t_sec"), start[1]))
        button = {self.parts.calibrated: calibrated_button(detector)}
        if not self.context.examples:
            return button | self.controls(*pair) | {self.parts.verdicts: EMPTY}
        example = self.named(query.get("example")) or self.context.examples[0]
        return button | self.open(example, pair, free, lock, request, progress)

    def named(self, name: Any) -> Example | None:
        """The example of this name."""
        return next((example for example in self.context.examples if example.name == name), None)

    def open(
        self,
        example: Example,
        pair: tuple[int, int],
        free: bool,
        lock: bool,
        request: gr.Request,
        progress: gr.Progress,
    ) -> Updates:
        """Show an example at (k, T_SEC)."""
        image, notes = as_seen(self.detector(), example.path)
        try:
            updates = self.analyse(Shown(image, notes, *pair, example.name), free, lock, request, progress)
        except Stopped:
            return gr.skip()
        return updates | {self.parts.photo: enlarge(image)}

    def pick(
        self,
        event: gr.EventData,
        state: Shown | None,
        free: bool,
        lock: bool,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> Updates:
        """An example was clicked, or a picture of another tab (a data URI)."""
        picture = asked(event, "image")
        if isinstance(picture, str) and picture.startswith("data:"):
            updates = self.take({"url": picture, "orig_name": "The image"}, state, free, lock, request, progress)
            taken = updates.get(self.parts.shown)
            return updates | {self.parts.photo: enlarge(taken.image)} if taken else updates
        example = self.named(asked(event, "example"))
        return gr.skip() if example is None else self.open(example, self.pair(state), free, lock, request, progress)

    def take(
        self,
        payload: dict[str, Any] | None,
        state: Shown | None,
        free: bool,
        lock: bool,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> Updates:
        """An image was uploaded or pasted."""
        try:
            upload = read_upload(self.detector(), payload)
            updates = self.analyse(Shown(upload.seen, upload.notes, *self.pair(state)), free, lock, request, progress)
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        except Stopped:
            return {self.parts.photo: self.restore(state)}
        return updates if upload.preview is None else updates | {self.parts.photo: upload.preview}

    def photograph(
        self, payload: dict[str, Any] | None, state: Shown | None, free: bool, lock: bool, request: gr.Request
    ) -> Updates:
        """The image changed. Gradio (6.31) tells so little of the camera; its pictures have this name and a size."""
        if not payload or payload.get("orig_name") != "image.png" or payload.get("size") is None:
            return gr.skip()
        return self.take(payload, state, free, lock, request, PROGRESS)

    def clear(self) -> Updates:
        """The image was taken away."""
        empty = {self.parts.verdicts: EMPTY, self.parts.seen: "", self.parts.shown: None}
        return dict.fromkeys(self.parts.sections(), "") | empty

    def restore(self, state: Shown | None) -> Any:
        """What the image input shows after a refusal: the image whose result is still on the page."""
        return enlarge(state.image) if state else None

    def go(
        self,
        pair: tuple[Any, Any],
        state: Shown | None,
        free: bool,
        lock: bool,
        request: gr.Request,
        progress: gr.Progress,
    ) -> Updates:
        """Go to another (k, T_SEC), as nearly as they exist; T_SEC None keeps the present one."""
        start = self.pair(state)
        k = min(max(whole(pair[0], start[0]), K_RANGE[0]), K_RANGE[1])
        t_sec = snap(self.detector(), k, whole(pair[1], start[1]))
        if state is None:
            return self.controls(k, t_sec)
        try:
            return self.analyse(replace(state, k=k, t_sec=t_sec), free, lock, request, progress)
        except Stopped:
            return gr.skip()

    def set_k(
        self,
        k: Any,
        state: Shown | None,
        free: bool,
        lock: bool,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> Updates:
        """The slider of k was let go."""
        updates = self.go((k, None), state, free, lock, request, progress)
        if updates.get(self.parts.k) == k:
            del updates[self.parts.k]  # it may have been moved on meanwhile, and is not set back
        return updates

    def go_there(
        self,
        event: gr.EventData,
        state: Shown | None,
        free: bool,
        lock: bool,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> Updates:
        """A card's button named the pair."""
        return self.go((asked(event, "k"), asked(event, "t_sec")), state, free, lock, request, progress)

    def go_calibrated(
        self, state: Shown | None, free: bool, lock: bool, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> Updates:
        """Back to the detector's own pair."""
        return self.go(self.detector().chosen or START, state, free, lock, request, progress)

    def set_t_sec(self, t_sec: Any, state: Shown | None, free: bool, lock: bool) -> Updates:
        """T_SEC moved along the trace at hand."""
        if state is None:
            return gr.skip()
        found = snap(self.detector(), state.k, whole(t_sec, state.t_sec))
        # A slider being dragged is not set back to where it was a moment ago.
        slider = {} if found == t_sec else {self.parts.t_sec: found}
        return self.render(replace(state, t_sec=found), free, lock) | slider

    def switch(self, state: Shown | None, free: bool, lock: bool) -> Updates:
        """Weight-free or the colour lock was switched."""
        return self.render(state, free, lock) if state else gr.skip()

    def wish(self, event: gr.EventData, request: gr.Request) -> None:
        """Another k is wanted: a walk under way ends at its next step."""
        self.context.turns.want(request.session_hash or "", whole(asked(event, "k"), START[0]))

    def stop(self, state: Shown | None, request: gr.Request) -> Updates:
        """Give up the walk under way; the previous result stays."""
        self.context.turns.want(request.session_hash or "", None)
        return {self.parts.k: state.k} if state else gr.skip()

    def api(self, image: dict[str, Any] | None, k: int = 0, t_sec: int = 0) -> dict[str, Any]:
        """Judge one image: does it look generated by the diffusion model of this detector?

        Args:
            image: any image file; it is resized to what the detector knows.
            k: step size, 5 to 495; 0 for the calibrated one.
            t_sec: where the error is measured, a multiple of k up to 999; 0 for the calibrated one.
        """
        detector = self.detector()
        default_k, default_t_sec = detector.chosen or START
        try:
            upload = read_upload(detector, image)
            k = int(k) or default_k
            if not K_RANGE[0] <= k <= K_RANGE[1]:
                raise ValueError(f"k must be between {K_RANGE[0]} and {K_RANGE[1]}, not {k}.")
            t_sec = int(t_sec) or snap(detector, k, default_t_sec)
            check_step(detector.schedule, k, t_sec)
            judgement = detector.judge(self.context.walk(upload.seen, k), t_sec)
        except (OSError, TypeError, ValueError) as error:
            raise refusal(error) from error
        return as_json(detector, judgement, upload.notes)


def calibrated_button(detector: Detector) -> Any:
    """The button's words for this detector; hidden where nothing is calibrated."""
    if detector.chosen is None:
        return gr.Button(visible=False)
    return gr.Button(f"Use the calibrated pair: k = {detector.chosen[0]}, T_SEC = {detector.chosen[1]}")


def asked(event: gr.EventData, name: str) -> Any:
    """One value of what the page sent with an event; None if it sent something else."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def whole(value: Any, otherwise: int) -> int:
    """A visitor's value as an integer."""
    try:
        return round(float(value))
    except (TypeError, ValueError, OverflowError):
        return otherwise

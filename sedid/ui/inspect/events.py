"""What the Inspect tab does: each method answers one event with the parts of the page that change.

The session keeps the key of the detector in use and, in a `Shown`, what the visitor looks at with it: every event that
draws sets both, so that no figures stand under another detector's name. Only `analyse` may evaluate
the network, and only `choose` and `load` should be the first to ask for a detector; everything else reads the cached
trace.
"""

import logging
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from sedid.detector.detector import Detector, Pair, as_seen
from sedid.detector.hub import split_id
from sedid.method.diffusion import Steps, order, pair_in_words, steps_in_words, write_steps
from sedid.report.filmstrip import seen
from sedid.report.pictures import enlarge
from sedid.ui.context import START, Context
from sedid.ui.examples import Example
from sedid.ui.inspect.view import Sections, Shown, example_strip, sections, snap
from sedid.ui.menu import DEFAULT
from sedid.ui.traces import Report, Stopped, Wanted
from sedid.ui.upload import CAMERA, read_upload, refusal, rewritten

K_RANGE = (5, 495)
OTHER = "other"
"""The choice of a k that nothing was calibrated at."""

WAITING = '<div class="sed-state sed-loading">Loading the detector …</div>'
NO_DETECTOR = (
    "No detector could be opened. Name one in SEDID_DETECTOR (a bundle folder or a Hub id), or start the app in a checkout "
    "of the project, which brings one; an installed package does not."
)
NOT_OPENED = "This detector could not be opened; the log of the app says why."
EMPTY = '<div class="sed-state">Upload, paste or photograph an image, or pick an example.</div>'

PROGRESS = gr.Progress()
Updates = dict[Any, Any]  # component: its new value


@dataclass(frozen=True)
class Visit:
    """What an event knows of who sent it.

    Attributes:
        source: key of the detector in use.
        shown: what the page shows, if anything.
        free, lock: the two switches.
        event: what the page sent with it.
    """

    source: str
    shown: Shown | None
    free: bool
    lock: bool
    event: gr.EventData
    request: gr.Request
    progress: gr.Progress

    @property
    def session(self) -> str:
        """Which page it is."""
        return self.request.session_hash or ""

    def sent(self, name: str) -> Any:
        """One value of what the page sent with the event."""
        return asked(self.event, name)


def visited(handle: Callable[..., Any]) -> Callable[..., Any]:
    """A handler as Gradio calls it: the last four inputs, detector, state and both switches, become a `Visit`."""

    def run(event: gr.EventData, request: gr.Request, progress: gr.Progress = PROGRESS, *inputs: Any) -> Any:
        *values, source, shown, free, lock = inputs
        return handle(Visit(source, shown, free, lock, event, request, progress), *values)

    return run


@dataclass(frozen=True)
class Parts:
    """The components of the tab that events read or change."""

    source: gr.State
    state: gr.State
    menu: gr.Dropdown
    photo: gr.Image
    examples: gr.HTML
    seen: gr.HTML
    marks: gr.Radio
    k: gr.Slider
    t_sec: gr.Slider
    calibrated: gr.Button
    strip: gr.HTML
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
    """The event handlers of one tab; those that take a `Visit` are wired through `visited`."""

    context: Context
    parts: Parts

    def detector(self, source: str = DEFAULT) -> Detector:
        """A detector, or a refusal the visitor reads.

        An event asks once and passes it on: the next look may find another calibration, and a trace must not meet the judge
        of another.
        """
        try:
            return self.context.detectors.get(source)
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning("%s", error)
            if source != DEFAULT and self.context.menu.typing:
                raise refusal(error) from error
            # the error's text names folders of this machine
            raise refusal(ValueError(NO_DETECTOR if source == DEFAULT else NOT_OPENED)) from error

    def render(
        self,
        visit: Visit,
        detector: Detector,
        shown: Shown,
        wanted: Wanted | None = None,
        report: Report | None = None,
    ) -> Updates:
        """The parts that follow T_SEC, for what becomes the shown one; without `wanted`, nobody may stop a walk."""
        trace = self.context.traces.walk(detector, shown.image, shown.k, wanted, report)
        judgement = detector.judge(trace, shown.t_sec)
        others = partial(self.context.menu.shipped, but=visit.source)
        strings = astuple(sections(detector, trace, judgement, visit.free, visit.lock, others))
        return self.looking(visit.source, shown) | dict(zip(self.parts.sections(), strings, strict=True))

    def looking(self, source: str, shown: Shown | None) -> Updates:
        """What the session keeps: the detector in use and what is looked at with it."""
        return {self.parts.source: source, self.parts.state: shown}

    def analyse(self, visit: Visit, detector: Detector, shown: Shown) -> Updates:
        """The whole page for a new image, a new k or a new detector.

        Raises:
            Stopped: the visitor did not wait for it.
        """
        turns = self.context.traces.turns
        wanted = self.wait(visit, shown, coming=True)

        def report(done: int, total: int) -> None:
            visit.progress((done, total), desc=f"{steps_in_words(shown.k)}: step {done} of {total}", unit="steps")

        try:
            drawn = (
                self.render(visit, detector, shown, wanted, report)
                | self.controls(detector, shown.k, shown.t_sec)
                | {self.parts.seen: self.seen_part(shown)}
            )
        finally:
            here = wanted()
            if here:
                turns.come(visit.session)
        if not here:  # another event of this page wants something else, which is not to be covered by this
            raise Stopped
        return drawn

    def seen_part(self, shown: Shown) -> str:
        """What the detector sees."""
        path, tile = write_steps(shown.k), shown.whole is not None
        return seen(shown.image, shown.notes, shown.example, shown.stamp, path, tile)

    def wait(self, visit: Visit, shown: Shown, coming: bool = False) -> Wanted:
        """From now on the page waits for this, by the detector of the visit.

        Args:
            coming: it is to be shown.

        Returns:
            What says whether it still does.
        """
        of = (visit.session, shown.k, shown.image, visit.source, shown.stamp)
        return self.context.traces.turns.want(*of, (visit.source, shown) if coming else None)

    def dropped(self, visit: Visit, shown: Shown) -> Updates:
        """What the image input shows after a walk nobody waits for: the picture before, unless this one goes elsewhere or is it."""
        before = visit.shown.stamp if visit.shown else ""
        if shown.stamp in (before, self.context.traces.turns.about(visit.session).file):
            return {}
        return {self.parts.photo: enlarge(visit.shown.image) if visit.shown else None}

    def controls(self, detector: Detector, k: Steps, t_sec: int) -> Updates:
        """How the trajectory walks, and T_SEC, whose steps follow."""
        t_secs = detector.t_secs(k)
        step = 1 if isinstance(k, tuple) else k
        ends = gr.Slider(minimum=t_secs[0], maximum=t_secs[-1], step=step, value=t_sec)
        return self.steps(detector, k) | {self.parts.t_sec: ends}

    def steps(self, detector: Detector, k: Steps) -> Updates:
        """The marked walk, or a free k. On a path the slider of k stays where it is."""
        marked = {self.parts.marks: write_steps(k) if k in walks(detector) else OTHER}
        return marked if isinstance(k, tuple) else marked | {self.parts.k: k}

    def settled(self, visit: Visit, detector: Detector) -> Updates:
        """The controls after a walk that nobody waits for any more: where they were, unless another one is wanted."""
        shown = visit.shown
        if shown is None or not self.context.traces.turns.wants(visit.session, shown.k, shown.image):
            return gr.skip()
        return self.steps(detector, shown.k)

    def fit(self, detector: Detector, k: Any, t_sec: Any, otherwise: Pair) -> Pair:
        """The (k, T_SEC) of this detector closest to what a visitor named; of paths, the calibrated ones alone."""
        named = otherwise[0] if k is None else k
        wanted = write_steps(named) if isinstance(named, tuple) else str(named)
        path = next((path for path in detector.paths if write_steps(path) == wanted), None)
        if path is not None:
            return path, snap(detector, path, whole(t_sec, otherwise[1]))
        low, high = k_range(detector)
        step = otherwise[0] if isinstance(otherwise[0], int) else detector.uniform[0]
        k = min(max(whole(k, step), low), high)
        return k, snap(detector, k, whole(t_sec, otherwise[1]))

    def pair(self, visit: Visit, detector: Detector) -> Pair:
        """The (k, T_SEC) a new image starts at."""
        if visit.shown:
            return visit.shown.k, visit.shown.t_sec
        return self.fit(detector, None, None, detector.chosen or START)

    def load(self, visit: Visit) -> Updates:
        """A page opens, with an example already analysed; ?detector=, k=, t_sec= and example= name another view."""
        query, menu = dict(visit.request.query_params), self.context.menu
        source = str(query.get("detector")) if menu.offers(query.get("detector")) else DEFAULT
        choices = menu.choices()
        try:
            detector = self.detector(source)
        except gr.Error as error:
            if source == DEFAULT:
                state = f'<div class="sed-state"><b>{NO_DETECTOR}</b></div>'
                return {self.parts.verdicts: state, self.parts.menu: gr.Dropdown(choices=choices, value=source)}
            gr.Warning(error.message)
            source, detector = DEFAULT, self.detector()
        visit = replace(visit, source=source)
        pair = self.fit(detector, query.get("k"), query.get("t_sec"), detector.chosen or START)
        frame = self.frame(source, detector, pair) | {self.parts.menu: gr.Dropdown(choices=choices, value=source)}
        opens = list(self.context.opens_with(detector, source).values())
        example = self.named(query.get("example"), source) or (opens[0] if opens else None)
        if source == DEFAULT:
            del frame[self.parts.examples]  # the document has them
        if example is None:
            return frame | {self.parts.verdicts: EMPTY} | self.looking(source, None)
        return self.open(visit, detector, example, pair, frame)

    def frame(self, source: str, detector: Detector, pair: Pair) -> Updates:
        """What depends on the detector, not on the image: its examples, the button and the reach of the sliders."""
        low, high = k_range(detector)
        step = pair[0] if isinstance(pair[0], int) else detector.uniform[0]
        reach = {
            self.parts.k: gr.Slider(minimum=low, maximum=high, value=step),
            self.parts.marks: marks_of(detector, pair[0]),
        }
        examples = {self.parts.examples: example_strip(self.context.examples_of(source))}
        return examples | {self.parts.calibrated: calibrated_button(detector)} | self.controls(detector, *pair) | reach

    def named(self, name: Any, source: str) -> Example | None:
        """The example of this name, of the app or of a detector's bundle."""
        examples = (*self.context.examples_of(source), *self.context.examples)
        return next((example for example in examples if example.name == name), None)

    def open(
        self, visit: Visit, detector: Detector, example: Example, pair: Pair, frame: Updates | None = None
    ) -> Updates:
        """Show an example at (k, T_SEC)."""
        image, notes = as_seen(detector, example.path)
        try:
            crop, file = detector.center_crop, example.path
            shown = Shown(image, notes, *pair, example.name, crop, file, file.name)
            updates = self.analyse(visit, detector, shown)
        except Stopped:
            return gr.skip()
        return updates | (frame or {}) | {self.parts.photo: enlarge(image)}

    def offer(self) -> Any:
        """The menu as it is now: jobs may have made detectors meanwhile."""
        menu = self.context.menu
        return gr.Dropdown(choices=menu.choices(), allow_custom_value=menu.typing)

    def choose(self, visit: Visit, source: Any) -> Any:
        """Another detector was picked in the menu, typed, or asked for by another tab: open it, change nothing yet."""
        source, menu = str(visit.sent("detector") or source or DEFAULT).strip(), self.context.menu
        fetching = menu.typing and split_id(source) and not menu.offers(source) and not Path(source).is_dir()
        visit.progress(0, desc="Fetching from the Hub" if fetching else "Opening the detector")
        self.detector(source)
        return gr.Dropdown(choices=menu.choices(), value=source)

    def follow(self, visit: Visit, source: str, photo: dict[str, Any] | None) -> Updates:
        """The page moves to the detector that `choose` opened, to its own pair.

        An image that is on its way is looked at with it in the place of the one that is still shown.
        """
        before, shown = self.context.traces.turns.coming(visit.session) or (visit.source, visit.shown)
        if source == before:
            return gr.skip()
        detector = self.detector(source)
        pair, there = self.fit(detector, None, None, detector.chosen or START), replace(visit, source=source)
        if shown is None:
            return self.frame(source, detector, pair) | self.looking(source, None)
        frame = self.frame(source, detector, pair) | {self.parts.menu: source}
        if shown.example and (example := self.counterpart(shown.example, before, source)):
            drawn = self.open(there, detector, example, pair, frame)
            return drawn if self.parts.state in drawn else self.remain(visit)
        try:
            shown = replace(self.seen_by(detector, shown, photo), k=pair[0], t_sec=pair[1])
            return self.analyse(there, detector, shown) | frame
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        except Stopped:
            return self.dropped(visit, shown) | self.remain(visit)

    def remain(self, visit: Visit) -> Updates:
        """The menu after a walk with another detector that nobody waits for: the one in use, unless a third one is wanted."""
        wanted = self.context.traces.turns.about(visit.session).source
        return {self.parts.menu: wanted or visit.source}

    def counterpart(self, name: str, at: str, source: str) -> Example | None:
        """The example of another detector that stands where one of `at` does: the same, or as many-eth of its origin."""
        here = self.named(name, at)
        before, examples = self.context.examples_of(at), self.context.examples_of(source)
        if here is None or here in examples:
            return here
        alike, siblings = ([one for one in some if one.origin == here.origin] for some in (examples, before))
        place = siblings.index(here) if here in siblings else 0
        return alike[min(place, len(alike) - 1)] if alike else None

    def seen_by(self, detector: Detector, shown: Shown, photo: dict[str, Any] | None) -> Shown:
        """The image at hand as another detector sees it.

        Raises:
            OSError, ValueError: the image is gone.
        """
        if (len(shown.image), shown.center_crop) == (detector.size, detector.center_crop):
            return shown
        content = shown.content()
        if content is not None and not shown.edited:  # the page may show a preview in its place
            image, notes = as_seen(detector, content)
            notes = (*notes, *rewritten(shown.name))
        else:
            upload = read_upload(detector, photo)
            image, notes = upload.seen, upload.notes
        return replace(shown, image=image, notes=notes, center_crop=detector.center_crop, whole=None)

    def keep(self, source: str) -> str:
        """The menu after a refusal: the detector in use."""
        return source

    def pick(self, visit: Visit) -> Updates:
        """An example was clicked, or a picture of another tab (a data URI)."""
        picture = visit.sent("image")
        if isinstance(picture, str) and picture.startswith("data:"):
            updates = self.take(visit, {"url": picture, "orig_name": "The image"})
            taken = updates.get(self.parts.state)
            return updates | {self.parts.photo: enlarge(taken.image)} if taken else updates
        example = self.named(visit.sent("example"), visit.source)
        if example is None:
            return gr.skip()
        detector = self.detector(visit.source)
        return self.open(visit, detector, example, self.pair(visit, detector))

    def try_one(self, visit: Visit) -> Updates:
        """The generated example that the detector in use begins with."""
        detector = self.detector(visit.source)
        example = self.context.opens_with(detector, visit.source).get("generated")
        return self.open(visit, detector, example, self.pair(visit, detector)) if example else gr.skip()

    def take(self, visit: Visit, payload: dict[str, Any] | None) -> Updates:
        """An image was uploaded or pasted. A detector that the page is on its way to takes it."""
        turns = self.context.traces.turns
        source, _ = turns.coming(visit.session) or (visit.source, None)
        there, moved = replace(visit, source=source), source != visit.source
        try:
            detector = self.detector(source)
            upload = read_upload(detector, payload)
            pair = self.fit(detector, None, None, detector.chosen or START) if moved else self.pair(visit, detector)
            shown = Shown(upload.seen, upload.notes, *pair, "", detector.center_crop, upload.file, upload.name)
            updates = self.analyse(there, detector, shown)
            if moved:
                updates |= self.frame(source, detector, pair) | {self.parts.menu: source}
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        except Stopped:
            updates = self.dropped(visit, shown)
            if updates:
                return updates  # else it goes to another pair or detector, and that event shows the rest
        if upload.preview is not None:
            updates |= {self.parts.photo: upload.preview}
        return updates or gr.skip()

    def photograph(self, visit: Visit, payload: dict[str, Any] | None) -> Updates:
        """The camera took a picture; it names none of them."""
        return self.take(visit, payload | {"orig_name": CAMERA}) if payload else gr.skip()

    def clear(self, visit: Visit) -> Updates:
        """The image was taken away, and with it any walk."""
        self.context.traces.turns.want(visit.session, None)
        empty = {self.parts.verdicts: EMPTY, self.parts.seen: ""}
        return dict.fromkeys(self.parts.sections(), "") | empty | self.looking(visit.source, None)

    def restore(self, shown: Shown | None) -> Any:
        """What the image input shows after a refusal: the image whose result is still on the page."""
        return enlarge(shown.image) if shown else None

    def go(self, visit: Visit, detector: Detector, k: Any, t_sec: Any = None) -> Updates:
        """Go to another (k, T_SEC), as nearly as they exist; T_SEC None keeps the present one.

        An image that is on its way goes there in the place of the one that is still shown.
        """
        coming = self.coming(visit)
        visit = replace(visit, shown=coming or visit.shown)
        k, t_sec = self.fit(detector, k, t_sec, self.pair(visit, detector))
        if visit.shown is None:
            return self.controls(detector, k, t_sec)
        try:
            updates = self.analyse(visit, detector, replace(visit.shown, k=k, t_sec=t_sec))
        except Stopped:
            return self.settled(visit, detector)
        if coming is None or (isinstance(coming.file, Path) and not coming.example):  # it stands in its place already
            return updates
        return updates | {self.parts.photo: enlarge(coming.image)}

    def coming(self, visit: Visit) -> Shown | None:
        """The image that the page waits for, if it is one for the detector in use."""
        source, shown = self.context.traces.turns.coming(visit.session) or ("", None)
        return shown if source == visit.source else None

    def asking(self, visit: Visit) -> tuple[Shown | None, Wanted]:
        """What a panel is to judge: the image on its way, whose own walk goes on, or else the one that is shown.

        Returns:
            It, and what says whether the page still waits for it.
        """
        turns, coming = self.context.traces.turns, self.coming(visit)
        if coming is not None:
            return coming, partial(turns.wants, visit.session, coming.k, coming.image, visit.source)
        if visit.shown is None:
            return None, lambda: False
        return visit.shown, self.wait(visit, visit.shown)

    def set_k(self, visit: Visit, k: Any) -> Updates:
        """The slider of k was let go."""
        updates = self.go(visit, self.detector(visit.source), k)
        if updates.get(self.parts.k) == k:  # it may have been moved on meanwhile, and is not set back
            del updates[self.parts.k], updates[self.parts.marks]
        return updates

    def go_there(self, visit: Visit) -> Updates:
        """A card's button named the pair, or a mark the walk alone."""
        return self.go(visit, self.detector(visit.source), visit.sent("k"), visit.sent("t_sec"))

    def go_calibrated(self, visit: Visit) -> Updates:
        """Back to the detector's own pair."""
        detector = self.detector(visit.source)
        return self.go(visit, detector, *(detector.chosen or START))

    def set_t_sec(self, visit: Visit, t_sec: Any) -> Updates:
        """T_SEC moved along the trace at hand."""
        if visit.shown is None:
            return gr.skip()
        detector, shown, coming = self.detector(visit.source), visit.shown, self.coming(visit)
        if coming is None or np.array_equal(coming.image, shown.image):  # no other k is waited for; another picture is
            self.wait(visit, shown)
        found = snap(detector, visit.shown.k, whole(t_sec, visit.shown.t_sec))
        # A slider being dragged is not set back to where it was a moment ago.
        slider = {} if found == t_sec else {self.parts.t_sec: found}
        return self.render(visit, detector, replace(visit.shown, t_sec=found)) | slider

    def switch(self, visit: Visit) -> Updates:
        """Weight-free or the colour lock was switched."""
        return self.render(visit, self.detector(visit.source), visit.shown) if visit.shown else gr.skip()

    def wish(self, event: gr.EventData, request: gr.Request) -> None:
        """Another k is wanted: a walk under way ends at its next step."""
        self.context.traces.turns.want(request.session_hash or "", whole(asked(event, "k"), START[0]))

    def stop(self, source: str, shown: Shown | None, request: gr.Request) -> Updates:
        """Give up the walk under way; the previous result stays."""
        self.context.traces.turns.want(request.session_hash or "", None)
        return self.steps(self.detector(source), shown.k) if shown else gr.skip()


def k_range(detector: Detector) -> tuple[int, int]:
    """The smallest and largest k offered for a detector; both exist on short schedules, too."""
    last = len(detector.schedule) - 1
    return min(K_RANGE[0], last), min(K_RANGE[1], last)


def walks(detector: Detector) -> list[Steps]:
    """The walks that were calibrated, step sizes first."""
    return order({k for k, _ in detector.stat} | ({detector.nn.k} if detector.nn else set()))


def marks_of(detector: Detector, k: Steps) -> Any:
    """The choice among the calibrated walks and a free k; hidden where nothing is calibrated."""
    found = walks(detector)
    names = [(str(one) if isinstance(one, int) else steps_in_words(one), write_steps(one)) for one in found]
    value = write_steps(k) if k in found else OTHER
    return gr.Radio(choices=[*names, ("another", OTHER)], value=value, visible=bool(found))


def calibrated_button(detector: Detector) -> Any:
    """The button's words for this detector; hidden where nothing is calibrated."""
    if detector.chosen is None:
        return gr.Button(visible=False)
    words = f"Use the calibrated pair: {pair_in_words(*detector.chosen)}"
    return gr.Button(words, visible=True)


def asked(event: gr.EventData, name: str) -> Any:
    """One value of what the page sent with an event; None if it sent something else."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def whole(value: Any, otherwise: int) -> int:
    """A visitor's value as an integer."""
    try:
        return round(float(value))
    except (TypeError, ValueError, OverflowError):
        return otherwise

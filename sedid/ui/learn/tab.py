"""The Learn tab: the method in steps, the quiz and the classroom sheet. Layout, wiring and what the events do.

Where the visitor is stands in the address (`step`, `example`, `t`); the page's script leafs through frames by itself and
asks for a step only when it is opened.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np
from markupsafe import Markup

from sedid.data.images import ImageError
from sedid.detector.detector import Detector, Trace, as_seen
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.inspect.events import NO_DETECTOR, asked
from sedid.ui.kit import LIGHT, NETWORK, html, this_tab
from sedid.ui.known import known_pictures
from sedid.ui.learn import classroom_sheet, quiz
from sedid.ui.learn import steps as learn_steps
from sedid.ui.learn.lesson import Lesson, Subject
from sedid.ui.menu import DEFAULT
from sedid.ui.recent import Recent
from sedid.ui.scripts import function
from sedid.ui.traces import Stopped, Wanted
from sedid.ui.upload import read_upload, refusal

TITLE = "Learn"
Answer = tuple[Any, Any]
"""A page of the lesson, and the visitor's quiz records where they changed."""
KEPT = 40  # drawn steps, a few hundred kB each
OPENING = '<div class="sed-state">Opening the lesson …</div>'


def build(context: Context, head: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    teacher = Teacher(context)
    stage = html(OPENING, "learn", "learn")
    step, example, image, home, record = (gr.Textbox("", visible="hidden") for _ in range(5))  # filled by wish.js
    wish = [head.source, step, example, image, home, record, gr.State(Turn())]
    answered: dict[str, Any] = {"outputs": [stage, record], "api_visibility": "private", **NETWORK}
    # several may be under way: the one that was asked for last is the one that goes on
    opening: dict[str, Any] = {
        "js": function("wish", "wish"),
        "trigger_mode": "multiple",
        "show_progress": "hidden",
        **answered,
    }
    for event in (this_tab().select, stage.select):
        event(teacher.open, wish, **opening)
    head.follow("learn", teacher.open, wish, **opening)
    stage.submit(teacher.guess, [head.source, record], show_progress_on=stage, **answered)
    record.change(None, record, None, js=function("wish", "keep"), **LIGHT)


class Turn:
    """Which visit to the lesson a page waits for: the last one. A `gr.State`, so one a page."""

    def __init__(self) -> None:
        self._last = 0

    def take(self) -> Wanted:
        """A visit begins; returns what says whether it is still the last one."""
        self._last += 1
        mine = self._last
        return lambda: mine == self._last


@dataclass(frozen=True)
class Teacher:
    """The events of the tab."""

    context: Context
    _drawn: Recent[tuple[Any, ...], Markup] = field(default_factory=lambda: Recent(KEPT))
    _samples: Recent[tuple[Any, ...], quiz.Sample] = field(default_factory=lambda: Recent(quiz.KEPT))

    def open(
        self,
        source: str,
        step: str,
        example: str,
        image: str,
        home: str,
        stored: str,
        turn: Turn,
    ) -> Iterator[Answer]:
        """Show a place of the lesson: its text at once, and again while the network is at work, at last with its picture.

        Args:
            source: the key of the detector in use.
            step: one of `steps.PLACES`.
            example: name of the image of the walk; "inspect": `image`.
            image: data URI of the image in Inspect.
            home: the app's address, for the links of the classroom sheet.
            stored: the visitor's quiz records, `quiz.Records.stored`.
            turn: of the page; where another visit begins, this one ends.
        """
        at, here = learn_steps.place(step), turn.take()
        if at == learn_steps.WORLD:
            yield learn_steps.world(), gr.skip()
            return
        try:
            if at == learn_steps.QUIZ:
                answers = self.to_quiz(source, stored)
            elif at == learn_steps.SHEET:
                answers = self.to_sheet(source, home, here)
            else:
                answers = self.to_step(at, source, example, image, here)
            for answer in answers:
                if not here():
                    return
                yield answer
        except Stopped:
            return
        except gr.Error as error:
            if here():
                yield learn_steps.text(at, Markup(error.message)), gr.skip()
                raise

    def opened(self, at: str, source: str) -> Iterator[Answer]:
        """The text of a place, where its detector is still to be opened."""
        try:
            if self.context.detectors.is_open(source):
                return
        except (OSError, ValueError):
            pass  # `detector` tells why
        yield learn_steps.text(at, "The detector is being opened …"), gr.skip()

    def to_quiz(self, source: str, stored: str) -> Iterator[Answer]:
        """The visitor's next image of the quiz."""
        yield from self.opened(learn_steps.QUIZ, source)
        yield self.question(source, self.detector(source), stored)

    def to_sheet(self, source: str, home: str, here: Wanted) -> Iterator[Answer]:
        """The classroom sheet."""
        at = learn_steps.SHEET
        yield learn_steps.text(at, "The teacher's key is being computed …"), gr.skip()
        detector = self.detector(source)
        examples = self.examples(source, detector)
        link = source if self.context.menu.offers(source) else None
        sheet = classroom_sheet.offer(self.lesson(detector, examples, examples[0], here), home, link)
        yield learn_steps.page(at, sheet, detector.name), gr.skip()

    def to_step(self, at: str, source: str, example: str, image: str, here: Wanted) -> Iterator[Answer]:
        """A numbered step."""
        yield from self.opened(at, source)
        detector = self.detector(source)
        examples = self.examples(source, detector)
        subject = self.subject(detector, examples, example, image)
        model = (detector.info.get("checkpoint_sha256", detector.name), hash(detector.schedule))
        key = (source, *model, at, subject.name, subject.image.tobytes())
        drawn = self._drawn.get(key)
        if drawn is not None:
            yield drawn, gr.skip()
            return
        for page in learn_steps.draw(at, self.lesson(detector, examples, subject, here)):
            drawn = page
            yield page, gr.skip()
        if drawn is not None:
            self._drawn.put(key, drawn)

    def detector(self, source: str = DEFAULT) -> Detector:
        """A detector, or a refusal the visitor reads."""
        try:
            return self.context.detectors.get(source)
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning("%s", error)  # its text names folders of this machine
            raise refusal(ValueError(NO_DETECTOR)) from error

    def examples(self, source: str, detector: Detector) -> tuple[Subject, ...]:
        """The examples of a detector as it sees them.

        Raises:
            gr.Error: there are none.
        """
        found = [
            Subject(example.name, example.origin, as_seen(detector, example.path)[0])
            for example in self.context.examples_of(source)
        ]
        if not found:
            raise refusal(ValueError("The lesson needs the example images of assets/examples, and there are none."))
        return tuple(found)

    def subject(self, detector: Detector, examples: tuple[Subject, ...], name: str, image: str) -> Subject:
        """The image of the walk; the first example where the wish makes no sense."""
        if name == "inspect" and image.startswith("data:image/"):
            try:
                upload = read_upload(detector, {"url": image, "orig_name": "The image in Inspect"})
            except (OSError, ValueError) as error:
                raise refusal(error) from error
            # what is an example is called so
            same = (one for one in examples if np.array_equal(one.image, upload.seen))
            return next(same, Subject("inspect", "", upload.seen))
        return next((one for one in examples if one.name == name), examples[0])

    def lesson(
        self,
        detector: Detector,
        examples: tuple[Subject, ...],
        subject: Subject,
        here: Wanted | None = None,
    ) -> Lesson:
        """A walk through the method with one image; it ends early where nobody waits for it."""

        def walk(image: np.ndarray, k: int) -> Trace:
            return self.context.traces.walk(detector, image, k, here)

        return Lesson(detector, subject, examples, walk)

    def question(self, source: str, detector: Detector, stored: str) -> tuple[str, Any]:
        """The visitor's next image of the quiz."""
        sample, records = self.sample(source, detector), quiz.Records.read(stored)
        record = records.of(detector)
        asked_now = sample.question(record)
        inside = (
            quiz.finished(detector, sample, record)
            if asked_now is None
            else quiz.ask(detector, sample, asked_now[0], record)
        )
        return learn_steps.page(learn_steps.QUIZ, inside, detector.name), records.after(detector, record).stored()

    def sample(self, source: str, detector: Detector) -> quiz.Sample:
        """The images of the quiz: those that the bundle brings, or the embedded sample without the examples."""
        key = (source, quiz.name_of(detector), detector.size, detector.center_crop)
        found = self._samples.get(key)
        if found is None:
            try:
                known = known_pictures(detector, self.context.own_examples(source))
                shown = () if known.brought else [as_seen(detector, one.path)[0] for one in self.context.examples]
            except ImageError as error:
                raise refusal(error) from error
            found = quiz.sample_of(known, tuple(image.tobytes() for image in shown))
            self._samples.put(key, found)
        return found

    def guess(self, source: str, stored: str, event: gr.EventData) -> tuple[Any, Any]:
        """The visitor guessed, skipped, or starts over; a guess at another image than the present one is not counted."""
        detector, guess = self.detector(source), asked(event, "guess")
        records = quiz.Records.read(stored)
        if guess == "again":
            return self.question(source, detector, records.after(detector, quiz.Record.new()).stored())
        record, sample = records.of(detector), self.sample(source, detector)
        present = sample.question(record)
        if present is None or guess not in quiz.GUESSES or asked(event, "seen") != record.seen:
            return self.question(source, detector, records.stored())
        image, truth = present
        lesson = self.lesson(detector, (), Subject("", "", image))
        trace = lesson.walk(image, lesson.k)
        judgement = lesson.judge(trace)
        record = record.after(guess, judgement, truth)
        shown = quiz.reveal(detector, sample, trace, judgement, guess, truth, record)
        return learn_steps.page(learn_steps.QUIZ, shown, detector.name), records.after(detector, record).stored()

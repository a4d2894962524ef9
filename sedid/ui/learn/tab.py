"""The Learn tab: the method in steps, the quiz and the classroom sheet. Layout, wiring and what the events do.

Where the visitor is stands in the address (`step`, `example`, `t`); the page's script leafs through frames by itself and
asks for a step only when it is opened.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from sedid.data.images import ImageError
from sedid.detector.detector import Detector, Trace, as_seen
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.inspect.events import NO_DETECTOR, PROGRESS, asked
from sedid.ui.kit import LIGHT, NETWORK, html, this_tab
from sedid.ui.known import known_pictures
from sedid.ui.learn import classroom_sheet, quiz
from sedid.ui.learn import steps as learn_steps
from sedid.ui.learn.lesson import Lesson, Subject
from sedid.ui.menu import DEFAULT
from sedid.ui.recent import Recent
from sedid.ui.scripts import function
from sedid.ui.upload import read_upload, refusal

TITLE = "Learn"
KEPT = 40  # drawn steps, a few hundred kB each
OPENING = '<div class="sed-state">Opening the lesson …</div>'


def build(context: Context, head: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    teacher = Teacher(context)
    stage = html(OPENING, "learn", "learn")
    step, example, image, home, record = (gr.Textbox("", visible="hidden") for _ in range(5))  # filled by wish.js
    wish = [head.source, step, example, image, home, record]
    options: dict[str, Any] = {
        "outputs": [stage, record],
        "api_visibility": "private",
        "show_progress_on": stage,
        **NETWORK,
    }
    opening: dict[str, Any] = {
        "fn": teacher.open,
        "inputs": wish,
        "js": function("wish", "wish"),
        "trigger_mode": "always_last",
        **options,
    }
    for event in (this_tab().select, stage.select):
        event(**opening)
    head.follow("learn", teacher.open, wish, js=function("wish", "wish"), trigger_mode="always_last", **options)
    stage.submit(teacher.guess, [head.source, record], **options)
    record.change(None, record, None, js=function("wish", "keep"), **LIGHT)


@dataclass(frozen=True)
class Teacher:
    """The events of the tab."""

    context: Context
    _drawn: Recent[tuple[Any, ...], str] = field(default_factory=lambda: Recent(KEPT))
    _samples: Recent[tuple[Any, ...], quiz.Sample] = field(default_factory=lambda: Recent(quiz.KEPT))

    def open(
        self,
        source: str,
        step: str,
        example: str,
        image: str,
        home: str,
        stored: str,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[Any, Any]:
        """Show a place of the lesson.

        Args:
            source: the key of the detector in use.
            step: one of `steps.PLACES`.
            example: name of the image of the walk; "inspect": `image`.
            image: data URI of the image in Inspect.
            home: the app's address, for the links of the classroom sheet.
            stored: the visitor's quiz records, `quiz.Records.stored`.
        """
        at = learn_steps.place(step)
        if at == learn_steps.WORLD:
            return learn_steps.world(), gr.skip()
        detector = self.detector(source)
        if at == learn_steps.QUIZ:
            return self.question(source, detector, stored)
        examples = self.examples(source, detector)
        if at == learn_steps.SHEET:
            link = source if self.context.menu.offers(source) else None
            sheet = classroom_sheet.offer(self.lesson(detector, examples, examples[0]), home, link)
            return learn_steps.page(at, sheet, detector.name), gr.skip()
        subject = self.subject(detector, examples, example, image)
        model = (detector.info.get("checkpoint_sha256", detector.name), hash(detector.schedule))
        key = (source, *model, at, subject.name, subject.image.tobytes())
        drawn = self._drawn.get(key)
        if drawn is None:
            drawn = learn_steps.draw(at, self.lesson(detector, examples, subject, progress))
            self._drawn.put(key, drawn)
        return drawn, gr.skip()

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
        progress: gr.Progress | None = None,
    ) -> Lesson:
        """A walk through the method with one image."""

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress((done, total), desc="The network works", unit="parts")

        def walk(image: np.ndarray, k: int) -> Trace:
            return self.context.traces.walk(detector, image, k)

        return Lesson(detector, subject, examples, walk, report)

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

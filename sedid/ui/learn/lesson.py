"""What the steps of the lesson draw from: the detector, the image of the walk and the examples beside it."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sedid.detector.detector import Calibration, Detector, Judgement, Trace
from sedid.progress import Meter, Progress
from sedid.report.verdict import tested
from sedid.ui.inspect.view import snap

Drawing = Generator[Progress, None, Markup]
"""How a picture of the lesson is drawn: it tells how far the network is, then gives HTML."""


@dataclass(frozen=True)
class Subject:
    """An image in the lesson.

    Attributes:
        name: of the example; "inspect" for the image taken over from the Inspect tab.
        origin: "real", "generated" or "" where nobody knows.
        image: uint8 (H, W, 3), as the detector sees it.
    """

    name: str
    origin: str
    image: np.ndarray

    @property
    def title(self) -> str:
        """What the page calls it: real example 3."""
        return f"{self.origin} example {self.name.rpartition('-')[2]}" if self.origin else "your image"

    @property
    def ink(self) -> str:
        """The class's colour as a style class."""
        return f"sed-ink-{self.origin}" if self.origin else ""


@dataclass(frozen=True)
class Lesson:
    """One walk through the method.

    Attributes:
        subject: the image of the walk.
        examples: every example, reals first.
        walk: the trace of an image at k, from the app's cache or walked now.
    """

    detector: Detector
    subject: Subject
    examples: tuple[Subject, ...]
    walk: Callable[[np.ndarray, int], Trace]

    @property
    def k(self) -> int:
        """The step size of the lesson: the calibrated one (`Detector.uniform`)."""
        return min(self.detector.uniform[0], len(self.detector.schedule) - 1)

    @property
    def t_sec(self) -> int:
        """The T_SEC of the lesson: the calibrated one."""
        return snap(self.detector, self.k, self.detector.uniform[1])

    def pair(self) -> tuple[Subject, ...]:
        """The image beside examples of the other class: of both where its own class is unknown."""
        number = self.subject.name.rpartition("-")[2]
        found = [self.subject]
        for origin in ("real", "generated"):
            others = [example for example in self.examples if example.origin == origin]
            same = [example for example in others if example.name == f"{origin}-{number}"]
            if origin != self.subject.origin and others:
                found.append((same or others)[0])
        return tuple(sorted(found, key=lambda subject: ("", "real", "generated").index(subject.origin)))

    def some(self, each: int) -> tuple[Subject, ...]:
        """The first few examples of both classes, and the image of the walk."""
        few = [
            example
            for origin in ("real", "generated")
            for example in [example for example in self.examples if example.origin == origin][:each]
        ]
        return tuple(few if any(one.name == self.subject.name for one in few) else [self.subject, *few])

    def traces(self, walks: Sequence[tuple[np.ndarray, int]]) -> Generator[Progress, None, list[Trace]]:
        """The trace of each (image, k)."""
        meter, found = Meter("walking", len(walks), "walks"), []
        for done, (image, k) in enumerate(walks):
            yield meter.at(done)
            found.append(self.walk(image, k))
        return found

    def traces_of(self, subjects: Sequence[Subject]) -> Generator[Progress, None, list[Trace]]:
        """The trace of each image at the lesson's k."""
        return self.traces([(subject.image, self.k) for subject in subjects])

    def judge(self, trace: Trace) -> Judgement:
        """Both verdicts at the lesson's T_SEC."""
        return self.detector.judge(trace, self.t_sec)

    def calibrated(self, k: int | None = None) -> list[Calibration]:
        """What was calibrated at the lesson's k (or another), in the order of T_SEC."""
        step = k or self.k
        found = (self.detector.stat.get((step, t_sec)) for t_sec in self.detector.t_secs(step))
        return [calibration for calibration in found if calibration is not None]

    def measured(self, part: str, t_sec: int | None = None) -> dict[str, float] | None:
        """Metrics on held-out test images that detector.json states: of "nn", or of "stat" at the lesson's k."""
        return tested(self.detector, part, (self.k, t_sec or self.t_sec))

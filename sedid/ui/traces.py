"""Walks for visitors: the traces walked last, which k each session waits for, and what a walk costs."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sedid.detector import company
from sedid.detector.batches import judge_in_batches
from sedid.detector.detector import Detector, Judgement, Trace
from sedid.method.diffusion import Steps
from sedid.progress import finish
from sedid.training.scoring import Scores, score
from sedid.ui.recent import Recent

TRACES, TRACE_BYTES = 128, 200e6  # four walks for each of 32 visitors
SESSIONS = 1000

TraceKey = tuple[str, int, str, Steps]
Report = Callable[[int, int], None]
"""Told (points done, points in all) after each one."""
Wanted = Callable[[], bool]
"""Whether somebody still waits for it."""


class Stopped(Exception):
    """A walk was given up because its session asked for something else, or for nothing."""


def trace_key(detector: Detector, image: np.ndarray, k: Steps) -> TraceKey:
    """What a trace depends on: the weights, the noise schedule, the pixels (uint8 (H, W, 3)) and k."""
    weights = detector.info.get("checkpoint_sha256", detector.name)
    return weights, hash(detector.schedule), print_of(image), k


def print_of(image: np.ndarray) -> str:
    """Another one for other pixels."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def size_of(trace: Trace) -> int:
    """Bytes its tensors hold."""
    return sum(tensor.nbytes for point in trace.points for tensor in (point.x, point.eps))


class Subject(NamedTuple):
    """What a session waits for, apart from how its trajectory walks; "" is not said.

    Attributes:
        image: print of its pixels as the detector sees them.
        source: key of that detector.
        file: stamp of what it came from, the same for every detector.
    """

    image: str = ""
    source: str = ""
    file: str = ""


class Turns:
    """What each session waits for now, so that a walk nobody waits for any more ends at its next step.

    Events of one page may run at the same time: the one that wanted something last is the one whose answer is shown.
    """

    def __init__(self, sessions: int = SESSIONS) -> None:
        self._wanted: Recent[str, tuple[Steps | None, Subject]] = Recent(sessions)
        self._coming: Recent[str, Any] = Recent(sessions)

    def want(
        self,
        session: str,
        k: Steps | None,
        image: np.ndarray | None = None,
        source: str = "",
        file: str = "",
        coming: Any = None,
    ) -> Wanted:
        """From now on this session waits for an image, or the one it waited for last, at k; None: for nothing.

        Args:
            source, file: as `Subject`.
            coming: what the page is to show of the image, for events that come before it does; forgotten with the image.

        Returns:
            What says whether it still does.
        """
        before = self.about(session) if k is not None else Subject()
        self._wanted.put(session, (k, before if image is None else Subject(print_of(image), source, file)))
        if image is not None or k is None:
            self._coming.put(session, coming)
        return lambda: self.wants(session, k, image, source)

    def coming(self, session: str) -> Any:
        """What the page of a session is to show, until it has `come`; None: nothing new."""
        return self._coming.get(session)

    def about(self, session: str) -> Subject:
        """What a session waited for last; nothing said if none, or after it waited for nothing."""
        return (self._wanted.get(session) or (None, Subject()))[1]

    def come(self, session: str) -> None:
        """The page shows it, or was told why not."""
        self._coming.put(session, None)

    def wants(self, session: str, k: Steps | None, image: np.ndarray | None = None, source: str = "") -> bool:
        """Whether an image, or any, at k is still waited for; of this detector, or of any."""
        wanted, which = self._wanted.get(session) or (k, Subject())
        asked = (print_of(image) if image is not None else "", source)
        return wanted == k and all(
            not one or not other or one == other for one, other in zip(asked, which[:2], strict=True)
        )


class Traces:
    """The walks of an app's visitors.

    Args:
        charge: told how many network evaluations are about to be made; an exception of it forbids them.
    """

    def __init__(self, charge: Callable[[int], None]) -> None:
        self._charge = charge
        self.kept: Recent[TraceKey, Trace] = Recent(TRACES, size_of, TRACE_BYTES)
        self.turns = Turns()

    def walk(
        self,
        detector: Detector,
        image: np.ndarray,
        k: Steps,
        wanted: Wanted | None = None,
        report: Report | None = None,
    ) -> Trace:
        """The trace of an image, uint8 (H, W, 3), at k: one of those kept, or walked now.

        Args:
            wanted: the walk ends early when it is not.
            report: told of every point.

        Raises:
            Stopped: nobody waits for it any more.
            ValueError: k does not fit the schedule.
            gr.Error: the visitor has had their share.
        """
        key = trace_key(detector, image, k)
        trace = self.kept.get(key)
        if trace is not None:
            return trace
        total = detector.evaluations(k)
        self._charge(total)
        steps, watch = company.trace(detector, image, k), watched(wanted, report)
        done = 0
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                self.kept.put(key, stop.value)
                return stop.value
            done += 1
            watch(min(done, total), total)

    def judge(
        self,
        detector: Detector,
        images: np.ndarray,
        k: Steps,
        t_sec: int,
        wanted: Wanted | None = None,
        report: Report | None = None,
    ) -> list[Judgement]:
        """Both verdicts on any number of images, uint8 (N, H, W, 3), walked now in batches; no trace is kept.

        Args:
            wanted, report: as `walk`; told after every evaluation of a batch.

        Raises:
            Stopped, ValueError, gr.Error: as `walk`.
        """
        self._charge(len(images) * detector.evaluations(k, detector.reach(k, t_sec)))
        return judge_in_batches(detector, images, k, t_sec, watched(wanted, report))

    def score(self, detector: Detector, images: np.ndarray, ks: Sequence[Steps]) -> tuple[Scores, np.ndarray | None]:
        """t-errors at every T_SEC of every k, and the classifier's probabilities, of a few images (`scoring.score`).

        Raises:
            ValueError, gr.Error: as `walk`.
        """
        self._charge(len(images) * sum(map(detector.evaluations, ks)))
        return finish(score(detector, images, ks, batch_size=max(1, len(images))))


def watched(wanted: Wanted | None, report: Report | None) -> Report:
    """What is told of every step: it passes it on, unless nobody waits any more."""

    def watch(done: int, total: int) -> None:
        if wanted is not None and not wanted():
            raise Stopped
        if report is not None:
            report(done, total)

    return watch

"""What the tabs share: the detectors, each loaded once when first needed, the traces already walked, the examples."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sedid.detector.batches import judge_in_batches
from sedid.detector.detector import Detector, Judgement, Trace, as_seen
from sedid.method import paper
from sedid.method.diffusion import Steps
from sedid.paths import ASSETS
from sedid.progress import finish
from sedid.training.scoring import Scores, score
from sedid.ui.menu import DEFAULT, Menu
from sedid.ui.server import access

START = (165, 495)  # the (k, T_SEC) an uncalibrated detector is shown at
EXAMPLES = ASSETS / "examples"
DATA_SETS = {name.lower(): name for name in paper.DATA_SETS}

STAND_IN = "photograph, not from the test set"
KEPT = 3  # detectors beside the app's own that stay loaded

TraceKey = tuple[str, int, str, Steps]


class Stopped(Exception):
    """A walk was given up because its session asked for something else, or for nothing."""


class TraceCache:
    """The traces used last, bounded in number and memory; safe to share between threads."""

    def __init__(self, traces: int = 64, megabytes: float = 200) -> None:
        self._limit, self._limit_bytes = traces, megabytes * 1e6
        self._traces: OrderedDict[TraceKey, Trace] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @staticmethod
    def key(detector: Detector, image: np.ndarray, k: Steps) -> TraceKey:
        """What a trace depends on: the weights, the noise schedule, the pixels (uint8 (H, W, 3)) and k."""
        weights = detector.info.get("checkpoint_sha256", detector.name)
        pixels = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
        return weights, hash(detector.schedule), pixels, k

    def get(self, key: TraceKey) -> Trace | None:
        """The trace, which becomes the most recent one; None if it is not here."""
        with self._lock:
            if key in self._traces:
                self._traces.move_to_end(key)
            return self._traces.get(key)

    def put(self, key: TraceKey, trace: Trace) -> None:
        """Keep a trace and drop the oldest ones over the limits; the newest always stays."""
        with self._lock:
            self._drop(key)
            self._traces[key] = trace
            self._bytes += size_of(trace)
            while len(self._traces) > 1 and (len(self._traces) > self._limit or self._bytes > self._limit_bytes):
                self._drop(next(iter(self._traces)))

    def _drop(self, key: TraceKey) -> None:
        trace = self._traces.pop(key, None)
        if trace is not None:
            self._bytes -= size_of(trace)

    def __len__(self) -> int:
        return len(self._traces)


def size_of(trace: Trace) -> int:
    """Bytes its tensors hold."""
    return sum(tensor.nbytes for point in trace.points for tensor in (point.x, point.eps))


class Turns:
    """Which k each session wants now, so that a walk nobody waits for any more ends at its next step."""

    def __init__(self, sessions: int = 1000) -> None:
        self._limit = sessions
        self._wanted: OrderedDict[str, Steps | None] = OrderedDict()
        self._lock = threading.Lock()

    def want(self, session: str, k: Steps | None) -> None:
        """From now on this session waits for k; None: for nothing."""
        with self._lock:
            self._wanted[session] = k
            self._wanted.move_to_end(session)
            while len(self._wanted) > self._limit:
                self._wanted.popitem(last=False)

    def wants(self, session: str, k: Steps) -> bool:
        """Whether a walk at k is still waited for."""
        return self._wanted.get(session, k) == k


@dataclass(frozen=True)
class Example:
    """One of the images offered for a first look.

    Attributes:
        name: what a link calls it: the file name without its suffix, after that of the bundle it belongs to, if any.
        origin: "real" or "generated".
        data_set: the one its reals are from, whose model made its generated images.
        stand_in: a photograph from elsewhere, where those of the data set may not be passed on.
    """

    path: Path
    name: str
    origin: str
    data_set: str = "CIFAR-10"
    stand_in: bool = False

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        return STAND_IN if self.stand_in else self.origin


def list_examples(folder: Path = EXAMPLES) -> tuple[Example, ...]:
    """The PNG files named real-*, photograph-* (stand-ins) and generated-*, in this order and by name; empty if there
    is no folder."""
    return tuple(
        Example(path, path.stem, "real" if kind == "photograph" else kind, stand_in=kind == "photograph")
        for kind in ("real", "photograph", "generated")
        for path in sorted(Path(folder).glob(f"{kind}-*.png"))
    )


def bundle_examples(bundle: Path) -> tuple[Example, ...]:
    """The examples that a detector bundle brings; empty if it has none."""
    name = bundle.resolve().name
    return tuple(
        replace(one, name=f"{name}-{one.name}", data_set=DATA_SETS.get(name, name))
        for one in list_examples(bundle / "sedid" / "examples")
    )


@dataclass
class Context:
    """Shared by all tabs of one app.

    Attributes:
        load: opens the app's own detector; called at most once with success.
        examples: images for a first look with the app's own detector.
        menu: the other detectors.
    """

    load: Callable[[], Detector]
    examples: tuple[Example, ...] = ()
    menu: Menu = field(default_factory=Menu)
    traces: TraceCache = field(default_factory=TraceCache)
    turns: Turns = field(default_factory=Turns)
    _detector: Detector | None = None
    _others: OrderedDict[tuple[str, int], Detector] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def detector(self, source: str = DEFAULT) -> Detector:
        """A detector: the app's own, or another one, of which the last few stay loaded.

        A failure is not remembered: a detector made meanwhile is found by the next request.

        Args:
            source: a key of the menu.

        Raises:
            OSError, ValueError: as `load_detector`, or this app may not open it.
        """
        if source != DEFAULT:
            return self._other(source)
        with self._lock:
            if self._detector is None:
                self._detector = self.load()
            return self._detector

    def examples_of(self, source: str = DEFAULT) -> tuple[Example, ...]:
        """The images to look at with a detector: those of its bundle, the app's where it has none.

        Raises:
            ValueError: this app may not open it.
        """
        own = source == DEFAULT
        return (() if own else bundle_examples(Path(self.menu.place(source)[1]))) or self.examples

    def _other(self, source: str) -> Detector:
        key = self.menu.stamp(source)
        found = self._others.get(key)
        if found is None:
            with self._opening:
                found = self._others.get(key) or self.menu.open(source)  # another visitor may have waited for it too
                self._others[key] = found
        with suppress(KeyError):  # dropped by another visitor meanwhile
            self._others.move_to_end(key)
        while len(self._others) > KEPT:
            with suppress(KeyError):
                self._others.popitem(last=False)
        return found

    def warm_up(self) -> None:
        """Load the detector in the background, so that the page is served at once."""

        def load() -> None:
            try:
                detector = self.detector()
                k, t_sec = detector.chosen or START
                if self.examples:
                    detector.judge(self.walk(as_seen(detector, self.examples[0].path)[0], k), t_sec)
            except (OSError, ValueError):
                pass  # the page says so when it asks

        threading.Thread(target=load, name="warm-up", daemon=True).start()

    def walk(
        self,
        image: np.ndarray,
        k: Steps,
        session: str | None = None,
        report: Callable[[int, int], None] | None = None,
        source: str = DEFAULT,
    ) -> Trace:
        """The trace of an image, uint8 (H, W, 3), at k: from the cache, or walked now.

        Args:
            session: whose wish it is; the walk ends early when the session wants another k.
            report: told (points done, points in all) after each one.
            source: the detector, as `detector`.

        Raises:
            Stopped: the session did not wait for it.
            OSError, ValueError: as `detector`, or k does not fit the schedule.
            gr.Error: the visitor has had their share (`access.charge`).
        """
        detector = self.detector(source)
        key = self.traces.key(detector, image, k)
        trace = self.traces.get(key)
        if trace is not None:
            return trace
        total = detector.evaluations(k)
        access.charge(total)
        steps = detector.trace(image, k)
        done = 0
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                trace = stop.value
                break
            done += 1
            if session is not None and not self.turns.wants(session, k):
                raise Stopped
            if report is not None:
                report(done, total)
        self.traces.put(key, trace)
        return trace

    def judge(
        self,
        images: np.ndarray,
        k: Steps,
        t_sec: int,
        source: str = DEFAULT,
        session: str | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> list[Judgement]:
        """Both verdicts on any number of images, uint8 (N, H, W, 3), walked now in batches; no trace is kept.

        Args:
            session, report: as `walk`; told after every evaluation of a batch.

        Raises:
            Stopped, OSError, ValueError: as `walk`.
        """

        def watch(done: int, total: int) -> None:
            if session is not None and not self.turns.wants(session, k):
                raise Stopped
            if report is not None:
                report(done, total)

        detector = self.detector(source)
        access.charge(len(images) * detector.evaluations(k, detector.reach(k, t_sec)))
        return judge_in_batches(detector, images, k, t_sec, watch)

    def score(self, images: np.ndarray, ks: Sequence[Steps], source: str = DEFAULT) -> tuple[Scores, np.ndarray | None]:
        """t-errors at every T_SEC of every k, and the classifier's probabilities, of a few images (`loops.score`).

        Raises:
            OSError, ValueError: as `walk`.
        """
        detector = self.detector(source)
        access.charge(len(images) * sum(map(detector.evaluations, ks)))
        return finish(score(detector, images, ks, batch_size=max(1, len(images))))

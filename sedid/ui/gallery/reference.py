"""The reference set of the Gallery tab: its scores, read from a file or made slice by slice, and its order and filters.

Scores that no file holds are made for all visitors together: whoever watches moves the one computation on by a second's
work, then others' pictures have their turn. It pauses while nobody watches, and is gone with the app.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from sedid.detector.detector import GENERATED, REAL, Call, Detector
from sedid.progress import Progress
from sedid.studies.reference_scores import (
    FILE,
    LABELS,
    Gallery,
    Judged,
    joined,
    judged,
    read_gallery,
    stale,
    stated_by,
    step_sizes,
)
from sedid.ui.context import Context
from sedid.ui.detectors import KEPT
from sedid.ui.examples import Example
from sedid.ui.known import known_pictures
from sedid.ui.recent import Recent
from sedid.ui.results.files import find_results

SLICE = 16  # images scored at a time, at most
LEAST = 4  # at a time: taken one by one while many visitors are served, they would compete with single pictures
SECONDS = 1.0  # of work, until others have their turn

SORTS = {
    "both kinds in turn": "turns",
    "t-error (STAT)": "t_error",
    "probability of “generated” (NN)": "probability",
    "disagreement of STAT and NN": "apart",
    "real or generated": "label",
}
FILTERS = {
    "all": "",
    "STAT is right": "stat right",
    "STAT is wrong": "stat wrong",
    "STAT cannot tell": f"stat {Call.UNDECIDED}",
    "STAT: outside the range": f"stat {Call.OUTSIDE}",
    "NN is right": "nn right",
    "NN is wrong": "nn wrong",
    "NN cannot tell": f"nn {Call.UNDECIDED}",
    "NN: outside the range": f"nn {Call.OUTSIDE}",
    "STAT and NN disagree": "disagree",
}
"""What the page calls them -> their keys."""


@dataclass(frozen=True)
class Reference:
    """The reference set as one detector judges it.

    Attributes:
        images: uint8 (N, H, W, 3) by label.
        rows: what is said of each, reals first.
        apart: float64 (len(rows),): how far apart STAT and NN place the image, 0 to 1 (`disagreement`).
    """

    images: dict[str, np.ndarray] = field(repr=False)
    rows: list[Judged] = field(repr=False)
    apart: np.ndarray = field(repr=False)

    def image(self, row: Judged) -> np.ndarray:
        """The pixels of a row, uint8 (H, W, 3)."""
        return self.images[row.label][row.place]

    def chosen(self, sort: str = "label", largest: bool = False, label: str = "", verdict: str = "") -> list[int]:
        """The places in `rows` that pass the filters, in order.

        Args:
            sort: a key of SORTS; among equals the order of the set stays.
            largest: the largest value (the last label) first; what has no value comes last either way.
            label: real or generated; "" for both.
            verdict: a key of FILTERS.
        """
        if sort == "turns":  # the first screen shows both, and where it is interesting
            each = [self.chosen("apart", largest, kind, verdict) for kind in LABELS if label in ("", kind)]
            return [place for turn in zip_longest(*each) for place in turn if place is not None]
        kept = [
            place
            for place, row in enumerate(self.rows)
            if label in ("", row.label) and (not verdict or verdict in outcomes(row))
        ]
        if sort == "label":
            return sorted(kept, key=lambda place: LABELS.index(self.rows[place].label) * (-1 if largest else 1))
        values = self.apart if sort == "apart" else [getattr(self.rows[place], sort) for place in range(len(self.rows))]
        known = [place for place in kept if values[place] is not None and np.isfinite(values[place])]
        ordered = sorted(known, key=lambda place: values[place] * (-1 if largest else 1))
        with_value = set(known)
        return ordered + [place for place in kept if place not in with_value]


def next_slice(progress: Progress, seconds: float, most: int) -> int:
    """How many images to take on at once: about what is done in `seconds`, but LEAST at least; so many at first."""
    return int(min(max(progress.per_second * seconds, LEAST), most))


def outcome(call: Call | None, label: str) -> str:
    """What a call comes to: right or wrong; itself where it is neither "real" nor "generated"; "" where there is none."""
    return call or "" if call not in (REAL, GENERATED) else "right" if call == label else "wrong"


def opposite(calls: Sequence[Call | None]) -> bool:
    """Whether one verdict is "real" and the other "generated"."""
    return set(calls) == {REAL, GENERATED}


def outcomes(row: Judged) -> set[str]:
    """The keys of FILTERS that a row passes."""
    found = {f"stat {outcome(row.stat, row.label)}", f"nn {outcome(row.nn, row.label)}"}
    return found | {"disagree"} if opposite((row.stat, row.nn)) else found


def disagreement(t_errors: np.ndarray, probabilities: np.ndarray, polarity: str) -> np.ndarray:
    """How far apart two scores place each image among all of them: the difference of its ranks, as shares of 1.

    Ranks, because t-errors and probabilities have no scale in common. Equal scores share the middle of their ranks.

    Args:
        t_errors, probabilities: (N,).
        polarity: "smaller" if a smaller t-error means generated, "larger" otherwise.

    Returns:
        float64 (N,); 0 is the same place, near 1 the opposite end.
    """

    def ranks(values: np.ndarray) -> np.ndarray:
        ordered = np.sort(values)
        below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
        return (below + upto) / (2 * len(values))

    return np.abs(ranks(-t_errors if polarity == "smaller" else t_errors) - ranks(probabilities))


def make_reference(detector: Detector, images: dict[str, np.ndarray], found: Gallery) -> Reference:
    """The set with the scores that belong to it."""
    rows = judged(found, detector, images)
    apart = np.full(len(rows), np.nan)
    if all(row.probability is not None for row in rows):
        stat = detector.stat.get(detector.pair())
        t_errors = np.array([row.t_error for row in rows])
        probabilities = np.array([row.probability for row in rows])
        apart = disagreement(t_errors, probabilities, stat.polarity if stat else "smaller")
    return Reference(images, rows, apart)


class Computation:
    """Scores of the reference set in the making, for all visitors together."""

    def __init__(self, context: Context, detector: Detector, images: dict[str, np.ndarray]) -> None:
        self.context, self.detector, self.images = context, detector, images
        self.parts: dict[str, list[Any]] = {label: [] for label in images}
        self.done, self.total = 0, sum(map(len, images.values()))
        self.worked = 0.0
        self._lock = threading.Lock()

    def advance(self) -> None:
        """Work for about a second; a visitor who comes while another's second is under way waits for it.

        Raises:
            OSError, ValueError: as `Traces.score`.
        """
        with self._lock:
            began = time.monotonic()
            while self.done < self.total and time.monotonic() - began < SECONDS:
                self._slice()
            self.worked += time.monotonic() - began

    def _slice(self) -> None:
        before, size = self.done, next_slice(self.progress(), SECONDS, SLICE)
        for label, images in self.images.items():
            if before < len(images):
                part = images[before : before + size]
                self.parts[label].append(self.context.traces.score(self.detector, part, step_sizes(self.detector)))
                self.done += len(part)
                return
            before -= len(images)

    def progress(self) -> Progress:
        """How far it is; the time left is that of the work alone."""
        speed = self.done / self.worked if self.worked else 0.0
        left = (self.total - self.done) / speed if speed else 0.0
        return Progress("scoring the reference set", self.done, self.total, "images", speed, left, {})

    def result(self) -> Gallery:
        """The scores, once all are there."""
        whole = {label: joined(parts) for label, parts in self.parts.items()}
        known = {label: probabilities for label, (_, probabilities) in whole.items() if probabilities is not None}
        stated = stated_by(self.detector, self.images)
        return Gallery(stated, {label: scores for label, (scores, _) in whole.items()}, known)


class Shelf:
    """The reference set of one detector, for all visitors together.

    Attributes:
        known: its pictures.
        computation: of the scores, while it is under way.
        why: a file that was found does not count, as the end of a sentence; "" where none was found.

    Args:
        examples: those of its bundle.
    """

    def __init__(self, context: Context, detector: Detector, examples: tuple[Example, ...]) -> None:
        self.context, self.detector = context, detector
        self.known = known_pictures(detector, examples)
        self.computation: Computation | None = None
        self.why = ""
        self._reference: Reference | None = None
        self._lock = threading.Lock()

    def reference(self) -> Reference | None:
        """The scored set: from memory, or from the first file that belongs to this very detector; None without."""
        with self._lock:
            if self._reference is None:
                found = self._read()
                if found is None and self.computation and self.computation.done == self.computation.total:
                    found = self.computation.result()
                if found is not None:
                    self._reference, self.computation = make_reference(self.detector, self.known.images, found), None
            return self._reference

    def _read(self) -> Gallery | None:
        reasons = []
        for file in find_results(self.context.menu.own, FILE).values():
            try:
                found = read_gallery(file)
            except (OSError, ValueError):
                continue  # as good as none
            reasons.append(stale(found, self.detector, self.known.images))
            if not reasons[-1]:
                return found
        self.why = reasons[0] if reasons and not self.known.brought else ""
        return None

    def compute(self) -> Computation:
        """The computation under way, or a new one."""
        with self._lock:
            if self.computation is None:
                self.computation = Computation(self.context, self.detector, self.known.images)
            return self.computation


class Library:
    """The reference sets of an app's detectors, those looked at last."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._shelves: Recent[str, Shelf] = Recent(1 + KEPT)

    def shelf(self, source: str) -> Shelf:
        """The set of a detector; another one once it was calibrated anew.

        Args:
            source: its key.

        Raises:
            OSError, ValueError: as `Detectors.get`, or the pictures cannot be read.
        """
        detector = self.context.detectors.get(source)
        found = self._shelves.get(source)
        if found is None or found.detector is not detector:
            found = Shelf(self.context, detector, self.context.own_examples(source))
            self._shelves.put(source, found)
        return found

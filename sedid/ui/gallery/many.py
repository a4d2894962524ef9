"""Many uploaded files judged one after another: what is read of them, what is kept of each, and the table as CSV.

Nothing is written to the disk. Of an image only what the detector saw stays, as long as the visitor's page is open.
"""

import csv
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sedid.data.images import ImageError
from sedid.data.sources import Row, Source, open_zip, read_files
from sedid.detector.batches import METHODS, calls, verdict_of
from sedid.detector.csv_file import COLUMNS, safe_cell, table_row
from sedid.detector.detector import Call, Detector, Judgement
from sedid.method.diffusion import Steps
from sedid.progress import Progress
from sedid.report.pictures import data_uri
from sedid.ui.gallery.reference import next_slice, opposite

MOST = 500  # images of a batch
MOST_IN_ZIP = 5_000  # files of a zip, images or not
UNPACKED = 500_000_000  # bytes of a zip
SLICE = 16  # images judged at a time, at most
SECONDS = 0.8  # of work, until others have their turn

Judge = Callable[[Detector, np.ndarray, Steps, int], list[Judgement]]
"""`Traces.judge`."""


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        place: in the batch, from 0.
        name: of the file; with the zip's name in front of what lies in one.
        seen: what the detector saw, a data URI; "" where it saw nothing.
        notes: what preprocessing did.
        judgement: both verdicts; None where the file could not be read.
        refused: why it could not be read; "" if it could.
    """

    place: int
    name: str
    seen: str
    notes: tuple[str, ...]
    judgement: Judgement | None
    refused: str = ""

    def call(self, method: str) -> Call | None:
        """What STAT or NN says; None where nothing is calibrated, or the file could not be read."""
        verdict = verdict_of(self.judgement, method) if self.judgement else None
        return verdict.call if verdict else None

    @property
    def disagree(self) -> bool:
        """Whether one verdict is "real" and the other "generated"."""
        return opposite([self.call(method) for method in METHODS])


class Batch:
    """A visitor's files on their way through the detector. The detector's own pair of k and T_SEC is used.

    Args:
        files: images of any format and zips of images.
        names: what their owner calls them, where that is not the name of the file.
    """

    def __init__(self, detector: Detector, files: Sequence[Path], names: Sequence[str] = ()) -> None:
        self.detector, (self.k, self.t_sec) = detector, detector.pair()
        self.size, self.crop = detector.size, detector.center_crop
        self.lines: list[Line] = []
        self.stopped = False
        self.order, self.descending, self.page = "place", False, 0  # how the visitor wants to see it
        called = names or [file.name for file in files]
        sources = [(file, name, self._open(file)) for file, name in zip(files, called, strict=True)]
        found = sum(source.count if isinstance(source, Source) else 1 for *_, source in sources)
        self.total, self.left_out = min(found, MOST), max(found - MOST, 0)
        self._rows = islice(self._read(sources), self.total)
        self._worked = 0.0
        self._lock = threading.Lock()

    def _open(self, file: Path) -> Source | ImageError:
        if file.suffix.lower() != ".zip":

            def read(start: int, stop: int) -> Iterator[Row]:
                return read_files([file.name], lambda _: file, str(file.parent), self.size, self.crop, start, stop)

            return Source(1, read)
        try:
            return open_zip(file, self.size, self.crop, None, MOST_IN_ZIP, UNPACKED)
        except ImageError as error:
            return error

    def _read(self, sources: Sequence[tuple[Path, str, Source | ImageError]]) -> Iterator[Row]:
        for file, called, source in sources:

            def told(text: object, file: Path = file, called: str = called) -> str:
                """A text that begins with the file: by its owner's name for it, without the folder of this machine."""
                short = str(text).replace(f"{file.parent}/", "")
                return called + short.removeprefix(file.name) if short.startswith(file.name) else short

            if isinstance(source, ImageError):
                yield called, 0, ImageError(told(source)), None
                continue
            try:
                for name, index, image, facts in source.read(0, source.count):
                    short = ImageError(told(image)) if isinstance(image, ImageError) else image
                    yield told(name), index, short, facts
            except ImageError as error:  # the zip is gone, or was exchanged
                yield called, 0, ImageError(told(error)), None

    @property
    def done(self) -> bool:
        """Whether no more lines will come."""
        return self.stopped or len(self.lines) >= self.total

    def advance(self, judge: Judge) -> None:
        """Read and judge for about a second.

        Raises:
            OSError, ValueError: as `judge`.
        """
        with self._lock:
            began, size = time.monotonic(), next_slice(self.progress(), SECONDS, SLICE)
            while not self.done and time.monotonic() - began < SECONDS:
                taken: list[Row] = []
                for row in self._rows:
                    taken.append(row)
                    if len(taken) == size or time.monotonic() - began > SECONDS:
                        break
                if not taken:  # a zip broke off
                    self.total = len(self.lines)
                seen = [image for _, _, image, _ in taken if not isinstance(image, ImageError)]
                found = iter(judge(self.detector, np.stack(seen), self.k, self.t_sec) if seen else ())
                for name, _, image, facts in taken:
                    place = len(self.lines)
                    if isinstance(image, ImageError):
                        self.lines.append(Line(place, name, "", (), None, str(image)))
                    else:
                        notes = facts.notes if facts else ()
                        self.lines.append(Line(place, name, data_uri(image), notes, next(found)))
            self._worked += time.monotonic() - began

    def progress(self) -> Progress:
        """How far it is; the time left is that of the work alone."""
        done = len(self.lines)
        speed = done / self._worked if self._worked else 0.0
        left = (self.total - done) / speed if speed else 0.0
        return Progress("judging", done, self.total, "files", speed, left, {})

    def counts(self) -> dict[str, Counter[Call]]:
        """How many images got which call, by method."""
        judged = [line.judgement for line in self.lines if line.judgement]
        return {method: calls(judged, method) for method in METHODS}

    def ordered(self) -> list[Line]:
        """The lines as the visitor wants them; what has no such value comes last."""
        known = [line for line in self.lines if sort_key(line, self.order) is not None]
        ordered = sorted(known, key=lambda line: sort_key(line, self.order), reverse=self.descending)
        return ordered + [line for line in self.lines if sort_key(line, self.order) is None]

    def sort(self, column: str) -> None:
        """Sort by a column; once more: the other way round."""
        if column in SORTABLE:
            self.descending = column == self.order and not self.descending
            self.order, self.page = column, 0

    def table(self) -> str:
        """The lines in the order of the files, as CSV: the columns of `score_files`, and the notes."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([*COLUMNS, "notes"])
        for line in self.lines:
            found = line.judgement or ImageError(line.refused)
            row = table_row(line.name, line.place, found, self.k, self.t_sec)
            writer.writerow([*row, safe_cell("; ".join(line.notes))])
        return buffer.getvalue()


SORTABLE = ("place", "name", "stat", "stat call", "nn", "nn call")


def sort_key(line: Line, column: str) -> Any:
    """What a line is sorted by in a column of SORTABLE; None where it has no such value."""
    if column == "place":
        return line.place
    if column == "name":
        return line.name.lower()
    method, _, of_call = column.partition(" ")
    if of_call:
        return line.call(method.upper())
    if line.judgement is None:
        return None
    if method == "stat":
        return line.judgement.t_error
    return line.judgement.nn.score if line.judgement.nn else None

"""Score any number of images into a CSV file: batches in, rows out, memory bounded by the batch.

Several processes (`sedid.processes`) read all images and judge every so many-th batch each; the main one writes.
"""

import csv
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from sedid import processes
from sedid.data.datasets import iter_items, open_sets
from sedid.data.images import ImageError
from sedid.data.outputs import TABLE, UNFINISHED, check_file
from sedid.data.sources import Item, passed_over
from sedid.detector.batches import judge_in_batches
from sedid.detector.detector import Detector, Judgement
from sedid.method.diffusion import Steps, write_steps
from sedid.progress import Meter, Progress
from sedid.storage import behind_links, is_stream, space_for, stream

COLUMNS = (
    *("path", "index", "stat_score", "stat_verdict", "nn_probability", "nn_verdict"),
    *("t_sec", "k", "in_range", "error", "nn_t_sec", "nn_in_range", "stat_side", "nn_side"),
)
"""The verdicts are what may be said (`Call`), the sides where the scores lie whatever may be said. `t_sec` and `in_range`
are STAT's; NN is read at its own T_SEC, and what lies beyond it was not asked of STAT. `k` has the path where steps are
not all of one size."""


REASONS = 3  # told of images that could not be read; the table has all


@dataclass(frozen=True)
class ScoreSummary:
    """What a run came to.

    Attributes:
        judged, failed: images judged, and items that could not be read.
        file: where the table is.
        reasons: why the first items could not be read, each once.
        passed_over: files in the folders and zips that are no pictures.
    """

    judged: int
    failed: int
    file: Path
    reasons: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    def in_words(self) -> list[str]:
        """What the run came to, a line each."""
        judged = "1 image judged" if self.judged == 1 else f"{self.judged:,} images judged"
        if self.failed and not self.judged:
            judged = "no image could be read, so none was judged"
        elif self.failed:
            judged += f", {self.failed:,} could not be read: see the column error"
        others = [f"{line}." for line in [passed_over(self.passed_over)] if line]
        return [f"{judged}; {self.file}", *(self.reasons if not self.judged else ()), *others]


def judged_cells(detector: Detector, batch: Sequence[Item], k: Steps, t_sec: int) -> list[list[object]]:
    """The cells of every image of a batch that could be read."""
    images = [image for _, _, image in batch if not isinstance(image, ImageError)]
    found = judge_in_batches(detector, np.array(images), k, t_sec, batch=max(1, len(images)))
    return [_cells(judgement) for judgement in found]


def table_row(path: str, index: int, found: Judgement | list[object] | Exception, k: Steps, t_sec: int) -> list[object]:
    """The cells of COLUMNS for one image.

    Args:
        found: what was judged, the cells of it (`judged_cells`), or why the image could not be read.
    """
    if isinstance(found, Exception):
        return [safe_cell(path), index, *[""] * 4, t_sec, write_steps(k), "", safe_cell(str(found)), *[""] * 4]
    return [safe_cell(path), index, *(_cells(found) if isinstance(found, Judgement) else found)]


def safe_cell(words: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front."""
    return f"'{words}" if words.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else words


def score_files(
    detector: Detector,
    specs: Sequence[str],
    out: Path,
    k: Steps | None = None,
    t_sec: int | None = None,
    batch_size: int = 32,
    force: bool = False,
) -> Generator[Progress, None, ScoreSummary]:
    """Judge every image of the data sets (`sedid.data.datasets`) and write one row each, in their order.

    Rows go to `out` + ".part" as they come; the file takes its name when the run is complete. Into a pipe or a device they
    go at once. An image that cannot be read becomes a row with its error. Verdicts are empty where (k, T_SEC) is not
    calibrated.

    Args:
        force: write over a file that is no table of this program.

    Raises:
        ValueError: (k, T_SEC) as `check_step`, a batch size below 1, or `out` as
            `outputs.check_file`.
        OSError: the table cannot be written, or must not be.
    """
    k, t_sec = detector.pair(k, t_sec)
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, not {batch_size}")
    out = behind_links(out)
    part = out.with_name(out.name + ".part")
    processes.on_main(_check, part, out, specs, force)
    sets = open_sets(specs, detector.size, detector.center_crop)
    meter = Meter("scoring", sum(opened.count for opened in sets), "images")
    failed = done = 0
    reasons: dict[str, None] = {}
    items = iter_items(sets)
    with space_for(out), _rows(part, out) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        while read := list(islice(items, batch_size * processes.count())):
            batches = [read[start : start + batch_size] for start in range(0, len(read), batch_size)]
            mine = [judged_cells(detector, batch, k, t_sec) for batch in processes.share(batches)]
            cells = chain.from_iterable(processes.gathered(mine))
            for path, index, image in read:
                if isinstance(image, ImageError):
                    failed += 1
                    if len(reasons) < REASONS:
                        reasons[str(image)] = None
                found = image if isinstance(image, ImageError) else next(cells)
                writer.writerow(table_row(path, index, found, k, t_sec))
            file.flush()
            done += len(read)
            yield meter.at(done, errors=failed)
    processes.on_main(_finish, part, out)
    others = tuple(chain.from_iterable(opened.source.passed_over for opened in sets))
    return ScoreSummary(done - failed, failed, out, tuple(reasons), others)


def _check(part: Path, out: Path, specs: Sequence[str], force: bool) -> None:
    check_file(out, TABLE, specs, force)
    if not is_stream(out):
        check_file(part, UNFINISHED, specs, force)


@contextmanager
def _rows(part: Path, out: Path) -> Iterator[TextIO]:
    """Where the rows go: `part`, which becomes `out` at the end, or a stream at once; nowhere but in the main process."""
    # a file name that is not UTF-8 is written with escapes rather than ending the run
    how: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    if not processes.is_main():
        with Path(os.devnull).open("w", **how) as file:
            yield file
    elif is_stream(out):
        with stream(out) as raw, TextIOWrapper(raw, **how) as file:
            yield file
    else:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", **how) as file:
            yield file


def _finish(part: Path, out: Path) -> None:
    if not is_stream(out):
        part.replace(out)


def _cells(judgement: Judgement) -> list[object]:
    stat, nn = judgement.stat, judgement.nn
    return [
        repr(judgement.t_error),
        stat.call if stat else "",
        repr(nn.score) if nn else "",
        nn.call if nn else "",
        judgement.t_sec,
        write_steps(judgement.k),
        str(stat.in_range).lower() if stat else "",
        "",
        nn.calibration.t_sec if nn else "",
        str(nn.in_range).lower() if nn else "",
        stat.side if stat else "",
        nn.side if nn else "",
    ]

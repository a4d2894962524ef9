"""Score any number of images into a CSV file: batches in, rows out, memory bounded by the batch.

Several processes (`sedid.processes`) read all images and judge every so many-th batch each; the main one writes.
"""

import csv
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from sedid import processes
from sedid.data import count_items, iter_items
from sedid.detectors import Detector, Judgement
from sedid.images import ImageError
from sedid.judging import judge_in_batches
from sedid.progress import Meter, Progress
from sedid.sources import Item
from sedid.storage import space_for

COLUMNS = (
    *("path", "index", "stat_score", "stat_verdict", "nn_probability", "nn_verdict"),
    *("t_sec", "k", "in_range", "error", "nn_t_sec", "nn_in_range", "stat_side", "nn_side"),
)
"""The verdicts are what may be said (`Call`), the sides where the scores lie whatever may be said. `t_sec` and `in_range`
are STAT's; NN is read at its own T_SEC, and what lies beyond it was not asked of STAT."""


@dataclass(frozen=True)
class ScoreSummary:
    """What a run came to: images judged, items that could not be read, where the table is."""

    judged: int
    failed: int
    file: Path


def judged_cells(detector: Detector, batch: Sequence[Item], k: int, t_sec: int) -> list[list[object]]:
    """The cells of every image of a batch that could be read."""
    images = [image for _, _, image in batch if not isinstance(image, ImageError)]
    found = judge_in_batches(detector, np.array(images), k, t_sec, batch=max(1, len(images)))
    return [_cells(judgement) for judgement in found]


def table_row(path: str, index: int, found: Judgement | list[object] | Exception, k: int, t_sec: int) -> list[object]:
    """The cells of COLUMNS for one image.

    Args:
        found: what was judged, the cells of it (`judged_cells`), or why the image could not be read.
    """
    if isinstance(found, Exception):
        return [safe_cell(path), index, *[""] * 4, t_sec, k, "", safe_cell(str(found)), *[""] * 4]
    return [safe_cell(path), index, *(_cells(found) if isinstance(found, Judgement) else found)]


def safe_cell(words: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front."""
    return f"'{words}" if words.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else words


def score_files(
    detector: Detector,
    specs: Sequence[str],
    out: Path,
    k: int | None = None,
    t_sec: int | None = None,
    batch_size: int = 32,
) -> Generator[Progress, None, ScoreSummary]:
    """Judge every image of the data sets (`sedid.data`) and write one row each, in their order.

    Rows go to `out` + ".part" as they come; the file takes its name when the run is complete. An image that
    cannot be read becomes a row with its error. Verdicts are empty where (k, T_SEC) is not calibrated.

    Raises:
        ValueError: T_SEC is not a multiple of k within the schedule, or a batch size below 1.
        OSError: the table cannot be written.
    """
    k, t_sec = detector.pair(k, t_sec)
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, not {batch_size}")
    meter = Meter("scoring", count_items(specs, detector.size, detector.center_crop), "images")
    part = out.with_name(out.name + ".part")
    processes.on_main(_begin, part)
    written = part if processes.is_main() else Path(os.devnull)
    failed = done = 0
    items = iter_items(specs, detector.size, detector.center_crop)
    # a file name that is not UTF-8 is written with escapes rather than ending the run
    with space_for(out), written.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        while read := list(islice(items, batch_size * processes.count())):
            batches = [read[start : start + batch_size] for start in range(0, len(read), batch_size)]
            mine = [judged_cells(detector, batch, k, t_sec) for batch in processes.share(batches)]
            cells = chain.from_iterable(processes.gathered(mine))
            for path, index, image in read:
                failed += isinstance(image, ImageError)
                found = image if isinstance(image, ImageError) else next(cells)
                writer.writerow(table_row(path, index, found, k, t_sec))
            file.flush()
            done += len(read)
            yield meter.at(done, errors=failed)
    processes.on_main(part.replace, out)
    return ScoreSummary(done - failed, failed, out)


def _begin(part: Path) -> None:
    """Create the file, or say why it cannot be."""
    part.parent.mkdir(parents=True, exist_ok=True)
    part.open("w").close()


def _cells(judgement: Judgement) -> list[object]:
    stat, nn = judgement.stat, judgement.nn
    return [
        repr(judgement.t_error),
        stat.call if stat else "",
        repr(nn.score) if nn else "",
        nn.call if nn else "",
        judgement.t_sec,
        judgement.k,
        str(stat.in_range).lower() if stat else "",
        "",
        nn.calibration.t_sec if nn else "",
        str(nn.in_range).lower() if nn else "",
        stat.side if stat else "",
        nn.side if nn else "",
    ]

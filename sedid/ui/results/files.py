"""What the tabs that show results share: which results there are, and files to download."""

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sedid import settings
from sedid.detector.bundle import SHIPPED, called
from sedid.escaping import written_by
from sedid.storage import replacing
from sedid.ui.upload import refusal

Own = str | Path
"""Where an app's own detector lies: a bundle folder or a Hub id (`Menu.own`)."""

BELOW_A_RUN = ("", "sedid", "bundle/sedid")


def runs_folder() -> Path:
    """Where jobs keep their runs."""
    return settings.read().runs.absolute()


def find_results(own: Own, name: str, runs: Path | None = None) -> dict[str, Path]:
    """The results files of one name: what the page calls them -> where they are; the app's own detector first.

    Args:
        own: the app's own detector.
        name: results.json, sweep.json or that of a study.
        runs: the runs folder; default: `runs_folder`.
    """
    runs = runs_folder() if runs is None else runs
    shipped = (called(SHIPPED, SHIPPED), "shipped", SHIPPED / "sedid" / name)
    mine = (Path(own).name, "own", Path(own) / "sedid" / name)
    places = [shipped] if Path(own).resolve() == SHIPPED.resolve() else [mine, shipped]
    places += [
        (folder.name, "checkpoints", folder / "sedid" / name)
        for folder in sorted(SHIPPED.parent.glob("*"))
        if folder != SHIPPED
    ]
    for folder in sorted(runs.iterdir()) if runs.is_dir() else []:
        if (file := results_file(folder, name)) is not None:
            places.append((folder.name, "runs", file))
    found: dict[str, Path] = {}
    seen = set()
    for label, where, file in places:
        if file.is_file() and file.resolve() not in seen:  # the app's own detector may be one of the others
            seen.add(file.resolve())
            found[label if label not in found else f"{label} ({where})"] = file
    return found


@contextmanager
def readable(command: str, file: Path) -> Iterator[None]:
    """Within it, whatever a results file lacks or has of another kind becomes a sentence that the visitor reads.

    Raises:
        gr.Error: the sentence.
    """
    try:
        with written_by(command, file):
            yield
    except (OSError, ValueError) as error:
        raise refusal(error) from error


def results_file(run: Path, name: str) -> Path | None:
    """The results file of this name in a run folder; None if there is none."""
    return next((run / place / name for place in BELOW_A_RUN if (run / place / name).is_file()), None)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as CSV; what was not measured is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


@cache
def exports() -> tempfile.TemporaryDirectory[str]:
    """A folder for exports where the app that serves the page has named none; it goes with the process."""
    return tempfile.TemporaryDirectory(prefix="sedid-export-")


def write_texts(files: Mapping[str, str]) -> list[Path]:
    """Write texts by file name into a new folder, from where Gradio takes them; it lives as long as uploads do."""
    folder = Path(tempfile.mkdtemp(dir=settings.read().temp or exports().name))
    for name, content in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return [folder / name for name in files]

"""metrics.jsonl, one JSON object a line: what a kill in the middle of a line costs is that line alone."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"


def read(file: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """The records of a file, in order; none if it is not there. Lines that are no record are passed over.

    Steps that were done again after a stop are counted once, as they were done last.

    Args:
        limit: read at most the last so many bytes.
    """
    file = Path(file)
    if not file.is_file():
        return []
    with file.open("rb") as log:
        start = max(0, file.stat().st_size - limit) if limit else 0
        log.seek(start)
        lines = log.read().splitlines()[1 if start else 0 :]
    records: list[dict[str, Any]] = []
    for text in lines:
        try:
            record = json.loads(text)
            stage, done = _place(record)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        while records and _place(records[-1])[0] == stage and _place(records[-1])[1] >= done:
            records.pop()
        records.append(record)
    return records


def _place(record: dict[str, Any]) -> tuple[str, float]:
    """Where a loop was: its stage, and how much of it was done."""
    return (str(record["stage"]), float(record["done"])) if "stage" in record else ("", float(record["step"]))


@contextmanager
def appending(file: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield a function that writes a record as a line of its own, at once.

    Numbers that are not finite, which JSON does not have, become null.
    """
    file = Path(file)
    with file.open("a+b") as log:
        if log.tell():
            log.seek(-1, 2)
            if log.read(1) != b"\n":  # the line before was cut
                log.write(b"\n")

        def write(record: dict[str, Any]) -> None:
            log.write(json.dumps(_finite(record), allow_nan=False).encode() + b"\n")
            log.flush()

        yield write


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value

"""Progress as one line on stderr: rewritten in place on a terminal, a new line every ten seconds elsewhere.

Of several processes only the main one prints; its records tell of all of them.
"""

import sys
import time
from typing import Any, TextIO

from sedid import processes

EVERY = {True: 0.1, False: 10.0}  # seconds between lines, on a terminal and elsewhere


def duration(seconds: float) -> str:
    """Time in words: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def line(record: Any) -> str:
    """One record (`progress.Progress`, or `TrainProgress` of the DDPM training) as text."""
    if hasattr(record, "stage"):
        stage, done, total, unit, speed = record.stage, record.done, record.total, record.unit, record.per_second
        values = record.values
    else:
        stage, done, total, unit, speed = "training", record.step, record.steps, "images", record.images_per_second
        values = {"loss": record.loss, "learning_rate": record.learning_rate, "heldout_loss": record.heldout_loss}
    measured = "".join(f", {name} {value:.4g}" for name, value in values.items() if value is not None)
    share = f" ({100 * done / total:.0f} %)" if total else ""
    pace = f", {speed:,.3g} {unit}/s, {duration(record.eta_seconds)} left" if speed else ""
    return f"{stage}: {done:,} of {total:,}{share}{pace}{measured}"


class ProgressLine:
    """Prints records handed to `show`; use as a context manager, which ends the line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._next = 0.0
        self._last = ""

    def show(self, record: Any) -> None:
        """Print the record if it is time to."""
        if not processes.is_main():
            return
        self._last = line(record)
        if time.monotonic() >= self._next:
            self._print()

    def _print(self) -> None:
        text, self._last = self._last, ""
        self._stream.write(f"\r{text}\x1b[K" if self._live else f"{text}\n")
        self._stream.flush()
        self._next = time.monotonic() + EVERY[self._live]

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._last:  # the final record is always shown
            self._print()
        if self._live and self._next:
            self._stream.write("\n")

"""Progress records, and how a generator that yields them is driven to its result."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

Record = TypeVar("Record")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """How far a loop is.

    Attributes:
        stage: what is being done, a short verb phrase.
        done, total: in `unit`s.
        per_second: units a second since the loop started (or resumed).
        eta_seconds: time left at that speed.
        values: measurements of this moment, by name (loss, learning_rate, ...).
    """

    stage: str
    done: int
    total: int
    unit: str
    per_second: float
    eta_seconds: float
    values: dict[str, float]


class Meter:
    """Makes `Progress` records of one stage."""

    def __init__(self, stage: str, total: int, unit: str, done: int = 0) -> None:
        self.stage, self.total, self.unit, self.done = stage, total, unit, done
        self._began, self._began_done = time.monotonic(), done

    def at(self, done: int, **values: float) -> Progress:
        """The record after `done` units."""
        self.done = done
        speed = (done - self._began_done) / max(time.monotonic() - self._began, 1e-9)
        eta = (self.total - done) / speed if speed else 0.0
        return Progress(self.stage, done, self.total, self.unit, speed, eta, values)


def finish(loop: Generator[Record, Any, Result], report: Callable[[Record], None] | None = None) -> Result:
    """Run a loop to its end and return its result, handing each record to `report`."""
    while True:
        try:
            record = next(loop)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        if report is not None:
            report(record)

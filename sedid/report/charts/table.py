"""A chart as numbers: what its read-out says and what its CSV holds."""

import json
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike

Column = tuple[float | None, ...]


@dataclass(frozen=True)
class Table:
    """A chart as numbers.

    Attributes:
        columns: names of the numbers of a series.
        series: names, each with its numbers, column by column; a series may lack the last columns.
    """

    columns: tuple[str, ...]
    series: tuple[tuple[str, tuple[Column, ...]], ...]

    def json(self) -> str:
        """As the page's script reads it."""
        series = [[name, *columns] for name, columns in self.series]
        return json.dumps({"columns": self.columns, "series": series}, ensure_ascii=False, separators=(",", ":"))


def column(values: ArrayLike) -> Column:
    """Values with six digits, whole numbers whole; None for what is not finite."""
    found: list[float | None] = []
    for value in np.asarray(values, dtype=np.float64).tolist():
        if not np.isfinite(value):
            found.append(None)
        else:
            whole = value == int(value) and abs(value) < 1e15
            found.append(int(value) if whole else float(f"{value:.6g}"))
    return tuple(found)


def plain(words: str) -> str:
    """Words without their HTML."""
    return str(Markup(escape(words)).striptags())

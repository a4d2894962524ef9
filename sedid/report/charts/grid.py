"""A measurement over two settings as a grid of coloured cells, each with its number: k in rows, the timestep across."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from sedid.report.charts.chart import across, attributes, caption, frame
from sedid.report.charts.scale import Scale
from sedid.report.charts.table import Table, column, plain

HEIGHT = 28  # pixels of a row
HOT = 60  # per cent of the colour from which on a cell's number is written in the colour of the page
TINY = 4.5  # per cent of the width below which a cell carries no number on a phone
ROOM = 7  # per cent of the width that a number takes; in a narrower cell it stands upright


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        row: k.
        start, end: what the cell spans on the axis: T_SEC - k and T_SEC.
        value: None where it could not be measured.
        words: the cell in words.
        frame: chosen or best, if the cell is stressed.
    """

    row: int
    start: float
    end: float
    value: float | None
    words: str
    frame: str = ""


@dataclass(frozen=True)
class Grid:
    """A grid; a cell is a place to go to (`sed-go`) on the page.

    Attributes:
        title: what is measured.
        rows: what the rows are.
        x: the axis across.
    """

    title: str
    cells: Sequence[Cell]
    x: Scale
    rows: str = "k"

    @property
    def range(self) -> tuple[float, float] | None:
        """The smallest and the largest value; None where nothing was measured."""
        found = [cell.value for cell in self.cells if cell.value is not None]
        return (min(found), max(found)) if found else None

    @property
    def digits(self) -> int:
        """How many digits tell the values apart."""
        low, high = self.range or (0.0, 1.0)
        return 2 if high - low >= 0.05 else 3

    def heat(self, value: float) -> float:
        """How much of the colour a value gets, 0 .. 100: over the range of the values there are."""
        low, high = self.range or (0.0, 1.0)
        return 100 * (value - low) / (high - low) if high > low else 50.0

    def table(self) -> Table:
        """The numbers of the cells."""
        values = [np.nan if cell.value is None else cell.value for cell in self.cells]
        rows, ends = [cell.row for cell in self.cells], [cell.end for cell in self.cells]
        columns = (column(rows), column(ends), column(values))
        return Table((plain(self.rows), plain(self.x.column), "value"), ((plain(self.title), columns),))

    def html(self) -> Markup:
        """The figure."""
        rows = sorted({cell.row for cell in self.cells})
        names = "".join(
            f'<text class="ch-y" x="-7" y="{HEIGHT * (place + 0.5):g}" dy=".35em">{row}</text>'
            for place, row in enumerate(rows)
        )
        drawn = "".join(
            self._cell(cell, rows.index(cell.row)) for cell in sorted(self.cells, key=lambda cell: bool(cell.frame))
        )
        scale = "n/a" if self.range is None else "{:.3f}<i> to </i>{:.3f}".format(*self.range)
        label = f"{plain(self.title)} by {plain(self.rows)} and {plain(self.x.column)}, a cell each"
        data = {"data-kind": "grid", "data-chart": self.table().json()}
        return Markup(
            f'<figure class="chart ch-grid"{attributes(data)}>{caption(self.title).replace("</figcaption>", "")} <small class="ch-ramp">{scale}</small></figcaption>'
            f'<div class="ch-plot" style="height:{HEIGHT * len(rows)}px"><svg class="ch-svg" role="img" aria-label="{escape(label)}">'
            f'{across(self.x)}{names}{drawn}{frame(True)}</svg></div><div class="ch-foot">{escape(self.x.name)}</div></figure>'
        )

    __html__ = html

    def _cell(self, cell: Cell, place: int) -> str:
        left, right = (float(self.x.at(value)) for value in (cell.start, cell.end))
        wide, top = right - left, HEIGHT * place
        if cell.value is None:
            kind, style, written = " ch-none", "", "n/a"
        else:
            heat = self.heat(cell.value)
            kind, style = " ch-hot" if heat >= HOT else "", f' style="--heat:{heat:.0f}%"'
            written = f"{cell.value:.{self.digits}f}".removeprefix("0")
        size = " ch-tiny" if wide < TINY else " ch-narrow" if wide < ROOM else ""
        turned = ' transform="rotate(-90)"' if size else ""
        return (
            f'<g class="ch-cell sed-go{kind}{size}{f" ch-{cell.frame}" if cell.frame else ""}"{style} data-k="{cell.row}" '
            f'data-t="{cell.end:g}"><title>{escape(cell.words)}</title><rect x="{left:.2f}%" y="{top}" width="{wide:.2f}%" height="{HEIGHT}"/>'
            f'<svg x="{left + wide / 2:.2f}%" y="{top + HEIGHT / 2:g}"><text dy=".35em"{turned}>{written}</text></svg></g>'
        )


def legend(stressed: dict[str, str]) -> Markup:
    """What stressed cells mean: the `frame` of a cell and the words."""
    keys = "".join(f'<span><i class="ch-{frame}-key"></i>{escape(words)}</span>' for frame, words in stressed.items())
    return Markup(f'<div class="ch-keys">{keys}</div>')

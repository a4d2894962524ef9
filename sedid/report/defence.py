"""A trial of defences as HTML: privacy against quality in one chart, every figure in two tables, and the pictures behind."""

from pathlib import Path

import numpy as np
from markupsafe import Markup

from sedid.method.methods import METHODS
from sedid.report import lead
from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import Series
from sedid.report.html import render
from sedid.results import Setting
from sedid.stats.confounds import Estimate
from sedid.storage import read_arrays
from sedid.studies.defence import DefenceResults, ModelRow, Told, pictures_file

STYLES = ("one", "two", "three", "four")
KINDS = {"members": "members", "heldout": "held-out images"}
WALKS = {"short": "through T_SEC 100 and back (k = 10)", "whole": "through the whole path and back"}


def setting_words(name: str, value: Setting) -> str:
    """A setting of a training, as it is said: dropout 0.3."""
    shown = (
        ", ".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value
    )
    return f"{name.replace('_', ' ')} {shown}"


def trade_off(result: DefenceResults) -> Chart:
    """Privacy against quality: how well members are told, by how far the generated images are from real ones."""
    level = result.finest
    points = [(row.distance[level], row.exposed[1]) for row in result.rows]
    most = max(at for at, _ in points) * 1.15
    lines: list[Series] = [
        Series(row.name, (at,), (found.value,), style, True, (found.low,), (found.high,), line=False)
        for row, (at, found), style in zip(result.rows, points, STYLES, strict=False)
    ]
    if result.chance:
        lines.append(
            Series("other real images, chance", (result.chance.swd[level].mean,) * 2, (0.0, 1.0), "faint dash")
        )
    lines.append(Series("members are not told", (0.0, most), (0.5, 0.5), "faint dots"))
    return Chart(
        "How well members are told from held-out images",
        lines,
        Scale("distance of the generated images from real ones", 0.0, most, column="distance"),
        Scale("AUC", 0.0, 1.0),
        note="AUC of the best score",
    )


def along(result: DefenceResults, what: str, title: str) -> Chart:
    """AUC at every T_SEC, a line a model; `what` is membership or origin."""
    lines = []
    for row, style in zip(result.rows, STYLES, strict=False):
        found: list[Estimate] = [getattr(told, what) for told in row.t_errors.values()]
        ends = [one.low for one in found], [one.high for one in found]
        lines.append(Series(row.name, list(row.t_errors), [one.value for one in found], style, True, *ends))
    lines.append(Series("no difference", (0, 1000), (0.5, 0.5), "faint thin"))
    return Chart(title, lines, Scale("T_SEC", 0, 1000), Scale("AUC", 0.0, 1.0), note="AUC of the t-error")


def told_rows(result: DefenceResults) -> list[tuple[str, list[Told]]]:
    """Name of a score -> what it tells of every model."""
    first = result.rows[0]
    found = [(f"t-error, T_SEC {t_sec}", [row.t_errors[t_sec] for row in result.rows]) for t_sec in first.t_errors]
    return found + [(METHODS[name].title, [row.peers[name] for row in result.rows]) for name in first.peers]


def finding(result: DefenceResults) -> str:
    """What the trial shows, in sentences made of its figures."""
    undefended, *others = result.rows
    name, best = undefended.exposed
    said = [
        f"Without a defence, {name} tells members from held-out images with an AUC of {best} "
        f"after each was seen {undefended.views:,.0f} times."
    ]
    said += [_compared(row, undefended, result.finest) for row in others]
    return " ".join(said)


def _compared(row: ModelRow, undefended: ModelRow, level: int) -> str:
    """One defended model beside the undefended one: whether it hides members, and at what distance."""
    _, own = row.exposed
    _, theirs = undefended.exposed
    if own.high < theirs.low:
        hides = f"hides them better: at most {own}"
    elif own.low > theirs.high:
        hides = f"hides them worse: {own}"
    else:
        hides = f"does not show a difference: {own}, and the intervals overlap"
    apart = row.distance[level] - undefended.distance[level]
    costs = "farther from" if apart > 0 else "nearer to"
    return (
        f"The {row.name} model {hides}; its images are {costs} real ones "
        f"({row.distance[level]:.1f} against {undefended.distance[level]:.1f})."
    )


def galleries(arrays: dict[str, np.ndarray], result: DefenceResults) -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    """Heading -> pictures with their captions; empty where none were kept."""
    from sedid.training.samples import grid_of  # it brings PyTorch, which the page is built without

    if "members" not in arrays:
        return []
    names = [row.name for row in result.rows]
    found = [("Generated images, unselected", [(name, grid_of(arrays[f"{name}_samples"])) for name in names])]
    for kind, words in KINDS.items():
        for walk, through in WALKS.items():
            shown = [("as they are", grid_of(arrays[kind]))]
            shown += [(name, grid_of(arrays[f"{name}_{kind}_{walk}"])) for name in names]
            found.append((f"The first {words}, {through}", shown))
    return found


def whole(result: DefenceResults, arrays: dict[str, np.ndarray]) -> str:
    """All parts; `arrays` are the pictures beside the results."""
    html: Markup = render(
        "defence.html",
        result=result,
        lead=lead.defence(result),
        charts=[
            trade_off(result),
            along(result, "membership", "Members from held-out images"),
            along(result, "origin", "Generated from held-out images"),
        ],
        finding=finding(result),
        told=told_rows(result),
        setting_words=setting_words,
        galleries=galleries(arrays, result),
        KINDS=KINDS,
    )
    return of_source(html, "defence")


def load_defence(file: Path) -> tuple[DefenceResults, dict[str, np.ndarray]]:
    """Read a defence.json, and the pictures beside it (empty where there are none).

    Raises:
        FileNotFoundError, ValueError: as `Results.read` and `read_arrays`.
    """
    return DefenceResults.read(file), read_arrays(pictures_file(file))

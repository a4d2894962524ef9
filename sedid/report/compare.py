"""A comparison of methods as HTML parts: protocol, the table, ROC curves, AUC against cost, tests between methods."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from sedid.method.methods import differences
from sedid.report import lead
from sedid.report.charts.chart import Chart, Spot, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import STYLES, Series, stressed
from sedid.report.evaluation import RESOLUTION, roc_charts
from sedid.report.html import render
from sedid.report.markdown import classifiers, named
from sedid.report.protocol import detector_words, made_by, stated
from sedid.stats.metrics import roc
from sedid.storage import read_arrays
from sedid.studies.comparison import ComparisonResults, MethodRow, Test
from sedid.studies.evaluate import REALS

METRICS = ("auc", "acc", "best_acc", "tpr_at_1", "tpr_at_01")
KINDS = {
    "calibration_real": "calibration reals",
    "calibration_generated": "calibration generated",
    **REALS,
    "generated": "generated images",
}


Scores = Mapping[str, np.ndarray]
"""Oriented scores (methods, images) by set; empty where there are none."""


def load_comparison(file: Path) -> tuple[ComparisonResults, dict[str, np.ndarray]]:
    """Read a compare.json and the scores beside it; {} while there are none.

    Raises:
        FileNotFoundError, ValueError: as `Results.read`, or the scores are damaged.
    """
    found = ComparisonResults.read(file)
    scores = read_arrays(file.with_name("compare-scores.npz"))
    names = scores.pop("methods", np.empty(0)).tolist()
    fits = all(names[: len(rows)] == [row.method for row in rows] for rows in found.rows.values())
    return found, scores if fits else {}  # of another run: the table alone


def reals_of(found: ComparisonResults) -> list[str]:
    """The sets of reals there are rows for: heldout, members."""
    return [name for name in REALS if name in found.rows]


def protocol(found: ComparisonResults) -> Markup:
    """What was measured on what, the costs, and the leak audit's warning."""
    about = found.protocol
    counts = ", ".join(f"{images.count:,} {KINDS.get(name, name)}" for name, images in about.images.items())
    alone = sum(row.evaluations_alone for row in next(iter(found.rows.values()), ()))
    facts = [
        ("Detector", detector_words(about)),
        ("Images", counts),
        ("Polarity, thresholds and classifiers from", found.thresholds_from),
        ("How the test images were generated", made_by(about.generated_by)),
        (
            "Network evaluations an image",
            f"{about.evaluations_per_image} for all methods together"
            + (f", {alone} if each ran alone" if found.done else ""),
        ),
    ]
    return stated(facts, about.splits, [found.audit], about.generated_by)


def short(row: MethodRow, rows: Sequence[MethodRow]) -> str:
    """What a legend calls a method: with its parameters only where another has the same title."""
    return row.title if sum(one.title == row.title for one in rows) == 1 else named(row)


def curves(found: ComparisonResults, scores: Scores, reals: str, method: str) -> list[Series]:
    """ROC curves of all methods, the chosen one bold."""
    return [
        Series(
            short(row, found.rows[reals]), *roc(scores[reals][i], scores["generated"][i])[:2], style_of(i, row, method)
        )
        for i, row in enumerate(found.rows[reals])
    ]


def style_of(place: int, row: MethodRow, method: str) -> str:
    """How a method is drawn in every chart, by its place in the table."""
    style = STYLES[place % len(STYLES)]
    return stressed(style) if row.method == method else style


def cost_chart(rows: Sequence[MethodRow], method: str) -> Chart:
    """AUC against the network evaluations an image costs, one dot a method, the chosen one with its value."""
    decades = int(np.ceil(np.log10(max(2, *(row.evaluations_alone for row in rows)))))
    x = Scale("network evaluations an image, alone (logarithmic)", 1, 10.0**decades, log=True, column="evaluations")
    measured = [(i, row, row.auc) for i, row in enumerate(rows) if row.auc is not None]
    y = Scale("AUC", float(np.floor(10 * min(0.5, *(auc for _, _, auc in measured))) / 10), 1)
    series = [
        Series(short(row, rows), [row.evaluations_alone], [auc], style_of(i, row, method), marked=True, line=False)
        for i, row, auc in measured
    ]
    spots = [Spot(row.evaluations_alone, auc, f"{auc:.3f}") for _, row, auc in measured if row.method == method]
    said = "AUC against network evaluations an image, one dot a method"
    return Chart("AUC against cost", series, x, y, "one dot a method", spots=spots, said=said)


def charts(found: ComparisonResults, scores: Scores, reals: str, method: str) -> list[Chart]:
    """ROC curves of the methods and AUC against cost; none while nothing is scored."""
    rows = found.rows[reals]
    if all(row.auc is None for row in rows):
        return []
    kept = reals in scores and scores[reals].size and scores["generated"].size
    drawn = roc_charts(curves(found, scores, reals, method)) if kept else ()
    return [*drawn, cost_chart(rows, method)]


def tests(found: ComparisonResults, reals: str) -> list[tuple[str, list[tuple[str, Test]]]]:
    """Differences of AUC, paired: the method compared with, and every other one with its test."""
    made = found.tests.get(reals, ())
    titles = {row.method: named(row) for row in found.rows[reals]}
    return [
        (titles[other], [(titles[test.a], test) for test in made if test.b == other])
        for other in dict.fromkeys(test.b for test in made)
    ]


def whole(found: ComparisonResults, scores: Scores, reals: str, method: str) -> Markup:
    """All parts, in order; `reals` is "" where there are no rows yet."""
    parts: dict[str, Any] = {"found": found, "protocol": protocol(found), "KINDS": KINDS, "lead": ""}
    parts["fitted"] = len(next(iter(found.rows.values()), ()))
    if reals:
        rows = found.rows[reals]
        measured = {row.method: row.auc for row in rows if row.auc is not None}
        notes = (classifiers(rows), differences(row.method for row in rows))
        parts |= {
            "rows": rows,
            "lead": lead.comparison(found, reals),
            "reals": reals,
            "best": max(measured, key=measured.__getitem__, default=None),
            "notes": [said for said in notes if said],
            "charts": charts(found, scores, reals, method),
            "tests": tests(found, reals),
            "named": named,
            "METRICS": METRICS,
            "REALS": REALS,
            "RESOLUTION": RESOLUTION,
        }
    return of_source(render("compare.html", **parts), found.protocol.detector, "compare")


def flat_rows(found: ComparisonResults) -> list[dict[str, str | float | None]]:
    """All rows as flat mappings with the same keys, for a table on disk."""
    flat = []
    for reals, rows in found.rows.items():
        for row in rows:
            made: dict[str, str | float | None] = {"reals": reals}
            values = {field.name: getattr(row, field.name) for field in fields(row)}
            made |= {name: value for name, value in values.items() if isinstance(value, str | int | float | None)}
            made["parameters"] = named(row)
            for name in METRICS:
                low, high = row.intervals.get(name) or (None, None)
                made |= {f"{name}_low": low, f"{name}_high": high}
            flat.append(made)
    return flat


def methods_of(found: ComparisonResults, reals: str) -> Sequence[tuple[str, str]]:
    """(words, name) of the methods with a row."""
    return [(named(row), row.method) for row in found.rows[reals]]

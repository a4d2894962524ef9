"""A comparison of methods as HTML parts: protocol, the table, ROC curves, AUC against cost, tests between methods."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from markupsafe import Markup, escape

from sedid.escaping import for_html
from sedid.method.methods import differences
from sedid.report.charts.chart import Chart, Spot, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import STYLES, Series, stressed
from sedid.report.evaluation import RESOLUTION, roc_charts, table
from sedid.report.markdown import classifiers, named
from sedid.report.numbers import between, cell, p_value
from sedid.report.protocol import crossed, detector_words, facts, leaks, made_by, splits
from sedid.stats.metrics import roc
from sedid.storage import read_arrays
from sedid.studies.comparison import ComparisonResults, MethodRow
from sedid.studies.evaluate import REALS

METRICS = {"auc": "AUC", "acc": "ACC", "best_acc": "best ACC", "tpr_at_1": "TPR at<br>FPR 1 %", "tpr_at_01": "TPR at<br>FPR 0.1 %"}  # fmt: skip
STAT = "sedid-stat"
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


def protocol(found: ComparisonResults) -> str:
    """What was measured on what, the costs, and the leak audit's warning."""
    stated = found.protocol
    counts = ", ".join(f"{images.count:,} {KINDS.get(name, name)}" for name, images in stated.images.items())
    alone = sum(row.evaluations_alone for row in next(iter(found.rows.values()), ()))
    shown = [
        ("Detector", detector_words(stated)),
        ("Images", counts),
        ("Polarity, thresholds and classifiers from", found.thresholds_from),
        ("How the test images were generated", made_by(stated.generated_by)),
        (
            "Network evaluations an image",
            f"{stated.evaluations_per_image} for all methods together"
            + (f", {alone} if each ran alone" if found.done else ""),
        ),
    ]
    return facts(shown) + crossed(stated.generated_by) + leaks(found.audit) + splits(stated.splits)


def state(found: ComparisonResults) -> str:
    """How far an unfinished comparison is; empty when it is done."""
    if found.done:
        return ""
    if not any(found.scored.values()):
        fitted = len(next(iter(found.rows.values()), ()))
        return (
            f'<p class="res-note" role="status">At work: {fitted} methods are fitted, no test image is scored yet.</p>'
        )
    words = ", ".join(
        f"{count:,} of {found.protocol.images[name].count:,} {KINDS.get(name, name)}"
        for name, count in found.scored.items()
    )
    return f'<p class="res-note" role="status">At work: scored {words}. The figures still move.</p>'


def with_interval(row: MethodRow, name: str) -> str:
    """A metric and, below it, its 95 % interval."""
    ends = row.intervals.get(name)
    return f"<td>{cell(getattr(row, name))}{f'<small>{between(ends)}</small>' if ends else ''}</td>"


def rows_table(found: ComparisonResults, reals: str) -> str:
    """One row a method."""
    rows = found.rows[reals]
    measured = {row.method: row.auc for row in rows if row.auc is not None}
    best = max(measured, key=measured.__getitem__, default=None)
    head = (
        "<tr><th>method</th>"
        + "".join(f"<th>{words}</th>" for words in METRICS.values())
        + "<th>generated<br>if</th><th>evaluations<br>alone</th><th>added<br>here</th><th>images/s<br>alone</th></tr>"
    )
    lines = []
    for row in rows:
        calibrated = [name for name, origin in row.parameters_from.items() if "detector" in origin]
        source = "; ".join([row.head, row.source, *(["the detector's own parameters"] if calibrated else [])])
        side = "higher" if row.head != "threshold" else row.polarity
        theirs = row.auc_paper_polarity
        raw = "" if theirs is None else f"<small>AUC if smaller: {theirs:.3f}</small>"
        speed = row.images_per_second_alone
        cells = [
            f"<th>{named(row)}<small>{source}</small></th>",
            *(with_interval(row, name) for name in METRICS),
            f"<td>{side}{raw}</td><td>{row.evaluations_alone}</td><td>{row.evaluations_added}</td>",
            f"<td>{'' if speed is None else f'{speed:.3g}'}</td>",
        ]
        lines.append(("res-own" if row.method == best else "", cells))
    images = found.scored
    notes = " ".join(said for said in (classifiers(rows), differences(row.method for row in rows)) if said)
    return (
        f"<h2>The methods</h2>{table(head, lines, 'res-wide')}"
        f'<p class="res-note">{images.get("generated", 0):,} generated images against {images.get(reals, 0):,} {REALS[reals]}. '
        "AUC is in the polarity of the calibration split (generated if smaller, or larger); the papers' is always: generated if "
        "smaller. ACC is at the threshold of the calibration split, best ACC at the one that fits these very images best. Below each figure its 95 % interval; a TPR "
        "has none where so few reals do not bound its threshold, and best ACC has none ever: it is the largest of many on these images. "
        "Evaluations: network evaluations an image, when the method runs alone and what it added to those before it. "
        f"The shaded row has the highest AUC on these images. {notes} {RESOLUTION}</p>"
    )


def curves(found: ComparisonResults, scores: Scores, reals: str, method: str) -> list[Series]:
    """ROC curves of all methods, the chosen one bold."""
    return [
        Series(Markup(named(row)), *roc(scores[reals][i], scores["generated"][i])[:2], style_of(i, row, method))
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
        Series(Markup(named(row)), [row.evaluations_alone], [auc], style_of(i, row, method), marked=True, line=False)
        for i, row, auc in measured
    ]
    spots = [Spot(row.evaluations_alone, auc, f"{auc:.3f}") for _, row, auc in measured if row.method == method]
    said = "AUC against network evaluations an image, one dot a method"
    return Chart("AUC against cost", series, x, y, "one dot a method", spots=spots, said=said)


def charts(found: ComparisonResults, scores: Scores, reals: str, method: str) -> str:
    """ROC curves of the methods and AUC against cost; empty while nothing is scored."""
    rows = found.rows[reals]
    if all(row.auc is None for row in rows):
        return ""
    parts = [cost_chart(rows, method)]
    if reals in scores and scores[reals].size and scores["generated"].size:
        parts = [*roc_charts(curves(found, scores, reals, method)), *parts]
    return f'<div class="ch-row">{"".join(part.html() for part in parts)}</div>'


def tests(found: ComparisonResults, reals: str) -> str:
    """Differences of AUC, paired, with their intervals."""
    made = found.tests.get(reals, ())
    if not made:
        return ""
    titles = {row.method: named(row) for row in found.rows[reals]}
    blocks = []
    for other in dict.fromkeys(test.b for test in made):
        rows = []
        for test in (test for test in made if test.b == other):
            interval = f"{test.low:+.3f} to {test.high:+.3f}"
            cells = (f"{test.difference:+.3f}", interval, escape(p_value(test.p_value)))
            rows.append(("", [f"<th>{titles[test.a]}</th>", *(f"<td>{words}</td>" for words in cells)]))
        head = "<tr><th>AUC of</th><th>difference</th><th>95 % interval</th><th>p</th></tr>"
        blocks.append(f"<div><h3>Against {titles[other]}</h3>{table(head, rows)}</div>")
    return (
        f'<h2>Is the difference more than chance?</h2><div class="res-tables">{"".join(blocks)}</div>'
        '<p class="res-note">DeLong\'s test for two AUCs on the same images. Many comparisons were made at once and p is not '
        "corrected for that; the best method was picked on these very images.</p>"
    )


def whole(found: ComparisonResults, scores: Scores, reals: str, method: str) -> str:
    """All parts, in order."""
    found = for_html(found)
    parts = [
        state(found),
        protocol(found),
        rows_table(found, reals),
        charts(found, scores, reals, method),
        tests(found, reals),
    ]
    return of_source("".join(parts), found.protocol.detector, "compare")


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

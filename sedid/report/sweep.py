"""A sweep as HTML parts: heatmaps over k and T_SEC, and the paper's Figures 2, 3 and 4 redrawn."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from sedid.method import paper
from sedid.method.diffusion import pair_in_words
from sedid.report import lead
from sedid.report.charts.chart import Chart, Mark, of_source
from sedid.report.charts.grid import Cell, Grid, legend
from sedid.report.charts.scale import SHARES, Scale
from sedid.report.charts.series import Series
from sedid.report.html import render
from sedid.report.numbers import cell, counted
from sedid.report.protocol import detector_words, made_by, stated
from sedid.stats.choice import evaluations
from sedid.studies.sweep import SweepResults, SweepRow

METRICS = {"auc": "AUC", "acc": "ACC", "tpr_at_1": "TPR at FPR 1 %", "tpr_at_01": "TPR at FPR 0.1 %"}
T_SECS = Scale("T_SEC", 0, 1000)
RATES = Scale("AUC or accuracy", 0, 1, SHARES.ticks)


def accuracy(sweep: SweepResults) -> tuple[str, str]:
    """Which accuracy the sweep can show, (key, name): without test images only the best of the same images."""
    fixed = any(row.acc is not None for row in sweep.rows)
    return ("acc", "ACC") if fixed else ("best_acc", "best ACC of the same images")


def protocol(sweep: SweepResults) -> Markup:
    """What was measured on what."""
    about = sweep.protocol
    source = "the calibration images" + ("" if sweep.measured_on == "test images" else ", the very ones measured")
    facts = [
        ("Detector", detector_words(about)),
        ("Images", counted({name: found.count for name, found in about.images.items()})),
        ("Measured on", sweep.measured_on),
        ("Polarity and threshold of each pair from", source),
        ("How the images were generated", made_by(about.generated_by)),
    ]
    return stated(facts, about.splits, [sweep.audit])


def heatmap(sweep: SweepResults, key: str, name: str) -> Grid:
    """One metric over k (rows) and T_SEC: a cell spans the step it measures, T_SEC - k to T_SEC."""
    cells = []
    for row in sweep.rows:
        pair, value = (row.k, row.t_sec), metric(row, key)
        stressed = "chosen" if pair == sweep.calibrated else "best" if pair == sweep.best else ""
        words = f"{pair_in_words(*pair)}: {name} {cell(value)}; {row.polarity} means generated"
        if isinstance(row.k, int):
            cells.append(Cell(row.k, row.t_sec - row.k, row.t_sec, value, words, stressed))
    return Grid(name, cells, T_SECS)


def heatmaps(sweep: SweepResults) -> list[Grid]:
    """AUC, accuracy, and the rates that these images can resolve."""
    shown = {**METRICS, **dict([accuracy(sweep)])}
    keys = ("auc", accuracy(sweep)[0], "tpr_at_1", "tpr_at_01")
    return [heatmap(sweep, key, shown[key]) for key in keys if any(metric(row, key) is not None for row in sweep.rows)]


def first_k(sweep: SweepResults) -> int:
    """Which k to look at first: the paper's, or the nearest to it; a large k leaves one or two points of a line."""
    return min(sweep.measured_ks, key=lambda k: abs(k - paper.K))


def metric(row: SweepRow, key: str) -> float | None:
    """One metric of a row."""
    value: float | None = getattr(row, key)
    return value


def numbers(rows: Sequence[SweepRow], key: str) -> np.ndarray:
    """One metric of rows; NaN where it could not be resolved."""
    return np.array([metric(row, key) for row in rows], dtype=np.float64)


def whole(sweep: SweepResults, k: int, data_set: str) -> Markup:
    """All parts; `k` is that of Figures 3 and 4, `data_set` whose AUC in the paper stands beside."""
    known = [pair for pair in (sweep.calibrated, sweep.best) if pair and isinstance(pair[0], int)]  # paths have a table
    keys = {"chosen": f"the detector's pair: {pair_in_words(*sweep.calibrated)}"} if sweep.calibrated in known else {}
    keys |= {"best": "highest AUC on the calibration images"} if sweep.best in known else {}
    key, name = accuracy(sweep)
    drawn = render(
        "sweep.html",
        legend=legend(keys),
        paths=[(row, metric(row, key), evaluations((row.k, row.t_sec))) for row in sweep.along_paths],
        calibrated=sweep.calibrated,
        accuracy=name,
        heatmaps=heatmaps(sweep),
        figures=figures(sweep, k, data_set),
        lead=lead.sweep(sweep),
        protocol=protocol(sweep),
    )
    return of_source(drawn, sweep.protocol.detector, "sweep")


def figures(sweep: SweepResults, k: int, data_set: str) -> tuple[Chart, Chart, Chart]:
    """Figures 2 (against k), 3 and 4 (against T_SEC at one k) of the paper, for these data."""
    key, name = accuracy(sweep)
    ks = sweep.measured_ks
    best = [max(sweep.of_k(one), key=lambda row: row.auc_calibration) for one in ks]
    margin = max(20, (ks[-1] - ks[0]) * 0.04)
    along_k = Scale("k, at the T_SEC with the highest AUC on the calibration images", max(0, ks[0] - margin), ks[-1] + margin)  # fmt: skip
    rows = sweep.of_k(k)
    t_secs = [row.t_sec for row in rows]
    along_t = Scale(f"T_SEC, at k = {k}", 0, 1000)
    two = [Series("AUC", ks, numbers(best, "auc"), "one", True), Series(name, ks, numbers(best, key), "two dash", True)]  # fmt: skip
    three = [
        Series("AUC", t_secs, numbers(rows, "auc"), "one", True),
        Series(name, t_secs, numbers(rows, key), "two dash", True),
    ]
    if k == paper.K:
        theirs = [paper.TABLE_1[t][paper.DATA_SETS.index(data_set)][0] for t in paper.TABLE_1]
        three.insert(0, Series(f"AUC in the paper, {data_set}", list(paper.TABLE_1), theirs, "faint dots", True))
    four = [
        Series("TPR at FPR 1 %", t_secs, numbers(rows, "tpr_at_1"), "one", True),
        Series("TPR at FPR 0.1 %", t_secs, numbers(rows, "tpr_at_01"), "two dash", True),
    ]
    marks = [Mark(sweep.calibrated[1], "the detector's")] if sweep.calibrated and sweep.calibrated[0] == k else []
    low = max([0.05, *(1.2 * float(y) for line in four for y in line.y if np.isfinite(y))])  # they lie far below 1
    return (
        Chart("Figure 2: step size", two, along_k, RATES),
        Chart("Figure 3: where the error is measured", three, along_t, RATES, marks=marks),
        Chart("Figure 4: at low false positive rates", four, along_t, Scale("TPR", 0, low), marks=marks),
    )

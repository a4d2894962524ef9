"""A sweep as HTML parts: heatmaps over k and T_SEC, and the paper's Figures 2, 3 and 4 redrawn."""

from pathlib import Path
from typing import Any

import numpy as np

from sedid.escaping import Html, read_results
from sedid.method import paper
from sedid.report.evaluation import facts, leaks, made_by, splits
from sedid.report.markdown import cell
from sedid.report.svg import Axis, Line, line_chart, round_ticks

METRICS = {"auc": "AUC", "acc": "ACC", "tpr_at_1": "TPR at FPR 1 %", "tpr_at_01": "TPR at FPR 0.1 %"}
FIELDS = {"k", "t_sec", "polarity", "auc_paper_polarity", "auc_calibration", "best_acc", *METRICS}
HEAT = 42  # per cent of the colour in the highest cell: its number stays readable in both themes
WRITTEN_FROM = 70  # k; narrower cells carry no number


def load_sweep(file: Path) -> dict[str, Any]:
    """Read a sweep.json.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not what `sweep` writes.
    """
    return read_results(
        file,
        "sweep",
        lambda sweep: (
            bool(sweep["rows"])
            and all(row.keys() >= FIELDS for row in sweep["rows"])
            and isinstance(sweep["protocol"]["images"], dict)
            and len(sweep["best"]) == 2
        ),
    )


def accuracy(sweep: dict[str, Any]) -> tuple[str, str]:
    """Which accuracy the sweep can show, (key, name): without test images only the best of the same images."""
    fixed = any(row["acc"] is not None for row in sweep["rows"])
    return ("acc", "ACC") if fixed else ("best_acc", "best ACC of the same images")


def ks_of(sweep: dict[str, Any]) -> list[int]:
    """Every k with measurements, ascending."""
    return sorted({row["k"] for row in sweep["rows"]})


def of_k(sweep: dict[str, Any], k: int) -> list[dict[str, Any]]:
    """The rows of one k, by T_SEC."""
    return sorted((row for row in sweep["rows"] if row["k"] == k), key=lambda row: row["t_sec"])


def protocol(sweep: Html) -> str:
    """What was measured on what."""
    stated = sweep["protocol"]
    counts = ", ".join(f"{found['count']:,} {name.replace('_', ' ')}" for name, found in stated["images"].items())
    measured = stated.get("measured_on", "?")
    source = "the calibration images" + ("" if measured == "test images" else ", the very ones measured")
    shown = [
        (
            "Detector",
            f"{stated.get('config', {}).get('detector', '?')}, checkpoint {str(stated.get('checkpoint_sha256') or 'unknown')[:12]}",
        ),
        ("Images", counts),
        ("Measured on", measured),
        ("Polarity and threshold of each pair from", source),
        ("How the images were generated", made_by(stated.get("generated_by", {}))),
    ]
    return facts(shown) + leaks(sweep) + splits(sweep)


def heatmap(sweep: Html, key: str, name: str) -> str:
    """One metric over k (rows) and T_SEC: a cell spans the step it measures, T_SEC - k to T_SEC; a click goes there."""
    values = [row[key] for row in sweep["rows"] if row[key] is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    rows = []
    for k in ks_of(sweep):
        cells = []
        for row in of_k(sweep, k):
            value, pair = row[key], [k, row["t_sec"]]
            heat = 0.0 if value is None else HEAT * (value - low) / ((high - low) or 1)
            styles = ["sed-go res-cell"]
            styles += ["res-none"] if value is None else []
            styles += (
                ["res-calibrated"] if pair == sweep.get("calibrated") else ["res-best"] if pair == sweep["best"] else []
            )
            styles += ["res-narrow"] if k < 100 else []
            words = f"k = {k}, T_SEC = {row['t_sec']}: {name} {cell(value)}"
            written = "" if k < WRITTEN_FROM else "n/a" if value is None else f"{value:.2f}".removeprefix("0")
            cells.append(
                f'<button type="button" class="{" ".join(styles)}" style="flex-grow:{k};--heat:{heat:.0f}%" data-k="{k}" '
                f'data-t="{row["t_sec"]}" title="{words}; {row["polarity"]} means generated" aria-label="{words}">{written}</button>'
            )
        rest = max(0, 1000 - of_k(sweep, k)[-1]["t_sec"])
        rows.append(f'<div class="res-steps"><span>{k}</span>{"".join(cells)}<i style="flex:{rest} 0 0"></i></div>')
    scale = (
        f'<span class="res-scale">{low:.3f}<i></i>{high:.3f}</span>' if values else '<span class="res-scale">n/a</span>'
    )
    along = "".join(f"<span>{tick}</span>" for tick in (0, 250, 500, 750, 1000))
    return (
        f'<figure class="res-chart res-heat"><figcaption>{name}{scale}</figcaption>{"".join(rows)}'
        f'<div class="res-along">{along}</div></figure>'
    )


def heatmaps(sweep: Html) -> str:
    """The four of them, with their legend."""
    shown = METRICS | dict([accuracy(sweep)])
    if accuracy(sweep)[0] != "acc":
        shown.pop("acc")
    order = ["auc", accuracy(sweep)[0], "tpr_at_1", "tpr_at_01"]
    legend = '<span><i class="res-outline res-two"></i>highest AUC on the calibration images</span>'
    if sweep.get("calibrated"):
        k, t_sec = sweep["calibrated"]
        legend = (
            f'<span><i class="res-outline res-generated"></i>the detector\'s pair: k = {k}, T_SEC = {t_sec}</span>'
            + legend
        )
    return (
        '<h2>Every pair of k and T_SEC</h2><p class="res-note">Rows are step sizes k, across runs the timestep. A cell covers '
        "the step it measures, from T_SEC &minus; k to T_SEC; a click takes that pair into Inspect. Each pair has the "
        f'polarity of its calibration images.</p><div class="res-keys">{legend}</div>'
        f'<div class="res-row res-two-by-two">{"".join(heatmap(sweep, key, shown[key]) for key in order)}</div>'
    )


def numbers(rows: list[dict[str, Any]], key: str) -> np.ndarray:
    """One metric of rows; NaN where it could not be resolved."""
    return np.array([np.nan if row[key] is None else row[key] for row in rows], dtype=np.float64)


def figures(sweep: Html, k: int, data_set: str) -> str:
    """Figures 2 (against k), 3 and 4 (against T_SEC at one k) of the paper, for these data."""
    key, name = accuracy(sweep)
    ks = ks_of(sweep)
    best = [max(of_k(sweep, one), key=lambda row: row["auc_calibration"]) for one in ks]
    margin = max(20, (ks[-1] - ks[0]) * 0.04)
    along_k = Axis("k, at the T_SEC with the highest AUC on the calibration images", max(0, ks[0] - margin), ks[-1] + margin, round_ticks(ks[0], ks[-1]))  # fmt: skip
    rows = of_k(sweep, k)
    t_secs = [row["t_sec"] for row in rows]
    along_t = Axis(f"T_SEC, at k = {k}", 0, 1000, (0, 250, 500, 750, 1000))
    two = [Line("AUC", ks, numbers(best, "auc"), "res-one", True), Line(name, ks, numbers(best, key), "res-two res-dash", True)]  # fmt: skip
    three = [
        Line("AUC", t_secs, numbers(rows, "auc"), "res-one", True),
        Line(name, t_secs, numbers(rows, key), "res-two res-dash", True),
    ]
    if k == paper.K:
        theirs = [paper.TABLE_1[t][paper.DATA_SETS.index(data_set)][0] for t in paper.TABLE_1]
        three.insert(0, Line(f"AUC in the paper, {data_set}", list(paper.TABLE_1), theirs, "res-faint", True))
    four = [
        Line("TPR at FPR 1 %", t_secs, numbers(rows, "tpr_at_1"), "res-one", True),
        Line("TPR at FPR 0.1 %", t_secs, numbers(rows, "tpr_at_01"), "res-two res-dash", True),
    ]
    mark = (
        (sweep["calibrated"][1], "the detector's") if sweep.get("calibrated") and sweep["calibrated"][0] == k else None
    )
    return (
        '<h2>The paper\'s figures, for these data</h2><div class="res-row">'
        + line_chart("Figure 2: step size", two, along_k)
        + line_chart("Figure 3: where the error is measured", three, along_t, mark=mark)
        + line_chart("Figure 4: at low false positive rates", four, along_t, mark=mark)
        + "</div><p class='res-note'>A rate that these images cannot resolve is not drawn: 1 % needs 100 real images, 0.1 % needs 1,000.</p>"
    )

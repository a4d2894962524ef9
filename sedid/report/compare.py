"""A comparison of methods as HTML parts: protocol, the table, ROC curves, AUC against cost, tests between methods."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from sedid.escaping import Html, read_results
from sedid.method.methods import differences
from sedid.report.evaluation import RESOLUTION, crossed, facts, leaks, made_by, splits, table
from sedid.report.markdown import cell, classifiers, named
from sedid.report.svg import SHARES, Axis, Line, frame, keys, line_chart
from sedid.stats.metrics import roc
from sedid.storage import read_arrays
from sedid.studies.results import REALS

FIELDS = {"method", "title", "head", "polarity", "auc", "acc", "best_acc", "tpr_at_1", "tpr_at_01", "intervals"}
METRICS = {"auc": "AUC", "acc": "ACC", "best_acc": "best ACC", "tpr_at_1": "TPR at<br>FPR 1 %", "tpr_at_01": "TPR at<br>FPR 0.1 %"}  # fmt: skip
STAT = "sedid-stat"
KINDS = {
    "calibration_real": "calibration reals",
    "calibration_generated": "calibration generated",
    **REALS,
    "generated": "generated images",
}


def load_comparison(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a compare.json and the scores beside it: by set, float (methods, images), oriented; {} while there are none.

    Raises:
        FileNotFoundError: there is no results file.
        ValueError: it is not what `compare` writes.
    """
    found = read_results(
        file,
        "compare",
        lambda found: (
            isinstance(found["done"], bool)
            and isinstance(found["protocol"]["images"], dict)
            and all(row.keys() >= FIELDS for rows in found["rows"].values() for row in rows)
        ),
    )
    scores = read_arrays(file.with_name("compare-scores.npz"))
    names = scores.pop("methods", np.empty(0)).tolist()
    kinds = found["rows"].values()
    fits = all(names[: len(rows)] == [row["method"] for row in rows] for rows in kinds)
    return found, scores if fits else {}  # of another run: the table alone


def reals_of(found: dict[str, Any]) -> list[str]:
    """The sets of reals there are rows for: heldout, members."""
    return [name for name in REALS if name in found["rows"]]


def protocol(found: Html) -> str:
    """What was measured on what, the costs, and the leak audit's warning."""
    stated, config = found["protocol"], found["protocol"].get("config", {})
    counts = ", ".join(f"{images['count']:,} {KINDS.get(name, name)}" for name, images in stated["images"].items())
    rows: list[dict[str, Any]] = next(iter(found["rows"].values()), [])
    alone = sum(row["evaluations_alone"] for row in rows)
    shown = [
        ("Detector", f"{config.get('detector', '?')}, checkpoint {str(stated.get('checkpoint_sha256') or '?')[:12]}"),
        ("Images", counts),
        ("Polarity, thresholds and classifiers from", str(stated.get("thresholds_from", "?"))),
        ("How the test images were generated", made_by(stated.get("generated_by", {}))),
        (
            "Network evaluations an image",
            f"{stated.get('evaluations_per_image', '?')} for all methods together"
            + (f", {alone} if each ran alone" if found["done"] else ""),
        ),
    ]
    return facts(shown) + crossed(stated.get("generated_by", {})) + leaks(found) + splits(found)


def state(found: Html) -> str:
    """How far an unfinished comparison is; empty when it is done."""
    if found["done"]:
        return ""
    scored = found.get("scored", {})
    sizes = {name: found["protocol"]["images"][name]["count"] for name in scored}
    if not any(scored.values()):
        fitted = len(next(iter(found["rows"].values()), []))
        return (
            f'<p class="res-note" role="status">At work: {fitted} methods are fitted, no test image is scored yet.</p>'
        )
    words = ", ".join(f"{scored[name]:,} of {sizes[name]:,} {KINDS[name]}" for name in scored)
    return f'<p class="res-note" role="status">At work: scored {words}. The figures still move.</p>'


def with_interval(row: dict[str, Any], name: str) -> str:
    """A metric and, below it, its 95 % interval."""
    ends = row["intervals"].get(name)
    small = f"<small>{ends[0]:.3f} to {ends[1]:.3f}</small>" if ends else ""
    return f"<td>{cell(row[name])}{small}</td>"


def rows_table(found: Html, reals: str) -> str:
    """One row a method."""
    rows = found["rows"][reals]
    measured = [row for row in rows if row["auc"] is not None]
    best = max(measured, key=lambda row: row["auc"])["method"] if measured else None
    head = (
        "<tr><th>method</th>"
        + "".join(f"<th>{words}</th>" for words in METRICS.values())
        + "<th>generated<br>if</th><th>evaluations<br>alone</th><th>added<br>here</th><th>images/s<br>alone</th></tr>"
    )
    lines = []
    for row in rows:
        calibrated = [name for name, origin in row.get("parameters_from", {}).items() if "detector" in origin]
        source = "; ".join([row["head"], row["source"], *(["the detector's own parameters"] if calibrated else [])])
        side = "higher" if row["head"] != "threshold" else row["polarity"]
        theirs = row.get("auc_paper_polarity")
        raw = "" if theirs is None else f"<small>AUC if smaller: {theirs:.3f}</small>"
        speed = row.get("images_per_second_alone")
        cells = [
            f"<th>{named(row)}<small>{source}</small></th>",
            *(with_interval(row, name) for name in METRICS),
            f"<td>{side}{raw}</td><td>{row['evaluations_alone']}</td><td>{row['evaluations_added']}</td>",
            f"<td>{'' if speed is None else f'{speed:.3g}'}</td>",
        ]
        lines.append(("res-own" if row["method"] == best else "", cells))
    images = found["scored"] if found.get("scored") else {}
    notes = " ".join(said for said in (classifiers(rows), differences(row["method"] for row in rows)) if said)
    return (
        f"<h2>The methods</h2>{table(head, lines, 'res-wide')}"
        f'<p class="res-note">{images.get("generated", 0):,} generated images against {images.get(reals, 0):,} {REALS[reals]}. '
        "AUC is in the polarity of the calibration split (generated if smaller, or larger); the papers' is always: generated if "
        "smaller. ACC is at the threshold of the calibration split, best ACC at the one that fits these very images best. Below each figure its 95 % interval; a TPR "
        "has none where so few reals do not bound its threshold, and best ACC has none ever: it is the largest of many on these images. "
        "Evaluations: network evaluations an image, when the method runs alone and what it added to those before it. "
        f"The shaded row has the highest AUC on these images. {notes} {RESOLUTION}</p>"
    )


def curves(
    found: dict[str, Any], scores: dict[str, np.ndarray], reals: str, method: str
) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    """ROC curves, label -> (FPR, TPR, style): the chosen method on top, SeDID_Stat beside it, the others faint."""
    rows = found["rows"][reals]
    made = {}
    for number, row in enumerate(rows):
        style = {"res-two": "res-two res-dash", "res-faint": "res-faint res-thin"}.get(style_of(row, method), "res-one")
        label = f"the other methods|{row['method']}" if "faint" in style else named(row)
        made[label] = (*roc(scores[reals][number], scores["generated"][number])[:2], style)
    order = ["res-faint res-thin", "res-two res-dash", "res-one"]
    return dict(sorted(made.items(), key=lambda item: order.index(item[1][2])))


def style_of(row: dict[str, Any], method: str) -> str:
    """The colour of a method: the chosen one, SeDID_Stat, any other."""
    return "res-one" if row["method"] == method else "res-two" if row["method"].split()[0] == STAT else "res-faint"


def cost_chart(rows: Sequence[dict[str, Any]], method: str) -> str:
    """AUC against the network evaluations an image costs, one dot a method."""
    decades = int(np.ceil(np.log10(max(2, *(row["evaluations_alone"] for row in rows)))))
    ticks = [10.0**power for power in range(decades + 1)]
    across = Axis("network evaluations an image, alone (logarithmic)", 1, ticks[-1], ticks, log=True)
    bottom = np.floor(10 * min(0.5, *(row["auc"] for row in rows))) / 10
    up = Axis("AUC", float(bottom), 1, [tenth / 10 for tenth in range(round(10 * bottom), 11)])
    dots = "".join(
        f'<i class="{style_of(row, method)}" style="left:{across.at(row["evaluations_alone"]):.2f}%;'
        f'bottom:{up.at(row["auc"]):.2f}%" title="{named(row)}: AUC {row["auc"]:.3f}, '
        f'{row["evaluations_alone"]} evaluations"></i>'
        for row in sorted(rows, key=lambda row: row["method"] == method)
    )
    legend = keys([(Markup(named(row)), style_of(row, method)) for row in rows if style_of(row, method) != "res-faint"])
    label = "AUC against network evaluations an image, one dot a method"
    return frame("AUC against cost", "one dot a method", legend, dots, across, up, label)


def charts(found: Html, scores: dict[str, np.ndarray], reals: str, method: str) -> str:
    """ROC curves of the methods and AUC against cost; empty while nothing is scored."""
    rows = [row for row in found["rows"][reals] if row["auc"] is not None]
    if not rows:
        return ""
    parts = []
    if reals in scores and scores[reals].size and scores["generated"].size:
        made = curves(found, scores, reals, method)
        lines = [Line(Markup(label.split("|")[0]), fpr, tpr, style) for label, (fpr, tpr, style) in made.items()]
        wide = Axis("real images called generated (FPR)", 0, 1, (0, 0.25, 0.5, 0.75, 1))
        narrow = Axis("real images called generated (FPR), logarithmic", 1e-3, 1, (0.001, 0.01, 0.1, 1), log=True)
        parts += [
            line_chart("ROC curves", lines, wide, SHARES, "share of generated images found (TPR)"),
            line_chart("The same at low FPR", lines, narrow, SHARES, "share of generated images found (TPR)"),
        ]
    return f'<div class="res-row">{"".join([*parts, cost_chart(rows, method)])}</div>'


def tests(found: Html, reals: str) -> str:
    """Differences of AUC, paired, with their intervals."""
    made = found["tests"].get(reals, [])
    if not made:
        return ""
    titles = {row["method"]: named(row) for row in found["rows"][reals]}
    blocks = []
    for other in dict.fromkeys(test["b"] for test in made):
        rows = []
        for test in (test for test in made if test["b"] == other):
            interval = f"{test['low']:+.3f} to {test['high']:+.3f}"
            cells = (f"{test['difference']:+.3f}", interval, p_words(test["p_value"]))
            rows.append(("", [f"<th>{titles[test['a']]}</th>", *(f"<td>{words}</td>" for words in cells)]))
        head = "<tr><th>AUC of</th><th>difference</th><th>95 % interval</th><th>p</th></tr>"
        blocks.append(f"<div><h3>Against {titles[other]}</h3>{table(head, rows)}</div>")
    return (
        f'<h2>Is the difference more than chance?</h2><div class="res-tables">{"".join(blocks)}</div>'
        '<p class="res-note">DeLong\'s test for two AUCs on the same images. Many comparisons were made at once and p is not '
        "corrected for that; the best method was picked on these very images.</p>"
    )


def p_words(value: float) -> str:
    """A p-value in few characters."""
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def whole(found: Html, scores: dict[str, np.ndarray], reals: str, method: str) -> str:
    """All parts, in order."""
    return "".join(
        [
            state(found),
            protocol(found),
            rows_table(found, reals),
            charts(found, scores, reals, method),
            tests(found, reals),
        ]
    )


def flat_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows as flat mappings with the same keys, for a table on disk."""
    flat = []
    for reals, rows in found["rows"].items():
        for row in rows:
            plain = {name: value for name, value in row.items() if not isinstance(value, dict | list)}
            ends = {
                f"{name}_{end}": value[place] if (value := row["intervals"].get(name)) else None
                for name in METRICS
                for place, end in enumerate(("low", "high"))
            }
            flat.append({"reals": reals, **plain, "parameters": named(row), **ends})
    return flat


def methods_of(found: dict[str, Any], reals: str) -> Sequence[tuple[str, str]]:
    """(words, name) of the methods with a row."""
    return [(named(row), row["method"]) for row in found["rows"][reals]]

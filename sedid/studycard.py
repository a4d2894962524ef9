"""The studies of a bundle as Markdown, for its model card and the README: each table from a file its command wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sedid import paper
from sedid.card import cell
from sedid.comparehtml import named
from sedid.storage import read_json


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def with_interval(row: dict[str, Any], name: str) -> str:
    """A metric and its 95 % interval."""
    ends = row["intervals"].get(name)
    return cell(row[name]) + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def methods_table(found: dict[str, Any]) -> str:
    """compare.json: one row a method, against held-out reals, and what the counts are.

    Args:
        found: what `loops.compare` wrote.
    """
    head = ["method", "generated if", "AUC (95 % interval)", "ACC", "TPR@1 %", "TPR@0.1 %", "evaluations"]
    rows = [
        [
            named(row).replace("_", r"\_"),
            row["polarity"] if row["head"] == "threshold" else "higher",
            with_interval(row, "auc"),
            *(cell(row[name]) for name in ("acc", "tpr_at_1", "tpr_at_01")),
            str(row["evaluations_alone"]),
        ]
        for row in found["rows"]["heldout"]
    ]
    images, total = found["protocol"]["images"], found["protocol"]["evaluations_per_image"]
    alone = sum(row["evaluations_alone"] for row in found["rows"]["heldout"])
    return (
        f"{images['generated']['count']:,} generated images against {images['heldout']['count']:,} held-out reals; polarity, "
        f"thresholds and classifiers from {images['calibration_real']['count']:,} + "
        f"{images['calibration_generated']['count']:,} others. Evaluations: of the network, an image, when the method runs "
        f"alone; all together cost {total} instead of {alone}.\n\n{_table(head, rows)}"
    )


def samplers_table(found: dict[str, Any]) -> str:
    """generalise.json: the calibrated detector on sets it was not calibrated for.

    Args:
        found: what `loops.generalise` wrote.
    """
    head = [
        "set",
        "images",
        "STAT AUC (95 % interval)",
        "AUC if smaller means generated",
        "STAT ACC",
        "NN AUC",
        "NN ACC",
    ]
    rows = [
        [
            f"{row['set']}, {row['relation']}" if row["relation"] != row["set"] else row["set"],
            f"{row['count']:,}",
            with_interval(row["stat"], "auc"),
            cell(row["stat"]["auc_paper_polarity"]),
            cell(row["stat"]["acc"]),
            *([cell(row["nn"]["auc"]), cell(row["nn"]["acc"])] if row["nn"] else ["n/a", "n/a"]),
        ]
        for row in found["rows"]
    ]
    return _table(head, rows)


def frame_table(found: dict[str, Any]) -> str:
    """polarity.json: AUC of every method without and with the black frame, and the paper's on CelebA.

    Args:
        found: what `loops.polarity` wrote.
    """
    place = paper.DATA_SETS.index("CelebA")
    rows = []
    for row in found["frame"]["methods"]:
        if row["method"] == "stat":
            name, theirs = f"STAT, T_SEC {row['t_sec']}", paper.table_1("CelebA", row["k"], row["t_sec"])
            published = theirs[0] if theirs else None
        elif row["method"] not in paper.TABLE_2:
            name, published = row["title"], None
        else:
            name = "NN" if row["method"] == "nn" else f"training loss, t = {row['t']}"
            published = paper.TABLE_2[row["method"]][place][0]
        rows.append(
            [
                name,
                cell(row["plain"]["value"]),
                cell(row["framed"]["value"]),
                "" if published is None else cell(published),
            ]
        )
    return _table(["method", "as they are", "in the black frame", "paper, CelebA"], rows)


def robustness_table(found: dict[str, Any]) -> str:
    """robustness.json: both verdicts at the first strength of every perturbation.

    Args:
        found: what `loops.robustness` wrote.
    """
    rows = list({row["name"]: row for row in reversed(found["rows"])}.values())[::-1]
    head = ["images", "STAT AUC (95 % interval)", "STAT ACC", "NN AUC (95 % interval)", "NN ACC"]
    cells = [[row["label"], *(text for key in ("stat", "nn") if row[key] for text in judged(row[key]))] for row in rows]
    images = found["protocol"]["images"]
    counts = f"{images['generated']['count']:,} generated and {images['real']['count']:,} real images"
    return f"{counts}, both changed alike, at the first strength of each kind.\n\n{_table(head, cells)}"


def judged(row: dict[str, Any]) -> tuple[str, str]:
    """AUC with its interval, and accuracy at the calibrated threshold."""
    low, high = row["auc_interval"]
    return f"{cell(row['auc'])} ({low:.3f} to {high:.3f})", cell(row["acc"])


STUDIES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "compare": ("Methods", methods_table),
    "generalise": ("Other samplers", samplers_table),
    "polarity": ("The black frame", frame_table),
    "robustness": ("Robustness", robustness_table),
}
"""Command -> (heading, table of its results)."""


def studies(folder: Path) -> dict[str, str]:
    """The tables of all studies a bundle holds, command -> Markdown."""
    files = {command: folder / "sedid" / f"{command}.json" for command in STUDIES}
    return {command: STUDIES[command][1](read_json(file)) for command, file in files.items() if file.is_file()}

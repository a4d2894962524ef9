"""What commands measured, as Markdown tables for model cards and the README: each from a file its command wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sedid import paper
from sedid.storage import read_json

REALS = {"heldout": "held-out", "members": "member"}


def cell(value: float | None) -> str:
    """A metric with three decimals, n/a where the images cannot resolve it."""
    return "n/a" if value is None else f"{value:.3f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def with_interval(row: dict[str, Any], name: str) -> str:
    """A metric and its 95 % interval."""
    ends = row["intervals"].get(name)
    return cell(row[name]) + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def results_table(results: dict[str, Any], data_set: str = "") -> str:
    """The Markdown table of an evaluation: one row a verdict and T_SEC, held-out and member reals side by side.

    Args:
        results: what `loops.evaluate` wrote.
        data_set: one of `paper.DATA_SETS`, whose published figures stand beside ours; "" leaves them out.
    """
    kinds = [kind for kind in REALS if kind in results["stat"]]
    head = ["verdict", "k", "T_SEC"] + [
        f"{name} ({REALS[kind]})" for kind in kinds for name in ("AUC", "ACC", "TPR@1 %")
    ]
    head += ["AUC (paper)", "ACC (paper)"] if data_set else []
    table = []

    def add(name: str, rows: Any, published: tuple[float, float] | None) -> None:
        metrics = [cell(row[key]) for row in rows for key in ("auc", "acc", "tpr_at_1")]
        theirs = ([cell(value) for value in published] if published else ["", ""]) if data_set else []
        table.append([name, str(rows[0]["k"]), str(rows[0]["t_sec"]), *metrics, *theirs])

    for rows in zip(*(results["stat"][kind] for kind in kinds), strict=True):
        published = paper.table_1(data_set, rows[0]["k"], rows[0]["t_sec"]) if data_set else None
        add("**STAT**" if rows[0]["chosen"] else "STAT", rows, published)
    theirs = {method: row[paper.DATA_SETS.index(data_set)] for method, row in paper.TABLE_2.items()} if data_set else {}
    if results["nn"]:
        add("**NN**", [results["nn"][kind] for kind in kinds], theirs.get("nn"))
    if results.get("existing"):
        losses = [results["existing"][kind] for kind in kinds]
        named = [row | {"k": "", "t_sec": f"t = {row['t']}"} for row in losses]
        add("training loss (baseline)", named, theirs.get("existing"))
    return _table(head, table)


def counts_line(results: dict[str, Any]) -> str:
    """How many images stand behind the table, and what made the generated ones."""
    images, made = results["protocol"]["images"], results["protocol"]["generated_by"]
    reals = " and ".join(f"{images[kind]['count']:,} {REALS[kind]} reals" for kind in REALS if kind in images)
    sampler = f" ({made['sampler']}, {made['steps']} steps, seed {made['seed']})" if made else ""
    crossed = ", made by ANOTHER checkpoint (cross-checkpoint)" if made.get("cross_checkpoint") else ""
    checkpoint = results["protocol"]["checkpoint_sha256"][:12]
    return (
        f"{images['generated']['count']:,} generated images{sampler}{crossed} against {reals}; checkpoint {checkpoint}."
    )


def leak_line(results: dict[str, Any]) -> str:
    """What the leak audit of the test images found, in a sentence; empty if it was never run."""
    found = results.get("audit")
    if found is None:
        return ""
    if found.get("skipped"):
        return f"Leak audit: not run, {found['skipped']}."
    if found["warning"]:
        return f"Leak audit: WARNING. {found['warning']}"
    return "Leak audit: no trivial feature was found that tells the classes apart."


def verdict_table(results: dict[str, Any]) -> str:
    """How often each STAT verdict falls on the test images, at the detector's own pair."""
    lines = ["| images | called generated | called real | cannot tell |", "| --- | --- | --- | --- |"]
    for kind, shares in results["verdicts"].items():
        name = {"generated": "generated"}.get(kind, f"{REALS.get(kind, kind)} reals")
        lines.append(f"| {name} | {shares['generated']:.1%} | {shares['real']:.1%} | {shares['cannot tell']:.1%} |")
    return "\n".join(lines)


def named(row: dict[str, Any]) -> str:
    """A method with the parameters it ran with: SeDID_Stat (k = 165, T_SEC = 825)."""
    words = {"t_sec": "T_SEC", "ks": "k"}
    values = {
        words.get(name, name): "+".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in row.get("parameters", {}).items()
    }
    return row["title"] + (f" ({', '.join(f'{name} = {value}' for name, value in values.items())})" if values else "")


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


def training_table(found: dict[str, Any]) -> str:
    """training.json: the held-out loss at up to ten of the steps it was measured at, the last one and the best among them.

    Args:
        found: what `loops.ship` wrote.
    """
    curve = found["heldout"]
    best = min(range(len(curve)), key=lambda place: curve[place]["heldout_loss"])
    shown = sorted({0, best, len(curve) - 1, *range(0, len(curve), max(1, len(curve) // 7))})
    rows = [
        [f"{curve[place]['step']:,}" + (", best" if place == best else ""), f"{curve[place]['heldout_loss']:.5f}"]
        for place in shown
    ]
    return _table(["step", "held-out loss"], rows)


def quality_table(found: dict[str, Any]) -> str:
    """quality.json: how far each sampler's images are from real ones.

    Args:
        found: what `loops.ship` wrote.
    """
    levels = list(found["rows"][0]["swd"])
    head = ["images", "count", *(f"SWD at {level} px" for level in levels), "contrast"]
    rows = [
        [row["set"], f"{row['count']:,}", *(f"{row['swd'][level]:.1f}" for level in levels), f"{row['contrast']:.1f}"]
        for row in found["rows"]
    ]
    reference = found["reference"]
    return (
        f"SWD: {found['method']} (Karras et al. 2018), against {reference['count']:,} test reals, whose contrast (mean standard "
        f"deviation of an image's 8-bit values) is {reference['contrast']:.1f}. Lower is better; the row of member reals is "
        f"what chance leaves.\n\n{_table(head, rows)}"
    )


STUDIES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "training": ("The training run", training_table),
    "quality": ("Image quality", quality_table),
    "compare": ("Methods", methods_table),
    "generalise": ("Other samplers", samplers_table),
    "polarity": ("The black frame", frame_table),
    "robustness": ("Robustness", robustness_table),
}
"""Results file in sedid/, without its ending -> (heading, its table)."""


def studies(folder: Path) -> dict[str, str]:
    """The tables of all studies a bundle holds, file name without its ending -> Markdown."""
    files = {command: folder / "sedid" / f"{command}.json" for command in STUDIES}
    return {command: STUDIES[command][1](read_json(file)) for command, file in files.items() if file.is_file()}

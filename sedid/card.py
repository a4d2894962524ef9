"""Results in words: the measured table and the model card, both written from files that commands wrote."""

from pathlib import Path
from typing import Any

from sedid.storage import read_json, replacing

REALS = {"heldout": "held-out", "members": "member"}


def cell(value: float | None) -> str:
    """A metric with three decimals, n/a where the images cannot resolve it."""
    return "n/a" if value is None else f"{value:.3f}"


def results_table(results: dict[str, Any]) -> str:
    """The Markdown table of an evaluation: one row a verdict and T_SEC, held-out and member reals side by side.

    Args:
        results: what `loops.evaluate` wrote.
    """
    kinds = [kind for kind in REALS if kind in results["stat"]]
    head = ["verdict", "k", "T_SEC"] + [
        f"{name} ({REALS[kind]})" for kind in kinds for name in ("AUC", "ACC", "TPR@1 %")
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    per_kind = [results["stat"][kind] for kind in kinds]
    for rows in zip(*per_kind, strict=True):
        name = "**STAT**" if rows[0]["chosen"] else "STAT"
        lines.append(_row(name, rows))
    if results["nn"]:
        lines.append(_row("**NN**", [results["nn"][kind] for kind in kinds]))
    if results.get("existing"):
        losses = [results["existing"][kind] for kind in kinds]
        named = [row | {"k": "", "t_sec": f"t = {row['t']}"} for row in losses]
        lines.append(_row("training loss (baseline)", named))
    return "\n".join(lines)


def _row(name: str, rows: Any) -> str:
    metrics = [cell(row[key]) for row in rows for key in ("auc", "acc", "tpr_at_1")]
    return "| " + " | ".join([name, str(rows[0]["k"]), str(rows[0]["t_sec"]), *metrics]) + " |"


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


def write_card(folder: Path) -> None:
    """Write the bundle's README.md from its detector.json and sidecar results.

    Raises:
        FileNotFoundError: the bundle was not evaluated yet.
    """
    from sedid.studycard import STUDIES, studies  # which writes its numbers as this module does

    info = read_json(folder / "sedid" / "detector.json")
    results = read_json(folder / "sedid" / "results.json")
    training, stat = info.get("training", {}), info["stat"]
    chosen = next(c for c in stat["calibrations"] if [c["k"], c["t_sec"]] == list(stat["chosen"]))
    lines = [
        "---",
        "library_name: diffusers",
        "pipeline_tag: unconditional-image-generation",
        "tags: [sedid, image-forensics, ddpm]",
        "license: mit",
        "---",
        f"# SeDID detector {folder.resolve().name}",
        "",
        "A DDPM and what was calibrated for it: it tells images that THIS model generated from real ones by the step-wise",
        "error of SeDID (arXiv 2307.06272). It knows nothing about other generators.",
        "",
        "## Training",
        "",
        *[f"- {name}: {value}" for name, value in training.items()],
        "",
        "## Calibration",
        "",
        f"- STAT at k = {chosen['k']}, T_SEC = {chosen['t_sec']} ({stat['chosen_by']}): generated if the t-error is "
        f"{chosen['polarity']} than {chosen['threshold']:.5g}; no verdict between {chosen['band'][0]:.5g} and "
        f"{chosen['band'][1]:.5g} (at most {stat['error_rate']:.0%} of either calibration class lies beyond).",
        *[
            f"- calibration images, {kind}: {data['count']:,} (sha256 {data['sha256'][:12]})"
            for kind, data in stat["data"].items()
        ],
    ]
    if "nn" in info:
        nn = info["nn"]["calibration"]
        lines.append(
            f"- NN at k = {nn['k']}, T_SEC = {nn['t_sec']}, input `{nn['input']}`, temperature {nn['temperature']:.3g}."
        )
    lines += [
        "",
        "## Measured",
        "",
        "Written by `python -m sedid evaluate`; ACC is the balanced accuracy at the threshold of the calibration split.",
        counts_line(results),
        leak_line(results),
        "",
        results_table(results),
        "",
        verdict_table(results),
        "",
    ]
    for command, text in studies(folder).items():
        lines += [f"## {STUDIES[command][0]}", "", f"Written by `python -m sedid {command}`.", "", text, ""]
    with replacing(folder / "README.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")

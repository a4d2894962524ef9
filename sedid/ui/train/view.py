"""A job as HTML: state, progress, loss curve, samples, log. Pure functions of what is on disk."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sedid.escaping import for_html, written_by
from sedid.jobs.console import duration
from sedid.jobs.store import Job, last_words
from sedid.method.diffusion import write_steps
from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import Scale, over
from sedid.report.charts.series import Series
from sedid.report.markdown import REALS, counts_line, leak_line, splits_line
from sedid.report.numbers import cell
from sedid.report.pictures import data_uri, number, percent, short, text
from sedid.storage import read_arrays
from sedid.studies.evaluate import EvaluationResults, NNRow, StatRow
from sedid.ui.train.form import job_name

EMPTY = """<div class="sed-state"><p><b>No job yet.</b></p><p>Choose a stage and press Start. A job goes on when this page
is closed, and is found again when it is opened.</p></div>"""
WORDS = {
    "learning_rate": "learning rate",
    "heldout_loss": "held-out loss, weighted as in training",
    "validation_loss": "validation loss",
    "validation_auc": "validation AUC",
    "validation_accuracy": "validation accuracy",
}
POINTS = 300  # of a curve: more could not be seen


def state_html(job: Job, records: Sequence[dict[str, Any]]) -> str:
    """Name, state, progress of the present stage and its measurements."""
    parts = [
        f'<div class="sed-head"><h2>{text(job_name(job))}</h2>'
        f'<span class="sed-chip sed-chip-{text(job.state)}">{text(job.state)}</span></div>'
    ]
    if job.state == "queued":
        parts.append("<p>Waits for its turn: one job runs at a time.</p>")
    if job.state == "failed":
        parts.append(
            f'<p class="sed-warn" role="alert">{text(job.error[:1].upper() + job.error[1:].rstrip("."))}. The log below says more.</p>'
        )
    if job.state == "stopped":
        parts.append('<p class="sed-note">Stopped. Resume goes on from the last checkpoint.</p>')
    if job.state == "running" and not records:
        parts.append('<p class="sed-note">Starting: libraries and data are being loaded.</p>')
    if records and job.state != "done":
        last = records[-1]
        share = last["done"] / max(last["total"], 1)
        parts.append(
            f"<p>{text(re.sub(r'^[a-z](?! )', lambda first: first[0].upper(), last['stage']))}: {last['done']:,} of {last['total']:,}</p>"
            f'<div class="sed-meter" role="progressbar" aria-label="Progress" aria-valuenow="{100 * share:.0f}" '
            f'aria-valuemin="0" aria-valuemax="100"><i style="width:{percent(share)}"></i></div>'
        )
    if job.state == "done" and (job.folder / "bundle").is_dir():
        parts.append(
            f"<p>Its detector is the folder <code>{text(job.folder.name)}/bundle</code> of the runs folder. "
            f'<button type="button" class="sed-go sed-open" data-detector="job:{text(job.id)}">Open in Inspect</button></p>'
        )
    if job.state == "done" and job.command == "sweep":
        parts.append(
            f"<p>What it found is in the Sweep tab, under the name of its folder: <code>{text(job.folder.name)}</code>.</p>"
        )
    return "".join(parts) + facts_html(job, records)


def facts_html(job: Job, records: Sequence[dict[str, Any]]) -> str:
    """Speed, time left and the latest value of each measurement."""
    facts: dict[str, str] = {}
    if records:
        last = records[-1]
        if job.state == "running" and last["per_second"]:  # nothing is known yet of a stage that begins
            facts[f"{last['unit']}/s"] = number(last["per_second"])
            facts["stage ends in"] = duration(last["eta_seconds"])
        same = [record for record in records if record["stage"] == last["stage"]]
        values = {name: value for record in same for name, value in record["values"].items()}
        facts |= {
            WORDS.get(name, name): short(value) if np.isfinite(value) else "not finite"
            for name, value in values.items()
            if name != "images"
        }
    if job.began and (job.ended or job.active):  # when a killed process ended is not known
        facts["took" if job.ended else "time so far"] = duration((job.ended or time.time()) - job.began)
    rows = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="sed-measures">{rows}</dl>' if rows else ""


def pictures_html(folder: Path, records: Sequence[dict[str, Any]]) -> str:
    """The loss of every stage that has one, the samples beside it."""
    by_stage: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if "loss" in record["values"]:
            by_stage.setdefault(record["stage"], []).append(record)
    shown = [*map(loss_html, by_stage.values()), samples_html(folder)]
    drawn = "".join(f"<div>{part}</div>" for part in shown if part)
    return of_source(f'<div class="sed-shown">{drawn}</div>', folder.name)


def loss_html(rows: Sequence[dict[str, Any]]) -> str:
    """The loss of one stage: raw, smoothed, and on images not trained on; empty for a single record."""
    # A diverged training writes NaN; a resumed one repeats what came after its last checkpoint, and the later ones count.
    latest = {row["done"]: row for row in rows if np.isfinite(row["values"]["loss"])}
    rows = [latest[done] for done in sorted(latest)]
    if len(rows) < 2:
        return ""
    stage = rows[0]["stage"]
    x, y = np.array([row["done"] for row in rows], float), np.array([row["values"]["loss"] for row in rows], float)
    checks = [
        (row["done"], row["values"][name])
        for row in rows
        for name in ("heldout_loss", "validation_loss")
        if name in row["values"]
    ][-60:]
    scale = over("", [*y, *(value for _, value in checks)], log_from=4)
    if not (y > 0).any():
        return ""
    smooth, keep = smoothed(y), np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
    series = [
        Series("each record", x[keep], y[keep], "faint thin"),
        Series("smoothed over ten", x[keep], smooth[keep], "one bold"),
    ]
    if checks:
        at, values = zip(*checks, strict=True)
        series.append(Series("on images not trained on", at, values, "two", marked=True, line=False))
    chart = Chart(
        f"Loss, {stage}",
        series,
        Scale(rows[0].get("unit", "done"), 0, float(rows[-1]["total"])),
        scale,
        "logarithmic" if scale.log else "",
        said=f"Loss of {stage}: {number(y[0])} at first, {number(smooth[-1])} now",
    )
    return chart.html()


def smoothed(values: np.ndarray, span: int = 10) -> np.ndarray:
    """An exponential average over about `span` records; starts as a plain mean."""
    found, mean = np.empty_like(values), 0.0
    for i, value in enumerate(values):
        mean += (value - mean) / min(i + 1, span)
        found[i] = mean
    return found


def samples_html(folder: Path) -> str:
    """The newest images the job's model made: a training's sample grid, or the start of a generated set."""
    grids = sorted([*folder.glob("samples/*.png"), *folder.glob("ddpm/samples/*.png")], key=lambda file: file.name)
    parts = sorted([*folder.glob("parts/*.npz"), *folder.glob("generated/parts/*.npz")])
    if parts:
        images = read_arrays(parts[0])["images"][:16]
        columns = min(4, len(images))
        images = images[: len(images) // columns * columns]
        rows = images.reshape(-1, columns, *images.shape[1:]).swapaxes(1, 2)
        picture, caption = rows.reshape(-1, columns * images.shape[2], 3), "The first generated images"
    elif grids:
        from PIL import Image

        with Image.open(grids[-1]) as opened:
            picture = np.asarray(opened.convert("RGB"))
        caption = f"Samples at step {int(grids[-1].stem):,}"
    else:
        return ""
    return f'<div class="sed-grid"><h2>{caption}</h2><img src="{data_uri(picture)}" alt="{caption}" title="Always from the same noise"></div>'


def log_html(job: Job, lines: int = 12) -> str:
    """The end of the log."""
    said = "\n".join(last_words(job, lines))
    return f'<h2>Log</h2><div class="sed-log" tabindex="0"><pre>{text(said)}</pre></div>' if said else ""


def report_html(folder: Path) -> str:
    """What was measured, and what was found about the images; empty before the evaluation."""
    file = folder / "bundle" / "sedid" / "results.json"
    if not file.is_file():
        return ""
    try:
        results = EvaluationResults.read(file)
        with written_by("evaluate", file):
            return _measured(for_html(results))
    except (OSError, ValueError) as error:
        return f'<p class="sed-note">{text(error)}</p>'


def _measured(results: EvaluationResults) -> str:
    kinds = [kind for kind in REALS if results.stat.get(kind)]
    verdicts: list[tuple[str, bool, Sequence[StatRow | NNRow]]] = [
        ("STAT", rows[0].chosen, rows) for rows in zip(*(results.stat[kind] for kind in kinds), strict=True)
    ]
    if results.nn:
        verdicts.append(("NN", True, [results.nn[kind] for kind in kinds]))
    head = "".join(f'<th colspan="3" scope="colgroup">against {REALS[kind]} reals</th>' for kind in kinds)
    lines = [f'<tr><td colspan="3"></td>{head}</tr>', "<tr><th>verdict</th><th>k</th><th>T_SEC</th>"]
    lines[-1] += "<th>AUC</th><th>ACC</th><th>TPR@1 %</th>" * len(kinds) + "</tr>"
    for name, own, rows in verdicts:
        values = [write_steps(rows[0].k), str(rows[0].t_sec)]
        values += [cell(value) for row in rows for value in (row.auc, row.acc, row.tpr_at_1)]
        chosen = ' class="sed-chosen"' if own else ""
        lines.append(f"<tr{chosen}><td>{name}</td>" + "".join(f"<td>{value}</td>" for value in values) + "</tr>")
    return (
        f'<h2>Measured</h2><p>{counts_line(results)}</p><div class="sed-wide" tabindex="0"><table>{"".join(lines)}'
        f"</table></div><p>{leak_line(results.audit)}</p><p>{splits_line(results.protocol.splits)}</p>"
    )


def disk_html(used: int, limit_gb: float) -> str:
    """How full the runs folder is."""
    size = f"{used / 1e9:.2f} GB" if used >= 1e8 else f"{used / 1e6:.1f} MB"
    return f'<p class="sed-note">Jobs use {size} of {limit_gb:g} GB of disk.</p>'

"""A job as HTML: state, progress, loss curve, samples, log. Pure functions of what is on disk."""

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from sedid.config import described
from sedid.data.image_statistics import LEAST, high_frequency, luma
from sedid.escaping import written_by
from sedid.jobs.commands import COMMANDS
from sedid.jobs.console import duration
from sedid.jobs.store import Job, last_words
from sedid.method.diffusion import write_steps
from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import Scale, over
from sedid.report.charts.series import Series
from sedid.report.defence import finding, trade_off
from sedid.report.markdown import REALS, counts_line, leak_line, splits_line
from sedid.report.numbers import cell
from sedid.report.pictures import number, short
from sedid.storage import read_arrays
from sedid.studies.defence import DefenceResults
from sedid.studies.evaluate import EvaluationResults, NNRow, StatRow
from sedid.ui.html import render
from sedid.ui.train.form import has_detector, job_name

NOISE = 0.4
"""Of an image's power, the share in the finest details from which on it is noise: of white noise it is three quarters, of
photographs a few hundredths."""
WORDS = {
    "learning_rate": "learning rate",
    "heldout_loss": "held-out loss, weighted as in training",
    "validation_loss": "validation loss",
    "validation_auc": "validation AUC",
    "validation_accuracy": "validation accuracy",
}
POINTS = 300  # of a curve: more could not be seen


def state_html(job: Job, records: Sequence[dict[str, Any]]) -> Markup:
    """Name, state, progress of the present stage and its measurements."""
    last = records[-1] if records else None
    return render(
        "job.html",
        job=job,
        name=job_name(job),
        error=job.error[:1].upper() + job.error[1:].rstrip("."),
        last=last,
        stage=last and re.sub(r"^[a-z](?! )", lambda first: first[0].upper(), last["stage"]),
        bundle=has_detector(job.folder),
        facts=facts(job, records),
        noise=noise(job.folder),
    )


def settings_html(stage: str) -> Markup:
    """The settings of a stage: what each accepts, its default, and what it is."""
    return render("settings.html", settings=described(COMMANDS[stage].settings))


def empty_html(example: str = "") -> Markup:
    """What stands where there is no job: how to start one, and the state of a finished one to look at, as `state_html`."""
    return render("job_none.html", example=example)


def facts(job: Job, records: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Speed, time left and the latest value of each measurement, by their names."""
    found: dict[str, str] = {}
    if records:
        last = records[-1]
        if job.state == "running" and last["per_second"]:  # nothing is known yet of a stage that begins
            found[f"{last['unit']}/s"] = number(last["per_second"])
            found["stage ends in"] = duration(last["eta_seconds"])
        same = [record for record in records if record["stage"] == last["stage"]]
        values = {name: value for record in same for name, value in record["values"].items()}
        found |= {
            WORDS.get(name, name): short(value) if np.isfinite(value) else "not finite"
            for name, value in values.items()
            if name != "images"
        }
    if job.began and (job.ended or job.active):  # when a killed process ended is not known
        passed = (job.ended or time.time()) - job.began
        found["took" if job.ended else "time so far"] = duration(max(0.0, passed))  # the clock may have been set back
    return found


def pictures_html(folder: Path, records: Sequence[dict[str, Any]]) -> str:
    """The loss of every stage that has one, the samples beside it."""
    by_stage: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if "loss" in record["values"]:
            by_stage.setdefault(record["stage"], []).append(record)
    shown = [*map(loss_chart, by_stage.values()), samples_html(folder)]
    return of_source(render("job_pictures.html", shown=[part for part in shown if part]), folder.name)


def loss_chart(rows: Sequence[dict[str, Any]]) -> Chart | None:
    """The loss of one stage: raw, smoothed, and on images not trained on; None for a single record."""
    # A diverged training writes NaN; a resumed one repeats what came after its last checkpoint, and the later ones count.
    latest = {row["done"]: row for row in rows if np.isfinite(row["values"]["loss"])}
    rows = [latest[done] for done in sorted(latest)]
    if len(rows) < 2:
        return None
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
        return None
    smooth, keep = smoothed(y), np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
    series = [
        Series("each record", x[keep], y[keep], "faint thin"),
        Series("smoothed over ten", x[keep], smooth[keep], "one bold"),
    ]
    if checks:
        at, values = zip(*checks, strict=True)
        series.append(Series("on images not trained on", at, values, "two", marked=True, line=False))
    return Chart(
        f"Loss, {stage}",
        series,
        Scale(rows[0].get("unit", "done"), 0, float(rows[-1]["total"])),
        scale,
        "logarithmic" if scale.log else "",
        said=f"Loss of {stage}: {number(y[0])} at first, {number(smooth[-1])} now",
    )


def smoothed(values: np.ndarray, span: int = 10) -> np.ndarray:
    """An exponential average over about `span` records; starts as a plain mean."""
    found, mean = np.empty_like(values), 0.0
    for i, value in enumerate(values):
        mean += (value - mean) / min(i + 1, span)
        found[i] = mean
    return found


def samples_html(folder: Path) -> Markup | None:
    """What the job's model makes: how its samples changed, then the newest images; None of neither."""
    newest = newest_images(folder)
    if newest is None:
        return None
    grids = sample_grids(folder)
    kept = np.unique(np.linspace(0, len(grids) - 1, 4).round().astype(int)) if len(grids) > 1 else ()
    corners = [(grid[: len(grid) // 2, : len(grid) // 2], step) for grid, step in (read_grid(grids[at]) for at in kept)]
    return render("job_samples.html", picture=newest[0], caption=newest[1], corners=corners)


def newest_images(folder: Path) -> tuple[np.ndarray, str] | None:
    """A training's newest sample grid, or the start of a generated set, uint8 (H, W, 3), and what it is; None of neither.

    A trial of defences has several models, each in a folder of its own.
    """
    grids = sample_grids(folder)
    parts = [file for run in ("", "generated/", "*/generated/") for file in folder.glob(f"{run}parts/*.npz")]
    if not (grids or parts):
        return None
    newest = max([*grids, *parts], key=lambda file: (file.stat().st_mtime_ns, file.name))
    if newest in parts:
        first = min(newest.parent.glob("*.npz"))
        images = first_images(first, first.stat().st_mtime_ns)
        columns = min(4, len(images))
        images = images[: len(images) // columns * columns]
        rows = images.reshape(-1, columns, *images.shape[1:]).swapaxes(1, 2)
        picture, caption = rows.reshape(-1, columns * images.shape[2], 3), "The first generated images"
    else:
        newest = grids[-1]
        picture, step = read_grid(newest)
        caption = f"Samples at step {step:,}"
    *within, _ = newest.relative_to(folder).parts
    return picture, caption + (f" of the {within[0]} model" if len(within) > 2 else "")


def sample_grids(folder: Path) -> list[Path]:
    """The sample grids of the training at work, or the last to be, the oldest first."""
    grids = [file for run in ("", "ddpm/", "*/ddpm/") for file in folder.glob(f"{run}samples/*.png")]
    newest = max(grids, key=lambda file: file.stat().st_mtime_ns, default=None)
    return sorted(file for file in grids if newest and file.parent == newest.parent)  # names are steps


def noise(folder: Path) -> float:
    """The share of the finest details in the contrast of what the job's model makes, where that is noise.

    0 where it is not, where there is nothing yet, or nothing large enough to tell.
    """
    newest = newest_images(folder)
    if newest is None or min(newest[0].shape[:2]) < LEAST:
        return 0.0
    share = float(high_frequency(luma(newest[0][None]))[0])
    return share if share > NOISE else 0.0


def read_grid(grid: Path) -> tuple[np.ndarray, int]:
    """A sample grid and its training step."""
    return pixels(grid, grid.stat().st_mtime_ns), int(grid.stem)


@lru_cache(8)  # a page looks every second or two, and the state and the samples both
def pixels(picture: Path, changed: int) -> np.ndarray:
    """The pixels of a picture file, uint8 (H, W, 3), read again when it has changed."""
    from PIL import Image

    with Image.open(picture) as opened:
        return np.asarray(opened.convert("RGB"))


@lru_cache(2)
def first_images(part: Path, changed: int) -> np.ndarray:
    """The first images of a part of a generated set, uint8 (N, H, W, 3), read again when it has changed."""
    return read_arrays(part)["images"][:16].copy()  # without the copy all of them would stay in memory


def log_html(job: Job, lines: int = 12) -> str:
    """The end of the log; empty where there is none."""
    said = "\n".join(last_words(job, lines))
    return render("job_log.html", said=said) if said else ""


def report_html(folder: Path) -> str:
    """What was measured: by an evaluation, or of the models of a trial of defences so far; empty before."""
    for command, file, draw in (
        ("evaluate", folder / "bundle" / "sedid" / "results.json", evaluated),
        ("defend", folder / "defence.json", defended),
    ):
        if file.is_file():
            try:
                with written_by(command, file):
                    return draw(file)
            except (OSError, ValueError) as error:
                return note(error)
    return ""


def evaluated(file: Path) -> Markup:
    """The main figures of an evaluation."""
    return measured(EvaluationResults.read(file))


def defended(file: Path) -> Markup:
    """What a trial of defences found, in words and in one chart."""
    results = DefenceResults.read(file)
    html = render("job_defended.html", finding=finding(results), trade_off=trade_off(results))
    return of_source(html, file.parent.name)


def measured(results: EvaluationResults) -> Markup:
    """The main figures of an evaluation as one table."""
    kinds = [kind for kind in REALS if results.stat.get(kind)]
    verdicts: list[tuple[str, bool, Sequence[StatRow | NNRow]]] = [
        ("STAT", rows[0].chosen, rows) for rows in zip(*(results.stat[kind] for kind in kinds), strict=True)
    ]
    if results.nn:
        verdicts.append(("NN", True, [results.nn[kind] for kind in kinds]))
    return render(
        "job_measured.html",
        counts=counts_line(results),
        reals=[REALS[kind] for kind in kinds],
        verdicts=verdicts,
        leaks=leak_line(results.audit),
        splits=splits_line(results.protocol.splits),
        cell=cell,
        write_steps=write_steps,
    )


def disk_html(used: int, limit_gb: float) -> Markup:
    """How full the runs folder is."""
    return note(f"Jobs and uploaded images use {in_bytes(used)} of {limit_gb:g} GB of disk.")


def in_bytes(count: int) -> str:
    """A size of files as people read it."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def note(said: object) -> Markup:
    """A line beside the matter."""
    return Markup('<p class="sed-note">{}</p>').format(said)

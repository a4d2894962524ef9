"""The Sweep tab: every pair of k and T_SEC measured, and a small sweep of the embedded sample to make one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from sedid import paper, sweephtml
from sedid.data import load_images
from sedid.detectors import Detector
from sedid.figures import save_figure, sweep_heatmap
from sedid.loops.sweep import sweep_images
from sedid.progress import Progress
from sedid.ui.context import Context
from sedid.ui.evaluate_tab import html, this_tab
from sedid.ui.results import as_csv, find_results, runs_folder, write_texts
from sedid.ui.upload import refusal

TITLE = "Sweep"
KS = (110, 165, 245, 330, 495)
EMPTY = (
    '<div class="sed-state"><b>Nothing has been swept yet.</b><br>Run a small sweep below, or '
    "<code>python -m sedid sweep</code>; it appears here.</div>"
)


def build(context: Context) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    with gr.Row():
        source = gr.Dropdown([], label="Sweep of", elem_id="sweep", min_width=220)
        k = gr.Dropdown([], label="k of Figures 3 and 4", elem_id="sweep-k", min_width=160)
        theirs = gr.Radio(
            list(paper.DATA_SETS), value=paper.DATA_SETS[0], label="Paper's AUC in Figure 3", min_width=300
        )
    drawn = html(EMPTY, "sweep-drawn")
    with gr.Row():
        export = gr.Button("Make files to take away", size="sm", elem_id="sweep-export", scale=0, min_width=230)
        files = gr.Files(label="Table and heatmaps", visible=False, elem_id="sweep-files")
    with gr.Accordion("Sweep the embedded sample", open=False, elem_id="sweep-small"):
        gr.Markdown(
            "A few images of each class give the shape of the landscape, not its height: with 40 of each, an AUC is "
            "uncertain by about 0.06. Half of the images calibrate each pair, the other half are measured."
        )
        with gr.Row():
            count = gr.Slider(20, 200, 40, step=20, label="Images of each class", buttons=[])
            ks = gr.CheckboxGroup([(str(one), one) for one in KS], value=[165, 330, 495], label="Step sizes k")
        with gr.Row():
            run = gr.Button("Run the sweep", variant="primary", elem_id="sweep-run", scale=0, min_width=170)
            stop = gr.Button("Stop", elem_id="sweep-stop", scale=0, min_width=100)
        state = html("", "sweep-state")

    light: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    view = [source, k, theirs]
    running = run.click(
        Runner(context).run,
        [count, ks],
        state,
        concurrency_id="sweep",
        concurrency_limit=1,
        **light,
    )
    stop.click(lambda: STOPPED, None, state, cancels=running, **light)
    entering, finished = (
        this_tab().select(choices, source, source, **light),
        running.then(newest, source, source, **light),
    )
    for event in (entering.then, finished.then, source.input):
        event(opened, source, [k, theirs], **light).then(show, view, drawn, **light)
    gr.on([k.input, theirs.input], show, view, drawn, **light)
    export.click(take_away, source, files, api_visibility="private", show_progress_on=export)


STOPPED = "<p>Stopped. The step sizes that were finished are kept: run again to go on.</p>"


class Runner:
    """Runs a small sweep for the page."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def run(self, count: int, ks: list[int]) -> Iterator[str]:
        """Sweep the embedded sample, yielding what to show meanwhile.

        Raises:
            gr.Error: there is no detector or no sample, or no k was chosen.
        """
        chosen = tuple(sorted(k for k in KS if k in ks))
        if not chosen:
            raise gr.Error("Choose at least one step size.", print_exception=False)
        half = min(max(int(count), 20), 200) // 2
        try:
            detector = self.context.detector()
            images = sample_images(detector, half)
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        out = runs_folder() / f"sweep-{detector.name}-{2 * half}"
        protocol = {
            "checkpoint_sha256": detector.info.get("checkpoint_sha256", ""),
            "config": {"detector": detector.name},
        }
        shown = -1
        for record in sweep_images(detector, images, chosen, out, protocol):
            percent = 100 * record.done // max(record.total, 1)
            if percent != shown:
                shown = percent
                yield progress_line(record)
        yield "<p>Done.</p>"


def progress_line(record: Progress) -> str:
    """How far the sweep is, with a bar."""
    share = record.done / max(record.total, 1)
    return (
        f'<p>{record.stage}: {share:.0%}</p><div class="res-progress" role="progressbar" aria-valuenow="{100 * share:.0f}" '
        f'aria-valuemin="0" aria-valuemax="100"><i style="width:{share:.1%}"></i></div>'
    )


def sample_images(detector: Detector, half: int) -> dict[str, np.ndarray]:
    """The first images of the embedded sample, `half` of each class to calibrate and `half` to measure.

    Raises:
        FileNotFoundError, ValueError: there is no sample, or too little of it.
    """
    sets = {}
    for name in ("real", "generated"):
        images = load_images(f"sample:{name}", detector.size, detector.center_crop)[: 2 * half]
        sets[name], sets[f"test_{name}"] = images[:half], images[half:]
    return {name: sets[name] for name in ("real", "generated", "test_real", "test_generated")}


def choices(label: str | None) -> Any:
    """The sweeps there are; the one selected stays so."""
    found = list(find_results("sweep.json"))
    return gr.Dropdown(choices=found, value=label if label in found else found[0] if found else None)


def newest(label: str | None) -> Any:
    """The sweeps there are, the one written last selected."""
    found = find_results("sweep.json")
    last = max(found, key=lambda name: found[name].stat().st_mtime) if found else label
    return gr.Dropdown(choices=list(found), value=last)


def sweep_of(label: str | None) -> tuple[dict[str, Any], Path] | None:
    """The sweep the page calls so and its file; None if it is gone.

    Raises:
        gr.Error: it cannot be read.
    """
    file = find_results("sweep.json").get(label or "")
    try:
        return None if file is None else (sweephtml.load_sweep(file), file)
    except (OSError, ValueError) as error:
        raise refusal(error) from error


def opened(label: str | None) -> Any:
    """Another sweep: its step sizes, the best one selected, and the closest data set of the paper."""
    found = sweep_of(label)
    if found is None:
        return gr.skip(), gr.skip()
    sweep, _ = found
    names = sweep["protocol"].get("config", {})
    offered = sweephtml.ks_of(sweep)
    return gr.Dropdown(choices=offered, value=sweep["best"][0]), gr.Radio(
        value=paper.closest(*map(str, names.values()))
    )


def show(label: str | None, k: int | None, data_set: str | None) -> str:
    """The page's figures, HTML."""
    found = sweep_of(label)
    if found is None:
        return EMPTY
    sweep, _ = found
    k = k if k in sweephtml.ks_of(sweep) else sweep["best"][0]
    data_set = data_set if data_set in paper.DATA_SETS else paper.DATA_SETS[0]
    return sweephtml.heatmaps(sweep) + sweephtml.figures(sweep, k, data_set) + sweephtml.protocol(sweep)


def matrix(sweep: dict[str, Any], key: str) -> tuple[np.ndarray, list[int], list[int]]:
    """One metric as (rows k, columns T_SEC), NaN where there is none, with the names of rows and columns."""
    ks, t_secs = sweephtml.ks_of(sweep), sorted({row["t_sec"] for row in sweep["rows"]})
    values = np.full((len(ks), len(t_secs)), np.nan)
    for row in sweep["rows"]:
        if row[key] is not None:
            values[ks.index(row["k"]), t_secs.index(row["t_sec"])] = row[key]
    return values, ks, t_secs


def take_away(label: str | None) -> Any:
    """The files of `write_files`, to download."""
    found = sweep_of(label)
    if found is None:
        raise gr.Error("There is nothing to export.", print_exception=False)
    return gr.Files([str(path) for path in write_files(*found)], visible=True)


def write_files(sweep: dict[str, Any], file: Path) -> list[Path]:
    """The sweep as files: CSV, JSON, and heatmaps of AUC and accuracy as PNG and SVG."""
    paths = write_texts({"sweep.csv": as_csv(sweep["rows"]), "sweep.json": file.read_text(encoding="utf-8")})
    pairs = {(row["k"], row["t_sec"]) for row in sweep["rows"]}
    mark = next(
        (tuple(pair) for pair in (sweep.get("calibrated"), sweep["best"]) if pair and tuple(pair) in pairs), None
    )
    for key, name in (("auc", "AUC"), sweephtml.accuracy(sweep)):
        figure = sweep_heatmap(*matrix(sweep, key), name, mark)
        for suffix in (".png", ".svg"):
            paths.append(paths[0].with_name(f"sweep-{key}{suffix}"))
            save_figure(figure, paths[-1])
    return paths

"""The Sweep tab: every pair of k and T_SEC measured, and a job that measures them."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from sedid.jobs.store import JobStore
from sedid.method import paper
from sedid.report import sweep as sweep_report
from sedid.report.figures import figure_of, save_figure
from sedid.studies.sweep import SweepConfig, SweepResults
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.kit import LIGHT, RESULTS, UNCHECKED, html, paragraph, this_tab
from sedid.ui.results.files import Own, as_csv, readable, write_texts
from sedid.ui.results.frame import READING, choices, export_row, job_part, nothing, of_job, opened, taken, unsettled
from sedid.ui.server import access, gate
from sedid.ui.terms import explained
from sedid.ui.train import form
from sedid.ui.train.job_card import Watch, choice, halves, problem

TITLE = "Sweep"
EMPTY = (
    '<div class="sed-state"><b>Nothing has been swept yet.</b><br>Start a sweep below, or run '
    "<code>python -m sedid sweep</code>; it appears here.</div>"
)
ABOUT = """Some of the images calibrate each pair (polarity and threshold), the others are measured. Few images give
the shape of the landscape, not its height: with 50 of each class measured, an AUC is uncertain by about 0.06. One
trajectory answers every T_SEC of a k, so a small k costs more than a large one."""


def build(context: Context, _: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    own = context.menu.own
    tab = this_tab()
    page = Page(context.jobs)
    with gr.Row():
        source = gr.Dropdown([], label="Sweep of", elem_id="sweep", min_width=220)
        k = gr.Dropdown([], label="k of Figures 3 and 4", elem_id="sweep-k", min_width=160)
        theirs = gr.Radio(
            list(paper.DATA_SETS), value=paper.DATA_SETS[0], label="Paper's AUC in Figure 3", min_width=300
        )
    drawn = html(READING, "sweep-drawn", kind=RESULTS)
    export, files = export_row("sweep", "Table and heatmaps")
    with gr.Accordion("New sweep", open=False, elem_id="sweep-new"):
        gate.notice()
        html(paragraph(ABOUT), "sweep-about")
        with gr.Row():
            detector = choice("Detector", form.detectors([]))
            real = choice("Real images", form.reals(()))
            generated = choice("Generated images", form.generated_sets([]))
        with gr.Row():
            ks = gr.Dropdown(
                list(map(str, SweepConfig.ks)),
                value=["165", "330", "495"],
                multiselect=True,
                allow_custom_value=True,
                label="Step sizes k",
                elem_id="sweep-ks",
            )
            count = gr.Number(100, label="Images of each class", precision=0, elem_id="sweep-count")
        with gr.Row():
            start = gr.Button("Start", variant="primary", elem_id="sweep-start", scale=0, min_width=170)
    job = job_part("sweep", page)

    figures = [source, k, theirs]
    entering = tab.select(partial(choices, own, "sweep"), source, source, **UNCHECKED, **LIGHT)
    job.wire(tab, TITLE, (start, page.start, [detector, real, generated, ks, count]), [detector, generated], entering)
    told = job.news.change(partial(of_job, own, "sweep"), job.news, source, **LIGHT)
    for event in (entering.then, told.then, source.input):
        event(partial(offered, own), source, [k, theirs], **UNCHECKED, **LIGHT).then(
            partial(show, own), figures, drawn, **UNCHECKED, **LIGHT
        )
    gr.on([k.input, theirs.input], partial(show, own), figures, drawn, **UNCHECKED, **LIGHT)
    export.click(partial(take_away, own), source, files, api_visibility="private", show_progress_on=export, **UNCHECKED)


class Page(Watch):
    """What the events of a new sweep do."""

    def __init__(self, store: JobStore) -> None:
        super().__init__(store, ("sweep",), lambda job: job.state == "done")

    def start(self, detector: str, real: str, generated: str, ks: list[str], count: float | None) -> None:
        """Start a sweep as a job.

        Raises:
            gr.Error: a setting does not fit.
        """
        access.refuse()
        try:
            if not ks:
                raise ValueError("choose at least one step size k")
            sets = {"real": real, "generated": generated}
            settings = [f"detector={detector}", f"ks={','.join(map(str, ks))}"]
            for name, spec in sets.items():
                calibration, test = halves(spec or "", int(count or 0))
                settings += [f"{name}={calibration}", f"test_{name}={test}"]
            self.store.start("sweep", settings)
        except (ValueError, OSError) as error:
            raise problem(error) from error


def sweep_of(own: Own, label: str | None) -> tuple[SweepResults, Path] | None:
    """The sweep the page calls so and its file; None if it is gone.

    Raises:
        gr.Error: it cannot be read.
    """
    return opened(own, "sweep", label, lambda file: (SweepResults.read(file), file))


def offered(own: Own, label: str | None) -> Any:
    """Another sweep: its step sizes, the paper's selected if it is there, and the closest data set of the paper."""
    found = sweep_of(own, label)
    if found is None:
        return gr.skip(), gr.skip()
    sweep, file = found
    with readable("sweep", file):
        k = gr.Dropdown(choices=sweep.measured_ks, value=sweep_report.first_k(sweep))
        return k, gr.Radio(value=paper.closest(*sweep.protocol.names))


def show(own: Own, label: str | None, k: int | None, data_set: str | None) -> Any:
    """The page's figures, HTML."""
    if unsettled(own, "sweep", label):
        return gr.skip()
    found = sweep_of(own, label)
    if found is None:
        return EMPTY
    data_set = data_set if data_set in paper.DATA_SETS else paper.DATA_SETS[0]
    with readable("sweep", found[1]):
        sweep = found[0]
        return explained(
            sweep_report.whole(sweep, k if k in sweep.measured_ks else sweep_report.first_k(sweep), data_set)
        )


def take_away(own: Own, label: str | None) -> Any:
    """The files of `write_files`, to download."""
    found = sweep_of(own, label)
    if found is None:
        raise nothing()
    with readable("sweep", found[1]):
        return taken(write_files(*found))


def write_files(sweep: SweepResults, file: Path) -> list[Path]:
    """The sweep as files: CSV, JSON, and heatmaps of AUC and accuracy as PNG and SVG."""
    paths = write_texts(
        {"sweep.csv": as_csv([asdict(row) for row in sweep.rows]), "sweep.json": file.read_text(encoding="utf-8")}
    )
    for key, name in (("auc", "AUC"), sweep_report.accuracy(sweep)):
        figure = figure_of(sweep_report.heatmap(sweep, key, name))
        for suffix in (".png", ".svg"):
            paths.append(paths[0].with_name(f"sweep-{key}{suffix}"))
            save_figure(figure, paths[-1])
    return paths

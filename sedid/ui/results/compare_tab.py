"""The Compare tab: methods and their studies on one detector, as jobs whose results fill in while they work."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from sedid.jobs.store import Job, JobStore
from sedid.method.methods import METHODS
from sedid.report import compare
from sedid.report.evaluation import roc_charts
from sedid.report.figures import figure_of, save_figure
from sedid.report.page import page as html_page
from sedid.studies.comparison import ComparisonResults
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.kit import LIGHT, RESULTS, UNCHECKED, html, paragraph, this_tab
from sedid.ui.results.files import Own, as_csv, find_results, readable, results_file, write_texts
from sedid.ui.results.frame import READING, choices, export_row, job_part, nothing, opened, taken, unsettled
from sedid.ui.results.studies import REALS_OFFERED, STUDIES, Asked, Study, View, study_of
from sedid.ui.scripts import function
from sedid.ui.server import access, gate
from sedid.ui.terms import explained
from sedid.ui.train import form
from sedid.ui.train.job_card import Watch, choice, problem

TITLE = "Compare"
USUAL = ("sedid-stat", "sedid-multi-lr ks=165+330", "loss", "secmi-stat", "pia", "pian", "dire-stat")
"""Methods ticked at first: those without a classifier to train."""


def build(context: Context, _: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    own = context.menu.own
    tab = this_tab()
    page = Page(context.jobs)
    drawn_from = gr.State("")
    offering = [(one.title, one.command) for one in STUDIES]
    study = gr.Radio(offering, value=STUDIES[0].command, label="Study", elem_id="compare-study")
    about = html(paragraph(STUDIES[0].about), "compare-about", "study")
    with gr.Row():
        source = gr.Dropdown([], label="Results of", elem_id="comparison", min_width=220)
        reals = gr.Radio(REALS_OFFERED, value="heldout", label="Against", elem_id="compare-reals", min_width=220)
        method = gr.Dropdown([], label="Curve drawn", elem_id="compare-method", min_width=260)
    drawn = html(READING, "compare-drawn", kind=RESULTS)
    export, files = export_row("compare", "Tables, curves and report")
    with gr.Accordion("New run of this study", open=False, elem_id="compare-new"):
        gate.notice()
        html(
            paragraph("It runs as a background job, one at a time; the tables above fill in while it works."),
            "compare-job",
        )
        with gr.Row():
            detector = choice("Detector", form.detectors([]))
            real = choice("Real images", form.reals(()))
            generated = gr.Dropdown(
                form.generated_sets([]), value=["sample:generated"], multiselect=True, allow_custom_value=True,
                label="Generated images", elem_id="compare-generated",
            )  # fmt: skip
            count = gr.Number(100, label="Images of each class", precision=0, elem_id="compare-count")
        methods = gr.CheckboxGroup(offered_methods(), value=list(USUAL), label="Methods", elem_id="compare-methods")
        start = gr.Button("Start", variant="primary", elem_id="compare-start", min_width=170)
    job = job_part("compare", page)

    view = [study, source, reals, method]
    draw: dict[str, Any] = {
        "fn": partial(show, own),
        "inputs": view,
        "outputs": [drawn, drawn_from],
        **UNCHECKED,
        **LIGHT,
    }
    turn: dict[str, Any] = {
        "fn": partial(turned, own),
        "inputs": [study, source],
        "outputs": [study, about, methods, source],
        "trigger_mode": "always_last",
        **UNCHECKED,  # an address may name a study that there is not
        **LIGHT,
    }
    entering, back = (event(**turn, js=function("study", "wish")) for event in (tab.select, about.select))
    turning = study.input(**turn, js=function("study", "choose"))
    begin = (start, page.start, [study, detector, real, generated, count, methods])
    looked = job.wire(tab, TITLE, begin, [detector, generated], entering)
    looked.then(partial(fresh, own), [*view, drawn_from], [drawn, drawn_from], **UNCHECKED, **LIGHT)
    told = job.news.change(partial(of_job, own), job.news, turn["outputs"], **LIGHT)
    told.success(None, study, None, js=function("study", "remember"), **LIGHT)
    for event in (entering.then, back.then, turning.then, told.then, source.input):
        event(partial(offered, own), [study, source], [reals, method], **UNCHECKED, **LIGHT).then(**draw)
    gr.on([reals.input, method.input], **draw)
    export.click(partial(take_away, own), view, files, api_visibility="private", show_progress_on=export, **UNCHECKED)


class Page(Watch):
    """What the events of a new run do."""

    def __init__(self, store: JobStore) -> None:
        super().__init__(store, tuple(study.command for study in STUDIES), has_results)

    def start(
        self, name: str, detector: str, real: str, generated: list[str], count: float | None, methods: list[str]
    ) -> None:
        """Start the study as a job.

        Raises:
            gr.Error: a setting does not fit.
        """
        access.refuse()
        study = study_of(name)
        try:
            asked = Asked(real or "", tuple(generated or ()), int(count or 0), tuple(methods or ()))
            self.store.start(study.command, [f"{study.detector}={detector}", *study.settings(asked)])
        except (ValueError, OSError) as error:
            raise problem(error) from error


def has_results(job: Job) -> bool:
    """Whether a job has written results already, finished or not."""
    study = next(study for study in STUDIES if study.command == job.command)
    return results_file(job.folder, study.file) is not None


def offered_methods() -> list[tuple[str, str]]:
    """(title, name) of every method, SeDID-Multi with two step sizes so that it costs little more than one."""
    names = {name: f"{name} ks=165+330" if name.startswith("sedid-multi") else name for name in METHODS}
    return [(METHODS[name].title, text) for name, text in names.items()]


def empty(study: Study) -> str:
    """What stands where there are no results."""
    return (
        '<div class="sed-state"><b>This study has not been run yet.</b><br>Start it below, or run '
        f"<code>python -m sedid {study.command}</code>; its results appear here.</div>"
    )


def turned(own: Own, name: str, label: str | None) -> Any:
    """Another study: what it is about, the methods it takes, and its results; the one selected stays so where it can."""
    study = study_of(name)
    methods = gr.CheckboxGroup(visible=study is STUDIES[0])
    return study.command, paragraph(study.about), methods, choices(own, study.command, label)


def of_job(own: Own, id: str) -> Any:
    """Turn to the study and the results of a job."""
    for study in STUDIES:
        if id and id in find_results(own, study.file):
            return turned(own, study.command, id)
    return gr.skip(), gr.skip(), gr.skip(), gr.skip()


def offered(own: Own, name: str, label: str | None) -> Any:
    """Other results: what can be chosen in them."""
    study = study_of(name)
    of_methods = study is STUDIES[0]
    loaded = opened(own, study.command, label, compare.load_comparison) if of_methods else None
    if loaded is None:
        return gr.Radio(visible=False), gr.Dropdown(visible=False)
    found, _ = loaded
    kinds = compare.reals_of(found)
    rows = compare.methods_of(found, kinds[0]) if kinds else []
    return (
        gr.Radio([pair for pair in REALS_OFFERED if pair[1] in kinds], value="heldout", visible=len(kinds) > 1),
        gr.Dropdown(rows, value=rows[0][1] if rows else None, visible=bool(rows)),
    )


def stamp(own: Own, name: str, label: str | None) -> str:
    """What the page would show now: changes with the file."""
    file = find_results(own, study_of(name).file).get(label or "")
    return f"{name}|{label}|{file.stat().st_mtime_ns if file else ''}"


def show(own: Own, name: str, label: str | None, reals: str, method: str | None) -> tuple[Any, Any]:
    """The results of a study, HTML, and their `stamp`.

    Raises:
        gr.Error: they cannot be read.
    """
    study, now = study_of(name), stamp(own, name, label)
    if unsettled(own, study.command, label):
        return gr.skip(), gr.skip()
    drawn = opened(own, study.command, label, lambda file: study.html(file, View(reals, method or "")))
    return empty(study) if drawn is None else explained(drawn), now


def fresh(own: Own, name: str, label: str | None, reals: str, method: str | None, before: str) -> Any:
    """The same, where the file has changed since."""
    return (gr.skip(), gr.skip()) if stamp(own, name, label) == before else show(own, name, label, reals, method)


def take_away(own: Own, name: str, label: str | None, reals: str, method: str | None) -> Any:
    """What is shown as files, to download: the results file, an HTML report, and of a comparison CSV and ROC curves."""
    study = study_of(name)
    file = find_results(own, study.file).get(label or "")
    if file is None:
        raise nothing()
    body, _ = show(own, name, label, reals, method)
    heading = f"SeDID: {study.title.lower()} of {label}"
    texts = {study.file: file.read_text(encoding="utf-8"), "report.html": html_page(heading, body)}
    if study is not STUDIES[0]:
        return taken(write_texts(texts))
    found, scores = compare.load_comparison(file)
    with readable("compare", file):
        texts["methods.csv"] = as_csv(compare.flat_rows(found))
        paths = write_texts(texts)
        if scores:
            paths += write_curves(found, scores, reals if reals in found.rows else "heldout", method or "", paths[0])
        return taken(paths)


def write_curves(found: ComparisonResults, scores: compare.Scores, reals: str, method: str, beside: Path) -> list[Path]:
    """ROC curves of all methods as PNG and SVG; returns the files."""
    figure = figure_of(roc_charts(compare.curves(found, scores, reals, method))[0])
    paths = [beside.with_name(f"roc{suffix}") for suffix in (".png", ".svg")]
    for path in paths:
        save_figure(figure, path)
    return paths

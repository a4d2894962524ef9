"""The Evaluate tab: a detector's measured figures beside the paper's, and the curves and mistakes behind them."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from sedid.method import paper
from sedid.report import evaluation as evaluation_report
from sedid.report.figures import figure_of, save_figure
from sedid.report.page import report
from sedid.stats.metrics import Metrics
from sedid.studies.results import REALS, Evaluation, Pair, load_evaluation
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.kit import LIGHT, RESULTS, UNCHECKED, html, this_tab
from sedid.ui.results.files import Own, as_csv, readable, write_texts
from sedid.ui.results.frame import READING, choices, export_row, nothing, opened, taken, unsettled
from sedid.ui.terms import explained

TITLE = "Evaluate"
CALIBRATED, ORACLE = "the calibration split", "the best of these images (the paper's)"
NN = "NN"
EMPTY = (
    '<div class="sed-state"><b>Nothing has been evaluated yet.</b><br>Run the whole loop in the Train tab, or '
    "<code>python -m sedid evaluate</code>; its results appear here.</div>"
)
REALS_OFFERED = [(words.capitalize(), kind) for kind, words in REALS.items()]


def build(context: Context, _: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    own = context.menu.own
    with gr.Row():
        source = gr.Dropdown([], label="Results of", elem_id="evaluation", min_width=220)
        reals = gr.Radio(REALS_OFFERED, value="heldout", label="Against", elem_id="evaluation-reals", min_width=220)
        theirs = gr.Radio(list(paper.DATA_SETS), label="Paper's column", elem_id="evaluation-paper", min_width=300)
    first = html(READING, "evaluation-first", kind=RESULTS)
    with gr.Row():
        score = gr.Dropdown([], label="Score drawn", elem_id="evaluation-score", min_width=220)
        cut = gr.Radio([CALIBRATED, ORACLE], value=CALIBRATED, label="Threshold from", min_width=300)
    drawn = html("", "evaluation-drawn", kind=RESULTS)
    export, files = export_row("evaluation", "Tables, curves and report")

    view = [source, reals, theirs, score, cut]
    entering = this_tab().select(partial(choices, own, "evaluate"), source, source, **UNCHECKED, **LIGHT)
    for event in (entering.then, source.input):
        picked = event(partial(offered, own), source, [reals, theirs, score], **UNCHECKED, **LIGHT)
        picked.then(partial(show, own), view, [first, drawn], **UNCHECKED, **LIGHT)
    gr.on(
        [reals.input, theirs.input, score.input, cut.input],
        partial(show, own),
        view,
        [first, drawn],
        **UNCHECKED,
        **LIGHT,
    )
    export.click(partial(take_away, own), view, files, api_visibility="private", show_progress_on=export, **UNCHECKED)


def evaluation_of(own: Own, label: str | None) -> Evaluation | None:
    """The evaluation the page calls so; None if it is gone.

    Raises:
        gr.Error: its files cannot be read.
    """
    return opened(own, "evaluate", label, load_evaluation)


def score_choices(evaluation: Evaluation) -> list[tuple[str, str]]:
    """(words, value) of every score that can be drawn, the detector's own first."""
    own: list[Pair | None] = [evaluation.chosen]
    own += [None] if evaluation.results.nn else []
    others = [pair for pair in evaluation.pairs if pair != evaluation.chosen]
    return [(evaluation_report.score_name(evaluation, pair), value_of(pair)) for pair in [*own, *others]]


def value_of(pair: Pair | None) -> str:
    """A pair as the value of a choice."""
    return NN if pair is None else f"{pair[0]},{pair[1]}"


def pair_of(evaluation: Evaluation, value: str | None) -> Pair | None:
    """The pair of a choice, None for NN; the detector's own if there is no such pair."""
    if value == NN and evaluation.results.nn:
        return None
    return next((pair for pair in evaluation.pairs if value_of(pair) == value), evaluation.chosen)


def offered(own: Own, label: str | None) -> Any:
    """Another evaluation: what can be chosen in it."""
    evaluation = evaluation_of(own, label)
    if evaluation is None:
        return gr.skip(), gr.skip(), gr.skip()
    with readable("evaluate", evaluation.file):
        kinds = [(words, kind) for words, kind in REALS_OFFERED if kind in evaluation.reals]
        scores = score_choices(evaluation)
        return (
            gr.Radio(choices=kinds, value=evaluation.reals[0]),
            gr.Radio(value=evaluation.data_set),
            gr.Dropdown(choices=scores, value=scores[0][1]),
        )


def show(own: Own, label: str | None, reals: str, data_set: str | None, score: str | None, cut: str) -> tuple[Any, Any]:
    """The two halves of the page, HTML."""
    if unsettled(own, "evaluate", label):
        return gr.skip(), gr.skip()
    evaluation = evaluation_of(own, label)
    if evaluation is None:
        return EMPTY, ""
    with readable("evaluate", evaluation.file):
        reals = reals if reals in evaluation.reals else evaluation.reals[0]
        data_set = data_set if data_set in paper.DATA_SETS else evaluation.data_set
        first = evaluation_report.first(evaluation, reals, data_set)
        charts = evaluation_report.charts(evaluation, reals, pair_of(evaluation, score), cut == ORACLE)
        tables = evaluation_report.tables(evaluation, reals, data_set)
        mistakes = evaluation_report.mistakes(evaluation, reals, clickable=True)
        seen: set[str] = set()
        return explained(first, seen), explained(charts + tables + mistakes, seen)


def take_away(own: Own, label: str | None, reals: str, data_set: str | None, score: str | None, cut: str) -> Any:
    """The files of `write_files`, to download."""
    evaluation = evaluation_of(own, label)
    if evaluation is None:
        raise nothing()
    with readable("evaluate", evaluation.file):
        reals = reals if reals in evaluation.reals else evaluation.reals[0]
        data_set = data_set if data_set in paper.DATA_SETS else evaluation.data_set
        return taken(write_files(evaluation, reals, data_set, pair_of(evaluation, score), cut == ORACLE))


def write_files(evaluation: Evaluation, reals: str, data_set: str, pair: Pair | None, oracle: bool) -> list[Path]:
    """Everything shown as files: CSV, JSON, PNG, SVG and the HTML report."""
    rows: list[dict[str, Any]] = [
        {"verdict": "NN" if pair is None else "STAT", "reals": kind} | csv_row(row)
        for kind in evaluation.reals
        for pair in [*evaluation.pairs, None]
        if (row := evaluation.row(kind, pair)) is not None
    ]
    rows += [
        {"verdict": f"training loss at t = {loss.t}", "reals": kind} | csv_row(loss)
        for kind in evaluation.reals
        if (loss := evaluation.existing(kind)) is not None
    ]
    texts = {
        "tables.csv": as_csv(rows),
        "results.json": evaluation.file.read_text(encoding="utf-8"),
        "report.html": report(evaluation, data_set),
    }
    paths = write_texts(texts)
    scores = evaluation_report.scores_chart(evaluation, reals, pair, oracle)
    if scores is not None:
        curves, _ = evaluation_report.roc_charts(evaluation_report.curves(evaluation, reals, pair))
        for stem, chart in {"roc": curves, "histogram": scores}.items():
            for suffix in (".png", ".svg"):
                paths.append(paths[0].with_name(stem + suffix))
                save_figure(figure_of(chart), paths[-1])
    return paths


CSV_COLUMNS = (
    *("k", "t_sec", "polarity", "threshold", "auc", "auc_paper_polarity", "best_acc", "acc"),
    *("tpr_at_1", "tpr_at_01", "real", "generated"),
)


def csv_row(row: Metrics) -> dict[str, Any]:
    """A row of results as one of the table; what it has not is empty."""
    return {name: getattr(row, name, None) for name in CSV_COLUMNS}

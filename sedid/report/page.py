"""An evaluation as one HTML file that needs nothing else: no script, no font, no request."""

from pathlib import Path

from markupsafe import Markup

from sedid.detector.words import LIMITS
from sedid.escaping import written_by
from sedid.report import evaluation as evaluation_report
from sedid.report import lead
from sedid.report.html import render
from sedid.report.style import SHARED, css
from sedid.storage import replacing
from sedid.studies.results import REALS, Evaluation, load_evaluation


def report(evaluation: Evaluation, data_set: str = "") -> str:
    """The page.

    Args:
        data_set: whose column of the paper stands beside the figures; "" takes the closest (`paper.DATA_SETS`).
    """
    data_set = data_set or evaluation.data_set
    parts = [
        {
            "reals": REALS[reals],
            "members": reals == "members",
            "lead": lead.evaluation(evaluation, reals, data_set),
            "tables": evaluation_report.tables(evaluation, reals, data_set),
            "charts": evaluation_report.charts(evaluation, reals, evaluation.chosen, oracle=False),
            "confusion": evaluation_report.confusion(evaluation, reals, None, oracle=False)
            if evaluation.row(reals, None) and evaluation.scores(reals, None)
            else "",
            "mistakes": evaluation_report.mistakes(evaluation, reals, clickable=False),
        }
        for reals in evaluation.reals
    ]
    body = render("evaluation.html", protocol=evaluation_report.protocol(evaluation), parts=parts)
    return page(f"SeDID: {evaluation.name} measured", body)


def page(title: str, body: str, style: str = css(*SHARED, "document")) -> Markup:
    """HTML parts of this package as a page that needs nothing else.

    Args:
        title: plain text, or `Markup`.
        body: HTML.
        style: the CSS it holds; default: that of all parts.
    """
    return render("document.html", title=title, style=Markup(style), limits=LIMITS, body=Markup(body))


def write_report(source: Path, out: Path, data_set: str = "") -> None:
    """Write the report of an evaluation, whole or not at all.

    Args:
        source: as `load_evaluation`.
        data_set: as `report`.

    Raises:
        FileNotFoundError, ValueError: as `load_evaluation`.
        OSError: the file cannot be written.
    """
    evaluation = load_evaluation(source)
    with written_by("evaluate", evaluation.file):
        page = report(evaluation, data_set)
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")

"""An evaluation as one HTML file that needs nothing else: no script, no font, no request."""

from pathlib import Path

from markupsafe import Markup, escape

from sedid.detector.words import LIMITS
from sedid.escaping import written_by
from sedid.report import evaluation as evaluation_report
from sedid.report.style import SHARED, css
from sedid.storage import replacing
from sedid.studies.results import REALS, Evaluation, load_evaluation, shown


def report(evaluation: Evaluation, data_set: str = "") -> str:
    """The page.

    Args:
        data_set: whose column of the paper stands beside the figures; "" takes the closest (`paper.DATA_SETS`).
    """
    data_set, drawn = data_set or evaluation.data_set, shown(evaluation)
    parts = [evaluation_report.protocol(drawn)]
    for reals in evaluation.reals:
        parts += [
            f'<h2 class="res-part">Against {REALS[reals]}</h2>',
            *([MEMBERS] if reals == "members" else []),
            evaluation_report.tables(drawn, reals, data_set),
            "<h2>Curves and errors</h2>",
            evaluation_report.charts(drawn, reals, drawn.chosen, oracle=False),
        ]
        if evaluation.row(reals, None) and evaluation.scores(reals, None):
            parts.append(evaluation_report.confusion(drawn, reals, None, oracle=False))
        parts.append(evaluation_report.mistakes(drawn, reals, clickable=False))
    return page(Markup(f"SeDID: {drawn.name} measured"), "".join(parts))


def page(title: str, body: str, style: str = css(*SHARED, "document")) -> str:
    """HTML parts of this package as a page that needs nothing else.

    Args:
        title: plain text, or `Markup`.
        body: HTML.
        style: the CSS it holds; default: that of all parts.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="generator" content="SeDID Explorer">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f'<main class="res"><h1>{escape(title)}</h1><p>{escape(LIMITS)}</p>{body}</main></body></html>\n'
    )


MEMBERS = (
    '<p class="res-note">Member reals are the generator\'s own training images. The t-error also tells members from '
    "other reals (SecMI, Duan et al. 2023), so these figures answer another question than those against held-out reals. "
    "The paper's reals are members.</p>"
)


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

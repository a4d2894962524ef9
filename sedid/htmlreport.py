"""An evaluation as one HTML file that needs nothing else: no script, no font, no request."""

from pathlib import Path

from markupsafe import Markup, escape

from sedid import resulthtml, svg
from sedid.escaping import written_by
from sedid.evaluation import REALS, Evaluation, load_evaluation, shown
from sedid.report import LIMITS
from sedid.storage import replacing

PAGE_STYLE = """
:root { color-scheme: light dark; --sed-real: #1f6cb0; --sed-generated: #b8500c; --sed-soft: #f4f6f9; --sed-rule: #dfe4ea;
  --body-text-color: #1f2733; --body-text-color-subdued: #5a6577; --color-accent: #6d28d9; --plane: #fff; }
@media (prefers-color-scheme: dark) { :root { --sed-real: #74b3f0; --sed-generated: #f5a05a; --sed-soft: #222c3b; --sed-rule: #35425a;
  --body-text-color: #e7ebf1; --body-text-color-subdued: #a9b4c3; --color-accent: #b79cf5; --plane: #141b26;
  --res-one: #b79cf5 !important; --res-two: #4fc3b4 !important; --res-faint: #66748a !important; } }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--plane); color: var(--body-text-color); max-width: 1080px; margin: 0 auto; padding: 20px 18px 60px; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } .res-part { font-size: 1.25rem; border-top: 1px solid var(--sed-rule); padding-top: 1rem; }
"""


def report(evaluation: Evaluation, data_set: str = "") -> str:
    """The page.

    Args:
        data_set: whose column of the paper stands beside the figures; "" takes the closest (`paper.DATA_SETS`).
    """
    data_set, drawn = data_set or evaluation.data_set, shown(evaluation)
    parts = [resulthtml.protocol(drawn)]
    for reals in evaluation.reals:
        parts += [
            f'<h2 class="res-part">Against {REALS[reals]}</h2>',
            *([MEMBERS] if reals == "members" else []),
            resulthtml.tables(drawn, reals, data_set),
            "<h2>Curves and errors</h2>",
            resulthtml.charts(drawn, reals, drawn.chosen, oracle=False),
        ]
        if evaluation.row(reals, None) and evaluation.scores(reals, None):
            parts.append(resulthtml.confusion(drawn, reals, None, oracle=False))
        parts.append(resulthtml.mistakes(drawn, reals, clickable=False))
    return page(Markup(f"SeDID: {drawn.name} measured"), "".join(parts), svg.STYLE + resulthtml.STYLE)


def page(title: str, body: str, style: str) -> str:
    """HTML parts of this package as a page that needs nothing else.

    Args:
        title: plain text, or `Markup`.
        body: HTML.
        style: CSS of the parts.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="generator" content="SeDID Explorer">'
        f"<title>{escape(title)}</title><style>{style}{PAGE_STYLE}</style></head><body>"
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

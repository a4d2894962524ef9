"""Whose is it, as HTML: what each detector says of one picture among its own references."""

from collections.abc import Sequence

from markupsafe import Markup

from sedid.detector.whose import RULE, Answer, summary
from sedid.report.html import render


def table(answers: Sequence[Answer]) -> Markup:
    """A row a detector, in the order they were asked in."""
    return render("whose.html", answers=answers, said=summary(answers), rule=RULE)

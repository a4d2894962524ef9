"""The words of the glossary, explained where they stand: on hover, on focus and on a tap (`static/terms.js`).

Whoever writes a part of the page marks a word by the filter `term` of templates, or by `sedid.report.html.term`.
"""

import re
from functools import cache
from pathlib import Path

from sedid.paths import DOCS
from sedid.ui.html import render

ROW = re.compile(r"^\| \*\*(.+?)\*\* \| (.+) \|$", re.MULTILINE)


@cache
def glossary(file: Path = DOCS / "glossary.md") -> dict[str, str]:
    """What each word means, plain text; empty in an installed package, which has no documents.

    A row may explain two words, "k, step size".
    """
    rows = ROW.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    return {word: meaning.replace("*", "") for words, meaning in rows for word in words.split(", ")}


def notes() -> str:
    """The notes, for the page's script to show and for screen readers to read."""
    return render("terms.html", notes=glossary())

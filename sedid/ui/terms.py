"""The words of the glossary, explained where they stand: on hover, on focus and on a tap (`static/terms.js`).

Whoever writes a part of the page marks a word by the filter `term` of templates, or by `sedid.report.html.term`; in long
texts of many authors, `explained` marks each word where it stands first.
"""

import re
from functools import cache
from pathlib import Path

from markupsafe import Markup

from sedid.paths import DOCS
from sedid.report.html import term
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


PATTERNS = {
    "T_SEC": r"T_SEC",
    "k": r"k",
    "STAT": r"STAT",
    "NN": r"NN",
    "band": r"band",
    "polarity": r"polarity",
    "AUC": r"AUC",
    "member reals": r"[Mm]embers?(?: reals?)?",
    "held-out reals": r"[Hh]eld-out(?: reals?)?",
}
"""Entry of the glossary -> how it stands in sentences. Those that `explained` marks."""
WORD = re.compile(r"(?<![\w-])(?:" + "|".join(f"({pattern})" for pattern in PATTERNS.values()) + r")(?![\w-])")
TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)([^>]*)>")
TERM = re.compile(r' data-term="([^"]*)"')
VOID = {"br", "hr", "img", "input", "link", "meta", "wbr"}
ACTIVE = {"a", "button", "label", "select", "summary"}
NAMES = {"h1", "h2", "h3", "h4"}
PASSED = ACTIVE | NAMES | {"code", "figure", "math", "output", "pre", "script", "style", "svg", "table"}
"""What no word is marked in: what does something of its own, what names a part, and what is no sentence."""


def explained(html: str, seen: set[str] | None = None) -> Markup:
    """HTML in which the words of the glossary are explained where they stand first.

    What is folded away, and each frame of a picture with several, explains for itself.

    Args:
        html: of this package's templates, so every element is closed and every `>` of a value is escaped.
        seen: entries that are explained before it; those of this part are added.
    """
    scopes, made, end = [set() if seen is None else seen], [], 0
    around: list[tuple[str, bool, bool]] = []  # open elements: name, whether it is passed, whether it is a scope

    def marked(found: re.Match[str]) -> str:
        entry = list(PATTERNS)[(found.lastindex or 1) - 1]
        if entry in scopes[-1]:
            return found[0]
        scopes[-1].add(entry)
        return str(term(found[0], entry))

    for tag in TAG.finditer(html):
        text = html[end : tag.start()]
        made += [text if any(passed for _, passed, _ in around) else WORD.sub(marked, text), tag[0]]
        end = tag.end()
        closing, name, rest = tag.groups()
        if closing:
            left = ""
            while around and left != name:
                left, _, scope = around.pop()
                if scope:
                    scopes.pop()
        elif name not in VOID and not rest.endswith("/"):
            word, scope = TERM.search(rest), name == "details" or ' class="learn-frame"' in rest
            if word:
                scopes[-1].add(word[1])
            if scope:
                scopes.append(set(scopes[-1]))
            around.append((name, name in PASSED or word is not None, scope))
    return Markup("".join([*made, html[end:]]))

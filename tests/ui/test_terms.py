"""The notes for words: one source, the glossary, and every word that is marked stands in it."""

import re
from pathlib import Path

from markupsafe import Markup

import sedid
from sedid.ui.terms import PATTERNS, explained, glossary

MARKED = re.compile(r'"([^"]+)" \| term(?:\("([^"]+)"\))?|\bterm\("([^"]+)"(?:, "([^"]+)")?\)')


def test_every_marked_word_stands_in_the_glossary() -> None:
    files = [file for kind in ("*.html", "*.py") for file in Path(sedid.__file__).parent.rglob(kind)]
    marked = {
        entry or word or named or other
        for file in files
        for word, entry, other, named in MARKED.findall(file.read_text(encoding="utf-8"))
    }
    assert {"STAT", "NN", "k", "T_SEC", "band", "polarity", "AUC"} <= marked
    assert marked <= set(glossary())


CONFUSING = (
    *(
        "Timestep where the error is measured",
        "and outside the band",
        "in the polarity of the calibration split",
    ),
    *(
        "other way round than in the paper",
        "It is at or above",
        "separates the two at all",
        "images that chose nothing",
    ),
    *("all other jobs are off here", "Make files to take away", "same verdict?", "The outlined step is"),
    *("is larger than every one of the calibration images", "is no answer, and a skipped", "Start it below."),
)
"""What visitors stumbled over."""


def test_words_that_confused_do_not_come_back() -> None:
    files = [file for kind in ("*.html", "*.js", "*.py") for file in Path(sedid.__file__).parent.rglob(kind)]
    texts = {str(file): re.sub(r'"\s+f?"|\s+', " ", file.read_text(encoding="utf-8")) for file in files}
    assert [(name, words) for name, text in texts.items() for words in CONFUSING if words in text] == []


def test_a_row_of_two_words_explains_both_and_without_a_glossary_none_is(tmp_path: Path) -> None:
    assert glossary()["k"] == glossary()["step size"]
    assert "**" not in "".join(glossary().values())
    assert glossary(tmp_path / "none.md") == {}


def explains(html: str, seen: set[str] | None = None) -> list[str]:
    """What is marked, in order; the text and all tags stay as they are."""
    found = explained(Markup(html), seen)
    marked = re.compile(r'<span class="sed-term" data-term="[^"]*">(.*?)</span>')
    assert marked.sub(r"\1", found) == marked.sub(r"\1", html)
    return re.findall(r'data-term="([^"]*)"', found)


def test_a_word_is_explained_where_it_stands_first() -> None:
    assert set(PATTERNS) <= set(glossary())
    assert explains("<p>STAT at k = 165, T_SEC 990; STAT's AUC, NN's band</p>") == [
        "STAT",
        "k",
        "T_SEC",
        "AUC",
        "NN",
        "band",
    ]
    assert explains('<p title="AUC">Members and held-out reals; <i>members</i></p>') == [
        "member reals",
        "held-out reals",
    ]
    assert explains("<p>k-means, T_SECOND, STATistics, a bandage, &lt;b&gt;</p>") == []
    seen = {"AUC"}
    assert explains("<p>AUC, NN</p>", seen) == ["NN"]
    assert explains("<p>AUC, NN</p>", seen) == []


def test_no_word_is_marked_where_a_click_does_something_else_or_twice() -> None:
    for name in ("button", "summary", "h2", "table", "svg", "figure", "label", "a", "code"):
        assert explains(f"<{name}><b>AUC</b><br></{name}>") == []
    assert explains('<span class="sed-term" data-term="AUC">AUC</span> and AUC') == ["AUC"]
    folded = "<details><summary>AUC</summary><p>AUC and AUC</p></details>"
    assert explains(f"{folded}<p>AUC</p>{folded}") == [
        "AUC",
        "AUC",
    ]  # in the fold, and where it is seen without opening it
    frame = '<div class="learn-frame" data-at="1"><div><p>NN</p></div></div>'
    assert explains(f"{frame}{frame}<p>NN</p>") == ["NN", "NN", "NN"]

"""The notes for words: one source, the glossary, and every word that is marked stands in it."""

import re
from pathlib import Path

import sedid
from sedid.ui.terms import glossary

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


def test_a_row_of_two_words_explains_both_and_without_a_glossary_none_is(tmp_path: Path) -> None:
    assert glossary()["k"] == glossary()["step size"]
    assert "**" not in "".join(glossary().values())
    assert glossary(tmp_path / "none.md") == {}

"""A slice of the corpus of bad files through every way in; `python -m tests.helpers.corpus` tries all of it."""

import json
from pathlib import Path

from helpers import corpus

EVERY = 21
WHOLE = Path(__file__).with_name("corpus.json")
"""What that command wrote."""


def test_a_slice_of_the_corpus_ends_in_sentences() -> None:
    names: list[tuple[str, str]] = []

    def some(all: list[corpus.Bad]) -> list[corpus.Bad]:
        names.extend((bad.kind, bad.name) for bad in all)
        return all[::EVERY]

    found = corpus.run(some)
    assert set(found["files"]) == {"picture", "archive", "bundle", "settings"}
    assert found["faults"] == []
    whole = json.loads(WHOLE.read_text(encoding="utf-8"))
    tried = [(one["kind"], one["name"]) for one in whole["outcomes"]]
    assert tried == names, "the files changed: run `python -m tests.helpers.corpus --out tests/corpus.json` again"
    assert len(names) >= 300
    assert whole["faults"] == []
    assert whole["bounds"] == found["bounds"]

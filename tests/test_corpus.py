"""A slice of the corpus of bad files through every way in; `python -m tests.helpers.corpus` tries all of it."""

from helpers import corpus

EVERY = 21


def test_a_slice_of_the_corpus_ends_in_sentences() -> None:
    sizes: list[int] = []

    def some(all: list[corpus.Bad]) -> list[corpus.Bad]:
        sizes.append(len(all))
        return all[::EVERY]

    found = corpus.run(some)
    assert sizes[0] >= 300
    assert set(found["files"]) == {"picture", "archive", "bundle", "settings"}
    assert found["faults"] == []

"""A slice of the corpus of bad files through every way in; `python -m tests.helpers.corpus` tries all of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
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


def test_what_hangs_is_a_fault_and_the_rest_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that is never done, of a queue that says all the while that it is there; and a server that says nothing."""

    class Alive(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from [b'data: {"msg": "heartbeat"}\n\n'] * 9

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/upload"):
            raise httpx.ReadTimeout("")
        return httpx.Response(200, stream=Alive()) if request.method == "GET" else httpx.Response(200, json={})

    there = object.__new__(corpus.Ways)
    there.http = httpx.Client(base_url="http://127.0.0.1", transport=httpx.MockTransport(answer))
    there.image, there.url = tmp_path / "image.png", ""
    there.events = [{"id": 0, "on": [("start-job", "click")], "takes": [""] * 7, "api_name": "score_batch"}]
    (tmp_path / "a.toml").write_text("")
    monkeypatch.setattr(corpus, "PATIENCE", -1)
    monkeypatch.setattr(corpus.Ways, "cli", lambda *_: (True, ""))
    monkeypatch.setattr(corpus.Ways, "filled", lambda *_, file: (0, file))
    monkeypatch.setattr(corpus, "tool", lambda *_: (True, ""))
    for bad, hung in (
        (corpus.Bad("settings", "no settings", tmp_path / "a.toml", "loop"), ["page"]),
        (corpus.Bad("archive", "no archive", tmp_path / "a.toml"), ["api", "page", "mcp"]),
    ):
        found = there.through(bad)
        assert [one.way for one in found if "it hung" in one.fault] == hung
        assert "cli" in [one.way for one in found if not one.fault]

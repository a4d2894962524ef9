"""What goes over the wire: text small, pictures as they are, events at once."""

import gzip
import re
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import brotli
import httpx
import pytest
from helpers.browsing import served
from helpers.fakes import make_detector, make_image
from helpers.image_files import encoded
from PIL import Image

from sedid.ui import scripts
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.server import document

PICTURE = encoded(make_image(3, 64))
DOCUMENT = 90_000  # bytes of the page as sent


@pytest.fixture
def opening() -> SimpleNamespace:
    """`allowed`: the detector opens; `asked`: somebody waits for it."""
    return SimpleNamespace(allowed=threading.Event(), asked=threading.Event())


@pytest.fixture
def url(examples: Path, opening: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The app, whose detector opens when the test says so."""

    def load():
        opening.asked.set()
        assert opening.allowed.wait(20)
        return make_detector()

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with served(Context(load, list_examples(examples))) as address:
        yield address
        opening.allowed.set()


def upload(url: str) -> str:
    """Where the server keeps a picture sent to it."""
    sent = {"files": ("a.png", PICTURE, "image/png")}
    [place] = httpx.post(f"{url}gradio_api/upload", files=sent, timeout=20).raise_for_status().json()
    return place


def fetch(url: str, coding: str) -> tuple[httpx.Response, bytes]:
    """An answer and its body as it came over the wire."""
    with httpx.stream("GET", url, headers={"accept-encoding": coding}, timeout=20) as answer:
        answer.raise_for_status()
        return answer, b"".join(answer.iter_raw())


def test_text_is_compressed_for_who_can_read_it(url: str) -> None:
    _, plain = fetch(url, "identity")
    script = re.search(rb"assets/[\w./-]+\.js", plain)
    assert script is not None
    for path in (
        "",
        "config",
        "theme.css",
        "gradio_api/info",
        "static/img/logo.svg",
        script[0].decode(),
        scripts.address("world_view")[1:],
    ):
        whole, body = fetch(url + path, "identity")
        assert "content-encoding" not in whole.headers
        for coding in ("gzip", "gzip, deflate, br"):
            answer, sent = fetch(url + path, coding)
            assert answer.headers["content-encoding"] in ("gzip", "br"), path
            assert len(sent) < 0.6 * len(body), path
            assert "accept-encoding" in answer.headers["vary"].lower()
            if answer.headers["content-encoding"] == "br" and path.startswith("assets"):
                assert brotli.decompress(sent) == body
    (_, sent), (_, best) = fetch(url, "gzip"), fetch(url, "gzip, deflate, br")
    assert len(best) < 0.85 * len(sent) < DOCUMENT < len(plain)
    assert brotli.decompress(best) == gzip.decompress(sent)
    assert httpx.get(url, timeout=20).content.count(b'rel="icon" href="data:') == 1  # changed, then compressed


def test_a_shared_link_shows_the_projects_own_card(url: str) -> None:
    """Chats read the first card of a document; Gradio's advertised Gradio, with `{url}` for an address."""
    page = httpx.get(url, timeout=20).text
    tags = re.findall(r'<meta\s+(?:property|name)="((?:og|twitter):[\w:]+)"\s+content="([^"]*)"', page)
    said = dict(tags)
    assert len(said) == len(tags)  # one card, not three
    assert said["og:title"] == document.TITLE
    assert said["og:url"] == url
    assert "gradio" not in page[: page.index("<style")].lower()
    picture = httpx.get(said["og:image"], timeout=20)
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(picture.content)).size == document.CARD_SIZE
    assert len(picture.content) < 300_000


def test_the_card_names_the_host_a_visitor_asked_for_and_nothing_else_he_wrote(url: str) -> None:
    page = httpx.get(url, headers={"host": 'a.example"><script>'}, timeout=20).text
    assert '"><script>' not in page[: page.index("<style")]
    assert (
        "https://b.example/"
        in httpx.get(url, headers={"x-forwarded-host": "b.example", "x-forwarded-proto": "https"}, timeout=20).text
    )


def test_pictures_are_not_compressed_again(url: str) -> None:
    answer, body = fetch(f"{url}gradio_api/file={upload(url)}", "gzip, br")
    assert answer.headers["content-type"] == "image/png"
    assert "content-encoding" not in answer.headers
    assert body == PICTURE


def test_events_arrive_before_the_work_is_done(url: str, opening: SimpleNamespace) -> None:
    with httpx.Client(base_url=url, timeout=20, headers={"accept-encoding": "gzip, br"}) as raw:
        [inspect] = [one for one in raw.get("/config").json()["dependencies"] if one["api_name"] == "inspect"]
        picture = {"path": upload(url), "meta": {"_type": "gradio.FileData"}}
        body = {"data": [picture, 0, 0, "default"], "fn_index": inspect["id"], "session_hash": "x"}
        raw.post("/gradio_api/queue/join", json=body).raise_for_status()
        with raw.stream("GET", "/gradio_api/queue/data", params={"session_hash": "x"}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["content-encoding"] == "gzip"
            lines = answer.iter_lines()
            assert next(line for line in lines if "process_starts" in line)
            assert opening.asked.wait(20)
            opening.allowed.set()  # only now: the event came while the work was still to do
            assert next(line for line in lines if "process_completed" in line)


@pytest.mark.parametrize("name", ["nothing", "v2/nothing", "nothing/"])
def test_an_endpoint_that_is_not_there_is_named_with_those_that_are(url: str, name: str) -> None:
    """Gradio answered 500, "Internal Server Error"."""
    answer = httpx.post(f"{url}gradio_api/call/{name}", json={"data": []})
    assert answer.status_code == 404
    said = answer.json()["detail"]
    assert said.startswith("There is no endpoint 'nothing'; accepted: detectors, inspect, score_batch")


def test_an_upload_without_a_name_is_not_missed(url: str) -> None:
    answer = httpx.get(f"{url}gradio_api/upload_progress?upload_id=", timeout=20)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    assert answer.text == 'data: {"msg": "done"}\n\n'

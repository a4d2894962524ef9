"""What a stranger may name: every event and every address of a public app, as the app itself lists them, with names that lead out.

Nothing here knows which events there are, so a new one cannot be forgotten.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.browsing import events_of
from helpers.fakes import make_detector, make_image
from PIL import Image

from sedid.storage import write_json
from sedid.ui import build_demo, launch_options
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.menu import Menu
from sedid.ui.server import access, door

CANARY = "canary-3f1c"  # in a file that no visitor may read
OWNER = "Aunt Mary 7d2e.png"  # the name of another visitor's picture
JOB = "20250101-000000-generate"
FILE = {"meta": {"_type": "gradio.FileData"}}


@dataclass(frozen=True)
class Served:
    """An app on this machine.

    Attributes:
        url: where.
        app: what FastAPI knows of it.
        root: the folder with all that the app may use, and a file beside that it may not.
    """

    url: str
    app: Any
    root: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("public")
    (root / "secret.png").write_text(CANARY)
    (root / "secret" / "sedid").mkdir(parents=True)
    write_json(root / "secret" / "model_index.json", {"name": CANARY})
    job = {"command": "generate", "preset": "", "state": "stopped", "exit_code": 130, "error": ""}
    write_json(root / "runs" / JOB / "job.json", job | dict.fromkeys(("created", "began", "ended"), 1.0))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "GRADIO_TEMP_DIR": root / "uploads",
            "SEDID_RUNS": root / "runs",
            "SEDID_PUBLIC": 1,
        }.items():
            patch.setenv(name, str(value))
        patch.setattr(door, "WAITING", 1000)
        patch.setattr(door, "uploads", access.Allowance(10_000, 60))
        patch.setattr(access, "pages", access.Allowance(1e9, 60))
        patch.setattr(access, "addresses", access.Allowance(1e9, 60))
        detector = make_detector()
        menu = Menu("fake", root / "checkpoints", root / "runs")
        demo = build_demo(Context(lambda: detector, list_examples(examples), menu))
        app, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
        yield Served(url, app, root)
        demo.close()


def answers(url: str, session: str, asked: list[tuple[int, list[Any], Any]]) -> dict[int, str]:
    """What events answer, by their number, all asked at once in one session.

    Args:
        asked: (event, its inputs, what it is told of the click).
    """
    found: dict[int, str] = {}
    with httpx.Client(base_url=url, timeout=60) as http:
        for start in range(0, len(asked), 16):
            waiting = {}
            for index, data, told in asked[start : start + 16]:
                body = {"data": data, "event_data": told, "fn_index": index, "session_hash": session}
                joined = http.post("gradio_api/queue/join", json=body)
                assert joined.status_code < 500, joined.text
                if joined.status_code == 200:
                    waiting[joined.json()["event_id"]] = index
            if not waiting:
                continue
            with http.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as lines:
                for line in lines.iter_lines():
                    said = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                    index = waiting.get(said.get("event_id", ""), -1)
                    found[index] = found.get(index, "") + line
                    if said.get("msg") == "process_completed":
                        waiting.pop(said["event_id"])
                    if not waiting:
                        break
    return found


def hostile(root: Path) -> list[Any]:
    """What a name may be instead of one."""
    out = root / "secret.png"
    return [
        str(out),
        "job:../secret",
        "checkpoints/../../secret",
        {"path": str(out), "url": None, "orig_name": "../../../escaped.png", **FILE},
        [{"path": str(out), "url": f"file://{out}"}, f"http://127.0.0.1/gradio_api/file={out}", ["../secret.png"]],
        f"{out}\0\r\n${{7*7}}{{{{7*7}}}}",
    ]


def told(value: Any) -> dict[str, Any]:
    """A name in every place in which the page says what was clicked."""
    names = (
        "index",
        "value",
        "name",
        "id",
        "place",
        "k",
        "t_sec",
        "key",
        "path",
        "file",
        "tile",
        "page",
        "select",
        "detail",
    )
    return dict.fromkeys(names, value) | {"selected": True}


def is_open(event: dict[str, Any]) -> bool:
    """Whether an event takes any text at all, or says what was clicked; other inputs are among choices, or numbers."""
    closed = {"radio", "slider", "checkbox", "checkboxgroup", "number", "state"}
    return not closed.issuperset(event["takes"]) or any(
        name not in ("click", "tick", "then") for _, name in event["on"]
    )


def tree(root: Path) -> dict[str, bytes]:
    """The files of a folder but uploads."""
    files = [file for file in root.parent.rglob("*") if file.is_file() and not file.is_relative_to(root / "uploads")]
    return {str(file): file.read_bytes() for file in files if file.name != ".store.lock"}


@dataclass(frozen=True)
class Tried:
    """What came of a stranger asking every event for everything.

    Attributes:
        answers: (event, name, answer).
        before, after: the files of the server.
        upload: where another visitor's picture lies.
        mine: what that visitor was told of the own picture, before and after.
    """

    answers: list[tuple[dict[str, Any], Any, str]]
    before: dict[str, bytes]
    after: dict[str, bytes]
    upload: Path
    mine: tuple[str, str]


@pytest.fixture(scope="module")
def tried(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """One visitor drops a picture; another, in a session of its own, asks for whatever there is."""
    events = events_of(httpx.get(f"{served.url}config").json())
    assert len(events) > 100
    picture = tmp_path_factory.mktemp("owner") / "picture.png"
    Image.fromarray(make_image(77)).save(picture)
    [place] = httpx.post(f"{served.url}gradio_api/upload", files={"files": (OWNER, picture.read_bytes())}).json()
    dropped, made = (
        next(one for one in events if on in one["on"]) for on in (("photo", "upload"), ("case-make", "click"))
    )
    data = [{"path": place, "orig_name": OWNER, **FILE} if kind == "image" else None for kind in dropped["takes"]]

    def mine() -> str:
        return "".join(answers(served.url, "owner", [(made["id"], [None] * len(made["inputs"]), None)]).values())

    assert '"success":true' in "".join(answers(served.url, "owner", [(dropped["id"], data, None)]).values())
    before, first = tree(served.root), mine()
    shown = next(one for one in events if ("jobs", "input") in one["on"])
    assert JOB in answers(served.url, "stranger", [(shown["id"], [None] * len(shown["inputs"]), None)])[shown["id"]]
    found = []
    for value in (JOB, *hostile(served.root)):
        programs = isinstance(value, list) or (isinstance(value, str) and "\0" in value)
        some = [
            one
            for one in events
            if one["api_visibility"] == "public" or (not programs and (value is JOB or is_open(one)))
        ]
        said = answers(served.url, "stranger", [(one["id"], [value] * len(one["inputs"]), told(value)) for one in some])
        found += [(one, value, said.get(one["id"], "")) for one in some]
    return Tried(found, before, tree(served.root), Path(place), (first, mine()))


def test_no_event_takes_a_name_that_leads_out(tried: Tried) -> None:
    for event, value, said in tried.answers:
        assert CANARY not in said, (event["id"], value)
        assert "Traceback" not in said, (event["id"], value)
    assert tried.before == tried.after


def test_no_stranger_starts_stops_resumes_or_deletes_a_job(tried: Tried) -> None:
    buttons = ("start-job", "stop-job", "resume-job", "delete-job", "compare-start", "sweep-start")
    for button in buttons:
        said = [said for event, value, said in tried.answers if (button, "click") in event["on"] and value is JOB]
        assert said
        assert all('"success":false' in one for one in said), button
    assert any(access.OFF in said for event, _, said in tried.answers if ("stop-job", "click") in event["on"])
    assert tried.before == tried.after


def test_a_visitor_sees_nothing_of_another(served: Served, tried: Tried) -> None:
    name, folder = OWNER.partition(".")[0], tried.upload.parent
    assert all(name in mine.replace("%20", " ") for mine in tried.mine)  # who dropped it sees it, before and after
    for event, value, said in tried.answers:
        assert name not in said.replace("%20", " "), (event["id"], value)
        assert folder.name not in said, (event["id"], value)
    for guess in (folder, folder.parent, f"{folder.parent}/{'0' * 64}/{OWNER}"):
        assert httpx.get(f"{served.url}gradio_api/file={guess}").status_code in (403, 404)


def routes(app: Any) -> Iterator[tuple[str, str]]:
    """(method, path) of every address that an app answers."""
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes(inner)
        for method in getattr(route, "methods", None) or ():
            yield method, route.path


def test_no_address_takes_a_name_that_leads_out(served: Served) -> None:
    named = [(method, path) for method, path in routes(served.app) if "{" in path and path[-1] != "/"]
    named = [one for one in named if "api_name" not in one[1]]  # that of an event, of which Gradio knows each
    assert len(named) > 10
    out = served.root / "secret.png"
    ways = [str(out), f"../../../../../../../../..{out}", f"/{out}", str(out).replace("/", "%2f"), f"..%2f..%2f..{out}"]
    ways += [f"....//....//..{out}", f"file://{out}", f"{out}%00.png", "C:%5cwindows%5cwin.ini", ".."]
    before = tree(served.root)
    with httpx.Client(base_url=served.url, timeout=5) as http:
        for method, path in named:
            for way in ways:
                address = re.sub(r"\{\w+(:path)?\}", lambda _, way=way: way, path)
                try:
                    answer = http.request(method, address, json={"data": [way]} if method == "POST" else None)
                except httpx.TimeoutException:  # a stream of nothing
                    assert "heartbeat" in path, address
                    break
                except (
                    httpx.InvalidURL,
                    httpx.ReadError,
                    httpx.RemoteProtocolError,
                ):  # no address; Gradio ends without an answer
                    continue
                assert CANARY not in answer.text, address
                assert "[fonts]" not in answer.text
    assert tree(served.root) == before


def test_files_of_the_server_are_not_served(served: Served) -> None:
    """Neither the program, nor its bundles, nor runs, nor what lies beside an upload."""
    here = Path(__file__).parents[2]
    for file in (
        here / "pyproject.toml",
        here / "sedid" / "cli.py",
        served.root / "runs" / JOB / "job.json",
        "/etc/hostname",
    ):
        answer = httpx.get(f"{served.url}gradio_api/file={file}")
        assert answer.status_code in (403, 404), file


def test_a_password_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By digests of one length, whatever was typed, and by the comparison that is made for it."""
    import hmac

    compared: list[tuple[int, int]] = []

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr(access.hmac, "compare_digest", watched)
    monkeypatch.setattr(access, "visitor", lambda: ("page", f"192.0.2.{time.monotonic_ns() % 250}"))
    monkeypatch.setenv("SEDID_ADMIN_PASSWORD", "correct horse")
    for typed in ("", "c", "correct horse battery", "x" * 10_000):
        monkeypatch.setattr(access, "tries", access.Allowance(5, 60))
        monkeypatch.setattr(access, "all_tries", access.Allowance(5, 60))
        with pytest.raises(Exception, match="not the password"):
            access.unlock(typed)
    assert set(compared) == {(32, 32)}
    assert len(compared) == 4
    assert hmac is access.hmac


def test_a_picture_stays_in_its_session_when_its_upload_is_deleted(served: Served) -> None:
    """Uploads live for an hour: what is shown can be walked at another k, and only what reads the file asks for it again."""
    session, picture = "deleted", served.root / "picture.png"
    Image.fromarray(make_image(8)).save(picture)
    with httpx.Client(base_url=served.url) as http:
        events = events_of(http.get("config").json())
        path = Path(http.post("gradio_api/upload", files={"files": picture.read_bytes()}).json()[0])

    def sent(element: str, kind: str, **given: Any) -> str:
        event = next(
            one for one in events if (element, kind) in one["on"] and (not given or given.keys() & one["takes"])
        )
        data = [given.get(kind, False if kind == "checkbox" else None) for kind in event["takes"]]
        return answers(served.url, session, [(event["id"], data, None)])[event["id"]]

    image = {"path": str(path), "orig_name": "picture.png", **FILE}
    assert '"success":true' in sent("photo", "upload", image=image)
    path.unlink()
    walked = sent("bridge", "select", slider=495)
    assert '"success":true' in walked
    assert "T_SEC" in walked
    refused = sent("photo", "upload", image=image)
    assert '"success":false' in refused
    assert "picture.png is no longer here" in refused
    assert str(served.root) not in refused

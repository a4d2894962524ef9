"""A public page as it is served: the door before Gradio, what the server refuses, and what a visitor reads."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from helpers.browsing import ask, served
from helpers.fakes import make_detector, make_image
from PIL import Image

from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.server import access, door

# gradio comes after browsing, which keeps it from calling home
import gradio as gr  # isort: skip


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    monkeypatch.setenv("SEDID_ADMIN_PASSWORD", "correct horse")


# --- the door --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[str]:
    """The app, public."""
    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("SEDID_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("SEDID_PUBLIC", "1")
        patch.setenv("SEDID_ADMIN_PASSWORD", "correct horse")
        with served(Context(lambda: detector, list_examples(examples))) as address:
            yield address


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another server, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


FILE = {"meta": {"_type": "gradio.FileData"}}


def test_no_address_of_a_file_is_fetched(url: str, elsewhere: tuple[str, list[str]]) -> None:
    there, asked = elsewhere
    public_address = "http://192.0.2.7/a.png"  # Gradio alone would try it
    for address in (f"{there}/a.png", public_address):
        for payload in ({"path": address}, {"path": address, "url": address}):
            for endpoint, data in (
                ("inspect", [payload | FILE, 0, 0, "default"]),
                ("score_batch", [[payload | FILE], "default"]),
            ):
                answer = ask(url, endpoint, data)
                assert '"success":false' in answer.replace(" ", "")
                assert "not fetched here" in answer
        answer = httpx.get(f"{url}gradio_api/file={address}", timeout=20)
        assert (answer.status_code, answer.json()["detail"]) == (403, door.NO_ADDRESSES)
    # an address beside a file, or in its place, is not looked at either
    assert "success" in ask(url, "inspect", [{"path": "/etc/hostname", "url": f"{there}/b"} | FILE, 0, 0, "default"])
    assert asked == []


def test_requests_have_a_size(url: str) -> None:
    def stream() -> Iterator[bytes]:
        yield b"{}"

    join = f"{url}gradio_api/queue/join"
    assert httpx.post(join, content=stream()).status_code == 411
    with httpx.Client() as client:
        for path, most in (("queue/join", door.BODY), ("upload", door.UPLOAD)):
            request = client.build_request("POST", f"{url}gradio_api/{path}", content=b"{}")
            request.headers["content-length"] = str(most + 1)
            scope = {
                "type": "http",
                "method": "POST",
                "path": f"/gradio_api/{path}",
                "headers": request.headers.raw,
                "client": ("192.0.2.1", 1),
            }
            scope["headers"] = [(name.lower(), value) for name, value in request.headers.raw]
            refused = door.Door(None).refusal(scope)  # type: ignore[arg-type]
            assert refused is not None
            assert refused[0] == 413


@pytest.mark.parametrize("path", ["", "config", "gradio_api/info", "gradio_api/file=/etc/passwd", "nothing/here"])
def test_every_answer_says_what_a_browser_may_do_with_it(url: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the page works under these rules, tests in a browser show: it reports what it may not load as an error."""
    answer = httpx.get(f"{url}{path}", timeout=20)
    policy = {part.split()[0]: part.split()[1:] for part in answer.headers["content-security-policy"].split("; ")}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert policy["frame-ancestors"] == policy["connect-src"][:1] == ["'self'"]
    elsewhere = [
        source for sources in policy.values() for source in sources if source.startswith("http") or source == "*"
    ]
    assert elsewhere == []
    monkeypatch.setenv("SPACE_ID", "someone/space")
    answer = httpx.get(f"{url}{path}", timeout=20)
    assert answer.headers["content-security-policy"].endswith(
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
    )


def queue_of(*addresses: str) -> Any:
    """An app in whose queue events of these addresses wait."""
    events = [SimpleNamespace(request=SimpleNamespace(client=SimpleNamespace(host=one))) for one in addresses]
    queue = SimpleNamespace(event_queue_per_concurrency_id={"network": SimpleNamespace(queue=events)})
    return SimpleNamespace(get_blocks=lambda: SimpleNamespace(_queue=queue))


@pytest.mark.usefixtures("public")
def test_the_queue_keeps_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = door.Door(None)  # type: ignore[arg-type]
    scope = {
        "method": "POST",
        "path": "/gradio_api/queue/join",
        "headers": [(b"content-length", b"2")],
        "app": queue_of(*["192.0.2.1"] * door.WAITING, "192.0.2.2"),
    }
    greedy = gate.refusal(scope | {"client": ("192.0.2.1", 1)})
    assert greedy is not None
    assert greedy[0] == 429
    assert gate.refusal(scope | {"client": ("192.0.2.2", 1)}) is None
    monkeypatch.setenv("SEDID_PUBLIC", "0")
    assert gate.refusal(scope | {"client": ("192.0.2.1", 1)}) is None


@pytest.mark.usefixtures("public")
def test_uploads_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "uploads", access.Allowance(2, 60, clock=lambda: 1000.0))
    scope = {"method": "POST", "path": "/gradio_api/upload", "headers": [(b"content-length", b"2")]}
    answers = [door.Door(None).refusal(scope | {"client": ("192.0.2.1", 1)}) for _ in range(3)]  # type: ignore[arg-type]
    assert answers[:2] == [None, None]
    assert answers[2] == (429, "Too many uploads. Please wait 30 seconds and try again.")


def test_a_tool_call_names_its_caller_whatever_the_caller_says(url: str) -> None:
    forged = [(b"content-length", b"2"), (b"x-forwarded-for", b"203.0.113.5")]
    scope = {"method": "POST", "path": "/gradio_api/mcp/", "headers": forged, "client": ("192.0.2.1", 1)}
    assert door.Door(None).refusal(scope) is None  # type: ignore[arg-type]
    assert scope["headers"] == [(b"content-length", b"2"), (b"x-forwarded-for", b"192.0.2.1")]
    assert forged[-1] == (b"x-forwarded-for", b"203.0.113.5")


def test_a_tool_call_is_counted_as_its_callers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("mcp.client.streamable_http")
    import asyncio

    from mcp import ClientSession

    asking: list[access.Visitor | None] = []

    def refuse(evaluations: int) -> None:
        asking.append(access.visitor())
        raise gr.Error(f"{evaluations} evaluations are too many.", print_exception=False)

    monkeypatch.setattr(access, "afford", refuse)
    buffer = io.BytesIO()
    Image.fromarray(make_image(21)).save(buffer, "PNG")
    image = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

    async def conversation() -> Any:
        async with (
            client.streamable_http_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await session.call_tool("sweep", {"image": image})

    answer = asyncio.run(conversation())
    assert answer.isError
    assert "7 evaluations are too many" in answer.content[0].text
    assert [address for _, address in filter(None, asking)] == ["127.0.0.1"]


# --- the page --------------------------------------------------------------------------------------------------


def test_the_server_refuses_jobs_and_folders_also_without_the_page(url: str, tmp_path: Path) -> None:
    config = httpx.get(f"{url}config").json()
    names = {one["id"]: one["props"].get("elem_id") for one in config["components"]}
    values = {one["id"]: one["props"].get("value") for one in config["components"]}
    for button in ("start-job", "sweep-start", "compare-start"):
        trigger = next(id for id, name in names.items() if name == button)
        event = next(one for one in config["dependencies"] if [trigger, "click"] in [list(t) for t in one["targets"]])
        data = [values[id] for id in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": "y"}
        with httpx.Client(base_url=url, timeout=20) as raw:
            raw.post("/gradio_api/queue/join", json=body).raise_for_status()
            with raw.stream("GET", "/gradio_api/queue/data", params={"session_hash": "y"}) as answer:
                last = next(line for line in answer.iter_lines() if "process_completed" in line)
        assert json.loads(last.removeprefix("data: "))["output"]["error"] == access.OFF
    picture = {"path": None, "url": "data:image/png;base64,AAAA"}
    answer = ask(url, "sweep", [picture | FILE | {"path": "x"}, 0, str(tmp_path)])
    assert "success" in answer
    assert str(tmp_path) not in answer


def test_a_visitor_reads_that_jobs_are_off_and_the_host_unlocks_them(page) -> None:
    from playwright.sync_api import expect

    page.get_by_role("tab", name="Train").click()
    expect(page.locator(".sed-off .sed-warn:visible")).to_contain_text("This is a public demo: training")
    expect(page.locator("#job .sed-state")).to_be_visible()
    expect(page.locator("#start-job")).to_be_hidden()
    page.get_by_text("All settings of this stage").click()
    expect(page.locator("#stage-settings")).to_contain_text("whole number from 1")
    expect(page.get_by_text("press Start")).to_be_hidden()
    page.get_by_role("button", name="For the host of this page").click()
    page.locator("#host-password input").fill("wrong")
    page.locator("#host-unlock").click()
    expect(page.locator(".toast-body").last).to_contain_text("not the password")
    page.locator("#host-password input").fill("correct horse")
    page.locator("#host-unlock").click()
    expect(page.locator("#host")).to_contain_text("Unlocked: jobs can be started here")
    expect(page.locator(".sed-off .sed-warn:visible")).to_have_count(0)
    expect(page.locator("#start-job")).to_be_visible()
    expect(page.locator("#host-password input")).to_have_value("")
    assert "horse" not in page.url
    page.get_by_role("tab", name="Inspect").click()
    page.locator("#detector input").fill("/nowhere/at/all")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=no detector at /nowhere/at/all")
    page.get_by_role("tab", name="Train").click()
    another = page.context.new_page()  # as a reload would be, which Gradio's streams report as an error
    another.goto(page.url)
    # a page of its own loads meanwhile, which takes longer than an event of an open one
    expect(another.locator(".sed-off .sed-warn:visible")).to_have_count(1, timeout=60_000)

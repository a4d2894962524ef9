"""A public page: what is off, what its host unlocks, and how much a visitor gets. Handlers alone; no browser."""

import base64
import contextlib
import io
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from browsing import served
from fakes import make_detector, make_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sedid.ui import access, door
from sedid.ui.context import Context, list_examples
from sedid.ui.menu import Menu

# gradio comes after browsing, which keeps it from calling home
import gradio as gr  # isort: skip
from gradio.context import LocalContext  # isort: skip


class Clock:
    """Time that passes when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Nobody has used anything yet."""
    clock = Clock()
    monkeypatch.setattr(access, "pages", access.Allowance(access.PAGE_EVALUATIONS, 60, clock=clock))
    monkeypatch.setattr(access, "addresses", access.Allowance(access.ADDRESS_EVALUATIONS, 60, clock=clock))
    monkeypatch.setattr(access, "tries", access.Allowance(access.ATTEMPTS, access.ATTEMPTS_TIME, clock=clock))
    monkeypatch.setattr(access, "all_tries", access.Allowance(access.ALL_ATTEMPTS, access.ATTEMPTS_TIME, clock=clock))
    access._unlocked.clear()
    return clock


@contextlib.contextmanager
def event_of(page: str, address: str = "192.0.2.1") -> Iterator[None]:
    """As in an event of an open page."""
    token = LocalContext.request.set(
        gr.Request(session_hash=page, client=SimpleNamespace(host=address))  # type: ignore[arg-type]
    )
    try:
        yield
    finally:
        LocalContext.request.reset(token)


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    monkeypatch.setenv("SEDID_ADMIN_PASSWORD", "correct horse")


@pytest.mark.parametrize(
    ("space", "said", "public"),
    [(None, None, False), ("a/b", None, True), ("a/b", "0", False), (None, "1", True), (None, "0", False)],
)
def test_a_page_is_public_on_a_space_or_where_it_is_said(
    monkeypatch: pytest.MonkeyPatch, space: str | None, said: str | None, public: bool
) -> None:
    for name, value in (("SPACE_ID", space), ("SEDID_PUBLIC", said)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    assert access.is_public() is public
    assert bool(access.refusal()) is public
    assert Menu().typing is not public


@pytest.mark.usefixtures("public")
def test_the_password_unlocks_one_open_page(clock: Clock) -> None:
    with event_of("host"):
        with pytest.raises(gr.Error, match="not the password"):
            access.unlock("wrong")
        with pytest.raises(gr.Error, match="jobs are off"):
            access.refuse()
        access.unlock("correct horse")
        access.refuse()
        assert Menu().typing
    for page, address in (("other", "192.0.2.1"), ("host", "192.0.2.2")):
        with event_of(page, address), pytest.raises(gr.Error, match="jobs are off"):
            access.refuse()
    with pytest.raises(gr.Error, match="jobs are off"):
        access.refuse()  # no page at all


@pytest.mark.usefixtures("public")
def test_an_unlocked_page_is_locked_again_in_the_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with event_of("host"):
        access.unlock("correct horse")
        later = access.time.monotonic() + access.UNLOCKED_TIME + 1
        monkeypatch.setattr(access, "time", SimpleNamespace(monotonic=lambda: later))
        assert access.refusal()


@pytest.mark.usefixtures("public")
def test_the_password_cannot_be_guessed_in_a_row(clock: Clock) -> None:
    with event_of("page"):
        for _ in range(access.ATTEMPTS):
            with pytest.raises(gr.Error, match="not the password"):
                access.unlock("guess")
        with pytest.raises(gr.Error, match="Too many attempts: the next one is possible in 3 minutes"):
            access.unlock("correct horse")  # also the right one has to wait
    for number in range(access.ALL_ATTEMPTS - access.ATTEMPTS):
        with event_of("page", f"198.51.100.{number}"), pytest.raises(gr.Error, match="not the password"):
            access.unlock("guess")
    with event_of("fresh", "203.0.113.1"), pytest.raises(gr.Error, match="Too many attempts"):
        access.unlock("guess")
    clock.now += access.ATTEMPTS_TIME
    with event_of("page"):
        access.unlock("correct horse")
        assert access.refusal() == ""


def test_without_a_password_nothing_is_unlocked(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    monkeypatch.delenv("SEDID_ADMIN_PASSWORD", raising=False)
    with event_of("host"), pytest.raises(gr.Error, match="Nothing can be unlocked"):
        access.unlock("")


# --- how much --------------------------------------------------------------------------------------------------


@given(
    amount=st.floats(1, 1000),
    takes=st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 1)), max_size=30),
)
def test_nobody_gets_more_than_a_full_bucket_and_what_flows_in(amount: float, takes: list[tuple[float, float]]) -> None:
    clock = Clock()
    allowance, used, began = access.Allowance(amount, 60, clock=clock), 0.0, clock.now
    for later, share in takes:
        clock.now += later
        wanted = share * amount
        wait = allowance.wait("me", wanted)
        if wait:
            clock.now += wait  # what it promises holds
            assert allowance.wait("me", wanted) == pytest.approx(0, abs=1e-6)
        allowance.take("me", wanted)
        used += wanted
        assert used <= amount + (clock.now - began) * amount / 60 + 1e-6 * amount
    assert allowance.wait("another", amount) == 0


def test_an_allowance_remembers_so_many_and_no_more() -> None:
    allowance = access.Allowance(1, 60, keys=3, clock=Clock())
    for name in "abcd":
        allowance.take(name, 1)
    assert [allowance.wait(name, 1) > 0 for name in "abcd"] == [False, True, True, True]


@pytest.mark.usefixtures("public")
def test_a_visitor_waits_for_more_network_and_repeats_for_free(clock: Clock) -> None:
    detector = make_detector()
    context = Context(lambda: detector)
    context.walk(make_image(0), 165)  # the app's own
    with event_of("one"):
        images = [make_image(seed) for seed in range(1, 5)]
        for image in images[:3]:
            context.walk(image, 5)  # 200 evaluations
        calls = detector.eps_model.calls  # type: ignore[attr-defined]
        with pytest.raises(gr.Error, match="wait 20 seconds"):
            context.walk(images[3], 5)
        with pytest.raises(gr.Error, match="wait"):
            context.judge(images[3][None], 165, 330)
        assert detector.eps_model.calls == calls  # type: ignore[attr-defined]
        context.walk(images[0], 5)  # from the cache
        clock.now += 20
        context.walk(images[3], 5)
    with event_of("two"):  # another page in the same room
        context.walk(make_image(9), 5)


@pytest.mark.usefixtures("public")
def test_all_pages_of_an_address_share_what_it_gets(clock: Clock) -> None:
    for number in range(access.ADDRESS_EVALUATIONS // access.PAGE_EVALUATIONS):
        with event_of(f"page {number}"):
            access.charge(access.PAGE_EVALUATIONS)
    with event_of("one more"), pytest.raises(gr.Error, match="wait 1 second "):
        access.charge(10)
    with event_of("elsewhere", "203.0.113.9"):
        access.charge(10)


@pytest.mark.usefixtures("public")
def test_what_no_waiting_would_allow_is_refused_at_once(clock: Clock) -> None:
    with event_of("one"), pytest.raises(gr.Error, match="at once; on this public page 600"):
        Context(make_detector).judge(make_image()[None].repeat(601, 0), 330, 330)


def test_at_home_nothing_is_counted(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "0")
    with event_of("me"):
        access.charge(10**9)
    assert len(access.pages._levels) == 0


def test_old_uploads_are_deleted_and_new_ones_stay(tmp_path: Path) -> None:
    for name, age in (("old", 100.0), ("new", 900.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.png").write_bytes(b"x")
        for path in (tmp_path / name / "photo.png", tmp_path / name):
            os.utime(path, (age, age))
    door.forget(tmp_path, before=500.0)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


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


def ask(url: str, endpoint: str, data: list[Any], **headers: str) -> str:
    """What an endpoint answers, through the queue, past any client."""
    with httpx.Client(base_url=url, timeout=20, headers=headers) as raw:
        listed = raw.get("/config").json()["dependencies"]
        index = next(one["id"] for one in listed if one["api_name"] == endpoint)
        raw.post(
            "/gradio_api/queue/join", json={"data": data, "fn_index": index, "session_hash": "x"}
        ).raise_for_status()
        with raw.stream("GET", "/gradio_api/queue/data", params={"session_hash": "x"}) as answer:
            return next(line for line in answer.iter_lines() if "process_completed" in line)


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
    monkeypatch.setattr(door, "uploads", access.Allowance(2, 60, clock=Clock()))
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
    expect(page.locator(".sed-off .sed-warn:visible")).to_contain_text("This page is public: training")
    page.locator("#start-job").click()
    expect(page.locator(".toast-body")).to_contain_text("jobs are off here")
    page.locator(".toast-close").first.click()
    page.get_by_role("button", name="For the host of this page").click()
    page.locator("#host-password input").fill("wrong")
    page.locator("#host-unlock").click()
    expect(page.locator(".toast-body").last).to_contain_text("not the password")
    page.locator("#host-password input").fill("correct horse")
    page.locator("#host-unlock").click()
    expect(page.locator("#host")).to_contain_text("Unlocked: jobs can be started here")
    expect(page.locator(".sed-off .sed-warn:visible")).to_have_count(0)
    expect(page.locator("#host-password input")).to_have_value("")
    assert "horse" not in page.url
    page.get_by_role("tab", name="Inspect").click()
    page.locator("#detector input").fill("/nowhere/at/all")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=no detector at /nowhere/at/all")
    page.get_by_role("tab", name="Train").click()
    page.reload()
    expect(page.locator(".sed-off .sed-warn:visible")).to_have_count(1)

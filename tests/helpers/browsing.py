"""What tests in a browser share: the app on a free port, the browser's place, and how its page is read."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import httpx

from sedid.ui import build_demo, launch_options, quiet
from sedid.ui.context import Context

quiet()
CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
WAIT = 20_000  # milliseconds; an upper bound, nothing waits this long when all is well


@contextlib.contextmanager
def served(context: Context) -> Iterator[str]:
    """The app on a free port of this machine."""
    demo = build_demo(context)
    try:
        _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
        yield url
    finally:
        demo.close()


def events_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every event of an app that a request can reach, as its own configuration lists them.

    Each has beside what Gradio says `on`, the (id of an element or None, name of the event) that begin it, and `takes`, the kinds
    of its inputs.
    """
    components = {one["id"]: one for one in config["components"]}

    def element(id: int | None) -> str | None:
        return components[id]["props"].get("elem_id") if id in components else None

    return [
        one
        | {
            "on": [(element(target), event) for target, event in one["targets"]],
            "takes": [components[id]["type"] for id in one["inputs"]],
        }
        for one in config["dependencies"]
        if one["backend_fn"]
    ]


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


@contextlib.contextmanager
def visited(browser, url: str) -> Iterator:
    """A page of the app; no script may have failed in it at the end."""
    visit = browser.new_page()
    visit.set_default_timeout(WAIT)
    problems: list[str] = []
    visit.on("pageerror", lambda error: problems.append(str(error)))
    visit.goto(url)
    yield visit
    visit.close()
    assert problems == []


def outside(address: str, url: str) -> bool:
    return not address.startswith((url, "data:", "blob:"))


def score(page) -> str:
    return page.locator("[data-verdict=stat] .sed-score").inner_text()


def wait_for_t_sec(page, t_sec: int) -> None:
    page.wait_for_selector(f"#film .sed-measured:last-child >> text=t = {t_sec}")


def set_k(page, k: int) -> None:
    page.locator("#k-marks").get_by_label("another").check()
    page.locator("#k input[type=number]").fill(str(k))
    page.locator("#k input[type=number]").press("Tab")

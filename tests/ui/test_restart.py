"""The server restarts under an open page."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from helpers.browsing import WAIT

from sedid import ui
from sedid.ui.context import Context


def test_an_open_page_says_so_and_goes_on_when_the_server_is_back(
    browser: Any, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio's page asks for the server until it answers, and then loads itself anew: our address says where it was."""
    monkeypatch.setattr(ui, "TABS", ("inspect",))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def serve() -> Callable[[], None]:
        demo = ui.build_demo(context)
        demo.launch(prevent_thread_lock=True, quiet=True, **ui.launch_options() | {"server_port": port})
        return demo.close

    stop = serve()
    try:
        page = browser.new_page()
        page.set_default_timeout(3 * WAIT)
        page.goto(f"http://127.0.0.1:{port}/?k=330&t_sec=660")
        page.wait_for_selector(".sed-card")
        said = page.locator("[data-verdict=stat] .sed-score").inner_text()
        stop()
        page.locator(".sed-example[data-name=real-02]").click()
        page.wait_for_selector("text=Connection to the server was lost")
        assert (
            page.locator(".sed-example[aria-pressed=true]").get_attribute("data-name") == "real-01"
        )  # not what is not there
        assert page.locator("[data-verdict=stat] .sed-score").inner_text() == said  # what is shown stays
        with page.expect_navigation():
            stop = serve()
        page.wait_for_selector(".sed-card")
        assert "k=330" in page.url
        assert page.locator("[data-verdict=stat] .sed-score").inner_text() == said
    finally:
        stop()
        page.close()

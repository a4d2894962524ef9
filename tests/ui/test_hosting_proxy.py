"""A private server below a path of another one: a small reverse proxy that strips the prefix, and a real browser."""

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from helpers.browsing import WAIT, served, wait_for_t_sec
from helpers.fakes import make_detector

from sedid.ui.context import Context
from sedid.ui.examples import list_examples

PREFIX = "/sedid"


@pytest.fixture(scope="module")
def outside_prefix() -> list[str]:
    return []


@pytest.fixture(scope="module")
def url(examples: Path, tmp_path_factory: pytest.TempPathFactory, outside_prefix: list[str]) -> Iterator[str]:
    """The app's address behind the proxy."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("GRADIO_ROOT_PATH", PREFIX)
        patch.setenv("SEDID_PUBLIC", "1")
        with served(Context(lambda: detector, list_examples(examples))) as behind:
            client = httpx.AsyncClient(base_url=behind, timeout=None)

            async def forward(request: Request) -> Response:
                if not request.url.path.startswith(f"{PREFIX}/"):
                    outside_prefix.append(request.url.path)
                    return PlainTextResponse("not here", 404)
                headers = {name: value for name, value in request.headers.items() if name != "host"}
                headers["X-Forwarded-For"] = "192.0.2.77"
                headers["X-Forwarded-Proto"] = "http"
                headers["X-Forwarded-Host"] = request.headers["host"]
                path = request.url.path.removeprefix(PREFIX)
                asked = client.build_request(
                    request.method, path, params=request.url.query, headers=headers, content=await request.body()
                )
                answer = await client.send(asked, stream=True)

                async def parts() -> AsyncIterator[bytes]:
                    async for part in answer.aiter_raw():
                        yield part
                    await answer.aclose()

                kept = {name: value for name, value in answer.headers.items() if name != "transfer-encoding"}
                return StreamingResponse(parts(), answer.status_code, kept)

            methods = ["GET", "HEAD", "POST"]
            app = Starlette(routes=[Route("/{path:path}", forward, methods=methods)])
            server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
            started = threading.Event()
            startup = server.startup

            async def tell(*arguments: object, **options: object) -> None:
                await startup(*arguments, **options)  # type: ignore[arg-type]
                started.set()

            server.startup = tell  # type: ignore[method-assign]
            thread = threading.Thread(target=server.run)
            thread.start()
            assert started.wait(30)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}{PREFIX}/"
            server.force_exit = server.should_exit = True
            thread.join(30)


def test_the_page_works_below_the_prefix(page, url: str, outside_prefix: list[str]) -> None:
    """The fixture `page` sees to it that nothing is asked of any other address and no error is written."""
    page.locator(".sed-example[data-name=real-02]").click()
    page.wait_for_selector(".sed-example[data-name=real-02][aria-pressed=true]")
    page.wait_for_url(lambda address: address.startswith(url) and "example=real-02" in address)
    page.locator("#photo img").wait_for(timeout=WAIT)  # comes from the app's cache of files
    assert page.locator("#photo img").evaluate("image => image.complete && image.naturalWidth > 0")
    wait_for_t_sec(page, 330)
    assert outside_prefix == []


def test_the_api_and_the_limits_work_below_the_prefix(url: str, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradio_client import Client, handle_file

    from sedid.ui.server import access

    charged: list[access.Visitor | None] = []
    monkeypatch.setattr(access, "afford", lambda evaluations: charged.append(access.visitor()))
    client = Client(url, verbose=False)
    try:
        assert client.predict(handle_file(photo), 330, api_name="/inspect")["k"] == 330
    finally:
        client.close()
    assert [visitor[1] for visitor in charged if visitor] == ["192.0.2.77"]  # named by the proxy on this machine

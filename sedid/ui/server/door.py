"""What stands before Gradio: nothing is fetched for visitors, requests have a size, and a queue has room for others.

Gradio (6.31) fetches files by their address: those of a request's data, and any at all at `/gradio_api/file=http...`.
It asks public hosts only, but for anybody and of any size; this app needs none of it.
"""

import re
import shutil
import threading
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sedid import settings
from sedid.ui import scripts
from sedid.ui.server import access, document, parts

BODY = 40_000_000  # bytes of a request with data in it: a picture of 20 MB in base64, and room
EVENTS = "/gradio_api/queue/data"
"""Where a page hears what its events came to."""
PROGRESS = "/gradio_api/upload_progress"
"""Where a page hears how far its upload is."""
UPLOAD = 250_000_000  # bytes of a request with files, each of which Gradio limits too
UPLOADS = 60  # requests with files, a minute and address
WAITING = 24  # events of one address in the queue
KEPT = 3600.0  # seconds an upload lives
NO_ADDRESSES = "Files at a web address are not fetched here. Download the file and upload it, or send it as a data URI."

POLICY = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; "  # Gradio's page has scripts in it, and makes functions of texts
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors "
)
"""What the page may load and whom it may tell: this server, and nobody else."""
HUB = "https://huggingface.co https://*.hf.space"
"""Who may show a Space in a frame, beside itself."""

uploads = access.Allowance(UPLOADS, access.MINUTE)


class Door:
    """ASGI middleware around the app."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with a sentence."""
        if scope["type"] == "http":
            send = with_headers(send)
            refused = self.refusal(scope)
            if refused is not None:
                status, words = refused
                await JSONResponse({"detail": words}, status)(scope, receive, send)
                return
            if scope["method"] in ("GET", "HEAD") and scope["path"] == document.CARD_PATH and document.CARD.is_file():
                await FileResponse(document.CARD)(scope, receive, send)
                return
            if scope["path"] == PROGRESS and scope["query_string"] in (b"", b"upload_id="):
                # Gradio's page asks so for a picture of the camera, at times; 404, its answer, is an error in the page
                await Response('data: {"msg": "done"}\n\n', media_type="text/event-stream")(scope, receive, send)
                return
            if scope["path"].startswith(parts.ASSETS):
                send = kept(send)
                found = await run_in_threadpool(asset, scope)
                if found is not None:
                    await found(scope, receive, send)
                    return
            if scope["path"] == EVENTS and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
                send = compressed(send)
            if (scope["method"], scope["path"]) == ("GET", "/"):
                send = document.with_own_head(scope, send)
        await self.app(scope, receive, send)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """(HTTP status, sentence), None to let it in."""
        path, headers = scope["path"], dict(scope["headers"])
        address = scope["client"][0] if scope.get("client") else ""
        if "/gradio_api/mcp" in path:
            # Gradio calls itself on behalf of a tool's caller and passes the headers on; this one names the caller.
            named = [pair for pair in scope["headers"] if pair[0] != b"x-forwarded-for"]
            scope["headers"] = [*named, (b"x-forwarded-for", address.encode("latin-1"))]
        _, api, what = path.partition("/gradio_api/")
        if api and what.lower().startswith(("file=http:", "file=https:", "proxy=")):
            return 403, NO_ADDRESSES
        if scope["method"] != "POST":
            return None
        uploading = what.rstrip("/") == "upload"
        length = headers.get(b"content-length", b"").decode("latin-1")
        if not length.isdigit():
            return 411, "Say how long the request is (Content-Length)."
        if int(length) > (most := UPLOAD if uploading else BODY):
            return 413, f"The request is larger than {most // 10**6} MB."
        if unknown := no_endpoint(scope.get("app"), what):
            return 404, unknown
        if not access.is_public():
            return None
        if uploading:
            if wait := uploads.wait(address, 1):
                return 429, f"Too many uploads. Please wait {access.in_words(wait)} and try again."
            uploads.take(address, 1)
        elif what.startswith(("queue/join", "call/")) and waiting(scope.get("app"), address) >= WAITING:
            return 429, f"{WAITING} of your requests wait already. Please try again when some are done."
        return None


def asset(scope: Scope) -> Response | None:
    """The answer to a request for a script or a style sheet; None for what Gradio answers as well.

    Gradio compresses each file anew for each visitor, in a hurry; these files never change, and are compressed well and once.
    """
    path, small = scope["path"], parts.BROTLI in Headers(scope=scope).get("accept-encoding", "")
    text = scripts.served(path)
    if text is None and path.startswith(parts.SHEET) and path == (all_of := parts.of_app(scope["app"])).path:
        text = all_of.sheet
    content = text.encode() if text is not None else parts.content(path) if small else None
    if content is None:
        return None
    kind = "text/css" if path.endswith(".css") else "text/javascript"
    if not small:
        return Response(content, media_type=kind)
    return Response(
        parts.packed_once(content, quality=11),
        media_type=kind,
        headers={"content-encoding": parts.BROTLI, "vary": "accept-encoding"},
    )


def with_headers(send: Send) -> Send:
    """Tell the browser what an answer is not to be used for."""
    frames = f"'self' {HUB}" if settings.read().space else "'self'"
    ours = {
        "content-security-policy": POLICY + frames,
        "x-content-type-options": "nosniff",  # an upload is the kind of file that its answer says
        "referrer-policy": "same-origin",  # addresses name images and settings
    }

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            for name, value in ours.items():
                headers[name] = value
            message = {**message, "headers": headers.raw}
        await send(message)

    return changed


def kept(send: Send) -> Send:
    """Tell the browser to ask for a file once and never again: its name tells its content."""

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            headers["cache-control"] = "public, max-age=31536000, immutable"
            message = {**message, "headers": headers.raw}
        await send(message)

    return changed


def compressed(send: Send) -> Send:
    """Compress a stream of events, each as it comes: the parts of the page that they carry are most of its weight."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # gzip's format

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            headers["content-encoding"] = "gzip"
            headers.add_vary_header("accept-encoding")
            del headers["content-length"]
            message = {**message, "headers": headers.raw}
        elif message["type"] == "http.response.body":
            end = zlib.Z_SYNC_FLUSH if message.get("more_body", False) else zlib.Z_FINISH
            message = {**message, "body": packer.compress(message.get("body", b"")) + packer.flush(end)}
        await send(message)

    return changed


def no_endpoint(app: Any, what: str) -> str:
    """What to say of a call of an endpoint that does not exist, where Gradio fails; "" of anything else."""
    called = re.fullmatch(r"call/(?:v2/)?([^/]+)/?", what)
    if called is None:
        return ""
    endpoints = app.get_blocks().fns.values()
    if called[1] in {one.api_name for one in endpoints}:
        return ""
    accepted = sorted({one.api_name for one in endpoints if one.api_name and one.api_visibility == "public"})
    return f"There is no endpoint {called[1][:60]!r}; accepted: {', '.join(accepted)}."


def waiting(app: Any, address: str) -> int:
    """How many events of one address are in the queue of a Gradio app."""
    queues = app.get_blocks()._queue.event_queue_per_concurrency_id.values()
    events = [event for queue in queues for event in list(queue.queue)]
    return sum(event.request.client is not None and event.request.client.host == address for event in events)


def fetch_nothing() -> None:
    """Make Gradio refuse the addresses of files in a request's data, but those of files that were uploaded to it.

    A tool's caller has no other name for them.
    """
    import gradio as gr
    from gradio import processing_utils

    async def find(url: str, cache_dir: str) -> str:
        file = uploaded(url, Path(cache_dir))
        if file is None:
            raise gr.Error(NO_ADDRESSES, print_exception=False)
        return str(file)

    processing_utils.async_ssrf_protected_download = find


def uploaded(url: str, folder: Path) -> Path | None:
    """The file of an upload folder that an address stands for, whichever name this server has in it.

    It is None if there is none. Who knows its path may name it without the address as well.
    """
    _, told, path = urlsplit(url).path.partition("/gradio_api/file=")
    file = Path(unquote(path)).resolve()
    return file if told and file.is_relative_to(folder.resolve()) and file.is_file() else None


def forget_uploads(folder: Path, every: float = 600.0, kept: float = KEPT) -> None:
    """Delete old files of an upload folder from time to time, as long as the app runs.

    Gradio's `delete_cache` does so with what its own components took in; files that came through MCP it does not know.
    """

    def work() -> None:
        while True:
            time.sleep(every)
            forget(folder, time.time() - kept)

    threading.Thread(target=work, name="forget-uploads", daemon=True).start()


def forget(folder: Path, before: float) -> None:
    """Delete what was put into a folder before a time, seconds since 1970."""
    for path in list(folder.glob("*")):
        try:
            newest = max(one.stat().st_mtime for one in [path, *path.rglob("*")])
            if newest < before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:  # Gradio deletes, too
            continue

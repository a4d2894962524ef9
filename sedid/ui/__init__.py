"""The Gradio app. Cheap to import: Gradio itself is imported by `build_demo` and `launch`."""

import ctypes
import gc
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedid import settings

if TYPE_CHECKING:
    import gradio as gr

    from sedid.ui.context import Context

TABS = ("inspect", "gallery", "learn", "train", "evaluate", "compare", "sweep", "guide")
"""In this order."""
MODULES = {
    "inspect": "sedid.ui.inspect.tab",
    "gallery": "sedid.ui.gallery.tab",
    "learn": "sedid.ui.learn.tab",
    "train": "sedid.ui.train.tab",
    "evaluate": "sedid.ui.results.evaluate_tab",
    "compare": "sedid.ui.results.compare_tab",
    "sweep": "sedid.ui.results.sweep_tab",
    "guide": "sedid.ui.guide.tab",
}
"""Where each tab is built: a module with a TITLE and a `build(context, head)`."""

LOCAL = ("localhost", "127.0.0.1", "::1")
GLANCE = 0.01  # seconds between two looks at the queue


def quiet() -> None:
    """Keep Gradio and huggingface_hub from calling home, and from asking any proxy whether Gradio's own server runs.

    Threads of PyTorch that wait for each other sleep: beside other work, those that spin take what the rest needs.

    It must run before Gradio and PyTorch are imported.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    direct = [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), settings.read().server_name, *LOCAL]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys(filter(None, direct)))


def tend_heap(every: float = 30.0) -> None:
    """Keep glibc from holding more and more memory that is free, as long as this process runs; other C libraries do not.

    It gives each of the first 16 threads a pool of its own, and what was freed in one is of no use in another: all threads share
    two. Batches of ever new sizes leave holes in these: twice a minute their pages go back to the system.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "malloc_trim"):
        return
    libc.mallopt(ctypes.c_int(-8), ctypes.c_int(2))  # M_ARENA_MAX

    def work() -> None:
        while True:
            time.sleep(every)
            libc.malloc_trim(ctypes.c_size_t(0))

    threading.Thread(target=work, name="heap", daemon=True).start()


def make_context(detector: str | Path | None = None) -> "Context":
    """The context of an app on one detector.

    Args:
        detector: a bundle folder or Hub id; default: the environment variable SEDID_DETECTOR, then the shipped one.
    """
    from sedid.detector.bundle import SHIPPED
    from sedid.ui.context import Context
    from sedid.ui.examples import list_examples
    from sedid.ui.menu import Menu
    from sedid.ui.server import gpu

    source = detector or settings.read().detector or SHIPPED
    return Context(lambda: gpu.load(source), list_examples(), Menu(source))


def build_demo(context: "Context | None" = None) -> "gr.Blocks":
    """The whole interface, not yet served."""
    quiet()
    from importlib import import_module

    import gradio as gr

    from sedid.ui import frame
    from sedid.ui.kit import LIGHT, only
    from sedid.ui.links import Opener
    from sedid.ui.scripts import function
    from sedid.ui.server import door
    from sedid.ui.server.document import NAME

    door.fetch_nothing()
    context = context or make_context()
    # Uploads are looked for every ten minutes and live an hour at most.
    with gr.Blocks(title=NAME, analytics_enabled=False, delete_cache=(600, 3600)) as demo:
        head = frame.head(context)
        with gr.Tabs() as tabs:
            for name in TABS:
                tab = import_module(MODULES[name])
                with gr.Tab(tab.TITLE, id=name) as item:
                    item.select(
                        None, None, None, js=function("tabs", "follow", name, name == TABS[0]), api_visibility="private"
                    )
                    tab.build(context, head)
        frame.foot()
        opener = Opener(TABS, context.menu)
        only(demo.load, "elsewhere")(opener.view, None, [tabs, head.source], **LIGHT)
        head.title.select(opener.tab, None, tabs, **LIGHT)
    demo.queue(max_size=64, default_concurrency_limit=4)
    # Gradio (6.31) looks a thousand times a second, by default: a twelfth of a core while nobody asks for anything
    demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free = GLANCE, 5 * GLANCE
    return demo


def launch(detector: str | Path | None = None, **options: Any) -> None:
    """Serve the app until it is interrupted; address and port come from GRADIO_SERVER_NAME and GRADIO_SERVER_PORT.

    Args:
        detector: as `make_context`.
        options: for `gradio.Blocks.launch`, over the ones set here.

    Raises:
        OSError: the port is taken.
    """
    gc.disable()  # what is imported and built until the page is served stays: looking through it is a fifth of the start
    quiet()
    tend_heap()
    if settings.read().space:  # only the Space's own proxy reaches the app there, and it names the visitor
        os.environ.setdefault("FORWARDED_ALLOW_IPS", "*")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the uploads go with the app
    below = settings.read().temp
    if below:
        Path(below).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sedid-", dir=below) as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        from sedid.ui.server import door

        context = make_context(detector)
        demo = build_demo(context)
        try:
            demo.launch(**launch_options() | {"prevent_thread_lock": True} | options)
        except OSError as error:
            if "empty port" not in str(error):
                raise
            port = settings.read().server_port or "7860 and each of the 99 above it"
            raise OSError(f"port {port} is taken: end what listens there, or set GRADIO_SERVER_PORT") from error
        gc.freeze()
        gc.enable()
        door.forget_uploads(Path(uploads))
        context.warm_up()  # not before: it would slow down the first page
        demo.block_thread()


def launch_options() -> dict[str, Any]:
    """How the app is served, safe for public hosting."""
    import gradio as gr
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware

    from sedid.report import style
    from sedid.ui.server import door
    from sedid.ui.theme import SedidTheme

    own = Path(__file__).parent / "static"

    return {
        "server_name": settings.read().server_name,
        "server_port": settings.read().server_port,
        "share": False,
        "show_error": False,
        "ssr_mode": False,
        "pwa": False,
        # Gradio (6.31) has no word for what its live region says when an event is over, and would say the key
        "i18n": gr.I18n(en={"common.complete": "Complete"}),
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "max_file_size": "20mb",
        "state_session_capacity": 256,  # pages whose state is kept, half a megabyte each, whether closed or not
        "max_threads": 64,  # of events: as many as may evaluate networks, and room for those that only look
        # Gradio compresses the files of its page, but not the document and its configuration. What streams, and pictures,
        # stay as they are.
        "app_kwargs": {"middleware": [Middleware(GZipMiddleware, compresslevel=6), Middleware(door.Door)]},
        "mcp_server": True,
        "footer_links": ["api"],
        "theme": SedidTheme(),
        "head": "".join(
            f"<script>{(style.STATIC / f'{name}.js').read_text(encoding='utf-8')}</script>"
            for name in ("charts", "tables")
        ),
        "css_paths": [
            *(style.STATIC / f"{name}.css" for name in style.SHARED),
            *(own / f"{name}.css" for name in ("page", "gallery", "learn", "world", "train", "guide")),
        ],
    }

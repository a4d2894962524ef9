"""Pictures of the page for the README and the documents, taken anew whenever the page or the detector changed.

    python -m sedid.ui.screenshots                  those the documents show
    python -m sedid.ui.screenshots all              every tab
    python -m sedid.ui.screenshots learn guide      some of them
    python -m sedid.ui.screenshots card             assets/card.png, what chats and posts show of a link to the page

It needs the test extra (`pip install -e '.[test]'`) and a Chromium on the path, or named by the variable CHROMIUM. The
app is started on a free port, with no runs but its own, and each picture waits for what it is to show.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from sedid.paths import ASSETS

FOLDER = ASSETS / "screenshots"
SHOWN = ("inspect", "gallery", "learn", "evaluate", "compare")
"""The tabs that README and documents show."""
SIZE = (1280, 900)  # pixels of the browser's window
TALL = {"evaluate": 1400, "compare": 1500}
"""Tab -> height of the window, where what it is about stands further down."""
LIMIT = 300_000  # bytes a picture
WAIT = 180_000  # milliseconds; an upper bound for a slow machine

VIEWS = {
    "inspect": "example=generated-2",
    "learn": "tab=learn&step=5&example=generated-2",
    "guide": "tab=guide&doc=verdict",
}
"""Tab -> the query of its picture, where it is not just the tab."""
READY = {
    "inspect": "#verdicts .sed-card",
    "gallery": ".gal-grid",
    "learn": "#learn .learn-picture",
    "evaluate": "#evaluation-drawn .chart",
    "compare": "#compare-drawn .chart",
    "guide": "#guide-text h2",
}
"""Tab -> what must be on the page, where that is more than the open tab itself."""

# Nothing is being fetched or computed for what can be seen, and every picture has arrived.
SETTLED = """() => {
  const seen = one => one.getClientRects().length > 0;
  const busy = '.progress-text, .eta-bar, .wrap.generating, .wrap.full:not(.hide), .learn-waiting';
  return ![...document.querySelectorAll(busy)].some(seen)
    && [...document.images].filter(seen).every(image => image.complete)
    && document.fonts.status === 'loaded';
}"""


def chromium() -> str:
    """The browser's program.

    Raises:
        FileNotFoundError: there is none.
    """
    named = [os.environ.get("CHROMIUM"), *map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))]
    found = next(filter(None, named), None)
    if found is None:
        raise FileNotFoundError("no Chromium on this machine: install one (Debian: apt-get install chromium)")
    return found


def as_webp(png: bytes) -> bytes:
    """A picture as WebP: without loss if that is small enough, otherwise with the least loss that is.

    Raises:
        ValueError: it stays over LIMIT.
    """
    from PIL import Image

    for options in ({"lossless": True}, {"quality": 92}, {"quality": 80}):
        out = BytesIO()
        Image.open(BytesIO(png)).convert("RGB").save(out, "WEBP", method=4, **options)
        if out.tell() <= LIMIT:
            return out.getvalue()
    raise ValueError(f"a screenshot is larger than {LIMIT // 1000} kB even with losses: take it of a smaller window")


def take(browser: Any, url: str, tabs: Sequence[str], folder: Path = FOLDER) -> list[Path]:
    """Open each tab of a running app and write what it shows to `folder`/<tab>.webp.

    Args:
        browser: a Chromium started by playwright.

    Raises:
        ValueError: a tab that does not exist, or a picture that cannot be made small enough.
    """
    from sedid.storage import replacing
    from sedid.ui import TABS

    unknown = [tab for tab in tabs if tab not in TABS]
    if unknown:
        raise ValueError(f"there is no tab {unknown[0]!r}; accepted: {', '.join(TABS)}")
    written = []
    for tab in tabs:
        window = {"width": SIZE[0], "height": TALL.get(tab, SIZE[1])}
        page = browser.new_page(viewport=window, color_scheme="light")
        page.set_default_timeout(WAIT)
        page.goto(f"{url}?{VIEWS.get(tab, f'tab={tab}')}&__theme=light")
        page.wait_for_selector("button[role=tab][aria-selected=true]")
        page.wait_for_selector(READY.get(tab, "[role=tabpanel]:visible"))
        page.wait_for_function(SETTLED)
        picture = as_webp(page.screenshot(animations="disabled"))
        page.close()
        written.append(folder / f"{tab}.webp")
        with replacing(written[-1]) as temporary:
            temporary.write_bytes(picture)
    return written


def draw_card(browser: Any, file: Path) -> None:
    """Write the picture of a shared link: one generated image, its way into noise, and where the model misses."""
    from sedid.detector.bundle import SHIPPED, load_detector
    from sedid.detector.detector import as_seen
    from sedid.progress import finish
    from sedid.report.filmstrip import brightest, error_maps
    from sedid.report.pictures import heat, visible
    from sedid.storage import replacing
    from sedid.ui.html import render
    from sedid.ui.server.document import CARD_SIZE, DESCRIPTION, NAME, TITLE

    detector = load_detector(SHIPPED)
    image, _ = as_seen(detector, ASSETS / "examples" / "generated-1.png")
    k, t_sec = detector.pair()
    trace = finish(detector.trace(image, k))
    measured = error_maps(trace, weight_free=True)[trace.t_secs.index(t_sec)]
    half = trace.points[len(trace.points) // 2]
    pictures = [
        ("the picture", image),
        ("pushed into noise", visible(half.x)),
        (f"at timestep {trace.points[-1].t}", visible(trace.points[-1].x)),
        ("one step back", visible(trace.picture(trace.denoised(t_sec)))),
        ("how far it misses", heat(measured, brightest(measured[None]))),
    ]
    page = browser.new_page(viewport=dict(zip(("width", "height"), CARD_SIZE, strict=True)))
    page.set_content(render("card.html", name=NAME, title=TITLE, words=DESCRIPTION, pictures=pictures))
    with replacing(file) as temporary:
        temporary.write_bytes(page.screenshot(type="png"))
    page.close()


def main(words: Sequence[str]) -> None:
    """Start the app on the shipped detector, take the pictures, stop it."""
    from playwright.sync_api import sync_playwright

    from sedid.ui import TABS, build_demo, launch_options

    parser = argparse.ArgumentParser(prog="python -m sedid.ui.screenshots", description="Pictures of the page.")
    parser.add_argument("tabs", nargs="*", default=SHOWN, help=f"all, card, or some of {', '.join(TABS)}")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the pictures")
    given = parser.parse_args(list(words))
    tabs = TABS if list(given.tabs) == ["all"] else tuple(given.tabs)
    with tempfile.TemporaryDirectory() as runs, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        if tabs == ("card",):
            from sedid.ui.server.document import CARD as card

            draw_card(browser, card)
            return
        os.environ |= {"SEDID_RUNS": runs, "GRADIO_TEMP_DIR": runs}  # nobody's own jobs and uploads are shown
        demo = build_demo()
        _, url, _ = demo.launch(**launch_options() | {"prevent_thread_lock": True, "quiet": True})
        try:
            for file in take(browser, url, tabs, given.out):
                print(f"{file.stat().st_size:9,}  {file}")
        finally:
            browser.close()
            demo.close()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImportError as error:
        sys.exit(f"error: {error}; install the test extra: pip install -e '.[test]'")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")

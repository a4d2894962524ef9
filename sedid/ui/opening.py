"""How long the page takes to open, and what that costs a visitor: seconds, requests and bytes, as one JSON file.

    python -m sedid.ui.opening                      writes runs/opening.json
    python -m sedid.ui.opening --rounds 5 --out FILE

It needs the test extra (`pip install -e '.[test]'`) and a Chromium on the path, or named by the variable CHROMIUM. The app's
start stands beside that of `import gradio` in the same minute, round by round, and only their ratio is worth comparing between
machines. The page is opened as it is on this machine, then over a line of 750 kbit/s and 300 ms, each time by a new browser.
So is a page of one line that Gradio serves with nothing of this project: what it weighs, no page of Gradio's can do without.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sedid.storage import write_json
from sedid.ui.screenshots import WAIT, chromium
from sedid.ui.server.load import LoadConfig, answers, running

ALONE = """
import gradio
with gradio.Blocks(analytics_enabled=False) as page:
    gradio.HTML("<h1>One line.</h1>", elem_id="only")
page.launch(ssr_mode=False, pwa=False)
"""
"""A page of Gradio's own."""
FIRST_WORDS = "#sed-first:visible, h1:visible"
FIRST_VERDICT = "#verdicts .sed-card"
SLOW = {"latency": 300, "downloadThroughput": 750_000 / 8, "uploadThroughput": 250_000 / 8}
"""A slow line as Chromium's developer tools know it: milliseconds there and back, bytes a second."""
BARS = {"ratio": 1.3, "verdict": 2.5, "slow_verdict": 6.0, "requests": 60, "bytes": 350_000}


@dataclass(frozen=True)
class Opened:
    """One visit.

    Attributes:
        words: seconds until something is there to read.
        verdict: seconds until the first verdict is; of Gradio alone, its line.
        requests, bytes: what was asked for until then, and its size on the wire, headers included.
    """

    words: float
    verdict: float
    requests: int
    bytes: int


@dataclass(frozen=True)
class OpeningResults:
    """What opening.json holds.

    Attributes:
        gradio, page: seconds of `import gradio`, and from the command to the page's answer, one a round.
        ratio: the median of their ratios.
        work: the same of the processor's seconds, which other programs on a busy machine change less.
        warm, slow: a visit on this machine, and one over the slow line.
        again: over the slow line, what came before being kept by the browser.
        alone, alone_slow: the same two visits to a page of Gradio alone.
        bars: what each is to be at most.
    """

    gradio: list[float]
    page: list[float]
    ratio: float
    work: float
    warm: Opened
    slow: Opened
    again: Opened
    alone: Opened
    alone_slow: Opened
    bars: dict[str, float]


def import_gradio() -> tuple[float, float]:
    """Seconds that a new Python takes to import Gradio, and those of the processor's work."""
    began, worked = time.perf_counter(), children()
    subprocess.run(
        [sys.executable, "-c", "import gradio"], check=True, env=os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    )
    return round(time.perf_counter() - began, 2), children() - worked


def children() -> float:
    """Seconds of the processor's work for programs that this one started and that have ended."""
    return sum(os.times()[2:4])


def visit(
    browser: Any, url: str, line: dict[str, float] | None = None, arrived: str = FIRST_VERDICT, cached: bool = False
) -> Opened:
    """Open the page.

    Args:
        line: of the network, in `Network.emulateNetworkConditions`' words; None leaves it as it is.
        arrived: selector of what is waited for.
        cached: whether the browser was here before; else there is nothing in its cache.
    """
    page = browser.new_page()
    if cached:
        page.goto(url)
        page.wait_for_selector(arrived)
        page.goto("about:blank")
    page.set_default_timeout(WAIT)
    tools = page.context.new_cdp_session(page)
    tools.send("Network.enable")
    if line:
        tools.send("Network.emulateNetworkConditions", {"offline": False, **line})
    asked: list[str] = []
    sizes: list[float] = []
    tools.on("Network.requestWillBeSent", lambda event: asked.append(event["request"]["url"]))
    tools.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(FIRST_WORDS)
    words = time.perf_counter() - began
    page.wait_for_selector(arrived)
    verdict = time.perf_counter() - began
    requests = sum(address.startswith("http") for address in asked)
    page.close()
    return Opened(round(words, 2), round(verdict, 2), requests, round(sum(sizes)))


@contextmanager
def gradio_alone() -> Iterator[str]:
    """The address of a page that Gradio serves with nothing of this project."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_ANALYTICS_ENABLED": "False"}
    started = subprocess.Popen(  # noqa: S603  a program of its own making
        [sys.executable, "-c", ALONE], env=os.environ | place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        answers(url := f"http://127.0.0.1:{port}/", started)
        yield url
    finally:
        started.terminate()
        started.wait(20)


def measure(rounds: int) -> OpeningResults:
    """Everything, in one run of `rounds` starts."""
    from playwright.sync_api import sync_playwright

    gradio, answered, works = [], [], []
    with tempfile.TemporaryDirectory() as runs, sync_playwright() as playwright:
        os.environ |= {"SEDID_RUNS": runs}  # nobody's own jobs
        for last in [False] * (rounds - 1) + [True]:
            seconds, effort = import_gradio()
            gradio.append(seconds)
            began = time.perf_counter()
            with running(LoadConfig()) as (url, process):
                answered.append(round(time.perf_counter() - began, 2))
                works.append(sum(process.cpu_times()[:2]) / effort)
                if not last:
                    continue
                browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
                visit(browser, url)  # the detector is there, and pictures are walked
                warm, slow = visit(browser, url), visit(browser, url, SLOW)
                again = visit(browser, url, SLOW, cached=True)
            with gradio_alone() as url:
                alone, alone_slow = (visit(browser, url, line, "#only h1") for line in (None, SLOW))
            browser.close()
    ratio = round(median(page / bare for page, bare in zip(answered, gradio, strict=True)), 2)
    work = round(median(works), 2)
    return OpeningResults(gradio, answered, ratio, work, warm, slow, again, alone, alone_slow, BARS)


def main(words: Sequence[str]) -> None:
    """Measure, write the file and say what it holds."""
    parser = argparse.ArgumentParser(prog="python -m sedid.ui.opening", description="How long the page takes to open.")
    parser.add_argument("--rounds", type=int, default=3, help="how often the app is started")
    parser.add_argument("--out", type=Path, default=Path("runs/opening.json"), help="file of the results")
    given = parser.parse_args(list(words))
    if given.rounds < 1:
        raise ValueError("--rounds must be at least 1")
    found = measure(given.rounds)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.out, asdict(found))
    bars = found.bars
    print(
        f"the page answers after {found.ratio:.2f} times the time of import gradio (at most {bars['ratio']}), {found.work:.2f} times its work"
    )
    for name, one, bar in (("warm", found.warm, bars["verdict"]), ("slow", found.slow, bars["slow_verdict"])):
        print(f"{name}: words after {one.words:.2f} s, the first verdict after {one.verdict:.2f} s (at most {bar})")
    print(f"slow, for the second time: the first verdict after {found.again.verdict:.2f} s")
    at_most = f"(at most {bars['requests']} and {bars['bytes'] / 1000:.0f})"
    print(f"{found.warm.requests} requests, {found.warm.bytes / 1000:.0f} kB {at_most}")
    alone = f"{found.alone.verdict:.2f} s, over the slow line {found.alone_slow.verdict:.2f} s"
    print(
        f"a line that Gradio shows alone: {found.alone.requests} requests, {found.alone.bytes / 1000:.0f} kB, {alone}"
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImportError as error:
        sys.exit(f"error: {error}; install the test extra: pip install -e '.[test]'")
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"error: {error}")

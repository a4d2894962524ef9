"""Every bad file of the corpus (`helpers.bad_files`) through every way in, and what came of it. In a checkout

    python -m tests.helpers.corpus --out tests/corpus.json

A file is tried on the command line, through the API, as a language model's tool, and in the page's own event. Each has to
answer within ten seconds, with what it saw or with one sentence; nothing may be written but what was asked for; and memory may
grow by no more than a stated bound, of all files together.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

sys.path.insert(
    0, str(Path(__file__).parents[1])
)  # run as a module of the checkout, tests import each other as pytest has it

import httpx
from typer.testing import CliRunner

from helpers.bad_files import Bad, make
from helpers.browsing import events_of, served
from helpers.bundles import pictures, shared_bundle, shared_detector
from helpers.image_files import encoded
from helpers.python_words import PYTHON
from sedid.cli import app
from sedid.jobs.commands import COMMANDS
from sedid.storage import write_json
from sedid.ui.context import Context
from sedid.ui.menu import Menu

SECONDS = 10
"""Of processor time, client and server together, so that a busy machine fails nothing."""
PATIENCE = 120  # seconds on the clock, after which something hangs
MEGABYTES = 1000
"""By which memory may grow in all: a picture of 50 megapixels needs 150 for its pixels, more than once on the way."""
HUNG = "Traceback: it hung"
FILE = {"_type": "gradio.FileData"}


@dataclass(frozen=True)
class Outcome:
    """What came of a file on one way.

    Attributes:
        way: cli, api, mcp or page.
        answered: it was read; else it was refused.
        said: the sentence of a refusal.
        seconds: of processor time it took.
    """

    way: str
    answered: bool
    said: str
    seconds: float

    @property
    def fault(self) -> str:
        """What is wrong with it; "" if nothing is."""
        if self.seconds > SECONDS:
            return f"took {self.seconds:.0f} seconds"
        if self.answered:
            return ""
        words = [word for word in ("Traceback", "Errno", *PYTHON) if word in self.said]
        if words or "\n" in self.said.strip() or not 12 < len(self.said) < 1200:
            return f"said {self.said[:300]!r}"
        return ""


class Refused(Exception):
    """The server took no such request."""


class Ways:
    """The ways in: the command line, and an app that is served.

    Args:
        url: of the app; a page that may open any folder.
        work: a folder for what commands write.
    """

    def __init__(self, url: str, work: Path) -> None:
        self.work = work
        self.http = httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)
        self.events = events_of(self.http.get("config").json())
        self.image = work / "image.png"
        self.image.write_bytes(encoded(pictures(1)[0]))
        self.url = url

    def through(self, bad: Bad) -> list[Outcome]:
        """One file on all of its ways."""
        ways: dict[str, Callable[[], tuple[bool, str]]] = {"cli": lambda: self.cli(bad)}
        if bad.kind == "settings":
            ways["page"] = lambda: self.page_settings(bad)
        else:
            ways |= {"api": lambda: self.api(bad), "page": lambda: self.page(bad)}
            ways["mcp"] = lambda: tool(self.url, *self.call(bad))
        made = []
        for way, go in ways.items():
            began = time.process_time()
            try:
                answered, said = go()
            except Refused as error:
                answered, said = False, str(error)
            except httpx.TimeoutException:
                answered, said = False, HUNG
            made.append(Outcome(way, answered, said.strip(), round(time.process_time() - began, 3)))
        return made

    def cli(self, bad: Bad) -> tuple[bool, str]:
        """The command that takes such a file."""
        device, out = ["--device", "cpu"], self.work / "out.csv"
        bundle = ["--detector", str(bad.file if bad.kind == "bundle" else shared_bundle())]
        if bad.kind == "settings":
            arguments = [bad.command, "--config", str(bad.file), *needed(bad.command)]
        elif bad.kind == "archive":
            arguments = ["score", str(bad.file), "--out", str(out), *bundle, *device]
        else:
            arguments = ["inspect", str(self.image if bad.kind == "bundle" else bad.file), *bundle, *device]
        with alarm():
            done = CliRunner().invoke(app, arguments)
        out.unlink(missing_ok=True)
        if not isinstance(done.exception, SystemExit | None):
            return False, f"Traceback: {done.exception!r}"
        lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
        if done.exit_code == 0 or (bad.kind == "archive" and not lines):  # rows that could not be read are in its table
            return True, ""
        return False, "\n".join(lines) or done.output

    def upload(self, file: Path) -> str:
        """Where the app keeps a file that was sent to it."""
        answer = self.http.post("gradio_api/upload", files={"files": (file.name, file.read_bytes())})
        if answer.status_code != 200:
            raise Refused(answer.text)
        return str(answer.json()[0])

    def sent(self, file: Path) -> dict[str, Any]:
        """A file as a client names it."""
        return {"path": self.upload(file), "orig_name": file.name, "meta": FILE}

    def api(self, bad: Bad) -> tuple[bool, str]:
        """The endpoint that takes such a file."""
        name = "score_batch" if bad.kind == "archive" else "inspect"
        return self.event(next(one["id"] for one in self.events if one["api_name"] == name), self.arguments(bad))

    def arguments(self, bad: Bad) -> list[Any]:
        """What an endpoint is given."""
        if bad.kind == "archive":
            return [[self.sent(bad.file)], "default"]
        detector = str(bad.file) if bad.kind == "bundle" else "default"
        return [self.sent(self.image if bad.kind == "bundle" else bad.file), 0, 0, detector]

    def call(self, bad: Bad) -> tuple[str, dict[str, Any]]:
        """The tool that takes such a file, and its arguments."""
        if bad.kind == "archive":
            return "score_batch", {"files": [f"{self.url}gradio_api/file={self.upload(bad.file)}"]}
        file = self.image if bad.kind == "bundle" else bad.file
        given = {"image": f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"}
        return "inspect", given | ({"detector": str(bad.file)} if bad.kind == "bundle" else {})

    def page(self, bad: Bad) -> tuple[bool, str]:
        """What the page does when such a file is dropped or a detector's folder is typed."""
        if bad.kind == "archive":
            return self.event(*self.filled("batch-judge", "click", file=[self.sent(bad.file)]))
        if bad.kind == "bundle":
            return self.event(*self.filled("detector", "input", dropdown=str(bad.file)))
        return self.event(*self.filled("photo", "upload", image=self.sent(bad.file)))

    def page_settings(self, bad: Bad) -> tuple[bool, str]:
        """What the Train tab does with such settings."""
        lines = bad.file.read_bytes().decode("utf-8", "replace")
        start = next(one for one in self.events if ("start-job", "click") in one["on"])
        fields = ["", "sample:real", "", "sample:generated", *[""] * (len(start["takes"]) - 7)]
        # the stages of the page are not all of the commands
        stage = bad.command if bad.command in ("calibrate", "generate", "evaluate", "loop") else "loop"
        return self.event(start["id"], [stage, "demo", lines, *fields])

    def filled(self, element: str, event: str, **given: Any) -> tuple[int, list[Any]]:
        """An event and its inputs, by their kinds; boxes are not ticked, and the rest is empty."""
        one = next(one for one in self.events if (element, event) in one["on"])
        return one["id"], [given.get(kind, False if kind == "checkbox" else None) for kind in one["takes"]]

    def event(self, index: int, data: list[Any]) -> tuple[bool, str]:
        """What an event answers, through the queue."""
        session = f"corpus-{time.monotonic_ns()}"
        joined = self.http.post(
            "gradio_api/queue/join", json={"data": data, "fn_index": index, "session_hash": session}
        )
        if joined.status_code != 200:
            return False, str(joined.json()["detail"])
        end = time.monotonic() + PATIENCE
        with self.http.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                if time.monotonic() > end:  # the queue says every few seconds that it is there
                    return False, HUNG
                if "process_completed" in line:
                    said = json.loads(line.removeprefix("data: "))
                    return said["success"], "" if said["success"] else str(said["output"].get("error"))
        return False, "The answer broke off."


def needed(command: str) -> list[str]:
    """The settings without which a command does not look at the others."""
    asked = [field.name for field in fields(COMMANDS[command].settings) if field.default is MISSING]
    return [f"--set={name}=nowhere" for name in asked if name != "out"]


@contextlib.contextmanager
def alarm() -> Iterator[None]:
    """End what hangs, where the system can."""

    def end(*_: Any) -> None:
        raise TimeoutError(HUNG)

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tool(url: str, name: str, given: dict[str, Any]) -> tuple[bool, str]:
    """What a tool of the app's MCP server answers."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def ask() -> tuple[bool, str]:
        async with (
            streamable_http_client(f"{url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            done = await session.call_tool(name, given)
            return not done.isError, done.content[0].text if done.isError else ""  # type: ignore[union-attr]

    try:
        return asyncio.run(asyncio.wait_for(ask(), PATIENCE))
    except TimeoutError as error:
        raise Refused(HUNG) from error
    except BaseExceptionGroup as group:  # a message of over 4 MB: the server of tools takes none
        refused = group.subgroup(httpx.HTTPStatusError)
        if refused is None:
            raise
        raise Refused(str(leaf(refused)).partition(" for url")[0]) from group


def leaf(group: BaseException) -> BaseException:
    """The first error of a group."""
    return leaf(group.exceptions[0]) if isinstance(group, BaseExceptionGroup) else group


@contextlib.contextmanager
def ways(root: Path) -> Iterator[Ways]:
    """The ways into an app that keeps everything below a folder."""
    work = root / "work"
    work.mkdir()
    places = {"GRADIO_TEMP_DIR": "uploads", "SEDID_RUNS": "runs"}
    below = {name: str(root / place) for name, place in places.items()}
    # no job is begun: what is tried is what stands before it
    with mock.patch.dict(os.environ, below), mock.patch("sedid.jobs.store.JobStore._spawn", return_value=None):
        detector = shared_detector()
        with served(Context(lambda: detector, (), Menu(shared_bundle(), root / "none", root / "runs"))) as url:
            there = Ways(url, work)
            with contextlib.closing(there.http):
                yield there


def listed(root: Path) -> set[str]:
    """The files below a folder but those the app keeps of its own."""
    own = ("uploads", "runs")
    return {
        str(file.relative_to(root))
        for file in root.rglob("*")
        if file.relative_to(root).parts[0] not in own and "__pycache__" not in file.parts
    }


def peak() -> int:
    """The most memory this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "darwin" else 1000) // 1


def run(some: Callable[[list[Bad]], list[Bad]] = lambda all: all) -> dict[str, Any]:
    """Try files on all of their ways; what is committed of it.

    Args:
        some: which of them.
    """
    with TemporaryDirectory() as above:
        root = Path(above) / "a" / "b" / "c"  # room for a path that leads out
        root.mkdir(parents=True)
        files = some(make(root / "in")) if not (root / "in").mkdir() else []
        with ways(root) as there:
            for first in (Bad("picture", "a good one", there.image), Bad("bundle", "a good one", shared_bundle())):
                assert not [one for one in there.through(first) if not one.answered], there.through(first)
            before, memory = listed(Path(above)), peak()
            found = {bad: there.through(bad) for bad in files}
        strangers = {
            name for name in listed(Path(above)) - before if not name.startswith(("a/b/c/uploads", "a/b/c/runs"))
        }
        faults = [
            f"{bad.kind}, {bad.name}, {one.way}: {one.fault}" for bad, all in found.items() for one in all if one.fault
        ]
        grown = peak() - memory
        faults += [f"{name} was written" for name in sorted(strangers)]
        faults += [f"memory grew by {grown} MB"] * (grown > MEGABYTES)

        def plain(said: str) -> str:
            return said.replace(str(root), "").replace(str(shared_bundle()), "")

        return {
            "files": dict(Counter(bad.kind for bad in files)),
            "tries": {
                way: dict(
                    Counter(
                        "read" if one.answered else "refused" for all in found.values() for one in all if one.way == way
                    )
                )
                for way in ("cli", "api", "mcp", "page")
            },
            "slowest_seconds": max(one.seconds for all in found.values() for one in all),
            "memory_grew_megabytes": grown,
            "bounds": {"seconds": SECONDS, "megabytes": MEGABYTES},
            "faults": [plain(fault) for fault in faults],
            "outcomes": [
                {"kind": bad.kind, "name": bad.name}
                | {one.way: "read" if one.answered else plain(one.said)[:200] for one in all}
                for bad, all in found.items()
            ],
        }


def main() -> None:
    """Try all of them, write what came of it, and say how it went; exit code 1 if something is wrong."""
    asked = argparse.ArgumentParser(prog="python -m tests.helpers.corpus", description=main.__doc__)
    asked.add_argument("--out", type=Path, required=True)
    out = asked.parse_args().out.absolute()
    found = run()
    write_json(out, found)
    print(*found["faults"], f"{sum(found['files'].values())} files, {len(found['faults'])} faults: {out}", sep="\n")
    sys.exit(bool(found["faults"]))


if __name__ == "__main__":
    main()

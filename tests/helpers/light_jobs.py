"""A light stand-in for the loops, so that tests of jobs take milliseconds."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from sedid.jobs.store import JobStore

DEADLINE = 90  # seconds; an upper bound, nothing waits this long when all is well

STAND_IN = """
import signal, sys, time
from pathlib import Path
import sedid.jobs.folder as joblog
from sedid.jobs.folder import attached
from sedid.progress import Progress
folder, joblog.WATCH = Path(sys.argv[1]), 0.05
with attached(folder) as write:
    for done in range(1, 10_000):
        write(Progress("counting", done, 10_000, "steps", 1.0, 1.0, {"loss": 1 / done}))
        if done == 2:
            print("working hard", flush=True)
        order = (folder.parent / "order").read_text() if (folder.parent / "order").exists() else ""
        if order == "finish":
            break
        if order == "fail":
            raise ValueError("no luck today")
        if order == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (folder / "deaf").touch()
        time.sleep(0.01)
"""


class LightStore(JobStore):
    """Runs the stand-in in place of the command line."""

    def _arguments(self, folder: Path, command: str) -> list[str]:
        return [sys.executable, "-c", STAND_IN, str(folder)]


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)

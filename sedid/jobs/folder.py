"""What a job and its watchers share: the run folder's files, and the job's own side of them.

    job.json         state, command, process, times; every change goes through `update`
    config.toml      the resolved settings
    log.txt          what the command printed
    metrics.jsonl    one line a progress record
    ...              what the loop itself writes (checkpoints, samples, images, a bundle)

A job takes its turn by itself: it waits for the lock of its runs folder, first come, first served. The operating
system frees the lock of a dead process, so the queue moves on though nobody watches.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from sedid import settings
from sedid.errors import sentence
from sedid.storage import read_json, remove_litter, write_json
from sedid.training import records

ACTIVE = ("queued", "running")
WATCH = 10.0  # seconds between a job's looks at the disk
POLL = 0.3  # seconds between looks at the queue
SAME_START = 2.0  # seconds; start times of one process differ by rounding, those of a reused id by far more


def job_file(folder: Path) -> Path:
    """Where a run folder keeps its job."""
    return Path(folder) / "job.json"


def update(folder: Path, **changes: Any) -> dict[str, Any]:
    """Merge changes into job.json; the job and its watchers may do so at the same time."""
    with FileLock(Path(folder) / ".job.lock"):
        info = read_json(job_file(folder)) if job_file(folder).is_file() else {}
        info |= changes
        write_json(job_file(folder), info)
    return info


def process_of(info: dict[str, Any]) -> psutil.Process | None:
    """The living process of a job; None if it ended, or if its id now belongs to another process."""
    try:
        process = psutil.Process(info["pid"])
        same = abs(process.create_time() - info["process_started"]) < SAME_START
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, TypeError):
        return None


def identity(pid: int) -> dict[str, Any]:
    """What job.json keeps of a process; empty if it is gone already."""
    try:
        return {"pid": pid, "process_started": psutil.Process(pid).create_time()}
    except psutil.Error:
        return {}


def disk_used(folder: Path) -> int:
    """Bytes in a folder and all below it."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # deleted meanwhile
                total += (Path(path) / name).lstat().st_size
    return total


def disk_trouble(runs: Path, limit_gb: float) -> str:
    """Why nothing more may be written to a runs folder; empty if it may.

    $SEDID_DISK_FREE_GB, or 1, is what must stay free on its disk.
    """
    used, free, least = disk_used(runs) / 1e9, shutil.disk_usage(runs).free / 1e9, settings.read().disk_free_gb
    if used > limit_gb:
        return (
            f"the runs folder holds {used:.2f} GB, more than its limit of {limit_gb:g} GB: delete old jobs, or raise "
            "SEDID_RUNS_MAX_GB"
        )
    if free < least:
        return (
            f"the disk of the runs folder has {free:.2f} GB left, less than the {least:g} GB that are to stay free: "
            "delete old jobs or other files, or lower SEDID_DISK_FREE_GB"
        )
    return ""


@contextmanager
def attached(folder: Path, recorded: bool = True) -> Iterator[Callable[[Any], None]]:
    """Be the job of this run folder: wait for the turn, keep job.json up to date, end where the disk fills up.

    Args:
        recorded: whether records handed to the yielded function go to metrics.jsonl; off for a loop that keeps
            that very file itself.

    Raises:
        OSError: from the yielded function: the runs folder or its disk is too full to go on.
    """
    folder, looked = Path(folder).absolute(), 0.0

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def ended(state: str, exit_code: int, error: str = "") -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end is not to be interrupted
        update(folder, state=state, exit_code=exit_code, error=error, ended=time.time())

    signal.signal(signal.SIGTERM, interrupt)
    try:
        update(folder, state="queued", **identity(os.getpid()))
        with turn(folder), records.appending(folder / records.FILE) as append:
            update(folder, state="running", began=time.time())
            remove_litter(folder)

            def write(record: Any) -> None:
                nonlocal looked
                if not looked or time.monotonic() > looked + WATCH:
                    if trouble := disk_trouble(folder.parent, settings.read().runs_max_gb):
                        raise OSError(f"{trouble}; then resume: what was saved so far is kept")
                    looked = time.monotonic()
                if recorded:
                    append(asdict(record))

            yield write
    except KeyboardInterrupt:
        ended("stopped", 130)
        raise
    except BaseException as error:
        ended("failed", 1, sentence(error) or f"{error}" or type(error).__name__)
        raise
    ended("done", 0)


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other job of the runs folder runs and none queued before this one waits."""
    lock = FileLock(folder.parent / ".heavy.lock")
    while not lock.is_locked:
        if ahead(folder):
            time.sleep(POLL)
        else:
            with suppress(Timeout):
                lock.acquire(timeout=POLL, poll_interval=POLL / 3)
    try:
        yield
    finally:
        lock.release()


def ahead(folder: Path) -> bool:
    """Whether a living job was queued before this one and still waits."""
    mine = (read_json(job_file(folder))["queued"], folder.name)
    for file in folder.parent.glob("*/job.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # deleted, or no job of ours
            info = read_json(file)
            if info["state"] == "queued" and (info["queued"], file.parent.name) < mine and process_of(info):
                return True
    return False


def read_records(folder: Path, limit: int = 4_000_000) -> list[dict[str, Any]]:
    """The progress of a job (`records.read`), in the shape of `progress.Progress`; at most the last `limit` bytes of it."""
    found = []
    for record in records.read(Path(folder) / records.FILE, limit):
        with suppress(KeyError, TypeError, AttributeError):  # a line of something else
            found.append(as_progress(record))
    return found


def as_progress(record: dict[str, Any]) -> dict[str, Any]:
    """A record of any loop in the shape of `progress.Progress`, without what could not be measured."""
    if "stage" in record:
        return record | {
            "stage": str(record["stage"]),
            "values": {name: value for name, value in record["values"].items() if value is not None},
        }
    values = {name: record[name] for name in ("loss", "learning_rate", "heldout_loss") if record.get(name) is not None}
    return {
        "stage": "training the DDPM",
        "done": record["step"],
        "total": record["steps"],
        "unit": "images",
        "per_second": record["images_per_second"],
        "eta_seconds": record["eta_seconds"],
        "values": values,
    }


def tail(file: Path, lines: int = 20, limit: int = 20_000) -> list[str]:
    """The last lines of a text file; none if it is not there."""
    if not Path(file).is_file():
        return []
    with Path(file).open("rb") as log:
        log.seek(max(0, Path(file).stat().st_size - limit))
        return log.read().decode("utf-8", "replace").splitlines()[-lines:]

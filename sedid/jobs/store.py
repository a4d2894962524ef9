"""Long work as jobs: child processes running the same command line, each with a run folder of its own.

All state is on disk (see `joblog`), so that a page, or a whole app, that starts anew finds its jobs again. One job
runs at a time; others wait in the order they were started.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import psutil
from filelock import FileLock
from pydantic import Field, TypeAdapter, ValidationError

from sedid import settings
from sedid.jobs.commands import COMMANDS, resolve_loop
from sedid.jobs.folder import ACTIVE, disk_trouble, disk_used, identity, job_file, process_of, tail, update
from sedid.paths import ROOT
from sedid.storage import read_object, replacing

GRACE = 10.0  # seconds a job has to stop by itself
FRESH = 5.0  # seconds for which the size of the runs folder is remembered


Time = Annotated[float, Field(ge=0, lt=2**36)]  # seconds since the epoch, in years that a calendar has


@dataclass(frozen=True)
class Job:
    """One job as it is now.

    Attributes:
        id: name of its folder below the runs folder.
        command: the loop, "train-ddpm" for instance.
        preset: the preset it was started with, or "".
        state: queued, running, stopped, failed or done.
        error: why it failed, in a sentence.
        exit_code: of the process, where known: 0 done, 130 stopped, negative: killed by that signal.
        created, began, ended: seconds since the epoch; None if not yet.
    """

    id: str
    folder: Path
    command: str
    preset: str
    state: str
    error: str
    exit_code: int | None
    created: Time
    began: Time | None
    ended: Time | None

    @property
    def active(self) -> bool:
        """Whether a process works for it, or waits to."""
        return self.state in ACTIVE


JOB = TypeAdapter(Job)


class JobStore:
    """The jobs of one runs folder. Any number of stores, in any number of processes, may look at one folder.

    Args:
        folder: default: $SEDID_RUNS, or ./runs.
        limit_gb: no job starts or goes on when the folder holds more; default: $SEDID_RUNS_MAX_GB, or 5.
    """

    def __init__(self, folder: Path | None = None, limit_gb: float | None = None) -> None:
        self.folder = Path(folder or settings.read().runs).absolute()
        self.limit_gb = settings.read().runs_max_gb if limit_gb is None else limit_gb
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._used = (0, -FRESH)  # bytes, and when they were counted

    def jobs(self) -> list[Job]:
        """All jobs, the newest first."""
        found = []
        for file in self.folder.glob("*/job.json"):
            with suppress(OSError, ValueError):  # being deleted, or not ours
                found.append(self.get(file.parent.name))
        return sorted(found, key=lambda job: (job.created, job.id), reverse=True)

    def get(self, id: str) -> Job:
        """The job of this id.

        Raises:
            ValueError: not an id, no such job, or its file is not one that a job writes.
        """
        folder = self._path(id)
        file = job_file(folder)
        if not file.is_file():
            raise ValueError(f"there is no job {id}")
        info = read_object(file)
        if info.get("state") in ACTIVE and info.get("pid") and process_of(info) is None:
            info = read_object(file)  # it may have ended in good order between the two looks
            if info.get("state") in ACTIVE:
                info |= self._lost(id, info)
        kept = {field.name: info.get(field.name) for field in fields(Job)}
        try:
            return JOB.validate_python(kept | {"id": id, "folder": folder, "error": info.get("error") or ""})
        except ValidationError as error:
            raise ValueError(f"{file} is not what a job writes") from error

    def _lost(self, id: str, info: dict[str, Any]) -> dict[str, Any]:
        """How a process ended that did not say so itself."""
        child = self._children.get(id)
        code = child.poll() if child else None
        if info.get("stop"):
            return {"state": "stopped", "exit_code": code}
        how = f"with exit code {code}" if code is not None else "without a word"
        return {"state": "failed", "exit_code": code, "error": f"the process ended {how} (killed, or a restart)"}

    def start(self, command: str, settings: Iterable[str] = (), preset: str = "") -> Job:
        """Check the settings and start a job, which waits for its turn.

        Args:
            command: one of COMMANDS that may be a job.
            settings: "key=value" texts; `out` is set to the job's folder. A `detector` may also be the folder of a
                `train-ddpm` job. Loops that change their detector work on a copy in the job's folder.
            preset: its preset, or "".

        Raises:
            ValueError, FileNotFoundError: a setting does not fit, or the runs folder is full.
        """
        settings = list(settings)
        offered = [name for name, one in COMMANDS.items() if one.job]
        if command not in offered:
            raise ValueError(f"unknown command {command!r}; accepted: {', '.join(offered)}")
        if any(setting.partition("=")[0].strip() == "out" for setting in settings):
            raise ValueError("out is the job's own folder; leave it away")
        here = [] if COMMANDS[command].in_place else ["out=."]
        _, config = resolve_loop(command, preset, None, [*settings, *here])
        self._check_disk()
        with self._guard():
            folder = self._new_folder(command)
            try:
                self._prepare(command, config, folder)
                update(folder, command=command, preset=preset, created=time.time())
                self._spawn(folder, command)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return self.get(folder.name)

    def resume(self, id: str) -> Job:
        """Start a stopped or failed job again; it continues where its loop can.

        Raises:
            ValueError: it is done or at work, or the runs folder is full.
        """
        self._check_disk()
        with self._guard():
            job = self.get(id)
            if job.state not in ("stopped", "failed"):
                raise ValueError(f"only a stopped or failed job can be resumed; {id} is {job.state}")
            try:
                self._spawn(job.folder, job.command)
            except OSError as error:
                update(job.folder, state="failed", error=str(error))
                raise
        return self.get(id)

    def stop(self, id: str, grace: float = GRACE) -> Job:
        """Ask a job to stop and, after `grace` seconds, kill it; returns when it ended.

        Raises:
            ValueError: it is not at work.
        """
        job = self.get(id)
        if not job.active:
            raise ValueError(f"{id} is {job.state}: there is nothing to stop")
        process = process_of(update(job.folder, stop=True))
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
            try:
                (self._children.get(id) or process).wait(timeout=grace)
            except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
                with suppress(psutil.NoSuchProcess):
                    for part in [*process.children(recursive=True), process]:
                        part.kill()
                (self._children.get(id) or process).wait(timeout=grace)
        return self.get(id)

    def delete(self, id: str) -> None:
        """Remove a job and all its files.

        Raises:
            ValueError: it is at work.
        """
        with self._guard():
            job = self.get(id)
            if job.active:
                raise ValueError(f"{id} is {job.state}: stop it first")
            shutil.rmtree(job.folder)
            self._children.pop(id, None)

    def disk_used(self) -> int:
        """Bytes in the runs folder, as of the last few seconds."""
        if time.monotonic() > self._used[1] + FRESH:
            self._used = (disk_used(self.folder), time.monotonic())
        return self._used[0]

    def _check_disk(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if trouble := disk_trouble(self.folder, self.limit_gb):
            raise ValueError(trouble)

    def _path(self, id: str) -> Path:
        """The folder of an id.

        Raises:
            ValueError: it would lie elsewhere.
        """
        folder = self.folder / id
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,79}", id) or folder.is_symlink():
            raise ValueError(f"{id!r} is not the id of a job")
        return folder

    def _guard(self) -> FileLock:
        """Only one store at a time starts or deletes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / ".store.lock")

    def _new_folder(self, command: str) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        number = 1
        while True:
            folder = self._path(f"{stamp}-{command}" + (f"-{number}" if number > 1 else ""))
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                number += 1

    def _prepare(self, command: str, config: Any, folder: Path) -> None:
        """Write the resolved settings, with every path that is the job's own inside its folder."""
        from sedid.detector.bundle import adopt

        if hasattr(config, "detector"):
            config = replace(config, detector=str(bundle_of(config.detector)))
        if COMMANDS[command].in_place:
            config = replace(config, detector=str(adopt(Path(config.detector), folder / "bundle")))
        else:
            config = replace(config, out=str(folder))
        with replacing(folder / "config.toml") as temporary:
            temporary.write_text(as_toml(asdict(config)), encoding="utf-8")

    def _arguments(self, folder: Path, command: str) -> list[str]:
        files = ["--config", str(folder / "config.toml"), "--run", str(folder)]
        return [sys.executable, "-m", "sedid", command, *files]

    def _spawn(self, folder: Path, command: str) -> None:
        fresh = {"stop": False, "error": "", "exit_code": None, "began": None, "ended": None, "pid": None}
        update(folder, state="queued", queued=time.time(), **fresh)
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (folder / "log.txt").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603  this program, with words of its own making
                self._arguments(folder, command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the app's terminal is not for the job
                env=os.environ
                | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
                | {"SEDID_RUNS_MAX_GB": str(self.limit_gb)},
            )
        self._children[folder.name] = child
        update(folder, **identity(child.pid))


def bundle_of(source: str | Path) -> Path:
    """The bundle behind a detector setting: a bundle, the Hub's id of one, or the run folder of a job.

    The best weights of a `train-ddpm` run are exported into its `bundle/` first.

    Raises:
        FileNotFoundError: there is nothing of the kind.
    """
    from sedid.detector.bundle import resolve
    from sedid.detector.export import export_run

    run = Path(source)
    best, bundle = run / "best.safetensors", run / "bundle"
    if best.is_file():
        exported = bundle / "sedid" / "detector.json"
        if not exported.is_file() or exported.stat().st_mtime < best.stat().st_mtime:
            export_run(run, bundle)
        return bundle.absolute()
    return resolve(bundle if bundle.is_dir() else source).absolute()


def as_toml(settings: dict[str, Any]) -> str:
    """Settings of a loop as TOML, one `key = value` a line; None is left out."""

    def value(v: Any) -> str:
        # JSON's strings, numbers and lists are TOML too, but for the character DEL
        return json.dumps(v, ensure_ascii=False).replace("\x7f", "\\u007f")

    return "".join(f"{key} = {value(v)}\n" for key, v in settings.items() if v is not None)


def last_words(job: Job, lines: int = 20) -> list[str]:
    """The end of a job's log."""
    return tail(job.folder / "log.txt", lines)

"""The detectors a page offers: the app's own, the bundles in checkpoints/ and those that jobs made; or any other, typed.

A choice travels as a key ("default", "checkpoints/cifar10", "job:<id>"), so that pages and links name no folder of this
machine. What is typed, a folder or a Hub id, is its own key.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sedid.detector.bundle import SHIPPED, called, detector_file, is_pipeline, pipelines
from sedid.detector.detector import Detector
from sedid.jobs.store import JobStore
from sedid.ui.server import access, gpu
from sedid.ui.train.form import job_name

DEFAULT, JOB, CHECKPOINTS = "default", "job:", "checkpoints/"


@dataclass(frozen=True)
class Menu:
    """What can be opened.

    Attributes:
        own: folder or Hub id of the app's own detector.
        checkpoints: a folder of bundles.
        runs: the runs folder; None: that of `JobStore`.
    """

    own: str | Path = SHIPPED
    checkpoints: Path = SHIPPED.parent
    runs: Path | None = None

    @cached_property
    def jobs(self) -> JobStore:
        """The jobs of the app: one store, which knows its children."""
        return JobStore(self.runs)

    @property
    def label(self) -> str:
        """The app's own detector as people read it."""
        return called(Path(self.own))

    def choices(self) -> list[tuple[str, str]]:
        """(label, key) of every entry: the app's own detector first, then the newest jobs, then checkpoints/."""
        own = Path(self.own)
        found = [(self.label, DEFAULT)]
        ended = [job for job in self.jobs.jobs() if not job.active and is_pipeline(job.folder / "bundle")]
        found += [(job_name(job), f"{JOB}{job.id}") for job in ended]
        found += [
            (one.name, f"{CHECKPOINTS}{one.name}")
            for one in pipelines(self.checkpoints)
            if one.resolve() != own.resolve()
        ]
        return found

    def shipped(self, but: str) -> list[tuple[str, str]]:
        """(label, key) of the app's own detector and of those in checkpoints/, except one."""
        return [one for one in self.choices() if one[1] != but and not one[1].startswith(JOB)]

    def offers(self, key: object) -> bool:
        """Whether a key is that of an entry, not something typed."""
        return key in [entry for _, entry in self.choices()]

    @property
    def typing(self) -> bool:
        """Whether who asks may name any folder or Hub id: where they may train, too."""
        return not access.refusal()

    def place(self, key: str) -> tuple[str, str | Path]:
        """(name, folder or Hub id) of a key other than DEFAULT.

        Raises:
            ValueError: it is no entry, and nothing else may be opened here.
        """
        key = key.strip()
        if key.startswith(JOB):
            job = self.jobs.get(key.removeprefix(JOB))
            if job.active:
                raise ValueError(f"{job_name(job)} is still at work on its detector.")
            return job_name(job), job.folder / "bundle"
        name = key.removeprefix(CHECKPOINTS)
        if name != key and re.fullmatch(r"\w[\w.-]*", name) and is_pipeline(self.checkpoints / name):
            return name, self.checkpoints / name
        if not key or not self.typing:
            raise ValueError("This page opens only the detectors of its menu.")
        return Path(key).name, key

    def stamp(self, key: str) -> tuple[str, int]:
        """Another value whenever the calibration behind a key changed.

        Raises:
            ValueError: as `place`.
        """
        _, source = self.place(key)
        file = detector_file(Path(source))
        return str(source), file.stat().st_mtime_ns if file.is_file() else 0

    def open(self, key: str) -> Detector:
        """Load the detector of a key other than DEFAULT.

        Raises:
            ValueError, OSError: as `place` and `load_detector`.
        """
        name, source = self.place(key)
        return replace(gpu.load(source), name=name)

"""Measurements for TensorBoard and Trackio, written by Accelerate's trackers; nothing unless a setting names one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sedid import processes
from sedid.models.networks import Runtime

TRACKERS = ("tensorboard", "trackio")


def check_trackers(names: Sequence[str]) -> None:
    """Refuse what cannot be written.

    Raises:
        ValueError: an unknown tracker, or one that is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"unknown tracker {name!r}; accepted: {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise ValueError(f"the tracker {name} is not installed; `pip install {name}` does so")


@contextmanager
def tracking(
    names: Sequence[str], run: str, folder: Path, runtime: Runtime, done: int = 0
) -> Iterator[Callable[[Mapping[str, float | None], int], None]]:
    """Open trackers and yield a function that takes measurements (None is left out) and their step.

    Args:
        names: from TRACKERS; in any process but the main one none is opened.
        run: what is measured, "train-ddpm" for instance: a folder in `folder` (TensorBoard), the project (Trackio,
            in its own database; the run is called after the folder that holds `folder`).
        done: steps done before: what TensorBoard has of later ones, from a run that was killed, is done again.
    """
    opened: list[Any] = []
    if names and processes.is_main():
        from accelerate import PartialState
        from accelerate.tracking import TensorBoardTracker, TrackioTracker

        PartialState(cpu=runtime.device.type == "cpu")  # the trackers want to know where they are
        for name in dict.fromkeys(names):
            if name == "tensorboard":
                opened.append(TensorBoardTracker(run, folder, purge_step=done + 1))
            else:
                known_as = "-".join(folder.resolve().parts[-3:-1])
                opened.append(TrackioTracker(run, name=known_as, resume="allow"))
            opened[-1].start()

    def log(values: Mapping[str, float | None], step: int) -> None:
        for tracker in opened:
            tracker.log({name: value for name, value in values.items() if value is not None}, step=step)

    try:
        yield log
    finally:
        for tracker in opened:
            tracker.finish()

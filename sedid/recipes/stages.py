"""Several loops one after the other in one folder: stages.json there says which are finished.

A run that was stopped resumes with the first one that is not, and each loop resumes where it was, as far as it can.
"""

from collections.abc import Callable, Collection, Generator, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sedid import processes
from sedid.progress import Progress
from sedid.storage import read_json, write_json
from sedid.training.run import TrainProgress

Stage = tuple[str, Generator[Any, None, Any]]
"""Its name, and a loop, which does nothing until it is driven."""


def quick(function: Callable[..., Any], *arguments: Any) -> Generator[Progress, None, Any]:
    """A stage too short for records, done by one process."""
    yield from ()
    return processes.on_main(function, *arguments)


def in_stage(record: Progress | TrainProgress, place: str) -> Progress:
    """A record of a stage as one of the whole, which say which stage of how many they belong to."""
    if isinstance(record, TrainProgress):
        record = record.as_progress("training the DDPM")
    return replace(record, stage=f"{place}, {record.stage}")


def finished_stages(out: Path) -> list[str]:
    """The stages of a run folder that need not be done again."""
    file = out / "stages.json"
    return list(read_json(file)) if file.is_file() else []


def check_settings(config: Any, out: Path, free: Collection[str]) -> dict[str, Any]:
    """The settings of a run as JSON has them.

    Args:
        config: a config dataclass whose fields but "out" have defaults, or the values the folder holds.
        free: fields that may differ from an earlier run in the folder.

    Raises:
        ValueError: the folder holds a run with other settings.
    """
    file = out / "config.json"
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    if file.is_file():
        defaults = {name: field.default for name, field in type(config).__dataclass_fields__.items()}
        before = defaults | read_json(file)  # an older version lacks some
        changed = [name for name in settings if name not in free and before[name] != settings[name]]
        if changed:
            raise ValueError(
                f"{out} holds a run with other settings ({', '.join(changed)}); choose another folder or the same ones"
            )
    return settings


def run_stages(stages: Iterable[Stage], out: Path, settings: dict[str, Any]) -> Generator[Progress, None, None]:
    """Run the stages that are not finished, yielding their records."""
    finished = processes.on_main(finished_stages, out)
    everything = list(stages)
    for number, (name, stage) in enumerate(everything, 1):
        if name in finished:
            continue
        place = f"stage {number} of {len(everything)}"
        yield Progress(f"{place}, {name}", number - 1, len(everything), "stages", 0.0, 0.0, {})
        for record in stage:
            yield in_stage(record, place)
        if not finished:  # refused data binds the folder to nothing
            processes.on_main(write_json, out / "config.json", settings)
        finished.append(name)
        processes.on_main(write_json, out / "stages.json", finished)

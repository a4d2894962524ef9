"""What the Train tab starts: stages, what each asks for, and how a filled form becomes settings of a loop."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sedid.data.datasets import NAMES, open_data
from sedid.detector.bundle import SHIPPED, called, pipelines
from sedid.jobs.commands import COMMANDS, resolve_loop
from sedid.jobs.store import Job

STAGES = {
    "loop": "All in one go",
    "train-ddpm": "1 Train a DDPM",
    "generate": "2 Generate images",
    "calibrate": "3 Calibrate",
    "train-nn": "4 Train the classifier",
    "evaluate": "5 Evaluate",
    "defend": "Defend training images",
}
ABOUT = {
    "loop": "From photographs to a measured detector: the five stages below in order, the last on images not used "
    "before, and a report.",
    "train-ddpm": "Teach a diffusion model the photographs. Its best weights become the detector's model.",
    "generate": "Draw new images with a detector's model: the fakes it is to recognise.",
    "calibrate": "Measure real and generated images; every T_SEC gets its threshold, and the best one becomes STAT.",
    "train-nn": "Train the ResNet-18 on the two intermediate images at T_SEC: the NN verdict.",
    "evaluate": "Measure a calibrated detector on images not used before. The Evaluate tab shows more of the result.",
    "defend": "Can a model be trained so that it hides its training images (members), and what does that cost? Three models see the "
    "same members equally often: one as usual, one with weight decay and dropout, one with members changed at random. Then "
    "each is measured. The Compare tab shows more of the result, under Defences.",
}
FIELDS = {
    "loop": ("data", "steps"),
    "train-ddpm": ("data", "heldout", "steps", "learning_rate"),
    "generate": ("detector", "count", "steps"),
    "calibrate": ("detector", "data", "generated"),
    "train-nn": ("detector", "data", "generated", "epochs"),
    "evaluate": ("detector", "data", "generated"),
    "defend": ("data", "heldout", "members", "steps"),
}
"""Stage -> the settings that have a field of their own."""
REALS = {"calibrate": "real", "train-nn": "real", "evaluate": "heldout"}
"""Stage -> what it calls the field `data`."""
WITHOUT_HELDOUT = {
    "train-ddpm": "none: the last weights are kept, not the best",
    "defend": "others of the real images",
}
"""Stage -> what it does where the field `heldout` is left empty."""
WORDS = {
    "sample:real": "The embedded sample: photographs",
    "cifar10": "CIFAR-10, training images",
    "cifar10:test": "CIFAR-10, test images",
    "celeba": "CelebA, training faces",
    "celeba:valid": "CelebA, validation faces",
    "celeba:test": "CelebA, test faces",
    "tiny-imagenet": "Tiny-ImageNet, training images",
    "tiny-imagenet:val": "Tiny-ImageNet, validation images",
    "sample:generated": "The embedded sample: generated images",
}
"""Data set -> what it is."""
PRESETS = {"demo": "demo (minutes)", "small": "small (hours)", "paper": "paper (a GPU and days)"}
WITH_PRESETS = tuple(name for name in STAGES if COMMANDS[name].presets)


def to_settings(stage: str, fields: dict[str, str], lines: str) -> list[str]:
    """A filled form as "key=value" texts; empty fields keep the preset's value, the lines win over the fields.

    Args:
        fields: values of the form by name; those the stage has no use for are left out.
        lines: "key = value" texts, one a line; # starts a comment.

    Raises:
        ValueError: a line without an equals sign.
    """
    settings = []
    for name in FIELDS[stage]:
        value = (fields.get(name) or "").strip()
        if value:
            key = REALS.get(stage, name) if name == "data" else name
            settings.append(f"{key}={value}")
    for line in lines.splitlines():
        text = line.partition("#")[0].strip()
        if text and "=" not in text:
            raise ValueError(f"Other settings are written key = value, one a line, not {text!r}.")
        if text:
            key, _, value = text.partition("=")
            settings.append(f"{key.strip()}={value.strip()}")
    return settings


def counted(stage: str, preset: str, settings: Sequence[str]) -> str:
    """How many real images a filled form names, and how many it needs at least; empty where nothing can be said.

    Args:
        settings: as `to_settings`.

    Raises:
        ValueError: the images named are no data set, or too few.
    """
    if "data" not in FIELDS[stage]:
        return ""
    here = [] if COMMANDS[stage].in_place else ["out=."]
    try:
        _, config = resolve_loop(stage, preset, None, [*settings, *here])
    except (ValueError, FileNotFoundError):
        return ""  # a setting is missing or does not fit: the start says which
    spec = str(getattr(config, REALS.get(stage, "data")))
    needed = LEAST[stage](config) if stage in LEAST else 1
    if spec.partition("[")[0] in FETCHED:
        return f"{spec} is fetched when the job starts. It needs {needed:,} images at least." if needed > 1 else ""
    count = open_data(spec, 32, None).count  # the size matters only to who reads the images
    if count < needed:
        raise ValueError(
            f"{count:,} real images found, and this needs {needed:,} at least: choose more, or a smaller validation, calibration, "
            "classifier or test in Other settings."
        )
    return f"{count:,} real images found{f'; this needs {needed:,} at least' if needed > 1 else ''}."


def least_of_loop(config: Any) -> int:
    """As `whole_loop.least`, which is imported when it is asked for: it takes PyTorch along."""
    from sedid.recipes.whole_loop import least

    return least(config)


FETCHED = tuple(name for name in NAMES if not name.startswith("sample:"))
"""Data sets that come from elsewhere, when a job asks for them."""
LEAST: dict[str, Callable[[Any], int]] = {"loop": least_of_loop}
"""Stages that divide their images."""


def in_words(error: Exception) -> str:
    """An error of the command line's settings as the page says it."""
    said = str(error).replace("--set has", "This stage has").replace(", e.g. --set ", ", e.g. ")
    return said[:1].upper() + said[1:]


def reals(uploads: Sequence[Path]) -> list[tuple[str, str]]:
    """Photographs to choose from, (name, data set): the sample that is there, those that were uploaded, the others."""
    known = [(f"{WORDS[name]} ({name})", name) for name in WORDS]
    return [known[0], *((f"{path.name} (uploaded)", str(path)) for path in uploads), *known[1:]]


def detectors(jobs: list[Job]) -> list[tuple[str, str]]:
    """Detectors to choose from, (name, folder): those that jobs made, the newest first, the shipped one, others beside it."""
    made = [(job_name(job), str(job.folder)) for job in jobs if has_detector(job.folder)]
    beside = [folder for folder in pipelines(SHIPPED.parent) if folder != SHIPPED]
    return [*made, *((called(folder, SHIPPED), str(folder)) for folder in (SHIPPED, *beside))]


def has_detector(run: Path) -> bool:
    """Whether a run folder holds weights to detect with."""
    return (run / "bundle" / "model_index.json").is_file() or (run / "best.safetensors").is_file()


def generated_sets(jobs: list[Job]) -> list[tuple[str, str]]:
    """Generated images to choose from, (name, data set)."""
    return [*_made_images(jobs), ("The embedded sample", "sample:generated")]


def _made_images(jobs: list[Job]) -> Iterator[tuple[str, str]]:
    for job in jobs:
        for file in (job.folder / "images.npz", job.folder / "generated" / "images.npz"):
            if file.is_file():
                yield job_name(job), str(file)


def job_name(job: Job) -> str:
    """A job as lists name it."""
    stage = STAGES.get(job.command, job.command.capitalize()).lstrip("12345 ")
    preset = f", {job.preset}" if job.preset else ""
    return f"{stage}{preset} ({time.strftime('%d %b %H:%M', time.localtime(job.created))})"

"""Make a results file anew: the command that wrote it runs again with the settings it records, and every figure is compared.

Of paths a file records the last part alone (`StudyConfig.recorded`), so data sets that lie elsewhere are named again; whether they are
the ones that were measured, their fingerprints say. Where settings, data, machine and versions are the same, so is every bit.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from math import isnan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_type_hints

from sedid.config import load_config
from sedid.jobs.commands import COMMANDS, Command
from sedid.progress import Progress
from sedid.recipes.verify import FIGURE_BOUNDS, Check, Verification, machine
from sedid.studies.study import Protocol

LEFT_OUT = {"protocol", "applied", "images_per_second", "images_per_second_alone"}
"""What is no figure of the images: the protocol is compared by its data, and times are never the same."""
NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?")


def rerun(
    file: Path, settings: Sequence[str] = (), detector: str = "", device: str = "auto"
) -> Generator[Progress, None, Verification]:
    """Run a study again and compare.

    Args:
        file: what it wrote.
        settings: "key=value", in place of what the file records: data sets, above all.
        detector: whose results they are; "" is the bundle they lie in.

    Raises:
        ValueError, OSError: it is no results file of a study, or the study cannot run.
    """
    command = study_of(file)
    kept = get_args(get_type_hints(command.loop)["return"])[2].read(file)
    stated: Protocol = kept.protocol
    if not detector and file.parent.name == "sedid":
        detector = str(file.parent.parent)
    recorded, gone = settings_of(command, stated)
    with TemporaryDirectory() as out:
        own: dict[str, Any] = {"out": out, "device": device} | ({"detector": detector} if detector else {})
        own |= {"apply": False} if "apply" in accepted_by(command) else {}  # the detector stays as it is
        found = yield from command.loop(load_config(command.settings, recorded | own, None, settings))
    checks = [
        Check(f"images of {name}", 0.0 if one.sha256 == stated.images[name].sha256 else float("inf"))
        for name, one in found.protocol.images.items()
        if name in stated.images
    ]
    if gone:
        checks.append(Check(f"settings {' and '.join(gone)}", None, said="the command has none of that name any more"))
    where = f"{machine()}; network in {stated.precision or 'fp32'}"
    return Verification(stated.detector, where, (*checks, compared(file.name, asdict(kept), asdict(found))))


def accepted_by(command: Command) -> set[str]:
    """The names of a command's settings."""
    return {field.name for field in fields(command.settings)}


def settings_of(command: Command, stated: Protocol) -> tuple[dict[str, Any], list[str]]:
    """The settings that a file records, and the names of those that its command has no more."""
    accepted = accepted_by(command)
    recorded = {name: value for name, value in stated.config.items() if name in accepted}
    return recorded, sorted(stated.config.keys() - accepted)


def study_of(file: Path) -> Command:
    """The command that writes a results file of this name.

    Raises:
        ValueError: none does, or it is no study.
    """
    studies = {one.results: one for one in COMMANDS.values() if one.results and hasattr(one.settings, "recorded")}
    if file.name not in studies:
        raise ValueError(f"{file} is no results file that can be made anew; accepted: {', '.join(sorted(studies))}")
    return studies[file.name]


def compared(name: str, kept: Mapping[str, Any], found: Mapping[str, Any]) -> Check:
    """Two results as one check: numbers up to 1 by their difference, larger ones by its share of the kept one."""
    before, after = dict(leaves(kept)), dict(leaves(found))
    gaps = {place: gap(before.get(place), after.get(place)) for place in before.keys() | after.keys()}
    furthest = max(gaps, key=lambda place: (gaps[place], place))
    return Check(
        f"{len(gaps):,} entries of {name}, the furthest {furthest}", gaps[furthest], FIGURE_BOUNDS["anew"], anew=True
    )


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(place, value) of all that holds no more parts; empty parts count as such."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    named = [(f"{place}.{key}" if place else str(key), part) for key, part in parts if key not in LEFT_OUT]
    for inner, part in named:
        yield from leaves(part, inner)
    if not named:
        yield place, value


def gap(kept: Any, found: Any) -> float:
    """How far apart two entries are; infinite where they are of other kinds, or texts whose words differ."""
    if isinstance(kept, float) and isinstance(found, float):
        apart = abs(kept - found) / max(1.0, abs(kept))
        return float("inf") if isnan(apart) else apart
    if isinstance(kept, str) and isinstance(found, str):
        kept, found = NUMBER.sub("#", kept), NUMBER.sub("#", found)  # the numbers stand beside it
    return 0.0 if kept == found else float("inf")

"""Where a generated data set came from: the manifest beside it, read the same whichever version wrote it."""

import re
from pathlib import Path
from typing import Any

from sedid.data.datasets import SAMPLE
from sedid.data.sources import open_npz
from sedid.detector.identity import checkpoint_hash
from sedid.models.schedules import load_scheduler
from sedid.storage import read_json

TEXT, NUMBER, TEXTS, NUMBERS = "a text", "a whole number from 0", "a list of texts", "a list of whole numbers from 0"
KINDS = {"checkpoint_sha256": TEXT, "sampler": TEXT, "steps": NUMBER, "seed": NUMBER, "count": NUMBER}
KINDS |= {"variance": TEXT, "timestep_spacing": TEXT, "precisions": TEXTS, "batch_sizes": NUMBERS}
KINDS |= {"precision": TEXT, "batch_size": NUMBER}  # of earlier versions
"""What a manifest holds."""
NEEDED = ("sampler", "steps", "seed")
LARGEST = 2**63 - 1


def read_manifest(file: Path) -> dict[str, Any]:
    """The manifest of a generated set, as whichever version wrote it; {} if the file is another program's.

    Raises:
        ValueError: it is not valid JSON, or something in it is missing or of another kind; the text names it.
    """
    return _checked(read_json(file), file)


def _checked(found: Any, file: Path) -> dict[str, Any]:
    if not isinstance(found, dict) or "checkpoint_sha256" not in found:
        return {}
    for name in NEEDED:
        if name not in found:
            raise ValueError(f"{file} does not say with which {name} its images were made")
    for name, kind in KINDS.items():
        if name in found and not _is(found[name], kind):
            raise ValueError(f"{name} in {file} must be {kind}, not {found[name]!r:.60}")
    if found["steps"] == 0:
        raise ValueError(f"{file} says that its images were made in 0 steps")
    return found


def _is(value: Any, kind: str) -> bool:
    if kind in (TEXTS, NUMBERS):
        return isinstance(value, list) and all(_is(each, TEXT if kind == TEXTS else NUMBER) for each in value)
    return type(value) is str if kind == TEXT else type(value) is int and 0 <= value <= LARGEST


def provenance(spec: str, detector: Path) -> dict[str, Any]:
    """Where a generated data set came from: the manifest beside it, and whether another checkpoint made it.

    Args:
        spec: a data set (`datasets.load_images`).
        detector: the bundle that scores it.

    Returns:
        The manifest as `in_full` with `cross_checkpoint` added; {} if the set carries none of ours.

    Raises:
        ValueError: as `read_manifest`, or what it says cannot be so: more steps than the schedule has, or another number
            of images than the set holds.
    """
    data_set = re.sub(r"\[\d*:\d*\]$", "", spec)
    embedded = data_set == "sample:generated"
    file = SAMPLE.with_suffix(".json") if embedded else Path(data_set).parent / "manifest.json"
    if not file.is_file():
        return {}
    manifest = _checked(read_json(file)["sampler"], file) if embedded else read_manifest(file)
    if not manifest:
        return {}
    crossed = manifest["checkpoint_sha256"] != checkpoint_hash(detector)
    if not crossed and manifest["steps"] > (most := load_scheduler(detector).config.num_train_timesteps):
        raise ValueError(f"{file} says {manifest['steps']:,} steps, but the schedule of its model has {most:,}")
    if Path(data_set).name == "images.npz" and "count" in manifest and Path(data_set).is_file():
        held = open_npz(Path(data_set), None, 1, None).count
        if held != manifest["count"]:
            raise ValueError(
                f"{file} speaks of {manifest['count']:,} images, but {data_set} holds {held:,}: "
                "finish the set with the command that made it, or delete the manifest if it belongs to another one"
            )
    return (manifest if crossed else in_full(manifest, detector)) | {"cross_checkpoint": crossed}


def in_full(manifest: dict[str, Any], detector: Path) -> dict[str, Any]:
    """A manifest as this version writes it. Before `variance` was a field of it, the scheduler's own was used.

    Args:
        manifest: of images that this very detector made; {} stays {}.
    """
    kept = {name: value for name, value in manifest.items() if name not in ("precision", "batch_size")}
    for old, name in (("precision", "precisions"), ("batch_size", "batch_sizes")):
        if old in manifest:
            kept[name] = [manifest[old]]
    if manifest and "variance" not in manifest:
        own = load_scheduler(detector).config.variance_type
        kept["variance"] = own if manifest["sampler"] == "ddpm" else ""
    return kept

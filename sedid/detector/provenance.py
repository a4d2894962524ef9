"""Where a generated data set came from: the manifest beside it, read the same whichever version wrote it."""

import re
from pathlib import Path
from typing import Any

from sedid.data.datasets import SAMPLE
from sedid.detector.identity import checkpoint_hash
from sedid.models.schedules import load_scheduler
from sedid.storage import read_json


def provenance(spec: str, detector: Path) -> dict[str, Any]:
    """Where a generated data set came from: the manifest beside it, and whether another checkpoint made it.

    Args:
        spec: a data set (`data.load_images`).
        detector: the bundle that scores it.

    Returns:
        The manifest as `in_full` with `cross_checkpoint` added; {} if the set carries none of ours.
    """
    data_set = re.sub(r"\[\d*:\d*\]$", "", spec)
    embedded = data_set == "sample:generated"
    file = SAMPLE.with_suffix(".json") if embedded else Path(data_set).parent / "manifest.json"
    if not file.is_file():
        return {}
    manifest = read_json(file)["sampler"] if embedded else read_json(file)
    if not isinstance(manifest, dict) or "checkpoint_sha256" not in manifest:  # another program's
        return {}
    crossed = manifest.get("checkpoint_sha256") != checkpoint_hash(detector)
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

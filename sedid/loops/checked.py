"""The leak audit as the loops use it: never a reason to stop, always a line in what they write."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from sedid.audit import audit
from sedid.sources import FileFacts


def audited(
    real: np.ndarray,
    generated: np.ndarray,
    files: tuple[Sequence[FileFacts] | None, Sequence[FileFacts] | None] = (None, None),
) -> dict[str, Any]:
    """What `audit` found about two sets of images, as plain values.

    Args:
        real, generated: uint8 (N, H, W, 3).
        files: facts about the files of both, None where the images are no files; used if both have them.

    Returns:
        The fields of `Audit`; only `warning` (empty) and `skipped` (why) where the sets are too small to tell.
    """
    both = (files[0], files[1]) if files[0] is not None and files[1] is not None else None
    try:
        return asdict(audit(real, generated, files=both))
    except ValueError as error:
        return {"warning": "", "skipped": str(error)}


def check_unused(info: dict[str, Any], prints: dict[str, str]) -> None:
    """Refuse test images that gave a detector its thresholds or its classifier.

    Args:
        info: its detector.json.
        prints: fingerprint of every set of test images by name.

    Raises:
        ValueError: one of them is such a set.
    """
    used = {section["sha256"] for part in ("stat", "nn") for section in info.get(part, {}).get("data", {}).values()}
    known = [name for name, print_ in prints.items() if print_ in used]
    if known:
        raise ValueError(
            f"the detector was calibrated or trained on these very test images ({', '.join(known)}); give others"
        )

"""The embedded sample in assets/: real test images and images the shipped checkpoint generated, used for nothing else.

assets/sample.npz            `real` and `generated`, uint8 (500, 32, 32, 3)
assets/sample.json           where both came from
assets/examples/*.png        the first few of each, for the Inspect tab: not picked by hand
"""

from pathlib import Path
from typing import Any

import numpy as np

from sedid.bundle import checkpoint_hash
from sedid.data import fingerprint
from sedid.storage import read_json, replacing, write_json

ASSETS = Path(__file__).parents[1] / "assets"


def write_sample(
    real: np.ndarray,
    generated: np.ndarray,
    detector: Path,
    origin: dict[str, Any],
    folder: Path = ASSETS,
    examples: int = 6,
) -> None:
    """Write the sample, its manifest and `2 * examples` single images.

    Args:
        real, generated: uint8 (N, 32, 32, 3).
        detector: the bundle whose checkpoint made `generated`.
        origin: what to say of where both came from.
    """
    from PIL import Image

    with replacing(folder / "sample.npz") as temporary:
        np.savez_compressed(temporary, real=real, generated=generated)
    manifest = {
        "real": {"count": len(real), "sha256": fingerprint(real)},
        "generated": {"count": len(generated), "sha256": fingerprint(generated)},
        "checkpoint_sha256": checkpoint_hash(detector),
        "origin": origin,
    }
    write_json(folder / "sample.json", manifest)
    for old in (folder / "examples").glob("*.png"):
        old.unlink()
    for name, images in (("real", real), ("generated", generated)):
        for number, pixels in enumerate(images[:examples], start=1):
            with replacing(folder / "examples" / f"{name}-{number}.png") as temporary:
                Image.fromarray(pixels).save(temporary)


def generator_manifest(images_file: Path) -> dict[str, Any]:
    """The manifest `generate` wrote beside its images; {} if there is none."""
    file = Path(images_file).parent / "manifest.json"
    return read_json(file) if file.is_file() else {}

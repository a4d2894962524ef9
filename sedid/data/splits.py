"""Which pictures a detector has seen: a print of each, kept beside its calibration.

Any two sets of images are thereby compared picture by picture, whatever their order, their slice or their format.

A print holds what tells one picture from another in 28 bytes (`Prints`). In the bundle they lie in

    sedid/splits.npz    <set>.sha256 of the whole set, <set>.exact, <set>.near, <set>.look; <set> as in SECTIONS

and count only while detector.json names a set with the same SHA-256: a calibration that was made anew by an older
version has none. A run of train-ddpm writes the same file for the images its network sees.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sedid.data.datasets import fingerprint
from sedid.later import torch
from sedid.storage import read_arrays, replacing

FILE = "splits.npz"
SECTIONS = {
    "calibration_real": ("stat", "data", "real"),
    "calibration_generated": ("stat", "data", "generated"),
    "choice_real": ("stat", "choice_data", "real"),
    "choice_generated": ("stat", "choice_data", "generated"),
    "classifier_real": ("nn", "data", "real"),
    "classifier_generated": ("nn", "data", "generated"),
}
"""Sets that gave a detector its thresholds, its pair or its classifier -> where detector.json states their SHA-256."""
TRAINING, VALIDATION = "training", "validation"
"""What the network was trained on, and the held-out images that chose among its weights."""

PLACES = 20  # that an overlap names
SIDE = 32  # pixels a print is made from
FREQUENCIES = 128
NEAR_BITS, NEAR_LEVELS = 12, 6
"""Near copies differ in at most so many of the 128 signs, and by so many levels in mean colour and contrast. Measured
on 2,000 photographs each of CIFAR-10, CelebA and Tiny-ImageNet: JPEG of quality 50 and more, WebP 80 and enlarging are
found in 99 to 100 % of them; of the 12.5 million pairs of 5,000 CIFAR-10 test images and the 50 million of 10,000 of
Tiny-ImageNet none is taken for a copy that is not one."""

_CODE = np.cos(np.outer(np.arange(16), np.pi * (2 * np.arange(SIDE) + 1) / (2 * SIDE)))
_LOWEST = sorted((i + j, i, j) for i in range(16) for j in range(16) if i + j)[:FREQUENCIES]


@dataclass(frozen=True)
class Prints:
    """The prints of a set of N pictures.

    Attributes:
        exact: uint64 (N,), the first 8 bytes of the pixels' SHA-256.
        near: uint64 (N, 2), the signs of the 128 lowest frequencies of the brightness: what saving again leaves as it is.
        look: uint8 (N, 4), mean red, green and blue, and the standard deviation of the brightness.
    """

    exact: np.ndarray
    near: np.ndarray
    look: np.ndarray

    def __len__(self) -> int:
        return len(self.exact)


@dataclass(frozen=True)
class Overlap:
    """The pictures of one set that another one holds, too.

    Attributes:
        images, others: what the two sets are called.
        count: of the first.
        same: how many of it are equal to one of the second, pixel by pixel.
        near: how many others are near copies of one (saved again, resized).
        places: where in the first set the first PLACES of both kinds are.
    """

    images: str
    others: str
    count: int
    same: int
    near: int
    places: tuple[int, ...]


def prints_of(images: np.ndarray) -> Prints:
    """The prints of pictures, uint8 (N, H, W, 3), as the detector sees them."""
    exact = [hashlib.sha256(image.tobytes()).digest()[:8] for image in images]
    near, look = np.empty((len(images), FREQUENCIES // 64), np.uint64), np.empty((len(images), 4), np.uint8)
    for start in range(0, len(images), 2048):
        part = slice(start, start + 2048)
        levels = images[part].astype(np.float32)
        brightness = levels @ np.array([0.299, 0.587, 0.114], np.float32)
        small = torch.nn.functional.interpolate(torch.from_numpy(brightness)[:, None], (SIDE, SIDE), mode="area")[
            :, 0
        ].numpy()
        waves = _CODE @ small @ _CODE.T
        # a plain area has no waves but those of rounding, which are no sign of anything
        signs = np.stack([waves[:, i, j] > 1e-2 for _, i, j in _LOWEST], axis=1)
        near[part] = np.packbits(signs, axis=1).view(np.uint64)
        means = levels.mean(axis=(1, 2)), brightness.std(axis=(1, 2))[:, None]
        look[part] = np.concatenate(means, axis=1).round().astype(np.uint8)
    return Prints(np.array([int.from_bytes(one, "little") for one in exact], np.uint64), near, look)


def overlap(images: Prints, others: Prints, names: tuple[str, str] = ("images", "others")) -> Overlap:
    """Which pictures of the first set the second one holds, too.

    Args:
        names: what the two sets are called.
    """
    same = np.isin(images.exact, others.exact)
    near = np.zeros(len(images), bool)
    rows = max(1, 2**23 // max(1, len(others)))
    for start in range(0, len(images), rows):
        part = slice(start, start + rows)
        differing = np.bitwise_count(images.near[part, None] ^ others.near[None]).sum(axis=2, dtype=np.uint8)
        for place, other in zip(*np.nonzero(differing <= NEAR_BITS), strict=True):
            apart = images.look[start + place].astype(int) - others.look[other]
            near[start + place] |= np.abs(apart).max() <= NEAR_LEVELS
    places = np.flatnonzero(same | near)
    return Overlap(*names, len(images), int(same.sum()), int((near & ~same).sum()), tuple(places[:PLACES].tolist()))


def splits_file(bundle: Path) -> Path:
    """Where a bundle keeps the prints of the pictures it has seen."""
    return Path(bundle) / "sedid" / FILE


def record_splits(file: Path, sets: Mapping[str, np.ndarray]) -> None:
    """Add the prints of sets to a file, in the place of those of their names; the others stay.

    Args:
        file: `splits_file` of a bundle, or of a run.
        sets: uint8 (N, H, W, 3) by the names of SECTIONS, TRAINING and VALIDATION.
    """
    try:
        arrays = {name: values for name, values in read_arrays(file).items() if name.partition(".")[0] not in sets}
    except ValueError:  # damaged: what can be had is written anew
        arrays = {}
    for name, images in sets.items():
        prints = prints_of(images)
        arrays[f"{name}.sha256"] = np.array(fingerprint(images))
        arrays |= {f"{name}.{part}": getattr(prints, part) for part in ("exact", "near", "look")}
    with replacing(file) as temporary:
        np.savez_compressed(temporary, **arrays)


def take_splits(file: Path, bundle: Path) -> None:
    """Give a bundle the prints of the run whose weights it gets, and none of those it had: they are of other weights.

    Args:
        file: of the run; may be missing (one of an older version).
    """
    splits_file(bundle).unlink(missing_ok=True)
    if Path(file).is_file():
        with replacing(splits_file(bundle)) as temporary:
            shutil.copyfile(file, temporary)


def read_splits(file: Path, info: Mapping[str, Any]) -> dict[str, Prints]:
    """The prints of a bundle that are of the sets its detector.json names.

    Args:
        file: `splits_file`.
        info: detector.json.

    Returns:
        Set -> prints; empty where nothing was recorded.

    Raises:
        ValueError: the file is damaged.
    """
    stored, found = read_arrays(file), {}
    for name in sorted({name.partition(".")[0] for name in stored}):
        try:
            prints = Prints(*(stored[f"{name}.{part}"] for part in ("exact", "near", "look")))
            sha256 = str(stored[f"{name}.sha256"])
        except KeyError as error:
            raise ValueError(f"{file} is damaged: it lacks {error}") from error
        shapes = [(part.dtype, part.shape[1:]) for part in (prints.exact, prints.near, prints.look)]
        if shapes != [(np.uint64, ()), (np.uint64, (2,)), (np.uint8, (4,))]:
            raise ValueError(f"{file} is damaged: {name} has {shapes}")
        if name not in SECTIONS or sha256 == stated(info, name):
            found[name] = prints
    return found


def stated(info: Mapping[str, Any], name: str) -> str | None:
    """The SHA-256 that detector.json states of a set of SECTIONS; None if there is none."""
    place: Any = info
    for key in (*SECTIONS[name], "sha256"):
        place = place.get(key) if isinstance(place, Mapping) else None
    return place if isinstance(place, str) else None

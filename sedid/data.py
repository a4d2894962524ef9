"""Data sets by name, folder, .zip or .npz, with slices; splits; the scaling of model inputs.

A data set is named by a string, its *spec*:

    cifar10, cifar10:test                       downloaded by torchvision into the cache folder
    celeba, celeba:valid, celeba:test           the same; centre-cropped to 140 before the resize
    tiny-imagenet, tiny-imagenet:val            the public zip
    sample:real, sample:generated               the small sample that ships with the project
    PATH                                        a folder of images, a .zip of images, a .npz, or one image
    any of them followed by [start:stop]        a slice; either end may be left out

Folders and zips with a subfolder for each class are read class by class in turn, so that a slice of any length
holds every class. The cache folder is $SEDID_DATA, or ~/.cache/sedid.
"""

import hashlib
import os
import re
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TypeVar

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from sedid import processes
from sedid.images import SIZE, ImageError
from sedid.paths import ASSETS, only_in_a_checkout
from sedid.sources import FileFacts, Item, Source, is_image, open_folder, open_npz, open_zip, read_files, read_rows
from sedid.storage import replacing

SAMPLE = ASSETS / "sample.npz"
CELEBA_CROP = 140
CELEBA_SPLITS = {"train": (1, 162_770), "valid": (162_771, 182_637), "test": (182_638, 202_599)}  # by file number
TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
TINY_BYTES, TINY_MD5 = 248_100_043, "90528d7ca1a48142e341f4ef8d21d0de"
NAMES = (
    "cifar10",
    "cifar10:test",
    "celeba",
    "celeba:valid",
    "celeba:test",
    "tiny-imagenet",
    "tiny-imagenet:val",
    "sample:real",
    "sample:generated",
)

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """What is written beside a result about the images behind it: enough to find them again and to check them."""

    name: str  # "calibration" for instance
    data: str  # the spec
    count: int
    seed: int
    fingerprint: str  # of the images, in order


def load_images(spec: str | Path, size: int = SIZE, center_crop: float | None = None) -> np.ndarray:
    """Read a whole data set, every image through `images.prepare`.

    Args:
        spec: see the top of this module.
        size: pixels of a side.
        center_crop: passed to `prepare`; CelebA by name brings its own.

    Returns:
        uint8 (N, size, size, 3), RGB.

    Raises:
        ImageError: nothing there, an unreadable image (named), a slice outside, a malformed array, a failed
            download, a zip too large.
    """
    return load_with_files(spec, size, center_crop)[0]


def load_with_files(
    spec: str | Path, size: int = SIZE, center_crop: float | None = None
) -> tuple[np.ndarray, list[FileFacts] | None]:
    """`load_images`, and one FileFacts an image where the images are files of their own (None for arrays)."""
    source, start, stop = _opened(str(spec), size, center_crop)
    images, files = np.empty((stop - start, size, size, 3), np.uint8), []
    for place, (_, _, image, facts) in enumerate(source.read(start, stop)):
        if isinstance(image, ImageError):
            raise image
        images[place] = image
        files.append(facts)
    known = [facts for facts in files if facts is not None]
    return images, known if len(known) == len(files) else None


def iter_items(specs: Iterable[str | Path], size: int = SIZE, center_crop: float | None = None) -> Iterator[Item]:
    """Read many data sets one image at a time; what cannot be read is yielded as its error, and the run goes on.

    Yields:
        (where the image is from, its place in that data set, uint8 (size, size, 3) or an ImageError).
    """
    for spec in specs:
        try:
            source, start, stop = _opened(str(spec), size, center_crop)
            for name, index, image, _ in source.read(start, stop):
                yield name, index, image
        except ImageError as error:
            yield str(spec), 0, error


def count_items(specs: Iterable[str | Path], size: int = SIZE, center_crop: float | None = None) -> int:
    """How many items `iter_items` will yield (a set that breaks off in its middle yields fewer)."""
    total = 0
    for spec in specs:
        try:
            _, start, stop = _opened(str(spec), size, center_crop)
            total += stop - start
        except ImageError:
            total += 1
    return total


def as_model_input(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1]."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected uint8 images (N, H, W, 3), got {images.dtype} {images.shape}")
    # torch takes no read-only arrays and no negative strides; anything else is not copied.
    return torch.from_numpy(np.require(images, requirements=["C", "W"])).permute(0, 3, 1, 2).float() / 127.5 - 1


def make_splits(count: int, sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Disjoint random index sets, a function of (count, sizes, seed).

    A split added at the end leaves the ones before it as they were.

    Returns:
        For every name of `sizes` an int64 array of that many indices below `count`, ascending.

    Raises:
        ValueError: a size is not positive, or they add up to more than `count`.
    """
    if any(size < 1 for size in sizes.values()):
        raise ValueError(f"every split needs at least one image, got {sizes}")
    if (wanted := sum(sizes.values())) > count:
        named = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"the splits need {wanted} images ({named}), and the data set has {count}")
    order = np.random.default_rng(seed).permutation(count)
    ends = np.cumsum(list(sizes.values()))
    return {name: np.sort(order[end - size : end]) for (name, size), end in zip(sizes.items(), ends, strict=True)}


def fingerprint(images: np.ndarray) -> str:
    """SHA-256 of the shape and the pixels, in hexadecimal."""
    digest = hashlib.sha256(str(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def describe_split(name: str, data: str, images: np.ndarray, seed: int) -> Split:
    """The manifest entry of one split."""
    return Split(name, data, len(images), seed, fingerprint(images))


def crop_of(spec: str) -> int | None:
    """The centre crop that a data set brings by its name (CelebA's), pixels; None for any other."""
    return CELEBA_CROP if re.fullmatch(r"celeba(:\w+)?(\[\d*:\d*\])?", spec) else None


def cache_folder() -> Path:
    """Where named data sets are kept: $SEDID_DATA, or ~/.cache/sedid."""
    return Path(os.environ.get("SEDID_DATA") or Path.home() / ".cache" / "sedid")


def _opened(spec: str, size: int, crop: float | None) -> tuple[Source, int, int]:
    """Open a data set and check its slice against its length."""
    try:
        exists = Path(spec).exists()
    except (OSError, ValueError) as error:  # too long, or with a zero byte
        raise ImageError(f"{spec[:80]!r} is not a data set: it is neither a name nor a path.") from error
    bounds = None if exists else re.fullmatch(r"(.+)\[(\d*):(\d*)\]", spec)
    if bounds is None and spec.endswith("]") and not exists:
        raise ImageError(
            f"The slice of {spec} is not understood; write [start:stop] with counts, [0:1000] for instance."
        )
    source = _open_source(bounds[1] if bounds else spec, size, crop)
    start = int(bounds[2] or 0) if bounds else 0
    stop = int(bounds[3] or source.count) if bounds else source.count
    if not start < stop <= source.count:
        raise ImageError(
            f"The slice [{start}:{stop}] does not fit: {bounds[1] if bounds else spec} has {source.count} images."
        )
    return source, start, stop


def _open_source(spec: str, size: int, crop: float | None) -> Source:
    name, _, part = spec.partition(":")
    if spec in NAMES:
        if name == "sample":
            if not SAMPLE.is_file():
                raise ImageError(only_in_a_checkout("The embedded sample", "name another data set."))
            return open_npz(SAMPLE, part, size, crop)
        if name == "cifar10":
            return _cifar10(spec, size, crop)
        return _celeba(part or "train", size) if name == "celeba" else _tiny_imagenet(part or "train", size, crop)
    path = Path(spec).expanduser()
    if spec.strip() and path.is_dir():  # an empty spec would be the current folder
        return open_folder(path, is_image, size, crop)
    if not spec.strip() or not path.exists():
        raise ImageError(
            f"There is no data set {spec}; accepted are a folder, a .zip, a .npz, an image, or one of {', '.join(NAMES)}."
        )
    if path.suffix.lower() == ".zip":
        return open_zip(path, is_image, size, crop)
    if path.suffix.lower() == ".npz":
        return open_npz(path, "images", size, crop)
    return Source(1, partial(read_files, [path.name], lambda _: path, str(path.parent), size, crop))


def _cifar10(spec: str, size: int, crop: float | None) -> Source:
    def fetch() -> np.ndarray:
        from torchvision.datasets import CIFAR10

        return CIFAR10(str(cache_folder()), train=spec == "cifar10", download=True).data

    images = _fetched(spec, cache_folder() / "cifar-10-python.tar.gz", fetch)
    return Source(len(images), lambda start, stop: read_rows(images[start:stop], spec, start, size, crop))


def _celeba(part: str, size: int) -> Source:
    """The aligned photographs, from torchvision's download or from a zip or folder put there by hand."""
    first, last = CELEBA_SPLITS[part]
    folder = cache_folder() / "celeba" / "img_align_celeba"
    packed = folder.with_suffix(".zip")

    def fetch() -> None:
        from torchvision.datasets import CelebA

        CelebA(str(cache_folder()), download=True)

    def keep(path: PurePath) -> bool:
        return is_image(path) and path.stem.isdigit() and first <= int(path.stem) <= last

    if not packed.is_file() and not folder.is_dir():
        _fetched("celeba", packed, fetch)
    # The zip first: an interrupted download leaves the folder incomplete.
    return (
        open_zip(packed, keep, size, CELEBA_CROP) if packed.is_file() else open_folder(folder, keep, size, CELEBA_CROP)
    )


def _tiny_imagenet(part: str, size: int, crop: float | None) -> Source:
    path = cache_folder() / "tiny-imagenet-200.zip"
    if not path.is_file():
        _fetched("tiny-imagenet", path, lambda: _download(TINY_URL, path, TINY_BYTES, TINY_MD5))
    return open_zip(path, lambda name: is_image(name) and name.parts[1:2] == (part,), size, crop)


def _download(url: str, path: Path, length: int, md5: str) -> None:
    """Fetch a file of known length and MD5; it appears at `path` only if both are right."""
    digest, received = hashlib.md5(usedforsecurity=False), 0
    with replacing(path) as temporary, urllib.request.urlopen(url, timeout=30) as answer, temporary.open("wb") as out:
        while (block := answer.read(1 << 20)) and received <= length:
            out.write(block)
            digest.update(block)
            received += len(block)
        if received != length or digest.hexdigest() != md5:
            raise OSError(f"{url} sent {received} bytes that are not the published file")


def _fetched(spec: str, by_hand: Path, fetch: Callable[[], T]) -> T:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # several processes take turns: the first one downloads; nothing can be downloaded into a read-only folder
        turns = processes.count() > 1 and os.access(folder, os.W_OK)
        with FileLock(folder / ".lock") if turns else nullcontext():
            return fetch()
    except Exception as error:  # torchvision raises RuntimeError, OSError, ImportError and more
        why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ImageError(
            f"The data set {spec} could not be downloaded ({why}): put {by_hand.name} into {by_hand.parent} by hand, "
            "or use a folder, a .zip or a .npz of images instead."
        ) from error

"""Data sets by name, folder, .zip or .npz, with slices; splits; the scaling of model inputs.

A data set is named by a string, its *spec*:

    cifar10, cifar10:test                       downloaded by torchvision into the cache folder
    celeba, celeba:valid, celeba:test           the same; the aligned photographs, whole (`crop_of`)
    tiny-imagenet, tiny-imagenet:val            the public zip
    sample:real, sample:generated               the small sample that ships with the project
    PATH                                        a folder of images, a .zip of images, a .npz, or one image
    any of them followed by [start:stop]        a slice (`sedid.data.spec`); either end may be left out

Folders and zips with a subfolder for each class are read class by class in turn, so that a slice of any length
holds every class. The cache folder is $SEDID_DATA, or ~/.cache/sedid.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from filelock import FileLock

from sedid import processes, settings
from sedid.data.images import ImageError
from sedid.data.sources import (
    FileFacts,
    Item,
    Row,
    Source,
    called_image,
    open_folder,
    open_npz,
    open_zip,
    passed_over,
    read_files,
    read_rows,
)
from sedid.data.spec import Spec, local_path
from sedid.errors import first_line
from sedid.later import torch
from sedid.paths import ASSETS, only_in_a_checkout
from sedid.storage import replacing

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

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

REASONS = 1_000  # broken images named in one message

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """What is written beside a result about the images behind it: enough to find them again and to check them."""

    name: str  # "calibration" for instance
    data: str  # the spec
    count: int
    seed: int
    fingerprint: str  # of the images, in order


def load_images(spec: str | Path, size: int, center_crop: float | None) -> np.ndarray:
    """Read a whole data set, every image through `images.prepare`.

    Args:
        spec: see the top of this module.
        size, center_crop: as `prepare`; those of the detector that sees the images (`bundle.frame`), so neither has a
            default.

    Returns:
        uint8 (N, size, size, 3), RGB.

    Raises:
        ImageError: nothing there, an unreadable image (named), a slice outside, a malformed array, a failed
            download, a zip too large.
    """
    return load_with_files(spec, size, center_crop)[0]


def load_with_files(
    spec: str | Path, size: int, center_crop: float | None
) -> tuple[np.ndarray, list[FileFacts] | None]:
    """`load_images`, and one FileFacts an image where the images are files of their own (None for arrays)."""
    opened = open_data(spec, size, center_crop)
    try:
        images, files = np.empty((opened.count, size, size, 3), np.uint8), []
    except MemoryError as error:
        gigabytes = opened.count * size * size * 3 / 1e9
        raise ImageError(
            f"The {opened.count:,} images of {spec} come to {gigabytes:,.0f} GB at {size}x{size} pixels, which do not fit "
            "into memory; take a slice."
        ) from error
    broken: list[ImageError] = []
    for place, (_, _, image, facts) in enumerate(opened.rows()):
        if isinstance(image, ImageError):
            broken.append(image)
        else:
            images[place] = image
            files.append(facts)
    if len(broken) == 1:
        raise broken[0]
    if broken:
        reasons = list(dict.fromkeys(map(str, broken)))
        more = f" ... and {len(reasons) - REASONS:,} more." if len(reasons) > REASONS else ""
        raise ImageError(
            f"{len(broken):,} of the {opened.count:,} images of {spec} cannot be used. {' '.join(reasons[:REASONS])}{more}"
        )
    known = [facts for facts in files if facts is not None]
    if said := "; ".join(remarks(opened, known)):
        log.info("%s, %s images: %s", spec, f"{opened.count:,}", said)
    return images, known if len(known) == len(files) else None


Read = tuple[np.ndarray, list[FileFacts] | None]
"""As `load_with_files` gives it."""


def load_sets(specs: Mapping[str, str], size: int, center_crop: float | None) -> dict[str, np.ndarray]:
    """`load_images` of several data sets by name: what is broken in any of them is said at once.

    Raises:
        ImageError: as `load_images`, of every set that has something broken.
    """
    return {name: images for name, (images, _) in load_sets_with_files(specs, size, center_crop).items()}


def load_sets_with_files(specs: Mapping[str, str], size: int, center_crop: float | None) -> dict[str, Read]:
    """`load_sets`, each as `load_with_files`."""
    found, broken = {}, []
    for name, spec in specs.items():
        try:
            found[name] = load_with_files(spec, size, center_crop)
        except ImageError as error:
            broken.append(str(error))
    if broken:
        raise ImageError(" ".join(dict.fromkeys(broken)))
    return found


@dataclass(frozen=True)
class DataSet:
    """An opened data set, none of its images read yet."""

    spec: str  # as it was written
    source: Source
    start: int
    stop: int

    @property
    def count(self) -> int:
        """How many images it has."""
        return self.stop - self.start

    def rows(self) -> Iterator[Row]:
        """Read them one by one."""
        return self.source.read(self.start, self.stop)


def open_data(spec: str | Path, size: int, center_crop: float | None) -> DataSet:
    """Open a data set and check its slice against its length; nothing is read but what that takes.

    Args:
        spec, size, center_crop: as `load_images`.

    Raises:
        ImageError: as `load_images`, but for its single images.
    """
    asked = Spec.parse(spec)
    source = _open_source(asked.source, size, center_crop)
    stop = source.count if asked.stop is None else asked.stop
    if not asked.start < stop <= source.count:
        raise ImageError(f"The slice [{asked.start}:{stop}] does not fit: {asked.source} has {source.count} images.")
    return DataSet(str(spec), source, asked.start, stop)


def open_sets(specs: Iterable[str | Path], size: int, center_crop: float | None) -> list[DataSet]:
    """Open many data sets; of one that cannot be opened, its error is the only item."""

    def refused(spec: str, error: ImageError) -> DataSet:
        return DataSet(spec, Source(1, lambda *_: iter([(spec, 0, error, None)])), 0, 1)

    found = []
    for spec in map(str, specs):
        try:
            found.append(open_data(spec, size, center_crop))
        except ImageError as error:
            found.append(refused(spec, error))
    return found


def iter_items(sets: Iterable[DataSet]) -> Iterator[Item]:
    """Read many data sets one image at a time; what cannot be read is yielded as its error, and the run goes on.

    Yields:
        (where the image is from, its place in that data set, uint8 (size, size, 3) or an ImageError).
    """
    for opened in sets:
        try:
            for name, index, image, _ in opened.rows():
                yield name, index, image
        except ImageError as error:  # a file that breaks off: fewer items than were counted
            yield opened.spec, 0, error


def remarks(opened: DataSet, files: Iterable[FileFacts] = ()) -> list[str]:
    """What was done to the images of a set, how often, and what beside them was passed over, in words.

    Args:
        files: facts of those that were read.
    """
    alike: dict[str, Counter[str]] = {}
    for note in (note for facts in files for note in facts.notes):
        alike.setdefault(re.sub(r"\d+", "#", note), Counter())[note] += 1
    done = [
        f"{found.total():,} {found.most_common(1)[0][0]}" + (" and the like" if len(found) > 1 else "")
        for found in sorted(alike.values(), key=Counter.total, reverse=True)
    ]
    return [*opened.source.notes, *done, *filter(None, [passed_over(opened.source.passed_over)])]


def as_model_input(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [-1, 1]."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"expected uint8 images (N, H, W, 3), got {images.dtype} {images.shape}")
    # torch takes no read-only arrays and no negative strides; anything else is not copied.
    return torch.from_numpy(np.require(images, requirements=["C", "W"])).permute(0, 3, 1, 2).float() / 127.5 - 1


def as_images(x: Tensor) -> np.ndarray:
    """What `as_model_input` was made of: float (N, 3, H, W) in [-1, 1] to uint8 (N, H, W, 3)."""
    levels = ((x.detach().cpu().float() + 1) * 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def grid_of(images: np.ndarray) -> np.ndarray:
    """One square picture of all images, uint8 (N, H, W, 3) -> (rows * H, columns * W, 3); places left over are black."""
    count, height, width, _ = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    grid = np.zeros((rows * columns, height, width, 3), np.uint8)
    grid[:count] = images
    return grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)


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
    """The centre crop that belongs to a data set by its name (CelebA's), pixels; None for any other.

    Who trains on it takes this one where no other is asked for; a detector sees everything at its own.
    """
    return CELEBA_CROP if Spec.parse(spec).source.partition(":")[0] == "celeba" else None


def cache_folder() -> Path:
    """Where named data sets are kept: $SEDID_DATA, or ~/.cache/sedid."""
    return settings.read().data.expanduser()


def _open_source(spec: str, size: int, crop: float | None) -> Source:
    name, _, part = spec.partition(":")
    if spec in NAMES:
        if name == "sample":
            if not SAMPLE.is_file():
                raise ImageError(only_in_a_checkout("The embedded sample", "name another data set."))
            return open_npz(SAMPLE, part, size, crop)
        if name == "cifar10":
            return _cifar10(spec, size, crop)
        read = _celeba if name == "celeba" else _tiny_imagenet
        return read(part or "train", size, crop)
    path = local_path(spec)
    if path.is_dir():
        return open_folder(path, size, crop)
    if not path.exists():
        raise ImageError(
            f"There is no data set {spec}; accepted are a folder, a .zip, a .npz, an image, or one of {', '.join(NAMES)}."
        )
    if path.suffix.lower() == ".zip":
        return open_zip(path, size, crop)
    if path.suffix.lower() == ".npz":
        return open_npz(path, None, size, crop)
    return Source(1, partial(read_files, [path.name], lambda _: path, str(path.parent), size, crop))


def _cifar10(spec: str, size: int, crop: float | None) -> Source:
    def fetch() -> np.ndarray:
        from torchvision.datasets import CIFAR10

        images: np.ndarray = CIFAR10(str(cache_folder()), train=spec == "cifar10", download=True).data
        return images

    images = _fetched(spec, cache_folder() / "cifar-10-python.tar.gz", fetch)
    return Source(len(images), lambda start, stop: read_rows(images[start:stop], spec, start, size, crop))


def _celeba(part: str, size: int, crop: float | None) -> Source:
    """The aligned photographs, from torchvision's download or from a zip or folder put there by hand."""
    first, last = CELEBA_SPLITS[part]
    folder = cache_folder() / "celeba" / "img_align_celeba"
    packed = folder.with_suffix(".zip")

    def fetch() -> None:
        from torchvision.datasets import CelebA

        CelebA(str(cache_folder()), download=True)

    def keep(path: PurePath) -> bool:
        return path.stem.isdigit() and first <= int(path.stem) <= last

    if not packed.is_file() and not folder.is_dir():
        _fetched("celeba", packed, fetch)
    # The zip first: an interrupted download leaves the folder incomplete.
    return open_zip(packed, size, crop, keep) if packed.is_file() else open_folder(folder, size, crop, keep)


def _tiny_imagenet(part: str, size: int, crop: float | None) -> Source:
    path = cache_folder() / "tiny-imagenet-200.zip"
    if not path.is_file():
        _fetched("tiny-imagenet", path, lambda: _download(TINY_URL, path, TINY_BYTES, TINY_MD5))
    return open_zip(path, size, crop, lambda name: called_image(name) and name.parts[1:2] == (part,))


def _download(url: str, path: Path, length: int, md5: str) -> None:
    """Fetch a file of known length and MD5; it appears at `path` only if both are right."""
    digest, received = hashlib.md5(usedforsecurity=False), 0
    # the addresses are those of this file
    with replacing(path) as temporary, urllib.request.urlopen(url, timeout=30) as answer, temporary.open("wb") as out:  # noqa: S310
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
        raise ImageError(
            f"The data set {spec} could not be downloaded ({first_line(error)}): put {by_hand.name} into {by_hand.parent} by hand, "
            "or use a folder, a .zip or a .npz of images instead."
        ) from error

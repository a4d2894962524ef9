"""Images from a folder, a .zip or a .npz, one at a time: nothing is extracted and nothing is held longer than needed."""

import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count as counting
from math import prod
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from sedid.images import MAX_BYTES, MAX_PIXELS, ImageError, describe, prepare, read_image

SUFFIXES = {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg"}
SUFFIXES |= {".pbm", ".pgm", ".png", ".ppm", ".svg", ".tif", ".tiff", ".webp"}
MAX_ENTRIES = 250_000  # files in a zip; CelebA has 202,599
MAX_UNPACKED = 8_000_000_000  # bytes in all; 50,000 images of 64x64 are 0.6 GB
UNPACKING = (OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class FileFacts:
    """What is known of an image's file besides its pixels; the leak audit asks whether it gives the class away."""

    format: str  # Pillow's name, "JPEG" for instance
    bytes: int
    width: int  # pixels, before preprocessing
    height: int
    notes: tuple[str, ...] = ()  # what preprocessing does to the picture, in words


Item = tuple[str, int, np.ndarray | ImageError]  # where from, place in the data set, uint8 (size, size, 3) or why not
Row = tuple[str, int, np.ndarray | ImageError, FileFacts | None]


@dataclass(frozen=True)
class Source:
    """An opened data set whose pixels are still unread: its length, and how to read the images start .. stop-1."""

    count: int
    read: Callable[[int, int], Iterator[Row]]


def is_image(path: PurePath) -> bool:
    """By its name: formats that are refused later count too, so that they are reported and not passed over."""
    hidden = any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _in_turn(names: Iterable[str]) -> list[str]:
    """Sorted, but one of each folder at a time: a slice of a set sorted by class would hold few of the classes."""
    rank: dict[str, Iterator[int]] = defaultdict(counting)
    return [name for _, name in sorted((next(rank[str(PurePosixPath(name).parent)]), name) for name in sorted(names))]


def read_files(
    names: list[str],
    fetch: Callable[[str], Path | bytes],
    where: str,
    size: int,
    crop: float | None,
    start: int,
    stop: int,
) -> Iterator[Row]:
    for index in range(start, stop):
        name = f"{where}/{names[index]}"
        try:
            picture = read_image(fetch(names[index]), name)
            notes = describe(picture, size, crop)
            facts = FileFacts(picture.format, picture.bytes, picture.width, picture.height, notes)
            yield name, index, prepare(picture.image, size, crop), facts
        except ImageError as error:
            yield name, index, error if names[index] in str(error) else ImageError(f"{name}: {error}"), None


def open_folder(path: Path, keep: Callable[[PurePath], bool], size: int, crop: float | None) -> Source:
    found = (file for file in path.rglob("*") if keep(file.relative_to(path)) and file.is_file())
    names = _in_turn(file.relative_to(path).as_posix() for file in found)
    if not names:
        raise ImageError(f"The folder {path} holds no images.")
    return Source(len(names), partial(read_files, names, lambda name: path / name, str(path), size, crop))


def open_zip(
    path: Path,
    keep: Callable[[PurePath], bool],
    size: int,
    crop: float | None,
    most: int | None = None,
    unpacked: int | None = None,
) -> Source:
    """A zip of images. Members are read into memory one at a time, never extracted.

    Args:
        most: files it may hold; default: MAX_ENTRIES.
        unpacked: bytes they may come to, default: MAX_UNPACKED; no more of a member is read than it claims to hold.
    """
    most, unpacked = most or MAX_ENTRIES, unpacked or MAX_UNPACKED
    with _unzip(path) as archive:
        members = archive.infolist()
    if len(members) > most:
        raise ImageError(f"{path} holds {len(members)} files; at most {most} are accepted.")
    if sum(member.file_size for member in members) > unpacked:
        raise ImageError(f"{path} unpacks to more than {unpacked / 10**9:g} GB, which is refused.")
    names = _in_turn(
        {member.filename for member in members if not member.is_dir() and keep(PurePosixPath(member.filename))}
    )
    if not names:
        raise ImageError(f"The zip {path} holds no images.")

    def read(start: int, stop: int) -> Iterator[Row]:
        with _unzip(path) as archive:
            yield from read_files(names, partial(_member, archive), str(path), size, crop, start, stop)

    return Source(len(names), read)


def _unzip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ImageError(f"{path} is damaged or not a {path.suffix} file ({error}).") from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as member:
            return member.read(MAX_BYTES + 1)  # read_image refuses what is longer
    except (*UNPACKING, RuntimeError) as error:
        raise ImageError(f"{name} cannot be unpacked ({error}).") from error


def open_npz(path: Path, key: str, size: int, crop: float | None) -> Source:
    """One uint8 array (N, H, W, 3) of a .npz, read as a stream: never more than a few images in memory."""
    if not path.is_file():
        raise ImageError(f"There is no {path.name} in {path.parent}.")
    with _unzip(path) as archive:
        if f"{key}.npy" not in archive.namelist():
            held = ", ".join(name.removesuffix(".npy") for name in archive.namelist()) or "nothing"
            raise ImageError(
                f"{path} has no array '{key}'; it holds {held}. Save it with np.savez_compressed(path, {key}=array)."
            )
        try:
            with archive.open(f"{key}.npy") as stream:
                shape, fortran, dtype = _array_header(stream)
        except (*UNPACKING, RuntimeError, ValueError) as error:
            raise ImageError(f"The array '{key}' of {path} is damaged ({error}).") from error
    if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape or fortran:
        found = "pickled objects" if dtype.hasobject else f"{dtype} {shape}" + " in Fortran order" * fortran
        raise ImageError(f"The array '{key}' of {path} must be uint8 (N, H, W, 3) RGB in C order; it is {found}.")
    if prod(shape[1:3]) > MAX_PIXELS or prod(shape) > MAX_UNPACKED:
        raise ImageError(
            f"The array '{key}' of {path} is {shape}, more than {MAX_UNPACKED // 10**9} GB or {MAX_PIXELS // 10**6} megapixels an image."
        )
    bytes_each, at_once = prod(shape[1:]), max(1, (1 << 22) // prod(shape[1:]))

    def read(start: int, stop: int) -> Iterator[Row]:
        with _unzip(path) as archive, archive.open(f"{key}.npy") as stream:
            try:
                _array_header(stream)
                stream.seek(start * bytes_each, os.SEEK_CUR)
                for first in range(start, stop, at_once):
                    count = min(at_once, stop - first)
                    rows = np.frombuffer(bytearray(stream.read(count * bytes_each)), np.uint8).reshape(
                        count, *shape[1:]
                    )
                    yield from read_rows(rows, f"{path}:{key}", first, size, crop)
            except (*UNPACKING, ValueError) as error:
                raise ImageError(f"The array '{key}' of {path} is damaged or cut off ({error}).") from error

    return Source(shape[0], read)


def _array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    header = (
        np.lib.format.read_array_header_1_0
        if np.lib.format.read_magic(stream) == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    return header(stream)


def read_rows(rows: np.ndarray, where: str, first: int, size: int, crop: float | None) -> Iterator[Row]:
    as_it_is = rows.shape[1:3] == (size, size)
    for index, row in enumerate(rows, first):
        try:
            yield where, index, row if as_it_is else prepare(Image.fromarray(row), size, crop), None
        except ImageError as error:
            yield where, index, error, None

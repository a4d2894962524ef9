"""Images from a folder, a .zip or a .npz, one at a time: nothing is extracted and nothing is held longer than needed.

What counts as a picture is said by how a file begins, whatever it is called. One that is only called a picture counts
too: it is broken or of a kind that is refused, and is to be reported. Everything else is passed over, by name.
"""

import os
import re
import zipfile
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count as counting
from math import prod
from pathlib import Path, PurePath, PurePosixPath
from tokenize import TokenError
from typing import IO

import numpy as np
from PIL import Image

from sedid.data.images import MAX_BYTES, MAX_PIXELS, ImageError, describe, framing, prepare, read_image

SUFFIXES = {".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".heic", ".heics", ".heif", ".heifs", ".hif", ".j2k"}
SUFFIXES |= {".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm"}
SUFFIXES |= {".psd", ".svg", ".tif", ".tiff", ".webp"}
BEGINNINGS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP"
    rb"|II[*+]\0|MM\0[*+]"  # TIFF and BigTIFF
    rb"|.{4}ftyp(?:avi[fs]|mi[af]1|msf1|he[iv][a-z])|\0{3}\x0c(?:jP  |JXL )|\xffO\xffQ|8BPS\0"
    rb"|P[1-6]\s+(?:#|\d+\s+\d+\s)|Pf\s+\d"  # of the text ones more than the first letters: "P1 is the first of ..."
    # bitmaps with their header and without it: "BM" alone begins a text about cars, too
    rb"|(?:BM.{12})?(?:\x0c\0{3}.{4}|[\x10(48@l|]\0{3}.{8})\x01\0[\x01\x04\x08\x10\x18 ]\0",
    re.DOTALL,
)
HEAD = 64  # bytes that tell
NAMED = 5  # of files passed over
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
    passed_over: tuple[str, ...] = ()  # what lies beside the images; what is hidden is not even looked at
    notes: tuple[str, ...] = ()  # what was done to all of it, in words


def called_image(path: PurePath) -> bool:
    """Whether a file is a picture by its name."""
    return path.suffix.lower() in SUFFIXES


def begins_as_image(head: bytes) -> bool:
    """Whether a file that begins with these bytes (HEAD of them are enough) is a picture."""
    return BEGINNINGS.match(head) is not None


def hidden(part: str) -> bool:
    """Whether a file or folder of this name is left alone: `.git`, the `__MACOSX` of zips."""
    return part == "__MACOSX" or (part.startswith(".") and part not in (".", ".."))


def passed_over(names: Sequence[str]) -> str:
    """How many files were passed over, and which, in words; "" if none."""
    unseen = [name for name in names if _is_hidden(name)]
    others = [name for name in names if not _is_hidden(name)]
    kinds = (
        (others, "1 file that is no picture was", "files that are no pictures were"),
        (unseen, "1 hidden file or folder was", "hidden files and folders were"),
    )
    said = []
    for these, one, several in kinds:
        if these:
            some = ", ".join(these[:NAMED]) + (f" and {len(these) - NAMED:,} more" if len(these) > NAMED else "")
            said.append(f"{one if len(these) == 1 else f'{len(these):,} {several}'} passed over: {some}")
    return "; ".join(said)


def _is_hidden(name: str) -> bool:
    return any(map(hidden, PurePosixPath(name).parts))


def _in_turn(names: Sequence[str]) -> list[int]:
    """The places of names, sorted, but one of each folder at a time.

    A slice of a set sorted by class would hold few of the classes.
    """
    rank: dict[str, Iterator[int]] = defaultdict(counting)
    by_name = sorted(range(len(names)), key=names.__getitem__)
    return sorted(by_name, key=lambda place: (next(rank[str(PurePosixPath(names[place]).parent)]), names[place]))


def read_files(
    names: Sequence[str],
    fetch: Callable[[int], Path | bytes],
    where: str,
    size: int,
    crop: float | None,
    start: int,
    stop: int,
) -> Iterator[Row]:
    """Read the images from start to stop, each with its facts, or with what is wrong in place of pixels."""
    for index in range(start, stop):
        name = f"{where}/{names[index]}"
        try:
            picture = read_image(fetch(index), name)
            notes = describe(picture, size, crop)
            facts = FileFacts(picture.format, picture.bytes, picture.width, picture.height, notes)
            yield name, index, prepare(picture.image, size, crop), facts
        except ImageError as error:
            yield name, index, error if names[index] in str(error) else ImageError(f"{name}: {error}"), None


def _files(root: Path) -> Iterator[Path]:
    """All files below a folder, through links as well; no folder twice, so that circles end. A hidden one is not opened.

    A folder that can be reached in several ways goes by its own place rather than by a link to it.
    """
    folders, seen = deque([root]), set()
    while folders:
        folder = folders.popleft()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # no permission, or gone meanwhile
            yield folder
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if _is_folder(entry) and not hidden(entry.name):
                folders.append(folder / entry.name) if entry.is_symlink() else folders.appendleft(folder / entry.name)
            else:
                yield folder / entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_image_file(path: Path) -> bool:
    try:
        if hidden(path.name) or not path.is_file():  # never opened: pipes, devices
            return False
        if called_image(path):
            return True
        with path.open("rb") as file:
            return begins_as_image(file.read(HEAD))
    except OSError:
        return False


def open_folder(path: Path, size: int, crop: float | None, keep: Callable[[PurePath], bool] | None = None) -> Source:
    """A folder of images, with those in folders below it.

    Args:
        keep: which files belong to the data set, by their path in the folder; default: all.
    """
    names: list[str] = []
    others: list[str] = []
    for file in _files(path):
        name = file.relative_to(path)
        if keep is None or keep(name):
            (names if _is_image_file(file) else others).append(name.as_posix())
    if not names:
        raise ImageError(" ".join(filter(None, (f"The folder {path} holds no images.", _sentence(others)))))
    names = [names[place] for place in _in_turn(names)]
    read = partial(read_files, names, lambda index: path / names[index], str(path), size, crop)
    return Source(len(names), read, tuple(sorted(others)))


def _sentence(others: Sequence[str]) -> str:
    said = passed_over(sorted(others))
    return said and f"{said}."


def open_zip(
    path: Path,
    size: int,
    crop: float | None,
    keep: Callable[[PurePath], bool] | None = None,
    most: int | None = None,
    unpacked: int | None = None,
) -> Source:
    """A zip of images. Members are read into memory one at a time, never extracted; of two of one name both count.

    Args:
        keep: which members belong to the data set, by their path in the zip; default: all.
        most: files it may hold; default: MAX_ENTRIES.
        unpacked: bytes they may come to, default: MAX_UNPACKED; no more of a member is read than it claims to hold.
    """
    most, unpacked = most or MAX_ENTRIES, unpacked or MAX_UNPACKED
    images: list[zipfile.ZipInfo] = []
    others = []
    with _unzip(path) as archive:
        members = archive.infolist()
        if len(members) > most:
            raise ImageError(f"{path} holds {len(members)} files; at most {most} are accepted.")
        if sum(member.file_size for member in members) > unpacked:
            raise ImageError(f"{path} unpacks to more than {unpacked / 10**9:g} GB, which is refused.")
        for member in members:
            name = PurePosixPath(member.filename)
            if member.is_dir() or not (keep is None or keep(name)):
                continue
            if not _is_hidden(member.filename) and (called_image(name) or _begins_as_image(archive, member)):
                images.append(member)
            else:
                others.append(member.filename)
    if not images:
        raise ImageError(" ".join(filter(None, (f"The zip {path} holds no images.", _sentence(others)))))
    images = [images[place] for place in _in_turn([member.filename for member in images])]
    names = [member.filename for member in images]

    def read(start: int, stop: int) -> Iterator[Row]:
        with _unzip(path) as archive:
            yield from read_files(
                names, lambda index: _member(archive, images[index]), str(path), size, crop, start, stop
            )

    return Source(len(names), read, tuple(sorted(others)))


def _unzip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ImageError(f"{path} is damaged or not a {path.suffix} file ({error}).") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, length: int = MAX_BYTES + 1) -> bytes:
    try:
        with archive.open(member) as file:
            return file.read(length)  # read_image refuses what is longer than MAX_BYTES
    except (*UNPACKING, RuntimeError) as error:
        raise ImageError(f"{member.filename} cannot be unpacked ({error}).") from error


def _begins_as_image(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    try:
        return begins_as_image(_member(archive, member, HEAD))
    except ImageError:  # of a name that is none of a picture's
        return False


def open_npz(path: Path, key: str | None, size: int, crop: float | None) -> Source:
    """One uint8 array (N, H, W, 3) of a .npz, read as a stream: never more than a few images in memory.

    Args:
        key: which one; None: "images", or the only one of this kind whatever it is called (numpy calls it "arr_0" where
            its writer gave no name, as in the published samples of several models).
    """
    if not path.is_file():
        raise ImageError(f"There is no {path.name} in {path.parent}.")
    notes: tuple[str, ...] = ()
    with _unzip(path) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if key is None:
            fitting = ["images"] if "images" in held else [name for name in held if _is_images(archive, name)]
            if len(fitting) > 1:
                raise ImageError(
                    f"{path} holds several arrays of images ({', '.join(fitting)}): name one of them 'images'."
                )
            (key,) = fitting or (held if len(held) == 1 else ["images"])
            notes = () if key == "images" else (f"its array '{key}' is taken",)
        if key not in held:
            raise ImageError(
                f"{path} has no array '{key}'; it holds {', '.join(held) or 'nothing'}. "
                f"Save it with np.savez_compressed(path, {key}=array)."
            )
        try:
            with archive.open(f"{key}.npy") as stream:
                shape, fortran, dtype = _array_header(stream)
        except (*UNPACKING, RuntimeError, ValueError) as error:
            raise ImageError(f"The array '{key}' of {path} is damaged ({error}).") from error
    if not _fits(shape, fortran, dtype):
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

    return Source(shape[0], read, notes=(*notes, *framing(shape[2], shape[1], size, crop)))


def _fits(shape: tuple[int, ...], fortran: bool, dtype: np.dtype) -> bool:
    """Whether an array is of images; a shape may claim anything, -1 included."""
    return dtype == np.uint8 and len(shape) == 4 and shape[3] == 3 and min(shape) > 0 and not fortran


def _is_images(archive: zipfile.ZipFile, key: str) -> bool:
    try:
        with archive.open(f"{key}.npy") as stream:
            return _fits(*_array_header(stream))
    except (*UNPACKING, RuntimeError, ValueError):
        return False


def _array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    header = (
        np.lib.format.read_array_header_1_0
        if np.lib.format.read_magic(stream) == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    try:
        return header(stream)
    except TokenError as error:  # numpy reads the header as a piece of Python
        raise ValueError("its header is cut off") from error


def read_rows(rows: np.ndarray, where: str, first: int, size: int, crop: float | None) -> Iterator[Row]:
    """Prepare the images of an array, uint8 (N, H, W, 3), the first of which has the index `first`."""
    as_it_is = rows.shape[1:3] == (size, size)
    for index, row in enumerate(rows, first):
        try:
            yield where, index, row if as_it_is else prepare(Image.fromarray(row), size, crop), None
        except ImageError as error:
            yield where, index, error, None

"""Files that are either whole or absent: every write goes to a neighbour and is renamed over the target.

Pipes and devices are written to: nothing takes their place.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INNERMOST = re.compile(r"([\[{])\n\s*([^\[\]{}]*)\n\s*([\]}])")  # of indented JSON, whose strings hold no new line
LITTER = re.compile(r"\..+\.\d+\.\d+(\.\w+)?|\.parts-.+")  # what the writers below leave if they are killed


@contextmanager
def space_for(path: Path) -> Iterator[None]:
    """Say what could not be written where the disk is full: the libraries' errors name no file.

    Raises:
        OSError: the disk is full, or the file too large for it.
    """
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        if number is None and (said := re.search(r"\(os error (\d+)\)", str(error))):  # safetensors' own kind of error
            number = int(said[1])
        if number not in FULL:
            raise
        raise OSError(f"No space left on the disk to write {path}; what was there before is kept") from error


def _own_output(status: os.stat_result) -> int | None:
    """The descriptor by which this process's own output goes to a file; None if it does not."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(status, os.fstat(descriptor)):
                return descriptor
        except OSError:  # closed
            continue
    return None


def is_stream(path: Path) -> bool:
    """Whether a path is to be written to and never replaced.

    That is a pipe, a terminal, another device of characters, or what this process's own output goes to (/dev/stdout,
    whatever that is).

    Raises:
        OSError: a socket or a disk stands there, which is not written at all.
    """
    try:
        status = Path(path).stat()
    except (OSError, ValueError):  # nothing there
        return False
    if stat.S_ISSOCK(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise OSError(f"{path} is a {'socket' if stat.S_ISSOCK(status.st_mode) else 'disk'}, which is not written to")
    if stat.S_ISREG(status.st_mode):
        return _own_output(status) is not None
    return not stat.S_ISDIR(status.st_mode)


@contextmanager
def stream(path: Path) -> Iterator[BinaryIO]:
    """Open what `is_stream` says is one for writing; of a pipe this waits for its reader."""
    descriptor = _own_output(Path(path).stat())
    opened = os.open(path, os.O_WRONLY) if descriptor is None else os.dup(descriptor)  # neither created nor emptied
    with os.fdopen(opened, "wb") as file:
        yield file


def behind_links(path: Path) -> Path:
    """The file that a path stands for: a link stays one, and what it leads to is written."""
    return Path(os.path.realpath(path)) if Path(path).is_symlink() and not is_stream(path) else Path(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success rename it over `path`, on any error remove it.

    A process killed half-way leaves the previous file untouched. The temporary path keeps the suffix of
    `path`, because writers such as numpy choose the format by it. Where `path` is a pipe or a device (`is_stream`), the
    temporary file lies elsewhere and its content is written there.

    Raises:
        OSError: a folder stands there, its folder cannot be written, or the disk is full.
    """
    path = Path(path)
    if is_stream(path):
        with space_for(path), TemporaryDirectory() as elsewhere:
            yield Path(elsewhere) / path.name
            with (Path(elsewhere) / path.name).open("rb") as written, stream(path) as target:
                shutil.copyfileobj(written, target)
        return
    path = behind_links(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file to be written")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{threading.get_ident()}{path.suffix}")
    try:
        with space_for(path):
            yield temporary
            with temporary.open("rb+") as written:  # Windows syncs only what is open for writing
                os.fsync(written.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_parts(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; on success all that was put into it takes the place of its namesakes in `folder`.

    On any error it is removed. For writers of whole folders, such as sharded weights.

    Raises:
        OSError: as `replacing`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with space_for(folder), TemporaryDirectory(prefix=".parts-", dir=folder) as made:
        new, old = Path(made) / "new", Path(made) / "old"
        new.mkdir()
        old.mkdir()
        yield new
        for part in sorted(new.iterdir()):
            target = folder / part.name
            if target.exists():
                target.rename(old / part.name)
            part.rename(target)


def remove_litter(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder that nobody writes to now."""
    for path in list(Path(folder).rglob(".*")):
        if LITTER.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def stored_tensors(file: Path) -> Iterator[Any]:
    """An opened safetensors file: keys(), get_slice(name), get_tensor(name), metadata().

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as stored:
            yield stored
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged or no safetensors file ({error})") from error


def write_kept(file: Path, key: str, arrays: dict[str, Any]) -> None:
    """Keep arrays (.npz, atomically) for a run that may be interrupted, under the key of what they depend on."""
    import numpy as np

    with replacing(file) as temporary:
        np.savez(temporary, key=key, **arrays)


def read_kept(file: Path, key: str) -> dict[str, Any] | None:
    """Arrays that were kept under this key; None if there are none, or only of another run.

    Raises:
        ValueError: as `read_arrays`.
    """
    arrays = read_arrays(file)
    return {name: values for name, values in arrays.items() if name != "key"} if str(arrays.get("key")) == key else None


def read_arrays(file: Path) -> dict[str, Any]:
    """The arrays of a .npz by name; {} where there is no such file.

    Raises:
        ValueError: it is damaged, or holds something else than arrays.
    """
    import zipfile
    import zlib
    from tokenize import TokenError

    import numpy as np

    if not file.is_file():
        return {}
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except TokenError as error:  # numpy reads a header as a piece of Python
        raise ValueError(f"{file} is damaged: a header is cut off") from error
    except (AttributeError, EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; a list or an object without others in it takes one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    text = INNERMOST.sub(lambda found: found[1] + re.sub(r"\n\s*", " ", found[2]) + found[3], text)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not JSON, or nested beyond reason; the message names it.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply to be read") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        FileNotFoundError, ValueError: as `read_json`, or it holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold an object (names and values in braces), not {value!r:.60}")
    return value


def hash_files(files: Iterable[Path]) -> str:
    """sha256 over the bytes of files one after the other, in hexadecimal; they may be larger than memory."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()

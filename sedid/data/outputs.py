"""What a command is to write, checked before its work begins.

No hour of work ends in a refusal, and nothing of the user's is lost.

A file is refused where a folder stands, where nothing can be written, where one of the inputs stands, and where
something stands that this program did not write, unless overwriting that is asked for (`force`). A folder that holds
anything must be one that the same command wrote. Pipes and devices are written to (`storage.replacing`), never replaced.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from sedid.data.images import ImageError
from sedid.data.spec import Spec
from sedid.storage import behind_links, is_stream

TOLD = 4096  # bytes at either end of a file, among which its mark stands


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: in words, with its article.
        suffixes: of its names.
        mark: what stands near the beginning or the end of every such file that this program wrote.
    """

    name: str
    suffixes: tuple[str, ...]
    mark: re.Pattern[bytes]


TABLE = Kind("a table", (".csv",), re.compile(rb"\Apath,index,stat_score,"))
UNFINISHED = Kind("an unfinished table", (".part",), TABLE.mark)
PAGE = Kind("a page", (".html", ".htm"), re.compile(rb'<meta name="generator" content="SeDID Explorer">'))
FIGURE = Kind("a figure", (".png", ".svg", ".pdf"), re.compile(rb"[Cc]reator.{1,99}?SeDID Explorer", re.DOTALL))
SPEED = Kind("a measurement of speed", (".json",), re.compile(rb'\A\{\s*(?:"version": \d+,\s*)?"machine": \{'))
RESULTS = Kind("a results file", (".json",), re.compile(rb'"protocol": \{'))
SCORES = Kind(
    "a file of scores", (".npz",), re.compile(rb"\APK.{28}(?:stated|pairs|methods|t_secs|key)\.npy", re.DOTALL)
)
LOAD = Kind("a measurement under load", (".json",), re.compile(rb'"visitors": '))
CARD = Kind("a model card", (".md",), re.compile(rb"^# SeDID detector ", re.MULTILINE))

BUNDLE = {"sedid/detector.json": re.compile(rb'"format":')}
JOB = {"job.json": re.compile(rb'"command":')}
SPLITS = {"splits/*.npz": re.compile(rb"\APK")}
RUNS: dict[str, dict[str, re.Pattern[bytes]]] = {
    **{name: {"config.json": re.compile(rb'"ema_decay":')} for name in ("train-ddpm", "train-vae", "train-latent")},
    "trials": {"trials.json": re.compile(rb'"trials":'), "0/config.json": re.compile(rb'"ema_decay":')},
    "generate": {"manifest.json": re.compile(rb'"checkpoint_sha256":')},
    "loop": {"config.json": re.compile(rb'"sampler_steps":'), "plan.json": re.compile(rb'"recipe":')} | SPLITS,
    "ship": {"config.json": re.compile(rb'"samplers":')} | SPLITS,
    "defend": {"config.json": re.compile(rb'"score_batch":')} | SPLITS,
}
"""Commands whose `out` is a run folder -> the files by which it is known as one, of a run that was killed as well."""
FILES = {"evaluate": RESULTS, "gallery": SCORES}
"""Commands whose `out` is a file."""
STUDIES = {
    "compare": ("compare.json", "compare-scores.npz"),
    "robustness": ("robustness.json", "robustness-scores.npz"),
    "choose": ("choice.json", "choice/*.npz"),
    "polarity": ("polarity.json", "polarity-scores.npz"),
    "generalise": ("generalise.json",),
    "sweep": ("sweep.json", "sweep/*.npz"),
    "sign": ("sign.json",),
}
"""Commands whose `out` is a folder for results, which may hold those of others, too -> what they write there."""
IN_FOLDERS = {
    name: {file: RESULTS if file.endswith(".json") else SCORES for file in files} for name, files in STUDIES.items()
} | {"load": {"load.json": LOAD}}
"""The same, and what else writes into such a folder -> the files (patterns of `pathlib`) and their kinds."""
NAMED = (FIGURE, RESULTS, SCORES)
"""Kinds that need their suffix in a pipe or a device as well: it says the format, or names a second file."""


def check_file(file: Path, kind: Kind, inputs: Iterable[str | Path] = (), force: bool = False) -> None:
    """Refuse a file that cannot or must not be written; nothing is changed.

    Args:
        file: what is to be written; a pipe or a device will do for any kind.
        inputs: data sets and files that will be read (`sedid.data.spec`).
        force: write over what this program did not write. Inputs are never written over.

    Raises:
        ValueError: its name has none of the kind's suffixes, or it is among the inputs.
        OSError: a folder or something else stands there, or nothing can be written.
    """
    file = Path(file)
    above = _above(file)
    named = kind not in NAMED or file.suffix.lower() in kind.suffixes
    if is_stream(file) and named:
        return
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; name {kind.name} in it, ending in {' or '.join(kind.suffixes)}")
    if file.suffix.lower() not in kind.suffixes:
        raise ValueError(f"{kind.name} is written as {', '.join(kind.suffixes)}; {file.name!r} names none of them")
    if file.exists():
        ours = _marked(file, kind.mark)
        for given in inputs:
            if _reads(given, file, ours):
                raise ValueError(f"{file} is among what is to be read ({given}), and is not written over")
        if not (ours or force):
            raise FileExistsError(
                f"{file} is there and not {kind.name} that this program wrote; choose another name, or write over it "
                "with --force"
            )
        if not os.access(file, os.W_OK):
            raise PermissionError(f"{file} is protected against being written over")
    _check_writable(file, behind_links(file).parent if file.is_symlink() else above)


def check_folder(folder: Path, marks: Mapping[str, re.Pattern[bytes]] | None = None, force: bool = False) -> None:
    """Refuse an output folder that cannot be written, or holds something else; nothing is changed.

    Args:
        folder: where files are to be written; it need not exist.
        marks: files by which it is known as written by the same command (patterns of `pathlib`), and what stands in
            them; None: it may hold anything.
        force: let it hold anything.

    Raises:
        OSError: it is a file, cannot be written, or holds files and none of `marks`.
    """
    folder = Path(folder)
    above = _above(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name a folder for what is written")
    _check_writable(folder, folder if folder.is_dir() else above)
    if marks is None or force or not any(file.is_file() for file in folder.rglob("*")):
        return
    if not any(_marked(file, mark) for name, mark in marks.items() for file in folder.glob(name)):
        raise FileExistsError(
            f"{folder} holds files that this command did not write; choose another folder, or write among them with --force"
        )


def check_loop(command: str, config: Any, force: bool = False) -> None:
    """Refuse the `out` of a loop's settings, as `check_file` and `check_folder`.

    Args:
        command: "sweep" for instance.
        config: its dataclass of settings.

    Raises:
        ValueError, OSError: as these.
    """
    out = Path(getattr(config, "out", "") or "")
    if command == "ship" and config.run:  # which makes the bundle
        check_folder(Path(config.detector), BUNDLE, force)
    if not getattr(config, "out", ""):
        return
    if kind := FILES.get(command):
        inputs = [
            config.detector,
            *filter(None, (getattr(config, name, "") for name in ("real", "heldout", "members"))),
        ]
        check_file(out, kind, [*inputs, config.generated], force)
        if command == "evaluate":  # the scores go beside it
            check_file(out.with_name(f"{out.stem}-scores.npz"), SCORES, [*inputs, config.generated], force)
    elif command in RUNS:
        check_folder(out, RUNS[command] | JOB, force)
    else:
        check_folder(out)
        for pattern, kind in IN_FOLDERS.get(command, {}).items():
            for file in out.glob(pattern):
                check_file(file, kind, force=force)


def _above(path: Path) -> Path:
    """The nearest folder above a path that is there.

    Raises:
        OSError: there is a file instead, or it is no possible path.
    """
    try:
        path.exists()
        for above in path.absolute().parents:
            if above.is_dir():
                return above
            if above.exists():
                raise NotADirectoryError(f"{path} cannot be written: {above} is a file, not a folder")
    except OSError as error:
        if error.errno is None:  # ours
            raise
        raise OSError(f"{str(path)[:200]} cannot be written ({error.strerror})") from error
    raise FileNotFoundError(f"{path} cannot be written: there is no folder above it")


def _check_writable(path: Path, folder: Path) -> None:
    """Try to write a file in a folder: permissions alone do not tell, on a read-only disk for instance."""
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"{path} cannot be written: nothing can be written in {folder} ({error.strerror})"
        ) from error


def _marked(file: Path, mark: re.Pattern[bytes]) -> bool:
    """Whether a file bears a mark, or is empty."""
    try:
        with file.open("rb") as stored:
            told = stored.read(TOLD)
            stored.seek(max(0, os.fstat(stored.fileno()).st_size - TOLD))
            return not told or bool(mark.search(told) or mark.search(stored.read()))
    except OSError:  # unreadable, so not known to be ours
        return False


def _reads(given: str | Path, file: Path, ours: bool) -> bool:
    """Whether reading a data set or a file reads this file; what lies in a folder and is ours is no picture."""
    try:
        source = Path(Spec.parse(given).source).expanduser()
        return source.exists() and (source.samefile(file) or (not ours and source.resolve() in file.resolve().parents))
    except (ImageError, OSError, RuntimeError):  # said when it is to be read
        return False

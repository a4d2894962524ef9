"""Images that somebody uploaded for jobs, kept as data sets in the runs folder: they count towards its limit."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from sedid.data.datasets import open_data
from sedid.data.images import ImageError
from sedid.jobs.folder import disk_trouble, disk_used
from sedid.jobs.store import JobStore

FOLDER = "images"
"""Below the runs folder; a job's folder begins with a date."""


def uploaded(runs: Path) -> list[Path]:
    """The data sets that are there, the newest first: .zip files and folders of images."""
    there = [path for path in (runs / FOLDER).glob("*") if not path.name.startswith(".")]
    return sorted(there, key=lambda path: path.stat().st_mtime, reverse=True)


def keep(runs: Path, limit_gb: float, files: Sequence[Path], names: Sequence[str], called: str = "") -> Path:
    """Copy uploaded files to the runs folder as one data set.

    Args:
        limit_gb: how much that folder may hold.
        files: one .zip file of images, or image files.
        names: what their owner calls them.
        called: the data set; "" takes the name of the first file.

    Returns:
        The data set, a .zip file or a folder.

    Raises:
        ImageError: the files are neither, or hold no images.
        ValueError: the runs folder is full.
        OSError: they cannot be copied.
    """
    zips = [name for name in names if name.lower().endswith(".zip")]
    if not files or (zips and len(files) > 1):
        raise ImageError("Upload either one .zip file of images or the image files themselves.")
    runs.mkdir(parents=True, exist_ok=True)
    size = sum(path.stat().st_size for path in files) / 1e9
    if trouble := disk_trouble(runs, limit_gb - size):
        raise ValueError(trouble)
    place = _free(runs / FOLDER, called or Path(names[0]).stem, ".zip" if zips else "")
    try:
        if zips:
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(files[0], place)
        else:
            place.mkdir(parents=True)
            for number, (file, name) in enumerate(zip(files, names, strict=True)):
                shutil.copyfile(file, place / f"{number:05}-{_plain(Path(name).stem)}{Path(name).suffix.lower()}")
        open_data(place, 32, None)  # its size matters only to who reads the images
    except BaseException:
        forget(place)
        raise
    return place


def size(place: Path) -> int:
    """Bytes of a data set."""
    return disk_used(place) if place.is_dir() else place.stat().st_size


def remove(store: JobStore, name: str) -> Path:
    """Delete the uploaded data set of this name.

    Returns:
        Where it was.

    Raises:
        ValueError: there is none, or a job at work reads it.
        OSError: it cannot be deleted.
    """
    place = next((one for one in uploaded(store.folder) if one.name == name), None)
    if place is None:
        raise ValueError(f"there is no uploaded data set {name}")
    for job in store.jobs():
        if job.active and named(place, (job.folder / "config.toml").read_text(encoding="utf-8")):
            raise ValueError(f"job {job.id} reads {name}: stop it first")
    forget(place)
    return place


def named(place: Path, settings: str) -> bool:
    """Whether settings, as TOML or JSON write them, name a data set or some of its images."""
    return re.search(re.escape(json.dumps(str(place))[1:-1]) + r'["\[]', settings) is not None


def forget(place: Path) -> None:
    """Delete a data set of this folder."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-")[:60] or "images"


def _free(folder: Path, name: str, suffix: str) -> Path:
    """A path in a folder that nothing has yet."""
    name, number = _plain(name), 1
    while (place := folder / f"{name}{f'-{number}' if number > 1 else ''}{suffix}").exists():
        number += 1
    return place

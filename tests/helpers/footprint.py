"""How much memory the app takes, and how much disk the packages beneath it. In a checkout

    python -m tests.helpers.footprint --out tests/footprint.json

Memory is that of the app's process: when its page answers, after the first picture, and with all shipped detectors open. Disk is
counted from the lists of files that the packages were installed with, those of the extras left out.
"""

import argparse
import base64
import platform
import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, version
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement

from sedid.paths import ROOT
from sedid.storage import write_json
from sedid.ui.menu import Menu
from sedid.ui.server.load import LoadConfig, Pair, Visitor, file_data, running

FOR_GPU = re.compile(r"nvidia|cuda|triton")
"""Packages that PyTorch brings for a CUDA device only."""
LIBRARY_FOR_GPU = re.compile(r"torch/lib/lib\w*(?:cuda|nvshmem)")
"""The same of PyTorch's own libraries."""


def beneath(name: str, extras: Iterable[str] = ()) -> dict[str, Distribution]:
    """A package and all that it requires here, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(name, frozenset(extras))]
    seen = set(waiting)
    while waiting:
        name, wanted = waiting.pop()
        found[name] = distribution(name)
        for line in found[name].requires or []:
            needed = Requirement(line)
            asked = (needed.name.lower(), frozenset(needed.extras))
            if asked not in seen and any(_applies(needed, extra) for extra in ("", *wanted)):
                seen.add(asked)
                waiting.append(asked)
    return found


def _applies(needed: Requirement, extra: str) -> bool:
    return needed.marker is None or needed.marker.evaluate({"extra": extra})


def size(found: Distribution, only: re.Pattern[str] | None = None) -> int:
    """Bytes of a package's files; `only` of those whose path has such a part."""
    files = [one for one in found.files or [] if only is None or only.search(one.as_posix())]
    places = [Path(str(found.locate_file(one))) for one in files]
    return sum(place.stat().st_size for place in places if place.is_file())


def disk() -> dict[str, int]:
    """MB of the packages, of what only a GPU needs among them, and of the checkout's largest parts."""
    packages = beneath("sedid")
    packages.pop("sedid")
    whole = sum(map(size, packages.values()))
    spare = sum(size(one) for name, one in packages.items() if FOR_GPU.match(name))
    spare += size(packages["torch"], LIBRARY_FOR_GPU)
    shipped = {f"detector {one.name}": folder(one) for one in sorted((ROOT / "checkpoints").iterdir()) if one.is_dir()}
    all = {"packages": whole, "of these for a GPU only": spare, **shipped, "embedded sample": folder(ROOT / "assets")}
    return {name: round(count / 1e6) for name, count in all.items()}


def folder(place: Path) -> int:
    """Bytes of all files in it."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def memory() -> dict[str, int]:
    """MB of the app's process as it opens one detector after another, each asked for one picture."""
    found: dict[str, int] = {}
    with running(LoadConfig()) as (url, process):
        visitor = Visitor(url, LoadConfig(), 0, Pair(0, 0.0))

        def note(name: str) -> None:
            found[name] = round(resident(process) / 1e6)

        note("the page answers; no picture was asked about yet")
        for count, (_, key) in enumerate(Menu().shipped(""), 1):
            uri = f"data:image/png;base64,{base64.b64encode(visitor.picture).decode()}"
            refused = visitor.call("inspect", [file_data("picture.png", None, url=uri), 0, 0, key])
            assert not refused, refused
            note(f"{count} detector{'s' * (count > 1)}")
    return found


def resident(process: psutil.Process) -> int:
    """Bytes of a process that lie in memory."""
    return int(process.memory_info().rss)


def measure() -> dict[str, Any]:
    """What is committed of it."""
    machine = {"system": platform.system(), "python": platform.python_version(), "torch": version("torch")}
    return {"machine": machine, "memory_megabytes": memory(), "disk_megabytes": disk()}


def main() -> None:
    """Measure, and write what was found."""
    asked = argparse.ArgumentParser(prog="python -m tests.helpers.footprint", description=main.__doc__)
    asked.add_argument("--out", type=Path, required=True)
    write_json(asked.parse_args().out, measure())


if __name__ == "__main__":
    main()

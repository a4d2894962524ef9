"""How a data set is written, `name[start:stop]`, and how the name of a file is: read in one place for all."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from sedid.data.images import ImageError

SLICE = re.compile(r"(?P<source>.+)\[(?P<start>\d*):(?P<stop>\d*)\]", re.DOTALL)
NEARLY = re.compile(r".+\[[-+\d:,. ]*\]", re.DOTALL)  # a slice that was meant and misspelt: "[v2]" is part of a name
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Spec:
    """A data set as it is written: what holds the images, and which of them are meant.

    Attributes:
        source: a name (`datasets.NAMES`) or a path.
        start, stop: places of the first image and of the one behind the last; None: to the end.
    """

    source: str
    start: int = 0
    stop: int | None = None

    @classmethod
    def parse(cls, text: str | Path) -> "Spec":
        """Read `source` or `source[start:stop]`; a path that exists is one whatever its name ends in.

        Raises:
            ImageError: an empty name, an address, no possible path, or a slice that is not one.
        """
        text = str(text)
        if local_path(text).exists() or not text.endswith("]"):
            return cls(text)
        if found := SLICE.fullmatch(text):
            local_path(found["source"])
            return cls(found["source"], int(found["start"] or 0), int(found["stop"]) if found["stop"] else None)
        if NEARLY.fullmatch(text):
            raise ImageError(
                f"The slice of {text} is not understood; write [start:stop] with counts, [0:1000] for instance."
            )
        return cls(text)

    def first(self, count: int) -> "Spec":
        """The first `count` of these images.

        Raises:
            ValueError: the slice is shorter.
        """
        if self.stop is not None and self.stop - self.start < count:
            raise ValueError(f"{self} holds fewer than {count} images; choose fewer images or a longer slice")
        return replace(self, stop=self.start + count)

    @property
    def short(self) -> str:
        """As it is written, without the folders above what holds the images."""
        return str(replace(self, source=Path(self.source).name or self.source))

    def __str__(self) -> str:
        whole = self.start == 0 and self.stop is None
        return self.source if whole else f"{self.source}[{self.start}:{'' if self.stop is None else self.stop}]"


def local_path(text: str) -> Path:
    """The path of a file or folder as it was typed, with ~ for the home folder.

    Raises:
        ImageError: it is empty, an address, or no path at all (too long, or with a zero byte).
    """
    if not text.strip():
        raise ImageError("An empty name was given where an image or a data set should be named.")
    if ADDRESS.match(text):
        raise ImageError(f"{text[:200]} is an address, and addresses are not fetched: download it and name the file.")
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~ of somebody unknown
        raise ImageError(f"{text[:80]!r} is neither the name of a data set nor a path.") from error
    return path

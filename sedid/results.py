"""Results files: what a command measured, as a frozen dataclass with a version, written and read in one place.

A file is the JSON of its dataclass, with the version as its first name. What was not or cannot be measured is None, in
JSON null, and only where the type says so: no figure is NaN or infinite, in a file or in memory. A file of an earlier
version is read by the rule of its type (`Results.migrated`); one of a later version, or with fields that are missing,
unknown or of another kind, is refused in a sentence that names the first of them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from sedid.escaping import OtherFile
from sedid.storage import read_json, replacing

Row = TypeVar("Row")
Rows = Annotated[tuple[Row, ...], Field(min_length=1)]
"""One row or more."""
Interval = tuple[float, float]
"""The ends of a 95 % interval."""
Shares = dict[str, float]
"""Which share of a set gets each verdict (`detector.Call`), all of them 1 together; without any where they are unknown."""
Setting = str | int | float | bool | None | tuple[str | int | float | bool, ...]
"""A setting of a command, as it stands in a file."""

KINDS = {"dict_type": "names and values", "dataclass_type": "names and values", "tuple_type": "a list"}
"""pydantic's kind of error -> what was wanted there."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """The base of what stands in a results file.

    Attributes:
        VERSION: of the type: the next number wherever a field is renamed, goes, or means something else. A field that is
            new has a default, which says that older files have none, and the number stays.
        COMMAND: which writes such files.
    """

    VERSION: ClassVar[int]
    COMMAND: ClassVar[str]

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """The content of a file of the version before, as one of this version. May raise what a wrong content raises."""
        raise NotImplementedError

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a results file.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is no JSON, or not what the command writes (`OtherFile`).
        """
        found = read_json(file)
        try:
            version = found.pop("version", 1)  # the first versions stated none
            earlier = version == cls.VERSION - 1 and not isinstance(version, bool)
            return cls.checked(cls.migrated(found) if earlier else found, version)
        except OtherFile as error:
            raise OtherFile(f"{file} is not a results file of `python -m sedid {cls.COMMAND}`: {error}") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise OtherFile(f"{file} is not a results file of `python -m sedid {cls.COMMAND}`") from error

    @classmethod
    def checked(cls, found: Mapping[str, Any], version: object) -> Self:
        """The content of a file of this version, or of the one before as `migrated` made it.

        Raises:
            OtherFile: it is of another version or does not fit; the text is the end of a sentence.
        """
        if version not in (cls.VERSION - 1, cls.VERSION) or isinstance(version, bool):
            raise OtherFile(
                f"it has version {version!r:.20}, and this program reads {cls.VERSION - 1} and {cls.VERSION}"
            )
        kind: Any = cls
        try:
            checked: Self = _adapter(kind).validate_json(json.dumps(found), strict=True)
        except ValidationError as error:
            raise OtherFile(_sentence(error.errors(include_url=False)[0])) from None
        return checked

    def text(self) -> str:
        """What stands in the file.

        Raises:
            ValueError: a figure is not finite.
        """
        content = {"version": self.VERSION, **asdict(self)}
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, file: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ValueError: a figure is not finite.
            OSError: as `storage.replacing`.
        """
        text = self.text()
        with replacing(file) as temporary:
            temporary.write_text(text, encoding="utf-8")


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    """What reads a type: unknown fields, and figures that are not finite, are refused in all that it holds."""
    cls.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    return TypeAdapter(cls)


def _sentence(error: Any) -> str:
    """One of pydantic's errors as the end of a sentence."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "value_error":  # of a dataclass's own check
        return str(error["ctx"]["error"])
    if error["type"] == "missing":
        return f"{place} is missing"
    if error["type"] == "unexpected_keyword_argument":
        return f"{place} is unknown"
    if error["type"] == "too_short":
        return f"{place} must not be empty"
    wanted = KINDS.get(error["type"]) or error["msg"].removeprefix("Input should be ")
    return f"{place} must be {wanted}, not {error['input']!r:.60}"

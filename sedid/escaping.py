"""Texts of files that anyone may have written, made fit to stand in a page or a document.

A results file comes with a bundle, and a bundle from anywhere. HTML is made by templates, which escape every value
(`sedid.report.html`). What turns a file into Markdown first makes every text in it one that may be put into a cell of a
table (`for_markdown`).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NewType, TypeVar

from jinja2 import UndefinedError

from sedid.storage import read_json

Value = TypeVar("Value")
Markdown = NewType("Markdown", dict[str, Any])
"""A JSON file, every text in it fit for Markdown."""

MEANT = re.compile(r"[<|`\\]|&(?=#?\w+;)|\](?=[(\[:])|\s+")
"""What Markdown would take for more than text: tags, entities, cells, code, links, new lines. Asterisks and underscores
may slant a word and no more."""


def for_markdown(found: Value) -> Value:
    """A dataclass or a JSON value, every text in it, names too, one line that Markdown shows as it is."""
    escaped: Value = _every_text(found, markdown)
    return escaped


def read_markdown(file: Path) -> Markdown:
    """Read a JSON file for Markdown.

    Raises:
        FileNotFoundError, ValueError: as `read_json`.
    """
    return Markdown(for_markdown(read_json(file)))


def markdown(text: str) -> str:
    """A text as one line that Markdown shows as it is."""
    return MEANT.sub(lambda found: f"&#{ord(found[0])};" if found[0].strip() else " ", text)


def _every_text(value: Any, made: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return made(whole(value))
    if is_dataclass(value) and not isinstance(value, type):
        changed = copy(value)
        for field in fields(value):
            object.__setattr__(changed, field.name, _every_text(getattr(value, field.name), made))
        return changed
    if isinstance(value, dict):
        return {_every_text(name, made): _every_text(of_name, made) for name, of_name in value.items()}
    return type(value)(_every_text(one, made) for one in value) if isinstance(value, list | tuple) else value


def whole(text: str) -> str:
    """A text that can be encoded: halves of characters, which JSON may hold, are question marks."""
    return text.encode("utf-8", "replace").decode()


UNLIKE = (
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, StopIteration, TypeError, UndefinedError, ValueError),
)
"""What is raised where something of a file is missing or of another kind."""


class OtherFile(ValueError):
    """A file that is not what it is read as."""


@contextmanager
def written_by(command: str, file: Path) -> Iterator[None]:
    """Say which file it is whose content is not what a command writes, where something is made of that content.

    Raises:
        OtherFile: something of it is missing or of another kind.
    """
    try:
        yield
    except OtherFile:  # of a file that was read meanwhile
        raise
    except UNLIKE as error:
        raise OtherFile(f"{file} is not a results file of `python -m sedid {command}`") from error

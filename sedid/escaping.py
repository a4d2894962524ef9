"""Texts of files that anyone may have written, made fit to stand in a page or a document.

A results file comes with a bundle, and a bundle from anywhere. What turns one into HTML takes `Html`, and what turns
one into Markdown takes `Markdown`: types that only the functions here make, so that mypy refuses a file as it was
read. Every text in such a value is one that may be put between tags and into attributes, or into a cell of a table.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NewType

from markupsafe import escape

from sedid.storage import read_json

Html = NewType("Html", dict[str, Any])
Markdown = NewType("Markdown", dict[str, Any])

MEANT = re.compile(r"[<|`\\]|&(?=#?\w+;)|\](?=[(\[:])|\s+")
"""What Markdown would take for more than text: tags, entities, cells, code, links, new lines. Asterisks and underscores
may slant a word and no more."""


def for_html(found: dict[str, Any]) -> Html:
    """What was read of a JSON file, every text in it, names too, escaped for HTML (`markupsafe.Markup`)."""
    return Html(_every_text(found, escape))


def for_markdown(found: dict[str, Any]) -> Markdown:
    """What was read of a JSON file, every text in it, names too, one line that Markdown shows as it is."""
    return Markdown(_every_text(found, markdown))


def read_markdown(file: Path) -> Markdown:
    """Read a JSON file for Markdown.

    Raises:
        FileNotFoundError, ValueError: as `read_json`.
    """
    return for_markdown(read_json(file))


def markdown(text: str) -> str:
    """A text as one line that Markdown shows as it is."""
    return MEANT.sub(lambda found: f"&#{ord(found[0])};" if found[0].strip() else " ", text)


def _every_text(value: Any, made: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return made(value.encode("utf-8", "replace").decode())  # JSON may hold halves of characters
    if isinstance(value, dict):
        return {_every_text(name, made): _every_text(of_name, made) for name, of_name in value.items()}
    return [_every_text(one, made) for one in value] if isinstance(value, list) else value


def read_results(file: Path, command: str, fits: Callable[[Any], bool]) -> Any:
    """Read a results file, as it is.

    Args:
        file: where it lies.
        command: which command writes such files.
        fits: whether its content has the parts it should have; may raise what looking for them raises.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not JSON, or not what the command writes (`OtherFile`).
    """
    found = read_json(file)
    with written_by(command, file):
        if not fits(found):
            raise KeyError
    return found


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
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, StopIteration, TypeError, ValueError) as error:
        raise OtherFile(f"{file} is not a results file of `python -m sedid {command}`") from error

"""The pages of the Guide tab: the project's own documents, their links turned to where they lead inside the app.

The files are written for GitHub: links between them are relative paths, mathematics stands between dollar signs. Both
stay right there; `in_app` only changes what is shown here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sedid.paths import CHECKPOINTS, DOCS
from sedid.report.pictures import text

ORDER = (
    *(
        "quickstart",
        "verdict",
        "glossary",
        "limits",
        "faq",
        "method",
        "results",
        "training",
        "settings",
        "hosting",
        "api",
    ),
    *("add-detector", "add-dataset", "architecture"),
)
"""Names of the documents in reading order; others follow by name."""

FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
FENCED = re.compile(r"^(```.*?^```[^\n]*$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")


@dataclass(frozen=True)
class Page:
    """One document.

    Attributes:
        name: what an address calls it.
        label: what the list of pages calls it.
        title: its first heading, plain text.
    """

    name: str
    label: str
    title: str
    file: Path


def list_pages(docs: Path = DOCS, checkpoints: Path = CHECKPOINTS) -> tuple[Page, ...]:
    """The documents in reading order, then the model card of every shipped detector; empty if there are none."""
    files = {file.stem: file for file in sorted(Path(docs).glob("*.md"))}
    names = [name for name in ORDER if name in files] + [name for name in files if name not in ORDER]
    found = []
    for name in names:
        title = heading(files[name])
        found.append(Page(name, title, title, files[name]))
    for file in sorted(Path(checkpoints).glob("*/README.md")):
        name = file.parent.name
        found.append(Page(f"card-{name}", f"Model card: {name}", heading(file), file))
    return tuple(found)


def heading(file: Path) -> str:
    """The first heading of a Markdown file; its name if there is none."""
    first = re.search(r"^# +(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return first[1].strip() if first else file.stem


def page_of(pages: Sequence[Page], name: str) -> Page:
    """The page of this name; the first one if there is none."""
    return next((page for page in pages if page.name == name), pages[0])


def in_app(page: Page, pages: Sequence[Page], docs: Path = DOCS) -> str:
    """A document as Markdown for the app.

    Links to other pages become addresses of this tab; links to files of the checkout, which the app does not serve,
    become the path in words; pictures, all of this app, are left out.
    """
    places = {other.file.resolve(): other.name for other in pages}
    root = Path(docs).resolve().parent

    def turned(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        if picture:
            return ""
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            return found[0]
        file = (page.file.parent / path).resolve() if path else page.file.resolve()
        if file in places:
            return f"[{words}](?tab=guide&doc={places[file]}{'#' * bool(anchor)}{anchor})"
        named = f"`{file.relative_to(root).as_posix()}`" if file.is_relative_to(root) else f"`{path}`"
        return named if words.strip("`") == named.strip("`") else f"{words} ({named})"

    whole = FRONT_MATTER.sub("", page.file.read_text(encoding="utf-8"))
    parts = FENCED.split(whole)
    return "".join(part if part.startswith("```") else LINK.sub(turned, part) for part in parts)


def contents(pages: Sequence[Page]) -> str:
    """The list of pages, HTML; which one is open, the page's script marks."""
    links = "".join(
        f'<li><a href="?tab=guide&amp;doc={text(page.name)}" data-page="{text(page.name)}" '
        f'data-title="{text(page.title)}">{text(page.label)}</a></li>'
        for page in pages
    )
    return f'<nav class="guide-nav" aria-label="Pages of the guide"><ul>{links}</ul></nav>'

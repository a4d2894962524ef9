"""Gradio's own files that this page needs, all asked for at once.

Gradio's scripts learn of each other step by step: the page asks for some, reads them, and asks for the next, four times over,
and each kind of component brings a style sheet of a few hundred bytes. What is needed is known beforehand, from the kinds of
components and from the lists that Gradio's build left in its scripts. So the document names every script at once, and the style
sheets come as one file. Where the lists are written otherwise, nothing is found, and Gradio goes its own way.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import chain
from pathlib import Path

ASSETS = "/assets/"
"""Where Gradio serves its scripts and style sheets; their names tell their content."""
SHEET = f"{ASSETS}all-"
"""What the path of our sheet begins with, and none of Gradio's."""
ENTRY = re.compile(r'src="\./assets/(index-[\w-]+\.js)"')
LISTED = re.compile(r"m\.f=\[([^\]]*)\]")
IMPORTED = re.compile(r"import\(`\./([\w.-]+\.js)`\)[^`]*?__vite__mapDeps\(\[([\d,]*)\]\)")


BROTLI = "br"
"""As requests and answers name this way to compress; Gradio brings it along."""
NAME = re.compile(rf"{ASSETS}([\w.-]+\.(?:js|css))")


def packed(content: bytes, quality: int) -> bytes:
    """Compressed by Brotli; the best quality, 11, takes a second a megabyte, 6 a hundredth of that."""
    import brotli

    return bytes(brotli.compress(content, quality=quality))


packed_once = lru_cache(400)(packed)
"""For what never changes."""
packed_lately = lru_cache(8)(packed)
"""For documents, the same for all visitors who know the server by one name."""


def content(path: str) -> bytes | None:
    """Gradio's script or style sheet of this address; None where there is none."""
    from gradio import routes

    found = NAME.fullmatch(path)
    file = Path(routes.BUILD_PATH_LIB).parent / "assets" / found[1] if found else None
    return file.read_bytes() if file is not None and file.is_file() else None


@dataclass(frozen=True)
class Parts:
    """What a page is made of.

    Attributes:
        scripts, styles: names of files in Gradio's folder, in the order of loading.
        sheet: the styles as one text.
    """

    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    sheet: str = ""

    @cached_property
    def path(self) -> str:
        """Of the sheet: beside those it is made of, since it may name others; another one when it changes."""
        return f"{SHEET}{hashlib.sha256(self.sheet.encode()).hexdigest()[:16]}.css"

    @property
    def early(self) -> str:
        """What the document's head begins with: the names of all that is to be fetched."""
        scripts = [f'<link rel="modulepreload" crossorigin href=".{ASSETS}{name}">' for name in self.scripts]
        return "".join([f'<link rel="preload" as="style" href=".{self.path}">', *scripts]) if scripts else ""

    @property
    def late(self) -> str:
        """What it ends with: the style sheet, over those that Gradio's document names itself.

        Gradio's scripts ask for no style sheet that the document has; a disabled one is never fetched.
        """
        styles = [f'<link rel="stylesheet" disabled href=".{ASSETS}{name}">' for name in self.styles]
        return "".join([f'<link rel="stylesheet" href=".{self.path}">', *styles]) if styles else ""


@cache
def parts(kinds: frozenset[str], frontend: Path) -> Parts:
    """What a page of these kinds of components needs.

    Args:
        kinds: what the app's configuration calls the types of its components.
        frontend: Gradio's folder with `index.html` and `assets/`.
    """
    folder = frontend / "assets"

    def text(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8") if name else ""

    entry = ENTRY.search((frontend / "index.html").read_text(encoding="utf-8"))
    first = entry[1] if entry else ""
    app = _first(_imports(text(first)), "Index-")
    inside = _first(_imports(text(app[0] if app else "")), "Blocks-")
    core = next((name for name in inside if name.startswith("core-")), "")
    if not core:
        return Parts()
    found = dict.fromkeys([first, *app, *inside, *chain(*_components(text(core), kinds))])  # a set that keeps the order
    there = [name for name in found if (folder / name).is_file()]
    styles = tuple(name for name in there if name.endswith(".css") and not name.startswith("index-"))  # which is named
    return Parts(tuple(name for name in there if name.endswith(".js")), styles, "\n".join(map(text, styles)))


def of_app(app: object) -> Parts:
    """What the page of a Gradio server needs."""
    from gradio import routes

    components = app.get_blocks().config["components"]  # type: ignore[attr-defined]
    kinds = frozenset(one["type"] for one in components if one["props"].get("visible") is not False)
    return parts(kinds, Path(routes.BUILD_PATH_LIB).parent)


def _imports(script: str, start: int = 0) -> Iterator[list[str]]:
    """What each `import()` of a script asks for, from a place on: the script it names, then all that this one needs."""
    listed = LISTED.search(script)
    names = [name.strip('"').removeprefix("./") for name in listed[1].split(",")] if listed else []
    for found in IMPORTED.finditer(script, start):
        yield [found[1], *(names[int(number)] for number in found[2].split(",") if number)]


def _first(imports: Iterable[list[str]], name: str) -> list[str]:
    return next((needed for needed in imports if needed[0].startswith(name)), [])


def _components(core: str, kinds: Iterable[str]) -> Iterator[list[str]]:
    """What each kind of component asks for."""
    for kind in sorted(kinds):
        if place := re.search(rf"\b{re.escape(kind)}:\{{[^{{}}]*?component:", core):
            yield _first(_imports(core, place.end()), "")

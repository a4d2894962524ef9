"""The page's JavaScript, `static/*.js`: modules, each made into what Gradio runs.

Gradio takes JavaScript as text: of a component, run once with its `element` and `trigger`, and of an event, a function.
A module's imports are put in its place, so that lint and tests see modules and the page asks for no file; but what is imported by
`import()`, the page asks for when it comes to that.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
IMPORT = re.compile(r"^import \{[^}]*\} from '\./(\w+)\.js';\n", re.MULTILINE)
LATER = re.compile(r"import\('\./(\w+)\.js'\)")
SERVED = re.compile(r"/assets/later-(\w+)-\w+\.js")
"""Where the page asks for a module; the second part of its name tells its content."""


def whole(name: str) -> str:
    """A module with what it imports from beside it in its place."""
    source = (STATIC / f"{name}.js").read_text(encoding="utf-8")
    imported = "".join(statements(other) for other in IMPORT.findall(source))
    asked = LATER.sub(
        lambda found: f"import(new URL('.{address(found[1])}', document.baseURI))", IMPORT.sub("", source)
    )
    return imported + asked


@cache
def statements(name: str) -> str:
    """A module with what it imports, none of it exported."""
    return re.sub(r"^export ", "", whole(name), flags=re.MULTILINE)


@cache
def address(name: str) -> str:
    """Where the page asks for a module."""
    return f"/assets/later-{name}-{hashlib.sha256(whole(name).encode()).hexdigest()[:16]}.js"


def served(path: str) -> str | None:
    """The module that the page asks for there; None where there is none."""
    found = SERVED.fullmatch(path)
    known = found is not None and (STATIC / f"{found[1]}.js").is_file() and path == address(found[1])
    return whole(found[1]) if found and known else None


def on_load(name: str) -> str:
    """For `js_on_load`: a module's `start`."""
    return f"{statements(name)}start({{ element, trigger, watch }});"


def function(name: str, called: str, *given: str | bool) -> str:
    """For the `js` of an event: a module's function, of these values and then the event's own."""
    values = "".join(f"{json.dumps(value)}, " for value in given)
    return f"(...own) => {{ {statements(name)}return {called}({values}...own); }}"

"""The page's JavaScript, `static/*.js`: modules, each made into what Gradio runs.

Gradio takes JavaScript as text: of a component, run once with its `element` and `trigger`, and of an event, a function.
A module's imports are put in its place, so that lint and tests see modules and the page asks for no file.
"""

import json
import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
IMPORT = re.compile(r"^import \{[^}]*\} from '\./(\w+)\.js';\n", re.MULTILINE)


@cache
def statements(name: str) -> str:
    """A module with what it imports from beside it, none of it exported."""
    source = (STATIC / f"{name}.js").read_text(encoding="utf-8")
    imported = "".join(statements(other) for other in IMPORT.findall(source))
    return imported + re.sub(r"^export ", "", IMPORT.sub("", source), flags=re.MULTILINE)


def on_load(name: str) -> str:
    """For `js_on_load`: a module's `start`."""
    return f"{statements(name)}start({{ element, trigger, watch }});"


def function(name: str, called: str, *given: str | bool) -> str:
    """For the `js` of an event: a module's function, of these values and then the event's own."""
    values = "".join(f"{json.dumps(value)}, " for value in given)
    return f"(...own) => {{ {statements(name)}return {called}({values}...own); }}"

"""The style sheets, `static/*.css`: read for reports, which hold them, and named for the page, which serves them."""

import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
SHARED = ("tokens", "parts", "charts", "results")
"""What page and reports have in common; the palette first."""

COLOUR = re.compile(r"^\s*--([\w-]+): (?:light-dark\((#\w{6}), (#\w{6})\)|(#\w{6}));$", re.MULTILINE)


@cache
def css(*names: str) -> str:
    """Style sheets of the reports, in this order."""
    return "".join((STATIC / f"{name}.css").read_text(encoding="utf-8") for name in names)


@cache
def palette(dark: bool = False) -> dict[str, str]:
    """The colours of `static/tokens.css` by name, as #rrggbb, for what cannot read CSS: figures, Gradio's theme."""
    found = COLOUR.findall(css("tokens"))
    return {name: alike or (on_dark if dark else on_light) for name, on_light, on_dark, alike in found}

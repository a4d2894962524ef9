"""HTML from templates: `templates/*.html`, in which every value is escaped unless it is HTML already (`markupsafe.Markup`)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sedid.report.pictures import GRADIENT, data_uri, number

TEMPLATES = Path(__file__).parent / "templates"


def renderer(*folders: Path) -> Callable[..., Markup]:
    """What renders the templates of some folders; a name that none of them has, or no value, is an error.

    Templates know the filters `number` and `data_uri` of `sedid.report.pictures`, and its GRADIENT.

    Returns:
        A function of a template's name and its values by name; it gives HTML.
    """
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"number": number, "data_uri": data_uri, "percent": "{:.0%}".format}
    environment.globals |= {"GRADIENT": GRADIENT}
    return partial(_rendered, environment)


def _rendered(environment: Environment, name: str, /, **values: Any) -> Markup:
    made = environment.get_template(name).render(values)
    return Markup(made.encode("utf-8", "replace").decode())  # JSON may hold halves of characters


render = renderer(TEMPLATES)
"""Of the templates that page and reports share."""

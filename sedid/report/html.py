"""HTML from templates: `templates/*.html`, in which every value is escaped unless it is HTML already (`markupsafe.Markup`)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sedid.escaping import whole
from sedid.method.diffusion import pair_in_words, write_steps
from sedid.report import numbers
from sedid.report.pictures import GRADIENT, data_uri, number, preview

TEMPLATES = Path(__file__).parent / "templates"


def renderer(*folders: Path) -> Callable[..., Markup]:
    """What renders the templates of some folders; a name that none of them has, or no value, is an error.

    Templates know the filters `number`, `data_uri` and `preview` of `sedid.report.pictures`, and its GRADIENT; the functions of
    `sedid.report.numbers` as filters; and `pair_in_words` and `write_steps`.

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
    filters = (number, data_uri, preview, numbers.cell, numbers.between, numbers.percent, numbers.p_value, term)
    environment.filters |= {function.__name__: function for function in filters}
    environment.globals |= {"GRADIENT": GRADIENT, "pair_in_words": pair_in_words, "write_steps": write_steps}
    return partial(_rendered, environment)


def term(word: str, entry: str = "") -> Markup:
    """A word of the glossary (`docs/glossary.md`), which the page explains where it stands; in a document it is plain text.

    Args:
        entry: what the glossary has it under, if not as the word itself.
    """
    return Markup('<span class="sed-term" data-term="{}">{}</span>').format(entry or word, word)


def _rendered(environment: Environment, name: str, /, **values: Any) -> Markup:
    return Markup(whole(environment.get_template(name).render(values)))


render = renderer(TEMPLATES)
"""Of the templates that page and reports share."""

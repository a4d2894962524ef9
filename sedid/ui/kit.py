"""Small parts of which every tab is built."""

from collections.abc import Callable
from typing import Any

import gradio as gr
from markupsafe import Markup

from sedid.ui.scripts import function, on_load

LIGHT: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""How an event is wired whose work is done before anyone would look for a sign of it."""
UNCHECKED: dict[str, Any] = {"preprocess": False}
"""For events that take a choice out of a list that changes: a page may send one that has gone before it hears so. Gradio would
show the visitor an error; the event gets what was sent, and finds out what has become of it."""
VISITORS = 32  # whose events evaluate networks at the same time, in batches that they share
NETWORK: dict[str, Any] = {"concurrency_id": "network", "concurrency_limit": VISITORS}
"""For every event that evaluates a network."""
RESULTS = "sed res"
"""The classes of a part that shows results."""


def html(value: str, name: str, script: str = "", kind: str = "sed") -> gr.HTML:
    """A part of the page that this package renders itself.

    Args:
        name: its id.
        script: of `ui/scripts`, which runs when the part is there; "" for none.
        kind: its classes.
    """
    run = on_load(script) if script else None
    return gr.HTML(value, elem_id=name, elem_classes=kind.split(), js_on_load=run, apply_default_css=False)


def only(event: Callable[..., gr.events.Dependency], test: str, *given: str, of: Any = None) -> Callable[..., Any]:
    """An event of which the server hears only if the page finds that it has to.

    Args:
        event: what wires it, e.g. a component's `change`.
        test, given: function of `static/only.js`, and its first values.
        of: component whose value is the last one.

    Returns:
        What wires the handler.
    """
    return event(None, of, None, js=function("only", test, *given), **LIGHT).success


def paragraph(words: str) -> Markup:
    """Plain text as a part shows it."""
    return Markup("<p>{}</p>").format(words)


def this_tab() -> gr.Tab:
    """The tab being built."""
    tab = gr.context.Context.block
    assert isinstance(tab, gr.Tab)
    return tab

"""A panel of the Inspect tab that is drawn only while it is open."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sedid.ui.inspect.events import Inspector, Updates, Visit, visited
from sedid.ui.kit import LIGHT, html
from sedid.ui.upload import refusal


@dataclass(frozen=True)
class Panel:
    """The components of the panel."""

    box: gr.Accordion
    shown: gr.HTML
    opened: gr.State


def layout(title: str, name: str, shown: str) -> Panel:
    """The panel, closed.

    Args:
        name, shown: ids of the panel and of what it shows.
    """
    opened = gr.State(False)
    with gr.Accordion(title, open=False, elem_id=name, elem_classes="sed-after") as box:
        part = html("", shown)
    return Panel(box, part, opened)


def wire(
    panel: Panel, inspector: Inspector, view: list[Any], follows: gr.HTML, draw: Callable[[Inspector, Visit], str]
) -> None:
    """Connect the panel.

    Args:
        view: state and switches, as `visited` takes them.
        follows: the part of the tab whose change means that the panel has something else to show.
        draw: what it shows of a visit that shows an image, as HTML; what it raises as OSError or ValueError is said.
    """

    def show(visit: Visit, opened: bool) -> Updates:
        if not opened:
            return gr.skip()
        if visit.shown is None:
            return {panel.shown: ""}
        try:
            return {panel.shown: draw(inspector, visit)}
        except (OSError, ValueError) as error:
            raise refusal(error) from error

    showing: dict[str, Any] = {"fn": visited(show), "inputs": [panel.opened, *view], "outputs": [panel.shown], **LIGHT}
    panel.box.expand(lambda: True, None, panel.opened, queue=False, **LIGHT).then(**showing)
    panel.box.collapse(lambda: False, None, panel.opened, queue=False, **LIGHT)
    follows.change(**showing)

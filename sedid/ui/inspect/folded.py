"""A panel of the Inspect tab that is drawn only while it is open."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sedid.ui.inspect.events import Inspector, Updates, Visit, visited
from sedid.ui.kit import LIGHT, html, only
from sedid.ui.upload import refusal


@dataclass(frozen=True)
class Panel:
    """The components of the panel."""

    box: gr.Accordion
    shown: gr.HTML


@dataclass(frozen=True)
class Folded:
    """Such a panel as it is described.

    Attributes:
        name, shown: ids of the panel and of what it shows.
        follows: the part of the tab (a field of `events.Parts`) whose change means that it has something else to show.
        draw: what it shows of a visit that shows an image, as HTML; what it raises as OSError or ValueError is said.
    """

    title: str
    name: str
    shown: str
    follows: str
    draw: Callable[[Inspector, Visit], str]

    def layout(self) -> Panel:
        """The panel, closed."""
        with gr.Accordion(self.title, open=False, elem_id=self.name, elem_classes="sed-after") as box:
            part = html("", self.shown)
        return Panel(box, part)

    def wire(self, panel: Panel, inspector: Inspector, view: list[Any]) -> None:
        """Connect the panel.

        Args:
            view: state and switches, as `visited` takes them.
        """

        def show(visit: Visit) -> Updates:
            if visit.shown is None:
                return {panel.shown: ""}
            try:
                return {panel.shown: self.draw(inspector, visit)}
            except (OSError, ValueError) as error:
                raise refusal(error) from error

        showing: dict[str, Any] = {"fn": visited(show), "inputs": view, "outputs": [panel.shown], **LIGHT}
        panel.box.expand(**showing)
        only(getattr(inspector.parts, self.follows).change, "open", self.name)(**showing)

"""The panel "Was the network trained on this picture?" of the Inspect tab, apart from the verdict on its origin."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from sedid.report.membership import panel as drawn
from sedid.studies.membership import membership
from sedid.ui.inspect.events import Inspector, Updates, Visit, visited
from sedid.ui.kit import LIGHT, html
from sedid.ui.upload import refusal


@dataclass(frozen=True)
class Panel:
    """The components of the panel."""

    box: gr.Accordion
    shown: gr.HTML
    opened: gr.State


def layout() -> Panel:
    """The panel, closed."""
    opened = gr.State(False)
    title = "Was the network trained on this picture?"
    with gr.Accordion(title, open=False, elem_id="member", elem_classes="sed-after") as box:
        shown = html("", "member-shown")
    return Panel(box, shown, opened)


def wire(panel: Panel, inspector: Inspector, view: list[Any]) -> None:
    """Connect the panel; it is drawn while it is open, and follows image, k and T_SEC.

    Args:
        view: state and switches, as `visited` takes them.
    """

    def show(visit: Visit, opened: bool) -> Updates:
        if not opened:
            return gr.skip()
        if visit.shown is None:
            return {panel.shown: ""}
        detector = inspector.detector(visit.source)
        trace = inspector.context.traces.walk(detector, visit.shown.image, visit.shown.k)
        try:
            found = membership(detector, visit.shown.image, detector.judge(trace, visit.shown.t_sec))
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        return {panel.shown: drawn(found)}

    showing: dict[str, Any] = {"fn": visited(show), "inputs": [panel.opened, *view], "outputs": [panel.shown], **LIGHT}
    panel.box.expand(lambda: True, None, panel.opened, queue=False, **LIGHT).then(**showing)
    panel.box.collapse(lambda: False, None, panel.opened, queue=False, **LIGHT)
    inspector.parts.heat.change(**showing)  # another image, k or T_SEC

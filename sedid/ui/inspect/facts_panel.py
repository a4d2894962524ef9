"""The panel "About the file" of the Inspect tab: what the file says of itself, apart from the verdict."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from sedid.data.file_facts import FileFacts, file_facts
from sedid.report import evidence
from sedid.ui.inspect.events import Inspector, Updates, Visit, visited
from sedid.ui.inspect.view import Shown
from sedid.ui.kit import LIGHT, html
from sedid.ui.upload import refusal

GONE = "The file of this image is no longer here: uploads live for an hour. Upload it again."
NO_FILE = '<p class="sed-fine">This image did not come from a file.</p>'


@dataclass(frozen=True)
class Panel:
    """The components of the panel."""

    box: gr.Accordion
    shown: gr.HTML
    opened: gr.State


def layout() -> Panel:
    """The panel, closed."""
    opened = gr.State(False)
    with gr.Accordion("About the file", open=False, elem_id="file-facts", elem_classes="sed-after") as box:
        shown = html("", "facts-shown")
    return Panel(box, shown, opened)


def facts_of(shown: Shown) -> FileFacts | None:
    """The facts of the file an image came from; None if it came from none.

    Raises:
        ImageError: the file is too large.
        ValueError: an upload that has been removed meanwhile.
    """
    if shown.file is None:
        return None
    if not isinstance(shown.file, bytes) and not shown.file.is_file():
        raise ValueError(GONE)
    return file_facts(shown.file, shown.name)


def wire(panel: Panel, inspector: Inspector, view: list[Any]) -> None:
    """Connect the panel; the facts are read while it is open.

    Args:
        view: state and switches, as `visited` takes them.
    """

    def show(visit: Visit, opened: bool) -> Updates:
        if not opened:
            return gr.skip()
        if visit.shown is None:
            return {panel.shown: ""}
        try:
            facts = facts_of(visit.shown)
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        return {panel.shown: NO_FILE if facts is None else evidence.facts_table(facts)}

    showing: dict[str, Any] = {"fn": visited(show), "inputs": [panel.opened, *view], "outputs": [panel.shown], **LIGHT}
    panel.box.expand(lambda: True, None, panel.opened, queue=False, **LIGHT).then(**showing)
    panel.box.collapse(lambda: False, None, panel.opened, queue=False, **LIGHT)
    inspector.parts.seen.change(**showing)  # another image

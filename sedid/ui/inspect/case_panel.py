"""The case report of the Inspect tab: all that was found about the image as one file, made and saved on a click.

The file travels in the answer and is saved by the browser; nothing of it is kept on the server.
"""

import re
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sedid.detector.detector import Inspection
from sedid.report.case import Extras, case_report
from sedid.ui.inspect import stability_panel, tiles_panel
from sedid.ui.inspect.events import Inspector, Visit, visited
from sedid.ui.inspect.facts_panel import facts_of
from sedid.ui.inspect.stability_panel import Checked
from sedid.ui.inspect.tiles_panel import Tiled
from sedid.ui.kit import NETWORK
from sedid.ui.scripts import function
from sedid.ui.upload import refusal

ABOUT = (
    "<h2>Case report</h2><p>All of the above as one page to keep or print: the exact pixels, their hash, every parameter and "
    "where it came from, the figures and the limits. With the stability check and the tiles, if you ran them.</p>"
)


@dataclass(frozen=True)
class Panel:
    """The components of the panel."""

    make: gr.Button
    made: gr.JSON


def layout() -> Panel:
    """The words and the button."""
    with gr.Column(elem_classes="sed-after", elem_id="case"):
        gr.HTML(ABOUT, js_on_load=None, apply_default_css=False, elem_classes="sed")
        with gr.Row():
            make = gr.Button("Save the case report", size="sm", elem_id="case-make", scale=0, min_width=220)
    return Panel(make, gr.JSON(visible=False))


def file_name(name: str) -> str:
    """A safe file name for the case of an image."""
    stem = re.sub(r"[^\w-]+", "-", name.rpartition(".")[0] or name).strip("-")[:60]
    return f"case-{stem or 'image'}.html"


def wire(panel: Panel, inspector: Inspector, checked: gr.State, tiled: gr.State, view: list[Any]) -> None:
    """Connect the panel.

    Args:
        checked, tiled: results of the stability check and of the tiles, put in if they belong to what is shown.
        view: as `resave_panel.wire`.
    """

    def make(visit: Visit, stable: Checked, tiles: Tiled | None) -> dict[str, str] | None:
        shown = visit.shown
        if shown is None:
            return None
        try:
            detector = inspector.detector(visit.source)
            trace = inspector.context.traces.walk(detector, shown.image, shown.k)
            stability = stable[1] if stable is not None and stable[0] == stability_panel.subject(visit) else None
            tiles = tiles if tiles is not None and tiles.subject == tiles_panel.subject(visit) else None
            extras = Extras(facts_of(shown), stability, tiles.found if tiles else None, tiles.preview if tiles else "")
            found = Inspection(trace, detector.judge(trace, shown.t_sec), shown.notes)
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        name = shown.name or "image"
        return {"name": file_name(name), "html": case_report(detector, found, name, extras)}

    making = panel.make.click(
        visited(make),
        [checked, tiled, *view],
        panel.made,
        api_visibility="private",
        show_progress_on=panel.make,
        **NETWORK,
    )
    making.success(None, panel.made, None, js=function("files", "save"), api_visibility="private")

"""The panel "Tiles at full size" of the Inspect tab: a picture larger than the model, piece by piece, nothing resized.

A tile can be opened as the image under inspection; the image input keeps showing the whole picture meanwhile.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from sedid.data.images import read_image
from sedid.detector.tiles import MAX_EVALUATIONS, MAX_TILES, PatchMap, cut, plan
from sedid.report import evidence
from sedid.report.pictures import preview
from sedid.ui.inspect.events import Inspector, Updates, Visit, visited, whole
from sedid.ui.inspect.view import GONE, Shown
from sedid.ui.kit import LIGHT, NETWORK, html, only
from sedid.ui.scripts import function
from sedid.ui.server import access
from sedid.ui.traces import Stopped
from sedid.ui.upload import refusal

ABOUT = (
    "<p>The verdicts above are of the <b>whole picture, made small</b>. Here the picture keeps its size: it is cut into tiles as "
    f"large as the model's own pictures, at most {MAX_TILES}, and each one is judged.</p>"
)


@dataclass(frozen=True)
class Tiled:
    """The tiles of a picture as a session keeps them.

    Attributes:
        subject: (detector, file, k, T_SEC) they belong to.
        found, tiles: the map, and uint8 (N, size, size, 3).
        whole: the inspection of the whole picture.
        notes: what decoding the file did.
        preview: data URI of the picture under the map.
    """

    subject: tuple[Any, ...]
    found: PatchMap
    tiles: np.ndarray
    whole: Shown
    notes: tuple[str, ...]
    preview: str


@dataclass(frozen=True)
class Panel:
    """The components of the panel; `back` stands apart from it, beside what the detector sees."""

    box: gr.Accordion
    run: gr.Button
    shown: gr.HTML
    tiled: gr.State
    back: gr.Button


def back_button() -> gr.Button:
    """The way from a tile back to its picture; in sight while one is open (`static/page.css`)."""
    return gr.Button("Back to the whole picture", size="sm", elem_id="tile-back")


def layout(back: gr.Button) -> Panel:
    """The panel, closed."""
    title = "Tiles at full size: for pictures larger than the model"
    with gr.Accordion(title, open=False, elem_id="tiles", elem_classes="sed-after") as box:
        gr.HTML(ABOUT, js_on_load=None, apply_default_css=False, elem_classes="sed")
        with gr.Row():
            run = gr.Button("Score the tiles", size="sm", elem_id="tiles-run", scale=0, min_width=220)
        shown = html("", "tiled", "tiles")
    return Panel(box, run, shown, gr.State(None), back)


def subject(visit: Visit) -> tuple[Any, ...]:
    """What a map of tiles is about."""
    assert visit.shown is not None
    return visit.source, visit.shown.stamp, visit.shown.k, visit.shown.t_sec


def budget() -> int:
    """Network evaluations that the tiles of one picture may take; on a public page half of a visitor's share."""
    return min(MAX_EVALUATIONS, access.PAGE_EVALUATIONS // 2) if access.is_public() else MAX_EVALUATIONS


@dataclass(frozen=True)
class Tiler:
    """What the events of the panel do."""

    inspector: Inspector
    panel: Panel

    def run(self, visit: Visit) -> Updates:
        """Judge the tiles of the whole picture at the present k and T_SEC."""
        shown, wanted = self.inspector.asking(visit)
        if shown is None:
            return gr.skip()
        visit, traces = replace(visit, shown=shown), self.inspector.context.traces
        detector = self.inspector.detector(visit.source)

        def report(done: int, total: int) -> None:
            visit.progress((done, total), desc=f"{len(grid)} tiles: step {done} of {total}", unit="steps")

        try:
            content = shown.content()
            if content is None:
                raise ValueError(GONE)
            picture = read_image(content, shown.name or None)
            each = detector.evaluations(shown.k, detector.reach(shown.k, shown.t_sec))
            grid = plan(picture.width, picture.height, detector.size, each, budget())
            tiles = cut(np.asarray(picture.image), grid)
            judged = traces.judge(detector, tiles, shown.k, shown.t_sec, wanted, report)
        except Stopped:
            return gr.skip()
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        found, uri = PatchMap(grid, shown.k, shown.t_sec, tuple(judged)), preview(picture.image)
        made = Tiled(subject(visit), found, tiles, shown.whole or shown, picture.notes, uri)
        return {self.panel.tiled: made, self.panel.shown: evidence.patch_part(found, uri)}

    def outdate(self, visit: Visit, tiled: Tiled | None) -> Updates:
        """Another image, k, T_SEC or detector: the map goes."""
        if tiled is None or (visit.shown is not None and tiled.subject == subject(visit)):
            return gr.skip()
        return {self.panel.tiled: None, self.panel.shown: ""}

    def open(self, visit: Visit, tiled: Tiled | None) -> Updates:
        """A tile was clicked: it becomes the image under inspection."""
        place = whole(visit.sent("tile"), -1)
        if tiled is None or visit.shown is None or tiled.subject != subject(visit) or not 0 <= place < len(tiled.tiles):
            return gr.skip()
        grid, (left, top) = tiled.found.grid, tiled.found.grid.corners[place]
        where = (
            f"tile {place + 1} of {len(grid)}, at column {left}, row {top} of the {grid.width}x{grid.height} picture"
        )
        notes = (*tiled.notes, f"{where}; not resized")
        tile = replace(tiled.whole, image=tiled.tiles[place], notes=notes, example="", whole=tiled.whole)
        return self.go(visit, tile)

    def back(self, visit: Visit) -> Updates:
        """From a tile to the whole picture."""
        if visit.shown is None or visit.shown.whole is None:
            return gr.skip()
        return self.go(visit, visit.shown.whole)

    def go(self, visit: Visit, there: Shown) -> Updates:
        """Inspect another image at the present k and T_SEC."""
        assert visit.shown is not None
        try:
            detector = self.inspector.detector(visit.source)
            return self.inspector.analyse(visit, detector, replace(there, k=visit.shown.k, t_sec=visit.shown.t_sec))
        except Stopped:
            return gr.skip()


def wire(panel: Panel, inspector: Inspector, view: list[Any], walking: gr.HTML) -> list[gr.events.Dependency]:
    """Connect the panel; arguments as `resave_panel.wire`.

    Returns:
        The events that bring another image under inspection.
    """
    on, parts = Tiler(inspector, panel), inspector.parts
    heavy: dict[str, Any] = {"show_progress_on": panel.shown, "api_visibility": "private", **NETWORK}
    made = [panel.tiled, panel.shown]
    panel.run.click(visited(on.run), view, made, **heavy)
    changes = [parts.verdicts.change, parts.seen.change]
    outdated = only(partial(gr.on, changes), "filled", of=panel.shown)
    outdated(visited(on.outdate), [panel.tiled, *view], made, **LIGHT)
    opening: dict[str, Any] = {"outputs": parts.all(), **heavy, "show_progress_on": walking}
    opened = panel.shown.select(visited(on.open), [panel.tiled, *view], trigger_mode="always_last", **opening)
    returned = panel.back.click(visited(on.back), view, **opening)
    for event in (opened, returned):
        event.success(None, parts.seen, None, js=function("tiles", "opened"), **LIGHT)
    return [opened, returned]

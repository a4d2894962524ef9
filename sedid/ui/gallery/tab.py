"""The Gallery tab: the reference set as a grid, many files at once, two images side by side. The detector is that of the head."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from sedid.data.images import ImageError
from sedid.detector.detector import GENERATED, REAL
from sedid.report.pictures import text
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.gallery import many_panel, pair_panel
from sedid.ui.gallery.reference import FILTERS, SORTS, Library
from sedid.ui.gallery.view import INSPECT, LEFT, RIGHT, grid, legend, unscored
from sedid.ui.inspect.events import NO_DETECTOR, asked, whole
from sedid.ui.kit import LIGHT, NETWORK, html, this_tab
from sedid.ui.upload import refusal

TITLE = "Gallery"
OPENING = '<div class="sed-state">Opening the reference set …</div>'
BENCH = "gallery-bench"
AT_ONCE = 24  # pictures of a bundle that are scored without being asked to
LABELS = {"both": "", "real": REAL, "generated": GENERATED}


def build(context: Context, head: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    tab, page = this_tab(), Page(Library(context))
    with gr.Tabs(elem_id="gallery") as parts:
        with gr.Tab("Reference set", id="gallery-reference"):
            with gr.Row():
                sort = choice("Sort by", SORTS, "turns", "sort", 225)
                largest = choice("Order", {"lowest first": False, "highest first": True}, True, "order", 185)
                label = choice("Label", LABELS, "", "label", 110)
                verdict = choice("Verdict", FILTERS, "", "verdict", 126)
                where = {"Inspect": INSPECT, "Compare: A": LEFT, "B": RIGHT}
                click = gr.Radio(
                    list(where.items()),
                    value=INSPECT,
                    label="A click takes a picture to",
                    elem_id="gallery-click",
                    min_width=350,
                    scale=2,
                )
            about = html("", "gallery-about", "gallery")
            shown = html(OPENING, "gallery-grid", "gallery")
            with gr.Row():
                compute = gr.Button(
                    "Score the reference set now", variant="primary", visible=False, elem_id="gallery-compute"
                )
        with gr.Tab("Many files", id="gallery-batch"):
            many_panel.build(context, head)
        with gr.Tab("Two images", id=BENCH) as third:
            compare = pair_panel.build(context, head, tab, third)
    timer = gr.Timer(0.5, active=False)

    view, at = [head.source, sort, largest, label, verdict, click], gr.State(0)
    outputs = [shown, about, compute, timer, at]
    tab.select(page.look, [*view, at], outputs, **LIGHT)
    gr.on([sort.input, largest.input, label.input, verdict.input, click.input], page.look, view, outputs, **LIGHT)
    head.follow("gallery", page.look, view, outputs, show_progress="hidden")
    compute.click(page.begin, view, outputs, **LIGHT)
    timer.tick(page.work, view, outputs, **LIGHT, **NETWORK)
    chosen = gr.State()
    sent = shown.select(page.sent, view, [shown, at, chosen, parts], **LIGHT)
    compare(sent, chosen)


def choice(label: str, choices: dict[str, Any], value: Any, name: str, width: int) -> gr.Dropdown:
    """One of a few values, by what the page calls them."""
    return gr.Dropdown(
        list(choices.items()),
        value=value,
        label=label,
        filterable=False,
        elem_id=f"gallery-{name}",
        min_width=width,
    )


@dataclass(frozen=True)
class Page:
    """What the events of the reference set do; `source` is always the key of the detector in use."""

    library: Library

    def look(
        self, source: str, sort: str, largest: bool, label: str, verdict: str, click: str, at: int = 0
    ) -> list[Any]:
        """The grid as the controls want it, or what stands in for it.

        Args:
            at: the page, from 0.

        Returns:
            Grid, legend, button, timer and page.
        """
        hidden, still = gr.Button(visible=False), gr.Timer(active=False)
        try:
            shelf = self.library.shelf(source)
        except (OSError, ValueError) as error:
            # only what is said of the sample names no folder of this machine
            why = str(error) if isinstance(error, ImageError) else NO_DETECTOR
            return [f'<div class="sed-state"><b>{text(why)}</b></div>', "", hidden, still, 0]
        reference = shelf.reference()
        if reference is not None:
            places = reference.chosen(sort, largest, label, verdict)
            return [grid(reference, places, at, click), legend(shelf.detector, shelf.known), hidden, still, at]
        if shelf.known.brought and shelf.known.count <= AT_ONCE:
            shelf.compute()
        computing = shelf.computation
        state = unscored(shelf.detector, shelf.why, computing.progress() if computing else None)
        return [state, "", gr.Button(visible=computing is None), gr.Timer(active=computing is not None), 0]

    def begin(self, source: str, *view: Any) -> list[Any]:
        """Start to score the set, or join those who wait for it."""
        try:
            self.library.shelf(source).compute()
        except (OSError, ValueError) as error:
            raise refusal(ValueError(NO_DETECTOR)) from error
        return self.look(source, *view)

    def work(self, source: str, *view: Any) -> list[Any]:
        """A second's work on the scores."""
        computing = self.library.shelf(source).computation
        if computing is not None:
            try:
                computing.advance()
            except gr.Error as error:  # this visitor has had their share; another may go on
                gr.Warning(error.message)
                return [gr.skip(), gr.skip(), gr.Button(visible=True), gr.Timer(active=False), 0]
        return self.look(source, *view)

    def sent(
        self, source: str, sort: str, largest: bool, label: str, verdict: str, click: str, event: gr.EventData
    ) -> list[Any]:
        """A page was turned, or a picture chosen for the comparison.

        Returns:
            Grid, page, (side, pixels, name) for the comparison, and the open part of the tab.
        """
        reference, place = self.library.shelf(source).reference(), whole(asked(event, "pick"), -1)
        if reference is not None and click in (LEFT, RIGHT) and 0 <= place < len(reference.rows):
            row = reference.rows[place]
            picked = (click, reference.image(row), f"{row.label} {row.place + 1}")
            return [gr.skip(), gr.skip(), picked, gr.Tabs(selected=BENCH)]
        at = whole(asked(event, "page"), 0)
        return [self.look(source, sort, largest, label, verdict, click, at)[0], at, None, gr.skip()]

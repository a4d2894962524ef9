"""The Inspect tab: one image, one trajectory, two verdicts at any T_SEC along it. Layout and wiring."""

from typing import Any

import gradio as gr
from markupsafe import Markup

from sedid.report.html import term
from sedid.ui import frame
from sedid.ui.context import START, Context
from sedid.ui.frame import Head
from sedid.ui.inspect import (
    case_panel,
    facts_panel,
    member_panel,
    resave_panel,
    stability_panel,
    tiles_panel,
    whose_panel,
)
from sedid.ui.inspect.events import K_RANGE, OTHER, WAITING, Inspector, Parts, visited
from sedid.ui.inspect.view import example_strip, verdict_strip
from sedid.ui.kit import LIGHT, NETWORK, html, only
from sedid.ui.scripts import function, on_load
from sedid.ui.server import api

TITLE = "Inspect"
EXPLAINED = Markup("<p>The model jumps by {} into the noise and is measured at {}.</p>").format(
    term("k"), term("T_SEC")
)
LIGHTBOX = """<dialog id="sed-lightbox" aria-label="Full size"><div class="sed-stage"></div>
<footer><button type="button" class="sed-prev" aria-label="Previous">&lsaquo;</button><span></span>
<button type="button" class="sed-next" aria-label="Next">&rsaquo;</button>
<button type="button" class="sed-close" aria-label="Close">Close</button></footer></dialog>
<p id="sed-said" class="sed-unseen" role="status"></p>"""


def build(context: Context, head: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    state = gr.State()
    trying = frame.invitation()
    with gr.Row(elem_id="inspect"):
        with gr.Column(scale=4, min_width=300):
            photo = gr.Image(
                type="filepath",
                format="png",
                label="Image",
                sources=["upload", "clipboard", "webcam"],
                height=230,
                elem_id="photo",
                alt_text="The image under inspection",
                buttons=[],
            )
            with gr.Column(elem_id="calls"):
                strip = html(verdict_strip(None), "strip")
                walking = html("", "walking")  # how far a walk is; nothing else is shown there
            examples = html(example_strip(context.examples_of()), "examples")
            with gr.Column(elem_id="controls"):
                html(EXPLAINED, "explained")
                marks = gr.Radio(
                    [OTHER],
                    value=OTHER,
                    label="Step size (k)",
                    info="How far the model jumps at once; a path names its stops. Verdicts exist for the numbers.",
                    elem_id="k-marks",
                    interactive=True,
                    visible=False,
                )
                k = slider(
                    "Any step size (k)", "Without verdicts where nothing was calibrated.", *K_RANGE, 1, START[0], "k"
                )
                t_sec = slider(
                    "Measure at step (T_SEC)", "How noisy the image is when we look: higher is noisier.",
                    START[0], 990, *START, "t-sec",
                )  # fmt: skip
                calibrated = gr.Button("Use the calibrated pair", size="sm", elem_id="calibrated")
                stop = gr.Button("Stop", size="sm", variant="stop", elem_id="stop")
                seen = html("", "seen")
                back = tiles_panel.back_button()
                about_file = facts_panel.PANEL.layout()
        with gr.Column(scale=9, min_width=320):
            verdicts = html(WAITING, "verdicts")
            with gr.Row():
                with gr.Column(scale=4, min_width=280):
                    heat = html("", "heat")
                    blend = slider("Heatmap over image, %", None, 0, 100, 1, 65, "blend", "sed-after")
                with gr.Column(scale=6, min_width=300):
                    curve = html("", "curve")
                    with gr.Row(elem_classes="sed-after"):
                        weight_free = switch("Weight-free", "Divide by c²: comparable along T_SEC.")
                        locked = switch("Lock colours", "One scale for every T_SEC.")
            factors = html("", "factors")
            compared = html("", "compared")
            film = html("", "film", "film")
            panel = resave_panel.layout()
            with panel.box:
                stable = stability_panel.layout()
            tiles = tiles_panel.layout(back)
            whose = whose_panel.PANEL.layout()
            member = member_panel.PANEL.layout()
            case = case_panel.layout()
    bridge = gr.HTML(LIGHTBOX, js_on_load=on_load("bridge"), apply_default_css=False, elem_id="bridge")

    menu = head.menu
    parts = Parts(
        head.source, state, menu, photo, examples, seen, marks, k, t_sec, calibrated,
        strip, verdicts, heat, curve, factors, compared, film,
    )  # fmt: skip
    on = Inspector(context, parts)
    view = [head.source, state, weight_free, locked]
    heavy: dict[str, Any] = {
        "outputs": parts.all(),
        "show_progress_on": walking,
        "api_visibility": "private",
        **NETWORK,
    }
    where = [k, t_sec, seen, menu]

    opening = root().load(visited(on.load), view, **heavy)
    opening.success(None, where, js=function("view", "mark"), **LIGHT)
    taking = photo.upload(visited(on.take), [photo, *view], preprocess=False, **heavy)
    photographed = only(photo.change, "camera", of=photo)
    photographed(visited(on.photograph), [photo, *view], parts.all(), preprocess=False, **LIGHT, **NETWORK)
    clearing = photo.clear(visited(on.clear), view, parts.all(), **LIGHT)
    taking.failure(on.restore, state, photo, **LIGHT)
    picking = bridge.submit(visited(on.pick), view, trigger_mode="multiple", **heavy)
    tried = trying.click(visited(on.try_one), view, trigger_mode="multiple", **heavy)
    # `wish` comes first: Gradio sends the events of one trigger in this order, each after the one before.
    bridge.select(on.wish, queue=False, trigger_mode="multiple", **LIGHT)
    stepping = bridge.select(visited(on.set_k), [k, *view], trigger_mode="always_last", preprocess=False, **heavy)
    # Each ends the walk that the one before it may still be waiting for.
    going = bridge.apply(visited(on.go_there), view, trigger_mode="multiple", **heavy)
    returning = calibrated.click(visited(on.go_calibrated), view, trigger_mode="multiple", **heavy)
    moving = bridge.input(
        visited(on.set_t_sec), [t_sec, *view], parts.all(), trigger_mode="always_last", preprocess=False, **LIGHT
    )
    # Opening has a queue of its own: nobody's pictures wait for another visitor's download.
    opens: dict[str, Any] = {"concurrency_id": "opening", "concurrency_limit": 1, "show_progress_on": menu}
    choosing: dict[str, Any] = {"fn": visited(on.choose), "inputs": [menu, *view], "outputs": menu, **opens}
    following = []
    for chosen in (menu.input, bridge.edit):
        choice = chosen(**choosing, preprocess=False, trigger_mode="always_last", api_visibility="private")
        following.append(choice.success(visited(on.follow), [menu, photo, *view], preprocess=False, **heavy))
        for step in (choice, following[-1]):
            step.failure(on.keep, head.source, menu, **LIGHT)
    resaving = resave_panel.wire(panel, on, view, walking)
    tiling = tiles_panel.wire(tiles, on, view, walking)
    stability_panel.wire(stable, on, view)
    facts_panel.PANEL.wire(about_file, on, view)
    whose_panel.PANEL.wire(whose, on, view)
    member_panel.PANEL.wire(member, on, view)
    case_panel.wire(case, on, stable.checked, tiles.tiled, view)
    for event in (taking, clearing, picking, tried, stepping, going, returning, moving, resaving, *tiling, *following):
        event.success(None, where, js=function("view", "remember"), **LIGHT)
    gr.on([weight_free.input, locked.input], visited(on.switch), view, parts.all(), **LIGHT)
    stop.click(on.stop, [head.source, state], [marks, k], queue=False, **LIGHT)
    blend.input(None, blend, js=function("view", "blend"), **LIGHT)
    menu.focus(on.offer, None, menu, **LIGHT)
    api.build(context)


def root() -> gr.Blocks:
    """The app being built."""
    blocks = gr.context.Context.root_block
    assert isinstance(blocks, gr.Blocks)
    return blocks


def slider(
    label: str, info: str | None, low: int, high: int, step: int, value: int, name: str, style: str | None = None
) -> gr.Slider:
    """A slider without a reset button, whose change would go unnoticed by the page's script."""
    return gr.Slider(low, high, value, step=step, label=label, info=info, buttons=[], elem_id=name, elem_classes=style)


def switch(label: str, info: str) -> gr.Checkbox:
    """A check box that starts off."""
    return gr.Checkbox(False, label=label, info=info, elem_id=label.lower().replace(" ", "-"), min_width=130)

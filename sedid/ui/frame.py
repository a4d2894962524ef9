"""What stands above and below the tabs, and the first lines of the first one."""

from dataclasses import dataclass
from inspect import isgeneratorfunction
from typing import Any

import gradio as gr
from markupsafe import Markup

import sedid
from sedid import settings
from sedid.ui.context import Context
from sedid.ui.kit import LIGHT, html
from sedid.ui.menu import DEFAULT
from sedid.ui.scripts import function
from sedid.ui.server.document import DESCRIPTION, NAME, TITLE
from sedid.ui.terms import notes

PAPER = "https://arxiv.org/abs/2307.06272"


@dataclass(frozen=True)
class Head:
    """What stands above the tabs, for those that follow it.

    Attributes:
        menu: the detectors on offer; it may name one that is still being opened.
        source: the key of the detector in use, which its `change` tells to tabs that show something of it.
        title: its `select` tells that Back or Forward led to another address.
    """

    menu: gr.Dropdown
    source: gr.State
    title: gr.HTML

    def follow(self, tab: str, look: Any, inputs: list[Any], outputs: list[Any], **options: Any) -> None:
        """Draw an open tab anew when another detector is in use; a closed one does so when it is opened.

        Args:
            tab: its name.
            look: of the values of `inputs`; it may yield several answers in turn.
        """

        def looked(request: gr.Request, *values: Any) -> Any:
            return look(*values) if request.query_params.get("tab") == tab else gr.skip()

        def in_turn(request: gr.Request, *values: Any) -> Any:
            if request.query_params.get("tab") == tab:
                yield from look(*values)

        follow = in_turn if isgeneratorfunction(look) else looked
        self.source.change(follow, inputs, outputs, **{"api_visibility": "private"} | options)


def head(context: Context) -> Head:
    """The project's question and the detector, above every tab. The Inspect tab answers when another one is chosen."""
    typing = context.menu.typing
    with gr.Row(elem_id="sed-head"):
        title = html(Markup("<p>{}</p><h1>{}</h1>").format(NAME, TITLE), "sed-title", "history")
        menu = gr.Dropdown(
            context.menu.choices(),
            value=DEFAULT,
            label="Detector, on every tab",
            info="Or type a folder or a Hub id (user/repo) and press Enter." if typing else None,
            allow_custom_value=typing,
            elem_id="detector",
        )
    html(notes(), "sed-terms", "terms")
    return Head(menu, gr.State(DEFAULT), title)


def invitation() -> gr.Button:
    """What to do, how far it reaches, and two ways to begin; above the Inspect tab's parts.

    Returns:
        The one of them that shows a picture.
    """
    with gr.Row(elem_id="sed-begin"):
        words = Markup(
            "<p><b>Pick. Noise. Measure.</b> {}</p>"
            '<p class="sed-fine">It knows only pictures of its own model: it is no deepfake detector for the web.</p>'
        )
        html(words.format(DESCRIPTION), "sed-how")
        with gr.Row(elem_id="sed-ways"):
            made = gr.Button("Try a generated one", variant="primary", size="md", min_width=150, elem_id="sed-try")
            tour = gr.Button("Take the 5-minute tour", size="md", min_width=150, elem_id="sed-tour")
            tour.click(None, None, None, js=function("begin", "tour"), **LIGHT)
    return made


def foot() -> None:
    """Who made it, under which licence, where its source is and how it is cited."""
    space = settings.read().space
    source = Markup('<a href="https://huggingface.co/spaces/{0}/tree/main">source</a>').format(space) if space else ""
    entries = [
        Markup("{} {} by its developers, MIT licence").format(NAME, sedid.__version__),
        Markup('the method is of <a href="{}">Ma et al. 2023, Exposing the Fake</a>').format(PAPER),
        Markup('<a href="?tab=guide&amp;doc=limits">limits and misuse</a>'),
        source,
    ]
    cite = Markup(
        "<details><summary>Cite</summary><p>The SeDID Explorer developers: {name} {version}, 2026.</p>"
        "<p>R. Ma, J. Duan, F. Kong, X. Shi, K. Xu: Exposing the Fake: Effective Diffusion-Generated Images Detection. "
        "arXiv 2307.06272, 2023.</p></details>"
    )
    line = Markup(" · ").join(entry for entry in entries if entry)
    html(Markup("<p>{}</p>{}").format(line, cite.format(name=NAME, version=sedid.__version__)), "sed-foot")

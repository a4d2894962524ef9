"""What stands above and below the tabs, and the first lines of the first one."""

import gradio as gr
from markupsafe import Markup

import sedid
from sedid import settings
from sedid.ui.kit import LIGHT, html
from sedid.ui.scripts import function
from sedid.ui.server.document import DESCRIPTION, NAME, TITLE

PAPER = "https://arxiv.org/abs/2307.06272"


def head() -> None:
    """The project's question, above every tab."""
    html(Markup("<p>{}</p><h1>{}</h1>").format(NAME, TITLE), "sed-title")


def invitation() -> None:
    """What to do, how far it reaches, and two ways to begin; above the Inspect tab's parts."""
    with gr.Row(elem_id="sed-begin"):
        words = Markup(
            "<p><b>Pick. Noise. Measure.</b> {}</p>"
            '<p class="sed-fine">It knows only pictures of its own model: it is no deepfake detector for the web.</p>'
        )
        html(words.format(DESCRIPTION), "sed-how")
        with gr.Row(elem_id="sed-ways"):
            made = gr.Button("Try a generated one", variant="primary", size="md", min_width=150, elem_id="sed-try")
            made.click(None, None, None, js=function("begin", "tryOne"), **LIGHT)
            tour = gr.Button("Take the 5-minute tour", size="md", min_width=150, elem_id="sed-tour")
            tour.click(None, None, None, js=function("begin", "tour"), **LIGHT)


def judged_by(label: str, tab: str) -> None:
    """Which detector a tab uses that does not follow the choice in Inspect.

    Args:
        label: the app's own detector as the menu names it.
        tab: its name.
    """
    words = Markup('<p class="sed-fine">Everything on this tab uses the detector <b>{}</b>, whatever Inspect uses.</p>')
    html(words.format(label), f"{tab}-judged-by")


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

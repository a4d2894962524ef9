"""The Guide tab: the documents of docs/ and the model cards, read where the app is used.

Which page is open stands in the address (`?tab=guide&doc=limits#base-rates`). A page is fetched when it is opened.
(`page` in an address would be Gradio's own: it looks for a page of that name and fails.)
Gradio renders and sanitises the Markdown; its KaTeX, served by the app itself, draws the mathematics.
"""

from typing import Any

import gradio as gr

from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.guide.pages import Page, contents, in_app, list_pages, page_of
from sedid.ui.kit import html, paragraph, this_tab
from sedid.ui.scripts import function, on_load

TITLE = "Guide"
MISSING = "The documents are not beside this copy of the package. They lie in the folder `docs` of the project."
MATH: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


def build(_: Context, __: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    pages = list_pages()
    if not pages:
        html(paragraph(MISSING), "guide-missing")
        return
    with gr.Row(elem_id="guide"):
        listed = gr.HTML(
            contents(pages),
            js_on_load=on_load("guide"),
            apply_default_css=False,
            elem_id="guide-pages",
            elem_classes="sed",
        )
        # Out of sight until a page is opened, or every visitor fetches what draws Markdown.
        shown = gr.Markdown("", latex_delimiters=MATH, visible=False, elem_id="guide-text")
    wish = gr.Textbox("", visible="hidden")  # filled by `wish` of guide.js

    def show(name: str) -> gr.Markdown:
        return gr.Markdown(read(pages, name), visible=True)

    options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    for event in (this_tab().select, listed.select):
        event(show, wish, shown, js=function("guide", "wish"), **options)


def read(pages: tuple[Page, ...], name: str) -> str:
    """The page of this name, or the first one, as it is now.

    Raises:
        gr.Error: its file is gone.
    """
    page = page_of(pages, name)
    try:
        return in_app(page, pages)
    except OSError as error:
        raise gr.Error(f"The page {page.label} cannot be read any more.", print_exception=False) from error

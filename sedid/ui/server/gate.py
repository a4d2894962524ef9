"""What a public page shows where something is off, and the field in which its host unlocks it (`sedid.ui.server.access`)."""

import gradio as gr

from sedid.ui.kit import LIGHT, html, paragraph
from sedid.ui.scripts import function
from sedid.ui.server import access


def notice() -> None:
    """The sentence that says so, where the page is public; gone once the page is unlocked."""
    if access.is_public():
        words = f'<p class="sed-warn">{access.OFF}</p>'
        gr.HTML(words, elem_classes=["sed", "sed-off"], js_on_load=None, apply_default_css=False)


def lock(menu: gr.Dropdown) -> None:
    """The host's password, where there is one. It travels in the body of a request and is kept nowhere.

    Args:
        menu: of detectors, which takes any folder or Hub id once the page is unlocked.
    """
    if not (access.is_public() and access.password()):
        return
    with gr.Accordion("For the host of this page", open=False, elem_id="host"):
        given = gr.Textbox("", type="password", label="Password", max_lines=1, elem_id="host-password")
        button = gr.Button("Unlock", size="sm", elem_id="host-unlock")
        said = html(paragraph("It unlocks this open page until it is reloaded, for eight hours at most."), "host-said")
    unlocking = gr.on([button.click, given.submit], unlock, given, [said, menu], **LIGHT)
    unlocking.success(None, None, None, js=function("gate", "unlocked"), **LIGHT)
    unlocking.then(lambda: "", None, given, **LIGHT)


def unlock(given: str) -> tuple[str, gr.Dropdown]:
    """Unlock the page that asks; returns what is said of it, and the menu as it is now.

    Raises:
        gr.Error: as `access.unlock`.
    """
    access.unlock(given)
    said = "Unlocked: jobs can be started here, and the menu of detectors takes any folder or Hub id."
    return paragraph(said), gr.Dropdown(allow_custom_value=True)

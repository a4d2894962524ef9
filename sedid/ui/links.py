"""The address of a view: which tab it opens. What is shown inside, the scripts of the tabs add (`static/tabs.js`)."""

from collections.abc import Sequence
from typing import Any

import gradio as gr


def opener(tabs: Sequence[str]) -> Any:
    """The handler that opens the tab an address names."""

    def open_tab(request: gr.Request) -> Any:
        wanted = request.query_params.get("tab")
        return gr.Tabs(selected=wanted) if wanted in tabs[1:] else gr.skip()

    return open_tab

"""The address of a view: which tab it opens, with which detector.

What is shown inside, the scripts of the tabs add (`static/tabs.js`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sedid.ui.menu import Menu


@dataclass(frozen=True)
class Opener:
    """The handlers that go where an address leads.

    Attributes:
        tabs: names, the first of which an address need not name.
    """

    tabs: Sequence[str]
    menu: Menu

    def tab(self, request: gr.Request) -> Any:
        """The tab it names."""
        wanted = request.query_params.get("tab")
        return gr.Tabs(selected=wanted if wanted in self.tabs else self.tabs[0])

    def view(self, request: gr.Request) -> tuple[Any, Any]:
        """The tab, and the key of the detector: both at once, so that no tab opens with another detector."""
        source = request.query_params.get("detector")
        # An address that names no tab undoes no click that was quicker than this.
        tab = self.tab(request) if "tab" in request.query_params else gr.skip()
        return tab, source if self.menu.offers(source) else gr.skip()

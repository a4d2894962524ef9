"""The address of a view: which tab is open. What is shown inside, the tabs add themselves (`script`, `learn_script`).

?tab=learn&step=3&example=real-2&t=330 opens the Learn tab there; ?k=165&t_sec=825&example=real-2 the Inspect tab, which
is the first one and needs no naming; ?tab=guide&doc=limits a page of the guide.
"""

from collections.abc import Sequence
from typing import Any

import gradio as gr


def opener(tabs: Sequence[str]) -> Any:
    """The handler that opens the tab an address names."""

    def open_tab(request: gr.Request) -> Any:
        wanted = request.query_params.get("tab")
        return gr.Tabs(selected=wanted) if wanted in tabs[1:] else gr.skip()

    return open_tab


def follow(name: str, first: bool) -> str:
    """JavaScript that lets the address follow when this tab is opened.

    Args:
        first: it is the tab that needs no naming.
    """
    return f"""() => {{
  const url = new URL(location), query = url.searchParams;
  // A page opens with the first tab, then goes where its address says.
  if ({str(first).lower()} && !window.sedidMoved && query.has('tab')) return;
  window.sedidMoved = true;
  if ({str(first).lower()}) query.delete('tab'); else query.set('tab', '{name}');
  if ('{name}' !== 'learn') {{ query.delete('step'); query.delete('t'); }}
  if ('{name}' !== 'guide') {{ query.delete('doc'); url.hash = ''; }}
  const shown = {{
    inspect: document.querySelector('.sed-example[aria-pressed=true]')?.dataset.name,
    learn: document.querySelector('#learn .learn')?.dataset.example,
  }}['{name}'];
  if (shown) query.set('example', shown);
  history.replaceState(history.state, '', url);
}}"""

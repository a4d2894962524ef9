"""What the tabs that start jobs share: the buttons of a job and what they do."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from sedid.jobs import JobStore
from sedid.ui import train_form as form
from sedid.ui.pictures import text

POLL = 2.0  # seconds between looks at the running job, while its tab is open
CONFIRM = "id => id && confirm('Delete this job and all its files?') ? id : ''"


class Actions:
    """What the buttons do; everything it knows is on disk."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def stop(self, id: str | None) -> None:
        """Stop the chosen job."""
        self._act(self.store.stop, id)

    def resume(self, id: str | None) -> None:
        """Go on with the chosen job."""
        self._act(self.store.resume, id)

    def delete(self, id: str | None) -> Any:
        """Delete the chosen job; no id: the visitor thought better of it."""
        if not id:
            return gr.skip()
        self._act(self.store.delete, id)
        return None

    def _act(self, act: Callable[[str], Any], id: str | None) -> None:
        refuse()
        try:
            act(id or "")
        except (ValueError, OSError) as error:
            raise problem(error) from error


def refuse() -> None:
    """Hold the line where jobs are off, whatever the page shows."""
    if form.refusal():
        raise gr.Error(form.refusal(), print_exception=False)


def problem(error: Exception) -> gr.Error:
    """An error of the jobs, as a message that stays until it is read."""
    return gr.Error(text(form.in_words(error)), duration=None, print_exception=False)


def small_button(name: str, of: str, **options: Any) -> gr.Button:
    """A button shown only where it can do something; `of` ends its id."""
    return gr.Button(name, size="sm", visible=False, min_width=80, elem_id=f"{name.lower()}-{of}", **options)


def choice(label: str, choices: list[Any], info: str | None = None) -> gr.Dropdown:
    """One of the offered values, or any other text."""
    first = choices[0][1] if isinstance(choices[0], tuple) else "sample:real"
    return gr.Dropdown(choices, value=first, label=label, info=info, allow_custom_value=True)

"""What the tabs of results share: which results there are, how one is read and taken away, and the job that makes more."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from sedid.jobs.commands import COMMANDS
from sedid.ui.kit import LIGHT, RESULTS, html
from sedid.ui.results.files import Own, find_results, readable
from sedid.ui.train.job_card import CONFIRM, POLL, Watch, run_while_open, small_button

Found = TypeVar("Found")
READING = '<div class="sed-state" role="status">The results are being read.</div>'
"""What stands where results will: whether there are any is known when they have been looked for."""


def choices(own: Own, command: str, label: str | None) -> Any:
    """The results of a command there are; the one selected stays so where it can."""
    found = list(find_results(own, COMMANDS[command].results))
    return gr.Dropdown(choices=found, value=label if label in found else found[0] if found else None)


def of_job(own: Own, command: str, id: str) -> Any:
    """The results of a command there are, those of this job selected; nothing changes where it has none."""
    found = list(find_results(own, COMMANDS[command].results))
    return gr.Dropdown(choices=found, value=id) if id in found else gr.skip()


def unsettled(own: Own, command: str, label: str | None) -> bool:
    """Whether there are results of a command and none is selected yet: nothing is said of them until one is."""
    return not label and bool(find_results(own, COMMANDS[command].results))


def opened(own: Own, command: str, label: str | None, read: Callable[[Path], Found]) -> Found | None:
    """The results the page calls so, read; None if they are gone.

    Raises:
        gr.Error: they cannot be read.
    """
    file = find_results(own, COMMANDS[command].results).get(label or "")
    if file is None:
        return None
    with readable(command, file):
        return read(file)


def export_row(name: str, label: str) -> tuple[gr.Button, gr.Files]:
    """A button that makes files of what is shown, and where they appear."""
    with gr.Row():
        export = gr.Button("Download tables and plots", size="sm", elem_id=f"{name}-export", scale=0, min_width=230)
        files = gr.Files(label=label, visible=False, elem_id=f"{name}-files")
    return export, files


def taken(paths: Iterable[Path]) -> Any:
    """Files, to download."""
    return gr.Files([str(path) for path in paths], visible=True)


def nothing() -> gr.Error:
    """There are no results to make files of."""
    return gr.Error("There is nothing to export.", print_exception=False)


@dataclass(frozen=True)
class JobPart:
    """The job of a tab: its buttons, its card and log, and the timer that looks at it. Make one with `job_part`.

    Attributes:
        shown: the id of the job that is shown; no State, since the page itself asks before it deletes.
        news: the id of a job whose results are worth turning to.
        seen: what was shown at the last look.
    """

    page: Watch
    stop: gr.Button
    resume: gr.Button
    delete: gr.Button
    card: gr.HTML
    log: gr.HTML
    shown: gr.Textbox
    news: gr.State
    seen: gr.State
    timer: gr.Timer

    @property
    def look(self) -> dict[str, Any]:
        """The event that looks at the job."""
        shown = [self.stop, self.resume, self.delete, self.card, self.log, self.shown, self.news, self.seen]
        return {"fn": self.page.look, "inputs": self.seen, "outputs": shown, **LIGHT}

    def wire(
        self,
        tab: gr.Tab,
        title: str,
        start: tuple[gr.Button, Callable[..., None], Sequence[Any]],
        offered: Sequence[gr.Dropdown],
        entering: Any,
    ) -> Any:
        """Wire the buttons, and a look whenever the tab is entered and while it is open.

        Args:
            start: a button, what it does, and with which values.
            offered: lists of detectors and of generated images, to which jobs add.
            entering: the event of entering the tab.

        Returns:
            The event of a look, for more to follow.
        """
        button, begin, values = start
        button.click(begin, list(values), None, **LIGHT).success(**self.look)
        self.stop.click(self.page.stop, self.shown, None, show_progress_on=self.card, api_visibility="private").then(
            **self.look
        )
        self.resume.click(self.page.resume, self.shown, None, **LIGHT).then(**self.look)
        self.delete.click(self.page.delete, self.shown, self.shown, js=CONFIRM, **LIGHT).then(**self.look)
        run_while_open(self.timer, tab, title)
        entering.then(**self.look)
        entering.then(self.page.offer, None, list(offered), **LIGHT)
        return self.timer.tick(**self.look)


def job_part(name: str, page: Watch) -> JobPart:
    """Lay out the job of a tab, whose parts' ids have `name` in them."""
    with gr.Row(elem_id=f"{name}-buttons"):
        stop = small_button("Stop", name, variant="stop")
        resume = small_button("Resume", name)
        delete = small_button("Delete", name)
    card, log = html("", f"{name}-job", kind=RESULTS), html("", f"{name}-log", kind=RESULTS)
    states = gr.Textbox("", visible="hidden"), gr.State(""), gr.State({})
    return JobPart(page, stop, resume, delete, card, log, *states, gr.Timer(POLL, active=False))

"""What the tabs that start jobs share: the buttons of a job and what they do, and its card."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from sedid.data.spec import Spec
from sedid.jobs.folder import ACTIVE, read_records
from sedid.jobs.store import Job, JobStore
from sedid.report.pictures import text
from sedid.ui.kit import LIGHT
from sedid.ui.scripts import function
from sedid.ui.server import access
from sedid.ui.train import form, view

POLL = 2.0  # seconds between looks at the running job, while its tab is open
CONFIRM = function("jobs", "confirmed", "Delete this job and all its files?")


class Actions:
    """What the buttons do; everything it knows is on disk."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def offer(self) -> list[Any]:
        """Detectors and generated sets that jobs have made meanwhile; what was chosen stays."""
        jobs = self.store.jobs()
        return [gr.Dropdown(choices=form.detectors(jobs)), gr.Dropdown(choices=form.generated_sets(jobs))]

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
        access.refuse()
        try:
            act(id or "")
        except (ValueError, OSError) as error:
            raise problem(error) from error


class Watch(Actions):
    """Actions on the jobs of some commands, and a look at the one that matters now.

    Args:
        commands: of the jobs looked at.
        file: the results file they write; as soon as it is there, the page is told the job's id.
    """

    def __init__(self, store: JobStore, commands: tuple[str, ...], file: Callable[[Job], bool]) -> None:
        super().__init__(store)
        self.commands, self.has_results = commands, file

    def look(self, seen: dict[str, str]) -> list[Any]:
        """The job that runs, or was the last to; parts that did not change are left alone.

        Returns:
            Buttons to stop, resume and delete, card, log, the job's id, its id again once it has results worth
            turning to, and what was seen, for the next look.
        """
        job = current([job for job in self.store.jobs() if job.command in self.commands])
        allowed, state = not access.refusal(), job.state if job else ""
        made: dict[str, Any] = {
            "stop": gr.Button(visible=allowed and state in ACTIVE),
            "resume": gr.Button(visible=bool(allowed and job and worth_resuming(job))),
            "delete": gr.Button(visible=bool(allowed and state and state not in ACTIVE)),
        }
        keys = dict.fromkeys(made, f"{state} {allowed}") | {"state": state}
        texts = {
            "card": view.state_html(job, read_records(job.folder)) if job else "",
            "log": view.log_html(job) if job and state != "done" else "",
            "shown": job.id if job else "",
        }
        keys |= texts | {"results": job.id if job and self.has_results(job) else ""}
        fresh = [gr.skip() if seen.get(name) == keys[name] else value for name, value in (made | texts).items()]
        watched = job is not None and seen.get("shown") == job.id and seen["state"] in ACTIVE
        news = keys["results"] if watched and keys["results"] != seen["results"] else ""
        return [*fresh, news or gr.skip(), keys if keys != seen else gr.skip()]


def worth_resuming(job: Job) -> bool:
    """Whether it ended before its time and may go further: what failed by itself at its very first step fails there again."""
    if job.state == "failed" and job.exit_code == 1:
        return any(record["done"] for record in read_records(job.folder))
    return job.state in ("stopped", "failed")


def current(jobs: list[Job]) -> Job | None:
    """Of jobs, the newest first: the one at work, else the next in the queue, else the newest."""
    for state in reversed(ACTIVE):
        if waiting := [job for job in jobs if job.state == state]:
            return waiting[-1]
    return jobs[0] if jobs else None


def halves(spec: str, count: int) -> tuple[str, str]:
    """The first `count` images of a data set as two disjoint halves, data sets both.

    Raises:
        ValueError: too few to halve, or more than the slice named holds.
    """
    if count < 4:
        raise ValueError(f"give at least 4 images of each class, not {count}: half of them calibrate")
    chosen = Spec.parse(spec).first(count)
    middle = chosen.start + count // 2
    return str(replace(chosen, stop=middle)), str(replace(chosen, start=middle))


def run_while_open(timer: gr.Timer, tab: gr.Tab, title: str) -> Any:
    """Let a timer run only while its tab is open.

    A tab that the page's address opened tells only itself so, and one that is left only the row of tabs.

    Returns:
        The event of opening the tab, for more to follow.
    """
    assert isinstance(tab.parent, gr.Tabs)

    def moved(event: gr.SelectData) -> gr.Timer:
        return gr.Timer(active=event.value == title)

    tab.parent.select(moved, None, timer, **LIGHT)
    return tab.select(lambda: gr.Timer(active=True), None, timer, **LIGHT)


def problem(error: Exception) -> gr.Error:
    """An error of the jobs, as a message that stays until it is read."""
    return gr.Error(text(form.in_words(error)), duration=None, print_exception=False)


def small_button(name: str, of: str, **options: Any) -> gr.Button:
    """A button shown only where it can do something; `of` ends its id."""
    return gr.Button(name, size="sm", visible=False, min_width=80, elem_id=f"{name.lower()}-{of}", **options)


def choice(label: str, choices: list[tuple[str, str]], info: str | None = None) -> gr.Dropdown:
    """One of the offered (name, value), the first unless another is chosen, or any other text."""
    return gr.Dropdown(choices, value=choices[0][1], label=label, info=info, allow_custom_value=True)

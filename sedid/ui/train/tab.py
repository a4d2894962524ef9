"""The Train tab: start, watch, stop and resume the loops as jobs. Layout, wiring and what each event does."""

import json
from typing import Any

import gradio as gr
from markupsafe import Markup

from sedid.jobs.commands import COMMANDS
from sedid.jobs.folder import read_records
from sedid.jobs.store import Job, JobStore
from sedid.jobs.uploads import keep, named, remove, size, uploaded
from sedid.paths import ASSETS
from sedid.ui.context import Context
from sedid.ui.frame import Head
from sedid.ui.kit import LIGHT, RESULTS, UNCHECKED, html
from sedid.ui.scripts import function
from sedid.ui.server import access, gate
from sedid.ui.train import form, view
from sedid.ui.train.job_card import (
    CONFIRM,
    POLL,
    Actions,
    choice,
    problem,
    run_while_open,
    small_button,
    worth_resuming,
)
from sedid.ui.upload import file_of

TITLE = "Train"
EXAMPLE = ASSETS / "training" / "demo"
SHOWN = 30  # jobs in the list
FORGET = function("jobs", "confirmed", "Delete these uploaded images?")
ASKED = LIGHT | {"trigger_mode": "multiple"}  # who thought better of it and presses again at once is asked again


def build(context: Context, head: Head) -> None:
    """Lay out the tab and wire it. Call inside a `gr.Tab`."""
    tab = gr.context.Context.block
    assert isinstance(tab, gr.Tab)
    page = Page(context.jobs)
    seen = gr.State({})
    with gr.Row(elem_id="train"):
        with gr.Column(scale=4, min_width=300):
            gate.notice()
            gate.lock(head.menu)
            stage = gr.Radio(
                [(name, key) for key, name in form.STAGES.items()], value="loop", label="Stage", elem_id="stage"
            )
            about = html(f"<p>{form.ABOUT['loop']}</p>", "about-stage")
            preset = gr.Radio(
                [(name, key) for key, name in form.PRESETS.items()], value="demo", label="Preset", elem_id="preset"
            )
            fields: dict[str, Any] = {
                "detector": choice("Detector", form.detectors([])),
                "data": choice(
                    "Real images",
                    form.reals([]),
                    "Or type a folder, .zip or .npz file; [0:1000] after it takes the first 1,000.",
                ),
                "heldout": optional("Held-out images", form.WITHOUT_HELDOUT["train-ddpm"]),
                "generated": choice("Generated images", form.generated_sets([])),
                "members": optional("Members"),
                "steps": optional("Steps"),
                "count": optional("Images"),
                "learning_rate": optional("Learning rate"),
                "epochs": optional("Epochs", "20"),
            }
            images = gr.File(
                file_count="multiple",
                label="Your own images or a .zip",
                height=150,
                visible=not access.is_public(),
                elem_id="own-images",
            )
            sets = gr.Radio([], label="Uploaded images", elem_id="own-sets", visible=False)
            remove_set = small_button("Delete", "set")
            counted = html("", "counted")
            # Never folded away: Gradio makes what an accordion holds when it is opened, and loses what is typed meanwhile.
            lines = gr.Textbox(
                "",
                lines=2,
                max_lines=12,
                label="Other settings",
                info="key = value, one a line",
                placeholder="seed = 1\nbatch_size = 64",
            )
            settings = html("", "stage-settings", kind=RESULTS)
            start = gr.Button("Start", variant="primary", elem_id="start-job")
            disk = html("", "disk")
        with gr.Column(scale=9, min_width=320):
            jobs = gr.Radio([], label="Jobs", elem_id="jobs", visible=False)
            with gr.Row(elem_id="job-buttons"):
                stop = small_button("Stop", "job", variant="stop")
                resume = small_button("Resume", "job")
                delete = small_button("Delete", "job")
            job = html(view.empty_html(), "job")
            report = html("", "report")
            pictures = html("", "pictures")
            log = html("", "log")
    timer = gr.Timer(POLL, active=False)

    for name, field in fields.items():
        field.visible = name in form.FIELDS["loop"]
    page.names = list(fields)
    shown: list[Any] = [jobs, stop, resume, delete, job, report, pictures, log, disk, seen]
    watch: dict[str, Any] = {"fn": page.look, "inputs": [jobs, seen], "outputs": shown, **UNCHECKED, **LIGHT}

    stage.change(page.choose, stage, [about, preset, *fields.values()], **LIGHT)
    preset.input(page.data_of, [stage, preset], fields["data"], **LIGHT)
    start.click(page.start, [stage, preset, lines, *fields.values()], jobs, **LIGHT).success(**watch)
    stop.click(page.stop, jobs, None, show_progress_on=job, api_visibility="private", **UNCHECKED).then(**watch)
    resume.click(page.resume, jobs, None, **UNCHECKED, **LIGHT).then(**watch)
    delete.click(page.delete, jobs, jobs, js=CONFIRM, **UNCHECKED, **ASKED).then(**watch)
    jobs.input(**watch)
    timer.tick(**watch)
    opened = run_while_open(timer, tab, TITLE)
    opened.success(**watch)
    for event in (opened.success, stage.change):
        event(view.settings_html, stage, settings, **LIGHT)
    opened.success(page.offer, None, [fields["detector"], fields["generated"]], **LIGHT)
    own = [fields["data"], sets, remove_set]
    opened.success(page.offer_sets, None, own, **LIGHT)
    remove_set.click(page.remove, [sets, fields["data"]], own, js=FORGET, **UNCHECKED, **ASKED).then(**watch)
    filled = [stage, preset, lines, *fields.values()]
    images.upload(page.keep, images, [*own, images], preprocess=False, **LIGHT)
    told = [stage, preset, fields["data"], fields["heldout"]]
    for event in (opened.success, lines.blur, *(part.change for part in told)):
        event(page.count, filled, counted, trigger_mode="always_last", **LIGHT)


class Page(Actions):
    """What the events do; everything it knows is on disk."""

    def __init__(self, store: JobStore) -> None:
        super().__init__(store)
        self.names: list[str] = []

    def choose(self, stage: str) -> list[Any]:
        """The fields of a stage, with what can be chosen now."""
        jobs = self.store.jobs()
        choices = {"detector": form.detectors(jobs), "generated": form.generated_sets(jobs)}
        made: list[Any] = [f"<p>{form.ABOUT[stage]}</p>", gr.Radio(visible=stage in form.WITH_PRESETS)]
        for name in self.names:
            change: dict[str, Any] = {"visible": name in form.FIELDS[stage]}
            if name in choices:
                change |= {"choices": choices[name], "value": choices[name][0][1]}
            if name == "heldout" and stage in form.WITHOUT_HELDOUT:
                change |= {"placeholder": form.WITHOUT_HELDOUT[stage]}
            made.append(gr.update(**change))
        return made

    def data_of(self, stage: str, preset: str) -> Any:
        """The photographs a preset is meant for, where the stage's presets name any."""
        meant = {name: settings.get("data", "") for name, settings in COMMANDS[stage].presets.items()}
        return gr.update(value=meant[preset] or "sample:real") if any(meant.values()) else gr.skip()

    def offer_sets(self, **chosen: Any) -> list[Any]:
        """The photographs that can be chosen now, the uploaded ones among them, and the way to delete these.

        Args:
            chosen: `value`, of the photographs; without it what was chosen stays.
        """
        there = [] if access.refusal() else uploaded(self.store.folder)
        sizes = [(f"{place.name}, {view.in_bytes(size(place))}", place.name) for place in there]
        shown = gr.Radio(choices=sizes, value=None, visible=bool(there))
        return [gr.Dropdown(choices=form.reals(there), **chosen), shown, gr.Button(visible=bool(there))]

    def remove(self, name: str | None, data: str) -> list[Any]:
        """Delete an uploaded data set; no name: the visitor thought better of it."""
        access.refuse()
        if not name:
            return self.offer_sets()
        try:
            place = remove(self.store, name)
        except (ValueError, OSError) as error:
            raise problem(error) from error
        return self.offer_sets(**({"value": "sample:real"} if named(place, json.dumps(data)) else {}))

    def keep(self, files: list[dict[str, Any]] | None) -> Any:
        """Keep uploaded images as a data set, and choose it."""
        access.refuse()
        try:
            paths, names = zip(*map(file_of, files or []), strict=True)
            place = keep(self.store.folder, self.store.limit_gb, paths, names)
        except (ValueError, OSError) as error:
            raise problem(error) from error
        return [*self.offer_sets(value=str(place)), None]

    def count(self, stage: str, preset: str, lines: str, *values: str) -> Markup:
        """How many real images the form names, and how many it needs."""
        if access.refusal():
            return Markup()
        try:
            settings = form.to_settings(stage, dict(zip(self.names, values, strict=True)), lines)
            return view.note(form.counted(stage, preset if stage in form.WITH_PRESETS else "", settings))
        except (ValueError, OSError) as error:
            return Markup('<p class="sed-warn" role="alert">{}</p>').format(form.in_words(error))

    def start(self, stage: str, preset: str, lines: str, *values: str) -> Any:
        """Start a job and show it."""
        access.refuse()
        try:
            settings = form.to_settings(stage, dict(zip(self.names, values, strict=True)), lines)
            preset = preset if stage in form.WITH_PRESETS else ""
            form.counted(stage, preset, settings)
            job = self.store.start(stage, settings, preset)
        except (ValueError, OSError) as error:
            raise problem(error) from error
        return gr.Radio(choices=listed(self.store.jobs()), value=job.id, visible=True)

    def look(self, id: str | None, seen: dict[str, str]) -> list[Any]:
        """The list and the chosen job as they are now; parts that did not change are left alone."""
        jobs = self.store.jobs()
        known = {job.id: job for job in jobs}
        job = known.get(id or "") or next((job for job in jobs if job.state == "running"), jobs[0] if jobs else None)
        allowed = not access.refusal()
        made: dict[str, Any] = {
            "jobs": gr.Radio(choices=listed(jobs), value=job.id if job else None, visible=bool(jobs)),
            "stop": gr.Button(visible=bool(allowed and job and job.active)),
            "resume": gr.Button(visible=bool(allowed and job and worth_resuming(job))),
            "delete": gr.Button(visible=bool(allowed and job and not job.active)),
        }
        keys = {name: repr((listed(jobs), job.id if job else "", job.state if job else "", allowed)) for name in made}
        parts = self.parts(job) | {"disk": view.disk_html(self.store.disk_used(), self.store.limit_gb)}
        keys |= parts
        fresh = [gr.skip() if seen.get(name) == keys[name] else value for name, value in (made | parts).items()]
        return [*fresh, keys if keys != seen else gr.skip()]

    @staticmethod
    def parts(job: Job | None) -> dict[str, str]:
        """What is shown of one job."""
        if job is None:
            example = finished_example()
            shown = shown_of(example) if example else dict.fromkeys(("job", "report", "pictures"), "")
            return shown | {"job": view.empty_html(shown["job"]), "log": ""}
        return shown_of(job) | {"log": view.log_html(job)}


def shown_of(job: Job) -> dict[str, str]:
    """State, report and pictures of a job."""
    records = read_records(job.folder)
    return {
        "job": view.state_html(job, records),
        "report": view.report_html(job.folder),
        "pictures": view.pictures_html(job.folder, records),
    }


def finished_example() -> Job | None:
    """A job of the demo preset as it ended, without its weights; None where it is not beside the package."""
    try:
        return JobStore(EXAMPLE.parent).get(EXAMPLE.name)
    except ValueError:
        return None


def listed(jobs: list[Job]) -> list[tuple[str, str]]:
    """Jobs as the list names them."""
    return [(f"{form.job_name(job)}: {job.state}", job.id) for job in jobs[:SHOWN]]


def optional(label: str, default: str = "the preset's") -> gr.Textbox:
    """A setting that may be left empty; a text field, since Gradio's number field turns empty into 0."""
    return gr.Textbox("", label=label, placeholder=default, max_lines=1)

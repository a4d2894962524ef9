"""The Train tab: its parts as pure functions, its events, and one visit with a browser."""

import json
import os
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import gradio as gr
import numpy as np
import pytest
from helpers.browsing import WAIT, served, visited
from helpers.fakes import make_detector
from helpers.light_jobs import LightStore, wait_for
from helpers.results import write_evaluation
from PIL import Image

from sedid import ui
from sedid.data.datasets import load_images
from sedid.data.images import ImageError
from sedid.jobs.folder import read_records
from sedid.jobs.store import Job
from sedid.jobs.uploads import keep
from sedid.studies.evaluate import EvaluationResults
from sedid.ui import menu
from sedid.ui.context import Context
from sedid.ui.train import form
from sedid.ui.train import tab as train_tab
from sedid.ui.train import view as train_view
from sedid.ui.train.job_card import worth_resuming


@pytest.fixture
def page(runs: Path) -> train_tab.Page:
    made = train_tab.Page(LightStore(runs))
    made.names = ["detector", "data", "generated", "steps", "count", "learning_rate", "epochs"]
    return made


def a_job(folder: Path, **changes: Any) -> Job:
    kept: dict[str, Any] = {"id": "20260101-000000-loop", "folder": folder, "command": "loop", "preset": "demo"}
    kept |= {"state": "running", "error": "", "exit_code": None, "created": 0.0, "began": 1.0, "ended": 62.0}
    return Job(**kept | changes)


def records(*losses: float, stage: str = "training") -> list[dict[str, Any]]:
    return [
        {"stage": stage, "done": i + 1, "total": 50, "unit": "images", "per_second": 12.0, "eta_seconds": 61.0}
        | {"values": {"loss": loss} | ({"heldout_loss": loss + 0.1} if i == 2 else {})}
        for i, loss in enumerate(losses)
    ]


def test_a_form_becomes_settings() -> None:
    fields = {"data": "sample:real", "steps": " 30 ", "epochs": "4", "detector": "d", "generated": "g"}
    assert form.to_settings("loop", fields, "") == ["data=sample:real", "steps=30"]
    assert form.to_settings("train-nn", fields, "# a comment\nseed = 3 # more\n\n") == [
        "detector=d",
        "real=sample:real",
        "generated=g",
        "epochs=4",
        "seed=3",
    ]
    assert form.to_settings("defend", fields | {"members": "20"}, "") == ["data=sample:real", "members=20", "steps=30"]
    with pytest.raises(ValueError, match="key = value, one a line, not 'seed 3'"):
        form.to_settings("loop", {}, "seed 3")


def test_detectors_and_images_that_jobs_made_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, checkpoints = a_job(tmp_path), tmp_path / "checkpoints"
    for name in ("celeba", "cifar10"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "model_index.json").touch()
    (checkpoints / "training").mkdir()
    monkeypatch.setattr(form, "SHIPPED", checkpoints / "cifar10")
    assert [path for _, path in form.generated_sets([job])] == ["sample:generated"]
    assert [name for name, _ in form.detectors([job])] == ["cifar10 (shipped)", "celeba"]
    assert form.detectors([job])[1][1] == str(checkpoints / "celeba")
    (tmp_path / "best.safetensors").touch()
    (tmp_path / "images.npz").touch()
    assert form.detectors([job])[0][1] == str(tmp_path)
    assert form.generated_sets([job])[0][1] == str(tmp_path / "images.npz")


def test_a_stage_fills_the_form_with_what_its_preset_is_meant_for(page: train_tab.Page) -> None:
    for stage in ("loop", "defend"):
        assert page.data_of(stage, "small")["value"] == "cifar10"
        assert page.data_of(stage, "demo")["value"] == "sample:real"
    assert page.data_of("train-ddpm", "small") == page.data_of("evaluate", "small") == gr.skip()
    page.names = ["members", "heldout"]
    members, heldout = page.choose("defend")[2:]
    assert members["visible"]
    assert (heldout["visible"], heldout["placeholder"]) == (True, "others of the real images")


def test_a_job_in_words(tmp_path: Path) -> None:
    running = train_view.state_html(a_job(tmp_path), records(0.5, 0.25))
    for said in ("All in one go, demo", ">running<", "2 of 50", 'aria-valuenow="4"', "1 min 1 s", ">0.25<", "images/s"):
        assert said in running
    for stage, said in (("training", "<p>Training: 1"), ("k = 165: real images", "<p>k = 165: real images: 1")):
        assert said in train_view.state_html(a_job(tmp_path), records(0.5, stage=stage))
    begun = records(0.5)[0] | {"per_second": 0.0}
    assert "stage ends in" not in train_view.state_html(a_job(tmp_path), [begun])
    failed = train_view.state_html(a_job(tmp_path, state="failed", error="<b> no luck"), [])
    assert "&lt;b&gt; no luck" in failed
    assert 'role="alert"' in failed
    whole = train_view.state_html(a_job(tmp_path, state="failed", error="a.png is damaged."), [])
    assert ">A.png is damaged. The log below" in whole
    assert "not finite" in train_view.state_html(a_job(tmp_path), records(float("nan")))
    assert "Waits for its turn" in train_view.state_html(a_job(tmp_path, state="queued", began=None), [])
    assert "Resume goes on" in train_view.state_html(a_job(tmp_path, state="stopped"), [])


def drawn(rows: list[dict[str, Any]]) -> str:
    chart = train_view.loss_chart(rows)
    assert chart is not None
    return chart.html()


def test_the_loss_of_every_stage_is_drawn(tmp_path: Path) -> None:
    both = train_view.pictures_html(tmp_path, records(1.0, float("nan"), 0.2, 0.1) + records(0.7, 0.6, stage="later"))
    assert "nan" not in both
    assert both.index("Loss, training") < both.index("Loss, later")
    assert train_view.loss_chart([]) is train_view.loss_chart(records(0.5)) is None
    nan = float("nan")
    assert train_view.loss_chart(records(nan, nan)) is None
    chart = drawn(records(1.0, 0.5, 0.2, 0.1))
    assert chart.count('"ch-marker"') == 2  # the held-out loss, and its entry in the legend
    assert all(name in chart for name in ("each record", "smoothed over ten", "on images not trained on"))
    assert "nan" not in chart
    resumed = drawn([*records(1.0, 0.9, 0.8), *records(1.0, 0.5, 0.2, 0.1)])
    assert resumed == drawn(records(1.0, 0.5, 0.2, 0.1))
    many = drawn(records(*np.linspace(1, 0.1, 5000)))
    assert len(many) < 20_000


def test_samples_are_the_newest_grid_or_the_generated_images(tmp_path: Path) -> None:
    assert train_view.samples_html(tmp_path) is None
    (tmp_path / "ddpm" / "samples").mkdir(parents=True)
    for step in (9, 10):
        Image.new("RGB", (8, 8)).save(tmp_path / "ddpm" / "samples" / f"{step:07d}.png")
    assert "Samples at step 10" in train_view.samples_html(tmp_path)
    (tmp_path / "parts").mkdir()
    np.savez(tmp_path / "parts" / "0000000-0000006.npz", images=np.zeros((6, 8, 8, 3), np.uint8))
    assert ">The first generated images<" in train_view.samples_html(tmp_path)
    later = tmp_path / "augmented" / "ddpm" / "samples" / "0000003.png"  # of a trial of defences
    later.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(later)
    assert ">Samples at step 3 of the augmented model<" in train_view.samples_html(tmp_path)


def test_a_generator_that_makes_noise_is_said_to(tmp_path: Path) -> None:
    """The demo preset's detector has a perfect score, for telling noise from photographs."""
    (tmp_path / "samples").mkdir()
    grid = tmp_path / "samples" / "0000001.png"
    for values, said in ((np.random.default_rng(0).integers(0, 256, (64, 64, 3)), True), (photographs(), False)):
        Image.fromarray(values.astype(np.uint8)).save(grid)
        assert ("still makes noise" in train_view.state_html(a_job(tmp_path), [])) is said


def photographs() -> np.ndarray:
    """Four photographs as a grid."""
    images = load_images("sample:real[0:4]", 32, None)
    return np.vstack([np.hstack(images[:2]), np.hstack(images[2:])])


def test_how_the_samples_changed_is_shown(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for step in range(100, 700, 100):
        Image.new("RGB", (64, 64)).save(tmp_path / "samples" / f"{step:07d}.png")
    assert re.findall(r"<figcaption>step (\d+)", str(train_view.samples_html(tmp_path))) == ["100", "300", "400", "600"]


def test_a_finished_job_is_there_to_look_at(page: train_tab.Page) -> None:
    """Where nothing can be started there is something to see: curve, samples, what was measured, and no way to open it."""
    shown = page.parts(None)
    assert "An example to look at" in shown["job"]
    assert "still makes noise" in shown["job"]
    assert "Open in Inspect" not in shown["job"]
    assert "<h2>Measured</h2>" in shown["report"]
    assert "Loss, stage" in shown["pictures"]
    assert "How the samples changed" in shown["pictures"]
    assert sum(file.stat().st_size for file in train_tab.EXAMPLE.rglob("*")) < 1_000_000


def test_images_are_counted_before_the_start(page: train_tab.Page) -> None:
    few = ["", "sample:real[0:200]", *[""] * 5]
    assert "500 real images found; this needs 241 at least" in page.count(
        "loop", "demo", "", "", "sample:real", *few[2:]
    )
    assert "200 real images found, and this needs 241" in page.count("loop", "demo", "", *few)
    with pytest.raises(gr.Error, match="200 real images found"):
        page.start("loop", "demo", "", *few)
    assert page.store.jobs() == []  # nothing that fails and offers to be resumed
    assert "200 real images found; this needs 191 at least" in page.count("loop", "demo", "test = 10", *few)
    assert "real images" not in page.count("loop", "small", "", "", "cifar10", *few[2:])  # fetched when it starts


def test_own_images_become_a_data_set(page: train_tab.Page, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file in files:
        Image.new("RGB", (8, 8)).save(file)
    names = ["my cat.png", "../dog.PNG", "3.png"]
    place = keep(page.store.folder, 5, files, names)
    assert place == page.store.folder / "images" / "my-cat"
    assert load_images(place, 8, None).shape == (3, 8, 8, 3)
    assert {file.parent for file in place.rglob("*.*")} == {place}
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(files[0], "a.png")
    packed = keep(page.store.folder, 5, [tmp_path / "a.zip"], ["holiday.zip"])
    assert load_images(packed, 8, None).shape == (1, 8, 8, 3)
    assert {value for _, value in page.offer_sets()[0].choices} >= {str(place), str(packed), "sample:real"}
    before = sorted(page.store.folder.rglob("*"))
    (tmp_path / "b.zip").write_bytes(b"no zip")
    for limit, given, error in (
        (5, [tmp_path / "b.zip"], ImageError),
        (5, [tmp_path / "a.zip", files[0]], ImageError),
        (0, files, ValueError),
    ):
        with pytest.raises(error):
            keep(page.store.folder, limit, given, [file.name for file in given])
    assert sorted(page.store.folder.rglob("*")) == before  # nothing half-done stays


def test_uploaded_images_are_deleted_by_who_may_start_jobs(
    page: train_tab.Page, images_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{number}.png" for number in range(30)]
    for file, image in zip(files, np.load(images_npz)["images"][[*range(24), *range(6)]], strict=True):
        Image.fromarray(image).save(file)
    names = [file.name for file in files]
    place, other = (keep(page.store.folder, 5, files, names, called) for called in ("cats", "cats-2"))
    data, sets, button = page.offer_sets()
    assert [value for _, value in sets.choices] == ["cats-2", "cats"]
    assert re.fullmatch(r"cats, \d\.\d MB", sets.choices[1][0])
    assert button.visible
    page.start("train-ddpm", "demo", "", "", f"{place}[0:20]", *[""] * 5)
    with pytest.raises(gr.Error, match=r"Job .* reads cats: stop it first"):
        page.remove("cats", str(place))
    for wrong in ("..", "cats/00000-0.png", str(place)):
        with pytest.raises(gr.Error, match="There is no uploaded data set"):
            page.remove(wrong, "")
    assert "value" not in page.remove(None, str(place))[0].constructor_args  # thought better of it
    third = keep(page.store.folder, 5, files, names, "cats-2-b")
    data, sets, _ = page.remove("cats-2-b", str(third.with_name("cats-2-b-c")))
    assert "value" not in data.constructor_args  # its name begins alike
    data, sets, _ = page.remove("cats-2", f"{other}[0:20]")
    assert data.constructor_args["value"] == "sample:real"  # not what is no longer there
    assert [value for _, value in sets.choices] == ["cats"]
    assert (place.exists(), other.exists()) == (True, False)
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    with pytest.raises(gr.Error, match="training and new studies are switched off"):
        page.remove("cats", "")
    data, sets, button = page.offer_sets()
    assert (sets.visible, button.visible, place.exists()) == (False, False, True)
    assert str(place) not in str(data.choices)


@pytest.mark.parametrize(
    ("state", "code", "done", "worth"),
    [
        ("failed", 1, 0, False),
        ("failed", 1, 3, True),
        ("failed", -9, 0, True),
        ("stopped", 130, 0, True),
        ("done", 0, 3, False),
    ],
)
def test_resume_is_offered_where_it_can_help(tmp_path: Path, state: str, code: int, done: int, worth: bool) -> None:
    write_records(tmp_path, [record | {"done": done} for record in records(0.5)])
    assert worth_resuming(a_job(tmp_path, state=state, exit_code=code)) is worth


def write_records(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_events_start_watch_and_stop(page: train_tab.Page, runs: Path) -> None:
    values = ["", "sample:real", "", "33", "", "", ""]
    with pytest.raises(gr.Error, match="unknown name &#x27;stepz&#x27;; did you mean &#x27;steps&#x27;"):
        page.start("train-ddpm", "demo", "stepz = 3", *values)
    assert "No job yet" in page.look(None, {})[4]
    chosen = page.start("train-ddpm", "demo", "", *values)
    job = page.store.get(chosen.value)
    assert "steps = 33" in (job.folder / "config.toml").read_text()
    wait_for(lambda: page.store.get(job.id).state == "running" and read_records(job.folder))
    listed, stop, resume, delete, state, *_, seen = page.look(None, {})
    assert listed.value == job.id
    assert (stop.visible, resume.visible, delete.visible) == (True, False, False)
    assert "Counting" in state
    page.stop(job.id)
    *_, seen = page.look(job.id, seen)
    assert page.look(job.id, seen) == [gr.skip()] * 10  # nothing changed, nothing is sent
    assert page.delete("") == gr.skip()
    assert job.folder.exists()
    page.delete(job.id)
    assert not job.folder.exists()
    with pytest.raises(gr.Error, match="There is no job"):
        page.stop(job.id)


def test_a_choice_that_has_gone_is_a_wish_not_an_error(page: train_tab.Page) -> None:
    """A page may ask about a job that another page, or its own last click, has deleted meanwhile."""
    changing = (
        "jobs",
        "own-sets",
        "evaluation",
        "evaluation-reals",
        "evaluation-score",
        "comparison",
        "sweep",
        "sweep-k",
    )
    changing += ("compare-reals", "compare-method")
    demo = ui.build_demo(Context(make_detector))
    taken = dict.fromkeys(changing, False)
    for event in demo.fns.values():
        for name in {block.elem_id for block in event.inputs} & set(changing):
            assert event.preprocess is False, f"{event.name} checks {name}"
            taken[name] = True
    assert all(taken.values()), taken
    assert page.look("20260101-000000-loop", {})[0].value is None


def test_fields_follow_the_stage(page: train_tab.Page) -> None:
    changes = dict(zip(["about", "preset", *page.names], page.choose("calibrate"), strict=True))
    visible = [name for name in page.names if changes[name]["visible"]]
    assert visible == ["detector", "data", "generated"]
    assert changes["preset"].visible is False


def test_a_preset_brings_its_data(page: train_tab.Page) -> None:
    assert [page.data_of("loop", preset)["value"] for preset in form.PRESETS] == ["sample:real", "cifar10", "cifar10"]
    assert page.data_of("train-ddpm", "small") == gr.skip()


def test_a_public_space_trains_nothing(page: train_tab.Page, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/space")
    with pytest.raises(gr.Error, match="training and new studies are switched off"):
        page.start("loop", "demo", "", "", "sample:real", "", "", "", "", "")
    for act in (page.stop, page.resume, page.delete):
        with pytest.raises(gr.Error, match="training and new studies are switched off"):
            act("20260101-000000-loop")
    assert not runs.exists()
    monkeypatch.setenv("SEDID_PUBLIC", "0")  # a Space of one's own
    with pytest.raises(gr.Error, match="no job"):
        page.stop("20260101-000000-loop")


def test_the_report_is_the_measured_table(tmp_path: Path) -> None:
    assert train_view.report_html(tmp_path) == ""
    file, _ = write_evaluation(tmp_path / "bundle" / "sedid", warning="the border gives it away")
    [own] = [row for row in EvaluationResults.read(file).stat["heldout"] if row.chosen]
    report = train_view.report_html(tmp_path)
    assert f"{own.auc:.3f}" in report
    assert "WARNING. the border gives it away" in report


def test_a_visitor_starts_a_job_and_finds_it_after_a_reload(
    browser, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playwright.sync_api import expect

    monkeypatch.setattr(menu, "JobStore", lambda _: LightStore(runs))
    monkeypatch.setattr(ui, "TABS", ("inspect", "train"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(runs.parent / "uploads"))
    detector = make_detector()
    with served(Context(lambda: detector)) as url, visited(browser, url) as visit:
        visit.get_by_role("tab", name="Train").click()
        visit.locator("#start-job").click()
        expect(visit.locator("#job .sed-chip")).to_have_text("running", timeout=WAIT)
        expect(visit.locator("#pictures .ch-svg")).to_be_visible(timeout=WAIT)  # the timer goes on looking
        visit.reload()  # the address names the tab
        expect(visit.locator("#log")).to_contain_text("working hard", timeout=WAIT)
        visit.locator("#stop-job").click()
        expect(visit.locator("#job .sed-chip")).to_have_text("stopped", timeout=WAIT)
        for answer in ("dismiss", "accept"):
            expect(visit.locator("#job .sed-chip")).to_have_text("stopped")
            with visit.expect_response(lambda response: "/queue/join" in response.url):
                visit.once("dialog", lambda dialog, answer=answer: getattr(dialog, answer)())
                visit.locator("#delete-job").click()
        expect(visit.get_by_text("No job yet.")).to_be_visible(timeout=WAIT)
        expect(visit.locator(".toast-body.error")).to_have_count(0)  # they stay for ten seconds
    assert [path for path in runs.iterdir() if path.is_dir()] == []
    assert os.environ["GRADIO_TEMP_DIR"]

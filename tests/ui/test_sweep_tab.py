"""The Sweep tab starts sweeps as jobs: its events, and one visit with a browser."""

from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from helpers.browsing import WAIT, served, visited
from helpers.fakes import make_detector
from helpers.light_jobs import LightStore, wait_for
from helpers.results import write_sweep

from sedid import ui
from sedid.jobs.folder import read_records
from sedid.ui import menu
from sedid.ui.context import Context
from sedid.ui.results import files as results_files
from sedid.ui.results import sweep_tab
from sedid.ui.results.frame import of_job
from sedid.ui.train import job_card


@pytest.fixture
def page(runs: Path, monkeypatch: pytest.MonkeyPatch) -> sweep_tab.Page:
    monkeypatch.setenv("SEDID_RUNS", str(runs))
    monkeypatch.setattr(results_files, "SHIPPED", runs.parent / "nothing")
    return sweep_tab.Page(LightStore(runs))


def order(runs: Path, text: str) -> None:
    (runs / "order").write_text(text)


def start(page: sweep_tab.Page, bundle: Path, **changes: Any) -> None:
    given = {"detector": str(bundle), "real": "sample:real", "generated": "sample:generated", "ks": ["330", "495"]}
    page.start(**given | {"count": 20} | changes)


def test_halves_are_disjoint_and_stay_inside_the_slice() -> None:
    assert job_card.halves("sample:real", 21) == ("sample:real[0:10]", "sample:real[10:21]")
    assert job_card.halves("a b[30:50]", 20) == ("a b[30:40]", "a b[40:50]")
    assert job_card.halves("x[5:]", 4) == ("x[5:7]", "x[7:9]")
    with pytest.raises(ValueError, match="fewer than 20 images"):
        job_card.halves("x[5:24]", 20)
    with pytest.raises(ValueError, match="at least 4 images of each class, not 3"):
        job_card.halves("x", 3)


def test_a_sweep_is_started_watched_and_shown_when_it_is_done(
    page: sweep_tab.Page, runs: Path, tiny_bundle: Path
) -> None:
    start(page, tiny_bundle)
    (job,) = page.store.jobs()
    written = (job.folder / "config.toml").read_text()
    assert "ks = [330, 495]" in written
    assert 'test_real = "sample:real[10:20]"' in written
    wait_for(lambda: page.store.get(job.id).state == "running" and read_records(job.folder))
    stop, resume, delete, card, _, shown, finished, seen = page.look({})
    assert (stop.visible, resume.visible, delete.visible) == (True, False, False)
    assert 'role="progressbar"' in card
    assert shown == job.id
    assert finished == gr.skip()
    write_sweep(job.folder)
    order(runs, "finish")
    wait_for(lambda: page.store.get(job.id).state == "done")
    *_, finished, seen = page.look(seen)
    assert finished == job.id
    chosen = of_job("nobody/nothing", "sweep", finished)
    assert chosen.value == job.id
    assert page.look(seen) == [gr.skip()] * 8  # said once, and nothing changed
    *_, finished, _ = page.look({})
    assert finished == gr.skip()  # who comes later is not taken away from what he looks at
    page.delete(job.id)
    assert of_job("nobody/nothing", "sweep", job.id) == gr.skip()


def test_the_running_sweep_is_shown_before_those_that_wait(page: sweep_tab.Page, runs: Path, tiny_bundle: Path) -> None:
    start(page, tiny_bundle)
    (first,) = page.store.jobs()
    wait_for(lambda: page.store.get(first.id).state == "running")
    page.store.start("train-ddpm", ["data=sample:real"])  # not of this tab, but in the same queue
    start(page, tiny_bundle)
    second = page.store.jobs()[0]
    assert page.look({})[5] == first.id
    page.stop(first.id)
    _, _, _, card, _, shown, *_ = page.look({})
    assert shown == second.id
    assert "Waits for its turn" in card or "Starting" in card
    for job in page.store.jobs():
        if job.active:
            page.stop(job.id)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ks": []}, "Choose at least one step size"),
        ({"ks": ["165", "many"]}, "Ks must be a whole number, not &#x27;many&#x27;"),
        ({"count": None}, "at least 4 images"),
        ({"detector": "nowhere"}, "No detector at nowhere"),
    ],
)
def test_what_cannot_be_swept_is_refused(
    page: sweep_tab.Page, tiny_bundle: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(gr.Error, match=said):
        start(page, tiny_bundle, **changes)
    assert page.store.jobs() == []


def test_a_public_space_sweeps_nothing(
    page: sweep_tab.Page, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/space")
    with pytest.raises(gr.Error, match="new studies are switched off"):
        start(page, tiny_bundle)
    assert page.store.jobs() == []


def test_a_visitor_sweeps_and_sees_the_heatmaps(
    browser, runs: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playwright.sync_api import expect

    monkeypatch.setenv("SEDID_RUNS", str(runs))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(runs.parent / "uploads"))
    monkeypatch.setattr(results_files, "SHIPPED", runs.parent / "nothing")
    monkeypatch.setattr(sweep_tab.form, "SHIPPED", tiny_bundle)
    monkeypatch.setattr(menu, "JobStore", lambda _: LightStore(runs))
    monkeypatch.setattr(ui, "TABS", ("inspect", "sweep"))
    detector = make_detector()
    with (
        served(Context(lambda: detector, (), menu.Menu(runs.parent / "nothing"))) as url,
        visited(browser, url) as visit,
    ):
        visit.get_by_role("tab", name="Sweep").click()
        expect(visit.get_by_text("Nothing has been swept yet.")).to_be_visible(timeout=WAIT)
        visit.get_by_role("button", name="New sweep").click()
        visit.locator("#sweep-start").click()
        expect(visit.locator("#sweep-job .sed-chip")).to_have_text("running", timeout=WAIT)
        (job,) = LightStore(runs).jobs()
        write_sweep(job.folder)
        order(runs, "finish")
        expect(visit.locator("#sweep-drawn .ch-grid").first).to_be_visible(timeout=WAIT)
        visit.once("dialog", lambda dialog: dialog.dismiss())
        visit.locator("#delete-sweep").click()
        expect(visit.locator("#sweep-job .sed-chip")).to_have_text("done", timeout=WAIT)
        assert job.folder.exists()
        visit.once("dialog", lambda dialog: dialog.accept())
        visit.locator("#delete-sweep").click()
        expect(visit.locator("#sweep-job .sed-chip")).to_have_count(0, timeout=WAIT)
    assert not job.folder.exists()

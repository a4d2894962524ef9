"""A real training run of demo size, started, watched, stopped and resumed from the page, on a phone."""

import json
from pathlib import Path

import pytest
from helpers.browsing import served, visited
from helpers.light_jobs import wait_for

from sedid import ui
from sedid.jobs.store import JobStore
from sedid.ui import menu
from sedid.ui.context import Context

PATIENCE = 120_000  # milliseconds; an upper bound: the job is a process of its own, which imports torch first
STEPS = 40


def steps_logged(run: Path) -> list[int]:
    """The steps of the run in the order they were made."""
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_demo_training_is_started_watched_stopped_and_resumed(
    browser, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from helpers.fakes import make_detector
    from playwright.sync_api import expect

    store = JobStore(runs)
    monkeypatch.setattr(menu, "JobStore", lambda _: store)
    monkeypatch.setattr(ui, "TABS", ("inspect", "train"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(runs.parent / "uploads"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = "batch_size = 4\nsave_every = 1\nlog_every = 1\neval_every = 1000\nsamples = 4\n"
    with served(Context(lambda: make_detector())) as url, visited(browser, url) as visit:
        visit.set_viewport_size({"width": 390, "height": 844})
        visit.set_default_timeout(PATIENCE)
        visit.goto(f"{url}?tab=train")
        visit.get_by_label("1 Train a DDPM").check()
        visit.get_by_label("Held-out images").wait_for(state="visible")
        visit.get_by_label("Steps").fill(str(STEPS))
        visit.get_by_label("Other settings").fill(settings)
        visit.locator("#start-job").click()

        chip = visit.locator("#job .sed-chip")
        expect(chip).to_have_text("running", timeout=PATIENCE)
        (job,) = store.jobs()
        state = job.folder / "state.safetensors"
        wait_for(state.is_file)
        expect(visit.locator("#pictures .ch-svg").first).to_be_visible(timeout=PATIENCE)  # the loss, while it trains
        visit.locator("#stop-job").click()
        expect(chip).to_have_text("stopped", timeout=PATIENCE)
        before = steps_logged(job.folder)
        assert 0 < before[-1] < STEPS

        visit.locator("#resume-job").click()
        expect(chip).to_have_text("done", timeout=PATIENCE)
        after = steps_logged(job.folder)[len(before) :]
        assert after[0] > 1  # it went on from its checkpoint
        assert after[-1] == STEPS
        expect(visit.locator("#pictures img").first).to_be_visible(timeout=PATIENCE)  # the sample grid
        assert visit.evaluate("document.documentElement.scrollWidth") <= 390

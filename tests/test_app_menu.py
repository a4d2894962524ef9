"""The detector menu as visitors meet it: other detectors picked, typed, linked to and opened from a job's view."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import WAIT, score, served, set_k, wait_for_t_sec
from bundles import shared_bundle
from fakes import make_detector

from sedid.storage import read_json, write_json
from sedid.ui.context import Context, list_examples
from sedid.ui.menu import Menu


@pytest.fixture(scope="module")
def menu(tmp_path_factory: pytest.TempPathFactory, tiny_unet: Callable[..., Any]) -> Iterator[Menu]:
    """Two calibrated bundles, a foreign pipeline of other size and schedule, a broken one, and a job's bundle."""
    from diffusers import DDPMPipeline, DDPMScheduler

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as `one_thread`, for as long as the page is served
    folder = tmp_path_factory.mktemp("detectors")
    checkpoints, runs = folder / "checkpoints", folder / "runs"
    job_bundle = runs / "20260102-030405-loop" / "bundle"
    for place in (checkpoints / "tiny", checkpoints / "late", checkpoints / "broken", job_bundle):
        shutil.copytree(shared_bundle(), place)
    late = checkpoints / "late" / "sedid" / "detector.json"
    info = read_json(late)
    write_json(late, info | {"stat": info["stat"] | {"chosen": [165, 990]}})
    (checkpoints / "broken" / "sedid" / "detector.json").write_text("{}")
    foreign: Any = DDPMPipeline(tiny_unet(sample_size=16), DDPMScheduler(num_train_timesteps=400))
    foreign.save_pretrained(checkpoints / "foreign")
    job = {"command": "loop", "preset": "demo", "state": "done", "created": 1.0}
    write_json(runs / "20260102-030405-loop" / "job.json", job)
    yield Menu("fake", checkpoints, runs)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def url(examples: Path, menu: Menu, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setenv("SEDID_RUNS", str(menu.runs))
        with served(Context(lambda: detector, list_examples(examples), menu)) as address:
            yield address


def pick_detector(page, name: str) -> None:
    page.locator("#detector input").click()
    page.get_by_role("option", name=name).click()


def detector_in_use(page, name: str) -> None:
    page.wait_for_selector(f"#verdicts .sed-note >> text=({name}, ")
    page.wait_for_function("name => document.querySelector('#detector input').value === name", arg=name)


def test_the_page_follows_the_menu_and_comes_back(page) -> None:
    before = score(page)
    pick_detector(page, "tiny")
    detector_in_use(page, "tiny")
    wait_for_t_sec(page, 495)  # its own pair
    page.wait_for_url(re.compile("detector=checkpoints%2Ftiny"))
    assert page.locator("#calibrated").inner_text() == "Use the calibrated pair: k = 165, T_SEC = 495"
    page.locator(".sed-example[data-name=real-02]").click()
    page.wait_for_selector(".sed-example[data-name=real-02][aria-pressed=true]")
    detector_in_use(page, "tiny")
    pick_detector(page, "foreign")
    detector_in_use(page, "foreign")
    assert page.locator("[data-verdict=stat] h3").inner_text() == "Not calibrated: no verdict"
    assert "16 by 16 pixels" in page.locator("#seen").inner_text()
    assert page.locator("#film img").count() > 1
    page.wait_for_selector("#t-sec input[type=range][max='330']")  # 400 timesteps
    assert page.locator("#k input[type=range]").get_attribute("max") == "399"
    assert not page.locator("#calibrated").is_visible()
    pick_detector(page, "fake")
    detector_in_use(page, "fake")
    wait_for_t_sec(page, 330)
    assert page.locator("#k input[type=range]").get_attribute("max") == "495"
    page.locator(".sed-example[data-name=real-01]").click()
    page.wait_for_selector(".sed-example[data-name=real-01][aria-pressed=true]")
    assert score(page) == before
    assert "detector=" not in page.url


def test_the_knob_of_t_sec_is_where_its_number_is(browser, url: str) -> None:
    """T_SEC keeps its value, or its share of the track, while its ends and steps change."""

    def settles(k: int, t_sec: int) -> None:
        wait_for_t_sec(page, t_sec)
        page.wait_for_function(
            """([k, t_sec]) => {
                const [range, number] = ['range', 'number'].map(kind => document.querySelector(`#t-sec [type=${kind}]`));
                return [range.min, range.step, range.value, number.value].join() === [k, k, t_sec, t_sec].join();
            }""",
            arg=[k, t_sec],
        )

    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(WAIT)
    page.goto(f"{url}?k=330&t_sec=990")
    settles(330, 990)
    pick_detector(page, "late")
    settles(165, 990)
    for k, t_sec in ((5, 990), (330, 990), (165, 990), (300, 900), (100, 900)):
        set_k(page, k)
        settles(k, t_sec)
    pick_detector(page, "fake")
    settles(165, 330)
    page.close()


def test_an_upload_is_seen_anew_by_a_detector_of_another_size(page, photo: Path) -> None:
    page.locator("#photo button[aria-label='Remove Image']").click()
    page.wait_for_selector(".sed-state")
    pick_detector(page, "foreign")
    page.wait_for_selector("#k input[type=range][max='399']")  # nothing to analyse yet
    page.locator("#photo input[type=file]").set_input_files(photo)
    page.wait_for_selector("#seen >> text=16 by 16 pixels")
    pick_detector(page, "tiny")
    detector_in_use(page, "tiny")
    assert "32 by 32 pixels" in page.locator("#seen").inner_text()


@pytest.mark.parametrize("typed", [False, True])
def test_a_detector_that_cannot_be_opened_leaves_the_old_one(page, typed: bool) -> None:
    before = score(page)
    if typed:
        page.locator("#detector input").fill("/nowhere/at/all")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=no detector at /nowhere/at/all: give a bundle folder")
    else:
        pick_detector(page, "broken")
        page.wait_for_selector("text=format None; this version reads 1")
    detector_in_use(page, "fake")
    assert score(page) == before
    pick_detector(page, "tiny")
    detector_in_use(page, "tiny")


def test_a_jobs_detector_opens_in_inspect(page) -> None:
    page.get_by_role("tab", name="Train").click()
    page.locator("#job .sed-open").click()
    page.wait_for_selector("#verdicts .sed-note >> text=(All in one go, demo (")
    assert page.get_by_role("tab", name="Inspect").get_attribute("aria-selected") == "true"
    assert page.locator("#detector input").input_value().startswith("All in one go, demo (")
    page.wait_for_url(re.compile("detector=job%3A20260102-030405-loop"))


def test_a_link_names_only_detectors_of_the_menu(browser, url: str, menu: Menu) -> None:
    for named, opened in (("checkpoints/tiny", "tiny"), (f"{menu.checkpoints}/tiny", "fake"), ("job:none", "fake")):
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(f"{url}?detector={named}&t_sec=660")
        detector_in_use(page, opened)
        wait_for_t_sec(page, 660)
        page.close()

"""Which detectors a page offers and opens, and which stay loaded. No server, no browser."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from helpers.bundles import shared_bundle, tiny_bundle
from helpers.fakes import make_detector

from sedid.detector.detector import Detector
from sedid.storage import write_json
from sedid.ui.context import Context
from sedid.ui.detectors import KEPT
from sedid.ui.menu import Menu

pytestmark = pytest.mark.usefixtures("one_thread")


def test_another_detector_is_opened_once_and_the_last_few_stay(tmp_path: Path) -> None:
    opened: list[str] = []

    class CountingMenu(Menu):
        def open(self, key: str) -> Detector:
            opened.append(key)
            return make_detector()

    context = Context(make_detector, (), CountingMenu(tmp_path, tmp_path, tmp_path))
    own = context.detectors.get()
    threads = [threading.Thread(target=context.detectors.get, args=["some/detector"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["some/detector"]
    names = [f"detector/{i}" for i in range(KEPT)]
    for name in names:
        context.detectors.get(name)
    context.detectors.get("some/detector")  # was dropped meanwhile
    context.detectors.get(names[-1])
    assert opened == ["some/detector", *names, "some/detector"]
    assert context.detectors.get() is own


def test_a_new_calibration_is_read_and_a_failure_is_tried_again(tmp_path: Path) -> None:
    context = Context(make_detector, (), Menu(tmp_path, tmp_path / "checkpoints", tmp_path / "runs"))
    with pytest.raises(FileNotFoundError, match="no detector at"):
        context.detectors.get(str(tmp_path / "mine"))
    folder = tiny_bundle(tmp_path / "mine")
    before = context.detectors.get(str(folder))
    assert context.detectors.get(str(folder)) is before
    file = folder / "sedid" / "detector.json"
    info = json.loads(file.read_text())
    file.write_text(json.dumps(info | {"stat": {**info["stat"], "chosen": [165, 660]}}))
    os.utime(file, ns=(1, 1))
    assert (before.chosen, context.detectors.get(str(folder)).chosen) == ((165, 495), (165, 660))


def a_job(runs: Path, state: str, number: int = 1) -> str:
    """The folder of a job of `runs` in which a bundle lies; returns its id."""
    id = f"20260102-030405-loop-{number}"
    shutil.copytree(shared_bundle(), runs / id / "bundle")
    write_json(runs / id / "job.json", {"command": "loop", "preset": "demo", "state": state, "created": number})
    return id


def test_the_menu_offers_the_own_detector_jobs_and_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, checkpoints = tmp_path / "runs", tmp_path / "checkpoints"
    done, failed = a_job(runs, "done"), a_job(runs, "failed", 2)
    shutil.copytree(shared_bundle(), checkpoints / "other")
    shutil.copytree(shared_bundle(), checkpoints / "own")
    (checkpoints / "no-detector").mkdir()
    menu = Menu(checkpoints / "own", checkpoints, runs)
    assert [key for _, key in menu.choices()] == ["default", f"job:{failed}", f"job:{done}", "checkpoints/other"]
    assert menu.choices()[0][0] == "own"
    assert Menu().choices()[0] == ("cifar10 (shipped)", "default")
    assert menu.open(f"job:{done}").name.startswith("All in one go, demo (")
    assert menu.open("checkpoints/other").name == "other"
    assert menu.open(str(checkpoints / "other")).name == "other"  # typed
    assert not menu.offers(str(checkpoints / "other"))
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert menu.open(f"job:{done}").name.startswith("All in one go")
    hostile = (
        str(checkpoints / "other"),
        "someone/else",
        "checkpoints/../checkpoints/other",
        "checkpoints/..",
        "",
        " ",
    )
    for key in hostile:
        with pytest.raises(ValueError, match="opens only the detectors of its menu"):
            menu.stamp(key)
    for key in ("job:../../elsewhere", "job:absent", "job:"):
        with pytest.raises(ValueError, match=r"is not the id of a job|there is no job"):
            menu.open(key)

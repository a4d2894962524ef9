"""A study's results file is made anew by the command and settings it records: the same bits here, and what differs is named."""

import json
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle
from typer.testing import CliRunner

from sedid import paths
from sedid.cli import app
from sedid.config import load_config
from sedid.jobs.commands import COMMANDS
from sedid.paths import ROOT
from sedid.progress import finish
from sedid.recipes.rerun import compared, settings_of, study_of
from sedid.studies.sweep import SweepConfig, SweepResults, sweep

pytestmark = pytest.mark.usefixtures("one_thread_for_all")


STUDIES = {one.results for one in COMMANDS.values()} - {"", "defence.json"}  # which trains networks of its own


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sweep.json of six pictures of each class, which lie beside it."""
    folder = tmp_path_factory.mktemp("swept")
    sets = {}
    for seed, name in enumerate(("real", "generated")):
        np.savez(folder / f"{name}.npz", images=pictures(6, seed))
        sets[name] = str(folder / f"{name}.npz")
    finish(sweep(SweepConfig(detector=str(shared_bundle()), out=str(folder), ks=(495,), device="cpu", **sets)))
    return folder / "sweep.json"


def said(file: Path, real: Path) -> tuple[int, str]:
    sets = ["--set", f"real={real}", "--set", f"generated={file.parent / 'generated.npz'}"]
    detector = ["--detector", str(shared_bundle()), "--device", "cpu"]
    done = CliRunner().invoke(app, ["verify", str(file), *detector, *sets])
    return done.exit_code, done.output


def test_the_same_settings_and_data_give_the_same_bits(swept: Path) -> None:
    before = swept.read_bytes()
    code, words = said(swept, swept.parent / "real.npz")
    assert code == 0, words
    assert "agrees       images of real: at most 0 apart" in words
    assert " entries of sweep.json, the furthest " in words
    assert words.count("at most 0 apart") == 3
    assert swept.read_bytes() == before
    stated = SweepResults.read(swept).protocol
    assert stated.versions["commit"] == paths.commit() != ""
    assert stated.config["batch_size"] == 32
    assert len(stated.images["real"].sha256) == 64


def test_an_edited_figure_and_other_images_are_named(swept: Path, tmp_path: Path) -> None:
    edited = json.loads(swept.read_text())
    edited["rows"][1]["threshold"] *= 1.01
    edited["rows"][1]["auc"] = 0.5 + (edited["rows"][1]["auc"] < 0.5) / 100
    edited["protocol"]["images"]["real"]["sha256"] = "0" * 64
    (tmp_path / "sweep.json").write_text(json.dumps(edited))
    (tmp_path / "generated.npz").write_bytes((swept.parent / "generated.npz").read_bytes())
    code, words = said(tmp_path / "sweep.json", swept.parent / "real.npz")
    assert code == 1, words
    assert "DIFFERS      images of real" in words
    assert "the furthest rows.1." in words
    assert "NOT verified" in words


def test_a_setting_that_is_no_more_is_named(swept: Path, tmp_path: Path) -> None:
    older = json.loads(swept.read_text())
    older["protocol"]["config"]["once"] = 3
    (tmp_path / "sweep.json").write_text(json.dumps(older))
    (tmp_path / "generated.npz").write_bytes((swept.parent / "generated.npz").read_bytes())
    code, words = said(tmp_path / "sweep.json", swept.parent / "real.npz")
    assert code == 0, words
    assert "not checked  settings once: the command has none of that name any more" in words


SHIPPED = [file for file in ROOT.glob("checkpoints/*/sedid/*.json") if file.name in STUDIES]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parts[-3]}/{file.stem}")
def test_what_is_shipped_can_be_asked_for_again(file: Path) -> None:
    """Its settings are accepted today, and it says of which images it is."""
    command = study_of(file)
    stated = get_args(get_type_hints(command.loop)["return"])[2].read(file).protocol
    recorded, _ = settings_of(command, stated)
    config = load_config(command.settings, recorded, None, [])
    assert {name: getattr(config, name) for name in recorded} == recorded
    assert {len(one.sha256) for one in stated.images.values()} == {64}
    assert {"python", "torch"} <= stated.versions.keys()


def test_a_file_that_no_study_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "training.json")])
    assert done.exit_code == 1
    assert "is no results file that can be made anew; accepted: choice.json, compare.json" in done.stderr


def test_how_far_entries_are_apart() -> None:
    """Large figures by their share, texts by their words, what is not there infinitely far."""
    kept = {"a": [1000.0, 0.5], "b": "AUC 0.75 of 3", "c": None, "images_per_second": 1.0, "protocol": {"x": 1}}
    assert compared("x.json", kept, kept | {"images_per_second": 2.0, "protocol": {}}).apart == 0
    for found, apart in (
        ({"a": [1001.0, 0.5]}, 0.001),
        ({"a": [1000.0, 0.6]}, pytest.approx(0.1)),
        ({"a": [1000.0]}, float("inf")),
        ({"b": "AUC 0.7 of 4"}, 0),
        ({"b": "AUC 0.75 off 3"}, float("inf")),
        ({"c": 0.0}, float("inf")),
        ({"a": [float("nan"), 0.5]}, float("inf")),
    ):
        check = compared("x.json", kept, kept | found)
        assert check.apart == apart
        assert check.agrees == (apart in (0, 0.001))


def test_without_a_checkout_or_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = paths.commit.__wrapped__
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() == ""
    monkeypatch.undo()
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert find() == ""

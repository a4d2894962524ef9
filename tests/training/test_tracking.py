"""What the trackers write can be read back; what cannot be written is refused before anything runs."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures
from helpers.bundles import tiny_bundle as demo_bundle

from sedid.progress import finish
from sedid.training import tracking
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm
from sedid.training.train_nn import TrainNNConfig, train_nn

pytestmark = pytest.mark.usefixtures("one_thread")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every series TensorBoard would show."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_has_what_the_training_of_a_ddpm_measured(
    tmp_path: Path, tiny_bundle: Path, images_npz: Path
) -> None:
    config = TrainDDPMConfig(
        data=str(images_npz),
        out=str(tmp_path / "run"),
        start=str(tiny_bundle),
        heldout=str(images_npz),
        steps=4,
        batch_size=4,
        eval_every=2,
        save_every=2,
        log_every=1,
        samples=0,
        device="cpu",
        trackers=("tensorboard",),
    )
    seen = {}
    for record in train_ddpm(config):
        if record.step == 3:  # logged, but after the last checkpoint
            break
        seen[record.step] = record
    seen |= {record.step: record for record in train_ddpm(config)}
    found = scalars(tmp_path / "run" / "logs" / "train-ddpm")
    for name, steps in {"loss": [1, 2, 3, 4], "learning_rate": [1, 2, 3, 4], "heldout_loss": [2, 4]}.items():
        assert found[name] == [(step, pytest.approx(getattr(seen[step], name))) for step in steps]


def test_tensorboard_has_what_the_training_of_a_classifier_measured(tmp_path: Path) -> None:
    bundle = demo_bundle(tmp_path / "bundle", calibrated=False)
    for name, seed in (("real", 1), ("generated", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(10, seed))
    config = TrainNNConfig(
        detector=str(bundle),
        real=str(tmp_path / "real.npz"),
        generated=str(tmp_path / "generated.npz"),
        k=495,
        t_sec=495,
        epochs=2,
        batch_size=8,
        device="cpu",
        trackers=("tensorboard",),
    )
    section = finish(train_nn(config))
    assert "trackers" not in section["training"]
    found = scalars(tmp_path / "logs" / "train-nn")
    assert found["learning_rate"] == [(1, pytest.approx(1e-3)), (2, pytest.approx(1e-3))]
    for name in ("loss", "validation_loss", "validation_auc", "validation_accuracy"):
        assert found[name] == [(row["epoch"], pytest.approx(row[name])) for row in section["epochs"]]
    assert all(0 <= value <= 1 for _, value in found["validation_accuracy"])


def test_trackers_that_cannot_be_used_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainDDPMConfig(data="x", out=str(tmp_path / "run"), trackers=("tensorbord",))
    with pytest.raises(ValueError, match="unknown tracker 'tensorbord'; accepted: tensorboard, trackio"):
        next(train_ddpm(config))
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="the tracker trackio is not installed"):
        next(train_ddpm(replace(config, trackers=("trackio",))))
    with pytest.raises(ValueError, match="the tracker tensorboard is not installed"):
        finish(train_nn(TrainNNConfig("x", "x", "x", trackers=("tensorboard",))))
    assert list(tmp_path.iterdir()) == []


LOGS = """
import sys, time
from pathlib import Path
from sedid.models.networks import Runtime
from sedid.training.tracking import tracking
folder, other, value = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
with tracking(("trackio",), "train-ddpm", folder / "logs", Runtime.choose("cpu")) as log:
    (folder / "ready").touch()
    end = time.monotonic() + 120
    while not (other / "ready").exists() and time.monotonic() < end:
        time.sleep(0.01)
    for step in range(1, 41):
        log({"loss": value, "heldout_loss": None}, step)
        time.sleep(0.02)
"""
"""A training's measurements, once the other's database is open too."""


@pytest.mark.jobs
def test_two_trainings_at_once_write_into_one_trackio_database(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    folders = [tmp_path / "runs" / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir(parents=True)
    with_database = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", LOGS, str(folder), str(folders[1 - place]), str(place)],
            env=with_database,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place, folder in enumerate(folders)
    ]
    try:
        for process in both:
            _, said = process.communicate(timeout=240)
            assert process.returncode == 0, said
    finally:
        for process in both:
            process.kill()
    (database,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as opened:
        rows = opened.execute("SELECT run_name, step, metrics FROM metrics ORDER BY run_name, step").fetchall()
    found = [(name, step, json.loads(metrics)) for name, step, metrics in rows]
    assert found == [
        (f"runs-{folder.name}", step, {"loss": float(place)})
        for place, folder in enumerate(folders)
        for step in range(1, 41)
    ]

"""The whole loop, and the sample grids of its training."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.bundles import tiny_bundle
from PIL import Image
from safetensors.torch import load_file

from sedid.data.datasets import load_images
from sedid.detector.bundle import load_detector
from sedid.jobs.commands import COMMANDS, resolve_loop
from sedid.models.networks import UNETS
from sedid.progress import Progress, finish
from sedid.recipes import whole_loop as module
from sedid.recipes.whole_loop import SCORED, LoopConfig, loop, write_splits
from sedid.storage import read_json
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """80 images, all different."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (80, 4, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "photographs.npz", images=coarse.repeat(8, 1).repeat(8, 2))
    return tmp_path / "photographs.npz"


@pytest.fixture
def config(tmp_path: Path, photographs: Path) -> LoopConfig:
    return LoopConfig(
        out=str(tmp_path / "run"),
        data=str(photographs),
        validation=4,
        calibration=10,
        classifier=10,
        test=12,
        unet="demo",
        steps=4,
        batch_size=4,
        eval_every=4,
        save_every=2,
        log_every=1,
        sampler="ddim",
        sampler_steps=2,
        sampler_batch=16,
        ks=(495,),
        epochs=1,
        device="cpu",
    )


def test_splits_are_disjoint_and_written_down(config: LoopConfig, tmp_path: Path) -> None:
    write_splits(config, tmp_path)
    rows = {file.stem: load_images(file, 32, None) for file in (tmp_path / "splits").glob("*.npz")}
    sizes = {name: len(images) for name, images in rows.items()}
    assert sizes == {"training": 44, "validation": 4, "calibration": 10, "classifier": 10, "test": 12, "members": 12}
    seen = [{image.tobytes() for image in images} for name, images in rows.items() if name != "members"]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 80
    assert {image.tobytes() for image in rows["members"]} < {image.tobytes() for image in rows["training"]}
    manifest = json.loads((tmp_path / "splits.json").read_text())
    assert {name: entry["count"] for name, entry in manifest.items()} == sizes


def test_heldout_reals_of_their_own_leave_the_training_data_whole(
    config: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_splits(replace(config, heldout=f"{config.data}[20:80]", data=f"{config.data}[0:20]"), tmp_path)
    splits = {name: load_images(tmp_path / "splits" / f"{name}.npz", 32, None) for name in ("training", *SCORED)}
    assert {name: len(images) for name, images in splits.items()} == {
        "training": 20,
        "calibration": 10,
        "classifier": 10,
        "test": 12,
    }
    everything = load_images(config.data, 32, None)
    assert np.array_equal(splits["training"], everything[:20])
    monkeypatch.setitem(module.TEST_PARTS, config.data, f"{config.data}[40:80]")  # as a named data set has
    write_splits(config, tmp_path)
    manifest = json.loads((tmp_path / "splits.json").read_text())
    assert (manifest["training"]["count"], manifest["test"]["data"]) == (80, f"{config.data}[40:80]")


def test_the_loop_ends_in_a_measured_bundle_and_skips_what_is_finished(
    config: LoopConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> Iterator[Progress]:
        yield from ()
        raise KeyboardInterrupt

    out = Path(config.out)
    config = replace(config, name="my-celeba", members=20, count=40, center_crop=24)
    records: list[Progress] = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "calibrate", broken)
        with pytest.raises(KeyboardInterrupt):
            finish(loop(config), records.append)
    assert json.loads((out / "stages.json").read_text()) == ["splits", "train-ddpm", "export", "generate"]
    trained = [record for record in records if record.stage == "stage 2 of 9, training the DDPM"]
    assert [(record.done, record.total, "loss" in record.values) for record in trained[:1]] == [(1, 4, True)]
    records.clear()
    report = finish(loop(config), records.append)
    stages = list(dict.fromkeys(record.stage.partition(",")[0] for record in records))
    assert stages == [f"stage {number} of 9" for number in range(5, 10)]  # the first four were finished
    assert report == out / "report.html"
    bundle = out / "bundle"
    detector = load_detector(bundle)
    assert detector.chosen in [(495, 495), (495, 990)]
    assert detector.nn is not None
    assert detector.center_crop == 24
    results = json.loads((bundle / "sedid" / "results.json").read_text())
    counts = {name: data["count"] for name, data in results["protocol"]["images"].items()}
    assert counts == {"generated": 20, "heldout": 12, "members": 20}  # the test takes all generated images left
    assert "SeDID detector" in (bundle / "README.md").read_text()
    assert "- data: my-celeba" in (bundle / "README.md").read_text()
    page = report.read_text(encoding="utf-8")
    assert "Paper: CelebA" in page
    assert "Training loss (Matsumoto et al. 2023), t = " in page
    # the slices of the generated set, like the splits of the reals, have nothing in common
    generated = load_images(out / "generated" / "images.npz", 32, None)
    assert len({image.tobytes() for image in generated}) == 40

    again: list[Progress] = []
    assert finish(loop(config), again.append) == report
    assert again == []
    with pytest.raises(ValueError, match=r"holds a run with other settings \(steps\)"):
        finish(loop(replace(config, steps=5)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unet": "huge"}, "unknown unet 'huge'; accepted: tiny, demo, small, paper"),
        ({"sampler": "magic"}, "unknown sampler 'magic'"),
        ({"sampler": "euler"}, r"unknown sampler 'euler'; accepted: ddpm, ddim, dpm-solver\+\+$"),
        ({"sampler_steps": 1001}, "steps must be between 1 and 1000, not 1001"),
        ({"input": "triple"}, "unknown input 'triple'"),
        ({"ks": (2000,)}, "k must be between 1 and 999"),
        ({"ks": ()}, "ks must name at least one"),
        ({"classifier": 3}, "classifier must be at least 10, not 3"),
        ({"device": "toaster"}, "unknown device 'toaster'"),
        ({"count": 31}, r"count must be 0 or at least 32 \(calibration, classifier and test\), not 31"),
        ({"members": -1}, "members must be at least 0, not -1"),
        ({"test": 60}, "the splits need 85 images .* and the data set has 80"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_training(config: LoopConfig, change: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        finish(loop(replace(config, **change)))
    assert not (Path(config.out) / "ddpm").exists()
    assert not (Path(config.out) / "config.json").exists()  # the folder is still free for the corrected settings


@pytest.mark.parametrize("preset", COMMANDS["loop"].presets)
def test_presets_pass_the_check(preset: str) -> None:
    _, config = resolve_loop("loop", preset, None, ["out=x"])
    module.check(config)


def test_the_loop_names_the_network_that_it_trains(config: LoopConfig, tmp_path: Path) -> None:
    """`start` brings it, whatever the preset."""
    demo = tiny_bundle(tmp_path / "demo", calibrated=False)
    config = replace(config, start=str(demo), unet="paper")
    running = loop(config)
    assert [next(running).stage[:7] for _ in range(2)] == ["stage 1", "stage 2"]  # the splits are done
    running.close()
    assert read_json(Path(config.out) / "config.json").items() >= {"unet": "demo", "parameters": 665_907}.items()
    assert next(loop(config)).stage.startswith("stage 2")  # the same settings again


def test_sample_grids_leave_the_training_as_it_was(
    tmp_path: Path, images_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4, "dropout": 0.5}
    monkeypatch.setitem(UNETS, "demo", UNETS["demo"] | small)
    config = TrainDDPMConfig(
        data=str(images_npz), out=str(tmp_path / "with"), unet="demo", steps=4, batch_size=4, eval_every=2, samples=5
    )
    without = replace(config, out=str(tmp_path / "without"), samples=0)
    for one in (config, without):
        list(train_ddpm(one))
    states = [load_file(Path(one.out) / "state.safetensors") for one in (config, without)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert [file.name for file in sorted((tmp_path / "with" / "samples").iterdir())] == ["0000002.png", "0000004.png"]
    assert not (tmp_path / "without" / "samples").exists()
    with Image.open(tmp_path / "with" / "samples" / "0000004.png") as grid:
        assert grid.size == (96, 64)  # three columns, two rows
        pixels = np.asarray(grid)
    assert not pixels[32:, 64:].any()  # the sixth place is empty
    assert pixels[:32, :32].any()
    list(train_ddpm(replace(without, samples=5, steps=6)))  # may change when a run is continued

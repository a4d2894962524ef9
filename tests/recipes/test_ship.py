"""One command from a training run to a measured detector: its splits are disjoint, its files belong together."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.latents import shared_latent

from sedid.data.datasets import load_images
from sedid.data.quality import chance, contrast
from sedid.data.splits import read_splits, splits_file
from sedid.detector.bundle import SHIPPED, checkpoint_hash, frame, load_detector, read_info, update_info
from sedid.detector.provenance import read_manifest
from sedid.models.networks import Runtime, load_unet
from sedid.models.schedules import load_schedule
from sedid.progress import finish
from sedid.recipes.ship import ShipConfig, for_classifier, real_sizes, samplers, ship, sizes, write_splits
from sedid.storage import read_json, write_json
from sedid.studies.shipped import QualityResults, QualityRow, Reference, TrainingResults
from sedid.studies.study import MadeBy
from sedid.training.denoising import heldout_loss
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm

RESULTS = ("training", "quality", "results", "compare", "generalise", "sweep", "choice", "robustness", "polarity")


@pytest.fixture
def config(tmp_path: Path) -> ShipConfig:
    return ShipConfig(
        run=str(tmp_path / "run"),
        detector=str(tmp_path / "bundle"),
        out=str(tmp_path / "work"),
        data="sample:real[0:60]",
        heldout="sample:real[100:200]",
        name="sample",
        samplers=("ddim 2", "dpm-solver++ 2 20"),
        classifier_samplers=("ddim 3 10",),
        calibration=20,
        classifier=12,
        test=24,
        ks=(495,),
        sweep_ks=(495,),
        sweep_test=20,
        robustness=4,
        polarity=20,
        members=16,
        epochs=1,
        methods=("sedid-stat", "loss"),
        device="cpu",
    )


def test_the_splits_share_no_image(config: ShipConfig, tmp_path: Path, tiny_bundle: Path) -> None:
    write_splits(replace(config, run="", detector=str(tiny_bundle)), tmp_path)
    kept = {
        name: load_images(str(tmp_path / "splits" / f"{name}.npz"), 32, None) for name in (*sizes(config), "members")
    }
    assert {name: len(images) for name, images in kept.items()} == real_sizes(config) | {"members": 16}
    every = [image.tobytes() for images in kept.values() for image in images]
    assert len(set(every)) == len(every)
    manifest = read_json(tmp_path / "splits.json")
    assert manifest["test"]["count"] == 24
    assert str(tmp_path) not in (tmp_path / "splits.json").read_text()


def test_the_main_sampler_makes_every_split_and_the_others_test_images(config: ShipConfig) -> None:
    main, other = samplers(replace(config, samplers=("ddim 50", "ddpm 250")))
    assert (main.count, other.count) == (20 + 12 + 24, 24)
    assert samplers(config)[1].count == 20
    small = samplers(replace(config, samplers=("ddpm 50", "ddpm 50 9 fixed_small")))[1]
    assert (small.count, small.variance, small.folder) == (9, "fixed_small", "ddpm-50-fixed_small")
    assert small.name == "ddpm, 50 steps, variance fixed_small"
    assert main.folder != other.folder


def test_a_split_may_hold_more_real_images_and_the_classifier_learns_other_samplers(
    config: ShipConfig, tmp_path: Path, tiny_bundle: Path
) -> None:
    more = replace(config, calibration_real=25, test_real=40, classifier_samplers=("ddim 2 10", "ddpm 2 5 fixed_small"))
    assert real_sizes(config) == sizes(config) | {"classifier": 12 + 10}
    assert real_sizes(more) == {"calibration": 25, "classifier": 12 + 10 + 5, "test": 40}
    assert sizes(more) == sizes(config)
    assert [one.folder for one in for_classifier(more)] == ["ddim-2", "ddpm-2-fixed_small"]
    write_splits(replace(more, run="", detector=str(tiny_bundle)), tmp_path)
    assert len(load_images(str(tmp_path / "splits" / "test.npz"), 32, None)) == 40
    with pytest.raises(ValueError, match="classifier_samplers must name none twice"):
        next(ship(replace(more, classifier_samplers=("ddim 2 10", "ddim 2 5"))))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("ddim",), "name steps"),
        (("euler 20",), "name steps"),
        (("ddim 20 100",), "give it no count"),
        ((), "at least one"),
        (("ddim 20", "ddim 20 5"), "none twice"),
    ],
)
def test_samplers_that_are_none_are_refused(config: ShipConfig, given: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        next(ship(replace(config, samplers=given)))
    assert not Path(config.out).exists()


def test_a_stage_can_be_run_alone(config: ShipConfig, tmp_path: Path, tiny_bundle: Path) -> None:
    """The plain held-out loss of weights whose run recorded the weighted one alone."""
    bundle, runtime = shutil.copytree(tiny_bundle, tmp_path / "bundle"), Runtime.choose("cpu")
    images = load_images("sample:real[60:70]", *frame(bundle))
    loss = heldout_loss(runtime.place(load_unet(bundle)), images, load_schedule(bundle), runtime, 5.0)
    assert loss.weighted < 0.95 * loss.plain
    settings = {"step": 2, "heldout_loss": loss.weighted, "min_snr_gamma": 5.0}
    curve = [{"step": step, "heldout_loss": loss.weighted} for step in (1, 2)]
    write_json(bundle / "sedid" / "training.json", {"settings": settings, "heldout": curve})
    update_info(bundle, training=settings)
    alone = replace(config, run="", chosen_on="sample:real[60:70]", only=("losses",))
    finish(ship(alone))
    file = bundle / "sedid" / "training.json"
    found, info = TrainingResults.read(file), read_json(bundle / "sedid" / "detector.json")
    assert [point.heldout_plain for point in found.heldout] == [None, pytest.approx(loss.plain)]
    assert found.settings == info["training"] == settings | {"heldout_plain": found.heldout[1].heldout_plain}
    assert not Path(config.out).exists()  # nothing else was begun
    replace(found, settings=settings | {"heldout_loss": 0.5 * loss.weighted}).write(file)
    with pytest.raises(ValueError, match="other images chose the weights"):
        finish(ship(alone))
    with pytest.raises(
        ValueError, match=r"only names loses; the stages are splits, ddim-2, .*, quality, chance, losses"
    ):
        finish(ship(replace(alone, only=("loses",))))


def test_weights_that_are_calibrated_anew_are_held_against_nothing_of_before(
    config: ShipConfig, tmp_path: Path
) -> None:
    bundle = shutil.copytree(SHIPPED, tmp_path / "bundle")
    before, prints = load_detector(bundle, "cpu"), read_splits(splits_file(bundle), read_info(bundle))
    assert before.chosen is not None
    assert before.nn is not None
    assert any(name.startswith("classifier") for name in prints)
    finish(ship(replace(config, run="", detector=str(bundle), only=("afresh",))))
    after = load_detector(bundle, "cpu")
    assert (after.chosen, after.nn) == (None, None)
    assert after.info["training"] == before.info["training"]
    kept = read_splits(splits_file(bundle), after.info)
    assert kept.keys() == {"training", "validation"} & prints.keys()


def test_images_of_a_conditional_model_are_drawn_of_the_prompts_in_turn(config: ShipConfig, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="latent diffusion needs transformers: pip install -e '.[latent]'")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\nb\n")
    sizes = {"calibration": 1, "classifier": 1, "test": 2, "samplers": ("ddim 2",), "classifier_samplers": ()}
    alone = replace(config, run="", detector=str(shared_latent()), prompts=str(prompts), only=("ddim-2",), **sizes)
    finish(ship(alone))
    made = MadeBy.of(read_manifest(tmp_path / "work" / "ddim-2" / "manifest.json"))
    assert made is not None
    assert made.sampled == "ddim, 2 steps, 2 prompts in turn"


def test_chance_stands_beside_rows_of_the_same_reals_alone(
    config: ShipConfig, tmp_path: Path, tiny_bundle: Path
) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    some = replace(config, run="", test=20, only=("splits", "chance"))
    write_splits(some, tmp_path)
    reference = load_images(str(tmp_path / "splits" / "test.npz"), *frame(bundle))
    rows = [
        QualityRow(name, 16, {32: 1.0}, 50.0, made)
        for name, made in (("ddim", MadeBy("ab", "ddim", 50, 0)), ("reals", None))
    ]
    found = QualityResults(method="SWD", reference=Reference(20, contrast(reference)), rows=tuple(rows))
    file = bundle / "sedid" / "quality.json"
    found.write(file)
    finish(ship(some))
    assert {"python", "torch"} <= QualityResults.read(file).versions.keys()
    [row] = QualityResults.read(file).rows  # the row of real images, another count's, is gone
    others = load_images(config.data, *frame(bundle))
    assert row.chance == chance(reference[:16], others)
    replace(found, reference=Reference(20, 1.0)).write(file)
    with pytest.raises(ValueError, match="with other test reals"):
        finish(ship(some))


@pytest.mark.slow
def test_a_run_becomes_a_detector_with_every_results_file(
    config: ShipConfig, tmp_path: Path, tiny_bundle: Path, one_thread: None
) -> None:
    training = TrainDDPMConfig(
        data=config.data, heldout="sample:real[60:70]", out=config.run, start=str(tiny_bundle), steps=2, batch_size=4,
        samples=0, eval_every=1, device="cpu",
    )  # fmt: skip
    finish(train_ddpm(training))
    bundle = finish(ship(config))
    detector = load_detector(bundle, "cpu")
    assert detector.chosen is not None
    assert detector.nn is not None
    for name in RESULTS:
        found = (bundle / "sedid" / f"{name}.json").read_text()
        assert str(tmp_path) not in found, name
        if "checkpoint_sha256" in found:
            assert checkpoint_hash(bundle) in found, name
    assert {found.name for found in (bundle / "sedid").iterdir() if found.is_dir()} == {"classifier", "examples"}
    curve = read_json(bundle / "sedid" / "training.json")["heldout"]
    assert [point["step"] for point in curve] == [1, 2]
    quality = read_json(bundle / "sedid" / "quality.json")["rows"]
    assert [row["set"] for row in quality] == ["ddim, 2 steps", "dpm-solver++, 2 steps"]
    assert all(
        row["chance"]["swd"]["32"]["high"] < row["swd"]["32"] for row in quality
    )  # noise looks less real than reals
    pixels = load_images(bundle / "sedid" / "examples", 32, None)
    assert (
        pixels[6:] == load_images(tmp_path / "work" / "splits" / "test.npz", 32, None)[:6]
    ).all()  # in name order, g before r
    learned = read_json(bundle / "sedid" / "detector.json")["nn"]
    assert learned["data"]["real"]["count"] == learned["data"]["generated"]["count"] == 12 + 10
    assert read_json(tmp_path / "work" / "classifier-ddim-3" / "manifest.json")["seed"] == 100
    before = {file: file.read_bytes() for file in bundle.rglob("*") if file.is_file()}
    assert list(ship(config)) == []  # nothing is done twice
    assert {file: file.read_bytes() for file in bundle.rglob("*") if file.is_file()} == before
    assert np.isfinite([row["contrast"] for row in quality]).all()

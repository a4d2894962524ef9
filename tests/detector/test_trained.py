"""What is said of a network's training: the network that was trained, and whose the steps and hours are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.bundles import tiny_bundle
from helpers.results import write_evaluation

from sedid.detector.export import export_run
from sedid.detector.trained import after, in_words
from sedid.escaping import for_markdown
from sedid.models.networks import UNETS, about_unet, make_unet
from sedid.paths import ROOT
from sedid.recipes.upgrade import upgrade
from sedid.report.markdown import setup_table, training_table
from sedid.storage import read_json, write_json
from sedid.studies.evaluate import EvaluationResults
from sedid.studies.shipped import HeldoutLoss, QualityResults, TrainingResults
from sedid.studies.study import MadeBy
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm

SHIPPED = sorted((ROOT / "checkpoints").glob("*/unet/config.json"))
RUN = {"start": "cifar10", "steps": 800, "step": 750, "hours": 0.45, "batch_size": 32, "before": "6,921 steps of 64"}


@pytest.mark.parametrize(("name", "parameters"), [("demo", 665_907), ("small", 9_394_131), ("paper", 35_746_307)])
def test_a_preset_is_known_by_its_architecture(name: str, parameters: int) -> None:
    dropout = 0.1 if name == "paper" else 0.0
    expected = {"unet": name, "parameters": parameters, "dropout": dropout}
    assert about_unet(UNETS[name]) == expected
    with torch.device("meta"):
        assert about_unet(make_unet(name).config) == expected
    assert about_unet(UNETS[name] | {"sample_size": 64}) == expected
    assert about_unet(UNETS[name] | {"dropout": 0.3}) == expected | {"dropout": 0.3}


def test_the_network_named_is_the_one_that_is_trained(tmp_path: Path, images_npz: Path) -> None:
    """It comes with the weights a run starts from; the preset asked for was never used."""
    demo = tiny_bundle(tmp_path / "demo", calibrated=False)
    config = TrainDDPMConfig(
        str(images_npz), str(tmp_path / "run"), start=str(demo), steps=1, batch_size=2, samples=0, device="cpu"
    )
    assert config.unet == "paper"
    list(train_ddpm(config))
    said = {"unet": "demo", "parameters": 665_907, "dropout": 0.0}
    assert read_json(tmp_path / "run" / "config.json").items() >= said.items()
    for name, start in (("another", "demo"), ("demo", "an earlier demo")):
        training = export_run(tmp_path / "run", tmp_path / "out" / name)["training"]
        assert training.items() >= (said | {"start": start}).items()
    list(train_ddpm(replace(config, steps=2)))  # what config.json says is no reason not to go on


def test_a_card_says_whose_the_steps_and_hours_are() -> None:
    lines = in_words(RUN | {"unet": "small", "parameters": 9_394_131, "dropout": 0.0, "start_sha256": "ab" * 32})
    assert lines == [
        "steps of this run: 800",
        "weights of its step: 750",
        "hours of this run: 0.45",
        "batch_size: 32",
        "unet: small, 9,394,131 parameters, dropout 0",
        "started from: cifar10, sha256 abababababab",
        "trained before this run: 6,921 steps of 64",
    ]
    assert "trained before this run: not recorded" in in_words(RUN | {"before": ""})
    assert not any("before" in line for line in in_words(RUN | {"before": "", "start": ""}))


def test_tables_say_whose_the_steps_are(tmp_path: Path) -> None:
    curve = tuple(HeldoutLoss(step, 0.1) for step in (1, 2))
    text = training_table(TrainingResults(settings=RUN, heldout=curve))
    assert text.startswith("Steps of this run alone, which came after 6,921 steps of 64.")
    assert training_table(TrainingResults(settings={}, heldout=curve)).startswith("| step")
    assert "No held-out images" in training_table(TrainingResults(settings=RUN, heldout=()))
    assert after(RUN | {"before": ""}) == "the training of cifar10"
    results = EvaluationResults.read(write_evaluation(tmp_path)[0])
    assert "| 750 of 32, after 6,921 steps of 64 |" in setup_table(
        results, for_markdown(RUN), ("U-Net", 9_394_131), "CIFAR-10"
    )


def test_a_heldout_loss_says_how_it_is_weighted() -> None:
    weighted = RUN | {"min_snr_gamma": 5.0, "heldout_loss": 0.0155, "heldout_plain": 0.0353}
    curve = HeldoutLoss(1, 0.02), HeldoutLoss(2, 0.0155, 0.0353)
    text = training_table(TrainingResults(settings=weighted, heldout=curve))
    assert "| step | held-out loss, min-SNR weighted (gamma 5) | held-out loss, plain |" in text
    assert "| 1 | 0.02000 | not measured |" in text  # an older run
    assert "| 2, best | 0.01550 | 0.03530 |" in text
    lines = in_words(weighted)
    assert "held-out loss, min-SNR weighted (gamma 5): 0.0155" in lines
    assert "held-out loss, plain: 0.0353" in lines
    plain = weighted | {"min_snr_gamma": 0.0, "heldout_plain": 0.0155}
    assert "| step | held-out loss, plain |" in training_table(TrainingResults(settings=plain, heldout=curve))
    assert [line for line in in_words(plain) if "loss" in line] == ["held-out loss, plain: 0.0155"]


def test_a_bundle_of_an_earlier_version_is_corrected(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "faces", calibrated=False)
    made = {"checkpoint_sha256": "", "sampler": "ddpm", "steps": 1000, "seed": 0}
    from sedid.detector.bundle import checkpoint_hash, update_info

    made["checkpoint_sha256"] = checkpoint_hash(bundle)
    other = made | {"checkpoint_sha256": "another"}
    wrong = {"unet": "paper", "start": "faces", "steps": 5}
    update_info(bundle, training=wrong)
    write_json(bundle / "sedid" / "training.json", {"settings": wrong, "heldout": []})
    row = {"set": "ddpm", "count": 2, "swd": {"32": 1.0}, "contrast": 50.0}
    rows = [row | {"made_by": made}, row | {"made_by": other}]
    quality = {"method": "SWD", "reference": {"count": 2, "contrast": 50.0}, "rows": rows}
    write_json(bundle / "sedid" / "quality.json", quality)
    upgrade(bundle)
    right = {"unet": "demo", "start": "an earlier faces", "steps": 5, "parameters": 665_907, "dropout": 0.0}
    assert read_json(bundle / "sedid" / "detector.json")["training"] == right
    assert read_json(bundle / "sedid" / "training.json")["settings"] == right
    origins = [one.made_by for one in QualityResults.read(bundle / "sedid" / "quality.json").rows]
    assert origins == [MadeBy(**made, variance="fixed_large"), MadeBy(**other)]
    files = {file: file.read_bytes() for file in (bundle / "sedid").iterdir()}
    upgrade(bundle)
    assert files == {file: file.read_bytes() for file in (bundle / "sedid").iterdir()}


@pytest.mark.parametrize("config", SHIPPED, ids=lambda file: file.parents[1].name)
def test_shipped_bundles_name_their_network(config: Path) -> None:
    bundle = config.parents[1]
    training = read_json(bundle / "sedid" / "detector.json")["training"]
    assert training.items() >= about_unet(json.loads(config.read_text())).items()
    assert training["unet"] == {"cifar10-latent": "demo"}.get(bundle.name, "small")
    assert training["start"] != bundle.name
    assert read_json(bundle / "sedid" / "training.json")["settings"] == training

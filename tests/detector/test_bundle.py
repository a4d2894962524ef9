"""Bundles: saved and loaded alike, opened by diffusers, and refused with a sentence when something is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.bundles import CHOSEN, pictures, shared_bundle, tiny_bundle

from sedid import load_detector
from sedid.data.datasets import as_model_input
from sedid.detector.bundle import checkpoint_hash, detector_file
from sedid.detector.export import export_run, save_pipeline
from sedid.models.networks import make_unet

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A bundle that may be damaged."""
    return Path(shutil.copytree(shared_bundle(), tmp_path / "bundle"))


def test_a_bundle_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "again")
    one, two = load_detector(shared_bundle(), device="cpu"), load_detector(folder, device="cpu")
    assert checkpoint_hash(folder) == checkpoint_hash(shared_bundle())
    assert (one.stat, one.nn, one.chosen, one.schedule) == (two.stat, two.nn, two.chosen, two.schedule)
    assert len(one.stat) == 6
    assert one.chosen == CHOSEN
    image = pictures(1)[0]
    assert one.inspect(image).judgement == two.inspect(image).judgement
    written = json.loads(detector_file(folder).read_text(encoding="utf-8"))
    assert written["stat"]["calibrations"][0]["k"] == 165
    assert written["versions"]["torch"]


def test_saving_leaves_the_network_in_full_precision(tmp_path: Path) -> None:
    unet = make_unet("demo")
    save_pipeline(unet, tmp_path)
    assert next(unet.parameters()).dtype == torch.float32


def test_every_file_is_small_enough_for_a_plain_push(tmp_path: Path) -> None:
    save_pipeline(make_unet("small"), tmp_path)
    sizes = [file.stat().st_size for root in (tmp_path, shared_bundle()) for file in root.rglob("*") if file.is_file()]
    assert sum(sizes) > 30e6  # 9.4 M + 11 M parameters in half precision
    assert max(sizes) < 9e6


def test_diffusers_opens_a_bundle() -> None:
    from diffusers import DDPMPipeline

    pipeline: Any = DDPMPipeline.from_pretrained(shared_bundle())
    detector = load_detector(shared_bundle(), device="cpu")
    x = as_model_input(pictures(2))
    with torch.inference_mode():
        eps = pipeline.unet(x, 100).sample
    assert torch.allclose(detector.eps_model(x, 100), eps, atol=1e-4)
    assert torch.allclose(torch.tensor(detector.schedule.alpha_bar).float(), pipeline.scheduler.alphas_cumprod)


def test_a_plain_pipeline_opens_uncalibrated(tmp_path: Path) -> None:
    from diffusers import DDPMPipeline, DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=500, beta_schedule="squaredcos_cap_v2")
    pipeline: Any = DDPMPipeline(make_unet("demo"), scheduler)
    pipeline.save_pretrained(tmp_path / "plain")
    detector = load_detector(tmp_path / "plain", device="cpu")
    found = detector.inspect(pictures(1)[0], k=100)
    assert (detector.name, detector.chosen, detector.stat, detector.network) == ("plain", None, {}, None)
    assert (found.judgement.stat, found.judgement.nn, detector.nearest(165, 495)) == (None, None, None)
    assert len(detector.schedule) == 500
    assert found.trace.t_secs == (100, 200, 300, 400)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ('{"format": 2', "not valid JSON"),
        ("[" * 100_000, "nested too deeply to be read"),
        ("[]", r"must hold an object \(names and values in braces\), not \[\]"),
        ('"text"', "must hold an object .*, not 'text'"),
        ("null", "must hold an object .*, not None"),
        ('{"format": 3}', "format 3; this version reads 2"),
        ('{"format": [2]}', r"format \[2\]; this version reads 2"),
        ("{}", "format None; this version reads 2"),
        ('{"format": 1}', r"by an earlier version, .*: `python -m sedid upgrade .*bundle` brings it up to date"),
        ('{"format": 2}', "the weights of the U-Net .* changed since it was calibrated"),
    ],
)
def test_a_file_of_another_shape_is_refused(copy: Path, text: str, said: str) -> None:
    detector_file(copy).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        load_detector(copy)


def edits() -> dict[str, tuple[Callable[[dict], Any], str]]:
    """Name -> (what is done to detector.json, what the error says)."""

    def first(info: dict) -> dict:
        return info["stat"]["calibrations"][0]

    def nn(info: dict) -> dict:
        return info["nn"]["calibration"]

    return {
        "no threshold": (lambda info: first(info).pop("threshold"), "a calibration lacks threshold"),
        "a threshold of text": (lambda info: first(info).update(threshold="0.5"), "threshold must be a finite number"),
        "a threshold that is no number": (lambda info: first(info).update(threshold=float("nan")), "finite number"),
        "an infinite band": (lambda info: first(info).update(band=[0, float("inf")]), "band must be a finite number"),
        "a band of three": (lambda info: first(info).update(band=[0, 1, 2]), "band must be two"),
        "a band beside the threshold": (lambda info: first(info).update(band=[1e8, 1e9]), "threshold between"),
        "quantiles out of order": (lambda info: first(info)["real"].reverse(), "real must be at least two ascending"),
        "no quantiles": (lambda info: first(info).update(generated=[]), "generated must be at least two"),
        "another polarity": (lambda info: first(info).update(polarity="up"), "polarity must be .*, not 'up'"),
        "a polarity that is a list": (lambda info: first(info).update(polarity=["smaller"]), "polarity must be"),
        "an AUC above 1": (lambda info: first(info).update(auc=7.5), "auc must lie between 0 and 1, not be 7.5"),
        "an AUC below 0": (lambda info: nn(info).update(auc=-3), "auc must lie between 0 and 1, not be -3"),
        "a threshold beyond floats": (lambda info: first(info).update(threshold=10**400), "threshold must be a finite"),
        "a path that turns back": (lambda info: first(info).update(k=[0, 330, 165], t_sec=165), "ascending timesteps"),
        "a path of texts": (lambda info: first(info).update(k=["0", "165"]), "whole numbers"),
        "a T_SEC beside the path": (lambda info: first(info).update(k=[0, 165, 990], t_sec=330), "which 330 is not"),
        "a fractional k": (lambda info: first(info).update(k=16.5), "whole numbers"),
        "k of zero": (lambda info: first(info).update(k=0), "k must be between"),
        "T_SEC beyond the schedule": (lambda info: first(info).update(t_sec=1650), "T_SEC must be a multiple"),
        "an unknown key": (
            lambda info: first(info).update(colour="red"),
            "a calibration has no entry 'colour'; its entr",
        ),
        "a list of calibrations of text": (lambda info: info["stat"].update(calibrations=["x"]), "must be an object"),
        "no list of calibrations": (
            lambda info: info["stat"].update(calibrations=5),
            "calibrations must be a list, not 5",
        ),
        "a pair twice": (lambda info: info["stat"]["calibrations"].append(first(info)), "of the same k and T_SEC"),
        "a section of text": (lambda info: info.update(stat="x"), "stat must be an object .*, not 'x'"),
        "a section of nothing": (lambda info: info.update(training=None), "training must be an object .*, not None"),
        "metrics in a list": (lambda info: info.update(metrics={"stat": ["x"]}), "metrics of stat must be an object"),
        "metrics of text": (
            lambda info: info.update(metrics={"nn": {"heldout": 5}}),
            "metrics of nn must be an object",
        ),
        "data in a list": (lambda info: info["stat"].update(data=["x"]), "data must be an object"),
        "data without fingerprint": (
            lambda info: info["nn"].update(data={"real": {}}),
            "sha256 of data must be a text",
        ),
        "a chosen pair without calibration": (lambda info: info["stat"].update(chosen=[5, 10]), r"\(5, 10\) is not"),
        "a chosen pair that is none": (lambda info: info["stat"].update(chosen=5), "chosen must be a list, not 5"),
        "a chosen pair of lists": (lambda info: info["stat"].update(chosen=[[165], 495]), r"is not among"),
        "a temperature of zero": (lambda info: nn(info).update(temperature=0), "temperature must be above 0"),
        "an unknown input": (lambda info: nn(info).update(input="triple"), "unknown classifier input 'triple'"),
        "an input that is a list": (lambda info: nn(info).update(input=["pair"]), "unknown classifier input"),
        "another classifier": (lambda info: nn(info).update(input="error"), "classifier in .* cannot be loaded"),
        "no classifier calibration": (lambda info: info.update(nn={}), "nn lacks its calibration"),
        "a negative crop": (lambda info: info.update(center_crop=-1), "center_crop must be a share .*, not -1"),
        "a crop of half pixels": (lambda info: info.update(center_crop=140.5), "center_crop must be"),
        "a crop of text": (lambda info: info.update(center_crop="140"), "center_crop must be .*, not '140'"),
        "a crop no picture has": (lambda info: info.update(center_crop=5000), "number of pixels up to 4,096, not 5000"),
    }


@pytest.mark.parametrize("name", edits())
def test_hostile_values_are_refused(copy: Path, name: str) -> None:
    edit, said = edits()[name]
    info = json.loads(detector_file(copy).read_text(encoding="utf-8"))
    edit(info)
    detector_file(copy).write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        load_detector(copy)


def test_damaged_and_absent_classifier_weights_are_refused(copy: Path) -> None:
    shard = min((copy / "sedid" / "classifier").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"classifier in .* cannot be loaded"):
        load_detector(copy)
    shutil.rmtree(copy / "sedid" / "classifier")
    with pytest.raises(ValueError, match=r"classifier in .* cannot be loaded"):
        load_detector(copy)


def test_damaged_unet_weights_are_refused(copy: Path) -> None:
    shard = next((copy / "unet").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"U-Net in .* cannot be loaded"):
        load_detector(copy)


def test_a_training_run_is_told_from_a_detector(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(
        ValueError, match=r"is a training run, not a detector: `python -m sedid export .* BUNDLE` makes one"
    ):
        load_detector(tmp_path)


def test_what_is_no_detector_says_what_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="give a bundle folder"):
        load_detector(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"neither unet/config\.json nor config\.json"):
        load_detector(tmp_path)


def test_export_says_what_a_folder_lacks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is no training run of `train-ddpm`: it has no config\.json"):
        export_run(tmp_path, tmp_path / "bundle")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="has no weights to export yet"):
        export_run(tmp_path, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()

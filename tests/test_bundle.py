"""Bundles: saved and loaded alike, opened by diffusers, and refused with a sentence when something is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bundles import CHOSEN, pictures, shared_bundle, tiny_bundle

from sedid import load_detector
from sedid.bundle import checkpoint_hash, detector_file, save_pipeline, update_info
from sedid.data import as_model_input
from sedid.models import make_unet

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


def test_weights_that_changed_after_calibration_are_refused(copy: Path) -> None:
    save_pipeline(make_unet("demo"), copy)
    with pytest.raises(ValueError, match="other weights"):
        load_detector(copy)
    update_info(copy)  # what a new calibration does
    assert load_detector(copy).chosen == CHOSEN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ('{"format": 1', "not valid JSON"),
        ("[]", "format 'list'; this version reads 1"),
        ('{"format": 2}', "format 2; this version reads 1"),
        ('{"format": 1}', "other weights"),
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
        "no threshold": (lambda info: first(info).pop("threshold"), "threshold"),
        "a threshold of text": (lambda info: first(info).update(threshold="0.5"), "threshold must be a finite number"),
        "a threshold that is no number": (lambda info: first(info).update(threshold=float("nan")), "finite number"),
        "an infinite band": (lambda info: first(info).update(band=[0, float("inf")]), "band must be a finite number"),
        "a band of three": (lambda info: first(info).update(band=[0, 1, 2]), "band must be two"),
        "a band beside the threshold": (lambda info: first(info).update(band=[1e8, 1e9]), "threshold between"),
        "quantiles out of order": (lambda info: first(info)["real"].reverse(), "real must be at least two ascending"),
        "no quantiles": (lambda info: first(info).update(generated=[]), "generated must be at least two"),
        "another polarity": (lambda info: first(info).update(polarity="up"), "polarity 'up'"),
        "a fractional k": (lambda info: first(info).update(k=16.5), "whole numbers"),
        "k of zero": (lambda info: first(info).update(k=0), "k must be between"),
        "T_SEC beyond the schedule": (lambda info: first(info).update(t_sec=1650), "T_SEC must be a multiple"),
        "an unknown key": (lambda info: first(info).update(colour="red"), "colour"),
        "a list of calibrations of text": (lambda info: info["stat"].update(calibrations=["x"]), "cannot be read"),
        "a section of text": (lambda info: info.update(stat="x"), "cannot be read"),
        "a chosen pair without calibration": (lambda info: info["stat"].update(chosen=[5, 10]), r"\(5, 10\) is not"),
        "a chosen pair that is none": (lambda info: info["stat"].update(chosen=5), "cannot be read"),
        "a temperature of zero": (lambda info: nn(info).update(temperature=0), "temperature must be above 0"),
        "an unknown input": (lambda info: nn(info).update(input="triple"), "unknown classifier input 'triple'"),
        "an input that is a list": (lambda info: nn(info).update(input=["pair"]), "cannot be read"),
        "another classifier": (lambda info: nn(info).update(input="error"), "classifier in .* cannot be loaded"),
        "no classifier calibration": (lambda info: info.update(nn={}), "cannot be read"),
        "a negative crop": (lambda info: info.update(center_crop=-1), "center_crop"),
        "a crop of half pixels": (lambda info: info.update(center_crop=140.5), "center_crop"),
        "a crop of text": (lambda info: info.update(center_crop="140"), "center_crop"),
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
    shard = sorted((copy / "sedid" / "classifier").glob("*.safetensors"))[0]
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

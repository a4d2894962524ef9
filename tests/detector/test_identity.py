"""A calibration is tied to all it depends on: whatever else changes is refused by name, and the commands it names help."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import CHOSEN, K, edit, pictures, shared_bundle
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from sedid import load_detector
from sedid.cli import app
from sedid.detector.bundle import adopt, current_info, detector_file, frame, update_info
from sedid.detector.calibrations import read_calibrations
from sedid.detector.export import save_pipeline
from sedid.detector.identity import Identity, changed
from sedid.method.diffusion import NoiseSchedule
from sedid.models.networks import make_unet
from sedid.progress import finish
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.training.train_nn import TrainNNConfig, train_nn

pytestmark = pytest.mark.usefixtures("one_thread")

PYTHON = (
    "object has no attribute",
    "unexpected keyword",
    "unhashable",
    "indices must be",
    "not subscriptable",
    "NoneType",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A bundle that may be changed."""
    return Path(shutil.copytree(shared_bundle(), tmp_path / "bundle"))


def other_weights(bundle: Path) -> None:
    save_pipeline(make_unet("demo"), bundle)


def scheduler(**values: Any) -> Callable[[Path], None]:
    return lambda bundle: edit(bundle / "scheduler" / "scheduler_config.json", **values)


def unet(**values: Any) -> Callable[[Path], None]:
    return lambda bundle: edit(bundle / "unet" / "config.json", **values)


def info(**values: Any) -> Callable[[Path], None]:
    return lambda bundle: edit(detector_file(bundle), **values)


def classifier(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """Exchanges one tensor of the classifier; the file stays whole."""

    def changed(bundle: Path) -> None:
        shard = max((bundle / "sedid" / "classifier").glob("*.safetensors"))
        tensors = load_file(shard)
        floating = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
        name = max(floating, key=lambda one: tensors[one].numel())
        save_file(tensors | {name: change(tensors[name].clone())}, shard, {"format": "pt"})

    return changed


def damaged(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def put(tensor: torch.Tensor) -> torch.Tensor:
        tensor.view(-1)[0] = value
        return tensor

    return put


PREPROCESSING = {"resize": "bilinear, antialiased", "levels": "8-bit RGB", "scale": "[-1, 1]", "crop": "centre square"}
ANEW = "restore what was there, or run `python -m sedid calibrate` and `python -m sedid train-nn` again"
SCHEDULE = f"the noise schedule (scheduler/scheduler_config.json) changed since it was calibrated: {ANEW}"

CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights": (other_weights, "the weights of the U-Net (in unet/) changed since it was calibrated"),
    "another schedule": (scheduler(beta_schedule="squaredcos_cap_v2"), SCHEDULE),
    "scaled_linear": (scheduler(beta_schedule="scaled_linear"), SCHEDULE),
    "other betas": (scheduler(beta_end=0.019), SCHEDULE),
    "trained betas": (scheduler(trained_betas=[0.01] * 1000), SCHEDULE),
    "architecture": (unet(norm_eps=1e-3), "the configuration of the U-Net (unet/config.json) changed since"),
    "size": (unet(sample_size=64), "and the preprocessing (size 64, was 32) changed since it was calibrated"),
    "another size stated": (
        info(preprocessing=PREPROCESSING | {"size": 64, "resize": "nearest"}),
        "the preprocessing (size 32, was 64; resize bilinear, antialiased, was nearest) changed",
    ),
    "crop": (
        info(center_crop=140),
        "the preprocessing (crop centre square, 140 pixels, was centre square) changed",
    ),
    "an older engine": (info(engine=0), "the version of the engine (1, was 0) changed since it was calibrated"),
    "flipped classifier": (
        classifier(damaged(0.5)),
        "the weights of the classifier (in sedid/classifier/) changed since it was calibrated: restore what was there, or "
        "run `python -m sedid train-nn` again",
    ),
    "classifier of NaN": (
        classifier(damaged(float("nan"))),
        "has weights that are not finite numbers (NaN or infinity): restore its files, or run `python -m sedid train-nn`",
    ),
    "classifier of infinity": (classifier(damaged(float("-inf"))), "has weights that are not finite numbers"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_changed_since_the_calibration_is_refused_by_name(copy: Path, name: str) -> None:
    change, said = CHANGES[name]
    change(copy)
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the whole text is compared)
        load_detector(copy, device="cpu")
    assert said in str(refused.value)
    assert str(copy) in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        scheduler(
            clip_sample=False, timestep_spacing="trailing", variance_type="fixed_small", _diffusers_version="0.1"
        ),
        scheduler(num_train_timesteps=1000.0),
        unet(_diffusers_version="0.1.0", _name_or_path="elsewhere"),
        info(name="renamed", training={"data": "flowers"}),
    ],
)
def test_what_no_number_depends_on_may_change(copy: Path, change: Callable[[Path], None]) -> None:
    before = load_detector(copy, device="cpu").inspect(pictures(1)[0]).judgement
    change(copy)
    assert load_detector(copy, device="cpu").inspect(pictures(1)[0]).judgement == before


@pytest.mark.loops
def test_calibrating_and_training_anew_is_the_way_out(copy: Path, tmp_path: Path) -> None:
    for name in ("real", "generated"):
        np.savez(tmp_path / f"{name}.npz", images=pictures(12, seed=len(name)))
    data = {name: str(tmp_path / f"{name}.npz") for name in ("real", "generated")}
    scheduler(beta_schedule="squaredcos_cap_v2")(copy)
    finish(calibrate(CalibrateConfig(str(copy), **data, ks=(330,), loss_ts=(), device="cpu")))
    found = load_detector(copy, device="cpu")
    assert {k for k, _ in found.stat} == {330}
    assert (found.nn, found.network) == (None, None)  # it was trained on inputs of the old schedule
    assert "nn" not in json.loads(detector_file(copy).read_text())
    train = TrainNNConfig(str(copy), **data, epochs=1, batch_size=8, device="cpu")
    finish(train_nn(train))
    assert load_detector(copy, device="cpu").nn is not None
    classifier(damaged(float("nan")))(copy)
    with pytest.raises(ValueError, match="not finite"):
        load_detector(copy, device="cpu")
    finish(train_nn(train))
    again = load_detector(copy, device="cpu")
    assert again.nn is not None
    assert again.stat == found.stat  # which does not depend on the classifier


def test_an_uncalibrated_pipeline_states_its_identity(tiny_bundle: Path) -> None:
    detector = load_detector(tiny_bundle, device="cpu")
    assert Identity.recorded(detector.info) == Identity.of(tiny_bundle, None, classifier=False)


def test_a_copy_is_one_of_the_same_model_only(copy: Path, tmp_path: Path) -> None:
    made = adopt(copy, tmp_path / "made")
    assert load_detector(made, device="cpu").chosen == CHOSEN
    assert adopt(copy, made) == made
    scheduler(beta_end=0.019)(copy)  # the same weights
    with pytest.raises(ValueError, match="holds something other than a copy of"):
        adopt(copy, made)


def as_format_1(bundle: Path) -> dict[str, Any]:
    """Turn a bundle into one of an earlier version; returns what detector.json said before."""
    before: dict[str, Any] = json.loads(detector_file(bundle).read_text(encoding="utf-8"))
    new = ("architecture_sha256", "schedule_sha256", "classifier_sha256", "engine")
    old = {name: value for name, value in before.items() if name not in new} | {"format": 1}
    old["preprocessing"] = {"size": 32, **PREPROCESSING}
    detector_file(bundle).write_text(json.dumps(old), encoding="utf-8")
    return before


def upgraded(bundle: Path) -> str:
    """What `python -m sedid upgrade` says."""
    done = CliRunner().invoke(app, ["upgrade", str(bundle)])
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.output


def test_a_bundle_of_an_earlier_version_is_upgraded(copy: Path) -> None:
    info(center_crop=0.75)(copy)
    update_info(copy, **{name: json.loads(detector_file(copy).read_text())[name] for name in ("stat", "nn")})
    before = as_format_1(copy)
    with pytest.raises(ValueError, match=f"`python -m sedid upgrade {copy}` brings it up to date"):
        load_detector(copy, device="cpu")
    assert upgraded(copy) == f"done: {copy}\n"
    assert json.loads(detector_file(copy).read_text(encoding="utf-8")) == before
    detector = load_detector(copy, device="cpu")
    assert (detector.chosen, detector.center_crop, detector.nn and detector.nn.k) == (CHOSEN, 0.75, K)
    stamp = detector_file(copy).stat().st_mtime_ns
    assert upgraded(copy) == f"done: {copy}\n"
    assert detector_file(copy).stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_weights, "was made for other weights than those in unet/: restore them, or move this file away and run"),
        (
            info(preprocessing=PREPROCESSING | {"size": 64}),
            "another preprocessing (size 32, was 64): move this file away",
        ),
        (info(preprocessing=5), "preprocessing must be an object"),
        (classifier(damaged(float("nan"))), "not finite numbers"),
        (info(center_crop=0), "center_crop must be"),
        (info(stat={"calibrations": [{}]}), "a calibration lacks k, t_sec, polarity"),
        (info(format=7), "has format 7; this version knows 1 to 2"),
    ],
)
def test_an_upgrade_checks_what_can_be_checked(copy: Path, change: Callable[[Path], None], said: str) -> None:
    as_format_1(copy)
    change(copy)
    text = detector_file(copy).read_text()
    assert said in upgraded(copy)
    assert detector_file(copy).read_text() == text


def test_what_cannot_be_upgraded_is_named(tiny_bundle: Path) -> None:
    assert "has no sedid/detector.json, so there is nothing to bring up to date" in upgraded(tiny_bundle)
    assert "no detector at nowhere" in upgraded(Path("nowhere"))


def test_a_bundle_in_the_hubs_cache_is_copied(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    as_format_1(copy)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    before = detector_file(copy).read_bytes()
    with pytest.raises(ValueError, match="`python -m sedid upgrade USER/REPO --out FOLDER` brings it up to date"):
        load_detector(copy, device="cpu")
    assert "lies in the Hub's cache, which is left as it is: name a folder for a copy with --out" in upgraded(copy)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(copy.parent / "bundle"))
    made = tmp_path / "made"
    assert CliRunner().invoke(app, ["upgrade", str(copy), "--out", str(made)]).exit_code == 0
    assert load_detector(made, device="cpu").chosen == CHOSEN
    assert detector_file(copy).read_bytes() == before


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value; of a list only the first."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    return [path, *(place for name, part in inner for place in places(part, (*path, name)))]


def test_no_wrong_structure_speaks_python(copy: Path) -> None:
    """Every part of detector.json, replaced by each kind of value that JSON has."""
    whole = json.loads(detector_file(copy).read_text(encoding="utf-8"))
    whole |= {"existing": {"t": 20, "noises": 1}, "metrics": {"stat": {}}}
    found, read = Identity.of(copy, None, classifier=False), []
    for place in places(whole)[1:]:
        for wrong in (None, True, 7, -1.5, "text", [], ["text"], [[]], {}, {"text": 5}):
            other = json.loads(json.dumps(whole))
            part = other
            for name in place[:-1]:
                part = part[name]
            part[place[-1]] = wrong
            detector_file(copy).write_text(json.dumps(other), encoding="utf-8")
            try:  # what `load_detector` does with the file
                frame(copy)
                info = current_info(copy)
                read_calibrations(info, NoiseSchedule.linear())
                raise ValueError(changed(Identity.recorded(info), found, copy))
            except ValueError as error:
                said = str(error)
                assert not any(words in said for words in PYTHON), (place, wrong, said)
                read.append(said)
    assert len(set(read)) > 30

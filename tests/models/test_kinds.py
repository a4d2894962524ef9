"""Every kind of network behind one adapter: what it predicts, on which schedule, of how many channels, told which class."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from helpers.bundles import pictures
from PIL import Image
from torch import Tensor

from sedid.data.datasets import as_model_input
from sedid.detector.bundle import load_detector
from sedid.method.predictions import PREDICTIONS
from sedid.models.spaces import Grey
from sedid.progress import finish
from sedid.report.pictures import visible
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.training.generate import GenerateConfig, generate

pytestmark = pytest.mark.usefixtures("one_thread")


def folder_of(place: Path, tiny_unet: Callable[..., Any], scheduler: dict[str, Any] | None = None, **unet: Any) -> Path:
    """A pipeline of a tiny network for 16x16 pictures, otherwise than the tests' own."""
    made = tiny_unet(sample_size=16)
    settings = {name: value for name, value in made.config.items() if name[0] != "_"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        type(made)(**settings | unet).save_pretrained(place / "unet")
    DDPMScheduler(**{"variance_type": "fixed_large"} | (scheduler or {})).save_pretrained(place / "scheduler")
    return place


def walked(folder: Path, images: np.ndarray, **settings: Any) -> list[Tensor]:
    """eps at every point of a walk through the real door."""
    detector = load_detector(folder, device="cpu", **settings)
    return [point.eps for point in detector.walk(images, 330)]


def plain(folder: Path, x: Tensor, t: int, **told: Any) -> Tensor:
    """What the saved network says, asked by diffusers alone."""
    from diffusers.models import UNet2DModel

    with torch.inference_mode():
        said: Tensor = UNet2DModel.from_pretrained(folder / "unet").eval()(x, t, **told).sample
    return said


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_detector_of_each_prediction_walks_along_its_noise(
    prediction: str, tmp_path: Path, tiny_unet: Callable[..., Any]
) -> None:
    """A wrong prediction type breaks nothing but the numbers: at t = 0 they are checked against the formula."""
    folder = folder_of(tmp_path, tiny_unet, {"prediction_type": prediction, "rescale_betas_zero_snr": True})
    images = pictures(2)[:, :16, :16]
    x, alpha_bar = as_model_input(images), load_detector(folder, device="cpu").schedule.alpha_bar[0]
    said = plain(folder, x, 0)
    expected = {
        "epsilon": said,
        "v_prediction": alpha_bar**0.5 * said + (1 - alpha_bar) ** 0.5 * x,
        "sample": (x - alpha_bar**0.5 * said) / (1 - alpha_bar) ** 0.5,
    }[prediction]
    found = walked(folder, images)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-5)
    assert len(found) == 4  # t = 0, 330, 660, 990
    assert all(torch.isfinite(eps).all() for eps in found)
    detector = load_detector(folder, device="cpu")
    with pytest.raises(ValueError, match="k must be between 1 and 998, not 999"):
        detector.t_secs(999)  # pure noise
    for sampler in ("ddim", "ddpm", "dpm-solver++"):
        out = tmp_path / sampler
        config = GenerateConfig(str(folder), str(out), 2, sampler, 10, device="cpu")
        if prediction == "epsilon":
            with pytest.raises(ValueError, match="says nothing of the image where its schedule ends in pure noise"):
                finish(generate(config))
            continue
        finish(generate(config))
        with np.load(out / "images.npz") as stored:
            assert stored["images"].std() > 5


def test_of_a_learned_variance_the_first_channels_are_the_noise(tmp_path: Path, tiny_unet: Callable[..., Any]) -> None:
    folder, images = folder_of(tmp_path, tiny_unet, out_channels=6), pictures(2)[:, :16, :16]
    found = walked(folder, images)
    torch.testing.assert_close(found[0], plain(folder, as_model_input(images), 0)[:, :3], rtol=1e-4, atol=1e-5)
    assert found[1].shape == (2, 3, 16, 16)


def test_a_grey_model_sees_pictures_as_pillow_makes_them_grey(tmp_path: Path, tiny_unet: Callable[..., Any]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    grey = np.stack([np.array(Image.fromarray(one).convert("L")) for one in images])
    x = Grey().encode(as_model_input(images))
    assert torch.equal(x, as_model_input(grey[..., None].repeat(3, 3))[:, :1])
    assert torch.equal(Grey().encode(Grey().decode(x)), x)  # a grey picture stays what it is
    folder = folder_of(tmp_path, tiny_unet, in_channels=1, out_channels=1)
    torch.testing.assert_close(walked(folder, images)[0], plain(folder, x, 0), rtol=1e-4, atol=1e-5)
    detector = load_detector(folder, device="cpu")
    found = detector.inspect(images[0], k=330)
    assert "converted to grey" in found.notes[-1]
    assert detector.info["preprocessing"]["levels"] == "8-bit grey"
    assert found.trace.points[1].x.shape == (1, 1, 16, 16)
    shown = visible(found.trace.picture(found.trace.denoised(660)))
    assert shown.shape == (16, 16, 3)
    assert (shown == shown[..., :1]).all()


def test_a_class_conditional_model_is_told_a_class_and_its_calibration_holds_for_that_one(
    tmp_path: Path, tiny_unet: Callable[..., Any]
) -> None:
    folder, images = folder_of(tmp_path / "model", tiny_unet, num_class_embeds=3), pictures(20)[:, :16, :16]
    for prompt in (None, "", "3", "cat", "-1"):
        with pytest.raises(ValueError, match="draws one of 3 classes: give the number of one as its prompt, 0 to 2"):
            load_detector(folder, device="cpu", prompt=prompt)
    with pytest.raises(ValueError, match="for which there is no guidance"):
        load_detector(folder, device="cpu", prompt="1", guidance=2.0)
    x = as_model_input(images[:2])
    for label in (0, 2):
        expected = plain(folder, x, 0, class_labels=torch.tensor([label, label]))
        torch.testing.assert_close(walked(folder, images[:2], prompt=str(label))[0], expected, rtol=1e-4, atol=1e-5)
    np.savez(tmp_path / "real.npz", images=images)
    np.savez(tmp_path / "fake.npz", images=images // 2)
    sets = {"real": str(tmp_path / "real.npz"), "generated": str(tmp_path / "fake.npz")}
    finish(calibrate(CalibrateConfig(str(folder), **sets, ks=(495,), loss_ts=(), prompt="2", device="cpu")))
    detector = load_detector(folder, device="cpu")
    assert detector.stat
    assert detector.info["prompt"] == "2"
    with pytest.raises(ValueError, match=r"the preprocessing \(prompt 1, was 2\) changed since"):
        load_detector(folder, device="cpu", prompt="1")
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("0\n\n2\n")
    out = tmp_path / "made"
    finish(generate(GenerateConfig(str(folder), str(out), 4, "ddim", 3, prompts=str(prompts), device="cpu")))
    assert json.loads((out / "manifest.json").read_text())["prompts"] == ["0", "2"]
    prompts.write_text("1")
    with pytest.raises(ValueError, match=r"holds images made with other settings \(prompts\)"):
        finish(generate(GenerateConfig(str(folder), str(out), 4, "ddim", 3, prompts=str(prompts), device="cpu")))


def test_an_unconditional_model_takes_no_prompt(tiny_bundle: Path) -> None:
    with pytest.raises(ValueError, match="is unconditional: it takes no prompt and no guidance"):
        load_detector(tiny_bundle, device="cpu", prompt="a cat")

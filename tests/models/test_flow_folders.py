"""Flow matching through the same door: tiny pipelines of SD3's classes, and of a U-Net of pixels, against diffusers."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, FlowMatchEulerDiscreteScheduler, UNet2DModel
from helpers.bundles import edit
from helpers.latents import SIDE, flow_pipeline, shared_flow, shared_latent
from PIL import Image
from typer.testing import CliRunner

from sedid.cli import app
from sedid.data.datasets import as_model_input
from sedid.detector.bundle import load_detector
from sedid.method.diffusion import noised, t_errors
from sedid.method.flow import FlowSchedule
from sedid.models.schedules import load_betas, load_schedule
from sedid.progress import finish
from sedid.report.pictures import data_uri, visible
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.training.generate import GenerateConfig, generate
from sedid.training.seeds import seed_of
from sedid.ui.learn.lesson import Lesson, Subject
from sedid.ui.learn.noise import schedule_chart, schedule_step
from sedid.ui.learn.walk import fine_k, reverse_step

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), np.uint8).repeat(4, 1).repeat(4, 2)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(shared_flow(), tmp_path / "sd3"))


@pytest.mark.parametrize("t5", [False, True])
def test_a_step_is_the_schedulers_own_on_the_latents_and_texts_of_diffusers(t5: bool, tmp_path: Path) -> None:
    pipe = flow_pipeline(t5)
    pipe.save_pretrained(tmp_path)
    detector = load_detector(tmp_path, device="cpu", prompt="a cat")
    with torch.inference_mode():
        mean = pipe.vae.encode(as_model_input(IMAGES[:2])).latent_dist.mean
        v_0 = (mean - pipe.vae.config.shift_factor) * pipe.vae.config.scaling_factor
        text, _, pooled, _ = pipe.encode_prompt("a cat", None, None, device="cpu", do_classifier_free_guidance=False)
    torch.testing.assert_close(detector.encode(IMAGES[:2]), v_0, **CLOSE)

    def literal(x: torch.Tensor, t: int, u: int) -> torch.Tensor:
        """One step of diffusers' scheduler from t to u, upwards too."""
        pipe.scheduler.set_timesteps(sigmas=[(t + 1) / 1000, (u + 1) / 1000])
        at = pipe.scheduler.timesteps[0]
        told = {"encoder_hidden_states": text.expand(2, -1, -1), "pooled_projections": pooled.expand(2, -1)}
        with torch.inference_mode():
            v = pipe.transformer(x, timestep=at.expand(2), **told).sample
        return pipe.scheduler.step(v, at, x).prev_sample  # type: ignore[no-any-return]

    x, path = v_0, (0, 330, 660, 999)
    found = list(t_errors(detector.eps_model, detector.encode(IMAGES[:2]), detector.schedule, path, 999))
    for error, t, s in zip(found, path, path[1:], strict=False):
        far = literal(x, t, s)
        expected = ((literal(far, s, t) - x) / 2).square().sum(dim=(1, 2, 3))
        torch.testing.assert_close(error.score, expected, rtol=1e-3, atol=1e-5)
        assert float(expected.min()) > 1e-4
        x = far
    rows = detector.eps_model(v_0, torch.tensor([330, 660]))  # type: ignore[arg-type]
    for row, t in enumerate((330, 660)):  # as sharing asks, each row at a timestep of its own
        torch.testing.assert_close(rows[row : row + 1], detector.eps_model(v_0[row : row + 1], t), **CLOSE)


def test_a_shift_by_size_is_that_of_the_models_size(folder: Path) -> None:
    assert load_schedule(folder) == FlowSchedule.shifted(1000, 3.0)
    dynamic = {"use_dynamic_shifting": True, "base_image_seq_len": 4, "max_image_seq_len": 64}
    edit(folder / "scheduler" / "scheduler_config.json", **dynamic)
    scheduler = FlowMatchEulerDiscreteScheduler(**dynamic)
    mu = 0.5 + (1.15 - 0.5) * (16 - 4) / (64 - 4)  # 8x8 latents in patches of 2x2
    scheduler.set_timesteps(sigmas=[1.0, 0.5], mu=mu)
    found = load_schedule(folder)
    assert isinstance(found, FlowSchedule)
    assert (found.sigma[999], found.sigma[499]) == pytest.approx(scheduler.sigmas[:2].tolist(), rel=1e-5)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("scheduler/scheduler_config.json", {"stochastic_sampling": True}, "adds noise at each step .* deterministic step"),
        ("scheduler/scheduler_config.json", {"invert_sigmas": True}, "it has invert_sigmas; accepted are a constant shift"),
        ("scheduler/scheduler_config.json", {"shift": 0}, "a flow needs a shift above 0"),
        ("scheduler/scheduler_config.json", {"shift": [3]}, "its shift is no number above 0"),
        ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchLCMScheduler"}, "a FlowMatchEulerDiscreteScheduler is accepted"),
        ("transformer/config.json", {"_class_name": "FluxTransformer2DModel"}, "holds a FluxTransformer2DModel; only a UNet2DModel"),
        ("transformer/config.json", {"in_channels": 16}, "takes 16 channels .* its VAE makes 4"),
        ("transformer/config.json", {"pooled_projection_dim": 8}, "listens to 8 numbers of a whole prompt"),
        ("transformer/config.json", {"joint_attention_dim": 24}, "which do not fit the 32 of its text encoders"),
        ("transformer/config.json", {"patch_size": 3}, "reads patches of 3"),
        ("model_index.json", {"text_encoder_3": ["transformers", "T5EncoderModel"]}, r"lacks its text_encoder_3 .*\[null, null\]"),
    ],
)  # fmt: skip
def test_what_is_of_another_kind_is_refused_in_a_sentence(file: str, change: Any, said: str, folder: Path) -> None:
    edit(folder / file, **change)
    with pytest.raises(ValueError, match=said):
        load_detector(folder, device="cpu")


def test_a_flow_model_is_sampled_calibrated_and_asked_by_command(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(ValueError, match="a flow model is sampled by euler alone, not by ddim"):
        finish(generate(GenerateConfig(str(shared_flow()), str(made), 2, "ddim", 3, device="cpu")))
    with pytest.raises(ValueError, match="only a flow model is sampled by euler"):
        finish(generate(GenerateConfig(str(shared_latent()), str(made), 2, "euler", 3, device="cpu")))
    finish(generate(GenerateConfig(str(shared_flow()), str(made), 10, "euler", 3, device="cpu")))
    np.savez(tmp_path / "photos.npz", images=IMAGES)
    sets = {"real": str(tmp_path / "photos.npz"), "generated": str(made / "images.npz")}
    bundle = tmp_path / "bundle"
    finish(
        calibrate(CalibrateConfig(str(shared_flow()), **sets, out=str(bundle), ks=(330,), loss_ts=(100,), device="cpu"))
    )
    assert load_detector(bundle, device="cpu").inspect(IMAGES[0]).judgement.stat is not None
    picture = tmp_path / "p.png"
    Image.fromarray(IMAGES[0]).save(picture)
    found = CliRunner().invoke(app, ["inspect", str(picture), "--detector", str(bundle), "--device", "cpu"])
    assert found.exit_code == 0, found.output
    assert "STAT" in found.output
    edit(bundle / "scheduler" / "scheduler_config.json", shift=2.0)
    with pytest.raises(ValueError, match=r"the noise schedule .* changed since it was calibrated"):
        load_detector(bundle, device="cpu")


def test_a_flow_of_pixels_is_asked_by_sigma_and_sampled_as_diffusers_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=SIDE, block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    ).eval()  # fmt: skip
    pipe = DDPMPipeline(unet, FlowMatchEulerDiscreteScheduler(shift=2.0))
    pipe.save_pretrained(tmp_path / "flow")
    detector, x = load_detector(tmp_path / "flow", device="cpu"), as_model_input(IMAGES[:2])
    at = torch.tensor(1000 * 2 * 0.331 / 1.331)  # a tensor: of a Python number the U-Net takes the whole part
    with torch.inference_mode():
        torch.testing.assert_close(detector.eps_model(x, 330), unet(x, at).sample, **CLOSE)
    finish(generate(GenerateConfig(str(tmp_path / "flow"), str(tmp_path / "made"), 1, "euler", 4, device="cpu")))
    scheduler = pipe.scheduler
    scheduler.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25])
    drawn = torch.randn((1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(seed_of(0, 0)))
    with torch.inference_mode():
        for t in scheduler.timesteps:
            drawn = scheduler.step(unet(drawn, t).sample, t, drawn).prev_sample
    with np.load(tmp_path / "made" / "images.npz") as stored:
        theirs = ((drawn.clamp(-1, 1) + 1) * 127.5)[0].permute(1, 2, 0).numpy()
        assert np.abs(stored["images"][0] - theirs).max() < 0.6


def test_a_flow_is_not_trained_or_measured_as_a_schedule_of_betas() -> None:
    with pytest.raises(ValueError, match="is one of flow matching: it can be a detector, but is not trained here"):
        load_betas(shared_flow())


def test_the_lesson_of_a_flow_shows_the_picture_and_the_noise_that_its_direction_stands_for() -> None:
    schedule = load_schedule(shared_flow())
    x_0, eps = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    for t in (0, 500, 999):
        torch.testing.assert_close(schedule.clean_of(eps - x_0, noised(schedule, x_0, eps, t), t), x_0, **CLOSE)
    assert "1-σ: factor of the image" in str(schedule_chart(schedule, 0).html())  # noqa: RUF001


def test_the_lesson_of_a_latent_model_shows_pictures_not_latents() -> None:
    detector = load_detector(shared_flow(), device="cpu")
    subject = Subject("one", "real", IMAGES[0])
    taught = Lesson(detector, subject, (), lambda image, k: finish(detector.trace(image, k)))
    trace = taught.walk(IMAGES[0], fine_k(taught))
    page = finish(reverse_step(taught))
    assert data_uri(visible(trace.picture(trace.points[1].x))) in page
    assert data_uri(visible(trace.points[1].x)) not in page
    assert "first three of its 4 channels" in page
    assert "The model adds it to the latents" in finish(schedule_step(taught))

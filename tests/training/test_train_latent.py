"""Latent diffusion trained here: the VAE and the U-Net learn, resume as if never stopped, and make a standard pipeline."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import pictures
from safetensors.torch import load_file

from sedid.detector.bundle import frame, load_detector
from sedid.detector.export import export_run
from sedid.models import latent_parts
from sedid.progress import finish
from sedid.training.generate import GenerateConfig, generate
from sedid.training.run import RunSettings
from sedid.training.train_latent import TrainLatentConfig, train_latent
from sedid.training.train_vae import TrainVAEConfig, divergence, train_vae

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_presets")
RUN: dict[str, Any] = {"batch_size": 4, "warmup_steps": 0, "cooldown_steps": 0, "log_every": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def tiny_presets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"block_out_channels": (4, 4, 8), "latent_channels": 4, "norm_num_groups": 2}
        patch.setitem(latent_parts.VAES, "demo", sizes)
        sizes = {"block_out_channels": (8, 8), "norm_num_groups": 4, "attention_head_dim": 2}
        patch.setitem(latent_parts.UNETS, "demo", sizes)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 pictures of two classes."""
    file = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(file, images=pictures(16), labels=np.arange(16) % 2)
    return file


@pytest.fixture(scope="module")
def vae_config(tmp_path_factory: pytest.TempPathFactory, data: Path, tiny_presets: None) -> TrainVAEConfig:
    out = tmp_path_factory.mktemp("vae") / "run"
    return TrainVAEConfig(
        data=str(data), heldout=str(data), out=str(out), vae="demo", steps=30, learning_rate=1e-2, save_every=2, **RUN
    )


@pytest.fixture(scope="module")
def vae(vae_config: TrainVAEConfig, one_thread_for_all: None) -> tuple[Path, list[Any]]:
    """A finished run of train-vae, and its records."""
    return Path(vae_config.out), list(train_vae(vae_config))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, data: Path, vae: tuple[Path, list[Any]]) -> TrainLatentConfig:
    return TrainLatentConfig(
        data=str(data),
        heldout=str(data),
        out=str(tmp_path_factory.mktemp("latent") / "run"),
        vae=str(vae[0]),
        unet="demo",
        classes=("cat", "ship"),
        steps=6,
        save_every=2,
        learning_rate=1e-3,
        samples=4,
        **RUN,
    )


@pytest.fixture(scope="module")
def latent(config: TrainLatentConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run of train-latent, and its bundle."""
    list(train_latent(config))
    bundle = tmp_path_factory.mktemp("bundle") / "tiny-latent"
    export_run(Path(config.out), bundle)
    return Path(config.out), bundle


def assert_resumes(train: Callable[[Any], Any], config: RunSettings, whole: Path) -> None:
    """Stopped between two checkpoints, the run ends with the weights of the one that was not."""
    for record in train(config):
        torch.randn(3)  # disturb the global generator
        if record.step == 3:
            break
    assert next(record.step for record in list(train(config))) == 3  # from the checkpoint of step 2 on
    found, wanted = (load_file(folder / "state.safetensors") for folder in (Path(config.out), whole))
    assert found.keys() == wanted.keys()
    assert [name for name in found if not torch.equal(found[name], wanted[name])] == []


def test_a_vae_learns_and_resumes(vae: tuple[Path, list[Any]], vae_config: TrainVAEConfig, tmp_path: Path) -> None:
    run, records = vae
    assert np.mean([record.loss for record in records[-5:]]) < 0.95 * np.mean([record.loss for record in records[:5]])
    assert records[-1].heldout_plain < records[-1].heldout_loss  # the divergence comes on top
    assert (run / "samples" / "0000030.png").is_file()
    assert_resumes(train_vae, replace(vae_config, out=str(tmp_path / "broken")), run)
    with pytest.raises(ValueError, match=r"is a run of train-vae, half of a latent model: `train-latent --set vae="):
        export_run(run, tmp_path / "bundle")


def test_the_divergence_is_that_of_the_normal_distribution() -> None:
    mean, deviation = torch.tensor([0.0, 1.5]), torch.tensor([1.0, 0.5])
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, deviation), torch.distributions.Normal(0.0, 1.0)
    )
    assert divergence(mean, 2 * deviation.log()).item() == pytest.approx(wanted.mean().item(), rel=1e-6)


def test_a_latent_unet_resumes(latent: tuple[Path, Path], config: TrainLatentConfig, tmp_path: Path) -> None:
    assert_resumes(train_latent, replace(config, out=str(tmp_path / "broken")), latent[0])
    assert (latent[0] / "samples" / "0000006.png").is_file()


def test_what_is_trained_opens_as_a_pipeline_and_as_a_detector(latent: tuple[Path, Path], data: Path) -> None:
    import diffusers

    run, bundle = latent
    assert frame(run) == frame(bundle) == (32, None)
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(bundle)
    best = load_file(run / "best.safetensors")
    assert torch.equal(pipeline.unet.conv_in.weight, best["conv_in.weight"].half().float())
    words = pipeline.tokenizer
    assert [len(words(text).input_ids) for text in ("", "cat", "ship", "zebra")] == [2, 3, 3, 7]
    said = [pipeline.text_encoder(torch.tensor([words(text).input_ids]))[0][0, 1] for text in ("cat", "ship")]
    assert (said[0] - said[1]).abs().max() > 0.1
    detector = load_detector(bundle, "cpu")
    pictures_seen = np.load(data)["images"]
    v_0 = detector.encode(pictures_seen)
    assert v_0.shape == (16, 4, 8, 8)
    assert v_0.std().item() == pytest.approx(1, abs=0.02)  # the scaling factor was measured on these very pictures
    assert detector.info["training"]["vae"] == "run"
    assert np.isfinite(detector.inspect(pictures_seen[0], t_sec=330, k=165).judgement.t_error)


def test_images_are_generated_from_its_prompts(latent: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("cat\nship\n")
    made = finish(
        generate(
            GenerateConfig(
                detector=str(latent[1]),
                out=str(tmp_path / "made"),
                count=4,
                sampler="ddim",
                steps=2,
                prompts=str(file),
                device="cpu",
            )
        )
    )
    assert np.load(made)["images"].shape == (4, 32, 32, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vae": ""}, "give vae, a run folder of train-vae, or start"),
        ({"vae": "DATA"}, r"holds no VAE: give the run folder of train-vae"),
        ({"classes": ("cat",)}, r"has labels from 0 to 1, and classes names 1: 0 to 0"),
        ({"data": "PLAIN"}, "says nothing of the classes of its images; accepted are cifar10"),
        ({"learning_rate": 0.5, "out": "RUN"}, r"holds a run with other settings \(learning_rate\)"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    config: TrainLatentConfig, latent: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    np.savez(tmp_path / "plain.npz", images=pictures(8))
    places = {"DATA": str(tmp_path), "PLAIN": str(tmp_path / "plain.npz"), "RUN": str(latent[0])}
    changed = {name: places.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
    with pytest.raises(ValueError, match=said):
        next(train_latent(replace(config, **{"out": str(tmp_path / "run")} | changed)))

"""Train the U-Net of a latent diffusion model: predict the noise in a VAE's latents, told a text (appendix A of the paper).

    v_t = sqrt(alpha_bar_t) v_0 + sqrt(1 - alpha_bar_t) eps,   loss = || eps - eps_theta(v_t, t, C) ||^2

v_0 are the latents that a detector scores: the mean of the VAE's posterior, times the scaling factor that gives them a
standard deviation of 1 over the first training images. Each picture, and its mirror image, is encoded once, when it is first
drawn. C is the name of a picture's class, or, for a share of them, the empty text.

Steps, average, checkpoints and records are those of every training (`training.run`). In the run folder, pipeline/ is what the
training began with, as StableDiffusionPipeline saves it: VAE, text encoder, tokenizer, scheduler, and the U-Net before its
first step. `export` puts the best weights in its place.
"""

import json
import shutil
from collections.abc import Generator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sedid import processes
from sedid.config import Decay, NotNegative
from sedid.data.datasets import as_model_input, grid_of
from sedid.data.labels import load_labels
from sedid.detector.bundle import frame
from sedid.detector.export import SHARD
from sedid.detector.trained import PARTS
from sedid.method.diffusion import NoiseSchedule
from sedid.models.folders import check_pipeline, is_latent, part_weights
from sedid.models.latent import Latents
from sedid.models.latent_parts import (
    PartsName,
    make_latent_scheduler,
    make_latent_unet,
    make_text,
    save_tokenizer,
)
from sedid.models.networks import Runtime, about_unet
from sedid.models.opening import Model, open_model
from sedid.models.schedules import load_betas
from sedid.progress import finish
from sedid.storage import hash_files, read_json, replacing, replacing_parts, stored_tensors
from sedid.training.denoising import HeldoutLoss, errors_at_fixed_noise, loss_weights, noised
from sedid.training.generate import make_sampler, sample, to_uint8
from sedid.training.run import RunSettings, TrainProgress, crop_of_run, prepared, read_sets, rows_of, run
from sedid.training.samples import STEPS
from sedid.training.seeds import seed_of
from sedid.training.train_vae import load_vae

SCALED_BY = 512
"""Training images that the scaling factor is measured on."""


@dataclass(frozen=True)
class TrainLatentConfig(RunSettings):
    """Settings of one training of a latent U-Net."""

    vae: str = ""  # run folder of train-vae, or a latent pipeline's folder; "": that of `start`
    unet: PartsName = "paper"  # demo, small or paper
    classes: tuple[str, ...] = ()  # the texts of the labels 0, 1 and so on; none: every picture is told the empty text
    untold: Decay = 0.1  # share of pictures that are told the empty text, which guidance and detectors ask for
    min_snr_gamma: NotNegative = (
        0.0  # weight min(SNR_t, gamma) / SNR_t on the loss (Hang et al. 2023); 0: the plain loss
    )


@dataclass
class LatentDenoising:
    """A U-Net of latents and the denoising loss (`run.Task`).

    Attributes:
        model: the pipeline of the run folder, opened; its network is trained.
        schedule: the model's.
        told: the hidden states of every class's text and, last, of the empty one, (classes + 1, tokens, width).
        labels, heldout_labels: rows of `told`, (N,).
    """

    config: TrainLatentConfig
    runtime: Runtime
    model: Model
    schedule: NoiseSchedule
    images: np.ndarray
    heldout: np.ndarray | None
    told: Tensor
    labels: np.ndarray
    heldout_labels: np.ndarray
    vae_sha256: str
    command: str = "train-latent"
    part: str = "unet"
    known: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = (self.model.space.channels, self.model.side, self.model.side)
        self.known = np.full((2, len(self.images), *shape), np.nan, np.float32)

    @property
    def network(self) -> Any:
        """The U-Net."""
        return self.model.network

    @property
    def asked(self) -> Any:
        """The same."""
        return self.model.network

    @property
    def about(self) -> dict[str, Any]:
        """How large the U-Net is, and which VAE is before it."""
        return about_unet(self.network.config) | {"vae_sha256": self.vae_sha256}

    def latents(self, index: np.ndarray, flipped: np.ndarray) -> Tensor:
        """v_0 of training images or of their mirror images, (B, channels, side, side) float32."""
        ways = flipped.astype(np.int64)
        for way, i in {(int(way), int(i)) for way, i in zip(ways, index, strict=True)}:
            if np.isnan(self.known[way, i, 0, 0, 0]):
                picture = as_model_input(self.images[i : i + 1])
                self.known[way, i] = self._encoded(picture.flip(3) if way else picture)[0].numpy()
        return torch.from_numpy(self.known[ways, index])

    def _encoded(self, pictures: Tensor) -> Tensor:
        return self.model.space.encode(pictures.to(self.runtime.device)).cpu()

    def draw(self, step: int) -> Sequence[Tensor]:
        """The global batch of one step, a pure function of (images, seed, step).

        Returns:
            v_t (B, channels, side, side) float32, t (B,) int64, eps like v_t, the text (B, tokens, width).
        """
        config, index = self.config, rows_of(len(self.images), self.config, step)
        generator = torch.Generator().manual_seed(seed_of(config.seed, 2, step))
        flipped = torch.rand(len(index), generator=generator).numpy() < (0.5 if config.flip else 0.0)
        v_0 = self.latents(index, flipped)
        t = torch.randint(len(self.schedule), (len(index),), generator=generator)
        eps = torch.randn(v_0.shape, generator=generator)
        silent = torch.rand(len(index), generator=generator) < config.untold
        labels = torch.from_numpy(self.labels[index]).masked_fill(silent, len(self.told) - 1)
        return noised(v_0, eps, t, self.schedule), t, eps, self.told[labels]

    def loss(self, asked: Any, batch: Sequence[Tensor]) -> Tensor:
        """The mean squared error of the predicted noise, weighted."""
        v_t, t, eps, text = batch
        with self.runtime.autocast():
            said = asked(v_t.contiguous(memory_format=torch.channels_last), t, encoder_hidden_states=text).sample
        errors: Tensor = (said.float() - eps).square().mean(dim=(1, 2, 3))
        return (loss_weights(t, self.schedule, self.config.min_snr_gamma) * errors).mean()

    def measure(self, heldout: np.ndarray) -> HeldoutLoss:
        """The same at fixed noise, each picture told its class."""
        text = self.told[torch.from_numpy(self.heldout_labels)].to(self.runtime.device)

        def ask(v_t: Tensor, t: Tensor, rows: slice) -> Tensor:
            said: Tensor = self.network(v_t, t, encoder_hidden_states=text[rows]).sample
            return said

        def read(rows: slice) -> Tensor:
            return self._encoded(as_model_input(heldout[rows]))

        t, errors = errors_at_fixed_noise(ask, read, len(heldout), self.schedule, self.runtime)
        weights = loss_weights(t, self.schedule, self.config.min_snr_gamma)
        return HeldoutLoss((weights * errors).mean().item(), errors.mean().item())

    def show(self, file: Path, count: int) -> None:
        """A grid from fixed noise, DDIM in 20 steps, the classes in turn."""
        from PIL import Image

        # of a copy, since what makes evaluations faster stays with the network; compiling would take longer than it saves
        model = replace(self.model, network=deepcopy(self.network), runtime=replace(self.runtime, compile=False))
        classes = self.config.classes or ("",)
        answers = model.answers([classes[i % len(classes)] for i in range(count)])
        sampler = make_sampler("ddim", model.scheduler, STEPS)
        v_0 = finish(sample(answers, sampler, model.side, range(count), 0, self.runtime.device, model.space.channels))
        with replacing(file) as temporary:
            Image.fromarray(grid_of(to_uint8(model.space.decode(v_0)))).save(temporary)


def train_latent(config: TrainLatentConfig) -> Generator[TrainProgress, None, None]:
    """Train, or resume the run in `config.out`, yielding a record every `log_every` steps.

    Raises:
        FileNotFoundError, ValueError: there is no VAE, the data have no labels for the classes, a setting does not fit, or
            the run diverged (as `run.run`).
    """
    accelerator, runtime = prepared(config)
    if bool(config.vae) == bool(config.start):
        raise ValueError("give vae, a run folder of train-vae, or start, a latent pipeline with a VAE of its own")
    size, crop = frame_of(config)
    config = replace(config, center_crop=crop or 0.0)
    images, heldout = read_sets(config, size, crop, accelerator.num_processes)
    labels = labels_of(config, config.data, len(images))
    heldout_labels = labels_of(config, config.heldout, 0 if heldout is None else len(heldout))
    parts = Path(config.out) / PARTS
    if not (Path(config.out) / "state.safetensors").is_file():  # of a run that has one, `run` checks the VAE
        processes.on_main(write_parts, config, images, parts)
    model = open_model(parts, runtime)
    model.network.requires_grad_(True).train()
    with torch.no_grad():
        told = model.tell([*config.classes, ""], 1.0).arguments["encoder_hidden_states"].cpu().clone()
    task = LatentDenoising(
        config, runtime, model, load_betas(parts), images, heldout, told, labels, heldout_labels, vae_hash(config)
    )
    yield from run(task, config, runtime, accelerator)


def frame_of(config: TrainLatentConfig) -> tuple[int, float | None]:
    """At which size and centre crop the images are read: those of the VAE that is before the U-Net.

    Raises:
        FileNotFoundError, ValueError: it cannot be read, or the crop is none.
    """
    if config.start or is_latent(Path(config.vae)):
        size, crop = frame(Path(config.start or config.vae))
    else:
        made_of, settings = vae_run(Path(config.vae))
        size, crop = int(made_of["sample_size"]), settings.get("center_crop")
    return size, crop_of_run(config, crop)


def labels_of(config: TrainLatentConfig, spec: str, count: int) -> np.ndarray:
    """Which text each image is told: the number of its class, or that behind the last one for the empty text.

    Raises:
        ValueError: it has no labels, or others than there are classes.
    """
    if not config.classes or not count:
        return np.full(count, len(config.classes))
    labels = load_labels(spec, count)
    if labels.min() < 0 or labels.max() >= len(config.classes):
        raise ValueError(
            f"{spec} has labels from {labels.min()} to {labels.max()}, and classes names {len(config.classes)}: 0 to "
            f"{len(config.classes) - 1}"
        )
    return labels


def vae_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a run of train-vae says: the VAE's configuration, and the run's settings.

    Raises:
        ValueError: the folder is no such run, or one that was not evaluated yet.
    """
    best = folder / "best.safetensors"
    made_of = None
    if best.is_file():
        with stored_tensors(best) as stored:
            made_of = (stored.metadata() or {}).get("vae")
    if made_of is None:
        raise ValueError(
            f"{folder} holds no VAE: give the run folder of train-vae, which has one after its first evaluation, or a latent "
            "pipeline's folder"
        )
    return dict(json.loads(made_of)), read_json(folder / "config.json")


def vae_hash(config: TrainLatentConfig) -> str:
    """Which VAE it is that the settings name, by its weights."""
    source = Path(config.start or config.vae)
    return hash_files(part_weights(source, "vae") if is_latent(source) else [source / "best.safetensors"])


def write_parts(config: TrainLatentConfig, images: np.ndarray, folder: Path) -> None:
    """Write the pipeline that a run begins with.

    Raises:
        FileNotFoundError, ValueError: the VAE or the pipeline to start from cannot be read.
    """
    from diffusers import AutoencoderKL, StableDiffusionPipeline

    if config.start:
        check_pipeline(Path(config.start))
        load_betas(Path(config.start))  # refuses before anything is written
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(config.start, folder, ignore=shutil.ignore_patterns("sedid", "*.md", "images"))
        return
    vae: Any
    if is_latent(Path(config.vae)):
        vae = load_vae(Path(config.vae))
    else:
        vae = AutoencoderKL(**vae_run(Path(config.vae))[0])
        with stored_tensors(Path(config.vae) / "best.safetensors") as stored:
            vae.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
        vae = vae.eval()
        few = Latents(vae.half().float(), Runtime(torch.device("cpu"))).encode(as_model_input(images[:SCALED_BY]))
        vae.register_to_config(scaling_factor=float(1 / few.std()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        unet = make_latent_unet(config.unet, vae)
        tokenizer, text_encoder = make_text(config.classes)
    parts: dict[str, Any] = {
        "vae": vae.half(),
        "unet": unet,
        "text_encoder": text_encoder.half(),
        "tokenizer": tokenizer,
        "scheduler": make_latent_scheduler(),
    }
    pipeline: Any = StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    with replacing_parts(folder) as written:
        pipeline.save_pretrained(written, max_shard_size=SHARD)
        save_tokenizer(tokenizer, written / "tokenizer")

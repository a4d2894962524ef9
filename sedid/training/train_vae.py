"""Train a small VAE, the first half of a latent diffusion model: pictures to latents and back.

    loss = mean |x - D(v)| + kl_weight KL(q(v | x) || N(0, 1)) / numbers of v        v drawn from the posterior q

The loss is of pixels alone: Stable Diffusion's VAE was trained with LPIPS and an adversary beside it, for which weights of
other networks are needed. So fine texture comes out smooth. What is measured on held-out images is the same at the mean
of the posterior, which is what a detector scores.

Steps, average, checkpoints and records are those of every training (`training.run`); samples/*.png show held-out pictures
(without any, those that are trained on), each above its reconstruction.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sedid.config import Count, Decay, NotNegative, Positive, Whole
from sedid.data.datasets import as_images, as_model_input, grid_of
from sedid.detector.bundle import read_info
from sedid.models.folders import is_latent, part_weights
from sedid.models.latent_parts import PartsName, make_vae
from sedid.models.networks import Runtime, load_part, parameter_count
from sedid.storage import replacing
from sedid.training.denoising import HeldoutLoss
from sedid.training.run import RunSettings, TrainProgress, crop_of_run, mirrored, prepared, read_sets, rows_of, run
from sedid.training.seeds import seed_of

AT_ONCE = 64
"""Pictures that are encoded and decoded at once where nothing is learned."""


@dataclass(frozen=True)
class TrainVAEConfig(RunSettings):
    """Settings of one VAE training run."""

    steps: Count = 100_000
    batch_size: Count = 64
    warmup_steps: Whole = 500
    cooldown_steps: Whole = 20_000
    ema_decay: Decay = 0.999
    learning_rate: Positive = 5e-4
    vae: PartsName = "paper"  # demo, small or paper
    kl_weight: NotNegative = 1e-3


class Autoencoding(nn.Module):
    """A VAE as it is asked in training: pictures and noise to reconstructions and the posterior's parameters.

    Args:
        vae: an `AutoencoderKL`.
    """

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction of x (B, 3, H, W), and mean and log-variance of its latents, at mean + deviation noise."""
        posterior = self.vae.encode(x).latent_dist
        found = posterior.mean + posterior.std * noise
        return self.vae.decode(found).sample, posterior.mean, posterior.logvar


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, e^logvar) || N(0, 1)) in nats, a mean over all numbers of the latents."""
    mean, logvar = mean.float(), logvar.float()
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()


@dataclass
class Reconstruction:
    """A VAE and its loss (`run.Task`)."""

    config: TrainVAEConfig
    runtime: Runtime
    network: Any
    images: np.ndarray
    heldout: np.ndarray | None
    command: str = "train-vae"
    part: str = "vae"

    @cached_property
    def asked(self) -> Any:
        """The VAE with its posterior."""
        return Autoencoding(self.network)

    @property
    def about(self) -> dict[str, Any]:
        """How large it is."""
        return {"parameters": parameter_count(self.network)}

    def draw(self, step: int) -> Sequence[Tensor]:
        """Pictures (B, 3, H, W) in [-1, 1], half of them mirrored, and noise of the shape of their latents."""
        return draw_pictures(self.images, self.config, step, self.latents)

    @property
    def latents(self) -> tuple[int, int, int]:
        """The shape of one picture's latents."""
        made = self.network.config
        side = self.images.shape[1] // 2 ** (len(made.block_out_channels) - 1)
        return made.latent_channels, side, side

    def loss(self, asked: Any, batch: Sequence[Tensor]) -> Tensor:
        """See the top of this module."""
        x, noise = batch
        with self.runtime.autocast():
            found, mean, logvar = asked(x.contiguous(memory_format=torch.channels_last), noise)
        loss: Tensor = (found.float() - x).abs().mean() + self.config.kl_weight * divergence(mean, logvar)
        return loss

    def measure(self, heldout: np.ndarray) -> HeldoutLoss:
        """The loss at the posterior's mean; `plain` is the mean absolute error alone, of pixels in [-1, 1]."""
        errors, kl = [], []
        for start in range(0, len(heldout), AT_ONCE):
            x = as_model_input(heldout[start : start + AT_ONCE])
            found, mean, logvar = self._at_mean(x)
            errors.append((found.cpu().float() - x).abs().mean(dim=(1, 2, 3)))
            kl.append(divergence(mean, logvar).cpu().expand(len(x)))
        plain = torch.cat(errors).mean().item()
        return HeldoutLoss(plain + self.config.kl_weight * torch.cat(kl).mean().item(), plain)

    def show(self, file: Path, count: int) -> None:
        """Rows of pictures, each row above its reconstructions."""
        from PIL import Image

        side = max(2, 2 * round(count**0.5 / 2))
        shown = (self.images if self.heldout is None else self.heldout)[: side * side // 2]
        found = as_images(self._at_mean(as_model_input(shown))[0])
        rows = [
            part
            for start in range(0, len(shown), side)
            for part in (shown[start : start + side], found[start : start + side])
        ]
        with replacing(file) as temporary:
            Image.fromarray(grid_of(np.concatenate(rows))).save(temporary)

    @torch.inference_mode()
    def _at_mean(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, mean and log-variance with no noise."""
        x = x.to(self.runtime.device, memory_format=torch.channels_last)
        with self.runtime.autocast():
            found: tuple[Tensor, Tensor, Tensor] = self.asked(x, torch.zeros(1, device=x.device))
        return found


def draw_pictures(
    images: np.ndarray, config: TrainVAEConfig, step: int, latents: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """The global batch of one step, a pure function of (images, seed, step).

    Returns:
        Pictures (B, 3, H, W) float32 in [-1, 1], and noise (B, *latents) float32.
    """
    x = as_model_input(images[rows_of(len(images), config, step)])
    generator = torch.Generator().manual_seed(seed_of(config.seed, 2, step))
    x = mirrored(x, config, generator)
    return x, torch.randn((len(x), *latents), generator=generator)


def train_vae(config: TrainVAEConfig) -> Generator[TrainProgress, None, None]:
    """Train a VAE, or resume the run in `config.out`, yielding a record every `log_every` steps.

    Raises:
        FileNotFoundError, ValueError: there is no VAE to start from, a setting does not fit, or the run diverged (as
            `run.run`).
    """
    accelerator, runtime = prepared(config)
    vae = load_vae(Path(config.start)) if config.start else seeded_vae(config)
    crop = crop_of_run(config, read_info(Path(config.start)).get("center_crop") if config.start else None)
    config = replace(config, center_crop=crop or 0.0)
    images, heldout = read_sets(config, vae.config.sample_size, crop, accelerator.num_processes)
    task = Reconstruction(config, runtime, runtime.place(vae).train(), images, heldout)
    yield from run(task, config, runtime, accelerator)


def load_vae(folder: Path) -> Any:
    """The VAE of a latent diffusion pipeline's folder, in float32.

    Raises:
        ValueError: there is none, or it cannot be loaded.
    """
    from diffusers import AutoencoderKL

    if not is_latent(folder):
        raise ValueError(f"{folder} holds no latent diffusion model, and so no VAE to start from")
    return load_part(AutoencoderKL, folder, folder / "vae", part_weights(folder, "vae"), "VAE")


def seeded_vae(config: TrainVAEConfig) -> Any:
    """A VAE whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return make_vae(config.vae)

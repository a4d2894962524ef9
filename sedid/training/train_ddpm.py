"""Train a DDPM (Ho et al. 2020): predict the noise in x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.

Steps, average, checkpoints and records are those of every training (`training.run`); in config.json `unet` names the
network that is trained, wherever it came from.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sedid.config import Decay, NotNegative
from sedid.data.augment import Augmentation, augmented
from sedid.data.datasets import as_model_input
from sedid.detector.bundle import frame
from sedid.method.diffusion import NoiseSchedule
from sedid.models.networks import UNETS, Runtime, UNetName, about_unet, load_unet, make_unet, set_dropout
from sedid.training.denoising import HeldoutLoss, heldout_loss, loss_weights, noised
from sedid.training.run import RunSettings, TrainProgress, crop_of_run, mirrored, prepared, read_sets, rows_of, run
from sedid.training.samples import write_grid
from sedid.training.seeds import seed_of


@dataclass(frozen=True)
class TrainDDPMConfig(RunSettings):
    """Settings of one DDPM training run; the defaults are the paper's."""

    unet: UNetName = "paper"  # demo, small or paper
    min_snr_gamma: NotNegative = (
        0.0  # weight min(SNR_t, gamma) / SNR_t on the loss (Hang et al. 2023); 0: the plain loss
    )
    augment: tuple[Augmentation, ...] = ()  # other random changes, in this order: crop, cutout, colour, randaugment
    dropout: Decay | None = None  # of the residual blocks; none: what the network's configuration has


def frame_of(config: Any) -> tuple[int, float | None]:
    """At which size and centre crop the images of a training are read: those of the network that is trained.

    Args:
        config: settings with `unet`, `start`, `data` and `center_crop`, as `TrainDDPMConfig`.

    Raises:
        FileNotFoundError, ValueError: the network to start from cannot be read, or the crop is none.
    """
    size, crop = frame(Path(config.start)) if config.start else (int(UNETS[config.unet]["sample_size"]), None)
    return size, crop_of_run(config, crop)


def draw_batch(
    images: np.ndarray, schedule: NoiseSchedule, config: TrainDDPMConfig, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The global batch of one step, a pure function of (images, seed, step).

    Each epoch visits a new permutation of the images.

    Returns:
        x_t (B, 3, H, W) float32, t (B,) int64, eps (B, 3, H, W) float32.
    """
    generator = torch.Generator().manual_seed(seed_of(config.seed, 2, step))
    chosen = images[rows_of(len(images), config, step)]
    if config.augment:
        changed = augmented(torch.from_numpy(chosen).permute(0, 3, 1, 2), config.augment, seed_of(config.seed, 4, step))
        chosen = changed.permute(0, 2, 3, 1).numpy()
    x_0 = mirrored(as_model_input(chosen), config, generator)
    t = torch.randint(len(schedule), (len(x_0),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return noised(x_0, eps, t, schedule), t, eps


@dataclass
class Denoising:
    """A U-Net of pixels and the denoising loss (`run.Task`)."""

    config: TrainDDPMConfig
    runtime: Runtime
    network: Any
    images: np.ndarray
    heldout: np.ndarray | None
    schedule: NoiseSchedule = field(default_factory=NoiseSchedule.linear)
    command: str = "train-ddpm"
    part: str = "unet"

    @property
    def asked(self) -> Any:
        """The U-Net."""
        return self.network

    @property
    def about(self) -> dict[str, Any]:
        """Which U-Net it is, wherever it came from."""
        return about_unet(self.network.config)

    def draw(self, step: int) -> Sequence[Tensor]:
        """`draw_batch`."""
        return draw_batch(self.images, self.schedule, self.config, step)

    def loss(self, asked: Any, batch: Sequence[Tensor]) -> Tensor:
        """The mean squared error of the predicted noise, weighted."""
        x_t, t, eps = batch
        with self.runtime.autocast():
            predicted = asked(x_t.contiguous(memory_format=torch.channels_last), t).sample
        errors: Tensor = (predicted.float() - eps).square().mean(dim=(1, 2, 3))
        return (loss_weights(t, self.schedule, self.config.min_snr_gamma) * errors).mean()

    def measure(self, heldout: np.ndarray) -> HeldoutLoss:
        """The same at fixed noise."""
        return heldout_loss(self.network, heldout, self.schedule, self.runtime, self.config.min_snr_gamma)

    def show(self, file: Path, count: int) -> None:
        """A grid from fixed noise, DDIM in 20 steps."""
        write_grid(self.network, file, count, self.runtime)


def train_ddpm(config: TrainDDPMConfig) -> Generator[TrainProgress, None, None]:
    """Train, or resume the run in `config.out`, yielding a record every `log_every` steps.

    Raises:
        FileNotFoundError, ValueError: the network to start from cannot be read, or has no dropout to set.
        ValueError: a setting does not fit (batch larger than the data, batch not divisible by the number of
            processes, a run folder holding another configuration, a tracker that cannot be used).
        ValueError: a loss or a gradient is not finite; the last checkpoint before it is kept.
    """
    accelerator, runtime = prepared(config)
    size, crop = frame_of(config)
    config = replace(config, center_crop=crop or 0.0)  # what config.json says, and the detector after it
    images, heldout = read_sets(config, size, crop, accelerator.num_processes)
    unet: Any = load_unet(Path(config.start)) if config.start else seeded_unet(config)
    if config.dropout is not None:
        set_dropout(unet, config.dropout)
    task = Denoising(config, runtime, runtime.place(unet).train(), images, heldout)
    yield from run(task, config, runtime, accelerator, ahead=not config.augment)


def seeded_unet(config: TrainDDPMConfig) -> nn.Module:
    """A U-Net whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return make_unet(config.unet)

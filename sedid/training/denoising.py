"""The denoising loss of a DDPM (Ho et al. 2020, eq. 14), its min-SNR weighting, and its value on held-out images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sedid.data.datasets import as_model_input
from sedid.later import torch
from sedid.method.diffusion import NoiseSchedule
from sedid.models.networks import Runtime

if TYPE_CHECKING:
    from torch import Tensor


def noised(x_0: Tensor, eps: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """q: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, with one t an image."""
    alpha_bar = torch.tensor(schedule.alpha_bar, dtype=torch.float64)[t][:, None, None, None]
    return alpha_bar.sqrt().float() * x_0 + (1 - alpha_bar).sqrt().float() * eps


def loss_weights(t: Tensor, schedule: NoiseSchedule, gamma: float) -> Tensor:
    """min(SNR_t, gamma) / SNR_t with SNR_t = alpha_bar_t / (1 - alpha_bar_t); 1 where gamma is 0.

    By Hang et al. 2023, for a network that predicts noise. The plain loss is dominated by the smallest timesteps, sampling by the
    largest, where an error in eps is multiplied by 1 / sqrt(alpha_bar_t).

    Returns:
        (B,) float32 on the device of t.
    """
    if not gamma:
        return torch.ones(len(t), device=t.device)
    alpha_bar = torch.tensor(schedule.alpha_bar, dtype=torch.float64)
    return (gamma * (1 - alpha_bar) / alpha_bar).clamp(max=1.0).float().to(t.device)[t]


def heldout_errors(
    unet: torch.nn.Module, images: np.ndarray, schedule: NoiseSchedule, runtime: Runtime, batch_size: int = 128
) -> tuple[Tensor, Tensor]:
    """`errors_at_fixed_noise` of a U-Net of pixels."""
    return errors_at_fixed_noise(
        lambda x_t, t, _: unet(x_t, t).sample,
        lambda rows: as_model_input(images[rows]),
        len(images),
        schedule,
        runtime,
        batch_size,
    )


def errors_at_fixed_noise(
    ask: Callable[[Tensor, Tensor, slice], Tensor],
    read: Callable[[slice], Tensor],
    count: int,
    schedule: NoiseSchedule,
    runtime: Runtime,
    batch_size: int = 128,
) -> tuple[Tensor, Tensor]:
    """Squared errors of the predicted noise at fixed noise, timesteps spread evenly over 0 .. T-1.

    Args:
        ask: x_t, t and which rows they are -> the predicted noise.
        read: rows -> what the network walks on, x_0.
        count: of all rows.

    Returns:
        t (N,) int64 and the errors, means over channels and pixels, (N,) float32.
    """
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(0)
        t = (torch.arange(count) * len(schedule)) // count
        errors = []
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            x_0 = read(rows)
            eps = torch.randn(x_0.shape, generator=generator)
            x_t = noised(x_0, eps, t[rows], schedule).to(runtime.device, memory_format=torch.channels_last)
            with runtime.autocast():
                predicted = ask(x_t, t[rows].to(runtime.device), rows)
            errors.append((predicted.float().cpu() - eps).square().mean(dim=(1, 2, 3)))
        return t, torch.cat(errors)


@dataclass(frozen=True)
class HeldoutLoss:
    """The mean training loss on held-out images (`heldout_errors`).

    Attributes:
        weighted: as the training weighs it (`loss_weights`): what chooses the best weights.
        plain: without weights, as it is published elsewhere; the two are one where the training does not weigh.
    """

    weighted: float
    plain: float


def heldout_loss(
    unet: torch.nn.Module, images: np.ndarray, schedule: NoiseSchedule, runtime: Runtime, gamma: float = 0.0
) -> HeldoutLoss:
    """Measure the network on held-out images, uint8 (N, H, W, 3), with min-SNR weights of `gamma` and without any."""
    t, errors = heldout_errors(unet, images, schedule, runtime)
    return HeldoutLoss((loss_weights(t, schedule, gamma) * errors).mean().item(), errors.mean().item())

"""A small flow model, trained here on real pictures, tells its own pictures from others it never saw."""

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DModel
from torch import Tensor

from sedid.data.datasets import SAMPLE, as_model_input, load_images
from sedid.method.diffusion import t_errors
from sedid.method.flow import FlowSchedule
from sedid.stats.intervals import auc_interval
from sedid.stats.metrics import fit_cut

SCHEDULE = FlowSchedule.shifted(1000, 1.0)
K, STEPS, BATCH, EULER, EACH = 165, 120, 32, 10, 120


class Velocity:
    """v_theta of a U-Net of pixels, asked with the shifted sigma times T."""

    def __init__(self, unet: UNet2DModel) -> None:
        self.unet = unet

    @torch.inference_mode()
    def __call__(self, x: Tensor, t: int) -> Tensor:
        at = torch.tensor(SCHEDULE.asked_at(t))  # of a Python number the U-Net takes the whole part
        v: Tensor = self.unet(x, at).sample
        return v


def trained(x_0: Tensor) -> UNet2DModel:
    """Rectified flow: || v_theta(x_t, t) - (eps - x_0) ||^2 at x_t = (1 - sigma) x_0 + sigma eps."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(24, 48),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
    )
    optimizer = torch.optim.AdamW(unet.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, STEPS)
    for _ in range(STEPS):
        x, sigma = x_0[torch.randint(len(x_0), (BATCH,))], torch.rand(BATCH, 1, 1, 1)
        eps = torch.randn_like(x)
        said = unet((1 - sigma) * x + sigma * eps, sigma.flatten() * len(SCHEDULE)).sample
        loss = (said - (eps - x)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return unet.eval()


@torch.inference_mode()
def drawn(unet: UNet2DModel, count: int) -> Tensor:
    """Pictures of the model by diffusers' own Euler steps, rounded to 8 bits as any picture is."""
    scheduler = FlowMatchEulerDiscreteScheduler(len(SCHEDULE), shift=1.0)
    scheduler.set_timesteps(EULER)
    x = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for t in scheduler.timesteps:
        x = scheduler.step(unet(x, t).sample, t, x).prev_sample
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.skipif(not SAMPLE.is_file(), reason="the embedded sample is not part of a wheel")
def test_its_own_pictures_are_told_from_real_ones() -> None:
    real = as_model_input(load_images("sample:real", 16, None))
    known, others = real[:-EACH], real[-EACH:]
    unet = trained(known)
    classes = [others, drawn(unet, EACH)]
    scores = [torch.stack([error.score for error in t_errors(Velocity(unet), x, SCHEDULE, K, 990)]) for x in classes]
    unseen, made = (found.numpy().astype(np.float64) for found in scores)
    cuts = [fit_cut(unseen[n, : EACH // 2], made[n, : EACH // 2]) for n in range(len(unseen))]
    best = max(range(len(cuts)), key=lambda n: cuts[n].auc)  # the first half of each class chooses
    sign = cuts[best].sign
    low, _ = auc_interval(sign * unseen[best, EACH // 2 :], sign * made[best, EACH // 2 :])
    assert low > 0.5

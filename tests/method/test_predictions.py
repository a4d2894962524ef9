"""What networks predict in place of the noise: diffusers' own deterministic samplers are the reference, step by step."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from torch import Tensor

from sedid.method.diffusion import NoiseSchedule, ddim_step, trajectory
from sedid.method.predictions import PREDICTIONS, to_eps

pytestmark = pytest.mark.usefixtures("one_thread")

K, STEPS = 165, 6
BETAS = {"linear": {}, "scaled_linear": {"beta_start": 0.00085, "beta_end": 0.012}, "squaredcos_cap_v2": {}}
SCHEDULES = {name: {"beta_schedule": name} | more for name, more in BETAS.items()}
SCHEDULES["trained"] = {"trained_betas": np.linspace(1e-4, 0.03, K * STEPS).tolist()}
SCHEDULES["zero-snr"] = SCHEDULES["scaled_linear"] | {"rescale_betas_zero_snr": True}


def answer(x: Tensor, t: int) -> Tensor:
    """A network, by arithmetic."""
    return 0.6 * torch.sin(2 * x.roll(1, -1) + t / 250)


def reference(kind: Any, prediction: str, betas: str, **more: Any) -> tuple[Any, NoiseSchedule]:
    """A scheduler of diffusers that steps by K, with its alpha_bar in float64, and the engine's schedule of it."""
    steps = {"num_train_timesteps": K * STEPS, "prediction_type": prediction, "clip_sample": False}
    scheduler = kind(**steps | SCHEDULES[betas] | more)
    scheduler.set_timesteps(STEPS)
    values = scheduler.betas[:-1] if scheduler.betas[-1] == 1 else scheduler.betas
    schedule = NoiseSchedule.from_betas(values)
    scheduler.alphas_cumprod[: len(schedule)] = torch.tensor(schedule.alpha_bar)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.alphas_cumprod[: len(schedule)] = torch.tensor(schedule.alpha_bar, dtype=torch.float64)
    return scheduler, schedule


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("betas", SCHEDULES)
def test_psi_is_a_step_of_the_ddim_scheduler(prediction: str, betas: str) -> None:
    scheduler, schedule = reference(DDIMScheduler, prediction, betas)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t in (K, 3 * K, 5 * K, len(schedule) - 1):
        eps = to_eps(prediction, schedule, answer(x, t), x, t)
        ours = ddim_step(schedule, x, eps, t, t - K)
        theirs = scheduler.step(answer(x, t), t, x).prev_sample
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_inverse_scheduler_asks_at_the_timestep_it_goes_to_and_phi_at_the_one_it_is_at(prediction: str) -> None:
    scheduler, schedule = reference(DDIMInverseScheduler, prediction, "linear", set_alpha_to_one=False)
    x_0 = torch.randn(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    asked: list[int] = []

    def eps_theta(x: Tensor, t: int) -> Tensor:
        asked.append(t)
        return to_eps(prediction, schedule, answer(x, t), x, t)

    def late(x: Tensor, t: int) -> Tensor:
        """What the other loop does: the answer at the next timestep, taken for the one at t."""
        return to_eps(prediction, schedule, answer(x, t + K), x, t)

    ours = list(trajectory(eps_theta, x_0, schedule, K, 5 * K))
    assert asked == [0, 165, 330, 495, 660, 825]
    x, found = x_0, [x_0]
    for t in scheduler.timesteps.tolist()[1:]:  # its first step leads from the clean image to t = 0, which are one here
        x = scheduler.step(answer(x, t), t, x).prev_sample
        found.append(x)
    for point, theirs in zip(trajectory(late, x_0, schedule, K, 5 * K), found, strict=True):
        torch.testing.assert_close(point.x, theirs, rtol=1e-9, atol=1e-9)  # the same formula, asked elsewhere
    assert all(
        not torch.allclose(point.x, theirs, rtol=1e-2) for point, theirs in zip(ours[1:], found[1:], strict=True)
    )


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_rows_at_timesteps_of_their_own_are_answered_as_each_alone(prediction: str) -> None:
    schedule = NoiseSchedule.linear()
    x, said = torch.randn(2, 3, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    times = [0, 500, 999]
    together = to_eps(prediction, schedule, said, x, torch.tensor(times))
    alone = [to_eps(prediction, schedule, said[i : i + 1], x[i : i + 1], t) for i, t in enumerate(times)]
    assert torch.equal(together, torch.cat(alone))
    with pytest.raises(ValueError, match="unknown prediction 'flow'; accepted: epsilon, v_prediction, sample"):
        to_eps("flow", schedule, said, x, 0)


def test_one_timestep_for_all_may_be_a_tensor() -> None:
    schedule = NoiseSchedule((0.81, 0.36))
    x, said = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 2.0)
    for t in (1, torch.tensor(1), torch.tensor([1])):
        assert to_eps("v_prediction", schedule, said, x, t).item() == pytest.approx(0.6 * 2 + 0.8 * 3)
        assert to_eps("sample", schedule, said, x, t).item() == pytest.approx((3 - 0.6 * 2) / 0.8)
        assert to_eps("epsilon", schedule, said, x, t) is said

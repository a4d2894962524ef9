"""Flow matching: the engine on a straight path, against diffusers' own scheduler and a tiny transformer of SD3's kind."""

from itertools import pairwise

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from helpers.latents import small_transformer
from torch import Tensor

from sedid.method.diffusion import ddim_step, noised, t_errors, training_loss, trajectory
from sedid.method.flow import FlowSchedule
from sedid.method.ledger import Ledger
from sedid.method.methods import METHODS

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = FlowSchedule.shifted(1000, 3.0)


@pytest.fixture(scope="module")
def transformer() -> SD3Transformer2DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return small_transformer(words=16, prompt=8)


class Velocity:
    """v_theta of a transformer that is told nothing; notes what it was asked with."""

    def __init__(self, transformer: SD3Transformer2DModel) -> None:
        self.transformer, self.asked = transformer.double(), []

    @torch.inference_mode()
    def __call__(self, x: Tensor, t: int) -> Tensor:
        self.asked.append(SCHEDULE.asked_at(t))
        nothing = {"encoder_hidden_states": x.new_zeros(len(x), 3, 16), "pooled_projections": x.new_zeros(len(x), 8)}
        at = torch.full((len(x),), self.asked[-1], dtype=x.dtype)
        v: Tensor = self.transformer(x, timestep=at, **nothing).sample
        return v


def latents() -> Tensor:
    return torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_sigmas_and_steps_are_those_of_the_scheduler(shift: float) -> None:
    scheduler, schedule = FlowMatchEulerDiscreteScheduler(1000, shift=shift), FlowSchedule.shifted(1000, shift)
    assert schedule.sigma[::-1] == pytest.approx(scheduler.sigmas.tolist(), rel=1e-5)
    assert [schedule.asked_at(t) for t in (999, 500, 0)] == pytest.approx(
        [float(scheduler.timesteps[999 - t]) for t in (999, 500, 0)], rel=1e-5
    )
    x = latents()
    for s, t in ((990, 825), (495, 330), (999, 0)):
        scheduler.set_timesteps(sigmas=[(s + 1) / 1000, (t + 1) / 1000])
        v = torch.sin(x)
        theirs = scheduler.step(v, scheduler.timesteps[0], x).prev_sample
        torch.testing.assert_close(ddim_step(schedule, x, v, s, t), theirs, rtol=1e-5, atol=1e-5, check_dtype=False)


def test_the_identity_holds_for_n_plus_1_evaluations(transformer: SD3Transformer2DModel) -> None:
    """Against the literal procedure, reverse and denoise one after the other, up to pure noise at t = 999."""
    path = (0, 165, 495, 990, 999)
    velocity, literal = Velocity(transformer), Velocity(transformer)
    found = list(t_errors(velocity, latents(), SCHEDULE, path, 999))
    assert velocity.asked == pytest.approx([1000 * SCHEDULE.sigma[t] for t in path])
    assert velocity.asked[-1] == 1000
    x = latents()
    for error, (t, s) in zip(found, pairwise(path), strict=True):
        up = SCHEDULE.sigma[s] - SCHEDULE.sigma[t]
        far = x + up * literal(x, t)
        back = far - up * literal(far, s)
        expected = ((back - x) / 2).square().sum(dim=(1, 2, 3))  # [-1, 1] to [0, 1], as everywhere
        torch.testing.assert_close(error.score, expected, rtol=1e-9, atol=1e-12)
        x = far
    assert len(literal.asked) == 2 * (len(velocity.asked) - 1)


def test_a_step_is_ddims_with_the_straight_paths_shares() -> None:
    x, v = latents(), torch.cos(latents())
    for t, u in ((0, 165), (165, 990), (990, 0)):
        a, b = SCHEDULE.sigma[t], SCHEDULE.sigma[u]
        clean, noise = x - a * v, x + (1 - a) * v
        torch.testing.assert_close(ddim_step(SCHEDULE, x, v, t, u), (1 - b) * clean + b * noise, rtol=1e-12, atol=1e-12)


def test_where_the_direction_never_changes_there_is_no_error() -> None:
    """A network that knows the one picture of the path: x_t lies on it, and v is the same everywhere."""
    x_0, eps = latents(), torch.cos(latents())
    start = (1 - SCHEDULE.sigma[0]) * x_0 + SCHEDULE.sigma[0] * eps
    points = list(trajectory(lambda x, t: eps - x_0, start, SCHEDULE, 333, 999))
    torch.testing.assert_close(points[-1].x, eps, rtol=1e-12, atol=1e-12)
    assert [float(e.score.max()) for e in t_errors(lambda x, t: eps - x_0, start, SCHEDULE, 333, 999)] == [0, 0, 0]


def test_a_flow_has_a_thousand_even_timesteps_unless_it_is_said() -> None:
    sigmas = FlowSchedule.shifted().sigma
    assert len(sigmas) == 1000
    assert (sigmas[0], sigmas[499], sigmas[-1]) == (0.001, 0.5, 1.0)


def test_a_shift_that_is_none_is_refused() -> None:
    for shift, timesteps in ((0.0, 1000), (-1.0, 1000), (float("nan"), 1000), (1.0, 1)):
        with pytest.raises(ValueError, match="a flow needs a shift above 0 and at least 2 timesteps"):
            FlowSchedule.shifted(timesteps, shift)


def test_every_method_runs_on_a_flow_and_a_network_that_knows_the_picture_has_no_error() -> None:
    x_0 = latents().tanh()

    def knows(x: Tensor, t: int) -> Tensor:  # v = eps - x_0 with the eps that x was made of
        return (x - x_0) / SCHEDULE.sigma[t]

    eps = torch.randn_like(x_0)
    for t in (0, 500, 999):
        x_t = noised(SCHEDULE, x_0, eps, t)
        torch.testing.assert_close(x_t, (1 - SCHEDULE.sigma[t]) * x_0 + SCHEDULE.sigma[t] * eps)
        torch.testing.assert_close(SCHEDULE.noise_of(knows(x_t, t), x_t, t), eps)
        assert training_loss(knows, x_0, eps, SCHEDULE, t) == pytest.approx([0, 0], abs=1e-20)
    halved = training_loss(lambda x, t: knows(x, t) / 2, x_0, eps, SCHEDULE, 500)
    torch.testing.assert_close(halved, ((eps - x_0) / 2).square().sum(dim=(1, 2, 3)))
    for name, method in METHODS.items():
        found = method.measure(Ledger(knows, SCHEDULE, x_0, lambda draw: eps))
        assert bool(torch.isfinite(found).all()), name
        if name in ("loss", "pia", "sedid-stat", "dire-stat"):
            assert found == pytest.approx([0, 0], abs=1e-9), name

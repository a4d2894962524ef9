"""The engine against the definition, against diffusers, and against its own promises."""

import gc
import math
import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sedid.method.diffusion import (
    NoiseSchedule,
    Path,
    as_steps,
    check_step,
    ddim_step,
    nn_input,
    order,
    read_steps,
    reverse_path,
    t_error,
    t_errors,
    trajectory,
    write_steps,
)
from sedid.models.networks import Runtime, eps_model

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = NoiseSchedule.linear()
SWEEP = [165, 330, 495, 660, 825, 990]


def as_eps(unet: Any) -> Callable[[Tensor, int], Tensor]:
    """The U-Net as it is, in its own precision (models.eps_model would return float32)."""

    @torch.inference_mode()
    def eps(x: Tensor, t: int) -> Tensor:
        return unet(x, t).sample

    return eps


def pictures(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand((count, 3, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def literal(eps_theta: Callable[[Tensor, int], Tensor], x_0: Tensor, path: Sequence[int]) -> dict[int, Tensor]:
    """E_{s} for every s of a path after 0, transcribed from the paper: f_theta, phi, psi, two evaluations a step."""
    betas = np.linspace(1e-4, 0.02, 1000)
    abar = np.cumprod(1.0 - betas)

    def f_theta(x: Tensor, t: int, noise: Tensor) -> Tensor:
        return (x - math.sqrt(1 - abar[t]) * noise) / math.sqrt(abar[t])

    def step(x: Tensor, t: int, u: int) -> Tensor:
        noise = eps_theta(x, t)
        return math.sqrt(abar[u]) * f_theta(x, t, noise) + math.sqrt(1 - abar[u]) * noise

    errors, x = {}, x_0
    for t, s in pairwise(path):
        phi = step(x, t, s)
        psi = step(phi, s, t)
        difference = (psi + 1) / 2 - (x + 1) / 2
        errors[s] = (difference**2).sum(dim=(1, 2, 3))
        x = phi
    return errors


@pytest.mark.parametrize(
    ("k", "t_sec", "count"),
    [(5, 250, 1), (7, 994, 2), (55, 990, 5), (165, 990, 1), (165, 990, 7), (330, 990, 3), (495, 990, 2), (999, 999, 1)],
)
def test_engine_equals_the_literal_definition(tiny_unet: Any, k: int, t_sec: int, count: int) -> None:
    eps = as_eps(tiny_unet(seed=k).double())
    x_0 = pictures(count, seed=k)
    expected = literal(eps, x_0, range(0, t_sec + 1, k))
    found = {error.t_sec: error for error in t_errors(eps, x_0, SCHEDULE, k, t_sec)}
    assert list(found) == list(expected) == list(range(k, t_sec + 1, k))
    for s, error in found.items():
        assert error.score.shape == (count,)
        assert error.score.min() > 0
        torch.testing.assert_close(error.score, expected[s], rtol=1e-8, atol=0)
        torch.testing.assert_close(error.map.sum(dim=(1, 2, 3)), error.score, rtol=1e-12, atol=0)


@pytest.mark.parametrize("path", [(0, 495, 825, 990), (0, 825, 990), (0, 1, 7, 500, 501, 999), (0, 3, 4)])
def test_any_ascending_path_equals_the_literal_definition(tiny_unet: Any, path: Path) -> None:
    eps, x_0 = as_eps(tiny_unet(seed=path[-1]).double()), pictures(3, seed=path[1])
    expected, model = literal(eps, x_0, path), Recorder()
    found = {error.t_sec: error for error in t_errors(eps, x_0, SCHEDULE, path, path[-1])}
    assert list(found) == list(expected) == list(path[1:])
    for (near, far), error in zip(pairwise(path), found.values(), strict=True):
        torch.testing.assert_close(error.score, expected[far], rtol=1e-8, atol=0)
        assert error.weight == SCHEDULE.weight(near, far)
    list(t_errors(model, x_0, SCHEDULE, path, path[-2]))
    assert model.asked == list(path[:-1])  # one evaluation a point, none beyond T_SEC


@pytest.mark.parametrize(("k", "t_sec"), [(165, 990), (330, 660), (999, 999)])
def test_a_path_of_equal_steps_is_the_walk_of_k_bit_for_bit(tiny_unet: Any, k: int, t_sec: int) -> None:
    eps, x_0, path = as_eps(tiny_unet()), pictures(2, dtype=torch.float32), tuple(range(0, t_sec + 1, k))
    assert as_steps(path) == k
    for of_k, of_path in zip(
        t_errors(eps, x_0, SCHEDULE, k, t_sec), t_errors(eps, x_0, SCHEDULE, path, t_sec), strict=True
    ):
        assert torch.equal(of_k.score, of_path.score)


@pytest.mark.parametrize(
    "path", [(), (0,), (165, 330), (0, 330, 330), (0, 330, 165), (0, 0), (0, 500, 1000), (-1, 5), (0, -5)]
)
def test_what_is_no_path_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="0 and then ascending timesteps up to 999"):
        next(trajectory(Recorder(), pictures(1), SCHEDULE, path, 330))


def test_t_sec_lies_on_the_path() -> None:
    with pytest.raises(
        ValueError, match="timestep of the path 0, 495, 825, 990, which 660 is not; accepted: 495, 825, 990"
    ):
        check_step(SCHEDULE, (0, 495, 825, 990), 660)
    with pytest.raises(ValueError, match="which 0 is not"):
        check_step(SCHEDULE, (0, 495, 825, 990), 0)


@settings(deadline=None)
@given(st.sets(st.integers(1, 999), min_size=1, max_size=9))
def test_a_path_has_one_name_which_is_read_as_it_is_written(timesteps: set[int]) -> None:
    path = (0, *sorted(timesteps))
    named = as_steps(path)
    assert reverse_path(SCHEDULE, named, path[-1]) == path
    assert read_steps(write_steps(path)) == read_steps("+".join(map(str, path))) == named
    assert (named == path) == (len({far - near for near, far in pairwise(path)}) > 1)


@pytest.mark.parametrize(
    "text", ["", "165", "0", "0,0", "0,330,165", "165,330", "0,x", "0,-5", "0,,5", "0,1.5", "0," + "9" * 30]
)
def test_a_text_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"0 and then ascending timesteps, such as 0,495,825,990"):
        read_steps(text)


def test_score_is_the_distance_of_the_two_compared_images(tiny_unet: Any) -> None:
    """The identity psi(phi(x_t)) - x_t = c(t, k) (eps_s - eps_t), pixel by pixel."""
    points = list(trajectory(as_eps(tiny_unet().double()), pictures(2), SCHEDULE, 165, 990))
    for near, far in pairwise(points):
        error = t_error(SCHEDULE, near, far)
        back = ddim_step(SCHEDULE, far.x, far.eps, far.t, near.t)
        torch.testing.assert_close(error.map, ((back - near.x) / 2) ** 2, rtol=1e-6, atol=1e-18)
        assert error.weight == SCHEDULE.weight(near.t, far.t)


def test_weights_of_the_papers_table() -> None:
    weights = [SCHEDULE.weight(s - 165, s) for s in SWEEP]
    assert weights == pytest.approx([0.325, 0.555, 1.185, 2.715, 6.027, 12.579], abs=6e-4)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 2**31))
def test_psi_undoes_phi_under_a_constant_epsilon(t: int, u: int, seed: int) -> None:
    x, eps = pictures(2, seed), pictures(2, seed + 1)
    back = ddim_step(SCHEDULE, ddim_step(SCHEDULE, x, eps, t, u), eps, u, t)
    torch.testing.assert_close(back, x, rtol=1e-11, atol=1e-11)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 999), st.floats(-1, 1), st.integers(0, 2**31))
def test_a_world_of_one_image_has_no_error(k: int, grey: float, seed: int) -> None:
    """If all data is one image mu, eps* = (x_t - sqrt(abar) mu) / sqrt(1 - abar) is constant along a trajectory."""

    def exact(x: Tensor, t: int) -> Tensor:
        abar = SCHEDULE.alpha_bar[t]
        return (x - math.sqrt(abar) * grey) / math.sqrt(1 - abar)

    for error in t_errors(exact, pictures(2, seed), SCHEDULE, k, 999 // k * k):
        # |eps*| is up to 200 at t = 0, where 1 - abar is 1e-4
        torch.testing.assert_close(error.score, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-15)


def test_batch_of_one_equals_batch_of_many(tiny_unet: Any) -> None:
    eps, x_0 = as_eps(tiny_unet().double()), pictures(5)
    many = torch.stack([error.score for error in t_errors(eps, x_0, SCHEDULE, 165, 990)])
    for i in range(5):
        single = torch.cat([error.score for error in t_errors(eps, x_0[i : i + 1], SCHEDULE, 165, 990)])
        torch.testing.assert_close(single, many[:, i], rtol=1e-10, atol=0)


class Recorder:
    """An eps model that remembers where it was asked, and which of its tensors still live."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.tensors: list[weakref.ref[Tensor]] = []
        self.most_alive = 0

    def __call__(self, x: Tensor, t: int) -> Tensor:
        eps = torch.sin(x + t)
        self.asked.append(t)
        self.tensors += [weakref.ref(x), weakref.ref(eps)]
        self.most_alive = max(self.most_alive, sum(ref() is not None for ref in self.tensors))
        return eps


@pytest.mark.parametrize(("k", "t_sec"), [(165, 990), (50, 950), (1, 40), (999, 999)])
def test_a_sweep_costs_one_evaluation_a_point(k: int, t_sec: int) -> None:
    model = Recorder()
    errors = list(t_errors(model, pictures(1), SCHEDULE, k, t_sec))
    assert len(errors) == t_sec // k
    assert model.asked == list(range(0, t_sec + 1, k))


def test_nothing_is_evaluated_before_it_is_asked_for() -> None:
    model = Recorder()
    points = trajectory(model, pictures(1), SCHEDULE, 165, 990)
    assert model.asked == []
    assert next(points).t == 0
    assert model.asked == [0]
    assert next(points).t == 165
    assert model.asked == [0, 165]
    points.close()
    assert model.asked == [0, 165]

    model = Recorder()
    errors = t_errors(model, pictures(1), SCHEDULE, 165, 990)
    assert model.asked == []
    assert next(errors).t_sec == 165
    assert model.asked == [0, 165]


def test_memory_of_a_sweep_does_not_grow_with_its_length() -> None:
    alive = {}
    for t_sec in (20, 200):
        model = Recorder()
        for error in t_errors(model, pictures(1), SCHEDULE, 5, t_sec):
            assert error.t_sec == model.asked[-1]
        alive[t_sec] = model.most_alive
        del error
        gc.collect()
        assert sum(ref() is not None for ref in model.tensors) == 0
    assert alive[200] == alive[20] <= 7  # x_0, and x and eps of at most three points


@pytest.mark.parametrize(
    ("k", "t_sec", "message"),
    [
        (165, 500, "500 is not one for k = 165; nearest: 495, 660"),
        (165, 1000, "from 165 to 990: 1000 is not one for k = 165; nearest: 990"),
        (165, 1155, "nearest: 990"),
        (165, 0, "nearest: 165, 330"),
        (165, -165, "nearest: 165, 330"),
        (600, 700, "nearest: 600"),
        (0, 165, "k must be between 1 and 999, not 0"),
        (1000, 1000, "k must be between 1 and 999, not 1000"),
    ],
)
def test_a_step_off_the_schedule_is_refused_with_the_nearest_ones(k: int, t_sec: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_step(SCHEDULE, k, t_sec)
    model = Recorder()
    with pytest.raises(ValueError, match=message):
        next(t_errors(model, pictures(1), SCHEDULE, k, t_sec))
    assert model.asked == []


@settings(deadline=None)
@given(st.integers(2, 1500), st.integers(-10, 1600), st.integers(-10, 1600))
def test_accepted_steps_are_the_multiples_within_the_schedule(length: int, k: int, t_sec: int) -> None:
    schedule = NoiseSchedule((0.5,) * length)
    if k >= 1 and t_sec in range(k, length, k):
        check_step(schedule, k, t_sec)
    else:
        with pytest.raises(ValueError, match=r"must be"):
            check_step(schedule, k, t_sec)


def test_schedule_is_that_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02).alphas_cumprod.double()
    assert len(SCHEDULE) == len(theirs) == 1000
    # theirs is accumulated in float32
    torch.testing.assert_close(torch.tensor(SCHEDULE.alpha_bar, dtype=torch.float64), theirs, rtol=5e-5, atol=0)
    assert SCHEDULE.alpha_bar[0] == pytest.approx(0.9999, abs=1e-12)
    closed = np.exp(np.cumsum(np.log1p(-np.linspace(1e-4, 0.02, 1000))))
    np.testing.assert_allclose(SCHEDULE.alpha_bar, closed, rtol=1e-12)


@pytest.mark.parametrize("betas", [[0.1], [[0.1, 0.2]], [0.1, 0.0], [0.1, 1.0], [0.1, float("nan")]])
def test_impossible_betas_are_refused(betas: Any) -> None:
    with pytest.raises(ValueError, match="betas must be"):
        NoiseSchedule.from_betas(betas)


@pytest.mark.parametrize("steps", [200, 142, 20, 6, 3, 2])  # diffusers' stride is 1000 // steps: 5 .. 500
def test_steps_agree_with_diffusers_ddim(steps: int) -> None:
    from diffusers import DDIMInverseScheduler, DDIMScheduler

    k = 1000 // steps
    options: dict[str, Any] = {"beta_start": 1e-4, "beta_end": 0.02, "clip_sample": False, "set_alpha_to_one": False}
    forward, backward = DDIMScheduler(**options), DDIMInverseScheduler(**options)
    for scheduler in (forward, backward):
        scheduler.set_timesteps(steps)
        scheduler.alphas_cumprod = torch.tensor(SCHEDULE.alpha_bar, dtype=torch.float64)
    x, eps = pictures(2), pictures(2, seed=1)
    for t in range(0, 1000 - k, k):
        denoised = forward.step(eps, t + k, x).prev_sample
        torch.testing.assert_close(ddim_step(SCHEDULE, x, eps, t + k, t), denoised, rtol=1e-10, atol=1e-10)
        # the inverse scheduler names a step by its far end
        reversed_ = backward.step(eps, t + k, x).prev_sample
        torch.testing.assert_close(ddim_step(SCHEDULE, x, eps, t, t + k), reversed_, rtol=1e-10, atol=1e-10)


def relative_errors(unet: Any, precision: str) -> list[float]:
    """Largest relative error of the score over a batch, against float64, at each T_SEC of the sweep."""
    x_0 = pictures(8)
    runtime = Runtime(torch.device("cpu"), precision)
    low = [error.score.double() for error in t_errors(eps_model(unet, runtime), x_0.float(), SCHEDULE, 165, 990)]
    high = [error.score for error in t_errors(as_eps(unet.double()), x_0, SCHEDULE, 165, 990)]
    return [((a - b).abs() / b).max().item() for a, b in zip(low, high, strict=True)]


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-5), ("bf16", 0.25)])  # measured here: 2e-6 and 0.07
def test_precision_at_every_t_sec(tiny_unet: Any, precision: str, bound: float) -> None:
    errors = relative_errors(tiny_unet(), precision)
    assert len(errors) == 6
    assert max(errors) < bound
    assert max(errors) > 0


def test_walks_are_listed_once_step_sizes_first() -> None:
    assert order([330, (0, 495), 165, (0, 165, 990), 330, (0, 495)]) == [165, 330, (0, 165, 990), (0, 495)]


def test_a_classifier_input_that_is_none_names_those_there_are() -> None:
    point: Any = None
    with pytest.raises(ValueError, match="unknown classifier input 'pairs'; accepted: pair, error, both"):
        nn_input(NoiseSchedule.linear(), point, point, "pairs")

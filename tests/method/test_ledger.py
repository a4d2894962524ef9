"""One batch's network evaluations: each made once, whoever asks and in whatever order."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sedid.method.diffusion import NoiseSchedule, trajectory
from sedid.method.ledger import Ledger, reconstruction_path, rehearsal, reverse_path

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = NoiseSchedule.linear()
ABAR = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))


class Network:
    """eps_theta by arithmetic; remembers every point it was asked about."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bytes]] = []

    def __call__(self, x: Tensor, t: int) -> Tensor:
        self.asked.append((t, x.numpy().tobytes()))
        return 0.6 * torch.sin(2 * x.roll(1, -1) + t / 250)


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, 4, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def literal_move(x: Tensor, eps: Tensor, t: int, u: int) -> Tensor:
    f_theta = (x - math.sqrt(1 - ABAR[t]) * eps) / math.sqrt(ABAR[t])
    return math.sqrt(ABAR[u]) * f_theta + math.sqrt(1 - ABAR[u]) * eps


def test_a_trajectory_is_the_engine_s_own_and_no_longer_than_asked() -> None:
    network, x_0 = Network(), pictures(2)
    ledger = Ledger(network, SCHEDULE, x_0)
    assert ledger.evaluations == 0
    near, far = ledger.step(165, 495)
    assert [t for t, _ in network.asked] == [0, 165, 330, 495]
    points = list(trajectory(Network(), x_0, SCHEDULE, 165, 495))
    for found, expected in ((near, points[-2]), (far, points[-1])):
        assert found.t == expected.t
        assert torch.equal(found.x, expected.x)
        assert torch.equal(found.eps, expected.eps)
    ledger.step(165, 330)  # on the way
    assert ledger.evaluations == 4
    ledger.step(165, 660)  # one further
    assert ledger.evaluations == len(network.asked) == 5
    ledger.step(330, 330)  # another trajectory from the same image
    assert [t for t, _ in network.asked[5:]] == [330]


def test_the_way_back_is_a_chain_of_denoise_steps_and_reuses_the_far_end() -> None:
    network, x_0 = Network(), pictures(3)
    ledger = Ledger(network, SCHEDULE, x_0)
    path = reconstruction_path(SCHEDULE, 330, 990)
    assert path == (0, 330, 660, 990, 660, 330, 0)
    found = ledger.image(path)
    assert [t for t, _ in network.asked] == [0, 330, 660, 990, 660, 330]
    x, literal = x_0, Network()
    for t, u in pairwise(path):
        x = literal_move(x, literal(x, t), t, u)
    torch.testing.assert_close(found, x, rtol=1e-9, atol=1e-12)
    ledger.image((*path, *path[1:]))  # reconstructed again, from the reconstruction
    assert [t for t, _ in network.asked[6:]] == [0, 330, 660, 990, 660, 330]


paths = st.lists(st.sampled_from([100, 200, 700]), max_size=4).map(lambda moves: (0, *moves))


@settings(max_examples=40, deadline=None)
@given(st.lists(paths, min_size=1, max_size=6))
def test_the_network_is_asked_once_for_every_beginning_of_every_path(asked: list[tuple[int, ...]]) -> None:
    network = Network()
    ledger = Ledger(network, SCHEDULE, pictures(1))
    for path in asked:
        assert ledger.point(path).t == path[-1]
    beginnings = {path[:end] for path in asked for end in range(1, len(path) + 1)}
    assert ledger.evaluations == len(network.asked) == len(beginnings)


def test_paths_may_be_long() -> None:
    ledger = rehearsal(SCHEDULE)
    ledger.image(reconstruction_path(SCHEDULE, 1, 999))
    assert ledger.evaluations == 2 * 999


def test_a_noised_point_is_named_by_its_timestep_and_its_noise() -> None:
    network, x_0 = Network(), pictures(2)
    drawn = []

    def noise(draw: int) -> Tensor:
        drawn.append(draw)
        return torch.randn(x_0.shape, generator=torch.Generator().manual_seed(draw))

    ledger = Ledger(network, SCHEDULE, x_0, noise)
    eps = ledger.noise(3)
    point = ledger.noised(400, eps, 3)
    assert eps.dtype == x_0.dtype
    torch.testing.assert_close(point.x, math.sqrt(ABAR[400]) * x_0 + math.sqrt(1 - ABAR[400]) * eps)
    assert torch.equal(point.eps, network(point.x, 400))
    assert ledger.noised(400, ledger.noise(3), 3) is point
    assert (ledger.evaluations, drawn) == (1, [3])
    ledger.noised(401, eps, 3)
    ledger.noised(400, ledger.noise(4), 4)
    assert (ledger.evaluations, drawn) == (3, [3, 4])


def test_what_names_no_point_is_refused() -> None:
    ledger = Ledger(Network(), SCHEDULE, pictures(1))
    with pytest.raises(ValueError, match="nearest: 330, 495"):
        ledger.step(165, 400)
    with pytest.raises(ValueError, match="k must be between 1 and 999, not 0"):
        reverse_path(SCHEDULE, 0, 0)
    with pytest.raises(ValueError, match="index 0, not at 165"):
        ledger.point((165, 330))
    with pytest.raises(ValueError, match="between 0 and 999, not 1000"):
        ledger.noised(1000, ledger.x_0, 0)
    with pytest.raises(ValueError, match="a source of it"):
        ledger.noise(0)
    assert ledger.evaluations == 0

"""Every method against its paper's formula, written out naively; what each costs, alone and together."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fakes import make_detector
from torch import Tensor

from sedid.data.datasets import as_model_input
from sedid.method.diffusion import NoiseSchedule
from sedid.method.ledger import Ledger
from sedid.method.methods import (
    HEADS,
    METHODS,
    RESNET,
    THRESHOLD,
    TWO_SIDED,
    costs,
    method_of,
    turned_and_blurred,
    vae_distance,
)
from sedid.progress import finish
from sedid.training.baseline import noise_of, training_losses

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = NoiseSchedule.linear()
ABAR = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
Eps = Callable[[Tensor, int], Tensor]


@pytest.fixture(scope="module")
def eps_theta(tiny_unet: Any) -> Eps:
    """A random U-Net in float64, as it is."""
    unet = tiny_unet(seed=3).double()

    @torch.inference_mode()
    def eps(x: Tensor, t: int) -> Tensor:
        return unet(x, t).sample

    return eps


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def noise(draw: int) -> Tensor:
    """The same for every image, so that a batch can be cut."""
    return torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(draw)).expand(4, -1, -1, -1)


def ledger(eps: Eps, x_0: Tensor) -> Ledger:
    return Ledger(eps, SCHEDULE, x_0, lambda draw: noise(draw)[: len(x_0)])


# The papers' formulas: f_theta in full, the network asked anew at every step, no path, no ledger.


def move(eps: Eps, x: Tensor, t: int, u: int) -> Tensor:
    """A deterministic DDIM step (Song et al. 2020, equation 12 with sigma = 0)."""
    predicted = eps(x, t)
    f_theta = (x - math.sqrt(1 - ABAR[t]) * predicted) / math.sqrt(ABAR[t])
    return math.sqrt(ABAR[u]) * f_theta + math.sqrt(1 - ABAR[u]) * predicted


def inverted(eps: Eps, x: Tensor, k: int, t_sec: int) -> Tensor:
    for t in range(0, t_sec, k):
        x = move(eps, x, t, t + k)
    return x


def reconstructed(eps: Eps, x: Tensor, k: int, t_sec: int) -> Tensor:
    x = inverted(eps, x, k, t_sec)
    for t in range(t_sec, 0, -k):
        x = move(eps, x, t, t - k)
    return x


def step_pair(eps: Eps, x_0: Tensor, k: int, t_sec: int) -> tuple[Tensor, Tensor]:
    """The trajectory's image at T_SEC - k and its round trip."""
    x = inverted(eps, x_0, k, t_sec - k)
    return x, move(eps, move(eps, x, t_sec - k, t_sec), t_sec, t_sec - k)


def literal_stat(eps: Eps, x_0: Tensor, k: int, t_sec: int) -> Tensor:
    x, back = step_pair(eps, x_0, k, t_sec)
    return (((back + 1) / 2 - (x + 1) / 2) ** 2).sum(dim=(1, 2, 3))


def literal_nn(mode: str) -> Callable[..., Tensor]:
    def literal(eps: Eps, x_0: Tensor, k: int, t_sec: int) -> Tensor:
        x, back = step_pair(eps, x_0, k, t_sec)
        return torch.cat({"pair": [x, back], "error": [(back - x) ** 2], "both": [x, back, (back - x) ** 2]}[mode], 1)

    return literal


def literal_secmi_nn(eps: Eps, x_0: Tensor, k: int, t_sec: int) -> Tensor:
    x, back = step_pair(eps, x_0, k, t_sec)
    return abs(back - x)


def literal_loss(eps: Eps, x_0: Tensor, t: int, noises: int) -> Tensor:
    total = torch.zeros(len(x_0), dtype=torch.float64)
    for draw in range(noises):
        z = noise(draw)[: len(x_0)].double()
        total += ((z - eps(math.sqrt(ABAR[t]) * x_0 + math.sqrt(1 - ABAR[t]) * z, t)) ** 2).sum(dim=(1, 2, 3))
    return total / noises


def literal_pia(eps: Eps, x_0: Tensor, t: int, p: int, normalised: bool = False) -> Tensor:
    found = []
    for image in x_0:
        e = eps(image[None], 0)
        if normalised:
            e = e.numel() * e / e.abs().sum() * math.sqrt(2 / math.pi)
        x_t = math.sqrt(ABAR[t]) * image + math.sqrt(1 - ABAR[t]) * e
        found.append(((e - eps(x_t, t)).abs() ** p).sum() ** (1 / p))
    return torch.stack(found)


def literal_dire(eps: Eps, x_0: Tensor, k: int) -> Tensor:
    return abs(x_0 - reconstructed(eps, x_0, k, 999 // k * k))


def literal_did(eps: Eps, x_0: Tensor, k: int) -> Tensor:
    once = reconstructed(eps, x_0, k, 999 // k * k)
    twice = reconstructed(eps, once, k, 999 // k * k)
    return abs(abs(x_0 - once) - abs(once - twice))


def literal_did_step(eps: Eps, x_0: Tensor, k: int, t_sec: int) -> Tensor:
    x, once = step_pair(eps, x_0, k, t_sec)
    twice = move(eps, move(eps, once, t_sec - k, t_sec), t_sec, t_sec - k)
    return abs(abs(x - once) - abs(once - twice)).mean(dim=(1, 2, 3)) / 2


def literal_multi(eps: Eps, x_0: Tensor, ks: tuple[int, ...]) -> Tensor:
    errors = [literal_stat(eps, x_0, k, t_sec) for k in ks for t_sec in range(k, 1000, k)]
    return torch.log(torch.stack(errors, 1))


def literal_debiased(eps: Eps, x_0: Tensor, k: int, t_sec: int) -> Tensor:
    """The copy pixel by pixel: what was the right edge is the top one; then weights 1 2 1 both ways, edges repeated."""
    side, copy = x_0.shape[-1], torch.zeros_like(x_0)
    for row in range(side):
        for column in range(side):
            for down, right in itertools.product((-1, 0, 1), repeat=2):
                from_row, from_column = (min(max(at, 0), side - 1) for at in (row + down, column + right))
                share = (2 - abs(down)) * (2 - abs(right)) / 16
                copy[:, :, row, column] += share * x_0[:, :, from_column, side - 1 - from_row]
    return literal_stat(eps, x_0, k, t_sec) / literal_stat(eps, copy, k, t_sec)


LITERAL: dict[str, Callable[..., Tensor]] = {
    "sedid-stat": literal_stat,
    "sedid-nn-pair": literal_nn("pair"),
    "sedid-nn-error": literal_nn("error"),
    "sedid-nn-both": literal_nn("both"),
    "pixels-nn": lambda eps, x_0: x_0,
    "sedid-multi-lr": literal_multi,
    "sedid-multi-gb": literal_multi,
    "loss": literal_loss,
    "noise-size": lambda eps, x_0: (eps(x_0, 0) ** 2).mean(dim=(1, 2, 3)) ** 0.5,
    "secmi-stat": literal_stat,
    "secmi-nn": literal_secmi_nn,
    "pia": literal_pia,
    "pian": lambda eps, x_0, t, p: literal_pia(eps, x_0, t, p, normalised=True),
    "dire-stat": lambda eps, x_0, k: literal_dire(eps, x_0, k).mean(dim=(1, 2, 3)) / 2,
    "dire-nn": literal_dire,
    "did": lambda eps, x_0, k: literal_did(eps, x_0, k).mean(dim=(1, 2, 3)) / 2,
    "did-nn": literal_did,
    "debiased": literal_debiased,
    "sedid-odd": literal_stat,
    "did-step": literal_did_step,
}
VARIANTS = (
    *METHODS,
    "sedid-stat k=55 t_sec=55",
    "loss t=0 noises=3",
    "pia t=999 p=1",
    "pian t=0 p=2",
    "dire-stat k=999",
    "did-step k=330 t_sec=330",
    "debiased k=495 t_sec=990",
    "sedid-multi-lr ks=495",
)


@pytest.mark.parametrize("name", VARIANTS)
def test_each_method_is_its_formula(eps_theta: Eps, name: str) -> None:
    method, x_0 = method_of(name), pictures(3)
    found = method.measure(ledger(eps_theta, x_0))
    expected = LITERAL[name.split()[0]](eps_theta, x_0, **method.parameters)
    assert found.dtype == torch.float64
    assert found.abs().min(dim=0).values.max() > 0  # the comparison is about something
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_the_head_gets_the_shape_it_takes(eps_theta: Eps, name: str) -> None:
    method = METHODS[name]
    shape = method.measure(ledger(eps_theta, pictures(2))).shape
    assert method.head in HEADS
    if method.head in (THRESHOLD, TWO_SIDED):
        assert shape == (2,)
    elif method.head == RESNET:
        assert shape == (2, {"pair": 6, "both": 9}.get(name.split("-")[-1], 3), 8, 8)
    else:
        assert shape == (2, 9 + 6 + 3)


def test_the_copy_keeps_every_mean_and_nothing_of_the_finest_detail() -> None:
    x = pictures(2)
    torch.testing.assert_close(turned_and_blurred(x).mean(dim=(2, 3)), x.mean(dim=(2, 3)))
    even = torch.arange(8) % 2 * 2.0 - 1
    chequered = (even[:, None] * even).expand(1, 3, 8, 8).double()
    assert turned_and_blurred(chequered)[:, :, 1:-1, 1:-1].abs().max() == 0


def test_what_is_its_own_copy_has_nothing_left_of_its_content(eps_theta: Eps) -> None:
    flat = torch.tensor((-0.7, 0.1, 0.9), dtype=torch.float64).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    found = method_of("debiased").measure(ledger(eps_theta, flat))
    torch.testing.assert_close(found, torch.ones(3, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("k", "t_sec", "points"), [("165", 990, 7), ("0+495+825+990", 990, 4)])
def test_a_debiased_error_costs_twice_the_walk_and_shares_it(eps_theta: Eps, k: str, t_sec: int, points: int) -> None:
    plain, fair = (method_of(f"{name} k={k} t_sec={t_sec}") for name in ("sedid-stat", "debiased"))
    assert costs([fair], SCHEDULE) == [2 * points]
    assert costs([plain, fair, fair], SCHEDULE) == [points, points, 0]


class Counting:
    """The U-Net, and what it was asked about."""

    def __init__(self, eps: Eps) -> None:
        self.eps, self.asked = eps, Counter[tuple[int, bytes]]()

    def __call__(self, x: Tensor, t: int) -> Tensor:
        self.asked[t, x.numpy().tobytes()] += 1
        return self.eps(x, t)


def test_together_they_cost_their_union_and_alone_what_they_say(eps_theta: Eps) -> None:
    methods, x_0 = [method_of(name) for name in VARIANTS], pictures(1)
    union: set[tuple[int, bytes]] = set()
    for method in methods:
        alone = Counting(eps_theta)
        method.measure(ledger(alone, x_0))
        assert method.cost(SCHEDULE) == alone.asked.total() == len(alone.asked)  # none twice
        union |= alone.asked.keys()
    together = Counting(eps_theta)
    shared = ledger(together, x_0)
    added = []
    for method in methods:
        before = shared.evaluations
        method.measure(shared)
        added.append(shared.evaluations - before)
    assert together.asked.keys() == union
    assert together.asked.total() == len(union) == shared.evaluations == sum(costs(methods, SCHEDULE))
    assert costs(methods, SCHEDULE) == added
    assert sum(method.cost(SCHEDULE) for method in methods) > 2 * len(union)


def test_costs_in_numbers() -> None:
    """For k = 165, N = 6 steps: a step at 495, the whole reconstruction 2N, twice 4N."""
    alone = {name: method.cost(SCHEDULE) for name, method in METHODS.items()}
    assert alone["sedid-stat"] == alone["sedid-nn-both"] == 4
    assert alone["secmi-stat"] == 11
    assert (alone["loss"], alone["noise-size"], alone["pia"], alone["pian"]) == (1, 1, 2, 2)
    assert (alone["dire-stat"], alone["did"], alone["did-step"]) == (12, 24, 6)
    assert method_of("sedid-multi-gb ks=165").cost(SCHEDULE) == method_of("sedid-stat t_sec=990").cost(SCHEDULE) == 7


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_of_one_gives_what_a_batch_of_many_gives(eps_theta: Eps, name: str) -> None:
    x_0 = pictures(3)
    whole = METHODS[name].measure(ledger(eps_theta, x_0))
    for i in range(3):
        one = METHODS[name].measure(ledger(eps_theta, x_0[i : i + 1]))[0]
        torch.testing.assert_close(one, whole[i], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "name", [name for name in METHODS if not name.startswith(("loss", "noise-size", "sedid-multi", "pian", "pixels"))]
)
def test_a_network_that_never_changes_its_mind_makes_no_error(name: str) -> None:
    said = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = METHODS[name].measure(ledger(lambda x, t: said.expand_as(x), pictures(2)))
    if name in ("sedid-nn-pair", "sedid-nn-both"):
        found = found[:, :3] - found[:, 3:6]
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-9)


def test_a_network_that_says_nothing_gives_finite_numbers() -> None:
    for name in ("pian", "sedid-multi-lr"):
        found = METHODS[name].measure(ledger(lambda x, t: torch.zeros_like(x), pictures(2)))
        assert torch.isfinite(found).all()


def test_the_loss_is_that_of_the_existing_baseline() -> None:
    detector = make_detector()
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = finish(training_losses(detector, images, 350, 2, seed=5))
    x_0 = as_model_input(images)
    found = method_of("loss t=350 noises=2").measure(
        Ledger(
            detector.eps_model,
            detector.schedule,
            x_0,
            lambda draw: torch.stack([noise_of(5, i, draw, x_0.shape[1:]) for i in range(3)]),
        )
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_parameters_by_name() -> None:
    plain = method_of("sedid-stat")
    assert plain == METHODS["sedid-stat"]
    changed = method_of("sedid-stat   t_sec=330")
    assert (changed.name, changed.parameters) == ("sedid-stat t_sec=330", {"k": 165, "t_sec": 330})
    kept = changed.defaulting("elsewhere", k=55, t_sec=550, noises=3)
    assert kept.parameters == {"k": 55, "t_sec": 330}
    assert kept.origins == {"t_sec": "name", "k": "elsewhere"}
    assert method_of("sedid-multi-lr ks=110+165").parameters == {"ks": (110, 165)}
    assert METHODS["sedid-stat"].parameters == {"k": 165, "t_sec": 495}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sedid", "unknown method 'sedid'; accepted: sedid-stat, sedid-nn-pair, .*did-step"),
        ("", "unknown method ''"),
        ("pia tt=3", "pia has an unknown name 'tt'; did you mean 't'"),
        ("pia t", "come parameters key=value, not 't'"),
        ("pia t=3.5", "t of pia must be a whole number, not '3.5'"),
        ("sedid-multi-lr ks=110;165", "ks of sedid-multi-lr must be whole numbers joined by"),
    ],
)
def test_what_names_no_method_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        method_of(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sedid-stat t_sec=400", "sedid-stat t_sec=400: T_SEC must be a multiple of k"),
        ("dire-stat k=1000", "k must be between 1 and 999, not 1000"),
        ("did k=0", "k must be between 1 and 999, not 0"),
        ("sedid-multi-gb ks=165+0", "k must be between 1 and 999, not 0"),
        ("pia t=1000", "t must be between 0 and 999, not 1000"),
        ("pian p=0", "p must be at least 1, not 0"),
        ("loss noises=0", "at least 1 noise an image, not 0"),
    ],
)
def test_parameters_outside_the_schedule_are_refused_before_anything_runs(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        costs([METHODS["sedid-stat"], method_of(text)], SCHEDULE)


def test_the_distance_of_a_vae_is_on_the_unit_scale() -> None:
    """From -1 to 1 are 2 on the model's scale, and 1 on the one that is written."""
    white, black = torch.ones(2, 3, 4, 4), -torch.ones(2, 3, 4, 4)
    ledger: Any = SimpleNamespace(reconstructed=lambda: (white, torch.stack([black[0], white[1]])))
    assert vae_distance(ledger).tolist() == [1, 0]

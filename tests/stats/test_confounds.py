"""The controls on simulated t-errors: what a statistic accounts for, what is left, and what is said of it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.stats.confounds import (
    LEAST,
    Estimate,
    HeldEqual,
    auc_of_smaller,
    closest,
    finding,
    halves,
    held_equal,
    spearman,
    verdict_on,
)


def simulated(effect: float, seed: int = 0, count: int = 600) -> tuple[np.ndarray, ...]:
    """t-errors that follow the first of three statistics, which differs between the classes; `effect` is what the class
    itself adds to log E of generated images."""
    rng = np.random.default_rng(seed)
    of_real = rng.normal(0, 1, (count, 3))
    of_generated = rng.normal(0, 1, (count, 3)) - [1.2, 0, 0]
    real = np.exp(0.8 * of_real[:, 0] + rng.normal(0, 0.3, count))
    generated = np.exp(0.8 * of_generated[:, 0] + effect + rng.normal(0, 0.3, count))
    return real, generated, of_real, of_generated


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_confound_is_removed(seed: int) -> None:
    """What the statistic alone brought about is gone; as measured it is a strong separation."""
    found = held_equal(*simulated(0.0, seed), seed)
    assert found is not None
    assert found.before.low > 0.7
    assert abs(found.after.value - 0.5) < 0.07


@pytest.mark.parametrize("effect", [-0.5, 0.5])
def test_a_planted_effect_is_recovered_behind_a_confound(effect: float) -> None:
    """The residual AUC is that of two normal distributions `effect` apart; the confound hides or turns it before."""
    found = held_equal(*simulated(effect))
    assert found is not None
    expected = (1 + math.erf(-effect / 0.3 / 2)) / 2
    assert found.after.low - 0.03 < expected < found.after.high + 0.03
    assert verdict_on(found.after) == ("smaller" if effect < 0 else "larger")
    assert verdict_on(found.before) == "smaller"  # whichever way the class itself works


def test_an_effect_without_a_confound_stays_whole() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (2, 600, 3))
    real, generated = np.exp(rng.normal(0, 0.3, 600)), np.exp(rng.normal(-0.3, 0.3, 600))
    found = held_equal(real, generated, *features)
    assert found is not None
    assert found.after.value == pytest.approx(found.before.value, abs=0.02)


def test_the_residuals_are_those_of_images_not_fitted_on() -> None:
    """Changing the measured half's t-errors moves neither slopes nor the other residuals: they just move with them."""
    real, generated, of_real, of_generated = simulated(0.5)
    rest = halves(len(real), 0)[1]
    moved = real.copy()
    moved[rest] *= 1e6
    found = held_equal(moved, generated, of_real, of_generated)
    assert found is not None
    assert found.after.value == found.before.value == 1.0


def test_too_few_images_are_not_adjusted() -> None:
    real, generated, of_real, of_generated = simulated(0.5, count=LEAST)
    assert held_equal(real[1:], generated, of_real[1:], of_generated) is None
    assert held_equal(real, generated, of_real, of_generated) is not None


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 80), seed=st.integers(0, 100))
def test_halves_are_disjoint_and_whole(count: int, seed: int) -> None:
    one, two = halves(count, seed)
    assert sorted([*one, *two]) == list(range(count))
    assert len(two) - len(one) in (0, 1)


def test_rank_correlation_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    y = x + rng.normal(size=50)
    found = spearman(x, np.exp(y))
    assert found is not None
    ranks = [np.argsort(np.argsort(values)) for values in (x, y)]
    rho = float(np.corrcoef(*ranks)[0, 1])
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / 47)
    expected = (rho, math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half))
    assert (found.value, found.low, found.high) == pytest.approx(expected)
    assert spearman(x, np.ones(50)) is None
    assert spearman(x[:9], y[:9]) is None


def test_an_interval_covers_the_rank_correlation_it_is_of() -> None:
    """Of 200 samples of a bivariate normal distribution, about 95 % (rho_S = 6/pi asin(r/2))."""
    rng = np.random.default_rng(3)
    truth, covered = 6 / math.pi * math.asin(0.6 / 2), 0
    for _ in range(200):
        x = rng.normal(size=80)
        found = spearman(x, 0.6 * x + 0.8 * rng.normal(size=80))
        assert found is not None
        covered += found.low <= truth <= found.high
    assert 180 <= covered <= 199


def test_the_sentence_says_what_the_figures_say() -> None:
    rng = np.random.default_rng(0)
    small, large = rng.lognormal(0, 1, 200), rng.lognormal(1, 1, 200)
    up, even = auc_of_smaller(large, small), auc_of_smaller(small, small)
    weak, strong = Estimate(0.1, 0.0, 0.2), Estimate(-0.7, -0.8, -0.6)
    followed: dict = {"a": {"real": weak, "generated": strong}, "b": {"real": strong, "generated": strong}}
    parts = (825, auc_of_smaller(small, large), followed, up)
    names = ({"a": "first", "b": "second"}, {"a": even, "b": up})
    said = finding(*parts, HeldEqual(up, even), *names)
    assert said.startswith(
        "T_SEC 825: generated images have the larger t-error, the paper's polarity turned round (AUC 0."
    )
    assert "follows second most closely (rank correlation -0.70 in reals" in said
    assert f"by itself gives AUC {up.value:.3f}" in said
    assert "with the same resize and JPEG for both, generated is smaller" in said
    assert "with the statistics held equal, no difference is shown (0.500" in said
    assert "held equal" not in finding(*parts, None, *names)
    assert closest(followed) == ("b", 0.7)
    assert closest({"a": {"real": None, "generated": strong}}) is None

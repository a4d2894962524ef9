"""Intervals and tests against known truths and literal formulas."""

from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.metrics import measure
from sedid.statistics import METRICS, Curve, delong, intervals, midranks, paired_bootstrap

PHI = NormalDist().cdf
seeds = st.integers(0, 2**32 - 1)


def scores(rng: np.random.Generator, reals: int, fakes: int, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes; with `levels` most scores are tied."""
    real, generated = rng.normal(0, 1, reals), rng.normal(0.8, 1.3, fakes)
    return (np.round(real * levels), np.round(generated * levels)) if levels else (real, generated)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 1, 3]))
def test_weights_mean_what_copies_of_images_mean(seed: int, reals: int, fakes: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    real, generated = scores(rng, reals, fakes, levels)
    counts = [rng.multinomial(n, np.full(n, 1 / n), 3) for n in (reals, fakes)]
    threshold = float(rng.normal())
    found = Curve(real, generated).metrics(*counts, threshold)
    for row in range(3):
        copies = np.repeat(real, counts[0][row]), np.repeat(generated, counts[1][row])
        expected = measure(*copies, threshold)
        for name in ("auc", "best_acc", "acc"):
            assert found[name][row] == pytest.approx(getattr(expected, name), abs=1e-12)


def test_low_false_positive_rates_are_weighted_too() -> None:
    rng = np.random.default_rng(0)
    real, generated = scores(rng, 1200, 300)
    counts = [rng.multinomial(n, np.full(n, 1 / n), 4) for n in (1200, 300)]
    found = Curve(real, generated).metrics(*counts)
    for row in range(4):
        expected = measure(np.repeat(real, counts[0][row]), np.repeat(generated, counts[1][row]))
        assert (found["tpr_at_1"][row], found["tpr_at_01"][row]) == (expected.tpr_at_1, expected.tpr_at_01)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Binormal scores one standard deviation apart: AUC = Phi(1 / sqrt 2), accuracy at the middle = Phi(1 / 2)."""
    repeats, level = 150, 0.9
    truth = {"auc": PHI(0.5**0.5), "acc": PHI(0.5)}
    hits = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        found = intervals(rng.normal(0, 1, 90), rng.normal(1, 1, 70), 0.5, resamples=200, level=level, seed=seed)
        for name, value in truth.items():
            interval = found[name]
            assert interval is not None
            hits[name] += interval[0] <= value <= interval[1]
    tolerance = 3 * (level * (1 - level) / repeats) ** 0.5  # three standard deviations of the binomial share
    for count in hits.values():
        assert abs(count / repeats - level) <= tolerance


def test_more_certainty_needs_wider_intervals_and_more_images_narrower_ones() -> None:
    rng = np.random.default_rng(1)
    real, generated = scores(rng, 200, 150)

    def width(real: np.ndarray, generated: np.ndarray, level: float) -> float:
        low, high = intervals(real, generated, resamples=300, level=level)["auc"] or (0, 0)
        return high - low

    assert width(real, generated, 0.5) < width(real, generated, 0.95)
    assert width(np.tile(real, 16), np.tile(generated, 16), 0.95) == pytest.approx(
        width(real, generated, 0.95) / 4, rel=0.25
    )


def test_what_cannot_be_measured_has_no_interval() -> None:
    rng = np.random.default_rng(2)
    found = intervals(*scores(rng, 300, 50), resamples=20)
    assert set(found) == set(METRICS)
    assert (found["acc"], found["tpr_at_01"]) == (None, None)
    assert found["tpr_at_1"] is not None
    assert intervals(np.zeros(3), np.ones(2), 0.5, resamples=20) == {
        "auc": (1, 1), "best_acc": (1, 1), "acc": (1, 1), "tpr_at_1": None, "tpr_at_01": None,
    }  # fmt: skip
    assert intervals(np.ones(4), np.ones(5), resamples=20)["auc"] == (0.5, 0.5)


def test_the_seed_decides() -> None:
    real, generated = scores(np.random.default_rng(3), 60, 60)
    one, same, other = (intervals(real, generated, resamples=100, seed=seed) for seed in (4, 4, 5))
    assert one == same != other


def literal_delong(scores: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """AUC difference and its variance, by the definition: every pair of images (DeLong et al. 1988, section 2)."""
    kernels = []
    for real, generated in scores:
        kernel = np.empty((len(generated), len(real)))
        for i, j in product(range(len(generated)), range(len(real))):
            kernel[i, j] = 1.0 if generated[i] > real[j] else 0.5 if generated[i] == real[j] else 0.0
        kernels.append(kernel)
    s_10 = np.cov([kernel.mean(axis=1) for kernel in kernels]) / kernels[0].shape[0]
    s_01 = np.cov([kernel.mean(axis=0) for kernel in kernels]) / kernels[0].shape[1]
    s = s_10 + s_01
    return float(kernels[0].mean() - kernels[1].mean()), float(s[0, 0] + s[1, 1] - 2 * s[0, 1])


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 15), st.integers(2, 15), st.sampled_from([0, 1]))
def test_delong_is_the_definition(seed: int, reals: int, fakes: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = scores(rng, reals, fakes, levels), scores(rng, reals, fakes, levels)
    found = delong(*a, *b)
    difference, variance = literal_delong([a, b])
    assert found.difference == pytest.approx(difference, abs=1e-12)
    assert found.difference == pytest.approx(measure(*a).auc - measure(*b).auc, abs=1e-12)
    assert found.high - found.difference == pytest.approx(NormalDist().inv_cdf(0.975) * variance**0.5, abs=1e-9)
    if variance > 1e-12:
        assert found.p_value == pytest.approx(2 * (1 - PHI(abs(difference) / variance**0.5)), abs=1e-9)


def correlated(rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    """Two methods of equal worth with a shared part."""
    truth = np.repeat([0.0, 1.0], count)
    shared = truth + rng.normal(0, 0.7, 2 * count)
    a, b = (shared + rng.normal(0, 0.7, 2 * count) for _ in range(2))
    return a[:count], a[count:], b[:count], b[count:]


def test_delong_agrees_with_the_bootstrap() -> None:
    paired = correlated(np.random.default_rng(6), 300)
    exact, drawn = delong(*paired), paired_bootstrap(*paired, resamples=1000)
    assert exact.difference == pytest.approx(drawn.difference, abs=1e-12)
    assert exact.high - exact.low == pytest.approx(drawn.high - drawn.low, rel=0.15)
    assert exact.p_value == pytest.approx(drawn.p_value, abs=0.06)


def test_equal_methods_are_told_apart_as_rarely_as_the_p_value_says() -> None:
    repeats = 300
    rejected = sum(delong(*correlated(np.random.default_rng(seed), 60)).p_value < 0.1 for seed in range(repeats))
    assert abs(rejected / repeats - 0.1) <= 3 * (0.1 * 0.9 / repeats) ** 0.5


def test_pairing_tells_what_separate_intervals_cannot() -> None:
    rng = np.random.default_rng(7)
    real, generated = rng.normal(0, 1, 800), rng.normal(1, 1, 800)
    worse = real + rng.normal(0, 0.5, 800), generated + rng.normal(0, 0.5, 800)
    assert delong(real, generated, *worse).p_value < 0.01
    ours, theirs = (intervals(*one, resamples=200)["auc"] or (0, 0) for one in ((real, generated), worse))
    assert ours[0] < theirs[1]


@pytest.mark.parametrize("levels", [0, 1])
def test_the_same_order_of_images_is_no_difference(levels: int) -> None:
    one = scores(np.random.default_rng(8), 50, 40, levels)
    for other in (one, tuple(np.exp(part) for part in one)):
        for found in (delong(*one, *other), paired_bootstrap(*one, *other, resamples=50)):
            assert (found.low, found.high, found.p_value) == (0, 0, 1)
            assert found.difference == pytest.approx(0, abs=1e-15)


def test_a_perfect_method_against_its_inverse_is_certain() -> None:
    apart = np.zeros(5), np.ones(5)
    assert delong(*apart, *apart[::-1]).p_value == 0
    assert delong(*apart, *apart[::-1]).difference == 1


def test_midranks_share() -> None:
    assert midranks(np.array([3.0, 1.0, 3.0, 2.0, 3.0])).tolist() == [4, 1, 4, 2, 4]


def test_what_cannot_be_compared_is_refused() -> None:
    a, b = np.arange(5.0), np.arange(6.0)
    with pytest.raises(ValueError, match="same images"):
        delong(a, b, b, b)
    with pytest.raises(ValueError, match="two images"):
        delong(a[:1], b, a[:1], b)
    with pytest.raises(ValueError, match="not finite"):
        delong(a, b, a, b * np.nan)
    with pytest.raises(ValueError, match="accepted: auc"):
        paired_bootstrap(a, b, a, b, "acc")
    with pytest.raises(ValueError, match="cannot resolve"):
        paired_bootstrap(a, b, a, b, "tpr_at_1")
    with pytest.raises(ValueError, match="both classes"):
        intervals(a[:0], b)
    with pytest.raises(ValueError, match="level"):
        intervals(a, b, level=95)
    with pytest.raises(ValueError, match="resamples"):
        intervals(a, b, resamples=1)

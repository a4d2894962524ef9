"""Intervals and tests against known truths and literal formulas."""

from collections.abc import Callable
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.stats.intervals import (
    BUDGETS,
    METRICS,
    Curve,
    auc_interval,
    bootstrap_counts,
    delong,
    intervals,
    placements,
    share_interval,
    tpr_interval,
)
from sedid.stats.metrics import measure

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
    found = Curve(real, generated).auc(*counts)
    for row in range(3):
        copies = np.repeat(real, counts[0][row]), np.repeat(generated, counts[1][row])
        assert found[row] == pytest.approx(measure(*copies).auc, abs=1e-12)


Draw = Callable[[np.random.Generator, int], np.ndarray]
"""Images of one class, by the generator and how many."""


def normal(gap: float, spread: float = 1.0) -> Draw:
    return lambda rng, count: rng.normal(gap, spread, count)


def mostly_apart(missed: float) -> Draw:
    """Far above the reals, but for a share that is far below them."""
    return lambda rng, count: np.where(rng.random(count) < missed, -50, 50) + rng.normal(0, 1, count)


def gap(auc: float, spread: float = 1.0) -> float:
    """Where the generated images' mean lies, of N(0, 1) against N(gap, spread^2)."""
    return NormalDist().inv_cdf(auc) * (1 + spread**2) ** 0.5


def covered(truth: float, interval: Callable[[np.random.Generator], tuple[float, float] | None], repeats: int) -> float:
    """How often an interval holds the truth."""
    found = [interval(np.random.default_rng([7, repeat])) for repeat in range(repeats)]
    return float(np.mean([ends is not None and ends[0] <= truth <= ends[1] for ends in found]))


@pytest.mark.parametrize(
    ("auc", "reals", "fakes", "draw"),
    [
        *((auc, 2000, 20, normal(gap(auc))) for auc in (0.7, 0.9, 0.97)),  # the bootstrap: 0.885
        *((auc, 500, 30, normal(gap(auc, 0.5), 0.5)) for auc in (0.97,)),
        *((auc, 20, 20, normal(gap(auc, 2.0), 2.0)) for auc in (0.5, 0.9, 0.99)),
        *((auc, 50, 50, normal(gap(auc))) for auc in (0.5, 0.99)),
        *((auc, 100, 100, normal(gap(auc, 0.5), 0.5)) for auc in (0.7, 0.97, 0.998)),
        *((1 - missed, 50, 50, mostly_apart(missed)) for missed in (0.01, 0.05)),
        *((1 - missed, 500, 20, mostly_apart(missed)) for missed in (0.01, 0.05)),
    ],
)
def test_the_interval_of_an_auc_covers_it(auc: float, reals: int, fakes: int, draw: Draw) -> None:
    def interval(rng: np.random.Generator) -> tuple[float, float]:
        return auc_interval(rng.normal(0, 1, reals), draw(rng, fakes))

    assert covered(auc, interval, 300) >= 0.93


@pytest.mark.parametrize(("reals", "fakes"), [(20, 20), (200, 40), (300, 300)])
@pytest.mark.parametrize("spread", [0.8, 3.0])
def test_the_interval_of_an_accuracy_covers_it(reals: int, fakes: int, spread: float) -> None:
    """At a threshold in the middle, whether or not it hardly errs."""
    truth = PHI(spread / 2)

    def interval(rng: np.random.Generator) -> tuple[float, float]:
        real, generated = rng.normal(0, 1, reals), rng.normal(spread, 1, fakes)
        return auc_interval(real >= spread / 2, generated >= spread / 2, ends=(0, 1))

    assert covered(truth, interval, 300) >= 0.93


@pytest.mark.parametrize(("metric", "reals"), [("tpr_at_1", 400), ("tpr_at_1", 2000), ("tpr_at_01", 4000)])
@pytest.mark.parametrize("auc", [0.7, 0.9, 0.99])
def test_the_interval_of_a_tpr_covers_that_of_all_images(metric: str, reals: int, auc: float) -> None:
    """The target is the TPR at the threshold that ALL reals pass at the budget, not the sample's own."""
    budget = BUDGETS[metric]
    truth = 1 - PHI(NormalDist().inv_cdf(1 - budget) - gap(auc))

    def interval(rng: np.random.Generator) -> tuple[float, float] | None:
        return tpr_interval(rng.normal(0, 1, reals), rng.normal(gap(auc), 1, 150), budget)

    assert covered(truth, interval, 300) >= 0.93


def test_a_threshold_that_the_reals_cannot_bound_gives_no_interval() -> None:
    rng = np.random.default_rng(0)
    real, generated = scores(rng, 2000, 200)
    found = intervals(real, generated)  # two reals above the 0.1 % threshold, perhaps none
    assert measure(real, generated).tpr_at_01 is not None
    assert found["tpr_at_01"] is None
    assert found["tpr_at_1"] is not None
    assert intervals(real[:368], generated)["tpr_at_1"] is not None
    assert intervals(real[:367], generated)["tpr_at_1"] is None  # 0.99 ** 367 > 0.025


def test_classes_that_do_not_mix_are_no_certainty() -> None:
    """About what the rule of three leaves open: 3 / 20 and 3 / 50 of the images may be missed."""
    for count, open_ in ((20, 0.15), (50, 0.06), (2000, 0.0015)):
        real, generated = np.arange(count, dtype=float), np.arange(count, dtype=float) + count
        found = intervals(real, generated, count - 0.5)
        for name in ("auc", "acc"):
            interval = found[name]
            assert interval is not None
            assert interval[1] == 1
            assert 0.7 * open_ < 1 - interval[0] < 1.6 * open_
        assert "best_acc" not in found  # the maximum of many has none


def test_an_accuracy_is_the_auc_of_its_calls() -> None:
    real, generated = scores(np.random.default_rng(1), 300, 200)
    calls = [(part >= 0.5).astype(float) for part in (real, generated)]
    assert measure(*calls).auc == pytest.approx(measure(real, generated, 0.5).acc)
    assert intervals(real, generated, 0.5)["acc"] == auc_interval(*calls, ends=(0, 1))


@pytest.mark.parametrize("count", [1, 7, 40])
def test_the_interval_of_a_share_is_the_exact_one(count: int) -> None:
    from scipy.stats import binomtest

    for hits in range(count + 1):
        expected = binomtest(hits, count).proportion_ci(0.95, method="exact")
        assert share_interval(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_a_small_share_is_covered() -> None:
    """Wilson's interval holds 0.0018 of 100 images in 84 % of the samples."""
    rng, truth = np.random.default_rng(0), 0.0018
    ends = np.array(share_interval(rng.binomial(100, truth, 2000) / 100, np.full(2000, 100)))
    assert np.mean((ends[0] <= truth) & (truth <= ends[1])) >= 0.93


def test_more_certainty_needs_wider_intervals_and_more_images_narrower_ones() -> None:
    rng = np.random.default_rng(1)
    real, generated = scores(rng, 200, 150)

    def width(real: np.ndarray, generated: np.ndarray, level: float) -> float:
        low, high = intervals(real, generated, level=level)["auc"] or (0, 0)
        return high - low

    assert width(real, generated, 0.5) < width(real, generated, 0.95)
    assert width(np.tile(real, 16), np.tile(generated, 16), 0.95) == pytest.approx(
        width(real, generated, 0.95) / 4, rel=0.25
    )


def test_what_cannot_be_measured_has_no_interval() -> None:
    rng = np.random.default_rng(2)
    found = intervals(*scores(rng, 400, 50))
    assert set(found) == set(METRICS)
    assert (found["acc"], found["tpr_at_01"]) == (None, None)
    assert found["tpr_at_1"] is not None
    low, high = intervals(np.ones(4), np.ones(5))["auc"] or (0, 0)
    assert low < 0.5 < high


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
    real_a, generated_a, real_b, generated_b = paired = correlated(np.random.default_rng(6), 300)
    exact, curves = delong(*paired), (Curve(real_a, generated_a), Curve(real_b, generated_b))
    drawn = [[curve.auc(*counts) for curve in curves] for counts in bootstrap_counts(300, 300, 1000, 0)]
    difference = np.concatenate([one - two for one, two in drawn])
    assert exact.difference == pytest.approx(measure(*paired[:2]).auc - measure(*paired[2:]).auc, abs=1e-12)
    assert exact.high - exact.low == pytest.approx(float(np.ptp(np.quantile(difference, (0.025, 0.975)))), rel=0.15)


def test_equal_methods_are_told_apart_as_rarely_as_the_p_value_says() -> None:
    repeats = 300
    rejected = sum(delong(*correlated(np.random.default_rng(seed), 60)).p_value < 0.1 for seed in range(repeats))
    assert abs(rejected / repeats - 0.1) <= 3 * (0.1 * 0.9 / repeats) ** 0.5


def test_pairing_tells_what_separate_intervals_cannot() -> None:
    rng = np.random.default_rng(7)
    real, generated = rng.normal(0, 1, 800), rng.normal(1, 1, 800)
    worse = real + rng.normal(0, 0.5, 800), generated + rng.normal(0, 0.5, 800)
    assert delong(real, generated, *worse).p_value < 0.01
    ours, theirs = (intervals(*one)["auc"] or (0, 0) for one in ((real, generated), worse))
    assert ours[0] < theirs[1]


@pytest.mark.parametrize("levels", [0, 1])
def test_the_same_order_of_images_is_no_difference(levels: int) -> None:
    one = scores(np.random.default_rng(8), 50, 40, levels)
    for other in (one, tuple(np.exp(part) for part in one)):
        found = delong(*one, *other)
        assert (found.low, found.high, found.p_value) == (0, 0, 1)
        assert found.difference == pytest.approx(0, abs=1e-15)


def test_a_perfect_method_against_its_inverse_is_certain() -> None:
    apart = np.zeros(5), np.ones(5)
    assert delong(*apart, *apart[::-1]).p_value == 0
    assert delong(*apart, *apart[::-1]).difference == 1


def test_a_tie_is_half_a_win() -> None:
    of_generated, of_real = placements(np.array([3.0, 1.0, 3.0]), np.array([3.0, 2.0]))
    assert of_generated.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert of_real.tolist() == [0.25, 1, 0.25]


def test_what_cannot_be_compared_is_refused() -> None:
    a, b = np.arange(5.0), np.arange(6.0)
    with pytest.raises(ValueError, match="same images"):
        delong(a, b, b, b)
    with pytest.raises(ValueError, match="two images"):
        delong(a[:1], b, a[:1], b)
    with pytest.raises(ValueError, match="not finite"):
        delong(a, b, a, b * np.nan)
    with pytest.raises(ValueError, match="both classes"):
        intervals(a[:0], b)
    with pytest.raises(ValueError, match="level"):
        intervals(a, b, level=95)
    with pytest.raises(ValueError, match="resamples"):
        list(bootstrap_counts(5, 6, 1, 0))

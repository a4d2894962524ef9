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
    matched,
    mean_ratio,
    predictors,
    spearman,
    verdict_on,
)
from sedid.stats.intervals import auc_interval


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


def test_what_is_held_equal_is_a_regression_with_an_intercept_for_each_class() -> None:
    """Written out: a column of ones a class, fitted on one half, taken off the other without the intercepts."""
    rng = np.random.default_rng(5)
    of_classes = [rng.normal(i, 1 + i, (count, 2)) for i, count in enumerate((LEAST, LEAST + 7))]
    of_classes[0][0] = 40  # an outlier, which is clipped
    errors = [np.exp(features @ [0.5, -0.2] + rng.normal(0, 0.3, len(features))) for features in of_classes]
    errors[1][3] = 0.0
    found = held_equal(*errors, *of_classes, seed=3)
    split = [halves(len(values), 3 + i) for i, values in enumerate(errors)]
    fit = np.concatenate([features[half] for features, (half, _) in zip(of_classes, split, strict=True)])
    rows, wanted, left, plain = [], [], [], []
    for i, (values, features, (half, rest)) in enumerate(zip(errors, of_classes, split, strict=True)):
        scaled = np.clip((features - fit.mean(0)) / fit.std(0), -5, 5)
        inputs, logs = np.hstack([scaled, scaled**2]), np.log(np.maximum(values, 1e-30))
        rows += [np.append(row, [i == 0, i == 1]) for row in inputs[half]]
        wanted += list(logs[half])
        left.append((inputs[rest], logs[rest]))
        plain.append(logs[rest])
    slopes = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0][:4]
    residuals = [logs - inputs @ slopes for inputs, logs in left]
    assert found == HeldEqual(auc_of_smaller(*plain), auc_of_smaller(*residuals))
    assert [len(values) for values in plain] == [LEAST // 2, (LEAST + 8) // 2]


def test_predictors_are_scaled_clipped_and_squared() -> None:
    fitted_on = np.array([[0.0, 7.0], [4.0, 7.0]])  # mean 2 and 7, deviation 2 and 0
    found = predictors(np.array([[4.0, 7.0], [0.0, 8.0], [100.0, 6.0]]), fitted_on)
    np.testing.assert_allclose(found, [[1, 0, 1, 0], [-1, 5, 1, 25], [5, -5, 25, 25]], atol=1e-9)


def test_halves_are_drawn_anew_by_the_seed_and_ascend() -> None:
    drawn = np.random.default_rng(7).permutation(9)
    one, two = halves(9, 7)
    assert (one.tolist(), two.tolist()) == (sorted(drawn[:4]), sorted(drawn[4:]))


def test_an_auc_of_smaller_values_by_hand() -> None:
    real, generated = np.array([2.0, 3.0, 5.0]), np.array([1.0, 2.0])
    found = auc_of_smaller(real, generated)
    assert found.value == pytest.approx(5.5 / 6)  # of six pairs one is a tie
    assert (found.low, found.high) == auc_interval(-real, -generated)
    assert found.low < found.value


def test_the_mean_of_ratios_is_geometric() -> None:
    """Of 2 and 8 it is 4; Student's t at one degree of freedom is 12.706, the deviation of the logarithms log 4 / sqrt 2."""
    found = mean_ratio(np.log([2.0, 8.0]))
    assert found.value == pytest.approx(4)
    assert found.low == pytest.approx(4 / 2**12.7062047, rel=1e-6)
    assert found.high == pytest.approx(4 * 2**12.7062047, rel=1e-6)
    alone = mean_ratio(np.log([3.0]))
    assert (alone.value, alone.low, alone.high) == (pytest.approx(3), 0, math.inf)


def test_a_rank_correlation_of_one_has_an_interval_below_one() -> None:
    found = spearman(np.arange(10.0), np.arange(10.0) ** 3)
    assert found is not None
    half = 1.96 * math.sqrt(1.5 / 7)
    assert found.value == pytest.approx(1)
    assert (found.low, found.high) == pytest.approx([math.tanh(math.atanh(0.999999) + side) for side in (-half, half)])
    turned = spearman(np.arange(10.0), -np.arange(10.0))
    assert turned is not None
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert spearman(np.zeros(10), np.arange(10.0)) is None


def test_pairs_are_the_most_and_the_closest_there_can_be() -> None:
    """1.09 fits 1.0 alone, and 0.92 fits 1.0 alone: who gets the close one is decided by all of them."""
    ladder = 10.0 * 2.0 ** np.arange(LEAST // 2 - 2)  # each far from every other
    real, generated = np.array([1.0, 1.09, 0.0, *ladder]), np.array([*(ladder[::-1] * 1.0999), 500.0, 1.0, 0.92])
    rows, columns = matched(real, generated)
    last = len(generated) - 1
    pairs = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    assert (pairs[0], pairs[1]) == (last, last - 1)
    assert pairs == {0: last, 1: last - 1} | {3 + i: len(ladder) - 1 - i for i in range(len(ladder))}
    generated[0] = ladder[-1] * 1.1001  # one pair fewer than the least
    assert [part.tolist() for part in matched(real, generated)] == [[], []]
    close = np.array([1.0] * 19 + [5.0]), np.array([5.4, 5.1, *[1.0] * 19])
    assert dict(zip(*(part.tolist() for part in matched(*close)), strict=True))[19] == 1
    assert len(matched(np.zeros(20), np.zeros(20))[0]) == 20  # a statistic of zero is close to itself
    assert len(matched(np.ones(20), np.full(20, 1.5), apart=0.6)[0]) == 20


def test_an_interval_that_touches_one_half_shows_nothing() -> None:
    assert [verdict_on(Estimate(0.5, low, high)) for low, high in ((0.5, 0.6), (0.4, 0.5), (0.501, 1), (0, 0.499))] == [
        *["none"] * 2,
        "smaller",
        "larger",
    ]


def test_the_whole_sentence() -> None:
    weak, strong, small = (Estimate(value, 0.0, 1.0) for value in (0.25, -0.75, 0.125))
    said = finding(
        330,
        Estimate(0.75, 0.7, 0.8),
        {"a": {"real": strong, "generated": weak}, "b": {"real": small, "generated": small}},
        Estimate(0.25, 0.2, 0.3),
        HeldEqual(Estimate(0.5, 0.4, 0.6), Estimate(0.625, 0.6, 0.65)),
        {"a": "contrast", "b": "size"},
        {"a": Estimate(0.875, 0.8, 0.9), "b": weak},
    )
    assert said == (
        "T_SEC 330: generated images have the smaller t-error, as in the paper (AUC 0.750 [0.700, 0.800]); of the statistics "
        "the t-error follows contrast most closely (rank correlation -0.75 in reals, +0.25 in generated images), which by "
        "itself gives AUC 0.875; with the same resize and JPEG for both, generated is larger (0.250 [0.200, 0.300]); with the "
        "statistics held equal, generated is smaller (0.625 [0.600, 0.650], against 0.500 of the same images as measured)."
    )
    assert closest({}) is None

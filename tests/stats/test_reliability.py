"""Probabilities and abstention: what they promise, on data whose truth is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.stats.reliability import (
    BINS,
    binned,
    conformal,
    isotonic,
    p_values,
    perfect_errors,
    platt,
    pooled,
    reliability,
)
from sedid.training.resnet import fit_temperature


def binormal(rng: np.random.Generator, reals: int, fakes: int, gap: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose log-odds of "generated" at equal shares are gap * score, exactly."""
    return rng.normal(-gap / 2, 1, reals), rng.normal(gap / 2, 1, fakes)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_platt_finds_the_log_odds_whatever_the_counts() -> None:
    rng = np.random.default_rng(0)
    grid = np.linspace(-2, 2, 9)
    for counts in ((4000, 4000), (8000, 1500)):
        np.testing.assert_allclose(platt(*binormal(rng, *counts))(grid), sigmoid(1.5 * grid), atol=0.03)


def test_platt_stays_finite_where_the_classes_are_apart() -> None:
    found = platt(np.arange(20.0), np.arange(30.0, 50.0))(np.array([0.0, 19.0, 30.0, 49.0]))
    assert (np.diff(found) >= 0).all()
    assert 0 < found[0] < 0.1
    assert 0.9 < found[-1] < 1


def test_isotonic_never_falls_and_counts_classes_equally() -> None:
    rng = np.random.default_rng(1)
    real, generated = binormal(rng, 60, 50)
    grid = np.linspace(-5, 5, 101)
    found = isotonic(real, generated)(grid)
    assert (np.diff(found) >= 0).all()
    assert (found.min(), found.max()) == (0, 1)
    np.testing.assert_allclose(isotonic(np.repeat(real, 3), generated)(grid), found, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 80), st.sampled_from([1, 2, 50]))
def test_the_diagram_and_the_scores_are_their_definitions(seed: int, reals: int, fakes: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    real, generated = (np.round(rng.random(n) * levels) / levels for n in (reals, fakes))
    found = reliability(real, generated)
    assert sum(one.count for one in found.bins) == reals + fakes
    assert len(found.bins) <= BINS
    assert all(one.high < two.low for one, two in zip(found.bins, found.bins[1:], strict=False))
    ece = 0.0
    for one in found.bins:
        of_real, of_generated = (part[(part >= one.low) & (part <= one.high)] for part in (real, generated))
        mass = (len(of_real) / reals, len(of_generated) / fakes)  # each class sums to 1
        assert one.observed == pytest.approx(mass[1] / sum(mass))
        total = of_real.sum() / reals + of_generated.sum() / fakes
        assert one.predicted == pytest.approx(total / sum(mass))
        assert one.observed_low <= one.observed + 1e-12
        assert one.observed <= one.observed_high + 1e-12
        ece += sum(mass) / 2 * abs(one.observed - one.predicted)
    assert found.ece == pytest.approx(ece)
    assert found.brier == pytest.approx((np.mean(real**2) + np.mean((1 - generated) ** 2)) / 2)
    likely = [np.log(np.maximum(values, 1e-6)).mean() for values in (1 - real, generated)]
    assert found.nll == pytest.approx(-np.mean(likely))
    assert found.brier == pytest.approx(found.miscalibration + found.refinement)
    assert found.miscalibration >= -1e-12
    assert found.refinement <= 0.25 + 1e-12  # always saying one half


def test_perfect_probabilities_pass_and_overconfident_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sedid.stats.reliability.SIMULATIONS", 100)
    repeats, passed = 60, dict.fromkeys(((300, 300), (500, 150)), 0)
    for counts in passed:
        for seed in range(repeats):
            real, generated = binormal(np.random.default_rng(seed), *counts)
            honest = reliability(sigmoid(1.5 * real), sigmoid(1.5 * generated), seed)
            passed[counts] += honest.ece <= honest.ece_limit
        boastful = reliability(sigmoid(6 * real), sigmoid(6 * generated))
        assert boastful.ece > boastful.ece_limit
        assert boastful.refinement == pytest.approx(honest.refinement)  # the order of the images is the same
        assert boastful.brier > honest.brier
    for share in passed.values():  # 95 % of the sets, and three standard deviations below
        assert share / repeats >= 0.95 - 3 * (0.95 * 0.05 / repeats) ** 0.5


def test_the_error_of_perfect_probabilities_is_drawn_with_the_class_counts_of_the_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who always says one half is never wrong about the classes, which weigh the same: no draw may show an error."""
    found = reliability(np.full(30, 0.5), np.full(20, 0.5))
    assert (found.ece, found.ece_expected, found.ece_limit) == pytest.approx((0, 0, 0), abs=1e-12)
    monkeypatch.setattr("sedid.stats.reliability.SIMULATIONS", 100)
    repeats, ranks = 100, []
    for seed in range(repeats):
        real, generated = (sigmoid(1.5 * part) for part in binormal(np.random.default_rng(seed), 40, 120))
        values, labels, weights = pooled((real, generated))
        errors = perfect_errors(values, labels, binned(values), seed)
        observed = np.abs(np.bincount(binned(values), weights * (values - labels))).sum() / weights.sum()
        ranks.append(np.mean(errors > observed))
    assert abs(np.mean(ranks) - 0.5) <= 3 / (12 * repeats) ** 0.5  # the observed error is as one of those drawn
    assert abs(np.mean(np.array(ranks) < 0.05) - 0.05) <= 3 * (0.05 * 0.95 / repeats) ** 0.5


def test_certainty_that_is_wrong_has_a_limit_too() -> None:
    """More images are called certainly generated than there are generated ones."""
    found = reliability(np.repeat([1.0, 0.0], [30, 20]), np.repeat([1.0, 0.0], [5, 20]))
    assert found.ece > found.ece_limit


def test_probabilities_are_probabilities() -> None:
    with pytest.raises(ValueError, match="outside"):
        reliability(np.array([0.5]), np.array([1.5]))
    with pytest.raises(ValueError, match="outside"):
        reliability(np.array([np.nan]), np.array([0.5]))
    with pytest.raises(ValueError, match="both classes"):
        reliability(np.empty(0), np.array([0.5]))


def test_p_values_are_their_definition() -> None:
    rng = np.random.default_rng(2)
    real, generated, new = (rng.integers(0, 6, n) * 1.0 for n in (30, 20, 40))
    of_real, of_generated = p_values((real, generated), new)
    for score, p_real, p_generated in zip(new, of_real, of_generated, strict=True):
        assert p_real == (np.sum(real >= score) + 1) / 31
        assert p_generated == (np.sum(generated <= score) + 1) / 21


def test_the_conformal_error_of_either_class_is_what_was_asked_for() -> None:
    """60 and 40 calibration images, 50 + 50 new ones, 300 times over."""
    rate, missed = 0.1, []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = conformal(binormal(rng, 60, 40), binormal(rng, 50, 50), rate)
        missed.append((found.missed_real, found.missed_generated))
    error = np.std(missed, axis=0) / len(missed) ** 0.5
    for mean, deviation, calibration in zip(np.mean(missed, axis=0), error, (60, 40), strict=True):
        assert mean <= rate + 3 * deviation
        assert mean >= rate - 1 / (calibration + 1) - 3 * deviation


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.1, 0.4]), st.sampled_from([0.3, 1.5, 6.0]))
def test_every_image_is_right_wrong_or_without_a_verdict(seed: int, rate: float, gap: float) -> None:
    rng = np.random.default_rng(seed)
    calibration, test = binormal(rng, 50, 40, gap), binormal(rng, 30, 70, gap)
    found = conformal(calibration, test, rate)
    abstained = {"both": 0.0, "none": 0.0}
    for label, scores in enumerate(test):
        shares = {"right": 0, "wrong": 0, "both": 0, "none": 0, "missed": 0}
        for score in scores:
            p = [(np.sum(calibration[0] >= score) + 1) / 51, (np.sum(calibration[1] <= score) + 1) / 41]
            held = [value > rate for value in p]
            shares["both" if all(held) else "none" if not any(held) else "right" if held[label] else "wrong"] += 1
            shares["missed"] += not held[label]
        name = ("real", "generated")[label]
        for kind in ("right", "wrong", "missed"):
            assert getattr(found, f"{kind}_{name}") == pytest.approx(shares[kind] / len(scores))
        for kind in abstained:
            abstained[kind] += shares[kind] / len(scores) / 2
    assert (found.both, found.none) == pytest.approx(tuple(abstained.values()))
    assert found.abstained == pytest.approx(sum(abstained.values()))


def test_few_calibration_images_give_no_verdict() -> None:
    rng = np.random.default_rng(4)
    found = conformal(binormal(rng, 9, 9, 9.0), binormal(rng, 50, 50, 9.0), 0.05)  # no p-value is below 1 / 10
    assert (found.abstained, found.both) == (1, 1)


def test_an_error_rate_is_a_rate() -> None:
    one = binormal(np.random.default_rng(5), 5, 5)
    for rate in (0, 1, -0.1):
        with pytest.raises(ValueError, match="error_rate"):
            conformal(one, one, rate)


@pytest.mark.parametrize("sharp", [0.25, 1.0, 4.0])
def test_a_temperature_softens_and_never_sharpens(sharp: float) -> None:
    rng = np.random.default_rng(6)
    real, generated = binormal(rng, 3000, 3000)
    logits = torch.from_numpy(np.concatenate([real, generated]) * 1.5 * sharp)
    labels = torch.from_numpy(np.repeat([0.0, 1.0], 3000))
    assert fit_temperature(logits, labels) == pytest.approx(max(sharp, 1.0), rel=0.08)


def test_the_temperature_of_separated_classes_does_not_collapse() -> None:
    logits = torch.linspace(-3, 3, 40, dtype=torch.float64)
    assert fit_temperature(logits, (logits > 0).double()) == 1.0

"""Metrics against cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.detector.detector import GENERATED, REAL, Calibration, Call, Verdict
from sedid.stats.metrics import (
    Cut,
    balanced_accuracy,
    best_threshold,
    fit_cut,
    measure,
    percentile,
    quantiles,
    roc,
    sign_of,
    tpr_at,
    undecided_band,
)
from sedid.training.calibrate import calibrate_pair

A = np.array
scores = st.lists(st.integers(0, 20), min_size=1, max_size=60).map(lambda values: A(values, dtype=float))


@pytest.mark.parametrize(
    ("real", "generated", "auc", "best_acc"),
    [
        ([0, 1], [2, 3], 1.0, 1.0),
        ([2, 3], [0, 1], 0.0, 0.5),
        ([0, 2], [1, 3], 0.75, 0.75),  # three of the four pairs are in order
        ([1, 1], [1, 1], 0.5, 0.5),  # a tie counts half
        ([0, 1], [1, 2], 0.875, 0.75),  # one tie among four pairs
        ([5], [5], 0.5, 0.5),
        ([0, 0, 0, 9], [9], 0.875, 0.875),  # unequal counts: the mean of 3/4 and 1
    ],
)
def test_auc_and_best_accuracy_by_hand(real: list, generated: list, auc: float, best_acc: float) -> None:
    found = measure(A(real, dtype=float), A(generated, dtype=float))
    assert (found.auc, found.best_acc) == pytest.approx((auc, best_acc))
    assert (found.real, found.generated) == (len(real), len(generated))


@settings(max_examples=50, deadline=None)
@given(scores, scores)
def test_auc_is_the_share_of_pairs_in_order(real: np.ndarray, generated: np.ndarray) -> None:
    gap = generated[:, None] - real[None]
    found = measure(real, generated)
    assert found.auc == pytest.approx(float(np.mean(gap > 0) + np.mean(gap == 0) / 2))
    assert found.auc == pytest.approx(1 - measure(-real, -generated).auc)
    assert found.best_acc == pytest.approx(balanced_accuracy(real, generated, best_threshold(real, generated)))


def test_an_empty_class_and_broken_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="0 real and 2 generated"):
        measure(A([]), A([1.0, 2.0]))
    with pytest.raises(ValueError, match="1 real and 0 generated"):
        measure(A([1.0]), A([]))
    with pytest.raises(ValueError, match="not finite"):
        measure(A([1.0, np.nan]), A([1.0]))


def test_tpr_at_a_rate_the_reals_cannot_resolve_is_not_given() -> None:
    generated = np.arange(10.0)
    few = measure(np.zeros(99), generated)
    enough = measure(np.zeros(100), generated)
    many = measure(np.zeros(1000), generated)
    assert (few.tpr_at_1, few.tpr_at_01) == (None, None)
    assert (enough.tpr_at_1, enough.tpr_at_01) == (0.9, None)
    assert (many.tpr_at_1, many.tpr_at_01) == (0.9, 0.9)


def test_tpr_takes_the_budget_to_the_last_image_and_no_further() -> None:
    real = np.arange(200.0)  # two of them are 1 %
    generated = A([197.5, 198.5, 199.5, 50.0])
    assert tpr_at(real, generated, 0.01) == 0.75  # above 197: the reals 198 and 199
    assert tpr_at(real, generated, 0.005) == 0.5  # above 198: one real
    tied = np.concatenate([np.zeros(197), np.full(3, 5.0)])
    assert tpr_at(tied, A([5.0, 6.0]), 0.01) == 0.5  # the three reals at 5 come together or not at all


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(100, 400), st.integers(1, 50), st.integers(2, 40))
def test_the_false_positive_budget_is_never_exceeded(seed: int, reals: int, fakes: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    real, generated = rng.integers(0, levels, reals) * 1.0, rng.integers(0, levels + 5, fakes) * 1.0
    thresholds = np.append(np.unique(np.concatenate([real, generated])), np.inf)
    allowed = [threshold for threshold in thresholds if np.mean(real >= threshold) <= 0.01]
    assert tpr_at(real, generated, 0.01) == max(np.mean(generated >= threshold) for threshold in allowed)


def test_the_best_threshold_lies_between_scores() -> None:
    assert best_threshold(A([0.0, 1.0]), A([3.0, 4.0])) == 2.0
    useless = best_threshold(A([3.0, 4.0]), A([0.0, 1.0]))  # nothing is better than one answer for all
    assert balanced_accuracy(A([3.0, 4.0]), A([0.0, 1.0]), useless) == 0.5


def test_a_threshold_that_calls_nothing_generated_lies_above_all_scores() -> None:
    found = best_threshold(A([3.0, 400.0]), A([0.0, 1.0]))
    assert found == pytest.approx(400.0004, abs=1e-9)
    assert best_threshold(A([0.0]), A([-1.0])) > 0
    assert best_threshold(A([5.0, 6.0]), A([5.0, 5.5])) > 6  # to call all of them generated is no better


def test_a_score_at_the_threshold_is_called_generated() -> None:
    assert balanced_accuracy(A([1.0, 2.0]), A([2.0, 3.0, 4.0, 1.0]), 2.0) == (0.5 + 0.75) / 2


def test_the_sign_turns_a_score_of_the_papers_polarity() -> None:
    assert (sign_of("smaller"), sign_of("larger")) == (-1, 1)
    assert (Cut("smaller", 0.0, 0.5).sign, Cut("larger", 0.0, 0.5).sign) == (-1, 1)


@pytest.mark.parametrize(
    ("real", "generated", "cut"),
    [
        ([3, 4], [1, 2], Cut("smaller", -2.5, 1.0)),
        ([1, 2], [3, 4, 5], Cut("larger", 2.5, 1.0)),
        ([1, 4], [2, 3], Cut("smaller", -3.5, 0.5)),  # neither way: the paper's
        ([1, 3], [2, 4], Cut("larger", 3.5, 0.75)),  # of two thresholds as good the higher
    ],
)
def test_a_cut_by_hand(real: list, generated: list, cut: Cut) -> None:
    assert fit_cut(A(real, dtype=float), A(generated, dtype=float)) == cut


def test_every_distinct_score_is_a_point_of_the_curve() -> None:
    fpr, tpr, thresholds = roc(A([1.0, 2.0, 3.0, 4.0]), A([2.0, 5.0]))
    assert fpr.tolist() == [0, 0, 0.25, 0.5, 0.75, 1]
    assert tpr.tolist() == [0, 0.5, 0.5, 0.5, 1, 1]
    assert thresholds[1:].tolist() == [5, 4, 3, 2, 1]


def test_the_band_lies_right_beside_the_scores_it_leaves_out() -> None:
    real, generated = np.arange(1.0, 11), np.arange(4.0, 14)
    low, high = undecided_band(real, generated, 8.0, 0.1)  # one of ten may err
    assert (low, high) == (np.nextafter(5.0, 0), np.nextafter(9.0, 10))
    assert undecided_band(real, generated + 100, 50.0, 0.1) == (50.0, 50.0)  # the limits would cross


@settings(max_examples=60, deadline=None)
@given(scores, scores, st.sampled_from([0.05, 0.1, 0.3]))
def test_outside_the_band_each_class_errs_at_most_as_stated(
    real: np.ndarray, generated: np.ndarray, rate: float
) -> None:
    threshold = best_threshold(real, generated)
    low, high = undecided_band(real, generated, threshold, rate)
    assert low <= threshold <= high
    assert np.mean(real >= high) <= rate
    assert np.mean(generated <= low) <= rate


@pytest.mark.parametrize("sign", [1, -1])
def test_polarity_follows_the_data(sign: int) -> None:
    rng = np.random.default_rng(0)
    real, generated = 10 + sign * rng.normal(2, 1, 500), 10 - sign * rng.normal(2, 1, 500)
    made = calibrate_pair(165, 330, real, generated, 0.05)
    assert made.polarity == ("smaller" if sign == 1 else "larger")
    assert made.auc > 0.95
    assert made.band[0] <= made.threshold <= made.band[1]
    assert made.side(10 - sign * 6) == GENERATED
    assert made.side(10 + sign * 6) == REAL
    called = [[made.side(score) for score in values] for values in (real, generated)]
    assert called[0].count(GENERATED) <= 25
    assert called[1].count(REAL) <= 25
    assert made.in_range(10)
    assert not made.in_range(1000)
    assert not made.in_range(-1000)


def test_verdicts_at_the_edges_of_the_band() -> None:
    reference = (0.0, 10.0)
    smaller = Calibration(165, 165, "smaller", 4.0, (3.0, 5.0), reference, reference, 0.7)
    assert [smaller.side(score) for score in (3.0, 3.1, 4.0, 4.9, 5.0)] == [GENERATED, *[Call.UNDECIDED] * 3, REAL]
    larger = Calibration(165, 165, "larger", 4.0, (4.0, 4.0), reference, reference, 0.7)
    assert [larger.side(score) for score in (3.9, 4.0, 4.1)] == [REAL, GENERATED, GENERATED]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("in_range", [True, False])
def test_a_score_that_is_no_number_says_nothing(score: float, in_range: bool) -> None:
    reference = (0.0, 10.0)
    made = Calibration(165, 165, "smaller", 4.0, (3.0, 5.0), reference, reference, 0.7)
    assert Verdict(score, in_range, made).call == Call.UNDECIDED


def test_what_may_be_said_is_the_side_or_that_the_image_is_out_of_range() -> None:
    reference = (0.0, 10.0)
    made = Calibration(165, 165, "smaller", 4.0, (3.0, 5.0), reference, reference, 0.7)
    for score, side in ((1.0, Call.GENERATED), (4.0, Call.UNDECIDED), (6.0, Call.REAL)):
        inside, outside = Verdict(score, True, made), Verdict(score, False, made)
        assert (inside.call, inside.side) == (side, side)
        assert (outside.call, outside.side) == (Call.OUTSIDE, side)


def test_percentiles_come_back_from_the_quantiles() -> None:
    reference = quantiles(np.arange(1001.0))
    assert [percentile(reference, score) for score in (-5, 0, 250, 500.5, 1000, 2000)] == pytest.approx(
        [0, 0, 25, 50.05, 100, 100]
    )


def test_quantiles_are_evenly_spaced_and_of_six_digits() -> None:
    found = quantiles(np.array([0.0, 1 / 3]))
    assert len(found) == 201
    assert (found[0], found[100], found[200]) == (0.0, 0.166667, 0.333333)

"""The choice against a literal transcription, and what it says about itself on data with a known answer."""

from statistics import NormalDist

import numpy as np
import pytest

from sedid.progress import finish
from sedid.stats.choice import Choice, choose_pair, cross_validated_auc, evaluations, fold_numbers, weighted_auc
from sedid.stats.metrics import measure

Scores = dict[tuple[int, int], np.ndarray]


def grid(gaps: dict[tuple[int, int], float], count: int, seed: int = 0) -> tuple[Scores, Scores]:
    """t-errors at pairs where generated images lie lower by a gap, in standard deviations of the logarithm."""
    rng = np.random.default_rng(seed)
    real = {pair: rng.lognormal(0, 1, count) for pair in gaps}
    return real, {pair: rng.lognormal(-gap, 1, count + 3) for pair, gap in gaps.items()}


def chosen(real: Scores, generated: Scores, penalty: float = 0.0, **settings: int) -> Choice:
    return finish(choose_pair(real, generated, penalty, **({"resamples": 40, "folds": 4} | settings)))


def test_cross_validation_is_what_it_says() -> None:
    rng = np.random.default_rng(0)
    real, generated = np.round(rng.normal(0, 2, 30)), np.round(rng.normal(-0.3, 2, 25))
    folds = fold_numbers(30, 3, rng), fold_numbers(25, 3, rng)
    counts = rng.multinomial(30, np.full(30, 1 / 30), 4), rng.multinomial(25, np.full(25, 1 / 25), 4)
    found = cross_validated_auc((real, generated), folds, counts)
    for row in range(4):
        aucs = []
        for fold in range(3):
            sides = []
            for inside in (True, False):
                picked = [(part == fold) == inside for part in folds]
                sides.append(
                    [
                        np.repeat(values[rows], times[row][rows])
                        for values, rows, times in zip((real, generated), picked, counts, strict=True)
                    ]
                )
            sign = -1 if measure(-sides[1][0], -sides[1][1]).auc >= 0.5 else 1
            aucs.append(measure(sign * sides[0][0], sign * sides[0][1]).auc)
        assert found[row] == pytest.approx(np.mean(aucs), abs=1e-12)


def test_folds_are_even() -> None:
    numbers = fold_numbers(23, 5, np.random.default_rng(0))
    assert sorted(np.bincount(numbers)) == [4, 4, 5, 5, 5]


def test_there_are_five_folds_unless_it_is_said() -> None:
    data = grid({(165, 165): 0.5, (165, 330): 0.6}, 30)
    alone, five, six = (finish(choose_pair(*data, resamples=10, **folds)) for folds in ({}, {"folds": 5}, {"folds": 6}))
    assert alone == five
    assert alone != six


def test_the_cost_is_the_points_of_the_trajectory() -> None:
    assert [evaluations(pair) for pair in ((165, 165), (165, 990), (10, 100))] == [2, 7, 11]


def test_a_clear_winner_is_chosen_every_time() -> None:
    found = chosen(*grid({(165, 165): 0.1, (165, 330): 0.2, (330, 330): 2.0, (330, 660): 0.1}, 120))
    best = found.chosen
    assert (best.k, best.t_sec, best.polarity, best.chosen_share) == (330, 330, "smaller", 1.0)
    assert found.polarity_share == 1.0
    assert found.optimism == 0
    assert set(found.nested_pairs) == {(330, 330)}
    assert found.nested_interval[0] < found.nested_auc < found.nested_interval[1]
    assert sum(candidate.chosen_share for candidate in found.candidates) == pytest.approx(1)


def test_the_polarity_is_chosen_too() -> None:
    real, generated = grid({(165, 165): 0.1, (165, 330): 1.5}, 80)
    straight, turned = (
        chosen(real, generated),
        chosen(*({p: 1 / e for p, e in part.items()} for part in (real, generated))),
    )
    assert (straight.chosen.polarity, turned.chosen.polarity) == ("smaller", "larger")
    assert turned.chosen.auc == pytest.approx(straight.chosen.auc)
    assert turned.chosen.cv_auc == pytest.approx(straight.chosen.cv_auc)
    assert turned.nested_interval == pytest.approx(straight.nested_interval)


def test_a_penalty_buys_fewer_evaluations() -> None:
    real, generated = grid({(165, 165): 1.0, (165, 660): 1.3, (165, 990): 1.5}, 150)
    free, dear, dearest = (chosen(real, generated, penalty) for penalty in (0.0, 0.02, 0.4))
    assert free.chosen.cv_auc == max(candidate.cv_auc for candidate in free.candidates)
    costs = [choice.chosen.evaluations for choice in (free, dear, dearest)]
    assert costs == sorted(costs, reverse=True)
    assert dearest.chosen.evaluations == 2
    for candidate in dear.candidates:
        assert candidate.worth == pytest.approx(candidate.cv_auc - 0.02 * candidate.evaluations)
    assert dear.chosen.worth == max(candidate.worth for candidate in dear.candidates)


def test_equal_worth_goes_to_the_cheaper_pair() -> None:
    real, generated = grid({(165, 990): 50.0, (165, 330): 50.0, (110, 330): 50.0}, 20)  # all of them perfect
    assert (chosen(real, generated).chosen.k, chosen(real, generated).chosen.t_sec) == (165, 330)


def test_picking_the_best_of_noise_is_unmasked() -> None:
    """Twelve pairs that know nothing: the winner looks better than chance, and nested cross-validation says by how much."""
    found = [chosen(*grid({(80, 80 * n): 0.0 for n in range(1, 13)}, 40, seed), resamples=20) for seed in range(12)]
    assert np.mean([choice.chosen.cv_auc for choice in found]) > 0.54
    assert abs(np.mean([choice.nested_auc for choice in found]) - 0.5) < 0.03
    assert np.mean([choice.optimism for choice in found]) > 0.03
    assert max(choice.chosen.chosen_share for choice in found) < 1
    # the interval of the chosen pair, held fixed, lay above one half in two of three such choices
    assert all(choice.nested_interval[0] <= 0.5 <= choice.nested_interval[1] for choice in found)
    assert np.mean([choice.polarity_share for choice in found]) < 0.85  # held fixed, it was 0.98


def test_the_interval_of_the_choice_covers_what_the_choice_is_worth() -> None:
    """Two pairs of AUC 0.76 among four: the truth is the mean of what the outer folds chose."""
    gaps = {(80, 80): 0.0, (80, 160): 1.0, (80, 240): 0.0, (80, 320): 1.0}
    hits, repeats = 0, 60
    for seed in range(repeats):
        found = chosen(*grid(gaps, 40, seed), resamples=80)
        truth = np.mean([NormalDist().cdf(gaps[pair] / 2**0.5) for pair in found.nested_pairs])
        hits += found.nested_interval[0] <= truth <= found.nested_interval[1]
    assert hits / repeats >= 0.93


def test_the_seed_decides_and_progress_counts_pairs() -> None:
    data = grid({(165, 165): 0.3, (165, 330): 0.4}, 30)
    records: list = []
    one = finish(choose_pair(*data, resamples=30, folds=3, seed=1), records.append)
    assert [(record.done, record.total, record.unit) for record in records] == [(1, 2, "pairs"), (2, 2, "pairs")]
    assert one == chosen(*data, resamples=30, folds=3, seed=1)
    assert one != chosen(*data, resamples=30, folds=3, seed=2)


def test_masked_images_do_not_count() -> None:
    real, generated = grid({(165, 165): 0.5}, 20)
    rng = np.random.default_rng(3)
    masks = rng.random((1, 20)) < 0.5, rng.random((1, 23)) < 0.5
    found = weighted_auc((real[165, 165], generated[165, 165]), (masks[0].astype(int), masks[1].astype(int)))
    assert found[0] == pytest.approx(measure(-real[165, 165][masks[0][0]], -generated[165, 165][masks[1][0]]).auc)


def test_what_cannot_be_cross_validated_is_refused() -> None:
    data = grid({(165, 165): 0.3}, 15)
    with pytest.raises(ValueError, match="too few for 4 folds"):
        chosen(*data)
    with pytest.raises(ValueError, match="at least 2"):
        chosen(*data, folds=1)
    with pytest.raises(ValueError, match="penalty"):
        chosen(*data, -0.1, folds=2)
    with pytest.raises(ValueError, match="resamples"):
        chosen(*data, folds=2, resamples=1)

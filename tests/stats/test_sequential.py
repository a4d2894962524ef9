"""Early stopping: its promise on images that fitted nothing, and its bookkeeping against plain loops."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.stats.choice import fold_numbers
from sedid.stats.intervals import delong, share_interval
from sedid.stats.metrics import measure
from sedid.stats.reliability import Classes
from sedid.stats.stopping import LogOdds, Rule, boundary, fit_log_odds, fit_rule, log_errors, measure_rule, steps_of


def walks(rng: np.random.Generator, count: int, shift: float, steps: int = 5) -> np.ndarray:
    """Scores that gather evidence along the way, (steps, count): each step remembers the one before."""
    return np.cumsum(rng.normal(shift, 1, (steps, count)), axis=0)


def t_errors(rng: np.random.Generator, count: int, generated: bool) -> np.ndarray:
    """Three steps: nothing, a little and a lot of information, (3, count)."""
    gaps = np.array([0.0, 0.8, 2.0])[:, None]
    return rng.lognormal(-gaps * generated, 1, (3, count))


def folds_of(real: np.ndarray, generated: np.ndarray) -> Classes:
    rng = np.random.default_rng(9)
    return fold_numbers(real.shape[1], 4, rng), fold_numbers(generated.shape[1], 4, rng)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4), st.sampled_from([0.02, 0.1, 0.3]), st.booleans()
)
def test_the_calibration_images_keep_to_the_rate(seed: int, count: int, steps: int, rate: float, tied: bool) -> None:
    scores = np.random.default_rng(seed).normal(0, 2, (steps, count))
    scores = np.round(scores) if tied else scores
    limit = boundary(scores, rate)
    assert limit >= 0
    assert np.mean((scores >= limit).any(axis=0)) <= rate
    if rate * (count + 1) < 1 - 1e-9:
        assert limit == np.inf  # so few images cannot vouch for any early call


def test_new_images_keep_to_the_rate_and_use_it_up() -> None:
    """50 calibration and 50 new images, 400 times over: the share of new ones beyond the boundary."""
    rate, beyond = 0.1, []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        limit = boundary(walks(rng, 50, 0.2), rate)
        beyond.append(np.mean((walks(rng, 50, 0.2) >= limit).any(axis=0)))
    error = np.std(beyond) / len(beyond) ** 0.5
    assert np.mean(beyond) <= rate + 3 * error
    assert np.mean(beyond) >= rate - 1 / 51 - 3 * error  # one image of 51 is all that counting in whole images costs


def test_no_early_step_means_no_early_stop() -> None:
    assert boundary(np.empty((0, 10)), 0.1) == np.inf


def test_an_image_stops_where_a_plain_loop_stops() -> None:
    rng = np.random.default_rng(1)
    log_odds = walks(rng, 200, 0.0)
    rule = Rule(upper=1.5, lower=-1.0, threshold=0.2)
    stops = rule.stops(log_odds)
    for image in range(200):
        step = next((n for n in range(4) if log_odds[n, image] >= 1.5 or log_odds[n, image] <= -1.0), 4)
        assert stops[image] == step + 1
    assert set(stops) == {1, 2, 3, 4, 5}


def test_the_log_odds_are_those_of_a_logistic_regression_of_all_errors_so_far() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(2)
    real, generated, new = t_errors(rng, 80, False), t_errors(rng, 60, True), t_errors(rng, 7, True)
    found, held = fit_log_odds(165, real, generated, folds_of(real, generated))
    labels = np.repeat([0, 1], [80, 60])
    for n in (1, 2, 3):
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", tol=1e-8))
        model.fit(np.log(np.concatenate([real[:n], generated[:n]], axis=1)).T, labels)
        np.testing.assert_allclose(
            found.of(new)[n - 1], model.decision_function(np.log(new[:n]).T), atol=1e-3, rtol=1e-3
        )
    assert [part.shape for part in held] == [(3, 80), (3, 60)]
    assert found.until(2).of(new[:2]).tolist() == found.of(new)[:2].tolist()
    assert not np.allclose(held[0], found.of(real))  # what sets the boundaries was not fitted to itself


def test_evidence_adds_up_along_the_walk() -> None:
    rng = np.random.default_rng(3)
    real, generated = t_errors(rng, 300, False), t_errors(rng, 300, True)
    log_odds, held = fit_log_odds(165, real, generated, folds_of(real, generated))
    test = [log_odds.of(t_errors(rng, 300, label)) for label in (False, True)]
    aucs = [measure(test[0][n], test[1][n]).auc for n in range(3)]
    assert aucs == sorted(aucs)
    assert aucs[0] < 0.6 < 0.9 < aucs[2]
    # where there is no evidence no error is spent
    rule = fit_rule(held, 0.1)
    first = [np.mean((values[0] >= rule.upper) | (values[0] <= rule.lower)) for values in test]
    assert max(first) < 0.05


def test_what_was_measured_is_what_a_plain_loop_counts() -> None:
    rng = np.random.default_rng(4)
    real, generated = walks(rng, 150, -0.7), walks(rng, 100, 0.7)
    rule = Rule(upper=2.0, lower=-1.5, threshold=0.3)
    found = measure_rule(rule, real, generated)
    steps, wrong, right, final = ([], []), [0, 0], [0, 0], ([], [])
    for label, walk in enumerate((real, generated)):
        for image in walk.T:
            step = next((n for n in range(4) if image[n] >= 2.0 or image[n] <= -1.5), 4)
            call = int(image[step] >= (2.0 if step < 4 else 0.3))
            wrong[label] += step < 4 and call != label
            right[label] += call == label
            steps[label].append(step + 1)
            final[label].append(image[step])
    assert found["evaluations"] == pytest.approx(sum(np.mean(part) + 1 for part in steps) / 2)
    assert found["saved"] == pytest.approx(6 - found["evaluations"])
    assert (found["wrong_early_real"], found["wrong_early_generated"]) == (wrong[0] / 150, wrong[1] / 100)
    assert found["acc"] == pytest.approx((right[0] / 150 + right[1] / 100) / 2)
    assert found["auc"] == measure(*(np.array(part) for part in final)).auc
    assert found["auc_full"] == measure(real[-1], generated[-1]).auc
    assert found["auc_difference"]["difference"] == pytest.approx(found["auc"] - found["auc_full"], abs=1e-12)
    low, high = found["wrong_early_real_interval"]
    assert low <= found["wrong_early_real"] <= high


def test_a_rule_that_never_stops_is_the_full_walk() -> None:
    rng = np.random.default_rng(5)
    found = measure_rule(Rule(np.inf, -np.inf, 0.0), walks(rng, 40, -0.3), walks(rng, 40, 0.3))
    assert (found["saved"], found["stopped_early_real"], found["wrong_early_generated"]) == (0, 0, 0)
    assert (found["auc"], found["acc"]) == (found["auc_full"], found["acc_full"])
    assert found["auc_difference"]["p_value"] == 1


def test_more_error_saves_more_evaluations() -> None:
    rng = np.random.default_rng(6)
    held = walks(rng, 400, -0.8), walks(rng, 400, 0.8)
    new = walks(rng, 400, -0.8), walks(rng, 400, 0.8)
    saved = [measure_rule(fit_rule(held, rate), *new)["saved"] for rate in (0.01, 0.05, 0.2)]
    assert saved == sorted(saved)
    assert saved[0] > 0.5


def test_an_error_of_zero_has_a_logarithm() -> None:
    assert np.isfinite(log_errors(np.array([0.0, 1.0]))).all()
    assert np.isfinite(LogOdds(165, ((1.0,),), (0.0,)).of(np.zeros((1, 2)))).all()


def test_steps_are_those_of_one_k_in_order() -> None:
    scores = {(165, 330): np.array([2.0]), (110, 110): np.array([9.0]), (165, 165): np.array([1.0])}
    assert steps_of(scores, 165, 330).tolist() == [[1.0], [2.0]]


def test_the_boundary_by_hand() -> None:
    """Of 19 images one in ten is int(0.1 * 20) - 1 = 1: the highest peak may lie beyond, the next may not."""
    peaks = np.random.default_rng(0).permutation(np.arange(1.0, 20))
    scores = np.stack([np.zeros(19), peaks, -peaks])
    assert boundary(scores, 0.1) == np.nextafter(18.0, 19)
    assert boundary(scores, 0.05) == np.nextafter(19.0, 20)
    assert boundary(scores, 0.04) == np.inf
    assert boundary(scores - 100, 0.1) == 0


def test_a_rule_by_hand() -> None:
    """Both boundaries are fitted on the early steps of the class that would be wronged, the threshold on the last."""
    early = np.arange(1.0, 20)
    real, generated = np.stack([early, np.full(19, 0.0)]), np.stack([4 - early, np.full(19, 10.0)])
    rule = fit_rule((real, generated), 0.1)
    assert rule == Rule(np.nextafter(18.0, 19), -np.nextafter(14.0, 15), 5.0)


def test_at_a_boundary_it_stops_and_at_the_threshold_it_says_generated() -> None:
    rule = Rule(upper=2.0, lower=-1.0, threshold=0.5)
    log_odds = np.array([[2.0, -1.0, 1.9, -0.9, 0.0], [0.0, 0.0, -1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert rule.stops(log_odds).tolist() == [1, 1, 2, 2, 3]
    assert (
        rule.calls(np.array([0.5, 0.4, 2.0, 1.9]), np.array([False, False, True, True])).tolist() == [True, False] * 2
    )


def test_every_figure_of_a_measured_rule_by_hand() -> None:
    """Two steps. Of the reals one stops early and rightly, one early and wrongly, two late; of the generated ones likewise."""
    rule = Rule(upper=2.0, lower=-2.0, threshold=0.0)
    real = np.array([[-2.0, 2.0, 0.0, 0.0], [-3.0, -1.0, 1.0, -4.0]])
    generated = np.array([[2.0, 3.0, -2.0, 0.0, 0.0], [5.0, 2.5, 1.5, -0.5, 3.5]])
    found = measure_rule(rule, real, generated)
    assert found["evaluations_full"] == 3
    assert (found["evaluations_real"], found["evaluations_generated"]) == (2.5, 2.4)
    assert found["evaluations"] == pytest.approx(2.45)
    assert found["saved"] == pytest.approx(0.55)
    assert (found["stopped_early_real"], found["stopped_early_generated"]) == (0.5, 0.6)
    assert (found["wrong_early_real"], found["wrong_early_generated"]) == (0.25, 0.2)
    assert found["wrong_early_real_interval"] == list(share_interval(0.25, 4))
    assert found["wrong_early_generated_interval"] == list(share_interval(0.2, 5))
    assert found["acc"] == pytest.approx((0.5 + 0.6) / 2)
    assert found["acc_full"] == pytest.approx((0.75 + 0.8) / 2)
    assert found["auc"] == measure(np.array([-2.0, 2.0, 1.0, -4.0]), np.array([2.0, 3.0, -2.0, -0.5, 3.5])).auc
    assert found["auc_full"] == measure(real[1], generated[1]).auc
    difference = delong(np.array([-2.0, 2.0, 1.0, -4.0]), np.array([2.0, 3.0, -2.0, -0.5, 3.5]), real[1], generated[1])
    assert found["auc_difference"] == asdict(difference)


def test_log_odds_are_weights_times_logarithms_plus_a_bias() -> None:
    odds = LogOdds(165, ((2.0,), (1.0, -1.0)), (0.5, -0.5))
    np.testing.assert_allclose(odds.of(np.exp([[1.0, 3.0], [2.0, 5.0]])), [[2.5, 6.5], [-1.5, -2.5]])
    assert odds.until(1) == LogOdds(165, ((2.0,),), (0.5,))
    assert log_errors(np.array([0.0]))[0] == np.log(np.finfo(np.float64).tiny)


def test_held_log_odds_are_those_of_the_other_folds() -> None:
    """Fold by fold: what a fit without the fold says of its images; a t-error that never changes is borne."""
    rng = np.random.default_rng(8)
    real, generated = t_errors(rng, 24, False), t_errors(rng, 20, True)
    real[0] = generated[0] = 1.0
    folds = folds_of(real, generated)
    found, held = fit_log_odds(110, real, generated, folds)
    assert found.k == 110
    assert [len(weights) for weights in found.weights] == [1, 2, 3]
    for fold in np.unique(folds[0]):
        inside = [part == fold for part in folds]
        others = [values[:, ~part] for values, part in zip((real, generated), inside, strict=True)]
        alone, _ = fit_log_odds(110, *others, folds_of(*others))
        for values, part, kept in zip((real, generated), inside, held, strict=True):
            np.testing.assert_allclose(alone.of(values[:, part]), kept[:, part], rtol=1e-6, atol=1e-9)

"""The head that is fitted on reals alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.method.methods import TWO_SIDED
from sedid.models.networks import Runtime
from sedid.stats.metrics import measure
from sedid.studies.heads import FURTHEST, fit_two_sided

CPU = Runtime.choose("cpu", "fp32")


def errors(count: int, seed: int, middle: float = 50.0, spread: float = 0.4) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(np.log(middle), spread, count)


def test_what_is_far_out_on_either_side_counts_as_generated() -> None:
    real, mixed = errors(300, 0), np.concatenate([errors(100, 1, 8), errors(100, 2, 300)])
    head = fit_two_sided(real, mixed)
    unseen, scores = head.score(errors(2000, 3), CPU), head.score(mixed, CPU)
    assert head.kind == TWO_SIDED
    assert measure(unseen, scores).auc > 0.95  # which no threshold can reach: half of them is smaller, half larger
    assert abs(np.mean(unseen >= head.threshold) - FURTHEST) < 0.03
    assert np.mean(scores >= head.threshold) > 0.9


def test_nothing_is_fitted_on_generated_images() -> None:
    real = errors(50, 0)
    one, other = fit_two_sided(real, errors(50, 1, 8)), fit_two_sided(real, errors(50, 2, 300))
    assert (one.model, one.threshold, one.threshold_from) == (other.model, other.threshold, other.threshold_from)


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 99))
def test_the_unit_of_the_statistic_does_not_matter(unit: float, seed: int) -> None:
    real, new = errors(40, seed), errors(40, seed + 100, 90)
    plain, scaled = fit_two_sided(real, new), fit_two_sided(unit * real, unit * new)
    np.testing.assert_allclose(scaled.score(unit * new, CPU), plain.score(new, CPU), rtol=1e-6, atol=1e-9)


def test_reals_that_are_all_alike_give_finite_scores_for_themselves() -> None:
    head = fit_two_sided(np.full(20, 7.0), errors(20, 0))
    assert (head.score(np.full(3, 7.0), CPU) == 0).all()

"""Where calibration images lie, and whether others are like them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.stats.ranges import LEAST, OUTLYING, Cloud, Range, fit_cloud, fit_range

STEPS = 4


def images(count: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Statistics (count, 2) and t-errors (STEPS, count) that go with them, as those of photographs do."""
    rng = np.random.default_rng(seed)
    statistics = rng.normal(size=(count, 2)) + shift
    logs = 0.8 * statistics[:, 0] + 0.3 * rng.normal(size=(STEPS, count)) + np.arange(STEPS)[:, None]
    return statistics, np.exp(logs)


def both() -> Range:
    made = fit_range(images(300, 0), images(300, 1, 1.0))
    assert made is not None
    return made


@pytest.mark.parametrize("steps", [1, 2, STEPS])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_new_images_of_either_class_are_inside_wherever_they_are_judged(shift: float, steps: int) -> None:
    statistics, errors = images(3000, 5, shift)
    assert np.mean(both().inside(statistics, errors[:steps])) > 1 - 2 * OUTLYING


def test_what_is_ordinary_in_every_part_may_be_odd_as_a_whole() -> None:
    _, errors = images(300, 0)
    low, high = (np.quantile(errors, share, axis=1) for share in (0.1, 0.9))
    bright, dark = np.array([[1.2, 0.0]]), np.array([[-1.2, 0.0]])
    assert both().inside(bright, high[:, None]).all()  # as its brightness has it
    assert both().inside(dark, low[:, None]).all()
    assert not both().inside(dark, high[:, None]).any()  # no single figure lies outside
    wave = np.where(np.arange(STEPS) % 2, high, low)[:, None]
    assert not both().inside(np.zeros((1, 2)), wave).any()


def test_a_t_error_that_is_no_number_is_not_inside() -> None:
    statistics, errors = images(5, 0)
    errors[1] = np.nan
    assert not both().inside(statistics, errors).any()
    assert not both().inside(statistics, np.zeros((STEPS, 5))).any()


def test_the_limits_leave_out_the_stated_share_of_images_that_were_not_fitted_on() -> None:
    cloud = fit_cloud(*images(1000, 0))
    statistics, errors = images(20000, 9)
    for steps, limit in enumerate(cloud.limits, 1):
        described = np.concatenate([statistics, np.log(errors[:steps]).T], axis=1)
        assert np.mean(cloud.distances(described) > limit) == pytest.approx(OUTLYING, abs=0.015)


def test_few_images_say_nothing() -> None:
    assert fit_range(images(LEAST, 0), images(LEAST - 1, 1)) is None
    assert fit_range(images(LEAST, 0), images(LEAST, 1)) is not None


def test_a_statistic_that_is_the_same_in_all_images_is_borne() -> None:
    statistics, errors = images(100, 0)
    statistics[:, 1] = 0.5
    cloud = fit_cloud(statistics, errors)
    assert np.isfinite(cloud.limits).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(1e-6, 1e-2))
def test_no_change_within_the_shares_is_missed(seed: int, share: float) -> None:
    """Images placed at a limit to one side of it: a change that brings them across is always foreseen."""
    known, rng = both(), np.random.default_rng(seed)
    statistics, errors = images(200, seed)
    changed = errors * (1 + share * rng.uniform(-0.99, 0.99, errors.shape))
    turned = known.inside(statistics, errors) != known.inside(statistics, changed)
    assert known.near_limit(statistics, errors, [share] * STEPS)[turned].all()


def test_an_image_at_the_middle_is_not_near_a_limit() -> None:
    cloud = fit_cloud(*images(300, 0))
    alone = Range(cloud, cloud)
    statistics, errors = np.array([cloud.mean[:2]]), np.exp(np.array(cloud.mean[2:]))[:, None]
    assert not alone.near_limit(statistics, errors, [1e-3] * STEPS).any()
    assert alone.near_limit(statistics, errors, [10.0] * STEPS).all()


def test_distance_is_that_of_the_definition() -> None:
    cloud = Cloud((0.0, 1.0), ((4.0, 0.0), (0.0, 9.0)), (1.0,))
    assert cloud.distances(np.array([[2.0, 1.0], [0.0, 7.0], [2.0, 4.0]])).tolist() == pytest.approx([1, 2, 2**0.5])
    assert cloud.shift(np.array([2.0, 3.0])) == pytest.approx(2**0.5)

"""Where calibration images lie, and whether others are like them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedid.stats.ranges import FOLDS, LEAST, OUTLYING, Cloud, Range, describe, fit_cloud, fit_range

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


def test_a_cloud_is_the_shrunken_covariance_and_its_limits_are_of_images_it_was_not_fitted_on() -> None:
    """Written out, image by image, with scikit-learn's Ledoit-Wolf of standardised points."""
    from sklearn.covariance import LedoitWolf

    statistics, errors = images(LEAST + 3, 2)
    points = np.hstack([statistics, np.log(errors).T])

    def fitted(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = some.std(axis=0)
        return some.mean(axis=0), LedoitWolf().fit((some - some.mean(axis=0)) / scale).covariance_ * np.outer(
            scale, scale
        )

    found = fit_cloud(statistics, errors)
    mean, covariance = fitted(points)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.covariance, covariance)
    for steps, limit in enumerate(found.limits, 1):
        size, away = 2 + steps, []
        for i, point in enumerate(points):
            m, c = fitted(points[np.arange(len(points)) % FOLDS != i % FOLDS])
            difference = (point - m)[:size]
            away.append(np.sqrt(difference @ np.linalg.inv(c[:size, :size]) @ difference))
        assert limit == pytest.approx(sorted(away)[int(np.ceil((1 - OUTLYING) * (len(away) - 1)))])
    assert len(found.limits) == STEPS


def test_each_part_of_a_walk_has_its_own_limit_and_one_cloud_is_enough() -> None:
    identity = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    near = Cloud((0.0, 0.0, 0.0), identity, (1.0, 3.0))
    far = Cloud((10.0, 0.0, 0.0), identity, (0.5, 3.0))
    known = Range(near, far)
    assert known.clouds == (near, far)
    statistics = np.array([[0.0], [1.0], [1.01], [10.5], [10.51]])
    ones = np.ones((2, 5))  # log t-errors of 0
    assert known.inside(statistics, ones[:1]).tolist() == [True, True, False, True, False]
    assert known.inside(statistics, ones).all()
    # a t-error that changes by a share of 0.1 moves these distances by at most 0.1
    assert known.near_limit(statistics, ones[:1], [0.1]).tolist() == [False, True, True, True, True]
    assert known.near_limit(np.array([[0.89], [0.91], [1.09], [1.11]]), np.ones((1, 4)), [0.1]).tolist() == [
        False,
        True,
        True,
        False,
    ]
    # at its second T_SEC an image may be near, though it is not at the first
    assert known.near_limit(np.array([[2.95], [2.85]]), np.ones((2, 2)), [0.1, 0.0]).tolist() == [True, False]


def test_an_image_is_described_by_statistics_then_logarithms() -> None:
    found = describe(np.array([[5.0, 6.0]]), np.array([[1.0], [np.e]]))
    np.testing.assert_allclose(found, [[5, 6, 0, 1]])

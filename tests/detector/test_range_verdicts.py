"""Verdicts on images that are unlike the calibration images, and the bundle that knows where these lie."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.bundles import pictures
from helpers.fakes import make_detector
from helpers.foreign import KINDS, drawn

from sedid.data.datasets import as_images, as_model_input
from sedid.detector.batches import judge_in_batches
from sedid.detector.calibrations import read_calibrations
from sedid.detector.company import near_an_edge
from sedid.detector.detector import Call, Detector
from sedid.detector.words import why
from sedid.progress import finish
from sedid.training.calibrate import calibrate_all, ranges_of
from sedid.training.scoring import score

pytestmark = pytest.mark.usefixtures("one_thread")

K = 330
Info = dict[str, Any]


@pytest.fixture(scope="module")
def info() -> Info:
    """The section of a calibration by arithmetic, on 80 pictures of each class, as JSON has it."""
    detector, sets = make_detector(calibrated=False), [pictures(80, seed) for seed in (1, 2)]
    scores = [finish(score(detector, images, [K]))[0] for images in sets]
    made, chosen = calibrate_all(*scores, 0.1)
    ranges = ranges_of(detector, [K], (sets[0], scores[0]), (sets[1], scores[1]))
    section = {"chosen": chosen, "calibrations": [vars(one) for one in made], "ranges": ranges}
    return {"stat": json.loads(json.dumps(section))}


@pytest.fixture(scope="module")
def detector(info: Info) -> Detector:
    plain = make_detector(calibrated=False)
    found = read_calibrations(info, plain.schedule)
    return replace(plain, stat=found.stat, chosen=found.chosen, ranges=found.ranges)


def test_pictures_of_the_same_kind_get_verdicts_and_others_none(detector: Detector) -> None:
    own = judge_in_batches(detector, pictures(200, 3), K, 990)
    assert np.mean([found.stat.in_range for found in own if found.stat]) > 0.95
    for kind in KINDS:
        images = np.stack([detector.prepare(picture) for picture in drawn(kind, 5)])
        for t_sec in (K, 990):
            for found in judge_in_batches(detector, images, K, t_sec):
                assert found.stat is not None
                assert found.stat.call == Call.OUTSIDE
                assert "unlike those of the calibration images" in why(found.stat)


def test_a_verdict_counts_the_t_errors_up_to_its_own_t_sec_alone(detector: Detector) -> None:
    images = pictures(20, 3)
    errors, _ = finish(score(detector, images, [K]))
    later = errors | {(K, 990): 1e6 * errors[K, 990]}
    assert any(one.in_range for one in detector.verdicts(detector.stat[K, 660], errors[K, 660], later, images))
    assert not any(one.in_range for one in detector.verdicts(detector.stat[K, 990], errors[K, 990], later, images))
    with pytest.raises(ValueError, match="without the images"):
        detector.verdicts(detector.stat[K, 660], errors[K, 660], errors)


def test_an_image_at_a_limit_is_near_an_edge(detector: Detector) -> None:
    """Company may change a t-error by rounding: the image whose call that could change is judged alone."""
    images = pictures(40, 3)
    errors, _ = finish(score(detector, images, [K]))
    known = detector.ranges[K]
    assert not near_an_edge(replace(detector, stat={}), errors, None, images).tolist()
    limits = [
        tuple(distance for distance in cloud.distances(_described(images, errors))[:1]) * 3 for cloud in known.clouds
    ]
    moved = replace(
        known, real=replace(known.real, limits=limits[0]), generated=replace(known.generated, limits=limits[1])
    )
    assert 0 in near_an_edge(replace(detector, stat={}, ranges={K: moved}), errors, None, images)


def _described(images: np.ndarray, errors: dict[Any, np.ndarray]) -> np.ndarray:
    from sedid.data.image_statistics import plain_statistics
    from sedid.stats.ranges import describe

    return describe(plain_statistics(images), np.stack(list(errors.values())))


def test_pixels_come_back_from_the_model_s_scale() -> None:
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert (as_images(as_model_input(levels)) == levels).all()


def first(info: Info) -> dict[str, Any]:
    return info["stat"]["ranges"][0]["real"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda info: info["stat"].update(ranges={}), "ranges must be a list"),
        (lambda info: info["stat"]["ranges"][0].update(k=165), "along k = 165, which is not calibrated"),
        (lambda info: info["stat"]["ranges"][0].update(k=[0, 5, 3]), "ascending timesteps"),
        (lambda info: info["stat"]["ranges"][0].pop("generated"), "a class of a range must be an object"),
        (lambda info: first(info)["limits"].pop(), "a range of 3 steps has 6 means, as many rows of covariance, and 3"),
        (lambda info: first(info)["mean"].append(1), "a range of 3 steps has 6 means"),
        (lambda info: first(info)["covariance"].pop(), "a range of 3 steps has 6 means"),
        (lambda info: first(info)["covariance"][2].pop(), "a range of 3 steps has 6 means"),
        (lambda info: first(info).update(limits=[1, 2, 0]), "3 limits above 0"),
        (lambda info: first(info).update(limits=[1, 2, float("nan")]), "limits must be a finite number"),
        (lambda info: first(info)["covariance"][0].__setitem__(0, -1.0), "symmetric and positive definite"),
        (lambda info: first(info)["covariance"][0].__setitem__(1, 7.0), "symmetric and positive definite"),
    ],
)
def test_a_range_that_is_none_is_refused(info: Info, edit: Callable[[Info], Any], said: str) -> None:
    changed = json.loads(json.dumps(info))
    edit(changed)
    with pytest.raises(ValueError, match=said):
        read_calibrations(changed, make_detector().schedule)


def test_a_bundle_without_ranges_goes_on_by_its_t_errors(info: Info) -> None:
    old = {"stat": {name: value for name, value in info["stat"].items() if name != "ranges"}}
    assert read_calibrations(old, make_detector().schedule).ranges == {}

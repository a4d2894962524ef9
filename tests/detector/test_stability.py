"""The verdict over mild re-encodings: which versions there are, and when it is "cannot tell"."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.fakes import calling as saying
from helpers.fakes import make_apart, make_detector, make_image

from sedid.data.perturb import perturb, perturbation
from sedid.detector.detector import Call
from sedid.detector.stability import MILD, Stability, check, in_words, versions
from sedid.report import evidence


def test_every_version_is_another_picture_but_nearly_the_same() -> None:
    image = make_image(4)
    found = versions(image)
    assert found[0].label == "as it is"
    assert found[0].image is image
    assert (
        len({version.label for version in found}) == len({version.image.tobytes() for version in found}) == len(found)
    )
    for version in found:
        assert version.image.dtype == np.uint8
        assert version.image.shape == image.shape
    for version in found[1:]:
        if "mirrored" not in version.label:
            assert np.abs(version.image.astype(int) - image).mean() < 15
    again = [version.image for version in versions(image)]
    assert all(np.array_equal(a, b.image) for a, b in zip(again, found, strict=True))


def test_the_changes_are_those_of_the_re_save_panel_and_a_shift() -> None:
    image = make_image(4)
    by_label = {version.label: version.image for version in versions(image)}
    for name, strength in MILD:
        one = perturbation(name, strength)
        assert np.array_equal(by_label[one.label], perturb(image, one))
    right, down = by_label["moved one pixel right"], by_label["moved one pixel down"]
    assert np.array_equal(right[:, 1:], image[:, :-1])
    assert np.array_equal(down[1:], image[:-1])
    assert np.array_equal(right[:, 0], image[:, 0])


def test_one_batch_judges_every_version_as_alone() -> None:
    detector, image = make_detector(), make_image(2)
    found = check(detector, image)
    assert (found.k, found.t_sec) == detector.chosen
    assert detector.eps_model.calls == 3  # t = 0, 165, 330: all versions at once
    for version, judgement in zip(found.versions, found.judgements, strict=True):
        assert judgement.t_error == pytest.approx(detector.inspect(version.image).judgement.t_error, rel=1e-5)
    errors = [judgement.t_error for judgement in found.judgements]
    assert found.spread == (min(errors), max(errors))
    apart = check(make_apart(), image)
    assert apart.outcome("NN") == check(make_apart(), image, t_sec=495).outcome("NN")
    assert "At k = 165, T_SEC = 330, NN at its own T_SEC 495, on the pixels" in evidence.stability_part(apart)
    assert "own T_SEC" not in evidence.stability_part(found)


def calling(*calls: str) -> Stability:
    """A result whose STAT made these calls."""
    found = check(make_detector(), make_image(2))
    judgements = []
    for name, judgement in zip(calls, found.judgements, strict=False):
        judgements.append(replace(judgement, stat=saying(name, judgement.stat)))
    return replace(found, versions=found.versions[: len(calls)], judgements=tuple(judgements))


def test_a_verdict_stands_only_if_all_versions_agree() -> None:
    stable = calling("real", "real", "real").outcome("STAT")
    assert stable is not None
    assert (stable.result, stable.agree, stable.of, stable.opposite) == ("real", 3, 3, False)
    assert in_words(stable, "STAT") == "STAT stays “real” in all 3 versions."
    flips = calling("real", "generated", "real", "cannot tell").outcome("STAT")
    assert flips is not None
    assert (flips.result, flips.call, flips.agree, flips.of, flips.opposite) == ("cannot tell", "real", 2, 4, True)
    assert "Only 2 of 4 versions come to “real”" in in_words(flips, "STAT")
    assert "generated in 1" in in_words(flips, "STAT")
    unsure = calling("generated", Call.OUTSIDE).outcome("STAT")
    assert unsure is not None
    assert (unsure.result, unsure.opposite) == ("cannot tell", False)
    for others in ((Call.OUTSIDE,), ("real", "generated")):
        lost = calling(Call.OUTSIDE, *others).outcome("STAT")
        assert lost is not None
        assert lost.result == Call.OUTSIDE
        assert in_words(lost, "STAT") == "STAT: no verdict to check. The image itself is outside the calibrated range."


def test_without_a_calibration_only_the_t_errors_are_compared() -> None:
    found = check(make_detector(calibrated=False), make_image(2), 165, 330)
    assert found.outcome("STAT") is None
    assert found.outcome("NN") is None
    assert found.spread[0] < found.spread[1]


def test_an_image_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        check(make_detector(), make_image(2).astype(np.float32))

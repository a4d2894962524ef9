"""Perturbations: pure, deterministic, rounded, and the identity where they should be."""

from io import BytesIO

import numpy as np
import pytest
from helpers.bundles import pictures
from helpers.fakes import make_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sedid.data.perturb import FAMILIES, NONE, named, perturb, perturb_all, perturbation

EVERY = [one for name in FAMILIES for one in named(name)]
RANDOM = np.random.default_rng(3).integers(0, 256, (24, 40, 3), np.uint8)


def float64(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.key)
def test_size_and_type_stay_and_the_image_is_not_touched(one) -> None:
    kept = RANDOM.copy()
    found = perturb(RANDOM, one)
    assert (found.shape, found.dtype) == (RANDOM.shape, np.uint8)
    assert np.array_equal(RANDOM, kept)
    assert not np.array_equal(found, RANDOM)
    assert np.array_equal(found, perturb(RANDOM, one))


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.key)
def test_a_batch_is_its_images_one_by_one_wherever_it_is_cut(one) -> None:
    images = pictures(5)
    whole = perturb_all(images, one, seed=4)
    parts = [perturb_all(images[:2], one, 4), perturb_all(images[2:], one, 4, first=2)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole[3], perturb(images[3], one, 4, place=3))


@pytest.mark.parametrize("name", FAMILIES)
def test_no_strength_is_the_identity_and_so_is_the_neutral_one(name: str) -> None:
    assert perturb(RANDOM, perturbation(name)) is RANDOM
    assert perturb_all(RANDOM[None], NONE)[0].base is not None  # a view: nothing was done
    neutral = FAMILIES[name].neutral
    if neutral is not None:
        assert np.array_equal(perturb(RANDOM, perturbation(name, neutral)), RANDOM)
    else:
        assert not np.array_equal(perturb(RANDOM, perturbation(name, FAMILIES[name].high)), RANDOM)


def test_jpeg_is_the_file_pillow_writes_with_its_subsampling_stated() -> None:
    image = make_image(2)
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=50, subsampling="4:2:0")
    file.seek(0)
    assert np.array_equal(perturb(image, perturbation("jpeg", 50)), np.asarray(Image.open(file)))
    error = [np.abs(float64(perturb(image, one)) - image).mean() for one in named("jpeg")]
    assert error == sorted(error)  # named from gentle to strong


def test_blur_is_a_gaussian_convolution_in_float64_rounded() -> None:
    image, sigma, reach = np.zeros((31, 31, 3), np.uint8), 1.3, 5
    image[15, 15] = (255, 100, 7)
    x = np.arange(-reach, reach + 1)
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    expected = np.zeros(image.shape)
    expected[10:21, 10:21] = kernel[:, :, None] * image[15, 15]
    assert np.array_equal(perturb(image, perturbation("blur", sigma)), np.rint(expected).astype(np.uint8))


def test_noise_has_its_stated_deviation_and_differs_between_places_and_seeds() -> None:
    gray = np.full((200, 200, 3), 128, np.uint8)
    one = perturbation("noise", 10)
    gap = float64(perturb(gray, one)) - 128
    assert gap.std() == pytest.approx(10, rel=0.02)
    assert abs(gap.mean()) < 0.2  # rounding is not truncation: that would be -0.5
    others = [perturb(gray, one, seed, place) for seed, place in ((0, 1), (1, 0), (1, 1))]
    assert len({other.tobytes() for other in others} | {perturb(gray, one).tobytes()}) == 4


@given(st.floats(0.1, 3), st.sampled_from(["brightness", "contrast"]))
@settings(max_examples=40, deadline=None)
def test_brightness_and_contrast_map_every_level_as_written(factor: float, name: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    centre = 0.0 if name == "brightness" else 127.5
    expected = np.array([min(max(round(centre + factor * (level - centre)), 0), 255) for level in range(256)])
    found = perturb(ramp, perturbation(name, factor))
    assert np.array_equal(found[..., 0].ravel(), expected)


def test_crop_keeps_the_middle_and_resize_loses_what_is_fine() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[8:24, 8:24] = 200
    assert (perturb(image, perturbation("crop", 0.5)) == 200).all()
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    halved = perturb(stripes, perturbation("resize", 0.5))
    assert float64(halved).std() < float64(stripes).std() / 4
    assert float64(halved).mean() == pytest.approx(100, abs=2)


def test_a_mirrored_mirror_image_is_the_image() -> None:
    one = perturbation("flip", 1)
    assert np.array_equal(perturb(perturb(RANDOM, one), one), RANDOM)
    assert np.array_equal(perturb(RANDOM, one), RANDOM[:, ::-1])


def test_settings_name_default_strengths_or_one() -> None:
    assert [one.strength for one in named("jpeg")] == [95, 90, 75, 50, 30]
    assert named(" crop:0.8")[0].label == "cropped to 80% of the side"
    assert [one.key for one in EVERY] == [named(one.key)[0].key for one in EVERY]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("jpg", "did you mean 'jpeg'"),
        ("jpeg:0", "from 1 to 100, not 0"),
        ("jpeg:50.5", "a whole number"),
        ("jpeg:nan", "from 1 to 100"),
        ("blur:-1", "from 0 to 4"),
        ("blur:much", "name:strength, jpeg:75 for instance"),
    ],
)
def test_what_does_not_exist_is_refused(setting: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        named(setting)


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 image \(H, W, 3\)"):
        perturb(RANDOM.astype(np.float32), perturbation("flip", 1))

"""Image statistics against their formulas written out, and on images made to have what they measure."""

import math
from io import BytesIO

import numpy as np
import pytest
from helpers.fakes import make_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from sedid.data.image_statistics import STATISTICS, blockiness, high_frequency, image_statistics, luma, resize_blur


def noisy(count: int, seed: int = 0, side: int = 32) -> np.ndarray:
    """Photographs of a sort: smooth colour with fine noise, uint8 (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    smooth = np.stack([make_image(seed + i, side) for i in range(count)]).astype(float)
    return (0.5 * smooth + 60 + rng.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8)


def edited(images: np.ndarray, edit) -> np.ndarray:
    return np.stack([np.asarray(edit(Image.fromarray(one))) for one in images])


def jpeg(quality: int):
    def through(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return through


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return noisy(4)


def test_the_high_frequency_share_is_its_formula() -> None:
    """The DCT-II as its definition reads, on an image whose sides differ."""
    y = luma(noisy(1, 3)[:, :16, :20])[0]
    power = np.zeros_like(y)
    for i in range(16):
        for j in range(20):
            across = np.cos(np.pi * (2 * np.arange(16) + 1) * i / 32)[:, None]
            along = np.cos(np.pi * (2 * np.arange(20) + 1) * j / 40)
            scale = math.sqrt((1 if i == 0 else 2) / 16) * math.sqrt((1 if j == 0 else 2) / 20)
            power[i, j] = (scale * (y * across * along).sum()) ** 2
    power[0, 0] = 0
    high = sum(power[i, j] for i in range(16) for j in range(20) if i / 16 >= 0.5 or j / 20 >= 0.5)
    assert high_frequency(y[None])[0] == pytest.approx(high / power.sum(), rel=1e-10)


def test_laplacian_and_blockiness_are_their_formulas(images: np.ndarray) -> None:
    y, found = luma(images), image_statistics(images)
    for n in range(len(y)):
        values = [
            y[n, i - 1, j] + y[n, i + 1, j] + y[n, i, j - 1] + y[n, i, j + 1] - 4 * y[n, i, j]
            for i in range(1, 31)
            for j in range(1, 31)
        ]
        assert found["laplacian_variance"][n] == pytest.approx(math.log(1 + np.var(values)), rel=1e-12)
        across, inside = [], []
        for i in range(31):
            for j in range(32):
                steps = abs(y[n, i + 1, j] - y[n, i, j]), abs(y[n, j, i + 1] - y[n, j, i])
                (across if i % 8 == 7 else inside).extend(steps)
        expected = math.log((np.mean(across) + 0.5) / (np.mean(inside) + 0.5))
        assert found["blockiness"][n] == pytest.approx(expected, abs=1e-12)


def test_resize_blur_is_what_pillow_leaves(images: np.ndarray) -> None:
    def energy(y: np.ndarray) -> float:
        return float((np.diff(y, axis=0) ** 2).sum() + (np.diff(y, axis=1) ** 2).sum())

    for y, found in zip(luma(images), resize_blur(luma(images)), strict=True):
        image = Image.fromarray(y.astype(np.float32))
        again = image.resize((16, 16), Image.Resampling.BILINEAR).resize((32, 32), Image.Resampling.BILINEAR)
        assert found == pytest.approx(energy(np.asarray(again, np.float64)) / energy(y), rel=1e-4)


def test_mean_and_contrast_are_those_of_bt_601(images: np.ndarray) -> None:
    red, green, blue = np.moveaxis(images.astype(np.float64), 3, 0)
    gray = (0.299 * red + 0.587 * green + 0.114 * blue).reshape(len(images), -1)
    np.testing.assert_allclose(image_statistics(images)["mean"], gray.mean(1))
    np.testing.assert_allclose(image_statistics(images)["contrast"], gray.std(1))


def test_a_blocky_image_is_blocky(images: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    clean = blockiness(luma(images))
    assert blockiness(luma(blocks)).min() > 2
    assert (blockiness(luma(edited(images, jpeg(20)))) > clean).all()
    shifted = np.roll(blocks, 4, axis=(1, 2))  # the grid must start at the corner
    assert blockiness(luma(shifted)).max() < 0


def test_blur_takes_detail_away(images: np.ndarray) -> None:
    sharp = image_statistics(images)
    blurred = image_statistics(edited(images, lambda image: image.filter(ImageFilter.GaussianBlur(1.0))))
    half = edited(images, lambda image: image.resize((16, 16), Image.Resampling.BILINEAR))
    enlarged = image_statistics(edited(half, lambda image: image.resize((32, 32), Image.Resampling.BILINEAR)))
    for soft in (blurred, enlarged):
        assert (soft["high_frequency"] < sharp["high_frequency"]).all()
        assert (soft["laplacian_variance"] < sharp["laplacian_variance"]).all()
        assert (soft["resize_blur"] > sharp["resize_blur"]).all()


def test_a_flat_image_has_no_detail() -> None:
    found = image_statistics(np.full((1, 32, 32, 3), 77, np.uint8))
    values = {name: float(value[0]) for name, value in found.items()}
    expected = {"high_frequency": 0, "laplacian_variance": 0, "blockiness": 0, "resize_blur": 1, "mean": 77}
    assert values == pytest.approx(expected | {"contrast": 0}, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.integers(-20, 20), axis=st.sampled_from([1, 2]))
def test_what_does_not_change_the_detail(seed: int, shift: int, axis: int) -> None:
    images = noisy(1, seed).clip(20, 235)
    before = image_statistics(images)
    for turned in (np.flip(images, axis), images.swapaxes(1, 2)):
        for name, value in image_statistics(np.ascontiguousarray(turned)).items():
            assert value[0] == pytest.approx(before[name][0], rel=1e-7, abs=1e-9), name
    brighter = image_statistics((images.astype(int) + shift).astype(np.uint8))
    for name in set(STATISTICS) - {"mean"}:
        assert brighter[name][0] == pytest.approx(before[name][0], rel=1e-7, abs=1e-9), name
    assert brighter["mean"][0] - before["mean"][0] == pytest.approx(shift)


def test_other_arrays_are_refused() -> None:
    for wrong in (np.zeros((1, 32, 32, 3)), np.zeros((32, 32, 3), np.uint8), np.zeros((1, 8, 32, 3), np.uint8)):
        with pytest.raises(ValueError, match="at least 16x16"):
            image_statistics(wrong)

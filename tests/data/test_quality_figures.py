"""The image-quality figure: zero for equal sets, grows with what is wrong, and tells detail from contrast."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sedid.data.datasets import load_images
from sedid.data.quality import chance, contrast, patches, pyramid, sliced_wasserstein
from sedid.report.markdown import quality_table
from sedid.studies.shipped import QualityResults, QualityRow, Reference


@pytest.fixture(scope="module")
def halves() -> tuple[np.ndarray, np.ndarray]:
    reals = load_images("sample:real[0:160]", 32, None)
    return reals[:80], reals[80:]


def test_equal_sets_are_at_no_distance(halves: tuple[np.ndarray, np.ndarray]) -> None:
    assert sliced_wasserstein(halves[0], halves[0]) == {32: 0.0, 16: 0.0}


def test_the_pyramid_gives_the_image_back() -> None:
    x = torch.rand(2, 3, 64, 64)
    fine, middle, rest = pyramid(x)
    assert [level.shape[-1] for level in (fine, middle, rest)] == [64, 32, 16]
    enlarged = torch.nn.functional.interpolate(rest, scale_factor=2, mode="bilinear") + middle
    again = torch.nn.functional.interpolate(enlarged, scale_factor=2, mode="bilinear") + fine
    assert torch.allclose(again, x, atol=1e-5)


def test_a_patch_is_cut_out_of_its_own_image() -> None:
    level = torch.arange(3.0)[:, None, None, None] + torch.zeros(3, 2, 9, 9)
    cut = patches(level, torch.Generator().manual_seed(0))
    assert cut.shape == (3 * 64, 2, 7, 7)
    assert torch.equal(cut[:, 0, 0, 0], torch.arange(3.0).repeat_interleave(64))


def test_noise_shows_in_the_detail_and_contrast_in_the_shapes(halves: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = halves
    chance = sliced_wasserstein(one, other)
    noise = np.random.default_rng(0).normal(0, 12, other.shape)
    noisy = sliced_wasserstein(one, (other + noise).clip(0, 255).astype(np.uint8))
    flat = sliced_wasserstein(one, ((other / 255.0 - 0.5) * 127 + 127).astype(np.uint8))
    assert noisy[32] > 1.5 * chance[32]
    assert noisy[32] - chance[32] > noisy[16] - chance[16]
    assert flat[16] > 1.5 * chance[16]


def test_contrast_is_the_spread_of_values() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[1, :2] = 200
    assert contrast(images) == pytest.approx(50.0)


def test_sets_of_different_sizes_are_refused(halves: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        sliced_wasserstein(halves[0], halves[1][:10])


def test_few_images_are_farther_from_reals_by_chance(halves: tuple[np.ndarray, np.ndarray]) -> None:
    """Real images, cut to 10 and to 80: only the level of their own count says that they are real."""
    reference, others = halves
    few, many = (chance(reference[:count], others, draws=3) for count in (10, 80))
    assert few.draws == 3
    for level in (32, 16):
        assert few.swd[level].low > 1.5 * many.swd[level].high
        for found in (few, many):
            assert found.swd[level].low <= found.swd[level].mean <= found.swd[level].high
    assert many.contrast.high - many.contrast.low == pytest.approx(0, abs=1e-9)  # all of them, each time
    assert few.contrast.high - few.contrast.low > 1e-3
    with pytest.raises(ValueError, match="80 real images are too few to draw 81"):
        chance(np.concatenate([reference, reference[:1]]), others)


def test_the_table_sets_every_row_beside_its_own_chance(halves: tuple[np.ndarray, np.ndarray]) -> None:
    reference, others = halves
    rows = []
    for count in (10, 40):
        swd = sliced_wasserstein(reference[:count], others[:count])
        level = chance(reference[:count], others, draws=2)
        rows.append(QualityRow(f"set of {count}", count, swd, 50.0, None, level))
    found = QualityResults(method="SWD", reference=Reference(80, contrast(reference)), rows=tuple(rows))
    text = quality_table(found)
    for row in rows:
        assert row.chance is not None
        level = row.chance.swd[32]
        assert f"| {row.count} | {row.swd[32]:.1f} | {level.mean:.1f} ({level.low:.1f} to {level.high:.1f}) |" in text
    assert "mean and range of 2 draws" in text
    older = replace(found, rows=(rows[0], replace(rows[1], chance=None)))
    assert "| not measured |" in quality_table(older)

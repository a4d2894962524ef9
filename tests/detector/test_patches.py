"""Tiles of a large picture: where they lie, what they score, what they come to together."""

import numpy as np
import pytest
import torch
from helpers.fakes import make_apart, make_detector, make_image
from hypothesis import given
from hypothesis import strategies as st

from sedid.detector import tiles as tiles_detector
from sedid.detector.batches import judge_in_batches
from sedid.detector.detector import Call, Detector
from sedid.detector.tiles import MAX_EVALUATIONS, MAX_TILES, Grid, PatchMap, cut, plan, score_patches
from sedid.method.diffusion import NoiseSchedule
from sedid.models.networks import Runtime, eps_model
from sedid.report import evidence

lengths = st.integers(32, 700)


def painted(grid: Grid) -> np.ndarray:
    """How many tiles lie on each pixel."""
    count = np.zeros((grid.height, grid.width), int)
    for left, top in grid.corners:
        count[top : top + grid.size, left : left + grid.size] += 1
    return count


@given(lengths, lengths)
def test_tiles_cover_the_picture_or_say_how_much_they_leave_out(width: int, height: int) -> None:
    grid = plan(width, height, 32, 6)
    count = painted(grid)
    assert len(grid) == len(set(grid.corners)) <= MAX_TILES
    assert grid.covered == (count > 0).mean()
    assert all(count[y, x] for y in (0, -1) for x in (0, -1))  # always out to the edges
    if grid.stride == 32:
        assert count.all()
        assert grid.full == len(grid)
        assert "cover the whole" in grid.words or len(grid) == 1
    else:
        assert grid.full > MAX_TILES
        assert f"One in every {grid.stride // 32}" in grid.words
    assert (count[: height // 32 * 32, : width // 32 * 32] <= 1).all() or width % 32 or height % 32


@given(st.integers(32, 20_000), st.integers(32, 20_000), st.integers(5, 495))
def test_the_cost_is_bounded_for_any_picture_and_any_k(width: int, height: int, k: int) -> None:
    t_sec = 999 // k * k
    tiles = len(plan(width, height, 32, t_sec // k + 1))
    assert tiles <= 4 or tiles * (t_sec // k + 1) <= MAX_EVALUATIONS


def test_a_picture_smaller_than_a_tile_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="40x31 is too small"):
        plan(40, 31, 32, 6)


def test_every_tile_is_the_part_of_the_picture_that_it_says() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (70, 101, 3), dtype=np.uint8)
    grid = plan(101, 70, 32, 6)
    assert grid.columns == (0, 32, 64, 69)
    for (left, top), tile in zip(grid.corners, cut(picture, grid), strict=True):
        assert np.array_equal(tile, picture[top : top + 32, left : left + 32])


def test_a_picture_of_native_size_is_one_tile_with_the_score_of_the_whole() -> None:
    detector, image = make_detector(), make_image(3)
    found = score_patches(detector, image)
    assert len(found.grid) == 1
    whole = detector.inspect(image).judgement
    assert found.judgements == (whole,)
    assert found.spread().median == whole.t_error


def tiny(tiny_unet) -> Detector:
    runtime = Runtime(torch.device("cpu"))
    return Detector(eps_model(tiny_unet(), runtime), NoiseSchedule.linear(), runtime, "tiny", size=8)


def test_one_at_a_time_is_as_many_at_once(tiny_unet, one_thread) -> None:
    detector = tiny(tiny_unet)
    tiles = np.random.default_rng(1).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    told: list[tuple[int, int]] = []
    alone = judge_in_batches(detector, tiles, 330, 660, batch=1)
    together = judge_in_batches(detector, tiles, 330, 660, lambda *at: told.append(at), batch=4)
    assert [one.t_error for one in together] == pytest.approx([one.t_error for one in alone], rel=1e-4)
    assert told == [(done, 6) for done in range(1, 7)]  # two batches of three points
    assert judge_in_batches(detector, tiles[:0], 330, 660) == []
    with pytest.raises(ValueError, match="multiple of k"):
        judge_in_batches(detector, tiles[:0], 330, 500)


def test_each_tile_scores_as_if_it_were_a_picture_of_its_own() -> None:
    detector, picture = make_detector(), make_image(5, 80)
    found = score_patches(detector, picture, 165, 330)
    for tile, judgement in zip(cut(picture, found.grid), found.judgements, strict=True):
        alone = detector.inspect(tile, 330, 165).judgement
        assert judgement.t_error == pytest.approx(alone.t_error, rel=1e-5)
        assert judgement.stat is not None
        assert alone.stat is not None
        assert judgement.stat.call == alone.stat.call


def test_the_budget_counts_the_whole_walk_and_the_map_says_where_the_classifier_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector, picture = make_apart(), make_image(5, 32 * 12)
    monkeypatch.setattr(tiles_detector, "MAX_TILES", 10**6)
    found = score_patches(detector, picture, 165, 330)
    assert found.grid == plan(384, 384, 32, 4)
    assert len(found.grid) * 4 <= MAX_EVALUATIONS
    own = score_patches(detector, picture, 165, 495)
    assert found.scores("NN") == pytest.approx(own.scores("NN"))
    assert "At k = 165, T_SEC = 330, NN at its own T_SEC 495." in evidence.patch_part(found, "")
    assert "own T_SEC" not in evidence.patch_part(own, "")


def test_the_aggregate_is_the_median_the_quartiles_and_the_share_called_generated() -> None:
    found = score_patches(make_detector(), make_image(5, 80), 165, 330)
    scores = [one.t_error for one in found.judgements]
    spread = found.spread()
    assert spread.median == np.median(scores)
    assert (spread.low, spread.high) == tuple(np.percentile(scores, (25, 75)))
    for method in ("STAT", "NN"):
        assert sum(found.calls(method).values()) == len(found.grid)
        verdicts = [one.stat if method == "STAT" else one.nn for one in found.judgements]
        generated = [v is not None and v.call == "generated" for v in verdicts]
        assert found.share_generated(method) == np.mean(generated)
    outside = [one.stat is not None and not one.stat.in_range for one in found.judgements]
    assert found.calls("STAT")[Call.OUTSIDE] == sum(outside)


def test_without_a_calibration_there_are_scores_and_no_calls() -> None:
    found = score_patches(make_detector(calibrated=False), make_image(5, 80), 165, 330)
    assert not found.has("STAT")
    assert not found.calls("STAT")
    assert found.spread().median > 0
    with pytest.raises(ValueError, match="not calibrated"):
        found.scores("NN")


def test_a_map_keeps_the_order_of_its_grid() -> None:
    detector = make_detector()
    left, right = make_image(1), make_image(2)
    found = score_patches(detector, np.concatenate([left, right], 1), 165, 330)
    assert isinstance(found, PatchMap)
    assert [one.t_error for one in found.judgements] == pytest.approx(
        [detector.inspect(image, 330, 165).judgement.t_error for image in (left, right)], rel=1e-5
    )

"""What changes a score without anything else having changed, and by how much at most: docs/reproducibility.md states the bounds.

Stopped and resumed, in several processes, and run again: see the tests that the page names.
"""

import numpy as np
import pytest
import torch
from helpers.bundles import K, pictures, shared_bundle, shared_detector

from sedid.detector.bundle import load_detector
from sedid.detector.detector import Detector
from sedid.progress import finish
from sedid.recipes.verify import BOUNDS
from sedid.training.scoring import score

COUNT = 9  # more than networks.FOLD_FROM: large batches take another kernel


def scores(detector: Detector, batch: int = COUNT) -> np.ndarray:
    """t-errors at the six T_SEC, then probabilities, (7, COUNT)."""
    found, probabilities = finish(score(detector, pictures(COUNT, 5), [K], batch))
    assert probabilities is not None
    return np.stack([*(found[K, t_sec] for t_sec in detector.t_secs(K)), probabilities])


def apart(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The largest difference of t-errors, as a share, and of probabilities."""
    return float(np.abs(other[:-1] / one[:-1] - 1).max()), float(np.abs(other[-1] - one[-1]).max())


@pytest.fixture
def alone(one_thread: None) -> np.ndarray:
    """In one batch, on one thread, in float32."""
    return scores(shared_detector())


def test_again_is_the_same_bits(alone: np.ndarray) -> None:
    np.testing.assert_array_equal(scores(load_detector(shared_bundle(), device="cpu")), alone)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_the_batch_size_is_seen_in_the_last_digits(alone: np.ndarray, batch: int) -> None:
    t_errors, probabilities = apart(alone, scores(shared_detector(), batch))
    assert t_errors <= BOUNDS["fp32"] / 20
    assert probabilities <= BOUNDS["fp32"] / 20


def test_so_are_threads(alone: np.ndarray) -> None:
    torch.set_num_threads(2)  # `one_thread` puts it back
    assert max(apart(alone, scores(shared_detector()))) <= BOUNDS["fp32"] / 20


def test_half_precision_is_seen_in_the_second_digit(alone: np.ndarray) -> None:
    found = apart(alone, scores(load_detector(shared_bundle(), device="cpu", precision="bf16")))
    assert BOUNDS["fp32"] < max(found) <= BOUNDS["bf16"]

"""t-errors (and classifier probabilities) of a whole set of images: one trajectory a batch and k, nothing kept
but the scores."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from sedid.detectors import Detector, nn_input
from sedid.diffusion import Point, t_error
from sedid.progress import Meter, Progress

Scores = dict[tuple[int, int], np.ndarray]
"""(k, T_SEC) -> E of every image, float64 (N,)."""


def counted(points: Iterable[Point], meter: Meter) -> Iterator[Point]:
    """Pass points through, counting each evaluated image on the meter."""
    for point in points:
        meter.done += len(point.x)
        yield point


def score(
    detector: Detector, images: np.ndarray, ks: Sequence[int], batch_size: int = 64, stage: str = "scoring"
) -> Generator[Progress, None, tuple[Scores, np.ndarray | None]]:
    """E at every T_SEC of every k; N + 1 network evaluations an image and k.

    Args:
        images: uint8 (N, H, W, 3), as the detector sees them.

    Returns:
        Scores of all pairs (k, T_SEC), and the classifier's probabilities (N,) read off the same trajectories;
        None where the detector has no classifier at one of these k. Both in the order of `images`.
    """
    meter = Meter(stage, len(images) * sum(detector.max_t_sec(k) // k + 1 for k in ks), "evaluations")
    scores: Scores = {}
    probabilities = np.empty(len(images)) if detector.nn and detector.nn.k in ks else None
    for k in ks:
        found = np.empty((detector.max_t_sec(k) // k, len(images)))
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            for near, far in pairwise(counted(detector.walk(images[part], k), meter)):
                found[far.t // k - 1, part] = t_error(detector.schedule, near, far).score.double().cpu().numpy()
                if detector.nn and probabilities is not None and (k, far.t) == (detector.nn.k, detector.nn.t_sec):
                    inputs = nn_input(detector.schedule, near, far, detector.nn.input)
                    probabilities[part] = detector.probabilities(inputs)
                yield meter.at(meter.done)
        scores |= {(k, k * (row + 1)): values for row, values in enumerate(found)}
    return scores, probabilities


def features(
    detector: Detector, images: np.ndarray, k: int, t_sec: int, mode: str, batch_size: int = 64, stage: str = "features"
) -> Generator[Progress, None, np.ndarray]:
    """Classifier inputs at one (k, T_SEC): float16 (N, channels, H, W), the trajectory walked no further."""
    meter = Meter(stage, len(images) * (t_sec // k + 1), "evaluations")
    found = []
    for start in range(0, len(images), batch_size):
        for near, far in pairwise(counted(detector.walk(images[start : start + batch_size], k, t_sec), meter)):
            yield meter.at(meter.done)
            if far.t == t_sec:
                found.append(nn_input(detector.schedule, near, far, mode).half().cpu().numpy())
    return np.concatenate(found)

"""t-errors of a whole set of images: one trajectory a batch and k, nothing kept but the scores."""

from collections.abc import Generator, Sequence

import numpy as np

from sedid.data import as_model_input
from sedid.detectors import Detector, nn_input
from sedid.diffusion import t_errors, trajectory
from sedid.progress import Meter, Progress

Scores = dict[tuple[int, int], np.ndarray]
"""(k, T_SEC) -> E of every image, float64 (N,)."""


def score(
    detector: Detector, images: np.ndarray, ks: Sequence[int], batch_size: int = 64, stage: str = "scoring"
) -> Generator[Progress, None, Scores]:
    """E at every T_SEC of every k; N + 1 network evaluations an image and k.

    Args:
        images: uint8 (N, H, W, 3), as the detector sees them.

    Returns:
        Scores for all pairs (k, T_SEC), in the order of `images`.
    """
    meter = Meter(stage, len(images) * sum(detector.max_t_sec(k) // k + 1 for k in ks), "evaluations")
    scores: Scores = {}
    done = 0
    for k in ks:
        top = detector.max_t_sec(k)
        found = np.empty((top // k, len(images)))
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            x_0 = as_model_input(images[part]).to(detector.runtime.device)
            done += len(x_0)  # the evaluation at t = 0
            for error in t_errors(detector.eps_model, x_0, detector.schedule, k, top):
                found[error.t_sec // k - 1, part] = error.score.double().cpu().numpy()
                done += len(x_0)
                yield meter.at(done)
        scores |= {(k, k * (row + 1)): values for row, values in enumerate(found)}
    return scores


def features(
    detector: Detector, images: np.ndarray, k: int, t_sec: int, mode: str, batch_size: int = 64, stage: str = "features"
) -> Generator[Progress, None, np.ndarray]:
    """Classifier inputs at one (k, T_SEC): float16 (N, channels, H, W), the trajectory walked no further."""
    meter = Meter(stage, len(images) * (t_sec // k + 1), "evaluations")
    found = []
    done = 0
    for start in range(0, len(images), batch_size):
        x_0 = as_model_input(images[start : start + batch_size]).to(detector.runtime.device)
        near = far = None
        for point in trajectory(detector.eps_model, x_0, detector.schedule, k, t_sec):
            near, far = far, point
            done += len(x_0)
            yield meter.at(done)
        assert near is not None and far is not None
        found.append(nn_input(detector.schedule, near, far, mode).half().cpu().numpy())
    return np.concatenate(found)

"""t-errors (and classifier probabilities) of a set of images: one trajectory a batch and k, nothing kept but the scores.

Several processes (`sedid.processes`) share the batches, and each ends with all results.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from sedid import processes
from sedid.detector.detector import Detector, Pair
from sedid.method.diffusion import Path, Point, Steps, check_path, nn_input, read_steps, t_error, write_steps
from sedid.method.ledger import Ledger
from sedid.progress import Meter, Progress

Scores = dict[Pair, np.ndarray]
"""(k, T_SEC) -> E of every image, float64 (N,)."""


def pairs_to_keep(pairs: Iterable[Pair]) -> np.ndarray:
    """Pairs as a .npz holds them, text (P, 2): k or the timesteps of a path (`write_steps`), and T_SEC."""
    return np.array([(write_steps(k), str(t_sec)) for k, t_sec in pairs])


def kept_pairs(array: np.ndarray) -> list[Pair]:
    """The pairs of `pairs_to_keep`, or of the versions before, which knew no paths: int32 (P, 2).

    Raises:
        ValueError: it holds something else.
    """
    walks = [(str(k), int(t_sec)) for k, t_sec in array]
    return [(read_steps(k) if "," in k else int(k), t_sec) for k, t_sec in walks]


def counted(points: Iterable[Point], meter: Meter) -> Iterator[Point]:
    """Pass points through, counting each evaluated image on the meter, as often as there are processes like this."""
    for point in points:
        meter.done = min(meter.done + len(point.x) * processes.count(), meter.total)
        yield point


def batches(images: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """The images in order, cut into batches: views."""
    return [images[start : start + batch_size] for start in range(0, len(images), batch_size)]


def score(
    detector: Detector, images: np.ndarray, ks: Sequence[Steps], batch_size: int = 32, stage: str = "scoring"
) -> Generator[Progress, None, tuple[Scores, np.ndarray | None]]:
    """E at every T_SEC of every k, each a step size or a path; N + 1 network evaluations an image and k.

    Args:
        images: uint8 (N, H, W, 3), as the detector sees them.

    Returns:
        Scores of all pairs (k, T_SEC), and the classifier's probabilities (N,) read off the same trajectories;
        None where the detector has no classifier at one of these k. Both in the order of `images`.

    Raises:
        ValueError: a k outside the schedule.
    """
    meter = Meter(stage, len(images) * sum(map(detector.evaluations, ks)), "evaluations")
    scores: Scores = {}
    probabilities = None
    for k in ks:
        found = []  # (T_SEC, image) a batch
        judged = []
        for batch in processes.share(batches(images, batch_size)):
            errors = []
            for near, far in pairwise(counted(detector.walk(batch, k), meter)):
                errors.append(t_error(detector.schedule, near, far).score.double().cpu().numpy())
                if detector.nn and (k, far.t) == (detector.nn.k, detector.nn.t_sec):
                    judged.append(detector.probabilities(nn_input(detector.schedule, near, far, detector.nn.input)))
                yield meter.at(meter.done)
            found.append(np.stack(errors))
        rows = np.concatenate(processes.gathered(found), axis=1)
        scores |= {(k, t_sec): values for t_sec, values in zip(detector.t_secs(k), rows, strict=True)}
        if detector.nn and k == detector.nn.k:
            probabilities = np.concatenate(processes.gathered(judged))
    return scores, probabilities


def score_paths(
    detector: Detector, images: np.ndarray, paths: Sequence[Path], batch_size: int = 32, stage: str = "scoring"
) -> Generator[Progress, None, dict[Path, np.ndarray]]:
    """E of the last step of every path, float64 (N,) by path; where paths begin alike, the beginning is walked once.

    Args:
        images: uint8 (N, H, W, 3), as the detector sees them.

    Raises:
        ValueError: a path does not fit the schedule.
    """
    for path in paths:
        check_path(detector.schedule, path)
    points = {path[:end] for path in paths for end in range(1, len(path) + 1)}
    meter = Meter(stage, len(images) * len(points), "evaluations")
    found = []  # (path, image) a batch
    for batch in processes.share(batches(images, batch_size)):
        ledger = Ledger(detector.eps_model, detector.schedule, detector.encode(batch))
        errors = []
        for path in paths:
            before = ledger.evaluations
            far, near = ledger.point(path), ledger.point(path[:-1])
            errors.append(t_error(detector.schedule, near, far).score.double().cpu().numpy())
            if ledger.evaluations > before:
                done = (ledger.evaluations - before) * len(batch) * processes.count()
                yield meter.at(min(meter.done + done, meter.total))
        found.append(np.stack(errors))
    return dict(zip(paths, np.concatenate(processes.gathered(found), axis=1), strict=True))


def features(
    detector: Detector,
    images: np.ndarray,
    k: Steps,
    t_sec: int,
    mode: str,
    batch_size: int = 32,
    stage: str = "features",
) -> Generator[Progress, None, np.ndarray]:
    """Classifier inputs at one (k, T_SEC): float16 (N, channels, H, W), the trajectory walked no further."""
    meter = Meter(stage, len(images) * detector.evaluations(k, t_sec), "evaluations")
    found = []
    for batch in processes.share(batches(images, batch_size)):
        for near, far in pairwise(counted(detector.walk(batch, k, t_sec), meter)):
            yield meter.at(meter.done)
            if far.t == t_sec:
                found.append(nn_input(detector.schedule, near, far, mode).half().cpu().numpy())
    return np.concatenate(processes.gathered(found))

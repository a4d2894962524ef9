"""Images judged in company: in one batch with others, whoever they belong to, and with the calls each would get alone.

In a batch the same image scores a little more or less than alone, since kernels add up in another order: a t-error by a share
of `bound` at most, the classifier's logit by LOGIT_BOUND. An image with a score that close to an edge is walked once more, alone,
and that walk counts. So a call never depends on the company, and a score only within these bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sedid.data.image_statistics import plain_statistics
from sedid.detector.detector import MARGIN, Calibration, Detector, Judgement, Pair, Trace
from sedid.later import torch
from sedid.method.diffusion import Point, Steps, nn_input, t_error
from sedid.models.sharing import FIRST, Shared, Sharing

if TYPE_CHECKING:
    from torch import Tensor

BOUND = 1e-2  # of a t-error over a step of one timestep; measured: up to 1.4e-3 (fp32, CPU, k from 5 to 330)
LOGIT_BOUND = 1e-2  # measured: up to 1e-4

Watch = Callable[[Iterator[Point]], Iterator[Point]]
"""Passes points on, and looks at them."""


class Remembering:
    """A classifier that is asked once about an image, and once more, alone, where company could decide on the call.

    Its trace is judged at one T_SEC after another, and by the check for edges before that: all get the same answer.

    Args:
        network: (B, channels, H, W) -> (B, 1).
        by_itself: the same, whose answer owes nothing to company.
        edges: the logits at which a call changes.
        most: answers that are kept.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        by_itself: Callable[[Tensor], Tensor],
        edges: tuple[float, ...] = (),
        most: int = 128,
    ) -> None:
        self.network, self.by_itself, self.edges = network, by_itself, edges
        self._answer = lru_cache(most)(self._ask)

    def __call__(self, x: Tensor) -> Tensor:
        """What the network answers; asked anew for batches."""
        if len(x) > 1:
            return self.network(x)
        return self._answer(x.cpu().contiguous().numpy().tobytes(), x.shape, x.device)

    def _ask(self, pixels: bytes, shape: torch.Size, device: torch.device) -> Tensor:
        x = torch.frombuffer(bytearray(pixels), dtype=torch.float32).reshape(shape)
        x = x.to(device, memory_format=torch.channels_last)
        answer = self.network(x)
        close = any(abs(answer.item() - edge) <= LOGIT_BOUND for edge in self.edges)
        return self.by_itself(x) if close else answer


def share(detector: Detector, sharing: Sharing) -> Detector:
    """The detector with its networks shared: what several threads ask at the same time is one batch."""
    network = None
    if detector.network is not None:
        shared = Shared(sharing, detector.network, ticket=FIRST)  # it is asked at the end of a walk
        at = [] if detector.nn is None else [logit(edge) * detector.nn.temperature for edge in detector.nn.band]
        network = Remembering(shared, replace(shared, alone=True), tuple(map(float, at)))
    return replace(detector, eps_model=Shared(sharing, detector.eps_model), network=network)


def begin(detector: Detector) -> Detector:
    """The detector for a walk that begins now, and is in line from now on."""
    return _asking(detector, Shared.begin)


def alone(detector: Detector) -> Detector:
    """The detector out of company: what it is asked is in no batch with anything else."""
    return _asking(detector, lambda shared: replace(shared, alone=True))


def _asking(detector: Detector, how: Callable[[Shared], Shared]) -> Detector:
    """The detector with its shared network asked in another way; one that shares none as it is."""
    if not isinstance(detector.eps_model, Shared):
        return detector
    return replace(detector, eps_model=how(detector.eps_model))


def bound(pair: Pair) -> float:
    """The share of a t-error by which company may change it.

    Rounding moves the network's answers alike at any step size, and two answers a short step apart differ less: the share
    grows as the step shrinks.
    """
    k, t_sec = pair
    step = k if isinstance(k, int) else t_sec - k[k.index(t_sec) - 1]
    return BOUND / step


def edges(calibration: Calibration) -> tuple[float, ...]:
    """The scores at which a call changes: both ends of the band, and those of the calibrated range."""
    low, high = min(calibration.real[0], calibration.generated[0]), max(calibration.real[-1], calibration.generated[-1])
    return (*calibration.band, low * (1 - MARGIN), high * (1 + MARGIN))


def near_an_edge(
    detector: Detector,
    errors: Mapping[Pair, np.ndarray],
    probabilities: np.ndarray | None = None,
    images: np.ndarray | None = None,
) -> np.ndarray:
    """Which images have a score so close to an edge that their company could decide on the call.

    Args:
        errors: t-errors by pair, (N,) each, of which those at calibrated pairs matter.
        probabilities: the classifier's, (N,).
        images: uint8 (N, H, W, 3); needed where the range of the calibration images is known (`Detector.ranges`).

    Returns:
        Their places.
    """
    close = [
        np.abs(scores - edge) <= bound(pair) * edge
        for pair, scores in errors.items()
        if pair in detector.stat
        for edge in edges(detector.stat[pair])
    ]
    for k, known in detector.ranges.items():
        way = [pair for t_sec in detector.t_secs(k) if (pair := (k, t_sec)) in errors]
        if way and images is not None:
            upto = np.stack([errors[pair] for pair in way])
            close.append(known.near_limit(plain_statistics(images), upto, [bound(pair) for pair in way]))
    if probabilities is not None and detector.nn is not None:
        close += [np.abs(logit(probabilities) - logit(edge)) <= LOGIT_BOUND for edge in detector.nn.band]
    return np.flatnonzero(np.logical_or.reduce(close)) if close else np.zeros(0, int)


def logit(probability: np.ndarray | float) -> np.ndarray:
    """log(p / (1 - p)), infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        odds: np.ndarray = np.log(probability) - np.log1p(-np.asarray(probability, float))
        return odds


def trace(detector: Detector, image: np.ndarray, k: Steps) -> Generator[Point, None, Trace]:
    """`Detector.trace`, of which every call is the one that the image would get alone.

    Args:
        image: uint8 (H, W, 3).
    """
    detector = begin(detector)
    found = yield from detector.trace(image, k)
    by_itself = alone(detector)
    if by_itself is detector:
        return found
    errors = {(k, t_sec): np.array([error]) for t_sec, error in zip(found.t_secs, found.curve, strict=True)}
    probabilities = None
    if detector.nn is not None and detector.nn_pair in errors:
        inputs = nn_input(found.schedule, *found.step(detector.nn.t_sec), detector.nn.input)
        probabilities = detector.probabilities(inputs)
    if len(near_an_edge(detector, errors, probabilities, image[None])):
        found = yield from by_itself.trace(image, k)
    return found


def judge(detector: Detector, images: np.ndarray, k: Steps, t_sec: int, watch: Watch = iter) -> list[Judgement]:
    """Both verdicts on every image of a batch (`Detector.judge_walk`), with the calls that each would get alone.

    Args:
        images: uint8 (N, H, W, 3), not empty.
        watch: sees the points of the batch's walk.
    """
    detector = begin(detector)
    end = detector.reach(k, t_sec)
    errors: dict[Pair, np.ndarray] = {}

    def noted(points: Iterator[Point]) -> Iterator[Point]:
        before: Point | None = None
        for point in points:
            if before is not None and (k, point.t) in detector.stat:
                errors[k, point.t] = t_error(detector.schedule, before, point).score.cpu().double().numpy()
            before = point
            yield point

    found = detector.judge_walk(images, k, watch(noted(detector.walk(images, k, end))), t_sec)
    by_itself = alone(detector)
    if by_itself is detector and len(images) == 1:
        return found
    probabilities = [judgement.nn.score for judgement in found if judgement.nn is not None]
    for place in near_an_edge(detector, errors, np.array(probabilities) if probabilities else None, images):
        one = images[place : place + 1]
        (found[place],) = by_itself.judge_walk(one, k, by_itself.walk(one, k, end), t_sec)
    return found

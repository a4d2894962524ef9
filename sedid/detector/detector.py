"""The detector: one trajectory of an image, the two verdicts at any T_SEC along it.

A `Trace` is what the network did with one image at one k. `Detector.judge` reads a verdict off it without
evaluating the network again, so moving T_SEC costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from math import isfinite
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import numpy as np

from sedid.data.datasets import as_model_input
from sedid.data.image_statistics import plain_statistics
from sedid.later import torch
from sedid.method.diffusion import (
    EpsModel,
    Path,
    Point,
    Schedule,
    Steps,
    TError,
    check_step,
    ddim_step,
    nn_input,
    order,
    pair_in_words,
    reverse_path,
    steps_order,
    t_error,
    trajectory,
    whole_path,
)
from sedid.models.networks import Runtime
from sedid.models.spaces import PIXELS, Space
from sedid.progress import finish
from sedid.stats.metrics import percentile
from sedid.stats.ranges import Range

if TYPE_CHECKING:
    from torch import Tensor

    from sedid.data.images import Picture

GENERATED, REAL = "generated", "real"
"""What an image is, where that is known. What a detector says of it is a `Call`."""

MARGIN = 1e-4
"""Share of a score by which the calibrated range reaches beyond its ends, which are t-errors and so never negative."""

Pair = tuple[Steps, int]
"""(k, T_SEC): how the trajectory walks, and where on it the t-error is measured."""
UNIFORM = (165, 495)
"""The pair at which a detector is shown that has none of its own."""


class Call(StrEnum):
    """What may be said of an image."""

    GENERATED = GENERATED
    REAL = REAL
    UNDECIDED = "cannot tell"
    OUTSIDE = "outside the calibrated range"


@dataclass(frozen=True)
class Calibration:
    """What was measured at one (k, T_SEC) on the calibration split.

    Attributes:
        k, t_sec: the pair; k is the step size, or a path (`Steps`).
        polarity: "smaller" if a smaller score means generated (the paper's STAT), "larger" otherwise.
        threshold: the cut, on the score's own scale.
        band: (low, high) around it, same scale: between them the verdict is "cannot tell".
        real, generated: quantiles of the reference scores (`metrics.quantiles`).
        auc: on the calibration split, in this polarity.
    """

    k: Steps
    t_sec: int
    polarity: str
    threshold: float
    band: tuple[float, float]
    real: tuple[float, ...] = field(repr=False)
    generated: tuple[float, ...] = field(repr=False)
    auc: float

    def side(self, score: float) -> Call:
        """On which side of the band a score lies: generated, real, or inside of it, cannot tell.

        Only half of a verdict: what may be said also depends on the range (`Verdict.call`).
        """
        low, high = self.band
        if not (score <= low or score >= high):  # inside, or not a number
            return Call.UNDECIDED
        generated = score <= self.threshold if self.polarity == "smaller" else score >= self.threshold
        return Call.GENERATED if generated else Call.REAL

    def in_range(self, scores: np.ndarray) -> np.ndarray:
        """Whether reference images of either class had a score this low and one this high; bool, shaped as `scores`.

        The references themselves always lie inside: their quantiles are kept to six digits (`metrics.quantiles`), and in
        a batch of another size the same image scores a few millionths more or less.
        """
        low, high = min(self.real[0], self.generated[0]), max(self.real[-1], self.generated[-1])
        return (low * (1 - MARGIN) <= scores) & (scores <= high * (1 + MARGIN))


@dataclass(frozen=True)
class NNCalibration(Calibration):
    """The classifier's: its score is the probability of "generated", so polarity is "larger".

    Attributes:
        input: pair, error or both (`nn_input`).
        temperature: divides the logit before the sigmoid; fitted on the calibration split.
    """

    input: str = "pair"
    temperature: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """One verdict in full: a score, and what it comes to.

    Attributes:
        score: the t-error (STAT) or the calibrated probability of "generated" (NN).
        in_range: False if a t-error on the way to T_SEC lies outside both references.
        calibration: what it is judged by.
    """

    score: float
    in_range: bool
    calibration: Calibration

    @property
    def call(self) -> Call:
        """What may be said: the side of the score if the image is in range and the score a finite number."""
        if not isfinite(self.score):
            return Call.UNDECIDED
        return self.side if self.in_range else Call.OUTSIDE

    @property
    def side(self) -> Call:
        """Where the score lies, whatever may be said: generated, real or cannot tell (`Calibration.side`)."""
        return self.calibration.side(self.score)

    @property
    def percentile_real(self) -> float:
        """Percent of the real reference scores at or below this one."""
        return percentile(self.calibration.real, self.score)

    @property
    def percentile_generated(self) -> float:
        """Percent of the generated reference scores at or below this one."""
        return percentile(self.calibration.generated, self.score)


@dataclass(frozen=True)
class Trace:
    """One image's trajectory.

    Attributes:
        image: what the detector saw, uint8 (H, W, 3).
        k: step size, or the path.
        points: t = 0, k, 2k, ..., or at the timesteps of the path; tensors (1, C, h, w) on the CPU.
        space: what the model walks on: pixels (C = 3, of the image's size), grey ones, or latents.
    """

    image: np.ndarray
    k: Steps
    schedule: Schedule = field(repr=False)
    points: tuple[Point, ...] = field(repr=False)
    space: Space = field(default=PIXELS, repr=False)

    @property
    def t_secs(self) -> tuple[int, ...]:
        """The T_SEC values this trace answers: k, 2k, ..., or the path's timesteps after 0."""
        return tuple(point.t for point in self.points[1:])

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """c^2 at every T_SEC of `t_secs`: what a t-error is divided by to be weight-free."""
        return tuple(self.schedule.weight(near.t, far.t) for near, far in pairwise(self.points))

    def step(self, t_sec: int) -> tuple[Point, Point]:
        """The two points whose step is measured at T_SEC.

        Raises:
            ValueError: T_SEC is not one of `t_secs`.
        """
        check_step(self.schedule, self.k, t_sec)
        if t_sec > self.points[-1].t:
            raise ValueError(f"this trajectory ends at T_SEC = {self.points[-1].t}; {t_sec} lies beyond")
        place = self.t_secs.index(t_sec)
        return self.points[place], self.points[place + 1]

    def t_error(self, t_sec: int) -> TError:
        """The t-error at T_SEC (batch of one)."""
        return t_error(self.schedule, *self.step(t_sec))

    def denoised(self, t_sec: int) -> Tensor:
        """psi(x~_{T_SEC}), which is compared with the trajectory's point before it; (1, C, h, w)."""
        near, far = self.step(t_sec)
        return ddim_step(self.schedule, far.x, far.eps, far.t, near.t)

    def picture(self, x: Tensor) -> Tensor:
        """A point of the trajectory, or what is compared with one, as a picture (1, 3, H, W); nothing is clipped."""
        return self.space.decode(x)

    @property
    def weight_free(self) -> tuple[float, ...]:
        """E / c^2 at every T_SEC of `t_secs`."""
        return tuple(error / weight for error, weight in zip(self.curve, self.weights, strict=True))

    @cached_property
    def curve(self) -> tuple[float, ...]:
        """E at every T_SEC of `t_secs`."""
        return tuple(float(self.t_error(t_sec).score) for t_sec in self.t_secs)


@dataclass(frozen=True)
class Judgement:
    """Both verdicts on an image of which T_SEC was asked for.

    Attributes:
        k: step size, or the path.
        near: the timestep before T_SEC, at which the two compared images are; T_SEC - k where k is a step size.
        t_error: E_{T_SEC,k}, sum over channels and pixels, [0, 1] image scale.
        weight: c(t,k)^2.
        change: t_error / weight: the weight-free error.
        stat: at (k, T_SEC); None where that pair was not calibrated.
        nn: at the classifier's OWN T_SEC, whichever was asked for (its calibration has its pair); None at another k,
            or where the walk did not get there.
    """

    k: Steps
    t_sec: int
    near: int
    t_error: float
    weight: float
    change: float
    stat: Verdict | None
    nn: Verdict | None


@dataclass(frozen=True)
class Detector:
    """A diffusion model with what was calibrated for it. Build one with `load_detector`.

    Attributes:
        eps_model: eps_theta, on the runtime's device.
        schedule: the checkpoint's own noise schedule.
        size: side of the images it knows, pixels.
        space: what its model walks on.
        stat: calibrations by (k, T_SEC); empty for an uncalibrated model.
        chosen: the (k, T_SEC) picked on the calibration split; None if uncalibrated.
        ranges: where the calibration images lie, by k; without one the smallest and the largest t-errors say
            (`Calibration.in_range`).
        network, nn: the classifier and its calibration; None without one.
        info: detector.json as it stands.
        folder: of its bundle or pipeline; None of one that was never on a disk.
    """

    eps_model: EpsModel
    schedule: Schedule
    runtime: Runtime
    name: str
    size: int = 32
    center_crop: float | None = None
    space: Space = PIXELS
    stat: dict[Pair, Calibration] = field(default_factory=dict)
    chosen: Pair | None = None
    ranges: dict[Steps, Range] = field(default_factory=dict, repr=False)
    network: Callable[[Tensor], Tensor] | None = None
    nn: NNCalibration | None = None
    info: dict[str, Any] = field(default_factory=dict, repr=False)
    folder: FilePath | None = field(default=None, repr=False)

    def prepare(self, picture: Any) -> np.ndarray:
        """A PIL image -> what the detector sees, uint8 (size, size, 3)."""
        from sedid.data.images import prepare

        return prepare(picture, self.size, self.center_crop)

    def notes(self, picture: Picture) -> tuple[str, ...]:
        """What was done to a picture on its way to the model, in words."""
        from sedid.data.images import describe

        return (*describe(picture, self.size, self.center_crop), *filter(None, [self.space.note]))

    def encode(self, images: np.ndarray) -> Tensor:
        """What the model walks on: uint8 (N, H, W, 3) -> x_0 (N, C, h, w) on the runtime's device.

        Raises:
            ValueError: the images are of another kind.
        """
        return self.space.encode(as_model_input(images).to(self.runtime.device))

    def t_secs(self, k: Steps) -> Path:
        """Every T_SEC of a whole walk.

        Raises:
            ValueError: k does not fit the schedule.
        """
        return whole_path(self.schedule, k)[1:]

    def max_t_sec(self, k: Steps) -> int:
        """The largest T_SEC at this k."""
        return self.t_secs(k)[-1]

    def evaluations(self, k: Steps, t_sec: int | None = None) -> int:
        """Network evaluations an image of a walk to T_SEC, or of a whole one.

        Raises:
            ValueError: as `check_step`.
        """
        path = whole_path(self.schedule, k) if t_sec is None else reverse_path(self.schedule, k, t_sec)
        return len(path)

    def walk(self, images: np.ndarray, k: Steps, t_sec: int | None = None) -> Iterator[Point]:
        """The trajectory of a batch of uint8 images (N, H, W, 3), points on the runtime's device."""
        return trajectory(self.eps_model, self.encode(images), self.schedule, k, t_sec or self.max_t_sec(k))

    def trace(self, image: np.ndarray, k: Steps, t_sec: int | None = None) -> Generator[Point, None, Trace]:
        """Walk one image, uint8 (H, W, 3): yields each point as it is reached and returns the whole Trace."""
        points = []
        for point in self.walk(image[None], k, t_sec):
            points.append(Point(point.t, point.x.cpu(), point.eps.cpu()))
            yield points[-1]
        return Trace(image, k, self.schedule, tuple(points), self.space)

    @property
    def nn_pair(self) -> Pair | None:
        """The one (k, T_SEC) at which the classifier judges; None without one."""
        return None if self.network is None or self.nn is None else (self.nn.k, self.nn.t_sec)

    def reach(self, k: Steps, t_sec: int) -> int:
        """How far a walk at k must go for both verdicts at T_SEC: the classifier's own T_SEC may lie further out."""
        own_k, own_t_sec = self.nn_pair or (k, t_sec)
        return max(t_sec, own_t_sec) if own_k == k else t_sec

    @property
    def paths(self) -> tuple[Path, ...]:
        """The walks with calibrations whose steps are not all of one size."""
        return tuple(k for k in order(k for k, _ in self.stat) if isinstance(k, tuple))

    @property
    def uniform(self) -> tuple[int, int]:
        """The pair of the paper's kind, steps of one size, to show the method at.

        It is the detector's own, or else the calibrated one of the highest AUC on the calibration split; `UNIFORM` where
        there is none.
        """
        found = [(k, t_sec) for k, t_sec in self.stat if isinstance(k, int)]
        if self.chosen in found:
            return self.chosen
        return max(found, key=lambda pair: self.stat[pair].auc, default=UNIFORM)

    def nearest(self, k: Steps, t_sec: int) -> Pair | None:
        """The calibrated pair closest to (k, T_SEC); None if there is none.

        Raises:
            ValueError: as `check_step`.
        """
        size = self._size_of_step((k, t_sec))

        def distance(pair: Pair) -> tuple[int, bool, tuple[bool, Path], int]:
            apart = abs(pair[1] - t_sec) + abs(self._size_of_step(pair) - size)
            return apart, isinstance(pair[0], int) != isinstance(k, int), steps_order(pair[0]), pair[1]

        return min(self.stat, key=distance, default=None)

    def _size_of_step(self, pair: Pair) -> int:
        path = reverse_path(self.schedule, *pair)
        return path[-1] - path[-2]

    def pair(self, k: Steps | None = None, t_sec: int | None = None) -> Pair:
        """(k, T_SEC), what was left out filled in: the calibrated pair, or what comes closest to it at this k.

        Raises:
            ValueError: as `check_step`.
        """
        default_k, default_t_sec = self.chosen or UNIFORM
        k = default_k if k is None else k
        t_secs = self.t_secs(k)
        if t_sec is None and isinstance(k, int):
            t_sec = min(max(round(default_t_sec / k), 1) * k, t_secs[-1])
        elif t_sec is None:
            t_sec = default_t_sec if k == default_k else t_secs[-1]
        check_step(self.schedule, k, t_sec)
        return k, t_sec

    def judge(self, trace: Trace, t_sec: int) -> Judgement:
        """Both verdicts at one T_SEC of a trace; no U-Net evaluation.

        Raises:
            ValueError: T_SEC does not lie on the trace.
        """
        trace.step(t_sec)
        return self.judge_walk(trace.image[None], trace.k, trace.points, t_sec)[0]

    def judge_walk(self, images: np.ndarray, k: Steps, points: Iterable[Point], t_sec: int) -> list[Judgement]:
        """Both verdicts on every image of a batch, STAT's at T_SEC and NN's at its own pair.

        Args:
            images: as the detector sees them, uint8 (N, H, W, 3).
            points: of the walk, from t = 0 on; none is asked for beyond `reach`.

        Raises:
            ValueError: the walk ends before T_SEC.
        """
        reach, weight, wanted, before = self.reach(k, t_sec), 0.0, (k, t_sec), 0
        errors: dict[Pair, np.ndarray] = {}
        probabilities: np.ndarray | None = None
        for near, far in pairwise(points):
            pair = (k, far.t)
            if pair in self.stat or pair == wanted:
                error = t_error(self.schedule, near, far)
                errors[pair] = error.score.cpu().double().numpy()
                weight, before = (error.weight, near.t) if pair == wanted else (weight, before)
            if pair == self.nn_pair:
                assert self.nn is not None
                probabilities = self.probabilities(nn_input(self.schedule, near, far, self.nn.input))
            if far.t >= reach:
                break
        if wanted not in errors:
            raise ValueError(f"the walk ends before T_SEC = {t_sec}")
        scores, calibration = errors[wanted], self.stat.get(wanted)
        stats: Sequence[Verdict | None] = [None] * len(scores)
        nns: Sequence[Verdict | None] = [None] * len(scores)
        if calibration is not None:
            stats = self.verdicts(calibration, scores, errors, images)
        if probabilities is not None and self.nn is not None:
            nns = self.verdicts(self.nn, probabilities, errors, images)
        return [
            Judgement(k, t_sec, before, score, weight, score / weight, stat, nn)
            for score, stat, nn in zip(scores.tolist(), stats, nns, strict=True)
        ]

    def verdicts(
        self,
        calibration: Calibration,
        scores: np.ndarray,
        errors: Mapping[Pair, np.ndarray],
        images: np.ndarray | None = None,
    ) -> Sequence[Verdict]:
        """What one calibration comes to on every image of a batch, from scores made now or long ago.

        An image is in range if its t-errors on the way to where the verdict is read and a few plain statistics of its
        pixels, all together, are like those of the calibration images of either class (`ranges`). Where that is not
        calibrated, each t-error on the way must lie among theirs: a flat gray image has an ordinary one at some T_SEC,
        but not at all of them.

        Args:
            calibration: one of `stat`, or `nn`.
            scores: on its scale, (N,).
            errors: t-errors by pair, (N,) each: at the calibrated T_SEC of its k up to its own; others don't matter.
            images: as the detector sees them, uint8 (N, H, W, 3); needed where its k is among `ranges`.

        Raises:
            ValueError: t-errors on the way are missing, or the images.
        """
        way = [pair for pair in self.stat if pair[0] == calibration.k and pair[1] <= calibration.t_sec]
        if missing := [pair for pair in way if pair not in errors]:
            raise ValueError(
                f"there is no t-error at {pair_in_words(*missing[0])}: without it nothing says "
                "whether an image lies in the calibrated range"
            )
        within = np.ones(len(scores), bool)
        if calibration.k in self.ranges:
            if images is None:
                raise ValueError("without the images nothing says whether they lie in the calibrated range")
            upto = np.stack([errors[pair] for pair in sorted(way, key=lambda pair: pair[1])])
            within = self.ranges[calibration.k].inside(plain_statistics(images), upto)
        else:
            for pair in way:
                within &= self.stat[pair].in_range(errors[pair])
        return [
            Verdict(score, inside, calibration) for score, inside in zip(scores.tolist(), within.tolist(), strict=True)
        ]

    def probabilities(self, inputs: Tensor) -> np.ndarray:
        """Calibrated probability of "generated" for classifier inputs (B, channels, H, W); float64 (B,)."""
        assert self.network is not None
        assert self.nn is not None
        with torch.inference_mode():
            inputs = inputs.to(self.runtime.device, memory_format=torch.channels_last)
            logits = self.network(inputs)[:, 0].double().cpu()
            return torch.sigmoid(logits / self.nn.temperature).numpy()

    def inspect(self, image: Any, t_sec: int | None = None, k: Steps | None = None) -> Inspection:
        """Everything about one image.

        Args:
            image: a path, the bytes of a file, an open file, a PIL image or a uint8 array (H, W, 3), as `read_image`.
            t_sec, k: default to the calibrated pair; k is a step size or a path (`Steps`).

        Raises:
            ImageError: the image cannot be read; the text says why.
            ValueError: T_SEC is not a multiple of k within the schedule, or no timestep of the path.
        """
        k, t_sec = self.pair(k, t_sec)
        seen, notes = as_seen(self, image)
        trace = finish(self.trace(seen, k))
        return Inspection(trace, self.judge(trace, t_sec), notes)


@dataclass(frozen=True)
class Inspection:
    """What `Detector.inspect` found: the trace, the verdicts, and what preprocessing did to the image."""

    trace: Trace
    judgement: Judgement
    notes: tuple[str, ...]


def as_seen(detector: Detector, image: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Whatever `read_image` takes -> (uint8 (size, size, 3) as the detector sees it, notes on what was done to it)."""
    from sedid.data.images import read_image

    picture = read_image(image)
    return detector.prepare(picture.image), detector.notes(picture)

"""The detector: one trajectory of an image, the two verdicts at any T_SEC along it.

A `Trace` is what the network did with one image at one k. `Detector.judge` reads a verdict off it without
evaluating the network again, so moving T_SEC costs nothing.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sedid.data import as_model_input
from sedid.diffusion import EpsModel, NoiseSchedule, Point, TError, check_step, ddim_step, t_error, trajectory
from sedid.metrics import percentile
from sedid.models import Runtime
from sedid.progress import finish

GENERATED, REAL, UNDECIDED = "generated", "real", "cannot tell"
INPUT_CHANNELS = {"pair": 6, "error": 3, "both": 9}


@dataclass(frozen=True)
class Calibration:
    """What was measured at one (k, T_SEC) on the calibration split.

    Attributes:
        k, t_sec: the pair.
        polarity: "smaller" if a smaller score means generated (the paper's STAT), "larger" otherwise.
        threshold: the cut, on the score's own scale.
        band: (low, high) around it, same scale: between them the verdict is "cannot tell".
        real, generated: quantiles of the reference scores (`metrics.quantiles`).
        auc: on the calibration split, in this polarity.
    """

    k: int
    t_sec: int
    polarity: str
    threshold: float
    band: tuple[float, float]
    real: tuple[float, ...] = field(repr=False)
    generated: tuple[float, ...] = field(repr=False)
    auc: float

    def verdict(self, score: float) -> str:
        """generated, real or cannot tell."""
        low, high = self.band
        if not (score <= low or score >= high):  # inside, or not a number
            return UNDECIDED
        generated = score <= self.threshold if self.polarity == "smaller" else score >= self.threshold
        return GENERATED if generated else REAL

    def in_range(self, score: float) -> bool:
        """Whether a reference image of either class had a score this low and one this high."""
        low, high = min(self.real[0], self.generated[0]), max(self.real[-1], self.generated[-1])
        return low <= score <= high


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
    """One verdict in full.

    Attributes:
        call: "generated", "real" or "cannot tell".
        score: the t-error (STAT) or the calibrated probability of "generated" (NN).
        percentile_real, percentile_generated: percent of the reference scores at or below this one.
        in_range: False if a t-error on the way to T_SEC lies outside both references: then the call is a guess.
        calibration: what it was judged by.
    """

    call: str
    score: float
    percentile_real: float
    percentile_generated: float
    in_range: bool
    calibration: Calibration


@dataclass(frozen=True)
class Trace:
    """One image's trajectory at one k.

    Attributes:
        image: what the detector saw, uint8 (H, W, 3).
        k: step size.
        points: t = 0, k, 2k, ..., tensors (1, 3, H, W) on the CPU.
    """

    image: np.ndarray
    k: int
    schedule: NoiseSchedule = field(repr=False)
    points: tuple[Point, ...] = field(repr=False)

    @property
    def t_secs(self) -> tuple[int, ...]:
        """The T_SEC values this trace answers: k, 2k, ..."""
        return tuple(point.t for point in self.points[1:])

    def step(self, t_sec: int) -> tuple[Point, Point]:
        """The two points whose step is measured at T_SEC.

        Raises:
            ValueError: T_SEC is not one of `t_secs`.
        """
        check_step(self.schedule, self.k, t_sec)
        if t_sec > self.points[-1].t:
            raise ValueError(f"this trajectory ends at T_SEC = {self.points[-1].t}; {t_sec} lies beyond")
        return self.points[t_sec // self.k - 1], self.points[t_sec // self.k]

    def t_error(self, t_sec: int) -> TError:
        """The t-error at T_SEC (batch of one)."""
        return t_error(self.schedule, *self.step(t_sec))

    def denoised(self, t_sec: int) -> Tensor:
        """psi(x~_{T_SEC}), the image compared with x~_{T_SEC - k}; (1, 3, H, W)."""
        near, far = self.step(t_sec)
        return ddim_step(self.schedule, far.x, far.eps, far.t, near.t)

    @cached_property
    def curve(self) -> tuple[float, ...]:
        """E at every T_SEC of `t_secs`."""
        return tuple(float(self.t_error(t_sec).score) for t_sec in self.t_secs)


@dataclass(frozen=True)
class Judgement:
    """Both verdicts on an image of which T_SEC was asked for.

    Attributes:
        t_error: E_{T_SEC,k}, sum over channels and pixels, [0, 1] image scale.
        weight: c(t,k)^2.
        change: t_error / weight: the weight-free error.
        stat: at (k, T_SEC); None where that pair was not calibrated.
        nn: at the classifier's OWN T_SEC, whichever was asked for (`nn.calibration` has its pair); None at another k,
            or where the walk did not get there.
    """

    k: int
    t_sec: int
    t_error: float
    weight: float
    change: float
    stat: Verdict | None
    nn: Verdict | None


def nn_input(schedule: NoiseSchedule, near: Point, far: Point, mode: str) -> Tensor:
    """The classifier's input at T_SEC = far.t: both intermediates at the SAME timestep T_SEC - k.

    Args:
        mode: "pair" (x~ and its round trip, 6 channels: the paper), "error" (squared difference on the [-1, 1]
            scale, 3 channels: the reference code), "both" (9 channels).

    Returns:
        (B, channels, H, W) float32.

    Raises:
        ValueError: unknown mode.
    """
    if mode not in INPUT_CHANNELS:
        raise ValueError(f"unknown classifier input {mode!r}; accepted: {', '.join(INPUT_CHANNELS)}")
    denoised = ddim_step(schedule, far.x, far.eps, far.t, near.t)
    pair, error = (near.x, denoised), (denoised - near.x).square()
    return {"pair": torch.cat(pair, 1), "error": error, "both": torch.cat((*pair, error), 1)}[mode]


@dataclass(frozen=True)
class Detector:
    """A diffusion model with what was calibrated for it. Build one with `load_detector`.

    Attributes:
        eps_model: eps_theta, on the runtime's device.
        schedule: the checkpoint's own noise schedule.
        size: side of the images it knows, pixels.
        stat: calibrations by (k, T_SEC); empty for an uncalibrated model.
        chosen: the (k, T_SEC) picked on the calibration split; None if uncalibrated.
        network, nn: the classifier and its calibration; None without one.
        info: detector.json as it stands.
    """

    eps_model: EpsModel
    schedule: NoiseSchedule
    runtime: Runtime
    name: str
    size: int = 32
    center_crop: float | None = None
    stat: dict[tuple[int, int], Calibration] = field(default_factory=dict)
    chosen: tuple[int, int] | None = None
    network: nn.Module | None = None
    nn: NNCalibration | None = None
    info: dict[str, Any] = field(default_factory=dict, repr=False)

    def prepare(self, picture: Any) -> np.ndarray:
        """A PIL image -> what the detector sees, uint8 (size, size, 3)."""
        from sedid.images import prepare

        return prepare(picture, self.size, self.center_crop)

    def max_t_sec(self, k: int) -> int:
        """The largest T_SEC at this k."""
        return (len(self.schedule) - 1) // k * k

    def walk(self, images: np.ndarray, k: int, t_sec: int | None = None) -> Iterator[Point]:
        """The trajectory of a batch of uint8 images (N, H, W, 3), points on the runtime's device."""
        x_0 = as_model_input(images).to(self.runtime.device)
        return trajectory(self.eps_model, x_0, self.schedule, k, t_sec or self.max_t_sec(k))

    def trace(self, image: np.ndarray, k: int, t_sec: int | None = None) -> Generator[Point, None, Trace]:
        """Walk one image, uint8 (H, W, 3): yields each point as it is reached and returns the whole Trace."""
        points = []
        for point in self.walk(image[None], k, t_sec):
            points.append(Point(point.t, point.x.cpu(), point.eps.cpu()))
            yield points[-1]
        return Trace(image, k, self.schedule, tuple(points))

    @property
    def nn_pair(self) -> tuple[int, int] | None:
        """The one (k, T_SEC) at which the classifier judges; None without one."""
        return None if self.network is None or self.nn is None else (self.nn.k, self.nn.t_sec)

    def reach(self, k: int, t_sec: int) -> int:
        """How far a walk at k must go for both verdicts at T_SEC: the classifier's own T_SEC may lie further out."""
        own_k, own_t_sec = self.nn_pair or (k, t_sec)
        return max(t_sec, own_t_sec) if own_k == k else t_sec

    def nearest(self, k: int, t_sec: int) -> tuple[int, int] | None:
        """The calibrated pair closest to (k, T_SEC); None if there is none."""
        return min(self.stat, key=lambda pair: (abs(pair[1] - t_sec) + abs(pair[0] - k), pair), default=None)

    def pair(self, k: int | None = None, t_sec: int | None = None) -> tuple[int, int]:
        """(k, T_SEC), what was left out filled in: the calibrated pair, or what comes closest to it at this k.

        Raises:
            ValueError: T_SEC is not a multiple of k within the schedule.
        """
        default_k, default_t_sec = self.chosen or (165, 495)
        k = default_k if k is None else k
        check_step(self.schedule, k, k)
        if t_sec is None:
            t_sec = min(max(round(default_t_sec / k), 1) * k, self.max_t_sec(k))
        check_step(self.schedule, k, t_sec)
        return k, t_sec

    def judge(self, trace: Trace, t_sec: int) -> Judgement:
        """Both verdicts at one T_SEC of a trace; no U-Net evaluation.

        Raises:
            ValueError: T_SEC does not lie on the trace.
        """
        trace.step(t_sec)
        return self.judge_walk(trace.k, trace.points, t_sec)[0]

    def judge_walk(self, k: int, points: Iterable[Point], t_sec: int) -> list[Judgement]:
        """Both verdicts on every image of a batch, STAT's at T_SEC and NN's at its own pair.

        An image is in range only if its t-error was so at every calibrated T_SEC on the way to where a verdict is
        read: a flat gray image has an ordinary t-error at some T_SEC, but not at all of them.

        Args:
            points: t = 0, k, 2k, ...; none is asked for beyond `reach`.

        Raises:
            ValueError: the walk ends before T_SEC.
        """
        reach, weight = self.reach(k, t_sec), 0.0
        errors: list[float] | None = None
        stats: list[Verdict | None] = []
        nns: list[Verdict | None] = []
        within = np.ones(1, bool)
        for near, far in pairwise(points):
            pair = (k, far.t)
            calibration = self.stat.get(pair)
            if calibration is not None or far.t == t_sec:
                error = t_error(self.schedule, near, far)
                scores = error.score.tolist()
                if calibration is not None:
                    within = within & np.array([calibration.in_range(score) for score in scores])
                if far.t == t_sec:
                    errors, weight = scores, error.weight
                    stats = self._verdicts(calibration, scores, within)
            if pair == self.nn_pair:
                assert self.nn is not None
                probabilities = self.probabilities(nn_input(self.schedule, near, far, self.nn.input)).tolist()
                nns = self._verdicts(self.nn, probabilities, within)
            if far.t >= reach:
                break
        if errors is None:
            raise ValueError(f"the walk ends before T_SEC = {t_sec}")
        return [
            Judgement(k, t_sec, score, weight, score / weight, stat, nn)
            for score, stat, nn in zip(errors, stats, nns or [None] * len(errors), strict=True)
        ]

    @staticmethod
    def _verdicts(calibration: Calibration | None, scores: list[float], within: np.ndarray) -> list[Verdict | None]:
        """A verdict on each score; `within` says which are in range, bool (len(scores),) or (1,)."""
        if calibration is None:
            return [None] * len(scores)
        return [
            Verdict(
                calibration.verdict(score),
                score,
                percentile(calibration.real, score),
                percentile(calibration.generated, score),
                inside,
                calibration,
            )
            for score, inside in zip(scores, np.broadcast_to(within, len(scores)).tolist(), strict=True)
        ]

    @torch.inference_mode()
    def probabilities(self, inputs: Tensor) -> np.ndarray:
        """Calibrated probability of "generated" for classifier inputs (B, channels, H, W); float64 (B,)."""
        assert self.network is not None
        assert self.nn is not None
        inputs = inputs.to(self.runtime.device, memory_format=torch.channels_last)
        logits = self.network(inputs)[:, 0].double().cpu()
        return torch.sigmoid(logits / self.nn.temperature).numpy()

    def inspect(self, image: Any, t_sec: int | None = None, k: int | None = None) -> "Inspection":
        """Everything about one image.

        Args:
            image: a path, encoded bytes, a PIL image or a uint8 array (H, W, 3).
            t_sec, k: default to the calibrated pair.

        Raises:
            ImageError: the image cannot be read; the text says why.
            ValueError: T_SEC is not a multiple of k within the schedule.
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
    """Any image -> (uint8 (size, size, 3) as the detector sees it, notes on what was done to it)."""
    from PIL import Image

    from sedid.images import describe, read_image

    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if isinstance(image, Image.Image):
        return detector.prepare(image.convert("RGB")), ()
    picture = read_image(Path(image) if isinstance(image, str) else image)
    return detector.prepare(picture.image), describe(picture, detector.size, detector.center_crop)

r"""The method: deterministic diffusion steps and the step-wise error (arXiv 2307.06272, section 3).

Notation, one ASCII spelling each:

    t, s        timesteps, integers 0 .. T-1; here s = t + k
    k           step size of the trajectory
    T_SEC       the FAR end of the step that is measured, a multiple of k
    alpha_bar   prod_{i <= t} (1 - beta_i); index 0 is the clean end (0.9999 for the DDPM schedule)
    eps         the noise the network predicts, eps_theta(x_t, t)
    phi         reverse step  t -> t + k   (deterministic DDIM, towards noise)
    psi         denoise step  s -> s - k   (deterministic DDIM, towards the image)

phi and psi are one formula read in two directions (`ddim_step`):

    f_theta(x_t, t) = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t)
    x_u             = sqrt(alpha_bar_u) f_theta(x_t, t) + sqrt(1 - alpha_bar_u) eps

The t-error at T_SEC = s, images on the [0, 1] scale, summed over channels and pixels:

    E_{s,k}(x_0) = || psi(x_s, s -> t) - x_t ||^2 = c(t,k)^2 || eps_theta(x_s, s) - eps_theta(x_t, t) ||^2
    c(t,k)       = sqrt(1 - alpha_bar_t) - sqrt(alpha_bar_t / alpha_bar_s) sqrt(1 - alpha_bar_s)

The second form is exact: x_s came from x_t by phi, so f_theta cancels. It needs no division by
sqrt(alpha_bar_s) (1/144 at s = 990), and one evaluation serves both psi(s -> s-k) and the next
phi(s -> s+k). N values of T_SEC therefore cost N + 1 network evaluations instead of 2N.

Pure tensor code: no files, no device choice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

EpsModel = Callable[[Tensor, int], Tensor]
"""eps_theta: images (B, C, H, W) in [-1, 1] at integer timestep t -> predicted noise, same shape and dtype."""
NNInput = Literal["pair", "error", "both"]
INPUT_CHANNELS: dict[str, int] = {"pair": 6, "error": 3, "both": 9}
"""What the classifier looks at (`nn_input`), and how many channels that has."""


@dataclass(frozen=True)
class NoiseSchedule:
    """alpha_bar for t = 0 .. T-1, as Python floats (float64): coefficients are exact on every device."""

    alpha_bar: tuple[float, ...]

    @classmethod
    def from_betas(cls, betas: Sequence[float] | Tensor) -> "NoiseSchedule":
        """Build from beta_0 .. beta_{T-1}, each in (0, 1)."""
        betas = torch.as_tensor(betas, dtype=torch.float64)
        if betas.ndim != 1 or len(betas) < 2 or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas must be a sequence of at least two numbers, each between 0 and 1")
        return cls(tuple(torch.cumprod(1 - betas, dim=0).tolist()))

    @classmethod
    def linear(cls, timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> "NoiseSchedule":
        """The DDPM schedule (Ho et al. 2020): beta rises linearly."""
        return cls.from_betas(torch.linspace(beta_start, beta_end, timesteps, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def weight(self, t: int, s: int) -> float:
        """c(t, k)^2 with s = t + k: the fixed factor of the t-error at T_SEC = s."""
        near, far = self.alpha_bar[t], self.alpha_bar[s]
        return (sqrt(1 - near) - sqrt(near / far) * sqrt(1 - far)) ** 2


@dataclass(frozen=True)
class Point:
    """One point of a reverse trajectory: x~_t and what the network says there, both (B, C, H, W)."""

    t: int
    x: Tensor
    eps: Tensor


@dataclass(frozen=True)
class TError:
    """The t-error of a batch at one T_SEC.

    Attributes:
        t_sec: far end of the measured step.
        weight: c(t, k)^2.
        change: per-pixel (eps_s - eps_t)^2 / 4, (B, C, H, W), >= 0: the weight-free map. The 4 brings
            [-1, 1] images to the [0, 1] scale.
    """

    t_sec: int
    weight: float
    change: Tensor

    @property
    def map(self) -> Tensor:
        """Per-pixel squared difference of the two compared images on the [0, 1] scale, (B, C, H, W)."""
        return self.weight * self.change

    @property
    def score(self) -> Tensor:
        """E_{T_SEC,k}: the map summed over channels and pixels, (B,)."""
        return self.weight * self.change.sum(dim=(1, 2, 3))


def check_step(schedule: NoiseSchedule, k: int, t_sec: int) -> None:
    """Refuse a (k, T_SEC) that names no step of this schedule.

    Raises:
        ValueError: naming what was wrong and the nearest values that are accepted.
    """
    last = len(schedule) - 1
    if not 1 <= k <= last:
        raise ValueError(f"k must be between 1 and {last}, not {k}")
    if t_sec % k or not k <= t_sec <= last:
        top = last // k * k
        below = min(max(t_sec // k * k, k), top)
        above = min(below + k, top)
        nearest = f"{below}" if below == above else f"{below}, {above}"
        raise ValueError(
            f"T_SEC must be a multiple of k from {k} to {top}: {t_sec} is not one for k = {k}; nearest: {nearest}"
        )


def ddim_step(schedule: NoiseSchedule, x: Tensor, eps: Tensor, t: int, u: int) -> Tensor:
    """Move x from timestep t to u along the predicted noise: phi if u > t, psi if u < t.

    Args:
        x: x_t, (B, C, H, W), [-1, 1] scale.
        eps: eps_theta(x_t, t), same shape.

    Returns:
        x_u, same shape and dtype. Nothing is clipped.
    """
    a_t, a_u = schedule.alpha_bar[t], schedule.alpha_bar[u]
    return sqrt(a_u / a_t) * x + (sqrt(1 - a_u) - sqrt(a_u / a_t) * sqrt(1 - a_t)) * eps


def trajectory(eps_model: EpsModel, x_0: Tensor, schedule: NoiseSchedule, k: int, t_sec: int) -> Iterator[Point]:
    """Walk x~_0, x~_k, ..., x~_{T_SEC}, one network evaluation a point, N + 1 in all.

    A generator: nothing is kept, so memory does not grow with N unless the caller keeps points; to cancel,
    stop asking.

    Args:
        x_0: images (B, C, H, W) in [-1, 1]; taken to be at timestep index 0.

    Raises:
        ValueError: T_SEC is not a multiple of k within the schedule.
    """
    check_step(schedule, k, t_sec)
    x = x_0
    for t in range(0, t_sec + 1, k):
        eps = eps_model(x, t)
        yield Point(t, x, eps)
        if t < t_sec:
            x = ddim_step(schedule, x, eps, t, t + k)


def t_error(schedule: NoiseSchedule, near: Point, far: Point) -> TError:
    """The t-error of the step between two successive points of one trajectory, T_SEC = far.t."""
    return TError(far.t, schedule.weight(near.t, far.t), (far.eps - near.eps).square() / 4)


def t_errors(eps_model: EpsModel, x_0: Tensor, schedule: NoiseSchedule, k: int, t_sec: int) -> Iterator[TError]:
    """The t-errors at k, 2k, ..., T_SEC of one trajectory: a sweep for the price of its last value."""
    points = trajectory(eps_model, x_0, schedule, k, t_sec)
    near = next(points)
    for far in points:
        yield t_error(schedule, near, far)
        near = far


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


def noised(schedule: NoiseSchedule, x_0: Tensor, eps: Tensor, t: int) -> Tensor:
    """q: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, same shape and dtype as x_0."""
    alpha_bar = schedule.alpha_bar[t]
    return sqrt(alpha_bar) * x_0 + sqrt(1 - alpha_bar) * eps


def training_loss(eps_model: EpsModel, x_0: Tensor, eps: Tensor, schedule: NoiseSchedule, t: int) -> Tensor:
    """The DDPM's training loss at one timestep, the existing method of the paper's Table 2 (Matsumoto et al. 2023):

        L_t(x_0, eps) = || eps - eps_theta(q(x_0, t, eps), t) ||^2

    One network evaluation an image. Like the t-error, smaller means generated.

    Args:
        x_0: images (B, C, H, W) in [-1, 1].
        eps: standard normal noise, same shape.

    Returns:
        The loss summed over channels and pixels, (B,).

    Raises:
        ValueError: t lies outside the schedule.
    """
    if not 0 <= t < len(schedule):
        raise ValueError(f"the timestep of the training loss must be between 0 and {len(schedule) - 1}, not {t}")
    return (eps_model(noised(schedule, x_0, eps, t), t) - eps).square().sum(dim=(1, 2, 3))

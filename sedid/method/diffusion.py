r"""The method: deterministic diffusion steps and the step-wise error (arXiv 2307.06272, section 3).

Notation, one ASCII spelling each:

    t, s        timesteps, integers 0 .. T-1; here s = t + k
    k           step size of the trajectory: the paper's walk visits 0, k, 2k, ...
    path        0 < t_1 < t_2 < ...: the timesteps of any other walk; each of its steps has a size of its own
    T_SEC       the FAR end of the step that is measured: a multiple of k, or a timestep of the path
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
phi(s -> s+k). N values of T_SEC therefore cost N + 1 network evaluations instead of 2N. Nothing in this needs steps
of one size: along a path, k stands for the size of the step that is measured.

Pure tensor code: no files, no device choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from sedid.later import torch
from sedid.method.wording import NOISE, Wording

if TYPE_CHECKING:
    from torch import Tensor


EpsModel = Callable[["Tensor", int], "Tensor"]
"""eps_theta: images (B, C, H, W) in [-1, 1] at integer timestep t -> predicted noise, same shape and dtype."""
Path = tuple[int, ...]
"""The timesteps that a walk visits, from the image at index 0 on: (0, 495, 825, 990)."""
Steps = int | Path
"""How a trajectory walks, which is what `k` means wherever this is its type: a step size, the paper's k, for the path
0, k, 2k, ... as far as the schedule goes; or a path of steps that are not all equal (`as_steps`)."""
NNInput = Literal["pair", "error", "both"]
INPUT_IMAGES: dict[str, int] = {"pair": 2, "error": 1, "both": 3}
"""What the classifier looks at (`nn_input`), and how many images that is, each of the channels that the model walks on."""


class Schedule(Protocol):
    """What a walk needs to know of how noise grows: `NoiseSchedule`, or `flow.FlowSchedule`."""

    words: ClassVar[Wording]

    def __len__(self) -> int: ...

    def coefficients(self, t: int, u: int) -> tuple[float, float]:
        """(a, b) of the deterministic step from t to u: x_u = a x_t + b said, said what the network says at (x_t, t)."""
        ...

    def weight(self, t: int, s: int) -> float:
        """The fixed factor of the t-error of the step from t to s."""
        ...

    def shares(self, t: int) -> tuple[float, float]:
        """(signal, noise) of a noised image: x_t = signal x_0 + noise eps."""
        ...

    def target(self, x_0: Tensor, eps: Tensor) -> Tensor:
        """What the network is trained to say of any x_t of these two."""
        ...

    def noise_of(self, said: Tensor, x: Tensor, t: int) -> Tensor:
        """The noise that the network's answer about x at t stands for."""
        ...

    def clean_of(self, said: Tensor, x: Tensor, t: int) -> Tensor:
        """f_theta: the image without noise that the network's answer about x at t stands for; same shape as x."""
        ...


@dataclass(frozen=True)
class NoiseSchedule:
    """alpha_bar for t = 0 .. T-1, as Python floats (float64): coefficients are exact on every device."""

    alpha_bar: tuple[float, ...]
    words: ClassVar[Wording] = NOISE

    @classmethod
    def from_betas(cls, betas: Sequence[float] | Tensor) -> NoiseSchedule:
        """Build from beta_0 .. beta_{T-1}, each in (0, 1)."""
        betas = torch.as_tensor(betas, dtype=torch.float64)
        if betas.ndim != 1 or len(betas) < 2 or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas must be a sequence of at least two numbers, each between 0 and 1")
        return cls(tuple(torch.cumprod(1 - betas, dim=0).tolist()))

    @classmethod
    def linear(cls, timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> NoiseSchedule:
        """The DDPM schedule (Ho et al. 2020): beta rises linearly."""
        return cls.from_betas(torch.linspace(beta_start, beta_end, timesteps, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def coefficients(self, t: int, u: int) -> tuple[float, float]:
        """Of phi and psi (`ddim_step`): sqrt(alpha_bar_u / alpha_bar_t), and what is left for eps."""
        a_t, a_u = self.alpha_bar[t], self.alpha_bar[u]
        return sqrt(a_u / a_t), sqrt(1 - a_u) - sqrt(a_u / a_t) * sqrt(1 - a_t)

    def weight(self, t: int, s: int) -> float:
        """c(t, k)^2 with s = t + k: the fixed factor of the t-error at T_SEC = s."""
        near, far = self.alpha_bar[t], self.alpha_bar[s]
        return (sqrt(1 - near) - sqrt(near / far) * sqrt(1 - far)) ** 2

    def shares(self, t: int) -> tuple[float, float]:
        """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t)."""
        return sqrt(self.alpha_bar[t]), sqrt(1 - self.alpha_bar[t])

    def target(self, x_0: Tensor, eps: Tensor) -> Tensor:
        """The noise itself."""
        return eps

    def noise_of(self, said: Tensor, x: Tensor, t: int) -> Tensor:
        """The answer itself: of a network that predicts something else, the engine is given the noise (`predictions`)."""
        return said

    def clean_of(self, said: Tensor, x: Tensor, t: int) -> Tensor:
        """(x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t)."""
        signal, noise = self.shares(t)
        return (x - noise * said) / signal


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


def check_step(schedule: Schedule, k: Steps, t_sec: int) -> None:
    """Refuse a (k, T_SEC) that names no step of this schedule.

    Raises:
        ValueError: naming what was wrong and the nearest values that are accepted.
    """
    if isinstance(k, tuple):
        check_path(schedule, k)
        if t_sec not in k[1:]:
            raise ValueError(
                f"T_SEC must be a timestep of the {steps_in_words(k)}, which {t_sec} is not; "
                f"accepted: {', '.join(map(str, k[1:]))}"
            )
        return
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


def check_path(schedule: Schedule, path: Path) -> None:
    """Refuse a path that is none on this schedule.

    Raises:
        ValueError: it does not begin with the image at 0, visit a timestep after it, ascend, or end within the schedule.
    """
    last = len(schedule) - 1
    if not _ascends(path) or path[-1] > last:
        raise ValueError(f"a path must be 0 and then ascending timesteps up to {last}, not {write_steps(path):.60}")


def _ascends(path: Path) -> bool:
    return len(path) > 1 and path[0] == 0 and all(near < far for near, far in pairwise(path))


def as_steps(path: Path) -> Steps:
    """The one name of a walk along an ascending path: k where all its steps are of one size, else the path itself."""
    k = path[1]
    return k if path == tuple(range(0, path[-1] + 1, k)) else path


def read_steps(text: str) -> Steps:
    """A path as people write it, "0,495,825,990" or "0+495+825+990"; the schedule is not asked (`check_path`).

    Raises:
        ValueError: it is none.
    """
    parts = text.replace("+", ",").split(",")
    path = tuple(int(part) for part in parts if part.strip().isdecimal() and len(part) < 20)
    if len(path) < len(parts) or not _ascends(path):
        raise ValueError(f"a path is 0 and then ascending timesteps, such as 0,495,825,990, not {text!r:.60}")
    return as_steps(path)


def write_steps(k: Steps) -> str:
    """How a trajectory walks as text for addresses and tables: "165", or a path as `read_steps` reads it."""
    return ",".join(map(str, k)) if isinstance(k, tuple) else str(k)


def steps_in_words(k: Steps) -> str:
    """How a trajectory walks, in a few words: "k = 165", or "path 0, 495, 825, 990"."""
    return f"path {', '.join(map(str, k))}" if isinstance(k, tuple) else f"k = {k}"


def pair_in_words(k: Steps, t_sec: int) -> str:
    """Where a t-error is measured: "k = 165, T_SEC = 990", or "path 0, 495, 825, 990, T_SEC = 990"."""
    return f"{steps_in_words(k)}, T_SEC = {t_sec}"


def whole_path(schedule: Schedule, k: Steps) -> Path:
    """The path to its end: 0, k, 2k, ... as far as the schedule goes; or the path itself.

    Raises:
        ValueError: as `check_step`.
    """
    if isinstance(k, tuple):
        check_path(schedule, k)
        return k
    check_step(schedule, k, k)
    return tuple(range(0, len(schedule), k))


def reverse_path(schedule: Schedule, k: Steps, t_sec: int) -> Path:
    """The path 0, ..., T_SEC of a trajectory.

    Raises:
        ValueError: as `check_step`.
    """
    check_step(schedule, k, t_sec)
    return tuple(t for t in whole_path(schedule, k) if t <= t_sec)


def order(steps: Iterable[Steps]) -> list[Steps]:
    """Each once: step sizes ascending, then paths."""
    return sorted(set(steps), key=steps_order)


def steps_order(k: Steps) -> tuple[bool, Path]:
    """The key by which `order` sorts."""
    return (True, k) if isinstance(k, tuple) else (False, (k,))


def ddim_step(schedule: Schedule, x: Tensor, eps: Tensor, t: int, u: int) -> Tensor:
    """Move x from timestep t to u along the predicted noise: phi if u > t, psi if u < t.

    Args:
        x: x_t, (B, C, H, W), [-1, 1] scale.
        eps: eps_theta(x_t, t), same shape.

    Returns:
        x_u, same shape and dtype. Nothing is clipped.
    """
    of_x, of_eps = schedule.coefficients(t, u)
    return of_x * x + of_eps * eps


def trajectory(eps_model: EpsModel, x_0: Tensor, schedule: Schedule, k: Steps, t_sec: int) -> Iterator[Point]:
    """Walk x~_0, x~_k, ..., x~_{T_SEC}, one network evaluation a point, N + 1 in all.

    Along a path the points are those at its timesteps, x~_0, x~_{t_1}, ..., x~_{T_SEC}.

    A generator: nothing is kept, so memory does not grow with N unless the caller keeps points; to cancel,
    stop asking.

    Args:
        x_0: images (B, C, H, W) in [-1, 1]; taken to be at timestep index 0.

    Raises:
        ValueError: as `check_step`.
    """
    t, *further = reverse_path(schedule, k, t_sec)
    x, eps = x_0, eps_model(x_0, t)
    yield Point(t, x, eps)
    for u in further:
        x = ddim_step(schedule, x, eps, t, u)
        t, eps = u, eps_model(x, u)
        yield Point(t, x, eps)


def t_error(schedule: Schedule, near: Point, far: Point) -> TError:
    """The t-error of the step between two successive points of one trajectory, T_SEC = far.t."""
    return TError(far.t, schedule.weight(near.t, far.t), (far.eps - near.eps).square() / 4)


def t_errors(eps_model: EpsModel, x_0: Tensor, schedule: Schedule, k: Steps, t_sec: int) -> Iterator[TError]:
    """The t-errors at every T_SEC of one trajectory, k, 2k, ... or t_1, t_2, ...: a sweep for the price of its last."""
    points = trajectory(eps_model, x_0, schedule, k, t_sec)
    near = next(points)
    for far in points:
        yield t_error(schedule, near, far)
        near = far


def nn_input(schedule: Schedule, near: Point, far: Point, mode: str) -> Tensor:
    """The classifier's input at T_SEC = far.t: both intermediates at the SAME timestep, T_SEC - k.

    Args:
        mode: "pair" (x~ and its round trip, 6 channels of RGB: the paper), "error" (squared difference on the [-1, 1]
            scale, 3 channels: the reference code), "both" (9 channels).

    Returns:
        (B, channels, H, W) float32.

    Raises:
        ValueError: unknown mode.
    """
    if mode not in INPUT_IMAGES:
        raise ValueError(f"unknown classifier input {mode!r}; accepted: {', '.join(INPUT_IMAGES)}")
    denoised = ddim_step(schedule, far.x, far.eps, far.t, near.t)
    pair, error = (near.x, denoised), (denoised - near.x).square()
    return {"pair": torch.cat(pair, 1), "error": error, "both": torch.cat((*pair, error), 1)}[mode]


def noised(schedule: Schedule, x_0: Tensor, eps: Tensor, t: int) -> Tensor:
    """q: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, or as `flow` has it; same shape and dtype as x_0."""
    signal, noise = schedule.shares(t)
    return signal * x_0 + noise * eps


def training_loss(eps_model: EpsModel, x_0: Tensor, eps: Tensor, schedule: Schedule, t: int) -> Tensor:
    """The DDPM's training loss at one timestep, the existing method of the paper's Table 2 (Matsumoto et al. 2023).

        L_t(x_0, eps) = || eps - eps_theta(q(x_0, t, eps), t) ||^2        of a flow, of eps - x_0

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
    return (eps_model(noised(schedule, x_0, eps, t), t) - schedule.target(x_0, eps)).square().sum(dim=(1, 2, 3))

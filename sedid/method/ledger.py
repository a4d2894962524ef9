"""What the network said about one batch: each point is evaluated at most once, whoever asks, and counted.

Every deterministic method walks along the noise the network predicts (`diffusion.ddim_step`), so a point is named by
the *path* that leads to it: the timesteps visited, from the image at index 0 on.

    (0, 165, 330)               x~_330 of the trajectory with k = 165
    (0, 495, 825)               x~_825 of a trajectory whose steps are not all of one size
    (0, 165, 330, 165)          its round trip psi(x~_330), compared with (0, 165) by the t-error at T_SEC = 330
    (0, 165, 330, 165, 0)       the image reconstructed from x~_330
    (0, 165, 330, 165, 0, 165)  the same again: a trajectory of the reconstruction

Two methods that need the same point ask for the same path. The point (0,) is common to all step sizes, to PIA and to
everything else that needs eps_theta(x_0, 0). Noised points (`noised`) are named by their timestep and their noise.

A ledger holds all points of its batch until it is dropped; there is one at a time, so memory grows with the batch size
and with the points of one image, not with the data set. Pure tensor code: no files, no device choice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from sedid.later import torch
from sedid.method.diffusion import EpsModel, Path, Point, Schedule, Steps, ddim_step, noised, reverse_path

if TYPE_CHECKING:
    from torch import Tensor

Noise = Callable[[int], "Tensor"]
"""Number of a draw -> standard normal noise for every image of the batch, (B, C, H, W)."""


def reconstruction_path(schedule: Schedule, k: Steps, t_sec: int) -> Path:
    """The path 0, ..., T_SEC and back to 0 with the same steps.

    Raises:
        ValueError: as `reverse_path`.
    """
    path = reverse_path(schedule, k, t_sec)
    return (*path, *path[-2::-1])


class Ledger:
    """The network evaluations of one batch.

    Args:
        x_0: images (B, C, H, W) in [-1, 1], any float dtype; taken to be at timestep index 0.
        noise: where noised points get their noise from; needed by methods that draw some.
        reconstructed: of a latent model, the pictures behind x_0 and what its VAE makes of them; see `reconstructed`.

    """

    def __init__(
        self,
        eps_model: EpsModel,
        schedule: Schedule,
        x_0: Tensor,
        noise: Noise | None = None,
        reconstructed: Callable[[], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.schedule, self.x_0 = schedule, x_0
        self._asked = 0
        self._reconstructed = reconstructed
        self._eps_model, self._noise = eps_model, noise
        self._points: dict[Hashable, Point] = {}
        self._draws: dict[int, Tensor] = {}
        self._changed: dict[Callable[[Tensor], Tensor], Ledger] = {}

    @property
    def evaluations(self) -> int:
        """Network evaluations so far, of the whole batch at one timestep each; those of changed copies are among them."""
        return self._asked + sum(other.evaluations for other in self._changed.values())

    def of(self, change: Callable[[Tensor], Tensor]) -> Ledger:
        """The ledger of a changed copy of the batch, the same one for the same change.

        Args:
            change: images (B, C, H, W) in [-1, 1] -> images of the same shape, without randomness.
        """
        if change not in self._changed:
            self._changed[change] = Ledger(self._eps_model, self.schedule, change(self.x_0), self._noise)
        return self._changed[change]

    def point(self, path: Sequence[int]) -> Point:
        """The end of a path, and what the network says there; what is missing on the way is evaluated."""
        path = tuple(path)
        known = len(path)
        while known and path[:known] not in self._points:
            known -= 1
        for end in range(known + 1, len(path) + 1):  # one after the other: no recursion as deep as the path is long
            self._evaluated(path[:end], path[end - 1], self.image(path[:end]))
        return self._points[path]

    def image(self, path: Sequence[int]) -> Tensor:
        """The image x at the end of a path, (B, C, H, W); the network is not asked there, only before.

        Raises:
            ValueError: the path does not begin with the image, at index 0.
        """
        *before, t = path
        if not before:
            if t != 0:
                raise ValueError(f"a path begins with the image at timestep index 0, not at {t}")
            return self.x_0
        near = self.point(before)
        return ddim_step(self.schedule, near.x, near.eps, near.t, t)

    def step(self, k: Steps, t_sec: int) -> tuple[Point, Point]:
        """The two trajectory points whose step is measured at T_SEC.

        Raises:
            ValueError: as `check_step`.
        """
        path = reverse_path(self.schedule, k, t_sec)
        far = self.point(path)
        return self.point(path[:-1]), far

    def noise(self, draw: int) -> Tensor:
        """The noise of a draw, (B, C, H, W), in the images' dtype.

        Raises:
            ValueError: this ledger was given no source of noise.
        """
        if draw not in self._draws:
            if self._noise is None:
                raise ValueError("a method that draws noise needs a ledger with a source of it")
            self._draws[draw] = self._noise(draw).to(self.x_0)
        return self._draws[draw]

    def noised(self, t: int, eps: Tensor, name: Hashable) -> Point:
        """q(x_0, t, eps) and what the network says there.

        Args:
            eps: the noise, (B, C, H, W).
            name: of the noise; with the same name comes the same noise.

        Raises:
            ValueError: t lies outside the schedule.
        """
        if not 0 <= t < len(self.schedule):
            raise ValueError(f"t must be between 0 and {len(self.schedule) - 1}, not {t}")
        key = ("noised", t, name)
        return self._points.get(key) or self._evaluated(key, t, noised(self.schedule, self.x_0, eps, t))

    def reconstructed(self) -> tuple[Tensor, Tensor]:
        """Of a latent model, the pictures x and D(E(x)), both (B, 3, H, W) in [-1, 1]; no evaluation.

        Raises:
            ValueError: the model walks on the pixels themselves.
        """
        if self._reconstructed is None:
            raise ValueError("a method that compares a picture with its VAE's reconstruction needs a latent model")
        return self._reconstructed()

    def _evaluated(self, key: Hashable, t: int, x: Tensor) -> Point:
        self._asked += 1
        self._points[key] = Point(t, x, self._eps_model(x, t))
        return self._points[key]


def rehearsal(schedule: Schedule) -> Ledger:
    """A ledger that counts what it is asked for, without a network: one pixel, nothing computed worth looking at."""
    pixel = torch.zeros(1, 3, 1, 1)
    return Ledger(lambda x, t: x, schedule, pixel, lambda draw: pixel, lambda: (pixel, pixel))

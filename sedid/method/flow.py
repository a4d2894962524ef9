r"""Flow matching: the step error along a straight path (rectified flow; SD3 and FLUX are of this kind).

    x_t = (1 - sigma_t) x_0 + sigma_t eps          the path, sigma from nearly 0 to 1
    v_theta(x_t, t) = eps - x_0                    what the network predicts: the direction of the path
    x_u = x_t + (sigma_u - sigma_t) v_theta        one step, phi if u > t, psi if u < t

The identity holds as for noise, and more plainly, since the x of both ends cancels:

    E_{s,k}(x_0) = || psi(x_s, s -> t) - x_t ||^2 = (sigma_s - sigma_t)^2 || v_theta(x_s, s) - v_theta(x_t, t) ||^2

It is how much the network changes its mind about the direction. The engine of `diffusion` walks such a schedule as it is:
N + 1 evaluations, any path of timesteps. The step is DDIM's own with sqrt(alpha_bar) = 1 - sigma and
sqrt(1 - alpha_bar) = sigma, and nothing is divided by 1 - sigma, which is 0 at the end. Every method of `methods` runs
along it: what the training loss and PIA need of a schedule are `shares`, `target` and `noise_of`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sedid.later import torch
from sedid.method.wording import FLOW, Wording

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FlowSchedule:
    """sigma for t = 0 .. T-1, ascending to 1; the image enters at t = 0, where sigma is nearly 0.

    Attributes:
        sigma: as the scheduler shifts it.
    """

    sigma: tuple[float, ...]
    words: ClassVar[Wording] = FLOW

    @classmethod
    def shifted(cls, timesteps: int = 1000, shift: float = 1.0) -> "FlowSchedule":
        """Even steps, shifted towards noise: sigma = shift u / (1 + (shift - 1) u), u = (t + 1) / T.

        SD3's shift is 3; FLUX takes e^mu, which grows with the size of the picture.

        Raises:
            ValueError: a shift that is not above 0, or fewer than two timesteps.
        """
        if not shift > 0 or timesteps < 2:
            raise ValueError(
                f"a flow needs a shift above 0 and at least 2 timesteps, not {shift!r:.60} and {timesteps}"
            )
        shares = [(t + 1) / timesteps for t in range(timesteps)]
        return cls(tuple(shift * u / (1 + (shift - 1) * u) for u in shares))

    def __len__(self) -> int:
        return len(self.sigma)

    def asked_at(self, t: "int | Tensor") -> "float | Tensor":
        """What the network is told in place of t, one or one of each row: the shifted sigma times T, not t itself."""
        if isinstance(t, int):
            return self.sigma[t] * len(self)
        return t.new_tensor(self.sigma, dtype=torch.float32)[t] * len(self)

    def coefficients(self, t: int, u: int) -> tuple[float, float]:
        """Of a step along the path: x_u = x_t + (sigma_u - sigma_t) v."""
        return 1.0, self.sigma[u] - self.sigma[t]

    def weight(self, t: int, s: int) -> float:
        """(sigma_s - sigma_t)^2."""
        return (self.sigma[s] - self.sigma[t]) ** 2

    def shares(self, t: int) -> tuple[float, float]:
        """1 - sigma and sigma."""
        return 1 - self.sigma[t], self.sigma[t]

    def target(self, x_0: "Tensor", eps: "Tensor") -> "Tensor":
        """The direction of the path."""
        return eps - x_0

    def noise_of(self, said: "Tensor", x: "Tensor", t: int) -> "Tensor":
        """What lies at the end of the straight path: x_t + (1 - sigma_t) v."""
        return x + (1 - self.sigma[t]) * said

    def clean_of(self, said: "Tensor", x: "Tensor", t: int) -> "Tensor":
        """What lies at its beginning: x_t - sigma_t v."""
        return x - self.sigma[t] * said

"""A network that is right: the noise that the best network would see, where the data are a mixture of Gaussians."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from sedid.method.diffusion import NoiseSchedule


@dataclass(frozen=True)
class MixtureNetwork:
    """An `EpsModel` without weights, in float64: eps = -sqrt(1 - alpha_bar_t) grad log p_t(x), by autograd.

    Attributes:
        weights: (parts,), summing to 1.
        means: (parts, axes) of the data.
        variances: (parts, axes).
    """

    schedule: NoiseSchedule
    weights: Tensor
    means: Tensor
    variances: Tensor

    def noised(self, t: int) -> MixtureSameFamily:
        """p_t: what noise makes of the data."""
        alpha_bar = self.schedule.alpha_bar[t]
        spread = (alpha_bar * self.variances + 1 - alpha_bar).sqrt()
        return MixtureSameFamily(
            Categorical(self.weights), Independent(Normal(sqrt(alpha_bar) * self.means, spread), 1)
        )

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """The noise in x, (B, axes, 1, 1), at timestep t."""
        at = x.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.noised(t).log_prob(at.flatten(1)).sum(), at)
        return -sqrt(1 - self.schedule.alpha_bar[t]) * slope

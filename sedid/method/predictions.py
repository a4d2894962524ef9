r"""What networks predict in place of the noise, and the way from there to eps.

The engine walks on eps_theta alone (`diffusion`). A network trained to predict something else says the same in other
words, and one formula turns it:

    epsilon        eps itself
    v_prediction   v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x_0
                   eps = sqrt(alpha_bar_t) v + sqrt(1 - alpha_bar_t) x_t
    sample         x_0, the clean image
                   eps = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t)

Ask for the wrong one and nothing fails, since shapes are alike; the numbers are merely wrong. The last formula divides by
0.01 at t = 0 of the DDPM schedule: what such a network gets wrong there counts a hundredfold.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Literal, get_args

from sedid.later import torch
from sedid.method.diffusion import NoiseSchedule

if TYPE_CHECKING:
    from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


def to_eps(prediction: str, schedule: NoiseSchedule, said: Tensor, x: Tensor, t: int | Tensor) -> Tensor:
    """The noise that a network's answer stands for.

    Args:
        prediction: one of PREDICTIONS.
        said: what the network answered about x at t, (B, C, H, W).
        x: x_t, same shape.
        t: one timestep for all rows, or one of each, (B,).

    Returns:
        eps, same shape and dtype.

    Raises:
        ValueError: unknown prediction.
    """
    if prediction == "epsilon":
        return said
    if prediction not in PREDICTIONS:
        raise ValueError(f"unknown prediction {prediction!r:.60}; accepted: {', '.join(PREDICTIONS)}")
    signal, noise = _shares(schedule, x, t)
    return signal * said + noise * x if prediction == "v_prediction" else (x - signal * said) / noise


def _shares(schedule: NoiseSchedule, x: Tensor, t: int | Tensor) -> tuple[float | Tensor, float | Tensor]:
    """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t): two numbers, or two (B, 1, 1, 1)."""
    if not isinstance(t, torch.Tensor) or t.ndim == 0:
        alpha_bar = schedule.alpha_bar[int(t)]
        return sqrt(alpha_bar), sqrt(1 - alpha_bar)
    rows = torch.tensor(schedule.alpha_bar, dtype=torch.float64)[t.cpu()].reshape(-1, 1, 1, 1)
    return rows.sqrt().to(x), (1 - rows).sqrt().to(x)

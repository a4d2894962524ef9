"""The noise floor: how far the t-error depends on the precision in which the network runs.

The whole trajectory is walked three times: with the network and the steps in float64 (the reference), as the detector
runs by default (float32), and with the network alone in bfloat16 (`Runtime.autocast`). Late in the trajectory the two
noise predictions that are subtracted are nearly equal, and rounding weighs most.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sedid.data.datasets import as_model_input
from sedid.detector.bundle import load_detector
from sedid.later import torch
from sedid.method.diffusion import EpsModel, NoiseSchedule, Steps, t_errors
from sedid.models.networks import load_unet
from sedid.progress import Meter, Progress

if TYPE_CHECKING:
    from torch import Tensor

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Rounding:
    """The relative error |E - E64| / E64 of a few images in one precision.

    Attributes:
        bias: the median of the signed one.
    """

    median: float
    p90: float
    max: float
    bias: float

    @classmethod
    def of(cls, relative: np.ndarray) -> Rounding:
        """Of signed relative errors (N,)."""
        median, high, largest = np.quantile(np.abs(relative), (0.5, 0.9, 1.0)).tolist()
        return cls(median, high, largest, float(np.median(relative)))


@dataclass(frozen=True)
class NoiseRow:
    """The noise floor at one T_SEC; `median` is of E in float64."""

    t_sec: int
    median: float
    fp32: Rounding
    bf16: Rounding


def double_model(folder: Path) -> EpsModel:
    """eps_theta of a bundle in float64, on the CPU (some GPUs have no float64).

    The embedding of the timestep is computed in float32 inside diffusers, as in the other precisions.
    """
    unet: Any = load_unet(folder).double().requires_grad_(False)

    @torch.inference_mode()
    def predict(x: Tensor, t: int) -> Tensor:
        eps: Tensor = unet(x, torch.tensor(t)).sample
        return eps

    return predict


def exact_input(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) to float64 (N, 3, H, W): the very values the network gets, float32's rounding included.

    Only what the network and the steps add is measured thereby.
    """
    return as_model_input(images).double()


def walked(
    eps_model: EpsModel, x_0: Tensor, schedule: NoiseSchedule, k: Steps, t_sec: int, meter: Meter
) -> Generator[Progress, None, np.ndarray]:
    """E at every T_SEC, float64 (T_SEC values, N)."""
    rows = []
    for error in t_errors(eps_model, x_0, schedule, k, t_sec):
        rows.append(error.score.double().cpu().numpy())
        yield meter.at(meter.done + len(x_0))
    return np.stack(rows)


def noise_floor(
    folder: Path, images: np.ndarray, k: int, device: str = "auto"
) -> Generator[Progress, None, list[NoiseRow]]:
    """The t-errors of a few images in each precision, against float64.

    Args:
        images: uint8 (N, H, W, 3), one batch.

    Returns:
        A row a T_SEC.
    """
    detectors = {name: load_detector(folder, device, name) for name in PRECISIONS}
    schedule, t_sec = detectors["fp32"].schedule, detectors["fp32"].max_t_sec(k)
    meter = Meter("noise floor", len(images) * (1 + len(PRECISIONS)) * (t_sec // k), "steps")
    exact = yield from walked(double_model(folder), exact_input(images), schedule, k, t_sec, meter)
    found = {}
    for name, detector in detectors.items():
        x_0 = as_model_input(images).to(detector.runtime.device)
        found[name] = yield from walked(detector.eps_model, x_0, schedule, k, t_sec, meter)
    rows = []
    for i, reference in enumerate(exact):
        of = {name: Rounding.of((errors[i] - reference) / reference) for name, errors in found.items()}
        rows.append(NoiseRow(k * (i + 1), float(np.median(reference)), of["fp32"], of["bf16"]))
    return rows

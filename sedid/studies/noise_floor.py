"""The noise floor: how far the t-error depends on the precision in which the network runs.

The whole trajectory is walked three times: with the network and the steps in float64 (the reference), as the detector
runs by default (float32), and with the network alone in bfloat16 (`Runtime.autocast`). Late in the trajectory the two
noise predictions that are subtracted are nearly equal, and rounding weighs most.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sedid.detector.bundle import condition_of, load_detector
from sedid.method.diffusion import EpsModel, Schedule, Steps, t_errors
from sedid.models.latent import Latents
from sedid.models.networks import Runtime, Told
from sedid.models.opening import Model, open_model
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


def in_float64(folder: Path) -> Model:
    """The model of a bundle in float64, its VAE if it has one too, on the CPU (some GPUs have no float64).

    The embedding of the timestep is computed in float32 inside diffusers, as in the other precisions.
    """
    model = open_model(folder, Runtime.choose("cpu"))
    model.network.double()
    if isinstance(model.space, Latents):
        model.space.vae.double()

    def tell(prompts: Sequence[str], guidance: float) -> Told:
        told = model.tell(prompts, guidance)
        return replace(told, arguments=_doubled(told.arguments), empty=_doubled(told.empty))

    return replace(model, tell=tell)


def _doubled(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a network in float64; numbers of classes stay whole."""

    def double(value: Any) -> Any:
        return _doubled(value) if isinstance(value, Mapping) else value.double() if value.is_floating_point() else value

    return {name: double(value) for name, value in arguments.items()}


def walked(
    eps_model: EpsModel, x_0: Tensor, schedule: Schedule, k: Steps, t_sec: int, meter: Meter
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
    plain = detectors["fp32"]
    schedule, t_sec = plain.schedule, plain.max_t_sec(k)
    meter = Meter("noise floor", len(images) * (1 + len(PRECISIONS)) * (t_sec // k), "steps")
    # the very values the network gets, float32's rounding included: what it and the steps add is measured, no more
    x_0 = plain.encode(images)
    model = in_float64(folder).eps(condition_of(plain.info))
    exact = yield from walked(model, x_0.cpu().double(), schedule, k, t_sec, meter)
    found = {}
    for name, detector in detectors.items():
        found[name] = yield from walked(detector.eps_model, x_0, schedule, k, t_sec, meter)
    rows = []
    for i, reference in enumerate(exact):
        of = {name: Rounding.of((errors[i] - reference) / reference) for name, errors in found.items()}
        rows.append(NoiseRow(k * (i + 1), float(np.median(reference)), of["fp32"], of["bf16"]))
    return rows

"""The existing method of the paper's Table 2: the DDPM's training loss at one timestep (Matsumoto et al. 2023).

It gets what STAT gets: the calibration split chooses its timestep among as many candidates as STAT has T_SEC values at
k = 165, its polarity and its threshold.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from sedid import processes
from sedid.detector.detector import Detector
from sedid.later import torch
from sedid.method.diffusion import training_loss
from sedid.progress import Meter, Progress
from sedid.stats.metrics import Metrics, fit_cut, measure, sign_of
from sedid.training.seeds import seed_of

if TYPE_CHECKING:
    from torch import Tensor

TIMESTEPS = (20, 100, 200, 350, 500, 700)
"""Candidates the calibration split chooses among."""


def noise_of(seed: int, index: int, draw: int, shape: tuple[int, ...]) -> Tensor:
    """The noise of one image: a function of (seed, place in its set, draw), whatever the batch or process."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed_of(seed, index, draw)))


def training_losses(
    detector: Detector,
    images: np.ndarray,
    t: int,
    noises: int,
    seed: int = 0,
    batch_size: int = 32,
    stage: str = "training loss",
) -> Generator[Progress, None, np.ndarray]:
    """L_t of every image (`diffusion.training_loss`), averaged over `noises` draws; as many evaluations an image.

    Args:
        images: uint8 (N, H, W, 3), as the detector sees them.

    Returns:
        float64 (N,) in the order of `images`; smaller means generated.

    Raises:
        ValueError: t lies outside the schedule.
    """
    meter = Meter(stage, len(images) * noises, "evaluations")
    found = []
    for start in processes.share(range(0, len(images), batch_size)):
        x_0 = detector.encode(images[start : start + batch_size])
        mean = np.zeros(len(x_0))
        for draw in range(noises):
            eps = torch.stack([noise_of(seed, start + i, draw, x_0.shape[1:]) for i in range(len(x_0))]).to(x_0)
            losses = training_loss(detector.eps_model, x_0, eps, detector.schedule, t)
            mean += losses.double().cpu().numpy() / noises
            yield meter.at(min(meter.done + len(x_0) * processes.count(), meter.total))
        found.append(mean)
    return np.concatenate(processes.gathered(found))


def calibrate_existing(
    detector: Detector,
    real: np.ndarray,
    generated: np.ndarray,
    timesteps: Sequence[int],
    noises: int,
    batch_size: int = 32,
) -> Generator[Progress, None, dict[str, Any]]:
    """The `existing` section of detector.json: timestep, polarity and threshold from the calibration images.

    Raises:
        ValueError: a timestep outside the schedule, or fewer than one noise.
    """
    if noises < 1:
        raise ValueError(f"the training loss needs at least 1 noise an image, not {noises}")
    made: list[dict[str, Any]] = []
    for t in timesteps:
        losses = []
        for seed, (name, images) in enumerate((("real", real), ("generated", generated))):
            stage = f"training loss at t = {t} of {name} images"
            losses.append((yield from training_losses(detector, images, t, noises, seed, batch_size, stage)))
        cut = fit_cut(*losses)
        made.append({"t": t, "polarity": cut.polarity, "threshold": cut.sign * cut.threshold, "auc": cut.auc})
    best = max(made, key=lambda candidate: candidate["auc"])
    return best | {
        "noises": noises,
        "chosen_by": f"highest AUC on the calibration split among {len(made)} timesteps",
        "candidates": made,
    }


def read_existing(info: dict[str, Any]) -> dict[str, Any]:
    """The `existing` section of a detector.json; {} where it was not calibrated.

    Raises:
        ValueError: it is there and cannot be used.
    """
    section = info.get("existing") or {}
    try:
        fits = not section or (
            (type(section["t"]), type(section["noises"])) == (int, int)
            and section["noises"] >= 1
            and section["polarity"] in ("smaller", "larger")
            and type(section["threshold"]) in (int, float)
            and isfinite(section["threshold"])
            and isinstance(section["chosen_by"], str)
        )
    except (KeyError, TypeError):
        fits = False
    if not fits:
        raise ValueError("detector.json holds a calibration of the training loss that cannot be read: calibrate again")
    return section


@dataclass(frozen=True, kw_only=True)
class LossRow(Metrics):
    """The metrics of the training loss on test images, in its calibrated polarity.

    Attributes:
        t, noises, polarity, threshold, chosen_by: as calibrated.
        auc_paper_polarity: the raw AUC, a smaller loss counting as generated.
    """

    t: int
    noises: int
    polarity: str
    threshold: float
    chosen_by: str
    auc_paper_polarity: float


def existing_row(section: dict[str, Any], real: np.ndarray, generated: np.ndarray) -> LossRow:
    """The metrics of test images' losses (N,): raw AUC in the paper's polarity, the rest in the calibrated one.

    Args:
        section: what `calibrate_existing` returned.
    """
    sign = sign_of(section["polarity"])
    return LossRow(
        **{name: section[name] for name in ("t", "noises", "polarity", "threshold", "chosen_by")},
        auc_paper_polarity=measure(-real, -generated).auc,
        **asdict(measure(sign * real, sign * generated, sign * section["threshold"])),
    )

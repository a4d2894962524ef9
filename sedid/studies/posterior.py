"""How much of a latent detector's verdict is the VAE's: random samples of its posterior in place of the mean.

A detector of latents scores the mean, so that a picture has one score. Others draw a sample, and so have another score each
time. Here the same pictures are judged at the mean and at DRAWS samples, at the detector's own pair.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from sedid.detector.detector import Detector
from sedid.models.latent import Latents
from sedid.progress import Progress
from sedid.stats.metrics import measure, sign_of
from sedid.stats.stopping import log_errors
from sedid.training.scoring import score

DRAWS = 5


@dataclass(frozen=True, kw_only=True)
class PosteriorSpread:
    """What random samples of the posterior change, of STAT at the detector's own pair.

    Attributes:
        draws: samples of each picture.
        images: of each set.
        changed: of each set, the mean share of pictures whose call at a sample is another than at the mean.
        unsteady: of each set, the share of pictures that the samples do not all call alike.
        spread: of each set, the median over pictures of the standard deviation of the t-error's logarithm over the samples.
        auc: of the first set of reals against the generated images, at the mean.
        auc_of_draws: the same at each sample.
    """

    draws: int
    images: dict[str, int]
    changed: dict[str, float]
    unsteady: dict[str, float]
    spread: dict[str, float]
    auc: float
    auc_of_draws: tuple[float, ...]


def posterior_spread(
    detector: Detector, images: dict[str, np.ndarray], batch_size: int
) -> Generator[Progress, None, PosteriorSpread]:
    """Judge pictures at the mean and at samples of the posterior.

    Args:
        images: uint8 (N, H, W, 3) of "generated" and, before it or behind it, of reals.

    Raises:
        ValueError: the detector has no VAE, or is not calibrated.
    """
    space = detector.space
    if not isinstance(space, Latents):
        raise ValueError(
            f"{detector.name} walks on the pixels: it has no posterior to draw from, so posterior must be 0"
        )
    if detector.chosen is None:
        raise ValueError(f"{detector.name} is not calibrated: no verdict could change")
    k, t_sec = detector.chosen
    calibration = detector.stat[detector.chosen]
    scores: dict[str, np.ndarray] = {}
    calls: dict[str, np.ndarray] = {}
    for name, values in images.items():
        rows, said = [], []
        for draw in (None, *range(DRAWS)):
            drawing = replace(detector, space=space.sampled(draw))
            what = "the mean" if draw is None else f"sample {draw + 1} of {DRAWS}"
            found, _ = yield from score(drawing, values, [k], batch_size, f"scoring {name} images at {what}")
            rows.append(found[k, t_sec])
            said.append([str(verdict.call) for verdict in detector.verdicts(calibration, rows[-1], found, values)])
        scores[name], calls[name] = np.stack(rows), np.array(said)
    reals = next(name for name in images if name != "generated")
    sign = sign_of(calibration.polarity)
    aucs = [
        measure(sign * real, sign * made).auc for real, made in zip(scores[reals], scores["generated"], strict=True)
    ]
    return PosteriorSpread(
        draws=DRAWS,
        images={name: len(values) for name, values in images.items()},
        changed={name: float((said[1:] != said[0]).mean()) for name, said in calls.items()},
        unsteady={name: float((said[1:] != said[1]).any(axis=0).mean()) for name, said in calls.items()},
        spread={name: float(np.median(log_errors(rows[1:]).std(axis=0))) for name, rows in scores.items()},
        auc=aucs[0],
        auc_of_draws=tuple(aucs[1:]),
    )

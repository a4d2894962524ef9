"""Calibrate STAT: every (k, T_SEC) of a grid gets its polarity, threshold, undecided band and references.

So does every T_SEC of the paths that are given.

The detector's own pair is the one with the highest AUC on this calibration split, in whichever polarity holds there,
among those whose steps are all of one size: a path is the detector's own only where `studies.choose` found it and was
told to apply it. The existing method of the paper's Table 2 is calibrated beside it, on the same images. Test images
have no place here.
"""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sedid import processes
from sedid.config import Count, ErrorRate, NotNegative, Precision, Settings, StepSizes, Text, Whole
from sedid.data.datasets import crop_of, fingerprint, load_sets
from sedid.data.image_statistics import plain_statistics
from sedid.data.images import check_crop
from sedid.data.splits import record_splits, splits_file
from sedid.detector.bundle import load_detector, own_folder, update_info
from sedid.detector.detector import Calibration, Detector, Pair
from sedid.detector.provenance import provenance
from sedid.method.diffusion import Steps, order, read_steps
from sedid.models.networks import Runtime
from sedid.progress import Progress
from sedid.stats.metrics import fit_cut, quantiles, undecided_band
from sedid.stats.ranges import fit_range
from sedid.training.baseline import TIMESTEPS, calibrate_existing
from sedid.training.checks import audited, check_calibration
from sedid.training.scoring import Scores, score


@dataclass(frozen=True)
class CalibrateConfig(Settings):
    """Settings of one calibration."""

    detector: Text  # bundle, any diffusers DDPM folder, or a Hub id; a folder here is calibrated in place
    real: Text  # calibration reals, a data set
    generated: Text  # images this model generated
    out: str = ""  # bundle folder to copy the detector into first; a Hub id needs one
    center_crop: NotNegative = 0.0  # of photographs, as `images.crop_side`; 0: the detector's own
    prompt: str = (
        ""  # what a conditional model is told of every picture; of classes the number of one; "": the detector's own
    )
    guidance: NotNegative = (
        0.0  # w of classifier-free guidance; 1: none; 0: the detector's own, none where nobody set one
    )
    ks: StepSizes = (165,)
    paths: tuple[str, ...] = ()  # walks whose steps are not all of one size, each as 0+495+825+990
    error_rate: ErrorRate = 0.1  # of either class, outside the undecided band
    loss_ts: tuple[Whole, ...] = TIMESTEPS  # timesteps the baseline (training loss) is tried at; empty leaves it out
    loss_noises: Count = 1  # noises the baseline is averaged over: as many network evaluations an image and timestep
    batch_size: Count = 32
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


def walks_of(ks: Sequence[int], paths: Sequence[str]) -> list[Steps]:
    """The walks that settings name: step sizes, and paths as text (`read_steps`); each once.

    Raises:
        ValueError: a path is none.
    """
    return order([*ks, *map(read_steps, paths)])


def calibrate_pair(k: Steps, t_sec: int, real: np.ndarray, generated: np.ndarray, error_rate: float) -> Calibration:
    """Polarity, threshold, band and references of one pair from raw t-errors (N,) of both classes."""
    cut = fit_cut(real, generated)
    sign = cut.sign
    band = undecided_band(sign * real, sign * generated, cut.threshold, error_rate)
    return Calibration(
        k=k,
        t_sec=t_sec,
        polarity=cut.polarity,
        threshold=sign * cut.threshold,
        band=tuple(sorted((sign * band[0], sign * band[1]))),  # type: ignore[arg-type]
        real=quantiles(real),
        generated=quantiles(generated),
        auc=cut.auc,
    )


def calibrate_all(real: Scores, generated: Scores, error_rate: float) -> tuple[list[Calibration], Pair]:
    """Calibrate every pair of two score sets; returns them and, of one step size where there is one, that of highest AUC."""
    made = [calibrate_pair(*pair, real[pair], generated[pair], error_rate) for pair in real]
    best = max(made, key=lambda calibration: (isinstance(calibration.k, int), calibration.auc))
    return made, (best.k, best.t_sec)


def ranges_of(
    detector: Detector, walks: Sequence[Steps], real: tuple[np.ndarray, Scores], generated: tuple[np.ndarray, Scores]
) -> list[dict[str, Any]]:
    """Where the calibration images lie along each walk (`stats.ranges`), as it stands in detector.json.

    Args:
        real, generated: images, uint8 (N, H, W, 3), and their t-errors. Of few images there is no range.
    """
    plain = [plain_statistics(images) for images, _ in (real, generated)]
    found = []
    for k in walks:
        parts = [np.stack([scores[k, t_sec] for t_sec in detector.t_secs(k)]) for _, scores in (real, generated)]
        made = fit_range((plain[0], parts[0]), (plain[1], parts[1]))
        if made is not None:
            found.append({"k": k} | asdict(made))
    return found


def calibrate(config: CalibrateConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Score the calibration split and write the `stat` section of detector.json; returns that section.

    Raises:
        ValueError: no k, an error rate outside (0, 0.5), a k or timestep outside the schedule, data that cannot be
            read, or a detector that would have to be copied first.
    """
    Runtime.choose(config.device, config.precision)  # before the others are waited for
    folder = processes.on_main(own_folder, config.detector, config.out)
    asked = (config.prompt or None, config.guidance or None)
    detector = load_detector(folder, config.device, config.precision, config.compile, (), *asked)
    walks = walks_of(config.ks, config.paths)
    for k in walks:
        detector.t_secs(k)  # refuses one that does not fit the schedule before anything is read
    crop = config.center_crop or detector.center_crop
    if not crop and "center_crop" not in detector.info:  # nobody ever said
        crop = crop_of(config.real)
    check_crop(crop)
    images = load_sets({"real": config.real, "generated": config.generated}, detector.size, crop)
    real, generated = images["real"], images["generated"]
    existing: dict[str, Any] = {}
    if config.loss_ts:
        existing = yield from calibrate_existing(
            detector, real, generated, config.loss_ts, config.loss_noises, config.batch_size
        )
    of_real, _ = yield from score(detector, real, walks, config.batch_size, "scoring real images")
    of_generated, _ = yield from score(detector, generated, walks, config.batch_size, "scoring generated images")
    calibrations, chosen = calibrate_all(of_real, of_generated, config.error_rate)
    uniform = sum(isinstance(calibration.k, int) for calibration in calibrations)
    among = f"{uniform} pairs of one step size" if config.paths and uniform else f"{len(calibrations)} pairs"
    section = {
        "chosen": chosen,
        "chosen_by": f"highest AUC on the calibration split among {among}",
        "error_rate": config.error_rate,
        "data": {
            "real": {"count": len(real), "sha256": fingerprint(real)},
            "generated": {"count": len(generated), "sha256": fingerprint(generated)},
        },
        "generated_by": provenance(config.generated, folder),
        "leak_warning": audited(real, generated).warning,
        "splits": asdict(
            check_calibration(folder, detector.info, "calibration", {"real": real, "generated": generated})
        ),
        "calibrations": [asdict(calibration) for calibration in calibrations],
        "ranges": ranges_of(detector, walks, (real, of_real), (generated, of_generated)),
    }
    told = {name: detector.info[name] for name in ("prompt", "guidance") if name in detector.info}
    processes.on_main(update_info, folder, stat=section, existing=existing, center_crop=crop, **told)
    sets = {"calibration_real": real, "calibration_generated": generated}
    processes.on_main(record_splits, splits_file(folder), sets)
    return section

"""When and why the polarity flips: t-errors against image statistics, the CelebA frame, and the noise floor.

The paper calls an image generated if its t-error is small, and its own Table 1 has an AUC of 0.0001 on CelebA at
T_SEC 825: a near-perfect separation the other way round. This loop measures, at every T_SEC of one k, how far plain
statistics of the images (`imagestats`) go with the t-error and with the class, and what is left when both classes pass
through the same chain of resize and JPEG, or when the statistics are held equal. The output folder:

    polarity.json           the measurements, with one computed sentence a T_SEC
    polarity-scores.npz     the t-errors and statistics behind them, and one generated image with and without the frame
"""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from sedid import processes
from sedid.config import Count, Seed, Settings, Text, Whole
from sedid.data.datasets import fingerprint, load_with_files
from sedid.data.image_statistics import STATISTICS, image_statistics
from sedid.detector.bundle import checkpoint_hash, load_detector, own_folder, resolve, versions
from sedid.detector.provenance import provenance
from sedid.method.diffusion import check_step
from sedid.progress import Progress
from sedid.stats.confounds import auc_of_smaller, finding, held_equal, spearman
from sedid.stats.intervals import ABOUT
from sedid.storage import replacing, write_json
from sedid.studies.black_frame import framed, lesson
from sedid.studies.noise_floor import noise_floor
from sedid.training.checks import audited, check_unused
from sedid.training.scoring import Scores, score

CLASSES = ("real", "generated")
Statistics = dict[str, dict[str, np.ndarray]]
"""Class -> statistic -> (N,)."""


@dataclass(frozen=True)
class PolarityConfig(Settings):
    """Settings of one analysis."""

    detector: Text
    real: Text = "sample:real"
    generated: Text = "sample:generated"  # images this model generated
    k: Count = 165
    side: Count = 24  # of the chain both classes pass through: resized to this side and back,
    quality: Annotated[int, Field(ge=1, le=95)] = 75  # then JPEG of this quality, 1 to 95
    noise_images: Whole = 4  # images of each class for the noise floor; 0 leaves it out (bf16 can be slow on a CPU)
    seed: Seed = 0  # of the halves
    out: str = ""  # folder; "" is sedid/ in the bundle
    batch_size: Count = 32
    device: str = "auto"


def chain(images: np.ndarray, side: int, quality: int) -> np.ndarray:
    """Images resized to `side` and back (bilinear, antialiased), then saved as JPEG and read again: uint8, same shape.

    The colours are not subsampled, which at 32 pixels would leave 16.
    """
    from PIL import Image

    bilinear, size = Image.Resampling.BILINEAR, images.shape[1]
    found = []
    for one in images:
        file = BytesIO()
        small = Image.fromarray(one).resize((side, side), bilinear)
        small.resize((size, size), bilinear).save(file, "JPEG", quality=quality, subsampling=0)
        found.append(np.asarray(Image.open(file)))
    return np.stack(found)


def matrix(statistics: dict[str, np.ndarray]) -> np.ndarray:
    """The statistics of one class as features (N, F)."""
    return np.column_stack(list(statistics.values()))


def relative_difference(real: np.ndarray, generated: np.ndarray) -> float:
    """Median of the generated images' t-errors over that of the reals', minus 1."""
    return float(np.median(generated) / np.median(real) - 1)


def polarity_row(
    pair: tuple[int, int],
    errors: dict[str, np.ndarray],
    in_chain: dict[str, np.ndarray],
    statistics: Statistics,
    alone: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """What one T_SEC shows.

    Args:
        errors, in_chain: t-errors (N,) by class, of the images and of what the chain made of them.
        statistics: of the images.
        alone: AUC of each statistic by itself.
    """
    real, generated = (errors[name] for name in CLASSES)
    row: dict[str, Any] = {
        "k": pair[0],
        "t_sec": pair[1],
        "auc": auc_of_smaller(real, generated),
        "relative_difference": relative_difference(real, generated),
        "correlations": {
            name: {kind: spearman(errors[kind], statistics[kind][name]) for kind in CLASSES} for name in STATISTICS
        },
        "chain": auc_of_smaller(in_chain["real"], in_chain["generated"]),
        "held_equal": held_equal(real, generated, matrix(statistics["real"]), matrix(statistics["generated"]), seed),
    }
    labels = {name: label for name, (label, _) in STATISTICS.items()}
    return row | {"finding": finding(row, labels, alone)}


def save_scores(file: Path, scores: dict[str, Scores], statistics: Statistics, k: int, example: np.ndarray) -> None:
    """Write what scatter plots need.

    t_secs                          int32 (T,)
    errors_<class>                  float32 (T, N)
    statistics_<class>              float32 (statistics, N), in the order of `imagestats.STATISTICS`
    example_plain, example_framed   uint8 (H, W, 3)
    """
    pairs = [pair for pair in scores["real"] if pair[0] == k]
    arrays: dict[str, np.ndarray] = {"t_secs": np.array([t_sec for _, t_sec in pairs], np.int32)}
    for kind in CLASSES:
        arrays[f"errors_{kind}"] = np.stack([scores[kind][pair] for pair in pairs]).astype(np.float32)
        arrays[f"statistics_{kind}"] = matrix(statistics[kind]).T.astype(np.float32)
    arrays |= {"example_plain": example, "example_framed": framed(example[None])[0]}
    with replacing(file) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def check(config: PolarityConfig, size: int) -> None:
    """Refuse before the scoring what would fail after it.

    Raises:
        ValueError: a setting that does not fit.
    """
    if config.side > size:
        raise ValueError(f"side must be between 1 and {size}, the detector's own size, not {config.side}")
    framed(np.zeros((1, size, size, 3), np.uint8))


def polarity(config: PolarityConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Measure, write polarity.json and the scores beside it; returns what is in the former.

    Works with any detector: what needs a calibration (NN, training loss) is left out where there is none.

    Raises:
        ValueError: a setting that does not fit, or images the detector was calibrated or trained on.
    """
    folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device)
    check(config, detector.size)
    check_step(detector.schedule, config.k, config.k)
    read = {name: load_with_files(getattr(config, name), detector.size, detector.center_crop) for name in CLASSES}
    images = {name: found for name, (found, _) in read.items()}
    prints = {name: fingerprint(values) for name, values in images.items()}
    splits = check_unused(
        folder, detector.info, images
    )  # the frame's lesson has verdicts of NN and the loss's chosen timestep
    audit = audited(images["real"], images["generated"], (read["real"][1], read["generated"][1]))

    ks = sorted({config.k} | ({detector.nn.k} if detector.nn else set()))
    scores: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray | None] = {}
    in_chain: dict[str, Scores] = {}
    for name, values in images.items():
        stage = f"scoring {name} images"
        scores[name], probabilities[name] = yield from score(detector, values, ks, config.batch_size, stage)
        changed = chain(values, config.side, config.quality)
        in_chain[name], _ = yield from score(detector, changed, [config.k], config.batch_size, f"{stage}, chain")
    frame = yield from lesson(detector, images, scores, probabilities, config.batch_size)
    noise: list[dict[str, Any]] = []
    if config.noise_images:
        few = np.concatenate([values[: config.noise_images] for values in images.values()])
        noise = yield from noise_floor(folder, few, config.k, config.device)

    statistics = {name: image_statistics(values) for name, values in images.items()}
    alone = {name: auc_of_smaller(statistics["real"][name], statistics["generated"][name]) for name in STATISTICS}
    settings = asdict(config)
    result: dict[str, Any] = {
        "protocol": {
            "checkpoint_sha256": checkpoint_hash(folder),
            "polarity": "the paper's everywhere: a smaller value counts as generated",
            "intervals": f"{ABOUT}. Rank correlations: Bonett & Wright 2000",
            "chain": f"both classes resized to {config.side}x{config.side} and back, then JPEG of quality {config.quality}",
            "held_equal": "log t-error regressed on the statistics and their squares within the classes on half of the "
            "images, measured on the other half",
            "images": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
            "splits": asdict(splits),
            "noise_images": sum(min(config.noise_images, len(values)) for values in images.values()),
            "generated_by": provenance(config.generated, folder),
            "positive": "generated",
            "versions": versions(),
            "config": settings | {name: Path(settings[name]).name for name in ("detector", "out", *CLASSES)},
        },
        "audit": audit,
        "statistics": {
            name: {"auc": alone[name], "median": {kind: float(np.median(statistics[kind][name])) for kind in CLASSES}}
            for name in STATISTICS
        },
        "rows": [
            polarity_row(
                pair,
                {name: found[pair] for name, found in scores.items()},
                {name: found[pair] for name, found in in_chain.items()},
                statistics,
                alone,
                config.seed,
            )
            for pair in in_chain["real"]
        ],
        "frame": frame,
        "noise": noise,
    }
    file = (Path(config.out) if config.out else folder / "sedid") / "polarity.json"
    beside = file.with_name("polarity-scores.npz")
    processes.on_main(save_scores, beside, scores, statistics, config.k, images["generated"][0])
    processes.on_main(write_json, file, result)
    return result

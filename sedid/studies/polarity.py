"""When and why the polarity flips: t-errors against image statistics, the CelebA frame, and the noise floor.

The paper calls an image generated if its t-error is small, and its own Table 1 has an AUC of 0.0001 on CelebA at
T_SEC 825: a near-perfect separation in the reversed polarity. This loop measures, at every T_SEC of one k, how far plain
statistics of the images (`imagestats`) go with the t-error and with the class, and what is left when both classes pass
through the same chain of resize and JPEG, or when the statistics are held equal. The output folder:

    polarity.json           the measurements, with one computed sentence a T_SEC
    polarity-scores.npz     the t-errors and statistics behind them, and one generated image with and without the frame
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from sedid import processes
from sedid.config import Count, Seed, Text, Whole
from sedid.data.datasets import load_sets_with_files
from sedid.data.image_statistics import STATISTICS, image_statistics
from sedid.detector.detector import Pair
from sedid.method.diffusion import Steps, check_step
from sedid.progress import Progress
from sedid.results import Results, Rows
from sedid.stats.confounds import (
    Estimate,
    HeldEqual,
    OfClasses,
    auc_of_smaller,
    closest,
    finding,
    held_equal,
    spearman,
)
from sedid.stats.intervals import ABOUT
from sedid.storage import read_arrays, replacing
from sedid.studies.black_frame import Lesson, framed, lesson
from sedid.studies.noise_floor import NoiseRow, noise_floor
from sedid.studies.study import Protocol, StudyConfig, described, migrated_audit, migrated_protocol, open_study
from sedid.training.checks import LeakCheck, audited, check_unused
from sedid.training.scoring import Scores, score

CLASSES = ("real", "generated")
Statistics = dict[str, dict[str, np.ndarray]]
"""Class -> statistic -> (N,)."""


@dataclass(frozen=True, kw_only=True)
class PolarityConfig(StudyConfig):
    """Settings of one analysis."""

    SETS: ClassVar[tuple[str, ...]] = CLASSES

    real: Text = "sample:real"
    generated: Text = "sample:generated"  # images this model generated
    k: Count = 165
    side: Count = 24  # of the chain both classes pass through: resized to this side and back,
    quality: Annotated[int, Field(ge=1, le=95)] = 75  # then JPEG of this quality, 1 to 95
    noise_images: Whole = 4  # images of each class for the noise floor; 0 leaves it out (bf16 can be slow on a CPU)
    seed: Seed = 0  # of the halves


@dataclass(frozen=True)
class Statistic:
    """One image statistic by itself.

    Attributes:
        auc: a smaller value counting as generated.
        median: by class.
    """

    auc: Estimate
    median: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class PolarityRow:
    """What one T_SEC shows.

    Attributes:
        auc: as measured.
        relative_difference: median of the generated images' t-errors over that of the reals', minus 1.
        correlations: of the t-error with each statistic, within the classes.
        chain: the AUC of images that all passed through the same resize and JPEG.
        held_equal: the AUC with the statistics held equal; None with too few images.
        finding: all of it in one sentence.
    """

    k: Steps
    t_sec: int
    auc: Estimate
    relative_difference: float
    correlations: dict[str, OfClasses]
    chain: Estimate
    held_equal: HeldEqual | None
    finding: str


@dataclass(frozen=True, kw_only=True)
class PolarityResults(Results):
    """What stands in polarity.json.

    Attributes:
        polarity, chain, held_equal: what the figures mean, in words.
        noise_images: images behind the noise floor.
        audit: of the images as they are; None in older results.
        statistics: by name (`image_statistics.STATISTICS`).
        rows: by T_SEC.
        frame: the lesson of the black frame.
        noise: the noise floor by T_SEC; none if it was left out.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "polarity"

    protocol: Protocol
    polarity: str
    chain: str
    held_equal: str
    noise_images: int
    audit: LeakCheck | None
    statistics: dict[str, Statistic]
    rows: Rows[PolarityRow]
    frame: Lesson
    noise: tuple[NoiseRow, ...]

    def __post_init__(self) -> None:
        names = STATISTICS.keys()
        if self.statistics.keys() != names or any(row.correlations.keys() != names for row in self.rows):
            raise ValueError(f"the statistics are others than {', '.join(names)}")
        if not {row.t_sec for row in self.noise} <= {row.t_sec for row in self.rows}:
            raise ValueError("noise has a T_SEC that rows lack")

    @property
    def t_secs(self) -> list[int]:
        """Every T_SEC measured, ascending."""
        return [row.t_sec for row in self.rows]

    @property
    def closest(self) -> tuple[int, str]:
        """The T_SEC and statistic with the strongest rank correlation in both classes."""
        found = {row.t_sec: best for row in self.rows if (best := closest(row.correlations))}
        if not found:
            return self.rows[0].t_sec, "contrast"
        t_sec = max(found, key=lambda t_sec: found[t_sec][1])
        return t_sec, found[t_sec][0]

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        texts = ("polarity", "chain", "held_equal")
        made = dict.fromkeys(texts, "") | migrated_protocol(found, {}, (*texts, "noise_images"))
        for name in ("audit_plain", "audit_framed"):
            made["frame"][name] = migrated_audit(made["frame"][name])
        return {"noise_images": 0} | made | {"audit": migrated_audit(found.get("audit"))}


def load_polarity(file: Path) -> tuple[PolarityResults, dict[str, np.ndarray]]:
    """Read a polarity.json, and the arrays beside it (empty where there are none).

    Raises:
        FileNotFoundError, ValueError: as `Results.read` and `read_arrays`.
    """
    return PolarityResults.read(file), read_arrays(scores_file(file))


def scores_file(results: Path) -> Path:
    """Where what lies behind a polarity.json is kept."""
    return results.with_name("polarity-scores.npz")


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
    pair: Pair,
    errors: dict[str, np.ndarray],
    in_chain: dict[str, np.ndarray],
    statistics: Statistics,
    alone: dict[str, Estimate],
    seed: int,
) -> PolarityRow:
    """What one T_SEC shows.

    Args:
        errors, in_chain: t-errors (N,) by class, of the images and of what the chain made of them.
        statistics: of the images.
        alone: AUC of each statistic by itself.
    """
    real, generated = (errors[name] for name in CLASSES)
    auc, chained = auc_of_smaller(real, generated), auc_of_smaller(in_chain["real"], in_chain["generated"])
    followed = {name: {kind: spearman(errors[kind], statistics[kind][name]) for kind in CLASSES} for name in STATISTICS}
    equal = held_equal(real, generated, matrix(statistics["real"]), matrix(statistics["generated"]), seed)
    labels = {name: label for name, (label, _) in STATISTICS.items()}
    return PolarityRow(
        k=pair[0],
        t_sec=pair[1],
        auc=auc,
        relative_difference=relative_difference(real, generated),
        correlations=followed,
        chain=chained,
        held_equal=equal,
        finding=finding(pair[1], auc, followed, chained, equal, labels, alone),
    )


def polarity_rows(
    scores: dict[str, Scores],
    in_chain: dict[str, Scores],
    statistics: Statistics,
    alone: dict[str, Estimate],
    seed: int,
) -> Iterator[PolarityRow]:
    """`polarity_row` at every pair that was measured through the chain too; scores by class."""
    for pair in in_chain["real"]:
        plain, chained = ({name: of[pair] for name, of in found.items()} for found in (scores, in_chain))
        yield polarity_row(pair, plain, chained, statistics, alone, seed)


def save_scores(file: Path, scores: dict[str, Scores], statistics: Statistics, k: int, example: np.ndarray) -> None:
    """Write what scatter plots need.

    t_secs                          int32 (T,)
    errors_<class>                  float32 (T, N)
    statistics_<class>              float32 (statistics, N), in the order of `image_statistics.STATISTICS`
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


def polarity(config: PolarityConfig) -> Generator[Progress, None, PolarityResults]:
    """Measure, write polarity.json and the scores beside it; returns what is in the former.

    Works with any detector: what needs a calibration (NN, training loss) is left out where there is none.

    Raises:
        ValueError: a setting that does not fit, or images the detector was calibrated or trained on.
    """
    study = open_study(config)
    folder, detector = study.folder, study.detector
    check(config, detector.size)
    check_step(detector.schedule, config.k, config.k)
    specs = {name: getattr(config, name) for name in CLASSES}
    read = load_sets_with_files(specs, detector.size, detector.center_crop)
    images = {name: found for name, (found, _) in read.items()}
    # the frame's lesson has verdicts of NN and the loss's chosen timestep
    splits = check_unused(folder, detector.info, images)
    audit = audited(images["real"], images["generated"], (read["real"][1], read["generated"][1]))

    ks = study.ks(config.k)
    scores: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray | None] = {}
    in_chain: dict[str, Scores] = {}
    for name, values in images.items():
        stage = f"scoring {name} images"
        scores[name], probabilities[name] = yield from score(detector, values, ks, config.batch_size, stage)
        changed = chain(values, config.side, config.quality)
        in_chain[name], _ = yield from score(detector, changed, [config.k], config.batch_size, f"{stage}, chain")
    frame = yield from lesson(detector, images, scores, probabilities, config.batch_size)
    noise: list[NoiseRow] = []
    few = np.concatenate([values[: config.noise_images] for values in images.values()])
    if config.noise_images:
        noise = yield from noise_floor(folder, few, config.k, config.device)

    statistics = {name: image_statistics(values) for name, values in images.items()}
    alone = {name: auc_of_smaller(statistics["real"][name], statistics["generated"][name]) for name in STATISTICS}
    protocol = study.protocol(described(specs, images), splits, config.generated, None)
    results = PolarityResults(
        protocol=replace(protocol, intervals=f"{ABOUT}. Rank correlations: Bonett & Wright 2000"),
        polarity="the paper's everywhere: a smaller value counts as generated",
        chain=f"both classes resized to {config.side}x{config.side} and back, then JPEG of quality {config.quality}",
        held_equal="log t-error regressed on the statistics and their squares within the classes on half of the "
        "images, measured on the other half",
        noise_images=len(few),
        audit=audit,
        statistics={
            name: Statistic(alone[name], {kind: float(np.median(statistics[kind][name])) for kind in CLASSES})
            for name in STATISTICS
        },
        rows=tuple(polarity_rows(scores, in_chain, statistics, alone, config.seed)),
        frame=frame,
        noise=tuple(noise),
    )
    file = study.out / "polarity.json"
    processes.on_main(save_scores, scores_file(file), scores, statistics, config.k, images["generated"][0])
    processes.on_main(results.write, file)
    return results

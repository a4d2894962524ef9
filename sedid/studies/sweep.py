"""Measure every (k, T_SEC) of a grid: which pair separates best, and how much the choice matters.

One trajectory an image and k, or path, answers all T_SEC of that k. The output folder:

    sweep.json          the measurements, rewritten after each k
    sweep/k0165.npz     the t-errors behind them; a k that has its file is not scored again
    sweep/path-0-495-990.npz    and those along a path
"""

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sedid import processes
from sedid.config import StepSizes, Text
from sedid.data.datasets import load_sets
from sedid.detector.detector import Detector, Pair
from sedid.detector.identity import Identity
from sedid.method.diffusion import Steps, steps_in_words
from sedid.progress import Progress
from sedid.results import Results, Rows
from sedid.stats.metrics import Metrics, measure, sign_of
from sedid.storage import read_kept, write_kept
from sedid.studies.study import Protocol, Study, StudyConfig, described, migrated_audit, migrated_protocol, open_study
from sedid.training.calibrate import calibrate_pair, walks_of
from sedid.training.checks import LeakCheck, SplitCheck, audited, check_unused
from sedid.training.scoring import score

Grid = dict[Pair, np.ndarray]
"""t-errors (N,) by k and T_SEC."""
SETS = ("real", "generated", "test_real", "test_generated")


@dataclass(frozen=True, kw_only=True)
class SweepConfig(StudyConfig):
    """Settings of one sweep."""

    SETS: ClassVar[tuple[str, ...]] = SETS

    real: Text  # calibration reals: they give polarity and threshold
    generated: Text  # calibration images this model generated
    test_real: str = ""  # test images give the figures; "" leaves both out, and the calibration images give them
    test_generated: str = ""
    ks: StepSizes = (30, 45, 55, 70, 90, 110, 165, 200, 245, 330, 495)
    paths: tuple[str, ...] = ()  # walks whose steps are not all of one size, each as 0+495+825+990


@dataclass(frozen=True, kw_only=True)
class SweepRow(Metrics):
    """One cell of the grid, in the polarity of its calibration images.

    Attributes:
        threshold: raw, of the calibration images.
        auc_paper_polarity: the raw AUC, a smaller t-error counting as generated.
        auc_calibration: of the calibration images, in this polarity.
    """

    k: Steps
    t_sec: int
    polarity: str
    threshold: float
    auc_paper_polarity: float
    auc_calibration: float


@dataclass(frozen=True, kw_only=True)
class SweepResults(Results):
    """What stands in sweep.json.

    Attributes:
        measured_on: test images, or calibration images.
        ks: step sizes and paths that were asked for; a sweep that was stopped has rows of fewer.
        calibrated: the detector's own pair, if it has one.
        audit: of the calibration images; None in older results.
        best: the pair of the highest AUC on the calibration images.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "sweep"

    protocol: Protocol
    measured_on: str
    ks: tuple[Steps, ...]
    calibrated: Pair | None
    audit: LeakCheck | None
    rows: Rows[SweepRow]
    best: Pair

    def __post_init__(self) -> None:
        if self.best not in [(row.k, row.t_sec) for row in self.rows]:
            raise ValueError("best is no pair of the rows")

    @property
    def measured_ks(self) -> list[int]:
        """Every step size with measurements, ascending; paths are none."""
        return sorted({row.k for row in self.rows if isinstance(row.k, int)})

    @property
    def along_paths(self) -> list[SweepRow]:
        """The rows of walks whose steps are not all of one size."""
        return [row for row in self.rows if not isinstance(row.k, int)]

    def of_k(self, k: int) -> list[SweepRow]:
        """The rows of one k, by T_SEC."""
        return sorted((row for row in self.rows if row.k == k), key=lambda row: row.t_sec)

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        made = {"measured_on": "", "calibrated": None} | migrated_protocol(found, {}, ["measured_on"])
        return made | {"audit": migrated_audit(found.get("audit"))}


def measure_pair(k: Steps, t_sec: int, calibration: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> SweepRow:
    """One cell of the grid.

    Args:
        calibration: raw t-errors (N,) by "real" and "generated".
        test: the same of other images, or empty: then the calibration images are measured, and `acc` is None
            because no threshold was fixed beforehand.
    """
    made = calibrate_pair(k, t_sec, calibration["real"], calibration["generated"], 0.1)
    sign = sign_of(made.polarity)
    real, generated = (test or calibration)["real"], (test or calibration)["generated"]
    return SweepRow(
        k=k,
        t_sec=t_sec,
        polarity=made.polarity,
        threshold=made.threshold,
        auc_paper_polarity=measure(-real, -generated).auc,
        auc_calibration=made.auc,
        **asdict(measure(sign * real, sign * generated, sign * made.threshold if test else None)),
    )


def rows_of(scores: Mapping[str, Grid]) -> list[SweepRow]:
    """The cells of every pair scored; `scores` by the names in SETS, the last two optional."""
    rows = []
    for pair in scores["real"]:
        parts = {name: values[pair] for name, values in scores.items()}
        test = {name: parts[f"test_{name}"] for name in ("real", "generated") if f"test_{name}" in parts}
        rows.append(measure_pair(*pair, parts, test))
    return rows


def score_k(
    detector: Detector, images: dict[str, np.ndarray], k: Steps, batch_size: int, folder: Path, key: str
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """t-errors (steps, images) by set and the classifier's probabilities (images,) by "nn_" + set, at one k.

    Read from its file in `folder` if that was written under this key, else scored and kept.
    """
    file = folder / (f"k{k:04d}.npz" if isinstance(k, int) else f"path-{'-'.join(map(str, k))}.npz")
    kept = processes.on_main(read_kept, file, key)
    if kept is not None:
        return kept
    found = {}
    for name, values in images.items():
        stage = f"{steps_in_words(k)}: {name.replace('_', ' ')} images"
        errors, probabilities = yield from score(detector, values, [k], batch_size, stage)
        found[name] = np.stack(list(errors.values()))
        if probabilities is not None:
            found[f"nn_{name}"] = probabilities
    processes.on_main(write_kept, file, key, found)
    return found


def by_pair(detector: Detector, k: Steps, errors: np.ndarray) -> Grid:
    """t-errors of one k, (steps, images), by (k, T_SEC)."""
    return {(k, t_sec): values for t_sec, values in zip(detector.t_secs(k), errors, strict=True)}


def sweep_images(
    study: Study[SweepConfig], images: dict[str, np.ndarray], splits: SplitCheck | None = None
) -> Generator[Progress, None, SweepResults]:
    """The sweep of images at hand; see `sweep`.

    Args:
        images: uint8 (N, H, W, 3) by the names in SETS, the last two optional.
        splits: what they share.
    """
    config, detector = study.config, study.detector
    ks = tuple(walks_of(config.ks, config.paths))
    sets = described({name: getattr(config, name) for name in images}, images)
    key = " ".join([Identity.recorded(detector.info).model, *(one.sha256 for one in sets.values())])
    protocol = study.protocol(sets, splits, config.generated, study.evaluations(ks))
    audit = audited(images["real"], images["generated"])
    rows: list[SweepRow] = []
    for k in ks:
        found = yield from score_k(detector, images, k, config.batch_size, study.out / "sweep", key)
        rows += rows_of({name: by_pair(detector, k, found[name]) for name in images})
        best = max(rows, key=lambda row: row.auc_calibration)
        results = SweepResults(
            protocol=protocol,
            measured_on="test images" if "test_real" in images else "calibration images",
            ks=ks,
            calibrated=detector.chosen,
            audit=audit,
            rows=tuple(rows),
            best=(best.k, best.t_sec),
        )
        processes.on_main(results.write, study.out / "sweep.json")
    return results


def sweep(config: SweepConfig) -> Generator[Progress, None, SweepResults]:
    """Score the grid and write sweep.json; returns what is in it. A sweep that was stopped goes on at the next k.

    Raises:
        ValueError: a k or path outside the schedule, test images of one class only, or test images that are calibration
            images.
    """
    if bool(config.test_real) != bool(config.test_generated):
        raise ValueError("give both test_real and test_generated, or neither")
    study = open_study(config)
    detector = study.detector
    for k in walks_of(config.ks, config.paths):
        detector.t_secs(k)  # refuses one that does not fit the schedule
    specs = {name: spec for name in SETS if (spec := getattr(config, name))}
    images = load_sets(specs, detector.size, detector.center_crop)
    calibration = {name: images[name] for name in ("real", "generated")}
    test = {name: values for name, values in images.items() if name not in calibration}
    splits = check_unused(study.folder, detector.info, test, calibration, judged=False)
    return (yield from sweep_images(study, images, splits))

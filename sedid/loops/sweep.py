"""Measure every (k, T_SEC) of a grid: which pair separates best, and how much the choice matters.

One trajectory an image and k answers all T_SEC of that k. The output folder:

    sweep.json          the measurements, rewritten after each k
    sweep/k0165.npz     the t-errors behind them; a k that has its file is not scored again
"""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sedid import processes
from sedid.bundle import checkpoint_hash, load_detector, own_folder, resolve, versions
from sedid.config import Count, Precision, Settings, StepSizes, Text
from sedid.data import fingerprint, load_images
from sedid.detectors import Detector
from sedid.diffusion import check_step
from sedid.identity import Identity
from sedid.loops.calibrate import calibrate_pair
from sedid.loops.checked import audited, check_unused
from sedid.loops.generate import provenance
from sedid.loops.score import Scores, score
from sedid.metrics import measure, sign_of
from sedid.progress import Progress
from sedid.storage import read_kept, write_json, write_kept

SETS = ("real", "generated", "test_real", "test_generated")


@dataclass(frozen=True)
class SweepConfig(Settings):
    """Settings of one sweep."""

    detector: Text
    real: Text  # calibration reals: they give polarity and threshold
    generated: Text  # calibration images this model generated
    test_real: str = ""  # test images give the figures; "" leaves both out, and the calibration images give them
    test_generated: str = ""
    ks: StepSizes = (30, 45, 55, 70, 90, 110, 165, 200, 245, 330, 495)
    out: str = ""  # folder; "" is sedid/ in the bundle
    batch_size: Count = 32
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


def measure_pair(k: int, t_sec: int, calibration: dict[str, np.ndarray], test: dict[str, np.ndarray]) -> dict[str, Any]:
    """One cell of the grid.

    Args:
        calibration: raw t-errors (N,) by "real" and "generated".
        test: the same of other images, or empty: then the calibration images are measured, and `acc` is None
            because no threshold was fixed beforehand.
    """
    made = calibrate_pair(k, t_sec, calibration["real"], calibration["generated"], 0.1)
    sign = sign_of(made.polarity)
    real, generated = (test or calibration)["real"], (test or calibration)["generated"]
    found = measure(sign * real, sign * generated, sign * made.threshold if test else None)
    return {
        "k": k,
        "t_sec": t_sec,
        "polarity": made.polarity,
        "threshold": made.threshold,
        "auc_paper_polarity": measure(-real, -generated).auc,
        "auc_calibration": made.auc,
        **asdict(found),
    }


def rows_of(scores: dict[str, Scores]) -> list[dict[str, Any]]:
    """The cells of every pair scored; `scores` by the names in SETS, the last two optional."""
    rows = []
    for pair in scores["real"]:
        parts = {name: values[pair] for name, values in scores.items()}
        test = {name: parts[f"test_{name}"] for name in ("real", "generated") if f"test_{name}" in parts}
        rows.append(measure_pair(*pair, parts, test))
    return rows


def score_k(
    detector: Detector, images: dict[str, np.ndarray], k: int, batch_size: int, file: Path, key: str
) -> Generator[Progress, None, dict[str, Scores]]:
    """The t-errors of all sets at one k: read from `file` if it was written under this key, else scored and kept."""
    kept = processes.on_main(read_kept, file, key)
    if kept is not None:
        return {
            name: {(k, k * (row + 1)): values for row, values in enumerate(kept[name])} for name in SETS if name in kept
        }
    found = {}
    for name, values in images.items():
        stage = f"k = {k}: {name.replace('_', ' ')} images"
        found[name], _ = yield from score(detector, values, [k], batch_size, stage)
    arrays = {name: np.stack(list(values.values())) for name, values in found.items()}
    processes.on_main(write_kept, file, key, arrays)
    return found


def sweep_images(
    detector: Detector,
    images: dict[str, np.ndarray],
    ks: tuple[int, ...],
    out: Path,
    protocol: dict[str, Any],
    batch_size: int = 32,
) -> Generator[Progress, None, dict[str, Any]]:
    """The sweep of images at hand; see `sweep`.

    Args:
        images: uint8 (N, H, W, 3) by the names in SETS, the last two optional.
        protocol: `checkpoint_sha256` and what else to state beside the result.
    """
    prints = {name: fingerprint(values) for name, values in images.items()}
    key = " ".join([Identity.recorded(detector.info).model, *prints.values()])
    result: dict[str, Any] = {
        "protocol": protocol
        | {
            "images": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
            "measured_on": "test images" if "test_real" in images else "calibration images",
            "positive": "generated",
            "versions": versions(),
        },
        "ks": list(ks),
        "calibrated": list(detector.chosen) if detector.chosen else None,
        "audit": audited(images["real"], images["generated"]),
        "rows": [],
        "best": None,
    }
    for k in ks:
        found = yield from score_k(detector, images, k, batch_size, out / "sweep" / f"k{k:04d}.npz", key)
        result["rows"] += rows_of(found)
        best = max(result["rows"], key=lambda row: row["auc_calibration"])
        result["best"] = [best["k"], best["t_sec"]]
        processes.on_main(write_json, out / "sweep.json", result)
    return result


def sweep(config: SweepConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Score the grid and write sweep.json; returns what is in it. A sweep that was stopped goes on at the next k.

    Raises:
        ValueError: a k outside the schedule, test images of one class only, or test images that are calibration
            images.
    """
    if bool(config.test_real) != bool(config.test_generated):
        raise ValueError("give both test_real and test_generated, or neither")
    folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile)
    ks = tuple(sorted(set(config.ks)))
    for k in ks:
        check_step(detector.schedule, k, k)
    specs = {name: spec for name in SETS if (spec := getattr(config, name))}
    images = {name: load_images(spec, detector.size, detector.center_crop) for name, spec in specs.items()}
    calibration = {name: images[name] for name in ("real", "generated")}
    test = {name: values for name, values in images.items() if name not in calibration}
    splits = check_unused(folder, detector.info, test, calibration, judged=False)
    settings = asdict(config)
    local = ("detector", "out", *SETS)  # paths of one machine: only their last part is kept
    protocol = {
        "checkpoint_sha256": checkpoint_hash(folder),
        "generated_by": provenance(config.generated, folder),
        "splits": asdict(splits),
        "config": settings | {name: Path(settings[name]).name for name in local},
    }
    out = Path(config.out) if config.out else folder / "sedid"
    return (yield from sweep_images(detector, images, ks, out, protocol, config.batch_size))

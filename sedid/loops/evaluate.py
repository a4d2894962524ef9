"""Measure a calibrated detector on images that chose nothing: STAT at every T_SEC, and NN at its pair.

Member reals (the generator's own training images) and held-out reals are reported apart, since the t-error also
tells members from non-members (SecMI, Duan et al. 2023).
"""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sedid.bundle import checkpoint_hash, load_detector, update_info, versions
from sedid.data import fingerprint, load_images
from sedid.detectors import Detector
from sedid.loops.generate import provenance
from sedid.loops.score import Scores, score
from sedid.metrics import measure
from sedid.progress import Progress
from sedid.storage import write_json


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of one evaluation."""

    detector: str
    generated: str  # test images this model generated
    heldout: str  # test reals the generator never saw
    members: str = ""  # reals of the generator's training set; "" leaves them out
    ks: tuple[int, ...] = ()  # more step sizes to report beside those of the calibrated and the classifier's pair
    out: str = ""  # results file; "" writes sedid/results.json in the bundle
    batch_size: int = 64
    device: str = "auto"
    precision: str = "fp32"
    compile: bool = False


def stat_rows(detector: Detector, real: Scores, generated: Scores) -> list[dict[str, Any]]:
    """One row a pair: the raw AUC in the paper's polarity, and the metrics in the calibrated one."""
    rows = []
    for pair, scores in real.items():
        calibration = detector.stat.get(pair)
        sign = -1 if calibration is None or calibration.polarity == "smaller" else 1
        threshold = None if calibration is None else sign * calibration.threshold
        rows.append(
            {
                "k": pair[0],
                "t_sec": pair[1],
                "polarity": calibration.polarity if calibration else "smaller",
                "auc_paper_polarity": measure(-scores, -generated[pair]).auc,
                "chosen": pair == detector.chosen,
                **asdict(measure(sign * scores, sign * generated[pair], threshold)),
            }
        )
    return rows


def verdict_shares(detector: Detector, scores: Scores) -> dict[str, float]:
    """How often each verdict falls at the detector's own pair, shares of 1."""
    assert detector.chosen is not None
    calls = [detector.stat[detector.chosen].verdict(float(value)) for value in scores[detector.chosen]]
    return {call: calls.count(call) / len(calls) for call in ("generated", "real", "cannot tell")}


def evaluate(config: EvaluateConfig) -> Generator[Progress, None, dict]:
    """Score the test images, measure, write the results file and the `metrics` section of the bundle.

    Raises:
        ValueError: the detector is not calibrated, or test images were used to calibrate it.
    """
    detector = load_detector(config.detector, config.device, config.precision, config.compile)
    if detector.chosen is None:
        raise ValueError(f"{config.detector} is not calibrated; run `calibrate` first")
    images = {"generated": load_images(config.generated), "heldout": load_images(config.heldout)}
    if config.members:
        images["members"] = load_images(config.members)
    prints = {name: fingerprint(values) for name, values in images.items()}
    used = [
        section["sha256"] for part in ("stat", "nn") for section in detector.info.get(part, {}).get("data", {}).values()
    ]
    if set(used) & set(prints.values()):
        raise ValueError("these test images are the ones the detector was calibrated or trained on; give others")

    ks = sorted({detector.chosen[0], *config.ks} | ({detector.nn.k} if detector.nn else set()))
    scores: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray | None] = {}
    for name, values in images.items():
        stage = f"scoring {name} images"
        scores[name], probabilities[name] = yield from score(detector, values, ks, config.batch_size, stage)

    results: dict[str, Any] = {
        "protocol": {
            "checkpoint_sha256": checkpoint_hash(Path(config.detector)),
            "reduction": "sum over channels and pixels of the squared difference, [0, 1] scale",
            "positive": "generated",
            "threshold_from": "calibration split",
            "images": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
            "generated_by": provenance(config.generated, Path(config.detector)),
            "versions": versions(),
            "config": asdict(config)
            | {
                name: Path(asdict(config)[name]).name for name in ("detector", "generated", "heldout", "members", "out")
            },
        },
        "stat": {},
        "nn": {},
        "verdicts": {name: verdict_shares(detector, values) for name, values in scores.items()},
    }
    for reals in [name for name in ("heldout", "members") if name in images]:
        results["stat"][reals] = stat_rows(detector, scores[reals], scores["generated"])
        of_real, of_generated = probabilities[reals], probabilities["generated"]
        if detector.nn is not None and of_real is not None and of_generated is not None:
            found = measure(of_real, of_generated, detector.nn.threshold)
            results["nn"][reals] = {"k": detector.nn.k, "t_sec": detector.nn.t_sec} | asdict(found)
    write_json(Path(config.out) if config.out else Path(config.detector) / "sedid" / "results.json", results)
    update_info(Path(config.detector), metrics={name: results[name] for name in ("stat", "nn", "verdicts")})
    return results

"""Results files as the loops write them, from made-up scores: no network."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from helpers.bundles import TYPICAL
from helpers.fakes import make_detector
from sedid.detector.detector import Detector
from sedid.method.methods import method_of
from sedid.stats.metrics import measure
from sedid.studies.comparison import MEANING, Comparison, ComparisonResults
from sedid.studies.evaluate import EvaluationResults, NNRow, save_scores, scores_file, stat_rows, verdict_shares
from sedid.studies.heads import fit_threshold
from sedid.studies.study import ImageSet, MadeBy, Protocol
from sedid.studies.sweep import SETS, SweepResults, rows_of
from sedid.training.calibrate import calibrate_all
from sedid.training.checks import LeakCheck
from sedid.training.scoring import Scores

GAPS = (0.02, 0.1, 0.25, 0.3, 0.9, 0.45)  # of the logarithms: how far generated images lie below real ones


CHECKPOINT = "0123456789abcdef" * 4


def protocol_of(images: Mapping[str, int], names: Mapping[str, str] | None = None, **changes: Any) -> Protocol:
    """A protocol of sets of so many images each; `names` of their data sets."""
    sets = {name: ImageSet(count, "ab" * 32, (names or {}).get(name, "")) for name, count in images.items()}
    stated: dict[str, Any] = {
        "detector": "cifar10",
        "checkpoint_sha256": CHECKPOINT,
        "trained_on": "",
        "precision": "fp32",
        "images": sets,
        "splits": None,
        "generated_by": MadeBy(CHECKPOINT, "ddpm", 1000, 0),
        "evaluations_per_image": 7,
        "intervals": "95 %",
        "versions": {"torch": "2"},
        "config": {},
    }
    return Protocol(**stated | changes)


def made_up(rng: np.random.Generator, count: int, generated: bool, k: int = 165) -> Scores:
    """t-errors at every T_SEC of k; the generated ones are smaller, most so near T_SEC 825."""
    scores: Scores = {}
    for t_sec in range(k, 1000, k):
        place = t_sec / 165 - 1
        middle = np.log(np.interp(place, range(6), TYPICAL)) - generated * np.interp(place, range(6), GAPS)
        scores[k, t_sec] = rng.lognormal(middle, 0.4, count)
    return scores


def write_evaluation(folder: Path, count: int = 60, warning: str = "", kept: bool = True) -> tuple[Path, Detector]:
    """results.json with or without its scores; returns it and the detector that was measured."""
    rng = np.random.default_rng(0)
    calibrations, chosen = calibrate_all(made_up(rng, 200, False), made_up(rng, 200, True), 0.1)
    detector = replace(make_detector(), stat={(c.k, c.t_sec): c for c in calibrations}, chosen=chosen)
    scores = {name: made_up(rng, count, name == "generated") for name in ("generated", "heldout", "members")}
    probabilities = {name: rng.beta(*((4, 2) if name == "generated" else (2, 4)), count) for name in scores}
    images = {name: rng.integers(0, 256, (count, 32, 32, 3), np.uint8) for name in scores}
    of_nn: dict[str, Any] = {"k": 165, "t_sec": 330, "polarity": "larger", "threshold": 0.5, "band": (0.4, 0.6)}
    reals = ("heldout", "members")
    names = {"generated": "<b>.npz", "heldout": "test.npz", "members": "train.npz"}
    results = EvaluationResults(
        protocol=protocol_of(dict.fromkeys(scores, count), names),
        reduction="sum over channels and pixels",
        threshold_from="calibration split",
        loss_noise_seeds={},
        stat={name: tuple(stat_rows(detector, scores[name], scores["generated"])) for name in reals},
        nn={
            name: NNRow(**of_nn, **asdict(measure(probabilities[name], probabilities["generated"], 0.5)))
            for name in reals
        },
        existing={},
        verdicts={name: verdict_shares(detector, values, images[name]) for name, values in scores.items()},
        sides={},
        audit=LeakCheck(warning),
    )
    file = Path(folder) / "results.json"
    results.write(file)
    if kept:
        save_scores(scores_file(file), detector, images, scores, dict(probabilities))
    return file, detector


def write_sweep(folder: Path, count: int = 120, ks: tuple[int, ...] = (110, 165, 330)) -> Path:
    """sweep.json with test images."""
    rng = np.random.default_rng(1)
    rows = [row for k in ks for row in rows_of({name: made_up(rng, count, "generated" in name, k) for name in SETS})]
    best = max(rows, key=lambda row: row.auc_calibration)
    result = SweepResults(
        protocol=protocol_of(dict.fromkeys(SETS, count)),
        measured_on="test images",
        ks=ks,
        calibrated=(165, 825),
        audit=LeakCheck(""),
        rows=tuple(rows),
        best=(best.k, best.t_sec),
    )
    result.write(Path(folder) / "sweep.json")
    return Path(folder) / "sweep.json"


COMPARED = ("sedid-stat k=165 t_sec=330", "pia", "pian")


def write_comparison(folder: Path, done: bool = True, count: int = 120) -> Path:
    """compare.json from made-up statistics of the methods in COMPARED."""
    rng = np.random.default_rng(0)
    gaps = (0.8, 0.2, 1.5)
    sets = ("heldout", "generated")
    crossed = MadeBy("feedc0de" * 8, "ddpm", 1000, 0, cross_checkpoint=True)
    about = ComparisonResults(
        done=False,
        protocol=protocol_of(dict.fromkeys(sets, count), detector="<i>mine</i>", generated_by=crossed),
        recipe=None,
        noise_seeds={},
        calibration_generated_by=None,
        audit=LeakCheck(""),
        calibration_leak_warning="",
        scored={},
        rows={},
        tests={},
        meaning=MEANING,
    )
    comparison = Comparison([method_of(name) for name in COMPARED], make_detector(), folder, about)
    comparison.heads = [fit_threshold(rng.normal(gap, 1, 80), rng.normal(0, 1, 80)) for gap in gaps]
    comparison.timed = count
    scores = {name: np.stack([rng.normal(gap * (name == "generated"), 1, count) for gap in gaps]) for name in sets}
    if done:
        comparison.keep(scores, done=True)
    else:
        comparison.write({name: values[:, : count // 2] for name, values in scores.items()}, at_once=True)
    return folder / "compare.json"

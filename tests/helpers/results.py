"""Results files as the loops write them, from made-up scores: no network."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from helpers.bundles import TYPICAL
from helpers.fakes import make_detector
from sedid.detector.detector import Detector
from sedid.stats.metrics import measure
from sedid.storage import write_json
from sedid.studies.evaluate import save_scores, scores_file, stat_rows, verdict_shares
from sedid.studies.sweep import rows_of
from sedid.training.calibrate import calibrate_all
from sedid.training.scoring import Scores

GAPS = (0.02, 0.1, 0.25, 0.3, 0.9, 0.45)  # of the logarithms: how far generated images lie below real ones


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
    of_nn = {"k": 165, "t_sec": 330, "polarity": "larger", "threshold": 0.5, "band": [0.4, 0.6]}
    reals = ("heldout", "members")
    results = {
        "protocol": {
            "checkpoint_sha256": "0123456789abcdef" * 4,
            "reduction": "sum over channels and pixels",
            "threshold_from": "calibration split",
            "images": {name: {"count": count, "sha256": "ab" * 32} for name in scores},
            "generated_by": {"sampler": "ddpm", "steps": 1000, "seed": 0, "cross_checkpoint": False},
            "versions": {"torch": "2"},
            "config": {"detector": "cifar10", "generated": "<b>.npz", "heldout": "test.npz", "members": "train.npz"},
        },
        "stat": {name: stat_rows(detector, scores[name], scores["generated"]) for name in reals},
        "nn": {name: of_nn | asdict(measure(probabilities[name], probabilities["generated"], 0.5)) for name in reals},
        "verdicts": {name: verdict_shares(detector, values) for name, values in scores.items()},
        "audit": {"warning": warning, "groups": []},
    }
    file = Path(folder) / "results.json"
    write_json(file, results)
    if kept:
        save_scores(scores_file(file), detector, images, scores, dict(probabilities))
    return file, detector


def write_sweep(folder: Path, count: int = 120, ks: tuple[int, ...] = (110, 165, 330)) -> Path:
    """sweep.json with test images."""
    rng = np.random.default_rng(1)
    sets = ("real", "generated", "test_real", "test_generated")
    rows = [row for k in ks for row in rows_of({name: made_up(rng, count, "generated" in name, k) for name in sets})]
    best = max(rows, key=lambda row: row["auc_calibration"])
    protocol = {
        "checkpoint_sha256": "0123456789abcdef" * 4,
        "images": {name: {"count": count, "sha256": "ab" * 32} for name in sets},
        "measured_on": "test images",
        "config": {"detector": "cifar10"},
    }
    result = {"protocol": protocol, "ks": list(ks), "calibrated": [165, 825], "audit": {"warning": ""}, "rows": rows}
    write_json(Path(folder) / "sweep.json", result | {"best": [best["k"], best["t_sec"]]})
    return Path(folder) / "sweep.json"

"""Does a verdict hold when the picture is re-saved, resized, blurred? Both verdicts under perturbations (`perturb`).

Both classes pass through the same function, and the threshold stays that of the calibration split: a perturbation may
move the scores past it while the AUC stays. With `applied_to` one class alone is perturbed. That measures no
robustness but a leak: where only the generated images were re-saved, a detector that looks good found the file format
(DIRE's JPEG and PNG, see "Fake or JPEG?", arXiv 2403.17608). The output folder:

    robustness.json         the measurements, rewritten after each perturbation
    robustness-scores.npz   the scores behind them; what is in there is not scored again
    robustness.html         the same as a page of curves and tables
"""

import hashlib
import json
import zipfile
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sedid import processes
from sedid.bundle import checkpoint_hash, load_detector, own_folder, resolve, versions
from sedid.config import Count, Precision, Seed, Settings, Text, Whole
from sedid.data import fingerprint, load_images
from sedid.detectors import Call, Detector, Verdict
from sedid.diffusion import Point
from sedid.judging import shares
from sedid.loops.checked import audited, check_unused
from sedid.loops.generate import provenance
from sedid.loops.score import counted
from sedid.loops.seeds import seed_of
from sedid.metrics import measure, sign_of
from sedid.perturb import FAMILIES, NONE, Perturbation, named, perturb_all
from sedid.progress import Meter, Progress
from sedid.robusthtml import write_page
from sedid.statistics import ABOUT, auc_interval, delong
from sedid.storage import replacing, write_json

CLASSES = ("real", "generated")
BOTH = "both"
AppliedTo = Literal["both", "real", "generated"]

SetScores = np.ndarray
"""float32 (4, N): t-error at the detector's own pair, probability of the classifier (NaN without one), and whether the
t-errors on the way to either lie in the range of the references (1 or 0)."""

ClassVerdicts = dict[str, list[Verdict]]
"""What one method says of every image, by class."""


@dataclass(frozen=True)
class RobustnessConfig(Settings):
    """Settings of one measurement."""

    detector: Text
    real: Text = "sample:real"
    generated: Text = "sample:generated"  # images this model generated
    perturbations: tuple[str, ...] = tuple(FAMILIES)  # "jpeg": at its default strengths; "jpeg:75": at one
    applied_to: AppliedTo = "both"  # real or generated: that class alone, which shows a format leak
    count: Whole = 0  # images of each class at most, the first ones; 0 takes all
    seed: Seed = 0  # of the noise
    out: str = ""  # folder; "" is sedid/ in the bundle
    batch_size: Count = 32
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


def planned(settings: tuple[str, ...]) -> list[Perturbation]:
    """The perturbations that settings name, each once.

    Raises:
        ValueError: none, or one that does not exist.
    """
    found = {one.key: one for setting in settings for one in named(setting)}
    if not found:
        raise ValueError(f"perturbations must name at least one of {', '.join(FAMILIES)}")
    return list(found.values())


def judged_at(detector: Detector) -> dict[int, int]:
    """k -> T_SEC that is judged: the classifier's and STAT's own. At one k, STAT's; NN is read at its own anyway."""
    return dict(pair for pair in (detector.nn_pair, detector.chosen) if pair is not None)


def evaluations(detector: Detector) -> int:
    """Network evaluations an image."""
    return sum(detector.reach(k, t_sec) // k + 1 for k, t_sec in judged_at(detector).items())


def score_batch(detector: Detector, batch: np.ndarray, meter: Meter) -> Generator[Progress, None, SetScores]:
    """Both scores of a batch, uint8 (N, H, W, 3); no trajectory is walked further than it is judged."""
    found = np.full((4, len(batch)), np.nan, np.float32)
    for k, t_sec in judged_at(detector).items():
        points: list[Point] = []
        for point in counted(detector.walk(batch, k, detector.reach(k, t_sec)), meter):
            points.append(point)
            yield meter.at(meter.done)
        judgements = detector.judge_walk(k, points, t_sec)
        if (k, t_sec) == detector.chosen:
            found[0] = [judgement.t_error for judgement in judgements]
            found[2] = [judgement.stat.in_range for judgement in judgements if judgement.stat]
        if detector.nn and k == detector.nn.k:
            found[1] = [judgement.nn.score if judgement.nn else np.nan for judgement in judgements]
            found[3] = [judgement.nn.in_range if judgement.nn else np.nan for judgement in judgements]
    return found


def score_set(
    detector: Detector, images: np.ndarray, one: Perturbation, seed: int, batch_size: int, meter: Meter
) -> Generator[Progress, None, SetScores]:
    """Both scores of a whole set under one perturbation; the batches are shared among processes."""
    found = []
    for start in processes.share(range(0, len(images), batch_size)):
        batch = perturb_all(images[start : start + batch_size], one, seed, start)
        found.append((yield from score_batch(detector, batch, meter)))
    return np.concatenate(processes.gathered(found), axis=1)


def verdicts_of(detector: Detector, scores: dict[str, SetScores]) -> dict[str, ClassVerdicts]:
    """What both methods say of both classes, by method ("stat", "nn"); without "nn" if there is no classifier."""
    assert detector.chosen is not None
    methods = {"stat": detector.stat[detector.chosen]} | ({"nn": detector.nn} if detector.nn else {})
    return {
        method: {
            name: [
                Verdict(score, bool(inside), calibration)
                for score, inside in zip(scores[name][place].tolist(), scores[name][place + 2].tolist(), strict=True)
            ]
            for name in CLASSES
        }
        for place, (method, calibration) in enumerate(methods.items())
    }


def changes(verdicts: ClassVerdicts, clean: ClassVerdicts | None) -> dict[str, Any]:
    """How often what is said, and how often something else than of the images as they are; shares by class.

    Args:
        clean: of the images as they are; None if `verdicts` are these.

    Returns:
        verdicts (`judging.shares`); against the clean images: flipped (another call) and reversed (real became
        generated, or the other way round).
    """
    found: dict[str, Any] = {
        "verdicts": {name: shares(verdicts[name]) for name in CLASSES},
        "flipped": None,
        "reversed": None,
    }
    if clean is not None:
        pairs = {
            name: [{before.call, now.call} for before, now in zip(clean[name], verdicts[name], strict=True)]
            for name in CLASSES
        }
        reverse = {Call.REAL, Call.GENERATED}
        found["flipped"] = {name: sum(len(calls) > 1 for calls in pairs[name]) / len(pairs[name]) for name in CLASSES}
        found["reversed"] = {name: pairs[name].count(reverse) / len(pairs[name]) for name in CLASSES}
    return found


def measured(verdicts: ClassVerdicts, clean: ClassVerdicts | None) -> dict[str, Any]:
    """One method under one perturbation, in its calibrated polarity and at its calibrated threshold.

    Args:
        clean: of the images as they are; None if `verdicts` are these.

    Returns:
        auc, auc_interval (95 %), acc, auc_paper_polarity (a smaller score means generated), what `changes`
        counts and, against the clean images, auc_change (DeLong).
    """
    calibration = verdicts["real"][0].calibration
    sign = sign_of(calibration.polarity)

    def oriented(of: ClassVerdicts) -> list[np.ndarray]:
        return [sign * np.array([verdict.score for verdict in of[name]]) for name in CLASSES]

    real, generated = oriented(verdicts)
    found = measure(real, generated, sign * calibration.threshold)
    return {
        "auc": found.auc,
        "auc_interval": auc_interval(real, generated),
        "auc_paper_polarity": found.auc if sign < 0 else 1 - found.auc,
        "acc": found.acc,
        **changes(verdicts, clean),
        "auc_change": None if clean is None else asdict(delong(real, generated, *oriented(clean))),
    }


def row_of(
    detector: Detector, one: Perturbation, scores: dict[str, SetScores], clean: dict[str, SetScores] | None
) -> dict[str, Any]:
    """What one perturbation does to both verdicts.

    Args:
        clean: scores of the images as they are; None if `scores` are these.
    """
    before = {} if clean is None else verdicts_of(detector, clean)
    found = {name: measured(verdicts, before.get(name)) for name, verdicts in verdicts_of(detector, scores).items()}
    return {"key": one.key, **asdict(one), "nn": None, **found}


def read_scores(file: Path, key: str) -> dict[str, dict[str, SetScores]]:
    """Scores kept under this key: perturbation -> class -> scores; {} if there are none."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return {}
            names = {name.rpartition("/")[0] for name in stored.files if "/" in name}
            return {name: {kind: stored[f"{name}/{kind}"] for kind in CLASSES} for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # none, cut off, or another program's
        return {}


def write_scores(file: Path, key: str, found: dict[str, dict[str, SetScores]]) -> None:
    """Keep the scores of all perturbations so far."""
    arrays = {f"{name}/{kind}": values for name, of_set in found.items() for kind, values in of_set.items()}
    with replacing(file) as temporary:
        np.savez_compressed(temporary, key=key, **arrays)  # type: ignore[arg-type]


def robustness_of(
    detector: Detector,
    images: dict[str, np.ndarray],
    asked: list[Perturbation],
    out: Path,
    protocol: dict[str, Any],
    applied_to: str = BOTH,
    seed: int = 0,
    batch_size: int = 32,
) -> Generator[Progress, None, dict[str, Any]]:
    """The measurement of images at hand; see `robustness`.

    Args:
        images: uint8 (N, H, W, 3) by class.
        protocol: `checkpoint_sha256` and what else to state beside the result.
    """
    assert detector.chosen is not None
    stat, prints = detector.stat[detector.chosen], {name: fingerprint(values) for name, values in images.items()}
    result: dict[str, Any] = {
        "protocol": protocol
        | {
            "images": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
            "applied_to": applied_to,
            "seed": seed,
            "perturbations": {name: FAMILIES[name].about for name in dict.fromkeys(one.name for one in asked)},
            "stat": {"k": stat.k, "t_sec": stat.t_sec, "polarity": stat.polarity, "threshold": stat.threshold},
            "nn": detector.nn and {name: getattr(detector.nn, name) for name in ("k", "t_sec", "threshold")},
            "threshold_from": "calibration split",
            "positive": "generated",
            "intervals": ABOUT,
            "evaluations_per_image": evaluations(detector),
            "versions": versions(),
        },
        "audit": audited(images["real"], images["generated"]),
        "rows": [],
    }
    sections = [detector.info.get(name) for name in ("stat", "nn")]
    behind = [
        protocol.get("checkpoint_sha256"),
        protocol.get("precision"),
        prints,
        applied_to,
        seed,
        versions(),
        sections,
        "range of either",  # what is kept of an image: older files hold the range of STAT's pair alone
    ]
    key = hashlib.sha256(json.dumps(behind, sort_keys=True).encode()).hexdigest()
    file = out / "robustness-scores.npz"
    kept = processes.on_main(read_scores, file, key)
    todo = [one for one in (NONE, *asked) if one.key not in kept]
    changed = {one.key: CLASSES if one == NONE or applied_to == BOTH else (applied_to,) for one in todo}
    total = sum(len(images[name]) for names in changed.values() for name in names)
    meter = Meter("scoring", total * evaluations(detector), "evaluations")
    for one in (NONE, *asked):
        if one in todo:
            found = dict(kept.get(NONE.key, {}))  # a class that is left as it is keeps its clean scores
            for place, name in enumerate(CLASSES):
                if name in changed[one.key]:
                    meter.stage = f"{name} images, {one.label}"
                    of_set = score_set(detector, images[name], one, seed_of(seed, place), batch_size, meter)
                    found[name] = yield from of_set
            kept[one.key] = found
            processes.on_main(write_scores, file, key, kept)
        clean = None if one == NONE else kept[NONE.key]
        result["rows"].append(row_of(detector, one, kept[one.key], clean))
        processes.on_main(write_json, out / "robustness.json", result)
    processes.on_main(write_page, result, out / "robustness.html")
    return result


def robustness(config: RobustnessConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Measure both verdicts under every perturbation and write the results; a stopped run goes on where it was.

    Raises:
        ValueError: the detector is not calibrated, the images gave it its threshold, or a perturbation or a class
            does not exist.
    """
    asked = planned(config.perturbations)
    folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile)
    if detector.chosen is None:
        raise ValueError(f"{config.detector} is not calibrated; run `calibrate` first")
    specs = {"real": config.real, "generated": config.generated}
    images = {name: load_images(spec, detector.size, detector.center_crop) for name, spec in specs.items()}
    few = {name: values[: config.count or None] for name, values in images.items()}
    splits = check_unused(folder, detector.info, few)
    settings = asdict(config)
    local = ("detector", "real", "generated", "out")  # paths of one machine: only their last part is kept
    protocol = {
        "checkpoint_sha256": checkpoint_hash(folder),
        "precision": config.precision,
        "trained_on": detector.info.get("training", {}).get("data", ""),
        "generated_by": provenance(config.generated, folder),
        "splits": asdict(splits),
        "config": settings | {name: Path(settings[name]).name for name in local},
    }
    out = Path(config.out) if config.out else folder / "sedid"
    how = (config.applied_to, config.seed, config.batch_size)
    return (yield from robustness_of(detector, few, asked, out, protocol, *how))

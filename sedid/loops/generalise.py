"""How far a calibrated detector carries: other samplers, another checkpoint, and the generator's own training images.

STAT (pair, polarity, threshold) and NN stand as the detector's calibration left them; nothing is fitted here. Every
generated set is measured against the same held-out reals, and so are the member reals: they are real, so what tells
them from held-out reals is membership (SecMI, Duan et al. 2023), which the t-error measures as well.
"""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sedid import processes
from sedid.bundle import checkpoint_hash, load_detector, own_folder, resolve, versions
from sedid.config import Count, Precision, Settings, Text
from sedid.data import fingerprint, load_with_files
from sedid.detectors import Detector
from sedid.loops.checked import audited, check_unused
from sedid.loops.evaluate import evaluated, stat_rows, verdict_shares
from sedid.loops.generate import in_full, provenance
from sedid.loops.score import Scores, score
from sedid.metrics import measure, sign_of
from sedid.progress import Progress
from sedid.statistics import ABOUT, intervals
from sedid.storage import write_json

HELDOUT, MEMBERS = "held-out reals", "member reals"
SAME, OTHER, CROSS, UNKNOWN = "same sampler", "other sampler", "cross-checkpoint", "unknown"
"""How a set relates to the images the detector was calibrated on."""


@dataclass(frozen=True)
class GeneraliseConfig(Settings):
    """Settings of one table."""

    detector: Text
    heldout: Text  # test reals the generator never saw
    generated: tuple[str, ...]  # test sets, each "label=data set" or a data set; sampler and steps from its manifest
    members: str = ""  # reals of the generator's training set; "" leaves them out
    ks: tuple[Count, ...] = ()  # more step sizes to report beside those of the calibrated and the classifier's pair
    out: str = ""  # folder; "" is sedid/ in the bundle
    batch_size: Count = 32
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


def labelled(spec: str) -> tuple[str, str]:
    """ "label=data set" -> (label, data set). A set without a label has an empty one, and "=" in a path is no label."""
    label, equals, data_set = spec.partition("=")
    if not equals or "/" in label or Path(spec).exists():
        return "", spec
    return label.strip(), data_set.strip()


def relation(made: dict[str, Any], calibrated_on: dict[str, Any]) -> str:
    """How a generated set relates to the detector: SAME, OTHER, CROSS or UNKNOWN.

    Args:
        made: its `provenance`.
        calibrated_on: that of the calibration images.
    """
    if made.get("cross_checkpoint"):
        return CROSS
    if not made or not calibrated_on:
        return UNKNOWN
    alike = [made.get(name) == calibrated_on.get(name) for name in ("sampler", "steps", "variance", "timestep_spacing")]
    return SAME if all(alike) else OTHER


def called(label: str, made: dict[str, Any], spec: str) -> str:
    """What a set is called: its label, its sampler and steps, or the last part of its path."""
    if label or not made:
        return label or Path(spec).name
    return f"{made.get('sampler', '?')}, {made.get('steps', '?')} steps"


def measured(real: np.ndarray, generated: np.ndarray, threshold: float | None) -> dict[str, Any]:
    """The metrics of oriented scores (N,), and under "intervals" their 95 % intervals."""
    found = {name: list(ends) if ends else None for name, ends in intervals(real, generated, threshold).items()}
    return asdict(measure(real, generated, threshold)) | {"intervals": found}


def table_row(
    detector: Detector,
    scores: Scores,
    heldout: Scores,
    probabilities: tuple[np.ndarray | None, np.ndarray | None],
    real: bool,
) -> dict[str, Any]:
    """The measurements of one set against held-out reals.

    Args:
        scores, heldout: t-errors of the set and of the held-out reals.
        probabilities: the NN's of the set and of the held-out reals.
        real: the set are member reals. They take the generated images' place in the AUC, which then says how far the
            detector's score tells members from others; an accuracy would mean nothing.
    """
    assert detector.chosen is not None
    calibration = detector.stat[detector.chosen]
    sign = sign_of(calibration.polarity)
    of_set, of_heldout = sign * scores[detector.chosen], sign * heldout[detector.chosen]
    row: dict[str, Any] = {
        "stat": measured(of_heldout, of_set, None if real else sign * calibration.threshold)
        | {"auc_paper_polarity": measure(-heldout[detector.chosen], -scores[detector.chosen]).auc},
        "nn": None,
        "verdicts": verdict_shares(detector, scores),
        "pairs": [
            {name: found[name] for name in ("k", "t_sec", "polarity", "auc", "auc_paper_polarity")}
            for found in stat_rows(detector, heldout, scores)
        ],
    }
    if detector.nn is not None and probabilities[0] is not None and probabilities[1] is not None:
        threshold = None if real else detector.nn.threshold
        row["nn"] = measured(probabilities[1], probabilities[0], threshold)
    return row


def finding(row: dict[str, Any]) -> str:
    """What the AUC of STAT shows in a few words, by its interval."""
    low, high = row["stat"]["intervals"]["auc"]
    real = row["relation"] == MEMBERS
    if low > 0.5:
        return "members score like generated images" if real else "better than guessing"
    if high < 0.5:
        return "members score even less like generated images" if real else "fails: turned round"
    return "no membership shown" if real else "fails: no better than guessing"


def generalise(config: GeneraliseConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Score every set that `evaluate` has not, measure, and write generalise.json; returns what is in it.

    Raises:
        ValueError: the detector is not calibrated, no generated set is named, a set is given twice, or images were
            used to calibrate it.
    """
    folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile)
    if detector.chosen is None:
        raise ValueError(f"{config.detector} is not calibrated; run `calibrate` first")
    if not config.generated:
        raise ValueError("generated must name at least one set, as label=data set or a data set")
    calibrated_on = in_full(detector.info["stat"].get("generated_by", {}), folder)
    sets: list[tuple[str, str, dict[str, Any]]] = [(HELDOUT, config.heldout, {})]
    for spec in config.generated:
        label, data_set = labelled(spec)
        made = provenance(data_set, folder)
        sets.append((called(label, made, data_set), data_set, made | {"relation": relation(made, calibrated_on)}))
    if config.members:
        sets.append((MEMBERS, config.members, {"relation": MEMBERS}))
    if len({name for name, _, _ in sets}) < len(sets):
        raise ValueError(f"every set needs a label of its own: {', '.join(name for name, _, _ in sets)}")
    read = {name: load_with_files(spec, detector.size, detector.center_crop) for name, spec, _ in sets}
    prints = {name: fingerprint(images) for name, (images, _) in read.items()}
    splits = check_unused(folder, detector.info, {name: images for name, (images, _) in read.items()}, members=MEMBERS)
    if len(set(prints.values())) < len(prints):
        raise ValueError("two of these sets hold the same images; give each set once")

    ks = sorted({detector.chosen[0], *config.ks} | ({detector.nn.k} if detector.nn else set()))
    scores: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray | None] = {}
    known = evaluated(detector, folder, config.precision, ks)
    for name, (images, _) in read.items():
        if prints[name] in known:
            scores[name], probabilities[name] = known[prints[name]]
            continue
        stage = f"scoring {name}"
        scores[name], probabilities[name] = yield from score(detector, images, ks, config.batch_size, stage)
    rows = []
    for name, spec, made in sets[1:]:
        images, files = read[name]
        both = (probabilities[name], probabilities[HELDOUT])
        row = {
            "set": name,
            "from": Path(spec).name,
            "sampler": made.get("sampler"),
            "steps": made.get("steps"),
            "relation": made["relation"],
            "checkpoint_sha256": made.get("checkpoint_sha256"),
            "count": len(images),
            **table_row(detector, scores[name], scores[HELDOUT], both, name == MEMBERS),
            "audit": audited(read[HELDOUT][0], images, (read[HELDOUT][1], files)),
        }
        rows.append(row | {"finding": finding(row)})
    settings = asdict(config)
    hidden = {name: Path(settings[name]).name for name in ("detector", "heldout", "members", "out")}
    result: dict[str, Any] = {
        "protocol": {
            "checkpoint_sha256": checkpoint_hash(folder),
            "calibrated_on": calibrated_on,
            "chosen": list(detector.chosen),
            "polarity": detector.stat[detector.chosen].polarity,
            "threshold": detector.stat[detector.chosen].threshold,
            "nn_pair": [detector.nn.k, detector.nn.t_sec] if detector.nn else None,
            "nn_threshold": detector.nn.threshold if detector.nn else None,
            "threshold_from": "calibration split",
            "intervals": ABOUT,
            "positive": "generated",
            "evaluations_per_image": sum(detector.max_t_sec(k) // k + 1 for k in ks),
            "images": {name: {"count": len(read[name][0]), "sha256": prints[name]} for name in read},
            "splits": asdict(splits),
            "versions": versions(),
            "config": settings | hidden | {"generated": [row["from"] for row in rows if row["set"] != MEMBERS]},
        },
        "heldout_verdicts": verdict_shares(detector, scores[HELDOUT]),
        "rows": rows,
    }
    place = Path(config.out) if config.out else folder / "sedid"
    processes.on_main(write_json, place / "generalise.json", result)
    return result

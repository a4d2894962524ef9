"""Does a verdict hold when the picture is re-saved, resized, blurred? Both verdicts under perturbations (`perturb`).

Both classes pass through the same function, and the threshold stays that of the calibration split: a perturbation may
move the scores past it while the AUC stays. With `applied_to` one class alone is perturbed. That measures no
robustness but a leak: where only the generated images were re-saved, a detector that looks good found the file format
(DIRE's JPEG and PNG, see "Fake or JPEG?", arXiv 2403.17608). The output folder:

    robustness.json         the measurements, rewritten after each perturbation
    robustness-scores.npz   the scores behind them; what is in there is not scored again
"""

import hashlib
import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from sedid import processes
from sedid.config import Seed, Text, Whole
from sedid.data.datasets import load_sets
from sedid.data.perturb import FAMILIES, NONE, Perturbation, named, perturb_all
from sedid.detector.batches import shares
from sedid.detector.bundle import versions
from sedid.detector.detector import Call, Detector, Verdict
from sedid.method.diffusion import Point, Steps
from sedid.progress import Meter, Progress
from sedid.results import Interval, Results, Rows, Shares
from sedid.stats.intervals import Difference, auc_interval, delong
from sedid.stats.metrics import measure, sign_of
from sedid.storage import read_kept, replacing
from sedid.studies.study import (
    JudgedAt,
    Protocol,
    Study,
    StudyConfig,
    described,
    migrated_audit,
    migrated_protocol,
    open_study,
)
from sedid.training.checks import LeakCheck, SplitCheck, audited, check_unused
from sedid.training.scoring import counted
from sedid.training.seeds import seed_of

CLASSES = ("real", "generated")
BOTH = "both"
AppliedTo = Literal["both", "real", "generated"]

SetScores = np.ndarray
"""float32 (4, N): t-error at the detector's own pair, probability of the classifier (NaN without one), and whether the
t-errors on the way to either lie in the range of the references (1 or 0)."""

ClassVerdicts = dict[str, list[Verdict]]
"""What one method says of every image, by class."""


@dataclass(frozen=True, kw_only=True)
class RobustnessConfig(StudyConfig):
    """Settings of one measurement."""

    SETS: ClassVar[tuple[str, ...]] = CLASSES

    real: Text = "sample:real"
    generated: Text = "sample:generated"  # images this model generated
    perturbations: tuple[str, ...] = tuple(FAMILIES)  # "jpeg": at its default strengths; "jpeg:75": at one
    applied_to: AppliedTo = "both"  # real or generated: that class alone, which shows a format leak
    count: Whole = 0  # images of each class at most, the first ones; 0 takes all
    seed: Seed = 0  # of the noise


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What one method says under one perturbation, by class.

    Attributes:
        verdicts: how often what (`batches.shares`); a class without any: they are not known.
        flipped, reversed: of how many images another call than of the same image as it is, and of how many real became
            generated or the other way round; None of the images as they are, and where verdicts are not known.
    """

    verdicts: dict[str, Shares]
    flipped: dict[str, float] | None
    reversed: dict[str, float] | None


@dataclass(frozen=True, kw_only=True)
class MethodChange(Changes):
    """One method under one perturbation, in its calibrated polarity and at its calibrated threshold.

    Attributes:
        auc_paper_polarity: a smaller score counts as generated.
        auc_interval: None in older results, where it is not to be trusted.
        auc_change: against the images as they are; None of those themselves.
        sides: of verdicts that an older version counted by the side of the band alone.
    """

    auc: float
    auc_interval: Interval | None
    auc_paper_polarity: float
    acc: float | None
    auc_change: Difference | None
    sides: dict[str, Shares]


@dataclass(frozen=True)
class RobustnessRow:
    """One perturbation.

    Attributes:
        key, name, strength, unit, label: as `Perturbation`.
        stat, nn: what it does to each verdict; NN is None without a classifier.
    """

    key: str
    name: str
    strength: float | None
    unit: str
    label: str
    stat: MethodChange
    nn: MethodChange | None

    @property
    def methods(self) -> dict[str, MethodChange]:
        """What was measured, by "stat" and "nn"."""
        return {"stat": self.stat} | ({} if self.nn is None else {"nn": self.nn})


@dataclass(frozen=True, kw_only=True)
class RobustnessResults(Results):
    """What stands in robustness.json.

    Attributes:
        applied_to: both, or the class that alone was perturbed.
        seed: of the noise.
        perturbations: what each kind does, in words.
        stat, nn: where the verdicts are read; NN is None without a classifier.
        audit: of the images as they are; None in older results.
        rows: the first one is of the images as they are.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "robustness"

    protocol: Protocol
    applied_to: str
    seed: int
    perturbations: dict[str, str]
    stat: JudgedAt
    nn: JudgedAt | None
    threshold_from: str = "calibration split"
    audit: LeakCheck | None
    rows: Rows[RobustnessRow]

    def __post_init__(self) -> None:
        if self.rows[0].key != NONE.key:
            raise ValueError("the first of rows is not of the images as they are")
        if len({row.nn is None for row in self.rows} | {self.nn is None}) > 1:
            raise ValueError("nn is in some of rows alone")
        if not {*CLASSES} <= self.protocol.images.keys():
            raise ValueError(f"protocol.images lacks one of {', '.join(CLASSES)}")

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        moved = ("applied_to", "seed", "perturbations", "stat", "nn", "threshold_from")
        made: dict[str, Any] = {"applied_to": BOTH, "seed": 0, "perturbations": {}} | migrated_protocol(
            found, {}, moved
        )
        if made.get("nn"):
            made["nn"] |= {"polarity": "larger"}
        for row in made["rows"]:
            row.pop("out_of_range", None)
            for part in filter(None, (row["stat"], row["nn"])):
                for name, value in (("sides", {}), ("flipped", None), ("reversed", None)):
                    part.setdefault(name, value)
        return made | {"audit": migrated_audit(found.get("audit"))}


def planned(settings: tuple[str, ...]) -> list[Perturbation]:
    """The perturbations that settings name, each once.

    Raises:
        ValueError: none, or one that does not exist.
    """
    found = {one.key: one for setting in settings for one in named(setting)}
    if not found:
        raise ValueError(f"perturbations must name at least one of {', '.join(FAMILIES)}")
    return list(found.values())


def judged_at(detector: Detector) -> dict[Steps, int]:
    """Map k to the T_SEC that is judged: the classifier's and STAT's own. At one k, STAT's; NN is read at its own anyway."""
    return dict(pair for pair in (detector.nn_pair, detector.chosen) if pair is not None)


def evaluations(detector: Detector) -> int:
    """Network evaluations an image."""
    return sum(detector.evaluations(k, detector.reach(k, t_sec)) for k, t_sec in judged_at(detector).items())


def score_batch(detector: Detector, batch: np.ndarray, meter: Meter) -> Generator[Progress, None, SetScores]:
    """Both scores of a batch, uint8 (N, H, W, 3); no trajectory is walked further than it is judged."""
    found = np.full((4, len(batch)), np.nan, np.float32)
    for k, t_sec in judged_at(detector).items():
        points: list[Point] = []
        for point in counted(detector.walk(batch, k, detector.reach(k, t_sec)), meter):
            points.append(point)
            yield meter.at(meter.done)
        judgements = detector.judge_walk(batch, k, points, t_sec)
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


def changes(verdicts: ClassVerdicts, clean: ClassVerdicts | None) -> Changes:
    """How often what is said, and how often something else than of the images as they are; shares by class.

    Args:
        clean: of the images as they are; None if `verdicts` are these.
    """
    said = {name: shares(verdicts[name]) for name in CLASSES}
    if clean is None:
        return Changes(verdicts=said, flipped=None, reversed=None)
    pairs = {
        name: [{before.call, now.call} for before, now in zip(clean[name], verdicts[name], strict=True)]
        for name in CLASSES
    }
    reverse = {Call.REAL, Call.GENERATED}
    return Changes(
        verdicts=said,
        flipped={name: sum(len(calls) > 1 for calls in pairs[name]) / len(pairs[name]) for name in CLASSES},
        reversed={name: pairs[name].count(reverse) / len(pairs[name]) for name in CLASSES},
    )


def measured(verdicts: ClassVerdicts, clean: ClassVerdicts | None) -> MethodChange:
    """One method under one perturbation.

    Args:
        clean: of the images as they are; None if `verdicts` are these.
    """
    calibration = verdicts["real"][0].calibration
    sign = sign_of(calibration.polarity)

    def oriented(of: ClassVerdicts) -> list[np.ndarray]:
        return [sign * np.array([verdict.score for verdict in of[name]]) for name in CLASSES]

    real, generated = oriented(verdicts)
    found = measure(real, generated, sign * calibration.threshold)
    return MethodChange(
        auc=found.auc,
        auc_interval=auc_interval(real, generated),
        auc_paper_polarity=found.auc if sign < 0 else 1 - found.auc,
        acc=found.acc,
        auc_change=None if clean is None else delong(real, generated, *oriented(clean)),
        sides={},
        **vars(changes(verdicts, clean)),
    )


def row_of(
    detector: Detector, one: Perturbation, scores: dict[str, SetScores], clean: dict[str, SetScores] | None
) -> RobustnessRow:
    """What one perturbation does to both verdicts.

    Args:
        clean: scores of the images as they are; None if `scores` are these.
    """
    before = {} if clean is None else verdicts_of(detector, clean)
    found = {name: measured(verdicts, before.get(name)) for name, verdicts in verdicts_of(detector, scores).items()}
    return RobustnessRow(one.key, one.name, one.strength, one.unit, one.label, found["stat"], found.get("nn"))


def read_scores(file: Path, key: str) -> dict[str, dict[str, SetScores]]:
    """Scores kept under this key: perturbation -> class -> scores; {} if there are none."""
    try:
        stored = read_kept(file, key) or {}
        names = {name.rpartition("/")[0] for name in stored}
        return {name: {kind: stored[f"{name}/{kind}"] for kind in CLASSES} for name in names}
    except (ValueError, KeyError):  # cut off, or another program's: measured again
        return {}


def write_scores(file: Path, key: str, found: dict[str, dict[str, SetScores]]) -> None:
    """Keep the scores of all perturbations so far."""
    arrays = {f"{name}/{kind}": values for name, of_set in found.items() for kind, values in of_set.items()}
    with replacing(file) as temporary:
        np.savez_compressed(temporary, key=key, **arrays)  # type: ignore[arg-type]


def scores_key(study: Study[RobustnessConfig], prints: dict[str, str]) -> str:
    """What kept scores depend on; `prints` are the fingerprints of the images by class."""
    config, detector = study.config, study.detector
    behind = [
        detector.info.get("checkpoint_sha256"),
        config.precision,
        prints,
        config.applied_to,
        config.seed,
        versions(),
        [detector.info.get(name) for name in ("stat", "nn")],
        "range of either",  # what is kept of an image: older files hold the range of STAT's pair alone
    ]
    return hashlib.sha256(json.dumps(behind, sort_keys=True).encode()).hexdigest()


def robustness_of(
    study: Study[RobustnessConfig], images: dict[str, np.ndarray], splits: SplitCheck | None = None
) -> Generator[Progress, None, RobustnessResults]:
    """The measurement of images at hand; see `robustness`.

    Args:
        images: uint8 (N, H, W, 3) by class.
        splits: what they share.
    """
    config, detector, file = study.config, study.detector, study.out / "robustness-scores.npz"
    asked = planned(config.perturbations)
    sets = described({name: getattr(config, name) for name in CLASSES}, images)
    about: dict[str, Any] = {
        "protocol": study.protocol(sets, splits, config.generated, evaluations(detector)),
        "applied_to": config.applied_to,
        "seed": config.seed,
        "perturbations": {name: FAMILIES[name].about for name in dict.fromkeys(one.name for one in asked)},
        "stat": study.stat,
        "nn": study.nn,
        "audit": audited(images["real"], images["generated"]),
    }
    key = scores_key(study, {name: one.sha256 for name, one in sets.items()})
    kept = processes.on_main(read_scores, file, key)
    todo = [one for one in (NONE, *asked) if one.key not in kept]
    changed = {one.key: CLASSES if one == NONE or config.applied_to == BOTH else (config.applied_to,) for one in todo}
    total = sum(len(images[name]) for names in changed.values() for name in names)
    meter = Meter("scoring", total * evaluations(detector), "evaluations")
    rows: list[RobustnessRow] = []
    for one in (NONE, *asked):
        if one in todo:
            found = dict(kept.get(NONE.key, {}))  # a class that is left as it is keeps its clean scores
            for place, name in enumerate(CLASSES):
                if name in changed[one.key]:
                    meter.stage = f"{name} images, {one.label}"
                    seed = seed_of(config.seed, place)
                    of_set = score_set(detector, images[name], one, seed, config.batch_size, meter)
                    found[name] = yield from of_set
            kept[one.key] = found
            processes.on_main(write_scores, file, key, kept)
        rows.append(row_of(detector, one, kept[one.key], None if one == NONE else kept[NONE.key]))
        results = RobustnessResults(rows=tuple(rows), **about)
        processes.on_main(results.write, study.out / "robustness.json")
    return results


def robustness(config: RobustnessConfig) -> Generator[Progress, None, RobustnessResults]:
    """Measure both verdicts under every perturbation and write the results; a stopped run resumes.

    Raises:
        ValueError: the detector is not calibrated, the images gave it its threshold, or a perturbation or a class
            does not exist.
    """
    planned(config.perturbations)  # refuses what does not exist, before a detector is loaded
    study = open_study(config, calibrated=True)
    detector = study.detector
    specs = {name: getattr(config, name) for name in CLASSES}
    images = load_sets(specs, detector.size, detector.center_crop)
    few = {name: values[: config.count or None] for name, values in images.items()}
    return (yield from robustness_of(study, few, check_unused(study.folder, detector.info, few)))

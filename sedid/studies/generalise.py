"""How far a calibrated detector carries: other samplers, another checkpoint, and the generator's own training images.

STAT (pair, polarity, threshold) and NN stand as the detector's calibration left them; nothing is fitted here. Every
generated set is measured against the same held-out reals, and so are the member reals: they are real, so what tells
them from held-out reals is membership (SecMI, Duan et al. 2023), which the t-error measures as well.
"""

from collections import Counter
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sedid import processes
from sedid.config import Count, Text
from sedid.data.datasets import load_sets_with_files
from sedid.detector.detector import Detector
from sedid.method.diffusion import Steps
from sedid.progress import Progress
from sedid.results import Interval, Results, Rows, Shares
from sedid.stats.intervals import intervals
from sedid.stats.metrics import Metrics, measure, sign_of
from sedid.studies.evaluate import evaluated, stat_rows, verdict_shares
from sedid.studies.study import (
    ImageSet,
    JudgedAt,
    MadeBy,
    Protocol,
    Study,
    StudyConfig,
    described,
    migrated_audit,
    migrated_maker,
    migrated_protocol,
    open_study,
    short_name,
)
from sedid.training.calibrate import walks_of
from sedid.training.checks import LeakCheck, audited, check_unused
from sedid.training.scoring import Scores, score

HELDOUT, MEMBERS = "held-out reals", "member reals"
SAME, OTHER, CROSS, UNKNOWN = "same sampler", "other sampler", "cross-checkpoint", "unknown"
"""How a set relates to the images the detector was calibrated on."""


@dataclass(frozen=True, kw_only=True)
class GeneraliseConfig(StudyConfig):
    """Settings of one table."""

    SETS: ClassVar[tuple[str, ...]] = ("heldout", "generated", "members")

    heldout: Text  # test reals the generator never saw
    generated: tuple[str, ...]  # test sets, each "label=data set" or a data set; sampler and steps from its manifest
    members: str = ""  # reals of the generator's training set; "" leaves them out
    ks: tuple[Count, ...] = ()  # more step sizes to report beside those of the calibrated and the classifier's pair
    paths: tuple[str, ...] = ()  # and more walks whose steps are not all of one size, each as 0+495+825+990


@dataclass(frozen=True, kw_only=True)
class SetMetrics(Metrics):
    """A score on one set against the held-out reals.

    Attributes:
        intervals: by metric; None where the images do not bound it.
        auc_paper_polarity: the raw AUC, a smaller t-error counting as generated; None of NN.
    """

    intervals: dict[str, Interval | None]
    auc_paper_polarity: float | None = None


@dataclass(frozen=True, kw_only=True)
class SetPair:
    """STAT at one pair on one set against the held-out reals."""

    k: Steps
    t_sec: int
    polarity: str
    auc: float
    auc_paper_polarity: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of one set against held-out reals.

    Attributes:
        stat, nn: at their own pairs; NN is None without a classifier.
        verdicts: of STAT; without any where they are not known.
        pairs: STAT at every pair.
    """

    stat: SetMetrics
    nn: SetMetrics | None
    verdicts: Shares
    pairs: tuple[SetPair, ...]


@dataclass(frozen=True, kw_only=True)
class SetRow(Measured):
    """One set of images.

    Attributes:
        set: what it is called.
        data_set: how it was named, without folders.
        sampler, variance, steps, checkpoint_sha256: that made it; None where no manifest says, variance "" then too.
        relation: to the images the detector was calibrated on.
        audit: of the set against the held-out reals.
        finding: what the AUC of STAT shows, in a few words.
        sides: of verdicts that an older version counted by the side of the band alone.
    """

    set: str
    data_set: str
    sampler: str | None
    steps: int | None
    variance: str
    relation: str
    checkpoint_sha256: str | None
    count: int
    audit: LeakCheck | None
    finding: str
    sides: Shares

    @property
    def real(self) -> bool:
        """Whether these are member reals."""
        return self.relation == MEMBERS


@dataclass(frozen=True, kw_only=True)
class GeneraliseResults(Results):
    """What stands in generalise.json.

    Attributes:
        calibrated_on: how the images were made that the detector was calibrated on; None if no manifest says.
        stat, nn: where the verdicts are read; NN is None without a classifier.
        heldout_verdicts: of the held-out reals; without any where they are not known.
        heldout_sides: of verdicts that an older version counted by the side of the band alone.
        rows: the generated sets, then member reals.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "generalise"

    protocol: Protocol
    calibrated_on: MadeBy | None
    stat: JudgedAt
    nn: JudgedAt | None
    threshold_from: str = "calibration split"
    heldout_verdicts: Shares
    heldout_sides: Shares
    rows: Rows[SetRow]

    def __post_init__(self) -> None:
        if HELDOUT not in self.protocol.images:
            raise ValueError(f"protocol.images lacks {HELDOUT}")

    def at_the_end(self) -> tuple[int, dict[str, dict[Steps, float]]]:
        """What the last T_SEC tells by how it was come to.

        Returns:
            The last T_SEC at which more than one walk was measured, and the AUC there by generated set and by walk, a smaller
            t-error counting as generated; 0 and nothing where no two walks share one.
        """
        made = [row for row in self.rows if not row.real]
        walks = Counter(pair.t_sec for row in made[:1] for pair in row.pairs)
        last = max((t_sec for t_sec, count in walks.items() if count > 1), default=0)
        found = {row.set: {pair.k: pair.auc_paper_polarity for pair in row.pairs if pair.t_sec == last} for row in made}
        return (last, found) if last else (0, {})

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        old = found["protocol"]
        made = {"heldout_sides": {}} | migrated_protocol(found, {HELDOUT: "heldout"}, ("threshold_from",))
        k, t_sec = old["chosen"]
        made |= {
            "calibrated_on": migrated_maker(old.get("calibrated_on")),
            "stat": {"k": k, "t_sec": t_sec, "polarity": old["polarity"], "threshold": old["threshold"]},
            "nn": None,
        }
        if old.get("nn_pair"):
            k, t_sec = old["nn_pair"]
            made["nn"] = {"k": k, "t_sec": t_sec, "polarity": "larger", "threshold": old["nn_threshold"]}
        for row in made["rows"]:
            row["data_set"] = row.pop("from", "")
            made["protocol"]["images"].get(row["set"], {})["data_set"] = row["data_set"]
            row["audit"] = migrated_audit(row.get("audit"))
            for name, value in (
                ("sampler", None),
                ("steps", None),
                ("variance", ""),
                ("checkpoint_sha256", None),
                ("sides", {}),
            ):
                row.setdefault(name, value)
        return made


def labelled(spec: str) -> tuple[str, str]:
    """The label and the data set of "label=data set". A set without a label has an empty one, and "=" in a path is no label."""
    label, equals, data_set = spec.partition("=")
    if not equals or "/" in label or Path(spec).exists():
        return "", spec
    return label.strip(), data_set.strip()


def relation(made: MadeBy | None, calibrated_on: MadeBy | None) -> str:
    """How a generated set relates to the detector: SAME, OTHER, CROSS or UNKNOWN.

    Args:
        made: how it was made.
        calibrated_on: how the calibration images were.
    """
    if made and made.cross_checkpoint:
        return CROSS
    if not made or not calibrated_on:
        return UNKNOWN
    alike = [
        getattr(made, name) == getattr(calibrated_on, name)
        for name in ("sampler", "steps", "variance", "timestep_spacing")
    ]
    return SAME if all(alike) else OTHER


def called(label: str, made: MadeBy | None, spec: str) -> str:
    """What a set is called: its label, its sampler and steps, or the last part of its path."""
    if label or made is None:
        return label or short_name(spec)
    return f"{made.sampler}, {made.steps} steps"


def measured(real: np.ndarray, generated: np.ndarray, threshold: float | None, paper: float | None) -> SetMetrics:
    """The metrics of oriented scores (N,) with their 95 % intervals, and beside them the AUC in the `paper`'s polarity."""
    found = measure(real, generated, threshold)
    return SetMetrics(intervals=intervals(real, generated, threshold), auc_paper_polarity=paper, **asdict(found))


def table_row(
    detector: Detector,
    scores: Scores,
    heldout: Scores,
    probabilities: tuple[np.ndarray | None, np.ndarray | None],
    real: bool,
    images: np.ndarray,
) -> Measured:
    """The measurements of one set against held-out reals.

    Args:
        scores, heldout: t-errors of the set and of the held-out reals.
        probabilities: the NN's of the set and of the held-out reals.
        real: the set are member reals. They take the generated images' place in the AUC, which then says how far the
            detector's score tells members from others; an accuracy would mean nothing.
        images: of the set, uint8 (N, H, W, 3).
    """
    assert detector.chosen is not None
    calibration = detector.stat[detector.chosen]
    sign = sign_of(calibration.polarity)
    of_set, of_heldout = sign * scores[detector.chosen], sign * heldout[detector.chosen]
    raw = measure(-heldout[detector.chosen], -scores[detector.chosen]).auc
    nn = None
    if detector.nn is not None and probabilities[0] is not None and probabilities[1] is not None:
        nn = measured(probabilities[1], probabilities[0], None if real else detector.nn.threshold, None)
    return Measured(
        stat=measured(of_heldout, of_set, None if real else sign * calibration.threshold, raw),
        nn=nn,
        verdicts=verdict_shares(detector, scores, images),
        pairs=tuple(
            SetPair(
                k=found.k,
                t_sec=found.t_sec,
                polarity=found.polarity,
                auc=found.auc,
                auc_paper_polarity=found.auc_paper_polarity,
            )
            for found in stat_rows(detector, heldout, scores)
        ),
    )


def finding(auc: Interval, real: bool) -> str:
    """What the AUC of STAT shows in a few words, by its interval; `real` of member reals."""
    low, high = auc
    if low > 0.5:
        return "members score like generated images" if real else "better than guessing"
    if high < 0.5:
        return "members score even less like generated images" if real else "fails: turned round"
    return "no membership shown" if real else "fails: no better than guessing"


@dataclass(frozen=True)
class Given:
    """A set as it was given.

    Attributes:
        made: how; None of reals, and where no manifest says.
        relation: to the calibration images; "" of held-out reals.
    """

    name: str
    spec: str
    made: MadeBy | None = None
    relation: str = ""


def sets_of(study: Study[GeneraliseConfig], calibrated_on: MadeBy | None) -> list[Given]:
    """Held-out reals, the generated sets, and member reals if there are any.

    Raises:
        ValueError: no generated set is named, or two sets are called alike.
    """
    config = study.config
    if not config.generated:
        raise ValueError("generated must name at least one set, as label=data set or a data set")
    sets = [Given(HELDOUT, config.heldout)]
    for spec in config.generated:
        label, data_set = labelled(spec)
        made = study.made_by(data_set)
        sets.append(Given(called(label, made, data_set), data_set, made, relation(made, calibrated_on)))
    if config.members:
        sets.append(Given(MEMBERS, config.members, relation=MEMBERS))
    if len({one.name for one in sets}) < len(sets):
        raise ValueError(f"every set needs a label of its own: {', '.join(one.name for one in sets)}")
    return sets


def set_row(one: Given, stated: ImageSet, found: Measured, audit: LeakCheck) -> SetRow:
    """A row of the table: what a set is, and what was measured on it."""
    ends, made = found.stat.intervals["auc"], one.made
    assert ends is not None  # an AUC has an interval whatever the images
    return SetRow(
        set=one.name,
        data_set=stated.data_set,
        sampler=made.sampler if made else None,
        steps=made.steps if made else None,
        variance=made.variance if made else "",
        relation=one.relation,
        checkpoint_sha256=made.checkpoint_sha256 if made else None,
        count=stated.count,
        audit=audit,
        finding=finding(ends, one.relation == MEMBERS),
        sides={},
        **vars(found),
    )


def generalise(config: GeneraliseConfig) -> Generator[Progress, None, GeneraliseResults]:
    """Score every set that `evaluate` has not, measure, and write generalise.json; returns what is in it.

    Raises:
        ValueError: the detector is not calibrated, no generated set is named, a set is given twice, or images were
            used to calibrate it.
    """
    study = open_study(config, calibrated=True)
    folder, detector = study.folder, study.detector
    calibrated_on = study.calibrated_on
    sets = sets_of(study, calibrated_on)
    read = load_sets_with_files({one.name: one.spec for one in sets}, detector.size, detector.center_crop)
    images = {name: found for name, (found, _) in read.items()}
    stated = described({one.name: one.spec for one in sets}, images)
    splits = check_unused(folder, detector.info, images, members=MEMBERS)
    if len({one.sha256 for one in stated.values()}) < len(stated):
        raise ValueError("two of these sets hold the same images; give each set once")

    ks = study.ks(study.chosen[0], *walks_of(config.ks, config.paths))
    scores: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray | None] = {}
    known = evaluated(detector, folder, config.precision, ks)
    for name, values in images.items():
        if (sha256 := stated[name].sha256) in known:
            scores[name], probabilities[name] = known[sha256]
            continue
        stage = f"scoring {name}"
        scores[name], probabilities[name] = yield from score(detector, values, ks, config.batch_size, stage)
    rows = []
    for one in sets[1:]:
        both, real = (probabilities[one.name], probabilities[HELDOUT]), one.relation == MEMBERS
        found = table_row(detector, scores[one.name], scores[HELDOUT], both, real, images[one.name])
        audit = audited(images[HELDOUT], images[one.name], (read[HELDOUT][1], read[one.name][1]))
        rows.append(set_row(one, stated[one.name], found, audit))
    results = GeneraliseResults(
        protocol=study.protocol(stated, splits, None, study.evaluations(ks)),
        calibrated_on=calibrated_on,
        stat=study.stat,
        nn=study.nn,
        heldout_verdicts=verdict_shares(detector, scores[HELDOUT], images[HELDOUT]),
        heldout_sides={},
        rows=tuple(rows),
    )
    processes.on_main(results.write, study.out / "generalise.json")
    return results

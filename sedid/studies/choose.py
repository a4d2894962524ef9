"""Choose k, T_SEC and polarity on the calibration split, say how stable the choice is, and measure what follows from it.

What follows is measured on the test split: stopping early, probabilities, and no verdict where there is no ground for one.
Everything is chosen and fitted on the calibration images; every figure under `test`, `sequential`, `reliability` and
`conformal` is of the test images. The output folder:

    choice.json         all of it
    choice/k0165.npz    the scores behind it; a k that has its file is not scored again
    choice/paths.npz    and those of the paths

The detector keeps its own pair unless `apply` is set.
"""

import json
from collections.abc import Collection, Generator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from sedid import processes
from sedid.config import Count, ErrorRate, NotNegative, Seed, StepSizes, Text
from sedid.data.datasets import load_sets
from sedid.data.splits import record_splits, splits_file
from sedid.detector.bundle import own_folder, update_info
from sedid.detector.detector import Detector, Pair
from sedid.detector.identity import Identity
from sedid.method import paper
from sedid.method.diffusion import Path as Walked
from sedid.method.diffusion import Steps, as_steps, check_path, check_step, reverse_path
from sedid.progress import Progress
from sedid.results import Interval, Results, Rows
from sedid.stats.choice import Candidate, Choice, check_choice, choose_pair, evaluations, fold_numbers
from sedid.stats.intervals import Difference, delong, intervals
from sedid.stats.metrics import Metrics, best_threshold, measure, sign_of
from sedid.stats.reliability import Classes, Conformal, Reliability, conformal, isotonic, platt, reliability
from sedid.stats.stopping import LogOdds, Rule, fit_log_odds, fit_rule, log_errors, measure_rule, steps_of
from sedid.storage import read_json, read_kept, write_kept
from sedid.studies.study import (
    MadeBy,
    Protocol,
    StudyConfig,
    described,
    migrated_audit,
    migrated_maker,
    migrated_protocol,
    open_study,
)
from sedid.studies.sweep import SETS, by_pair, score_k
from sedid.training.checks import LeakCheck, audited, check_calibration, check_unused
from sedid.training.scoring import score_paths

Errors = dict[Pair, np.ndarray]
"""t-errors (N,) by pair."""
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Error rates reported beside the user's own."""


@dataclass(frozen=True, kw_only=True)
class ChooseConfig(StudyConfig):
    """Settings of one choice.

    With apply and another `out`, the detector is first copied to bundle/ in it.
    """

    SETS: ClassVar[tuple[str, ...]] = SETS

    real: Text  # calibration reals: they choose and calibrate
    generated: Text  # calibration images this model generated
    test_real: Text  # images that choose nothing: every figure of merit is theirs
    test_generated: Text
    ks: StepSizes = (
        55,
        110,
        165,
        245,
        330,
        495,
    )  # every T_SEC of each is a candidate; the classifier's k joins them
    penalty: NotNegative = 0.001  # AUC that one more network evaluation an image has to gain
    error_rate: ErrorRate = 0.1  # of either class: wrong early stops in all, and wrong conformal verdicts
    folds: Annotated[int, Field(ge=2)] = 5
    resamples: Annotated[int, Field(ge=2)] = 500
    seed: Seed = 0
    timesteps: tuple[Count, ...] = (165, 330, 495, 660, 825, 990)  # of paths; empty leaves the search for paths out
    most: Annotated[int, Field(ge=2)] = 6  # network evaluations of a path
    apply: bool = False  # make the chosen pair the detector's own; it has to be calibrated there


@dataclass(frozen=True)
class PathRow:
    """A path on the test images.

    Attributes:
        k: step size, where all steps are of one size, else the path.
        cv_auc: on the calibration images.
        auc, auc_interval: on the test images, in the polarity of the calibration images.
    """

    k: Steps
    t_sec: int
    evaluations: int
    polarity: str
    cv_auc: float
    auc: float
    auc_interval: Interval


@dataclass(frozen=True)
class Paths:
    """The search among all ascending paths over a few timesteps.

    Attributes:
        choice: as for the pairs of k and T_SEC: what the same rule chooses, with its nested cross-validation.
        frontier: of every number of evaluations the path of the highest cross-validated AUC, the cheapest first.
        paper: the paper's pair on the same images; None where its k was not scored.
    """

    choice: Choice
    frontier: Rows[PathRow]
    paper: PathRow | None


@dataclass(frozen=True)
class BestPair:
    """The pair of the highest cross-validated AUC, whatever it costs, on the test images.

    Attributes:
        auc_difference: of the chosen pair's AUC and this one's.
    """

    k: Steps
    t_sec: int
    evaluations: int
    auc: float
    auc_difference: Difference


@dataclass(frozen=True, kw_only=True)
class TestedPair(Metrics):
    """The chosen pair on the test images.

    Attributes:
        threshold: raw.
        intervals: by metric; None where the images do not bound it.
    """

    threshold: float
    threshold_from: str
    intervals: dict[str, Interval | None]
    without_penalty: BestPair


@dataclass(frozen=True, kw_only=True)
class StoppingRow:
    """Stopping early at one stated error rate.

    Attributes:
        upper, lower, threshold: log-odds at which a walk stops, and that part the classes at its end; None: never passed.
        evaluations, evaluations_full, saved: of the network an image: with stopping, without, and the difference.
        auc_difference: of the AUC with stopping and of the full walk's.
    """

    error_rate: float
    upper: float | None
    lower: float | None
    threshold: float
    evaluations: float
    evaluations_full: int
    saved: float
    evaluations_real: float
    evaluations_generated: float
    stopped_early_real: float
    stopped_early_generated: float
    wrong_early_real: float
    wrong_early_real_interval: Interval
    wrong_early_generated: float
    wrong_early_generated_interval: Interval
    auc: float
    auc_full: float
    auc_difference: Difference
    acc: float
    acc_full: float

    def wrong_early(self, kind: str) -> tuple[float, Interval]:
        """The share of wrong early calls of real or generated images, and its interval."""
        if kind == "real":
            return self.wrong_early_real, self.wrong_early_real_interval
        return self.wrong_early_generated, self.wrong_early_generated_interval


@dataclass(frozen=True, kw_only=True)
class Walk(LogOdds):
    """Early stopping on walks to one T_SEC, with the fitted log-odds of each of its steps."""

    t_sec: int
    evaluations: int
    rates: Rows[StoppingRow]


@dataclass(frozen=True)
class Stopping:
    """Early stopping at the chosen k, to the chosen T_SEC and to the end of the schedule."""

    k: int
    error_rate: float
    walks: Rows[Walk]


@dataclass(frozen=True)
class Abstaining:
    """Conformal verdicts of one score.

    Attributes:
        rates: at every error rate, ascending; none if it was skipped.
        skipped: why they could not be calibrated on these images; "" if they were.
    """

    error_rate: float
    rates: tuple[Conformal, ...]
    skipped: str = ""


@dataclass(frozen=True)
class Conclusion:
    """All figures of a choice: what was chosen, and what follows from it on the test images.

    Attributes:
        reliability: of each kind of probability.
        conformal: of STAT's and NN's scores.
    """

    choice: Choice
    test: TestedPair
    sequential: Stopping
    reliability: dict[str, Reliability]
    conformal: dict[str, Abstaining]


def all_paths(timesteps: Collection[int], most: int) -> list[Walked]:
    """Every ascending path over some timesteps that takes from 2 to `most` network evaluations."""
    ascending = sorted(set(timesteps))
    return [
        (0, *visited) for count in range(1, min(most, len(ascending) + 1)) for visited in combinations(ascending, count)
    ]


def search_paths(
    detector: Detector, images: dict[str, np.ndarray], config: ChooseConfig, scored: "Scored", folder: Path, key: str
) -> Generator[Progress, None, Paths | None]:
    """Score all paths on the calibration images, choose, and measure the frontier on the test images.

    Returns:
        None where no timesteps are given.
    """
    if not config.timesteps:
        return None
    paths = all_paths(config.timesteps, config.most)
    errors = {}
    for name in ("real", "generated"):
        errors[name] = yield from kept_paths(detector, images, name, paths, config.batch_size, folder, key)
    choice = yield from choose_pair(
        errors["real"], errors["generated"], config.penalty, config.folds, config.resamples, config.seed
    )
    best: dict[int, Candidate] = {}
    for row in choice.candidates:
        if row.evaluations not in best or row.cv_auc > best[row.evaluations].cv_auc:
            best[row.evaluations] = row
    own = [reverse_path(detector.schedule, row.k, row.t_sec) for row in best.values()]
    for name in ("test_real", "test_generated"):
        errors[name] = yield from kept_paths(detector, images, name, own, config.batch_size, folder, key)
    pair: Pair | None = (paper.K, detector.max_t_sec(paper.K)) if len(detector.schedule) > paper.K else None
    beside = None
    if pair in scored.errors["real"]:
        assert pair is not None
        of_pair = {name: {pair: grid[pair]} for name, grid in scored.errors.items()}
        found = yield from choose_pair(of_pair["real"], of_pair["generated"], 0.0, config.folds, 2, config.seed)
        beside = path_row(found.chosen, of_pair)
    return Paths(choice, tuple(path_row(row, errors) for row in best.values()), beside)


def kept_paths(
    detector: Detector,
    images: dict[str, np.ndarray],
    name: str,
    paths: list[Walked],
    batch_size: int,
    folder: Path,
    key: str,
) -> Generator[Progress, None, dict[Pair, np.ndarray]]:
    """t-errors of one set by pair, one pair a path; read from the file in `folder` where it was written for the same."""
    file, stated = folder / f"paths-{name}.npz", f"{key} {paths}"
    found = processes.on_main(read_kept, file, stated)
    if found is None:
        made = yield from score_paths(
            detector, images[name], paths, batch_size, f"paths: {name.replace('_', ' ')} images"
        )
        found = {"errors": np.stack(list(made.values()))}
        processes.on_main(write_kept, file, stated, found)
    return {(as_steps(path), path[-1]): errors for path, errors in zip(paths, found["errors"], strict=True)}


def path_row(row: Candidate, errors: Mapping[str, Errors]) -> PathRow:
    """A candidate on the test images, in the polarity that the calibration images gave it."""
    sign, pair = sign_of(row.polarity), (row.k, row.t_sec)
    real, generated = (sign * errors[name][pair] for name in ("test_real", "test_generated"))
    within = intervals(real, generated)["auc"]
    assert within is not None
    return PathRow(*pair, row.evaluations, row.polarity, row.cv_auc, measure(real, generated).auc, within)


@dataclass(frozen=True, kw_only=True)
class ChoiceResults(Results):
    """What stands in choice.json.

    Attributes:
        test_generated_by: how the generated test images were made.
        applied: whether the chosen pair became the detector's own.
        calibrated: the detector's own pair before.
        audit, audit_calibration: of the test and of the calibration images; None in older results.
        choice, test, sequential, reliability, conformal: as in `Conclusion`.
        paths: the search for paths; None where it was left out, and in older results.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "choose"

    protocol: Protocol
    chosen_on: str
    measured_on: str
    test_generated_by: MadeBy | None
    applied: bool
    calibrated: Pair | None
    choice: Choice
    test: TestedPair
    sequential: Stopping
    reliability: dict[str, Reliability]
    conformal: dict[str, Abstaining]
    audit: LeakCheck | None
    audit_calibration: LeakCheck | None
    paths: Paths | None = None

    def __post_init__(self) -> None:
        if self.choice.chosen not in self.choice.candidates:
            raise ValueError("choice.chosen is none of the candidates")

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        old = found["protocol"]
        made = migrated_protocol(found, {}, ("chosen_on", "measured_on"))
        made["choice"] = {"polarity_share": None, "nested_interval": None} | made["choice"]
        for part in made["conformal"].values():
            if "skipped" in part:
                part |= {"error_rate": made["sequential"]["error_rate"], "rates": []}
        return made | {
            "test_generated_by": migrated_maker(old.get("test_generated_by")),
            "applied": bool(made["protocol"]["config"].get("apply")),
            "audit": migrated_audit(found.get("audit")),
            "audit_calibration": migrated_audit(found.get("audit_calibration")),
            "paths": None,
        }


@dataclass(frozen=True)
class Scored:
    """What the network said about every image.

    Attributes:
        errors: t-errors of every pair by set.
        probabilities: the classifier's, by set; empty without a classifier.
    """

    errors: dict[str, Errors]
    probabilities: dict[str, np.ndarray]


def score_all(
    detector: Detector, images: dict[str, np.ndarray], ks: tuple[int, ...], batch_size: int, folder: Path, key: str
) -> Generator[Progress, None, Scored]:
    """Every k of every set; a k whose file in `folder` was written under this key is not scored again."""
    scored = Scored({name: {} for name in images}, {})
    for k in ks:
        found = yield from score_k(detector, images, k, batch_size, folder, key)
        for name in images:
            scored.errors[name].update(by_pair(detector, k, found[name]))
            if f"nn_{name}" in found:
                scored.probabilities[name] = found[f"nn_{name}"]
    return scored


def oriented(scored: Scored, pair: Candidate, log: bool = False) -> tuple[Classes, Classes]:
    """Oriented t-errors (or their logarithms) at a pair: of the calibration and of the test images."""
    sign = sign_of(pair.polarity)
    found = [scored.errors[name][pair.k, pair.t_sec] for name in SETS]
    real, generated, test_real, test_generated = (sign * (log_errors(values) if log else values) for values in found)
    return (real, generated), (test_real, test_generated)


def tested(scored: Scored, choice: Choice) -> TestedPair:
    """The chosen pair on the test images, and what the penalty cost there: against the pair of the highest CV AUC."""
    chosen = choice.chosen
    best = max(choice.candidates, key=lambda candidate: candidate.cv_auc)
    calibration, test = oriented(scored, chosen)
    threshold = best_threshold(*calibration)
    _, test_of_best = oriented(scored, best)
    return TestedPair(
        threshold=sign_of(chosen.polarity) * threshold,
        threshold_from="calibration images",
        intervals=intervals(*test, threshold),
        without_penalty=BestPair(
            best.k, best.t_sec, best.evaluations, measure(*test_of_best).auc, delong(*test, *test_of_best)
        ),
        **asdict(measure(*test, threshold)),
    )


def sequential(scored: Scored, chosen: Candidate, config: ChooseConfig) -> Stopping:
    """Early stopping on walks of the chosen k: to the chosen T_SEC, and to the end of the schedule.

    Every walk is measured at every rate of RATES and the user's own, each with its boundaries.
    """
    rng = np.random.default_rng(config.seed)
    assert isinstance(chosen.k, int)  # the pairs of this choice are; paths have one of their own
    last = max(t for k, t in scored.errors["real"] if k == chosen.k)
    real, generated, *test = (steps_of(scored.errors[name], chosen.k, last) for name in SETS)
    folds = [fold_numbers(steps.shape[1], config.folds, rng) for steps in (real, generated)]
    log_odds, held = fit_log_odds(chosen.k, real, generated, (folds[0], folds[1]))
    test_odds = [log_odds.of(errors) for errors in test]
    walks = []
    for end in sorted({chosen.t_sec, last}):
        steps = end // chosen.k
        rows = []
        for rate in rates(config.error_rate):
            rule = fit_rule((held[0][:steps], held[1][:steps]), rate)
            rows.append(stopping_row(rate, rule, [odds[:steps] for odds in test_odds]))
        fitted: dict[str, Any] = asdict(log_odds.until(steps))
        walks.append(Walk(t_sec=end, evaluations=evaluations((chosen.k, end)), rates=tuple(rows), **fitted))
    return Stopping(chosen.k, config.error_rate, tuple(walks))


def stopping_row(rate: float, rule: Rule, test_odds: list[np.ndarray]) -> StoppingRow:
    """A rule on the log-odds of the test images, (steps, images) of both classes."""
    found: dict[str, Any] = measure_rule(rule, *test_odds)
    limits: dict[str, Any] = {name: value if isfinite(value) else None for name, value in asdict(rule).items()}
    difference = Difference(**found.pop("auc_difference"))
    ends = {name: tuple(value) for name, value in found.items() if name.endswith("_interval")}
    return StoppingRow(error_rate=rate, auc_difference=difference, **limits, **found | ends)


def rates(own: float) -> list[float]:
    """RATES and the user's own, ascending."""
    return sorted({*RATES, own})


def judged(
    scored: Scored, chosen: Candidate, config: ChooseConfig, nn_refusal: str
) -> tuple[dict[str, Reliability], dict[str, Abstaining]]:
    """Reliability of every probability and conformal verdicts of every score, on the test images.

    Args:
        nn_refusal: why the classifier's conformal verdicts cannot be calibrated on these images; "" if they can.
    """
    logs, test_logs = oriented(scored, chosen, log=True)
    reliable, abstaining = {}, {"stat": conformal_rows(logs, test_logs, config.error_rate)}
    for name, calibrator in (("stat_platt", platt(*logs)), ("stat_isotonic", isotonic(*logs))):
        reliable[name] = reliability(calibrator(test_logs[0]), calibrator(test_logs[1]), config.seed)
    if scored.probabilities:
        real, generated, test_real, test_generated = (scored.probabilities[name] for name in SETS)
        reliable["nn"] = reliability(test_real, test_generated, config.seed)
        if nn_refusal:
            abstaining["nn"] = Abstaining(config.error_rate, (), nn_refusal)
        else:
            abstaining["nn"] = conformal_rows((real, generated), (test_real, test_generated), config.error_rate)
    return reliable, abstaining


def conformal_rows(calibration: Classes, test: Classes, own: float) -> Abstaining:
    """Conformal verdicts at every rate, ascending."""
    return Abstaining(own, tuple(conformal(calibration, test, rate) for rate in rates(own)))


def conclude(scored: Scored, config: ChooseConfig, nn_refusal: str) -> Generator[Progress, None, Conclusion]:
    """Choose, fit and measure, given all scores."""
    errors = scored.errors
    choice = yield from choose_pair(
        errors["real"], errors["generated"], config.penalty, config.folds, config.resamples, config.seed
    )
    reliable, abstaining = judged(scored, choice.chosen, config, nn_refusal)
    return Conclusion(choice, tested(scored, choice), sequential(scored, choice.chosen, config), reliable, abstaining)


def check(config: ChooseConfig, detector: Detector, images: dict[str, np.ndarray], ks: tuple[int, ...]) -> None:
    """Refuse what cannot be chosen, measured or applied, before anything is scored.

    Raises:
        ValueError: it says what.
    """
    for k in ks:
        check_step(detector.schedule, k, k)
    for t in config.timesteps:
        check_path(detector.schedule, (0, t))
    check_choice(len(images["real"]), len(images["generated"]), config.folds, config.penalty)
    for name in ("test_real", "test_generated"):
        if len(images[name]) < 2:
            raise ValueError(f"{name} must be at least 2 images")
    if config.apply:
        missing = [k for k in ks if any((k, t) not in detector.stat for t in range(k, detector.max_t_sec(k) + 1, k))]
        if missing:
            raise ValueError(
                f"apply needs every candidate calibrated in the detector, and k = {', '.join(map(str, missing))} is not: "
                "run `calibrate` with these ks first"
            )


def choose(config: ChooseConfig) -> Generator[Progress, None, ChoiceResults]:
    """Score, choose and measure; writes choice.json and returns what is in it. A stopped run goes on at the next k.

    Raises:
        ValueError: data or settings do not fit, test images that were calibrated on, or `apply` with a pair the
            detector has no calibration for, or one of the other polarity.
    """
    copy = str(Path(config.out) / "bundle") if config.out else ""
    study = open_study(config, processes.on_main(own_folder, config.detector, copy) if config.apply else None)
    folder, detector = study.folder, study.detector
    own_k = {detector.nn.k} if detector.nn else set()
    ks = tuple(sorted({*config.ks, *(k for k in own_k if isinstance(k, int))}))
    specs = {name: getattr(config, name) for name in SETS}
    images = load_sets(specs, detector.size, detector.center_crop)
    check(config, detector, images, ks)
    calibration = {name: images[name] for name in ("real", "generated")}
    test = {name: images[name] for name in ("test_real", "test_generated")}
    splits = check_unused(folder, detector.info, test, calibration)
    own = check_calibration(folder, detector.info, "calibration", calibration).of_classifier()
    sets = described(specs, images)
    classifier = detector.info.get("nn", {}).get("calibration")
    prints = [one.sha256 for one in sets.values()]
    key = json.dumps([Identity.recorded(detector.info).model, *prints, classifier])
    scored = yield from score_all(detector, images, ks, config.batch_size, study.out / "choice", key)

    paths = yield from search_paths(detector, images, config, scored, study.out / "choice", key)

    made: ChoiceResults | None = None
    if processes.is_main():
        refusal = f"the classifier was trained on calibration images: {own}" if own else ""
        figures = yield from conclude(scored, config, refusal)
        made = ChoiceResults(
            protocol=study.protocol(sets, splits, config.generated, study.evaluations(ks)),
            chosen_on="calibration images",
            measured_on="test images",
            test_generated_by=study.made_by(config.test_generated),
            applied=config.apply,
            calibrated=detector.chosen,
            audit=audited(images["test_real"], images["test_generated"]),
            audit_calibration=audited(images["real"], images["generated"]),
            paths=paths,
            **vars(figures),
        )
        made.write(study.out / "choice.json")
    result = processes.on_main(lambda: made)
    assert result is not None  # the main process has made it
    if config.apply:
        processes.on_main(apply, folder, detector, result)
        chose = {f"choice_{name}": values for name, values in calibration.items()}
        processes.on_main(record_splits, splits_file(folder), chose)
    return result


def apply(folder: Path, detector: Detector, result: ChoiceResults) -> None:
    """Make the chosen pair the detector's own; its measurements are then those of another pair until `evaluate`.

    Raises:
        ValueError: the detector's calibration has the other polarity at this pair.
    """
    choice, chosen = result.choice, result.choice.chosen
    pair = (chosen.k, chosen.t_sec)
    if detector.stat[pair].polarity != chosen.polarity:
        raise ValueError(
            f"at k = {pair[0]}, T_SEC = {pair[1]} the detector is calibrated with the other polarity than these images "
            "have: run `calibrate` on them first"
        )
    images = result.protocol.images
    how = (
        f"highest cross-validated AUC less {choice.penalty:g} a network evaluation, among {len(choice.candidates)} "
        f"pairs on {images['real'].count:,} real and {images['generated'].count:,} generated calibration images "
        f"(chosen in {chosen.chosen_share:.0%} of {choice.resamples} resamples)"
    )
    section = read_json(folder / "sedid" / "detector.json")["stat"]
    data = {name: {"count": images[name].count, "sha256": images[name].sha256} for name in ("real", "generated")}
    update_info(folder, stat=section | {"chosen": list(pair), "chosen_by": how, "choice_data": data})

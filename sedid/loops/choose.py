"""Choose k, T_SEC and polarity on the calibration split, say how stable the choice is, and measure on the test split
what follows from it: stopping early, probabilities, and no verdict where there is no ground for one.

Everything is chosen and fitted on the calibration images; every figure under `test`, `sequential`, `reliability` and
`conformal` is of the test images. The output folder:

    choice.json         all of it
    choice/k0165.npz    the scores behind it; a k that has its file is not scored again

The detector keeps its own pair unless `apply` is set.
"""

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from sedid import processes
from sedid.bundle import checkpoint_hash, load_detector, own_folder, resolve, update_info, versions
from sedid.choice import Candidate, Choice, check_choice, choose_pair, evaluations, fold_numbers
from sedid.config import Count, ErrorRate, NotNegative, Precision, Seed, Settings, StepSizes, Text
from sedid.data import fingerprint, load_images
from sedid.detectors import Detector
from sedid.diffusion import check_step
from sedid.identity import Identity
from sedid.loops.checked import audited, check_calibration, check_unused
from sedid.loops.generate import provenance
from sedid.loops.score import Scores, score
from sedid.metrics import best_threshold, measure, sign_of
from sedid.progress import Progress
from sedid.reliability import Classes, conformal, isotonic, platt, reliability
from sedid.sequential import fit_log_odds, fit_rule, log_errors, measure_rule, steps_of
from sedid.splits import record_splits, splits_file
from sedid.statistics import ABOUT, delong, intervals
from sedid.storage import read_json, read_kept, write_json, write_kept

SETS = ("real", "generated", "test_real", "test_generated")
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Error rates reported beside the user's own."""


@dataclass(frozen=True)
class ChooseConfig(Settings):
    """Settings of one choice."""

    detector: Text  # bundle, any diffusers DDPM folder, or a Hub id
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
    apply: bool = False  # make the chosen pair the detector's own; it has to be calibrated there
    out: str = ""  # folder; "" is sedid/ in the bundle. With apply, the detector is first copied to bundle/ in it
    batch_size: Count = 32
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


@dataclass(frozen=True)
class Scored:
    """What the network said about every image.

    Attributes:
        errors: t-errors of every pair by set.
        probabilities: the classifier's, by set; empty without a classifier.
    """

    errors: dict[str, Scores]
    probabilities: dict[str, np.ndarray]


def score_k(
    detector: Detector, images: dict[str, np.ndarray], k: int, batch_size: int, file: Path, key: str
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """t-errors (steps, images) by set and the classifier's probabilities (images,) by "nn_" + set, at one k.

    Read from `file` if it was written under this key, else scored and kept.
    """
    kept = processes.on_main(read_kept, file, key)
    if kept is not None:
        return kept
    found = {}
    for name, values in images.items():
        stage = f"k = {k}: {name.replace('_', ' ')} images"
        errors, probabilities = yield from score(detector, values, [k], batch_size, stage)
        found[name] = np.stack(list(errors.values()))
        if probabilities is not None:
            found[f"nn_{name}"] = probabilities
    processes.on_main(write_kept, file, key, found)
    return found


def score_all(
    detector: Detector, images: dict[str, np.ndarray], ks: tuple[int, ...], batch_size: int, folder: Path, key: str
) -> Generator[Progress, None, Scored]:
    """Every k of every set; a k whose file in `folder` was written under this key is not scored again."""
    scored = Scored({name: {} for name in images}, {})
    for k in ks:
        found = yield from score_k(detector, images, k, batch_size, folder / f"k{k:04d}.npz", key)
        for name in images:
            scored.errors[name].update({(k, k * (row + 1)): errors for row, errors in enumerate(found[name])})
            if f"nn_{name}" in found:
                scored.probabilities[name] = found[f"nn_{name}"]
    return scored


def oriented(scored: Scored, pair: Candidate, log: bool = False) -> tuple[Classes, Classes]:
    """Oriented t-errors (or their logarithms) at a pair: of the calibration and of the test images."""
    sign = sign_of(pair.polarity)
    found = [scored.errors[name][pair.k, pair.t_sec] for name in SETS]
    real, generated, test_real, test_generated = (sign * (log_errors(values) if log else values) for values in found)
    return (real, generated), (test_real, test_generated)


def tested(scored: Scored, choice: Choice) -> dict[str, Any]:
    """The chosen pair on the test images, and what the penalty cost there: against the pair of the highest CV AUC."""
    chosen = choice.chosen
    best = max(choice.candidates, key=lambda candidate: candidate.cv_auc)
    calibration, test = oriented(scored, chosen)
    threshold = best_threshold(*calibration)
    _, test_of_best = oriented(scored, best)
    return {
        "threshold": threshold if chosen.polarity == "larger" else -threshold,
        "threshold_from": "calibration images",
        **asdict(measure(*test, threshold)),
        "intervals": intervals(*test, threshold),
        "without_penalty": {
            "k": best.k,
            "t_sec": best.t_sec,
            "evaluations": best.evaluations,
            "auc": measure(*test_of_best).auc,
            "auc_difference": asdict(delong(*test, *test_of_best)),
        },
    }


def sequential(scored: Scored, chosen: Candidate, config: ChooseConfig) -> dict[str, Any]:
    """Early stopping on walks of the chosen k: to the chosen T_SEC, and to the end of the schedule.

    Every walk is measured at every rate of RATES and the user's own, each with its boundaries (null: never passed).
    """
    rng = np.random.default_rng(config.seed)
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
            limits = {name: value if isfinite(value) else None for name, value in asdict(rule).items()}
            rows.append({"error_rate": rate} | limits | measure_rule(rule, *(odds[:steps] for odds in test_odds)))
        pair = (chosen.k, end)
        walks.append({"t_sec": end, "evaluations": evaluations(pair), **asdict(log_odds.until(steps)), "rates": rows})
    return {"k": chosen.k, "error_rate": config.error_rate, "walks": walks}


def rates(own: float) -> list[float]:
    """RATES and the user's own, ascending."""
    return sorted({*RATES, own})


def judged(
    scored: Scored, chosen: Candidate, config: ChooseConfig, nn_refusal: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reliability of every probability and conformal verdicts of every score, on the test images.

    Args:
        nn_refusal: why the classifier's conformal verdicts cannot be calibrated on these images; "" if they can.
    """
    logs, test_logs = oriented(scored, chosen, log=True)
    reliable, abstaining = {}, {"stat": conformal_rows(logs, test_logs, config.error_rate)}
    for name, calibrator in (("stat_platt", platt(*logs)), ("stat_isotonic", isotonic(*logs))):
        reliable[name] = asdict(reliability(calibrator(test_logs[0]), calibrator(test_logs[1]), config.seed))
    if scored.probabilities:
        real, generated, test_real, test_generated = (scored.probabilities[name] for name in SETS)
        reliable["nn"] = asdict(reliability(test_real, test_generated, config.seed))
        if nn_refusal:
            abstaining["nn"] = {"skipped": nn_refusal}
        else:
            abstaining["nn"] = conformal_rows((real, generated), (test_real, test_generated), config.error_rate)
    return reliable, abstaining


def conformal_rows(calibration: Classes, test: Classes, own: float) -> dict[str, Any]:
    """Conformal verdicts at every rate, ascending."""
    return {"error_rate": own, "rates": [asdict(conformal(calibration, test, rate)) for rate in rates(own)]}


def conclude(scored: Scored, config: ChooseConfig, nn_refusal: str) -> Generator[Progress, None, dict[str, Any]]:
    """Choose, fit and measure, given all scores: the sections of choice.json that are figures."""
    errors = scored.errors
    choice = yield from choose_pair(
        errors["real"], errors["generated"], config.penalty, config.folds, config.resamples, config.seed
    )
    reliable, abstaining = judged(scored, choice.chosen, config, nn_refusal)
    return {
        "choice": asdict(choice),
        "test": tested(scored, choice),
        "sequential": sequential(scored, choice.chosen, config),
        "reliability": reliable,
        "conformal": abstaining,
    }


def check(config: ChooseConfig, detector: Detector, images: dict[str, np.ndarray], ks: tuple[int, ...]) -> None:
    """Refuse what cannot be chosen, measured or applied, before anything is scored.

    Raises:
        ValueError: it says what.
    """
    for k in ks:
        check_step(detector.schedule, k, k)
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


def choose(config: ChooseConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Score, choose and measure; writes choice.json and returns what is in it. A stopped run goes on at the next k.

    Raises:
        ValueError: data or settings do not fit, test images that were calibrated on, or `apply` with a pair the
            detector has no calibration for, or one of the other polarity.
    """
    if config.apply:
        folder = processes.on_main(own_folder, config.detector, str(Path(config.out) / "bundle") if config.out else "")
    else:
        folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile)
    ks = tuple(sorted({*config.ks} | ({detector.nn.k} if detector.nn else set())))
    images = {name: load_images(getattr(config, name), detector.size, detector.center_crop) for name in SETS}
    check(config, detector, images, ks)
    calibration = {name: images[name] for name in ("real", "generated")}
    test = {name: images[name] for name in ("test_real", "test_generated")}
    splits = check_unused(folder, detector.info, test, calibration)
    own = check_calibration(folder, detector.info, "calibration", calibration).of_classifier()
    out = Path(config.out) if config.out else folder / "sedid"
    prints = {name: fingerprint(values) for name, values in images.items()}
    classifier = detector.info.get("nn", {}).get("calibration")
    key = json.dumps([Identity.recorded(detector.info).model, *prints.values(), classifier])
    scored = yield from score_all(detector, images, ks, config.batch_size, out / "choice", key)

    result: dict[str, Any] = {}
    if processes.is_main():
        refusal = f"the classifier was trained on calibration images: {own}" if own else ""
        figures = yield from conclude(scored, config, refusal)
        settings = asdict(config)
        local = ("detector", "out", *SETS)  # paths of one machine: only their last part is kept
        result = {
            "protocol": {
                "checkpoint_sha256": checkpoint_hash(folder),
                "images": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
                "splits": asdict(splits),
                "chosen_on": "calibration images",
                "measured_on": "test images",
                "positive": "generated",
                "intervals": ABOUT,
                "evaluations_per_image": sum(detector.max_t_sec(k) // k + 1 for k in ks),
                "generated_by": provenance(config.generated, folder),
                "test_generated_by": provenance(config.test_generated, folder),
                "config": settings | {name: Path(settings[name]).name for name in local},
                "versions": versions(),
            },
            "calibrated": list(detector.chosen) if detector.chosen else None,
            **figures,
            "audit": audited(images["test_real"], images["test_generated"]),
            "audit_calibration": audited(images["real"], images["generated"]),
        }
        write_json(out / "choice.json", result)
    result = processes.on_main(lambda: result)
    if config.apply:
        processes.on_main(apply, folder, detector, result)
        chose = {f"choice_{name}": values for name, values in calibration.items()}
        processes.on_main(record_splits, splits_file(folder), chose)
    return result


def apply(folder: Path, detector: Detector, result: dict[str, Any]) -> None:
    """Make the chosen pair the detector's own; its measurements are then those of another pair until `evaluate`.

    Raises:
        ValueError: the detector's calibration has the other polarity at this pair.
    """
    chosen, choice = result["choice"]["chosen"], result["choice"]
    pair = (chosen["k"], chosen["t_sec"])
    if detector.stat[pair].polarity != chosen["polarity"]:
        raise ValueError(
            f"at k = {pair[0]}, T_SEC = {pair[1]} the detector is calibrated with the other polarity than these images "
            "have: run `calibrate` on them first"
        )
    counts = result["protocol"]["images"]
    how = (
        f"highest cross-validated AUC less {choice['penalty']:g} a network evaluation, among {len(choice['candidates'])} "
        f"pairs on {counts['real']['count']:,} real and {counts['generated']['count']:,} generated calibration images "
        f"(chosen in {chosen['chosen_share']:.0%} of {choice['resamples']} resamples)"
    )
    section = read_json(folder / "sedid" / "detector.json")["stat"]
    data = {name: counts[name] for name in ("real", "generated")}
    update_info(folder, stat=section | {"chosen": list(pair), "chosen_by": how, "choice_data": data})

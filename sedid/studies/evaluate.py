"""Measure a calibrated detector on images not used before.

Measured are STAT at every T_SEC, NN at its pair, and the training loss (the existing method of the paper's Table 2) at
its calibrated timestep.

Member reals (the generator's own training images) and held-out reals are reported apart, since the t-error also
tells members from non-members (SecMI, Duan et al. 2023).
"""

from collections.abc import Collection, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sedid import processes
from sedid.config import Count, Text, Whole
from sedid.data.datasets import load_sets_with_files
from sedid.data.licences import closed
from sedid.data.perturb import mildly
from sedid.detector.batches import shares
from sedid.detector.bundle import update_info
from sedid.detector.detector import Detector
from sedid.method.diffusion import Steps
from sedid.progress import Progress
from sedid.results import Interval, Results, Shares
from sedid.stats.metrics import Metrics, measure, sign_of
from sedid.stats.reliability import Reliability, reliability
from sedid.storage import read_arrays, replacing
from sedid.studies.posterior import PosteriorSpread, posterior_spread
from sedid.studies.study import Protocol, StudyConfig, described, migrated_audit, migrated_protocol, open_study
from sedid.training.baseline import LossRow, existing_row, read_existing, training_losses
from sedid.training.calibrate import walks_of
from sedid.training.checks import LeakCheck, audited, check_unused
from sedid.training.scoring import Scores, kept_pairs, pairs_to_keep, score

MISTAKES = 12
"""Images of either class kept beside the scores: those the detector was most wrong about."""
REALS = {"heldout": "held-out reals", "members": "member reals"}
"""Sets of real images -> what they are called."""
CLEAN, REENCODED = "as they are", "mildly re-encoded"
"""What was done to the images before NN's probabilities were held to their word."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(StudyConfig):
    """Settings of one evaluation.

    Here `out` is a results file; "" writes sedid/results.json and the metrics of the bundle. The scores go beside it.
    """

    SETS: ClassVar[tuple[str, ...]] = ("generated", "heldout", "members")

    generated: Text  # test images this model generated
    heldout: Text  # test reals the generator never saw
    members: str = ""  # reals of the generator's training set; "" leaves them out
    ks: tuple[Count, ...] = ()  # more step sizes to report beside those of the calibrated and the classifier's pair
    paths: tuple[str, ...] = ()  # and more walks whose steps are not all of one size, each as 0+495+825+990
    reencoded: Whole = (
        0  # images of each class that are mildly re-encoded, to see whether NN's probabilities still hold
    )
    posterior: Whole = 0  # images of each class that a latent detector judges at random samples of its posterior, too
    photographs: bool = True  # keep the reals it was most wrong about, to show them; never CelebA's and ImageNet's


@dataclass(frozen=True, kw_only=True)
class StatRow(Metrics):
    """STAT at one pair against one set of reals, in the calibrated polarity.

    Attributes:
        polarity: as calibrated; of a pair without a calibration the paper's.
        auc_paper_polarity: the raw AUC, a smaller t-error counting as generated.
        chosen: whether it is the detector's own pair.
        threshold, band: raw; None without a calibration.
    """

    k: Steps
    t_sec: int
    polarity: str
    auc_paper_polarity: float
    chosen: bool
    threshold: float | None
    band: Interval | None


@dataclass(frozen=True, kw_only=True)
class NNRow(Metrics):
    """NN against one set of reals."""

    k: Steps
    t_sec: int
    polarity: str
    threshold: float
    band: Interval


@dataclass(frozen=True, kw_only=True)
class EvaluationResults(Results):
    """What stands in results.json.

    Attributes:
        reduction: of the differences to a t-error, in words.
        loss_noise_seeds: of every set, for the training loss.
        stat, nn, existing: the figures against each set of reals (`REALS`), of STAT one row a pair; nn and existing are
            empty where there is no classifier, or no calibrated training loss.
        verdicts: of every set.
        sides: of sets whose verdicts an older version counted by the side of the band alone.
        audit: of the generated images against held-out reals; None in older results.
        reliability: of NN's probabilities on held-out reals and generated images, CLEAN and mildly REENCODED; without those
            that were not measured.
        posterior: what samples of a latent detector's posterior change; None where it was not measured.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "evaluate"

    protocol: Protocol
    reduction: str
    threshold_from: str
    loss_noise_seeds: dict[str, int]
    stat: dict[str, tuple[StatRow, ...]]
    nn: dict[str, NNRow]
    existing: dict[str, LossRow]
    verdicts: dict[str, Shares]
    sides: dict[str, Shares]
    audit: LeakCheck | None
    reliability: dict[str, Reliability] = field(default_factory=dict)
    posterior: PosteriorSpread | None = None

    def __post_init__(self) -> None:
        if not any(self.stat.get(kind) for kind in REALS):
            raise ValueError(f"stat has no rows against any of {', '.join(REALS)}")
        if not {"generated", *self.stat, *self.nn, *self.existing} <= self.protocol.images.keys():
            raise ValueError("protocol.images lacks a set that was measured")

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        spent = found["protocol"].get("evaluations_per_image")
        found["protocol"] |= {"evaluations_per_image": sum(spent.values()) if isinstance(spent, dict) else None}
        for row in (row for rows in found["stat"].values() for row in rows):
            row.setdefault("threshold", None)
            row.setdefault("band", None)
        moved = ("reduction", "threshold_from", "loss_noise_seeds")
        made = migrated_protocol(found, {}, moved)
        since = {
            "reduction": "",
            "threshold_from": "",
            "loss_noise_seeds": {},
            "existing": {},
            "verdicts": {},
            "sides": {},
        }
        return since | made | {"audit": migrated_audit(found.get("audit"))}


def nn_reliability(
    detector: Detector, images: dict[str, np.ndarray], probabilities: dict[str, np.ndarray], config: EvaluateConfig
) -> Generator[Progress, None, dict[str, Reliability]]:
    """How far NN's probabilities hold, of the images as they are and of the first of them mildly re-encoded.

    Args:
        images, probabilities: of each set; without probabilities where there is no classifier.
    """
    classes = ("heldout", "generated")
    if detector.nn is None or not {*classes} <= probabilities.keys():
        return {}
    found = {CLEAN: reliability(probabilities["heldout"], probabilities["generated"])}
    if config.reencoded:
        after = []
        for seed, name in enumerate(classes):
            changed = mildly(images[name][: config.reencoded], seed)
            stage = f"scoring {name} images, re-encoded"
            _, judged = yield from score(detector, changed, [detector.nn.k], config.batch_size, stage)
            assert judged is not None
            after.append(judged)
        found[REENCODED] = reliability(after[0], after[1])
    return found


def stat_rows(detector: Detector, real: Scores, generated: Scores) -> list[StatRow]:
    """One row a pair: the raw AUC in the paper's polarity, and the metrics in the calibrated one."""
    rows = []
    for pair, scores in real.items():
        calibration = detector.stat.get(pair)
        polarity = calibration.polarity if calibration else "smaller"
        sign = sign_of(polarity)
        threshold = None if calibration is None else sign * calibration.threshold
        rows.append(
            StatRow(
                k=pair[0],
                t_sec=pair[1],
                polarity=polarity,
                auc_paper_polarity=measure(-scores, -generated[pair]).auc,
                chosen=pair == detector.chosen,
                threshold=calibration.threshold if calibration else None,
                band=calibration.band if calibration else None,
                **asdict(measure(sign * scores, sign * generated[pair], threshold)),
            )
        )
    return rows


def verdict_shares(detector: Detector, scores: Scores, images: np.ndarray) -> Shares:
    """How often STAT says what at the detector's own pair, shares of 1 (`batches.shares`)."""
    assert detector.chosen is not None
    return shares(detector.verdicts(detector.stat[detector.chosen], scores[detector.chosen], scores, images))


def scores_file(results: Path) -> Path:
    """Where the per-image scores behind a results file lie."""
    return results.with_name(f"{results.stem}-scores.npz")


def save_scores(
    file: Path,
    detector: Detector,
    images: dict[str, np.ndarray],
    scores: dict[str, Scores],
    probabilities: dict[str, np.ndarray | None],
    losses: dict[str, np.ndarray] | None = None,
    photographs: bool = True,
) -> None:
    """Write what curves, histograms and galleries need, so that nothing is scored again for them.

    pairs               text (P, 2): k or path, and T_SEC, of the rows (`pairs_to_keep`)
    stat_<set>          float32 (P, N): t-errors
    nn_<set>            float32 (N,): the classifier's probabilities
    existing_<set>      float32 (N,): training losses
    mistakes_<set>      uint8 (M, H, W, 3): the worst mistakes of STAT at the detector's own pair, worst first
    mistaken_<set>      int32 (M,): their places in the set

    Args:
        photographs: whether the pictures of reals are among them; their places always are.
    """
    assert detector.chosen is not None
    arrays: dict[str, np.ndarray] = {"pairs": pairs_to_keep(scores["generated"])}
    sign = sign_of(detector.stat[detector.chosen].polarity)
    for name, values in scores.items():
        arrays[f"stat_{name}"] = np.stack(list(values.values())).astype(np.float32)
        of_nn = probabilities[name]
        if of_nn is not None:
            arrays[f"nn_{name}"] = of_nn.astype(np.float32)
        looks_real = -sign * values[detector.chosen]
        worst = np.argsort(-looks_real if name == "generated" else looks_real, kind="stable")[:MISTAKES]
        arrays[f"mistaken_{name}"] = worst.astype(np.int32)
        if photographs or name == "generated":
            arrays[f"mistakes_{name}"] = images[name][worst]
    arrays |= {f"existing_{name}": values.astype(np.float32) for name, values in (losses or {}).items()}
    with replacing(file) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def evaluated(
    detector: Detector, folder: Path, precision: str, ks: Collection[Steps]
) -> dict[str, tuple[Scores, np.ndarray | None]]:
    """What `evaluate` measured with this very detector, so that another study of the same images need not again.

    Args:
        precision: of the study; scores of another one are not given.
        ks: the step sizes it needs.

    Returns:
        Fingerprint of a set -> the t-errors at every T_SEC of `ks` and the classifier's probabilities; empty if the bundle
        has no results, or they are of other weights, another calibration or classifier, or lack a step size.
    """
    file = folder / "sedid" / "results.json"
    if not file.is_file() or not scores_file(file).is_file():
        return {}
    results = EvaluationResults.read(file)
    judged = [(row.k, row.t_sec, row.threshold) for row in results.nn.values()]
    own = [(detector.nn.k, detector.nn.t_sec, detector.nn.threshold)] * max(1, len(judged)) if detector.nn else []
    thresholds = {(row.k, row.t_sec): row.threshold for rows in results.stat.values() for row in rows}
    # t-errors of these weights under another noise schedule would come with other thresholds
    same = results.protocol.checkpoint_sha256 == detector.info["checkpoint_sha256"] and judged == own
    same = same and all(thresholds.get(pair) == one.threshold for pair, one in detector.stat.items() if pair[0] in ks)
    if not same or results.protocol.precision != precision:
        return {}
    arrays = read_arrays(scores_file(file))
    places = [(row, pair) for row, pair in enumerate(kept_pairs(arrays["pairs"])) if pair[0] in ks]
    if {k for _, (k, _) in places} != set(ks):
        return {}
    return {
        about.sha256: (
            {pair: arrays[f"stat_{name}"][row].astype(float) for row, pair in places},
            arrays[f"nn_{name}"].astype(float) if f"nn_{name}" in arrays else None,
        )
        for name, about in results.protocol.images.items()
    }


def nn_row(detector: Detector, real: np.ndarray, generated: np.ndarray) -> NNRow:
    """The metrics of the classifier's probabilities (N,) of both classes."""
    own = detector.nn
    assert own is not None
    at: dict[str, Any] = {name: getattr(own, name) for name in ("k", "t_sec", "polarity", "threshold", "band")}
    return NNRow(**at, **asdict(measure(real, generated, own.threshold)))


def evaluate(config: EvaluateConfig) -> Generator[Progress, None, EvaluationResults]:
    """Score the test images, measure, write the results file and the `metrics` section of the bundle.

    Raises:
        ValueError: the detector is not calibrated, or test images were used to calibrate it.
    """
    study = open_study(config, calibrated=True)
    folder, detector = study.folder, study.detector
    ks = study.ks(study.chosen[0], *walks_of(config.ks, config.paths))
    specs = {name: getattr(config, name) for name in config.SETS if getattr(config, name)}
    read = load_sets_with_files(specs, detector.size, detector.center_crop)
    images = {name: found for name, (found, _) in read.items()}
    splits = check_unused(folder, detector.info, images)

    leaks = audited(images["heldout"], images["generated"], (read["heldout"][1], read["generated"][1]))
    scores: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray | None] = {}
    losses: dict[str, np.ndarray] = {}
    existing = read_existing(detector.info)
    for seed, (name, values) in enumerate(images.items()):
        stage = f"scoring {name} images"
        scores[name], probabilities[name] = yield from score(detector, values, ks, config.batch_size, stage)
        if existing:
            how = (existing["t"], existing["noises"], seed, config.batch_size, f"training loss of {name} images")
            losses[name] = yield from training_losses(detector, values, *how)

    reals = [name for name in REALS if name in images]
    asked = {name: found for name, found in probabilities.items() if found is not None}  # of a classifier, if any
    reliable = yield from nn_reliability(detector, images, asked, config)
    spread = None
    if config.posterior:
        some = {name: images[name][: config.posterior] for name in ("heldout", "generated")}
        spread = yield from posterior_spread(detector, some, config.batch_size)
    spent = study.evaluations(ks) + existing.get("noises", 0)
    results = EvaluationResults(
        protocol=study.protocol(described(specs, images), splits, config.generated, spent),
        reduction="a quarter of the sum over the latents of the squared difference"
        if detector.space.latent
        else "sum over channels and pixels of the squared difference, [0, 1] scale",
        threshold_from="calibration split",
        loss_noise_seeds={name: seed for seed, name in enumerate(losses)},
        stat={name: tuple(stat_rows(detector, scores[name], scores["generated"])) for name in reals},
        nn={name: nn_row(detector, asked[name], asked["generated"]) for name in reals if name in asked},
        existing={name: existing_row(existing, losses[name], losses["generated"]) for name in reals if existing},
        verdicts={name: verdict_shares(detector, values, images[name]) for name, values in scores.items()},
        sides={},
        audit=leaks,
        reliability=reliable,
        posterior=spread,
    )
    file = Path(config.out) if config.out else study.out / "results.json"
    shown = config.photographs and not closed(
        config.heldout, config.members, results.protocol.trained_on, detector.name
    )
    processes.on_main(save_scores, scores_file(file), detector, images, scores, probabilities, losses, shown)
    processes.on_main(results.write, file)
    if not config.out:  # elsewhere it is a side measurement, not the bundle's own
        sections = asdict(results)
        metrics = {name: sections[name] for name in ("stat", "nn", "existing", "verdicts")}
        processes.on_main(update_info, folder, metrics=metrics)
    return results

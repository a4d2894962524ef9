"""Measure a calibrated detector on images that chose nothing: STAT at every T_SEC, NN at its pair, and the training
loss (the existing method of the paper's Table 2) at its calibrated timestep.

Member reals (the generator's own training images) and held-out reals are reported apart, since the t-error also
tells members from non-members (SecMI, Duan et al. 2023).
"""

from collections.abc import Collection, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sedid import processes
from sedid.config import Count, Precision, Settings, Text
from sedid.data.datasets import fingerprint, load_with_files
from sedid.data.licences import closed
from sedid.detector.batches import shares
from sedid.detector.bundle import checkpoint_hash, load_detector, own_folder, resolve, update_info, versions
from sedid.detector.detector import Detector
from sedid.detector.provenance import provenance
from sedid.progress import Progress
from sedid.stats.metrics import measure
from sedid.storage import read_json, replacing, write_json
from sedid.training.baseline import existing_row, read_existing, training_losses
from sedid.training.checks import audited, check_unused
from sedid.training.scoring import Scores, score

MISTAKES = 12
"""Images of either class kept beside the scores: those the detector was most wrong about."""


@dataclass(frozen=True)
class EvaluateConfig(Settings):
    """Settings of one evaluation."""

    detector: Text
    generated: Text  # test images this model generated
    heldout: Text  # test reals the generator never saw
    members: str = ""  # reals of the generator's training set; "" leaves them out
    ks: tuple[Count, ...] = ()  # more step sizes to report beside those of the calibrated and the classifier's pair
    out: str = ""  # results file; "" writes sedid/results.json and the metrics of the bundle; the scores go beside it
    photographs: bool = True  # keep the reals it was most wrong about, to show them; never CelebA's and ImageNet's
    batch_size: Count = 32
    device: str = "auto"
    precision: Precision = "fp32"
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
                "threshold": calibration.threshold if calibration else None,
                "band": list(calibration.band) if calibration else None,
                **asdict(measure(sign * scores, sign * generated[pair], threshold)),
            }
        )
    return rows


def verdict_shares(detector: Detector, scores: Scores) -> dict[str, float]:
    """How often STAT says what at the detector's own pair, shares of 1 (`judging.shares`)."""
    assert detector.chosen is not None
    return shares(detector.verdicts(detector.stat[detector.chosen], scores[detector.chosen], scores))


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

    pairs               int32 (P, 2): k and T_SEC of the rows
    stat_<set>          float32 (P, N): t-errors
    nn_<set>            float32 (N,): the classifier's probabilities
    existing_<set>      float32 (N,): training losses
    mistakes_<set>      uint8 (M, H, W, 3): the worst mistakes of STAT at the detector's own pair, worst first
    mistaken_<set>      int32 (M,): their places in the set

    Args:
        photographs: whether the pictures of reals are among them; their places always are.
    """
    assert detector.chosen is not None
    arrays: dict[str, np.ndarray] = {"pairs": np.array(list(scores["generated"]), np.int32)}
    smaller = detector.stat[detector.chosen].polarity == "smaller"
    for name, values in scores.items():
        arrays[f"stat_{name}"] = np.stack(list(values.values())).astype(np.float32)
        of_nn = probabilities[name]
        if of_nn is not None:
            arrays[f"nn_{name}"] = of_nn.astype(np.float32)
        looks_real = values[detector.chosen] if smaller else -values[detector.chosen]
        worst = np.argsort(-looks_real if name == "generated" else looks_real, kind="stable")[:MISTAKES]
        arrays[f"mistaken_{name}"] = worst.astype(np.int32)
        if photographs or name == "generated":
            arrays[f"mistakes_{name}"] = images[name][worst]
    arrays |= {f"existing_{name}": values.astype(np.float32) for name, values in (losses or {}).items()}
    with replacing(file) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def evaluated(
    detector: Detector, folder: Path, precision: str, ks: Collection[int]
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
    results = read_json(file)
    protocol = results["protocol"]
    judged = [(row["k"], row["t_sec"], row["threshold"]) for row in results["nn"].values()]
    own = [(detector.nn.k, detector.nn.t_sec, detector.nn.threshold)] * max(1, len(judged)) if detector.nn else []
    thresholds = {(row["k"], row["t_sec"]): row["threshold"] for rows in results["stat"].values() for row in rows}
    # t-errors of these weights under another noise schedule would come with other thresholds
    same = protocol["checkpoint_sha256"] == detector.info["checkpoint_sha256"] and judged == own
    same = same and all(thresholds.get(pair) == one.threshold for pair, one in detector.stat.items() if pair[0] in ks)
    if not same or protocol["config"]["precision"] != precision:
        return {}
    with np.load(scores_file(file), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    places = [(row, (int(k), int(t_sec))) for row, (k, t_sec) in enumerate(arrays["pairs"]) if k in ks]
    if {k for _, (k, _) in places} != set(ks):
        return {}
    return {
        about["sha256"]: (
            {pair: arrays[f"stat_{name}"][row].astype(float) for row, pair in places},
            arrays[f"nn_{name}"].astype(float) if f"nn_{name}" in arrays else None,
        )
        for name, about in protocol["images"].items()
    }


def evaluate(config: EvaluateConfig) -> Generator[Progress, None, dict]:
    """Score the test images, measure, write the results file and the `metrics` section of the bundle.

    Raises:
        ValueError: the detector is not calibrated, or test images were used to calibrate it.
    """
    folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile)
    if detector.chosen is None:
        raise ValueError(f"{config.detector} is not calibrated; run `calibrate` first")
    sets = {name: getattr(config, name) for name in ("generated", "heldout", "members") if getattr(config, name)}
    read = {name: load_with_files(spec, detector.size, detector.center_crop) for name, spec in sets.items()}
    images = {name: found for name, (found, _) in read.items()}
    prints = {name: fingerprint(values) for name, values in images.items()}
    splits = check_unused(folder, detector.info, images)

    leaks = audited(images["heldout"], images["generated"], (read["heldout"][1], read["generated"][1]))
    ks = sorted({detector.chosen[0], *config.ks} | ({detector.nn.k} if detector.nn else set()))
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

    results: dict[str, Any] = {
        "protocol": {
            "checkpoint_sha256": checkpoint_hash(folder),
            "reduction": "sum over channels and pixels of the squared difference, [0, 1] scale",
            "positive": "generated",
            "threshold_from": "calibration split",
            "evaluations_per_image": {
                "trajectories": sum(detector.max_t_sec(k) // k + 1 for k in ks),
                "existing": existing.get("noises", 0),
            },
            "loss_noise_seeds": {name: seed for seed, name in enumerate(losses)},
            "trained_on": detector.info.get("training", {}).get("data", ""),
            "images": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
            "splits": asdict(splits),
            "generated_by": provenance(config.generated, folder),
            "versions": versions(),
            "config": asdict(config)
            | {
                name: Path(asdict(config)[name]).name for name in ("detector", "generated", "heldout", "members", "out")
            },
        },
        "stat": {},
        "nn": {},
        "existing": {},
        "verdicts": {name: verdict_shares(detector, values) for name, values in scores.items()},
        "audit": leaks,
    }
    for reals in [name for name in ("heldout", "members") if name in images]:
        results["stat"][reals] = stat_rows(detector, scores[reals], scores["generated"])
        of_real, of_generated = probabilities[reals], probabilities["generated"]
        if detector.nn is not None and of_real is not None and of_generated is not None:
            found = measure(of_real, of_generated, detector.nn.threshold)
            kept = ("k", "t_sec", "polarity", "threshold", "band")
            results["nn"][reals] = {name: getattr(detector.nn, name) for name in kept} | asdict(found)
        if existing:
            results["existing"][reals] = existing_row(existing, losses[reals], losses["generated"])
    file = Path(config.out) if config.out else folder / "sedid" / "results.json"
    trained_on = str(results["protocol"]["trained_on"])
    shown = config.photographs and not closed(config.heldout, config.members, trained_on, detector.name)
    processes.on_main(save_scores, scores_file(file), detector, images, scores, probabilities, losses, shown)
    processes.on_main(write_json, file, results)
    if not config.out:  # elsewhere it is a side measurement, not the bundle's own
        metrics = {name: results[name] for name in ("stat", "nn", "existing", "verdicts")}
        processes.on_main(update_info, folder, metrics=metrics)
    return results

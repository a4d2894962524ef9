"""Give a bundle's results files the intervals of this version, from the scores kept beside them; nothing is scored again.

Earlier versions took every interval from the bootstrap, which is too narrow for small sets, for the best accuracy and for
the TPR at small rates, and calls classes that do not mix a certainty. Where no scores are kept, an interval stays that the
bootstrap gets right (of an AUC or accuracy of 100 images a class or more), and the others go. The methods table of a
shipped detector also gets the row of the detector's own classifier, which earlier versions replaced by one trained for the
table (`_own_classifier`).
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sedid.detector.bundle import detector_file
from sedid.escaping import written_by
from sedid.stats.intervals import ABOUT, METRICS, auc_interval, intervals, share_interval
from sedid.stats.metrics import measure, sign_of
from sedid.storage import read_arrays, read_json, read_object, replacing, write_json
from sedid.studies.comparison import MEANING, delong_tests
from sedid.studies.evaluate import scores_file
from sedid.training.scoring import kept_pairs

ENOUGH = 100  # images a class from which on the bootstrap was right about AUC and accuracy
CLASSES = ("real", "generated")


def renew_intervals(folder: Path) -> list[Path]:
    """Rewrite a bundle's results files where their intervals are those of an earlier version.

    These are compare.json, generalise.json, robustness.json, polarity.json and choice.json.

    Args:
        folder: the bundle.

    Returns:
        The files that were written; none where all is as it should be.

    Raises:
        OSError, ValueError: a file cannot be read or written, or is not what its command writes.
    """
    place, written = Path(folder) / "sedid", []
    for name, renew in _RENEW.items():
        file = place / f"{name}.json"
        if file.is_file() and "version" not in (found := read_object(file)):
            with written_by(_COMMAND.get(name, name), file):
                renewed = renew(deepcopy(found), place)
            if renewed != found:
                write_json(file, renewed)
                written.append(file)
    return written


def _comparison(found: dict[str, Any], place: Path) -> dict[str, Any]:
    if not found["done"] or found["meaning"]["intervals"] == ABOUT:
        return found
    file = place / "compare-scores.npz"
    scores = read_arrays(file) if file.is_file() else {}
    names = scores["methods"].tolist() if scores else []
    replaced = _own_classifier(found, scores, place) if scores else None
    for reals, rows in found["rows"].items():
        for row in rows:
            if row["method"] in names and reals in scores:
                at = names.index(row["method"])
                threshold = sign_of(row["polarity"]) * row["threshold"]
                real, generated = (scores[name][at].astype(float) for name in (reals, "generated"))
                row["intervals"] = _lists(intervals(real, generated, threshold))
            else:
                row["intervals"] = _remaining(row)
        if replaced is not None and reals in scores:
            tests = delong_tests(names, *(scores[name].astype(float) for name in (reals, "generated")))
            found["tests"][reals] = [asdict(test) for test in tests]
    if replaced is not None:
        with replacing(file) as temporary:
            np.savez_compressed(temporary, **scores)
    found["meaning"] = MEANING
    return found


def _own_classifier(found: dict[str, Any], scores: dict[str, np.ndarray], place: Path) -> int | None:
    """Put the detector's own classifier in the row of the one that was trained for the table, in `found` and `scores`.

    Its probabilities are those that `evaluate` kept, if the test images of the table are the first ones of it: STAT says
    so, whose t-errors then agree image by image, up to the precision.

    Returns:
        The place of the row; None where there is none, or the images are others.
    """
    info = read_json(detector_file(place.parent))
    names: list[str] = scores["methods"].tolist()
    results = place / "results.json"
    if "nn" not in info or not results.is_file() or not scores_file(results).is_file():
        return None
    own, kept = info["nn"]["calibration"], read_arrays(scores_file(results))
    nn = read_json(results)["nn"]
    rows = found["rows"]["heldout"]
    pair = {"k": own["k"], "t_sec": own["t_sec"]}
    ours = [row for row in rows if row["method"].split()[0] == f"sedid-nn-{own['input']}" and row["parameters"] == pair]
    if not ours or set(found["rows"]) != {"heldout"} or "nn_heldout" not in kept or "heldout" not in nn:
        return None
    at, row = names.index(ours[0]["method"]), ours[0]
    if not all(_same_images(rows, names, scores[name], kept, name) for name in ("heldout", "generated")):
        return None
    for name in ("heldout", "generated"):
        scores[name][at] = kept[f"nn_{name}"][: scores[name].shape[1]]
    threshold = nn["heldout"]["threshold"]
    history = info["nn"].get("epochs") or [{"epoch": None, "validation_loss": 0}]
    real, generated = (scores[name][at].astype(float) for name in ("heldout", "generated"))
    row |= asdict(measure(real, generated, threshold))
    row |= {
        "threshold": threshold,
        "threshold_from": f"the detector's own classifier, {info['nn']['calibrated_on']}",
        "auc_calibration": own["auc"],
        "auc_calibration_from": "the images of the threshold, which also chose the epoch",
        "details": {
            "own": True,
            "images": sum(of_class["count"] for of_class in info["nn"]["data"].values()),
            "epoch": min(history, key=lambda each: each["validation_loss"])["epoch"],
            "temperature": own["temperature"],
            "scores_from": "evaluate",
        },
    }
    return at


def _same_images(
    rows: list[dict[str, Any]], names: list[str], scores: np.ndarray, kept: dict[str, np.ndarray], name: str
) -> bool:
    """Whether STAT's t-errors of the table are, image by image, the first of those that `evaluate` kept."""
    for row in rows:
        pair = (row["parameters"].get("k"), row["parameters"].get("t_sec"))
        pairs = kept_pairs(kept["pairs"])
        if row["method"].startswith("sedid-stat") and pair in pairs:
            ours, theirs = (
                np.abs(scores[names.index(row["method"])]),
                kept[f"stat_{name}"][pairs.index(pair)][: scores.shape[1]],
            )
            apart = np.abs(ours - theirs) / theirs if len(ours) == len(theirs) else np.ones(1)
            return bool(np.median(apart) < 0.01 and apart.max() < 0.1)
    return False


def _generalisation(found: dict[str, Any], place: Path) -> dict[str, Any]:
    protocol, results = found["protocol"], place / "results.json"
    if protocol["intervals"] == ABOUT:
        return found
    kept: dict[str, np.ndarray] = {}
    prints: dict[str, str] = {}
    if results.is_file() and scores_file(results).is_file():
        kept = read_arrays(scores_file(results))
        prints = {about["sha256"]: name for name, about in read_json(results)["protocol"]["images"].items()}
    own = tuple(protocol["chosen"])  # files this old know no paths
    chosen = [row for row, pair in enumerate(kept_pairs(kept["pairs"])) if pair == own] if kept else []

    def scores(of: str, method: str) -> np.ndarray | None:
        """Oriented scores of a set; None where they were not kept."""
        name = prints.get(protocol["images"][of]["sha256"])
        if method == "nn":
            return kept[f"nn_{name}"].astype(float) if f"nn_{name}" in kept else None
        return (
            sign_of(protocol["polarity"]) * kept[f"stat_{name}"][chosen[0]].astype(float)
            if name and len(chosen)
            else None
        )

    thresholds = {"stat": sign_of(protocol["polarity"]) * protocol["threshold"], "nn": protocol["nn_threshold"]}
    reals = next(name for name in protocol["images"] if name not in [row["set"] for row in found["rows"]])
    for row in found["rows"]:
        for method in ("stat", "nn"):
            if (part := row[method]) is None:
                continue
            of_reals, of_set = scores(reals, method), scores(row["set"], method)
            threshold = None if part["acc"] is None else thresholds[method]
            if of_reals is None or of_set is None or abs(measure(of_reals, of_set).auc - part["auc"]) > 1e-6:
                part["intervals"] = _remaining(part)
            else:
                part["intervals"] = _lists(intervals(of_reals, of_set, threshold))
    protocol["intervals"] = ABOUT
    return found


def _robustness(found: dict[str, Any], place: Path) -> dict[str, Any]:
    protocol, file = found["protocol"], place / "robustness-scores.npz"
    if protocol.get("intervals") == ABOUT:
        return found
    kept = read_arrays(file) if file.is_file() else {}
    counts = [protocol["images"][name]["count"] for name in CLASSES]
    for row in found["rows"]:
        for at, method in enumerate(("stat", "nn")):
            if (part := row[method]) is None:
                continue
            sign = sign_of(protocol["stat"]["polarity"]) if method == "stat" else 1
            both = [
                sign * kept[f"{row['key']}/{name}"][at].astype(float)
                for name in CLASSES
                if f"{row['key']}/{name}" in kept
            ]
            if len(both) == 2 and abs(measure(*both).auc - part["auc"]) < 1e-6:
                part["auc_interval"] = list(auc_interval(*both))
            else:
                part["auc_interval"] = _trusted(part["auc"], part["auc_interval"], *counts)
    protocol["intervals"] = ABOUT
    return found


def _polarity(found: dict[str, Any], place: Path) -> dict[str, Any]:
    """Its sets are large enough, but for an AUC of 0 or 1, which the bootstrap takes for a certainty."""
    counts = [found["protocol"]["images"][name]["count"] for name in CLASSES]

    def renewed(value: Any) -> Any:
        if isinstance(value, list):
            return [renewed(one) for one in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"value", "low", "high"} and value["low"] == value["high"] and value["value"] in (0, 1):
            low, high = _separated(value["value"], *counts)
            return value | {"low": low, "high": high}
        return {name: renewed(one) for name, one in value.items()}

    return dict(renewed(found))


def _choice(found: dict[str, Any], place: Path) -> dict[str, Any]:
    protocol, test = found["protocol"], found["test"]
    if protocol.get("intervals") == ABOUT:
        return found
    counts = {name: protocol["images"][f"test_{name}"]["count"] for name in CLASSES}
    for name in ("auc_interval", "polarity_share"):  # of the chosen pair, held fixed
        found["choice"].pop(name, None)
    test["intervals"] = _remaining(test)
    for walk in found["sequential"]["walks"]:
        for row in walk["rates"]:
            for name in CLASSES:
                row[f"wrong_early_{name}_interval"] = list(share_interval(row[f"wrong_early_{name}"], counts[name]))
    for method in found["conformal"].values():
        for row in method.get("rates", []):
            for name in CLASSES:
                row[f"missed_{name}_interval"] = list(share_interval(row[f"missed_{name}"], counts[name]))
    for method in found["reliability"].values():
        for one in method["bins"]:
            effective = _effective(one["observed"], one["count"], counts["real"], counts["generated"])
            one["observed_low"], one["observed_high"] = share_interval(one["observed"], effective)
    protocol["intervals"] = ABOUT
    return found


def _effective(observed: float, count: int, reals: int, generated: int) -> float:
    """How many images of equal weight a point of a reliability diagram is worth, as `reliability.reliability` counts."""
    weights = np.array([1 / reals, 1 / generated])
    # of `count` images so many are generated that their weight is the share `observed` of all
    share = observed * weights[0] / (observed * weights[0] + (1 - observed) * weights[1])
    parts = np.array([count * (1 - share), count * share])
    return float((parts @ weights) ** 2 / (parts @ weights**2))


def _remaining(row: dict[str, Any]) -> dict[str, Any]:
    """What stays of a row's bootstrap intervals, whose scores are not kept."""
    old, counts = row["intervals"], (row["real"], row["generated"])
    made = {name: _trusted(row[name], old.get(name), *counts) for name in ("auc", "acc")}
    return dict.fromkeys(METRICS) | made


def _trusted(value: float | None, ends: list[float] | None, reals: int, generated: int) -> list[float] | None:
    """A bootstrap interval of an AUC or a balanced accuracy, if it is one to believe."""
    if value is None or ends is None or min(reals, generated) < ENOUGH:
        return None
    return list(_separated(value, reals, generated)) if value in (0, 1) else ends


def _separated(value: float, reals: int, generated: int) -> tuple[float, float]:
    """The interval of an AUC or accuracy of 0 or 1, which the counts decide alone."""
    return auc_interval(np.full(reals, 1 - value), np.full(generated, value))


def _lists(found: dict[str, tuple[float, float] | None]) -> dict[str, list[float] | None]:
    return {name: None if ends is None else list(ends) for name, ends in found.items()}


_COMMAND = {"choice": "choose"}  # where its results file has another name
_RENEW: dict[str, Callable[[dict[str, Any], Path], dict[str, Any]]] = {
    "compare": _comparison,
    "generalise": _generalisation,
    "robustness": _robustness,
    "polarity": _polarity,
    "choice": _choice,
}

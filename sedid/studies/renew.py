"""Count the verdicts in a bundle's results files anew, from the scores kept beside them; nothing is scored again.

Versions before this one counted by the side of the band alone, and left out whether an image lies in the calibrated
range. Where no scores are kept that say so, the old shares are called `sides`, and no verdicts are stated.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sedid.detector.batches import known_shares, shares
from sedid.detector.bundle import detector_file, load_detector
from sedid.detector.detector import Call, Detector, Verdict
from sedid.storage import read_arrays, read_json, write_json
from sedid.studies.evaluate import evaluated
from sedid.studies.generalise import HELDOUT
from sedid.studies.robustness import CLASSES, changes, verdicts_of

Shares = dict[str, float]


def renew_verdicts(folder: Path) -> list[Path]:
    """Rewrite results.json, generalise.json and robustness.json of a bundle where their verdicts lack the range check.

    Args:
        folder: a calibrated bundle, its detector.json up to date.

    Returns:
        The files that were written; none where all is as it should be.

    Raises:
        OSError, ValueError: as `load_detector`, or a file cannot be read or written.
    """
    place = Path(folder) / "sedid"
    found = {name: read_json(place / f"{name}.json") for name in _OLD if (place / f"{name}.json").is_file()}
    old = {name: results for name, results in found.items() if "version" not in results and _OLD[name](results)}
    if not old:
        return []
    detector = load_detector(folder, device="cpu")
    if detector.chosen is None:
        return []
    scored = _scored(detector, Path(folder), found.get("results"))
    if "results" in old:
        _renew_results(old["results"], scored)
    if "generalise" in old:
        _renew_generalise(old["generalise"], scored)
    if "robustness" in old:
        _renew_robustness(old["robustness"], detector, place / "robustness-scores.npz")
    written = {place / f"{name}.json": results for name, results in old.items()}
    info = read_json(detector_file(folder))
    if "results" in old and "metrics" in info:
        info["metrics"]["verdicts"] = old["results"]["verdicts"]
        written[detector_file(folder)] = info
    for file, content in written.items():
        write_json(file, content)
    return list(written)


_OLD = {
    "results": lambda found: _lacking(found.get("verdicts", {}).values()),
    "generalise": lambda found: _lacking([found["heldout_verdicts"], *(row["verdicts"] for row in found["rows"])]),
    "robustness": lambda found: _lacking(
        row[method]["verdicts"].get("real") for row in found["rows"] for method in ("stat", "nn") if row[method]
    ),
}
"""Whether a results file states shares of an older version."""


def _lacking(found: Any) -> bool:
    return any(one and known_shares(one) is None for one in found)


def _scored(detector: Detector, folder: Path, results: dict[str, Any] | None) -> dict[str, Sequence[Verdict]]:
    """What STAT says at the detector's own pair of every set that was evaluated, by the set's fingerprint."""
    pair = detector.chosen
    # With `ranges`, calls take the images, which are not at hand; such results are of this version anyway.
    if results is None or pair is None or detector.ranges:
        return {}
    known = evaluated(detector, folder, results["protocol"]["config"]["precision"], {pair[0]})
    return {
        sha256: detector.verdicts(detector.stat[pair], scores[pair], scores) for sha256, (scores, _) in known.items()
    }


def _belong(verdicts: Sequence[Verdict] | None, old: Shares) -> bool:
    """Whether shares were counted of these very images by this calibration: then their sides agree."""
    if verdicts is None:
        return False
    counts = Counter(verdict.side for verdict in verdicts)
    return all(abs(counts[Call(side)] / len(verdicts) - share) < 1e-9 for side, share in old.items())


def _renewed(verdicts: Sequence[Verdict] | None, old: Shares) -> Shares:
    """The shares; none where they cannot be counted."""
    return shares(verdicts) if verdicts is not None and _belong(verdicts, old) else {}


def _renew_results(found: dict[str, Any], scored: dict[str, Sequence[Verdict]]) -> None:
    old, prints = found["verdicts"], {name: about["sha256"] for name, about in found["protocol"]["images"].items()}
    made = {name: _renewed(scored.get(prints[name]), of_set) for name, of_set in old.items()}
    found["verdicts"] = {name: of_set for name, of_set in made.items() if of_set}
    if lost := {name: of_set for name, of_set in old.items() if not made[name]}:
        found["sides"] = lost


def _renew_generalise(found: dict[str, Any], scored: dict[str, Sequence[Verdict]]) -> None:
    prints = {name: about["sha256"] for name, about in found["protocol"]["images"].items()}
    old = found["heldout_verdicts"]
    found["heldout_verdicts"] = _renewed(scored.get(prints[HELDOUT]), old)
    if not found["heldout_verdicts"]:
        found["heldout_sides"] = old
    for row in found["rows"]:
        old, row["verdicts"] = row["verdicts"], _renewed(scored.get(prints[row["set"]]), row["verdicts"])
        if not row["verdicts"]:
            row["sides"] = old


def _renew_robustness(found: dict[str, Any], detector: Detector, file: Path) -> None:
    clean: dict[str, Any] = {}
    for row in found["rows"]:
        counted = _robust(detector, file, row["key"])
        clean = clean or counted
        for method in ("stat", "nn"):
            part, verdicts = row[method], counted.get(method)
            if part is None:
                continue
            if verdicts and all(_belong(verdicts[name], part["verdicts"][name]) for name in CLASSES):
                part |= asdict(changes(verdicts, None if row["key"] == "none" else clean[method]))
            else:
                part |= {"sides": part["verdicts"], "verdicts": {}, "flipped": None, "reversed": None}
        row.pop("out_of_range", None)  # STAT's share of what is out of range, which its verdicts hold now


def _robust(detector: Detector, file: Path, key: str) -> dict[str, Any]:
    """The verdicts under one perturbation by method; without a method whose range was not kept.

    Files of older versions hold the range on the way to STAT's pair alone: it is NN's, too, if both judge at one pair.
    """
    if not file.is_file():
        return {}
    stored = read_arrays(file)
    if any(f"{key}/{name}" not in stored for name in CLASSES):
        return {}
    scores = {name: stored[f"{key}/{name}"] for name in CLASSES}
    kept = min(len(values) for values in scores.values())
    made = verdicts_of(detector, {name: np.concatenate([v, v[2:3]])[:4] for name, v in scores.items()})
    if kept < 4 and detector.nn_pair != detector.chosen:
        made.pop("nn", None)
    return made

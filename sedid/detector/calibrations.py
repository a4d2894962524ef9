"""The calibrations of detector.json: read, and checked entry by entry."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np

from sedid.data.image_statistics import PLAIN
from sedid.detector.detector import Calibration, NNCalibration, Pair
from sedid.method.diffusion import INPUT_IMAGES, Schedule, Steps, check_step, steps_in_words, whole_path
from sedid.stats.ranges import Cloud, Range

CALIBRATED = ("stat", "existing", "nn", "metrics")
"""The sections of detector.json that hold for one model, preprocessing and classifier only."""


@dataclass(frozen=True)
class Calibrated:
    """What detector.json adds to a detector, checked."""

    stat: dict[Pair, Calibration]
    ranges: dict[Steps, Range]
    chosen: Pair | None
    nn: NNCalibration | None


def read_calibrations(info: dict[str, Any], schedule: Schedule, parts: Collection[str] = ("stat", "nn")) -> Calibrated:
    """The calibrations of a detector.json.

    Args:
        parts: those that are asked for, "stat" and "nn".

    Raises:
        ValueError: they, or the sections beside them, are not what detector.json holds.
    """
    for name in (*CALIBRATED, "training", "preprocessing", "versions"):
        of_kind(info.get(name, {}), dict, name)
    for section in (info.get("stat", {}), info.get("nn", {})):
        number("error_rate", section.get("error_rate", 0))
        for made in of_kind(section.get("data", {}), dict, "data").values():
            of_kind(of_kind(made, dict, "an entry of data").get("sha256"), str, "sha256 of data")
    for part, kind in (("stat", list), ("nn", dict), ("existing", dict)):
        for measured in of_kind(info.get("metrics", {}).get(part, {}), dict, f"metrics of {part}").values():
            of_kind(measured, kind, f"metrics of {part}")
    section = info.get("stat", {}) if "stat" in parts else {}
    of_kind(section.get("generated_by", {}), dict, "generated_by")
    listed = of_kind(section.get("calibrations", []), list, "calibrations")
    made = [_calibration(Calibration, values, schedule) for values in listed]
    stat: dict[Pair, Calibration] = {(calibration.k, calibration.t_sec): calibration for calibration in made}
    if len(stat) < len(made):
        raise ValueError("two calibrations are of the same k and T_SEC")
    ranges = dict(_range(values, schedule, stat) for values in of_kind(section.get("ranges", []), list, "ranges"))
    chosen = None
    if "chosen" in section:
        asked = of_kind(section["chosen"], list, "chosen")
        chosen = next((pair for pair in stat if [steps_of(k) for k in asked] == [*pair]), None)
        if chosen is None:
            raise ValueError(f"the chosen pair ({', '.join(map(str, asked)):.60}) is not among the calibrated ones")
    if "nn" not in info or "nn" not in parts:
        return Calibrated(stat, ranges, chosen, None)
    if "calibration" not in info["nn"]:
        raise ValueError("nn lacks its calibration")
    return Calibrated(stat, ranges, chosen, _calibration(NNCalibration, info["nn"]["calibration"], schedule))


def _calibration(kind: type[Calibration], values: Any, schedule: Schedule) -> Any:
    """Build a calibration from JSON.

    Raises:
        ValueError: it does not fit.
    """
    of_kind(values, dict, "a calibration")
    known = {field.name: field for field in fields(kind)}
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"a calibration has no entry {unknown[0]!r:.60}; its entries are {', '.join(known)}")
    if lacking := [name for name, field in known.items() if field.default is MISSING and name not in values]:
        raise ValueError(f"a calibration lacks {', '.join(lacking)}")
    numbers = {name: number(name, values[name]) for name in ("threshold", "auc")}
    lists = {
        name: tuple(number(name, value) for value in of_kind(values[name], list, name))
        for name in ("band", "real", "generated")
    }
    made = kind(**values | numbers | lists | {"k": steps_of(values["k"])})
    if type(made.t_sec) is not int:
        raise ValueError("t_sec must be a whole number")
    check_step(schedule, made.k, made.t_sec)
    if made.polarity not in ("smaller", "larger"):
        raise ValueError(f'polarity must be "smaller" or "larger", not {made.polarity!r:.60}')
    if not 0 <= made.auc <= 1:
        raise ValueError(f"auc must lie between 0 and 1, not be {made.auc:g}")
    for name, values in lists.items():
        if len(values) < 2 or list(values) != sorted(values):
            raise ValueError(f"{name} must be at least two ascending numbers")
    if len(made.band) != 2 or not made.band[0] <= made.threshold <= made.band[1]:
        raise ValueError("band must be two numbers with the threshold between them")
    if isinstance(made, NNCalibration):
        if not isinstance(made.input, str) or made.input not in INPUT_IMAGES:
            raise ValueError(f"unknown classifier input {made.input!r:.60}; accepted: {', '.join(INPUT_IMAGES)}")
        if number("temperature", made.temperature) <= 0:
            raise ValueError("temperature must be above 0")
    return made


def _range(values: Any, schedule: Schedule, stat: Collection[Pair]) -> tuple[Steps, Range]:
    """Where calibration images lie along one walk, from JSON: (k, range).

    Raises:
        ValueError: it is none of a walk that is calibrated.
    """
    k = steps_of(of_kind(values, dict, "an entry of ranges").get("k"))
    steps = len(whole_path(schedule, k)) - 1
    if any((k, t_sec) not in stat for t_sec in whole_path(schedule, k)[1:]):
        raise ValueError(f"there is a range along {steps_in_words(k)}, which is not calibrated at every T_SEC")
    return k, Range(*(_cloud(values.get(name), steps) for name in ("real", "generated")))


def _cloud(values: Any, steps: int) -> Cloud:
    found = of_kind(values, dict, "a class of a range")
    mean, limits = (
        tuple(number(name, one) for one in of_kind(found.get(name), list, name)) for name in ("mean", "limits")
    )
    rows = tuple(
        tuple(number("covariance", one) for one in of_kind(row, list, "a row of covariance"))
        for row in of_kind(found.get("covariance"), list, "covariance")
    )
    size = steps + PLAIN
    if len(limits) != steps or len(mean) != size or [len(row) for row in rows] != [size] * size or min(limits) <= 0:
        raise ValueError(
            f"a range of {steps} steps has {size} means, as many rows of covariance, and {steps} limits above 0"
        )
    spread = np.array(rows)
    if not np.allclose(spread, spread.T) or np.linalg.eigvalsh(spread)[0] <= 0:
        raise ValueError("the covariance of a range must be symmetric and positive definite")
    return Cloud(mean, rows, limits)


def steps_of(value: Any) -> Steps:
    """`k` as JSON has it: a step size, or the list of a path's timesteps.

    Raises:
        ValueError: it is something else.
    """
    found = tuple(value) if isinstance(value, list) else value
    if any(type(one) is not int for one in (found if isinstance(found, tuple) else (found,))):
        raise ValueError(f"k must be a whole number, or a list of whole numbers for a path, not {value!r:.60}")
    return found


def number(name: str, value: Any) -> float:
    """The value, if it is a finite number.

    Raises:
        ValueError: it is not.
    """
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} must be a finite number, not {value!r:.60}")
    return float(value)


def of_kind(value: Any, kind: type, name: str) -> Any:
    """The value, if it is of the kind that JSON should hold there.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, kind):
        words = {"dict": "an object (names and values in braces)", "list": "a list", "str": "a text"}
        raise ValueError(f"{name} must be {words[kind.__name__]}, not {value!r:.60}")
    return value

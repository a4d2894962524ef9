"""Many images judged at one (k, T_SEC) in batches, and their calls counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from sedid.detector import company
from sedid.detector.detector import Call, Detector, Judgement, Verdict
from sedid.method.diffusion import Point, Steps, check_step

BATCH = 32
METHODS = ("STAT", "NN")

Report = Callable[[int, int], None]
"""Told (evaluations of a batch done, in all) after each one; an exception of it ends the work."""


def judge_in_batches(
    detector: Detector, images: np.ndarray, k: Steps, t_sec: int, report: Report | None = None, batch: int = BATCH
) -> list[Judgement]:
    """Both verdicts on every image, in order; no trajectory is kept, nor walked further than `Detector.reach`.

    Args:
        images: uint8 (N, size, size, 3), as the detector sees them; N may be 0.
        batch: images at a time; of no influence on the calls, and on the scores but for rounding (`company`).

    Raises:
        ValueError: as `check_step`.
    """
    check_step(detector.schedule, k, t_sec)
    end = detector.reach(k, t_sec)
    steps, starts = detector.evaluations(k, end), range(0, len(images), batch)

    def watched(points: Iterator[Point], before: int) -> Iterator[Point]:
        for done, point in enumerate(points, before + 1):
            if report is not None:
                report(done, steps * len(starts))
            yield point

    found: list[Judgement] = []
    for number, start in enumerate(starts):
        watch = partial(watched, before=number * steps)
        found += company.judge(detector, images[start : start + batch], k, t_sec, watch)
    return found


def verdict_of(judgement: Judgement, method: str) -> Verdict | None:
    """The verdict of one of METHODS; None where nothing is calibrated."""
    return judgement.stat if method == "STAT" else judgement.nn


def calls(judgements: Iterable[Judgement], method: str) -> Counter[Call]:
    """How many images got which call; empty where nothing is calibrated."""
    found = (verdict_of(judgement, method) for judgement in judgements)
    return Counter(verdict.call for verdict in found if verdict is not None)


def shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """How often each call falls, by its name, as shares of 1."""
    counts = Counter(verdict.call for verdict in verdicts)
    return {str(call): counts[call] / len(verdicts) for call in Call}


def known_shares(found: dict[str, float] | None) -> dict[str, float] | None:
    """Shares as a results file has them, if they are those of `shares`.

    None where the t-errors of the range check were not kept, and in files of older versions, which left it out.
    """
    return found if found and Call.OUTSIDE in found else None

"""Whose is it? One picture put to several detectors, each of which answers among its own references.

A t-error says nothing beside that of another detector: networks, sizes and steps differ. What can stand side by side is
where the picture lies among the references of each. Answers keep the order they were asked in; nothing is ranked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sedid.detector.detector import GENERATED, Detector, Inspection, Judgement
from sedid.detector.words import pair_dict, plain, verdict_dict
from sedid.errors import sentence
from sedid.method.diffusion import pair_in_words

RULE = (
    "Each detector compares the picture with its own references. Scores of different detectors are never compared. A picture "
    "may look generated to several of them, or to none."
)


@dataclass(frozen=True)
class Answer:
    """What one detector says.

    Attributes:
        name: of the detector.
        size: of the pictures it knows, pixels a side; 0 where it could not be opened.
        judgement: at its own pair; None where it says nothing.
        refused: why it says nothing, one sentence; "" where it does.
    """

    name: str
    size: int = 0
    judgement: Judgement | None = None
    refused: str = ""


def ask(name: str, open_it: Callable[[], Detector], look: Callable[[Detector], Inspection]) -> Answer:
    """Put a picture to one detector; one that cannot be opened, or has no calibration, answers with the reason.

    Args:
        look: the picture at the detector's own pair.
    """
    size = 0
    try:
        detector = open_it()
        size = detector.size
        if not detector.stat:
            return Answer(name, size, refused="it has no calibration, and so no references")
        return Answer(name, size, look(detector).judgement)
    except (ValueError, OSError, RuntimeError) as error:
        if not (said := sentence(error)):
            raise
        return Answer(name, size, refused=said)


def as_dict(answers: Sequence[Answer]) -> dict[str, Any]:
    """The machine form: rows in the order they were asked in."""
    rows = []
    for answer in answers:
        found = answer.judgement
        row: dict[str, Any] = {"detector": answer.name, "size": answer.size or None, "error": answer.refused or None}
        if found is not None:
            row |= pair_dict((found.k, found.t_sec)) | {"t_error": plain(found.t_error)}
            row |= {"stat": verdict_dict(found.stat), "nn": verdict_dict(found.nn)}
        rows.append(row)
    return {"rows": rows, "summary": summary(answers), "rule": RULE}


def as_lines(answers: Sequence[Answer]) -> list[str]:
    """The same for people."""
    lines = []
    for answer in answers:
        found = answer.judgement
        if found is None:
            lines += [f"{answer.name}: {answer.refused}", ""]
            continue
        lines.append(f"{answer.name}, {answer.size} pixels, {pair_in_words(found.k, found.t_sec)}")
        for method, verdict in (("STAT", found.stat), ("NN", found.nn)):
            if verdict is not None:
                lines.append(
                    f"  {method}: {verdict.call}; at or above {verdict.percentile_real:.0f} % of its real and "
                    f"{verdict.percentile_generated:.0f} % of its generated references"
                )
        lines.append("")
    return [*lines, summary(answers), RULE]


def summary(answers: Sequence[Answer]) -> str:
    """To which detectors the picture looks generated, by STAT, in one sentence."""
    asked = [answer for answer in answers if answer.judgement is not None and answer.judgement.stat is not None]
    if not asked:
        return "No detector could answer."
    own = [answer.name for answer in asked if answer.judgement.stat.call == GENERATED]  # type: ignore[union-attr]
    if not own:
        return f"By STAT, the picture looks generated to none of {len(asked)} detectors."
    return f"By STAT, the picture looks generated to {len(own)} of {len(asked)} detectors: {', '.join(own)}."

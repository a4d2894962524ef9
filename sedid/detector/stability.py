"""Does a verdict survive mild re-encodings? What flips under a change that no eye sees is no verdict.

The changes are fixed here, before any image was looked at: what a copy on its way through a web site goes through. They
happen to the pixels the detector sees, which is harder on a verdict than re-saving a large picture that is made small
afterwards. The rule is strict: a verdict stands only if every version gets the same call; else it is "cannot tell".
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, features

from sedid.data.perturb import perturb, perturbation
from sedid.detector.batches import Report, calls, judge_in_batches, verdict_of
from sedid.detector.detector import Call, Detector, Judgement
from sedid.method.diffusion import Steps

MILD = (
    *(("jpeg", quality) for quality in (95.0, 90.0, 75.0)),
    *(("resize", 0.95), ("crop", 0.95), ("noise", 1.0), ("brightness", 1.05), ("flip", 1.0)),
)
WEBP = 90  # quality
RULE = "The rule: a verdict stands only if all versions get the same one."


@dataclass(frozen=True)
class Version:
    """One version of an image: what was done, in words, and uint8 (H, W, 3)."""

    label: str
    image: np.ndarray


def versions(image: np.ndarray) -> list[Version]:
    """An image, uint8 (H, W, 3), as it is, then every mild change of it; the same ones each time.

    Raises:
        ValueError: the image is of another kind.
    """
    found = [Version("as it is", image)]
    for name, strength in MILD:
        one = perturbation(name, strength)
        found.append(Version(one.label, perturb(image, one)))
        if (name, strength) == MILD[2] and features.check("webp"):
            found.append(Version(f"WebP, quality {WEBP}", _webp(image)))
    found += [
        Version("moved one pixel right", image[:, [0, *range(image.shape[1] - 1)]]),
        Version("moved one pixel down", image[[0, *range(image.shape[0] - 1)]]),
    ]
    return found


def _webp(image: np.ndarray) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=WEBP)
    return np.array(Image.open(file).convert("RGB"))


@dataclass(frozen=True)
class Outcome:
    """What one method says about all versions together.

    Attributes:
        result: the call of the image as it is if every version agrees or there is no verdict to lose, else "cannot tell".
        call: of the image as it is.
        agree, of: how many of how many versions, the image itself among them, got that call.
        opposite: some version is called real and some generated.
        counts: versions by call.
    """

    result: Call
    call: Call
    agree: int
    of: int
    opposite: bool
    counts: Counter[Call]


@dataclass(frozen=True)
class Stability:
    """Every version judged at one (k, T_SEC); the first one is the image as it is."""

    k: Steps
    t_sec: int
    versions: tuple[Version, ...]
    judgements: tuple[Judgement, ...]

    def outcome(self, method: str) -> Outcome | None:
        """What STAT or NN comes to; None where it is not calibrated."""
        counts = calls(self.judgements, method)
        verdict = verdict_of(self.judgements[0], method)
        if verdict is None:
            return None
        own = verdict.call
        agree, of = counts[own], len(self.judgements)
        opposite = bool(counts[Call.GENERATED] and counts[Call.REAL])
        result = own if agree == of or own == Call.OUTSIDE else Call.UNDECIDED
        return Outcome(result, own, agree, of, opposite, counts)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest t-error among the versions."""
        found = [judgement.t_error for judgement in self.judgements]
        return min(found), max(found)


def in_words(outcome: Outcome, method: str) -> str:
    """One sentence, plain text."""
    if outcome.call == Call.OUTSIDE:
        return f"{method}: no verdict to check. The image itself is {outcome.call}."
    if outcome.agree == outcome.of:
        return f"{method} stays “{outcome.call}” in all {outcome.of} versions."
    said = "cannot tell" if outcome.call == Call.UNDECIDED else f"“{outcome.call}”"
    others = ", ".join(f"{name} in {count}" for name, count in outcome.counts.most_common() if name != outcome.call)
    return f"{method}: cannot tell. Only {outcome.agree} of {outcome.of} versions come to {said} like the image itself ({others})."


def stack(found: Sequence[Version]) -> np.ndarray:
    """The versions as one batch, uint8 (N, H, W, 3)."""
    return np.stack([version.image for version in found])


def check(
    detector: Detector,
    image: np.ndarray,
    k: Steps | None = None,
    t_sec: int | None = None,
    report: Report | None = None,
) -> Stability:
    """Judge every mild version of an image, uint8 (H, W, 3) as the detector sees it, in one batch.

    Args:
        k, t_sec: default to the calibrated pair.

    Raises:
        ValueError: the image is of another kind, or (k, T_SEC) as `check_step`.
    """
    k, t_sec = detector.pair(k, t_sec)
    found = versions(image)
    return Stability(k, t_sec, tuple(found), tuple(judge_in_batches(detector, stack(found), k, t_sec, report)))

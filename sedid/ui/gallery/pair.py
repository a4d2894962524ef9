"""Two images side by side on the same scales, as HTML. No Gradio, no network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from sedid.detector.batches import METHODS, verdict_of
from sedid.detector.detector import Detector, Judgement, Trace
from sedid.detector.words import own_t_sec
from sedid.report.curve import along, under_heading
from sedid.report.filmstrip import brightest, error_maps, over_image
from sedid.report.pictures import number
from sedid.report.verdict import headline
from sedid.ui.examples import Example
from sedid.ui.html import render
from sedid.ui.menu import DEFAULT

NAMES = ("A", "B")


@dataclass(frozen=True)
class Side:
    """One of the two images.

    Attributes:
        image: uint8 (H, W, 3), as the detector sees it.
        name: what it is called.
        notes: what preprocessing did.
        example: its name, if it is one of the examples.
    """

    image: np.ndarray
    name: str
    notes: tuple[str, ...] = ()
    example: str = ""


@dataclass(frozen=True)
class Pair:
    """What a visitor compares; kept in the session.

    Attributes:
        source: the key of the detector that they were shown with.
    """

    a: Side | None = None
    b: Side | None = None
    source: str = DEFAULT

    def put(self, side: str, image: Side | None) -> "Pair":
        """With another image on side "a" or "b"."""
        return replace(self, a=image) if side == "a" else replace(self, b=image)


def sentence(first: Trace, second: Trace, t_sec: int) -> str:
    """Which t-error is larger, by how much, and how often it is so along T_SEC."""
    place = first.t_secs.index(t_sec)
    a, b = first.curve[place], second.curve[place]
    here = f"at k = {first.k}, T_SEC = {t_sec}"
    if a == b:
        return f"A and B have the same t-error, {number(a)}, {here}."
    large, small = NAMES if a > b else NAMES[::-1]
    ratio = max(a, b) / min(a, b) if min(a, b) > 0 else float("inf")
    if ratio < 1.01:
        how = f"less than 1% larger than {small}'s"
    elif ratio < 2:
        how = f"{ratio - 1:.0%} larger than {small}'s"
    else:
        how = f"{number(ratio)} times {small}'s" if np.isfinite(ratio) else f"larger than {small}'s"
    values = f"{number(max(a, b))} against {number(min(a, b))}"
    larger = sum(
        (one > other) == (a > b) and one != other for one, other in zip(first.curve, second.curve, strict=True)
    )
    return f"{large}'s t-error is {how}: {values} {here}. {large} has the larger one at {larger} of the {len(first.t_secs)} T_SEC."


def verdict(judgement: Judgement, method: str) -> tuple[str, str, str]:
    """What a method says of an image: the call in words, its style class, and the score in words."""
    found = verdict_of(judgement, method)
    score = f"t-error {number(judgement.t_error)}"
    if method == "NN":
        score = f"probability of generated {found.score:.0%}{own_t_sec(judgement)}" if found else ""
    return *headline(found), score


def comparison(detector: Detector, sides: Sequence[Side], traces: Sequence[Trace], t_sec: int) -> Markup:
    """Everything about two images at one T_SEC of their trajectories.

    Args:
        sides, traces: of A and B; the traces at the same k.
    """
    judgements = [detector.judge(trace, t_sec) for trace in traces]
    place = traces[0].t_secs.index(t_sec)
    maps = [error_maps(trace, False)[place] for trace in traces]
    limit = brightest(np.stack(maps))
    return render(
        "pair.html",
        sentence=f"{sentence(traces[0], traces[1], t_sec)} Judged by {detector.name}.",
        maps=[
            (name, side, over_image(trace, values, limit, f"t-error of {name} at T_SEC {t_sec}"))
            for name, side, trace, values in zip(NAMES, sides, traces, maps, strict=True)
        ],
        limit=limit,
        verdicts=[(method, [verdict(judgement, method) for judgement in judgements]) for method in METHODS],
        curves=under_heading(along(detector, traces, t_sec), detector, "two images"),
    )


def waiting(pair: Pair) -> Markup:
    """What stands in for the comparison until there are two images."""
    missing = [name for name, side in zip(NAMES, (pair.a, pair.b), strict=True) if side is None]
    return render("pair_waiting.html", missing=missing)


def strip(examples: Sequence[Example], pictures: Sequence[np.ndarray], side: str, shown: Side | None) -> Markup:
    """The examples as small buttons.

    Args:
        pictures: uint8 (H, W, 3), those of `examples`.
        side: a or b.
    """
    offered = list(zip(examples, pictures, strict=True))
    return render("pair_strip.html", examples=offered, side=side, shown=shown.example if shown else "")

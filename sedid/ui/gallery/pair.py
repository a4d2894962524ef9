"""Two images side by side on the same scales, as HTML. No Gradio, no network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sedid.detector.detector import Detector, Judgement, Trace
from sedid.detector.words import own_t_sec
from sedid.report.charts.chart import of_source
from sedid.report.curve import along
from sedid.report.filmstrip import brightest, colour_bar, error_maps, over_image
from sedid.report.pictures import data_uri, number, text
from sedid.report.verdict import headline
from sedid.ui.examples import Example
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


def heatmaps(traces: Sequence[Trace], names: Sequence[str], t_sec: int) -> str:
    """Both maps, one colour scale."""
    place = traces[0].t_secs.index(t_sec)
    maps = [error_maps(trace, False)[place] for trace in traces]
    limit = brightest(np.stack(maps))
    parts = "".join(
        f"<div><h2>{side}: {text(name)}</h2>{over_image(trace, values, limit, f't-error of {side} at T_SEC {t_sec}')}</div>"
        for side, name, trace, values in zip(NAMES, names, traces, maps, strict=True)
    )
    return (
        f'<div class="ben-pair">{parts}</div><div class="ben-scale">{colour_bar(limit)}'
        '<p class="sed-fine">t-error per pixel, channels summed; the same colours mean the same in both.</p></div>'
    )


def curves(detector: Detector, traces: Sequence[Trace], t_sec: int) -> str:
    """Both t-errors along T_SEC in one chart, over the references."""
    drawn = f"<h2>Along T_SEC</h2>{along(detector, traces, t_sec).html()}"
    return of_source(drawn, detector.name, "two images")


def verdicts(judgements: Sequence[Judgement], sides: Sequence[Side]) -> str:
    """Both verdicts on both images, and what was done to the images."""

    def cell(judgement: Judgement, neural: bool) -> str:
        verdict = judgement.nn if neural else judgement.stat
        call, style = headline(verdict)
        score = f"t-error {number(judgement.t_error)}"
        if neural:
            score = f"probability of generated {verdict.score:.0%}{own_t_sec(judgement)}" if verdict else ""
        return f'<td><b class="sed-ink-{style}">{call}</b><small>{score}</small></td>'

    rows = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(cell(judgement, neural) for judgement in judgements)}</tr>'
        for name, neural in (("STAT", False), ("NN", True))
    )
    done = "".join(f"<td><small>{text('; '.join(side.notes) or 'used as it is')}</small></td>" for side in sides)
    return (
        f'<table class="ben-verdicts"><thead><tr><th></th><th scope="col">A</th><th scope="col">B</th></tr></thead>'
        f'<tbody>{rows}<tr><th scope="row">Notes</th>{done}</tr></tbody></table>'
    )


def comparison(detector: Detector, sides: Sequence[Side], traces: Sequence[Trace], t_sec: int) -> str:
    """Everything about two images at one T_SEC of their trajectories.

    Args:
        sides, traces: of A and B; the traces at the same k.
    """
    first, second = traces
    judgements = [detector.judge(trace, t_sec) for trace in traces]
    return (
        f'<p class="ben-sentence" role="status">{text(sentence(first, second, t_sec))} Judged by {text(detector.name)}.</p>'
        f'<div class="ben"><div>{heatmaps(traces, [side.name for side in sides], t_sec)}</div>'
        f"<div>{verdicts(judgements, sides)}{curves(detector, traces, t_sec)}</div></div>"
    )


def waiting(pair: Pair) -> str:
    """What stands in for the comparison until there are two images."""
    missing = " and ".join(name for name, side in zip(NAMES, (pair.a, pair.b), strict=True) if side is None)
    return (
        f'<div class="sed-state"><b>Choose an image for {missing}.</b><br>Upload or paste one, or pick an example above. '
        "In the reference set, “A click on a picture” can send it here. Then both are walked at the same k and shown on the "
        "same scales.</div>"
    )


def strip(examples: Sequence[Example], pictures: Sequence[np.ndarray], side: str, shown: Side | None) -> str:
    """The examples as small buttons.

    Args:
        pictures: uint8 (H, W, 3), those of `examples`.
        side: a or b.
    """
    buttons = "".join(
        f'<button type="button" id="bench-{side}-{text(example.name)}" data-send="" data-example="{text(example.name)}" '
        f'aria-pressed="{str(shown is not None and shown.example == example.name).lower()}" title="{example.label}" '
        f'aria-label="Take {text(example.name)} as {side.upper()}"><img src="{data_uri(pixels)}" alt=""></button>'
        for example, pixels in zip(examples, pictures, strict=True)
    )
    return f'<div class="ben-strip">{buttons}</div>' if buttons else ""

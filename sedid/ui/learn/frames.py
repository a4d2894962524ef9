"""Pictures of a lesson that are all computed beforehand and leafed through in the browser, without the server.

A frame is one state of a picture. The frames lie on top of each other in one grid cell, so nothing on the page moves
when another one is shown. The script (`learn_script`) shows and hides them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sedid.report.pictures import text


@dataclass(frozen=True)
class Frame:
    """One state of a picture.

    Attributes:
        at: its name in the address: a timestep for instance.
        label: what it shows, in words; read aloud when the slider moves.
        body: HTML.
        x: where a chart's moving line stands, percent from the left; None without one.
    """

    at: str
    label: str
    body: str
    x: float | None = None


def _stack(frames: Sequence[Frame], start: int) -> str:
    return '<div class="learn-stack">{}</div>'.format(
        "".join(
            f'<div class="learn-frame" data-at="{text(frame.at)}" data-label="{text(frame.label)}" '
            f'data-x="{"" if frame.x is None else f"{frame.x:.2f}"}"{"" if place == start else " hidden"}>{frame.body}</div>'
            for place, frame in enumerate(frames)
        )
    )


def scrubber(frames: Sequence[Frame], what: str, start: int = 0, play: bool = False, chart: str = "") -> str:
    """A slider through frames.

    Args:
        what: the slider's name.
        start: the frame shown first.
        play: with a button that runs through them.
        chart: a chart below, whose `moving_line` follows.
    """
    button = (
        '<button type="button" class="learn-play" aria-label="Play" aria-pressed="false"><i aria-hidden="true">▶</i></button>'
        if play
        else ""
    )
    return (
        f'<div class="learn-frames"><div class="learn-scrub">{button}<label><span>{text(what)}</span>'
        f'<input type="range" min="0" max="{len(frames) - 1}" step="1" value="{start}" aria-valuetext="{text(frames[start].label)}"></label>'
        f"<output>{text(frames[start].label)}</output></div>{_stack(frames, start)}{chart}</div>"
    )


def chooser(frames: Sequence[Frame], what: str, faces: Sequence[str], start: int = 0) -> str:
    """Frames picked by a row of radio buttons.

    Args:
        what: the group's name.
        faces: HTML shown on each button: a thumbnail, a word.
    """
    buttons = "".join(
        f'<label class="learn-choice"><input type="radio" name="learn-choice" value="{place}" aria-label="{text(frame.label)}"'
        f"{' checked' if place == start else ''}><span>{face}</span></label>"
        for place, (frame, face) in enumerate(zip(frames, faces, strict=True))
    )
    return (
        f'<div class="learn-frames"><fieldset class="learn-picks learn-choices"><legend>{text(what)}</legend>{buttons}</fieldset>'
        f"{_stack(frames, start)}</div>"
    )


def moving_line(x: float) -> str:
    """The line in a chart's plot that follows the frames."""
    return f'<div class="learn-now" style="left:{x:.2f}%"></div>'

"""Pictures of a lesson that are all computed beforehand and leafed through in the browser, without the server.

A frame is one state of a picture. The frames lie on top of each other in one grid cell, so nothing on the page moves
when another one is shown. The script (`static/learn.js`) shows and hides them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sedid.report.charts.chart import Chart
from sedid.ui.html import render


@dataclass(frozen=True)
class Frame:
    """One state of a picture.

    Attributes:
        at: its name in the address: a timestep for instance.
        label: what it shows, in words; read aloud when the slider moves.
        body: what it shows.
        x: where a chart's moving line stands, percent from the left; None without one.
    """

    at: str
    label: str
    body: Markup
    x: float | None = None


def scrubber(
    frames: Sequence[Frame], what: str, start: int = 0, play: bool = False, chart: Chart | None = None
) -> Markup:
    """A slider through frames.

    Args:
        what: the slider's name.
        start: the frame shown first.
        play: with a button that runs through them.
        chart: a chart below, whose `moving_line` follows.
    """
    return render("lesson_frames.html", frames=frames, what=what, start=start, play=play, chart=chart or "", faces=[])


def chooser(frames: Sequence[Frame], what: str, faces: Sequence[tuple[np.ndarray, str, str]], start: int = 0) -> Markup:
    """Frames picked by a row of radio buttons.

    Args:
        what: the group's name.
        faces: what is on each button: an image, uint8 (H, W, 3), the words below it and their style class.
    """
    return render("lesson_frames.html", frames=frames, what=what, start=start, faces=faces, chart="")


def moving_line(x: float) -> Markup:
    """The line in a chart's plot that follows the frames."""
    return Markup('<div class="learn-now" style="left:{:.2f}%"></div>').format(x)

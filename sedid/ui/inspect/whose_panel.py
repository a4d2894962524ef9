"""The panel "Whose is it?" of the Inspect tab: the picture put to every detector of the menu, each among its own references."""

from functools import partial

import numpy as np

from sedid.data.images import read_image
from sedid.detector.detector import Detector, Inspection
from sedid.detector.whose import ask
from sedid.report.whose import table
from sedid.ui.context import Context
from sedid.ui.inspect.events import Inspector, Visit
from sedid.ui.inspect.folded import Folded


def draw(inspector: Inspector, visit: Visit) -> str:
    """What every detector says of the picture that is shown, as each of them sees it."""
    assert visit.shown is not None
    shown, context = visit.shown.whole or visit.shown, inspector.context
    picture = read_image(shown.image if shown.file is None else shown.file, shown.name or None)

    def look(detector: Detector) -> Inspection:
        return at_own_pair(context, detector, detector.prepare(picture.image))

    return table([ask(label, partial(context.detectors.get, key), look) for label, key in context.menu.choices()])


def at_own_pair(context: Context, detector: Detector, seen: np.ndarray, notes: tuple[str, ...] = ()) -> Inspection:
    """A picture at a detector's own pair.

    Args:
        seen: uint8 (size, size, 3), as the detector sees it.
        notes: what was done to get there.
    """
    k, t_sec = detector.pair()
    trace = context.traces.walk(detector, seen, k)
    return Inspection(trace, detector.judge(trace, t_sec), notes)


PANEL = Folded("Whose is it?", "whose", "whose-shown", "seen", draw)

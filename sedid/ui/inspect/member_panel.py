"""The panel "Was the network trained on this picture?" of the Inspect tab, apart from the verdict on its origin."""

from sedid.report.membership import panel as drawn
from sedid.studies.membership import membership
from sedid.ui.inspect.events import Inspector, Visit
from sedid.ui.inspect.folded import Folded


def draw(inspector: Inspector, visit: Visit) -> str:
    """What is known of the picture that is shown."""
    assert visit.shown is not None
    detector = inspector.detector(visit.source)
    trace = inspector.context.traces.walk(detector, visit.shown.image, visit.shown.k)
    return drawn(membership(detector, visit.shown.image, detector.judge(trace, visit.shown.t_sec)))


PANEL = Folded("Was the network trained on this picture?", "member", "member-shown", "heat", draw)

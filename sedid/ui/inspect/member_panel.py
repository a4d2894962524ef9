"""The panel "Was the network trained on this picture?" of the Inspect tab, apart from the verdict on its origin."""

from typing import Any

from sedid.report.membership import panel as drawn
from sedid.studies.membership import membership
from sedid.ui.inspect import folded
from sedid.ui.inspect.events import Inspector, Visit


def layout() -> folded.Panel:
    """The panel, closed."""
    return folded.layout("Was the network trained on this picture?", "member", "member-shown")


def wire(panel: folded.Panel, inspector: Inspector, view: list[Any]) -> None:
    """Connect the panel; it follows image, k and T_SEC.

    Args:
        view: state and switches, as `visited` takes them.
    """
    folded.wire(panel, inspector, view, inspector.parts.heat, draw)


def draw(inspector: Inspector, visit: Visit) -> str:
    """What is known of the picture that is shown."""
    assert visit.shown is not None
    detector = inspector.detector(visit.source)
    trace = inspector.context.traces.walk(detector, visit.shown.image, visit.shown.k)
    return drawn(membership(detector, visit.shown.image, detector.judge(trace, visit.shown.t_sec)))

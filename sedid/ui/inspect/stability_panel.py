"""The stability check in the panel "Re-save this image": every mild version at once, when it is asked for."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gradio as gr

from sedid.detector.stability import Stability, stack, versions
from sedid.report import evidence
from sedid.report.case import pixel_hash
from sedid.ui.inspect.events import Inspector, Updates, Visit, visited
from sedid.ui.kit import LIGHT, NETWORK, html, only
from sedid.ui.traces import Stopped
from sedid.ui.upload import refusal

ABOUT = (
    "<h2>All mild changes at once</h2><p>JPEG and WebP, one pixel to the side, a few per cent of the size, a trace of noise: "
    "does the verdict survive all of them?</p>"
)

Checked = tuple[tuple[Any, ...], Stability] | None
"""Of a session: what was checked (`subject`) and what came of it."""


@dataclass(frozen=True)
class Panel:
    """The components of the panel."""

    about: gr.HTML
    check: gr.Button
    shown: gr.HTML
    checked: gr.State


def layout() -> Panel:
    """The panel, not yet run."""
    about = html(ABOUT, "stable-about")
    with gr.Row():
        check = gr.Button("Check stability", size="sm", elem_id="stable-check", scale=0, min_width=220)
    shown = html("", "stable")
    return Panel(about, check, shown, gr.State(None))


def subject(visit: Visit) -> tuple[Any, ...]:
    """What a result is about: detector, pixels, k and T_SEC."""
    assert visit.shown is not None
    return visit.source, pixel_hash(visit.shown.image), visit.shown.k, visit.shown.t_sec


@dataclass(frozen=True)
class Checker:
    """What the events of the panel do."""

    inspector: Inspector
    panel: Panel

    def check(self, visit: Visit) -> Updates:
        """Judge all versions at the present k and T_SEC."""
        shown, wanted = self.inspector.asking(visit)
        if shown is None:
            return gr.skip()
        visit, traces = replace(visit, shown=shown), self.inspector.context.traces
        detector = self.inspector.detector(visit.source)

        def report(done: int, total: int) -> None:
            visit.progress((done, total), desc=f"{len(found)} versions: step {done} of {total}", unit="steps")

        try:
            found = versions(shown.image)
            judged = traces.judge(detector, stack(found), shown.k, shown.t_sec, wanted, report)
        except Stopped:
            return gr.skip()
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        made = Stability(shown.k, shown.t_sec, tuple(found), tuple(judged))
        return {self.panel.checked: (subject(visit), made), self.panel.shown: evidence.stability_part(made)}

    def outdate(self, visit: Visit, checked: Checked) -> Updates:
        """Another image, k, T_SEC or detector: the result goes."""
        if checked is None or (visit.shown is not None and checked[0] == subject(visit)):
            return gr.skip()
        return {self.panel.checked: None, self.panel.shown: ""}


def wire(panel: Panel, inspector: Inspector, view: list[Any]) -> None:
    """Connect the panel; arguments as `resave_panel.wire`."""
    on, made = Checker(inspector, panel), [panel.checked, panel.shown]
    heavy: dict[str, Any] = {"show_progress_on": panel.shown, "api_visibility": "private", **NETWORK}
    panel.check.click(visited(on.check), view, made, **heavy)
    changes = [inspector.parts.verdicts.change, inspector.parts.seen.change]
    outdated = only(partial(gr.on, changes), "filled", of=panel.shown)
    outdated(visited(on.outdate), [panel.checked, *view], made, **LIGHT)

"""The panel "Re-save this image" of the Inspect tab: would the verdict be the same, had the picture been re-saved?

It perturbs what the detector sees (`sedid.data.perturb`) and shows both versions beside each other at the present k and
T_SEC. The inspection stays as it is until the visitor takes the other version over.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from sedid.data.perturb import FAMILIES, NONE, Perturbation, perturb, perturbation
from sedid.detector.detector import Call, Detector, Judgement, Trace, Verdict
from sedid.detector.words import where
from sedid.report.pictures import difference, enlarge
from sedid.report.verdict import headline
from sedid.ui.html import render
from sedid.ui.inspect.events import Inspector, Updates, Visit, visited
from sedid.ui.kit import LIGHT, NETWORK, only
from sedid.ui.scripts import on_load
from sedid.ui.traces import Stopped, Turns
from sedid.ui.upload import refusal

FIRST = "jpeg"  # what the panel opens with
NOTHING = '<div class="sed-state">Choose above what happens to the image.</div>'
OPENING = '<div class="sed-state">Comparing …</div>'


@dataclass(frozen=True)
class Panel:
    """The components of the panel."""

    box: gr.Accordion
    kind: gr.Dropdown
    strength: gr.Slider
    shown: gr.HTML
    take: gr.Button


def layout() -> Panel:
    """The panel, closed. It shows with the rest of an inspection (`sed-after`)."""
    menu = [("Nothing (as it is)", NONE.name), *((family.title, name) for name, family in FAMILIES.items())]
    title = "Re-save this image: does the verdict survive?"
    with gr.Accordion(title, open=False, elem_id="resave", elem_classes="sed-after") as box:
        with gr.Row():
            kind = gr.Dropdown(menu, value=FIRST, label="What happens to it", elem_id="resave-kind", min_width=200)
            strength = gr.Slider(**reach(FIRST), buttons=[], elem_id="resave-strength", min_width=240)
        shown = gr.HTML(
            OPENING, js_on_load=on_load("resave"), apply_default_css=False, elem_id="resaved", elem_classes="sed"
        )
        with gr.Row():
            take = gr.Button(
                "Inspect this version", size="sm", elem_id="resave-take", interactive=False, scale=0, min_width=220
            )
    return Panel(box, kind, strength, shown, take)


def usual(name: str) -> float | None:
    """The strength a kind starts at: the middle of those that are measured by default."""
    return FAMILIES[name].strengths[len(FAMILIES[name].strengths) // 2] if name in FAMILIES else None


def reach(name: str) -> dict[str, Any]:
    """The strength slider of one kind; hidden where there is nothing to choose."""
    family = FAMILIES.get(name)
    if family is None or family.low == family.high:
        return {"visible": False}
    return {
        "minimum": family.low,
        "maximum": family.high,
        "step": family.step,
        "value": usual(name),
        "label": f"{family.title}: {family.unit}",
        "visible": True,
    }


def named(name: Any, strength: Any) -> Perturbation:
    """What menu and slider ask for.

    Raises:
        gr.Error: there is no such kind or strength; the text says what there is.
    """
    try:
        family = FAMILIES.get(str(name))
        if family is not None and family.low == family.high:
            strength = family.low  # the slider is not there and may say anything
        return perturbation(str(name), float(strength) if family is not None else None)
    except (TypeError, ValueError) as error:
        known = isinstance(strength, int | float)
        raise refusal(error if known else ValueError("Choose a strength: a number.")) from error


@dataclass(frozen=True)
class Resaver:
    """What the events of the panel do.

    Attributes:
        inspector: of the tab; its detectors, traces and updates are used.
        turns: which perturbation each session waits for, so that an outdated walk ends at its next step.
    """

    inspector: Inspector
    panel: Panel
    turns: Turns = field(default_factory=Turns)

    def wish(self, name: Any, strength: Any, request: gr.Request) -> None:
        """Another strength is wanted: a walk under way ends at its next step."""
        self.turns.want(request.session_hash or "", hash(named(name, strength)))

    def choose(self, name: str, request: gr.Request) -> Any:
        """Another kind: its slider."""
        self.wish(name, usual(name), request)
        return gr.Slider(**reach(name))

    def fold(self, request: gr.Request) -> None:
        """The panel was closed: nobody waits any more."""
        self.turns.want(request.session_hash or "", None)

    def show(self, visit: Visit, name: Any, strength: Any) -> Updates:
        """Both versions at the present k and T_SEC."""
        if visit.shown is None:
            return gr.skip()
        one = named(name, strength)
        if one.strength is None:
            return {self.panel.shown: NOTHING, self.panel.take: gr.Button(interactive=False)}
        detector, t_sec = self.inspector.detector(visit.source), visit.shown.t_sec
        try:
            before = self.walk(visit, detector, visit.shown.image, one)
            after = self.walk(visit, detector, perturb(visit.shown.image, one), one)
        except Stopped:
            return gr.skip()
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        drawn = compare(detector, before, after, t_sec, one)
        return {self.panel.shown: drawn, self.panel.take: gr.Button(interactive=True)}

    def walk(self, visit: Visit, detector: Detector, image: Any, one: Perturbation) -> Trace:
        """The trace of an image, uint8 (H, W, 3), at the present k.

        Raises:
            Stopped: the visitor waits for another strength or another k, or for none.
        """
        assert visit.shown is not None
        traces = self.inspector.context.traces
        now = (visit.session, visit.shown.k, visit.shown.image, visit.source)
        wanted_here = traces.turns.wants(*now)  # not so after Stop, which says nothing of the panel

        def report(done: int, total: int) -> None:
            moved_on = wanted_here and not traces.turns.wants(*now)
            if moved_on or not self.turns.wants(visit.session, hash(one)):
                raise Stopped
            visit.progress((done, total), desc=f"{one.label}: step {done} of {total}", unit="steps")

        return traces.walk(detector, image, visit.shown.k, None, report)

    def take(self, visit: Visit, name: Any, strength: Any) -> Updates:
        """The perturbed version becomes the image under inspection; the panel goes back to nothing."""
        one = named(name, strength)
        if visit.shown is None or one.strength is None:
            return gr.skip()
        image = perturb(visit.shown.image, one)
        notes = (*visit.shown.notes, f"re-saved here: {one.label}")
        shown = replace(visit.shown, image=image, notes=notes, example="", edited=True)
        try:
            updates = self.inspector.analyse(visit, self.inspector.detector(visit.source), shown)
        except Stopped:
            return gr.skip()
        panel = {
            self.panel.kind: NONE.name,
            self.panel.strength: gr.Slider(visible=False),
            self.panel.shown: NOTHING,
            self.panel.take: gr.Button(interactive=False),
        }
        return updates | {self.inspector.parts.photo: enlarge(image)} | panel


def wire(panel: Panel, inspector: Inspector, view: list[Any], walking: gr.HTML) -> gr.events.Dependency:
    """Connect the panel.

    Args:
        view: state and switches, as `visited` takes them.
        walking: shows how far a walk of the image under inspection is.

    Returns:
        The event that takes a version over.
    """
    on, asked = Resaver(inspector, panel), [panel.kind, panel.strength]
    showing: dict[str, Any] = {
        "fn": visited(on.show),
        "inputs": [*asked, *view],
        "outputs": [panel.shown, panel.take],
        "preprocess": False,
        "trigger_mode": "always_last",
        "show_progress_on": panel.shown,
        "api_visibility": "private",
        **NETWORK,
    }
    quick: dict[str, Any] = {"queue": False, "preprocess": False, "trigger_mode": "multiple", **LIGHT}
    panel.box.expand(on.wish, asked, **quick).then(**showing)
    panel.box.collapse(on.fold, **quick)
    panel.kind.input(on.choose, panel.kind, panel.strength, **quick).then(**showing)
    panel.shown.select(on.wish, asked, **quick)  # comes first, see `inspect_tab`
    panel.shown.select(**showing)
    only(inspector.parts.verdicts.change, "open", "resave")(**showing)  # another image, k, T_SEC or detector
    everything = [*inspector.parts.all(), panel.kind, panel.strength, panel.shown, panel.take]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress_on": walking, **NETWORK}
    return panel.take.click(visited(on.take), [*asked, *view], everything, preprocess=False, **quiet)


def compare(detector: Detector, before: Trace, after: Trace, t_sec: int, one: Perturbation) -> Markup:
    """Two versions of one image: the pictures, their difference, and what the detector says of each."""
    gap, gain = difference(after.points[0].x, before.points[0].x)
    amplified = f", amplified {gain:,} times" if gain > 1 else ""
    then, now = detector.judge(before, t_sec), detector.judge(after, t_sec)
    return render(
        "resaved.html",
        outcome=outcome(then, now),
        pictures=[
            (before.image, "the image as it is", "The image as it is", "as it is"),
            (after.image, one.label, f"The image, {one.label}", one.label),
            (
                gap,
                f"difference{amplified}; gray is none",
                f"Difference of the two{amplified}",
                f"difference \N{MULTIPLICATION SIGN}{gain:,}" if gain > 1 else "difference",
            ),
        ],
        where=where(now),
        about=FAMILIES[one.name].about,
        size=detector.size,
        **table(then, now),
    )


def verdicts(judgement: Judgement) -> dict[str, Verdict | None]:
    """Both of them by name."""
    return {"STAT": judgement.stat, "NN": judgement.nn}


def outcome(then: Judgement, now: Judgement) -> Markup:
    """In a sentence, which verdicts hold."""
    changed: list[tuple[str, str, str]] = []
    held: list[str] = []
    silent: list[str] = []
    for (name, before), after in zip(verdicts(then).items(), verdicts(now).values(), strict=True):
        if before is not None and after is not None:
            words = headline(before)[0], headline(after)[0]
            if before.call == after.call == Call.OUTSIDE:
                silent.append(name)
            else:
                if words[0] == words[1]:
                    held.append(name)
                else:
                    changed.append((name, *words))
    return render(
        "resave_outcome.html",
        changed=changed,
        held=held,
        silent=silent,
        OUTSIDE=Call.OUTSIDE,
    )


def table(then: Judgement, now: Judgement) -> dict[str, Any]:
    """Verdicts and scores before and after, as `resaved_table.html` wants them."""
    rows = [
        {
            "name": name,
            "calls": [headline(before), headline(after)],
            "scores": [before.score, after.score] if name == "NN" else [],
        }
        for (name, before), after in zip(verdicts(then).items(), verdicts(now).values(), strict=True)
        if before is not None and after is not None
    ]
    change = now.t_error / then.t_error - 1 if then.t_error else 0.0
    moved = f"{change:+.0%}".replace("-", "\N{MINUS SIGN}")
    after_stat = bool(then.stat and now.stat)
    return {
        "rows": rows,
        "errors": {"then": then.t_error, "now": now.t_error, "moved": moved, "after_stat": after_stat},
    }

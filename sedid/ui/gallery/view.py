"""The grid of the reference set as HTML. Pure functions."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from sedid.detector.detector import Call, Detector
from sedid.jobs.console import duration
from sedid.method.diffusion import pair_in_words
from sedid.progress import Progress
from sedid.report.pictures import number
from sedid.report.verdict import CALLS
from sedid.studies.reference_scores import Judged
from sedid.ui.gallery.reference import Reference, opposite, outcome
from sedid.ui.html import render
from sedid.ui.known import Known, same_checkpoint

PAGE = 60  # pictures
MARKS = {"right": "✓", "wrong": "✗", Call.UNDECIDED: "?", Call.OUTSIDE: "∉", "": "-"}
INSPECT, LEFT, RIGHT = "inspect", "a", "b"
"""Where a click takes a picture."""
WHERE = {INSPECT: "Inspect it", LEFT: "Compare it as A", RIGHT: "Compare it as B"}


def ink(call: Call | None) -> str:
    """The style class of a call's colour."""
    return "sed-note" if call is None else f"sed-ink-{CALLS[call][1]}"


def in_words(row: Judged) -> str:
    """Label, scores and verdicts of a picture, for those who do not see it."""
    said = [f"{row.label} image {row.place + 1}", f"t-error {number(row.t_error)}"]
    said += [f"STAT says {_said(row.stat, row.label)}" if row.stat else "STAT not calibrated"]
    if row.nn is not None:
        said.append(f"NN {row.probability:.0%}, says {_said(row.nn, row.label)}")
    return "; ".join(said)


def _said(call: Call, label: str) -> str:
    return ", ".join(dict.fromkeys((call, outcome(call, label))))


def card(reference: Reference, place: int, click: str) -> dict[str, Any]:
    """What one picture's button shows (`gallery_grid.html`)."""
    row = reference.rows[place]
    scores = [("STAT", number(row.t_error), ink(row.stat), MARKS[outcome(row.stat, row.label)])]
    if row.probability is not None:
        scores.append(("NN", f"{row.probability:.0%}", ink(row.nn), MARKS[outcome(row.nn, row.label)]))
    return {
        "place": place,
        "row": row,
        "words": f"{WHERE[click]}: {in_words(row)}",
        "image": reference.image(row),
        "scores": scores,
    }


def tallies(rows: Sequence[Judged]) -> list[tuple[str, Counter[str]]]:
    """How often each verdict is right among the pictures shown, of those that were given."""
    return [
        (name, Counter(outcome(getattr(row, key), row.label) for row in rows))
        for name, key in (("STAT", "stat"), ("NN", "nn"))
        if any(getattr(row, key) for row in rows)
    ]


def grid(reference: Reference, places: Sequence[int], page: int, click: str) -> Markup:
    """One page of pictures, with what is true of all of them.

    Args:
        places: those to show, in order.
        page: from 0; one that does not exist is the nearest that does.
        click: INSPECT, LEFT or RIGHT.
    """
    if not places:
        return Markup(
            '<div class="sed-state"><b>No picture fits these filters.</b><br>Choose another label or verdict.</div>'
        )
    pages = -(-len(places) // PAGE)
    page = min(max(page, 0), pages - 1)
    shown, rows = places[page * PAGE : (page + 1) * PAGE], [reference.rows[place] for place in places]
    return render(
        "gallery_grid.html",
        first=page * PAGE + 1,
        last=page * PAGE + len(shown),
        total=len(places),
        tallies=tallies(rows),
        undecided=Call.UNDECIDED,
        outside=Call.OUTSIDE,
        disagree=sum(opposite((row.stat, row.nn)) for row in rows),
        inspect=click == INSPECT,
        cards=[card(reference, place, click) for place in shown],
        page=page,
        pages=pages,
    )


def legend(detector: Detector, known: Known) -> Markup:
    """Whose pictures these are, who judged them, and what the numbers and marks on them mean."""
    k, t_sec = detector.pair()
    nn = detector.nn
    return render(
        "gallery_legend.html",
        detector=detector,
        k=k,
        t_sec=t_sec,
        stat=detector.stat.get((k, t_sec)),
        nn=nn,
        nn_at="" if nn is None else pair_in_words(nn.k, nn.t_sec),
        marks=[(kind, mark) for kind, mark in MARKS.items() if kind],
        real=ink(Call.REAL),
        generated=ink(Call.GENERATED),
        known=known,
        same=same_checkpoint(detector),
    )


def left(progress: Progress) -> str:
    """The time left, in words; "" where nothing is known of it."""
    return duration(progress.eta_seconds) if progress.per_second else ""


def unscored(detector: Detector, why: str, computing: Progress | None) -> Markup:
    """What stands in for the grid until there are scores."""
    return render(
        "gallery_unscored.html",
        computing=computing,
        left=left(computing) if computing else "",
        why=why,
        k=detector.pair()[0],
    )

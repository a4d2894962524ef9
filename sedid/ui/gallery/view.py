"""The grid of the reference set as HTML. Pure functions."""

from collections import Counter
from collections.abc import Sequence

from sedid.detector.detector import Call, Detector
from sedid.jobs.console import duration
from sedid.method.diffusion import pair_in_words
from sedid.progress import Progress
from sedid.report.pictures import data_uri, number, percent, text
from sedid.report.verdict import CALLS
from sedid.studies.reference_scores import Judged
from sedid.ui.gallery.reference import Reference, opposite, outcome
from sedid.ui.learn.quiz import same_checkpoint

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


def card(reference: Reference, place: int, click: str) -> str:
    """One picture as a button."""
    row = reference.rows[place]
    words = text(f"{WHERE[click]}: {in_words(row)}")
    action = 'class="gal-card res-open"' if click == INSPECT else f'class="gal-card" data-send="" data-pick="{place}"'
    nn = ""
    if row.probability is not None:
        nn = (
            f"<span><small>NN</small> {row.probability:.0%} "
            f'<b class="{ink(row.nn)}">{MARKS[outcome(row.nn, row.label)]}</b></span>'
        )
    return (
        f'<button type="button" {action} aria-label="{words}" title="{words}">'
        f'<img src="{data_uri(reference.image(row))}" alt="">'
        f'<span class="gal-label gal-{row.label}">{row.label} {row.place + 1}</span>'
        f"<span><small>STAT</small> {number(row.t_error)} "
        f'<b class="{ink(row.stat)}">{MARKS[outcome(row.stat, row.label)]}</b></span>{nn}</button>'
    )


def tally(rows: Sequence[Judged]) -> str:
    """How often each verdict is right among the pictures shown."""
    parts = []
    for name, key in (("STAT", "stat"), ("NN", "nn")):
        counts = Counter(outcome(getattr(row, key), row.label) for row in rows)
        if any(getattr(row, key) for row in rows):
            outside = f", {Call.OUTSIDE} {counts[Call.OUTSIDE]}" if counts[Call.OUTSIDE] else ""
            parts.append(
                f"<b>{name}</b> right {counts['right']}, wrong {counts['wrong']}, "
                f"{Call.UNDECIDED} {counts[Call.UNDECIDED]}{outside}"
            )
    disagree = sum(opposite((row.stat, row.nn)) for row in rows)
    return " &middot; ".join([*parts, f"the two disagree on {disagree}"] if len(parts) == 2 else parts)


def pager(page: int, pages: int, name: str) -> str:
    """Buttons to the pages before and after this one (from 0); nothing where there is only one.

    Args:
        name: begins the buttons' ids, by which the focus finds them again.
    """
    if pages < 2:
        return ""

    def button(words: str, to: int, step: str) -> str:
        off = "" if 0 <= to < pages else " disabled"
        return f'<button type="button" class="gal-button" id="{name}-{step}" data-send="" data-page="{to}"{off}>{words}</button>'

    return (
        f'<nav class="gal-pages" aria-label="Pages">{button("&laquo; First", 0 if page else -1, "first")}{button("&lsaquo; Previous", page - 1, "previous")}'
        f"<span>Page {page + 1} of {pages}</span>{button('Next &rsaquo;', page + 1, 'next')}"
        f"{button('Last &raquo;', pages - 1 if page < pages - 1 else -1, 'last')}</nav>"
    )


def grid(reference: Reference, places: Sequence[int], page: int, click: str) -> str:
    """One page of pictures, with what is true of all of them.

    Args:
        places: those to show, in order.
        page: from 0; one that does not exist is the nearest that does.
        click: INSPECT, LEFT or RIGHT.
    """
    if not places:
        return '<div class="sed-state"><b>No picture fits these filters.</b><br>Choose another label or verdict.</div>'
    pages = -(-len(places) // PAGE)
    page = min(max(page, 0), pages - 1)
    first, shown = page * PAGE, places[page * PAGE : (page + 1) * PAGE]
    cards = "".join(card(reference, place, click) for place in shown)
    count = f"{first + 1}&ndash;{first + len(shown)} of {len(places):,}"
    return (
        f'<p class="gal-count" role="status"><b>{count}</b> pictures. {tally([reference.rows[place] for place in places])}.</p>'
        f'<div class="gal-grid">{cards}</div>{pager(page, pages, "gal-page")}'
    )


def legend(detector: Detector) -> str:
    """What the numbers and marks on the pictures mean."""
    k, t_sec = detector.pair()
    stat = detector.stat.get((k, t_sec))
    means = "" if stat is None else f", where a {stat.polarity} one means generated"
    nn = detector.nn
    classifier = "" if nn is None else (
        f"; <b>NN</b>: probability of “generated” at {pair_in_words(nn.k, nn.t_sec)}"
    )  # fmt: skip
    unused = " None of these pictures trained or calibrated the shipped detector." if same_checkpoint(detector) else ""
    marks = " ".join(f"<span>{MARKS[kind]} {kind}</span>" for kind in MARKS if kind)
    return (
        f'<p class="sed-legend"><span><i class="sed-key gal-key gal-real"></i>real photograph</span>'
        f'<span><i class="sed-key gal-key gal-generated"></i>generated</span>{marks}'
        f'<span>colour of a mark: called <b class="{ink(Call.REAL)}">real</b> or <b class="{ink(Call.GENERATED)}">generated</b></span></p>'
        f'<details class="sed-details"><summary>What the numbers mean</summary><p>What {text(detector.name)} says of each picture. '
        f"<b>STAT</b>: the t-error at k = {k}, T_SEC = {t_sec}{means}{classifier}. "
        f"Disagreement: how far apart the two place a picture when all are ranked by each.{unused}</p></details>"
    )


def meter(progress: Progress, stopped: bool = False) -> str:
    """A bar with the time left."""
    share = progress.done / max(progress.total, 1)
    left = f", {duration(progress.eta_seconds)} left" if progress.per_second and not stopped else ""
    return (
        f'<p class="gal-count">{text(progress.stage.capitalize())}: {progress.done:,} of {progress.total:,} {text(progress.unit)}{left}</p>'
        f'<div class="sed-meter" role="progressbar" aria-label="Progress" aria-valuenow="{100 * share:.0f}" '
        f'aria-valuemin="0" aria-valuemax="100"><i style="width:{percent(share)}"></i></div>'
    )


def unscored(detector: Detector, why: str, computing: Progress | None) -> str:
    """What stands in for the grid until there are scores."""
    if computing is not None:
        return (
            f'<div class="sed-state">{meter(computing)}<p>The grid appears here when all are scored, for every visitor. '
            "You may look at other tabs meanwhile.</p></div>"
        )
    found = f" Scores were found, but {text(why)}." if why else ""
    return (
        '<div class="sed-state"><b>This detector has not scored the reference set yet.</b><br>'
        f"The set is 500 CIFAR-10 photographs and 500 pictures made by the shipped CIFAR-10 model. Each is walked once along k = {detector.pair()[0]}; "
        f"then they can be sorted by score and by who is wrong.{found}<br>"
        "The button below does it now. To keep the scores: <code>python -m sedid gallery --set detector=FOLDER</code>.</div>"
    )

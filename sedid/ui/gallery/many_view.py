"""A batch as HTML: progress, counts and the table. Pure functions."""

import base64

from sedid.detector.detector import Call
from sedid.detector.words import where
from sedid.method.diffusion import pair_in_words
from sedid.report.pictures import number, text
from sedid.ui.gallery.many import MOST, UNPACKED, Batch, Line
from sedid.ui.gallery.view import ink, meter, pager

PAGE = 100  # rows
COLUMNS = (
    ("", ""),
    ("name", "File"),
    ("stat", "t-error"),
    ("stat call", "STAT"),
    ("nn", "Probability"),
    ("nn call", "NN"),
    ("", "Notes"),
)
"""What each column is sorted by ("" for nothing), and its heading."""
EMPTY = (
    '<div class="sed-state"><b>Judge a whole folder of pictures at once.</b><br>Drop images or a .zip of images above, then press Judge. '
    f"Each gets a row with both verdicts; a file that cannot be read gets a row that says why. At most {MOST} pictures at once, "
    f"20 MB a file, {UNPACKED // 10**6} MB unpacked. Files are deleted within an hour or so and not kept anywhere.</div>"
)
GONE = '<div class="sed-state"><b>This batch is gone.</b><br>Press Judge again.</div>'


def head(batch: Batch) -> str:
    """The headings, as buttons that sort."""
    cells = []
    for column, words in COLUMNS:
        if not column:
            cells.append(f'<th scope="col">{words}</th>' if words else "<th></th>")
            continue
        here = column == batch.order
        direction = ("descending" if batch.descending else "ascending") if here else "none"
        arrow = (" ▾" if batch.descending else " ▴") if here else ""
        identity = f"batch-by-{column.replace(' ', '-')}"
        cells.append(
            f'<th scope="col" aria-sort="{direction}"><button type="button" id="{identity}" data-send="" data-sort="{column}">{words}{arrow}</button></th>'
        )
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def row(line: Line) -> str:
    """One file."""
    name = text(line.name)
    if line.judgement is None:
        return f'<tr><td></td><td class="gal-name">{name}</td><td class="gal-notes gal-refused" colspan="5">{text(line.refused)}</td></tr>'
    stat, nn = (line.call(method) for method in ("STAT", "NN"))
    said = "; ".join([f"STAT {stat}" if stat else "STAT not calibrated", *([f"NN {nn}"] if nn else [])])
    probability = f"{line.judgement.nn.score:.0%}" if line.judgement.nn else ""
    notes = [f"<b>{mark}</b>" for mark in ["the two disagree"] if line.disagree] + [text(note) for note in line.notes]
    return (
        f'<tr data-row=""><td><button type="button" class="res-open" aria-label="Inspect {name}; {text(said)}"><img src="{line.seen}" alt=""></button></td>'
        f'<td class="gal-name">{name}</td><td data-name="t-error">{number(line.judgement.t_error)}</td><td data-name="STAT">{called(stat)}</td>'
        f'<td data-name="probability">{probability}</td><td data-name="NN">{called(nn)}</td><td class="gal-notes">{"; ".join(notes)}</td></tr>'
    )


def called(call: Call | None) -> str:
    """A call in its colour."""
    return '<span class="sed-note">not calibrated</span>' if call is None else f'<b class="{ink(call)}">{call}</b>'


def summary(batch: Batch) -> str:
    """What came out so far."""
    refused = sum(line.judgement is None for line in batch.lines)
    parts = [f"<b>{len(batch.lines) - refused}</b> judged"]
    for method, counts in batch.counts().items():
        said = ", ".join(f"{counts[name]} {name}" for name in Call if counts[name])
        parts += [f"<b>{method}</b> {said}"] if said else []
    disagree = sum(line.disagree for line in batch.lines)
    parts += [f"the two disagree on {disagree}"] if disagree else []
    parts += [f"{refused} could not be read"] if refused else []
    parts += [f"{batch.left_out:,} more were left out: at most {MOST} at once"] if batch.left_out else []
    parts += [f"stopped, {batch.total - len(batch.lines)} not looked at"] if batch.stopped else []
    return " &middot; ".join(parts)


def download(batch: Batch) -> str:
    """A link that holds the whole table: no file is written for it."""
    packed = base64.b64encode(batch.table().encode("utf-8", "backslashreplace")).decode()
    return f'<a class="gal-button" download="sedid-scores.csv" href="data:text/csv;charset=utf-8;base64,{packed}">Download as CSV</a>'


def batch_html(batch: Batch) -> str:
    """The batch as it stands."""
    state = "" if batch.done else meter(batch.progress())
    if not batch.lines:
        return state or '<div class="sed-state">Nothing was judged.</div>'
    ordered, pages = batch.ordered(), -(-len(batch.lines) // PAGE)
    page = min(max(batch.page, 0), pages - 1)
    rows = "".join(row(line) for line in ordered[page * PAGE : (page + 1) * PAGE])
    link = download(batch) if batch.done else ""
    judged = next((line.judgement for line in batch.lines if line.judgement), None)
    at = where(judged) if judged else pair_in_words(batch.k, batch.t_sec)
    return (
        f'{state}<div class="gal-bar"><p class="gal-count" role="status">{summary(batch)}.</p>{link}</div>'
        f'<table class="gal-table">{head(batch)}<tbody>{rows}</tbody></table>{pager(page, pages, "batch-page")}'
        f'<p class="sed-fine">At {at}. A click on a row opens the picture in Inspect, as the detector saw it. '
        "A heading sorts.</p>"
    )

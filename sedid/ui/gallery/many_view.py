"""A batch as HTML: progress, counts and the table. Pure functions."""

import base64

from markupsafe import Markup

from sedid.detector.detector import Call
from sedid.detector.words import where
from sedid.method.diffusion import pair_in_words
from sedid.ui.gallery.many import MOST, UNPACKED, Batch, Line
from sedid.ui.gallery.view import ink, left
from sedid.ui.html import render

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


def counted(batch: Batch) -> list[str]:
    """What there is to say of a batch besides its verdicts."""
    disagree = sum(line.disagree for line in batch.lines)
    refused = sum(line.judgement is None for line in batch.lines)
    said = [f"the two disagree on {disagree}"] if disagree else []
    said += [f"{refused} could not be read"] if refused else []
    said += [f"{batch.left_out:,} more were left out: at most {MOST} at once"] if batch.left_out else []
    return said + ([f"stopped, {batch.total - len(batch.lines)} not looked at"] if batch.stopped else [])


def row(line: Line) -> tuple[Line, Call | None, Call | None, str]:
    """One file, its calls, and both in words."""
    if line.judgement is None:
        return line, None, None, ""
    stat, nn = (line.call(method) for method in ("STAT", "NN"))
    said = [f"STAT {stat}" if stat else "STAT not calibrated", *([f"NN {nn}"] if nn else [])]
    return line, stat, nn, "; ".join(said)


def batch_html(batch: Batch, other: str = "") -> Markup:
    """The batch as it stands. The whole table travels in its link: no file is written for it.

    Args:
        other: the detector in use, if it is another than the one that judged the batch.
    """
    ordered, pages = batch.ordered(), max(-(-len(batch.lines) // PAGE), 1)
    page = min(max(batch.page, 0), pages - 1)
    judged = [line.judgement for line in batch.lines if line.judgement]
    calls = [
        (method, ", ".join(f"{counts[name]} {name}" for name in Call if counts[name]))
        for method, counts in batch.counts().items()
    ]
    progress = batch.progress()
    table = base64.b64encode(batch.table().encode("utf-8", "backslashreplace")).decode() if batch.done else ""
    return render(
        "batch.html",
        batch=batch,
        other=other,
        progress=progress,
        left=left(progress),
        rows=[row(line) for line in ordered[page * PAGE : (page + 1) * PAGE]],
        judged=len(judged),
        counts=[(method, said) for method, said in calls if said],
        more=counted(batch),
        table=table,
        columns=COLUMNS,
        ink=ink,
        page=page,
        pages=pages,
        at=where(judged[0]) if judged else pair_in_words(batch.k, batch.t_sec),
    )

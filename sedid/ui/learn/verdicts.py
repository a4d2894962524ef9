"""Steps 7 and 8 of the lesson: STAT against NN, and where both fail."""

from io import BytesIO

import numpy as np

from sedid.detector.detector import Call, Judgement, Verdict
from sedid.detector.words import own_t_sec
from sedid.report.curve import among_references
from sedid.report.filmstrip import picture
from sedid.report.pictures import data_uri, number, text, visible
from sedid.report.verdict import headline
from sedid.ui.learn.error import UNCALIBRATED
from sedid.ui.learn.frames import Frame, chooser
from sedid.ui.learn.lesson import Lesson


def call(method: str, verdict: Verdict | None, judgement: Judgement) -> str:
    """One verdict on one line."""
    words, style = headline(verdict)
    if method == "NN":
        score = "" if verdict is None else f"probability of generated {verdict.score:.0%}{own_t_sec(judgement)}"
    else:
        score = f"t-error {number(judgement.t_error)}"
    return f'<p class="learn-call sed-call-{style}"><b>{method}</b><strong>{words}</strong><small>{score}</small></p>'


def calls(judgement: Judgement) -> str:
    """Both verdicts."""
    return (
        f'<div class="learn-calls">{call("STAT", judgement.stat, judgement)}{call("NN", judgement.nn, judgement)}</div>'
    )


def versus_step(lesson: Lesson) -> str:
    """What each method sees of a few examples, both verdicts, and the measured figures."""
    if not lesson.calibrated():
        return UNCALIBRATED
    subjects = lesson.some(3)
    traces, frames, faces = lesson.traces(subjects, lesson.k), [], []
    for subject, trace in zip(subjects, traces, strict=True):
        judgement = lesson.judge(trace)
        at = judgement.nn.calibration.t_sec if judgement.nn else lesson.t_sec
        near, _ = trace.step(at)
        seen = "one number: no calibration here"
        if judgement.stat is not None:
            seen = among_references(judgement.stat.calibration, judgement.t_error, "t-error").html()
        pair = "".join(
            picture(data_uri(visible(image)), words, words.capitalize(), caption)
            for image, words, caption in (
                (near.x, f"x̃ at t = {near.t}", f"x̃ at t = {near.t}"),
                (trace.denoised(at), f"ψ: one step back to t = {near.t}", f"ψ({at} → {near.t})"),
            )
        )
        truth = f'<p class="learn-truth">Truth: <b class="{subject.ink}">{subject.origin or "unknown"}</b></p>'
        body = (
            f'{truth}<div class="learn-columns"><div><h4>STAT sees one number</h4>{seen}</div>'
            f'<div><h4>NN sees two images{own_t_sec(judgement)}</h4><div class="learn-two">{pair}</div></div></div>{calls(judgement)}'
        )
        frames.append(Frame(subject.name, subject.title, body))
        faces.append(
            f'<img src="{data_uri(subject.image)}" alt=""><small class="{subject.ink}">{subject.origin}</small>'
        )
    start = next(place for place, subject in enumerate(subjects) if subject.name == lesson.subject.name)
    return chooser(frames, "An image", faces, start) + measured_table(lesson)


def measured_table(lesson: Lesson) -> str:
    """Both methods on held-out test images, as detector.json states them."""
    rows = []
    for name, part in (("STAT", "stat"), ("NN", "nn")):
        found = lesson.measured(part)
        if found:
            cells = [found["auc"], found["acc"], found["tpr_at_1"]]
            shown = "".join(f"<td>{'n/a' if value is None else f'{value:.3f}'}</td>" for value in cells)
            rows.append((found, f"<tr><th>{name}</th>{shown}</tr>"))
    if not rows:
        return '<p class="sed-note">This detector has not been evaluated on test images.</p>'
    counts = f"{rows[0][0]['real']:,} real and {rows[0][0]['generated']:,} generated"
    return (
        '<table class="learn-table"><thead><tr><th>method</th><th>AUC</th><th>accuracy</th><th>found at 1 % false alarms</th></tr></thead>'
        f"<tbody>{''.join(row for _, row in rows)}</tbody></table>"
        f'<p class="sed-fine">On {counts} test images that calibrated nothing; thresholds from the calibration images.</p>'
    )


def variants(image: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """(name, words, uint8 image) of pictures the detector was not made for, most of them made from one image."""
    from PIL import Image

    size, picture_of = len(image), Image.fromarray(image)
    buffer = BytesIO()
    picture_of.save(buffer, "JPEG", quality=30)
    half = picture_of.resize((max(1, size // 2),) * 2, Image.Resampling.BILINEAR)
    levels = image.astype(np.float32)
    y, x = np.mgrid[0:size, 0:size] / size
    drawing = np.full((size, size, 3), (250, 244, 230), np.uint8)
    drawing[(x - 0.5) ** 2 + (y - 0.45) ** 2 < 0.09] = (222, 60, 40)
    drawing[y > 0.8] = (40, 130, 90)
    noise = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    return [
        ("same", "as it is", image),
        ("darker", "60 % as bright", (0.6 * levels).astype(np.uint8)),
        ("brighter", "brighter", (255 - 0.6 * (255 - levels)).astype(np.uint8)),
        ("jpeg", "JPEG, quality 30", np.asarray(Image.open(buffer).convert("RGB"))),
        ("resized", "shrunk to half and back", np.asarray(half.resize((size, size), Image.Resampling.BILINEAR))),
        ("drawing", "a drawing by a program", drawing),
        ("flat", "flat gray", np.full_like(image, 128)),
        ("noise", "pure noise", noise),
    ]


def fail_step(lesson: Lesson) -> str:
    """Both verdicts on pictures they were not made for, and what the leak audit warned of."""
    if not lesson.calibrated():
        return UNCALIBRATED
    found = variants(lesson.subject.image)
    frames, faces, first = [], [], None
    for done, (name, words, image) in enumerate(found):
        lesson.report(done, len(found))
        judgement = lesson.judge(lesson.walk(image, lesson.k))
        first = first or judgement
        shown = picture(data_uri(image), words, f"The picture: {words}", words)
        body = (
            f'<div class="learn-case">{shown}<div>{calls(judgement)}<p>{moral(first, judgement, name)}</p></div></div>'
        )
        frames.append(Frame(name, words, body))
        faces.append(f'<img src="{data_uri(image)}" alt=""><small>{words}</small>')
    return chooser(frames, "What is shown to the detector", faces) + warning(lesson)


def moral(before: Judgement, now: Judgement, name: str) -> str:
    """What the case shows, from the two judgements."""
    lost = [method for method, new in (("STAT", now.stat), ("NN", now.nn)) if new and new.call == Call.OUTSIDE]
    if lost:
        who = "NN" if lost == ["NN"] else "the detector"  # NN's T_SEC may lie further out, where more is ruled out
        return f"A t-error on the way lies outside all the references, so {who} says that it does <b>not know</b>."
    if name == "same":
        return "The image of the walk, unchanged. Compare the others with it."
    flips = [
        method
        for method, old, new in (("STAT", before.stat, now.stat), ("NN", before.nn, now.nn))
        if headline(old)[0] != headline(new)[0]
    ]
    factor = f"E is {now.t_error / before.t_error:.2f} times that of the unchanged image."
    if name in ("drawing", "noise", "flat"):
        return f"No photograph and not by this model, yet within the range of the references: any verdict here means <b>nothing</b>. {factor}"
    if flips:
        return f"The origin of the image is the same, but <b>{' and '.join(flips)}</b> changed the verdict. {factor}"
    return f"Both verdicts stay. {factor}"


def warning(lesson: Lesson) -> str:
    """The leak audit's words, as the bundle has them."""
    said = str((lesson.detector.info.get("stat") or {}).get("leak_warning") or "")
    if not said:
        return ""
    return f'<p class="learn-warning"><b>What the leak audit found in the calibration images:</b> {text(said)}</p>'

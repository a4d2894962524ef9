"""Steps 7 and 8 of the lesson: STAT against NN, and where both fail."""

from io import BytesIO

import numpy as np
from markupsafe import Markup

from sedid.detector.detector import Call, Judgement, Verdict
from sedid.detector.words import own_t_sec
from sedid.report.curve import among_references
from sedid.report.pictures import number, visible
from sedid.report.verdict import headline
from sedid.ui.html import render
from sedid.ui.learn.error import UNCALIBRATED
from sedid.ui.learn.frames import Frame, chooser
from sedid.ui.learn.lesson import Drawing, Lesson


def call(method: str, verdict: Verdict | None, judgement: Judgement) -> Markup:
    """One verdict on one line."""
    words, style = headline(verdict)
    if method == "NN":
        score = "" if verdict is None else f"probability of generated {verdict.score:.0%}{own_t_sec(judgement)}"
    else:
        score = f"t-error {number(judgement.t_error)}"
    return render("lesson_call.html", method=method, words=words, style=style, score=score)


def calls(judgement: Judgement) -> Markup:
    """Both verdicts."""
    return call("STAT", judgement.stat, judgement) + call("NN", judgement.nn, judgement)


def versus_step(lesson: Lesson) -> Drawing:
    """What each method sees of a few examples, both verdicts, and the measured figures."""
    if not lesson.calibrated():
        return UNCALIBRATED
    subjects, frames, faces = lesson.some(3), [], []
    traces = yield from lesson.traces_of(subjects)
    for subject, trace in zip(subjects, traces, strict=True):
        judgement = lesson.judge(trace)
        at = judgement.nn.calibration.t_sec if judgement.nn else lesson.t_sec
        near, _ = trace.step(at)
        chart = judgement.stat and among_references(judgement.stat.calibration, judgement.t_error, "t-error")
        body = render(
            "lesson_versus.html",
            subject=subject,
            chart=chart,
            own_t_sec=own_t_sec(judgement),
            at=at,
            near=near.t,
            before=visible(near.x),
            denoised=visible(trace.denoised(at)),
            calls=calls(judgement),
        )
        frames.append(Frame(subject.name, subject.title, body))
        faces.append((subject.image, subject.origin, subject.ink))
    start = next(place for place, subject in enumerate(subjects) if subject.name == lesson.subject.name)
    return chooser(frames, "An image", faces, start) + measured_table(lesson)


def measured_table(lesson: Lesson) -> Markup:
    """Both methods on held-out test images, as detector.json states them."""
    rows = [(name, lesson.measured(part)) for name, part in (("STAT", "stat"), ("NN", "nn"))]
    return render("lesson_measured.html", rows=[row for row in rows if row[1]])


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


def fail_step(lesson: Lesson) -> Drawing:
    """Both verdicts on pictures they were not made for, and what the leak audit warned of."""
    if not lesson.calibrated():
        return UNCALIBRATED
    found = variants(lesson.subject.image)
    judgements = [lesson.judge(trace) for trace in (yield from lesson.traces([(one[2], lesson.k) for one in found]))]
    frames, faces = [], []
    for (name, words, image), judgement in zip(found, judgements, strict=True):
        body = render(
            "lesson_case.html",
            image=image,
            words=words,
            calls=calls(judgement),
            moral=moral(judgements[0], judgement, name),
        )
        frames.append(Frame(name, words, body))
        faces.append((image, words, ""))
    return chooser(frames, "What is shown to the detector", faces) + warning(lesson)


def moral(before: Judgement, now: Judgement, name: str) -> Markup:
    """What the case shows, from the two judgements."""
    lost = [method for method, new in (("STAT", now.stat), ("NN", now.nn)) if new and new.call == Call.OUTSIDE]
    flips = [
        method
        for method, old, new in (("STAT", before.stat, now.stat), ("NN", before.nn, now.nn))
        if headline(old)[0] != headline(new)[0]
    ]
    return render(
        "lesson_moral.html",
        # NN's T_SEC may lie further out, where more is ruled out
        lost=lost and ("NN" if lost == ["NN"] else "the detector"),
        name=name,
        flips=flips,
        factor=now.t_error / before.t_error if before.t_error else float("nan"),
    )


def warning(lesson: Lesson) -> Markup:
    """The leak audit's words, as the bundle has them."""
    said = str((lesson.detector.info.get("stat") or {}).get("leak_warning") or "")
    return render("lesson_audit.html", said=said)

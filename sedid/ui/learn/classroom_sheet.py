"""The classroom sheet: printable exercises, each with the link that opens its figure, and the teacher's key.

Both are HTML files that need nothing else. The key is computed from the detector at hand, never typed in.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

import numpy as np
from markupsafe import Markup

from sedid.detector.detector import Judgement
from sedid.detector.words import where
from sedid.progress import finish
from sedid.report.pictures import data_uri, number
from sedid.report.style import css
from sedid.report.verdict import headline
from sedid.ui import LOCAL
from sedid.ui.html import render
from sedid.ui.learn.lesson import Lesson, Subject
from sedid.ui.learn.noise import power, predictions
from sedid.ui.learn.verdicts import variants
from sedid.ui.menu import DEFAULT


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        title, question: what to do.
        link: the address that opens its figure, without the app's own part.
        answer: of the key, HTML.
        lines: room for the answer.
        table: to fill in, HTML.
    """

    title: str
    question: str
    link: dict[str, str | int]
    answer: str
    lines: int = 2
    table: str = ""


def words(judgement: Judgement) -> tuple[str, str]:
    """What STAT and NN say."""
    return headline(judgement.stat)[0], headline(judgement.nn)[0]


def learn(step: int, example: Subject, **more: str | int) -> dict[str, str | int]:
    """The link to a step of the lesson."""
    return {"tab": "learn", "step": step, "example": example.name, **more}


def exercises(lesson: Lesson) -> list[Exercise]:
    """The exercises and what this detector answers.

    Args:
        lesson: with the image most exercises are about.
    """
    schedule, k, t_sec, one = lesson.detector.schedule, lesson.k, lesson.t_sec, lesson.subject
    trace, words = lesson.walk(one.image, k), schedule.words
    weights = [schedule.weight(t - k, t) for t in trace.t_secs]
    free = [value / weight for value, weight in zip(trace.curve, weights, strict=True)]
    half = next((t for t in range(len(schedule)) if power(schedule, t) < 0.5), len(schedule) - 1)
    found = finish(predictions(lesson))
    read = [found[0], found[len(found) // 2], found[-1]]
    at_t_sec = lesson.judge(trace)
    raw, rest = trace.curve[-1] / trace.curve[0], free[-1] / free[0]
    return [
        Exercise(
            "A world small enough to compute",
            "Set the distance of the hills to 0, so that there is one hill around 0, and choose any T_SEC. Read the t-error with the point at x = 1, "
            "then at x = 2 and x = 3. By which factor does it grow? Is it the same at another T_SEC? What does that mean for pictures "
            "with too little contrast?",
            learn(0, one),
            "By <b>4</b> and by <b>9</b> at every T_SEC (read values are rounded): on one hill the error is the square of how far out the point lies, times a factor "
            "that T_SEC, k and the hill's spread decide. Less contrast, less far out, so a <b>smaller</b> error.",
            3,
        ),
        Exercise(
            "Half of the image",
            f"Move the slider until about half of the image's power is left ({words.power} ≈ 0.5). Which timestep t is it? Can you still tell what is in the image?",
            learn(1, one),
            f"{words.power} falls below 0.5 at t = <b>{half}</b>; the slider stops near it. What can still be told there is for each eye to say.",
        ),
        Exercise(
            "Which noise was it?",
            f"Read the network's mistake at t = {', '.join(str(one.t) for one in read)}. Where is it best, and why is that the easy end?",
            learn(2, one),
            "Mistakes: "
            + ", ".join(f"t = {one.t}: <b>{number(one.mistake)}</b>" for one in read)
            + ". The more noise there "
            "is, the more of what the network sees <i>is</i> the answer; with little noise it must tell it from fine detail.",
        ),
        Exercise(
            "Counting steps",
            f"The schedule has {len(schedule)} timesteps, and a walk goes in steps of k = {k}. How many values of T_SEC are there? "
            "How many times must the network be evaluated for all of them?",
            learn(3, one),
            f"<b>{len(trace.t_secs)}</b> values ({', '.join(map(str, trace.t_secs))}) and <b>{len(trace.points)}</b> evaluations: one at each "
            "point, the image itself included. The animation takes smaller steps, to show more frames.",
        ),
        Exercise(
            "The t-error in two factors",
            f"At k = {k}, T_SEC = {t_sec}, write down the t-error E, the fixed weight c² and the change of the {words.said}. "
            "Check that E is their product. Which of the three would be the same for another image?",
            {"k": k, "t_sec": t_sec, "example": one.name},
            f"E = <b>{number(at_t_sec.t_error)}</b> = <b>{number(at_t_sec.weight)}</b> &times; <b>{number(at_t_sec.change)}</b>. The weight c² is the "
            "same for every image: it comes from the schedule.",
        ),
        Exercise(
            "A fair comparison",
            f"Compare T_SEC = {trace.t_secs[0]} with T_SEC = {trace.t_secs[-1]} at k = {k}. How many times larger is the raw error? And the weight-free one? "
            "What makes the difference?",
            learn(6, one, t=k),
            f"Raw: <b>{number(trace.curve[0])}</b> and <b>{number(trace.curve[-1])}</b>, a factor of {number(raw)}. Weight-free: <b>{number(free[0])}</b> and "
            f"<b>{number(free[-1])}</b>, a factor of {number(rest)}. c² alone grows by {number(weights[-1] / weights[0])}.",
        ),
        hills(lesson),
        judged(lesson),
        failing(lesson),
    ]


def hills(lesson: Lesson) -> Exercise:
    """Whether the idea holds."""
    calibrations = lesson.calibrated()
    rows = [
        f"{found.t_sec}: {found.polarity} means generated, AUC {measured['auc']:.2f}"
        for found in calibrations
        if (measured := lesson.measured("stat", found.t_sec) or {"auc": found.auc})
    ]
    return Exercise(
        "Smaller for generated images?",
        "The idea of the method is that generated images have the smaller t-error. Compare the two hills at every T_SEC: is it so, and how clearly?",
        learn(5, lesson.subject),
        f"By T_SEC:<br><b>{'<br>'.join(rows)}</b><br>0.50 would be guessing, 1 perfect."
        if rows
        else "This model has no references.",
        3,
    )


def judged(lesson: Lesson) -> Exercise:
    """Guess, then look."""
    subjects = mixed(lesson)
    verdicts = [words(lesson.judge(lesson.walk(subject.image, lesson.k))) for subject in subjects]
    heads = ["image", "my guess", "STAT", "NN", "truth"]
    images = [picture(subject.image, f"Image {place}") for place, subject in enumerate(subjects, 1)]
    key = [(picture(subject.image), subject.origin, *said) for subject, said in zip(subjects, verdicts, strict=True)]
    return Exercise(
        "You against the detector",
        "Guess first. Then open the link, pick the image and fill in the rest. Who was right more often? How often did STAT say nothing?",
        learn(7, lesson.examples[0]),
        table(["image", "truth", "STAT", "NN"], key),
        1,
        table(heads, [(image, "", "", "", "") for image in images]),
    )


def picture(image: np.ndarray, alt: str = "") -> Markup:
    """An image in a cell."""
    return Markup('<img src="{}" alt="{}">').format(data_uri(image), alt)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table; cells are plain text, or `Markup`."""
    return render("sheet_table.html", heads=heads, rows=rows)


def mixed(lesson: Lesson) -> list[Subject]:
    """The examples step 7 shows, in an order that tells nothing: by a hash of their pixels."""
    from hashlib import sha256

    shown = [example for example in lesson.some(3) if example.origin]
    return sorted(shown, key=lambda example: sha256(example.image.tobytes()).digest())


def failing(lesson: Lesson) -> Exercise:
    """What it was not made for."""
    cases, before = [], ("", "")
    for _, name, image in variants(lesson.subject.image):
        said = words(lesson.judge(lesson.walk(image, lesson.k)))
        before = before if before[0] else said
        cases.append((name, said, said != before))
    key = [(name, *said, "changed" if changed else "same") for name, said, changed in cases]
    return Exercise(
        "When it fails",
        "Go through the pictures. Which changes alter a verdict although the origin of the image stays the same? When does the detector say that it does not know?",
        learn(8, lesson.subject),
        table(["picture", "STAT", "NN", "against the first"], key),
        3,
    )


def document(lesson: Lesson, listed: list[Exercise], home: str, key: bool, source: str | None = DEFAULT) -> Markup:
    """One of the two files.

    Args:
        home: the app's address; anything but http(s) is left out.
        key: the teacher's.
        source: as `offer`.
    """
    named = {} if source in (None, DEFAULT) else {"detector": source}
    home = home if home.startswith(("http://", "https://")) else ""
    return render(
        "sheet.html",
        title="SeDID Explorer: " + ("teacher's key" if key else "exercises"),
        style=Markup(css("tokens", "sheet")),
        detector=lesson.detector,
        checkpoint=str(lesson.detector.info.get("checkpoint_sha256", ""))[:12],
        at=where(lesson.judge(lesson.walk(lesson.subject.image, lesson.k))),
        key=key,
        alone=urlsplit(home).hostname in LOCAL,
        qr=qr,
        exercises=[
            (replace(one, answer=Markup(one.answer)), f"{home}?{urlencode(one.link | named)}") for one in listed
        ],
    )


def qr(address: str) -> Markup:
    """An address as a QR code, an inline SVG in the colour of the text."""
    import segno

    code = segno.make(address, error="m", micro=False)
    return Markup(code.svg_inline(scale=2, border=2, svgclass="qr", lineclass=None))


def offer(lesson: Lesson, home: str, source: str | None = DEFAULT) -> Markup:
    """The page from which both files are saved.

    Args:
        source: the detector's key, which the links name; None where a link cannot.
    """
    listed = exercises(lesson)
    files = (
        ("sedid-exercises.html", "Save the exercises", False),
        ("sedid-key.html", "Save the teacher's key", True),
    )
    packed = [
        (name, label, base64.b64encode(document(lesson, listed, home, key, source).encode()).decode())
        for name, label, key in files
    ]
    return render(
        "sheet_offer.html", exercises=listed, files=packed, detector=lesson.detector, linked=source is not None
    )

"""Steps 5 and 6 of the lesson: how large the error is for real and generated images, and where to measure it."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from markupsafe import Markup

from sedid.detector.detector import Calibration, Trace
from sedid.jobs.commands import COMMANDS
from sedid.report.charts.chart import Chart
from sedid.report.charts.scale import Scale, over
from sedid.report.charts.series import Series
from sedid.report.curve import CLASSES, among_references
from sedid.report.sign import by_sampler, named_doses
from sedid.studies.sign import SignResults
from sedid.ui.html import render
from sedid.ui.learn.frames import Frame, scrubber
from sedid.ui.learn.lesson import Drawing, Lesson, Subject
from sedid.ui.results.files import readable

UNCALIBRATED = Markup(
    '<div class="sed-state"><b>This step needs reference images.</b><br>This diffusion model has not been calibrated as a '
    "detector yet: stage 3 of the Train tab does that.</div>"
)


def middle(quantiles: Sequence[float]) -> float:
    """The median of a reference."""
    return float(quantiles[len(quantiles) // 2])


def separation(lesson: Lesson, calibration: Calibration) -> Markup:
    """What the references say of the idea at one T_SEC, in sentences; every number is the detector's own."""
    found = lesson.measured("stat", calibration.t_sec)
    return render(
        "lesson_separation.html",
        real=middle(calibration.real),
        generated=middle(calibration.generated),
        polarity=calibration.polarity,
        found=found,
        auc=found["auc"] if found else calibration.auc,
    )


def size_step(lesson: Lesson) -> Drawing:
    """A real and a generated image beside the references, at every calibrated T_SEC; then the claim over samplers."""
    calibrations = lesson.calibrated()
    if not calibrations:
        return UNCALIBRATED
    subjects, frames = lesson.pair(), []
    traces = yield from lesson.traces_of(subjects)
    for calibration in calibrations:
        columns = []
        for subject, trace in zip(subjects, traces, strict=True):
            error = trace.t_error(calibration.t_sec)
            score = float(error.score)
            chart = among_references(calibration, score, "t-error")
            columns.append((subject, score, float(error.weight), chart))
        body = render("lesson_size.html", columns=columns, said=separation(lesson, calibration))
        frames.append(Frame(str(calibration.t_sec), f"T_SEC = {calibration.t_sec}", body))
    at = [calibration.t_sec for calibration in calibrations]
    start = at.index(lesson.t_sec) if lesson.t_sec in at else 0
    return scrubber(frames, f"T_SEC, k = {lesson.k}", start) + samplers(lesson.detector.folder)


def samplers(folder: Path | None) -> Markup:
    """The claim over samplers of one network, by the study that a bundle brings; without one, that there is none."""
    file = folder and folder / "sedid" / COMMANDS["sign"].results
    if not file or not file.is_file():
        return render("lesson_samplers.html", result=None)
    with readable("sign", file):
        result = SignResults.read(file)
        drawn = by_sampler(result)
        return render(
            "lesson_samplers.html",
            result=result,
            drawn=drawn,
            ways=Counter(way for _, way, _ in drawn),
            noises=sorted(result.rows, key=lambda row: row.noise),
            doses=named_doses(result),
        )


def step_sizes(lesson: Lesson) -> list[int]:
    """Step sizes around the calibrated one that fit the schedule."""
    wanted = (lesson.k // 3, 2 * lesson.k // 3, lesson.k, 2 * lesson.k, 3 * lesson.k)
    return sorted({k for k in wanted if 1 <= k < len(lesson.detector.schedule)})


def curves_of(trace: Trace) -> tuple[list[float], list[float]]:
    """The t-error at every T_SEC, raw and weight-free."""
    return list(trace.curve), list(trace.weight_free)


def choice_step(lesson: Lesson) -> Drawing:
    """The curve over T_SEC at several k, raw and weight-free on fixed axes."""
    subjects, ks, end = lesson.pair(), step_sizes(lesson), len(lesson.detector.schedule)
    walks = [(subject.image, k) for k in ks for subject in subjects]
    traces = iter((yield from lesson.traces(walks)))
    found = {k: list(islice(traces, len(subjects))) for k in ks}
    curves = {k: [curves_of(trace) for trace in traces] for k, traces in found.items()}
    axes = [
        over(name, [v for k in ks for pair in curves[k] for v in pair[which]], log_from=1)
        for which, name in enumerate(("E", "E / c²"))
    ]
    frames = []
    for k in ks:
        charts = [
            Chart(
                title,
                [
                    Series(subject.title, trace.t_secs, pair[which], style(subject), marked=True)
                    for subject, trace, pair in zip(subjects, found[k], curves[k], strict=True)
                ],
                Scale("T_SEC", 0, end),
                axes[which],
                "logarithmic",
            )
            for which, title in enumerate(("Raw t-error E", "Weight-free E / c²"))
        ]
        steps = len(found[k][0].t_secs)
        calibrations = lesson.calibrated(k)
        body = render(
            "lesson_choice.html",
            k=k,
            charts=charts,
            steps=steps,
            calibrations=calibrations,
            best=max(calibrations, key=lambda one: one.auc, default=None),
            own=(lesson.k, lesson.t_sec),
            chosen_by=chosen_by(lesson) if lesson.detector.chosen else "",
        )
        frames.append(Frame(str(k), f"k = {k}: {steps} values of T_SEC", body))
    return scrubber(frames, "Step size k", ks.index(lesson.k))


def style(subject: Subject) -> str:
    """A line in the class's colour, generated dashed as everywhere."""
    return CLASSES.get(subject.origin, "one")


def chosen_by(lesson: Lesson) -> str:
    """How the pair was chosen, in the bundle's own words."""
    return str((lesson.detector.info.get("stat") or {}).get("chosen_by", "calibrated pair"))

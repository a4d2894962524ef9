"""Steps 5 and 6 of the lesson: how large the error is for real and generated images, and where to measure it."""

from collections.abc import Sequence

from sedid.detector.detector import Calibration, Trace
from sedid.report.charts.chart import Chart
from sedid.report.charts.scale import Scale, over
from sedid.report.charts.series import Series
from sedid.report.curve import CLASSES, among_references
from sedid.report.filmstrip import picture
from sedid.report.pictures import data_uri, number, text
from sedid.ui.learn.frames import Frame, scrubber
from sedid.ui.learn.lesson import Lesson, Subject

UNCALIBRATED = (
    '<div class="sed-state"><b>This step needs reference images.</b><br>This diffusion model has not been calibrated as a '
    "detector yet: stage 3 of the Train tab does that.</div>"
)


def portrait(subject: Subject) -> str:
    """The image with its class under it."""
    words = f"{subject.title.capitalize()}"
    return picture(
        data_uri(subject.image), words, words, f'<b class="{subject.ink}">{text(words)}</b>', "learn-portrait"
    )


def middle(quantiles: Sequence[float]) -> float:
    """The median of a reference."""
    return float(quantiles[len(quantiles) // 2])


def separation(lesson: Lesson, calibration: Calibration) -> str:
    """What the references say of the idea at one T_SEC, in sentences; every number is the detector's own."""
    real, generated = middle(calibration.real), middle(calibration.generated)
    side = "smaller" if generated < real else "larger"
    agrees = (
        "as the paper expects" if calibration.polarity == "smaller" else "the other way round than the paper expects"
    )
    found = lesson.measured("stat", calibration.t_sec)
    held = (
        f"AUC {found['auc']:.2f} on {found['real']:,} real and {found['generated']:,} generated test images"
        if found
        else f"AUC {calibration.auc:.2f} on the calibration images"
    )
    auc = found["auc"] if found else calibration.auc
    word = "barely better than guessing" if auc < 0.65 else "of some use" if auc < 0.85 else "a clear separation"
    return (
        f"<p>The middle generated reference has E = {number(generated)}, the middle real one {number(real)}: "
        f"<b>{side}</b> for generated images. On the calibration images a {calibration.polarity} error meant generated, {agrees}. "
        f"How well E alone separates the two: {held}, <b>{word}</b> (0.50 is guessing, 1 is perfect).</p>"
    )


def size_step(lesson: Lesson) -> str:
    """A real and a generated image beside the references, at every calibrated T_SEC."""
    calibrations = lesson.calibrated()
    if not calibrations:
        return UNCALIBRATED
    subjects = lesson.pair()
    traces, frames = lesson.traces(subjects, lesson.k), []
    for calibration in calibrations:
        columns = []
        for subject, trace in zip(subjects, traces, strict=True):
            error = trace.t_error(calibration.t_sec)
            score = float(error.score)
            factors = (
                f'<p class="learn-product"><b>{number(score)}</b> = {number(error.weight)} &times; {number(score / error.weight)}'
                "<br><small>E = c² &times; change of mind</small></p>"
            )
            columns.append(
                f"<div>{portrait(subject)}{factors}{among_references(calibration, score, 't-error').html()}</div>"
            )
        body = f'<div class="learn-columns">{"".join(columns)}</div>{separation(lesson, calibration)}'
        frames.append(Frame(str(calibration.t_sec), f"T_SEC = {calibration.t_sec}", body))
    at = [calibration.t_sec for calibration in calibrations]
    start = at.index(lesson.t_sec) if lesson.t_sec in at else 0
    keys = (
        '<p class="sed-legend"><span><i class="sed-key sed-real"></i>real references</span>'
        '<span><i class="sed-key sed-generated"></i>generated references</span><span>hatched: no verdict</span></p>'
    )
    return scrubber(frames, f"T_SEC, k = {lesson.k}", start) + keys


def step_sizes(lesson: Lesson) -> list[int]:
    """Step sizes around the calibrated one that fit the schedule."""
    wanted = (lesson.k // 3, 2 * lesson.k // 3, lesson.k, 2 * lesson.k, 3 * lesson.k)
    return sorted({k for k in wanted if 1 <= k < len(lesson.detector.schedule)})


def curves_of(trace: Trace) -> tuple[list[float], list[float]]:
    """The t-error at every T_SEC, raw and weight-free."""
    return list(trace.curve), list(trace.weight_free)


def choice_step(lesson: Lesson) -> str:
    """The curve over T_SEC at several k, raw and weight-free on fixed axes."""
    subjects, ks, end = lesson.pair(), step_sizes(lesson), len(lesson.detector.schedule)
    found: dict[int, list[Trace]] = {}
    for done, k in enumerate(ks):
        lesson.report(done, len(ks))
        found[k] = [lesson.walk(subject.image, k) for subject in subjects]
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
            ).html()
            for which, title in enumerate(("Raw t-error E", "Weight-free E / c²"))
        ]
        steps = len(found[k][0].t_secs)
        body = f'<div class="ch-row">{"".join(charts)}</div>{known(lesson, k, steps)}'
        frames.append(Frame(str(k), f"k = {k}: {steps} values of T_SEC", body))
    return scrubber(frames, "Step size k", ks.index(lesson.k))


def style(subject: Subject) -> str:
    """A line in the class's colour, generated dashed as everywhere."""
    return CLASSES.get(subject.origin, "one")


def known(lesson: Lesson, k: int, steps: int) -> str:
    """What a step size costs, and how well its values of T_SEC separated the calibration images."""
    cost = f"<p>{steps} steps cost {steps + 1} evaluations of the network and answer {steps} values of T_SEC.</p>"
    calibrations = lesson.calibrated(k)
    if not calibrations:
        return f'{cost}<p class="sed-note">Nothing was calibrated at k = {k}: no verdicts there.</p>'
    best = max(calibrations, key=lambda found: found.auc)
    listed = ", ".join(
        f"{'<b>' if found is best else ''}{found.t_sec}: {found.auc:.2f}{'</b>' if found is best else ''}"
        for found in calibrations
    )
    own = (
        f" The detector uses k = {lesson.k}, T_SEC = {lesson.t_sec}: the {text(chosen_by(lesson))}."
        if lesson.detector.chosen
        else ""
    )
    return f"{cost}<p>AUC of STAT on the calibration images by T_SEC: {listed}.{own}</p>"


def chosen_by(lesson: Lesson) -> str:
    """How the pair was chosen, in the bundle's own words."""
    return str((lesson.detector.info.get("stat") or {}).get("chosen_by", "calibrated pair"))

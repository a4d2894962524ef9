"""Step 9 of the lesson: does the model remember its training images?"""

from markupsafe import Markup

from sedid.report.membership import apart, standing
from sedid.studies.membership import among, measured_on
from sedid.ui.html import render
from sedid.ui.learn.frames import Frame, scrubber
from sedid.ui.learn.lesson import Drawing, Lesson


def memory_step(lesson: Lesson) -> Drawing:
    """The t-errors of training images and of reals the network never saw, at every T_SEC, with the image of the walk."""
    folder = lesson.detector.folder
    evaluation = measured_on(folder) if folder else None
    if evaluation is None:
        return Markup(
            '<p class="sed-note">No evaluation of this detector kept t-errors of training images beside others.</p>'
        )
    (trace,), start = (yield from lesson.traces_of([lesson.subject])), 0
    frames: list[Frame] = []
    for t_sec in lesson.detector.t_secs(lesson.k):
        found = among(evaluation, lesson.detector.judge(trace, t_sec))
        if found is None:
            continue
        start = len(frames) if t_sec == lesson.t_sec else start
        body = render("memory.html", drawn=standing(found), found=found, apart=apart(found))
        frames.append(Frame(str(t_sec), f"T_SEC {t_sec}", body))
    if not frames:
        return Markup('<p class="sed-note">The evaluation of this detector has no t-errors at k = {}.</p>').format(
            lesson.k
        )
    return scrubber(frames, "T_SEC", start, play=True)

"""Steps 3 and 4 of the lesson: the walk towards noise, and one step back."""

import numpy as np
from markupsafe import Markup

from sedid.report.filmstrip import error_maps
from sedid.report.pictures import difference, heat, number, visible
from sedid.ui.html import render
from sedid.ui.learn.frames import Frame, scrubber
from sedid.ui.learn.lesson import Drawing, Lesson
from sedid.ui.learn.noise import shown_how


def fine_k(lesson: Lesson) -> int:
    """A third of the calibrated step size: more frames for the animation."""
    return max(1, lesson.k // 3)


def reverse_step(lesson: Lesson) -> Drawing:
    """The trajectory as an animation."""
    k = fine_k(lesson)
    (trace,) = yield from lesson.traces([(lesson.subject.image, k)])
    frames = []
    for place, point in enumerate(trace.points):
        body = render(
            "lesson_reverse.html",
            t=point.t,
            image=visible(trace.picture(point.x)),
            said=visible(point.eps / 3),
            words=trace.schedule.words,
        )
        step = f"step {place} of {len(trace.points) - 1}"
        frames.append(Frame(str(point.t), f"t = {point.t}, {step}", body))
    finer = Markup(
        '<p class="sed-fine">The detector jumps by k = {}. Here the walk takes steps of {}, so that there is more to see.</p>'
    )
    return scrubber(frames, f"Steps of {k}", play=True) + finer.format(lesson.k, k) + shown_how(trace.space)


def denoise_step(lesson: Lesson) -> Drawing:
    """Both compared images, their difference and the heatmap, at every T_SEC."""
    (trace,) = yield from lesson.traces_of([lesson.subject])
    maps, frames = error_maps(trace, False), []
    for values, t_sec, score in zip(maps, trace.t_secs, trace.curve, strict=True):
        near, _ = trace.step(t_sec)
        before, denoised = trace.picture(near.x), trace.picture(trace.denoised(t_sec))
        gap, gain = difference(denoised, before)
        limit = float(np.quantile(values, 0.995))
        body = render(
            "lesson_denoise.html",
            t_sec=t_sec,
            near=near.t,
            before=visible(before),
            denoised=visible(denoised),
            gap=gap,
            gain=gain,
            map=heat(values, limit),
            limit=limit,
            score=score,
        )
        frames.append(Frame(str(t_sec), f"T_SEC = {t_sec}, E = {number(score)}", body))
    return scrubber(frames, f"T_SEC, k = {lesson.k}", trace.t_secs.index(lesson.t_sec))

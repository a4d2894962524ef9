"""Steps 3 and 4 of the lesson: the walk towards noise, and one step back."""

import numpy as np

from sedid.report.filmstrip import error_maps, picture
from sedid.report.pictures import GRADIENT, data_uri, difference, heat, number, visible
from sedid.ui.learn.frames import Frame, scrubber
from sedid.ui.learn.lesson import Lesson


def fine_k(lesson: Lesson) -> int:
    """A third of the calibrated step size: more frames for the animation."""
    return max(1, lesson.k // 3)


def reverse_step(lesson: Lesson) -> str:
    """The trajectory as an animation."""
    k = fine_k(lesson)
    trace = lesson.walk(lesson.subject.image, k)
    frames = []
    for place, point in enumerate(trace.points):
        pictures = picture(
            data_uri(visible(point.x)),
            f"x̃ at t = {point.t}",
            f"The trajectory at timestep {point.t}",
            f"<b>x̃</b> at t = {point.t}",
        ) + picture(
            data_uri(visible(point.eps / 3)),
            f"predicted noise at t = {point.t}",
            f"The noise the network predicts at timestep {point.t}",
            "<b>ε<sub>θ</sub></b> the noise it sees here",
        )
        step = f"step {place} of {len(trace.points) - 1}"
        frames.append(Frame(str(point.t), f"t = {point.t}, {step}", f'<div class="learn-two">{pictures}</div>'))
    return scrubber(frames, f"Steps of k = {k}", 0, play=True)


def denoise_step(lesson: Lesson) -> str:
    """Both compared images, their difference and the heatmap, at every T_SEC."""
    trace = lesson.walk(lesson.subject.image, lesson.k)
    maps, frames = error_maps(trace, False), []
    for values, t_sec in zip(maps, trace.t_secs, strict=True):
        near, _ = trace.step(t_sec)
        denoised = trace.denoised(t_sec)
        gap, gain = difference(denoised, near.x)
        limit = float(np.quantile(values, 0.995))
        amplified = f"difference, amplified {gain:,} times" if gain > 1 else "difference"
        shown = [
            (visible(near.x), f"x̃ at t = {near.t}", f"<b>x̃</b> at t = {near.t}<br>on the way up"),
            (visible(denoised), f"ψ: one step back from {t_sec} to {near.t}", f"<b>ψ</b>({t_sec} → {near.t})<br>one step back"),
            (gap, amplified, f"<b>difference</b><br>&times;{gain:,}; gray is none"),
            (heat(values, limit), f"heatmap of the t-error at T_SEC = {t_sec}", "<b>heatmap</b><br>squared, summed over colours"),
        ]  # fmt: skip
        pictures = "".join(
            picture(data_uri(pixels), words, words.capitalize(), caption) for pixels, words, caption in shown
        )
        score = trace.curve[trace.t_secs.index(t_sec)]
        bar = (
            f'<div class="learn-bar"><span>0</span><i style="background:{GRADIENT}"></i><span>{number(limit)}</span></div>'
            f'<p class="learn-reading">t-error E, the sum over the heatmap: <b>{number(score)}</b></p>'
        )
        label = f"T_SEC = {t_sec}, E = {number(score)}"
        frames.append(Frame(str(t_sec), label, f'<div class="learn-four">{pictures}</div>{bar}'))
    return scrubber(frames, f"T_SEC, k = {lesson.k}", trace.t_secs.index(lesson.t_sec))

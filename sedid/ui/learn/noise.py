"""Steps 1 and 2 of the lesson: the noise schedule, and what the network predicts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from sedid.data.datasets import as_model_input
from sedid.later import torch
from sedid.method.diffusion import NoiseSchedule, Schedule, noised
from sedid.models.spaces import Space
from sedid.progress import Meter, Progress
from sedid.report.charts.chart import Chart
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import Series
from sedid.report.pictures import number, visible
from sedid.ui.html import render
from sedid.ui.learn.frames import Frame, moving_line, scrubber
from sedid.ui.learn.lesson import Drawing, Lesson

if TYPE_CHECKING:
    from torch import Tensor

NOISE_FRAMES, PREDICTIONS = 25, 9
ON_PIXELS = Markup(
    '<p class="sed-fine">Here the noise comes to the pixels, so that one sees it. The model adds it to the latents, by the '
    "same formula.</p>"
)


def noise_for(x_0: Tensor) -> Tensor:
    """The noise of the lesson, standard normal, the same at every visit; shape of x_0."""
    return torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))


def timesteps(schedule: Schedule, count: int) -> list[int]:
    """Evenly spaced timesteps from the first to the last."""
    return torch.linspace(0, len(schedule) - 1, count).round().int().tolist()


def power(schedule: Schedule, t: int) -> float:
    """The share of the image's power that is left: alpha_bar, or the square of a flow's factor."""
    return schedule.alpha_bar[t] if isinstance(schedule, NoiseSchedule) else schedule.shares(t)[0] ** 2


def schedule_chart(schedule: Schedule, t: int) -> Chart:
    """The share of the image's power and the two factors of q against t, with a line that follows the slider."""
    last = len(schedule) - 1
    quarters = (round(len(schedule) * share) for share in (0, 0.25, 0.5, 0.75))
    x, shown = Scale("timestep t", 0, last, (*quarters, last)), timesteps(schedule, 101)
    kept, added = zip(*(schedule.shares(at) for at in shown), strict=True)
    names = (schedule.words.power, schedule.words.signal, schedule.words.noise)
    lines = [
        Series(
            f"{names[0]}: share of the image's power that is left", shown, [power(schedule, at) for at in shown], "one"
        ),
        Series(f"{names[1]}: factor of the image", shown, kept, "two dash"),
        Series(f"{names[2]}: factor of the noise", shown, added, "three dots"),
    ]
    return Chart(
        "The noise schedule",
        lines,
        x,
        note="share or factor",
        said="The noise schedule: the share of the image's power falls from 1 to 0 over the timesteps",
        over=moving_line(float(x.at(t))),
    )


def schedule_step(lesson: Lesson) -> Drawing:
    """The image noised at many t."""
    yield from ()  # no network: there is nothing to wait for
    schedule, x_0 = lesson.detector.schedule, as_model_input(lesson.subject.image[None])
    noise, last = noise_for(x_0), len(lesson.detector.schedule) - 1
    frames = []
    for t in timesteps(schedule, NOISE_FRAMES):
        signal, added = schedule.shares(t)
        body = render(
            "lesson_noised.html",
            t=t,
            image=visible(noised(schedule, x_0, noise, t)),
            kept=signal,
            added=added,
        )
        frames.append(
            Frame(
                str(t),
                f"t = {t}, {schedule.words.power} = {number(power(schedule, t))}",
                body,
                100 * t / last,
            )
        )
    made = scrubber(frames, "Timestep t", play=True, chart=schedule_chart(schedule, 0))
    return made + ON_PIXELS if lesson.detector.space.latent else made


@dataclass(frozen=True)
class Prediction:
    """What the network makes of the noised image at one timestep; tensors (1, 3, H, W).

    Attributes:
        x, noise: x_t and the noise in it.
        eps: the predicted noise.
        clean: the estimate of the image that follows.
        mistake: mean squared difference of the two noises.
    """

    t: int
    x: Tensor
    noise: Tensor
    eps: Tensor
    clean: Tensor
    mistake: float


def predictions(lesson: Lesson) -> Generator[Progress, None, list[Prediction]]:
    """The network's answers at a few timesteps, one evaluation each."""
    schedule, x_0 = lesson.detector.schedule, lesson.detector.encode(lesson.subject.image[None]).cpu()
    noise, device, found = noise_for(x_0), lesson.detector.runtime.device, []
    meter = Meter("asking the network", PREDICTIONS, "answers")
    for done, t in enumerate(timesteps(schedule, PREDICTIONS)):
        yield meter.at(done)
        x_t = noised(schedule, x_0, noise, t)
        said = lesson.detector.eps_model(x_t.to(device), t).cpu()
        eps, clean = schedule.noise_of(said, x_t, t), schedule.clean_of(said, x_t, t)
        found.append(Prediction(t, x_t, noise, eps, clean, float((eps - noise).square().mean())))
    return found


def shown_how(space: Space) -> Markup:
    """How a latent model's pictures are shown, which are no pictures as they are; "" of others."""
    said = '<p class="sed-fine">The model sees latents. Images are decoded by its VAE; noise is shown as the first three of its {} channels.</p>'
    return Markup(said).format(space.channels) if space.latent else Markup()


def prediction_step(lesson: Lesson) -> Drawing:
    """What the network makes of the noised image."""
    frames, space = [], lesson.detector.space
    for found in (yield from predictions(lesson)):
        t = found.t
        pictures = [
            (visible(space.decode(found.x)), "noised image x", "", "", f"what the network sees at t = {t}"),
            (visible(found.noise / 3), "true noise ε", "", "", "what was added"),
            (visible(found.eps / 3), "predicted noise ε", "θ", "", lesson.detector.schedule.words.implied),
            (visible(space.decode(found.clean)), "estimate f", "θ", " of the image", "the clean image that follows"),
        ]
        body = render("lesson_prediction.html", t=t, pictures=pictures, mistake=found.mistake)
        frames.append(Frame(str(t), f"t = {t}, mistake {number(found.mistake)}", body))
    return scrubber(frames, "Timestep t", PREDICTIONS // 2) + shown_how(space)

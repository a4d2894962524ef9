"""The lesson: its steps in order, and a step as HTML around its picture."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from markupsafe import Markup

from sedid.detector import detector
from sedid.method import diffusion
from sedid.method.diffusion import NoiseSchedule, Schedule
from sedid.method.flow import FlowSchedule
from sedid.method.wording import FLOW, NOISE, Wording
from sedid.progress import Progress
from sedid.studies import membership
from sedid.training import calibrate
from sedid.ui.html import render
from sedid.ui.learn import equations, verdicts
from sedid.ui.learn import error as learn_error
from sedid.ui.learn import memory as learn_memory
from sedid.ui.learn import noise as learn_noise
from sedid.ui.learn import walk as learn_walk
from sedid.ui.learn import world as learn_world
from sedid.ui.learn.equations import Equation, Family
from sedid.ui.learn.lesson import Drawing, Lesson
from sedid.ui.terms import explained


@dataclass(frozen=True)
class Step:
    """One idea of the lesson.

    Attributes:
        title: a few words.
        short: one or two, for the numbered steps.
        idea: the idea, HTML paragraphs.
        draw: the interactive picture, computed by the engine.
        equations: of what the picture shows.
        code: what computes it: functions, methods or properties of this package.
        task: something to try.
    """

    title: str
    short: str
    idea: str
    draw: Callable[[Lesson], Drawing]
    equations: tuple[Equation, ...]
    code: tuple[Any, ...]
    task: str


ASKED = {
    NOISE: "<b>which noise was added?</b> From its answer follows an estimate of the clean image, f<sub>θ</sub>.",
    FLOW: "<b>which way leads from the image to the noise?</b> Its answer is a <b>velocity</b> v, the noise minus the image. From "
    "it follow the noise and an estimate of the clean image, f<sub>θ</sub>.",
}
WALKED = {
    NOISE: "takes the noise that the network <b>sees</b> in the image and adds a little more of just that",
    FLOW: "takes the velocity that the network <b>sees</b> in the image, the way from it to noise, and goes a little further on just that",
}
FAMILIES: dict[Wording, tuple[Family, type[NoiseSchedule | FlowSchedule], Callable[..., Schedule]]] = {
    NOISE: (equations.OF_NOISE, NoiseSchedule, NoiseSchedule.from_betas),
    FLOW: (equations.OF_FLOW, FlowSchedule, FlowSchedule.shifted),
}
"""Of each family its equations, its schedule, and how that is made."""


@cache
def steps_of(words: Wording) -> tuple[Step, ...]:
    """The steps in the words and equations of a family of models."""
    family, schedule, begins = FAMILIES[words]
    return (
        Step(
            "The noise schedule",
            "Noise",
            "<p>A diffusion model learns from images that are drowned in noise little by little. The <b>schedule</b> says how much: at "
            "timestep 0 there is only image, at the last one only noise. "
            f"{words.power} is the share of the image's power that is left.</p>",
            learn_noise.schedule_step,
            (family.noised, family.schedule),
            (diffusion.noised, begins),
            f"At which t can you no longer tell what is in the image? What is {words.power} there?",
        ),
        Step(
            "What the network predicts",
            "Prediction",
            f"<p>The network is asked one question: {ASKED[words]} "
            "The more noise there is, the more of that estimate is the network's own imagination.</p>",
            learn_noise.prediction_step,
            (family.estimate,),
            (schedule.clean_of, diffusion.training_loss),
            "Where is the mistake largest: with little or with much noise? Why is that the hard end?",
        ),
        Step(
            "Reverse: walk into the noise",
            "Reverse",
            f"<p>The detector does not draw random noise. It {WALKED[words]}: "
            "a step φ, from t to t + k. Nothing is random, so the same image always takes the same path.</p>",
            learn_walk.reverse_step,
            (family.reverse,),
            (diffusion.ddim_step, diffusion.trajectory),
            "Press play, then drag back. Is the last frame noise, or is something of the image left in it?",
        ),
        Step(
            "Denoise: one step back",
            "Denoise",
            "<p>At T_SEC the walk turns round for <b>one</b> step ψ back towards the image. If the model agreed with itself, it would "
            "land exactly where it came from. By how much it misses, pixel by pixel, is the <b>t-error</b>.</p>",
            learn_walk.denoise_step,
            (family.denoise, equations.ERROR),
            (detector.Trace.denoised, diffusion.ddim_step),
            "Move T_SEC. Does the error stay at the same places of the image?",
        ),
        Step(
            "Test the paper's claim: is it smaller?",
            "The claim",
            f"<p>The t-error is a fixed weight times how far the network <b>changes its mind</b> about {words.mind} within one step. A "
            "generated image came out of such steps, so the network should change its mind less on it: its t-error should be "
            "<b>smaller</b>. That is the paper's claim. A claim is there to be tested: for the model at hand, and with every way to "
            "make images with it.</p>",
            learn_error.size_step,
            (family.identity, family.weight),
            (schedule.weight, diffusion.t_error, diffusion.TError.score),
            "Find the T_SEC at which the two hills lie furthest apart. On which side are the generated images?",
        ),
        Step(
            "Choosing T_SEC and k",
            "T_SEC and k",
            "<p>The weight c² comes from the schedule alone and grows along T_SEC. Raw errors at two places can therefore not be "
            "compared; divided by c² they can. Which pair of T_SEC and k to use is decided on calibration images, <b>never</b> on the "
            "images that are judged.</p>",
            learn_error.choice_step,
            (family.free,),
            (detector.Trace.curve, calibrate.calibrate_all),
            "Which of the two charts would you show to argue that the error is largest at the end? Would that be fair?",
        ),
        Step(
            "STAT against NN",
            "STAT or NN",
            "<p>STAT sees <b>one number</b> and a threshold. NN, a small trained network, sees <b>both images</b> that were compared. It "
            "can use anything in them, also what has little to do with diffusion.</p>",
            verdicts.versus_step,
            (equations.STAT, equations.NN),
            (detector.Calibration.side, diffusion.nn_input, detector.Detector.probabilities),
            "Find an example on which the two disagree, or on which STAT cannot tell.",
        ),
        Step(
            "When it fails",
            "Failures",
            "<p>The detector knows one thing: whether an image looks made by <b>this</b> model, at this size. Another generator, another "
            "camera or a resize is something it never saw. Where an error lies outside all references it says so. Where it does not, "
            "a verdict can be wrong with full confidence.</p>",
            verdicts.fail_step,
            (equations.IN_RANGE,),
            (detector.Calibration.in_range, detector.Detector.verdicts),
            "Which change flips a verdict although the origin of the image is the same?",
        ),
        Step(
            "Does the model remember?",
            "Memory",
            "<p>A model may fit its training images (<b>members</b>) better than others. Then their t-error is smaller, whoever made "
            "them, and the same number answers another question: was this picture in the training data? The two questions must not be "
            "mixed. The fewer images a model is trained on, and the more often it sees them, the more it can remember.</p>",
            learn_memory.memory_step,
            (equations.ERROR,),
            (membership.among, membership.membership),
            "At which T_SEC are members told best? Would you call anybody's picture a training image by that?",
        ),
    )


STEPS = steps_of(NOISE)
"""Those of the models that predict noise: a place has its text before anything is known of its detector."""
WORLD, QUIZ, SHEET = "0", "quiz", "sheet"
EXTRAS = {QUIZ: "Real or generated?", SHEET: "Classroom sheet"}
NUMBERED = tuple(str(number) for number in range(1, len(STEPS) + 1))
PLACES = (WORLD, *NUMBERED, *EXTRAS)
"""What `step` in the address may be, in order. The world came later than the numbers of the other steps."""


def place(step: Any) -> str:
    """The place a visitor named; the first one if there is no such place."""
    return step if step in PLACES else PLACES[0]


def titles(short: bool = False) -> dict[str, str]:
    """Place -> title, or its short form."""
    named = [
        ("Small world", learn_world.TITLE),
        *((step.short, step.title) for step in STEPS),
        ("Quiz", EXTRAS[QUIZ]),
        ("Sheet", EXTRAS[SHEET]),
    ]
    return {place: brief if short else title for place, (brief, title) in zip(PLACES, named, strict=True)}


@cache
def source(thing: Any) -> tuple[str, str]:
    """(full name, lines without the docstring) of a function, method or property, read from its source."""
    function: Any = thing
    if isinstance(thing, property):
        function = thing.fget
    elif isinstance(thing, cached_property):
        function = thing.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    (node,) = ast.parse("\n".join(lines)).body
    assert isinstance(node, ast.FunctionDef)
    first = node.body[0]
    if ast.get_docstring(node) is not None and first.end_lineno is not None:
        del lines[first.lineno - 1 : first.end_lineno]
    kept = "\n".join(line for line in lines if line.strip())
    return f"{function.__module__}.{function.__qualname__}", kept


def page(at: str, inside: str, detector: str = "", example: str = "") -> Markup:
    """A place of the lesson with its navigation.

    Args:
        inside: HTML.
        detector: the name of the one that drew it; "" where none did.
    """
    position, names, short = PLACES.index(at), titles(), titles(short=True)
    marks = (WORLD, *NUMBERED, "?", "✎")
    back, following = PLACES[max(position - 1, 0) : position], PLACES[position + 1 : position + 2]
    drawn = render(
        "lesson.html",
        at=at,
        example=example,
        detector=detector,
        steps=[(place, mark, short[place]) for place, mark in zip(PLACES, marks, strict=True)],
        inside=Markup(inside),
        back=[(place, names[place]) for place in back],
        next=[(place, names[place]) for place in following],
    )
    return explained(drawn)


def numbered(at: str, drawn: Markup, lesson: Lesson | None = None) -> Markup:
    """One of the numbered steps.

    Args:
        at: its number, one of NUMBERED.
        drawn: its picture, or what stands there until it is drawn.
        lesson: whose images are offered; None while it is not known.
    """
    steps, images = STEPS, {}
    if lesson is not None:
        steps = steps_of(lesson.detector.schedule.words)
        images = {"subject": lesson.subject, "examples": lesson.examples}
    step = steps[NUMBERED.index(at)]
    inside = render(
        "step.html",
        at=at,
        step=step,
        idea=Markup(step.idea),
        drawn=drawn,
        equations=[Markup(equation.mathml) for equation in step.equations],
        code=[source(thing) for thing in step.code],
        **images,
    )
    return page(at, inside, lesson.detector.name, lesson.subject.name) if lesson else page(at, inside)


def draw(at: str, lesson: Lesson) -> Iterator[Markup]:
    """One of the numbered steps: with its text while the network is at work on its picture, at last with the picture."""
    drawing = STEPS[NUMBERED.index(at)].draw(lesson)
    while True:
        try:
            progress = next(drawing)
        except StopIteration as stop:
            yield numbered(at, stop.value, lesson)
            return
        yield numbered(at, waiting("The network is at work …", progress), lesson)


def waiting(words: str, progress: Progress | None = None) -> Markup:
    """What stands in the place of a picture that is not drawn yet."""
    return render("lesson_waiting.html", words=words, progress=progress)


def text(at: str, words: str) -> Markup:
    """A place other than WORLD before anything of it is known but its text.

    Args:
        words: what it waits for, or why it cannot be drawn; HTML if `Markup`.
    """
    if at in NUMBERED:
        return numbered(at, waiting(words))
    heading = Markup('<article><header><h2 tabindex="-1">{}</h2></header>{}</article>')
    return page(at, heading.format(EXTRAS[at], waiting(words)))


def world() -> Markup:
    """The step before them, which needs no detector and no image: its picture is computed in the browser."""
    inside = render(
        "step.html",
        at=WORLD,
        step={"title": learn_world.TITLE, "task": learn_world.TASK},
        idea=Markup(learn_world.IDEA),
        drawn=learn_world.picture(),
        equations=[Markup(equation.mathml) for equation in learn_world.EQUATIONS],
        code=learn_world.sources(),
    )
    return page(WORLD, inside)

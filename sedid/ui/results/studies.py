"""The studies of the Compare tab: what each asks for, the loop it starts, and how its results are drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sedid.data.spec import Spec
from sedid.escaping import written_by
from sedid.jobs.commands import COMMANDS
from sedid.report import choice, compare, defence, generalise, polarity, robustness, sign
from sedid.studies.choose import ChoiceResults
from sedid.studies.evaluate import REALS
from sedid.studies.generalise import GeneraliseResults
from sedid.studies.polarity import load_polarity
from sedid.studies.robustness import RobustnessResults
from sedid.studies.sign import SignResults
from sedid.ui.train.job_card import halves


@dataclass(frozen=True)
class View:
    """What the visitor chose to look at in a comparison of methods.

    Attributes:
        reals: heldout or members.
        method: the one whose curve is drawn on top; "" is the first.
    """

    reals: str = "heldout"
    method: str = ""


@dataclass(frozen=True)
class Asked:
    """A filled form: data sets of real and generated images, images of each class, and methods."""

    real: str
    generated: tuple[str, ...]
    count: int
    methods: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """One study.

    Attributes:
        title: what the page calls it.
        command: the loop, by whose name an address names the study (`?tab=compare&study=robustness`).
        about: what it answers, a sentence or two.
        draw: a results file -> HTML.
        settings: a filled form as "key=value" texts of the loop; raises ValueError where it does not fit.
        detector: the setting of the loop that names the detector.
    """

    title: str
    command: str
    about: str
    draw: Callable[[Path, View], str]
    settings: Callable[[Asked], list[str]]
    detector: str = "detector"

    @property
    def file(self) -> str:
        """Its results, in a bundle or a job's folder."""
        return COMMANDS[self.command].results

    def html(self, file: Path, view: View) -> str:
        """A results file as HTML.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is not what the command writes.
        """
        with written_by(self.command, file):
            return self.draw(file, view)


def draw_methods(file: Path, view: View) -> str:
    """The comparison of methods."""
    found, scores = compare.load_comparison(file)
    offered = compare.reals_of(found)
    reals = view.reals if view.reals in offered else offered[0] if offered else ""
    names = [name for _, name in compare.methods_of(found, reals)] if reals else []
    method = view.method if view.method in names else names[0] if names else ""
    return compare.whole(found, scores, reals, method)


def halved(asked: Asked) -> list[str]:
    """Half of the images calibrate, the other half are measured."""
    settings = []
    for name, spec in (("real", asked.real), ("generated", one(asked))):
        calibration, test = halves(spec, asked.count)
        settings += [f"{name}={calibration}", f"test_{name}={test}"]
    return settings


def first(asked: Asked) -> list[str]:
    """The first images of either class; the detector is calibrated already."""
    return [f"real={cut(asked.real, asked.count)}", f"generated={cut(one(asked), asked.count)}"]


def cut(spec: str, count: int) -> str:
    """The first `count` images of a data set.

    Raises:
        ValueError: fewer than two, or more than the slice named holds.
    """
    if count < 2:
        raise ValueError(f"at least 2 images of each class are needed, not {count}")
    return str(Spec.parse(spec).first(count))


def one(asked: Asked) -> str:
    """The generated set, where there can be only one.

    Raises:
        ValueError: there are none or several.
    """
    if len(asked.generated) != 1:
        raise ValueError(f"choose one set of generated images, not {len(asked.generated)}")
    return asked.generated[0]


def methods_settings(asked: Asked) -> list[str]:
    """Settings of `compare`."""
    if not asked.methods:
        raise ValueError("choose at least one method")
    return [*halved(asked), f"methods={','.join(asked.methods)}"]


def generated_sets(asked: Asked) -> str:
    """The first images of every generated set, as a setting.

    Raises:
        ValueError: there is none.
    """
    if not asked.generated:
        raise ValueError("choose at least one set of generated images")
    return f"generated={','.join(cut(spec, asked.count) for spec in asked.generated)}"


def generalise_settings(asked: Asked) -> list[str]:
    """Settings of `generalise`: every generated set is a row."""
    return [generated_sets(asked), f"heldout={cut(asked.real, asked.count)}"]


def sign_settings(asked: Asked) -> list[str]:
    """Settings of `sign`: every generated set is a row."""
    return [generated_sets(asked), f"real={cut(asked.real, asked.count)}"]


VIEWS = 100
"""How often a trial of defences that is started on the page shows each member to a model."""


def defence_settings(asked: Asked) -> list[str]:
    """Settings of `defend`: half of the real images are members, the other half are held out."""
    members, heldout = halves(asked.real, asked.count)
    batch = min(32, asked.count // 2)
    steps = VIEWS * (asked.count // 2) // batch
    sizes = [f"{name}={asked.count // 2}" for name in ("members", "test", "generated")]
    lengths = [f"steps={steps}", f"batch_size={batch}", f"warmup_steps={steps // 20}", f"cooldown_steps={steps // 5}"]
    return [f"data={members}", f"heldout={heldout}", *sizes, *lengths, "save_every=50", "log_every=5"]


STUDIES = (
    Study(
        "Methods",
        "compare",
        "SeDID and its peers on the same detector, the same images and one shared set of network evaluations. Some of the "
        "images calibrate every method, the others are measured.",
        draw_methods,
        methods_settings,
    ),
    Study(
        "T_SEC, k and certainty",
        "choose",
        "Which step to measure, chosen by cross-validation; how often a trajectory can stop early; whether a stated "
        "probability holds; and when to say cannot tell. Some of the images choose, the others are measured.",
        lambda file, _: choice.whole(ChoiceResults.read(file)),
        halved,
    ),
    Study(
        "Robustness",
        "robustness",
        "Both verdicts after JPEG, resizing, blur, noise, fewer levels, cropping, brightness and flips.",
        lambda file, _: robustness.whole(RobustnessResults.read(file)),
        lambda asked: [*first(asked), f"count={asked.count}"],
    ),
    Study(
        "Polarity",
        "polarity",
        "When and why larger errors mean generated: t-errors against what the images look like, a lesson on cropping, and "
        "where number precision matters.",
        lambda file, _: polarity.whole(*load_polarity(file)),
        first,
    ),
    Study(
        "Why the sign turns",
        "sign",
        "The same network under every sampler: where a smaller t-error means generated, and where a larger one. And the same "
        "real pictures with a little noise, blur or compression: which way each moves the t-error.",
        lambda file, _: sign.whole(SignResults.read(file)),
        sign_settings,
    ),
    Study(
        "Other samplers",
        "generalise",
        "A detector calibrated on one sampler's images, measured on those of others, of other checkpoints, and on the "
        "generator's own training images.",
        lambda file, _: generalise.whole(GeneraliseResults.read(file)),
        generalise_settings,
    ),
    Study(
        "Defences",
        "defend",
        "Does a model that is trained with regularisation or augmentation hide its training images, and what does that cost? "
        "Three models start from the detector's weights. Half of the real images become their training images (members), "
        "the other half are held out. The generated images chosen below are not used.",
        lambda file, _: defence.whole(*defence.load_defence(file)),
        defence_settings,
        detector="start",
    ),
)
REALS_OFFERED = [(words.capitalize(), kind) for kind, words in REALS.items()]


def study_of(name: str | None) -> Study:
    """The study of this command; the first if there is none."""
    return next((study for study in STUDIES if study.command == name), STUDIES[0])

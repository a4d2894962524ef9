"""The one list of commands that are loops: name, where the function is, what it is for, presets, and what jobs need to know.

Command line, jobs, Train tab, studies and documents all read it. A loop is a generator with its settings, a dataclass, as
the only parameter. Presets: demo (minutes on two cores), small (hours), paper (the defaults: DESIGN of the paper).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from sedid.config import known, load_config

Preset = Mapping[str, Any]
"""Settings that differ from the dataclass's defaults."""


@dataclass(frozen=True)
class Command:
    """One loop that the command line runs.

    Attributes:
        name: on the command line.
        module: where its function is, whose name is the command's with underscores.
        about: what it is for, in a sentence.
        presets: by name.
        job: whether the page may start it.
        in_place: whether it changes the detector it is given, so that a job works on a copy.
        results: the file it writes beside a bundle's calibration; "" where it writes none.
        own_records: whether it keeps metrics.jsonl itself.
    """

    name: str
    module: str
    about: str
    presets: Mapping[str, Preset] = field(default_factory=dict, repr=False)
    job: bool = True
    in_place: bool = False
    results: str = ""
    own_records: bool = False

    @property
    def loop(self) -> Callable[[Any], Any]:
        """The function; its module is imported now, since torch takes seconds."""
        loop: Callable[[Any], Any] = getattr(import_module(self.module), self.name.replace("-", "_"))
        return loop

    @property
    def settings(self) -> type:
        """The dataclass of its settings."""
        settings: type = get_type_hints(self.loop)["config"]
        return settings


# The same training alone and as a stage of the loop.
SMALL_TRAINING: dict[str, Any] = {
    "unet": "small",
    "steps": 50_000,
    "warmup_steps": 500,
    "cooldown_steps": 10_000,
    "ema_decay": 0.9995,
    "eval_every": 1_000,
    "save_every": 500,
}

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Its classes, in the order of their numbers."""
SHORT_LATENT: dict[str, Any] = {
    "steps": 2_000,
    "batch_size": 32,
    "warmup_steps": 100,
    "cooldown_steps": 500,
    "ema_decay": 0.995,
    "learning_rate": 1e-3,
    "eval_every": 500,
    "save_every": 250,
}

_ALL = (
    Command(
        "train-ddpm",
        "sedid.training.train_ddpm",
        "Train a DDPM, or continue a run that was stopped.",
        presets={
            "demo": {
                "unet": "demo",
                "steps": 2_000,
                "batch_size": 64,
                "warmup_steps": 100,
                "cooldown_steps": 500,
                "ema_decay": 0.995,
                "eval_every": 500,
                "save_every": 250,
            },
            "small": SMALL_TRAINING,
            "paper": {},
        },
        own_records=True,
    ),
    Command(
        "train-vae",
        "sedid.training.train_vae",
        "Train a small VAE, the first half of a latent diffusion model, or continue a run that was stopped.",
        presets={
            "demo": SHORT_LATENT | {"vae": "demo"},
            "small": {"vae": "small", "steps": 20_000, "cooldown_steps": 5_000, "eval_every": 1_000, "save_every": 250},
            "paper": {},
        },
        job=False,
        own_records=True,
    ),
    Command(
        "train-latent",
        "sedid.training.train_latent",
        "Train the U-Net of a latent diffusion model, told the classes' names, or continue a run that was stopped.",
        presets={
            "demo": SHORT_LATENT | {"unet": "demo", "classes": CIFAR10},
            "small": {
                "unet": "small",
                "classes": CIFAR10,
                "steps": 60_000,
                "batch_size": 64,
                "learning_rate": 5e-4,
                "warmup_steps": 500,
                "cooldown_steps": 15_000,
                "ema_decay": 0.9995,
                "min_snr_gamma": 5.0,
                "eval_every": 1_000,
                "save_every": 250,
            },
            "paper": {"classes": CIFAR10},
        },
        job=False,
        own_records=True,
    ),
    Command(
        "trials",
        "sedid.training.trials",
        "Train briefly with each of some settings and compare the held-out losses, before hours are spent.",
        job=False,
    ),
    Command(
        "generate",
        "sedid.training.generate",
        "Generate images with a detector's diffusion model, or finish a set.",
        presets={
            "demo": {"count": 200, "sampler": "ddim", "steps": 20, "batch_size": 50},
            "small": {"count": 2_500, "sampler": "ddim", "steps": 50, "batch_size": 64},
            "paper": {},
        },
    ),
    Command(
        "calibrate",
        "sedid.training.calibrate",
        "Give every (k, T_SEC) its polarity, threshold and references.",
        in_place=True,
    ),
    Command("train-nn", "sedid.training.train_nn", "Train the classifier of a calibrated detector.", in_place=True),
    Command(
        "evaluate",
        "sedid.studies.evaluate",
        "Measure a detector on images not used before.",
        in_place=True,
        results="results.json",
    ),
    Command(
        "sweep",
        "sedid.studies.sweep",
        "Measure every (k, T_SEC) of a grid.",
        presets={
            "demo": {"ks": (110, 165, 245, 330, 495)},
            "small": {"ks": (55, 90, 110, 165, 200, 245, 330, 495)},
            "paper": {},
        },
        results="sweep.json",
    ),
    Command(
        "compare",
        "sedid.studies.compare",
        "Measure every step-error method on the same detector, images and network evaluations.",
        presets={
            "demo": {
                "real": "sample:real[0:100]",
                "generated": "sample:generated[0:100]",
                "test_real": "sample:real[100:200]",
                "test_generated": "sample:generated[100:200]",
                "methods": (
                    *("sedid-stat", "sedid-nn-pair", "sedid-multi-lr ks=165", "loss", "secmi-stat"),
                    *("pia", "pian", "dire-stat", "did-step"),
                ),
            },
            "paper": {},
        },
        results="compare.json",
    ),
    Command(
        "robustness",
        "sedid.studies.robustness",
        "Measure both verdicts on images re-saved, resized, blurred, cropped: curves and changed verdicts.",
        presets={
            "demo": {"count": 50, "perturbations": ("jpeg", "resize:0.5", "blur:1", "noise:5", "crop:0.8", "flip")},
            "small": {"count": 200},
            "paper": {},
        },
        results="robustness.json",
    ),
    Command(
        "choose",
        "sedid.studies.choose",
        "Choose k, T_SEC and polarity at a cost; how sure that is, when to stop early, when to give no verdict.",
        presets={
            "demo": {
                "real": "sample:real[0:100]",
                "generated": "sample:generated[0:100]",
                "test_real": "sample:real[100:200]",
                "test_generated": "sample:generated[100:200]",
                "ks": (165, 330, 495),
                "resamples": 200,
            },
            "small": {"ks": (110, 165, 245, 330, 495)},
            "paper": {},
        },
        results="choice.json",
    ),
    Command(
        "polarity",
        "sedid.studies.polarity",
        "Show when and why the polarity flips: t-errors against image statistics, a black frame, precision.",
        presets={
            "demo": {"real": "sample:real[0:100]", "generated": "sample:generated[0:100]", "noise_images": 2},
            "paper": {},
        },
        results="polarity.json",
    ),
    Command(
        "generalise",
        "sedid.studies.generalise",
        "Measure a calibrated detector on other samplers, another checkpoint and its own training images.",
        results="generalise.json",
    ),
    Command(
        "defend",
        "sedid.recipes.defend",
        "Train a model with and without defences of its training images, and measure what they hide and cost.",
        presets={
            "demo": {
                "members": 60,
                "test": 60,
                "generated": 60,
                "steps": 300,
                "warmup_steps": 30,
                "cooldown_steps": 100,
                "save_every": 100,
                "log_every": 10,
                "sampler_steps": 20,
            },
            "small": {"data": "cifar10", "test": 500, "generated": 500},
            "paper": {
                "data": "cifar10",
                "members": 25_000,
                "test": 10_000,
                "generated": 10_000,
                "unet": "paper",
                "steps": 800_000,
                "batch_size": 128,
                "learning_rate": 2e-4,
                "warmup_steps": 5_000,
                "cooldown_steps": 0,
                "ema_decay": 0.9999,
                "sampler": "ddpm",
                "sampler_steps": 1000,
            },
        },
        results="defence.json",
    ),
    Command(
        "sign",
        "sedid.studies.sign",
        "Show why the sign turns: t-errors under every sampler and variance, and after small changes of real pictures.",
        presets={
            "demo": {"real": "sample:real[0:100]", "generated": ("sample:generated[0:100]",), "changed": 24},
            "paper": {},
        },
        results="sign.json",
    ),
    Command(
        "gallery",
        "sedid.studies.reference_scores",
        "Score the embedded sample for the Gallery tab, so that the page need not.",
        job=False,
    ),
    Command(
        "load",
        "sedid.ui.server.load",
        "Put an app of this machine under load: throughput, waits, errors and memory, with many visitors at once.",
        presets={
            "demo": {"visitors": 8, "seconds": 10, "alone": 3},
            "small": {"seconds": 40},
            "paper": {"seconds": 180},
        },
        job=False,
    ),
    Command(
        "ship", "sedid.recipes.ship", "From a training run to a detector and every figure published with it.", job=False
    ),
    Command(
        "loop",
        "sedid.recipes.whole_loop",
        "Train, generate, calibrate, train the classifier, evaluate: from a data set to a measured bundle and a report.",
        presets={
            "demo": {
                "unet": "demo",
                "steps": 400,
                "batch_size": 32,
                "warmup_steps": 50,
                "cooldown_steps": 150,
                "ema_decay": 0.99,
                "eval_every": 100,
                "save_every": 50,
                "log_every": 5,
                "validation": 40,
                "calibration": 60,
                "classifier": 80,
                "test": 60,
                "sampler": "ddim",
                "sampler_steps": 20,
                "sampler_batch": 50,
                "epochs": 4,
                "classifier_rate": 0.01,
            },
            "small": {
                "data": "cifar10",
                **SMALL_TRAINING,
                "validation": 500,
                "calibration": 500,
                "classifier": 1_000,
                "test": 1_000,
                "sampler": "ddim",
                "sampler_steps": 50,
                "epochs": 10,
                "classifier_rate": 0.01,
            },
            "paper": {"data": "cifar10"},
        },
    ),
)
COMMANDS: dict[str, Command] = {command.name: command for command in _ALL}
"""By name, in the order in which they are listed."""


def resolve_loop(
    name: str, preset: str = "", file: Path | None = None, settings: Iterable[str] = ()
) -> tuple[Callable[[Any], Any], Any]:
    """The loop of a command and its resolved settings.

    Args:
        name: of COMMANDS.
        preset, file, settings: as `load_config`.

    Raises:
        ValueError, FileNotFoundError: as `load_config`, or there is no such preset.
    """
    command = COMMANDS[name]
    if preset and not command.presets:
        raise ValueError(f"{name} has no presets")
    chosen = command.presets[known(preset, command.presets, "--preset")] if preset else {}
    return command.loop, load_config(command.settings, dict(chosen), file, settings)

"""The whole loop in one run folder: train a DDPM, generate, calibrate, train the classifier, evaluate.

    config.json     the resolved settings
    splits.json     what stands in each split, with seed and fingerprint
    splits/*.npz    the real images of each split
    stages.json     what is finished: a resumed run starts at the first stage that is not
    ddpm/           the training run
    generated/      the generated images; each split takes its own slice of them
    bundle/         the result: a calibrated, measured detector with its model card
    report.html     the result in one page that needs nothing else

Real and generated images of calibration, classifier and test are disjoint, and none of the reals were trained on;
the evaluation also reports reals that were ("members").
"""

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from sedid.config import Count, Decay, NotNegative, Positive, Precision, Seed, Settings, StepSizes, Text, Whole
from sedid.data.datasets import describe_split, load_images, make_splits
from sedid.detector.export import export_run
from sedid.method import paper
from sedid.method.diffusion import NNInput, NoiseSchedule, check_step
from sedid.models.folders import check_plain
from sedid.models.networks import Runtime, UNetName, about_unet
from sedid.models.schedules import make_scheduler
from sedid.progress import Progress
from sedid.recipes.stages import Stage, check_settings, quick, run_stages
from sedid.report.card import write_card
from sedid.report.page import write_report
from sedid.storage import replacing, write_json
from sedid.studies.evaluate import EvaluateConfig, evaluate
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.training.generate import GenerateConfig, SamplerName, generate, make_sampler
from sedid.training.tracking import check_trackers
from sedid.training.train_ddpm import TrainDDPMConfig, frame_of, train_ddpm
from sedid.training.train_nn import TrainNNConfig, train_nn

TEST_PARTS = {"cifar10": "cifar10:test", "celeba": "celeba:test", "tiny-imagenet": "tiny-imagenet:val"}
SCORED = ("calibration", "classifier", "test")


@dataclass(frozen=True)
class LoopConfig(Settings):
    """Settings of the whole loop; the defaults are the paper's recipe."""

    out: Text  # the run folder
    data: Text = "sample:real"  # reals
    name: str = ""  # what the data set is called in card and report; "" takes it from `data`
    center_crop: NotNegative = (
        0  # of photographs, as `images.crop_side`; 0: that of `start`, or what `data` brings by its name
    )
    heldout: str = ""  # reals the DDPM never sees; "" takes the test part of a named data set, else some of `data`
    validation: Count = 500  # reals for the held-out loss of the DDPM
    calibration: Annotated[int, Field(ge=10)] = 2_000  # of each class, as the next two
    classifier: Annotated[int, Field(ge=10)] = 5_000
    test: Count = 2_500
    members: Whole = 0  # training images measured beside the test reals; 0: as many as those
    count: Whole = 0  # images to generate; 0: what the three splits need; the test takes all that are left
    unet: UNetName = "paper"  # demo, small or paper
    start: str = ""  # pipeline folder whose weights to continue from
    steps: Count = 800_000
    batch_size: Count = 128
    learning_rate: Positive = 2e-4
    warmup_steps: Whole = 5_000
    cooldown_steps: Whole = 0
    ema_decay: Decay = 0.9999
    eval_every: Count = 5_000
    save_every: Count = 1_000
    log_every: Count = 50
    sampler: SamplerName = "ddpm"  # ddpm, ddim or dpm-solver++
    sampler_steps: Count = 1000
    sampler_batch: Count = 128
    ks: StepSizes = (165,)
    input: NNInput = "pair"  # of the classifier: pair, error or both
    epochs: Count = 20
    classifier_rate: Positive = 1e-3
    score_batch: Count = 32
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False
    trackers: tuple[str, ...] = ()  # of both trainings: tensorboard, trackio


# Settings that change nothing of what is in the folder.
FREE_ON_RESUME = ("out", "device", "compile", "score_batch", "trackers")


def check(config: LoopConfig) -> None:
    """Refuse before the training what a later stage would refuse after it.

    Raises:
        ValueError: a setting that does not fit.
    """
    needed = sum(getattr(config, name) for name in SCORED)
    if config.count and config.count < needed:
        raise ValueError(f"count must be 0 or at least {needed} (calibration, classifier and test), not {config.count}")
    for k in config.ks:
        check_step(NoiseSchedule.linear(), k, k)
    make_sampler(config.sampler, make_scheduler(), config.sampler_steps)
    check_trackers(config.trackers)
    Runtime.choose(config.device, config.precision)


def least(config: LoopConfig) -> int:
    """How many photographs `data` must have."""
    if config.heldout or config.data in TEST_PARTS:
        return 1
    return config.validation + config.calibration + config.classifier + config.test + 1  # one at least to train on


def write_splits(config: LoopConfig, out: Path) -> None:
    """Read the data once and write the real images of each split, and splits.json last.

    Raises:
        ValueError: the data is too small for its splits.
    """
    seen = frame_of(config)
    images = load_images(config.data, *seen)
    sizes = {name: getattr(config, name) for name in ("validation", *SCORED)}
    heldout = config.heldout or TEST_PARTS.get(config.data, "")
    if heldout:
        others = load_images(heldout, *seen)
        splits = {name: others[rows] for name, rows in make_splits(len(others), sizes, config.seed).items()}
        splits["training"] = images
    else:
        sizes["training"] = max(1, len(images) - sum(sizes.values()))  # so that too few images are named as such
        splits = {name: images[rows] for name, rows in make_splits(len(images), sizes, config.seed).items()}
    rows = np.random.default_rng([config.seed, 4]).permutation(len(splits["training"]))
    rows = rows[: config.members or config.test]
    splits["members"] = splits["training"][np.sort(rows)]
    manifest = {}
    for name, values in splits.items():
        source = heldout if heldout and name not in ("training", "members") else config.data
        manifest[name] = asdict(describe_split(name, source, values, config.seed))
        with replacing(out / "splits" / f"{name}.npz") as temporary:
            np.savez(temporary, images=values)
    write_json(out / "splits.json", manifest)


def stages(config: LoopConfig, out: Path) -> Iterator[Stage]:
    """(name, generator of records) of every stage, in order; a generator does nothing until it is driven."""
    bundle = out / "bundle"
    runtime: dict[str, Any] = {"device": config.device, "precision": config.precision, "compile": config.compile}
    scoring: dict[str, Any] = {"detector": str(bundle), **runtime, "batch_size": config.score_batch}
    real = {path: str(out / "splits" / f"{path}.npz") for path in ("training", "validation", *SCORED, "members")}
    ends = np.cumsum([0] + [getattr(config, name) for name in SCORED])
    ends[-1] = max(ends[-1], config.count)
    images = out / "generated" / "images.npz"
    generated = {name: f"{images}[{ends[i]}:{ends[i + 1]}]" for i, name in enumerate(SCORED)}
    shared = (
        *("unet", "start", "steps", "batch_size", "learning_rate", "warmup_steps", "cooldown_steps", "ema_decay"),
        *("eval_every", "save_every", "log_every", "seed", "trackers"),
    )
    training = TrainDDPMConfig(
        data=real["training"],
        heldout=real["validation"],
        out=str(out / "ddpm"),
        **{name: getattr(config, name) for name in shared},
        **runtime,
    )
    making = GenerateConfig(
        detector=str(bundle),
        out=str(out / "generated"),
        count=int(ends[-1]),
        sampler=config.sampler,
        steps=config.sampler_steps,
        batch_size=config.sampler_batch,
        seed=config.seed,
        **runtime,
    )
    yield "splits", quick(write_splits, config, out)
    yield "train-ddpm", train_ddpm(training)
    yield "export", quick(export_run, out / "ddpm", bundle, called(config), frame_of(config)[1])
    yield "generate", generate(making)
    pair: dict[str, Any] = {"real": real["calibration"], "generated": generated["calibration"]}
    yield "calibrate", calibrate(CalibrateConfig(**pair, ks=config.ks, **scoring))
    yield (
        "train-nn",
        train_nn(
            TrainNNConfig(
                detector=str(bundle),
                real=real["classifier"],
                generated=generated["classifier"],
                input=config.input,
                epochs=config.epochs,
                learning_rate=config.classifier_rate,
                seed=config.seed,
                trackers=config.trackers,
                **runtime,
            )
        ),
    )
    test: dict[str, Any] = {"generated": generated["test"], "heldout": real["test"], "members": real["members"]}
    yield "evaluate", evaluate(EvaluateConfig(**test, **scoring))
    yield "card", quick(write_card, bundle)
    yield "report", quick(write_report, bundle, out / "report.html", paper.closest(called(config)))


def called(config: LoopConfig) -> str:
    """What the data set is called: never a path of this machine."""
    return config.name or Path(config.data).name


def loop(config: LoopConfig) -> Generator[Progress, None, Path]:
    """Run the stages that are not finished, yielding their records; returns the report, beside which the bundle is.

    Raises:
        ValueError: a setting or the data does not fit, or the folder holds a loop with other settings.
    """
    check(config)
    out = Path(config.out)
    settings = check_settings(config, out, (*FREE_ON_RESUME, *(["unet"] if config.start else [])))
    if config.start:  # the network that is trained, whatever preset there would be without
        settings |= about_unet(check_plain(Path(config.start)))
    yield from run_stages(stages(config, out), out, settings)
    return out / "report.html"

"""Does a defence hide the training images, and at what cost? Train with and without, measure, write one results file.

Appendix C of the paper: aggressive regularisation and augmentation. Three models start from the same weights, see the same
members equally often and differ in nothing else:

    OUT/config.json, stages.json    the settings, and what is finished
    OUT/splits/*.npz                members, held-out images, and others for the level of chance
    OUT/<model>/ddpm/               its training run, which resumes
    OUT/<model>/bundle/             its weights (not calibrated)
    OUT/<model>/generated/          its images
    OUT/defence.json, -pictures.npz the results, of the models measured so far
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from sedid import processes
from sedid.config import Count, Decay, NotNegative, Positive, Precision, Seed, Settings, Text, Whole
from sedid.data.augment import Augmentation
from sedid.data.datasets import load_images, make_splits
from sedid.data.splits import overlap, prints_of
from sedid.detector.bundle import made_with
from sedid.detector.export import export_run
from sedid.detector.provenance import provenance
from sedid.method.diffusion import NoiseSchedule, check_step
from sedid.models.networks import Runtime, UNetName
from sedid.models.schedules import make_scheduler
from sedid.progress import Progress
from sedid.recipes.stages import Stage, check_settings, quick, run_stages
from sedid.results import Setting
from sedid.stats.intervals import ABOUT
from sedid.storage import read_arrays, replacing
from sedid.studies.defence import (
    MEANING,
    DefenceResults,
    ModelRow,
    chance_level,
    model_row,
    pictures_file,
    write_pictures,
)
from sedid.studies.study import MadeBy, described, short_name
from sedid.training.generate import GenerateConfig, SamplerName, generate, make_sampler
from sedid.training.train_ddpm import TrainDDPMConfig, frame_of, train_ddpm

Several = Annotated[int, Field(ge=10)]


@dataclass(frozen=True)
class DefendConfig(Settings):
    """Settings of one trial of defences."""

    out: Text
    data: Text = "sample:real"  # the members are drawn from these, by the seed,
    heldout: str = ""  # and the held-out images from these; "": from the rest of `data`
    center_crop: NotNegative = 0  # of photographs, as `images.crop_side`; 0: that of `start`, or what `data` brings
    members: Several = 200  # training images: few, so that they are seen often
    test: Several = 200  # held-out images
    generated: Several = 200  # images of every model
    unet: UNetName = "demo"
    start: str = ""  # pipeline folder whose weights all models start from; "": from the same random ones
    steps: Count = 10_000
    batch_size: Count = 32
    learning_rate: Positive = 1e-3
    warmup_steps: Whole = 200
    cooldown_steps: Whole = 2_000
    ema_decay: Decay = 0.995
    save_every: Count = 500
    log_every: Count = 50
    weight_decay: NotNegative = 1.0  # of the regularised model,
    dropout: Decay = 0.3  # as this one
    augment: Annotated[tuple[Augmentation, ...], Field(min_length=1)] = ("randaugment", "cutout")  # the augmented one's
    k: Count = 165  # of the t-errors
    sampler: SamplerName = "ddim"
    sampler_steps: Count = 50
    sampler_batch: Count = 50
    score_batch: Count = 32
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"  # of training and generation


FREE_ON_RESUME = ("out", "device", "score_batch", "sampler_batch")
UNDEFENDED = "undefended"


def models(config: DefendConfig) -> dict[str, dict[str, Any]]:
    """Name of a model -> the settings of its training that are its own."""
    return {
        UNDEFENDED: {},
        "regularised": {"weight_decay": config.weight_decay, "dropout": config.dropout},
        "augmented": {"augment": config.augment},
    }


def check(config: DefendConfig) -> None:
    """Refuse before the training what a later stage would refuse after it.

    Raises:
        ValueError: a setting that does not fit.
    """
    if config.batch_size > config.members:
        raise ValueError(f"batch_size {config.batch_size} is larger than the {config.members} members")
    check_step(NoiseSchedule.linear(), config.k, config.k)
    make_sampler(config.sampler, make_scheduler(), config.sampler_steps)
    Runtime.choose(config.device, config.precision)


def write_splits(config: DefendConfig, out: Path) -> None:
    """Draw members and held-out images, and keep the other held-out ones for the level of chance.

    Raises:
        ValueError: there are too few, or a held-out image is a member.
    """
    seen = frame_of(config)
    images = load_images(config.data, *seen)
    if config.heldout:
        others = load_images(config.heldout, *seen)
        splits = {"members": images[make_splits(len(images), {"members": config.members}, config.seed)["members"]]}
        rows = make_splits(len(others), {"heldout": config.test}, config.seed)["heldout"]
        splits["heldout"] = others[rows]
    else:
        others = images
        drawn = make_splits(len(images), {"members": config.members, "heldout": config.test}, config.seed)
        splits = {name: images[rows] for name, rows in drawn.items()}
        rows = np.concatenate(list(drawn.values()))
    splits["others"] = np.delete(others, rows, axis=0)[: 4 * config.test]
    shared = overlap(prints_of(splits["heldout"]), prints_of(splits["members"]), ("held-out images", "members"))
    if shared.same + shared.near:
        raise ValueError(
            f"{shared.same + shared.near} of the {config.test} held-out images are members, too (the first is number "
            f"{shared.places[0]}): data and heldout must share no picture"
        )
    for name, values in splits.items():
        with replacing(split(out, name)) as temporary:
            np.savez(temporary, images=values)


def split(out: Path, name: str) -> Path:
    """Where a split is."""
    return out / "splits" / f"{name}.npz"


def generated(out: Path, name: str) -> Path:
    """Where a model's images are."""
    return out / name / "generated" / "images.npz"


def read_sets(out: Path, name: str) -> dict[str, np.ndarray]:
    """The images that a model is measured on, uint8 (N, H, W, 3) by `defence.SETS`; they are framed already."""
    files = {kind: split(out, kind) for kind in ("members", "heldout")} | {"generated": generated(out, name)}
    return {kind: read_arrays(file)["images"] for kind, file in files.items()}


def measure(config: DefendConfig, out: Path, name: str) -> Generator[Progress, None, None]:
    """Measure one model, and add its row and its pictures to the results."""
    bundle, made = out / name / "bundle", generated(out, name)
    images = read_sets(out, name)
    own: dict[str, Setting] = models(config)[name]
    trained = (config.steps, config.steps * config.batch_size / config.members)
    row, pictures = yield from model_row(
        name,
        own,
        bundle,
        images,
        trained,
        config.k,
        config.seed,
        config.score_batch,
        config.device,
        MadeBy.of(provenance(str(made), bundle)),
    )
    processes.on_main(add, config, out, row, pictures)


def add(config: DefendConfig, out: Path, row: ModelRow, pictures: dict[str, np.ndarray]) -> None:
    """Add a model to defence.json and to the pictures beside it; the first one begins both."""
    file, images = out / "defence.json", read_sets(out, row.name)
    first = row.name == UNDEFENDED
    found = begun(config, out, images) if first else DefenceResults.read(file)
    write_pictures(pictures_file(file), {} if first else read_arrays(pictures_file(file)), images, row.name, pictures)
    # a model that was added just before the trial was stopped is added again
    replace(found, rows=(*(one for one in found.rows if one.name != row.name), row)).write(file)


def begun(config: DefendConfig, out: Path, images: Mapping[str, np.ndarray]) -> DefenceResults:
    """The results of no model yet: the images, and the level of chance, which all models share."""
    others = read_arrays(split(out, "others"))["images"]
    named = {
        "members": config.data,
        "heldout": config.heldout or config.data,
        "generated": generated(out, UNDEFENDED).name,
    }
    return DefenceResults(
        images=described(named, dict(images)),
        k=config.k,
        chance=chance_level(images["heldout"], others, len(images["generated"]), config.seed),
        rows=(),
        intervals=ABOUT,
        meaning=MEANING,
        versions=made_with(),
        config=asdict(config)
        | {name: short_name(getattr(config, name)) for name in ("data", "heldout")}
        | {name: Path(getattr(config, name)).name for name in ("out", "start")},
    )


def stages(config: DefendConfig, out: Path) -> Iterator[Stage]:
    """Every stage in order; a generator does nothing until it is driven."""
    runtime: dict[str, Any] = {"device": config.device, "precision": config.precision}
    shared = (
        *("unet", "start", "steps", "batch_size", "learning_rate", "warmup_steps", "cooldown_steps"),
        *("ema_decay", "save_every", "log_every", "seed"),
    )
    yield "splits", quick(write_splits, config, out)
    for name, own in models(config).items():
        folder = out / name
        training = TrainDDPMConfig(
            data=str(split(out, "members")),
            out=str(folder / "ddpm"),
            eval_every=config.steps,  # the last weights, not the best ones: these would have been saved from memorising
            **{each: getattr(config, each) for each in shared},
            **own,
            **runtime,
        )
        making = GenerateConfig(
            detector=str(folder / "bundle"),
            out=str(folder / "generated"),
            count=config.generated,
            sampler=config.sampler,
            steps=config.sampler_steps,
            batch_size=config.sampler_batch,
            seed=config.seed,
            **runtime,
        )
        yield f"train the {name} model", train_ddpm(training)
        crop = frame_of(config)[1]
        exported = quick(export_run, folder / "ddpm", folder / "bundle", short_name(config.data), crop)
        yield f"export the {name} model", exported
        yield f"generate with the {name} model", generate(making)
        yield f"measure the {name} model", measure(config, out, name)


def defend(config: DefendConfig) -> Generator[Progress, None, DefenceResults]:
    """Run the stages that are not finished, yielding their records; returns what is in defence.json.

    Raises:
        ValueError: a setting or the data does not fit, or the folder holds a trial with other settings.
    """
    check(config)
    out = Path(config.out)
    settings = check_settings(config, out, FREE_ON_RESUME)
    yield from run_stages(stages(config, out), out, settings)
    return processes.on_main(DefenceResults.read, out / "defence.json")

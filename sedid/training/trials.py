"""Short training runs from the same weights on the same number of images, one setting changed at a time.

They show what raises the quality a CPU or GPU hour buys, before hours are spent.

A variant's run is `train_ddpm` with its learning rate falling to zero over the second half, so that what is compared
is settled. Its final EMA weights meet the same held-out images with the same noise as everybody else's: differences
far smaller than the loss's own spread are real.

The output folder:

    trials.json     what was tried: written anew after each variant
    <n>/            the training run of each variant, which an interrupted one resumes
"""

from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sedid.config import Count, Decay, NotNegative, Positive, Precision, Seed, Settings, Text, load_config
from sedid.data.datasets import fingerprint, load_images
from sedid.detector.bundle import checkpoint_hash, frame, made_with
from sedid.detector.export import export_run
from sedid.method.diffusion import NoiseSchedule
from sedid.models.folders import check_plain
from sedid.models.networks import Runtime, UNetName, about_unet, load_unet
from sedid.progress import Progress
from sedid.results import Results, Rows, Setting
from sedid.training.denoising import heldout_errors, loss_weights
from sedid.training.train_ddpm import TrainDDPMConfig, frame_of, train_ddpm

BANDS = 5
"""Equal ranges of t the held-out loss is told in."""


@dataclass(frozen=True)
class TrialsConfig(Settings):
    """Settings of a round of trials."""

    data: Text  # training images
    heldout: Text  # images none of the variants sees
    out: Text
    start: str = ""  # pipeline folder all variants start from; "" trains each anew
    variants: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "min_snr_gamma=0",
        "min_snr_gamma=5",
    )  # settings of train-ddpm, "key=value key=value"
    images: Count = 6_400  # every variant is trained on so many
    unet: UNetName = "small"
    batch_size: Count = 32
    learning_rate: Positive = 2e-4
    ema_decay: Decay = 0.99
    min_snr_gamma: NotNegative = 0.0
    gamma: Positive = 5.0  # of the held-out loss that is weighted by min-SNR
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


@dataclass(frozen=True)
class Trial:
    """The held-out losses of one variant: plain, weighted by min-SNR, and plain by ranges of t."""

    changes: str
    loss: float
    weighted_loss: float
    loss_by_band: Rows[float]


@dataclass(frozen=True, kw_only=True)
class TrialsResults(Results):
    """What stands in trials.json: what is the same in all trials, and those that are finished.

    Attributes:
        versions: of the code that measured the last one (`made_with`); empty in older files.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "trials"

    settings: dict[str, Setting]
    start_sha256: str
    heldout_sha256: str
    trials: tuple[Trial, ...]
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        return found


def training_of(config: TrialsConfig, number: int) -> TrainDDPMConfig:
    """The training run of one variant.

    Raises:
        ValueError: a setting that train-ddpm does not have, or that the trials fix for all.
    """
    alike = ("data", "start", "unet", "batch_size", "learning_rate", "ema_decay", "min_snr_gamma", "seed")
    common = {name: getattr(config, name) for name in (*alike, "device", "precision", "compile")}
    common |= {"out": str(Path(config.out) / str(number)), "samples": 0, "steps": 1}
    changes = config.variants[number].split()
    fixed = {"data", "heldout", "out", "start", "steps", "seed"} & {change.partition("=")[0] for change in changes}
    if fixed:
        raise ValueError(f"{', '.join(sorted(fixed))} is the same in all trials and cannot be changed in one")
    made = load_config(TrainDDPMConfig, common, None, changes)
    steps = max(2, config.images // made.batch_size)
    schedule: dict[str, Any] = {"warmup_steps": steps // 10, "cooldown_steps": steps // 2, "eval_every": steps}
    return replace(made, steps=steps, **schedule, save_every=max(1, steps // 8), log_every=max(1, steps // 20))


def measured(config: TrialsConfig, changes: str, bundle: Path) -> Trial:
    """Held-out losses of one variant."""
    runtime = Runtime.choose(config.device, config.precision)
    schedule = NoiseSchedule.linear()
    heldout = load_images(config.heldout, *frame(bundle))
    t, errors = heldout_errors(runtime.place(load_unet(bundle)), heldout, schedule, runtime)
    band = t * BANDS // len(schedule)
    return Trial(
        changes,
        errors.mean().item(),
        (loss_weights(t, schedule, config.gamma) * errors).mean().item(),
        tuple(errors[band == number].mean().item() for number in range(BANDS)),
    )


def trials(config: TrialsConfig) -> Generator[Progress, None, Path]:
    """Train and measure every variant, yielding the records of the training runs; returns trials.json.

    Raises:
        ValueError: a setting does not fit, or the folder holds trials with other settings.
    """
    runs = [training_of(config, number) for number in range(len(config.variants))]
    out, where = Path(config.out) / "trials.json", ("data", "heldout", "out", "start")
    settings: dict[str, Any] = asdict(config) | {name: Path(getattr(config, name)).name for name in where}
    settings |= about_unet(check_plain(Path(config.start))) if config.start else {}
    begun = TrialsResults(
        settings=settings,
        start_sha256=checkpoint_hash(Path(config.start)) if config.start else "",
        heldout_sha256=fingerprint(load_images(config.heldout, *frame_of(runs[0]))),
        trials=(),
    )
    found = TrialsResults.read(out) if out.is_file() else begun
    if replace(found, trials=(), versions={}) != begun:
        raise ValueError(f"{config.out} holds trials with other settings; choose another folder")
    for number in range(len(found.trials), len(runs)):
        stage = f"trial {number + 1} of {len(runs)}, {config.variants[number]}"
        for record in train_ddpm(runs[number]):
            yield record.as_progress(stage)
        bundle = Path(runs[number].out) / "bundle"
        export_run(Path(runs[number].out), bundle)
        done = (*found.trials, measured(config, config.variants[number], bundle))
        found = replace(found, trials=done, versions=made_with())
        found.write(out)
    return out

"""Train a DDPM (Ho et al. 2020): predict the noise in x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.

Every random draw is a function of (seed, step), never of what ran before, so a run that was killed resumes
from its last checkpoint and ends with the weights of an uninterrupted run; and N processes draw the same
global batch as one. Runs as it is under `torchrun` and `accelerate launch`. (With three processes or more,
gradients may be summed in another order after a resume, as the first step of a run always differs in this.)

The run folder:

    config.json           the resolved configuration; `unet` names the network that is trained, wherever it came from
    splits.npz            prints of the images the network sees and is chosen by (`sedid.data.splits`)
    metrics.jsonl         one line per progress record
    state.safetensors     weights, EMA, Adam moments and step: what `resume` reads
    best.safetensors      the EMA weights with the lowest held-out loss so far, and their architecture
    samples/*.png         a grid from fixed noise at each evaluation, EMA weights, DDIM in 20 steps
"""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sedid.config import Count, Decay, NotNegative, Positive, Precision, Seed, Settings, Text, Whole
from sedid.data.augment import Augmentation, augmented
from sedid.data.datasets import as_model_input, crop_of, load_sets
from sedid.data.images import check_crop
from sedid.data.splits import FILE as SPLITS
from sedid.data.splits import TRAINING, VALIDATION, record_splits
from sedid.detector.bundle import checkpoint_hash, frame
from sedid.method.diffusion import NoiseSchedule
from sedid.models.networks import (
    UNETS,
    Runtime,
    UNetName,
    about_unet,
    architecture,
    load_unet,
    make_unet,
    set_dropout,
)
from sedid.progress import Progress
from sedid.storage import read_json, replacing, stored_tensors, write_json
from sedid.training import records
from sedid.training.denoising import HeldoutLoss, heldout_loss, loss_weights, noised
from sedid.training.samples import averaged, write_grid
from sedid.training.seeds import seed_of
from sedid.training.tracking import check_trackers, tracking


@dataclass(frozen=True)
class TrainDDPMConfig(Settings):
    """Settings of one DDPM training run; the defaults are the paper's."""

    data: Text  # data set of the member reals: a name, folder, .zip or .npz, with an optional [start:stop]
    out: Text  # the run folder
    heldout: str = ""  # data set for the held-out loss; "" keeps the last EMA instead of the best
    unet: UNetName = "paper"  # demo, small or paper
    start: str = ""  # pipeline folder whose weights to continue from; "" trains anew
    center_crop: NotNegative = (
        0.0  # of photographs, as `images.crop_side`; 0: that of `start`, or what `data` brings by its name
    )
    steps: Count = 800_000
    batch_size: Count = 128  # over all processes
    learning_rate: Positive = 2e-4
    warmup_steps: Whole = 5_000  # the learning rate rises linearly
    cooldown_steps: Whole = 0  # it falls linearly to zero over the last so many
    grad_clip: NotNegative = 1.0  # on the global norm; 0 clips nothing
    ema_decay: Decay = 0.9999  # reached through the ramp (1 + step) / (10 + step) if trained anew
    min_snr_gamma: NotNegative = (
        0.0  # weight min(SNR_t, gamma) / SNR_t on the loss (Hang et al. 2023); 0: the plain loss
    )
    flip: bool = True  # random horizontal flips
    augment: tuple[Augmentation, ...] = ()  # other random changes, in this order: crop, cutout, colour, randaugment
    dropout: Decay | None = None  # of the residual blocks; none: what the network's configuration has
    weight_decay: NotNegative = 0.0  # decoupled from the gradient (AdamW)
    eval_every: Count = 5_000  # steps between held-out losses, checkpoints of the best and sample grids
    save_every: Count = 1_000  # steps between resumable checkpoints
    log_every: Count = 50
    samples: Whole = 16  # images of a sample grid; 0 draws none
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False
    trackers: tuple[str, ...] = ()  # tensorboard (logs/ in the run folder), trackio (its own database)


@dataclass(frozen=True)
class TrainProgress:
    """One record of a training run.

    It has `heldout_loss`, weighted as the training weighs it, and `heldout_plain` only where they were just measured, and
    the `hours` of wall time so far, over all the sessions the run was continued in.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    images_per_second: float
    eta_seconds: float
    heldout_loss: float | None = None
    hours: float = 0.0
    heldout_plain: float | None = None

    def as_progress(self, stage: str) -> Progress:
        """The same as other loops have it."""
        measured = {name: getattr(self, name) for name in ("loss", "learning_rate", "heldout_loss")}
        values = {name: value for name, value in measured.items() if value is not None}
        return Progress(stage, self.step, self.steps, "images", self.images_per_second, self.eta_seconds, values)


def learning_rate(config: TrainDDPMConfig, step: int) -> float:
    """Linear warm-up, constant, linear cool-down to zero; `step` counts from 0."""
    up = (step + 1) / config.warmup_steps if config.warmup_steps else 1.0
    down = (config.steps - step) / config.cooldown_steps if config.cooldown_steps else 1.0
    return config.learning_rate * min(1.0, up, down)


def frame_of(config: Any) -> tuple[int, float | None]:
    """At which size and centre crop the images of a training are read: those of the network that is trained.

    Args:
        config: settings with `unet`, `start`, `data` and `center_crop`, as `TrainDDPMConfig`.

    Raises:
        FileNotFoundError, ValueError: the network to start from cannot be read, or the crop is none.
    """
    size, crop = frame(Path(config.start)) if config.start else (int(UNETS[config.unet]["sample_size"]), None)
    crop = config.center_crop or crop or crop_of(config.data)
    check_crop(crop)
    return size, crop


def draw_batch(
    images: np.ndarray, schedule: NoiseSchedule, config: TrainDDPMConfig, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The global batch of one step, a pure function of (images, seed, step).

    Each epoch visits a new permutation of the images.

    Returns:
        x_t (B, 3, H, W) float32, t (B,) int64, eps (B, 3, H, W) float32.
    """
    size, count = config.batch_size, len(images)
    places = np.arange(step * size, (step + 1) * size)
    order = {
        int(epoch): np.random.default_rng([config.seed, 1, int(epoch)]).permutation(count)
        for epoch in np.unique(places // count)
    }
    index = np.array([order[int(place // count)][place % count] for place in places])
    generator = torch.Generator().manual_seed(seed_of(config.seed, 2, step))
    chosen = images[index]
    if config.augment:
        changed = augmented(torch.from_numpy(chosen).permute(0, 3, 1, 2), config.augment, seed_of(config.seed, 4, step))
        chosen = changed.permute(0, 2, 3, 1).numpy()
    x_0 = as_model_input(chosen)
    if config.flip:
        flipped = torch.rand(size, generator=generator) < 0.5
        x_0 = torch.where(flipped[:, None, None, None], x_0.flip(3), x_0)
    t = torch.randint(len(schedule), (size,), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return noised(x_0, eps, t, schedule), t, eps


def batches(
    images: np.ndarray, schedule: NoiseSchedule, config: TrainDDPMConfig, first: int, mine: slice, device: torch.device
) -> Iterator[list[Tensor]]:
    """This process's part of the batches of all steps from the first, on its device.

    Each is drawn in the background while the one before is trained on; not so where images are augmented, which takes
    draws from the generator that dropout draws from.
    """

    def draw(step: int) -> list[Tensor]:
        parts = [part[mine] for part in draw_batch(images, schedule, config, step)]
        # from pinned memory the copy waits for nothing that the GPU is still doing
        return [part.pin_memory() for part in parts] if device.type == "cuda" else parts

    if config.augment:
        for step in range(first, config.steps):
            yield [part.to(device, non_blocking=True) for part in draw(step)]
        return
    with ThreadPoolExecutor(1, "batches") as background:
        upcoming = background.submit(draw, first)
        for step in range(first, config.steps):
            parts = upcoming.result()
            upcoming = background.submit(draw, step + 1)
            yield [part.to(device, non_blocking=True) for part in parts]


@dataclass
class State:
    """What a training changes.

    Attributes:
        unet: the network, on its device.
        weights: its parameters themselves, by name: DDP exchanges their storage.
        ema: their average, by name.
        optimizer: theirs.
        step: how many steps are done.
        best: the lowest weighted held-out loss so far.
    """

    unet: Any
    weights: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: Any
    step: int = 0
    best: float = inf


def begin(config: TrainDDPMConfig, runtime: Runtime) -> State:
    """The network a run starts from, and all that belongs to it.

    Raises:
        FileNotFoundError, ValueError: the network to start from cannot be read, or has no dropout to set.
    """
    unet: Any = load_unet(Path(config.start)) if config.start else seeded_unet(config)
    if config.dropout is not None:
        set_dropout(unet, config.dropout)
    unet = runtime.place(unet).train()
    ema = {name: value.detach().clone() for name, value in unet.state_dict().items()}
    optimizer = torch.optim.AdamW(unet.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    return State(unet, unet.state_dict(keep_vars=True), ema, optimizer)


def read_sets(
    config: TrainDDPMConfig, size: int, crop: float | None, processes: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The images that are trained on, and the held-out ones, uint8 (N, size, size, 3); None without.

    Raises:
        ValueError: a batch is larger than the data, or cannot be shared by the processes.
    """
    specs = {"data": config.data, "heldout": config.heldout}
    read = load_sets({name: spec for name, spec in specs.items() if spec}, size, crop)
    images, heldout = read["data"], read.get("heldout")
    if config.batch_size > len(images):
        raise ValueError(f"batch_size {config.batch_size} is larger than the data set ({len(images)} images)")
    if config.batch_size % processes:
        raise ValueError(f"batch_size {config.batch_size} is not divisible by the {processes} processes")
    return images, heldout


def take_step(
    state: State,
    network: Any,
    batch: Sequence[Tensor],
    config: TrainDDPMConfig,
    schedule: NoiseSchedule,
    runtime: Runtime,
    accelerator: Any,
) -> Tensor:
    """One step of the optimiser and of the average.

    Args:
        network: the network of the state, as it is called.
        batch: as `draw_batch`, this process's part of it, on its device.

    Returns:
        Loss and gradient norm, (2,).
    """
    x_t, t, eps = batch
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config, state.step)
    seed_dropout(config.seed, state.step, accelerator.process_index)
    with runtime.autocast():
        predicted = network(x_t.contiguous(memory_format=torch.channels_last), t).sample
    errors = (predicted.float() - eps).square().mean(dim=(1, 2, 3))
    loss = (loss_weights(t, schedule, config.min_snr_gamma) * errors).mean()
    state.optimizer.zero_grad(set_to_none=True)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(state.unet.parameters(), config.grad_clip or inf)
    state.optimizer.step()
    ramp = 1.0 if config.start else (1 + state.step) / (10 + state.step)
    update_ema(state.ema, state.weights, min(config.ema_decay, ramp))
    state.step += 1
    return torch.stack([loss.detach(), norm])


@dataclass(frozen=True)
class Clock:
    """How long a run takes.

    Attributes:
        spent: seconds of the sessions before this one.
        first: the step this session began with.
        began: when it did, by the monotonic clock.
    """

    spent: float
    first: int
    began: float

    def record(self, config: TrainDDPMConfig, step: int, loss: float, measured: HeldoutLoss | None) -> TrainProgress:
        """The record of a step."""
        passed = time.monotonic() - self.began
        speed = (step - self.first) / passed
        return TrainProgress(
            step,
            config.steps,
            loss,
            learning_rate(config, step - 1),
            speed * config.batch_size,
            (config.steps - step) / speed,
            measured.weighted if measured else None,
            (self.spent + passed) / 3600,
            measured.plain if measured else None,
        )


def train_ddpm(config: TrainDDPMConfig) -> Generator[TrainProgress, None, None]:
    """Train, or resume the run in `config.out`, yielding a record every `log_every` steps.

    Raises:
        ValueError: a setting does not fit (batch larger than the data, batch not divisible by the number of
            processes, a run folder holding another configuration, a tracker that cannot be used).
        ValueError: a loss or a gradient is not finite; the last checkpoint before it is kept.
    """
    from accelerate import Accelerator

    check_trackers(config.trackers)
    runtime = Runtime.choose(config.device, config.precision, config.compile)
    accelerator = Accelerator(cpu=runtime.device.type == "cpu")
    runtime = Runtime(accelerator.device, config.precision, config.compile)
    size, crop = frame_of(config)
    config = replace(config, center_crop=crop or 0.0)  # what config.json says, and the detector after it
    images, heldout = read_sets(config, size, crop, accelerator.num_processes)
    out, schedule = Path(config.out), NoiseSchedule.linear()
    state = begin(config, runtime)
    settings = asdict(config) | {"augment": list(config.augment)} | about_unet(state.unet.config)
    settings |= {"start_sha256": checkpoint_hash(Path(config.start))} if config.start else {}
    resume(settings, out, state)
    if accelerator.is_main_process:
        write_json(out / "config.json", settings)
        sets = {TRAINING: images} | ({} if heldout is None else {VALIDATION: heldout})
        record_splits(out / SPLITS, sets)
    network, state.optimizer = accelerator.prepare(state.unet, state.optimizer)
    if config.compile:
        network = torch.compile(network)
    share = config.batch_size // accelerator.num_processes
    mine = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)

    clock = Clock(seconds_spent(out, state.step), state.step, time.monotonic())
    recent: list[Tensor] = []  # loss and gradient norm of the steps since the last record, (2,) each
    drawn = batches(images, schedule, config, state.step, mine, runtime.device)
    with (
        tracking(config.trackers, "train-ddpm", out / "logs", runtime, state.step) as track,
        records.appending(out / records.FILE) if accelerator.is_main_process else nullcontext() as append,
    ):
        for batch in drawn:
            recent.append(take_step(state, network, batch, config, schedule, runtime, accelerator))
            step, last, measured = state.step, state.step == config.steps, None
            evaluated = step % config.eval_every == 0 or last
            saved = step % config.save_every == 0 or last
            # decided alike in every process: `reduce` waits for all of them
            recorded = step % config.log_every == 0 or last or (evaluated and heldout is not None)
            if evaluated or saved or recorded:  # only here, so that a GPU is not waited for at every step
                kept = [*state.unet.state_dict().values(), *state.ema.values()] if evaluated or saved else []
                check_finite(config, out, torch.stack(recent), kept, step)
            if accelerator.is_main_process and evaluated:
                measured = keep_best(config, out, state, heldout, schedule, runtime)
                if config.samples:
                    with averaged(state.unet, state.ema):
                        write_grid(state.unet, out / "samples" / f"{step:07d}.png", config.samples, runtime)
            if accelerator.is_main_process and saved:
                save_state(out, state)
            if recorded:
                mean = accelerator.reduce(torch.stack(recent)[:, 0].mean(), "mean").item()
                recent.clear()
                record = clock.record(config, step, mean, measured)
                values = asdict(record)
                if append is not None:
                    append(values)
                track({name: values[name] for name in ("loss", "learning_rate", "heldout_loss")}, step)
                yield record


def seconds_spent(out: Path, step: int) -> float:
    """The wall time a run took up to a step, by its records: the checkpoints of equal runs are equal byte for byte."""
    known = records.read(out / records.FILE)
    return max((3600 * record.get("hours", 0.0) for record in known if record.get("step", inf) <= step), default=0.0)


def check_finite(config: TrainDDPMConfig, out: Path, recent: Tensor, weights: Iterable[Tensor], step: int) -> None:
    """Refuse to go on, or to save anything, once a number of the training is not finite.

    Args:
        recent: loss and gradient norm of the last steps up to `step`, (N, 2).
        weights: what is to be saved after it.

    Raises:
        ValueError: the text names the step, the checkpoint that is kept, and what to do.
    """
    fine = recent.isfinite().all(dim=1)
    if not fine.all():
        first = step - len(fine) + 1 + int((~fine).nonzero()[0])
        raise diverged(config, out, f"the loss or gradient of step {first} is")
    if not all(bool(value.isfinite().all()) for value in weights):
        raise diverged(config, out, f"the network's weights after step {step} are")


def diverged(config: TrainDDPMConfig, out: Path, what: str) -> ValueError:
    """The sentence about a run that cannot go on; `what` is "the loss of step 3 is", for instance."""
    state, kept, from_it = out / "state.safetensors", "nothing was saved", ""
    if state.is_file():
        with stored_tensors(state) as stored:
            kept = f"the checkpoint of step {stored.metadata()['step']} is kept"
    if (out / "best.safetensors").is_file():
        from_it = ", anew or from a bundle of this one (`export`, then start=BUNDLE)"
    return ValueError(
        f"{what} not finite: the training has diverged, and {kept}. Start another run with a "
        f"learning_rate below {config.learning_rate:g}{from_it}"
    )


def seeded_unet(config: TrainDDPMConfig) -> nn.Module:
    """A U-Net whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return make_unet(config.unet)


def seed_dropout(seed: int, step: int, process: int) -> None:
    """Tie dropout masks to (seed, step, process), so that a resumed run draws the same ones."""
    torch.manual_seed(seed_of(seed, 3, step, process))


@torch.no_grad()
def update_ema(ema: dict[str, Tensor], weights: dict[str, Tensor], decay: float) -> None:
    """Average the weights in place: ema <- decay * ema + (1 - decay) * weights.

    The ramp lets a short run forget its random start (a fixed 0.9999 would still hold 61 % of it after 5,000 steps);
    trained weights need none.
    """
    torch._foreach_lerp_(list(ema.values()), list(weights.values()), 1 - decay)


def keep_best(
    config: TrainDDPMConfig,
    out: Path,
    state: State,
    heldout: np.ndarray | None,
    schedule: NoiseSchedule,
    runtime: Runtime,
) -> HeldoutLoss | None:
    """Measure the EMA weights on the held-out images and save them if they are the best so far.

    Returns:
        The held-out loss; None without held-out images.
    """
    from safetensors.torch import save_file

    measured = None
    if heldout is not None:
        with averaged(state.unet, state.ema):
            measured = heldout_loss(state.unet, heldout, schedule, runtime, config.min_snr_gamma)
        if not isfinite(measured.weighted):
            raise diverged(config, out, f"the held-out loss of step {state.step} is")
    if measured is None or measured.weighted < state.best:
        losses = {"heldout_loss": measured.weighted if measured else None, "heldout_plain": measured and measured.plain}
        about = {"step": str(state.step), "unet": architecture(state.unet)}
        with replacing(out / "best.safetensors") as temporary:
            save_file(
                {name: value.contiguous() for name, value in state.ema.items()},
                temporary,
                about | {name: str(loss) for name, loss in losses.items()},
            )
        state.best = state.best if measured is None else measured.weighted
    return measured


def save_state(out: Path, state: State) -> None:
    """Write everything `resume` needs, atomically."""
    from safetensors.torch import save_file

    tensors = {f"weights.{name}": value for name, value in state.unet.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in state.ema.items()}
    for name, parameter in state.unet.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            tensors[f"{key}.{name}"] = state.optimizer.state[parameter][key]
    with replacing(out / "state.safetensors") as temporary:
        save_file(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            temporary,
            {"step": str(state.step), "best": str(state.best), "unet": architecture(state.unet)},
        )


FREE_ON_RESUME = {
    *("out", "device", "compile", "trackers", "eval_every", "save_every", "log_every", "samples"),
    *("steps", "cooldown_steps"),  # how long it goes on
    *("start", "unet", "parameters", "dropout"),  # told by start_sha256 and by the checkpoint's own architecture
}
"""Settings that may change when a run is continued; any other change would be another run."""


def resume(settings: dict[str, Any], out: Path, state: State) -> None:
    """Load the run's last checkpoint in place, if there is one: weights, average, optimiser, step and best loss.

    Args:
        settings: what config.json is to hold.

    Raises:
        ValueError: the folder holds a run with other settings, or of another architecture, or a damaged checkpoint, or
            one that is not finite.
    """
    file, unet, ema, optimizer = out / "state.safetensors", state.unet, state.ema, state.optimizer
    if not file.is_file():
        return
    before = settings | read_json(out / "config.json")  # an earlier version wrote fewer
    changed = sorted(name for name in settings.keys() - FREE_ON_RESUME if before[name] != settings[name])
    with stored_tensors(file) as stored:
        metadata = stored.metadata()
        if metadata.get("unet") != architecture(unet):  # which may have weights of the same names and shapes
            raise ValueError(f"{file} is a checkpoint of another architecture")
        if changed:
            raise ValueError(
                f"{out} holds a run with other settings ({', '.join(changed)}); choose another folder or the same "
                "settings. To go on from its weights under others, export it to a bundle and start from that"
            )
        names = set(stored.keys())
        for prefix, target in (("weights.", unet.state_dict()), ("ema.", ema)):
            for name, value in target.items():
                if prefix + name not in names or tuple(stored.get_slice(prefix + name).get_shape()) != tuple(
                    value.shape
                ):
                    raise ValueError(f"{file} is a checkpoint of another architecture: {name} does not fit")
                value.copy_(stored.get_tensor(prefix + name))
        step = int(metadata["step"])
        for name, parameter in unet.named_parameters():
            moments = {
                key: stored.get_tensor(f"{key}.{name}").to(parameter.device) for key in ("exp_avg", "exp_avg_sq")
            }
            optimizer.state[parameter] = {"step": torch.tensor(float(step))} | moments
        loaded = [*unet.state_dict().values(), *ema.values()]
        loaded += [values for kept in optimizer.state.values() for values in kept.values()]
        if not all(bool(value.isfinite().all()) for value in loaded):
            raise ValueError(
                f"{file} holds numbers that are not finite: this run had diverged by step {step} and cannot be continued. "
                "Start another in a new folder with a lower learning_rate"
            )
    state.step, state.best = step, float(metadata["best"])

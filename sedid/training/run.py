"""One run of training, whatever is trained: steps, average, checkpoints, records. A `Task` says what is trained and on what.

Every random draw is a function of (seed, step), never of what ran before, so a run that was killed resumes
from its last checkpoint and ends with the weights of an uninterrupted run; and N processes draw the same
global batch as one. Runs as it is under `torchrun` and `accelerate launch`. (With three processes or more,
gradients may be summed in another order after a resume, as the first step of a run always differs in this.)

The run folder:

    config.json           the resolved configuration
    splits.npz            prints of the images the network sees and is chosen by (`sedid.data.splits`)
    metrics.jsonl         one line per progress record
    state.safetensors     weights, EMA, Adam moments and step: what `resume` reads
    best.safetensors      the EMA weights with the lowest held-out loss so far, and their architecture
    samples/*.png         a picture at each evaluation, of the EMA weights
"""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sedid.config import Count, Decay, NotNegative, Positive, Precision, Seed, Settings, Text, Whole
from sedid.data.datasets import crop_of, load_sets
from sedid.data.images import check_crop
from sedid.data.splits import FILE as SPLITS
from sedid.data.splits import TRAINING, VALIDATION, record_splits
from sedid.detector.bundle import checkpoint_hash
from sedid.models.networks import Runtime, architecture
from sedid.progress import Progress
from sedid.storage import read_json, replacing, stored_tensors, write_json
from sedid.training import records
from sedid.training.denoising import HeldoutLoss
from sedid.training.samples import averaged
from sedid.training.seeds import seed_of
from sedid.training.tracking import check_trackers, tracking


@dataclass(frozen=True)
class RunSettings(Settings):
    """What every training run has to be told."""

    data: Text  # data set of the member reals: a name, folder, .zip or .npz, with an optional [start:stop]
    out: Text  # the run folder
    heldout: str = ""  # data set for the held-out loss; "" keeps the last EMA instead of the best
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
    flip: bool = True  # random horizontal flips
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


class Task(Protocol):
    """What is trained, and on what.

    Attributes:
        command: that trains it.
        part: of a pipeline that is trained: unet or vae.
        images, heldout: uint8 (N, H, W, 3); None without held-out images.
    """

    command: str
    part: str
    images: np.ndarray
    heldout: np.ndarray | None

    @property
    def network(self) -> Any:
        """The network that is trained, a model of diffusers on its device."""
        ...

    @property
    def asked(self) -> Any:
        """What is called for the loss: the network, or a module around it."""
        ...

    @property
    def about(self) -> dict[str, Any]:
        """What config.json says of it beside the settings."""
        ...

    def draw(self, step: int) -> Sequence[Tensor]:
        """The global batch of one step, a pure function of (images, seed, step): tensors of as many rows each."""
        ...

    def loss(self, asked: Any, batch: Sequence[Tensor]) -> Tensor:
        """The loss of a batch, a mean over its rows.

        Args:
            asked: as the attribute, as it is called in this process.
            batch: this process's part of it, on its device.
        """
        ...

    def measure(self, heldout: np.ndarray) -> HeldoutLoss:
        """The loss of the network as it stands on held-out images."""
        ...

    def show(self, file: Path, count: int) -> None:
        """Write a picture of what the network as it stands can do."""
        ...


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


def learning_rate(config: RunSettings, step: int) -> float:
    """Linear warm-up, constant, linear cool-down to zero; `step` counts from 0."""
    up = (step + 1) / config.warmup_steps if config.warmup_steps else 1.0
    down = (config.steps - step) / config.cooldown_steps if config.cooldown_steps else 1.0
    return config.learning_rate * min(1.0, up, down)


def rows_of(count: int, config: RunSettings, step: int) -> np.ndarray:
    """Which images the global batch of one step holds, int64 (B,): each epoch visits a new permutation of them."""
    size = config.batch_size
    places = np.arange(step * size, (step + 1) * size)
    order = {
        int(epoch): np.random.default_rng([config.seed, 1, int(epoch)]).permutation(count)
        for epoch in np.unique(places // count)
    }
    return np.array([order[int(place // count)][place % count] for place in places])


def mirrored(x: Tensor, config: RunSettings, generator: torch.Generator) -> Tensor:
    """A batch (B, 3, H, W), where the settings say so with about half of its pictures turned left to right."""
    if not config.flip:
        return x
    flipped = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(flipped[:, None, None, None], x.flip(3), x)


def crop_of_run(config: Any, own: float | None) -> float | None:
    """The centre crop that a run reads its images at.

    Args:
        config: settings with `center_crop` and `data`, as `RunSettings`.
        own: that of the weights it starts from.

    Raises:
        ValueError: it is none.
    """
    crop = config.center_crop or own or crop_of(config.data)
    check_crop(crop)
    return crop


def batches(
    task: Task, config: RunSettings, first: int, mine: slice, device: torch.device, ahead: bool
) -> Iterator[list[Tensor]]:
    """This process's part of the batches of all steps from the first, on its device.

    Args:
        ahead: draw each in the background while the one before is trained on; not so where images are augmented, which
            takes draws from the generator that dropout draws from.
    """

    def draw(step: int) -> list[Tensor]:
        parts = [part[mine] for part in task.draw(step)]
        # from pinned memory the copy waits for nothing that the GPU is still doing
        return [part.pin_memory() for part in parts] if device.type == "cuda" else parts

    if not ahead:
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
        network: the network, on its device.
        weights: its parameters themselves, by name: DDP exchanges their storage.
        ema: their average, by name.
        optimizer: theirs.
        step: how many steps are done.
        best: the lowest weighted held-out loss so far.
    """

    network: Any
    weights: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: Any
    step: int = 0
    best: float = inf


def begin(config: RunSettings, network: Any) -> State:
    """What a run starts from."""
    ema = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    return State(network, network.state_dict(keep_vars=True), ema, optimizer)


def read_sets(
    config: RunSettings, size: int, crop: float | None, processes: int
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
    task: Task, state: State, asked: Any, batch: Sequence[Tensor], config: RunSettings, accelerator: Any
) -> Tensor:
    """One step of the optimiser and of the average.

    Args:
        asked: the network of the task, as it is called.
        batch: as `Task.draw`, this process's part of it, on its device.

    Returns:
        Loss and gradient norm, (2,).
    """
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config, state.step)
    seed_dropout(config.seed, state.step, accelerator.process_index)
    loss = task.loss(asked, batch)
    state.optimizer.zero_grad(set_to_none=True)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(state.network.parameters(), config.grad_clip or inf)
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

    def record(self, config: RunSettings, step: int, loss: float, measured: HeldoutLoss | None) -> TrainProgress:
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


def prepared(config: RunSettings) -> tuple[Any, Runtime]:
    """Accelerate's part in a run, and where it runs.

    Raises:
        ValueError: a device, a precision or a tracker that cannot be used.
    """
    from accelerate import Accelerator

    check_trackers(config.trackers)
    runtime = Runtime.choose(config.device, config.precision, config.compile)
    accelerator = Accelerator(cpu=runtime.device.type == "cpu")
    return accelerator, Runtime(accelerator.device, config.precision, config.compile)


def run(
    task: Task, config: RunSettings, runtime: Runtime, accelerator: Any, ahead: bool = True
) -> Generator[TrainProgress, None, None]:
    """Train, or resume the run in `config.out`, yielding a record every `log_every` steps.

    Args:
        config: as config.json is to have it.
        ahead: as `batches`.

    Raises:
        ValueError: the run folder holds another configuration, or a loss or a gradient is not finite; the last
            checkpoint before it is kept.
    """
    out = Path(config.out)
    state = begin(config, task.network)
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    settings |= task.about
    settings |= {"start_sha256": checkpoint_hash(Path(config.start))} if config.start else {}
    resume(settings, out, state, task.part)
    if accelerator.is_main_process:
        write_json(out / "config.json", settings)
        sets = {TRAINING: task.images} | ({} if task.heldout is None else {VALIDATION: task.heldout})
        record_splits(out / SPLITS, sets)
    asked, state.optimizer = accelerator.prepare(task.asked, state.optimizer)
    if config.compile:
        asked = torch.compile(asked)
    share = config.batch_size // accelerator.num_processes
    mine = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)

    clock = Clock(seconds_spent(out, state.step), state.step, time.monotonic())
    recent: list[Tensor] = []  # loss and gradient norm of the steps since the last record, (2,) each
    drawn = batches(task, config, state.step, mine, runtime.device, ahead)
    with (
        tracking(config.trackers, task.command, out / "logs", runtime, state.step) as track,
        records.appending(out / records.FILE) if accelerator.is_main_process else nullcontext() as append,
    ):
        for batch in drawn:
            recent.append(take_step(task, state, asked, batch, config, accelerator))
            step, last, measured = state.step, state.step == config.steps, None
            evaluated = step % config.eval_every == 0 or last
            saved = step % config.save_every == 0 or last
            # decided alike in every process: `reduce` waits for all of them
            recorded = step % config.log_every == 0 or last or (evaluated and task.heldout is not None)
            if evaluated or saved or recorded:  # only here, so that a GPU is not waited for at every step
                kept = [*state.network.state_dict().values(), *state.ema.values()] if evaluated or saved else []
                check_finite(config, out, torch.stack(recent), kept, step)
            if accelerator.is_main_process and evaluated:
                measured = keep_best(task, config, state)
                if config.samples:
                    with averaged(state.network, state.ema):
                        task.show(out / "samples" / f"{step:07d}.png", config.samples)
            if accelerator.is_main_process and saved:
                save_state(out, state, task.part)
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


def check_finite(config: RunSettings, out: Path, recent: Tensor, weights: Iterable[Tensor], step: int) -> None:
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


def diverged(config: RunSettings, out: Path, what: str) -> ValueError:
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


def keep_best(task: Task, config: RunSettings, state: State) -> HeldoutLoss | None:
    """Measure the EMA weights on the held-out images and save them if they are the best so far.

    Returns:
        The held-out loss; None without held-out images.
    """
    measured, out = None, Path(config.out)
    if task.heldout is not None:
        with averaged(state.network, state.ema):
            measured = task.measure(task.heldout)
        if not isfinite(measured.weighted):
            raise diverged(config, out, f"the held-out loss of step {state.step} is")
    if measured is None or measured.weighted < state.best:
        save_best(out, state, measured, task.part)
        state.best = state.best if measured is None else measured.weighted
    return measured


def save_best(out: Path, state: State, measured: HeldoutLoss | None = None, part: str = "unet") -> None:
    """Write the averaged weights, their architecture and their held-out loss, atomically."""
    from safetensors.torch import save_file

    losses = {"heldout_loss": measured.weighted if measured else None, "heldout_plain": measured and measured.plain}
    about = {"step": str(state.step), part: architecture(state.network)}
    with replacing(out / "best.safetensors") as temporary:
        save_file(
            {name: value.contiguous() for name, value in state.ema.items()},
            temporary,
            about | {name: str(loss) for name, loss in losses.items()},
        )


def save_state(out: Path, state: State, part: str = "unet") -> None:
    """Write everything `resume` needs, atomically."""
    from safetensors.torch import save_file

    tensors = {f"weights.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in state.ema.items()}
    for name, parameter in state.network.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            tensors[f"{key}.{name}"] = state.optimizer.state[parameter][key]
    with replacing(out / "state.safetensors") as temporary:
        save_file(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            temporary,
            {"step": str(state.step), "best": str(state.best), part: architecture(state.network)},
        )


FREE_ON_RESUME = {
    *("out", "device", "compile", "trackers", "eval_every", "save_every", "log_every", "samples"),
    *("steps", "cooldown_steps"),  # how long it goes on
    *("start", "unet", "parameters", "dropout"),  # told by start_sha256 and by the checkpoint's own architecture
}
"""Settings that may change when a run is continued; any other change would be another run."""


def resume(settings: dict[str, Any], out: Path, state: State, part: str = "unet") -> None:
    """Load the run's last checkpoint in place, if there is one: weights, average, optimiser, step and best loss.

    Args:
        settings: what config.json is to hold.
        part: of a pipeline that is trained.

    Raises:
        ValueError: the folder holds a run with other settings, or of another architecture, or a damaged checkpoint, or
            one that is not finite.
    """
    file, network, ema, optimizer = out / "state.safetensors", state.network, state.ema, state.optimizer
    if not file.is_file():
        return
    before = settings | read_json(out / "config.json")  # an earlier version wrote fewer
    changed = sorted(name for name in settings.keys() - FREE_ON_RESUME if before[name] != settings[name])
    with stored_tensors(file) as stored:
        metadata = stored.metadata()
        if metadata.get(part) != architecture(network):  # which may have weights of the same names and shapes
            raise ValueError(f"{file} is a checkpoint of another architecture")
        if changed:
            raise ValueError(
                f"{out} holds a run with other settings ({', '.join(changed)}); choose another folder or the same "
                "settings. To go on from its weights under others, export it to a bundle and start from that"
            )
        names = set(stored.keys())
        for prefix, target in (("weights.", network.state_dict()), ("ema.", ema)):
            for name, value in target.items():
                if prefix + name not in names or tuple(stored.get_slice(prefix + name).get_shape()) != tuple(
                    value.shape
                ):
                    raise ValueError(f"{file} is a checkpoint of another architecture: {name} does not fit")
                value.copy_(stored.get_tensor(prefix + name))
        step = int(metadata["step"])
        for name, parameter in network.named_parameters():
            moments = {
                key: stored.get_tensor(f"{key}.{name}").to(parameter.device) for key in ("exp_avg", "exp_avg_sq")
            }
            optimizer.state[parameter] = {"step": torch.tensor(float(step))} | moments
        loaded = [*network.state_dict().values(), *ema.values()]
        loaded += [values for kept in optimizer.state.values() for values in kept.values()]
        if not all(bool(value.isfinite().all()) for value in loaded):
            raise ValueError(
                f"{file} holds numbers that are not finite: this run had diverged by step {step} and cannot be continued. "
                "Start another in a new folder with a lower learning_rate"
            )
    state.step, state.best = step, float(metadata["best"])

"""Train a DDPM (Ho et al. 2020): predict the noise in x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.

Every random draw is a function of (seed, step), never of what ran before, so a run that was killed resumes
from its last checkpoint and ends with the weights of an uninterrupted run; and N processes draw the same
global batch as one. Runs as it is under `torchrun` and `accelerate launch`. (With three processes or more,
gradients may be summed in another order after a resume, as the first step of a run always differs in this.)

The run folder:

    config.json           the resolved configuration
    splits.npz            prints of the images the network sees and is chosen by (`sedid.splits`)
    metrics.jsonl         one line per progress record
    state.safetensors     weights, EMA, Adam moments and step: what `resume` reads
    best.safetensors      the EMA weights with the lowest held-out loss so far, and their architecture
    samples/*.png         a grid from fixed noise at each evaluation, EMA weights, DDIM in 20 steps
"""

import json
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sedid.bundle import frame
from sedid.config import Count, Decay, NotNegative, Positive, Precision, Seed, Settings, Text, Whole
from sedid.data import as_model_input, crop_of, load_images
from sedid.diffusion import NoiseSchedule
from sedid.images import check_crop
from sedid.loops.denoising import heldout_loss, loss_weights, noised
from sedid.loops.samples import averaged, write_grid
from sedid.loops.seeds import seed_of
from sedid.loops.tracking import check_trackers, tracking
from sedid.models import UNETS, Runtime, UNetName, architecture, load_unet, make_unet
from sedid.splits import FILE as SPLITS
from sedid.splits import TRAINING, VALIDATION, record_splits
from sedid.storage import read_json, replacing, stored_tensors, write_json


@dataclass(frozen=True)
class TrainDDPMConfig(Settings):
    """Settings of one DDPM training run; the defaults are the paper's."""

    data: Text  # data set of the member reals: a name, folder, .zip or .npz, with an optional [start:stop]
    out: Text  # the run folder
    heldout: str = ""  # data set for the held-out loss; "" keeps the last EMA instead of the best
    unet: UNetName = "paper"  # demo, small or paper
    start: str = ""  # pipeline folder whose weights to continue from; "" trains anew
    center_crop: NotNegative = 0.0  # of photographs, as `images.crop_side`; 0: that of `start`, or what `data` brings by its name
    steps: Count = 800_000
    batch_size: Count = 128  # over all processes
    learning_rate: Positive = 2e-4
    warmup_steps: Whole = 5_000  # the learning rate rises linearly
    cooldown_steps: Whole = 0  # it falls linearly to zero over the last so many
    grad_clip: NotNegative = 1.0  # on the global norm
    ema_decay: Decay = 0.9999  # reached through the ramp (1 + step) / (10 + step) if trained anew
    min_snr_gamma: NotNegative = 0.0  # weight min(SNR_t, gamma) / SNR_t on the loss (Hang et al. 2023); 0: the plain loss
    flip: bool = True  # random horizontal flips
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
    """One record of a training run; `heldout_loss` only where it was just measured, `hours` of wall time so far, over
    all the sessions the run was continued in."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    images_per_second: float
    eta_seconds: float
    heldout_loss: float | None = None
    hours: float = 0.0


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
    x_0 = as_model_input(images[index])
    if config.flip:
        flipped = torch.rand(size, generator=generator) < 0.5
        x_0 = torch.where(flipped[:, None, None, None], x_0.flip(3), x_0)
    t = torch.randint(len(schedule), (size,), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return noised(x_0, eps, t, schedule), t, eps


def batches(
    images: np.ndarray, schedule: NoiseSchedule, config: TrainDDPMConfig, first: int, mine: slice, device: torch.device
) -> Iterator[list[Tensor]]:
    """This process's part of the batches of all steps from the first, on its device; each is drawn in the
    background while the one before is trained on."""

    def draw(step: int) -> list[Tensor]:
        parts = [part[mine] for part in draw_batch(images, schedule, config, step)]
        # from pinned memory the copy waits for nothing that the GPU is still doing
        return [part.pin_memory() for part in parts] if device.type == "cuda" else parts

    with ThreadPoolExecutor(1, "batches") as background:
        upcoming = background.submit(draw, first)
        for step in range(first, config.steps):
            parts = upcoming.result()
            upcoming = background.submit(draw, step + 1)
            yield [part.to(device, non_blocking=True) for part in parts]


def train_ddpm(config: TrainDDPMConfig) -> Generator[TrainProgress, None, None]:
    """Train, or resume the run in `config.out`, yielding a record every `log_every` steps.

    Raises:
        ValueError: a setting does not fit (batch larger than the data, batch not divisible by the number of
            processes, a run folder holding another configuration, a tracker that cannot be used).
    """
    from accelerate import Accelerator

    check_trackers(config.trackers)
    runtime = Runtime.choose(config.device, config.precision, config.compile)
    accelerator = Accelerator(cpu=runtime.device.type == "cpu")
    runtime = Runtime(accelerator.device, config.precision, config.compile)
    size, crop = frame_of(config)
    config = replace(config, center_crop=crop or 0.0)  # what config.json says, and the detector after it
    images, schedule = load_images(config.data, size, crop), NoiseSchedule.linear()
    heldout = load_images(config.heldout, size, crop) if config.heldout else None
    if config.batch_size > len(images):
        raise ValueError(f"batch_size {config.batch_size} is larger than the data set ({len(images)} images)")
    if config.batch_size % accelerator.num_processes:
        raise ValueError(
            f"batch_size {config.batch_size} is not divisible by the {accelerator.num_processes} processes"
        )
    out = Path(config.out)
    unet = load_unet(Path(config.start)) if config.start else seeded_unet(config)
    unet = runtime.place(unet).train()
    ema = {name: value.detach().clone() for name, value in unet.state_dict().items()}
    optimizer = torch.optim.Adam(unet.parameters(), lr=config.learning_rate)
    step, best = resume(config, out, unet, ema, optimizer)
    spent = seconds_spent(out, step)
    weights = unet.state_dict(keep_vars=True)  # the parameters themselves: DDP exchanges their storage
    if accelerator.is_main_process:
        write_json(out / "config.json", asdict(config))
        sets = {TRAINING: images} | ({} if heldout is None else {VALIDATION: heldout})
        record_splits(out / SPLITS, sets)
    network, optimizer = accelerator.prepare(unet, optimizer)
    if config.compile:
        network = torch.compile(network)
    share = config.batch_size // accelerator.num_processes
    mine = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)

    losses: list[Tensor] = []
    began, began_step = time.monotonic(), step
    drawn = batches(images, schedule, config, step, mine, runtime.device)
    with tracking(config.trackers, "train-ddpm", out / "logs", runtime, step) as track:
        for x_t, t, eps in drawn:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            seed_dropout(config.seed, step, accelerator.process_index)
            with runtime.autocast():
                predicted = network(x_t.contiguous(memory_format=torch.channels_last), t).sample
            errors = (predicted.float() - eps).square().mean(dim=(1, 2, 3))
            loss = (loss_weights(t, schedule, config.min_snr_gamma) * errors).mean()
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(unet.parameters(), config.grad_clip)
            optimizer.step()
            ramp = 1.0 if config.start else (1 + step) / (10 + step)
            update_ema(ema, weights, min(config.ema_decay, ramp))
            losses.append(loss.detach())
            step += 1

            last = step == config.steps
            measured = None
            evaluated = step % config.eval_every == 0 or last
            if accelerator.is_main_process and evaluated:
                measured, best = keep_best(out, unet, ema, heldout, schedule, runtime, config.min_snr_gamma, best, step)
                if config.samples:
                    with averaged(unet, ema):
                        write_grid(unet, out / "samples" / f"{step:07d}.png", config.samples, runtime)
            if accelerator.is_main_process and (step % config.save_every == 0 or last):
                save_state(config, out, unet, ema, optimizer, step, best)
            # decided alike in every process: `reduce` waits for all of them
            if step % config.log_every == 0 or last or (evaluated and heldout is not None):
                mean = accelerator.reduce(torch.stack(losses).mean(), "mean").item()
                losses.clear()
                speed = (step - began_step) / (time.monotonic() - began)
                record = TrainProgress(
                    step,
                    config.steps,
                    mean,
                    learning_rate(config, step - 1),
                    speed * config.batch_size,
                    (config.steps - step) / speed,
                    measured,
                    (spent + time.monotonic() - began) / 3600,
                )
                values = asdict(record)
                if accelerator.is_main_process:
                    with (out / "metrics.jsonl").open("a", encoding="utf-8") as log:
                        log.write(json.dumps(values) + "\n")
                track({name: values[name] for name in ("loss", "learning_rate", "heldout_loss")}, step)
                yield record


def seconds_spent(out: Path, step: int) -> float:
    """The wall time a run took up to a step, by its records: the checkpoints of equal runs are equal byte for byte."""
    file = out / "metrics.jsonl"
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    return max((3600 * record.get("hours", 0.0) for record in records if record["step"] <= step), default=0.0)


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
    """ema <- decay * ema + (1 - decay) * weights. The ramp lets a short run forget its random start (a fixed
    0.9999 would still hold 61 % of it after 5,000 steps); trained weights need none."""
    torch._foreach_lerp_(list(ema.values()), list(weights.values()), 1 - decay)


def keep_best(
    out: Path,
    unet: Any,
    ema: dict[str, Tensor],
    heldout: np.ndarray | None,
    schedule: NoiseSchedule,
    runtime: Runtime,
    gamma: float,
    best: float,
    step: int,
) -> tuple[float | None, float]:
    """Measure the EMA weights on the held-out images and save them if they are the best so far.

    Returns:
        The held-out loss (None without held-out images) and the best one up to now.
    """
    from safetensors.torch import save_file

    measured = None
    if heldout is not None:
        with averaged(unet, ema):
            measured = heldout_loss(unet, heldout, schedule, runtime, gamma)
    if measured is None or measured < best:
        with replacing(out / "best.safetensors") as temporary:
            save_file(
                {name: value.contiguous() for name, value in ema.items()},
                temporary,
                {"step": str(step), "heldout_loss": str(measured), "unet": architecture(unet)},
            )
        best = best if measured is None else measured
    return measured, best


def save_state(
    config: TrainDDPMConfig, out: Path, unet: nn.Module, ema: dict[str, Tensor], optimizer: Any, step: int, best: float
) -> None:
    """Write everything `resume` needs, atomically."""
    from safetensors.torch import save_file

    tensors = {f"weights.{name}": value for name, value in unet.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.items()}
    for name, parameter in unet.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            tensors[f"{key}.{name}"] = optimizer.state[parameter][key]
    with replacing(out / "state.safetensors") as temporary:
        save_file(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            temporary,
            {"step": str(step), "best": str(best), "unet": architecture(unet)},
        )


# Settings that may change when a run is continued; any other change would be another run.
FREE_ON_RESUME = {
    "out",
    "steps",
    "cooldown_steps",
    "learning_rate",
    "ema_decay",
    "eval_every",
    "save_every",
    "log_every",
    "samples",
    "device",
    "compile",
    "trackers",
    "start",
}


def resume(
    config: TrainDDPMConfig, out: Path, unet: nn.Module, ema: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Load the run's last checkpoint in place, if there is one.

    Returns:
        The step to continue with and the best held-out loss so far.

    Raises:
        ValueError: the folder holds a run with other settings, or of another architecture, or a damaged checkpoint.
    """
    state = out / "state.safetensors"
    if not state.is_file():
        return 0, float("inf")
    before = read_json(out / "config.json")
    changed = sorted(
        name for name, value in asdict(config).items() if name not in FREE_ON_RESUME and before.get(name, value) != value
    )  # an older version lacks some
    if changed:
        raise ValueError(
            f"{out} holds a run with other settings ({', '.join(changed)}); choose another folder or the same settings"
        )
    with stored_tensors(state) as stored:
        metadata = stored.metadata()
        if metadata.get("unet") != architecture(unet):  # which may have weights of the same names and shapes
            raise ValueError(f"{state} is a checkpoint of another architecture")
        names = set(stored.keys())
        for prefix, target in (("weights.", unet.state_dict()), ("ema.", ema)):
            for name, value in target.items():
                if prefix + name not in names or tuple(stored.get_slice(prefix + name).get_shape()) != tuple(
                    value.shape
                ):
                    raise ValueError(f"{state} is a checkpoint of another architecture: {name} does not fit")
                value.copy_(stored.get_tensor(prefix + name))
        step = int(metadata["step"])
        for name, parameter in unet.named_parameters():
            moments = {
                key: stored.get_tensor(f"{key}.{name}").to(parameter.device) for key in ("exp_avg", "exp_avg_sq")
            }
            optimizer.state[parameter] = {"step": torch.tensor(float(step))} | moments
    return step, float(metadata["best"])

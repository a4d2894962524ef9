"""Generate images with a detector's own diffusion model, through diffusers' schedulers.

Each image's noise comes from a generator seeded by (seed, index) alone, so a set does not depend on the number of
processes, on where an interrupted run stopped or on what machine made which part of it, but for rounding: between
batches of other sizes 0.03 % of the pixels differ, by one level; between bf16 and fp32 pixels differ by 0.7 levels in
the mean (CIFAR-10, ancestral, 1,000 steps). Pixels are rounded to 8 bits.

The output folder:

    parts/0000000-0000050.npz ...   images 0 to 49, and so on, in parts of any sizes, written atomically
    images.npz                      all of them, `images` uint8 (N, H, W, 3)
    manifest.json                   what makes the set what it is (checkpoint, sampler, steps, variance, seed), how many
                                    images, and the precisions and batch sizes they were made in
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from sedid import processes
from sedid.config import Count, NotNegative, Precision, Seed, Settings, Text
from sedid.detector.bundle import checkpoint_hash, resolve
from sedid.detector.provenance import in_full, read_manifest
from sedid.method.diffusion import EpsModel
from sedid.models.networks import Runtime
from sedid.models.opening import open_model, picture_size
from sedid.models.schedules import load_scheduler
from sedid.progress import Meter, Progress
from sedid.storage import read_arrays, replacing, write_json
from sedid.training.seeds import seed_of

SamplerName = Literal["ddpm", "ddim", "dpm-solver++"]
"""Samplers of a model with a schedule of betas: of those that are trained here."""
AnySampler = Literal[SamplerName, "euler"]
"""The same, and that of a flow model."""
SAMPLERS = get_args(SamplerName)
Variance = Literal["", "fixed_large", "fixed_small"]
VARIANCES = ("fixed_large", "fixed_small", "fixed_small_log")
"""What diffusers' ancestral sampler can draw without a network that predicts the variance; the last two are the same."""


@dataclass(frozen=True)
class GenerateConfig(Settings):
    """Settings of one generated set; the defaults are the paper's sampler."""

    detector: Text  # bundle or diffusers pipeline folder
    out: Text
    count: Count = 50_000
    sampler: AnySampler = "ddpm"  # ddpm (ancestral), ddim (deterministic) or dpm-solver++; of a flow model euler
    steps: Count = 1000
    batch_size: Count = 128
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False
    variance: Variance = ""  # of ddpm: beta or beta-tilde; "" is the scheduler's own
    prompts: str = (
        ""  # of a conditional model: a text file, a prompt (or the number of a class) a line, which take turns
    )
    guidance: NotNegative = 1.0  # w of classifier-free guidance, where there are prompts; 1: none


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler on some of the timesteps a model was trained on.

    Attributes:
        scheduler: on the noise schedule of these timesteps alone.
        timesteps: what the model is told, descending; the last one leads to x_0.
        variance: of the noise that the ancestral sampler adds; "" where none is.
    """

    scheduler: Any
    timesteps: list[int]
    variance: str


def make_sampler(name: str, trained_on: Any, steps: int, variance: str = "") -> Sampler:
    """A sampler of so many steps, spread evenly over a noise schedule from its last timestep, pure noise, on.

    The scheduler gets a schedule of its own, respaced (Nichol & Dhariwal 2021, section 4): beta_i = 1 - alpha_bar(t_i) /
    alpha_bar(t_(i-1)). So its last step leads to alpha_bar = 1 at any number of steps. Told to skip steps of the whole
    schedule, diffusers' ancestral sampler adds noise in the last one whenever that is not t = 0, its DDIM takes t - T // N
    for the next timestep, which is another one unless N divides T, and at 62 step counts of 1,000 rounding makes it go
    one step too far, to t = -1.

    Args:
        trained_on: as `schedules.load_scheduler` has it.
        variance: of "ddpm": fixed_large or fixed_small; "" is that of `trained_on`.

    Raises:
        ValueError: unknown sampler, or one of another kind of model; a number of steps outside 1 .. T, or a variance that the sampler does not have.
    """
    import diffusers

    if name not in get_args(AnySampler):
        raise ValueError(f"unknown sampler {name!r}; accepted: {', '.join(get_args(AnySampler))}")
    flow = isinstance(trained_on, diffusers.FlowMatchEulerDiscreteScheduler)
    kinds = {
        "ddpm": diffusers.DDPMScheduler,
        "ddim": diffusers.DDIMScheduler,
        "dpm-solver++": diffusers.DPMSolverMultistepScheduler,
    }
    if flow and name in SAMPLERS:
        raise ValueError(f"a flow model is sampled by euler alone, not by {name}")
    if not flow and name not in SAMPLERS:
        raise ValueError(f"only a flow model is sampled by {name}; accepted here: {', '.join(SAMPLERS)}")
    whole = trained_on.config.num_train_timesteps
    if not 1 <= steps <= whole:
        raise ValueError(f"steps must be between 1 and {whole}, not {steps}")
    if variance and name != "ddpm":
        raise ValueError(f"variance is a setting of the sampler ddpm; {name} adds no noise")
    timesteps = (np.round(np.arange(1, steps + 1) * whole / steps) - 1).astype(int)
    if flow:
        euler = type(trained_on).from_config(trained_on.config)
        euler.set_timesteps(sigmas=((timesteps[::-1] + 1) / whole).tolist())
        return Sampler(euler, timesteps[::-1].tolist(), "")
    if name == "ddpm":
        variance = variance or trained_on.config.variance_type
        if variance not in VARIANCES:
            raise ValueError(
                f"this model's scheduler has the variance {variance!r}; give variance=fixed_large or fixed_small"
            )
    alpha_bar = trained_on.alphas_cumprod[timesteps]
    if alpha_bar[-1] == 0 and trained_on.config.prediction_type == "epsilon":
        raise ValueError(
            "this model predicts the noise, which says nothing of the image where its schedule ends in pure noise "
            "(rescale_betas_zero_snr): no sampler can begin there"
        )
    betas = 1 - alpha_bar.double() / torch.cat([torch.ones(1), alpha_bar[:-1]]).double()
    own: dict[str, Any] = {"variance_type": variance} if name == "ddpm" else {}
    own |= {"set_alpha_to_one": True} if name == "ddim" else {}
    respaced = {"trained_betas": betas.tolist(), "num_train_timesteps": steps, "rescale_betas_zero_snr": False}
    scheduler = kinds[name].from_config(trained_on.config, **respaced, **own, timestep_spacing="trailing")
    # as they were, not multiplied anew in another rounding; the logarithm of dpm-solver++ needs more than pure noise
    scheduler.alphas_cumprod = alpha_bar.clamp(min=2**-24) if name == "dpm-solver++" else alpha_bar
    scheduler.set_timesteps(steps)
    return Sampler(scheduler, timesteps[::-1].tolist(), variance)


def to_uint8(x: Tensor) -> np.ndarray:
    """[-1, 1] (B, C, H, W) -> uint8 (B, H, W, C), rounded (truncation would mark generated images)."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


@torch.inference_mode()
def sample(
    answers: EpsModel,
    sampler: Sampler,
    size: int,
    indices: range,
    seed: int,
    device: torch.device,
    channels: int = 3,
) -> Generator[int, None, Tensor]:
    """Generate what a model walks on for the images of these indices, size x size; yields the number of steps done.

    Args:
        answers: what the network predicts, of the type that the sampler's scheduler is configured for.

    Returns:
        x_0 (B, channels, size, size) float32 on the device, not yet clamped.
    """
    generators = [torch.Generator().manual_seed(seed_of(seed, i)) for i in indices]
    x = torch.stack([torch.randn((channels, size, size), generator=generator) for generator in generators]).to(device)
    scheduler = sampler.scheduler
    noise = {} if "generator" not in scheduler.step.__code__.co_varnames else {"generator": generators}
    for number, (t, place) in enumerate(zip(sampler.timesteps, scheduler.timesteps, strict=True)):
        x = scheduler.step(answers(x, t), place, x, **noise).prev_sample
        yield number + 1
    return x


def read_prompts(file: str) -> list[str]:
    """The lines of a text file that say something; none of "".

    Raises:
        FileNotFoundError, ValueError: there is no such file, it is no text, or it holds nothing.
    """
    if not file:
        return []
    try:
        lines = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8: give a text file with a prompt a line") from error
    if not any(lines):
        raise ValueError(f"{file} holds no prompt: give a text file with one a line")
    return [line for line in lines if line]


def claim(out: Path, manifest: dict[str, Any], config: GenerateConfig, folder: Path) -> list[range]:
    """Write the manifest of a set that is to be made or finished.

    Returns:
        The batches of images that are missing.

    Raises:
        ValueError: the folder holds a set made with other settings, or images of unknown origin.
    """
    file = out / "manifest.json"
    kept = in_full(read_manifest(file), folder) if file.is_file() else {}
    if not kept and (parts_of(out) or (out / "images.npz").is_file()):
        raise ValueError(f"{out} holds images, but no manifest.json says how they were made; choose another folder")
    changed = sorted(name for name, value in manifest.items() if kept and kept.get(name) != value)
    if changed:
        raise ValueError(f"{out} holds images made with other settings ({', '.join(changed)}); choose another folder")
    missing = missing_of(out, config.count, config.batch_size)
    used = {name: set(kept.get(name, [])) for name in ("precisions", "batch_sizes")}
    if missing:
        used = {
            "precisions": used["precisions"] | {config.precision},
            "batch_sizes": used["batch_sizes"] | {config.batch_size},
        }
    write_json(file, manifest | {name: sorted(values) for name, values in used.items()} | {"count": config.count})
    return missing


def parts_of(out: Path) -> dict[Path, range]:
    """The parts of a set, in order, and which images they hold by their names."""
    found = {}
    for file in sorted((out / "parts").glob("*.npz")):
        if named := re.fullmatch(r"(\d+)-(\d+)", file.stem):
            found[file] = range(int(named[1]), int(named[2]))
    return found


def missing_of(out: Path, count: int, batch_size: int) -> list[range]:
    """Batches of the images 0 .. count - 1 that no part holds, whatever the sizes of the parts."""
    made = np.zeros(count + 1, bool)
    made[count] = True
    for part in parts_of(out).values():
        made[part.start : part.stop] = True
    edges = np.flatnonzero(np.diff(made, prepend=True)).reshape(-1, 2).tolist()
    return [range(at, min(at + batch_size, stop)) for start, stop in edges for at in range(start, stop, batch_size)]


def read_part(file: Path, part: range, size: int) -> np.ndarray:
    """The images of one part, uint8 (N, size, size, 3).

    Raises:
        ValueError: the file does not hold what its name says.
    """
    try:
        images: np.ndarray = read_arrays(file)["images"]
    except (KeyError, ValueError):
        images = np.zeros(0)
    if images.dtype != np.uint8 or images.shape != (len(part), size, size, 3):
        raise ValueError(f"{file} is damaged: delete it, and the same command makes its images anew")
    return images


def collect(out: Path, count: int, size: int) -> Path:
    """Write the images of all parts into images.npz; where parts overlap, the last one counts."""
    images = np.zeros((count, size, size, 3), np.uint8)
    for file, part in parts_of(out).items():
        images[part.start : part.stop] = read_part(file, part, size)[: max(0, count - part.start)]
    with replacing(out / "images.npz") as temporary:
        np.savez_compressed(temporary, images=images)
    return out / "images.npz"


def generate(config: GenerateConfig) -> Generator[Progress, None, Path]:
    """Generate, or finish, the set in `config.out`; yields after every sampler step, returns images.npz.

    Raises:
        ValueError: a setting does not fit, or the folder holds a set made with other settings.
    """
    folder, out = resolve(config.detector), Path(config.out)
    runtime = Runtime.choose(config.device, config.precision, config.compile)
    trained_on = load_scheduler(folder)
    manifest = {
        "checkpoint_sha256": checkpoint_hash(folder),
        "sampler": config.sampler,
        "steps": config.steps,
        "seed": config.seed,
        "variance": make_sampler(config.sampler, trained_on, config.steps, config.variance).variance,
        "timestep_spacing": "trailing",
    }
    prompts = read_prompts(config.prompts)
    if prompts:
        manifest |= {"prompts": prompts, "guidance": config.guidance}
    size = picture_size(folder)
    model = open_model(folder, runtime)
    model.answers(prompts or [""], config.guidance)  # refuses before anything is written
    missing = processes.on_main(claim, out, manifest, config, folder)
    meter = Meter("generating", len(missing) * config.steps, "steps")
    for done, part in enumerate(processes.share(missing)):
        # some schedulers remember what they did
        sampler = make_sampler(config.sampler, trained_on, config.steps, config.variance)
        told = [prompts[i % len(prompts)] for i in part] if prompts else [""]
        answers, shape = model.answers(told, config.guidance), model.space.channels
        loop = sample(answers, sampler, model.side, part, config.seed, runtime.device, shape)
        while True:
            try:
                step = next(loop)
            except StopIteration as stop:
                images = to_uint8(model.space.decode(stop.value))
                break
            alike = (done * config.steps + step) * processes.count()  # every process is about as far
            yield meter.at(min(alike, meter.total), images=float(part.start))
        with replacing(out / "parts" / f"{part.start:07d}-{part.stop:07d}.npz") as temporary:
            np.savez_compressed(temporary, images=images)
    return processes.on_main(collect, out, config.count, size)

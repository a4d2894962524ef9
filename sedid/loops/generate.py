"""Generate images with a detector's own diffusion model, through diffusers' schedulers.

Each image's noise comes from a generator seeded by (seed, index) alone, so the set does not depend on the batch
size, on the number of processes or on where an interrupted run stopped. Pixels are rounded to 8 bits.

The output folder:

    parts/00000.npz ...   one batch each, written atomically: what a resumed run skips
    images.npz            all of them, `images` uint8 (N, H, W, 3)
    manifest.json         checkpoint hash, sampler, steps, seed, count
"""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from sedid import processes
from sedid.bundle import checkpoint_hash, resolve
from sedid.config import Count, Precision, Seed, Settings, Text
from sedid.data import SAMPLE
from sedid.loops.seeds import seed_of
from sedid.models import Runtime, load_scheduler, load_unet
from sedid.progress import Meter, Progress
from sedid.spec import Spec
from sedid.storage import read_json, replacing, write_json

Sampler = Literal["ddpm", "ddim", "dpm-solver++"]
SAMPLERS = get_args(Sampler)


@dataclass(frozen=True)
class GenerateConfig(Settings):
    """Settings of one generated set; the defaults are the paper's sampler."""

    detector: Text  # bundle or diffusers pipeline folder
    out: Text
    count: Count = 50_000
    sampler: Sampler = "ddpm"  # ddpm (ancestral), ddim (deterministic) or dpm-solver++
    steps: Count = 1000
    batch_size: Count = 128
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


def provenance(spec: str, detector: Path) -> dict[str, Any]:
    """Where a generated data set came from: the manifest beside it, and whether another checkpoint made it.

    Args:
        spec: a data set (`data.load_images`).
        detector: the bundle that scores it.

    Returns:
        The manifest with `cross_checkpoint` added; {} if the set carries none.
    """
    data_set = Spec.parse(spec).source
    embedded = data_set == "sample:generated"
    file = SAMPLE.with_suffix(".json") if embedded else Path(data_set).parent / "manifest.json"
    if not file.is_file():
        return {}
    manifest = read_json(file)["sampler"] if embedded else read_json(file)
    return manifest | {"cross_checkpoint": manifest.get("checkpoint_sha256") != checkpoint_hash(detector)}


def make_sampler(name: str, folder: Path, steps: int) -> Any:
    """A diffusers scheduler on the checkpoint's own noise schedule, with its timesteps set.

    Raises:
        ValueError: unknown sampler, or a number of steps outside 1 .. T.
    """
    import diffusers

    kinds = {
        "ddpm": diffusers.DDPMScheduler,
        "ddim": diffusers.DDIMScheduler,
        "dpm-solver++": diffusers.DPMSolverMultistepScheduler,
    }
    if name not in kinds:
        raise ValueError(f"unknown sampler {name!r}; accepted: {', '.join(kinds)}")
    config = load_scheduler(folder).config
    if not 1 <= steps <= config.num_train_timesteps:
        raise ValueError(f"steps must be between 1 and {config.num_train_timesteps}, not {steps}")
    # "trailing" starts at the last timestep, pure noise, where "leading" would start below it
    scheduler = kinds[name].from_config(config, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    return scheduler


def to_uint8(x: Tensor) -> np.ndarray:
    """[-1, 1] (B, C, H, W) -> uint8 (B, H, W, C), rounded (truncation would mark generated images)."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


@torch.inference_mode()
def sample(unet: Any, scheduler: Any, indices: range, seed: int, runtime: Runtime) -> Generator[int, None, np.ndarray]:
    """Generate the images of these indices; yields the step number and returns uint8 (B, H, W, 3)."""
    size, channels = unet.config.sample_size, unet.config.in_channels
    generators = [torch.Generator().manual_seed(seed_of(seed, i)) for i in indices]
    x = torch.stack([torch.randn((channels, size, size), generator=generator) for generator in generators])
    x = x.to(runtime.device, memory_format=torch.channels_last)
    noise = {} if "generator" not in scheduler.step.__code__.co_varnames else {"generator": generators}
    for number, t in enumerate(scheduler.timesteps):
        with runtime.autocast():
            eps = unet(scheduler.scale_model_input(x, t), t.to(x.device)).sample.float()
        x = scheduler.step(eps, t, x, **noise).prev_sample.contiguous(memory_format=torch.channels_last)
        yield number + 1
    return to_uint8(x)


def claim(out: Path, manifest: dict[str, Any], count: int) -> None:
    """Write the manifest of a set that is to be made or finished.

    Raises:
        ValueError: the folder holds a set made with other settings.
    """
    kept = read_json(out / "manifest.json") if (out / "manifest.json").is_file() else manifest
    if {name: kept.get(name) for name in manifest} != manifest:
        changed = sorted(name for name in manifest if kept.get(name) != manifest[name])
        raise ValueError(f"{out} holds images made with other settings ({', '.join(changed)}); choose another folder")
    write_json(out / "manifest.json", manifest | {"count": count})


def collect(files: list[Path], file: Path) -> None:
    """Write the images of all parts into one file."""
    everything = np.concatenate([np.load(part, allow_pickle=False)["images"] for part in files])
    with replacing(file) as temporary:
        np.savez_compressed(temporary, images=everything)


def generate(config: GenerateConfig) -> Generator[Progress, None, Path]:
    """Generate, or finish, the set in `config.out`; yields after every sampler step, returns images.npz.

    Raises:
        ValueError: a setting does not fit, or the folder holds a set made with other settings.
    """
    folder, out = resolve(config.detector), Path(config.out)
    runtime = Runtime.choose(config.device, config.precision, config.compile)
    make_sampler(config.sampler, folder, config.steps)
    manifest = {
        "checkpoint_sha256": checkpoint_hash(folder),
        **{name: asdict(config)[name] for name in ("sampler", "steps", "seed", "batch_size", "precision")},
        "timestep_spacing": "trailing",
    }
    processes.on_main(claim, out, manifest, config.count)

    unet = runtime.place(load_unet(folder))
    network = torch.compile(unet) if config.compile else unet
    parts = [
        range(start, min(start + config.batch_size, config.count))
        for start in range(0, config.count, config.batch_size)
    ]
    files = [out / "parts" / f"{part.start:07d}-{part.stop:07d}.npz" for part in parts]
    missing = processes.on_main(lambda: [number for number, file in enumerate(files) if not file.is_file()])
    meter = Meter("generating", len(missing) * config.steps, "steps")
    for done, number in enumerate(processes.share(missing)):
        scheduler = make_sampler(config.sampler, folder, config.steps)
        loop = sample(network, scheduler, parts[number], config.seed, runtime)
        while True:
            try:
                step = next(loop)
            except StopIteration as stop:
                images = stop.value
                break
            alike = (done * config.steps + step) * processes.count()  # every process is about as far
            yield meter.at(min(alike, meter.total), images=float(parts[number].start))
        with replacing(files[number]) as temporary:
            np.savez_compressed(temporary, images=images)
    processes.on_main(collect, files, out / "images.npz")
    return out / "images.npz"

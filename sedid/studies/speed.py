"""Speed, as ratios measured in one run on one machine, beside the bar each has to clear.

Compared variants run in turn and the fastest run of each of their steps counts, so that other work on the machine
disturbs little, and all alike. What is measured:

    literal / engine    the sweep as published (2N evaluations, f_theta formed) over `diffusion.t_errors` (N + 1)
    engine / network    `t_errors` over its N + 1 bare network evaluations: what the method costs besides; also of a
                        U-Net of latents that is told a text, at the walk of SecMI's reference for these (k = 10, N = 15)
    fp32 / bf16         speed-up by autocast, beside the change in AUC it causes
    one image           seconds for all six T_SEC at k = 165, over the seconds allowed
    evaluation          the same for 1,000 + 1,000 images, from the scoring of some: STAT, NN and the training loss
    training            throughput of `train-ddpm` over that of a bare loop with the same network and batch, and over
                        its own when it augments the images
"""

import os
import platform
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count, islice, pairwise
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sedid.data.augment import Augmentation
from sedid.data.datasets import SAMPLE, as_model_input, load_images
from sedid.detector.bundle import load_detector, made_with
from sedid.detector.detector import Detector
from sedid.method.diffusion import EpsModel, NoiseSchedule, t_errors
from sedid.models.latent_parts import TEXT_WIDTH, TOKENS, make_latent_unet, make_vae
from sedid.models.networks import Runtime, Told, UNetName, eps_model, load_unet, make_unet
from sedid.models.schedules import load_betas
from sedid.progress import Meter, Progress
from sedid.results import Results, Rows
from sedid.stats.metrics import measure
from sedid.studies.evaluate import EvaluateConfig
from sedid.training.scoring import score
from sedid.training.train_ddpm import TrainDDPMConfig, draw_batch, train_ddpm

K, T_SEC = 165, 990  # the paper's step: six values of T_SEC
FINE_K, FINE_T_SEC = 49, 980  # twenty
LATENT_K, LATENT_T_SEC = 10, 150  # fifteen
SAMPLE_BATCH = 25
EVALUATED, EVALUATION_SECONDS = 2_000, 180
TRAINING_STEPS = 2  # of every loop in turn
AUGMENT: tuple[Augmentation, ...] = ("randaugment", "cutout")  # as `defend` has it


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: what is compared.
        value: the ratio; None if it could not be measured.
        bar: what it is held to, such as "<= 1.05"; "" if to nothing.
        met: whether it is; None without a value or a bar.
        note: what it was measured on, or why it was not.
    """

    name: str
    value: float | None
    bar: str
    met: bool | None
    note: str

    @classmethod
    def at_least(cls, name: str, value: float, bar: float, note: str) -> "Row":
        """A row whose bar is met by the value or more."""
        return cls(name, value, f">= {bar}", value >= bar, note)

    @classmethod
    def at_most(cls, name: str, value: float, bar: float, note: str) -> "Row":
        """A row whose bar is met by the value or less."""
        return cls(name, value, f"<= {bar}", value <= bar, note)


@dataclass(frozen=True)
class Machine:
    """The facts a ratio depends on; nothing that names the machine.

    Attributes:
        load: of the minute before, 0 when idle; None where the system does not say.
    """

    device: str
    processor: str
    cpus: int | None
    threads: int
    load: float | None
    torch: str
    python: str

    @classmethod
    def of(cls, runtime: Runtime) -> "Machine":
        """The machine this runs on."""
        return cls(
            device=torch.cuda.get_device_name() if runtime.device.type == "cuda" else runtime.device.type,
            processor=platform.machine(),
            cpus=os.cpu_count(),
            threads=torch.get_num_threads(),
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            torch=torch.__version__,
            python=platform.python_version(),
        )


@dataclass(frozen=True, kw_only=True)
class SpeedResults(Results):
    """What stands in bench.json.

    Attributes:
        network: the detector's name, or what took its place.
        quick: whether it was only checked that everything runs.
        versions: of the code (`made_with`); empty in older files.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "bench"

    machine: Machine
    network: str
    quick: bool
    rows: Rows[Row]
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        return found


def literal_sweep(eps: EpsModel, x_0: Tensor, schedule: NoiseSchedule, k: int, t_sec: int) -> Iterator[Tensor]:
    """E at k, 2k, ..., T_SEC as the published code computes it: 2N evaluations, f_theta formed each time."""

    def step(x: Tensor, t: int, u: int) -> Tensor:
        noise, a_t, a_u = eps(x, t), schedule.alpha_bar[t], schedule.alpha_bar[u]
        f_theta = (x - sqrt(1 - a_t) * noise) / sqrt(a_t)
        return sqrt(a_u) * f_theta + sqrt(1 - a_u) * noise

    x = x_0
    for t in range(0, t_sec, k):
        reverse = step(x, t, t + k)
        denoised = step(reverse, t + k, t)
        yield ((denoised - x) / 2).square().sum(dim=(1, 2, 3))
        x = reverse


def engine_sweep(eps: EpsModel, x_0: Tensor, schedule: NoiseSchedule, k: int, t_sec: int) -> Iterator[Tensor]:
    """The same from the engine: N + 1 evaluations."""
    return (error.score for error in t_errors(eps, x_0, schedule, k, t_sec))


def bare_passes(unet: nn.Module, x: Tensor, k: int, t_sec: int, **told: Tensor) -> Iterator[Tensor]:
    """N + 1 network evaluations and nothing else."""
    with torch.inference_mode():
        for t in range(0, t_sec + 1, k):
            yield unet(x, torch.tensor(t, device=x.device), **told).sample


def fastest(variants: list[Callable[[], Iterator[Tensor]]], repeats: int) -> list[float]:
    """Seconds of each variant, as the sum over its steps of the fastest run of that step.

    Variants run in turn, after one untimed pass of each. A step lasts a moment, so on a busy machine some run of
    it goes undisturbed, where a whole pass never would.
    """
    steps: list[list[float]] = []
    for repeat in range(repeats + 1):
        for place, variant in enumerate(variants):
            ends = [time.perf_counter()]
            for result in variant():
                result.sum().item()  # a GPU is done only now
                ends.append(time.perf_counter())
            seconds = [end - start for start, end in pairwise(ends)]
            if repeat == 0:
                steps.append([float("inf")] * len(seconds))
            else:
                steps[place] = list(map(min, steps[place], seconds))
    return list(map(sum, steps))


def sweep_rows(
    unet: nn.Module, runtime: Runtime, schedule: NoiseSchedule, x: Tensor, k: int, t_sec: int, bar: float, repeats: int
) -> list[Row]:
    """The engine against the literal procedure and against its bare network, at N = T_SEC / k."""
    eps, n = eps_model(unet, runtime), t_sec // k
    literal, engine, bare = fastest(
        [
            lambda: literal_sweep(eps, x, schedule, k, t_sec),
            lambda: engine_sweep(eps, x, schedule, k, t_sec),
            lambda: bare_passes(unet, x, k, t_sec),
        ],
        repeats,
    )
    note = f"k = {k}, batch of {len(x)}, fastest of {repeats}"
    return [
        Row.at_least(f"literal / engine, N = {n}", literal / engine, bar, f"{note}; at best {2 * n / (n + 1):.3f}"),
        Row.at_most(f"engine / network alone, N = {n}", engine / bare, 1.05, note),
    ]


def latent_row(preset: str, runtime: Runtime, batch_size: int, repeats: int) -> Row:
    """The engine against a bare U-Net of latents that is told a text."""
    made: Any = make_latent_unet(preset, make_vae(preset))
    unet: Any = runtime.place(made).eval()
    channels, side = unet.config.in_channels, unet.config.sample_size
    x = torch.randn((batch_size, channels, side, side), generator=torch.Generator().manual_seed(0)).to(runtime.device)
    x = x.contiguous(memory_format=torch.channels_last)
    text = torch.randn((1, TOKENS, TEXT_WIDTH), generator=torch.Generator().manual_seed(1)).to(runtime.device)
    eps = eps_model(unet, runtime, Told({"encoder_hidden_states": text}))
    rows = text.expand(batch_size, -1, -1)
    engine, bare = fastest(
        [
            lambda: engine_sweep(eps, x, NoiseSchedule.linear(), LATENT_K, LATENT_T_SEC),
            lambda: bare_passes(unet, x, LATENT_K, LATENT_T_SEC, encoder_hidden_states=rows),
        ],
        repeats,
    )
    name = f"engine / network alone, N = {LATENT_T_SEC // LATENT_K}, of latents, told a text"
    note = f"random {preset} U-Net, k = {LATENT_K}, batch of {batch_size}, fastest of {repeats}"
    return Row.at_most(name, engine / bare, 1.05, note)


def sample_auc(eps: EpsModel, runtime: Runtime, schedule: NoiseSchedule, images: int, size: int) -> Tensor:
    """AUC (the paper's polarity) at the six T_SEC on the first images of each class of the embedded sample, (6,)."""
    scores = []
    for name in ("real", "generated"):
        x = as_model_input(load_images(f"sample:{name}[0:{images}]", size, None))
        parts = [
            torch.stack(list(engine_sweep(eps, part.to(runtime.device), schedule, K, T_SEC)))
            for part in x.split(SAMPLE_BATCH)
        ]
        scores.append(torch.cat(parts, dim=1).cpu().numpy())
    return torch.tensor([measure(-real, -generated).auc for real, generated in zip(*scores, strict=True)])


def precision_rows(
    unet: nn.Module, runtime: Runtime, schedule: NoiseSchedule, x: Tensor, images: int, repeats: int
) -> list[Row]:
    """bf16 against fp32: speed, and the largest change in AUC over the six T_SEC. Neither is held to a bar."""
    full, half = eps_model(unet, runtime), eps_model(unet, Runtime(runtime.device, "bf16"))
    slow, fast = fastest(
        [lambda: engine_sweep(full, x, schedule, K, T_SEC), lambda: engine_sweep(half, x, schedule, K, T_SEC)], repeats
    )
    rows = [Row("fp32 / bf16", slow / fast, "", None, f"k = {K}, batch of {len(x)}, fastest of {repeats}")]
    name = "fp32 / bf16: largest change in AUC"
    if not SAMPLE.is_file():
        return [*rows, Row(name, None, "", None, f"skipped: the sample assets/{SAMPLE.name} is not there")]
    measured = [sample_auc(eps, runtime, schedule, images, x.shape[-1]) for eps in (half, full)]
    change = measured[0] - measured[1]
    note = f"over six T_SEC, {images} + {images} images of the sample"
    return [*rows, Row(name, change.abs().max().item(), "", None, note)]


def latency_row(
    name: str, unet: nn.Module, runtime: Runtime, schedule: NoiseSchedule, x: Tensor, allowed: float, repeats: int
) -> Row:
    """Seconds for one image at all six T_SEC, over the seconds allowed."""
    [seconds] = fastest([lambda: engine_sweep(eps_model(unet, runtime), x[:1], schedule, K, T_SEC)], repeats)
    note = f"{seconds:.3f} s, fastest of {repeats}"
    return Row.at_most(f"one image, six T_SEC, {name}: seconds / {allowed:g} s", seconds / allowed, 1, note)


def evaluation_row(detector: Detector, images: int, repeats: int) -> Row:
    """Seconds to score 1,000 + 1,000 images at all six T_SEC (STAT and NN), over the seconds allowed.

    A whole number of batches is timed. `evaluate` adds the training-loss baseline: one evaluation an image and noise.
    """
    batch = min(EvaluateConfig.batch_size, images)
    images -= images % batch
    pixels = np.random.default_rng(0).integers(0, 256, (images, detector.size, detector.size, 3), np.uint8)

    def scoring() -> Iterator[Tensor]:
        for _ in score(detector, pixels, [K], batch):
            yield torch.zeros(1)

    [seconds] = fastest([scoring], repeats)
    whole = seconds / images * EVALUATED
    name = f"evaluation of 1,000 + 1,000 images, six T_SEC: seconds / {EVALUATION_SECONDS} s"
    note = f"{whole:.0f} s, from {images} images, batches of {batch}, fastest of {repeats}"
    return Row.at_most(name, whole / EVALUATION_SECONDS, 1, note)


def bare_training(unet: nn.Module, batches: list[tuple[Tensor, Tensor, Tensor]], rate: float) -> Iterator[Tensor]:
    """Training steps with nothing around them: forward, loss, backward, Adam, over and over the same batches."""
    optimizer = torch.optim.Adam(unet.parameters(), rate)
    for step in count():
        x_t, t, eps = batches[step % len(batches)]
        loss = (unet(x_t, t).sample - eps).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield loss.detach()


def training_rows(start: Path | None, preset: UNetName, runtime: Runtime, batch_size: int, repeats: int) -> list[Row]:
    """Throughput of `train-ddpm` (drawing of batches, clipping, EMA, a record every step) over the bare loop's.

    The second row is its throughput with augmented images over that without.
    """
    images = np.random.default_rng(0).integers(0, 256, (4 * batch_size, 32, 32, 3), np.uint8)
    with TemporaryDirectory() as folder:
        np.savez(Path(folder) / "images.npz", images=images)
        never = 10**9
        config = TrainDDPMConfig(
            data=str(Path(folder) / "images.npz"),
            out=str(Path(folder) / "run"),
            unet=preset,
            start=str(start or ""),
            batch_size=batch_size,
            steps=never,
            eval_every=never,
            save_every=never,
            log_every=1,
            device=str(runtime.device),
        )
        augmenting = replace(config, out=str(Path(folder) / "augmented"), augment=AUGMENT)
        drawn = [draw_batch(images, NoiseSchedule.linear(), config, step) for step in range(4)]
        batches = [
            (x_t.to(runtime.device, memory_format=torch.channels_last), t.to(runtime.device), eps.to(runtime.device))
            for x_t, t, eps in drawn
        ]
        unet = runtime.place(load_unet(start) if start else make_unet(preset)).train()
        bare = bare_training(unet, batches, config.learning_rate)
        with closing(train_ddpm(config)) as plain, closing(train_ddpm(augmenting)) as augmented:
            loops = [(torch.tensor(record.loss) for record in records) for records in (plain, augmented)]
            ours, with_augmentation, alone = fastest(
                [lambda losses=losses: islice(losses, TRAINING_STEPS) for losses in (*loops, bare)],  # type: ignore[misc]
                repeats,
            )
    note = f"throughput, batch of {batch_size}, fastest of {repeats}"
    return [
        Row.at_least("training: train-ddpm / bare loop", alone / ours, 0.95, note),
        Row.at_least(
            "training: augmented / not augmented", ours / with_augmentation, 0.85, f"{', '.join(AUGMENT)}; {note}"
        ),
    ]


def bench(
    detector: Path | None,
    out: Path,
    *,
    repeats: int = 5,
    images: int = 100,
    batch_size: int = 4,
    training_batch: int = 32,
    device: str = "auto",
    quick: bool = False,
) -> Generator[Progress, None, SpeedResults]:
    """Measure everything, write it to `out` and return it.

    Args:
        detector: pipeline folder of the shipped detector; None takes a random U-Net of its size.
        out: JSON file.
        repeats: timed passes of each variant.
        images: images of each class for the change in AUC.
        batch_size: images a batch of the sweeps.
        training_batch: images a batch of the training.
        quick: check only that everything runs: demo-size U-Nets, one repeat, four images.

    Raises:
        FileNotFoundError, ValueError: `detector` holds no U-Net or noise schedule that can be used.
    """
    if quick:
        repeats, images, batch_size, training_batch = 1, 4, 1, 2
    runtime = Runtime.choose(device)
    facts = Machine.of(runtime)  # before the work, which is a load
    size: UNetName = "demo" if quick else "small"
    unet = runtime.place(load_unet(detector) if detector else make_unet(size)).eval()
    schedule = load_betas(detector) if detector else NoiseSchedule.linear()
    network = Path(detector).name if detector else f"random {size} U-Net"
    x = torch.rand((batch_size, 3, 32, 32), generator=torch.Generator().manual_seed(0)) * 2 - 1
    x = x.to(runtime.device, memory_format=torch.channels_last)

    def paper_size() -> list[Row]:
        preset = "demo" if quick else "paper"
        large = runtime.place(make_unet(preset)).eval()
        return [latency_row(f"random {preset} U-Net", large, runtime, NoiseSchedule.linear(), x, 4, repeats)]

    def whole_evaluation() -> list[Row]:
        opened = load_detector(detector, device) if detector else None
        return [
            evaluation_row(opened or Detector(eps_model(unet, runtime), schedule, runtime, network), images, repeats)
        ]

    measurements: list[Callable[[], list[Row]]] = [
        lambda: sweep_rows(unet, runtime, schedule, x, K, T_SEC, 1.65, repeats),
        lambda: sweep_rows(unet, runtime, schedule, x, FINE_K, FINE_T_SEC, 1.85, repeats),
        lambda: [latent_row("demo" if quick else "paper", runtime, batch_size, repeats)],
        lambda: precision_rows(unet, runtime, schedule, x, images, repeats),
        lambda: [latency_row(network, unet, runtime, schedule, x, 1, repeats)],
        paper_size,
        whole_evaluation,
        lambda: training_rows(detector, size, runtime, training_batch, repeats),
    ]
    rows: list[Row] = []
    meter = Meter("measuring", len(measurements), "measurements")
    yield meter.at(0)
    for done, measurement in enumerate(measurements, start=1):
        rows += measurement()
        yield meter.at(done)
    result = SpeedResults(machine=facts, network=network, quick=quick, rows=tuple(rows), versions=made_with())
    result.write(out)
    return result


def table(result: SpeedResults) -> str:
    """The rows of a result as aligned text."""
    lines = [("measured", "value", "bar", "met", "on")]
    for row in result.rows:
        value = "n/a" if row.value is None else f"{row.value:.3f}"
        lines.append((row.name, value, row.bar, {True: "yes", False: "NO", None: ""}[row.met], row.note))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, line[:4], widths), line[4]]) for line in lines)

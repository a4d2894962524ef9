"""The paper's recipe end to end (`recipes.whole_loop` with the paper's settings), and what it will cost on the device at hand.

A cost is counted in network evaluations of the U-Net, one image each. An image of a training step counts as three:
the forward pass, and the backward pass, which is about two of them. Hours come from a short benchmark of that very
U-Net on that very device. Reading data, the leak audits and writing files come on top.

Two things are not as Ho et al. 2020 have them: layers that do not start at zero (`networks.start_at_zero`) start as PyTorch
has them, and the average of the weights comes to its decay of 0.9999 by a ramp (`train_ddpm`).
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sedid import processes
from sedid.data.datasets import CELEBA_CROP, as_model_input
from sedid.jobs.commands import resolve_loop
from sedid.jobs.console import duration
from sedid.method.diffusion import INPUT_IMAGES
from sedid.models.networks import Runtime, eps_model, make_resnet18, make_unet
from sedid.recipes.stages import finished_stages
from sedid.recipes.whole_loop import LoopConfig, check
from sedid.storage import write_json
from sedid.training.baseline import TIMESTEPS
from sedid.training.samples import STEPS as GRID_STEPS
from sedid.training.train_ddpm import TrainDDPMConfig
from sedid.training.train_nn import TrainNNConfig

TRAINING_STEPS = {"cifar10": 800_000, "tiny-imagenet": 1_200_000, "celeba": 1_200_000}
IMAGES = 50_000  # generated, and members they are measured against
BACKWARD = 3  # evaluations an image of a training step counts as
LEAST = {
    "steps": 100,
    "validation": 32,
    "calibration": 60,
    "classifier": 100,
    "test": 100,  # with fewer reals there is no TPR at a FPR of 1 %
    "members": 100,
    "count": 260,
    "warmup_steps": 1,
    "eval_every": 50,
    "save_every": 50,
    "log_every": 5,
}
"""Setting -> what it is never scaled below."""
LEAST_SAMPLER_STEPS = 20
UNETS = ((0.1, "paper"), (0.01, "small"), (0.0, "demo"))
"""(from this scale on, U-Net)."""


def recipe(name: str, scale: float = 1.0) -> dict[str, Any]:
    """Settings of `LoopConfig` for one of the paper's data sets; those left out keep their defaults, the paper's.

    Args:
        name: cifar10, tiny-imagenet or celeba.
        scale: the share of the paper's training steps, images and intervals. Where there would be fewer images than
            a result needs (LEAST), sampler steps are taken away instead; below a scale of 0.1 the U-Net is a smaller
            one too. Sampler, noise schedule, k, optimiser, batch sizes and splits stay the paper's.

    Raises:
        ValueError: an unknown name, or a scale outside (0, 1].
    """
    if name not in TRAINING_STEPS:
        raise ValueError(f"unknown recipe {name!r}; accepted: {', '.join(TRAINING_STEPS)}")
    if not 0 < scale <= 1:
        raise ValueError(f"the scale must be above 0 and at most 1, not {scale}")
    whole: dict[str, Any] = {"name": name, "data": name, "steps": TRAINING_STEPS[name]}
    whole |= {"members": IMAGES, "count": IMAGES, "center_crop": CELEBA_CROP if name == "celeba" else 0}
    whole |= {"score_batch": 256}  # for a GPU
    if scale == 1:
        return whole
    scaled = {key: max(least, round(whole.get(key, getattr(LoopConfig, key)) * scale)) for key, least in LEAST.items()}
    sampler_steps = LoopConfig.sampler_steps * min(1.0, IMAGES * scale / scaled["count"])
    scaled["sampler_steps"] = max(LEAST_SAMPLER_STEPS, round(sampler_steps))
    return whole | scaled | {"unet": next(unet for least, unet in UNETS if scale >= least)}


def changes(name: str, config: LoopConfig) -> dict[str, tuple[Any, Any]]:
    """What a resolved configuration changes of the paper's recipe: setting -> (the paper's, here)."""
    whole = recipe(name)
    kept = ("out", "name", "data", "heldout", "device")  # where, not what
    paper = {key: whole.get(key, getattr(LoopConfig, key)) for key in asdict(config) if key not in kept}
    return {key: (value, getattr(config, key)) for key, value in paper.items() if getattr(config, key) != value}


@dataclass(frozen=True)
class Speed:
    """What a device does, images a second; the batch each was measured at stands beside it.

    Attributes:
        forward: U-Net evaluations.
        training: images of a U-Net training step (forward, backward, Adam).
        classifier: images of a ResNet-18 training step.
    """

    device: str
    forward: float
    forward_batch: int
    training: float
    training_batch: int
    classifier: float


@dataclass(frozen=True)
class Cost:
    """What one stage costs: U-Net evaluations, images through the classifier's training, and hours on the device."""

    stage: str
    evaluations: int
    classified: int
    hours: float


def rate(step: Callable[[int], object], most: int, seconds: float = 0.5) -> tuple[float, int]:
    """Images a second of `step(batch)` and the batch it was measured at.

    The batch grows until a step lasts that long or has `most` images: a slow device is not kept busy for minutes.
    """
    batch = 1
    while True:
        step(batch)  # memory, kernels: not timed
        began, done = time.perf_counter(), 0
        while done == 0 or (batch == most and time.perf_counter() - began < seconds):
            step(batch)
            done += batch
        took = time.perf_counter() - began
        if took >= seconds or batch == most:
            return done / took, batch
        batch = min(4 * batch, most)


def measure_speed(config: LoopConfig) -> Speed:
    """Benchmark the U-Net of a configuration with its batches on its device: a few seconds.

    torch.compile is left out, so a compiled run is somewhat faster than this says.
    """
    runtime = Runtime.choose(config.device, config.precision)
    unet: Any = runtime.place(make_unet(config.unet))
    network = runtime.place(make_resnet18(3 * INPUT_IMAGES[config.input]))
    size = unet.config.sample_size
    predict = eps_model(unet, runtime)

    def pictures(batch: int, channels: int = 3) -> torch.Tensor:
        x_0 = as_model_input(np.zeros((batch, size, size, 3), np.uint8)).repeat(1, channels // 3, 1, 1)
        return x_0.to(runtime.device, memory_format=torch.channels_last)

    def forward(batch: int) -> float:
        return predict(pictures(batch), 500).sum().item()  # a GPU is done only now

    def trained(module: Any, call: Callable[[int], torch.Tensor]) -> Callable[[int], float]:
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-9)

        def step(batch: int) -> float:
            optimizer.zero_grad(set_to_none=True)
            with runtime.autocast():
                loss = call(batch).float().square().mean()
            loss.backward()
            optimizer.step()
            return loss.item()

        return step

    def noise(batch: int) -> torch.Tensor:
        eps: torch.Tensor = unet(pictures(batch), torch.full((batch,), 500, device=runtime.device)).sample
        return eps

    def logits(batch: int) -> torch.Tensor:
        logit: torch.Tensor = network(pictures(batch, 3 * INPUT_IMAGES[config.input]))
        return logit

    unet.eval()
    forwards = rate(forward, config.score_batch)
    share = max(1, config.batch_size // processes.count())
    training = rate(trained(unet.train(), noise), share)
    classifier = rate(trained(network.train(), logits), TrainNNConfig.batch_size)
    name = torch.cuda.get_device_name(runtime.device) if runtime.device.type == "cuda" else runtime.device.type
    return Speed(name, *forwards, *training, classifier[0])


def costs(config: LoopConfig, speed: Speed) -> list[Cost]:
    """What the stages of the loop cost that run a network, in order; several processes share the work."""
    grid = TrainDDPMConfig.samples
    checks = ceil(config.steps / config.eval_every)
    trained = config.steps * config.batch_size
    checked = checks * (config.validation + grid * GRID_STEPS)
    walks = [999 // k + 1 for k in config.ks]  # evaluations of a whole trajectory
    needed = config.calibration + config.classifier
    generated = max(config.count, needed + config.test)
    tested = generated - needed + config.test + (config.members or config.test)
    train_share = 1 - TrainNNConfig.validation
    passes = 2 * config.classifier * config.epochs
    work = [
        # stage, evaluations besides training, images trained on, images through the classifier's training
        ("train-ddpm", checked, trained, 0.0),
        ("generate", generated * config.sampler_steps, 0, 0.0),
        ("calibrate", 2 * config.calibration * (sum(walks) + len(TIMESTEPS)), 0, 0.0),
        ("train-nn", 2 * config.classifier * max(walks), 0, passes * (train_share + (1 - train_share) / BACKWARD)),
        ("evaluate", tested * (max(walks) + 1), 0, tested / BACKWARD),
    ]
    made = []
    for stage, evaluations, images, classified in work:
        seconds = evaluations / speed.forward + images / speed.training + classified / speed.classifier
        hours = seconds / 3600 / processes.count()
        made.append(Cost(stage, evaluations + BACKWARD * images, round(classified), hours))
    return made


@dataclass(frozen=True)
class Plan:
    """One reproduction: its settings, what they change of the paper's, and what it costs.

    Attributes:
        changes: setting -> (the paper's value, the value here).
        finished: stages that an earlier run of the same folder did.
    """

    recipe: str
    config: LoopConfig
    changes: dict[str, tuple[Any, Any]]
    speed: Speed
    costs: list[Cost]
    finished: list[str]


def settings_of(name: str, scale: float, out: str, data: str, heldout: str, more: list[str]) -> list[str]:
    """The whole of a reproduction as "key=value" texts for `commands.resolve_loop`; `more` wins.

    Args:
        out: the run folder; "" names one after recipe and scale.
        data, heldout: data sets (`sedid.data.datasets`) in place of the named one and its test part; "" leaves them.

    Raises:
        ValueError: as `recipe`.
    """
    values = recipe(name, scale)
    values["out"] = out or f"runs/reproduce-{name}" + ("" if scale == 1 else f"-{scale:g}")
    values |= {key: value for key, value in (("data", data), ("heldout", heldout)) if value}
    return [f"{key}={value}" for key, value in values.items()] + more


def make_plan(name: str, settings: list[str]) -> Plan:
    """Resolve the settings, check them and measure the device.

    Raises:
        ValueError: a setting that does not fit.
    """
    _, config = resolve_loop("loop", "", None, settings)
    check(config)
    speed = measure_speed(config)
    return Plan(name, config, changes(name, config), speed, costs(config, speed), finished_stages(Path(config.out)))


def keep(plan: Plan) -> None:
    """Write what was promised into the run folder (plan.json), the first time."""
    file = Path(plan.config.out) / "plan.json"
    if processes.is_main() and not file.is_file():
        write_json(file, asdict(plan))


def in_words(plan: Plan) -> str:
    """The plan as text: what differs from the paper, and a table of the costs with their sum over what is left."""
    if plan.changes:
        each = (f"{key} {_number(theirs)} -> {_number(ours)}" for key, (theirs, ours) in plan.changes.items())
        first = f"The paper's recipe for {plan.recipe}, changed in: {', '.join(each)}."
    else:
        first = f"The paper's recipe for {plan.recipe}, whole."
    lines = [first, "", f"{'stage':<12}{'network evaluations':>22}{'classifier images':>20}{'estimated time':>26}"]
    for cost in plan.costs:
        left = "finished" if cost.stage in plan.finished else _time(cost.hours)
        lines.append(f"{cost.stage:<12}{cost.evaluations:>22,}{cost.classified:>20,}{left:>26}")
    todo = [cost for cost in plan.costs if cost.stage not in plan.finished]
    evaluations, classified = sum(cost.evaluations for cost in todo), sum(cost.classified for cost in todo)
    lines.append(f"{'left to do':<12}{evaluations:>22,}{classified:>20,}{_time(sum(cost.hours for cost in todo)):>26}")
    speed, several = plan.speed, f", {processes.count()} processes" if processes.count() > 1 else ""
    lines.append(
        f"\nAn image of a training step counts as {BACKWARD} evaluations. Measured on {speed.device}{several}: "
        f"{speed.forward:,.3g} evaluations/s (batch {speed.forward_batch}), {speed.training:,.3g} training images/s "
        f"(batch {speed.training_batch}), {speed.classifier:,.3g} classifier images/s. Other work on this machine, now or "
        "later, moves the times.\n"
    )
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:,}" if type(value) is int else str(value)


def _time(hours: float) -> str:
    return duration(3600 * hours) if hours < 48 else f"{hours:,.0f} h ({hours / 24:,.0f} days)"

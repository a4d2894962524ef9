"""From a diffusers scheduler's configuration to the noise schedule that the engine walks on."""

from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedid.errors import first_line
from sedid.method.diffusion import NoiseSchedule, Schedule
from sedid.method.flow import FlowSchedule
from sedid.method.predictions import PREDICTIONS
from sedid.models.folders import TRANSFORMER, check_pipeline, is_flow, is_latent, pipeline_part
from sedid.storage import read_object

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

MAX_TIMESTEPS = 100_000
FLOW = "FlowMatchEulerDiscreteScheduler"
BETAS = (
    *("num_train_timesteps", "beta_schedule", "beta_start", "beta_end", "trained_betas", "rescale_betas_zero_snr"),
    "prediction_type",
)
"""The settings of a scheduler that a schedule of betas follows from; the others are its sampler's."""


def make_scheduler() -> "DDPMScheduler":
    """The paper's noise schedule as a diffusers scheduler: T = 1000, linear betas 1e-4 to 0.02, eps prediction."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, variance_type="fixed_large")


def load_scheduler(folder: Path) -> Any:
    """The scheduler of a diffusers pipeline folder, of whatever class, as a `DDPMScheduler`: the betas are the same.

    Its `prediction_type` is one of `PREDICTIONS`. Of a flow model it is a `FlowMatchEulerDiscreteScheduler` whose shift is
    that of the model's size.

    Raises:
        ValueError: its file is missing, holds no betas and is of no such flow, or the model predicts something else.
    """
    from diffusers import DDPMScheduler

    part = pipeline_part(folder, "scheduler")
    try:
        config = read_object(part / "scheduler_config.json")
        if is_flow(folder):
            return flow_scheduler(folder, config)
        if "beta_schedule" not in config and not config.get("trained_betas"):  # diffusers would fill in its own
            raise ValueError(
                f"a {config.get('_class_name')!s:.60} has no betas; accepted is a noise schedule of betas, or a {FLOW}"
            )
        if config.get("timestep_type", "discrete") != "discrete":
            raise ValueError("its network is not asked by timesteps, but by a continuous noise level (timestep_type)")
        config["num_train_timesteps"] = timesteps_of(config)
        predicts = config.get("prediction_type", "epsilon")
        predicts = "sample" if config.get("predict_epsilon") is False else predicts  # its name in old files
        # what diffusers fills in where a file is silent is right for pixels alone
        unclipped = {"clip_sample": False, "thresholding": False} if is_latent(folder) else {}
        if predicts not in PREDICTIONS:
            raise ValueError(f"its prediction_type is {predicts!r:.60}; accepted: {', '.join(PREDICTIONS)}")
        scheduler = DDPMScheduler.from_config(config | {"prediction_type": predicts} | unclipped)
    except ValueError as error:
        raise ValueError(f"the scheduler in {folder} cannot be loaded: {first_line(error)}") from error
    except Exception as error:  # diffusers raises nearly anything on bad configurations
        raise ValueError(
            f"the scheduler in {folder} cannot be loaded: its configuration holds values that no DDPMScheduler has"
        ) from error
    return scheduler


def timesteps_of(config: dict[str, Any]) -> int:
    """T of a scheduler's configuration; 1000.0 in some files.

    Raises:
        ValueError: it is none, or too large.
    """
    steps = config.get("num_train_timesteps", 1000)
    if type(steps) not in (int, float) or steps % 1 or not 2 <= steps <= MAX_TIMESTEPS:
        raise ValueError(
            f"num_train_timesteps must be a whole number between 2 and {MAX_TIMESTEPS:,}, not {steps!r:.60}"
        )
    return int(steps)


def flow_scheduler(folder: Path, config: dict[str, Any]) -> Any:
    """The scheduler of a flow model, its shift written out: one by picture size is the constant of the model's own size.

    Raises:
        ValueError: it is of another kind, has no deterministic form or another path than the straight one.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    try:
        if config.get("_class_name") != FLOW:
            raise ValueError(f"of flow matching a {FLOW} is accepted, not a {config.get('_class_name')!s:.60}")
        if config.get("stochastic_sampling"):
            raise ValueError(
                "it adds noise at each step (stochastic_sampling), and the step error needs a deterministic step"
            )
        other = ("invert_sigmas", "shift_terminal", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
        if asked := [name for name in other if config.get(name)]:
            raise ValueError(f"it has {asked[0]}; accepted are a constant shift, and one by the size of the picture")
        steps, shift = timesteps_of(config), shift_of(folder, config)
        FlowSchedule.shifted(steps, shift)
    except (TypeError, OverflowError, ZeroDivisionError) as error:
        raise ValueError("its shift is no number above 0") from error
    return FlowMatchEulerDiscreteScheduler(steps, shift=shift)


def shift_of(folder: Path, config: dict[str, Any]) -> float:
    """The shift of a flow model at its own size.

    One by size has mu, a straight line through two numbers of patches, and the shift e^mu, or mu itself.
    """
    if not config.get("use_dynamic_shifting"):
        return float(config.get("shift", 1.0))
    model = check_pipeline(folder)
    patch = model.get("patch_size", 2) if model.get("_class_name") == TRANSFORMER else 1
    small, large = (config.get(f"{name}_image_seq_len", patches) for name, patches in (("base", 256), ("max", 4096)))
    low, high = (config.get(f"{name}_shift", shift) for name, shift in (("base", 0.5), ("max", 1.15)))
    mu = low + (high - low) * ((model["sample_size"] // patch) ** 2 - small) / (large - small)
    return float(mu if config.get("time_shift_type") == "linear" else exp(mu))


def schedule_settings(folder: Path) -> dict[str, Any]:
    """What the noise schedule of a folder follows from, whatever sampler it names.

    Raises:
        ValueError: as `load_scheduler`.
    """
    config = load_scheduler(folder).config
    return {name: config[name] for name in (("num_train_timesteps", "shift") if "shift" in config else BETAS)}


def load_schedule(folder: Path) -> Schedule:
    """The noise schedule of a diffusers pipeline folder, or its flow's: a checkpoint's own schedule always wins.

    One that ends in pure noise (zero terminal SNR) goes to its last timestep at which something of the image is left:
    from alpha_bar = 0 no step leads back.

    Raises:
        ValueError: as `load_scheduler`, or the betas do not lie between 0 and 1.
    """
    return schedule_of(load_scheduler(folder), folder)


def load_betas(folder: Path) -> NoiseSchedule:
    """`load_schedule` for whoever trains a network, or measures how it is trained here.

    Raises:
        ValueError: as `load_schedule`, or it is a flow model's.
    """
    found = load_schedule(folder)
    if not isinstance(found, NoiseSchedule):
        raise ValueError(
            f"the model in {folder} is one of flow matching: it can be a detector, but is not trained here"
        )
    return found


def schedule_of(scheduler: Any, folder: Path) -> Schedule:
    """`load_schedule` of a scheduler that is loaded.

    Raises:
        ValueError: the betas do not lie between 0 and 1.
    """
    if "shift" in scheduler.config:  # of a flow
        return FlowSchedule.shifted(scheduler.config.num_train_timesteps, scheduler.config.shift)
    betas = scheduler.betas
    try:
        return NoiseSchedule.from_betas(betas[:-1] if betas.ndim == 1 and len(betas) and betas[-1] == 1 else betas)
    except ValueError as error:
        raise ValueError(f"the noise schedule in {folder} cannot be used: {error}") from error

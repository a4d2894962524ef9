"""From a diffusers scheduler's configuration to the noise schedule that the engine walks on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedid.errors import first_line
from sedid.method.diffusion import NoiseSchedule
from sedid.method.predictions import PREDICTIONS
from sedid.models.folders import is_latent, pipeline_part
from sedid.storage import read_object

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

MAX_TIMESTEPS = 100_000


def make_scheduler() -> "DDPMScheduler":
    """The paper's noise schedule as a diffusers scheduler: T = 1000, linear betas 1e-4 to 0.02, eps prediction."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, variance_type="fixed_large")


def load_scheduler(folder: Path) -> Any:
    """The scheduler of a diffusers pipeline folder, of whatever class, as a `DDPMScheduler`: the betas are the same.

    Its `prediction_type` is one of `PREDICTIONS`.

    Raises:
        ValueError: its file is missing or holds no betas, or the model predicts something else.
    """
    from diffusers import DDPMScheduler

    part = pipeline_part(folder, "scheduler")
    try:
        config = read_object(part / "scheduler_config.json")
        if "beta_schedule" not in config and not config.get("trained_betas"):  # diffusers would fill in its own
            raise ValueError(f"a {config.get('_class_name')} has no betas, so it is no DDPM noise schedule")
        if config.get("timestep_type", "discrete") != "discrete":
            raise ValueError("its network is not asked by timesteps, but by a continuous noise level (timestep_type)")
        steps = config.get("num_train_timesteps", 1000)
        if type(steps) not in (int, float) or steps % 1 or not 2 <= steps <= MAX_TIMESTEPS:
            raise ValueError(
                f"num_train_timesteps must be a whole number between 2 and {MAX_TIMESTEPS:,}, not {steps!r:.60}"
            )
        config["num_train_timesteps"] = int(steps)  # 1000.0 in some files
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


def load_schedule(folder: Path) -> NoiseSchedule:
    """The noise schedule of a diffusers pipeline folder: a checkpoint's own schedule always wins.

    One that ends in pure noise (zero terminal SNR) goes to its last timestep at which something of the image is left:
    from alpha_bar = 0 no step leads back.

    Raises:
        ValueError: as `load_scheduler`, or the betas do not lie between 0 and 1.
    """
    betas = load_scheduler(folder).betas
    try:
        return NoiseSchedule.from_betas(betas[:-1] if betas[-1] == 1 else betas)
    except ValueError as error:
        raise ValueError(f"the noise schedule in {folder} cannot be used: {error}") from error

"""A diffusion model of any kind that is accepted, opened from its folder: what the engine asks, and what it walks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedid import settings
from sedid.later import torch
from sedid.method.diffusion import EpsModel, NoiseSchedule, Schedule
from sedid.method.flow import FlowSchedule
from sedid.method.predictions import to_eps
from sedid.models.folders import check_pipeline, is_latent, latent_factor, part_weights, weighty_parts
from sedid.models.latent import PIXELS_AT_ONCE as LATENT_PIXELS
from sedid.models.latent import load_latents, load_teller
from sedid.models.memory import settle
from sedid.models.networks import PIXELS_AT_ONCE, Runtime, Told, asked_as_unet, eps_model, load_network
from sedid.models.schedules import load_scheduler, schedule_of
from sedid.models.spaces import PIXELS, Grey, Space
from sedid.storage import hash_files, read_object

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Condition:
    """What a conditional model is told of every picture alike; an unconditional one is told nothing.

    Attributes:
        prompt: of a class-conditional model the number of a class.
        guidance: w of classifier-free guidance (`networks.Told`); 1 is none.
    """

    prompt: str = ""
    guidance: float = 1.0


NOTHING = Condition()


@dataclass(frozen=True)
class Model:
    """A diffusion model as the engine uses it.

    Attributes:
        network: its U-Net or transformer, on the runtime's device.
        tell: prompts and guidance -> what the network is told, a row a prompt; it raises ValueError where it cannot be.
        scheduler: the folder's, as `schedules.load_scheduler` has it.
        space: what it walks on.
        size: of its pictures, pixels a side.
        side: of what it walks on.
        prompted: whether it is told something besides the picture.
        pixels: that the network is asked at once (`networks.eps_model`).
    """

    network: nn.Module = field(repr=False)
    runtime: Runtime
    tell: Callable[[Sequence[str], float], Told] = field(repr=False)
    schedule: Schedule = field(repr=False)
    scheduler: Any = field(repr=False)
    space: Space
    size: int
    side: int
    prompted: bool = False
    pixels: int = PIXELS_AT_ONCE

    def answers(self, prompts: Sequence[str], guidance: float = 1.0) -> EpsModel:
        """What the network predicts at (x, t), be it noise or something else.

        Args:
            prompts: one for all rows, or one of each.

        Raises:
            ValueError: the model cannot be told this.
        """
        said = eps_model(asked_as_unet(self.network), self.runtime, self.tell(prompts, guidance), self.pixels)
        if not isinstance(self.schedule, FlowSchedule):
            return said
        asked_at = self.schedule.asked_at
        return lambda x, t: said(x, asked_at(t))  # type: ignore[arg-type]

    def eps(self, condition: Condition = NOTHING) -> EpsModel:
        """eps_theta(x, t): what the network predicts, as noise; of a flow model v_theta, on which its schedule steps.

        Raises:
            ValueError: the model cannot be told this.
        """
        said = self.answers([condition.prompt], condition.guidance)
        schedule = self.schedule  # not the whole model: what it was told stays, the text encoder need not
        if not isinstance(schedule, NoiseSchedule):
            return said
        prediction = self.scheduler.config.prediction_type

        def predict(x: Tensor, t: Any) -> Tensor:
            return to_eps(prediction, schedule, said(x, t), x, t)

        return said if prediction == "epsilon" else predict


def open_model(folder: Path, runtime: Runtime) -> Model:
    """Open the model of a pipeline folder on a device.

    Raises:
        FileNotFoundError: the folder holds no U-Net, or none in safetensors.
        ValueError: it cannot be a detector, or cannot be loaded; the text says why.
    """
    config = check_pipeline(folder)
    scheduler = load_scheduler(folder)
    schedule = schedule_of(scheduler, folder)
    network = settle(load_network(folder), runtime)
    size, side = picture_size(folder), config["sample_size"]
    if is_latent(folder):
        tell = load_teller(folder, network, size, runtime)
        latents = load_latents(folder, runtime)
        return Model(network, runtime, tell, schedule, scheduler, latents, size, side, True, LATENT_PIXELS)
    classes = config.get("num_class_embeds")

    def tell_class(prompts: Sequence[str], guidance: float) -> Told:
        return tell_classes(folder, classes, prompts, guidance)

    space: Space = Grey() if config.get("in_channels", 3) == 1 else PIXELS
    return Model(network, runtime, tell_class, schedule, scheduler, space, size, side, bool(classes))


def picture_size(folder: Path) -> int:
    """The side of a model's pictures, pixels.

    Raises:
        FileNotFoundError, ValueError: as `check_pipeline`.
    """
    size: int = check_pipeline(folder)["sample_size"]
    return size * latent_factor(read_object(Path(folder) / "vae" / "config.json")) if is_latent(folder) else size


def on_record(folder: Path, condition: Condition = NOTHING) -> dict[str, Any]:
    """What detector.json records of how pictures become x_0, and of what the model is told; {} for RGB and nothing.

    Raises:
        FileNotFoundError, ValueError: as `check_pipeline`, or a latent model's part has no weights.
    """
    config = check_pipeline(folder)
    if is_latent(folder):
        parts = weighty_parts(folder)[1:]
        files = [file for name in parts for file in (folder / name / "config.json", *part_weights(folder, name))]
        tiles = ", in tiles" if "tiles" in settings.read().memory else ""
        space = {"space": f"latents, the mean of the VAE's posterior{tiles}", "vae_and_text_sha256": hash_files(files)}
        return space | {"prompt": condition.prompt, "guidance": condition.guidance}
    found: dict[str, Any] = {"levels": "8-bit grey"} if config.get("in_channels", 3) == 1 else {}
    return found | ({"prompt": condition.prompt} if config.get("num_class_embeds") else {})


def tell_classes(folder: Path, classes: int | None, prompts: Sequence[str], guidance: float) -> Told:
    """What a U-Net of pixels is told: the numbers of classes, where it has classes.

    Raises:
        ValueError: it has, and a prompt names none; or it has none, and there is something to tell.
    """
    if not classes:
        if any(prompts) or guidance != 1:
            raise ValueError(f"the model in {folder} is unconditional: it takes no prompt and no guidance")
        return Told()
    if guidance != 1:
        raise ValueError(f"the model in {folder} is told a class by its number, for which there is no guidance here")
    for prompt in prompts:
        if not prompt.strip().isdecimal() or len(prompt) > 9 or int(prompt) >= classes:
            said = f", not {prompt!r:.60}" if prompt else ""
            raise ValueError(
                f"the model in {folder} draws one of {classes} classes: give the number of one as its prompt, 0 to "
                f"{classes - 1}{said} (where it has a null class, for no class at all, that is usually the last one)"
            )
    return Told({"class_labels": torch.tensor([int(prompt) for prompt in prompts])})

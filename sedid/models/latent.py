r"""Latent diffusion: a VAE before the model, and a text beside the picture (appendix A of the paper).

    v_0 = (E(x_0) - shift) scale        E the mean of the VAE's posterior, so that a picture has one score and not many
    v~_{t+k} = phi(v~_t, t, C),  psi likewise: the same engine on latents, with eps_theta(v_t, t, C)

C is what the text encoders make of a prompt, by default of the empty one. Folders are those that diffusers'
StableDiffusionPipeline, StableDiffusionXLPipeline and StableDiffusion3Pipeline write. Prompts are encoded by these very pipelines.

The VAE encodes in float32 and without autocast, whatever the rest runs in: SDXL's overflows in half precision. It is given
one picture at a time, which bounds its memory and makes a picture's latents independent of its batch. Tiles, which
change its numbers, are a setting (`memory`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cached_property
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedid.later import torch
from sedid.models.folders import STEMS, network_part, part_weights, text_parts
from sedid.models.memory import cut_into_tiles, settle, waits
from sedid.models.networks import Runtime, Told, load_part, silent

if TYPE_CHECKING:
    from torch import Tensor, nn

PIXELS_AT_ONCE = 2**15  # of latents that the U-Net is asked at once: 8 rows of 64 by 64
KEPT = 16  # decoded pictures that are remembered: the page asks again for what it shows


class Latents:
    """What a VAE makes of pictures.

    Args:
        vae: an `AutoencoderKL` in float32.
        runtime: where it works, and whether it waits elsewhere (`memory.settle`).
        draw: None for the posterior's mean; a number for a random sample of it, the same one for the same pixels.
    """

    latent = True
    frames = 8  # a decoding costs as much as an evaluation of the U-Net

    def __init__(self, vae: Any, runtime: Runtime, draw: int | None = None) -> None:
        self.vae, self.runtime, self.draw = vae, runtime, draw
        self.channels = int(vae.config.latent_channels)
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self._decoded: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def sampled(self, draw: int | None) -> Latents:
        """The same at a random sample of the posterior, as `draw`."""
        return Latents(self.vae, self.runtime, draw)

    @property
    def note(self) -> str:
        """That the VAE stands before the model."""
        tiles = ", in tiles, which changes these numbers a little" if self.vae.use_tiling else ""
        return f"encoded by the model's VAE, {self.factor} by {self.factor} pixels to {self.channels} numbers{tiles}"

    @cached_property
    def _scaling(self) -> tuple[Any, Any]:
        """Shift and scale of v = (E(x) - shift) scale; numbers, or one of each channel."""
        config, device = self.vae.config, self.runtime.device
        means, deviations = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        shift, scale = getattr(config, "shift_factor", None) or 0.0, config.scaling_factor
        if means is None or deviations is None:
            return shift, scale
        rows = (torch.tensor(values, device=device).reshape(1, -1, 1, 1) for values in (means, deviations))
        mean, deviation = rows
        return mean, scale / deviation

    def encode(self, pictures: Tensor) -> Tensor:
        """v_0 (N, channels, H / factor, W / factor) of pictures (N, 3, H, W) in [-1, 1].

        Raises:
            ValueError: a side is no multiple of the VAE's factor, or what comes out is not finite.
        """
        height, width = pictures.shape[2:]
        if height % self.factor or width % self.factor or not height or not width:
            fit = [max(side // self.factor, 1) * self.factor for side in (width, height)]
            raise ValueError(
                f"pictures of {width}x{height} pixels do not fit the VAE, whose sides are multiples of {self.factor}: cut "
                f"them to {fit[0]}x{fit[1]}, or let `Detector.prepare` make them the detector's own size"
            )
        shift, scale = self._scaling
        with torch.inference_mode(), self._full_precision(), self._turn():
            found = [self._posterior(pictures[i : i + 1]) for i in range(len(pictures))]
        latents = (torch.cat(found) - shift) * scale if found else pictures.new_zeros(0)
        if not bool(torch.isfinite(latents).all()):
            raise ValueError(
                "the VAE makes NaN or infinity of a picture, so it has no score: its weights overflow, as those of SDXL do "
                "where they were saved in half precision; take the VAE of a float32 folder"
            )
        return latents

    def _posterior(self, picture: Tensor) -> Tensor:
        """The mean of a picture's posterior (1, 3, H, W), or what this draw takes of it."""
        posterior = self.vae.encode(picture).latent_dist
        if self.draw is None:
            mean: Tensor = posterior.mean
            return mean
        seed = int.from_bytes(_digest(picture)[:4], "big") + self.draw
        noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(seed))
        drawn: Tensor = posterior.mean + posterior.std * noise.to(posterior.mean)
        return drawn

    def decode(self, x: Tensor) -> Tensor:
        """Latents (N, channels, h, w), on any device, as pictures; those decoded last are remembered."""
        return torch.cat([self._one(x[i : i + 1]) for i in range(len(x))])

    def _one(self, x: Tensor) -> Tensor:
        key = _digest(x)
        with self._lock:
            if key not in self._decoded:
                shift, scale = self._scaling
                with torch.inference_mode(), self._full_precision():
                    self._decoded[key] = self.vae.decode(x.to(self.runtime.device).float() / scale + shift).sample.cpu()
            self._decoded.move_to_end(key)
            while len(self._decoded) > KEPT:
                self._decoded.popitem(last=False)
            return self._decoded[key].to(x.device)

    def _full_precision(self) -> Any:
        return torch.autocast(self.runtime.device.type, enabled=False)

    def _turn(self) -> Any:
        """One thread at a time, where layers come and go."""
        return self._lock if waits(self.runtime, seldom=True) else nullcontext()


def _digest(x: Tensor) -> bytes:
    """Which numbers these are, wherever they lie."""
    return sha1(x.detach().cpu().float().contiguous().numpy().tobytes(), usedforsecurity=False).digest()


def load_latents(folder: Path, runtime: Runtime) -> Latents:
    """The VAE of a pipeline folder, on the runtime's device.

    Raises:
        FileNotFoundError, ValueError: it cannot be loaded; the text says why.
    """
    from diffusers import AutoencoderKL

    vae = load_part(AutoencoderKL, folder, folder / "vae", part_weights(folder, "vae"), "VAE")
    if "tiles" in runtime.memory:
        cut_into_tiles(vae)
    return Latents(settle(vae, runtime, seldom=True), runtime)


def load_teller(
    folder: Path, network: nn.Module, size: int, runtime: Runtime
) -> Callable[[Sequence[str], float], Told]:
    """What a latent model is told of prompts: their text encoders' hidden states, each prompt encoded once.

    Args:
        size: of the pictures, pixels a side: what SDXL is told of it.

    Raises:
        FileNotFoundError, ValueError: a text encoder or tokenizer cannot be loaded; the text says why.
    """
    pipeline = text_pipeline(folder, network, runtime)
    known: dict[str, dict[str, Any]] = {}

    def encoded(prompt: str, guided: bool) -> dict[str, Any]:
        """Arguments of the U-Net for the prompt, or for what guidance goes away from."""
        key = f"{guided}{prompt}"
        if key not in known:
            check_length(pipeline, prompt)
            with torch.inference_mode(), silent():
                more = {"prompt_2": None, "prompt_3": None} if hasattr(pipeline, "transformer") else {}
                found = pipeline.encode_prompt(prompt, device=runtime.device, num_images_per_prompt=1, do_classifier_free_guidance=guided, **more)  # fmt: skip
            known[key] = arguments(pipeline, found[1::2] if guided else found[::2], size)
        return known[key]

    def tell(prompts: Sequence[str], guidance: float) -> Told:
        rows = [encoded(prompt, False) for prompt in prompts]
        return Told(stacked(rows), encoded("", True) if guidance != 1 else {}, guidance)

    return tell


def text_pipeline(folder: Path, network: nn.Module, runtime: Runtime) -> Any:
    """Diffusers' own pipeline of a folder, of whose parts only those for text are asked.

    Raises:
        FileNotFoundError, ValueError: as `load_teller`.
    """
    import diffusers
    import transformers

    parts: dict[str, Any] = {}
    for name, kind in text_parts(folder).items():
        if name not in STEMS:
            try:
                with silent():
                    parts[name] = getattr(transformers, kind).from_pretrained(folder / name, local_files_only=True)
            except Exception as error:  # transformers raises nearly anything
                files = "vocab.json and merges.txt" if kind == "CLIPTokenizer" else "tokenizer.json or spiece.model"
                raise ValueError(
                    f"the {name} in {folder} cannot be loaded: accepted is a {kind}, with its {files}"
                ) from error
        else:
            encoder = load_part(getattr(transformers, kind), folder, folder / name, part_weights(folder, name), name)
            parts[name] = settle(encoder, runtime, seldom=True)
    # of the parts that encode no text, the pipeline reads settings alone
    parts |= {"vae": None, "scheduler": diffusers.DDPMScheduler(steps_offset=1, clip_sample=False)}
    with silent():
        if network_part(folder) == "transformer":
            parts |= {"text_encoder_3": parts.get("text_encoder_3"), "tokenizer_3": parts.get("tokenizer_3")}
            return diffusers.StableDiffusion3Pipeline(**parts, transformer=network)
        parts["unet"] = network
        if "text_encoder_2" in parts:
            return diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
        return diffusers.StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )


def check_length(pipeline: Any, prompt: str) -> None:
    """Refuse a prompt that the text encoder would cut off.

    Raises:
        ValueError: it is longer than the encoder reads.
    """
    tokenizer = pipeline.tokenizer
    with silent():  # it warns of what is refused here
        tokens, most = len(tokenizer(prompt).input_ids), tokenizer.model_max_length
    if tokens > most:
        raise ValueError(
            f"the prompt {prompt!r:.60} is too long: it has {tokens - 2} tokens, and the text encoder reads {most - 2}"
        )


def arguments(pipeline: Any, encoded: Sequence[Any], size: int) -> dict[str, Any]:
    """What a network takes of an encoded prompt, (1, ...) each: hidden states, of SDXL and SD3 a pooled text too.

    SDXL's is told six sizes beside it.
    """
    hidden, *pooled = encoded
    if not pooled:
        return {"encoder_hidden_states": hidden}
    if hasattr(pipeline, "transformer"):
        return {"encoder_hidden_states": hidden, "pooled_projections": pooled[0]}
    ids = pipeline._get_add_time_ids(
        (size, size), (0, 0), (size, size), hidden.dtype, pipeline.text_encoder_2.config.projection_dim
    )
    return {"encoder_hidden_states": hidden, "added_cond_kwargs": {"text_embeds": pooled[0], "time_ids": ids}}


def stacked(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Arguments of one row each as those of all rows."""
    return {
        name: stacked([row[name] for row in rows])
        if isinstance(first, dict)
        else torch.cat([row[name] for row in rows])
        for name, first in rows[0].items()
    }

"""What a picture costs with a diffusion model, counted on shapes alone: no weights are needed, and nothing is computed.

    python -m sedid.models.cost      the table of docs/add-detector.md

A multiplication and an addition are two operations. Counted are matrix products, convolutions and attention, which are
nearly all there is. How long that takes depends on the machine: the seconds are an estimate for SUSTAINED operations a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sedid.later import torch
from sedid.models.latent_parts import TOKENS, make_latent_unet, make_vae
from sedid.models.networks import make_unet, parameter_count

SUSTAINED = 2e13
"""Operations a second: a quarter of what the makers of large desktop GPUs state for float32, as long networks reach it."""
PAPER, SECMI = (165, 990), (10, 150)
"""k and T_SEC of this paper's walk, and of the reference protocol for latent models (SecMI)."""

VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
}
"""The VAE of Stable Diffusion 1.x, 2.x and SDXL."""
UNETS: dict[str, dict[str, Any]] = {
    "Stable Diffusion 1.5, 512 px": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "Stable Diffusion 2.1, 768 px": {
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    "SDXL, 1,024 px": {
        "sample_size": 128,
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""Public U-Nets of latents, by what their config.json says beside diffusers' defaults."""
SD3: dict[str, Any] = {
    "num_layers": 24,
    "num_attention_heads": 24,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 192,
}
SD3_VAE = VAE | {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
SD3_TOKENS = 333
"""Stable Diffusion 3 medium likewise: 77 words of the two CLIPs and 256 of T5, zeros where it is left out."""


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        parameters: of the network, a U-Net or a transformer.
        evaluation: operations of one evaluation of it, of one picture.
        encoding: operations of encoding one picture; 0 where the model walks on the pixels.
    """

    name: str
    parameters: int
    evaluation: int
    encoding: int

    def picture(self, k: int, t_sec: int) -> float:
        """Operations of a picture's walk to T_SEC: N + 1 evaluations and one encoding."""
        return (t_sec // k + 1) * self.evaluation + self.encoding


def operations(call: Callable[[], Any]) -> int:
    """Floating-point operations of a call."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        call()
    counted: int = counter.get_total_flops()
    return counted


def cost_of_latents(name: str, network: Any, vae: Any, tokens: int) -> Cost:
    """The cost of a network of latents that is told a text, it and the VAE on the meta device."""
    config = network.config
    side = config.sample_size
    more: dict[str, Any] = {}
    if "joint_attention_dim" in config:  # SD3: a pooled text
        more = {"pooled_projections": zeros(1, config.pooled_projection_dim)}
    elif config.addition_embed_type == "text_time":  # SDXL: a pooled text and six sizes
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        more = {"added_cond_kwargs": {"text_embeds": zeros(1, pooled), "time_ids": zeros(1, 6)}}
    text = zeros(1, tokens, config.get("joint_attention_dim") or config.cross_attention_dim)
    v, picture = zeros(1, config.in_channels, side, side), side * 2 ** (len(vae.config.block_out_channels) - 1)
    evaluation = operations(lambda: network(v, timestep=zeros(1), encoder_hidden_states=text, **more))
    return Cost(
        name,
        parameter_count(network),
        evaluation,
        operations(lambda: vae.encode(zeros(1, 3, picture, picture)).latent_dist),
    )


def zeros(*shape: int) -> torch.Tensor:
    """A tensor that is a shape alone."""
    return torch.zeros(*shape, device="meta")


def costs() -> Iterator[Cost]:
    """Of the shipped kinds, then of public models."""
    from diffusers.models import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel

    with torch.device("meta"):
        pixels, vae = make_unet("small"), make_vae("small")
        evaluation = operations(lambda: pixels(zeros(1, 3, 32, 32), zeros(1)))
        yield Cost("the shipped DDPMs, 32 px", parameter_count(pixels), evaluation, 0)
        yield cost_of_latents("cifar10-latent, 32 px", make_latent_unet("demo", vae), vae, TOKENS)
        for name, made_of in UNETS.items():
            yield cost_of_latents(name, UNet2DConditionModel(**made_of), AutoencoderKL(**VAE), 77)
        transformer = SD3Transformer2DModel(**SD3)
        yield cost_of_latents("Stable Diffusion 3, 1,024 px", transformer, AutoencoderKL(**SD3_VAE), SD3_TOKENS)


def table(found: Iterable[Cost]) -> str:
    """The costs as a Markdown table."""
    head = ["model", "parameters of the network", "an evaluation", "the VAE"]
    for k, t_sec in (PAPER, SECMI):
        head += [f"k = {k} to {t_sec}: {t_sec // k + 1} evaluations", "seconds, estimated"]
    lines = [head, ["---"] * len(head)]
    for one in found:
        line = [one.name, f"{one.parameters / 1e6:,.1f} M", gflop(one.evaluation), gflop(one.encoding)]
        for walk in (PAPER, SECMI):
            seconds = one.picture(*walk) / SUSTAINED
            line += [gflop(one.picture(*walk)), f"{seconds:.1f}" if seconds >= 0.1 else "below 0.1"]
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def gflop(count: float) -> str:
    """Operations in words: "803 GFLOP", "0.05 GFLOP", or nothing where there are none."""
    return f"{count / 1e9:,.0f} GFLOP" if count >= 1e10 else f"{count / 1e9:.2f} GFLOP" if count else ""


if __name__ == "__main__":
    print(table(costs()))

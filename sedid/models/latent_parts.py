"""The parts of a small latent model before training: VAE, U-Net, text encoder and tokenizer, of diffusers' and transformers' classes.

The tokenizer knows the words it is made for, each as one token, and any other text letter by letter. The text encoder is not
trained: of a few prompts all that the U-Net needs is that their texts differ, and a random encoder's do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from sedid.storage import replacing, replacing_parts, write_json

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

PartsName = Literal["demo", "small", "paper"]
VAES: dict[str, dict[str, Any]] = {
    # 32x32 pixels of 3 numbers to 8x8 of `latent_channels`
    "demo": {"block_out_channels": (16, 16, 32), "latent_channels": 4, "norm_num_groups": 8},
    # 1.0 M parameters, 0.4 GFLOP there and back
    "small": {"block_out_channels": (32, 64, 64), "latent_channels": 8, "norm_num_groups": 8},
    # 4 latent channels as Stable Diffusion has
    "paper": {
        "block_out_channels": (128, 256, 256),
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
    },
}
UNETS: dict[str, dict[str, Any]] = {
    "demo": {"block_out_channels": (32, 48), "norm_num_groups": 8, "attention_head_dim": 4},
    "small": {"block_out_channels": (64, 96), "norm_num_groups": 16, "attention_head_dim": 4},
    "paper": {
        "block_out_channels": (160, 320),
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "attention_head_dim": 8,
    },
}
SIDE = 32  # pixels
TEXT_WIDTH, TOKENS = 64, 16
WORDS = ("a", "photo", "of")


def make_vae(name: str) -> AutoencoderKL:
    """A freshly initialised VAE by preset name.

    Raises:
        ValueError: unknown name.
    """
    from diffusers import AutoencoderKL

    sizes = _preset(VAES, name)
    levels = len(sizes["block_out_channels"])
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * levels, "up_block_types": ("UpDecoderBlock2D",) * levels}
    vae: AutoencoderKL = AutoencoderKL(**blocks, **sizes, sample_size=SIDE, scaling_factor=1.0)
    return vae


def make_latent_unet(name: str, vae: Any) -> UNet2DConditionModel:
    """A freshly initialised U-Net of a VAE's latents, which hears the text encoder of `make_text`.

    Raises:
        ValueError: unknown name.
    """
    from diffusers import UNet2DConditionModel

    sizes, channels = _preset(UNETS, name), vae.config.latent_channels
    unet: UNet2DConditionModel = UNet2DConditionModel(
        **{"layers_per_block": 1} | sizes,
        sample_size=vae.config.sample_size // 2 ** (len(vae.config.block_out_channels) - 1),
        in_channels=channels,
        out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=TEXT_WIDTH,
    )
    return unet


def _preset(presets: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in presets:
        raise ValueError(f"unknown preset {name!r:.60}; accepted: {', '.join(presets)}")
    return presets[name]


def make_text(prompts: Iterable[str]) -> tuple[Any, Any]:
    """A CLIPTokenizer whose words are those of the prompts, and a random CLIPTextModel of two layers.

    Args:
        prompts: texts the model is to be trained with.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    ends = ["<|startoftext|>", "<|endoftext|>"]
    learned = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learned.normalizer = normalizers.Lowercase()
    learned.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=10_000, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    learned.train_from_iterator([*prompts, " ".join(WORDS)], trainer)
    merges = json.loads(learned.to_str())["model"]["merges"]
    known = [*sorted(letters), *(f"{letter}</w>" for letter in sorted(letters)), *("".join(pair) for pair in merges)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*known, *ends]))}
    with TemporaryDirectory() as place:
        write_words(vocabulary, merges, Path(place))
        tokenizer = CLIPTokenizer.from_pretrained(place, model_max_length=TOKENS)
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=vocabulary[ends[0]],
        eos_token_id=vocabulary[ends[1]],
        pad_token_id=vocabulary[ends[1]],
    )
    return tokenizer, CLIPTextModel(config).eval().requires_grad_(False)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a CLIPTokenizer as it is written today, and as earlier versions of transformers read it."""
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    with replacing_parts(folder) as place:
        tokenizer.save_pretrained(place)
        write_words(tokenizer.get_vocab(), merges, place)


def write_words(vocabulary: dict[str, int], merges: Iterable[Iterable[str]], folder: Path) -> None:
    """vocab.json and merges.txt of a CLIPTokenizer."""
    write_json(folder / "vocab.json", vocabulary)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    with replacing(folder / "merges.txt") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_latent_scheduler() -> DDIMScheduler:
    """The noise schedule of Stable Diffusion: T = 1000, scaled-linear betas 0.00085 to 0.012, eps prediction."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )

"""Latent diffusion pipelines of the real classes, tiny and random: what the tests open in place of gigabytes."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIDE = 16  # pixels; 8 of latents
_keep: list[Any] = []  # the shared folders live as long as the test session


def tokenizer(folder: Path) -> Any:
    """A CLIP tokenizer that knows letters alone."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True)
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=12)


def text_encoder(kind: str, width: int) -> Any:
    """A CLIP text encoder of two layers."""
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=2 * len(LETTERS) + 2,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        projection_dim=8,
        bos_token_id=2 * len(LETTERS),
        eos_token_id=2 * len(LETTERS) + 1,
        pad_token_id=2 * len(LETTERS) + 1,
    )
    return getattr(transformers, kind)(config).eval()


def small_vae(**settings: Any) -> Any:
    """An AutoencoderKL of 16x16 pictures: 8x8 latents of 4 channels."""
    import diffusers

    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=SIDE,
        **settings,
    ).eval()


def small_transformer(words: int, prompt: int) -> Any:
    """An SD3Transformer2DModel of one layer for such latents, told so many numbers a word and of a whole prompt."""
    import diffusers

    return diffusers.SD3Transformer2DModel(
        sample_size=SIDE // 2,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=words,
        caption_projection_dim=16,
        pooled_projection_dim=prompt,
        pos_embed_max_size=8,
    ).eval()


def pipeline(sdxl: bool = False, seed: int = 0, unet: dict[str, Any] | None = None, **scheduler: Any) -> Any:
    """A StableDiffusionPipeline for 16x16 pictures, or an SDXL one: 8x8 latents of 4 channels."""
    import diffusers

    with torch.random.fork_rng(devices=[]), TemporaryDirectory() as place:
        torch.manual_seed(seed)
        vae = small_vae(scaling_factor=0.3, force_upcast=sdxl)
        parts: dict[str, Any] = {
            "vae": vae,
            "tokenizer": tokenizer(Path(place) / "one"),
            "text_encoder": text_encoder("CLIPTextModel", 16),
            "scheduler": diffusers.DDIMScheduler(
                **{"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False, "steps_offset": 1, "set_alpha_to_one": False}
                | scheduler
            ),
        }  # fmt: skip
        width, more = 16, {}
        if sdxl:
            parts["tokenizer_2"] = tokenizer(Path(place) / "two")
            parts["text_encoder_2"] = text_encoder("CLIPTextModelWithProjection", 8)
            width, more = 24, {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 4,
                "projection_class_embeddings_input_dim": 8 + 6 * 4,
            }  # fmt: skip
        parts["unet"] = diffusers.UNet2DConditionModel(
            **{
                "sample_size": SIDE // 2,
                "in_channels": 4,
                "out_channels": 4,
                "layers_per_block": 1,
                "block_out_channels": (8, 16),
                "norm_num_groups": 4,
                "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
                "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
                "cross_attention_dim": width,
                "attention_head_dim": 2,
            }
            | more
            | (unet or {})
        ).eval()
    if sdxl:
        return diffusers.StableDiffusionXLPipeline(**parts, add_watermarker=False)
    return diffusers.StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def flow_pipeline(t5: bool = False, **scheduler: Any) -> Any:
    """A StableDiffusion3Pipeline for 16x16 pictures: 8x8 latents of 4 channels, a transformer of one layer, shift 3."""
    import diffusers
    import transformers

    with torch.random.fork_rng(devices=[]), TemporaryDirectory() as place:
        torch.manual_seed(0)
        vae = small_vae(scaling_factor=1.5, shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False)
        transformer = small_transformer(words=40, prompt=16)
        third: dict[str, Any] = {"text_encoder_3": None, "tokenizer_3": None}
        if t5:
            small = {"d_model": 40, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
            pieces = [
                ("<pad>", 0.0),
                ("</s>", 0.0),
                ("<unk>", 0.0),
                ("\u2581", -1.0),
                *((letter, -2.0) for letter in LETTERS),
            ]
            third["text_encoder_3"] = transformers.T5EncoderModel(transformers.T5Config(vocab_size=150, **small)).eval()
            third["tokenizer_3"] = transformers.T5Tokenizer(vocab=pieces)
        return diffusers.StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**{"shift": 3.0} | scheduler),
            vae=vae,
            text_encoder=text_encoder("CLIPTextModelWithProjection", 16),
            tokenizer=tokenizer(Path(place) / "one"),
            text_encoder_2=text_encoder("CLIPTextModelWithProjection", 16),
            tokenizer_2=tokenizer(Path(place) / "two"),
            **third,
        )


def shared(name: str, pipe: Any) -> Path:
    """The folder of a pipeline, which lives as long as the test session; read it only."""
    _keep.append(TemporaryDirectory())
    folder = Path(_keep[-1].name) / name
    pipe.save_pretrained(folder)
    return folder


@cache
def shared_flow() -> Path:
    """One of flow matching, without T5."""
    return shared("tiny-sd3", flow_pipeline())


@cache
def shared_latent() -> Path:
    """One of betas."""
    return shared("tiny-sd", pipeline())

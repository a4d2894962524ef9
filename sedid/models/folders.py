"""A diffusers pipeline folder, by its files alone: which parts it has, what they say they are, and what cannot be opened."""

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from sedid.storage import read_json, read_object

WEIGHTS = "diffusion_pytorch_model"
"""What diffusers calls a U-Net's weight files."""
MAX_SIDE = 1024
MAX_LAYERS = 64  # of a level, and levels: a network takes memory while it is built
"""The largest images a detector may be for, pixels of a side: beyond, one trajectory needs more memory than there is."""


def pipeline_part(folder: Path, name: str) -> Path:
    """Where a pipeline keeps its "unet" or "scheduler": a folder of its own, or, in the oldest ones, the root."""
    part = Path(folder) / name
    return part if part.is_dir() else Path(folder)


def unet_weights(folder: Path) -> list[Path]:
    """The U-Net's weight files in name order: one, or its shards; no variants such as fp16 beside them.

    Raises:
        FileNotFoundError: there are none in safetensors.
    """
    part = pipeline_part(folder, "unet")
    found = sorted([*part.glob(f"{WEIGHTS}.safetensors"), *part.glob(f"{WEIGHTS}-*-of-*.safetensors")])
    if not found:
        raise FileNotFoundError(without_weights(folder, [file.name for file in part.iterdir()]))
    return found


def without_weights(place: str | Path, names: Iterable[str]) -> str:
    """What to say of a pipeline without weights that can be opened: what there is instead, and the way out.

    Args:
        names: its files.
    """
    names = sorted({PurePath(name).name for name in names})
    said = f"{place} holds no U-Net weights in safetensors ({WEIGHTS}.safetensors)"
    variants = [name for name in names if name.startswith(f"{WEIGHTS}.") and name.endswith(".safetensors")]
    pickles = [name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pth"))]
    if variants:
        variant = variants[0].split(".")[1].split("-")[0]
        return (
            f"{said} but only the variant {variant} ({variants[0]}): open it with diffusers' "
            f"from_pretrained(..., variant={variant!r}), and save_pretrained writes it without"
        )
    if pickles:
        return (
            f"{said}; its {PurePath(pickles[0]).suffix} file is a pickle ({pickles[0]}), which can run code when it is read. "
            "Where it is trusted, diffusers' from_pretrained opens it, and save_pretrained writes safetensors"
        )
    return f"{said}: diffusers' save_pretrained writes them"


def check_pipeline(folder: Path) -> dict[str, Any]:
    """Refuse, by its JSON files alone, a folder that is not a pixel-space unconditional diffusion pipeline.

    Returns:
        The U-Net's configuration as its file has it.

    Raises:
        FileNotFoundError: it holds no U-Net at all.
        ValueError: it holds another kind of model; the text says which.
    """
    config_file = pipeline_part(folder, "unet") / "config.json"
    if not config_file.is_file():
        raise FileNotFoundError(f"{folder} holds no diffusers U-Net (neither unet/config.json nor config.json)")
    try:
        index_file = Path(folder) / "model_index.json"
        index = read_object(index_file) if index_file.is_file() else {}
        config = read_object(config_file)
    except ValueError as error:
        raise ValueError(f"the U-Net in {folder} cannot be loaded: {error}") from error
    kind = config.get("_class_name", "UNet2DModel")
    if kind != "UNet2DModel":
        raise ValueError(f"{folder} holds a {kind}; only an unconditional pixel-space UNet2DModel can be a detector")
    others = sorted(
        name
        for name, part in index.items()
        if not name.startswith("_") and name not in ("unet", "scheduler") and part not in (None, [None, None])
    )
    if others:
        raise ValueError(
            f"{folder} holds a {index.get('_class_name')} that also needs {', '.join(others)}: its U-Net does not see "
            "pixels, or not alone, so it cannot be a detector"
        )
    if reason := _unfit(config):
        raise ValueError(f"the U-Net in {folder} {reason}")
    return config


def _unfit(config: dict[str, Any]) -> str:
    """Why a U-Net of this configuration cannot be a detector, as the end of a sentence; "" where it can."""
    inputs, outputs = config.get("in_channels", 3), config.get("out_channels", 3)
    if config.get("class_embed_type") or config.get("num_class_embeds"):
        told = next(
            f"{name} {config[name]!r:.60}" for name in ("num_class_embeds", "class_embed_type") if config.get(name)
        )
        return (
            f"is class-conditional ({told}); only an unconditional RGB model can be a detector: choose or train one without "
            "classes"
        )
    if inputs != 3:
        kind = "grey images, of 1 channel" if inputs == 1 else f"images of {inputs!r:.60} channels"
        return (
            f"is for {kind}; only an unconditional RGB model, of 3, can be a detector: train one, for which grey pictures are "
            "converted"
        )
    if outputs == 6:
        return (
            "predicts 6 channels (the noise and its variance); only an unconditional RGB model that predicts the 3 of the noise "
            "can be a detector: save it with out_channels 3 and the first 3 channels of conv_out alone, which are the noise"
        )
    if outputs != 3:
        return f"predicts {outputs!r:.60} channels; only an unconditional RGB model that predicts 3 can be a detector"
    size, blocks = config.get("sample_size"), config.get("down_block_types")
    if type(size) is not int or size < 1:
        return f"is not for square images: its sample_size must be a whole number of pixels, not {size!r:.60}"
    if size > MAX_SIDE:
        return f"is for images of {size:,} pixels a side; at most {MAX_SIDE:,} are accepted"
    layers, levels = config.get("layers_per_block", 2), len(blocks) if isinstance(blocks, list) else 4
    if (type(layers) is int and layers > MAX_LAYERS) or levels > MAX_LAYERS:
        return f"has {max(layers, levels):,} layers or levels; at most {MAX_LAYERS} are accepted"
    # each level but the last halves the picture; on the way up it is doubled again and joined with what was there
    halvings = max(1, levels) - 1
    if size % 2**halvings:
        return f"has a sample_size of {size}, but halves the picture {halvings} times: it must be a multiple of {2**halvings}"
    return ""


def check_shards(index: Path) -> None:
    """Refuse a weight index (if there is one) that names anything but safetensors files beside it.

    Raises:
        ValueError: it does; nothing was opened.
    """
    if not index.is_file():
        return
    try:
        names = set(read_json(index)["weight_map"].values())
        bad = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{index} cannot be loaded: it is no index of weights") from error
    if bad:
        raise ValueError(f"{index} cannot be loaded: {bad[0]!r} is not a safetensors file beside it")

"""A diffusers pipeline folder, by its files alone: which parts it has, what they say they are, and what cannot be opened."""

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from sedid.storage import read_json, read_object

WEIGHTS = "diffusion_pytorch_model"
"""What diffusers calls a U-Net's weight files."""
CONDITIONAL = "UNet2DConditionModel"
TRANSFORMER = "SD3Transformer2DModel"
TEXT_PARTS = {
    "tokenizer": "CLIPTokenizer",
    "text_encoder": "CLIPTextModel",
    "tokenizer_2": "CLIPTokenizer",
    "text_encoder_2": "CLIPTextModelWithProjection",
    "tokenizer_3": "T5TokenizerFast",
    "text_encoder_3": "T5EncoderModel",
}
"""The parts of a latent pipeline that read a prompt, and their classes in transformers; the second two are SDXL's and SD3's,
the last two SD3's alone."""
STEMS = {name: "model" for name in TEXT_PARTS if name.startswith("text_encoder")}
"""Parts whose weight files are not called WEIGHTS."""
CALLED = {"unet": "U-Net", "vae": "VAE"}
LATENT_LAYOUT = (
    "accepted are folders as StableDiffusionPipeline, StableDiffusionXLPipeline and StableDiffusion3Pipeline save them, with "
    "unet or transformer, vae, text_encoder, tokenizer and scheduler"
)
MAX_SIDE = 1024
MAX_LAYERS = 64  # of a level, and levels: a network takes memory while it is built
"""The largest images a detector may be for, pixels of a side: beyond, one trajectory needs more memory than there is."""


def pipeline_part(folder: Path, name: str) -> Path:
    """Where a pipeline keeps its "unet" or "scheduler": a folder of its own, or, in the oldest ones, the root."""
    part = Path(folder) / name
    return part if part.is_dir() else Path(folder)


def network_part(folder: Path) -> str:
    """Which part of a pipeline folder is asked at every timestep: "unet", or "transformer"."""
    return "transformer" if (Path(folder) / "transformer" / "config.json").is_file() else "unet"


def network_name(folder: Path) -> str:
    """What that part is called in a sentence."""
    part = network_part(folder)
    return CALLED.get(part, part)


def is_latent(folder: Path) -> bool:
    """Whether a pipeline folder's network is one of latents and of text; False where there is none, too."""
    file = Path(folder) / network_part(folder) / "config.json"
    return file.is_file() and read_object(file).get("_class_name") in (CONDITIONAL, TRANSFORMER)


def is_flow(folder: Path) -> bool:
    """Whether a pipeline folder's scheduler is one of flow matching, of whatever kind; False where there is none, too."""
    file = pipeline_part(folder, "scheduler") / "scheduler_config.json"
    return file.is_file() and str(read_object(file).get("_class_name")).startswith("FlowMatch")


def text_parts(folder: Path) -> dict[str, str]:
    """The parts of a latent pipeline folder that read a prompt, as `TEXT_PARTS`.

    The second pair is told by its folder; the third, the large T5, by model_index.json, since SD3 is used without it too.
    """
    flow = network_part(folder) == "transformer"
    kept = {"tokenizer", "text_encoder"}
    if flow or (Path(folder) / "text_encoder_2").is_dir():
        kept |= {"tokenizer_2", "text_encoder_2"}
    index = Path(folder) / "model_index.json"
    named = (read_object(index) if index.is_file() else {}).get("text_encoder_3")
    if flow and named not in (None, [None, None]):
        kept |= {"tokenizer_3", "text_encoder_3"}
    found = {name: kind for name, kind in TEXT_PARTS.items() if name in kept}
    return found | ({"text_encoder": TEXT_PARTS["text_encoder_2"]} if flow else {})


def weighty_parts(folder: Path) -> list[str]:
    """The parts of a pipeline folder that have weights a score depends on, the network first."""
    text = [name for name in text_parts(folder) if name in STEMS]
    return [network_part(folder), *(["vae", *text] if is_latent(folder) else [])]


def network_weights(folder: Path) -> list[Path]:
    """`part_weights` of the network.

    Raises:
        FileNotFoundError: there are none in safetensors.
    """
    return part_weights(folder, network_part(folder))


def part_weights(folder: Path, name: str) -> list[Path]:
    """The weight files of a part in name order: one, or its shards; no variants such as fp16 beside them.

    Raises:
        FileNotFoundError: there are none in safetensors.
    """
    part, stem = pipeline_part(folder, name), STEMS.get(name, WEIGHTS)
    found = sorted([*part.glob(f"{stem}.safetensors"), *part.glob(f"{stem}-*-of-*.safetensors")])
    if not found:
        raise FileNotFoundError(without_weights(folder, [file.name for file in part.iterdir()], name))
    return found


def without_weights(place: str | Path, names: Iterable[str], part: str = "unet") -> str:
    """What to say of a pipeline without weights that can be opened: what there is instead, and the way out.

    Args:
        names: the files of the part.
    """
    names, stem = sorted({PurePath(name).name for name in names}), STEMS.get(part, WEIGHTS)
    said = f"{place} holds no {CALLED.get(part, part)} weights in safetensors ({stem}.safetensors)"
    variants = [name for name in names if name.startswith(f"{stem}.") and name.endswith(".safetensors")]
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
    """Refuse, by its JSON files alone, a folder that holds no diffusion model that can be a detector.

    Returns:
        The configuration of its network, a U-Net or a transformer, as its file has it.

    Raises:
        FileNotFoundError: it holds no U-Net at all.
        ValueError: it holds another kind of model; the text says which.
    """
    config_file = pipeline_part(folder, network_part(folder)) / "config.json"
    if not config_file.is_file():
        raise FileNotFoundError(f"{folder} holds no diffusers U-Net (neither unet/config.json nor config.json)")
    try:
        index_file = Path(folder) / "model_index.json"
        index = read_object(index_file) if index_file.is_file() else {}
        config = read_object(config_file)
    except ValueError as error:
        raise ValueError(f"the {network_name(folder)} in {folder} cannot be loaded: {error}") from error
    kind = config.get("_class_name", "UNet2DModel")
    if kind in (CONDITIONAL, TRANSFORMER):
        check_latent(folder, config)
        return config
    if kind != "UNet2DModel" or network_part(folder) == "transformer":
        raise ValueError(
            f"{folder} holds a {kind!s:.60}; only a UNet2DModel of pixels, a {CONDITIONAL} of latents, or an {TRANSFORMER} of "
            "latents and flow matching can be a detector"
        )
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


def check_latent(folder: Path, config: dict[str, Any]) -> None:
    """Refuse, by its JSON files alone, a latent diffusion pipeline that cannot be a detector.

    Args:
        config: of its network.

    Raises:
        ValueError: a part is missing, or it is of another kind; the text says which.
    """
    vae, parts = part_config(folder, "vae", "AutoencoderKL"), text_parts(folder)
    text = [part_config(folder, name, kind) for name, kind in parts.items() if name in STEMS]
    for name in parts:
        if not (folder / name).is_dir():
            raise ValueError(f"{folder} lacks its {name}: {LATENT_LAYOUT}")
    unfit = _unfit_flow if config["_class_name"] == TRANSFORMER else _unfit_latent
    if reason := unfit(config, vae, text) or _unfit_size(config, vae):
        raise ValueError(f"the {network_name(folder)} in {folder} {reason}")


def part_config(folder: Path, name: str, kind: str) -> dict[str, Any]:
    """config.json of a part of a latent pipeline.

    Raises:
        ValueError: it is missing, no JSON object, or of another class.
    """
    file = Path(folder) / name / "config.json"
    if not file.is_file():
        without = " (or say [null, null] of it in model_index.json, to go without)" if name == "text_encoder_3" else ""
        raise ValueError(f"{folder} lacks its {name} ({name}/config.json){without}: {LATENT_LAYOUT}")
    config = read_object(file)
    found = config.get("_class_name") or (config.get("architectures") or [kind])[0]
    if found != kind:
        raise ValueError(f"the {name} in {folder} is a {found!r:.60}; accepted is a {kind}")
    return config


def _unfit_latent(config: dict[str, Any], vae: dict[str, Any], text: list[dict[str, Any]]) -> str:
    """Why a U-Net of latents cannot be a detector, as the end of a sentence; "" where it can."""
    channels, inputs, outputs = (
        vae.get("latent_channels", 4),
        config.get("in_channels", 4),
        config.get("out_channels", 4),
    )
    if inputs != channels:
        return (
            f"takes {inputs!r:.60} channels, and its VAE makes {channels!r:.60}: a model that is also given a picture or a "
            "mask says nothing of a picture alone"
        )
    if outputs not in (inputs, 2 * inputs):
        return f"predicts {outputs!r:.60} channels; only models that predict the {inputs} of the noise can be detectors"
    told = ("class_embed_type", "num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type", "time_cond_proj_dim")
    if other := [name for name in told if config.get(name)]:
        return f"is told more than a text ({other[0]} {config[other[0]]!r:.60}), which nothing here can tell it"
    if config.get("addition_embed_type") not in (None, "text_time") or bool(config.get("addition_embed_type")) != (
        len(text) == 2
    ):
        return (
            f"has the addition_embed_type {config.get('addition_embed_type')!r:.60} beside {len(text)} text encoders; accepted "
            "are none beside one, and SDXL's 'text_time' beside two"
        )
    width, heard = config.get("cross_attention_dim", 1280), sum(one.get("hidden_size", 512) for one in text)
    if width != heard:
        return f"listens to {width!r:.60} numbers a word (cross_attention_dim), and its text encoders say {heard}"
    return ""


def _unfit_flow(config: dict[str, Any], vae: dict[str, Any], text: list[dict[str, Any]]) -> str:
    """Why a transformer of flow matching cannot be a detector, as the end of a sentence; "" where it can.

    Args:
        text: of two CLIP text encoders, and of a T5 where there is one.
    """
    channels, inputs, outputs = (one.get(name, 16) for one, name in ((vae, "latent_channels"), (config, "in_channels"), (config, "out_channels")))  # fmt: skip
    if not channels == inputs == outputs:
        return (
            f"takes {inputs!r:.60} channels and predicts {outputs!r:.60}, and its VAE makes {channels!r:.60}: only models that "
            "are given the latents alone can be detectors"
        )
    clip, t5 = text[:2], text[2:]
    pooled, said = config.get("pooled_projection_dim", 2048), sum(one.get("projection_dim", 512) for one in clip)
    if pooled != said:
        return f"listens to {pooled!r:.60} numbers of a whole prompt (pooled_projection_dim), and its text encoders say {said}"
    width, heard = config.get("joint_attention_dim", 4096), sum(one.get("hidden_size", 512) for one in clip)
    if type(width) is not int or width < heard or any(one.get("d_model", 512) != width for one in t5):
        words = " and ".join(str(one) for one in (heard, *(one.get("d_model", 512) for one in t5)))
        return f"listens to {width!r:.60} numbers a word (joint_attention_dim), which do not fit the {words} of its text encoders"
    patch, size = config.get("patch_size", 2), config.get("sample_size", 128)
    if type(patch) is not int or patch < 1 or (type(size) is int and size % patch):
        return f"reads patches of {patch!r:.60}, which do not fit its sample_size of {size!r:.60}"
    layers = config.get("num_layers", 18)
    return (
        f"has more than {MAX_LAYERS} layers, the most that are accepted"
        if type(layers) is int and layers > MAX_LAYERS
        else ""
    )


def _unfit_size(config: dict[str, Any], vae: dict[str, Any]) -> str:
    """Why a network of latents is too large or not square, as the end of a sentence; "" where it is neither."""
    factor, size = latent_factor(vae), config.get("sample_size")
    if type(size) is not int or size < 1:
        return f"is not for square images: its sample_size must be a whole number, not {size!r:.60}"
    if size * factor > MAX_SIDE:
        return f"is for images of {size * factor:,} pixels a side; at most {MAX_SIDE:,} are accepted"
    layers, levels = config.get("layers_per_block", 2), config.get("down_block_types") or ()
    if max(layers if type(layers) is int else 0, len(levels)) > MAX_LAYERS:
        return f"has more than {MAX_LAYERS} layers or levels, the most that are accepted"
    return ""


def latent_factor(vae: dict[str, Any]) -> int:
    """How many pixels of a side become one of latents."""
    blocks = vae.get("block_out_channels")
    return int(2 ** (min(len(blocks), MAX_LAYERS) - 1)) if isinstance(blocks, list) and blocks else 1


def check_plain(folder: Path) -> dict[str, Any]:
    """`check_pipeline` for whoever trains a network further, or measures one as it is trained here.

    Raises:
        FileNotFoundError, ValueError: as `check_pipeline`, or it is not an unconditional RGB model.
    """
    config = check_pipeline(folder)
    if is_latent(folder):
        said = "is one of latents"
    elif is_flow(folder):
        said = "is one of flow matching"
    elif classes := config.get("num_class_embeds"):
        said = f"is class-conditional ({classes!r:.60} classes)"
    elif config.get("in_channels", 3) != 3:
        said = f"is for images of {config['in_channels']} channel"
    elif config.get("out_channels", 3) != 3:
        said = f"predicts {config['out_channels']} channels, the noise and its variance"
    else:
        return config
    raise ValueError(
        f"the U-Net in {folder} {said}: it can be a detector, but only an unconditional RGB model that predicts the noise "
        "alone can be trained further here"
    )


def _unfit(config: dict[str, Any]) -> str:
    """Why a U-Net of this configuration cannot be a detector, as the end of a sentence; "" where it can."""
    inputs, outputs, classes = (config.get(name, 3) for name in ("in_channels", "out_channels", "num_class_embeds"))
    if kind := config.get("class_embed_type"):
        return (
            f"is told more than a class by its number (class_embed_type {kind!r:.60}); only models without classes, or with "
            "num_class_embeds of them, can be detectors"
        )
    if config.get("num_class_embeds") and (type(classes) is not int or classes < 1):
        return f"has no whole number of classes: num_class_embeds is {classes!r:.60}"
    if inputs not in (1, 3):
        return f"is for images of {inputs!r:.60} channels; only RGB models, of 3, and grey ones, of 1, can be detectors"
    if outputs not in (inputs, 2 * inputs):
        return (
            f"predicts {outputs!r:.60} channels; only models that predict the {inputs} of the noise, or those and as many of "
            "its variance, can be detectors"
        )
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


def check_shards(index: Path) -> list[Path]:
    """The weight files that an index names, or the one file there is without an index.

    Raises:
        ValueError: it names anything but safetensors files beside it; nothing was opened.
    """
    if not index.is_file():
        return [index.with_name(index.name.removesuffix(".index.json"))]
    try:
        names = set(read_json(index)["weight_map"].values())
        bad = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{index} cannot be loaded: it is no index of weights") from error
    if bad:
        raise ValueError(f"{index} cannot be loaded: {bad[0]!r} is not a safetensors file beside it")
    return [index.with_name(name) for name in sorted(names)]

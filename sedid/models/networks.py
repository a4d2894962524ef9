"""Networks, and the one policy for where and how precisely they run.

U-Nets are diffusers' `UNet2DModel`, the classifier is torchvision's `resnet18`. diffusers and torchvision
take seconds to import, so they are imported where they are first needed.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from sedid import processes
from sedid.errors import first_line
from sedid.method.diffusion import EpsModel, NoiseSchedule
from sedid.storage import read_json, read_object, stored_tensors

if TYPE_CHECKING:
    from diffusers import DDPMScheduler
    from diffusers.models import UNet2DModel

WEIGHTS = "diffusion_pytorch_model"
"""What diffusers calls a U-Net's weight files."""
MAX_TIMESTEPS = 100_000
MAX_SIDE = 1024
MAX_LAYERS = 64  # of a level, and levels: a network takes memory while it is built
"""The largest images a detector may be for, pixels of a side: beyond, one trajectory needs more memory than there is."""

_SHARED: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,  # one head over all channels (Ho et al. 2020); diffusers' own default is heads of 8
}

UNetName = Literal["demo", "small", "paper"]
UNETS: dict[str, dict[str, Any]] = {
    # 0.7 M parameters: minutes on two cores
    "demo": _SHARED | {"block_out_channels": (16, 32, 48, 48), "layers_per_block": 1, "norm_num_groups": 8},
    # 9.4 M parameters, 1.7 GFLOP an evaluation: the shipped detector
    "small": _SHARED | {"block_out_channels": (48, 96, 192, 192), "layers_per_block": 1, "norm_num_groups": 12},
    # 35.7 M parameters, 12.1 GFLOP an evaluation: the paper (Ho et al. 2020 for CIFAR-10)
    "paper": _SHARED
    | {
        "block_out_channels": (128, 256, 256, 256),
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "dropout": 0.1,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "norm_eps": 1e-6,
    },
}


@dataclass(frozen=True)
class Runtime:
    """Where and how networks run.

    Attributes:
        device: "cuda", "mps" or "cpu".
        precision: "fp32", or "bf16" for autocast of the network alone; t-errors are always fp32.
        compile: run U-Nets through torch.compile (a minute to warm up, then faster).
    """

    device: torch.device
    precision: str = "fp32"
    compile: bool = False

    @classmethod
    def choose(cls, device: str = "auto", precision: str = "fp32", compile: bool = False) -> "Runtime":
        """Pick the best device present, or check the one asked for; of several processes, each takes its own.

        Raises:
            ValueError: unknown or absent device, unknown precision, or more processes than GPUs.
        """
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"unknown precision {precision!r}; accepted: fp32, bf16")
        if processes.count() > 1:
            return cls(processes.join(device), precision, compile)
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        if device == "auto":
            device = next(name for name, present in available.items() if present)
        kind = device.split(":")[0]
        if kind not in available:
            raise ValueError(f"unknown device {device!r}; accepted: auto, {', '.join(available)}")
        if not available[kind]:
            raise ValueError(f"device {device!r} is not available on this machine")
        return cls(torch.device(device), precision, compile)

    def autocast(self) -> torch.autocast:
        """The context in which networks (and only networks) are called."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device, in channels_last (faster convolutions on every backend)."""
        placed: nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed


def make_unet(name: str) -> "UNet2DModel":
    """A freshly initialised U-Net by preset name: demo, small or paper.

    The paper's starts its last layers at zero (`start_at_zero`); everything else starts as PyTorch has it.

    Raises:
        ValueError: unknown name.
    """
    from diffusers.models import UNet2DModel

    if name not in UNETS:
        raise ValueError(f"unknown U-Net {name!r}; accepted: {', '.join(UNETS)}")
    unet: UNet2DModel = UNet2DModel(**UNETS[name])
    if name == "paper":
        start_at_zero(unet)
    return unet


@torch.no_grad()
def start_at_zero(unet: nn.Module) -> None:
    """Let every residual block and every attention begin as the identity, and the whole U-Net as 0, as Ho et al. 2020 do.

    The second convolution of each block, the projection that leaves each attention, and the last convolution are zero.
    """
    from diffusers.models.attention_processor import Attention
    from diffusers.models.resnet import ResnetBlock2D

    last: list[Any] = [unet.conv_out]
    last += [layer.conv2 for layer in unet.modules() if isinstance(layer, ResnetBlock2D)]
    last += [layer.to_out[0] for layer in unet.modules() if isinstance(layer, Attention)]
    for layer in last:
        layer.weight.zero_()
        layer.bias.zero_()


def about_unet(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a `UNet2DModel` is, by its configuration: what a run and a detector say of their network.

    Returns:
        unet: the preset it is, at whatever image size; "own" if none. parameters: how many. dropout.
    """
    from diffusers.models import UNet2DModel

    accepted = inspect.signature(UNet2DModel.__init__).parameters.values()
    defaults = {one.name: one.default for one in accepted if one.name not in ("self", "sample_size")}

    def whole(settings: Mapping[str, Any]) -> str:
        return json.dumps({name: settings.get(name, default) for name, default in defaults.items()})

    same = [name for name, preset in UNETS.items() if whole(preset) == whole(config)]
    with torch.device("meta"):  # shapes alone
        unet: Any = UNet2DModel(**{name: config.get(name, default) for name, default in defaults.items()})
    count = sum(parameter.numel() for parameter in unet.parameters())
    return {"unet": same[0] if same else "own", "parameters": count, "dropout": config.get("dropout", 0.0)}


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


def architecture(unet: Any) -> str:
    """The configuration of a `UNet2DModel` as JSON: `UNet2DModel(**json.loads(...))` makes another like it."""
    return json.dumps({name: value for name, value in unet.config.items() if not name.startswith("_")}, sort_keys=True)


def load_unet(folder: Path) -> "UNet2DModel":
    """The U-Net of a diffusers pipeline folder, in float32.

    Raises:
        FileNotFoundError: the folder holds no U-Net, or none in safetensors.
        ValueError: it is not an unconditional RGB U-Net for square images.
    """
    from diffusers.models import UNet2DModel

    config = check_pipeline(folder)
    part = pipeline_part(folder, "unet")
    files = unet_weights(folder)
    check_shards(part / f"{WEIGHTS}.safetensors.index.json")
    if reason := _why_not(config, files):  # before memory is taken for whatever the configuration asks for
        raise ValueError(f"the U-Net in {folder} {reason}")
    try:
        with silent():
            unet, found = UNet2DModel.from_pretrained(
                part, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    except Exception as error:  # diffusers raises nearly anything
        raise ValueError(f"the U-Net in {folder} cannot be loaded: {first_line(error)}") from error
    if found["missing_keys"]:  # diffusers fills them with random numbers and only warns
        raise ValueError(
            f"the U-Net in {folder} lacks weights that its config.json asks for: {_some(found['missing_keys'])}"
        )
    if found["unexpected_keys"]:  # another network than the one that was trained
        raise ValueError(
            f"the U-Net in {folder} holds weights that its config.json has no place for: {_some(found['unexpected_keys'])}"
        )
    if not all_finite(unet.float()):
        raise ValueError(f"the U-Net in {folder} has weights that are not finite numbers (NaN or infinity)")
    loaded: UNet2DModel = unet.eval()
    return loaded


@contextmanager
def silent() -> Iterator[None]:
    """Keep diffusers from printing its own advice before our sentence."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _why_not(config: dict[str, Any], files: list[Path]) -> str:
    """Why weights cannot be loaded into the network that a configuration describes, as the end of a sentence.

    It is "" if that cannot be told.
    """
    from diffusers.models import UNet2DModel

    try:
        with silent(), torch.device("meta"):
            made: Any = UNet2DModel.from_config(config)
    except ValueError as error:
        return f"cannot be loaded: {first_line(error)}"
    except Exception:  # diffusers raises nearly anything on bad configurations
        return "cannot be loaded: its config.json holds values that no UNet2DModel has"
    expected = {name: list(values.shape) for name, values in made.state_dict().items()}
    for file in files:
        try:
            with stored_tensors(file) as stored:
                shapes = {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118
        except ValueError as error:
            return f"cannot be loaded: {error}"
        for name, shape in shapes.items():
            if shape != expected.get(name, shape):
                return (
                    "does not fit its config.json, which belongs to another network: its weight "
                    f"{name} has the shape {shape}, and the configuration makes {expected[name]}"
                )
    return ""


def all_finite(network: nn.Module) -> bool:
    """Whether every weight of a float32 network is a finite number."""
    # a sum is finite only where all its parts are, and takes a third of the time of asking each
    return all(isfinite(values.sum().item()) for values in network.state_dict().values())


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


def make_scheduler() -> "DDPMScheduler":
    """The paper's noise schedule as a diffusers scheduler: T = 1000, linear betas 1e-4 to 0.02, eps prediction."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, variance_type="fixed_large")


def load_scheduler(folder: Path) -> Any:
    """The scheduler of a diffusers pipeline folder, of whatever class, as a `DDPMScheduler`: the betas are the same.

    Raises:
        ValueError: its file is missing or holds no betas, or the model does not predict eps.
    """
    from diffusers import DDPMScheduler

    part = pipeline_part(folder, "scheduler")
    try:
        config = read_object(part / "scheduler_config.json")
        if "beta_schedule" not in config and not config.get("trained_betas"):  # diffusers would fill in its own
            raise ValueError(f"a {config.get('_class_name')} has no betas, so it is no DDPM noise schedule")
        steps = config.get("num_train_timesteps", 1000)
        if type(steps) not in (int, float) or steps % 1 or not 2 <= steps <= MAX_TIMESTEPS:
            raise ValueError(
                f"num_train_timesteps must be a whole number between 2 and {MAX_TIMESTEPS:,}, not {steps!r:.60}"
            )
        config["num_train_timesteps"] = int(steps)  # 1000.0 in some files
        predicts = config.get("prediction_type", "epsilon")
        predicts = "sample" if config.get("predict_epsilon") is False else predicts  # its name in old files
        scheduler = DDPMScheduler.from_config(config)
    except ValueError as error:
        raise ValueError(f"the scheduler in {folder} cannot be loaded: {first_line(error)}") from error
    except Exception as error:  # diffusers raises nearly anything on bad configurations
        raise ValueError(
            f"the scheduler in {folder} cannot be loaded: its configuration holds values that no DDPMScheduler has"
        ) from error
    if predicts != "epsilon":
        raise ValueError(
            f"the model in {folder} predicts {predicts!r:.60}; SeDID needs 'epsilon', the noise: choose a checkpoint that was "
            "trained with that prediction_type (writing it into the file would not change what this one learned)"
        )
    if config.get("rescale_betas_zero_snr"):
        raise ValueError(
            f"the noise schedule in {folder} ends in pure noise (rescale_betas_zero_snr), where nothing of the image is left "
            "to step back to: choose a checkpoint that was trained without it"
        )
    return scheduler


def load_schedule(folder: Path) -> NoiseSchedule:
    """The noise schedule of a diffusers pipeline folder: a checkpoint's own schedule always wins.

    Raises:
        ValueError: as `load_scheduler`, or the betas do not lie between 0 and 1.
    """
    scheduler = load_scheduler(folder)
    try:
        return NoiseSchedule.from_betas(scheduler.betas)
    except ValueError as error:
        raise ValueError(f"the noise schedule in {folder} cannot be used: {error}") from error


FOLD_FROM = 8  # images in a batch; below, building the kernels costs more than they save


def fold_upsampling(unet: nn.Module) -> None:
    """Let a U-Net's upsampling layers, in inference on batches, run as one transposed convolution each.

    Doubling every pixel and then a 3x3 convolution is exactly a 4x4 transposed convolution of stride 2 whose kernel
    is the 3x3 one spread over the doubled pixels: 4 multiplications an output value where there were 9. The U-Net
    of the shipped detector gains about 7 % on a CPU. (Training would lose: the gradient has no fast kernel.)
    """
    from diffusers.models.upsampling import Upsample2D

    def spread(kernel: Tensor, dim: int) -> Tensor:
        a, b, c = kernel.unbind(dim)
        return torch.stack((c, c + b, b + a, a), dim)

    def folded(layer: Any) -> Callable[..., Tensor]:
        plain: Callable[..., Tensor] = layer.forward

        def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if layer.training or len(x) < FOLD_FROM or args or any(kwargs.values()):  # another output size
                return plain(x, *args, **kwargs)
            kernel = spread(spread(layer.conv.weight, 2), 3).transpose(0, 1)
            return nn.functional.conv_transpose2d(x, kernel, layer.conv.bias, stride=2, padding=1)

        return forward

    for layer in unet.modules():
        if not isinstance(layer, Upsample2D) or "forward" in vars(layer):
            continue
        convolution = getattr(layer, "conv", None)  # none in some block types: those stay as they are
        if layer.interpolate and isinstance(convolution, nn.Conv2d) and convolution.kernel_size == (3, 3):
            layer.forward = folded(layer)  # type: ignore[method-assign]


def eps_model(unet: Callable[..., Any], runtime: Runtime) -> EpsModel:
    """Wrap a U-Net as eps_theta(x, t): inference mode, the runtime's precision inside, float32 outside."""
    if runtime.device.type == "cpu" and isinstance(unet, nn.Module):
        fold_upsampling(unet)
    network = torch.compile(unet) if runtime.compile else unet

    @torch.inference_mode()
    def predict(x: Tensor, t: int | Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with runtime.autocast():
            # a tensor, so that torch.compile does not build one graph a timestep; (B,) for rows at timesteps of their own
            eps: Tensor = network(x, torch.as_tensor(t, device=x.device)).sample
        return eps.float()

    return predict


def make_resnet18(in_channels: int) -> nn.Module:
    """ResNet-18 for 32x32 inputs: 3x3 stride-1 stem, no max-pool, one logit (positive = generated)."""
    from torchvision.models import resnet18

    network: nn.Module = resnet18(num_classes=1)
    network.conv1 = nn.Conv2d(in_channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network

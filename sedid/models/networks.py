"""Networks, and the one policy for where and how precisely they run.

U-Nets are diffusers' `UNet2DModel`, the classifier is torchvision's `resnet18`. diffusers and torchvision
take seconds to import, so they are imported where they are first needed.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sedid import processes, settings
from sedid.errors import first_line
from sedid.later import torch
from sedid.method.diffusion import EpsModel
from sedid.models import memory
from sedid.models.folders import (
    CONDITIONAL,
    TRANSFORMER,
    check_pipeline,
    check_plain,
    check_shards,
    network_name,
    network_part,
    network_weights,
    pipeline_part,
)
from sedid.storage import read_object, stored_tensors

if TYPE_CHECKING:
    from diffusers.models import UNet2DModel
    from torch import Tensor

_SHARED: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,  # one head over all channels (Ho et al. 2020); diffusers' own default is heads of 8
}

UNetName = Literal["tiny", "demo", "small", "paper"]
UNETS: dict[str, dict[str, Any]] = {
    # 0.4 M parameters, images of 16 x 16 pixels: sees every image of a small set a thousand times in minutes
    "tiny": _SHARED
    | {
        "sample_size": 16,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (16, 32, 48),
        "layers_per_block": 1,
        "norm_num_groups": 8,
    },
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
        memory: how memory of the device is saved (`memory.settle`).
    """

    device: torch.device
    precision: str = "fp32"
    compile: bool = False
    memory: frozenset[settings.Saving] = frozenset()

    @classmethod
    def choose(cls, device: str = "auto", precision: str = "fp32", compile: bool = False) -> Runtime:
        """Pick the best device present, or check the one asked for; of several processes, each takes its own.

        How memory is saved, the environment says (`settings.Settings.memory`).

        Raises:
            ValueError: unknown or absent device, unknown precision, or more processes than GPUs.
        """
        saving = settings.read().memory
        if compile and "layers" in saving:
            raise ValueError("a compiled network stays on its device: take compile, or layers out of SEDID_MEMORY")
        if precision not in ("fp32", "bf16"):
            raise ValueError(f"unknown precision {precision!r}; accepted: fp32, bf16")
        if processes.count() > 1:
            return cls(processes.join(device), precision, compile, saving)
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        if device == "auto":
            device = next(name for name, present in available.items() if present)
        kind = device.split(":")[0]
        if kind not in available:
            raise ValueError(f"unknown device {device!r}; accepted: auto, {', '.join(available)}")
        if not available[kind]:
            raise ValueError(f"device {device!r} is not available on this machine")
        return cls(torch.device(device), precision, compile, saving)

    def autocast(self) -> torch.autocast:
        """The context in which networks (and only networks) are called."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def place(self, network: torch.nn.Module) -> torch.nn.Module:
        """Move a network to the device, in channels_last (faster convolutions on every backend)."""
        placed: torch.nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed


def make_unet(name: str) -> UNet2DModel:
    """A freshly initialised U-Net by preset name: one of UNETS.

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


def start_at_zero(unet: torch.nn.Module) -> None:
    """Let every residual block and every attention begin as the identity, and the whole U-Net as 0, as Ho et al. 2020 do.

    The second convolution of each block, the projection that leaves each attention, and the last convolution are zero.
    """
    from diffusers.models.attention_processor import Attention
    from diffusers.models.resnet import ResnetBlock2D

    last: list[Any] = [unet.conv_out]
    last += [layer.conv2 for layer in unet.modules() if isinstance(layer, ResnetBlock2D)]
    last += [layer.to_out[0] for layer in unet.modules() if isinstance(layer, Attention)]
    with torch.no_grad():
        for layer in last:
            layer.weight.zero_()
            layer.bias.zero_()


def set_dropout(unet: Any, share: float) -> None:
    """Let every residual block of a `UNet2DModel` drop this share of its activations while it is trained."""
    from diffusers.models.resnet import ResnetBlock2D

    for layer in unet.modules():
        if isinstance(layer, ResnetBlock2D):
            layer.dropout.p = share
    unet.register_to_config(dropout=share)


def parameter_count(network: torch.nn.Module) -> int:
    """How many numbers a network has learned."""
    return sum(values.numel() for values in network.parameters())


def about_unet(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a U-Net is, by its configuration: what a run and a detector say of their network.

    Returns:
        unet: the preset a `UNet2DModel` is, at whatever image size and dropout; "own" if none. parameters: how many. dropout.
    """
    from diffusers.models import UNet2DConditionModel, UNet2DModel

    if "cross_attention_dim" in config:
        with torch.device("meta"):
            told: Any = UNet2DConditionModel(**{name: config[name] for name in config if not name.startswith("_")})
        return {
            "parameters": parameter_count(told),
            "dropout": config.get("dropout", 0.0),
        }

    accepted = inspect.signature(UNet2DModel.__init__).parameters.values()
    defaults = {one.name: one.default for one in accepted if one.name not in ("self", "sample_size")}

    def whole(settings: Mapping[str, Any]) -> str:
        return json.dumps(
            {name: settings.get(name, default) for name, default in defaults.items() if name != "dropout"}
        )

    same = [name for name, preset in UNETS.items() if whole(preset) == whole(config)]
    with torch.device("meta"):  # shapes alone
        unet: Any = UNet2DModel(**{name: config.get(name, default) for name, default in defaults.items()})
    count = parameter_count(unet)
    return {"unet": same[0] if same else "own", "parameters": count, "dropout": config.get("dropout", 0.0)}


def architecture(unet: Any) -> str:
    """The configuration of a `UNet2DModel` as JSON: `UNet2DModel(**json.loads(...))` makes another like it."""
    return json.dumps({name: value for name, value in unet.config.items() if not name.startswith("_")}, sort_keys=True)


def load_unet(folder: Path) -> UNet2DModel:
    """The U-Net of a diffusers pipeline folder, in float32, of the kind that is trained here.

    Raises:
        FileNotFoundError: the folder holds no U-Net, or none in safetensors.
        ValueError: it is not an unconditional RGB U-Net for square images, or cannot be loaded.
    """
    check_plain(folder)
    loaded: UNet2DModel = load_network(folder)
    return loaded


def load_network(folder: Path) -> Any:
    """The network of a pipeline folder that may be a detector, a U-Net or a transformer (`check_pipeline`), in float32.

    Raises:
        FileNotFoundError, ValueError: as `check_pipeline` and `load_part`.
    """
    import diffusers

    config = check_pipeline(folder)
    kinds = {CONDITIONAL: diffusers.UNet2DConditionModel, TRANSFORMER: diffusers.SD3Transformer2DModel}
    kind, part = kinds.get(config.get("_class_name", ""), diffusers.UNet2DModel), network_part(folder)
    return load_part(kind, folder, pipeline_part(folder, part), network_weights(folder), network_name(folder))


def asked_as_unet(network: Any) -> Callable[..., Any]:
    """How `eps_model` asks a network: a transformer, too, by x and t, t one for all rows or one of each."""
    if type(network).__name__ != TRANSFORMER:
        asked: Callable[..., Any] = network
        return asked
    return lambda x, t, **told: network(x, timestep=t.expand(len(x)), **told)


def load_part(kind: Any, folder: Path, part: Path, files: list[Path], called: str) -> Any:
    """A network of a pipeline folder, in float32 and evaluation mode.

    Args:
        kind: its class, of diffusers or transformers.
        part: the folder with its config.json.
        files: its weights.
        called: in messages.

    Raises:
        ValueError: it cannot be loaded, or not with exactly these weights; the text says why.
    """
    check_shards(part / f"{files[0].name.partition('-')[0].partition('.')[0]}.safetensors.index.json")
    if reason := _why_not(kind, part, files):  # before memory is taken for whatever the configuration asks for
        raise ValueError(f"the {called} in {folder} {reason}")
    try:
        with silent():
            network, found = kind.from_pretrained(
                part, use_safetensors=True, local_files_only=True, output_loading_info=True
            )
    except Exception as error:  # diffusers raises nearly anything
        raise ValueError(f"the {called} in {folder} cannot be loaded: {first_line(error)}") from error
    if found["missing_keys"]:  # diffusers fills them with random numbers and only warns
        raise ValueError(
            f"the {called} in {folder} lacks weights that its config.json asks for: {_some(found['missing_keys'])}"
        )
    # older text encoders keep the numbers of the positions among their weights
    if unexpected := [name for name in found["unexpected_keys"] if not name.endswith(".position_ids")]:
        raise ValueError(  # another network than the one that was trained
            f"the {called} in {folder} holds weights that its config.json has no place for: {_some(unexpected)}"
        )
    if not all_finite(network.float()):
        raise ValueError(f"the {called} in {folder} has weights that are not finite numbers (NaN or infinity)")
    return network.eval()


@contextmanager
def silent() -> Iterator[None]:
    """Keep diffusers and transformers from printing their own advice before our sentence."""
    from diffusers.utils import logging

    loggers = [logging]
    if "transformers" in sys.modules:
        from transformers.utils import logging as of_transformers

        of_transformers.disable_progress_bar()
        loggers.append(of_transformers)
    before = [one.get_verbosity() for one in loggers]
    for one in loggers:
        one.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.set_verbosity(level)


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _why_not(kind: Any, part: Path, files: list[Path]) -> str:
    """Why weights cannot be loaded into the network that a configuration describes, as the end of a sentence.

    It is "" if that cannot be told.
    """
    try:
        config = read_object(part / "config.json")
        with silent(), torch.device("meta"):
            made: Any = kind.from_config(config) if hasattr(kind, "from_config") else kind(kind.config_class(**config))
    except ValueError as error:
        return f"cannot be loaded: {first_line(error)}"
    except Exception:  # diffusers raises nearly anything on bad configurations
        return f"cannot be loaded: its config.json holds values that no {kind.__name__} has"
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


def all_finite(network: torch.nn.Module) -> bool:
    """Whether every weight of a float32 network is a finite number."""
    # a sum is finite only where all its parts are, and takes a third of the time of asking each
    return all(isfinite(values.sum().item()) for values in network.state_dict().values())


FOLD_FROM = 8  # images in a batch; below, building the kernels costs more than they save


def fold_upsampling(unet: torch.nn.Module) -> None:
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
            return torch.nn.functional.conv_transpose2d(x, kernel, layer.conv.bias, stride=2, padding=1)

        return forward

    for layer in unet.modules():
        if not isinstance(layer, Upsample2D) or "forward" in vars(layer):
            continue
        convolution = getattr(layer, "conv", None)  # none in some block types: those stay as they are
        if layer.interpolate and isinstance(convolution, torch.nn.Conv2d) and convolution.kernel_size == (3, 3):
            layer.forward = folded(layer)  # type: ignore[method-assign]


PIXELS_AT_ONCE = 2**20  # of all rows together: 1,024 pictures of 32 pixels a side, or 4 of 512


@dataclass(frozen=True)
class Told:
    """What a conditional network is told besides x_t and t.

    Attributes:
        arguments: of its forward, by name: tensors of one row, or of as many as x has; or such tensors by name.
        empty: the same for the empty condition, which guidance asks for.
        guidance: w of classifier-free guidance, said(empty) + w (said(C) - said(empty)), which takes two evaluations;
            1 is the condition alone, for one.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    empty: Mapping[str, Any] = field(default_factory=dict)
    guidance: float = 1.0


def eps_model(
    unet: Callable[..., Any], runtime: Runtime, told: Told | None = None, pixels: int = PIXELS_AT_ONCE
) -> EpsModel:
    """Wrap a U-Net as eps_theta(x, t): inference mode, the runtime's precision inside, that of x (float32) outside.

    Of a network that predicts something else it gives that (`opening.Model.eps` has the noise). It has as many channels
    as x: where the variance is learned too, it follows them.

    Args:
        pixels: that it is asked at once, rows times height times width: so its memory is bounded. A device that tells how much
            memory it has left is asked as many rows as fit there (`memory.rows_that_fit`), up to PIXELS_AT_ONCE.
    """
    if runtime.device.type == "cpu" and isinstance(unet, torch.nn.Module) and not memory.waits(runtime, seldom=False):
        fold_upsampling(unet)
    network = torch.compile(unet) if runtime.compile else unet
    told = told or Told()
    taken: dict[torch.Size, int] = {}  # by one row, once for each shape

    @torch.inference_mode()
    def predict(x: Tensor, t: int | Tensor) -> Tensor:
        rows, height_by_width = len(x), x.shape[-1] * x.shape[-2]
        x = x.contiguous(memory_format=torch.channels_last)
        # a tensor, so that torch.compile does not build one graph a timestep; (B,) for rows at timesteps of their own
        t = torch.as_tensor(t, device=x.device)

        def ask(part: slice, arguments: Mapping[str, Any]) -> Tensor:
            at = t if t.ndim == 0 else t[part]
            own = _rows(arguments, x.device, part, rows)
            with runtime.autocast():
                said: Tensor = network(x[part], at, **own).sample
            return said[:, : x.shape[1]].to(x.dtype)

        found = []
        most = max(1, pixels // height_by_width)
        if rows > 1 and (free := memory.free_bytes(x.device)) is not None:
            if x.shape[1:] not in taken:
                taken[x.shape[1:]] = memory.bytes_taken(x.device, lambda: ask(slice(0, 1), told.arguments))
            most = memory.rows_that_fit(PIXELS_AT_ONCE // height_by_width, free, taken[x.shape[1:]])
        for start in range(0, rows, most):
            part = slice(start, start + most)
            said = ask(part, told.arguments)
            if told.guidance != 1:
                empty = ask(part, told.empty)
                said = empty + told.guidance * (said - empty)
            found.append(said)
        return found[0] if len(found) == 1 else torch.cat(found)

    return predict


def _rows(arguments: Mapping[str, Any], device: torch.device, part: slice, rows: int) -> dict[str, Any]:
    """Arguments of a network for some rows of a batch: those of one row are repeated."""

    def cut(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: cut(one) for name, one in value.items()}
        return value.to(device).expand(rows, *value.shape[1:])[part]

    return {name: cut(value) for name, value in arguments.items()}


def make_resnet18(in_channels: int) -> torch.nn.Module:
    """ResNet-18 for 32x32 inputs: 3x3 stride-1 stem, no max-pool, one logit (positive = generated)."""
    from torchvision.models import resnet18

    network: torch.nn.Module = resnet18(num_classes=1)
    network.conv1 = torch.nn.Conv2d(in_channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    network.maxpool = torch.nn.Identity()
    return network

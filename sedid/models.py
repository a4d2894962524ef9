"""Networks, and the one policy for where and how precisely they run.

U-Nets are diffusers' `UNet2DModel`, the classifier is torchvision's `resnet18`. diffusers and torchvision
take seconds to import, so they are imported where they are first needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sedid import processes
from sedid.diffusion import EpsModel, NoiseSchedule

if TYPE_CHECKING:
    from diffusers import DDPMScheduler
    from diffusers.models import UNet2DModel

_SHARED: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
}

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
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def make_unet(name: str) -> "UNet2DModel":
    """A freshly initialised U-Net by preset name: demo, small or paper.

    Raises:
        ValueError: unknown name.
    """
    from diffusers.models import UNet2DModel

    if name not in UNETS:
        raise ValueError(f"unknown U-Net {name!r}; accepted: {', '.join(UNETS)}")
    return UNet2DModel(**UNETS[name])


def load_unet(folder: Path) -> "UNet2DModel":
    """The U-Net of a diffusers pipeline folder, in float32.

    Raises:
        FileNotFoundError: the folder holds no `unet/`.
        ValueError: it is not an unconditional RGB U-Net with weights in safetensors.
    """
    from diffusers.models import UNet2DModel

    if not (Path(folder) / "unet" / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no diffusers U-Net (unet/config.json is missing)")
    try:
        unet, found = UNet2DModel.from_pretrained(
            Path(folder) / "unet", use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ValueError(f"the U-Net in {folder} cannot be loaded: {error}") from error
    if found["missing_keys"]:  # diffusers fills them with random numbers and only warns
        raise ValueError(f"the U-Net in {folder} lacks weights: {', '.join(sorted(found['missing_keys'])[:3])}, ...")
    if (
        unet.config.in_channels != 3
        or unet.config.out_channels != 3
        or unet.config.class_embed_type
        or unet.config.num_class_embeds
    ):
        raise ValueError(f"the U-Net in {folder} is not an unconditional RGB model")
    return unet.float().eval()


def make_scheduler() -> "DDPMScheduler":
    """The paper's noise schedule as a diffusers scheduler: T = 1000, linear betas 1e-4 to 0.02, eps prediction."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, variance_type="fixed_large")


def load_schedule(folder: Path) -> NoiseSchedule:
    """The noise schedule of a diffusers pipeline folder: a checkpoint's own schedule always wins.

    Raises:
        ValueError: the scheduler does not predict eps, or its file is missing.
    """
    from diffusers import DDPMScheduler

    try:
        scheduler = DDPMScheduler.from_pretrained(Path(folder) / "scheduler", local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"the scheduler in {folder} cannot be loaded: {error}") from error
    if scheduler.config.prediction_type != "epsilon":
        raise ValueError(f"the model in {folder} predicts {scheduler.config.prediction_type!r}; SeDID needs 'epsilon'")
    return NoiseSchedule.from_betas(scheduler.betas)


def eps_model(unet: Callable[..., Any], runtime: Runtime) -> EpsModel:
    """Wrap a U-Net as eps_theta(x, t): inference mode, the runtime's precision inside, float32 outside."""
    network = torch.compile(unet) if runtime.compile else unet

    @torch.inference_mode()
    def predict(x: Tensor, t: int) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with runtime.autocast():
            # a tensor, so that torch.compile does not build one graph a timestep
            return network(x, torch.tensor(t, device=x.device)).sample.float()

    return predict


def make_resnet18(in_channels: int) -> nn.Module:
    """ResNet-18 for 32x32 inputs: 3x3 stride-1 stem, no max-pool, one logit (positive = generated)."""
    from torchvision.models import resnet18

    network = resnet18(num_classes=1)
    network.conv1 = nn.Conv2d(in_channels, 64, kernel_size=3, stride=1, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network

"""Sample grids of a network in training: the same noise each time, so that the pictures can be compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sedid.data.datasets import grid_of
from sedid.models.networks import Runtime, eps_model
from sedid.models.schedules import make_scheduler
from sedid.progress import finish
from sedid.storage import replacing
from sedid.training.generate import make_sampler, sample, to_uint8

STEPS = 20  # of DDIM


@contextmanager
def averaged(unet: nn.Module, ema: dict[str, Tensor]) -> Iterator[nn.Module]:
    """The network with its averaged weights, in evaluation mode; the live ones return afterwards, bit for bit."""
    live = {name: value.detach().clone() for name, value in unet.state_dict().items()}
    unet.load_state_dict(ema)
    try:
        yield unet.eval()
    finally:
        unet.load_state_dict(live)
        unet.train()


def write_grid(unet: nn.Module, file: Path, count: int, runtime: Runtime) -> None:
    """Generate `count` images with DDIM and write them as one square grid, a PNG file.

    The noise has its own generators: no draw of the training changes.
    """
    from PIL import Image

    # of a copy, since what makes evaluations faster stays with the network; compiling would take longer than it saves
    network: Any = deepcopy(unet)
    eps = eps_model(network, replace(runtime, compile=False))
    sampler = make_sampler("ddim", make_scheduler(), STEPS)
    x_0 = finish(sample(eps, sampler, network.config.sample_size, range(count), 0, runtime.device))
    with replacing(file) as temporary:
        Image.fromarray(grid_of(to_uint8(x_0))).save(temporary)

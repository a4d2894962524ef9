"""Sample grids of a network in training: the same noise each time, so that the pictures can be compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

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


def grid_of(images: np.ndarray) -> np.ndarray:
    """One square picture of all images, uint8 (N, H, W, 3) -> (rows * H, columns * W, 3); places left over are black."""
    count, height, width, _ = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    grid = np.zeros((rows * columns, height, width, 3), np.uint8)
    grid[:count] = images
    return grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)


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

"""Sample grids of a network in training: the same noise each time, so that the pictures can be compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from sedid.loops.generate import sample
from sedid.models import Runtime, make_scheduler
from sedid.progress import finish
from sedid.storage import replacing

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
    from diffusers import DDIMScheduler
    from PIL import Image

    trained_on: Any = make_scheduler()
    scheduler = DDIMScheduler.from_config(trained_on.config, timestep_spacing="trailing")
    scheduler.set_timesteps(STEPS)
    images = finish(sample(unet, scheduler, range(count), 0, runtime))
    with replacing(file) as temporary:
        Image.fromarray(grid_of(images)).save(temporary)

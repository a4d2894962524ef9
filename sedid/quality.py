"""How like real images generated ones look, without a pretrained network: the sliced Wasserstein distance of patches
(Karras et al. 2018, "Progressive Growing of GANs", section 5), and contrast.

The images become a Laplacian pyramid; at each level 7x7 patches are drawn, and the two clouds of patches are compared
by the mean difference of their sorted projections on random directions. The level of 32 pixels holds detail and noise,
that of 16 shapes, colours and contrast. One change: both clouds are standardised by the REFERENCE's mean and deviation
in each colour, not each by its own, so that wrong colours and contrast count.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

PATCH = 7
PATCHES = 64  # of each image and level
DIRECTIONS = 512
SMALLEST = 16
"""The side at which the pyramid ends."""


def pyramid(x: Tensor) -> list[Tensor]:
    """Laplacian pyramid of (N, C, H, W), finest level first; the last level is what is left at SMALLEST pixels."""
    levels = []
    while x.shape[-1] // 2 >= SMALLEST:
        small = functional.avg_pool2d(x, 2)
        levels.append(x - functional.interpolate(small, scale_factor=2, mode="bilinear"))
        x = small
    return [*levels, x]


def patches(level: Tensor, generator: torch.Generator) -> Tensor:
    """PATCHES random patches of every image of a level, (N * PATCHES, C, PATCH, PATCH)."""
    count, _, height, width = level.shape
    image = torch.arange(count).repeat_interleave(PATCHES)[:, None, None]
    offset = torch.arange(PATCH)
    top = torch.randint(height - PATCH + 1, (len(image),), generator=generator)[:, None] + offset
    left = torch.randint(width - PATCH + 1, (len(image),), generator=generator)[:, None] + offset
    return level.permute(0, 2, 3, 1)[image, top[:, :, None], left[:, None, :]].permute(0, 3, 1, 2)


def sliced_wasserstein(reference: np.ndarray, images: np.ndarray, seed: int = 0) -> dict[int, float]:
    """Distance of two sets of images by level, side in pixels -> 1,000 times the distance; 0 for equal sets.

    Two halves of one set of real images are not 0 either: measure that as well, to know what is chance.

    Args:
        reference, images: uint8 (N, H, W, 3), N alike: the distance of small sets is larger by chance.

    Raises:
        ValueError: sets of different shapes, or images smaller than a patch.
    """
    if reference.shape != images.shape:
        raise ValueError(f"the sets must have one shape, not {reference.shape} and {images.shape}")
    if min(reference.shape[1:3]) < PATCH:
        raise ValueError(f"images must have at least {PATCH} pixels a side")
    levels = [pyramid(torch.tensor(one).permute(0, 3, 1, 2) / 127.5 - 1) for one in (reference, images)]
    found = {}
    for one, other in zip(*levels, strict=True):
        # the same places and directions for both: equal sets are at a distance of exactly 0
        clouds = [patches(level, torch.Generator().manual_seed(seed)) for level in (one, other)]
        mean, deviation = clouds[0].mean((0, 2, 3)), clouds[0].std((0, 2, 3)).clamp(min=1e-6)
        flat = [((cloud - mean[:, None, None]) / deviation[:, None, None]).flatten(1) for cloud in clouds]
        directions = torch.randn(flat[0].shape[1], DIRECTIONS, generator=torch.Generator().manual_seed(seed + 1))
        directions /= directions.norm(dim=0)
        differences = [
            ((flat[0] @ part).sort(0).values - (flat[1] @ part).sort(0).values).abs().mean().item()
            for part in directions.split(16, dim=1)  # all at once would take gigabytes
        ]
        found[one.shape[-1]] = 1000 * float(np.mean(differences))
    return found


def contrast(images: np.ndarray) -> float:
    """Mean standard deviation of an image's 8-bit values, over all channels together."""
    return float(images.reshape(len(images), -1).std(axis=1).mean())

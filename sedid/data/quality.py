"""How like real images generated ones look, without a pretrained network: by the distance of their patches, and contrast.

The distance is the sliced Wasserstein distance of Karras et al. 2018, "Progressive Growing of GANs", section 5. The images become a Laplacian pyramid; at each level 7x7 patches are drawn, and the two clouds of patches are compared
by the mean difference of their sorted projections on random directions. The level of 32 pixels holds detail and noise,
that of 16 shapes, colours and contrast. One change: both clouds are standardised by the REFERENCE's mean and deviation
in each colour, not each by its own, so that wrong colours and contrast count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sedid.later import torch

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 7
PATCHES = 64  # of each image and level
DIRECTIONS = 512
SMALLEST = 16
"""The side at which the pyramid ends."""
DRAWS = 5


@dataclass(frozen=True)
class Spread:
    """Mean and range of a few draws."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Chance:
    """What real images come to that are as few as the images of a set.

    Attributes:
        draws: how often so many were drawn.
        swd: side of a level in pixels -> their distance from the same reference.
        contrast: theirs.
    """

    draws: int
    swd: dict[int, Spread]
    contrast: Spread


def pyramid(x: Tensor) -> list[Tensor]:
    """Laplacian pyramid of (N, C, H, W), finest level first; the last level is what is left at SMALLEST pixels."""
    levels = []
    while x.shape[-1] // 2 >= SMALLEST:
        small = torch.nn.functional.avg_pool2d(x, 2)
        levels.append(x - torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear"))
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

    Two halves of one set of real images are not 0 either, and the fewer they are, the farther from it: see `chance`.

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


def chance(reference: np.ndarray, reals: np.ndarray, seed: int = 0, draws: int = DRAWS) -> Chance:
    """How far real images are from real images, for sets of one size.

    Args:
        reference: uint8 (N, H, W, 3), what a set of N images was compared with.
        reals: other real images, at least N; N of them are drawn each time.

    Raises:
        ValueError: there are too few, or as `sliced_wasserstein`.
    """
    if len(reals) < len(reference):
        raise ValueError(f"{len(reals)} real images are too few to draw {len(reference)} of them")
    rng = np.random.default_rng(seed)
    sets = [reals[rng.permutation(len(reals))[: len(reference)]] for _ in range(draws)]
    distances = [sliced_wasserstein(reference, one, seed) for one in sets]

    def spread(values: list[float]) -> Spread:
        return Spread(float(np.mean(values)), min(values), max(values))

    by_level = {level: spread([found[level] for found in distances]) for level in distances[0]}
    return Chance(draws, by_level, spread([contrast(one) for one in sets]))


def contrast(images: np.ndarray) -> float:
    """Mean standard deviation of an image's 8-bit values, over all channels together."""
    return float(images.reshape(len(images), -1).std(axis=1).mean())

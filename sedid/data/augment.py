"""Random changes of training images that need no label: crop, cutout, colour, RandAugment (torchvision's transforms).

They are a defence (Appendix C of the paper): a network that never sees an image twice in the same form has less of it to
remember. What is drawn depends on the seed alone.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

Augmentation = Literal["crop", "cutout", "colour", "randaugment"]
GRAY = 127


def transform_of(name: Augmentation, side: int) -> Any:
    """One of torchvision's transforms for uint8 images of this side.

    crop: shifted by up to an eighth of the side, mirrored beyond the edge. cutout: a gray square of half the side (DeVries
    & Taylor 2017) over every second image. colour: brightness, contrast and saturation by up to 0.4, hue by 0.1.
    randaugment: two changes out of fourteen, at magnitude 9 of 30 (Cubuk et al. 2020).
    """
    from torchvision.transforms import v2

    made = {
        "crop": lambda: v2.RandomCrop(side, padding=max(1, side // 8), padding_mode="reflect"),
        "cutout": lambda: v2.RandomErasing(p=0.5, scale=(0.25, 0.25), ratio=(1, 1), value=GRAY),
        "colour": lambda: v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
        "randaugment": lambda: v2.RandAugment(num_ops=2, magnitude=9, fill=GRAY),
    }
    return made[name]()


def augmented(images: Tensor, names: Sequence[Augmentation], seed: int) -> Tensor:
    """Every image changed by all of these, one after the other, each image with draws of its own.

    torchvision draws from PyTorch's global generator, which is as it was afterwards: not to be called while another
    thread draws from it.

    Args:
        images: uint8 (B, 3, H, H).
        names: in the order in which they are applied.
        seed: of all draws.

    Returns:
        uint8 (B, 3, H, H), a new tensor.
    """
    transforms = [transform_of(name, images.shape[-1]) for name in names]
    changed = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for image in images:
            for transform in transforms:
                image = transform(image)
            changed.append(image)
    return torch.stack(changed)

"""The classes of a data set's images, by number: what a conditional model is told in training, and nothing else asks for."""

from pathlib import Path

import numpy as np

from sedid.data.datasets import cache_folder
from sedid.data.images import ImageError
from sedid.data.spec import Spec, local_path
from sedid.storage import read_arrays


def load_labels(spec: str | Path, count: int) -> np.ndarray:
    """The class of every image of a data set, int64 (count,), in the order of `load_images`.

    Args:
        spec: cifar10, cifar10:test, or a .npz with an array `labels` beside its images; sliced or not.
        count: how many images it has.

    Raises:
        ImageError: it has no labels, or not one an image.
    """
    asked = Spec.parse(spec)
    if asked.source in ("cifar10", "cifar10:test"):
        from torchvision.datasets import CIFAR10

        found = np.array(CIFAR10(str(cache_folder()), train=asked.source == "cifar10", download=True).targets)
    else:
        file = local_path(asked.source)
        arrays = read_arrays(file) if file.suffix.lower() == ".npz" and file.is_file() else {}
        if "labels" not in arrays:
            raise ImageError(
                f"{asked.source} says nothing of the classes of its images; accepted are cifar10, cifar10:test, and a .npz with "
                "whole numbers `labels` beside its images."
            )
        found = arrays["labels"]
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ImageError(
            f"The labels of {asked.source} must be whole numbers, one an image; they are {found.dtype} {found.shape}."
        )
    found = found[asked.start : asked.stop].astype(np.int64)
    if len(found) != count:
        raise ImageError(f"{spec} has {count:,} images and {len(found):,} labels.")
    return found

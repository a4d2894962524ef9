"""Pictures of known origin to try a detector on: those that its bundle brings, or the embedded sample.

Gallery and quiz show them. The sample is of CIFAR-10 and of the shipped CIFAR-10 model, so a bundle of another model brings
its own, few as they may be.
"""

from dataclasses import dataclass, field

import numpy as np

from sedid.data.datasets import load_images
from sedid.detector.detector import GENERATED, REAL, Detector, as_seen
from sedid.paths import ASSETS
from sedid.storage import read_json
from sedid.ui.examples import Example

LABELS = (REAL, GENERATED)


@dataclass(frozen=True)
class Known:
    """Pictures whose origin is known, as one detector sees them.

    Attributes:
        images: uint8 (N, H, W, 3) by label.
        brought: whether the detector's bundle brings them; False for the embedded sample.
        stand_ins: whether the reals are photographs from elsewhere (`Example.stand_in`).
    """

    images: dict[str, np.ndarray] = field(repr=False)
    brought: bool = False
    stand_ins: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.images.values()))


def known_pictures(detector: Detector, examples: tuple[Example, ...]) -> Known:
    """The pictures of a detector.

    Args:
        examples: those of its bundle, which count where there are some of both kinds.

    Raises:
        ImageError: the embedded sample is missing.
    """
    if {one.origin for one in examples} != set(LABELS):
        return Known({label: load_images(f"sample:{label}", detector.size, detector.center_crop) for label in LABELS})
    images = {
        label: np.stack([as_seen(detector, one.path)[0] for one in examples if one.origin == label]) for label in LABELS
    }
    return Known(images, True, any(one.stand_in for one in examples))


def same_checkpoint(detector: Detector) -> bool:
    """Whether the generated images of the sample come from this detector's own model."""
    return read_json(ASSETS / "sample.json").get("checkpoint_sha256") == detector.info.get("checkpoint_sha256")

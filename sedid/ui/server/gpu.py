"""ZeroGPU: on such a Space a GPU is lent for a call at a time, to a process of its own.

Every evaluation of the U-Net in the app goes through `Detector.walk`, so that is what the lent GPU runs: the detector
stays on the CPU of the app's process, and a `Lent` one sends images to the GPU's process and gets points back. Both are
pickled on the way, and nothing that changes there is seen here; the other process therefore loads the detector itself,
once, and the caches stay on this side. Where the Hub lends none, what a CPU does in seconds is done there. Anywhere else this
module does nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from sedid import settings
from sedid.detector.bundle import load_detector
from sedid.detector.detector import Detector
from sedid.detector.identity import Identity
from sedid.method.diffusion import Point, Steps
from sedid.ui.recent import Recent
from sedid.ui.server import access

DEVICE = "cuda"  # of the GPU's process
KEPT = 4  # detectors it keeps
ON_CPU = (
    150  # evaluations of an image of 32 pixels that are done here when no GPU is lent: some five seconds of two cores
)


def lender() -> Any | None:
    """The package `spaces` of a ZeroGPU Space, where it is always installed; None anywhere else."""
    if not settings.read().zero_gpu:
        return None
    try:
        import spaces
    except ImportError:
        return None
    return spaces


SPACES = lender()
_there: Recent[tuple[str, str], Detector] = Recent(KEPT)  # filled in the GPU's process only


def evaluations(images: np.ndarray, k: Steps, t_sec: int, batch: int = 1) -> int:
    """How often the network is asked in a walk, as for batches of so many images of 32 pixels."""
    steps = t_sec // k if isinstance(k, int) else k.index(t_sec)
    return (steps + 1) * -(-len(images) // batch) * max(1, images.shape[1] * images.shape[2] // 32**2)


def seconds(place: str, model: str, images: np.ndarray, k: Steps, t_sec: int) -> int:
    """How long a walk may hold the GPU: what loading takes, and a hundredth of a second a batch evaluated.

    The Hub compares this with what the visitor has left, and who asks for less waits less.
    """
    return 3 + evaluations(images, k, t_sec, batch=32) // 100


def refusal(error: gr.Error) -> gr.Error:
    """What a visitor reads in place of what the Hub says when it lends no GPU, by the titles of the package `spaces`."""
    said = f"{getattr(error, 'title', '')} {error.message}".lower()
    if "duration" in said:
        words = (
            "This walk asks for more seconds of a GPU than the Hub lends at once. A larger k or fewer images need less."
        )
    elif "quota" in said or "limit" in said:
        words = (
            "Your share of the Hub's GPUs is used up for now. The Hub gives more to who is signed in; with a larger k or "
            "fewer images no GPU is needed."
        )
    else:
        words = "The Hub has no GPU free at the moment. Try again in a minute, or take a larger k, which needs none."
    return gr.Error(words, print_exception=False)


def points(place: str, model: str, images: np.ndarray, k: Steps, t_sec: int) -> Iterator[Point]:
    """A walk in the GPU's process, its points back on the CPU.

    Args:
        place, model: where the detector is, and which one is meant (`Identity.model`).
        images: uint8 (N, H, W, 3).
    """
    detector = _there.get((place, model))
    if detector is None:
        detector = load_detector(place, device=DEVICE)
        _there.put((place, model), detector)
    for point in detector.walk(images, k, t_sec):
        yield Point(point.t, point.x.cpu(), point.eps.cpu())


# At import: a ZeroGPU Space must have decorated something before it is served.
borrowed: Callable[..., Iterator[Point]] = points if SPACES is None else SPACES.GPU(duration=seconds)(points)


@dataclass(frozen=True)
class Lent(Detector):
    """A detector whose walks run on a lent GPU, where a visitor waits for them: it is their quota.

    Attributes:
        place: where the GPU's process finds it.
    """

    place: str = ""

    def walk(self, images: np.ndarray, k: Steps, t_sec: int | None = None) -> Iterator[Point]:
        """As `Detector.walk`; points on the CPU.

        Raises:
            gr.Error: no GPU is lent, and the walk is too long for the CPU, or had begun.
        """
        if access.visitor() is None:
            return super().walk(images, k, t_sec)
        return self._lent(images, k, t_sec or self.max_t_sec(k))

    def _lent(self, images: np.ndarray, k: Steps, t_sec: int) -> Iterator[Point]:
        stays = evaluations(images, k, t_sec) > ON_CPU
        try:
            for point in borrowed(self.place, Identity.recorded(self.info).model, images, k, t_sec):
                stays = True
                yield point
            return
        except gr.Error as error:
            if stays:
                raise refusal(error) from error
        yield from super().walk(images, k, t_sec)


def load(place: str | Path) -> Detector:
    """`load_detector` for the app.

    Raises:
        OSError, ValueError: as there.
    """
    if SPACES is None:
        return load_detector(place)
    detector = load_detector(place, device="cpu")
    known = {field.name: getattr(detector, field.name) for field in fields(Detector)}
    return Lent(**known, place=str(place))

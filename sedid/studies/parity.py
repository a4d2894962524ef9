"""Parity: t-errors of a few published images in float64, by which another machine is held to this one's."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from sedid import processes
from sedid.data.datasets import as_model_input, fingerprint, load_images
from sedid.detector.bundle import checkpoint_hash, condition_of, load_detector
from sedid.detector.detector import Detector
from sedid.progress import Meter, Progress
from sedid.storage import replacing
from sedid.studies.noise_floor import in_float64, walked

FILE = "parity.npz"
IMAGES = 50
BOUND = 1e-6
"""Relative: another processor adds up in another order, which float64 hardly notices."""


def exact(bundle: Path, detector: Detector, images: np.ndarray) -> Generator[Progress, None, np.ndarray]:
    """t-errors in float64 at every T_SEC of the detector's own walk, (T, N).

    Args:
        images: uint8 (N, H, W, 3), one batch.
    """
    k = detector.pair()[0]
    meter = Meter("t-errors in float64", len(images) * len(detector.t_secs(k)), "steps")
    model = in_float64(bundle)
    x_0, eps_model = model.space.encode(as_model_input(images).double()), model.eps(condition_of(detector.info))
    return (yield from walked(eps_model, x_0, detector.schedule, k, detector.max_t_sec(k), meter))


def parity(bundle: Path, generated: str) -> Generator[Progress, None, Path]:
    """Write sedid/parity.npz of a bundle from the first images of a data set; returns the file.

    t_errors        float64 (T, N): at every T_SEC of the detector's own walk
    path            int64 (T + 1,): that walk
    checkpoint      text: hash of the network
    images          text: fingerprint of the images
    """
    detector = load_detector(bundle, "cpu")
    images = load_images(generated, detector.size, detector.center_crop)[:IMAGES]
    found = yield from exact(bundle, detector, images)
    about: dict[str, Any] = {
        "path": own_path(detector),
        "checkpoint": checkpoint_hash(bundle),
        "images": fingerprint(images),
    }
    file = bundle / "sedid" / FILE

    def write() -> None:
        with replacing(file) as temporary:
            np.savez_compressed(temporary, t_errors=found, **about)

    processes.on_main(write)
    return file


def own_path(detector: Detector) -> np.ndarray:
    """The timesteps of the detector's own walk."""
    return np.array((0, *detector.t_secs(detector.pair()[0])))

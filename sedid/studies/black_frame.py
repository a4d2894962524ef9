"""A published pitfall as a lesson: a centre crop that is larger than the image puts the image into a black frame.

The method's published evaluation of CelebA passes photographs (178x218) and generated images (32x32) through one
transform, CenterCrop(140) then Resize(32). torchvision pads what is too small with zeros, so every generated image
becomes a picture of about 7x7 pixels on black, and no real one does. (`images.prepare` refuses to pad.) Here the
generated images of any detector are framed in the same way, and every method is measured with and without.
"""

from collections.abc import Generator
from typing import Any

import numpy as np

from sedid.data.datasets import CELEBA_CROP
from sedid.detector.detector import Detector
from sedid.method.methods import METHODS, THRESHOLD
from sedid.progress import Progress
from sedid.stats.confounds import auc_of_smaller
from sedid.studies.compare import measure_set
from sedid.training.baseline import read_existing, training_losses
from sedid.training.checks import audited
from sedid.training.scoring import Scores, score

PEERS = [
    method
    for name, method in METHODS.items()
    if method.head == THRESHOLD and name not in ("sedid-stat", "loss", "debiased")
]
"""The statistics of other papers, at their defaults."""


def framed(images: np.ndarray, crop: int = CELEBA_CROP) -> np.ndarray:
    """What torchvision's CenterCrop(crop) and Resize(size) make of images, uint8 (N, size, size, 3) both.

    Raises:
        ValueError: the images are not smaller than the crop, so that there would be no frame.
    """
    from PIL import Image
    from torchvision.transforms import CenterCrop, Compose, Resize

    size = images.shape[1]
    if size >= crop:
        raise ValueError(f"a centre crop of {crop} pixels frames only smaller images, and these are {size}x{size}")
    transform = Compose([CenterCrop(crop), Resize(size)])
    return np.stack([np.asarray(transform(Image.fromarray(image))) for image in images])


def lesson(
    detector: Detector,
    images: dict[str, np.ndarray],
    scores: dict[str, Scores],
    probabilities: dict[str, np.ndarray | None],
    batch_size: int = 32,
) -> Generator[Progress, None, dict[str, Any]]:
    """AUC of every method with and without the frame, and what the leak audit says of either.

    All statistics have their papers' polarity (smaller means generated), the NN its own. The training loss is measured
    at its calibrated timestep, and left out where it was not calibrated.

    Args:
        images: uint8 (N, H, W, 3) by "real" and "generated".
        scores, probabilities: what `score` found for both, at one k or two.
    """
    inside = framed(images["generated"])
    ks = sorted({k for k, _ in scores["generated"]})
    of_framed, nn_framed = yield from score(detector, inside, ks, batch_size, "scoring framed images")
    methods: list[dict[str, Any]] = []

    def add(method: str, real: np.ndarray, generated: np.ndarray, in_frame: np.ndarray, **pair: int) -> None:
        plain, with_frame = auc_of_smaller(real, generated), auc_of_smaller(real, in_frame)
        methods.append({"method": method, **pair, "plain": plain, "framed": with_frame})

    for (k, t_sec), values in scores["generated"].items():
        add("stat", scores["real"][k, t_sec], values, of_framed[k, t_sec], k=k, t_sec=t_sec)
    of_real, of_generated = probabilities["real"], probabilities["generated"]
    if detector.nn and of_real is not None and of_generated is not None and nn_framed is not None:
        add("nn", -of_real, -of_generated, -nn_framed, k=detector.nn.k, t_sec=detector.nn.t_sec)
    existing = read_existing(detector.info)
    if existing:
        losses = []
        for seed, values in enumerate((images["real"], images["generated"], inside)):
            # the framed image has the noise of its unframed self, so that the frame is all that differs
            how = (existing["t"], existing["noises"], min(seed, 1), batch_size, "training loss, for the frame")
            losses.append((yield from training_losses(detector, values, *how)))
        add("existing", *losses, t=existing["t"])
    measured = []
    for values in (images["real"], images["generated"], inside):
        stage = "peers, for the frame"
        measured.append((yield from measure_set(detector, PEERS, values, 0, batch_size, stage)))
    for method, *of_sets in zip(PEERS, *measured, strict=True):
        add(method.name, *of_sets)
        methods[-1]["title"] = method.title
    return {
        "transform": f"torchvision CenterCrop({CELEBA_CROP}), Resize({inside.shape[1]})",
        "picture_share": float(np.mean(inside.any(axis=(0, 3)))),
        "methods": methods,
        "audit_plain": audited(images["real"], images["generated"]),
        "audit_framed": audited(images["real"], inside),
    }

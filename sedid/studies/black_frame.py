"""A published pitfall as a lesson: a centre crop that is larger than the image puts the image into a black frame.

The method's published evaluation of CelebA passes photographs (178x218) and generated images (32x32) through one
transform, CenterCrop(140) then Resize(32). torchvision pads what is too small with zeros, so every generated image
becomes a picture of about 7x7 pixels on black, and no real one does. (`images.prepare` refuses to pad.) Here the
generated images of any detector are framed in the same way, and every method is measured with and without.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sedid.data.datasets import CELEBA_CROP
from sedid.detector.detector import Detector, Pair
from sedid.method import paper
from sedid.method.diffusion import Steps, order, pair_in_words
from sedid.method.methods import METHODS, THRESHOLD
from sedid.progress import Progress
from sedid.stats.confounds import Estimate, auc_of_smaller
from sedid.studies.compare import measure_set
from sedid.training.baseline import read_existing, training_losses
from sedid.training.checks import LeakCheck, audited
from sedid.training.scoring import Scores, score

PEERS = [
    method
    for name, method in METHODS.items()
    if method.head == THRESHOLD and name not in ("sedid-stat", "loss", "debiased", "noise-size")
]
"""The statistics of other papers, at their defaults."""


@dataclass(frozen=True, kw_only=True)
class FramedRow:
    """The AUC of one method with and without the frame, a smaller value counting as generated.

    Attributes:
        method: "stat", "nn", "existing" (the training loss), or the name of another paper's.
        k, t_sec: of STAT and NN.
        t: of the training loss.
        title: of another paper's method, in words.
    """

    method: str
    plain: Estimate
    framed: Estimate
    k: Steps | None = None
    t_sec: int | None = None
    t: int | None = None
    title: str = ""

    @property
    def name(self) -> str:
        """What tables call it: with its k, as a detector may be calibrated at several."""
        if self.method == "existing":
            return f"Training loss, t = {self.t}"
        if self.title or self.k is None or self.t_sec is None:
            return self.title
        return f"{self.method.upper()}, {pair_in_words(self.k, self.t_sec)}"

    @property
    def paper(self) -> float | None:
        """Its AUC on CelebA in the paper, whose generated images had such a frame; None where it has none."""
        if self.method == "stat" and self.k is not None and self.t_sec is not None:
            published = paper.table_1("CelebA", self.k, self.t_sec)
            return published[0] if published else None
        of_data_sets = paper.TABLE_2.get(self.method)
        return of_data_sets[paper.DATA_SETS.index("CelebA")][0] if of_data_sets and self.method != "stat" else None


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """The black frame and what it does.

    Attributes:
        transform: how the frame came about, in words.
        picture_share: share of a framed image's pixels that are not black.
        audit_plain, audit_framed: of the images as they are, and with the frame around the generated ones.
    """

    transform: str
    picture_share: float
    methods: tuple[FramedRow, ...]
    audit_plain: LeakCheck
    audit_framed: LeakCheck


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


def losses_of(
    detector: Detector, sets: Sequence[np.ndarray], existing: dict[str, Any], batch_size: int
) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The training losses (N,) of reals, generated images and these in their frame, as they were calibrated."""
    found = []
    for seed, values in enumerate(sets):
        # the framed image has the noise of its unframed self, so that the frame is all that differs
        how = (existing["t"], existing["noises"], min(seed, 1), batch_size, "training loss, for the frame")
        found.append((yield from training_losses(detector, values, *how)))
    real, generated, in_frame = found
    return real, generated, in_frame


def lesson(
    detector: Detector,
    images: dict[str, np.ndarray],
    scores: dict[str, Scores],
    probabilities: dict[str, np.ndarray | None],
    batch_size: int = 32,
) -> Generator[Progress, None, Lesson]:
    """AUC of every method with and without the frame, and what the leak audit says of either.

    All statistics have their papers' polarity (smaller means generated), the NN its own. The training loss is measured
    at its calibrated timestep, and left out where it was not calibrated.

    Args:
        images: uint8 (N, H, W, 3) by "real" and "generated".
        scores, probabilities: what `score` found for both, at one k or two.
    """
    inside = framed(images["generated"])
    ks = order(k for k, _ in scores["generated"])
    of_framed, nn_framed = yield from score(detector, inside, ks, batch_size, "scoring framed images")
    methods: list[FramedRow] = []

    def add(
        method: str,
        real: np.ndarray,
        generated: np.ndarray,
        in_frame: np.ndarray,
        pair: Pair | tuple[None, None] = (None, None),
        t: int | None = None,
        title: str = "",
    ) -> None:
        plain, with_frame = auc_of_smaller(real, generated), auc_of_smaller(real, in_frame)
        methods.append(
            FramedRow(method=method, plain=plain, framed=with_frame, k=pair[0], t_sec=pair[1], t=t, title=title)
        )

    for (k, t_sec), values in scores["generated"].items():
        add("stat", scores["real"][k, t_sec], values, of_framed[k, t_sec], (k, t_sec))
    of_real, of_generated = probabilities["real"], probabilities["generated"]
    if detector.nn and of_real is not None and of_generated is not None and nn_framed is not None:
        add("nn", -of_real, -of_generated, -nn_framed, (detector.nn.k, detector.nn.t_sec))
    sets = (images["real"], images["generated"], inside)
    existing = read_existing(detector.info)
    if existing:
        losses = yield from losses_of(detector, sets, existing, batch_size)
        add("existing", *losses, t=existing["t"])
    measured = []
    for values in sets:
        stage = "peers, for the frame"
        measured.append((yield from measure_set(detector, PEERS, values, 0, batch_size, stage)))
    for method, real, generated, in_frame in zip(PEERS, *measured, strict=True):
        add(method.name, real, generated, in_frame, title=method.title)
    return Lesson(
        transform=f"torchvision CenterCrop({CELEBA_CROP}), Resize({inside.shape[1]})",
        picture_share=float(np.mean(inside.any(axis=(0, 3)))),
        methods=tuple(methods),
        audit_plain=audited(images["real"], images["generated"]),
        audit_framed=audited(images["real"], inside),
    )

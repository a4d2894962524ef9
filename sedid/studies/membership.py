"""Was the network trained on this picture? Two answers that have nothing to do with the verdict on its origin.

A bundle keeps a print of every training image (`data.splits`), so the picture itself or a near copy of it is recognised.
Apart from that, its t-error stands somewhere among those of members (training images) and of held-out reals that an
evaluation kept; where the two are alike, that place says nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sedid.data.splits import TRAINING, Prints, overlap, prints_of, read_splits, splits_file
from sedid.detector.bundle import detector_file
from sedid.detector.detector import Detector, Judgement
from sedid.method.diffusion import Steps
from sedid.stats.confounds import Estimate, auc_of_smaller
from sedid.storage import read_json
from sedid.studies.results import Evaluation, load_evaluation


@dataclass(frozen=True)
class Among:
    """A t-error among those of members and of held-out reals, at its own k and T_SEC.

    Attributes:
        score: the picture's.
        members, heldout: theirs, (N,) each.
    """

    k: Steps
    t_sec: int
    score: float
    members: np.ndarray
    heldout: np.ndarray

    @property
    def below_members(self) -> float:
        """Percent of the members whose t-error is smaller."""
        return 100 * float((self.members < self.score).mean())

    @property
    def below_heldout(self) -> float:
        """Percent of the held-out reals whose t-error is smaller."""
        return 100 * float((self.heldout < self.score).mean())

    @property
    def auc(self) -> Estimate:
        """How well the t-error tells members from held-out reals here, a smaller one counting as a member."""
        return auc_of_smaller(self.heldout, self.members)


@dataclass(frozen=True)
class Membership:
    """What is known of a picture's place in a network's training.

    Attributes:
        known: training images whose prints the bundle keeps; 0 where it keeps none.
        same: it is one of them, pixel by pixel as the detector sees it.
        near: it is a near copy of one (saved again or resized).
        among: its t-error beside others; None where no evaluation kept any at its k and T_SEC.
    """

    known: int
    same: bool
    near: bool
    among: Among | None


@lru_cache(maxsize=4)
def _training_prints(folder: Path, changed: tuple[int, ...]) -> Prints | None:
    """The prints of a bundle's training images; `changed` are the times of its files."""
    return read_splits(splits_file(folder), read_json(detector_file(folder))).get(TRAINING)


def training_prints(folder: Path) -> Prints | None:
    """The prints of a bundle's training images; None where it keeps none.

    Raises:
        ValueError: its file is damaged.
    """
    files = splits_file(folder), detector_file(folder)
    if not all(file.is_file() for file in files):
        return None
    return _training_prints(folder, tuple(file.stat().st_mtime_ns for file in files))


def measured_on(folder: Path) -> Evaluation | None:
    """The evaluation of a bundle that kept scores of both members and held-out reals; None without."""
    if not (folder / "sedid" / "results.json").is_file():
        return None
    evaluation = load_evaluation(folder)
    return evaluation if {"members", "heldout"} <= set(evaluation.reals) else None


def among(evaluation: Evaluation | None, judgement: Judgement) -> Among | None:
    """A t-error among those that an evaluation kept; None where it kept none at this k and T_SEC."""
    pair = (judgement.k, judgement.t_sec)
    if evaluation is None or pair not in evaluation.pairs:
        return None
    members, heldout = (evaluation.scores(reals, pair) for reals in ("members", "heldout"))
    if members is None or heldout is None:
        return None
    return Among(*pair, judgement.t_error, members[0], heldout[0])


def membership(detector: Detector, image: np.ndarray, judgement: Judgement) -> Membership:
    """What is known of one picture.

    Args:
        image: uint8 (H, W, 3), as the detector sees it.
        judgement: of it.

    Raises:
        ValueError: a file of the bundle is damaged.
    """
    if detector.folder is None:
        return Membership(0, False, False, None)
    prints, beside = training_prints(detector.folder), among(measured_on(detector.folder), judgement)
    if prints is None:
        return Membership(0, False, False, beside)
    found = overlap(prints_of(image[None]), prints)
    return Membership(len(prints), found.same > 0, found.near > 0, beside)

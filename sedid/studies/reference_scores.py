"""Score the reference set of the Gallery tab (the embedded sample) once, so that the page need not.

The output, sedid/gallery.npz in the bundle:

    stated              JSON text: the checkpoint, the calibration, the images and the versions behind the scores
    pairs               text (P, 2): k or path, and T_SEC, of the rows of `stat_<label>` (`pairs_to_keep`)
    stat_<label>        float64 (P, N): t-errors; labels are real and generated
    nn_<label>          float64 (N,): the classifier's probabilities, where there is a classifier

Verdicts are not kept: they follow from the scores and the detector's calibration (`judged`).
"""

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sedid import processes
from sedid.config import Text
from sedid.data.datasets import fingerprint, load_sets
from sedid.detector.bundle import versions
from sedid.detector.detector import GENERATED, REAL, Call, Detector, Verdict
from sedid.method.diffusion import Steps, order
from sedid.progress import Progress
from sedid.storage import read_arrays, replacing
from sedid.studies.study import StudyConfig, open_study
from sedid.training.scoring import Scores, kept_pairs, pairs_to_keep, score

FILE = "gallery.npz"
LABELS = (REAL, GENERATED)


@dataclass(frozen=True, kw_only=True)
class GalleryConfig(StudyConfig):
    """Settings of one run.

    Here `out` is a file; "" is sedid/gallery.npz in the bundle.
    """

    SETS: ClassVar[tuple[str, ...]] = LABELS

    real: Text = "sample:real"
    generated: Text = "sample:generated"


@dataclass(frozen=True)
class Gallery:
    """The scores of the reference set.

    Attributes:
        stated: what they belong to, as `stated_by`.
        scores: t-errors by label and (k, T_SEC), float64 (N,).
        probabilities: the classifier's probabilities of "generated" by label, float64 (N,); empty without one.
    """

    stated: dict[str, Any]
    scores: dict[str, Scores] = field(repr=False)
    probabilities: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class Judged:
    """What a detector says of one image of known label.

    Attributes:
        label: real or generated.
        place: its place in its set, from 0.
        t_error: at the detector's pair.
        stat, nn: what may be said; None where nothing is calibrated.
        probability: of "generated"; None without a classifier.
    """

    label: str
    place: int
    t_error: float
    stat: Call | None
    nn: Call | None
    probability: float | None


def step_sizes(detector: Detector) -> list[Steps]:
    """The walks that are scored: that of the detector's pair, and the classifier's."""
    return order({detector.pair()[0]} | ({detector.nn.k} if detector.nn else set()))


def stated_by(detector: Detector, images: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the scores of these images depend on; equal values mean equal scores and verdicts.

    Args:
        images: uint8 (N, H, W, 3) by label.
    """
    used = {part: detector.info.get(part) for part in ("stat", "nn")}
    calibration = hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()
    return {
        "checkpoint_sha256": detector.info.get("checkpoint_sha256", detector.name),
        "calibration_sha256": calibration,
        "pair": list(detector.pair()),
        "images": {
            label: {"count": len(values), "sha256": fingerprint(values)} for label, values in images.items()
        },
    }  # fmt: skip


def stale(gallery: Gallery, detector: Detector, images: dict[str, np.ndarray]) -> str:
    """Why scores are not those of this detector and these images, as the end of a sentence; "" where they are."""
    wanted = stated_by(detector, images)
    differing = [name for name, value in wanted.items() if gallery.stated.get(name) != value]
    words = {
        "checkpoint_sha256": "another checkpoint",
        "calibration_sha256": "another calibration",
        "pair": "another pair of k and T_SEC",
        "images": "other images",
    }
    return f"they belong to {words[differing[0]]}" if differing else ""


def gallery(config: GalleryConfig) -> Generator[Progress, None, Gallery]:
    """Score both sets at every T_SEC of the calibrated k and write the file; returns what is in it.

    Raises:
        ValueError, OSError: the detector or the images cannot be read, or the file cannot be written.
    """
    study = open_study(config)
    detector = study.detector
    specs = {REAL: config.real, GENERATED: config.generated}
    images = load_sets(specs, detector.size, detector.center_crop)
    scores: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray] = {}
    for label in LABELS:
        stage = f"scoring {label} images"
        scores[label], found = yield from score(detector, images[label], step_sizes(detector), config.batch_size, stage)
        if found is not None:
            probabilities[label] = found
    about = {"versions": versions(), "config": config.recorded()}
    made = Gallery(stated_by(detector, images) | about, scores, probabilities)
    processes.on_main(write_gallery, made, Path(config.out) if config.out else study.out / FILE)
    return made


def write_gallery(made: Gallery, file: Path) -> None:
    """Write scores as described at the top of this module."""
    arrays: dict[str, Any] = {f"nn_{label}": values for label, values in made.probabilities.items()}
    arrays |= {f"stat_{label}": np.stack(list(values.values())) for label, values in made.scores.items()}
    pairs = pairs_to_keep(made.scores[REAL])
    with replacing(file) as temporary:
        np.savez_compressed(temporary, stated=json.dumps(made.stated), pairs=pairs, **arrays)


def read_gallery(file: Path) -> Gallery:
    """Read a file of `write_gallery`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged or something else.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}")
    try:
        stored = read_arrays(file)
        pairs = kept_pairs(stored["pairs"])
        scores = {label: dict(zip(pairs, stored[f"stat_{label}"], strict=True)) for label in LABELS}
        probabilities = {label: stored[f"nn_{label}"] for label in LABELS if f"nn_{label}" in stored}
        stated = dict(json.loads(str(stored["stated"])))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged or not a file of `python -m sedid gallery`") from error
    return Gallery(stated, scores, probabilities)


def joined(parts: Sequence[tuple[Scores, np.ndarray | None]]) -> tuple[Scores, np.ndarray | None]:
    """The scores of successive slices of a set (`score`) as those of the whole."""
    scores = {pair: np.concatenate([part[pair] for part, _ in parts]) for pair in parts[0][0]}
    known = [probabilities for _, probabilities in parts if probabilities is not None]
    return scores, np.concatenate(known) if len(known) == len(parts) else None


def judged(gallery: Gallery, detector: Detector, images: dict[str, np.ndarray]) -> list[Judged]:
    """Both verdicts on every image at the detector's pair, reals first: those of `Detector.judge`.

    Args:
        gallery: scores of this very detector.
        images: uint8 (N, H, W, 3) by label, those that were scored.
    """
    pair, rows = detector.pair(), []
    stat = detector.stat.get(pair)
    for label in LABELS:
        scores, probabilities = gallery.scores[label], gallery.probabilities.get(label)
        count = len(scores[pair])
        stats: Sequence[Verdict | None] = [None] * count
        nns: Sequence[Verdict | None] = [None] * count
        if stat is not None:
            stats = detector.verdicts(stat, scores[pair], scores, images[label])
        if detector.nn is not None and probabilities is not None:
            nns = detector.verdicts(detector.nn, probabilities, scores, images[label])
        for place, (t_error, of_stat, of_nn) in enumerate(zip(scores[pair].tolist(), stats, nns, strict=True)):
            call, of_classifier = (verdict.call if verdict else None for verdict in (of_stat, of_nn))
            rows.append(Judged(label, place, t_error, call, of_classifier, of_nn.score if of_nn else None))
    return rows

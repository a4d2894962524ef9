"""What a defence costs and brings: models trained on the same images, with and without it (Appendix C of the paper).

Of every model are measured: how well its t-error and its peers tell members (images it was trained on) from held-out
images, how well they tell its generated images from held-out ones, how like real images the generated ones look, and how
both losses lie apart. Two reconstructions, through T_SEC 100 in steps of 10 and through the whole path, show the same as
pictures (Figures 5 to 7 of the paper).

    defence.json            the measurements (`DefenceResults`)
    defence-pictures.npz    uint8 pictures: `members`, `heldout` (N, H, W, 3), and of every model `<model>_samples` and
                            `<model>_<members|heldout>_<short|whole>`
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from sedid.data.datasets import as_images
from sedid.data.quality import Chance, chance, sliced_wasserstein
from sedid.detector.bundle import checkpoint_hash, load_detector
from sedid.detector.detector import Detector
from sedid.later import torch
from sedid.method.diffusion import Path as Walk
from sedid.method.diffusion import whole_path
from sedid.method.ledger import Ledger, reconstruction_path
from sedid.method.methods import METHODS
from sedid.models.networks import load_unet
from sedid.models.schedules import load_betas
from sedid.progress import Progress
from sedid.results import Results, Rows, Setting
from sedid.stats.confounds import Estimate, auc_of_smaller
from sedid.storage import replacing
from sedid.studies.compare import measure_set
from sedid.studies.study import ImageSet, MadeBy
from sedid.training.scoring import score

PEERS = ("secmi-stat", "pia", "loss")
"""Membership attacks beside the t-error, with their own papers' parameters."""
SETS = ("members", "heldout", "generated")
SHOWN = 8
"""Pictures of each kind that are kept."""
SHORT = (10, 100)
"""k and T_SEC of the short reconstruction, SecMI's."""


@dataclass(frozen=True)
class Told:
    """How well one score tells two pairs of sets apart; a smaller score counts as the first of each pair.

    Attributes:
        membership: members from held-out images.
        origin: generated images from held-out ones.
    """

    membership: Estimate
    origin: Estimate


@dataclass(frozen=True)
class ReconstructionError:
    """Mean absolute difference of images from their reconstructions, in grey levels of 255."""

    members: float
    heldout: float


@dataclass(frozen=True)
class ModelRow:
    """One model.

    Attributes:
        name: undefended, regularised, augmented.
        settings: of its training that differ from the undefended one's.
        steps, views: of its training; how often each member was seen.
        loss_members, loss_heldout: the plain denoising loss on both.
        distance: sliced Wasserstein distance of its generated images from as many held-out ones, by level in pixels.
        t_errors: by T_SEC, at the k of the study.
        peers: by name of the method.
        short, whole: reconstructions through T_SEC 100 in steps of 10, and through the whole path.
        made_by: how its images were generated.
    """

    name: str
    settings: dict[str, Setting]
    checkpoint_sha256: str
    steps: int
    views: float
    loss_members: float
    loss_heldout: float
    distance: dict[int, float]
    t_errors: dict[int, Told]
    peers: dict[str, Told]
    short: ReconstructionError
    whole: ReconstructionError
    made_by: MadeBy | None

    @property
    def exposed(self) -> tuple[str, Estimate]:
        """The score that tells members best, and its AUC; the best of many is high by chance, too."""
        found = {f"t-error at T_SEC {t_sec}": told.membership for t_sec, told in self.t_errors.items()}
        found |= {METHODS[name].title: told.membership for name, told in self.peers.items()}
        name = max(found, key=lambda one: found[one].value)
        return name, found[name]


@dataclass(frozen=True, kw_only=True)
class DefenceResults(Results):
    """What stands in defence.json.

    Attributes:
        images: every set by name; `generated` is of every model as many.
        k: step size of the t-errors.
        chance: what as many other held-out images come to in `distance`; None where there are too few.
        meaning: of the figures, in words.
    """

    VERSION: ClassVar[int] = 1
    COMMAND: ClassVar[str] = "defend"

    images: dict[str, ImageSet]
    k: int
    chance: Chance | None
    rows: Rows[ModelRow]
    intervals: str
    meaning: str
    versions: dict[str, str]
    config: dict[str, Setting]

    @property
    def finest(self) -> int:
        """The level of `distance` that holds detail and noise."""
        return max(self.rows[0].distance)


MEANING = (
    "Membership: a smaller score counts as a member. Origin: a smaller score counts as generated. Members and held-out "
    "images are of one data set, shuffled by the seed"
)


def measured(
    bundle: Path, images: Mapping[str, np.ndarray], k: int, seed: int, batch_size: int, device: str, stage: str
) -> Generator[Progress, None, tuple[dict[int, Told], dict[str, Told]]]:
    """How well t-errors at every T_SEC and the PEERS tell the SETS apart.

    Args:
        bundle: of the model, calibrated or not.
        images: uint8 (N, H, W, 3) by SETS.
    """
    detector = load_detector(bundle, device)
    walked, others = {}, {}
    methods = [METHODS[name] for name in PEERS]
    for number, (name, values) in enumerate(images.items()):
        scores, _ = yield from score(detector, values, [k], batch_size, f"{stage}, {name}")
        walked[name] = {t_sec: found for (_, t_sec), found in scores.items()}
        others[name] = yield from measure_set(
            detector, methods, values, 10 * seed + number, batch_size, f"{stage}, {name}, other methods"
        )

    def told(of: Mapping[str, np.ndarray]) -> Told:
        return Told(auc_of_smaller(of["heldout"], of["members"]), auc_of_smaller(of["heldout"], of["generated"]))

    t_errors = {t_sec: told({name: walked[name][t_sec] for name in SETS}) for t_sec in walked["members"]}
    peers = {peer: told({name: others[name][place] for name in SETS}) for place, peer in enumerate(PEERS)}
    return t_errors, peers


def reconstructed(detector: Detector, images: np.ndarray, path: Walk, batch_size: int) -> np.ndarray:
    """Images walked up a path and back to 0: uint8, as `images` (N, H, W, 3)."""
    found = []
    for start in range(0, len(images), batch_size):
        x_0 = detector.encode(images[start : start + batch_size])
        with torch.inference_mode():
            found.append(as_images(Ledger(detector.eps_model, detector.schedule, x_0).image(path)))
    return np.concatenate(found)


def reconstructions(
    bundle: Path, images: Mapping[str, np.ndarray], k: int, batch_size: int, device: str
) -> tuple[dict[str, ReconstructionError], dict[str, np.ndarray]]:
    """Errors of both reconstructions by name (short, whole), and the first SHOWN pictures of each."""
    detector = load_detector(bundle, device)
    paths = {
        "short": reconstruction_path(detector.schedule, *SHORT),
        "whole": reconstruction_path(detector.schedule, k, whole_path(detector.schedule, k)[-1]),
    }
    errors, pictures = {}, {}
    for name, path in paths.items():
        apart = {}
        for kind in ("members", "heldout"):
            made = reconstructed(detector, images[kind], path, batch_size)
            apart[kind] = float(np.abs(made.astype(np.int16) - images[kind]).mean())
            pictures[f"{kind}_{name}"] = made[:SHOWN]
        errors[name] = ReconstructionError(apart["members"], apart["heldout"])
    return errors, pictures


def losses(bundle: Path, images: Mapping[str, np.ndarray], device: str) -> dict[str, float]:
    """The plain denoising loss on members and held-out images, as many of each, with the same noise."""
    from sedid.training.denoising import heldout_errors  # with PyTorch, for which the page does not wait

    detector = load_detector(bundle, device)
    network = detector.runtime.place(load_unet(bundle)).eval()
    count = min(len(images["members"]), len(images["heldout"]))
    return {
        kind: heldout_errors(network, images[kind][:count], load_betas(bundle), detector.runtime)[1].mean().item()
        for kind in ("members", "heldout")
    }


def distance(images: Mapping[str, np.ndarray], seed: int) -> dict[int, float]:
    """How far generated images are from as many held-out ones, by level."""
    count = min(len(images["heldout"]), len(images["generated"]))
    return sliced_wasserstein(images["heldout"][:count], images["generated"][:count], seed)


def chance_level(heldout: np.ndarray, others: np.ndarray, count: int, seed: int) -> Chance | None:
    """What as many real images come to in `distance`; None where there are too few others."""
    count = min(len(heldout), count)
    return chance(heldout[:count], others, seed) if len(others) >= count else None


def model_row(
    name: str,
    settings: dict[str, Setting],
    bundle: Path,
    images: Mapping[str, np.ndarray],
    trained: tuple[int, float],
    k: int,
    seed: int,
    batch_size: int,
    device: str,
    made_by: MadeBy | None,
) -> Generator[Progress, None, tuple[ModelRow, dict[str, np.ndarray]]]:
    """Everything measured of one model, and its pictures.

    Args:
        trained: steps, and how often each member was seen.
    """
    t_errors, peers = yield from measured(bundle, images, k, seed, batch_size, device, f"measuring the {name} model")
    errors, pictures = reconstructions(bundle, images, k, batch_size, device)
    loss = losses(bundle, images, device)
    row = ModelRow(
        name=name,
        settings=settings,
        checkpoint_sha256=checkpoint_hash(bundle),
        steps=trained[0],
        views=trained[1],
        loss_members=loss["members"],
        loss_heldout=loss["heldout"],
        distance=distance(images, seed),
        t_errors=t_errors,
        peers=peers,
        short=errors["short"],
        whole=errors["whole"],
        made_by=made_by,
    )
    return row, pictures | {"samples": images["generated"][: 2 * SHOWN]}


def pictures_file(results: Path) -> Path:
    """Where the pictures behind a defence.json are kept."""
    return results.with_name("defence-pictures.npz")


def write_pictures(
    file: Path,
    before: Mapping[str, np.ndarray],
    images: Mapping[str, np.ndarray],
    model: str,
    pictures: Mapping[str, np.ndarray],
) -> None:
    """Write the images that were reconstructed, and the pictures of a model beside those of the models `before`."""
    arrays = dict(before) | {kind: images[kind][:SHOWN] for kind in ("members", "heldout")}
    arrays |= {f"{model}_{kind}": one for kind, one in pictures.items()}
    with replacing(file) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]

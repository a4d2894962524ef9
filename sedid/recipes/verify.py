"""Score the images behind published figures anew, and compare.

Three things are compared, each as far as what it takes is at hand:

    figures     results.json against the scores kept beside it: arithmetic alone
    scores      the kept scores against the network of today, image by image, in the precision they were made in
    parity      50 generated test images in float64: the bound is tight whatever the processor

Generated images lie in the bundle (`detector.published`). Real ones are looked for in the data sets that are named, in the
embedded sample, and where the bundle's recipe (checkpoints/NAME.toml) took them from; a set is known by the fingerprint in
results.json.
"""

import platform
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path

import numpy as np

from sedid.config import load_config
from sedid.data.datasets import fingerprint, load_images
from sedid.data.images import ImageError
from sedid.detector.bundle import checkpoint_hash, load_detector, resolve, versions
from sedid.detector.detector import Detector
from sedid.detector.published import published_sets
from sedid.method.diffusion import order
from sedid.progress import Progress
from sedid.recipes.ship import ShipConfig, cut_splits
from sedid.stats.metrics import Metrics
from sedid.storage import read_arrays
from sedid.studies import parity
from sedid.studies.evaluate import nn_row, stat_rows
from sedid.studies.reference_scores import FILE, LABELS, read_gallery, stale, step_sizes
from sedid.studies.results import Evaluation, load_evaluation
from sedid.training.scoring import Scores, score

BOUNDS = {"fp32": 1e-3, "bf16": 0.2}
"""Relative, of a t-error, and absolute, of a probability, by the precision of the network: what another processor, batch
size or number of threads may change of an image's score."""
FIGURE_BOUNDS = {"kept": 1e-4, "anew": 2e-3}
"""Of AUC, ACC and TPR: from the kept scores, which are rounded to float32, and from scores made anew."""
FIGURES = ("auc", "best_acc", "acc", "tpr_at_1", "tpr_at_01")
HOW = "the images are not kept with this detector; `python -m sedid ship` writes them, or name the data set by --data"


@dataclass(frozen=True)
class Check:
    """One thing that was compared, or could not be.

    Attributes:
        what: of which images or figures.
        apart: the largest difference; None where nothing could be compared, and `said` is why.
        bound: the largest that is allowed.
        anew: whether the network was asked.
    """

    what: str
    apart: float | None
    bound: float = 0.0
    said: str = ""
    anew: bool = False

    @property
    def agrees(self) -> bool:
        """False where the difference is larger than allowed, or no number."""
        return self.apart is None or self.apart <= self.bound

    def line(self) -> str:
        """One line for people."""
        if self.apart is None:
            return f"not checked  {self.what}: {self.said}"
        verdict = "agrees       " if self.agrees else "DIFFERS      "
        return f"{verdict}{self.what}: at most {self.apart:.2g} apart, {self.bound:g} allowed"


@dataclass(frozen=True)
class Verification:
    """All checks of one detector.

    Attributes:
        machine: on which they were made, with the versions, in words.
    """

    detector: str
    machine: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing differs and the network was asked at all."""
        return all(check.agrees for check in self.checks) and any(
            check.anew for check in self.checks if check.apart is not None
        )

    def lines(self) -> list[str]:
        """What is printed."""
        if self.passed:
            end = "verified"
        elif all(check.agrees for check in self.checks):
            end = "nothing was scored anew: " + HOW
        else:
            end = "NOT verified: what differs is named above"
        return [f"{self.detector} on {self.machine}", *(check.line() for check in self.checks), end]


def machine() -> str:
    """This machine and the versions, in words."""
    libraries = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"{platform.system()} {platform.machine()}, {cpu_count()} processors; {libraries}"


def furthest(found: np.ndarray, kept: np.ndarray, relative: bool = True) -> float:
    """The largest difference of scores, relative to the kept ones where asked."""
    apart = np.abs(found - kept)
    return float((apart / np.abs(kept) if relative else apart).max())


def verify(
    source: str | Path, data: Sequence[str] = (), count: int = 0, detector: str = "", device: str = "auto"
) -> Generator[Progress, None, Verification]:
    """Compare the figures of a detector with its kept scores, and those with its network of today.

    Args:
        source: a bundle, or a results.json of `evaluate`.
        data: data sets to look for images in.
        count: images of each set that are scored, its first ones; 0: all.
        detector: whose results they are; "" is the bundle they lie in.

    Raises:
        FileNotFoundError: no detector, or no results.
        ValueError: the results are of another checkpoint than the detector, or something cannot be read.
    """
    place = Path(source)
    if not detector and place.is_file():
        if place.parent.name != "sedid":
            raise ValueError(f"{place} lies in no bundle: name its detector by --detector")
        detector = str(place.parent.parent)
    bundle = resolve(detector or source)
    evaluation = load_evaluation(place if place.is_file() else bundle)
    stated = evaluation.results.protocol
    if stated.checkpoint_sha256 != checkpoint_hash(bundle):
        raise ValueError(
            f"{evaluation.file} is of checkpoint {stated.checkpoint_sha256[:12]}, which {bundle} does not hold"
        )
    opened = load_detector(bundle, device, stated.precision or "fp32")
    checks = [kept_figures(opened, evaluation)]
    sets = found_sets(bundle, opened, evaluation, data)
    checks += yield from of_parity(bundle, opened, sets, count)
    checks += yield from of_gallery(bundle, opened, count)
    checks += yield from of_sets(opened, evaluation, sets, count)
    where = f"{machine()}; network on {opened.runtime.device}, {stated.precision or 'fp32'}"
    return Verification(opened.name, where, tuple(checks))


def candidates(bundle: Path, detector: Detector, data: Sequence[str]) -> Iterator[np.ndarray]:
    """Sets of images that may be those of the results, one after another."""
    recipe = Path(f"{bundle}.toml")
    for spec in [*map(str, published_sets(bundle)), *data]:
        yield load_images(spec, detector.size, detector.center_crop)
    try:
        if recipe.is_file():
            config: ShipConfig = load_config(ShipConfig, {"run": "", "out": "."}, recipe, [f"detector={bundle}"])
            yield from cut_splits(config).values()
    except (ImageError, OSError, ValueError):
        return  # its data sets are not here, or are others


def found_sets(
    bundle: Path, detector: Detector, evaluation: Evaluation, data: Sequence[str]
) -> dict[str, np.ndarray | None]:
    """The images of every set of the results; None where they are not at hand."""
    stated = evaluation.results.protocol.images
    found: dict[str, np.ndarray | None] = dict.fromkeys(stated)
    for images in candidates(bundle, detector, data):
        name = next((name for name, about in stated.items() if about.sha256 == fingerprint(images)), None)
        if name is not None:
            found[name] = images
        if all(one is not None for one in found.values()):
            break
    return found


def apart(rows: Sequence[Metrics], published: Sequence[Metrics]) -> float:
    """The largest difference of two tables' figures; infinite where one has a figure or a row that the other lacks."""
    if len(rows) != len(published):
        return float("inf")
    differences = [0.0]
    for ours, theirs in zip(rows, published, strict=True):
        for name in FIGURES:
            a, b = getattr(ours, name), getattr(theirs, name)
            if (a is None) != (b is None):
                return float("inf")
            differences.append(0.0 if a is None else abs(a - b))
    return max(differences)


def tables_apart(
    detector: Detector, evaluation: Evaluation, scores: dict[str, Scores], probabilities: dict[str, np.ndarray]
) -> float:
    """How far the tables of results.json are from those of these scores, of all sets that are given."""
    results, found = evaluation.results, [0.0]
    for reals in (name for name in evaluation.reals if name in scores):
        found.append(apart(stat_rows(detector, scores[reals], scores["generated"]), results.stat[reals]))
        if reals in results.nn and {reals, "generated"} <= probabilities.keys():
            found.append(
                apart([nn_row(detector, probabilities[reals], probabilities["generated"])], [results.nn[reals]])
            )
    return max(found)


def kept_scores(evaluation: Evaluation, name: str) -> tuple[Scores, np.ndarray | None]:
    """The scores of one set that lie beside the results; without any where they were not kept."""
    place, reals = (1, evaluation.reals[0]) if name == "generated" else (0, name)
    found: Scores = {}
    for pair in evaluation.pairs:
        if (both := evaluation.scores(reals, pair)) is not None:
            found[pair] = both[place]
    of_nn = evaluation.scores(reals, None)
    return found, None if of_nn is None else of_nn[place]


def kept_figures(detector: Detector, evaluation: Evaluation) -> Check:
    """results.json against the scores beside it."""
    what = f"figures of {evaluation.file.name} against the scores beside it"
    kept = {name: kept_scores(evaluation, name) for name in ("generated", *evaluation.reals)}
    if not all(scores for scores, _ in kept.values()):
        return Check(what, None, said="the scores were not kept")
    scores = {name: of_set for name, (of_set, _) in kept.items()}
    probabilities = {name: found for name, (_, found) in kept.items() if found is not None}
    return Check(what, tables_apart(detector, evaluation, scores, probabilities), FIGURE_BOUNDS["kept"])


def of_parity(
    bundle: Path, detector: Detector, sets: dict[str, np.ndarray | None], count: int
) -> Generator[Progress, None, list[Check]]:
    """The parity file against the network in float64; of its first images alone where `count` says so."""
    number = min(count or parity.IMAGES, parity.IMAGES)
    what, kept = f"parity, {number} images in float64", read_arrays(bundle / "sedid" / parity.FILE)
    if not kept:
        return [Check(what, None, said=f"there is no sedid/{parity.FILE}; `python -m sedid ship` writes it")]
    if not np.array_equal(kept["path"], parity.own_path(detector)) or str(kept["checkpoint"]) != checkpoint_hash(
        bundle
    ):
        return [Check(f"{what}: it is of another network or pair", float("inf"), parity.BOUND)]
    images = sets.get("generated")
    if images is None or fingerprint(images[: parity.IMAGES]) != str(kept["images"]):
        return [Check(what, None, said=HOW)]
    found = yield from parity.exact(bundle, detector, images[:number])
    return [Check(what, furthest(found, kept["t_errors"][:, :number]), parity.BOUND, anew=True)]


def of_gallery(bundle: Path, detector: Detector, count: int) -> Generator[Progress, None, list[Check]]:
    """The scores of the embedded sample against the network; nothing where the detector has none."""
    if not (bundle / "sedid" / FILE).is_file():
        return []
    gallery, what = read_gallery(bundle / "sedid" / FILE), "scores of the embedded sample"
    try:
        images = {label: load_images(f"sample:{label}", detector.size, detector.center_crop) for label in LABELS}
    except ImageError as error:
        return [Check(what, None, said=str(error))]
    if said := stale(gallery, detector, images):
        return [Check(what, None, said=said)]
    checks = []
    for label in LABELS:
        few = images[label][: count or None]
        scores, probabilities = yield from score(
            detector, few, step_sizes(detector), stage=f"{label} images of the sample"
        )
        kept = gallery.scores[label], gallery.probabilities.get(label)
        checks.append(
            image_by_image(
                f"scores of {len(few):,} {label} images of the embedded sample", (scores, probabilities), kept, "fp32"
            )
        )
    return checks


def image_by_image(
    what: str, found: tuple[Scores, np.ndarray | None], kept: tuple[Scores, np.ndarray | None], precision: str
) -> Check:
    """Scores of the first images of a set against the kept ones of all."""
    differences = [
        furthest(values, kept[0][pair][: len(values)]) for pair, values in found[0].items() if pair in kept[0]
    ]
    if found[1] is not None and kept[1] is not None:
        differences.append(furthest(found[1], kept[1][: len(found[1])], relative=False))
    return Check(what, max(differences), BOUNDS[precision], anew=True)


def of_sets(
    detector: Detector, evaluation: Evaluation, sets: dict[str, np.ndarray | None], count: int
) -> Generator[Progress, None, list[Check]]:
    """The sets of the results against the network, image by image; the figures too, where whole sets are scored."""
    checks, stated = [], evaluation.results.protocol
    walks = order(k for k, _ in evaluation.pairs)
    anew: dict[str, Scores] = {}
    probabilities: dict[str, np.ndarray] = {}
    for name, images in sets.items():
        what = f"scores of {stated.images[name].count:,} {name} images"
        kept = kept_scores(evaluation, name)
        if images is None or not kept[0]:
            where = f" (there: {stated.images[name].data_set})" if stated.images[name].data_set else ""
            checks.append(Check(what, None, said=f"{HOW}{where}" if images is None else "the scores were not kept"))
            continue
        few = images[: count or None]
        found = yield from score(detector, few, walks, stage=f"{name} images")
        checks.append(
            image_by_image(
                what.replace(f"{stated.images[name].count:,}", f"{len(few):,}", 1),
                found,
                kept,
                stated.precision or "fp32",
            )
        )
        if len(few) == len(images):
            anew[name] = found[0]
            if found[1] is not None:
                probabilities[name] = found[1]
    if "generated" in anew and any(name in anew for name in evaluation.reals):
        figures = tables_apart(detector, evaluation, anew, probabilities)
        checks.append(
            Check(f"figures of {evaluation.file.name} from scores made anew", figures, FIGURE_BOUNDS["anew"], anew=True)
        )
    return checks

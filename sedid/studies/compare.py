"""Every method on the same detector, the same images and one shared set of network evaluations.

One pass over the calibration split gives each method's measurements; polarity, thresholds and classifiers are fitted
on them alone (`studies.heads`), but for the method that is the detector's own classifier: it is judged as it is, with its
own threshold. The other classifiers are trained by its recipe. One pass over the test images then streams the scores.
The output folder:

    compare.json            protocol, one row a method, tests between methods; while the loop works, `done` is false and
                            the rows are about the images scored so far
    compare-scores.npz      oriented scores of every test image: `methods` (M,), then `heldout`, `generated` and
                            `members` float32 (M, N)
    compare/                measurements of the calibration split, kept until the loop ends: a run that was killed
                            does not make them again
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sedid import processes
from sedid.config import Count, NotNegative, Seed, Text, Whole
from sedid.data.datasets import as_model_input, load_sets_with_files
from sedid.detector.detector import Detector
from sedid.detector.identity import Identity
from sedid.later import torch
from sedid.method.diffusion import EpsModel
from sedid.method.ledger import Ledger
from sedid.method.methods import METHODS, OF_LATENTS, RESNET, SECMI, Method, costs, method_of
from sedid.progress import Meter, Progress
from sedid.storage import read_kept, write_kept
from sedid.studies.comparison import CALIBRATION, MEANING, TEST, Comparison, ComparisonResults
from sedid.studies.heads import LEAST, Head, fit_head, kept, own_head
from sedid.studies.study import ImageSet, Study, StudyConfig, described, open_study
from sedid.training.baseline import noise_of, read_existing
from sedid.training.checks import SplitCheck, audited, check_unused
from sedid.training.resnet import Recipe

if TYPE_CHECKING:
    from torch import Tensor

DETECTOR = "the detector's calibration"


@dataclass(frozen=True, kw_only=True)
class CompareConfig(StudyConfig):
    """Settings of one comparison."""

    SETS: ClassVar[tuple[str, ...]] = (*CALIBRATION, *TEST.values())

    real: Text  # calibration reals: polarity, thresholds and classifiers come from them
    generated: Text  # calibration images this model generated
    test_real: str = ""  # reals the generator and the calibration never saw
    test_generated: str = ""  # test images this model generated
    members: str = ""  # reals of the generator's training set; "" leaves them out
    methods: tuple[str, ...] = tuple(METHODS)  # names, with parameters where they are to differ: "pia t=300"
    loss_noises: Count = 1  # noises the training loss is averaged over, if its name gives no number
    epochs: Whole = 0  # of the ResNets that are trained; 0: as many as the detector's own classifier, or as train-nn's
    classifier_rate: NotNegative = 0  # their learning rate; 0: likewise, as all else of the recipe
    seed: Seed = 0


def methods_for(config: CompareConfig, detector: Detector) -> list[Method]:
    """The methods asked for; parameters that were not given are the detector's calibrated ones where it has any.

    For the classifiers on SeDID's intermediates those are its own classifier's, for all others STAT's.

    Raises:
        ValueError: an unknown name or parameter, a method named twice, or a parameter outside the schedule.
    """
    if not config.methods:
        raise ValueError(f"methods must name at least one of {', '.join(METHODS)}")
    made = [method_of(text) for text in config.methods]
    names = [method.name for method in made]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"methods names {twice} twice")
    if not detector.space.latent and (of_latents := [name for name in names if name.split()[0] in OF_LATENTS]):
        raise ValueError(f"{of_latents[0]} needs a latent detector: {detector.name} walks on the pixels, without a VAE")
    existing = read_existing(detector.info)
    of_stat, of_nn = (
        dict(zip(("k", "t_sec"), pair, strict=True)) if pair else {}
        for pair in (detector.chosen, detector.nn_pair or detector.chosen)
    )
    for i, method in enumerate(made):
        if {"k", "t_sec"} <= method.parameters.keys() and method.source != SECMI:
            made[i] = method.defaulting(DETECTOR, **(of_nn if method.head == RESNET else of_stat))
        elif "noises" in method.parameters:
            at = {"t": existing["t"]} if existing else {}
            made[i] = method.defaulting("loss_noises", noises=config.loss_noises).defaulting(DETECTOR, **at)
    costs(made, detector.schedule)
    return made


def recipe_for(config: CompareConfig, detector: Detector) -> Recipe:
    """How ResNets are trained for the table: as the detector's own classifier was, if it has one."""
    recipe = Recipe.of(detector.info.get("nn", {}).get("training", {}))
    return replace(
        recipe,
        epochs=config.epochs or recipe.epochs,
        learning_rate=config.classifier_rate or recipe.learning_rate,
        seed=config.seed,
    )


def check_images(
    folder: Path, detector: Detector, calibration: dict[str, np.ndarray], test: dict[str, np.ndarray]
) -> SplitCheck:
    """Refuse test images that chose something; returns what else the sets share.

    Raises:
        ValueError: too few images, or test images that calibrated or trained something.
    """
    if min(map(len, calibration.values())) < LEAST:
        counts = " and ".join(f"{len(images)} {name}" for name, images in calibration.items())
        raise ValueError(f"{counts} calibration images are too few: at least {LEAST} of each are needed")
    for name, images in test.items():
        if len(images) < 2:
            raise ValueError(f"{TEST[name]} needs at least 2 images, not {len(images)}")
    return check_unused(folder, detector.info, {TEST[name]: images for name, images in test.items()}, calibration)


def ledger_of(detector: Detector, eps_model: EpsModel, images: np.ndarray, start: int, size: int, seed: int) -> Ledger:
    """The ledger of one batch of a set, uint8 (N, H, W, 3); noise by (seed, place in the set, draw)."""
    pictures = images[start : start + size]
    x_0 = detector.encode(pictures)

    def reconstructed() -> tuple[Tensor, Tensor]:
        return as_model_input(pictures).to(x_0.device), detector.space.decode(x_0)

    def noise(draw: int) -> Tensor:
        return torch.stack([noise_of(seed, start + i, draw, x_0.shape[1:]) for i in range(len(x_0))])

    return Ledger(eps_model, detector.schedule, x_0, noise, reconstructed if detector.space.latent else None)


def measure_set(
    detector: Detector, methods: Sequence[Method], images: np.ndarray, seed: int, batch_size: int, stage: str
) -> Generator[Progress, None, list[np.ndarray]]:
    """What every method measures of a calibration set, in one shared pass: for each one row an image (`heads.kept`)."""
    meter = Meter(stage, len(images) * sum(costs(methods, detector.schedule)), "evaluations")
    found = []
    for start in processes.share(range(0, len(images), batch_size)):
        ledger, before, rows = ledger_of(detector, detector.eps_model, images, start, batch_size, seed), meter.done, []
        for method in methods:
            rows.append(kept(method.head, method.measure(ledger)))
            done = ledger.evaluations * len(ledger.x_0) * processes.count()
            yield meter.at(min(before + done, meter.total))
        found.append(rows)
    return [np.concatenate(parts) for parts in zip(*processes.gathered(found), strict=True)]


def score_tests(
    detector: Detector, comparison: Comparison, images: dict[str, np.ndarray], seeds: dict[str, int], batch_size: int
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """Oriented scores of every test set, float64 (methods, images), in one shared pass.

    The sets take turns, so that the unfinished rows are about both classes from the first batches on.
    """
    batches = [(start / len(values), name, start) for name, values in images.items() for start in range(0, len(values), batch_size)]  # fmt: skip
    total = sum(map(len, images.values()))
    meter = Meter("scoring test images", total * sum(comparison.added), "evaluations")
    mine: list[tuple[str, np.ndarray]] = []
    empty = np.empty((len(comparison.methods), 0))

    def together(parts: Sequence[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([empty, *(s for n, s in parts if n == name)], axis=1) for name in images}

    for _, name, start in processes.share(sorted(batches)):
        ledger = ledger_of(detector, comparison.clock, images[name], start, batch_size, seeds[name])
        before, scores = meter.done, []
        for number, (method, head) in enumerate(zip(comparison.methods, comparison.heads, strict=True)):
            began, network = time.perf_counter(), comparison.clock.seconds
            scores.append(head.judge(method.measure(ledger), detector.runtime))
            comparison.seconds[number] += time.perf_counter() - began
            comparison.network[number] += comparison.clock.seconds - network
            done = ledger.evaluations * len(ledger.x_0) * processes.count()
            yield meter.at(min(before + done, meter.total))
        comparison.timed += len(ledger.x_0)
        mine.append((name, np.stack(scores)))
        comparison.write(together(mine))
    return together(processes.gathered(mine))


def measured_calibration(
    study: Study[CompareConfig],
    methods: list[Method],
    images: dict[str, np.ndarray],
    sets: dict[str, ImageSet],
    seeds: dict[str, int],
) -> Generator[Progress, None, dict[str, list[np.ndarray]]]:
    """What methods measure of both calibration sets; kept until the loop ends, and not made again by a run that was killed.

    Args:
        images: uint8 (N, H, W, 3) by the names in CALIBRATION.
        sets, seeds: what is stated of them, by "calibration_" + name.
    """
    model = Identity.recorded(study.detector.info).model
    asked = [(method.name, str(method.parameters), method.head) for method in methods]
    measured = {}
    for name, values in images.items():
        what, stage, file = (
            f"calibration_{name}",
            f"measuring {name} calibration images",
            study.out / "compare" / f"{name}.npz",
        )
        print_of = [sets[what].count, sets[what].sha256]
        key = json.dumps([model, print_of, seeds[what], asked, study.config.precision])
        stored = processes.on_main(read_kept, file, key)
        found = None if stored is None else list(stored.values())
        if found is None:
            size = study.config.batch_size
            found = yield from measure_set(study.detector, methods, values, seeds[what], size, stage)
            numbered = {f"measured_{number}": of_method for number, of_method in enumerate(found)}
            processes.on_main(write_kept, file, key, numbered)
        measured[name] = found
    return measured


def fit_heads(
    comparison: Comparison,
    own: Sequence[Head | None],
    measured: dict[str, list[np.ndarray]],
    recipe: Recipe,
    nothing: dict[str, np.ndarray],
) -> Generator[Progress, None, None]:
    """Fit the heads of a comparison, but for those that are the detector's `own`; a row appears with each of them.

    Args:
        measured: of the others, by class of the calibration split.
        nothing: the scores so far, of no images.
    """
    runtime = comparison.detector.runtime
    parts = zip(measured["real"], measured["generated"], strict=True)
    meter = Meter("fitting the methods", len(own), "methods")
    for number, (method, ready) in enumerate(zip(comparison.methods, own, strict=True)):
        head = ready
        if head is None:
            made: Head | None = None
            real, generated = next(parts)
            if processes.is_main():
                made = yield from fit_head(method.head, real, generated, recipe, runtime, f"fitting {method.name}")
            fitted = processes.on_main(lambda made: made, made)  # every process has the same one
            assert fitted is not None
            head = fitted.on(runtime)
        comparison.heads.append(head)
        comparison.write(nothing, at_once=True)
        yield meter.at(number + 1)


def compare(config: CompareConfig) -> Generator[Progress, None, ComparisonResults]:
    """Fit every method on the calibration split, score the test images, write compare.json; returns what is in it.

    Raises:
        ValueError: an unknown method, a parameter that does not fit, no test images, too few images, or test images
            that calibrated or trained something.
    """
    if not (config.test_real and config.test_generated):
        raise ValueError("give test_real and test_generated: images that calibrate nothing")
    study = open_study(config)
    detector, out = study.detector, study.out
    methods = methods_for(config, detector)
    tested = {name: getattr(config, setting) for name, setting in TEST.items() if getattr(config, setting)}
    specs = {f"calibration_{name}": getattr(config, name) for name in CALIBRATION} | tested
    read = load_sets_with_files(specs, detector.size, detector.center_crop)
    calibration = {name: read[f"calibration_{name}"][0] for name in CALIBRATION}
    test = {name: read[name][0] for name in tested}
    splits = check_images(study.folder, detector, calibration, test)
    own = [own_head(method, detector) for method in methods]
    recipe = recipe_for(config, detector)

    sets = described(specs, {name: images for name, (images, _) in read.items()})
    seeds = {name: 10 * config.seed + number for number, name in enumerate(sets)}
    about = ComparisonResults(
        done=False,
        protocol=study.protocol(sets, splits, config.test_generated, sum(costs(methods, detector.schedule))),
        recipe=recipe,
        noise_seeds=seeds,
        calibration_generated_by=study.made_by(config.generated),
        audit=audited(test["heldout"], test["generated"], (read["heldout"][1], read["generated"][1])),
        calibration_leak_warning=audited(calibration["real"], calibration["generated"]).warning,
        scored={},
        rows={},
        tests={},
        meaning=MEANING,
    )
    comparison = Comparison(methods, detector, out, about)
    nothing = {name: np.empty((len(methods), 0)) for name in test}
    comparison.write(nothing, at_once=True)

    fitted = [method for method, head in zip(methods, own, strict=True) if head is None]
    measured = yield from measured_calibration(study, fitted, calibration, sets, seeds)
    yield from fit_heads(comparison, own, measured, recipe, nothing)
    measured.clear()  # classifier inputs are large

    scores = yield from score_tests(detector, comparison, test, seeds, config.batch_size)
    results = processes.on_main(comparison.keep, scores, done=True)
    processes.on_main(shutil.rmtree, out / "compare", ignore_errors=True)
    return results

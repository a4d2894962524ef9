"""Every method on the same detector, the same images and one shared set of network evaluations.

One pass over the calibration split gives each method's measurements; polarity, thresholds and classifiers are fitted
on them alone (`loops.heads`), but for the method that is the detector's own classifier: it is judged as it is, with its
own threshold. The other classifiers are trained by its recipe. One pass over the test images then streams the scores.
The output folder:

    compare.json            protocol, one row a method, tests between methods; while the loop works, `done` is false and
                            the rows are about the images scored so far
    compare-scores.npz      oriented scores of every test image: `methods` (M,), then `heldout`, `generated` and
                            `members` float32 (M, N)
    compare/                measurements of the calibration split, kept until the loop ends: a run that was killed
                            does not make them again
"""

import json
import shutil
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sedid import processes
from sedid.bundle import checkpoint_hash, load_detector, own_folder, resolve, versions
from sedid.config import Count, NotNegative, Precision, Seed, Settings, Text, Whole
from sedid.data import as_model_input, fingerprint, load_images, load_with_files
from sedid.detectors import Detector
from sedid.diffusion import EpsModel
from sedid.identity import Identity
from sedid.ledger import Ledger
from sedid.loops.checked import SplitCheck, audited, check_unused
from sedid.loops.comparison import Comparison
from sedid.loops.existing import noise_of, read_existing
from sedid.loops.generate import provenance
from sedid.loops.heads import LEAST, Head, fit_head, kept, own_head
from sedid.loops.resnet import Recipe
from sedid.methods import METHODS, RESNET, SECMI, Method, costs, method_of
from sedid.progress import Meter, Progress
from sedid.storage import read_kept, write_kept

CALIBRATION = ("real", "generated")
TEST = {"heldout": "test_real", "generated": "test_generated", "members": "members"}
"""Name in the results -> setting."""
DETECTOR = "the detector's calibration"


@dataclass(frozen=True)
class CompareConfig(Settings):
    """Settings of one comparison."""

    detector: Text  # bundle, any diffusers DDPM folder, or a Hub id
    real: Text  # calibration reals: polarity, thresholds and classifiers come from them
    generated: Text  # calibration images this model generated
    test_real: str = ""  # reals the generator and the calibration never saw
    test_generated: str = ""  # test images this model generated
    members: str = ""  # reals of the generator's training set; "" leaves them out
    methods: tuple[str, ...] = tuple(METHODS)  # names, with parameters where they are to differ: "pia t=300"
    loss_noises: Count = 1  # noises the training loss is averaged over, if its name gives no number
    epochs: Whole = 0  # of the ResNets that are trained; 0: as many as the detector's own classifier, or as train-nn's
    classifier_rate: NotNegative = 0  # their learning rate; 0: likewise, as all else of the recipe
    out: str = ""  # folder; "" is sedid/ in the bundle
    batch_size: Count = 32
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False


def methods_for(config: CompareConfig, detector: Detector) -> list[Method]:
    """The methods asked for; parameters that were not given are the detector's calibrated ones where it has any: for
    the classifiers on SeDID's intermediates those of its own classifier, for all others STAT's.

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
    x_0 = as_model_input(images[start : start + size]).to(detector.runtime.device)

    def noise(draw: int) -> Tensor:
        return torch.stack([noise_of(seed, start + i, draw, x_0.shape[1:]) for i in range(len(x_0))])

    return Ledger(eps_model, detector.schedule, x_0, noise)


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


def compare(config: CompareConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Fit every method on the calibration split, score the test images, write compare.json; returns what is in it.

    Raises:
        ValueError: an unknown method, a parameter that does not fit, no test images, too few images, or test images
            that calibrated or trained something.
    """
    if not (config.test_real and config.test_generated):
        raise ValueError("give test_real and test_generated: images that calibrate nothing")
    folder = resolve(config.detector) if config.out else own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile)
    methods = methods_for(config, detector)
    files = {name: getattr(config, name) for name in CALIBRATION}
    tested = {name: getattr(config, setting) for name, setting in TEST.items() if getattr(config, setting)}
    calibration = {name: load_images(spec, detector.size, detector.center_crop) for name, spec in files.items()}
    read = {name: load_with_files(spec, detector.size, detector.center_crop) for name, spec in tested.items()}
    test = {name: images for name, (images, _) in read.items()}
    splits = check_images(folder, detector, calibration, test)
    own = [own_head(method, detector) for method in methods]
    recipe = recipe_for(config, detector)

    prints = {f"calibration_{name}": (len(images), fingerprint(images)) for name, images in calibration.items()}
    prints |= {name: (len(images), fingerprint(images)) for name, images in test.items()}
    seeds = {name: 10 * config.seed + number for number, name in enumerate(prints)}
    local = ("detector", "out", *CALIBRATION, *TEST.values())  # paths of one machine: only their last part is kept
    about: dict[str, Any] = {
        "protocol": {
            "checkpoint_sha256": checkpoint_hash(folder),
            "positive": "generated",
            "scores": "oriented: higher means generated",
            "thresholds_from": "calibration split",
            "recipe": asdict(recipe),
            "images": {name: {"count": count, "sha256": sha256} for name, (count, sha256) in prints.items()},
            "splits": asdict(splits),
            "noise_seeds": seeds,
            "evaluations_per_image": sum(costs(methods, detector.schedule)),
            "trained_on": detector.info.get("training", {}).get("data", ""),
            "generated_by": provenance(config.test_generated, folder),
            "calibration_generated_by": provenance(config.generated, folder),
            "versions": versions(),
            "config": asdict(config)
            | {name: Path(getattr(config, name)).name for name in local}
            | {"methods": list(config.methods)},
        },
        "audit": audited(test["heldout"], test["generated"], (read["heldout"][1], read["generated"][1])),
        "calibration_leak_warning": audited(calibration["real"], calibration["generated"])["warning"],
    }
    out = Path(config.out) if config.out else folder / "sedid"
    comparison = Comparison(methods, detector, out, about)
    nothing = {name: np.empty((len(methods), 0)) for name in test}
    comparison.write(nothing, at_once=True)

    kept_in = {name: out / "compare" / f"{name}.npz" for name in CALIBRATION}
    model = Identity.recorded(detector.info).model
    fitted = [method for method, head in zip(methods, own, strict=True) if head is None]
    asked = [(method.name, str(method.parameters), method.head) for method in fitted]
    measured = {}
    for name, images in calibration.items():
        what, stage = f"calibration_{name}", f"measuring {name} calibration images"
        key = json.dumps([model, prints[what], seeds[what], asked, config.precision])
        stored = processes.on_main(read_kept, kept_in[name], key)
        found = None if stored is None else list(stored.values())
        if found is None:
            found = yield from measure_set(detector, fitted, images, seeds[what], config.batch_size, stage)
            numbered = {f"measured_{number}": values for number, values in enumerate(found)}
            processes.on_main(write_kept, kept_in[name], key, numbered)
        measured[name] = found
    parts = zip(measured["real"], measured["generated"], strict=True)
    meter = Meter("fitting the methods", len(methods), "methods")
    for number, method in enumerate(methods):
        head: Head | None = own[number]
        if head is None:
            made: Any = None
            real, generated = next(parts)
            if processes.is_main():
                stage = f"fitting {method.name}"
                made = yield from fit_head(method.head, real, generated, recipe, detector.runtime, stage)
            head = processes.on_main(lambda made: made, made).on(detector.runtime)  # every process has the same one
        comparison.heads.append(head)
        comparison.write(nothing, at_once=True)
        yield meter.at(number + 1)
    measured.clear()  # classifier inputs are large

    scores = yield from score_tests(detector, comparison, test, seeds, config.batch_size)
    results = processes.on_main(comparison.keep, scores, done=True)
    processes.on_main(shutil.rmtree, out / "compare", ignore_errors=True)
    return results

"""From a finished training run to a shipped detector and every figure it is published with, in one resumable command.

The real images the network never saw and the images of the main sampler are cut into the same disjoint splits:
calibration, classifier and test. The other samplers make test images; those that make images for the classifier too
make them with other seeds, and as many real images stand beside them. Nothing of the test split chooses anything.

    OUT/splits/*.npz, splits.json    the real images of each split
    OUT/<sampler>-<steps>/           the images of each sampler; classifier-<sampler>-<steps>/ what it makes for NN
    OUT/stages.json                  what is finished
    DETECTOR/                        the bundle: weights, calibration, classifier, model card
    DETECTOR/sedid/*.json            the results files; training.json and quality.json are written here, the others by
                                     the loop of their name
    DETECTOR/images/                 the generated calibration and test images (`detector.published`)
    DETECTOR/sedid/samples.png       the first test images of the main sampler, unselected
    DETECTOR/sedid/examples/*.png    what Inspect opens with, where there is no sample (then: assets/)
"""

import shutil
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from math import isclose
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from sedid import processes
from sedid.config import Count, ErrorRate, NotNegative, Positive, Precision, Seed, Settings, StepSizes, Text, Whole
from sedid.data.datasets import crop_of, describe_split, grid_of, load_images, make_splits
from sedid.data.images import check_crop
from sedid.data.licences import closed
from sedid.data.quality import chance, contrast, sliced_wasserstein
from sedid.data.spec import Spec
from sedid.detector.bundle import forget_calibration, frame, load_detector, made_with, update_info
from sedid.detector.export import export_run
from sedid.detector.provenance import provenance
from sedid.detector.published import FOLDER, write_images
from sedid.detector.sample import first_right, write_examples, write_sample
from sedid.models.networks import Runtime, load_unet
from sedid.models.schedules import load_betas
from sedid.paths import ASSETS
from sedid.progress import Progress
from sedid.recipes.stages import Stage, check_settings, quick, run_stages
from sedid.report.card import write_card
from sedid.storage import read_json, replacing, write_json
from sedid.studies.choose import ChooseConfig, choose
from sedid.studies.compare import CompareConfig, compare
from sedid.studies.evaluate import EvaluateConfig, evaluate
from sedid.studies.generalise import GeneraliseConfig, generalise
from sedid.studies.parity import parity
from sedid.studies.polarity import PolarityConfig, polarity
from sedid.studies.reference_scores import GalleryConfig, gallery
from sedid.studies.robustness import RobustnessConfig, robustness
from sedid.studies.shipped import HeldoutLoss, QualityResults, QualityRow, Reference, TrainingResults
from sedid.studies.study import MadeBy
from sedid.studies.sweep import SweepConfig, sweep
from sedid.training import records
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.training.denoising import heldout_loss
from sedid.training.generate import SAMPLERS, GenerateConfig, SamplerName, Variance, generate
from sedid.training.train_nn import TrainNNConfig, train_nn

SPLITS = ("calibration", "classifier", "test")
PUBLISHED = ("calibration", "test")
"""Splits whose generated images are kept with the bundle."""
GRID = 64


@dataclass(frozen=True)
class ShipConfig(Settings):
    """Settings of one shipped detector."""

    detector: Text  # the bundle to write
    out: Text  # work folder
    data: Text  # the images the network was trained on
    heldout: Text  # images it never saw, and none that chose its weights
    run: str = ""  # the run folder of train-ddpm; "" measures the weights the bundle holds
    name: str = ""  # what the data set is called
    before: str = ""  # the training behind the weights the run started from, in words
    center_crop: NotNegative = (
        0  # of photographs, as `images.crop_side`; 0: that of `run`, or what `data` brings by its name
    )
    chosen_on: str = (
        ""  # the images whose held-out loss chose the weights: it is measured again, unless `run` recorded it
    )
    only: tuple[str, ...] = ()  # run these stages, finished or not, and no others
    prompts: str = ""  # of a conditional model, as those of `generate`: its images are drawn of these in turn
    samplers: tuple[str, ...] = (
        "ddim 50",
        "dpm-solver++ 25",
    )  # "name steps" or "name steps count", and of ddpm a variance after it; the first is main
    calibration: Count = 500  # of each class, as the next three
    classifier: Count = 1_000
    test: Count = 2_000
    calibration_real: Whole = 0  # real images of these two splits; 0: as many as generated ones
    test_real: Whole = 0
    sample: Whole = 0  # first test images of each class that the app carries (assets/); 0 leaves its sample as it is
    ks: StepSizes = (165, 330)  # calibrated; every T_SEC of each
    paths: tuple[str, ...] = ()  # and of walks whose steps are not all of one size, each as 0+495+825+990
    error_rate: ErrorRate = 0.1  # of STAT's verdicts, of either class
    classifier_t_sec: Count = 990  # at the calibrated k: the paper's best one on two of its three data sets
    sweep_ks: StepSizes = (55, 110, 165, 245, 330, 495)
    compare_test: Count = 1_000  # test images of each class the comparison of methods takes,
    sweep_test: Count = 500  # the sweep and the choice of a pair,
    robustness: Count = 100  # the robustness study,
    polarity: Count = 200  # and that of the polarity
    members: Count = 1_000  # training images set against as many held-out ones
    epochs: Count = 10
    classifier_rate: Positive = 0.01
    classifier_copies: Whole = 0  # of every classifier image, mildly re-encoded, beside the image itself
    classifier_samplers: tuple[str, ...] = ()  # each "name steps count": images of it for the classifier, too
    posterior: Whole = (
        0  # test images of each class that a latent detector judges at random samples of its posterior, too
    )
    reencoded: Whole = 200  # test images of each class that are mildly re-encoded for the reliability of NN
    methods: tuple[str, ...] = (
        *("sedid-stat", "sedid-nn-pair", "pixels-nn", "sedid-multi-lr ks=165+330", "sedid-multi-gb ks=165+330", "loss"),
        *("secmi-stat", "secmi-nn", "pia", "pian", "dire-stat", "dire-nn", "did-step"),
    )
    photographs: bool = True  # real ones may be passed on with the bundle; CelebA's and ImageNet's never are
    generate_batch: Count = 100
    score_batch: Count = 32
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"  # of calibration, classifier and evaluation: the app's own on a CPU
    bulk_precision: Precision = (
        "fp32"  # of generation and of the studies that set methods, pairs or re-saved images side by side
    )


CLASSIFIER = "classifier-"
FIRST_OF_CLASSIFIER = 100
"""The seed, over that of the settings, of the first set made for the classifier: no image of it is tested on."""


@dataclass(frozen=True)
class Sampled:
    """The images one sampler is to make."""

    sampler: SamplerName
    steps: int
    count: int
    variance: Variance = ""

    @classmethod
    def read(cls, text: str, count: int) -> "Sampled":
        """From "name steps" or "name steps count", a variance at its end or without; `count` where it gives none.

        Raises:
            ValueError: the text is neither.
        """
        name, *numbers = text.split()
        variance = numbers.pop() if numbers and numbers[-1] in get_args(Variance) else ""
        if name not in SAMPLERS or len(numbers) not in (1, 2) or not all(part.isdigit() for part in numbers):
            raise ValueError(
                f'samplers are written "name steps" or "name steps count" with a name of {", ".join(SAMPLERS)}, not {text!r}'
            )
        steps, count = int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else count
        return cls(cast(SamplerName, name), steps, count, cast(Variance, variance))

    @property
    def folder(self) -> str:
        """Its folder in the work folder."""
        return f"{self.sampler.replace('+', 'p')}-{self.steps}{f'-{self.variance}' if self.variance else ''}"

    @property
    def name(self) -> str:
        """What its images are called in tables."""
        return f"{self.sampler}, {self.steps} steps{f', variance {self.variance}' if self.variance else ''}"


def samplers(config: ShipConfig) -> list[Sampled]:
    """What each sampler makes: the main one the images of all splits, the others as many as stand behind them.

    Raises:
        ValueError: a text that is none (`Sampled.read`), or no sampler, or one named twice.
    """
    found = [Sampled.read(text, config.test) for text in config.samplers]
    if not found or len({one.folder for one in found}) < len(found):
        raise ValueError("samplers must name at least one, and none twice")
    if len(config.samplers[0].split()) > 2 + bool(found[0].variance):
        raise ValueError("the first sampler makes the images of every split: give it no count")
    return [replace(found[0], count=sum(sizes(config).values())), *found[1:]]


def for_classifier(config: ShipConfig) -> list[Sampled]:
    """What further samplers make for the classifier.

    Raises:
        ValueError: a text that is none (`Sampled.read`), or one named twice.
    """
    found = [Sampled.read(text, config.classifier) for text in config.classifier_samplers]
    if len({one.folder for one in found}) < len(found):
        raise ValueError("classifier_samplers must name none twice")
    return found


def sizes(config: ShipConfig) -> dict[str, int]:
    """Images of the main sampler by split, in order."""
    return {name: getattr(config, name) for name in SPLITS}


def real_sizes(config: ShipConfig) -> dict[str, int]:
    """Real images by split, in order; the classifier's are as many as all generated ones it learns from."""
    asked = {
        "calibration": config.calibration_real,
        "classifier": config.classifier + sum(one.count for one in for_classifier(config)),
        "test": config.test_real,
    }
    return {name: asked.get(name) or count for name, count in sizes(config).items()}


def frame_of(config: ShipConfig) -> tuple[int, float | None]:
    """At which size and centre crop the images are read: those of the network, whether exported already or not."""
    size, crop = frame(Path(config.run or config.detector))
    if config.run:  # a bundle's own is part of it
        crop = config.center_crop or crop or crop_of(config.data)
    check_crop(crop)
    return size, crop


def cut_splits(config: ShipConfig) -> dict[str, np.ndarray]:
    """The real images of each split, uint8 (N, H, W, 3): the held-out ones cut, the members drawn from the training images.

    Raises:
        ValueError: there are too few.
    """
    seen = frame_of(config)
    heldout, members = load_images(config.heldout, *seen), load_images(config.data, *seen)
    rows = make_splits(len(heldout), real_sizes(config), config.seed)
    splits = {name: heldout[chosen] for name, chosen in rows.items()}
    splits["members"] = members[make_splits(len(members), {"members": config.members}, config.seed)["members"]]
    return splits


def write_splits(config: ShipConfig, out: Path) -> None:
    """Write `cut_splits`, and splits.json last.

    Raises:
        ValueError: as `cut_splits`.
    """
    splits = cut_splits(config)
    sources = {name: Path(config.data if name == "members" else config.heldout).name for name in splits}
    manifest = {name: asdict(describe_split(name, sources[name], x, config.seed)) for name, x in splits.items()}
    for name, values in splits.items():
        with replacing(out / "splits" / f"{name}.npz") as temporary:
            np.savez(temporary, images=values)
    write_json(out / "splits.json", manifest)


def export(config: ShipConfig, bundle: Path) -> None:
    """`export_run`, the name of the data set, and the curve of the run's held-out loss (sedid/training.json)."""
    run = Path(config.run)
    training = export_run(run, bundle, config.name or Path(config.data).name, frame_of(config)[1])["training"]
    known = records.read(run / records.FILE)
    hours = max((record.get("hours", 0.0) for record in known), default=0.0)
    training |= {"hours": round(hours, 2), "before": config.before}
    update_info(bundle, training=training)
    curve = tuple(
        HeldoutLoss(record["step"], record["heldout_loss"], record.get("heldout_plain"))
        for record in known
        if record.get("heldout_loss") is not None
    )
    TrainingResults(settings=training, heldout=curve, versions=made_with()).write(bundle / "sedid" / "training.json")


def write_quality(config: ShipConfig, bundle: Path, real: dict[str, str], made: dict[str, str]) -> None:
    """quality.json, every sampler's test images against as many test reals, and the sample grid of the main one."""
    seen = frame(bundle)
    reference, rows = load_images(real["test"], *seen), []
    for name, spec in made.items():
        images = load_images(spec, *seen)
        count = min(len(images), len(reference))
        found = sliced_wasserstein(reference[:count], images[:count], config.seed)
        rows.append(QualityRow(name, count, found, contrast(images), MadeBy.of(provenance(spec, bundle))))
    results = QualityResults(
        method="sliced Wasserstein distance of 7x7 patches at each level of a Laplacian pyramid, times 1000",
        reference=Reference(len(reference), contrast(reference)),
        rows=tuple(rows),
        versions=made_with(),
    )
    results.write(bundle / "sedid" / "quality.json")
    from PIL import Image

    with replacing(bundle / "sedid" / "samples.png") as temporary:
        Image.fromarray(grid_of(load_images(next(iter(made.values())), *seen)[:GRID])).save(temporary)


def publish_images(config: ShipConfig, bundle: Path, work: Path) -> None:
    """Keep the generated calibration and test images with the bundle (`detector.published`), in place of those of before."""
    shutil.rmtree(bundle / FOLDER, ignore_errors=True)
    main, *others = samplers(config)
    ends = np.cumsum([0, *sizes(config).values()])
    parts = {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(sizes(config)) if name in PUBLISHED}
    for one in (main, *others):
        images = load_images(work / one.folder / "images.npz", *frame(bundle))
        for name, rows in (parts if one is main else {"test": slice(None)}).items():
            write_images(images[rows], bundle / FOLDER / one.folder / f"{name}.zip")
        shutil.copyfile(work / one.folder / "manifest.json", bundle / FOLDER / one.folder / "manifest.json")


def write_chance(config: ShipConfig, bundle: Path, real: dict[str, str]) -> None:
    """Beside every row of quality.json, what as many training images come to against the same test reals.

    Raises:
        ValueError: the test reals are not those of quality.json.
    """
    file, seen = bundle / "sedid" / "quality.json", frame(bundle)
    found = QualityResults.read(file)
    reference, others = load_images(real["test"], *seen), load_images(config.data, *seen)
    if not isclose(found.reference.contrast, contrast(reference), rel_tol=1e-9):
        raise ValueError(f"{file} was measured with other test reals than these settings give")
    rows = [row for row in found.rows if row.made_by]  # older files have one of real images, for all the others
    counts = {row.count for row in rows if row.count <= len(others)}
    levels = {count: chance(reference[:count], others, config.seed) for count in counts}
    replace(found, rows=tuple(replace(row, chance=levels.get(row.count)) for row in rows), versions=made_with()).write(
        file
    )


def write_losses(config: ShipConfig, bundle: Path) -> None:
    """The plain held-out loss of the weights, where their run recorded the weighted one alone.

    Raises:
        ValueError: the images are not those that chose the weights.
    """
    place = bundle / "sedid"
    found, info = TrainingResults.read(place / "training.json"), read_json(place / "detector.json")
    settings: dict[str, Any] = dict(found.settings)
    runtime = Runtime.choose(config.device, "fp32")
    images = load_images(config.chosen_on, *frame(bundle))
    network = runtime.place(load_unet(bundle))
    loss = heldout_loss(network, images, load_betas(bundle), runtime, settings["min_snr_gamma"])
    if not isclose(loss.weighted, settings["heldout_loss"], rel_tol=0.01):  # the run may have measured with bf16
        raise ValueError(
            f"chosen_on gives a held-out loss of {loss.weighted:.5f}, not {settings['heldout_loss']:.5f} as the run: "
            "other images chose the weights"
        )
    plain = {"heldout_plain": loss.plain}
    curve = tuple(
        replace(point, heldout_plain=loss.plain) if point.step == settings["step"] else point for point in found.heldout
    )
    replace(found, settings=settings | plain, heldout=curve, versions=made_with()).write(place / "training.json")
    update_info(bundle, training=info["training"] | plain)


def choose_opening(config: ShipConfig, bundle: Path) -> None:
    """Write down which examples the page opens with (`first_right`)."""
    folder = (ASSETS if config.sample else bundle / "sedid") / "examples"
    update_info(bundle, opens_with=first_right(load_detector(bundle, config.device, config.precision), folder))


def tidied(study: Generator[Progress, None, Any], folder: Path) -> Generator[Progress, None, None]:
    """A study, without the scores it keeps to be gone on with: they are not shipped."""
    yield from study
    processes.on_main(shutil.rmtree, folder, ignore_errors=True)


def stages(config: ShipConfig) -> Iterator[Stage]:
    """Every stage in order; a generator does nothing until it is driven."""
    out, bundle = Path(config.out), Path(config.detector)
    runtime: dict[str, Any] = {"device": config.device, "precision": config.precision}
    bulk = runtime | {"precision": config.bulk_precision}
    scoring: dict[str, Any] = {"detector": config.detector, "batch_size": config.score_batch, **runtime}
    studying = scoring | bulk
    real = {name: str(out / "splits" / f"{name}.npz") for name in (*sizes(config), "members")}
    main, *others = samplers(config)
    learned = for_classifier(config)

    def images(one: Sampled, role: str = "") -> str:
        return str(out / f"{role}{one.folder}" / "images.npz")

    def making(one: Sampled, seed: int, role: str = "") -> Stage:
        made = GenerateConfig(
            detector=config.detector,
            out=str(out / f"{role}{one.folder}"),
            count=one.count,
            sampler=one.sampler,
            steps=one.steps,
            variance=one.variance,
            prompts=config.prompts,
            batch_size=config.generate_batch,
            seed=config.seed + seed,
            **bulk,
        )
        return f"{role}{one.folder}", generate(made)

    ends = np.cumsum([0, *sizes(config).values()])
    generated = {name: f"{images(main)}[{ends[i]}:{ends[i + 1]}]" for i, name in enumerate(sizes(config))}

    held = {real["test"]: real_sizes(config)["test"], generated["test"]: config.test}

    def cut(spec: str, count: int) -> str:
        """The first test images."""
        return str(Spec.parse(spec).first(min(count, held[spec])))

    yield "splits", quick(write_splits, config, out)
    if config.run:
        yield "export", quick(export, config, bundle)
    for number, one in enumerate((main, *others)):
        yield making(one, number)
    for number, one in enumerate(learned, FIRST_OF_CLASSIFIER):
        yield making(one, number, CLASSIFIER)
    made = {main.name: generated["test"]} | {one.name: images(one) for one in others}
    yield "images", quick(publish_images, config, bundle, out)
    yield "quality", quick(write_quality, config, bundle, real, made)
    yield "chance", quick(write_chance, config, bundle, real)
    if config.chosen_on and not config.run:  # whose records have it
        yield "losses", quick(write_losses, config, bundle)
    if not config.run:  # which is exported without a calibration
        yield "afresh", quick(forget_calibration, bundle)
    walks: dict[str, Any] = {"ks": config.ks, "paths": config.paths}
    calibration: dict[str, Any] = {"real": real["calibration"], "generated": generated["calibration"]}
    yield "calibrate", calibrate(CalibrateConfig(**calibration, **walks, **scoring, error_rate=config.error_rate))
    training = TrainNNConfig(
        detector=config.detector,
        real=real["classifier"],
        generated=generated["classifier"],
        others=tuple(images(one, CLASSIFIER) for one in learned),
        reencoded=config.classifier_copies,
        t_sec=config.classifier_t_sec,
        epochs=config.epochs,
        learning_rate=config.classifier_rate,
        batch_size=64,
        cosine=True,
        flip=True,
        seed=config.seed,
        **runtime,
    )
    yield "train-nn", train_nn(training)
    tested: dict[str, Any] = {"heldout": real["test"], "members": real["members"]}
    kept = config.photographs and not closed(config.name, config.data, config.heldout, config.detector)
    measuring: dict[str, Any] = {
        "generated": generated["test"],
        "photographs": kept,
        "reencoded": config.reencoded,
        "posterior": config.posterior,
        **walks,
    }
    yield "evaluate", evaluate(EvaluateConfig(**tested, **measuring, **scoring))
    test: dict[str, Any] = {"test_real": real["test"], "test_generated": generated["test"]}
    some: dict[str, Any] = {name: cut(spec, config.compare_test) for name, spec in test.items()}
    yield "parity", parity(bundle, generated["test"])
    yield "compare", compare(CompareConfig(**calibration, **some, methods=config.methods, **studying))
    yield "generalise", generalise(GeneraliseConfig(**tested, generated=tuple(made.values()), **walks, **scoring))
    few: dict[str, Any] = {name: cut(spec, config.sweep_test) for name, spec in test.items()}
    swept = sweep(SweepConfig(**calibration, **few, ks=config.sweep_ks, paths=config.paths, **studying))
    yield "sweep", tidied(swept, bundle / "sedid" / "sweep")
    chosen = choose(ChooseConfig(**calibration, **few, ks=config.ks, **studying))
    yield "choose", tidied(chosen, bundle / "sedid" / "choice")
    pair: dict[str, Any] = {"real": real["test"], "generated": generated["test"]}
    yield "robustness", robustness(RobustnessConfig(**pair, count=config.robustness, **studying))
    first: dict[str, Any] = {name: cut(spec, config.polarity) for name, spec in pair.items()}
    yield "polarity", polarity(PolarityConfig(**first, detector=config.detector, device=config.device))
    if not config.sample:
        shown = real["test"] if kept else ""
        yield "examples", quick(write_examples, shown, generated["test"], bundle, bundle / "sedid" / "examples")
    else:
        yield "sample", quick(write_sample, *(cut(spec, config.sample) for spec in pair.values()), bundle)
        yield "gallery", gallery(GalleryConfig(**scoring))
    yield "opening", quick(choose_opening, config, bundle)
    yield "card", quick(write_card, bundle)


def ship(config: ShipConfig) -> Generator[Progress, None, Path]:
    """Run the stages that are not finished, yielding their records; returns the bundle.

    Raises:
        ValueError: a setting or the data does not fit, or the work folder holds a run with other settings.
    """
    if config.sample and (closed_set := closed(config.name, config.data, config.heldout)):
        raise ValueError(f"sample must be 0: it is to be passed on, and the photographs of {closed_set} may not be")
    everything = list(stages(config))  # refuses samplers that are none, before anything is written
    out = Path(config.out)
    settings = check_settings(config, out, ("out", "run", "device", "score_batch", "only"))
    if config.only:
        names = [name for name, _ in everything]
        if unknown := [name for name in config.only if name not in names]:
            raise ValueError(f"only names {', '.join(unknown)}; the stages are {', '.join(names)}")
        for name, stage in everything:
            if name in config.only:
                yield from stage
    else:
        yield from run_stages(everything, out, settings)
    return Path(config.detector)

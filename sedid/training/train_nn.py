"""Train the NN verdict: a ResNet-18 (`training.resnet`) on the two intermediates at T_SEC - k.

Threshold and references come from the validation part of the images given; test images have no place here.

A run that was stopped or killed continues after its last finished epoch; until the end that state lies in
sedid/nn-state.safetensors of the bundle. Several processes share the computing of the inputs; the main one trains.
"""

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sedid import processes
from sedid.config import ErrorRate, Precision, Text, Whole
from sedid.data.datasets import fingerprint, load_sets
from sedid.data.perturb import mildly
from sedid.data.spec import Spec
from sedid.data.splits import record_splits, splits_file
from sedid.detector.bundle import load_detector, own_folder, update_info
from sedid.detector.detector import Detector, NNCalibration, Pair
from sedid.detector.export import save_classifier
from sedid.detector.identity import Identity
from sedid.method.diffusion import INPUT_IMAGES, NNInput
from sedid.progress import Progress
from sedid.stats.metrics import best_threshold, measure, quantiles, undecided_band
from sedid.training.checks import audited, check_calibration
from sedid.training.resnet import Recipe, split_rows, train_resnet
from sedid.training.scoring import features
from sedid.training.seeds import seed_of
from sedid.training.tracking import check_trackers, tracking


@dataclass(frozen=True)
class TrainNNConfig(Recipe):
    """Settings of one classifier training."""

    detector: Text  # calibrated bundle folder; it receives the classifier
    real: Text  # reals for training and validation
    generated: Text
    others: tuple[str, ...] = ()  # more generated sets, of other samplers; leave out the one it is to be tested on
    reencoded: Whole = 0  # further copies of every image, mildly re-encoded (`perturb.mildly`), both classes alike
    k: Whole = 0  # 0: that of the detector's calibrated pair
    t_sec: Whole = 0  # 0: that of the calibrated pair
    input: NNInput = "pair"  # pair, error or both
    error_rate: ErrorRate = 0.1
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False
    trackers: tuple[str, ...] = ()  # tensorboard (logs/ beside the bundle), trackio (its own database)


def train_nn(config: TrainNNConfig) -> Generator[Progress, None, dict[str, Any]]:
    """Compute the inputs once, train, choose the epoch, calibrate; writes the `nn` section of the bundle.

    Returns:
        The section: the calibration, the training settings, one row an epoch.

    Raises:
        ValueError: no pair to train at, unknown input, data too small, a tracker that cannot be used.
    """
    check_trackers(config.trackers)
    folder = own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile, parts=("stat",))
    if config.input not in INPUT_IMAGES:
        raise ValueError(f"unknown classifier input {config.input!r}; accepted: {', '.join(INPUT_IMAGES)}")
    if (config.k and not config.t_sec) or not (config.k or detector.chosen):
        raise ValueError("give both k and t_sec, or calibrate the detector first and give t_sec alone or neither")
    own = detector.chosen or (config.k, config.t_sec)
    k, t_sec = config.k or own[0], config.t_sec or own[1]
    others = {f"generated {place}": spec for place, spec in enumerate(config.others, 2)}
    specs = {"real": config.real, "generated": config.generated, **others}
    read = load_sets(specs, detector.size, detector.center_crop)
    images = {"real": read.pop("real"), "generated": np.concatenate([*read.values()])}
    leaks = audited(images["real"], images["generated"]).warning
    inputs = {}
    for name, label_images in images.items():
        split_rows(len(label_images), config.validation, config.seed)  # refuses too few before they are walked
        seeds = [seed_of(config.seed, 2 * copy + (name == "generated")) for copy in range(config.reencoded)]
        walked = np.concatenate([label_images, *(mildly(label_images, seed) for seed in seeds)])
        inputs[name] = yield from features(
            detector, walked, k, t_sec, config.input, stage=f"intermediates of {name} images"
        )
    section: dict[str, Any] = {}
    if processes.is_main():
        section = yield from train(config, detector, (k, t_sec), images, leaks, inputs)
    return processes.on_main(lambda: section)


def train(
    config: TrainNNConfig,
    detector: Detector,
    pair: Pair,
    images: dict[str, np.ndarray],
    leaks: str,
    inputs: dict[str, np.ndarray],
) -> Generator[Progress, None, dict[str, Any]]:
    """`train_nn` from the inputs on, float16 (N, channels, H, W) of either class."""
    k, t_sec = pair
    prints = {name: fingerprint(values) for name, values in images.items()}
    same = {name: value for name, value in asdict(config).items() if name not in ("detector", "trackers", *images)}
    same["others"] = [Spec.parse(spec).short for spec in config.others]  # without the folders of this machine
    key = json.dumps([Identity.recorded(detector.info).model, prints, same | {"k": k, "t_sec": t_sec}])
    state = Path(config.detector) / "sedid" / "nn-state.safetensors"
    logs = Path(config.detector).resolve().parent / "logs"
    trained = yield from train_resnet(
        inputs["real"],
        inputs["generated"],
        config,
        detector.runtime,
        "training the classifier",
        (state, key),
        lambda done: tracking(config.trackers, "train-nn", logs, detector.runtime, done),
        copies=1 + config.reencoded,
    )
    real, generated = trained.real, trained.generated
    threshold = best_threshold(real, generated)
    calibration = NNCalibration(
        k=k,
        t_sec=t_sec,
        polarity="larger",
        threshold=threshold,
        band=undecided_band(real, generated, threshold, config.error_rate),
        real=quantiles(real),
        generated=quantiles(generated),
        auc=measure(real, generated).auc,
        input=config.input,
        temperature=trained.temperature,
    )
    section = {
        "calibration": asdict(calibration),
        "error_rate": config.error_rate,
        "calibrated_on": f"{len(real) + len(generated)} validation images, not trained on"
        + (", re-encoded copies among them" if config.reencoded else ""),
        "data": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
        "leak_warning": leaks,
        "splits": asdict(check_calibration(Path(config.detector), detector.info, "classifier", images)),
        "training": same,
        "epochs": trained.history,
    }
    save_classifier(trained.network, Path(config.detector))
    update_info(Path(config.detector), nn=section)
    record_splits(splits_file(Path(config.detector)), {f"classifier_{name}": values for name, values in images.items()})
    state.unlink(missing_ok=True)
    return section

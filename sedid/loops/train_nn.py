"""Train the NN verdict: a ResNet-18 on the two intermediates at T_SEC - k.

The images given are split once, by seed, into a training and a validation part. The epoch is chosen on the
validation part, and temperature, threshold and references come from it too; test images have no place here.

A run that was stopped or killed continues after its last finished epoch; until the end that state lies in
sedid/nn-state.safetensors of the bundle. Several processes share the computing of the inputs; the main one trains.
"""

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass
from math import cos, isfinite, pi
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sedid import processes
from sedid.bundle import load_detector, own_folder, save_classifier, update_info
from sedid.config import Count, Decay, ErrorRate, NotNegative, Positive, Precision, Seed, Settings, Share, Text, Whole
from sedid.data import fingerprint, load_images
from sedid.detectors import INPUT_CHANNELS, Detector, NNCalibration, NNInput
from sedid.identity import Identity
from sedid.loops.checked import audited, check_calibration
from sedid.loops.nn_state import load_state, save_state
from sedid.loops.score import features
from sedid.loops.tracking import check_trackers, tracking
from sedid.metrics import best_threshold, measure, quantiles, undecided_band
from sedid.models import Runtime, make_resnet18
from sedid.progress import Meter, Progress
from sedid.splits import record_splits, splits_file


@dataclass(frozen=True)
class TrainNNConfig(Settings):
    """Settings of one classifier training; the optimiser's defaults are the paper's."""

    detector: Text  # calibrated bundle folder; it receives the classifier
    real: Text  # reals for training and validation
    generated: Text
    k: Whole = 0  # 0: that of the detector's calibrated pair
    t_sec: Whole = 0  # 0: that of the calibrated pair
    input: NNInput = "pair"  # pair, error or both
    validation: Share = 0.2  # share of each class kept for choosing the epoch and for calibration
    epochs: Count = 20
    batch_size: Count = 128
    learning_rate: Positive = 1e-3
    cosine: bool = False  # anneal the learning rate to zero
    momentum: Decay = 0.9
    weight_decay: NotNegative = 5e-4
    flip: bool = False  # random horizontal flips of the intermediates
    error_rate: ErrorRate = 0.1
    seed: Seed = 0
    device: str = "auto"
    precision: Precision = "fp32"
    compile: bool = False
    trackers: tuple[str, ...] = ()  # tensorboard (logs/ beside the bundle), trackio (its own database)


def split_rows(count: int, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint training and validation rows of one class.

    Raises:
        ValueError: fewer than 10 images, or a part would be empty.
    """
    kept = round(count * validation)
    if count < 10 or kept < 1 or kept >= count:
        raise ValueError(f"{count} images are too few to keep {validation:.0%} for validation; at least 10 are needed")
    order = np.random.default_rng(seed).permutation(count)
    return order[kept:], order[:kept]


@torch.inference_mode()
def logits_of(network: nn.Module, inputs: np.ndarray, runtime: Runtime, batch_size: int = 256) -> Tensor:
    """Logits of float16 inputs (N, channels, H, W); float64 (N,) on the CPU."""
    network.eval()
    found = []
    for start in range(0, len(inputs), batch_size):
        batch = torch.from_numpy(inputs[start : start + batch_size]).float()
        found.append(network(batch.to(runtime.device, memory_format=torch.channels_last))[:, 0].double().cpu())
    return torch.cat(found)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of at least 1 that minimises the log loss of sigmoid(logits / T) (Guo et al. 2017).

    It may soften the logits, never sharpen them: where no validation image is on the wrong side, the loss falls
    without end as T goes to 0, and probabilities of 0 and 1 would claim what some hundred images cannot show.

    A coarse-to-fine search over log T in [0, 3]: the loss is smooth in one variable.
    """
    low, high = 0.0, 3.0
    for _ in range(4):
        grid = torch.linspace(low, high, 41, dtype=torch.float64)
        losses = torch.stack([F.binary_cross_entropy_with_logits(logits / value.exp(), labels) for value in grid])
        best, width = float(grid[losses.argmin()]), (high - low) / 20
        low, high = max(best - width, 0.0), best + width
    return float(np.exp(best))


def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: np.ndarray,
    labels: np.ndarray,
    config: TrainNNConfig,
    runtime: Runtime,
    start: int = 0,
) -> Generator[tuple[int, float, float], None, None]:
    """Train in place on float16 inputs and 0/1 labels, from epoch `start` on.

    Yields:
        (epoch, mean loss, learning rate) after each.

    Raises:
        ValueError: the inputs or a loss are not finite.
    """
    if not np.isfinite(inputs).all():
        raise ValueError("the classifier's inputs are not all finite: the network gives NaN or infinity for some image")
    for epoch in range(start, config.epochs):
        network.train()
        rate = config.learning_rate * ((1 + cos(pi * epoch / config.epochs)) / 2 if config.cosine else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        order = np.random.default_rng([config.seed, epoch]).permutation(len(inputs))
        generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
        losses = []
        for start in range(0, len(order) - 1, config.batch_size):  # a last batch of one would break batch norm
            rows = order[start : start + config.batch_size]
            x, y = torch.from_numpy(inputs[rows]).float(), torch.from_numpy(labels[rows]).float()
            if config.flip:
                flipped = torch.rand(len(x), generator=generator) < 0.5
                x = torch.where(flipped[:, None, None, None], x.flip(3), x)
            x = x.to(runtime.device, memory_format=torch.channels_last)
            with runtime.autocast():
                logits = network(x)[:, 0]
            loss = F.binary_cross_entropy_with_logits(logits.float(), y.to(runtime.device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if not isfinite(losses[-1]):
                raise diverged(f"loss in step {len(losses)}", epoch + 1, rate)
        yield epoch + 1, float(np.mean(losses)), rate


def diverged(what: str, epoch: int, rate: float) -> ValueError:
    """The sentence about a training that cannot go on."""
    return ValueError(
        f"the classifier's {what} of epoch {epoch} is not finite: its training has diverged, and what the detector held before "
        f"is kept. Lower its learning rate (now {rate:g})"
    )


def train_nn(config: TrainNNConfig) -> Generator[Progress, None, dict]:
    """Compute the inputs once, train, choose the epoch, calibrate; writes the `nn` section of the bundle.

    Returns:
        The section: the calibration, the training settings, one row an epoch.

    Raises:
        ValueError: no pair to train at, unknown input, data too small, a tracker that cannot be used.
    """
    check_trackers(config.trackers)
    folder = own_folder(config.detector)
    detector = load_detector(folder, config.device, config.precision, config.compile, parts=("stat",))
    if config.input not in INPUT_CHANNELS:
        raise ValueError(f"unknown classifier input {config.input!r}; accepted: {', '.join(INPUT_CHANNELS)}")
    if (config.k and not config.t_sec) or not (config.k or detector.chosen):
        raise ValueError("give both k and t_sec, or calibrate the detector first and give t_sec alone or neither")
    own = detector.chosen or (0, 0)
    k, t_sec = config.k or own[0], config.t_sec or own[1]
    specs = {"real": config.real, "generated": config.generated}
    images = {name: load_images(spec, detector.size, detector.center_crop) for name, spec in specs.items()}
    leaks = audited(images["real"], images["generated"])["warning"]
    inputs, splits = {}, {}
    for name, label_images in images.items():
        splits[name] = split_rows(len(label_images), config.validation, config.seed)
        inputs[name] = yield from features(
            detector, label_images, k, t_sec, config.input, stage=f"intermediates of {name} images"
        )
    parts = [
        (
            np.concatenate([inputs["real"][splits["real"][part]], inputs["generated"][splits["generated"][part]]]),
            np.repeat([0, 1], [len(splits["real"][part]), len(splits["generated"][part])]),
        )
        for part in (0, 1)
    ]
    section: dict = {}
    if processes.is_main():
        section = yield from train(config, detector, (k, t_sec), images, leaks, *parts)
    return processes.on_main(lambda: section)


def train(
    config: TrainNNConfig,
    detector: Detector,
    pair: tuple[int, int],
    images: dict[str, np.ndarray],
    leaks: str,
    training: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
) -> Generator[Progress, None, dict]:
    """`train_nn` from the inputs on: (float16 (N, channels, H, W), 0/1 labels (N,)) of both parts."""
    (x_train, y_train), (x_validation, y_validation), (k, t_sec) = training, validation, pair
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = detector.runtime.place(make_resnet18(INPUT_CHANNELS[config.input]))
    optimizer = torch.optim.SGD(
        network.parameters(), config.learning_rate, config.momentum, weight_decay=config.weight_decay
    )
    prints = {name: fingerprint(values) for name, values in images.items()}
    same = {name: value for name, value in asdict(config).items() if name not in ("detector", "trackers", *images)}
    key = json.dumps([Identity.recorded(detector.info).model, prints, same | {"k": k, "t_sec": t_sec}])
    state = Path(config.detector) / "sedid" / "nn-state.safetensors"
    best, kept = load_state(state, key, network, optimizer) or ({}, {"loss": float("inf"), "history": []})
    best_loss, history = kept["loss"], kept["history"]

    labels = torch.from_numpy(y_validation).double()
    meter = Meter("training the classifier", config.epochs, "epochs", len(history))
    epochs = fit(network, optimizer, x_train, y_train, config, detector.runtime, len(history))
    logs = Path(config.detector).resolve().parent / "logs"
    with tracking(config.trackers, "train-nn", logs, detector.runtime, len(history)) as track:
        for epoch, loss, rate in epochs:
            logits = logits_of(network, x_validation, detector.runtime)
            validation_loss = float(F.binary_cross_entropy_with_logits(logits, labels))
            if not isfinite(validation_loss):
                raise diverged("validation loss", epoch, rate)
            scores = logits.numpy()
            row = {"loss": loss, "validation_loss": validation_loss}
            row["validation_auc"] = measure(scores[y_validation == 0], scores[y_validation == 1]).auc
            row["validation_accuracy"] = float(np.mean((scores > 0) == y_validation))
            history.append({"epoch": epoch} | row)
            if validation_loss < best_loss:
                best_loss = validation_loss
                best = {name: value.detach().clone() for name, value in network.state_dict().items()}
                best["logits of validation"] = logits
            if epoch < config.epochs:
                save_state(state, key, network, optimizer, best, {"loss": best_loss, "history": history})
            track(row | {"learning_rate": rate}, epoch)
            yield meter.at(epoch, **row)
    best_logits = best.pop("logits of validation")
    network.load_state_dict(best)
    temperature = fit_temperature(best_logits, labels)
    probabilities = torch.sigmoid(best_logits / temperature).numpy()
    real, generated = probabilities[y_validation == 0], probabilities[y_validation == 1]
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
        temperature=temperature,
    )
    section = {
        "calibration": asdict(calibration),
        "error_rate": config.error_rate,
        "calibrated_on": f"{len(x_validation)} validation images, not trained on",
        "data": {name: {"count": len(values), "sha256": prints[name]} for name, values in images.items()},
        "leak_warning": leaks,
        "splits": asdict(check_calibration(Path(config.detector), detector.info, "classifier", images)),
        "training": same,
        "epochs": history,
    }
    save_classifier(network, Path(config.detector))
    update_info(Path(config.detector), nn=section)
    record_splits(splits_file(Path(config.detector)), {f"classifier_{name}": values for name, values in images.items()})
    state.unlink(missing_ok=True)
    return section

"""The one way a ResNet-18 learns to tell real from generated.

`training.train_nn` trains the NN verdict by it, and the classifiers of a comparison (`studies.heads`) are trained by it
too.

The inputs of each class are split once, by seed, into a training and a validation part. The epoch is chosen on the
validation part, and temperature and what else is calibrated come from it too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from math import cos, isfinite, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sedid.config import Count, Decay, NotNegative, Positive, Seed, Settings, Share
from sedid.later import torch
from sedid.models.eight_bits import from_eight_bits, to_eight_bits
from sedid.models.networks import Runtime, make_resnet18
from sedid.progress import Meter, Progress
from sedid.stats.metrics import measure
from sedid.training.nn_state import load_state, save_state

if TYPE_CHECKING:
    from torch import Tensor

Track = Callable[[Mapping[str, float | None], int], None]
"""Takes the measurements of an epoch, and its number."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """How a ResNet is trained; the optimiser's defaults are the paper's."""

    validation: Share = 0.2  # share of each class kept for choosing the epoch and for calibration
    epochs: Count = 20
    batch_size: Count = 128
    learning_rate: Positive = 1e-3
    cosine: bool = False  # anneal the learning rate to zero
    momentum: Decay = 0.9
    weight_decay: NotNegative = 5e-4
    flip: bool = False  # random horizontal flips of the inputs
    seed: Seed = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Recipe:
        """That of settings which hold more; what they lack has its default."""
        return cls(**{part.name: settings[part.name] for part in fields(cls) if part.name in settings})


@dataclass(frozen=True)
class Trained:
    """A trained ResNet.

    Attributes:
        network: with the weights of the best epoch.
        temperature: of its logits.
        real, generated: probabilities of "generated" of the validation part, (N,) each.
        trained_on: images of both classes.
        epoch: the best one, from 1.
        history: one row an epoch.
    """

    network: torch.nn.Module
    temperature: float
    real: np.ndarray
    generated: np.ndarray
    trained_on: int
    epoch: int
    history: list[dict[str, Any]]


def split_rows(count: int, validation: float, seed: int, copies: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint training and validation rows of one class.

    Args:
        count: images of it.
        copies: how often they stand after each other; all copies of an image are on one side.

    Raises:
        ValueError: fewer than 10 images, or a part would be empty.
    """
    kept = round(count * validation)
    if count < 10 or kept < 1 or kept >= count:
        raise ValueError(f"{count} images are too few to keep {validation:.0%} for validation; at least 10 are needed")
    order = np.random.default_rng(seed).permutation(count)
    places = count * np.arange(copies)[:, None]
    return (places + order[kept:]).ravel(), (places + order[:kept]).ravel()


def logits_of(network: torch.nn.Module, inputs: np.ndarray, runtime: Runtime, batch_size: int = 256) -> Tensor:
    """Logits of float16 inputs (N, channels, H, W); float64 (N,) on the CPU."""
    with torch.inference_mode():
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
        losses = torch.stack(
            [torch.nn.functional.binary_cross_entropy_with_logits(logits / value.exp(), labels) for value in grid]
        )
        best, width = float(grid[losses.argmin()]), (high - low) / 20
        low, high = max(best - width, 0.0), best + width
    return float(np.exp(best))


def fit(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
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
    for epoch in range(start, recipe.epochs):
        network.train()
        rate = recipe.learning_rate * ((1 + cos(pi * epoch / recipe.epochs)) / 2 if recipe.cosine else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(inputs))
        generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
        losses = []
        for start in range(0, len(order) - 1, recipe.batch_size):  # a last batch of one would break batch norm
            rows = order[start : start + recipe.batch_size]
            x, y = torch.from_numpy(inputs[rows]).float(), torch.from_numpy(labels[rows]).float()
            if recipe.flip:
                flipped = torch.rand(len(x), generator=generator) < 0.5
                x = torch.where(flipped[:, None, None, None], x.flip(3), x)
            x = x.to(runtime.device, memory_format=torch.channels_last)
            with runtime.autocast():
                logits = network(x)[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), y.to(runtime.device))
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


Labelled = tuple[np.ndarray, np.ndarray]
"""Inputs of both classes, float16 (N, channels, H, W), and their labels (N,): 0 real, 1 generated."""


def halves(real: np.ndarray, generated: np.ndarray, recipe: Recipe, copies: int = 1) -> tuple[Labelled, Labelled]:
    """The part that is trained on, and the one that validates.

    Args:
        copies: inputs of each image; all of an image go to the same part, as `split_rows` has it.

    Raises:
        ValueError: as `split_rows`.
    """
    split = (split_rows(len(x) // copies, recipe.validation, recipe.seed, copies) for x in (real, generated))
    training, validation = (
        (np.concatenate([real[rows[0]], generated[rows[1]]]), np.repeat([0, 1], [len(part) for part in rows]))
        for rows in zip(*split, strict=True)
    )
    return training, validation


def told_apart(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """AUC and accuracy of logits (N,) against labels (N,), as a record names them."""
    return {
        "validation_auc": measure(scores[labels == 0], scores[labels == 1]).auc,
        "validation_accuracy": float(np.mean((scores > 0) == labels)),
    }


def train_resnet(
    real: np.ndarray,
    generated: np.ndarray,
    recipe: Recipe,
    runtime: Runtime,
    stage: str,
    state: tuple[Path, str] | None = None,
    tracked: Callable[[int], AbstractContextManager[Track]] = lambda done: nullcontext(lambda values, epoch: None),
    copies: int = 1,
) -> Generator[Progress, None, Trained]:
    """Train a ResNet-18 on the inputs of both classes, float16 (N, channels, H, W), yielding a record an epoch.

    Its weights are those that 8 bits hold (`models.eight_bits`), and so are its temperature and its probabilities.

    Args:
        stage: what it is called.
        state: a file that an interrupted training is continued from, which the caller removes when it needs it no more,
            and what the training depends on beside the recipe (`nn_state`); None keeps nothing.
        copies: how often each image stands in the inputs of its class, all of them after each other that many times: its
            copies go to the same side of the validation split.
        tracked: opens what takes the measurements, given how many epochs are done.

    Raises:
        ValueError: too few images for the validation part, or inputs or a loss that are not finite.
    """
    (x_train, y_train), (x_validation, y_validation) = halves(real, generated, recipe, copies)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = runtime.place(make_resnet18(real.shape[1]))
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
    )
    best, kept = (load_state(*state, network, optimizer) if state else None) or (
        {},
        {"loss": float("inf"), "history": []},
    )
    best_loss, history = kept["loss"], kept["history"]
    labels = torch.from_numpy(y_validation).double()
    meter = Meter(stage, recipe.epochs, "epochs", len(history))
    epochs = fit(network, optimizer, x_train, y_train, recipe, runtime, len(history))
    with tracked(len(history)) as track:
        for epoch, loss, rate in epochs:
            logits = logits_of(network, x_validation, runtime)
            validation_loss = float(torch.nn.functional.binary_cross_entropy_with_logits(logits, labels))
            if not isfinite(validation_loss):
                raise diverged("validation loss", epoch, rate)
            row = {"loss": loss, "validation_loss": validation_loss} | told_apart(logits.numpy(), y_validation)
            history.append({"epoch": epoch} | row)
            if validation_loss < best_loss:
                best_loss = validation_loss
                best = {name: value.detach().clone() for name, value in network.state_dict().items()}
            if state and epoch < recipe.epochs:
                save_state(*state, network, optimizer, best, {"loss": best_loss, "history": history})
            track(row | {"learning_rate": rate}, epoch)
            yield meter.at(epoch, **row)
    # as they will be kept: what follows is of these weights
    network.load_state_dict(from_eight_bits(to_eight_bits(best)))
    logits = logits_of(network, x_validation, runtime)
    temperature = fit_temperature(logits, labels)
    probabilities = torch.sigmoid(logits / temperature).numpy()
    return Trained(
        network,
        temperature,
        probabilities[y_validation == 0],
        probabilities[y_validation == 1],
        len(x_train),
        min(history, key=lambda row: row["validation_loss"])["epoch"],
        history,
    )

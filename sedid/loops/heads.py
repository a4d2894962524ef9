"""Heads: how what a method measures becomes an oriented score, fitted on the calibration split alone.

    threshold             polarity and threshold of the statistic, as `loops.calibrate` fits them
    logistic regression   StandardScaler + L2 logistic regression on a feature vector
    gradient boosting     scikit-learn's HistGradientBoostingClassifier on the same
    ResNet-18             on classifier inputs, trained as `loops.train_nn` trains the NN verdict

The scikit-learn heads are fitted by nested cross-validation: inner folds choose the hyperparameters, outer folds, which
chose nothing, give the score that is reported and the threshold.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sedid.loops.train_nn import TrainNNConfig, fit, fit_temperature, logits_of, split_rows
from sedid.methods import BOOSTING, LOGISTIC, RESNET, THRESHOLD
from sedid.metrics import best_threshold, measure
from sedid.models import Runtime, make_resnet18
from sedid.progress import Meter, Progress

OUTER, INNER = 5, 3
"""Folds of the nested cross-validation."""
LEAST = 10
"""Calibration images a class needs: every inner fold has some of each then."""


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Attributes:
        kind: one of `methods.HEADS`.
        polarity: "smaller" if a smaller raw score means generated; of classifiers always "larger".
        threshold: oriented: generated if score >= threshold.
        threshold_from: where it came from, for the reader.
        auc: what the same images said of it: AUC on the calibration split, in this polarity.
        auc_from: which of them.
        model: the scikit-learn estimator or the network; None for a threshold.
        temperature: of the network's logits.
        details: what else is worth writing down: hyperparameters, folds, epochs.
    """

    kind: str
    polarity: str
    threshold: float
    threshold_from: str
    auc: float
    auc_from: str
    model: Any = field(default=None, repr=False)
    temperature: float = 1.0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """-1 where a smaller raw score means generated."""
        return -1 if self.polarity == "smaller" else 1

    def on(self, runtime: Runtime) -> "Head":
        """The head with its network, if it has one, on the runtime's device."""
        return replace(self, model=runtime.place(self.model)) if isinstance(self.model, nn.Module) else self

    def score(self, measured: np.ndarray, runtime: Runtime) -> np.ndarray:
        """Oriented scores, float64 (B,): of a threshold the statistic itself, turned; of scikit-learn's the log odds;
        of the network the probability of "generated".

        Args:
            measured: what `kept` made of the method's measurement.
        """
        if self.kind == THRESHOLD:
            return self.sign * measured.astype(np.float64)
        if self.kind == RESNET:
            return torch.sigmoid(logits_of(self.model, measured, runtime) / self.temperature).numpy()
        return self.model.decision_function(measured).astype(np.float64)


def kept(kind: str, measured: torch.Tensor) -> np.ndarray:
    """A measurement as its head takes it: float16 classifier inputs, as `loops.train_nn` has them, else float64."""
    values = measured.half() if kind == RESNET else measured.double()
    return values.contiguous().cpu().numpy()  # one layout, so that a resumed training rounds as an uninterrupted one


def fit_head(
    kind: str, real: np.ndarray, generated: np.ndarray, config: TrainNNConfig, runtime: Runtime, stage: str
) -> Generator[Progress, None, Head]:
    """Fit a head on the calibration split.

    Args:
        real, generated: measurements of both classes (`kept`), one row an image.
        config: how the ResNet is trained; `validation` and `seed` are those of all heads.

    Raises:
        ValueError: fewer than LEAST images of a class, or a measurement is not finite.
    """
    if min(len(real), len(generated)) < LEAST:
        raise ValueError(
            f"{len(real)} real and {len(generated)} generated calibration images are too few: "
            f"at least {LEAST} of each are needed"
        )
    if not (np.isfinite(real).all() and np.isfinite(generated).all()):
        raise ValueError(f"{stage}: a measurement is not finite; the images or the weights are broken")
    if kind == THRESHOLD:
        return fit_threshold(real, generated)
    if kind == RESNET:
        return (yield from fit_resnet(real, generated, config, runtime, stage))
    return (yield from fit_nested(kind, real, generated, config.seed, stage))


def fit_threshold(real: np.ndarray, generated: np.ndarray) -> Head:
    """Polarity and threshold of a statistic (N,)."""
    auc = measure(-real, -generated).auc
    polarity = "smaller" if auc >= 0.5 else "larger"
    sign = -1 if polarity == "smaller" else 1
    threshold = best_threshold(sign * real, sign * generated)
    where = f"calibration split, {len(real)} real and {len(generated)} generated images"
    return Head(THRESHOLD, polarity, threshold, where, max(auc, 1 - auc), "the images that gave the threshold")


def candidates(kind: str, seed: int) -> tuple[Any, dict[str, list[Any]]]:
    """An unfitted scikit-learn estimator and the hyperparameters to choose among."""
    if kind == LOGISTIC:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
        return estimator, {"logisticregression__C": [0.01, 0.1, 1.0, 10.0, 100.0]}
    if kind == BOOSTING:
        from sklearn.ensemble import HistGradientBoostingClassifier

        trees = HistGradientBoostingClassifier(max_iter=100, class_weight="balanced", random_state=seed)
        return trees, {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [4, 15]}
    raise ValueError(f"unknown head {kind!r}")


def fit_nested(
    kind: str, real: np.ndarray, generated: np.ndarray, seed: int, stage: str
) -> Generator[Progress, None, Head]:
    """Fit a scikit-learn head on feature vectors (N, D) by nested cross-validation, OUTER times INNER folds.

    The threshold is the best one of the outer folds' pooled scores: no image is judged by a model that saw it. The
    model itself is then fitted on all of them, its hyperparameters chosen by the inner folds once more.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    x, y = np.concatenate([real, generated]), np.repeat([0, 1], [len(real), len(generated)])
    estimator, grid = candidates(kind, seed)
    folds = StratifiedKFold(INNER, shuffle=True, random_state=seed)
    search = GridSearchCV(estimator, grid, scoring="roc_auc", cv=folds)
    meter = Meter(stage, OUTER + 1, "folds")
    scores, aucs = np.empty(len(x)), []
    for train, test in StratifiedKFold(OUTER, shuffle=True, random_state=seed).split(x, y):
        scores[test] = search.fit(x[train], y[train]).decision_function(x[test])
        aucs.append(measure(scores[test][y[test] == 0], scores[test][y[test] == 1]).auc)
        yield meter.at(len(aucs), auc=float(np.mean(aucs)))
    search.fit(x, y)
    yield meter.at(OUTER + 1, auc=float(np.mean(aucs)))
    return Head(
        kind,
        "larger",
        best_threshold(scores[y == 0], scores[y == 1]),
        f"scores of {OUTER} outer folds of the calibration split, none by a model that saw the image",
        float(np.mean(aucs)),
        f"mean of {OUTER} outer folds of nested cross-validation",
        search.best_estimator_,
        details={"hyperparameters": search.best_params_, "outer_aucs": aucs, "inner_folds": INNER},
    )


def fit_resnet(
    real: np.ndarray, generated: np.ndarray, config: TrainNNConfig, runtime: Runtime, stage: str
) -> Generator[Progress, None, Head]:
    """Train a ResNet-18 on classifier inputs, float16 (N, C, H, W): epoch, temperature and threshold come from the
    validation part of the calibration split, as in `loops.train_nn`.

    Raises:
        ValueError: the loss was never finite.
    """
    splits = [split_rows(len(inputs), config.validation, config.seed) for inputs in (real, generated)]
    (x_train, y_train), (x_validation, y_validation) = (
        (
            np.concatenate([inputs[rows[part]] for inputs, rows in zip((real, generated), splits, strict=True)]),
            np.repeat([0, 1], [len(rows[part]) for rows in splits]),
        )
        for part in (0, 1)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = runtime.place(make_resnet18(real.shape[1]))
    optimizer = torch.optim.SGD(
        network.parameters(), config.learning_rate, config.momentum, weight_decay=config.weight_decay
    )
    labels = torch.from_numpy(y_validation).double()
    best: dict[str, Any] = {"loss": float("inf")}
    meter = Meter(stage, config.epochs, "epochs")
    for epoch, loss, _ in fit(network, optimizer, x_train, y_train, config, runtime):
        logits = logits_of(network, x_validation, runtime)
        validation_loss = float(F.binary_cross_entropy_with_logits(logits, labels))
        if validation_loss < best["loss"]:
            weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
            best = {"loss": validation_loss, "epoch": epoch, "weights": weights, "logits": logits}
        yield meter.at(epoch, loss=loss, validation_loss=validation_loss)
    if "weights" not in best:
        raise ValueError(f"{stage}: the classifier's loss was never finite; lower classifier_rate")
    network.load_state_dict(best["weights"])
    temperature = fit_temperature(best["logits"], labels)
    scores = torch.sigmoid(best["logits"] / temperature).numpy()
    parts = scores[y_validation == 0], scores[y_validation == 1]
    where = f"validation part of the calibration split, {len(labels)} images the classifier was not trained on"
    return Head(
        RESNET,
        "larger",
        best_threshold(*parts),
        where,
        measure(*parts).auc,
        "the same images, which also chose the epoch",
        network,
        temperature,
        {"epoch": best["epoch"], "epochs": config.epochs, "trained_on": len(x_train), "temperature": temperature},
    )

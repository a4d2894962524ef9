"""Heads: how what a method measures becomes an oriented score, fitted on the calibration split alone.

    threshold             polarity and threshold of the statistic, as `training.calibrate` fits them
    both sides of reals   how far the statistic lies from the middle of the calibration reals, on whichever side: for images
                          of an unknown sampler, nothing is fitted on generated ones
    logistic regression   StandardScaler + L2 logistic regression on a feature vector
    gradient boosting     scikit-learn's HistGradientBoostingClassifier on the same
    ResNet-18             on classifier inputs, trained as the NN verdict is (`training.resnet`)

The scikit-learn heads are fitted by nested cross-validation: inner folds choose the hyperparameters, outer folds, which
chose nothing, give the score that is reported and the threshold.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sedid.detector.detector import Detector
from sedid.later import torch
from sedid.method.methods import BOOSTING, LOGISTIC, RESNET, SEDID, THRESHOLD, TWO_SIDED, Method
from sedid.models.networks import Runtime
from sedid.progress import Meter, Progress
from sedid.stats.metrics import best_threshold, fit_cut, measure, sign_of
from sedid.stats.stopping import log_errors
from sedid.training.resnet import Recipe, logits_of, train_resnet

OUTER, INNER = 5, 3
"""Folds of the nested cross-validation."""
FURTHEST = 0.1
"""Share of the calibration reals that a threshold fitted on them alone calls generated."""
LEAST = 10
"""Calibration images a class needs: every inner fold has some of each then."""


@dataclass(frozen=True, kw_only=True)
class Details:
    """What else is worth writing down of a fitted head; None, empty or "" where it is no part of this kind of head.

    Attributes:
        own: whether it is the detector's own classifier.
        images: that the detector's own classifier was trained and calibrated on.
        epoch, trained_on, temperature: of a network: the epoch that was kept, images it was trained on, of its logits.
        hyperparameters, outer_aucs, inner_folds: of a nested cross-validation.
        scores_from: the command that made the scores, where it was not this one.
    """

    own: bool = False
    images: int | None = None
    epoch: int | None = None
    trained_on: int | None = None
    temperature: float | None = None
    hyperparameters: dict[str, float | int | str] | None = None
    outer_aucs: tuple[float, ...] = ()
    inner_folds: int | None = None
    scores_from: str = ""


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
        details: what else is worth writing down.
    """

    kind: str
    polarity: str
    threshold: float
    threshold_from: str
    auc: float
    auc_from: str
    model: Any = field(default=None, repr=False)
    temperature: float = 1.0
    details: Details = Details()

    @property
    def sign(self) -> int:
        """-1 where a smaller raw score means generated."""
        return sign_of(self.polarity)

    def on(self, runtime: Runtime) -> Head:
        """The head with its network, if it has one, on the runtime's device."""
        return replace(self, model=runtime.place(self.model)) if isinstance(self.model, torch.nn.Module) else self

    def judge(self, measured: torch.Tensor, runtime: Runtime) -> np.ndarray:
        """`score` of a measurement as the method made it."""
        return self.score(kept(self.kind, measured), runtime)

    def score(self, measured: np.ndarray, runtime: Runtime) -> np.ndarray:
        """Oriented scores, float64 (B,).

        Of a threshold they are the statistic itself, turned; of `TwoSided` the distance; of scikit-learn's the log odds; of
        the network the probability of "generated".

        Args:
            measured: what `kept` made of the method's measurement.
        """
        if self.kind == THRESHOLD:
            return self.sign * measured.astype(np.float64)
        if self.kind == RESNET:
            return torch.sigmoid(logits_of(self.model, measured, runtime) / self.temperature).numpy()
        log_odds: np.ndarray = self.model.decision_function(measured)
        return log_odds.astype(np.float64)


@dataclass(frozen=True)
class OwnHead(Head):
    """The detector's own classifier: nothing of it is fitted here, and it says what it says everywhere else."""

    detector: Detector | None = field(default=None, repr=False)

    def judge(self, measured: torch.Tensor, runtime: Runtime) -> np.ndarray:
        """Its probabilities, from inputs that were not rounded (`Detector.probabilities`)."""
        assert self.detector is not None
        return self.detector.probabilities(measured)


def own_head(method: Method, detector: Detector) -> OwnHead | None:
    """The detector's own classifier as the head of the method that it is; None for all others.

    It is SeDID_NNs with its own kind of input, at its own pair.
    """
    own = detector.nn
    if own is None or detector.nn_pair is None or method.source != SEDID or method.head != RESNET:
        return None
    if method.name.split()[0] != f"sedid-nn-{own.input}" or dict(method.parameters) != {"k": own.k, "t_sec": own.t_sec}:
        return None
    section = detector.info.get("nn", {})
    epochs = section.get("epochs", [])
    details = Details(
        own=True,
        images=sum(of_class["count"] for of_class in section.get("data", {}).values()),
        epoch=min(epochs, key=lambda row: row["validation_loss"])["epoch"] if epochs else None,
        temperature=own.temperature,
    )
    where = (
        f"the detector's own classifier, {section.get('calibrated_on', 'calibrated on images that are not recorded')}"
    )
    about = "the images of the threshold, which also chose the epoch"
    return OwnHead(RESNET, "larger", own.threshold, where, own.auc, about, None, own.temperature, details, detector)


def kept(kind: str, measured: torch.Tensor) -> np.ndarray:
    """A measurement as its head takes it: float16 classifier inputs, as `training.resnet` has them, else float64."""
    values = measured.half() if kind == RESNET else measured.double()
    return values.contiguous().cpu().numpy()  # one layout, so that a resumed training rounds as an uninterrupted one


def fit_head(
    kind: str, real: np.ndarray, generated: np.ndarray, recipe: Recipe, runtime: Runtime, stage: str
) -> Generator[Progress, None, Head]:
    """Fit a head on the calibration split.

    Args:
        real, generated: measurements of both classes (`kept`), one row an image.
        recipe: how the ResNet is trained; its `seed` is that of all heads.

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
    if kind == TWO_SIDED:
        return fit_two_sided(real, generated)
    if kind == RESNET:
        return (yield from fit_resnet(real, generated, recipe, runtime, stage))
    return (yield from fit_nested(kind, real, generated, recipe.seed, stage))


def fit_threshold(real: np.ndarray, generated: np.ndarray) -> Head:
    """Polarity and threshold of a statistic (N,)."""
    cut = fit_cut(real, generated)
    where = f"calibration split, {len(real)} real and {len(generated)} generated images"
    return Head(THRESHOLD, cut.polarity, cut.threshold, where, cut.auc, "the images that gave the threshold")


@dataclass(frozen=True)
class TwoSided:
    """How far a positive statistic lies from the middle of the reals, in the spread that they have on that side.

    Attributes:
        middle: median of their logarithms.
        below, above: from there to their 16th and 84th percentile; a standard deviation each, were they normal.
    """

    middle: float
    below: float
    above: float

    def decision_function(self, measured: np.ndarray) -> np.ndarray:
        """The distances, float64 (N,), of a statistic (N,)."""
        away = log_errors(measured.astype(np.float64)) - self.middle
        return np.where(away < 0, -away / self.below, away / self.above)


def fit_two_sided(real: np.ndarray, generated: np.ndarray) -> Head:
    """The distance from the middle of the reals, its threshold where a tenth of them lies further out.

    Args:
        real: a statistic (N,); alone what is fitted on.
        generated: the same of generated images, which only say how well it goes.
    """
    low, middle, high = np.quantile(log_errors(real.astype(np.float64)), (0.16, 0.5, 0.84))
    tiny = np.finfo(np.float64).tiny
    model = TwoSided(float(middle), max(float(middle - low), tiny), max(float(high - middle), tiny))
    scores = model.decision_function(real)
    return Head(
        TWO_SIDED,
        "larger",
        float(np.quantile(scores, 1 - FURTHEST, method="higher")),
        f"{len(real)} calibration reals alone: {FURTHEST:.0%} of them lie further from their middle",
        measure(scores, model.decision_function(generated)).auc,
        "the calibration split, whose generated images fitted nothing",
        model,
    )


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
        details=Details(hyperparameters=search.best_params_, outer_aucs=tuple(aucs), inner_folds=INNER),
    )


def fit_resnet(
    real: np.ndarray, generated: np.ndarray, recipe: Recipe, runtime: Runtime, stage: str
) -> Generator[Progress, None, Head]:
    """Train a ResNet-18 on classifier inputs, float16 (N, C, H, W).

    Epoch, temperature and threshold come from the validation part of the calibration split (`training.resnet`).
    """
    trained = yield from train_resnet(real, generated, recipe, runtime, stage)
    parts = trained.real, trained.generated
    where = f"validation part of the calibration split, {sum(map(len, parts))} images the classifier was not trained on"
    return Head(
        RESNET,
        "larger",
        best_threshold(*parts),
        where,
        measure(*parts).auc,
        "the same images, which also chose the epoch",
        trained.network,
        trained.temperature,
        Details(epoch=trained.epoch, trained_on=trained.trained_on, temperature=trained.temperature),
    )

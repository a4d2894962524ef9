"""Stopping the trajectory early: at each T_SEC on the way, two boundaries between which the walk goes on.

The statistic after n steps is the log-odds of "generated" from the logarithms of the first n t-errors, a logistic
regression a step, both classes weighing the same; so the scores of different steps are on one scale, and an image's
final score is that of the step it stopped at.

How the error is spent: the same level at every early step. The upper boundary of a step is passed by at most e real
calibration images, e the same at all early steps and the largest for which

    (#{real images among the e + 1 highest of their class at some early step} + 1) / (real images + 1) <= error rate.

A new real image is called generated early only if at some step at most e calibration images lie as high, and then it
is among the e + 1 highest of the images with itself. All of them are equally likely to be that image, so the
total share of wrong early calls is at most the error rate, however the steps depend on each other. (That is the
conformal argument, and it holds for scores that were not fitted to the calibration images; the log-odds here come from
cross-validation, which is close to it.) The lower boundaries are the same for generated images. What is not
stopped early gets the verdict of the last step, which is an ordinary one: the error rate does not speak of it.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sedid.choice import Scores
from sedid.metrics import balanced_accuracy, best_threshold, measure
from sedid.reliability import Classes, wilson
from sedid.statistics import delong


@dataclass(frozen=True)
class Rule:
    """A fitted rule of one k.

    Attributes:
        weights: of the n log t-errors so far, one tuple a step; `biases` beside them.
        upper, lower: log-odds at which an early step calls generated and real; infinite: never. One a step but the
            last.
        threshold: log-odds of the last step's verdict.
    """

    k: int
    weights: tuple[tuple[float, ...], ...]
    biases: tuple[float, ...]
    upper: tuple[float, ...]
    lower: tuple[float, ...]
    threshold: float

    def log_odds(self, errors: np.ndarray) -> np.ndarray:
        """The statistic after every step, (steps, images), of t-errors of that shape."""
        logs = log_errors(errors)
        found = [np.array(w) @ logs[: len(w)] + b for w, b in zip(self.weights, self.biases, strict=True)]
        return np.array(found)

    def stops(self, log_odds: np.ndarray) -> np.ndarray:
        """The step each image stops after, counted from 1, (images,)."""
        early = log_odds[:-1]
        certain = (early >= np.array(self.upper)[:, None]) | (early <= np.array(self.lower)[:, None])
        certain = np.concatenate([certain, np.ones((1, log_odds.shape[1]), bool)])
        return certain.argmax(axis=0) + 1


def log_errors(errors: np.ndarray) -> np.ndarray:
    """Logarithms; an error of exactly 0 counts as the smallest number above it."""
    return np.log(np.maximum(errors, np.finfo(np.float64).tiny))


def steps_of(scores: Scores, k: int, t_sec: int) -> np.ndarray:
    """The t-errors of one k up to T_SEC, (steps, images)."""
    return np.stack([scores[k, t] for t in range(k, t_sec + 1, k)])


def boundary(scores: np.ndarray, error_rate: float) -> np.ndarray:
    """Upper boundaries of the early steps, (steps,): see the head of this module.

    Args:
        scores: oriented scores at the early steps of the class that should stay below, (steps, images).
    """
    steps, images = scores.shape
    if not steps:
        return np.empty(0)
    ordered = np.sort(scores, axis=1)
    at_or_above = np.array([images - np.searchsorted(row, values) for row, values in zip(ordered, scores, strict=True)])
    rank = np.sort(at_or_above.min(axis=0))  # of each image at the step where it looks most wrong; 1 = the highest
    allowed = int(error_rate * (images + 1) + 1e-9) - 1  # images whose rank may be at most e + 1
    passing = int(rank[allowed]) - 2 if allowed >= 0 else -1  # e + 1 stays below the rank of the first one too many
    if passing < 0:
        return np.full(steps, np.inf)
    return np.nextafter(ordered[:, images - 1 - passing], np.inf)


def fit_rule(
    k: int, real: np.ndarray, generated: np.ndarray, error_rate: float, folds: Classes
) -> tuple[Rule, Classes]:
    """Fit the log-odds and the boundaries on the calibration split.

    Args:
        real, generated: t-errors (steps, images) of one k.
        folds: fold of each image, (images,) of each class: boundaries are set on log-odds of images that were not
            fitted.

    Returns:
        The rule, and those cross-validated log-odds, (steps, images) of each class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = log_errors(np.concatenate([real, generated], axis=1)).T
    labels = np.repeat([0, 1], [real.shape[1], generated.shape[1]])
    split = PredefinedSplit(np.concatenate(folds))
    weights, biases, held = [], [], []
    for n in range(1, len(real) + 1):
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        held.append(cross_val_predict(model, features[:, :n], labels, cv=split, method="decision_function"))
        scaler, logistic = (part for _, part in model.fit(features[:, :n], labels).steps)
        weight = logistic.coef_[0] / scaler.scale_
        weights.append(tuple(weight.tolist()))
        biases.append(float(logistic.intercept_[0] - weight @ scaler.mean_))
    of_real, of_generated = np.split(np.array(held), [real.shape[1]], axis=1)
    upper, lower = boundary(of_real[:-1], error_rate), -boundary(-of_generated[:-1], error_rate)
    crossed = upper < lower  # then any cut between the two keeps both promises
    middle = (upper[crossed] + lower[crossed]) / 2
    upper[crossed], lower[crossed] = middle, middle
    threshold = best_threshold(of_real[-1], of_generated[-1])
    rule = Rule(k, tuple(weights), tuple(biases), tuple(upper.tolist()), tuple(lower.tolist()), threshold)
    return rule, (of_real, of_generated)


def measure_rule(rule: Rule, real: np.ndarray, generated: np.ndarray) -> dict[str, Any]:
    """The rule on test images, beside the full walk with the same log-odds.

    Args:
        real, generated: t-errors of the test images, (steps, images).

    Returns:
        Evaluations an image (with the full walk's), wrong early calls of each class with their interval, shares
        stopped early, AUC and ACC of both, and DeLong's test of the difference between the AUCs.
    """
    steps = len(rule.weights)
    odds = [rule.log_odds(errors) for errors in (real, generated)]
    stops = [rule.stops(values) for values in odds]
    final = [values[stop - 1, np.arange(len(stop))] for values, stop in zip(odds, stops, strict=True)]
    early = [stop < steps for stop in stops]
    calls = [called(rule, score, stop) for score, stop in zip(final, stops, strict=True)]
    wrong = [float(np.mean(early[0] & calls[0])), float(np.mean(early[1] & ~calls[1]))]
    spent = [float(stop.mean()) + 1 for stop in stops]
    whole = [values[-1] for values in odds]
    average = sum(spent) / 2  # both classes weigh the same
    return {
        "evaluations": average,
        "evaluations_full": steps + 1,
        "saved": steps + 1 - average,
        "evaluations_real": spent[0],
        "evaluations_generated": spent[1],
        "stopped_early_real": float(early[0].mean()),
        "stopped_early_generated": float(early[1].mean()),
        "wrong_early_real": wrong[0],
        "wrong_early_real_interval": list(wilson(wrong[0], len(stops[0]))),
        "wrong_early_generated": wrong[1],
        "wrong_early_generated_interval": list(wilson(wrong[1], len(stops[1]))),
        "auc": measure(*final).auc,
        "auc_full": measure(*whole).auc,
        "auc_difference": asdict(delong(*final, *whole)),
        "acc": float(np.mean(~calls[0]) + np.mean(calls[1])) / 2,
        "acc_full": balanced_accuracy(whole[0], whole[1], rule.threshold),
    }


def called(rule: Rule, scores: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Whether each image is called generated, by its final score and the step it stopped after; bool (images,)."""
    cuts = np.array([*rule.upper, rule.threshold])
    return scores >= cuts[stops - 1]

"""Stopping the trajectory early, at the first T_SEC where the verdict is already certain at a stated error rate.

The statistic after n steps is the log-odds of "generated" from the logarithms of the first n t-errors: a logistic
regression a step, both classes weighing the same, so that it estimates the log likelihood ratio and the scores of all
steps are on one scale. An image's final score is that of the step it stopped at.

The rule is Wald's (1945): go on while the log-odds lie between two boundaries, the same at every step. So the error
is spent where there is evidence, and none at a step that knows nothing. The upper boundary comes from the calibration
reals: the largest log-odds each reaches at any early step, and of these the value that a new real image exceeds at most
at the error rate, as split-conformal prediction counts it; the lower one likewise from the generated images.
Neither boundary goes beyond log-odds 0: no early call is made against the evidence. The bound on the
total share of wrong early calls is exact for scores that were not fitted to the calibration images; the log-odds here
come from cross-validation, which is close to it, and the test images show how close. An image that never
stops early gets the verdict of the last step, of which the error rate does not speak.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sedid.stats.choice import Scores
from sedid.stats.intervals import delong, share_interval
from sedid.stats.metrics import balanced_accuracy, best_threshold, measure
from sedid.stats.reliability import Classes


@dataclass(frozen=True)
class LogOdds:
    """The statistic of one k.

    Attributes:
        weights: of the n log t-errors so far, one tuple a step; `biases` beside them.
    """

    k: int
    weights: tuple[tuple[float, ...], ...]
    biases: tuple[float, ...]

    def until(self, steps: int) -> "LogOdds":
        """The same for walks that end after so many steps."""
        return LogOdds(self.k, self.weights[:steps], self.biases[:steps])

    def of(self, errors: np.ndarray) -> np.ndarray:
        """Log-odds of "generated" after every step, (steps, images), from t-errors of that shape."""
        logs = log_errors(errors)
        return np.array(
            [np.array(w) @ logs[: len(w)] + bias for w, bias in zip(self.weights, self.biases, strict=True)]
        )


@dataclass(frozen=True)
class Rule:
    """When to stop and what to say.

    Attributes:
        upper, lower: log-odds at which an early step says generated and real; infinite: never.
        threshold: log-odds of the last step's verdict.
    """

    upper: float
    lower: float
    threshold: float

    def stops(self, log_odds: np.ndarray) -> np.ndarray:
        """The step each image stops after, counted from 1, (images,); of log-odds (steps, images)."""
        certain = (log_odds >= self.upper) | (log_odds <= self.lower)
        certain[-1] = True
        first: np.ndarray = certain.argmax(axis=0)
        return first + 1

    def calls(self, scores: np.ndarray, early: np.ndarray) -> np.ndarray:
        """Whether each image is called generated, by its final score and whether it stopped early; bool (images,)."""
        return scores >= np.where(early, self.upper, self.threshold)


def log_errors(errors: np.ndarray) -> np.ndarray:
    """Logarithms; an error of exactly 0 counts as the smallest number above it."""
    logarithms: np.ndarray = np.log(np.maximum(errors, np.finfo(np.float64).tiny))
    return logarithms


def steps_of(scores: Scores, k: int, t_sec: int) -> np.ndarray:
    """The t-errors of one k up to T_SEC, (steps, images)."""
    return np.stack([scores[k, t] for t in range(k, t_sec + 1, k)])


def fit_log_odds(k: int, real: np.ndarray, generated: np.ndarray, folds: Classes) -> tuple[LogOdds, Classes]:
    """Fit the statistic on the calibration split.

    Args:
        real, generated: t-errors (steps, images) of one k.
        folds: fold of each image, (images,) of each class.

    Returns:
        The statistic of all these images, and their cross-validated log-odds, (steps, images) of each class.
    """
    logs = log_errors(np.concatenate([real, generated], axis=1))
    labels = np.repeat([0, 1], [real.shape[1], generated.shape[1]])
    parts = np.concatenate(folds)
    held = np.empty(logs.shape)
    made = []
    for n in range(1, len(logs) + 1):
        made.append(_logistic(logs[:n], labels))
        for fold in np.unique(parts):
            inside = parts == fold
            weights, bias = _logistic(logs[:n, ~inside], labels[~inside])
            held[n - 1, inside] = weights @ logs[:n, inside] + bias
    of_real, of_generated = np.split(held, [real.shape[1]], axis=1)
    return LogOdds(k, tuple(tuple(w.tolist()) for w, _ in made), tuple(bias for _, bias in made)), (
        of_real,
        of_generated,
    )


def _logistic(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and bias of a logistic regression of features (n, images), standardised for its penalty's sake."""
    from sklearn.linear_model import LogisticRegression

    middle, spread = features.mean(axis=1), features.std(axis=1)
    spread = np.where(spread > 0, spread, 1.0)
    fitted = LogisticRegression(class_weight="balanced", solver="newton-cholesky")
    fitted.fit((features.T - middle) / spread, labels)
    weights = fitted.coef_[0] / spread
    return weights, float(fitted.intercept_[0] - weights @ middle)


def boundary(scores: np.ndarray, error_rate: float) -> float:
    """The smallest number that a new image's largest early score reaches with at most this probability.

    Of m calibration images at most floor(error_rate (m + 1)) - 1 reach it: the new image is one of m + 1, and each of
    them is as likely to be among the highest. Infinite where m is too small to allow any; never below 0.

    Args:
        scores: at the early steps, higher = more wrong for this class, (steps, images).
    """
    if not len(scores):
        return np.inf
    peaks = np.sort(scores.max(axis=0))
    allowed = int(error_rate * (len(peaks) + 1) + 1e-9) - 1
    return max(float(np.nextafter(peaks[len(peaks) - 1 - allowed], np.inf)), 0.0) if allowed >= 0 else np.inf


def fit_rule(held: Classes, error_rate: float) -> Rule:
    """The boundaries of one error rate, 0 < error_rate < 0.5, and the last step's threshold.

    Args:
        held: cross-validated log-odds of the calibration images, (steps, images) of each class.
    """
    real, generated = held
    return Rule(
        upper=boundary(real[:-1], error_rate),
        lower=-boundary(-generated[:-1], error_rate),
        threshold=best_threshold(real[-1], generated[-1]),
    )


def measure_rule(rule: Rule, real: np.ndarray, generated: np.ndarray) -> dict[str, Any]:
    """The rule on test images, beside the full walk with the same log-odds.

    Args:
        real, generated: log-odds of the test images, (steps, images).

    Returns:
        Evaluations an image (with the full walk's; both classes weigh the same), shares stopped early, wrong early
        calls of each class with their 95 % interval, AUC and balanced accuracy of both, and DeLong's test of the
        difference between the AUCs.
    """
    odds, steps = (real, generated), len(real)
    stops = [rule.stops(values) for values in odds]
    final = [values[stop - 1, np.arange(len(stop))] for values, stop in zip(odds, stops, strict=True)]
    early = [stop < steps for stop in stops]
    calls = [rule.calls(scores, stopped) for scores, stopped in zip(final, early, strict=True)]
    wrong = [float(np.mean(early[0] & calls[0])), float(np.mean(early[1] & ~calls[1]))]
    spent = [float(stop.mean()) + 1 for stop in stops]
    average = sum(spent) / 2
    return {
        "evaluations": average,
        "evaluations_full": steps + 1,
        "saved": steps + 1 - average,
        "evaluations_real": spent[0],
        "evaluations_generated": spent[1],
        "stopped_early_real": float(early[0].mean()),
        "stopped_early_generated": float(early[1].mean()),
        "wrong_early_real": wrong[0],
        "wrong_early_real_interval": list(share_interval(wrong[0], len(stops[0]))),
        "wrong_early_generated": wrong[1],
        "wrong_early_generated_interval": list(share_interval(wrong[1], len(stops[1]))),
        "auc": measure(final[0], final[1]).auc,
        "auc_full": measure(real[-1], generated[-1]).auc,
        "auc_difference": asdict(delong(final[0], final[1], real[-1], generated[-1])),
        "acc": float(np.mean(~calls[0]) + np.mean(calls[1])) / 2,
        "acc_full": balanced_accuracy(real[-1], generated[-1], rule.threshold),
    }

"""Choosing (k, T_SEC) and polarity on the calibration split, and how far that choice can be trusted.

A pair's worth is its cross-validated AUC minus a penalty for its cost. The cost of (k, T_SEC) is T_SEC / k + 1 network
evaluations an image; k may be a path, whose cost is its points up to T_SEC. Nothing of a pair is fitted but its polarity, so that is what the other folds decide.

All resampling is by weights of the images: a bootstrap resample is a row of counts, an outer fold a row with zeros.
The pairs are then told apart on the same resamples.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from sedid.method.diffusion import Steps, steps_order
from sedid.progress import Meter, Progress
from sedid.stats.intervals import Curve, bootstrap_counts

Pair = tuple[Steps, int]
Scores = dict[Pair, np.ndarray]
Classes = tuple[np.ndarray, np.ndarray]
"""One array of the real images and one of the generated ones."""

PARTITIONS = 5  # of the images into outer folds: a single one makes the optimism depend on luck


@dataclass(frozen=True)
class Candidate:
    """One pair on the calibration split.

    Attributes:
        k: step size, or a path.
        polarity: "smaller" if a smaller t-error means generated; of all calibration images.
        evaluations: of the network, an image.
        auc: of all calibration images in that polarity, so never below 0.5.
        cv_auc: mean AUC of the folds, each in the polarity of the others; may fall below 0.5.
        worth: cv_auc - penalty * evaluations.
        chosen_share: share of the bootstrap resamples that choose this pair.
    """

    k: Steps
    t_sec: int
    polarity: str
    evaluations: int
    auc: float
    cv_auc: float
    worth: float
    chosen_share: float


@dataclass(frozen=True)
class Choice:
    """The pair of the highest worth and how stable it is.

    Attributes:
        chosen: what won; `candidates` are all, the cheapest first.
        penalty: AUC an evaluation.
        polarity_share: share of resamples whose own choice of a pair has this polarity; None in older results.
        nested_auc: mean AUC of outer folds, each at the pair and polarity that the images outside it choose.
        nested_interval: its 95 % interval: each resample chooses pair and polarity, and is measured on the images it
            did not draw (Efron 1983). These are about a third of all, so that it is rather too wide than too narrow. None in
            older results.
        optimism: the chosen pair's AUC on those outer folds minus nested_auc: what it owes to having been picked
            with them in sight. Near 0 when the choice is easy; noise can make it negative.
        nested_pairs: what was chosen without each outer fold.
    """

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    penalty: float
    folds: int
    resamples: int
    polarity_share: float | None
    nested_auc: float
    nested_interval: tuple[float, float] | None
    optimism: float
    nested_pairs: tuple[Pair, ...]


def evaluations(pair: Pair) -> int:
    """Network evaluations an image for the t-error at (k, T_SEC): one a point of the trajectory."""
    k, t_sec = pair
    return (k.index(t_sec) if isinstance(k, tuple) else t_sec // k) + 1


def fold_numbers(count: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold 0 .. folds - 1 for each image, sizes as equal as can be, (count,)."""
    return rng.permutation(np.arange(count) % folds)


def weighted_auc(errors: Classes, counts: Classes, rows: Classes | None = None) -> np.ndarray:
    """AUC in the paper's polarity (smaller = generated) under every row of counts, (resamples,).

    Args:
        errors: t-errors, (images,) of each class.
        counts: how often each image counts, (resamples, images) of each class.
        rows: masks of the images to look at; default: all.
    """
    of_real, of_generated = (slice(None), slice(None)) if rows is None else rows
    curve = Curve(-errors[0][of_real], -errors[1][of_generated])
    return curve.auc(counts[0][:, of_real], counts[1][:, of_generated])


def cross_validated_auc(errors: Classes, folds: Classes, counts: Classes) -> np.ndarray:
    """Mean AUC of the folds, each in the polarity that the other folds have, (resamples,).

    An image stays in its fold however often a resample draws it, so that no copy of it is on both sides.

    Args:
        errors, counts: as `weighted_auc`.
        folds: fold of each image, (images,) of each class.
    """
    found = []
    for fold in range(int(folds[0].max()) + 1):
        inside = (folds[0] == fold, folds[1] == fold)
        of_fold = weighted_auc(errors, counts, inside)
        of_others = weighted_auc(errors, counts, (~inside[0], ~inside[1]))
        found.append(np.where(of_others >= 0.5, of_fold, 1 - of_fold))
    mean: np.ndarray = np.nanmean(found, axis=0)  # a resample may have left a small fold without images of a class
    return mean


def outer_folds(reals: int, generated: int, folds: int, rng: np.random.Generator) -> tuple[Classes, Classes]:
    """Rows of 0/1 weights, (PARTITIONS * folds, images) a class: without each outer fold, and that fold alone."""
    held: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for _ in range(PARTITIONS):
        for rows, count in zip(held, (reals, generated), strict=True):
            rows.append(fold_numbers(count, folds, rng) == np.arange(folds)[:, None])
    inside = (np.concatenate(held[0]).astype(int), np.concatenate(held[1]).astype(int))
    return (1 - inside[0], 1 - inside[1]), inside


def check_choice(reals: int, generated: int, folds: int, penalty: float) -> None:
    """Refuse what cannot be cross-validated.

    Raises:
        ValueError: fewer than 2 folds, fewer than 4 images of a class a fold, or a penalty that is not at least 0.
    """
    if folds < 2:
        raise ValueError(f"folds must be at least 2, not {folds}")
    if min(reals, generated) < 4 * folds:
        raise ValueError(
            f"{reals} real and {generated} generated calibration images are too few for {folds} folds: "
            f"at least {4 * folds} of each are needed"
        )
    if not 0 <= penalty < np.inf:
        raise ValueError(f"penalty must be 0 or more, in AUC per network evaluation, not {penalty}")


def choose_pair(
    real: Scores, generated: Scores, penalty: float = 0.0, folds: int = 5, resamples: int = 500, seed: int = 0
) -> Generator[Progress, None, Choice]:
    """Choose among all pairs scored; equal worth goes to the cheaper pair.

    Args:
        real, generated: (k, T_SEC) -> t-errors of the calibration images (N,), the same images at every pair.
        penalty: AUC a pair must gain for each further network evaluation an image.

    Raises:
        ValueError: as `check_choice`, or fewer than 2 resamples.
    """
    pairs = sorted(real, key=lambda pair: (evaluations(pair), steps_order(pair[0]), pair[1]))
    reals, fakes = len(real[pairs[0]]), len(generated[pairs[0]])
    check_choice(reals, fakes, folds, penalty)
    rng = np.random.default_rng(seed)
    parts = (fold_numbers(reals, folds, rng), fold_numbers(fakes, folds, rng))
    without, outer = outer_folds(reals, fakes, folds, rng)
    everything = (np.ones((1, reals), int), np.ones((1, fakes), int))
    drawn = list(bootstrap_counts(reals, fakes, resamples, seed))
    left_out = [((of_real == 0).astype(int), (of_generated == 0).astype(int)) for of_real, of_generated in drawn]

    cv, cv_drawn, cv_without, auc, auc_drawn, auc_left_out, auc_without, auc_outer = ([] for _ in range(8))
    meter = Meter("choosing k and T_SEC", len(pairs), "pairs")
    for done, pair in enumerate(pairs, 1):
        errors = (real[pair], generated[pair])
        cv.append(cross_validated_auc(errors, parts, everything)[0])
        cv_drawn.append(np.concatenate([cross_validated_auc(errors, parts, counts) for counts in drawn]))
        cv_without.append(cross_validated_auc(errors, parts, without))
        auc.append(weighted_auc(errors, everything)[0])
        auc_drawn.append(np.concatenate([weighted_auc(errors, counts) for counts in drawn]))
        auc_left_out.append(np.concatenate([weighted_auc(errors, counts) for counts in left_out]))
        auc_without.append(weighted_auc(errors, without))
        auc_outer.append(weighted_auc(errors, outer))
        yield meter.at(done)

    cost = np.array([evaluations(pair) for pair in pairs])
    best = pick(np.array(cv)[:, None], cost, penalty)[0]
    redrawn = pick(np.array(cv_drawn), cost, penalty)
    redrawn_smaller, unseen = in_own_polarity(redrawn, auc_drawn, auc_left_out)
    shares = np.bincount(redrawn, minlength=len(pairs)) / resamples
    picked = pick(np.array(cv_without), cost, penalty)
    _, held = in_own_polarity(picked, auc_without, auc_outer)
    ours = np.array(auc_outer[best]) if auc[best] >= 0.5 else 1 - np.array(auc_outer[best])
    candidates = tuple(
        Candidate(
            *pair,
            polarity="smaller" if auc[i] >= 0.5 else "larger",
            evaluations=int(cost[i]),
            auc=float(max(auc[i], 1 - auc[i])),
            cv_auc=float(cv[i]),
            worth=float(cv[i] - penalty * cost[i]),
            chosen_share=float(shares[i]),
        )
        for i, pair in enumerate(pairs)
    )
    low, high = np.nanquantile(unseen, (0.025, 0.975))  # a resample may have drawn every image of a small class
    return Choice(
        chosen=candidates[best],
        candidates=candidates,
        penalty=penalty,
        folds=folds,
        resamples=resamples,
        polarity_share=float(np.mean(redrawn_smaller == (auc[best] >= 0.5))),
        nested_auc=float(held.mean()),
        nested_interval=(float(low), float(high)),
        optimism=float((ours - held).mean()),
        nested_pairs=tuple(pairs[i] for i in picked),
    )


def in_own_polarity(
    picked: np.ndarray, seen: Sequence[np.ndarray], unseen: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """What choices come to on images they did not see.

    Args:
        picked: the pair each choice picked, (choices,).
        seen, unseen: AUC in the paper's polarity on the images behind each choice, and on others, (choices,) a pair.

    Returns:
        Whether each choice's polarity is "smaller", and the AUC on the unseen images in its polarity, (choices,) both.
    """
    rows = np.arange(len(picked))
    smaller, found = (np.array(seen) >= 0.5)[picked, rows], np.array(unseen)[picked, rows]
    return smaller, np.where(smaller, found, 1 - found)


def pick(cv: np.ndarray, cost: np.ndarray, penalty: float) -> np.ndarray:
    """The row of the highest worth in every column of cross-validated AUCs (pairs, resamples); the first if equal."""
    best: np.ndarray = np.argmax(cv - penalty * cost[:, None], axis=0)
    return best

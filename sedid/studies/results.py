"""An evaluation read back from its files: the results and, where they were kept, the scores behind them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sedid.data.licences import closed
from sedid.detector.detector import Pair
from sedid.method import paper
from sedid.stats.metrics import best_threshold, sign_of
from sedid.storage import read_arrays
from sedid.studies.evaluate import REALS, EvaluationResults, NNRow, StatRow, scores_file
from sedid.training.baseline import LossRow
from sedid.training.scoring import kept_pairs

__all__ = ["REALS", "Evaluation", "Mistake", "Pair", "load_evaluation"]


@dataclass(frozen=True)
class Mistake:
    """An image STAT was wrong about at the detector's own pair.

    Attributes:
        place: in its set.
        pixels: uint8 (H, W, 3); None where the picture was not kept, so that it is not passed on.
    """

    place: int
    t_error: float
    pixels: np.ndarray | None = field(repr=False)


@dataclass(frozen=True)
class Evaluation:
    """What `studies.evaluate` wrote.

    Attributes:
        file: the results file.
        results: its content.
        arrays: the scores beside it (`evaluate.save_scores`); empty where there are none.
    """

    file: Path
    results: EvaluationResults = field(repr=False)
    arrays: dict[str, np.ndarray] = field(repr=False)

    @property
    def reals(self) -> list[str]:
        """Keys of REALS that were measured."""
        return [kind for kind in REALS if self.results.stat.get(kind)]

    @property
    def name(self) -> str:
        """What the evaluated detector is called."""
        name = self.results.protocol.detector or self.file.stem
        # what the whole loop makes is always called "bundle": its data tells it from others
        return self.results.protocol.trained_on or name if name == "bundle" else name

    @property
    def data_set(self) -> str:
        """The paper's data set that comes closest."""
        return paper.closest(*self.results.protocol.names)

    @property
    def pairs(self) -> list[Pair]:
        """Every (k, T_SEC) measured."""
        return [(row.k, row.t_sec) for row in self.results.stat[self.reals[0]]]

    @property
    def chosen(self) -> Pair:
        """The detector's own pair, or the first one."""
        rows = self.results.stat[self.reals[0]]
        return next(((row.k, row.t_sec) for row in rows if row.chosen), self.pairs[0])

    def row(self, reals: str, pair: Pair | None) -> StatRow | NNRow | None:
        """The metrics of STAT at a pair, or of NN (None)."""
        if pair is None:
            return self.results.nn.get(reals)
        return next((row for row in self.results.stat[reals] if (row.k, row.t_sec) == pair), None)

    def existing(self, reals: str) -> LossRow | None:
        """The metrics of the training loss; None where it was not measured (older results, older calibrations)."""
        return self.results.existing.get(reals)

    def losses(self, reals: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Training losses (N,) of reals and generated images, turned so that higher means more generated."""
        row, names = self.existing(reals), [f"existing_{part}" for part in (reals, "generated")]
        if row is None or any(name not in self.arrays for name in names):
            return None
        sign = sign_of(row.polarity)
        real, generated = (sign * self.arrays[name].astype(np.float64) for name in names)
        return real, generated

    def scores(self, reals: str, pair: Pair | None) -> tuple[np.ndarray, np.ndarray] | None:
        """Raw scores (N,) of reals and of generated images: t-errors at a pair, or NN's probabilities (None).

        None where they were not kept.
        """
        kind = "nn" if pair is None else "stat"
        names = [f"{kind}_{part}" for part in (reals, "generated")]
        if any(name not in self.arrays for name in names) or (pair is not None and "pairs" not in self.arrays):
            return None
        real, generated = (self.arrays[name].astype(np.float64) for name in names)
        if pair is None:
            return real, generated
        kept = kept_pairs(self.arrays["pairs"])
        if pair not in kept:
            return None
        row = kept.index(pair)
        return real[row], generated[row]

    def oriented(self, reals: str, pair: Pair | None) -> tuple[np.ndarray, np.ndarray] | None:
        """`scores`, turned so that higher means more generated."""
        found, sign = self.scores(reals, pair), self.sign(reals, pair)
        return None if found is None else (sign * found[0], sign * found[1])

    def sign(self, reals: str, pair: Pair | None) -> int:
        """-1 where a smaller score means generated."""
        row = self.row(reals, pair)
        return sign_of(row.polarity) if row else 1

    def threshold(self, reals: str, pair: Pair | None, oracle: bool) -> float | None:
        """The raw threshold: the calibration split's, or the best of these images (`oracle`); None if unknown."""
        if not oracle:
            row = self.row(reals, pair)
            return row.threshold if row else None
        found, sign = self.oriented(reals, pair), self.sign(reals, pair)
        return None if found is None else sign * best_threshold(*found)

    def confusion(self, reals: str, pair: Pair | None, oracle: bool) -> np.ndarray | None:
        """Counts (2, 2): rows real and generated, columns called real and called generated."""
        found, threshold, sign = (
            self.oriented(reals, pair),
            self.threshold(reals, pair, oracle),
            self.sign(reals, pair),
        )
        if found is None or threshold is None:
            return None
        called = [int((values >= sign * threshold).sum()) for values in found]
        return np.array([[len(values) - hits, hits] for values, hits in zip(found, called, strict=True)])

    @property
    def closed(self) -> str:
        """The data set of the reals, if its photographs may not be passed on (`licences.closed`)."""
        stated = self.results.protocol
        reals = (stated.images[name].data_set for name in REALS if name in stated.images)
        return closed(stated.trained_on, stated.detector, *reals)

    def mistakes(self, name: str) -> list[Mistake] | None:
        """The worst mistakes among "generated" or the reals, worst first; None where nothing was kept of them.

        Only images on the wrong side of the threshold, if the threshold is known.
        """
        images, places = self.arrays.get(f"mistakes_{name}"), self.arrays.get(f"mistaken_{name}")
        reals = name if name in REALS else self.reals[0]
        found = self.scores(reals, self.chosen)
        if places is None or found is None:
            return None
        values = found[1 if name == "generated" else 0][places]
        threshold, sign = self.threshold(reals, self.chosen, oracle=False), self.sign(reals, self.chosen)
        wrong = [
            threshold is None or (sign * value < sign * threshold) == (name == "generated") for value in values.tolist()
        ]
        kept = [i for i, beyond in enumerate(wrong) if beyond]
        return [Mistake(int(places[i]), float(values[i]), None if images is None else images[i]) for i in kept]


def load_evaluation(source: Path) -> Evaluation:
    """Read an evaluation.

    Args:
        source: a results.json, or a folder that holds it (a bundle's `sedid/` is looked into).

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not what `evaluate` writes.
    """
    source = Path(source)
    file = next(
        (path for path in (source, source / "sedid" / "results.json", source / "results.json") if path.is_file()), None
    )
    if file is None:
        raise FileNotFoundError(f"{source} holds no evaluation; `python -m sedid evaluate` makes one (results.json)")
    return Evaluation(file, EvaluationResults.read(file), read_arrays(scores_file(file)))

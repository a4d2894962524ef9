"""What results say first: one sentence each, in words that need no table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sedid.method import paper
from sedid.method.diffusion import pair_in_words
from sedid.method.methods import METHODS

if TYPE_CHECKING:
    from sedid.detector.detector import Pair
    from sedid.studies.comparison import ComparisonResults
    from sedid.studies.defence import DefenceResults
    from sedid.studies.generalise import GeneraliseResults
    from sedid.studies.polarity import PolarityResults
    from sedid.studies.results import Evaluation
    from sedid.studies.robustness import RobustnessResults
    from sedid.studies.sweep import SweepResults, SweepRow


def times(auc: float) -> str:
    """An AUC as how often the score ranks a generated image above a real one."""
    return f"{100 * auc:.0f} times in 100"


def evaluation(found: Evaluation, reals: str, data_set: str) -> str:
    """How well a detector tells the test images, beside the paper's best."""
    stat, network = found.row(reals, found.chosen), found.row(reals, None)
    if stat is None:
        return ""
    theirs = paper.TABLE_2["stat"][paper.DATA_SETS.index(data_set)][0]
    said = f"STAT ranks a generated image above a real one {times(stat.auc)} (AUC {stat.auc:.3f} on the test images"
    said += f"; {theirs:.2f} in the paper)" if theirs is not None else ")"
    if network:
        said += f", and NN {times(network.auc)} (AUC {network.auc:.3f})"
    return f"{said}. Guessing would be right 50 times in 100."


def comparison(found: ComparisonResults, reals: str) -> str:
    """The best method, and where STAT stands; empty while nothing is measured."""
    measured = sorted(
        ((row.auc, row.title) for row in found.rows[reals] if row.auc is not None), key=lambda pair: -pair[0]
    )
    if not measured:
        return ""
    count = sum(found.scored.get(name, 0) for name in (reals, "generated"))
    auc, best = measured[0]
    said = f"On these {count:,} images {best} ranks best: a generated image above a real one {times(auc)}."
    place = next((i for i, (_, title) in enumerate(measured) if title == METHODS["sedid-stat"].title), 0)
    if place:
        said += f" SeDID's STAT does so {times(measured[place][0])}, place {place + 1} of {len(measured)}."
    return said


def defence(found: DefenceResults) -> str:
    """How well the best attack finds the training images of every model."""
    first, *others = ((row.name, f"{100 * row.exposed[1].value:.0f}") for row in found.rows)
    said = (
        f"The best attack ranks a training image above an unseen one {first[1]} times in 100 for the {first[0]} model"
    )
    said += "".join(f", {share} times for the {name} one" for name, share in others)
    return f"{said}. Guessing would do so 50 times."


def sweep(found: SweepResults) -> str:
    """Which pair calibrates best, and how the detector's own fares beside it, both on the images measured."""
    rows: dict[Pair, SweepRow] = {(row.k, row.t_sec): row for row in found.rows}
    best, own = rows.get(found.best), rows.get(found.calibrated) if found.calibrated else None
    if best is None:
        return ""
    of_all = f"Of {len(rows)} pairs of k and T_SEC, {pair_in_words(*found.best)} tells the calibration images best"
    if own is best:
        return f"{of_all}, and it is the detector's own: AUC {best.auc:.2f} on the {found.measured_on}."
    said = f"{of_all}: AUC {best.auc:.2f} on the {found.measured_on}."
    if own is not None and found.calibrated:
        said += (
            f" The detector's own pair, {pair_in_words(*found.calibrated)}, has {own.auc:.2f} there; it was chosen among "
            "the pairs of its own calibration, on other images."
        )
    return said


def robustness(found: RobustnessResults) -> str:
    """What each method loses at worst."""
    parts = []
    for key, name in (("stat", "STAT"), ("nn", "NN")):
        if key not in found.rows[0].methods or len(found.rows) < 2:
            continue
        clean = found.rows[0].methods[key].auc
        worst = min(found.rows[1:], key=lambda row: row.methods[key].auc)
        parts.append(
            f"{name}'s AUC is {clean:.2f} on the images as they are, and {worst.methods[key].auc:.2f} at worst ({worst.label})"
        )
    return f"{'; '.join(parts)}." if parts else ""


def polarity(found: PolarityResults) -> str:
    """At how many timesteps which class has the larger errors, by the intervals of the AUC."""
    larger = [row.t_sec for row in found.rows if row.auc.high < 0.5]
    smaller = [row.t_sec for row in found.rows if row.auc.low > 0.5]
    said = [
        f"{kind} errors mean generated at {', '.join(map(str, where))}"
        for kind, where in (("larger", larger), ("smaller", smaller))
        if where
    ]
    open_ones = len(found.rows) - len(larger) - len(smaller)
    rest = f" At {open_ones} of {len(found.rows)} no difference is shown." if open_ones else ""
    if not said:
        return "At no T_SEC is it shown which class has the larger errors."
    return f"By T_SEC, {'; '.join(said)}. The paper expects smaller ones.{rest}"


def generalise(found: GeneraliseResults) -> str:
    """The range of the AUC over the sets of generated images."""
    rows = sorted((row for row in found.rows if not row.real), key=lambda row: row.stat.auc)
    if not rows:
        return ""
    low, high = rows[0], rows[-1]
    if low is high:
        return f"STAT ranks images of {low.set} above real ones {times(low.stat.auc)}."
    return (
        f"Calibrated once, STAT ranks generated images above real ones between {times(low.stat.auc)} ({low.set}) and "
        f"{times(high.stat.auc)} ({high.set})."
    )

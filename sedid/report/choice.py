"""A choice as HTML parts: the grid of cross-validated scores, its stability, early stopping, probabilities, abstention."""

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from sedid.method.diffusion import pair_in_words
from sedid.report.charts.chart import Chart, Mark, of_source
from sedid.report.charts.grid import Cell, Grid, legend
from sedid.report.charts.scale import SHARES, Scale
from sedid.report.charts.series import Series
from sedid.report.html import render
from sedid.report.numbers import counted
from sedid.report.protocol import detector_words, made_by, stated
from sedid.stats.choice import Choice
from sedid.stats.reliability import Reliability
from sedid.studies.choose import ChoiceResults, PathRow, Paths, Stopping, StoppingRow

SHOWN = 8  # pairs with a bar of their own
VERDICTS = {
    "stat_platt": "STAT, logistic (Platt)",
    "stat_isotonic": "STAT, isotonic",
    "nn": "NN, its temperature",
}
SCORES = {"stat": "STAT", "nn": "NN"}


def rate(value: float) -> str:
    """A stated error rate."""
    return f"{100 * value:g}%"


def whole(result: ChoiceResults) -> Markup:
    """All parts, in order."""
    chosen = result.choice.chosen
    drawn = render(
        "choice.html",
        result=result,
        protocol=protocol(result),
        legend=legend({"chosen": f"chosen: {pair_in_words(chosen.k, chosen.t_sec)}"}),
        grid=grid(result.choice),
        against_cost=against_cost(result.choice),
        bars=bars(result.choice),
        along_paths=result.paths and along_paths(result.paths),
        walks=result.paths and walks(result.paths),
        stopping=stopping(result.sequential),
        diagrams=[diagram(VERDICTS[name], values) for name, values in result.reliability.items()],
        VERDICTS=VERDICTS,
        SCORES=SCORES,
        rate=rate,
    )
    return of_source(drawn, result.protocol.detector, "choose")


def protocol(result: ChoiceResults) -> Markup:
    """What was chosen and measured on what."""
    about = result.protocol
    facts = [
        ("Detector", detector_words(about)),
        ("Images", counted({name: found.count for name, found in about.images.items()})),
        ("Chosen on", result.chosen_on),
        ("Measured on", result.measured_on),
        (
            "Rule of the choice",
            f"cross-validated AUC less {result.choice.penalty:g} for each network evaluation an image",
        ),
        ("How the test images were generated", made_by(result.test_generated_by)),
    ]
    return stated(facts, about.splits, [result.audit], calibration=result.audit_calibration)


def grid(choice: Choice) -> Grid:
    """The cross-validated AUC of every pair, as a grid over k and T_SEC."""
    cells = [
        Cell(
            *(row.k, row.t_sec - row.k, row.t_sec, row.cv_auc),
            f"{pair_in_words(row.k, row.t_sec)}: cross-validated AUC {row.cv_auc:.3f}, {row.evaluations} evaluations, "
            f"worth {row.worth:.3f}; {row.polarity} means generated",
            "chosen" if row == choice.chosen else "",
        )
        for row in choice.candidates
        if isinstance(row.k, int)  # all are: paths have a choice of their own
    ]
    return Grid("Cross-validated AUC", cells, Scale("T_SEC", 0, 1000))


def against_cost(choice: Choice) -> Chart:
    """The best cross-validated AUC that each number of evaluations buys."""
    best: dict[int, float] = {}
    for row in choice.candidates:
        best[row.evaluations] = max(best.get(row.evaluations, 0.0), row.cv_auc)
    costs = sorted(best)
    reached = np.maximum.accumulate([best[cost] for cost in costs])
    values = [best[cost] for cost in costs]
    x = Scale("network evaluations an image", 0, costs[-1] + 1, column="evaluations")
    low, high = min(values), max(values)
    margin = max(0.02, (high - low) * 0.15)
    y = Scale("cross-validated AUC", low - margin, high + margin)
    lines = [
        Series("best so far", costs, reached, "faint dash"),
        Series("best pair of this cost", costs, values, "one", True),
    ]
    marks = [Mark(choice.chosen.evaluations, "chosen")]
    return Chart("What evaluations buy", lines, x, y, "cross-validated AUC", marks)


def bars(choice: Choice) -> list[tuple[str, float, bool]]:
    """How often each pair wins when the images are drawn again: in words, its share, whether it is the one chosen."""
    won = sorted((row for row in choice.candidates if row.chosen_share), key=lambda row: -row.chosen_share)
    shown, rest = won[:SHOWN], won[SHOWN:]
    found = [(pair_in_words(row.k, row.t_sec), row.chosen_share, row == choice.chosen) for row in shown]
    others = (f"{len(rest)} other pairs together", sum(row.chosen_share for row in rest), False)
    return [*found, *([others] if rest else [])]


def along_paths(found: Paths) -> Chart:
    """AUC against evaluations where the steps of a walk need not all be of one size."""
    aucs = [end for row, *_ in walks(found) for end in (row.cv_auc, *row.auc_interval)]
    margin = max(0.02, (max(aucs) - min(aucs)) * 0.1)
    x = Scale(
        "network evaluations an image", 0, max(row.evaluations for row, *_ in walks(found)) + 1, column="evaluations"
    )
    y = Scale("AUC", min(aucs) - margin, max(aucs) + margin)
    costs, low, high = zip(*((row.evaluations, *row.auc_interval) for row in found.frontier), strict=True)
    lines = [
        Series("calibration images, cross-validated", costs, [row.cv_auc for row in found.frontier], "faint dash"),
        Series("test images, with 95 % interval", costs, [row.auc for row in found.frontier], "one", True, low, high),
    ]
    if found.paper:
        lines.append(Series("the paper's pair, test images", [found.paper.evaluations], [found.paper.auc], "two", True))
    marks = [Mark(found.choice.chosen.evaluations, "chosen")]
    return Chart("What evaluations buy along a path", lines, x, y, "AUC", marks)


def walks(found: Paths) -> list[tuple[PathRow, bool, bool]]:
    """The best walk of every number of evaluations, and the paper's: whether it is the one chosen, and whether the paper's."""
    chosen = found.choice.chosen
    best = [(row, (row.k, row.t_sec) == (chosen.k, chosen.t_sec), False) for row in found.frontier]
    return [*best, *([(found.paper, False, True)] if found.paper else [])]


def stopping(found: Stopping) -> tuple[Chart, Chart, Chart]:
    """Evaluations saved, AUC kept and wrong early calls against the stated error rate."""
    walks = list(zip(found.walks, ("one", "two dash"), strict=False))
    highest = max(row.error_rate for row in found.walks[0].rates)
    x = Scale("stated rate of wrong early calls of either class", 0, highest, column="stated rate")

    def lines(value: Callable[[StoppingRow], float]) -> list[Series]:
        made = []
        for walk, style in walks:
            rates = [row.error_rate for row in walk.rates]
            made.append(Series(f"to T_SEC {walk.t_sec}", rates, [value(row) for row in walk.rates], style, True))
        return made

    aucs = [auc for walk in found.walks for row in walk.rates for auc in (row.auc, row.auc_full)]
    margin = max(0.02, (max(aucs) - min(aucs)) * 0.1)
    zoomed = Scale("AUC", min(aucs) - margin, max(aucs) + margin)
    full = [Series("full walk", [0, highest], [walk.rates[0].auc_full] * 2, "faint thin") for walk, _ in walks]
    marks = [Mark(found.error_rate, "stated")]
    saved = lines(lambda row: row.saved / row.evaluations_full)
    return (
        Chart("Evaluations saved", saved, x, SHARES, "share of the full walk", marks),
        Chart("What it does to the AUC", [*full, *lines(lambda row: row.auc)], x, zoomed, "test images", marks),
        error_chart(found, x),
    )


def error_chart(found: Stopping, x: Scale) -> Chart:
    """Wrong early calls that were observed, against the stated rate."""
    walk = found.walks[-1]
    rates = [row.error_rate for row in walk.rates]
    wrong = {name: [row.wrong_early(name)[0] for row in walk.rates] for name in ("real", "generated")}
    top = max([x.high, *wrong["real"], *wrong["generated"]])
    y = Scale("observed rate", 0, top)
    lines = [Series("as stated", [0, x.high], [0, x.high], "faint dash")]
    lines += [Series(f"{name} images", rates, values, name, True) for name, values in wrong.items()]
    return Chart("Wrong early calls", lines, x, y, f"observed, to T_SEC {walk.t_sec}")


def diagram(title: str, found: Reliability) -> Chart:
    """Observed share against predicted probability."""
    bins = found.bins
    axis = Scale("probability of generated that was stated", 0, 1, column="stated")
    points = [one.predicted for one in bins]
    low, high = [one.observed_low for one in bins], [one.observed_high for one in bins]
    lines = [
        Series("perfect", [0, 1], [0, 1], "faint dash"),
        Series("observed, with its 95 % interval", points, [one.observed for one in bins], "one", True, low, high),
    ]
    return Chart(title, lines, axis, note="share observed")

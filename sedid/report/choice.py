"""A choice as HTML parts: the grid of cross-validated scores, its stability, early stopping, probabilities, abstention."""

from collections.abc import Callable

import numpy as np

from sedid.escaping import for_html
from sedid.method.diffusion import pair_in_words
from sedid.report.charts.chart import Chart, Mark, of_source
from sedid.report.charts.grid import Cell, Grid, legend
from sedid.report.charts.scale import SHARES, Scale
from sedid.report.charts.series import Series
from sedid.report.evaluation import table
from sedid.report.numbers import between, cell, counted, percent
from sedid.report.protocol import detector_words, facts, leaks, made_by, splits
from sedid.results import Interval
from sedid.stats.choice import Choice
from sedid.stats.reliability import Conformal, Reliability
from sedid.studies.choose import ChoiceResults, Stopping, StoppingRow

SHOWN = 8  # pairs with a bar of their own
VERDICTS = {
    "stat_platt": "STAT, logistic (Platt)",
    "stat_isotonic": "STAT, isotonic",
    "nn": "NN, its temperature",
}
SCORES = {"stat": "STAT", "nn": "NN"}


def rate(value: float) -> str:
    """A stated error rate."""
    return f"{100 * value:g}\u00a0%"


def whole(result: ChoiceResults) -> str:
    """All parts, in order."""
    shown = for_html(result)
    parts = (protocol, grid, stability, paths, stopping, probabilities, abstention)
    return of_source("".join(part(shown) for part in parts), shown.protocol.detector, "choose")


def protocol(result: ChoiceResults) -> str:
    """What was chosen and measured on what."""
    stated, choice, chosen = result.protocol, result.choice, result.choice.chosen
    shown = [
        ("Detector", detector_words(stated)),
        ("Images", counted({name: found.count for name, found in stated.images.items()})),
        ("Chosen on", result.chosen_on),
        ("Measured on", result.measured_on),
        ("Rule of the choice", f"cross-validated AUC less {choice.penalty:g} for each network evaluation an image"),
        ("How the test images were generated", made_by(result.test_generated_by)),
    ]
    test = result.test
    applied = "It is the detector's pair now." if result.applied else "The detector keeps its own pair."
    best = test.without_penalty
    cost = ""
    if (best.k, best.t_sec) != (chosen.k, chosen.t_sec):
        gap = best.auc_difference
        cost = (
            f" The pair of the highest cross-validated AUC, {pair_in_words(best.k, best.t_sec)}, costs {best.evaluations} evaluations; on the "
            f"test images the chosen one's AUC differs from its by {gap.difference:+.3f} ({between((gap.low, gap.high))})."
        )
    line = (
        f"<p>Chosen: <b>{pair_in_words(chosen.k, chosen.t_sec)}</b>, a {chosen.polarity} t-error means generated, {chosen.evaluations} network evaluations an "
        f"image. On the test images its AUC is {cell(test.auc)} ({between(test.intervals.get('auc'))}) and its accuracy at the "
        f"threshold of the calibration images {cell(test.acc)} ({between(test.intervals.get('acc'))}). {applied}{cost}</p>"
    )
    warned = leaks(calibration) if (calibration := result.audit_calibration) and calibration.warning else ""
    return facts(shown) + leaks(result.audit) + splits(stated.splits) + warned + line


def grid(result: ChoiceResults) -> str:
    """The cross-validated AUC of every pair, as a grid over k and T_SEC, and against its cost."""
    choice = result.choice
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
    drawn = Grid("Cross-validated AUC", cells, Scale("T_SEC", 0, 1000)).html()
    return (
        '<h2>Every pair of k and T_SEC on the calibration images</h2><p class="res-note">Rows are step sizes k, across runs '
        "the timestep. A cell covers the step it measures. Each part of the images is judged in the polarity of the other "
        "parts; a pair that only looks good by chance falls below 0.5.</p>"
        f"{legend({'chosen': f'chosen: {pair_in_words(choice.chosen.k, choice.chosen.t_sec)}'})}"
        f'<div class="ch-row ch-wide">{drawn}{against_cost(choice).html()}</div>'
    )


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


def stability(result: ChoiceResults) -> str:
    """How often each pair wins when the images are drawn again, and what the choice owes to luck."""
    choice, chosen = result.choice, result.choice.chosen
    won = sorted((row for row in choice.candidates if row.chosen_share), key=lambda row: -row.chosen_share)
    shown, rest = won[:SHOWN], won[SHOWN:]
    widest = won[0].chosen_share
    bars = [(pair_in_words(row.k, row.t_sec), row.chosen_share, row == chosen) for row in shown]
    if rest:
        bars.append((f"{len(rest)} other pairs together", sum(row.chosen_share for row in rest), False))
    made = "".join(
        f'<div class="{"" if own else "res-other"}"><span>{words}</span><i style="width:{min(100, 100 * share / widest):.1f}%"></i>'
        f"<span>{percent(share)}</span></div>"
        for words, share, own in bars
    )
    said = (
        f"Chosen without the images it is then measured on (nested cross-validation), a pair reaches an AUC of "
        f"{cell(choice.nested_auc)}; on those images the pair chosen with them in sight does better by "
        f"{choice.optimism:+.3f}. That is what picking the best owes to luck. On all the images that chose it the pair's "
        f"AUC is {cell(chosen.auc)}; having been picked for it, that figure has no interval."
    )
    if choice.nested_interval is not None and choice.polarity_share is not None:  # older results have none
        said += (
            f" The 95 % interval of the nested AUC is {between(choice.nested_interval)}: every resample chooses for itself "
            f"and is measured on the images it did not draw. {percent(choice.polarity_share)} of them choose a pair of the "
            "same polarity."
        )
    return (
        f"<h2>How stable the choice is</h2><p>Share of {choice.resamples} resamples of the calibration images that choose each "
        f'pair. The coloured bar is the pair chosen from all of them.</p><div class="res-bars">{made}</div><p>{said}</p>'
    )


def paths(result: ChoiceResults) -> str:
    """AUC against evaluations where the steps of a walk need not all be of one size; "" of results without that search."""
    found = result.paths
    if found is None:
        return ""
    rows = [*found.frontier, *([found.paper] if found.paper else [])]
    chosen, aucs = found.choice.chosen, [end for row in rows for end in (row.cv_auc, *row.auc_interval)]
    margin = max(0.02, (max(aucs) - min(aucs)) * 0.1)
    x = Scale("network evaluations an image", 0, max(row.evaluations for row in rows) + 1, column="evaluations")
    y = Scale("AUC", min(aucs) - margin, max(aucs) + margin)
    costs, low, high = zip(*((row.evaluations, *row.auc_interval) for row in found.frontier), strict=True)
    lines = [
        Series("calibration images, cross-validated", costs, [row.cv_auc for row in found.frontier], "faint dash"),
        Series("test images, with 95 % interval", costs, [row.auc for row in found.frontier], "one", True, low, high),
    ]
    if found.paper:
        lines.append(Series("the paper's pair, test images", [found.paper.evaluations], [found.paper.auc], "two", True))
    drawn = Chart("What evaluations buy along a path", lines, x, y, "AUC", [Mark(chosen.evaluations, "chosen")]).html()
    head = (
        "<tr><th>walk</th><th>evaluations</th><th>means<br>generated</th><th>AUC, calibration<br>(cross-validated)</th>"
        "<th>AUC, test images</th></tr>"
    )
    body = [
        (
            "res-own" if (row.k, row.t_sec) == (chosen.k, chosen.t_sec) and row is not found.paper else "",
            [
                f"<td>{pair_in_words(row.k, row.t_sec)}{' (the paper)' if row is found.paper else ''}</td>",
                *(f"<td>{one}</td>" for one in (row.evaluations, row.polarity, cell(row.cv_auc))),
                f"<td>{cell(row.auc)} ({between(row.auc_interval)})</td>",
            ],
        )
        for row in rows
    ]
    return (
        "<h2>Walks whose steps are not all of one size</h2><p class='res-note'>The engine walks along any ascending path of "
        f"timesteps. {len(found.choice.candidates)} paths were tried on the calibration images; of every number of evaluations "
        "the one of the highest cross-validated AUC stands here, and then the paper's pair. By the rule above the choice falls "
        f"on {pair_in_words(chosen.k, chosen.t_sec)}; chosen without the images it is measured on, a path reaches an AUC of "
        f"{cell(found.choice.nested_auc)} ({between(found.choice.nested_interval)}). The figures of the test images chose "
        f"nothing.</p>{drawn}{table(head, body)}"
    )


def stopping(result: ChoiceResults) -> str:
    """Evaluations saved and AUC kept against the stated error rate."""
    found = result.sequential
    styles = ("one", "two dash")
    walks = list(zip(found.walks, styles, strict=False))
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
    charts = (
        Chart("Evaluations saved", saved, x, SHARES, "share of the full walk", marks),
        Chart("What it does to the AUC", [*full, *lines(lambda row: row.auc)], x, zoomed, "test images", marks),
        error_chart(found, x),
    )
    return (
        f"<h2>Stopping early, k = {found.k}</h2><p class='res-note'>After each step a logistic regression of the t-errors so far "
        "says how sure the verdict is. The walk stops as soon as it is sure enough, by boundaries from the calibration images that "
        "allow the stated share of wrong early calls in each class. An image that stops keeps the score of an early step, which orders "
        "the images less well than the last one: stopping saves evaluations and costs AUC (in simulations up to 0.06 at a rate of 10&nbsp;%). "
        "What it costs here is the column &ldquo;difference&rdquo;. All figures are of the test images.</p>"
        f'<div class="ch-row">{"".join(chart.html() for chart in charts)}</div>{stopping_table(found)}'
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


def stopping_table(found: Stopping) -> str:
    """Every rate of every walk in numbers."""
    head = (
        "<tr><th>stated rate</th><th>walk to<br>T_SEC</th><th>evaluations<br>an image</th><th>wrong early,<br>real</th>"
        "<th>wrong early,<br>generated</th><th>AUC</th><th>full walk</th><th>difference</th><th>ACC<br>(full walk)</th></tr>"
    )
    rows = []
    for walk in found.walks:
        for row in walk.rates:
            gap = row.auc_difference
            cells = [rate(row.error_rate), str(walk.t_sec), f"{row.evaluations:.2f} of {row.evaluations_full}"]
            cells += [_with(*row.wrong_early(name)) for name in ("real", "generated")]
            cells += [
                cell(row.auc),
                cell(row.auc_full),
                f"{gap.difference:+.3f} ({between((gap.low, gap.high))})",
            ]
            cells.append(f"{cell(row.acc)} ({cell(row.acc_full)})")
            own = "res-own" if row.error_rate == found.error_rate else ""
            rows.append((own, [f"<td>{one}</td>" for one in cells]))
    return table(head, rows)


def _with(share: float, interval: Interval) -> str:
    """A share with its interval."""
    return f"{percent(share)} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def probabilities(result: ChoiceResults) -> str:
    """Reliability diagrams of every verdict and their scores."""
    found = result.reliability
    charts = "".join(diagram(VERDICTS[name], values) for name, values in found.items())
    head = (
        "<tr><th>probability from</th><th>ECE</th><th>ECE of perfect ones:<br>mean, 95 % limit</th><th>Brier score</th>"
        "<th>of it miscalibration</th><th>of it refinement</th></tr>"
    )
    rows = [
        (
            "",
            [f"<th>{VERDICTS[name]}</th><td>{cell(one.ece)}</td><td>{one.ece_expected:.3f}, {one.ece_limit:.3f}</td>"]
            + [f"<td>{cell(value)}</td>" for value in (one.brier, one.miscalibration, one.refinement)],
        )
        for name, one in found.items()
    ]
    return (
        f"<h2>Can the probabilities be taken at their word?</h2><div class='ch-row'>{charts}</div>{table(head, rows)}"
        "<p class='res-note'>Test images, both classes weighing the same. Each point holds equally many images; the band is the "
        "95 % interval of what was observed. ECE is the mean distance from the diagonal; even perfect probabilities show some on so "
        "few images. The Brier score is 0.25 for always saying one half. Its refinement is what the order of the scores allows.</p>"
    )


def diagram(title: str, found: Reliability) -> str:
    """Observed share against predicted probability."""
    bins = found.bins
    axis = Scale("probability of generated that was stated", 0, 1, column="stated")
    points = [one.predicted for one in bins]
    low, high = [one.observed_low for one in bins], [one.observed_high for one in bins]
    lines = [
        Series("perfect", [0, 1], [0, 1], "faint dash"),
        Series("observed, with its 95 % interval", points, [one.observed for one in bins], "one", True, low, high),
    ]
    return Chart(title, lines, axis, note="share observed").html()


def abstention(result: ChoiceResults) -> str:
    """Conformal verdicts at every error rate."""
    parts = []
    head = (
        "<tr><th>stated rate</th><th>missed,<br>real</th><th>missed,<br>generated</th><th>wrong verdict,<br>real</th>"
        "<th>wrong verdict,<br>generated</th><th>right verdict,<br>real</th><th>right verdict,<br>generated</th><th>cannot tell</th></tr>"
    )
    for name, found in result.conformal.items():
        if found.skipped:
            parts.append(f'<h3>{SCORES[name]}</h3><p class="res-note">Not calibrated: {found.skipped}.</p>')
            continue
        rows = [
            (
                "res-own" if row.error_rate == found.error_rate else "",
                [f"<td>{one}</td>" for one in abstention_cells(row)],
            )
            for row in found.rates
        ]
        parts.append(f"<h3>{SCORES[name]}</h3>{table(head, rows)}")
    return (
        "<h2>Verdicts at a stated error rate, or none</h2><p class='res-note'>An image is compared with the calibration images of "
        "each class. A class stays possible while more than the stated share of its images look as odd. One class left is the "
        "verdict; both or none is &ldquo;cannot tell&rdquo;. Missed: the true class was ruled out, with its 95 % interval on the "
        f"test images; this is what the stated rate promises.</p>{''.join(parts)}"
    )


def abstention_cells(row: Conformal) -> list[str]:
    """Conformal verdicts at one error rate."""
    shares = (row.wrong_real, row.wrong_generated, row.right_real, row.right_generated, row.abstained)
    return [
        rate(row.error_rate),
        _with(row.missed_real, row.missed_real_interval),
        _with(row.missed_generated, row.missed_generated_interval),
        *map(percent, shares),
    ]

"""An evaluation as HTML parts, for the page and the report: protocol, the paper's tables beside ours, curves, mistakes."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.method import paper
from sedid.method.diffusion import pair_in_words, steps_in_words
from sedid.report import lead
from sedid.report.charts.chart import Chart, Mark, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import STYLES, Series, histogram, stressed
from sedid.report.html import render
from sedid.report.protocol import made_by, set_words, stated, version_words
from sedid.stats.metrics import Metrics, roc
from sedid.studies.results import REALS, Evaluation, Pair

RESOLUTION = "n/a: fewer than 100 real images cannot resolve a false positive rate of 1 %, fewer than 1,000 not 0.1 %."
POLARITY = (
    "AUC in the calibrated polarity, which says whether a smaller or a larger t-error means generated; beside it, where a "
    "smaller one always does, as in the paper: below 0.5 the data turns it round."
)
ACCURACIES = (
    "Best ACC is at the threshold that fits these very images best, as in the paper; ACC at the threshold of the "
    "calibration split, fixed beforehand."
)


def protocol(evaluation: Evaluation) -> Markup:
    """What was measured on what, and the leak audit's warning."""
    results = evaluation.results
    about = results.protocol
    facts = [
        ("Detector", f"{evaluation.name}, checkpoint {about.checkpoint_sha256[:12]}"),
        ("Its own pair, chosen on the calibration split", pair_in_words(*evaluation.chosen)),
        ("Thresholds from", results.threshold_from),
        ("How the images were generated", made_by(about.generated_by)),
    ]
    sets = {"generated": "Generated images"} | {kind: words.capitalize() for kind, words in REALS.items()}
    facts += [(words, set_words(about.images[kind])) for kind, words in sets.items() if kind in about.images]
    facts += [("t-error", results.reduction), ("Versions", version_words(about))]
    return stated(facts, about.splits, [results.audit], about.generated_by)


def first(evaluation: Evaluation, reals: str, data_set: str) -> Markup:
    """What an evaluation says in one sentence, and what it was measured on."""
    return render("lead.html", words=lead.evaluation(evaluation, reals, data_set)) + protocol(evaluation)


def tables(evaluation: Evaluation, reals: str, data_set: str) -> Markup:
    """Both of the paper's tables: STAT at every T_SEC, and the methods, the paper's figures beside ours."""
    images = evaluation.results.protocol.images
    pairs = evaluation.pairs
    return render(
        "paper_tables.html",
        steps="" if len({k for k, _ in pairs}) > 1 else steps_in_words(pairs[0][0]),
        pairs=[
            (row, *(paper.table_1(data_set, row.k, row.t_sec) or (None, None)))
            for row in evaluation.results.stat[reals]
        ],
        methods=methods(evaluation, reals, data_set),
        loss=evaluation.existing(reals),
        reliability=evaluation.results.reliability,
        posterior=evaluation.results.posterior,
        SETS=REALS | {"generated": "generated images"},
        counts=f"Here: {images['generated'].count:,} generated images against {images[reals].count:,} {REALS[reals]}.",
        data_set=data_set,
        SOURCE=paper.SOURCE,
        POLARITY=POLARITY,
        ACCURACIES=ACCURACIES,
        RESOLUTION=RESOLUTION,
    )


def methods(
    evaluation: Evaluation, reals: str, data_set: str
) -> list[tuple[str, float | None, float | None, Metrics | None]]:
    """The methods of the paper's Table 2: in words, AUC and accuracy in the paper, and our figures."""
    place = paper.DATA_SETS.index(data_set)
    network, loss = evaluation.row(reals, None), evaluation.existing(reals)
    found: list[tuple[str, str, Metrics | None]] = [
        ("existing", "Training loss (Matsumoto et al. 2023)" + (f", t = {loss.t}" if loss else ""), loss),
        ("stat", f"SeDID STAT, {pair_in_words(*evaluation.chosen)}", evaluation.row(reals, evaluation.chosen)),
        ("nn", "SeDID NN" + (f", {pair_in_words(network.k, network.t_sec)}" if network else ""), network),
    ]
    return [(words, *paper.TABLE_2[key][place], row) for key, words, row in found]


def score_name(evaluation: Evaluation, pair: Pair | None) -> str:
    """What a score is called."""
    if pair is None:
        return "NN"
    own = ", the calibrated pair" if pair == evaluation.chosen else ""
    return f"STAT at {pair_in_words(*pair)}{own}"


def line_name(evaluation: Evaluation, pair: Pair | None) -> str:
    """What the legend of many lines calls a score."""
    if pair is None:
        return "NN"
    steps = f"{steps_in_words(pair[0])} at " if len({k for k, _ in evaluation.pairs}) > 1 else ""
    return f"STAT {steps}{pair[1]}{', the calibrated pair' if pair == evaluation.chosen else ''}"


def curves(evaluation: Evaluation, reals: str, pair: Pair | None) -> list[Series]:
    """ROC curves of every score, the chosen one bold: STAT at each pair, NN, and the baseline."""
    found = []
    for one, style in zip([*evaluation.pairs, None], STYLES, strict=False):
        values = evaluation.oriented(reals, one)
        if values is not None:
            drawn = stressed(style) if one == pair else style
            found.append(Series(line_name(evaluation, one), *roc(*values)[:2], drawn))
    losses, row = evaluation.losses(reals), evaluation.existing(reals)
    if losses is not None and row is not None:
        found.append(Series(f"Training loss at t = {row.t}", *roc(*losses)[:2], "faint dash"))
    return found


def roc_charts(lines: Sequence[Series]) -> tuple[Chart, Chart]:
    """ROC curves over all rates, and over the low ones."""
    note, name = "share of generated images found (TPR)", "real images called generated (FPR)"
    wide = Scale(name, 0, 1, column="FPR")
    low = Scale(f"{name}, logarithmic", 1e-3, 1, log=True, column="FPR")
    return Chart("ROC curves", lines, wide, note=note), Chart("ROC curves at low FPR", lines, low, note=note)


def scores_chart(evaluation: Evaluation, reals: str, pair: Pair | None, oracle: bool) -> Chart | None:
    """The scores of both classes as histograms, each class with area 1, with threshold and band; None if they were not kept.

    What lies beyond the axis, two in a thousand at either end, counts at its ends.
    """
    raw = evaluation.scores(reals, pair)
    if raw is None:
        return None
    low, high = np.quantile(np.concatenate(raw), (0.002, 0.998)).tolist()
    axis = Scale("probability of generated" if pair is None else "t-error", min(low, 0.0), high)
    edges = np.linspace(axis.low, axis.high, 41)
    row, threshold = evaluation.row(reals, pair), evaluation.threshold(reals, pair, oracle)
    return Chart(
        f"Scores: {score_name(evaluation, pair)}",
        [
            histogram(f"{name} images", values, edges, name)
            for name, values in zip(("real", "generated"), raw, strict=True)
        ],
        axis,
        None,
        marks=[Mark(threshold, "threshold")] if threshold is not None else [],
        band=row.band if row and not oracle else None,
    )


def charts(evaluation: Evaluation, reals: str, pair: Pair | None, oracle: bool) -> Markup:
    """ROC curves, histogram and confusion matrix of one score; a sentence where the scores were not kept."""
    scores = scores_chart(evaluation, reals, pair, oracle)
    drawn = render(
        "score.html",
        scores=scores,
        curves=scores and roc_charts(curves(evaluation, reals, pair)),
        confusion=scores and confusion(evaluation, reals, pair, oracle),
    )
    return of_source(drawn, evaluation.name, "evaluate")


def confusion(evaluation: Evaluation, reals: str, pair: Pair | None, oracle: bool) -> Markup:
    """The confusion matrix, counts and shares, and how often no verdict is given."""
    verdicts = evaluation.results.verdicts
    shares = [known_shares(verdicts.get(name)) for name in ("generated", reals)]
    return render(
        "confusion.html",
        counts=evaluation.confusion(reals, pair, oracle),
        threshold=evaluation.threshold(reals, pair, oracle),
        reals=REALS[reals],
        score=score_name(evaluation, pair),
        oracle=oracle,
        shares=shares if pair == evaluation.chosen and not oracle and all(shares) else [],
        Call=Call,
    )


def mistakes(evaluation: Evaluation, reals: str, clickable: bool) -> Markup:
    """The images STAT was most wrong about at the detector's own pair, worst first.

    Args:
        clickable: each is a button of class `res-open`, for the page.
    """
    return render(
        "mistakes.html",
        kinds=[
            ("Generated images", "real", evaluation.mistakes("generated")),
            ("Real images", "generated", evaluation.mistakes(reals)),
        ],
        at=pair_in_words(*evaluation.chosen),
        closed=evaluation.closed,
        clickable=clickable,
    )

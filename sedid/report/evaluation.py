"""An evaluation as HTML parts, for the page and the report: protocol, the paper's tables beside ours, curves, mistakes."""

import base64
from collections.abc import Iterable, Sequence
from io import BytesIO

import numpy as np
from markupsafe import escape

from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.method import paper
from sedid.method.diffusion import pair_in_words, steps_in_words, write_steps
from sedid.report.charts.chart import Chart, Mark, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import STYLES, Series, histogram, stressed
from sedid.report.numbers import cell
from sedid.report.protocol import crossed, facts, leaks, made_by, set_words, splits, version_words
from sedid.stats.metrics import Metrics, roc
from sedid.studies.results import REALS, Evaluation, Mistake, Pair, Shown
from sedid.training.baseline import LossRow

KS = '<th rowspan="2">k</th>'
RESOLUTION = "n/a: fewer than 100 real images cannot resolve a false positive rate of 1 %, fewer than 1,000 not 0.1 %."
POLARITY = (
    "AUC in the paper's polarity (a smaller t-error means generated), so below 0.5 where the data turns it round."
)
ACCURACIES = (
    "Best ACC is at the threshold that fits these very images best, as in the paper; ACC at the threshold of the "
    "calibration split, fixed beforehand."
)


def table(head: str, rows: Iterable[tuple[str, Sequence[str]]], style: str = "") -> str:
    """A table that scrolls sideways on small screens.

    Args:
        head: rows of the `thead`, HTML.
        rows: (class of the row, cells as HTML starting with `<t`).
    """
    body = "".join(f'<tr class="{kind}">{"".join(cells)}</tr>' for kind, cells in rows)
    return f'<div class="res-scroll" tabindex="0"><table class="{style}"><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _cells(values: Sequence[float | None], theirs: Sequence[int] = ()) -> list[str]:
    """Metrics as cells; those at the places `theirs` are the paper's."""
    return [
        f'<td class="res-paper">{cell(value)}</td>' if i in theirs else f"<td>{cell(value)}</td>"
        for i, value in enumerate(values)
    ]


def protocol(evaluation: Shown) -> str:
    """What was measured on what, and the leak audit's warning."""
    results = evaluation.results
    stated = results.protocol
    shown = [
        ("Detector", f"{evaluation.name}, checkpoint {stated.checkpoint_sha256[:12]}"),
        ("Its own pair, chosen on the calibration split", pair_in_words(*evaluation.chosen)),
        ("Thresholds from", results.threshold_from),
        ("How the images were generated", made_by(stated.generated_by)),
    ]
    sets = {"generated": "Generated images"} | {kind: words.capitalize() for kind, words in REALS.items()}
    shown += [(words, set_words(stated.images[kind])) for kind, words in sets.items() if kind in stated.images]
    shown += [("t-error", results.reduction), ("Versions", version_words(stated))]
    return facts(shown) + crossed(stated.generated_by) + leaks(results.audit) + splits(stated.splits)


def tables(evaluation: Shown, reals: str, data_set: str) -> str:
    """Both of the paper's tables."""
    made = (table_1(evaluation, reals, data_set), table_2(evaluation, reals, data_set))
    return f'<div class="res-tables">{"".join(f"<div>{one}</div>" for one in made)}</div>'


def table_1(evaluation: Shown, reals: str, data_set: str) -> str:
    """STAT at every T_SEC, the paper's Table 1 beside it."""
    several = len({k for k, _ in evaluation.pairs}) > 1
    head = (
        f'<tr><th rowspan="2">T_SEC</th>{KS if several else ""}<th class="res-group" colspan="2">AUC</th>'
        '<th class="res-group" colspan="2">best ACC</th><th rowspan="2">ACC</th><th rowspan="2">TPR at<br>FPR 1 %</th>'
        '<th rowspan="2">TPR at<br>FPR 0.1 %</th></tr><tr><th class="res-paper">paper</th><th>here</th>'
        '<th class="res-paper">paper</th><th>here</th></tr>'
    )
    rows = []
    for row in evaluation.results.stat[reals]:
        theirs = paper.table_1(data_set, row.k, row.t_sec) or (None, None)
        values = [theirs[0], row.auc_paper_polarity, theirs[1], row.best_acc]
        values += [row.acc, row.tpr_at_1, row.tpr_at_01]
        own, step = "res-own" if row.chosen else "", f"<td>{write_steps(row.k)}</td>" if several else ""
        rows.append((own, [f"<th>{row.t_sec}</th>{step}", *_cells(values, (0, 2))]))
    return (
        f"<h2>Table 1: STAT at every T_SEC{'' if several else f', {steps_in_words(evaluation.pairs[0][0])}'}</h2>{table(head, rows)}"
        f'<p class="res-note">{count_words(evaluation, reals)} Paper: {escape(data_set)}, {paper.SOURCE}. {POLARITY} '
        f"{ACCURACIES} {RESOLUTION} The shaded row is the pair the calibration split chose.</p>"
    )


def table_2(evaluation: Shown, reals: str, data_set: str) -> str:
    """The methods, the paper's Table 2 beside them."""
    place = paper.DATA_SETS.index(data_set)
    stat, network = evaluation.row(reals, evaluation.chosen), evaluation.row(reals, None)
    loss = evaluation.existing(reals)
    methods: list[tuple[str, str, Metrics | None]] = [
        ("existing", "Training loss (Matsumoto et al. 2023)" + (f", t = {loss.t}" if loss else ""), loss),
        ("stat", f"SeDID STAT, {pair_in_words(*evaluation.chosen)}", stat),
        ("nn", "SeDID NN" + (f", {pair_in_words(network.k, network.t_sec)}" if network else ""), network),
    ]
    head = (
        '<tr><th rowspan="2">method</th><th class="res-group" colspan="2">AUC</th><th class="res-group" colspan="2">best ACC</th>'
        '<th rowspan="2">ACC</th></tr><tr><th class="res-paper">paper</th><th>here</th><th class="res-paper">paper</th><th>here</th></tr>'
    )
    rows = []
    for key, words, row in methods:
        auc, accuracy = paper.TABLE_2[key][place]
        ours = (row.auc, row.best_acc, row.acc) if row else (None, None, None)
        values = [auc, ours[0], accuracy, *ours[1:]]
        rows.append(("", [f"<th>{words}</th>", *_cells(values, (0, 2))]))
    return (
        f"<h2>Table 2: the methods</h2>{table(head, rows)}"
        f'<p class="res-note">{count_words(evaluation, reals)} Paper: {escape(data_set)}, its best T_SEC. AUC here is in the calibrated '
        f"polarity. {loss_words(loss)}{ACCURACIES} n/a: not measured.</p>"
    )


def loss_words(row: LossRow | None) -> str:
    """Where the timestep of the existing method comes from, as a sentence; empty if it was not measured."""
    if row is None:
        return ""
    noises = f"{row.noises} noise{'s' if row.noises > 1 else ''}"
    return (
        f"The training loss at t = {row.t} ({noises} an image) was chosen by the {row.chosen_by}; a "
        f"{row.polarity} loss means generated. "
    )


def count_words(evaluation: Shown, reals: str) -> str:
    """How many images of what."""
    images = evaluation.results.protocol.images
    return f"Here: {images['generated'].count:,} generated images against {images[reals].count:,} {REALS[reals]}."


def score_name(evaluation: Evaluation, pair: Pair | None) -> str:
    """What a score is called."""
    if pair is None:
        return "NN"
    own = ", the calibrated pair" if pair == evaluation.chosen else ""
    return f"STAT at {pair_in_words(*pair)}{own}"


def curves(evaluation: Shown, reals: str, pair: Pair | None) -> list[Series]:
    """ROC curves of every score, the chosen one bold: STAT at each pair, NN, and the baseline."""
    found = []
    for one, style in zip([*evaluation.pairs, None], STYLES, strict=False):
        values = evaluation.oriented(reals, one)
        if values is not None:
            drawn = stressed(style) if one == pair else style
            found.append(Series(score_name(evaluation, one), *roc(*values)[:2], drawn))
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


def scores_chart(evaluation: Shown, reals: str, pair: Pair | None, oracle: bool) -> Chart | None:
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


def charts(evaluation: Shown, reals: str, pair: Pair | None, oracle: bool) -> str:
    """ROC curves, histogram and confusion matrix of one score; a sentence where the scores were not kept."""
    scores = scores_chart(evaluation, reals, pair, oracle)
    if scores is None:
        return (
            '<p class="res-note">No curves: the per-image scores of this evaluation were not kept. '
            "Run <code>python -m sedid evaluate</code> again to keep them.</p>"
        )
    drawn = "".join(chart.html() for chart in roc_charts(curves(evaluation, reals, pair)))
    whole = (
        f'<div class="ch-row">{drawn}</div><div class="ch-row">{scores.html()}'
        f"{confusion(evaluation, reals, pair, oracle)}</div>"
    )
    return of_source(whole, evaluation.name, "evaluate")


def confusion(evaluation: Shown, reals: str, pair: Pair | None, oracle: bool) -> str:
    """The confusion matrix, counts and shares, and how often no verdict is given."""
    counts, threshold = evaluation.confusion(reals, pair, oracle), evaluation.threshold(reals, pair, oracle)
    if counts is None or threshold is None:
        return (
            '<p class="res-note">These results do not state the threshold of the calibration split; evaluate again.</p>'
        )
    rows = []
    for i, name in enumerate((REALS[reals], "generated images")):
        cells = [
            f'<td class="{"res-right" if i == j else ""}">{counts[i, j]:,}<small>{counts[i, j] / counts[i].sum():.1%}</small></td>'
            for j in (0, 1)
        ]
        rows.append(("", [f"<th>{name}</th>", *cells]))
    head = "<tr><th></th><th>on the real side</th><th>on the generated side</th></tr>"
    source = "the best of these very images" if oracle else "the calibration split"
    shares = evaluation.results.verdicts
    of_generated, of_reals = (known_shares(shares.get(name)) for name in ("generated", reals))
    silent = " Every image is put on one side here."
    if pair == evaluation.chosen and not oracle and of_generated and of_reals:
        silent += (
            f" The detector itself says “{Call.UNDECIDED}” of {of_generated[Call.UNDECIDED]:.1%} of the generated images "
            f"and {of_reals[Call.UNDECIDED]:.1%} of the {REALS[reals]}, and “{Call.OUTSIDE}” of "
            f"{of_generated[Call.OUTSIDE]:.1%} and {of_reals[Call.OUTSIDE]:.1%}."
        )
    return (
        f"<div><h3>Confusion matrix</h3>{table(head, rows, 'res-confusion')}"
        f'<p class="res-note">{score_name(evaluation, pair)}, threshold {threshold:.4g}, from {source}.{silent}</p></div>'
    )


def picture(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3) as a PNG data URI."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def withheld(evaluation: Evaluation, found: Sequence[Mistake]) -> str:
    """Why mistaken photographs are not shown, and which ones they are."""
    why = f"the licence of {evaluation.closed} lets nobody pass its photographs on" if evaluation.closed else ""
    places = ", ".join(f"{one.place} ({one.t_error:.4g})" for one in found)
    return (
        f"The pictures are not shown: {why or 'they were not kept, so that they are not passed on'}. Their places in the set, "
        f"counted from 0, each with its t-error: {places}."
    )


def mistakes(evaluation: Shown, reals: str, clickable: bool) -> str:
    """The images STAT was most wrong about at the detector's own pair, worst first.

    Args:
        clickable: each is a button of class `res-open`, for the page.
    """
    parts = []
    for name, words, wrong in (("generated", "Generated images", "real"), (reals, "Real images", "generated")):
        found = evaluation.mistakes(name)
        frames = []
        for one in found or []:
            if one.pixels is None:
                continue
            value = f"{one.t_error:.4g}"
            image = f'<img src="{picture(one.pixels)}" alt="{words[:-1]} {one.place} of the set, t-error {value}">'
            if clickable:
                image = (
                    f'<button type="button" class="res-open" aria-label="Inspect image {one.place}">{image}</button>'
                )
            frames.append(f"<figure>{image}<figcaption>{value}</figcaption></figure>")
        if found is None:
            said = "They were not kept; evaluate again."
        elif not found:
            said = f"None lies on the {wrong} side of the threshold."
        else:
            said = withheld(evaluation, found)
        body = f'<div class="res-gallery">{"".join(frames)}</div>' if frames else f'<p class="res-note">{said}</p>'
        parts.append(f"<h3>{words} taken for {wrong}</h3>{body}")
    note = "A click opens the image in Inspect." if clickable else ""
    return (
        f'<h2>Worst mistakes</h2><p class="res-note">STAT at {pair_in_words(*evaluation.chosen)}, worst first; below each its '
        f"t-error. {note}</p>{''.join(parts)}"
    )

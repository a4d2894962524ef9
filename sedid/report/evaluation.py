"""An evaluation as HTML parts, for the page and the report: protocol, the paper's tables beside ours, curves, mistakes."""

import base64
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from markupsafe import escape

from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.escaping import Html
from sedid.method import paper
from sedid.report.markdown import cell, leak_line, sampler_words, splits_line
from sedid.report.svg import SHARES, Axis, Line, histogram, line_chart
from sedid.stats.metrics import roc
from sedid.studies.results import REALS, Evaluation, Mistake, Pair, Shown

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


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values on a card, both HTML."""
    return (
        f'<dl class="res-facts">{"".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)}</dl>'
    )


def made_by(manifest: dict[str, Any]) -> str:
    """How a generated set was made, in words."""
    if not manifest:
        return "no manifest: sampler and checkpoint unknown"
    crossed = ", by ANOTHER checkpoint (cross-checkpoint)" if manifest.get("cross_checkpoint") else ""
    return f"{sampler_words(manifest)}, seed {manifest.get('seed', '?')}{crossed}"


def protocol(evaluation: Shown) -> str:
    """What was measured on what, and the leak audit's warning."""
    stated = evaluation.results["protocol"]
    config, k_t = stated.get("config", {}), evaluation.chosen
    shown = [
        ("Detector", f"{evaluation.name}, checkpoint {str(stated.get('checkpoint_sha256', '?'))[:12]}"),
        ("Its own pair, chosen on the calibration split", f"k = {k_t[0]}, T_SEC = {k_t[1]}"),
        ("Thresholds from", str(stated.get("threshold_from", "?"))),
        ("How the images were generated", made_by(stated.get("generated_by", {}))),
    ]
    sets = {"generated": "Generated images"} | {kind: words.capitalize() for kind, words in REALS.items()}
    for kind, words in sets.items():
        if kind in stated["images"]:
            found = stated["images"][kind]
            shown.append(
                (words, f"{found['count']:,} from {config.get(kind, '?')}, sha256 {str(found['sha256'])[:12]}")
            )
    shown.append(("t-error", str(stated.get("reduction", "?"))))
    versions = ", ".join(f"{name} {number}" for name, number in stated.get("versions", {}).items())
    shown.append(("Versions", versions))
    return (
        facts(shown) + crossed(stated.get("generated_by", {})) + leaks(evaluation.results) + splits(evaluation.results)
    )


def crossed(manifest: dict[str, Any]) -> str:
    """The warning that another checkpoint made the images than the one that scores them; empty where none is due."""
    if not manifest.get("cross_checkpoint"):
        return ""
    maker = str(manifest.get("checkpoint_sha256", "?"))[:12]
    return (
        f'<p class="res-warning" role="alert"><b>Cross-checkpoint.</b> The generated images were made by checkpoint '
        f"{maker}, not by the one that scores them. The method asks whether THIS model made an image, so these "
        "figures answer another question than the paper's.</p>"
    )


def leaks(results: Html) -> str:
    """The leak audit as a line, a warning set off."""
    said = leak_line(results)
    if results.get("audit", {}).get("warning"):
        return f'<p class="res-warning" role="alert"><b>The data gives the classes away.</b> {said}</p>'
    return f'<p class="res-note">{said or "These results are older than the leak audit; evaluate again for it."}</p>'


def splits(results: Html) -> str:
    """What the sets share, as a line, a warning set off."""
    warned = (results["protocol"].get("splits") or {}).get("warning")
    style = 'class="res-warning" role="alert"' if warned else 'class="res-note"'
    return f"<p {style}>{splits_line(results)}</p>"


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
    for row in evaluation.results["stat"][reals]:
        theirs = paper.table_1(data_set, row["k"], row["t_sec"]) or (None, None)
        values = [theirs[0], row["auc_paper_polarity"], theirs[1], row["best_acc"]]
        values += [row["acc"], row["tpr_at_1"], row["tpr_at_01"]]
        own, step = "res-own" if row["chosen"] else "", f"<td>{row['k']}</td>" if several else ""
        rows.append((own, [f"<th>{row['t_sec']}</th>{step}", *_cells(values, (0, 2))]))
    return (
        f"<h2>Table 1: STAT at every T_SEC{'' if several else f', k = {evaluation.pairs[0][0]}'}</h2>{table(head, rows)}"
        f'<p class="res-note">{count_words(evaluation, reals)} Paper: {escape(data_set)}, {paper.SOURCE}. {POLARITY} '
        f"{ACCURACIES} {RESOLUTION} The shaded row is the pair the calibration split chose.</p>"
    )


def table_2(evaluation: Shown, reals: str, data_set: str) -> str:
    """The methods, the paper's Table 2 beside them."""
    place = paper.DATA_SETS.index(data_set)
    stat, network = evaluation.row(reals, evaluation.chosen), evaluation.row(reals, None)
    loss = evaluation.existing(reals)
    methods: list[tuple[str, str, dict[str, Any] | None]] = [
        ("existing", "Training loss (Matsumoto et al. 2023)" + (f", t = {loss['t']}" if loss else ""), loss),
        ("stat", f"SeDID STAT, k = {evaluation.chosen[0]}, T_SEC = {evaluation.chosen[1]}", stat),
        ("nn", "SeDID NN" + (f", k = {network['k']}, T_SEC = {network['t_sec']}" if network else ""), network),
    ]
    head = (
        '<tr><th rowspan="2">method</th><th class="res-group" colspan="2">AUC</th><th class="res-group" colspan="2">best ACC</th>'
        '<th rowspan="2">ACC</th></tr><tr><th class="res-paper">paper</th><th>here</th><th class="res-paper">paper</th><th>here</th></tr>'
    )
    rows = []
    for key, words, row in methods:
        auc, accuracy = paper.TABLE_2[key][place]
        found = row or {}
        values = [auc, found.get("auc"), accuracy, found.get("best_acc"), found.get("acc")]
        rows.append(("", [f"<th>{words}</th>", *_cells(values, (0, 2))]))
    return (
        f"<h2>Table 2: the methods</h2>{table(head, rows)}"
        f'<p class="res-note">{count_words(evaluation, reals)} Paper: {escape(data_set)}, its best T_SEC. AUC here is in the calibrated '
        f"polarity. {loss_words(loss)}{ACCURACIES} n/a: not measured.</p>"
    )


def loss_words(row: dict[str, Any] | None) -> str:
    """Where the timestep of the existing method comes from, as a sentence; empty if it was not measured."""
    if row is None:
        return ""
    noises = f"{row['noises']} noise{'s' if row['noises'] > 1 else ''}"
    return (
        f"The training loss at t = {row['t']} ({noises} an image) was chosen by the {row['chosen_by']}; a "
        f"{row['polarity']} loss means generated. "
    )


def count_words(evaluation: Shown, reals: str) -> str:
    """How many images of what."""
    images = evaluation.results["protocol"]["images"]
    return f"Here: {images['generated']['count']:,} generated images against {images[reals]['count']:,} {REALS[reals]}."


def score_name(evaluation: Evaluation, pair: Pair | None) -> str:
    """What a score is called."""
    if pair is None:
        return "NN"
    own = ", the calibrated pair" if pair == evaluation.chosen else ""
    return f"STAT at k = {pair[0]}, T_SEC = {pair[1]}{own}"


def curves(evaluation: Shown, reals: str, pair: Pair | None) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    """ROC curves, label -> (FPR, TPR, style): the chosen score, NN, and faintly the baseline and STAT's other pairs."""
    shown: list[Pair | None] = [other for other in evaluation.pairs if other != pair]
    shown += [None] if pair is not None else []
    found = {}
    for one in [*shown, pair]:
        values = evaluation.oriented(reals, one)
        if values is not None:
            label = score_name(evaluation, one) if one in (pair, None) else "STAT at the other pairs"
            style = "res-one" if one == pair else "res-two res-dash" if one is None else "res-faint res-thin"
            key = label if one in (pair, None) else f"{label}|{one}"
            found[key] = (*roc(*values)[:2], style)
    losses, row = evaluation.losses(reals), evaluation.existing(reals)
    if losses is not None and row is not None:
        found = {f"Training loss at t = {row['t']}": (*roc(*losses)[:2], "res-faint res-dash")} | found
    return found


def charts(evaluation: Shown, reals: str, pair: Pair | None, oracle: bool) -> str:
    """ROC curves, histogram and confusion matrix of one score; a sentence where the scores were not kept."""
    raw = evaluation.scores(reals, pair)
    if raw is None:
        return (
            '<p class="res-note">No curves: the per-image scores of this evaluation were not kept. '
            "Run <code>python -m sedid evaluate</code> again to keep them.</p>"
        )
    made = curves(evaluation, reals, pair)
    lines = [Line(label.split("|")[0], fpr, tpr, style) for label, (fpr, tpr, style) in made.items()]
    low = Axis("real images called generated (FPR), logarithmic", 1e-3, 1, (0.001, 0.01, 0.1, 1), log=True)
    wide = Axis("real images called generated (FPR)", 0, 1, (0, 0.25, 0.5, 0.75, 1))
    threshold = evaluation.threshold(reals, pair, oracle)
    band = None if oracle else (evaluation.row(reals, pair) or {}).get("band")
    name = "probability of generated" if pair is None else "t-error"
    title = f"Scores: {score_name(evaluation, pair)}"
    return (
        '<div class="res-row">'
        + line_chart("ROC curves", lines, wide, SHARES, "share of generated images found (TPR)")
        + line_chart("The same at low FPR", lines, low, SHARES, "share of generated images found (TPR)")
        + f'</div><div class="res-row">{histogram(title, *raw, name, threshold, band)}'
        + f"{confusion(evaluation, reals, pair, oracle)}</div>"
    )


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
    shares = evaluation.results.get("verdicts", {})
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
    k, t_sec = evaluation.chosen
    return (
        f'<h2>Worst mistakes</h2><p class="res-note">STAT at k = {k}, T_SEC = {t_sec}, worst first; below each its '
        f"t-error. {note}</p>{''.join(parts)}"
    )

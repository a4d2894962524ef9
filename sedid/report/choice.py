"""A choice as HTML parts: the grid of cross-validated scores, its stability, early stopping, probabilities, abstention."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sedid.escaping import Html, read_results
from sedid.report.evaluation import facts, leaks, made_by, splits, table
from sedid.report.markdown import cell
from sedid.report.svg import SHARES, Axis, Line, line_chart, round_ticks
from sedid.report.sweep import HEAT, WRITTEN_FROM

SHOWN = 8  # pairs with a bar of their own
SECTIONS = {"choice", "test", "sequential", "reliability", "conformal", "protocol"}
VERDICTS = {
    "stat_platt": "STAT, logistic (Platt)",
    "stat_isotonic": "STAT, isotonic",
    "nn": "NN, its temperature",
}
SCORES = {"stat": "STAT", "nn": "NN"}


def load_choice(file: Path) -> dict[str, Any]:
    """Read a choice.json.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not what `choose` writes.
    """
    return read_results(
        file,
        "choose",
        lambda found: (
            found.keys() >= SECTIONS
            and bool(found["choice"]["candidates"])
            and bool(found["sequential"]["walks"])
            and isinstance(found["protocol"]["images"], dict)
        ),
    )


def between(interval: Sequence[float] | None, digits: int = 3) -> str:
    """An interval in words."""
    return "n/a" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def percent(value: float) -> str:
    """A share as percent."""
    return f"{100 * value:.1f}\u00a0%"


def rate(row: dict[str, Any]) -> str:
    """The stated error rate of a row."""
    return f"{100 * row['error_rate']:g}\u00a0%"


def pair_words(pair: dict[str, Any]) -> str:
    """k = 165, T_SEC = 330."""
    return f"k = {pair['k']}, T_SEC = {pair['t_sec']}"


def whole(result: Html) -> str:
    """All parts, in order."""
    parts = (protocol, grid, stability, stopping, probabilities, abstention)
    return "".join(part(result) for part in parts)


def protocol(result: Html) -> str:
    """What was chosen and measured on what."""
    stated, choice, chosen = result["protocol"], result["choice"], result["choice"]["chosen"]
    counts = ", ".join(f"{found['count']:,} {name.replace('_', ' ')}" for name, found in stated["images"].items())
    config = stated.get("config", {})
    shown = [
        ("Detector", f"{config.get('detector', '?')}, checkpoint {str(stated.get('checkpoint_sha256') or '?')[:12]}"),
        ("Images", counts),
        ("Chosen on", str(stated.get("chosen_on", "?"))),
        ("Measured on", str(stated.get("measured_on", "?"))),
        ("Rule of the choice", f"cross-validated AUC less {choice['penalty']:g} for each network evaluation an image"),
        ("How the test images were generated", made_by(stated.get("test_generated_by", {}))),
    ]
    test = result["test"]
    applied = "It is the detector's pair now." if config.get("apply") else "The detector keeps its own pair."
    best = test["without_penalty"]
    cost = ""
    if (best["k"], best["t_sec"]) != (chosen["k"], chosen["t_sec"]):
        gap = best["auc_difference"]
        cost = (
            f" The pair of the highest cross-validated AUC, {pair_words(best)}, costs {best['evaluations']} evaluations; on the "
            f"test images the chosen one's AUC differs from its by {gap['difference']:+.3f} ({between((gap['low'], gap['high']))})."
        )
    line = (
        f"<p>Chosen: <b>{pair_words(chosen)}</b>, a {chosen['polarity']} t-error means generated, {chosen['evaluations']} network evaluations an "
        f"image. On the test images its AUC is {cell(test['auc'])} ({between(test['intervals']['auc'])}) and its accuracy at the "
        f"threshold of the calibration images {cell(test['acc'])} ({between(test['intervals']['acc'])}). {applied}{cost}</p>"
    )
    warned = result.get("audit_calibration", {}).get("warning")
    return (
        facts(shown)
        + leaks(result)
        + splits(result)
        + (leaks(Html({"audit": result["audit_calibration"]})) if warned else "")
        + line
    )


def grid(result: Html) -> str:
    """The cross-validated AUC of every pair, as a heatmap over k and T_SEC, and against its cost."""
    choice = result["choice"]
    rows = choice["candidates"]
    low, high = min(row["cv_auc"] for row in rows), max(row["cv_auc"] for row in rows)
    lines = []
    for k in sorted({row["k"] for row in rows}):
        of_k = sorted((row for row in rows if row["k"] == k), key=lambda row: row["t_sec"])
        cells = "".join(_cell(row, low, high, row == choice["chosen"]) for row in of_k)
        rest = max(0, 1000 - of_k[-1]["t_sec"])
        lines.append(f'<div class="res-steps"><span>{k}</span>{cells}<i style="flex:{rest} 0 0"></i></div>')
    along = "".join(f"<span>{tick}</span>" for tick in (0, 250, 500, 750, 1000))
    heat = (
        '<figure class="res-chart res-heat"><figcaption>Cross-validated AUC'
        f'<span class="res-scale">{low:.3f}<i></i>{high:.3f}</span></figcaption>{"".join(lines)}'
        f'<div class="res-along">{along}</div></figure>'
    )
    return (
        '<h2>Every pair of k and T_SEC on the calibration images</h2><p class="res-note">Rows are step sizes k, across runs '
        "the timestep. A cell covers the step it measures. Each part of the images is judged in the polarity of the other "
        'parts; a pair that only looks good by chance falls below 0.5.</p><div class="res-keys"><span><i class="res-outline '
        f'res-generated"></i>chosen: {pair_words(choice["chosen"])}</span></div>'
        f'<div class="res-row res-two-by-two">{heat}{against_cost(choice)}</div>'
    )


def _cell(row: dict[str, Any], low: float, high: float, chosen: bool) -> str:
    heat = HEAT * (row["cv_auc"] - low) / ((high - low) or 1)
    styles = ["sed-go res-cell", *(["res-calibrated"] if chosen else [])]
    styles += ["res-narrow"] if row["k"] < 100 else []
    words = f"{pair_words(row)}: cross-validated AUC {row['cv_auc']:.3f}, {row['evaluations']} evaluations, worth {row['worth']:.3f}"
    written = "" if row["k"] < WRITTEN_FROM else f"{row['cv_auc']:.2f}".removeprefix("0")
    return (
        f'<button type="button" class="{" ".join(styles)}" style="flex-grow:{row["k"]};--heat:{heat:.0f}%" data-k="{row["k"]}" '
        f'data-t="{row["t_sec"]}" title="{words}; {row["polarity"]} means generated" aria-label="{words}">{written}</button>'
    )


def against_cost(choice: dict[str, Any]) -> str:
    """The best cross-validated AUC that each number of evaluations buys."""
    best: dict[int, float] = {}
    for row in choice["candidates"]:
        best[row["evaluations"]] = max(best.get(row["evaluations"], 0.0), row["cv_auc"])
    costs = sorted(best)
    reached = np.maximum.accumulate([best[cost] for cost in costs])
    values = [best[cost] for cost in costs]
    x = Axis("network evaluations an image", 0, costs[-1] + 1, round_ticks(0, costs[-1]))
    low, high = min(values), max(values)
    margin = max(0.02, (high - low) * 0.15)
    y = Axis("", low - margin, high + margin, round_ticks(low - margin / 2, high + margin / 2))
    lines = [
        Line("best so far", costs, reached, "res-faint res-dash"),
        Line("best pair of this cost", costs, values, "res-one", True),
    ]
    mark = (choice["chosen"]["evaluations"], "chosen")
    return line_chart("What evaluations buy", lines, x, y, "cross-validated AUC", mark)


def stability(result: Html) -> str:
    """How often each pair wins when the images are drawn again, and what the choice owes to luck."""
    choice, chosen = result["choice"], result["choice"]["chosen"]
    won = sorted((row for row in choice["candidates"] if row["chosen_share"]), key=lambda row: -row["chosen_share"])
    shown, rest = won[:SHOWN], won[SHOWN:]
    widest = won[0]["chosen_share"]
    bars = [(pair_words(row), row["chosen_share"], row == chosen) for row in shown]
    if rest:
        bars.append((f"{len(rest)} other pairs together", sum(row["chosen_share"] for row in rest), False))
    made = "".join(
        f'<div class="{"" if own else "res-other"}"><span>{words}</span><i style="width:{min(100, 100 * share / widest):.1f}%"></i>'
        f"<span>{percent(share)}</span></div>"
        for words, share, own in bars
    )
    said = (
        f"Chosen without the images it is then measured on (nested cross-validation), a pair reaches an AUC of "
        f"{cell(choice['nested_auc'])}; on those images the pair chosen with them in sight does better by "
        f"{choice['optimism']:+.3f}. That is what picking the best owes to luck. On all the images that chose it the pair's "
        f"AUC is {cell(chosen['auc'])}; having been picked for it, that figure has no interval."
    )
    if "nested_interval" in choice:  # older files have one that ignores the choice
        said += (
            f" The 95 % interval of the nested AUC is {between(choice['nested_interval'])}: every resample chooses for itself "
            f"and is measured on the images it did not draw. {percent(choice['polarity_share'])} of them choose a pair of the "
            "same polarity."
        )
    return (
        f"<h2>How stable the choice is</h2><p>Share of {choice['resamples']} resamples of the calibration images that choose each "
        f'pair. The coloured bar is the pair chosen from all of them.</p><div class="res-bars">{made}</div><p>{said}</p>'
    )


def stopping(result: Html) -> str:
    """Evaluations saved and AUC kept against the stated error rate."""
    found = result["sequential"]
    styles = ("res-one", "res-two res-dash")
    walks = list(zip(found["walks"], styles, strict=False))
    highest = max(row["error_rate"] for row in found["walks"][0]["rates"])
    x = Axis("stated rate of wrong early calls of either class", 0, highest, round_ticks(0, highest))

    def lines(values: str) -> list[Line]:
        made = []
        for walk, style in walks:
            rates = [row["error_rate"] for row in walk["rates"]]
            y = [row["saved"] / row["evaluations_full"] if values == "saved" else row[values] for row in walk["rates"]]
            made.append(Line(f"to T_SEC {walk['t_sec']}", rates, y, style, True))
        return made

    aucs = [row[key] for walk in found["walks"] for row in walk["rates"] for key in ("auc", "auc_full")]
    margin = max(0.02, (max(aucs) - min(aucs)) * 0.1)
    zoomed = Axis("", min(aucs) - margin, max(aucs) + margin, round_ticks(min(aucs), max(aucs)))
    full = [
        Line("full walk", [0, highest], [walk["rates"][0]["auc_full"]] * 2, "res-faint res-thin") for walk, _ in walks
    ]
    mark = (found["error_rate"], "stated")
    charts = (
        line_chart("Evaluations saved", lines("saved"), x, SHARES, "share of the full walk", mark)
        + line_chart("What it does to the AUC", [*full, *lines("auc")], x, zoomed, "test images", mark)
        + error_chart(found, x)
    )
    return (
        f"<h2>Stopping early, k = {found['k']}</h2><p class='res-note'>After each step a logistic regression of the t-errors so far "
        "says how sure the verdict is. The walk stops as soon as it is sure enough, by boundaries from the calibration images that "
        "allow the stated share of wrong early calls in each class. An image that stops keeps the score of an early step, which orders "
        "the images less well than the last one: stopping saves evaluations and costs AUC (in simulations up to 0.06 at a rate of 10&nbsp;%). "
        "What it costs here is the column &ldquo;difference&rdquo;. All figures are of the test images.</p>"
        f'<div class="res-row res-three">{charts}</div>{stopping_table(found)}'
    )


def error_chart(found: Html, x: Axis) -> str:
    """Wrong early calls that were observed, against the stated rate."""
    walk = found["walks"][-1]
    rates = [row["error_rate"] for row in walk["rates"]]
    top = max([x.high, *(row[f"wrong_early_{name}"] for row in walk["rates"] for name in ("real", "generated"))])
    y = Axis("", 0, top, round_ticks(0, top))
    lines = [Line("as stated", [0, x.high], [0, x.high], "res-faint res-dash")]
    lines += [
        Line(f"{name} images", rates, [row[f"wrong_early_{name}"] for row in walk["rates"]], f"res-{name}", True)
        for name in ("real", "generated")
    ]
    return line_chart("Wrong early calls", lines, x, y, f"observed, to T_SEC {walk['t_sec']}")


def stopping_table(found: Html) -> str:
    """Every rate of every walk in numbers."""
    head = (
        "<tr><th>stated rate</th><th>walk to<br>T_SEC</th><th>evaluations<br>an image</th><th>wrong early,<br>real</th>"
        "<th>wrong early,<br>generated</th><th>AUC</th><th>full walk</th><th>difference</th><th>ACC<br>(full walk)</th></tr>"
    )
    rows = []
    for walk in found["walks"]:
        for row in walk["rates"]:
            gap = row["auc_difference"]
            cells = [rate(row), walk["t_sec"], f"{row['evaluations']:.2f} of {row['evaluations_full']}"]
            cells += [
                _with(row[f"wrong_early_{name}"], row[f"wrong_early_{name}_interval"]) for name in ("real", "generated")
            ]
            cells += [
                cell(row["auc"]),
                cell(row["auc_full"]),
                f"{gap['difference']:+.3f} ({between((gap['low'], gap['high']))})",
            ]
            cells.append(f"{cell(row['acc'])} ({cell(row['acc_full'])})")
            own = "res-own" if row["error_rate"] == found["error_rate"] else ""
            rows.append((own, [f"<td>{one}</td>" for one in cells]))
    return table(head, rows)


def _with(share: float, interval: Sequence[float]) -> str:
    """A share with its interval."""
    return f"{percent(share)} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def probabilities(result: Html) -> str:
    """Reliability diagrams of every verdict and their scores."""
    found = result["reliability"]
    charts = "".join(diagram(VERDICTS[name], values) for name, values in found.items())
    head = (
        "<tr><th>probability from</th><th>ECE</th><th>ECE of perfect ones:<br>mean, 95 % limit</th><th>Brier score</th>"
        "<th>of it miscalibration</th><th>of it refinement</th></tr>"
    )
    rows = [
        (
            "",
            [
                f"<th>{VERDICTS[name]}</th><td>{cell(one['ece'])}</td><td>{one['ece_expected']:.3f}, {one['ece_limit']:.3f}</td>"
            ]
            + [f"<td>{cell(one[key])}</td>" for key in ("brier", "miscalibration", "refinement")],
        )
        for name, one in found.items()
    ]
    return (
        f"<h2>Can the probabilities be taken at their word?</h2><div class='res-row res-three'>{charts}</div>{table(head, rows)}"
        "<p class='res-note'>Test images, both classes weighing the same. Each point holds equally many images; the thin lines are "
        "95 % intervals of what was observed. ECE is the mean distance from the diagonal; even perfect probabilities show some on so "
        "few images. The Brier score is 0.25 for always saying one half. Its refinement is what the order of the scores allows.</p>"
    )


def diagram(title: str, found: dict[str, Any]) -> str:
    """Observed share against predicted probability."""
    bins = found["bins"]
    axis = Axis("probability of generated that was stated", 0, 1, SHARES.ticks)
    points = [one["predicted"] for one in bins]
    lines = [Line("perfect", [0, 1], [0, 1], "res-faint res-dash")]
    lines += [
        Line("95 % interval", [one["predicted"]] * 2, [one["observed_low"], one["observed_high"]], "res-two res-thin")
        for one in bins
    ]
    lines.append(Line("observed", points, [one["observed"] for one in bins], "res-one", True))
    return line_chart(title, lines, axis, SHARES, "share observed")


def abstention(result: Html) -> str:
    """Conformal verdicts at every error rate."""
    parts = []
    head = (
        "<tr><th>stated rate</th><th>missed,<br>real</th><th>missed,<br>generated</th><th>wrong verdict,<br>real</th>"
        "<th>wrong verdict,<br>generated</th><th>right verdict,<br>real</th><th>right verdict,<br>generated</th><th>cannot tell</th></tr>"
    )
    for name, found in result["conformal"].items():
        if found.get("skipped"):
            parts.append(f'<h3>{SCORES[name]}</h3><p class="res-note">Not calibrated: {found["skipped"]}.</p>')
            continue
        rows = []
        for row in found["rates"]:
            cells = [rate(row)]
            cells += [_with(row[f"missed_{kind}"], row[f"missed_{kind}_interval"]) for kind in ("real", "generated")]
            cells += [percent(row[f"{kind}_{of}"]) for kind in ("wrong", "right") for of in ("real", "generated")]
            cells.append(percent(row["abstained"]))
            rows.append(
                ("res-own" if row["error_rate"] == found["error_rate"] else "", [f"<td>{one}</td>" for one in cells])
            )
        parts.append(f"<h3>{SCORES[name]}</h3>{table(head, rows)}")
    return (
        "<h2>Verdicts at a stated error rate, or none</h2><p class='res-note'>An image is compared with the calibration images of "
        "each class. A class stays possible while more than the stated share of its images look as odd. One class left is the "
        "verdict; both or none is &ldquo;cannot tell&rdquo;. Missed: the true class was ruled out, with its 95 % interval on the "
        f"test images; this is what the stated rate promises.</p>{''.join(parts)}"
    )

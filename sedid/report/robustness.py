"""A robustness measurement as HTML: curves of AUC against strength, the verdicts that changed, the table behind them."""

from pathlib import Path
from typing import Any

from sedid.data.perturb import FAMILIES
from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.escaping import Html, read_results
from sedid.report.evaluation import facts, leaks, made_by, splits, table
from sedid.report.markdown import cell
from sedid.report.svg import Axis, Line, line_chart, round_ticks

FIELDS = {"key", "name", "strength", "label", "stat", "nn"}
METHODS = {"stat": "STAT", "nn": "NN"}
CLASSES = ("real", "generated")


def load_robustness(file: Path) -> dict[str, Any]:
    """Read a robustness.json.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not what `robustness` writes.
    """
    return read_results(
        file,
        "robustness",
        lambda found: (
            bool(found["rows"])
            and all(row.keys() >= FIELDS for row in found["rows"])
            and found["rows"][0]["key"] == "none"
            and isinstance(found["protocol"]["images"], dict)
        ),
    )


def methods_of(found: dict[str, Any]) -> dict[str, str]:
    """The methods that were measured: key -> name."""
    return {key: name for key, name in METHODS.items() if found["rows"][0][key] is not None}


def protocol(found: Html) -> str:
    """What was measured on what."""
    stated = found["protocol"]
    config = stated.get("config", {})
    shown = [
        ("Detector", f"{config.get('detector', '?')}, checkpoint {str(stated.get('checkpoint_sha256', '?'))[:12]}")
    ]
    for key, name in methods_of(found).items():
        pair = stated[key]
        shown.append(
            (f"{name} judges at", f"k = {pair['k']}, T_SEC = {pair['t_sec']}, threshold {pair['threshold']:.4g}")
        )
    shown += [
        ("Thresholds and polarity from", str(stated.get("threshold_from", "?"))),
        ("How the images were generated", made_by(stated.get("generated_by", {}))),
        ("Network evaluations an image and perturbation", str(stated.get("evaluations_per_image", "?"))),
        ("Seed of the noise", str(stated.get("seed", "?"))),
    ]
    for name in CLASSES:
        of_set = stated["images"][name]
        place = f"{of_set['count']:,} from {config.get(name, '?')}, sha256 {str(of_set['sha256'])[:12]}"
        shown.append((f"{name.capitalize()} images", place))
    shown.append(("Versions", ", ".join(f"{name} {number}" for name, number in stated.get("versions", {}).items())))
    done = "".join(
        f"<li><b>{FAMILIES[name].title if name in FAMILIES else name}</b>: {about}</li>"
        for name, about in stated.get("perturbations", {}).items()
    )
    return f"<h2>How it was measured</h2>{facts(shown)}{leaks(found)}{splits(found)}<ul>{done}</ul>"


def warning(found: Html) -> str:
    """What curves mean where one class alone was perturbed; a plain line where both were."""
    applied = found["protocol"].get("applied_to", "both")
    if applied == "both":
        return (
            '<p class="res-note">Real and generated images pass through the same perturbation. Thresholds stay as '
            "they were calibrated, on images as they are.</p>"
        )
    return (
        f'<p class="res-warning" role="alert"><b>A lesson about leaks, not a measure of robustness.</b> Only the '
        f"{applied} images were changed; the others stayed as they are. Where an AUC moves away from that of the "
        "images as they are, the detector tells changed files from unchanged ones. A data set that stores its "
        "classes in two file formats does the same by accident, and its figures look as good.</p>"
    )


def axis(name: str, strengths: list[float]) -> Axis:
    """Strengths from gentle, at the left, to strong; a factor around 1 from low to high."""
    family = FAMILIES[name]
    low, high = min(strengths), max(strengths)
    if family.neutral is not None:
        low, high = min(low, family.neutral), max(high, family.neutral)
    turned = family.strengths[0] > family.strengths[-1]  # the gentlest is the largest number
    ticks = sorted(set(strengths)) if len(strengths) <= 6 else round_ticks(low, high)
    return Axis(family.unit, *((high, low) if turned else (low, high)), ticks)


def chart(found: Html, name: str) -> str:
    """AUC against strength for one kind of perturbation, and faintly that of the images as they are."""
    clean = found["rows"][0]
    rows = sorted((row for row in found["rows"] if row["name"] == name), key=lambda row: row["strength"])
    family, strengths = FAMILIES[name], [row["strength"] for row in rows]
    along = axis(name, strengths)
    lines = []
    for (key, words), style in zip(methods_of(found).items(), ("res-one", "res-two res-dash"), strict=False):
        points = {row["strength"]: row[key]["auc"] for row in rows}
        if family.neutral is not None:
            points.setdefault(family.neutral, clean[key]["auc"])
        x = sorted(points)
        ends = sorted((along.low, along.high))
        lines.append(Line("as they are", ends, [clean[key]["auc"]] * 2, "res-faint res-thin"))
        lines.append(Line(words, x, [points[at] for at in x], style, True))
    return line_chart(family.title, lines, along, note="AUC")


def curves(found: Html) -> str:
    """A chart for every kind of perturbation measured at two strengths or more."""
    names = [row["name"] for row in found["rows"] if row["name"] in FAMILIES]
    several = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if not several:
        return ""
    return (
        '<h2>AUC against strength</h2><p class="res-note">Stronger to the right; for brightness and contrast the '
        "images as they are lie at 1. 0.5 is guessing. AUC is in the calibrated polarity.</p>"
        f'<div class="res-row">{"".join(chart(found, name) for name in several)}</div>'
    )


def bar(share: float, style: str) -> str:
    """A share as a bar with its figure."""
    return (
        f'<td><div class="res-bar res-{style}" style="--share:{share:.1%}"><i></i><span>{share:.0%}</span></div></td>'
    )


def flips(found: Html) -> str:
    """How many verdicts changed against the images as they are, by class: a table of bars."""
    methods = methods_of(found)
    groups = "".join(f'<th class="res-group" colspan="2">{name}</th>' for name in methods.values())
    kinds = "".join(f"<th>{kind} images</th>" for _ in methods for kind in CLASSES)
    rows, last = [], ""
    for row in found["rows"][1:]:
        bars = [
            bar(row[key]["flipped"][kind], kind) if known(found, key) else "<td>n/a</td>"
            for key in methods
            for kind in CLASSES
        ]
        rows.append(("res-first" if row["name"] != last else "", [f"<th>{row['label']}</th>", *bars]))
        last = row["name"]
    return (
        "<h2>Verdicts that changed</h2>"
        + table(f'<tr><th rowspan="2">images</th>{groups}</tr><tr>{kinds}</tr>', rows, "res-flips")
        + f'<p class="res-note">Share of images whose verdict ({", ".join(Call)}) is another one than that of the same '
        f"image as it is.{missing(found)}</p>"
    )


def known(found: dict[str, Any], key: str) -> bool:
    """Whether the verdicts of a method were counted with the range check."""
    return all(known_shares(row[key]["verdicts"].get("real")) is not None for row in found["rows"])


def missing(found: Html) -> str:
    """Whose verdicts are not known, and why, to follow a sentence; "" where all are."""
    return "".join(
        f" {name} is n/a: of its way to T_SEC = {found['protocol'][key]['t_sec']} these results do not keep which images "
        f"are {Call.OUTSIDE}; measured again, they are known."
        for key, name in methods_of(found).items()
        if not known(found, key)
    )


def p_words(p: float) -> str:
    """A p-value in three digits."""
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def rates(found: Html) -> str:
    """The figures behind the curves."""
    methods = methods_of(found)
    parts = ("AUC", "95 % interval", "change (p)", "ACC")
    groups = "".join(f'<th class="res-group" colspan="{len(parts)}">{name}</th>' for name in methods.values())
    names = "".join(f"<th>{part}</th>" for _ in methods for part in parts)
    rows = []
    for row in found["rows"]:
        cells = [f"<th>{row['label']}</th>"]
        for key in methods:
            of_method = row[key]
            ends = of_method["auc_interval"]
            change = of_method["auc_change"]
            moved = "" if change is None else f"{change['difference']:+.3f} ({p_words(change['p_value'])})"
            values = (
                cell(of_method["auc"]),
                f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "n/a",
                moved,
                cell(of_method["acc"]),
            )
            cells += [f"<td>{value}</td>" for value in values]
        cells += [f"<td>{cell(row['stat']['auc_paper_polarity'])}</td>"]
        cells += [
            f"<td>{row['stat']['verdicts'][kind][Call.OUTSIDE]:.0%}</td>" if known(found, "stat") else "<td>n/a</td>"
            for kind in CLASSES
        ]
        rows.append(("res-own" if row["key"] == "none" else "", cells))
    head = (
        f'<tr><th rowspan="2">images</th>{groups}<th rowspan="2">STAT, AUC in the<br>paper\'s polarity</th>'
        f'<th class="res-group" colspan="2">outside the references</th></tr><tr>{names}<th>real</th><th>generated</th></tr>'
    )
    return (
        f"<h2>The figures</h2>{table(head, rows, 'res-rates')}"
        '<p class="res-note">Intervals are of 95 % over images; changes are against the same images as they are, '
        "p after DeLong. ACC is at the threshold of the calibration split. Outside the references: a t-error on the way "
        "to STAT's T_SEC was beyond those of every calibration image, so that no verdict is given.</p>"
    )


def parts(found: Html) -> str:
    """All of it, for a page that brings the styles."""
    return warning(found) + curves(found) + flips(found) + rates(found) + protocol(found)

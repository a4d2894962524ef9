"""A robustness measurement as HTML: curves of AUC against strength, the verdicts that changed, the table behind them."""

from markupsafe import escape

from sedid.data.perturb import FAMILIES
from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.escaping import for_html
from sedid.method.diffusion import pair_in_words
from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import Series
from sedid.report.evaluation import table
from sedid.report.numbers import between, cell, p_value
from sedid.report.protocol import detector_words, facts, leaks, made_by, set_words, splits, version_words
from sedid.studies.robustness import CLASSES, RobustnessResults

METHODS = {"stat": "STAT", "nn": "NN"}


def methods_of(found: RobustnessResults) -> dict[str, str]:
    """The methods that were measured: key -> name."""
    return {key: METHODS[key] for key in found.rows[0].methods}


def protocol(found: RobustnessResults) -> str:
    """What was measured on what."""
    stated = found.protocol
    shown = [("Detector", detector_words(stated))]
    for key, pair in (("stat", found.stat), ("nn", found.nn)):
        if pair is not None:
            where = f"{pair_in_words(pair.k, pair.t_sec)}, threshold {pair.threshold:.4g}"
            shown.append((f"{METHODS[key]} judges at", where))
    shown += [
        ("Thresholds and polarity from", found.threshold_from),
        ("How the images were generated", made_by(stated.generated_by)),
        ("Network evaluations an image and perturbation", str(stated.evaluations_per_image)),
        ("Seed of the noise", str(found.seed)),
    ]
    shown += [(f"{name.capitalize()} images", set_words(stated.images[name])) for name in CLASSES]
    shown.append(("Versions", version_words(stated)))
    done = "".join(
        f"<li><b>{FAMILIES[name].title if name in FAMILIES else name}</b>: {about}</li>"
        for name, about in found.perturbations.items()
    )
    return f"<h2>How it was measured</h2>{facts(shown)}{leaks(found.audit)}{splits(stated.splits)}<ul>{done}</ul>"


def warning(found: RobustnessResults) -> str:
    """What curves mean where one class alone was perturbed; a plain line where both were."""
    applied = found.applied_to
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


def axis(name: str, strengths: list[float]) -> Scale:
    """Strengths from gentle, at the left, to strong; a factor around 1 from low to high."""
    family = FAMILIES[name]
    low, high = min(strengths), max(strengths)
    if family.neutral is not None:
        low, high = min(low, family.neutral), max(high, family.neutral)
    turned = family.strengths[0] > family.strengths[-1]  # the gentlest is the largest number
    ticks = sorted(set(strengths)) if len(strengths) <= 6 else ()
    return Scale(family.unit, *((high, low) if turned else (low, high)), ticks)


def chart(found: RobustnessResults, name: str) -> str:
    """AUC against strength for one kind of perturbation, and faintly that of the images as they are."""
    clean, family = found.rows[0], FAMILIES[name]
    measured = {row.strength: row for row in found.rows if row.name == name and row.strength is not None}
    along = axis(name, sorted(measured))
    lines = []
    for (key, words), style in zip(methods_of(found).items(), ("one", "two dash"), strict=False):
        unchanged = clean.methods[key].auc
        points = {strength: row.methods[key].auc for strength, row in measured.items()}
        if family.neutral is not None:
            points.setdefault(family.neutral, unchanged)
        x = sorted(points)
        ends = sorted((along.low, along.high))
        lines.append(Series("as they are", ends, [unchanged] * 2, "faint thin"))
        lines.append(Series(words, x, [points[at] for at in x], style, True))
    return Chart(family.title, lines, along, note="AUC").html()


def curves(found: RobustnessResults) -> str:
    """A chart for every kind of perturbation measured at two strengths or more."""
    names = [row.name for row in found.rows if row.name in FAMILIES]
    several = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if not several:
        return ""
    return (
        '<h2>AUC against strength</h2><p class="res-note">Stronger to the right; for brightness and contrast the '
        "images as they are lie at 1. 0.5 is guessing. AUC is in the calibrated polarity.</p>"
        f'<div class="ch-row">{"".join(chart(found, name) for name in several)}</div>'
    )


def bar(share: float, style: str) -> str:
    """A share as a bar with its figure."""
    return f'<td><div class="res-bar ch-{style}" style="--share:{share:.1%}"><i></i><span>{share:.0%}</span></div></td>'


def flips(found: RobustnessResults) -> str:
    """How many verdicts changed against the images as they are, by class: a table of bars."""
    methods = methods_of(found)
    groups = "".join(f'<th class="res-group" colspan="2">{name}</th>' for name in methods.values())
    kinds = "".join(f"<th>{kind} images</th>" for _ in methods for kind in CLASSES)
    rows, last = [], ""
    for row in found.rows[1:]:
        bars = [
            bar(changed[kind], kind) if known(found, key) and (changed := part.flipped) else "<td>n/a</td>"
            for key, part in row.methods.items()
            for kind in CLASSES
        ]
        rows.append(("res-first" if row.name != last else "", [f"<th>{row.label}</th>", *bars]))
        last = row.name
    return (
        "<h2>Verdicts that changed</h2>"
        + table(f'<tr><th rowspan="2">images</th>{groups}</tr><tr>{kinds}</tr>', rows, "res-flips")
        + f'<p class="res-note">Share of images whose verdict ({", ".join(Call)}) is another one than that of the same '
        f"image as it is.{missing(found)}</p>"
    )


def known(found: RobustnessResults, key: str) -> bool:
    """Whether the verdicts of a method were counted with the range check."""
    return all(known_shares(row.methods[key].verdicts.get("real")) is not None for row in found.rows)


def missing(found: RobustnessResults) -> str:
    """Whose verdicts are not known, and why, to follow a sentence; "" where all are."""
    t_secs = {"stat": found.stat.t_sec} | ({"nn": found.nn.t_sec} if found.nn else {})
    return "".join(
        f" {name} is n/a: of its way to T_SEC = {t_secs[key]} these results do not keep which images "
        f"are {Call.OUTSIDE}; measured again, they are known."
        for key, name in methods_of(found).items()
        if not known(found, key)
    )


def rates(found: RobustnessResults) -> str:
    """The figures behind the curves."""
    methods = methods_of(found)
    parts = ("AUC", "95 % interval", "change (p)", "ACC")
    groups = "".join(f'<th class="res-group" colspan="{len(parts)}">{name}</th>' for name in methods.values())
    names = "".join(f"<th>{part}</th>" for _ in methods for part in parts)
    rows = []
    for row in found.rows:
        cells = [f"<th>{row.label}</th>"]
        for of_method in row.methods.values():
            change = of_method.auc_change
            moved = "" if change is None else f"{change.difference:+.3f} ({escape(p_value(change.p_value))})"
            values = (cell(of_method.auc), between(of_method.auc_interval), moved, cell(of_method.acc))
            cells += [f"<td>{value}</td>" for value in values]
        cells += [f"<td>{cell(row.stat.auc_paper_polarity)}</td>"]
        cells += [
            f"<td>{row.stat.verdicts[kind][Call.OUTSIDE]:.0%}</td>" if known(found, "stat") else "<td>n/a</td>"
            for kind in CLASSES
        ]
        rows.append(("res-own" if row.key == "none" else "", cells))
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


def whole(found: RobustnessResults) -> str:
    """All parts."""
    found = for_html(found)
    drawn = warning(found) + curves(found) + flips(found) + rates(found) + protocol(found)
    return of_source(drawn, found.protocol.detector, "robustness")

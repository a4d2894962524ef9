"""A robustness measurement as HTML: curves of AUC against strength, the verdicts that changed, the table behind them."""

from markupsafe import Markup

from sedid.data.perturb import FAMILIES
from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.method.diffusion import pair_in_words
from sedid.report import lead
from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import Series
from sedid.report.html import render
from sedid.report.protocol import detector_words, made_by, set_words, stated, version_words
from sedid.studies.robustness import CLASSES, RobustnessResults

METHODS = {"stat": "STAT", "nn": "NN"}


def methods_of(found: RobustnessResults) -> dict[str, str]:
    """The methods that were measured: key -> name."""
    return {key: METHODS[key] for key in found.rows[0].methods}


def protocol(found: RobustnessResults) -> Markup:
    """What was measured on what."""
    about = found.protocol
    facts = [("Detector", detector_words(about))]
    for key, pair in (("stat", found.stat), ("nn", found.nn)):
        if pair is not None:
            where = f"{pair_in_words(pair.k, pair.t_sec)}, threshold {pair.threshold:.4g}"
            facts.append((f"{METHODS[key]} judges at", where))
    facts += [
        ("Thresholds and polarity from", found.threshold_from),
        ("How the images were generated", made_by(about.generated_by)),
        ("Network evaluations an image and perturbation", str(about.evaluations_per_image)),
        ("Seed of the noise", str(found.seed)),
    ]
    facts += [(f"{name.capitalize()} images", set_words(about.images[name])) for name in CLASSES]
    facts.append(("Versions", version_words(about)))
    return stated(facts, about.splits, [found.audit])


def axis(name: str, strengths: list[float]) -> Scale:
    """Strengths from gentle, at the left, to strong; a factor around 1 from low to high."""
    family = FAMILIES[name]
    low, high = min(strengths), max(strengths)
    if family.neutral is not None:
        low, high = min(low, family.neutral), max(high, family.neutral)
    turned = family.strengths[0] > family.strengths[-1]  # the gentlest is the largest number
    ticks = sorted(set(strengths)) if len(strengths) <= 6 else ()
    return Scale(family.unit, *((high, low) if turned else (low, high)), ticks)


def chart(found: RobustnessResults, name: str) -> Chart:
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
    return Chart(family.title, lines, along, note="AUC")


def curves(found: RobustnessResults) -> list[Chart]:
    """A chart for every kind of perturbation measured at two strengths or more."""
    names = [row.name for row in found.rows if row.name in FAMILIES]
    return [chart(found, name) for name in dict.fromkeys(names) if names.count(name) > 1]


def known(found: RobustnessResults, key: str) -> bool:
    """Whether the verdicts of a method were counted with the range check."""
    return all(known_shares(row.methods[key].verdicts.get("real")) is not None for row in found.rows)


def whole(found: RobustnessResults) -> Markup:
    """All parts."""
    methods = methods_of(found)
    done = found.perturbations.items()
    drawn = render(
        "robustness.html",
        found=found,
        methods=methods,
        CLASSES=CLASSES,
        Call=Call,
        curves=curves(found),
        known=[key for key in methods if known(found, key)],
        lead=lead.robustness(found),
        protocol=protocol(found),
        done=[(FAMILIES[name].title if name in FAMILIES else name, about) for name, about in done],
    )
    return of_source(drawn, found.protocol.detector, "robustness")

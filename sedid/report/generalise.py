"""How far a detector carries, as HTML parts: the table, and AUC against T_SEC set by set."""

from markupsafe import Markup

from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.method.diffusion import pair_in_words, steps_in_words
from sedid.report import lead
from sedid.report.charts.chart import Chart, Mark, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import STYLES, Series
from sedid.report.html import render
from sedid.report.protocol import detector_words, made_by, set_words, stated
from sedid.studies.generalise import HELDOUT, SAME, GeneraliseResults


def protocol(result: GeneraliseResults) -> Markup:
    """What was measured on what, and where the detector's choices come from."""
    about, stat = result.protocol, result.stat
    facts = [
        ("Detector", detector_words(about)),
        ("Calibrated on images made by", made_by(result.calibrated_on)),
        ("STAT", f"{pair_in_words(stat.k, stat.t_sec)}, a {stat.polarity} t-error means generated"),
        ("Thresholds from", result.threshold_from),
        ("Held-out reals", set_words(about.images[HELDOUT])),
        ("Intervals", about.intervals),
    ]
    return stated(facts, about.splits)


def along_t_sec(result: GeneraliseResults) -> Chart:
    """AUC of STAT at every T_SEC of the calibrated k, one line a set, in the paper's polarity."""
    k, t_sec = result.stat.k, result.stat.t_sec
    lines = []
    made = [row for row in result.rows if not row.real]
    for i, row in enumerate(made + [row for row in result.rows if row.real]):
        pairs = sorted((pair.t_sec, pair.auc_paper_polarity) for pair in row.pairs if pair.k == k)
        style = "faint" if row.real else STYLES[i % len(STYLES)]
        lines.append(Series(row.set, [t for t, _ in pairs], [auc for _, auc in pairs], style, True))
    axis = Scale(f"T_SEC, at {steps_in_words(k)}", 0, 1000)
    note, marks = "AUC, a smaller t-error means generated", [Mark(t_sec, "the detector's")]
    return Chart("AUC of STAT", lines, axis, note=note, marks=marks)


def whole(result: GeneraliseResults) -> Markup:
    """All parts."""
    verdicts = [
        (HELDOUT, known_shares(result.heldout_verdicts), None),
        *((row.set, known_shares(row.verdicts), row.stat) for row in result.rows),
    ]
    drawn = render(
        "generalise.html",
        result=result,
        SAME=SAME,
        Call=Call,
        warned=[row for row in result.rows if row.audit and row.audit.warning],
        without=[row.set for row in result.rows if not row.stat.intervals.get("auc")],
        verdicts=verdicts,
        missing=[name for name, shares, stat in verdicts if stat and shares is None],
        along=along_t_sec(result),
        at_the_end=result.at_the_end(),
        steps_in_words=steps_in_words,
        lead=lead.generalise(result),
        protocol=protocol(result),
    )
    return of_source(drawn, result.protocol.detector, "generalise")

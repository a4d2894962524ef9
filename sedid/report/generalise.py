"""How far a detector carries, as HTML parts: the table, and AUC against T_SEC set by set."""

from sedid.detector.batches import known_shares
from sedid.detector.detector import Call
from sedid.escaping import for_html
from sedid.method.diffusion import pair_in_words, steps_in_words
from sedid.report.charts.chart import Chart, Mark, of_source
from sedid.report.charts.scale import Scale
from sedid.report.charts.series import STYLES, Series
from sedid.report.evaluation import table
from sedid.report.numbers import cell
from sedid.report.protocol import detector_words, facts, made_by, set_words, splits
from sedid.results import Shares
from sedid.studies.generalise import HELDOUT, SAME, GeneraliseResults, SetMetrics


def protocol(result: GeneraliseResults) -> str:
    """What was measured on what, and where the detector's choices come from."""
    stated, stat = result.protocol, result.stat
    shown = [
        ("Detector", detector_words(stated)),
        ("Calibrated on images made by", made_by(result.calibrated_on)),
        ("STAT", f"{pair_in_words(stat.k, stat.t_sec)}, a {stat.polarity} t-error means generated"),
        ("Thresholds from", result.threshold_from),
        ("Held-out reals", set_words(stated.images[HELDOUT])),
        ("Intervals", stated.intervals),
    ]
    return facts(shown) + splits(stated.splits)


def with_interval(part: SetMetrics | None, name: str) -> str:
    """A metric with its interval as a cell."""
    value = None if part is None else getattr(part, name)
    ends = None if part is None or value is None else part.intervals.get(name)
    return f"<td>{cell(value)}{f' [{ends[0]:.3f}, {ends[1]:.3f}]' if ends else ''}</td>"


def small(words: str) -> str:
    """Words that matter less."""
    return f'<small style="font-weight:400">{words}</small>'


def shares(verdicts: Shares) -> list[str]:
    """How often each verdict falls, as cells; what is not known is n/a."""
    found = known_shares(verdicts)
    return [f"<td>{'n/a' if found is None else f'{found[call]:.1%}'}</td>" for call in Call]


def results(result: GeneraliseResults) -> str:
    """The one table, what STAT calls the images of each set, and what the leak audit says of them."""
    head = (
        f'<tr><th rowspan="2">set<br>{small("to the calibration images")}</th><th rowspan="2">images</th>'
        '<th class="res-group" colspan="3">STAT</th><th class="res-group" colspan="2">NN</th></tr>'
        "<tr><th>AUC</th><th>ACC</th><th>in words</th><th>AUC</th><th>ACC</th></tr>"
    )
    body, warnings = [], []
    for row in result.rows:
        mark, related = "", "" if row.real else f"<br>{small(row.relation)}"
        if row.audit and row.audit.warning:
            warnings.append(f"<li><b>{row.set}:</b> {row.audit.warning}</li>")
            mark = f"<sup>{len(warnings)}</sup>"
        cells = [
            f"<th>{row.set}{mark}{related}</th>",
            f"<td>{row.count:,}</td>",
        ]
        cells += [with_interval(row.stat, "auc"), with_interval(row.stat, "acc")]
        cells += [
            f"<td>{row.finding}</td>",
            with_interval(row.nn, "auc"),
            with_interval(row.nn, "acc"),
        ]
        body.append(("res-own" if row.relation == SAME else "", cells))
    without = [row.set for row in result.rows if not row.stat.intervals.get("auc")]
    lacking = (
        (
            f" Without an interval ({', '.join(without)}): these results are older than intervals that are right for so few "
            "images, and keep no scores of the set; measured again, it has one."
        )
        if without
        else ""
    )
    audits = f"<h3>Leak audit</h3><ol>{''.join(warnings)}</ol>" if warnings else ""
    return (
        f"<h2>One detector, other images</h2>{table(head, body)}"
        '<p class="res-note">Every set against the same held-out reals, with nothing fitted anew: pair, polarity and '
        "thresholds are those of the calibration. ACC is the mean of both classes' accuracies; in brackets the 95 % "
        "interval. “No better than guessing” means that the interval of the AUC holds 0.5. Member reals are real: "
        "their AUC says how far the score tells the generator's training images from others, 0.5 being not at all. The "
        f"shaded row has the sampler of the calibration images. n/a: not measured.{lacking}</p>{verdicts(result)}{audits}"
    )


def verdicts(result: GeneraliseResults) -> str:
    """What STAT calls the images of each set, and its figures at the low end and in the paper's polarity."""
    head = (
        f'<tr><th rowspan="2">set</th><th class="res-group" colspan="{len(Call)}">STAT calls its images</th><th rowspan="2">TPR at<br>FPR 1 %'
        '</th><th rowspan="2">AUC in the<br>paper\'s polarity</th></tr>'
        f"<tr>{''.join(f'<th>{call}</th>' for call in Call)}</tr>"
    )
    body = [("", [f"<th>{HELDOUT}</th>", *shares(result.heldout_verdicts), "<td></td><td></td>"])]
    for row in result.rows:
        stat = row.stat
        figures = f"<td>{cell(stat.tpr_at_1)}</td><td>{cell(stat.auc_paper_polarity)}</td>"
        body.append(("", [f"<th>{row.set}</th>", *shares(row.verdicts), figures]))
    missing = [row.set for row in result.rows if known_shares(row.verdicts) is None]
    note = "TPR n/a: fewer than 100 reals."
    if missing:
        note += (
            f" Verdicts n/a ({', '.join(missing)}): these results keep no t-errors of the set, without which "
            f"nothing says which of its images are {Call.OUTSIDE}; measured again, they are known."
        )
    return f"<h3>What STAT calls them</h3>{table(head, body)}<p class='res-note'>{note}</p>"


def along_t_sec(result: GeneraliseResults) -> str:
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
    drawn = Chart("AUC of STAT", lines, axis, note=note, marks=marks).html()
    return f'<h2>Where along the trajectory</h2><div class="ch-row">{drawn}</div>'


def whole(result: GeneraliseResults) -> str:
    """All parts."""
    result = for_html(result)
    drawn = results(result) + along_t_sec(result) + protocol(result)
    return of_source(drawn, result.protocol.detector, "generalise")

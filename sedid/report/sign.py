"""Why the sign turns, as HTML: one picture, one paragraph, then the tables."""

from markupsafe import Markup

from sedid.report.charts.chart import Chart, of_source
from sedid.report.charts.scale import SHARES, Scale
from sedid.report.charts.series import STYLES, Series
from sedid.report.html import render
from sedid.report.protocol import detector_words, set_words, stated
from sedid.stats.confounds import Estimate
from sedid.studies.sign import REAL, DoseRow, SignResults, TurnRow

DRAWN = 6  # changes in the picture
NAMED = ("noise:1", "blur:0.6")  # changes in the paragraph
AUC = Scale("AUC, a smaller t-error means generated", 0, 1, SHARES.ticks, column="AUC")


def side(found: Estimate) -> str:
    """Which way a set scores, by the interval of its AUC."""
    return "smaller" if found.low > 0.5 else "larger" if found.high < 0.5 else "unclear"


def picture(result: SignResults) -> list[Chart]:
    """Left the AUC along T_SEC by sampler; right what changes of real pictures do to their t-errors."""
    x = Scale(f"T_SEC, at k = {result.k}", 0, 1000)
    lines = [
        Series(row.set, result.t_secs, [at.auc.value for at in row.at], style, True)
        for row, style in zip(result.rows, STYLES, strict=False)
    ]
    lines.append(Series("no difference", (0, 1000), (0.5, 0.5), "faint thin"))
    strongest = sorted(result.doses, key=lambda one: -abs(one.ratios[-1].value - 1))[:DRAWN]
    shown = [one for one in result.doses if one in strongest]
    doses = [
        Series(one.label, result.t_secs, [ratio.value for ratio in one.ratios], style, True)
        for one, style in zip(shown, STYLES, strict=False)
    ]
    doses.append(Series("unchanged", (0, 1000), (1, 1), "faint thin"))
    values = [ratio.value for one in shown for ratio in one.ratios]
    low, high = min(0.5, *values) * 0.9, max(2.0, *values) * 1.1
    ratios = Scale("t-error after over before", low, high, (0.1, 0.2, 0.5, 1, 2, 5), log=True)
    return [
        Chart("One network, several samplers", lines, x, AUC, note=AUC.name),
        Chart("The same real pictures, changed a little", doses, x, ratios, note=ratios.name),
    ]


SIDES = {"smaller": "one", "larger": "three dash", "unclear": "faint"}
"""Which way a set scores -> the style of its line."""


def by_sampler(result: SignResults) -> list[tuple[TurnRow, str, Chart]]:
    """Every generated set, which way it scores at the last T_SEC, and a small chart of its AUC with intervals."""
    x, found = Scale("T_SEC", 0, 1000, (0, 500, 1000)), []
    for row in result.rows:
        aucs, way = [at.auc for at in row.at], side(row.at[-1].auc)
        values, low, high = ([getattr(auc, end) for auc in aucs] for end in ("value", "low", "high"))
        lines = [
            Series("no difference", (0, 1000), (0.5, 0.5), "faint thin"),
            Series(row.set, result.t_secs, values, SIDES[way], True, low, high),
        ]
        found.append((row, way, Chart(row.set, lines, x, AUC)))
    return found


def named_doses(result: SignResults) -> list[DoseRow]:
    """The changes of real pictures that are told in words."""
    return [one for one in result.doses if one.key in NAMED]


def protocol(result: SignResults) -> Markup:
    """What was measured on what."""
    about = result.protocol
    facts = [
        ("Detector", detector_words(about)),
        ("Seeds of the generated sets", ", ".join(map(str, sorted(result.seeds))) or "unknown"),
    ]
    facts += [(name.capitalize() if name == REAL else name, set_words(found)) for name, found in about.images.items()]
    return stated([*facts, ("Intervals", about.intervals)], about.splits)


def whole(result: SignResults) -> Markup:
    """All parts."""
    ways: dict[str, list[str]] = {"smaller": [], "larger": [], "unclear": []}
    for row in result.rows:
        ways[side(row.at[-1].auc)].append(f"{row.set} ({row.at[-1].auc.value:.2f})")
    ends = [row.at[-1] for row in result.rows]
    moved = [abs(at.matched.value - at.auc.value) for at in ends if at.matched]
    drawn = render(
        "sign.html",
        result=result,
        reals=result.protocol.images[REAL].count,
        picture=picture(result),
        ways={way: "; ".join(sets) for way, sets in ways.items()},
        named=named_doses(result),
        noises=[row.noise for row in result.rows],
        sizes=[row.size for row in result.rows if row.size is not None],
        same=[at.same_size.value for at in ends if at.same_size],
        moved=max(moved, default=None),
        protocol=protocol(result),
    )
    return of_source(drawn, result.protocol.detector, "sign")

"""The verdict cards and the two factors, in words."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

from markupsafe import Markup

from sedid.detector.detector import Call, Detector, Judgement, NNCalibration, Pair, Verdict
from sedid.detector.words import NOT_FINITE, own_t_sec
from sedid.method.diffusion import pair_in_words, write_steps
from sedid.method.wording import Wording
from sedid.report.curve import among_references
from sedid.report.html import render
from sedid.report.pictures import number

CALLS = {
    Call.GENERATED: ("Looks generated", "generated"),
    Call.REAL: ("Looks real", "real"),
    Call.UNDECIDED: ("Cannot tell", "cannot-tell"),
    Call.OUTSIDE: ("Outside the calibrated range", "none"),
}
"""How the page says a call, and the style class it gets."""
TRACE = re.compile(r"[:,] ([A-Za-z][^():,.]*) \(AUC ([01]\.\d+) ")
"""In the leak audit's warning: what a probe looked at, and how well that alone tells the classes apart."""


def headline(verdict: Verdict | None) -> tuple[str, str]:
    """The call in words, and the style class it gets."""
    return ("Not calibrated here", "none") if verdict is None else CALLS[verdict.call]


def share(percentile: float) -> str:
    """A percentile in words, to stand before "images"."""
    return "no" if percentile <= 0 else "all" if percentile >= 100 else f"{percentile:.0f} of 100"


def tested(detector: Detector, part: str, pair: Pair) -> dict[str, Any] | None:
    """The metrics on held-out test images that detector.json states of STAT at a pair, or of NN; None where it has none.

    Args:
        part: "stat" or "nn".
    """
    place: Any = detector.info
    for name in ("metrics", part, "heldout"):
        place = place.get(name) if isinstance(place, dict) else None
    rows = [place] if part == "nn" else place
    for row in rows if isinstance(rows, list) else []:
        # anybody may have edited the file
        known = isinstance(row, dict) and is_share(row.get("auc"))
        if known and (part == "nn" or (row.get("k"), row.get("t_sec")) == pair):
            return dict(row)
    return None


def error_rate(detector: Detector, section: str) -> float | None:
    """The error rate the band was set at; None if the bundle does not state it."""
    sections = [detector.info.get(name) for name in (section, "stat")]
    rates = [found["error_rate"] for found in sections if isinstance(found, dict) and "error_rate" in found]
    return next((float(rate) for rate in rates if is_share(rate)), None)


def is_share(value: Any) -> bool:
    """Whether a value of a file anybody may have edited is a number from 0 to 1."""
    return isinstance(value, float | int) and 0 <= value <= 1


def leak_warning(detector: Detector, part: str) -> str:
    """What the leak audit said of a calibration's images, as a sentence for anybody; "" where it said nothing."""
    section = detector.info.get(part)
    said = str(section.get("leak_warning") or "") if isinstance(section, dict) else ""
    if not (traces := TRACE.findall(said)):
        return said.partition(". ")[0]
    listed = ", ".join(f"by {name} {round(100 * float(auc))} times" for name, auc in traces)
    return f"Without the model, too, generated images rank above real ones: {listed} in 100 (50 is guessing)."


def explained(detector: Detector, verdict: Verdict, show: Callable[[float], str]) -> dict[str, Any]:
    """What the template `verdict.html` says of why the call is what it is."""
    calibration, score = verdict.calibration, verdict.score
    low, high = (show(value) for value in calibration.band)
    neural = isinstance(calibration, NNCalibration)
    part = "nn" if neural else "stat"
    known = tested(detector, part, (calibration.k, calibration.t_sec))
    quantity = "probability" if neural else "t-error"
    finite = isfinite(score)
    return {
        "finite": finite,
        "outside": verdict.call == Call.OUTSIDE,
        "side": "above" if score > calibration.threshold else "below" if score < calibration.threshold else "at",
        "edge": high if score > calibration.threshold else low,
        "inside": calibration.band[0] < score < calibration.band[1],
        "low": low,
        "high": high,
        "rate": error_rate(detector, part),
        "tested": known is not None,
        "auc": known["auc"] if known else calibration.auc,
        "leak": leak_warning(detector, part),
        "chart": among_references(calibration, score, quantity, neural) if finite else "",
    }


def card(detector: Detector, judgement: Judgement, neural: bool, live: bool = True) -> Markup:
    """One verdict card.

    Args:
        live: on the page, where a button jumps to the nearest calibrated pair.
    """
    verdict = judgement.nn if neural else judgement.stat
    call, style = headline(verdict)
    if verdict is None and not (detector.stat or detector.nn):
        call = "Not calibrated: no verdict"
    pair = detector.nn_pair if neural else detector.nearest(judgement.k, judgement.t_sec)
    show: Callable[[float], str] = "{:.0%}".format if neural else number
    return render(
        "verdict.html",
        neural=neural,
        call=call,
        style=style,
        verdict=verdict,
        t_error=judgement.t_error,
        own_t_sec=own_t_sec(judgement),
        here=pair_in_words(judgement.k, judgement.t_sec),
        pair=pair and {"k": write_steps(pair[0]), "t_sec": pair[1], "words": pair_in_words(*pair)},
        live=live,
        show=show,
        share=share,
        NOT_FINITE=NOT_FINITE,
        **(explained(detector, verdict, show) if verdict is not None else {}),
    )


def verdict_cards(detector: Detector, judgement: Judgement, live: bool = True) -> Markup:
    """Both cards, and the line on what they can know."""
    stat, nn = (card(detector, judgement, neural, live) for neural in (False, True))
    return render("verdicts.html", detector=detector, stat=stat, nn=nn, live=live)


def factors(words: Wording, judgement: Judgement, live: bool = True) -> Markup:
    """The t-error as fixed weight times change of what the network says, which the schedule's words name."""
    return render("factors.html", found=judgement, words=words, live=live)

"""The verdict cards and the two factors, in words."""

from math import isfinite

from sedid.detector.detector import Call, Detector, Judgement, NNCalibration, Pair, Verdict
from sedid.detector.words import NOT_FINITE, own_t_sec
from sedid.method.diffusion import pair_in_words, write_steps
from sedid.report.curve import among_references
from sedid.report.pictures import number, text

CALLS = {
    Call.GENERATED: ("Looks generated", "generated"),
    Call.REAL: ("Looks real", "real"),
    Call.UNDECIDED: ("Cannot tell", "cannot-tell"),
    Call.OUTSIDE: ("Outside the calibrated range", "none"),
}
"""How the page says a call, and the style class it gets."""

NO_CALIBRATION = """<p>This diffusion model has not been calibrated as a detector. Everything below works without.</p>
<p>To calibrate it, use stage 3 of the Train tab, or <code>python -m sedid calibrate</code>.</p>"""


def headline(verdict: Verdict | None) -> tuple[str, str]:
    """The call in words, and the style class it gets."""
    return ("Not calibrated here", "none") if verdict is None else CALLS[verdict.call]


def share(percentile: float) -> str:
    """A percentile in words."""
    return "none" if percentile <= 0 else "all" if percentile >= 100 else f"{percentile:.0f}%"


def error_rate(detector: Detector, section: str) -> str:
    """The error rate the band was set at, in words; empty if the bundle does not state it."""
    sections = [detector.info.get(name) for name in (section, "stat")]
    rate = next((found["error_rate"] for found in sections if isinstance(found, dict) and "error_rate" in found), None)
    return (
        ""
        if rate is None
        else f" Outside it, at most {rate:.0%} of the calibration images of either class were called wrongly."
    )


def explain(detector: Detector, verdict: Verdict) -> str:
    """Why the call is what it is, as HTML paragraphs."""
    calibration = verdict.calibration
    neural = isinstance(calibration, NNCalibration)
    score = f"{verdict.score:.0%}" if neural else number(verdict.score)
    show = (lambda value: f"{value:.0%}") if neural else number
    low, high = (show(value) for value in calibration.band)
    if not isfinite(verdict.score):
        return f"<p>{'The probability' if neural else 'The t-error'} is <b>not a finite number</b>: {NOT_FINITE}.</p>"
    if verdict.call == Call.OUTSIDE:
        return (
            f"<p>{'The' if neural else f'This image scores {score}: its'} t-error, here or on the way, is smaller or larger "
            "than every one of the calibration images, so it is "
            "<b>outside the range this detector was calibrated on</b>. No confidence is given.</p>"
        )
    side = (
        "above" if verdict.score > calibration.threshold else "below" if verdict.score < calibration.threshold else "at"
    )
    inside = calibration.band[0] < verdict.score < calibration.band[1]
    if low == high:
        band = "; the calibration images needed no band without a verdict."
    else:
        band = (
            f"{', but inside' if inside else ' and outside'} the band {low} to {high} in which no verdict is given."
            f"{error_rate(detector, 'nn' if neural else 'stat')}"
        )
    return (
        f"<p>{score} is {side} the threshold {show(calibration.threshold)}{band}</p>"
        f"<p>It is at or above <b>{share(verdict.percentile_real)}</b> of the real and "
        f"<b>{share(verdict.percentile_generated)}</b> of the generated references.</p>"
    )


def go_there(pair: Pair | None) -> str:
    """A button that jumps to a calibrated pair."""
    return (
        ""
        if pair is None
        else f'<button type="button" class="sed-go" data-k="{write_steps(pair[0])}" data-t="{pair[1]}">Go there</button>'
    )


def missing(detector: Detector, judgement: Judgement, neural: bool) -> str:
    """What stands in for a verdict where there is no calibration."""
    here = pair_in_words(judgement.k, judgement.t_sec)
    if neural:
        pair = detector.nn_pair
        if pair is None:
            return "<p>This detector has no classifier yet.</p>"
        return f"<p>The classifier was not calibrated at {here}; it was at {pair_in_words(*pair)}.</p>{go_there(pair)}"
    pair_or_none = detector.nearest(judgement.k, judgement.t_sec)
    if pair_or_none is None:
        return NO_CALIBRATION
    return (
        f"<p>Nothing was calibrated at {here}. The nearest calibrated pair is "
        f"{pair_in_words(*pair_or_none)}.</p>{go_there(pair_or_none)}"
    )


def card(detector: Detector, judgement: Judgement, neural: bool) -> str:
    """One verdict card."""
    verdict = judgement.nn if neural else judgement.stat
    title, method = (
        ("NN", f"a ResNet-18 on the two compared images{own_t_sec(judgement)}")
        if neural
        else ("STAT", "the t-error against a threshold")
    )
    call, style = headline(verdict)
    if verdict is None:
        call = call if detector.stat or detector.nn else "Not calibrated: no verdict"
        score, body = ("", missing(detector, judgement, neural))
        if not neural:
            score = f'<p class="sed-score"><b>{number(judgement.t_error)}</b> t-error</p>'
    else:
        shown, kind = (
            (f"{verdict.score:.0%}", "probability of “generated”") if neural else (number(verdict.score), "t-error")
        )
        score = f'<p class="sed-score"><b>{shown}</b> {kind}</p>'
        what = "probability" if neural else "t-error"
        chart = among_references(verdict.calibration, verdict.score, what, neural).html() if isfinite(verdict.score) else ""
        auc = (
            f'<p class="sed-fine">How well it separates the two at all: AUC {verdict.calibration.auc:.2f} '
            "on the calibration images (0.50 is guessing, 1 is perfect).</p>"
        )
        if not neural and verdict.calibration.polarity == "larger":
            auc += (
                '<p class="sed-fine">The other way round than in the paper: here it is the <b>larger</b> t-errors that '
                "mean generated, as they did among the calibration images.</p>"
            )
        body = chart + explain(detector, verdict) + auc
    return f"""<article class="sed-card sed-call-{style}" data-verdict="{title.lower()}"><header><b>{title}</b> {method}</header>
<h3>{call}</h3>{score}{body}</article>"""


def verdict_cards(detector: Detector, judgement: Judgement) -> str:
    """Both cards, and the line on what they can know."""
    return f"""<div class="sed-cards">{card(detector, judgement, False)}{card(detector, judgement, True)}</div>
<p class="sed-note">What this detector can know: whether the image looks generated by <b>this</b> diffusion model
({text(detector.name)}, {detector.size} by {detector.size} pixels). It says nothing about other generators, or about truth.</p>"""


def factors(judgement: Judgement) -> str:
    """The t-error as fixed weight times change of predicted noise."""
    near, far = judgement.near, judgement.t_sec
    return f"""<h2>The t-error, split in two</h2><div class="sed-factors" aria-label="t-error = weight times change">
<div><b>{number(judgement.t_error)}</b><span>t-error E</span><small>what STAT judges</small></div><i>=</i>
<div><b>{number(judgement.weight)}</b><span>fixed weight c²</span><small>the same for every image at this k, T_SEC</small></div><i>&times;</i>
<div><b>{number(judgement.change)}</b><span>change of predicted noise</span><small>between t = {near} and t = {far}: how far the model changes its mind</small></div></div>
<details class="sed-details"><summary>The formula</summary><p>E = c(t,k)² · ‖ε<sub>θ</sub>(x̃<sub>{far}</sub>, {far}) &minus; ε<sub>θ</sub>(x̃<sub>{near}</sub>, {near})‖²,
&nbsp; c(t,k) = √(1&minus;ᾱ<sub>t</sub>) &minus; √(ᾱ<sub>t</sub> / ᾱ<sub>t+k</sub>) · √(1&minus;ᾱ<sub>t+k</sub>), &nbsp; t = {near}, k = {far - near}; images on the [0, 1] scale.
c² comes from the noise schedule alone, so raw t-errors at different T_SEC cannot be compared; the weight-free ones can.</p></details>"""

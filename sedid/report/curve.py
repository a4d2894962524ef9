"""One image among the references of both classes: its score at one T_SEC, and its t-error along all of them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from sedid.detector.detector import Calibration, Detector, Trace
from sedid.method.diffusion import pair_in_words, steps_in_words, whole_path
from sedid.report.charts.chart import Chart, Mark, Spot, of_source
from sedid.report.charts.scale import Scale, over
from sedid.report.charts.series import Series, density
from sedid.report.pictures import number

CLASSES = {"real": "real", "generated": "generated dash"}
"""The references and how their lines are drawn."""


def among_references(
    calibration: Calibration, score: float, what: str, unit_interval: bool = False, bins: int = 36
) -> Chart:
    """The two references as histograms, the undecided band, the threshold and this image.

    Args:
        score: of the image, on the scale of `what`.
        what: name of the score, for the axis and screen readers.
        unit_interval: the axis runs from 0 to 1 (a probability).
    """
    edge = round(0.005 * (len(calibration.real) - 1))
    low = min(calibration.real[edge], calibration.generated[edge])
    high = max(calibration.real[-1 - edge], calibration.generated[-1 - edge])
    margin = 0.04 * (high - low)
    scale = Scale(what, 0, 1) if unit_interval else Scale(what, max(0.0, low - margin), high + margin)
    edges = np.linspace(scale.low, scale.high, bins + 1)
    low_end, high_end = calibration.band
    return Chart(
        "This image among the references",
        [density(name, getattr(calibration, name), edges, name) for name in CLASSES],
        scale,
        None,
        marks=[Mark(calibration.threshold), Mark(score, "this image", strong=True)],
        band=calibration.band,
        ends=("generated", "real") if calibration.polarity == "smaller" else ("real", "generated"),
        said=f"{what}: this image at {number(score)}, threshold {number(calibration.threshold)}, "
        f"no verdict between {number(low_end)} and {number(high_end)}",
        style="sed-hist",
    )


def references(detector: Detector, trace: Trace, weight_free: bool) -> list[Series]:
    """Median of both references with the band of their central 90 %, wherever this k was calibrated; [] where it was not."""
    found = [
        (t_sec, detector.schedule.weight(near, t_sec) if weight_free else 1.0, calibration)
        for near, t_sec in pairwise(whole_path(detector.schedule, trace.k))
        if (calibration := detector.stat.get((trace.k, t_sec))) is not None
    ]
    made = []
    for name, style in CLASSES.items() if found else ():
        at = [
            np.interp([0.05, 0.5, 0.95], np.linspace(0, 1, len(quantiles)), quantiles) / weight
            for _, weight, calibration in found
            for quantiles in [getattr(calibration, name)]
        ]
        low, middle, high = np.array(at).T
        words = f"{name}, 5\N{EN DASH}95% and median"
        made.append(Series(words, [t_sec for t_sec, _, _ in found], middle, style, low=low, high=high))
    return made


def along(detector: Detector, traces: Sequence[Trace], t_sec: int, weight_free: bool = False) -> Chart:
    """The t-error of an image (or two, then called A and B) against T_SEC, over the references; a click on it names a T_SEC.

    Args:
        traces: of the same k.
        t_sec: where the spot stands.
        weight_free: divide by the weight at every T_SEC.
    """
    kind = "weight-free t-error" if weight_free else "t-error"
    t_secs, behind = traces[0].t_secs, references(detector, traces[0], weight_free)
    curves = [trace.weight_free if weight_free else trace.curve for trace in traces]
    names = ("A", "B") if len(traces) > 1 else ("this image",)
    own = [
        Series(name, t_secs, values, style, marked=len(t_secs) <= 40)
        for name, values, style in zip(names, curves, ("image", "two dash"), strict=False)
    ]
    here = [values[t_secs.index(t_sec)] for values in curves]
    said = [
        f"{name} {number(value)}" if len(traces) > 1 else number(value) for name, value in zip(names, here, strict=True)
    ]
    y = over(
        kind,
        [
            *(value for values in curves for value in values),
            *(v for one in behind for part in (one.low, one.high) for v in part),
        ],
    )
    note = [f"no references at {steps_in_words(traces[0].k)}"] if not behind else []
    return Chart(
        kind[0].upper() + kind[1:] if weight_free else "t-error",
        [*behind, *own],
        Scale("T_SEC", 0, len(detector.schedule), t_secs if len(t_secs) <= 8 else ()),
        y,
        ", ".join([*(["logarithmic"] if y.log else []), *note]),
        spots=[Spot(t_sec, value, words, value < max(here)) for value, words in zip(here, said, strict=True)],
        said=f"{kind} against T_SEC: {', '.join(said)} at T_SEC {t_sec}",
        style="sed-curve",
        data={"data-t-secs": " ".join(map(str, t_secs)), "data-timesteps": len(detector.schedule)},
    )


def curve(detector: Detector, trace: Trace, t_sec: int, weight_free: bool) -> Markup:
    """The chart with its heading."""
    return under_heading(along(detector, [trace], t_sec, weight_free), detector, pair_in_words(trace.k, t_sec))


def under_heading(chart: Chart, detector: Detector, what: str) -> Markup:
    """A chart along T_SEC with its heading; `what` of the detector it shows."""
    return of_source(Markup("<h2>Along T_SEC</h2>{}").format(chart), detector.name, what)

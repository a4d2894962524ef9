"""The t-error along T_SEC as a chart, between the references of both classes."""

from itertools import pairwise

import numpy as np

from sedid.detector.detector import Detector, Trace
from sedid.method.diffusion import Steps, steps_in_words, whole_path
from sedid.report.charts import Curve, curve_chart


def reference_bands(
    detector: Detector, k: Steps, weight_free: bool
) -> dict[str, list[tuple[int, float, float, float]]]:
    """5 %, median and 95 % of both references wherever this k was calibrated: rows (T_SEC, low, median, high)."""
    bands: dict[str, list[tuple[int, float, float, float]]] = {"real": [], "generated": []}
    for near, t_sec in pairwise(whole_path(detector.schedule, k)):
        if calibration := detector.stat.get((k, t_sec)):
            scale = detector.schedule.weight(near, t_sec) if weight_free else 1.0
            for name, quantiles in (("real", calibration.real), ("generated", calibration.generated)):
                low, middle, high = (
                    float(v) / scale for v in np.interp([0.05, 0.5, 0.95], np.linspace(0, 1, len(quantiles)), quantiles)
                )
                bands[name].append((t_sec, low, middle, high))
    return bands


def curve(detector: Detector, trace: Trace, t_sec: int, weight_free: bool) -> str:
    """The chart with its legend."""
    values = trace.weight_free if weight_free else trace.curve
    bands = reference_bands(detector, trace.k, weight_free)
    kind = "weight-free t-error" if weight_free else "t-error"
    shown = Curve(trace.t_secs, values, bands)
    keys = '<span><i class="sed-key sed-key-line"></i>this image</span>'
    if bands["real"]:
        keys += "".join(
            f'<span><i class="sed-key sed-{name}"></i>{name}, 5&ndash;95% and median</span>' for name in bands
        )
    else:
        keys += f"<span>no references at {steps_in_words(trace.k)}</span>"
    scale = ", logarithmic" if shown.scale().log else ""
    return (
        f'<h2>Along T_SEC</h2><p class="sed-legend"><span><b>{kind}</b>{scale}</span>{keys}</p>'
        + curve_chart(shown, t_sec, len(detector.schedule), kind)
        + '<p class="sed-fine sed-axis-name">T_SEC · click to move there</p>'
    )

"""Everything the Inspect tab shows of one trace at one T_SEC, as HTML strings. No Gradio, no network."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sedid.detectors import Detector, Judgement, Trace, Verdict
from sedid.images import read_image
from sedid.ui import filmstrip
from sedid.ui.charts import Curve, curve_chart
from sedid.ui.context import Example
from sedid.ui.pictures import data_uri, text
from sedid.ui.verdict import factors, verdict_cards


@dataclass(frozen=True)
class Shown:
    """What a visitor is looking at; kept in the session.

    Attributes:
        image: uint8 (H, W, 3), as the detector sees it.
        notes: what preprocessing did.
        k, t_sec: the pair.
        example: its name, if it is one.
        center_crop: of the detector that sees it so.
        file, name: what it came from, or its bytes, and what its owner calls it; uploads live for an hour.
        whole: of a tile, the picture it was cut from.
    """

    image: np.ndarray
    notes: tuple[str, ...]
    k: int
    t_sec: int
    example: str = ""
    center_crop: float | None = None
    file: Path | bytes | None = field(default=None, repr=False)
    name: str = ""
    whole: "Shown | None" = None

    @property
    def stamp(self) -> str:
        """Another one for another file."""
        return hashlib.sha256(self.file if isinstance(self.file, bytes) else str(self.file).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Sections:
    """The parts of the page that follow T_SEC, as HTML."""

    verdicts: str
    heat: str
    curve: str
    factors: str
    compared: str
    film: str


def snap(detector: Detector, k: int, t_sec: float) -> int:
    """The T_SEC closest to `t_sec` that exists at this k."""
    return min(max(round(t_sec / k), 1) * k, detector.max_t_sec(k))


def reference_bands(detector: Detector, k: int, weight_free: bool) -> dict[str, list[tuple[int, float, float, float]]]:
    """5 %, median and 95 % of both references wherever this k was calibrated: rows (T_SEC, low, median, high)."""
    bands: dict[str, list[tuple[int, float, float, float]]] = {"real": [], "generated": []}
    for (_, t_sec), calibration in sorted(detector.stat.items()):
        if calibration.k == k:
            scale = detector.schedule.weight(t_sec - k, t_sec) if weight_free else 1.0
            for name, quantiles in (("real", calibration.real), ("generated", calibration.generated)):
                low, middle, high = (
                    float(v) / scale for v in np.interp([0.05, 0.5, 0.95], np.linspace(0, 1, len(quantiles)), quantiles)
                )
                bands[name].append((t_sec, low, middle, high))
    return bands


def curve(detector: Detector, trace: Trace, t_sec: int, weight_free: bool) -> str:
    """The chart with its legend."""
    weights = [detector.schedule.weight(t - trace.k, t) if weight_free else 1.0 for t in trace.t_secs]
    values = [value / weight for value, weight in zip(trace.curve, weights, strict=True)]
    bands = reference_bands(detector, trace.k, weight_free)
    kind = "weight-free t-error" if weight_free else "t-error"
    shown = Curve(trace.t_secs, values, bands)
    keys = '<span><i class="sed-key sed-key-line"></i>this image</span>'
    if bands["real"]:
        keys += "".join(
            f'<span><i class="sed-key sed-{name}"></i>{name}, 5&ndash;95% and median</span>' for name in bands
        )
    else:
        keys += f"<span>no references at k = {trace.k}</span>"
    scale = ", logarithmic" if shown.scale().log else ""
    return (
        f'<h2>Along T_SEC</h2><p class="sed-legend"><span><b>{kind}</b>{scale}</span>{keys}</p>'
        + curve_chart(shown, t_sec, len(detector.schedule), kind)
        + '<p class="sed-fine sed-axis-name">T_SEC · click to move there</p>'
    )


def sections(
    detector: Detector, trace: Trace, judgement: Judgement, weight_free: bool = False, locked: bool = True
) -> Sections:
    """Render a judgement and what led to it.

    Args:
        weight_free: divide maps and curve by c(t,k)^2.
        locked: one colour scale for all T_SEC of the trace.
    """
    t_sec = judgement.t_sec
    return Sections(
        verdicts=verdict_cards(detector, judgement),
        heat=filmstrip.heatmap(trace, t_sec, weight_free, locked),
        curve=curve(detector, trace, t_sec, weight_free),
        factors=factors(judgement),
        compared=filmstrip.compared(trace, t_sec),
        film=filmstrip.filmstrip(trace, t_sec),
    )


def plain_verdict(verdict: Verdict | None) -> dict[str, Any] | None:
    """A verdict as plain values, for the API."""
    if verdict is None:
        return None
    calibration = verdict.calibration
    return {
        "k": calibration.k,
        "t_sec": calibration.t_sec,
        "verdict": verdict.call if verdict.in_range else None,
        "in_range": verdict.in_range,
        "score": verdict.score,
        "threshold": calibration.threshold,
        "band": list(calibration.band),
        "percentile_real": verdict.percentile_real,
        "percentile_generated": verdict.percentile_generated,
    }


def as_json(detector: Detector, judgement: Judgement, notes: tuple[str, ...]) -> dict[str, Any]:
    """A judgement as plain values, for the API."""
    return {
        "detector": detector.name,
        "k": judgement.k,
        "t_sec": judgement.t_sec,
        "t_error": judgement.t_error,
        "weight": judgement.weight,
        "change": judgement.change,
        "stat": plain_verdict(judgement.stat),
        "nn": plain_verdict(judgement.nn),
        "nearest_calibrated": detector.nearest(judgement.k, judgement.t_sec),
        "preprocessing": list(notes),
    }


def example_strip(examples: tuple[Example, ...]) -> str:
    """The examples as buttons, reals and generated under their own headings."""
    parts = []
    for origin, heading in (("real", "Real photographs ({})"), ("generated", "Generated by the shipped {} model")):
        of_kind = [example for example in examples if example.origin == origin]
        if of_kind:
            parts.append(f"<h4>{text(heading.format(of_kind[0].data_set))}</h4>")
        for number, example in enumerate(of_kind, 1):
            uri = data_uri(np.asarray(read_image(example.path).image))
            parts.append(
                f'<button type="button" class="sed-example" data-name="{text(example.name)}" '
                f'aria-label="Inspect {origin} example {number}" aria-pressed="false"><img src="{uri}" alt=""></button>'
            )
    return f'<div class="sed-examples">{"".join(parts)}</div>' if parts else ""

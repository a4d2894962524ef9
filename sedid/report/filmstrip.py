"""The trajectory as pictures: the filmstrip, the compared pair, the heatmap, and what the detector sees."""

from collections.abc import Sequence

import numpy as np
import torch

from sedid.detector.detector import Trace
from sedid.method.diffusion import steps_in_words
from sedid.report.pictures import GRADIENT, data_uri, difference, heat, number, text, visible

FRAMES = 24  # shown at most


def picture(uri: str, label: str, alt: str, caption: str = "", style: str = "") -> str:
    """A figure that opens at full size; `label` stands below it and in the full view."""
    return (
        f'<figure class="sed-frame {style}"><button type="button" class="sed-zoom" data-label="{text(label)}" '
        f'aria-label="{text(alt)}: full size"><img src="{uri}" alt="{text(alt)}"></button>'
        f"<figcaption>{caption or text(label)}</figcaption></figure>"
    )


def shown_frames(count: int, limit: int = FRAMES) -> list[int]:
    """Which of `count` frames to show: evenly spaced, always the first and the last two, at most `limit`."""
    if count <= limit:
        return list(range(count))
    even = np.linspace(0, count - 2, limit - 1).round().astype(int)
    return [*even.tolist(), count - 1]


def filmstrip(trace: Trace, t_sec: int) -> str:
    """x~_0 ... x~_{T_SEC}, the last two marked as the measured step."""
    near, far = trace.step(t_sec)
    points = [point for point in trace.points if point.t <= t_sec]
    chosen = shown_frames(len(points))
    frames = "".join(
        picture(
            data_uri(visible(points[i].x)),
            f"x̃ at t = {points[i].t}",
            f"Reverse step at timestep {points[i].t}",
            f"t = {points[i].t}",
            "sed-measured" if points[i].t in (near.t, far.t) else "",
        )
        for i in chosen
    )
    of_steps = f"of k = {trace.k} timesteps" if isinstance(trace.k, int) else f"along the {steps_in_words(trace.k)}"
    some = "" if len(chosen) == len(points) else f" {len(chosen)} of {len(points)} steps are shown."
    return (
        f'<h2>The path from image to noise</h2><p class="sed-note">Reverse steps {of_steps}; no randomness is added. '
        f"The outlined step is the one measured.{some}</p>"
        f'<div class="sed-strip">{frames}</div>'
    )


def compared(trace: Trace, t_sec: int) -> str:
    """The denoised image beside the one it is compared with, and their difference."""
    near, _ = trace.step(t_sec)
    denoised = trace.denoised(t_sec)
    gap, gain = difference(denoised, near.x)
    amplified = f", amplified {gain:,} times" if gain > 1 else ""
    return (
        f"<h2>The two images compared, both at t = {near.t}</h2>"
        '<div class="sed-pair">'
        + picture(
            data_uri(visible(near.x)),
            f"x̃ at t = {near.t}",
            f"The trajectory at timestep {near.t}",
            f"on the path to {t_sec}",
        )
        + "<i>vs</i>"
        + picture(
            data_uri(visible(denoised)),
            f"ψ: denoised from t = {t_sec} to t = {near.t}",
            f"Denoised from timestep {t_sec} back to {near.t}",
            f"denoised {t_sec} → {near.t}",
        )
        + "<i>→</i>"
        + picture(
            data_uri(gap),
            f"difference{amplified}; gray is none",
            f"Difference of the two{amplified}",
            f"difference &times;{gain:,}" if gain > 1 else "difference",
        )
        + "</div>"
    )


def error_maps(trace: Trace, weight_free: bool) -> np.ndarray:
    """The t-error per pixel, channels summed, at every T_SEC of the trace at once: float (N, H, W)."""
    eps = torch.cat([point.eps for point in trace.points])
    maps = (eps[1:] - eps[:-1]).square().sum(1).numpy() / 4
    if weight_free:
        return maps
    return maps * np.array(trace.weights, maps.dtype)[:, None, None]


def heatmap(trace: Trace, t_sec: int, weight_free: bool, locked: bool) -> str:
    """The t-error map over the image, with a colour bar. How opaque it is, the page's --sed-blend says.

    The colours end at the 99.5th percentile of the map; locked: at the largest one along the trace.
    """
    maps = error_maps(trace, weight_free)
    values = maps[trace.t_secs.index(t_sec)]
    limit = brightest(maps if locked else values[None])
    kind = "weight-free t-error" if weight_free else "t-error"
    return f"""<h2>Where the error is</h2>{over_image(trace, values, limit, f"{kind} at T_SEC {t_sec}")}{colour_bar(limit)}
<p class="sed-fine">{kind} per pixel, channels summed; {"same colours at every T_SEC" if locked else "colours fitted to this T_SEC"}.</p>"""


def brightest(maps: np.ndarray) -> float:
    """Where the colours of maps (N, H, W) end: the largest of their 99.5th percentiles."""
    return float(np.quantile(maps, 0.995, axis=(1, 2)).max())


def over_image(trace: Trace, values: np.ndarray, limit: float, what: str) -> str:
    """One map (H, W) over the image; a click shows it at full size.

    Args:
        limit: the value of the brightest colour.
        what: the map in words.
    """
    row, column = (int(i) for i in np.unravel_index(values.argmax(), values.shape))
    alt = f"Heatmap of the {what}, largest at row {row}, column {column}"
    return f"""<div class="sed-heat"><button type="button" class="sed-zoom" data-label="{text(what)}" aria-label="{text(alt)}: full size">
<img src="{data_uri(trace.image)}" alt=""><img class="sed-over" src="{data_uri(heat(values, limit))}" alt="{text(alt)}"></button></div>"""


def colour_bar(limit: float) -> str:
    """The colours of a map from 0 to `limit`."""
    ticks = "".join(f"<span>{mark}</span>" for mark in ("0", number(limit / 2), f"≥ {number(limit)}"))
    return f'<div class="sed-bar" style="background:{GRADIENT}"></div><div class="sed-bar-ticks">{ticks}</div>'


def seen(image: np.ndarray, notes: Sequence[str], example: str = "", stamp: str = "", path: str = "") -> str:
    """The image as the detector sees it, what was done to get there; for the script, which example and file it is, and
    along which path it is walked if its steps are not all of one size."""
    size = image.shape[0]
    said = "".join(f"<li>{text(note)}</li>" for note in notes) or "<li>used as it is: nothing was changed</li>"
    frame = picture(
        data_uri(image),
        f"what the detector sees: {size} by {size} pixels",
        "The image as the detector sees it",
        "&nbsp;",
    )
    return f'<div class="sed-seen" data-example="{text(example)}" data-file="{text(stamp)}" data-path="{text(path)}">{frame}<div><b>What the detector sees</b><p>{size} by {size} pixels</p><ul>{said}</ul></div></div>'

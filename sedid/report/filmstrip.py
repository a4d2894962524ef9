"""The trajectory as pictures: the filmstrip, the compared pair, the heatmap, and what the detector sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from sedid.detector.detector import Trace
from sedid.later import torch
from sedid.method.diffusion import steps_in_words
from sedid.report.html import render
from sedid.report.pictures import data_uri, difference, heat, thumbnail, visible


def picture(uri: str, label: str, alt: str, caption: str = "", style: str = "", live: bool = True) -> Markup:
    """A figure that opens at full size; `label` stands in the full view, and below it where there is no caption.

    Args:
        caption: HTML.
        live: on the page, where a click opens it.
    """
    return render("frame.html", uri=uri, label=label, alt=alt, caption=Markup(caption), style=style, live=live)


def shown_frames(count: int, limit: int) -> list[int]:
    """Which of `count` frames to show: evenly spaced, always the first and the last two, at most `limit`."""
    if count <= limit:
        return list(range(count))
    even = np.linspace(0, count - 2, limit - 1).round().astype(int)
    return [*even.tolist(), count - 1]


def filmstrip(trace: Trace, t_sec: int, live: bool = True) -> Markup:
    """x~_0 ... x~_{T_SEC}, the last two marked as the measured step."""
    points = [point for point in trace.points if point.t <= t_sec]
    chosen = [(i, points[i]) for i in shown_frames(len(points), trace.space.frames)]
    return render(
        "filmstrip.html",
        frames=[{"step": i, "t": point.t, "image": thumbnail(visible(trace.picture(point.x)))} for i, point in chosen],
        measured=[point.t for point in trace.step(t_sec)],
        steps=len(points),
        of_steps=f"of k = {trace.k} timesteps" if isinstance(trace.k, int) else f"along the {steps_in_words(trace.k)}",
        live=live,
    )


def compared(trace: Trace, t_sec: int, live: bool = True) -> Markup:
    """The denoised image beside the one it is compared with, and their difference."""
    near, _ = trace.step(t_sec)
    on_path, denoised = trace.picture(near.x), trace.picture(trace.denoised(t_sec))
    gap, gain = difference(denoised, on_path)
    return render(
        "compared.html",
        near=near.t,
        t_sec=t_sec,
        on_path=visible(on_path),
        denoised=visible(denoised),
        gap=gap,
        gain=gain,
        live=live,
    )


def error_maps(trace: Trace, weight_free: bool) -> np.ndarray:
    """The t-error per pixel, channels summed, at every T_SEC of the trace at once: float (N, H, W)."""
    eps = torch.cat([point.eps for point in trace.points])
    maps = (eps[1:] - eps[:-1]).square().sum(1).numpy() / 4
    if weight_free:
        return maps
    return maps * np.array(trace.weights, maps.dtype)[:, None, None]


def heatmap(trace: Trace, t_sec: int, weight_free: bool, locked: bool, live: bool = True) -> Markup:
    """The t-error map over the image, with a colour bar. How opaque it is, the page's --sed-blend says.

    The colours end at the 99.5th percentile of the map; locked: at the largest one along the trace.
    """
    maps = error_maps(trace, weight_free)
    values = maps[trace.t_secs.index(t_sec)]
    limit = brightest(maps if locked else values[None])
    kind = "weight-free t-error" if weight_free else "t-error"
    drawn = over_image(trace, values, limit, f"{kind} at T_SEC {t_sec}", live)
    side = len(trace.image) // len(values)
    cell = "pixel" if side == 1 else f"cell of {side} by {side} pixels"
    return render("heatmap.html", map=drawn, limit=limit, kind=kind, cell=cell, locked=locked, live=live)


def brightest(maps: np.ndarray) -> float:
    """Where the colours of maps (N, H, W) end: the largest of their 99.5th percentiles."""
    return float(np.quantile(maps, 0.995, axis=(1, 2)).max())


def over_image(trace: Trace, values: np.ndarray, limit: float, what: str, live: bool = True) -> Markup:
    """One map (H, W) over the image; a click shows it at full size.

    Args:
        limit: the value of the brightest colour.
        what: the map in words.
    """
    row, column = (int(i) for i in np.unravel_index(values.argmax(), values.shape))
    colours = heat(values, limit)
    return render("over_image.html", image=trace.image, colours=colours, what=what, row=row, column=column, live=live)


def seen(
    image: np.ndarray, notes: Sequence[str], example: str = "", stamp: str = "", path: str = "", tile: bool = False
) -> Markup:
    """The image as the detector sees it, and what was done to get there.

    For the script it says which example and file it is, along which path it is walked if its steps are not all of one size, and
    whether it is a tile of a larger picture.
    """
    size = image.shape[0]
    label = f"what the detector sees: {size} by {size} pixels"
    frame = picture(data_uri(image), label, "The image as the detector sees it", "&nbsp;")
    return render("seen.html", frame=frame, size=size, notes=notes, example=example, stamp=stamp, path=path, tile=tile)

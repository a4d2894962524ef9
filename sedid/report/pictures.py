"""Arrays to what a browser shows: PNG data URIs, colours, figures on a page. Pure functions."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

# matplotlib's inferno (public domain) at 17 even steps; linear in between.
INFERNO = (
    *("#000004", "#0b0724", "#210c4a", "#3d0965", "#57106e", "#71196e", "#8a226a", "#a32c61", "#bc3754"),
    *("#d24644", "#e45a31", "#f1731d", "#f98e09", "#fcac11", "#f9cb35", "#f2ea69", "#fcffa4"),
)


def _lookup(anchors: Sequence[str]) -> np.ndarray:
    known = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in anchors])
    at = np.linspace(0, len(anchors) - 1, 256)
    return (
        np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in known.T], 1).round().astype(np.uint8)
    )


COLOURS = _lookup(INFERNO)
PREVIEW = 720  # pixels, the longer side of a picture for looking at only
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
GRADIENT = f"linear-gradient(to right, {', '.join(INFERNO)})"


def text(value: object) -> str:
    """Escape for HTML text and attributes."""
    return html.escape(str(value), quote=True)


def data_uri(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3) as a lossless PNG data URI."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def preview(picture: Image.Image) -> str:
    """An RGB picture, at most PREVIEW pixels a side, as a data URI: with loss, for looking at only."""
    small = picture.copy()
    small.thumbnail((PREVIEW, PREVIEW))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=88)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def visible(x: Tensor) -> np.ndarray:
    """One image (1, C, H, W) on the [-1, 1] scale as uint8 (H, W, 3); values beyond the scale are clipped.

    One channel is shown grey; of more than three, the first three are shown as if they were colours.
    """
    x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]
    return ((x[0].nan_to_num().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def thumbnail(pixels: np.ndarray, most: int = 256) -> np.ndarray:
    """A picture, uint8 (H, W, 3), made smaller where it is larger than `most` pixels."""
    if max(pixels.shape[:2]) <= most:
        return pixels
    small = Image.fromarray(pixels)
    small.thumbnail((most, most), Image.Resampling.BOX)
    return np.array(small)


def difference(a: Tensor, b: Tensor) -> tuple[np.ndarray, int]:
    """The difference a - b as uint8 (H, W, 3) around mid-gray, and by how much it was amplified to be seen.

    The gain is the largest power of two, up to 4096, that keeps 99 % of the values on the scale.
    """
    gap = (a - b)[0].nan_to_num().numpy() / 2
    largest = float(np.quantile(np.abs(gap), 0.99))
    gain = 1
    while gain < 4096 and largest * gain * 2 <= 0.5:
        gain *= 2
    return np.rint((0.5 + gap * gain).clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0), gain


def heat(values: np.ndarray, limit: float) -> np.ndarray:
    """Values (H, W) >= 0 as colours, uint8 (H, W, 3); 0 is the darkest, `limit` and above the brightest."""
    scaled = values / limit if limit > 0 else np.zeros_like(values)
    colours: np.ndarray = COLOURS[np.rint(np.nan_to_num(scaled).clip(0, 1) * 255).astype(np.intp)]
    return colours


def enlarge(pixels: np.ndarray, side: int = 256) -> np.ndarray:
    """Repeat pixels so that the image measures about `side`; no smoothing."""
    factor = max(1, side // pixels.shape[0])
    return pixels.repeat(factor, 0).repeat(factor, 1)


def number(value: float) -> str:
    """Three significant digits: 0.0123, 1.23, 123, 12,300, 1.75·10⁻⁶; what is no finite number is "nan" or "inf"."""
    if not np.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}·10{str(int(exponent)).translate(SUPERSCRIPT)}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{digits}f}"


def short(value: float) -> str:
    """As `number`, without zeros at the end: for round values such as ticks (2, 0.25, 10⁻³)."""
    words = number(value)
    if "·" in words:
        mantissa, power = words.split("·")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return power if mantissa == "1" else f"{mantissa}·{power}"
    return words.rstrip("0").rstrip(".") if "." in words else words

"""The image input: Gradio's, with this project's own loader behind it."""

import base64
import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from sedid.images import describe, read_image
from sedid.ui.context import Context

SHOWN_BY_BROWSERS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP")


@dataclass(frozen=True)
class Upload:
    """A picture that could be read.

    Attributes:
        seen: uint8 (H, W, 3), as the detector sees it.
        notes: what was done to get there.
        preview: something to show in its place if browsers cannot show the file, else None.
    """

    seen: np.ndarray
    notes: tuple[str, ...]
    preview: np.ndarray | None


def refusal(error: Exception) -> gr.Error:
    """An error whose sentence the visitor reads; messages are HTML, so it is escaped."""
    return gr.Error(html.escape(str(error)), print_exception=False)


def image_input(context: Context, **options: Any) -> gr.Image:
    """A `gr.Image` that hands event functions an `Upload` (or None) and refuses in one clear sentence.

    Gradio's own loading saturates 16-bit images, drops alpha and fails with a traceback on damaged files.
    """

    def preprocess(payload: Any) -> Upload | None:
        if payload is None:
            return None
        source: Path | bytes = Path(payload.path or "")
        try:
            if payload.url and payload.url.startswith("data:"):  # from API clients
                source = base64.b64decode(payload.url.partition(",")[2])
            detector = context.detector()
            picture = read_image(source, payload.orig_name or "The file")
            seen = detector.prepare(picture.image)
        except (OSError, ValueError) as error:
            raise refusal(error) from error
        preview = None
        if picture.format not in SHOWN_BY_BROWSERS:
            small = picture.image.copy()
            small.thumbnail((512, 512))
            preview = np.asarray(small)
        return Upload(seen, describe(picture, detector.size, detector.center_crop), preview)

    component = gr.Image(type="filepath", image_mode=None, format="png", **options)
    component.preprocess = preprocess  # type: ignore[method-assign, assignment]
    return component

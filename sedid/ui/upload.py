"""From what Gradio hands over as an uploaded image to what the detector sees.

Gradio's own loading saturates 16-bit images, drops alpha and fails with a traceback on damaged files, so events
that take an image run with `preprocess=False` and call `read_upload`. Of an image's payload Gradio (6.31) checks that the
file is one it received itself only where the payload says that it is a file, so that is checked here.
"""

import base64
import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_base64_to_cache
from gradio.utils import get_upload_folder

from sedid.data.images import ImageError, read_image
from sedid.detector.detector import Detector

KEPT_BYTES = 1_000_000  # of a picture that came without a file; a session keeps them
CAMERA = "camera.png"
"""What a picture of the browser's camera is called here."""
SHOWN_BY_BROWSERS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP")


@dataclass(frozen=True)
class Upload:
    """A picture that could be read.

    Attributes:
        seen: uint8 (H, W, 3), as the detector sees it.
        notes: what was done to get there.
        preview: something to show in its place if browsers cannot show the file, else None.
        file, name: the file itself, or its bytes if they are few (else None), and what its owner calls it.
    """

    seen: np.ndarray
    notes: tuple[str, ...]
    preview: np.ndarray | None
    file: Path | bytes | None
    name: str


def refusal(error: Exception) -> gr.Error:
    """An error whose sentence the visitor reads; messages are HTML, so it is escaped."""
    return gr.Error(html.escape(str(error)), print_exception=False)


def rewritten(name: str) -> tuple[str, ...]:
    """What a browser did to a picture that it did not get as a file, as a note; Gradio (6.31) calls a pasted one clipboard.png."""
    if not name.startswith(("clipboard.", CAMERA)):
        return ()
    return ("pasted or photographed: the browser wrote it anew, and what an original file said of itself is gone",)


def read_upload(detector: Detector, payload: dict[str, Any] | None) -> Upload:
    """Decode an image component's raw payload.

    Raises:
        ImageError, ValueError: there is no image, or it cannot be used; the text says why.
    """
    if not payload:
        raise ValueError("No image was given.")
    name = str(payload.get("orig_name") or "The file")
    data = received(payload, name)
    picture = read_image(data, name)
    preview = None
    if picture.format not in SHOWN_BY_BROWSERS:
        small = picture.image.copy()
        small.thumbnail((512, 512))
        preview = np.asarray(small)
    notes = (*detector.notes(picture), *rewritten(name))
    kept = data if isinstance(data, Path) or len(data) <= KEPT_BYTES else None
    return Upload(detector.prepare(picture.image), notes, preview, kept, name)


def received(payload: dict[str, Any], name: str) -> Path | bytes:
    """The content that a payload brings along, or the file of the upload folder that it names.

    Args:
        payload: as Gradio hands over a file: "path", or "url" with a data URI.
        name: what error messages call it.

    Raises:
        ImageError: it is neither.
    """
    url = str(payload.get("url") or "")
    if url.startswith("data:"):
        try:
            return base64.b64decode(url.partition(",")[2])
        except ValueError as error:
            raise ImageError(f"The data URI of {name} does not hold base64 ({error}).") from error
    path = Path(str(payload.get("path") or ""))
    try:
        ours = path.resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, RuntimeError, ValueError):  # a circle of links; no path at all
        ours = False
    if not ours:
        raise ImageError("The image is no file that was uploaded to this app: upload it first, or send a data URI.")
    if not path.is_file():
        raise ImageError(f"{name} is no longer here: uploads are deleted within an hour or so. Give it again.")
    return path


def file_of(payload: dict[str, Any]) -> tuple[Path, str]:
    """The file of a payload and what its owner calls it: Gradio's own name for it lacks what file systems dislike.

    The content of a data URI becomes a file of the upload folder.

    Raises:
        ImageError, ValueError: as `received`.
    """
    found = received(payload, "a file")
    path = found if isinstance(found, Path) else Path(save_base64_to_cache(payload["url"], get_upload_folder()))
    return path, str(payload.get("orig_name") or path.name)

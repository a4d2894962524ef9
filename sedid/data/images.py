"""From a file or bytes to an 8-bit RGB picture, and from a picture to what the network sees.

`prepare` is the only preprocessing function: real and generated images, training, scoring and the page all pass
through it, so that a detector cannot learn how its two classes were stored.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from sedid.data.decoding import FORMATS, Unreadable, decode, open_file
from sedid.data.file_kinds import unsupported
from sedid.errors import first_line

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
MAX_CROP = 4096  # pixels: a larger centre square is asked for as a share
SIZE = 32  # pixels: the side of the square images every model here works on

ACCEPTED = "PNG, JPEG, WebP, GIF, TIFF, BMP, AVIF or PPM"

# Stored with every detector (`preprocessing`): a threshold holds for one preprocessing only.
PREPROCESSING = {
    "resize": "bilinear, antialiased",
    "levels": "8-bit RGB",
    "scale": "[-1, 1]",
}

# What Pillow's decoders raise to say something; their other exceptions are their faults, in Python's words.
TOLD = (OSError, SyntaxError, ValueError, EOFError, RuntimeError)

ImageLike = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | np.ndarray
LIKE = "a path, the bytes of a file, an open binary file, a PIL image, or a uint8 array (height, width, 3)"


class ImageError(ValueError):
    """An image or data set that cannot be used. The text is one full sentence for the user."""


@dataclass(frozen=True)
class Picture:
    """A decoded image: upright 8-bit RGB at full size, with what was done to get there."""

    image: Image.Image
    notes: tuple[str, ...]  # in words, in the order it was done
    format: str  # Pillow's name of the file format, "PNG" for instance
    bytes: int  # length of the file

    @property
    def width(self) -> int:
        """Pixels, after turning upright."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels, after turning upright."""
        return self.image.height


def read_image(source: ImageLike, name: str | None = None) -> Picture:
    """Any image of any mode and size as upright 8-bit sRGB; of an animation the first frame.

    Args:
        source: a path; the bytes of a file, or an open binary file, read from its beginning; a PIL image, of which one whose
            pixels are still unread stands for its file, at the frame it was moved to; a uint8 array (H, W), (H, W, 3) RGB
            or (H, W, 4) RGBA. All give the same pixels.
        name: what error messages call it; by default the file name, or "The file" or "The image" without one.

    Raises:
        ImageError: not one of these; missing, a folder, empty, over MAX_BYTES or MAX_PIXELS (checked before decoding), not
            one of the accepted formats, of a kind of one that cannot be read, or damaged.
    """
    image, data, frame = None, b"", 0
    if isinstance(source, Image.Image):
        image, name = source, name or "The image"
        data, frame = _unread(image)
    elif isinstance(source, np.ndarray):
        image, name = _from_array(source), name or "The image"
    else:
        data, name = _file(source, name)
        if not data:
            raise ImageError(f"{name} is empty (zero bytes).")
    if len(data) > MAX_BYTES:
        raise ImageError(_too_heavy(name))
    too_large = f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels; please make it smaller first."
    opened = False
    try:
        if image is None or data:
            image = open_file(data, frame)
        opened = True
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(too_large)
        if image.width * image.height == 0:
            raise ImageError(f"{name} has no pixels.")
        if image.format == "PNG" and data:  # Pillow ignores checksums while decoding, and a broken stream becomes black
            open_file(data).verify()
        upright, notes = decode(image, data)
    except ImageError:
        raise
    except Unreadable as error:
        raise ImageError(f"{name} {error}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(too_large) from error
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is; please make it smaller first.") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise ImageError(f"{name} {_why_not(data, opened, error)}") from error
    return Picture(upright, notes, image.format or "", len(data))


def preprocessing(size: int, center_crop: float | None) -> dict[str, Any]:
    """What `prepare` does, in words; as detector.json records it.

    Args:
        size, center_crop: as `prepare`.
    """
    crop = "centre square"
    if center_crop is not None:
        of = "pixels" if center_crop > 1 else "of the shorter side"
        crop = f"centre square, {center_crop:g} {of}"
    return {"size": size, "crop": crop} | PREPROCESSING


def check_crop(center_crop: Any) -> None:
    """Refuse what is no centre crop.

    Raises:
        ValueError: it is neither None, nor a share of the shorter side, nor a number of pixels up to MAX_CROP.
    """
    number = type(center_crop) in (int, float)
    if center_crop is not None and not (
        number and (0 < center_crop <= 1 or (center_crop <= MAX_CROP and center_crop == center_crop // 1 > 1))
    ):
        raise ValueError(
            f"center_crop must be a share of the shorter side, above 0 and at most 1, or a whole number of pixels up to "
            f"{MAX_CROP:,}, not {center_crop!r:.60}"
        )


def crop_side(width: int, height: int, center_crop: float | None) -> int:
    """The side of the centre square `prepare` cuts out of a picture, pixels.

    Args:
        center_crop: pixels; or, up to 1, the share of the shorter side, which frames pictures of any size alike; None for
            the largest square.
    """
    if center_crop is None or center_crop > 1:
        return int(center_crop or min(width, height))
    return max(1, round(center_crop * min(width, height)))


def prepare(image: Image.Image, size: int = SIZE, center_crop: float | None = None) -> np.ndarray:
    """What the network sees of an RGB image: centre crop to a square, then one antialiased bilinear resize.

    An image that already has `size` x `size` pixels passes through bit-identical, also where a crop is asked for: what
    a CelebA model generates is already the centre of a face, and cutting it would mark it. Resizing rounds to the nearest
    8-bit level.

    Args:
        image: RGB, any size.
        size: the side of the result.
        center_crop: cut this centre square out first, as `crop_side` (CelebA: 140 pixels); by default the largest one.

    Returns:
        uint8 (size, size, 3).

    Raises:
        ImageError: the crop is larger than an image of another size. It is never padded: the black frame that would make
            separates generated from real images by itself.
        ValueError: the image is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"prepare takes an RGB image, not {image.mode}; read_image converts")
    if image.size == (size, size):
        return np.array(image)
    side = crop_side(*image.size, center_crop)
    if side > min(image.size):
        raise ImageError(
            f"A centre crop of {side} pixels does not fit into an image of {image.width}x{image.height}; "
            "images that are already cropped go in without one."
        )
    if image.size != (side, side):
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if side != size:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(image)


def describe(picture: Picture, size: int = SIZE, center_crop: float | None = None) -> tuple[str, ...]:
    """The notes of a picture followed by what `prepare` does to it, in words."""
    return (*picture.notes, *framing(*picture.image.size, size, center_crop))


def framing(width: int, height: int, size: int = SIZE, center_crop: float | None = None) -> tuple[str, ...]:
    """What `prepare` does to a picture of these sides, in words; nothing, or one text."""
    if width == height == size:
        return ()
    side = crop_side(width, height, center_crop)
    cropped = "" if width == height == side else f" (centre square {side})"
    if side != size:
        return (f"resized from {width}x{height}{cropped} to {size}x{size}",)
    return (f"cut from {width}x{height}{cropped}",) if cropped else ()


def read_bytes(path: Path) -> bytes:
    """The content of a regular file of at most MAX_BYTES.

    Raises:
        ImageError: it is missing, a folder, a device, unreadable or too large.
    """
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder, not an image file.")
        if not path.exists():
            raise ImageError(f"There is no file {path}.")
        if not path.is_file():
            raise ImageError(f"{path} is not a regular file.")
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(_too_heavy(path.name))
        return path.read_bytes()
    except OSError as error:  # asking what is there fails, too, of a name too long or behind a closed folder
        raise ImageError(f"{str(path)[:200]} cannot be read ({error.strerror}).") from error


def _file(source: Any, name: str | None) -> tuple[bytes, str]:
    """The content of a file in any form, and what to call it."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), name or "The file"
    if isinstance(source, str | os.PathLike):
        if not os.fspath(source):
            raise ImageError("The path of the image is empty.")
        path = Path(source)
        return read_bytes(path), name or path.name
    if not hasattr(source, "read"):
        raise ImageError(f"{_in_words(source)} is not an image; accepted are {LIKE}.")
    stream_name = getattr(source, "name", "")
    name = name or (Path(stream_name).name if isinstance(stream_name, str) else "") or "The file"
    try:
        with suppress(OSError, AttributeError):  # a pipe has no beginning to go back to
            source.seek(0)
        data = source.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: it was closed, or holds text that is none
        raise ImageError(f"{name} cannot be read ({first_line(error)}).") from error
    if not isinstance(data, bytes):
        raise ImageError(f"{name} is open as text; please open it in binary mode ('rb').")
    return data, name


def _unread(image: Image.Image) -> tuple[bytes, int]:
    """The file behind an image that Pillow opened and whose pixels nobody has read yet, and the frame it stands at.

    Read from the file it comes out as the file itself does; what Pillow drops while it decodes is known then.
    """
    stream = getattr(image, "fp", None)
    if image.format not in FORMATS or stream is None or not getattr(image, "tile", None):
        return b"", 0
    try:
        place = stream.tell()
        stream.seek(0)
        data = stream.read(MAX_BYTES + 1)
        stream.seek(place)
        reopened = open_file(data, image.tell())
    except Exception:  # a closed file, or one that does not begin where the stream does
        return b"", 0
    same = (reopened.mode, reopened.size) == (image.mode, image.size)
    return (data, image.tell()) if same else (b"", 0)  # Image.draft changes what will be read


def _from_array(array: np.ndarray) -> Image.Image:
    if (
        array.size == 0
        or array.dtype != np.uint8
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)))
    ):
        raise ImageError(f"{_in_words(array)} is not an image; an array must be uint8 (height, width, 3), RGB.")
    return Image.fromarray(array)


def _in_words(source: Any) -> str:
    """An object of a wrong type for a sentence: "The float32 ndarray of shape (3, 32, 32)"."""
    dtype, shape = getattr(source, "dtype", None), getattr(source, "shape", None)
    if dtype is not None and shape is not None:
        return f"The {dtype} {type(source).__name__} of shape {tuple(shape)}"
    return "None" if source is None else f"An object of type {type(source).__name__}"


def _why_not(data: bytes, opened: bool, error: Exception) -> str:
    """Why a file could not be decoded, a sentence without its subject."""
    reason = first_line(error)
    if kind := unsupported(data, opened, reason):
        return f"is {kind}, which cannot be read here; please save it as PNG or JPEG."
    if isinstance(error, UnidentifiedImageError):
        return f"is not an image that can be read, or it is cut off; accepted are {ACCEPTED}."
    told = isinstance(error, TOLD)
    return "is damaged or cut off and cannot be decoded" + (f" ({reason})." if told else ".")


def _too_heavy(name: str) -> str:
    return f"{name} is over {MAX_BYTES // 1_000_000} MB; please make it smaller first."

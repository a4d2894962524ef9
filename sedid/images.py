"""From a file or bytes to an 8-bit RGB picture, and from a picture to what the network sees.

`prepare` is the only preprocessing function: real and generated images, training, scoring and the page all pass
through it, so that a detector cannot learn how its two classes were stored.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000
MAX_CROP = 4096  # pixels: a larger centre square is asked for as a share
SIZE = 32  # pixels: the side of the square images every model here works on

# Raster formats only: Pillow would also hand PostScript and the like to outside programs.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
ACCEPTED = "PNG, JPEG, WebP, GIF, TIFF, BMP, AVIF or PPM"

# Stored with every detector (`preprocessing`): a threshold holds for one preprocessing only.
PREPROCESSING = {
    "resize": "bilinear, antialiased",
    "levels": "8-bit RGB",
    "scale": "[-1, 1]",
}

ORIENTATION = 0x0112  # the EXIF tag, and what undoes each of its values
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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


def read_image(source: Path | bytes, name: str | None = None) -> Picture:
    """Decode an image file of any mode and size; of an animation the first frame.

    Args:
        source: a path, or the bytes of a file.
        name: what error messages call it; by default the file name, or "The file" for bytes.

    Raises:
        ImageError: missing, a folder, empty, over MAX_BYTES or MAX_PIXELS (checked before decoding), not one of
            the accepted formats, or damaged.
    """
    if isinstance(source, bytes):
        name, data = name or "The file", source
    else:
        name, data = name or source.name, read_bytes(source)
    if not data:
        raise ImageError(f"{name} is empty (zero bytes).")
    if len(data) > MAX_BYTES:
        raise ImageError(_too_heavy(name))
    too_large = f"{name} has more than {MAX_PIXELS // 1_000_000} megapixels; please make it smaller first."
    try:
        image = _open(data)
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(too_large)
        file_format = image.format or "?"
        if file_format == "PNG":  # whose checksums Pillow ignores while decoding, returning black for a broken stream
            _open(data).verify()
        upright, notes = _decode(image, name)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(_unidentified(data, name)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(too_large) from error
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is; please make it smaller first.") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise ImageError(f"{name} is damaged or cut off and cannot be decoded ({_first_line(error)}).") from error
    return Picture(upright, tuple(notes), file_format, len(data))


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
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image file.")
    if not path.exists():
        raise ImageError(f"There is no file {path}.")
    if not path.is_file():
        raise ImageError(f"{path} is not a regular file.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(_too_heavy(path.name))
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}).") from error


def _open(data: bytes) -> Image.Image:
    Image.init()
    return Image.open(BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])


def _decode(image: Image.Image, name: str) -> tuple[Image.Image, list[str]]:
    """Decode the first frame, turn it upright and bring it to RGB."""
    notes = []
    deep = ";16" in str(getattr(image, "tile", ""))  # 16 bits a channel, which Pillow reads as 8
    orientation = _orientation(image)  # Pillow itself turns a TIFF while loading it and drops the tag
    image.load()
    if getattr(image, "is_animated", False):
        # Counting the pages of a hostile TIFF takes minutes.
        frames = "several" if image.format == "TIFF" else getattr(image, "n_frames", "several")
        notes.append(f"first frame of {frames}")
    if orientation in UPRIGHT:
        notes.append("turned by its EXIF orientation")
        if _orientation(image) == orientation:
            image = image.transpose(UPRIGHT[orientation])
    return _to_rgb(image, name, notes, deep), notes


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a damaged EXIF block does not make the pixels unreadable
        return 1


def _to_rgb(image: Image.Image, name: str, notes: list[str], deep: bool) -> Image.Image:
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        levels, note = _eight_bit(np.asarray(image), mode, name)
        notes.append(note)
        image = Image.fromarray(levels)
    elif deep:
        notes.append("16-bit scaled to 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            notes.append("alpha composited over white")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif mode == "P":
        notes.append("palette converted to RGB")
    elif mode in ("1", "L"):
        notes.append("1-bit converted to RGB" if mode == "1" else "gray converted to RGB")
    elif mode != "RGB" and image.mode != "L":
        notes.append(f"{mode} converted to RGB")
    if image.mode == "LAB":
        raise ImageError(f"{name} is in the Lab colour space, which is not supported; please save it as RGB.")
    rgb = image.convert("RGB")
    rgb.info = {}  # profiles and comments are not part of the picture
    return rgb


def _eight_bit(levels: np.ndarray, mode: str, name: str) -> tuple[np.ndarray, str]:
    """Gray levels of another depth as uint8, and the note that says how."""
    if not np.isfinite(levels).all():
        raise ImageError(f"{name} holds values that are not numbers (NaN or infinity).")
    low, high = float(levels.min()), float(levels.max())
    if mode == "F" and low >= 0 and high <= 1:
        scale, offset, note = 255.0, 0.0, "floating point scaled from [0, 1] to 8 bits"
    elif mode == "F" and low >= 0 and high <= 255:
        scale, offset, note = 1.0, 0.0, "floating point rounded to 8 bits"
    elif mode != "F" and low >= 0 and high <= 65535:
        scale, offset, note = 1 / 257, 0.0, "16-bit scaled to 8 bits"
    else:
        scale, offset = 255 / max(high - low, 1e-30), low
        note = f"values from {low:g} to {high:g} scaled to 8 bits"
    return np.rint((levels.astype(np.float64) - offset) * scale).clip(0, 255).astype(np.uint8), note


def _unidentified(data: bytes, name: str) -> str:
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return f"{name} is an SVG drawing, which has no pixels; please save it as PNG first."
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return f"{name} is a HEIC photograph, which cannot be read here; please save it as JPEG or PNG first."
    return f"{name} is not an image that can be read, or it is cut off; accepted are {ACCEPTED}."


def _too_heavy(name: str) -> str:
    return f"{name} is over {MAX_BYTES // 1_000_000} MB; please make it smaller first."


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:160]

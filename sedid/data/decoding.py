"""From an image as Pillow opens it to upright 8-bit sRGB, with a note on everything that was done on the way."""

import ctypes
import logging
import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, _imaging
from PIL.TiffImagePlugin import TiffImageFile

from sedid.data.colour import IGNORED, lab_to_rgb, to_srgb
from sedid.data.file_kinds import avif_bits, avif_head, declared_colours
from sedid.data.tiffs import SIGNED, UNSIGNED, WHITE_IS_ZERO, TiffKind, mend_palette, mend_tiles

# Raster formats only: Pillow would also hand PostScript and the like to outside programs.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")

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
NAMES = {"1": "1-bit", "P": "palette", "PA": "palette", "LAB": "Lab", "RGB": "", "RGBA": "", "RGBX": "", "RGBa": ""}
NAMES |= dict.fromkeys(("L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"), "gray")
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # gray modes of more than 8 bits
DARK = 16  # levels of 255: a picture of 12 bits in a file of 16 has none above
SRGB_GAMMA = 0.45455
RLE4 = 2  # a BMP's compression, of which Pillow before 13 misreads runs of an odd length

# Pillow and libtiff speak to whoever writes programs. What matters of it becomes a note or an error here, and the console
# is the user's.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
with suppress(OSError, AttributeError):  # a Pillow that libtiff is built into does not show it
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


class Unreadable(ValueError):
    """Why an image cannot be used: a sentence without its subject and its full stop."""


@dataclass(frozen=True)
class Stored:
    """How the pixels are stored, which Pillow no longer tells once it has read them.

    Attributes:
        tiff: the tags of a TIFF.
        deep: the note on more than 8 bits a channel; or "".
        gray_alpha: 16-bit gray with alpha, which Pillow has no mode for and makes RGBA.
        part: where the first frame of a GIF lies, if it does not fill its canvas.
        orientation: as EXIF counts it.
    """

    tiff: TiffKind | None
    deep: str
    gray_alpha: bool
    part: tuple[int, int, int, int] | None
    orientation: int


def open_file(data: bytes, frame: int = 0) -> Image.Image:
    """Open a file of one of FORMATS, its pixels still unread."""
    Image.init()
    image = Image.open(BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
    if frame:
        image.seek(frame)
    return image


def decode(image: Image.Image, data: bytes = b"") -> tuple[Image.Image, tuple[str, ...]]:
    """Decode the frame that an image stands at.

    Args:
        image: of any mode, its pixels read or unread.
        data: the file behind an image whose pixels are unread.

    Returns:
        The picture in sRGB, mode RGB, upright, without profile or other information; what was done to get there, in words
        and in order.

    Raises:
        Unreadable: a kind of image that cannot be read.
        Exception: whatever Pillow's decoders raise on damaged files.
    """
    notes, frame = [], image.tell()
    if isinstance(image, TiffImageFile) and (misread := mend_tiles(image)):
        raise Unreadable(f"is a TIFF of {misread}, which cannot be read here; please save it as PNG or JPEG")
    if image.format in ("BMP", "DIB") and image.info.get("compression") == RLE4:
        raise Unreadable("is a BMP of 4-bit run lengths, which cannot be read here; please save it as PNG or JPEG")
    stored = _stored(image, data)
    image.load()
    if getattr(image, "is_animated", False):
        # Counting the pages of a hostile TIFF takes minutes.
        frames = "several" if image.format == "TIFF" else getattr(image, "n_frames", "several")
        notes.append(f"frame {frame + 1} of {frames}" if frame else f"first frame of {frames}")
    if stored.orientation in UPRIGHT:
        notes.append("turned upright, as its orientation says")
    if stored.tiff:
        image = mend_palette(image, stored.tiff)
    colours, alpha, depth = _split(image, stored)
    if depth:
        notes.append(depth)
        high = _range(colours)[1]
        if colours.mode != "CMYK" and high <= DARK and _varies(image):
            notes.append(f"nearly black, highest level {high} of 255: perhaps fewer bits than the file is made for")
    profile = image.info.get("icc_profile")
    colours, words = to_srgb(colours, profile) if profile and image.mode != "1" else (colours, "")
    name = "gray" if stored.gray_alpha else NAMES.get(image.mode, image.mode)
    if words == IGNORED:
        notes.append(IGNORED)
        words = ""
    if name or words:
        notes.append(f"{name or 'RGB'} converted {words or 'to RGB'}")
    notes += _untold(image, data)
    rgb = colours.convert("RGB")
    if alpha is not None and _range(alpha)[0] < 255:
        notes.append("alpha composited over white")
        rgb.putalpha(alpha)
        rgb = Image.alpha_composite(Image.new("RGBA", rgb.size, "white"), rgb).convert("RGB")
    if stored.part:
        notes.append("white where its first frame leaves the canvas empty")
        canvas = Image.new("RGB", rgb.size, "white")
        canvas.paste(rgb.crop(stored.part), stored.part[:2])
        rgb = canvas
    if stored.orientation in UPRIGHT and _orientation(image) == stored.orientation:  # Pillow turns a TIFF itself
        rgb = rgb.transpose(UPRIGHT[stored.orientation])
    rgb.info = {}  # comments and the like are not part of the picture
    return rgb, tuple(notes)


def _stored(image: Image.Image, data: bytes) -> Stored:
    tiff = TiffKind.of_image(image)
    tile = next(iter(getattr(image, "tile", ())), None)
    arguments = tile.args if tile is not None and isinstance(tile.args, tuple) else (getattr(tile, "args", ""),)
    rawmode, deep = str(arguments[0]), ""
    bits = tiff.bits if tiff else 8
    if image.format == "PNG" and rawmode.endswith(";16B"):
        bits = 16
    elif image.format == "AVIF":
        bits = avif_bits(data)
    elif image.format == "PPM" and isinstance(arguments[-1], int):  # the level of white
        bits = int(arguments[-1]).bit_length()
        if arguments[-1] != 2**bits - 1:
            deep = f"levels 0 to {arguments[-1]} scaled to 8 bits"
    if image.format == "PNG":
        _mend_key(image, rawmode)
    part = tile.extents if image.format == "GIF" and tile is not None and "transparency" not in image.info else None
    return Stored(
        tiff,
        deep or (f"{bits}-bit scaled to 8 bits" if bits > 8 else ""),
        rawmode == "LA;16B",
        part if part and image.tell() == 0 and part != (0, 0, *image.size) else None,
        _orientation(image),
    )


def _mend_key(image: Image.Image, rawmode: str) -> None:
    """The level or colour that a PNG calls transparent, on the scale of the pixels that Pillow makes."""
    key, scale = image.info.get("transparency"), {"L;2": 85, "L;4": 17}.get(rawmode)
    if scale and isinstance(key, int):
        image.info["transparency"] = key * scale
    elif rawmode == "RGB;16B" and isinstance(key, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in key)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
        return int.from_bytes(value) if isinstance(value, bytes) else int(value)  # some write it as a byte
    except Exception:  # a damaged EXIF block does not make the pixels unreadable
        return 1


def _split(image: Image.Image, stored: Stored) -> tuple[Image.Image, Image.Image | None, str]:
    """The colours of an image in mode 1, L, RGB or CMYK, its alpha if it has one, and the note on its depth."""
    key = image.info.get("transparency")
    if image.mode in DEEP or (image.mode == "L" and stored.tiff and stored.tiff.format == SIGNED):
        levels = np.asarray(image)
        gray, note = _eight_bit(levels, image.mode, stored)
        clear = np.where(levels == key, 0, 255).astype(np.uint8) if isinstance(key, int) else None
        return Image.fromarray(gray), None if clear is None else Image.fromarray(clear), note
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        one = image.mode in ("L", "LA") or stored.gray_alpha
        return rgba.getchannel("R") if one else rgba.convert("RGB"), rgba.getchannel("A"), stored.deep
    if image.mode == "LAB":
        return lab_to_rgb(image), None, stored.deep
    return image if image.mode in ("1", "L", "RGB", "CMYK") else image.convert("RGB"), None, stored.deep


def _eight_bit(levels: np.ndarray, mode: str, stored: Stored) -> tuple[np.ndarray, str]:
    """Gray levels of another depth as uint8, and the note that says how."""
    if not np.isfinite(levels).all():
        raise Unreadable("holds values that are not numbers (NaN or infinity)")
    bits, kind, white_is_zero = 16, UNSIGNED, False
    if stored.tiff:
        bits, kind = stored.tiff.bits, stored.tiff.format
        white_is_zero = stored.tiff.photometric == WHITE_IS_ZERO  # which Pillow turns round at 8 bits only
        if bits == 8:
            levels = levels.view(np.int8)
        elif bits == 32 and kind == UNSIGNED:
            levels = levels.view(np.uint32)
    low, high = float(levels.min()), float(levels.max())
    if mode == "F" and low >= 0 and high <= 1:
        scale, offset, note = 255.0, 0.0, "floating point scaled from [0, 1] to 8 bits"
    elif mode == "F" and low >= 0 and high <= 255:
        scale, offset, note = 1.0, 0.0, "floating point rounded to 8 bits"
    elif mode != "F" and kind == UNSIGNED and bits <= 16 and low >= 0 and high <= 65535:
        top = 4095 if bits == 12 else 65535  # Pillow brings the levels of a PPM to 16 bits, those of a TIFF not
        scale, offset, note = 255 / top, 0.0, stored.deep or "16-bit scaled to 8 bits"
    else:
        scale, offset = 255 / max(high - low, 1e-30), low
        note = f"values from {low:g} to {high:g} scaled to 8 bits"
    gray = np.rint((levels.astype(np.float64) - offset) * scale).clip(0, 255).astype(np.uint8)
    return 255 - gray if white_is_zero else gray, note


def _range(image: Image.Image) -> tuple[int, int]:
    """The lowest and the highest level of any channel."""
    levels = np.asarray(image)
    return int(levels.min()), int(levels.max())


def _varies(image: Image.Image) -> bool:
    """Whether there is more than one level in the file, though they may all have become one of 8 bits."""
    levels = np.asarray(image)  # Pillow's own getextrema takes no big-endian gray
    return bool((levels != levels[:1, :1]).any())


def _untold(image: Image.Image, data: bytes) -> list[str]:
    """Notes on what a file declares and what is not heeded."""
    notes, declared, gamma = [], declared_colours(data), image.info.get("gamma")
    if declared is None and gamma and "srgb" not in image.info and abs(gamma / SRGB_GAMMA - 1) > 0.05:
        declared = f"a gamma of {gamma:g}"
    if declared and not image.info.get("icc_profile"):
        notes.append(f"taken as sRGB, although it declares {declared}")
    if image.format == "AVIF" and b"clap" in avif_head(data):
        notes.append("not cut to the clean aperture that it declares")
    return notes

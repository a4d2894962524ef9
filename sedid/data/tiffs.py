"""TIFF, the format of many kinds: those that Pillow decodes otherwise than their tags say are put right or refused.

`tests/test_image_kinds.py` compares every kind with a second reader; each thing mended here failed there.
"""

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

import numpy as np
from PIL import Image
from PIL import TiffImagePlugin as tiff

MAGIC = (b"II*\0", b"MM\0*", b"II+\0")
WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE, YCBCR = 0, 1, 3, 6
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
RAW, JPEG = 1, 7

COLOURS = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "ICC Lab"}
COLOURS |= {10: "ITU Lab", 32803: "colour filter array", 32844: "LogL", 32845: "LogLuv", 34892: "linear raw"}
FORMATS = {UNSIGNED: "", SIGNED: "signed ", FLOAT: "floating point ", 4: "untyped ", 5: "complex ", 6: "complex "}
COMPRESSIONS = {2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old-style JPEG", 7: "JPEG", 8: "Deflate"}
COMPRESSIONS |= {32773: "PackBits", 32809: "ThunderScan", 32946: "Deflate", 34661: "JBIG", 34676: "SGI Log"}
COMPRESSIONS |= {34677: "SGI Log", 34712: "JPEG 2000", 34887: "LERC", 34892: "JPEG", 34925: "LZMA"}
COMPRESSIONS |= {50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"}
USUAL = {2, 3, 4, 5, 8, 32773, 32946}

# What libtiff hands on is in this machine's byte order, which Pillow forgets for these.
NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}


@dataclass(frozen=True)
class TiffKind:
    """How the pixels of a TIFF's image are stored, by its tags."""

    tags: tiff.ImageFileDirectory_v2

    @classmethod
    def of_file(cls, data: bytes) -> "TiffKind | None":
        """The kind of the first image of a file; None if its tags cannot be read."""
        try:
            tags = tiff.ImageFileDirectory_v2(data[: 16 if data[2] == 43 else 8])
            stream = BytesIO(data)
            stream.seek(tags.next)
            tags.load(stream)
        except Exception:  # whatever a damaged directory leads to
            return None
        return cls(tags)

    @classmethod
    def of_image(cls, image: Image.Image) -> "TiffKind | None":
        """The kind of an image that Pillow opened; None if it is no TIFF."""
        return cls(image.tag_v2) if isinstance(image, tiff.TiffImageFile) else None

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The whole numbers of a tag, () without any."""
        found = self.tags.get(tag, ())
        return tuple(each for each in (found if isinstance(found, tuple) else (found,)) if isinstance(each, int))

    def number(self, tag: int, default: int) -> int:
        """The first of them."""
        return (*self.numbers(tag), default)[0]

    @cached_property
    def bits(self) -> int:
        """Bits a sample, the most that any has."""
        return max((*self.numbers(tiff.BITSPERSAMPLE), 1))

    @cached_property
    def format(self) -> int:
        """UNSIGNED, SIGNED, FLOAT or another number of the specification."""
        return max(self.numbers(tiff.SAMPLEFORMAT), default=UNSIGNED)

    @cached_property
    def samples(self) -> int:
        """Channels."""
        return self.number(tiff.SAMPLESPERPIXEL, 1)

    @cached_property
    def photometric(self) -> int:
        """What the samples mean, a number of the specification."""
        return self.number(tiff.PHOTOMETRIC_INTERPRETATION, WHITE_IS_ZERO)

    @cached_property
    def compression(self) -> int:
        """A number of the specification."""
        return self.number(tiff.COMPRESSION, RAW)

    @cached_property
    def in_planes(self) -> bool:
        """Each channel is stored by itself."""
        return self.samples > 1 and self.number(tiff.PLANAR_CONFIGURATION, 1) == 2

    @cached_property
    def words(self) -> str:
        """For a sentence: "3 x 32-bit floating point RGB in separate planes, LZW compression"."""
        colour = COLOURS.get(self.photometric, f"photometric {self.photometric}")
        text = f"{self.samples} x " * (self.samples > 1) + f"{self.bits}-bit {FORMATS.get(self.format, '')}{colour}"
        if self.in_planes:
            text += " in separate planes"
        if self.numbers(tiff.TILEWIDTH):
            text += " in tiles"
        name = COMPRESSIONS.get(self.compression, f"number {self.compression}")
        return text if self.compression == RAW else f"{text}, {name} compression"

    @cached_property
    def is_usual(self) -> bool:
        """Whether every libtiff knows how it is compressed: where the decoder fails, the file is damaged."""
        return self.compression in USUAL or (self.compression == JPEG and self.bits == 8)

    def is_whole(self, length: int) -> bool:
        """Whether a file of so many bytes can hold all the pixels that the tags tell of."""
        starts = self.numbers(tiff.STRIPOFFSETS) + self.numbers(tiff.TILEOFFSETS)
        sizes = self.numbers(tiff.STRIPBYTECOUNTS) + self.numbers(tiff.TILEBYTECOUNTS)
        width, height = self.number(tiff.IMAGEWIDTH, 0), self.number(tiff.IMAGELENGTH, 0)
        samples = 1 if self.photometric == YCBCR else self.samples  # whose colours have fewer pixels
        least = width * height * self.bits * samples // 8 if self.compression == RAW else 1
        inside = all(start + size <= length for start, size in zip(starts, sizes, strict=False))
        return inside and min(width, height, self.samples, len(starts)) > 0 and sum(sizes) >= least


def mend_tiles(image: tiff.TiffImageFile) -> str:
    """Correct, before the pixels are decoded, how Pillow is going to decode them.

    Returns:
        "", or in words the kind that Pillow would decode into something else, in which case nothing was changed.
    """
    kind = TiffKind(image.tag_v2)
    raw_planes = kind.in_planes and kind.compression == RAW
    swapped = kind.tags.prefix == b"MM" and kind.compression != RAW and kind.format != UNSIGNED
    if (
        (kind.in_planes and image.mode not in ("RGB", "RGBA", "CMYK"))
        or (raw_planes and kind.bits == 16 and image.mode == "CMYK")
        or (kind.photometric == YCBCR and kind.compression != JPEG and (kind.in_planes or kind.compression == RAW))
    ):
        return kind.words
    if not image.tile and (swapped or (raw_planes and kind.bits == 16)):
        return f"{kind.words}, of which Pillow has decoded the pixels wrongly already"
    tiles = []
    for tile in image.tile:
        mode, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if raw_planes and kind.bits == 16:  # taken for planes of 8 bits
            mode = f"{mode};16{'B' if kind.tags.prefix == b'MM' else 'L'}"
        elif swapped:
            mode = NATIVE.get(mode, mode)
        tiles.append(tile._replace(args=(mode, *rest)))
    image.tile = tiles
    return ""


def mend_palette(image: Image.Image, kind: TiffKind) -> Image.Image:
    """A colour map holds 16-bit levels; one without any above 255 was written in 8 bits, as libtiff takes it too."""
    levels = kind.numbers(tiff.COLORMAP)
    if image.mode not in ("P", "PA") or not levels or max(levels) > 255:
        return image
    mended, count = image.copy(), len(levels) // 3
    mended.putpalette(np.reshape(levels[: 3 * count], (3, count)).T.astype(np.uint8).tobytes())
    return mended

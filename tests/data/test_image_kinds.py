"""The table of image kinds: each is read as a second reader reads it, or refused by its own name.

The files are made here, by tifffile, imagecodecs or by hand; the second reader is tifffile or imagecodecs, and what its
samples mean in RGB is worked out in this file.
"""

import warnings
from dataclasses import dataclass
from io import BytesIO
from itertools import product

import numpy as np
import pytest
import tifffile
from helpers.image_files import lab_to_srgb

from sedid.data.images import ImageError, read_image

HEIGHT, WIDTH = 24, 32


def ramps(channels: int) -> np.ndarray:
    """Smooth in every channel, each in another direction: float64 (H, W, channels) in [0, 1]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / np.array([HEIGHT - 1, WIDTH - 1])[:, None, None]
    return np.stack([x, y, (x + y) / 2, 0.2 + 0.7 * x, 1 - y], -1)[..., :channels]


def samples(kind: str, channels: int) -> np.ndarray:
    """The ramps as samples of a kind: "u12" is unsigned of 12 bits, "s16" signed, "f32" floating point."""
    ramp, bits = ramps(channels), int(kind[1:])
    if kind[0] == "f":
        return ramp.astype(f"f{bits // 8}")
    size = 8 if bits <= 8 else 16 if bits <= 16 else 32 if bits <= 32 else 64
    top = 2.0**bits - (1 if bits < 64 else 2**11)  # the highest that float64 holds
    low = 2 ** (bits - 1) if kind[0] == "s" else 0
    return (np.rint(ramp * top) - low).astype(f"{'i' if low else 'u'}{size // 8}")


@dataclass(frozen=True)
class Kind:
    """A kind of TIFF.

    Attributes:
        samples: as the function.
        photometric, channels, extra: as tifffile names them.
        refused: of which layouts the sentence is expected instead of the picture: "", "always", "big-endian", "planes"
            or "raw planes" (uncompressed ones).
    """

    samples: str
    photometric: str
    channels: int = 1
    extra: str = ""
    refused: str = ""


KINDS = [
    *(Kind(depth, "minisblack") for depth in ("u1", "u2", "u4", "u8", "u16", "s8", "s16", "s32", "f32")),
    *(Kind(depth, "miniswhite") for depth in ("u1", "u2", "u4", "u8", "f32")),
    *(Kind(depth, "minisblack", refused="big-endian") for depth in ("u12", "u32")),
    Kind("u16", "miniswhite", refused="big-endian"),
    *(Kind(depth, "minisblack", refused="always") for depth in ("u10", "u14", "u24", "u64", "f16", "f64")),
    *(Kind(depth, "miniswhite", refused="always") for depth in ("s8", "s16", "u12", "u32")),
    Kind("u8", "minisblack", 2, "unassalpha", refused="planes"),
    Kind("u16", "minisblack", 2, "unassalpha", refused="always"),
    *(Kind(depth, "rgb", 3) for depth in ("u8", "u16")),
    *(Kind(depth, "rgb", 4, "unassalpha") for depth in ("u8", "u16")),
    *(Kind(depth, "rgb", 4, extra, "raw planes") for depth in ("u8", "u16") for extra in ("assocalpha", "unspecified")),
    *(
        Kind(depth, "rgb", 3, refused="always")
        for depth in ("u2", "u4", "u10", "u12", "u32", "s8", "s16", "f16", "f32")
    ),
    Kind("u8", "separated", 4),
    Kind("u16", "separated", 4, refused="raw planes"),
    *(Kind(depth, "separated", 4, refused="always") for depth in ("s8", "u32", "f32")),
    Kind("u8", "cielab", 3, refused="planes"),
    Kind("u16", "cielab", 3, refused="always"),
    Kind("u8", "ycbcr", 3, refused="planes"),
]


def colours(kind: Kind, read: np.ndarray) -> np.ndarray:
    """What samples as a second reader returns them look like over white: float64 (H, W, 3), levels 0 to 255."""
    levels, bits = read.astype(float), int(kind.samples[1:])
    if kind.samples[0] == "s" or (
        bits == 32 and kind.samples[0] == "u"
    ):  # no sample says which level is white: stretched
        levels = (levels - levels.min()) / (levels.max() - levels.min())
    elif kind.samples[0] == "u":
        levels /= 2**bits - 1
    if kind.photometric == "miniswhite":
        levels = 1 - levels
    if levels.ndim == 2:
        levels = levels[..., None]
    rest = levels[..., 3:] if kind.photometric != "minisblack" else levels[..., 1:]
    if kind.photometric == "separated":
        levels = (1 - levels[..., :3]) * (1 - rest)
    elif kind.photometric == "cielab":
        signed = read.view(np.int8).astype(float)
        levels = lab_to_srgb(np.dstack([levels[..., 0] * 100, signed[..., 1:]]))
    elif kind.photometric == "ycbcr":
        y, blue, red = np.moveaxis(levels - [0, 128 / 255, 128 / 255], -1, 0)
        levels = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], -1)
    elif kind.extra == "unassalpha":
        levels = levels[..., : -rest.shape[-1]] * rest + 1 - rest
    elif kind.extra == "assocalpha":
        levels = levels[..., :3] + 1 - rest
    return np.broadcast_to(levels[..., :3].clip(0, 1) * 255, (HEIGHT, WIDTH, 3))


def tiff(kind: Kind, order: str, planes: bool, compression: str | None) -> bytes:
    """A TIFF of a kind, made by tifffile, in strips of 10 rows."""
    pixels = samples(kind.samples, kind.channels)
    if kind.photometric == "cielab":  # colours that sRGB has: a and b around 0, in two's complement
        pixels = np.stack([pixels[..., 0] // 2 + 100, pixels[..., 1] // 16 - 8, pixels[..., 2] // 16 - 8], -1)
    pixels = pixels[..., 0] if kind.channels == 1 else np.moveaxis(pixels, -1, 0) if planes else pixels
    bits, options = int(kind.samples[1:]), {}
    if bits not in (8, 16, 32, 64):
        options["bitspersample"] = bits
    if kind.channels > 1:
        options["planarconfig"] = "separate" if planes else "contig"
    if kind.extra:
        options["extrasamples"] = [kind.extra]
    if kind.photometric == "ycbcr":
        options["subsampling"] = (1, 1)
    stream = BytesIO()
    with warnings.catch_warnings(action="ignore"):
        tifffile.imwrite(
            stream,
            pixels,
            byteorder=order,
            photometric=kind.photometric,
            compression=compression,
            rowsperstrip=10,
            metadata=None,
            **options,
        )
    return stream.getvalue()


def layouts() -> list[tuple[Kind, str, bool, str | None]]:
    found = []
    for kind, order, planes, compression in product(KINDS, "<>", (False, True), (None, "zlib", "lzw")):
        packed = int(kind.samples[1:]) not in (8, 16, 32, 64)  # which tifffile writes uncompressed only
        if not (planes and kind.channels == 1) and not (compression and packed):
            found.append((kind, order, planes, compression))
    return found


@pytest.mark.parametrize(("kind", "order", "planes", "compression"), layouts())
def test_every_kind_of_tiff_is_read_right_or_refused_by_name(
    kind: Kind, order: str, planes: bool, compression: str | None
) -> None:
    data = tiff(kind, order, planes, compression)
    refused = (
        kind.refused == "always"
        or (kind.refused == "big-endian" and order == ">")
        or (kind.refused == "planes" and planes)
        or (kind.refused == "raw planes" and planes and compression is None)
        or (kind.photometric == "ycbcr" and compression is None)
    )
    if refused:
        with pytest.raises(ImageError, match=r"^The file is a TIFF of [^.]*, which cannot be read here; [^.]*\.$"):
            read_image(data)
        return
    picture = read_image(data)
    second = tifffile.imread(BytesIO(data))
    if planes:
        second = np.moveaxis(second, 0, -1)
    assert second.shape[:2] == (HEIGHT, WIDTH)
    difference = np.abs(np.asarray(picture.image, float) - colours(kind, second))
    rounding = 3 if kind.photometric in ("separated", "cielab", "ycbcr") or kind.extra else 1
    assert difference.max() <= rounding


@pytest.mark.parametrize("scale", [1, 257], ids=["map of 8 bits", "map of 16 bits"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_colour_map_may_hold_levels_of_8_bits(scale: int, order: str) -> None:
    table = np.random.default_rng(4).integers(0, 256, (3, 256)).astype(np.uint16)
    index, stream = samples("u8", 1)[..., 0], BytesIO()
    tifffile.imwrite(stream, index, photometric="palette", colormap=table * scale, byteorder=order, metadata=None)
    picture = read_image(stream.getvalue())
    assert (np.asarray(picture.image) == table.T[index]).all()
    assert picture.notes == ("palette converted to RGB",)


@pytest.mark.parametrize(("photometric", "channels"), [("ycbcr", 3), ("rgb", 3), ("minisblack", 1)])
def test_jpeg_in_a_tiff(photometric: str, channels: int) -> None:
    pixels, stream = samples("u8", channels).squeeze(), BytesIO()
    tifffile.imwrite(stream, pixels, photometric=photometric, compression="jpeg", metadata=None)
    second = tifffile.imread(BytesIO(stream.getvalue()))
    difference = np.asarray(read_image(stream.getvalue()).image, int) - second.reshape(HEIGHT, WIDTH, channels)
    assert np.abs(difference).max() <= 2


NOTES = {
    Kind("u12", "minisblack"): ("12-bit scaled to 8 bits", "gray converted to RGB"),
    Kind("u16", "minisblack"): ("16-bit scaled to 8 bits", "gray converted to RGB"),
    Kind("s8", "minisblack"): ("values from -128 to 127 scaled to 8 bits", "gray converted to RGB"),
    Kind("s16", "minisblack"): ("values from -32768 to 32767 scaled to 8 bits", "gray converted to RGB"),
    Kind("u32", "minisblack"): ("values from 0 to 4.29497e+09 scaled to 8 bits", "gray converted to RGB"),
    Kind("f32", "minisblack"): ("floating point scaled from [0, 1] to 8 bits", "gray converted to RGB"),
    Kind("u8", "rgb", 3): (),
    Kind("u16", "rgb", 3): ("16-bit scaled to 8 bits",),
    Kind("u16", "rgb", 4, "unassalpha"): ("16-bit scaled to 8 bits", "alpha composited over white"),
    Kind("u8", "separated", 4): ("CMYK converted to RGB",),
    Kind("u8", "cielab", 3): ("Lab converted to RGB",),
}


@pytest.mark.parametrize(("kind", "notes"), NOTES.items(), ids=map(str, NOTES))
def test_the_notes_on_a_tiff_say_what_was_done(kind: Kind, notes: tuple[str, ...]) -> None:
    assert read_image(tiff(kind, "<", False, None)).notes == notes


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_dark_picture_of_16_bits_is_read_and_noted_in_either_byte_order(order: str, compression: str | None) -> None:
    stream, dark = BytesIO(), samples("u16", 1)[..., 0] >> 5  # 11 bits of 16: the highest level is 8 of 255
    tifffile.imwrite(stream, dark, photometric="minisblack", byteorder=order, compression=compression, metadata=None)
    picture = read_image(stream.getvalue())
    assert (np.asarray(picture.image)[..., 0] == np.rint(dark / 257)).all()
    assert picture.notes[1].startswith("nearly black, highest level 8 of 255")


def test_a_refused_tiff_says_that_it_is_in_tiles() -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, samples("f32", 3), photometric="rgb", tile=(16, 16), metadata=None)
    with pytest.raises(ImageError, match=r"is a TIFF of 3 x 32-bit floating point RGB in tiles, which cannot be read"):
        read_image(stream.getvalue())


@pytest.mark.parametrize("kind", [Kind("f32", "rgb", 3), Kind("u10", "minisblack"), Kind("s16", "rgb", 3)], ids=str)
def test_half_a_tiff_of_a_kind_that_cannot_be_read_is_still_cut_off(kind: Kind) -> None:
    whole = tiff(kind, "<", False, None)
    with pytest.raises(ImageError, match="a TIFF of"):
        read_image(whole)
    with pytest.raises(ImageError, match="cut off"):
        read_image(whole[: len(whole) // 2])


def test_a_compression_that_cannot_be_read_is_named() -> None:
    pixels, stream = samples("u8", 3), BytesIO()
    tifffile.imwrite(stream, pixels, photometric="rgb", compression="jpegxl", metadata=None)
    with pytest.raises(ImageError, match="is a TIFF of 3 x 8-bit RGB, JPEG XL compression, which cannot be read here"):
        read_image(stream.getvalue())

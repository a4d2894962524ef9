"""PNG, JPEG, WebP, AVIF, GIF, BMP and PPM at every depth and layout: read as a second reader reads them, or refused by name.

TIFF, which has more kinds than all of them, has a table of its own in `test_image_kinds.py`.
"""

import struct
from collections.abc import Callable
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from helpers.image_files import bare_png, png_chunk
from PIL import Image

from sedid.data.images import ImageError, read_image

DEEP = np.random.default_rng(3).integers(0, 65536, (6, 8, 4), dtype=np.uint16)
DEEP[0, 0, :3] = 65535
PIXELS = (DEEP >> 8).astype(np.uint8)
SMOOTH = np.asarray(Image.fromarray(PIXELS[..., :3]).resize((64, 48), Image.Resampling.BICUBIC))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def packed_png(depth: int, colour: int, levels: np.ndarray, before: bytes = b"") -> bytes:
    """A PNG of levels (H, W) or (H, W, channels) at any depth."""
    height, width = levels.shape[:2]
    flat = levels.reshape(height, -1)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    return bare_png(width, height, depth, colour, body, before)


def over_white(read: np.ndarray, top: int) -> np.ndarray:
    """What samples (H, W) or (H, W, 1 to 4), the last of 2 or 4 being alpha, look like over white: float (H, W, 3)."""
    levels = (read if read.ndim == 3 else read[..., None]) / top
    if levels.shape[2] in (2, 4):
        levels = levels[..., :-1] * levels[..., -1:] + 1 - levels[..., -1:]
    return np.broadcast_to(levels * 255, (*read.shape[:2], 3))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_png_gray_at_every_depth(depth: int) -> None:
    levels = DEEP[..., 0] >> (16 - depth)
    data = packed_png(depth, 0, levels)
    picture = read_image(data)
    second = imagecodecs.png_decode(data)
    top = np.iinfo(second.dtype).max if second.dtype != bool else 1
    assert np.abs(np.asarray(picture.image, float) - over_white(second.astype(float), top)).max() <= 0.5
    deep = ("16-bit scaled to 8 bits",) if depth == 16 else ()
    assert picture.notes == (*deep, "1-bit converted to RGB" if depth == 1 else "gray converted to RGB")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_png_colour_and_alpha(colour: int, channels: int, depth: int) -> None:
    data = packed_png(depth, colour, DEEP[..., 4 - channels :] >> (16 - depth))
    picture = read_image(data)
    second = imagecodecs.png_decode(data)
    assert second.shape == (6, 8, channels)
    # Pillow keeps the upper byte of 16 bits.
    assert np.abs(np.asarray(picture.image, float) - over_white(second, 2**depth - 1)).max() <= (1 if depth == 8 else 2)
    notes = ("16-bit scaled to 8 bits",) if depth == 16 else ()
    notes += ("gray converted to RGB",) if channels == 2 else ()
    assert picture.notes == notes + (("alpha composited over white",) if channels != 3 else ())


@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_the_level_or_colour_that_a_png_calls_transparent_is_white(depth: int, colour: int) -> None:
    channels = 3 if colour == 2 else 1
    levels = DEEP[..., :channels] >> (16 - depth)
    if depth > 1:  # all but the key are even
        levels &= 0xFFFE
    levels[2, 3] = 2**depth - 1 if depth > 1 else 0
    key = levels[2, 3]
    data = packed_png(depth, colour, levels, png_chunk(b"tRNS", key.astype(">u2").tobytes()))
    picture = read_image(data)
    clear = (levels == key).all(-1)
    expected = over_white(levels, 2**depth - 1)
    assert "alpha composited over white" in picture.notes
    assert (np.asarray(picture.image)[clear] == 255).all()
    assert np.abs(np.asarray(picture.image, float)[~clear] - expected[~clear]).max() <= 1


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_png_palette(depth: int) -> None:
    index = (DEEP[..., 0] >> (16 - depth)).astype(np.uint8)
    table = np.random.default_rng(1).integers(0, 256, (2**depth, 3), dtype=np.uint8)
    alpha = np.full(2**depth, 255, np.uint8)
    alpha[index[0, 0]] = 128
    before = png_chunk(b"PLTE", table.tobytes()) + png_chunk(b"tRNS", alpha.tobytes())
    picture = read_image(packed_png(depth, 3, index, before))
    expected = over_white(np.dstack([table[index], alpha[index]]), 255)
    assert np.abs(np.asarray(picture.image, float) - expected).max() <= 1
    assert picture.notes == ("palette converted to RGB", "alpha composited over white")


def test_a_picture_of_12_bits_in_a_file_of_16_is_said_to_be_nearly_black() -> None:
    dark = "nearly black, highest level {} of 255: perhaps fewer bits than the file is made for"
    gray, colour = read_image(packed_png(16, 0, DEEP[..., 0] >> 4)), read_image(packed_png(16, 2, DEEP[..., :3] >> 4))
    assert gray.notes == ("16-bit scaled to 8 bits", dark.format(16), "gray converted to RGB")
    assert colour.notes == ("16-bit scaled to 8 bits", dark.format(15))
    assert dark.format(0) not in read_image(packed_png(16, 0, DEEP[..., 0] * 0)).notes  # black on purpose
    assert dark.format(0) in read_image(packed_png(16, 0, DEEP[..., 0] >> 12)).notes  # every level becomes 0


@pytest.mark.parametrize(
    ("top", "note"),
    [
        (255, ()),
        (65535, ("16-bit scaled to 8 bits",)),
        (4095, ("12-bit scaled to 8 bits",)),
        (15, ()),
        (1000, ("levels 0 to 1000 scaled to 8 bits",)),
        (100, ("levels 0 to 100 scaled to 8 bits",)),
    ],
)
@pytest.mark.parametrize("magic", ["P2", "P3", "P5", "P6"])
def test_ppm_at_every_white(magic: str, top: int, note: tuple[str, ...]) -> None:
    channels = 1 if magic in ("P2", "P5") else 3
    levels = np.rint(DEEP[..., :channels] / 65535 * top).astype(np.uint16)
    header = f"{magic}\n8 6\n{top}\n".encode()
    if magic in ("P2", "P3"):
        body = " ".join(map(str, levels.ravel())).encode() + b"\n"
    else:
        body = levels.astype(">u2" if top > 255 else "u1").tobytes()
    picture = read_image(header + body)
    # Pillow keeps the upper byte of 16-bit colour.
    assert np.abs(np.asarray(picture.image, float) - over_white(levels, top)).max() <= 1
    assert picture.notes == note + (("gray converted to RGB",) if channels == 1 else ())


def bmp(bits: int, masks: tuple[int, ...], body: bytes) -> bytes:
    """A BMP with bit fields, top down."""
    header = struct.pack("<IiiHHIIiiII", 40, 8, -6, 1, bits, 3, len(body), 2835, 2835, 0, 0)
    fields = struct.pack("<III", *masks)
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 12 + len(body), 0, 0, 14 + 40 + 12) + header + fields + body


@pytest.mark.parametrize(("red", "green"), [(0xF800, 0x07E0), (0x7C00, 0x03E0)])
def test_bmp_of_16_bits_a_pixel_is_no_16_bits_a_channel(red: int, green: int) -> None:
    pixel = DEEP[..., 0].astype("<u2")
    picture = read_image(bmp(16, (red, green, 0x1F), pixel.tobytes()))
    fields = [(pixel & mask) / mask * 255 for mask in (red, green, 0x1F)]
    assert np.abs(np.asarray(picture.image) - np.stack(fields, -1)).max() <= 1
    assert picture.notes == ()


def test_a_bmp_layout_that_cannot_be_read_is_not_called_damaged() -> None:
    with pytest.raises(ImageError, match="is a BMP of an unsupported bitfields layout, which cannot be read here"):
        read_image(bmp(16, (0xF00, 0xF0, 0xF), DEEP[..., 0].astype("<u2").tobytes()))


def test_the_first_frame_of_a_gif_may_be_smaller_than_its_canvas() -> None:
    small = Image.new("P", (3, 2), 1)
    small.putpalette([0, 0, 255, 255, 0, 0])  # blue is the background, which the rest is not painted in
    small.putpixel((0, 0), 0)
    frame = saved(small, "GIF", optimize=False)
    start = 13 + 3 * 2 ** (1 + (frame[10] & 7))  # behind the screen and its colour table
    assert frame[start : start + 1] == b","
    screen = frame[:6] + struct.pack("<HH", 8, 6) + frame[10:start]
    data = screen + b"," + struct.pack("<HHHH", 2, 1, 3, 2) + frame[start + 9 :]
    picture = read_image(data)
    expected = np.full((6, 8, 3), 255)
    expected[1:3, 2:5] = [255, 0, 0]
    expected[1, 2] = [0, 0, 255]
    assert (np.asarray(picture.image) == expected).all()
    assert "white where its first frame leaves the canvas empty" in picture.notes


@pytest.mark.parametrize(
    ("data", "reader"),
    [
        (saved(Image.fromarray(SMOOTH), "JPEG", quality=90, subsampling=0), imagecodecs.jpeg8_decode),
        (saved(Image.fromarray(SMOOTH), "JPEG", quality=90, progressive=True), imagecodecs.jpeg8_decode),
        (saved(Image.fromarray(SMOOTH), "WEBP", quality=80), imagecodecs.webp_decode),
        (saved(Image.fromarray(SMOOTH), "WEBP", lossless=True), imagecodecs.webp_decode),
        (saved(Image.fromarray(SMOOTH), "AVIF", quality=80), imagecodecs.avif_decode),
        (saved(Image.fromarray(SMOOTH), "BMP"), imagecodecs.bmp_decode),
    ],
    ids=["jpeg", "progressive jpeg", "webp", "lossless webp", "avif", "bmp"],
)
def test_8_bit_files_as_a_second_reader_reads_them(data: bytes, reader: Callable[[bytes], np.ndarray]) -> None:
    picture = read_image(data)
    assert np.abs(np.asarray(picture.image, int) - reader(data)[..., :3]).max() <= 1
    assert picture.notes == ()


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_is_noted(bits: int) -> None:
    data = imagecodecs.avif_encode(SMOOTH.astype(np.uint16) << (bits - 8), 95, bitspersample=bits)
    picture = read_image(data)
    second = imagecodecs.avif_decode(data) / (2**bits - 1) * 255
    assert np.abs(np.asarray(picture.image, float) - second).mean() < 1  # libavif turns YUV into RGB at 8 bits
    assert picture.notes == (f"{bits}-bit scaled to 8 bits",)


@pytest.mark.parametrize(
    ("codes", "declared"),
    [((12, 16), "Display P3, PQ (HDR)"), ((9, 18), "BT.2020, HLG (HDR)"), ((12, 13), "Display P3"), ((1, 13), "")],
)
def test_colours_that_code_points_declare_are_not_taken_for_srgb_in_silence(
    codes: tuple[int, int], declared: str
) -> None:
    note = (f"taken as sRGB, although it declares {declared}",) if declared else ()
    avif = imagecodecs.avif_encode(SMOOTH, 90, primaries=codes[0], transfer=codes[1])
    assert read_image(avif).notes == note
    # A gamma beside them does not count, says the standard.
    chunks = png_chunk(b"cICP", bytes([*codes, 0, 1])) + png_chunk(b"gAMA", struct.pack(">I", 100_000))
    assert read_image(packed_png(8, 2, PIXELS[..., :3], chunks)).notes == note


def test_a_gamma_other_than_that_of_srgb_is_noted() -> None:
    def notes(gamma: int, *more: bytes) -> tuple[str, ...]:
        return read_image(
            packed_png(8, 2, PIXELS[..., :3], png_chunk(b"gAMA", struct.pack(">I", gamma)) + b"".join(more))
        ).notes

    assert notes(100_000) == ("taken as sRGB, although it declares a gamma of 1",)
    assert notes(45_455) == ()
    assert notes(100_000, png_chunk(b"sRGB", b"\0")) == ()  # which goes before


@pytest.mark.parametrize("packed", [False, True])
def test_bmp_run_lengths_are_read_at_8_bits_and_refused_at_4(packed: bool) -> None:
    # Each row is an absolute run of three: at 4 bits an odd one, which Pillow before 13 misreads.
    row = b"\0\3\x12\x30" if packed else b"\0\3\1\2\3\0"
    body = (row + b"\0\0") * 2 + b"\0\1"
    table = b"".join(bytes([level * 16] * 3 + [0]) for level in range(16))
    header = struct.pack("<IiiHHIIiiII", 40, 3, 2, 1, 4 if packed else 8, 2 if packed else 1, len(body), 0, 0, 16, 0)
    start = 14 + len(header) + len(table)
    data = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + table + body
    if packed:
        with pytest.raises(ImageError, match="is a BMP of 4-bit run lengths, which cannot be read here"):
            read_image(data)
        return
    assert np.asarray(read_image(data).image)[..., 0].tolist() == [[16, 32, 48]] * 2


REFUSED = {
    "a lossless JPEG": imagecodecs.ljpeg_encode(DEEP[..., 0]),
    "a JPEG of 12 bits a channel": imagecodecs.jpeg8_encode(DEEP[..., :3] >> 4, bitspersample=12),
    "a JPEG-LS": imagecodecs.jpegls_encode(PIXELS[..., :3]),
    "a JPEG XL image": imagecodecs.jpegxl_encode(PIXELS[..., :3]),
    "a JPEG 2000 image": imagecodecs.jpeg2k_encode(PIXELS[..., :3]),
    "a big-endian BigTIFF": b"MM\0+\0\x08\0\0" + bytes(64),
    "an SVG drawing": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a HEIC photograph": b"\0\0\0\x18ftypheic" + bytes(64),
}


@pytest.mark.parametrize(("kind", "data"), REFUSED.items(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_called_what_it_is(kind: str, data: bytes) -> None:
    with pytest.raises(ImageError) as refused:
        read_image(data)
    assert str(refused.value).startswith(f"The file is {kind}")
    assert str(refused.value).endswith(", which cannot be read here; please save it as PNG or JPEG.")

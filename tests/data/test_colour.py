"""Colours by ICC profiles, checked against the formulas of the colour spaces."""

import struct
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from helpers.image_files import lab_to_srgb, linear_to_srgb, srgb_to_linear
from PIL import Image, ImageCms

from sedid.data.colour import IGNORED
from sedid.data.images import read_image

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ADOBE = imagecodecs.cms_profile("adobergb")
ADOBE_NOTE = "RGB converted to sRGB by its ICC profile (Adobe RGB (compatible))"
LINEAR_GRAY = imagecodecs.cms_profile("gray", gamma=1.0)
# Primaries of Adobe RGB (1998) and of IEC 61966-2-1, both at D65
ADOBE_XYZ = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
SRGB_XYZ = np.array([[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]])

# Muted colours, which both spaces have
PIXELS = np.random.default_rng(5).integers(70, 190, (12, 10, 3), dtype=np.uint8)


def from_adobe(pixels: np.ndarray) -> np.ndarray:
    linear = (pixels / 255) ** (563 / 256)
    return linear_to_srgb(linear @ ADOBE_XYZ.T @ np.linalg.inv(SRGB_XYZ).T) * 255


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_a_profile_is_converted_to_srgb_and_noted(kind: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}, "AVIF": {"quality": 100}}
    options = options.get(kind, {}) | ({"subsampling": "4:4:4"} if kind == "AVIF" else {})
    plain = np.asarray(read_image(saved(Image.fromarray(PIXELS), kind, **options)).image)
    picture = read_image(saved(Image.fromarray(PIXELS), kind, icc_profile=ADOBE, **options))
    assert picture.notes == (ADOBE_NOTE,)
    assert np.abs(np.asarray(picture.image) - from_adobe(plain)).max() <= 1.5
    assert "icc_profile" not in picture.image.info


def test_alpha_and_palette_keep_their_profile() -> None:
    alpha = np.full(PIXELS.shape[:2], 255, np.uint8)
    alpha[:, 5:] = 100
    expected = from_adobe(PIXELS)
    over_white = expected * (alpha / 255)[..., None] + 255 - alpha[..., None]
    picture = read_image(saved(Image.fromarray(np.dstack([PIXELS, alpha])), "PNG", icc_profile=ADOBE))
    assert picture.notes == (ADOBE_NOTE, "alpha composited over white")
    assert np.abs(np.asarray(picture.image) - over_white).max() <= 1.5
    palette = Image.fromarray(PIXELS).quantize(120)
    picture = read_image(saved(palette, "PNG", icc_profile=ADOBE))
    assert picture.notes == (ADOBE_NOTE.replace("RGB", "palette", 1),)
    assert np.abs(np.asarray(picture.image) - from_adobe(np.asarray(palette.convert("RGB")))).max() <= 1.5


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_the_profile_of_srgb_itself_changes_no_bit_and_is_no_news(mode: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).convert(mode)
    tagged, plain = read_image(saved(image, "PNG", icc_profile=SRGB)), read_image(saved(image, "PNG"))
    assert tagged.image.tobytes() == plain.image.tobytes()
    assert tagged.notes == plain.notes


def test_gray_by_its_profile_stays_gray() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    picture = read_image(saved(Image.fromarray(levels), "PNG", icc_profile=LINEAR_GRAY))
    red, green, blue = np.moveaxis(np.asarray(picture.image, int), -1, 0)
    assert (red == green).all()
    assert (green == blue).all()
    assert np.abs(green - linear_to_srgb(levels / 255) * 255).max() <= 1.5
    assert len(picture.notes) == 1
    assert picture.notes[0].startswith("gray converted to sRGB by its ICC profile")


def test_gray_of_16_bits_by_its_profile() -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16)[None]
    picture = read_image(saved(Image.fromarray(levels), "PNG", icc_profile=LINEAR_GRAY))
    expected = linear_to_srgb(np.rint(levels / 257) / 255) * 255
    assert np.abs(np.asarray(picture.image)[..., 0] - expected).max() <= 1.5
    assert picture.notes[0] == "16-bit scaled to 8 bits"


def test_an_rgb_profile_holds_for_the_grays_of_its_space() -> None:
    levels = np.arange(60, 200, dtype=np.uint8)[None]
    picture = read_image(saved(Image.fromarray(levels), "PNG", icc_profile=ADOBE))
    assert np.abs(np.asarray(picture.image) - from_adobe(np.repeat(levels[..., None], 3, 2))).max() <= 1.5


INKS = {
    (0, 0, 0, 0): (100, 0, 0),
    (255, 0, 0, 0): (60, -20, -30),
    (0, 255, 0, 0): (50, 50, 5),
    (0, 0, 255, 0): (85, -5, 60),
    (0, 0, 0, 255): (12, 0, 0),
}


def cmyk_profile() -> bytes:
    """A printer whose inks look like INKS, and every mixture like black: ICC.1:2001, one table of type lut8."""
    corners = [tuple(255 * (corner >> bit & 1) for bit in (3, 2, 1, 0)) for corner in range(16)]
    looks = [INKS.get(corner, (12, 0, 0)) for corner in corners]
    table = b"".join(bytes([round(light * 2.55), a + 128, b + 128]) for light, a, b in looks)
    ramp = bytes(range(256))
    one = struct.pack(">i", 1 << 16)
    matrix = b"".join(one if place % 4 == 0 else bytes(4) for place in range(9))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + table + ramp * 3
    tags = struct.pack(">I4sII", 1, b"A2B0", 128 + 16, len(lut))
    header = struct.pack(">I4sI4s4s4s", 128 + 16 + len(lut), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1, 0.8249)))
    return header.ljust(128, b"\0") + tags + lut


def test_cmyk_by_its_profile_and_without() -> None:
    inks = np.array(list(INKS), np.uint8)[None]
    image = Image.frombytes("CMYK", (inks.shape[1], 1), inks.tobytes())
    picture = read_image(saved(image, "TIFF", icc_profile=cmyk_profile()))
    expected = lab_to_srgb(np.array(list(INKS.values()), float)) * 255
    assert np.abs(np.asarray(picture.image)[0] - expected).max() <= 2
    assert picture.notes == ("CMYK converted to sRGB by its ICC profile",)
    plain = read_image(saved(image, "TIFF"))
    assert plain.image.tobytes() == image.convert("RGB").tobytes()
    assert plain.notes == ("CMYK converted to RGB",)


@pytest.mark.parametrize(
    "profile",
    [b"nonsense", ADOBE[:200], ADOBE[:300] + bytes(len(ADOBE) - 300), LINEAR_GRAY, cmyk_profile()],
    ids=["no profile", "cut off", "emptied", "of gray", "of CMYK"],
)
def test_a_profile_that_cannot_be_used_is_said_to_be_ignored(profile: bytes) -> None:
    picture = read_image(saved(Image.fromarray(PIXELS), "PNG", icc_profile=profile))
    assert picture.notes == (IGNORED,)
    assert (np.asarray(picture.image) == PIXELS).all()


def test_the_name_of_a_profile_cannot_break_a_line_nor_run_on() -> None:
    name = "Adobe RGB (compatible)".encode("utf-16-be")
    assert name in ADOBE
    spoiled = ADOBE.replace(name, "\n\x1b[31m".encode("utf-16-be") + name[12:])
    (note,) = read_image(saved(Image.fromarray(PIXELS), "PNG", icc_profile=spoiled)).notes
    assert note.isprintable()


def test_a_wide_profile_and_srgb_agree_about_the_same_light() -> None:
    light = srgb_to_linear(PIXELS / 255)
    wide = ((light @ SRGB_XYZ.T @ np.linalg.inv(ADOBE_XYZ).T).clip(0, 1) ** (256 / 563) * 255).round().astype(np.uint8)
    picture = read_image(saved(Image.fromarray(wide), "PNG", icc_profile=ADOBE))
    assert np.abs(np.asarray(picture.image, int) - PIXELS).max() <= 2

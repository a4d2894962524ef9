"""Every mode and every kind of bad input, and the promises of the one preprocessing function."""

import os
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.image_files import bare_png, png_chunk
from PIL import Image

import sedid.data.images as images
from sedid.data.decoding import ORIENTATION
from sedid.data.images import ImageError, crop_side, describe, prepare, read_image


def noise(height: int = 20, width: int = 30, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_rgb_is_read_exactly_and_without_notes(kind: str) -> None:
    picture = read_image(encoded(Image.fromarray(noise()), kind))
    assert (np.asarray(picture.image) == noise()).all()
    assert picture.notes == ()
    assert (picture.width, picture.height, picture.format) == (30, 20, kind)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_are_read(kind: str) -> None:
    picture = read_image(encoded(Image.fromarray(noise()), kind))
    assert picture.image.mode == "RGB"
    assert picture.image.size == (30, 20)
    assert picture.format == kind


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_over_white(mode: str) -> None:
    image = Image.fromarray(noise()).convert(mode)
    image.putalpha(Image.fromarray(np.repeat([[0, 255]], 20, 0).repeat(15, 1).astype(np.uint8)))
    picture = read_image(encoded(image, "PNG"))
    gray = ("gray converted to RGB",) if mode == "LA" else ()
    assert picture.notes == (*gray, "alpha composited over white")
    pixels = np.asarray(picture.image)
    assert (pixels[:, :15] == 255).all()
    assert (pixels[:, 15:] == np.asarray(Image.fromarray(noise()).convert(mode[:-1]).convert("RGB"))[:, 15:]).all()


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    picture = read_image(encoded(Image.fromarray(noise()).convert("RGBA"), "PNG"))
    assert picture.notes == ()
    assert (np.asarray(picture.image) == noise()).all()


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    plain, clear = read_image(encoded(image, "PNG")), read_image(encoded(image, "PNG", transparency=0))
    assert np.asarray(plain.image).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert plain.notes == ("palette converted to RGB",)
    assert np.asarray(clear.image).tolist() == [[[255, 255, 255], [200, 100, 50]]]
    assert clear.notes == ("palette converted to RGB", "alpha composited over white")


@pytest.mark.parametrize(
    ("mode", "note"),
    [("L", "gray converted to RGB"), ("1", "1-bit converted to RGB"), ("CMYK", "CMYK converted to RGB")],
)
def test_other_modes(mode: str, note: str) -> None:
    image = Image.fromarray(noise()).convert(mode)
    picture = read_image(encoded(image, "TIFF"))
    assert picture.notes == (note,)
    assert (np.asarray(picture.image) == np.asarray(image.convert("RGB"))).all()


def test_sixteen_bit_gray_is_scaled_and_not_clipped() -> None:
    levels = np.array([[0, 257, 257 * 128, 65535]], np.uint16)
    picture = read_image(encoded(Image.fromarray(levels), "PNG"))
    assert np.asarray(picture.image)[0, :, 0].tolist() == [0, 1, 128, 255]
    assert picture.notes == ("16-bit scaled to 8 bits", "gray converted to RGB")


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_sixteen_bit_colour(colour: int, channels: int) -> None:
    levels = np.full((1, 2, channels), 257 * 40, ">u2")
    levels[..., 3:] = 65535
    picture = read_image(bare_png(2, 1, 16, colour, b"\0" + levels.tobytes()))
    assert (np.asarray(picture.image) == 40).all()
    assert picture.notes == ("16-bit scaled to 8 bits",)


@pytest.mark.parametrize(
    ("values", "expected", "note"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255], "floating point scaled from [0, 1] to 8 bits"),
        ([0.0, 99.6, 255.0], [0, 100, 255], "floating point rounded to 8 bits"),
        ([-1.0, 0.0, 1.0], [0, 128, 255], "values from -1 to 1 scaled to 8 bits"),
        ([700.0, 700.0, 700.0], [0, 0, 0], "values from 700 to 700 scaled to 8 bits"),
    ],
)
def test_floating_point_tiff(values: list[float], expected: list[int], note: str) -> None:
    picture = read_image(encoded(Image.fromarray(np.array([values], np.float32)), "TIFF"))
    assert np.asarray(picture.image)[0, :, 1].tolist() == expected
    assert picture.notes == (note, "gray converted to RGB")


def test_floating_point_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ImageError, match="not numbers"):
        read_image(encoded(Image.fromarray(np.array([[np.nan]], np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    # A dark corner shows which way is up; what it must look like is taken from the EXIF standard:
    # the tag says where row 0 and column 0 of the file belong on the upright image.
    stored = np.full((16, 32, 3), 255, np.uint8)
    stored[:8, :8] = 0
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_image(
        encoded(Image.fromarray(stored), kind, exif=exif.tobytes() if kind != "TIFF" else exif, **options)
    )
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}[
        orientation
    ]
    upright = np.asarray(picture.image)[..., 0]
    assert picture.image.size == ((32, 16) if orientation < 5 else (16, 32))
    dark = {(y, x) for y in (0, -1) for x in (0, -1) if upright[y, x] < 100}
    assert dark == {corner}
    assert picture.notes == (("turned upright, as its orientation says",) if orientation > 1 else ())


def test_an_orientation_written_as_a_byte_counts() -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4B", 1, 0x0112, 1, 1, 6, 0, 0, 0) + bytes(4)
    picture = read_image(encoded(Image.fromarray(noise(20, 30)), "JPEG", exif=block))
    assert picture.image.size == (20, 30)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_not_matter() -> None:
    picture = read_image(encoded(Image.fromarray(noise()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))
    assert picture.image.size == (30, 20)


@pytest.mark.parametrize(("kind", "count"), [("GIF", "3"), ("WEBP", "3"), ("PNG", "3"), ("TIFF", "several")])
def test_first_frame_of_an_animation(kind: str, count: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert f"first frame of {count}" in picture.notes
    assert picture.image.getpixel((4, 4)) == (255, 0, 0)


def test_the_smallest_image() -> None:
    assert (
        prepare(read_image(encoded(Image.new("RGB", (1, 1), "red"), "PNG")).image).tolist() == [[[255, 0, 0]] * 32] * 32
    )


BAD = {
    "zero bytes": (b"", "empty"),
    "text": (b"hello, I am not an image", "not an image that can be read"),
    "svg": (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(64), "HEIC"),
    "pdf": (b"%PDF-1.4", "not an image that can be read"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image that can be read"),
    "cut in the header": (b"\x89PNG\r\n\x1a\n\0\0", "cut off"),
    "absurd size": (bare_png(200_000, 200_000, 8, 2, b"\0"), "50 megapixels"),
    "over the limit": (bare_png(10_000, 5_001, 8, 2, b"\0"), "50 megapixels"),
    "in the range Pillow warns of": (bare_png(10_000, 10_000, 8, 2, b"\0"), "50 megapixels"),
    "broken stream": (bare_png(8, 8, 8, 2, b"").replace(zlib.compress(b""), b"nonsense"), "damaged or cut off"),
    "no data": (bare_png(8, 8, 8, 2, b"").partition(b"\0\0\0\x08IDAT")[0] + png_chunk(b"IEND", b""), r"be decoded\.$"),
    "no pixels": (bare_png(0, 5, 8, 2, b""), "cut off"),
}


@pytest.mark.parametrize("as_errors", [True, False])  # Pillow warns of large images; the answer must not depend on that
@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD.keys())
def test_bad_bytes_are_refused_in_one_sentence(data: bytes, message: str, as_errors: bool, tmp_path: Path) -> None:
    warnings.simplefilter("error" if as_errors else "ignore")  # pytest restores the filters
    with pytest.raises(ImageError, match=message) as from_bytes:
        read_image(data)
    assert str(from_bytes.value).startswith("The file ")
    assert "\n" not in str(from_bytes.value)
    (tmp_path / "odd {name}.png").write_bytes(data)
    with pytest.raises(ImageError, match=message) as from_path:
        read_image(tmp_path / "odd {name}.png")
    assert str(from_path.value).startswith("odd {name}.png ")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_half_a_file_is_refused(kind: str) -> None:
    whole = encoded(Image.fromarray(noise(64, 64)), kind)
    with pytest.raises(ImageError, match="cut off"):
        read_image(whole[: len(whole) // 2])


def test_missing_file_folder_and_device(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="x cannot be read"):
        read_image("x" * 5000)  # longer than any file system allows
    with pytest.raises(ImageError, match="There is no file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(ImageError, match="not a regular file"):
            read_image(tmp_path / "pipe.png")


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "huge.png").open("wb") as sparse:
        sparse.truncate(images.MAX_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("was read"))
    with pytest.raises(ImageError, match="over 20 MB"):
        read_image(tmp_path / "huge.png")
    with pytest.raises(ImageError, match="over 20 MB"):
        read_image(bytes(images.MAX_BYTES + 1))


def test_pixels_are_counted_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "decode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(ImageError, match="megapixels"):
        read_image(BAD["over the limit"][0])


def test_pillow_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_image(encoded(Image.fromarray(noise()), "PNG"))
    assert before == Image.MAX_IMAGE_PIXELS


def test_prepare_passes_its_own_size_through_bit_identical() -> None:
    pixels = noise(32, 32)
    assert (prepare(Image.fromarray(pixels)) == pixels).all()
    assert prepare(Image.fromarray(pixels)).dtype == np.uint8
    # ... after a lossless file as well: what a generator writes is what the detector reads.
    assert (prepare(read_image(encoded(Image.fromarray(pixels), "PNG")).image) == pixels).all()


@pytest.mark.parametrize("size", [(64, 64), (97, 64), (40, 400)])
def test_prepare_cuts_the_centre_square(size: tuple[int, int]) -> None:
    pixels = noise(size[1], size[0])
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    centre = Image.fromarray(pixels[top : top + side, left : left + side])
    assert (prepare(Image.fromarray(pixels)) == prepare(centre)).all()


def test_prepare_averages_and_rounds() -> None:
    # Antialiased: a fine checkerboard becomes gray. Rounded: the mean 127.5 of 0 and 255 never falls to 127 everywhere.
    board = np.indices((320, 320)).sum(0) % 2 * 255
    gray = prepare(Image.fromarray(np.repeat(board[..., None], 3, 2).astype(np.uint8)))
    assert set(np.unique(gray)) <= {127, 128}
    # Levels 10 and 11 in equal shares average to 10.5: truncation would give 10.0 in the mean.
    steps = np.tile([10, 11], 32)[None, :, None].repeat(64, 0).repeat(3, 2).astype(np.uint8)
    assert prepare(Image.fromarray(steps))[4:-4, 4:-4].mean() > 10.4


def test_prepare_is_a_resize_that_keeps_constants_and_the_mean() -> None:
    assert (prepare(Image.new("RGB", (178, 218), (7, 77, 177))) == [7, 77, 177]).all()
    pixels = noise(128, 128)
    assert abs(prepare(Image.fromarray(pixels)).mean() - pixels.mean()) < 0.5


def test_celeba_crop() -> None:
    pixels = noise(218, 178)
    cropped = Image.fromarray(pixels[39:179, 19:159])
    assert (prepare(Image.fromarray(pixels), center_crop=140) == prepare(cropped)).all()
    generated = noise(32, 32)  # already the centre of a face
    assert (prepare(Image.fromarray(generated), center_crop=140) == generated).all()


def test_a_share_frames_pictures_of_any_size_alike() -> None:
    pixels = noise(218, 178)
    assert (
        prepare(Image.fromarray(pixels), center_crop=0.7865) == prepare(Image.fromarray(pixels), center_crop=140)
    ).all()
    small = noise(50, 40)
    assert (prepare(Image.fromarray(small), center_crop=0.5) == prepare(Image.fromarray(small[15:35, 10:30]))).all()
    assert (crop_side(4000, 3000, 0.7865), crop_side(3, 2, 0.1), crop_side(40, 30, None)) == (2360, 1, 30)


def test_a_crop_is_never_padded() -> None:
    with pytest.raises(ImageError, match="140 pixels does not fit into an image of 64x64"):
        prepare(Image.fromarray(noise(64, 64)), center_crop=140)


def test_prepare_takes_only_rgb() -> None:
    with pytest.raises(ValueError, match="RGB image, not L"):
        prepare(Image.new("L", (32, 32)))


def test_describe() -> None:
    def notes(width: int, height: int, crop: int | None = None) -> tuple[str, ...]:
        return describe(read_image(encoded(Image.new("RGB", (width, height)), "PNG")), 32, crop)

    assert notes(32, 32) == ()
    assert notes(64, 64) == ("resized from 64x64 to 32x32",)
    assert notes(400, 300) == ("resized from 400x300 (centre square 300) to 32x32",)
    assert notes(32, 32, 140) == ()
    assert notes(178, 218, 140) == ("resized from 178x218 (centre square 140) to 32x32",)
    assert notes(40, 32) == ("cut from 40x32 (centre square 32)",)

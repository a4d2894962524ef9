"""One route: a picture gives the same pixels and notes however it is handed over; what is no picture is refused."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from helpers.fakes import make_detector
from PIL import Image

from sedid.data.images import MAX_BYTES, ImageError, read_image
from sedid.detector.detector import as_seen

PIXELS = np.random.default_rng(8).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    stream = BytesIO()
    tifffile.imwrite(stream, pixels, metadata=None, **options)
    return stream.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(PIXELS), "JPEG", exif=exif)


def files() -> dict[str, bytes]:
    gray16 = (PIXELS[..., 0].astype(np.uint16) << 8) | 7
    alpha = np.dstack([PIXELS, PIXELS[..., 0]])
    frames = [Image.fromarray(PIXELS[..., 0]), Image.fromarray(PIXELS[..., 1])]
    return {
        "16-bit gray": saved(Image.fromarray(gray16), "PNG"),
        "16-bit gray, a level transparent": saved(Image.fromarray(gray16), "PNG", transparency=int(gray16[0, 0])),
        "16-bit colour": imagecodecs.png_encode(PIXELS.astype(np.uint16) << 8),
        "transparent": saved(Image.fromarray(alpha), "PNG"),
        "palette": saved(Image.fromarray(PIXELS).quantize(16), "PNG", transparency=3),
        "turned": turned(),
        "turned TIFF": tiff(PIXELS, photometric="rgb", extratags=[(274, "H", 1, 6, True)]),
        "12-bit TIFF": tiff(gray16 >> 4, bitspersample=12, photometric="minisblack"),
        "white is zero": tiff(gray16, photometric="miniswhite"),
        "signed": tiff(PIXELS[..., 0].view(np.int8), photometric="minisblack"),
        "float": tiff(PIXELS[..., 0] / np.float32(255), photometric="minisblack"),
        "colour map of 8 bits": tiff(
            PIXELS[..., 0], photometric="palette", colormap=np.stack([np.arange(256, dtype=np.uint16)] * 3)
        ),
        "CMYK": saved(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"),
        "profile": saved(Image.fromarray(PIXELS), "PNG", icc_profile=imagecodecs.cms_profile("adobergb")),
        "animation": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "HDR": imagecodecs.avif_encode(PIXELS.astype(np.uint16) << 2, 90, bitspersample=10, transfer=16),
    }


WAYS: dict[str, Callable[[Path], Any]] = {
    "text": str,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "BytesIO": lambda path: BytesIO(path.read_bytes()),
    "BytesIO at its end": lambda path: at_end(BytesIO(path.read_bytes())),
    "open file": lambda path: path.open("rb"),
    "PIL image of a path": Image.open,
    "PIL image of bytes": lambda path: Image.open(BytesIO(path.read_bytes())),
}


def at_end(stream: BytesIO) -> BytesIO:
    stream.seek(0, 2)
    return stream


@pytest.fixture(params=files().items(), ids=lambda item: item[0])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "picture"
    path.write_bytes(request.param[1])
    return path


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_every_way_in_gives_the_same_pixels_and_notes(file: Path, way: Callable[[Path], Any]) -> None:
    expected = read_image(file)
    found = read_image(way(file))
    assert found.image.tobytes() == expected.image.tobytes()
    assert (found.image.size, found.notes) == (expected.image.size, expected.notes)
    assert (found.format, found.bytes) == (expected.format, expected.bytes)


def test_a_pil_image_whose_pixels_are_read_gives_the_same_pixels(file: Path) -> None:
    image = Image.open(file)
    image.load()
    before = (image.mode, image.size, image.convert("RGB").tobytes())
    found = read_image(image)
    assert found.image.tobytes() == read_image(file).image.tobytes()
    assert found.bytes == 0
    assert (image.mode, image.size, image.convert("RGB").tobytes()) == before


@pytest.mark.parametrize(
    "data",
    [
        tiff(np.moveaxis(PIXELS.astype(np.uint16) << 8, -1, 0), photometric="rgb", planarconfig=2),
        tiff(PIXELS[..., 0] / np.float32(255), photometric="minisblack", byteorder=">", compression="zlib"),
    ],
    ids=["planes of 16 bits", "big-endian and compressed"],
)
def test_what_pillow_misreads_is_read_right_before_and_refused_after(data: bytes) -> None:
    image = Image.open(BytesIO(data))
    assert (np.asarray(read_image(image).image)[..., 0] == PIXELS[..., 0]).all()
    assert image.tile == Image.open(BytesIO(data)).tile
    image.load()
    with pytest.raises(ImageError, match="of which Pillow has decoded the pixels wrongly already"):
        read_image(image)


def test_a_pil_image_is_read_at_the_frame_it_stands_at() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    image = Image.open(BytesIO(data))
    image.seek(2)
    assert read_image(image).image.getpixel((0, 0)) == (0, 0, 255)
    assert read_image(image).notes == ("frame 3 of 3",)


def test_a_pil_image_that_was_changed_is_read_as_it_is() -> None:
    image = Image.open(BytesIO(saved(Image.fromarray(PIXELS), "JPEG")))
    image.paste("white", (0, 0, 30, 40))
    assert (np.asarray(read_image(image).image) == 255).all()
    smaller = Image.open(BytesIO(saved(Image.fromarray(PIXELS), "JPEG")))
    smaller.draft("L", (8, 8))
    assert read_image(smaller).image.size == smaller.size < (30, 40)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_every_mode_of_pil(mode: str) -> None:
    image = Image.fromarray(PIXELS)
    if mode == "La":
        image = image.convert("LA").convert("La")
    elif mode == "RGBa":
        image = image.convert("RGBA").convert("RGBa")
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    elif mode == "LAB":
        image = Image.new("LAB", (30, 40), (128, 128, 128))
    else:
        image = image.convert(mode)
    assert image.mode == mode
    picture = read_image(image)
    assert picture.image.mode == "RGB"
    assert picture.image.size == (30, 40)


def test_arrays() -> None:
    assert (np.asarray(read_image(PIXELS).image) == PIXELS).all()
    assert (np.asarray(read_image(PIXELS[::-1, ::2]).image) == PIXELS[::-1, ::2]).all()
    assert read_image(PIXELS).notes == ()
    gray = read_image(PIXELS[..., 0])
    assert (np.asarray(gray.image) == PIXELS[..., :1]).all()
    assert gray.notes == ("gray converted to RGB",)
    clear = read_image(np.dstack([PIXELS, np.zeros((40, 30), np.uint8)]))
    assert (np.asarray(clear.image) == 255).all()
    assert clear.notes == ("alpha composited over white",)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (None, "None is not an image"),
        (7, "An object of type int is not an image"),
        ([PIXELS], "An object of type list is not an image"),
        (PIXELS / 255, r"The float64 ndarray of shape \(40, 30, 3\)"),
        (PIXELS.astype(np.float32), r"The float32 ndarray of shape \(40, 30, 3\)"),
        (PIXELS.astype(np.uint16), r"The uint16 ndarray of shape \(40, 30, 3\)"),
        (PIXELS > 9, r"The bool ndarray of shape \(40, 30, 3\)"),
        (np.moveaxis(PIXELS, -1, 0), r"The uint8 ndarray of shape \(3, 40, 30\)"),
        (PIXELS[None], r"The uint8 ndarray of shape \(1, 40, 30, 3\)"),
        (PIXELS[:0], r"The uint8 ndarray of shape \(0, 30, 3\)"),
        (np.array(3, np.uint8), r"The uint8 ndarray of shape \(\)"),
        (torch.from_numpy(PIXELS), r"The torch.uint8 Tensor of shape \(40, 30, 3\)"),
        (Image.new("RGB", (0, 5)), "The image has no pixels"),
        (StringIO("text"), "is open as text"),
        ("", "The path of the image is empty"),
        (b"", r"The file is empty \(zero bytes\)"),
        (BytesIO(), r"The file is empty \(zero bytes\)"),
        (BytesIO(bytes(MAX_BYTES + 1)), "over 20 MB"),
    ],
    ids=[
        "none",
        "int",
        "list",
        "float64",
        "float32",
        "uint16",
        "bool",
        "channels first",
        "batch",
        "no rows",
        "scalar",
        "tensor",
        "no pixels",
        "text file",
        "no path",
        "no bytes",
        "empty stream",
        "heavy stream",
    ],
)
def test_what_cannot_be_meant_is_refused_by_type_and_shape(source: Any, found: str) -> None:
    with pytest.raises(ImageError, match=found) as refused:
        read_image(source)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_a_closed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(PIXELS), "PNG"))
    with (tmp_path / "a.png").open("rb") as stream:
        pass
    with pytest.raises(ImageError, match=r"^a.png cannot be read"):
        read_image(stream)
    with Image.open(tmp_path / "a.png") as image:
        pass
    with pytest.raises(ImageError, match=r"^The image "):
        read_image(image)


def test_the_detector_sees_the_same_by_every_way() -> None:
    opened, data = make_detector(), turned()
    pixels, notes = as_seen(opened, data)
    for way in (BytesIO(data), Image.open(BytesIO(data))):
        same, also = as_seen(opened, way)
        assert (same == pixels).all()
        assert also == notes
    assert notes[0] == "turned upright, as its orientation says"


def test_nothing_of_the_libraries_reaches_the_console(tmp_path: Path) -> None:
    whole = tiff(PIXELS, photometric="rgb", compression="lzw", rowsperstrip=8)
    (tmp_path / "cut.tif").write_bytes(whole[:200] + b"\xff" * 400 + whole[600:])
    (tmp_path / "webp.tif").write_bytes(tiff(PIXELS, photometric="rgb", compression="webp"))
    (tmp_path / "exif.jpg").write_bytes(saved(Image.fromarray(PIXELS), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"))
    (tmp_path / "many.tif").write_bytes(
        tiff(PIXELS, photometric="rgb").replace(b"\x15\x01\3\0\1\0\0\0\3", b"\x15\x01\3\0\1\0\0\0\xff")
    )
    (tmp_path / "large.bmp").write_bytes(b"BM" + bytes(12) + (40).to_bytes(4, "little") + b"\0\0\1\0" * 2 + bytes(28))
    code = (
        "import sys, pathlib\nfrom sedid.data.images import ImageError, read_image\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        read_image(path)\n    except ImageError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [
        "cut.tif",
        "large.bmp",
        "many.tif",
        "webp.tif",
    ]
    assert "WebP compression, which cannot be read here" in done.stdout

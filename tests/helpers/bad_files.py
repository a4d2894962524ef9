"""A corpus of bad files, made by this script and nothing else: pictures, archives, arrays, weights, bundles and settings.

The same files each time. Few of them are ever right by accident, which is allowed: what reads one says what it saw, and what
does not says why in a sentence.
"""

import io
import json
import os
import random
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.bundles import pictures, shared_bundle
from helpers.image_files import bare_png, encoded, png_chunk

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF")
DETECTOR, UNET = "sedid/detector.json", "unet/config.json"
SCHEDULER, INDEX = "scheduler/scheduler_config.json", "model_index.json"
VALUES = (None, True, -1, 10**9, 1e308, "", "\ud800", [], [[]], {}, ["x"] * 3)
"""What may stand in a JSON file in another value's place."""


@dataclass(frozen=True)
class Bad:
    """One input.

    Attributes:
        kind: picture, archive (what a data set is read from), bundle or settings.
        name: what is wrong with it.
        file: where it lies; of a bundle the folder.
        command: of settings, whose they are.
    """

    kind: str
    name: str
    file: Path
    command: str = ""


def make(folder: Path) -> list[Bad]:
    """Write the corpus into an empty folder."""
    made = []
    for kind, files in (("picture", bad_pictures()), ("archive", bad_archives())):
        for name, (suffix, content) in files:
            place = folder / kind / f"{len(made):03d}{suffix}"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
            made.append(Bad(kind, name, place))
    for name, (file, change) in bad_bundles():
        place = folder / "bundle" / f"{len(made):03d}"
        shutil.copytree(shared_bundle(), place, copy_function=os.link)
        content = (place / file).read_bytes()
        (place / file).unlink()  # the others stay links to what all share
        (place / file).write_bytes(content)
        change(place / file)
        made.append(Bad("bundle", name, place))
    for name, (command, content) in bad_settings():
        place = folder / "settings" / f"{len(made):03d}.toml"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        made.append(Bad("settings", name, place, command))
    return made


Named = Iterator[tuple[str, tuple[str, bytes]]]
"""(what is wrong, (suffix, content))."""


def damaged(content: bytes, seed: str) -> Iterator[tuple[str, bytes]]:
    """Ways in which any file may be damaged."""
    rng = random.Random(seed)
    yield "cut off after 12 bytes", content[:12]
    yield "cut in half", content[: len(content) // 2]
    yield "without its last 3 bytes", content[:-3]
    for number, end in enumerate((64, 256, len(content))):
        broken = bytearray(content)
        for _ in range(1 + end // 40):
            broken[rng.randrange(4, min(end, len(content)))] ^= 1 << rng.randrange(8)
        yield f"bits flipped ({number + 1})", bytes(broken)
    yield "zeros in the middle", content[:40] + bytes(len(content) // 2) + content[40 + len(content) // 2 :]
    yield "ones in the header", content[:8] + b"\xff" * 16 + content[24:]
    yield "something between", content[:30] + rng.randbytes(200) + content[30:]
    yield "twice in a row, the first cut", content[: len(content) // 3] + content


def bad_pictures() -> Named:
    """Pictures that are damaged, absurdly large, or something else."""
    good = pictures(1)[0].repeat(2, 0).repeat(2, 1)
    for kind in FORMATS:
        content = encoded(good, kind)
        for name, broken in damaged(content, kind):
            yield f"{kind} {name}", (f".{kind.lower()}", broken)
    rows = b"".join(b"\0" + row.tobytes() for row in good)
    side = len(good)
    for name, content in {
        "PNG of 60,000 x 60,000": bare_png(60_000, 60_000, 8, 2, rows),
        "PNG of 2^31 x 1": bare_png(2**31 - 1, 1, 8, 2, rows),
        "PNG of 0 x 0": bare_png(0, 0, 8, 2, rows),
        "PNG of a bit depth of 3": bare_png(side, side, 3, 2, rows),
        "PNG of a colour type of 5": bare_png(side, side, 8, 5, rows),
        "PNG of a palette that is not there": bare_png(side, side, 8, 3, rows),
        "PNG of too few rows": bare_png(side, side, 8, 2, rows[: len(rows) // 3]),
        "PNG of an unknown filter": bare_png(side, side, 8, 2, b"\x09" + rows[1:]),
        "PNG bomb: 30 MB of zeros in 30 kB": bare_png(side, side, 8, 2, bytes(30_000_000)),
        "PNG with a text that unpacks to 30 MB": bare_png(
            side, side, 8, 2, rows, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(30_000_000)))
        ),
        "PNG with a profile that is none": bare_png(
            side, side, 8, 2, rows, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"no profile" * 99))
        ),
        "PNG with 5,000 chunks": bare_png(side, side, 8, 2, rows, png_chunk(b"tEXt", b"a\0b") * 5000),
        "PNG with EXIF that is none": bare_png(side, side, 8, 2, rows, png_chunk(b"eXIf", b"MM\0*" + b"\xff" * 60)),
        "PNG with a chunk of 2 GB": encoded(good)[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(9),
    }.items():
        yield name, (".png", content)
    for name, (suffix, content) in {
        "GIF of 65,535 x 65,535": (".gif", b"GIF89a" + b"\xff" * 4 + b"\x80\0\0" + bytes(6) + b",\0\0\0\0" + b"\xff" * 4),
        "BMP of 2^31 rows": (".bmp", encoded(good, "BMP")[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + bytes(40)),
        "BMP of minus 2^31 rows": (".bmp", encoded(good, "BMP")[:18] + struct.pack("<ii", 64, -(2**31)) + bytes(40)),
        "PPM of 100,000 x 100,000": (".ppm", b"P6 100000 100000 255\n"),
        "PPM of a maximum of 0": (".ppm", b"P6 4 4 0\n" + bytes(48)),
        "PPM of endless digits": (".ppm", b"P6 " + b"9" * 5000 + b" 1 255\n"),
        "PPM of no numbers": (".ppm", b"P6 four four 255\n" + bytes(48)),
        "TIFF that points to itself": (".tif", b"II*\0\x08\0\0\0\x01\0\0\x01\x04\0\x01\0\0\0\x01\0\0\0\x08\0\0\0"),
        "TIFF with 65,535 tags": (".tif", b"II*\0\x08\0\0\0\xff\xff" + bytes(4000)),
        "BigTIFF that ends": (".tif", b"II+\0\x08\0\0\0" + b"\xff" * 8),
        "WebP of a length of 4 GB": (".webp", b"RIFF\xff\xff\xff\xffWEBPVP8L" + b"\xff" * 40),
        "JPEG of markers only": (".jpg", b"\xff\xd8" + b"\xff\xe1\0\x02" * 500 + b"\xff\xd9"),
        "JPEG with EXIF that points to itself": (".jpg", _with_exif(good, b"MM\0*\0\0\0\x08\0\x01\x87i\0\x04\0\0\0\x01\0\0\0\x08")),
        "HEIC": (".heic", b"\0\0\0\x18ftypheic" + bytes(200)),
        "JPEG XL": (".jxl", b"\xff\x0a" + bytes(200)),
        "PSD": (".psd", b"8BPS\0\x01" + bytes(200)),
        "SVG with a script": (".svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        "SVG that asks for a file": (".png", b"<!DOCTYPE s [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><svg>&a;</svg>"),
        "HTML called a picture": (".png", b"<html><script>alert(1)</script></html>"),
        "PDF called a picture": (".jpg", b"%PDF-1.7\n" + bytes(200)),
        "ELF called a picture": (".png", b"\x7fELF\x02\x01\x01" + bytes(200)),
        "EPS, which would run a program": (".png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
        "PostScript in a picture's name": (".eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
        "pickle called a picture": (".png", b"\x80\x04cposix\nsystem\n(X\x02\0\0\0lstR."),
        "nothing": (".png", b""),
        "one byte": (".png", b"\x89"),
        "zeros": (".png", bytes(5000)),
        "noise": (".jpg", random.Random("noise").randbytes(5000)),
        "text": (".png", "a picture of a cat \U0001f408\n".encode()),
        "a zip called a picture": (".png", _zip({"a.png": encoded(good)})),
        "more than 20 MB": (".bmp", encoded(good, "BMP") + bytes(21_000_000)),
    }.items():  # fmt: skip
        yield name, (suffix, content)


def _with_exif(image: np.ndarray, exif: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", exif=b"Exif\0\0" + exif)
    return buffer.getvalue()


def _zip(members: dict[str, bytes], **more: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **{"compression": zipfile.ZIP_DEFLATED} | more) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def bad_archives() -> Named:
    """Zips and npz."""
    good = encoded(pictures(1)[0])
    zipped = _zip({"a.png": good, "b.png": good})
    for name, broken in damaged(zipped, "zip"):
        yield f"zip {name}", (".zip", broken)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twice = io.BytesIO()
        with zipfile.ZipFile(twice, "w") as archive:
            for _ in range(3):
                archive.writestr("a.png", good)
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as archive:
        entry = zipfile.ZipInfo("link.png")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/hostname")
    nested = zipped
    for _ in range(5):
        nested = _zip({"more.zip": nested})
    for name, content in {
        "zip of nothing": _zip({}),
        "zip of a way out": _zip({f"{'../' * 9}escaped.png": good}),
        "zip of a way out for Windows": _zip({"..\\..\\escaped.png": good}),
        "zip of an absolute path": _zip({"/escaped.png": good}),
        "zip of a drive": _zip({"C:\\escaped.png": good}),
        "zip of a name of 60,000 letters": _zip({"a" * 60_000 + ".png": good}),
        "zip of names with control characters": _zip({"a\r\n=cmd|'/C calc'!A0.png": good, "\x1b[2J.png": good}),
        "zip of markup in a name": _zip({"<img src=x onerror=alert(1)>.png": good}),
        "zip of one name three times": twice.getvalue(),
        "zip with a link": link.getvalue(),
        "zip in zip in zip": nested,
        "zip bomb: a picture of 60 MB of zeros": _zip({"a.png": bytes(60_000_000)}),
        "zip bomb behind a signature": _zip({"a.png": good[:40] + bytes(60_000_000)}),
        "zip of 3,000 empty pictures": _zip({f"{number}.png": b"" for number in range(3000)}),
        "zip of texts": _zip({"a.txt": b"text", "b.csv": b"1,2"}),
        "zip of broken pictures": _zip({f"{number}.png": good[: 9 * number] for number in range(8)}),
        "zip that says it is encrypted": zipped[:6] + b"\x01" + zipped[7:].replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\x01"),
        "zip of an unknown method": zipped.replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x63\0"),
        "zip of a wrong checksum": zipped.replace(struct.pack("<I", zlib.crc32(good)), b"\1\2\3\4"),
        "zip whose members claim 4 GB": zipped.replace(struct.pack("<I", len(good)), struct.pack("<I", 2**32 - 2)),
        "zip whose directory lies elsewhere": zipped[:-6] + b"\xff\xff\xff\x0f\0\0",
        "zip that is a picture": good,
    }.items():  # fmt: skip
        yield name, (".zip", content)
    yield from _bad_arrays()


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _header(shape: str, kind: str = "|u1", order: str = "False") -> bytes:
    """A .npy that claims a shape and has few bytes."""
    head = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head) + 1) + head + b"\n" + bytes(4096)


def _bad_arrays() -> Named:
    good = pictures(2)
    for name, broken in damaged(_npz(images=good), "npz"):
        yield f"npz {name}", (".npz", broken)
    for name, shape in {
        "npz that claims 10^12 images": "(1000000000000, 32, 32, 3)",
        "npz that claims a picture of 10^12 pixels": "(1, 1000000, 1000000, 3)",
        "npz of minus one image": "(-1, 32, 32, 3)",
        "npz of a shape that is no tuple": "9" * 300,
        "npz of a shape that is a call": "(__import__('os').system('true'), 32, 32, 3)",
        "npz of a shape in deep brackets": "(" * 200 + "1" + ")" * 200,
        "npz of more than it holds": "(99, 32, 32, 3)",
        "npz whose header is cut off": "(1, 32",
    }.items():
        yield name, (".npz", _zip({"images.npy": _header(shape)}))
    for name, array in {
        "npz of floats": good / 255,
        "npz of 16 bits": good.astype(np.uint16),
        "npz of grey": good[..., 0],
        "npz of four channels": good.repeat(2, 3)[..., :4],
        "npz of channels first": good.transpose(0, 3, 1, 2),
        "npz of one picture": good[0],
        "npz of no pictures": good[:0],
        "npz of pictures without pixels": good[:, :0],
        "npz in the other order": np.asfortranarray(good),
        "npz of texts": np.array(["a", "b"]),
        "npz of objects": np.array([{}, 1], object),
        "npz of a number": np.array(3),
        "npz of complex numbers": good.astype(complex),
        "npz of a structure": np.zeros(3, [("a", "u1"), ("b", "f4")]),
    }.items():
        yield name, (".npz", _npz(images=array))
    yield (
        "npz of objects that would run",
        (".npz", _zip({"images.npy": _header("(1,)", "|O") + b"\x80\x04cos\nsystem\n."})),
    )
    yield "npz of two arrays of pictures", (".npz", _npz(a=good, b=good))
    yield "npz without arrays", (".npz", _zip({"a.txt": b"text"}))
    yield "npz of another magic", (".npz", _zip({"images.npy": b"\x93NUMPZ" + bytes(100)}))
    yield "npz of a version to come", (".npz", _zip({"images.npy": b"\x93NUMPY\x09\0" + bytes(100)}))


Change = Callable[[Path], object]


def put(content: bytes) -> Change:
    """Another content of a file."""
    return lambda file: file.write_bytes(content)


def edited(**values: object) -> Change:
    """Other values in a JSON file."""
    return lambda file: file.write_text(json.dumps(json.loads(file.read_text()) | values))


def turned(*places: float) -> Change:
    """A bit flipped at each of these shares of a file's length."""

    def change(file: Path) -> None:
        content = bytearray(file.read_bytes())
        for place in places:
            content[int(place * (len(content) - 1))] ^= 16
        file.write_bytes(content)

    return change


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def bad_bundles() -> Iterator[tuple[str, tuple[str, Change]]]:
    """(what is wrong, (which file, what to do to it))."""
    weights = next(str(file.relative_to(shared_bundle())) for file in (shared_bundle() / "unet").glob("*.safetensors"))
    network = next(
        str(file.relative_to(shared_bundle())) for file in (shared_bundle() / "sedid/classifier").glob("*.safetensors")
    )
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for part, file in (("U-Net", weights), ("classifier", network)):
        for name, change in {
            "not there": Path.unlink,
            "empty": put(b""),
            "text": put(b"weights"),
            "a pickle": put(b"\x80\x04cposix\nsystem\n(X\x04\0\0\0truetR."),
            "with a header of 2^63 bytes": put(tensors({}, length=2**63)),
            "with a header of 99 MB that is not there": put(tensors({}, length=99_000_000)),
            "with a header that is no JSON": put(tensors(b"{" * 5000)),
            "with a list for a header": put(tensors([])),
            "of no tensors": put(tensors({})),
            "of another tensor": put(tensors({"a": one}, bytes(8))),
            "of an unknown type": put(tensors({"a": one | {"dtype": "F7"}}, bytes(8))),
            "of offsets that overlap": put(tensors({"a": one, "b": one}, bytes(8))),
            "of offsets beyond its end": put(tensors({"a": one | {"data_offsets": [0, 10**12]}}, bytes(8))),
            "of offsets that run backwards": put(tensors({"a": one | {"data_offsets": [8, 0]}}, bytes(8))),
            "of a shape of 10^18": put(tensors({"a": one | {"shape": [10**9, 10**9]}}, bytes(8))),
            "of a negative shape": put(tensors({"a": one | {"shape": [-2]}}, bytes(8))),
            "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
            "with a byte too many": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
            "with a bit flipped in its header": turned(0.001),
            "with a bit flipped in its middle": turned(0.5),
            "with a bit flipped at its end": turned(1.0),
        }.items():
            yield f"{part} {name}", (file, change)
    for file in (DETECTOR, UNET, SCHEDULER, INDEX):
        for name, content in {
            "empty": b"",
            "half a brace": b"{",
            "a number": b"3",
            "null": b"null",
            "a list": b"[]",
            "not UTF-8": bytes(range(256)),
            "100,000 brackets": b"[" * 100_000,
            "a number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
        }.items():
            yield f"{file} is {name}", (file, put(content))
    for number, value in enumerate(VALUES):
        for file, keys in {
            DETECTOR: ("stat", "nn", "name", "preprocessing", "checkpoint_sha256"),
            UNET: ("sample_size", "block_out_channels", "in_channels", "norm_num_groups"),
            SCHEDULER: ("num_train_timesteps", "beta_schedule", "beta_start", "prediction_type"),
        }.items():
            key = keys[number % len(keys)]
            yield f"{file}: {key} = {value!r:.20}", (file, edited(**{key: value}))


def bad_settings() -> Iterator[tuple[str, tuple[str, bytes]]]:
    """(what is wrong, (command, content of its TOML))."""
    commands = ("train-ddpm", "calibrate", "generate", "evaluate", "sweep", "loop")
    for number, line in enumerate((
        "seed = ", "seed = -1", "seed = 1e400", "seed = 99999999999999999999", "seed = 1979-05-27", "seed = [[1]]",
        "seed = nan", "seed = '1'", "seed = true", "seed = 1\nseed = 2", "[seed]\na = 1", "= 3", "3", "{", "stepz = 3",
        "out = ''", "out = '\\u0000'", "out = 3", "out = ['a']", "device = 'gpu'", "device = 'cuda:99'", "device = {a = 1}",
        "batch_size = 0", "batch_size = -3", "batch_size = 1.5", "batch_size = 10_000_000_000_000", "nothing = 1",
        "__class__ = 1", "'' = 1", "seed = 0x", "seed = 1 # \x01", "a.b.c = 1", "precision = 'fp8'",
        "detector = 'https://192.0.2.1/x'", "detector = '../../../../etc'", "detector = '/dev/zero'", "seed = " + "[" * 5000,
    )):  # fmt: skip
        out = "" if line.startswith("out") else "out = 'x'\n"
        command = "train-ddpm" if line.startswith("out") else commands[number % len(commands)]
        yield f"settings: {line[:40]!r}", (command, f"{out}{line}".encode())
    yield "settings not in UTF-8", ("generate", b"seed = 1 \xff")
    yield "settings of 3 MB", ("generate", b"seed = 1\n" + b"# comment\n" * 300_000 + b"x = 1")
    yield "settings in UTF-16", ("generate", "seed = 1".encode("utf-16"))

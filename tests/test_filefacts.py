"""What a file says of itself: found where it is, bounded and silent on anything damaged."""

import hashlib
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import make_image
from hypothesis import given
from hypothesis import strategies as st
from image_files import encoded
from PIL import Image, PngImagePlugin

from sedid import filefacts
from sedid.filefacts import C2PA, CLIP, PNG, clipped, file_facts, rows
from sedid.images import MAX_BYTES, ImageError


def saved(kind: str, image: np.ndarray | None = None, **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(make_image(0) if image is None else image).save(file, kind, **options)
    return file.getvalue()


def exif(**gps: Any) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0131], tags[0x0132] = "Maker", "Model 5", "Editor 1.2", "2020:01:02 03:04:05"
    tags[0x8769] = {0x9003: "2019:12:31 23:59:59"}
    if gps:
        tags[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return tags


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(*chunks: bytes) -> bytes:
    """A PNG with these chunks before its end."""
    data = encoded(make_image(0))
    return data[:-12] + b"".join(chunks) + data[-12:]


def jumbf(kind: bytes) -> bytes:
    described = kind + b"\x03c2pa\0"
    inner = struct.pack(">I", 8 + len(described)) + b"jumd" + described
    return struct.pack(">I", 8 + len(inner)) + b"jumb" + inner


# --- what is there is found --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_camera_software_and_date_are_read_and_no_position_is_shown(kind: str) -> None:
    facts = file_facts(saved(kind, exif=exif(gps=True)), "a.x")
    assert (facts.format, facts.width, facts.height) == (kind, 32, 32)
    assert (facts.camera, facts.software, facts.date) == ("Maker Model 5", "Editor 1.2", "2019:12:31 23:59:59")
    assert facts.position
    told = " ".join(f"{name} {value}" for name, value in rows(facts))
    assert "a GPS position is present" in told
    assert "52" not in told.replace(facts.sha256, "")
    assert not file_facts(saved(kind, exif=exif())).position


def test_hash_and_size_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(make_image(0)))
    facts = file_facts(path)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts.name, facts.bytes) == ("a.png", path.stat().st_size)
    assert file_facts(path.read_bytes(), "a.png") == facts


@pytest.mark.parametrize("quality", [1, 30, 75, 90, 100])
def test_the_quality_of_standard_tables_is_the_one_it_was_saved_at(quality: int) -> None:
    assert file_facts(saved("JPEG", quality=quality)).jpeg_quality.startswith(f"{quality} of 100")


def test_tables_of_another_kind_give_no_estimate() -> None:
    facts = file_facts(saved("JPEG", qtables=[list(range(1, 65)), list(range(1, 65))]))
    assert facts.jpeg_quality.startswith("not known")
    assert file_facts(encoded(make_image(0))).jpeg_quality == ""


def test_depth_is_that_of_the_file() -> None:
    deep = Image.fromarray(np.zeros((8, 8), np.uint16))
    file = BytesIO()
    deep.save(file, "PNG")
    assert file_facts(file.getvalue()).mode.endswith("16 bits a channel")
    rgb16 = PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    rgb16 += chunk(b"IDAT", zlib.compress(bytes(8 * 49))) + chunk(b"IEND", b"")
    assert file_facts(rgb16).mode == "RGB, 16 bits a channel"
    assert file_facts(saved("JPEG")).mode == "RGB, 8 bits a channel"


def test_what_generators_write_into_a_png_is_shown() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20")
    info.add_text("prompt", "x" * 5000, zip=True)
    info.add_itxt("Comment", "schön", zip=True)
    texts = dict(file_facts(saved("PNG", pnginfo=info)).texts)
    assert texts["parameters"] == "a cat Steps: 20"
    assert texts["prompt"] == "x" * (CLIP - 1) + "…"
    assert texts["Comment"] == "schön"
    behind = file_facts(with_chunks(chunk(b"tEXt", b"Software\0SomeGenerator")))
    assert behind.texts == (("Software", "SomeGenerator"),)


def test_comments_of_jpeg_and_exif_are_shown() -> None:
    assert file_facts(saved("JPEG", comment=b"made by hand")).comment == "made by hand"
    tags = exif()
    tags[0x8769] = {0x9286: b"UNICODE\0" + "Steps: 20".encode("utf-16-be")}
    assert file_facts(saved("JPEG", exif=tags)).comment == "Steps: 20"


def test_profile_xmp_and_declarations_are_seen() -> None:
    source = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + source + b"<exif:GPSLatitude>52</exif:GPSLatitude></x:xmpmeta>"
    facts = file_facts(saved("JPEG", xmp=packet, icc_profile=bytes(200)))
    assert (facts.xmp, facts.icc, facts.says_generated) == (True, 200, "trainedAlgorithmicMedia")
    assert facts.position
    plain = file_facts(saved("JPEG"))
    assert (plain.xmp, plain.icc, plain.says_generated, plain.position) == (False, 0, "", False)


def test_a_manifest_is_only_said_to_be_there() -> None:
    signed = file_facts(with_chunks(chunk(b"caBX", jumbf(C2PA))))
    assert signed.c2pa
    assert signed.jumbf
    assert "not checked" in dict(rows(signed))["C2PA"]
    other = file_facts(with_chunks(chunk(b"caBX", jumbf(bytes(16)))))
    assert (other.jumbf, other.c2pa) == (True, False)
    assert dict(rows(other))["C2PA"].startswith("no manifest, but")
    assert dict(rows(file_facts(encoded(make_image(0)))))["C2PA"] == "no manifest found"


# --- hostile input -----------------------------------------------------------------------------------------------


def test_a_bomb_in_a_text_chunk_is_expanded_no_further_than_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    expanded = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self) -> None:
            self.inner = real()

        def decompress(self, data: bytes, limit: int) -> bytes:
            expanded.append(limit)
            return self.inner.decompress(data, limit)

    monkeypatch.setattr(filefacts.zlib, "decompressobj", Watched)
    bomb = zlib.compress(b"a" * 5_000_000)
    facts = file_facts(with_chunks(chunk(b"zTXt", b"parameters\0\0" + bomb)))
    assert facts.texts == (("parameters", "a" * (CLIP - 1) + "…"),)
    assert max(expanded) <= 4 * CLIP


def test_counts_and_lengths_are_bounded() -> None:
    many = file_facts(with_chunks(*[chunk(b"tEXt", b"k%d\0v" % n) for n in range(200)]))
    assert len(many.texts) == filefacts.MAX_TEXTS
    huge = file_facts(with_chunks(chunk(b"eXIf", b"MM\0*" + bytes(filefacts.MAX_EXIF))))
    assert "too much to be read" in dict(rows(huge))["EXIF"]
    assert len(file_facts(b"x", "n" * 1000).name) == 120
    with pytest.raises(ImageError, match="over 20 MB"):
        file_facts(bytes(MAX_BYTES + 1))


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    bomb = PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")
    assert file_facts(bomb).sha256 == hashlib.sha256(bomb).hexdigest()


@pytest.mark.parametrize(
    "data", [b"", b"not an image", PNG, PNG + b"\xff\xff\xff\xfftEXt", b"\xff\xd8\xff\xe1\xff\xff"]
)
def test_what_is_no_image_has_a_hash_and_little_else(data: bytes) -> None:
    facts = file_facts(data)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.format == ""
    assert dict(rows(facts))["Format"] == "not readable"


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=40))
def test_damage_anywhere_ends_in_fewer_facts_not_in_an_error(at: int, junk: bytes) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a", zip=True)
    for data in (saved("JPEG", exif=exif(gps=True)), saved("PNG", pnginfo=info, exif=exif(gps=True))):
        at %= len(data)
        for damaged in (data[:at] + junk + data[at + len(junk) :], data[:at], data[:at] + junk + data[at:]):
            facts = file_facts(damaged)
            assert all(isinstance(value, str) and value for _, value in rows(facts))


@given(st.text(max_size=900))
def test_clipped_text_is_one_short_line_of_printable_characters(text: str) -> None:
    line = clipped(text)
    assert len(line) <= CLIP
    assert line.isprintable()

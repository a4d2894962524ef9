"""What a file says of itself: found where it is, bounded and silent on anything damaged."""

import hashlib
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fakes import make_image
from helpers.image_files import encoded
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from sedid.data import file_blocks
from sedid.data import file_facts as file_facts_data
from sedid.data.file_blocks import BOX_C2PA, BOX_XMP, PNG
from sedid.data.file_facts import C2PA, CLIP, clipped, file_facts, rows
from sedid.data.images import MAX_BYTES, ImageError


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


SOURCE = b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description Iptc4xmpExt:DigitalSourceType="' + SOURCE + b'">'
    b"<exif:GPSLatitude>52</exif:GPSLatitude></rdf:Description></x:xmpmeta>"
)


def segment(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def with_segments(*segments: bytes) -> bytes:
    """A JPEG with these segments ahead of its own."""
    return b"\xff\xd8" + b"".join(segments) + saved("JPEG")[2:]


def signed_segments(size: int) -> list[bytes]:
    """A manifest that declares its source, in segments of so many bytes."""
    box = jumbf(C2PA) + struct.pack(">I", 8 + len(SOURCE)) + b"cbor" + SOURCE
    box = struct.pack(">I", len(box)) + box[4:]
    parts = [box[at : at + size] for at in range(0, len(box), size)]
    return [
        segment(0xEB, b"JP" + struct.pack(">HI", 1, n + 1) + (part if n == 0 else box[:8] + part))
        for n, part in enumerate(parts)
    ]


def riff(*chunks: bytes) -> bytes:
    """A WebP with these chunks behind its own."""
    data = saved("WEBP")[:] + b"".join(chunks)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def gif(name: bytes, body: bytes) -> bytes:
    """A GIF with an application extension before its end."""
    return saved("GIF")[:-1] + b"\x21\xff\x0b" + name + body + b";"


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def blocks_of_every_format() -> dict[str, tuple[bytes, bytes]]:
    """Format -> a file with XMP and one with a manifest, in the blocks made for them."""
    tail = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    sub_blocks = b"".join(bytes([len(part)]) + part for part in (jumbf(C2PA)[:20], jumbf(C2PA)[20:])) + b"\0"
    tags = {tag: TiffImagePlugin.ImageFileDirectory_v2() for tag in (0x02BC, 0xCD41)}
    for tag, body in ((0x02BC, PACKET), (0xCD41, jumbf(C2PA))):
        tags[tag][tag], tags[tag].tagtype[tag] = body, 7 if tag == 0xCD41 else 1
    return {
        "JPEG": (saved("JPEG", xmp=PACKET), with_segments(*signed_segments(30))),
        "PNG": (
            with_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(PACKET))),
            with_chunks(chunk(b"caBX", jumbf(C2PA))),
        ),
        "WEBP": (saved("WEBP", xmp=PACKET), riff(b"C2PA" + struct.pack("<I", len(jumbf(C2PA))) + jumbf(C2PA))),
        "GIF": (gif(b"XMP DataXMP", PACKET + tail), gif(b"C2PA_GIF\x01\0\0", sub_blocks)),
        "AVIF": (saved("AVIF", xmp=PACKET), saved("AVIF") + box(b"uuid", BOX_C2PA + jumbf(C2PA))),
        "TIFF": (saved("TIFF", tiffinfo=tags[0x02BC]), saved("TIFF", tiffinfo=tags[0xCD41])),
    }


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
    facts = file_facts(saved("JPEG", xmp=PACKET, icc_profile=bytes(200)))
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF"])
def test_blocks_of_every_format_are_found_where_they_belong(kind: str) -> None:
    described, signed = map(file_facts, blocks_of_every_format()[kind])
    assert (described.format, described.xmp, described.c2pa) == (kind, True, False)
    assert (described.says_generated, described.position) == ("trainedAlgorithmicMedia", True)
    assert (signed.format, signed.xmp, signed.jumbf, signed.c2pa) == (kind, False, True, True)
    assert (described.behind, signed.behind) == (0, 0)


def test_a_manifest_in_many_segments_is_read_as_one() -> None:
    for size in (30, 47, 100, 1000):
        facts = file_facts(with_segments(*signed_segments(size)))
        assert (facts.c2pa, facts.says_generated) == (True, "trainedAlgorithmicMedia")


def test_xmp_of_boxes_and_extended_xmp_are_found() -> None:
    assert file_facts(saved("AVIF") + box(b"uuid", BOX_XMP + PACKET)).says_generated == "trainedAlgorithmicMedia"
    head = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32
    parts = [
        segment(0xE1, head + struct.pack(">II", len(PACKET), at) + PACKET[at : at + 40])
        for at in range(0, len(PACKET), 40)
    ]
    assert file_facts(with_segments(*parts)).says_generated == "trainedAlgorithmicMedia"


# --- and nowhere else --------------------------------------------------------------------------------------------

EVERYTHING = b"http://ns.adobe.com/xap/1.0/\0" + PACKET + jumbf(C2PA) + SOURCE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "PPM"])
def test_what_stands_behind_the_end_is_counted_and_not_read(kind: str) -> None:
    plain, payload = saved(kind), EVERYTHING + chunk(b"tEXt", b"parameters\0a cat") + box(b"free", b"")
    before, facts = file_facts(plain), file_facts(plain + payload)
    assert (facts.xmp, facts.jumbf, facts.c2pa, facts.says_generated, facts.position) == (
        False,
        False,
        False,
        "",
        False,
    )
    assert facts.texts == ()
    counted = kind not in ("TIFF", "PPM")  # which do not say where they end
    assert (before.behind, facts.behind) == (0, len(payload) if counted else 0)
    told = dict(rows(facts)).get("Behind the image", "")
    assert told == (f"{len(payload):,} bytes follow the end of the image and were not read" if counted else "")
    same = ("bytes", "sha256", "behind")
    assert {n: v for n, v in vars(facts).items() if n not in same} == {
        n: v for n, v in vars(before).items() if n not in same
    }


def test_what_stands_in_a_block_of_another_purpose_declares_nothing() -> None:
    """A comment that quotes a declaration, a text of a PNG, colour profiles, pixels."""
    profile = bytes(128) + EVERYTHING
    pixels = np.frombuffer(EVERYTHING.ljust(3072, b"\0")[:3072], np.uint8).reshape(32, 32, 3)
    for data in (
        with_segments(segment(0xFE, EVERYTHING), segment(0xE5, EVERYTHING), segment(0xE1, b"other\0" + EVERYTHING)),
        with_segments(segment(0xE1, b"Exif\0\0" + EVERYTHING)),
        with_chunks(chunk(b"tEXt", b"Comment\0" + EVERYTHING), chunk(b"zzZz", EVERYTHING)),
        saved("JPEG", icc_profile=profile),
        saved("PNG", icc_profile=profile),
        saved("BMP", pixels),
        saved("TIFF", pixels, compression=None),
        saved("PPM", pixels),
        gif(b"SOMETHINGEL", bytes([200]) + EVERYTHING.ljust(200)[:200] + b"\0"),
        riff(b"junk" + struct.pack("<I", len(EVERYTHING)) + EVERYTHING + b"\0" * (len(EVERYTHING) % 2)),
        saved("AVIF") + box(b"free", EVERYTHING) + box(b"uuid", bytes(16) + EVERYTHING),
    ):
        facts = file_facts(data)
        assert facts.format
        assert (facts.xmp, facts.jumbf, facts.c2pa, facts.says_generated, facts.position) == (
            False,
            False,
            False,
            "",
            False,
        )
        assert facts.behind == 0


def test_words_of_a_packet_about_a_source_type_are_no_declaration() -> None:
    quoting = b"<x:xmpmeta><dc:description>as " + SOURCE + b" says</dc:description></x:xmpmeta>"
    facts = file_facts(saved("JPEG", xmp=quoting))
    assert (facts.xmp, facts.says_generated) == (True, "")
    element = b"<Iptc4xmpExt:DigitalSourceType>" + SOURCE + b"</Iptc4xmpExt:DigitalSourceType>"
    resource = b'<Iptc4xmpExt:DigitalSourceType rdf:resource="' + SOURCE + b'"/>'
    for form in (element, resource):
        assert file_facts(saved("JPEG", xmp=b"<x:xmpmeta>" + form + b"</x:xmpmeta>")).says_generated
    camera = PACKET.replace(b"trainedAlgorithmicMedia", b"digitalCapture")
    assert file_facts(saved("JPEG", xmp=camera)).says_generated == ""


def test_the_end_of_a_jpeg_is_found_behind_scans_thumbnails_and_further_pictures() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    thumbnail = segment(0xE1, b"Exif\0\0MM\0*" + saved("JPEG") + b"\xff\xd9")
    progressive = saved("JPEG", noise, progressive=True, quality=95)
    several = BytesIO()
    Image.fromarray(noise).save(several, "MPO", save_all=True, append_images=[Image.fromarray(noise[::-1].copy())])
    for data in (
        progressive,
        with_segments(thumbnail),
        several.getvalue(),
        saved("JPEG", noise, restart_marker_rows=1),
    ):
        assert file_facts(data).behind == 0
        assert file_facts(data + b"\xff\xd9 more").behind == 7
        assert file_facts(data[:-2]).behind == 0  # cut off: nobody knows


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

    monkeypatch.setattr(file_blocks.zlib, "decompressobj", Watched)
    bomb = zlib.compress(b"a" * 5_000_000)
    facts = file_facts(with_chunks(chunk(b"zTXt", b"parameters\0\0" + bomb)))
    assert facts.texts == (("parameters", "a" * (CLIP - 1) + "…"),)
    assert max(expanded) <= 4 * CLIP


def test_counts_and_lengths_are_bounded() -> None:
    many = file_facts(with_chunks(*[chunk(b"tEXt", b"k%d\0v" % n) for n in range(200)]))
    assert len(many.texts) == file_facts_data.MAX_TEXTS
    huge = file_facts(with_chunks(chunk(b"eXIf", b"MM\0*" + bytes(file_facts_data.MAX_EXIF))))
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

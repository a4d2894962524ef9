"""What an image file says about itself: format, camera, software, generator notes, signatures. Apart from any verdict.

Only the blocks that a format has for it are read (`fileblocks`), no pixel is decoded; every length is bounded, and
whatever a damaged file says is left out rather than guessed. Text of a file is passed on as plain text, clipped:
whoever shows it escapes it.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from sedid.data.file_blocks import MAX_XMP, Blocks, blocks_of, itxt, unpacked
from sedid.data.images import FORMATS, MAX_BYTES, ImageError, read_bytes

NOTE = "These facts are easy to forge or to strip, and they do not enter the verdict."
CLIP = 400  # characters of a text that are passed on
MAX_TEXTS = 20  # text chunks of a PNG
MAX_EXIF = 1_000_000  # bytes; a larger block is only said to be there

MODES = {"1": "black and white", "L": "gray", "P": "palette", "LA": "gray with alpha", "RGBA": "RGB with alpha"}
# EXIF tags
MAKE, MODEL, SOFTWARE, DATE, TAKEN, COMMENT, EXIF_PART, GPS_PART = (
    0x010F,
    0x0110,
    0x0131,
    0x0132,
    0x9003,
    0x9286,
    0x8769,
    0x8825,
)
BITS = 0x0102  # TIFF: bits a sample

# A JUMBF superbox (ISO/IEC 19566-5) begins with its length, "jumb" and its description box; C2PA's manifest store is the
# one whose description has this type.
JUMBF = re.compile(rb"jumb.{4}jumd", re.DOTALL)
C2PA = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x008\x9bq"
# IPTC's digital source types of generated media: of XMP the property of this name, of a manifest any assertion
SOURCE = rb"newscodes/digitalsourcetype/(trainedAlgorithmicMedia|compositeWithTrainedAlgorithmicMedia|algorithmicMedia)"
OF_XMP = re.compile(rb"DigitalSourceType\b[^<>]{0,80}[=>][^<>]{0,80}?" + SOURCE)
OF_MANIFEST = re.compile(SOURCE)


@dataclass(frozen=True)
class FileFacts:
    """What was found. "" or () or None: nothing.

    Attributes:
        sha256: of the file, hexadecimal.
        behind: bytes of it that follow the end of the image; none of them is read.
        format: Pillow's name; "" if the header cannot be read.
        width, height: pixels, as stored (before any turning upright).
        mode: channels and bits, in words.
        jpeg_quality: in words.
        icc, exif: bytes of the colour profile and of the EXIF block; 0 without.
        camera, software, date: of EXIF, clipped.
        comment: of EXIF or JPEG, clipped; generators write their settings there.
        position: whether a GPS position is there; where it is, is never read.
        texts: (keyword, text) chunks of a PNG, clipped.
        xmp, jumbf, c2pa: whether such a block is there. Nothing is validated.
        says_generated: the IPTC digital source type, if it names generated media.
    """

    name: str
    bytes: int
    sha256: str
    behind: int = 0
    format: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    jpeg_quality: str = ""
    icc: int = 0
    exif: int = 0
    camera: str = ""
    software: str = ""
    date: str = ""
    comment: str = ""
    position: bool = False
    texts: tuple[tuple[str, str], ...] = ()
    xmp: bool = False
    jumbf: bool = False
    c2pa: bool = False
    says_generated: str = ""


def file_facts(source: Path | bytes, name: str = "") -> FileFacts:
    """Read the facts of a file; a damaged image has fewer of them and is no error.

    Args:
        source: a path, or the bytes of a file.
        name: what to call it; by default the file name.

    Raises:
        ImageError: there is no such file, or it is over `images.MAX_BYTES`.
    """
    if isinstance(source, bytes):
        data = source
        if len(data) > MAX_BYTES:
            raise ImageError(f"{name or 'The file'} is over {MAX_BYTES // 1_000_000} MB.")
    else:
        data, name = read_bytes(source), name or source.name
    blocks, found = blocks_of(data), dict[str, Any]()
    with suppress(Exception):  # Pillow's readers raise nearly anything on damaged files
        found |= _header(data[: blocks.end], blocks)
    if blocks.exif:
        found |= _exif(blocks.exif)
    texts = [
        (clipped(keyword.decode("latin-1"), 79), _text(kind, rest)) for kind, keyword, rest in blocks.texts[:MAX_TEXTS]
    ]
    found |= {
        "behind": 0 if blocks.end is None else len(data) - blocks.end,
        "texts": tuple(texts),
        "xmp": bool(blocks.xmp),
        "jumbf": any(JUMBF.search(block) for block in blocks.jumbf),
        "c2pa": any(C2PA in block for block in blocks.jumbf),
        "says_generated": _declared(blocks),
        "position": found.get("position", False) or any(b"GPSLatitude" in packet for packet in blocks.xmp),
    }
    return FileFacts(clipped(name, 120), len(data), hashlib.sha256(data).hexdigest(), **found)


def _declared(blocks: Blocks) -> str:
    """The digital source type that a file declares, if it is one of generated media."""
    looked = ((OF_XMP, blocks.xmp), (OF_MANIFEST, blocks.jumbf))
    return next((said[1].decode() for found, parts in looked for part in parts if (said := found.search(part))), "")


def rows(facts: FileFacts) -> list[tuple[str, str]]:
    """The facts as (name, value) in plain text, those that are there; what the file lacks is said where it matters."""
    size = f"{facts.width}x{facts.height} pixels"
    found = [
        ("File", facts.name),
        ("Format", facts.format or "not readable"),
        ("Size", f"{facts.bytes:,} bytes{f', {size}' if facts.width else ''}"),
        ("Channels", facts.mode),
        ("JPEG quality", facts.jpeg_quality),
        ("Colour profile", f"ICC, {facts.icc:,} bytes" if facts.icc else ""),
        ("Camera", facts.camera),
        ("Software", facts.software),
        ("Date", facts.date),
        ("Comment", facts.comment),
        ("Position", "a GPS position is present (not shown)" if facts.position else ""),
        ("EXIF", _exif_words(facts)),
        ("XMP", "present" if facts.xmp else "none"),
        *((f"Text “{keyword}”", text) for keyword, text in facts.texts),
        ("Declared as", f"{facts.says_generated} (IPTC digital source type)" if facts.says_generated else ""),
        ("C2PA", _signed(facts)),
        (
            "Behind the image",
            f"{facts.behind:,} bytes follow the end of the image and were not read" if facts.behind else "",
        ),
        ("SHA-256", facts.sha256),
    ]
    return [(name, value) for name, value in found if value]


def _exif_words(facts: FileFacts) -> str:
    if facts.exif > MAX_EXIF:
        return f"present, {facts.exif:,} bytes: too much to be read here"
    tags = facts.camera or facts.software or facts.date or facts.position  # of a TIFF, which has no block
    return f"present, {facts.exif:,} bytes" if facts.exif else "present" if tags else "none"


def _signed(facts: FileFacts) -> str:
    if facts.c2pa:
        return "a manifest is present; its signature was not checked"
    return "no manifest, but JUMBF data of another kind" if facts.jumbf else "no manifest found"


def clipped(text: object, length: int = CLIP) -> str:
    """Text of a file as one line of printable characters, at most so long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)[: 4 * length]).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _header(data: bytes, blocks: Blocks) -> dict[str, Any]:
    """What Pillow reads of a header without decoding a pixel; the XMP of an AVIF, an item, joins its blocks."""
    Image.init()
    image = Image.open(BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
    found: dict[str, Any] = {"format": image.format or "", "width": image.width, "height": image.height}
    found["mode"] = f"{MODES.get(image.mode, image.mode)}, {_bits(image, data)} a channel"
    profile, block = image.info.get("icc_profile"), image.info.get("exif")
    found["icc"] = len(profile) if isinstance(profile, bytes) else 0
    found["comment"] = _decoded(image.info.get("comment"))
    if image.format in ("JPEG", "MPO"):
        found["jpeg_quality"] = jpeg_quality(getattr(image, "quantization", {}))
    if image.format == "AVIF" and isinstance(packet := image.info.get("xmp"), bytes):
        blocks.xmp.append(packet[:MAX_XMP])
    with suppress(Exception):
        if isinstance(block, bytes):
            found |= _exif(block)
        elif image.format == "TIFF":  # whose own tags they are
            found |= _tags(image.getexif())
    return found


def _bits(image: Image.Image, data: bytes) -> str:
    """Bits a channel as the file has them; Pillow reads 16 as 8 in places."""
    stated: Any = None
    if image.format == "PNG":
        stated = data[24]
    elif image.format == "TIFF":
        stated = getattr(image, "tag_v2", {}).get(BITS)
    if stated:
        return "/".join(f"{bits}" for bits in sorted(set(stated if isinstance(stated, tuple) else (stated,)))) + " bits"
    if image.mode == "1":
        return "1 bit"
    return "16 bits" if "16" in image.mode else "32 bits" if image.mode in ("I", "F") else "8 bits"


@cache
def _standard_tables() -> dict[tuple[int, ...], int]:
    """The brightness tables that libjpeg writes at each quality, after the example in annex K of the JPEG standard."""
    found: dict[tuple[int, ...], int] = {}
    for quality in range(1, 101):
        file = BytesIO()
        Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
        found.setdefault(tuple(Image.open(file).quantization[0]), quality)  # type: ignore[attr-defined]
    return found


def jpeg_quality(tables: dict[int, list[int]]) -> str:
    """The quality setting behind a JPEG's quantisation tables, where they are standard ones; words."""
    if 0 not in tables:
        return ""
    quality = _standard_tables().get(tuple(tables[0]))
    if quality is None:
        return "not known: the file has quantisation tables of its own (many cameras and programs do)"
    return f"{quality} of 100, by its standard tables; of the last saving only"


def _exif(block: bytes) -> dict[str, Any]:
    """The few EXIF tags that are shown."""
    found: dict[str, Any] = {"exif": len(block)}
    if len(block) <= MAX_EXIF:
        with suppress(Exception):
            tags = Image.Exif()
            tags.load(block)
            found |= _tags(tags)
    return found


def _tags(tags: Image.Exif) -> dict[str, Any]:
    found: dict[str, Any] = {
        "camera": clipped(" ".join(str(tags[tag]) for tag in (MAKE, MODEL) if tag in tags), 120),
        "software": clipped(tags.get(SOFTWARE, ""), 120),
        "date": clipped(tags.get(DATE, ""), 40),
        "position": GPS_PART in tags,
    }
    with suppress(Exception):
        part = tags.get_ifd(EXIF_PART)
        found["date"] = clipped(part.get(TAKEN, ""), 40) or found["date"]
        if comment := _decoded(part.get(COMMENT)):
            found["comment"] = comment
    return found


def _decoded(comment: Any) -> str:
    """A JPEG comment, or an EXIF one, which begins with the name of its encoding."""
    if not isinstance(comment, bytes):
        return clipped(comment or "")
    code, text = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        text = text[: 8 * CLIP]
        return clipped(text.decode("utf-16-be" if text[:1] == b"\0" else "utf-16-le", "ignore"))
    return clipped((text if code in (b"ASCII\0\0\0", bytes(8)) else comment)[: 4 * CLIP].decode("utf-8", "replace"))


def _text(kind: bytes, rest: bytes) -> str:
    """The text of a chunk, from what follows its keyword; of compressed ones only so much is expanded as is shown."""
    if kind == b"iTXt":
        return clipped(itxt(rest, 4 * CLIP).decode("utf-8", "replace"))
    text = unpacked(rest[1:], 4 * CLIP) if kind == b"zTXt" else rest[: 4 * CLIP]
    return clipped(text.decode("latin-1"))

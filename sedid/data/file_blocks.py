"""Where an image file of each format keeps what it says of itself, and where the image ends.

Only the blocks that a format defines are walked, each by its stated length: segments of a JPEG up to the first scan,
chunks of a PNG up to IEND, of a WebP up to its RIFF length, blocks of a GIF up to the trailer, boxes of an AVIF, the
tags of a TIFF. What stands behind the end, inside pixels or in a block of another purpose is not looked at.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

PNG = b"\x89PNG\r\n\x1a\n"
MAX_BLOCKS = 10_000
MAX_XMP = 1_000_000  # bytes of a packet that are expanded

JPEG_XMP, JPEG_MORE_XMP, JPEG_MORE = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0", 75
PNG_XMP = b"XML:com.adobe.xmp"
GIF_XMP, GIF_C2PA = b"XMP DataXMP", b"C2PA_GIF\x01\x00\x00"
GIF_XMP_TAIL = 257  # bytes behind a packet, which make decoders skip it
BOX_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
BOX_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
TIFF_XMP, TIFF_C2PA = 0x02BC, 0xCD41
MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # what ends the coded pixels of a scan


@dataclass
class Blocks:
    """The blocks of a file.

    Attributes:
        end: where the image ends; None where the format does not say, or the file is cut off.
        xmp: packets of XMP.
        jumbf: contents of the blocks that hold JUMBF boxes (C2PA's among them).
        exif: the EXIF block of a PNG, which may stand behind the pixels; of others Pillow finds it.
        texts: text chunks of a PNG: (kind, keyword, the rest).
    """

    end: int | None = None
    xmp: list[bytes] = field(default_factory=list)
    jumbf: list[bytes] = field(default_factory=list)
    exif: bytes = b""
    texts: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)


def blocks_of(data: bytes) -> Blocks:
    """The blocks of a file of one of `decoding.FORMATS`; of a damaged one as far as they are whole."""
    found = Blocks()
    with suppress(struct.error, IndexError, ValueError):
        if data.startswith(PNG):
            _png(data, found)
        elif data.startswith(b"\xff\xd8"):
            _jpeg(data, found)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            _webp(data, found)
        elif data[:6] in (b"GIF87a", b"GIF89a"):
            _gif(data, found)
        elif data[4:8] == b"ftyp":
            _boxes(data, found)
        elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            _tiff(data, found)
        elif data[:2] == b"BM":
            (length,) = struct.unpack_from("<I", data, 2)
            found.end = length if 54 <= length <= len(data) else None
    return found


def unpacked(data: bytes, limit: int) -> bytes:
    """What deflated bytes hold, expanded to `limit` bytes at most; b"" if they are damaged."""
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        return b""


def itxt(rest: bytes, limit: int) -> bytes:
    """The text of an iTXt chunk, from what follows its keyword."""
    packed, text = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return unpacked(text, limit) if packed else text[:limit]


def _png(data: bytes, found: Blocks) -> None:
    at = len(PNG)
    for _ in range(MAX_BLOCKS):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        body = data[at + 8 : at + 8 + length] if kind != b"IDAT" else b""
        at += length + 12
        if kind == b"IEND":
            found.end = at
            return
        if kind == b"eXIf":
            found.exif = body
        elif kind == b"caBX":
            found.jumbf.append(body)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = body.partition(b"\0")
            if keyword == PNG_XMP and kind == b"iTXt":
                found.xmp.append(itxt(rest, MAX_XMP))
            else:
                found.texts.append((kind, keyword, rest))


def _jpeg(data: bytes, found: Blocks) -> None:
    more: list[tuple[bytes, bytes]] = []
    boxes: dict[int, list[tuple[int, bytes]]] = {}
    others = 0
    for kind, start, stop in _segments(data):
        body = data[start:stop]
        if kind == 0xE1 and body.startswith(JPEG_XMP):
            found.xmp.append(body[len(JPEG_XMP) :])
        elif kind == 0xE1 and body.startswith(JPEG_MORE_XMP):
            more.append((body[:JPEG_MORE], body[JPEG_MORE:]))
        elif kind == 0xEB and body.startswith(b"JP") and len(body) >= 16:
            # a box that fills several segments repeats its first eight bytes in each
            number, place = struct.unpack_from(">HI", body, 2)
            boxes.setdefault(number, []).append((place, body[8:]))
        elif kind == 0xE2 and body.startswith(b"MPF\0"):
            others = _end_of_others(data, start + 4)
        elif kind == 0xD9:
            found.end = max(stop, others) if others <= len(data) else None
    packet = b"".join(part for _, part in sorted(more))
    found.xmp += [packet] if packet else []
    for parts in boxes.values():
        first, *rest = (part for _, part in sorted(parts))
        found.jumbf.append(first + b"".join(part[8:] for part in rest))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(kind, start and stop of its content) of the segments of a JPEG before its first scan, and of its end."""
    at, scanned = 2, False
    for _ in range(MAX_BLOCKS):
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # filling
            at += 1
        if data[at] != 0xFF:
            return
        kind, at = data[at + 1], at + 2
        if kind == 0xD9:
            yield kind, at, at
            return
        if kind == 0x01 or 0xD0 <= kind <= 0xD7:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2 or at + length > len(data):
            return
        if not scanned and kind != 0xDA:
            yield kind, at + 2, at + length
        at += length
        if kind == 0xDA:
            scanned, marker = True, MARKER.search(data, at)
            if marker is None:
                return
            at = marker.end() - 2


def _end_of_others(data: bytes, base: int) -> int:
    """Where the last of the pictures ends that the index of a multi-picture JPEG, at `base`, names; 0 if it names none."""
    order = "<" if data[base : base + 2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, base + 4)
    (count,) = struct.unpack_from(f"{order}H", data, base + at)
    last = 0
    for entry in range(count):
        tag, _, length, place = struct.unpack_from(f"{order}HHII", data, base + at + 2 + 12 * entry)
        if tag == 0xB002:
            for one in range(base + place, base + place + length, 16):
                size, offset = struct.unpack_from(f"{order}II", data, one + 4)
                last = max(last, base + offset + size if offset else 0)
    return last


def _webp(data: bytes, found: Blocks) -> None:
    (length,) = struct.unpack_from("<I", data, 4)
    end = 8 + length + length % 2
    found.end = end if end <= len(data) else 8 + length if 8 + length == len(data) else None
    at = 12
    for _ in range(MAX_BLOCKS):
        if at + 8 > min(end, len(data)):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > min(end, len(data)):
            return
        if kind in (b"XMP ", b"C2PA"):
            (found.xmp if kind == b"XMP " else found.jumbf).append(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2


def _gif(data: bytes, found: Blocks) -> None:
    at = 13 + _palette(data[10])
    for _ in range(MAX_BLOCKS):
        kind = data[at]
        if kind == 0x3B:
            found.end = at + 1
            return
        if kind == 0x2C:
            at += 11 + _palette(data[at + 9])
            at = _sub_blocks(data, at)
        elif kind == 0x21:
            name = data[at + 3 : at + 14] if data[at + 1] == 0xFF and data[at + 2] == 11 else b""
            begin, at = at + 14, _sub_blocks(data, at + 2)
            if name == GIF_XMP:  # plain text, not in sub-blocks
                found.xmp.append(data[begin : max(begin, at - GIF_XMP_TAIL)])
            elif name == GIF_C2PA:
                found.jumbf.append(b"".join(_contents(data, begin)))
        else:
            return


def _palette(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks(data: bytes, at: int) -> int:
    """Where the sub-blocks end that begin here."""
    while data[at]:
        at += 1 + data[at]
    return at + 1


def _contents(data: bytes, at: int) -> Iterator[bytes]:
    while data[at]:
        yield data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]


def _boxes(data: bytes, found: Blocks) -> None:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", data, at + 8), 16
        length = len(data) - at if length == 0 else length
        if length < head or at + length > len(data) or not kind.isalnum():
            break
        if kind == b"uuid":
            name, body = data[at + head : at + head + 16], data[at + head + 16 : at + length]
            if name in (BOX_XMP, BOX_C2PA):
                (found.xmp if name == BOX_XMP else found.jumbf).append(body)
        at += length
    found.end = at


def _tiff(data: bytes, found: Blocks) -> None:
    """Of the first directory; where a TIFF ends it does not say, its parts may lie anywhere."""
    from io import BytesIO

    from PIL import TiffImagePlugin

    head = TiffImagePlugin.ImageFileDirectory_v2(data[:8] if data[2:3] in b"*\0" else data[:16])
    file = BytesIO(data)
    file.seek(head.next)
    head.load(file)
    for tag, into in ((TIFF_XMP, found.xmp), (TIFF_C2PA, found.jumbf)):
        value = head.get(tag)
        if isinstance(value, bytes):
            into.append(value)

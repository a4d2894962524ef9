"""What an image file is beyond what Pillow tells: why one that cannot be read is refused, and colours it declares."""

import struct

from sedid.data.tiffs import MAGIC, TiffKind

PNG = b"\x89PNG\r\n\x1a\n"
# JPEG start-of-frame markers that libjpeg has no decoder for
FRAMES = {0xC3: "a lossless", 0xC5: "a hierarchical", 0xC6: "a hierarchical", 0xC7: "a lossless, hierarchical"}
FRAMES |= {0xCB: "a lossless", 0xCD: "a hierarchical", 0xCE: "a hierarchical", 0xCF: "a lossless, hierarchical"}
FRAMES |= {0xF7: "a JPEG-LS"}
# Code points of ITU-T H.273 for what is not taken for sRGB without a word
PRIMARIES = {9: "BT.2020", 10: "XYZ", 11: "DCI-P3", 12: "Display P3"}
TRANSFERS = {8: "linear light", 16: "PQ (HDR)", 17: "SMPTE 428", 18: "HLG (HDR)"}


def unsupported(data: bytes, opened: bool, reason: str) -> str:
    """What a file is whose kind is known but cannot be read, "a lossless JPEG" for instance; "": it may be damaged.

    Args:
        data: the file.
        opened: its header could be read, only its pixels could not.
        reason: what the decoder said, in one line.
    """
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG drawing"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "a HEIC photograph"
    if data[4:8] == b"JXL " or data[:2] == b"\xff\x0a":
        return "a JPEG XL image"
    if data[4:8] == b"jP  " or data[:4] == b"\xff\x4f\xff\x51":
        return "a JPEG 2000 image"
    if data[:4] == b"MM\0+":
        return "a big-endian BigTIFF"
    if data[:4] in MAGIC:
        kind = TiffKind.of_file(data)
        odd = kind is not None and kind.is_whole(len(data)) and not (opened and kind.is_usual)
        return f"a TIFF of {kind.words}" if odd and kind else ""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if reason.startswith(bmp := "Unsupported BMP "):  # "bitfields layout" and the like
        return f"a BMP of an unsupported {reason.removeprefix(bmp)}"
    return ""


def declared_colours(data: bytes) -> str | None:
    """What the code points of an AVIF or PNG declare that is not sRGB, "Display P3, PQ (HDR)"; None without code points."""
    if data[4:8] == b"ftyp":
        box = avif_head(data).partition(b"colrnclx")[2]
        codes = struct.unpack(">HH", box[:4]) if len(box) >= 4 else ()
    else:
        codes = tuple(_png_chunk(data, b"cICP")[:2])
    if not codes:
        return None
    names = [table.get(code, "") for table, code in zip((PRIMARIES, TRANSFERS), codes, strict=False)]
    return ", ".join(filter(None, names))


def avif_head(data: bytes) -> bytes:
    """What an AVIF says about its image, ahead of the coded pixels."""
    return data.partition(b"mdat")[0]


def avif_bits(data: bytes) -> int:
    """Bits a channel of an AVIF, by its first codec configuration box; 8 if it cannot be found."""
    flags = int.from_bytes(avif_head(data).partition(b"av1C")[2][2:3], "big")
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _jpeg(data: bytes) -> str:
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in FRAMES:
            return f"{FRAMES[marker]} JPEG"
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return f"a JPEG of {data[at + 4]} bits a channel" if data[at + 4] != 8 else ""
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return ""


def _png_chunk(data: bytes, wanted: bytes) -> bytes:
    """The body of a PNG's first chunk of a type that stands before the pixels; b"" without one."""
    at = len(PNG)
    while data.startswith(PNG) and at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == wanted:
            return data[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            break
        at += 12 + length
    return b""

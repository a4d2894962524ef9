"""What an image file is beyond what Pillow tells: why one that cannot be read is refused, and colours it declares."""

import struct

from sedid.tiffs import MAGIC, TiffKind

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
    if data[:4] in MAGIC:
        kind = TiffKind.of_file(data)
        odd = kind is not None and kind.is_whole(len(data)) and not (opened and kind.is_usual)
        return f"a TIFF of {kind.words}" if odd and kind else ""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if "nsupported" in reason:  # "Unsupported BMP bitfields layout"
        return f"of a kind that Pillow does not know ({reason[:1].lower()}{reason[1:]})"
    return ""


def declared_colours(data: bytes) -> str:
    """Colours other than sRGB that an AVIF's or PNG's code points declare, "Display P3, PQ (HDR)" for instance; or ""."""
    if data[4:8] == b"ftyp":
        at = data.find(b"colrnclx", 0, data.find(b"mdat"))
        codes = struct.unpack(">HH", data[at + 8 : at + 12]) if at >= 0 and len(data) >= at + 12 else ()
    else:
        codes = tuple(_png_chunk(data, b"cICP")[:2])
    names = [name for table, code in zip((PRIMARIES, TRANSFERS), codes, strict=False) if (name := table.get(code))]
    return ", ".join(names)


def avif_bits(data: bytes) -> int:
    """Bits a channel of an AVIF, by its first codec configuration box."""
    at = data.find(b"av1C")
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
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

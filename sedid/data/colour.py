"""Colours by a file's ICC profile: what the numbers of the file look like in sRGB, which every model here works in."""

from collections.abc import Callable
from functools import lru_cache, partial
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

SAME = 2  # levels of 255: a profile that moves no colour by more is sRGB itself, in other rounding
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}  # as profiles name what the modes hold
IGNORED = "its ICC profile cannot be used and was ignored"

# What photo editors do by default: colours that both spaces have stay as they are, and black becomes black.
INTENT, BLACK = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
EXACT = ImageCms.Flags.NOOPTIMIZE  # which takes a second a megapixel

Way = Callable[[Image.Image], Image.Image]


def to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, str]:
    """Convert an image to sRGB by a profile.

    Args:
        image: RGB, L (gray) or CMYK.
        profile: an ICC profile as a file holds it, possibly damaged.

    Returns:
        The image in RGB, and in words what was done. A profile that is sRGB itself, to the rounding, and one that does not
        fit leave the image as it is; the words are then "" and IGNORED.
    """
    try:
        space = _open(profile).profile.xcolor_space.strip()
        if image.mode == "L" and space == "RGB":  # the grays of an RGB space
            image = image.convert("RGB")
        if space != SPACES[image.mode]:
            return image, IGNORED
        way, name = _way(profile, image.mode)
        return (image, "") if way is None else (way(image), f"to sRGB by its ICC profile{name}")
    except Exception:  # littleCMS raises nearly anything on damaged profiles
        return image, IGNORED


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """CIE Lab (D50) to sRGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return _apply(ImageCms.buildTransform(lab, srgb, "LAB", "RGB", INTENT), image)


def _open(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile))


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    rgb = ImageCms.applyTransform(image, transform)
    assert rgb is not None  # that it is only in place
    return rgb


def _look_up(table: list[int], gray: Image.Image) -> Image.Image:
    return gray.point(table).convert("RGB")


@lru_cache(maxsize=8)  # the pictures of a set often share one
def _way(profile: bytes, mode: str) -> tuple[Way | None, str]:
    """From a profile to sRGB, None where both are the same; and the profile's name in brackets."""
    opened, flags = _open(profile), EXACT | BLACK if mode == "L" else BLACK
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", INTENT, flags)
    way: Way = partial(_apply, transform)
    if mode != "CMYK":
        levels = np.arange(0, 256, 17, dtype=np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(16, -1, 3)
        probe = Image.fromarray(colours if mode == "RGB" else np.arange(256, dtype=np.uint8)[None])
        seen = np.asarray(way(probe), int)
        if np.abs(seen - np.asarray(probe.convert("RGB"), int)).max() <= SAME:
            return None, ""
        if mode == "L":
            way = partial(_look_up, seen[0, :, 1].tolist())
    text = opened.profile.profile_description or ""
    name = "".join(letter for letter in text if letter.isprintable()).strip()[:60]
    return way, f" ({name})" if name else ""

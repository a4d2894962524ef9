"""Colours by a file's ICC profile: what the numbers of the file look like in sRGB, which every model here works in."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

SAME = 2  # levels of 255: a profile that moves no colour by more is sRGB itself, in other rounding
KINDS = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}  # modes, and the colour spaces that profiles name
IGNORED = "its ICC profile cannot be used and was ignored"

# What photo editors do by default: colours that both spaces have stay as they are, and black becomes black.
INTENT, FLAGS = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, str]:
    """Convert an image to sRGB by a profile.

    Args:
        image: RGB, L (gray), CMYK or LAB, without alpha.
        profile: an ICC profile as a file holds it, possibly damaged.

    Returns:
        The image in RGB and what was done in words. A profile that is sRGB itself, to the rounding, and one that does not
        fit the image leave the image as it is; the words are then "" and IGNORED.
    """
    try:
        space = _profile(profile).profile.xcolor_space.strip()
        if image.mode == "L" and space == "RGB":  # grays of an RGB picture
            image = image.convert("RGB")
        if space != KINDS[image.mode]:
            return image, IGNORED
        transform, name = _transform(profile, image.mode)
        if transform is None:
            return image, ""
        # A gray stays gray: rounding tints some levels by one.
        rgb = ImageCms.applyTransform(image, transform)
        assert rgb is not None
        return (rgb.getchannel("G") if image.mode == "L" else rgb).convert("RGB"), f"to sRGB by its ICC profile{name}"
    except Exception:  # littleCMS raises nearly anything on damaged profiles
        return image, IGNORED


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """CIE Lab (D50) to sRGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    rgb = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB", INTENT))
    assert rgb is not None
    return rgb


def _profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile))


@lru_cache(maxsize=8)  # the pictures of a set often share one
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The way from a profile to sRGB, None where both are the same, and the profile's name in brackets."""
    opened = _profile(profile)
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB", INTENT, FLAGS)
    if mode in ("RGB", "L"):
        levels = np.arange(0, 256, 17, dtype=np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(16, -1, 3)
        probe = Image.fromarray(colours if mode == "RGB" else np.arange(256, dtype=np.uint8)[None])
        moved = np.asarray(ImageCms.applyTransform(probe, transform), int) - np.asarray(probe.convert("RGB"), int)
        if np.abs(moved).max() <= SAME:
            return None, ""
    text = opened.profile.profile_description or ""
    name = "".join(letter for letter in text if letter.isprintable()).strip()[:60]
    return transform, f" ({name})" if name else ""

"""What happens to a picture on its way to a detector: re-saved, resized, blurred, cropped, brightened, mirrored.

Every perturbation takes and returns uint8 of one size and rounds to the nearest level: truncated pixels would mark
what was perturbed. It depends on the image, the strength and, where it is random, on the image's place in its set
and a seed; never on which class the image is from, nor on the batch it comes in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from PIL import Image

from sedid.config import known

SUBSAMPLING = "4:2:0"  # of JPEG's colour planes: what cameras, phones and most web sites write
RESAMPLING = Image.Resampling.BILINEAR  # antialiased where it shrinks, as in `images.prepare`
GRAY = 127.5

Apply = Callable[[np.ndarray, float, tuple[int, int]], np.ndarray]
"""(uint8 (H, W, 3), strength, (seed, place)) -> uint8 (H, W, 3)."""


@dataclass(frozen=True)
class Family:
    """One kind of perturbation at any strength.

    Attributes:
        title: what a menu calls it.
        about: what exactly is done, a sentence.
        unit: of the strength, as an axis says it.
        words: a strength in words, a format string.
        strengths: measured by default, each between `low` and `high`.
        low, high, step: what is accepted, and how finely a slider moves; low = high: there is nothing to choose.
        neutral: the strength that changes nothing; None if every strength does something.
    """

    title: str
    about: str
    unit: str
    words: str
    strengths: tuple[float, ...]
    low: float
    high: float
    step: float
    neutral: float | None
    apply: Apply = field(repr=False)


@dataclass(frozen=True)
class Perturbation:
    """One kind at one strength; make it with `perturbation`.

    Attributes:
        name: key of FAMILIES, or "none".
        strength: in `unit`s; None: the image stays as it is.
        label: in words.
    """

    name: str
    strength: float | None
    unit: str
    label: str

    @property
    def key(self) -> str:
        """A short name, also as a setting: "jpeg:75", "none"."""
        return self.name if self.strength is None else f"{self.name}:{self.strength:g}"


def levels(values: np.ndarray) -> np.ndarray:
    """Real values as the nearest of 256 levels."""
    nearest: np.ndarray = np.rint(values).clip(0, 255).astype(np.uint8)
    return nearest


def resized(image: Image.Image, width: float, height: float) -> Image.Image:
    """An image of this size, at least one pixel; Pillow rounds to the nearest level."""
    return image.resize((max(1, round(width)), max(1, round(height))), RESAMPLING)


def _jpeg(image: np.ndarray, quality: float, _: tuple[int, int]) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(quality), subsampling=SUBSAMPLING)
    return np.array(Image.open(file))


def _resize(image: np.ndarray, factor: float, _: tuple[int, int]) -> np.ndarray:
    height, width = image.shape[:2]
    small = resized(Image.fromarray(image), factor * width, factor * height)
    return np.array(resized(small, width, height))


def _blur(image: np.ndarray, sigma: float, _: tuple[int, int]) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # Pillow's Gaussian is a few box filters, far off at small sigmas

    return levels(gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="reflect"))


def _noise(image: np.ndarray, sigma: float, seed: tuple[int, int]) -> np.ndarray:
    return levels(image + sigma * np.random.default_rng(seed).standard_normal(image.shape))


def _crop(image: np.ndarray, share: float, _: tuple[int, int]) -> np.ndarray:
    height, width = image.shape[:2]
    kept_height, kept_width = max(1, round(share * height)), max(1, round(share * width))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    kept = image[top : top + kept_height, left : left + kept_width]
    return np.array(resized(Image.fromarray(kept), width, height))


def _brightness(image: np.ndarray, factor: float, _: tuple[int, int]) -> np.ndarray:
    return levels(factor * image.astype(np.float64))


def _contrast(image: np.ndarray, factor: float, _: tuple[int, int]) -> np.ndarray:
    return levels(GRAY + factor * (image - GRAY))


def _quantise(image: np.ndarray, count: float, _: tuple[int, int]) -> np.ndarray:
    return levels(np.rint(image * ((count - 1) / 255)) * (255 / (count - 1)))


def _flip(image: np.ndarray, _: float, __: tuple[int, int]) -> np.ndarray:
    return image[:, ::-1].copy()


FACTORS = (0.5, 0.75, 0.9, 1.1, 1.25, 1.5)
FAMILIES = {
    "jpeg": Family(
        "JPEG",
        f"Saved as a JPEG file with {SUBSAMPLING} colour subsampling and opened again.",
        "quality", "JPEG, quality {:g}", (95.0, 90.0, 75.0, 50.0, 30.0), 1, 100, 1, None, _jpeg,
    ),
    "resize": Family(
        "Resize down and up",
        "Made smaller by this factor and brought back to its size, both bilinear.",
        "factor", "resized by {:g} and back", (0.9, 0.75, 0.5, 0.25), 0.1, 1, 0.05, 1.0, _resize,
    ),
    "blur": Family(
        "Gaussian blur",
        "Smoothed by a Gaussian of this standard deviation.",
        "sigma, pixels", "blurred, sigma {:g} px", (0.5, 0.75, 1.0, 2.0), 0, 4, 0.05, 0.0, _blur,
    ),
    "noise": Family(
        "Gaussian noise",
        "Independent noise of this standard deviation on every pixel and channel, the same each time.",
        "sigma, of 255 levels", "noise, sigma {:g} of 255", (1.0, 2.0, 5.0, 10.0, 20.0), 0, 64, 0.5, 0.0, _noise,
    ),
    "crop": Family(
        "Crop",
        "The middle is cut out, this share of either side, and brought back to the full size.",
        "share of the side kept", "cropped to {:.0%} of the side", (0.95, 0.9, 0.8, 0.6), 0.2, 1, 0.05, 1.0, _crop,
    ),
    "brightness": Family(
        "Brightness",
        "Every level is multiplied by this factor; what passes white is cut off.",
        "factor", "brightness times {:g}", FACTORS, 0.1, 3, 0.05, 1.0, _brightness,
    ),
    "contrast": Family(
        "Contrast",
        "Every level's distance from middle gray is multiplied by this factor.",
        "factor", "contrast times {:g}", FACTORS, 0.1, 3, 0.05, 1.0, _contrast,
    ),
    "quantise": Family(
        "Fewer levels",
        "Every level is replaced by the nearest of so many, evenly spread from black to white.",
        "levels", "{:g} levels", (128.0, 64.0, 32.0), 2, 256, 1, 256.0, _quantise,
    ),
    "flip": Family(
        "Mirror", "Left and right change places.", "", "mirrored left to right", (1.0,), 1, 1, 1, None, _flip
    ),
}  # fmt: skip
NONE = Perturbation("none", None, "", "as it is")


def perturbation(name: str, strength: float | None = None) -> Perturbation:
    """A perturbation of FAMILIES at one strength; None, or the name "none", is the identity.

    Raises:
        ValueError: there is no such kind, or it does not exist at this strength.
    """
    if name == NONE.name:
        return NONE
    family = FAMILIES[known(name, FAMILIES, "perturbations")]
    if strength is None:
        return Perturbation(name, None, family.unit, NONE.label)
    whole = family.step == 1
    if not family.low <= strength <= family.high or (whole and strength != int(strength)):
        number = "a whole number" if whole else "a number"
        raise ValueError(
            f"the strength of {name} must be {number} from {family.low:g} to {family.high:g}, not {strength:g}"
        )
    return Perturbation(name, float(strength), family.unit, family.words.format(strength))


def named(setting: str) -> list[Perturbation]:
    """What a setting names: "jpeg" is JPEG at its default strengths, "jpeg:75" at one.

    Raises:
        ValueError: as `perturbation`, or the strength is no number.
    """
    name, colon, strength = setting.strip().partition(":")
    if not colon:
        return [perturbation(name, value) for value in FAMILIES[known(name, FAMILIES, "perturbations")].strengths]
    try:
        return [perturbation(name, float(strength))]
    except ValueError as error:
        if "could not convert" not in str(error):
            raise
        raise ValueError(
            f"perturbations takes a name or name:strength, jpeg:75 for instance, not {setting!r}"
        ) from None


MILD = {"jpeg": (75.0, 100.0), "resize": (0.8, 1.0), "noise": (0.0, 2.0), "blur": (0.0, 0.7)}
"""Re-encodings that no eye sees, and between which strengths."""


def mildly(images: np.ndarray, seed: int) -> np.ndarray:
    """Images, uint8 (N, H, W, 3), each re-encoded by one of MILD at a random strength, every second one mirrored.

    What happens to an image depends on the seed and its place in the set alone, not on what it shows.
    """
    made = []
    for place, image in enumerate(images):
        rng = np.random.default_rng([seed, place])
        name = str(rng.choice(list(MILD)))
        strength = rng.uniform(*MILD[name])
        if FAMILIES[name].step == 1:
            strength = round(strength)
        changed = FAMILIES[name].apply(image, strength, (seed, place))
        made.append(changed[:, ::-1] if rng.random() < 0.5 else changed)
    return np.stack(made)


def perturb(image: np.ndarray, one: Perturbation, seed: int = 0, place: int = 0) -> np.ndarray:
    """One image perturbed, at its own size.

    Args:
        image: uint8 (H, W, 3).
        seed, place: of the set and of the image in it; only noise depends on them.

    Returns:
        uint8 (H, W, 3); the image itself where the perturbation is the identity.

    Raises:
        ValueError: the image is of another kind.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 image (H, W, 3), got {image.dtype} {image.shape}")
    if one.strength is None:
        return image
    return FAMILIES[one.name].apply(image, one.strength, (seed, place))


def perturb_all(images: np.ndarray, one: Perturbation, seed: int = 0, first: int = 0) -> np.ndarray:
    """`perturb` on a batch, uint8 (N, H, W, 3), whose first image has the place `first` in its set."""
    if one.strength is None or not len(images):
        return images
    return np.stack([perturb(image, one, seed, place) for place, image in enumerate(images, first)])

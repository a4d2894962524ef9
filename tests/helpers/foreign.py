"""Pictures of kinds that no detector here was calibrated on, drawn with Pillow; the same ones for the same seed.

Each is drawn larger than a detector sees it and comes to it as an upload would, through `images.prepare`. In a checkout

    python -m tests.helpers.foreign BUNDLE --real DATA_SET --generated DATA_SET --out FILE

counts what a detector says of them, and of real and generated images that it has not seen.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Draw = Callable[[np.random.Generator], Image.Image]
WORDS = [
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "is",
    "it",
    "you",
    "that",
    "he",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
    "or",
    "had",
    "by",
]


def colour(rng: np.random.Generator, low: int = 0, high: int = 255) -> tuple[int, int, int]:
    """A colour, every channel within the two levels."""
    red, green, blue = (int(level) for level in rng.integers(low, high + 1, 3))
    return red, green, blue


def page(side: int, background: tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty square picture, and what draws on it."""
    picture = Image.new("RGB", (side, side), background)
    return picture, ImageDraw.Draw(picture)


def sentence(rng: np.random.Generator, count: int) -> str:
    """So many words."""
    return " ".join(rng.choice(WORDS, count))


def text_page(rng: np.random.Generator) -> Image.Image:
    """Lines of dark text on a nearly white page, in one or two columns, some with a heading."""
    side, size = 512, int(rng.integers(11, 26))
    picture, draw = page(side, colour(rng, 238))
    ink, font = colour(rng, 0, 60), ImageFont.load_default(size)
    columns, top = int(rng.integers(1, 3)), 30
    if rng.random() < 0.5:
        draw.text((30, top), sentence(rng, 3).title(), ink, ImageFont.load_default(2 * size))
        top += 3 * size
    width = (side - 60) // columns
    for column in range(columns):
        for y in range(top, side - 30, int(1.5 * size)):
            line = sentence(rng, 20)
            while draw.textlength(line, font) > width - 16:
                line = line.rpartition(" ")[0]
            draw.text((30 + column * width, y), line, ink, font)
    return picture


def chart(rng: np.random.Generator) -> Image.Image:
    """Bars, a line or a pie with axes and labels on white."""
    picture, draw = page(400, (255, 255, 255))
    font, kind = ImageFont.load_default(14), rng.integers(3)
    draw.text((120, 12), sentence(rng, 3), (0, 0, 0), font)
    values = rng.uniform(0.1, 1, int(rng.integers(3, 9)))
    if kind == 2:
        ends = np.cumsum(values / values.sum()) * 360
        for start, end in zip((0, *ends[:-1]), ends, strict=True):
            draw.pieslice((80, 60, 340, 320), start, end, colour(rng, 30, 230), (255, 255, 255), 2)
        return picture
    for y in range(60, 341, 56):
        draw.line((50, y, 380, y), (220, 220, 220))
    draw.line((50, 50, 50, 340, 380, 340), (0, 0, 0), 2)
    step, shade = 320 / len(values), colour(rng, 20, 200)
    tops = [340 - 270 * value for value in values]
    for number, top in enumerate(tops):
        left = 58 + number * step
        draw.text((left, 350), str(int(rng.integers(100))), (0, 0, 0), font)
        if kind == 0:
            draw.rectangle((left, top, left + 0.7 * step, 340), shade)
    if kind == 1:
        draw.line([(58 + number * step, top) for number, top in enumerate(tops)], shade, 4)
    return picture


def cartoon(rng: np.random.Generator) -> Image.Image:
    """A figure with a face before hills and a sky: flat colours, dark outlines."""
    picture, draw = page(320, colour(rng, 120))
    ink = (20, 20, 20)
    for _ in range(int(rng.integers(1, 4))):
        x, y, r = rng.integers(0, 320), rng.integers(180, 300), rng.integers(80, 220)
        draw.ellipse((x - r, y, x + r, y + 2 * r), colour(rng, 60, 220), ink, 4)
    x, y, r = int(rng.integers(100, 220)), int(rng.integers(100, 170)), int(rng.integers(45, 90))
    draw.rounded_rectangle((x - r, y + r // 2, x + r, y + 3 * r), r // 2, colour(rng), ink, 5)
    draw.ellipse((x - r, y - r, x + r, y + r), colour(rng, 150), ink, 5)
    for side in (-1, 1):
        draw.ellipse((x + side * r // 2 - 12, y - 22, x + side * r // 2 + 12, y + 8), (255, 255, 255), ink, 3)
        draw.ellipse((x + side * r // 2 - 4, y - 12, x + side * r // 2 + 4, y), ink)
    draw.arc((x - r // 2, y, x + r // 2, y + 2 * r // 3), 15, 165, ink, 5)
    return picture


def screenshot(rng: np.random.Generator) -> Image.Image:
    """A window with a title bar, a side bar, rows of text and buttons, light or dark."""
    dark = rng.random() < 0.4
    ground, ink = (colour(rng, 18, 45), colour(rng, 190, 240)) if dark else (colour(rng, 235), colour(rng, 10, 70))
    picture, draw = page(480, ground)
    font, accent = ImageFont.load_default(14), colour(rng, 30, 220)
    draw.rectangle((0, 0, 480, 34), accent)
    draw.text((14, 8), sentence(rng, 4).title(), (255, 255, 255), font)
    bar = int(rng.integers(80, 160))
    draw.rectangle((0, 34, bar, 480), tuple(level + (14 if dark else -14) for level in ground))
    for y in range(50, 470, 30):
        draw.text((10, y), sentence(rng, 2), ink, font)
        if rng.random() < 0.8:
            draw.text((bar + 14, y), sentence(rng, int(rng.integers(2, 9))), ink, font)
    for number in range(int(rng.integers(1, 4))):
        left = bar + 20 + 100 * number
        draw.rounded_rectangle((left, 430, left + 80, 460), 6, accent)
        draw.text((left + 12, 437), sentence(rng, 1), (255, 255, 255), font)
    return picture


def flat(rng: np.random.Generator) -> Image.Image:
    """One colour and nothing else."""
    return page(64, colour(rng))[0]


def white_noise(rng: np.random.Generator) -> Image.Image:
    """Every channel of every pixel by itself, at the detector's own size."""
    return Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))


KINDS: dict[str, Draw] = {
    "text pages": text_page,
    "charts": chart,
    "cartoons": cartoon,
    "screenshots": screenshot,
    "flat colours": flat,
    "white noise": white_noise,
}


def drawn(kind: str, count: int, seed: int = 0) -> list[Image.Image]:
    """So many pictures of a kind; each has a seed of its own."""
    return [KINDS[kind](np.random.default_rng([seed, number])) for number in range(count)]


def main() -> None:
    """Judge pictures of every kind, and unseen images of both classes, at the detector's own pair; write the shares."""
    from sedid.data.datasets import fingerprint, load_images
    from sedid.detector.batches import judge_in_batches
    from sedid.detector.bundle import checkpoint_hash, load_detector, versions
    from sedid.method.diffusion import pair_in_words
    from sedid.storage import write_json

    asked = argparse.ArgumentParser(prog="python -m tests.helpers.foreign", description=main.__doc__)
    asked.add_argument("bundle", type=Path)
    for name in ("real", "generated"):
        asked.add_argument(f"--{name}", required=True, help="a data set the detector has not seen")
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--count", type=int, default=100, help="pictures of each kind")
    asked.add_argument("--seed", type=int, default=1, help="0 drew the pictures by which the rule was made")
    given = asked.parse_args()

    detector = load_detector(given.bundle)
    k, t_sec = detector.pair()
    sets = {
        kind: np.stack([detector.prepare(picture) for picture in drawn(kind, given.count, given.seed)])
        for kind in KINDS
    }
    for name in ("real", "generated"):
        sets[name] = load_images(getattr(given, name), detector.size, detector.center_crop)
    shares = {}
    for name, images in sets.items():
        calls = Counter(str(one.stat.call) for one in judge_in_batches(detector, images, k, t_sec) if one.stat)
        shares[name] = {call: count / len(images) for call, count in sorted(calls.items())}
        print(f"{name}: {', '.join(f'{call} {share:.1%}' for call, share in shares[name].items())}", file=sys.stderr)
    stated = {
        "checkpoint_sha256": checkpoint_hash(given.bundle),
        "measured_at": pair_in_words(k, t_sec),
        "ranges": len(detector.ranges),
        "calibration": {name: part["count"] for name, part in detector.info["stat"]["data"].items()},
        "images": {name: {"count": len(images), "sha256": fingerprint(images)} for name, images in sets.items()},
        "seed": given.seed,
        "versions": versions(),
    }
    write_json(given.out, {"protocol": stated, "shares": shares})


if __name__ == "__main__":
    main()

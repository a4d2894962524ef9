"""The quiz "real or generated?": the visitor against STAT and NN on the embedded sample.

What a visitor has answered is kept in the browser (a `Record`). Which image comes when is drawn from the visitor's
token AND a secret of this process, so that nothing in the page tells a real image from a generated one before the guess.
"""

import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from sedid.data.datasets import load_images
from sedid.detector.detector import GENERATED, REAL, Call, Detector, Judgement, Trace, Verdict
from sedid.method.diffusion import pair_in_words
from sedid.report.filmstrip import error_maps
from sedid.report.pictures import GRADIENT, data_uri, heat, text
from sedid.ui.learn.verdicts import call

SECRET = secrets.token_bytes(16)
GUESSES = (REAL, GENERATED, Call.UNDECIDED)
PLAYERS = {"you": "You", "stat": "STAT", "nn": "NN"}


@dataclass(frozen=True)
class Tally:
    """One player's score; what is neither "real" nor "generated" is no answer."""

    answered: int = 0
    right: int = 0

    def plus(self, answer: str, truth: str) -> "Tally":
        """After one more image."""
        given = answer in (REAL, GENERATED)
        return Tally(self.answered + given, self.right + (given and answer == truth))


@dataclass(frozen=True)
class Record:
    """What a visitor's browser keeps.

    Attributes:
        visitor: a random token; seeds the order of the images.
        seen: how many images were answered or skipped.
        you, stat, nn: the scores.
    """

    visitor: str
    seen: int = 0
    you: Tally = Tally()
    stat: Tally = Tally()
    nn: Tally = Tally()

    @classmethod
    def new(cls) -> "Record":
        """Of a visitor who never played."""
        return cls(secrets.token_hex(8))

    @classmethod
    def read(cls, stored: Any) -> "Record":
        """What a browser sent; a new one if it makes no sense."""
        try:
            seen, token = stored["seen"], stored["visitor"]
            tallies = [Tally(stored[name]["answered"], stored[name]["right"]) for name in PLAYERS]
        except (TypeError, KeyError):
            return cls.new()
        numbers = [seen, *(number for tally in tallies for number in (tally.answered, tally.right))]
        if not all(type(number) is int and number >= 0 for number in numbers):
            return cls.new()
        fair = all(tally.right <= tally.answered <= seen for tally in tallies)
        return cls(token, seen, *tallies) if fair and isinstance(token, str) and 0 < len(token) <= 64 else cls.new()

    def stored(self) -> dict[str, Any]:
        """Plain values, for the browser."""
        return asdict(self)

    def after(self, guess: str, judgement: Judgement, truth: str) -> "Record":
        """The record once an image was answered."""
        return replace(
            self,
            seen=self.seen + 1,
            you=self.you.plus(guess, truth),
            stat=self.stat.plus(answer(judgement.stat), truth),
            nn=self.nn.plus(answer(judgement.nn), truth),
        )


def answer(verdict: Verdict | None) -> str:
    """What a method answers: its verdict; without a calibration, it cannot tell."""
    return Call.UNDECIDED if verdict is None else verdict.call


@dataclass(frozen=True)
class Sample:
    """The images of the quiz.

    Attributes:
        images: uint8 (N, H, W, 3).
        generated: bool (N,).
    """

    images: np.ndarray
    generated: np.ndarray

    def question(self, record: Record) -> tuple[np.ndarray, str] | None:
        """(image, truth) of a visitor's next image; None when all were seen."""
        if record.seen >= len(self.images):
            return None
        seed = hmac.new(SECRET, record.visitor.encode(), hashlib.sha256).digest()
        order = np.random.default_rng(int.from_bytes(seed)).permutation(len(self.images))
        index = order[record.seen]
        return self.images[index], GENERATED if self.generated[index] else REAL


@cache
def load_sample(size: int, center_crop: float | None, known: tuple[bytes, ...] = ()) -> Sample:
    """The embedded sample as a detector sees it, without images that the page shows with their class elsewhere.

    Args:
        size, center_crop: the detector's.
        known: the pixels of those images, as bytes.
    """
    parts = [load_images(f"sample:{kind}", size, center_crop) for kind in (REAL, GENERATED)]
    images = np.concatenate(parts)
    new = np.array([image.tobytes() not in known for image in images])
    return Sample(images[new], np.repeat([False, True], [len(part) for part in parts])[new])


def percent(tally: Tally) -> str:
    """The share of right answers."""
    return f"{tally.right / tally.answered:.0%}" if tally.answered else "&ndash;"


def scoreboard(record: Record) -> str:
    """The running score of all three."""
    rows = "".join(
        f"<tr><th>{name}</th><td>{tally.answered} of {record.seen}</td><td>{tally.right}</td><td><b>{percent(tally)}</b></td></tr>"
        for key, name in PLAYERS.items()
        for tally in [getattr(record, key)]
    )
    return (
        '<table class="learn-table learn-score"><caption>The score so far</caption><thead><tr><th>who</th><th>answered</th><th>right</th>'
        f"<th>right of answered</th></tr></thead><tbody>{rows}</tbody></table>"
        '<p class="sed-fine">“Cannot tell” is no answer, and a skipped image is none of yours. '
        '<button type="button" class="learn-guess learn-link" data-guess="again">Start over</button></p>'
    )


def intro(detector: Detector) -> str:
    """What the quiz is."""
    other = (
        ""
        if same_checkpoint(detector)
        else f" The detector of this app, {text(detector.name)}, belongs to another model: it cannot be expected to know them."
    )
    return (
        '<header><h2 tabindex="-1">Real or generated?</h2><p>These images are photographs, or made by the model that ships with this '
        "app; none of them calibrated or trained the shipped detector. Guess first; then see what STAT and NN say, and where the "
        f"error is.{other}</p></header>"
    )


def enlarged(image: np.ndarray, alt: str) -> str:
    """The image, large and not smoothed."""
    return f'<img class="learn-large" src="{data_uri(image)}" alt="{text(alt)}">'


def ask(detector: Detector, image: np.ndarray, record: Record) -> str:
    """A question: nothing in it depends on the truth but the pixels."""
    shown = enlarged(image, f"Image {record.seen + 1}, {len(image)} by {len(image)} pixels, enlarged")
    buttons = "".join(
        f'<button type="button" class="learn-guess learn-guess-{style}" data-guess="{guess}" data-seen="{record.seen}" '
        f'aria-keyshortcuts="{key}">{words} <kbd>{key}</kbd></button>'
        for guess, words, key, style in (
            (REAL, "Real", "R", "real"),
            (GENERATED, "Generated", "G", "generated"),
            (Call.UNDECIDED, "Skip", "S", "skip"),
        )
    )
    return (
        f'<article class="learn-quiz">{intro(detector)}<div class="learn-table-side"><figure>{shown}</figure><div><h3>Image {record.seen + 1}: what is it?</h3>'
        f'<div class="learn-buttons">{buttons}</div>{scoreboard(record)}</div></div></article>'
    )


def opinion(guess: str, truth: str) -> str:
    """How the visitor did."""
    if guess not in (REAL, GENERATED):
        return "You skipped it."
    return "You were right." if guess == truth else "You were wrong."


def reveal(detector: Detector, trace: Trace, judgement: Judgement, guess: str, truth: str, record: Record) -> str:
    """The answer: the truth, both verdicts, the heatmap.

    Args:
        record: with this image counted.
    """
    maps = error_maps(trace, False)[trace.t_secs.index(judgement.t_sec)]
    hot = heat(maps, float(np.quantile(maps, 0.995)))
    image = trace.image
    return (
        f'<article class="learn-quiz">{intro(detector)}<div class="learn-table-side"><figure>{enlarged(image, f"The image: {truth}")}'
        '<button type="button" class="res-open learn-inspect">'
        f'<img src="{data_uri(image)}" alt="" hidden>Look at it in Inspect</button></figure>'
        f'<div><h3 role="status">It is <b class="sed-ink-{truth}">{truth}</b>. {opinion(guess, truth)}</h3>'
        f'<div class="learn-buttons"><button type="button" class="learn-more" aria-keyshortcuts="N">Next image <kbd>N</kbd></button></div>'
        f'<div class="learn-calls">{call("STAT", judgement.stat, judgement)}{call("NN", judgement.nn, judgement)}</div>'
        f'<div class="learn-after"><figure class="learn-heat"><img class="learn-large" src="{data_uri(hot)}" alt="Heatmap of the t-error">'
        f'<figcaption><i style="background:{GRADIENT}"></i>where the t-error is, at {pair_in_words(judgement.k, judgement.t_sec)}</figcaption>'
        f"</figure><div>{scoreboard(record)}</div></div></div></div></article>"
    )


def finished(detector: Detector, record: Record) -> str:
    """All images were seen."""
    return f'<article class="learn-quiz">{intro(detector)}<div><h3>You have seen all {record.seen} images.</h3>{scoreboard(record)}</div></article>'


def same_checkpoint(detector: Detector) -> bool:
    """Whether the generated images of the sample come from this detector's own model."""
    from sedid.paths import ASSETS
    from sedid.storage import read_json

    return read_json(ASSETS / "sample.json").get("checkpoint_sha256") == detector.info.get("checkpoint_sha256")

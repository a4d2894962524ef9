"""The quiz "real or generated?": the visitor against STAT and NN, on pictures of known origin (`sedid.ui.known`).

What a visitor has answered is kept in the browser (`Records`), for each detector by itself. Which image comes when is drawn from the visitor's
token AND a secret of this process, so that nothing in the page tells a real image from a generated one before the guess.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from sedid.detector.detector import GENERATED, REAL, Call, Detector, Judgement, Trace, Verdict
from sedid.method.diffusion import pair_in_words
from sedid.report.filmstrip import error_maps
from sedid.report.pictures import heat
from sedid.ui.html import render
from sedid.ui.known import Known, same_checkpoint
from sedid.ui.learn.verdicts import call

SECRET = secrets.token_bytes(16)
GUESSES = (REAL, GENERATED, Call.UNDECIDED)
KEPT = 5  # detectors whose records a browser keeps
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
    """What a visitor's browser keeps of the quiz with one detector.

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


@dataclass(frozen=True)
class Records:
    """All that a visitor's browser keeps: a `Record` of each of the last few detectors.

    Attributes:
        kept: as `Record.stored`, by the detector (`name_of`); the last one played comes last.
    """

    kept: dict[str, Any]

    @classmethod
    def read(cls, stored: str) -> "Records":
        """What a browser sent; none if it makes no sense."""
        try:
            known = dict(json.loads(stored))
        except (TypeError, ValueError, RecursionError):
            known = {}
        return cls({name: one for name, one in known.items() if isinstance(one, dict)})

    def of(self, detector: Detector) -> Record:
        """The record of a detector; a new one where there is none."""
        return Record.read(self.kept.get(name_of(detector)))

    def after(self, detector: Detector, record: Record) -> "Records":
        """With another record of a detector."""
        others = {name: one for name, one in self.kept.items() if name != name_of(detector)}
        return Records(dict(list(others.items())[1 - KEPT :]) | {name_of(detector): record.stored()})

    def stored(self) -> str:
        """As a text, for the browser."""
        return json.dumps(self.kept)


def name_of(detector: Detector) -> str:
    """What tells detectors apart in a browser's storage."""
    return str(detector.info.get("checkpoint_sha256", detector.name))[:16]


def answer(verdict: Verdict | None) -> str:
    """What a method answers: its verdict; without a calibration, it cannot tell."""
    return Call.UNDECIDED if verdict is None else verdict.call


@dataclass(frozen=True)
class Sample:
    """The images of the quiz.

    Attributes:
        images: uint8 (N, H, W, 3).
        generated: bool (N,).
        known: the pictures they are taken from.
    """

    images: np.ndarray
    generated: np.ndarray
    known: Known

    def question(self, record: Record) -> tuple[np.ndarray, str] | None:
        """(image, truth) of a visitor's next image; None when all were seen."""
        if record.seen >= len(self.images):
            return None
        seed = hmac.new(SECRET, record.visitor.encode(), hashlib.sha256).digest()
        order = np.random.default_rng(int.from_bytes(seed)).permutation(len(self.images))
        index = order[record.seen]
        return self.images[index], GENERATED if self.generated[index] else REAL


def sample_of(known: Known, shown: tuple[bytes, ...] = ()) -> Sample:
    """Pictures of known origin as the images of a quiz.

    Args:
        shown: the pixels, as bytes, of images that the page shows with their class elsewhere; they are left out.
    """
    images = np.concatenate(list(known.images.values()))
    new = np.array([image.tobytes() not in shown for image in images])
    counts = [len(images) for images in known.images.values()]
    generated = np.repeat([label == GENERATED for label in known.images], counts)
    return Sample(images[new], generated[new], known)


def drawn(stage: str, detector: Detector, sample: Sample, record: Record, **values: Any) -> Markup:
    """What the quiz shows at a stage: "ask", "reveal" or "finished" (`quiz.html`)."""
    return render(
        "quiz.html",
        stage=stage,
        record=record,
        detector=detector,
        known=sample.known,
        scores=[(name, getattr(record, key)) for key, name in PLAYERS.items()],
        same=same_checkpoint(detector),
        **values,
    )


def ask(detector: Detector, sample: Sample, image: np.ndarray, record: Record) -> Markup:
    """A question: nothing in it depends on the truth but the pixels."""
    guesses = (
        (REAL, "Real", "R", "real"),
        (GENERATED, "Generated", "G", "generated"),
        (Call.UNDECIDED, "Skip", "S", "skip"),
    )
    return drawn("ask", detector, sample, record, image=image, guesses=guesses)


def opinion(guess: str, truth: str) -> str:
    """How the visitor did."""
    if guess not in (REAL, GENERATED):
        return "You skipped it."
    return "You were right." if guess == truth else "You were wrong."


def reveal(
    detector: Detector, sample: Sample, trace: Trace, judgement: Judgement, guess: str, truth: str, record: Record
) -> Markup:
    """The answer: the truth, both verdicts, the heatmap.

    Args:
        record: with this image counted.
    """
    maps = error_maps(trace, False)[trace.t_secs.index(judgement.t_sec)]
    methods = (("STAT", judgement.stat), ("NN", judgement.nn))
    return drawn(
        "reveal",
        detector,
        sample,
        record,
        image=trace.image,
        heat=heat(maps, float(np.quantile(maps, 0.995))),
        truth=truth,
        opinion=opinion(guess, truth),
        calls=[call(method, verdict, judgement) for method, verdict in methods],
        at=pair_in_words(judgement.k, judgement.t_sec),
    )


def finished(detector: Detector, sample: Sample, record: Record) -> Markup:
    """All images were seen."""
    return drawn("finished", detector, sample, record)

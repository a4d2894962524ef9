"""What a family of models calls things: those that predict noise, and those of flow matching.

A schedule brings the words of its family (`Schedule.words`); whatever is said of a walk takes them from there.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """The words and signs of a family, without markup.

    Attributes:
        said: what the network says at a point, in two words; its change is one factor of the t-error.
        sign: what equations call that.
        sees: what a visitor is told of a picture of it.
        implied: what a visitor is told of the noise that follows from it.
        mind: what the network may change its mind about.
        weight: c, of which the fixed weight is the square.
        power, signal, noise: the share of the image's power that is left at a timestep, and the factors of image and noise.
    """

    said: str
    sign: str
    sees: str
    implied: str
    mind: str
    weight: str
    power: str
    signal: str
    noise: str


NOISE = Wording(
    said="predicted noise",
    sign="ε",
    sees="the noise it sees here",
    implied="what the network says was added",
    mind="the noise",
    weight="√(1−ᾱₜ) − √(ᾱₜ / ᾱₛ) · √(1−ᾱₛ)",  # noqa: RUF001
    power="ᾱ",
    signal="√ᾱ",
    noise="√(1-ᾱ)",
)
FLOW = Wording(
    said="predicted velocity",
    sign="v",
    sees="the velocity it sees here: the noise minus the image",
    implied="where the velocity leads: the noise end of the path",
    mind="the velocity",
    weight="σₛ − σₜ",  # noqa: RUF001
    power="(1-σ)²",  # noqa: RUF001
    signal="1-σ",  # noqa: RUF001
    noise="σ",  # noqa: RUF001
)

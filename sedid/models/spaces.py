"""Where a model walks: on pixels in colour, on grey ones, or on latents; the way there from a picture, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sedid.later import torch

if TYPE_CHECKING:
    from torch import Tensor


class Space(Protocol):
    """Pictures (N, 3, H, W), RGB in [-1, 1], to what a model walks on, and back."""

    @property
    def channels(self) -> int:
        """Of what the model walks on."""
        ...

    @property
    def latent(self) -> bool:
        """Whether a VAE stands before the model."""
        ...

    @property
    def note(self) -> str:
        """What is done to a picture on the way there, beside its scaling; "" for nothing."""
        ...

    @property
    def frames(self) -> int:
        """Points of a walk that are shown as pictures, at most: as many as can be decoded while somebody waits."""
        ...

    def encode(self, pictures: Tensor) -> Tensor:
        """x_0 of pictures, (N, channels, h, w), on their device."""
        ...

    def decode(self, x: Tensor) -> Tensor:
        """X of any timestep as pictures, on its device; nothing is clipped."""
        ...


class Pixels:
    """The pixels as they are."""

    channels, latent, note, frames = 3, False, "", 24

    def encode(self, pictures: Tensor) -> Tensor:
        """The pictures themselves."""
        return pictures

    def decode(self, x: Tensor) -> Tensor:
        """The same again."""
        return x


PIXELS = Pixels()


class Grey:
    """One channel: the luma of ITU-R BT.601 in 8 bits, as Pillow converts RGB to L; a grey picture passes unchanged."""

    channels, latent, note, frames = 1, False, "converted to grey, of which alone the model knows", 24

    def encode(self, pictures: Tensor) -> Tensor:
        """Grey pictures (N, 1, H, W) in [-1, 1]."""
        red, green, blue = ((pictures + 1) * 127.5).round().to(torch.int32).unbind(1)
        levels = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        return levels[:, None].to(pictures.dtype) / 127.5 - 1

    def decode(self, x: Tensor) -> Tensor:
        """All three channels alike."""
        return x.expand(-1, 3, -1, -1)

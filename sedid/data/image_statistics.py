"""Local statistics of an image that have nothing to do with who made it, but that a t-error may follow.

All are computed on the 8-bit image as the detector sees it, on its luma Y = 0.299 R + 0.587 G + 0.114 B (ITU-R
BT.601), levels 0 .. 255. None changes under flips or transposition (the blockiness only at sides that are multiples
of 8). The first four measure detail, compression and resampling; the last two are the plainest things there are.
"""

from collections.abc import Callable

import numpy as np

BLOCK = 8  # of JPEG, pixels
PLAIN = 3  # statistics of `plain_statistics`
ALIKE = 3  # levels, summed over the channels, by which neighbours that are alike may differ
SMALLER_HALF = 0.32466  # mean of |z| over the half of the smaller |z|, z standard normal: 4 (phi(0) - phi(0.6745))
LEAST = 2 * BLOCK  # the smallest side that has a block edge and an inside


def luma(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) -> float64 (N, H, W), 0 .. 255.

    Raises:
        ValueError: other arrays, or images smaller than 16x16.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < LEAST:
        raise ValueError(
            f"image statistics need uint8 (N, H, W, 3) of at least {LEAST}x{LEAST}, got {images.dtype} {images.shape}"
        )
    y: np.ndarray = images @ np.array([0.299, 0.587, 0.114])
    return y


def high_frequency(y: np.ndarray) -> np.ndarray:
    """Share of the power above half the Nyquist frequency on either axis, of the DCT-II without its mean, 0 .. 1.

    The DCT and not the DFT, whose wrap-around edge would count as detail. A flat image has 0. Brightness and contrast
    do not change it.

    Args:
        y: luma (N, H, W).
    """
    from scipy.fft import dctn

    power = dctn(y, axes=(1, 2), norm="ortho") ** 2
    power[:, 0, 0] = 0
    height, width = y.shape[1:]
    # coefficient i of H has the frequency i / 2H; Nyquist is 1/2
    high = (2 * np.arange(height) >= height)[:, None] | (2 * np.arange(width) >= width)
    total = power.sum(axis=(1, 2))
    flat = total <= 1e-9 * y.shape[1] * y.shape[2]
    return np.where(flat, 0.0, power[:, high].sum(axis=1) / np.where(flat, 1.0, total))


def laplacian_variance(y: np.ndarray) -> np.ndarray:
    """Natural logarithm of 1 + the variance of the five-point Laplacian inside the border.

    The logarithm because the variance spans orders of magnitude; 1 is about what 8-bit rounding alone gives.
    """
    inner = y[:, 1:-1, 1:-1]
    laplacian = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:] - 4 * inner
    logarithm: np.ndarray = np.log1p(laplacian.var(axis=(1, 2)))
    return logarithm


def finest_noise(images: np.ndarray) -> np.ndarray:
    """How strong the finest noise is, in grey levels, by the diagonal band HH of the Haar wavelet, (N,).

    HH = (a - b - c + d) / 2 of every 2x2 block a b / c d of each channel. Edges make a few blocks large, so that the mean of
    |HH| over the smaller half of the blocks is taken, in units of what it is for normal noise: noise of sigma levels on every
    pixel gives sigma.

    Args:
        images: uint8 (N, H, W, 3).
    """
    x = images[:, : images.shape[1] // 2 * 2, : images.shape[2] // 2 * 2].astype(np.float64)
    band = (x[:, ::2, ::2] - x[:, ::2, 1::2] - x[:, 1::2, ::2] + x[:, 1::2, 1::2]) / 2
    sizes = np.sort(np.abs(band).reshape(len(x), -1), axis=1)
    found: np.ndarray = sizes[:, : sizes.shape[1] // 2].mean(axis=1) / SMALLER_HALF
    return found


def blockiness(y: np.ndarray) -> np.ndarray:
    """Logarithm of the mean step across the edges of the 8x8 grid over the mean step inside it; 0 without a trace.

    Half a level is added to both, so that flat areas do not blow it up. It sees only a grid that starts at the corner:
    a photograph that was JPEG before it was resized has none left.
    """
    steps = [np.abs(np.diff(y, axis=1)), np.abs(np.diff(y, axis=2)).swapaxes(1, 2)]
    across = np.concatenate([step[:, BLOCK - 1 :: BLOCK].reshape(len(y), -1) for step in steps], axis=1)
    inside = [np.delete(step, np.s_[BLOCK - 1 :: BLOCK], axis=1).reshape(len(y), -1) for step in steps]
    between = np.concatenate(inside, axis=1)
    trace: np.ndarray = np.log((across.mean(axis=1) + 0.5) / (between.mean(axis=1) + 0.5))
    return trace


def resize_blur(y: np.ndarray) -> np.ndarray:
    """Gradient energy left after halving and doubling the size again, over that before.

    It is near 1 for an image that was enlarged before, and 1 for a flat one. Both resizes are bilinear and antialiased,
    without rounding.
    """
    import torch
    from torch.nn.functional import interpolate

    def resized(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
        return interpolate(x, size, mode="bilinear", antialias=True)

    height, width = y.shape[1:]
    half = resized(torch.from_numpy(y)[:, None], (height // 2, width // 2))
    again = resized(half, (height, width))[:, 0].numpy()
    before, after = gradient_energy(y), gradient_energy(again)
    flat = before <= 1e-9 * height * width
    return np.where(flat, 1.0, after / np.where(flat, 1.0, before))


def gradient_energy(y: np.ndarray) -> np.ndarray:
    """Sum of the squared steps between neighbours, both axes, (N,)."""
    energy: np.ndarray = (np.diff(y, axis=1) ** 2).sum(axis=(1, 2)) + (np.diff(y, axis=2) ** 2).sum(axis=(1, 2))
    return energy


def plain_statistics(images: np.ndarray) -> np.ndarray:
    """The plainest things to say of an image, for telling photographs from drawings: float64 (N, 3).

    The mean of its luma (0 .. 1); the logarithm of 1 + its standard deviation in levels; and the square root of the share
    of neighbours that are alike, all channels together within ALIKE levels.

    Args:
        images: uint8 (N, H, W, 3) of any size.
    """
    y, levels = images @ np.array([0.299, 0.587, 0.114]), images.astype(np.int16)
    steps = [np.abs(np.diff(levels, axis=axis)).sum(axis=3).reshape(len(images), -1) for axis in (1, 2)]
    alike = (np.concatenate(steps, axis=1) <= ALIKE).mean(axis=1)
    return np.stack([y.mean(axis=(1, 2)) / 255, np.log1p(y.std(axis=(1, 2))), np.sqrt(alike)], axis=1)


STATISTICS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "high_frequency": ("high-frequency share", high_frequency),
    "laplacian_variance": ("Laplacian variance (log)", laplacian_variance),
    "blockiness": ("JPEG blockiness", blockiness),
    "resize_blur": ("resize blur", resize_blur),
    "mean": ("mean level", lambda y: y.mean(axis=(1, 2))),
    "contrast": ("contrast", lambda y: y.std(axis=(1, 2))),
}
"""Key -> (what it is called, its function of luma)."""


def image_statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Every one of STATISTICS, float64 (N,).

    Args:
        images: uint8 (N, H, W, 3), at least 16x16.

    Raises:
        ValueError: other arrays.
    """
    y = luma(images)
    return {name: function(y) for name, (_, function) in STATISTICS.items()}

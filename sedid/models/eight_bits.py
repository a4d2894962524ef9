"""Weights in 8 bits: a quarter of float32.

Of a layer with one row of weights for each output channel (a convolution, a linear layer), a row is kept as whole numbers from
-127 to 127 and the scale they are multiplied by. No weight moves by more than half a scale: 1/254 of the largest in its row.
All else (biases, the statistics of batch norms) is kept in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sedid.later import torch

if TYPE_CHECKING:
    from torch import Tensor

SCALE = ".scale"  # after a tensor's name: the scales of its rows
TOP = 127


def to_eight_bits(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network as they are kept.

    Args:
        state: float tensors by name; those of two or more dimensions have a row for each output channel.

    Returns:
        int8 rows and their float32 scales (rows,); float16; what holds no floating-point numbers as it is.
    """
    kept = {}
    for name, tensor in state.items():
        if tensor.ndim < 2 or not tensor.is_floating_point():
            kept[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        rows = tensor.detach().float().flatten(1)
        scale = rows.abs().amax(1) / TOP
        whole = rows / torch.where(scale > 0, scale, torch.ones_like(scale))[:, None]
        kept[name] = whole.round().to(torch.int8).view_as(tensor)
        kept[name + SCALE] = scale
    return kept


def from_eight_bits(kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network, float32 where they are floating-point numbers; what was never in 8 bits is taken as it is.

    Raises:
        ValueError: the scales of a tensor are missing.
        RuntimeError: they do not fit its rows.
    """
    state = {}
    for name, tensor in kept.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in kept:
            continue
        if tensor.dtype == torch.int8:
            if name + SCALE not in kept:
                raise ValueError(f"{name} is in 8 bits and {name + SCALE} is missing")
            tensor = tensor.float() * kept[name + SCALE].float().view(-1, *[1] * (tensor.ndim - 1))
        state[name] = tensor.float() if tensor.is_floating_point() else tensor
    return state

"""A classifier training between two epochs: what a run that was killed continues from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sedid.later import torch
from sedid.storage import replacing, stored_tensors

if TYPE_CHECKING:
    from torch import Tensor

BUFFER = "momentum_buffer"


def save_state(
    file: Path,
    key: str,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    progress: dict[str, Any],
) -> None:
    """Write everything `load_state` needs, atomically.

    Args:
        key: settings and data behind the run; another run has no use for its state.
        best: the weights of the best epoch so far.
        progress: plain values.
    """
    from safetensors.torch import save_file

    tensors = {f"weights.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for name, parameter in network.named_parameters():
        if (buffer := optimizer.state[parameter].get(BUFFER)) is not None:  # none without momentum
            tensors[f"momentum.{name}"] = buffer
    with replacing(file) as temporary:
        save_file(
            {name: value.detach().contiguous() for name, value in tensors.items()},
            temporary,
            {"key": key, "progress": json.dumps(progress)},
        )


def load_state(
    file: Path, key: str, network: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Put the saved weights and momentum back in place.

    Returns:
        `best` and `progress` as they were saved; None if there is no state of this very run.

    Raises:
        ValueError: the state is damaged, or not finite.
    """
    if not file.is_file():
        return None
    with stored_tensors(file) as stored:
        metadata = stored.metadata()
        if metadata["key"] != key:
            return None
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise ValueError(f"{file} holds numbers that are not finite, so nothing can be continued from it: delete it")
    for name, value in network.state_dict().items():
        value.copy_(tensors[f"weights.{name}"])
    for name, parameter in network.named_parameters():
        if (buffer := tensors.get(f"momentum.{name}")) is not None:
            # the layout of the parameter, without which the same sums would round differently
            optimizer.state[parameter][BUFFER] = torch.empty_like(parameter).copy_(buffer)
    # an earlier version kept more of the best epoch than its weights
    best = {name: tensors[kept] for name in network.state_dict() if (kept := f"best.{name}") in tensors}
    return best, json.loads(metadata["progress"])

"""Memory of a device: what waits outside it, what is worked through in pieces, and how many rows of a batch fit.

How memory is saved is a setting (`settings.Saving`). Waiting changes no number: the same device computes them all. Slices change
the last digits, as another device does; tiles change more, so a calibration holds for one way of encoding only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sedid.later import torch

if TYPE_CHECKING:
    from sedid.models.networks import Runtime

SHARE = 0.5
"""Of the free memory, what a batch may take: the walk, its pictures and other networks take some, too."""


def settle(network: Any, runtime: Runtime, seldom: bool = False) -> Any:
    """Put a network on the device; or, if the runtime says so, beside it: then a layer's weights come when it works, and go.

    Args:
        seldom: it works once a picture or once a prompt, not at every timestep.
    """
    network.requires_grad_(False)
    if "slices" in runtime.memory and hasattr(network, "set_attention_slice"):
        network.set_attention_slice("auto")
    if not waits(runtime, seldom):
        return runtime.place(network)
    from accelerate import cpu_offload

    return cpu_offload(network.to(memory_format=torch.channels_last), runtime.device)


def waits(runtime: Runtime, seldom: bool) -> bool:
    """Whether a network waits outside the device, as `settle`."""
    return "layers" in runtime.memory or (seldom and "offload" in runtime.memory)


def cut_into_tiles(vae: Any) -> None:
    """Let an `AutoencoderKL` see a picture of its own size in tiles of half the side, which overlap by a quarter of theirs."""
    vae.enable_tiling()
    vae.tile_sample_min_size = vae.config.sample_size // 2
    vae.tile_latent_min_size = vae.tile_sample_min_size // 2 ** (len(vae.config.block_out_channels) - 1)


def rows_that_fit(most: int, free: int, row: int) -> int:
    """How many rows of a batch a network is asked at once: as many as fit, and one at least.

    Args:
        most: rows that are never exceeded.
        free: bytes of the device's memory.
        row: bytes that one row takes while the network works.
    """
    return max(1, min(most, int(free * SHARE) // max(row, 1)))


def free_bytes(device: torch.device) -> int | None:
    """Memory of a device that is free, or held by PyTorch for reuse; None of a device that does not tell."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    kept: int = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free) + kept


def bytes_taken(device: torch.device, call: Callable[[], Any]) -> int:
    """Memory that a call takes while it works, measured; what others take meanwhile counts, so it is rather too much."""
    before: int = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device)) - before

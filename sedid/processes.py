"""One process among several, as `torchrun` and `accelerate launch` start them: who does what, and how results meet.

`Runtime.choose` joins them. Work is dealt in whole batches, the ones a single process would form, and its results are gathered in their order,
so that every process ends with the values of a single process. Files are written by the main process alone, in a
folder all of them see. With one process nothing here imports Accelerate or opens a process group.
"""

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
P = ParamSpec("P")

PATIENCE = timedelta(days=7)  # a slow peer is waited for; the launcher ends all when one of them dies


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", 1))


def index() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", 0))


def is_main() -> bool:
    """Whether this is the process that writes and prints."""
    return index() == 0


def join(device: str) -> "torch.device":
    """Open the process group, once; returns this process's own device.

    Args:
        device: "auto" (the GPUs if there are any), "cuda" or "cpu".

    Raises:
        ValueError: another device, or more processes than GPUs.
    """
    import torch
    from accelerate import PartialState

    gpus = torch.cuda.device_count()
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    if device not in ("cuda", "cpu"):
        raise ValueError(f"several processes run on cuda or cpu, each on its own device, not on {device!r}")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device == "cuda" and here > gpus:
        raise ValueError(f"{here} processes need as many GPUs, and there are {gpus}; start fewer, or use device cpu")
    atexit.unregister(leave)  # loops that follow each other in one process join again
    atexit.register(leave)
    own: torch.device = PartialState(cpu=device == "cpu", timeout=PATIENCE).device
    return own


def leave() -> None:
    """Close the process group: its threads must not outlive the interpreter, which would end in an abort."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def end(code: int) -> None:
    """Of several processes, end this one at once with an exit code; its work is done and its files are written.

    Torn down in the usual order, a process of a gloo group aborts now and then ("terminate called without an active
    exception"): a thread of the group is still there when the library's own objects go. One process returns.
    """
    if count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def share(items: Sequence[T]) -> Sequence[T]:
    """The items of this process: dealt in turn."""
    return items[index() :: count()]


def gathered(mine: Sequence[T]) -> Sequence[T]:
    """The results of every process's share, in the order of what was dealt; the same in every process."""
    if count() == 1:
        return mine
    from torch import distributed

    parts: list[Sequence[T]] = [()] * count()
    distributed.all_gather_object(parts, mine)
    absent = object()
    dealt = chain.from_iterable(zip_longest(*parts, fillvalue=absent))
    return [value for value in dealt if value is not absent]  # type: ignore[misc]


def on_main(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in the main process once all processes are here; its result, or its error, in all of them."""
    if count() == 1:
        return function(*args, **kwargs)
    from torch import distributed

    distributed.barrier()
    outcome: list[object] = [None, None]
    if is_main():
        try:
            outcome[0] = function(*args, **kwargs)
        except Exception as error:
            outcome[1] = error
    distributed.broadcast_object_list(outcome)
    if isinstance(outcome[1], Exception):
        raise outcome[1]
    return outcome[0]  # type: ignore[return-value]

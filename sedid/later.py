"""PyTorch, imported where something of it is first asked for, so that pages and command lines answer before it is there.

It takes longer to import than all the rest together. Modules that the page is built of write `from sedid.later import torch`
and use it as ever; annotations take `Tensor` from PyTorch itself, under `TYPE_CHECKING`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any


class Later:
    """A module that is imported with the first of its attributes that is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import torch
else:
    torch = Later("torch")
__all__ = ["Later", "torch"]

"""What was used last: the one cache of the page, bounded and safe to share between threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were put or looked at last.

    Args:
        most: how many are kept.
        weigh, weight: what one weighs, and what all of them may; the newest always stays.
    """

    def __init__(self, most: int, weigh: Callable[[V], float] = lambda _: 0.0, weight: float = inf) -> None:
        self._most, self._weigh, self._weight = most, weigh, weight
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._weighs = 0.0
        self._lock = threading.Lock()

    def get(self, key: K, otherwise: V | None = None) -> V | None:
        """A value, which becomes the most recent one; `otherwise` if it is not here."""
        with self._lock:
            if key not in self._kept:
                return otherwise
            self._kept.move_to_end(key)
            return self._kept[key]

    def put(self, key: K, value: V) -> None:
        """Keep a value, and let go of the oldest ones over the limits."""
        with self._lock:
            if key in self._kept:
                self._weighs -= self._weigh(self._kept.pop(key))
            self._kept[key] = value
            self._weighs += self._weigh(value)
            while len(self._kept) > 1 and (len(self._kept) > self._most or self._weighs > self._weight):
                self._weighs -= self._weigh(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()
            self._weighs = 0.0

    def __len__(self) -> int:
        return len(self._kept)

"""Who may do what, and how much of it.

A page is public on a Hugging Face Space and where SEDID_PUBLIC=1 says so. There, nobody starts jobs or opens other
detectors than those of the menu, except in a page unlocked with SEDID_ADMIN_PASSWORD; and a visitor gets so many
network evaluations a minute. Handlers ask here, so that the API is held to the same.
"""

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from math import ceil
from typing import Any

from sedid import settings
from sedid.ui.recent import Recent

MINUTE = 60.0
PAGE_EVALUATIONS = 600  # a minute, of one page: 85 inspections at k = 165, or 3 at k = 5
ADDRESS_EVALUATIONS = 6_000  # of all pages of one address: a class behind one router
ATTEMPTS, ALL_ATTEMPTS, ATTEMPTS_TIME = 5, 30, 15 * MINUTE  # at the password, of one address and of all
UNLOCKED_TIME = 8 * 60 * MINUTE
OFF = (
    "This is a public demo: training and new studies are switched off, and only the detectors of the menu can be opened. "
    "Run the app yourself to use them."
)

Visitor = tuple[str, str]
"""(page, address): the session of an open page, and where it is open."""


class Allowance:
    """So much of something in so much time, for each of many: token buckets that are full at first.

    Args:
        amount: what a full bucket holds; it fills in `seconds`.
        keys: how many are remembered; who was not seen the longest is forgotten, and starts anew.
        clock: seconds, never going back.
    """

    def __init__(
        self, amount: float, seconds: float, keys: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.amount, self.seconds, self.clock = amount, seconds, clock
        self._levels: Recent[str, tuple[float, float]] = Recent(keys)  # level, at this time

    def level(self, key: str) -> float:
        """What is left for one."""
        level, at = self._levels.get(key) or (self.amount, 0.0)
        return min(self.amount, level + (self.clock() - at) * self.amount / self.seconds)

    def wait(self, key: str, amount: float) -> float:
        """Seconds until so much is left; 0: now."""
        return max(0.0, amount - self.level(key)) * self.seconds / self.amount

    def take(self, key: str, amount: float) -> None:
        """Use it."""
        self._levels.put(key, (self.level(key) - amount, self.clock()))


_lock = threading.Lock()
_unlocked: Recent[Visitor, float] = Recent(100)  # until when
pages, addresses = Allowance(PAGE_EVALUATIONS, MINUTE), Allowance(ADDRESS_EVALUATIONS, MINUTE)
tries, all_tries = Allowance(ATTEMPTS, ATTEMPTS_TIME), Allowance(ALL_ATTEMPTS, ATTEMPTS_TIME)


def is_public() -> bool:
    """Whether strangers are expected: SEDID_PUBLIC says so, else whether this is a Space."""
    return settings.read().is_public


def password() -> str:
    """The host's password; empty: there is none, and nothing can be unlocked."""
    return settings.read().admin_password


def visitor() -> Visitor | None:
    """Whose event is being handled; None: the app's own work."""
    from gradio.context import LocalContext

    request: Any = LocalContext.request.get(None)
    if request is None:
        return None
    client = getattr(request, "client", None)
    return request.session_hash or "", client.host if client else ""


def refusal() -> str:
    """Why who asks may neither start anything nor open other detectors; empty if they may."""
    if not is_public():
        return ""
    asking = visitor()
    with _lock:
        return "" if asking is not None and (_unlocked.get(asking) or 0) > time.monotonic() else OFF


def refuse() -> None:
    """Hold the line where jobs are switched off, whatever the page shows.

    Raises:
        gr.Error: they are.
    """
    if words := refusal():
        raise _error(words)


def unlock(given: str) -> None:
    """Unlock the page that asks, for some hours.

    Raises:
        gr.Error: another password, or too many attempts.
    """
    asking = visitor()
    wanted = password()
    if asking is None or not wanted:
        raise _error("Nothing can be unlocked here.")
    address = asking[1]
    with _lock:
        wait = max(tries.wait(address, 1), all_tries.wait("", 1))
        if wait:
            raise _error(f"Too many attempts: the next one is possible in {in_words(wait)}.")
        tries.take(address, 1)
        all_tries.take("", 1)
        digests = (hashlib.sha256(text.encode()).digest() for text in (given or "", wanted))
        if not hmac.compare_digest(*digests):
            raise _error("That is not the password.")
        _unlocked.put(asking, time.monotonic() + UNLOCKED_TIME)


def afford(evaluations: int) -> None:
    """Refuse at once what `charge` would never allow, whatever was used before.

    Raises:
        gr.Error: it is more than a page gets in a minute.
    """
    if is_public() and visitor() is not None and evaluations > pages.amount:
        raise _error(
            f"This asks for {evaluations:,} network evaluations at once; on this public page {PAGE_EVALUATIONS:,} are "
            "possible. Choose a larger k or fewer images."
        )


def charge(evaluations: int) -> None:
    """Take so many network evaluations from what the visitor has; free for the app itself and where nobody is a stranger.

    Raises:
        gr.Error: there is not so much left; the text says how long to wait.
    """
    if not is_public() or (asking := visitor()) is None:
        return
    afford(evaluations)
    page = "\n".join(asking)
    with _lock:
        wait = max(pages.wait(page, evaluations), addresses.wait(asking[1], evaluations))
        if not wait:
            pages.take(page, evaluations)
            addresses.take(asking[1], evaluations)
    if wait:
        raise _error(
            f"You have used this public page's share of network evaluations. Please wait {in_words(wait)} and try again."
        )


def in_words(seconds: float) -> str:
    """A waiting time."""
    count = ceil(seconds)
    if count > 90:
        return f"{ceil(seconds / MINUTE)} minutes"
    return f"{count} second{'' if count == 1 else 's'}"


def _error(words: str) -> Exception:
    import gradio as gr

    return gr.Error(words, print_exception=False)

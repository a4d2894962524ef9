"""Errors in words: which ones are a user's to read, and what of them."""

import re

NO_MEMORY = re.compile("out of memory|can't allocate memory|not enough memory|Unable to allocate")
"""How torch and numpy say it."""


def sentence(error: BaseException) -> str:
    """What a user reads of an error, one line; "" where it is a fault of this program."""
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and NO_MEMORY.search(str(error))):
        return "there is not enough memory for this: smaller batches or images need less"
    if isinstance(error, RecursionError):
        return "a file that was given is nested too deeply to be read"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:  # not "[Errno 2] ..."
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) if isinstance(error, ValueError | OSError) else ""


def first_line(error: BaseException) -> str:
    """What a library says of an error, fit for the end of a sentence of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]

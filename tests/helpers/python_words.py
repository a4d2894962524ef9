"""Words of Python in what a user reads, of which no user knows what to do about them."""

PYTHON = (
    "NoneType",
    "object is not",
    "not subscriptable",
    "unhashable",
    "indices must be",
    "__init__",
    "format string",
)

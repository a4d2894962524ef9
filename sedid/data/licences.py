"""Which photographs may be passed on, and which stand in for those that may not.

CelebA and ImageNet are given out for research that earns nothing, and nobody may publish their pictures again. What this
project writes to be passed on, a bundle and the embedded sample, therefore holds none of them; the photographs in
assets/photographs, free of rights (assets/CREDITS.md), are a detector's real examples instead.
"""

from sedid.paths import ASSETS

PHOTOGRAPHS = ASSETS / "photographs"
CLOSED = {"celeba": "CelebA", "imagenet": "ImageNet"}
"""Part of a name -> the data set it tells of, whose photographs may not be passed on."""


def closed(*names: str) -> str:
    """The data set whose photographs may not be passed on, if one of these names tells of any; else "".

    Args:
        names: specs of data sets, paths, or what a data set is called.
    """
    told = " ".join(names).lower()
    return next((title for part, title in CLOSED.items() if part in told), "")

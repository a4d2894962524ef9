"""SeDID Explorer: step-wise error detection of diffusion-generated images (arXiv 2307.06272).

import sedid
detector = sedid.load_detector()                      # the shipped CIFAR-10 detector
found = detector.inspect("photo.png", t_sec=495, k=165)
if found.judgement.stat:                              # None where nothing is calibrated
    print(found.judgement.stat.call)                  # generated, real, cannot tell or outside the calibrated range
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sedid.detector.bundle import load_detector

__version__ = "0.2.0"
__all__ = ["__version__", "load_detector"]


def __getattr__(name: str) -> Any:
    if name == "load_detector":  # torch takes seconds to import: `--help` does without it
        from sedid.detector.bundle import load_detector

        return load_detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

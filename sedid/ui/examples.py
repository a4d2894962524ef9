"""The images offered for a first look: the app's own, and those that a bundle brings."""

from dataclasses import dataclass, replace
from pathlib import Path

from sedid.detector.sample import LABELS, example_files
from sedid.method import paper
from sedid.paths import ASSETS

EXAMPLES = ASSETS / "examples"
DATA_SETS = {name.lower(): name for name in paper.DATA_SETS}
STAND_IN = "photograph, not from the test set"


@dataclass(frozen=True)
class Example:
    """One of the images offered for a first look.

    Attributes:
        name: what a link calls it: the file name without its suffix, after that of the bundle it belongs to, if any.
        origin: "real" or "generated".
        data_set: the one its reals are from, whose model made its generated images.
        stand_in: a photograph from elsewhere, where those of the data set may not be passed on.
    """

    path: Path
    name: str
    origin: str
    data_set: str = "CIFAR-10"
    stand_in: bool = False

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        return STAND_IN if self.stand_in else self.origin


def list_examples(folder: Path = EXAMPLES) -> tuple[Example, ...]:
    """Those of `example_files`, in its order."""
    return tuple(
        Example(path, path.stem, LABELS[kind], stand_in=kind == "photograph")
        for kind, path in example_files(Path(folder))
    )


def bundle_examples(bundle: Path) -> tuple[Example, ...]:
    """The examples that a detector bundle brings; empty if it has none."""
    name = bundle.resolve().name
    return tuple(
        replace(one, name=f"{name}-{one.name}", data_set=DATA_SETS.get(name, name))
        for one in list_examples(bundle / "sedid" / "examples")
    )

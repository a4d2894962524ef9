"""What `ship` writes of how a detector came about: the curve of its network's training, and how good its images look."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sedid.data.quality import Chance
from sedid.results import Results, Rows, Setting
from sedid.studies.study import MadeBy, migrated_maker


@dataclass(frozen=True)
class HeldoutLoss:
    """The loss on held-out images after a step; `heldout_plain` is None where it was not measured."""

    step: int
    heldout_loss: float
    heldout_plain: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingResults(Results):
    """What stands in training.json.

    Attributes:
        settings: of the training run, with what came of it.
        heldout: the curve; empty where no held-out images were measured.
        versions: of the code that wrote it; empty in older files.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "ship"

    settings: dict[str, Setting]
    heldout: tuple[HeldoutLoss, ...]
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        return found


@dataclass(frozen=True)
class Reference:
    """The test reals."""

    count: int
    contrast: float


@dataclass(frozen=True)
class QualityRow:
    """One generated set against as many test reals.

    Attributes:
        swd: sliced Wasserstein distance by side of a level in pixels.
        made_by: how it was made; None where no manifest says.
        chance: what as many training images come to; None where it was not measured.
    """

    set: str
    count: int
    swd: dict[int, float]
    contrast: float
    made_by: MadeBy | None
    chance: Chance | None = None


@dataclass(frozen=True, kw_only=True)
class QualityResults(Results):
    """What stands in quality.json.

    Attributes:
        method: by which sets are compared.
        versions: of the code that wrote it; empty in older files.
    """

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "ship"

    method: str
    reference: Reference
    rows: Rows[QualityRow]
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(row.swd.keys() != self.rows[0].swd.keys() for row in self.rows):
            raise ValueError("the levels of swd differ between rows")

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        for row in found["rows"]:
            row["made_by"] = migrated_maker(row.get("made_by"))
        return found

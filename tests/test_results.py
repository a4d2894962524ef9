"""A results file says what it is: of which version, whole, and with the fields that its type names."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sedid.escaping import OtherFile
from sedid.paths import ASSETS, ROOT
from sedid.results import Interval, Results, Rows
from sedid.studies.kinds import KINDS, rewrite
from sedid.studies.speed import SpeedResults
from sedid.studies.study import short_name
from sedid.training.trials import TrialsResults

CHECKPOINTS = ROOT / "checkpoints"
OWN = ("defence",)
"""What is measured of models of its own, so that not every bundle has it."""
SHIPPED: dict[str, tuple[type[Results], Path]] = {
    **{
        f"{bundle}/{name}": (kind, CHECKPOINTS / bundle / "sedid" / f"{name}.json")
        for bundle in ("cifar10", "celeba", "tiny-imagenet")
        for name, kind in KINDS.items()
        if name not in OWN
    },
    "trials": (TrialsResults, CHECKPOINTS / "trials.json"),
    "bench": (SpeedResults, ASSETS / "bench.json"),
}


@dataclass(frozen=True)
class Line:
    """A row."""

    auc: float
    interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Small(Results):
    """A results file that once called its rows "lines"."""

    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "small"

    rows: Rows[Line]
    counts: dict[str, int]

    def __post_init__(self) -> None:
        if len(self.counts) > 9:
            raise ValueError("there are too many counts")

    @classmethod
    def migrated(cls, found: dict[str, Any]) -> dict[str, Any]:
        """See `Results`."""
        return {"rows": found["lines"], "counts": {}}


WHOLE = Small(rows=(Line(0.5, (0.25, 0.75)), Line(1.0)), counts={"real": 3})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    WHOLE.write(tmp_path / "small.json")
    assert json.loads((tmp_path / "small.json").read_text()) == {"version": 2, **json.loads(json.dumps(asdict(WHOLE)))}
    assert Small.read(tmp_path / "small.json") == WHOLE


def test_the_version_before_is_read_by_its_rule(tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text('{"lines": [{"auc": 1}]}')  # without a version, as the first one was
    assert Small.read(tmp_path / "small.json") == Small(rows=(Line(1.0),), counts={})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"version": 3, "rows": []}', "it has version 3, and this program reads 1 and 2"),
        ('{"version": true}', "it has version True"),
        ('{"version": 2, "counts": {}}', "rows is missing"),
        ('{"version": 2, "counts": {}, "rows": []}', "rows must not be empty"),
        ('{"version": 2, "counts": {}, "rows": [{"auc": "0.5"}]}', r"rows\[0\].auc must be a valid number, not '0.5'"),
        ('{"version": 2, "counts": {}, "rows": [{"auc": NaN}]}', r"rows\[0\].auc must be a finite number"),
        ('{"version": 2, "counts": {}, "rows": [{"auc": 1e400}]}', r"rows\[0\].auc must be a finite number"),
        ('{"version": 2, "counts": {}, "rows": [{"auc": 1, "tpr": 2}]}', r"rows\[0\].tpr is unknown"),
        ('{"version": 2, "counts": {}, "rows": [1]}', r"rows\[0\] must be names and values, not 1"),
        ('{"version": 2, "counts": [], "rows": [{"auc": 1}]}', "counts must be names and values"),
        (json.dumps({"version": 2, "counts": dict.fromkeys("abcdefghij", 1), "rows": [{"auc": 1}]}), "too many counts"),
        ('{"rows": []}', ""),
        ("[]", ""),
        ("3", ""),
    ],
)
def test_another_content_is_a_sentence(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "small.json"
    file.write_text(content)
    with pytest.raises(
        OtherFile, match=rf"small\.json is not a results file of `python -m sedid small`.*{why}"
    ) as said:
        Small.read(file)
    assert "\n" not in str(said.value)


def test_a_figure_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Small(rows=(Line(float("nan")),), counts={}).write(tmp_path / "small.json")
    assert not (tmp_path / "small.json").exists()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_files_are_of_this_version_and_nothing_of_them_is_lost(name: str, tmp_path: Path) -> None:
    """If this fails: python -m sedid upgrade checkpoints/NAME"""
    kind, file = SHIPPED[name]
    found = kind.read(file)
    assert json.loads(found.text()) == json.loads(file.read_text())
    found.write(tmp_path / "again.json")
    assert kind.read(tmp_path / "again.json") == found


def test_a_bundle_that_is_up_to_date_is_left_as_it_is() -> None:
    assert rewrite(CHECKPOINTS / "cifar10") == []


@pytest.mark.parametrize(
    ("spec", "short"),
    [
        ("/home/me/photos/[0:700]", "photos[0:700]"),
        ("/home/me/photos/", "photos"),
        ("made/images.npz[5:9]", "images.npz[5:9]"),
        ("sample:real[0:100]", "sample:real[0:100]"),
        ("", ""),
    ],
)
def test_a_data_set_is_stated_without_its_folders(spec: str, short: str) -> None:
    assert short_name(spec) == short

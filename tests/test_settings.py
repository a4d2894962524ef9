"""Every environment variable is read in one place, refused in words, and described where the documents say."""

import re

import pytest

from sedid import settings
from sedid.paths import ROOT
from sedid.settings import Settings

PAGE = ROOT / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)


def test_what_is_not_set_or_empty_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_RUNS_MAX_GB", "")
    found = settings.read()
    assert (found.runs_max_gb, found.disk_free_gb, str(found.runs), found.detector) == (5, 1, "runs", "")
    assert not found.is_public


def test_what_is_set_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_RUNS_MAX_GB", "0.5")
    assert settings.read().runs_max_gb == 0.5
    monkeypatch.setenv("SEDID_RUNS_MAX_GB", "7")
    assert settings.read().runs_max_gb == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEDID_RUNS_MAX_GB", "much"),
        ("SEDID_RUNS_MAX_GB", "-1"),
        ("SEDID_DISK_FREE_GB", "nan"),
        ("SEDID_PUBLIC", "perhaps"),
        ("SEDID_MEMORY", "layers, half"),
    ],
)
def test_a_value_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name) as refused:
        settings.read()
    assert value.split()[-1] in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "pydantic" not in str(refused.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.read().detector = "x"  # type: ignore[misc]


def test_the_page_shows_every_variable_as_it_is() -> None:
    assert settings.table() in PAGE.read_text(encoding="utf-8")


def test_nothing_else_reads_a_variable_of_ours() -> None:
    readers = [
        file.name
        for file in ROOT.glob("sedid/**/*.py")
        if re.search(r"environ(\.get\(|\[|\.setdefault\()\s*[\"']SEDID_", file.read_text(encoding="utf-8"))
    ]
    assert readers == []

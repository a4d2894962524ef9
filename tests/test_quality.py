"""Format, lint and types: part of the one test command, and the first tests it runs."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from sedid.paths import ROOT

TEXTS = ["sedid", "tests", "docs", *map(str, ROOT.glob("*.md")), *map(str, ROOT.glob("checkpoints/*/README.md"))]


@pytest.mark.parametrize(
    "tool",
    [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"], ["codespell_lib", *TEXTS]],
    ids=["format", "lint", "types", "spelling"],
)
def test_clean(tool: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_style_sheets_and_scripts_are_clean() -> None:
    biome = Path(sysconfig.get_path("scripts")) / "biome"
    done = subprocess.run([biome, "check", "--error-on-warnings", "sedid"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_run_first(request: pytest.FixtureRequest) -> None:
    assert str(request.session.items[0].path) == __file__

"""Format, lint and types: part of the one test command."""

import subprocess
import sys

import pytest

from sedid.paths import ROOT


@pytest.mark.parametrize(
    "tool", [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"]], ids=["format", "lint", "types"]
)
def test_clean(tool: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_over_400_lines() -> None:
    files = [*ROOT.glob("sedid/**/*.py"), *ROOT.glob("tests/*.py")]
    long = {str(file.relative_to(ROOT)): count for file in files if (count := len(file.read_text().splitlines())) > 400}
    assert not long

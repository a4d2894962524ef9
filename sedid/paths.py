"""Where the things beside the code are. Only a checkout has them: an installed package is code alone."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASSETS, CHECKPOINTS, DOCS = ROOT / "assets", ROOT / "checkpoints", ROOT / "docs"


def only_in_a_checkout(what: str, instead: str) -> str:
    """Why one of them is missing from an installed package, and the way out, as a sentence."""
    return f"{what} does not come with the installed package: work in a checkout of the project, or {instead}"


@cache
def commit() -> str:
    """The commit of the checkout, with "-dirty" behind it where files differ from it; "" where that cannot be told."""
    if not (ROOT / ".git").exists():
        return ""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20)  # noqa: S603 - a list, no shell
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""

"""Where the things beside the code are. Only a checkout has them: an installed package is code alone."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASSETS, CHECKPOINTS, DOCS = ROOT / "assets", ROOT / "checkpoints", ROOT / "docs"


def only_in_a_checkout(what: str, instead: str) -> str:
    """Why one of them is missing from an installed package, and the way out, as a sentence."""
    return f"{what} does not come with the installed package: work in a checkout of the project, or {instead}"

"""What pip-audit says of the pinned packages: which have a hole that is known."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sedid.paths import ROOT

PINS = ROOT / "constraints.txt"
SECONDS = 20
"""For all that is asked; an answer of the network has five of them."""
AUDIT = (sys.executable, "-m", "pip_audit", "--requirement", str(PINS), "--no-deps", "--disable-pip")
"""The pins as they stand: nothing is resolved, fetched or installed."""
QUIET = ("--format", "json", "--progress-spinner", "off", "--timeout", "5")
NETWORK = ("requests.exceptions.", "ServiceError", "your network may be blocking")
"""What pip-audit's last words have in them where it was the network that failed."""


class Unknown(Exception):
    """Nothing was learnt, and why."""


@dataclass(frozen=True)
class Audit:
    """What the database of holes says.

    Attributes:
        packages: that were asked about.
        known: of these to the database.
        holes: package, version, the hole's name and the versions without it.
    """

    packages: int
    known: int
    holes: list[str]


def read(answer: str) -> Audit:
    """pip-audit's own JSON.

    Raises:
        Unknown: the database knows none of the packages.
    """
    packages = json.loads(answer)["dependencies"]
    known = [one for one in packages if "vulns" in one]  # of the others the database answered nothing
    if not known:
        raise Unknown("nothing was audited: the database of known holes knows none of the packages")
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {' or '.join(hole['fix_versions']) or 'no version'}"
        for one in known
        for hole in one["vulns"]
    ]
    return Audit(len(packages), len(known), holes)


def audit(
    folder: Path, command: Sequence[str] = AUDIT, env: Mapping[str, str] | None = None, seconds: float = SECONDS
) -> Audit:
    """Ask about the pinned packages.

    Args:
        folder: what pip-audit keeps and writes goes there.
        command: that asks.
        env: its environment; this one's if None.
        seconds: after which nothing more is waited for.

    Raises:
        Unknown: the database cannot be reached, or knows none of the packages.
        RuntimeError: pip-audit itself failed.
    """
    file = folder / "audit.json"
    words = [*command, *QUIET, "--cache-dir", str(folder / "cache"), "--output", str(file)]
    try:
        done = subprocess.run(words, env=env, timeout=seconds, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        raise Unknown(
            f"nothing was audited: the database of known holes did not answer within {seconds} seconds"
        ) from None
    if file.is_file():  # written once all is answered
        return read(file.read_text(encoding="utf-8"))
    if any(word in done.stderr for word in NETWORK):
        raise Unknown("nothing was audited: the database of known holes cannot be reached")
    raise RuntimeError(f"pip-audit ended with {done.returncode}: {done.stderr[-500:]}")

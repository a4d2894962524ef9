"""What `nox -s coverage` commits of coverage's own report: lines by folder, and the files with the most that no test runs.

python -m tests.helpers.covered REPORT.json --out tests/coverage.json
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from sedid.storage import write_json

GOAL = 0.9
MOST = 10  # files that are named


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """What is committed of a report.

    Args:
        report: as `coverage json` writes it, of paths below the checkout.
    """
    counted = {
        file: (one["summary"]["covered_lines"], one["summary"]["num_statements"])
        for file, one in report["files"].items()
    }
    folders: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for file, lines in counted.items():
        parts = Path(file).parts  # sedid/FOLDER/..., or flat in sedid/
        folders[parts[1] if len(parts) > 2 else "flat"].append(lines)
    missed = sorted(counted, key=lambda file: counted[file][0] - counted[file][1])[:MOST]
    return {
        "coverage": report["meta"]["version"],
        "lines": sum(lines for _, lines in counted.values()),
        "share": share(list(counted.values())),
        "folders": {name: share(lines) for name, lines in sorted(folders.items())},
        "most_missed": {file: counted[file][1] - counted[file][0] for file in missed},
    }


def share(lines: list[tuple[int, int]]) -> float:
    """Of (run, all) pairs together; 1 of nothing."""
    whole = sum(all for _, all in lines)
    return round(sum(run for run, _ in lines) / whole, 4) if whole else 1.0


def main() -> None:
    """Write the summary and say the share; exit code 1 below the goal."""
    asked = argparse.ArgumentParser(prog="python -m tests.helpers.covered", description=main.__doc__)
    asked.add_argument("report", type=Path)
    asked.add_argument("--out", type=Path, required=True)
    given = asked.parse_args()
    found = summary(json.loads(given.report.read_text(encoding="utf-8")))
    write_json(given.out, found)
    print(f"{found['share']:.1%} of {found['lines']:,} lines: {given.out}")
    sys.exit(found["share"] < GOAL)


if __name__ == "__main__":
    main()

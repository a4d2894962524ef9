"""How many changes to `method/` and `stats/` their tests find: a drawn sample of mutmut's mutants. In a checkout

    python -m tests.helpers.mutants --out tests/mutants.json

A mutant is killed if a test fails with it or runs ten times as long, and survives if the tests of `tests/method` and `tests/stats`
(pyproject.toml) pass. One that no test reaches has survived, too.
"""

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

MUTANTS = Path("mutants")
CAME = dict.fromkeys((1, 3, 24, -24, 36, 152, 255), "killed") | {0: "survived", 5: "not reached", 33: "not reached"}
"""mutmut's exit code of a mutant -> what came of it; all but the first two that count as killed are time limits."""


def mutmut(*names: str) -> None:
    """Try mutants by name."""
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names], check=False)


def found() -> dict[str, int | None]:
    """Exit code of every mutant; None of those that were not tried."""
    files = sorted(MUTANTS.rglob("*.meta"))
    return {name: code for file in files for name, code in json.loads(file.read_text())["exit_code_by_key"].items()}


def report(names: list[str], of: int, seed: int) -> dict[str, object]:
    """What is committed of a sample: counts, and the names of what survived."""
    codes = found()
    tried = {name: code for name in names if (code := codes[name]) is not None}
    came = {name: CAME.get(code, f"exit code {code}") for name, code in tried.items()}
    counts = Counter(came.values())
    return {
        "mutmut": version("mutmut"),
        "mutants": of,
        "sample": len(came),
        "seed": seed,
        "killed_share": round(counts["killed"] / max(len(came), 1), 4),
        "counts": dict(sorted(counts.items())),
        "not_killed": sorted(name for name, what in came.items() if what != "killed"),
    }


def main() -> None:
    """Draw a sample of mutants, try each, and write what came of it; exit code 1 below the goal."""
    asked = argparse.ArgumentParser(prog="python -m tests.helpers.mutants", description=main.__doc__)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--sample", type=int, default=400, help="how many; 0: all")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--goal", type=float, default=0.85, help="the share that has to be killed")
    given = asked.parse_args()
    mutmut("sedid.stats.metrics.x_sign_of__mutmut_1")  # makes them all
    every = sorted(found())
    names = random.Random(given.seed).sample(every, given.sample) if 0 < given.sample < len(every) else every
    mutmut(*names)
    made = report(names, len(every), given.seed)
    given.out.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    print(f"{made['killed_share']:.1%} of {made['sample']} mutants were killed: {given.out}")
    sys.exit(made["killed_share"] < given.goal)


if __name__ == "__main__":
    main()

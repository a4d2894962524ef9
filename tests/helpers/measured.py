"""What long commands measured, as tables between markers in CONTRIBUTING.md and docs/hosting.md. In a checkout

    python -m tests.helpers.measured

writes them anew, each from the file its command wrote. A block stays empty as long as there is no such file.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from sedid.paths import ROOT

PAGES = (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "hosting.md")
FOLDER = ROOT / "tests"
NO_BF16 = 1e-4
"""Below this, what was to run in bf16 did not."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def corpus(found: dict[str, Any]) -> str:
    """tests/corpus.json in one sentence."""
    tries = sum(sum(ways.values()) for ways in found["tries"].values())
    bounds, faults = found["bounds"], len(found["faults"])
    return (
        f"{sum(found['files'].values())} bad files in {tries:,} tries: {faults or 'no'} fault{'s' * (faults != 1)}. The slowest took "
        f"{found['slowest_seconds']:.1f} s of at most {bounds['seconds']}, and memory grew by {found['memory_grew_megabytes']:,} MB of at most "
        f"{bounds['megabytes']:,}."
    )


def coverage(found: dict[str, Any]) -> str:
    """tests/coverage.json in one sentence."""
    name, least = min(found["folders"].items(), key=lambda folder: folder[1])
    return f"{found['share']:.1%} of {found['lines']:,} lines; least in `{name}`, {least:.1%}."


def mutants(found: dict[str, Any]) -> str:
    """tests/mutants.json in one sentence."""
    return f"{found['killed_share']:.1%} of {found['sample']:,} changes drawn from {found['mutants']:,} were found."


def load(found: dict[str, Any]) -> str:
    """tests/load.json as a table."""
    settings, waits = found["settings"], found["by_kind"]
    names = {"inspect": "a new picture", "move": "another T_SEC", "step": "another k", "batch": "20 pictures"}
    rows = [
        [names[kind], f"{one['count']:,}", *(f"{one[at]:.2f} s" for at in ("p50", "p95", "worst"))]
        for kind, one in {name: waits[name] for name in names if name in waits}.items()
        if one["count"]
    ]
    alone, growth = found["alone"], found["growth"]
    errors = sum(found["errors"].values())
    said = (
        f"{settings['visitors']} visitors for {found['seconds']:.0f} s on {found['cores']} cores: {found['pictures_per_second']:.1f} pictures a second, "
        f"{found['of_network']:.2f} of the bare network's {found['network_per_second']:.1f} in batches of 32; {errors or 'no'} error{'s' * (errors != 1)}. "
        f"One visitor alone waits {alone['p50']:.2f} s for a new picture. Memory ended at {found['megabytes'][-1]:,} MB"
    )
    said += f", {growth:+.1%} over the last two thirds of the time." if growth is not None else "."
    return f"{said}\n\n{table(['asked for', 'answers', 'half wait less than', '19 of 20 less than', 'longest'], rows)}"


def before(found: dict[str, Any]) -> str:
    """tests/load-before.json in one sentence."""
    return (
        f"Before walks were shared (commit 9a69e01), the same visitors got {found['pictures_per_second']:.1f} pictures a second, "
        f"{found['of_network']:.2f} of the bare network's {found['network_per_second']:.1f}, and 19 of 20 answers within {found['all']['p95']:.1f} s."
    )


def alone(found: dict[str, Any]) -> str:
    """tests/load-alone.json in one sentence."""
    return (
        f"One visitor alone waits {found['now']['p50'] / found['before']['p50']:.2f} times as long as then for a new picture, where both are asked at the k of "
        f"the same classifier (k = {found['k']}, the detector of then)."
    )


def runtimes(found: dict[str, Any]) -> str:
    """tests/runtimes.json as a table of ratios, one column a number of pictures."""
    sizes = sorted({row["pictures"] for row in found["rows"]})
    by = {(row["way"], row["pictures"]): row for row in found["rows"]}
    rows = []
    for way in dict.fromkeys(row["way"] for row in found["rows"]):
        all = [by[way, size] for size in sizes]
        known = [row["differs"] for row in all if row["differs"] is not None]
        cells = ["n/a" if row["ratio"] is None else f"{row['ratio']:.2f}" for row in all]
        rows.append([way, *cells, f"{max(known):.5f}" if known else "n/a"])
    head = ["runs the network", *(f"{size} picture{'s' * (size != 1)}" for size in sizes), "differs by (rms)"]
    plain = ", ".join(f"{by[rows[0][0], size]['per_second']:.0f}" for size in sizes)
    said = f"Evaluations a second over those of PyTorch in fp32, which are {plain}."
    half = [row["differs"] for row in found["rows"] if row["way"] == "OpenVINO, bf16" and row["differs"] is not None]
    if half and max(half) < NO_BF16:
        said += " This processor has no instructions for bf16: OpenVINO ran in fp32 in both of its rows."
    return f"{said}\n\n{table(head, rows)}"


def footprint(found: dict[str, Any]) -> str:
    """tests/footprint.json as two tables."""
    disk, memory = found["disk_megabytes"], found["memory_megabytes"]
    cpu = disk["packages"] - disk["of these for a GPU only"]
    detectors = [count for name, count in disk.items() if name.startswith("detector ")]
    rows = [
        ["all packages, with PyTorch's build for CUDA", f"{disk['packages']:,} MB"],
        ["the same without what only a GPU needs", f"{cpu:,} MB"],
        ["a shipped detector", f"{min(detectors)} to {max(detectors)} MB"],
        ["the embedded sample", f"{disk['embedded sample']} MB"],
    ]
    held = [[name if "detector" not in name else f"{name} open", f"{count:,} MB"] for name, count in memory.items()]
    return f"{table(['disk', 'size'], rows)}\n\n{table(['memory of the app', 'size'], held)}"


def opening(found: dict[str, Any]) -> str:
    """tests/opening.json in one sentence."""
    bars, warm, slow, alone = (found[name] for name in ("bars", "warm", "slow", "alone"))
    return (
        f"The page answers after {found['ratio']:.2f} times the time of importing Gradio (at most {bars['ratio']}). The first verdict stands after "
        f"{warm['verdict']:.1f} s (at most {bars['verdict']}), over a slow line after {slow['verdict']:.1f} s (at most {bars['slow_verdict']:.0f}). "
        f"It takes {warm['requests']} requests (at most {bars['requests']}) and {warm['bytes'] // 1000} kB (at most {bars['bytes'] // 1000}); "
        f"a line that Gradio shows alone takes {alone['requests']} and {alone['bytes'] // 1000} kB."
    )


BLOCKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "opening": opening,
    "corpus": corpus,
    "coverage": coverage,
    "mutants": mutants,
    "load": load,
    "load-before": before,
    "load-alone": alone,
    "runtimes": runtimes,
    "footprint": footprint,
}
"""Name of a block and of its file in tests/ -> what stands there."""


def filled(text: str) -> str:
    """A page with every block between its markers."""

    def block(marked: re.Match[str]) -> str:
        name, gap = marked["name"], marked["gap"]
        file = FOLDER / f"{name}.json"
        said = BLOCKS[name](json.loads(file.read_text(encoding="utf-8"))) + gap if file.is_file() else ""
        return f"<!-- {name} -->{gap}{said}<!-- /{name} -->"

    names = "|".join(BLOCKS)
    return re.sub(rf"<!-- (?P<name>{names}) -->(?P<gap>\n?).*?<!-- /(?P=name) -->", block, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")

"""The map of the modules in docs/architecture.md, from the tree: `python -m helpers.architecture` in tests/ writes it."""

import ast
from pathlib import Path

from sedid.paths import ROOT

LAYERS = ("method", "stats", "models", "data", "detector", "training", "studies", "report", "jobs", "recipes", "ui")
"""From the ground up. What lies flat in sedid/ is a tool that anyone may use, or an entry point on top."""
TOOLS = ("config", "errors", "escaping", "later", "paths", "processes", "progress", "results", "settings", "storage")
ENTRIES = ("__init__", "__main__", "cli")
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- map -->\n", "<!-- /map -->"


def about(file: Path) -> str:
    """The first sentence of a module's docstring."""
    words = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    end = words.find(". ")
    sentence = words if end < 0 else words[: end + 1]
    return sentence.replace("|", "\\|").replace("<", "&lt;").replace("$", "\\$")


def table(files: list[Path], folder: Path) -> str:
    """Modules and what they say of themselves, as Markdown."""
    rows = [
        f"| `{file.relative_to(folder).with_suffix('').as_posix()}` | {about(file)} |"
        for file in sorted(files)
        if file.name != "__init__.py"
    ]
    return "\n".join(["| module | what it is |", "| --- | --- |", *rows])


def the_map() -> str:
    """All folders from the ground up, then what lies flat."""
    parts = []
    for name in LAYERS:
        folder = ROOT / "sedid" / name
        parts.append(f"### {name}/\n\n{about(folder / '__init__.py')}\n\n{table(list(folder.glob('*.py')), folder)}")
        for below in sorted(path for path in folder.iterdir() if (path / "__init__.py").is_file()):
            files = list(below.glob("*.py"))
            parts.append(f"**{name}/{below.name}/** {about(below / '__init__.py')}\n\n{table(files, below)}")
    flat = ROOT / "sedid"
    present = [name for name in (*TOOLS, *ENTRIES) if (flat / f"{name}.py").is_file() and name != "__init__"]
    parts.append(f"### flat in sedid/\n\n{table([flat / f'{name}.py' for name in present], flat)}")
    return "\n\n".join(parts)


def filled(text: str) -> str:
    """A page with the map between its markers."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{the_map()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""The house: every folder of sedid/ imports only what stands below it, and the architecture page shows the tree as it is."""

import ast
import re
from collections.abc import Iterator

import pytest
from helpers.architecture import ENTRIES, LAYERS, PAGE, TOOLS, filled

from sedid.paths import ROOT

MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in ROOT.glob("sedid/**/*.py")
}


def layer(module: str) -> str:
    """The folder of a module of ours; "tool" or "entry" for one that lies flat."""
    parts = module.split(".")[1:]
    if parts and parts[0] in LAYERS:
        return parts[0]
    return "tool" if parts and parts[0] in TOOLS else "entry"


def imports(module: str) -> Iterator[tuple[str, int]]:
    """What a module imports, also inside functions, with the line."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno


def test_what_lies_flat_is_a_tool_or_an_entry_point() -> None:
    flat = {file.stem for file in (ROOT / "sedid").glob("*.py")}
    assert flat <= {*TOOLS, *ENTRIES}


@pytest.mark.parametrize("folder", LAYERS)
def test_a_layer_imports_only_what_stands_below_it(folder: str) -> None:
    allowed = {"tool", *LAYERS[: LAYERS.index(folder) + 1]}
    upward = [
        f"{module}:{line} imports {name}"
        for module in MODULES
        if layer(module) == folder
        for name, line in imports(module)
        if name.split(".")[0] == "sedid" and name != "sedid" and layer(name) not in allowed
    ]
    assert upward == []


NAMED = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)+)(?:\(\))?`")
OTHERS = {"DDPMPipeline", "Network", "gr", "gradio", "markupsafe", "matplotlib"}
SUFFIXES = {"css", "csv", "html", "js", "json", "jsonl", "md", "npz", "py", "toml"}


def test_what_a_docstring_names_is_where_it_says() -> None:
    """`folder.module`, `module.name` or `Class.name`: after a move, nobody finds what stands under its old name."""
    texts = {module: file.read_text(encoding="utf-8") for module, file in MODULES.items()}
    classes = set(re.findall(r"^ *class (\w+)", "\n".join(texts.values()), re.MULTILINE))

    def found(first: str, *rest: str) -> bool:
        if first == "sedid":
            return ".".join([first, *rest]) in texts or found(*rest)
        return (
            first in classes | OTHERS
            or any(module.endswith(f".{first}.{rest[0]}") for module in texts)
            or any(re.search(rf"\b{rest[0]}\b", text) for module, text in texts.items() if module.endswith(f".{first}"))
        )

    lost = [
        f"{module}: {name}"
        for module, text in texts.items()
        for name in NAMED.findall(text)
        if name.rpartition(".")[2] not in SUFFIXES and not found(*name.split("."))
    ]
    assert lost == []


def test_tools_import_no_layer() -> None:
    assert [
        (module, name)
        for module in MODULES
        if layer(module) == "tool"
        for name, _ in imports(module)
        if name.split(".")[0] == "sedid" and layer(name) != "tool"
    ] == []


def test_only_the_page_imports_gradio() -> None:
    others = [module for module in MODULES if layer(module) != "ui"]
    assert [m for m in others if any(name.split(".")[0] == "gradio" for name, _ in imports(m))] == []


def test_no_circle() -> None:
    """Imports at the top of a module, those that run when it is loaded, form no circle."""
    graph: dict[str, set[str]] = {}
    for module, file in MODULES.items():
        top = ast.parse(file.read_text(encoding="utf-8")).body
        graph[module] = set()
        for node in top:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sedid"):
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    graph[module].add(full if full in MODULES else node.module)
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module in done:
            return
        for below in graph.get(module, ()):
            if below in graph:
                visit(below, (*way, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_every_folder_says_in_one_sentence_what_it_is() -> None:
    for file in ROOT.glob("sedid/*/**/__init__.py"):
        words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        assert words.split("\n\n")[0].endswith("."), file


def test_the_architecture_page_shows_the_tree_as_it_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text) == text

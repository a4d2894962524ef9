"""The documents: links lead somewhere, commands, settings and variables exist, and examples do what is said of them."""

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import get_type_hints
from unittest.mock import patch

import pytest
import typer

from sedid.cli import app
from sedid.jobs import commands as registry
from sedid.jobs.commands import resolve_loop
from sedid.method.methods import METHODS
from sedid.paths import ROOT
from sedid.recipes.reproduce import settings_of
from sedid.recipes.rerun import study_of

DOCS = sorted((ROOT / "docs").glob("*.md"))
CARDS = sorted(ROOT.glob("checkpoints/*/README.md"))
FILES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")), *DOCS, *CARDS]
NAMES = [file.relative_to(ROOT).as_posix() for file in FILES]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
RUN = re.compile(
    r"^<!-- run -->\n```python\n(?P<code>.*?)^```(?:\n\n<!-- output -->\n```text\n(?P<out>.*?)^```)?",
    re.DOTALL | re.MULTILINE,
)

every_file = pytest.mark.parametrize("file", FILES, ids=NAMES)


def prose(text: str) -> str:
    """A document without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCED.sub("", text))


def slugs(text: str) -> set[str]:
    """The anchors GitHub gives the headings of a document."""
    headings = re.findall(r"^#{1,6} +(.+)$", FENCED.sub("", text), re.MULTILINE)
    plain = [re.sub(r"[^\w -]", "", heading.strip().lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@every_file
def test_links_resolve(file: Path) -> None:
    for target in LINK.findall(prose(file.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        place = file.parent / path if path else file
        assert place.exists(), target
        if anchor:
            assert anchor in slugs(place.read_text(encoding="utf-8")), target


def commands(text: str) -> Iterator[list[str]]:
    """The words after `python -m sedid` wherever a document writes it, in a block or in a line."""
    blocks = [body.replace("\\\n", " ") for language, body in FENCED.findall(text) if language == "bash"]
    inline = re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    for line in [*"\n".join(blocks).splitlines(), *inline]:
        found = re.search(r"-m sedid (\S.*)", line)
        if found:
            yield shlex.split(found[1].partition(" #")[0])


def settings_in(words: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(words) if name == option]


@every_file
def test_commands_and_their_settings_exist(file: Path) -> None:
    for name, *words in commands(file.read_text(encoding="utf-8")):
        assert name in COMMANDS, name
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, (name, words)
        settings, preset = settings_in(words, "--set"), settings_in(words, "--preset")
        if "..." in words or not (settings or preset):
            continue
        if name in registry.COMMANDS:
            recipes = [ROOT / recipe for recipe in settings_in(words, "--config")]
            # raises, naming what is unknown or missing
            resolve_loop(name, *(preset or [""]), *recipes, settings=settings)
        elif name == "verify":
            accepted = get_type_hints(study_of(Path(words[0])).settings)
            assert {setting.partition("=")[0] for setting in settings} <= accepted.keys()
        else:
            settings_of(words[0], 1.0, "", "", "", settings)


@every_file
def test_files_of_the_project_that_are_named_exist(file: Path) -> None:
    named = re.findall(r"`(tests/[\w/-]+\.py)`", file.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).is_file()] == []


@every_file
def test_settings_named_in_passing_belong_to_a_loop(file: Path) -> None:
    known = {"key"}
    for command in registry.COMMANDS.values():
        known |= set(get_type_hints(command.settings))
    text = file.read_text(encoding="utf-8")
    assert set(re.findall(r"--set [\"']?(\w+)=", text)) <= known


@cache
def sources() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in [ROOT / "app.py", *ROOT.glob("sedid/**/*.py")])


@cache
def written() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in FILES)


def test_every_variable_of_ours_is_documented_and_every_documented_one_exists() -> None:
    ours = set(re.findall(r"[\"'](SEDID_[A-Z_]+)[\"']", sources()))
    assert ours
    assert ours == set(re.findall(r"\bSEDID_[A-Z_]+\b", written()))


def test_variables_of_others_are_read_by_somebody() -> None:
    import gradio
    import huggingface_hub

    named = set(re.findall(r"\b(?:GRADIO|HF|SPACE|SPACES)_[A-Z_]+\b", written()))
    homes = [Path(module.__file__ or "").parent for module in (gradio, huggingface_hub)]
    theirs = "\n".join(file.read_text(encoding="utf-8") for home in homes for file in home.glob("*.py"))
    assert [name for name in named if name not in sources() and name not in theirs] == []


@pytest.mark.parametrize("file", [*DOCS, *CARDS], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_mathematics_reads_the_same_on_github_and_in_the_app(file: Path) -> None:
    """GitHub takes a backslash before punctuation away; Gradio takes every dollar sign for a delimiter, in code too."""
    text = file.read_text(encoding="utf-8")
    assert "$" not in "".join(body for _, body in FENCED.findall(text))
    assert re.sub(r"\$\$.+?\$\$|\$[^$\n]+\$", "", text, flags=re.DOTALL).count("$") == 0
    for formula in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, re.DOTALL):
        assert not re.search(r"\\[^\w]", "".join(formula)), formula
        assert "<" not in "".join(formula), formula


EXAMPLES = [
    pytest.param(found["code"], found["out"], id=f"{file.stem}-{number}")
    for file in DOCS
    for number, found in enumerate(RUN.finditer(file.read_text(encoding="utf-8")), 1)
]


def test_the_documents_have_examples_that_run() -> None:
    ran = {str(example.id).rpartition("-")[0] for example in EXAMPLES}
    assert {"quickstart", "limits", "add-detector", "add-dataset"} <= ran


@pytest.mark.parametrize(("code", "said"), EXAMPLES)
def test_examples_run(
    code: str, said: str | None, tmp_path: Path, tiny_bundle: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout whose checkpoints/cifar10 is tiny and uncalibrated, with the shipped results beside it."""
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    bundle = tmp_path / "checkpoints" / "cifar10"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "sedid").mkdir()
    shutil.copy(ROOT / "checkpoints" / "cifar10" / "sedid" / "results.json", bundle / "sedid")
    monkeypatch.chdir(tmp_path)
    with patch.dict(METHODS), contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})
    assert printed.getvalue()
    if said is not None:
        assert printed.getvalue() == said

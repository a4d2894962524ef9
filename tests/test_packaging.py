"""The package: what it imports is declared, and installed elsewhere it works or says what is missing."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from helpers.fakes import make_detector, make_image
from packaging.requirements import Requirement
from PIL import Image

from sedid.paths import ROOT
from sedid.ui.context import Context
from sedid.ui.examples import list_examples

ELSEWHERE = {
    "spaces": "comes with the ZeroGPU Spaces it is for",
    "tokenizers": "comes with transformers",
    "playwright": "of the test extra, which `python -m sedid.ui.screenshots` asks for in a sentence",
}
"""Imported by the package though no requirement: why."""
UNSEEN = {
    "gdown": "torchvision downloads CelebA with it",
    "socksio": "Gradio and the Hub's client go through SOCKS proxies with it",
}
"""Required though the package does not import it: why."""


def plain(requirement: str) -> str:
    """The name of a requirement, as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def declared() -> set[str]:
    """What installing the project installs."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {plain(line) for line in lines if line and not line.startswith("#")}


def imported(files: list[Path]) -> set[str]:
    """Distributions of what the files import anywhere in them, other than this project and Python's own modules."""
    modules = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    ours = {"sedid", "conftest", "helpers"}
    tops = {module.partition(".")[0] for module in modules} - ours - sys.stdlib_module_names
    distributions = packages_distributions()
    return {plain(name) for top in tops for name in distributions.get(top, [top])}


def test_what_the_package_imports_is_required_and_nothing_else() -> None:
    found = imported([ROOT / "app.py", *ROOT.glob("sedid/**/*.py")])
    assert found - ELSEWHERE.keys() <= declared()
    assert declared() - found == UNSEEN.keys()


def test_what_the_tests_import_is_required_by_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {plain(name) for name in project["optional-dependencies"]["test"]}
    assert imported([*ROOT.glob("tests/**/*.py")]) <= declared() | extra


def direct() -> list[Requirement]:
    """What installing the project with its tests asks for."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line for line in lines if line and not line.startswith("#")]
    return [Requirement(line) for line in named + project["optional-dependencies"]["test"]]


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """Package -> version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def needed(asked: list[Requirement], free: re.Pattern[str]) -> set[str]:
    """The packages that requirements come to, with those they need in turn; without those that are free, and theirs."""
    found: set[str] = set()
    rest = [(one, extra) for one in asked for extra in {"", *one.extras}]
    while rest:
        one, extra = rest.pop()
        name = plain(one.name)
        if free.fullmatch(name) or f"{name}[{extra}]" in found:
            continue
        found.add(f"{name}[{extra}]")
        try:
            further = map(Requirement, requires(name) or [])
        except PackageNotFoundError:  # of another system
            continue
        meant = [each for each in further if each.marker is None or each.marker.evaluate({"extra": extra})]
        rest += [(each, more) for each in meant for more in {"", *each.extras}]
    return {name.partition("[")[0] for name in found}


def test_constraints_pin_all_that_is_needed_and_leave_pytorch_free(pins: dict[str, str]) -> None:
    free = runpy.run_path(str(ROOT / "noxfile.py"))["FREE"]
    assert needed(direct(), free) <= pins.keys(), "`nox -s constraints` pins what is new"
    assert [name for name in pins if free.fullmatch(name)] == []


def test_constraints_meet_the_requirements(pins: dict[str, str]) -> None:
    pinned = {one.name: (one.specifier, pins[plain(one.name)]) for one in direct() if plain(one.name) in pins}
    assert pinned
    assert {name: found for name, found in pinned.items() if not found[0].contains(found[1])} == {}


def test_both_commands_of_the_readme_are_one_line_and_install_what_is_pinned() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start, test = [line for line in lines if "venv" in line]
    install = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt"
    assert start == f"{install} -r requirements.txt && .venv/bin/python app.py"
    assert test == f"{install} -e '.[test]' && .venv/bin/python -m pytest -n 2 --dist loadfile"
    assert start in (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder the project was installed into, without what it depends on."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "sedid", source / "sedid", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--no-compile", "--quiet", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return folder


def test_every_file_of_the_package_is_installed(installed: Path) -> None:
    here = {str(file.relative_to(ROOT)) for file in (ROOT / "sedid").rglob("*") if file.is_file()}
    there = {str(file.relative_to(installed)) for file in (installed / "sedid").rglob("*")}
    assert {name for name in here if "__pycache__" not in name} <= there


SCRIPT = """
import sys
from pathlib import Path

import httpx
from typer.testing import CliRunner

import sedid
from sedid.cli import app
from sedid.ui import build_demo, launch_options

assert Path(sedid.__file__).is_relative_to(sys.argv[1])
named = ["--detector", sys.argv[2]]
for words in (["inspect", "x.png"], ["score", "sample:real", "--out", "x.csv", *named], ["inspect", "x.png", *named]):
    done = CliRunner().invoke(app, words)
    print("said:", done.exit_code, (done.stderr or done.stdout).replace(chr(10), " "))
_, url, _ = build_demo().launch(**launch_options() | {"prevent_thread_lock": True, "quiet": True})
with httpx.Client(base_url=url, timeout=60) as page:
    [place] = page.post("/gradio_api/upload", files={"files": open("x.png", "rb")}).raise_for_status().json()
    picture = {"path": place, "meta": {"_type": "gradio.FileData"}}
    event = page.post("/gradio_api/call/inspect", json={"data": [picture, 0, 0, "default"]}).raise_for_status().json()
    print("said:", " ".join(page.get(f"/gradio_api/call/inspect/{event['event_id']}").text.split()))
"""


def test_an_installed_package_says_what_only_a_checkout_has(installed: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    Image.fromarray(make_image(3)).save(tmp_path / "x.png")
    unset = {"SEDID_DETECTOR": "", "PYTHONPATH": str(installed), "GRADIO_TEMP_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, str(installed), str(tiny_bundle)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | unset, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = [line.removeprefix("said: ") for line in done.stdout.splitlines() if line.startswith("said: ")]
    alone, _, named, page = said
    assert alone.startswith(
        "1 error: the shipped detector does not come with the installed package: work in a checkout"
    )
    assert "--detector" in alone
    assert "The embedded sample does not come with the installed package" in (tmp_path / "x.csv").read_text()
    assert named.startswith("0 x.png")
    assert "the shipped detector does not come with the installed package" in page


def test_without_the_sample_gallery_and_quiz_say_so(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gradio as gr

    from sedid.data import datasets
    from sedid.ui.gallery.reference import Library
    from sedid.ui.gallery.tab import Page
    from sedid.ui.learn.tab import Teacher, Turn

    monkeypatch.setattr(datasets, "SAMPLE", tmp_path / "sample.npz")
    context = Context(make_detector, list_examples(examples))
    missing = "The embedded sample does not come with the installed package"
    assert missing in Page(Library(context)).look("default", "label", False, "", "", "inspect")[0]
    with pytest.raises(gr.Error, match=missing):
        list(Teacher(context).open("default", "quiz", "", "", "http://127.0.0.1/", "", Turn()))

"""The rings of tests, by name: `nox -s quick`, `tests`, `slow`, `types`. They run in the environment nox is installed in.

Beside them what is asked of the tests and of the packages beneath: `coverage`, `mutants`, `audit`.
"""

import json
import re
import sys
import sysconfig
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["quick"]

FREE = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*|setuptools|pip|sedid")
"""What constraints.txt leaves to pip: PyTorch, what comes with its build or is bounded by it, pip itself, and this project."""


def python(session: nox.Session, *words: str) -> None:
    """Run a module of this environment, activated or not."""
    session.run(sys.executable, "-m", *words)


@nox.session
def quick(session: nox.Session) -> None:
    """While you write: no browser, no processes, no loops, nothing tried on everything."""
    kinds = "not (slow or browser or jobs or loops or wide or types)"
    python(session, "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", kinds, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All of them, as CI runs them."""
    python(session, "pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The chains from training to report."""
    python(session, "pytest", "-m", "slow", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Format, lint and types, of style sheets and scripts too."""
    python(session, "ruff", "format", "--check", ".")
    python(session, "ruff", "check", ".")
    python(session, "mypy")
    session.run(
        str(Path(sysconfig.get_path("scripts")) / "biome"), "check", "--error-on-warnings", "sedid", external=True
    )


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines outside the page the tests without a browser run, by folder; it fails below 90 %."""
    report = Path(session.create_tmp()) / "coverage.json"
    options = ["--cov", "--cov-report=term:skip-covered", f"--cov-report=json:{report}"]
    python(session, "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", "not browser", *options, *session.posargs)
    python(session, "tests.helpers.covered", str(report), "--out", "tests/coverage.json")


@nox.session
def mutants(session: nox.Session) -> None:
    """A drawn sample of changes to method/ and stats/, each of which a test should find. It needs the extra `checks`."""
    python(session, "tests.helpers.mutants", "--out", "tests/mutants.json", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Known holes in the versions of constraints.txt, where there is a network: one of the tests alone."""
    python(session, "pytest", "-q", "-rPs", "tests/test_holes.py", "-k", "no_pinned_package", *session.posargs)


@nox.session
def constraints(session: nox.Session) -> None:
    """Write constraints.txt anew: what pip picks today, on the oldest Python that the project runs on."""
    report = Path(session.create_tmp()) / "report.json"
    python(session, "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", str(report), "-e", ".[test]")
    chosen = {}
    for package in json.loads(report.read_text())["install"]:
        name = re.sub(r"[-_.]+", "-", package["metadata"]["name"]).lower()
        if not FREE.fullmatch(name):
            chosen[name] = package["metadata"]["version"]
    file = Path("constraints.txt")
    head, *pins = re.split(r"^(?!#)", file.read_text(), maxsplit=1, flags=re.MULTILINE)
    # what only other Pythons and systems need stays as it is
    others = dict(line.split("==") for line in "".join(pins).splitlines())
    file.write_text(head + "".join(f"{name}=={version}\n" for name, version in sorted((others | chosen).items())))

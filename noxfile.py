"""The rings of tests, by name: `nox -s quick`, `tests`, `slow`, `types`. They run in the environment nox runs in."""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["quick"]


@nox.session
def quick(session: nox.Session) -> None:
    """What fits in two minutes: no browser, no jobs."""
    session.run("python", "-m", "pytest", "-q", "-m", "not slow and not browser and not jobs", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All but the slow ones: what CI runs."""
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The chains from training to report."""
    session.run("python", "-m", "pytest", "-m", "slow", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Format, lint and types."""
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")

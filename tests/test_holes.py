"""No pinned package has a hole that is known, where the database of them can be asked."""

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import holes

HOLE = {
    "id": "PYSEC-2019-179",
    "fix_versions": ["0.12.3", "1.0"],
    "aliases": ["CVE-2019-1010083"],
    "description": "...",
}
FLASK = {"name": "flask", "version": "0.5", "vulns": [HOLE]}
GOOD = {"name": "jinja2", "version": "3.0.2", "vulns": []}
STRANGER = {"name": "ours", "skip_reason": "Dependency not found on PyPI and could not be audited: ours (1.0)"}
"""As pip-audit writes them."""

asking = pytest.mark.skipif(
    find_spec("pip_audit") is None, reason="pip-audit is not installed: it comes with the extra `test`"
)


def check(folder: Path, command: Sequence[str] = holes.AUDIT) -> None:
    """What is asked of the pins."""
    try:
        found = holes.audit(folder, command)
    except holes.Unknown as unknown:
        pytest.skip(str(unknown))
    print(f"{found.known} of {found.packages} packages were audited")
    assert found.holes == [], "`nox -s constraints` pins newer versions"


@asking
def test_no_pinned_package_has_a_known_hole(tmp_path: Path) -> None:
    check(tmp_path)


@pytest.fixture
def answering(tmp_path: Path) -> Callable[..., list[str]]:
    """A command that writes an answer where pip-audit would, and ends as it does."""

    def made(*packages: object) -> list[str]:
        script = "import sys, pathlib; pathlib.Path(sys.argv[sys.argv.index('--output') + 1]).write_text(sys.argv[1]); sys.exit(int(sys.argv[2]))"
        answer = json.dumps({"dependencies": packages, "fixes": []})
        return [sys.executable, "-c", script, answer, str(int(FLASK in packages))]

    return made


def test_a_hole_fails_and_is_named(answering: Callable[..., list[str]], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"flask 0\.5: PYSEC-2019-179, mended in 0\.12\.3 or 1\.0"):
        check(tmp_path, answering(GOOD, STRANGER, FLASK))


def test_no_hole_passes_though_a_package_is_unknown(answering: Callable[..., list[str]], tmp_path: Path) -> None:
    check(tmp_path, answering(GOOD, STRANGER))
    assert holes.audit(tmp_path, answering(GOOD, STRANGER)) == holes.Audit(2, 1, [])


def test_a_database_that_knows_nothing_proves_nothing(answering: Callable[..., list[str]], tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="knows none of the packages"):
        check(tmp_path, answering(STRANGER, STRANGER))


@asking
def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(holes.Unknown, match="cannot be reached"):
            holes.audit(tmp_path, env=behind(bound))


@asking
def test_a_proxy_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(holes.Unknown, match="did not answer within 3 seconds"):
            holes.audit(tmp_path, env=behind(silent), seconds=3)


def behind(proxy: socket.socket) -> dict[str, str]:
    """The environment of whoever reaches all through it."""
    address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"HTTPS_PROXY": address, "https_proxy": address}


@asking
def test_a_command_that_fails_is_no_missing_network(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)ended with 2: .*--no-such-option"):
        holes.audit(tmp_path, [*holes.AUDIT, "--no-such-option"])

"""What goes wrong around the program: killed processes, files that went missing or changed, a clock that jumps, a port that is taken.

The outcomes are stated in docs/hosting.md; faults with tests of their own elsewhere are named there.
"""

import ast
import gc
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.bundles import pictures, shared_bundle, shared_detector
from helpers.image_files import encoded
from typer.testing import CliRunner

from sedid.cli import app
from sedid.detector import bundle as bundles
from sedid.detector.bundle import load_detector
from sedid.jobs.store import JobStore
from sedid.models.networks import make_resnet18
from sedid.storage import write_json
from sedid.ui.detectors import Detectors
from sedid.ui.menu import Menu
from sedid.ui.server import access, door
from sedid.ui.train import view

ROOT = Path(__file__).parents[1]
WRITERS = {"write_text", "write_bytes", "savez", "savez_compressed", "savefig", "save_pretrained", "save_file"}
WHOLE = {"replacing", "replacing_parts", "TemporaryDirectory"}


def writes(tree: ast.AST, whole: bool = False) -> Iterator[tuple[int, bool]]:
    """(line, whether what is written becomes a file only when it is whole) of every writer of files below a node."""
    for node in ast.iter_child_nodes(tree):
        inside = whole
        if isinstance(node, ast.With):
            made = [getattr(item.context_expr, "func", None) for item in node.items]
            inside |= any(getattr(one, "id", getattr(one, "attr", "")) in WHOLE for one in made)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in WRITERS:
            yield node.lineno, inside
        yield from writes(node, inside)


def test_no_file_is_written_in_place() -> None:
    """So a process killed at any moment leaves what was there (`test_storage` kills one), whichever file it writes."""
    found = {}
    for file in (ROOT / "sedid").rglob("*.py"):
        if file.name != "storage.py":
            lines = list(writes(ast.parse(file.read_text(encoding="utf-8"))))
            found |= {f"{file.relative_to(ROOT)}:{line}": whole for line, whole in lines}
    assert len(found) > 25
    assert [place for place, whole in found.items() if not whole] == []


def test_a_missing_file_or_a_flipped_bit_is_refused_or_changes_no_score(tmp_path: Path) -> None:
    """Each file of a bundle in turn: away, then with a bit flipped in its middle."""
    image = pictures(1)[0]
    whole = shared_detector().inspect(image).judgement
    files = sorted(file.relative_to(shared_bundle()) for file in shared_bundle().rglob("*") if file.is_file())
    assert len(files) > 6
    for file in files:
        size = (shared_bundle() / file).stat().st_size
        for place in (None, size // 2):
            bundle = Path(shutil.copytree(shared_bundle(), tmp_path / "copy", copy_function=os.link))
            content = bytearray((bundle / file).read_bytes())
            (bundle / file).unlink()
            if place is not None:
                content[place] ^= 4
                (bundle / file).write_bytes(content)
            try:
                found = load_detector(bundle, device="cpu").inspect(image).judgement
            except (ValueError, OSError) as error:
                said = str(error)
            else:
                said = ""
                assert found.t_error == whole.t_error, (file, place)
            assert not said or str(bundle) in said, (file, place)
            shutil.rmtree(bundle)


def test_a_bundle_that_cannot_be_opened_leaves_no_network_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while its error is still told of: a server would grow by a network an attempt."""
    bundle = Path(shutil.copytree(shared_bundle(), tmp_path / "bundle"))
    for file in (bundle / "sedid" / "classifier").glob("*.safetensors"):
        file.write_bytes(b"")
    made: list[weakref.ref[torch.nn.Module]] = []

    def watched(channels: int) -> torch.nn.Module:
        network = make_resnet18(channels)
        made.append(weakref.ref(network))
        return network

    monkeypatch.setattr(bundles, "make_resnet18", watched)
    detectors = Detectors(shared_detector, Menu(shared_bundle(), tmp_path / "none", tmp_path / "runs"))
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError, match="classifier") as told:
            detectors.get(str(bundle))
        assert [network() for network in made] == [None]
        assert "cannot be loaded" in str(told.value)
    finally:
        gc.enable()


def test_a_file_system_that_is_full_is_named_and_keeps_what_was_there(tmp_path: Path) -> None:
    """Of 64 kB; where nothing may be mounted, `test_bad_input` has the system refuse files beyond a size."""
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        file = small / "results.json"
        write_json(file, {"figures": 1})
        before = file.read_bytes()
        with pytest.raises(OSError, match=f"No space left on the disk to write {file}; what was there"):
            write_json(file, list(range(50_000)))
        assert {one.name: one.read_bytes() for one in small.iterdir()} == {"results.json": before}
        write_json(file, {"figures": 2})
        assert file.read_bytes() != before
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_taken_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import gradio as gr

    from sedid import ui

    with gr.Blocks() as page:
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
        monkeypatch.setattr(ui, "make_context", lambda _: None)
        monkeypatch.setattr(ui, "build_demo", lambda _: page)
        monkeypatch.setattr(ui.signal, "signal", lambda *_: None)
        monkeypatch.setattr(ui.gc, "disable", lambda: None)
        done = CliRunner().invoke(app, ["app"])
        assert isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: port {port} is taken: ")
    assert "GRADIO_SERVER_PORT" in done.stderr


def test_a_clock_that_jumps_back_makes_no_times_below_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 3600
    for state, ended in (("running", None), ("done", later - 7200)):
        job = {"command": "generate", "preset": "", "state": state, "exit_code": None, "error": "", "ended": ended}
        write_json(tmp_path / f"20990101-{state}" / "job.json", job | {"created": later, "began": later})
    jobs = JobStore(tmp_path).jobs()
    assert len(jobs) == 2
    for job in jobs:
        said = view.state_html(job, [])
        assert not re.search(r"-\d", said), said
    upload = tmp_path / "uploads" / "later.png"
    upload.parent.mkdir()
    upload.write_bytes(b"x")
    os.utime(upload, (later, later))
    door.forget(upload.parent, time.time() - door.KEPT)
    assert upload.exists()  # and goes an hour after that, or with the app


def test_no_limit_follows_the_clock() -> None:
    """Nobody's share comes back, and no page is unlocked for longer, because the clock was set."""
    for module in (access, door):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        read = [node.lineno for node in ast.walk(tree) if ast.unparse(node) in ("time.time", "datetime.now")]
        assert len(read) == (module is door), (module, read)  # by which uploads are deleted: files have dates
    assert all(one.clock is time.monotonic for one in vars(access).values() if isinstance(one, access.Allowance))
    assert door.uploads.clock is time.monotonic


READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit
touch "$1/x" 2> /dev/null && rm "$1/x" || echo it is read-only
cd "$1" && exec "$2" -m sedid inspect assets/examples/real-1.png --device cpu
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="nothing here gives a process mounts of its own")
def test_a_checkout_that_cannot_be_written_to_judges_images() -> None:
    """Mounted anew for one process alone, which has no home either."""
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "HF_HOME", "MPLCONFIGDIR"), "/proc/nowhere")
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(ROOT), sys.executable]
    done = subprocess.run(command, env=os.environ | nowhere, capture_output=True, text=True)
    if "it is read-only" not in done.stdout:
        pytest.skip("no file system may be mounted here")
    assert done.returncode == 0, done.stderr
    assert "STAT: " in done.stdout


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder that nobody may write to")
def test_where_nothing_can_be_written_images_are_judged_and_jobs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/proc stands for a read-only checkout and home: there not even root may make a file."""
    (tmp_path / "image.png").write_bytes(encoded(pictures(1)[0]))
    for name in ("HOME", "XDG_CACHE_HOME", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "/proc/nowhere")
    arguments = ["inspect", str(tmp_path / "image.png"), "--detector", str(shared_bundle()), "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    with pytest.raises(OSError, match="/proc/nowhere"):
        JobStore(Path("/proc/nowhere")).start("generate", ["detector=x"])
    done = CliRunner().invoke(app, ["generate", "--set=out=/proc/nowhere/x", f"--set=detector={shared_bundle()}"])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "/proc/nowhere" in done.stderr
    assert JobStore(Path("/proc/nowhere")).jobs() == []

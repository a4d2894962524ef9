"""Two processes do what one does: the same files byte for byte, the same results in each, and none waits for ever."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from helpers.bundles import pictures, tiny_bundle
from safetensors import safe_open

from sedid import processes
from sedid.data.datasets import load_images
from sedid.data.images import ImageError
from sedid.jobs.console import ProgressLine
from sedid.models.networks import Runtime
from sedid.paths import ROOT
from sedid.progress import Meter

pytestmark = pytest.mark.usefixtures("one_thread")

RUN = r"""
import json, os, signal, sys, torch
from pathlib import Path
from sedid import processes
from sedid.cli import app
from sedid.jobs.commands import resolve_loop
torch.set_num_threads(1)
rank = os.environ.get("RANK", "0")
answers = []
for name, kill_at, arguments in json.loads(Path(sys.argv[1]).read_text()):
    try:
        if name == "score":
            answers.append(app(["score", *arguments], standalone_mode=False))
            continue
        loop, config = resolve_loop(name, "", None, arguments)
        records, steps = 0, loop(config)
        while True:
            try:
                record = next(steps)
            except StopIteration as stop:
                answers.append([name, repr(stop.value)])
                break
            records += 1
            if records == kill_at and rank == "1":
                os.kill(os.getpid(), signal.SIGKILL)
    except (OSError, ValueError) as error:
        answers.append([type(error).__name__, str(error)])
Path(sys.argv[2], f"answers-{rank}.json").write_text(json.dumps(answers))
processes.end(0)
"""
Task = tuple[str, int, list[str]]  # command, record at which the second process is killed, settings


def run(tasks: list[Task], folder: Path, count: int, returncode: int = 0) -> tuple[list[Any], str]:
    """Do the tasks in `folder`, in so many processes; returns what each of them answered, and what they printed."""
    folder.mkdir(exist_ok=True)
    (folder / "tasks.json").write_text(json.dumps(tasks))
    (folder / "run.py").write_text(RUN)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)] if count > 1 else []
    ended = subprocess.run(
        [sys.executable, *launch, "run.py", "tasks.json", "."],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == returncode, ended.stderr
    answers = [json.loads(file.read_text()) for file in sorted(folder.glob("answers-*.json"))]
    return answers, ended.stdout


def inputs(folder: Path) -> Path:
    """An uncalibrated bundle and six data sets, of sizes that fill no last batch."""
    folder.mkdir()
    tiny_bundle(folder / "tiny", calibrated=False)
    sizes = {"real": 7, "generated": 5, "nn_real": 10, "nn_generated": 11, "test_real": 4, "test_generated": 3}
    for seed, (name, size) in enumerate(sizes.items()):
        np.savez(folder / f"{name}.npz", images=pictures(size, seed))
    return folder


def contents(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file."""
    with safe_open(file, framework="pt") as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}, stored.metadata()  # noqa: SIM118


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_two_processes_write_and_return_what_one_does(tmp_path: Path) -> None:
    detector, device = "detector=tiny", "device=cpu"
    pair = [detector, device, "real=real.npz", "generated=generated.npz", "batch_size=2"]
    tasks: list[Task] = [
        ("sweep", 0, [*pair, "ks=330,495"]),
        ("sweep", 0, [*pair, "ks=330,495,999"]),  # two k have their file
        ("calibrate", 0, [*pair, "ks=330", "loss_ts=100"]),
        ("train-nn", 0, [detector, device, "real=nn_real.npz", "generated=nn_generated.npz", "epochs=1"]),
        ("evaluate", 0, [detector, device, "generated=test_generated.npz", "heldout=test_real.npz", "batch_size=3"]),
        ("score", 0, ["real.npz", "absent", "generated.npz", "--out", "s.csv", "--detector", "tiny", "--batch-size=2"]),
        ("generate", 0, [detector, device, "out=made", "count=5", "sampler=ddim", "steps=2", "batch_size=2"]),
        ("generate", 0, [detector, device, "out=made", "count=5", "sampler=ddpm", "steps=2", "batch_size=2"]),
    ]
    answers, wrote, printed = {}, {}, {}
    for count in (1, 2):
        answers[count], printed[count] = run(tasks, inputs(tmp_path / str(count)), count)
        wrote[count] = files(tmp_path / str(count))
        assert len(answers[count]) == count
    assert answers[2][0] == answers[2][1] == answers[1][0]
    kept = {name for name in wrote[1] if not name.startswith("answers")}
    assert kept == {name for name in wrote[2] if not name.startswith("answers")}
    assert [name for name in kept if wrote[1][name] != wrote[2][name]] == []
    assert {"s.csv", "made/images.npz", "tiny/sedid/sweep/k0999.npz", "tiny/sedid/results.json"} <= kept
    assert answers[2][1][5] == 1  # one could not be read
    assert answers[2][1][7][0] == "ValueError"  # found by the main process, raised in both
    assert printed[2] == printed[1] == "12 images judged, 1 could not be read: see the column error; s.csv\n"


def test_training_in_two_processes_resumes_exactly_after_one_was_killed(tmp_path: Path, tiny_bundle: Path) -> None:
    np.savez(tmp_path / "images.npz", images=pictures(12))
    settings = [
        *("data=../images.npz", f"start={tiny_bundle}", "steps=7", "batch_size=4", "device=cpu", "samples=0"),
        *("save_every=2", "log_every=1", "heldout=../images.npz[0:4]", "eval_every=3", "trackers=tensorboard"),
    ]
    task: list[Task] = [("train-ddpm", 5, [*settings, "out=killed"])]
    answers, _ = run(task, tmp_path / "pair", 2, returncode=1)  # the survivor is ended too
    assert answers == []
    assert contents(tmp_path / "pair" / "killed" / "state.safetensors")[1]["step"] == "4"
    again: list[Task] = [("train-ddpm", 0, [*settings, f"out={name}"]) for name in ("killed", "whole")]
    run(again, tmp_path / "pair", 2)
    killed, whole = tmp_path / "pair" / "killed", tmp_path / "pair" / "whole"
    for name in ("state.safetensors", "best.safetensors"):
        (one, facts), (other, others) = (contents(folder / name) for folder in (killed, whole))
        assert facts == others
        assert one.keys() == other.keys()
        assert [key for key in one if not torch.equal(one[key], other[key])] == []
    state, _ = contents(whole / "state.safetensors")  # the average follows what DDP trains; it began at zero here
    assert 0 < state["ema.conv_norm_out.bias"].abs().max() < state["weights.conv_norm_out.bias"].abs().max()
    last = [json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]) for folder in (killed, whole)]
    assert [record["step"] for record in last] == [7, 7]
    assert last[0]["loss"] == last[1]["loss"]


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the second of two processes, without a launcher."""
    for name, value in {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second_of_two")
def test_results_return_in_the_order_they_were_dealt_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(processes.share(range(5))) == [1, 3]

    def gather(parts: list[Any], mine: list[int]) -> None:
        parts[:] = [[0, 2, None], mine]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert processes.gathered([1, 3]) == [0, 1, 2, 3, None]


@pytest.mark.usefixtures("second_of_two")
def test_a_named_data_set_is_fetched_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_DATA", str(tmp_path / "cache"))

    def download(*_: object, **__: object) -> None:
        with pytest.raises(Timeout):
            FileLock(tmp_path / "cache" / ".lock").acquire(blocking=False)
        raise OSError("seen")

    monkeypatch.setattr("torchvision.datasets.CIFAR10.__init__", download)
    with pytest.raises(ImageError, match=r"could not be downloaded \(seen\)"):
        load_images("cifar10", 32, None)


@pytest.mark.usefixtures("second_of_two")
def test_each_process_needs_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for device in ("auto", "cuda"):
        with pytest.raises(ValueError, match=r"2 processes need as many GPUs, and there are 1"):
            Runtime.choose(device)
    for device in ("cuda:0", "mps", "tpu"):
        with pytest.raises(ValueError, match=f"not on '{device}'"):
            Runtime.choose(device)
    with pytest.raises(ValueError, match="unknown precision"):
        Runtime.choose("cpu", "fp8")


def test_only_the_main_process_shows_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, shown in (("0", "scoring: 1 of 2"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        with ProgressLine(stream := io.StringIO()) as progress:
            progress.show(Meter("scoring", 2, "images").at(1))
        assert stream.getvalue().startswith(shown)
        assert bool(stream.getvalue()) == bool(shown)

"""Killed at any moment and started again, a loop ends as if nothing had happened: the same files, byte for byte."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import save_tiny_bundle
from helpers.bundles import pictures, tiny_bundle

from sedid.paths import ROOT
from sedid.storage import remove_litter

# Imports once and forks for every run. Nothing here computes, so no thread is lost in a fork.
RUNNER = r"""
import json, os, signal, sys, traceback
from pathlib import Path
import accelerate, diffusers, sklearn.metrics, torch, torchvision
from sedid.recipes import whole_loop as loop
from sedid.jobs.commands import resolve_loop
from sedid.progress import finish

def count(kind):
    counted[kind] += 1
    if (kind, counted[kind]) == moment:
        os.kill(os.getpid(), signal.SIGKILL)

def counting(method):
    def counted_method(*arguments):
        count("write")  # all is written but nothing in its place
        return method(*arguments)
    return counted_method

for line in sys.stdin:
    command, settings, moment = json.loads(line)
    moment, counted = tuple(moment), {"record": 0, "write": 0}
    pid = os.fork()
    if not pid:
        code = 1
        try:
            torch.set_num_threads(1)
            Path.replace, Path.rename = counting(Path.replace), counting(Path.rename)
            run, config = resolve_loop(command, "", None, settings)
            finish(run(config), lambda _: count("record"))
            code = 0
            os.write(1, (json.dumps(counted) + "\n").encode())
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    if status := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        print(status, flush=True)
"""
Run = Callable[[str, list[str], tuple[str, int]], Any]
NEVER = ("", 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """run(command, settings, moment) -> how many records and writes it took, or the negative signal that ended it."""
    errors = tmp_path_factory.mktemp("runner") / "errors.txt"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with errors.open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", RUNNER], env=environment, stdin=-1, stdout=-1, stderr=log, text=True
        )

    def ask(command: str, settings: list[str], moment: tuple[str, int] = NEVER) -> Any:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps([command, settings, moment]) + "\n")
        child.stdin.flush()
        answer = json.loads(child.stdout.readline() or "1")
        assert answer != 1, errors.read_text()
        return answer

    yield ask
    child.kill()
    child.wait()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate(("a", "b", "c", "d")):
        np.savez(folder / f"{name}.npz", images=pictures(60, seed))
    return folder


def loops(folder: Path, images: Path, command: str) -> tuple[Path, dict[str, Any]]:
    """Where a loop in this folder leaves its result, and the smallest settings for it."""
    out, bundle = folder / "out", folder / "bundle"
    if command == "evaluate":
        tiny_bundle(bundle)
    else:
        save_tiny_bundle(bundle)
    pair: dict[str, Any] = {"real": f"{images}/a.npz[0:12]", "generated": f"{images}/b.npz[0:12]", "detector": bundle}
    training = {"batch_size": 2, "eval_every": 2, "save_every": 2, "log_every": 1}
    match command:
        case "train-ddpm":
            more = {"data": f"{images}/a.npz", "heldout": f"{images}/b.npz[0:4]", "start": bundle, "samples": 0}
            return out, {"out": out, "steps": 6} | training | more
        case "generate":
            return out, {"detector": bundle, "out": out, "count": 5, "steps": 2, "batch_size": 2}
        case "calibrate":
            return bundle, pair | {"ks": "330,495", "batch_size": 8}
        case "train-nn":
            more = {"k": 495, "t_sec": 495, "epochs": 2, "batch_size": 8, "cosine": True, "flip": True}
            return bundle, pair | more | {"learning_rate": 0.01}
        case "evaluate":
            return bundle, {"detector": bundle, "heldout": f"{images}/c.npz[0:3]", "generated": f"{images}/d.npz[0:3]"}
        case "sweep":
            return out, pair | {"out": out, "ks": "330,495"}
    sizes = {"validation": 2, "calibration": 10, "classifier": 10, "test": 2}
    drawing = {"sampler": "ddim", "sampler_steps": 1, "sampler_batch": 11, "ks": "495", "epochs": 2}
    return out / "bundle", {
        "out": out,
        "data": f"{images}/a.npz",
        "start": bundle,
        "steps": 2,
    } | training | sizes | drawing


def content(file: Path) -> bytes:
    """The bytes of a file; of safetensors in one order of the header, where metadata come in any."""
    stored = file.read_bytes()
    if file.suffix != ".safetensors":
        return stored
    start = 8 + int.from_bytes(stored[:8], "little")
    return json.dumps(json.loads(stored[8:start]), sort_keys=True).encode() + stored[start:]


def written(folder: Path) -> dict[str, bytes]:
    """What a loop left there: its files by name, but for those that tell the time."""
    remove_litter(folder)  # as a job does when it is resumed
    files = [file for file in folder.rglob("*") if file.is_file()]
    timed = ("metrics.jsonl", "config.json")  # of runs: they name their folder
    return {
        str(file.relative_to(folder)): content(file)
        for file in sorted(files)
        if file.name not in timed or file.parent.name == "unet"
    }


@pytest.mark.parametrize(
    "command",
    [
        "train-ddpm",
        "generate",
        "calibrate",
        "train-nn",
        "evaluate",
        "sweep",
        pytest.param("loop", marks=pytest.mark.slow),
    ],
)
def test_a_loop_killed_again_and_again_ends_with_the_same_files(
    command: str, run: Run, images: Path, tmp_path: Path
) -> None:
    def given(name: str) -> tuple[Path, list[str]]:
        result, settings = loops(tmp_path / name, images, command)
        return result, [f"{key}={value}" for key, value in (settings | {"device": "cpu"}).items()]

    result, settings = given("whole")
    counted = run(command, settings, NEVER)
    records, writes = counted["record"], counted["write"]
    assert records >= 2
    whole = written(result)
    assert whole
    result, settings = given("broken")
    moments = [("write", 1), ("record", (records + 1) // 2), ("write", max(2, writes // 2))]
    ended = [run(command, settings, moment) for moment in moments]
    assert ended[0] == -9
    assert ended.count(-9) >= 2
    run(command, settings, NEVER)
    again = written(result)
    assert again.keys() == whole.keys()
    assert [name for name in whole if again[name] != whole[name]] == []

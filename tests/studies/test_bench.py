"""The benchmark compares what it says, and reports against its bars. No time is asserted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sedid.method.diffusion import NoiseSchedule
from sedid.paths import commit
from sedid.progress import Progress, finish
from sedid.studies import speed as module
from sedid.studies.speed import Row, SpeedResults, bench, engine_sweep, fastest, literal_sweep, table

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = NoiseSchedule.linear()


@pytest.mark.parametrize(("k", "t_sec", "n"), [(165, 990, 6), (49, 980, 20)])
def test_compared_sweeps_agree_and_cost_what_they_say(k: int, t_sec: int, n: int) -> None:
    asked: list[int] = []

    def eps(x: Tensor, t: int) -> Tensor:
        asked.append(t)
        return torch.sin(x + t / 100)

    x = torch.linspace(-1, 1, 2 * 3 * 4 * 4, dtype=torch.float64).reshape(2, 3, 4, 4)
    literal = torch.stack(list(literal_sweep(eps, x, SCHEDULE, k, t_sec)))
    assert len(asked) == 2 * n
    asked.clear()
    engine = torch.stack(list(engine_sweep(eps, x, SCHEDULE, k, t_sec)))
    assert len(asked) == n + 1
    torch.testing.assert_close(engine, literal, rtol=1e-8, atol=1e-18)


def test_variants_run_in_turn_and_the_fastest_run_of_each_step_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = [0.0], []
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    passes = {"a": iter([(0.5, 0.5), (1.0, 6.0), (3.0, 5.0)]), "b": iter([(9.0,), (8.0,), (7.0,)])}

    def variant(name: str) -> Iterator[Tensor]:
        order.append(name)
        for seconds in next(passes[name]):
            clock[0] += seconds
            yield torch.zeros(1)

    assert fastest([lambda: variant("a"), lambda: variant("b")], repeats=2) == [1.0 + 5.0, 7.0]
    assert order == ["a", "b"] * 3


def test_rows_know_whether_they_meet_their_bar() -> None:
    assert [Row.at_least("", value, 1.65, "").met for value in (1.6, 1.65, 1.7)] == [False, True, True]
    assert [Row.at_most("", value, 1.05, "").met for value in (1.0, 1.05, 1.1)] == [True, True, False]
    assert Row.at_most("", 1.0, 1.05, "").bar == "<= 1.05"


def test_a_quick_run_writes_every_row(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", tmp_path / "sample.npz")
    out, records = tmp_path / "new" / "bench.json", []
    result = finish(bench(tiny_bundle, out, device="cpu", quick=True), records.append)
    assert SpeedResults.read(out) == result
    assert [(record.done, record.total) for record in records] == [(done, 8) for done in range(9)]
    assert all(isinstance(record, Progress) for record in records)
    assert result.versions["commit"] == commit() != ""
    assert result.network == "bundle"
    assert result.quick is True
    assert (result.machine.threads, result.machine.torch) == (torch.get_num_threads(), torch.__version__)

    rows = {row.name: row for row in result.rows}
    bars = {
        "literal / engine, N = 6": ">= 1.65",
        "engine / network alone, N = 6": "<= 1.05",
        "literal / engine, N = 20": ">= 1.85",
        "engine / network alone, N = 20": "<= 1.05",
        "engine / network alone, N = 15, of latents, told a text": "<= 1.05",
        "fp32 / bf16": "",
        "fp32 / bf16: largest change in AUC": "",
        "one image, six T_SEC, bundle: seconds / 1 s": "<= 1",
        "one image, six T_SEC, random demo U-Net: seconds / 4 s": "<= 1",
        "evaluation of 1,000 + 1,000 images, six T_SEC: seconds / 180 s": "<= 1",
        "training: train-ddpm / bare loop": ">= 0.95",
        "training: augmented / not augmented": ">= 0.85",
    }
    assert {name: row.bar for name, row in rows.items()} == bars
    skipped = rows.pop("fp32 / bf16: largest change in AUC")
    assert (skipped.value, skipped.met) == (None, None)
    assert "skipped: the sample assets/sample.npz is not there" in skipped.note
    assert all(row.value > 0 for row in rows.values())
    assert all((row.met is None) == (row.bar == "") for row in rows.values())
    shown = table(result).splitlines()
    assert len(shown) == 13
    assert "n/a" in shown[7]


def test_without_a_detector_a_random_unet_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", tmp_path / "absent.npz")
    result = finish(bench(None, tmp_path / "bench.json", device="cpu", quick=True))
    assert result.network == "random demo U-Net"


def test_change_in_auc_comes_from_both_precisions(tiny_unet: Any, tmp_path: Path, monkeypatch: Any) -> None:
    sample = tmp_path / "sample.npz"
    sample.touch()
    monkeypatch.setattr(module, "SAMPLE", sample)
    rng = np.random.default_rng(0)
    images = {
        "sample:real[0:6]": rng.integers(0, 256, (6, 32, 32, 3), np.uint8),
        "sample:generated[0:6]": np.full((6, 32, 32, 3), 90, np.uint8),
    }
    monkeypatch.setattr(module, "load_images", lambda spec, *_: images[spec])
    aucs, found = [], module.sample_auc
    monkeypatch.setattr(module, "sample_auc", lambda *args: aucs.append(found(*args)) or aucs[-1])
    unet, x = tiny_unet(sample_size=32), torch.zeros(1, 3, 32, 32)
    rows = module.precision_rows(unet, module.Runtime(torch.device("cpu")), SCHEDULE, x, images=6, repeats=1)
    assert [auc.shape for auc in aucs] == [(6,), (6,)]
    assert all(bool(((auc >= 0) & (auc <= 1)).all()) for auc in aucs)
    assert rows[1].value == pytest.approx((aucs[0] - aucs[1]).abs().max().item())
    assert rows[1].note == "over six T_SEC, 6 + 6 images of the sample"

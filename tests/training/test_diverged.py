"""A training whose numbers are no longer finite stops in a sentence, and nothing of it replaces what was good."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import pictures, tiny_bundle
from safetensors.torch import load_file, safe_open, save_file

from sedid.jobs.folder import read_records
from sedid.models.networks import Runtime, make_resnet18
from sedid.progress import finish
from sedid.recipes.ship import ShipConfig, export
from sedid.training import records
from sedid.training import train_ddpm as loop
from sedid.training.denoising import HeldoutLoss
from sedid.training.nn_state import load_state, save_state
from sedid.training.resnet import Recipe, fit
from sedid.training.run import check_finite
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm
from sedid.training.train_nn import TrainNNConfig, train_nn

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def config(tmp_path: Path, images_npz: Path, tiny_bundle: Path) -> TrainDDPMConfig:
    """6 steps on 24 images, starting from a tiny U-Net."""
    return TrainDDPMConfig(
        data=str(images_npz),
        out=str(tmp_path / "run"),
        start=str(tiny_bundle),
        steps=6,
        batch_size=4,
        warmup_steps=0,
        eval_every=100,
        save_every=1,
        log_every=1,
        samples=0,
        device="cpu",
    )


def all_finite(file: Path) -> bool:
    return all(bool(value.isfinite().all()) for value in load_file(file).values())


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_rate_far_too_high_stops_the_training_and_keeps_the_last_finite_checkpoint(config: TrainDDPMConfig) -> None:
    with pytest.raises(
        ValueError,
        match=r"loss or gradient of step 2 is not finite: .*, and the checkpoint of step 1 is kept\. .* below 1e\+30",
    ):
        list(train_ddpm(replace(config, learning_rate=1e30)))
    state = Path(config.out) / "state.safetensors"
    with safe_open(state, "pt") as stored:
        assert stored.metadata()["step"] == "1"
    assert all_finite(state)
    lines = (Path(config.out) / "metrics.jsonl").read_text().splitlines()
    assert [strict(line)["step"] for line in lines] == [1]


def test_the_step_is_named_where_it_was_though_it_is_looked_for_later(config: TrainDDPMConfig) -> None:
    with pytest.raises(ValueError, match=r"of step 2 is not finite: .*, and nothing was saved"):
        list(train_ddpm(replace(config, learning_rate=1e30, save_every=100, log_every=5)))
    assert sorted(file.name for file in Path(config.out).glob("*.safetensors")) == []


def test_weights_that_are_not_finite_are_not_saved(config: TrainDDPMConfig) -> None:
    """After the last step there is no loss any more that would show it."""
    fine = torch.ones(3, 2)
    check_finite(config, Path(config.out), fine, [torch.ones(2)], 7)
    with pytest.raises(ValueError, match="the network's weights after step 7 are not finite"):
        check_finite(config, Path(config.out), fine, [torch.ones(2), torch.tensor([1.0, float("inf")])], 7)


def test_a_gradient_that_is_not_finite_counts_though_the_loss_is(
    config: TrainDDPMConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import Accelerator

    norms = iter([1.0, 1.0, float("inf")])
    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda *_: torch.tensor(next(norms)))
    with pytest.raises(ValueError, match=r"of step 3 is not finite: .* the checkpoint of step 2 is kept"):
        list(train_ddpm(config))


def test_a_heldout_loss_that_is_not_finite_saves_nothing(
    config: TrainDDPMConfig, images_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "heldout_loss", lambda *_: HeldoutLoss(float("nan"), 1.0))
    config = replace(config, heldout=str(images_npz), eval_every=2)
    with pytest.raises(ValueError, match=r"held-out loss of step 2 is not finite: .* checkpoint of step 1 is kept"):
        list(train_ddpm(config))
    assert not (Path(config.out) / "best.safetensors").exists()


def test_a_state_that_is_not_finite_is_not_resumed(config: TrainDDPMConfig) -> None:
    list(train_ddpm(replace(config, steps=2)))
    state = Path(config.out) / "state.safetensors"
    with safe_open(state, "pt") as stored:
        metadata = stored.metadata()
    for name in ("weights.conv_in.weight", "exp_avg.conv_in.weight"):
        tensors = load_file(state)
        good = tensors[name].clone()
        tensors[name] = good * float("nan")
        save_file(tensors, state, metadata)
        with pytest.raises(ValueError, match=r"state\.safetensors holds numbers that are not finite: .* by step 2"):
            next(train_ddpm(config))
        save_file(tensors | {name: good}, state, metadata)
    assert [record.step for record in train_ddpm(replace(config, steps=3))] == [3]


@pytest.mark.parametrize("change", [{"learning_rate": 1e-5}, {"ema_decay": 0.5}])
def test_a_run_is_not_continued_under_other_settings_without_a_word(config: TrainDDPMConfig, change: dict) -> None:
    list(train_ddpm(replace(config, steps=1)))
    with pytest.raises(ValueError, match=rf"other settings \({next(iter(change))}\).* export it to a bundle and start"):
        next(train_ddpm(replace(config, **change)))


def test_the_weights_a_run_started_from_are_the_same_wherever_they_lie(
    config: TrainDDPMConfig, tmp_path: Path, tiny_unet: Any
) -> None:
    list(train_ddpm(replace(config, steps=1)))
    moved = tmp_path / "moved"
    for name, seed in (("same", 0), ("other", 1)):
        tiny_unet(seed=seed, sample_size=32).save_pretrained(moved / name / "unet")
    again = replace(config, out=str(tmp_path / "again"), start=str(moved / "same"))
    list(train_ddpm(replace(again, steps=1)))
    with pytest.raises(ValueError, match=r"other settings \(start_sha256\)"):
        next(train_ddpm(replace(again, start=str(moved / "other"))))
    (moved / "same").rename(moved / "renamed")
    assert next(train_ddpm(replace(again, start=str(moved / "renamed")))).step == 2


def test_a_clip_of_zero_clips_nothing(config: TrainDDPMConfig, tmp_path: Path) -> None:
    free = replace(config, steps=2, grad_clip=0)
    wide = replace(free, grad_clip=1e9, out=str(tmp_path / "wide"))
    list(train_ddpm(free))
    list(train_ddpm(wide))
    a, b = (load_file(Path(one.out) / "state.safetensors") for one in (free, wide))
    assert all(torch.equal(a[name], b[name]) for name in a)


# --- metrics.jsonl ---------------------------------------------------------------------------------------------


def test_a_cut_line_costs_itself_alone(config: TrainDDPMConfig) -> None:
    list(train_ddpm(replace(config, steps=3)))
    file = Path(config.out) / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    assert [record.step for record in train_ddpm(replace(config, steps=5))] == [4, 5]
    assert [record["step"] for record in records.read(file)] == [1, 2, 4, 5]
    assert [record["done"] for record in read_records(Path(config.out))] == [1, 2, 4, 5]


def test_a_cut_line_does_not_stop_an_export(config: TrainDDPMConfig, images_npz: Path, tmp_path: Path) -> None:
    config = replace(config, heldout=str(images_npz), steps=2, eval_every=1)
    found = list(train_ddpm(config))
    with (Path(config.out) / "metrics.jsonl").open("a") as log:
        log.write('{"step": 3, "hea')
    bundle = tmp_path / "bundle"
    export(ShipConfig(str(bundle), str(tmp_path), config.data, config.heldout, run=config.out), bundle)
    curve = json.loads((bundle / "sedid" / "training.json").read_text())["heldout"]
    names = ("step", "heldout_loss", "heldout_plain")
    assert curve == [{name: getattr(record, name) for name in names} for record in found]


def test_what_is_no_number_becomes_null_and_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    with records.appending(file) as append:
        append({"stage": "a", "done": 1, "values": {"loss": float("nan"), "auc": float("inf"), "rate": 0.5}})
    [line] = file.read_text().splitlines()
    assert strict(line)["values"] == {"loss": None, "auc": None, "rate": 0.5}
    assert read_records(tmp_path)[0]["values"] == {"rate": 0.5}


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b"null", b'"text"', b'{"loss": 1}', b"\xff\xfe", b"[" * 100_000])
def test_lines_of_anything_else_are_passed_over(line: bytes, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
    assert records.read(file) == [{"step": 1}, {"step": 2}]
    assert read_records(tmp_path) == []  # no progress either
    assert records.read(tmp_path / "absent") == []


# --- the classifier --------------------------------------------------------------------------------------------


def test_the_classifiers_training_stops_at_the_step(tmp_path: Path) -> None:
    config = Recipe(batch_size=4, learning_rate=1e30)
    network = make_resnet18(3)
    inputs, labels = np.random.default_rng(0).normal(size=(12, 3, 8, 8)).astype(np.float16), np.arange(12) % 2
    optimizer = torch.optim.SGD(network.parameters(), config.learning_rate)
    with pytest.raises(
        ValueError, match=r"loss in step 2 of epoch 1 is not finite: .*Lower its learning rate \(now 1e\+30"
    ):
        list(fit(network, optimizer, inputs, labels, config, Runtime.choose("cpu")))
    with pytest.raises(ValueError, match="inputs are not all finite"):
        next(fit(network, optimizer, inputs * np.float16("inf"), labels, config, Runtime.choose("cpu")))


def test_a_diverged_classifier_leaves_the_detector_as_it_was(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    for name, seed in (("real", 1), ("generated", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(10, seed))
    before = (bundle / "sedid" / "detector.json").read_bytes()
    sets = (str(tmp_path / "real.npz"), str(tmp_path / "generated.npz"))
    config = TrainNNConfig(str(bundle), *sets, batch_size=4, epochs=2, learning_rate=1e30, device="cpu")
    with pytest.raises(ValueError, match="is not finite: its training has diverged"):
        finish(train_nn(config))
    assert (bundle / "sedid" / "detector.json").read_bytes() == before


def test_a_classifiers_state_that_is_not_finite_is_not_resumed(tmp_path: Path) -> None:
    network = make_resnet18(3)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    torch.nn.init.constant_(network.fc.bias, float("nan"))
    save_state(tmp_path / "state.safetensors", "key", network, optimizer, {}, {})
    with pytest.raises(ValueError, match="holds numbers that are not finite"):
        load_state(tmp_path / "state.safetensors", "key", network, optimizer)

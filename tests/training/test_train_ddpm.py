"""Training: it learns, it resumes as if never stopped, and it refuses what does not fit."""

import errno
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from sedid.data.augment import Augmentation
from sedid.data.datasets import load_images
from sedid.detector.export import export_run
from sedid.method.diffusion import NoiseSchedule
from sedid.paths import ROOT
from sedid.training import run
from sedid.training import train_ddpm as loop
from sedid.training.denoising import HeldoutLoss, heldout_errors, heldout_loss, loss_weights, noised
from sedid.training.run import learning_rate
from sedid.training.train_ddpm import TrainDDPMConfig, draw_batch, train_ddpm

pytestmark = pytest.mark.usefixtures("one_thread")

SCHEDULE = NoiseSchedule.linear()


@pytest.fixture
def config(tmp_path: Path, images_npz: Path, tiny_bundle: Path) -> TrainDDPMConfig:
    """12 steps on 24 images (an epoch is 6), starting from a tiny U-Net."""
    return TrainDDPMConfig(
        data=str(images_npz),
        out=str(tmp_path / "run"),
        start=str(tiny_bundle),
        steps=12,
        batch_size=4,
        warmup_steps=3,
        eval_every=100,
        save_every=2,
        log_every=1,
        device="cpu",
    )


def final_state(config: TrainDDPMConfig) -> dict[str, Tensor]:
    return load_file(Path(config.out) / "state.safetensors")


def saved_step(config: TrainDDPMConfig) -> int:
    with safe_open(Path(config.out) / "state.safetensors", framework="pt") as stored:
        return int(stored.metadata()["step"])


def assert_identical(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_loss_falls_on_trivial_data(config: TrainDDPMConfig, tmp_path: Path) -> None:
    grey = tmp_path / "grey.npz"
    np.savez(grey, images=np.full((8, 32, 32, 3), 128, np.uint8))
    config = replace(config, data=str(grey), steps=40, batch_size=8, learning_rate=3e-3)
    records = list(train_ddpm(config))
    losses = [record.loss for record in records]
    assert [record.step for record in records] == list(range(1, 41))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    lines = (Path(config.out) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [asdict(record) for record in records]


def test_resumed_run_is_bit_equal_to_the_uninterrupted(config: TrainDDPMConfig, tmp_path: Path) -> None:
    config = replace(config, cooldown_steps=4)
    list(train_ddpm(config))
    whole = final_state(config)
    config = replace(config, out=str(tmp_path / "broken"))
    for stop in (3, 7):  # between checkpoints: the steps after 2 and 6 are done again
        for record in train_ddpm(config):
            if record.step == stop:
                break
        assert saved_step(config) == stop - 1
    assert [record.step for record in train_ddpm(config)] == list(range(7, 13))
    assert_identical(final_state(config), whole)
    assert list(train_ddpm(config)) == []  # a finished run has nothing left to do


def test_hours_count_every_session_of_a_run(config: TrainDDPMConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(0.0, 36.0)  # every look at the clock costs 0.01 h
    monkeypatch.setattr(run.time, "monotonic", lambda: next(now))
    hours = []
    for record in train_ddpm(config):
        hours.append(record.hours)
        if record.step == 5:
            break
    resumed = [record.hours for record in train_ddpm(config)]
    for session in (hours, resumed):
        assert session == sorted(session)
    assert hours[0] < hours[3] <= resumed[0]  # what came after the checkpoint of step 4 is done, and counted, again


def test_dropout_and_random_initial_weights_resume_too(
    config: TrainDDPMConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sedid.models.networks import UNETS

    small = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4, "dropout": 0.5}
    monkeypatch.setitem(UNETS, "demo", UNETS["demo"] | small)
    config = replace(config, unet="demo", start="", steps=4)
    list(train_ddpm(config))
    whole = final_state(config)
    config = replace(config, out=str(tmp_path / "broken"))
    for record in train_ddpm(config):
        torch.randn(7)  # disturb the global generator
        if record.step == 3:
            break
    list(train_ddpm(config))
    assert_identical(final_state(config), whole)
    other = replace(config, out=str(tmp_path / "seed"), seed=1)
    list(train_ddpm(other))
    assert not torch.equal(final_state(other)["weights.conv_in.weight"], whole["weights.conv_in.weight"])


TRAIN = r"""
import json, os, sys, torch
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm
torch.set_num_threads(1)
for record in train_ddpm(TrainDDPMConfig(**json.loads(sys.argv[1]))):
    os.write(1, f"{record.step}\n".encode())  # whole lines, though two processes share the pipe
"""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_a_killed_process_resumes_to_the_same_weights(config: TrainDDPMConfig, tmp_path: Path) -> None:
    endless = replace(config, steps=10**6)
    child = subprocess.Popen(
        [sys.executable, "-c", TRAIN, json.dumps(asdict(endless))], env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert any(int(line) >= 5 for line in child.stdout)  # blocks until the child has got there
    finally:
        child.kill()
        child.wait()
    steps = saved_step(config) + 3
    assert steps >= 7
    list(train_ddpm(replace(config, steps=steps)))
    uninterrupted = replace(config, steps=steps, out=str(tmp_path / "whole"))
    list(train_ddpm(uninterrupted))
    assert_identical(final_state(config), final_state(uninterrupted))


@pytest.mark.slow
def test_two_processes_train_as_one(config: TrainDDPMConfig, tmp_path: Path, images_npz: Path) -> None:
    # an evaluation between two logged steps, where only the main process measures
    config = replace(config, steps=6, heldout=str(images_npz), eval_every=3, log_every=2)
    list(train_ddpm(config))
    pair = replace(config, out=str(tmp_path / "pair"))
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    ended = subprocess.run(
        [sys.executable, *launch, str(script), json.dumps(asdict(pair))],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.split()) == sorted(["2", "3", "4", "6"] * 2)
    one, two = final_state(config), final_state(pair)
    assert one.keys() == two.keys()
    for name, value in one.items():
        if name.startswith(("weights.", "ema.")):
            # gradients are summed in another order, and Adam divides by their size
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-5)


def test_averaged_weights_follow_the_ramp(
    config: TrainDDPMConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sedid.models.networks import UNETS

    decays, update = [], run.update_ema
    monkeypatch.setattr(run, "update_ema", lambda ema, live, decay: (decays.append(decay), update(ema, live, decay)))
    list(train_ddpm(replace(config, steps=4, ema_decay=0.2)))
    assert decays == [0.2] * 4  # trained weights to start from are worth averaging at once
    decays.clear()
    small = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
    monkeypatch.setitem(UNETS, "demo", UNETS["demo"] | small)
    anew = replace(config, start="", unet="demo", out=str(tmp_path / "anew"))
    list(train_ddpm(replace(anew, steps=4, ema_decay=0.2)))
    assert decays == pytest.approx([1 / 10, 2 / 11, 0.2, 0.2])


def test_averaged_weights_are_the_stated_average() -> None:
    unet = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(unet.weight, 3.0)
    ema = {"weight": torch.tensor([[1.0]])}
    run.update_ema(ema, unet.state_dict(), 0.75)
    assert ema["weight"].item() == pytest.approx(1.5)


def test_learning_rate_rises_holds_and_falls() -> None:
    config = TrainDDPMConfig(data="x", out="x", steps=10, learning_rate=8.0, warmup_steps=4, cooldown_steps=2)
    rates = [learning_rate(config, step) for step in range(10)]
    assert rates == pytest.approx([2, 4, 6, 8, 8, 8, 8, 8, 8, 4])
    assert learning_rate(replace(config, warmup_steps=0, cooldown_steps=0), 0) == 8


def drawn(images: np.ndarray, config: TrainDDPMConfig, steps: range) -> Iterator[list[int]]:
    """Which images the batches of `steps` hold, told by the value of their pixels at t = 0."""
    clean = NoiseSchedule((1.0,) * 1000)
    for step in steps:
        x_0, _, _ = draw_batch(images, clean, config, step)
        yield ((x_0[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


@pytest.mark.parametrize("batch_size", [4, 5, 24])
def test_every_epoch_is_a_new_permutation(config: TrainDDPMConfig, batch_size: int) -> None:
    images = np.broadcast_to(np.arange(24, dtype=np.uint8)[:, None, None, None], (24, 32, 32, 3))
    config = replace(config, batch_size=batch_size)
    order = [i for batch in drawn(images, config, range(72 // batch_size + 1)) for i in batch]
    epochs = [order[start : start + 24] for start in (0, 24, 48)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(24))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_is_a_pure_function_of_seed_and_step(config: TrainDDPMConfig, images_npz: Path) -> None:
    images = load_images(str(images_npz), 32, None)
    first = draw_batch(images, SCHEDULE, config, 7)
    torch.manual_seed(123)
    np.random.default_rng().random()
    draw_batch(images, SCHEDULE, config, 3)
    assert all(torch.equal(a, b) for a, b in zip(first, draw_batch(images, SCHEDULE, config, 7), strict=True))
    for other in (draw_batch(images, SCHEDULE, config, 8), draw_batch(images, SCHEDULE, replace(config, seed=1), 7)):
        assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    x_t, t, eps = first
    assert (x_t.shape, x_t.dtype, eps.dtype, t.dtype) == ((4, 3, 32, 32), torch.float32, torch.float32, torch.int64)


def test_flips_are_horizontal_and_about_half(config: TrainDDPMConfig) -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, None, :, None], (256, 32, 32, 3))
    config, clean = replace(config, batch_size=256), NoiseSchedule((1.0,) * 1000)
    x_0, _, _ = draw_batch(ramp, clean, config, 0)
    left_is_dark = x_0[:, 0, 0, 0] < x_0[:, 0, 0, -1]
    assert 96 < int(left_is_dark.sum()) < 160
    assert torch.equal(x_0.std(dim=2), torch.zeros(256, 3, 32))
    x_0, _, _ = draw_batch(ramp, clean, replace(config, flip=False), 0)
    assert bool((x_0[:, 0, 0, 0] < x_0[:, 0, 0, -1]).all())


def test_noised_images_have_the_stated_mean_and_spread() -> None:
    x_0, eps = torch.ones(3, 3, 2, 2), torch.full((3, 3, 2, 2), 2.0)
    x_t = noised(x_0, eps, torch.tensor([0, 500, 999]), SCHEDULE)
    for row, t in zip(x_t, (0, 500, 999), strict=True):
        abar = SCHEDULE.alpha_bar[t]
        torch.testing.assert_close(row, torch.full_like(row, abar**0.5 + 2 * (1 - abar) ** 0.5))


def test_loss_weights_are_min_snr_over_snr() -> None:
    t = torch.tensor([0, 100, 500, 999])
    snr = np.array([SCHEDULE.alpha_bar[i] / (1 - SCHEDULE.alpha_bar[i]) for i in t.tolist()])
    assert snr[0] > 5 > snr[2]
    weights = loss_weights(t, SCHEDULE, 5.0)
    assert weights.tolist() == pytest.approx((np.minimum(snr, 5) / snr).tolist(), rel=1e-6)
    assert loss_weights(t, SCHEDULE, 0.0).tolist() == [1.0] * 4


def test_min_snr_weighs_the_training_and_the_heldout_loss(
    config: TrainDDPMConfig, images_npz: Path, tmp_path: Path
) -> None:
    config = replace(config, heldout=str(images_npz), steps=1, batch_size=24)
    (plain,) = train_ddpm(config)
    (weighted,) = train_ddpm(replace(config, out=config.out + "-weighted", min_snr_gamma=5.0))
    assert weighted.loss < plain.loss
    assert plain.heldout_loss is not None
    assert weighted.heldout_loss is not None
    assert weighted.heldout_loss < 0.95 * plain.heldout_loss
    assert plain.heldout_plain == plain.heldout_loss
    assert weighted.heldout_plain is not None
    assert weighted.heldout_plain > weighted.heldout_loss / 0.95  # beside the weighted one, of the same weights
    training = export_run(Path(config.out + "-weighted"), tmp_path / "bundle")["training"]
    assert (training["heldout_loss"], training["heldout_plain"]) == (weighted.heldout_loss, weighted.heldout_plain)


def test_best_weights_are_those_of_the_lowest_heldout_loss(
    config: TrainDDPMConfig, images_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, seen = iter([0.5, 0.3, 0.4, 0.3]), []

    def measure(unet: torch.nn.Module, *_args: object) -> HeldoutLoss:
        seen.append({name: value.clone() for name, value in unet.state_dict().items()})
        return HeldoutLoss(next(losses), 1.0)

    monkeypatch.setattr(loop, "heldout_loss", measure)
    config = replace(config, heldout=str(images_npz), steps=4, eval_every=1, save_every=4)
    records = list(train_ddpm(config))
    assert [record.heldout_loss for record in records] == [0.5, 0.3, 0.4, 0.3]
    assert_identical(load_file(Path(config.out) / "best.safetensors"), seen[1])
    state = final_state(config)
    assert_identical({name[4:]: value for name, value in state.items() if name.startswith("ema.")}, seen[3])
    assert not torch.equal(state["weights.conv_in.weight"], state["ema.conv_in.weight"])
    # the best loss survives a resume: 0.35 is worse than it
    monkeypatch.setattr(loop, "heldout_loss", lambda *_args: HeldoutLoss(0.35, 0.1))
    list(train_ddpm(replace(config, steps=5)))
    assert_identical(load_file(Path(config.out) / "best.safetensors"), seen[1])


def test_without_heldout_images_the_last_average_is_kept(config: TrainDDPMConfig) -> None:
    records = list(train_ddpm(replace(config, steps=3, eval_every=2)))
    assert [record.heldout_loss for record in records] == [None] * 3
    average = {name[4:]: value for name, value in final_state(config).items() if name.startswith("ema.")}
    assert_identical(load_file(Path(config.out) / "best.safetensors"), average)


def test_measuring_does_not_change_the_training(config: TrainDDPMConfig, tmp_path: Path, images_npz: Path) -> None:
    config = replace(config, steps=4)
    list(train_ddpm(config))
    measured = replace(config, out=str(tmp_path / "measured"), heldout=str(images_npz), eval_every=1)
    assert all(record.heldout_loss is not None for record in train_ddpm(measured))
    assert_identical(final_state(measured), final_state(config))


def test_heldout_errors_do_not_depend_on_the_batch(images_npz: Path, tiny_unet) -> None:  # type: ignore[no-untyped-def]
    from sedid.models.networks import Runtime

    unet, images = tiny_unet(sample_size=32), load_images(str(images_npz), 32, None)
    errors = [heldout_errors(unet, images, SCHEDULE, Runtime.choose("cpu"), size)[1] for size in (24, 7, 1)]
    assert all(torch.allclose(each, errors[0], rtol=1e-4) for each in errors)
    mean = heldout_loss(unet, images, SCHEDULE, Runtime.choose("cpu"))
    assert 0.5 < mean.plain < 5
    assert mean.plain == mean.weighted == pytest.approx(errors[0].mean().item())


@pytest.mark.parametrize("change", [{"batch_size": 8}, {"seed": 1}, {"flip": False}, {"grad_clip": 0.5}])
def test_another_configuration_is_refused(config: TrainDDPMConfig, change: dict[str, object]) -> None:
    list(train_ddpm(replace(config, steps=2)))
    with pytest.raises(ValueError, match=rf"other settings \({next(iter(change))}\)"):
        next(train_ddpm(replace(config, **change)))  # type: ignore[arg-type]
    assert saved_step(config) == 2


def test_another_architecture_is_refused(config: TrainDDPMConfig, tmp_path: Path, tiny_unet) -> None:  # type: ignore[no-untyped-def]
    list(train_ddpm(replace(config, steps=2)))
    tiny_unet(width=12, sample_size=32).save_pretrained(tmp_path / "wider" / "unet")
    with pytest.raises(ValueError, match="checkpoint of another architecture"):
        next(train_ddpm(replace(config, start=str(tmp_path / "wider"))))


def test_attention_heads_survive_resume_and_export(config: TrainDDPMConfig, tmp_path: Path) -> None:
    """Weights of one head load into a network of many without an error, and mean something else there."""
    from diffusers import UNet2DModel

    from sedid.detector.export import export_run
    from sedid.models.networks import load_unet

    heads = {"block_out_channels": (16, 16), "norm_num_groups": 4, "attention_head_dim": 4}
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    torch.manual_seed(0)
    UNet2DModel(sample_size=32, layers_per_block=1, **heads, **blocks).save_pretrained(tmp_path / "many" / "unet")
    UNet2DModel(sample_size=32, layers_per_block=1, **heads | {"attention_head_dim": None}, **blocks).save_pretrained(
        tmp_path / "one" / "unet"
    )
    config = replace(config, start=str(tmp_path / "many"), steps=2)
    list(train_ddpm(config))
    with pytest.raises(ValueError, match="checkpoint of another architecture"):
        next(train_ddpm(replace(config, start=str(tmp_path / "one"), steps=4)))

    export_run(Path(config.out), tmp_path / "bundle")
    trained = load_unet(tmp_path / "many")
    trained.load_state_dict(load_file(Path(config.out) / "best.safetensors"))
    exported = load_unet(tmp_path / "bundle")
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        before, after = (unet(x, 500).sample for unet in (trained, exported))
    torch.testing.assert_close(after, before, rtol=0.02, atol=0.02)  # half precision


def test_a_batch_larger_than_the_data_is_refused(config: TrainDDPMConfig) -> None:
    with pytest.raises(ValueError, match=r"batch_size 25 is larger than the data set \(24 images\)"):
        next(train_ddpm(replace(config, batch_size=25)))


def test_a_full_disk_leaves_the_last_checkpoint_whole(config: TrainDDPMConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    list(train_ddpm(replace(config, steps=2)))
    before = (Path(config.out) / "state.safetensors").read_bytes()

    def full(_tensors: object, path: Path, _metadata: object) -> None:
        Path(path).write_bytes(before[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", full)
        with pytest.raises(OSError, match="No space left"):
            list(train_ddpm(config))
    assert (Path(config.out) / "state.safetensors").read_bytes() == before
    assert not list(Path(config.out).glob(".*"))
    assert [record.step for record in train_ddpm(replace(config, steps=4))] == [3, 4]


@pytest.mark.parametrize("name", get_args(Augmentation))
def test_an_augmentation_changes_every_image_by_draws_of_its_own(config: TrainDDPMConfig, name: str) -> None:
    one = np.random.default_rng(5).integers(0, 256, (32, 32, 3), np.uint8)
    images, clean = np.stack([one] * 24), NoiseSchedule((1.0,) * 1000)
    config = replace(config, batch_size=24, flip=False, augment=(name,))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    x_0, _, _ = draw_batch(images, clean, config, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len({part.numpy().tobytes() for part in x_0}) > 6
    assert float(x_0.abs().max()) <= 1
    assert torch.equal(x_0, draw_batch(images, clean, config, 3)[0])
    assert not torch.equal(x_0, draw_batch(images, clean, config, 4)[0])


def test_a_defended_run_is_resumed_exactly(config: TrainDDPMConfig, tmp_path: Path) -> None:
    defended = replace(config, dropout=0.3, weight_decay=0.1, augment=("crop", "colour"))
    list(train_ddpm(defended))
    parts = replace(defended, out=str(tmp_path / "parts"))
    for steps in (4, 12):
        list(train_ddpm(replace(parts, steps=steps)))
    assert_identical(final_state(defended), final_state(parts))
    with safe_open(Path(parts.out) / "state.safetensors", framework="pt") as stored:
        assert json.loads(stored.metadata()["unet"])["dropout"] == 0.3
    for name, other in (("dropout", None), ("weight_decay", 0.0), ("augment", ())):
        undefended = replace(config, **{name: other}, out=str(tmp_path / name))
        list(train_ddpm(undefended))
        assert any(
            not torch.equal(a, b)
            for a, b in zip(final_state(defended).values(), final_state(undefended).values(), strict=True)
        )
    with pytest.raises(ValueError, match=r"other settings \(weight_decay\)"):
        list(train_ddpm(replace(parts, steps=14, weight_decay=0.0)))


def test_an_unknown_augmentation_is_refused(config: TrainDDPMConfig) -> None:
    with pytest.raises(ValueError, match="unknown augment 'mixup'; accepted: crop, cutout, colour, randaugment"):
        replace(config, augment=("mixup",))

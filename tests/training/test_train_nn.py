"""The classifier's training: several samplers, re-encoded copies of both classes alike, and no copy on both sides of the split."""

from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, tiny_bundle

from sedid.data.perturb import mildly
from sedid.detector.bundle import load_detector
from sedid.progress import finish
from sedid.storage import read_json
from sedid.training.resnet import split_rows
from sedid.training.train_nn import TrainNNConfig, train_nn

pytestmark = pytest.mark.usefixtures("one_thread")


def test_all_copies_of_an_image_are_on_one_side() -> None:
    train, validation = split_rows(20, 0.25, 3, copies=3)
    assert sorted([*train, *validation]) == list(range(60))
    assert set(train % 20).isdisjoint(validation % 20)
    alone = split_rows(20, 0.25, 3)
    np.testing.assert_array_equal(train[:15], alone[0])
    np.testing.assert_array_equal(validation[:5], alone[1])


def test_mild_changes_are_mild_and_do_not_depend_on_what_a_picture_shows() -> None:
    images = pictures(40)
    changed = mildly(images, 5)
    np.testing.assert_array_equal(changed, mildly(images, 5))
    np.testing.assert_array_equal(changed[:7], mildly(images[:7], 5))
    assert (changed != mildly(images, 6)).any()
    nearer = np.minimum(
        *(np.abs(changed.astype(int) - one).mean(axis=(1, 2, 3)) for one in (images, images[:, :, ::-1]))
    )
    assert 0 < np.median(nearer) < 12
    mirrored = [
        (np.abs(a.astype(int) - b[:, ::-1]) < np.abs(a.astype(int) - b)).mean() > 0.3
        for a, b in zip(changed, images, strict=True)
    ]
    assert 8 < sum(mirrored) < 32
    assert changed.dtype == np.uint8


def test_several_samplers_and_copies_are_trained_on(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    for name, count, seed in (("real", 14, 1), ("ddim", 12, 2), ("ddpm", 10, 3)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(count, seed))
    files = {name: str(tmp_path / f"{name}.npz") for name in ("real", "ddim", "ddpm")}
    config = TrainNNConfig(
        str(bundle), files["real"], files["ddim"], others=(files["ddpm"],), reencoded=1, k=495, t_sec=495, epochs=1,
        batch_size=8, device="cpu",
    )  # fmt: skip
    section = finish(train_nn(config))
    assert {name: made["count"] for name, made in section["data"].items()} == {"real": 14, "generated": 22}
    assert section["calibrated_on"] == f"{2 * (3 + 4)} validation images, not trained on, re-encoded copies among them"
    assert section["training"]["others"] == ["ddpm.npz"]
    assert str(tmp_path) not in str(read_json(bundle / "sedid" / "detector.json"))
    assert load_detector(bundle, device="cpu").nn_pair == (495, 495)

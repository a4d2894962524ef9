"""Named data sets, laid out in a temporary folder as the public ones are; splits; scaling."""

import hashlib
import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.image_files import encoded, pixels, zipped
from PIL import Image

import sedid.data.datasets as data
from sedid.data.datasets import (
    as_model_input,
    crop_of,
    describe_split,
    fingerprint,
    iter_items,
    load_images,
    make_splits,
    open_sets,
)
from sedid.data.images import ImageError, prepare


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEDID_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Data sets by name


def test_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SAMPLE", tmp_path / "sample.npz")
    with pytest.raises(ImageError, match="The embedded sample does not come with the installed package"):
        load_images("sample:real", 32, None)
    real, generated = pixels(5, seed=1), pixels(5, seed=2)
    np.savez_compressed(tmp_path / "sample.npz", real=real, generated=generated)
    assert (load_images("sample:real", 32, None) == real).all()
    assert (load_images("sample:generated[2:4]", 32, None) == generated[2:4]).all()


def test_cifar10_laid_out_as_published(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    images, folder = pixels(6), cache / CIFAR10.base_folder
    folder.mkdir(parents=True)

    def write(name: str, content: object) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    planes = images.transpose(0, 3, 1, 2).reshape(6, -1)
    md5 = [
        write(name, {"data": part, "labels": [0] * 3})
        for name, part in [("data_batch_1", planes[:3]), ("test_batch", planes[3:])]
    ]
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", md5[0]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5[1]]])
    monkeypatch.setattr(
        CIFAR10,
        "meta",
        {"filename": "batches.meta", "key": "label_names", "md5": write("batches.meta", {"label_names": ["cat"]})},
    )
    assert (load_images("cifar10", 32, None) == images[:3]).all()
    assert (load_images("cifar10:test[1:]", 32, None) == images[4:]).all()
    assert [index for _, index, _ in iter_items(open_sets(["cifar10[1:3]"], 32, None))] == [1, 2]


@pytest.mark.parametrize("layout", ["zip", "folder"])
def test_celeba_laid_out_as_published(layout: str, cache: Path) -> None:
    photographs = np.random.default_rng(0).integers(0, 256, (3, 218, 178, 3), dtype=np.uint8)
    numbers = [162_770, 162_771, 182_638]  # the last of train, the first of valid and of test
    members = {
        f"img_align_celeba/{number:06d}.jpg": encoded(image, "JPEG")
        for number, image in zip(numbers, photographs, strict=True)
    }
    (cache / "celeba" / "img_align_celeba").mkdir(parents=True)
    if layout == "zip":
        zipped(cache / "celeba" / "img_align_celeba.zip", members)
    else:
        for name, content in members.items():
            (cache / "celeba" / name).write_bytes(content)
    for spec, content in zip(["celeba", "celeba:valid", "celeba:test"], members.values(), strict=True):
        photograph = Image.open(BytesIO(content))
        assert (load_images(spec, 32, crop_of(spec)) == prepare(photograph.crop((19, 39, 159, 179)))).all()
        for crop in (None, 100, 0.5):  # whoever asks decides: a detector sees it as it sees any photograph
            assert (load_images(spec, 32, crop) == prepare(photograph, 32, crop)).all()
        assert crop_of(f"{spec}[:10]") == crop_of(spec) == 140
    assert crop_of("celebrities") is crop_of("cifar10") is None


def tiny_imagenet() -> dict[str, bytes]:
    members = {"tiny-imagenet-200/wnids.txt": b""}
    for kind in range(200):
        for index in range(2):
            image = np.full((64, 64, 3), kind, np.uint8)
            members[f"tiny-imagenet-200/train/n{kind:08d}/images/n{kind:08d}_{index}.JPEG"] = encoded(image, "JPEG")
    members["tiny-imagenet-200/val/images/val_0.JPEG"] = encoded(np.full((64, 64, 3), 255, np.uint8), "JPEG")
    return members


def test_tiny_imagenet_holds_every_class_from_the_start(cache: Path) -> None:
    cache.mkdir()
    zipped(cache / "tiny-imagenet-200.zip", tiny_imagenet())
    images = load_images("tiny-imagenet[:200]", 32, None)
    assert images.shape == (200, 32, 32, 3)
    assert (np.abs(images.mean((1, 2, 3)) - np.arange(200)) <= 2).all()
    assert (load_images("tiny-imagenet:val", 32, None) == 255).all()
    with pytest.raises(ImageError, match="has 400 images"):
        load_images("tiny-imagenet[:401]", 32, None)


def test_tiny_imagenet_is_downloaded_once_and_checked(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = zipped(tmp_path / "published.zip", tiny_imagenet())
    monkeypatch.setattr(data, "TINY_URL", published.as_uri())
    monkeypatch.setattr(data, "TINY_BYTES", published.stat().st_size)
    with pytest.raises(ImageError, match="not the published file"):
        load_images("tiny-imagenet", 32, None)  # the MD5 is still that of the real one
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(data, "TINY_MD5", hashlib.md5(published.read_bytes(), usedforsecurity=False).hexdigest())
    assert len(load_images("tiny-imagenet[:5]", 32, None)) == 5
    published.unlink()
    assert len(load_images("tiny-imagenet[:5]", 32, None)) == 5


@pytest.mark.parametrize(
    ("spec", "file"),
    [
        ("cifar10", "cifar-10-python.tar.gz"),
        ("celeba:test", "img_align_celeba.zip"),
        ("tiny-imagenet", "tiny-imagenet-200.zip"),
    ],
)
def test_a_failed_download_says_what_to_do(spec: str, file: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network\nand a second line")

    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", offline)
    monkeypatch.setattr("torchvision.datasets.CelebA.download", offline)
    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(
        ImageError, match=rf"could not be downloaded \(no network\): put {file} into .*cache.* by hand, or use a folder"
    ) as caught:
        load_images(spec, 32, None)
    assert "\n" not in str(caught.value)


def test_an_unknown_part_lists_the_names(cache: Path) -> None:
    with pytest.raises(ImageError, match="cifar10:test"):
        load_images("cifar10:validation", 32, None)


# Splits, fingerprints, scaling


def test_splits_are_disjoint_and_depend_on_the_seed_alone() -> None:
    splits = make_splits(1000, {"train": 500, "calibration": 300, "test": 200}, seed=3)
    assert {name: len(index) for name, index in splits.items()} == {"train": 500, "calibration": 300, "test": 200}
    assert len(np.unique(np.concatenate(list(splits.values())))) == 1000
    assert all((np.diff(index) > 0).all() for index in splits.values())
    again = make_splits(1000, {"train": 500, "calibration": 300}, seed=3)
    assert all((again[name] == splits[name]).all() for name in again)
    assert (make_splits(1000, {"train": 500}, seed=4)["train"] != splits["train"]).any()


def test_splits_that_do_not_fit_name_both_numbers() -> None:
    with pytest.raises(ValueError, match=r"need 11 images \(train 6, test 5\), and the data set has 10"):
        make_splits(10, {"train": 6, "test": 5}, seed=0)
    with pytest.raises(ValueError, match="at least one"):
        make_splits(10, {"train": 6, "test": 0}, seed=0)


def test_fingerprint_sees_pixels_order_and_shape() -> None:
    images = pixels(4)
    assert fingerprint(images) == fingerprint(images.copy()) == fingerprint(np.asfortranarray(images))
    others = [images[::-1], images[:3], images.reshape(2, 64, 32, 3), images ^ np.eye(1, 3, dtype=np.uint8)[0]]
    assert len({fingerprint(images), *map(fingerprint, others)}) == 5


def test_split_manifest() -> None:
    split = describe_split("test", "cifar10:test[:4]", pixels(4), 7)
    assert (split.name, split.data, split.count, split.seed) == ("test", "cifar10:test[:4]", 4, 7)
    assert split.fingerprint == fingerprint(pixels(4))


def test_model_input() -> None:
    images = pixels(2)
    images[0, 0, 0] = [0, 255, 51]
    images.flags.writeable = False
    x = as_model_input(images[::-1])
    assert x.shape == (2, 3, 32, 32)
    assert x.dtype == torch.float32
    assert x[1, :, 0, 0].tolist() == pytest.approx([-1, 1, -0.6])
    assert ((x + 1) * 127.5).round().permute(0, 2, 3, 1).to(torch.uint8).numpy().tolist() == images[::-1].tolist()
    for wrong in (images / 255, images[0], images[..., :1]):
        with pytest.raises(ValueError, match="expected uint8"):
            as_model_input(wrong)

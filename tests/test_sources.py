"""Folders, zips, arrays and single images as data sets, slices of them, and what is refused."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from image_files import encoded, pixels, zipped
from PIL import Image

import sedid.sources as sources
from sedid.data import count_items, iter_items, load_images, load_with_files
from sedid.images import MAX_BYTES, ImageError, prepare
from sedid.sources import FileFacts

# Arrays


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_comes_back_bit_identical_and_writable(
    save: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pixels(3000)  # more than are read at once
    save(tmp_path / "a.npz", images=images, labels=np.zeros(3000))  # type: ignore[operator]
    loaded = load_images(tmp_path / "a.npz")
    assert loaded.dtype == np.uint8
    assert (loaded == images).all()
    assert loaded.flags.writeable


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[5:2000]", slice(5, 2000)), ("[:7]", slice(0, 7)), ("[1990:]", slice(1990, 2000)), ("[:]", slice(0, 2000))],
)
def test_slices(text: str, expected: slice, tmp_path: Path) -> None:
    images = pixels(2000)
    np.savez_compressed(tmp_path / "a.npz", images=images)
    assert (load_images(f"{tmp_path}/a.npz{text}") == images[expected]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[0:4]", "has 3 images"),
        ("[2:2]", "does not fit"),
        ("[3:]", "does not fit"),
        ("[-1:]", "not understood"),
        ("[1]", "not understood"),
    ],
)
def test_slices_that_do_not_fit(text: str, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(3))
    with pytest.raises(ImageError, match=message):
        load_images(f"{tmp_path}/a.npz{text}")


def test_a_folder_may_have_brackets_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "set[0:5]"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(pixels(1)[0]))
    assert (load_images(folder) == pixels(1)).all()


def test_arrays_of_another_size_go_through_prepare(tmp_path: Path) -> None:
    images = pixels(3, 64)
    np.savez(tmp_path / "a.npz", images=images)
    assert (load_images(tmp_path / "a.npz") == np.stack([prepare(Image.fromarray(image)) for image in images])).all()
    assert load_images(tmp_path / "a.npz", size=16).shape == (3, 16, 16, 3)


def test_a_crop_larger_than_the_images_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(2, 64))
    with pytest.raises(ImageError, match="140 pixels does not fit"):
        load_images(tmp_path / "a.npz", center_crop=140)


def test_images_of_the_final_size_are_not_cropped(tmp_path: Path) -> None:
    np.savez(tmp_path / "generated.npz", images=pixels(2))
    assert (load_images(tmp_path / "generated.npz", center_crop=140) == pixels(2)).all()
    (tmp_path / "faces").mkdir()
    Image.fromarray(pixels(1)[0]).save(tmp_path / "faces" / "generated.png")
    photograph = Image.fromarray(pixels(1, 218)[0][:, :178])
    photograph.save(tmp_path / "faces" / "real.png")
    images = load_images(tmp_path / "faces", center_crop=140)
    assert (images[0] == pixels(1)[0]).all()
    assert (images[1] == prepare(photograph.crop((19, 39, 159, 179)))).all()


BAD_ARRAYS = {
    "no images key": ({"x_train": pixels(2)}, "no array 'images'; it holds x_train"),
    "float": ({"images": pixels(2) / 255}, "must be uint8 .* it is float64"),
    "channels first": ({"images": pixels(2).transpose(0, 3, 1, 2).copy()}, r"it is uint8 \(2, 3, 32, 32\)"),
    "no colour": ({"images": pixels(2)[..., 0]}, r"it is uint8 \(2, 32, 32\)"),
    "objects": ({"images": np.array([pixels(1), None], object)}, "pickled objects"),
    "none": ({"images": pixels(0)}, r"it is uint8 \(0, 32, 32, 3\)"),
    "column order": ({"images": np.asfortranarray(pixels(2))}, "Fortran"),
}


@pytest.mark.parametrize(("arrays", "message"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_arrays_are_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ImageError, match=message):
        load_images(tmp_path / "a.npz")


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.array([Payload(tmp_path / "ran")], object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    zipped(tmp_path / "c.npz", {"images.npy": pickle.dumps(Payload(tmp_path / "ran"))})
    for name in ("a.npz", "b.npz", "c.npz"):
        with pytest.raises(ImageError, match=r"pickled objects|damaged"):
            load_images(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_an_array_that_claims_more_than_there_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", images=pixels(3))
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        member = archive.read("images.npy")
    zipped(tmp_path / "cut.npz", {"images.npy": member[:-100]})
    with pytest.raises(ImageError, match="cut off"):
        load_images(tmp_path / "cut.npz")
    zipped(tmp_path / "bomb.npz", {"images.npy": member.replace(b"(3, 32", b"(3333333333, 32", 1)})
    with pytest.raises(ImageError, match="more than 8 GB"):
        load_images(tmp_path / "bomb.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"damaged or not a \.npz"):
        load_images(tmp_path / "half.npz")


# Folders, zips and single images


def test_a_folder_a_zip_and_a_single_image_agree(tmp_path: Path) -> None:
    images = pixels(3)
    members = {f"{index}.png": encoded(image) for index, image in enumerate(images)}
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in members.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("not an image")
    (folder / "._0.png").write_bytes(b"a resource fork")
    packed = zipped(tmp_path / "a.zip", {"__MACOSX/0.png": b"?", "labels.csv": b"?"} | members)
    assert (load_images(folder) == images).all()
    assert (load_images(packed) == images).all()
    assert (load_images(f"{packed}[1:]") == images[1:]).all()
    assert (load_images(folder / "2.png") == images[2:]).all()


def test_classes_are_read_in_turn(tmp_path: Path) -> None:
    members = {
        f"train/{kind}/{index}.png": encoded(np.full((32, 32, 3), 10 * kind + index, np.uint8))
        for kind in range(4)
        for index in range(3)
    }
    levels = load_images(zipped(tmp_path / "a.zip", members))[:, 0, 0, 0]
    assert levels.tolist() == [0, 10, 20, 30, 1, 11, 21, 31, 2, 12, 22, 32]


def test_file_facts(tmp_path: Path) -> None:
    jpeg, png = encoded(pixels(1, 48)[0], "JPEG"), encoded(pixels(1)[0])
    path = zipped(tmp_path / "a.zip", {"a.jpg": jpeg, "b.png": png})
    images, files = load_with_files(path)
    assert images.shape == (2, 32, 32, 3)
    resized = ("resized from 48x48 to 32x32",)
    assert files == [FileFacts("JPEG", len(jpeg), 48, 48, resized), FileFacts("PNG", len(png), 32, 32)]
    np.savez(tmp_path / "a.npz", images=images)
    assert load_with_files(tmp_path / "a.npz")[1] is None


def test_a_bad_image_in_a_set_is_named(tmp_path: Path) -> None:
    members = {"good.png": encoded(pixels(1)[0]), "bad.png": b"nonsense"}
    with pytest.raises(ImageError, match=r"a\.zip/bad\.png is not an image"):
        load_images(zipped(tmp_path / "a.zip", members))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "cut.jpg").write_bytes(encoded(pixels(1)[0], "JPEG")[:500])
    with pytest.raises(ImageError, match=r"folder/cut\.jpg is damaged or cut off"):
        load_images(tmp_path / "folder")


def test_nothing_there(tmp_path: Path) -> None:
    for odd in ("", "x\0y", "x" * 5000):
        with pytest.raises(ImageError):
            load_images(odd)
    with pytest.raises(ImageError, match=r"no data set .*accepted are a folder, a \.zip, a \.npz"):
        load_images(tmp_path / "none")
    with pytest.raises(ImageError, match="holds no images"):
        load_images(tmp_path)
    with pytest.raises(ImageError, match="holds no images"):
        load_images(zipped(tmp_path / "a.zip", {"notes.txt": b""}))
    (tmp_path / "b.zip").write_bytes(b"PK nonsense")
    with pytest.raises(ImageError, match=r"damaged or not a \.zip"):
        load_images(tmp_path / "b.zip")


def test_zip_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zipped(tmp_path / "a.zip", {"big.png": bytes(MAX_BYTES + 1), "small.png": encoded(pixels(1)[0])})
    assert packed.stat().st_size < 100_000
    with pytest.raises(ImageError, match="over 20 MB"):
        load_images(packed)
    monkeypatch.setattr(sources, "MAX_UNPACKED", MAX_BYTES)
    with pytest.raises(ImageError, match="unpacks to more than"):
        load_images(packed)
    monkeypatch.setattr(sources, "MAX_ENTRIES", 1)
    with pytest.raises(ImageError, match="2 files; at most 1"):
        load_images(packed)


def test_hostile_names_write_nothing(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    packed = zipped(inside / "a.zip", {"../../evil.png": encoded(pixels(1)[0]), "/evil.png": encoded(pixels(1)[0])})
    assert len(load_images(packed)) == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "a.zip"]


def test_a_damaged_member_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", encoded(pixels(1)[0]))
        archive.writestr("b.png", encoded(pixels(1)[0]))
    content = bytearray(packed.read_bytes())
    content[500] ^= 255  # within a.png
    packed.write_bytes(content)
    (_, _, first), (_, _, second) = iter_items([packed])
    assert isinstance(first, ImageError)
    assert "a.png cannot be unpacked" in str(first)
    assert (second == pixels(1)[0]).all()


def test_iter_items_goes_on_after_errors(tmp_path: Path) -> None:
    images = pixels(4)
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    (tmp_path / "folder" / "a.png").write_bytes(encoded(images[0]))
    (tmp_path / "folder" / "b.png").write_bytes(b"")
    (tmp_path / "folder" / "deeper" / "c.heic").write_bytes(b"\0\0\0\x18ftypheic")
    np.savez(tmp_path / "d.npz", images=images[1:])
    zipped(tmp_path / "e.zip", {"x.png": encoded(images[3])})
    names = ["folder", "none", "d.npz[1:]", "e.zip", "folder/a.png"]
    found = [
        (Path(where).relative_to(tmp_path).as_posix(), index, image)
        for where, index, image in iter_items(f"{tmp_path}/{name}" for name in names)
    ]
    assert [(where, index, isinstance(image, ImageError)) for where, index, image in found] == [
        ("folder/a.png", 0, False),
        ("folder/deeper/c.heic", 1, True),
        ("folder/b.png", 2, True),
        ("none", 0, True),
        ("d.npz:images", 1, False),
        ("d.npz:images", 2, False),
        ("e.zip/x.png", 0, False),
        ("folder/a.png", 0, False),
    ]
    assert count_items(f"{tmp_path}/{name}" for name in names) == len(found)
    good = [image for _, _, image in found if not isinstance(image, ImageError)]
    assert (np.stack(good) == images[[0, 2, 3, 3, 0]]).all()
    assert "HEIC" in str(found[1][2])


def test_iter_items_reads_one_image_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "a.zip", {f"{index}.png": encoded(pixels(1)[0]) for index in range(5)})
    read: list[str] = []
    real = sources.read_image
    monkeypatch.setattr(sources, "read_image", lambda content, name: read.append(name) or real(content, name))
    items = iter_items([tmp_path / "a.zip"])
    next(items)
    next(items)
    assert len(read) == 2

"""Folders, zips, arrays and single images as data sets, slices of them, and what is refused."""

import logging
import os
import pickle
import zipfile
from contextlib import suppress
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from helpers.image_files import encoded, pixels, zipped
from PIL import Image

import sedid.data.sources as sources
from sedid.data.datasets import iter_items, load_images, load_sets, load_with_files, open_data, open_sets
from sedid.data.images import FORMATS, MAX_BYTES, SIZE, ImageError, prepare
from sedid.data.sources import FileFacts, begins_as_image

# Arrays


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_comes_back_bit_identical_and_writable(
    save: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pixels(3000)  # more than are read at once
    save(tmp_path / "a.npz", images=images, labels=np.zeros(3000))  # type: ignore[operator]
    loaded = load_images(tmp_path / "a.npz", 32, None)
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
    assert (load_images(f"{tmp_path}/a.npz{text}", 32, None) == images[expected]).all()


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
        load_images(f"{tmp_path}/a.npz{text}", 32, None)


def test_a_folder_may_have_brackets_in_its_name(tmp_path: Path) -> None:
    for name in ("set[0:5]", "set[v2]"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a.png").write_bytes(encoded(pixels(1)[0]))
        assert (load_images(folder, 32, None) == pixels(1)).all()
        assert (load_images(f"{folder}[0:1]", 32, None) == pixels(1)).all()
    with pytest.raises(ImageError, match=r"no data set .*set\[v3\]; accepted are"):
        load_images(tmp_path / "set[v3]", 32, None)


def test_arrays_of_another_size_go_through_prepare(tmp_path: Path) -> None:
    images = pixels(3, 64)
    np.savez(tmp_path / "a.npz", images=images)
    assert (
        load_images(tmp_path / "a.npz", 32, None) == np.stack([prepare(Image.fromarray(image)) for image in images])
    ).all()
    assert load_images(tmp_path / "a.npz", 16, None).shape == (3, 16, 16, 3)


def test_a_crop_larger_than_the_images_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(2, 64))
    with pytest.raises(ImageError, match="140 pixels does not fit"):
        load_images(tmp_path / "a.npz", 32, 140)


def test_images_of_the_final_size_are_not_cropped(tmp_path: Path) -> None:
    np.savez(tmp_path / "generated.npz", images=pixels(2))
    assert (load_images(tmp_path / "generated.npz", 32, 140) == pixels(2)).all()
    (tmp_path / "faces").mkdir()
    Image.fromarray(pixels(1)[0]).save(tmp_path / "faces" / "generated.png")
    photograph = Image.fromarray(pixels(1, 218)[0][:, :178])
    photograph.save(tmp_path / "faces" / "real.png")
    images = load_images(tmp_path / "faces", 32, 140)
    assert (images[0] == pixels(1)[0]).all()
    assert (images[1] == prepare(photograph.crop((19, 39, 159, 179)))).all()


BAD_ARRAYS = {
    "nothing fits": ({"labels": np.zeros(2), "ids": np.zeros(2)}, "no array 'images'; it holds labels, ids"),
    "only one, of another kind": ({"arr_0": pixels(2) / 255}, "array 'arr_0' of .* must be uint8 .* it is float64"),
    "several fit": (
        {"a": pixels(2), "b": pixels(2)},
        r"holds several arrays of images \(a, b\): name one of them 'images'",
    ),
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
        load_images(tmp_path / "a.npz", 32, None)


def test_the_only_array_of_images_is_taken_whatever_it_is_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = pixels(3, 64)
    np.savez(tmp_path / "published.npz", images, np.arange(3))  # as numpy calls them: arr_0, arr_1
    with caplog.at_level(logging.INFO, "sedid"):
        assert load_images(f"{tmp_path}/published.npz[1:]", 32, None).shape == (2, 32, 32, 3)
    assert caplog.messages == [
        f"{tmp_path}/published.npz[1:], 2 images: its array 'arr_0' is taken; resized from 64x64 to 32x32"
    ]
    np.savez(tmp_path / "named.npz", images=images, others=pixels(5))
    assert len(load_images(tmp_path / "named.npz", 32, None)) == 3


def test_a_shape_below_zero_is_damage_not_a_count(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", images=pixels(3))
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        member = archive.read("images.npy")
    zipped(tmp_path / "neg.npz", {"images.npy": member.replace(b"(3, 32", b"(-1, 32", 1)})
    with pytest.raises(ImageError, match=r"must be uint8 \(N, H, W, 3\) .* it is uint8 \(-1, 32, 32, 3\)"):
        load_images(tmp_path / "neg.npz", 32, None)


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
            load_images(tmp_path / name, 32, None)
    assert not (tmp_path / "ran").exists()


def test_an_array_that_claims_more_than_there_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", images=pixels(3))
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        member = archive.read("images.npy")
    zipped(tmp_path / "cut.npz", {"images.npy": member[:-100]})
    with pytest.raises(ImageError, match="cut off"):
        load_images(tmp_path / "cut.npz", 32, None)
    zipped(tmp_path / "open.npz", {"images.npy": member.replace(b"{'descr'", b"((((((((", 1)})
    with pytest.raises(ImageError, match=r"damaged \(its header is cut off\)"):
        load_images(tmp_path / "open.npz", 32, None)
    zipped(tmp_path / "bomb.npz", {"images.npy": member.replace(b"(3, 32", b"(3333333333, 32", 1)})
    with pytest.raises(ImageError, match="more than 8 GB"):
        load_images(tmp_path / "bomb.npz", 32, None)
    (tmp_path / "half.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"damaged or not a \.npz"):
        load_images(tmp_path / "half.npz", 32, None)


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
    assert (load_images(folder, 32, None) == images).all()
    assert (load_images(packed, 32, None) == images).all()
    assert (load_images(f"{packed}[1:]", 32, None) == images[1:]).all()
    assert (load_images(folder / "2.png", 32, None) == images[2:]).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_that_is_read_is_known_by_how_it_begins(kind: str, tmp_path: Path) -> None:
    content = encoded(pixels(1)[0], kind)
    assert begins_as_image(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "picture").write_bytes(content)
    (tmp_path / "folder" / "called.txt").write_bytes(content)
    assert len(load_images(tmp_path / "folder", 32, None)) == 2
    assert len(load_images(zipped(tmp_path / "a.zip", {"picture": content, "called.txt": content}), 32, None)) == 2


def test_pictures_of_any_mode_are_known() -> None:
    known = 0
    for kind, mode in product(("BMP", "DIB", "PPM", "TIFF", "GIF", "PNG"), ("1", "L", "P", "RGBA", "I;16", "F")):
        file = BytesIO()
        with suppress(OSError):  # not every format holds every mode
            Image.new(mode, (40, 30)).save(file, kind)
            assert begins_as_image(file.getvalue()[: sources.HEAD]), (kind, mode)
            known += 1
    assert known > 20


def test_texts_that_begin_like_a_picture_are_none(tmp_path: Path) -> None:
    texts = (
        "BMW drivers",
        "P1 is the first of them",
        "GIF or PNG?",
        "Pf",
        "II. Results",
        "MM",
        "RIFF and WEBP",
        "\x28\0\0\0",
        "",
    )
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text)
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    with pytest.raises(ImageError, match=r"holds no images\. 10 files that are no pictures were passed over: 0\.txt"):
        load_images(tmp_path, 32, None)


def test_what_is_passed_over_is_counted_and_named(tmp_path: Path) -> None:
    good = encoded(pixels(1)[0])
    members = {"a.png": good, "deep/notes.txt": b"?", "labels.csv": b"?", "deep/._a.png": good, "__MACOSX/x": good}
    for name, content in members.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    os.mkfifo(tmp_path / "folder" / "pipe.png")
    (tmp_path / "folder" / "broken.png").symlink_to("nowhere")
    opened = open_data(tmp_path / "folder", SIZE, None)
    assert (opened.count, opened.source.passed_over) == (
        1,
        ("__MACOSX", "broken.png", "deep/._a.png", "deep/notes.txt", "labels.csv", "pipe.png"),
    )
    opened = open_data(zipped(tmp_path / "a.zip", members), SIZE, None)
    assert (opened.count, opened.source.passed_over) == (
        1,
        ("__MACOSX/x", "deep/._a.png", "deep/notes.txt", "labels.csv"),
    )
    assert sources.passed_over(opened.source.passed_over) == (
        "2 files that are no pictures were passed over: deep/notes.txt, labels.csv; "
        "2 hidden files and folders were passed over: __MACOSX/x, deep/._a.png"
    )
    assert sources.passed_over([]) == ""
    assert sources.passed_over(["a"]) == "1 file that is no picture was passed over: a"
    assert sources.passed_over("abcdefgh").endswith(
        "8 files that are no pictures were passed over: a, b, c, d, e and 3 more"
    )


def test_what_is_broken_in_several_sets_is_said_at_once(tmp_path: Path) -> None:
    for name in ("real", "generated"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cut.png").write_bytes(encoded(pixels(1)[0])[:60])
    with pytest.raises(ImageError, match=r"real/cut\.png.* .*generated/cut\.png"):
        load_sets({name: str(tmp_path / name) for name in ("real", "generated")}, SIZE, None)
    np.savez(tmp_path / "good.npz", images=np.stack(pixels(2)))
    with pytest.raises(ImageError, match=r"real/cut\.png"):
        load_sets({"real": str(tmp_path / "real"), "generated": str(tmp_path / "good.npz")}, SIZE, None)
    assert list(load_sets({"a": str(tmp_path / "good.npz")}, SIZE, None)) == ["a"]


def test_class_folders_may_be_links_and_circles_end(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "cats", elsewhere / "dogs"):
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(encoded(pixels(1)[0]))
    (root / "dogs").symlink_to(elsewhere / "dogs")
    (root / "cats" / "up").symlink_to(root)  # a circle
    (root / "again").symlink_to(root / "cats")  # the same pictures, which would stand in two splits
    (elsewhere / "dogs" / "back").symlink_to(root / "cats")
    (root / "itself").symlink_to("itself")  # which no call can follow
    opened = open_data(root, SIZE, None)
    assert [row[0].removeprefix(f"{root}/") for row in opened.rows()] == ["cats/1.png", "dogs/1.png"]
    assert opened.source.passed_over == ("itself",)
    (tmp_path / "link").symlink_to(root)
    assert len(load_images(tmp_path / "link", 32, None)) == 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_both_count(tmp_path: Path) -> None:
    images = pixels(3)
    with zipfile.ZipFile(tmp_path / "dup.zip", "w") as archive:
        for name, image in zip(("a.png", "b.png", "a.png"), images, strict=True):
            archive.writestr(name, encoded(image))
    assert (load_images(tmp_path / "dup.zip", 32, None) == images[[0, 2, 1]]).all()


def test_classes_are_read_in_turn(tmp_path: Path) -> None:
    members = {
        f"train/{kind}/{index}.png": encoded(np.full((32, 32, 3), 10 * kind + index, np.uint8))
        for kind in range(4)
        for index in range(3)
    }
    levels = load_images(zipped(tmp_path / "a.zip", members), 32, None)[:, 0, 0, 0]
    assert levels.tolist() == [0, 10, 20, 30, 1, 11, 21, 31, 2, 12, 22, 32]


def test_file_facts(tmp_path: Path) -> None:
    jpeg, png = encoded(pixels(1, 48)[0], "JPEG"), encoded(pixels(1)[0])
    path = zipped(tmp_path / "a.zip", {"a.jpg": jpeg, "b.png": png})
    images, files = load_with_files(path, 32, None)
    assert images.shape == (2, 32, 32, 3)
    resized = ("resized from 48x48 to 32x32",)
    assert files == [FileFacts("JPEG", len(jpeg), 48, 48, resized), FileFacts("PNG", len(png), 32, 32)]
    np.savez(tmp_path / "a.npz", images=images)
    assert load_with_files(tmp_path / "a.npz", 32, None)[1] is None


def test_a_bad_image_in_a_set_is_named(tmp_path: Path) -> None:
    members = {"good.png": encoded(pixels(1)[0]), "bad.png": b"nonsense"}
    with pytest.raises(ImageError, match=r"a\.zip/bad\.png is not an image"):
        load_images(zipped(tmp_path / "a.zip", members), 32, None)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "cut.jpg").write_bytes(encoded(pixels(1)[0], "JPEG")[:500])
    with pytest.raises(ImageError, match=r"folder/cut\.jpg is damaged or cut off"):
        load_images(tmp_path / "folder", 32, None)


def test_all_bad_images_of_a_set_are_named_at_once(tmp_path: Path) -> None:
    members = {
        "good.png": encoded(pixels(1)[0]),
        "bad.png": b"nonsense",
        "cut.png": encoded(pixels(1)[0])[:99],
        "no.png": b"",
    }
    with pytest.raises(ImageError) as caught:
        load_images(zipped(tmp_path / "a.zip", members), 32, None)
    said = str(caught.value)
    assert said.startswith(f"3 of the 4 images of {tmp_path}/a.zip cannot be used. ")
    assert all(f"a.zip/{name}" in said for name in ("bad.png", "cut.png", "no.png"))
    assert "good.png" not in said
    np.savez(tmp_path / "a.npz", images=pixels(50, 64))
    with pytest.raises(ImageError, match=r"50 of the 50 images .* A centre crop of 140 pixels [^.]*\.$"):  # said once
        load_images(tmp_path / "a.npz", 32, 140)


def test_a_set_says_what_was_done_to_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grey = np.asarray(Image.fromarray(pixels(1)[0]).convert("L"))
    members = {"0.png": encoded(pixels(1)[0]), "1.png": encoded(grey), "notes.txt": b"?"}
    members |= {f"{side}.png": encoded(pixels(1, side)[0]) for side in (48, 48 * 2, 50)} | {
        "again.png": encoded(pixels(1, 48)[0])
    }
    path = zipped(tmp_path / "a.zip", members)
    with caplog.at_level(logging.INFO, "sedid"):
        load_images(path, 32, None)
        load_images(f"{path}[0:1]", 32, None)
    assert caplog.messages[0] == (
        f"{path}, 6 images: 4 resized from 48x48 to 32x32 and the like; 1 gray converted to RGB; "
        "1 file that is no picture was passed over: notes.txt"
    )
    np.savez(tmp_path / "a.npz", images=pixels(3))
    caplog.clear()
    with caplog.at_level(logging.INFO, "sedid"):
        load_images(tmp_path / "a.npz", 32, None)  # nothing to say of it
    assert caplog.messages == []


def test_nothing_there(tmp_path: Path) -> None:
    for odd in ("", "x\0y", "x" * 5000):
        with pytest.raises(ImageError):
            load_images(odd, 32, None)
    with pytest.raises(ImageError, match=r"no data set .*accepted are a folder, a \.zip, a \.npz"):
        load_images(tmp_path / "none", 32, None)
    with pytest.raises(ImageError, match="holds no images"):
        load_images(tmp_path, 32, None)
    with pytest.raises(ImageError, match="holds no images"):
        load_images(zipped(tmp_path / "a.zip", {"notes.txt": b""}), 32, None)
    (tmp_path / "b.zip").write_bytes(b"PK nonsense")
    with pytest.raises(ImageError, match=r"damaged or not a \.zip"):
        load_images(tmp_path / "b.zip", 32, None)


def test_zip_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zipped(tmp_path / "a.zip", {"big.png": bytes(MAX_BYTES + 1), "small.png": encoded(pixels(1)[0])})
    assert packed.stat().st_size < 100_000
    with pytest.raises(ImageError, match="over 20 MB"):
        load_images(packed, 32, None)
    monkeypatch.setattr(sources, "MAX_UNPACKED", MAX_BYTES)
    with pytest.raises(ImageError, match="unpacks to more than"):
        load_images(packed, 32, None)
    monkeypatch.setattr(sources, "MAX_ENTRIES", 1)
    with pytest.raises(ImageError, match="2 files; at most 1"):
        load_images(packed, 32, None)


def test_hostile_names_write_nothing(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    packed = zipped(inside / "a.zip", {"../../evil.png": encoded(pixels(1)[0]), "/evil.png": encoded(pixels(1)[0])})
    assert len(load_images(packed, 32, None)) == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "a.zip"]


def test_a_damaged_member_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", encoded(pixels(1)[0]))
        archive.writestr("b.png", encoded(pixels(1)[0]))
    content = bytearray(packed.read_bytes())
    content[500] ^= 255  # within a.png
    packed.write_bytes(content)
    (_, _, first), (_, _, second) = iter_items(open_sets([packed], SIZE, None))
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
    sets = open_sets((f"{tmp_path}/{name}" for name in names), SIZE, None)
    found = [(Path(where).relative_to(tmp_path).as_posix(), index, image) for where, index, image in iter_items(sets)]
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
    assert sum(one.count for one in sets) == len(found)
    good = [image for _, _, image in found if not isinstance(image, ImageError)]
    assert (np.stack(good) == images[[0, 2, 3, 3, 0]]).all()
    assert "HEIC" in str(found[1][2])


def test_iter_items_reads_one_image_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "a.zip", {f"{index}.png": encoded(pixels(1)[0]) for index in range(5)})
    read: list[str] = []
    real = sources.read_image
    monkeypatch.setattr(sources, "read_image", lambda content, name: read.append(name) or real(content, name))
    items = iter_items(open_sets([tmp_path / "a.zip"], SIZE, None))
    next(items)
    next(items)
    assert len(read) == 2

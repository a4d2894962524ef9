"""Files are whole or absent, whatever happens while they are written."""

import errno
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sedid.paths import ROOT
from sedid.storage import read_arrays, read_json, read_kept, replacing, write_json, write_kept
from sedid.studies.reference_scores import read_gallery
from sedid.studies.robustness import read_scores
from sedid.training.generate import read_part


def test_json_round_trip_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "value.json"
    value = {"text": "größer", "list": [1, 2.5, None, True], "nested": {"a": []}}
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert [file.name for file in path.parent.iterdir()] == ["value.json"]


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, "old")

    def fill_the_disk() -> None:
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill_the_disk()
    assert read_json(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, "old")
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_nothing_is_an_error_that_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, "old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert read_json(path) == "old"


def test_a_process_killed_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, "old")
    code = (
        "import os, pathlib, signal, sys; from sedid.storage import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    assert ended.returncode == -9
    assert read_json(path) == "old"


def test_the_temporary_is_a_neighbour_of_the_same_kind(tmp_path: Path) -> None:
    with replacing(tmp_path / "array.npz") as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".npz")
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"x")


def test_threads_writing_one_file_do_not_share_a_temporary(tmp_path: Path) -> None:
    path, both_inside, failures = tmp_path / "value.json", threading.Barrier(2, timeout=30), []

    def write(text: str) -> None:
        try:
            with replacing(path) as temporary:
                temporary.write_text(text)
                both_inside.wait()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in ('"a"', '"b"')]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read_json(path) in ("a", "b")
    assert list(tmp_path.iterdir()) == [path]


def test_bad_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    for content in (b"{", b"", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.json is not valid JSON"):
            read_json(path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json")


def test_a_header_cut_off_is_a_damaged_file_to_every_reader_of_arrays(tmp_path: Path) -> None:
    """numpy reads a header as a piece of Python, whose errors are of another kind than a file's."""
    file = tmp_path / "kept.npz"
    header = b"(" * 117 + b"\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    for read in (
        read_arrays,
        lambda one: read_kept(one, "key"),
        lambda one: read_part(one, range(1), 32),
        read_gallery,
    ):
        with pytest.raises(ValueError, match=r"kept\.npz is damaged"):
            read(file)
    assert read_scores(file, "key") == {}


def test_what_was_kept_is_read_under_its_own_key(tmp_path: Path) -> None:
    file = tmp_path / "kept.npz"
    assert read_kept(file, "a") is None
    write_kept(file, "a", {"scores": np.arange(3)})
    assert read_kept(file, "b") is None
    found = read_kept(file, "a")
    assert found is not None
    assert found["scores"].tolist() == [0, 1, 2]
    assert list(found) == ["scores"]

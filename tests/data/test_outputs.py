"""What is to be written is checked before the work, and nothing that is not ours is written over."""

import os
import re
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle
from helpers.image_files import encoded
from typer.testing import CliRunner, Result

from sedid import storage
from sedid.cli import app
from sedid.data import outputs
from sedid.data.outputs import (
    BUNDLE,
    CARD,
    FIGURE,
    FILES,
    IN_FOLDERS,
    PAGE,
    RESULTS,
    RUNS,
    SCORES,
    SPEED,
    STUDIES,
    TABLE,
    Kind,
    check_file,
    check_folder,
)
from sedid.detector.csv_file import COLUMNS
from sedid.jobs.commands import COMMANDS
from sedid.paths import ROOT
from sedid.progress import finish
from sedid.recipes.reproduce import Speed
from sedid.report.figures import new_figure, save_figure
from sedid.report.page import page
from sedid.storage import is_stream, replacing, write_json
from sedid.studies.reference_scores import FILE as GALLERY
from sedid.training.generate import GenerateConfig, generate

pytestmark = pytest.mark.usefixtures("one_thread")

SHIPPED = ROOT / "checkpoints"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "photo.png").write_bytes(encoded(pictures(1)[0]))
    return tmp_path / "photo.png"


# What may be written


@pytest.mark.parametrize("kind", [TABLE, PAGE, FIGURE, SPEED, RESULTS, SCORES, CARD], ids=lambda kind: kind.name)
def test_only_new_files_empty_ones_and_our_own_are_written(kind: Kind, tmp_path: Path) -> None:
    file = tmp_path / f"x{kind.suffixes[0]}"
    check_file(file, kind)
    check_file(tmp_path / "new" / "folder" / file.name, kind)
    assert list(tmp_path.iterdir()) == []  # checking makes nothing
    file.write_bytes(b"")
    check_file(file, kind)
    file.write_bytes(encoded(pictures(1)[0]))
    with pytest.raises(
        FileExistsError, match=rf"{re.escape(str(file))} is there and not {kind.name} that this program wrote"
    ):
        check_file(file, kind)
    check_file(file, kind, force=True)


def test_what_this_program_writes_is_known_as_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(COLUMNS) + "\n")
    check_file(tmp_path / "a.csv", TABLE)
    (tmp_path / "a.html").write_text(page("Anything", "<p>x</p>" * 9000, "css " * 9000))
    check_file(tmp_path / "a.html", PAGE)
    for suffix in FIGURE.suffixes:
        figure = new_figure(3, 3)
        figure.subplots().imshow(np.random.default_rng(0).random((99, 99)))
        save_figure(figure, tmp_path / f"a{suffix}")
        check_file(tmp_path / f"a{suffix}", FIGURE)
    check_file(SHIPPED.parent / "assets" / "bench.json", SPEED)


def test_what_was_shipped_is_known_as_our_own() -> None:
    checked = 0
    for bundle in SHIPPED.glob("*/"):
        if not (bundle / "sedid").is_dir():
            continue
        check_folder(bundle, BUNDLE)
        check_file(bundle / "README.md", CARD)
        written: dict[str, Kind] = {"results.json": RESULTS, "results-scores.npz": SCORES, GALLERY: SCORES}
        for name, kind in [*written.items(), *(file for of in IN_FOLDERS.values() for file in of.items())]:
            for file in (bundle / "sedid").glob(name):
                check_file(file, kind)
                checked += 1
    assert checked > 24


def test_no_command_that_writes_is_forgotten() -> None:
    """calibrate and train-nn write into a bundle, which `adopt` knows."""
    writing = {name for name, command in COMMANDS.items() if "out" in command.settings.__dataclass_fields__}
    assert writing - {"calibrate", "train-nn"} == {*FILES, *RUNS, *IN_FOLDERS}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "is a folder; name a table in it, ending in .csv"),
        ("x.png", "a table is written as .csv; 'x.png' names none of them"),
        ("x", "names none of them"),
        ("photo.png/x.csv", "photo.png is a file, not a folder"),
        ("photo.png/deeper/x.csv", "photo.png is a file, not a folder"),
        ("x" * 300 + ".csv", r"cannot be written \(File name too long\)"),
    ],
)
def test_what_cannot_be_a_table_is_refused(name: str, said: str, photo: Path) -> None:
    (photo.parent / "folder").mkdir()
    with pytest.raises((OSError, ValueError), match=said) as caught:
        check_file(photo.parent / name, TABLE, force=True)
    assert "[Errno" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(outputs, "TemporaryFile", read_only)
    for check in (lambda: check_file(tmp_path / "new" / "x.csv", TABLE), lambda: check_folder(tmp_path / "new")):
        with pytest.raises(PermissionError, match=rf"nothing can be written in {tmp_path} \(Read-only file system\)"):
            check()


def test_inputs_are_never_written_over(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "called.csv").write_bytes(photo.read_bytes())
    (tmp_path / "soft.png").symlink_to(photo)
    (tmp_path / "hard.png").hardlink_to(photo)
    for file in (photo, tmp_path / "soft.png", tmp_path / "hard.png"):
        for inputs in ([photo], ["sample:real", f"{photo}[0:1]"]):
            with pytest.raises(ValueError, match=r"is among what is to be read \(.*photo\.png"):
                check_file(file, FIGURE, inputs, force=True)
    with pytest.raises(ValueError, match=r"is among what is to be read \(.*photos\)"):
        check_file(folder / "called.csv", TABLE, [folder], force=True)
    (folder / "scores.csv").write_text(",".join(COLUMNS))
    check_file(folder / "scores.csv", TABLE, [folder])  # a table of before among the photographs
    check_file(photo, FIGURE, ["", "none", "http://x.org/a.png"], force=True)  # said elsewhere


# Pipes and devices


@pytest.fixture
def no_renames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can take the place of anything."""
    shared_bundle()  # made before

    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was renamed")

    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, never)
        monkeypatch.setattr(Path, name, never)


def reading(pipe: Path) -> tuple[threading.Thread, list[bytes]]:
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    thread.start()
    return thread, found


WRITERS: dict[str, Callable[[Path], object]] = {
    "json": lambda path: write_json(path, {"a": 1}),
    "page": lambda path: _write(path, "<!doctype html>"),
}


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


@pytest.mark.usefixtures("no_renames")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_pipe_is_written_to_and_stays(writer: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_file(pipe, PAGE)
    (tmp_path / "link.html").symlink_to(pipe)
    for path in (pipe, tmp_path / "link.html"):
        thread, found = reading(pipe)
        WRITERS[writer](path)
        thread.join(30)
        assert found in ([b'{"a": 1}\n'], [b"<!doctype html>"])
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert (tmp_path / "link.html").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.html", "pipe"]


def test_a_figure_needs_a_name_that_says_its_format_in_a_pipe_too(tmp_path: Path) -> None:
    for name in ("pipe", "pipe.svg"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=r"a figure is written as \.png, \.svg, \.pdf"):
        check_file(tmp_path / "pipe", FIGURE)
    check_file(tmp_path / "pipe.svg", FIGURE)


@pytest.mark.usefixtures("no_renames")
def test_a_device_is_written_to_and_stays() -> None:
    null = Path("/dev/null")
    before = null.stat()
    check_file(null, TABLE)
    write_json(null, {"a": 1})
    assert null.stat().st_rdev == before.st_rdev
    assert is_stream(null)
    if Path("/dev/full").exists():  # of Linux
        with pytest.raises(OSError, match=r"^No space left on the disk to write /dev/full"):
            write_json(Path("/dev/full"), {"a": 1})


@pytest.mark.usefixtures("no_renames")
def test_rows_go_into_a_pipe_at_once(photo: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread, found = reading(pipe)
    done = call("score", photo, "--detector", shared_bundle(), "--out", pipe, "--device", "cpu")
    thread.join(30)
    assert done.exit_code == 0, done.output
    header, row = found[0].decode().splitlines()
    assert header.split(",") == list(COLUMNS)
    assert row.startswith(f"{photo},0,")
    assert "1 image judged" in done.stderr  # stdout may be where the rows go
    assert done.stdout == ""
    assert not (tmp_path / "pipe.part").exists()


def test_where_this_processs_output_goes_is_not_replaced(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sedid.storage import write_json\n"
        "print('before', flush=True); write_json(Path('/dev/stdout'), 1); print('after', flush=True)"
    )
    out = tmp_path / "out.txt"
    with out.open("w") as stdout:
        subprocess.run([sys.executable, "-c", code], stdout=stdout, check=True, cwd=ROOT, timeout=60)
    assert out.read_text() == "before\n1\nafter\n"


def test_sockets_are_not_written_to(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        place = tmp_path / "s.csv"
        opened.bind(str(place))
        with pytest.raises(OSError, match=r"s\.csv is a socket, which is not written to"):
            check_file(place, TABLE, force=True)
        with pytest.raises(OSError, match="is a socket"):
            write_json(place, 1)
        assert stat.S_ISSOCK(place.stat().st_mode)


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "file.json")
    for value in (1, 2):  # there is no such file at first
        write_json(tmp_path / "link.json", value)
        assert (tmp_path / "link.json").is_symlink()
        assert storage.read_json(tmp_path / "real" / "file.json") == value
    with pytest.raises(IsADirectoryError, match="real is a folder, not a file"):
        write_json(tmp_path / "real", 1)


# The commands


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "PHOTO", "--out", "PHOTO"],
        ["score", "PHOTO", "--out", "FOLDER"],
        ["score", "PHOTO", "--out", "notes.csv"],
        ["inspect", "PHOTO", "--figure", "PHOTO"],
        ["inspect", "PHOTO", "--figure", "other.png"],
        ["inspect", "PHOTO", "--figure", "FOLDER"],
        ["inspect", "PHOTO", "--report", "PHOTO"],
        ["inspect", "PHOTO", "--report", "other.jpg"],
        ["inspect", "PHOTO", "--report", "other.txt"],
        ["inspect", "PHOTO", "--report", "notes.html"],
        ["bench", "--quick", "--out", "notes.json"],
        ["bench", "--quick", "--out", "PHOTO/x.json"],
        ["report", "SHIPPED", "--out", "PHOTO"],
        ["report", "SHIPPED", "--out", "notes.html"],
        ["card", "BUNDLE"],
        ["export", "FOLDER", "BUNDLE"],
        ["export", "FOLDER", "PHOTO"],
        ["card", "SHIPPED", "--readme", "FOLDER"],
        *(["reproduce", "cifar10", "--scale", "0.0001", "--out", out] for out in ("FOLDER", "PHOTO")),
        *([command, "--set", f"out={out}", *more] for out in ("FOLDER", "PHOTO") for command, more in {
            "generate": ["--set", "detector=x"],
            "train-ddpm": ["--set", "data=x"],
            "loop": [],
            "ship": ["--set", "detector=x", "--set", "heldout=x", "--set", "data=x", "--set", "run=x"],
            "trials": ["--set", "heldout=x", "--set", "data=x"],
        }.items()),
        *([command, "--set", "detector=x", "--set", "real=x", "--set", "generated=x", "--set", "out=PHOTO"] for command in
          ("sweep", "robustness", "polarity", "gallery", "calibrate")),
        *([command, "--set", "detector=x", "--set", "real=x", "--set", "generated=x", "--set", f"out={out}"]
          for command in ("sweep", "robustness", "polarity") for out in ("FOLDER", "scores")),
        *([command, *(text for name in ("real", "generated", "test_real", "test_generated")
                      for text in ("--set", f"{name}=x")), "--set", "detector=x", "--set", "out=scores"]
          for command in ("compare", "choose")),
        *(["defend", "--set", f"out={out}"] for out in ("FOLDER", "PHOTO")),
        *(["upgrade", "SHIPPED", "--out", out] for out in ("PHOTO", "PHOTO/x")),
        *([command, "--set", "detector=x", "--set", f"{name}=x", "--set", "generated=x", "--set", "out=/dev/null"]
          for command, name in (("evaluate", "heldout"), ("gallery", "real"))),
        ["evaluate", "--set", "detector=x", "--set", "heldout=x", "--set", "generated=x", "--set", "out=notes.json"],
        ["evaluate", "--set", "detector=x", "--set", "heldout=x", "--set", "generated=x", "--set", "out=FOLDER"],
        ["evaluate", "--set", "detector=x", "--set", "heldout=x", "--set", "generated=x", "--set", "out=taken.json"],
        ["gallery", "--set", "detector=x", "--set", "out=notes.npz"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_command_writes_over_what_is_not_ours(
    arguments: list[str], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("other.png", "other.jpg"):
        Path(name).write_bytes(photo.read_bytes())
    for name in ("other.txt", "notes.csv", "notes.html", "notes.json", "notes.npz", "taken-scores.npz"):
        Path(name).write_text("my notes")
    mine = ("README.md", "images.npz", "config.json", "unet/x", *(f"{name}.json" for name in (*STUDIES, "choice")))
    scores = [name.replace("*", "k0495") for name in chain.from_iterable(STUDIES.values()) if name.endswith(".npz")]
    for folder, names in {"mine": mine, "bundle": mine, "scores": scores}.items():
        for name in names:
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text('{"mine": 1}')
    places = {"PHOTO": str(photo), "FOLDER": "mine", "SHIPPED": str(SHIPPED / "cifar10"), "BUNDLE": "bundle"}
    before = files(tmp_path)
    for old, new in places.items():
        arguments = [text.replace(old, new) for text in arguments]
    monkeypatch.setattr("sedid.detector.bundle.load_detector", None)  # no work begins
    monkeypatch.setattr("sedid.recipes.reproduce.measure_speed", lambda _: Speed("x", 1.0, 1, 1.0, 1, 1.0))
    done = call(*arguments)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert "error: " in done.stderr
    assert "[Errno" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert re.search(
        r"is a folder|is a file|is there and not|is written as|is among|did not write|there is no Markdown", said
    ), said
    assert files(tmp_path) == before


def test_force_writes_over_what_is_not_ours_but_no_input(photo: Path, tmp_path: Path) -> None:
    table = tmp_path / "notes.csv"
    table.write_text("mine")
    how = ("--detector", shared_bundle(), "--device", "cpu")
    assert call("score", photo, "--out", table, *how).exit_code == 1
    assert table.read_text() == "mine"
    assert call("score", photo, "--out", table, *how, "--force").exit_code == 0
    assert table.read_text().startswith("path,index,")
    assert call("score", photo, "--out", table, *how).exit_code == 0  # it is ours now
    before = photo.read_bytes()
    assert call("inspect", photo, "--figure", photo, *how, "--force").exit_code == 1
    assert photo.read_bytes() == before


def test_what_stands_where_the_rows_of_a_table_are_kept_stays(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv.part").write_text("mine")
    done = call("score", photo, "--out", tmp_path / "t.csv", "--detector", shared_bundle(), "--device", "cpu")
    assert done.exit_code == 1
    assert "t.csv.part is there and not an unfinished table" in done.stderr
    assert (tmp_path / "t.csv.part").read_text() == "mine"


def test_runs_are_known_by_what_an_interrupted_one_leaves(tmp_path: Path) -> None:
    config = GenerateConfig(str(shared_bundle()), str(tmp_path / "set"), 2, "ddim", steps=1, batch_size=1, device="cpu")
    run = generate(config)
    next(run)
    run.close()
    check_folder(tmp_path / "set", RUNS["generate"])
    finish(generate(config))
    check_folder(tmp_path / "set", RUNS["generate"])
    with pytest.raises(FileExistsError, match="set holds files that this command did not write"):
        check_folder(tmp_path / "set", RUNS["loop"])
    (tmp_path / "empty" / "below").mkdir(parents=True)
    check_folder(tmp_path / "empty", RUNS["loop"])

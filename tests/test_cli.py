"""The command line: as a subprocess where that is the point, in this process elsewhere."""

import csv
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle, shared_detector
from helpers.image_files import encoded
from PIL import Image
from typer.testing import CliRunner, Result

from sedid.cli import app, main
from sedid.jobs.commands import COMMANDS
from sedid.jobs.console import ProgressLine, duration, line
from sedid.paths import ROOT
from sedid.progress import Progress
from sedid.training.run import TrainProgress

pytestmark = pytest.mark.usefixtures("one_thread")

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}  # see conftest.one_thread


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m sedid`, as a user would."""
    command = [sys.executable, "-m", "sedid", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, timeout=120)


def call(*arguments: object) -> Result:
    """The same in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(pictures(1)[0]).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_inspect_prints_one_json_object_and_draws(image: Path, tmp_path: Path) -> None:
    done = run("inspect", image, "--detector", shared_bundle(), "--json", "--figure", tmp_path / "out.png")
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    found = shared_detector().inspect(image)
    assert (printed["path"], printed["k"], printed["t_sec"]) == (str(image), 165, 495)
    assert printed["t_error"] == pytest.approx(found.judgement.t_error, rel=1e-4)
    assert printed["weight"] * printed["change"] == pytest.approx(printed["t_error"])
    assert set(printed["stat"]) == {
        *("k", "t_sec", "verdict", "score", "threshold", "band", "polarity"),
        *("percentile_real", "percentile_generated", "in_range", "side", "why"),
    }
    assert set(printed["nn"]) == set(printed["stat"])
    assert printed["nearest_calibrated"] == printed["nn_calibrated"] == {"k": 165, "t_sec": 495}
    assert [point["t_sec"] for point in printed["curve"]] == [165, 330, 495, 660, 825, 990]
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.width > 1000


def test_score_writes_every_row_and_ends_with_1_after_a_bad_file(image: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    np.savez(tmp_path / "set.npz", images=pictures(3))
    out = tmp_path / "scores.csv"
    paths = (image, tmp_path / "bad.png", tmp_path / "set.npz")
    done = run("score", *paths, "--detector", shared_bundle(), "--out", out)
    assert done.returncode == 1
    assert "4 images judged, 1 could not be read" in done.stdout
    assert "scoring: 5 of 5 (100 %)" in done.stderr
    assert "Traceback" not in done.stderr
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["error"]) for row in rows] == [False, True, False, False, False]
    assert [row["index"] for row in rows[2:]] == ["0", "1", "2"]


def test_a_run_in_which_nothing_could_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    how = ("--detector", shared_bundle(), "--device", "cpu", "--out", tmp_path / "scores.csv")
    done = call("score", tmp_path / "bad.png", "", "https://example.org/a.png", "none", *how)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"no image could be read, so none was judged; {tmp_path / 'scores.csv'}",
        f"{tmp_path}/bad.png is not an image that can be read, or it is cut off; accepted are PNG, JPEG, WebP, GIF, TIFF, "
        "BMP, AVIF or PPM.",
        "An empty name was given where an image or a data set should be named.",
        "https://example.org/a.png is an address, and addresses are not fetched: download it and name the file.",
    ]


def test_what_a_run_passes_over_is_counted_and_named(image: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("?")
    (tmp_path / "without-suffix").write_bytes(image.read_bytes())
    how = ("--detector", shared_bundle(), "--device", "cpu", "--out", tmp_path / "scores.csv")
    assert call("score", image, *how).stdout == f"1 image judged; {tmp_path / 'scores.csv'}\n"
    odd = tmp_path / os.fsdecode(b"\xff.txt")  # not UTF-8
    odd.write_text("?")
    assert r"passed over: notes.txt, scores.csv, \udcff.txt." in call("score", tmp_path, *how).stdout
    odd.unlink()
    assert call("score", tmp_path, *how).stdout.splitlines() == [
        f"2 images judged; {tmp_path / 'scores.csv'}",
        "2 files that are no pictures were passed over: notes.txt, scores.csv.",
    ]


@pytest.mark.parametrize(("name", "said"), [("", "An empty name"), ("https://example.org/a.png", "is an address")])
def test_what_names_no_image_is_said_in_plain_words(name: str, said: str) -> None:
    done = call("inspect", name, "--detector", shared_bundle())
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_that_begins_with_a_dash_is_a_file(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image.rename(tmp_path / "-2.png")
    monkeypatch.chdir(tmp_path)
    for given, code in ((["-2.png"], 0), (["-3.png"], 2)):  # there is none of this name: an option after all
        how = ["--out", "a.csv", "--detector", str(shared_bundle()), "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", ["sedid", "score", *given, *how])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == code
    assert "./-2.png" in (tmp_path / "a.csv").read_text()


def test_nothing_on_the_console_but_our_own_sentences(tmp_path: Path) -> None:
    picture, odd = Image.fromarray(pictures(1)[0]), tmp_path / "odd.jpg"
    exif = picture.getexif()
    exif[0x010E] = "x" * 100
    picture.save(odd, exif=exif.tobytes()[:40])  # of which Pillow warns, with the paths of this machine
    with pytest.warns(UserWarning, match="Truncated"), Image.open(odd) as opened:
        opened.getexif().get(0x0112)
    tiff = BytesIO()
    picture.save(tiff, "TIFF", compression="tiff_lzw")
    content, entry = bytearray(tiff.getvalue()), struct.pack("<HHI", 259, 3, 1)
    struct.pack_into("<H", content, content.index(entry) + len(entry), 50_001)  # WebP, which libtiff was built without
    (tmp_path / "webp.tif").write_bytes(content)
    done = run("inspect", odd, "--detector", shared_bundle(), "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("inspect", tmp_path / "webp.tif", "--detector", shared_bundle(), "--device", "cpu")
    assert done.returncode == 1
    assert done.stderr.startswith("error: webp.tif ")
    assert done.stderr.count("\n") == 1


def test_a_loop_says_what_was_done_to_its_images(image: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number, one in enumerate(pictures(3)):
        Image.fromarray(one.repeat(2, 0).repeat(2, 1)).convert("L").save(tmp_path / "photos" / f"{number}", "PNG")
    (tmp_path / "photos" / "notes.txt").write_text("?")
    np.savez(tmp_path / "made.npz", images=pictures(3, 1))
    bundle = shutil.copytree(shared_bundle(), tmp_path / "bundle")
    given = {
        "detector": bundle,
        "real": tmp_path / "photos",
        "generated": tmp_path / "made.npz",
        "ks": 495,
        "loss_ts": "",
    }
    done = call("calibrate", *(part for key, value in given.items() for part in ("--set", f"{key}={value}")))
    assert done.exit_code == 0, done.output
    assert (
        f"{tmp_path}/photos, 3 images: 3 gray converted to RGB; 3 resized from 64x64 to 32x32; "
        "1 file that is no picture was passed over: notes.txt\n"
    ) in done.stderr


def test_a_broken_set_is_named_whole_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(4):
        (tmp_path / "photos" / f"{number}.png").write_bytes(b"" if number else encoded(pictures(1)[0]))
    given = {"detector": shared_bundle(), "real": tmp_path / "photos", "generated": tmp_path / "photos", "ks": 495}
    done = call("calibrate", *(part for key, value in given.items() for part in ("--set", f"{key}={value}")))
    assert done.exit_code == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"error: 3 of the 4 images of {tmp_path}/photos cannot be used. ")
    assert all(f"{number}.png is empty (zero bytes)." in said for number in (1, 2, 3))


def test_ctrl_c_stops_with_a_sentence(tmp_path: Path) -> None:
    settings = {"detector": shared_bundle(), "out": tmp_path / "out", "count": 64, "batch_size": 8, "device": "cpu"}
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "sedid", "generate", *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}

    def listen() -> None:  # a suite started in the background of a script hands down that Ctrl-C is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, cwd=ROOT, env=ONE_THREAD, text=True, preexec_fn=listen, **pipes) as process:
        assert process.stderr is not None
        try:
            said = next(text for text in process.stderr if text.startswith("generating:"))
            process.send_signal(signal.SIGINT)
            said += process.stderr.read()
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert "stopped; the same command continues" in said
    assert "Traceback" not in said


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from sedid.cli import app; "
        "print(CliRunner().invoke(app, ['--help']).output); sys.exit(bool({'torch', 'gradio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("inspect", "score", "bench", "app", *COMMANDS))


def test_inspect_in_words(image: Path) -> None:
    done = call("inspect", image, "--detector", shared_bundle(), "--device", "cpu")
    assert done.exit_code == 0
    for expected in (
        "k = 165, T_SEC = 495",
        "seen as it is",
        "STAT: ",
        "NN: ",
        "threshold",
        "cannot tell between",
        "% of the real and",
        "weight",
        "It says nothing about images from other generators",
    ):
        assert expected in done.stdout
    elsewhere = call("inspect", image, "--detector", shared_bundle(), "--t-sec", 330)
    assert "NN, at its own T_SEC 495: " in elsewhere.stdout
    uncalibrated = call("inspect", image, "--detector", shared_bundle(), "--k", 300, "--t-sec", 300)
    assert "STAT: not calibrated here; the nearest calibrated pair is k = 165, T_SEC = 330" in uncalibrated.stdout
    assert "NN: not calibrated here; the nearest calibrated pair is k = 165, T_SEC = 495" in uncalibrated.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--t-sec", "500"],
            "T_SEC must be a multiple of k from 165 to 990: 500 is not one for k = 165; nearest: 495, 660",
        ),
        (["--k", "0"], "k must be between 1 and 999"),
        (["--detector", "nowhere"], "no detector at nowhere"),
        (["--device", "toaster"], "unknown device 'toaster'; accepted: auto, cuda, mps, cpu"),
        (["--precision", "fp8"], "unknown precision 'fp8'"),
        (["--figure", "out.gif"], "a figure is written as .png, .svg, .pdf"),
    ],
)
def test_what_does_not_fit_is_one_sentence(image: Path, arguments: list[str], said: str) -> None:
    given = arguments if "--detector" in arguments else [*arguments, "--detector", str(shared_bundle())]
    done = call("inspect", image, *given)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1


def test_bad_images_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, said in (("text.png", "not an image"), ("empty.png", "empty"), ("absent.png", "no file")):
        done = call("inspect", tmp_path / name, "--detector", shared_bundle())
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert said in done.stderr


def test_a_loop_runs_from_preset_file_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(f'detector = "{shared_bundle().as_posix()}"\nsteps = 3\nseed = 7\n', encoding="utf-8")
    out = tmp_path / "images"
    settings = ("--set", "count=2", "--set", "steps=2", "--set", f"out={out.as_posix()}", "--set", "device=cpu")
    done = call("generate", "--preset", "demo", "--config", file, *settings)
    assert done.exit_code == 0, done.output
    assert 'sampler = "ddim"' in done.stdout  # the preset
    assert "seed = 7" in done.stdout  # the file
    assert "steps = 2" in done.stdout  # the command line
    assert np.load(out / "images.npz", allow_pickle=False)["images"].shape == (2, 32, 32, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "outt=x"], "did you mean 'out'"),
        (["--preset", "huge"], "--preset has an unknown name 'huge'; accepted: demo, small, paper"),
        ([], "detector and out must be given"),
        (["--set", "count=many"], "count must be a whole number"),
        (["--set", "detector=nowhere", "--set", "out=x"], "no detector at nowhere"),
        (["--config", "absent.toml"], "no settings file absent.toml"),
    ],
)
def test_a_loop_refuses_settings_in_one_sentence(arguments: list[str], said: str) -> None:
    done = call("generate", *arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "error: " in done.stderr


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.presets])
def test_presets_name_settings_that_exist(name: str) -> None:
    from dataclasses import MISSING, fields

    from sedid.config import load_config

    config = COMMANDS[name].settings
    required = [field.name for field in fields(config) if field.default is MISSING]
    for preset in COMMANDS[name].presets.values():
        load_config(config, preset, settings=[f"{key}=x" for key in required if key not in preset])


def test_progress_in_words() -> None:
    record = Progress("scoring", 50, 200, "images", 12.5, 200.0, {"errors": 1})
    assert line(record) == "scoring: 50 of 200 (25 %), 12.5 images/s, 3 min 20 s left, errors 1"
    training = line(TrainProgress(500, 1000, 0.0312, 2e-4, 90.0, 7500.0))
    assert training == "training: 500 of 1,000 (50 %), 90 images/s, 2 h 5 min left, loss 0.0312, learning_rate 0.0002"
    assert line(Progress("measuring", 0, 5, "rows", 0.0, 0.0, {})) == "measuring: 0 of 5 (0 %)"
    assert duration(59.4) == "59 s"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_line_is_rewritten_and_a_log_is_not() -> None:
    records = [Progress("scoring", done, 3, "images", 1.0, 1.0, {}) for done in (1, 2, 3)]
    for stream, ends in ((Terminal(), "\x1b[K\n"), (StringIO(), "left\n")):
        with ProgressLine(stream) as progress:
            for record in records:
                progress.show(record)
        said = stream.getvalue()
        assert "1 of 3" in said
        assert "3 of 3" in said  # the last one always
        assert "2 of 3" not in said  # too soon after the first
        assert said.endswith(ends)
        assert said.startswith("\r") == stream.isatty()

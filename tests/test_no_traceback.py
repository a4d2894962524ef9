"""No traceback reaches a user: whatever a bundle, a results file or a setting holds, one sentence says what is wrong."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle
from helpers.python_words import PYTHON
from PIL import Image
from typer.testing import CliRunner, Result

from sedid.cli import app
from sedid.detector.bundle import load_detector
from sedid.detector.detector import Detector
from sedid.detector.words import as_dict, as_lines
from sedid.jobs.commands import COMMANDS, resolve_loop
from sedid.jobs.folder import read_records
from sedid.jobs.store import Job, JobStore
from sedid.progress import finish
from sedid.report.case import case_report
from sedid.studies.evaluate import EvaluateConfig, evaluate
from sedid.ui.menu import Menu
from sedid.ui.train import view as train_view

pytestmark = pytest.mark.usefixtures("one_thread")

DETECTOR, UNET = "sedid/detector.json", "unet/config.json"
SCHEDULER, INDEX = "scheduler/scheduler_config.json", "model_index.json"
VALUES = [None, True, -1, 0, 10**9, 10**400, 1e308, "", "x", "\ud800", [], [[]], {}, {"a": []}, ["x"] * 3]
"""What may stand in a file in another value's place."""
TEXTS = ["", "x", "-1", "0", "1e400", "nan", "inf", "9" * 400, "0.5", "true", "none", "[]", "[,]", "\0", "é" * 3000]
"""What may be typed for a setting."""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_one_sentence(done: Result, codes: tuple[int, ...] = (1,)) -> None:
    """The command ended as it should: with an exit code, and if it was refused with one line that says why."""
    assert isinstance(done.exception, SystemExit | None), repr(done.exception)
    assert done.exit_code in codes, done.output
    if done.exit_code == 1:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("error")]
        assert len(errors) == 1, said
        assert said[-1] is errors[0], said  # and nothing below it, of a library for instance
        assert len(errors[0]) > len("error: ") + 10
        assert "Traceback" not in done.output
        assert not [python for python in PYTHON if python in errors[0]]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared_bundle(), tmp_path / "bundle"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(pictures(1)[0]).save(tmp_path / "image.png")
    return tmp_path / "image.png"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluated bundle."""
    folder = tmp_path_factory.mktemp("measured")
    bundle = Path(shutil.copytree(shared_bundle(), folder / "bundle"))
    for name, seed in (("real", 1), ("generated", 2)):
        np.savez(folder / f"{name}.npz", images=pictures(12, seed))
    at = {"heldout": str(folder / "real.npz"), "generated": str(folder / "generated.npz")}
    finish(evaluate(EvaluateConfig(detector=str(bundle), device="cpu", **at)))
    return bundle


# --- bundles -----------------------------------------------------------------------------------------------------


def why(work: Callable[[], Any]) -> str:
    """The sentence with which something refuses; "" if it does not."""
    try:
        work()
    except (ValueError, OSError) as error:
        return str(error) or repr(error)
    return ""


def text(content: str | bytes) -> Callable[[Path], None]:
    """Another content of a file."""
    return lambda file: file.write_bytes(content if isinstance(content, bytes) else content.encode())


def edited(**values: Any) -> Callable[[Path], None]:
    """Other values in a JSON file."""
    return lambda file: text(json.dumps(json.loads(file.read_text()) | values))(file) and None


def nan_classifier(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-40_000:] = b"\xff\x7f" * 20_000
    file.write_bytes(data)


BUNDLES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "cosine after calibration": (SCHEDULER, edited(beta_schedule="squaredcos_cap_v2")),
    "64 pixels after calibration": (UNET, edited(sample_size=64)),
    "a billion pixels": (UNET, edited(sample_size=10**9)),
    "other preprocessing": (DETECTOR, edited(preprocessing={"size": 64, "crop": "none", "resize": "nearest"})),
    **{f"deep {file}": (file, text("[" * 100_000)) for file in (DETECTOR, UNET, SCHEDULER, INDEX)},
    **{f"deep object {file}": (file, text('{"a":' * 100_000)) for file in (DETECTOR, UNET, SCHEDULER)},
    **{f"{file} is {value}": (file, text(value)) for file in (DETECTOR, UNET, SCHEDULER, INDEX) for value in ("", "3", "[]", "null", '"x"', "\ufeff{}", "{")},
    **{f"binary {file}": (file, text(bytes(range(256)))) for file in (DETECTOR, UNET, SCHEDULER)},
    **{f"wide block {width}": (UNET, edited(block_out_channels=[width] * 4)) for width in (0, -8, 10**6, 10**12)},
}  # fmt: skip


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bad_bundle_is_a_sentence_everywhere(name: str, bundle: Path, image: Path, tmp_path: Path) -> None:
    file, change = BUNDLES[name]
    change(bundle / file)
    np.savez(tmp_path / "a.npz", images=pictures(2))
    pair = [f"--set=real={tmp_path}/a.npz", f"--set=generated={tmp_path}/a.npz"]
    for arguments in (
        ("inspect", image, "--detector", bundle, "--device", "cpu"),
        ("score", image, "--detector", bundle, "--out", tmp_path / "out.csv", "--device", "cpu"),
        ("calibrate", f"--set=detector={bundle}", *pair, "--set=device=cpu", "--set=ks=495", "--set=loss_ts="),
        ("card", bundle),
        ("publish", bundle, "a/b", "--dry-run"),
        ("report", bundle, "--out", tmp_path / "report.html"),
    ):
        # an uncalibrated detector is one, too: where detector.json alone is bad, what does not need it may work
        assert_one_sentence(call(*arguments), codes=(0, 1))
    assert "\n" not in why(lambda: Menu(own=bundle).open(str(bundle)))


def test_a_classifier_that_is_not_finite_is_a_sentence(bundle: Path, image: Path) -> None:
    nan_classifier(next((bundle / "sedid/classifier").glob("*.safetensors")))
    done = call("inspect", image, "--detector", bundle, "--device", "cpu")
    assert_one_sentence(done, codes=(0, 1))
    assert "nan%" not in done.output


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value but the further items of long lists."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:2] if isinstance(value, list) else ()
    for key, of_key in inner:
        yield (*path, key)
        yield from places(of_key, (*path, key))


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a place."""
    made = json.loads(json.dumps(value))
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return made


@pytest.mark.parametrize("file", [DETECTOR, UNET, SCHEDULER])
def test_any_value_of_a_bundle_may_be_of_another_kind(file: str, bundle: Path, image: Path) -> None:
    """Each place in turn, with a value that goes round: the bundle opens, or a sentence says why it does not."""
    whole = json.loads((bundle / file).read_text())
    if file == DETECTOR:  # and what the loops state beside the calibrations
        data = {"real": {"count": 3, "sha256": "ab"}}
        for part in ("stat", "nn"):
            whole[part] |= {"error_rate": 0.1, "data": data, "splits": {"warning": "x"}, "leak_warning": "x"}
        whole["stat"] |= {"chosen_by": "x", "generated_by": {"sampler": "ddim", "steps": 50}}
        whole |= {"training": {"data": "x", "steps": 3}, "metrics": {"stat": {"heldout": [{"k": 165}]}, "nn": {}}}
    for number, path in enumerate(places(whole)):
        value = VALUES[number % len(VALUES)]
        (bundle / file).write_text(json.dumps(with_value(whole, path, value)))
        try:
            said = why(lambda: told(load_detector(bundle, device="cpu"), image))
        except Exception as error:
            raise AssertionError(f"{path} = {value!r}"[:200]) from error
        assert "\n" not in said, path
        assert not [python for python in PYTHON if python in said], path


def told(detector: Detector, image: Path) -> str:
    """All that is said of an image, by every form there is."""
    found = detector.inspect(image)
    lines = "\n".join(as_lines("image", found, detector))
    return lines + json.dumps(as_dict("image", found, detector)) + case_report(detector, found, "image")


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", COMMANDS)
def test_any_text_of_a_setting_is_taken_or_refused_in_a_sentence(loop: str, tmp_path: Path) -> None:
    config = config_of(loop)
    needed = [f"{field.name}=nowhere" for field in fields(config) if field.default is MISSING]
    for field in fields(config):
        for typed in TEXTS:
            given = [*(one for one in needed if not one.startswith(f"{field.name}=")), f"{field.name}={typed}"]
            said = why(lambda given=given: resolve_loop(loop, "", None, given))
            assert "\n" not in said
            assert "pydantic" not in said


def config_of(loop: str) -> Any:
    """The settings class of a loop."""
    return COMMANDS[loop].settings


@pytest.mark.parametrize("loop", COMMANDS)
def test_a_refused_setting_ends_the_command_with_one_sentence(loop: str, tmp_path: Path) -> None:
    for given in ("seed=9e99", "nothing=3", "seed", "=", "device=gpu", "batch_size=-3", "precision=fp1", "out=\0"):
        assert_one_sentence(call(loop, "--set", given))
    for content in ("seed = ", "[a]\nb = 1", "seed = 1979-05-27", "seed = [[1]]", "\xff", "device = {a = 1}"):
        (tmp_path / "x.toml").write_bytes(content.encode("latin-1"))
        assert_one_sentence(call(loop, "--config", tmp_path / "x.toml"))
    assert_one_sentence(call(loop, "--preset", "huge"))
    assert_one_sentence(call(loop, "--config", tmp_path))


SMALL = [f"--set={setting}" for setting in ("device=cpu", "ks=495")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "{image}", "--k", "0"),
        ("inspect", "{image}", "--k", "-5", "--t-sec", "5"),
        ("inspect", "{image}", "--k", "9" * 30),
        ("inspect", "{image}", "--t-sec", "1000000000000"),
        ("inspect", "{image}", "--k", "165", "--t-sec", "166"),
        ("inspect", "{image}", "--device", "cuda:99"),
        ("inspect", "{image}", "--precision", "fp8"),
        ("inspect", "{image}\0"),
        ("inspect", ""),
        ("inspect", "{folder}"),
        ("inspect", "{image}", "--detector", "x" * 5000),
        ("inspect", "{image}", "--detector", "a\0b"),
        ("inspect", "{image}", "--detector", "/dev/null"),
        ("inspect", "{image}", "--figure", "{folder}"),
        ("inspect", "{image}", "--figure", "{folder}/x.docx"),
        ("inspect", "{image}", "--report", "{folder}"),
        ("score", "{image}", "--out", "{folder}"),
        ("score", "{image}", "--out", "{folder}/x.csv", "--batch-size", "0"),
        ("score", "{image}", "--out", "{folder}/x.csv", "--batch-size", "-4"),
        ("export", "{folder}", "{folder}/bundle"),
        ("export", "{image}", "{folder}/bundle"),
        ("card", "{folder}"),
        ("card", "{image}"),
        ("report", "{folder}"),
        ("report", "{image}"),
        ("publish", "{folder}", "a/b", "--dry-run"),
        ("publish", "{folder}", "../b", "--dry-run"),
        ("sample", "--real", "x", "--generated", "y", "--detector", "{folder}"),
        ("reproduce", "mnist"),
        ("reproduce", "cifar10", "--scale", "nan"),
        ("reproduce", "cifar10", "--scale", "-1"),
        ("reproduce", "cifar10", "--scale", "0"),
        ("reproduce", "cifar10", "--scale", "1e300", "--dry-run"),
        ("generate", "--set=detector={bundle}", "--set=out={image}", "--set=count=1", "--set=device=cpu"),
        ("generate", "--set=detector={bundle}", "--set=out={folder}/g", "--set=count=1", "--set=steps=1001", "--set=device=cpu"),
        ("calibrate", "--set=detector={bundle}", "--set=real={image}", "--set=generated={folder}", "--set=device=cpu"),
        ("calibrate", "--set=detector={bundle}", "--set=real={image}", "--set=generated={image}", "--set=loss_ts=1000", *SMALL),
        ("train-nn", "--set=detector={bundle}", "--set=real={image}", "--set=generated={image}", "--set=device=cpu"),
        ("evaluate", "--set=detector={bundle}", "--set=heldout={image}", "--set=generated={image}[0:9]", "--set=device=cpu"),
        ("gallery", "--set=detector={bundle}", "--set=out=/proc/x", "--set=device=cpu"),
    ],
    ids=lambda arguments: " ".join(arguments)[:70],
)  # fmt: skip
def test_a_wrong_call_is_a_sentence(arguments: tuple[str, ...], bundle: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    known = {"image": image, "bundle": bundle, "folder": tmp_path / "folder"}
    assert_one_sentence(call(*(argument.format(**known) for argument in arguments)), codes=(1, 2))


# --- results files -----------------------------------------------------------------------------------------------


RESULTS = {
    **{f"is {content[:9]}": text(content) for content in ("", "{", "[]", "null", "3", '"x"', "[" * 100_000, '{"a":' * 100_000, "\xff")},
    **{f"{part} = {value}": edited(**{part: value}) for part in ("protocol", "stat", "nn", "audit", "verdicts") for value in (None, 3, [], {}, "x")},
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_a_bad_results_file_is_a_sentence(name: str, measured: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(measured, tmp_path / "bundle"))
    RESULTS[name](bundle / "sedid" / "results.json")
    for arguments in (
        ("report", bundle, "--out", tmp_path / "report.html"),
        ("card", bundle),
        ("publish", bundle, "a/b", "--dry-run"),
    ):
        assert_one_sentence(call(*arguments), codes=(0, 1))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100, b"cut"])
def test_bad_scores_beside_results_are_a_sentence(content: bytes, measured: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(measured, tmp_path / "bundle"))
    file = bundle / "sedid" / "results-scores.npz"
    file.write_bytes(file.read_bytes()[:300] if content == b"cut" else content)
    done = call("report", bundle, "--out", tmp_path / "report.html")
    assert_one_sentence(done)
    assert "results-scores.npz is damaged" in done.output
    np.savez(file, pairs=np.zeros((2, 2), np.int32), stat_heldout=np.zeros(3), stat_generated=np.zeros((1, 0)))
    assert_one_sentence(call("report", bundle, "--out", tmp_path / "report.html"), codes=(0, 1))


def test_any_value_of_a_results_file_may_be_of_another_kind(measured: Path, tmp_path: Path) -> None:
    """Each place in turn: the report is written, or a sentence says of which file it cannot be."""
    from sedid.report.page import write_report

    bundle = Path(shutil.copytree(measured, tmp_path / "bundle"))
    file = bundle / "sedid" / "results.json"
    whole = json.loads(file.read_text())
    for number, path in enumerate(places(whole)):
        file.write_text(json.dumps(with_value(whole, path, VALUES[number % len(VALUES)])))
        said = why(lambda: write_report(bundle, tmp_path / "report.html"))
        assert not said or "is not a results file of" in said, path


@pytest.mark.parametrize("state", VALUES, ids=lambda value: repr(value)[:20])
def test_a_bad_job_file_hides_no_other_job(state: Any, tmp_path: Path) -> None:
    """What lies in the runs folder and is no job of ours is passed over."""
    good = {
        "command": "loop",
        "preset": "",
        "state": "done",
        "exit_code": 0,
        "created": 1.0,
        "began": 1.0,
        "ended": 2.0,
    }
    contents = ["", "[]", "3", "null", "[" * 100_000, json.dumps(state)]
    contents += [json.dumps(good | {name: state}) for name in (*good, "error", "pid")]
    for number, content in enumerate((json.dumps(good), *contents)):
        (tmp_path / f"job-{number}").mkdir()
        (tmp_path / f"job-{number}" / "job.json").write_text(content)
    jobs = JobStore(tmp_path).jobs()
    assert "job-0" in [job.id for job in jobs]
    for job in jobs:
        train_view.state_html(job, read_records(job.folder))
    assert Menu(runs=tmp_path).choices()


RECORDS = (
    {"stage": "a", "done": 1, "total": 2, "unit": "b", "per_second": 1.0, "eta_seconds": 2.0, "values": {"loss": 0.5}},
    {"step": 1, "steps": 2, "loss": 0.1, "learning_rate": 1e-3, "images_per_second": 3.0, "eta_seconds": 3.0},
)


@pytest.mark.parametrize("record", RECORDS, ids=("of any loop", "of train-ddpm"))
def test_records_of_another_kind_leave_the_job_on_the_page(record: dict[str, Any], tmp_path: Path) -> None:
    for name in record:
        for value in VALUES:
            lines = (json.dumps(one) for one in (record, record | {name: value}, record))
            (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
            found = read_records(tmp_path)
            assert found
            for state in ("running", "done"):
                job = Job("20250101-a", tmp_path, "loop", "", state, "", None, 1.0, 1.0, None)
                assert train_view.state_html(job, found) + train_view.pictures_html(tmp_path, found)

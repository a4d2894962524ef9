"""The case report: the numbers in it can be found again from what it holds, and it asks nothing of anybody."""

import base64
import html
import json
import re
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fakes import make_detector, make_image
from PIL import Image
from typer.testing import CliRunner

from sedid import cli
from sedid.data.file_facts import file_facts
from sedid.detector.detector import Detector, Inspection
from sedid.report import case
from sedid.report.case import Extras, as_lines, case_report, examine, pixel_hash
from sedid.report.verdict import verdict_cards

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("case") / "a <b> & photo.png"
    Image.fromarray(make_image(5, 80)).save(path)
    return path


@pytest.fixture(scope="module")
def detector() -> Detector:
    return make_detector()


@pytest.fixture(scope="module")
def found(detector: Detector, file: Path) -> Inspection:
    return detector.inspect(file)


@pytest.fixture(scope="module")
def extras(detector: Detector, found: Inspection, file: Path) -> Extras:
    return examine(detector, found, file, stability=True, tiles=True)


@pytest.fixture(scope="module")
def report(detector: Detector, found: Inspection, file: Path, extras: Extras) -> str:
    return case_report(detector, found, file.name, extras, NOW)


def decode(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))


def tensor(report: str) -> np.ndarray:
    return decode(re.search(r'<img id="case-tensor" src="([^"]+)"', report)[1])  # type: ignore[index]


def machine_form(report: str) -> dict[str, Any]:
    return json.loads(html.unescape(re.search(r'<pre id="case-json">(.*?)</pre>', report, re.DOTALL)[1]))  # type: ignore[index]


def test_the_embedded_picture_gives_the_same_numbers_again(report: str, detector: Detector) -> None:
    told, image = machine_form(report), tensor(report)
    assert pixel_hash(image) == told["pixels_sha256"]
    again = detector.inspect(image, t_sec=told["t_sec"], k=told["k"])
    assert again.judgement.t_error == told["t_error"]
    assert again.judgement.stat is not None
    assert again.judgement.nn is not None
    assert again.judgement.stat.score == told["stat"]["score"]
    assert again.judgement.nn.score == told["nn"]["score"]
    assert [row["t_error"] for row in told["curve"]] == list(again.trace.curve)
    assert repr(told["t_error"]) in report
    assert repr(told["nn"]["score"]) in report


def test_the_versions_of_the_stability_check_can_be_judged_again(report: str, detector: Detector) -> None:
    told = machine_form(report)["stability"]
    table = re.search(r'<table class="sed-versions">.*?</table>', report, re.DOTALL)
    assert table is not None
    pictures = [decode(uri) for uri in re.findall(r'<img src="([^"]+)"', table[0])]
    for image, row in zip(pictures, told["versions"], strict=True):
        assert pixel_hash(image) == row["pixels_sha256"]
        error = detector.inspect(image, t_sec=told["t_sec"], k=told["k"]).judgement.t_error
        assert error == pytest.approx(row["t_error"], rel=1e-5)


def test_hashes_time_and_parameters_are_in_it(report: str, detector: Detector, file: Path) -> None:
    told, facts = machine_form(report), file_facts(file)
    assert told["file_sha256"] == facts.sha256
    assert told["made"] == "2026-01-02T03:04:05+00:00"
    plain = html.unescape(re.sub("<[^>]+>", " ", report))
    stat = detector.stat[165, 330]
    for words in (
        "2026-01-02 03:04:05 UTC",
        facts.sha256,
        told["pixels_sha256"],
        f"{stat.threshold!r}; smaller means generated",
        f"between {stat.band[0]!r} and {stat.band[1]!r}",
        "the detector's own pair",
        "resized from 80x80 to 32x32",
        "no proof that an image is authentic",
        "easy to forge",
        "--k 165 --t-sec 330",
        "torch ",
    ):
        assert words in plain
    assert len(told["tiles"]["tiles"]) == 9
    assert report.count('class="sed-tile ') == 9


def test_nothing_is_requested_nothing_runs_and_names_are_escaped(report: str, file: Path) -> None:
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', report)
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert "<script" not in report
    assert "<button" not in report
    assert "</button" not in report
    assert "http" not in re.sub(r"data:[^\"]+", "", report).replace("http-equiv", "")
    assert "<b> & photo" not in report
    assert html.escape(file.name) in report
    assert "@media print" in report


def test_what_was_not_run_is_said_not_to_have_been(detector: Detector, found: Inspection) -> None:
    report = case_report(detector, found, "x", None, NOW)
    assert "The stability check was not run." in report
    assert "The tiles were not scored." in report
    assert "did not come from a file" in report
    assert not {"stability", "tiles"} & machine_form(report).keys()
    assert machine_form(report)["file_sha256"] is None


def test_an_uncalibrated_detector_has_a_case_too() -> None:
    bare = make_detector(calibrated=False)
    found = bare.inspect(make_image(1), 330, 165)
    extras = Extras(stability=case.check(bare, found.trace.image, 165, 330))
    report = case_report(bare, found, "x", extras, NOW)
    assert "not calibrated at this k and T_SEC" in report
    assert "set by hand for this report" in report
    assert len(as_lines(extras)) == 1


def test_a_pair_chosen_by_hand_and_a_jump_that_works_only_on_the_page(detector: Detector) -> None:
    found = detector.inspect(make_image(1), 660, 165)
    report = case_report(detector, found, "x", None, NOW)
    assert 'class="sed-go"' not in report
    plain = html.unescape(re.sub("<[^>]+>", " ", report))
    for words in (
        "T_SEC = 660, NN at its own T_SEC 330.",
        "330, its own",
        f"{found.judgement.nn.score!r}, {found.judgement.nn.call}, at its own T_SEC 330",  # type: ignore[union-attr]
    ):
        assert words in plain
    told = machine_form(report)
    assert (told["t_sec"], told["stat"], told["nn"]["k"], told["nn"]["t_sec"]) == (660, None, 165, 330)
    assert "its own T_SEC" not in case_report(detector, detector.inspect(make_image(1)), "x", None, NOW)
    assert "Go to k = 165, T_SEC = 495" in verdict_cards(detector, found.judgement)
    assert '<span class="sed-zoom"><img src="data:' in report


def test_the_command_writes_the_case_and_says_what_was_found(
    tmp_path: Path, file: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "open_detector", lambda *_: detector)
    out = tmp_path / "case.html"
    asked = ["inspect", str(file), "--report", str(out), "--stability", "--tiles"]
    done = CliRunner().invoke(cli.app, asked)
    assert done.exit_code == 0, done.output
    assert "9 tiles of 32 by 32 pixels cover the whole 80x80 picture" in done.output
    assert re.search(r"STAT(: cannot tell\. Only \d+ of| stays)", done.output)
    told = machine_form(out.read_text(encoding="utf-8"))
    in_json = json.loads(CliRunner().invoke(cli.app, [*asked, "--json"]).output)
    assert in_json["t_error"] == told["t_error"]
    assert in_json["tiles"] == told["tiles"]
    assert in_json["stability"]["results"] == told["stability"]["results"]


def test_the_module_needs_no_gradio() -> None:
    import subprocess
    import sys

    code = "import sys, sedid.report.case; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

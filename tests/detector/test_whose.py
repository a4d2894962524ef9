"""Whose is it? Every detector answers among its own references, and one that cannot says why."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import shared_bundle
from helpers.fakes import make_detector, make_image, ramp
from typer.testing import CliRunner

from sedid.cli import app
from sedid.detector.detector import Detector
from sedid.detector.whose import RULE, Answer, as_dict, as_lines, ask, summary
from sedid.report.whose import table

IMAGE = make_image(3)


def put_to(detector: Detector) -> Answer:
    return ask(detector.name, lambda: detector, lambda opened: opened.inspect(IMAGE))


def with_references(name: str, low: float, high: float) -> Detector:
    """The same network; its generated references lie elsewhere, and its threshold above them."""
    detector = replace(make_detector(), name=name)
    found = detector.stat[165, 330]
    moved = replace(
        found, generated=ramp(low, high), threshold=high, band=(high * 0.9, high * 1.1), real=ramp(0, 9 * high)
    )
    return replace(detector, stat={**detector.stat, (165, 330): moved, (165, 165): replace(moved, t_sec=165)})


def test_each_detector_answers_among_its_own_references_whatever_the_others_say() -> None:
    score = make_detector().inspect(IMAGE).judgement.t_error
    near, far = with_references("near", score / 2, 2 * score), with_references("far", score / 90, score / 60)
    answers = [put_to(near), put_to(far)]
    assert [answer.judgement.t_error for answer in answers] == [score, score]  # type: ignore[union-attr]
    rows = as_dict(answers)["rows"]
    assert [row["detector"] for row in rows] == ["near", "far"]  # as asked, not by score
    assert rows[1]["stat"]["verdict"] != "generated"
    assert rows[0]["stat"]["percentile_generated"] == pytest.approx(100 / 3, abs=1)
    assert rows[1]["stat"]["percentile_generated"] == 100
    assert summary(answers) == "By STAT, the picture looks generated to 1 of 2 detectors: near."
    assert as_dict(answers[::-1])["rows"] == rows[::-1]
    assert summary([answers[1]]) == "By STAT, the picture looks generated to none of 1 detectors."
    assert as_lines(answers)[-1] == RULE


def test_the_table_names_what_each_says_and_keeps_their_order() -> None:
    near = replace(make_detector(), name="<b>near")
    shown = table([put_to(near), Answer("far", refused="no <detector> at nowhere")])
    verdict = put_to(near).judgement.stat  # type: ignore[union-attr]
    assert verdict is not None
    share = (
        f"above {verdict.percentile_real:.0f} % of its real and {verdict.percentile_generated:.0f} % of its generated"
    )
    rows = shown[shown.index("<tbody>") :]  # what stands above names verdicts, too
    places = ("&lt;b&gt;near", verdict.call, share, "far", "no &lt;detector&gt; at nowhere")
    assert sorted(places, key=rows.index) == list(places)
    assert RULE in shown


def test_who_cannot_answer_says_why_and_does_not_stop_the_others() -> None:
    def absent() -> Detector:
        raise FileNotFoundError("no detector at nowhere")

    def broken() -> Detector:
        raise ZeroDivisionError

    found = [ask("absent", absent, lambda opened: opened.inspect(IMAGE)), put_to(make_detector(calibrated=False))]
    assert [answer.refused for answer in found] == [
        "no detector at nowhere",
        "it has no calibration, and so no references",
    ]
    assert [row["size"] for row in as_dict(found)["rows"]] == [None, 32]
    assert summary(found) == "No detector could answer."
    with pytest.raises(ZeroDivisionError):  # a fault of this program is none of the detector's
        ask("broken", broken, lambda opened: opened.inspect(IMAGE))


def test_the_command_asks_those_that_are_named(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(IMAGE).save(tmp_path / "one.png")
    np.savez(tmp_path / "none.npz", images=IMAGE[None])
    named = ["--detector", str(shared_bundle()), "--detector", str(tmp_path), "--device", "cpu", "--json"]
    said = CliRunner().invoke(app, ["whose", str(tmp_path / "one.png"), *named])
    assert said.exit_code == 0, said.output
    rows = json.loads(said.stdout)["rows"]
    assert rows[0]["stat"]["percentile_real"] is not None
    assert rows[0]["error"] is None
    assert "holds no diffusers U-Net" in rows[1]["error"]
    refused = CliRunner().invoke(app, ["whose", str(tmp_path / "none.npz"), *named])
    assert refused.exit_code == 1
    assert "not an image" in refused.stderr

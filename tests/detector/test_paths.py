"""A detector calibrated along a path whose steps are not all of one size: from `calibrate` to every form of a verdict."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundles import pictures, tiny_bundle
from helpers.fakes import make_detector, make_image
from PIL import Image
from typer.testing import CliRunner

from sedid import load_detector
from sedid.cli import app
from sedid.data.datasets import fingerprint
from sedid.detector.bundle import detector_file
from sedid.detector.detector import Detector
from sedid.progress import finish
from sedid.report import sweep as sweep_report
from sedid.stats import ranges
from sedid.studies.evaluate import EvaluateConfig, evaluate, evaluated
from sedid.studies.reference_scores import GalleryConfig, gallery, read_gallery
from sedid.studies.results import load_evaluation
from sedid.studies.sweep import SweepConfig, SweepResults, sweep
from sedid.training.calibrate import CalibrateConfig, calibrate, calibrate_all
from sedid.training.scoring import kept_pairs, pairs_to_keep, score

pytestmark = pytest.mark.usefixtures("one_thread")

PATH = (0, 495, 825, 990)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibrated at k = 495 and along PATH; its own pair is on the path."""
    folder = tmp_path_factory.mktemp("paths")
    bundle = tiny_bundle(folder / "bundle", calibrated=False)
    for name, seed in (("real", 1), ("generated", 2)):
        np.savez(folder / f"{name}.npz", images=pictures(6, seed))
    files = {name: str(folder / f"{name}.npz") for name in ("real", "generated")}
    paths = ("0+495+825+990", "0,495,990", "0+495+825+990")  # the second is k = 495, and each counts once
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "LEAST", 6)
        finish(calibrate(CalibrateConfig(str(bundle), **files, ks=(495,), paths=paths, loss_ts=(), device="cpu")))
    info = json.loads(detector_file(bundle).read_text())
    info["stat"]["chosen"] = [list(PATH), 990]
    detector_file(bundle).write_text(json.dumps(info))
    return bundle


@pytest.fixture(scope="module")
def detector(bundle: Path) -> Detector:
    return load_detector(bundle, device="cpu")


def test_calibrate_knows_every_t_sec_of_a_path(detector: Detector) -> None:
    assert list(detector.stat) == [(495, 495), (495, 990), (PATH, 495), (PATH, 825), (PATH, 990)]
    assert (detector.chosen, detector.paths, detector.uniform[0]) == ((PATH, 990), (PATH,), 495)
    assert list(detector.ranges) == [495, PATH]
    # the first step is that of k = 495, bit for bit
    assert replace(detector.stat[PATH, 495], k=495) == detector.stat[495, 495]


def test_a_verdict_along_a_path_costs_its_points(detector: Detector) -> None:
    asked: list[int] = []

    def counted(x: Any, t: int) -> Any:
        asked.append(t)
        return detector.eps_model(x, t)

    found = replace(detector, eps_model=counted).inspect(pictures(1)[0])
    assert asked == list(PATH)
    assert found.judgement.stat is not None
    assert found.judgement.stat.calibration == detector.stat[PATH, 990]
    assert (found.judgement.near, found.judgement.weight) == (825, detector.schedule.weight(825, 990))
    assert found.trace.t_secs == PATH[1:]
    assert found.trace.curve[0] == detector.inspect(pictures(1)[0], k=495).trace.curve[0]


def test_what_is_left_out_is_filled_in(detector: Detector) -> None:
    assert detector.pair() == (PATH, 990)
    assert detector.pair(PATH, 825) == (PATH, 825)
    assert detector.pair((0, 100, 300)) == ((0, 100, 300), 300)
    assert detector.pair(495) == (495, 990)
    assert detector.nearest((0, 100, 595), 595) == (PATH, 495)  # as near as (495, 495), and of its own kind
    assert detector.nearest(330, 990) == (495, 990)
    with pytest.raises(ValueError, match="which 660 is not"):
        detector.pair(PATH, 660)


def test_every_study_keeps_a_path_as_the_detectors_own_pair(bundle: Path, tmp_path: Path) -> None:
    """evaluate, gallery and sweep write and read it; what evaluate kept is taken up by the next study."""
    for name, seed in (("test_real", 3), ("test_generated", 4)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(5, seed))
    files = {name: str(tmp_path / f"test_{name}.npz") for name in ("real", "generated")}
    about: dict[str, Any] = {"detector": str(bundle), "device": "cpu"}
    finish(evaluate(EvaluateConfig(generated=files["generated"], heldout=files["real"], ks=(495,), **about)))
    found = load_evaluation(bundle)
    assert found.chosen == (PATH, 990)
    assert found.pairs == [(495, 495), (495, 990), (PATH, 495), (PATH, 825), (PATH, 990)]
    detector = load_detector(bundle, device="cpu")
    direct, _ = finish(score(detector, pictures(5, 3), [PATH]))
    kept = found.scores("heldout", (PATH, 990))
    assert kept is not None
    np.testing.assert_allclose(kept[0], direct[PATH, 990], rtol=1e-6)
    wrong = np.sign(kept[1] - detector.stat[PATH, 990].threshold) == (
        1 if found.sign("heldout", found.chosen) < 0 else -1
    )
    assert len(found.mistakes("generated") or []) == wrong.sum()
    known = evaluated(detector, bundle, "fp32", [PATH])
    np.testing.assert_allclose(
        known[fingerprint(pictures(5, 4))][0][PATH, 825], found.scores("heldout", (PATH, 825))[1]
    )  # type: ignore[index]

    shown = finish(gallery(GalleryConfig(out=str(tmp_path / "gallery.npz"), **files, **about)))
    assert read_gallery(tmp_path / "gallery.npz").scores["real"].keys() == shown.scores["real"].keys()
    np.testing.assert_allclose(shown.scores["real"][PATH, 990], kept[0], rtol=1e-6)

    swept = finish(sweep(SweepConfig(out=str(tmp_path), **files, ks=(495,), paths=("0+495+825+990",), **about)))
    assert [(row.k, row.t_sec) for row in swept.along_paths] == [(PATH, 495), (PATH, 825), (PATH, 990)]
    assert SweepResults.read(tmp_path / "sweep.json") == swept
    page = sweep_report.whole(swept, 495, "CIFAR-10")
    assert '<tr class="res-own"><th>0,495,825,990</th><td>990</td>\n<td>4</td>' in page
    assert "the detector's pair:" not in page  # the map of step sizes has no place for it


def test_files_that_knew_no_paths_are_read() -> None:
    old = np.array([(165, 165), (330, 990)], np.int32)
    assert kept_pairs(old) == [(165, 165), (330, 990)]
    assert kept_pairs(pairs_to_keep([(165, 330), (PATH, 825)])) == [(165, 330), (PATH, 825)]


def test_the_command_line_takes_a_path(bundle: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(pictures(1)[0]).save(photo)
    run, on_cpu = CliRunner().invoke, ["--detector", str(bundle), "--device", "cpu"]
    own = json.loads(run(app, ["inspect", str(photo), "--json", *on_cpu]).stdout)
    asked = json.loads(run(app, ["inspect", str(photo), "--json", "--path", "0,495,825,990", *on_cpu]).stdout)
    assert own == asked
    assert (own["k"], own["path"], own["t_sec"]) == (None, list(PATH), 990)
    assert own["nearest_calibrated"] == {"k": None, "path": list(PATH), "t_sec": 990}
    words = run(app, ["inspect", str(photo), "--path", "0,165,495", *on_cpu]).stdout
    assert "path 0, 165, 495, T_SEC = 495" in words
    table = tmp_path / "scores.csv"
    done = run(app, ["score", str(photo), "--path", "0,495,825,990", "--t-sec", "825", "--out", str(table), *on_cpu])
    assert done.exit_code == 0
    row = next(csv.DictReader(table.open()))
    assert (row["k"], row["t_sec"]) == ("0,495,825,990", "825")
    assert float(row["stat_score"]) == pytest.approx(own["curve"][1]["t_error"], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--k", "165", "--path", "0,165,990"], "--k or --path, not both"),
        (["--path", "165,990"], "0 and then ascending timesteps"),
        (["--path", "0,165,1000"], "ascending timesteps up to 999"),
        (["--path", "0,165,990", "--t-sec", "330"], "which 330 is not"),
    ],
)
def test_a_wrong_path_is_refused_in_a_sentence(bundle: Path, tmp_path: Path, options: list[str], said: str) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(pictures(1)[0]).save(photo)
    done = CliRunner().invoke(app, ["inspect", str(photo), "--detector", str(bundle), "--device", "cpu", *options])
    assert done.exit_code == 1
    assert said in done.stderr


def test_inspect_offers_the_calibrated_paths_alone() -> None:
    """The page: a calibrated path can be named, any other name falls back to a step size."""
    from sedid.ui.context import Context
    from sedid.ui.inspect.events import Inspector, marks_of
    from sedid.ui.inspect.view import sections, snap

    plain = make_detector()
    made = replace(
        plain, stat=plain.stat | {(PATH, t): replace(plain.stat[165, 330], k=PATH, t_sec=t) for t in PATH[1:]}
    )
    on = Inspector(Context(lambda: made), None)  # type: ignore[arg-type]
    assert on.fit(made, "0,495,825,990", 800, (165, 330)) == (PATH, 825)
    assert on.fit(made, "0,495,990", 800, (165, 330)) == (165, 825)
    assert on.fit(made, None, 330, (PATH, 990)) == (PATH, 495)
    assert on.fit(made, 110, None, (PATH, 990)) == (110, 990)
    assert on.fit(made, "nonsense", None, (PATH, 990)) == (165, 990)
    assert snap(made, PATH, 100) == 495

    trace = finish(made.trace(make_image(), PATH))
    film = sections(made, trace, made.judge(trace, 825)).film
    assert [f"t = {t}<" in film for t in (0, 495, 825, 990)] == [True, True, True, False]
    assert "along the path 0, 495, 825, 990" in film
    marks = marks_of(made, PATH)
    assert marks.choices == [("165", "165"), ("path 0, 495, 825, 990", "0,495,825,990"), ("another", "other")]
    assert marks.value == "0,495,825,990"
    assert [marks_of(plain, k).value for k in (165, 150)] == ["165", "other"]


def test_the_own_pair_is_of_one_step_size() -> None:
    """Of a path it is only where somebody chose it: what a visitor sees first has one k."""
    real, generated = np.arange(40.0) + 20, np.arange(40.0)
    better = {(495, 990): generated, (PATH, 990): generated - 20}
    calibrations, chosen = calibrate_all(dict.fromkeys(better, real), better, 0.1)
    assert calibrations[1].auc > calibrations[0].auc
    assert chosen == (495, 990)
    assert calibrate_all({(PATH, 990): real}, {(PATH, 990): generated}, 0.1)[1] == (PATH, 990)

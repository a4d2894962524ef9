"""Verdicts under perturbations: against literal counts, nothing scored twice, and what the page says of them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import pictures, shared_bundle, shared_detector, tiny_bundle
from helpers.fakes import make_apart, make_detector

from sedid.data.perturb import NONE, perturb_all, perturbation
from sedid.detector.detector import Calibration, Call, Detector, Verdict
from sedid.progress import Meter, Progress, finish
from sedid.report.robustness import chart, whole
from sedid.stats.metrics import measure
from sedid.storage import write_json
from sedid.studies.robustness import (
    RobustnessConfig,
    RobustnessResults,
    evaluations,
    judged_at,
    measured,
    planned,
    robustness,
    robustness_of,
    score_set,
)
from sedid.studies.study import Study
from sedid.training.scoring import score

pytestmark = pytest.mark.usefixtures("one_thread")
ASKED = ("jpeg", "flip", "noise:10")
SETS = {"real": "<r>.npz", "generated": "g.npz"}


def study_of(detector: Detector, out: Path, *perturbations: str, **settings: Any) -> Study[RobustnessConfig]:
    """A study of images at hand with a detector that is none of a bundle."""
    config = RobustnessConfig(detector="cifar10", perturbations=perturbations, **SETS, **settings)
    return Study(config, shared_bundle(), detector, out)


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    return {"real": pictures(5, 1), "generated": pictures(4, 2)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> RobustnessResults:
    images = {"real": pictures(16, 1), "generated": pictures(16, 2)}
    study = study_of(make_detector(), tmp_path_factory.mktemp("robust"), "jpeg", "brightness", "flip")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # `one_thread` comes after what the module shares
    made = finish(robustness_of(study, images))
    torch.set_num_threads(threads)
    return made


def counting(detector: Detector) -> int:
    return detector.eps_model.calls  # type: ignore[attr-defined]


def test_scores_are_those_of_the_perturbed_images_walked_no_further_than_judged(images: dict) -> None:
    detector, one = make_detector(), perturbation("jpeg", 50)
    meter = Meter("scoring", 5 * evaluations(detector), "evaluations")
    records: list[Progress] = []
    found = finish(score_set(detector, images["real"], one, 7, 2, meter), records.append)
    assert counting(detector) == 3 * evaluations(detector) == 3 * 3  # three batches; T_SEC 330 at k = 165
    assert (records[-1].done, records[-1].total) == (15, 15)
    scores, probabilities = finish(score(detector, perturb_all(images["real"], one, 7), [165]))
    assert probabilities is not None
    np.testing.assert_allclose(found[0], scores[165, 330], rtol=1e-5)
    np.testing.assert_allclose(found[1], probabilities, rtol=1e-5)


def test_the_batch_size_changes_nothing(images: dict) -> None:
    one, detector = perturbation("noise", 5), make_detector()
    made = [
        finish(score_set(detector, images["real"], one, 3, size, Meter("", 1, "evaluations"))) for size in (1, 2, 9)
    ]
    np.testing.assert_allclose(made[0], made[1], rtol=1e-5)
    np.testing.assert_allclose(made[0], made[2], rtol=1e-5)


def test_a_classifier_at_another_pair_is_judged_there(images: dict) -> None:
    detector = make_detector()
    assert detector.nn is not None
    stat = detector.stat | {(300, 600): replace(detector.stat[165, 330], k=300, t_sec=600)}
    apart = replace(detector, stat=stat, chosen=(300, 600))
    assert judged_at(apart) == {165: 330, 300: 600}
    assert evaluations(apart) == 3 + 3
    same_k = replace(detector, chosen=(165, 495))
    assert judged_at(same_k) == {165: 495}
    assert evaluations(same_k) == evaluations(make_apart()) == 4
    whole, _ = finish(score(detector, images["real"], [300]))
    found = finish(score_set(apart, images["real"], NONE, 0, 4, Meter("", 1, "evaluations")))
    np.testing.assert_allclose(found[0], whole[300, 600], rtol=1e-5)
    further = finish(score_set(same_k, images["real"], NONE, 0, 4, Meter("", 1, "evaluations")))
    np.testing.assert_allclose(further[1], found[1], rtol=1e-5)


def test_verdicts_are_counted_as_written() -> None:
    calibration = Calibration(165, 330, "smaller", 5.0, (4.0, 6.0), (), (), 0.9)

    def verdicts(made: Calibration = calibration, **scores: list[float]) -> dict[str, list[Verdict]]:
        """Whole numbers are in range."""
        return {name: [Verdict(score, score % 1 == 0, made) for score in values] for name, values in scores.items()}

    before = {"real": [9.0, 8, 7, 5, 3.5], "generated": [1.0, 2, 5, 7, 1]}
    after = {"real": [9.0, 5, 3, 5, 3.5], "generated": [1.0, 7, 3, 7, 1.5]}
    clean, now = verdicts(**before), verdicts(**after)
    row = measured(now, clean)
    # real: -> cannot tell, -> generated; generated: -> real, from cannot tell, -> outside
    assert row.flipped == {"real": 2 / 5, "generated": 3 / 5}
    assert row.reversed == {"real": 1 / 5, "generated": 1 / 5}
    assert row.verdicts == {
        "real": {
            Call.GENERATED: 1 / 5,
            Call.REAL: 1 / 5,
            Call.UNDECIDED: 2 / 5,
            Call.OUTSIDE: 1 / 5,
        },
        "generated": {Call.GENERATED: 2 / 5, Call.REAL: 2 / 5, Call.UNDECIDED: 0, Call.OUTSIDE: 1 / 5},
    }
    real, generated = (np.array(after[name]) for name in ("real", "generated"))
    assert row.auc == row.auc_paper_polarity == measure(-real, -generated).auc
    assert row.acc == (np.mean(real > 5) + np.mean(generated <= 5)) / 2
    first = measured(clean, None)
    assert row.auc_change.difference == pytest.approx(row.auc - first.auc)
    assert first.flipped is None
    low, high = row.auc_interval
    assert low <= row.auc <= high
    larger = replace(calibration, polarity="larger")
    turned = measured(verdicts(larger, **after), verdicts(larger, **before))
    assert turned.auc == pytest.approx(1 - row.auc)
    assert turned.auc_paper_polarity == pytest.approx(row.auc)


def test_the_clean_row_stands_first_and_once(images: dict, tmp_path: Path) -> None:
    result = finish(robustness_of(study_of(make_detector(), tmp_path, *ASKED), images))
    assert [row.key for row in result.rows] == ["none", "jpeg:95", "jpeg:90", "jpeg:75", "jpeg:50", "jpeg:30", "flip:1", "noise:10"]  # fmt: skip
    assert RobustnessResults.read(tmp_path / "robustness.json") == result
    assert result.rows[1].label == "JPEG, quality 95"
    assert result.protocol.images["real"].count == 5


@pytest.mark.parametrize("applied", ["real", "generated"])
def test_a_class_that_is_left_alone_keeps_its_scores(images: dict, tmp_path: Path, applied: str) -> None:
    detector = make_detector()
    both = finish(robustness_of(study_of(make_detector(), tmp_path / "both", "blur:1"), images)).rows[1]
    alone = study_of(detector, tmp_path / applied, "blur:1", applied_to=applied)
    result = finish(robustness_of(alone, images))
    row, other = result.rows[1], "real" if applied == "generated" else "generated"
    assert row.stat.flipped[other] == 0
    assert row.stat.verdicts[applied] == both.stat.verdicts[applied]
    assert counting(detector) == 3 * 3  # two clean sets and one perturbed
    assert result.applied_to == applied


def test_a_stopped_run_scores_only_what_is_missing(images: dict, tmp_path: Path) -> None:
    whole = finish(robustness_of(study_of(make_detector(), tmp_path / "whole", *ASKED), images))
    run = robustness_of(study_of(make_detector(), tmp_path / "part", *ASKED), images)
    for record in run:
        if record.stage.endswith("quality 90"):
            run.close()
    assert len(RobustnessResults.read(tmp_path / "part" / "robustness.json").rows) == 2
    again = make_detector()
    assert finish(robustness_of(study_of(again, tmp_path / "part", *ASKED), images)) == whole
    assert counting(again) == 2 * 3 * 6  # the clean images and quality 95 were there
    more = make_detector()
    finish(robustness_of(study_of(more, tmp_path / "part", *ASKED, "crop:0.8"), images))
    assert counting(more) == 2 * 3


@pytest.mark.parametrize("change", ["images", "seed", "applied", "checkpoint", "damaged"])
def test_scores_of_anything_else_are_not_used(images: dict, tmp_path: Path, change: str) -> None:
    finish(robustness_of(study_of(make_detector(), tmp_path, ASKED[-1]), images))
    again = make_detector()
    if change == "damaged":
        file = tmp_path / "robustness-scores.npz"
        file.write_bytes(file.read_bytes()[:200])
    changed = images | {"real": pictures(5, 9)} if change == "images" else images
    if change == "checkpoint":
        again = replace(again, info=again.info | {"checkpoint_sha256": "another"})
    how: dict[str, Any] = {"applied_to": "generated"} if change == "applied" else {}
    how |= {"seed": 1} if change == "seed" else {}
    finish(robustness_of(study_of(again, tmp_path, ASKED[-1], **how), changed))
    assert counting(again) == (3 if change == "applied" else 4) * 3


def test_a_bundle_is_measured_and_names_no_path_of_this_machine(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(3, seed))
    sets = {"real": str(tmp_path / "a.npz"), "generated": str(tmp_path / "b.npz")}
    how = {"perturbations": ("flip",), "count": 2, "batch_size": 2, "device": "cpu"}
    result = finish(
        robustness(RobustnessConfig(detector=str(shared_bundle()), **sets, out=str(tmp_path / "out"), **how))
    )
    text = (tmp_path / "out" / "robustness.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert str(shared_bundle().parent) not in text
    assert result.protocol.images["generated"].count == 2
    clean = result.rows[0]
    direct, _ = finish(score(shared_detector(), pictures(3, 1)[:2], [165]))
    other, _ = finish(score(shared_detector(), pictures(3, 2)[:2], [165]))
    chosen = result.stat.k, result.stat.t_sec
    assert clean.stat.auc_paper_polarity == measure(-direct[chosen], -other[chosen]).auc


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must name at least one of jpeg"):
        planned(())
    assert [one.key for one in planned(("flip", "jpeg:50", "flip"))] == ["flip:1", "jpeg:50"]
    plain = str(tiny_bundle(tmp_path / "plain", calibrated=False))
    with pytest.raises(ValueError, match="not calibrated"):
        finish(robustness(RobustnessConfig(detector=plain)))
    with pytest.raises(ValueError, match="unknown applied_to 'neither'; accepted: both, real, generated"):
        finish(robustness(RobustnessConfig(detector=plain, applied_to="neither")))


# --- the page --------------------------------------------------------------------------------------------------


def test_curves_have_a_dot_for_every_strength_and_the_strongest_at_the_right(found: RobustnessResults) -> None:
    drawn = chart(found, "jpeg").html()
    dots = re.findall(r'cx="([\d.]+)%" [^>]*><title>STAT: quality (\d+), AUC', drawn)
    at = {float(x): float(left) for left, x in dots}
    assert sorted(at, key=at.__getitem__) == [95, 90, 75, 50, 30]
    assert 'role="img" aria-label="JPEG: as they are, STAT, NN, against quality"' in drawn
    assert len(re.findall("<title>STAT: ", chart(found, "brightness").html())) == 7  # six factors, and 1
    assert "Mirror" not in re.findall(r"<figcaption>(\w+)", whole(found))


def test_tables_hold_the_figures_of_the_file(found: RobustnessResults) -> None:
    drawn, row = whole(found), found.rows[3]
    assert f"<th>{row.label}</th><td>{row.stat.auc:.3f}</td>" in drawn
    shares = re.findall(r"<th>JPEG, quality 75</th>(.*?)</tr>", drawn, re.DOTALL)[0]
    written = [part.flipped[kind] for part in row.methods.values() for kind in ("real", "generated")]
    assert re.findall(r"<span>(\d+%)</span>", shares) == [f"{share:.0%}" for share in written]


def test_one_class_alone_is_called_a_leak(found: RobustnessResults) -> None:
    assert "pass through the same perturbation" in whole(found)
    alone = replace(found, applied_to="generated")
    said = " ".join(whole(alone).split())
    assert "not a measure of robustness" in said
    assert "Only the generated images were changed" in said


def test_the_parts_stand_alone_and_escape_names(found: RobustnessResults) -> None:
    text = whole(found)
    assert not re.findall(r"https?://|<script|<link|@import|url\(", text)
    assert "&lt;r&gt;.npz" in text
    assert "<r>" not in text


def test_a_detector_without_a_classifier_has_one_curve(images: dict, tmp_path: Path) -> None:
    result = finish(robustness_of(study_of(make_detector(classifier=False), tmp_path, *ASKED), images))
    assert all(row.nn is None for row in result.rows)
    assert "NN" not in chart(result, "jpeg").html()
    assert "NaN" not in (tmp_path / "robustness.json").read_text(encoding="utf-8")


def test_other_files_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"rows": []})
    with pytest.raises(ValueError, match="not a results file of"):
        RobustnessResults.read(tmp_path / "x.json")

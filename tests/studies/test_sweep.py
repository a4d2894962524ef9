"""The sweep against single measurements, and that a finished k is not scored again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle, tiny_bundle
from helpers.fakes import make_detector

from sedid.detector.detector import Detector
from sedid.progress import finish
from sedid.stats.metrics import best_threshold, measure
from sedid.studies.study import Study
from sedid.studies.sweep import SweepConfig, SweepResults, measure_pair, sweep, sweep_images
from sedid.training.checks import audited
from sedid.training.scoring import score

rng = np.random.default_rng(0)
REAL, GENERATED = rng.lognormal(1, 1, 150), rng.lognormal(0, 1, 150)


def study_of(detector: Detector, out: Path, *ks: int) -> Study[SweepConfig]:
    """A sweep of images at hand with a detector that is none of a bundle."""
    config = SweepConfig(detector="tiny", real="r.npz", generated="g.npz", ks=ks)
    return Study(config, shared_bundle(), detector, out)


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    return {"real": pictures(5, 1), "generated": pictures(4, 2)}


def test_a_cell_without_test_images_has_no_accuracy_at_a_fixed_threshold() -> None:
    row = measure_pair(165, 330, {"real": REAL, "generated": GENERATED}, {})
    assert row.acc is None
    assert row.polarity == "smaller"
    assert row.auc == row.auc_paper_polarity == row.auc_calibration == measure(-REAL, -GENERATED).auc
    assert row.tpr_at_01 is None  # 150 reals cannot resolve 0.1 %


def test_polarity_and_threshold_come_from_the_calibration_images() -> None:
    test = {"real": REAL[:40], "generated": GENERATED[:50]}
    row = measure_pair(165, 330, {"real": GENERATED, "generated": REAL}, test)
    assert row.polarity == "larger"
    assert row.auc == pytest.approx(1 - row.auc_paper_polarity)
    assert row.auc < 0.5  # the classes are swapped between the two: the test images have no say
    threshold = best_threshold(GENERATED, REAL)
    assert row.threshold == threshold
    assert row.acc == pytest.approx((np.mean(REAL[:40] < threshold) + np.mean(GENERATED[:50] >= threshold)) / 2)
    assert (row.real, row.generated) == (40, 50)


def test_one_row_for_every_t_sec_of_every_k(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    detector = make_detector()
    result = finish(sweep_images(study_of(detector, tmp_path, 330, 495), images))
    assert [(row.k, row.t_sec) for row in result.rows] == [(330, 330), (330, 660), (330, 990), (495, 495), (495, 990)]  # fmt: skip
    assert result.calibrated == (165, 330)
    assert result.best in [(row.k, row.t_sec) for row in result.rows]
    assert SweepResults.read(tmp_path / "sweep.json") == result
    direct, _ = finish(score(detector, images["real"], [330]))
    with np.load(tmp_path / "sweep" / "k0330.npz", allow_pickle=False) as stored:
        np.testing.assert_allclose(stored["real"], np.stack(list(direct.values())))


def test_a_stopped_sweep_scores_only_what_is_missing(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    detector = make_detector()
    whole = finish(sweep_images(study_of(detector, tmp_path / "whole", 330, 495), images))

    def until_the_second_k(steps: Iterator) -> None:
        for record in steps:
            if record.stage.startswith("k = 495"):
                break

    until_the_second_k(sweep_images(study_of(detector, tmp_path / "part", 330, 495), images))
    assert len(SweepResults.read(tmp_path / "part" / "sweep.json").rows) == 3
    again = make_detector()
    assert finish(sweep_images(study_of(again, tmp_path / "part", 330, 495), images)) == whole
    assert again.eps_model.calls == 2 * 3  # two sets, three points at k = 495


@pytest.mark.parametrize(
    ("other", "change"),
    [
        ({"real": pictures(5, 9)}, {}),
        ({}, {"checkpoint_sha256": "other"}),
        ({}, {"schedule_sha256": "other"}),  # the same weights and pixels
    ],
)
def test_other_images_and_models_are_scored_anew(
    other: dict[str, np.ndarray], change: dict[str, str], images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    finish(sweep_images(study_of(make_detector(), tmp_path, 495), images))
    again = make_detector()
    again = replace(again, info=again.info | change)
    finish(sweep_images(study_of(again, tmp_path, 495), images | other))
    assert again.eps_model.calls == 2 * 3  # type: ignore[attr-defined]


def test_what_cannot_be_swept_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", calibrated=False)
    np.savez(tmp_path / "a.npz", images=pictures(3))
    one = str(tmp_path / "a.npz")
    sets = {"detector": str(bundle), "real": one, "generated": one}
    with pytest.raises(ValueError, match="both"):
        finish(sweep(SweepConfig(**sets, test_real=one)))
    with pytest.raises(ValueError, match="at least one"):
        finish(sweep(SweepConfig(**sets, ks=())))
    with pytest.raises(ValueError, match=r"test_real images are also calibration \(real\) images"):
        finish(sweep(SweepConfig(**sets, test_real=one, test_generated=one, ks=(495,))))
    assert not (bundle / "sedid").exists()


def test_the_sweep_of_a_bundle_names_no_path_of_this_machine(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", calibrated=False)
    for name, seed in (("a", 1), ("b", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(3, seed))
    sets = {"real": str(tmp_path / "a.npz"), "generated": str(tmp_path / "b.npz")}
    finish(sweep(SweepConfig(detector=str(bundle), **sets, ks=(495,), device="cpu")))
    text = (bundle / "sedid" / "sweep.json").read_text()
    assert str(tmp_path) not in text
    assert '"a.npz"' in text


def test_sets_too_small_to_audit_say_so() -> None:
    found = audited(pictures(3), pictures(3, 1))
    assert found.warning == ""
    assert "at least" in found.skipped
    assert audited(pictures(25), pictures(25, 1)).groups


def test_what_tells_the_classes_apart_is_said_on_the_console(caplog: pytest.LogCaptureFixture) -> None:
    assert audited(pictures(40), pictures(40, 1)).warning == ""
    assert caplog.messages == []
    found = audited(pictures(40), pictures(40, 1) // 2 * 2)
    assert caplog.messages == [f"warning: {found.warning}"]
    assert "Format traces" in found.warning

"""The sweep against single measurements, and that a finished k is not scored again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, tiny_bundle
from helpers.fakes import make_detector

from sedid.progress import finish
from sedid.stats.metrics import best_threshold, measure
from sedid.storage import read_json
from sedid.studies.sweep import SweepConfig, measure_pair, sweep, sweep_images
from sedid.training.checks import audited
from sedid.training.scoring import score

PROTOCOL = {"checkpoint_sha256": "abc"}
rng = np.random.default_rng(0)
REAL, GENERATED = rng.lognormal(1, 1, 150), rng.lognormal(0, 1, 150)


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    return {"real": pictures(5, 1), "generated": pictures(4, 2)}


def test_a_cell_without_test_images_has_no_accuracy_at_a_fixed_threshold() -> None:
    row = measure_pair(165, 330, {"real": REAL, "generated": GENERATED}, {})
    assert row["acc"] is None
    assert row["polarity"] == "smaller"
    assert row["auc"] == row["auc_paper_polarity"] == row["auc_calibration"] == measure(-REAL, -GENERATED).auc
    assert row["tpr_at_01"] is None  # 150 reals cannot resolve 0.1 %


def test_polarity_and_threshold_come_from_the_calibration_images() -> None:
    test = {"real": REAL[:40], "generated": GENERATED[:50]}
    row = measure_pair(165, 330, {"real": GENERATED, "generated": REAL}, test)
    assert row["polarity"] == "larger"
    assert row["auc"] == pytest.approx(1 - row["auc_paper_polarity"])
    assert row["auc"] < 0.5  # the classes are swapped between the two: the test images have no say
    threshold = best_threshold(GENERATED, REAL)
    assert row["threshold"] == threshold
    assert row["acc"] == pytest.approx((np.mean(REAL[:40] < threshold) + np.mean(GENERATED[:50] >= threshold)) / 2)
    assert (row["real"], row["generated"]) == (40, 50)


def test_one_row_for_every_t_sec_of_every_k(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    detector = make_detector()
    result = finish(sweep_images(detector, images, (330, 495), tmp_path, PROTOCOL))
    assert [(row["k"], row["t_sec"]) for row in result["rows"]] == [(330, 330), (330, 660), (330, 990), (495, 495), (495, 990)]  # fmt: skip
    assert result["calibrated"] == [165, 330]
    assert result["best"] in [[row["k"], row["t_sec"]] for row in result["rows"]]
    assert read_json(tmp_path / "sweep.json") == result
    direct, _ = finish(score(detector, images["real"], [330]))
    with np.load(tmp_path / "sweep" / "k0330.npz", allow_pickle=False) as stored:
        np.testing.assert_allclose(stored["real"], np.stack(list(direct.values())))


def test_a_stopped_sweep_scores_only_what_is_missing(images: dict[str, np.ndarray], tmp_path: Path) -> None:
    detector = make_detector()
    whole = finish(sweep_images(detector, images, (330, 495), tmp_path / "whole", PROTOCOL))

    def until_the_second_k(steps: Iterator) -> None:
        for record in steps:
            if record.stage.startswith("k = 495"):
                break

    until_the_second_k(sweep_images(detector, images, (330, 495), tmp_path / "part", PROTOCOL))
    assert len(read_json(tmp_path / "part" / "sweep.json")["rows"]) == 3
    again = make_detector()
    assert finish(sweep_images(again, images, (330, 495), tmp_path / "part", PROTOCOL)) == whole
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
    finish(sweep_images(make_detector(), images, (495,), tmp_path, PROTOCOL))
    again = make_detector()
    again = replace(again, info=again.info | change)
    finish(sweep_images(again, images | other, (495,), tmp_path, PROTOCOL))
    assert again.eps_model.calls == 2 * 3  # type: ignore[attr-defined]


def test_what_cannot_be_swept_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", calibrated=False)
    np.savez(tmp_path / "a.npz", images=pictures(3))
    one = str(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="both"):
        finish(sweep(SweepConfig(str(bundle), one, one, test_real=one)))
    with pytest.raises(ValueError, match="at least one"):
        finish(sweep(SweepConfig(str(bundle), one, one, ks=())))
    with pytest.raises(ValueError, match=r"test_real images are also calibration \(real\) images"):
        finish(sweep(SweepConfig(str(bundle), one, one, one, one, ks=(495,))))
    assert not (bundle / "sedid").exists()


def test_the_sweep_of_a_bundle_names_no_path_of_this_machine(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", calibrated=False)
    for name, seed in (("a", 1), ("b", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(3, seed))
    finish(sweep(SweepConfig(str(bundle), str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), ks=(495,), device="cpu")))
    text = (bundle / "sedid" / "sweep.json").read_text()
    assert str(tmp_path) not in text
    assert '"a.npz"' in text


def test_sets_too_small_to_audit_say_so() -> None:
    found = audited(pictures(3), pictures(3, 1))
    assert found["warning"] == ""
    assert "at least" in found["skipped"]
    assert "groups" in audited(pictures(25), pictures(25, 1))

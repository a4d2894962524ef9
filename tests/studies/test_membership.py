"""Membership of one picture: recognised exactly or nearly, placed among members and held-out reals, honest without either."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sedid.data.datasets import load_images
from sedid.data.perturb import perturb, perturbation
from sedid.data.splits import TRAINING, record_splits, splits_file
from sedid.detector.bundle import load_detector
from sedid.detector.detector import Detector
from sedid.paths import ROOT
from sedid.progress import finish
from sedid.report.membership import panel
from sedid.studies.membership import Membership, membership, training_prints

pytestmark = pytest.mark.usefixtures("one_thread")
PICTURES = load_images("sample:real[0:6]", 32, None)


@pytest.fixture(scope="module")
def shipped() -> Detector:
    return load_detector(ROOT / "checkpoints" / "cifar10", "cpu")


def asked(detector: Detector, picture: np.ndarray, k: int = 165, t_sec: int = 165) -> Membership:
    judgement = detector.judge(finish(detector.trace(picture, k, t_sec)), t_sec)
    return membership(detector, picture, judgement)


@pytest.fixture
def knowing(tiny_bundle: Path, tmp_path: Path) -> Detector:
    """A detector whose network was trained on the first three PICTURES."""
    (tmp_path / "sedid").mkdir()
    (tmp_path / "sedid" / "detector.json").write_text("{}")
    record_splits(splits_file(tmp_path), {TRAINING: PICTURES[:3]})
    return replace(load_detector(tiny_bundle, "cpu"), folder=tmp_path)


def test_a_training_image_and_its_near_copy_are_known(knowing: Detector) -> None:
    saved = perturb(PICTURES[1], perturbation("jpeg", 75))
    assert asked(knowing, PICTURES[1]) == Membership(3, True, False, None)
    assert asked(knowing, saved) == Membership(3, False, True, None)
    assert asked(knowing, PICTURES[4]) == Membership(3, False, False, None)


def test_a_bundle_without_prints_says_so(tiny_bundle: Path) -> None:
    detector = load_detector(tiny_bundle, "cpu")
    found = asked(detector, PICTURES[0])
    assert found == Membership(0, False, False, None)
    assert "Nobody knows" in panel(found)
    assert asked(replace(detector, folder=None), PICTURES[0]) == found


def test_a_picture_stands_among_members_and_heldout_reals(shipped: Detector) -> None:
    assert shipped.folder is not None
    prints = training_prints(shipped.folder)
    assert prints is not None
    found = asked(shipped, PICTURES[0], 330, 660)
    assert (found.known, found.same, found.near) == (50_000, False, False)
    assert found.among is not None
    among = found.among
    assert (among.k, among.t_sec) == (330, 660)
    assert among.below_members == 100 * np.mean(among.members < among.score)
    text = panel(found)
    assert "None of the 50,000 training images" in text
    assert f"{among.below_heldout:.0f} % of {len(among.heldout):,} held-out reals" in text
    assert "proves neither" in text
    assert asked(shipped, PICTURES[0], 110, 330).among is None  # no evaluation at this k

"""What `evaluate` says of NN's probabilities, of the images as they are and mildly re-encoded."""

from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle, shared_detector

from sedid.data.perturb import mildly
from sedid.progress import finish
from sedid.report import evaluation as report
from sedid.stats.reliability import reliability
from sedid.studies.evaluate import CLEAN, REENCODED, EvaluateConfig, EvaluationResults, evaluate
from sedid.studies.results import load_evaluation
from sedid.training.scoring import score

pytestmark = pytest.mark.usefixtures("one_thread")


def test_probabilities_are_held_to_their_word_clean_and_reencoded(tmp_path: Path) -> None:
    files = {}
    for name, seed in (("heldout", 1), ("generated", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(6, seed))
        files[name] = str(tmp_path / f"{name}.npz")
    out = tmp_path / "results.json"
    result = finish(
        evaluate(EvaluateConfig(detector=str(shared_bundle()), **files, reencoded=4, out=str(out), device="cpu"))
    )
    detector = shared_detector()
    expected = {}
    for name, change in ((CLEAN, lambda images, _: images), (REENCODED, lambda images, seed: mildly(images[:4], seed))):
        both = [finish(score(detector, change(pictures(6, seed), seed - 1), [165]))[1] for seed in (1, 2)]
        expected[name] = reliability(*both).brier  # type: ignore[arg-type]
    assert {name: one.brier for name, one in result.reliability.items()} == pytest.approx(expected, rel=1e-4)
    assert EvaluationResults.read(out) == result
    drawn = report.tables(load_evaluation(out), "heldout", "CIFAR-10")
    assert f"<th>{REENCODED}</th>" in drawn


def test_the_log_likelihood_is_of_both_classes_alike() -> None:
    found = reliability(np.array([0.5, 0.5, 0.5, 0.5]), np.array([0.25, 1.0]))
    assert found.nll == pytest.approx((np.log(2) + (np.log(4) + 0) / 2) / 2, abs=1e-5)
    assert reliability(np.zeros(20), np.zeros(20)).nll == pytest.approx(np.log(1e6) / 2)  # no infinity

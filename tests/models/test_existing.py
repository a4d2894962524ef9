"""The existing method of Table 2: the loss as its equation reads, and its way through calibration, results and report."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.fakes import make_detector
from helpers.results import write_evaluation
from torch import Tensor

from sedid.data.datasets import as_model_input
from sedid.detector.bundle import detector_file
from sedid.method.diffusion import NoiseSchedule, training_loss
from sedid.progress import finish
from sedid.report import evaluation as evaluation_report
from sedid.report.markdown import results_table
from sedid.stats.metrics import measure
from sedid.studies.evaluate import EvaluateConfig, evaluate
from sedid.studies.results import load_evaluation
from sedid.training.baseline import calibrate_existing, noise_of, read_existing, training_losses
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.ui.results.evaluate_tab import write_files

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("t", [0, 20, 350, 999])
def test_the_loss_is_its_equation(tiny_unet, t: int) -> None:
    """Against a transcription in float64, image by image."""
    unet = tiny_unet(seed=t).double()

    @torch.inference_mode()
    def eps_theta(x: Tensor, at: int) -> Tensor:
        return unet(x, at).sample

    generator = torch.Generator().manual_seed(t)
    x_0 = torch.rand((3, 3, 8, 8), generator=generator, dtype=torch.float64) * 2 - 1
    eps = torch.randn((3, 3, 8, 8), generator=generator, dtype=torch.float64)
    alpha_bar = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))[t]
    expected = []
    for image, noise in zip(x_0, eps, strict=True):
        x_t = math.sqrt(alpha_bar) * image + math.sqrt(1 - alpha_bar) * noise
        expected.append(float(((noise - eps_theta(x_t[None], t)[0]) ** 2).sum()))
    found = training_loss(eps_theta, x_0, eps, NoiseSchedule.linear(), t)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_timestep_outside_the_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 999, not 1000"):
        finish(training_losses(make_detector(), pictures(1), 1000, 1))
    with pytest.raises(ValueError, match="at least 1 noise"):
        finish(calibrate_existing(make_detector(), pictures(1), pictures(1), (20,), 0))


def test_losses_depend_on_seed_and_place_and_on_nothing_else() -> None:
    detector, images = make_detector(), pictures(7)
    whole = finish(training_losses(detector, images, 100, 2))
    assert whole.shape == (7,)
    for batch_size in (1, 3):
        assert np.array_equal(whole, finish(training_losses(detector, images, 100, 2, batch_size=batch_size)))
    assert not np.isclose(whole, finish(training_losses(detector, images, 100, 2, seed=1))).any()
    x_0 = as_model_input(images[4:5])
    draws = [
        training_loss(detector.eps_model, x_0, noise_of(0, 4, draw, x_0.shape[1:])[None], detector.schedule, 100)
        for draw in (0, 1)
    ]
    assert whole[4] == pytest.approx(float(sum(draws)) / 2, rel=1e-6)
    assert not torch.isclose(*draws)


@pytest.fixture(scope="module")
def measured(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle calibrated and evaluated with the loss at two timesteps."""
    folder = tmp_path_factory.mktemp("existing")
    bundle = Path(shutil.copytree(tiny_bundle, folder / "bundle"))
    # dull images are easy for the network at any timestep: the generated ones here
    for name, seed in (("real", 1), ("test_real", 2), ("generated", 3), ("test_generated", 4), ("member_real", 5)):
        images = pictures(20, seed)
        np.savez(folder / f"{name}.npz", images=images if "real" in name else images // 4)
    files = {name: str(folder / f"{name}.npz") for name in ("real", "generated")}
    finish(calibrate(CalibrateConfig(str(bundle), **files, ks=(495,), loss_ts=(20, 700), device="cpu")))
    tested = {"generated": str(folder / "test_generated.npz"), "heldout": str(folder / "test_real.npz")}
    finish(
        evaluate(
            EvaluateConfig(detector=str(bundle), **tested, members=f"{folder / 'member_real.npz'}[0:9]", device="cpu")
        )
    )
    return bundle


def test_the_calibration_split_chooses_timestep_polarity_and_threshold(measured: Path) -> None:
    section = json.loads(detector_file(measured).read_text())["existing"]
    assert [candidate["t"] for candidate in section["candidates"]] == [20, 700]
    best = max(section["candidates"], key=lambda candidate: candidate["auc"])
    assert {name: section[name] for name in best} == best
    assert section["chosen_by"] == "highest AUC on the calibration split among 2 timesteps"


def test_the_evaluation_measures_it_where_it_was_calibrated(measured: Path) -> None:
    section = json.loads(detector_file(measured).read_text())["existing"]
    evaluation = load_evaluation(measured)
    assert evaluation.results.protocol.evaluations_per_image == 3 + 1
    sign = -1 if section["polarity"] == "smaller" else 1
    generated = evaluation.arrays["existing_generated"]
    for reals, count in (("heldout", 20), ("members", 9)):
        row, real = evaluation.existing(reals), evaluation.arrays[f"existing_{reals}"]
        assert row is not None
        expected = measure(sign * real, sign * generated, sign * section["threshold"])
        assert (row.t, row.noises, row.real) == (section["t"], 1, count)
        assert row.auc == pytest.approx(expected.auc)
        assert row.auc_paper_polarity == pytest.approx(measure(-real, -generated).auc)
        assert row.acc == pytest.approx(expected.acc)
    table = evaluation_report.tables(evaluation, "heldout", "CIFAR-10")
    assert f"Training loss (Matsumoto et al. 2023), t = {section['t']}" in table
    assert "1 noise an image" in table
    assert f"Training loss at t = {section['t']}" in evaluation_report.charts(
        evaluation, "members", evaluation.chosen, False
    )
    rows = next(file for file in write_files(evaluation, "heldout", "CIFAR-10", None, False) if file.suffix == ".csv")
    assert f"training loss at t = {section['t']},members," in rows.read_text(encoding="utf-8")
    assert f"| training loss (baseline) |  | t = {section['t']} | {section['polarity']} |" in results_table(
        evaluation.results
    )


def test_a_calibration_may_leave_it_out(measured: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(measured, tmp_path / "bundle")
    files = {name: str(measured.parent / f"{name}.npz") for name in ("real", "generated")}
    config = CalibrateConfig(str(bundle), **files, ks=(495,), loss_ts=(), device="cpu")
    finish(calibrate(config))
    assert json.loads(detector_file(bundle).read_text())["existing"] == {}
    with pytest.raises(ValueError, match="between 0 and 999, not 1000"):
        finish(calibrate(replace(config, loss_ts=(1000,))))


@pytest.mark.parametrize(
    "change", [{"t": "20"}, {"noises": 0}, {"polarity": None}, {"threshold": []}, {"chosen_by": 1}]
)
def test_a_damaged_calibration_is_refused(change: dict) -> None:
    section = {"t": 20, "noises": 1, "polarity": "smaller", "threshold": 3.5, "chosen_by": "hand"}
    assert read_existing({"existing": section}) == section
    assert read_existing({"existing": {}}) == read_existing({}) == {}
    for damaged in (section | change, {name: section[name] for name in section.keys() - change.keys()}, ["t"]):
        with pytest.raises(ValueError, match="training loss that cannot be read: calibrate again"):
            read_existing({"existing": damaged})


def test_results_that_are_older_than_it_still_load(tmp_path: Path) -> None:
    file, _ = write_evaluation(tmp_path)
    results = json.loads(file.read_text())
    assert results.pop("existing") == {}
    del results["version"]
    file.write_text(json.dumps(results))
    evaluation = load_evaluation(file)
    assert evaluation.existing("heldout") is None
    assert "training loss (baseline)" not in results_table(evaluation.results)
    assert ">n/a<" in evaluation_report.tables(evaluation, "heldout", "CIFAR-10")

"""The frame against torchvision, precision against float64, and the loop end to end."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.bundles import K, pictures, shared_bundle, shared_detector
from helpers.fakes import make_detector

from sedid.data.datasets import as_model_input, fingerprint
from sedid.data.image_statistics import STATISTICS
from sedid.detector.bundle import load_detector
from sedid.method.ledger import Ledger
from sedid.method.methods import proximal
from sedid.models.networks import load_unet
from sedid.progress import Progress, finish
from sedid.stats.confounds import LEAST, spearman
from sedid.stats.metrics import measure
from sedid.studies.black_frame import PEERS, framed, lesson
from sedid.studies.noise_floor import noise_floor
from sedid.studies.polarity import PolarityConfig, PolarityResults, chain, polarity
from sedid.training.baseline import training_losses
from sedid.training.scoring import score

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_frame_is_torchvisions() -> None:
    """Against the functions themselves on tensors, and the share of the picture that is not black."""
    from torchvision.transforms.functional import center_crop, pad

    images = pictures(3).clip(1, 255)
    found = framed(images)
    padded = center_crop(torch.from_numpy(images).permute(0, 3, 1, 2), [140, 140])
    assert torch.equal(padded, pad(torch.from_numpy(images).permute(0, 3, 1, 2), [54, 54, 54, 54]))
    from PIL import Image

    large = [Image.fromarray(one) for one in padded.permute(0, 2, 3, 1).numpy()]
    expected = np.stack([np.asarray(one.resize((32, 32), Image.Resampling.BILINEAR)) for one in large])
    np.testing.assert_array_equal(found, expected)
    white = framed(np.full((1, 32, 32, 3), 255, np.uint8))[0] / 255
    assert white.mean() == pytest.approx((32 / 140) ** 2, rel=0.01)  # the share of the picture that is left
    assert (white[11:21, 11:21].sum(), white[16, 16, 0]) == (white.sum(), 1.0)  # in the middle, the rest is black
    with pytest.raises(ValueError, match="frames only smaller images"):
        framed(np.zeros((1, 140, 140, 3), np.uint8))


def test_the_lesson_measures_both_and_the_audit_sees_the_frame() -> None:
    loss = {"t": 20, "noises": 1, "polarity": "larger", "threshold": 1.0, "chosen_by": "calibration split"}
    detector = replace(make_detector(), info={"existing": loss})
    images = {"real": pictures(24, 1), "generated": pictures(24, 2)}
    scores, probabilities = {}, {}
    for name, values in images.items():
        scores[name], probabilities[name] = finish(score(detector, values, [K]))
    found = finish(lesson(detector, images, scores, probabilities))
    methods = {(row.method, row.t_sec or row.t): row for row in found.methods}
    peers = [
        ("secmi-stat", None),
        ("pia", None),
        ("pian", None),
        ("dire-stat", None),
        ("did", None),
        ("did-step", None),
    ]
    assert list(methods) == [*[("stat", K * n) for n in range(1, 7)], ("nn", 330), ("existing", 20), *peers]
    inside = framed(images["generated"])
    in_frame, nn_framed = finish(score(detector, inside, [K]))
    for t_sec in (165, 990):
        row, real = methods["stat", t_sec], scores["real"][K, t_sec]
        assert row.plain.value == measure(-real, -scores["generated"][K, t_sec]).auc
        assert row.framed.value == measure(-real, -in_frame[K, t_sec]).auc
    assert probabilities["real"] is not None
    assert nn_framed is not None
    assert methods["nn", 330].framed.value == measure(probabilities["real"], nn_framed).auc
    losses = [
        finish(training_losses(detector, values, 20, 1, seed)) for seed, values in enumerate((images["real"], inside))
    ]
    assert methods["existing", 20].framed.value == measure(-losses[0], -losses[1]).auc
    pia = [
        proximal(Ledger(detector.eps_model, detector.schedule, as_model_input(values)), 200, 4, False).double().numpy()
        for values in (images["real"], inside)
    ]
    assert methods["pia", None].framed.value == measure(-pia[0], -pia[1]).auc
    assert 0.05 < found.picture_share < 0.1
    assert "border" in found.audit_framed.warning
    assert "border" not in found.audit_plain.warning


def test_the_chain_is_one_for_both_and_leaves_the_shape() -> None:
    images = pictures(4)
    once = chain(images, 24, 75)
    assert (once.shape, once.dtype) == (images.shape, np.uint8)
    np.testing.assert_array_equal(chain(images[1:3], 24, 75), once[1:3])
    same = chain(np.full((1, 32, 32, 3), 120, np.uint8), 16, 75)
    assert np.ptp(same) <= 1
    assert np.abs(chain(images, 32, 95).astype(int) - images).mean() < np.abs(once.astype(int) - images).mean()


def test_the_noise_floor_is_measured_against_the_formula_in_float64() -> None:
    """The reference is a literal trajectory, psi(phi(x)) - x formed as the paper writes it."""
    images = pictures(2, 4)
    records: list[Progress] = []
    rows = finish(noise_floor(shared_bundle(), images, 330, "cpu"), records.append)
    unet = load_unet(shared_bundle()).double()
    abar = shared_detector().schedule.alpha_bar

    @torch.inference_mode()
    def eps(x: torch.Tensor, t: int) -> torch.Tensor:
        return unet(x, t).sample

    def step(x: torch.Tensor, t: int, u: int) -> torch.Tensor:
        noise = eps(x, t)
        clean = (x - math.sqrt(1 - abar[t]) * noise) / math.sqrt(abar[t])
        return math.sqrt(abar[u]) * clean + math.sqrt(1 - abar[u]) * noise

    x = as_model_input(images).double()
    for row, t in zip(rows, (0, 330, 660), strict=True):
        further = step(x, t, t + 330)
        error = ((step(further, t + 330, t) - x) / 2).square().sum(dim=(1, 2, 3))
        assert row.t_sec == t + 330
        assert row.median == pytest.approx(float(error.quantile(0.5)), rel=1e-8)
        direct, _ = finish(score(shared_detector(), images, [330]))
        relative = np.abs(direct[330, t + 330] / error.numpy() - 1)
        assert row.fp32.max == pytest.approx(relative.max(), rel=0.5, abs=1e-7)
        assert row.fp32.max < row.bf16.max
        assert row.bf16.median <= row.bf16.p90 <= row.bf16.max
        x = further
    assert records[-1].done == records[-1].total == 2 * 3 * 3


def sets(folder: Path, count: int) -> dict[str, str]:
    """Two data sets of pictures, "real" and "generated"."""
    for name, seed in (("real", 1), ("generated", 2)):
        np.savez(folder / f"{name}.npz", images=pictures(count, seed))
    return {name: str(folder / f"{name}.npz") for name in ("real", "generated")}


def test_the_loop_from_images_to_results(tmp_path: Path, tiny_bundle: Path) -> None:
    """On a model without calibration: what needs one is left out."""
    config = PolarityConfig(
        detector=str(tiny_bundle), **sets(tmp_path, LEAST), k=330, noise_images=1, out=str(tmp_path / "out")
    )
    result = finish(polarity(config))
    assert PolarityResults.read(tmp_path / "out" / "polarity.json") == result
    assert str(tmp_path) not in (tmp_path / "out" / "polarity.json").read_text()
    assert [(row.k, row.t_sec) for row in result.rows] == [(330, 330), (330, 660), (330, 990)]
    assert set(result.statistics) == set(STATISTICS)
    assert all(row.finding.startswith(f"T_SEC {row.t_sec}: ") for row in result.rows)
    assert all("with the statistics held equal" in row.finding for row in result.rows)
    assert [row.t_sec for row in result.noise] == [330, 660, 990]
    assert result.noise_images == 2
    assert result.protocol.images["real"].sha256 == fingerprint(pictures(LEAST, 1))
    assert {row.method for row in result.frame.methods} == {"stat", *(method.name for method in PEERS)}
    detector = load_detector(tiny_bundle, "cpu")
    with np.load(tmp_path / "out" / "polarity-scores.npz", allow_pickle=False) as kept:
        assert kept["errors_real"].shape == (3, LEAST)
        direct, _ = finish(score(detector, pictures(LEAST, 2), [330]))
        np.testing.assert_allclose(kept["errors_generated"][1], direct[330, 660], rtol=1e-5)
        row, errors = result.rows[1], {name: kept[f"errors_{name}"][1] for name in ("real", "generated")}
        assert row.auc.value == pytest.approx(measure(-errors["real"], -errors["generated"]).auc, abs=1e-3)
        contrast = kept["statistics_real"][list(STATISTICS).index("contrast")]
        found = spearman(errors["real"], contrast)
        assert asdict(row.correlations["contrast"]["real"]) == pytest.approx(asdict(found), abs=1e-3)
        np.testing.assert_array_equal(kept["example_framed"], framed(kept["example_plain"][None])[0])
    in_chain, _ = finish(score(detector, chain(pictures(LEAST, 2), 24, 75), [330]))
    of_real, _ = finish(score(detector, chain(pictures(LEAST, 1), 24, 75), [330]))
    assert result.rows[2].chain.value == measure(-of_real[330, 990], -in_chain[330, 990]).auc


def test_a_classifier_is_measured_at_its_own_k(tmp_path: Path) -> None:
    config = PolarityConfig(
        detector=str(shared_bundle()), **sets(tmp_path, 3), k=495, noise_images=0, out=str(tmp_path)
    )
    result = finish(polarity(config))
    assert {row.k for row in result.rows} == {495}
    own = {(row.method, row.k) for row in result.frame.methods if row.k}
    assert own == {("stat", 495), ("stat", K), ("nn", K)}
    assert result.noise == ()
    assert result.rows[0].held_equal is None
    assert "at least" in result.audit.skipped


def test_what_cannot_be_analysed_is_refused(tmp_path: Path) -> None:
    bundle, out = str(shared_bundle()), str(tmp_path / "out")
    for wrong, words in (
        ({"quality": 96}, "quality must be at most 95"),
        ({"side": 33}, "side must be between 1 and 32"),
        ({"k": 1000}, "k must be between"),
    ):
        with pytest.raises(ValueError, match=words):
            finish(polarity(PolarityConfig(detector=bundle, out=out, device="cpu", **wrong)))
    assert not Path(out).exists()

"""Every study on a detector of latents, from the command line's own settings; and what only such a detector has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import shared_bundle
from helpers.latents import SIDE, shared_latent

pytest.importorskip("transformers", reason="latent diffusion needs transformers: pip install -e '.[latent]'")

from sedid.data.datasets import as_model_input
from sedid.data.outputs import check_loop
from sedid.detector.bundle import load_detector
from sedid.jobs.commands import resolve_loop
from sedid.method.diffusion import t_errors
from sedid.models.latent import Latents
from sedid.progress import finish
from sedid.report.card import write_card
from sedid.report.evaluation import tables
from sedid.report.numbers import cell
from sedid.studies.evaluate import EvaluationResults
from sedid.studies.parity import parity
from sedid.studies.results import load_evaluation

pytestmark = pytest.mark.usefixtures("one_thread_for_all")


def run(command: str, **settings: Any) -> Any:
    """A command with its settings as text, as the command line reads them."""
    loop, config = resolve_loop(command, "", None, [f"{name}={value}" for name, value in settings.items()])
    check_loop(command, config, True)
    return finish(loop(config))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Coarse pictures as reals, and as generated ones what the VAE makes of others; 36 of each."""
    place, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    real, other = (rng.integers(0, 256, (36, 4, 4, 3), np.uint8).repeat(4, 1).repeat(4, 2) for _ in range(2))
    space = load_detector(shared_latent(), device="cpu").space
    again = space.decode(space.encode(as_model_input(other)))
    made = ((again.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert made.shape == real.shape == (36, SIDE, SIDE, 3)
    found = {}
    for name, images in {"real": real, "generated": made}.items():
        np.savez(place / f"{name}.npz", images=images)
        found[name] = str(place / f"{name}.npz")
    return found


@pytest.fixture(scope="module")
def bundle(sets: dict[str, str], tmp_path_factory: pytest.TempPathFactory, one_thread_for_all: None) -> Path:
    out = tmp_path_factory.mktemp("latent") / "tiny-latent"
    of_class = {name: f"{file}[0:20]" for name, file in sets.items()}
    run("calibrate", detector=shared_latent(), out=out, ks="330", loss_ts="200", device="cpu", **of_class)
    run("train-nn", detector=out, epochs=1, device="cpu", **of_class)
    return out


def test_every_study_measures_a_latent_detector(bundle: Path, sets: dict[str, str]) -> None:
    known = {name: f"{file}[0:20]" for name, file in sets.items()}
    real, made = (f"{sets[name]}[20:36]" for name in ("real", "generated"))
    own: dict[str, Any] = {"detector": bundle, "device": "cpu"}
    unseen = {"test_real": real, "test_generated": made}
    found = run("evaluate", heldout=real, generated=made, posterior=4, **own)
    assert found.posterior.images == {"heldout": 4, "generated": 4}
    methods = "sedid-stat,vae-distance,sedid-multi-lr ks=330,loss,pia,dire-stat"
    compared = run("compare", **known, **unseen, methods=methods, **own)
    rows = {row.method: row for row in compared.rows["heldout"]}
    assert list(rows) == methods.split(",")
    assert (rows["vae-distance"].evaluations_alone, rows["vae-distance"].polarity) == (0, "smaller")
    assert rows["vae-distance"].auc == 1  # what went through the VAE already comes back nearly as it is
    assert rows["sedid-stat"].evaluations_alone == 2
    others: dict[str, dict[str, Any]] = {
        "generalise": {"heldout": real, "generated": made},
        "sweep": {**known, **unseen, "ks": "330,495"},
        "choose": {**known, **unseen, "ks": "330", "resamples": 5},
        "robustness": {"real": real, "generated": made, "count": 4, "perturbations": "jpeg,flip"},
        "polarity": {"real": real, "generated": made, "noise_images": 2, "side": 8},
        "sign": {"real": real, "generated": made, "changed": 4},
    }
    for command, settings in others.items():
        results = run(command, **settings, **own)
        assert results.protocol.checkpoint_sha256 == found.protocol.checkpoint_sha256, command
        if command == "polarity":  # in float64 it is the same model, told the same
            assert all(row.fp32.max < 1e-3 < row.bf16.max for row in results.noise)
    finish(parity(bundle, made))
    write_card(bundle)
    card = (bundle / "README.md").read_text()
    for words in ("A latent diffusion model", "the empty prompt", "random samples in place of the mean", "not LPIPS"):
        assert words in card


def test_the_spread_over_the_posterior_is_of_verdicts_at_its_samples(bundle: Path, sets: dict[str, str]) -> None:
    found = EvaluationResults.read(bundle / "sedid" / "results.json").posterior
    assert found is not None
    assert len(found.auc_of_draws) == found.draws == 5
    detector = load_detector(bundle, device="cpu")
    with np.load(sets["generated"]) as stored:
        images = stored["images"][20:24]
    assert isinstance(detector.space, Latents)
    assert detector.chosen is not None
    page = tables(load_evaluation(bundle), "heldout", "CIFAR-10")
    assert f"at the samples: {', '.join(cell(auc) for auc in found.auc_of_draws)}" in page
    rows = []
    for draw in range(5):
        x_0 = detector.space.sampled(draw).encode(as_model_input(images))
        *_, last = t_errors(detector.eps_model, x_0, detector.schedule, *detector.chosen)
        rows.append(last.score.double().numpy())
    assert found.spread["generated"] == pytest.approx(np.median(np.log(rows).std(axis=0)), rel=1e-3)


def test_a_sample_is_the_pictures_own_and_spreads_as_the_posterior_does(sets: dict[str, str]) -> None:
    space = load_detector(shared_latent(), device="cpu").space
    assert isinstance(space, Latents)
    with np.load(sets["real"]) as stored:
        x = as_model_input(stored["images"][:3])
    one, other = space.sampled(0).encode(x), space.sampled(1).encode(x)
    assert not torch.allclose(one, other)
    assert torch.equal(space.sampled(0).encode(x[2:]), one[2:])  # whatever its company
    drawn = torch.stack([space.sampled(n).encode(x[:1])[0] for n in range(200)])
    with torch.inference_mode():
        posterior = space.vae.encode(x[:1]).latent_dist
    scale = space.vae.config.scaling_factor
    away = (drawn - scale * posterior.mean) / (scale * posterior.std)
    assert away.mean().item() == pytest.approx(0, abs=0.03)
    assert away.std().item() == pytest.approx(1, abs=0.03)


def test_a_detector_of_pixels_has_neither(sets: dict[str, str]) -> None:
    pixels = {"detector": shared_bundle(), "device": "cpu"}
    real, made = "sample:real[0:12]", "sample:generated[0:12]"
    with pytest.raises(ValueError, match="vae-distance needs a latent detector: tiny walks on the pixels"):
        run("compare", real=real, generated=made, test_real=real, test_generated=made, methods="vae-distance", **pixels)

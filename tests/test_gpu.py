"""What only a CUDA device shows: every path that asks which device it is on, run there and held to the CPU's figures."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.bundles import K, pictures, shared_bundle, shared_detector
from helpers.latents import shared_latent

from sedid.detector import company
from sedid.detector.bundle import load_detector
from sedid.jobs.commands import resolve_loop
from sedid.models import memory
from sedid.models.networks import Runtime, eps_model
from sedid.models.sharing import Sharing
from sedid.progress import finish
from sedid.recipes.reproduce import measure_speed
from sedid.recipes.verify import BOUNDS
from sedid.studies.compare import CompareConfig, compare
from sedid.studies.speed import SpeedResults, bench
from sedid.training.generate import GenerateConfig, generate
from sedid.training.scoring import score
from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm
from sedid.ui.server import gpu

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_scores_are_those_of_the_cpu(precision: str) -> None:
    detector = load_detector(shared_bundle(), device=DEVICE, precision=precision)
    images = pictures(9, 5)
    found, probabilities = finish(score(detector, images, [K]))
    kept, chances = finish(score(shared_detector(), images, [K]))
    assert max(np.abs(found[pair] / kept[pair] - 1).max() for pair in kept) <= BOUNDS[precision]
    assert probabilities is not None
    assert chances is not None
    assert np.abs(probabilities - chances).max() <= BOUNDS[precision]


def test_a_batch_in_company_is_judged_there() -> None:
    detector, images = load_detector(shared_bundle(), device=DEVICE), pictures(4, 6)
    found = company.judge(company.share(detector, Sharing()), images, K, 495)
    alone = [detector.judge(finish(detector.trace(image, K)), 495) for image in images]
    assert [one.stat and one.stat.call for one in found] == [one.stat and one.stat.call for one in alone]


def test_a_lent_gpu_gives_points_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "DEVICE", DEVICE)
    points = list(gpu.points(str(shared_bundle()), "model", pictures(1), 495, 990))
    assert [point.t for point in points] == [0, 495, 990]
    assert {point.eps.device.type for point in points} == {"cpu"}


def test_training_and_generating_run_there(tmp_path: Path, tiny_bundle: Path, images_npz: Path) -> None:
    config = TrainDDPMConfig(
        data=str(images_npz), out=str(tmp_path / "run"), start=str(tiny_bundle), heldout=str(images_npz), steps=4,
        batch_size=4, eval_every=2, save_every=2, log_every=1, samples=0, device=DEVICE, precision="bf16",
    )  # fmt: skip
    losses = [record.loss for record in train_ddpm(config)]
    assert np.isfinite(losses).all()
    assert (tmp_path / "run" / "best.safetensors").is_file()
    finish(generate(GenerateConfig(str(tiny_bundle), str(tmp_path / "set"), 4, "ddim", 3, 2, device=DEVICE)))
    with np.load(tmp_path / "set" / "images.npz") as stored:
        assert stored["images"].shape == (4, 32, 32, 3)


def test_a_comparison_times_what_has_finished_there(tmp_path: Path) -> None:
    sets = {}
    for seed, name in enumerate(("real", "generated", "test_real", "test_generated")):
        np.savez(tmp_path / f"{name}.npz", images=pictures(10, seed))
        sets[name] = str(tmp_path / f"{name}.npz")
    config = CompareConfig(
        detector=str(shared_bundle()),
        out=str(tmp_path / "out"),
        methods=("sedid-stat k=495 t_sec=495",),
        device=DEVICE,
        **sets,
    )
    (rows,) = finish(compare(config)).rows.values()
    assert rows[0].images_per_second is not None
    assert rows[0].images_per_second > 0


def test_the_benchmark_writes_the_same_file(tmp_path: Path) -> None:
    found = finish(bench(shared_bundle(), tmp_path / "there.json", device=DEVICE, quick=True))
    assert SpeedResults.read(tmp_path / "there.json") == found
    assert len(found.rows) == 10
    if DEVICE == "cuda":
        assert found.machine.device == torch.cuda.get_device_name()


def test_what_a_reproduction_costs_is_measured_there() -> None:
    small = ["unet=demo", "score_batch=8", "batch_size=8", f"device={DEVICE}"]
    _, config = resolve_loop("loop", "", None, [*small, "data=x", "heldout=y", "out=z"])
    speed = measure_speed(config)
    assert min(speed.forward, speed.training, speed.classifier) > 0
    assert (speed.device == DEVICE) == (DEVICE != "cuda")  # a GPU goes by its own name


def test_what_waits_outside_the_gpu_takes_no_memory_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
    walks = {}
    for saving in ("", "layers"):
        monkeypatch.setenv("SEDID_MEMORY", saving)
        before = torch.cuda.memory_allocated()
        detector = load_detector(shared_latent(), device=DEVICE)
        held = torch.cuda.memory_allocated() - before
        walks[saving] = held, [point.eps.cpu() for point in detector.walk(images, 330)]
        del detector
    assert walks["layers"][0] < walks[""][0] / 4
    for one, other in zip(walks["layers"][1], walks[""][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_batch_there_is_cut_to_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    network = torch.nn.Conv2d(4, 4, 3, padding=1).to(DEVICE)

    def asked(x: torch.Tensor, t: torch.Tensor) -> SimpleNamespace:
        sizes.append(len(x))
        return SimpleNamespace(sample=network(x))

    eps, x = eps_model(asked, Runtime(torch.device(DEVICE))), torch.zeros(12, 4, 64, 64, device=DEVICE)
    expected = eps(x, 3)
    assert sizes == [1, 12]
    row = memory.bytes_taken(x.device, lambda: network(x[:1]))
    assert row >= x[:1].nbytes
    monkeypatch.setattr(memory, "free_bytes", lambda device: 8 * row)
    torch.testing.assert_close(eps(x, 3), expected)
    assert max(sizes[2:]) <= 4

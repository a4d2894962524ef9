"""Weights kept in 8 bits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from sedid.detector.bundle import load_classifier
from sedid.detector.export import save_classifier
from sedid.models.eight_bits import SCALE, TOP, from_eight_bits, to_eight_bits
from sedid.models.networks import Runtime, make_resnet18
from sedid.progress import finish
from sedid.training.nn_state import load_state, save_state
from sedid.training.resnet import Recipe, halves, logits_of, train_resnet

pytestmark = pytest.mark.usefixtures("one_thread")


@given(st.integers(0, 1000), st.sampled_from([1e-6, 1e-3, 1.0, 1e4]))
def test_no_weight_moves_by_more_than_half_a_scale(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(5, 3, 2, 2, generator=generator) * size * torch.tensor([1, 1e-3, 0, 10, 1]).view(5, 1, 1, 1)
    kept = to_eight_bits({"layer.weight": rows})
    again = from_eight_bits(kept)["layer.weight"]
    largest = rows.flatten(1).abs().amax(1)
    moved = (again - rows).flatten(1).abs().amax(1)
    assert (moved <= largest / TOP / 2 * (1 + 1e-5)).all()
    assert kept["layer.weight"].dtype == torch.int8
    assert torch.equal(again[2], rows[2])  # a row of zeros


def test_what_was_kept_is_kept_as_it_is() -> None:
    kept = to_eight_bits(make_resnet18(6).state_dict())
    once = from_eight_bits(kept)
    twice = from_eight_bits(to_eight_bits(once))
    assert once.keys() == twice.keys() == make_resnet18(6).state_dict().keys()
    for name, tensor in once.items():
        torch.testing.assert_close(twice[name], tensor, rtol=1e-6, atol=0)


def test_weights_of_before_are_read_as_they_are() -> None:
    state = {"weight": torch.randn(4, 3).half(), "bias": torch.randn(4).half(), "batches": torch.tensor(7)}
    read = from_eight_bits(state)
    assert torch.equal(read["weight"], state["weight"].float())
    assert torch.equal(read["bias"], state["bias"].float())
    assert read["batches"].dtype == torch.int64


def test_scales_must_be_there_and_fit() -> None:
    kept = to_eight_bits({"weight": torch.randn(4, 3)})
    with pytest.raises(ValueError, match=r"weight is in 8 bits and weight\.scale is missing"):
        from_eight_bits({"weight": kept["weight"]})
    with pytest.raises(RuntimeError):
        from_eight_bits({"weight": kept["weight"], "weight" + SCALE: torch.ones(3)})


def test_a_classifier_takes_a_byte_a_weight_and_says_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = make_resnet18(6).eval()
    save_classifier(network, tmp_path)
    files = sorted((tmp_path / "sedid" / "classifier").glob("*.safetensors"))
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert sum(file.stat().st_size for file in files) < 1.02 * weights
    assert all(file.stat().st_size < 9e6 for file in files)
    assert {tensor.dtype for file in files for tensor in load_file(file).values()} >= {torch.int8, torch.float16}
    read = load_classifier(tmp_path, "pair")
    x = torch.randn(8, 6, 32, 32)
    with torch.inference_mode():
        said, before = read(x), network(x)
    assert (said - before).abs().max() < 0.02 * before.abs().max()


def test_a_training_that_an_earlier_version_began_goes_on_with_the_weights_alone(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters())
    best = {name: value.clone() for name, value in network.state_dict().items()}
    save_state(tmp_path / "state", "key", network, optimizer, best | {"logits of validation": torch.zeros(4)}, {})
    found = load_state(tmp_path / "state", "key", network, optimizer)
    assert found is not None
    network.load_state_dict(found[0])
    assert found[0].keys() == best.keys()


def test_what_a_training_says_of_its_network_is_said_of_the_kept_weights(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    real, generated = (random.normal(mean, 1, (24, 6, 8, 8)).astype(np.float16) for mean in (0, 0.3))
    recipe, runtime = Recipe(epochs=2, batch_size=8), Runtime(torch.device("cpu"))
    trained = finish(train_resnet(real, generated, recipe, runtime, "training"))
    save_classifier(trained.network, tmp_path)
    _, (x, y) = halves(real, generated, recipe, 1)
    probabilities = torch.sigmoid(logits_of(load_classifier(tmp_path, "pair"), x, runtime) / trained.temperature)
    np.testing.assert_allclose(probabilities[y == 0], trained.real, rtol=1e-4)
    np.testing.assert_allclose(probabilities[y == 1], trained.generated, rtol=1e-4)

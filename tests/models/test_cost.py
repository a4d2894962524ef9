"""What a picture costs: operations counted on shapes, and the table of the documents."""

from itertools import islice

import pytest
import torch
from diffusers import SD3Transformer2DModel

from sedid.models.cost import SD3, Cost, costs, operations, table
from sedid.models.networks import parameter_count
from sedid.paths import ROOT


def test_a_multiplication_and_an_addition_are_two_operations() -> None:
    with torch.device("meta"):
        layer = torch.nn.Conv2d(8, 16, 3, padding=1)
    counted = operations(lambda: layer(torch.zeros(2, 8, 10, 10, device="meta")))
    assert counted == 2 * (2 * 10 * 10) * 16 * (8 * 3 * 3)
    assert Cost("one", 1, evaluation=10, encoding=7).picture(165, 990) == 7 * 10 + 7


def test_stable_diffusion_3_is_the_one_that_is_published() -> None:
    with torch.device("meta"):
        assert parameter_count(SD3Transformer2DModel(**SD3)) == 2_028_328_000


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documents are not part of a wheel")
def test_the_table_of_the_documents_is_what_the_command_prints() -> None:
    found = list(islice(costs(), 3))  # the larger models take longer
    assert found[2].parameters == 859_520_964  # as Stable Diffusion 1.5 is published
    page = (ROOT / "docs" / "add-detector.md").read_text(encoding="utf-8")
    assert table(found) in page

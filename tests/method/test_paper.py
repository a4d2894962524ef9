"""The figures of the paper: its own averages, and which column is meant."""

import numpy as np

from sedid.method import paper


def test_the_papers_averages_are_those_it_prints() -> None:
    printed = {"existing": (0.6865, 0.6826), "stat": (0.9374, 0.9024), "nn": (0.9634, 0.9399)}
    for method, means in printed.items():
        np.testing.assert_allclose(np.mean(paper.TABLE_2[method], axis=0), means, atol=6e-5)


def test_the_closest_data_set_is_read_off_the_names() -> None:
    assert paper.closest("my-celeba-run") == "CelebA"
    assert paper.closest("x", "tiny-imagenet:test") == "Tiny-ImageNet"
    assert paper.closest("x") == "CIFAR-10"


def test_a_pair_of_the_paper_has_its_figures_and_no_other_has_any() -> None:
    assert paper.table_1("CelebA", 165, 330) == (0.4213, 0.5103)
    assert paper.table_1("CIFAR-10", 165, 990) == (0.8875, 0.8244)
    assert paper.table_1("CelebA", 110, 330) is None
    assert paper.table_1("CelebA", 165, 331) is None

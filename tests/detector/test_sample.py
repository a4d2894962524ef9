"""What a page opens with is found by a rule: the first example that STAT is right about."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, shared_detector, tiny_bundle
from PIL import Image

from sedid import load_detector
from sedid.detector.batches import judge_in_batches
from sedid.detector.detector import GENERATED, REAL
from sedid.detector.sample import first_right
from sedid.ui.context import Context
from sedid.ui.examples import list_examples


def test_the_first_of_either_class_that_stat_is_right_about(tmp_path: Path) -> None:
    shared, images = shared_detector(), pictures(8)
    assert shared.chosen
    scores = [one.t_error for one in judge_in_batches(shared, images, *shared.chosen)]
    low, high = sorted(scores)[2:5:2]  # two images are below the band, one or more lie in it, three above
    anything = tuple(np.linspace(0, 1e9, 201))
    stat = {pair: replace(one, band=(low, high), real=anything) for pair, one in shared.stat.items()}
    detector = replace(shared, stat=stat, nn=None, ranges={}, info={})
    calls = [str(one.stat.call) for one in judge_in_batches(detector, images, *detector.chosen) if one.stat]
    right = {label: calls.index(label) for label in (REAL, GENERATED)}
    wrong = next(place for place, call in enumerate(calls) if call not in (REAL, GENERATED))
    for label, place in right.items():
        Image.fromarray(images[wrong]).save(tmp_path / f"{label}-1.png")
        Image.fromarray(images[place]).save(tmp_path / f"{label}-2.png")
        Image.fromarray(images[place]).save(tmp_path / f"{label}-3.png")
    assert first_right(detector, tmp_path) == {REAL: "real-2", GENERATED: "generated-2"}
    for file in tmp_path.glob("real-[23].png"):
        file.unlink()
    assert first_right(detector, tmp_path) == {GENERATED: "generated-2"}
    examples = list_examples(tmp_path)
    context = Context(lambda: detector, examples)
    for said, expected in (
        ({GENERATED: "generated-2"}, ["real-1", "generated-2"]),
        ({}, ["real-1", "generated-1"]),
        ({GENERATED: ["generated-2"]}, ["real-1", "generated-1"]),
        ("generated-2", ["real-1", "generated-1"]),
    ):
        detector.info["opens_with"] = said
        try:
            assert [one.name for one in context.opens_with(detector).values()] == expected
        finally:
            del detector.info["opens_with"]


def test_a_detector_that_says_nothing_has_no_such_example(tmp_path: Path) -> None:
    bare = load_detector(tiny_bundle(tmp_path / "bare", calibrated=False), "cpu")
    with pytest.raises(ValueError, match="is not calibrated"):
        first_right(bare, tmp_path)

"""No photograph that may not be passed on is in what is passed on."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle
from helpers.results import write_evaluation
from PIL import Image
from typer.testing import CliRunner

from sedid.cli import app
from sedid.data.datasets import load_images
from sedid.data.licences import PHOTOGRAPHS, closed
from sedid.detector.bundle import SHIPPED, frame
from sedid.detector.sample import EXAMPLES, write_examples, write_sample
from sedid.paths import ASSETS
from sedid.progress import Progress, finish
from sedid.recipes import ship as shipping
from sedid.report import evaluation as evaluation_report
from sedid.storage import read_json, write_json
from sedid.studies.evaluate import EvaluateConfig, evaluate, scores_file
from sedid.studies.results import Evaluation, load_evaluation
from sedid.ui.examples import bundle_examples
from sedid.ui.gallery import pair
from sedid.ui.inspect import view as inspect_view

BUNDLES = sorted(file.parents[1] for file in SHIPPED.parent.glob("*/sedid/results.json"))
PICTURES = {"mistakes_generated", "example_plain", "example_framed"}
"""Arrays of a bundle that hold generated pictures."""


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("celeba:test[0:10]",), "CelebA"),
        (("data/celeba-32.npz",), "CelebA"),
        (("work/test.npz", "CelebA, 15,000 faces at 32 px"), "CelebA"),
        (("tiny-imagenet:val",), "ImageNet"),
        (("cifar10:test", "sample:real", "photos/"), ""),
        ((), ""),
    ],
)
def test_data_sets_that_may_not_be_passed_on_are_known_by_name(names: tuple[str, ...], found: str) -> None:
    assert closed(*names) == found


# --- what the project ships ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_no_shipped_file_holds_a_photograph_of_a_closed_data_set(bundle: Path) -> None:
    if not closed(bundle.name):
        assert bundle.name in ("cifar10", "cifar10-latent")
        return
    for file in bundle.glob("sedid/*.npz"):
        with np.load(file) as stored:
            held = {name for name in stored.files if stored[name].dtype == np.uint8 and stored[name].ndim > 2}
        assert held <= PICTURES, file.name
    with np.load(bundle / "sedid" / "results-scores.npz") as stored:
        assert {"mistaken_heldout", "mistaken_members"} <= set(stored.files)  # which they are stays known
    names = {file.name for file in bundle.rglob("*") if file.suffix in (".png", ".jpg", ".jpeg", ".webp")}
    numbers = range(1, EXAMPLES + 1)
    assert names == {f"{kind}-{n}.png" for kind in ("generated", "photograph") for n in numbers} | {"samples.png"}
    shown = [np.asarray(Image.open(bundle / "sedid" / "examples" / f"photograph-{n}.png")) for n in numbers]
    np.testing.assert_array_equal(shown, load_images(PHOTOGRAPHS, *frame(bundle)))


def test_every_photograph_is_credited_and_free() -> None:
    lines = (ASSETS / "CREDITS.md").read_text(encoding="utf-8").splitlines()
    files = sorted(PHOTOGRAPHS.iterdir())
    assert len(files) == EXAMPLES
    for file in files:
        [line] = [line for line in lines if f"`{file.name}`" in line]
        assert "public domain" in line or "CC0" in line
        with Image.open(file) as image:
            assert image.info == {}  # a profile or a camera's notes would be somebody's too
            assert min(image.size) >= 128


# --- what later runs write -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "kept"),
    [("holiday", {}, True), ("holiday", {"photographs": False}, False), ("celeba-faces", {}, False)],
)
def test_an_evaluation_keeps_mistaken_photographs_that_may_be_passed_on(
    name: str, settings: dict[str, bool], kept: bool, tmp_path: Path
) -> None:
    files = {"generated": tmp_path / "made.npz", "heldout": tmp_path / f"{name}.npz", "members": tmp_path / "seen.npz"}
    for seed, file in enumerate(files.values()):
        np.savez(file, images=pictures(3, seed))
    sets: dict[str, Any] = {kind: str(file) for kind, file in files.items()}
    out = tmp_path / "results.json"
    finish(evaluate(EvaluateConfig(detector=str(shared_bundle()), **sets, **settings, out=str(out), device="cpu")))
    with np.load(scores_file(out)) as stored:
        held = {array for array in stored.files if array.startswith("mistakes_")}
        assert {f"mistaken_{kind}" for kind in files} <= set(stored.files)
    assert held == {f"mistakes_{kind}" for kind in files if kept or kind == "generated"}


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`shipped(settings)`: what ship would have evaluated, and shown as reals."""
    config = shipping.ShipConfig(str(tmp_path / "bundle"), str(tmp_path / "out"), "photos", "others", name="Flowers")
    seen: dict[str, Any] = {}

    def measure(config: EvaluateConfig) -> Iterator[Progress]:
        seen["evaluate"] = config.photographs
        return iter(())

    def quick(function: Any, *arguments: Any) -> Iterator[Progress]:
        if function is write_examples:
            seen["real"] = arguments[0]
        return iter(())

    monkeypatch.setattr(shipping, "evaluate", measure)
    monkeypatch.setattr(shipping, "quick", quick)

    def run(**settings: Any) -> dict[str, Any]:
        list(shipping.stages(replace(config, **settings)))
        return seen

    return run


def test_ship_passes_photographs_on_only_where_it_may(shipped: Any, tmp_path: Path) -> None:
    test = str(tmp_path / "out" / "splits" / "test.npz")
    assert shipped() == {"evaluate": True, "real": test}
    assert shipped(photographs=False) == {"evaluate": False, "real": ""}
    assert shipped(name="CelebA, 15,000 faces") == {"evaluate": False, "real": ""}
    assert shipped(heldout="tiny-imagenet:val") == {"evaluate": False, "real": ""}


def test_no_sample_is_made_of_a_closed_data_set(tmp_path: Path) -> None:
    config = shipping.ShipConfig(str(tmp_path / "b"), str(tmp_path / "out"), "celeba", "celeba:valid", sample=10)
    with pytest.raises(ValueError, match=r"sample must be 0: .* photographs of CelebA may not be"):
        next(shipping.ship(config))
    with pytest.raises(ValueError, match="is of ImageNet, whose photographs may not be passed on"):
        write_sample("tiny-imagenet:val", "sample:generated", SHIPPED, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_free_photographs_stand_in_for_examples(tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", images=pictures(8))
    folder = tmp_path / "bundle" / "sedid" / "examples"
    write_examples(str(tmp_path / "made.npz"), str(tmp_path / "made.npz"), shared_bundle(), folder)
    assert {file.name for file in folder.iterdir()} >= {"real-1.png", "generated-6.png"}
    write_examples("", str(tmp_path / "made.npz"), shared_bundle(), folder)
    examples = bundle_examples(tmp_path / "bundle")
    assert [example.name for example in examples[:2]] == ["bundle-photograph-1", "bundle-photograph-2"]
    assert [example.origin for example in examples] == ["real"] * EXAMPLES + ["generated"] * EXAMPLES
    strip = inspect_view.example_strip(examples)
    assert "<h2>Photographs, not from the test set</h2>" in strip
    assert "Real photographs" not in strip
    assert strip.count("photograph, not from the test set") == EXAMPLES
    beside = pair.strip(examples, [np.zeros((32, 32, 3), np.uint8)] * len(examples), "a", None)
    assert beside.count('title="photograph, not from the test set"') == EXAMPLES


# --- what is read ----------------------------------------------------------------------------------------------


def withheld(folder: Path, trained_on: str) -> Evaluation:
    """An evaluation whose mistaken photographs were not kept."""
    file, _ = write_evaluation(folder)
    results = read_json(file)
    results["protocol"]["trained_on"] = trained_on
    write_json(file, results)
    with np.load(scores_file(file)) as stored:
        kept = {name: stored[name] for name in stored.files if name not in ("mistakes_heldout", "mistakes_members")}
    np.savez(scores_file(file), **kept)
    return load_evaluation(file)


@pytest.mark.parametrize(
    ("trained_on", "why"),
    [
        ("CelebA, faces", "the licence of CelebA lets nobody pass"),
        ("Flowers", "not kept, so that they are not passed on"),
    ],
)
def test_the_page_says_why_mistaken_photographs_are_not_shown(trained_on: str, why: str, tmp_path: Path) -> None:
    file, _ = write_evaluation(tmp_path / "whole")
    whole = load_evaluation(file).mistakes("heldout")
    evaluation = withheld(tmp_path, trained_on)
    found = evaluation.mistakes("heldout")
    assert whole
    assert found
    assert [one.place for one in found] == [one.place for one in whole]
    assert all(one.pixels is None for one in found)
    page = evaluation_report.mistakes(evaluation, "heldout", clickable=True)
    assert why in page
    assert f"{found[0].place} ({found[0].t_error:.4g})" in page
    assert page.count("<img") == len(evaluation.mistakes("generated") or [])
    assert "evaluate again" not in page


def test_an_upgrade_takes_closed_photographs_out(tmp_path: Path) -> None:
    bundle = tmp_path / "celeba"
    shutil.copytree(shared_bundle(), bundle)
    write_evaluation(bundle / "sedid")
    np.savez(tmp_path / "made.npz", images=pictures(8))
    made = str(tmp_path / "made.npz")
    write_examples(made, made, shared_bundle(), bundle / "sedid" / "examples")
    scores = bundle / "sedid" / "results-scores.npz"
    with np.load(scores) as stored:
        before = {name: stored[name] for name in stored.files}
    for _ in range(2):  # the second time nothing is left to do
        done = CliRunner().invoke(app, ["upgrade", str(bundle)])
        assert done.exit_code == 0, done.stderr
        with np.load(scores) as stored:
            assert before.keys() - set(stored.files) == {"mistakes_heldout", "mistakes_members"}
            for name in stored.files:
                np.testing.assert_array_equal(stored[name], before[name])
        names = {file.name.partition("-")[0] for file in (bundle / "sedid" / "examples").iterdir()}
        assert names == {"generated", "photograph"}

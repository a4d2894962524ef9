"""Published images are kept with a bundle, and `verify` finds every figure, score and parity value again, or says what differs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundles import pictures, tiny_bundle
from typer.testing import CliRunner

from sedid.cli import app
from sedid.data.datasets import load_images
from sedid.detector.bundle import SHIPPED
from sedid.detector.published import write_images
from sedid.progress import finish
from sedid.recipes.verify import verify
from sedid.storage import read_arrays
from sedid.studies.evaluate import EvaluateConfig, evaluate
from sedid.studies.parity import parity

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluated bundle with its test images and parity file; heldout.npz lies beside it."""
    folder = tmp_path_factory.mktemp("published")
    bundle = tiny_bundle(folder / "tiny")
    write_images(pictures(6, 4), bundle / "images" / "ddpm-9" / "test.zip")
    write_images(pictures(4, 5), bundle / "images" / "ddpm-9" / "calibration.zip")
    np.savez(folder / "heldout.npz", images=pictures(6, 3))
    test = str(bundle / "images" / "ddpm-9" / "test.zip")
    finish(
        evaluate(
            EvaluateConfig(detector=str(bundle), generated=test, heldout=str(folder / "heldout.npz"), device="cpu")
        )
    )
    finish(parity(bundle, test))
    return bundle


def said(bundle: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", str(bundle), "--device", "cpu", *options])
    return done.exit_code, done.output


def test_images_are_kept_to_the_bit(made: Path) -> None:
    np.testing.assert_array_equal(load_images(made / "images" / "ddpm-9" / "test.zip", 32, 0.8), pictures(6, 4))


def test_what_was_published_is_found_again(made: Path) -> None:
    code, words = said(made, "--data", str(made.parent / "heldout.npz"))
    assert code == 0, words
    assert "agrees       parity, 50 images in float64" in words
    assert "agrees       scores of 6 generated images" in words
    assert "agrees       scores of 6 heldout images" in words
    assert "agrees       figures of results.json from scores made anew" in words
    assert re.search(r"tiny on .* processors; python .* torch .*; network on cpu, fp32\n", words)


def test_without_the_reals_the_rest_is_verified_and_it_is_said(made: Path) -> None:
    code, words = said(made / "sedid" / "results.json", "--count", "2")
    assert code == 0, words
    assert "agrees       parity, 2 images in float64" in words
    assert "agrees       scores of 2 generated images" in words
    assert "not checked  scores of 6 heldout images: the images are not kept" in words


def changed_arrays(file: Path, name: str, factor: float) -> None:
    arrays: dict[str, Any] = read_arrays(file)
    arrays[name] = arrays[name] * factor
    np.savez_compressed(file, **arrays)


def changed_figure(file: Path) -> None:
    results = json.loads(file.read_text())
    results["stat"]["heldout"][0]["auc"] = 0.999
    file.write_text(json.dumps(results))


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda at: changed_arrays(at / "sedid" / "parity.npz", "t_errors", 1 + 3e-6), "parity, 50 images"),
        (
            lambda at: changed_arrays(at / "sedid" / "results-scores.npz", "stat_generated", np.float32(1.01)),
            "scores of 6 generated",
        ),
        (lambda at: changed_figure(at / "sedid" / "results.json"), "figures of results.json against"),
    ],
)
def test_what_differs_is_named(made: Path, tmp_path: Path, change: Any, differs: str) -> None:
    bundle = shutil.copytree(made, tmp_path / "tiny")
    change(bundle)
    code, words = said(bundle)
    assert code == 1, words
    assert f"DIFFERS      {differs}" in words
    assert "NOT verified" in words


def test_a_bundle_without_images_says_how_to_get_them(made: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(made, tmp_path / "tiny")
    shutil.rmtree(bundle / "images")
    code, words = said(bundle)
    assert code == 1, words
    assert (
        "nothing was scored anew: the images are not kept with this detector; `python -m sedid ship` writes them"
        in words
    )


def test_results_of_another_checkpoint_are_refused(made: Path, tmp_path: Path) -> None:
    other = tiny_bundle(tmp_path / "other", seed=1)
    done = CliRunner().invoke(app, ["verify", str(made / "sedid" / "results.json"), "--detector", str(other)])
    assert done.exit_code == 1
    assert "does not hold" in done.stderr


def test_a_slice_of_the_shipped_detector() -> None:
    """The published scores of the embedded sample, and of the test images where the bundle keeps them."""
    found = finish(verify(SHIPPED, count=4, device="cpu"))
    assert found.passed, found.lines()

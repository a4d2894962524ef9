"""What the project ships: the detector bundles, the embedded sample, and the figures the README quotes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sedid import load_detector
from sedid.config import load_config
from sedid.data.datasets import fingerprint, load_images
from sedid.data.licences import closed
from sedid.data.splits import overlap, read_splits, splits_file
from sedid.detector.bundle import SHIPPED, checkpoint_hash
from sedid.detector.detector import Detector
from sedid.detector.provenance import in_full, provenance
from sedid.detector.sample import ASSETS, first_right
from sedid.models.eight_bits import SCALE
from sedid.paths import ROOT
from sedid.recipes.ship import ShipConfig
from sedid.report.card import fill, measured
from sedid.report.markdown import STUDIES, studies
from sedid.storage import read_json
from sedid.studies.choose import ChoiceResults
from sedid.studies.evaluate import EvaluationResults
from sedid.studies.sign import SignResults
from sedid.ui.examples import bundle_examples, list_examples

BUNDLES = sorted(file.parents[1] for file in SHIPPED.parent.glob("*/sedid/results.json"))

every_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector(device="cpu")


def test_the_app_opens_with_the_detector_that_shows_the_method_best() -> None:
    """The rule of docs/architecture: the highest test AUC of STAT's own pair, a smaller t-error meaning generated.

    Of those only whose real test images may be shown.
    """
    found = {}
    for bundle in BUNDLES:
        if closed(read_json(bundle / "sedid" / "detector.json")["training"]["data"]):
            continue
        [own] = [row for row in EvaluationResults.read(bundle / "sedid" / "results.json").stat["heldout"] if row.chosen]
        if own.polarity == "smaller":
            found[bundle] = own.auc
    assert max(found, key=lambda bundle: found[bundle]) == SHIPPED


@every_bundle
def test_a_page_opens_with_the_first_example_of_either_class_that_stat_is_right_about(bundle: Path) -> None:
    own = bundle / "sedid" / "examples"
    found = first_right(load_detector(bundle, device="cpu"), own if own.is_dir() else ASSETS / "examples")
    assert found == read_json(bundle / "sedid" / "detector.json")["opens_with"]
    assert found.keys() == {"real", "generated"}


def test_no_shipped_file_over_9_mb() -> None:
    large = {file.name: file.stat().st_size for file in SHIPPED.parent.rglob("*") if file.is_file()}
    assert max(large.values()) < 9 * 1024 * 1024


def test_weights_are_half_precision_and_the_classifiers_8_bits() -> None:
    from safetensors import safe_open

    for file in SHIPPED.parent.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            dtypes = {stored.get_slice(name).get_dtype(): name for name in stored.keys()}  # noqa: SIM118
        if "I8" in dtypes:  # trained since classifiers are kept so
            assert file.parent.name == "classifier"
            assert dtypes.pop("F32", SCALE).endswith(SCALE)
        assert dtypes.keys() <= {"F16", "I64", "I8"}, file


def test_every_shipped_detector_has_its_recipe() -> None:
    assert [bundle.name for bundle in BUNDLES] == ["celeba", "cifar10", "cifar10-latent", "tiny-imagenet"]
    for bundle in BUNDLES:
        assert (
            load_config(ShipConfig, file=bundle.with_suffix(".toml"), settings=["out=x"]).detector
            == f"checkpoints/{bundle.name}"
        )


@every_bundle
def test_results_belong_to_the_shipped_checkpoint(bundle: Path) -> None:
    results = read_json(bundle / "sedid" / "results.json")
    assert results["protocol"]["checkpoint_sha256"] == checkpoint_hash(bundle)
    assert results["protocol"]["generated_by"]["cross_checkpoint"] is False
    counts = {kind: images["count"] for kind, images in results["protocol"]["images"].items()}
    recipe = load_config(ShipConfig, file=bundle.with_suffix(".toml"), settings=["out=x"])
    assert (counts["generated"], counts["heldout"]) == (recipe.test, recipe.test_real or recipe.test)


@every_bundle
def test_every_study_is_of_this_checkpoint(bundle: Path) -> None:
    for name in ("compare", "generalise", "sweep", "choice", "robustness", "polarity", "quality"):
        assert checkpoint_hash(bundle) in (bundle / "sedid" / f"{name}.json").read_text(encoding="utf-8"), name
    assert len(read_json(bundle / "sedid" / "quality.json")["rows"]) >= 3  # two samplers, and reals


@every_bundle
def test_the_card_says_what_the_results_files_say(bundle: Path) -> None:
    text = (bundle / "README.md").read_text(encoding="utf-8")
    assert len(studies(bundle)) == len(STUDIES)
    for part in (measured(bundle), *studies(bundle).values()):
        assert part in text


@every_bundle
def test_the_documents_are_as_the_command_fills_them(bundle: Path, tmp_path: Path) -> None:
    filled = []
    for name in ("README.md", "docs/results.md", "docs/training.md", "docs/defence.md"):
        copy = tmp_path / Path(name).name
        copy.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
        filled += fill(copy, bundle)
        assert copy.read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8")
    blocks = {f"{bundle.name}/results", f"{bundle.name}/generalise", f"{bundle.name}/training"}
    assert {*blocks, "all/summary", "all/speed", "all/trials"} <= set(filled)


@every_bundle
def test_every_detector_opens_and_judges_an_example_of_its_own(bundle: Path) -> None:
    opened = load_detector(bundle, device="cpu")
    example = (bundle_examples(bundle) or list_examples())[0]
    found = opened.inspect(str(example.path)).judgement
    assert found.stat is not None
    assert found.nn is not None
    assert (found.k, found.t_sec) == opened.chosen


def test_sample_matches_its_manifest() -> None:
    manifest = read_json(ASSETS / "sample.json")
    assert manifest["checkpoint_sha256"] == checkpoint_hash(SHIPPED)
    for name in ("real", "generated"):
        images = load_images(f"sample:{name}", 32, None)
        assert images.shape == (manifest[name]["count"], 32, 32, 3)
        assert fingerprint(images) == manifest[name]["sha256"]


def test_the_embedded_images_carry_their_provenance() -> None:
    found = provenance("sample:generated[0:10]", SHIPPED)
    assert found == in_full(read_json(ASSETS / "sample.json")["sampler"], SHIPPED)
    assert (found["checkpoint_sha256"], found["cross_checkpoint"]) == (checkpoint_hash(SHIPPED), False)


def test_examples_are_the_first_of_the_sample() -> None:
    for name in ("real", "generated"):
        images = load_images(f"sample:{name}", 32, None)
        for number in range(1, 7):
            pixels = np.asarray(Image.open(ASSETS / "examples" / f"{name}-{number}.png"))
            np.testing.assert_array_equal(pixels, images[number - 1])


def test_shipped_detector_judges_an_example(detector: Detector) -> None:
    found = detector.inspect(str(ASSETS / "examples" / "generated-1.png"))
    assert found.judgement.stat is not None
    assert (found.judgement.k, found.judgement.t_sec) == detector.chosen
    assert found.judgement.t_error > 0


def test_classifier_answers_at_its_pair(detector: Detector) -> None:
    assert detector.nn is not None
    found = detector.inspect(load_images("sample:real", 32, None)[0], k=detector.nn.k, t_sec=detector.nn.t_sec)
    assert found.judgement.nn is not None
    assert 0 < found.judgement.nn.score < 1


def test_a_flat_image_is_out_of_range(detector: Detector) -> None:
    found = detector.inspect(np.full((32, 32, 3), 128, np.uint8)).judgement
    assert found.stat is not None
    assert not found.stat.in_range


def test_diffusers_opens_the_bundle() -> None:
    from diffusers import DDPMPipeline

    pipeline = DDPMPipeline.from_pretrained(SHIPPED, local_files_only=True)
    assert pipeline.unet.config.sample_size == 32


def test_diffusers_draws_from_the_latent_bundle_what_a_prompt_asks_for() -> None:
    from diffusers import StableDiffusionPipeline

    bundle = SHIPPED.parent / "cifar10-latent"
    pipeline = StableDiffusionPipeline.from_pretrained(bundle, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    drawn = {}
    for prompt in ("ship", "frog"):
        generator = torch.Generator().manual_seed(0)
        made = pipeline(prompt, num_inference_steps=2, height=32, width=32, generator=generator, output_type="np")
        drawn[prompt] = made.images[0]
    assert drawn["ship"].shape == (32, 32, 3)
    assert np.abs(drawn["ship"] - drawn["frog"]).max() > 0.01  # the text is heard
    assert sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()) < 30e6


@every_bundle
def test_a_shipped_detector_knows_the_photographs_it_has_seen(bundle: Path) -> None:
    """Of a set of generated images that older versions recorded, its fingerprint alone is known."""
    info = read_json(bundle / "sedid" / "detector.json")
    seen = read_splits(splits_file(bundle), info)
    assert seen.keys() >= {"training", "validation", "calibration_real", "classifier_real"}
    assert len(seen["calibration_real"]) == info["stat"]["data"]["real"]["count"]
    assert len(seen["classifier_real"]) == info["nn"]["data"]["real"]["count"]
    for name, prints in seen.items():
        for other in seen.keys() - {name}:
            assert overlap(prints, seen[other]).same == 0


def one_size(name: str) -> dict[str, list[float]]:
    """AUC at the last T_SEC of pairs with first noise estimates of one size: the paper's sampler, and two others."""
    found: dict[str, list[float]] = {"paper's": [], "others": []}
    for row in SignResults.read(ROOT / "checkpoints" / name / "sedid" / "sign.json").rows:
        kind = {"ddpm, 1000": "paper's", "ddim, 50 s": "others", "dpm-solver": "others"}.get(row.set[:10])
        if kind:
            assert row.at[-1].same_size is not None
            found[kind].append(row.at[-1].same_size.value)
    return found


def test_with_the_papers_sampler_the_first_estimate_tells_as_much_as_a_walk() -> None:
    for name in ("cifar10", "celeba", "tiny-imagenet"):
        row = SignResults.read(ROOT / "checkpoints" / name / "sedid" / "sign.json").rows[0]
        assert row.set.startswith("ddpm, 1000 steps")
        assert row.size_auc is not None
        assert 1 - row.size_auc.value >= max(row.at[-1].auc.value, row.ends[0].value)


def test_what_is_left_at_the_longer_step_is_what_the_method_card_says() -> None:
    """At (330, 990), among pairs of one size: of all samplers on one network, of the paper's on another, of none on the third."""
    shown: dict[str, list[str]] = {}
    for name in ("cifar10", "celeba", "tiny-imagenet"):
        found = SignResults.read(ROOT / "checkpoints" / name / "sedid" / "sign.json")
        place = found.others.index(330)
        of_pairs = {row.set[:10]: row.ends_same_size[place] for row in found.rows}
        shown[name] = [one for one, auc in of_pairs.items() if auc is not None and auc.low > 0.5]
    assert shown["cifar10"] == []
    assert shown["celeba"] == ["ddpm, 1000"]
    assert len(shown["tiny-imagenet"]) == 4


def test_with_four_evaluations_nothing_is_lost_against_the_papers_seven() -> None:
    for name in ("cifar10", "celeba", "tiny-imagenet"):
        found = ChoiceResults.read(ROOT / "checkpoints" / name / "sedid" / "choice.json").paths
        assert found is not None
        assert found.paper is not None
        assert found.paper.evaluations == 7
        (four,) = (row for row in found.frontier if row.evaluations == 4)
        assert four.auc >= found.paper.auc


def test_the_method_card_has_the_figures_of_the_study_of_the_sign() -> None:
    found = SignResults.read(ROOT / "checkpoints" / "cifar10" / "sedid" / "sign.json")
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    assert studies(ROOT / "checkpoints" / "cifar10")["sign"] in page
    same = {name: one_size(name) for name in ("cifar10", "celeba", "tiny-imagenet")}
    of_paper, of_others = ([size for one in same.values() for size in one[kind]] for kind in ("paper's", "others"))
    assert f"it is {min(of_paper):.2f} to {max(of_paper):.2f} with the paper's sampler" in page
    assert f"and {min(of_others):.2f} to {max(of_others):.2f} with DDIM and DPM-Solver++" in page
    last = {one.key: one.ratios[-1].value for one in found.doses}
    assert f"multiplies the t-error by {last['noise:1']:.2f} at T_SEC 990" in page
    assert f"multiplies it by {last['blur:0.6']:.2f} at 990" in page
    assert found.protocol.checkpoint_sha256 == checkpoint_hash(ROOT / "checkpoints" / "cifar10")

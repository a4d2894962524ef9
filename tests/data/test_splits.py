"""Pictures in two sets that must be disjoint are found one by one: in part, shifted, in another order, saved again."""

import json
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import pictures, tiny_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sedid.data.datasets import fingerprint, load_images
from sedid.data.splits import overlap, prints_of, read_splits, record_splits, splits_file
from sedid.detector.bundle import update_info
from sedid.progress import finish
from sedid.storage import read_json
from sedid.studies.evaluate import EvaluateConfig, evaluate
from sedid.training.calibrate import CalibrateConfig, calibrate
from sedid.training.checks import SplitCheck, check_calibration, check_unused


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """500 test photographs of CIFAR-10, uint8 (500, 32, 32, 3)."""
    return load_images("sample:real", 32, None)


def saved_again(images: np.ndarray, format: str = "JPEG", quality: int = 75, side: int = 32) -> np.ndarray:
    """Pictures that went through a file, enlarged to `side` pixels where that is another size, and back."""
    found = []
    for image in images:
        file = BytesIO()
        Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC).save(file, format, quality=quality)
        again = Image.open(file).convert("RGB")
        found.append(np.asarray(again.resize(image.shape[:2], Image.Resampling.BILINEAR)))
    return np.stack(found)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_part_in_any_order_is_found(data: st.DataObject) -> None:
    known = pictures(40, 1)
    rows = data.draw(st.lists(st.integers(0, 39), max_size=20, unique=True))
    images = np.concatenate([known[rows], pictures(20, 2)])
    order = np.array(data.draw(st.permutations(range(len(images)))))
    found = overlap(prints_of(images[order]), prints_of(known))
    assert (found.count, found.same, found.near) == (len(images), len(rows), 0)
    assert found.places == tuple(np.flatnonzero(order < len(rows)).tolist())


@pytest.mark.parametrize(
    ("format", "quality", "side", "least"),
    [
        ("JPEG", 90, 32, 1.0),
        ("JPEG", 75, 32, 1.0),
        ("JPEG", 50, 32, 0.99),
        ("WEBP", 80, 32, 0.99),
        ("JPEG", 75, 64, 0.99),
        ("PNG", 0, 100, 0.99),
    ],
)
def test_a_picture_that_was_saved_again_is_a_near_copy(
    photographs: np.ndarray, format: str, quality: int, side: int, least: float
) -> None:
    found = overlap(prints_of(saved_again(photographs, format, quality, side)), prints_of(photographs))
    assert found.same <= 1
    assert (found.same + found.near) / found.count >= least


def test_other_photographs_are_no_copies(photographs: np.ndarray) -> None:
    generated = load_images("sample:generated", 32, None)
    whole = np.concatenate([photographs, generated])
    for place in range(0, len(whole), 100):
        rest = np.delete(whole, slice(place, place + 100), axis=0)
        found = overlap(prints_of(whole[place : place + 100]), prints_of(rest))
        assert (found.same, found.near) == (0, 0)


def test_plain_areas_are_copies_where_their_colour_is_one() -> None:
    plain = np.array([0, 3, 100, 200], np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    assert overlap(prints_of(plain[:1]), prints_of(plain[1:])).near == 1
    assert overlap(prints_of(plain[2:3]), prints_of(plain[[0, 1, 3]])).near == 0


@pytest.mark.parametrize("side", [8, 32, 64, 100])
def test_prints_are_of_any_size(side: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    assert overlap(prints_of(images), prints_of(images[::-1])).same == 6
    assert len(prints_of(images[:0])) == 0


def used(tmp_path: Path, **sets: np.ndarray) -> tuple[Path, dict]:
    """A bundle that was calibrated on the sets of these names."""
    stated: dict = {"stat": {"data": {}}, "nn": {"data": {}}}
    for name, images in sets.items():
        part, _, kind = name.partition("_")
        if kind:
            stated["nn" if part == "classifier" else "stat"]["data"][kind] = {"sha256": fingerprint(images)}
    record_splits(splits_file(tmp_path), sets)
    return tmp_path, stated


@pytest.mark.parametrize("name", ["calibration_real", "calibration_generated", "classifier_real"])
def test_test_images_that_chose_something_are_refused_by_picture(tmp_path: Path, name: str) -> None:
    known = pictures(60)
    folder, info = used(tmp_path, **{name: known})
    called = "the detector's " + name.replace("_", r" \(") + r"\)"
    for images, count in ((known[1:], 59), (known[::-1], 60), (np.concatenate([known[:9], pictures(90, 1)]), 9)):
        with pytest.raises(ValueError, match=rf"{count} of {len(images)} heldout images are also {called} images \(at"):
            check_unused(folder, info, {"heldout": images})
    with pytest.raises(ValueError, match="2 of 20 members images"):
        check_unused(folder, info, {"members": np.concatenate([pictures(18, 3), known[:2]])})


def test_chance_duplicates_and_near_copies_are_named(tmp_path: Path, photographs: np.ndarray) -> None:
    folder, info = used(tmp_path, calibration_real=photographs[:50])
    test = photographs[50:200].copy()
    test[7] = photographs[4]
    test[100:102] = saved_again(photographs[10:12])
    found = check_unused(folder, info, {"heldout": test})
    (one,) = found.overlaps
    assert (one.same, one.near, one.places) == (1, 2, (7, 100, 101))
    assert "1 of 150 heldout images are also the detector's calibration (real) images" in found.warning
    assert "2 of 150 heldout images are near copies" in found.warning
    assert "(at 7, 100, 101)" in found.warning


def test_training_images_are_no_held_out_reals_and_members_are(tmp_path: Path) -> None:
    known, others = pictures(50), pictures(50, 1)
    folder, info = used(tmp_path, training=known, validation=others[:10])
    assert check_unused(folder, info, {"members": known[5:25], "heldout": others[10:]}).warning == ""
    found = check_unused(folder, info, {"members": others[40:], "heldout": np.concatenate([known[:3], others[5:30]])})
    assert "10 of 10 members are none of the network's training images" in found.warning
    assert "3 of 28 heldout images are also the network's training images (at 0, 1, 2)" in found.warning
    assert "5 of 28 heldout images are also the network's validation images" in found.warning


def test_test_sets_share_nothing_with_each_other(tmp_path: Path) -> None:
    images = pictures(10)
    found = check_unused(tmp_path, {}, {"heldout": images, "generated": images[::-1][:4]})
    assert [(one.images, one.others, one.same) for one in found.overlaps] == [("heldout", "generated", 4)]
    assert "4 of 10 heldout images are also generated images" in found.warning


def test_a_calibration_names_what_it_shares(tmp_path: Path) -> None:
    known = pictures(30)
    folder, info = used(tmp_path, training=known, classifier_real=known[:5], calibration_real=known)
    found = check_calibration(folder, info, "calibration", {"real": known[20:], "generated": known[25:]})
    assert {(one.images, one.others, one.same) for one in found.overlaps} == {
        ("real", "the network's training", 10),
        ("generated", "the network's training", 5),
        ("real", "generated", 5),
    }
    assert check_calibration(folder, info, "calibration", {"real": known[:5]}).of_classifier()


def test_prints_of_another_calibration_do_not_count(tmp_path: Path) -> None:
    """A calibration made anew by a version that records none leaves the prints of the one before."""
    known, anew = pictures(20), pictures(20, 1)
    folder, info = used(tmp_path, calibration_real=known)
    info["stat"]["data"]["real"]["sha256"] = fingerprint(anew)
    assert read_splits(splits_file(folder), info) == {}
    found = check_unused(folder, info, {"heldout": known})
    assert (found.overlaps, found.by_set) == ((), ("the detector's calibration (real)",))
    # what takes its place is not compared with it, nor named as if it stayed: a killed run leaves it so
    again = check_calibration(folder, info, "calibration", {"real": pictures(6, 70)})
    assert (again.overlaps, again.by_set) == ((), ())
    assert check_calibration(folder, info, "classifier", {"real": pictures(6, 70)}).by_set == found.by_set
    with pytest.raises(ValueError, match="20 of 20 heldout images are also the detector's calibration"):
        check_unused(folder, info, {"heldout": anew})
    assert check_unused(folder, info, {"heldout": anew}, judged=False).overlaps[0].same == 20


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(40)])
def test_damaged_prints_are_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = splits_file(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"splits\.npz is damaged: "):
        read_splits(file, {})
    np.savez(file, **{"training.exact": np.zeros(3)})
    with pytest.raises(ValueError, match="damaged: it lacks"):
        read_splits(file, {})
    record_splits(file, {"training": pictures(4)})
    assert len(read_splits(file, {})["training"]) == 4


@pytest.mark.loops
def test_from_calibration_to_results_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The loops write the prints, refuse by them, and state what they found: in the results and on the console."""
    bundle = tiny_bundle(tmp_path / "tiny")
    sets = {"real": pictures(12, 1), "generated": pictures(12, 2), "heldout": pictures(12, 3), "made": pictures(12, 4)}
    for name, images in sets.items():
        np.savez(tmp_path / f"{name}.npz", images=images)
    at = {name: str(tmp_path / f"{name}.npz") for name in sets}
    common = {"detector": str(bundle), "device": "cpu"}
    info = read_json(bundle / "sedid" / "detector.json")
    finish(calibrate(CalibrateConfig(real=at["real"], generated=at["generated"], ks=(495,), loss_ts=(), **common)))
    assert read_json(bundle / "sedid" / "detector.json")["stat"]["splits"]["warning"] == ""
    update_info(bundle, nn=info["nn"] | {"data": {"real": {"sha256": fingerprint(sets["made"])}}})
    record_splits(splits_file(bundle), {"classifier_real": sets["made"]})
    with pytest.raises(ValueError, match=r"9 of 9 heldout images are also the detector's calibration \(real\) images"):
        finish(evaluate(EvaluateConfig(generated=at["made"], heldout=at["real"] + "[3:12]", **common)))
    with pytest.raises(
        ValueError, match=r"12 of 12 generated images are also the detector's classifier \(real\) images"
    ):
        finish(evaluate(EvaluateConfig(generated=at["made"], heldout=at["heldout"], **common)))
    np.savez(tmp_path / "made.npz", images=np.concatenate([pictures(8, 5), sets["heldout"][:2]]))
    result = finish(evaluate(EvaluateConfig(generated=at["made"], heldout=at["heldout"], **common)))
    stated = result.protocol.splits
    assert stated is not None
    assert stated.against["the detector's calibration (generated)"] == 12
    assert "2 of 10 generated images are also heldout images (at 8, 9)" in stated.warning
    assert caplog.messages == [f"warning: {stated.warning}"]
    written = read_json(bundle / "sedid" / "results.json")["protocol"]["splits"]
    assert written == json.loads(json.dumps(asdict(stated)))


def test_the_check_is_plain_values() -> None:
    assert (
        json.dumps(asdict(SplitCheck({}, (), (), ""))) == '{"against": {}, "by_set": [], "overlaps": [], "warning": ""}'
    )


def test_a_run_hands_its_prints_to_the_bundle(tmp_path: Path, one_thread: None) -> None:
    from sedid.detector.bundle import adopt
    from sedid.detector.export import export_run
    from sedid.training.train_ddpm import TrainDDPMConfig, train_ddpm

    for name, seed in (("data", 1), ("heldout", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(8, seed))
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    settings = {"unet": "demo", "steps": 1, "batch_size": 4, "samples": 0, "eval_every": 1, "device": "cpu"}
    at = {"data": str(tmp_path / "data.npz"), "heldout": str(tmp_path / "heldout.npz"), "out": str(run)}
    finish(train_ddpm(TrainDDPMConfig(**at, **settings)))
    record_splits(splits_file(bundle), {"calibration_real": pictures(3)})  # of the weights before
    export_run(run, bundle)
    assert read_splits(splits_file(bundle), {}).keys() == {"training", "validation"}
    copy = adopt(bundle, tmp_path / "copy")
    assert len(read_splits(splits_file(copy), {})["training"]) == 8
    (run / "splits.npz").unlink()
    export_run(run, bundle)
    assert not splits_file(bundle).exists()

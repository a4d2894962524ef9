"""The comparison from end to end: what fits, what is written while it works, what a killed run keeps."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import pictures
from helpers.bundles import tiny_bundle as calibrated_bundle
from helpers.fakes import CountingModel
from torch import nn

from sedid.data.datasets import fingerprint
from sedid.detector.bundle import load_detector, update_info
from sedid.detector.detector import Detector
from sedid.method.ledger import Ledger
from sedid.method.methods import BOOSTING, HEADS, LOGISTIC, METHODS, RESNET, THRESHOLD
from sedid.models.networks import Runtime, make_resnet18
from sedid.progress import Progress, finish
from sedid.report import compare as compare_report
from sedid.report.markdown import methods_table
from sedid.stats.intervals import delong, intervals
from sedid.stats.metrics import best_threshold, measure
from sedid.storage import read_json
from sedid.studies import compare as module
from sedid.studies import comparison, study
from sedid.studies.compare import CompareConfig, compare, methods_for
from sedid.studies.comparison import ComparisonResults
from sedid.studies.heads import Details, Head, fit_head, fit_threshold
from sedid.training import resnet, train_nn
from sedid.training.resnet import Recipe
from sedid.training.scoring import features, score

ASKED = ("pia", "sedid-stat", "sedid-nn-error k=495 t_sec=495", "sedid-multi-lr ks=330", "loss", "sedid-stat t_sec=330")
COUNTS = {"real": 20, "generated": 22, "test_real": 13, "test_generated": 12, "members": 11}
SHIFT = np.array([0, 2, 0])
CPU = Runtime(torch.device("cpu"))


def load_arithmetic(*settings: Any) -> Detector:
    """`load_detector`, with arithmetic in place of the network: most of what is tested here is around it."""
    return replace(load_detector(*settings), eps_model=CountingModel())


def small_network(in_channels: int) -> nn.Module:
    """In the ResNet's place."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)
    )


@pytest.fixture(scope="module", autouse=True)
def arithmetic() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as `one_thread`, for the fixtures of the module too: other sums round otherwise
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "load_detector", load_arithmetic)
        patch.setattr(resnet, "make_resnet18", small_network)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> CompareConfig:
    """A small comparison: the images of one class are dull, which changes their errors."""
    folder = tmp_path_factory.mktemp("compare")
    for seed, (name, count) in enumerate(COUNTS.items()):
        images = pictures(count, seed)
        np.savez(folder / f"{name}.npz", images=images // 3 if "generated" in name else images)
    return CompareConfig(
        detector=str(shutil.copytree(tiny_bundle, folder / "bundle")),
        **{name: str(folder / f"{name}.npz") for name in COUNTS},
        methods=ASKED,
        loss_noises=2,
        epochs=1,
        batch_size=8,
        device="cpu",
    )


@pytest.fixture(scope="module")
def watched(config: CompareConfig) -> tuple[ComparisonResults, list[dict[str, Any]], list[Progress]]:
    """The results, what the file held at each record, and the records."""
    file = Path(config.detector) / "sedid" / "compare.json"
    seen, records = [], []

    def look(record: Progress) -> None:
        records.append(record)
        seen.append(read_json(file))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "EVERY", 0.0)
        results = finish(compare(config), look)
    return results, seen, records


def scores_of(config: CompareConfig) -> dict[str, np.ndarray]:
    with np.load(Path(config.detector) / "sedid" / "compare-scores.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def test_every_method_has_its_row(config: CompareConfig, watched: Any) -> None:
    results, _, _ = watched
    folder = Path(config.detector) / "sedid"
    assert ComparisonResults.read(folder / "compare.json") == results
    assert not (folder / "compare").exists()  # kept only for a run that is interrupted
    assert results.done
    assert results.scored == {"heldout": 13, "generated": 12, "members": 11}
    assert list(results.rows) == ["heldout", "members"]
    for reals, count in (("heldout", 13), ("members", 11)):
        rows = results.rows[reals]
        assert [row.method for row in rows] == list(ASKED)
        for row in rows:
            assert (row.real, row.generated) == (count, 12)
            assert row.head in HEADS
            assert row.polarity in ("smaller", "larger")
            low, high = row.intervals["auc"]
            assert 0 <= low <= row.auc <= high <= 1
            assert 0 <= row.acc <= row.best_acc <= 1
            assert row.tpr_at_1 is row.intervals["tpr_at_1"] is None  # too few reals to say
            assert row.images_per_second > 0
            assert row.images_per_second_alone > 0
            assert "calibration split" in row.threshold_from
    alone = {row.method: row.evaluations_alone for row in results.rows["heldout"]}
    added = {row.method: row.evaluations_added for row in results.rows["heldout"]}
    assert list(alone.values()) == [2, 4, 2, 4, 2, 3]
    assert list(added.values()) == [2, 3, 1, 3, 2, 0]  # the image itself once; 330 lies on the way to 495
    assert results.protocol.evaluations_per_image == sum(added.values())


def test_parameters_say_where_they_come_from(config: CompareConfig, watched: Any, tmp_path: Path) -> None:
    by_name = {row.method: row for row in watched[0].rows["heldout"]}
    assert by_name["sedid-stat"].parameters_from == {"k": "default", "t_sec": "default"}
    assert by_name["sedid-stat t_sec=330"].parameters_from == {"k": "default", "t_sec": "name"}
    assert by_name["loss"].parameters == {"t": 100, "noises": 2}
    assert by_name["loss"].parameters_from == {"t": "default", "noises": "loss_noises"}
    assert by_name["sedid-multi-lr ks=330"].parameters == {"ks": (330,)}
    bundle = calibrated_bundle(tmp_path / "calibrated")
    existing = {"t": 20, "noises": 3, "polarity": "smaller", "threshold": 1.0, "chosen_by": "AUC"}
    info = update_info(bundle, existing=existing)
    detector = load_detector(bundle, "cpu")
    chosen = replace(detector, chosen=(165, 660), info=info)
    names = ("sedid-stat", "secmi-stat", "loss", "sedid-nn-pair t_sec=165", "did-step", "dire-stat", "sedid-nn-error")
    made = methods_for(replace(config, methods=names), chosen)
    assert [method.parameters for method in made] == [
        {"k": 165, "t_sec": 660},
        {"k": 10, "t_sec": 100},
        {"t": 20, "noises": 2},
        {"k": 165, "t_sec": 165},
        {"k": 165, "t_sec": 660},
        {"k": 165},
        {"k": 165, "t_sec": 495},  # of the detector's own classifier
    ]
    without = methods_for(replace(config, methods=("sedid-nn-error",)), replace(chosen, nn=None))
    assert without[0].parameters == {"k": 165, "t_sec": 660}
    assert made[0].origins == dict.fromkeys(("k", "t_sec"), "the detector's calibration")
    assert made[3].origins == {"k": "the detector's calibration", "t_sec": "name"}


def test_the_detectors_own_classifier_is_the_one_that_is_measured(config: CompareConfig, tmp_path: Path) -> None:
    """One NN has one AUC: SeDID_NNs with the classifier's input, at its pair, is that classifier."""
    bundle = calibrated_bundle(tmp_path / "bundle")
    training = {"epochs": 2, "batch_size": 8, "learning_rate": 0.02, "cosine": True, "flip": True, "seed": 5}
    data = {name: {"count": 40, "sha256": ""} for name in ("real", "generated")}
    history = [{"epoch": epoch, "validation_loss": loss} for epoch, loss in ((1, 0.3), (2, 0.2))]
    section = read_json(bundle / "sedid" / "detector.json")["nn"]
    section |= {"training": training, "data": data, "epochs": history, "calibrated_on": "16 validation images"}
    update_info(bundle, nn=section)
    asked = ("sedid-nn-pair", "sedid-nn-error", "sedid-nn-pair t_sec=330")
    config = replace(config, detector=str(bundle), members="", methods=asked, epochs=0)
    records: list[Progress] = []
    found = finish(compare(config), records.append)
    own, error, elsewhere = found.rows["heldout"]
    assert {record.stage for record in records if record.unit == "epochs"} == {f"fitting {name}" for name in asked[1:]}
    detector = load_arithmetic(config.detector, "cpu")
    assert detector.nn is not None
    scored = scores_of(config)
    for name, setting in (("heldout", "test_real"), ("generated", "test_generated")):
        _, expected = finish(score(detector, np.load(getattr(config, setting))["images"], [165], 8))
        assert expected is not None
        np.testing.assert_array_equal(scored[name][0], expected.astype(np.float32))
    assert (own.threshold, own.auc_calibration) == (detector.nn.threshold, detector.nn.auc)
    assert own.details == Details(own=True, images=80, epoch=2, temperature=detector.nn.temperature)
    assert own.threshold_from == "the detector's own classifier, 16 validation images"
    assert found.recipe == Recipe(**training | {"seed": 0})  # the others are trained as it was
    assert not error.details.own
    assert not elsewhere.details.own
    text = methods_table(found).replace("\\", "")
    assert "SeDID_NNs, pair (k = 165, T_SEC = 495) is the detector's own classifier, from 80 images of its own." in text
    others = "SeDID_NNs, error (k = 165, T_SEC = 495) and SeDID_NNs, pair (k = 165, T_SEC = 330)"
    assert f"{others} were trained for this table on 34 of the calibration images, by the same recipe." in text


def test_every_difference_from_published_dire_is_named(watched: Any) -> None:
    first = watched[0].rows["heldout"][0]
    rows = tuple(replace(first, method=name) for name in ("dire-stat", "dire-nn k=110", "pia"))
    found = replace(watched[0], rows={"heldout": rows}, tests={})
    for text in (
        methods_table(found).replace("\\", ""),
        compare_report.whole(found, {}, "heldout", "pia"),
    ):
        assert text.count("DIRE is not as published") == 1
        for part in ("6 at k = 165), not 20", "alpha_bar 1 to 0", "nothing is clipped", "8 bits", "ResNet-50 at 256"):
            assert part in text.replace("&#39;", "'")
    assert "DIRE" not in methods_table(watched[0])


def test_a_classifier_learns_alike_in_a_table_and_in_train_nn(config: CompareConfig, tmp_path: Path) -> None:
    """The same images, pair and recipe: the same epochs, up to what the detector's own inputs are not rounded to."""
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 8, "learning_rate": 0.02, "cosine": True, "flip": True}
    bundle = calibrated_bundle(tmp_path / "bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_nn, "load_detector", lambda *settings, parts: load_arithmetic(*settings))
        config_nn = train_nn.TrainNNConfig(
            str(bundle), config.real, config.generated, input="error", device="cpu", **settings
        )
        section = finish(train_nn.train_nn(config_nn))
    detector = load_arithmetic(config.detector, "cpu")
    parts = []
    for name in ("real", "generated"):
        images = np.load(getattr(config, name))["images"]
        parts.append(finish(features(detector, images, 165, 495, "error")))
    head = finish(fit_head(RESNET, *parts, Recipe(**settings), CPU, "fitting"))
    assert head.details.epoch == min(section["epochs"], key=lambda row: row["validation_loss"])["epoch"]
    assert head.threshold == section["calibration"]["threshold"]
    assert head.temperature == section["calibration"]["temperature"]


def test_a_statistic_is_judged_as_the_calibration_says(config: CompareConfig, watched: Any) -> None:
    """The row of SeDID_Stat from t-errors scored by themselves."""
    detector = load_arithmetic(config.detector, "cpu")
    errors = {}
    for name, count in COUNTS.items():
        images = np.load(getattr(config, name))["images"]
        assert len(images) == count
        found, _ = finish(score(detector, images, [165]))
        errors[name] = found[165, 495]
    row = watched[0].rows["heldout"][1]
    auc = measure(-errors["real"], -errors["generated"]).auc
    sign = -1 if auc >= 0.5 else 1
    threshold = best_threshold(sign * errors["real"], sign * errors["generated"])
    assert row.polarity == ("smaller" if sign == -1 else "larger")
    assert row.auc_calibration == pytest.approx(max(auc, 1 - auc))
    assert row.threshold == pytest.approx(sign * threshold, rel=1e-5)
    oriented = [sign * errors[name] for name in ("test_real", "test_generated")]
    expected = measure(*oriented, threshold)
    assert {name: getattr(row, name) for name in asdict(expected)} == pytest.approx(asdict(expected))
    assert row.auc_paper_polarity == pytest.approx(measure(-errors["test_real"], -errors["test_generated"]).auc)
    for name, ends in intervals(*oriented, threshold).items():
        assert row.intervals[name] == (None if ends is None else pytest.approx(ends))


def test_scores_are_kept_oriented_and_tests_are_made_of_them(config: CompareConfig, watched: Any) -> None:
    results, arrays = watched[0], scores_of(config)
    assert list(arrays["methods"]) == list(ASKED)
    for reals in ("heldout", "members"):
        for i, row in enumerate(results.rows[reals]):
            again = measure(arrays[reals][i], arrays["generated"][i])
            assert again.auc == pytest.approx(row.auc, abs=0.02)  # float32 may tie what float64 did not
        tests = results.tests[reals]
        best = max(results.rows[reals], key=lambda row: row.auc).method
        against = [name for name in ASKED if name in ("sedid-stat", best)]
        assert {test.b for test in tests} == set(against)
        assert {test.b: test.b_is_best for test in tests}[best] is True
        for b in against:
            assert [test.a for test in tests if test.b == b] == [name for name in ASKED if name != b]
    stat, pia = (ASKED.index(name) for name in ("sedid-stat", "pia"))
    test = next(test for test in results.tests["heldout"] if (test.a, test.b) == ("pia", "sedid-stat"))
    pairs = [arrays[name][i].astype(np.float64) for i in (pia, stat) for name in ("heldout", "generated")]
    assert test.difference == pytest.approx(delong(*pairs).difference, abs=0.02)


def test_the_file_fills_in_while_it_works(watched: Any) -> None:
    results, seen, records = watched
    results = json.loads(json.dumps(asdict(results)))
    assert not any(file["done"] for file in seen)
    assert all(file["protocol"] == results["protocol"] and "audit" in file for file in seen)  # from the first look on
    rows = [len(file["rows"]["heldout"]) for file in seen]
    assert rows == sorted(rows)
    assert set(rows) == set(range(len(ASKED) + 1))  # a row more with each head
    fitted = next(file for file in seen if len(file["rows"]["heldout"]) == 2)
    assert fitted["rows"]["heldout"][0]["auc"] is None
    assert fitted["rows"]["heldout"][0]["threshold"] == results["rows"]["heldout"][0]["threshold"]
    scored = [file["scored"]["heldout"] + file["scored"]["generated"] for file in seen]
    assert scored == sorted(scored)
    halfway = next(file for file in seen if file["scored"]["heldout"] and file["scored"]["generated"])
    row = halfway["rows"]["heldout"][0]
    assert (row["real"], row["generated"]) == (halfway["scored"]["heldout"], halfway["scored"]["generated"])
    assert row["auc"] is not None
    assert row["intervals"] == {}
    assert halfway["tests"] == {"heldout": [], "members": []}
    for stage, count in (("measuring real", 20), ("measuring generated", 22), ("scoring test", 13 + 12 + 11)):
        of_stage = [record for record in records if record.stage.startswith(stage)]
        evaluations = count * results["protocol"]["evaluations_per_image"]
        assert (of_stage[-1].done, of_stage[-1].total, of_stage[-1].unit) == (evaluations, evaluations, "evaluations")


def test_the_protocol_can_be_checked_and_names_no_path_of_this_machine(config: CompareConfig, watched: Any) -> None:
    results: ComparisonResults = watched[0]
    protocol = results.protocol
    images = {name: np.load(getattr(config, name))["images"] for name in COUNTS}
    named = dict(
        zip(COUNTS, ("calibration_real", "calibration_generated", "heldout", "generated", "members"), strict=True)
    )
    for setting, name in named.items():
        sha256 = fingerprint(images[setting])
        assert protocol.images[name] == study.ImageSet(COUNTS[setting], sha256, f"{setting}.npz")
    assert len(set(results.noise_seeds.values())) == 5
    assert protocol.splits is not None
    assert protocol.splits.against == {"calibration (real)": 20, "calibration (generated)": 22}
    assert (protocol.splits.overlaps, protocol.splits.warning) == ((), "")
    assert protocol.config["real"] == "real.npz"
    assert str(Path(config.detector).parent) not in json.dumps(asdict(results))
    assert results.audit is not None
    assert results.audit.skipped  # 13 images prove nothing


def untimed(results: ComparisonResults) -> ComparisonResults:
    """Results without what a clock said."""
    clockless = {"images_per_second": None, "images_per_second_alone": None}
    rows = {name: tuple(replace(row, **clockless) for row in of) for name, of in results.rows.items()}
    return replace(results, rows=rows, protocol=replace(results.protocol, config={}))


def test_a_stopped_run_measures_its_calibration_images_once(
    config: CompareConfig, watched: Any, tmp_path: Path
) -> None:
    config = replace(config, out=str(tmp_path))
    stopped = compare(config)
    for record in stopped:
        if record.stage.startswith("fitting"):
            break
    stopped.close()
    assert {file.name for file in (tmp_path / "compare").iterdir()} == {"real.npz", "generated.npz"}
    again: list[Progress] = []
    results = finish(compare(config), again.append)
    assert not any(record.stage.startswith("measuring") for record in again)
    assert untimed(results) == untimed(watched[0])
    half = compare(replace(config, methods=("pia",)))
    next(half)
    half.close()
    other: list[Progress] = []
    finish(compare(replace(config, methods=("pia",), seed=1)), other.append)
    assert sum(record.stage.startswith("measuring") for record in other) == 6  # other noise: everything anew


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test_generated": ""}, "give test_real and test_generated"),
        ({"methods": ("pia", "sedit-stat")}, "unknown method 'sedit-stat'; accepted: sedid-stat, .*did-step"),
        ({"methods": ()}, "methods must name at least one of sedid-stat"),
        ({"methods": ("pia", "pia")}, "methods names pia twice"),
        ({"methods": ("pia t=1000",)}, "pia t=1000: t must be between 0 and 999"),
        ({"real": "{real}[0:9]"}, "9 real and 22 generated calibration images are too few: at least 10"),
        ({"test_real": "{test_real}[0:1]"}, "test_real needs at least 2 images, not 1"),
        (
            {"test_real": "{real}[5:12]"},
            r"7 of 7 test_real images are also calibration \(real\) images \(at 0, 1, 2, 3, 4 and 2 more\)",
        ),
        ({"members": "{real}"}, r"20 of 20 members images are also calibration \(real\) images"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_scored(
    config: CompareConfig, tmp_path: Path, change: dict, said: str
) -> None:
    made = {name: value.format(**asdict(config)) if isinstance(value, str) else value for name, value in change.items()}
    with pytest.raises(ValueError, match=said):
        next(compare(replace(config, out=str(tmp_path / "out"), **made)))
    assert not (tmp_path / "out").exists()


def test_images_that_made_the_detector_do_not_test_it(config: CompareConfig, tmp_path: Path) -> None:
    bundle = shutil.copytree(config.detector, tmp_path / "bundle")
    trained_on = {"real": {"count": 13, "sha256": fingerprint(np.load(config.test_real)["images"])}}
    update_info(bundle, nn={"data": trained_on}, stat={"data": {}})
    detector = load_detector(config.detector, "cpu")
    info = read_json(bundle / "sedid" / "detector.json")
    images = {name: np.load(getattr(config, name))["images"] for name in COUNTS}
    calibration = {name: images[name] for name in ("real", "generated")}
    test = {"heldout": images["test_real"], "generated": images["test_generated"]}
    assert module.check_images(bundle, detector, calibration, test).warning == ""
    with pytest.raises(
        ValueError, match=r"13 of 13 test_real images are also the detector's classifier \(real\) images"
    ):
        module.check_images(bundle, replace(detector, info=info), calibration, test)


def test_a_chance_duplicate_is_counted_and_not_refused(config: CompareConfig) -> None:
    detector = load_detector(config.detector, "cpu")
    calibration, test = {"real": pictures(10, 1), "generated": pictures(10, 2)}, pictures(200, 3)
    test[7] = calibration["generated"][4]
    found = module.check_images(Path(config.detector), detector, calibration, {"heldout": test})
    assert [(one.others, one.same, one.near, one.places) for one in found.overlaps] == [
        ("calibration (generated)", 1, 0, (7,))
    ]


def fitted(kind: str, real: np.ndarray, generated: np.ndarray, **settings: Any) -> Head:
    return finish(fit_head(kind, real, generated, Recipe(**settings), CPU, "fitting"))


def test_nested_cross_validation_finds_nothing_in_noise() -> None:
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(2, 30, 20))
    head = fitted(LOGISTIC, real, generated)
    own = measure(head.score(real, CPU), head.score(generated, CPU)).auc
    assert head.auc < 0.7 < own  # the model itself fits its own images well


@pytest.mark.parametrize("kind", [LOGISTIC, BOOSTING])
def test_nested_cross_validation_reports_what_the_model_did_not_see(kind: str) -> None:
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(60, 3)), rng.normal(size=(50, 3)) + SHIFT
    head = fitted(kind, real, generated)
    assert head.auc > 0.85
    assert head.polarity == "larger"
    assert head.details.hyperparameters
    assert np.mean(head.details.outer_aucs) == pytest.approx(head.auc)
    fresh = measure(
        head.score(rng.normal(size=(200, 3)), CPU),
        head.score(rng.normal(size=(200, 3)) + SHIFT, CPU),
        head.threshold,
    )
    assert fresh.auc > 0.85
    assert fresh.acc is not None
    assert fresh.acc > fresh.best_acc - 0.1  # the threshold from the outer folds serves the final model


def test_a_threshold_turns_with_the_classes() -> None:
    rng = np.random.default_rng(1)
    low, high = rng.normal(0, 1, 50), rng.normal(2, 1, 50)
    one, other = fit_threshold(high, low), fit_threshold(low, high)
    assert (one.polarity, other.polarity) == ("smaller", "larger")
    assert one.auc == pytest.approx(other.auc)
    for head, real, generated in ((one, high, low), (other, low, high)):
        parts = head.score(real, CPU), head.score(generated, CPU)
        assert measure(*parts, head.threshold).acc == pytest.approx(measure(*parts).best_acc)


def test_the_network_learns_what_is_there_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet, "make_resnet18", make_resnet18)
    rng = np.random.default_rng(2)
    real, generated = (rng.normal(mean, 1, (30, 3, 8, 8)).astype(np.float16) for mean in (-1, 1))
    head = fitted(RESNET, real, generated, epochs=2, learning_rate=0.01, batch_size=16)
    assert head.auc == 1
    assert head.details.trained_on == 48
    assert "12 images the classifier was not trained on" in head.threshold_from
    fresh = [rng.normal(mean, 1, (20, 3, 8, 8)).astype(np.float16) for mean in (-1, 1)]
    assert measure(*(head.score(part, CPU) for part in fresh), head.threshold).acc == 1
    whole = head.score(fresh[0], CPU)
    np.testing.assert_allclose(head.score(fresh[0][3:4], CPU), whole[3:4], rtol=1e-4)


def test_broken_measurements_are_refused() -> None:
    good = np.arange(12.0)
    with pytest.raises(ValueError, match="9 real and 12 generated calibration images are too few"):
        fitted(THRESHOLD, good[:9], good)
    with pytest.raises(ValueError, match="fitting: a measurement is not finite"):
        fitted(THRESHOLD, good, np.where(good == 3, np.nan, good))


def test_every_method_runs_by_default(config: CompareConfig) -> None:
    detector = load_detector(config.detector, "cpu")
    made = methods_for(replace(config, methods=CompareConfig.methods), detector)
    assert [method.name for method in made] == list(METHODS)
    x_0 = torch.rand(2, 3, 32, 32) * 2 - 1
    ledger = Ledger(detector.eps_model, detector.schedule, x_0, lambda draw: torch.randn_like(x_0))
    assert all(torch.isfinite(method.measure(ledger)).all() for method in made)

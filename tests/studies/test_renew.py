"""Results files of an older version: their verdicts are counted anew from the scores beside them, or said to be unknown."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.bundles import K, pictures, tiny_bundle

from sedid.detector.batches import judge_in_batches, known_shares, shares
from sedid.detector.bundle import SHIPPED, detector_file, load_detector, update_info
from sedid.detector.detector import Call, Detector, Judgement
from sedid.progress import finish
from sedid.recipes.upgrade import upgrade
from sedid.report import evaluation
from sedid.report import generalise as generalise_report
from sedid.report import robustness as robustness_report
from sedid.report.markdown import verdict_table
from sedid.storage import read_json, write_json
from sedid.studies.evaluate import EvaluateConfig, EvaluationResults, evaluate
from sedid.studies.generalise import GeneraliseConfig, GeneraliseResults, generalise
from sedid.studies.renew import renew_verdicts
from sedid.studies.results import load_evaluation
from sedid.studies.robustness import RobustnessConfig, RobustnessResults, robustness
from sedid.training.scoring import score

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ("results.json", "generalise.json", "robustness.json")
SETS = {"heldout": (16, 11), "generated": (12, 12), "other": (8, 13)}  # images, seed


@dataclass(frozen=True)
class Measured:
    """A bundle with results, as this version writes them."""

    folder: Path
    results: dict[str, Any]

    def read(self) -> dict[str, Any]:
        return {name: read_json(self.folder / "sedid" / name) for name in NAMES}


@pytest.fixture(scope="module", params=[495, 660], ids=["one pair", "NN further out"])
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Some images are out of range. NN judges at STAT's pair, or further out."""
    folder = tmp_path_factory.mktemp("renew")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bundle = tiny_bundle(folder / "tiny")
    info = read_json(detector_file(bundle))
    errors, _ = finish(score(load_detector(bundle, device="cpu"), pictures(*SETS["heldout"]), [K]))
    first = info["stat"]["calibrations"][0]
    ends = np.quantile(errors[first["k"], first["t_sec"]], (0.2, 0.8))
    first["real"] = first["generated"] = np.linspace(*ends, len(first["real"])).tolist()
    info["nn"]["calibration"]["t_sec"] = request.param
    update_info(bundle, stat=info["stat"], nn=info["nn"])
    for name, (count, seed) in SETS.items():
        np.savez(folder / f"{name}.npz", images=pictures(count, seed))
    heldout, generated, other = (str(folder / f"{name}.npz") for name in SETS)
    finish(evaluate(EvaluateConfig(detector=str(bundle), generated=generated, heldout=heldout, device="cpu")))
    own = {"detector": str(bundle), "device": "cpu"}
    sets = (f"a={generated}", f"b={other}")
    finish(generalise(GeneraliseConfig(heldout=heldout, generated=sets, **own)))
    flipped: dict[str, Any] = {"perturbations": ("flip",), "count": 8}
    finish(robustness(RobustnessConfig(real=heldout, generated=generated, **flipped, **own)))
    torch.set_num_threads(threads)
    return Measured(bundle, {name: read_json(bundle / "sedid" / name) for name in NAMES})


def sides(judgements: list[Judgement]) -> dict[str, float]:
    """Shares as older versions counted them."""
    counts = Counter(judgement.stat.side for judgement in judgements if judgement.stat)
    return {str(call): counts[call] / len(judgements) for call in Call if call != Call.OUTSIDE}


def first_version(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """A results file in the shape of the first version, which stated no version and had a protocol of its own a study."""
    protocol = found["protocol"]
    del found["version"]
    made = protocol["generated_by"] or {}
    for old in ("detector", "trained_on"):
        protocol.pop(old)
    images = {name: {"count": one["count"], "sha256": one["sha256"]} for name, one in protocol["images"].items()}
    protocol |= {"images": images, "generated_by": made}
    if name == "results.json":
        protocol["evaluations_per_image"] = {"trajectories": protocol["evaluations_per_image"], "existing": 0}
        moved = ("reduction", "threshold_from", "loss_noise_seeds")
    elif name == "robustness.json":
        moved = ("applied_to", "seed", "perturbations", "stat", "nn", "threshold_from")
        found["nn"].pop("polarity")
        for row in found["rows"]:
            for part in (row["stat"], row["nn"]):
                part.pop("sides")
    else:
        stat, nn = found.pop("stat"), found.pop("nn")
        protocol |= {"chosen": [stat["k"], stat["t_sec"]], "polarity": stat["polarity"], "threshold": stat["threshold"]}
        protocol |= {"nn_pair": [nn["k"], nn["t_sec"]], "nn_threshold": nn["threshold"]}
        protocol["calibrated_on"] = found.pop("calibrated_on") or {}
        found.pop("heldout_sides")
        for row in found["rows"]:
            row.pop("sides")
            row.pop("variance")
            row["from"] = row.pop("data_set")
        moved = ("threshold_from",)
    found.pop("sides", None)
    protocol |= {part: found.pop(part) for part in moved}
    return found


def aged(measured: Measured, detector: Detector) -> dict[str, Any]:
    """Write the files as an older version did; returns them."""
    k, t_sec = detector.pair()
    found = {name: first_version(name, content) for name, content in measured.read().items()}
    old = {name: sides(judge_in_batches(detector, pictures(*made), k, t_sec)) for name, made in SETS.items()}
    found["results.json"]["verdicts"] = {name: old[name] for name in ("generated", "heldout")}
    found["generalise.json"]["heldout_verdicts"] = old["heldout"]
    for row, name in zip(found["generalise.json"]["rows"], ("generated", "other"), strict=True):
        row["verdicts"] = old[name]
    scores = measured.folder / "sedid" / "robustness-scores.npz"
    with np.load(scores) as stored:
        arrays = {name: stored[name] if name == "key" else stored[name][:3] for name in stored.files}
    np.savez(scores, **arrays)
    calibrations = (("stat", 0, detector.stat[k, t_sec]), ("nn", 1, detector.nn))
    for row in found["robustness.json"]["rows"]:
        for method, place, made in calibrations:
            assert made is not None
            by_class = {name: arrays[f"{row['key']}/{name}"][place].tolist() for name in ("real", "generated")}
            counts = {name: Counter(made.side(score) for score in values) for name, values in by_class.items()}
            row[method]["verdicts"] = {
                name: {str(call): of[call] / of.total() for call in Call if call != Call.OUTSIDE}
                for name, of in counts.items()
            }
            row[method] |= {"flipped": {"real": 0.0, "generated": 0.0}, "reversed": {"real": 0.0, "generated": 0.0}}
        row["out_of_range"] = {"real": 0.5, "generated": 0.5}
    for name in NAMES:
        write_json(measured.folder / "sedid" / name, found[name])
    return found


def test_the_verdicts_are_counted_anew_or_said_to_be_unknown(measured: Measured) -> None:
    detector = load_detector(measured.folder, device="cpu")
    judged = judge_in_batches(detector, pictures(*SETS["heldout"]), *detector.pair())
    fresh = shares([judgement.stat for judgement in judged if judgement.stat])
    assert fresh == measured.results["results.json"]["verdicts"]["heldout"]
    assert fresh[Call.OUTSIDE] > 0
    old = aged(measured, detector)
    assert old["results.json"]["verdicts"]["heldout"] != fresh
    place = measured.folder / "sedid"
    older = GeneraliseResults.read(place / "generalise.json")
    assert "<td>n/a</td>" in generalise_report.whole(older)  # not taken for verdicts as they are
    assert "n/a" in verdict_table(EvaluationResults.read(place / "results.json"))
    assert "itself says" not in evaluation.confusion(
        load_evaluation(measured.folder), "heldout", detector.chosen, False
    )

    assert upgrade(measured.folder) == measured.folder
    found, wanted = measured.read(), measured.results
    assert found["results.json"] == wanted["results.json"]
    assert read_json(detector_file(measured.folder))["metrics"]["verdicts"] == found["results.json"]["verdicts"]
    assert found["generalise.json"]["heldout_verdicts"] == fresh
    same, other = found["generalise.json"]["rows"]
    assert same == wanted["generalise.json"]["rows"][0]
    assert (other["verdicts"], other["sides"]) == ({}, old["generalise.json"]["rows"][1]["verdicts"])
    apart = detector.nn_pair != detector.chosen
    for row, as_now, before in zip(*(made["robustness.json"]["rows"] for made in (found, wanted, old)), strict=True):
        assert row["stat"] == as_now["stat"]
        assert "out_of_range" not in row
        if apart:
            assert (row["nn"]["verdicts"], row["nn"]["flipped"]) == ({}, None)
            assert row["nn"]["sides"] == before["nn"]["verdicts"]
            assert row["nn"]["auc"] == as_now["nn"]["auc"]
        else:
            assert row == as_now
    assert renew_verdicts(measured.folder) == []

    drawn = robustness_report.whole(RobustnessResults.read(place / "robustness.json"))
    assert ("NN is n/a" in drawn) == apart
    page = generalise_report.whole(GeneraliseResults.read(place / "generalise.json"))
    assert "Verdicts n/a (b)" in page
    shown = evaluation.confusion(load_evaluation(measured.folder), "heldout", detector.chosen, False)
    assert f"“{Call.OUTSIDE}”" in shown


def test_scores_of_another_measurement_are_not_counted(measured: Measured) -> None:
    aged(measured, load_detector(measured.folder, device="cpu"))
    file = measured.folder / "sedid" / "results.json"
    found = read_json(file)
    found["verdicts"]["heldout"] = {"generated": 0.5, "real": 0.25, "cannot tell": 0.25}
    write_json(file, found)
    assert file in renew_verdicts(measured.folder)
    assert list(read_json(file)["verdicts"]) == ["generated"]
    assert read_json(file)["sides"] == {"heldout": found["verdicts"]["heldout"]}


@pytest.mark.parametrize("name", ["cifar10", "celeba", "tiny-imagenet"])
def test_the_published_shares_follow_the_rule(name: str) -> None:
    """If this fails: python -m sedid upgrade checkpoints/NAME"""
    results = read_json(SHIPPED.parent / name / "sedid" / "results.json")
    assert set(results["verdicts"]) == {"generated", "heldout", "members"}
    assert all(known_shares(found) for found in results["verdicts"].values())
    assert read_json(SHIPPED.parent / name / "sedid" / "detector.json")["metrics"]["verdicts"] == results["verdicts"]

"""Intervals of older results: those of today from the kept scores, none where the bootstrap was wrong."""

import json
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sedid.stats.intervals import ABOUT, METRICS, auc_interval, delong, intervals, share_interval
from sedid.stats.metrics import measure
from sedid.stats.reliability import conformal, reliability
from sedid.storage import read_arrays, read_json, write_json
from sedid.studies.comparison import MEANING, delong_tests
from sedid.studies.renew_intervals import renew_intervals

PAIR = {"k": 165, "t_sec": 990}
BOOTSTRAP = {"auc": [0.2, 0.3], "best_acc": [0.2, 0.3], "acc": [0.2, 0.3], "tpr_at_1": [0.2, 0.3], "tpr_at_01": None}
Sets = dict[str, np.ndarray]


def drawn(reals: int, generated: int, gap: float, seed: int = 0) -> Sets:
    """Scores where generated images lie higher."""
    rng = np.random.default_rng(seed)
    return {"heldout": rng.lognormal(0, 1, reals), "generated": rng.lognormal(gap, 1, generated)}


def compare_row(method: str, head: str, scores: Sets, threshold: float) -> dict[str, Any]:
    """A row as an earlier version wrote it."""
    made: dict[str, Any] = {"method": method, "head": head, "parameters": PAIR, "polarity": "larger"}
    made |= {"threshold": threshold, "details": {"trained_on": 20} if head != "threshold" else {}}
    return made | asdict(measure(*scores.values(), threshold)) | {"intervals": BOOTSTRAP}


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, Sets, Sets]:
    """A bundle whose table holds 30 + 20 of the 60 + 50 images that were evaluated; t-errors and the classifier's
    probabilities of all of these."""
    errors, own = drawn(60, 50, 0.8), {name: 1 - 1 / (1 + x) for name, x in drawn(60, 50, 3.0, 1).items()}
    counts = {"heldout": 30, "generated": 20}
    rng = np.random.default_rng(2)
    stat = {name: errors[name][:count] * rng.uniform(0.995, 1.005, count) for name, count in counts.items()}  # bf16
    trained = {name: rng.uniform(0, 1, count) for name, count in counts.items()}
    place = tmp_path / "sedid"
    place.mkdir()
    rows = [compare_row("sedid-stat", "threshold", stat, 1.2), compare_row("sedid-nn-pair", "ResNet-18", trained, 0.5)]
    scores = {name: np.stack([stat[name], trained[name]]) for name in counts}
    found = {"done": True, "rows": {"heldout": rows}, "meaning": MEANING | {"intervals": "95 %, bootstrap"}}
    tests = delong_tests([row["method"] for row in rows], scores["heldout"], scores["generated"])
    found["tests"] = {"heldout": [asdict(test) for test in tests]}
    write_json(place / "compare.json", found)
    small = {name: values.astype(np.float32) for name, values in scores.items()}
    np.savez_compressed(place / "compare-scores.npz", methods=np.array(["sedid-stat", "sedid-nn-pair"]), **small)  # type: ignore[arg-type]
    history = [{"epoch": epoch, "validation_loss": loss} for epoch, loss in ((1, 0.5), (2, 0.2), (3, 0.4))]
    calibration = PAIR | {"input": "pair", "auc": 0.99, "temperature": 1.0}
    data = {name: {"count": 80} for name in ("real", "generated")}
    nn = {"calibration": calibration, "calibrated_on": "32 images", "data": data, "epochs": history}
    write_json(place / "detector.json", {"nn": nn})
    images = {name: {"count": len(values), "sha256": name} for name, values in errors.items()}
    write_json(place / "results.json", {"nn": {"heldout": {"threshold": 0.6}}, "protocol": {"images": images}})
    arrays = {f"stat_{name}": values[None].astype(np.float32) for name, values in errors.items()}
    arrays |= {f"nn_{name}": values.astype(np.float32) for name, values in own.items()}
    np.savez_compressed(place / "results-scores.npz", pairs=np.array([[165, 990]], np.int32), **arrays)  # type: ignore[arg-type]
    return tmp_path, errors, own


def lists(found: Any) -> Any:
    return json.loads(json.dumps(found))


def test_the_table_gets_the_detectors_own_classifier(bundle: tuple[Path, Sets, Sets]) -> None:
    folder, _, own = bundle
    file = folder / "sedid" / "compare.json"
    assert renew_intervals(folder) == [file]
    found, scores = read_json(file), read_arrays(folder / "sedid" / "compare-scores.npz")
    stat, nn = found["rows"]["heldout"]
    ours = [own[name][:count].astype(np.float32).astype(float) for name, count in (("heldout", 30), ("generated", 20))]
    assert {name: nn[name] for name in asdict(measure(*ours, 0.6))} == asdict(measure(*ours, 0.6))
    assert (nn["threshold"], nn["details"]["own"], nn["details"]["images"], nn["details"]["epoch"]) == (
        0.6,
        True,
        160,
        2,
    )
    assert nn["intervals"] == lists(intervals(*ours, 0.6))
    both = [scores[name].astype(float) for name in ("heldout", "generated")]
    assert stat["intervals"] == lists(intervals(both[0][0], both[1][0], 1.2))
    difference = delong(ours[0], ours[1], both[0][0], both[1][0]).difference
    [against_stat] = [test for test in found["tests"]["heldout"] if test["b"] == "sedid-stat"]
    assert against_stat["difference"] == pytest.approx(difference)
    assert found["meaning"]["intervals"] == ABOUT
    assert renew_intervals(folder) == []


def test_other_images_keep_the_row_that_was_trained_for_the_table(bundle: tuple[Path, Sets, Sets]) -> None:
    folder, _, _ = bundle
    file, beside = folder / "sedid" / "compare.json", folder / "sedid" / "results-scores.npz"
    arrays = read_arrays(beside)
    arrays["stat_generated"] = arrays["stat_generated"][:, ::-1]
    np.savez_compressed(beside, **arrays)  # type: ignore[arg-type]
    before = read_json(file)["rows"]["heldout"][1]
    renew_intervals(folder)
    after = read_json(file)["rows"]["heldout"][1]
    assert after.pop("intervals") != before.pop("intervals")
    assert after == before


def generalised(errors: Sets, others: int) -> dict[str, Any]:
    """A generalise.json: the evaluated images, and a set of which no scores are kept."""
    part = asdict(measure(*errors.values(), 1.2)) | {"intervals": BOOTSTRAP}
    few = part | {"generated": others}
    rows = [{"set": name, "stat": stat, "nn": None} for name, stat in (("ddim", part), ("ddpm", few))]
    names = {"reals": "heldout", "ddim": "generated", "ddpm": "another"}
    protocol = {
        "chosen": [165, 990],
        "polarity": "larger",
        "threshold": 1.2,
        "nn_threshold": None,
        "intervals": "95 %, bootstrap",
    }
    return {
        "protocol": protocol | {"images": {name: {"sha256": sha256} for name, sha256 in names.items()}},
        "rows": rows,
    }


@pytest.mark.parametrize("others", [20, 500])
def test_sets_without_scores_keep_what_the_bootstrap_gets_right(bundle: tuple[Path, Sets, Sets], others: int) -> None:
    folder, errors, _ = bundle
    errors = {name: values.astype(np.float32).astype(float) for name, values in errors.items()}
    found = generalised(errors, others)
    for row in found["rows"]:
        row["stat"]["real"] = 2000 if row["set"] == "ddpm" else row["stat"]["real"]
    write_json(folder / "sedid" / "generalise.json", found)
    renew_intervals(folder)
    kept, lost = (row["stat"]["intervals"] for row in read_json(folder / "sedid" / "generalise.json")["rows"])
    assert kept == lists(intervals(*errors.values(), 1.2))
    right = [0.2, 0.3] if others >= 100 else None
    assert lost == dict.fromkeys(METRICS) | {"auc": right, "acc": right}


def test_robustness_is_measured_from_its_scores(tmp_path: Path) -> None:
    sets = {name: values.astype(np.float32).astype(float) for name, values in drawn(40, 30, -1.0).items()}
    smaller = [-values for values in sets.values()]
    rows = []
    for key in ("none", "jpeg:75"):
        stat = {"auc": measure(*smaller).auc, "auc_interval": [0.2, 0.3]}
        rows.append({"key": key, "stat": stat, "nn": None})
    counts = {name: {"count": count} for name, count in (("real", 40), ("generated", 30))}
    write_json(
        tmp_path / "sedid" / "robustness.json",
        {"protocol": {"images": counts, "stat": {"polarity": "smaller"}}, "rows": rows},
    )
    arrays = {
        f"none/{name}": np.stack([sets[of], sets[of]]) for name, of in (("real", "heldout"), ("generated", "generated"))
    }
    np.savez(tmp_path / "sedid" / "robustness-scores.npz", **arrays)
    renew_intervals(tmp_path)
    kept, lost = (row["stat"]["auc_interval"] for row in read_json(tmp_path / "sedid" / "robustness.json")["rows"])
    assert kept == list(auc_interval(*smaller))
    assert lost is None


def test_a_choice_loses_the_interval_that_ignored_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, 200), rng.normal(1, 1, 150)
    judged = conformal(scores, scores, 0.05)
    probabilities = [1 / (1 + np.exp(-values)) for values in scores]
    reliable = asdict(reliability(*probabilities))
    expected = deepcopy(reliable)
    for one in reliable["bins"]:
        one["observed_low"], one["observed_high"] = 0.0, 0.0
    early = {f"wrong_early_{name}": share for name, share in (("real", 0.02), ("generated", 0.0))}
    early |= {f"{name}_interval": [0.0, 0.0] for name in list(early)}
    test = asdict(measure(*scores, 0.5)) | {"intervals": BOOTSTRAP}
    found = {
        "protocol": {"images": {"test_real": {"count": 200}, "test_generated": {"count": 150}}},
        "choice": {"auc_interval": [0.7, 0.8], "polarity_share": 0.98, "nested_auc": 0.6},
        "test": test,
        "sequential": {"walks": [{"rates": [early]}]},
        "conformal": {
            "stat": {"rates": [asdict(judged) | {"missed_real_interval": [0.0, 0.0]}]},
            "nn": {"skipped": "why"},
        },
        "reliability": {"stat_platt": reliable},
    }
    file = tmp_path / "sedid" / "choice.json"
    write_json(file, found)
    renew_intervals(tmp_path)
    made = read_json(file)
    assert made["choice"] == {"nested_auc": 0.6}
    assert made["test"]["intervals"] == dict.fromkeys(METRICS) | {"auc": [0.2, 0.3], "acc": [0.2, 0.3]}
    assert made["sequential"]["walks"][0]["rates"][0]["wrong_early_generated_interval"] == list(
        share_interval(0.0, 150)
    )
    assert made["conformal"]["stat"]["rates"] == lists([asdict(judged)])
    for one, right in zip(made["reliability"]["stat_platt"]["bins"], expected["bins"], strict=True):
        assert one == pytest.approx(right)
    assert renew_intervals(tmp_path) == []


def test_an_auc_of_one_is_no_certainty_in_the_study_of_the_polarity(tmp_path: Path) -> None:
    counts = {name: {"count": 100} for name in ("real", "generated")}
    found = {
        "protocol": {"images": counts},
        "frame": {
            "methods": [
                {"plain": {"value": 0.8, "low": 0.7, "high": 0.9}, "framed": {"value": 1.0, "low": 1.0, "high": 1.0}}
            ]
        },
    }
    file = tmp_path / "sedid" / "polarity.json"
    write_json(file, found)
    renew_intervals(tmp_path)
    [row] = read_json(file)["frame"]["methods"]
    assert row["plain"] == {"value": 0.8, "low": 0.7, "high": 0.9}
    assert (row["framed"]["low"], row["framed"]["high"]) == auc_interval(np.zeros(100), np.ones(100))
    assert row["framed"]["low"] < 0.99


def test_a_file_of_another_program_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "sedid" / "choice.json", {"protocol": {}, "test": 5})
    with pytest.raises(ValueError, match=r"choice.json is not .*choose"):
        renew_intervals(tmp_path)

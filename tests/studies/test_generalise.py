"""The generalisation table against direct scoring, and both loops' results as HTML."""

from dataclasses import asdict, replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundles import CHOSEN, K, pictures, tiny_bundle
from helpers.bundles import shared_detector as detector
from helpers.results import GAPS, made_up, protocol_of, write_evaluation

from sedid.data.image_statistics import STATISTICS, image_statistics
from sedid.detector.bundle import checkpoint_hash, load_detector, update_info
from sedid.detector.detector import Call
from sedid.jobs.commands import resolve_loop
from sedid.progress import finish
from sedid.report import generalise as generalise_report
from sedid.report import polarity
from sedid.report.pictures import data_uri
from sedid.report.protocol import made_by
from sedid.stats.confounds import auc_of_smaller, finding
from sedid.stats.metrics import measure
from sedid.storage import read_json, write_json
from sedid.studies import generalise as module
from sedid.studies.black_frame import FramedRow, Lesson, framed
from sedid.studies.evaluate import EvaluateConfig, evaluate, evaluated
from sedid.studies.generalise import (
    CROSS,
    MEMBERS,
    OTHER,
    SAME,
    UNKNOWN,
    GeneraliseConfig,
    GeneraliseResults,
    generalise,
    labelled,
    relation,
    table_row,
)
from sedid.studies.generalise import finding as in_words
from sedid.studies.noise_floor import NoiseRow, Rounding
from sedid.studies.polarity import PolarityResults, Statistic, load_polarity, polarity_row, save_scores
from sedid.studies.study import MadeBy, open_study
from sedid.training.checks import LeakCheck
from sedid.training.scoring import score

pytestmark = pytest.mark.usefixtures("one_thread")


def generated_set(folder: Path, images: np.ndarray, **manifest: Any) -> str:
    """A folder as `generate` leaves it."""
    folder.mkdir()
    np.savez(folder / "images.npz", images=images)
    write_json(folder / "manifest.json", manifest)
    return str(folder / "images.npz")


@pytest.fixture
def measured_bundle(tmp_path: Path) -> tuple[Path, GeneraliseConfig]:
    """A bundle that `evaluate` has measured, and the study of the same images."""
    bundle, sets = tiny_bundle(tmp_path / "bundle"), {}
    for seed, name in enumerate(("heldout", "members", "generated")):
        sets[name] = generated_set(tmp_path / name, pictures(6, seed))
    finish(evaluate(EvaluateConfig(detector=str(bundle), **sets, device="cpu")))
    return bundle, GeneraliseConfig(
        detector=str(bundle),
        heldout=sets["heldout"],
        generated=(f"own={sets['generated']}",),
        members=sets["members"],
        device="cpu",
    )


def test_what_was_evaluated_is_not_scored_again(
    measured_bundle: tuple[Path, GeneraliseConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config = measured_bundle
    taken = finish(generalise(config))
    walked = []
    monkeypatch.setattr(module, "evaluated", lambda *_: {})
    monkeypatch.setattr(module, "score", lambda *given: walked.append(given[1]) or score(*given))
    again = finish(generalise(config))
    assert len(walked) == 3
    assert taken.rows == again.rows
    monkeypatch.undo()
    monkeypatch.setattr(module, "score", lambda *_: pytest.fail("scored again"))
    assert finish(generalise(config)).rows == taken.rows


def test_scores_of_another_detector_are_not_taken(measured_bundle: tuple[Path, GeneraliseConfig]) -> None:
    bundle, _ = measured_bundle
    own = load_detector(bundle, "cpu")
    assert own.nn is not None
    assert len(evaluated(own, bundle, "fp32", [K])) == 3
    assert evaluated(own, bundle, "bf16", [K]) == {}
    assert evaluated(own, bundle, "fp32", [K, 330]) == {}
    assert evaluated(replace(own, info=own.info | {"checkpoint_sha256": "other"}), bundle, "fp32", [K]) == {}
    assert evaluated(replace(own, nn=replace(own.nn, threshold=0.41)), bundle, "fp32", [K]) == {}
    moved = {pair: replace(one, threshold=one.band[0]) for pair, one in own.stat.items()}
    assert (
        evaluated(replace(own, stat=moved), bundle, "fp32", [K]) == {}
    )  # calibrated anew, under another schedule perhaps
    results = read_json(bundle / "sedid" / "results.json")
    write_json(bundle / "sedid" / "results.json", results | {"nn": {}})  # measured before there was a classifier
    assert evaluated(own, bundle, "fp32", [K]) == {}
    assert len(evaluated(replace(own, nn=None), bundle, "fp32", [K])) == 3
    write_json(bundle / "sedid" / "results.json", results)
    (bundle / "sedid" / "results-scores.npz").unlink()
    assert evaluated(own, bundle, "fp32", [K]) == {}


def test_labels_are_not_taken_from_paths(tmp_path: Path) -> None:
    odd = tmp_path / "a=b.npz"
    odd.touch()
    assert labelled("ancestral = runs/x=y/images.npz") == ("ancestral", "runs/x=y/images.npz")
    assert labelled("runs/x=y/images.npz") == ("", "runs/x=y/images.npz")
    assert labelled(str(odd)) == ("", str(odd))
    assert labelled("sample:generated[0:9]") == ("", "sample:generated[0:9]")
    _, config = resolve_loop("generalise", settings=["detector=d", "heldout=h", "generated=one=a.npz,b.npz"])
    assert config.generated == ("one=a.npz", "b.npz")


def test_relation_to_the_calibration_images() -> None:
    own = MadeBy("ab", "ddim", 50, 0, timestep_spacing="trailing")
    crossed = replace(own, cross_checkpoint=True)
    assert relation(replace(own, seed=3), own) == SAME
    assert relation(replace(own, sampler="ddpm"), own) == relation(replace(own, steps=20), own) == OTHER
    assert relation(crossed, own) == relation(crossed, None) == CROSS
    assert relation(None, own) == relation(own, None) == UNKNOWN


def test_the_words_follow_the_interval() -> None:
    assert in_words((0.51, 0.6), False) == "better than guessing"
    assert in_words((0.45, 0.6), False).startswith("fails: no better")
    assert in_words((0.3, 0.49), False).startswith("fails: turned")
    assert in_words((0.45, 0.6), True) == "no membership shown"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle and the table of four small sets."""
    folder = tmp_path_factory.mktemp("generalise")
    bundle = tiny_bundle(folder / "tiny")
    own = {"checkpoint_sha256": checkpoint_hash(bundle), "sampler": "ddim", "steps": 50, "seed": 0}
    info = read_json(bundle / "sedid" / "detector.json")
    update_info(bundle, stat=info["stat"] | {"generated_by": own | {"cross_checkpoint": False}})
    sets = (
        f"DDIM={generated_set(folder / 'same', pictures(6, 2), **own)}",
        generated_set(folder / "other", pictures(5, 3), **own | {"sampler": "ddpm", "steps": 1000}),
        f"older weights={generated_set(folder / 'cross', pictures(4, 4), **own | {'checkpoint_sha256': 'f00'})}",
    )
    for name, count, seed in (("heldout", 7, 0), ("members", 5, 1)):
        np.savez(folder / f"{name}.npz", images=pictures(count, seed))
    reals = {name: str(folder / f"{name}.npz") for name in ("heldout", "members")}
    result = finish(generalise(GeneraliseConfig(detector=str(bundle), generated=sets, device="cpu", **reals)))
    assert GeneraliseResults.read(bundle / "sedid" / "generalise.json") == result
    return folder


def in_order(value: float, ends: tuple[float, float] | None) -> bool:
    """Whether a figure lies in its interval."""
    return ends is not None and ends[0] <= value <= ends[1]


def test_a_set_of_another_sampler_than_the_calibrations_is_named(measured: Path) -> None:
    """In every result that states how its images were made."""
    study = open_study(GeneraliseConfig(detector=str(measured / "tiny"), heldout="any", generated=(), device="cpu"))
    made = {name: study.made_by(str(measured / name / "images.npz")) for name in ("same", "other", "cross")}
    named = {name: one and one.calibrated_on for name, one in made.items()}
    assert named == {"same": "", "other": "ddim, 50 steps", "cross": ""}  # of the last the checkpoint is another
    assert made_by(made["other"]).endswith("seed 0, ANOTHER sampler than the calibration's (ddim, 50 steps)")
    assert made_by(made["cross"]).endswith("made by ANOTHER checkpoint (cross-checkpoint)")


def test_the_table_is_what_scoring_gives(measured: Path) -> None:
    file = measured / "tiny" / "sedid" / "generalise.json"
    result = GeneraliseResults.read(file)
    assert str(measured) not in file.read_text()
    rows = {row.set: row for row in result.rows}
    assert list(rows) == ["DDIM", "ddpm, 1000 steps", "older weights", "member reals"]
    assert [row.relation for row in rows.values()] == [SAME, OTHER, CROSS, MEMBERS]
    assert [row.count for row in rows.values()] == [6, 5, 4, 5]
    calibration = detector().stat[CHOSEN]
    sign = -1 if calibration.polarity == "smaller" else 1
    heldout, of_heldout = finish(score(detector(), pictures(7, 0), [K]))
    scores, of_set = finish(score(detector(), pictures(5, 3), [K]))
    expected = asdict(measure(sign * heldout[CHOSEN], sign * scores[CHOSEN], sign * calibration.threshold))
    stat = rows["ddpm, 1000 steps"].stat
    assert {name: getattr(stat, name) for name in expected} == pytest.approx(expected)
    assert stat.auc_paper_polarity == pytest.approx(measure(-heldout[CHOSEN], -scores[CHOSEN]).auc)
    assert in_order(stat.auc, stat.intervals["auc"])
    assert stat.intervals["tpr_at_1"] is None  # seven reals
    assert detector().nn is not None
    assert of_set is not None
    assert of_heldout is not None
    assert rows["ddpm, 1000 steps"].nn.auc == pytest.approx(measure(of_heldout, of_set).auc)
    judgements = [detector().inspect(image).judgement for image in pictures(5, 3)]
    calls = [judgement.stat.call for judgement in judgements if judgement.stat]
    assert rows["ddpm, 1000 steps"].verdicts == {call: calls.count(call) / 5 for call in Call}
    assert [pair.t_sec for pair in rows["DDIM"].pairs] == [K * n for n in range(1, 7)]
    members, _ = finish(score(detector(), pictures(5, 1), [K]))
    assert rows["member reals"].stat.auc == pytest.approx(measure(sign * heldout[CHOSEN], sign * members[CHOSEN]).auc)
    assert rows["member reals"].stat.acc is None  # both sides are real
    assert "at least" in rows["DDIM"].audit.skipped


def test_what_cannot_be_measured_is_refused(measured: Path, tmp_path: Path) -> None:
    bundle, heldout, same = str(measured / "tiny"), str(measured / "heldout.npz"), str(measured / "same" / "images.npz")
    common: dict[str, Any] = {"detector": bundle, "heldout": heldout, "out": str(tmp_path / "out")}
    for wrong, words in (
        ({"generated": ()}, "at least one set"),
        ({"generated": (f"a={same}", f"a={measured / 'cross' / 'images.npz'}")}, "a label of its own"),
        ({"generated": (f"a={same}", f"b={same}")}, "the same images"),
        ({"generated": (same,), "members": heldout}, "the same images"),
        ({"generated": (same,), "detector": str(tiny_bundle(tmp_path / "raw", calibrated=False))}, "not calibrated"),
    ):
        with pytest.raises(ValueError, match=words):
            finish(generalise(GeneraliseConfig(**common | wrong)))
    assert not (tmp_path / "out").exists()


def test_calibration_images_are_no_test(tmp_path: Path) -> None:
    from sedid.data.datasets import fingerprint

    bundle = tiny_bundle(tmp_path / "tiny")
    info = read_json(bundle / "sedid" / "detector.json")
    used = {"real": {"sha256": fingerprint(pictures(3, 0))}}
    update_info(bundle, stat=info["stat"] | {"data": used})
    for name, seed in (("a", 0), ("b", 1)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(3, seed))
    sets: dict[str, Any] = {"heldout": str(tmp_path / "a.npz"), "generated": (str(tmp_path / "b.npz"),)}
    with pytest.raises(ValueError, match=r"3 of 3 held-out reals images are also the detector's calibration \(real\)"):
        finish(generalise(GeneraliseConfig(detector=str(bundle), **sets)))


def test_a_set_no_other_than_reals_is_a_guess() -> None:
    """Made-up scores: one generated set is as the calibration's, the other as reals are."""
    rng = np.random.default_rng(0)
    heldout, alike, real = (made_up(rng, 300, generated) for generated in (False, True, False))
    pair = (K, K * (1 + int(np.argmax(GAPS))))
    _, made = write_evaluation_detector(pair)
    images = pictures(300, 0)  # no made-up calibration asks for them
    rows = [table_row(made, scores, heldout, (None, None), False, images) for scores in (alike, real)]
    words = [in_words(row.stat.intervals["auc"] or (0, 0), False) for row in rows]
    assert words == ["better than guessing", "fails: no better than guessing"]
    assert rows[0].verdicts["generated"] > rows[1].verdicts["generated"]
    assert rows[0].nn is None


def write_evaluation_detector(pair: tuple[int, int]) -> tuple[Path, Any]:
    """The detector of made-up results, its own pair set."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file, made = write_evaluation(Path(folder))
    return file, replace(made, chosen=pair)


def test_the_table_as_html(measured: Path, tmp_path: Path) -> None:
    result = GeneraliseResults.read(measured / "tiny" / "sedid" / "generalise.json")
    first, second, *others = result.rows
    leaky = replace(second, audit=LeakCheck("Format traces."))
    result = replace(result, rows=(replace(first, set="<b>evil"), leaky, *others))
    whole = generalise_report.whole(result)
    assert "<b>evil" not in whole
    assert "Format traces." in whole
    for row in result.rows:
        assert f"{row.stat.auc:.3f} [" in whole
        assert row.finding in whole
    assert whole.count('"ch-series ') == len(result.rows)
    assert "k = 165, T_SEC = 495" in generalise_report.protocol(result)
    write_json(tmp_path / "x.json", {"rows": []})
    with pytest.raises(ValueError, match="not a results file"):
        GeneraliseResults.read(tmp_path / "x.json")


def polarity_file(folder: Path) -> Path:
    """A polarity.json with its arrays, from made-up scores: no network."""
    rng = np.random.default_rng(0)
    images = {"real": pictures(60, 1), "generated": pictures(60, 2)}
    scores = {name: made_up(rng, 60, name == "generated") for name in images}
    statistics = {name: image_statistics(values) for name, values in images.items()}
    alone = {name: auc_of_smaller(statistics["real"][name], statistics["generated"][name]) for name in STATISTICS}
    rows = []
    for pair in scores["real"]:
        errors = {name: found[pair] for name, found in scores.items()}
        rows.append(polarity_row(pair, errors, errors, statistics, alone, 0))
    auc, rounding = rows[0].auc, Rounding(0.001, 0.002, 0.003, -0.001)
    methods = [FramedRow(method="stat", k=row.k, t_sec=row.t_sec, plain=row.auc, framed=auc) for row in rows]
    methods.append(FramedRow(method="nn", k=K, t_sec=825, plain=auc, framed=auc))
    methods.append(FramedRow(method="existing", t=20, plain=auc, framed=auc))
    result = PolarityResults(
        protocol=protocol_of(dict.fromkeys(images, 60)),
        polarity="the paper's",
        chain="JPEG",
        held_equal="regressed",
        noise_images=2,
        audit=LeakCheck(""),
        statistics={name: Statistic(alone[name], {"real": 1.0, "generated": 2.0}) for name in STATISTICS},
        rows=tuple(rows),
        frame=Lesson(
            transform="a crop",
            picture_share=0.09375,
            methods=tuple(methods),
            audit_plain=LeakCheck(""),
            audit_framed=LeakCheck("border <b>"),
        ),
        noise=tuple(NoiseRow(row.t_sec, 9.0, rounding, rounding) for row in rows),
    )
    result.write(folder / "polarity.json")
    save_scores(folder / "polarity-scores.npz", scores, statistics, K, images["generated"][0])
    return folder / "polarity.json"


def test_the_polarity_as_html(tmp_path: Path) -> None:
    result, arrays = load_polarity(polarity_file(tmp_path))
    labels = {name: label for name, (label, _) in STATISTICS.items()}
    alone = {name: found.auc for name, found in result.statistics.items()}
    page = polarity.whole(result, arrays)
    for row in result.rows:
        parts = (row.t_sec, row.auc, row.correlations, row.chain, row.held_equal)
        assert row.finding == finding(*parts, labels, alone)
        assert f"<b>T_SEC {row.t_sec}:</b>" in page
        assert row.finding.partition(": ")[2] in unescape(page)
        assert f"{row.auc.value:.3f} [" in page
    assert all(label[1:] in page for label in labels.values())
    scatter = polarity.scatter(arrays, 825, "contrast")
    assert scatter is not None
    assert scatter.html().count("h0") == 120  # every image once
    assert "0.9985" in page  # the paper's own figure at T_SEC 165
    assert "border &lt;b&gt;" in page
    assert data_uri(framed(arrays["example_plain"][None])[0]) in page
    assert "-0.10%" in page
    assert "60 real, 60 generated" in page
    t_sec, statistic = result.closest
    both = next(row for row in result.rows if row.t_sec == t_sec).correlations[statistic]
    weaker = min(abs(found.value) for found in both.values() if found)
    for row in result.rows:
        for pair in row.correlations.values():
            assert None in pair.values() or min(abs(found.value) for found in pair.values() if found) <= weaker
    closest = polarity.scatter(arrays, t_sec, statistic)
    assert closest is not None
    assert closest.html() in page


def test_parts_that_were_not_kept_say_so(tmp_path: Path) -> None:
    file = polarity_file(tmp_path)
    (tmp_path / "polarity-scores.npz").unlink()
    result, arrays = load_polarity(file)
    assert arrays == {}
    page = polarity.whole(replace(result, noise=()), arrays)
    assert "not kept" in page
    assert "<img" not in page
    assert "Not measured" in page
    write_json(tmp_path / "x.json", {"rows": [{"auc": 1}]})
    with pytest.raises(ValueError, match="not a results file"):
        load_polarity(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        load_polarity(tmp_path / "y.json")

"""The loop `choose`: what it scores, writes, refuses and applies, and how its results read as HTML."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import CHOSEN, pictures, shared_bundle, tiny_bundle
from helpers.choices import made_up_scores, make_choice
from helpers.fakes import make_detector

from sedid.detector.bundle import load_detector
from sedid.jobs.commands import COMMANDS, resolve_loop
from sedid.method.diffusion import NoiseSchedule, reverse_path
from sedid.progress import finish
from sedid.report import choice
from sedid.stats.metrics import best_threshold, measure
from sedid.storage import read_json
from sedid.studies import choose as module
from sedid.studies import study
from sedid.studies.choose import RATES, SETS, ChoiceResults, ChooseConfig, Scored, all_paths, choose, oriented
from sedid.training.scoring import score, score_paths

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Four sets of 8 images, as files."""
    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(SETS):
        np.savez(folder / f"{name}.npz", images=pictures(8, seed + 1))
    return {name: str(folder / f"{name}.npz") for name in SETS}


@pytest.fixture(scope="module")
def scored() -> Scored:
    """Made-up scores; only read."""
    return made_up_scores(60, (165, 330))


@pytest.fixture(scope="module")
def made(scored: Scored) -> ChoiceResults:
    """What stands in their choice.json; only read."""
    return make_choice(scored, error_rate=0.07)


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle folder, only read, whose network is arithmetic: calibrated at every T_SEC of k = 165."""
    fake = make_detector()
    pairs = [(165, 165 * n) for n in range(1, 7)]
    stat = {(k, t_sec): replace(fake.stat[165, 330], k=k, t_sec=t_sec) for k, t_sec in pairs}
    detector = replace(fake, stat=stat)
    monkeypatch.setattr(study, "load_detector", lambda *_: detector)
    return shared_bundle()


def config(bundle: Path, data: dict[str, str], **settings: object) -> ChooseConfig:
    small: dict = {"ks": (165,), "folds": 2, "resamples": 2, "timesteps": (), "device": "cpu"}
    return ChooseConfig(detector=str(bundle), **(data | small | settings))  # type: ignore[arg-type]


def test_one_command_gives_all(bundle: Path, data: dict[str, str], tmp_path: Path) -> None:
    before = (bundle / "sedid" / "detector.json").read_bytes()
    settings = config(bundle, data, ks=(495,), out=str(tmp_path))
    result = finish(choose(settings))
    model = study.load_detector().eps_model
    assert model.calls == 4 * (7 + 3)  # sets, points at k = 165 and at 495: nothing is evaluated twice
    found = ChoiceResults.read(tmp_path / "choice.json")
    assert found == result
    pairs = {(row.k, row.t_sec) for row in found.choice.candidates}
    assert pairs == {(495, 495), (495, 990), *((165, 165 * n) for n in range(1, 7))}  # the classifier's k joins
    assert set(found.reliability) == {"stat_platt", "stat_isotonic", "nn"}
    assert set(found.conformal) == {"stat", "nn"}
    assert found.protocol.images["test_real"] == study.ImageSet(
        8, found.protocol.images["test_real"].sha256, "test_real.npz"
    )
    assert str(tmp_path) not in (tmp_path / "choice.json").read_text()
    assert (bundle / "sedid" / "detector.json").read_bytes() == before

    assert finish(choose(settings)) == result  # a run goes on from the scores it has
    assert model.calls == 40
    swapped = data | {"test_real": data["real"], "real": data["test_real"]}
    finish(choose(config(bundle, swapped, ks=(495,), out=str(tmp_path))))
    assert model.calls == 80


def test_paths_are_chosen_on_calibration_images_and_measured_on_others(
    bundle: Path, data: dict[str, str], tmp_path: Path
) -> None:
    settings = config(bundle, data, timesteps=(990, 330, 660, 330), most=3, out=str(tmp_path))
    result = finish(choose(settings))
    found, model = result.paths, study.load_detector().eps_model
    assert found is not None
    pairs = [(row.k, row.t_sec) for row in found.choice.candidates]
    # 0, 330, 660 is k = 330; so is the beginning of 0, 330, 990, which is no walk of one step size
    assert pairs == [(330, 330), (660, 660), (990, 990), (330, 660), ((0, 330, 990), 990), ((0, 660, 990), 990)]
    assert [row.evaluations for row in found.choice.candidates] == [2, 2, 2, 3, 3, 3]
    best = [
        max((row for row in found.choice.candidates if row.evaluations == cost), key=lambda row: row.cv_auc)
        for cost in (2, 3)
    ]
    assert [(row.k, row.t_sec, row.polarity) for row in found.frontier] == [(b.k, b.t_sec, b.polarity) for b in best]
    walked = {(0,)} | {reverse_path(NoiseSchedule.linear(), b.k, b.t_sec)[:end] for b in best for end in (2, 3)}
    assert model.calls == 4 * 7 + 2 * 7 + 2 * len(walked)  # k = 165; six paths share seven points; the frontier's
    assert found.paper is not None
    assert (found.paper.k, found.paper.t_sec, found.paper.evaluations) == (165, 990, 7)
    assert ChoiceResults.read(tmp_path / "choice.json") == result
    shown = " ".join(choice.whole(result).split())
    assert "6 paths were tried" in shown
    assert "k = 165, T_SEC = 990 (the paper)" in shown
    calls = model.calls
    assert finish(choose(settings)) == result  # a run goes on from the scores it has
    assert model.calls == calls


def test_scores_of_paths_are_those_of_the_walk() -> None:
    detector, images = make_detector(), pictures(5)
    walked, _ = finish(score(detector, images, [330, (0, 100, 990)]))
    found = finish(score_paths(detector, images, [(0, 330, 660), (0, 100, 990), (0, 330)], 2))
    for path, pair in (((0, 330, 660), (330, 660)), ((0, 100, 990), ((0, 100, 990), 990)), ((0, 330), (330, 330))):
        np.testing.assert_allclose(found[path], walked[pair], rtol=1e-6)


def test_all_paths_are_those_of_two_to_most_evaluations() -> None:
    paths = all_paths((165, 330, 495, 660, 825, 990), 6)
    assert len(paths) == len(set(paths)) == 62  # every choice of one to five of six timesteps
    assert {len(path) for path in paths} == {2, 3, 4, 5, 6}
    assert (0, 495, 825, 990) in paths


def test_apply_changes_a_copy(bundle: Path, data: dict[str, str], tmp_path: Path, monkeypatch) -> None:
    before = (bundle / "sedid" / "detector.json").read_bytes()
    applied: list = []
    monkeypatch.setattr(module, "apply", lambda folder, *_: applied.append(folder))
    finish(choose(config(bundle, data, apply=True, resamples=2, out=str(tmp_path))))
    assert applied == [tmp_path / "bundle"]
    assert load_detector(tmp_path / "bundle", "cpu").chosen == CHOSEN
    assert (tmp_path / "choice.json").is_file()
    assert (bundle / "sedid" / "detector.json").read_bytes() == before


def test_the_applied_pair_says_how_it_was_chosen(made: ChoiceResults, tmp_path: Path) -> None:
    own = tiny_bundle(tmp_path / "tiny")
    detector = load_detector(own, "cpu")
    first = made.choice.candidates[0]
    chosen = replace(first, k=165, t_sec=825, polarity="smaller")
    choices = replace(made.choice, chosen=chosen, candidates=(*made.choice.candidates, chosen))
    result = replace(made, choice=choices)
    module.apply(own, detector, result)
    info = read_json(own / "sedid" / "detector.json")
    assert load_detector(own, "cpu").chosen == (165, 825)
    assert "cross-validated AUC less 0.001 a network evaluation" in info["stat"]["chosen_by"]
    assert info["stat"]["calibrations"] == json.loads(json.dumps(detector.info["stat"]["calibrations"]))
    other = replace(chosen, polarity="larger")
    turned = replace(made, choice=replace(choices, chosen=other, candidates=(other,)))
    with pytest.raises(ValueError, match="other polarity"):
        module.apply(own, detector, turned)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ks": ()}, "at least one"),
        ({"ks": (2000,)}, "k"),
        ({"error_rate": 0.5}, "error_rate"),
        ({"resamples": 1}, "resamples"),
        ({"folds": 5}, "too few for 5 folds"),
        ({"penalty": -1.0}, "penalty"),
        ({"timesteps": (165, 1000)}, "ascending timesteps up to 999"),
        ({"timesteps": (165,), "most": 1}, "most must be at least 2"),
        ({"ks": (330,), "apply": True}, "k = 330 is not"),
    ],
)
def test_settings_that_do_not_fit_score_nothing(
    bundle: Path, data: dict[str, str], tmp_path: Path, settings: dict, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        finish(choose(config(bundle, data, out=str(tmp_path), **settings)))
    assert not (tmp_path / "choice.json").exists()
    assert not (tmp_path / "choice").exists()


def test_test_images_that_chose_something_are_refused(data: dict[str, str], tmp_path: Path) -> None:
    from sedid.data.datasets import fingerprint, load_images
    from sedid.detector.bundle import update_info

    own = tiny_bundle(tmp_path / "tiny")
    with pytest.raises(ValueError, match="test_real images are also calibration"):
        finish(choose(config(own, data | {"test_real": data["real"]})))
    info = read_json(own / "sedid" / "detector.json")
    sha = fingerprint(load_images(data["test_generated"], 32, None))
    update_info(own, nn=info["nn"] | {"data": {"generated": {"count": 8, "sha256": sha}}})
    with pytest.raises(ValueError, match="test_generated images are also the detector's classifier"):
        finish(choose(config(own, data)))


def test_the_classifiers_own_training_images_calibrate_no_verdict(scored: Scored) -> None:
    found = make_choice(scored, "the classifier was trained on these calibration images", resamples=2)
    assert (found.conformal["nn"].rates, found.conformal["nn"].skipped) == (
        (),
        "the classifier was trained on these calibration images",
    )
    assert "trained on these calibration images" in choice.whole(found)
    alone = make_choice(Scored(scored.errors, {}), resamples=2)
    assert alone.reliability.keys() == {"stat_platt", "stat_isotonic"}
    assert alone.conformal.keys() == {"stat"}


def test_the_interval_shown_is_that_of_a_choice_made_anew(made: ChoiceResults) -> None:
    words = choice.whole(made)
    assert made.choice.nested_interval is not None
    low, high = made.choice.nested_interval
    assert f"nested AUC is {low:.3f} to {high:.3f}" in words
    older = replace(made, choice=replace(made.choice, nested_interval=None, polarity_share=None))
    words = " ".join(choice.whole(older).split())
    assert "nested AUC is" not in words
    assert "of the same polarity" not in words
    assert "costs AUC" in words


def test_the_test_images_have_no_say(scored: Scored, made: ChoiceResults) -> None:
    """Other test images change every figure of merit and nothing that was chosen or fitted."""
    other = Scored({name: dict(errors) for name, errors in scored.errors.items()}, scored.probabilities)
    for name in ("test_real", "test_generated"):
        other.errors[name].update({pair: values[::-1] * 1.5 for pair, values in other.errors[name].items()})
    one, two = made, make_choice(other, error_rate=0.07)
    assert one.choice == two.choice
    assert one.test.threshold == two.test.threshold
    assert one.test.acc != two.test.acc
    for walk, same in zip(one.sequential.walks, two.sequential.walks, strict=True):
        assert (walk.weights, walk.biases) == (same.weights, same.biases)
        for row, twin in zip(walk.rates, same.rates, strict=True):
            assert (row.upper, row.lower) == (twin.upper, twin.lower)
    assert one.reliability["stat_platt"] != two.reliability["stat_platt"]


def test_the_figures_are_those_of_the_chosen_pair(scored: Scored, made: ChoiceResults) -> None:
    found = made
    chosen = found.choice.chosen
    calibration, test = oriented(scored, chosen)
    assert found.test.auc == measure(*test).auc
    assert found.test.threshold == -best_threshold(*calibration)  # made up so that a smaller error is generated
    low, high = found.test.intervals["auc"] or (0, 0)
    assert low < found.test.auc < high
    expected = sorted({*RATES, 0.07})
    for rows in (found.sequential.walks[0].rates, found.conformal["stat"].rates):
        assert [row.error_rate for row in rows] == expected
    walks = found.sequential.walks
    assert walks[0].t_sec == chosen.t_sec
    assert all(walk.evaluations == walk.rates[0].evaluations_full for walk in walks)


def test_the_page_shows_every_part(made: ChoiceResults, tmp_path: Path) -> None:
    made.write(tmp_path / "choice.json")
    result = ChoiceResults.read(tmp_path / "choice.json")
    html = choice.whole(result)
    chosen = result.choice.chosen
    assert f"<b>k = {chosen.k}, T_SEC = {chosen.t_sec}</b>" in html
    assert html.count("data-t=") == len(result.choice.candidates)
    assert html.count(' ch-chosen"') == 1
    assert html.count('<svg class="ch-svg"') == 2 + 3 + 3  # the grid and what evaluations buy, stopping, probabilities
    assert "nan" not in html.replace("dominan", "")
    assert "6.7%" in html
    for words in ("How stable", "Stopping early", "taken at their word", "Verdicts at a stated error rate"):
        assert words in html


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for content in (
        "[]",
        "{}",
        '{"choice": {}, "test": 1, "sequential": {}, "reliability": 1, "conformal": 1, "protocol": 1}',
    ):
        (tmp_path / "choice.json").write_text(content)
        with pytest.raises(ValueError, match="not a results file"):
            ChoiceResults.read(tmp_path / "choice.json")


def test_the_loop_is_a_command_and_a_job() -> None:
    assert COMMANDS["choose"].job
    loop, settings = resolve_loop("choose", "demo", None, [*(f"{name}=x" for name in ("detector", *SETS)), "penalty=0"])
    assert loop is choose
    assert (settings.ks, settings.penalty) == ((165, 330, 495), 0.0)

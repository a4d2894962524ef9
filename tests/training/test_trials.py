"""Short trials: the same images for all, one setting changed, and a file that says what came out."""

from dataclasses import replace
from pathlib import Path

import pytest

from sedid.detector.bundle import made_with
from sedid.progress import finish
from sedid.storage import read_json
from sedid.training.trials import TrialsConfig, TrialsResults, training_of, trials


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> TrialsConfig:
    return TrialsConfig(
        data="sample:real[0:40]",
        heldout="sample:real[40:60]",
        out=str(tmp_path_factory.mktemp("runs") / "trials"),
        variants=("min_snr_gamma=0", "batch_size=4 min_snr_gamma=5"),
        start=str(tiny_bundle),
        batch_size=8,
        images=16,
        device="cpu",
    )


@pytest.fixture(scope="module")
def file(config: TrialsConfig) -> Path:
    """What a whole round wrote."""
    return finish(trials(config))


def test_a_variant_changes_what_it_names_and_sees_as_many_images(config: TrialsConfig) -> None:
    plain, other = (training_of(config, number) for number in range(2))
    assert plain.steps * plain.batch_size == other.steps * other.batch_size == config.images
    assert (other.batch_size, other.min_snr_gamma, plain.min_snr_gamma) == (4, 5.0, 0.0)
    assert (plain.data, plain.seed, plain.learning_rate) == (other.data, other.seed, other.learning_rate)


def test_every_variant_is_measured_and_a_second_run_repeats_nothing(config: TrialsConfig, file: Path) -> None:
    written = read_json(file)
    assert [trial["changes"] for trial in written["trials"]] == list(config.variants)
    for trial in written["trials"]:
        assert sum(trial["loss_by_band"]) / 5 == pytest.approx(trial["loss"], rel=1e-5)
        assert 0 < trial["weighted_loss"] < trial["loss"]
    assert written["trials"][0]["loss"] != written["trials"][1]["loss"]
    assert written["versions"] == made_with()
    assert {"python", "torch", "commit"} <= written["versions"].keys()
    assert str(Path(config.out).parent) not in file.read_text()
    assert list(trials(config)) == []
    assert read_json(file) == written


def test_an_interrupted_round_goes_on_at_the_variant_that_is_missing(
    config: TrialsConfig, file: Path, tmp_path: Path
) -> None:
    again = replace(config, out=str(tmp_path / "trials"))
    running = trials(again)
    while next(running).stage.startswith("trial 1"):
        pass
    running.close()
    assert len(read_json(Path(again.out) / "trials.json")["trials"]) == 1
    begun = TrialsResults.read(Path(again.out) / "trials.json")
    replace(begun, versions={"torch": "1.0"}).write(Path(again.out) / "trials.json")  # in another environment
    assert read_json(finish(trials(again))) == read_json(file)


@pytest.mark.parametrize(
    ("variants", "complaint"),
    [((), "at least one"), (("seed=3",), "seed is the same in all"), (("speed=3",), "speed")],
)
def test_what_does_not_fit_is_refused(config: TrialsConfig, variants: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        next(trials(replace(config, variants=variants)))


@pytest.mark.usefixtures("file")
def test_other_settings_do_not_mix_with_what_is_there(config: TrialsConfig) -> None:
    with pytest.raises(ValueError, match="other settings"):
        next(trials(replace(config, seed=1)))

"""The paper's recipe as settings, its cost against counted evaluations, and the command from plan to report."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from sedid.cli import app
from sedid.jobs.commands import resolve_loop
from sedid.models.networks import UNETS
from sedid.progress import Progress, finish
from sedid.recipes import reproduce
from sedid.recipes.reproduce import Cost, Plan, Speed, changes, costs, in_words, make_plan, rate, recipe, settings_of
from sedid.recipes.whole_loop import LoopConfig, check, loop
from sedid.studies import evaluate

pytestmark = pytest.mark.usefixtures("one_thread")

SPEED = Speed("cpu", forward=100.0, forward_batch=64, training=25.0, training_batch=16, classifier=50.0)


def test_the_whole_recipe_is_the_papers() -> None:
    config = LoopConfig("out", **recipe("celeba"))
    assert (config.steps, config.batch_size, config.unet, config.warmup_steps) == (1_200_000, 128, "paper", 5_000)
    assert (config.sampler, config.sampler_steps, config.count, config.members) == ("ddpm", 1000, 50_000, 50_000)
    assert (config.ks, config.input, config.epochs, config.classifier_rate) == ((165,), "pair", 20, 1e-3)
    assert (config.data, config.center_crop, config.ema_decay, config.learning_rate) == ("celeba", 140, 0.9999, 2e-4)
    assert recipe("cifar10")["steps"] == 800_000
    assert changes("celeba", config) == {}


@pytest.mark.parametrize("name", reproduce.TRAINING_STEPS)
@pytest.mark.parametrize("scale", [1.0, 0.3, 0.01, 1e-6])
def test_every_scale_is_a_loop_that_passes_its_check(name: str, scale: float) -> None:
    config = LoopConfig("out", **recipe(name, scale))
    check(config)
    assert config.count >= config.calibration + config.classifier + config.test
    assert config.steps >= 100
    assert config.test >= 100
    assert config.ks == (165,)


def test_a_scale_takes_its_share_and_says_what_it_changed() -> None:
    config = LoopConfig("out", **recipe("cifar10", 0.05))
    assert (config.steps, config.count, config.eval_every, config.unet) == (40_000, 2_500, 250, "small")
    assert config.sampler_steps == 1000
    tiny = LoopConfig("out", **recipe("cifar10", 0.0005))
    assert (tiny.count, tiny.unet) == (260, "demo")
    assert tiny.sampler_steps == round(1000 * 25 / 260)  # as much sampling as the share's 25 images would have cost
    assert changes("cifar10", tiny)["steps"] == (800_000, 400)
    assert "out" not in changes("cifar10", tiny)


@pytest.mark.parametrize(
    ("name", "scale", "said"),
    [("mnist", 1.0, "accepted: cifar10"), ("celeba", 0.0, "above 0"), ("celeba", 2.0, "at most 1")],
)
def test_what_is_no_recipe_is_refused(name: str, scale: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        recipe(name, scale)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Settings of a reproduction of seconds, data and run folder among them: own photographs, a network of nothing."""
    small: dict[str, Any] = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
    monkeypatch.setitem(UNETS, "demo", UNETS["demo"] | small)
    rng = np.random.default_rng(1)
    for name, count in (("photographs", 24), ("others", 60)):
        coarse = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=coarse.repeat(8, 1).repeat(8, 2))
    counts = {"validation": 4, "calibration": 12, "classifier": 10, "test": 11, "members": 13, "count": 40}
    more = counts | {"steps": 3, "batch_size": 4, "eval_every": 2, "sampler_steps": 2, "epochs": 1, "device": "cpu"}
    where = {"data": f"{tmp_path}/photographs.npz", "heldout": f"{tmp_path}/others.npz", "out": f"{tmp_path}/run"}
    return settings_of("celeba", 0.001, **where, more=[f"{key}={value}" for key, value in more.items()])


def command(settings: list[str], *more: str) -> Result:
    """The command line with these settings."""
    given = [part for text in settings for part in ("--set", text)]
    return CliRunner().invoke(app, ["reproduce", "celeba", "--scale", "0.001", *given, *more])


def test_the_command_ends_in_a_report_and_goes_on_where_it_was_stopped(
    offline: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "measure_speed", lambda _: SPEED)  # its own test is below
    dry = command(offline, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "The paper's recipe for celeba, changed in: " in dry.output
    assert "steps 1,200,000 -> 3" in dry.output
    assert "data" not in dry.output.partition("changed in: ")[2].splitlines()[0]
    assert not (tmp_path / "run").exists()

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "measure", broken)
        stopped = command(offline)
    assert stopped.exit_code == 130
    assert "the same command goes on from there" in stopped.output
    done = command(offline)
    assert done.exit_code == 0, done.output
    assert re.findall(r"^(\S+) .* finished$", done.output, re.MULTILINE) == [
        "train-ddpm",
        "generate",
        "calibrate",
        "train-nn",
    ]
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h1>SeDID: celeba measured</h1>" in report
    assert "Paper: CelebA" in report  # by the recipe's name: the data's own says nothing
    info = json.loads((tmp_path / "run" / "bundle" / "sedid" / "detector.json").read_text())
    assert (info["training"]["data"], info["center_crop"]) == ("celeba", 140)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["changes"]["steps"] == [1_200_000, 3]


def test_costs_are_what_the_loop_evaluates(offline: list[str]) -> None:
    """Counted on a real run: every progress record of scoring and generating, and the sizes of the training."""
    _, config = resolve_loop("loop", "", None, offline)
    counted = {cost.stage: cost for cost in costs(config, SPEED)}
    totals: dict[str, dict[str, int]] = {}

    def record(progress: Progress) -> None:
        place, _, stage = progress.stage.partition(", ")
        if progress.unit in ("evaluations", "steps"):
            totals.setdefault(place, {})[stage] = progress.total

    finish(loop(config), record)
    measured = {place: sum(stages.values()) for place, stages in totals.items()}
    assert measured["stage 4 of 9"] * config.count == counted["generate"].evaluations  # one batch of all images
    assert measured["stage 5 of 9"] == counted["calibrate"].evaluations
    assert measured["stage 7 of 9"] == counted["evaluate"].evaluations
    assert measured["stage 6 of 9"] <= counted["train-nn"].evaluations  # which takes the longest T_SEC to be chosen
    training = 3 * config.steps * config.batch_size + 2 * (config.validation + 16 * 20)
    assert counted["train-ddpm"].evaluations == training
    assert counted["generate"].hours == pytest.approx(80 / 100 / 3600)


def test_the_speed_is_measured_at_a_batch_the_device_bears() -> None:
    asked: list[int] = []
    images, batch = rate(asked.append, most=50, seconds=0.0)
    assert (asked, batch) == ([1, 1], 1)
    assert images > 0
    asked.clear()
    assert rate(asked.append, most=50, seconds=0.001)[1] == 50
    assert set(asked) == {1, 4, 16, 50}


def test_the_device_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    most = []

    def quick(step: Any, batch: int, seconds: float = 0.5) -> tuple[float, int]:
        most.append(batch)
        return rate(step, 2, 0.0)

    monkeypatch.setattr(reproduce, "rate", quick)
    config = replace(LoopConfig("out", **recipe("cifar10", 0.001)), device="cpu")
    speed = reproduce.measure_speed(config)
    assert min(speed.forward, speed.training, speed.classifier) > 0
    assert most == [256, 128, 128]


def test_times_in_words(tmp_path: Path) -> None:
    made = [Cost("train-ddpm", 300, 0, 100.0), Cost("generate", 1_000, 0, 0.5)]
    plan = Plan("cifar10", LoopConfig(str(tmp_path)), {}, SPEED, made, [])
    said = in_words(plan)
    assert said.startswith("The paper's recipe for cifar10, whole.")
    assert "100 h (4 days)" in said
    assert re.search(r"left to do +1,300 +0 +100 h \(4 days\)", said)
    assert "30 min 0 s" in in_words(replace(plan, finished=["train-ddpm"]))
    assert re.search(r"left to do +1,000", in_words(replace(plan, finished=["train-ddpm"])))


def test_a_setting_that_does_not_fit_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown sampler 'magic'"):
        make_plan("cifar10", [*settings_of("cifar10", 0.001, str(tmp_path), "", "", []), "sampler=magic"])

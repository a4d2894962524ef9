"""The load command: many visitors at once on a served app, and the figures it makes of what they saw."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.bundles import shared_bundle

from sedid.jobs.commands import resolve_loop
from sedid.progress import finish
from sedid.ui.server import access, load
from sedid.ui.server.load import Answer, LoadConfig, Pair, Visitor, results


@pytest.fixture(scope="module")
def tabs() -> tuple[str, ...]:
    return ("inspect",)


def test_visitors_ask_for_everything_and_the_figures_are_written(url: str, tmp_path: Path) -> None:
    mix = ("inspect=2", "move=1", "step=1", "batch=2")
    where = (f"url={url}", f"detector={shared_bundle()}", f"out={tmp_path}")
    loop, config = resolve_loop("load", "demo", None, ("visitors=6", "seconds=4", "alone=1", *mix, *where))
    file = finish(loop(config))
    found = json.loads(file.read_text())
    assert file == tmp_path / "load.json"
    assert found["errors"] == {}
    assert found["by_kind"].keys() == {"inspect", "move", "step", "batch"}
    assert found["all"]["count"] == sum(one["count"] for one in found["by_kind"].values())
    assert found["alone"]["count"] >= 1
    assert found["pictures_per_second"] > 0
    assert found["of_network"] == pytest.approx(found["pictures_per_second"] / found["network_per_second"], rel=0.01)
    assert len(found["megabytes"]) >= 3
    assert found["settings"].keys().isdisjoint({"url", "detector", "out"})  # places of this machine


def test_who_has_had_their_share_reads_how_long_to_wait(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDID_PUBLIC", "1")
    monkeypatch.setattr(access, "pages", access.Allowance(10, 60))
    config = LoadConfig(seed=1)  # pictures that nobody has asked about
    visitor, other = (Visitor(url, config, number, Pair(165, 0.0)) for number in (0, 1))
    first, second = visitor.ask("inspect"), visitor.ask("inspect")
    assert first.refused == ""
    assert "share of network evaluations. Please wait" in second.refused
    assert visitor.ask("move").refused != ""  # the picture that was refused is not known
    assert other.ask("inspect").refused == ""  # another page has its own


def test_only_an_app_of_this_machine_is_put_under_load() -> None:
    for address in ("http://192.0.2.1:7860/", "https://example.org/", "http://127.0.0.1.example.org/"):
        with pytest.raises(ValueError, match="only an app of this machine"):
            finish(load.load(LoadConfig(url=address)))
    with pytest.raises(ValueError, match="nothing is asked for"):
        finish(load.load(LoadConfig(inspect=0, move=0, step=0, batch=0)))
    with pytest.raises(ValueError, match="visitors"):
        LoadConfig(visitors=1000)


def test_the_figures_are_those_of_the_answers() -> None:
    crowd = [Answer("inspect", 0.0, float(number), 1, "") for number in range(1, 101)]
    crowd += [Answer("batch", 0.0, 10.0, 20, ""), Answer("move", 0.0, 0.1, 0, "")]
    crowd += [Answer("inspect", 0.0, 0.1, 0, f"You have had it. {load.WAIT} 3 seconds.")] * 2
    crowd += [Answer("inspect", 0.0, 0.1, 0, "ReadError")]
    memory = [100] * 20 + [100] * 10 + [101] * 20 + [102] * 10
    found: Any = results(LoadConfig(), Pair(165, 6.0), crowd[:3], crowd, 60.0, 30.0, memory)
    assert (found.pictures_per_second, found.of_network, found.cpu_per_picture) == (2.0, 0.333, 0.25)
    assert (found.by_kind["inspect"].p50, found.by_kind["inspect"].worst) == (50.5, 100)
    assert found.by_kind["inspect"].p95 == pytest.approx(95.05)
    assert (found.alone.count, found.alone.p50) == (3, 2)
    assert (found.told_to_wait, found.errors) == (2, {"ReadError": 1})
    assert found.sentence.endswith("3 seconds.")
    assert found.growth == 0.02
    assert {"python", "torch"} <= found.versions.keys()
    assert results(LoadConfig(), Pair(165, 0.0), [], [], 1.0, 1.0, []).growth is None

"""The Markdown tables of several detectors: what stands in a cell is what stands in a results file."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bundles import tiny_bundle
from helpers.results import protocol_of, write_comparison, write_evaluation

from sedid.detector.bundle import update_info
from sedid.method import paper
from sedid.models.networks import load_unet
from sedid.report.card import fill, measured, parameters_of
from sedid.report.generalise import whole
from sedid.report.markdown import (
    results_table,
    samplers_table,
    speed_table,
    steps_table,
    summary_table,
    t_secs_table,
    trials_table,
)
from sedid.stats.metrics import measure
from sedid.studies.comparison import ComparisonResults
from sedid.studies.evaluate import EvaluationResults
from sedid.studies.generalise import GeneraliseResults, SetMetrics, SetPair, SetRow
from sedid.studies.speed import Machine, Row, SpeedResults
from sedid.studies.study import JudgedAt
from sedid.training.trials import Trial, TrialsResults


def evaluated(folder: Path, data: str, count: int = 60) -> Path:
    """A bundle with made-up results."""
    bundle = tiny_bundle(folder)
    write_evaluation(bundle / "sedid", count)
    update_info(bundle, training={"data": data, "step": 1_200, "batch_size": 32, "before": "a start"})
    return bundle


def cells(table: str, row: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[row].strip("|").split("|")]


def test_every_detector_stands_beside_the_paper_s_own_data_set(tmp_path: Path) -> None:
    bundles = [evaluated(tmp_path / "faces", "CelebA, 15,000 faces"), evaluated(tmp_path / "cifar10", "CIFAR-10")]
    compared = write_comparison(bundles[0] / "sedid")
    found = ComparisonResults.read(compared)
    first, *others = found.rows["heldout"]
    rows = (*others, replace(first, method="sedid-multi-gb ks=165", auc=0.876))
    replace(found, rows={"heldout": rows}, tests={}).write(compared)
    table = summary_table(bundles)
    results = EvaluationResults.read(bundles[0] / "sedid" / "results.json")
    chosen = next(row for row in results.stat["heldout"] if row.chosen)
    assert cells(table, 2) == [
        "faces (CelebA)",
        "ddpm, 1000 steps",
        f"{chosen.auc:.3f} at (165, {chosen.t_sec})",
        chosen.polarity,
        f"{paper.TABLE_2['stat'][2][0]:.3f}",
        "0.876",
        f"{results.nn['heldout'].auc:.3f}",
        f"{paper.TABLE_2['nn'][2][0]:.3f}",
    ]
    assert cells(table, 3)[0] == "cifar10 (CIFAR-10)"
    assert cells(table, 3)[5] == ""


def test_the_smallest_rate_needs_a_thousand_reals(tmp_path: Path) -> None:
    for count, shown in ((60, "n/a"), (1_000, None)):
        results = EvaluationResults.read(write_evaluation(tmp_path, count)[0])
        head, first = (cells(results_table(results), row) for row in (0, 2))
        place = head.index("TPR@0.1 % (held-out)")
        assert first[place] == (shown or f"{results.stat['heldout'][0].tpr_at_01:.3f}")
        assert len(head) == len(first)


def test_the_set_up_is_told_from_the_files(tmp_path: Path) -> None:
    bundle = evaluated(tmp_path / "celeba", "CelebA")
    unet = load_unet(bundle)
    assert parameters_of(bundle) == sum(value.numel() for value in unet.parameters())
    text = measured(bundle)
    assert "| training steps, images a step | 1,200 of 32, after a start | 1,200,000 of 128 |" in text
    assert "| sampler | ddpm, 1000 steps | ancestral, 1,000 steps |" in text


def test_every_sampler_stands_beside_the_paper_s_along_t_sec() -> None:
    def row(name: str, relation: str, *aucs: float) -> SetRow:
        of_k = zip((165, 165, 330), (165, 990, 330), (*aucs, 0.9), strict=True)
        pairs = tuple(
            SetPair(k=k, t_sec=t_sec, polarity="smaller", auc=auc, auc_paper_polarity=auc) for k, t_sec, auc in of_k
        )
        metrics: dict[str, Any] = asdict(measure(np.zeros(2), np.ones(2)))
        stat = SetMetrics(intervals={}, **metrics)
        about: dict[str, Any] = {"data_set": "a.npz", "sampler": None, "steps": None, "variance": "", "finding": ""}
        about |= {"checkpoint_sha256": None, "count": 2, "audit": None, "sides": {}, "nn": None, "verdicts": {}}
        return SetRow(set=name, relation=relation, pairs=pairs, stat=stat, **about)

    rows = (
        row("ddpm, 1000 steps", "other sampler", 0.54, 0.86),
        row("ddim, 50 steps", "same sampler", 0.59, 0.35),
        row("member reals", "member reals", 0.5, 0.5),
    )
    found = GeneraliseResults(
        protocol=protocol_of({"held-out reals": 9}, detector="celeba"),
        calibrated_on=None,
        stat=JudgedAt(165, 990, "smaller", 1.0),
        nn=None,
        heldout_verdicts={},
        heldout_sides={},
        rows=rows,
    )
    table = t_secs_table(found)
    assert cells(table, 0) == ["set", "T_SEC 165", "T_SEC 990"]
    assert cells(table, 2) == ["ddpm, 1000 steps", "0.540", "0.860"]
    assert cells(table, 3) == ["ddim, 50 steps", "0.590", "0.350"]
    published = [f"{paper.TABLE_1[t_sec][2][0]:.3f}" for t_sec in (165, 990)]
    assert cells(table, 4) == ["paper, CelebA, ancestral, 1,000 steps", *published]
    assert len(table.splitlines()) == 5
    assert t_secs_table(replace(found, rows=tuple(replace(one, pairs=one.pairs[-1:]) for one in rows))) == ""
    assert found.at_the_end() == (0, {})  # no two walks share a T_SEC
    walks = ((330, 0.9), ((0, 495, 990), 0.8))
    more = [SetPair(k=k, t_sec=990, polarity="smaller", auc=auc, auc_paper_polarity=auc) for k, auc in walks]
    shared = replace(found, rows=tuple(replace(one, pairs=(*one.pairs, *more)) for one in rows))
    last, sets = shared.at_the_end()
    assert last == 990
    table = steps_table(sets)
    assert cells(table, 0) == ["set", "k = 165", "k = 330", "path 0, 495, 990"]
    assert cells(table, 3) == ["ddim, 50 steps", "0.350", "0.900", "0.800"]
    assert len(table.splitlines()) == 4  # without member reals
    assert "at T_SEC 990 by the steps that lead there" in samplers_table(shared)
    assert "path 0, 495, 990" in whole(shared)


def test_the_best_of_the_trials_is_bold(tmp_path: Path) -> None:
    settings = {"images": 3_200, "start": "cifar10", "data": "a.zip[0:60]", "batch_size": 32, "learning_rate": 2e-4}
    trials = [
        Trial(name, plain, weighted, (plain, 0.0004))
        for name, weighted, plain in (("learning_rate=1e-4", 0.01666, 0.0354), ("batch_size=64", 0.0167, 0.0353))
    ]
    settings |= {"min_snr_gamma": 5.0, "gamma": 5.0}
    found = TrialsResults(settings=settings, start_sha256="", heldout_sha256="", trials=tuple(trials))
    table = trials_table(found).split("\n\n")[1]
    assert cells(table, 2) == ["learning_rate=1e-4", "**0.01666**", "0.03540", "0.00040"]
    assert cells(table, 3) == ["batch_size=64", "0.01670", "**0.03530**", "0.00040"]
    bundle = evaluated(tmp_path / "celeba", "CelebA")
    found.write(tmp_path / "trials.json")
    file = tmp_path / "README.md"
    file.write_text("<!-- all/trials -->\n<!-- /all/trials -->\n")
    assert fill(file, bundle) == ["all/trials"]
    assert trials_table(found) in file.read_text()


def test_a_missed_bar_is_said() -> None:
    machine = Machine("cpu", "x86_64", 2, 2, None, "2.14.1", "3.11")
    rows = (
        Row("one image / 1 s", 1.25, "<= 1", False, "fastest of 5"),
        Row("fp32 / bf16", None, "", None, "no bf16 here"),
    )
    found = SpeedResults(machine=machine, network="cifar10", quick=False, rows=rows)
    text = speed_table(found)
    assert text.startswith("On cpu, 2 cores, 2 threads, torch 2.14.1. Missed: one image / 1 s.\n\n")
    assert text.splitlines()[-2:] == [
        "| one image / 1 s | 1.250 | <= 1 | fastest of 5 |",
        "| fp32 / bf16 | n/a |  | no bf16 here |",
    ]
    assert "All bars are met." in speed_table(replace(found, rows=rows[1:]))


def test_the_blocks_of_a_readme_are_filled_and_nothing_else(tmp_path: Path) -> None:
    bundle = evaluated(tmp_path / "checkpoints" / "celeba", "CelebA")
    file = tmp_path / "README.md"
    file.write_text(
        "a\n<!-- celeba/results -->\nstale\n<!-- /celeba/results -->\nb\n<!-- all/summary -->\n<!-- /all/summary -->\nc\n"
    )
    assert fill(file, bundle) == ["celeba/results", "all/summary"]
    text = file.read_text()
    assert "stale" not in text
    assert [line for line in text.splitlines() if line in ("a", "b", "c")] == ["a", "b", "c"]
    assert measured(bundle) in text
    assert summary_table([bundle]) in text
    assert fill(file, bundle) == ["celeba/results", "all/summary"]
    assert file.read_text() == text
    with pytest.raises(FileNotFoundError):
        measured(tiny_bundle(tmp_path / "unmeasured"))

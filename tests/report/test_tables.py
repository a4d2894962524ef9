"""The Markdown tables of several detectors: what stands in a cell is what stands in a results file."""

from pathlib import Path

import pytest
from helpers.bundles import tiny_bundle
from helpers.results import write_evaluation

from sedid.detector.bundle import update_info
from sedid.method import paper
from sedid.models.networks import load_unet
from sedid.report.card import fill, measured, parameters_of
from sedid.report.markdown import results_table, speed_table, summary_table, t_secs_table, trials_table
from sedid.storage import read_json, write_json


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
    write_json(
        bundles[0] / "sedid" / "compare.json",
        {
            "rows": {
                "heldout": [{"method": "sedid-stat", "auc": 0.1}, {"method": "sedid-multi-gb ks=165", "auc": 0.876}]
            }
        },
    )
    table = summary_table(bundles)
    results = read_json(bundles[0] / "sedid" / "results.json")
    chosen = next(row for row in results["stat"]["heldout"] if row["chosen"])
    assert cells(table, 2) == [
        "faces (CelebA)",
        "ddpm, 1000 steps",
        f"{chosen['auc']:.3f} at (165, {chosen['t_sec']})",
        chosen["polarity"],
        f"{paper.TABLE_2['stat'][2][0]:.3f}",
        "0.876",
        f"{results['nn']['heldout']['auc']:.3f}",
        f"{paper.TABLE_2['nn'][2][0]:.3f}",
    ]
    assert cells(table, 3)[0] == "cifar10 (CIFAR-10)"
    assert cells(table, 3)[5] == ""


def test_the_smallest_rate_needs_a_thousand_reals(tmp_path: Path) -> None:
    for count, shown in ((60, "n/a"), (1_000, None)):
        results = read_json(write_evaluation(tmp_path, count)[0])
        head, first = (cells(results_table(results), row) for row in (0, 2))
        place = head.index("TPR@0.1 % (held-out)")
        assert first[place] == (shown or f"{results['stat']['heldout'][0]['tpr_at_01']:.3f}")
        assert len(head) == len(first)


def test_the_set_up_is_told_from_the_files(tmp_path: Path) -> None:
    bundle = evaluated(tmp_path / "celeba", "CelebA")
    unet = load_unet(bundle)
    assert parameters_of(bundle) == sum(value.numel() for value in unet.parameters())
    text = measured(bundle)
    assert "| training steps, images a step | 1,200 of 32, after a start | 1,200,000 of 128 |" in text
    assert "| sampler | ddpm, 1000 steps | ancestral, 1,000 steps |" in text


def test_every_sampler_stands_beside_the_paper_s_along_t_sec() -> None:
    def pairs(*aucs: float) -> list[dict[str, float]]:
        of_k = [
            {"k": 165, "t_sec": t_sec, "auc_paper_polarity": auc} for t_sec, auc in zip((165, 990), aucs, strict=True)
        ]
        return [*of_k, {"k": 330, "t_sec": 330, "auc_paper_polarity": 0.9}]

    rows = [
        {"set": "ddpm, 1000 steps", "relation": "other sampler", "pairs": pairs(0.54, 0.86)},
        {"set": "ddim, 50 steps", "relation": "same sampler", "pairs": pairs(0.59, 0.35)},
        {"set": "member reals", "relation": "member reals", "pairs": pairs(0.5, 0.5)},
    ]
    table = t_secs_table({"rows": rows, "protocol": {"config": {"detector": "celeba"}}})
    assert cells(table, 0) == ["set", "T_SEC 165", "T_SEC 990"]
    assert cells(table, 2) == ["ddpm, 1000 steps", "0.540", "0.860"]
    assert cells(table, 3) == ["ddim, 50 steps", "0.590", "0.350"]
    published = [f"{paper.TABLE_1[t_sec][2][0]:.3f}" for t_sec in (165, 990)]
    assert cells(table, 4) == ["paper, CelebA, ancestral, 1,000 steps", *published]
    assert len(table.splitlines()) == 5
    others = [row | {"pairs": row["pairs"][-1:]} for row in rows]
    assert t_secs_table({"rows": others, "protocol": {"config": {"detector": "celeba"}}}) == ""


def test_the_best_of_the_trials_is_bold(tmp_path: Path) -> None:
    settings = {"images": 3_200, "start": "cifar10", "data": "a.zip[0:60]", "batch_size": 32, "learning_rate": 2e-4}
    trials = [
        {"changes": name, "weighted_loss": weighted, "loss": plain, "loss_by_band": [plain, 0.0004]}
        for name, weighted, plain in (("learning_rate=1e-4", 0.01666, 0.0354), ("batch_size=64", 0.0167, 0.0353))
    ]
    found = {"settings": settings | {"min_snr_gamma": 5.0, "gamma": 5.0}, "trials": trials}
    table = trials_table(found).split("\n\n")[1]
    assert cells(table, 2) == ["learning_rate=1e-4", "**0.01666**", "0.03540", "0.00040"]
    assert cells(table, 3) == ["batch_size=64", "0.01670", "**0.03530**", "0.00040"]
    bundle = evaluated(tmp_path / "celeba", "CelebA")
    write_json(tmp_path / "trials.json", found)
    file = tmp_path / "README.md"
    file.write_text("<!-- all/trials -->\n<!-- /all/trials -->\n")
    assert fill(file, bundle) == ["all/trials"]
    assert trials_table(found) in file.read_text()


def test_a_missed_bar_is_said() -> None:
    machine = {"device": "cpu", "cpus": 2, "threads": 2, "torch": "2.14.1"}
    rows = [
        {"name": "one image / 1 s", "value": 1.25, "bar": "<= 1", "met": False, "note": "fastest of 5"},
        {"name": "fp32 / bf16", "value": None, "bar": "", "met": None, "note": "no bf16 here"},
    ]
    text = speed_table({"machine": machine, "rows": rows})
    assert text.startswith("On cpu, 2 cores, 2 threads, torch 2.14.1. Missed: one image / 1 s.\n\n")
    assert text.splitlines()[-2:] == [
        "| one image / 1 s | 1.250 | <= 1 | fastest of 5 |",
        "| fp32 / bf16 | n/a |  | no bf16 here |",
    ]
    assert "All bars are met." in speed_table({"machine": machine, "rows": rows[1:]})


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

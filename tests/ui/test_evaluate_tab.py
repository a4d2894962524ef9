"""The Evaluate and Sweep tabs: what their pure parts say, and one walk through both as the page's server."""

import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from helpers.results import write_evaluation, write_sweep

from sedid import ui
from sedid.report import sweep as sweep_report
from sedid.storage import read_json, write_json
from sedid.studies.results import load_evaluation
from sedid.studies.sweep import SweepResults
from sedid.ui.results import compare_tab, evaluate_tab, frame, sweep_tab
from sedid.ui.results import files as results_files

OWN = "nobody/nothing"  # the app's own detector: a Hub id


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runs folder with one evaluated bundle and one sweep, and nothing shipped."""
    write_evaluation(tmp_path / "my-run" / "bundle" / "sedid")
    write_sweep(tmp_path / "my-sweep")
    monkeypatch.setenv("SEDID_RUNS", str(tmp_path))
    monkeypatch.setattr(results_files, "SHIPPED", tmp_path / "checkpoints" / "nothing-shipped")
    return tmp_path


# --- which results there are -----------------------------------------------------------------------------------


def test_results_are_found_where_runs_leave_them(runs: Path) -> None:
    assert results_files.find_results(OWN, "results.json") == {
        "my-run": runs / "my-run" / "bundle" / "sedid" / "results.json"
    }
    assert list(results_files.find_results(OWN, "sweep.json")) == ["my-sweep"]
    assert results_files.find_results(OWN, "results.json", runs / "none") == {}


def test_a_bundle_that_is_the_app_s_own_is_listed_once(runs: Path) -> None:
    mine = runs / "checkpoints" / "mine"
    write_evaluation(mine / "sedid")
    write_evaluation(runs / "checkpoints" / "nothing-shipped" / "sedid")
    for own, first in ((mine, "mine"), (runs / "checkpoints" / "nothing-shipped", "nothing-shipped (shipped)")):
        # the same folder by another path
        found = list(results_files.find_results(own / ".." / own.name, "results.json"))
        assert found[0] == first
        assert sorted(found) == ["mine", "my-run", "nothing-shipped (shipped)"]


def test_every_tab_lists_the_detector_that_the_app_was_opened_with_first(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    other, mine = runs / "checkpoints" / "other", runs / "checkpoints" / "zebra"
    for folder in (other, mine):
        write_evaluation(folder / "sedid")
        write_sweep(folder / "sedid")
        write_json(folder / "sedid" / "compare.json", {})
    monkeypatch.setenv("SEDID_DETECTOR", str(other))
    asked = [one.fn for one in ui.build_demo(ui.make_context(mine)).fns.values() if isinstance(one.fn, partial)]
    listing = [one for one in asked if one.func is frame.choices]
    assert {one.args[1] for one in listing} == {"evaluate", "sweep"}
    assert {one(None).value for one in listing} == {"zebra"}
    [of_study] = {one.func for one in asked if one.func is compare_tab.turned}
    assert of_study(mine, "compare", None)[-1].value == "zebra"


def test_bundles_of_one_name_are_all_listed(runs: Path) -> None:
    folders = [runs / "elsewhere" / "my-run", runs / "checkpoints" / "my-run", runs / "my-run" / "bundle"]
    for folder in folders:
        write_evaluation(folder / "sedid")
    names = ["my-run", "my-run (checkpoints)", "my-run (runs)"]
    assert results_files.find_results(folders[0], "results.json") == {
        name: folder / "sedid" / "results.json" for name, folder in zip(names, folders, strict=True)
    }


def test_only_what_is_offered_can_be_opened(runs: Path) -> None:
    inside = str(runs / "my-run" / "bundle" / "sedid" / "results.json")
    assert evaluate_tab.show(OWN, inside, "heldout", None, None, "") == (evaluate_tab.EMPTY, "")
    assert sweep_tab.show(OWN, "../my-sweep", None, None) == sweep_tab.EMPTY


def test_a_broken_results_file_is_a_sentence(runs: Path) -> None:
    write_json(runs / "my-run" / "bundle" / "sedid" / "results.json", {"stat": 1})
    with pytest.raises(gr.Error, match="not a results file"):
        evaluate_tab.show(OWN, "my-run", "heldout", None, None, "")


# --- Evaluate --------------------------------------------------------------------------------------------------


def test_the_page_shows_tables_curves_and_mistakes(runs: Path) -> None:
    first, drawn = evaluate_tab.show(OWN, "my-run", "heldout", "CIFAR-10", "165,825", evaluate_tab.CALIBRATED)
    assert first.index("times in 100") < first.index("<details") < first.index("Versions")
    assert drawn.index("ROC curves") < drawn.index("Table 2") < drawn.index("<details") < drawn.index("Table 1")
    assert "held-out reals" in drawn
    assert "from the calibration split" in drawn
    assert drawn.count('<figure class="chart') == 3
    assert drawn.count('class="res-open"') > 0


def test_nothing_is_said_of_results_before_one_is_selected(runs: Path) -> None:
    """The page showed for a second that nothing had been evaluated."""
    assert all(one == gr.skip() for one in evaluate_tab.show(OWN, None, "heldout", None, None, evaluate_tab.CALIBRATED))
    assert sweep_tab.unsettled(OWN, "evaluate", None)
    assert not sweep_tab.unsettled(OWN, "evaluate", "my-run")


def test_the_threshold_of_the_drawing_is_the_one_asked_for(runs: Path) -> None:
    fixed = evaluate_tab.show(OWN, "my-run", "heldout", None, "165,330", evaluate_tab.CALIBRATED)[1]
    best = evaluate_tab.show(OWN, "my-run", "heldout", None, "165,330", evaluate_tab.ORACLE)[1]
    found = [re.search(r"threshold ([\d.]+), from (.*?)\.", page) for page in (fixed, best)]
    assert found[0]
    assert found[1]
    assert found[0][1] != found[1][1]
    assert (found[0][2], found[1][2]) == ("the calibration split", "the best of these very images")


def test_the_page_warns_of_leaks_and_of_another_checkpoints_images(runs: Path) -> None:
    file, _ = write_evaluation(runs / "leaky" / "bundle" / "sedid", warning="JPEG blocks alone tell")
    stored = read_json(file)
    stored["protocol"]["generated_by"]["cross_checkpoint"] = True
    write_json(file, stored)
    shown = {run: evaluate_tab.show(OWN, run, "heldout", None, None, "")[0] for run in ("leaky", "my-run")}
    for said in ("The data gives the classes away.", "JPEG blocks alone tell", "<b>Cross-checkpoint.</b>"):
        assert said in shown["leaky"]
        assert said not in shown["my-run"]


def test_unknown_choices_fall_back_to_the_detectors_own(runs: Path) -> None:
    assert evaluate_tab.show(OWN, "my-run", "nobody", "MNIST", "7,7", "") == evaluate_tab.show(
        OWN, "my-run", "heldout", "CIFAR-10", "165,825", ""
    )


def test_scores_offered_begin_with_the_calibrated_pair(runs: Path) -> None:
    evaluation = load_evaluation(runs / "my-run" / "bundle")
    offered = evaluate_tab.score_choices(evaluation)
    assert [value for _, value in offered[:3]] == ["165,825", "NN", "165,165"]
    assert len(offered) == 7
    assert [evaluate_tab.pair_of(evaluation, value) for _, value in offered[:2]] == [(165, 825), None]


def test_files_to_take_away(runs: Path) -> None:
    written = evaluate_tab.write_files(load_evaluation(runs / "my-run" / "bundle"), "heldout", "CelebA", None, False)
    files = {file.name: file for file in written}
    assert set(files) == {"tables.csv", "results.json", "report.html", "roc.png", "roc.svg", "histogram.png", "histogram.svg"}  # fmt: skip
    lines = files["tables.csv"].read_text().splitlines()
    assert len(lines) == 1 + 2 * 7
    assert lines[0].startswith("verdict,reals,k,t_sec")
    assert files["roc.png"].read_bytes()[:4] == b"\x89PNG"


# --- Sweep -----------------------------------------------------------------------------------------------------


def test_every_cell_goes_to_its_pair(runs: Path) -> None:
    sweep = SweepResults.read(runs / "my-sweep" / "sweep.json")
    html = sweep_report.heatmap(sweep, "auc", "AUC").html()
    cells = re.findall(r'data-k="(\d+)" data-t="(\d+)"', html)
    assert sorted((int(k), int(t)) for k, t in cells) == sorted((row.k, row.t_sec) for row in sweep.rows)
    assert len(re.findall(r'class="[^"]*ch-chosen[^"]*"[^>]*data-k="165" data-t="825"', html)) == 1


def test_rates_that_cannot_be_resolved_are_not_coloured(runs: Path) -> None:
    sweep = SweepResults.read(runs / "my-sweep" / "sweep.json")
    unresolved = sweep_report.heatmap(sweep, "tpr_at_01", "TPR").html()
    assert unresolved.count("ch-none") == len(sweep.rows)
    assert "TPR n/a" in unresolved
    assert "ch-none" not in sweep_report.heatmap(sweep, "tpr_at_1", "TPR").html()


def test_without_test_images_the_accuracy_says_what_it_is(runs: Path) -> None:
    found = SweepResults.read(runs / "my-sweep" / "sweep.json")
    sweep = replace(found, rows=tuple(replace(row, acc=None) for row in found.rows))
    assert "best ACC of the same images" in sweep_report.whole(sweep, 165, "CIFAR-10")
    assert "best ACC" not in sweep_report.whole(found, 165, "CIFAR-10")


def test_the_papers_curve_is_drawn_at_its_own_k_only(runs: Path) -> None:
    sweep = SweepResults.read(runs / "my-sweep" / "sweep.json")
    assert "AUC in the paper, CelebA" in sweep_report.whole(sweep, 165, "CelebA")
    assert "in the paper" not in sweep_report.whole(sweep, 330, "CelebA")


def test_a_sweep_opens_at_the_papers_step_where_a_line_has_points(runs: Path) -> None:
    sweep = SweepResults.read(runs / "my-sweep" / "sweep.json")
    assert sweep_report.first_k(sweep) == 165
    others = tuple(row for row in sweep.rows if row.k != 165)
    assert sweep_report.first_k(replace(sweep, rows=others, best=(others[0].k, others[0].t_sec))) != 165


def test_a_sweep_to_take_away(runs: Path) -> None:
    sweep, file = sweep_tab.sweep_of(OWN, "my-sweep") or (None, Path())
    assert sweep is not None
    files = {path.name: path for path in sweep_tab.write_files(sweep, file)}
    assert set(files) == {"sweep.csv", "sweep.json", "sweep-auc.png", "sweep-auc.svg", "sweep-acc.png", "sweep-acc.svg"}
    assert len(files["sweep.csv"].read_text().splitlines()) == 1 + len(sweep.rows)


def test_another_file_is_no_sweep(tmp_path: Path) -> None:
    write_json(tmp_path / "sweep.json", {"rows": [{"k": 1}]})
    with pytest.raises(ValueError, match="not a results file"):
        SweepResults.read(tmp_path / "sweep.json")

"""The Compare tab: results of methods as HTML, what its forms start, and one visit with a browser."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.browsing import WAIT, served, visited
from helpers.fakes import make_detector
from helpers.light_jobs import LightStore, wait_for
from helpers.results import COMPARED, write_comparison

from sedid import ui
from sedid.report import compare
from sedid.ui import menu
from sedid.ui.context import Context
from sedid.ui.results import compare_tab
from sedid.ui.results import files as results_files
from sedid.ui.results.studies import STUDIES, Asked, View, study_of


@pytest.fixture
def page(runs: Path, monkeypatch: pytest.MonkeyPatch) -> compare_tab.Page:
    monkeypatch.setenv("SEDID_RUNS", str(runs))
    monkeypatch.setattr(results_files, "SHIPPED", runs.parent / "nothing")
    return compare_tab.Page(LightStore(runs))


def test_a_comparison_says_what_is_in_its_file(tmp_path: Path) -> None:
    found, scores = compare.load_comparison(write_comparison(tmp_path))
    shown = compare.whole(found, scores, "heldout", "pian")
    for row in found.rows["heldout"]:
        assert f"{row.auc:.3f}" in shown
        low, high = row.intervals["auc"] or (0, 0)
        assert f"{low:.3f} to {high:.3f}" in shown
    for test in found.tests["heldout"]:
        assert f"{test.difference:+.3f}" in shown
    assert "SeDID_Stat (k = 165, T_SEC = 330)" in shown
    assert "Cross-checkpoint." in shown
    assert "&lt;i&gt;mine&lt;/i&gt;" in shown
    assert "<i>mine</i>" not in shown
    assert "ROC curves" in shown
    assert "At work" not in shown


def test_the_chosen_methods_curve_is_bold_and_no_two_look_alike(tmp_path: Path) -> None:
    found, scores = compare.load_comparison(write_comparison(tmp_path))
    made = compare.curves(found, scores, "heldout", "pia")
    assert [line.name.split(" (")[0] for line in made if "bold" in line.style.split()] == ["PIA"]
    assert len({line.style for line in made}) == len(made) == 3


def test_an_unfinished_comparison_shows_what_it_has(tmp_path: Path) -> None:
    found, scores = compare.load_comparison(write_comparison(tmp_path, done=False))
    shown = compare.whole(found, scores, "heldout", COMPARED[0])
    assert "At work: scored 60 of 120 held-out reals, 60 of 120 generated images" in shown
    assert "Is the difference more than chance?" not in shown
    assert f"{found.rows['heldout'][0].auc:.3f}" in shown


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "compare.json"
    file.write_text('{"rows": {}}')
    with pytest.raises(ValueError, match="not a results file of `python -m sedid compare`"):
        compare.load_comparison(file)


def test_scores_of_another_run_are_not_drawn(tmp_path: Path) -> None:
    file = write_comparison(tmp_path)
    names = np.array(["pia", "sedid-stat", "pian"])
    with np.load(tmp_path / "compare-scores.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "methods"}
    np.savez(tmp_path / "compare-scores.npz", methods=names, **arrays)
    assert compare.load_comparison(file)[1] == {}


ASKED = Asked("test[100:200]", ("made[0:100]",), 40, ("pia", "sedid-multi-lr ks=165+330"))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("compare", {"real=test[100:120]", "test_real=test[120:140]", "test_generated=made[20:40]",
                     "methods=pia,sedid-multi-lr ks=165+330"}),
        ("choose", {"generated=made[0:20]", "test_real=test[120:140]"}),
        ("robustness", {"real=test[100:140]", "generated=made[0:40]"}),
        ("polarity", {"real=test[100:140]", "generated=made[0:40]"}),
        ("sign", {"real=test[100:140]", "generated=made[0:40]"}),
        ("generalise", {"heldout=test[100:140]", "generated=made[0:40]"}),
        ("defend", {"data=test[100:120]", "heldout=test[120:140]", "members=20", "test=20"}),
    ],
)  # fmt: skip
def test_a_form_becomes_settings_its_loop_takes(name: str, settings: set[str]) -> None:
    from sedid.jobs.commands import resolve_loop

    study = study_of(name)
    made = study.settings(ASKED)
    assert settings <= set(made)
    resolve_loop(study.command, settings=["out=here", f"{study.detector}=somewhere", *made])


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.command)
def test_forms_that_do_not_fit_are_refused(study: Any) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="images of each class"):
        study.settings(replace(ASKED, count=1))
    with pytest.raises(ValueError, match="fewer than 400 images"):
        study.settings(replace(ASKED, count=400))
    if study.command == "defend":  # its models make their own
        return
    with pytest.raises(ValueError, match=r"set of generated images|at least one set"):
        study.settings(replace(ASKED, generated=()))


def test_the_page_refuses_in_words(page: compare_tab.Page, tiny_bundle: Path) -> None:
    with pytest.raises(gr.Error, match="Choose at least one method"):
        page.start("compare", str(tiny_bundle), "sample:real", ["sample:generated"], 20, [])
    with pytest.raises(gr.Error, match="Choose one set of generated images, not 2"):
        page.start("polarity", str(tiny_bundle), "sample:real", ["sample:generated", "x.npz"], 20, [])
    assert page.store.jobs() == []


def test_results_fill_in_while_the_job_works(page: compare_tab.Page, runs: Path, tiny_bundle: Path) -> None:
    page.start("compare", str(tiny_bundle), "sample:real", ["sample:generated"], 20, ["pia", "pian"])
    (job,) = page.store.jobs()
    wait_for(lambda: page.store.get(job.id).state == "running")
    *_, news, seen = page.look({})
    assert news == gr.skip()
    write_comparison(job.folder, done=False)
    *_, news, seen = page.look(seen)
    assert news == job.id
    name, _, _, source = compare_tab.of_job("nobody/nothing", news)
    assert (name, source.value) == ("compare", job.id)
    shown, stamp = compare_tab.show("nobody/nothing", "compare", job.id, "heldout", None)
    assert "At work" in shown
    assert compare_tab.fresh("nobody/nothing", "compare", job.id, "heldout", None, stamp) == (gr.skip(), gr.skip())
    write_comparison(job.folder)
    shown, after = compare_tab.fresh("nobody/nothing", "compare", job.id, "heldout", None, stamp)
    assert "At work" not in shown
    assert after != stamp
    page.stop(job.id)


def test_everything_shown_can_be_taken_away(page: compare_tab.Page, runs: Path) -> None:
    write_comparison(runs / "mine")
    files = compare_tab.take_away("nobody/nothing", "compare", "mine", "heldout", "pia")
    texts = {file.orig_name: Path(file.path) for file in map(gr.FileData.model_validate, files.value)}
    assert texts.keys() == {"compare.json", "report.html", "methods.csv", "roc.png", "roc.svg"}
    assert texts["methods.csv"].read_text().count("\n") == 1 + len(COMPARED)
    report = texts["report.html"].read_text()
    assert "ROC curves" in report
    assert "src=" not in report
    assert View().reals == "heldout"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_visitor_compares_methods(
    browser, runs: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    from playwright.sync_api import expect

    monkeypatch.setenv("SEDID_RUNS", str(runs))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(runs.parent / "uploads"))
    monkeypatch.setattr(results_files, "SHIPPED", runs.parent / "nothing")
    monkeypatch.setattr(compare_tab.form, "SHIPPED", tiny_bundle)
    monkeypatch.setattr(menu, "JobStore", lambda _: LightStore(runs))
    monkeypatch.setattr(ui, "TABS", ("inspect", "compare"))
    detector = make_detector()
    with (
        served(Context(lambda: detector, (), menu.Menu(runs.parent / "nothing"))) as url,
        visited(browser, url) as visit,
    ):
        visit.set_viewport_size({"width": width, "height": 900})
        visit.get_by_role("tab", name="Compare").click()
        expect(visit.get_by_text("This study has not been run yet.")).to_be_visible(timeout=WAIT)
        visit.get_by_label("Robustness").check()  # a place of the address, to come back from and to
        visit.wait_for_url("**study=robustness")
        for move, study in (
            (visit.go_back, "Methods"),
            (visit.go_forward, "Robustness"),
            (visit.reload, "Robustness"),
            (visit.go_back, "Methods"),
        ):
            move()
            expect(visit.get_by_label(study, exact=True)).to_be_checked(timeout=WAIT)
        visit.get_by_role("button", name="New run of this study").click()
        expect(visit.locator("#compare-methods")).to_be_visible(timeout=WAIT)
        visit.locator("#compare-start").click()
        expect(visit.locator("#compare-job .sed-chip")).to_have_text("running", timeout=WAIT)
        (job,) = LightStore(runs).jobs()
        visit.reload()  # the address names the tab, and the job is found again
        expect(visit.locator("#compare-job .sed-chip")).to_have_text("running", timeout=WAIT)
        write_comparison(job.folder, done=False)
        expect(visit.get_by_text("The figures still move.")).to_be_visible(timeout=WAIT)
        write_comparison(job.folder)
        (runs / "order").write_text("finish")
        expect(visit.get_by_text("The figures still move.")).to_be_hidden(timeout=WAIT)
        expect(visit.get_by_role("figure", name="ROC curves").first).to_be_visible(timeout=WAIT)
        box = visit.locator("#compare-drawn").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width

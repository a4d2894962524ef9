"""The report: right numbers beside the paper's, n/a where it belongs, and no request to anywhere."""

import re
from pathlib import Path

import pytest
from helpers.results import write_evaluation

from sedid.report import evaluation as evaluation_report
from sedid.report.page import report, write_report
from sedid.report.protocol import stated
from sedid.storage import read_json, write_json
from sedid.studies.results import load_evaluation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("evaluation")
    write_evaluation(made)
    return made


def cells(html: str, table: int) -> list[list[str]]:
    """Texts of the cells of a table's body."""
    body = re.findall(r"<tbody>(.*?)</tbody>", html, re.DOTALL)[table]
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]


def test_the_page_asks_for_nothing(folder: Path) -> None:
    page = report(load_evaluation(folder))
    assert not re.findall(r"https?://|<script|<link|@import|url\(", page)
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="(.*?)"', page))
    assert page.count("<img") > 4


def test_table_1_stands_beside_the_papers(folder: Path) -> None:
    evaluation = load_evaluation(folder)
    rows = cells(evaluation_report.tables(evaluation, "heldout", "CIFAR-10"), 1)
    assert [row[0] for row in rows] == ["165", "330", "495", "660", "825", "990"]
    measured = evaluation.row("heldout", (165, 825))
    assert measured
    ours = [f"{value:.3f}" for value in (measured.auc, measured.auc_paper_polarity)]
    assert rows[4][1:7] == ["0.865", *ours, "0.799", f"{measured.best_acc:.3f}", f"{measured.acc:.3f}"]
    assert rows[4][7:] == ["n/a", "n/a"]  # 60 reals resolve neither rate
    celeba = cells(evaluation_report.tables(evaluation, "heldout", "CelebA"), 1)
    assert celeba[4][1] == "0.000"


def test_table_2_says_what_was_not_measured(folder: Path) -> None:
    rows = cells(evaluation_report.tables(load_evaluation(folder), "members", "Tiny-ImageNet"), 0)
    assert rows[0][1:] == ["0.530", "n/a", "0.525", "n/a", "n/a"]
    assert rows[2][1] == "1.000"
    assert "n/a" not in rows[2]


def test_the_confusion_matrix_counts_every_image_once(folder: Path) -> None:
    evaluation = load_evaluation(folder)
    for pair in (*evaluation.pairs, None):
        row = evaluation.row("heldout", pair)
        assert row
        for oracle, name in ((False, "acc"), (True, "best_acc")):
            counts = evaluation.confusion("heldout", pair, oracle)
            assert counts is not None
            assert counts.sum(axis=1).tolist() == [60, 60]
            assert (counts[0, 0] + counts[1, 1]) / 120 == pytest.approx(getattr(row, name))


def test_mistakes_are_mistakes_and_the_worst_come_first(folder: Path) -> None:
    evaluation = load_evaluation(folder)
    threshold = evaluation.threshold("heldout", evaluation.chosen, False)
    found = evaluation.scores("heldout", evaluation.chosen)
    assert threshold is not None
    assert found is not None
    missed = [mistake.t_error for mistake in evaluation.mistakes("generated")]
    assert missed == sorted(missed, reverse=True)
    assert missed
    assert min(missed) > threshold
    assert missed[0] == found[1].max()
    called = [mistake.t_error for mistake in evaluation.mistakes("heldout")]
    assert called == sorted(called)
    assert max(called) <= threshold


def test_a_leak_is_told(tmp_path: Path, folder: Path) -> None:
    file, _ = write_evaluation(tmp_path, warning="JPEG <blocks> alone tell")
    page = report(load_evaluation(file))
    assert "The data gives the classes away" in page
    assert "JPEG &lt;blocks&gt; alone tell" in page
    assert "The data gives the classes away" not in report(load_evaluation(folder))


def test_two_audits_that_warn_say_of_which_images(tmp_path: Path) -> None:
    """The same box stood there twice."""
    file, _ = write_evaluation(tmp_path, warning="JPEG blocks alone tell")
    audit = load_evaluation(file).results.audit
    page = str(stated((), None, [audit], calibration=audit))
    first, second = re.findall(r'role="alert"><b>(.*?)</b>', page)
    assert "calibration" not in first
    assert "calibration" in second


def test_another_checkpoints_images_are_told_in_page_and_report(tmp_path: Path, folder: Path) -> None:
    file, _ = write_evaluation(tmp_path)
    results = read_json(file)
    results["protocol"]["generated_by"] |= {"cross_checkpoint": True, "checkpoint_sha256": "feedc0de<b>" * 6}
    write_json(file, results)
    evaluation = load_evaluation(file)
    for page in (evaluation_report.protocol(evaluation), report(evaluation)):  # the Evaluate tab shows the first
        assert '<p class="res-warning" role="alert"><b>Cross-checkpoint.</b>' in page
        assert "made by checkpoint feedc0de&lt;b&gt;f, not by the one" in " ".join(page.split())
        assert "by ANOTHER checkpoint (cross-checkpoint)" in page
    assert "Cross-checkpoint." not in report(load_evaluation(folder))


def test_names_from_files_are_escaped(folder: Path) -> None:
    assert "<b>.npz" not in report(load_evaluation(folder))


def test_results_without_scores_still_make_a_report(tmp_path: Path) -> None:
    file, _ = write_evaluation(tmp_path, kept=False)
    page = report(load_evaluation(file))
    assert "were not kept" in page
    assert "Table 1" in page


def test_older_results_lack_thresholds_and_audit(tmp_path: Path) -> None:
    file, _ = write_evaluation(tmp_path)
    older = read_json(file)
    for name in ("version", "audit", "existing", "sides", "reduction", "loss_noise_seeds"):
        del older[name]
    for row in older["stat"]["heldout"]:
        del row["threshold"], row["band"]
    older["protocol"] |= {"threshold_from": older.pop("threshold_from"), "evaluations_per_image": {"trajectories": 7}}
    write_json(file, older)
    evaluation = load_evaluation(file)
    page = report(evaluation)
    assert "older than the leak audit" in page
    assert "do not state the threshold" in page
    assert evaluation.confusion("heldout", evaluation.chosen, oracle=True) is not None


@pytest.mark.parametrize(
    "text", ["[]", '{"stat": {}}', '{"protocol": {"images": {}}, "stat": {"heldout": [{"k": 1}]}, "nn": {}}']
)
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json is not a results file"):
        write_report(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_no_evaluation_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="evaluate"):
        load_evaluation(tmp_path)

"""What results say first, what they fold away, and tables sorted by a column."""

from collections.abc import Iterator

import pytest

from sedid.detector.bundle import SHIPPED
from sedid.report import lead
from sedid.report.defence import load_defence
from sedid.report.defence import whole as defence_page
from sedid.report.style import STATIC, css
from sedid.report.sweep import whole as sweep_page
from sedid.studies.polarity import load_polarity
from sedid.studies.results import load_evaluation
from sedid.studies.sweep import SweepResults


@pytest.mark.parametrize(
    ("auc", "words"), [(0.647, "65 times in 100"), (1.0, "100 times in 100"), (0.353, "35 times in 100")]
)
def test_an_auc_is_how_often_a_generated_image_ranks_above_a_real_one(auc: float, words: str) -> None:
    assert lead.times(auc) == words


def test_an_evaluation_begins_with_the_auc_of_the_detectors_own_pair_on_test_images() -> None:
    """One headline: the calibrated polarity, so never below a half where the calibration holds; the paper's beside it."""
    found = load_evaluation(SHIPPED)
    row = found.row("heldout", found.chosen)
    assert row is not None
    said = lead.evaluation(found, "heldout", "CIFAR-10")
    assert f"(AUC {row.auc:.3f} on the test images; 0.89 in the paper)" in said


def test_a_polarity_begins_with_what_its_intervals_show() -> None:
    found, _ = load_polarity(SHIPPED / "sedid" / "polarity.json")
    said = lead.polarity(found)
    for row in found.rows:
        shown = row.auc.high < 0.5 or row.auc.low > 0.5
        assert (f"{row.t_sec}" in said) is shown


def test_defences_begin_with_the_best_attack_on_every_model_and_one_row_of_charts() -> None:
    found, pictures = load_defence(SHIPPED / "sedid" / "defence.json")
    drawn = defence_page(found, pictures)
    for row in found.rows:
        assert f"{100 * row.exposed[1].value:.0f} times" in drawn[: drawn.index("ch-row")]
    before_the_folds = drawn[: drawn.index("<details")]
    assert before_the_folds.count('data-kind="line"') == 3
    assert "<table" not in before_the_folds


def test_a_sweep_shows_one_grid_and_folds_the_others_and_how_it_was_measured() -> None:
    drawn = sweep_page(SweepResults.read(SHIPPED / "sedid" / "sweep.json"), 165, "CIFAR-10")
    assert (
        drawn.index("res-lead")
        < drawn.index('data-kind="grid"')
        < drawn.index("Accuracy, and rates at few false alarms")
    )
    assert drawn.index("<details") < drawn.index("res-facts") < drawn.index('data-kind="grid"')


TABLE = """<div class="res"><div class="res-scroll"><table>
<thead><tr><th rowspan="2">method</th><th colspan="2">AUC</th></tr><tr><th>paper</th><th>here</th></tr></thead>
<tbody><tr><th>b</th><td>1</td><td>0.65<small>0.6 to 0.7</small></td></tr><tr><th>a</th><td>2</td><td>n/a</td></tr>
<tr><th>c</th><td>3</td><td>0.9</td></tr><tr><th>d</th><td>4</td><td>1,000</td></tr></tbody></table></div></div>"""


@pytest.fixture
def page(browser) -> Iterator:
    visit = browser.new_page()
    script = (STATIC / "tables.js").read_text(encoding="utf-8")
    visit.set_content(f"<!doctype html><style>{css('tokens', 'results')}</style>{TABLE}<script>{script}</script>")
    yield visit
    visit.close()


def names(page) -> str:
    return "".join(page.locator("tbody th").all_inner_texts())


def test_tables_are_sorted_by_pointer_and_keyboard(page) -> None:
    """Numbers without their intervals, the largest first; what was not measured stays last either way."""
    page.get_by_role("button", name="here").click()
    assert names(page) == "dcba"
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert names(page) == "bcda"
    page.get_by_role("button", name="method").press("Space")
    assert names(page) == "abcd"
    assert page.locator("th[aria-sort]").inner_text().strip() == "method"

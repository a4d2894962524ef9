"""The Gallery tab in a browser: the reference set, many files and two images, at desktop and phone size."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.browsing import WAIT, served
from helpers.fakes import make_detector, make_image
from helpers.image_files import encoded, zipped

from sedid import ui
from sedid.ui import known
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.results import files as results_files


@pytest.fixture(scope="module")
def url(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app whose reference set has 80 pictures that nobody has scored yet."""
    folder = tmp_path_factory.mktemp("gallery")
    sets = {"real": range(40), "generated": range(40, 80)}
    images = {label: np.stack([make_image(seed) for seed in seeds]) for label, seeds in sets.items()}
    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ui, "TABS", ("inspect", "gallery"))
        patch.setattr(known, "load_images", lambda spec, *_: images[spec.partition(":")[2]])
        patch.setattr(results_files, "SHIPPED", folder / "checkpoints" / "nothing")
        patch.setenv("SEDID_RUNS", str(folder / "runs"))
        patch.delenv("SEDID_DETECTOR", raising=False)
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        with served(Context(lambda: detector, list_examples(examples))) as address:
            yield address


def open_grid(page) -> None:
    """The reference set, scored by whoever comes first."""
    page.get_by_role("tab", name="Gallery").click()
    page.wait_for_selector("#gallery-compute:visible, #gallery-grid .gal-grid, #gallery-grid [role=progressbar]")
    if page.locator("#gallery-compute").is_visible():
        page.locator("#gallery-compute").click()
    page.wait_for_selector("#gallery-grid .gal-grid")


def choose(page, name: str, words: str) -> None:
    page.locator(f"#gallery-{name} input").click()
    page.get_by_role("option", name=words, exact=True).click()


def test_the_reference_set_is_scored_sorted_leafed_through_and_inspected(page) -> None:
    from playwright.sync_api import expect

    open_grid(page)
    cards = page.locator("#gallery-grid .gal-card")
    expect(cards).to_have_count(60, timeout=WAIT)
    names = [one.get_attribute("aria-label") for one in cards.all()[:6]]
    assert sum("generated image" in name for name in names) == 3  # it opens with both kinds, not with 60 reals
    choose(page, "sort", "real or generated")
    choose(page, "order", "lowest first")
    choose(page, "label", "generated")
    expect(cards).to_have_count(40, timeout=WAIT)
    assert all("generated image" in one.get_attribute("aria-label") for one in cards.all())
    choose(page, "label", "both")
    expect(cards).to_have_count(60, timeout=WAIT)
    page.locator("#gal-page-next").focus()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(20, timeout=WAIT)
    expect(page.locator("#gallery-grid nav button:focus")).to_have_count(1)  # the keyboard is not sent to the top
    choose(page, "sort", "t-error (STAT)")
    expect(cards).to_have_count(60, timeout=WAIT)  # on the first page again
    before = page.locator("#seen img").first.get_attribute("src")
    cards.nth(3).focus()
    picture = cards.nth(3).locator("img").get_attribute("src")
    assert cards.nth(3).locator("img").evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    page.keyboard.press("Enter")
    expect(page.locator("#seen img").first).not_to_have_attribute("src", before, timeout=WAIT)
    assert page.locator("#seen img").first.get_attribute("src") == picture
    assert page.get_by_role("tab", name="Inspect").get_attribute("aria-selected") == "true"


def test_many_files_become_a_table_that_sorts_and_opens(page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    (tmp_path / "photo.jpg").write_bytes(encoded(make_image(90, 80), "JPEG"))
    (tmp_path / "=notes.txt").write_text("no image")
    zipped(tmp_path / "set.zip", {f"in/{i}.png": encoded(make_image(91 + i)) for i in range(9)})
    page.get_by_role("tab", name="Gallery").click()
    page.get_by_role("tab", name="Many files").click()
    page.locator("#batch-files input[type=file]").set_input_files([str(file) for file in sorted(tmp_path.iterdir())])
    expect(page.locator("#batch-files")).to_contain_text("set", timeout=WAIT)
    page.locator("#batch-judge").click()
    with page.expect_download() as download:
        page.locator("#batch a[download]").click()
    assert download.value.suggested_filename == "sedid-scores.csv"
    assert len(Path(download.value.path()).read_text().splitlines()) == 1 + 11
    rows = page.locator("#batch tbody tr")
    expect(rows).to_have_count(11)
    expect(page.locator("#batch .gal-refused")).to_contain_text("is not an image")
    page.locator("#batch-by-stat").click()
    expect(page.locator("#batch th[aria-sort=ascending] button")).to_be_focused(timeout=WAIT)
    expect(rows.last.locator(".gal-refused")).to_have_count(1)
    picture = rows.nth(2).locator("img").get_attribute("src")
    before = page.locator("#seen img").first.get_attribute("src")
    rows.nth(2).locator(".gal-name").click()
    expect(page.locator("#seen img").first).not_to_have_attribute("src", before, timeout=WAIT)
    assert page.locator("#seen img").first.get_attribute("src") == picture


def test_two_pictures_are_compared_at_any_step(page) -> None:
    from playwright.sync_api import expect

    open_grid(page)
    page.get_by_role("tab", name="Two images").click()
    said = page.locator("#bench-drawn .ben-sentence")
    expect(said).to_contain_text("T_SEC = 330", timeout=WAIT)  # the calibrated pair
    inspected = page.locator("#film .sed-measured").last.inner_text()
    box = page.locator("#bench-drawn .ch-plot").bounding_box()
    page.locator("#bench-drawn .ch-plot").click(position={"x": 0.82 * box["width"], "y": 40})
    expect(said).to_contain_text("T_SEC = 825", timeout=WAIT)
    assert page.locator("#bench-t-sec input[type=number]").input_value() == "825"
    assert page.locator("#film .sed-measured").last.inner_text() == inspected  # the chart of Inspect is not moved
    before = said.inner_text()
    page.locator("#bench-b-real-02").click()
    expect(said).not_to_have_text(before, timeout=WAIT)
    expect(page.locator("#bench-b-real-02")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("tab", name="Reference set").click()
    page.locator("#gallery-click").get_by_label("Compare: A").check()
    page.locator("#gallery-grid .gal-card[data-pick='7']").click()
    expect(page.locator("#bench-drawn h2").first).to_have_text("A: real 8", timeout=WAIT)
    expect(said).to_contain_text("T_SEC = 825")


def test_all_three_fit_a_phone(page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    (tmp_path / "a photograph with a rather long file name, as cameras make them.png").write_bytes(
        encoded(make_image(95))
    )
    page.set_viewport_size({"width": 390, "height": 844})

    def width() -> int:
        return page.evaluate("document.documentElement.scrollWidth")

    open_grid(page)
    assert width() <= 390
    page.get_by_role("tab", name="Many files").click()
    page.locator("#batch-files input[type=file]").set_input_files([str(file) for file in tmp_path.iterdir()])
    expect(page.locator("#batch-files")).to_contain_text("photograph", timeout=WAIT)
    page.locator("#batch-judge").click()
    expect(page.locator("#batch tbody tr")).to_have_count(1, timeout=WAIT)
    assert width() <= 390
    page.get_by_role("tab", name="Two images").click()
    expect(page.locator("#bench-drawn .ben-sentence")).to_be_visible(timeout=WAIT)
    assert width() <= 390

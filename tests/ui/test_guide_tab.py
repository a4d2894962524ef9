"""The Guide tab: documents as the app shows them, one visit with a browser, and the pictures of the page."""

import io
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from helpers.browsing import WAIT, outside, served
from helpers.fakes import make_detector
from PIL import Image

from sedid import ui
from sedid.paths import ROOT
from sedid.ui import screenshots
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.guide import tab as guide_tab
from sedid.ui.guide.pages import Page, contents, in_app, list_pages

TABS = ui.TABS  # before the app of this module makes do with two


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "limits.md").write_text("# Limits\n\n## Base rates\n")
    (folder / "quickstart.md").write_text("# Quick *start* & more\n")
    (folder / "zebra.md").write_text("no heading")
    card = tmp_path / "checkpoints" / "tiny" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text(
        "---\nlicense: mit\ntitle: '# not this'\n---\n# SeDID detector tiny\n\ntext\n\n---\n\nafter a rule\n"
    )
    return folder


def pages_of(docs: Path) -> tuple[Page, ...]:
    return list_pages(docs, docs.parent / "checkpoints")


def shown(docs: Path, text: str) -> str:
    file = docs / "verdict.md"
    file.write_text(f"# Verdicts\n\n{text}")
    pages = pages_of(docs)
    return in_app(next(page for page in pages if page.file == file), pages, docs).partition("\n\n")[2]


def test_pages_come_in_reading_order_and_model_cards_last(docs: Path) -> None:
    pages = pages_of(docs)
    assert [page.name for page in pages] == ["quickstart", "limits", "zebra", "card-tiny"]
    assert [page.label for page in pages] == ["Quick *start* & more", "Limits", "zebra", "Model card: tiny"]
    assert list_pages(docs / "none", docs / "none") == ()
    assert "Quick *start* &amp; more" in contents(pages)


def test_a_model_card_is_shown_without_its_front_matter(docs: Path) -> None:
    pages = pages_of(docs)
    assert in_app(pages[-1], pages, docs) == "# SeDID detector tiny\n\ntext\n\n---\n\nafter a rule\n"
    assert pages[-1].title == "SeDID detector tiny"


@pytest.mark.parametrize(
    ("written", "in_the_app"),
    [
        ("[x](limits.md)", "[x](?tab=guide&doc=limits)"),
        ("[x](limits.md#base-rates)", "[x](?tab=guide&doc=limits#base-rates)"),
        ("[x](#here)", "[x](?tab=guide&doc=verdict#here)"),
        ("[x](../checkpoints/tiny/README.md)", "[x](?tab=guide&doc=card-tiny)"),
        ("[the readme](../README.md)", "the readme (`README.md`)"),
        ("[`sedid/cli.py`](../sedid/cli.py)", "`sedid/cli.py`"),
        ("[x](https://example.org/a.md)", "[x](https://example.org/a.md)"),
        ("a ![picture](../assets/x.png) b", "a  b"),
        ("```text\n[x](limits.md)\n```", "```text\n[x](limits.md)\n```"),
        ("`cifar10:test[0:5]` (see [x](limits.md))", "`cifar10:test[0:5]` (see [x](?tab=guide&doc=limits))"),
    ],
)
def test_links_lead_somewhere_inside_the_app(docs: Path, written: str, in_the_app: str) -> None:
    assert shown(docs, written) == in_the_app


def test_an_unknown_page_is_the_first_one_and_a_vanished_one_is_refused(docs: Path) -> None:
    pages = pages_of(docs)
    assert guide_tab.read(pages, "<script>") == "# Quick *start* & more\n"
    (docs / "limits.md").unlink()
    with pytest.raises(gr.Error, match="Limits cannot be read"):
        guide_tab.read(pages, "limits")


def test_every_document_of_the_project_is_offered() -> None:
    files = {page.file for page in list_pages()}
    assert files == {*ROOT.glob("docs/*.md"), *ROOT.glob("checkpoints/*/README.md")}
    assert len({page.title for page in list_pages()}) == len(files)  # by which the script knows that a page has arrived


# --- with a browser --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    detector = make_detector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setattr(ui, "TABS", ("inspect", "guide"))
        with served(Context(lambda: detector, list_examples(examples))) as address:
            yield address


def test_a_visitor_reads_the_guide(page, url: str) -> None:
    """`page` also fails the test on any error in the console, and on any request to another server."""
    from playwright.sync_api import expect

    text = page.locator("#guide-text")
    assert text.locator("h1").count() == 0  # nothing is fetched before it is wanted
    page.get_by_role("tab", name="Guide").click()
    expect(text.locator("h1")).to_have_text("Quick start", timeout=WAIT)
    current = page.locator(".guide-nav [aria-current=page]")
    expect(current).to_have_text("Quick start")
    page.locator(".guide-nav a", has_text="Method card").click()
    expect(text.locator("h1")).to_have_text("Method card", timeout=WAIT)
    expect(text.locator(".katex-display .katex-html").first).to_be_visible(timeout=WAIT)  # the equations are drawn
    expect(text.locator(".katex-error")).to_have_count(0)
    text.locator("a[href*='doc=limits']").first.click()
    expect(text.locator("h1")).to_have_text("Limits and misuse", timeout=WAIT)
    expect(current).to_have_text("Limits and misuse")
    assert "tab=guide&doc=limits" in page.url
    assert len(page.context.pages) == 1
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="Inspect").click()
    page.wait_for_function("!location.search.includes('doc=')")


def test_a_link_opens_a_page_at_its_place(browser, url: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 700})
    page.set_default_timeout(WAIT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}?tab=guide&doc=limits#base-rates")
    page.wait_for_function("document.activeElement?.textContent === 'Base rates'")
    top = page.locator("#guide-text h2", has_text="Base rates").bounding_box()["y"]
    assert 0 <= top < 350
    page.goto(f"{url}?tab=guide&doc=card-cifar10")
    page.wait_for_selector("#guide-text h1 >> text=SeDID detector")
    assert page.locator("#guide-text").inner_text().count("license:") == 0
    assert [address for address in asked if outside(address, url)] == []
    page.close()


# --- pictures of the page --------------------------------------------------------------------------------------


def test_pictures_are_taken_of_any_tab(browser, url: str, tmp_path: Path) -> None:
    (file,) = screenshots.take(browser, url, ["guide"], tmp_path)
    assert file.name == "guide.webp"
    with Image.open(file) as picture:
        assert picture.size == screenshots.SIZE
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50
    with pytest.raises(ValueError, match="no tab 'nothing'; accepted: inspect, guide"):
        screenshots.take(browser, url, ["nothing"], tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["guide.webp"]


def test_a_picture_that_is_heavy_loses_a_little_and_one_that_stays_so_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    png = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (120, 120, 3), dtype=np.uint8)).save(png, "PNG")
    whole = screenshots.as_webp(png.getvalue())
    monkeypatch.setattr(screenshots, "LIMIT", len(whole) - 1)
    assert len(screenshots.as_webp(png.getvalue())) < len(whole)
    monkeypatch.setattr(screenshots, "LIMIT", 1000)
    with pytest.raises(ValueError, match="smaller window"):
        screenshots.as_webp(png.getvalue())


def test_what_the_pictures_wait_for_belongs_to_tabs() -> None:
    assert {*screenshots.SHOWN, *screenshots.READY, *screenshots.VIEWS, *screenshots.TALL} <= set(TABS)


def test_the_pictures_shipped_are_small_and_all_there() -> None:
    files = {file.stem: file.stat().st_size for file in screenshots.FOLDER.glob("*.webp")}
    assert set(screenshots.SHOWN) <= set(files)
    assert max(files.values()) <= screenshots.LIMIT
    assert sum(files.values()) < 1_500_000

"""Whatever text a bundle, a results file or a file name holds, pages and documents show it as text."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from helpers.fakes import make_detector, make_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sedid.detector.detector import Detector
from sedid.escaping import OtherFile, for_markdown, markdown, written_by
from sedid.jobs.store import Job
from sedid.paths import ROOT
from sedid.report.card import measured, write_card
from sedid.report.case import case_report, examine
from sedid.report.evidence import facts_table
from sedid.report.markdown import studies
from sedid.report.page import write_report
from sedid.report.verdict import verdict_cards
from sedid.storage import read_json, write_json
from sedid.studies.sweep import SweepResults
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.gallery import pair
from sedid.ui.gallery import view as gallery_view
from sedid.ui.inspect import view as inspect_view
from sedid.ui.known import Known
from sedid.ui.learn import steps as learn_steps
from sedid.ui.learn.tab import Teacher, Turn
from sedid.ui.results import evaluate_tab, sweep_tab
from sedid.ui.results.studies import STUDIES, View
from sedid.ui.train import view as train_view

EVIL = "a<img src=x onerror=1>|b`c\"d'e\" onerror='1'\n| --- |"
LOOKED_UP = ("key", "name", "method", "a", "b", "head")  # texts that something else is found by
SHIPPED = ROOT / "checkpoints" / "celeba"


def poisoned(value: Any, kept: tuple[str, ...] = (), name: str = "") -> Any:
    """JSON, every text in it evil but those of the names that are kept."""
    if isinstance(value, dict):
        return {key: poisoned(of_key, kept, key) for key, of_key in value.items()}
    if isinstance(value, list):
        return [poisoned(one, kept) for one in value]
    return EVIL if isinstance(value, str) and name not in kept else value


def bundle_of(folder: Path, change: Callable[[Any], Any]) -> Path:
    """The shipped bundle with all of its results files changed."""
    copy = shutil.copytree(SHIPPED, folder / "celeba", ignore=shutil.ignore_patterns("*.png"))
    shutil.copy(SHIPPED.parent / "cifar10" / "sedid" / "sign.json", copy / "sedid")  # measured for one detector alone
    for file in (copy / "sedid").glob("*.json"):
        write_json(file, change(read_json(file)))
    return copy


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("evil"), lambda found: poisoned(found, LOOKED_UP))


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_shown(html: str) -> None:
    """The evil text stands there as text: it makes neither a tag nor an attribute."""
    assert "a&lt;img src=x onerror=1&gt;|b" in html
    assert_harmless(html)


def assert_harmless(html: str) -> None:
    tags = Tags(html).found
    assert not [tag for tag, attributes in tags if attributes.get("src") == "x" or "onerror" in attributes]


def drawn(bundle: Path) -> Iterator[Callable[[], str]]:
    """Everything that makes HTML of results files."""
    for study in (study for study in STUDIES if (bundle / "sedid" / study.file).is_file()):
        yield lambda study=study: study.html(bundle / "sedid" / study.file, View())
    yield lambda: "".join(evaluate_tab.show(bundle, "celeba", "heldout", None, None, ""))
    yield lambda: sweep_tab.show(bundle, "celeba", 165, None)
    for of_k in ("auc", "acc"):
        yield lambda of_k=of_k: sweep_tab.show(bundle, "celeba", of_k, of_k)


def tried(draw: Callable[[], str]) -> str:
    """What was drawn; "" where a sentence says that it cannot be."""
    try:
        return draw()
    except (OtherFile, gr.Error) as error:
        if "is not a results file of" not in str(error):
            raise
        return ""


def test_pages_show_evil_texts_as_texts(evil: Path) -> None:
    for draw in drawn(evil):
        assert_shown(draw())


def test_reports_show_evil_texts_as_texts(evil: Path, tmp_path: Path) -> None:
    write_report(evil, tmp_path / "report.html")
    job = tmp_path / "job" / "bundle"
    job.mkdir(parents=True)
    (job / "sedid").symlink_to(evil / "sedid")
    for html in (*(file.read_text() for file in tmp_path.glob("*.html")), train_view.report_html(job.parent)):
        assert_shown(html)


def test_documents_show_evil_texts_as_texts(evil: Path) -> None:
    write_card(evil)
    card = (evil / "README.md").read_text()
    for text in (card, measured(evil), *studies(evil).values()):
        assert "<img" not in text
        assert "|b`c" not in text
    assert "a&#60;img src=x onerror=1>&#124;b&#96;c" in card
    tables = [table.splitlines() for table in card.split("\n\n") if table.startswith("|")]
    assert len(tables) > 5
    for table in tables:  # no text adds a cell or a row
        assert len({line.count("|") for line in table}) == 1


def test_a_file_all_of_whose_texts_are_evil_is_drawn_or_refused(tmp_path: Path) -> None:
    """Where a text is one that something is looked up by, a sentence says so."""
    bundle, refused = bundle_of(tmp_path, poisoned), 0
    for draw in drawn(bundle):
        html = tried(draw)
        refused += html == ""
        assert_harmless(html)
    assert refused < len(list(drawn(bundle)))


@pytest.mark.parametrize("wrong", [None, "many", [], {}, -1, 10**400, True])
def test_values_of_another_kind_are_a_sentence(tmp_path: Path, wrong: Any) -> None:
    """Every number, list and mapping in turn is of another kind: what cannot be drawn is refused, and without a
    traceback."""

    def change(value: Any, kind: type) -> Any:
        if isinstance(value, kind) and not isinstance(value, bool):
            return wrong
        if isinstance(value, dict):
            return {key: change(of_key, kind) for key, of_key in value.items()}
        return [change(one, kind) for one in value] if isinstance(value, list) else value

    for number, kind in enumerate((float, int, list)):
        bundle = bundle_of(
            tmp_path / str(number), lambda found, kind=kind: {n: change(v, kind) for n, v in found.items()}
        )
        for draw in drawn(bundle):
            tried(draw)


@given(st.text())
def test_a_text_in_markdown_is_one_line_without_markup(text: str) -> None:
    made = markdown(text)
    assert not set("\n\r<|`\\") & set(made)
    assert unescape(made).split() == text.split()


def test_nothing_but_texts_is_changed() -> None:
    kept = {"of": [None, True, -0.5, ("a", 10**400), {"b": []}]}
    assert for_markdown(kept) == kept
    assert for_markdown({"a|": ["<b>"], "c": ("\ud800",)}) == {"a&#124;": ["&#60;b>"], "c": ("?",)}


def test_what_is_no_results_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for content in ("[]", "null", "3", '"a"', "[" * 90_000, '{"rows": 1}'):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"x\.json"):
            SweepResults.read(file)
    with pytest.raises(OtherFile, match="inner"), written_by("outer", file), written_by("inner", file):
        raise KeyError("k")


NAME = 'a<img src=x onerror=1>"b'  # may be a file's


@pytest.fixture(scope="module")
def detector() -> Detector:
    """A detector, every text it may state evil."""
    made = make_detector()
    info = {
        name: {
            "chosen_by": EVIL,
            "leak_warning": EVIL,
            "calibrated_on": EVIL,
            "versions": {EVIL: EVIL},
            "error_rate": 0.1,
        }
        | {"data": {EVIL: {"count": EVIL, "sha256": EVIL}}, "generated_by": {"sampler": EVIL, "steps": EVIL}}
        for name in ("stat", "nn", "existing", "training")
    }
    more = {"checkpoint_sha256": EVIL, "versions": {EVIL: EVIL}, "preprocessing": {EVIL: EVIL}}
    return replace(made, name=EVIL, info=info | more)


def test_a_case_shows_names_of_files_and_bundles_as_texts(detector: Detector, tmp_path: Path) -> None:
    file = tmp_path / f"{NAME}.png"
    comment = PngInfo()
    comment.add_text("Comment<img src=x onerror=1>", EVIL)
    Image.fromarray(make_image(1, 64)).save(file, pnginfo=comment)
    found = detector.inspect(file)
    extras = examine(detector, found, file, stability=True, tiles=True)
    html = case_report(detector, found, file.name, extras)
    assert html.count("a&lt;img src=x onerror=1&gt;") > 5
    assert_harmless(html)
    assert_harmless(facts_table(extras.facts))


def test_every_part_of_the_page_shows_names_as_texts(detector: Detector, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    folder.mkdir()
    for number, kind in enumerate(("real", "generated", "real", "generated")):
        Image.fromarray(make_image(number)).save(folder / f"{kind}-{number}{NAME}.png")
    context = Context(lambda: detector, list_examples(folder))
    found = detector.inspect(folder / f"real-0{NAME}.png")
    parts = [
        verdict_cards(detector, found.judgement),
        gallery_view.legend(detector, Known({"real": [], "generated": []}, True)),
        gallery_view.unscored(detector, EVIL, None),
        pair.strip(context.examples, [make_image(n) for n in range(4)], "a", None),
        inspect_view.example_strip(context.examples),
    ]
    teacher = Teacher(context)
    parts += [
        page
        for at in learn_steps.PLACES
        for page, _ in teacher.open("default", at, f"real-0{NAME}", "", f"http://a/{NAME}", "", Turn())
    ]
    for html in parts:
        assert_harmless(html)
    assert any("a&lt;img src=x" in html for html in parts)


def test_a_job_shows_names_and_errors_as_texts(tmp_path: Path) -> None:
    job = Job(NAME, tmp_path / EVIL.replace("/", ""), EVIL, EVIL, EVIL, EVIL, 1, 0.0, 0.0, 1.0)
    record = {"stage": EVIL, "done": 1, "total": 2, "unit": EVIL, "per_second": 1.0, "eta_seconds": 1.0}
    for state in (EVIL, "failed", "running", "done"):
        records = [record | {"step": step, "values": {EVIL: 1.0, "loss": 1.0}} for step in (1, 2)]
        changed = replace(job, state=state)
        assert_shown(train_view.state_html(changed, records) + train_view.pictures_html(tmp_path, records))

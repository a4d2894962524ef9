"""The reference set of the Gallery tab: its scores, its order and filters, and what the page makes of them."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.bundles import pictures, shared_bundle, shared_detector
from helpers.fakes import make_detector, make_image
from hypothesis import given
from hypothesis import strategies as st

from sedid.data.datasets import load_images
from sedid.detector.bundle import SHIPPED
from sedid.detector.detector import GENERATED, REAL, Call, Detector
from sedid.progress import finish
from sedid.studies.reference_scores import (
    FILE,
    Gallery,
    GalleryConfig,
    Judged,
    gallery,
    judged,
    read_gallery,
    stale,
    stated_by,
    write_gallery,
)
from sedid.ui import known
from sedid.ui.context import Context
from sedid.ui.gallery import reference as gallery_reference
from sedid.ui.gallery.reference import FILTERS, Library, Reference, disagreement, outcomes
from sedid.ui.gallery.tab import BENCH, Page
from sedid.ui.gallery.view import INSPECT, LEFT, PAGE, grid
from sedid.ui.menu import Menu
from sedid.ui.results import files as results_files

pytestmark = pytest.mark.usefixtures("one_thread")


def judgement(detector: Detector, image: np.ndarray) -> tuple[float, str, str]:
    """t-error and both calls as the engine gives them."""
    found = detector.inspect(image).judgement
    calls = [verdict.call for verdict in (found.stat, found.nn) if verdict]
    return found.t_error, calls[0], calls[1]


# --- the loop ----------------------------------------------------------------------------------------------------


def test_the_file_says_what_inspect_says(tmp_path: Path) -> None:
    sets = {REAL: pictures(3, seed=1), GENERATED: pictures(2, seed=2)}
    for label, images in sets.items():
        np.savez(tmp_path / f"{label}.npz", images=images)
    out = tmp_path / "deep" / FILE
    files = {label: str(tmp_path / f"{label}.npz") for label in sets}
    config = GalleryConfig(detector=str(shared_bundle()), out=str(out), batch_size=2, **files)
    finish(gallery(config))
    found, detector = read_gallery(out), shared_detector()
    assert stale(found, detector, sets) == ""
    assert set(found.scores[REAL]) == {(165, 165 * n) for n in range(1, 7)}
    rows = judged(found, detector, sets)
    assert [(row.label, row.place) for row in rows] == [(REAL, 0), (REAL, 1), (REAL, 2), (GENERATED, 0), (GENERATED, 1)]
    for row in rows:
        t_error, stat, nn = judgement(detector, sets[row.label][row.place])
        assert row.t_error == pytest.approx(t_error, rel=1e-4)
        assert (row.stat, row.nn) == (stat, nn)
    assert str(tmp_path) not in out.read_bytes().decode("latin-1")


def test_scores_of_anything_else_are_stale() -> None:
    detector, images = make_detector(), {REAL: pictures(2), GENERATED: pictures(2, seed=1)}
    found = Gallery(stated_by(detector, images), {}, {})
    assert stale(found, detector, images) == ""
    assert "other images" in stale(found, detector, images | {REAL: pictures(2, seed=5)})
    assert "another calibration" in stale(found, replace(detector, info={"stat": {"error_rate": 0.2}}), images)
    assert "another checkpoint" in stale(found, replace(detector, name="other"), images)


@pytest.mark.parametrize("content", [b"", b"PK nonsense", None])
def test_a_damaged_file_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / FILE
    if content is None:
        np.savez(file, pairs=np.zeros((1, 2), np.int32))
    else:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"not a file of `python -m sedid gallery`"):
        read_gallery(file)


def test_the_shipped_scores_belong_to_the_shipped_detector() -> None:
    """If this fails: python -m sedid gallery --set detector=checkpoints/cifar10"""
    from sedid.detector.bundle import detector_file
    from sedid.storage import read_json

    info = read_json(detector_file(SHIPPED))
    shipped = replace(make_detector(), info=info, chosen=tuple(info["stat"]["chosen"]))
    images = {label: load_images(f"sample:{label}", 32, None) for label in (REAL, GENERATED)}
    assert stale(read_gallery(SHIPPED / "sedid" / FILE), shipped, images) == ""


# --- order and filters -------------------------------------------------------------------------------------------


def make_rows(count: int = 40) -> list[Judged]:
    rng, calls = np.random.default_rng(0), tuple(Call)
    return [
        Judged(label, place, float(rng.gamma(5)), *rng.choice(calls, 2).tolist(), float(rng.random()))
        for label in (REAL, GENERATED)
        for place in range(count)
    ]


def make_reference(rows: list[Judged]) -> Reference:
    images = {label: pictures(max(row.place for row in rows) + 1) for label in (REAL, GENERATED)}
    return Reference(images, rows, np.linspace(1, 0, len(rows)))


@pytest.mark.parametrize("sort", ["t_error", "probability", "apart"])
def test_sorting_runs_either_way(sort: str) -> None:
    reference = make_reference(make_rows())
    values = reference.apart if sort == "apart" else [getattr(row, sort) for row in reference.rows]
    rising, falling = (reference.chosen(sort, largest) for largest in (False, True))
    assert sorted(rising) == list(range(len(reference.rows)))
    assert [values[place] for place in rising] == sorted(values)
    assert falling == rising[::-1]


def test_labels_sort_as_blocks_that_keep_their_order() -> None:
    reference = make_reference(make_rows(3))
    assert reference.chosen("label") == [0, 1, 2, 3, 4, 5]
    assert reference.chosen("label", largest=True) == [3, 4, 5, 0, 1, 2]


def test_both_kinds_come_in_turn_each_by_its_disagreement() -> None:
    """The Gallery opened with sixty photographs, and not one generated picture in the first screen."""
    rows = make_rows(3)
    del rows[1]
    reference = make_reference(rows)  # real 0, 1, generated 2, 3, 4, further and further from apart
    assert reference.chosen("turns", largest=True) == [0, 2, 1, 3, 4]
    assert reference.chosen("turns") == [1, 4, 0, 3, 2]
    assert reference.chosen("turns", label=GENERATED) == [4, 3, 2]
    unknown = replace(reference, apart=np.full(5, np.nan))  # of a detector without a classifier
    assert unknown.chosen("turns", largest=True) == [0, 2, 1, 3, 4]


def test_what_has_no_value_comes_last_either_way() -> None:
    rows = [replace(row, probability=None if row.place == 1 else row.probability) for row in make_rows(3)]
    for largest in (False, True):
        assert set(make_reference(rows).chosen("probability", largest)[-2:]) == {1, 4}


def test_filters_split_the_set() -> None:
    reference = make_reference(make_rows())
    for method in ("stat", "nn"):
        parts = [
            reference.chosen(verdict=f"{method} {kind}") for kind in ("right", "wrong", Call.UNDECIDED, Call.OUTSIDE)
        ]
        assert sorted(place for part in parts for place in part) == list(range(len(reference.rows)))
    opposed = [reference.rows[place] for place in reference.chosen(verdict="disagree")]
    assert {row.stat for row in opposed} == {REAL, GENERATED}
    assert all({row.stat, row.nn} == {REAL, GENERATED} for row in opposed)
    assert reference.chosen(label=REAL) + reference.chosen(label=GENERATED) == reference.chosen()
    assert {key for row in reference.rows for key in outcomes(row)} == set(FILTERS.values()) - {""}


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30, unique=True), st.randoms())
def test_disagreement_is_none_for_one_order_and_most_for_opposite_ones(values: list[float], random: Any) -> None:
    t_errors = np.array(values)
    same = disagreement(t_errors, t_errors.argsort().argsort() / len(values), "larger")
    np.testing.assert_allclose(same, 0, atol=1e-12)
    apart = disagreement(t_errors, t_errors.argsort().argsort() / len(values), "smaller")
    assert apart.max() == pytest.approx((len(values) - 1) / len(values))
    shuffled = np.array(random.sample(values, len(values)))
    assert ((disagreement(t_errors, shuffled, "larger") >= 0) & (disagreement(t_errors, shuffled, "larger") < 1)).all()


# --- the page ----------------------------------------------------------------------------------------------------


def test_a_page_of_the_grid_says_everything_in_words() -> None:
    reference = make_reference(make_rows())
    places = reference.chosen()
    first, last = grid(reference, places, 0, INSPECT), grid(reference, places, 99, INSPECT)
    assert (first.count("<img"), last.count("<img")) == (PAGE, len(places) - PAGE)
    labels = re.findall(r'class="gal-card res-open" aria-label="([^"]*)"', first)
    assert len(labels) == PAGE
    assert all(
        re.match(r"Inspect it: real image \d+; t-error .*; STAT says .*; NN \d+%, says ", one) for one in labels[:40]
    )
    assert "nan" not in re.sub(r'"data:[^"]*"', "", first + last)
    assert 'data-pick="0"' in grid(reference, places, 0, LEFT)
    assert "No picture fits" in grid(reference, [], 0, INSPECT)


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, np.ndarray]:
    """A reference set of twelve images that no file has scores of."""
    sets = {
        label: np.stack([make_image(seed) for seed in seeds])
        for label, seeds in ((REAL, range(5)), (GENERATED, range(5, 12)))
    }
    monkeypatch.setattr(known, "load_images", lambda spec, *_: sets[spec.partition(":")[2]])
    monkeypatch.setattr(results_files, "SHIPPED", tmp_path / "checkpoints" / "nothing")
    monkeypatch.setenv("SEDID_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("SEDID_DETECTOR", raising=False)
    return sets


def context_of(load: Callable[[], Detector]) -> Context:
    """An app whose own detector has no folder."""
    return Context(load, menu=Menu("nobody/nothing"))


VIEW = ("default", "t_error", False, "", "", INSPECT)


def test_missing_scores_are_made_once_for_all_visitors(
    small_sample: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_reference, "SECONDS", 0.0)  # nothing but what the test asks for
    detector = make_detector()
    library = Library(context_of(lambda: detector))
    one, other = Page(library), Page(library)
    state, _, button, timer, _ = one.look(*VIEW)
    assert "python -m sedid gallery" in state
    assert (button.visible, timer.active) == (True, False)
    state, _, button, timer, _ = one.begin(*VIEW)
    assert 'role="progressbar"' in state
    assert (button.visible, timer.active) == (False, True)
    shelf = library.shelf("default")
    assert shelf.compute() is shelf.computation  # a second visitor joins
    monkeypatch.setattr(gallery_reference, "SECONDS", 60.0)
    shown, _, button, timer, _ = other.work(*VIEW)
    assert (shown.count("<img"), button.visible, timer.active) == (12, False, False)
    calls = detector.eps_model.calls
    assert one.look(*VIEW)[0] == shown
    assert detector.eps_model.calls == calls
    reference = shelf.reference()
    assert reference is not None
    for row in reference.rows:
        t_error, stat, nn = judgement(detector, small_sample[row.label][row.place])
        assert row.t_error == pytest.approx(t_error, rel=1e-4)
        assert (row.stat, row.nn) == (stat, nn)


def test_the_file_of_the_bundle_is_read_only_while_it_belongs(
    small_sample: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = make_detector()
    computing = Library(context_of(lambda: detector)).shelf("default").compute()
    monkeypatch.setattr(gallery_reference, "SECONDS", 60.0)
    computing.advance()
    write_gallery(computing.result(), tmp_path / "runs" / "mine" / "sedid" / FILE)
    before = detector.eps_model.calls
    assert Library(context_of(lambda: detector)).shelf("default").reference() is not None
    assert detector.eps_model.calls == before
    changed = Library(context_of(lambda: replace(detector, info={"stat": {"error_rate": 0.3}})))
    assert changed.shelf("default").reference() is None
    assert "another calibration" in Page(changed).look(*VIEW)[0]


def test_pictures_are_sent_to_the_comparison(
    small_sample: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_reference, "SECONDS", 60.0)
    detector = make_detector()
    page = Page(Library(context_of(lambda: detector)))
    page.begin(*VIEW)
    page.work(*VIEW)
    _, _, picked, parts = page.sent(*VIEW[:5], LEFT, gr.EventData(None, {"pick": "6"}))
    assert (picked[0], picked[2], parts.selected) == (LEFT, "generated 2", BENCH)
    np.testing.assert_array_equal(picked[1], small_sample[GENERATED][1])
    shown, at, picked, _ = page.sent(*VIEW, gr.EventData(None, {"page": "3"}))
    assert (at, picked, shown.count("<img")) == (3, None, 12)
    for nonsense in ({"pick": "99"}, {"pick": "x"}, "text"):
        assert page.sent(*VIEW[:5], LEFT, gr.EventData(None, nonsense))[2] is None


def test_without_a_detector_the_page_says_so() -> None:
    def load() -> Detector:
        raise OSError("nothing at /secret/place")

    page = Page(Library(context_of(load)))
    shown, _, button, timer, _ = page.look(*VIEW)
    assert "No detector could be opened" in shown
    assert "secret" not in shown
    assert (button.visible, timer.active) == (False, False)
    with pytest.raises(gr.Error, match="No detector could be opened"):
        page.begin(*VIEW)


def test_the_apps_own_bundle_is_asked_first(small_sample: dict[str, np.ndarray], tmp_path: Path) -> None:
    detector, own = make_detector(), tmp_path / "elsewhere"
    computing = Library(context_of(lambda: detector)).shelf("default").compute()
    while computing.done < computing.total:
        computing.advance()
    write_gallery(computing.result(), own / "sedid" / FILE)
    before = detector.eps_model.calls
    assert Library(Context(lambda: detector, menu=Menu(own))).shelf("default").reference() is not None
    assert detector.eps_model.calls == before

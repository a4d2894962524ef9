"""Many files at once, and two images side by side: what is judged and said, without a server."""

import base64
import csv
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from helpers.fakes import make_apart, make_detector, make_image
from helpers.image_files import encoded, zipped

from sedid.detector.csv_file import COLUMNS, safe_cell, score_files
from sedid.detector.detector import Detector, Trace
from sedid.progress import Progress, finish
from sedid.report.filmstrip import error_maps
from sedid.report.pictures import data_uri, heat
from sedid.ui.context import Context
from sedid.ui.gallery import many
from sedid.ui.gallery.many import Batch, sort_key
from sedid.ui.gallery.many_panel import Panel
from sedid.ui.gallery.many_view import GONE, PAGE, batch_html
from sedid.ui.gallery.pair import Pair, Side, comparison, sentence, waiting
from sedid.ui.gallery.reference import next_slice
from sedid.ui.menu import DEFAULT

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A photograph, a text file, a zip with a nested, a broken and a hostile name, a broken zip, an empty one."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "photo.jpg").write_bytes(encoded(make_image(1, 80), "JPEG"))
    (tmp_path / "notes.txt").write_text("not an image")
    members = {"deep/er/a.png": encoded(make_image(2)), "../../=b.png": b"nonsense", "readme.md": b"no image by name"}
    zipped(tmp_path / "set.zip", members | {"c <b>.png": encoded(make_image(3, 48))})
    (tmp_path / "broken.zip").write_bytes(b"PK nonsense")
    zipped(tmp_path / "empty.zip", {"readme.md": b""})
    return [tmp_path / name for name in ("photo.jpg", "notes.txt", "set.zip", "broken.zip", "empty.zip")]


def sent(files: list[Path], names: dict[str, str] = {}) -> list[dict[str, Any]]:  # noqa: B006
    """As Gradio hands them over; names are what their owner calls some."""
    return [{"path": str(file), "orig_name": names.get(file.name, file.name)} for file in files]


def run(files: list[Path], make: Callable[[], Detector] = make_detector) -> Batch:
    detector = make()
    made = Batch(detector, files)
    while not made.done:
        made.advance(Context(lambda: detector).traces.judge)
    return made


def test_every_file_gets_its_row_and_none_ends_the_batch(files: list[Path]) -> None:
    made, detector = run(files), make_detector()
    assert [line.name for line in made.lines] == [
        *("photo.jpg", "notes.txt", "set.zip/../../=b.png", "set.zip/c <b>.png", "set.zip/deep/er/a.png"),
        *("broken.zip", "empty.zip"),
    ]
    assert [bool(line.refused) for line in made.lines] == [False, True, True, False, False, True, True]
    assert not any(str(files[0].parent) in f"{line.name} {line.refused}" for line in made.lines)
    assert made.lines[0].notes == ("resized from 80x80 to 32x32",)
    for line, image in ((made.lines[3], make_image(3, 48)), (made.lines[4], make_image(2))):
        found = detector.inspect(image).judgement
        assert line.judgement is not None
        assert line.judgement.t_error == pytest.approx(found.t_error, rel=1e-4)
        assert found.stat is not None
        assert line.call("STAT") == found.stat.call


def test_the_classifier_at_a_t_sec_of_its_own_has_its_column_and_is_named(files: list[Path]) -> None:
    made = run(files[:2], make_apart)
    assert made.lines[0].judgement is not None
    assert made.lines[0].judgement.nn == make_apart().inspect(files[0], 495).judgement.nn
    assert "At k = 165, T_SEC = 330, NN at its own T_SEC 495." in batch_html(made)
    assert "At k = 165, T_SEC = 330." in batch_html(run(files[:2]))
    assert "At k = 165, T_SEC = 330." in batch_html(run(files[1:2], make_apart))  # nothing was judged


def test_the_csv_is_that_of_the_score_command(files: list[Path], tmp_path: Path) -> None:
    readable = [files[0], files[2]]
    made = run(readable)
    rows = list(csv.DictReader(io.StringIO(made.table())))
    out = tmp_path / "scores.csv"
    finish(score_files(make_detector(), [str(file) for file in readable], out))
    theirs = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
    assert list(rows[0]) == [*COLUMNS, "notes"]
    assert len(rows) == len(theirs) == 4
    for mine, other in zip(rows, theirs, strict=True):
        assert other["path"].endswith(mine["path"])
        assert [mine[name] for name in ("stat_verdict", "nn_verdict", "t_sec", "k", "in_range")] == [
            other[name] for name in ("stat_verdict", "nn_verdict", "t_sec", "k", "in_range")
        ]
        if other["stat_score"]:
            assert float(mine["stat_score"]) == pytest.approx(float(other["stat_score"]), rel=1e-4)
        assert bool(mine["error"]) == bool(other["error"])


@pytest.mark.parametrize("name", ["=1+1.png", "+1.png", "-1.png", "@sum.png", "\tx.png"])
def test_no_file_name_is_a_formula(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nonsense")
    made = run([tmp_path / name])
    (row,) = csv.DictReader(io.StringIO(made.table()))
    assert row["path"] == f"'{name}"
    assert row["error"].startswith("'") or not row["error"].startswith(("=", "+", "-", "@", "\t"))
    assert safe_cell("plain.png") == "plain.png"


def test_zips_beyond_the_limits_are_refused_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.zip", {"a.png": bytes(2_000_000), "b.png": b""})
    monkeypatch.setattr(many, "UNPACKED", 1_000_000)
    assert "unpacks to more than 0.001 GB" in run([bomb]).lines[0].refused
    monkeypatch.setattr(many, "UNPACKED", 10_000_000)
    monkeypatch.setattr(many, "MOST_IN_ZIP", 1)
    assert "holds 2 files; at most 1" in run([bomb]).lines[0].refused


def test_no_more_images_than_the_limit_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zipped(tmp_path / "many.zip", {f"{i}.png": encoded(make_image(i)) for i in range(5)})
    monkeypatch.setattr(many, "MOST", 3)
    made = run([packed, packed])
    assert (len(made.lines), made.left_out) == (3, 7)
    assert "7 more were left out" in batch_html(made)


def test_a_batch_that_is_slow_is_not_judged_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While many visitors are served it is slow, and single images would stand in line with the one each of them has."""
    packed = zipped(tmp_path / "many.zip", {f"{i}.png": encoded(make_image(i)) for i in range(10)})
    monkeypatch.setattr(many, "SECONDS", 1e9)  # one call of `advance`, at a speed not known yet
    detector = make_detector()
    made, sizes = Batch(detector, [packed]), list[int]()

    def judge(found: Detector, images: np.ndarray, k: Any, t_sec: int) -> list[Any]:
        sizes.append(len(images))
        return Context(lambda: detector).traces.judge(found, images, k, t_sec)

    made.advance(judge)
    assert sizes == [4, 4, 2]
    assert next_slice(Progress("judging", 1, 9, "files", 0.01, 800.0, {}), 1.0, 16) == 4  # nor when it is slow


def test_a_zip_that_vanishes_half_way_ends_in_a_row(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "gone.zip", {"a.png": encoded(make_image()), "b.png": encoded(make_image(1))})
    detector = make_detector()
    made = Batch(detector, [packed])
    packed.unlink()
    while not made.done:
        made.advance(Context(lambda: detector).traces.judge)
    assert (len(made.lines), made.total) == (1, 1)
    assert "gone.zip" in made.lines[0].refused
    assert str(tmp_path) not in made.lines[0].refused


def test_a_damaged_member_spoils_only_its_own_row(tmp_path: Path) -> None:
    packed = tmp_path / "set.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in "abc":
            archive.writestr(f"{name}.png", encoded(make_image(ord(name))))
    data = bytearray(packed.read_bytes())
    data[data.index(b"b.png") + 60] ^= 0xFF  # inside the stored image: its checksum no longer fits
    packed.write_bytes(bytes(data))
    made = run([packed])
    assert [bool(line.refused) for line in made.lines] == [False, True, False]


def test_sorting_keeps_refusals_last(files: list[Path]) -> None:
    made = run(files)
    for column in ("stat", "nn", "nn call", "stat call"):
        made.sort(column)
        for _ in range(2):
            values = [sort_key(line, column) for line in made.ordered()]
            known = [value for value in values if value is not None]
            assert values[len(known) :] == [None] * (len(values) - len(known))
            assert known == sorted(known, reverse=made.descending)
            made.sort(column)
    made.sort("nonsense")
    assert made.order == "stat call"


def test_rows_are_called_what_their_owner_calls_the_files(files: list[Path]) -> None:
    """Gradio takes letters out of the names under which it keeps them."""
    names = {
        "photo.jpg": "50% & <more>.jpg",
        "notes.txt": "what?.txt",
        "set.zip": "my: set.zip",
        "broken.zip": "b*.zip",
    }
    panel = Panel(Context(make_detector))
    made, *_ = panel.start(DEFAULT, sent(files, names))
    while not made.done:
        panel.work(DEFAULT, made)
    assert [line.name for line in made.lines] == [
        *("50% & <more>.jpg", "what?.txt", "my: set.zip/../../=b.png", "my: set.zip/c <b>.png"),
        *("my: set.zip/deep/er/a.png", "b*.zip", "empty.zip"),
    ]
    assert made.lines[1].refused.startswith("what?.txt is not an image")
    assert made.lines[2].refused.startswith("my: set.zip/../../=b.png is")
    assert made.lines[5].refused.startswith("b*.zip ")


def test_stop_keeps_the_rows_and_offers_them(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "SLICE", 1)
    ticks = iter(range(10_000))  # every look at the clock is a second later
    monkeypatch.setattr(many, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(many, "SECONDS", 3.5)
    detector = make_detector()
    panel = Panel(Context(lambda: detector))
    made, shown, stop, timer = panel.start(DEFAULT, sent(files))
    assert 'role="progressbar"' in shown
    assert (stop.visible, timer.active) == (True, True)
    panel.work(DEFAULT, made)
    before = len(made.lines)
    assert 0 < before < made.total
    shown, stop, timer = panel.stop(DEFAULT, made)
    assert (stop.visible, timer.active) == (False, False)
    assert f"stopped, {made.total - before} not looked at" in shown
    calls = detector.eps_model.calls
    panel.work(DEFAULT, made)
    assert (len(made.lines), detector.eps_model.calls) == (before, calls)


def test_a_refused_evaluation_ends_the_batch_in_words(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    detector = make_detector()
    panel = Panel(Context(lambda: detector))
    made, *_ = panel.start(DEFAULT, sent(files[:1]))

    def refuse(*_: object) -> None:
        raise gr.Error("You have had your share.")

    monkeypatch.setattr(panel.context.traces, "judge", refuse)
    _, stop, timer = panel.work(DEFAULT, made)
    assert said == ["You have had your share."]
    assert (stop.visible, timer.active, made.done) == (False, False, True)


def test_nothing_or_a_lost_batch_is_a_sentence() -> None:
    panel = Panel(Context(make_detector))
    with pytest.raises(gr.Error, match="Choose or drop some images"):
        panel.start(DEFAULT, None)
    assert panel.work(DEFAULT, None)[0] == GONE
    assert panel.sent(DEFAULT, None, gr.EventData(None, {"page": "1"})) == GONE


def test_the_page_escapes_names_and_downloads_the_whole_table(files: list[Path]) -> None:
    made = run(files)
    made.lines = made.lines * 30  # more than one page
    made.total = len(made.lines)
    shown = batch_html(made)
    assert "<b>.png" not in shown
    assert "c &lt;b&gt;.png" in shown
    assert shown.count("<tr") == PAGE + 1
    packed = re.search(r'download="sedid-scores.csv" href="data:text/csv;charset=utf-8;base64,([^"]*)"', shown)
    assert packed is not None
    assert base64.b64decode(packed[1]).decode() == made.table()
    made.page = 99
    assert batch_html(made).count("<tr") == len(made.lines) - 2 * PAGE + 1


# --- two images --------------------------------------------------------------------------------------------------


def trace(seed: int, k: int = 165) -> Trace:
    return finish(make_detector().trace(make_image(seed), k))


def test_the_sentence_names_the_larger_error_and_by_how_much() -> None:
    first, second = trace(0), trace(1)
    for t_sec in first.t_secs:
        a, b = (float(one.t_error(t_sec).score) for one in (first, second))
        said = sentence(first, second, t_sec)
        assert said.startswith("A's" if a > b else "B's")
        assert sentence(second, first, t_sec).startswith("B's" if a > b else "A's")
        if 1.01 <= (ratio := max(a, b) / min(a, b)) < 2:
            assert f"{100 * (ratio - 1):.0f}% larger" in said
        assert f"T_SEC = {t_sec}" in said
        counted = sum((x > y) == (a > b) for x, y in zip(first.curve, second.curve, strict=True))
        assert f"at {counted} of the 6 T_SEC" in said
    assert "have the same t-error" in sentence(first, first, 330)


def test_both_images_share_their_scales() -> None:
    detector, traces = make_detector(), [trace(0), trace(1)]
    shown = comparison(detector, [Side(make_image(0), "<one>"), Side(make_image(1), "two")], traces, 330)
    assert "&lt;one&gt;" in shown
    assert shown.count('class="sed-bar"') == 1
    assert [len(re.findall(f'class="ch-series ch-[23] {name}[" ]', shown)) for name in ("ch-image", "ch-two")] == [1, 1]
    assert re.findall(r">([AB]) [\d.]+</text>", shown) == ["A", "B"]  # both named at T_SEC
    assert shown.count("<td>") == 7  # with the empty corner of the head
    assert "own T_SEC" not in shown
    further = comparison(detector, [Side(make_image(0), "one"), Side(make_image(1), "two")], traces, 660)
    assert further.count("%, at its own T_SEC 330</small>") == 2


def test_the_colours_end_at_the_same_value_in_both_maps() -> None:
    traces = [trace(0), trace(1)]
    place = traces[0].t_secs.index(330)
    maps = [error_maps(one, False)[place] for one in traces]
    limit = max(float(np.quantile(values, 0.995)) for values in maps)
    shown = comparison(make_detector(), [Side(make_image(0), "a"), Side(make_image(1), "b")], traces, 330)
    for values in maps:
        assert data_uri(heat(values, limit)) in shown


def test_what_is_missing_is_named() -> None:
    side = Side(np.zeros((32, 32, 3), np.uint8), "x")
    assert "Choose an image for A and B." in waiting(Pair())
    assert "Choose an image for B." in waiting(Pair(a=side))
    assert "Choose an image for A." in waiting(Pair().put("b", side))

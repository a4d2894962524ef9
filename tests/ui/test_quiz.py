"""The quiz: scoring, the order of the images, and that nothing tells the answer before the guess."""

import base64
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.fakes import calling, make_detector, make_image
from hypothesis import given
from hypothesis import strategies as st

from sedid.detector.detector import GENERATED, REAL, Call
from sedid.progress import finish
from sedid.ui.known import Known, known_pictures
from sedid.ui.learn import quiz
from sedid.ui.learn.quiz import Record, Records, Sample, Tally

ANSWERS = st.sampled_from([REAL, GENERATED, Call.UNDECIDED, "nonsense"])


def small_sample(count: int = 40) -> Sample:
    images = np.stack([make_image(seed, 8) for seed in range(count)])
    return Sample(images, np.arange(count) % 2 == 1, Known({}))


@given(st.lists(st.tuples(ANSWERS, st.sampled_from([REAL, GENERATED]))))
def test_a_tally_counts_answers_and_right_ones(rounds: list[tuple[str, str]]) -> None:
    tally = Tally()
    for answer, truth in rounds:
        tally = tally.plus(answer, truth)
    given_answers = [(answer, truth) for answer, truth in rounds if answer in (REAL, GENERATED)]
    assert tally == Tally(len(given_answers), sum(answer == truth for answer, truth in given_answers))


@pytest.mark.parametrize("guess", quiz.GUESSES)
def test_an_answer_counts_for_all_three(guess: str) -> None:
    detector = make_detector()
    trace = finish(detector.trace(make_image(), 165))
    judgement = detector.judge(trace, 330)
    for truth in (REAL, GENERATED):
        record = Record.new().after(guess, judgement, truth)
        assert record.seen == 1
        assert record.you == Tally().plus(guess, truth)
        assert record.stat == Tally().plus(quiz.answer(judgement.stat), truth)
        assert record.nn == Tally().plus(quiz.answer(judgement.nn), truth)


def test_out_of_range_and_uncalibrated_are_no_answers() -> None:
    assert quiz.answer(None) == Call.UNDECIDED
    detector = make_detector()
    judged = detector.judge(finish(detector.trace(make_image(), 165)), 330)
    for call in Call:
        assert quiz.answer(calling(call, judged.nn)) == call
    assert Tally().plus(Call.OUTSIDE, REAL) == Tally().plus(Call.UNDECIDED, REAL) == Tally()


def test_a_record_survives_the_browser() -> None:
    record = Record("abc", 3, Tally(2, 1), Tally(0, 0), Tally(3, 3))
    assert Record.read(record.stored()) == record


def forged() -> list[object]:
    good = Record("abc", 3, Tally(2, 1)).stored()
    return [
        *(None, 7, "x", [], {}),
        good | {"seen": -1},
        good | {"seen": "3"},
        good | {"seen": True},
        good | {"visitor": 5},
        good | {"visitor": "x" * 1000},
        good | {"you": {"answered": 2, "right": 3}},
        good | {"you": {"answered": 9, "right": 1}},
        good | {"nn": None},
    ]


@pytest.mark.parametrize("stored", forged(), ids=str)
def test_a_record_that_makes_no_sense_starts_anew(stored: object) -> None:
    record = Record.read(stored)
    assert (record.seen, record.you) == (0, Tally())
    assert record.visitor != "abc"


def test_detectors_share_no_score() -> None:
    """What one detector scored said nothing of the next, and stood in its table."""
    first, *others = (replace(make_detector(), name=f"detector {number}") for number in range(1 + quiz.KEPT))
    records = Records.read(None).after(first, Record("me", 3, Tally(2, 1)))
    assert records.of(others[0]).seen == 0
    assert Records.read(records.stored()).of(first) == Record("me", 3, Tally(2, 1))
    for other in others:
        records = records.after(other, Record.new())
    assert len(records.kept) == quiz.KEPT  # a browser does not keep them all
    assert records.of(first).seen == 0
    for nonsense in (None, "text", 7, {"x": 1}, Record("me", 3).stored()):
        assert Records.read(nonsense).of(first).seen == 0


def order(sample: Sample, visitor: str) -> list[bytes]:
    shown = [sample.question(Record(visitor, seen)) for seen in range(len(sample.images))]
    return [asked[0].tobytes() for asked in shown if asked is not None]


def test_every_image_comes_once_with_its_truth_and_in_the_visitors_own_order() -> None:
    sample = small_sample()
    mine = order(sample, "me")
    assert sorted(mine) == sorted(image.tobytes() for image in sample.images)
    assert mine == order(sample, "me")
    assert mine != order(sample, "you")
    assert sample.question(Record("me", len(sample.images))) is None
    truths = {
        image.tobytes(): GENERATED if made else REAL
        for image, made in zip(sample.images, sample.generated, strict=True)
    }
    for seen in range(len(sample.images)):
        image, truth = sample.question(Record("me", seen)) or pytest.fail("no question")
        assert truth == truths[image.tobytes()]


def test_what_the_browser_keeps_does_not_give_the_order_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token alone, which the visitor can read, does not seed the order: a secret of the process does, too."""
    sample = small_sample()
    here = order(sample, "me")
    monkeypatch.setattr(quiz, "SECRET", b"of another process")
    assert order(sample, "me") != here


def png_chunks(uri: str) -> set[bytes]:
    data, place, found = base64.b64decode(uri.partition(",")[2]), 8, set()
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        found.add(data[place + 4 : place + 8])
        place += 12 + length
    return found


def test_a_question_is_the_same_for_real_and_generated_but_for_the_pixels() -> None:
    detector, sample, record = make_detector(), small_sample(), Record("me", 2, Tally(2, 1))
    pages = [quiz.ask(detector, sample, image, record) for image in sample.images]
    bare = {re.sub(r'src="data:[^"]*"', "", page) for page in pages}
    assert len(bare) == 1
    for page in pages:
        (uri,) = re.findall(r'src="(data:[^"]*)"', page)
        assert png_chunks(uri) == {b"IHDR", b"IDAT", b"IEND"}


def test_the_sample_leaves_out_what_the_page_shows_with_its_class() -> None:
    whole = quiz.sample_of(known_pictures(make_detector(), ()))
    known = tuple(image.tobytes() for image in whole.images[[0, 3, 300]])
    rest = quiz.sample_of(whole.known, known)
    assert len(rest.images) == len(whole.images) - 3
    assert not {image.tobytes() for image in rest.images} & set(known)
    np.testing.assert_array_equal(rest.generated, np.delete(whole.generated, [0, 3, 300]))


def test_the_shipped_examples_are_left_out() -> None:
    from PIL import Image

    from sedid.ui.examples import EXAMPLES

    known = tuple(np.asarray(Image.open(path)).tobytes() for path in sorted(Path(EXAMPLES).glob("*.png")))
    whole = known_pictures(make_detector(), ())
    assert len(quiz.sample_of(whole, known).images) == whole.count - len(known)


@pytest.mark.parametrize("truth", [REAL, GENERATED])
def test_the_answer_names_the_truth_both_verdicts_and_the_score(truth: str) -> None:
    detector = make_detector()
    trace = finish(detector.trace(make_image(), 165))
    judgement = detector.judge(trace, 330)
    record = Record("me").after(truth, judgement, truth)
    page = quiz.reveal(detector, small_sample(), trace, judgement, truth, truth, record)
    assert f'It is <b class="sed-ink-{truth}">{truth}</b>. You were right.' in page
    for words in ("STAT", "NN", "Heatmap of the t-error", "<td>1 of 1</td><td>1</td><td><b>100%</b></td>"):
        assert words in page
    assert "own T_SEC" not in page
    further = detector.judge(trace, 495)
    page = quiz.reveal(detector, small_sample(), trace, further, truth, truth, record)
    assert f"probability of generated {judgement.nn.score:.0%}, at its own T_SEC 330<" in page  # type: ignore[union-attr]

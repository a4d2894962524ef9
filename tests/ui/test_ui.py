"""The parts of the page as pure functions, and the cache behind them. No server, no browser."""

import base64
import json
import re
import subprocess
import sys
import threading
from io import BytesIO

import numpy as np
import pytest
import torch
from helpers.fakes import make_detector, make_image, ramp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sedid.detector.detector import Calibration, Inspection, Trace
from sedid.detector.words import as_dict
from sedid.method.diffusion import NoiseSchedule
from sedid.progress import finish
from sedid.report import filmstrip, pictures
from sedid.report.verdict import card, verdict_cards
from sedid.ui.context import Context
from sedid.ui.examples import list_examples
from sedid.ui.inspect.view import sections, snap
from sedid.ui.recent import Recent
from sedid.ui.traces import Stopped, Traces, Turns, size_of, trace_key


def make_trace(k: int = 165, seed: int = 0) -> Trace:
    return finish(make_detector().trace(make_image(seed), k))


def decode(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))


# --- pictures --------------------------------------------------------------------------------------------------


def test_data_uris_are_lossless() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(decode(pictures.data_uri(pixels)), pixels)


def test_visible_is_the_inverse_of_model_scaling_and_clips() -> None:
    levels = torch.arange(256, dtype=torch.float32).reshape(1, 1, 16, 16).expand(1, 3, 16, 16) / 127.5 - 1
    assert np.array_equal(pictures.visible(levels)[..., 0].ravel(), np.arange(256))
    assert pictures.visible(torch.full((1, 3, 2, 2), 7.0)).min() == 255


def test_heat_runs_from_the_darkest_to_the_brightest() -> None:
    colours = pictures.heat(np.array([[0.0, 1.0, 9.0]]), 1.0)
    assert colours[0, 0].sum() < 10
    assert np.array_equal(colours[0, 1], colours[0, 2])
    brightness = pictures.COLOURS.astype(int) @ [2126, 7152, 722]
    assert (np.diff(brightness[::8]) > 0).all()  # perceptually ordered
    assert pictures.heat(np.zeros((2, 2)), 0.0).shape == (2, 2, 3)


def test_difference_states_its_gain() -> None:
    zeros = torch.zeros(1, 3, 8, 8)
    pixels, gain = pictures.difference(zeros + 0.01, zeros)
    assert gain == 64
    assert pixels[0, 0, 0] == round((0.5 + 0.005 * gain) * 255)
    assert pictures.difference(zeros, zeros)[0].max() == 128


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1.75e-6, "1.75·10⁻⁶"),
        (0.0123, "0.0123"),
        (1.234, "1.23"),
        (12.6, "12.6"),
        (12300, "12,300"),
        (3e8, "3.00·10⁸"),
    ],
)
def test_numbers_have_three_digits(value: float, words: str) -> None:
    assert pictures.number(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(2, "2"), (0.25, "0.25"), (1e-5, "10⁻⁵"), (2e-5, "2·10⁻⁵"), (100, "100"), (0, "0")]
)
def test_ticks_have_no_idle_zeros(value: float, words: str) -> None:
    assert pictures.short(value) == words


# --- verdicts in words -----------------------------------------------------------------------------------------


def judged(t_sec: int = 330, **changes: object):
    detector = make_detector()
    trace = make_trace()
    calibration = Calibration(
        **{**vars(detector.stat[165, 330]), "t_sec": t_sec, **changes}  # type: ignore[arg-type]
    )
    detector.stat[165, t_sec] = calibration
    return detector, detector.judge(trace, t_sec)


@pytest.mark.parametrize(
    ("threshold", "band", "call"),
    [(1e6, (9e5, 2e6), "Looks generated"), (1e-6, (0, 1e-5), "Looks real"), (50.0, (0.0, 1e6), "Cannot tell")],
)
def test_verdicts_are_three_valued(threshold: float, band: tuple[float, float], call: str) -> None:
    detector, judgement = judged(threshold=threshold, band=band, real=ramp(0, 200), generated=ramp(0, 200))
    shown = card(detector, judgement, neural=False)
    assert f'<span class="sed-call">{call}</span>' in shown
    assert ("at most 10 in 100 of either kind" in shown) == (call != "Cannot tell")
    assert ("we <b>do not decide</b>" in shown) == (call == "Cannot tell")


@pytest.mark.parametrize("polarity", ["smaller", "larger"])
def test_which_side_means_generated_is_said_at_every_t_sec(polarity: str) -> None:
    detector, judgement = judged(polarity=polarity, real=ramp(0, 200), generated=ramp(0, 200))
    assert f"At this T_SEC <b>{polarity}</b> errors mean generated" in card(detector, judgement, neural=False)
    assert "means generated" not in card(detector, judgement, neural=True)
    further = detector.judge(make_trace(), 660)
    assert "neither side means generated here" in card(detector, further, neural=False)


def test_an_empty_band_is_not_spelt_out() -> None:
    detector, judgement = judged(threshold=50.0, band=(50.0, 50.0), real=ramp(0, 200), generated=ramp(0, 200))
    shown = card(detector, judgement, neural=False)
    assert "would not decide" not in shown
    assert "50 to 50" not in shown


def test_out_of_range_gives_no_call_and_no_confidence() -> None:
    detector, judgement = judged(real=ramp(1e6, 2e6), generated=ramp(1e6, 2e6))
    shown = verdict_cards(detector, judgement)
    assert "unlike that of\nany picture the detector was tuned on" in shown
    assert "Looks" not in shown
    assert "reference images" not in shown
    told = sections(detector, make_trace(), judgement, others=lambda: [("faces", "a/faces")]).verdicts
    assert "What you can do:" in told
    assert 'data-detector="a/faces">Try faces' in told


def test_no_verdict_is_made_up_where_there_is_no_calibration() -> None:
    detector = make_detector()
    trace = make_trace()
    shown = verdict_cards(detector, detector.judge(trace, 660))
    assert shown.count("Not calibrated here") == 1
    assert 'data-k="165" data-t="495"' in shown
    assert "two compared images, at its own T_SEC 330</small>" in shown
    own = str(card(detector, detector.judge(trace, 330), neural=True))
    assert own.replace("compared images</small>", "compared images, at its own T_SEC 330</small>") in shown
    shown = verdict_cards(detector, detector.judge(make_trace(k=330), 660))
    assert shown.count("Not calibrated here") == 2
    assert 'data-k="165" data-t="330"' in shown
    plain = make_detector(calibrated=False)
    shown = verdict_cards(plain, plain.judge(make_trace(), 330))
    assert shown.count("Not calibrated: no verdict") == 2
    assert "python -m sedid calibrate" in shown
    assert "no classifier" in shown
    assert "sed-go" not in shown


def test_the_factors_multiply_to_the_error() -> None:
    detector = make_detector()
    judgement = detector.judge(make_trace(), 495)
    shown = sections(detector, make_trace(), judgement).factors
    error, weight, change = (float(number) for number in re.findall(r"<div><b>([\d.]+)</b>", shown))
    assert error == pytest.approx(weight * change, rel=0.01)


# --- what follows the trace ------------------------------------------------------------------------------------


@given(st.integers(2, 400), st.integers(4, 40))
def test_frames_shown_are_few_and_keep_the_measured_step(count: int, limit: int) -> None:
    frames = filmstrip.shown_frames(count, limit)
    assert len(frames) <= limit
    assert frames == sorted(set(frames))
    assert frames[0] == 0
    assert frames[-2:] == [count - 2, count - 1]


def test_the_filmstrip_says_when_it_skips_frames() -> None:
    trace = make_trace(k=20)
    assert f"{trace.space.frames} of 50 steps are shown" in filmstrip.filmstrip(trace, 980)
    shown = filmstrip.filmstrip(trace, 200)
    assert "are shown" not in shown
    assert "The two outlined images" in shown
    assert shown.count("sed-measured") == 2


def test_error_maps_agree_with_the_engine() -> None:
    trace = make_trace()
    for weight_free in (False, True):
        maps = filmstrip.error_maps(trace, weight_free)
        for t_sec, found in zip(trace.t_secs, maps, strict=True):
            error = trace.t_error(t_sec)
            assert found == pytest.approx((error.change if weight_free else error.map)[0].sum(0).numpy(), rel=1e-5)
    assert filmstrip.error_maps(trace, False).sum((1, 2)) == pytest.approx(trace.curve, rel=1e-4)


def test_locked_colours_are_the_same_at_every_t_sec() -> None:
    trace = make_trace()

    def bars(locked: bool) -> set[str]:
        shown = [filmstrip.heatmap(trace, t_sec, False, locked) for t_sec in trace.t_secs]
        return {re.search("≥ ([^<]+)<", text)[1] for text in shown}  # type: ignore[index]

    assert len(bars(locked=True)) == 1
    assert len(bars(locked=False)) > 1


@given(st.integers(5, 495), st.integers(-100, 5000))
def test_snap_lands_on_an_existing_step(k: int, t_sec: int) -> None:
    detector = make_detector()
    found = snap(detector, k, t_sec)
    assert found % k == 0
    assert k <= found <= 999


def test_what_others_wrote_is_escaped() -> None:
    assert "<img" not in filmstrip.seen(make_image(), ['<img src=x onerror="alert(1)">']).replace('<img src="data:', "")


def test_the_api_answer_is_plain_json_and_withholds_calls_out_of_range() -> None:
    detector, judgement = judged(real=ramp(1e6, 2e6), generated=ramp(1e6, 2e6))
    found = json.loads(json.dumps(as_dict("", Inspection(make_trace(), judgement, ("a note",)), detector)))
    assert found["stat"]["verdict"] == "outside the calibrated range"
    assert found["stat"]["in_range"] is False
    assert found["notes"] == ["a note"]
    elsewhere = as_dict("", Inspection(make_trace(), detector.judge(make_trace(), 495), ()), detector)
    assert [(elsewhere[name]["k"], elsewhere[name]["t_sec"]) for name in ("stat", "nn")] == [(165, 495), (165, 330)]
    assert elsewhere["nn"] == found["nn"]


# --- cache and context -----------------------------------------------------------------------------------------


def test_traces_are_bounded_in_memory() -> None:
    detector, traces = make_detector(), Traces(lambda _: None)
    one = traces.walk(detector, make_image(), 495)
    assert 0 < size_of(one) == sum(point.x.nbytes + point.eps.nbytes for point in one.points)
    traces.kept = Recent(64, size_of, 2.5 * size_of(one))
    for seed in range(4):
        traces.walk(detector, make_image(seed), 495)
    assert len(traces.kept) == 2


def test_trace_keys_tell_pixels_k_and_weights_apart() -> None:
    from dataclasses import replace

    detector, other = make_detector(), make_image(1)
    one = trace_key(detector, make_image(), 165)
    assert one == trace_key(detector, make_image()[:, ::1].copy(), 165)
    renamed = replace(detector, info={"checkpoint_sha256": "another"})
    keys = {
        one,
        trace_key(detector, other, 165),
        trace_key(detector, make_image(), 5),
        trace_key(renamed, make_image(), 165),
    }
    assert len(keys) == 4


def test_a_second_look_costs_no_evaluation() -> None:
    detector = make_detector()
    context = Context(lambda: detector)
    seen: list[tuple[int, int]] = []
    trace = context.traces.walk(detector, make_image(), 165, report=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 7) for i in range(1, 8)]
    calls = detector.eps_model.calls  # type: ignore[attr-defined]
    assert context.traces.walk(detector, make_image(), 165) is trace
    assert detector.eps_model.calls == calls == 7  # type: ignore[attr-defined]


def test_a_walk_ends_early_when_another_k_is_wanted() -> None:
    detector = make_detector()
    context = Context(lambda: detector)
    wanted = context.traces.turns.want("me", 5)

    def report(done: int, total: int) -> None:
        if done == 3:
            context.traces.turns.want("me", 100)

    with pytest.raises(Stopped):
        context.traces.walk(detector, make_image(), 5, wanted, report)
    assert detector.eps_model.calls == 4  # type: ignore[attr-defined]
    assert len(context.traces.kept) == 0


def test_turns_remember_a_bounded_number_of_sessions() -> None:
    turns = Turns(sessions=2)
    for session in "abc":
        turns.want(session, 5)
    assert turns.wants("a", 77)  # forgotten, so nothing is in its way
    assert not turns.wants("b", 77)
    turns.want("b", None)
    assert not turns.wants("b", 5)


def test_the_image_wanted_last_is_waited_for_alone() -> None:
    turns = Turns()
    first, second = make_image(1), make_image(2)
    wanted = turns.want("me", 165, first)
    other = turns.want("another", 165, first)
    assert wanted()
    later = turns.want("me", 165, second)
    assert (wanted(), later(), other()) == (False, True, True)
    assert turns.wants("me", 165)  # whichever image
    turns.want("me", 165)  # the slider of k says nothing of the image: it is the one wanted last
    assert (wanted(), later()) == (False, True)


def test_the_detector_is_loaded_once_by_many_and_a_failure_is_tried_again() -> None:
    loads = 0

    def load():
        nonlocal loads
        loads += 1
        if loads == 1:
            raise FileNotFoundError("not yet")
        return make_detector()

    context = Context(load)
    with pytest.raises(FileNotFoundError):
        context.detectors.get()
    threads = [threading.Thread(target=context.detectors.get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == 2


def test_traces_of_one_network_on_two_schedules_are_kept_apart() -> None:
    from dataclasses import replace

    detector = make_detector()
    other = replace(detector, schedule=NoiseSchedule.linear(500))
    assert trace_key(detector, make_image(), 165) != trace_key(other, make_image(), 165)


def test_examples_are_listed_by_origin_and_name(tmp_path) -> None:
    for name in ("generated-01.png", "real-02.png", "real-01.png", "notes.txt", "other.png"):
        (tmp_path / name).write_bytes(b"")
    assert [example.name for example in list_examples(tmp_path)] == ["real-01", "real-02", "generated-01"]
    assert list_examples(tmp_path / "absent") == ()


def test_importing_the_ui_is_cheap_and_opens_no_socket() -> None:
    code = (
        "import sys, sedid.ui; print(sorted({'gradio', 'diffusers', 'torchvision', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.jobs
def test_the_page_is_built_before_pytorch_is_imported() -> None:
    """Importing it takes half as long as everything else together; whoever wants a verdict waits for it, not the page."""
    code = (
        "import sys; from sedid.ui import build_demo; build_demo();"
        "print(sorted({'torch', 'diffusers', 'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_what_is_imported_later_is_the_module_itself() -> None:
    import torch

    from sedid.later import torch as later

    assert later.Tensor is torch.Tensor
    assert not hasattr(later, "no_such_name")

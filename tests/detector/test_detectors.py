"""The detector on a random bundle: verdicts against the literal formula, and nothing evaluated twice."""

from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.bundles import CHOSEN, K, pictures
from helpers.bundles import shared_detector as detector
from PIL import Image
from torch import Tensor

from sedid.data.datasets import as_model_input
from sedid.detector import detector as detectors
from sedid.detector.batches import judge_in_batches
from sedid.method.diffusion import NoiseSchedule, Point, TError, nn_input, t_error
from sedid.progress import finish

pytestmark = pytest.mark.usefixtures("one_thread")


class Counting:
    """A noise predictor that remembers where it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, x: Tensor, t: int) -> Tensor:
        self.asked.append(t)
        return detector().eps_model(x, t)


def literal(image: np.ndarray, k: int, t_sec: int) -> tuple[Tensor, Tensor]:
    """x~_{T_SEC - k} and its round trip by the paper's phi and psi, f_theta formed, float64 coefficients."""
    eps_model, bar = detector().eps_model, detector().schedule.alpha_bar

    def move(x: Tensor, t: int, u: int) -> Tensor:
        eps = eps_model(x.float(), t).double()
        f = (x - sqrt(1 - bar[t]) * eps) / sqrt(bar[t])
        return sqrt(bar[u]) * f + sqrt(1 - bar[u]) * eps

    x = as_model_input(image[None]).double()
    for t in range(0, t_sec - k, k):
        x = move(x, t, t + k)
    return x, move(move(x, t_sec - k, t_sec), t_sec, t_sec - k)


def test_inspect_judge_and_the_literal_formula_agree() -> None:
    image = pictures(1)[0]
    found = detector().inspect(image)
    assert (found.judgement.k, found.judgement.t_sec) == CHOSEN
    without = replace(detector(), network=None, nn=None)
    for t_sec in (165, 495, 990):
        judged = detector().judge(found.trace, t_sec)
        near, back = literal(image, K, t_sec)
        assert judged.t_error == pytest.approx(float(((back - near) / 2).square().sum()), rel=1e-3)
        assert judged.t_error == pytest.approx(judged.weight * judged.change)
        assert judged.stat is not None
        assert judged.stat.calibration is detector().stat[K, t_sec]
        assert judged.stat == without.judge(found.trace, t_sec).stat
        assert judged.nn is not None
        assert judged.nn.calibration is detector().nn
        assert judged.nn == found.judgement.nn  # at its own T_SEC, 495
        assert torch.allclose(found.trace.denoised(t_sec).double(), back, atol=1e-3 * float(back.abs().max()))
    assert detector().judge(found.trace, 495) == found.judgement
    assert found.trace.curve[2] == found.judgement.t_error


def test_the_classifier_sees_both_images_at_the_same_timestep() -> None:
    image = pictures(1, seed=1)[0]
    trace = detector().inspect(image).trace
    pair = nn_input(trace.schedule, *trace.step(495), "pair")
    near, back = literal(image, K, 495)
    assert torch.allclose(pair.double(), torch.cat([near, back], 1), atol=1e-3 * float(back.abs().max()))
    error, both = (nn_input(trace.schedule, *trace.step(495), mode) for mode in ("error", "both"))
    assert torch.equal(both, torch.cat([pair, error], 1))
    assert torch.allclose(error, (pair[:, :3] - pair[:, 3:]).square())
    with pytest.raises(ValueError, match="accepted: pair, error, both"):
        nn_input(trace.schedule, *trace.step(495), "triple")


def test_moving_t_sec_never_calls_the_network() -> None:
    counting = Counting()
    watched = replace(detector(), eps_model=counting)
    trace = finish(watched.trace(pictures(1)[0], K))
    assert counting.asked == [0, 165, 330, 495, 660, 825, 990]
    for t_sec in trace.t_secs:
        watched.judge(trace, t_sec)
    assert len(counting.asked) == 7


def test_an_uncalibrated_pair_gets_no_verdict_and_the_nearest_one_is_offered() -> None:
    found = detector().inspect(pictures(1)[0], k=300)
    assert found.judgement.t_sec == 600  # the multiple nearest to the calibrated 495
    assert found.judgement.stat is None
    assert found.judgement.nn is None
    assert found.judgement.t_error > 0
    assert detector().nearest(300, 600) == (165, 660)
    assert detector().nearest(165, 330) == (165, 330)


@pytest.mark.parametrize(("k", "t_sec", "said"), [(165, 500, "495, 660"), (0, None, "k must"), (1000, None, "k must")])
def test_a_pair_outside_the_schedule_is_refused(k: int, t_sec: int | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        detector().inspect(pictures(1)[0], k=k, t_sec=t_sec)


def test_a_trace_that_ends_early_says_so() -> None:
    trace = finish(detector().trace(pictures(1)[0], K, 330))
    assert trace.t_secs == (165, 330)
    judged = detector().judge(trace, 330)
    assert judged.stat is not None
    assert judged.nn is None  # it does not reach 495
    with pytest.raises(ValueError, match="ends at T_SEC = 330"):
        detector().judge(trace, 495)


def test_an_image_far_outside_the_references_is_marked() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    narrow = {pair: replace(made, real=(1.0, 2.0), generated=(1.0, 2.0)) for pair, made in detector().stat.items()}
    found = replace(detector(), stat=narrow).inspect(noise).judgement
    assert found.stat is not None
    assert found.nn is not None
    assert not found.stat.in_range
    assert not found.nn.in_range
    assert (found.stat.percentile_real, found.stat.percentile_generated) == (100, 100)


def test_a_verdict_is_in_range_up_to_where_it_is_read() -> None:
    trace = detector().inspect(pictures(1)[0]).trace
    wide = {pair: replace(made, real=(-np.inf, np.inf)) for pair, made in detector().stat.items()}
    for narrow, stats, nn in ((165, [], False), (330, [165], False), (660, [165, 330, 495], True)):
        stat = wide | {(K, narrow): replace(wide[K, narrow], real=(-2, -1), generated=(-2, -1))}
        judged = [replace(detector(), stat=stat).judge(trace, t_sec) for t_sec in trace.t_secs]
        assert [one.t_sec for one in judged if one.stat and one.stat.in_range] == stats
        assert {one.nn.in_range for one in judged if one.nn} == {nn}


@pytest.mark.parametrize(("k", "t_sec", "reach"), [(165, 330, 495), (165, 495, 495), (165, 990, 990), (330, 330, 330)])
def test_a_batch_walks_as_far_as_both_verdicts_need_and_judges_as_one_by_one(k: int, t_sec: int, reach: int) -> None:
    counting = Counting()
    watched = replace(detector(), eps_model=counting)
    assert watched.reach(k, t_sec) == reach
    assert replace(watched, network=None, nn=None).reach(k, t_sec) == t_sec
    images, told = pictures(3), []
    together = judge_in_batches(watched, images, k, t_sec, lambda *at: told.append(at), batch=2)
    assert counting.asked == 2 * list(range(0, reach + k, k))
    assert told == [(done, 2 * (reach // k + 1)) for done in range(1, 2 * (reach // k + 1) + 1)]
    for image, judged in zip(images, together, strict=True):
        alone = detector().inspect(image, t_sec, k).judgement
        assert judged.t_error == pytest.approx(alone.t_error, rel=1e-4)
        for one, other in ((judged.stat, alone.stat), (judged.nn, alone.nn)):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert one.score == pytest.approx(other.score, rel=1e-3)
                assert (one.call, one.in_range, one.calibration) == (other.call, other.in_range, other.calibration)


def test_a_walk_is_asked_for_no_point_too_many_and_no_step_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    counting, steps = Counting(), []

    def counted(schedule: NoiseSchedule, near: Point, far: Point) -> TError:
        steps.append(far.t)
        return t_error(schedule, near, far)

    monkeypatch.setattr(detectors, "t_error", counted)
    watched = replace(detector(), eps_model=counting)
    watched.judge_walk(pictures(2), K, watched.walk(pictures(2), K), 330)  # a walk that would go on to 990
    assert counting.asked == [0, 165, 330, 495]
    assert steps == [165, 330, 495]
    with pytest.raises(ValueError, match="ends before T_SEC = 660"):
        watched.judge_walk(pictures(2), K, watched.walk(pictures(2), K, 495), 660)


def test_an_image_means_the_same_in_every_form(tmp_path: Path) -> None:
    pixels = pictures(1, seed=2)[0]
    file = tmp_path / "image.png"
    Image.fromarray(pixels).save(file)
    forms = (pixels, Image.open(file), file, str(file), file.read_bytes())
    found = [detector().inspect(form) for form in forms]
    assert all(np.array_equal(one.trace.image, pixels) for one in found)
    assert len({one.judgement.t_error for one in found}) == 1


def test_notes_say_once_what_was_done(tmp_path: Path) -> None:
    file = tmp_path / "gray.png"
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(file)
    notes = detector().inspect(file).notes
    assert notes == ("gray converted to RGB", "resized from 60x40 (centre square 40) to 32x32")


def test_printing_a_judgement_is_readable() -> None:
    assert len(repr(detector().inspect(pictures(1)[0]).judgement)) < 2000

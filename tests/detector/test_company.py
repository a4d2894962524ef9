"""Images judged in company get the calls they would get alone, also where they lie at an edge."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fakes import make_detector, make_image

from sedid.detector import company
from sedid.detector.batches import judge_in_batches
from sedid.detector.detector import Calibration, Call, Detector, Judgement
from sedid.models.networks import eps_model
from sedid.models.sharing import Sharing
from sedid.progress import finish

pytestmark = pytest.mark.usefixtures("one_thread_for_all")

K, T_SEC = 330, 660
COUNT = 12
IMAGES = np.stack([make_image(seed) for seed in range(COUNT)])


@pytest.fixture(scope="module")
def plain(tiny_unet: Callable[..., Any]) -> Detector:
    """A detector on a real U-Net, whose kernels round otherwise in batches."""
    made = make_detector(calibrated=False)
    return replace(made, eps_model=eps_model(tiny_unet(sample_size=32), made.runtime))


@pytest.fixture(scope="module")
def alone(plain: Detector) -> list[float]:
    """The t-error of each image alone."""
    return [finish(plain.trace(image, K, T_SEC)).t_error(T_SEC).score.item() for image in IMAGES]


@pytest.fixture(scope="module")
def together(plain: Detector) -> list[float]:
    """The t-error of each image in one batch with the others."""
    return [judgement.t_error for judgement in plain.judge_walk(IMAGES, K, plain.walk(IMAGES, K, T_SEC), T_SEC)]


def edged(plain: Detector, edge: float, polarity: str, of_range: bool = False) -> Detector:
    """A detector that changes its call at this score: from one class to the other, or where its range ends."""
    if of_range:
        low = edge / (1 - 1e-4)
        ends: tuple[float, ...] = (low, 1e9) if polarity == "smaller" else (1e-9, edge / (1 + 1e-4))
        made = Calibration(K, T_SEC, "smaller", 1e-9, (1e-9, 1e-9), ends, ends, 0.9)
    else:
        made = Calibration(K, T_SEC, polarity, edge, (edge, edge), (1e-9, 1e9), (1e-9, 1e9), 0.9)
    return replace(plain, stat={(K, T_SEC): made}, chosen=(K, T_SEC))


def calls(judgements: list[Judgement]) -> list[Call]:
    return [judgement.stat.call for judgement in judgements if judgement.stat]


def test_a_score_in_company_is_that_alone_but_for_rounding(alone: list[float], together: list[float]) -> None:
    apart = np.abs(np.array(together) / np.array(alone) - 1)
    assert 0 < apart.max() < company.bound((K, T_SEC))  # a kernel that rounds alike would make the tests below idle


@pytest.mark.parametrize("of_range", [False, True])
def test_at_an_edge_the_call_is_that_of_the_image_alone(
    plain: Detector, alone: list[float], together: list[float], of_range: bool
) -> None:
    """Pictures with their score exactly at an edge, and where company would put it: each in company with all others."""
    flips = 0
    for place in range(COUNT):
        for edge, polarity in ((alone[place], "smaller"), (alone[place], "larger"), (together[place], "smaller")):
            detector = edged(plain, edge, polarity, of_range)
            expected = by_score(detector, alone)
            assert calls(judge_in_batches(detector, IMAGES, K, T_SEC)) == expected
            flips += by_score(detector, together) != expected
    assert flips  # without the second look some would differ


def by_score(detector: Detector, scores: list[float]) -> list[Call]:
    """The calls that scores come to."""
    made, found = detector.stat[K, T_SEC], np.array(scores)
    return [verdict.call for verdict in detector.verdicts(made, found, {(K, T_SEC): found})]


@pytest.mark.parametrize("polarity", ["smaller", "larger"])
def test_visitors_at_the_same_time_get_the_calls_they_would_get_alone(
    plain: Detector, alone: list[float], polarity: str
) -> None:
    with ThreadPoolExecutor(COUNT) as visitors:
        for edge in alone[:2]:
            detector = edged(plain, edge, polarity)
            shared = company.share(detector, Sharing())
            found = list(visitors.map(lambda image: finish(company.trace(shared, image, K)), IMAGES))  # noqa: B023
            judged = [shared.judge(trace, T_SEC) for trace in found]
            assert calls(judged) == by_score(detector, alone)
            assert [one.t_error for one in judged] == pytest.approx(alone, rel=company.bound((K, T_SEC)))


def test_away_from_the_edges_nothing_is_walked_twice() -> None:
    detector = make_detector()
    network: Any = detector.eps_model
    shared = company.share(detector, Sharing(rows=COUNT))
    trace = finish(company.trace(shared, make_image(3), 165))
    assert network.calls == len(trace.points)
    judge_in_batches(shared, IMAGES, 165, 330)
    assert network.calls == len(trace.points) + 3


def test_the_classifier_is_asked_once_about_a_trace() -> None:
    detector = make_detector()
    asked: list[Any] = []
    network = detector.network
    assert network is not None
    shared = company.share(replace(detector, network=lambda x: asked.append(x) or network(x)), Sharing())
    trace = finish(company.trace(shared, make_image(3), 165))
    judged = [shared.judge(trace, t_sec) for t_sec in (330, 495, 330)]
    assert judged == [detector.judge(trace, t_sec) for t_sec in (330, 495, 330)]
    assert len(asked) == 1
    assert judge_in_batches(shared, IMAGES, 165, 330) == judge_in_batches(detector, IMAGES, 165, 330)


def test_near_an_edge_the_classifier_is_asked_alone() -> None:
    """In company its answer lies on the wrong side: the call is that of the answer alone."""
    x = torch.zeros(1, 6, 4, 4)
    said = {"in company": 0.999, "alone": 1.001}

    def answers(how: str) -> Callable[[Any], Any]:
        return lambda x: torch.full((len(x), 1), said[how])

    near = company.Remembering(answers("in company"), answers("alone"), (1.0, 3.0))
    far = company.Remembering(answers("in company"), answers("alone"), (2.0, 3.0))
    assert near(x).item() == pytest.approx(1.001)
    assert far(x).item() == pytest.approx(0.999)
    detector = make_detector()
    assert detector.nn is not None
    shared: Any = company.share(detector, Sharing()).network
    logits = np.array(shared.edges) / detector.nn.temperature
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(detector.nn.band)
    assert (shared.network.alone, shared.by_itself.alone) == (False, True)


def test_the_classifier_has_edges_too() -> None:
    detector = make_detector()
    assert detector.nn is not None
    low, _ = detector.nn.band
    errors = {(165, 330): np.array([50.0, 50.0, 50.0])}
    probabilities = np.array([low, low + 1e-4, 0.2])
    clear = replace(detector, stat={})
    assert company.near_an_edge(clear, errors, probabilities).tolist() == [0, 1]
    assert company.near_an_edge(detector, {(165, 330): np.array([40.0, 60.001, 60.01])}).tolist() == [0, 1]
    assert company.near_an_edge(clear, {}, np.array([0.0, 1.0])).tolist() == []  # certain is not near


def test_a_walk_in_company_ends_when_nobody_asks_on() -> None:
    detector = make_detector()
    network: Any = detector.eps_model
    steps: Iterator[Any] = company.trace(company.share(detector, Sharing()), make_image(), 165)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert network.calls == 1

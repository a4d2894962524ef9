"""A network shared by threads: who gets which rows, in what company, and what an error does."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import sedid.models.sharing as sharing_module
from sedid.models.sharing import FIRST, LINE, Question, Shared, Sharing, deal, line_after, turn


class Network:
    """Adds a row's timestep to the row. Remembers its batches, and waits while its gate is closed."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []  # first value of each row
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, x: Tensor, t: int | Tensor | None = None) -> Tensor:
        self.threads.add(threading.get_ident())
        self.batches.append(x[:, 0].tolist())
        assert self.gate.wait(20)
        if (x < 0).any():
            raise ValueError("a negative row")
        return x if t is None else x + torch.as_tensor(t).reshape(-1, 1)


def rows(count: int, value: float = 0.0) -> Tensor:
    """(count, 2), all of one value."""
    return torch.full((count, 2), value)


def at_once(network: Network, sharing: Sharing, *questions: tuple[Any, ...]) -> list[Any]:
    """The answers to questions of threads of their own, all asked in this order while the network is busy with another."""
    network.gate.clear()
    with ThreadPoolExecutor(len(questions) + 1) as threads:
        busy = threads.submit(Shared(sharing, network), rows(1, 99.0), 0)
        wait_for(lambda: len(network.batches) > 0)
        answers = []
        for place, (asked, *arguments) in enumerate(questions):
            answers.append(threads.submit(asked, *arguments))
            wait_for(lambda: len(sharing._waiting) == place + 2)  # noqa: B023  who keeps it busy, too
        network.gate.set()
        busy.result()
        return [answer.exception() or answer.result() for answer in answers]


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_what_waits_is_one_batch_whatever_its_timesteps_and_everybody_gets_their_own() -> None:
    network, sharing = Network(), Sharing(rows=12, turns=1)
    shared = Shared(sharing, network)
    asked = [(shared, rows(1 + number % 3, number), 10 * number) for number in range(5)]
    answers = at_once(network, sharing, *asked)
    assert [answer.tolist() for answer in answers] == [(x + t).tolist() for _, x, t in asked]
    assert len(network.batches) == 2  # the one that kept it busy, and all others
    assert network.threads.isdisjoint({threading.get_ident()})
    assert len(network.threads) == 1
    # a walk keeps its answers: they must not keep those of the whole batch
    assert [answer.untyped_storage().nbytes() for answer in answers] == [answer.nbytes for answer in answers]


def test_a_large_batch_lets_the_others_through() -> None:
    network, sharing = Network(), Sharing(rows=4, turns=1)
    other, shared = Network(), Shared(sharing, network)
    answers = at_once(
        network, sharing, (shared, rows(12, 1), 0), (shared, rows(1, 2), 0), (Shared(sharing, other), rows(1, 3), 0)
    )
    assert [len(answer) for answer in answers] == [12, 1, 1]
    turns = [sorted(batch) for batch in network.batches[1:]]
    assert turns[0] == [1, 2]  # the small one is in the first turn, which is short
    assert [value for batch in turns for value in batch].count(1) == 12
    assert len(other.batches) == 1


def test_a_walk_is_not_kept_waiting_by_turns_of_a_batch_between_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing_module, "SOON", 2.0)  # however busy the machine of this test is
    network, sharing = Network(), Sharing(rows=4, turns=1)
    shared = Shared(sharing, network)
    network.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        batch = threads.submit(shared, rows(60, 1), 0)
        wait_for(lambda: len(network.batches) > 0)
        network.gate.set()
        for _ in range(10):
            shared(rows(1, 2), 0)
        met = [2 in turn for turn in network.batches]
        batch.result()
    steps = met[met.index(True) : len(met) - met[::-1].index(True)]
    assert steps.count(True) == 10
    assert steps.count(False) <= 1 + len(steps) // LINE  # the turns of the first in line


def test_who_wants_no_company_has_none() -> None:
    network, sharing = Network(), Sharing(turns=1)
    shared, alone = Shared(sharing, network), Shared(sharing, network, alone=True)
    at_once(network, sharing, (shared, rows(1, 1), 0), (alone, rows(2, 2), 0), (shared, rows(1, 3), 0))
    assert [sorted(batch) for batch in network.batches[1:]] == [[1, 3], [2, 2]]


def test_an_error_reaches_only_whom_it_belongs_to() -> None:
    network, sharing = Network(), Sharing()
    shared = Shared(sharing, network)
    one, bad, other = at_once(
        network, sharing, (shared, rows(1, 1), 0), (shared, rows(1, -1), 0), (shared, rows(1, 2), 0)
    )
    assert isinstance(bad, ValueError)
    assert (one.tolist(), other.tolist()) == ([[1, 1]], [[2, 2]])
    assert shared(rows(1, 5), 1).tolist() == [[6, 6]]  # and it goes on


def test_a_classifier_takes_no_timestep() -> None:
    network, sharing = Network(), Sharing()
    shared = Shared(sharing, network)
    answers = at_once(network, sharing, (shared, rows(2, 1)), (shared, rows(1, 2), 7), (shared, rows(1, 3)))
    assert [answer.tolist() for answer in answers] == [[[1, 1], [1, 1]], [[9, 9]], [[3, 3]]]


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=40)


@given(sizes=SIZES, most=st.integers(1, 32), number=st.integers(1, 2 * LINE))
def test_a_turn_is_of_the_small_ones_after_who_leads_and_full_or_short_for_their_sake(
    sizes: list[int], most: int, number: int
) -> None:
    network = Network()
    waiting = [Question(network, rows(size), 0) for size in sizes]
    (leads, first), *others = dealt = deal(waiting, most, number)
    half = max(1, most // 2)
    assert sum(count for _, count in dealt) <= most
    if leads.left > half:
        assert sum(count for _, count in dealt) == min(most, sum(sizes))
    else:
        assert sum(count for _, count in dealt) >= min(half, sum(sizes))
        assert sum(count for one, count in dealt if count < one.left) < half  # no parts of large ones beyond
    assert all(1 <= count <= one.left for one, count in dealt)
    assert leads is (min(waiting, key=lambda one: one.left) if number % LINE else waiting[0])
    assert first >= min(leads.left, half)
    counts = dict(dealt)
    short = [one.left for one in waiting if one is not leads and counts.get(one, 0) < one.left]
    assert all(one.left <= min(short, default=one.left) for one, _ in others)


@given(batch=st.integers(1, 60), others=SIZES, most=st.integers(1, 32), place=st.integers(0, 40), kinds=st.booleans())
def test_a_batch_is_answered_however_many_small_ones_come(
    batch: int, others: list[int], most: int, place: int, kinds: bool
) -> None:
    """Each of the others, of another network or the same, asks anew as soon as it is answered, for one row."""
    network = Network()
    other = Network() if kinds else network
    waiting = [Question(other, rows(size), 0) for size in others]
    large = Question(network, rows(batch), 0)
    waiting.insert(place, large)
    turns, all = 0, len(waiting)
    while not large.answer.done():
        turns += 1
        dealt = deal(waiting, most, turns)
        turn(dealt)
        waiting = line_after(waiting, dealt[0][0])
        waiting += [Question(other, rows(1), 0) for _ in range(all - len(waiting))]
    assert turns <= LINE * all * -(-batch // max(1, most // 2))


def test_one_picture_is_answered_in_the_next_turn_though_batches_wait() -> None:
    network, other = Network(), Network()
    batches = [Question(network, rows(20), 0) for _ in range(20)]
    one, classified = Question(network, rows(1), 330), Question(other, rows(1), 0)
    line = [*batches, one, classified]
    assert deal(line, 16, 1) == [(one, 1), (batches[0], 7)]  # a batch gets what makes the turn half full
    assert deal(batches, 16, 1) == [(batches[0], 16)]  # and the batches one after another, not all at once
    assert deal([*batches, classified, one], 16, 2) == [(classified, 1)]
    assert deal(line, 16, LINE) == [(batches[0], 15), (one, 1)]


def test_the_thread_goes_with_the_line() -> None:
    sharing = Sharing()
    Shared(sharing, Network())(rows(1), 0)
    (thread,) = sharing._threads._threads
    del sharing
    thread.join(20)
    assert not thread.is_alive()


class Watched(Network):
    """A network that remembers what runs beside each of its batches, and with how many threads."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[float] = []
        self.seen: list[tuple[float, int, tuple[float, ...]]] = []  # a row's value, threads, and what runs already

    def __call__(self, x: Tensor, t: int | Tensor | None = None) -> Tensor:
        value = float(x[0, 0])
        self.seen.append((value, torch.get_num_threads(), tuple(self.running)))
        self.running.append(value)
        try:
            time.sleep(0.02)  # for a thread switch, not to be long enough
            return super().__call__(x, t)
        finally:
            self.running.remove(value)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Whatever the machine has, torch has two threads here."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_two_turns_are_taken_at_a_time_each_with_half_of_the_threads() -> None:
    network = Watched()
    sharing = Sharing(rows=1, turns=2)
    shared = Shared(sharing, network)
    answers = at_once(network, sharing, *((shared, rows(1, number), 10) for number in range(6)))
    assert [answer.tolist() for answer in answers] == [[[number + 10] * 2] for number in range(6)]
    (_, first, beside), *others = network.seen
    assert (first, beside) == (2, ())  # nobody else waited
    assert max(len(beside) for _, _, beside in others) == 1
    assert {threads for _, threads, beside in others if beside} == {1}


@pytest.mark.usefixtures("two_threads")
def test_a_question_by_itself_has_all_threads_and_nothing_runs_beside_it() -> None:
    network = Watched()
    sharing = Sharing(rows=1, turns=2)
    shared, alone = Shared(sharing, network), Shared(sharing, network, alone=True)
    at_once(network, sharing, *((alone if number in (2, 5) else shared, rows(1, number), 0) for number in range(8)))
    for value, threads, beside in network.seen:
        if value in (2, 5):
            assert (threads, beside) == (2, ())
        else:
            assert not {2, 5} & set(beside)


def test_a_walk_that_began_earlier_is_not_overtaken() -> None:
    network = Network()
    early, late = Shared(Sharing(), network).begin(), Shared(Sharing(), network).begin()
    assert early.ticket is not None
    assert late.ticket is not None
    first, second = (Question(network, rows(1), 0, ticket=one.ticket) for one in (early, late) if one.ticket)
    batch = Question(network, rows(2), 0, ticket=FIRST)
    assert deal([batch, second, first], 2, 1) == [(first, 1), (second, 1)]
    assert deal([second, batch, first], 1, LINE) == [(second, 1)]  # but nobody waits for ever


def test_many_threads_for_a_while() -> None:
    """Walks of different lengths, step after step: each gets what it would get alone."""
    network, sharing = Network(), Sharing(rows=8)
    shared = Shared(sharing, network)

    def walk(number: int) -> float:
        x = rows(1, number)
        for t in range(number % 5 + 3):
            x = shared(x, t)
        return float(x[0, 0])

    with ThreadPoolExecutor(24) as threads:
        found = list(threads.map(walk, range(200)))
    assert found == [number + sum(range(number % 5 + 3)) for number in range(200)]
    with pytest.raises(ValueError, match="negative"):
        shared(rows(1, -3), 0)

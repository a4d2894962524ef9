"""A network shared by threads: what they ask of it at the same time is answered as one batch.

A walk is a thread that asks the network for one evaluation after another. Served in turn, many walks get one row a batch
each; here the questions that wait become one batch, whatever their timesteps, and its rows go back to who asked.

- Small ones first: a turn is led by the question with the fewest rows left, and what goes with it follows in the same order. So
  one picture does not wait for a batch of many. Nor does it wait long in company of one: a turn that a small question leads is filled with
  rows of a large one, of more than half a turn, up to its half only.
- A walk asks anew a moment after it is answered. Whoever answered a small question looks out for the next one for that moment
  before it turns to a large one; else each step of a walk would wait for a turn of a batch.
- Of the same size, whose walk began first is first (its ticket says when). Were all walks pushed on alike, a long one would take
  as many times longer than a short one as it has more steps, and nobody would be done sooner on the average.
- Nobody waits for ever: every eighth turn is led by the first in line, whatever its size. Who leads and is not answered goes to
  the end of the line; all others keep their place.
- A CPU takes two turns at a time, each with half of its threads: together they do more than one turn with all of them, whose
  threads wait for each other after every layer. Who asks while nobody else does has all threads. So has a question that is to
  owe nothing to company (`Question.alone`), since the number of threads is in the last bits of an answer; no other turn is
  taken meanwhile.
- To cancel, stop asking. Who asks waits for the answer, so there are at most as many questions as threads: memory is
  bounded by what those hold.
- The threads that take turns are always the same. (OpenMP would keep a team of workers, with memory of their own, for each
  thread that ever ran a network.)

The company an image is in changes its rows by rounding alone (`sedid.detector.company`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from sedid.later import torch

if TYPE_CHECKING:
    from torch import Tensor


ROWS_ON_CPU = 8  # of a turn: a CPU gains little from larger batches, and turns stay short
ROWS = 128
TURNS_ON_CPU = 2  # at a time
SOON = 0.02  # seconds within which a walk asks anew; measured, 30 visitors on two cores: 95 of 100 within 0.016
LINE = 8  # one turn in so many is led by the first in line

TICKETS = count(1)
FIRST = 0  # the ticket of who waited already

Network = Callable[..., "Tensor"]
"""eps_theta(x, t), t one timestep or one of each row; or a classifier, of x alone."""


@dataclass(eq=False)
class Question:
    """Rows that somebody waits for.

    Attributes:
        network: who is asked.
        x, t: its arguments, x (B, ...); t None where it takes no timestep.
        alone: never in one batch with rows of other questions, and with all threads.
        ticket: when its walk began: the smaller, the earlier.
        answer: what is waited for, (B, ...).
        parts: what is answered so far.
    """

    network: Network
    x: Tensor
    t: int | None = None
    alone: bool = False
    ticket: int = FIRST
    answer: Future[Tensor] = field(default_factory=Future)
    parts: list[Tensor] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Rows answered so far."""
        return sum(map(len, self.parts))

    @property
    def left(self) -> int:
        """Rows still to answer."""
        return len(self.x) - self.done

    def goes_with(self, other: Question) -> bool:
        """Whether rows of both may be in one batch."""
        if self is other:
            return True
        kind = [(one.network, one.x.shape[1:], one.x.dtype, one.t is None) for one in (self, other)]
        return not self.alone and not other.alone and kind[0] == kind[1]

    def take(self, part: Tensor) -> None:
        """Keep some rows of the answer, which is there with the last of them."""
        self.parts.append(part)
        if not self.left:
            self.answer.set_result(self.parts[0] if len(self.parts) == 1 else torch.cat(self.parts))


def deal(waiting: list[Question], rows: int, number: int = 1) -> list[tuple[Question, int]]:
    """Who is answered in a turn, and how many rows: who leads, with half of them at most, then the small ones that go with it.

    A turn led by a question of at most half its rows takes others whole, and of one it cannot take whole only what makes it half
    full. Any other turn is filled.

    A question of n rows, one of N that wait, is answered within LINE N ceil(n / (rows / 2)) turns, however many small ones come:
    it is first in line within LINE N turns, and then gets half of the rows.

    Args:
        waiting: in line, not empty.
        rows: at most so many in all.
        number: of the turn, from 1 on.

    Returns:
        Who leads first.
    """
    by_size = sorted(waiting, key=lambda one: (one.left, one.ticket))
    leads = by_size[0] if number % LINE else waiting[0]
    half = max(1, rows // 2)
    counts = {leads: min(leads.left, half)}
    free = rows - counts[leads]
    kept = 0 if leads.left > half else rows - half  # from parts
    for question in by_size:
        if question.goes_with(leads):
            left = question.left - counts.get(question, 0)
            more = left if left <= free else max(0, free - kept)
            free -= more
            if more:
                counts[question] = counts.get(question, 0) + more
    return list(counts.items())


class Sharing:
    """The line in front of the networks of an app, and the threads that serve it.

    Args:
        rows: of a turn, at most; default: what suits the device.
        turns: at a time, at most; default: what suits the device.
    """

    def __init__(self, rows: int | None = None, turns: int | None = None) -> None:
        self._rows, self._turns = rows, turns
        self._waiting: list[Question] = []
        self._held: set[Question] = set()  # of the turns that are taken now
        self._wide = False  # whether one of these has all threads
        self._number = 0  # of turns so far
        self._serving = 0  # threads
        self._all = 0  # threads that a network has
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(TURNS_ON_CPU, "network")  # end with this object

    def ask(self, question: Question) -> Tensor:
        """The answer, once it is there.

        Raises:
            Exception: what the network raised.
        """
        with self._changed:
            self._all = self._all or torch.get_num_threads()
            self._waiting.append(question)
            self._changed.notify_all()
            on_cpu = question.x.device.type == "cpu"
            turns = self._turns or (min(TURNS_ON_CPU, self._all) if on_cpu else 1)
            if self._serving < turns:
                self._serving += 1
                self._threads.submit(self._serve, turns)
        return question.answer.result()

    def _serve(self, turns: int) -> None:
        """Take turns until nobody waits whom no other turn answers."""
        until = 0.0
        while dealt := self._begin(turns, until):
            turn(dealt)
            with self._changed:
                if any(question.answer.done() and not self._is_large(question) for question, _ in dealt):
                    until = time.monotonic() + SOON
                self._held.difference_update(question for question, _ in dealt)
                self._wide = False  # a turn with all threads is the only one
                self._waiting = line_after(self._waiting, dealt[0][0])
                self._changed.notify_all()

    def _begin(self, turns: int, until: float) -> list[tuple[Question, int]]:
        """Whom the next turn of this thread answers, once it may begin; empty: nobody is left for it.

        Args:
            until: when to give up on a small question and turn to a large one, on the monotonic clock.
        """
        with self._changed:
            while free := [question for question in self._waiting if question not in self._held]:
                dealt = deal(free, self._rows_of(free[0]), self._number + 1)
                leads, _ = dealt[0]
                if self._wide or (leads.alone and self._held):
                    self._changed.wait()
                    continue
                patience = until - time.monotonic()
                if patience > 0 and self._is_large(leads) and (self._number + 1) % LINE:
                    self._changed.wait(patience)
                    continue
                self._number += 1
                self._wide = leads.alone or (len(dealt) == len(free) and not self._held)
                self._held.update(question for question, _ in dealt)
                threads = self._all if self._wide else max(1, self._all // turns)
                if torch.get_num_threads() != threads:  # of this thread
                    torch.set_num_threads(threads)
                return dealt
            self._serving -= 1
            return []

    def _rows_of(self, question: Question) -> int:
        """Rows of a turn on the question's device."""
        return self._rows or (ROWS_ON_CPU if question.x.device.type == "cpu" else ROWS)

    def _is_large(self, question: Question) -> bool:
        """Whether it asks for more than half of the rows of a turn."""
        return len(question.x) > self._rows_of(question) // 2


def line_after(waiting: list[Question], led: Question) -> list[Question]:
    """Who waits after a turn: all that are not answered, the one that led at the end."""
    return [one for one in sorted(waiting, key=lambda one: one is led) if not one.answer.done()]


def turn(dealt: list[tuple[Question, int]]) -> None:
    """Answer the next rows of some questions."""
    try:
        parts = evaluate(dealt)
    except Exception as error:
        if len(dealt) == 1:
            dealt[0][0].answer.set_exception(error)
        for question, _ in dealt:  # once more, each by itself: an error reaches only whom it belongs to
            question.alone = True
        return
    for (question, _), part in zip(dealt, parts, strict=True):
        question.take(part)


def evaluate(dealt: list[tuple[Question, int]]) -> list[Tensor]:
    """The next rows of some questions as one batch; the parts hold nothing of each other's memory."""
    with torch.inference_mode():
        if len(dealt) == 1:
            question, count = dealt[0]
            x = question.x if count == len(question.x) else question.x[question.done : question.done + count]
            return [question.network(x) if question.t is None else question.network(x, question.t)]
        x = torch.cat([question.x[question.done : question.done + count] for question, count in dealt])
        network, counts = dealt[0][0].network, [count for _, count in dealt]
        times = [question.t for question, _ in dealt if question.t is not None]
        if not times:
            found = network(x)
        elif len(set(times)) == 1:
            found = network(x, times[0])
        else:
            found = network(x, torch.tensor(times).repeat_interleave(torch.tensor(counts)).to(x.device))
        return [part.clone() for part in found.split(counts)]


@dataclass(frozen=True)
class Shared:
    """A network as its askers see it: an `EpsModel`, or a classifier.

    Attributes:
        alone: ask for batches without anybody else's rows.
        ticket: of what is asked; None: a new one for every question.
    """

    sharing: Sharing
    network: Network
    alone: bool = False
    ticket: int | None = None

    def begin(self) -> Shared:
        """The same for a walk that begins now."""
        return replace(self, ticket=next(TICKETS))

    def __call__(self, x: Tensor, t: int | None = None) -> Tensor:
        """What the network answers.

        Args:
            x: (B, ...).
            t: one timestep for all rows; None for a classifier.
        """
        ticket = next(TICKETS) if self.ticket is None else self.ticket
        return self.sharing.ask(Question(self.network, x, t, self.alone, ticket))

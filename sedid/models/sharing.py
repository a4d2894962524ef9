"""A network shared by threads: what they ask of it at the same time is answered as one batch.

A walk is a thread that asks the network for one evaluation after another. Served in turn, many walks get one row a batch
each; here the questions that wait become one batch, whatever their timesteps, and its rows go back to who asked.

- Small ones first: a turn is led by the question with the fewest rows left, and what goes with it follows in the same order. So
  one picture does not wait for a batch of many. Of the same size, who came first is first.
- Nobody waits for ever: every eighth turn is led by the first in line, whatever its size. Who leads and is not answered goes to
  the end of the line; all others keep their place.
- To cancel, stop asking. Who asks waits for the answer, so there are at most as many questions as threads: memory is
  bounded by what those hold.
- All turns are taken by one thread. (OpenMP would keep a team of workers, with memory of their own, for each thread that ever
  ran a network.)

The company an image is in changes its rows by rounding alone (`sedid.detector.company`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from sedid.later import torch

if TYPE_CHECKING:
    from torch import Tensor


ROWS_ON_CPU = 12  # of a turn: a CPU gains little from larger batches, and turns stay short
ROWS = 128
LINE = 8  # one turn in so many is led by the first in line

Network = Callable[..., "Tensor"]
"""eps_theta(x, t), t one timestep or one of each row; or a classifier, of x alone."""


@dataclass(eq=False)
class Question:
    """Rows that somebody waits for.

    Attributes:
        network: who is asked.
        x, t: its arguments, x (B, ...); t None where it takes no timestep.
        alone: never in one batch with rows of other questions.
        answer: what is waited for, (B, ...).
        parts: what is answered so far.
    """

    network: Network
    x: Tensor
    t: int | None = None
    alone: bool = False
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

    A question of n rows, one of N that wait, is answered within LINE N ceil(n / (rows / 2)) turns, however many small ones come:
    it is first in line within LINE N turns, and then gets half of the rows.

    Args:
        waiting: in line, not empty.
        rows: at most so many in all.
        number: of the turn, from 1 on.

    Returns:
        Who leads first.
    """
    by_size = sorted(waiting, key=lambda one: one.left)
    leads = by_size[0] if number % LINE else waiting[0]
    counts = {leads: min(leads.left, max(1, rows // 2))}
    free = rows - counts[leads]
    for question in by_size:
        if question.goes_with(leads):
            more = min(question.left - counts.get(question, 0), free)
            free -= more
            if more:
                counts[question] = counts.get(question, 0) + more
    return list(counts.items())


class Sharing:
    """The line in front of the networks of an app, and the thread that serves it.

    Args:
        rows: of a turn, at most; default: what suits the device.
    """

    def __init__(self, rows: int | None = None) -> None:
        self._rows = rows
        self._waiting: list[Question] = []
        self._serving = False
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "network")  # ends with this object

    def ask(self, question: Question) -> Tensor:
        """The answer, once it is there.

        Raises:
            Exception: what the network raised.
        """
        with self._lock:
            self._waiting.append(question)
            if not self._serving:
                self._serving = True
                self._thread.submit(self._serve)
        return question.answer.result()

    def _serve(self) -> None:
        """Take turns until nobody waits."""
        for number in count(1):
            with self._lock:
                if not self._waiting:
                    self._serving = False
                    return
                most = self._rows or (ROWS_ON_CPU if self._waiting[0].x.device.type == "cpu" else ROWS)
                dealt = deal(self._waiting, most, number)
            turn(dealt)
            with self._lock:
                self._waiting = line_after(self._waiting, dealt[0][0])


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
    """

    sharing: Sharing
    network: Network
    alone: bool = False

    def __call__(self, x: Tensor, t: int | None = None) -> Tensor:
        """What the network answers.

        Args:
            x: (B, ...).
            t: one timestep for all rows; None for a classifier.
        """
        return self.sharing.ask(Question(self.network, x, t, self.alone))

"""Pictures painted ahead of the hand, while the kernel has nothing else to do.

A drag that comes a second later finds them all on the page. Between two short turns the
kernel looks for messages, so neither a cell nor the newest value waits for more than
one picture. After every cell all of them are forgotten: it may have changed what they
show.
"""

import asyncio
import itertools
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from IPython import get_ipython

__all__ = ["Ahead", "Shown", "State", "running_loop"]

State = tuple[int, ...]  # the position of each slider


class Shown(NamedTuple):
    """What the page shows at a state: the picture's layer, and the words below."""

    svg: str
    says: str


SLOW = 0.05  # seconds: a drawing that takes longer is not made ahead of the hand
TURN = 0.01  # seconds of painting, then the kernel looks for what else there is
PAUSE = 0.002  # seconds between two turns
PICTURES, LETTERS = 256, 8_000_000  # that are kept of one figure
EVENTS = ("pre_run_cell", "post_run_cell")


class Ahead:
    """The pictures of one live figure, by the positions of its sliders.

    paint: gives the picture for a state, never an exception
    send: gets the new ones, each with its state, and the age of all
    age: how often everything was forgotten; a page drops what is of an older age
    """

    def __init__(
        self,
        paint: Callable[[State], Shown],
        send: Callable[[dict[State, Shown], int], None],
    ):
        self._paint, self._send = paint, send
        self._known: dict[State, Shown] = {}
        self._wanted: list[State] = []
        self._seconds: deque[float] = deque(maxlen=3)  # of the last drawings
        self._spent, self._timer, self.age = 0, None, 0
        FIGURES.add(self)
        _listen()

    def get(self, state: State) -> Shown | None:
        """The picture of a state, if it was painted since the last cell ran."""
        return self._known.get(state)

    def paint(self, state: State) -> Shown:
        """Paint a state, in place of what was known of it."""
        began = time.perf_counter()
        picture = self._paint(state)
        self._seconds.append(time.perf_counter() - began)
        self._known.pop(state, None)
        self._known[state] = picture
        while len(self._known) > 1 and not self._fits():
            self._known.pop(next(iter(self._known)))  # the oldest
        return picture

    def plan(self, states: Iterable[State]):
        """Paint these when there is time, in this order, in place of an older plan."""
        states = (state for state in states if state not in self._known)
        self._wanted, self._spent = list(itertools.islice(states, PICTURES - 1)), 0
        self._begin()

    def _begin(self):
        loop = running_loop()
        if loop and self._wanted and self._timer is None:
            self._timer = loop.call_later(PAUSE, self._turn)

    def forget(self):
        """Take every picture for old, here and on the page."""
        self._wanted.clear()
        if self._known:
            self._known.clear()
            self.age += 1
            self._send({}, self.age)

    def close(self):
        """Paint no more, and hear of no cell."""
        self.forget()
        FIGURES.discard(self)

    def _turn(self):
        """Paint for a moment, send it, and come back if there is more."""
        self._timer, made = None, {}
        end = time.perf_counter() + TURN
        while self._wanted and self._is_quick() and time.perf_counter() < end:
            state = self._wanted.pop(0)
            made[state] = self.paint(state)
            self._spent += len(made[state].svg)
        if made:
            self._send(made, self.age)
            self._begin()

    def _is_quick(self) -> bool:
        """One drawing that was held up does not make the figure slow."""
        return min(self._seconds) <= SLOW and self._spent < LETTERS / 2

    def _fits(self) -> bool:
        letters = sum(len(shown.svg) for shown in self._known.values())
        return len(self._known) <= PICTURES and letters <= LETTERS


FIGURES: "weakref.WeakSet[Ahead]" = weakref.WeakSet()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that called, as a kernel has one; None in a plain script."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _forget_all(*_):
    """Before and after a cell: it may define anew what a figure draws with."""
    for figure in list(FIGURES):
        figure.forget()


def _listen():
    """Hear of every cell, once, however many figures there are."""
    shell = get_ipython()
    if shell is None:
        return
    for event in EVENTS:
        if _forget_all not in shell.events.callbacks[event]:
            shell.events.register(event, _forget_all)

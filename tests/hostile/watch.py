"""An event loop that is watched: for how long a turn of it keeps the processor, and whether anything can still happen.

Both hold on a busy machine, too. What something takes is measured by the processor's time, to which no other process
adds; what the garbage collector takes is not counted, as it goes by what the whole test run has in memory. And where a
clock stands still, what waits for a time to come waits for ever: that is found out, and not taken for a slow machine.
"""

import gc
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

from tests.waiting import Hope, Loop, Poll, T, Waiter, loop_class

__all__ = ["Stopwatch", "Watch", "watched_loop"]

# Seconds for which a thread may be at work. Nothing else comes from outside.
_PATIENCE: Final = 60


class Stopwatch:
    """The processor time that has passed since this was entered, or begun again, without the garbage collector's.

    of_all_threads: whether that of all threads is counted, or only that of the one in which this is entered.
    """

    def __init__(self, *, of_all_threads: bool) -> None:
        self._of_all_threads = of_all_threads
        self._clock = time.process_time if of_all_threads else time.thread_time
        self._thread = 0
        self._began = 0.0
        self._collecting = 0.0  # since when the garbage collector is at work

    def __enter__(self) -> Self:
        self._thread = threading.get_ident()
        gc.callbacks.append(self._leave_out)
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._leave_out)

    def begin(self) -> None:
        """Count from here on."""
        self._began = self._clock()

    @property
    def seconds(self) -> float:
        """What has passed until now."""
        return self._clock() - self._began

    def _leave_out(self, phase: str, _: dict[str, Any]) -> None:
        # It ends in the thread in which it began, which may be another's.
        if phase == "start":
            self._collecting = time.thread_time()
        elif self._of_all_threads or threading.get_ident() == self._thread:
            self._began += time.thread_time() - self._collecting


class Watch(Waiter):
    """How a loop that is watched waits.

    longest_turn: the most processor time, in seconds, that passed between two turns while it was `watched`.
    """

    def __init__(self, spans: int) -> None:
        """Make one. `spans`: how many times between two waits have a whole turn in them, wherever it begins."""
        self.longest_turn = 0.0
        self._turn: Stopwatch | None = None
        self._hope = Hope(_PATIENCE)
        self._spans = deque([0.0], spans)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure the turns meanwhile, the present one from here on, and the last one up to the end of this."""
        self._spans.clear()
        with Stopwatch(of_all_threads=False) as self._turn:
            try:
                yield
            finally:
                self._end_span()
                self._turn = None

    def wait(self, poll: Poll[T], timeout: float | None) -> list[T]:
        self._end_span()
        if timeout is None or timeout > 0:
            ready = self._hope.wait(poll)
        else:
            ready = poll(timeout)
            self._hope.begin()
        if self._turn is not None:
            self._turn.begin()
        return ready

    def _end_span(self) -> None:
        if self._turn is not None:
            self._spans.append(self._turn.seconds)
            self.longest_turn = max(self.longest_turn, sum(self._spans))


def watched_loop(name: str) -> Loop:
    """Return a loop of asyncio's or of uvloop's, by its name, which is watched: its `waiter` is a `Watch`."""
    # asyncio waits before it reads what has come; in uvloop, it is between reading it and doing what follows from that.
    return loop_class(name)(Watch(1 if name == "asyncio" else 2))

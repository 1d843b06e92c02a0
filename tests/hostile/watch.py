"""An event loop that is watched: for how long a turn of it keeps the processor, and whether anything can still happen.

Both hold on a busy machine, too. A turn is measured by the processor time of its thread, to which no other process
adds; what the garbage collector takes is not counted, as it goes by what the whole test run has in memory. And where a
clock stands still, what waits for a time to come waits for ever: that is found out, and not taken for a slow machine.
"""

import asyncio
import gc
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["Hang", "WatchedLoop"]

# Seconds for which a thread may be at work. Nothing else comes from outside.
_PATIENCE: Final = 60


class Hang(Exception):
    """All wait for each other, or for a time to come."""


class WatchedLoop(asyncio.SelectorEventLoop):
    """The loop.

    longest_turn: the most processor time, in seconds, that passed between two turns while it was `watched`.
    """

    def __init__(self) -> None:
        self.longest_turn = 0.0
        self._began: float | None = None
        self._collecting = 0.0  # since when the garbage collector is at work
        super().__init__(_Selector(self))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure the turns meanwhile, the present one from here on, and the last one up to the end of this."""
        gc.callbacks.append(self._leave_out)
        self._began = time.thread_time()
        try:
            yield
        finally:
            self.end_turn()
            self._began = None
            gc.callbacks.remove(self._leave_out)

    def end_turn(self) -> None:
        """Take note of how long the turn was that ends here."""
        if self._began is not None:
            self.longest_turn = max(self.longest_turn, time.thread_time() - self._began)

    def begin_turn(self) -> None:
        """Measure the turn that begins here."""
        if self._began is not None:
            self._began = time.thread_time()

    def _leave_out(self, phase: str, _: dict[str, Any]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._collecting = now
        elif self._began is not None:
            self._began += now - self._collecting


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: WatchedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.end_turn()
        ready = super().select(timeout if timeout is not None and timeout <= 0 else _PATIENCE)
        if not ready and (timeout is None or timeout > 0):
            raise Hang("nothing is left that could happen")
        self._loop.begin_turn()
        return ready

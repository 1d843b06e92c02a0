"""Deadlines: every wait has one, and says what it was for when it passes."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from ..errors import DeadlineExceeded

__all__ = ["Alarm", "Deadline", "late", "told_if_cancelled"]

_FAULT: Final = "the server did not do its part"


def late(seconds: float | None, phase: str, awaited: str, fault: str = _FAULT) -> DeadlineExceeded:
    """Return the error for a `phase` of so many `seconds` that has ended without what was `awaited` in it; `fault` is
    what it says."""
    return DeadlineExceeded(f"{fault} within {seconds:g} s: {awaited}", phase=phase)


class Deadline:
    """An async context that may take so many `seconds` (None: any time): a `phase`, in which something is `awaited`.

    Raises DeadlineExceeded, naming both, when it takes longer; `fault` is what it then says.
    """

    def __init__(self, seconds: float | None, phase: str, awaited: str, fault: str = _FAULT) -> None:
        self._seconds = seconds
        self._phase = phase
        self._awaited = awaited
        self._fault = fault
        self._limit = asyncio.timeout(seconds)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A TimeoutError from below (ETIMEDOUT), or the caller's own, passes: it is not ours.
        try:
            await self._limit.__aexit__(kind, error, traceback)
        except TimeoutError as passed:
            raise late(self._seconds, self._phase, self._awaited, self._fault) from passed


class Alarm:
    """Calls `ring` when a time has come that is put off again and again: the deadline of one reply after another.

    A timer that is there already and goes off too early is left alone, and goes on with what is left then. So most
    replies cost no timer at all, where asyncio.timeout() makes one and cancels it: 3 us, the tenth part of a mail.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._time = 0.0  # when it rings, if it is set
        self._timer: asyncio.TimerHandle | None = None
        self._goes_off = 0.0  # when the timer does

    def set(self, time: float) -> None:
        """Ring at `time`, by the event loop's clock, and not at a time set before."""
        self._time = time
        if self._timer is None or self._goes_off > time:
            self._start(time)

    def close(self) -> None:
        """Do not ring, and leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._goes_off = self._loop.call_at(time, self._go_off), time

    def _go_off(self) -> None:
        self._timer = None
        if self._loop.time() < self._time:
            self._start(self._time)
        else:
            self._ring()


@contextmanager
def told_if_cancelled(error: Callable[[str], Exception], what: str) -> Iterator[Callable[[], bool]]:
    """Make an error of a CancelledError that comes from within, though nobody has cancelled the task: something that
    `what` waited for was cancelled. For calls of the caller's own code. Yields what tells if the task was cancelled."""
    task = asyncio.current_task()
    if task is None:
        raise AssertionError("whoever waits, waits in a task")
    before = task.cancelling()

    def is_cancelled() -> bool:
        return task.cancelling() > before

    try:
        yield is_cancelled
    except asyncio.CancelledError as cancelled:
        if is_cancelled():
            raise
        raise error(f"what {what} waited for was cancelled") from cancelled

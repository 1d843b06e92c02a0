"""A loop whose clock is put forward where nothing is left to do: a deadline of an hour passes in a moment.

What happens over sockets of this machine happens at once: where nothing has come, nothing will before a timer is due.
Where no timer is, there is nothing that could ever happen: that is a hang, and raises. While a thread is at work, time
stands still.
"""

import asyncio
from typing import Any, Final

from tests.waiting import Hope, Loop, Poll, T, Waiter

__all__ = ["TimeLapse"]

# Seconds for which the world is given a chance: a thread may be at work. Where so much time would pass that it may be a
# deadline, it is a better one: on a busy machine, the system may be late with what was written to a socket.
_PATIENCE: Final = 0.0005
_DEADLINE: Final = 10
_DEADLINE_PATIENCE: Final = 0.02
_LAST_PATIENCE: Final = 5


class TimeLapse(Waiter):
    """Makes time pass.

    ahead: the seconds that were left out.
    faults: what the loop complained of.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        self.faults: list[str] = []
        self._hope = Hope(_LAST_PATIENCE)
        self._at_work = 0  # threads

    def loop(self, kind: type[Loop]) -> Loop:
        """Return a loop of this kind, whose time it is."""
        loop = kind(self)
        loop.set_exception_handler(self._take_note)
        return loop

    def time(self) -> float:
        return super().time() + self.ahead

    def wait(self, poll: Poll[T], timeout: float | None) -> list[T]:
        ready = poll(0)
        if timeout is not None and timeout <= _PATIENCE:
            ready = ready or poll(timeout)
        elif not (ready := ready or poll(_patience(timeout))):
            if timeout is None or self._at_work:
                return self._hope.wait(poll)
            self.ahead += timeout
        self._hope.begin()
        return ready

    def begin_work(self) -> None:
        self._at_work += 1

    def end_work(self) -> None:
        self._at_work -= 1

    def _take_note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context['message']}: {context.get('exception')!r}")


def _patience(timeout: float | None) -> float:
    return _PATIENCE if timeout is not None and timeout < _DEADLINE else _DEADLINE_PATIENCE

"""A loop whose clock is put forward where nothing is left to do: a deadline of an hour passes in a moment.

What happens over sockets of this machine happens at once: where nothing has come, nothing will before a timer is due.
Where no timer is, there is nothing that could ever happen: that is a hang, and raises.
"""

import asyncio
import selectors
from typing import Any, Final

__all__ = ["Hang", "TimeLapse"]

# Seconds for which the world is given a chance: a thread may be at work.
_PATIENCE: Final = 0.0005
_LAST_PATIENCE: Final = 5


class Hang(Exception):
    """All wait for each other, and for no time to come."""


class TimeLapse(asyncio.SelectorEventLoop):
    """The loop. `ahead`: the seconds that it has left out."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.faults: list[str] = []
        super().__init__(_Selector(self))
        self.set_exception_handler(self._take_note)

    def time(self) -> float:
        return super().time() + self.ahead

    def _take_note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context['message']}: {context.get('exception')!r}")


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: TimeLapse) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= _PATIENCE:
            return super().select(timeout)
        if ready := super().select(0) or super().select(_PATIENCE):
            return ready
        if timeout is None:
            if ready := super().select(_LAST_PATIENCE):
                return ready
            raise Hang("nothing is left that could happen")
        self._loop.ahead += timeout
        return []

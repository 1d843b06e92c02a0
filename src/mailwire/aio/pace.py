"""Pace: a message may take any time as a whole, but its receiver must neither stand still nor let it trickle.

1. Only the time counts that is spent waiting for the receiver: a slow source of octets is no fault of its.
2. Whoever takes in nothing at all is given `Timeouts.block` seconds.
3. Whoever takes in a little must take in `Timeouts.minimum_rate` octets a second, on an average over
   `Timeouts.rate_period` seconds. An octet now and then puts nothing off.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ..endpoint import Timeouts
from ..errors import DeadlineExceeded

__all__ = ["Pace"]

T = TypeVar("T")

_PHASE: Final = "taking in the message"
# Seconds between two looks, at most, at what was taken in: nothing tells of it before much was.
_LOOK: Final = 1.0


class Pace:
    """The pace of one receiver. `left` returns how many octets of what was written it has not taken in yet."""

    def __init__(self, timeouts: Timeouts, left: Callable[[], int]) -> None:
        self._timeouts = timeouts
        self._left = left
        self._look = min(_LOOK, timeouts.rate_period, timeouts.block or _LOOK)
        self._waited = 0.0  # seconds of this period
        self._taken = 0  # octets in this period

    async def wait(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Return what `wait()` returns, which is waited for while the receiver keeps up. Raises DeadlineExceeded."""
        loop = asyncio.get_running_loop()
        moved = begun = loop.time()
        left = self._left()
        while True:
            try:
                async with asyncio.timeout(self._look):
                    return await wait()
            except TimeoutError:
                pass
            finally:
                before, begun = begun, loop.time()
                taken, left = left - self._left(), self._left()
                self._waited += begun - before
                self._taken += taken
            if taken:
                moved = begun
            self._check(begun - moved)

    def _check(self, stalled: float) -> None:
        limits = self._timeouts
        if limits.block is not None and stalled >= limits.block:
            raise DeadlineExceeded(f"the server did not do its part within {limits.block:g} s: {_PHASE}", phase=_PHASE)
        if self._waited < limits.rate_period:
            return
        waited, taken = self._waited, self._taken
        self._waited = self._taken = 0
        if limits.minimum_rate is not None and 0 < taken < limits.minimum_rate * waited:
            raise DeadlineExceeded(
                f"the server took in {taken} octets in {waited:.0f} s, less than {limits.minimum_rate:g} a second: "
                f"{_PHASE}",
                phase=_PHASE,
            )

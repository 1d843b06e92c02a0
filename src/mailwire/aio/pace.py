"""Pace: a message may take any time as a whole, but the peer must neither stand still nor let it trickle.

1. Only the time counts that is spent waiting for the peer: a slow source of octets, or a slow reader, is no fault of
   its.
2. Whoever takes in, or gives, nothing at all is given `Timeouts.block` seconds.
3. Whoever takes in a little, or gives it, must come to `Timeouts.minimum_rate` octets a second, on an average over
   `Timeouts.rate_period` seconds. An octet now and then puts nothing off.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ..endpoint import Timeouts
from ..errors import DeadlineExceeded
from .deadline import late

__all__ = ["Pace", "Throughput"]

T = TypeVar("T")

_AWAITED: Final = "taking in the message"
# Seconds between two looks, at most, at what was taken in: nothing tells of it before much was.
_LOOK: Final = 1.0


class Throughput:
    """How much a peer does in the time that is spent waiting for it. `deed` is what it does: "took in", "gave"."""

    def __init__(self, timeouts: Timeouts, deed: str) -> None:
        self._timeouts = timeouts
        self._deed = deed
        self.begin()

    def begin(self) -> None:
        """Begin a period: what was before does not count."""
        self._waited = 0.0  # seconds of this period
        self._octets = 0  # in this period

    def count(self, seconds: float, octets: int) -> None:
        """Count so many `seconds` of waiting, in which so many `octets` were taken in or given."""
        self._waited += seconds
        self._octets += octets

    def check(self, awaited: str, subject: object = "") -> None:
        """Raise DeadlineExceeded if a period is over, and there was too little in it. Nothing at all is no rate.

        awaited, subject: what is waited for, as in `Session.next_event`.
        """
        limits, waited, octets = self._timeouts, self._waited, self._octets
        if waited < limits.rate_period:
            return
        self.begin()
        if limits.minimum_rate is not None and 0 < octets < limits.minimum_rate * waited:
            raise DeadlineExceeded(
                f"the server {self._deed} {octets} octets in {waited:.0f} s, less than {limits.minimum_rate:g} a "
                f"second: {awaited} {subject}".rstrip(),
                phase="minimum_rate",
            )


class Pace:
    """The pace of one receiver. `left` returns how many octets of what was written it has not taken in yet."""

    def __init__(self, timeouts: Timeouts, left: Callable[[], int]) -> None:
        self._timeouts = timeouts
        self._left = left
        self._look = min(_LOOK, timeouts.rate_period, timeouts.block or _LOOK)
        self._rate = Throughput(timeouts, "took in")

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
                self._rate.count(begun - before, taken)
            if taken:
                moved = begun
            self._check(begun - moved)

    def _check(self, stalled: float) -> None:
        limits = self._timeouts
        if limits.block is not None and stalled >= limits.block:
            raise late(limits.block, "block", _AWAITED)
        self._rate.check(_AWAITED)

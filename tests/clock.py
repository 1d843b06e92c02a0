"""Clocks: one that the test moves, and one that is put back."""

import asyncio
import math
from datetime import datetime, timedelta, tzinfo

from mailwire.testing.turns import drain_events
from tests.loops import skip_unless_movable

__all__ = ["Clock", "ClocksAreSetBack", "StandingClock"]


class Clock:
    """The running loop's clock, which the test can put forward; deadlines that have come by that pass at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        skip_unless_movable()
        self._real = loop.time
        self._ahead = 0.0
        vars(loop)["time"] = self._time

    async def advance(self, seconds: float) -> None:
        """Put the clock forward and let happen what then happens."""
        await drain_events()
        self._ahead += seconds
        await drain_events()

    def jump(self, seconds: float) -> None:
        """Put the clock forward, and let nothing happen yet."""
        self._ahead += seconds

    def _time(self) -> float:
        return self._real() + self._ahead


class StandingClock(Clock):
    """A clock that goes by no time but the test's: what is counted in seconds may take as long as it likes.

    It stands at a whole second, from which halves and seconds are exact.
    """

    def __init__(self) -> None:
        super().__init__()
        began = float(math.ceil(self._real()))
        self._real = lambda: began


class ClocksAreSetBack(tzinfo):
    """An hour that comes twice: in summer time and, behind it, in winter time."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=1 if when is not None and when.fold else 2)

    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when) - timedelta(hours=1)

    def tzname(self, when: datetime | None) -> str:
        return "summer" if self.dst(when) else "winter"

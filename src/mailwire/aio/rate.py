"""Rate: so many a second, and a few at once if there were none before; arithmetic alone, for whoever has a clock."""

from typing import Final

__all__ = ["Rate"]

# Seconds between two tokens, thirty years: the sum of infinite times is no time.
_LONGEST: Final = 1e9


class Rate:
    """A bucket of `burst` tokens, full at first, into which `per_second` fall in a second. Times are in seconds.

    It is kept as the time at which it will be full again (ITU-T I.371, the generic cell rate algorithm): so no token is
    lost or gained by rounding, however often it is asked.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = min(1 / per_second, _LONGEST)
        self._tolerance = (burst - 1) * self._interval
        self._full_at = float("-inf")

    def ready_at(self) -> float:
        """Return the time from which on a token can be taken; it may have passed."""
        return self._full_at - self._tolerance

    def take(self, now: float) -> None:
        """Take a token, which must be there."""
        self._full_at = max(self._full_at, now) + self._interval

    def put_back(self) -> None:
        """Put back a token that was not used."""
        self._full_at -= self._interval

"""Lock: what one task at a time may hold. Who comes first has it first.

It is as asyncio's, but that whoever finds it free has it without waiting: no coroutine is made to find that out, nor of
the call that asks.
"""

import asyncio
from collections import deque

__all__ = ["Lock"]


class Lock:
    """Free, or held by whoever has taken it until `release`; for the tasks of one event loop."""

    __slots__ = ("_is_held", "_waiters")

    def __init__(self) -> None:
        self._is_held = False
        self._waiters: deque[asyncio.Future[None]] = deque()

    def take_at_once(self) -> bool:
        """Take it if it is free; return whether it was."""
        if self._is_held:
            return False
        self._is_held = True
        return True

    async def take(self) -> None:
        """Take it, behind all those who wait for it already."""
        if self.take_at_once():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.get_loop().is_closed():
                self.release()  # it was handed over already
            raise

    def release(self) -> None:
        """Let go of it: hand it over to the one who has waited for the longest time, if anybody waits. Raises
        RuntimeError where nobody holds it."""
        if not self._is_held:
            raise RuntimeError("a lock is let go of that nobody holds")
        for waiter in self._waiters:
            if not waiter.done():
                self._waiters.remove(waiter)
                waiter.set_result(None)
                return
        self._is_held = False

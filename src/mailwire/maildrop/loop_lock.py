"""LoopLock: a lock for what is used in one event loop after the other.

One of asyncio's is bound for good to the loop in which somebody first had to wait for it. Whoever calls `asyncio.run`
every few minutes, with a sink and a ledger that were made once, would be refused by it from the second time on.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

__all__ = ["LoopLock"]


class LoopLock:
    """A lock among the tasks of an event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None, None]:
        """Have it, as long as the context lasts."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._lock = loop, asyncio.Lock()
        async with self._lock:
            yield

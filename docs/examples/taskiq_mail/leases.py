"""Leases: what is held for a time, and for longer if that is said again. Who is lost holds nothing after a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from logging import getLogger
from typing import Protocol

from redis.exceptions import RedisError

logger = getLogger(__name__)


class Lease(Protocol):
    """seconds: for how long it holds.
    since: when that was last asked for with success, by the event loop's clock.
    """

    seconds: float
    since: float

    async def keep(self) -> bool:
        """Have it hold for its time from now on; False if it is over, and perhaps another's."""


@asynccontextmanager
async def kept(lease: Lease) -> AsyncIterator[None]:
    """Have a lease hold while the body runs.

    It is said so three times in its time, and ten times as often where that fails. If Redis could not be told before it
    was over, or says that it is, the body is cancelled: TimeoutError.
    """
    async with asyncio.timeout_at(lease.since + lease.seconds) as limit:
        keeping = asyncio.create_task(_keep(lease, limit))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])


async def _keep(lease: Lease, limit: asyncio.Timeout) -> None:
    pause = lease.seconds / 3
    while True:
        await asyncio.sleep(pause)
        try:
            is_held = await lease.keep()
        except (OSError, RedisError):
            logger.warning("a lease could not be kept, and is tried again", exc_info=True)
            pause = lease.seconds / 30
            continue
        pause = lease.seconds / 3
        # What is over ends the body now, and not when it would have been.
        limit.reschedule(lease.since + lease.seconds if is_held else asyncio.get_running_loop().time())
        if not is_held:
            return

"""Slots: how many may do something at once, over all machines. Who is lost gives up his place after a while."""

import asyncio
from random import uniform
from uuid import uuid4

from redis.asyncio import Redis

# Redis runs a script as one step, by its own clock: those of the machines need not agree.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 1
"""
_KEEP = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 1
"""
_PAUSE = 0.1
_PATIENCE = 30.0


class Slot:
    """A place among the `limit` that a key has: a lease, of `lease` seconds."""

    def __init__(self, redis: Redis, key: str, holder: str, *, limit: int, lease: float) -> None:
        self._redis = redis
        self._key = key
        self._holder = holder
        self._limit = limit
        self.seconds = lease
        self.since = 0.0

    async def take(self, patience: float = _PATIENCE) -> bool:
        """Take a place; False if none is free for `patience` seconds."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience
        while not await self._run(_TAKE, self._limit):
            if clock() > deadline:
                return False
            await asyncio.sleep(uniform(0.5 * _PAUSE, 1.5 * _PAUSE))  # noqa: S311 (no secret)
        return True

    async def keep(self) -> bool:
        """Say that it is in use still; False if it was given to another meanwhile."""
        return await self._run(_KEEP)

    async def give_back(self) -> None:
        await self._redis.zrem(self._key, self._holder)

    async def _run(self, script: str, *arguments: int) -> bool:
        asked = asyncio.get_running_loop().time()
        milliseconds = int(self.seconds * 1000)
        if not await self._redis.eval(script, 1, self._key, self._holder, milliseconds, *arguments):
            return False
        self.since = asked
        return True


def slot_of(redis: Redis, host: str, limit: int, lease: float) -> Slot:
    """Return a place for a connection to a host, to be taken: whether mail is sent there or collected."""
    return Slot(redis, f"mail:slots:{host}", uuid4().hex, limit=limit, lease=lease)

"""Slots: how many may do something at once, over all machines. Who is lost gives up his place after a while."""

import asyncio
from random import uniform

from redis.asyncio import Redis

# Redis runs a script as one step, by its own clock: those of the machines need not agree.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
return 1
"""
_KEEP = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZADD', KEYS[1], 'XX', 'CH', now + ARGV[2], ARGV[1])
"""
_PAUSE = 0.1
_PATIENCE = 30.0


class Slot:
    """A place among the `limit` that a key has."""

    def __init__(self, redis: Redis, key: str, holder: str, *, limit: int, lease: float) -> None:
        self._redis = redis
        self._key = key
        self._holder = holder
        self._limit = limit
        self._lease = int(lease * 1000)

    async def take(self, patience: float = _PATIENCE) -> bool:
        """Take a place; False if none is free for `patience` seconds."""
        deadline = asyncio.get_running_loop().time() + patience
        while not await self._redis.eval(_TAKE, 1, self._key, self._holder, self._limit, self._lease):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(uniform(0.5 * _PAUSE, 1.5 * _PAUSE))  # noqa: S311 (no secret)
        return True

    async def keep(self) -> None:
        """Say that it is in use still."""
        await self._redis.eval(_KEEP, 1, self._key, self._holder, self._lease)

    async def give_back(self) -> None:
        await self._redis.zrem(self._key, self._holder)

"""Ledger: what is known of each mail, in Redis, and which worker is at work on it.

A worker claims a mail before it does anything about it, and writes down

- behind the last octet of the message and before the final dot: that the mail is in doubt, if the claim still holds;
- behind the reply: what came of it, what is to be done next, and that the claim is over, in one step.

So whoever claims a mail whose worker was lost knows whether the server can have it. A worker that only seemed to be
lost, and whose claim went to another, can no longer end a message.

A mail is known by its Message-ID. So that what is known of one is not told of another, its digest is kept with it, from
when it is submitted.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from mailwire import Receipt
from taskiq_mail.job import Job
from taskiq_mail.verdict import Step

DUE = "mail:due"
DEAD = "mail:dead"

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# There is no time after which it is forgotten: a task may wait for long. That comes when the mail is over.
_ENTER = """
redis.call('HSETNX', KEYS[1], 'digest', ARGV[1])
return redis.call('HGET', KEYS[1], 'digest') == ARGV[1]
"""
_CLAIM = (
    _NOW
    + """
local known = redis.call('HMGET', KEYS[1], 'over', 'not_before', 'progress', 'doubt', 'digest')
if known[5] and known[5] ~= ARGV[4] then return {'another'} end
if known[1] then return {'over', known[3]} end
if known[2] and tonumber(known[2]) > now then
    redis.call('ZADD', KEYS[3], 'NX', known[2], ARGV[3])
    return {'later'}
end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'busy'} end
redis.call('ZREM', KEYS[3], ARGV[3])
redis.call('HSET', KEYS[1], 'digest', ARGV[4])
return {'ours', known[3] or '', known[4] or ''}
"""
)
_IF_OURS = "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end\n"
_DOUBT = _IF_OURS + "redis.call('HSET', KEYS[1], 'doubt', ARGV[2], 'progress', ARGV[3]) return 1"
_KEEP = _IF_OURS + "return redis.call('PEXPIRE', KEYS[2], ARGV[2])"
_LET_GO = _IF_OURS + "return redis.call('DEL', KEYS[2])"
_SETTLE = (
    _NOW
    + _IF_OURS
    + """
redis.call('HSET', KEYS[1], 'progress', ARGV[4])
redis.call('HDEL', KEYS[1], 'doubt', 'not_before')
redis.call('DEL', KEYS[2])
if ARGV[3] == 'again' then
    redis.call('HSET', KEYS[1], 'job', ARGV[5], 'not_before', now + ARGV[6])
    redis.call('ZADD', KEYS[3], now + ARGV[6], ARGV[2])
else
    redis.call('HSET', KEYS[1], 'over', ARGV[3])
    redis.call('HDEL', KEYS[1], 'job')
    redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
if ARGV[3] == 'dead' then redis.call('XADD', KEYS[4], '*', 'job', ARGV[5], 'progress', ARGV[4]) end
return 1
"""
)
# The times that mails wait for are whole milliseconds. One with a half says that the mail was taken to be queued, and
# by whom: nobody else writes the same.
_DUE = (
    _NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
local until_then = string.format('%.1f', now + ARGV[2] + 0.5)
for _, id in ipairs(due) do redis.call('ZADD', KEYS[1], until_then, id) end
return {until_then, due}
"""
)
_QUEUED = """
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0) ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
# For how long a mail that is over is known, in milliseconds: a task that comes again so much later would send it again.
_REMEMBERED = 7 * 24 * 3600 * 1000


@dataclass
class Progress:
    """What is known of a mail: of each recipient, by a receipt, and of each attempt, how it ended."""

    receipt: Receipt
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {"receipt": self.receipt.to_dict(), "attempts": self.attempts}

    @classmethod
    def from_json(cls, text: str | bytes) -> "Progress":
        data = json.loads(text)
        return cls(Receipt.from_dict(data["receipt"]), data["attempts"])


class Claim:
    """The right to send a mail, until it is settled or given up, or was not kept for the time of a lease."""

    def __init__(self, redis: Redis, job: Job, token: str, lease: float) -> None:
        self._redis = redis
        self._job = job
        self._token = token
        self.seconds = lease
        self.since = 0.0
        self._keys = (f"mail:{job.id}", f"mail:claim:{job.id}", DUE, DEAD)
        self.progress = Progress(job.receipt)
        self.tried_in_doubt: tuple[str, ...] = ()

    async def make(self) -> str:
        """Claim the mail, and return "ours" with what is known of it; or "over", "busy" or "later"; or "another", if
        what is known under its Message-ID is known of another mail."""
        self.since = asyncio.get_running_loop().time()
        state, *known = await self._run(_CLAIM, int(self.seconds * 1000), self._job.id, self._job.digest)
        if known and known[0]:
            self.progress = Progress.from_json(known[0])
        if len(known) > 1 and known[1]:
            self.tried_in_doubt = tuple(json.loads(known[1]))
        return str(state.decode())

    async def keep(self) -> bool:
        """Say that the mail is at work on still; False if the claim is over, and perhaps another's."""
        asked = asyncio.get_running_loop().time()
        if not await self._run(_KEEP, int(self.seconds * 1000)):
            return False
        self.since = asked
        return True

    async def begin_doubt(self, recipients: tuple[str, ...]) -> None:
        """Write down that from here on the server may have the mail. Raises RuntimeError if the claim is another's."""
        if not await self._run(_DOUBT, json.dumps(recipients), json.dumps(self.progress.to_dict())):
            raise RuntimeError("the mail was claimed by another worker")

    async def settle(self, step: Step) -> Step:
        """Write down what is known and what is to be done, and give the claim up.

        Raises RuntimeError if the claim is another's, who has found the mail in doubt if it was.
        """
        texts = (json.dumps(self.progress.to_dict()), json.dumps(self._job.to_dict()))
        times = (int(step.delay * 1000), _REMEMBERED)
        if not await self._run(_SETTLE, self._job.id, step.kind, *texts, *times):
            raise RuntimeError("the mail was claimed by another worker")
        return step

    async def let_go(self) -> None:
        """Give the claim up, and leave what is known as it was."""
        await self._run(_LET_GO)

    async def _run(self, script: str, *arguments: str | int) -> Any:
        return await self._redis.eval(script, len(self._keys), *self._keys, self._token, *arguments)


async def enter(redis: Redis, job: Job) -> bool:
    """Have a mail known by its Message-ID; False if another mail is."""
    return bool(await redis.eval(_ENTER, 1, f"mail:{job.id}", job.digest))


async def hand_out(redis: Redis, queue: Callable[[Job], Awaitable[Any]], visibility: float, limit: int = 1000) -> int:
    """Have the mails queued whose time has come, each once, and return how many.

    Who is lost meanwhile, or takes longer than `visibility` seconds, leaves the rest to be handed out by another.
    """
    taken, due = await redis.eval(_DUE, 1, DUE, limit, int(visibility * 1000))
    queued = 0
    for message_id in due:
        if text := await redis.hget(f"mail:{message_id.decode()}", "job"):
            await queue(Job.from_dict(json.loads(text)))
            queued += 1
        # From here on the stream has it. If it was claimed already, and put off again, it waits for another time.
        await redis.eval(_QUEUED, 1, DUE, message_id, taken)
    return queued


async def look_up(redis: Redis, message_id: str) -> tuple[str, Progress | None]:
    """Return what is known of a mail, behind "done" or "dead" where that is all, or "" where it is not over."""
    over, progress = await redis.hmget(f"mail:{message_id}", "over", "progress")
    state = over.decode() if isinstance(over, bytes) else ""
    return state, Progress.from_json(progress) if progress else None

"""Who is given which connection, where none is ever connected: the queue, the rate and the end, to the single turn."""

import asyncio
from typing import Any

import pytest

from mailwire import LocalProtocolError, SMTPClient
from mailwire.aio.pool_connections import PoolConnections, PooledConnection
from mailwire.aio.rate import Rate
from mailwire.testing.turns import turns
from tests.clock import Clock


def make_client() -> SMTPClient:
    return SMTPClient("smtp://localhost")


def connections(**settings: Any) -> PoolConnections:
    return PoolConnections(make_client, **{"max_connections": 1, "max_idle": None, "rate": None, **settings})


def taken(pool: PoolConnections) -> PooledConnection:
    connection = pool.take_at_once()
    assert connection is not None
    return connection


async def test_nobody_overtakes_those_who_wait() -> None:
    pool = connections()
    first = taken(pool)
    assert pool.take_at_once() is None
    waiting = asyncio.create_task(pool.take())
    await turns(1)
    pool.give_back(first)
    assert pool.take_at_once() is None
    pool.give_back(await waiting)
    pool.give_back(await pool.take())


async def test_who_is_turned_back_waits_in_front() -> None:
    pool = connections()
    first = taken(pool)
    order: list[str] = []

    async def take(name: str, *, in_front: bool = False) -> None:
        connection = await pool.take(in_front=in_front)
        order.append(name)
        pool.give_back(connection)

    tasks = [asyncio.create_task(take(name)) for name in "ab"]
    await turns(1)
    tasks.append(asyncio.create_task(take("c", in_front=True)))
    await turns(1)
    pool.give_back(first)
    await asyncio.gather(*tasks)
    assert order == ["c", "a", "b"]


@pytest.mark.parametrize("rated", [False, True])
@pytest.mark.parametrize("others", [0, 1, 2])
async def test_what_is_given_to_one_who_is_cancelled_goes_to_the_next(others: int, rated: bool) -> None:
    clock = Clock()
    pool = connections(rate=Rate(0.1, 2) if rated else None)
    first = taken(pool)
    waiting = asyncio.create_task(pool.take())
    await turns(1)
    behind = [asyncio.create_task(pool.take()) for _ in range(others)]
    await turns(1)
    pool.give_back(first)
    assert len(pool.used) == 1
    waiting.cancel()
    await asyncio.wait([waiting])
    # With his share of the rate.
    assert len(pool.used) == min(others, 1)
    for task in behind:
        pool.give_back(await task) if task is behind[0] else task.cancel()
    await clock.advance(100)
    assert (len(pool.used), pool.waiting) == (0, 0)


async def test_who_is_cancelled_is_passed_over_before_he_knows() -> None:
    pool = connections()
    first = taken(pool)
    waiting = [asyncio.create_task(pool.take()) for _ in range(2)]
    await turns(1)
    waiting[0].cancel()
    pool.give_back(first)
    await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    pool.give_back(waiting[1].result())
    assert pool.waiting == 0


async def test_the_end_is_told_to_those_who_wait_and_are_not_cancelled() -> None:
    pool = connections(rate=Rate(0.1, 1))
    pool.give_back(taken(pool))
    waiting = [asyncio.create_task(pool.take()) for _ in range(3)]
    await turns(1)
    waiting[1].cancel()
    pool.abort(lambda: LocalProtocolError("over"))
    await asyncio.wait(waiting)
    assert waiting[1].cancelled()
    assert isinstance(waiting[0].exception(), LocalProtocolError)
    assert isinstance(waiting[2].exception(), LocalProtocolError)
    await pool.settled()


async def test_a_cancellation_may_come_behind_the_end() -> None:
    pool = connections()
    first = taken(pool)
    waiting = asyncio.create_task(pool.take())
    await turns(1)
    pool.abort(lambda: LocalProtocolError("over"))
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    pool.give_back(first)
    assert (len(pool.used), pool.waiting) == (0, 0)

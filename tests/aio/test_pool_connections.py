"""Who is given which connection, where none is ever connected: the queue, the rate and the end, to the single turn."""

import asyncio
import math
from typing import Any

import pytest

from mailwire import LocalProtocolError, SMTPClient
from mailwire.aio.pool_connections import PoolConnections, PooledConnection, _Timer
from mailwire.aio.rate import Rate
from mailwire.testing import MailServer
from mailwire.testing.turns import turns
from tests.aio.pools import ACCOUNTS, endpoint_of
from tests.clock import Clock, StandingClock


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


async def test_when_the_last_idle_one_is_closed_there_is_nothing_more_to_watch() -> None:
    # What goes wrong in a timer is told to nobody but the event loop.
    loop, told = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: told.append(context))
    clock = Clock()
    async with MailServer(ACCOUNTS) as server:
        client = SMTPClient(endpoint_of(server))
        pool = PoolConnections(lambda: client, max_connections=1, max_idle=10.0, rate=None)
        connection = taken(pool)
        await client.connect()
        pool.give_back(connection)
        assert pool.idle == 1
        await clock.advance(10)
        await pool.settled()
    assert not client.is_connected
    assert pool.idle == 0
    assert told == []


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


@pytest.mark.parametrize(
    ("max_idle", "lifetime", "end"), [(20, math.inf, 20), (None, 10, 10), (20, 10, 10), (10, 20, 10)]
)
@pytest.mark.parametrize("is_in_time", [True, False])
async def test_a_connection_is_too_old_to_the_tick(
    max_idle: float | None, lifetime: float, end: float, is_in_time: bool
) -> None:
    clock = StandingClock()
    async with MailServer(ACCOUNTS) as server:
        pool = PoolConnections(lambda: SMTPClient(endpoint_of(server)), max_connections=2, max_idle=max_idle, rate=None)
        connection = taken(pool)
        await connection.client.connect()
        connection.expires = asyncio.get_running_loop().time() + lifetime
        pool.give_back(connection)
        clock.jump(end - is_in_time)
        assert (taken(pool) is connection) is is_in_time
        # While it is used its age alone counts.
        if is_in_time:
            clock.jump(1)
            pool.give_back(connection)
            assert pool.idle == (end != lifetime)
        pool.wind_up()
        await pool.settled()


async def test_a_timer_for_which_there_is_no_memory_can_be_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, rings = asyncio.get_running_loop(), list[None]()
    timer = _Timer(lambda: rings.append(None))

    def call_at(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_at", call_at)
        with pytest.raises(MemoryError):
            timer.set(0.0)
    timer.set(0.0)
    await turns(2)
    assert rings == [None]


async def test_nobody_overtakes_those_who_wait_for_a_token_that_has_just_come() -> None:
    clock = Clock()
    pool = connections(max_connections=2, rate=Rate(0.1, 1))
    first = taken(pool)
    waiting = asyncio.create_task(pool.take())
    await turns(1)
    clock.jump(10)
    assert pool.take_at_once() is None
    for connection in (first, await waiting):
        pool.give_back(connection)


async def test_a_token_is_there_to_the_tick() -> None:
    clock = StandingClock()
    pool = connections(rate=Rate(0.1, 1))
    pool.give_back(taken(pool))
    clock.jump(10)
    pool.give_back(taken(pool))


async def test_a_source_waits_for_a_token_where_there_may_be_more_connections() -> None:
    class Fed(SMTPClient):
        def is_fed_by(self, task: "asyncio.Task[object] | None") -> bool:
            return task is not None

    clock = Clock()
    pool = PoolConnections(lambda: Fed("smtp://localhost"), max_connections=2, max_idle=None, rate=Rate(0.1, 1))
    first = taken(pool)
    waiting = asyncio.create_task(pool.take())
    await turns(1)
    await clock.advance(10)
    second = await waiting
    with pytest.raises(LocalProtocolError, match="the sources of all messages that are being sent wait"):
        await pool.take()
    for connection in (first, second):
        pool.give_back(connection)


async def test_who_gives_up_does_not_wait_any_more() -> None:
    pool = connections()
    first = taken(pool)
    waiting = asyncio.create_task(pool.take())
    await turns(1)
    assert pool.waiting == 1
    waiting.cancel()
    await asyncio.wait([waiting])
    assert pool.waiting == 0
    pool.give_back(first)


async def test_the_end_is_told_in_the_order_in_which_they_came() -> None:
    pool = connections()
    taken(pool)
    order: list[str] = []

    async def take(name: str) -> None:
        with pytest.raises(LocalProtocolError):
            await pool.take()
        order.append(name)

    tasks = [asyncio.create_task(take(name)) for name in "abc"]
    await turns(1)
    pool.abort(lambda: LocalProtocolError("over"))
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"]


async def test_what_is_given_back_at_the_end_takes_its_leave() -> None:
    async with MailServer(ACCOUNTS) as server:
        pool = PoolConnections(lambda: SMTPClient(endpoint_of(server)), max_connections=1, max_idle=None, rate=None)
        connection = taken(pool)
        await connection.client.connect()
        pool.wind_up()
        pool.give_back(connection)
        assert (pool.idle, pool.leaving) == (0, 1)
        await pool.settled()
        assert not connection.client.is_connected


async def test_a_server_that_wants_no_more_is_asked_again_after_a_minute_to_the_tick() -> None:
    clock = StandingClock()
    async with MailServer(ACCOUNTS) as server:
        pool = PoolConnections(lambda: SMTPClient(endpoint_of(server)), max_connections=3, max_idle=None, rate=None)
        connection = taken(pool)
        await connection.client.connect()
        assert pool.want_fewer()
        assert pool.take_at_once() is None
        clock.jump(59)
        assert pool.take_at_once() is None
        clock.jump(1)
        assert pool.take_at_once() is not None
        await connection.client.quit()

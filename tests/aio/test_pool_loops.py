"""A pool on every event loop that there is: mails by `send` and by `send_all`, over connections that are cut; and in an
event loop behind another that was closed over its mails."""

import asyncio
import gc
import importlib
from random import Random

import pytest

from mailwire import (
    Delivery,
    Endpoint,
    LocalProtocolError,
    MailwireError,
    PoolStatistics,
    Receipt,
    SMTPPool,
)
from mailwire.testing import Cut, FaultProxy, MailServer, Unanswered
from tests.aio.pools import ACCOUNTS, ENVELOPE, beside_event_loops, endpoint_of, numbered, subjects, until
from tests.integration.conftest import demand_libraries


def choose(number: int, chance: Random) -> list[Cut]:
    return [Cut(chance.randrange(600), of="client")] if number % 3 == 1 else []


async def send(pool: SMTPPool, number: int) -> Delivery | None:
    try:
        return (await pool.send(numbered(number), **ENVELOPE)).delivery
    except MailwireError as error:
        return error.delivery


async def flow() -> None:
    async with MailServer(ACCOUNTS) as server, FaultProxy(server.smtp_port, choose) as proxy:
        endpoint = Endpoint("127.0.0.1", proxy.port, tls="none")
        async with SMTPPool(endpoint, max_connections=3, max_messages_per_connection=4) as pool:
            words = dict(enumerate(await asyncio.gather(*(send(pool, number) for number in range(30)))))
            messages = (numbered(number) for number in range(100, 130))
            async for result in pool.send_all(messages, **ENVELOPE):
                words[100 + result.index] = result.delivery
            cancelled = asyncio.ensure_future(send(pool, 999))
            await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.wait([cancelled])
        await proxy.wait_idle()
        await server.wait_idle()
        arrived = set(subjects(server)) - {999}
        assert any(connection.was_cut for connection in proxy.connections)
    accepted = {number for number, word in words.items() if word is Delivery.ACCEPTED}
    doubtful = {number for number, word in words.items() if word is Delivery.UNKNOWN}
    assert len(words) == 60
    assert accepted <= arrived <= accepted | doubtful
    assert not asyncio.all_tasks() - {asyncio.current_task()}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_pool_keeps_its_word_on_every_loop(loop: str) -> None:
    demand_libraries(loop)
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(flow())
    gc.collect()  # a transport or socket that was left open would complain now


def test_what_is_left_in_an_event_loop_that_is_closed_keeps_nobody_waiting_in_the_next() -> None:
    # `asyncio.run` cancels what is left; who closes an event loop by himself may not.
    with beside_event_loops() as server:
        pool = SMTPPool(endpoint_of(server), max_connections=1)
        server.inject(Unanswered("MAIL"))
        left = list["asyncio.Task[Receipt]"]()

        async def begin() -> None:
            left.extend(asyncio.ensure_future(pool.send(numbered(number), **ENVELOPE)) for number in range(3))
            await until(lambda: pool.statistics == PoolStatistics(1, 0, 0, waiting=2, opened=1, reused=0, retried=0))

        async def go_on() -> None:
            async with asyncio.timeout(20):
                for number in (8, 9):
                    assert (await pool.send(numbered(number), **ENVELOPE)).delivery is Delivery.ACCEPTED
                for task in left:
                    coroutine = task.get_coro()
                    assert coroutine is not None
                    coroutine.close()  # as Python does with what nobody holds any more: it changes nothing here
                assert pool.statistics == PoolStatistics(0, 1, 0, waiting=0, opened=2, reused=1, retried=0)
                await pool.close()
            assert pool.statistics == PoolStatistics(0, 0, 0, waiting=0, opened=2, reused=1, retried=0)

        before = asyncio.new_event_loop()
        before.set_exception_handler(lambda *_: None)
        before.run_until_complete(begin())
        before.close()
        asyncio.run(go_on())
        assert subjects(server) == [8, 9]
        left.clear()
        gc.collect()


def test_a_run_over_which_an_event_loop_was_closed_says_so() -> None:
    with beside_event_loops() as server:
        leave_a_run(server)
        gc.collect()


def leave_a_run(server: MailServer) -> None:
    pool = SMTPPool(endpoint_of(server), max_connections=1)
    run = pool.send_all(map(numbered, range(2)), **ENVELOPE)
    server.inject(Unanswered(".", 2))

    async def begin() -> None:
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        await until(lambda: not server.outstanding)

    async def go_on() -> None:
        async with asyncio.timeout(20):
            for call in (run.__anext__, run.aclose):
                with pytest.raises(LocalProtocolError) as caught:
                    await call()
                assert str(caught.value) == (
                    "the event loop was closed over mails of this run: nothing more is known of them"
                )
            await pool.send(numbered(9), **ENVELOPE)
            await pool.close()

    before = asyncio.new_event_loop()
    before.set_exception_handler(lambda *_: None)
    before.run_until_complete(begin())
    before.close()
    asyncio.run(go_on())
    assert subjects(server) == [0, 1, 9]

"""A pool on every event loop that there is: mails by `send` and by `send_all`, over connections that are cut."""

import asyncio
import gc
import importlib
from random import Random

import pytest

from mailwire import Delivery, Endpoint, MailwireError, SMTPPool
from mailwire.testing import Cut, FaultProxy, MailServer
from tests.aio.pools import ACCOUNTS, ENVELOPE, numbered, subjects
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

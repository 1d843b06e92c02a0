"""Who keeps a connection: a run is broken off where nobody is left to go on with it, and not before."""

import asyncio
import gc
import weakref

import pytest

from mailwire import LocalProtocolError, POP3Client, Retrieval, RetrievedItem
from mailwire.testing import ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import LISTED, OPENED, POP3_QUIT, TWO_MESSAGES
from tests.aio.pop3_clients import ONE, TWO, assert_a_call_waits, client_for, everything

NOOP: tuple[Step, ...] = ("C: NOOP", "S: +OK")
ONE_READ: tuple[Step, ...] = (*OPENED, *LISTED, *TWO_MESSAGES[:4], *NOOP, *POP3_QUIT)
BOTH_READ: tuple[Step, ...] = (*OPENED, *LISTED, *TWO_MESSAGES, *NOOP, *POP3_QUIT)


async def made_by_somebody_who_is_gone(client: POP3Client) -> Retrieval:
    async def make() -> Retrieval:
        return client.retrieve([ONE, TWO])

    return await asyncio.create_task(make())


async def test_a_run_is_waited_for_until_who_made_it_is_done() -> None:
    async def make() -> None:
        await asyncio.create_task(client.retrieve([ONE, TWO]).__anext__())
        await leave.wait()

    leave = asyncio.Event()
    async with ScriptedPeer(*ONE_READ) as peer, client_for(peer) as client:
        making = asyncio.create_task(make())
        await drain_events()
        await assert_a_call_waits(client, leave)
        await making


async def test_a_run_of_which_the_maker_is_done_is_waited_for_until_who_goes_on_with_it_is() -> None:
    async def go_on() -> None:
        await anext(items)
        await leave.wait()

    leave = asyncio.Event()
    async with ScriptedPeer(*ONE_READ) as peer, client_for(peer) as client:
        items = await made_by_somebody_who_is_gone(client)
        going_on = asyncio.create_task(go_on())
        await drain_events()
        await assert_a_call_waits(client, leave)
        await going_on
        with pytest.raises(LocalProtocolError, match="has ended this retrieval"):
            await anext(items)


async def test_of_several_who_go_on_with_a_run_the_last_one_holds_it() -> None:
    async def begin() -> None:
        taken.set_result(await anext(items))
        await read.wait()
        assert await items.__anext__() is not None
        again.set()
        await leave.wait()

    async def read_it() -> None:
        assert await (await taken).read() == b"first\r\n"
        read.set()
        await again.wait()

    taken: asyncio.Future[RetrievedItem] = asyncio.get_running_loop().create_future()
    read, again, leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with ScriptedPeer(*BOTH_READ) as peer, client_for(peer) as client:
        items = await made_by_somebody_who_is_gone(client)
        beginning, reading = asyncio.create_task(begin()), asyncio.create_task(read_it())
        await read.wait()
        asking = asyncio.create_task(client.noop())
        await reading
        await drain_events()
        assert not asking.done()
        leave.set()
        await asking
        await beginning


async def test_a_run_that_is_over_is_not_broken_off_when_who_used_it_is_done() -> None:
    async def go_on() -> Retrieval:
        items = client.retrieve([ONE])
        assert await everything(items) == [b"first\r\n"]
        await anext(client.retrieve([TWO]))
        await leave.wait()
        return items

    leave = asyncio.Event()
    async with ScriptedPeer(*BOTH_READ) as peer, client_for(peer) as client:
        going_on = asyncio.create_task(go_on())
        await drain_events()
        asking = asyncio.create_task(client.noop())
        await drain_events()
        leave.set()
        await asking
        items = await going_on
        with pytest.raises(StopAsyncIteration):
            await anext(items)


async def test_nothing_is_kept_of_who_is_done_with_a_run() -> None:
    async with ScriptedPeer(*BOTH_READ) as peer, client_for(peer) as client:
        items = client.retrieve([ONE, TWO])
        going_on = asyncio.create_task(items.__anext__())
        await going_on
        gone = weakref.ref(going_on)
        del going_on
        await asyncio.create_task(items.__anext__())
        gc.collect()
        assert gone() is None
        await items.aclose()
        await client.noop()

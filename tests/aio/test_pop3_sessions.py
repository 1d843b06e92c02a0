"""One session of a client after the other: what an abort ends, and what is known of messages by then."""

import asyncio
from typing import Any

import pytest

from mailwire import (
    Batch,
    CommitReport,
    ConnectionLost,
    LocalProtocolError,
    MessageTruncated,
    POP3Client,
    POP3Settings,
    ResponseError,
)
from mailwire.pop3 import Capabilities, Dele
from mailwire.testing import FIN, LISTEN, STALL, WAIT, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import (
    LISTED,
    LISTED_TOGETHER,
    LOGIN,
    OPENED,
    PIPELINED,
    POP3_QUIT,
    POP3_READY,
    TWO_MESSAGES,
    announced,
    capabilities,
)
from tests.aio.pop3_clients import ONE, THREE, TWO, client_for, connect
from tests.aio.test_replay import client_of
from tests.clock import Clock

DELETED: tuple[Step, ...] = ("C: DELE 1", "S: +OK")
DELAYED: tuple[Step, ...] = (*capabilities("UIDL", "LOGIN-DELAY 300"), *LOGIN, *announced("UIDL", "LOGIN-DELAY 300"))
LOCKED: tuple[Step, ...] = (*POP3_READY, *LOGIN[:3], "S: -ERR [IN-USE] locked")


async def test_a_client_that_was_never_connected_knows_nothing_of_its_server() -> None:
    client = POP3Client("pop3://localhost")
    assert client.capabilities == Capabilities()
    assert client.is_utf8 is False


async def test_the_delay_between_logins_holds_through_those_that_fail() -> None:
    opened, before = (*capabilities("UIDL"), *LOGIN), capabilities("UIDL", "LOGIN-DELAY 200")
    clock = Clock()
    async with (
        ScriptedPeer(
            *opened, *announced("UIDL", "LOGIN-DELAY 300"), *LISTED, *DELETED, *POP3_QUIT, guard=None
        ) as first,
        ScriptedPeer(*before, *LOGIN[:3], "S: -ERR [SYS/TEMP] not now", guard=None) as second,
        ScriptedPeer(*before, *LOGIN, *announced("UIDL", "LOGIN-DELAY 400"), *POP3_QUIT, guard=None) as third,
        ScriptedPeer(*OPENED, *POP3_QUIT, guard=None) as fourth,
    ):
        client = client_of(first, second, third, fourth)
        assert client.login_delay == 0
        await client.connect()
        assert client.login_delay == 300
        await client.delete("u1")
        committing = asyncio.create_task(client.commit(reconnect=True))
        await clock.advance(300)
        with pytest.raises(ResponseError):
            await committing
        assert client.login_delay == 300
        for told in (400, 0):
            await client.connect()
            assert client.login_delay == told
            await client.quit()


# Aborted


async def test_a_client_that_is_aborted_as_it_connects_is_not_connected() -> None:
    async with ScriptedPeer(LISTEN, lenient=True) as peer:
        client = client_for(peer)

        async def way() -> Any:
            made = await peer.connect()
            client.abort()
            return made

        client.endpoint = client.endpoint.replace(connect=way)
        with pytest.raises(ConnectionLost, match=r"cut by abort\(\)"):
            await client.connect()
        assert not client.is_connected


async def test_what_is_known_of_a_session_is_known_when_the_next_is_aborted_as_it_begins() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED, *POP3_QUIT) as first,
        ScriptedPeer(LISTEN, lenient=True) as second,
    ):
        client = client_of(first)
        await client.connect()
        await client.delete("u1")
        report = await client.commit()
        assert report.committed == (ONE,)

        async def way() -> Any:
            made = await second.connect()
            client.abort()
            return made

        client.endpoint = client.endpoint.replace(connect=way)
        with pytest.raises(ConnectionLost):
            await client.connect()
        assert client.last_commit is report


@pytest.mark.parametrize("opened", [DELAYED, OPENED], ids=["for the pause between logins", "for the lock"])
async def test_a_commit_that_waits_for_the_next_login_is_aborted_at_once(opened: tuple[Step, ...]) -> None:
    async with (
        ScriptedPeer(*opened, *LISTED, *DELETED, *POP3_QUIT, guard=None) as first,
        ScriptedPeer(*LOCKED, guard=None, lenient=True) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        await client.delete("u1")
        committing = asyncio.create_task(client.commit(reconnect=True))
        await drain_events()
        assert not committing.done()
        client.abort()
        with pytest.raises(ConnectionLost, match=r"cut by abort\(\)"):
            await committing
        assert client.last_commit is not None
        assert client.last_commit.committed == (ONE,)
        assert not client.is_connected
        if opened is DELAYED:
            assert second.commands == []
            (await second.connect()).close()
        client.abort()


async def test_a_commit_that_is_aborted_at_quit_begins_no_other_session() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, "C: QUIT", STALL, guard=None) as peer:
        client = client_of(peer)  # there is no way to another
        await client.connect()
        await client.delete("u1")
        committing = asyncio.create_task(client.commit(reconnect=True))
        await drain_events()
        client.abort()
        with pytest.raises(ConnectionLost, match=r"cut by abort\(\)"):
            await committing
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE,)


async def test_a_run_that_is_aborted_between_two_batches_ends() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], *DELETED, "C: QUIT", STALL, guard=None) as peer:
        client = client_of(peer)
        await client.connect()
        items = client.retrieve([ONE, TWO], batch=Batch(messages=1))
        item = await anext(items)
        assert await item.read() == b"first\r\n"
        item.delete()
        going_on = asyncio.create_task(items.__anext__())
        await drain_events()
        client.abort()
        with pytest.raises(ConnectionLost, match=r"cut by abort\(\)"):
            await going_on
        assert [report.unknown for report in items.commits] == [(ONE,)]


async def test_a_client_that_was_aborted_can_be_used_again() -> None:
    async with (
        ScriptedPeer(*OPENED, LISTEN) as first,
        ScriptedPeer(*OPENED, *LISTED, *DELETED, *POP3_QUIT) as second,
        ScriptedPeer(*OPENED, *LISTED, *POP3_QUIT) as third,
    ):
        client = client_of(first, second, third)
        await client.connect()
        client.abort()
        await client.connect()
        await client.delete("u1")
        assert (await client.commit(reconnect=True)).committed == (ONE,)
        await client.quit()


# The answers have come when DELE is to be said, so that it waits behind them.
ALL_GIVEN: tuple[Step, ...] = (
    *(*PIPELINED, *LISTED_TOGETHER, "C: RETR 1", "C: RETR 2", "C: RETR 3"),
    b"+OK\r\nfirst\r\n.\r\n+OK\r\nother\r\n.\r\n+OK\r\nthird\r\n.\r\n",
    LISTEN,
)


@pytest.mark.parametrize("marks_twice", [False, True])
async def test_a_run_that_was_left_with_a_mark_unsaid_leaves_an_aborted_client_that_can_be_used_again(
    marks_twice: bool,
) -> None:
    async with (
        ScriptedPeer(*ALL_GIVEN) as first,
        ScriptedPeer(*OPENED, *LISTED, "C: NOOP", "S: +OK", *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        item = await anext(items)
        await item.read()
        item.delete()
        item = await anext(items)
        if marks_twice:
            await item.read()
            item.delete()
        assert client._connection.queued == (Dele(1),)
        client.abort()
        await client.connect()  # this ends the run
        with pytest.raises(LocalProtocolError, match="another call of the client has ended this retrieval"):
            await anext(items)
        assert client.last_commit is not None
        assert client.last_commit.remaining_uids == ({"u1", "u2"} if marks_twice else {"u1"})
        assert client.last_commit.unknown == ()
        await client.listing()
        await client.noop()
        await client.quit()


async def test_a_run_that_is_ended_behind_an_abort_has_nothing_more_said() -> None:
    async with ScriptedPeer(*ALL_GIVEN) as peer:
        client = client_of(peer)
        await client.connect()
        items = client.retrieve([ONE, TWO, THREE])
        for item in (await anext(items), await anext(items)):
            item.delete()
        await anext(items)
        client.abort()
        await items.aclose()
        assert client._connection.queued == ()


async def test_who_waits_for_an_aborted_client_gets_it_when_the_task_of_the_run_is_done() -> None:
    async def run() -> None:
        async for item in client.retrieve([ONE, TWO, THREE]):
            await item.read()
            if item.entry == TWO:
                break
            item.delete()
        is_left.set()
        await leave.wait()

    is_left, leave = asyncio.Event(), asyncio.Event()
    async with (
        ScriptedPeer(*ALL_GIVEN) as first,
        ScriptedPeer(*OPENED, *POP3_QUIT) as second,
    ):
        client = client_of(first, second)
        await client.connect()
        running = asyncio.create_task(run())
        await is_left.wait()
        client.abort()
        connecting = asyncio.create_task(client.connect())
        await drain_events()
        assert not connecting.done()
        leave.set()
        await asyncio.gather(running, connecting)
        assert client.last_commit == CommitReport(kept=(ONE,))
        await client.quit()


async def test_an_item_of_a_session_that_was_aborted_is_not_marked() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4]) as peer:
        client = client_of(peer)
        await client.connect()
        items = client.retrieve([ONE, TWO])
        item = await anext(items)
        client.abort()
        with pytest.raises(LocalProtocolError, match="is over"):
            item.delete()
        await items.aclose()
        assert client.last_commit is None


async def test_a_run_whose_marks_cannot_be_said_lets_go_of_the_connection() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *TWO_MESSAGES[:4], "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO])
        item = await anext(items)
        await item.read()
        item.entry = ONE._replace(number=0)
        item.delete()
        with pytest.raises(ValueError, match="a message number is a positive int"):
            await items.aclose()
        await client.noop()
        await client.quit()


async def test_where_no_pause_is_waited_for_one_session_may_follow_the_other_at_once() -> None:
    async with (
        ScriptedPeer(*OPENED, *LISTED, *DELETED, *POP3_QUIT) as first,
        ScriptedPeer(*OPENED, *LISTED, *POP3_QUIT) as second,
    ):
        client = client_of(first, second, settings=POP3Settings(login_pause_limit=0))
        await client.connect()
        await client.delete("u1")
        assert (await client.commit(reconnect=True)).committed == (ONE,)
        assert client.is_connected
        await client.quit()


# Why nothing is known


async def test_an_error_of_an_earlier_call_is_not_why_a_commit_that_was_cancelled_tells_nothing() -> None:
    script = (*OPENED, *LISTED, *DELETED, "C: DELE 2", "S: -ERR no", "C: QUIT", STALL)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = await connect(peer)
        await client.delete("u1")
        with pytest.raises(ResponseError):
            await client.execute(Dele(2))
        committing = asyncio.create_task(client.commit())
        await drain_events()
        committing.cancel()
        await asyncio.wait([committing])
        assert client.last_commit is not None
        assert (client.last_commit.unknown, client.last_commit.error) == ((ONE,), None)


async def test_a_cancellation_is_not_why_nothing_is_known() -> None:
    async with ScriptedPeer(*OPENED, *LISTED, *DELETED, "C: STAT", STALL, guard=None) as peer:
        client = await connect(peer)
        await client.delete("u1")
        asking = asyncio.create_task(client.stat())
        await drain_events()
        asking.cancel()
        await asyncio.wait([asking])
        assert client.last_commit is not None
        assert (client.last_commit.unknown, client.last_commit.error) == ((ONE,), None)


async def test_what_ends_a_run_is_why_nothing_is_known() -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:4], *DELETED, "C: RETR 2", "S: +OK", "S: oth", FIN)
    async with ScriptedPeer(*script) as peer:
        client = await connect(peer)
        items = client.retrieve([ONE, TWO])
        (await anext(items)).delete()
        item = await anext(items)
        with pytest.raises(MessageTruncated) as caught:
            await item.read()
        assert client.last_commit is not None
        assert client.last_commit.unknown == (ONE,)
        assert client.last_commit.error is caught.value


# Standing


async def test_a_session_that_was_kept_alive_stands() -> None:
    clock = Clock()
    noop = ("C: NOOP", "S: +OK")
    async with ScriptedPeer(*OPENED, *noop, *noop, *noop, *POP3_QUIT, guard=None) as peer:
        client = await connect(peer)
        for _ in range(2):
            await clock.advance(30)
            assert client.stands()
        await client.noop()
        await client.quit()


async def test_a_session_of_which_a_retrieval_has_left_something_stands() -> None:
    script = (*OPENED, *LISTED, *TWO_MESSAGES[:2], WAIT, *TWO_MESSAGES[2:4], "C: NOOP", "S: +OK", *POP3_QUIT)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = await connect(peer)
        items = client.retrieve(["u1"])
        await anext(items)
        await items.aclose()
        peer.go_on()
        await drain_events()
        assert client.stands()
        await client.noop()
        await client.quit()


@pytest.mark.parametrize("is_met", [False, True])
async def test_a_session_that_the_server_has_ended_does_not_stand(is_met: bool) -> None:
    clock = Clock()
    async with ScriptedPeer(*OPENED, WAIT, "S: -ERR idle for too long", LISTEN, guard=None) as peer:
        client = await connect(peer)
        peer.go_on()
        await drain_events()
        if is_met:
            await clock.advance(30)  # when NOOP would be said
        assert not client.stands()
        assert not client.is_connected

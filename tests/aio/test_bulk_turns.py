"""A run on one connection, and who else has a hand in it: other tasks, the end of it, and a connection that is cut."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from mailwire import (
    BulkSending,
    ConnectionLost,
    Delivery,
    InvalidMessage,
    LocalProtocolError,
    Receipt,
    SMTPClient,
    SMTPPool,
    SourceFailed,
)
from mailwire.testing import FIN, LISTEN, STALL, WAIT, MailServer, ScriptedPeer
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MAILED, MESSAGE, QUIT, READY, SENT
from tests.aio.pools import ACCOUNTS, ENVELOPE, Gate, endpoint_of, in_turn, numbered, subjects
from tests.aio.runs import LOCKSTEP, collect


def many(count: int) -> list[bytes]:
    return [numbered(number) for number in range(count)]


class Sources:
    """Messages that are read by a task of their own, and what has become of them."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    async def message(self) -> AsyncIterator[bytes]:
        self.opened += 1
        try:
            yield MESSAGE
            await asyncio.sleep(0)
        finally:
            self.closed += 1

    async def messages(self, count: int) -> AsyncIterator[AsyncIterator[bytes]]:
        for _ in range(count):
            yield self.message()


def readers() -> list[str]:
    """The tasks that read a source."""
    return [name for task in asyncio.all_tasks() if "Reading" in (name := repr(task.get_coro()))]


# Several tasks


async def test_one_task_waits_for_a_result_at_a_time() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all([gate.message(0), numbered(1)], **ENVELOPE)
        first = asyncio.ensure_future(anext(run))
        await drain_events()
        with pytest.raises(LocalProtocolError, match=r"^another task waits for the next result of this run$"):
            await anext(run)
        gate.open()
        assert (await first).error is None
        assert [result.error for result in await collect(run)] == [None]
        assert subjects(server) == [0, 1]


async def test_a_run_that_two_leave_at_once_lets_go_of_the_connection_once() -> None:
    async def messages(client: SMTPClient) -> AsyncIterator[bytes]:
        waiting.extend(asyncio.create_task(client.send(numbered(number), **ENVELOPE)) for number in (1, 2, 3))
        yield numbered(0)
        await asyncio.Event().wait()

    async def make(client: SMTPClient) -> None:
        run = client.send_all(messages(client), **ENVELOPE)
        await asyncio.create_task(run.__anext__())  # both are done in the same turn

    waiting: list[asyncio.Task[Receipt]] = []
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        await asyncio.create_task(make(client))
        assert [(await sending).delivery for sending in waiting] == [Delivery.ACCEPTED] * 3
        assert client.is_connected
        assert subjects(server) == [0, 1, 2, 3]


def named(*recipients: str) -> dict[str, Any]:
    return {"sender": "a@example.org", "recipients": recipients}


@pytest.mark.parametrize("kind", [SMTPClient, SMTPPool])
async def test_very_many_recipients_of_a_run_are_read_in_several_turns(kind: type[SMTPClient | SMTPPool]) -> None:
    async with ScriptedPeer(*READY, *QUIT) as peer, kind(peer.endpoint()) as sender:

        async def turns_of(count: int) -> int:
            run = sender.send_all([MESSAGE], **named(*["b@example.org"] * (count - 1), "nobody"))
            first = asyncio.ensure_future(anext(run))
            taken = 0
            while not first.done():
                await asyncio.sleep(0)
                taken += 1
            assert isinstance(first.result().error, InvalidMessage)
            await run.aclose()
            return taken

        await turns_of(2)  # a pool opens a connection for it
        few = await turns_of(2)
        assert [await turns_of(count) - few for count in (1000, 1001, 3000, 3001)] == [0, 2, 3, 4]


@pytest.mark.parametrize("kind", [SMTPClient, SMTPPool])
@pytest.mark.parametrize("end", ["none", "aclose", "cancel"])
async def test_while_recipients_are_read_a_run_belongs_to_one_task(kind: type[SMTPClient | SMTPPool], end: str) -> None:
    async with MailServer(ACCOUNTS) as server, kind(endpoint_of(server)) as sender:
        run = sender.send_all([numbered(0), iter([numbered(1)])], **named(*["b@example.org"] * 1001))
        first = asyncio.ensure_future(anext(run))
        await asyncio.sleep(0)
        with pytest.raises(LocalProtocolError, match=r"^another task waits for the next result of this run$"):
            await anext(run)
        if end == "aclose":
            await run.aclose()
        if end == "cancel":
            first.cancel()
        await asyncio.wait([first])
        if end == "none":
            assert first.result().error is None
            assert [result.error for result in await collect(run)] == [None]
        else:
            assert first.cancelled() if end == "cancel" else isinstance(first.exception(), StopAsyncIteration)
            assert run.remaining == ()
            await run.aclose()
        await sender.send(numbered(2), **ENVELOPE)
    assert sorted(subjects(server)) == ([0, 1, 2] if end == "none" else [2])


@pytest.mark.parametrize("where", ["verdict", "source", "messages"])
async def test_closing_a_run_lets_go_of_the_task_that_waits_for_a_result(where: str) -> None:
    gate = Gate()

    async def late() -> AsyncIterator[Any]:
        if where != "messages":
            yield MESSAGE if where == "verdict" else gate.message(0)
        await asyncio.Event().wait()

    script = (*READY, *MAILED[:-1], *((MAILED[-1], WAIT, "S: 250 taken", *QUIT) if where == "verdict" else (LISTEN,)))
    async with ScriptedPeer(*script, lenient=where == "messages") as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all(late(), **LOCKSTEP)
        consuming = asyncio.ensure_future(collect(run))
        await drain_events()
        closing = [asyncio.ensure_future(run.aclose()) for _ in range(2)]
        await drain_events()
        assert consuming.done()
        assert await consuming == []
        if where == "verdict":  # which is waited for
            assert not closing[0].done()
            peer.go_on()
        await asyncio.gather(*closing)
        words = [result.delivery for result in run.remaining]
        assert words == {"verdict": [Delivery.ACCEPTED], "source": [Delivery.NOT_SENT], "messages": []}[where]
        assert client.is_connected is (where != "source")
        if where == "verdict":
            await client.quit()
        client.abort()


async def test_who_is_cancelled_while_a_run_is_closed_stays_cancelled() -> None:
    async with ScriptedPeer(*READY, *MAILED, STALL, lenient=True) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE], **LOCKSTEP)
        consuming = asyncio.ensure_future(collect(run))
        await drain_events()
        closing = asyncio.ensure_future(run.aclose())
        await asyncio.sleep(0)
        consuming.cancel()
        await asyncio.wait([consuming])
        assert consuming.cancelled()
        await drain_events()
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        assert [result.delivery for result in run.remaining] == [Delivery.UNKNOWN]
        assert not client.is_connected


async def test_who_closes_a_run_can_be_cancelled_before_the_other_task_has_let_go() -> None:
    leaving = asyncio.Event()

    async def slow_to_close() -> AsyncIterator[bytes]:
        try:
            yield b"Subject: x\r\n"
            await asyncio.Event().wait()
        finally:
            await leaving.wait()

    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all([slow_to_close()], **ENVELOPE)
        consuming = asyncio.ensure_future(collect(run))
        await drain_events()
        closing = asyncio.ensure_future(run.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await drain_events()
        leaving.set()
        await asyncio.wait([closing, consuming])
        assert closing.cancelled()
        assert [result.delivery for result in run.remaining] == [Delivery.NOT_SENT]
        assert not client.is_connected
        await run.aclose()
        await client.connect()
        await client.send(MESSAGE, **ENVELOPE)


@pytest.mark.parametrize("who", ["maker", "user"])
async def test_others_wait_for_a_run_as_long_as_its_maker_or_its_user_may_end_it(who: str) -> None:
    made: asyncio.Queue[Any] = asyncio.Queue()
    leaves = asyncio.Event()
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:

        async def make() -> None:
            run = client.send_all(many(3), **LOCKSTEP)
            made.put_nowait(run)
            if who == "maker":
                await leaves.wait()
                await run.aclose()

        async def use(run: BulkSending) -> None:
            await anext(run)
            if who == "user":
                await leaves.wait()
                await run.aclose()

        tasks = [asyncio.ensure_future(make())]
        tasks.append(asyncio.ensure_future(use(await made.get())))
        await drain_events()
        other = asyncio.ensure_future(client.send(numbered(99), **LOCKSTEP))
        await drain_events()
        assert not other.done()
        leaves.set()
        await asyncio.gather(*tasks)
        if client.is_connected:
            await other
        else:
            await asyncio.wait([other])
            assert isinstance(other.exception(), LocalProtocolError)
            await client.connect()


# The sources of messages


@pytest.mark.parametrize("ending", ["aclose", "send", "abort", "break"])
async def test_no_source_is_left_open_where_a_run_is_left(ending: str) -> None:
    sources = Sources()
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all(sources.messages(3), **ENVELOPE)
        await anext(run)
        await drain_events()
        if ending == "abort":
            client.abort()
            await drain_events()
        elif ending == "send":
            try:
                await client.send(MESSAGE, **ENVELOPE)
            except LocalProtocolError:  # where a mail was begun that had to be cut off
                assert not client.is_connected
        elif ending == "break":
            run._break_off()
            client.abort()
        await run.aclose()
        assert sources.opened == sources.closed
        assert readers() == []
        if not client.is_connected:
            await client.connect()


# A connection that is cut


async def test_what_gives_the_messages_of_a_run_cannot_wait_for_its_connection() -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield MESSAGE
        with pytest.raises(LocalProtocolError, match="the source of a message waits for the connection"):
            await client.send(MESSAGE, **ENVELOPE)
        yield MESSAGE

    async with ScriptedPeer(*READY, *SENT, *SENT, *SENT, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        results = await collect(client.send_all(messages(), **ENVELOPE))
        assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 2
        await client.send(MESSAGE, **ENVELOPE)


async def test_a_run_whose_connection_was_cut_lets_the_next_one_alone() -> None:
    script = (*READY, *SENT, "C: MAIL FROM:<a@example.org>", STALL)
    async with ScriptedPeer(*script, lenient=True) as first, ScriptedPeer(*READY, *SENT, *QUIT) as second:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        await client.connect()
        run = client.send_all([MESSAGE] * 5, **LOCKSTEP)
        assert (await anext(run)).error is None
        await drain_events()
        client.abort()
        await client.connect()
        assert (await client.send(MESSAGE, **LOCKSTEP)).delivery is Delivery.ACCEPTED
        await client.quit()
        assert {result.delivery for result in run.remaining} == {Delivery.NOT_SENT}


async def test_a_run_whose_connection_is_cut_makes_none_again() -> None:
    async with ScriptedPeer(*READY, *SENT, *MAILED, STALL, lenient=True) as peer:
        client = SMTPClient(peer.endpoint(connect=in_turn(peer)))
        await client.connect()
        run = client.send_all([MESSAGE] * 3, **LOCKSTEP)
        seen = [await anext(run)]
        waiting = asyncio.ensure_future(collect(run))
        await drain_events()
        client.abort()
        seen += await waiting
        assert not client.is_connected
    words = [(result.delivery, type(result.error)) for result in seen]
    assert words[0] == (Delivery.ACCEPTED, type(None))
    assert words[1:] == [(Delivery.UNKNOWN, ConnectionLost), (Delivery.NOT_SENT, ConnectionLost)]
    assert "abort()" in str(seen[2].error)


async def test_what_was_on_its_way_when_the_connection_was_cut_is_told_of_when_the_run_goes_on() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all(many(6), **ENVELOPE, use_chunking="eager")
        seen = [await anext(run)]
        client.abort()
        seen += await collect(run)
        await server.wait_idle()
    assert sorted(result.index for result in seen) == list(range(6))
    assert all((result.delivery is Delivery.ACCEPTED) is (result.error is None) for result in seen)
    assert {type(result.error) for result in seen} <= {type(None), ConnectionLost}
    delivered = subjects(server)
    assert len(delivered) == len(set(delivered))
    doubtful = {result.index for result in seen if result.delivery is Delivery.UNKNOWN}
    taken = {result.index for result in seen if result.delivery is Delivery.ACCEPTED}
    assert taken <= set(delivered) <= taken | doubtful


@pytest.mark.parametrize("heard", ["C: EHLO [127.0.0.1]", "nothing"])
async def test_a_client_that_is_aborted_while_it_connects_is_not_connected(heard: str) -> None:
    greeted = ("S: 220 mx", heard) if heard != "nothing" else ()
    async with ScriptedPeer(*greeted, STALL, lenient=True, optional=True) as peer:
        connections = 0
        opened = asyncio.Event()

        async def connect() -> socket.socket:
            nonlocal connections
            connections += 1
            if heard == "nothing":
                await opened.wait()
            return await peer.connect()

        client = SMTPClient(peer.endpoint(connect=connect))
        connecting = asyncio.ensure_future(client.connect())
        await drain_events()
        client.abort()
        opened.set()
        with pytest.raises(ConnectionLost):
            await connecting
        assert not client.is_connected
        assert connections == 1  # no server that knows HELO alone hangs up like that


# One message


class Lost:
    """A file that does not say where it stands."""

    def read(self, size: int = -1, /) -> bytes:
        return b""

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        raise OSError("gone")

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return offset


@pytest.mark.parametrize("front", [SMTPClient, SMTPPool])
async def test_a_message_that_cannot_be_read_has_its_own_error_where_nobody_is_there(front: Any) -> None:
    messages = [MESSAGE, Lost(), MESSAGE]
    async with ScriptedPeer(*READY, "C: MAIL FROM:<a@example.org>", FIN, LISTEN) as peer:
        fleet = front(peer.endpoint(connect=in_turn(peer)))
        if front is SMTPClient:
            await fleet.connect()
        results = sorted(await collect(fleet.send_all(messages, **ENVELOPE)), key=lambda result: result.index)
    assert [result.delivery for result in results] == [Delivery.NOT_SENT] * 3
    assert [isinstance(result.error, SourceFailed) for result in results] == [False, True, False]


@pytest.mark.parametrize("front", [SMTPClient, SMTPPool])
async def test_octets_that_are_not_there_any_more_fail_by_themselves(front: Any) -> None:
    released = memoryview(MESSAGE)
    released.release()

    def messages() -> Iterator[bytes | memoryview]:
        yield from (MESSAGE, released, MESSAGE)

    async with MailServer(ACCOUNTS) as server, front(endpoint_of(server)) as fleet:
        results = sorted(await collect(fleet.send_all(messages(), **ENVELOPE)), key=lambda result: result.index)
        assert [type(result.error) for result in results] == [type(None), InvalidMessage, type(None)]
        with pytest.raises(InvalidMessage, match="released"):
            await fleet.send(released, **ENVELOPE)

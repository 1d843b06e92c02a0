"""A run over a pool: what is known of a mail where the run, or a connection, ends in the middle of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailwire import (
    ConnectionFailed,
    ConnectionLost,
    Delivery,
    Endpoint,
    LocalProtocolError,
    Mailing,
    SMTPPool,
    SourceFailed,
)
from mailwire.testing import FIN, LISTEN, MAIL_DATA, MailServer, ScriptedPeer, Step
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import MESSAGE, QUIT, READY, SENT, extensions
from tests.aio.pools import ACCOUNTS, ENVELOPE, Gate, Way, connected, endpoint_of, in_turn, numbered, subjects, until
from tests.aio.runs import (
    BEGUN,
    BREAKS_IN_A_ROW,
    CHUNK,
    DROPS,
    LOCKSTEP,
    NAMED,
    NAMED_SECOND,
    TAKES,
    TAKES_TWO,
    check_closed_at_once,
    check_sent_one_by_one,
    check_told_in_the_middle,
    collect,
)

EAGER: dict[str, Any] = {**ENVELOPE, "use_chunking": "eager"}


def pool_over(*peers: ScriptedPeer, **settings: Any) -> SMTPPool:
    """A pool of one connection, that leads to one peer after the other."""
    endpoint = peers[0].endpoint(connect=in_turn(*peers))
    return SMTPPool(endpoint, **{"max_connections": 1, **settings})


@pytest.mark.parametrize("end", ["cancelled", "closed"])
async def test_what_the_server_has_said_to_a_mail_is_known_where_the_run_ends_in_its_middle(end: str) -> None:
    async with ScriptedPeer(*NAMED_SECOND, lenient=True, guard=None) as peer, pool_over(peer) as pool:
        run = pool.send_all([MESSAGE] * 2, **LOCKSTEP)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        result = await check_told_in_the_middle(run, cancelled=end == "cancelled")
    assert await collect(run) == [result]


async def test_what_breaks_a_run_off_is_told_to_the_mails_on_the_same_connection() -> None:
    def progress(written: int, size: int | None) -> None:
        raise ZeroDivisionError

    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, *CHUNK, LISTEN)
    async with ScriptedPeer(*script, lenient=True, guard=None) as peer, pool_over(peer) as pool:
        run = pool.send_all([MESSAGE, Mailing(MESSAGE, progress=progress, **EAGER)], **EAGER)
        first, second = await anext(run), await anext(run)
        with pytest.raises(ZeroDivisionError):
            await anext(run)
        assert (first.delivery, second.delivery) == (Delivery.UNKNOWN, Delivery.NOT_SENT)
        for result in (first, second):
            assert isinstance(result.error, ConnectionLost)
            assert str(result.error) == "the connection was cut, as the run was broken off: ZeroDivisionError()"
            assert isinstance(result.error.__cause__, ZeroDivisionError)
        assert pool.statistics.in_use == 0


async def test_a_server_that_does_not_stand_mails_in_a_row_is_sent_one_after_the_other() -> None:
    async with (
        ScriptedPeer(*BREAKS_IN_A_ROW) as first,
        ScriptedPeer(*TAKES_TWO) as second,
        pool_over(first, second) as pool,
    ):
        await check_sent_one_by_one(pool.send_all([MESSAGE] * 3, **LOCKSTEP, order="input"), second)
        seen = pool.statistics
    assert (seen.opened, seen.reused) == (2, 2)


async def test_a_connection_that_breaks_under_one_mail_says_nothing_against_mails_in_a_row() -> None:
    takes: tuple[Step, ...] = (*extensions("PIPELINING"), *BEGUN, *TAKES, *BEGUN, "S: 250 taken", *TAKES)
    async with (
        ScriptedPeer(*extensions("PIPELINING"), *BEGUN, FIN, LISTEN) as first,
        ScriptedPeer(*takes, "S: 250 taken", *QUIT) as second,
        pool_over(first, second) as pool,
    ):
        results = await collect(pool.send_all([MESSAGE] * 2, **LOCKSTEP))
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 2


async def test_a_connection_that_has_brought_a_mail_to_its_end_does_not_count_as_in_vain() -> None:
    async with (
        ScriptedPeer(*DROPS) as first,
        ScriptedPeer(*READY, *SENT, NAMED[0], FIN, LISTEN) as second,
        ScriptedPeer(*DROPS) as third,
        ScriptedPeer(*DROPS) as fourth,
        ScriptedPeer(*READY, *SENT, *QUIT) as fifth,
        pool_over(first, second, third, fourth, fifth) as pool,
    ):
        results = await collect(pool.send_all([MESSAGE] * 3, **LOCKSTEP, order="input"))
        assert pool.statistics.retried == 3
    assert [result.delivery for result in results] == [Delivery.ACCEPTED, Delivery.NOT_SENT, Delivery.ACCEPTED]


async def test_connections_that_were_idle_and_have_gone_do_not_count_as_in_vain() -> None:
    # Each has had a mail before, and is gone when the run asks for the next.
    idle: tuple[Step, ...] = (*READY, *SENT, NAMED[0], FIN, LISTEN)
    async with (
        ScriptedPeer(*idle) as first,
        ScriptedPeer(*DROPS) as second,
        ScriptedPeer(*DROPS) as third,
        ScriptedPeer(*READY, *SENT, *SENT, *QUIT) as fourth,
        pool_over(first, second, third, fourth) as pool,
    ):
        assert (await pool.send(MESSAGE, **LOCKSTEP)).delivery is Delivery.ACCEPTED
        results = await collect(pool.send_all([MESSAGE] * 3, **LOCKSTEP, order="input"))
        assert pool.statistics.opened == 4
    assert [result.delivery for result in results] == [Delivery.NOT_SENT, Delivery.ACCEPTED, Delivery.ACCEPTED]


async def test_a_run_that_was_closed_before_it_began_has_nothing_to_give() -> None:
    pool = SMTPPool("smtp://localhost")
    await check_closed_at_once(pool.send_all([MESSAGE], **ENVELOPE))
    await pool.close()


@pytest.mark.parametrize("after", range(6))
async def test_who_waits_for_a_result_goes_on_when_a_run_is_closed_whatever_it_waits_for(after: int) -> None:
    async def silence() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield MESSAGE

    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server)) as pool:
        run = pool.send_all(silence(), **ENVELOPE)
        waiting = asyncio.ensure_future(collect(run))
        await turns(after)
        await run.aclose()
        assert await waiting == []


async def test_a_feed_that_was_cancelled_before_it_began_has_not_come_to_its_end() -> None:
    async def silence() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield MESSAGE

    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server)) as pool:
        run = pool.send_all(silence(), **ENVELOPE)
        before = asyncio.all_tasks()
        waiting = asyncio.ensure_future(collect(run))
        await turns(1)
        for feeder in asyncio.all_tasks() - before - {waiting}:
            feeder.cancel()
        with pytest.raises(SourceFailed, match="has not come to its end") as caught:
            await waiting
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_a_run_that_begins_when_the_pool_is_closed_is_refused_once() -> None:
    pool = SMTPPool("smtp://localhost")
    await pool.close()
    run = pool.send_all([MESSAGE], **ENVELOPE)
    with pytest.raises(LocalProtocolError, match="closed"):
        await anext(run)
    with pytest.raises(StopAsyncIteration):
        await anext(run)
    assert run.remaining == ()


async def test_two_connections_in_vain_are_not_enough_to_leave_a_server_alone() -> None:
    async with (
        ScriptedPeer(*DROPS) as first,
        ScriptedPeer(*DROPS) as second,
        ScriptedPeer(*READY, *SENT, *QUIT) as third,
        pool_over(first, second, third) as pool,
    ):
        results = await collect(pool.send_all([MESSAGE] * 2, **LOCKSTEP, order="input"))
    assert [result.delivery for result in results] == [Delivery.NOT_SENT, Delivery.ACCEPTED]


async def test_a_mail_that_was_begun_when_the_pool_was_cut_is_told_of_its_connection() -> None:
    async with ScriptedPeer(*NAMED_SECOND, lenient=True, guard=None) as peer:
        pool = pool_over(peer)
        run = pool.send_all([MESSAGE] * 3, **LOCKSTEP, order="input")
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        waiting = asyncio.ensure_future(collect(run))
        await drain_events()
        pool.abort()
        results = await waiting
        await pool.close()
    assert [result.delivery for result in results] == [Delivery.NOT_SENT] * 2
    assert [type(result.error) for result in results] == [ConnectionLost, LocalProtocolError]


async def test_a_mail_that_needs_another_session_is_given_another_connection() -> None:
    other = (NAMED[0], "S: 250 a", "C: RCPT TO:<b@example.com>", "S: 250 b", "C: DATA", "S: 354 go", MAIL_DATA)
    limited = extensions("LIMITS RCPTDOMAINMAX=1")
    async with (
        ScriptedPeer(*limited, *SENT, *QUIT) as first,
        ScriptedPeer(*limited, *other, "S: 250 taken", *QUIT) as second,
        pool_over(first, second) as pool,
    ):
        mails = [Mailing(MESSAGE, sender="a@example.org", recipients=f"b@example.{top}") for top in ("org", "com")]
        results = await collect(pool.send_all(mails))
        assert (pool.statistics.opened, pool.statistics.reused) == (2, 0)
    assert [result.delivery for result in results] == [Delivery.ACCEPTED] * 2


async def test_a_run_that_made_do_with_fewer_connections_has_one_more_for_each_that_could_be_opened() -> None:
    count, goes_on = 0, asyncio.Event()
    async with MailServer(ACCOUNTS) as server:

        async def connect() -> socket.socket:
            nonlocal count
            count += 1
            if count <= 2:
                raise ConnectionRefusedError("not yet")
            if count > 3:
                await goes_on.wait()
            return await connected(server)

        async with SMTPPool(Endpoint("localhost", tls="none", connect=connect), max_connections=3) as pool:
            gate = Gate()
            waiting = asyncio.ensure_future(collect(pool.send_all(map(gate.message, range(6)), **ENVELOPE)))
            await until(lambda: count == 4)
            goes_on.set()
            await until(lambda: (count, pool.statistics.in_use) == (5, 3))
            gate.open()
            assert [result.delivery for result in await waiting] == [Delivery.ACCEPTED] * 6


async def test_a_run_makes_do_with_as_many_connections_as_it_has_where_one_more_cannot_be_opened() -> None:
    async with MailServer(ACCOUNTS) as server:
        way, fed = Way(server, refused=3), Fed()
        async with SMTPPool(Endpoint("localhost", tls="none", connect=way.connect), max_connections=5) as pool:
            running = asyncio.ensure_future(collect(pool.send_all(fed.messages(), **ENVELOPE)))
            first, second, third = Gate(), Gate(), Gate()
            await fed.give(numbered(0))
            await until(lambda: subjects(server) == [0] and pool.statistics.idle == 1)
            await fed.give(first.message(1), second.message(2))
            await until(lambda: first.begun + second.begun == 2)
            await fed.give(numbered(3))
            await until(lambda: (way.count, pool.statistics.in_use) == (3, 2))
            first.open()
            await until(lambda: subjects(server) == [0, 1, 3])
            await fed.give(third.message(4), numbered(5))
            await until(lambda: third.begun == 1)  # beside the one that is held up
            await drain_events()
            assert (way.count, subjects(server)) == (3, [0, 1, 3])
            for gate in (second, third):
                gate.open()
            await fed.give(None)
            assert [result.delivery for result in await running] == [Delivery.ACCEPTED] * 6


async def test_a_run_has_one_connection_more_than_it_had_where_one_could_be_opened_and_another_not() -> None:
    async with MailServer(ACCOUNTS) as server:
        way, fed, gates = Way(server, refused=3), Fed(), [Gate() for _ in range(5)]
        # Without PIPELINING a connection has one mail at a time, and leaves the next one to another.
        endpoint = Endpoint("localhost", tls="none", connect=way.connect, ignored_extensions=("PIPELINING",))
        async with SMTPPool(endpoint, max_connections=6) as pool:
            running = asyncio.ensure_future(collect(pool.send_all(fed.messages(), **ENVELOPE)))
            await fed.give(numbered(0))
            await until(lambda: subjects(server) == [0] and pool.statistics.idle == 1)
            await fed.give(gates[0].message(1), gates[1].message(2))
            await until(lambda: gates[0].begun + gates[1].begun == 2)
            await fed.give(gates[2].message(3), gates[3].message(4))
            await until(lambda: gates[2].begun + gates[3].begun == 1)
            await drain_events()
            await fed.give(*(gates[4].message(number) for number in (5, 6, 7)))
            assert (way.count, pool.statistics.in_use) == (4, 3)
            for gate in gates[2:]:
                gate.open()
            await until(lambda: sorted(subjects(server)) == [0, *range(3, 8)] and pool.statistics.in_use == 2)
            await fed.give(numbered(8))
            await until(lambda: sorted(subjects(server)) == [0, *range(3, 9)])
            assert way.count == 4
            for gate in gates[:2]:
                gate.open()
            await fed.give(None)
            assert [result.delivery for result in await running] == [Delivery.ACCEPTED] * 9


async def test_a_mail_that_is_taken_shows_that_others_may_be_where_connections_were_in_vain() -> None:
    first_opens, count, gate = asyncio.Event(), 0, Gate()
    async with (
        MailServer(ACCOUNTS) as server,
        ScriptedPeer(*DROPS) as second,
        ScriptedPeer(*DROPS) as third,
        ScriptedPeer(*DROPS) as fourth,
    ):
        dropping = in_turn(second, third, fourth)

        async def connect() -> socket.socket:
            nonlocal count
            count += 1
            if count in (2, 3, 4):
                return await dropping()
            if count == 1:
                await first_opens.wait()
            return await connected(server)

        endpoint = Endpoint("localhost", tls="none", connect=connect)
        async with SMTPPool(endpoint, max_connections=2) as pool:
            mails: list[Any] = [gate.message(0), *map(numbered, range(1, 4))]  # the third goes behind the first
            running = asyncio.ensure_future(collect(pool.send_all(mails, **ENVELOPE, order="input")))
            await until(lambda: (count, pool.statistics.in_use) == (4, 1))  # three in a row were in vain
            first_opens.set()
            await until(lambda: gate.begun == 1)
            await drain_events()
            assert count == 4  # that it could be opened says little
            gate.open()
            expected = [Delivery.ACCEPTED, Delivery.NOT_SENT, *[Delivery.ACCEPTED] * 2]
            assert [result.delivery for result in await running] == expected


async def test_a_connection_whose_opening_was_cancelled_by_nobody_of_ours_is_one_that_cannot_be_opened() -> None:
    asked = 0

    async def connect() -> socket.socket:
        nonlocal asked
        asked += 1
        raise asyncio.CancelledError

    async with SMTPPool(Endpoint("localhost", tls="none", connect=connect), max_connections=1) as pool:
        async with pool.send_all([MESSAGE] * 3, **ENVELOPE) as results:
            taken = [result async for result in results]
        assert [(result.delivery, type(result.error)) for result in taken] == [
            (Delivery.NOT_SENT, ConnectionFailed)
        ] * 3
        assert asked == 1


class Fed:
    """Messages that a run is given one by one."""

    def __init__(self) -> None:
        self._given: asyncio.Queue[bytes | AsyncIterator[bytes] | None] = asyncio.Queue()

    async def messages(self) -> AsyncIterator[bytes | AsyncIterator[bytes]]:
        while (message := await self._given.get()) is not None:
            yield message

    async def give(self, *more: bytes | AsyncIterator[bytes] | None) -> None:
        """Give some more; None is the end."""
        for message in more:
            self._given.put_nowait(message)
        await drain_events()

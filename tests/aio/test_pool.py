"""The pool: how many connections there are, who gets one, and what becomes of them."""

import asyncio
import gc
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Final

import pytest

import mailwire
from mailwire import (
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    DeadlineExceeded,
    Delivery,
    Endpoint,
    InvalidMessage,
    LocalProtocolError,
    Mailing,
    MailwireError,
    PoolStatistics,
    Receipt,
    RecipientsRefused,
    RemoteProtocolError,
    ReplyError,
    SenderRefused,
    SendResult,
    SMTPPool,
    SourceFailed,
    Timeouts,
    TLSFailed,
)
from mailwire.aio.pool_opening import PoolOpening
from mailwire.message.generation import generate
from mailwire.testing import (
    FIN,
    LISTEN,
    STALL,
    WAIT,
    Account,
    Answers,
    MailServer,
    Policy,
    ScriptedPeer,
    Step,
    authority_file,
    server_context,
)
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import MAILED, MESSAGE, QUIT, READY, SENT, SMTP_ANSWERS, extensions
from tests.aio.pools import (
    ACCOUNTS,
    ENVELOPE,
    Gate,
    beside_event_loops,
    endpoint_of,
    in_turn,
    mails_of,
    numbered,
    subjects,
    until,
)
from tests.clock import Clock

NONE = PoolStatistics(in_use=0, idle=0, leaving=0, waiting=0, opened=0, reused=0, retried=0)


async def watch(server: MailServer, pool: SMTPPool) -> int:
    """Return the most connections that there were at once, once cancelled."""
    most = 0
    try:
        while True:
            now = pool.statistics
            live = sum(not session.closing for session in server.smtp_sessions)
            most = max(most, live, now.in_use + now.idle + now.leaving)
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        return most


# The cap and the queue


@pytest.mark.parametrize("cap", [1, 2, 7])
async def test_there_are_never_more_connections_than_the_cap(cap: int) -> None:
    async with MailServer(ACCOUNTS) as server:
        async with SMTPPool(endpoint_of(server), max_connections=cap, max_messages_per_connection=3) as pool:
            watching = asyncio.create_task(watch(server, pool))
            receipts = await asyncio.gather(*(pool.send(numbered(number), **ENVELOPE) for number in range(50)))
        watching.cancel()
        assert await watching == cap
    assert {receipt.delivery for receipt in receipts} == {Delivery.ACCEPTED}
    assert sorted(subjects(server)) == list(range(50))
    assert max(mails_of(server)) <= 3
    assert all(session.commands[-1] == b"QUIT" for session in server.smtp_sessions)


def test_connections_that_an_event_loop_has_left_are_replaced_in_the_next_one() -> None:
    with beside_event_loops() as server:
        pool = SMTPPool(endpoint_of(server), max_connections=2)

        async def send_six() -> None:
            receipts = await asyncio.gather(*(pool.send(numbered(number), **ENVELOPE) for number in range(6)))
            assert {receipt.delivery for receipt in receipts} == {Delivery.ACCEPTED}

        async def leave_a_run() -> None:
            await anext(pool.send_all(map(numbered, range(100)), **ENVELOPE))

        async def send_six_more() -> None:
            await send_six()
            await pool.close()

        for run in (send_six, send_six, leave_a_run, send_six_more):
            asyncio.run(run())
        gc.collect()
        assert pool.statistics.in_use == pool.statistics.idle == 0
        counts = Counter(subjects(server))
        assert [counts[number] >= 3 for number in range(6)] == [True] * 6


def test_a_rate_that_an_event_loop_was_left_with_goes_on_in_the_next_one() -> None:
    with beside_event_loops() as server:
        pool = SMTPPool(endpoint_of(server), rate_limit=20)

        async def leave_it_waiting() -> None:
            await pool.send(numbered(0), **ENVELOPE)
            waiting = asyncio.ensure_future(pool.send(numbered(1), **ENVELOPE))
            await drain_events()
            assert pool.statistics.waiting == 1
            waiting.cancel()

        async def send_two() -> None:
            async with pool:
                await asyncio.gather(*(pool.send(numbered(number), **ENVELOPE) for number in (2, 3)))

        asyncio.run(leave_it_waiting())
        asyncio.run(send_two())
        assert subjects(server) == [0, 2, 3]
        gc.collect()


@pytest.mark.asyncio
async def test_a_connection_is_given_back_though_there_is_no_memory_to_take_note_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:

        def fail(*_: object) -> None:
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(PoolOpening, "take_note", fail)
            with pytest.raises(MemoryError):
                await pool.send(numbered(0), **ENVELOPE)
        assert pool.statistics.in_use == 0
        await pool.send(numbered(1), **ENVELOPE)
        assert subjects(server) == [1]


def test_what_is_idle_too_long_is_closed_in_the_next_event_loop_as_well() -> None:
    with beside_event_loops() as server:
        pool = SMTPPool(endpoint_of(server), max_idle=0.01)

        async def send() -> None:
            await pool.send(numbered(0), **ENVELOPE)
            assert pool.statistics.idle == 1

        async def send_and_wait() -> None:
            await send()
            await asyncio.sleep(0.05)  # for the timer, and QUIT
            assert pool.statistics.idle == 0
            await pool.close()

        asyncio.run(send())
        asyncio.run(send_and_wait())
        assert server.smtp_sessions[-1].commands[-1] == b"QUIT"
        gc.collect()


def test_what_is_idle_too_long_is_closed_though_the_event_loop_before_is_open() -> None:
    with beside_event_loops() as server:
        pool = SMTPPool(endpoint_of(server), max_idle=0.2, max_messages_per_connection=2)

        async def send_two() -> None:
            # Behind the first one, there is a timer; the second one was the last for its connection.
            await pool.send(numbered(0), **ENVELOPE)
            await pool.send(numbered(1), **ENVELOPE)
            await until(lambda: pool.statistics.leaving == 0)

        async def send_and_wait() -> None:
            await pool.send(numbered(2), **ENVELOPE)
            assert pool.statistics.idle == 1
            await asyncio.sleep(0.5)  # for the timer, and QUIT
            assert pool.statistics.idle == 0
            await pool.close()

        before = asyncio.new_event_loop()
        before.run_until_complete(send_two())
        asyncio.run(send_and_wait())
        before.close()
        assert subjects(server) == [0, 1, 2]
        assert server.smtp_sessions[-1].commands[-1] == b"QUIT"
        gc.collect()


POOL_CALLS: dict[str, Callable[[SMTPPool], Coroutine[Any, Any, object]]] = {
    "send": lambda pool: pool.send(numbered(9), **ENVELOPE),
    "send_all": lambda pool: take(pool.send_all([numbered(9)], **ENVELOPE)),
    "close": lambda pool: pool.close(),
    "async with": lambda pool: pool.__aenter__(),
}


async def take(results: AsyncIterator[SendResult]) -> SendResult:
    return await anext(results)


def refuse(runner: asyncio.Runner, call: Coroutine[Any, Any, object]) -> LocalProtocolError:
    with pytest.raises(LocalProtocolError) as caught:
        runner.run(call)
    assert str(caught.value) == "the pool is in use in another event loop: make another pool for this one"
    return caught.value


@pytest.mark.parametrize("call", POOL_CALLS)
@pytest.mark.parametrize("what", ["idle", "leaving", "sending"])
def test_a_pool_that_an_event_loop_uses_is_refused_to_another(what: str, call: str) -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        pool = SMTPPool(endpoint_of(server), max_messages_per_connection=1 if what == "leaving" else None)
        gate = Gate()

        async def begin() -> "asyncio.Task[Receipt]":
            sending = gate.send(pool)
            if what != "sending":
                gate.open()
                await sending
            else:
                await drain_events()
            return sending

        async def end(sending: "asyncio.Task[Receipt]") -> None:
            gate.open()
            await sending
            await pool.send(numbered(1), **ENVELOPE)
            await pool.close()

        sending = home.run(begin())
        before = pool.statistics
        assert (before.idle, before.leaving, before.in_use) == {
            "idle": (1, 0, 0),
            "leaving": (0, 1, 0),
            "sending": (0, 0, 1),
        }[what]
        error = refuse(elsewhere, POOL_CALLS[call](pool))
        assert error.delivery is (Delivery.NOT_SENT if call == "send" else None)
        assert pool.statistics == before
        home.run(end(sending))
        assert subjects(server) == [0, 1]


def test_a_pool_that_has_nothing_any_more_can_be_used_in_another_event_loop() -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        pool = SMTPPool(endpoint_of(server), max_messages_per_connection=1)

        async def send(number: int) -> None:
            await pool.send(numbered(number), **ENVELOPE)
            await pool._connections.settled()

        home.run(send(0))
        elsewhere.run(send(1))
        home.run(send(2))
        home.run(pool.close())
        assert subjects(server) == [0, 1, 2]


def test_a_run_of_a_pool_is_not_gone_on_with_in_another_event_loop() -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        pool = SMTPPool(endpoint_of(server), max_connections=1)
        results = pool.send_all(map(numbered, range(3)), look_ahead=1, **ENVELOPE)
        assert home.run(take(results)).index == 0
        refuse(elsewhere, take(results))
        lanes = tuple(results._lanes)
        assert [home.run(take(results)).index for _ in range(2)] == [1, 2]
        assert not any(lane.cancelled() for lane in lanes)
        home.run(results.aclose())
        elsewhere.run(results.aclose())
        home.run(pool.close())
        assert subjects(server) == [0, 1, 2]


def test_a_run_of_a_pool_is_not_ended_in_another_event_loop() -> None:
    with beside_event_loops() as server, asyncio.Runner() as home, asyncio.Runner() as elsewhere:
        pool = SMTPPool(endpoint_of(server), max_connections=1)
        gate = Gate()
        results = pool.send_all([numbered(0), gate.message(1)], **ENVELOPE)

        async def begin() -> None:
            await take(results)
            await drain_events()

        async def end() -> None:
            gate.open()
            assert (await take(results)).delivery is Delivery.ACCEPTED
            await results.aclose()
            await pool.close()

        home.run(begin())
        assert gate.begun == 1
        refuse(elsewhere, results.aclose())
        home.run(end())
        assert subjects(server) == [0, 1]


NOISY: Final = {"MAIL": "250 ok\r\n250 nobody has asked"}


@pytest.mark.parametrize(
    ("way", "is_accepted", "answers"),
    [("send", False, NOISY), ("send_all", False, NOISY), ("send", True, {}), ("send_all", True, {})],
)
async def test_a_connection_that_was_cut_is_closed_before_another_takes_its_place(
    way: str, is_accepted: bool, answers: dict[str, str]
) -> None:
    ends: list[socket.socket] = []
    open_then: list[int] = []
    answers = {"EHLO": "250-PIPELINING\r\n250 ok", "DATA": "354 go", **answers}

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        mails = 0
        with suppress(ConnectionError):
            while line := await reader.readline():
                mails += line.startswith(b"MAIL")
                if mails > 3:
                    writer.write(b"421 no more of them\r\n")
                    break
                writer.write(answers.get(line[:4].decode(), "250 ok").encode() + b"\r\n")
                if line.startswith(b"DATA"):
                    await reader.readuntil(b"\r\n.\r\n")
                    writer.write(b"250 ok\r\n")
        writer.close()

    async def connect() -> socket.socket:
        end = socket.socket()
        end.setblocking(False)
        ends.append(end)
        open_then.append(sum(each.fileno() != -1 for each in ends))
        await asyncio.get_running_loop().sock_connect(end, listener.sockets[0].getsockname())
        return end

    async with (
        await asyncio.start_server(greet, "127.0.0.1", 0) as listener,
        SMTPPool(Endpoint("127.0.0.1", 25, tls="none", connect=connect), max_connections=2) as pool,
    ):
        errors: list[object]
        if way == "send":
            sending = [pool.send(numbered(number), **ENVELOPE) for number in range(20)]
            errors = await asyncio.gather(*sending, return_exceptions=True)
        else:
            errors = [result.error async for result in pool.send_all(map(numbered, range(20)), **ENVELOPE)]
    if is_accepted:
        errors = [error for error in errors if isinstance(error, MailwireError)]
    assert all(isinstance(error, MailwireError) and error.delivery is Delivery.NOT_SENT for error in errors)
    assert bool(errors) is not is_accepted
    assert len(open_then) > 2
    assert max(open_then) == 2


async def test_who_comes_first_is_served_first() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        first = gate.send(pool)
        await drain_events()
        others = [asyncio.ensure_future(pool.send(numbered(number), **ENVELOPE)) for number in range(1, 20)]
        await drain_events()
        assert pool.statistics.waiting == 19
        gate.open()
        await asyncio.gather(first, *others)
        assert pool.statistics == PoolStatistics(in_use=0, idle=1, leaving=0, waiting=0, opened=1, reused=19, retried=0)
    assert subjects(server) == list(range(20))


@pytest.mark.parametrize("when", ["waiting", "together"])
async def test_who_gives_up_waiting_leaves_no_hole(when: str) -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        first = gate.send(pool)
        await drain_events()
        others = [asyncio.ensure_future(pool.send(numbered(number), **ENVELOPE)) for number in range(1, 6)]
        await drain_events()
        if when == "waiting":
            for other in others[::2]:
                other.cancel()
        else:
            first.cancel()
            others[0].cancel()
        gate.open()
        await asyncio.wait([first, *others])
        await drain_events()
        assert pool.statistics.waiting == pool.statistics.in_use == 0
        await pool.send(numbered(9), **ENVELOPE)
    left = [other for other in others if not other.cancelled()]
    assert len(left) == {"waiting": 2, "together": 4}[when]
    assert subjects(server)[-1 - len(left) : -1] == [number + 1 for number in range(5) if others[number] in left]


async def send_in_a_run(pool: SMTPPool, message: bytes) -> None:
    async for result in pool.send_all([message], **ENVELOPE):
        result.raise_error()


async def send_alone(pool: SMTPPool, message: bytes) -> None:
    await pool.send(message, **ENVELOPE)


@pytest.mark.parametrize("way", [send_alone, send_in_a_run])
@pytest.mark.parametrize("cap", [1, 3])
async def test_a_source_that_waits_for_what_only_it_can_free_is_told_so(
    cap: int, way: Callable[[SMTPPool, bytes], Awaitable[None]]
) -> None:
    told: list[LocalProtocolError] = []
    begun = asyncio.Barrier(cap)

    async def source(pool: SMTPPool, number: int) -> AsyncIterator[bytes]:
        yield b"Subject: %d\r\n" % number
        await begun.wait()  # by then every connection is held up
        try:
            await way(pool, numbered(number + 10))
        except LocalProtocolError as error:
            told.append(error)
        yield b"\r\nhello\r\n"

    async with MailServer(accounts=ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=cap) as pool:
        await asyncio.gather(*(pool.send(source(pool, number), **ENVELOPE) for number in range(cap)))
    # The last that would have waited is told; so its mail goes on, and sets free what the others wait for.
    assert [str(error) for error in told] == [
        "the sources of all messages that are being sent wait for a connection of this pool, which has no more"
    ]
    assert told[0].delivery is Delivery.NOT_SENT
    assert len(subjects(server)) == 2 * cap - 1


@pytest.mark.parametrize("way", [send_alone, send_in_a_run])
async def test_a_source_that_closes_the_pool_that_waits_for_it_is_told_so(
    way: Callable[[SMTPPool, Any], Awaitable[None]],
) -> None:
    told = "^the source of a message waits for the pool to close, which waits for the message$"

    async def source(pool: SMTPPool) -> AsyncIterator[bytes]:
        yield b"Subject: 1\r\n"
        with pytest.raises(LocalProtocolError, match=told):
            await pool.close()
        yield b"\r\nhello\r\n"

    async with MailServer(accounts=ACCOUNTS) as server, SMTPPool(endpoint_of(server)) as pool:
        await way(pool, source(pool))
        await way(pool, numbered(2))  # nothing was closed
    assert subjects(server) == [1, 2]


async def test_nobody_waits_with_what_cannot_be_sent(tmp_path: Path) -> None:
    gate = Gate()
    async with MailServer(accounts=ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        held = gate.send(pool)
        await turns(40)
        with pytest.raises(SourceFailed) as caught:
            await pool.send(tmp_path / "not there", **ENVELOPE)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert not held.done()
        gate.open()
        await held


async def test_a_source_may_wait_for_a_connection_that_others_use() -> None:
    gate = Gate()

    async def source(pool: SMTPPool) -> AsyncIterator[bytes]:
        yield b"Subject: 1\r\n"
        asyncio.get_running_loop().call_soon(gate.open)
        await pool.send(numbered(2), **ENVELOPE)
        yield b"\r\nhello\r\n"

    async with MailServer(accounts=ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        held = gate.send(pool)
        await turns(40)
        await pool.send(source(pool), **ENVELOPE)
        await held
    assert sorted(subjects(server)) == [0, 1, 2]


async def test_mails_wait_for_nobody_where_there_is_room() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=2) as pool:
        first = gate.send(pool)
        await drain_events()
        await pool.send(numbered(1), **ENVELOPE)
        assert not first.done()
        gate.open()
        await first
    assert subjects(server) == [1, 0]


async def test_what_cannot_be_sent_waits_for_nobody_and_nobody_is_connected_to() -> None:
    message = Message()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "x\nBcc: c@example.org"
    async with SMTPPool("smtp://nobody.invalid") as pool:
        with pytest.raises(InvalidMessage) as caught:
            await pool.send(message)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert caught.value.receipt is not None
        with pytest.raises(InvalidMessage) as caught:
            await pool.send(MESSAGE)
        assert (caught.value.delivery, caught.value.receipt) == (Delivery.NOT_SENT, None)
        with pytest.raises(ValueError, match="on_refused"):
            await pool.send(MESSAGE, on_refused="nonsense", **ENVELOPE)  # type: ignore[arg-type]
        assert pool.statistics == NONE


# Reuse


async def test_a_connection_is_used_again_for_the_next_mail() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server)) as pool:
        for number in range(5):
            await pool.send(numbered(number), **ENVELOPE)
        assert (pool.statistics.opened, pool.statistics.reused) == (1, 4)
    assert subjects(server) == list(range(5))


async def test_a_connection_is_used_again_behind_a_refusal() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        with pytest.raises(RecipientsRefused):
            await pool.send(MESSAGE, sender="a@example.org", recipients="nobody@example.org")
        await pool.send(numbered(1), **ENVELOPE)
        assert pool.statistics.opened == 1


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_connection_has_no_more_mails_than_it_may(limit: int) -> None:
    async with (
        MailServer(ACCOUNTS) as server,
        SMTPPool(endpoint_of(server), max_connections=1, max_messages_per_connection=limit) as pool,
    ):
        for number in range(6):
            await pool.send(numbered(number), **ENVELOPE)
        await pool.close()
    assert mails_of(server) == [limit] * (6 // limit)
    assert all(session.commands[-1] == b"QUIT" for session in server.smtp_sessions)


@pytest.mark.parametrize("limit", [None, 2, 50])
async def test_a_server_that_announces_mailmax_has_its_way(limit: int | None) -> None:
    policy = Policy(message_limit=3)
    async with (
        MailServer(ACCOUNTS, policy=policy) as server,
        SMTPPool(endpoint_of(server), max_connections=2, max_messages_per_connection=limit) as pool,
    ):
        receipts = await asyncio.gather(*(pool.send(numbered(number), **ENVELOPE) for number in range(12)))
        assert pool.statistics.opened == len(server.smtp_sessions)
    assert {receipt.delivery for receipt in receipts} == {Delivery.ACCEPTED}
    assert max(mails_of(server)) == min(3, limit or 3)


async def test_a_session_that_a_mail_needs_in_its_middle_counts_as_opened_and_has_its_own_age() -> None:
    clock = Clock()
    policy = Policy(message_limit=2, recipient_limit=1)
    async with (
        MailServer(ACCOUNTS, policy=policy) as server,
        SMTPPool(endpoint_of(server), max_connections=1, max_idle=None, max_lifetime=20) as pool,
    ):
        await pool.send(numbered(1), **ENVELOPE)
        await clock.advance(15)
        both = {**ENVELOPE, "recipients": ["b@example.org", "c@example.org"]}
        await pool.send(numbered(2), **both)
        assert (pool.statistics.opened, pool.statistics.reused) == (2, 1)
        await clock.advance(15)
        assert pool.statistics.idle == 1
        await pool.send(numbered(3), **ENVELOPE)
        assert (pool.statistics.opened, pool.statistics.reused) == (2, 2)
    assert mails_of(server) == [2, 2]


async def test_what_a_server_says_wrong_ends_its_connection_and_the_next_mail_has_another() -> None:
    async with (
        ScriptedPeer(*READY, "C: MAIL FROM:<a@example.org>", "S: nonsense", lenient=True) as bad,
        ScriptedPeer(*READY, *SENT, *QUIT) as good,
        SMTPPool(bad.endpoint(connect=in_turn(bad, good)), max_connections=1) as pool,
    ):
        with pytest.raises(RemoteProtocolError):
            await pool.send(MESSAGE, **ENVELOPE)
        await pool.send(MESSAGE, **ENVELOPE)
        assert pool.statistics.opened == 2


# What has become stale


@pytest.mark.parametrize("leave", [(FIN,), ("S: 421 idle for too long", FIN), ("S: 421 idle",), ("S: 250 what",)])
async def test_a_connection_that_the_server_has_closed_is_not_used(leave: tuple[Step, ...]) -> None:
    async with (
        ScriptedPeer(*READY, *SENT, *leave, lenient=True) as stale,
        ScriptedPeer(*READY, *SENT, *QUIT) as good,
        SMTPPool(stale.endpoint(connect=in_turn(stale, good))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        await drain_events()
        receipt = await pool.send(MESSAGE, **ENVELOPE)
        assert receipt.delivery is Delivery.ACCEPTED
        assert (pool.statistics.opened, pool.statistics.retried) == (2, 0)
    assert b"MAIL" not in bytes(stale.heard).partition(b"\r\n.\r\n")[2]


async def test_a_connection_that_goes_while_a_message_is_generated_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    message = mailwire.compose(sender="a@example.org", to="b@example.org", text="hello\n" * 200_000)
    loop = asyncio.get_running_loop()
    async with (
        ScriptedPeer(*READY, *SENT, WAIT, FIN) as stale,
        ScriptedPeer(*READY, *SENT, *QUIT) as good,
        SMTPPool(stale.endpoint(connect=in_turn(stale, good))) as pool,
    ):

        async def let_it_go() -> None:
            stale.go_on()
            await stale.rest()

        def generated(*arguments: Any, **settings: Any) -> object:
            # In a thread: the message is large.
            asyncio.run_coroutine_threadsafe(let_it_go(), loop).result(10)
            return generate(*arguments, **settings)

        await pool.send(MESSAGE, **ENVELOPE)
        with monkeypatch.context() as patch:
            patch.setattr("mailwire.message.content.generate", generated)
            receipt = await pool.send(message)
        assert receipt.delivery is Delivery.ACCEPTED
        assert (pool.statistics.opened, pool.statistics.retried) == (2, 1)


async def test_a_mail_that_finds_its_connection_closed_is_given_another() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, "C: MAIL FROM:<a@example.org>", FIN, lenient=True) as stale,
        ScriptedPeer(*READY, *SENT, *QUIT) as good,
        SMTPPool(stale.endpoint(connect=in_turn(stale, good))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        receipt = await pool.send(MESSAGE, **ENVELOPE)
        assert receipt.delivery is Delivery.ACCEPTED
        assert (pool.statistics.opened, pool.statistics.reused, pool.statistics.retried) == (2, 1, 1)


async def test_it_goes_over_the_other_one_as_it_was_wished() -> None:
    async with (
        ScriptedPeer(*extensions("CHUNKING"), *SENT, "C: MAIL FROM:<a@example.org>", FIN, lenient=True) as stale,
        ScriptedPeer(*extensions("CHUNKING"), *SENT, *QUIT) as good,
        SMTPPool(stale.endpoint(connect=in_turn(stale, good))) as pool,
    ):
        for _ in range(2):
            receipt = await pool.send(MESSAGE, **ENVELOPE, use_chunking=False)
            assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize(
    ("answer", "error"), [(("S: 421 4.7.0 too many mails", FIN), SenderRefused), ((FIN,), ConnectionLost)]
)
async def test_a_mail_whose_source_was_begun_in_vain_tells_why(
    answer: tuple[Step, ...], error: type[SenderRefused | ConnectionLost]
) -> None:
    is_begun = False

    async def source() -> AsyncIterator[bytes]:
        nonlocal is_begun
        is_begun = True
        yield MESSAGE
        await asyncio.Event().wait()

    async with (
        ScriptedPeer(
            *extensions("PIPELINING", "CHUNKING"), *SENT, "C: MAIL ...", WAIT, *answer, LISTEN, lenient=True
        ) as stale,
        ScriptedPeer(*READY, lenient=True, optional=True) as other,
        SMTPPool(stale.endpoint(connect=in_turn(stale, other))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE, use_chunking=False)
        sending = asyncio.ensure_future(pool.send(source(), **ENVELOPE, use_chunking="eager"))
        await drain_events()
        assert is_begun
        stale.go_on()
        with pytest.raises(error) as caught:
            await sending
        assert caught.value.delivery in (Delivery.REFUSED, Delivery.NOT_SENT)
        assert (pool.statistics.opened, pool.statistics.retried) == (1, 0)


async def test_a_mail_whose_end_left_eagerly_is_in_doubt_on_a_connection_that_is_gone() -> None:
    async with (
        ScriptedPeer(*extensions("PIPELINING", "CHUNKING"), *SENT, "C: MAIL ...", FIN, LISTEN, lenient=True) as stale,
        SMTPPool(stale.endpoint(connect=in_turn(stale))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE, use_chunking=False)
        with pytest.raises(ConnectionLost) as caught:
            await pool.send(MESSAGE, **ENVELOPE, use_chunking="eager")
        assert (caught.value.delivery, pool.statistics.retried) == (Delivery.UNKNOWN, 0)


async def test_an_attempt_that_never_began_is_not_told_of_by_an_earlier_one() -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        mailing = Mailing(MESSAGE, **ENVELOPE)
        receipt = await pool.send(mailing)
        assert mailing.last_receipt == receipt
        gate = Gate()
        held = gate.send(pool)
        await drain_events()
        waiting = asyncio.ensure_future(pool.send(mailing))
        await drain_events()
        assert pool.statistics.waiting == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        assert mailing.last_receipt is None
        gate.open()
        await held


@pytest.mark.parametrize("use_chunking", [None, False, True])
@pytest.mark.parametrize("end", [(), (FIN,)])
async def test_a_mail_to_which_the_server_takes_its_leave_is_given_another_connection(
    use_chunking: Any, end: tuple[Step, ...]
) -> None:
    # Some servers limit the mails of a connection and do not announce it; or the time of a connection has just run out.
    leave: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "S: 421 4.7.0 too many mails", *end)
    async with (
        ScriptedPeer(*READY, *SENT, *leave, lenient=True) as limited,
        ScriptedPeer(*READY, *SENT, *QUIT) as good,
        SMTPPool(limited.endpoint(connect=in_turn(limited, good))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        mailing = Mailing(MESSAGE, **ENVELOPE, use_chunking=use_chunking)
        receipt = await pool.send(mailing)
        assert receipt.delivery is Delivery.ACCEPTED
        assert mailing.last_receipt == receipt
        assert (pool.statistics.opened, pool.statistics.reused, pool.statistics.retried) == (2, 1, 1)


async def test_a_mail_to_which_a_new_connection_takes_its_leave_is_refused() -> None:
    leave: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "S: 421 4.7.0 too many mails", FIN)
    async with (
        ScriptedPeer(*READY, *SENT, *leave, lenient=True) as limited,
        ScriptedPeer(*READY, *leave, lenient=True) as too,
        SMTPPool(limited.endpoint(connect=in_turn(limited, too))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        with pytest.raises(SenderRefused) as caught:
            await pool.send(MESSAGE, **ENVELOPE)
        assert caught.value.delivery is Delivery.REFUSED
        assert pool.statistics.retried == 1


async def test_a_mail_that_is_handed_a_connection_that_closes_is_given_another() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, FIN, lenient=True) as stale,
        ScriptedPeer(*READY, *SENT, *SENT, *QUIT) as good,
        SMTPPool(stale.endpoint(connect=in_turn(stale, good)), max_connections=1) as pool,
    ):
        receipts = await asyncio.gather(*(pool.send(MESSAGE, **ENVELOPE) for _ in range(3)))
        assert {receipt.delivery for receipt in receipts} == {Delivery.ACCEPTED}
        assert pool.statistics.opened == 2


async def test_a_mail_is_given_another_connection_once() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, "C: MAIL FROM:<a@example.org>", FIN, lenient=True) as stale,
        ScriptedPeer(*READY, "C: MAIL FROM:<a@example.org>", FIN, lenient=True) as bad,
        SMTPPool(stale.endpoint(connect=in_turn(stale, bad))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        with pytest.raises(ConnectionLost) as caught:
            await pool.send(MESSAGE, **ENVELOPE)
        assert caught.value.delivery is Delivery.NOT_SENT
        assert pool.statistics.retried == 1


async def test_a_mail_that_finds_no_other_connection_says_so() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, "C: MAIL FROM:<a@example.org>", FIN, lenient=True) as stale,
        SMTPPool(stale.endpoint(connect=in_turn(stale))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        with pytest.raises(ConnectionFailed) as caught:
            await pool.send(MESSAGE, **ENVELOPE)
        assert caught.value.delivery is Delivery.NOT_SENT


@pytest.mark.parametrize(
    ("end", "error", "word"),
    [
        (("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", FIN), ConnectionLost, "NOT_SENT"),
        (("C: MAIL FROM:<a@example.org>", "S: 451 not you", FIN), SenderRefused, "REFUSED"),
        (
            ("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", "S: 421 bye", FIN),
            ReplyError,
            "REFUSED",
        ),
        ((*MAILED, FIN), ConnectionLost, "UNKNOWN"),
        ((*MAILED, "S: 421 bye", FIN), ReplyError, "UNKNOWN"),
        ((*MAILED, "S: 451 no", FIN), DataRefused, "REFUSED"),
    ],
)
async def test_a_mail_of_which_the_server_may_know_is_sent_once(
    end: tuple[Step, ...], error: type[Exception], word: str
) -> None:
    async with (
        ScriptedPeer(*READY, *SENT, *end, lenient=True) as stale,
        SMTPPool(stale.endpoint(connect=in_turn(stale))) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        mailing = Mailing(MESSAGE, **ENVELOPE)
        with pytest.raises(error) as caught:
            await pool.send(mailing)
        assert getattr(caught.value, "delivery", None) is Delivery[word]
        assert mailing.last_receipt is not None
        assert mailing.last_receipt.delivery is Delivery[word]
        assert pool.statistics.retried == 0


async def test_a_mail_that_loses_a_new_connection_is_not_given_another() -> None:
    async with (
        ScriptedPeer(*READY, "C: MAIL FROM:<a@example.org>", FIN, lenient=True) as bad,
        SMTPPool(bad.endpoint(connect=in_turn(bad))) as pool,
    ):
        with pytest.raises(ConnectionLost):
            await pool.send(MESSAGE, **ENVELOPE)
        assert pool.statistics.retried == 0


async def test_a_place_whose_connection_could_not_be_opened_is_free_again() -> None:
    endpoint = Endpoint("localhost", tls="none", connect=in_turn())
    async with SMTPPool(endpoint, max_connections=1) as pool:
        for _ in range(3):
            with pytest.raises(ConnectionFailed):
                await pool.send(MESSAGE, **ENVELOPE)
        assert pool.statistics == NONE


# A server that wants no more connections

ANSWERING: tuple[Step, ...] = ("S: 220 mx", Answers(SMTP_ANSWERS), LISTEN)


async def test_a_server_that_wants_no_more_connections_is_sent_to_over_those_that_there_are() -> None:
    clock = Clock()
    async with (
        ScriptedPeer(*ANSWERING, guard=None) as first,
        ScriptedPeer("S: 421 too many", FIN, guard=None) as refusing,
        ScriptedPeer(*ANSWERING, guard=None) as later,
        SMTPPool(
            first.endpoint(connect=in_turn(first, refusing, later)), max_connections=2, max_idle=None, max_lifetime=None
        ) as pool,
    ):
        gate = Gate()
        held = gate.send(pool)
        await drain_events()
        others = [asyncio.ensure_future(pool.send(MESSAGE, **ENVELOPE)) for _ in range(4)]
        await drain_events()
        assert (pool.statistics.in_use, pool.statistics.retried) == (1, 1)
        gate.open()
        await asyncio.gather(held, *others)
        assert pool.statistics.opened == 1
        # After a while it is tried again.
        await clock.advance(61)
        gate = Gate()
        held = gate.send(pool)
        await drain_events()
        await pool.send(MESSAGE, **ENVELOPE)
        assert pool.statistics.opened == 2
        gate.open()
        await held


async def test_a_server_that_wants_no_connection_at_all_has_refused() -> None:
    async with (
        ScriptedPeer("S: 421 too many", FIN, lenient=True) as refusing,
        SMTPPool(refusing.endpoint(connect=in_turn(refusing))) as pool,
    ):
        with pytest.raises(ReplyError) as caught:
            await pool.send(MESSAGE, **ENVELOPE)
        assert (caught.value.reply.code, caught.value.delivery) == (421, Delivery.NOT_SENT)
        assert caught.value.receipt is not None


async def test_a_mail_is_turned_back_once() -> None:
    async with (
        ScriptedPeer(*ANSWERING) as first,
        ScriptedPeer("S: 421 too many", FIN) as refusing,
        ScriptedPeer("S: 421 too many", FIN) as too,
        SMTPPool(first.endpoint(connect=in_turn(first, refusing, too)), max_messages_per_connection=1) as pool,
    ):
        gate = Gate()
        held = gate.send(pool)
        await drain_events()
        other = asyncio.ensure_future(pool.send(MESSAGE, **ENVELOPE))
        await drain_events()
        assert pool.statistics.waiting == 1
        gate.open()
        await held
        with pytest.raises(ReplyError):
            await other


# Time


async def test_an_idle_connection_says_quit_after_a_while() -> None:
    clock = Clock()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=3, max_idle=20) as pool:
        await asyncio.gather(*(pool.send(numbered(number), **ENVELOPE) for number in range(3)))
        await clock.advance(15)
        await pool.send(numbered(3), **ENVELOPE)
        await clock.advance(6)
        assert pool.statistics.idle == 1
        await clock.advance(15)
        assert (pool.statistics.idle, pool.statistics.leaving) == (0, 0)
        await pool.send(numbered(4), **ENVELOPE)
        assert pool.statistics.opened == 4
    assert [session.commands[-1] for session in server.smtp_sessions] == [b"QUIT"] * 4
    assert sorted(subjects(server)) == list(range(5))


async def test_a_mail_that_takes_longer_than_a_connection_may_be_idle_does_not_end_it() -> None:
    clock, gate = Clock(), Gate()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_idle=30) as pool:
        await pool.send(numbered(1), **ENVELOPE)
        await clock.advance(20)
        held = gate.send(pool)
        await drain_events()
        await clock.advance(40)
        gate.open()
        await held
        await pool.send(numbered(2), **ENVELOPE)
        assert (pool.statistics.opened, pool.statistics.reused) == (1, 2)


async def test_a_connection_that_was_busy_for_longer_than_it_may_be_idle_carries_the_next_mail() -> None:
    clock = Clock()
    slow = (*MAILED, WAIT, "S: 250 taken")
    async with (
        ScriptedPeer(*READY, *SENT, *slow, *SENT, *QUIT, guard=None) as peer,
        SMTPPool(peer.endpoint(), max_idle=30) as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
        await clock.advance(20)
        held = asyncio.create_task(pool.send(MESSAGE, **ENVELOPE))
        await clock.advance(40)
        peer.go_on()
        await held
        assert (await pool.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED


async def test_an_old_connection_is_given_no_further_mail() -> None:
    clock = Clock()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_idle=None, max_lifetime=20) as pool:
        gate = Gate()
        held = gate.send(pool, 1)
        await clock.advance(25)  # a mail is not cut off by it
        gate.open()
        await held
        await drain_events()
        assert pool.statistics.idle == 0
        await pool.send(numbered(2), **ENVELOPE)
        await clock.advance(19)
        await pool.send(numbered(3), **ENVELOPE)
        await clock.advance(2)
        assert pool.statistics.idle == 0
    assert mails_of(server) == [1, 2]


async def test_a_connection_that_expires_at_the_very_moment_is_not_used() -> None:
    clock = Clock()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_idle=20) as pool:
        await pool.send(numbered(1), **ENVELOPE)
        clock.jump(21)  # the timer has not gone off yet
        await pool.send(numbered(2), **ENVELOPE)
    assert mails_of(server) == [1, 1]


async def test_without_limits_connections_stay() -> None:
    clock = Clock()
    async with (
        MailServer(ACCOUNTS) as server,
        SMTPPool(endpoint_of(server), max_idle=None, max_lifetime=None, max_messages_per_connection=None) as pool,
    ):
        await pool.send(numbered(1), **ENVELOPE)
        await clock.advance(1_000_000)
        await pool.send(numbered(2), **ENVELOPE)
    assert mails_of(server) == [2]


async def test_a_rate_is_kept_to() -> None:
    clock = Clock()
    async with (
        MailServer(ACCOUNTS) as server,
        SMTPPool(endpoint_of(server), max_connections=3, rate_limit=0.1, rate_burst=2) as pool,
    ):
        sends = [asyncio.ensure_future(pool.send(numbered(number), **ENVELOPE)) for number in range(6)]
        seen = []
        for _ in range(6):
            await clock.advance(5)
            seen.append(len(subjects(server)))
        assert seen == [2, 3, 3, 4, 4, 5]
        assert pool.statistics.waiting == 1
        await clock.advance(10)
        await asyncio.gather(*sends)
    assert subjects(server)[2:] == [2, 3, 4, 5]


async def test_who_gives_up_leaves_his_share_of_the_rate_to_the_next() -> None:
    clock = Clock()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), rate_limit=0.1) as pool:
        sends = [asyncio.ensure_future(pool.send(numbered(number), **ENVELOPE)) for number in range(4)]
        await clock.advance(1)
        assert subjects(server) == [0]
        sends[1].cancel()
        await clock.advance(10)
        assert subjects(server) == [0, 2]
        # At the very moment in which he is given it.
        asyncio.get_running_loop().call_later(10, lambda: asyncio.get_running_loop().call_soon(sends[3].cancel))
        await clock.advance(10)
        await asyncio.wait(sends)
        await clock.advance(10)
        await pool.send(numbered(5), **ENVELOPE)
    assert subjects(server)[2:] in ([5], [3, 5])


# Closing


async def test_closing_waits_for_what_was_given_to_the_pool_and_refuses_the_rest() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=2)
        sends = [gate.send(pool, number) for number in range(5)]
        await drain_events()
        closing = asyncio.create_task(pool.close())
        await drain_events()
        assert not closing.done()
        with pytest.raises(LocalProtocolError, match="closed") as caught:
            await pool.send(numbered(9), **ENVELOPE)
        assert caught.value.delivery is Delivery.NOT_SENT
        gate.open()
        await closing
        assert all(send.done() for send in sends)
        assert pool.statistics.in_use == pool.statistics.idle == pool.statistics.leaving == 0
        await pool.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            async with pool:
                pass
    assert sorted(subjects(server)) == list(range(5))
    assert all(session.commands[-1] == b"QUIT" for session in server.smtp_sessions)


async def test_closing_may_take_only_so_long() -> None:
    clock, gate = Clock(), Gate()
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=1)
        sends = [gate.send(pool, number) for number in range(3)]
        await drain_events()
        closing = asyncio.create_task(pool.close(10))
        await clock.advance(9)
        assert not closing.done()
        await clock.advance(2)
        await closing
        gate.open()
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert isinstance(outcomes[0], ConnectionLost)
        assert [type(outcome) for outcome in outcomes[1:]] == [LocalProtocolError] * 2
        assert [getattr(outcome, "delivery", None) for outcome in outcomes] == [Delivery.NOT_SENT] * 3
        assert all(getattr(outcome, "receipt", None) is not None for outcome in outcomes)
    assert subjects(server) == []


async def test_a_server_that_does_not_answer_quit_is_not_waited_for() -> None:
    async with ScriptedPeer(*READY, *SENT, "C: QUIT", STALL, guard=None) as peer:
        clock = Clock()
        pool = SMTPPool(peer.endpoint(timeouts=Timeouts(quit=5)))
        await pool.send(MESSAGE, **ENVELOPE)
        closing = asyncio.create_task(pool.close())
        await clock.advance(4)
        assert not closing.done()
        assert pool.statistics.leaving == 1
        await clock.advance(2)
        await closing


@pytest.mark.parametrize("timeout", [3, None])
async def test_the_deadline_of_the_closing_is_that_of_quit_as_well(timeout: float | None) -> None:
    async with ScriptedPeer(*READY, *SENT, "C: QUIT", STALL, guard=None) as peer:
        clock = Clock()
        pool = SMTPPool(peer.endpoint(timeouts=Timeouts(quit=50)))
        await pool.send(MESSAGE, **ENVELOPE)
        left: list[int] = []

        async def close() -> None:
            try:
                await pool.close(timeout)
            finally:
                left.append(pool.statistics.leaving)

        closing = asyncio.create_task(close())
        await clock.advance(4)
        assert closing.done() is (timeout is not None)
        closing.cancel()
        await asyncio.wait([closing])
        assert left == [0]


@pytest.mark.parametrize("timeout", [-1, float("nan"), "x"])
async def test_a_pool_is_not_closed_within_what_is_no_time(timeout: Any) -> None:
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server)) as pool:
        with pytest.raises(ValueError, match=r"^expected timeout to be "):
            await pool.close(timeout)
        assert (await pool.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED
        await pool.close(0)
        assert pool.statistics.leaving == 0


async def test_aborting_cuts_everything() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=2)
        await pool.send(numbered(8), **ENVELOPE)
        sends = [gate.send(pool, number) for number in range(4)]
        while gate.begun < 2:
            await drain_events()
        pool.abort()
        pool.abort()
        gate.open()
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert sum(isinstance(outcome, ConnectionLost) for outcome in outcomes) == 2
        assert sum(isinstance(outcome, LocalProtocolError) for outcome in outcomes) == 2
        assert pool.statistics.waiting == pool.statistics.in_use == 0
        with pytest.raises(LocalProtocolError):
            await pool.send(MESSAGE, **ENVELOPE)
    assert subjects(server) == [8]


@pytest.mark.parametrize("script", [(STALL,), ("S: 220 mx", LISTEN)], ids=["greeting", "EHLO"])
async def test_aborting_ends_the_opening_of_connections(script: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*script, lenient=True) as peer:
        pool = SMTPPool(peer.endpoint(connect=in_turn(peer)), max_connections=1)
        sends = [asyncio.ensure_future(pool.send(MESSAGE, **ENVELOPE)) for _ in range(2)]
        await drain_events()
        pool.abort()
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LocalProtocolError] * 2
        assert [getattr(outcome, "delivery", None) for outcome in outcomes] == [Delivery.NOT_SENT] * 2
        assert pool.statistics == NONE


@pytest.mark.parametrize("count", range(30))
async def test_aborting_at_any_turn_leaves_nothing(count: int) -> None:
    async with MailServer(ACCOUNTS) as server:
        pool = SMTPPool(endpoint_of(server), max_connections=2, max_messages_per_connection=1)
        sends = [asyncio.ensure_future(pool.send(numbered(number), **ENVELOPE)) for number in range(4)]
        await turns(count)
        pool.abort()
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        words = [getattr(outcome, "delivery", None) for outcome in outcomes]
        await turns(5)
        assert pool.statistics.in_use == pool.statistics.idle == pool.statistics.waiting == 0
        assert pool.statistics.leaving == 0
        await server.wait_idle()
    arrived = set(subjects(server))
    assert {number for number, word in enumerate(words) if word is Delivery.ACCEPTED} <= arrived
    assert not arrived & {number for number, word in enumerate(words) if word is Delivery.NOT_SENT}


async def test_an_error_leaves_the_pool_at_once() -> None:
    async with ScriptedPeer(*READY, *SENT, lenient=True) as peer:
        pool = SMTPPool(peer.endpoint())
        with suppress(ZeroDivisionError):
            async with pool:
                await pool.send(MESSAGE, **ENVELOPE)
                raise ZeroDivisionError
        assert pool.statistics.idle == 0
    assert b"QUIT" not in peer.heard


async def test_an_error_does_not_wait_for_those_that_take_their_leave() -> None:
    async with ScriptedPeer(*READY, *SENT, "C: QUIT", STALL, lenient=True) as peer:
        pool = SMTPPool(peer.endpoint(timeouts=Timeouts(quit=1000)), max_messages_per_connection=1)
        with suppress(ZeroDivisionError):
            async with pool:
                await pool.send(MESSAGE, **ENVELOPE)
                await drain_events()
                assert pool.statistics.leaving == 1
                raise ZeroDivisionError
        assert pool.statistics.leaving == 0


async def test_a_deadline_passes_through() -> None:
    async with ScriptedPeer(STALL, guard=None) as peer:
        clock = Clock()
        async with SMTPPool(peer.endpoint(timeouts=Timeouts(greeting=5))) as pool:
            send = asyncio.ensure_future(pool.send(MESSAGE, **ENVELOPE))
            await clock.advance(6)
            with pytest.raises(DeadlineExceeded) as caught:
                await send
    assert caught.value.delivery is Delivery.NOT_SENT


# Cancelled mails


async def test_what_is_known_of_a_cancelled_mail_is_told_by_its_mailing() -> None:
    gate = Gate()
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=1) as pool:
        mailings = [Mailing(gate.message(number), **ENVELOPE) for number in range(2)]
        sends = [asyncio.ensure_future(pool.send(mailing)) for mailing in mailings]
        while not gate.begun:
            await turns()
        await drain_events()
        for send in sends:
            send.cancel()
        await asyncio.wait(sends)
        assert mailings[0].last_receipt is not None
        assert mailings[0].last_receipt.delivery is Delivery.NOT_SENT
        assert mailings[0].last_receipt.recipients[0].reply is not None
        assert mailings[1].last_receipt is None
        mailing = Mailing(numbered(3), **ENVELOPE)
        assert await pool.send(mailing) == mailing.last_receipt
        assert pool.statistics.opened == 2


# TLS, LMTP, arguments


@dataclass(frozen=True)
class Counting(Endpoint):
    """An endpoint that counts how often its TLS context is made."""

    def make_tls_context(self) -> ssl.SSLContext:
        MADE.append(self)
        return super().make_tls_context()


MADE: list[Endpoint] = []


async def test_the_tls_context_is_made_once_for_all_connections() -> None:
    MADE.clear()
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True) as server:
        endpoint = Counting("localhost", server.smtp_port, tls_ca_file=authority_file())
        async with SMTPPool(endpoint, max_messages_per_connection=1) as pool:
            for number in range(4):
                await pool.send(numbered(number), **ENVELOPE)
    assert len(MADE) == 1
    assert subjects(server) == list(range(4))
    assert pool.endpoint is endpoint


async def test_a_tls_context_that_cannot_be_made_is_told_to_everybody() -> None:
    async with SMTPPool(Endpoint("localhost", 4, tls_ca_file="/nowhere")) as pool:
        outcomes = await asyncio.gather(*(pool.send(MESSAGE, **ENVELOPE) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TLSFailed] * 3


async def test_the_names_on_a_wrong_certificate_are_told() -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True) as server:
        endpoint = Endpoint("127.0.0.2", server.smtp_port, tls_ca_file=authority_file(), connect=to(server))
        async with SMTPPool(endpoint) as pool:
            with pytest.raises(TLSFailed, match="it is for localhost"):
                await pool.send(MESSAGE, **ENVELOPE)


def to(server: MailServer) -> Any:
    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(server.host, server.smtp_port)

    return connect


async def test_a_pool_for_lmtp() -> None:
    async with MailServer([*ACCOUNTS, Account("d", "", ("d@example.org",))]) as server:
        endpoint = Endpoint("127.0.0.1", server.lmtp_port, protocol="lmtp", tls="none")
        async with SMTPPool(endpoint, max_connections=2) as pool:
            receipts = await asyncio.gather(
                *(
                    pool.send(numbered(number), sender="a@example.org", recipients=["b@example.org", "d@example.org"])
                    for number in range(6)
                )
            )
    assert all(receipt.accepted == ("b@example.org", "d@example.org") for receipt in receipts)
    assert len(server.lmtp_sessions) == 2


async def test_a_pool_of_a_url(tmp_path: Path) -> None:
    async with (
        MailServer(ACCOUNTS, lmtp_path=str(tmp_path / "lmtp")) as server,
        SMTPPool(f"lmtp+unix://{tmp_path}/lmtp") as pool,
    ):
        await pool.send(MESSAGE, **ENVELOPE)
    assert len(server.messages("b")) == 1


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"max_connections": 0}, "expected max_connections to be 1 at least, got 0"),
        ({"max_messages_per_connection": 0}, "expected max_messages_per_connection to be 1 at least, got 0"),
        ({"rate_limit": 1, "rate_burst": 0}, "expected rate_burst to be 1 at least, got 0"),
        ({"max_idle": 0}, "expected max_idle to be more than 0, got 0"),
        ({"max_lifetime": -1}, "expected max_lifetime to be more than 0, got -1"),
        ({"rate_limit": 0}, "expected rate_limit to be more than 0, got 0"),
        ({"rate_limit": float("nan")}, "expected rate_limit to be more than 0, got nan"),
        ({"endpoint": "pop3://localhost"}, "expected an endpoint for smtp or lmtp, got pop3://localhost"),
    ],
)
def test_limits_that_are_none_are_refused(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        SMTPPool(**{"endpoint": "smtp://localhost", **settings})
    assert str(caught.value).startswith(error)


def test_a_limit_of_seconds_may_be_less_than_one() -> None:
    pool = SMTPPool("smtp://localhost", max_idle=0.5, max_lifetime=0.5, rate_limit=0.5, max_connections=1)
    assert pool.max_connections == 1


def test_if_nothing_else_is_said_the_limits_are_those_of_the_reference() -> None:
    pool = SMTPPool("smtp://localhost", rate_limit=1)
    assert pool.max_connections == 5
    assert (pool._opening._max_transactions, pool._opening._max_lifetime) == (100, 300.0)
    assert pool._connections._max_idle == 30.0
    assert pool._connections._rate is not None
    assert pool._connections._rate.ready_at() == float("-inf")
    pool._connections._rate.take(0.0)
    assert pool._connections._rate.ready_at() == 1.0


@pytest.mark.parametrize(("connections", "look_ahead"), [(1, 64), (4, 64), (5, 80)])
def test_a_run_looks_ahead_at_16_messages_for_each_connection_and_64_at_least(
    connections: int, look_ahead: int
) -> None:
    taken = iter(range(1000))
    run = SMTPPool("smtp://localhost", max_connections=connections).send_all(map(numbered, taken), **ENVELOPE)
    while run._consignment.take() is not None:
        pass
    assert next(taken) == look_ahead


MAIL = "C: MAIL FROM:<a@example.org>"


async def test_each_connection_that_a_mail_finds_closed_counts() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, MAIL, FIN, lenient=True) as first,
        ScriptedPeer(*READY, *SENT, MAIL, FIN, lenient=True) as second,
        ScriptedPeer(*READY, *SENT, *QUIT) as third,
        SMTPPool(first.endpoint(connect=in_turn(first, second, third))) as pool,
    ):
        for _ in range(3):
            await pool.send(MESSAGE, **ENVELOPE)
        assert (pool.statistics.opened, pool.statistics.retried) == (3, 2)


async def test_a_mail_that_was_turned_back_is_not_given_a_third_connection() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, MAIL, FIN, lenient=True) as first,
        ScriptedPeer(*READY, *SENT, *SENT, MAIL, FIN, lenient=True) as second,
        ScriptedPeer("S: 421 too many", FIN, lenient=True, optional=True) as third,
        ScriptedPeer(*READY, *SENT, *QUIT, lenient=True, optional=True) as fourth,
        SMTPPool(first.endpoint(connect=in_turn(first, second, third, fourth)), max_connections=2) as pool,
    ):
        for _ in range(2):
            await pool.send(MESSAGE, **ENVELOPE)
        gate = Gate()
        held = gate.send(pool)
        await drain_events()
        turned_back = asyncio.ensure_future(pool.send(MESSAGE, **ENVELOPE))
        await drain_events()
        gate.open()
        await held
        with pytest.raises(ConnectionLost) as caught:
            await turned_back
        assert caught.value.delivery is Delivery.NOT_SENT
        assert (pool.statistics.opened, pool.statistics.retried) == (2, 2)


async def test_a_mail_that_was_turned_back_goes_before_those_that_came_behind_it() -> None:
    refused = asyncio.Event()
    async with (
        ScriptedPeer(*READY, *SENT, "C: MAIL FROM:<c@example.org>", *SENT[1:], *SENT, *QUIT) as first,
        ScriptedPeer("S: 421 too many", FIN, lenient=True) as second,
    ):

        async def connect() -> socket.socket:
            if first.heard:
                await refused.wait()
                return await second.connect()
            return await first.connect()

        async with SMTPPool(first.endpoint(connect=connect), max_connections=2) as pool:
            gate = Gate()
            held = gate.send(pool)
            await drain_events()
            turned_back = asyncio.ensure_future(pool.send(MESSAGE, **{**ENVELOPE, "sender": "c@example.org"}))
            await drain_events()
            behind = asyncio.ensure_future(pool.send(MESSAGE, **ENVELOPE))
            await drain_events()
            refused.set()
            await drain_events()
            gate.open()
            for sending in (held, turned_back, behind):
                assert (await sending).delivery is Delivery.ACCEPTED


async def test_a_server_that_greets_with_another_refusal_is_not_asked_for_fewer_connections() -> None:
    async with (
        ScriptedPeer(*READY, *SENT, *QUIT) as first,
        ScriptedPeer("S: 554 go away", FIN, lenient=True) as second,
        SMTPPool(first.endpoint(connect=in_turn(first, second)), max_connections=2) as pool,
    ):
        gate = Gate()
        held = gate.send(pool)
        await drain_events()
        with pytest.raises(ReplyError, match="554 go away"):
            await pool.send(MESSAGE, **ENVELOPE)
        gate.open()
        assert (await held).delivery is Delivery.ACCEPTED


async def test_a_pool_that_was_cut_is_entered_by_nobody() -> None:
    pool = SMTPPool("smtp://localhost")
    pool.abort()
    with pytest.raises(LocalProtocolError, match="closed"):
        await pool.__aenter__()

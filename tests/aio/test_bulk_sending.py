"""Many messages on one connection: round trips, results, failures in the middle, and what becomes of the rest."""

import asyncio
import io
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailwire import (
    BulkSending,
    ConnectionFailed,
    ConnectionLost,
    DataRefused,
    DeadlineExceeded,
    Delivery,
    Endpoint,
    InvalidMessage,
    LocalProtocolError,
    Mailing,
    MailOptions,
    MailwireError,
    NotSupported,
    RecipientsRefused,
    ReplyError,
    SenderRefused,
    SendResult,
    SMTPClient,
    SMTPPool,
    SourceFailed,
)
from mailwire.aio.sending import Sending
from mailwire.testing import (
    FIN,
    LISTEN,
    MAIL_DATA,
    PACKET,
    STALL,
    WAIT,
    Account,
    Answers,
    Hear,
    MailServer,
    Policy,
    ScriptedPeer,
    Step,
)
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import MESSAGE, QUIT, SENT, SMTP_ANSWERS, extensions, once
from tests.aio.pools import endpoint_of, in_turn, numbered
from tests.clock import Clock, ClocksAreSetBack

NAMED = ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>")
CHUNK: tuple[Step, ...] = (f"C: BDAT {len(MESSAGE)} LAST", Hear(len(MESSAGE)))
RECIPIENTS = [f"user{number}@example.org" for number in range(60)]
ACCOUNTS = [Account("crowd", "", tuple(RECIPIENTS)), Account("b", "", ("b@example.org",))]
DATA = ("PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES")
BDAT = (*DATA, "CHUNKING")
ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org"]}

WAYS = pytest.mark.parametrize("use_chunking", [False, True, "eager"])


def server_with(*extensions: str, patient: bool = False, **settings: Any) -> MailServer:
    return MailServer(ACCOUNTS, policy=Policy(extensions=extensions or BDAT, **settings), patient=patient)


def many(count: int) -> list[bytes]:
    return [numbered(number) for number in range(count)]


async def run(server: MailServer, messages: Any, **settings: Any) -> list[SendResult]:
    """Send all, to a client of its own; return the results."""
    async with SMTPClient(endpoint_of(server)) as client:
        results = [result async for result in client.send_all(messages, **{**ENVELOPE, **settings})]
        assert client.is_connected
    await server.wait_idle()
    return results


def failures(results: list[SendResult]) -> list[MailwireError]:
    return [result.error for result in results if result.error is not None]


def taken(server: MailServer) -> list[bytes]:
    """The messages that the server has taken for b, in the order in which they came."""
    return [message.content for message in server.maildrop.messages("b")]


async def flights(server: MailServer, count: int, recipients: int, **settings: Any) -> int:
    async with server:
        results = await run(server, many(count), recipients=RECIPIENTS[:recipients], **settings)
        assert [result.error for result in results] == [None] * count
        assert all(result.receipt and len(result.receipt.accepted) == recipients for result in results)
    (session,) = server.smtp_sessions
    return session.flights


@pytest.mark.parametrize("use_chunking", [False, True])
async def test_forty_mails_in_a_row_take_one_flight_each(use_chunking: bool) -> None:
    # EHLO; the first envelope; each message with the envelope of the next; QUIT.
    assert await flights(server_with(patient=True), 40, 3, use_chunking=use_chunking) == 1 + 1 + 40 + 1


async def test_eager_mails_take_one_flight_for_each_window() -> None:
    assert await flights(server_with(patient=True), 40, 3, use_chunking="eager") <= 5


async def test_without_pipelining_mails_go_one_by_one() -> None:
    server = server_with("SIZE", "CHUNKING", patient=True)
    # EHLO, then MAIL, RCPT, DATA and the message of each, then QUIT.
    assert await flights(server, 5, 1, use_chunking=False) == 1 + 5 * 4 + 1


@WAYS
@pytest.mark.parametrize("order", ["completion", "input"])
async def test_every_message_has_a_result_and_arrives_once(use_chunking: Any, order: Any) -> None:
    async with server_with() as server:
        results = await run(server, many(150), use_chunking=use_chunking, order=order)
        assert [result.index for result in results] == list(range(150))
        assert [result.message for result in results] == many(150)
        assert {result.delivery for result in results} == {Delivery.ACCEPTED}
        assert all(result.raise_error() is result.receipt for result in results)
        assert taken(server) == many(150)


async def feed(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        await asyncio.sleep(0)
        yield message


@WAYS
async def test_messages_may_come_from_an_asynchronous_iterable(use_chunking: Any) -> None:
    async with server_with() as server:
        results = await run(server, feed(many(20)), use_chunking=use_chunking, look_ahead=3)
        assert [result.index for result in results] == list(range(20))
        assert taken(server) == many(20)


# Failures in the middle


@WAYS
async def test_a_refusal_is_that_of_one_message(use_chunking: Any) -> None:
    policy: dict[str, Any] = {
        "refused_senders": ["bad@example.org"],
        "recipient_replies": {"c@example.org": "550 no"},
    }
    fine: dict[str, Any] = {**ENVELOPE, "use_chunking": use_chunking}
    messages = [
        Mailing(numbered(0), **fine),
        Mailing(numbered(1), **{**fine, "sender": "bad@example.org"}),
        Mailing(numbered(2), **fine),
        Mailing(numbered(3), **{**fine, "recipients": ["c@example.org"]}),
        Mailing(numbered(4), **{**fine, "recipients": ["c@example.org", "b@example.org"]}),
        Mailing(numbered(5), **{**fine, "recipients": ["c@example.org", "b@example.org"], "on_refused": "abort"}),
        Mailing(numbered(6), **fine),
    ]
    async with server_with(**policy) as server:
        results = await run(server, messages, order="input")
        assert taken(server) == [numbered(0), numbered(2), numbered(4), numbered(6)]
    kinds = {result.index: type(result.error) for result in results if result.error is not None}
    assert kinds == {1: SenderRefused, 3: RecipientsRefused, 5: RecipientsRefused}
    shown = [error.transcript for error in failures(results)]
    assert len(shown) == 3
    assert all(any(line.startswith("S: 550 ") for line in lines) for lines in shown)
    assert [result.index for result in results if result.delivery is Delivery.REFUSED] == [1, 3, 5]
    assert results[4].receipt is not None
    assert results[4].receipt.accepted == ("b@example.org",)
    with pytest.raises(SenderRefused):
        results[1].raise_error()


GOES_ON: tuple[Step, ...] = ("S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT)
DATA_REFUSED: tuple[Step, ...] = (
    *(*extensions("PIPELINING"), *NAMED, "C: DATA", "S: 250 a", "S: 250 b", "S: 450 no", "C: RSET", "S: 250 ok"),
    *(*NAMED, "C: DATA", *GOES_ON),
)
FOR_NOBODY: tuple[Step, ...] = (
    *(*extensions("PIPELINING"), *NAMED, "C: DATA", "S: 250 a", "S: 550 b", "S: 354 go", "C: ."),
    *(*NAMED, "C: DATA", "S: 554 nobody", *GOES_ON),
)
CHUNK_REFUSED: tuple[Step, ...] = (
    *(*extensions("PIPELINING", "CHUNKING"), *NAMED, *CHUNK, "C: RSET", *NAMED, *CHUNK, "S: 250 a", "S: 250 b"),
    *("S: 552 full", "S: 250 reset", "S: 250 a", "S: 250 b", "S: 250 taken", *QUIT),
)


@pytest.mark.parametrize(
    ("script", "use_chunking", "error"),
    [
        (DATA_REFUSED, False, DataRefused),
        (FOR_NOBODY, False, RecipientsRefused),
        (CHUNK_REFUSED, "eager", DataRefused),
    ],
    ids=["DATA refused", "a message for nobody", "a chunk refused"],
)
async def test_behind_a_refusal_the_next_mail_goes_on(script: tuple[Step, ...], use_chunking: Any, error: Any) -> None:
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint()) as client:
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking=use_chunking)
        results = [result async for result in run]
        assert [type(result.error) for result in results] == [error, type(None)]
        [failure] = failures(results)
        assert isinstance(failure, ReplyError)
        assert f"S: {failure.reply}" in failure.transcript
        await client.quit()


async def broken(blocks: int) -> AsyncIterator[bytes]:
    for _ in range(blocks):
        yield b"0123456789abcdef\r\n" * 5000
    raise OSError("the disk is gone")


@WAYS
async def test_a_source_that_fails_in_the_middle_fails_its_own_message(use_chunking: Any) -> None:
    messages = [numbered(0), numbered(1), broken(4), numbered(3), numbered(4)]
    async with server_with() as server:
        results = await run(server, messages, use_chunking=use_chunking, order="input")
        assert sorted(taken(server)) == [numbered(0), numbered(1), numbered(3), numbered(4)]
    errors = [result.error for result in results]
    assert isinstance(errors[2], SourceFailed)
    assert errors[2].delivery is Delivery.NOT_SENT
    assert errors[2].receipt is results[2].receipt is not None
    assert errors[:2] + errors[3:] == [None] * 4


async def test_what_cannot_be_sent_fails_by_itself() -> None:
    messages: list[Any] = [
        numbered(0),
        b"",
        b"Subject: \0\r\n\r\n",
        Path("/nowhere/at/all"),
        Mailing(numbered(4), sender="a@example.org", recipients="dörte@example.org"),
        Mailing(numbered(5), **ENVELOPE, options=MailOptions(parameters={"SIZE": "7"})),
        Mailing(numbered(6), **ENVELOPE, options=MailOptions(envelope_id="x")),
        7,
        numbered(8),
    ]
    async with server_with() as server:
        results = await run(server, messages)
        assert taken(server) == [numbered(0), numbered(8)]
    kinds = {result.index: type(result.error) for result in results if result.error is not None}
    assert kinds == {
        **dict.fromkeys((1, 2, 5, 7), InvalidMessage),
        **dict.fromkeys((4, 6), NotSupported),
        3: SourceFailed,
    }
    assert all(result.delivery is Delivery.NOT_SENT for result in results if result.error is not None)
    given = {result.index: result for result in results}
    assert given[7].receipt is None
    for index in (1, 4, 5, 6):
        assert given[index].receipt is not None
    error = given[5].error
    assert error is not None
    assert isinstance(error.__cause__, ValueError)
    assert str(error) == str(error.__cause__)


@WAYS
async def test_large_messages_go_block_by_block(use_chunking: Any, tmp_path: Path) -> None:
    large = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 40_000
    path = tmp_path / "message"
    path.write_bytes(large)
    told: list[int] = []
    settings = {**ENVELOPE, "use_chunking": use_chunking, "progress": lambda octets, _: told.append(octets)}
    async with server_with() as server:
        results = await run(server, [large, path, Mailing(large, **settings), numbered(3)], use_chunking=use_chunking)
        assert taken(server) == [large, large, large, numbered(3)]
    assert [result.error for result in results] == [None] * 4
    assert told[-1] == len(large)


# Limits


async def test_a_session_has_no_more_mails_than_the_server_allows() -> None:
    async with server_with(*BDAT, "LIMITS", message_limit=3) as server:
        results = await run(server, many(8))
        assert [result.error for result in results] == [None] * 8
        assert taken(server) == many(8)
        assert len(server.smtp_sessions) == 3
        assert all(session.commands[-1] == b"QUIT" for session in server.smtp_sessions)


async def test_a_mail_with_too_many_recipients_goes_in_parts() -> None:
    async with server_with(*BDAT, "LIMITS", recipient_limit=25, message_limit=5) as server:
        results = await run(server, many(4), recipients=RECIPIENTS)
        assert all(result.receipt and len(result.receipt.accepted) == 60 for result in results)
        assert len(server.maildrop.messages("crowd")) == 12


async def test_a_mail_in_parts_that_is_lost_was_not_sent_if_nobody_is_there_any_more() -> None:
    script = (*extensions("LIMITS RCPTMAX=1"), "C: MAIL FROM:<a@example.org>", "S: 250 a", FIN, LISTEN)
    async with ScriptedPeer(*script) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        run = client.send_all([MESSAGE] * 2, sender="a@example.org", recipients=RECIPIENTS[:2])
        results = [result async for result in run]
    assert [type(result.error) for result in results] == [ConnectionFailed] * 2
    assert [result.delivery for result in results] == [Delivery.NOT_SENT] * 2


async def test_a_closing_server_is_connected_to_again() -> None:
    # It has not announced how many mails it takes.
    async with server_with(*BDAT, message_limit=3, patient=True) as server:
        results = await run(server, many(8), use_chunking=False)
        assert [result.error for result in results] == [None] * 8
        assert taken(server) == many(8)
        # 421 is no reason to send one mail after the other.
        assert [session.flights for session in server.smtp_sessions] == [5] * 3


async def test_a_server_that_takes_one_mail_on_each_connection_is_given_all() -> None:
    async with server_with(*BDAT, message_limit=1) as server:
        results = await run(server, many(5), use_chunking=False)
        assert [result.error for result in results] == [None] * 5
        assert len(server.smtp_sessions) == 5


# Connections that break


DROPS: tuple[Step, ...] = (
    *extensions("PIPELINING"),
    *(*NAMED, "C: DATA", "S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA),
    *(*NAMED, "C: DATA", "S: 250 taken", "S: 250 a", FIN, LISTEN),
)


async def test_what_was_not_sent_goes_over_another_connection_one_by_one() -> None:
    one: tuple[Step, ...] = (*NAMED, "C: DATA", "S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA, PACKET, "S: 250 taken")
    async with ScriptedPeer(*DROPS) as first, ScriptedPeer(*extensions("PIPELINING"), *one, *one, *QUIT) as second:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        async with client:
            results = [result async for result in client.send_all([MESSAGE] * 3, **ENVELOPE, use_chunking=False)]
        assert [result.error for result in results] == [None] * 3
    assert b".\r\nMAIL" in first.heard
    assert b".\r\nMAIL" in second.heard  # ... behind the answer, as the script demands


async def test_a_mail_on_which_the_connection_broke_twice_is_not_tried_again() -> None:
    drops: tuple[Step, ...] = (*extensions(), NAMED[0], FIN, LISTEN)
    takes: tuple[Step, ...] = (*extensions(), *SENT, *QUIT)
    async with ScriptedPeer(*drops) as first, ScriptedPeer(*drops) as second, ScriptedPeer(*takes) as third:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second, third)))
        async with client:
            results = [result async for result in client.send_all([MESSAGE] * 2, **ENVELOPE)]
    assert [type(result.error) for result in results] == [ConnectionLost, type(None)]
    assert results[0].error is not None
    assert results[0].error.delivery is Delivery.NOT_SENT
    assert results[0].error.transcript


async def test_a_server_that_takes_nothing_is_left_alone() -> None:
    drops: tuple[Step, ...] = (*extensions(), NAMED[0], FIN, LISTEN)
    async with ScriptedPeer(*drops) as first, ScriptedPeer(*drops) as second, ScriptedPeer(*drops) as third:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second, third)))
        async with client:
            messages = [MESSAGE, MESSAGE, b"", MESSAGE]
            run = client.send_all([*messages, 7], **ENVELOPE, order="input")  # type: ignore[list-item]
            results = [result async for result in run]
            assert not client.is_connected
    assert [result.delivery for result in results] == [Delivery.NOT_SENT] * 5
    assert [type(result.error) for result in results] == [
        *(ConnectionLost, ConnectionLost, InvalidMessage, ConnectionLost, InvalidMessage)
    ]
    # Each has an error of its own.
    assert len({id(result.error) for result in results}) == 5


async def test_messages_that_come_late_fail_as_well_where_nobody_is_there() -> None:
    async with ScriptedPeer(*extensions(), NAMED[0], FIN, LISTEN) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        results = [result async for result in client.send_all(feed(many(5)), **ENVELOPE, look_ahead=1)]
    assert [type(result.error) for result in results] == [ConnectionFailed] * 5


class Received:
    """What was received asynchronously, and is there once, in an iterable that is no iterator."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self._blocks:
            yield block


@pytest.mark.parametrize("received", [iter, Received])
async def test_what_can_be_read_but_once_is_not_tried_again(received: Callable[[Iterator[bytes]], Any]) -> None:
    script = (*extensions("PIPELINING"), *NAMED, "C: DATA", "S: 250 a", "S: 250 b", "S: 354 go", Hear(9), FIN, LISTEN)
    blocks = received(block for block in [b"Subject: x\r\n\r\n", *[b"0123456789abcdef\r\n" * 9000] * 40])
    async with ScriptedPeer(*script) as first, ScriptedPeer(*extensions(), *SENT, *QUIT) as second:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        async with client:
            results = [result async for result in client.send_all([blocks, MESSAGE], **ENVELOPE)]
    assert [type(result.error) for result in results] == [ConnectionLost, type(None)]
    assert results[0].delivery is Delivery.NOT_SENT


async def test_what_can_be_read_but_once_is_tried_again_if_it_was_not_read() -> None:
    drops: tuple[Step, ...] = (*extensions(), NAMED[0], FIN, LISTEN)
    async with ScriptedPeer(*drops) as first, ScriptedPeer(*extensions(), *SENT, *QUIT) as second:
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        async with client:
            blocks = (block for block in [MESSAGE])
            results = [result async for result in client.send_all([blocks], **ENVELOPE)]
    assert [result.error for result in results] == [None]


async def test_an_idle_connection_that_is_gone_is_made_again() -> None:
    told = asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        yield MESSAGE
        await told.wait()
        await turns(3)
        yield MESSAGE

    async with (
        ScriptedPeer(*extensions(), *SENT, WAIT, "S: 421 idle", FIN, LISTEN) as first,
        ScriptedPeer(*extensions(), *SENT, *QUIT) as second,
    ):
        client = SMTPClient(first.endpoint(connect=in_turn(first, second)))
        async with client:
            errors = []
            async for result in client.send_all(late(), **ENVELOPE):
                errors.append(result.error)
                first.go_on()
                told.set()
    assert errors == [None, None]


# Looking ahead, and waiting


@WAYS
@pytest.mark.parametrize("look_ahead", [1, 2, 5])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_no_more_is_taken_than_was_allowed(use_chunking: Any, look_ahead: int, asynchronous: bool) -> None:
    given = handed_out = 0

    def counted() -> Iterator[bytes]:
        nonlocal given
        for message in many(20):
            given += 1
            assert given - handed_out <= look_ahead
            yield message

    async def counted_late() -> AsyncIterator[bytes]:
        for message in counted():
            yield message

    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        messages = counted_late() if asynchronous else counted()
        run = client.send_all(messages, **ENVELOPE, look_ahead=look_ahead, use_chunking=use_chunking, order="input")
        async for result in run:
            assert result.error is None
            handed_out += 1
        assert handed_out == given == 20


@WAYS
async def test_a_result_does_not_wait_for_the_next_message(use_chunking: Any) -> None:
    messages: asyncio.Queue[bytes] = asyncio.Queue()

    async def queued() -> AsyncIterator[bytes]:
        while message := await messages.get():
            yield message

    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        messages.put_nowait(numbered(0))
        count = 0
        async for result in client.send_all(queued(), **ENVELOPE, use_chunking=use_chunking):
            assert result.error is None
            count += 1
            messages.put_nowait(numbered(count) if count < 5 else b"")
        assert count == 5


async def test_a_message_may_come_while_another_waits_for_its_answer() -> None:
    told = asyncio.Event()

    async def queued() -> AsyncIterator[bytes]:
        yield MESSAGE
        await told.wait()
        yield MESSAGE

    script: tuple[Step, ...] = (
        *extensions("PIPELINING"),
        *(*NAMED, "C: DATA", "S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA),
        *(*NAMED, "C: DATA", "S: 250 taken", "S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT),
    )
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint()) as client:
        run = client.send_all(queued(), **ENVELOPE)
        first = asyncio.ensure_future(anext(run))
        await drain_events()
        told.set()
        assert (await first).error is None
        assert [result.error async for result in run] == [None]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_the_iterable_raises_comes_behind_the_results(asynchronous: bool) -> None:
    def failing() -> Iterator[bytes]:
        yield from many(3)
        raise KeyError("no more")

    async def failing_late() -> AsyncIterator[bytes]:
        for message in failing():
            yield message

    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all(failing_late() if asynchronous else failing(), **ENVELOPE)
        assert [(await anext(run)).error for _ in range(3)] == [None] * 3
        with pytest.raises(KeyError, match="no more"):
            await anext(run)
        with pytest.raises(StopAsyncIteration):
            await anext(run)
        assert client.is_connected
        await client.send(MESSAGE, **ENVELOPE)


def cancelled() -> Iterator[bytes]:
    yield numbered(0)
    raise asyncio.CancelledError


async def cancelled_late() -> AsyncIterator[bytes]:
    yield numbered(0)
    work = asyncio.create_task(asyncio.Event().wait())
    work.cancel()
    await work


@pytest.mark.parametrize("messages", [cancelled, cancelled_late])
@pytest.mark.parametrize("kind", [SMTPClient, SMTPPool])
async def test_an_iterable_that_waited_for_what_was_cancelled_is_not_taken_for_complete(
    kind: type[SMTPClient | SMTPPool], messages: Callable[[], Any]
) -> None:
    async with server_with() as server, kind(endpoint_of(server)) as sender:
        run = sender.send_all(messages(), **ENVELOPE)
        assert (await anext(run)).error is None
        with pytest.raises(SourceFailed, match="what it waited for was cancelled") as caught:
            await anext(run)
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        with pytest.raises(StopAsyncIteration):
            await anext(run)


class Countdown:
    """An asynchronous iterator of so many messages, that is no generator."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __aiter__(self) -> "Countdown":
        return self

    async def __anext__(self) -> bytes:
        if self.left == 0:
            raise StopAsyncIteration
        self.left -= 1
        return MESSAGE


class HardToClose(Countdown):
    """The same, that fails when it is closed; by then it has had its time."""

    was_closed = False

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.was_closed = True
        raise RuntimeError("it cannot be closed")


@pytest.mark.parametrize("kind", [SMTPClient, SMTPPool])
async def test_what_an_iterable_raises_when_it_is_closed_is_told(kind: type[SMTPClient | SMTPPool]) -> None:
    async with server_with() as server, kind(endpoint_of(server)) as sender:
        messages = HardToClose(2)
        run = sender.send_all(messages, **ENVELOPE)
        assert [(await anext(run)).error for _ in range(2)] == [None, None]
        with pytest.raises(RuntimeError, match="cannot be closed"):
            await anext(run)
        assert messages.was_closed
        with pytest.raises(StopAsyncIteration):
            await anext(run)


def hard_to_close() -> Iterator[bytes]:
    try:
        while True:
            yield MESSAGE
    finally:
        raise RuntimeError("it cannot be closed")


@pytest.mark.parametrize("messages", [partial(HardToClose, 100), hard_to_close])
async def test_what_an_iterable_raises_when_it_is_left_goes_to_the_loop(messages: Callable[[], Any]) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        async with aclosing(client.send_all(messages(), **ENVELOPE, look_ahead=4)) as results:
            assert (await anext(results)).error is None
        assert len(results.remaining) <= 4
    assert [str(context["exception"]) for context in complaints] == ["it cannot be closed"]


async def test_nothing_to_send_is_nothing() -> None:
    async with server_with() as server:
        assert await run(server, []) == []
        assert await run(server, feed([])) == []


# Ending a run


@WAYS
async def test_a_run_that_is_left_tells_of_the_rest(use_chunking: Any) -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        async with client.send_all(many(30), **ENVELOPE, use_chunking=use_chunking) as results:
            async for result in results:
                assert result.index == 0
                break
        accepted = [result for result in results.remaining if result.delivery is Delivery.ACCEPTED]
        others = [result for result in results.remaining if result not in accepted]
        assert {result.delivery for result in others} <= {Delivery.NOT_SENT}
        assert [numbered(0), *(result.message for result in accepted)] == taken(server)
        assert [result.index for result in results.remaining] == list(range(1, len(results.remaining) + 1))
        # What was known when it was closed, can still be had.
        assert len([result async for result in results]) <= 29
        await results.aclose()
        if not client.is_connected:
            await client.connect()
        await client.send(MESSAGE, **ENVELOPE)


async def test_a_feed_is_closed_with_the_run() -> None:
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield MESSAGE
        finally:
            closed = True

    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        async with aclosing(client.send_all(endless(), **ENVELOPE, look_ahead=4)) as results:
            await anext(results)
        assert closed
        assert 1 <= len(results.remaining) <= 4


async def test_a_generator_of_messages_is_closed_with_the_run() -> None:
    closed = False

    def endless() -> Iterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield MESSAGE
        finally:
            closed = True

    messages = endless()  # kept: nobody but the run closes it
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        async with aclosing(client.send_all(messages, **ENVELOPE, look_ahead=4)) as results:
            await anext(results)
        assert closed
        assert next(messages, None) is None


async def test_a_run_that_has_not_begun_can_be_closed() -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all(many(3), **ENVELOPE)
        await run.aclose()
        assert run.remaining == ()
        await client.send(MESSAGE, **ENVELOPE)


async def test_a_verdict_that_is_lost_when_the_run_is_closed_is_unknown() -> None:
    script = (*extensions("PIPELINING"), *NAMED, "C: DATA", "S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA, *NAMED)
    async with ScriptedPeer(*script, "C: DATA", WAIT, FIN, LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 5, **ENVELOPE)
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
        words = [result.delivery for result in run.remaining]
        assert words == [Delivery.UNKNOWN, Delivery.NOT_SENT, Delivery.NOT_SENT]
        assert not client.is_connected
        await run.aclose()
        peer.go_on()


@WAYS
async def test_another_call_of_the_task_ends_a_run(use_chunking: Any) -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all(many(30), **ENVELOPE, use_chunking=use_chunking)
        assert (await anext(run)).error is None
        with suppress(LocalProtocolError):  # where a mail was begun that had to be cut off
            await client.send(numbered(99), **ENVELOPE)
        with pytest.raises(
            LocalProtocolError, match=r"^another call of the client has ended this run: finish it first$"
        ):
            await anext(run)
        await run.aclose()
        left = [result.message for result in run.remaining if result.delivery is Delivery.ACCEPTED]
        assert [message for message in taken(server) if message != numbered(99)] == [numbered(0), *left]
        assert Delivery.UNKNOWN not in {result.delivery for result in run.remaining}


async def test_a_client_that_is_cut_forgets_what_a_run_has_left() -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all(many(30), **ENVELOPE, use_chunking=False)
        await anext(run)
        run._break_off()
        client.abort()
        assert {result.delivery for result in run.remaining} <= {Delivery.UNKNOWN, Delivery.NOT_SENT}
        await client.connect()
        await client.send(MESSAGE, **ENVELOPE)
        await run.aclose()


async def test_others_wait_until_a_run_has_ended() -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all(many(5), **ENVELOPE)
        await anext(run)
        other = asyncio.ensure_future(client.send(numbered(99), **ENVELOPE))
        await drain_events()
        assert not other.done()
        assert [result.error async for result in run] == [None] * 4
        await other
        assert taken(server) == [*many(5), numbered(99)]


async def test_a_run_whose_task_has_ended_lets_others_go_on() -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:

        async def begin() -> BulkSending:
            run = client.send_all(many(5), **ENVELOPE, use_chunking="eager")
            await anext(run)
            return run

        task = asyncio.ensure_future(begin())
        run = await task
        await client.send(numbered(99), **ENVELOPE)
        assert [result.delivery for result in run.remaining] == [Delivery.ACCEPTED] * 4


async def test_who_waits_behind_a_run_is_woken_when_its_task_ends() -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def begin() -> None:
            run = client.send_all(many(5), **ENVELOPE, use_chunking="eager")
            await anext(run)
            begun.set()
            await go_on.wait()

        task = asyncio.ensure_future(begin())
        await begun.wait()
        other = asyncio.ensure_future(client.send(numbered(99), **ENVELOPE))
        await drain_events()
        assert not other.done()
        go_on.set()
        await other
        await task


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("limits", [(), ("LIMITS RCPTMAX=1",)], ids=["whole", "in parts"])
@WAYS
async def test_cancelled_at_any_turn_it_tells_of_every_mail(
    use_chunking: Any, limits: tuple[str, ...], large: bool
) -> None:
    announced = "\n".join(
        ["250-mx", "250-PIPELINING", "250-CHUNKING", *(f"250-{limit}" for limit in limits), "250 HELP"]
    )
    message = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 20_000 if large else MESSAGE
    count, is_done = 0, False
    known: list[SendResult] = []
    while not is_done:
        script = ("S: 220 mx", Answers({**SMTP_ANSWERS, "EHLO": announced, "BDAT": "250 chunk"}), LISTEN)
        async with ScriptedPeer(*script, lenient=True, guard=None) as peer:
            client = SMTPClient(peer.endpoint())
            await client.connect()
            run = client.send_all(
                [message] * 3, sender="a@example.org", recipients=RECIPIENTS[:2], use_chunking=use_chunking
            )
            results: list[SendResult] = []
            task = asyncio.ensure_future(collect(run, results))
            await turns(count)
            is_done = task.done()
            task.cancel()
            await asyncio.wait([task])
            known = sorted([*results, *run.remaining], key=lambda result: result.index)
            assert [result.index for result in known] == list(range(len(known)))
            await run.aclose()
            await client.quit()
            await drain_events()
        heard, parts = bytes(peer.heard), 2 if limits else 1
        ends = heard.count(b"\r\n.\r\n") + heard.count(b" LAST\r\n")
        for result in known:
            if result.index * parts >= ends:
                assert result.delivery in (Delivery.NOT_SENT, Delivery.UNKNOWN)
            elif (result.index + 1) * parts <= ends:
                assert result.delivery in (Delivery.ACCEPTED, Delivery.UNKNOWN)
        count += 1
        assert count < 2000
    assert [result.delivery for result in known] == [Delivery.ACCEPTED] * 3


async def collect(run: BulkSending, results: list[SendResult]) -> None:
    async for result in run:
        results.append(result)  # noqa: PERF401 - what came before a cancellation is wanted


# What makes no sense


@pytest.mark.parametrize(
    "settings",
    [
        {"order": "backwards"},
        {"look_ahead": 0},
        {"on_refused": "cry"},
        {"use_chunking": "later"},
        {"messages": b"one"},
        {"messages": EmailMessage()},
    ],
)
async def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    client = SMTPClient("smtp://localhost")
    with pytest.raises(ValueError, match="expected"):
        client.send_all(**{"messages": [MESSAGE], **ENVELOPE, **settings})


async def test_who_is_not_connected_cannot_send() -> None:
    client = SMTPClient("smtp://localhost")
    run = client.send_all([MESSAGE], **ENVELOPE)
    with pytest.raises(LocalProtocolError, match="not connected"):
        await anext(run)
    assert run.remaining == ()


def test_a_run_can_be_made_where_there_is_no_event_loop() -> None:
    run = SMTPClient.send_all.__get__(object())([MESSAGE], recipients="b@example.org")
    assert isinstance(run, BulkSending)


# What seldom happens


EAGER_TWICE: tuple[Step, ...] = (
    *(*extensions("PIPELINING", "CHUNKING"), *NAMED, *CHUNK, "C: RSET", *NAMED, *CHUNK),
    *("S: 250 a", "S: 250 b", "S: 250 taken"),
)


async def test_a_server_that_does_not_answer_in_time_leaves_it_unknown() -> None:
    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, *CHUNK, STALL)
    async with ScriptedPeer(*script, guard=None) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        run = client.send_all([MESSAGE], **ENVELOPE, use_chunking="eager")
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        await Clock().advance(100_000)
        result = await waiting
        assert isinstance(result.error, DeadlineExceeded)
        assert str(result.error).endswith("within 300 s: the reply to MAIL FROM:<a@example.org>")
        assert result.error.phase == "command"
        assert result.delivery is Delivery.UNKNOWN
        await run.aclose()


async def test_behind_the_end_of_the_stream_nothing_is_sent() -> None:
    # The server has gone while nobody asked for a result: what is taken then cannot have been sent.
    async with ScriptedPeer(*EAGER_TWICE, FIN, LISTEN) as peer, SMTPClient(peer.endpoint(connect=once(peer))) as client:
        words = []
        async for result in client.send_all([MESSAGE] * 3, **ENVELOPE, use_chunking="eager", look_ahead=2):
            words.append(result.delivery)
            await peer.rest()
    assert words == [Delivery.ACCEPTED, Delivery.UNKNOWN, Delivery.NOT_SENT]


async def test_an_hour_that_comes_twice_is_said_as_two_hours() -> None:
    zone = ClocksAreSetBack()
    earlier, later = (MailOptions(hold_until=datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold)) for fold in (0, 1))
    script = [
        step
        for moment in ("00:30", "01:30")
        for step in (f"C: MAIL FROM:<a@example.org> HOLDUNTIL=2026-10-25T{moment}:00Z", *SENT[1:])
    ]
    offered = extensions("FUTURERELEASE 999999999 2030-01-01T00:00:00Z")
    async with ScriptedPeer(*offered, *script, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        mails = [Mailing(MESSAGE, **ENVELOPE, options=options) for options in (earlier, later)]
        async with client.send_all(mails) as results:
            assert [result.delivery async for result in results] == [Delivery.ACCEPTED] * 2


@pytest.mark.parametrize(
    ("refusals", "use_chunking", "error"),
    [
        (("C: DATA", "S: 250 a", "S: 550 b", "S: 554 nobody"), False, RecipientsRefused),
        (("S: 250 a", "S: 250 b", *CHUNK, "S: 552 too big"), True, DataRefused),
    ],
    ids=["recipients", "message"],
)
async def test_a_server_that_takes_its_leave_behind_a_refusal_has_refused(
    refusals: tuple[Step, ...], use_chunking: bool, error: type[MailwireError]
) -> None:
    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, *refusals, "C: RSET", "S: 421 bye", FIN)
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint(connect=once(peer))) as client:
        [result] = [each async for each in client.send_all([MESSAGE], **ENVELOPE, use_chunking=use_chunking)]
    assert result.delivery is Delivery.REFUSED
    assert isinstance(result.error, error)
    assert result.error.transcript[-1] == "S: 421 bye"


async def test_a_server_that_takes_its_leave_at_the_end_of_a_message_leaves_it_in_doubt() -> None:
    answered = ("S: 250 a", "S: 250 b", "S: 354 go", MAIL_DATA, "S: 421 bye", FIN)
    script = (*extensions("PIPELINING"), *NAMED, "C: DATA", *answered)
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint(connect=once(peer))) as client:
        [result] = [each async for each in client.send_all([MESSAGE], **ENVELOPE)]
    assert result.delivery is Delivery.UNKNOWN
    with pytest.raises(DataRefused, match="the server may or may not have the message, to which it has said 421 bye"):
        result.raise_error()


async def test_what_begins_a_mail_anew_has_the_time_of_a_command() -> None:
    # A server may answer all commands of a flight together, when it is done with the last of them.
    script = (*EAGER_TWICE, WAIT, "S: 250 reset", "S: 250 a", "S: 250 b", "S: 250 taken", *QUIT)
    clock = Clock()
    async with ScriptedPeer(*script, guard=None) as peer, SMTPClient(peer.endpoint()) as client:
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking="eager")
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        waiting = asyncio.ensure_future(anext(run))
        await clock.advance(200)
        peer.go_on()
        assert (await waiting).delivery is Delivery.ACCEPTED
        await run.aclose()


async def test_a_rset_behind_a_lone_dot_has_the_time_of_a_command_where_a_mail_follows_in_its_flight() -> None:
    dot = (*NAMED, "C: DATA", "S: 550 no", "S: 503 no", "S: 354 go", "C: .", "C: RSET")
    script = (*extensions("PIPELINING"), *dot, *NAMED, "C: DATA", "S: 250 ok", WAIT, "S: 250 reset", *GOES_ON)
    clock = Clock()
    async with ScriptedPeer(*script, guard=None) as peer, SMTPClient(peer.endpoint()) as client:
        run = client.send_all([MESSAGE] * 2, **ENVELOPE)
        waiting = asyncio.ensure_future(anext(run))
        await clock.advance(200)
        peer.go_on()
        assert (await waiting).delivery is Delivery.REFUSED
        assert [result.delivery async for result in run] == [Delivery.ACCEPTED]


def leave_behind_354(listener: socket.socket) -> bytes:
    """Answer one client up to 354, end the stream in the same segment, and return what the client says behind it."""
    with listener:
        end, _ = listener.accept()
    with end, end.makefile("rb") as lines:
        end.sendall(b"220 mx\r\n")
        lines.readline()
        end.sendall(b"250-mx\r\n250 PIPELINING\r\n")
        for _ in ("MAIL", "RCPT", "DATA"):
            lines.readline()
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        end.sendall(b"250 a\r\n250 b\r\n354 go\r\n")
        end.shutdown(socket.SHUT_WR)
        return lines.read()


@pytest.mark.skipif(not hasattr(socket, "TCP_CORK"), reason="a reply and the end of the stream leave one by one here")
async def test_a_message_is_not_written_to_a_server_that_is_gone_by_then() -> None:
    # The end of the stream is read by itself, behind the reply; that it has come can be seen before.
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint = Endpoint("127.0.0.1", listener.getsockname()[1], tls="none")
    serving = asyncio.create_task(asyncio.to_thread(leave_behind_354, listener))
    async with SMTPClient(endpoint) as client, client.send_all([MESSAGE], **ENVELOPE) as run:
        assert (await anext(run)).delivery is Delivery.NOT_SENT
    assert await serving == b""


async def test_a_message_that_was_begun_in_pieces_is_not_written_again_as_a_whole() -> None:
    # Something has come before it is written, and then no more than the beginning of a reply.
    name = f"C: BDAT {len(MESSAGE)} LAST"
    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, "S: 250 a", "S: 250 b", name, Hear(MESSAGE))
    async with ScriptedPeer(*script, "S: 250 taken", *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        talk = client._talk
        sending = Sending(Mailing(MESSAGE, **ENVELOPE))
        assert sending.prepare_at_once(talk)
        batch = sending.next_batch(talk)
        assert batch is not None
        passage = sending.begin(talk, batch)
        talk.session.flush()
        assert passage.transaction.receive(await talk.next_answer())
        assert passage.transaction.wants_data
        heard_more = talk.session.has_heard_more
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(talk.session, "has_heard_more", partial(asyncio.sleep, 0, True))
            await passage.write()
        assert passage.transaction.wants_data
        assert not passage.write_whole()
        await passage.write()
        assert not await heard_more()
        assert passage.transaction.receive(await talk.next_answer())
        await passage.close()
        assert sending.end(passage).delivery is Delivery.ACCEPTED


async def test_a_source_that_failed_says_so_also_where_the_connection_is_lost() -> None:
    script = (*extensions("PIPELINING", "CHUNKING"), *NAMED, *CHUNK, WAIT, FIN, LISTEN)
    async with ScriptedPeer(*script) as peer:
        client = SMTPClient(peer.endpoint(connect=once(peer)))
        await client.connect()
        run = client.send_all([MESSAGE, broken(1)], **ENVELOPE, use_chunking="eager", order="input")
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        peer.go_on()
        results = [await waiting, await anext(run)]
        await run.aclose()
    assert [type(result.error) for result in results] == [ConnectionLost, SourceFailed]
    assert [result.delivery for result in results] == [Delivery.UNKNOWN, Delivery.NOT_SENT]
    assert results[1].error is not None
    assert results[1].error.receipt is results[1].receipt is not None
    assert run.remaining == ()


async def test_a_connection_that_is_lost_while_a_run_is_closed_leaves_the_rest_unknown() -> None:
    async with ScriptedPeer(*EAGER_TWICE, FIN, LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking="eager", look_ahead=2)
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        await run.aclose()
        [left] = run.remaining
        assert left.delivery is Delivery.UNKNOWN
        assert isinstance(left.error, ConnectionLost)
        assert not client.is_connected


async def test_closing_can_be_cancelled() -> None:
    async with ScriptedPeer(*EAGER_TWICE, STALL, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        run = client.send_all([MESSAGE] * 2, **ENVELOPE, use_chunking="eager")
        assert (await anext(run)).delivery is Delivery.ACCEPTED
        closing = asyncio.ensure_future(run.aclose())
        await drain_events()
        assert not closing.done()
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        assert [result.delivery for result in run.remaining] == [Delivery.UNKNOWN]
        assert not client.is_connected


class Gated(io.BytesIO):
    """A file that is read only when the gate is open."""

    def __init__(self, octets: bytes, gate: threading.Event) -> None:
        super().__init__(octets)
        self.gate = gate

    def read(self, size: int | None = -1, /) -> bytes:
        assert self.gate.wait(20)
        return super().read(size)


async def test_cancelled_while_a_message_is_looked_at_it_was_not_sent() -> None:
    gate = threading.Event()
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        run = client.send_all([Gated(MESSAGE, gate)], **ENVELOPE)
        waiting = asyncio.ensure_future(anext(run))
        await drain_events()
        waiting.cancel()
        await asyncio.wait([waiting])
        gate.set()
        assert [result.delivery for result in run.remaining] == [Delivery.NOT_SENT]
        await run.aclose()


async def test_what_was_taken_in_advance_is_told_of() -> None:
    async with server_with() as server, SMTPClient(endpoint_of(server)) as client:
        countdown = Countdown(20)
        async with client.send_all(countdown, **ENVELOPE, use_chunking=False, look_ahead=6) as results:
            await anext(results)
            await drain_events()
        assert [result.index for result in results.remaining] == list(range(1, 20 - countdown.left))
        assert results.remaining[-1].receipt is None
        assert results.remaining[-1].delivery is Delivery.NOT_SENT

"""While the source of a message lets us wait, the server is heard; and the source is read by one task."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from mailwire import ConnectionLost, DataRefused, Delivery, LMTPClient, SMTPClient, SMTPPool, SourceFailed, send
from mailwire.aio.reading import Reading
from mailwire.message import Content, Envelope, MessageSource, Outgoing
from mailwire.testing import FIN, LISTEN, RST, STALL, WAIT, Account, Hear, MailServer, ScriptedPeer, Step
from mailwire.testing.turns import drain_events, turns
from tests.aio.dialogues import QUIT, extensions

ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}
NAMED: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", "S: 250 ok")
BLOCK = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 10_000  # goes out as it is, in one chunk

# With a block of the message heard, and more to come.
TEXT: tuple[Step, ...] = (*extensions("HELP"), *NAMED, "C: DATA", "S: 354 go", Hear(len(BLOCK)))
LMTP: tuple[Step, ...] = ("S: 220 mx", "C: LHLO [127.0.0.1]", "S: 250 mx", *TEXT[4:])
CHUNK: tuple[Step, ...] = (*extensions("CHUNKING"), *NAMED, f"C: BDAT {len(BLOCK)}", Hear(len(BLOCK)))


class Tap:
    """A source that has two blocks and then nothing more, and never says that this was all."""

    def __init__(self) -> None:
        self.is_closed = False
        self.tasks: set[object] = set()

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        try:
            self.tasks.add(asyncio.current_task())
            yield BLOCK
            self.tasks.add(asyncio.current_task())
            yield b"0123456789abcdef\r\n" * 1000
            self.tasks.add(asyncio.current_task())
            await asyncio.Event().wait()
        finally:
            self.tasks.add(asyncio.current_task())
            self.is_closed = True


@pytest.mark.parametrize("end", [(FIN, LISTEN), (RST,), (LISTEN,), (STALL,)], ids=["FIN", "RST", "LISTEN", "STALL"])
@pytest.mark.parametrize(
    ("script", "client_class"),
    [(TEXT, SMTPClient), (LMTP, LMTPClient), (CHUNK, SMTPClient)],
    ids=["text", "lmtp", "chunks"],
)
async def test_a_refusal_is_heard_while_the_source_lets_us_wait(
    script: tuple[Step, ...], client_class: type[SMTPClient], end: tuple[Step, ...]
) -> None:
    if script is CHUNK and end[0] in (LISTEN, STALL):
        end = ("C: RSET", "S: 250 ok", *end)
    source = Tap()
    protocol = "lmtp" if client_class is LMTPClient else "smtp"
    async with ScriptedPeer(*script, "S: 552 5.3.4 too big", *end, lenient=True) as peer:
        client = client_class(peer.endpoint(protocol=protocol))
        await client.connect()
        with pytest.raises(DataRefused, match="too big") as caught:
            await client.send(source, **ENVELOPE)
        client.abort()
    assert caught.value.delivery is Delivery.REFUSED
    assert source.is_closed
    assert len(source.tasks) == 1


@pytest.mark.parametrize("script", [TEXT, CHUNK], ids=["text", "chunks"])
@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
async def test_a_server_that_leaves_while_the_source_lets_us_wait_is_missed(
    script: tuple[Step, ...], end: Step
) -> None:
    source = Tap()
    async with ScriptedPeer(*script, end, LISTEN, lenient=True) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(ConnectionLost) as caught:
            await client.send(source, **ENVELOPE)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert source.is_closed


class Pipe:
    """A binary file that has a block, and then nothing until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self._blocks = [b"0123456789abcdef\r\n" * 1000, BLOCK]

    def read(self, size: int, /) -> bytes:
        if self._blocks:
            return self._blocks.pop()
        self.opened.wait()
        return b""


async def test_a_refusal_is_heard_while_a_file_lets_us_wait() -> None:
    source = Pipe()
    async with ScriptedPeer(*TEXT, "S: 552 5.3.4 too big", LISTEN, lenient=True) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        try:
            with pytest.raises(DataRefused, match="too big") as caught:
                await client.send(source, **ENVELOPE)
        finally:
            source.opened.set()
    assert caught.value.delivery is Delivery.REFUSED


async def test_chunks_that_are_taken_meanwhile_change_nothing() -> None:
    heard = asyncio.Event()

    async def produce() -> AsyncGenerator[bytes, None]:
        yield BLOCK
        yield b"0123456789abcdef\r\n" * 1000
        await heard.wait()

    rest = 18_000
    script: tuple[Step, ...] = (*CHUNK, "S: 250 first", f"C: BDAT {rest} LAST", Hear(rest), "S: 250 taken", *QUIT)
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint()) as client:
        sending = asyncio.create_task(client.send(produce(), **ENVELOPE))
        while "S: 250 first" not in client.transcript.render():
            await turns(1)
        heard.set()
        receipt = await sending
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.octets == len(BLOCK) + rest


CANCELLED = "^the message cannot be read: what its source waited for was cancelled$"
NAME: ContextVar[str] = ContextVar("NAME")


async def test_a_source_is_read_by_one_task_and_sees_what_its_sender_sees() -> None:
    tasks = []
    names = []

    async def produce() -> AsyncGenerator[bytes, None]:
        async with asyncio.timeout(1000):
            for number in range(20):
                tasks.append(asyncio.current_task())
                names.append(NAME.get())
                yield b"Subject: x\r\n\r\n" if number == 0 else b"0123456789abcdef\r\n" * 1000
                await asyncio.sleep(0)

    NAME.set("the sender")
    async with MailServer([Account("b", "", ("b@example.org",))]) as server:
        receipt = await send(produce(), f"smtp://127.0.0.1:{server.smtp_port}", **ENVELOPE)
    assert receipt.delivery is Delivery.ACCEPTED
    assert len(set(tasks)) == 1
    assert set(names) == {"the sender"}


class Lost(Exception):
    """What happens to whoever yields a message."""


async def test_a_source_that_fails_when_it_is_closed_changes_no_outcome() -> None:
    async def produce() -> AsyncGenerator[bytes, None]:
        try:
            yield BLOCK
            await asyncio.Event().wait()
        finally:
            raise Lost("while it was closed")

    async with ScriptedPeer(*TEXT, "S: 552 5.3.4 too big", LISTEN, lenient=True) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(DataRefused) as caught:
            await client.send(produce(), **ENVELOPE)
    assert caught.value.delivery is Delivery.REFUSED


async def test_what_a_source_raises_is_the_outcome_where_the_server_has_said_nothing() -> None:
    async def produce() -> AsyncGenerator[bytes, None]:
        yield BLOCK
        await asyncio.sleep(0)
        raise Lost("the source is gone")

    async with ScriptedPeer(*TEXT, LISTEN, lenient=True) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(SourceFailed, match="the source is gone") as caught:
            await client.send(produce(), **ENVELOPE)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert isinstance(caught.value.__cause__, Lost)


async def awaiting_what_is_cancelled() -> AsyncGenerator[bytes, None]:
    yield BLOCK
    work = asyncio.create_task(asyncio.Event().wait())
    work.cancel()
    await work


async def cancelling_its_own_task() -> AsyncGenerator[bytes, None]:
    yield BLOCK
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


def raising_at_once() -> Iterator[bytes]:
    yield BLOCK
    raise asyncio.CancelledError


@pytest.mark.parametrize("produce", [awaiting_what_is_cancelled, cancelling_its_own_task, raising_at_once])
async def test_a_cancellation_of_what_a_source_waits_for_is_none_of_its_sender(
    produce: Callable[[], AsyncGenerator[bytes, None] | Iterator[bytes]],
) -> None:
    async with ScriptedPeer(*TEXT, LISTEN, lenient=True) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(SourceFailed, match=CANCELLED) as caught:
            await client.send(produce(), **ENVELOPE)
        assert not client.is_connected
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert client.last_receipt == caught.value.receipt
    assert not peer.heard.endswith(b"\r\n.\r\n")


async def test_a_run_has_an_error_for_the_message_whose_source_was_cancelled() -> None:
    async with MailServer([Account("b", "", ("b@example.org",))]) as server:
        endpoint = f"smtp://127.0.0.1:{server.smtp_port}"
        for kind in (SMTPClient, SMTPPool):
            async with kind(endpoint) as sender:
                messages: list[MessageSource] = [BLOCK, awaiting_what_is_cancelled(), BLOCK, BLOCK]
                results = [result async for result in sender.send_all(messages, order="input", **ENVELOPE)]
            assert [type(result.error) for result in results] == [type(None), SourceFailed, type(None), type(None)]
            assert results[1].delivery is Delivery.NOT_SENT
        assert len(server.messages("b")) == 6


async def test_a_generator_of_octets_that_was_begun_is_closed() -> None:
    closed = []

    def produce() -> Iterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            closed.append(True)

    source = produce()  # kept: nobody but the sender closes it
    async with ScriptedPeer(*TEXT, "S: 552 5.3.4 too big", LISTEN, lenient=True) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(DataRefused):
            await client.send(source, **ENVELOPE)
    assert closed == [True]
    assert next(source, None) is None


async def begun(client: SMTPClient, source: MessageSource) -> Reading:
    envelope = Envelope.of(Content(b""), "a@example.org", "b@example.org")
    assert client._session is not None
    return Reading(await Outgoing.prepare(source, envelope, client.extensions), client._session)


async def test_who_waits_for_a_block_while_the_server_says_something_has_none() -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    source = Tap()
    async with ScriptedPeer(*extensions("HELP"), WAIT, "S: 421 bye", LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        reading = await begun(client, source)
        for _ in range(2):
            assert await reading.fetch() is True
            reading.take()
        waiting = asyncio.create_task(reading.fetch())
        await drain_events()
        peer.go_on()
        assert await waiting is False
        await reading.close()
        assert source.is_closed
        assert client._session is not None
        assert client._session.reader is None
        client.abort()
    assert failures == []


async def test_a_source_that_was_read_is_closed_without_a_word() -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    async def produce() -> AsyncGenerator[bytes, None]:
        yield BLOCK

    async with ScriptedPeer(*extensions("HELP"), LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        reading = await begun(client, produce())
        assert await reading.fetch() is True
        reading.take()
        assert await reading.fetch() is True
        assert reading.block is None
        await reading.close()
        client.abort()
    assert failures == []


async def test_a_message_in_memory_leaves_once_though_somebody_is_told_of_it() -> None:
    told: list[tuple[int, int | None]] = []
    message = b"Subject: x\r\n\r\nhello\r\n"
    async with MailServer([Account("b", "", ("b@example.org",))]) as server:
        endpoint = f"smtp://127.0.0.1:{server.smtp_port}"
        async with SMTPClient(endpoint) as client:
            await client.send(message, **ENVELOPE, progress=lambda *how_far: told.append(how_far))
        assert [each.content for each in server.messages("b")] == [message]
    assert told == [(len(message), len(message))]

"""Messages from wherever they come: to the loopback server, octet for octet, and against scripts where they fail."""

import asyncio
import io
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailwire import (
    Delivery,
    InvalidMessage,
    MailwireError,
    MessagePolicy,
    NotSupported,
    SMTPClient,
    SourceFailed,
    send,
)
from mailwire.testing import LISTEN, Account, MailServer, ScriptedPeer, Step
from tests.aio.dialogues import MAILED, QUIT, READY, SENT, extensions

ARGUMENTS: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}
CONTENT = b"Subject: x\n\nhello\n.\n..\n" + b"0123456789\n" * 60_000
AS_SENT = CONTENT.replace(b"\n", b"\r\n")


def pieces() -> Iterator[bytes]:
    yield from (CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000))


async def pieces_later() -> AsyncGenerator[bytes, None]:
    for piece in pieces():
        await asyncio.sleep(0)
        yield piece


@pytest.mark.parametrize("use_chunking", [True, False])
@pytest.mark.parametrize("kind", ["bytes", "text", "path", "file", "iterator", "asynchronous generator"])
async def test_a_message_arrives_octet_for_octet_from_wherever_it_comes(
    kind: str, use_chunking: bool, tmp_path: Path
) -> None:
    (tmp_path / "m").write_bytes(CONTENT)
    message: Any = {
        "bytes": CONTENT,
        "text": CONTENT.decode(),
        "path": tmp_path / "m",
        "file": io.BytesIO(CONTENT),
        "iterator": pieces(),
        "asynchronous generator": pieces_later(),
    }[kind]
    told: list[tuple[int, int | None]] = []

    def progress(octets: int, size: int | None) -> None:
        told.append((octets, size))

    async with MailServer([Account("b", "", ("b@example.org",))]) as server:
        async with SMTPClient(f"smtp://127.0.0.1:{server.smtp_port}") as client:
            receipt = await client.send(message, **ARGUMENTS, use_chunking=use_chunking, progress=progress)
            assert receipt.delivery is Delivery.ACCEPTED
        assert [stored.content for stored in server.messages("b")] == [AS_SENT]
    assert told[-1] == (len(AS_SENT), None if "iterator" in kind or "generator" in kind else len(AS_SENT))


async def test_a_message_without_an_envelope_is_sent_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"From: a@example.org\r\nTo: b@example.org\r\n\r\nhello\r\n")
    async with ScriptedPeer(*READY, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        for message in (tmp_path / "m", io.BytesIO(b"x"), "From: a@example.org\n\nx", [b"x"]):
            with pytest.raises(InvalidMessage, match="given as octets needs a sender and recipients") as caught:
                await client.send(message)
            assert caught.value.delivery is Delivery.NOT_SENT


# What is known beforehand is refused before MAIL, and the connection is good for more


@pytest.mark.parametrize(
    ("octets", "policy"),
    [
        (b"Subject: x\r\n\r\na\0", MessagePolicy()),
        (b"Subject: x\r\n\r\na\n", MessagePolicy(line_ends="reject")),
        (b"Subject: x\r\n\r\n" + b"x" * 999, MessagePolicy()),
        (b"", MessagePolicy()),
        ("Subject: x\r\n\r\nä".encode(), MessagePolicy()),
        ("Subject: ä\r\n\r\nx".encode(), MessagePolicy()),
        (b"Subject: x\r\n\r\nx", MessagePolicy(binary=True)),
    ],
)
@pytest.mark.parametrize("kind", ["bytes", "path", "file"])
async def test_what_cannot_be_sent_is_not_begun(
    kind: str, octets: bytes, policy: MessagePolicy, tmp_path: Path
) -> None:
    (tmp_path / "m").write_bytes(octets)
    message: Any = {"bytes": octets, "path": tmp_path / "m", "file": io.BytesIO(octets)}[kind]
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises((InvalidMessage, NotSupported)) as caught:
            await client.send(message, **ARGUMENTS, policy=policy)
        assert caught.value.delivery is Delivery.NOT_SENT
        await client.send(b"Subject: x\r\n\r\nhello\r\n", **ARGUMENTS)


async def test_nobody_is_connected_to_with_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="FileNotFoundError") as caught:
        await send(tmp_path / "none", "smtp://127.0.0.1:1", **ARGUMENTS)
    assert caught.value.delivery is Delivery.NOT_SENT


# What turns out only as it goes out, ends the attempt: the connection is cut, and the message is not ended


class Lost(Exception):
    """What happens to whoever yields a message."""


def breaking(*octets: bytes) -> Iterator[bytes]:
    yield b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 30_000
    yield from octets
    if not octets:
        raise Lost("the source is gone")


async def breaking_later(*octets: bytes) -> AsyncGenerator[bytes, None]:
    for piece in breaking(*octets):
        await asyncio.sleep(0)
        yield piece


BROKEN: list[tuple[tuple[bytes, ...], type[MailwireError]]] = [
    ((b"a\0",), InvalidMessage),
    ((b"a\n", b"b"), InvalidMessage),
    ((b"x" * 2000,), InvalidMessage),
    ((b"\xff",), NotSupported),
    ((), SourceFailed),
]


@pytest.mark.parametrize(("octets", "kind"), BROKEN)
@pytest.mark.parametrize("make", [breaking, breaking_later])
@pytest.mark.parametrize("chunks", [False, True])
async def test_a_message_that_turns_out_bad_is_never_ended(
    octets: tuple[bytes, ...], kind: type[MailwireError], make: Any, chunks: bool
) -> None:
    begun: tuple[Step, ...] = (*READY, *MAILED[:-1], LISTEN)
    if chunks:
        begun = (*extensions("CHUNKING"), *MAILED[:4], LISTEN)
    async with ScriptedPeer(*begun, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(kind) as caught:
            await client.send(make(*octets), **ARGUMENTS, policy=MessagePolicy(line_ends="reject"))
        assert caught.value.delivery is Delivery.NOT_SENT
        assert caught.value.receipt is not None
        assert caught.value.receipt.delivery is Delivery.NOT_SENT
        assert not client.is_connected
    heard = peer.heard
    assert b"0123456789\r\n" in heard or chunks
    assert not heard.endswith(b"\r\n.\r\n")
    assert b"LAST" not in heard
    if kind is SourceFailed:
        assert isinstance(caught.value.__cause__, Lost)


async def test_a_server_that_has_heard_half_a_message_has_none() -> None:
    async with MailServer([Account("b", "", ("b@example.org",))]) as server:
        for use_chunking in (False, True):
            async with SMTPClient(f"smtp://127.0.0.1:{server.smtp_port}") as client:
                with pytest.raises(SourceFailed):
                    await client.send(breaking(), **ARGUMENTS, use_chunking=use_chunking)
        await send(b"Subject: x\r\n\r\nhello\r\n", f"smtp://127.0.0.1:{server.smtp_port}", **ARGUMENTS)
        assert len(server.messages("b")) == 1


async def test_a_cancellation_in_a_source_ends_the_attempt() -> None:
    waiting = asyncio.Event()
    is_closed = False

    async def hang() -> AsyncGenerator[bytes, None]:
        nonlocal is_closed
        try:
            yield b"Subject: x\r\n\r\n" + b"x\r\n" * 10_000
            waiting.set()
            await asyncio.Event().wait()
        finally:
            is_closed = True

    async with ScriptedPeer(*READY, *MAILED[:-1], LISTEN, guard=None) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        sending = asyncio.create_task(client.send(hang(), **ARGUMENTS))
        await waiting.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert is_closed
        assert not client.is_connected
        assert client.last_receipt is not None
        assert client.last_receipt.delivery is Delivery.NOT_SENT

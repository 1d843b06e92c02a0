import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mailwire.testing import (
    ARGOSOFT,
    Account,
    Maildrop,
    Policy,
    POP3Server,
    Session,
    SMTPServer,
    client_context,
    server_context,
)
from mailwire.testing.connection import Connection
from mailwire.testing.handshake import find_certificate
from tests.written_transport import WrittenTransport

ALICE = Account("alice", "secret")
GREETING = b"220 localhost ESMTP mailwire.testing\r\n"
STILL_HERE = b"250 2.0.0 Still here\r\n"
BEGIN_TLS = b"220 2.0.0 Begin TLS now\r\n"
GOODBYE = b"221 2.0.0 localhost closes the connection\r\n"


@asynccontextmanager
async def served(session: Session) -> AsyncIterator[tuple[Connection, socket.socket]]:
    """A connection that is being served, and the client's end of it; it has to end by itself."""
    ours, theirs = socket.socketpair()
    context = server_context(client_certificates=True)
    connection = Connection(session, context, find_certificate(context))
    serving = asyncio.create_task(connection.serve(theirs))
    with ours:
        ours.setblocking(False)
        yield connection, ours
    await serving


async def read(client: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(client, 1 << 20)


async def read_all(client: socket.socket) -> bytes:
    received = b""
    while piece := await read(client):
        received += piece
    return received


async def write(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


class TLSClient:
    """The client's end of TLS, which sends nothing before it is told to: what leaves together is up to the test."""

    def __init__(self, client: socket.socket, context: ssl.SSLContext | None = None) -> None:
        self._client = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or client_context()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def shake_hands(self) -> None:
        """Shake hands; what the client says last is not sent yet."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.send()
                self._incoming.write(await read(self._client))
            else:
                return

    async def send(self) -> None:
        await write(self._client, self._outgoing.read())

    async def read_all(self) -> bytes:
        """What comes until the server takes its leave."""
        received = b""
        while True:
            try:
                piece = self.tls.read(1 << 20)
            except ssl.SSLWantReadError:
                self._incoming.write(await read(self._client))
                continue
            if not piece:
                return received
            received += piece


# In the clear


async def test_a_client_is_greeted_answered_and_left() -> None:
    session = SMTPServer(Maildrop())
    async with served(session) as (_, client):
        assert await read(client) == GREETING
        await write(client, b"NOOP\r\nNOOP\r\n")
        assert await read(client) == STILL_HERE * 2
        await write(client, b"QUIT\r\n")
        assert await read_all(client) == GOODBYE

    assert session.flights == 2


async def test_a_client_that_says_all_and_closes_its_half_is_answered() -> None:
    async with served(SMTPServer(Maildrop())) as (_, client):
        await write(client, b"NOOP\r\nNO")
        client.shutdown(socket.SHUT_WR)
        assert await read_all(client) == GREETING + STILL_HERE


async def test_a_client_that_vanishes_leaves_the_maildrop() -> None:
    maildrop = Maildrop([ALICE])
    async with served(POP3Server(maildrop)) as (_, client):
        await write(client, b"USER alice\r\nPASS secret\r\n")
        while b"locked" not in await read(client):
            pass
        assert maildrop.open("alice") is None

    assert maildrop.open("alice") is not None


async def test_an_aborted_connection_is_over() -> None:
    async with served(SMTPServer(Maildrop())) as (connection, client):
        assert await read(client) == GREETING
        connection.abort()
        assert await read_all(client) == b""


@pytest.mark.parametrize("tls", ["unavailable", "established"])
@pytest.mark.parametrize("turns", range(3))
async def test_a_connection_can_be_aborted_before_it_is_made(tls: str, turns: int) -> None:
    session = SMTPServer(Maildrop(), tls="established" if tls == "established" else "unavailable")
    async with served(session) as (connection, client):
        for _ in range(turns):
            await asyncio.sleep(0)
        connection.abort()
        assert await read_all(client) == b""

    assert session.closing


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    maildrop = Maildrop([ALICE])
    content = b"x" * (1 << 20) + b"\r\n"
    maildrop.put("alice", content)
    session = POP3Server(maildrop)
    async with served(session) as (_, client):
        await write(client, b"USER alice\r\nPASS secret\r\n" + b"RETR 1\r\n" * 8)
        await write(client, b"QUIT\r\n")
        received = await read_all(client)

    assert received.count(b"octets\r\n" + content + b".\r\n") == 8
    assert received.endswith(b"+OK localhost closes the connection\r\n")


async def test_reading_waits_for_writing_and_for_tls() -> None:
    connection = Connection(SMTPServer(Maildrop(), tls="available"), server_context())
    transport = WrittenTransport()
    connection.connection_made(transport)

    connection.pause_writing()
    connection.resume_writing()
    connection.data_received(b"STARTTLS\r\n")
    connection.resume_writing()

    assert transport.turns == ["paused", "resumed", "paused"]


async def test_each_piece_is_a_write_of_its_own() -> None:
    connection = Connection(POP3Server(Maildrop([ALICE]), quirk=ARGOSOFT))
    transport = WrittenTransport()
    connection.connection_made(transport)
    connection.data_received(b"USER alice\r\nPASS secret\r\n")
    transport.writes.clear()

    connection.data_received(b"UIDL\r\n")

    assert transport.writes == [b"+OK\r\n", b".\r\n"]


# TLS


async def test_tls_begins_behind_the_agreement() -> None:
    session = SMTPServer(Maildrop(), tls="available")
    async with served(session) as (_, client):
        assert await read(client) == GREETING
        await write(client, b"STARTTLS\r\n")
        assert await read(client) == BEGIN_TLS
        tls = TLSClient(client)
        await tls.shake_hands()
        await tls.send()
        tls.tls.write(b"NOOP\r\nQUIT\r\n")
        await tls.send()
        assert await tls.read_all() == STILL_HERE + GOODBYE

    assert session.is_encrypted
    assert session.commands == [b"STARTTLS", b"NOOP", b"QUIT"]


async def test_what_came_in_the_clear_behind_starttls_is_not_heard_under_tls() -> None:
    session = SMTPServer(Maildrop(), tls="available")
    async with served(session) as (_, client):
        assert await read(client) == GREETING
        await write(client, b"STARTTLS\r\nVRFY injected\r\n")
        assert await read(client) == BEGIN_TLS
        tls = TLSClient(client)
        await tls.shake_hands()
        tls.tls.write(b"QUIT\r\n")
        await tls.send()
        assert await tls.read_all() == GOODBYE

    assert session.commands == [b"STARTTLS", b"QUIT"]


async def test_what_comes_with_the_end_of_the_handshake_is_answered_under_tls() -> None:
    session = SMTPServer(Maildrop(), tls="available")
    async with served(session) as (_, client):
        assert await read(client) == GREETING
        await write(client, b"STARTTLS\r\n")
        assert await read(client) == BEGIN_TLS
        tls = TLSClient(client)
        await tls.shake_hands()
        tls.tls.write(b"NOOP\r\n")
        tls.tls.write(b"QUIT\r\n")
        await tls.send()
        assert await tls.read_all() == STILL_HERE + GOODBYE


async def test_a_port_may_speak_tls_from_the_first_byte() -> None:
    session = SMTPServer(Maildrop(), tls="established")
    async with served(session) as (_, client):
        tls = TLSClient(client)
        await tls.shake_hands()
        tls.tls.write(b"NOOP\r\nQUIT\r\n")
        await tls.send()
        assert await tls.read_all() == GREETING + STILL_HERE + GOODBYE


@pytest.mark.parametrize("tls", ["available", "established"])
async def test_a_client_that_takes_its_leave_with_the_handshake_is_left(tls: str) -> None:
    session = SMTPServer(Maildrop(), tls="established" if tls == "established" else "available")
    async with served(session) as (_, client):
        if tls == "available":
            assert await read(client) == GREETING
            await write(client, b"STARTTLS\r\n")
            assert await read(client) == BEGIN_TLS
        end = TLSClient(client)
        await end.shake_hands()
        with pytest.raises(ssl.SSLWantReadError):
            end.tls.unwrap()
        await end.send()
        await read_all(client)

    assert session.closing


async def test_what_comes_with_the_end_of_the_handshake_is_heard_when_the_session_knows_its_channel() -> None:
    for tls in ("available", "established"):
        policy = Policy(mechanisms=("SCRAM-SHA-256-PLUS", "EXTERNAL"))
        session = SMTPServer(
            Maildrop([ALICE]), policy=policy, tls="established" if tls == "established" else "available"
        )
        async with served(session) as (_, client):
            if tls == "available":
                assert await read(client) == GREETING
                await write(client, b"STARTTLS\r\n")
                assert await read(client) == BEGIN_TLS
            end = TLSClient(client, client_context("alice"))
            await end.shake_hands()
            end.tls.write(b"EHLO client.example.org\r\n")
            end.tls.write(b"QUIT\r\n")
            await end.send()
            assert b"\r\n250 AUTH SCRAM-SHA-256-PLUS EXTERNAL\r\n" in await end.read_all()

        assert "tls-server-end-point" in session.channel.bindings
        assert session.channel.client_names == {"alice", "alice@example.org"}


async def test_a_client_that_says_all_with_the_handshake_and_takes_its_leave_is_heard() -> None:
    session = SMTPServer(Maildrop(), tls="established")
    async with served(session) as (_, client):
        end = TLSClient(client)
        await end.shake_hands()
        end.tls.write(b"NOOP\r\n")
        end.tls.write(b"QUIT\r\n")
        with pytest.raises(ssl.SSLWantReadError):
            end.tls.unwrap()
        await end.send()
        await read_all(client)

    assert session.commands == [b"NOOP", b"QUIT"]


# TLS that fails


@pytest.mark.parametrize("said", [b"NOOP\r\n", b"\x16\x03\x01\x00\x02", b""])
async def test_a_client_that_does_not_shake_hands_is_left(said: bytes) -> None:
    session = SMTPServer(Maildrop(), tls="established")
    async with served(session) as (_, client):
        await write(client, said)
        client.shutdown(socket.SHUT_WR)
        await read_all(client)

    assert session.closing
    assert session.commands == []


async def test_a_client_that_does_not_trust_the_certificate_is_left() -> None:
    session = SMTPServer(Maildrop(), tls="available")
    async with served(session) as (_, client):
        assert await read(client) == GREETING
        await write(client, b"STARTTLS\r\n")
        assert await read(client) == BEGIN_TLS
        tls = TLSClient(client, ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            await tls.shake_hands()
        await tls.send()
        await read_all(client)

    assert session.closing
    assert session.commands == [b"STARTTLS"]


async def test_a_connection_can_be_aborted_in_the_handshake() -> None:
    session = SMTPServer(Maildrop(), tls="established")
    async with served(session) as (connection, client):
        tls = TLSClient(client)
        with pytest.raises(ssl.SSLWantReadError):
            tls.tls.do_handshake()
        await tls.send()
        assert await read(client)
        connection.abort()
        await read_all(client)

    assert session.closing


async def test_a_connection_can_be_aborted_before_the_handshake() -> None:
    session = SMTPServer(Maildrop(), tls="available")
    async with served(session) as (connection, client):
        assert await read(client) == GREETING
        connection.data_received(b"STARTTLS\r\n")
        connection.abort()
        await read_all(client)

    assert session.closing

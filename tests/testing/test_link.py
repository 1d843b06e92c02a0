import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from mailwire.testing import client_context, server_context
from mailwire.testing.link import Link
from mailwire.testing.tcp import reset
from mailwire.testing.turns import drain_events, turns
from tests.loops import LikeProactor


class Ends:
    """A link and the socket of the client at its other end."""

    def __init__(self) -> None:
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        self.client.setblocking(False)
        self.wire = bytearray()
        self.link = Link(ours, self.wire)


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    await made.link.close()
    made.client.close()


async def opened(client: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=client, ssl=client_context(), server_hostname="localhost")


async def secured(ends: Ends) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    opening = asyncio.create_task(opened(ends.client))
    await ends.link.shake_hands(server_context())
    return await opening


async def wait_and_break_off(link: Link) -> None:
    receiving = asyncio.create_task(link.receive())
    await drain_events()
    receiving.cancel()
    await asyncio.wait([receiving])


def by_a_loop_that_watches_no_socket(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Have `test` run by a loop like that of Windows."""

    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=LikeProactor) as runner:
            runner.run(test(*arguments, **named))

    return run


async def test_what_arrives_is_received_and_recorded(ends: Ends) -> None:
    ends.client.send(b"QUIT")
    assert await ends.link.receive() == b"QUIT"
    receiving = asyncio.create_task(ends.link.receive())
    await drain_events()
    assert not receiving.done()
    ends.client.send(b"\r\n")
    assert await receiving == b"\r\n"
    assert ends.wire == b"QUIT\r\n"
    assert not ends.link.is_encrypted


async def test_waiting_can_be_broken_off_without_a_loss(ends: Ends) -> None:
    # At every turn around the one in which the octets come.
    for count in range(6):
        receiving = asyncio.create_task(ends.link.receive())
        await turns(1)
        ends.client.send(b"x")
        await turns(count)
        receiving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await receiving
        if receiving.cancelled():
            assert await ends.link.receive() == b"x"
    assert ends.wire == b"xxxxxx"


@by_a_loop_that_watches_no_socket
async def test_of_what_comes_behind_a_wait_that_was_broken_off_one_octet_is_received_before_it_is_wanted() -> None:
    ends = Ends()
    await wait_and_break_off(ends.link)
    ends.client.send(b"NOOP\r\n")
    await drain_events()
    assert ends.wire == b""
    assert ends.link._end.recv(100, socket.MSG_PEEK) == b"OOP\r\n"
    assert await ends.link.receive() == b"NOOP\r\n"
    assert ends.wire == b"NOOP\r\n"
    await ends.link.close()
    ends.client.close()


@pytest.mark.parametrize("said", [b"", b"x"])
@by_a_loop_that_watches_no_socket
async def test_a_wait_that_was_broken_off_leaves_nothing_behind_once_it_is_closed(said: bytes) -> None:
    ends = Ends()
    await wait_and_break_off(ends.link)
    ends.client.send(said)
    await drain_events()
    await ends.link.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await ends.link.receive() == ends.wire == b""
    assert ends.client.recv(10) == b""
    ends.client.close()


@pytest.mark.parametrize("count", range(4))
@by_a_loop_that_watches_no_socket
async def test_who_is_cancelled_while_closing_has_closed(count: int) -> None:
    ends = Ends()
    await wait_and_break_off(ends.link)
    closing = asyncio.create_task(ends.link.close())
    await turns(1 + count)
    closing.cancel()
    await asyncio.wait([closing])
    assert ends.client.recv(10) == b""
    ends.client.close()


@by_a_loop_that_watches_no_socket
async def test_a_connection_that_was_waited_on_can_be_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ours = listener.accept()[0]
    ours.setblocking(False)
    link = Link(ours, bytearray())
    await wait_and_break_off(link)
    with client:
        await link.reset()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert await link.receive() == b""
        with pytest.raises(ConnectionResetError):
            client.recv(10)


@by_a_loop_that_watches_no_socket
async def test_a_cut_behind_a_wait_that_was_broken_off_is_told_to_who_receives_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ours = listener.accept()[0]
    ours.setblocking(False)
    link = Link(ours, bytearray())
    await wait_and_break_off(link)
    reset(client)
    await drain_events()
    assert await link.receive() == b""
    await link.close()


class Strict(asyncio.SelectorEventLoop):
    """A loop that takes a socket that was closed for the caller's fault, as uvloop's does."""

    async def sock_recv(self, sock: socket.socket, n: int) -> bytes:
        """Receive."""
        if sock.fileno() == -1:
            raise ValueError("Invalid file descriptor: -1")
        return await super().sock_recv(sock, n)


@pytest.mark.parametrize("end", [Link.close, Link.reset])
def test_no_event_loop_is_asked_about_a_socket_that_is_closed(end: Callable[[Link], Awaitable[None]]) -> None:
    async def close() -> None:
        ends = Ends()
        with ends.client:
            await end(ends.link)
            assert await ends.link.receive() == b""

    with asyncio.Runner(loop_factory=Strict) as runner:
        runner.run(close())


def test_no_event_loop_has_to_watch_the_socket() -> None:
    async def talk() -> None:
        ends = Ends()
        receiving = asyncio.create_task(ends.link.receive())
        await drain_events()
        ends.client.send(b"QUIT\r\n")
        assert await receiving == b"QUIT\r\n"
        await ends.link.send(b"221 bye\r\n")
        assert ends.client.recv(100) == b"221 bye\r\n"
        ends.client.close()
        assert await ends.link.receive() == b""
        await ends.link.close()

    with asyncio.Runner(loop_factory=LikeProactor) as runner:
        runner.run(talk())


async def test_nothing_is_received_from_a_client_that_is_gone(ends: Ends) -> None:
    ends.client.close()
    assert await ends.link.receive() == b""
    with pytest.raises(OSError, match="Broken pipe"):
        await ends.link.send(b"220 mx\r\n")


async def test_nothing_is_received_once_it_is_closed(ends: Ends) -> None:
    await ends.link.close()
    await ends.link.close()
    assert await ends.link.receive() == b""
    assert ends.client.recv(10) == b""


async def test_one_half_can_be_closed(ends: Ends) -> None:
    await ends.link.send(b"221 bye\r\n")
    ends.link.shut_down()
    assert ends.client.recv(100) == b"221 bye\r\n"
    assert ends.client.recv(100) == b""
    ends.client.send(b"still here")
    assert await ends.link.receive() == b"still here"


async def test_a_close_is_waited_for(ends: Ends) -> None:
    closing = asyncio.create_task(ends.link.wait_closed())
    ends.client.send(b"one")
    await drain_events()
    ends.client.send(b"more")
    await drain_events()
    assert not closing.done()
    ends.client.shutdown(socket.SHUT_WR)
    await closing
    assert ends.wire == b"onemore"


async def test_both_may_close(ends: Ends) -> None:
    await ends.link.close()
    ends.link.shut_down()


async def test_a_connection_can_be_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        link = Link(listener.accept()[0], bytearray())
    with client:
        await link.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(10)


async def test_under_tls_what_is_said_is_enciphered(ends: Ends) -> None:
    reader, writer = await secured(ends)
    assert ends.link.is_encrypted
    writer.write(b"EHLO x\r\n")
    assert await ends.link.receive() == b"EHLO x\r\n"
    assert b"EHLO" not in ends.wire
    assert ends.wire.startswith(b"\x16\x03")
    await ends.link.send(b"250 mx\r\n")
    assert await reader.readline() == b"250 mx\r\n"
    writer.close()
    assert await ends.link.receive() == b""
    await ends.link.notify_close()
    ends.link.shut_down()
    await writer.wait_closed()


async def test_a_close_notify_is_the_end_for_the_client(ends: Ends) -> None:
    reader, writer = await secured(ends)
    await ends.link.notify_close()
    assert await reader.read() == b""
    writer.transport.abort()
    assert await ends.link.receive() == b""


async def test_in_the_clear_there_is_no_close_notify(ends: Ends) -> None:
    await ends.link.notify_close()
    with pytest.raises(BlockingIOError):
        ends.client.recv(1)


async def test_a_client_that_is_cut_off_under_tls_is_gone(ends: Ends) -> None:
    _, writer = await secured(ends)
    writer.transport.abort()
    assert await ends.link.receive() == b""
    await ends.link.notify_close()


@pytest.mark.parametrize(
    "begun", [b"", b"\x17", b"\x17\x03\x03\x00\x45" + bytes(30), b"\x17\x03\x03\x01\x00" + bytes(30)]
)
async def test_tls_is_broken_by_an_alert_even_in_the_middle_of_a_record(ends: Ends, begun: bytes) -> None:
    reader, writer = await secured(ends)
    writer.write(b"EHLO x\r\n")
    assert await ends.link.receive() == b"EHLO x\r\n"
    writer.write(b"NOOP\r\n")  # nobody hears of that
    ends.link._incoming.write(await ends.link.receive_raw() + begun)
    await ends.link.alert()
    with pytest.raises(ssl.SSLError, match="_ALERT_"):
        await reader.read()
    assert await ends.link.receive() == b""
    writer.transport.abort()


async def test_tls_of_a_client_that_is_gone_is_broken_as_well(ends: Ends) -> None:
    _, writer = await secured(ends)
    writer.transport.abort()
    assert await ends.link.receive() == b""
    await ends.link.alert()


async def test_what_is_said_in_the_clear_beneath_tls_is_no_end(ends: Ends) -> None:
    _, writer = await secured(ends)
    writer.write(b"EHLO x\r\n")
    assert await ends.link.receive() == b"EHLO x\r\n"
    ends.client.send(b"NOOP\r\n")
    with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
        await ends.link.receive()
    writer.transport.abort()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_alert_of_the_clients_is_its_end_before_the_connection_ends(
    ends: Ends, version: ssl.TLSVersion
) -> None:
    context = client_context()
    context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    shaking = asyncio.create_task(ends.link.shake_hands(server_context()))
    while not shaking.done():
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        ends.client.send(outgoing.read())
        await drain_events()
        incoming.write(ends.client.recv(1 << 16))
    await ends.link.send_raw(b"\x17\x03\x03\x00\x20" + bytes(32))  # which no client can decipher
    incoming.write(ends.client.recv(100))
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        tls.read()
    ends.client.send(outgoing.read())
    assert await ends.link.receive() == b""


async def test_a_client_that_cannot_decipher_what_is_said_and_goes_has_come_to_its_end(ends: Ends) -> None:
    reader, writer = await secured(ends)
    await ends.link.send_raw(b"220 mx\r\n")  # which no client can decipher
    with pytest.raises(ssl.SSLError):
        await reader.read()
    assert await ends.link.receive() == b""
    writer.transport.abort()


async def test_in_the_clear_there_is_no_tls_to_break(ends: Ends) -> None:
    with pytest.raises(AssertionError, match="there is no TLS to break"):
        await ends.link.alert()


async def test_a_handshake_that_the_client_refuses_fails(ends: Ends) -> None:
    opening = asyncio.create_task(opened(ends.client))
    with pytest.raises(ssl.SSLError):
        await ends.link.shake_hands(server_context("expired"))
    with pytest.raises(ssl.SSLCertVerificationError):
        await opening
    assert not ends.link.is_encrypted


async def test_a_client_that_does_not_say_hello_is_told_so(ends: Ends) -> None:
    ends.client.send(b"\x16\x03\x01\x00\x05hello")
    with pytest.raises(ssl.SSLError):
        await ends.link.shake_hands(server_context())
    assert ends.client.recv(100).startswith(b"\x15\x03")  # an alert (RFC 8446 6)


async def test_what_is_said_first_is_known_before_a_handshake_is_made_of_it(ends: Ends) -> None:
    opening = asyncio.create_task(opened(ends.client))
    hello = await ends.link.hear_hello()
    assert hello.startswith(b"\x16\x03")
    assert hello == ends.wire
    await ends.link.shake_hands(server_context())
    _, writer = await opening
    writer.transport.abort()


async def test_who_says_nothing_at_all_makes_no_handshake(ends: Ends) -> None:
    ends.client.close()
    assert await ends.link.hear_hello() == b""
    with pytest.raises(ssl.SSLError):
        await ends.link.shake_hands(server_context())


async def test_a_client_that_goes_in_the_middle_of_a_handshake_fails_it(ends: Ends) -> None:
    ends.client.close()
    with pytest.raises(ssl.SSLError):
        await ends.link.shake_hands(server_context())

import asyncio
import errno
import os
import select
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mailwire import (
    ConnectionFailed,
    DeadlineExceeded,
    Endpoint,
    InjectedData,
    MailwireError,
    Timeouts,
    TLSFailed,
)
from mailwire.aio.stream import Stream
from mailwire.testing import (
    CLIENT_HELLO,
    CLOSE,
    FIN,
    LISTEN,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WAIT,
    WITHHOLD,
    Endless,
    Hear,
    ScriptedPeer,
    Step,
    Tls,
    client_context,
    server_context,
)
from mailwire.testing.turns import drain_events
from tests.clock import Clock
from tests.failing_sockets import ComplainingSocket
from tests.sasl.secrecy import CANARY, assert_hidden
from tests.written_transport import WrittenTransport

LINE_ROOM = 64 * 1024 - 1
LEAST_READ = 16 * 1024
ARRIVED_LIMIT = 512 * 1024
JOIN_LIMIT = 64 * 1024


def endpoint_for(connect: Callable[[], Awaitable[Any]], **settings: Any) -> Endpoint:
    settings = {"tls": "none", **settings}
    if settings["tls"] != "none":
        settings.setdefault("tls_context", client_context())
    return Endpoint("localhost", connect=connect, **settings)


async def everything(stream: Stream) -> bytes:
    """Read to the end."""
    data = b""
    while not stream.is_at_end:
        await stream.wait()
        data += b"".join(stream.take())
    return data + b"".join(stream.take())


def over_nothing() -> tuple[Stream, WrittenTransport]:
    """Return a stream whose event loop is the test, and the transport that it has."""
    stream, transport = Stream(), WrittenTransport()
    stream.connection_made(transport)
    return stream, transport


def arrive(stream: Stream, data: bytes) -> None:
    """Let `data` arrive, in as many reads as it takes."""
    while data:
        room = stream.get_buffer(-1)
        piece, data = data[: len(room)], data[len(room) :]
        room[: len(piece)] = piece
        stream.buffer_updated(len(piece))


# Opening


async def test_a_stream_opens_over_a_connected_socket() -> None:
    async with ScriptedPeer("S: 220 mx", "C: QUIT") as peer:
        stream = await Stream.open(peer.endpoint())
        await stream.wait()
        assert stream.take() == [b"220 mx\r\n"]
        assert stream.tls_session is None
        stream.write([b"QUIT\r\n"])
        await stream.close(1)
    assert peer.wire == b"QUIT\r\n"


async def test_a_blocking_socket_is_made_one_that_does_not_block() -> None:
    async with ScriptedPeer(STALL) as peer:
        end = await peer.connect()
        end.setblocking(True)

        async def connect() -> socket.socket:
            return end

        stream = await Stream.open(endpoint_for(connect))
        assert end.gettimeout() == 0
        stream.abort()


async def test_a_stream_opens_to_an_address() -> None:
    async with ScriptedPeer("S: 220 mx", CLOSE, listen=True) as peer:
        stream = await Stream.open(peer.endpoint())
        address = stream.local_address
        assert isinstance(address, tuple)
        assert address[0] == "127.0.0.1"
        assert await everything(stream) == b"220 mx\r\n"


async def test_a_stream_opens_to_a_name_that_has_several_addresses() -> None:
    # The listener has the IPv4 address alone; the name may lead to the IPv6 address first.
    async with ScriptedPeer("S: 220 mx", CLOSE, listen=True) as peer:
        stream = await Stream.open(Endpoint("localhost", peer.port, tls="none"))
        assert await everything(stream) == b"220 mx\r\n"


async def test_a_stream_opens_from_an_address() -> None:
    async with ScriptedPeer("S: 220 mx", CLOSE, listen=True) as peer:
        stream = await Stream.open(peer.endpoint(local_address="127.0.0.3"))
        address = stream.local_address
        assert isinstance(address, tuple)
        assert address[0] == "127.0.0.3"
        assert await everything(stream) == b"220 mx\r\n"


@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_a_stream_opens_to_a_unix_socket(tls: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = await asyncio.start_unix_server(
        lambda _, writer: writer.close(), path, ssl=server_context() if tls == "implicit" else None
    )
    async with server:
        stream = await Stream.open(
            Endpoint("localhost", unix_path=path, tls=tls, tls_context=None if tls == "none" else client_context())
        )
        assert (stream.tls_session is None) is (tls == "none")
        assert stream.local_address == ""
        assert await everything(stream) == b""
        await stream.close(1)


async def test_where_there_are_no_unix_sockets_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConnectionFailed, match=r"lmtp\+unix:///run/lmtp: this Python has no Unix sockets"):
        await Stream.open(Endpoint.parse("lmtp+unix:///run/lmtp"))


async def test_a_unix_socket_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed, match=r"no connection to lmtp\+unix:///.*: No such file"):
        await Stream.open(Endpoint.parse(f"lmtp+unix://{tmp_path}/socket"))


async def test_what_a_stream_reader_holds_already_is_not_lost() -> None:
    async with ScriptedPeer("S: 220 mx", "C: EHLO x", "S: 250 mx", CLOSE) as peer:
        stream = await Stream.open(endpoint_for(peer.connect_streams))
        await stream.wait()
        assert stream.take() == [b"220 mx\r\n"]
        stream.write([b"EHLO x\r\n"])
        assert await everything(stream) == b"250 mx\r\n"


async def test_a_stream_reader_that_holds_nothing_is_waited_for() -> None:
    async with ScriptedPeer("C: EHLO x", "S: 250 mx", CLOSE) as peer:
        stream = await Stream.open(endpoint_for(peer.connect_streams))
        stream.write([b"EHLO x\r\n"])
        assert await everything(stream) == b"250 mx\r\n"


@pytest.mark.parametrize(("script", "held"), [([FIN], b""), (["S: 220 mx", FIN], b"220 mx\r\n")])
async def test_a_stream_reader_at_its_end_gives_what_it_holds_and_the_end(script: list[Step], held: bytes) -> None:
    async with ScriptedPeer(*script) as peer:
        stream = await Stream.open(endpoint_for(peer.connect_streams))
        assert stream.is_at_end
        assert b"".join(stream.take()) == held
        stream.abort()


async def test_a_stream_reader_that_holds_its_peer_back_is_let_go() -> None:
    body = b"x" * 1_000_000  # more than the reader's limit and the socket's buffers
    async with ScriptedPeer(body, CLOSE) as peer:
        stream = await Stream.open(endpoint_for(peer.connect_streams))
        assert await everything(stream) == body


async def test_a_stream_reader_that_failed_is_no_connection() -> None:
    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await peer.connect_streams()
        reader.set_exception(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        writer.transport.abort()
        return reader, writer

    async with ScriptedPeer(STALL) as peer:
        with pytest.raises(ConnectionFailed, match="no connection to smtp://localhost:25: Connection reset by peer"):
            await Stream.open(endpoint_for(connect))


async def test_what_comes_behind_what_a_stream_reader_held_is_read_as_well() -> None:
    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await peer.connect_streams()
        await drain_events()
        return reader, writer

    async with ScriptedPeer("S: 220 one", WAIT, "S: 220 two", STALL) as peer:
        stream = await Stream.open(endpoint_for(connect))
        peer.go_on()
        await drain_events()
        assert b"".join(stream.take()) == b"220 one\r\n220 two\r\n"
        assert not stream.is_at_end
        stream.abort()


async def test_a_hook_that_is_cancelled_by_nobody_is_a_connection_failed() -> None:
    async def connect() -> socket.socket:
        raise asyncio.CancelledError

    with pytest.raises(ConnectionFailed, match=r"^what connect= waited for was cancelled$"):
        await Stream.open(endpoint_for(connect))


async def test_a_refused_connection_is_a_connection_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailed, match=rf"^no connection to smtp://127\.0\.0\.1:{port}: ") as caught:
        await Stream.open(Endpoint("127.0.0.1", port, tls="none"))
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host"),
        (OSError("the proxy is not there"), "the proxy is not there"),
        (OSError(), "OSError"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "Connection timed out"),
        (ssl.SSLError(1, "the proxy's certificate"), "the proxy's certificate"),
    ],
)
async def test_an_error_of_the_operating_system_is_a_connection_failed(error: OSError, reason: str) -> None:
    async def connect() -> socket.socket:
        raise error

    with pytest.raises(ConnectionFailed) as caught:
        await Stream.open(endpoint_for(connect))
    assert str(caught.value) == f"no connection to smtp://localhost:25: {reason}"
    assert caught.value.__cause__ is error


async def test_an_error_of_the_caller_s_own_stays_as_it_is() -> None:
    async def connect() -> socket.socket:
        raise LookupError("no such proxy")

    with pytest.raises(LookupError, match="no such proxy"):
        await Stream.open(endpoint_for(connect))


async def test_a_connection_that_takes_too_long_to_make_ends_at_its_deadline() -> None:
    async def connect() -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError("this is never reached")

    with pytest.raises(DeadlineExceeded) as caught:
        await Stream.open(endpoint_for(connect, timeouts=Timeouts(connect=0.01)))
    assert caught.value.phase == "connect"


@pytest.mark.parametrize("made", [None, 7, "socket" * 20, (), (1, 2), [1, 2, 3]], ids=repr)
async def test_what_is_neither_a_socket_nor_streams_is_quoted(made: object) -> None:
    async def connect() -> object:
        return made

    with pytest.raises(ValueError) as caught:
        await Stream.open(endpoint_for(connect))
    expected = "expected connect= to return a connected socket, or a reader and its writer"
    assert str(caught.value) == f"{expected}, got {repr(made)[:100]} ({type(made).__name__})"


async def test_a_hook_that_is_no_async_function_is_explained_and_what_it_made_is_closed() -> None:
    ours, theirs = socket.socketpair()
    for made, shown in ((ours, "<socket.socket fd="), (None, "None (NoneType)")):
        settings: Any = {"connect": lambda made=made: made}
        with pytest.raises(ValueError, match=r"^expected connect= to be an async function, but it returned ") as caught:
            await Stream.open(Endpoint("localhost", **settings))
        assert f"returned {shown}" in str(caught.value)
    assert ours.fileno() == -1
    theirs.close()


async def test_a_socket_with_tls_of_its_own_is_no_connected_socket() -> None:
    ours, theirs = socket.socketpair()
    wrapped = client_context().wrap_socket(ours, server_hostname="localhost", do_handshake_on_connect=False)

    async def connect() -> socket.socket:
        return wrapped

    with theirs, pytest.raises(ValueError, match=r"^expected connect= to return .*, got <ssl\.SSLSocket"):
        await Stream.open(endpoint_for(connect))
    assert wrapped.fileno() == -1


# TLS


async def test_implicit_tls_is_in_force_when_the_stream_opens() -> None:
    async with ScriptedPeer(Tls(), "S: 220 mx", "C: QUIT", CLOSE) as peer:
        stream = await Stream.open(peer.endpoint(tls="implicit"))
        assert stream.tls_session
        stream.write([b"QUIT\r\n"])
        assert await everything(stream) == b"220 mx\r\n"
    assert peer.heard == b"QUIT\r\n"
    assert b"QUIT" not in peer.wire


async def test_implicit_tls_works_over_a_pair_of_streams() -> None:
    async with ScriptedPeer(Tls(), "S: 220 mx", "C: QUIT", CLOSE) as peer:
        stream = await Stream.open(endpoint_for(peer.connect_streams, tls="implicit"))
        assert stream.tls_session
        stream.write([b"QUIT\r\n"])
        assert await everything(stream) == b"220 mx\r\n"


async def test_implicit_tls_works_to_an_address_that_the_certificate_holds() -> None:
    async with ScriptedPeer(Tls(), "S: 220 mx", CLOSE, listen=True) as peer:
        stream = await Stream.open(peer.endpoint(tls="implicit"))
        assert await everything(stream) == b"220 mx\r\n"


async def test_a_name_with_a_dot_at_its_end_is_the_name_without_it() -> None:
    async with ScriptedPeer(Tls(), LISTEN) as peer:
        endpoint = Endpoint("localhost.", connect=peer.connect, tls_context=client_context())
        stream = await Stream.open(endpoint)
        assert stream.tls_info is not None
        assert stream.tls_info.is_verified
        stream.abort()


@pytest.mark.parametrize("host", ["::1%lo", "::1%eth0.1"])
async def test_an_address_with_a_zone_is_to_the_server_the_one_without_it(host: str) -> None:
    async with ScriptedPeer(Tls(), LISTEN) as peer:
        endpoint = Endpoint(host, connect=peer.connect, tls_context=client_context())
        stream = await Stream.open(endpoint)
        assert stream.tls_info is not None
        assert stream.tls_info.is_verified
        stream.abort()


async def test_tls_begins_in_the_middle_when_asked_to() -> None:
    async with ScriptedPeer("S: 220 go", Tls(), "C: EHLO x", "S: 250 mx", CLOSE) as peer:
        stream = await Stream.open(peer.endpoint(tls="starttls"))
        await stream.wait()
        stream.take()
        await stream.start_tls(peer.endpoint(tls="starttls"))
        assert stream.tls_session
        stream.write([b"EHLO x\r\n"])
        assert await everything(stream) == b"250 mx\r\n"
        assert stream.error is None


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("other-host", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("self-signed", "self-signed certificate"),
    ],
)
async def test_a_certificate_that_proves_nothing_is_refused(certificate: str, reason: str) -> None:
    async with ScriptedPeer(Tls(certificate)) as peer:
        with pytest.raises(TLSFailed, match=rf"the certificate of smtps://localhost:465 was not accepted: .*{reason}"):
            await Stream.open(peer.endpoint(tls="implicit"))
    assert peer.handshake_error is not None
    assert peer.heard == b""


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "b", "c", "d", "e"], "a, b, c, d, e"),
        (["a", "b", "c", "d", "e", "f"], "a, b, c, d, e and 1 more"),
        ([f"{number}" for number in range(2_000)], "0, 1, 2, 3, 4 and 1995 more"),
        (["x" * 254, "b"], f"{'x' * 253}, b"),
    ],
)
async def test_of_the_names_that_a_certificate_is_for_a_few_are_told(
    names: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.aio.stream_opening.names_refused", lambda _: names)
    async with ScriptedPeer(Tls("other-host")) as peer:
        with pytest.raises(TLSFailed) as caught:
            await Stream.open(peer.endpoint(tls="implicit"))
    assert str(caught.value).endswith(f" was not accepted: it is for {told}, and localhost was asked for")


async def test_by_default_the_test_authority_is_not_trusted() -> None:
    async with ScriptedPeer(Tls()) as peer:
        with pytest.raises(TLSFailed, match=r"was not accepted: .*certificate"):
            await Stream.open(peer.endpoint(tls="implicit", tls_context=None), ssl.create_default_context())
    assert peer.heard == b""


async def test_a_certificate_for_the_name_is_not_one_for_the_address() -> None:
    async with ScriptedPeer(Tls("other-host")) as peer:
        with pytest.raises(TLSFailed, match="IP address mismatch"):
            await Stream.open(Endpoint("127.0.0.1", connect=peer.connect, tls_context=client_context()))


async def test_a_server_that_speaks_no_tls_is_told_as_that() -> None:
    async with ScriptedPeer("S: 220 mx.example.org ESMTP", LISTEN) as peer:
        with pytest.raises(
            TLSFailed,
            match=r"this port speaks plaintext SMTP, not TLS \(.*; it may want tls=.starttls.\)",
        ):
            await Stream.open(peer.endpoint(tls="implicit"))


async def test_a_server_that_spoke_before_tls_could_begin_is_told_as_that() -> None:
    async with ScriptedPeer("S: 220 mx") as peer:
        with pytest.raises(TLSFailed, match=r"speaks plaintext SMTP, not TLS .*: it began with b'220 mx\\r\\n'"):
            await Stream.open(endpoint_for(peer.connect_streams, tls="implicit"))
    assert peer.wire == b""


async def test_a_server_without_a_common_version_of_tls_is_told_by_the_library_s_reason() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")  # the certificate has no RSA key
    async with ScriptedPeer(Tls()) as peer:
        with pytest.raises(TLSFailed, match=r"no TLS session with smtps://localhost:465: .*HANDSHAKE_FAILURE"):
            await Stream.open(peer.endpoint(tls="implicit", tls_context=old))


@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
@pytest.mark.parametrize("hello", [(), (CLIENT_HELLO,)], ids=["before the hello", "behind the hello"])
async def test_a_server_that_closes_inside_the_handshake_has_no_tls(end: Step, hello: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*hello, end, LISTEN) as peer:
        with pytest.raises(TLSFailed, match="the connection ended during the handshake"):
            await Stream.open(peer.endpoint(tls="implicit"))


@pytest.mark.parametrize("script", [(LISTEN,), (CLIENT_HELLO, STALL)], ids=["silent", "silent behind the hello"])
async def test_a_handshake_that_never_ends_ends_at_its_deadline(script: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(DeadlineExceeded) as caught:
            await Stream.open(peer.endpoint(tls="implicit", timeouts=Timeouts(handshake=0.01)))
    assert caught.value.phase == "handshake"


async def test_a_handshake_has_the_deadline_of_the_endpoint_and_none_of_the_event_loop_s_own() -> None:
    clock = Clock()
    async with ScriptedPeer(CLIENT_HELLO, STALL, guard=None) as peer:
        endpoint = peer.endpoint(tls="implicit", timeouts=Timeouts(handshake=1000))
        opening = asyncio.create_task(Stream.open(endpoint))
        await clock.advance(0)
        await clock.advance(900)  # asyncio gives up after 60 by itself
        assert not opening.done()
        await clock.advance(100)
        with pytest.raises(DeadlineExceeded) as caught:
            await opening
    assert caught.value.phase == "handshake"


async def test_a_stream_that_is_cut_inside_the_handshake_has_no_tls() -> None:
    async with ScriptedPeer("S: 220 go", CLIENT_HELLO, LISTEN) as peer:
        stream = await Stream.open(peer.endpoint(tls="starttls"))
        await stream.wait()
        stream.take()
        upgrading = asyncio.create_task(stream.start_tls(peer.endpoint(tls="starttls")))
        await drain_events()
        stream.abort()
        with pytest.raises(TLSFailed, match="the connection ended during the handshake"):
            await upgrading
        assert stream.tls_session is None


async def test_garbage_behind_the_hello_is_no_tls() -> None:
    async with ScriptedPeer(CLIENT_HELLO, b"\x16\x03\x03\xff\xff" + b"\0" * 70000, LISTEN) as peer:
        with pytest.raises(TLSFailed):
            await Stream.open(peer.endpoint(tls="implicit"))


async def test_implicit_tls_over_streams_at_their_end_fails_at_once() -> None:
    # No end will be told a second time: who waits for it waits for the deadline.
    async with ScriptedPeer(FIN, LISTEN) as peer:
        with pytest.raises(TLSFailed, match="the connection ended during the handshake"):
            await Stream.open(endpoint_for(peer.connect_streams, tls="implicit", timeouts=Timeouts(handshake=0.5)))


@asynccontextmanager
async def proxy_under_tls(peer: ScriptedPeer) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Yield what connects to `peer` through a proxy that is spoken to by TLS."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer_reader, peer_writer = await peer.connect_streams()
        await asyncio.gather(pass_on(reader, peer_writer), pass_on(peer_reader, writer), return_exceptions=True)
        writer.transport.abort()
        peer_writer.transport.abort()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", ssl=server_context()) as server:
        port = server.sockets[0].getsockname()[1]
        yield lambda: asyncio.open_connection("localhost", port, ssl=client_context())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([Tls("other-host")], "certificate of smtps://localhost:465 was not accepted: .*Hostname mismatch"),
        ([CLIENT_HELLO, "S: 220 mx.example.org ESMTP", LISTEN], "this port speaks plaintext SMTP, not TLS"),
        ([CLIENT_HELLO, FIN, LISTEN], "localhost:465: the connection ended during the handshake: "),
    ],
    ids=["certificate", "plaintext", "end"],
)
async def test_tls_that_fails_over_tls_of_a_proxy_is_told_as_any_other(script: list[Step], reason: str) -> None:
    async with ScriptedPeer(*script) as peer, proxy_under_tls(peer) as connect:
        with pytest.raises(TLSFailed, match=reason):
            await Stream.open(endpoint_for(connect, tls="implicit"))


async def test_over_a_transport_of_which_nothing_is_known_there_can_be_no_tls() -> None:
    class UnknownTransport(WrittenTransport):
        is_cut = False

        def abort(self) -> None:
            self.is_cut = True

        def is_closing(self) -> bool:
            return self.is_cut

        def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
            self.protocol = protocol

        def get_protocol(self) -> asyncio.BaseProtocol:
            return self.protocol

        def resume_reading(self) -> None:
            pass

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())

    transport = UnknownTransport()
    with pytest.raises(
        TLSFailed, match=r"^no TLS session with smtps://localhost:465: .* is not supported by start_tls"
    ):
        await Stream.open(endpoint_for(connect, tls="implicit"))
    assert transport.is_cut


async def test_what_goes_wrong_in_a_session_of_the_callers_own_is_no_failure_of_tls() -> None:
    class WrongSession(ssl.SSLObject):
        def getpeercert(self, binary_form: bool = False) -> Any:
            raise TypeError("of the caller's own")

    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    context = client_context()
    context.sslobject_class = WrongSession
    async with ScriptedPeer(Tls(), LISTEN) as peer:
        with pytest.raises(TypeError, match=r"^of the caller's own$"):
            await Stream.open(endpoint_for(peer.connect, tls="implicit", tls_context=context))
    assert [str(complaint["exception"]) for complaint in complaints] == ["of the caller's own"]


async def test_octets_before_a_handshake_are_an_attack() -> None:
    async with ScriptedPeer("S: 220 go", PACKET, "S: 250 injected") as peer:
        stream = await Stream.open(peer.endpoint())
        await stream.wait()
        stream.take()
        await drain_events()
        with pytest.raises(InjectedData, match=r"expected a TLS handshake, but got b'250 injected"):
            await stream.start_tls(peer.endpoint(tls="starttls"))
        stream.abort()
    assert peer.wire == b""


class FailingSocket(socket.socket):
    """A socket of which reading or writing fails with `error`, from the call with number `at` on."""

    reading: bool
    at: int
    error: OSError
    calls = 0

    @classmethod
    def over(cls, end: socket.socket, *, reading: bool, at: int, error: OSError) -> "FailingSocket":
        failing = cls(end.family, end.type, end.proto, fileno=end.detach())
        failing.reading, failing.at, failing.error = reading, at, error
        return failing

    def _count(self, *, reading: bool) -> None:
        if reading == self.reading:
            self.calls += 1
            if self.calls >= self.at:
                raise self.error

    def recv(self, *arguments: Any) -> bytes:
        self._count(reading=True)
        return super().recv(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        self._count(reading=True)
        return super().recv_into(*arguments)

    def send(self, *arguments: Any) -> int:
        self._count(reading=False)
        return super().send(*arguments)

    def sendmsg(self, *arguments: Any) -> int:
        self._count(reading=False)
        return super().sendmsg(*arguments)


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("reading", [True, False], ids=["reading", "writing"])
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
    ],
    ids=["reset", "unreachable", "timed out"],
)
async def test_an_error_of_the_socket_during_a_handshake_is_of_our_tree(
    error: OSError, tls: str, reading: bool, at: int
) -> None:
    async def connect() -> socket.socket:
        return FailingSocket.over(await peer.connect(), reading=reading, at=at, error=error)

    async with ScriptedPeer(Tls(), LISTEN) as peer:
        endpoint = endpoint_for(connect, tls=tls)
        stream = None
        try:
            stream = await Stream.open(endpoint)
            if tls == "starttls":
                await stream.start_tls(endpoint)
        except MailwireError:
            pass
        finally:
            if stream is not None:
                stream.abort()


# Reading


async def test_of_a_stream_that_has_not_opened_nothing_has_come() -> None:
    stream = Stream()
    assert stream.is_at_end is False
    assert stream.has_news is False
    assert stream.peek() == b""
    assert stream.take() == []


async def test_what_was_taken_is_no_news_any_more() -> None:
    stream, _ = over_nothing()
    arrive(stream, b"220 mx\r\n")
    assert stream.has_news is True
    assert stream.peek() == b"220 mx\r\n"
    stream.take()
    assert stream.has_news is False
    stream.eof_received()
    stream.take()
    assert stream.has_news is True


async def test_what_has_come_in_one_piece_is_seen_before_it_is_taken_unless_the_stream_has_ended() -> None:
    stream, _ = over_nothing()
    assert stream.sole is None
    arrive(stream, b"250 ok\r\n")
    assert stream.sole == b"250 ok\r\n"
    arrive(stream, b"354 go on\r\n")
    assert stream.sole is None
    assert stream.take() == [b"250 ok\r\n", b"354 go on\r\n"]
    arrive(stream, b"250 ok\r\n")
    stream.eof_received()
    assert stream.sole is None
    assert stream.take() == [b"250 ok\r\n"]


class Knowing:
    """Hears one thing alone, and keeps what it was offered."""

    def __init__(self, known: bytes = b"250 ok\r\n") -> None:
        self.offered: list[bytes] = []
        self._known = known

    def hear(self, data: bytes) -> bool:
        self.offered.append(data)
        return data == self._known


async def test_what_is_offered_and_heard_is_taken() -> None:
    stream, knowing = over_nothing()[0], Knowing()
    assert not stream.offer(knowing)
    arrive(stream, b"250 ok\r\n")
    assert stream.offer(knowing)
    assert (stream.take(), stream.has_news) == ([], False)
    arrive(stream, b"250 ok")
    assert not stream.offer(knowing)
    assert stream.has_news
    arrive(stream, b"\r\n")
    assert not stream.offer(knowing)
    assert stream.take() == [b"250 ok", b"\r\n"]
    assert knowing.offered == [b"250 ok\r\n", b"250 ok"]


async def test_what_the_end_has_come_behind_is_offered_to_nobody() -> None:
    stream, knowing = over_nothing()[0], Knowing()
    arrive(stream, b"250 ok\r\n")
    stream.eof_received()
    assert not stream.offer(knowing)
    assert (knowing.offered, stream.has_news) == ([], True)
    assert stream.take() == [b"250 ok\r\n"]


async def test_what_was_heard_counts_no_more_against_what_may_arrive() -> None:
    stream, transport = over_nothing()
    data = b"\n" * 8192
    for _ in range(ARRIVED_LIMIT // len(data) + 1):
        arrive(stream, data)
        assert stream.offer(Knowing(data))
    assert transport.turns == []


async def test_a_wait_ends_when_the_stream_is_nudged() -> None:
    stream, _ = over_nothing()
    waiting = asyncio.create_task(stream.wait())
    await drain_events()
    assert not waiting.done()
    stream.nudge()
    await drain_events()
    assert waiting.done()
    stream.nudge()  # before the next wait
    at_once = asyncio.create_task(stream.wait())
    await drain_events()
    assert at_once.done()
    again = asyncio.create_task(stream.wait())
    await drain_events()
    assert not again.done()
    again.cancel()


async def test_what_arrives_is_taken_once() -> None:
    async with ScriptedPeer("S: 220 mx", PACKET, "S: 250 x") as peer:
        stream = await Stream.open(peer.endpoint())
        await drain_events()
        assert stream.take() == [b"220 mx\r\n", b"250 x\r\n"]
        assert stream.take() == []
        stream.abort()


async def test_a_wait_ends_when_something_arrives() -> None:
    async with ScriptedPeer("C: QUIT", "S: 221 bye") as peer:
        stream = await Stream.open(peer.endpoint())
        waiting = asyncio.create_task(stream.wait())
        await drain_events()
        assert not waiting.done()
        stream.write([b"QUIT\r\n"])
        await waiting
        assert stream.take() == [b"221 bye\r\n"]
        stream.abort()


async def test_a_wait_ends_at_its_time_and_may_begin_again() -> None:
    async with ScriptedPeer("C: QUIT", "S: 221 bye") as peer:
        clock, loop = Clock(), asyncio.get_running_loop()
        stream = await Stream.open(peer.endpoint())
        waiting = asyncio.create_task(stream.wait(loop.time() + 3))
        await clock.advance(2)
        assert not waiting.done()
        await clock.advance(2)
        with pytest.raises(TimeoutError):
            await waiting
        assert not stream.has_news
        stream.write([b"QUIT\r\n"])
        await stream.wait(loop.time() + 3)
        assert stream.has_news
        await clock.advance(4)  # nobody waits any more
        assert stream.take() == [b"221 bye\r\n"]
        stream.abort()


async def test_a_time_that_comes_together_with_what_was_waited_for_does_no_harm() -> None:
    async with ScriptedPeer(STALL) as peer:
        clock, loop = Clock(), asyncio.get_running_loop()
        stream = await Stream.open(peer.endpoint())
        waiting = asyncio.create_task(stream.wait(loop.time() + 3))
        await drain_events()
        loop.call_at(loop.time() + 2, stream.buffer_updated, 0)  # just before the time, in the same turn
        await clock.advance(4)
        await waiting
        stream.abort()


async def test_a_time_that_comes_while_the_stream_is_woken_for_something_else_is_not_missed() -> None:
    async with ScriptedPeer(STALL) as peer:
        clock, loop = Clock(), asyncio.get_running_loop()
        stream = await Stream.open(peer.endpoint())
        waiting = asyncio.create_task(stream.wait(loop.time() + 3))
        await drain_events()
        loop.call_at(loop.time() + 2, stream.resume_writing)  # just before the time, in the same turn
        await clock.advance(4)
        assert waiting.done()
        with pytest.raises(TimeoutError):
            await waiting
        stream.abort()


async def awaited(stream: Stream, until: float | None) -> None:
    await stream.arrival(until, LookupError)


async def test_an_arrival_is_awaited_until_something_arrives_or_its_time_comes() -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    stream, _ = over_nothing()
    waiting = asyncio.create_task(awaited(stream, loop.time() + 3))
    await clock.advance(2)
    assert not waiting.done()
    arrive(stream, b"220 mx\r\n")
    await waiting
    assert stream.take() == [b"220 mx\r\n"]
    late = asyncio.create_task(awaited(stream, loop.time() + 3))
    await clock.advance(2)
    assert not late.done()
    await clock.advance(2)
    with pytest.raises(LookupError):
        await late
    endless = asyncio.create_task(awaited(stream, None))
    await clock.advance(1000)
    assert not endless.done()
    stream.eof_received()
    await endless


async def test_who_awaits_an_arrival_lets_a_peer_go_on_that_was_held_back() -> None:
    stream, transport = over_nothing()
    arrive(stream, b"x" * ARRIVED_LIMIT)
    assert transport.turns == ["paused"]
    stream.arrival(None, LookupError)
    stream.arrival(None, LookupError)
    assert transport.turns == ["paused", "resumed"]


async def beside_work(stream: Stream) -> None:
    await stream.wait_beside(asyncio.get_running_loop().create_future())


@pytest.mark.parametrize(
    "wait", [Stream.wait, Stream.wait_writable, beside_work, lambda stream: awaited(stream, None)], ids=range(4)
)
async def test_of_the_time_of_what_has_arrived_nobody_hears_who_waits_for_something_else(
    wait: Callable[[Stream], Any],
) -> None:
    clock = Clock()
    stream, _ = over_nothing()
    stream.pause_writing()
    waiting = asyncio.create_task(awaited(stream, asyncio.get_running_loop().time() + 3))
    await drain_events()
    arrive(stream, b"354 go on\r\n")
    await waiting
    stream.take()
    otherwise = asyncio.create_task(wait(stream))
    await clock.advance(10)
    assert not otherwise.done()
    arrive(stream, b"552 too much\r\n")
    await otherwise


async def test_on_windows_each_connection_reads_into_a_buffer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Stream().get_buffer(-1) is Stream().get_buffer(-1)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        one, other = Stream(), Stream()
    # Two reads under way at once, as there the event loop has them.
    first, second = one.get_buffer(-1), other.get_buffer(-1)
    first[:3], second[:3] = b"one", b"two"
    one.buffer_updated(3)
    other.buffer_updated(3)
    assert (one.take(), other.take()) == ([b"one"], [b"two"])


async def test_streams_of_two_threads_do_not_read_into_the_same() -> None:
    async def theirs() -> memoryview:
        return Stream().get_buffer(-1)

    ours = Stream().get_buffer(-1)
    other = await asyncio.to_thread(asyncio.run, theirs())
    ours[:3], other[:3] = b"one", b"two"
    assert ours[:3] == b"one"
    assert len(ours) == len(other) == LINE_ROOM


async def test_what_streams_of_a_thread_have_read_stays_apart() -> None:
    async with ScriptedPeer("S: 220 one") as one, ScriptedPeer("S: 220 other") as other:
        streams = [await Stream.open(peer.endpoint()) for peer in (one, other)]
        for stream in streams:
            await stream.wait()
        assert [stream.take() for stream in streams] == [[b"220 one\r\n"], [b"220 other\r\n"]]
        for stream in streams:
            stream.abort()


@pytest.mark.parametrize("end", [FIN, CLOSE])
async def test_a_wait_ends_at_the_end(end: Step) -> None:
    async with ScriptedPeer(end) as peer:
        stream = await Stream.open(peer.endpoint())
        await stream.wait()
        assert stream.is_at_end
        assert stream.take() == []
        assert stream.error is None


async def test_a_reset_is_the_end_and_says_why() -> None:
    async with ScriptedPeer("S: 220 mx", RST) as peer:
        stream = await Stream.open(peer.endpoint())
        assert await everything(stream) == b"220 mx\r\n"
        await drain_events()
        assert isinstance(stream.error, ConnectionResetError)


async def test_a_loss_that_is_told_twice_keeps_its_first_reason() -> None:
    async with ScriptedPeer(STALL) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.abort()
        reason = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        stream.connection_lost(reason)
        stream.connection_lost(None)
        assert stream.error is reason


async def test_the_reason_of_a_loss_does_not_show_what_was_being_written() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()

    async def connect() -> socket.socket:
        return ours

    stream = await Stream.open(endpoint_for(connect))
    # It is reset under the stream's eyes: only the attempt to write shows it.
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    stream.write([f"PASS {CANARY}\r\n".encode()])
    await drain_events()
    assert stream.is_at_end
    assert isinstance(stream.error, OSError)
    assert_hidden(CANARY, stream.error)


@pytest.mark.parametrize("kind", [socket.socket, ComplainingSocket])
async def test_a_socket_that_no_transport_takes_is_closed(kind: type[socket.socket]) -> None:
    ours = kind(socket.AF_INET, socket.SOCK_DGRAM)

    async def connect() -> socket.socket:
        return ours

    with pytest.raises(ValueError, match="Stream"):
        await Stream.open(endpoint_for(connect))
    assert ours.fileno() == -1


@pytest.mark.parametrize("end", [FIN, CLOSE])
async def test_the_end_under_tls_is_the_end_with_a_close_notify_or_without(end: Step) -> None:
    async with ScriptedPeer(Tls(), "S: 220 mx", end) as peer:
        stream = await Stream.open(peer.endpoint(tls="implicit"))
        assert await everything(stream) == b"220 mx\r\n"
        stream.abort()


@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_a_peer_that_sends_faster_than_is_taken_is_held_back(tls: str) -> None:
    body = b"0123456789abcdef" * 500_000  # 8 MB
    script: list[Step] = [*([Tls()] if tls == "implicit" else []), body, CLOSE]
    async with ScriptedPeer(*script) as peer:
        stream = await Stream.open(peer.endpoint(tls=tls))
        await peer.rest()
        # What lies in the socket's buffers and in ours, with room for what the TLS layer holds.
        assert peer.sent < 2_000_000
        assert await everything(stream) == body


async def test_taking_from_a_stream_that_ended_while_its_peer_was_held_back_is_safe() -> None:
    async with ScriptedPeer(NO_READING, (b"x" * 998 + b"\r\n") * 4_000) as peer:
        stream = await Stream.open(peer.endpoint())
        await peer.rest()
        stream.abort()
        assert stream.is_at_end
        assert len(b"".join(stream.take())) >= 512 * 1024
        await drain_events()
        assert stream.take() == []


async def test_a_peer_is_held_back_when_so_much_has_come_and_not_an_octet_before() -> None:
    stream, transport = over_nothing()
    lines = (b"x" * 1022 + b"\r\n") * 512
    for _ in range(2):
        arrive(stream, lines[1:])
        assert transport.turns == []
        arrive(stream, b"\n")
        assert transport.turns == ["paused"]
        arrive(stream, b"\n")  # it was under way
        assert transport.turns == ["paused"]
        assert len(b"".join(stream.take())) == ARRIVED_LIMIT + 1
        assert transport.turns == ["paused", "resumed"]
        transport.turns.clear()


async def test_a_peer_is_held_back_when_less_than_a_record_of_tls_has_room_in_a_line() -> None:
    stream, transport = over_nothing()
    arrive(stream, b"\n" + b"a" * (LINE_ROOM - LEAST_READ))
    assert len(stream.get_buffer(-1)) == LEAST_READ
    assert transport.turns == []
    arrive(stream, b"a")
    assert transport.turns == ["paused"]
    assert len(stream.get_buffer(-1)) == LEAST_READ  # a read that is under way has room all the same


async def test_a_peer_that_has_ended_is_not_held_back() -> None:
    stream, transport = over_nothing()
    stream.eof_received()
    arrive(stream, b"\n" * ARRIVED_LIMIT)  # a read that was under way
    assert transport.turns == []


async def test_a_line_end_that_comes_alone_ends_the_line() -> None:
    stream, transport = over_nothing()
    arrive(stream, b"a" * (LINE_ROOM - LEAST_READ))
    arrive(stream, b"\n")
    assert len(stream.get_buffer(-1)) == LINE_ROOM
    arrive(stream, b"aaa")
    assert len(stream.get_buffer(-1)) == LINE_ROOM - 3
    arrive(stream, b"aa")
    assert len(stream.get_buffer(-1)) == LINE_ROOM - 5
    assert transport.turns == []


@pytest.mark.parametrize(("begun", "turns"), [(0, ["resumed"]), (1, [])])
async def test_who_takes_lets_the_peer_go_on_if_there_is_room_for_a_record_of_tls(begun: int, turns: list[str]) -> None:
    stream, transport = over_nothing()
    line = b"a" * (LINE_ROOM - LEAST_READ + begun)
    arrive(stream, b"\n" * (ARRIVED_LIMIT - len(line)) + line)
    assert transport.turns == ["paused"]
    stream.take()
    assert transport.turns == ["paused", *turns]


@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_of_a_line_without_end_less_than_64_kib_is_held(tls: str) -> None:
    script: list[Step] = [*([Tls()] if tls == "implicit" else []), b"220 mx\r\n", Endless(b"a")]
    async with ScriptedPeer(*script) as peer:
        stream = await Stream.open(peer.endpoint(tls=tls))
        await peer.rest()
        line = b"".join(stream.take()).removeprefix(b"220 mx\r\n")
        assert 64 * 1024 - 16 * 1024 <= len(line) < 64 * 1024
        # Whoever takes it keeps so much of it.
        stream.kept = lambda: 8193
        await stream.wait()
        await peer.rest()
        more = sum(map(len, stream.take()))
        assert 64 * 1024 - 16 * 1024 <= more + 8193 < 64 * 1024
        stream.abort()


async def test_of_a_line_of_which_nothing_is_kept_any_length_is_read() -> None:
    body = b"0123456789abcdef" * 100_000
    async with ScriptedPeer(body, CLOSE) as peer:
        stream = await Stream.open(peer.endpoint())
        assert await everything(stream) == body


async def test_whoever_keeps_more_of_a_line_than_there_is_room_for_gets_more_if_it_waits_for_it() -> None:
    async with ScriptedPeer(b"a" * 1_000_000, CLOSE) as peer:
        stream = await Stream.open(peer.endpoint())
        kept = 0
        stream.kept = lambda: kept
        while not stream.is_at_end:
            await stream.wait()
            taken = sum(map(len, stream.take()))
            assert kept < 64 * 1024 or taken <= 16 * 1024
            kept += taken
        assert kept == 1_000_000


async def held_back(peer: ScriptedPeer) -> Stream:
    """Return a stream whose peer is held back, though nothing is there that was not taken."""
    stream = await Stream.open(peer.endpoint())
    await peer.rest()
    kept = 0
    stream.kept = lambda: kept
    kept = sum(map(len, stream.take()))
    assert kept > 64 * 1024 - 16 * 1024
    await peer.rest()
    assert not stream.has_news
    return stream


async def test_a_peer_that_is_held_back_is_let_go_by_a_wait_beside_work() -> None:
    async with ScriptedPeer(NO_READING, b"a" * 1_000_000) as peer:
        stream = await held_back(peer)
        assert not await stream.wait_beside(asyncio.get_running_loop().create_future())
        assert stream.take()
        stream.abort()


async def test_a_peer_that_is_held_back_is_let_go_by_a_wait_for_it_to_read() -> None:
    async with ScriptedPeer(NO_READING, b"a" * 1_000_000) as peer:
        stream = await held_back(peer)
        stream.write([b"x" * 4_000_000])
        assert not await stream.wait_writable()
        assert stream.take()
        stream.abort()


async def test_a_peer_that_says_too_much_to_one_who_cuts_the_connection_is_held_back_no_more() -> None:
    async with ScriptedPeer(b"a" * 1_000_000, lenient=True) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.kept = lambda: 64 * 1024
        waiting = asyncio.ensure_future(stream.wait())
        waiting.add_done_callback(lambda _: stream.abort())
        await waiting
        await drain_events()
        assert stream.is_at_end


async def test_a_wait_beside_work_leaves_nothing_at_the_work() -> None:
    class Work(asyncio.Future[None]):
        told: ClassVar[list[object]] = []

        def add_done_callback(self, fn: Any, /, *, context: Any = None) -> None:
            self.told.append(fn)
            super().add_done_callback(fn, context=context)

        def remove_done_callback(self, fn: Any, /) -> int:
            self.told.remove(fn)
            return super().remove_done_callback(fn)

    stream, _ = over_nothing()
    work = Work()
    beside = asyncio.create_task(stream.wait_beside(work))
    await drain_events()
    assert len(Work.told) == 1
    arrive(stream, b"220 mx\r\n")
    assert not await beside
    assert Work.told == []
    assert not work.done()


# Writing


async def test_blocks_leave_in_order() -> None:
    large = b"y" * 100_000
    async with ScriptedPeer(Hear(200_006), CLOSE) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"abc", b"def"])
        stream.write([large, large])
        assert await everything(stream) == b""
    assert peer.wire == b"abcdef" + large + large


@pytest.mark.parametrize(
    ("blocks", "writes"),
    [
        ((3,), (3,)),
        ((3, 4), (7,)),
        ((1, JOIN_LIMIT - 1), (JOIN_LIMIT,)),
        ((1, JOIN_LIMIT), (1, JOIN_LIMIT)),
        ((3, 4, JOIN_LIMIT, 5, 6), (7, JOIN_LIMIT, 11)),
        ((JOIN_LIMIT + 1, 1), (JOIN_LIMIT + 1, 1)),
        ((1, JOIN_LIMIT - 1, 1, JOIN_LIMIT - 2, 1, 1), (JOIN_LIMIT, JOIN_LIMIT, 1)),
    ],
)
async def test_small_blocks_are_joined_into_one_write_and_large_ones_are_not(
    blocks: tuple[int, ...], writes: tuple[int, ...]
) -> None:
    stream, transport = over_nothing()
    given = [bytes([65 + place]) * size for place, size in enumerate(blocks)]
    stream.write(given)
    assert tuple(map(len, transport.writes)) == writes
    assert b"".join(transport.writes) == b"".join(given)


async def test_nothing_is_written_behind_the_end() -> None:
    async with ScriptedPeer(FIN) as peer:
        stream = await Stream.open(peer.endpoint())
        await stream.wait()
        stream.write([b"QUIT\r\n"])
        stream.abort()
    assert peer.wire == b""


class RefusedTransport(WrittenTransport):
    """A transport whose event loop is refused by the system, once, what the `call` of this name needs.

    calls: all that were made.
    """

    stream: Stream

    def __init__(self, call: str, refusal: Exception) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._call = call
        self._refusal = refusal

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._may_fail("write")

    def resume_reading(self) -> None:
        self._may_fail("resume_reading")

    def close(self) -> None:
        self._may_fail("close")

    def abort(self) -> None:
        self._may_fail("abort")
        # As asyncio's own does.
        asyncio.get_running_loop().call_soon(self.stream.connection_lost, None)

    def _may_fail(self, call: str) -> None:
        self.calls.append(call)
        if call == self._call and self.calls.count(call) == 1:
            raise self._refusal


def refusing(call: str, refusal: Exception) -> tuple[Stream, RefusedTransport]:
    stream, transport = Stream(), RefusedTransport(call, refusal)
    transport.stream = stream
    stream.connection_made(transport)
    return stream, transport


REFUSALS = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), MemoryError()]


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
async def test_who_cannot_write_on_has_lost_the_connection(refusal: Exception) -> None:
    stream, transport = refusing("write", refusal)
    stream.write([b"x" * JOIN_LIMIT, b"y" * JOIN_LIMIT])
    await stream.wait()
    assert stream.is_at_end
    assert stream.error is refusal
    assert refusal.__traceback__ is None
    assert transport.calls == ["write", "abort"]
    await stream.close(None)
    assert stream.error is refusal


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
async def test_who_cannot_read_on_has_lost_the_connection(refusal: Exception) -> None:
    stream, transport = refusing("resume_reading", refusal)
    arrive(stream, b"a" * (64 * 1024 - 2))
    assert transport.turns == ["paused"]
    assert stream.take()
    await stream.wait()
    assert stream.is_at_end
    assert stream.error is refusal
    assert transport.calls == ["resume_reading", "abort"]


async def test_what_a_connection_was_lost_by_first_is_what_is_told() -> None:
    first = ConnectionResetError()
    stream, _ = refusing("resume_reading", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    arrive(stream, b"a" * (64 * 1024 - 2))
    stream.error = first
    assert stream.take()
    assert stream.error is first


async def test_more_may_be_written_while_the_peer_keeps_up() -> None:
    async with ScriptedPeer(Hear(6)) as peer:
        stream = await Stream.open(peer.endpoint())
        assert await stream.wait_writable()
        stream.write([b"QUIT\r\n"])
        assert await stream.wait_writable()
        await stream.close(1)


async def test_a_peer_that_does_not_read_holds_back() -> None:
    async with ScriptedPeer(NO_READING) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"x" * 4_000_000])
        assert not stream.is_writable
        waiting = asyncio.create_task(stream.wait_writable())
        await drain_events()
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        stream.abort()


async def test_writing_goes_on_when_the_peer_reads_again() -> None:
    async with ScriptedPeer(Hear(2_000_000), LISTEN) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"x" * 2_000_000])
        assert await stream.wait_writable()
        await stream.close(1)
    assert len(peer.wire) == 2_000_000


async def test_a_word_of_the_peer_ends_the_wait_for_it_to_read() -> None:
    async with ScriptedPeer(NO_READING, "S: 552 too much") as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"x" * 4_000_000])
        assert not await stream.wait_writable()
        assert stream.take() == [b"552 too much\r\n"]
        stream.abort()


async def test_the_end_of_the_peer_ends_the_wait_for_it_to_read() -> None:
    async with ScriptedPeer(NO_READING, PACKET, PACKET, FIN) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"x" * 4_000_000])
        assert not await stream.wait_writable()
        assert stream.is_at_end
        stream.abort()


# Closing


@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_a_stream_closes_in_good_order(tls: str) -> None:
    script: list[Step] = [Tls()] if tls == "implicit" else []
    async with ScriptedPeer(*script, "C: QUIT") as peer:
        stream = await Stream.open(peer.endpoint(tls=tls))
        stream.write([b"QUIT\r\n"])
        await stream.close(None)
        assert stream.is_at_end
        assert stream.error is None
        await stream.close(None)  # again
    assert peer.heard == b"QUIT\r\n"


async def test_a_peer_that_withholds_its_close_notify_is_cut() -> None:
    async with ScriptedPeer(Tls(), WITHHOLD) as peer:
        stream = await Stream.open(peer.endpoint(tls="implicit"))
        await stream.close(0.01)
        assert stream.is_at_end


async def test_a_peer_that_does_not_take_in_the_rest_is_cut() -> None:
    async with ScriptedPeer(NO_READING) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"x" * 4_000_000])
        await stream.close(0.01)
        assert stream.is_at_end


async def test_a_reset_while_closing_is_not_told() -> None:
    async with ScriptedPeer(RST) as peer:
        stream = await Stream.open(peer.endpoint())
        await drain_events()
        await stream.close(1)
        assert stream.is_at_end


async def test_a_close_that_is_cancelled_cuts_the_connection() -> None:
    async with ScriptedPeer(Tls(), WITHHOLD) as peer:
        stream = await Stream.open(peer.endpoint(tls="implicit"))
        closing = asyncio.create_task(stream.close(30))
        await drain_events()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await drain_events()
        assert stream.is_at_end


@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
async def test_a_stream_is_cut_though_the_system_refuses_it_once(refusal: Exception) -> None:
    stream, transport = refusing("abort", refusal)
    stream.abort()
    await stream.close(None)
    assert transport.calls == ["abort", "abort", "close"]


async def test_a_stream_that_cannot_be_closed_in_good_order_is_cut() -> None:
    stream, transport = refusing("close", OSError(errno.EIO, os.strerror(errno.EIO)))
    await stream.close(None)
    assert transport.calls == ["close", "abort"]
    assert stream.is_at_end


async def test_a_stream_that_is_closing_is_not_told_to_close_and_can_be_cut() -> None:
    # By TLS, with an asyncio that forgets its session when it is told twice, and cuts nothing then.
    async with ScriptedPeer(Tls(), WITHHOLD) as peer:
        stream = await Stream.open(peer.endpoint(tls="implicit"))
        closing = asyncio.create_task(stream.close(None))
        await drain_events()
        assert not closing.done()
        await stream.close(0.01)
        await closing
        assert stream.is_at_end


async def test_a_stream_for_whose_closing_there_is_no_memory_is_cut() -> None:
    stream, transport = refusing("close", MemoryError())
    with pytest.raises(MemoryError):
        await stream.close(None)
    assert transport.calls == ["close", "abort"]


async def test_a_stream_that_never_opened_can_be_closed_and_cut() -> None:
    stream = Stream()
    await stream.close(1)
    assert stream.tls_session is None
    stream.abort()
    assert stream.is_at_end


async def test_a_stream_can_be_cut_twice() -> None:
    async with ScriptedPeer("S: 220 mx", STALL) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.abort()
        stream.abort()
        assert stream.is_at_end
        await stream.close(1)


async def test_a_stream_whose_peer_read_the_rest_behind_its_own_end_can_be_cut() -> None:
    # The end of the peer closes the transport once everything is written.
    async with ScriptedPeer(Hear(10), FIN, LISTEN) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"x" * 4_000_000])
        await peer.rest()
        assert stream.is_at_end
        stream.abort()
        await stream.close(1)
    assert len(peer.wire) == 4_000_000


async def test_streams_that_were_closed_before_they_were_handed_over_are_refused() -> None:
    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await peer.connect_streams()
        writer.close()
        await writer.wait_closed()
        return reader, writer

    async with ScriptedPeer(STALL) as peer:
        with pytest.raises(ConnectionFailed, match=r"^the streams that connect= returned are closed$"):
            await Stream.open(endpoint_for(connect))


async def test_of_a_stream_that_was_closed_nothing_is_to_be_read() -> None:
    async with ScriptedPeer("S: 220 mx", STALL) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.abort()
        await drain_events()
        assert not stream.is_readable


async def test_of_a_stream_that_is_closing_nothing_is_to_be_read() -> None:
    async with ScriptedPeer(NO_READING, WAIT, "S: 552 too much", STALL) as peer:
        stream = await Stream.open(peer.endpoint())
        stream.write([b"x" * 4_000_000])
        closing = asyncio.create_task(stream.close(None))
        await drain_events()
        peer.go_on()
        await drain_events()
        assert not stream.is_at_end
        assert not stream.is_readable
        stream.abort()
        await closing


async def test_what_has_come_is_there_to_be_read_and_only_what_has_come() -> None:
    ours, theirs = socket.socketpair()

    async def connect() -> socket.socket:
        return ours

    with theirs:
        stream = await Stream.open(endpoint_for(connect))
        assert not stream.is_readable
        theirs.sendall(b"220 mx\r\n")
        assert stream.is_readable
        assert not stream.has_news
        await drain_events()
        assert not stream.is_readable
        assert stream.take() == [b"220 mx\r\n"]
        stream.abort()


async def test_who_listens_has_what_has_come_without_any_time_that_passes() -> None:
    ours, theirs = socket.socketpair()

    async def connect() -> socket.socket:
        return ours

    with theirs:
        stream = await Stream.open(endpoint_for(connect))
        theirs.sendall(b"220 mx\r\n")
        listening = asyncio.create_task(stream.listen())
        listening.add_done_callback(lambda _: heard.extend(stream.take()))
        heard: list[bytes] = []
        await drain_events()
        assert listening.done()
        assert heard == [b"220 mx\r\n"]
        stream.abort()


async def test_whether_something_has_come_is_asked_without_waiting_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Poll:
        waits: ClassVar[list[int | None]] = []

        def register(self, descriptor: int, events: int) -> None:
            assert events == select.POLLIN

        def poll(self, timeout: int | None = None) -> list[tuple[int, int]]:
            self.waits.append(timeout)
            return []

    async with ScriptedPeer(STALL) as peer:
        stream = await Stream.open(peer.endpoint())
        monkeypatch.setattr(select, "poll", Poll)
        assert not stream.is_readable
        assert Poll.waits == [0]
        stream.abort()


async def test_where_the_system_cannot_tell_nothing_is_known_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedPeer("S: 220 mx", STALL) as peer:
        stream = await Stream.open(peer.endpoint())
        monkeypatch.delattr(select, "poll")  # as on Windows
        assert not stream.is_readable
        stream.abort()

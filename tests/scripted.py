"""A scripted peer: a server that says what a script says, over a real socket, as a task in the client's own event loop.

A script is a sequence of steps, taken in order:

    "S: 250 ok"         say this line; lines that follow each other leave in one packet
    b"25"               say these octets, as they are
    PACKET              what follows leaves in a packet of its own: the client has read what came before
    "C: QUIT"           hear exactly this line, and "C: MAIL ..." a line that begins so
    Hear(65536)         hear so many octets, whatever they are
    MAIL_DATA           hear a message, with the dot that ends it
    CLIENT_HELLO        hear the first record of a TLS handshake, and make none
    Tls("localhost")    make a handshake, with the certificate of that name (`mailwire.testing.tls`)
    Answers({...})      answer whatever commands come, from a table, until the client closes or is answered to QUIT
    CLOSE               close our half in good order, under TLS with a close_notify
    FIN                 close our half, without close_notify
    RST                 reset the connection
    STALL               do nothing more; the mark of a script that ends while something is awaited
    LISTEN              hear whatever is said until the client closes
    NO_READING          from here on hear nothing; saying goes on
    WAIT                do nothing until the test says `peer.go_on()`
    WITHHOLD            from here on answer no close_notify, and stay until the test is over

Every octet is recorded. Behind its last step the peer waits until the client closes; a word that the script does not
foresee fails the test, be it in the middle of the script or beyond its end.

    async with Peer("S: 220 mx", "C: EHLO [127.0.0.1]", FIN) as peer:
        with pytest.raises(ConnectionLost):
            await SMTPClient(peer.endpoint()).connect()
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

from mailwire import Endpoint
from mailwire.testing.tls import client_context, server_context

__all__ = [
    "CLIENT_HELLO",
    "CLOSE",
    "FIN",
    "LISTEN",
    "MAIL_DATA",
    "NO_READING",
    "PACKET",
    "RST",
    "STALL",
    "WAIT",
    "WITHHOLD",
    "Answers",
    "Clock",
    "Hear",
    "Peer",
    "Step",
    "Tls",
    "authority_context",
    "drain_events",
    "tcp_pair",
    "turns",
]

# Seconds. No test waits for this: it ends one that would hang.
_GUARD: Final = 30.0
_PIECE: Final = 16 * 1024


class Mark(Enum):
    """The steps that are no more than a word."""

    PACKET = auto()
    MAIL_DATA = auto()
    CLIENT_HELLO = auto()
    CLOSE = auto()
    FIN = auto()
    RST = auto()
    STALL = auto()
    LISTEN = auto()
    NO_READING = auto()
    WAIT = auto()
    WITHHOLD = auto()


PACKET: Final = Mark.PACKET
MAIL_DATA: Final = Mark.MAIL_DATA
CLIENT_HELLO: Final = Mark.CLIENT_HELLO
CLOSE: Final = Mark.CLOSE
FIN: Final = Mark.FIN
RST: Final = Mark.RST
STALL: Final = Mark.STALL
LISTEN: Final = Mark.LISTEN
NO_READING: Final = Mark.NO_READING
WAIT: Final = Mark.WAIT
WITHHOLD: Final = Mark.WITHHOLD


@dataclass(frozen=True)
class Hear:
    """Hear so many octets."""

    octets: int


@dataclass(frozen=True)
class Tls:
    """Make a TLS handshake with the certificate called `name`."""

    name: str = "localhost"


@dataclass(frozen=True)
class Answers:
    """Answer each command with what the table has for the whole line, or else for its first word.

    An answer is the lines of one text, each sent with CRLF. Behind one that begins with 354 a message is heard, and
    answered with what the table has for "."; the answer to QUIT is the last.
    """

    table: Mapping[str, str]


Step = str | bytes | Mark | Hear | Tls | Answers


async def turns(count: int = 2) -> None:
    """Let the event loop go round: after two turns what was written to a socket has been read on the other side."""
    for _ in range(count):
        await asyncio.sleep(0)


async def drain_events() -> None:
    """Let the event loop go round until all that can happen without a new impulse has happened."""
    await turns(50)


@cache
def authority_context() -> ssl.SSLContext:
    """Return a client's context that trusts the test authority."""
    return client_context()


@cache
def _server_context(name: str) -> ssl.SSLContext:
    return server_context(name)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a TCP connection over the loopback interface, the client's first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


class ClientGone(AssertionError):
    """The client closed the connection while the script wanted something of it."""


class Clock:
    """The running loop's clock, which the test can put forward; deadlines that have come by that pass at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead = 0.0
        vars(loop)["time"] = self._time

    async def advance(self, seconds: float) -> None:
        """Put the clock forward and let happen what then happens."""
        await drain_events()
        self._ahead += seconds
        await drain_events()

    def _time(self) -> float:
        return self._real() + self._ahead


class Peer:
    """The server's side of one connection.

    It connects by a socket pair, plugged in by `Endpoint.connect`; by TCP over the loopback interface where the script
    resets the connection; and with `listen=True` by a listener of its own, on `port`.

    lenient: a client that goes in the middle of the script does not fail the test.
    packet_size: what is said leaves in packets of so many octets, each read by the client before the next.
    buffer_size: of the sockets of both sides, in octets.
    guard: seconds after which a test that hangs is ended; None where the test moves the clock itself.
    """

    def __init__(
        self,
        *script: Step,
        listen: bool = False,
        lenient: bool = False,
        packet_size: int | None = None,
        buffer_size: int | None = None,
        guard: float | None = _GUARD,
    ) -> None:
        self.wire = bytearray()  # every octet that the client put on the wire
        self.heard = bytearray()  # what it said by that, deciphered
        self.sent = 0  # octets that went out, as said
        self.handshake_error: ssl.SSLError | None = None
        self.port = 0
        self._script = script
        self._packet_size = packet_size
        self._buffer_size = buffer_size
        self._listens = listen
        self._listener: socket.socket | None = None
        self._socket: socket.socket | None = None
        self._connected = asyncio.Event()
        self._over = asyncio.Event()
        self._going_on = asyncio.Event()
        self._playing: asyncio.Task[None] | None = None
        self._patience = guard
        self._guard = asyncio.timeout(guard)
        self._unread = bytearray()  # heard and not foreseen yet
        self._to_say = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._at_end = False
        self._reads = True
        self._is_lenient = lenient
        self._is_strict = not lenient
        self._withholds = False

    @property
    def commands(self) -> list[str]:
        """The lines that the client said so far, without their ends."""
        return self.heard.decode("utf-8", "backslashreplace").split("\r\n")[:-1]

    def go_on(self) -> None:
        """Let a peer go on that does WAIT, or will."""
        self._going_on.set()

    async def rest(self) -> None:
        """Wait until neither side gets rid of anything more."""
        moved = None
        while moved != (moved := (self.sent, len(self.wire))):
            await drain_events()

    def endpoint(self, **settings: Any) -> Endpoint:
        """Return an endpoint that leads here: by SMTP, in the clear, trusting the test authority, save `settings`."""
        settings = {"tls": "none", "tls_context": authority_context(), **settings}
        if self._listens:
            return Endpoint("127.0.0.1", self.port, **settings)
        return Endpoint("localhost", connect=self.connect, **settings)

    async def connect(self) -> socket.socket:
        """Return the client's end of the connection."""
        if self._socket is not None:
            raise AssertionError("the script is for one connection, and the client asks for another")
        pair = tcp_pair() if RST in self._script else socket.socketpair()
        if self._buffer_size is not None:
            for end in pair:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_size)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_size)
        client, self._socket = pair
        self._socket.setblocking(False)
        self._connected.set()
        return client

    async def connect_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the client's end as a pair of streams, which hold already what the peer says first."""
        streams = await asyncio.open_connection(sock=await self.connect())
        await drain_events()
        return streams

    async def __aenter__(self) -> Self:
        await self._guard.__aenter__()
        if self._listens:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
        self._playing = asyncio.create_task(self._play())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._guard.__aexit__(kind, error, traceback)
        finally:
            await self._end_play(error)

    # The play

    async def _play(self) -> None:
        try:
            await self._accept()
            for step in self._script:
                await self._take(step)
            await self._say_now()
            await self._hear_out()
        except ClientGone:
            if not self._is_lenient:
                raise
        finally:
            for closing in (self._socket, self._listener):
                if closing is not None:
                    closing.close()

    async def _end_play(self, error: BaseException | None) -> None:
        if self._playing is None:
            raise AssertionError("the peer was never begun")
        self._over.set()
        if error is not None or (self._socket is None and not self._listens):
            await drain_events()  # what went wrong here may be the cause of what went wrong there
            self._playing.cancel()
        done, _ = await asyncio.wait([self._playing], timeout=self._patience)
        if not done:
            self._playing.cancel()
            raise AssertionError(f"the client does not close; it said {_shortened(self.heard)}") from error
        if not self._playing.cancelled() and (failure := self._playing.exception()) is not None:
            raise failure from error

    async def _accept(self) -> None:
        if self._listener is None:
            await self._connected.wait()
        else:
            self._socket, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._socket.setblocking(False)

    async def _take(self, step: Step) -> None:
        if not isinstance(step, bytes) and not (isinstance(step, str) and step.startswith("S: ")):
            await self._say_now()
        match step:
            case bytes():
                self._to_say += step
            case str() if step.startswith("S: "):
                self._to_say += step[3:].encode() + b"\r\n"
            case str() if step.startswith("C: "):
                await self._hear_line(step[3:])
            case Hear():
                await self._hear(step.octets)
            case Tls():
                await self._handshake(step.name)
            case Answers():
                await self._answer(step.table)
            case Mark():
                await self._mark(step)
            case _:
                raise AssertionError(f"{step!r} is no step of a script")

    async def _mark(self, mark: Mark) -> None:
        match mark:
            case Mark.PACKET:
                await turns()
            case Mark.MAIL_DATA:
                await self._hear_data()
            case Mark.CLIENT_HELLO:
                await self._fill(5)
                await self._hear(5 + int.from_bytes(self._unread[3:5]))
            case Mark.CLOSE | Mark.FIN:
                if mark is Mark.CLOSE:
                    await self._notify_close()
                await turns()
                self._shut_down()
            case Mark.RST:
                await turns()
                end = self._end
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()
                self._at_end = True
                self._is_strict = False
            case Mark.LISTEN:
                self._is_strict = False
                await self._hear_out()
            case Mark.NO_READING:
                self._reads = False
            case Mark.WAIT:
                await self._going_on.wait()
                self._going_on.clear()
            case Mark.WITHHOLD:
                self._withholds = True
            case Mark.STALL:
                pass

    async def _answer(self, table: Mapping[str, str]) -> None:
        while (line := await self._next_line()) is not None:
            verb = line.partition(" ")[0].upper()
            answer = table.get(line, table.get(verb))
            if answer is None:
                raise AssertionError(f"the table has no answer to {line!r}")
            await self._say_lines(answer)
            if answer.startswith("354"):
                await self._hear_data()
                await self._say_lines(table["."])
            if verb == "QUIT":
                return

    async def _say_lines(self, text: str) -> None:
        self._to_say += b"".join(line.encode() + b"\r\n" for line in text.split("\n"))
        await self._say_now()

    # Hearing

    async def _hear_line(self, expected: str) -> None:
        line = await self._next_line()
        if line is None:
            raise ClientGone(f"expected the client to say {expected!r}, it closed ({_shortened(self._unread)} is left)")
        if not (line.startswith(expected.removesuffix("...")) if expected.endswith("...") else line == expected):
            raise AssertionError(f"expected the client to say {expected!r}, it said {line!r}")

    async def _next_line(self) -> str | None:
        while b"\n" not in self._unread:
            if not await self._hear_more():
                return None
        line = self._take_heard(self._unread.index(b"\n") + 1)
        if not line.endswith(b"\r\n"):
            raise AssertionError(f"expected a line that ends in CRLF, the client said {line!r}")
        return line[:-2].decode("utf-8", "backslashreplace")

    async def _hear(self, octets: int) -> None:
        await self._fill(octets)
        self._take_heard(octets)

    async def _fill(self, octets: int) -> None:
        while len(self._unread) < octets:
            if not await self._hear_more():
                raise ClientGone(f"expected {octets} octets from the client, got {len(self._unread)} and its end")

    async def _hear_data(self) -> None:
        ends = (b".\r\n", b"\r\n.\r\n")
        while not self._unread.startswith(ends[0]) and ends[1] not in self._unread:
            if not await self._hear_more():
                raise ClientGone(f"expected a message, the client closed after {_shortened(self._unread)}")
        end = 0 if self._unread.startswith(ends[0]) else self._unread.index(ends[1]) + 2
        self._take_heard(end + 3)

    async def _hear_out(self) -> None:
        if not self._reads:
            await self._over.wait()
            self._is_strict = False
        while not self._at_end:
            await self._hear_more()
        if self._is_strict and self._unread:
            raise AssertionError(f"beyond the end of the script the client said {_shortened(self._unread)}")
        if self._withholds:
            await self._over.wait()
            return
        await self._notify_close()
        self._shut_down()
        # A client that was told goodbye under TLS still has to close the connection below it.
        while self._tls is not None and await self._receive_raw():
            pass

    def _take_heard(self, octets: int) -> bytes:
        taken = bytes(self._unread[:octets])
        del self._unread[:octets]
        return taken

    async def _hear_more(self) -> bool:
        data = b"" if self._at_end else await self._receive()
        self.heard += data
        self._unread += data
        self._at_end = not data
        return bool(data)

    async def _receive(self) -> bytes:
        while True:
            if self._tls is not None:
                try:
                    return self._tls.read(65536)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    return b""  # it ended without a close_notify
            data = await self._receive_raw()
            if self._tls is None:
                return data
            self._feed(data)

    async def _receive_raw(self) -> bytes:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._end, 65536)
        except OSError:
            return b""  # it was cut
        self.wire += data
        return data

    # Saying

    async def _say_now(self) -> None:
        said, self._to_say = bytes(self._to_say), bytearray()
        size = self._packet_size or _PIECE
        for start in range(0, len(said), size):
            piece = said[start : start + size]
            if self._tls is None:
                await self._send_raw(piece)
            else:
                self._tls.write(piece)
                await self._send_raw(self._outgoing.read())
            self.sent += len(piece)
            if self._packet_size is not None:
                await turns()

    async def _send_raw(self, data: bytes, *, needs_client: bool = True) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._end, data)
        except OSError as error:
            if needs_client and self._is_strict and self._reads:
                raise ClientGone(f"the client was gone when it was told {_shortened(data)}: {error}") from error

    def _shut_down(self) -> None:
        with suppress(OSError):  # the client may have closed already
            self._end.shutdown(socket.SHUT_WR)

    # TLS

    async def _handshake(self, name: str) -> None:
        if self._unread:
            raise AssertionError(f"expected a handshake, the client said {_shortened(self._unread)}")
        tls = _server_context(name).wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send_raw(self._outgoing.read(), needs_client=False)
                self._feed(await self._receive_raw())
            except ssl.SSLError as error:
                # The client does not want to. Whatever comes now is an alert at most.
                self.handshake_error = error
                self._is_strict = False
                await self._send_raw(self._outgoing.read(), needs_client=False)
                while await self._receive_raw():
                    pass
                self._at_end = True
                return
            else:
                break
        await self._send_raw(self._outgoing.read(), needs_client=False)
        self._tls = tls

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _notify_close(self) -> None:
        if self._tls is None:
            return
        with suppress(ssl.SSLError):  # what the client says to it is heard later
            self._tls.unwrap()
        await self._send_raw(self._outgoing.read(), needs_client=False)

    @property
    def _end(self) -> socket.socket:
        if self._socket is None:
            raise AssertionError("the client has not connected")
        return self._socket


def _shortened(data: bytes | bytearray) -> str:
    return repr(bytes(data)) if len(data) < 300 else f"{bytes(data[:100])!r} ... {bytes(data[-100:])!r}"

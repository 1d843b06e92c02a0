"""ScriptedPeer: a server that says what a script says, for tests of what a client makes of it.

`MailServer` is a server that does its best. This one does its worst, or whatever a test wants: stalls, refuses, cuts,
garbage, bytes in the wrong place. It runs in the client's own event loop, over a real socket.
"""

import asyncio
import socket
import ssl
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

from ..endpoint import Endpoint
from .checks import check_flag, check_number, check_whole, describe
from .hearing import ClientGone, Hearing
from .link import Link
from .play import Play
from .saying import Saying
from .script import Mark, Step, check_script, shorten
from .tcp import send_at_once
from .tls import client_context
from .turns import drain_events

__all__ = ["ScriptedPeer"]

# Seconds. No test waits for these: they end those that would hang.
_GUARD: Final = 30.0
_PATIENCE: Final = 5.0

_ALONE: Final = "the peer plays its script within the `async with` alone: nobody is there to talk to"

# Octets of a socket's buffer: the kernel is told by a C int.
_MOST: Final = 2**31 - 1

_authority_context: Final = cache(client_context)


class ScriptedPeer:
    """The server's side of one connection, played from a script, whose steps are those of `mailwire.testing.script`.

    ::

        async def test_a_greeting_that_is_a_refusal_is_told() -> None:
            async with ScriptedPeer("S: 554 no", FIN) as peer:
                with pytest.raises(ReplyError):
                    await SMTPClient(peer.endpoint()).connect()
            assert peer.commands == []

    The client is led here by `endpoint`, or by `connect` as its connector. The peer fails the test, with an
    AssertionError behind the `async with`, where

    - the client says something else than the script expects, or anything that no step expects, be it in the middle of
      the script or behind its end; a line must end in CRLF;
    - no client connects, unless the peer is `optional`;
    - the client closes the connection while a step waits for it to say something, or before it was told all that the
      script tells it (but see `Slow`, `Endless`, `Tls`, RST and ALERT);
    - the client connects a second time, though the script is for one connection (two peers are for two); at a port it
      is refused, and fails by itself;
    - the client does not close the connection in the end, or the test takes longer than the guard allows: TimeoutError.

    A note on that error names the step, and its number: of lines that leave together, the first. Where the test has
    failed already, the peer's failure is told first, with the test's own as its cause: it is likely to be the reason;
    but that no client has connected is not told then. Where the test was cancelled, skipped, or interrupted from the
    keyboard, that comes out, and a note on it tells what the peer has.

    It plays once, from the beginning of the `async with` to its end, both in one task, which the guard cancels: begun a
    second time, it raises RuntimeError, and so it does where a client is to be led here before or behind that.

    script: the steps.
    listen: have a port on the loopback interface. Otherwise the client is handed its end of a pair of sockets.
    lenient: a client that goes in the middle of the script does not fail the test. One that says what is not foreseen
        still does, be it behind the end: LISTEN allows it there.
    packet_size: what is said leaves in packets of so many octets, each read by the client before the next.
    buffer_size: of the sockets at both ends of a pair, in octets, 2**31 - 1 at most; at a port, of that at this end.
    optional: it is meant that a client may stay away, as from a second server that is not to be needed.
    guard: seconds after which a test that hangs is ended, by default 30; None for never, where the test moves the
        loop's clock itself.

    Raises ValueError for what is no step, and for a value of another kind than these.

    wire: every octet that the client put on the wire.
    heard: what it said by that, deciphered.
    """

    def __init__(
        self,
        *script: Step,
        listen: bool = False,
        lenient: bool = False,
        packet_size: int | None = None,
        buffer_size: int | None = None,
        guard: float | None = _GUARD,
        optional: bool = False,
    ) -> None:
        check_script(script)
        check_flag("listen", listen)
        check_flag("lenient", lenient)
        check_flag("optional", optional)
        if packet_size is not None:
            check_whole("packet_size", packet_size, 1)
        if buffer_size is not None:
            check_whole("buffer_size", buffer_size, 1, _MOST)
        if guard is not None:
            check_number("guard", guard, 0)
        self.wire: bytearray = bytearray()
        self.heard: bytearray = bytearray()
        self._port: int | None = None
        self._script = script
        self._packet_size = packet_size
        self._buffer_size = buffer_size
        self._listens = listen
        self._listener: socket.socket | None = None
        self._play: Play | None = None
        self._connected = asyncio.Event()
        self._over = asyncio.Event()
        self._going_on = asyncio.Event()
        self._playing: asyncio.Task[None] | None = None
        self._patience = _PATIENCE if guard is None else min(guard, _PATIENCE)
        self._guard_seconds = guard
        self._guard: asyncio.Timeout | None = None  # made in the event loop where it counts
        self._is_lenient = lenient
        self._is_optional = optional

    @property
    def commands(self) -> list[str]:
        """The lines that the client said so far, without their ends."""
        return self.heard.decode("utf-8", "backslashreplace").split("\r\n")[:-1]

    @property
    def handshake_error(self) -> ssl.SSLError | None:
        """Why a handshake failed that the script wanted."""
        return None if self._play is None else self._play.handshake_error

    @property
    def sent(self) -> int:
        """How many octets were said."""
        return 0 if self._play is None else self._play.sent

    # Leading a client here

    @property
    def port(self) -> int:
        """Where it listens. Raises RuntimeError before it is begun, and where it does not listen: a client that went to
        any other port would come to somebody else."""
        if self._port is not None:
            return self._port
        if self._listens:
            raise RuntimeError("the peer has no port before it is begun, by `async with`")
        raise RuntimeError("the peer has no port: it is led to by `endpoint` or `connect`, or listens by listen=True")

    def endpoint(self, **settings: Any) -> Endpoint:
        """Return an endpoint that leads here: by SMTP, in the clear, save `settings`; with TLS among them, trusting the
        test authority."""
        settings = {"tls": "none", **settings}
        if settings["tls"] != "none":
            settings.setdefault("tls_context", _authority_context())
        if self._listens:
            if self._over.is_set():
                raise RuntimeError(_ALONE)
            return Endpoint("127.0.0.1", self.port, **settings)
        return Endpoint("localhost", **{"connect": self.connect, **settings})

    async def connect(self) -> socket.socket:
        """Return the client's end of the connection. Raises RuntimeError where the peer listens: it has a port."""
        if self._playing is None or self._over.is_set():
            raise RuntimeError(_ALONE)
        if self._listens:
            raise RuntimeError(f"the peer listens, and a client connects to its port, {self.port}")
        if self._play is not None:
            raise AssertionError("the script is for one connection, and the client asks for another")
        client, ours = pair = _tcp_pair() if Mark.RST in self._script else socket.socketpair()
        try:
            for end in pair:
                self._bound_buffers(end)
            self._begin(ours)
        except BaseException:
            for end in pair:
                end.close()
            raise
        return client

    async def connect_streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the client's end as a pair of streams, which hold already what the peer says first."""
        streams = await asyncio.open_connection(sock=await self.connect())
        await drain_events()
        return streams

    async def __aenter__(self) -> Self:
        if self._playing is not None:
            raise RuntimeError("a peer plays its script once: a second connection needs another one")
        guard = asyncio.timeout(self._guard_seconds)
        listener = self._listen() if self._listens else None
        try:
            await guard.__aenter__()
        except BaseException:
            if listener is not None:
                listener.close()
            raise
        if listener is not None:
            self._port = listener.getsockname()[1]
        self._guard, self._listener = guard, listener
        self._playing = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._guard is None:
            raise AssertionError("the peer was never begun")
        try:
            await self._guard.__aexit__(kind, error, traceback)
            if self._guard.expired() and error is None:
                raise TimeoutError  # the test has made nothing of its cancellation
        except TimeoutError as failure:
            failure.add_note(f"the test took longer than {self._guard_seconds} seconds, {self._place}")
            error = failure
            raise
        finally:
            await self._end_play(error)

    # While the play goes on

    def go_on(self) -> None:
        """Let a peer go on that does WAIT, or will. It may be called from any thread."""
        if self._playing is None:
            self._going_on.set()
        else:
            self._playing.get_loop().call_soon_threadsafe(self._going_on.set)

    async def rest(self) -> None:
        """Wait until neither side gets rid of anything more."""
        moved = None
        while moved != (moved := (self.sent, len(self.wire))):
            await drain_events()

    # The play

    def _listen(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        try:
            listener.setblocking(False)
            self._bound_buffers(listener)  # and those of what it accepts
        except BaseException:
            listener.close()
            raise
        return listener

    def _bound_buffers(self, end: socket.socket) -> None:
        if self._buffer_size is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_size)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_size)

    def _begin(self, end: socket.socket) -> None:
        end.setblocking(False)
        send_at_once(end)
        self._play = self._make_play(end)
        self._connected.set()

    def _make_play(self, end: socket.socket) -> Play:
        link = Link(end, self.wire)
        hearing, saying = Hearing(link, self.heard), Saying(link, self._packet_size)
        over, going_on = self._over, self._going_on
        return Play(self._script, hearing, saying, over=over, going_on=going_on, is_lenient=self._is_lenient)

    async def _serve(self) -> None:
        try:
            play = await self._accept()
            await play.perform()
        except Exception as failure:
            if not isinstance(failure, ClientGone) or not self._is_lenient:
                failure.add_note(self._place)
                raise
        finally:
            if self._listener is not None:
                self._listener.close()
            if self._play is not None:
                await self._play.close()

    async def _end_play(self, error: BaseException | None) -> None:
        if self._playing is None:
            raise AssertionError("the peer was never begun")
        self._over.set()
        self._going_on.set()
        try:
            stays = await self._stays(self._playing, error)
        except asyncio.CancelledError as cancelled:
            _add_note(cancelled, _failure_of(self._playing))
            raise
        failure = _failure_of(self._playing)
        if stays:
            failure = AssertionError(f"the client does not close; it said {shorten(self.heard)}; {self._place}")
        elif self._playing.cancelled() and error is None and not self._is_optional:
            begins = f"its script begins with {describe(self._script[0])}" if self._script else "its script is empty"
            failure = AssertionError(f"nobody has connected to the peer; {begins}")
        if error is not None and not _is_failure(error):
            _add_note(error, failure)
        elif error is not None and failure is not None:
            raise failure from error
        elif failure is not None:
            raise failure

    async def _stays(self, playing: "asyncio.Task[None]", error: BaseException | None) -> bool:
        # Whether the client is there when it was waited for long enough. The play is over behind this in any case.
        try:
            if error is not None or self._play is None:
                await drain_events()  # what went wrong here may be the cause of what went wrong there
                if error is not None or self._play is None:
                    playing.cancel()
            await asyncio.wait([playing], timeout=self._patience)
            return not playing.done()
        finally:
            if not playing.done():
                playing.cancel()
                await asyncio.wait([playing])

    async def _accept(self) -> Play:
        if self._listener is not None:
            accepted, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._listener.close()  # another client is refused, rather than left waiting
            self._begin(accepted)
        await self._connected.wait()
        if self._play is None:
            raise AssertionError("what has been connected to is played")
        return self._play

    @property
    def _place(self) -> str:
        return "before a client has connected" if self._play is None else self._play.place


def _failure_of(playing: "asyncio.Task[None]") -> BaseException | None:
    return playing.exception() if playing.done() and not playing.cancelled() else None


def _is_failure(error: BaseException) -> bool:
    # What is no Exception ends a test for another reason, as pytest's "Skipped" does; but so is its "Failed".
    return isinstance(error, Exception) or type(error).__name__ == "Failed"


def _add_note(error: BaseException, failure: BaseException | None) -> None:
    if failure is not None:
        error.add_note("; ".join([f"of the peer: {failure}", *getattr(failure, "__notes__", ())]))


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    # The client's end first.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        try:
            return client, listener.accept()[0]
        except BaseException:
            client.close()
            raise

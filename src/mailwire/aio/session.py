"""Session: a machine driven over a stream, with deadlines. What both asyncio clients are built on.

The drive loop is `next_event`: write what may be written, take an event, else wait for bytes.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

from .._wire.text import quote
from .._wire.trace import Trace
from ..endpoint import Endpoint
from ..errors import ConnectionLost, DeadlineExceeded, TLSFailed
from ..sasl.work import ComputationDue
from .deadline import Deadline, late
from .pace import Pace
from .stream import Stream
from .tls import NamingSSLObject, alert_of

__all__ = ["Machine", "Session", "make_context"]

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")

# RFC 8446 5.1: the first octets of an alert and of a handshake message.
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")
_IMPLICIT: Final = 'a port that expects TLS from the first byte (tls="implicit")'


class Machine(Protocol[E_co]):
    """What a session asks of a protocol machine."""

    trace: Trace

    @property
    def awaits_answer(self) -> bool: ...
    @property
    def held(self) -> int: ...
    def next_event(self) -> E_co | None: ...
    def receive_data(self, data: bytes) -> None: ...
    def receive_eof(self, *, is_ours: bool = False) -> None: ...
    def data_to_send(self) -> list[bytes]: ...


class Session(Generic[E]):
    """One connection of a client, open or over."""

    def __init__(self, endpoint: Endpoint, machine: Machine[E], stream: Stream, context: ssl.SSLContext | None) -> None:
        self.endpoint = endpoint
        self.stream = stream
        stream.kept = lambda: machine.held
        self.has_heard: bool = False  # the server has said something since this was last set
        self.said_at: float = 0.0  # when `flush` last wrote something, by the event loop's clock
        self._is_answered = False  # the server has said something since the link is what it is, in the clear or TLS
        self.reader: asyncio.Task[None] | None = None  # reads the message that goes out, by itself
        self._loop = asyncio.get_running_loop()
        self.time: Callable[[], float] = self._loop.time
        """Returns the time by the event loop's clock, in seconds."""
        self.machine: Machine[E] = machine
        self._context = context
        self._is_cut = False  # on this side, before the server had left
        self.loss: Callable[[str, E], ConnectionLost] = _loss
        """Makes the error for an event by which the server has left, behind what is said of that."""
        self._pace = Pace(endpoint.timeouts, lambda: stream.unwritten)

    @classmethod
    async def open(cls, endpoint: Endpoint, machine: Machine[E]) -> "Session[E]":
        """Connect to `endpoint`; TLS is in force afterwards if it is implicit there."""
        context = None if endpoint.tls == "none" else await make_context(endpoint)
        return cls(endpoint, machine, await Stream.open(endpoint, context), context)

    async def greeting(self) -> E:
        """Return the first event. Raises what `next_event` raises; TLSFailed if it is TLS that the server speaks."""
        try:
            async with Deadline(self.endpoint.timeouts.greeting, "greeting", "the greeting"):
                await self.stream.wait()
                if self.stream.peek().startswith(_TLS_RECORDS):
                    raise TLSFailed(
                        f"{self.endpoint} looks like {_IMPLICIT}: it began with {quote(self.stream.peek())}"
                    )
                return await self.next_event("greeting", "the greeting")
        except DeadlineExceeded as error:
            if self._may_await_tls:
                raise DeadlineExceeded(f"{error}; it may be {_IMPLICIT}", phase=error.phase) from error
            raise
        except ConnectionLost as error:
            if self._may_await_tls and not self._is_cut:
                raise ConnectionLost(f"{error}; it may be {_IMPLICIT}", in_flight=error.in_flight) from error
            raise

    async def next_event(self, phase: str, awaited: str, subject: object = "") -> E:
        """Return the next event. Raises what the machine raises, DeadlineExceeded.

        phase: the field of Timeouts that says for how long at most it is waited for.
        awaited, subject: what is waited for, as "the reply to" and a command.
        """
        seconds: float | None = getattr(self.endpoint.timeouts, phase)
        until: float | None = None
        self.flush()
        while True:
            event = self.poll()
            if event is None:
                self.flush()  # the machine answers a challenge by itself
                if until is None and seconds is not None:
                    until = self._loop.time() + seconds
                try:
                    await self.stream.wait(until)
                except TimeoutError as passed:
                    raise late(seconds, phase, f"{awaited} {subject}".rstrip()) from passed
            elif isinstance(event, ComputationDue):
                from ..message.threads import begin_in_thread  # for this alone, and it is rare

                async with Deadline(seconds, phase, f"{awaited} {subject}".rstrip()):
                    with suppress(OSError):  # where there is no thread for it, the machine does it by itself
                        await begin_in_thread(event.compute)
            else:
                return event

    def poll(self) -> E | None:
        """Return the next event if what has arrived makes one."""
        event = self.machine.next_event()
        if event is not None or not self.stream.has_news:
            return event
        return self.read()

    def read(self) -> E | None:
        """Hand what has arrived to the machine, and return the next event if there is one: `poll`, where it had none
        before."""
        self._feed()
        try:
            event = self.machine.next_event()
        except ConnectionLost as error:
            raise error from self.stream.error
        if event is None and self.stream.is_at_end:
            raise ConnectionLost("the connection is closed")
        return event

    async def listen(self) -> None:
        """Do what `expect_silence` does, where the event loop may not have read yet what has come."""
        if self.stream.is_readable:
            await self.stream.listen()
        self.expect_silence()

    def expect_silence(self) -> None:
        """Make sure that nothing has arrived that would be taken for the answer to what is about to be asked.

        Raises ConnectionLost if the server has taken its leave, and what the machine raises for anything else.
        """
        if (event := self.poll()) is not None:
            raise self.loss("the server closed the idle connection", event)

    @property
    def is_left_behind(self) -> bool:
        """Whether the event loop that it is in is closed: nothing comes of it any more."""
        return self._loop.is_closed()

    @property
    def has_unasked(self) -> bool:
        """Whether the peer has said something, or gone, though no answer was due: that is to be heard before anything
        is written, or it would be taken for the answer."""
        return self.stream.has_news and not self.machine.awaits_answer

    def flush(self) -> None:
        """Write what the machine lets leave; nothing as long as it `has_unasked`, nor behind the end of the stream, for
        what the machine hands out counts as sent. Raises what the machine raises."""
        stream = self.stream
        if stream.has_news and (stream.is_at_end or self.has_unasked):
            return
        if blocks := self.machine.data_to_send():
            self.said_at = self._loop.time()
            self.stream.write(blocks)

    async def wait_writable(self) -> bool:
        """Write what the machine lets leave, and wait until more of a message may be written; False if the peer has
        said something, or gone, instead."""
        await self.stream.listen()
        self.flush()
        return self.stream.is_writable or await self._pace.wait(self.stream.wait_writable)

    async def has_heard_more(self) -> bool:
        """Whether the peer has said something, or gone, that no event has told yet."""
        await self.stream.listen()
        return self.stream.has_news

    async def start_tls(self) -> None:
        """Make the handshake for which the machine has paused. It is to be told then: `tls_established`."""
        if self.poll() is not None:
            raise ConnectionLost("the server agreed to begin TLS and closed the connection")
        try:
            await self.stream.start_tls(self.endpoint, self._context)
        except TLSFailed as error:
            if self._is_cut:
                raise ConnectionLost("the connection was cut on this side during the TLS handshake") from error
            raise
        self._is_answered = False

    async def close(self) -> None:
        """Close in good order, as far as the peer lets us."""
        await self.stream.close(self.endpoint.timeouts.close)

    def abort(self) -> None:
        """Cut the connection: nothing more can be read from it or written to it."""
        self._is_cut = self._is_cut or not self.stream.is_at_end
        self.stream.abort()

    @property
    def _may_await_tls(self) -> bool:
        # A server that says nothing in the clear, until it has enough of us.
        return self.stream.tls_session is None and not self.has_heard

    def _feed(self) -> None:
        # By itself: no frame that an error brings along holds what the server said.
        for data in self.stream.take():
            self.has_heard = self._is_answered = True
            self.machine.receive_data(data)
        if self.stream.is_at_end:
            self.machine.receive_eof(is_ours=self._is_cut)
            # By TLS 1.3 our handshake is over before the server has judged our certificate. That it refuses or misses
            # it is heard in the place of the first thing that it says.
            alert = None if self._is_answered else alert_of(self.stream.error)
            if alert is not None:
                raise TLSFailed(f"no TLS session with {self.endpoint}: {alert}") from self.stream.error


def _loss(what: str, event: object) -> ConnectionLost:
    return ConnectionLost(f"{what}: {event}")


async def make_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the TLS context of `endpoint`, or make the one that it asks for. Raises TLSFailed if there is none."""
    if endpoint.tls_context is not None:
        return endpoint.tls_context
    told = f"the TLS settings for {endpoint} cannot be used{_files_of(endpoint)}: "
    context: ssl.SSLContext | None = None
    try:
        context = await asyncio.to_thread(endpoint.make_tls_context)
    except (OSError, RuntimeError) as error:  # as SSLError is, too; and where no thread can be had
        raise TLSFailed(f"{told}{error}") from error
    except ValueError as error:
        told += type(error).__name__  # no more of it: there may be the password of a key in it
    if context is None:
        raise TLSFailed(told)
    context.sslobject_class = NamingSSLObject  # the context is ours
    return context


def _files_of(endpoint: Endpoint) -> str:
    # Which they are; OpenSSL's errors do not say.
    certificate = endpoint.tls_client_certificate
    named = {
        "tls_ca_file": (endpoint.tls_ca_file,),
        "tls_client_certificate": certificate[:2] if isinstance(certificate, tuple) else (certificate,),
    }
    shown = [f"{name} {os.fspath(file)!r}" for name, files in named.items() for file in files if file is not None]
    return f" ({', '.join(shown)})" if shown else ""

"""Connection: the bytes of one client, TCP or TLS, between the event loop and a session.

It is an asyncio protocol and not a pair of streams, for the sake of STARTTLS: a StreamReader would keep what came in
the clear and serve it later as if it had been encrypted.
"""

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from typing import cast

from .handshake import read_channel
from .session import Session
from .turns import drain_events

__all__ = ["Connection"]


class Connection(asyncio.Protocol):
    """One client, served by `session`. `serve` does it all, `abort` makes an end of it.

    tls_context: for STARTTLS and STLS, and for a session that is encrypted from the beginning.
    certificate: the one in `tls_context`, in DER, to which clients may bind an exchange of AUTH.
    patient: answer only when the client, which must be in the same event loop, does nothing more without an answer.
    """

    def __init__(
        self,
        session: Session,
        tls_context: ssl.SSLContext | None = None,
        certificate: bytes | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self._session = session
        self._tls_context = tls_context
        self._certificate = certificate
        self._is_patient = patient
        self._heard = 0  # pieces
        self._waiting: asyncio.Task[None] | None = None  # for the client to have said all that it will
        self._accepted: socket.socket | None = None  # under the transport
        self._transport: asyncio.Transport | None = None
        self._is_shaking_hands = False
        self._arrived_early: list[bytes] = []  # under TLS, before start_tls() has returned
        self._delaying: asyncio.TimerHandle | None = None
        self._is_aborted = False
        self._is_lost = False
        self._failure: Exception | None = None  # of a function of the policy
        self._turn = asyncio.Event()  # TLS is wanted, or the client is lost

    async def serve(self, accepted: socket.socket) -> None:
        """Serve the client at the other end of `accepted` until it is gone. Nothing that it does is raised.

        What a function of the policy raises ends the session, and is raised here.
        """
        self._accepted = accepted
        if self._is_aborted:
            accepted.close()
            self.connection_lost(None)
            return
        # A loop may read as soon as there is a transport: TLS that begins a connection is there before that.
        context = self._tls_context if self._session.is_encrypted else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self, accepted, ssl=context)
        except OSError:  # as SSLError is, too
            self.connection_lost(None)  # nobody else tells a protocol that it was lost in the handshake
            return
        self._answer()
        while not self._is_lost:
            await self._turn.wait()
            self._turn.clear()
            if self._session.wants_tls:
                await self._start_tls()
                self._answer()
        await asyncio.gather(*filter(None, [self._waiting]))
        if self._failure is not None:
            raise self._failure

    def abort(self) -> None:
        """Cut the connection at once."""
        self._is_aborted = True
        if self._transport is not None:
            self._transport.abort()
        elif self._accepted is not None:
            with suppress(OSError):  # it is gone by itself
                self._accepted.shutdown(socket.SHUT_RDWR)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._session.is_encrypted:
            self._session.channel = read_channel(transport.get_extra_info("ssl_object"), self._certificate)
        if self._is_aborted:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_shaking_hands:
            # The session is to know its channel before it hears anything.
            self._arrived_early.append(data)
        else:
            self._hear(data)
            self._heard += 1
            if not self._is_patient:
                self._answer()
            elif self._waiting is None:
                self._waiting = asyncio.get_running_loop().create_task(self._answer_in_silence())

    def eof_received(self) -> None:
        # In the handshake it is too early to say: what came before it has not been heard. connection_lost() follows.
        if not self._is_shaking_hands:
            self._session.receive_eof()
            self._answer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._delaying is not None:
            self._delaying.cancel()
        self._session.receive_eof()
        self._turn.set()

    def pause_writing(self) -> None:
        # RFC 2920 3.1 warns of servers like this one: who does not read the replies is not read any more.
        self._opened().pause_reading()

    def resume_writing(self) -> None:
        if not self._session.wants_tls:
            self._opened().resume_reading()

    # Private

    def _hear(self, data: bytes) -> None:
        try:
            self._session.receive_data(data)
        except Exception as failure:
            # Raised to the event loop, nobody would be told who waits for it.
            self._failure = self._failure or failure
            self.abort()

    def _answer(self) -> None:
        transport = self._opened()
        if self._is_shaking_hands or transport.is_closing():
            return
        for piece in self._session.data_to_send():
            transport.write(piece)
        if self._session.delay is not None:
            self._wait_for(self._session.delay)
        elif self._session.wants_tls:
            transport.pause_reading()  # what comes now is for the TLS layer
            self._turn.set()
        elif self._session.resets:
            # What was written leaves first, as far as the system takes it.
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        elif self._session.closing:
            transport.close()

    def _wait_for(self, seconds: float) -> None:
        if self._delaying is None:
            self._delaying = asyncio.get_running_loop().call_later(seconds, self._end_delay)

    def _end_delay(self) -> None:
        self._delaying = None
        self._session.end_delay()
        self._answer()

    async def _answer_in_silence(self) -> None:
        heard = 0
        while heard != (heard := self._heard):
            await drain_events()
        self._waiting = None
        self._answer()

    async def _start_tls(self) -> None:
        transport = self._opened()
        if self._tls_context is None:
            raise AssertionError("a session agrees to TLS only where there is a context")
        if transport.is_closing():
            return
        self._is_shaking_hands = True
        try:
            upgraded = await asyncio.get_running_loop().start_tls(transport, self, self._tls_context, server_side=True)
        except OSError:  # as SSLError is, too
            upgraded = None
        self._is_shaking_hands = False
        if upgraded is None or self._is_aborted:
            # uvloop returns a transport for a connection that was cut in the handshake as well; it has no TLS. Nobody
            # else tells a protocol that it was lost in the handshake.
            transport.abort()
            self.connection_lost(None)
            return
        self._transport = upgraded
        self._session.channel = read_channel(upgraded.get_extra_info("ssl_object"), self._certificate)
        self._session.tls_established()
        for data in self._arrived_early:
            self._hear(data)

    def _opened(self) -> asyncio.Transport:
        if self._transport is None:
            raise AssertionError("the event loop makes the connection before anything else")
        return self._transport

"""Link: the server's end of one connection, TCP or TLS, of which every move is made on purpose.

The transports of asyncio are too well-behaved for it. They read on by themselves, answer a close_notify and finish a
handshake. Here nothing is read before somebody wants to hear it; a handshake can be left in the middle; what belongs to
closing can be left undone. TLS is therefore made in memory (`ssl.SSLObject`), and its records are sent by hand.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Final

from .tcp import reset

__all__ = ["Link"]

_READ_SIZE: Final = 64 * 1024
# A record of application data (RFC 8446 5.1) that nobody has enciphered.
_NO_RECORD: Final = b"\x17\x03\x03\x00\x20" + bytes(32)


class Link:
    """A connection that was made, at whose other end the client is.

    end: our socket; it does not block.
    wire: where all that is received is recorded, as it was on the wire.

    To wait for something to arrive can be broken off at any time, and nothing is lost: where the event loop can watch
    no socket, the first octet that comes then is kept for who receives next. Whoever closes the connection waits for
    nothing any more.
    """

    def __init__(self, end: socket.socket, wire: bytearray) -> None:
        self._end = end
        self._wire = wire
        self._first: asyncio.Task[bytes] | None = None  # waits for an octet
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    @property
    def is_encrypted(self) -> bool:
        """Whether a handshake was made."""
        return self._tls is not None

    # Receiving and sending

    async def receive(self) -> bytes:
        """Return what arrived, deciphered, waiting for it; nothing (b"") once the client is gone, in whatever way.

        Raises ssl.SSLError for what is no part of the TLS session: a client that goes on in the clear beneath it, say.
        """
        while True:
            if self._tls is not None:
                try:
                    return self._tls.read(_READ_SIZE)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    if not _is_end(error):
                        raise
                    return b""
            data = await self.receive_raw()
            if self._tls is None:
                return data
            self._feed(data)

    async def receive_raw(self) -> bytes:
        """Return what arrived, as it is on the wire, waiting for it; nothing (b"") once the client is gone."""
        data = b""
        if self._end.fileno() != -1:  # else we have closed it ourselves, which some event loops call a ValueError
            with suppress(OSError):  # it was cut
                data = await self._receive()
        self._wire += data
        return data

    async def send(self, data: bytes) -> None:
        """Send `data`, under TLS if that is in force. Raises OSError if the client is gone."""
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        await self.send_raw(data)

    async def send_raw(self, data: bytes) -> None:
        """Put `data` on the wire as it is. Raises OSError if the client is gone."""
        await asyncio.get_running_loop().sock_sendall(self._end, data)

    # TLS

    async def hear_hello(self) -> bytes:
        """Return what the client says first to a handshake, waiting for it; nothing (b"") once it is gone.

        It is left to `shake_hands`, which is to be called next.
        """
        data = await self.receive_raw()
        self._feed(data)
        return data

    async def shake_hands(self, context: ssl.SSLContext) -> None:
        """Make a TLS handshake. Raises ssl.SSLError, and has told the client so, if there is none."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send_outgoing()
                self._feed(await self.receive_raw())
            except ssl.SSLError:
                await self._send_outgoing()
                raise
            else:
                break
        await self._send_outgoing()
        self._tls = tls

    async def notify_close(self) -> None:
        """Say that nothing more will be said, if TLS is in force; the answer to it is not awaited."""
        if self._tls is not None:
            with suppress(ssl.SSLError):  # what the client says to it is received later
                self._tls.unwrap()
            await self._send_outgoing()

    async def alert(self) -> None:
        """Break TLS by a fatal alert (RFC 8446 6.2), which is that of a record that cannot be deciphered."""
        if self._tls is None:
            raise AssertionError("there is no TLS to break")
        while True:
            try:
                self._incoming.write(_NO_RECORD)
                self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                pass  # it went into a record that had begun
            except ssl.SSLError:
                break
        await self._send_outgoing()

    # Closing

    def shut_down(self) -> None:
        """Close our half of the connection."""
        with suppress(OSError):  # the client may have closed already
            self._end.shutdown(socket.SHUT_WR)

    async def wait_closed(self) -> None:
        """Wait until the client has closed its half of the connection, whatever it still sends."""
        while await self.receive_raw():
            pass

    async def reset(self) -> None:
        """Cut the connection with an RST."""
        await self._stop_waiting()
        reset(self._end)

    async def close(self) -> None:
        """Close the connection. May be done twice."""
        try:
            await self._stop_waiting()
        finally:  # who closes may be cancelled
            self._end.close()

    # Private

    async def _send_outgoing(self) -> None:
        # Alerts and the like: whether anybody is there to read them does not matter.
        with suppress(OSError):
            await self.send_raw(self._outgoing.read())

    async def _receive(self) -> bytes:
        while self._first is None:
            try:
                return self._end.recv(_READ_SIZE)
            except BlockingIOError:
                if not await self._wait_readable():
                    break
        data = await self._receive_first()
        with suppress(BlockingIOError):
            data += self._end.recv(_READ_SIZE)
        return data

    async def _wait_readable(self) -> bool:
        # False at once where the event loop can watch no socket, as that of Windows.
        # Not by the loop's sock_recv: cancelled at the wrong moment, that has received something and tells nobody.
        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        try:
            loop.add_reader(self._end, _resolve, readable)
        except NotImplementedError:
            return False
        try:
            await readable
        finally:
            loop.remove_reader(self._end)
        return True

    async def _receive_first(self) -> bytes:
        # By a task that goes on when whoever waits for it is cancelled. It asks for one octet, so that no more than
        # that leaves the connection before somebody wants to hear it.
        if self._first is None:
            loop = asyncio.get_running_loop()
            self._first = loop.create_task(loop.sock_recv(self._end, 1))
        await asyncio.wait([self._first])
        first, self._first = self._first, None
        return first.result()

    async def _stop_waiting(self) -> None:
        # An event loop is to have let go of a socket before it is closed.
        if self._first is not None:
            first, self._first = self._first, None
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def _is_end(error: ssl.SSLError) -> bool:
    # By a close_notify or without one, or by another alert of the client's (RFC 8446 6).
    return isinstance(error, ssl.SSLZeroReturnError | ssl.SSLEOFError) or "_ALERT_" in str(error)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)

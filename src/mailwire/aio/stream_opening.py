"""Stream opening: how a connection comes about, and how TLS begins over it.

A `Stream` has it of this; it is no class by itself.
"""

import asyncio
import socket
import ssl
from abc import abstractmethod
from inspect import isawaitable
from typing import Any, Final, Self

from .._wire.text import described, quote
from ..endpoint import Endpoint
from ..errors import ConnectionFailed, DeadlineExceeded, InjectedData, MailwireError, TLSFailed
from .deadline import Deadline, told_if_cancelled
from .happy_eyeballs import close_socket, connect_tcp
from .tls import TLSInfo, names_refused, plaintext_instead, server_name, tls_reason

__all__ = ["StreamOpening"]

# From a reader that is put aside, so much is taken at a time.
_READER_SIZE: Final = 512 * 1024
# Seconds; asyncio takes no None where it has a deadline of its own.
_NEVER: Final = 365 * 24 * 3600.0
# Of the names in a certificate so many are told, and so many characters of each: no DNS name is longer.
_NAMES: Final = 5
_NAME_SIZE: Final = 253


class StreamOpening(asyncio.BufferedProtocol):
    """The part of a stream that opens it."""

    is_at_end: bool
    has_news: bool

    _arrived: list[bytes]
    _arrived_size: int
    _keep_alive: object
    _secured: asyncio.BaseTransport | None
    _transport: asyncio.Transport | None

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection at once."""

    @classmethod
    async def open(cls, endpoint: Endpoint, context: ssl.SSLContext | None = None) -> Self:
        """Connect to `endpoint`; with TLS, if that is implicit there, as `context` has it or the endpoint's own.

        Raises ConnectionFailed, TLSFailed, DeadlineExceeded.
        """
        stream = cls()
        try:
            async with Deadline(endpoint.timeouts.connect, "connect", f"connecting to {endpoint}"):
                await stream._connect(endpoint)
            if endpoint.tls == "implicit":
                if stream._arrived:
                    raise TLSFailed(f"{plaintext_instead(endpoint)}: it began with {quote(stream._arrived[0])}")
                await stream.start_tls(endpoint, context)
        except BaseException as error:
            stream.abort()
            # Some errors of our tree are an OSError besides.
            if isinstance(error, OSError) and not isinstance(error, MailwireError):
                raise ConnectionFailed(f"no connection to {endpoint}: {_reason(error)}") from error
            raise
        return stream

    async def start_tls(self, endpoint: Endpoint, context: ssl.SSLContext | None = None) -> None:
        """Begin TLS; the server must prove to be the endpoint's host, and have the certificate that is pinned.

        Raises InjectedData if anything arrived before the handshake, TLSFailed, DeadlineExceeded.
        """
        context = context or endpoint.tls_context
        if context is None:
            raise AssertionError("where there is TLS, there is a context")
        loop = asyncio.get_running_loop()
        transport = self._living_transport()
        # From here to the handshake there is no await: what comes later goes to the TLS layer and fails there.
        if self._arrived:
            raise InjectedData(f"expected a TLS handshake, but got {quote(self._arrived[0])}")
        try:
            async with Deadline(endpoint.timeouts.handshake, "handshake", f"the TLS handshake with {endpoint}"):
                upgraded = await loop.start_tls(
                    transport,
                    self,
                    context,
                    server_hostname=server_name(endpoint),
                    ssl_handshake_timeout=_NEVER,  # ours is the deadline around it
                )
        except DeadlineExceeded:
            raise
        except (OSError, TypeError) as error:
            told = _told_by(error)
            # A loop refuses a transport by a TypeError before it touches it. Any other is not about TLS.
            if told is None and transport.get_protocol() is not self:
                raise
            raise _no_session(endpoint, told or error) from error
        except UnicodeDecodeError as error:
            # A loop has a certificate that was accepted decoded, and one of the names in it is no text.
            raise TLSFailed(f"the certificate of {endpoint} cannot be read: {error}") from error
        if upgraded is None or upgraded.get_extra_info("ssl_object") is None:
            raise TLSFailed(f"no TLS session with {endpoint}: the connection ended during the handshake")
        self._transport = self._secured = upgraded
        info = self.tls_info
        if endpoint.tls_pin is not None and (info is None or info.fingerprint != endpoint.tls_pin):
            raise TLSFailed(
                f"{endpoint} has another certificate than the pinned one: "
                f"expected the SHA-256 {endpoint.tls_pin}, got {info and info.fingerprint}"
            )

    @property
    def tls_session(self) -> ssl.SSLObject | None:
        """The TLS session that was begun here, asked of the transport itself; None if there is none.

        One that streams came with does not count: it may end at a proxy.
        """
        session: ssl.SSLObject | None = None if self._secured is None else self._secured.get_extra_info("ssl_object")
        return session

    @property
    def tls_info(self) -> TLSInfo | None:
        """What was negotiated; None without TLS."""
        return None if self.tls_session is None else TLSInfo.of(self.tls_session)

    @property
    def local_address(self) -> tuple[object, ...] | str | None:
        """The address of our end, as the socket module gives it."""
        address: tuple[object, ...] | str | None = self._living_transport().get_extra_info("sockname")
        return address

    # Private

    async def _connect(self, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        made: Any  # by connect=
        if endpoint.connect is not None:
            with told_if_cancelled(ConnectionFailed, "connect="):
                making: Any = endpoint.connect()
                if not isawaitable(making):
                    raise _no_connection("to be an async function, but it returned", making)
                made = await making
        elif endpoint.unix_path is not None:
            from .unix_socket import connect_unix  # for these alone

            made = await connect_unix(endpoint.unix_path)
        else:
            made = await connect_tcp(endpoint.host, endpoint.port, endpoint.local_address)
        match made:
            case socket.socket() if not isinstance(made, ssl.SSLSocket):
                try:
                    await loop.create_connection(lambda: self, sock=made)
                except BaseException:
                    close_socket(made)  # no transport does that, where there was none yet
                    raise
            case (asyncio.StreamReader() as reader, asyncio.StreamWriter() as writer):
                self._adopt(reader, writer)
            case _:
                raise _no_connection("to return a connected socket, or a reader and its writer, got", made)

    def _adopt(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What the reader holds already is taken by stepping read() until it has to wait.
        while not self.is_at_end:
            reading = reader.read(_READER_SIZE)
            try:
                reading.send(None)
            except StopIteration as taken:
                self._arrived.extend([taken.value] if taken.value else [])
                self.is_at_end = not taken.value
            else:
                reading.close()
                break
        self._arrived_size = sum(map(len, self._arrived))
        self.has_news = bool(self._arrived) or self.is_at_end
        if writer.is_closing():
            raise ConnectionFailed("the streams that connect= returned are closed")
        self._keep_alive = writer
        self.connection_made(writer.transport)
        transport = self._living_transport()
        transport.set_protocol(self)
        transport.resume_reading()  # the reader may have held the peer back

    def _living_transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise AssertionError("the stream was never opened")
        return self._transport


def _no_connection(expected: str, made: object) -> ValueError:
    told = ValueError(f"expected connect= {expected} {described(made)}")
    if isinstance(made, socket.socket):
        close_socket(made)
    return told


def _no_session(endpoint: Endpoint, error: BaseException) -> TLSFailed:
    match error:
        case ssl.SSLCertVerificationError() as refusal:
            reason = refusal.verify_message
            if names := names_refused(refusal):
                more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
                few = ", ".join(name[:_NAME_SIZE] for name in names[:_NAMES])
                reason = f"it is for {few}{more}, and {endpoint.host} was asked for"
            return TLSFailed(f"the certificate of {endpoint} was not accepted: {reason}")
        case ssl.SSLError() as failure:
            return TLSFailed(tls_reason(failure, endpoint))
        case OSError() as loss:
            ended = "the connection ended during the handshake"
            return TLSFailed(f"no TLS session with {endpoint}: {ended}: {_reason(loss)}")
        case _:  # there can be none over what connect= has made
            return TLSFailed(f"no TLS session with {endpoint}: {error}")


def _told_by(error: BaseException) -> OSError | None:
    # Over TLS that streams came with, the asyncio of Python 3.11 stumbles when it tells of a handshake that has failed:
    # there is a TypeError, or one upon the other, and behind them what was to be told.
    told: BaseException | None = error
    while told is not None and not isinstance(told, OSError):
        told = told.__context__
    return told


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__

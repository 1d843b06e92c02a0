"""RecordingProxy: stands between a client and a real server, and writes down what they say.

TLS ends here: the client makes a handshake with the proxy, whose certificate is one of the test authority, and the
proxy makes one with the server, whose certificate it verifies.
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Final

from .checks import check_flag, describe
from .destination import Destination
from .link import Link
from .proxy import Proxy, Proxying
from .recording import Recording, check_replacing
from .tls import server_context

__all__ = ["RecordingProxy"]

_READ_SIZE: Final = 64 * 1024
# The end of what a client said last.
_TAIL: Final = 64
_ASKS_FOR_TLS: Final = re.compile(rb"(?:.*\n)?(?:STARTTLS|STLS)[ \t]*\r?\n", re.IGNORECASE | re.DOTALL)
_GOES_AHEAD: Final = re.compile(rb"(?:220-[^\n]*\n)*(?:220(?!-)|\+OK)[^\n]*\n")
_GOES_ON: Final = re.compile(rb"(?:[0-9]{3}-[^\n]*\n)*+[^\n]*")  # an answer that has not come whole

_server_context: Final = cache(server_context)


class RecordingProxy(Proxy):
    """A proxy on a free port of 127.0.0.1, before the real server at `port` of `host`.

    ::

        async with RecordingProxy("smtp.example.org", 587) as proxy:
            endpoint = Endpoint("localhost", proxy.port, tls="starttls", tls_context=client_context())
            await send(message, endpoint)
            await proxy.wait_idle()
        proxy.recordings[0].save("greylisting.txt", "What smtp.example.org says to a stranger.")

    The client is to trust the test authority (`client_context`) where there is TLS, and to call the host localhost.

    unix_path: of the Unix socket at which the server is, in place of a port; the host is whom its certificate names.
    listen_path: where the proxy is to listen, in place of a port.
    implicit_tls: both connections begin with TLS. STARTTLS and STLS need not be told of: where the server goes ahead,
        two handshakes are made.
    tls_context: for the server; by default one that trusts the authorities of the system.
    replacing: words and what is written in their place, as a `Recording` has them.
    recordings: one for each connection, in their order. What was asked for with a password in it is masked; all else is
        as it was, addresses and the messages of a maildrop too.

    A server that cannot be connected to, and a handshake with it that fails, is a connection that is reset; the
    recording ends there. What is bound to TLS (SCRAM-...-PLUS) fails behind a proxy, as it must, and an exchange of
    SCRAM cannot be played again: its challenges are masked.

    Raises ValueError for what is none of these.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        unix_path: str | os.PathLike[str] | None = None,
        listen_path: str | os.PathLike[str] | None = None,
        implicit_tls: bool = False,
        tls_context: ssl.SSLContext | None = None,
        replacing: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(listen_path)
        check_flag("implicit_tls", implicit_tls)
        if tls_context is not None and not _is_for_clients(tls_context):
            raise ValueError(f"expected a TLS context of clients, got {describe(tls_context)}")
        if replacing is not None:
            check_replacing(replacing)
        self.recordings: list[Recording] = []
        self._destination = Destination(host, port, unix_path)
        self._implicit_tls = implicit_tls
        self._tls_context = tls_context
        self._replacing = replacing

    def _receive(self, peer: str) -> "_Listening":
        recording = Recording(self._replacing)
        self.recordings.append(recording)
        # To load all authorities takes longer than a session: once is enough.
        self._tls_context = self._tls_context or ssl.create_default_context()
        return _Listening(self._destination, recording, self._tls_context, self._implicit_tls)


def _is_for_clients(context: object) -> bool:
    return isinstance(context, ssl.SSLContext) and context.protocol is not ssl.PROTOCOL_TLS_SERVER


class _Listening(Proxying):
    # One connection on its way through.

    def __init__(
        self, destination: Destination, recording: Recording, context: ssl.SSLContext, implicit_tls: bool
    ) -> None:
        self._destination = destination
        self._recording = recording
        self._context = context
        self._implicit_tls = implicit_tls
        self._asked = b"\n"  # by the client, the end of it
        self._answer: bytearray | None = None  # to the question for TLS, if that is open

    async def _pass_on(self, client: socket.socket) -> None:
        client.setblocking(False)
        link = Link(client, bytearray())
        try:
            reader, writer = await self._connect(link)
            try:
                await self._pass_both_ways(link, reader, writer)
            finally:
                writer.transport.abort()
        except OSError:  # as SSLError is, too
            await link.reset()
        finally:
            await link.close()

    async def _connect(self, link: Link) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._implicit_tls:
            return await asyncio.open_connection(sock=await self._destination.connect())
        await link.shake_hands(_server_context())
        server = await self._destination.connect()
        streams = await asyncio.open_connection(sock=server, ssl=self._context, server_hostname=self._destination.host)
        self._recording.begin_tls()
        return streams

    async def _pass_both_ways(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        by_client = asyncio.create_task(_hear(link, writer))
        by_server = asyncio.create_task(reader.read(_READ_SIZE))
        try:
            while True:
                await asyncio.wait([by_client, by_server], return_when=asyncio.FIRST_COMPLETED)
                if by_server.done():
                    if not (data := by_server.result()):
                        break
                    self._recording.hear_server(data)
                    if self._goes_ahead(data):
                        # Before it is said: the client's handshake may be here before the event loop tells of that.
                        by_client.cancel()
                        await asyncio.wait([by_client])
                        await link.send(data)
                        await link.shake_hands(_server_context())
                        await writer.start_tls(self._context, server_hostname=self._destination.host)
                        self._recording.begin_tls()
                        by_client = asyncio.create_task(_hear(link, writer))
                    else:
                        await link.send(data)
                    by_server = asyncio.create_task(reader.read(_READ_SIZE))
                else:
                    if not (data := by_client.result()):
                        return
                    self._recording.hear_client(data)
                    self._asked = (self._asked + data)[-_TAIL:]
                    self._answer = bytearray() if _ASKS_FOR_TLS.fullmatch(self._asked) else None
                    with suppress(RuntimeError):  # of uvloop, about a server that has gone, as its end tells
                        writer.write(data)
                    by_client = asyncio.create_task(_hear(link, writer))
            self._recording.end()
            await link.notify_close()
            link.shut_down()
            by_client.cancel()
            await asyncio.wait([by_client])
            while await link.receive():
                pass
        finally:
            for task in (by_client, by_server):
                task.cancel()
            await asyncio.gather(by_client, by_server, return_exceptions=True)

    def _goes_ahead(self, data: bytes) -> bool:
        # Whether this is what was missing of a go-ahead to TLS.
        if self._answer is None:
            return False
        self._answer += data
        answer = bytes(self._answer)
        if not _GOES_ON.fullmatch(answer):
            self._answer = None
        return _GOES_AHEAD.fullmatch(answer) is not None


async def _hear(link: Link, writer: asyncio.StreamWriter) -> bytes:
    # Nothing is heard of a client while the server does not take what was said before.
    with suppress(OSError):  # it has gone, of which its own words tell, or their end
        await writer.drain()
    return await link.receive()

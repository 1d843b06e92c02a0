"""Both machines over anyio: a link has three methods, and a session drives either machine over any link."""

from ssl import SSLContext
from typing import Any, Protocol

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from mailwire import pop3, smtp


class Link(Protocol):
    """All that a machine needs of the world."""

    async def send(self, block: bytes) -> None: ...
    async def receive(self) -> bytes: ...  # b"" at the end
    async def start_tls(self) -> None: ...


class AnyioLink:
    """A link over a stream of anyio, for a server called `host`. Nothing takes longer than `patience` seconds."""

    def __init__(self, stream: ByteStream, host: str, tls: SSLContext, patience: float = 60) -> None:
        self.stream, self.host, self.tls, self.patience = stream, host, tls, patience

    async def send(self, block: bytes) -> None:
        with anyio.fail_after(self.patience):
            await self.stream.send(block)

    async def receive(self) -> bytes:
        try:
            with anyio.fail_after(self.patience):
                return await self.stream.receive(65536)
        except anyio.EndOfStream:
            return b""

    async def start_tls(self) -> None:
        with anyio.fail_after(self.patience):
            self.stream = await TLSStream.wrap(self.stream, hostname=self.host, ssl_context=self.tls)


class Session:
    """A machine and its link. After any error, and after a cancellation, close the link: it is out of step."""

    def __init__(self, machine: smtp.Connection | pop3.Connection, link: Link) -> None:
        self.machine: Any = machine
        self.link = link

    async def next_event(self) -> Any:
        """Write what may be written and read until something has happened."""
        while True:
            for block in self.machine.data_to_send():
                await self.link.send(block)
            if (event := self.machine.next_event()) is not None:
                return event
            data = await self.link.receive()
            self.machine.receive_data(data) if data else self.machine.receive_eof()

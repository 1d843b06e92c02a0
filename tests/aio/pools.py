"""What the tests of the pool have in common: servers that keep count, and mails that wait until they are let go."""

import asyncio
import socket
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from mailwire import Endpoint, Receipt, SMTPPool
from mailwire.testing import Account, InThread, MailServer, ScriptedPeer
from mailwire.testing.turns import turns

__all__ = [
    "ACCOUNTS",
    "ENVELOPE",
    "Gate",
    "Way",
    "beside_event_loops",
    "connected",
    "endpoint_of",
    "in_turn",
    "mails_of",
    "numbered",
    "subjects",
    "until",
]

ACCOUNTS: Final = [Account(name, "", (f"{name}@example.org",)) for name in ("b", "c")]
ENVELOPE: Final[dict[str, Any]] = {"sender": "a@example.org", "recipients": "b@example.org"}


def numbered(number: int) -> bytes:
    """Return a message that can be told from others."""
    return b"Subject: %d\r\n\r\nhello\r\n" % number


def subjects(server: MailServer) -> list[int]:
    """Return the numbers of the messages that have arrived, in the order in which they did."""
    return [int(message.content.split(b"\r\n")[0].split()[1]) for message in server.messages("b")]


def mails_of(server: MailServer) -> list[int]:
    """Return how many MAIL commands each session has had."""
    return [sum(line.startswith(b"MAIL") for line in session.commands) for session in server.smtp_sessions]


def endpoint_of(server: MailServer, **settings: Any) -> Endpoint:
    return Endpoint("127.0.0.1", server.smtp_port, **{"tls": "none", **settings})


@contextmanager
def beside_event_loops() -> Iterator[MailServer]:
    """A server in a thread of its own, for event loops one after the other; what one has left raises no warning."""
    with InThread(MailServer(ACCOUNTS)) as server, warnings.catch_warnings(action="ignore", category=ResourceWarning):
        yield server


async def until(condition: Callable[[], bool]) -> None:
    """Wait, turn by turn, for what is sure to come."""
    async with asyncio.timeout(20):
        while not condition():
            await turns(1)


class Gate:
    """Mails that hold a connection until `open`; `begun`: how many of them are under way."""

    def __init__(self) -> None:
        self.begun = 0
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def message(self, number: int) -> AsyncIterator[bytes]:
        self.begun += 1
        yield b"Subject: %d\r\n" % number
        await self._opened.wait()
        yield b"\r\nhello\r\n"

    def send(self, pool: SMTPPool, number: int = 0) -> "asyncio.Task[Receipt]":
        return asyncio.ensure_future(pool.send(self.message(number), **ENVELOPE))


def in_turn(*peers: ScriptedPeer) -> Callable[[], Awaitable[socket.socket]]:
    """Return a connector that leads to one peer after the other, and to nobody behind the last."""
    ways = iter(peers)

    async def connect() -> socket.socket:
        for way in ways:
            return await way.connect()
        raise ConnectionRefusedError("nobody is there any more")

    return connect


async def connected(server: MailServer) -> socket.socket:
    """Return the client's end of a connection to its SMTP port."""
    end = socket.socket()
    end.setblocking(False)
    await asyncio.get_running_loop().sock_connect(end, (server.host, server.smtp_port))
    return end


class Way:
    """The way to `server`, on which one connection is refused, once that may be.

    refused: the number of that connection, from 1.
    count: how many were asked for.
    """

    def __init__(self, server: MailServer, *, refused: int, until: asyncio.Event | None = None) -> None:
        self.count = 0
        self._server = server
        self._refused = refused
        self._until = until

    async def connect(self) -> socket.socket:
        self.count += 1
        if self.count == self._refused:
            if self._until is not None:
                await self._until.wait()
            raise ConnectionRefusedError("not yet")
        return await connected(self._server)

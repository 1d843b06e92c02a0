"""Acceptor: a port on the loopback interface and the clients that come to it.

The standard library's `Server` is not used: a client that arrives while it is closed leaves a socket behind, and what
its `wait_closed` waits for differs between the versions of Python. Here every accepted socket belongs to a task.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

__all__ = ["Acceptor", "Host"]

_HOST: Final = "127.0.0.1"
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED)
_WAITING: Final = 1024  # who come at once, and are not accepted yet: the system has whoever is beyond it wait a second


class Host(Protocol):
    """Who looks after one client."""

    async def serve(self, accepted: socket.socket) -> None:
        """Serve the client at the other end of `accepted`, which is closed then. Nothing that it does is raised."""

    def abort(self) -> None:
        """Make an end of it at once."""


class Acceptor:
    """Accepts clients at a free port and has each served by who `receive` finds for its address.

    path: where to make a Unix socket instead, which is removed again in the end.
    """

    def __init__(self, receive: Callable[[str], Host], *, path: str | None = None) -> None:
        self._receive = receive
        self._path = path
        self._address: tuple[str, int] | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._is_closing = False
        self._hosts: list[Host] = []
        self._serving: list[asyncio.Task[None]] = []

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port; they stay known when it is closed. Raises RuntimeError before it is started, and where
        there is a path."""
        if self._address is None:
            raise RuntimeError("the server has no port before it is started")
        return self._address

    def start(self) -> None:
        """Begin to accept clients, in the running event loop. Raises RuntimeError if it was started before."""
        if self._accepting is not None:
            raise RuntimeError("a server can be started once")
        listening = _listen(self._path)
        if self._path is None:
            self._address = listening.getsockname()
        self._accepting = asyncio.create_task(self._accept(listening))

    async def close(self) -> None:
        """Accept no more clients, cut the connections to those that are there, and wait until all is over."""
        if self._accepting is None:
            return
        self._is_closing = True
        if not self._accepting.done():  # or somebody else may be at the address
            # The task is woken by a client of our own: to cancel it could lose a socket accepted at that very moment.
            with socket.socket(socket.AF_INET if self._path is None else socket.AF_UNIX) as bell:
                bell.setblocking(False)
                if bell.connect_ex(self._path or self.address) in _GONE:
                    self._accepting.cancel()  # somebody has removed the path: nobody can come
                await asyncio.wait([self._accepting])
        for host in self._hosts:
            host.abort()
        await self.wait_idle()
        if not self._accepting.cancelled():
            self._accepting.result()

    async def wait_idle(self) -> None:
        """Wait until every client that was accepted so far is gone. It may be awaited in any event loop."""
        home = asyncio.get_running_loop() if self._accepting is None else self._accepting.get_loop()
        if home is asyncio.get_running_loop():
            await asyncio.gather(*self._serving)
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.wait_idle(), home))

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                accepted, address = await loop.sock_accept(listening)
                if self._is_closing:
                    accepted.close()
                    return
                try:
                    host = self._receive(address[0] if self._path is None else "")
                except BaseException:
                    accepted.close()
                    raise
                self._hosts.append(host)
                self._serving.append(asyncio.create_task(host.serve(accepted)))
        finally:
            listening.close()
            if self._path is not None:
                with suppress(FileNotFoundError):  # its directory may be gone by now
                    os.unlink(self._path)


def _listen(path: str | None) -> socket.socket:
    # The protocol is named, for asyncio switches Nagle's algorithm off only where it is: packets of their own would
    # wait for each other.
    family, protocol = (socket.AF_INET, socket.IPPROTO_TCP) if path is None else (socket.AF_UNIX, 0)
    listening = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        listening.setblocking(False)
        listening.bind((_HOST, 0) if path is None else path)
        listening.listen(_WAITING)
    except BaseException:
        listening.close()
        raise
    return listening

"""Acceptor: a port on the loopback interface and the clients that come to it.

The standard library's `Server` is not used: a client that arrives while it is closed leaves a socket behind, and what
its `wait_closed` waits for differs between the versions of Python. Here every accepted socket belongs to a task.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

__all__ = ["Acceptor", "Host"]

_HOST: Final = "127.0.0.1"
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED)
# Seconds until the system is asked again for a client that it did not hand over, for it has no descriptor left, say.
# asyncio's own servers wait a whole one; here it is a test that waits for it.
_REST: Final = 0.1
_WAITING: Final = 1024  # who come at once, and are not accepted yet: the system has whoever is beyond it wait a second


class Host(Protocol):
    """Who looks after one client."""

    async def serve(self, accepted: socket.socket) -> None:
        """Serve the client at the other end of `accepted`, which is closed then. Nothing that the client does is
        raised."""

    def abort(self) -> None:
        """Make an end of it at once."""


class Acceptor:
    """Accepts clients at a free port and has each served by who `receive` finds for its address.

    Where `receive` raises, that client is turned away. The first failure of that or of a host is raised by who asks
    next, `close` or `wait_idle`. It lives in the event loop in which it was started; these two may be awaited in any
    other as well, while that one runs.

    path: where to make a Unix socket instead, which is removed again in the end.
    """

    def __init__(self, receive: Callable[[str], Host], *, path: str | None = None) -> None:
        self._receive = receive
        self._path = path
        self._address: tuple[str, int] | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._is_closing = False
        self._is_resting = False
        self._failure: Exception | None = None  # the first that nobody was told of
        self._serving: dict[asyncio.Task[None], Host] = {}  # those that are not over

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port; they stay known when it is closed. Raises RuntimeError before it is started, and where
        there is a path."""
        if self._path is not None:
            raise RuntimeError("a server at a Unix socket has no port")
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
        # Not by the task itself, which may be cancelled before it begins.
        self._accepting.add_done_callback(lambda _: self._stop_listening(listening))

    async def close(self) -> None:
        """Accept no more clients, cut the connections to those that are there, and wait until all is over.

        Raises RuntimeError where the event loop that it lives in runs no more.
        """
        if self._accepting is None:
            return
        await self._at_home(self._accepting.get_loop(), self._close)

    async def wait_idle(self) -> None:
        """Wait until every client that was accepted so far is gone. Raises RuntimeError as `close` does."""
        if self._accepting is not None:
            await self._at_home(self._accepting.get_loop(), self._wait_idle)

    # Private

    async def _at_home(self, home: asyncio.AbstractEventLoop, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if home is asyncio.get_running_loop():
            await do()
        elif home.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(do(), home))
        else:
            raise RuntimeError("the event loop in which the server was started does not run any more")

    async def _close(self) -> None:
        if self._accepting is None:
            raise AssertionError("what was never started is not closed")
        self._is_closing = True
        try:
            if not self._accepting.done():  # or somebody else may be at the address
                await self._end_accepting(self._accepting)
        finally:  # who closes may be cancelled
            for host in self._serving.values():
                host.abort()
        await self._wait_idle()

    async def _end_accepting(self, accepting: asyncio.Task[None]) -> None:
        if self._is_resting:
            accepting.cancel()
            await asyncio.wait([accepting])
            return
        # The task is woken by a client of our own: to cancel it could lose a socket accepted at that very moment.
        with socket.socket(socket.AF_INET if self._path is None else socket.AF_UNIX) as bell:
            bell.setblocking(False)
            if bell.connect_ex(self._path or self.address) in _GONE:
                accepting.cancel()  # somebody has removed the path: nobody can come
            await asyncio.wait([accepting])

    async def _wait_idle(self) -> None:
        serving = tuple(self._serving)
        if serving:
            await asyncio.wait(serving)  # who waits may be cancelled, and they are not
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError:
                await self._rest()
                continue
            if self._is_closing:
                accepted.close()
                return
            self._admit(accepted, address[0] if self._path is None else "")

    async def _rest(self) -> None:
        self._is_resting = True
        try:
            await asyncio.sleep(_REST)
        finally:
            self._is_resting = False

    def _admit(self, accepted: socket.socket, address: str) -> None:
        try:
            host = self._receive(address)
        except Exception as failure:
            accepted.close()
            self._failure = self._failure or failure
            return
        serving = asyncio.create_task(self._serve(host, accepted))
        self._serving[serving] = host
        serving.add_done_callback(self._serving.pop)

    async def _serve(self, host: Host, accepted: socket.socket) -> None:
        try:
            await host.serve(accepted)
        except Exception as failure:
            self._failure = self._failure or failure

    def _stop_listening(self, listening: socket.socket) -> None:
        listening.close()
        if self._path is not None:
            with suppress(FileNotFoundError, NotADirectoryError):  # its directory may be gone by now
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

"""Proxy: stands before a server, on the same machine; what becomes of a connection, its kind says."""

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from typing import Self

from .acceptor import Acceptor
from .checks import check_path

__all__ = ["Proxy", "Proxying"]


class Proxy(ABC):
    """A proxy on a free port of 127.0.0.1. Leaving it cuts every connection.

    listen_path: where to listen instead, as a Unix socket that is removed in the end. Raises ValueError for no path.
    """

    def __init__(self, listen_path: str | os.PathLike[str] | None) -> None:
        if listen_path is not None:
            check_path("listen_path", listen_path)
        self._acceptor = Acceptor(self._receive, path=None if listen_path is None else os.fspath(listen_path))

    @property
    def host(self) -> str:
        """The address it listens on. Raises RuntimeError as `port` does."""
        return self._acceptor.address[0]

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError before it is started, and where it listens at a path."""
        return self._acceptor.address[1]

    async def start(self) -> None:
        """Listen. Raises OSError if that is not possible."""
        self._acceptor.start()

    async def close(self) -> None:
        """Cut all connections and stop listening."""
        await self._acceptor.close()

    async def wait_idle(self) -> None:
        """Wait until every connection that was made so far is over. It may be awaited in any event loop."""
        await self._acceptor.wait_idle()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    def _receive(self, peer: str) -> "Proxying":
        """Return what looks after the connection that was made from the address `peer`."""


class Proxying(ABC):
    """One connection on its way through."""

    _passing: asyncio.Task[None] | None = None

    async def serve(self, accepted: socket.socket) -> None:
        """Pass on what comes from the client at the other end of `accepted`, which is closed then, and what is for it.

        Raises what the passing on has raised, but for a cancellation by `abort`.
        """
        with accepted:
            self._passing = asyncio.create_task(self._pass_on(accepted))
            await asyncio.wait([self._passing])
        if not self._passing.cancelled():
            self._passing.result()

    def abort(self) -> None:
        """Make an end of it at once."""
        if self._passing is None:
            raise AssertionError("who was accepted is served before anybody learns of it")
        self._passing.cancel()

    @abstractmethod
    async def _pass_on(self, client: socket.socket) -> None:
        """Do it."""

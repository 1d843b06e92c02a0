"""Relay: between a client and a real server, to count how often the client speaks."""

import asyncio
from typing import Self

from tests.integration.daemon import HOST

__all__ = ["Relay"]


class Relay:
    """A port that leads to another port of this machine.

    packets: how many pieces have come from clients: as many as they have written, or fewer where several came at once.
    """

    def __init__(self, port: int) -> None:
        self.packets = 0
        self._to = port
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, answers = await asyncio.open_connection(HOST, self._to)
        ways = [self._carry(reader, answers, counts=True), self._carry(there, writer, counts=False)]
        self._tasks |= {asyncio.create_task(way) for way in ways}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool) -> None:
        try:
            while piece := await reader.read(64 * 1024):
                self.packets += counts
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # one of both is gone
        finally:
            writer.close()

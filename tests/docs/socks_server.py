"""A SOCKS5 proxy (RFC 1928, RFC 1929) on the loopback interface, for one user, that leads to places of its own."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

__all__ = ["SocksServer"]


class SocksServer:
    """user, password: who may use it.
    places: which port of this machine stands for which name and port; no other is connected to.
    visited: the names and ports that were asked for by who had the password.
    """

    def __init__(self, user: str, password: str, places: Mapping[tuple[str, int], int]) -> None:
        self._credentials = (user.encode(), password.encode())
        self._places = dict(places)
        self._tasks: set[asyncio.Task[None]] = set()
        self.visited: list[tuple[str, int]] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            port = await self._agree(reader, writer)
            if port is not None:
                there, back = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2))
                await asyncio.gather(_carry(reader, back), _carry(there, writer))
        finally:
            writer.close()

    async def _agree(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int | None:
        # Which port to connect to; None where the client is refused.
        version, methods = await reader.readexactly(2)
        offered = await reader.readexactly(methods)
        if version != 5 or 2 not in offered:
            writer.write(b"\x05\xff")
            return None
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        is_known = (user, password) == self._credentials
        writer.write(b"\x01" + bytes([not is_known]))
        if not is_known:
            return None
        _, command, _, kind = await reader.readexactly(4)
        if (command, kind) != (1, 3):  # CONNECT, and to a name: whoever looks names up himself is not for this proxy
            writer.write(b"\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00")
            return None
        name = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        place = name, int.from_bytes(await reader.readexactly(2))
        self.visited.append(place)
        port = self._places.get(place)
        if port is None:
            writer.write(b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00")
        return port


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()

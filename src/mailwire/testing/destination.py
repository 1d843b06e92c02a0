"""Destination: where a proxy leads, to a port of a host or to a Unix socket."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any, TypeAlias

from .checks import check_path, check_text
from .tcp import send_at_once

__all__ = ["Destination"]

# As getaddrinfo() returns it.
_AddressInfo: TypeAlias = tuple[int, int, int, str, Any]


class Destination:
    """The place of a server.

    host, port: a name or an address, and one of TCP's ports; unix_path: the Unix socket that is there in place of a
        port. Raises ValueError for what is none of these, and unless it is one of both.
    """

    def __init__(self, host: str, port: int | None, unix_path: str | os.PathLike[str] | None) -> None:
        check_text("host", host)
        if unix_path is None:
            _check_port(port)
        else:
            check_path("unix_path", unix_path)
            if port is not None:
                raise ValueError(f"expected the port of a server or a unix_path, got {port!r} and {unix_path!r}")
        self.host: str = host
        self._port = port
        self._path = unix_path

    async def connect(self) -> socket.socket:
        """Return a connection to it, which does not block. Raises OSError."""
        if self._path is not None:
            return await _connect_to((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", os.fspath(self._path)))
        loop = asyncio.get_running_loop()
        target = self.host, self._port
        try:
            # An address needs no resolver, and no thread for it.
            found = socket.getaddrinfo(*target, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            found = await loop.getaddrinfo(*target, type=socket.SOCK_STREAM)
        # A name may have several, as localhost has, and the server need not be at all of them.
        *others, last = found
        for address in others:
            with suppress(OSError):
                return await _connect_to(address)
        return await _connect_to(last)


def _check_port(port: object) -> None:
    if type(port) is not int or not 0 < port < 65536:
        raise ValueError(f"expected the port of a server, from 1 to 65535, got {port!r}")


async def _connect_to(address: _AddressInfo) -> socket.socket:
    family, kind, protocol, _, place = address
    server = socket.socket(family, kind, protocol)
    try:
        server.setblocking(False)
        send_at_once(server)
        await asyncio.get_running_loop().sock_connect(server, place)
    except BaseException:
        server.close()
        raise
    return server

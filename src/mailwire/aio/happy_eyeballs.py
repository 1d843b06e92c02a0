"""Happy Eyeballs (RFC 8305): of a host's addresses, the one that answers first.

The standard library's `create_connection` can do the same, but when it is cancelled at the moment in which an address
answers, it loses the connected socket. Here every socket belongs to somebody at every moment.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

__all__ = ["close_socket", "connect_tcp"]

# RFC 8305 5: the recommended delay before the next address is tried as well.
_DELAY: Final = 0.25  # seconds

# How asyncio's own loop begins to say where it could not connect; why, is in the number alone.
_WHERE: Final = "Connect call failed"

# What getaddrinfo() returns: family, type, protocol, canonical name, address.
_Info: TypeAlias = tuple[int, int, int, str, Any]


async def connect_tcp(host: str, port: int, local_address: str | None = None) -> socket.socket:
    """Return a socket, not blocking, that is connected to `host`, a name or an address. Raises OSError.

    local_address: the IP address of our end; then only the addresses of its family are tried.
    """
    infos = await _resolve(host, port)
    ours: _Info | None = None
    if local_address is not None:
        (ours,) = await _resolve(local_address, 0)
        infos = [info for info in infos if info[0] == ours[0]]
        if not infos:
            raise OSError(f"{host} has no address of the same family as our own, {local_address}")
    infos = _alternate(infos)
    if len(infos) == 1:
        return await _attempt(infos[0], ours)
    attempts: set[asyncio.Task[socket.socket]] = set()
    failures: list[OSError] = []
    try:
        while infos or attempts:
            if infos:
                attempts.add(asyncio.create_task(_attempt(infos.pop(0), ours)))
            delay = _DELAY if infos else None
            done, attempts = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            connected = [task.result() for task in done if _failure(task) is None]
            failures += [error for task in done if isinstance(error := _failure(task), OSError)]
            if connected:
                for loser in connected[1:]:
                    close_socket(loser)
                return connected[0]
    finally:
        for task in attempts:
            # What is connected by now, is connected for nobody.
            task.add_done_callback(_close_result)
            task.cancel()
    raise OSError("; ".join(str(failure) for failure in failures))


def close_socket(end: socket.socket) -> None:
    """Close `end`. Whatever the system says of that, the descriptor is gone, and nothing is lost by it."""
    with suppress(OSError):
        end.close()


async def _resolve(host: str, port: int) -> Sequence[_Info]:
    if not _is_address(host):
        loop = asyncio.get_running_loop()
        try:
            return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except RuntimeError as error:
            raise OSError(f"{host} cannot be looked up: {error}") from error  # there is no thread for it, say
    # An address is read, not asked for: that keeps nobody waiting. As octets: for text, Python would load what it needs
    # for names beyond ASCII.
    return socket.getaddrinfo(
        host.encode(), port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _alternate(infos: Sequence[_Info]) -> list[_Info]:
    # RFC 8305 4: the address families take turns, so that one that leads nowhere costs one delay and no more.
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    return [info for info in chain.from_iterable(zip_longest(first, others)) if info is not None]


async def _attempt(info: _Info, ours: _Info | None) -> socket.socket:
    family, kind, _, _, address = info
    # The protocol is not named: where it is, asyncio's transport switches Nagle's algorithm off while it is made. Where
    # that fails, nobody can close what was made of it, and to asyncio the descriptor is taken as long as that lives on.
    connecting = socket.socket(family, kind)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ours is not None:
            connecting.bind(ours[4])
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException as error:
        close_socket(connecting)
        if isinstance(error, OSError) and error.errno is not None and str(error.strerror).startswith(_WHERE):
            error.strerror = f"{os.strerror(error.errno)} ({address[0]}, port {address[1]})"
        raise
    return connecting


def _failure(task: "asyncio.Task[socket.socket]") -> BaseException | None:
    # Who goes through all the tasks that there are, cancels one that is not theirs.
    return OSError("an attempt was cancelled") if task.cancelled() else task.exception()


def _close_result(task: "asyncio.Task[socket.socket]") -> None:
    if _failure(task) is None:
        close_socket(task.result())

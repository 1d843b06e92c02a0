"""Unix sockets: servers on this machine, reached by a path."""

import asyncio
import socket

from .happy_eyeballs import close_socket

__all__ = ["connect_unix"]


async def connect_unix(path: str) -> socket.socket:
    """Return a socket that is connected to the server at `path`. Raises OSError."""
    if not hasattr(socket, "AF_UNIX"):  # as in Python for Windows
        raise OSError("this Python has no Unix sockets")
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, path)
    except BaseException:
        close_socket(connecting)
        raise
    return connecting

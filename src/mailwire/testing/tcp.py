"""What TCP can be asked for by a socket. A Unix socket has nothing of it: it sends at once, and knows no reset."""

import socket
import struct
from typing import Final

__all__ = ["reset", "send_at_once"]

_NO_LINGERING: Final = struct.pack("ii", 1, 0)


def send_at_once(end: socket.socket) -> None:
    """Let packets of their own not wait for each other (Nagle's algorithm), and so for a clock that no test moves."""
    if end.family in (socket.AF_INET, socket.AF_INET6):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(end: socket.socket) -> None:
    """Cut the connection with an RST, and close `end`; a Unix socket is closed alone. What has not arrived is lost."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    end.close()

"""What a test can have of asyncio's own event loop alone (`--loop uvloop` runs the tests under another), and a loop
that stands in for that of another system."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Never, TypeVarTuple

import pytest

from mailwire.testing.turns import drain_events
from tests.waiting import Loop

__all__ = ["LikeProactor", "skip_unless_asyncio", "skip_unless_movable"]

_Arguments = TypeVarTuple("_Arguments")


class LikeProactor(asyncio.SelectorEventLoop):
    """Stands in for the event loop that is Windows' own: it watches no socket for anybody, and tells late of what was
    sent, when the other end may have answered."""

    def add_reader(self, fd: Any, callback: Callable[[*_Arguments], Any], *args: *_Arguments) -> Never:
        """Refuse to."""
        raise NotImplementedError

    def add_writer(self, fd: Any, callback: Callable[[*_Arguments], Any], *args: *_Arguments) -> Never:
        """Refuse to."""
        raise NotImplementedError

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        """Send, and return only then."""
        await super().sock_sendall(sock, data)
        await drain_events()


def skip_unless_asyncio(reason: str) -> None:
    """Skip the test under another event loop than asyncio's own, for a `reason` that concerns the test alone."""
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        pytest.skip(reason)


def skip_unless_movable() -> None:
    """Skip the test under an event loop of which the clock is not the test's to move."""
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop | Loop):
        pytest.skip("the clock of this loop is not ours to move")

"""Every transcript on sockets that take few octets at a time: the server hears the same, to the last octet.

The peer and the calls are those of `test_on_sockets`: in the clear, with STARTTLS or STLS in the middle, and behind
TLS, where the octets are those of its records.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any, Final

from mailwire.endpoint import Connector
from mailwire.testing import ScriptedPeer
from tests.loops import skip_unless_asyncio
from tests.transcripts.places import Way
from tests.transcripts.test_on_sockets import Calls, on_each_link, play_whole

WIDTHS: Final = (1, 2, 3, 7, 16, 4096)
"""How many octets a socket takes at a time."""


class Narrow(Way):
    """A way whose socket takes no more than `width` octets of the client at a time.

    writes: how many it took each time.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.writes: list[int] = []

    def to(self, peer: ScriptedPeer) -> Connector:
        """How the client connects, once."""
        lead = super().to(peer)

        async def connect() -> socket.socket:
            given = await lead()
            assert isinstance(given, socket.socket)
            return _NarrowSocket(self, given)

        return connect


class _NarrowSocket(socket.socket):
    def __init__(self, way: Narrow, given: socket.socket) -> None:
        super().__init__(fileno=given.detach())
        self._way = way

    def send(self, data: Any, flags: int = 0) -> int:
        taken = super().send(memoryview(data)[: self._way.width], flags)
        self._way.writes.append(taken)
        return taken

    def sendmsg(self, buffers: Iterable[Any], *_: Any) -> int:
        return self.send(b"".join(buffers))


@on_each_link
async def test_the_server_hears_the_same_however_few_octets_are_taken_at_a_time(
    calls: Calls, is_encrypted: bool
) -> None:
    skip_unless_asyncio("uvloop writes in C, where no socket of Python's can take less")
    ways = [Narrow(width) for width in WIDTHS]
    # At once, for in some of them the client waits a while for the server to close.
    async with asyncio.TaskGroup() as group:
        for way in ways:
            group.create_task(play_whole(calls, is_encrypted, way))
    for way in ways:
        assert all(taken <= way.width for taken in way.writes)
        assert sum(way.writes) >= len(calls.said_before(calls.end))

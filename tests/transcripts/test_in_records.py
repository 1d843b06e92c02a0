"""Every transcript under TLS, cut in the middle of a record: what has not come whole, has not come.

Between mailwire's own client and the peer of `test_on_sockets` is a relay. It counts the octets of the records with
application data (RFC 5246 6.2.1), and goes behind so many of them, by FIN or by RST, without any warning.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import cache
from itertools import accumulate
from random import Random
from typing import Final

import pytest

from mailwire.endpoint import Connector
from mailwire.testing import FIN, LISTEN, RST, ScriptedPeer, Step, Tls, client_context
from mailwire.testing.turns import drain_events
from tests.transcripts.places import Place, Way, script_of
from tests.transcripts.test_on_sockets import CALLS, Calls

_APPLICATION_DATA: Final = 23
_RECORDS: Final = range(20, 24)


@cache
def _context() -> ssl.SSLContext:
    # TLS 1.3 calls parts of its handshake application data, too.
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class Relay(Way):
    """A way that ends behind so many octets of the server's application data, `budget`, by `end`.

    records: how long those are that came.
    """

    is_cut = True

    def __init__(self, budget: int | None = None, end: Step = FIN) -> None:
        super().__init__(_context())
        self.records: list[int] = []
        self._budget = budget
        self._end = end
        self._relaying: asyncio.Task[None] | None = None

    def to(self, peer: ScriptedPeer) -> Connector:
        """How the client connects, once."""
        ways = iter([peer])

        async def connect() -> socket.socket:
            for way in ways:
                server = await way.connect()
                with socket.create_server(("127.0.0.1", 0)) as listener:
                    client = socket.create_connection(listener.getsockname())
                    ours, _ = listener.accept()
                # What is sent leaves: a reset would overtake what waits (Nagle's algorithm).
                ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for end in (server, ours):
                    end.setblocking(False)
                self._relaying = asyncio.create_task(self._relay(ours, server))
                return client
            raise ConnectionRefusedError("nobody is there any more")

        return connect

    async def closed(self) -> None:
        """Wait until it is at its end on both sides."""
        if self._relaying is not None:
            await self._relaying

    async def _relay(self, client: socket.socket, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()

        async def forth() -> None:
            with suppress(OSError):
                while data := await loop.sock_recv(client, 65536):
                    await loop.sock_sendall(server, data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)

        hearing = asyncio.create_task(forth())
        try:
            async for piece in _pieces(server):
                if piece[0] == _APPLICATION_DATA:
                    self.records.append(len(piece))
                    if self._budget is not None and self._budget < len(piece):
                        await loop.sock_sendall(client, piece[: self._budget])
                        break
                    self._budget = None if self._budget is None else self._budget - len(piece)
                await loop.sock_sendall(client, piece)
            await drain_events()  # the client reads it
            if self._end is RST:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                client.shutdown(socket.SHUT_WR)
                await hearing
        except OSError:
            pass  # the client has gone
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])
            client.close()
            server.close()


async def _pieces(server: socket.socket) -> AsyncIterator[bytes]:
    # What the server says: records, each whole, and what it says in the clear before them.
    loop, data = asyncio.get_running_loop(), b""
    while more := await loop.sock_recv(server, 65536):
        data += more
        while data:
            size = 5 + int.from_bytes(data[3:5]) if data[0] in _RECORDS else len(data)
            if len(data) < max(size, 5) and data[0] in _RECORDS:
                break
            yield data[:size]
            data = data[size:]


def packets_of(script: tuple[Step, ...]) -> tuple[int, list[int]]:
    """How much the server says in the clear, and how much in each record."""
    clear, packets, is_apart, is_encrypted = 0, [], True, False
    for step in script:
        said = len(step.encode()) - 1 if isinstance(step, str) and step.startswith("S: ") else 0
        said = len(step) if isinstance(step, bytes) else said
        if said and not is_encrypted:
            clear += said
        elif said and is_apart:
            packets.append(said)
        elif said:
            packets[-1] += said
        is_apart = not said
        is_encrypted = is_encrypted or isinstance(step, Tls)
    return clear, packets


def whole(calls: Calls) -> tuple[Step, ...]:
    early = calls.end < len(calls.story.transcript.server)
    return script_of(calls.story, not calls.is_starttls, Place(calls.end, 0) if early else None, ending=(LISTEN,))


async def cut(calls: Calls, is_exhaustive: bool, end: Step) -> None:
    script = whole(calls)
    relay = Relay()
    await calls.attempt(script, not calls.is_starttls, calls.end, "whole", relay)
    clear, packets = packets_of(script)
    # What a record adds to what is in it.
    assert len({record - packet for record, packet in zip(relay.records, packets, strict=True)}) <= 1
    places = list(places_in(relay.records))
    for budget in places if is_exhaustive else Random(f"{calls.story}").sample(places, min(1, len(places))):
        came = sum(1 for place in accumulate(relay.records) if place <= budget)
        said = clear + sum(packets[:came])
        await calls.attempt(script, not calls.is_starttls, said, f"{end!r} behind {budget}", Relay(budget, end))


def places_in(records: list[int]) -> Iterator[int]:
    for place, size in zip(accumulate(records, initial=0), records, strict=False):
        yield from (place + into for into in sorted({0, 1, 5, 6, size // 2, size - 1}))


@pytest.mark.parametrize("calls", CALLS[::4], ids=lambda calls: calls.story.name)
async def test_half_a_record_tells_nothing(calls: Calls) -> None:
    await cut(calls, False, Random(f"{calls.story}").choice((FIN, RST)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
@pytest.mark.parametrize("calls", CALLS, ids=lambda calls: calls.story.name)
async def test_no_part_of_any_record_tells_anything(calls: Calls, end: Step) -> None:
    await cut(calls, True, end)

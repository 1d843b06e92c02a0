"""FaultProxy: stands between a client and any server, and lets things go wrong on the way, as is asked for.

The faults of a connection are values (`mailwire.testing.faults`), and what comes by chance comes from a seed: the same
connections go wrong in the same way again. Nothing is understood of what passes; under TLS it is records that are cut
and altered.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

from .altering import Altered
from .destination import Destination
from .faults import (
    Alteration,
    Bandwidth,
    Coalesced,
    Cut,
    Fault,
    HalfClose,
    LateEnd,
    Latency,
    Side,
    Slices,
    ZeroWindow,
)
from .proxy import Proxy, Proxying
from .tcp import reset, send_at_once
from .turns import turns

__all__ = ["Choice", "FaultProxy", "ProxiedConnection"]

Choice: TypeAlias = Callable[[int, Random], Iterable[Fault]]
"""Chooses the faults of a connection: by its number, the first is 0, and by chance, if it likes."""

_READ_SIZE: Final = 64 * 1024
# Pieces on their way through one direction, before its sender is held back.
_ON_THE_WAY: Final = 256


@dataclass(slots=True)
class ProxiedConnection:
    """One connection through the proxy.

    number: which one it is; the first is 0.
    faults: what goes wrong with it.
    passed: how many octets of the "client" and of the "server" were passed on.
    was_cut: whether a `Cut` has ended it.
    is_over: whether it has ended at both ends.
    """

    number: int
    faults: tuple[Fault, ...]
    passed: dict[Side, int] = field(default_factory=lambda: {"client": 0, "server": 0})
    was_cut: bool = False
    is_over: bool = False
    _happened: list[Fault] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def outstanding(self) -> tuple[Fault, ...]:
        """The faults that have not happened: their octet, line or end was not passed on."""
        happened = tuple(self._happened)
        return tuple(fault for fault in self.faults if not any(fault is other for other in happened))


class FaultProxy(Proxy):
    """A proxy on a free port of 127.0.0.1, before the server at `port` of `host`.

    ::

        async with MailServer([Account("b", "", ("b@example.org",))]) as server:
            async with FaultProxy(server.smtp_port, [[Cut(100, of="client")], []]) as proxy:
                endpoint = Endpoint("localhost", proxy.port, tls="none")
                with pytest.raises(ConnectionLost):
                    await send(message, endpoint)
                await send(message, endpoint)  # by another connection, which is as it should be
            assert len(server.messages("b")) == 1

    unix_path: of the Unix socket at which the server is, in place of a port. A cut by "RST" is one by "FIN" there,
        for a Unix socket cannot be reset. listen_path: where the proxy is to listen, in place of a port.
    faults: those of each connection in turn, and none for those behind the last; what is added to a list counts until
        the connection begins. Or a function that chooses them by the connection's number and a source of chance, which
        is its own.
    seed: of chance. What is chosen, and how much jitter there is, depends on it and the connection's number alone.
    host: of the server: a name or an address.

    Raises ValueError for what is no fault, and for a host and a port that are none. Where the function raises, or
    returns what is no fault, the connection is cut, and closing the proxy raises that.

    A server that cannot be connected to is a connection that is reset. Leaving the proxy cuts every connection.
    """

    def __init__(
        self,
        port: int | None = None,
        faults: Sequence[Iterable[Fault]] | Choice = (),
        *,
        seed: int = 0,
        host: str = "127.0.0.1",
        unix_path: str | os.PathLike[str] | None = None,
        listen_path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(listen_path)
        self.connections: list[ProxiedConnection] = []
        self._destination = Destination(host, port, unix_path)
        if not callable(faults):
            for each in _iterated(faults):
                if not isinstance(each, Iterator):  # which can be looked at but once
                    _checked(each)
        self._faults = faults
        self._seed = seed

    @property
    def outstanding(self) -> tuple[Fault, ...]:
        """The faults that were asked for and have not happened: their connection, octet or line has not come.

        A test that lets something go wrong is worth something only if it did: `assert not proxy.outstanding`. Of a
        function it is known what it has chosen; of iterators in a list, once their connection has come.
        """
        connections = tuple(self.connections)
        begun = [fault for connection in connections for fault in connection.outstanding]
        if callable(self._faults):
            return tuple(begun)
        to_come = [each for each in self._faults[len(connections) :] if not isinstance(each, Iterator)]
        return (*begun, *(fault for each in to_come for fault in _checked(each)))

    def _receive(self, peer: str) -> "_Faulting":
        number = len(self.connections)
        chance = Random(f"{self._seed}:{number}")
        if callable(self._faults):
            faults: Iterable[Fault] = self._faults(number, chance)
        else:
            faults = self._faults[number] if number < len(self._faults) else ()
        connection = ProxiedConnection(number, _checked(faults))
        self.connections.append(connection)
        return _Faulting(self._destination, connection, chance)


def _checked(faults: object) -> tuple[Fault, ...]:
    # The faults of one connection.
    found = []
    for fault in _iterated(faults):
        if not isinstance(fault, Fault):
            raise ValueError(f"expected faults, such as Cut(100), got {fault!r}")
        found.append(fault)
    return tuple(found)


def _iterated(given: object) -> Iterable[object]:
    if not isinstance(given, Iterable):
        raise ValueError(f"expected a sequence of faults for each connection, such as [[Cut(100)], []], got {given!r}")
    return given


class _Reset(Exception):
    # The connection ends at once, for both.
    pass


@dataclass(slots=True)
class _Piece:
    # What was received at once, or gathered, and is due behind the piece before it at a time; None for the end.
    octets: bytes | None
    gathers_until: float
    due: float


class _Faulting(Proxying):
    # One connection on its way through.

    def __init__(self, destination: Destination, connection: ProxiedConnection, chance: Random) -> None:
        self._destination = destination
        self._connection = connection
        self._chance = chance

    async def serve(self, accepted: socket.socket) -> None:
        try:
            await super().serve(accepted)
        finally:
            self._connection.is_over = True

    async def _pass_on(self, client: socket.socket) -> None:
        try:
            send_at_once(client)
            with await self._destination.connect() as server:
                try:
                    await self._pass_both_ways(client, server)
                except (_Reset, OSError):
                    reset(server)
                    raise
        except (_Reset, OSError):
            reset(client)

    async def _pass_both_ways(self, client: socket.socket, server: socket.socket) -> None:
        connection = self._connection
        ways = [
            _Way("client", connection, client, server, self._chance),
            _Way("server", connection, server, client, self._chance),
        ]
        for way, other in zip(ways, reversed(ways), strict=True):
            way.other = other
        running = [asyncio.create_task(run()) for way in ways for run in (way.receive, way.deliver)]
        try:
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)


class _Way:
    # One direction of a connection: what `source` sends is received, altered, held up, and delivered at `goal`.

    other: "_Way"

    def __init__(
        self, side: Side, connection: ProxiedConnection, source: socket.socket, goal: socket.socket, chance: Random
    ) -> None:
        faults = [fault for fault in connection.faults if fault.of == side]
        alterations = [fault for fault in faults if isinstance(fault, Alteration)]
        self._side: Side = side
        self._connection = connection
        self._source = source
        self._goal = goal
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._altered = Altered(alterations) if alterations else None
        self._told = 0  # alterations that have arrived
        self._timing = [fault for fault in faults if isinstance(fault, (Latency, Bandwidth, Slices, Coalesced))]
        self._latencies = [fault for fault in faults if isinstance(fault, Latency)]
        self._rate = min((fault.octets_per_second for fault in faults if isinstance(fault, Bandwidth)), default=None)
        slices = [fault for fault in faults if isinstance(fault, Slices)]
        self._pause = max((fault.pause for fault in slices), default=0.0)
        self._is_sliced = bool(slices)
        # In slices of a tenth of a second, where there is a bandwidth, so that it is one.
        tenths = [] if self._rate is None else [max(1, int(self._rate / 10))]
        self._slice_size = min([fault.size for fault in slices] + tenths, default=_READ_SIZE)
        self._coalesced = max((fault.seconds for fault in faults if isinstance(fault, Coalesced)), default=None)
        self._late_ends = [fault for fault in faults if isinstance(fault, LateEnd)]
        self._end_delay = max((fault.seconds for fault in self._late_ends), default=0.0)
        windows = [fault for fault in faults if isinstance(fault, ZeroWindow)]
        self._window = min(windows, key=lambda fault: fault.at, default=None)
        ends = [fault for fault in faults if isinstance(fault, (HalfClose, Cut))]
        self._end = min(ends, key=lambda fault: fault.at, default=None)
        self._is_closed = False
        self._pieces: deque[_Piece] = deque()
        self._changed = asyncio.Event()  # the pieces, there are more or fewer
        self._due = 0.0  # the time of the last slice

    async def receive(self) -> None:
        if self._altered is not None:
            self._put(self._altered.begin())
        received = 0
        while True:
            size = _READ_SIZE if self._window is None else min(_READ_SIZE, self._window.at - received)
            if self._window is not None and size == 0:
                self._note(self._window)
                await self._loop.create_future()  # for ever
            data = await self._loop.sock_recv(self._source, size)
            if not data:
                break
            received += len(data)
            if not self._is_closed:
                self._put(data if self._altered is None else self._altered.feed(data))
            while sum(len(self._sliced(piece.octets)) for piece in self._pieces) > _ON_THE_WAY:
                self._changed.clear()
                await self._changed.wait()
        if self._altered is not None:
            self._put(self._altered.end())
        self._put(None)

    def _put(self, data: bytes | None) -> None:
        now = self._loop.time()
        last = self._pieces[-1] if self._pieces else None
        if data is not None and last is not None and last.octets is not None and now < last.gathers_until:
            last.octets += data
            return
        gathers_until = now + (self._coalesced or 0.0)
        seconds = (self._coalesced or 0.0) if data is not None else self._end_delay
        seconds += sum(fault.seconds + fault.jitter * self._chance.random() for fault in self._latencies)
        if data != b"":
            self._pieces.append(_Piece(data, gathers_until, now + seconds))
            self._changed.set()
        self._note_alterations()  # of what is dropped, nothing is to be delivered

    def _sliced(self, octets: bytes | None) -> range:
        # The places at which the slices of a piece begin; its end is one.
        return range(0, len(octets) if octets is not None else 1, self._slice_size)

    async def deliver(self) -> None:
        await self._end_if_due(0)
        while True:
            while not self._pieces:
                self._changed.clear()
                await self._changed.wait()
            piece = self._pieces[0]
            await self._wait_until(piece.due)
            self._pieces.popleft()
            self._changed.set()
            if piece.octets is None:
                break
            for start in self._sliced(piece.octets):
                octets = piece.octets[start : start + self._slice_size]
                await self._wait_until(self._due + (0.0 if self._rate is None else len(octets) / self._rate))
                if not self._is_closed:
                    await self._send(octets)
                self._due += self._pause
        if not self._is_closed:
            self._note(*self._late_ends)
        self._shut_down()

    async def _wait_until(self, due: float) -> None:
        # Not before what came before it.
        self._due = max(self._due, due)
        if (seconds := self._due - self._loop.time()) > 0:
            await asyncio.sleep(seconds)

    async def _send(self, piece: bytes) -> None:
        room = len(piece) if self._end is None else self._end.at - self._connection.passed[self._side]
        octets = piece[:room]
        if self._is_sliced:
            await turns(3)  # for the receiver to read the slice before, if it is in this event loop
        try:
            await self._loop.sock_sendall(self._goal, octets)
        except OSError:
            if not self._is_closed:
                raise
        self._connection.passed[self._side] += len(octets)
        self._note(*self._timing)
        self._timing = []
        self._note_alterations()
        await self._end_if_due(self._connection.passed[self._side])

    async def _end_if_due(self, passed: int) -> None:
        end = self._end
        if end is None or self._is_closed or passed < end.at:
            return
        self._note(end)
        if isinstance(end, Cut):
            self._connection.was_cut = True
            if end.by == "RST":
                raise _Reset
            self.other._shut_down()
        self._shut_down()

    def _note(self, *happened: Fault) -> None:
        self._connection._happened += happened

    def _note_alterations(self) -> None:
        done = () if self._altered is None else self._altered.done[self._told :]
        arrived = [fault for at, fault in done if at <= self._connection.passed[self._side]]
        self._told += len(arrived)
        self._note(*arrived)

    def _shut_down(self) -> None:
        # What is still received is dropped: a socket that is closed over it would be reset.
        if not self._is_closed:
            self._is_closed = True
            with suppress(OSError):  # who has gone needs not be told
                self._goal.shutdown(socket.SHUT_WR)

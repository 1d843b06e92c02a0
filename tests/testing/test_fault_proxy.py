"""Each fault of the proxy, seen from both ends: what arrives, and how it ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mailwire import ConnectionLost, Endpoint, send
from mailwire.testing import (
    Account,
    Bandwidth,
    BitFlip,
    Coalesced,
    Cut,
    DoubledLine,
    DroppedLine,
    Fault,
    FaultProxy,
    HalfClose,
    HungUp,
    Insertion,
    LateEnd,
    Latency,
    MailServer,
    Slices,
    SwappedLines,
    ZeroWindow,
    client_context,
    server_context,
)
from mailwire.testing.acceptor import Acceptor
from mailwire.testing.turns import drain_events
from tests.clock import Clock, StandingClock

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
SAID = b"220 mx\r\n250 one\r\n250 two\r\n"


class Far:
    """The far end: says something, hears until there is no more, and keeps how that came."""

    def __init__(self, said: bytes = SAID) -> None:
        self.said = said
        self.heard = bytearray()
        self.end = ""
        self.pieces: list[bytes] = []
        self._acceptor = Acceptor(lambda peer: self)

    async def serve(self, accepted: socket.socket) -> None:
        with accepted:
            loop = asyncio.get_running_loop()
            try:
                await loop.sock_sendall(accepted, self.said)
                await self.hear(accepted)
            except ConnectionError:
                self.end = "RST"

    async def hear(self, end: socket.socket) -> None:
        """Hear until there is no more; raise ConnectionError for a reset."""
        while data := await asyncio.get_running_loop().sock_recv(end, 4096):
            self.pieces.append(data)
            self.heard += data
        self.end = "FIN"

    def abort(self) -> None:
        pass

    async def __aenter__(self) -> "Far":
        self._acceptor.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._acceptor.wait_idle()
        await self._acceptor.close()

    @property
    def port(self) -> int:
        return self._acceptor.address[1]


class Near(Far):
    """The near end: connects, and else does the same."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(b"")
        self.socket = end

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def hear_all(self) -> bytes:
        try:
            await self.hear(self.socket)
        except ConnectionError:
            self.end = "RST"
        return bytes(self.heard)


@asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[Near]:
    near = socket.socket()
    with near:
        near.setblocking(False)
        await asyncio.get_running_loop().sock_connect(near, (proxy.host, proxy.port))
        yield Near(near)


@asynccontextmanager
async def through(*faults: Fault, said: bytes = SAID) -> AsyncIterator[tuple[Near, Far, FaultProxy]]:
    async with Far(said) as far, FaultProxy(far.port, [faults]) as proxy:
        async with connected(proxy) as near:
            yield near, far, proxy
        await proxy.wait_idle()
        assert proxy.connections[0].is_over


# What arrives


async def test_without_a_fault_everything_arrives_both_ways() -> None:
    async with through() as (near, far, proxy):
        await near.say(b"hello")
        near.socket.shutdown(socket.SHUT_WR)
        assert await near.hear_all() == SAID
    assert (bytes(far.heard), far.end, near.end) == (b"hello", "FIN", "FIN")
    (connection,) = proxy.connections
    assert connection.passed == {"client": 5, "server": len(SAID)}
    assert (connection.number, connection.faults, connection.was_cut) == (0, (), False)


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (BitFlip(0), b"320 mx\r\n250 one\r\n250 two\r\n"),
        (Insertion(8, b"421 no\r\n"), b"220 mx\r\n421 no\r\n250 one\r\n250 two\r\n"),
        (Insertion(0, b"421 no\r\n"), b"421 no\r\n" + SAID),
        (DroppedLine(2), b"220 mx\r\n250 two\r\n"),
        (DoubledLine(2), b"220 mx\r\n250 one\r\n250 one\r\n250 two\r\n"),
        (SwappedLines(2), b"220 mx\r\n250 two\r\n250 one\r\n"),
        (SwappedLines(3), SAID),
    ],
)
async def test_what_the_server_says_is_altered(fault: Fault, arrived: bytes) -> None:
    async with through(fault) as (near, far, _):
        near.socket.shutdown(socket.SHUT_WR)
        assert await near.hear_all() == arrived
    assert far.end == near.end == "FIN"


async def test_what_the_client_says_is_altered() -> None:
    async with through(DroppedLine(1, of="client"), BitFlip(0, of="client")) as (near, far, _):
        await near.say(b"one\r\ntwo\r\n")
        near.socket.shutdown(socket.SHUT_WR)
        assert await near.hear_all() == SAID
    assert far.heard == b"two\r\n"


# How it ends


@pytest.mark.parametrize("at", [0, 1, 9, len(SAID) - 1])
async def test_a_cut_by_fin_ends_it_for_both(at: int) -> None:
    async with through(Cut(at, by="FIN")) as (near, far, proxy):
        assert await near.hear_all() == SAID[:at]
        await near.say(b"into the void")
    assert (near.end, far.end, bytes(far.heard)) == ("FIN", "FIN", b"")
    assert proxy.connections[0].was_cut
    assert proxy.connections[0].passed == {"client": 0, "server": at}


@pytest.mark.parametrize("at", [0, 1, 4])
async def test_a_cut_by_rst_ends_it_for_both_behind_that_octet_of_the_client(at: int) -> None:
    async with through(Cut(at, of="client")) as (near, far, proxy):
        await near.say(b"hello")
        await near.hear_all()
    assert near.end == far.end == "RST"
    assert proxy.connections[0].was_cut
    assert proxy.connections[0].passed["client"] == len(far.heard) == at


async def test_of_several_ends_the_first_one_comes() -> None:
    async with through(HalfClose(9), Cut(3, by="FIN")) as (near, _, __):
        assert await near.hear_all() == SAID[:3]


@pytest.mark.parametrize("end", [Cut(4, by="FIN"), HalfClose(4)])
async def test_an_end_comes_behind_its_octet_however_the_octets_pass(end: Fault) -> None:
    async with through(Slices(3), end) as (near, _, proxy):
        assert await near.hear_all() == SAID[:4]
    assert proxy.connections[0].passed["server"] == 4


async def test_a_half_close_leaves_the_way_back_open() -> None:
    async with through(HalfClose(6)) as (near, far, proxy):
        assert await near.hear_all() == SAID[:6]
        await near.say(b"still there")
        near.socket.shutdown(socket.SHUT_WR)
    assert (near.end, bytes(far.heard), far.end) == ("FIN", b"still there", "FIN")
    assert not proxy.connections[0].was_cut


async def test_a_half_close_of_the_client_is_seen_by_the_server_alone() -> None:
    async with through(HalfClose(2, of="client")) as (near, far, _):
        await near.say(b"hello")
        assert await near.hear_all() == SAID
    assert (bytes(far.heard), far.end) == (b"he", "FIN")


async def test_a_reset_is_passed_on() -> None:
    async with through() as (near, far, proxy):
        await drain_events()
        near.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        near.socket.close()
        await proxy.wait_idle()
    assert far.end == "RST"


async def test_who_has_gone_before_his_connection_is_cut_need_not_be_told() -> None:
    async with Far() as far, FaultProxy(far.port, [[ZeroWindow(0), Cut(0, by="FIN")]]) as proxy:
        async with connected(proxy) as near:
            near.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            near.socket.close()
            while not far.end:
                await drain_events()
        assert proxy.connections[0].was_cut
    assert far.end == "FIN"


async def test_a_cut_comes_through_though_much_is_on_its_way_back() -> None:
    async with through(Cut(1, of="client", by="FIN"), said=b"x" * 50_000_000) as (near, _, proxy):
        await asyncio.get_running_loop().sock_recv(near.socket, 1)
        await near.say(b"!")
        assert 0 < len(await near.hear_all()) < 50_000_000
    assert near.end == "FIN"
    assert proxy.connections[0].was_cut


async def test_who_has_gone_is_noticed_where_nothing_is_read_of_him() -> None:
    async with through(ZeroWindow(0), said=b"x" * 50_000_000) as (near, far, _):
        await asyncio.get_running_loop().sock_recv(near.socket, 1)
        near.socket.close()
    assert far.end == "RST"


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with FaultProxy(nobody.getsockname()[1]) as proxy, connected(proxy) as near:
            assert await near.hear_all() == b""
    assert near.end == "RST"


async def test_the_server_may_have_a_name_and_need_not_be_at_all_of_its_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Far() as far, FaultProxy(far.port, host="localhost") as proxy:
        async with connected(proxy) as near:
            near.socket.shutdown(socket.SHUT_WR)
            assert await near.hear_all() == SAID

        def resolve(host: str, port: int, *_: int, flags: int = 0, **__: int) -> list[Any]:
            if flags:
                raise socket.gaierror("no address")
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        async with connected(proxy) as near:
            near.socket.shutdown(socket.SHUT_WR)
            assert await near.hear_all() == SAID
    with pytest.raises(ValueError, match="expected host to be text, got None"):
        FaultProxy(25, host=None)  # type: ignore[arg-type]


# When it arrives


async def test_what_is_beyond_a_zero_window_is_not_read() -> None:
    async with Far() as far, FaultProxy(far.port, [[ZeroWindow(3)]]) as proxy:
        async with connected(proxy) as near:
            near.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            assert await asyncio.get_running_loop().sock_recv(near.socket, 100)
            task = asyncio.ensure_future(near.say(b"x" * 50_000_000))
            await drain_events()
            assert not task.done()
            assert far.heard == b"xxx"
            task.cancel()
            await asyncio.wait([task])
        await proxy.close()
    assert proxy.connections[0].passed["client"] == 3


async def test_slices_arrive_one_by_one() -> None:
    async with through(Slices(2, of="client")) as (near, far, _):
        await near.say(b"hello")
        near.socket.shutdown(socket.SHUT_WR)
        await near.hear_all()
    assert (bytes(far.heard), max(map(len, far.pieces))) == (b"hello", 2)


async def heard_after(near: Near, clock: Clock, seconds: float) -> int:
    await clock.advance(seconds)
    return len(near.heard)


async def test_a_latency_holds_up_every_piece_alike() -> None:
    clock = Clock()
    async with through(Latency(10)) as (near, _, __):
        hearing = asyncio.ensure_future(near.hear_all())
        await drain_events()
        assert await heard_after(near, clock, 5) == 0
        near.socket.shutdown(socket.SHUT_WR)  # the end takes its time, too
        assert await heard_after(near, clock, 6) == len(SAID)
        assert not hearing.done()
        await clock.advance(10)
        await hearing


async def test_what_is_late_waits_for_nothing_that_comes_behind_it() -> None:
    clock = StandingClock()
    async with through(Latency(1000, of="client")) as (near, far, _):
        near.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hearing = asyncio.ensure_future(near.hear_all())
        await near.say(b"one")
        await clock.advance(0.5)
        await near.say(b"two")
        await clock.advance(999.7)
        assert far.heard == b"one"
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(2000)
        await hearing
    assert far.heard == b"onetwo"


async def test_pauses_between_slices() -> None:
    clock = Clock()
    async with through(Slices(6, pause=10)) as (near, _, __):
        hearing = asyncio.ensure_future(near.hear_all())
        await drain_events()
        assert [await heard_after(near, clock, seconds) for seconds in (0, 5, 5, 5, 5)] == [6, 6, 12, 12, 18]
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(100)
        await hearing


async def test_what_is_sent_by_and_by_arrives_at_once() -> None:
    clock = Clock()
    async with through(Coalesced(10_000, of="client")) as (near, far, _):
        near.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or the system holds them back
        hearing = asyncio.ensure_future(near.hear_all())
        for octets in (b"one", b"two", b"three"):
            await near.say(octets)
            await clock.advance(3000)
        assert far.pieces == []
        await clock.advance(1000)
        assert far.pieces == [b"onetwothree"]
        await near.say(b"four")
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(10_000)
        await hearing
    assert far.pieces == [b"onetwothree", b"four"]
    assert (near.end, far.end) == ("FIN", "FIN")


async def test_what_arrives_at_once_is_waited_for_from_its_first_octet_on() -> None:
    clock = StandingClock()
    async with through(Coalesced(10, of="client"), BitFlip(100, of="client")) as (near, far, _):
        hearing = asyncio.ensure_future(near.hear_all())
        await clock.advance(5)
        await near.say(b"one")
        await clock.advance(6)
        assert far.heard == b""
        await clock.advance(5)
        assert far.heard == b"one"
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(10)
        await hearing


async def test_a_late_end_holds_up_nothing_else() -> None:
    clock = Clock()
    async with through(LateEnd(10_000, of="client")) as (near, far, _):
        hearing = asyncio.ensure_future(near.hear_all())
        await near.say(b"hello")
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(9000)
        assert (bytes(far.heard), far.end) == (b"hello", "")
        await clock.advance(1000)
        await hearing
    assert far.end == "FIN"


async def test_a_bandwidth_lets_so_many_octets_pass_in_a_second() -> None:
    clock = Clock()
    async with through(Bandwidth(100), said=b"x" * 1000) as (near, _, __):
        hearing = asyncio.ensure_future(near.hear_all())
        await drain_events()
        assert [await heard_after(near, clock, seconds) for seconds in (1.05, 1, 3)] == [100, 200, 500]
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(100)
        await hearing


async def test_a_small_bandwidth_lets_octets_pass_one_by_one() -> None:
    clock = StandingClock()
    async with through(Bandwidth(1), said=b"xxxx") as (near, _, __):
        hearing = asyncio.ensure_future(near.hear_all())
        await drain_events()
        assert [await heard_after(near, clock, seconds) for seconds in (1.1, 1, 1, 1)] == [1, 2, 3, 4]
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(100)
        await hearing


@pytest.mark.parametrize(
    ("faults", "arrived"),
    [
        ((Coalesced(10, of="client"), Latency(100, of="client")), ["", "", "onetwo", "onetwothree"]),
        ((Coalesced(10, of="client"), Bandwidth(1, of="client")), ["onet", "onetwo", "onetwothree", "onetwothree"]),
        ((Coalesced(10, of="client"), Slices(3, 100, of="client")), ["one", "one", "onetwo", "onetwo"]),
        ((Slices(5, of="client"), Slices(2, 6, of="client")), ["onetw", "onetwo", "onetwothree", "onetwothree"]),
    ],
)
async def test_faults_that_hold_up_octets_hold_each_for_itself(faults: tuple[Fault, ...], arrived: list[str]) -> None:
    clock = Clock()
    async with through(*faults) as (near, far, proxy):
        near.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hearing = asyncio.ensure_future(near.hear_all())
        for octets, seconds in ((b"one", 5), (b"two", 8), (b"three", 0)):
            await near.say(octets)
            await clock.advance(seconds)
        heard = []
        for passing in (1.5, 5.0, 95.5, 20.0):
            await clock.advance(passing)
            heard.append(far.heard.decode())
        assert heard == arrived
        near.socket.shutdown(socket.SHUT_WR)
        await clock.advance(10_000)
        await hearing
        assert not proxy.outstanding
    assert far.heard == b"onetwothree"


async def test_a_sender_is_held_back_where_nothing_gets_away() -> None:
    clock = Clock()
    async with through(Slices(1, pause=1, of="client")) as (near, far, __):
        await near.say(b"x" * 300)
        await near.say(b"y")
        near.socket.shutdown(socket.SHUT_WR)
        hearing = asyncio.ensure_future(near.hear_all())
        while not hearing.done():
            await clock.advance(1)
    assert far.heard == b"x" * 300 + b"y"


# Which connection has which


async def test_each_connection_has_the_faults_that_are_there_for_it() -> None:
    async with Far() as far, FaultProxy(far.port, [[], [Cut(0, by="FIN")]]) as proxy:
        heard = []
        for _ in range(3):
            async with connected(proxy) as near:
                near.socket.shutdown(socket.SHUT_WR)
                heard.append(await near.hear_all())
        await proxy.wait_idle()
    assert heard == [SAID, b"", SAID]
    assert [connection.faults for connection in proxy.connections] == [(), (Cut(0, by="FIN"),), ()]


async def chosen(**settings: Any) -> list[tuple[Fault, ...]]:
    def choose(number: int, chance: Random) -> Iterable[Fault]:
        return [Cut(chance.randrange(1000), by="FIN")] if chance.random() < 0.5 else []

    async with Far() as far, FaultProxy(far.port, choose, **settings) as proxy:
        for _ in range(20):
            async with connected(proxy) as near:
                near.socket.shutdown(socket.SHUT_WR)
                await near.hear_all()
        await proxy.wait_idle()
        return [connection.faults for connection in proxy.connections]


async def test_faults_that_are_chosen_by_chance_are_the_same_again() -> None:
    first = await chosen()
    assert first == await chosen(seed=0)
    assert first != await chosen(seed=1)
    assert {len(faults) for faults in first} == {0, 1}


async def test_a_jitter_is_the_same_again() -> None:
    async def arrivals() -> list[bool]:
        clock = Clock()
        async with through(Latency(0, jitter=100)) as (near, _, __):
            hearing = asyncio.ensure_future(near.hear_all())
            await drain_events()
            seen = [bool(await heard_after(near, clock, 1)) for _ in range(100)]
            near.socket.shutdown(socket.SHUT_WR)
            while not hearing.done():
                await clock.advance(100)
            return seen

    first = await arrivals()
    assert first == await arrivals()
    assert set(first) == {False, True}


# Before a server, and its end


async def test_a_proxy_before_a_server_with_tls() -> None:
    async with (
        MailServer([Account("b", "", ("b@example.org",))], tls_context=server_context(), implicit_tls=True) as server,
        FaultProxy(server.smtp_port, [[Slices(7), Slices(5, of="client")]]) as proxy,
    ):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", proxy.port, ssl=client_context(), server_hostname="localhost"
        )
        assert (await reader.readline()).startswith(b"220")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_leaving_cuts_what_is_there(turns: int) -> None:
    async with Far() as far:
        proxy = FaultProxy(far.port)
        await proxy.start()
        async with connected(proxy) as near:
            for _ in range(turns):
                await asyncio.sleep(0)
            await proxy.close()
            await near.hear_all()
    assert near.end in ("FIN", "RST")
    assert all(connection.is_over for connection in proxy.connections)


async def test_a_fault_of_the_choice_is_told() -> None:
    def choose(number: int, chance: Random) -> Iterable[Fault]:
        raise ZeroDivisionError

    proxy = FaultProxy(1, choose)
    await proxy.start()
    async with connected(proxy):
        await drain_events()
        with pytest.raises(ZeroDivisionError):
            await proxy.close()


@pytest.mark.parametrize("wrong", [[Cut(10)], [None], [["Cut"]], [[HungUp(".")]], [[], [Cut]], 7])
def test_what_is_no_fault_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        FaultProxy(25, wrong)


async def test_what_is_added_to_a_list_counts_until_the_connection_begins() -> None:
    faults: list[Any] = [[], iter([Cut(0)])]
    async with MailServer() as server, FaultProxy(server.smtp_port, faults) as proxy:
        faults[0].append(Cut(4))
        faults.append([Cut(8)])
        for number in range(4):
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            while len(proxy.connections) == number:
                await drain_events()
            writer.close()
    assert [each.faults for each in proxy.connections] == [(Cut(4),), (Cut(0),), (Cut(8),), ()]


async def told(*faults: Fault, says: bytes = b"one\r\n") -> tuple[Fault, ...]:
    """What is outstanding of the faults behind a connection."""
    async with through(*faults) as (near, _, proxy):
        await near.say(says)
        near.socket.shutdown(socket.SHUT_WR)
        await near.hear_all()
    assert proxy.outstanding == proxy.connections[0].outstanding
    return proxy.outstanding


@pytest.mark.parametrize(
    ("reached", "missed"),
    [
        ([BitFlip(25), Insertion(26, b"x")], [BitFlip(26), Insertion(27, b"x")]),
        ([BitFlip(4, of="client"), DoubledLine(1, of="client")], []),
        ([DroppedLine(1, of="client")], []),
        ([DroppedLine(3), DoubledLine(2)], [DroppedLine(4), DoubledLine(3), BitFlip(20)]),
        ([SwappedLines(2)], [SwappedLines(3)]),
        ([Latency(0), Bandwidth(10**9), Slices(26), Coalesced(0), LateEnd(0)], []),
        ([], [ZeroWindow(27, of="server"), Cut(27), HalfClose(6, of="client")]),
        ([Cut(26, by="FIN")], [Cut(26, by="FIN"), HalfClose(27)]),
        ([BitFlip(0), BitFlip(20), BitFlip(21), Slices(13), Cut(26)], []),
        ([HalfClose(8)], [BitFlip(8), DroppedLine(3), LateEnd(0)]),
        ([HalfClose(0)], [Latency(0), Insertion(0, b"x")]),
    ],
)
async def test_faults_that_have_not_happened_are_told(reached: list[Fault], missed: list[Fault]) -> None:
    assert await told(*reached, *missed) == tuple(missed)


async def test_a_line_that_does_not_arrive_takes_along_what_is_wrong_with_it() -> None:
    assert await told(DroppedLine(1, of="client"), BitFlip(4, of="client")) == (BitFlip(4, of="client"),)


async def test_a_window_of_nothing_is_told_once_it_is_closed() -> None:
    async with Far() as far, FaultProxy(far.port, [[ZeroWindow(3), ZeroWindow(4)]]) as proxy:
        async with connected(proxy) as near:
            assert await asyncio.get_running_loop().sock_recv(near.socket, 100)
            await near.say(b"xx")
            await drain_events()
            assert proxy.outstanding == (ZeroWindow(3), ZeroWindow(4))
            await near.say(b"x")
            await drain_events()
            assert proxy.outstanding == (ZeroWindow(4),)
        await proxy.close()


async def test_a_proxy_tells_of_faults_whose_connection_has_not_come() -> None:
    faults: list[Any] = [[Cut(0)], [Cut(1)], iter([Cut(2)])]
    async with Far() as far:
        proxy = FaultProxy(far.port, faults)
        assert proxy.outstanding == (Cut(0), Cut(1))
        async with proxy, connected(proxy) as near:
            assert await near.hear_all() == b""
            faults.append((Cut(3),))
            assert proxy.outstanding == (Cut(1), Cut(3))
        async with FaultProxy(far.port, lambda number, chance: [Cut(0), Cut(1)]) as other:
            assert other.outstanding == ()
            async with connected(other) as near:
                assert await near.hear_all() == b""
            assert other.outstanding == (Cut(1),)


@pytest.mark.parametrize("by", ["FIN", "RST"])
@pytest.mark.parametrize("listens_at_a_path", [False, True])
async def test_a_proxy_before_a_server_at_a_unix_socket(by: Any, listens_at_a_path: bool, tmp_path: Path) -> None:
    path, listen_path = tmp_path / "lmtp", tmp_path / "proxy"
    async with MailServer([Account("b", "", ("b@example.org",))], lmtp_path=path) as server:
        faults = [[Cut(60, of="client", by=by)], [Cut(30, by=by)], []]
        given = listen_path if listens_at_a_path else None
        async with FaultProxy(faults=faults, unix_path=path, listen_path=given) as proxy:
            where: dict[str, Any] = {"unix_path": str(listen_path)} if listens_at_a_path else {"port": proxy.port}
            endpoint = Endpoint("127.0.0.1", protocol="lmtp", tls="none", **where)
            for _ in range(2):
                with pytest.raises(ConnectionLost):
                    await send(MESSAGE, endpoint, sender="", recipients="b@example.org")
            assert (await send(MESSAGE, endpoint, sender="", recipients="b@example.org")).accepted == ("b@example.org",)
            assert not proxy.outstanding
            assert [connection.was_cut for connection in proxy.connections] == [True, True, False]
        assert len(server.messages("b")) == 1
        assert len(server.lmtp_sessions) == 3
    assert not listen_path.exists()


async def test_a_unix_socket_where_no_server_is_ends_the_connection(tmp_path: Path) -> None:
    async with FaultProxy(unix_path=tmp_path / "nothing", listen_path=tmp_path / "proxy") as proxy:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "proxy")
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(RuntimeError, match="a server at a Unix socket has no port"):
            assert proxy.port


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 25, "unix_path": "/run/lmtp"}, "a server or a unix_path, got 25 and '/run/lmtp'"),
        ({"port": 25, "listen_path": ""}, "expected listen_path to be a path, got ''"),
    ],
)
def test_what_is_no_place_is_refused_at_once(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FaultProxy(**settings)


@pytest.mark.parametrize("port", [0, -1, 65536, "25", None, True])
def test_what_is_no_port_is_refused_at_once(port: Any) -> None:
    with pytest.raises(ValueError, match=f"expected the port of a server, from 1 to 65535, got {port!r}"):
        FaultProxy(port)


async def test_a_choice_that_fails_costs_its_own_connection() -> None:
    def choose(number: int, chance: Random) -> Any:
        asked.append(number)
        return None if len(asked) == 1 else []

    asked: list[int] = []
    async with MailServer() as server:
        proxy = FaultProxy(server.smtp_port, choose)
        await proxy.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert (await reader.readline()).startswith(b"220 ")
        writer.close()
        with pytest.raises(ValueError, match="expected a sequence of faults for each connection"):
            await proxy.close()
        await proxy.close()
    assert asked == [0, 0]

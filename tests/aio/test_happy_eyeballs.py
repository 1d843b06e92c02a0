"""Of a host's addresses, the one that answers first; and no socket is lost on the way."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from mailwire.aio import happy_eyeballs
from mailwire.aio.happy_eyeballs import close_socket, connect_tcp
from mailwire.testing.turns import drain_events
from tests.clock import Clock
from tests.failing_sockets import ComplainingSocket, let_closing_fail

V4, V6 = ("192.0.2.1", 25), ("2001:db8::1", 25)
OTHER_V4, OTHER_V6 = ("192.0.2.2", 25), ("2001:db8::2", 25)


class Network:
    """What a loop's getaddrinfo and sock_connect do, as the test has it; the sockets are real."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[tuple[str, int]] = []
        self.tried: list[tuple[str, int]] = []
        self.sockets: list[socket.socket] = []
        self.asked: list[Any] = []
        self.failures: list[dict[str, Any]] = []
        self.outcomes: dict[tuple[str, int], asyncio.Future[None]] = {}
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.failures.append(context))
        monkeypatch.setattr(loop, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(loop, "sock_connect", self._sock_connect)

    def host(self, *addresses: tuple[str, int]) -> None:
        self.addresses = list(addresses)
        self.outcomes = {address: asyncio.get_running_loop().create_future() for address in addresses}

    def answers(self, address: tuple[str, int]) -> None:
        self.outcomes[address].set_result(None)

    def refuses(self, address: tuple[str, int]) -> None:
        self.outcomes[address].set_exception(ConnectionRefusedError(errno.ECONNREFUSED, f"refused at {address[0]}"))

    @property
    def still_open(self) -> int:
        return sum(each.fileno() >= 0 for each in self.sockets)

    async def _getaddrinfo(self, host: str, port: int, **hints: Any) -> list[Any]:
        self.asked.append((host, port, hints))
        return [
            (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in self.addresses
        ]

    async def _sock_connect(self, connecting: socket.socket, address: tuple[str, int]) -> None:
        self.tried.append(address)
        self.sockets.append(connecting)
        await asyncio.shield(self.outcomes[address])


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Network]:
    made = Network(monkeypatch)
    yield made
    await drain_events()
    for each in made.sockets:
        each.close()
    assert made.failures == []


@pytest.fixture
async def clock() -> Clock:
    return Clock()


def begin() -> "asyncio.Task[socket.socket]":
    return asyncio.create_task(connect_tcp("mx.example.org", 25))


async def test_an_address_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected = await connect_tcp(*listener.getsockname())
        with closing(connected):
            assert connected.getpeername() == listener.getsockname()
            assert not connected.getblocking()
            # Nagle's algorithm is off, and asyncio has nothing to do for that.
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connected.proto == 0


async def test_a_socket_on_which_packets_would_wait_for_each_other_is_closed(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []

    class Waiting(socket.socket):
        def setsockopt(self, *_: object) -> None:
            made.append(self)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(happy_eyeballs, "socket", SimpleNamespace(**{**vars(socket), "socket": Waiting}))
    network.host(V4)
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        await begin()
    assert [each.fileno() for each in made] == [-1]
    assert network.tried == []


async def test_a_name_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with closing(await connect_tcp("localhost", port)) as connected:
            assert connected.getpeername()[1] == port


async def test_a_name_that_is_none_is_told() -> None:
    with pytest.raises(OSError, match=r"[Nn]ame") as caught:
        await connect_tcp("nothing.invalid", 25)
    # Whoever reads the traceback reads of nothing else before it, not even that a name is no address.
    assert caught.value.__context__ is None


async def test_where_nobody_listens_it_is_told_why_and_where() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as caught:
        await connect_tcp("127.0.0.1", port)
    assert caught.value.strerror == f"{os.strerror(errno.ECONNREFUSED)} (127.0.0.1, port {port})"


async def test_a_single_address_that_refuses_is_told(network: Network) -> None:
    network.host(V4)
    network.refuses(V4)
    with pytest.raises(ConnectionRefusedError, match=r"refused at 192\.0\.2\.1"):
        await begin()
    assert network.still_open == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_our_own_address_is_the_one_that_is_asked_for(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected = await connect_tcp(host, listener.getsockname()[1], "127.0.0.2")
        with connected:
            ours, port = connected.getsockname()
            assert ours == "127.0.0.2"
            assert port > 1023  # any that is free


async def test_our_own_address_is_that_of_every_attempt(network: Network) -> None:
    network.host(V4, OTHER_V4)
    network.refuses(V4)
    network.answers(OTHER_V4)
    await connect_tcp("mx.example.org", 25, "127.0.0.2")
    assert network.sockets[-1].getsockname()[0] == "127.0.0.2"


async def test_what_is_asked_for_is_an_address_for_tcp(network: Network) -> None:
    network.host(V4)
    network.answers(V4)
    await begin()
    hints = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
    assert network.asked == [("mx.example.org", 25, hints)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.0.0.1%lo"])
async def test_an_address_is_never_asked_for(network: Network, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    read: list[Any] = []
    real = socket.getaddrinfo

    def getaddrinfo(*named: Any, **hints: Any) -> Any:
        read.append((named, hints))
        return real(*named, **hints)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    network.outcomes.clear()
    with suppress(OSError, KeyError):  # not even a scope that an address cannot have makes a name of it
        await connect_tcp(host, 25)
    hints = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP, "flags": socket.AI_NUMERICHOST}
    assert read == [((host.encode(), 25), hints)]
    assert network.asked == []


async def test_an_address_of_our_own_that_is_not_ours_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OSError, match=r"[Cc]annot assign"):
        await connect_tcp("127.0.0.1", listener.getsockname()[1], "192.0.2.1")


async def test_addresses_of_another_family_than_ours_are_not_tried(network: Network) -> None:
    network.host(V6, OTHER_V6)
    with pytest.raises(OSError, match=r"mx\.example\.org has no address of the same family as our own, 127\.0\.0\.1"):
        await connect_tcp("mx.example.org", 25, "127.0.0.1")
    assert network.tried == []


async def test_the_families_take_turns(network: Network, clock: Clock) -> None:
    network.host(V6, OTHER_V6, V4, OTHER_V4)
    connecting = begin()
    for _ in range(4):
        await clock.advance(0.25)
    assert network.tried == [V6, V4, OTHER_V6, OTHER_V4]
    network.answers(OTHER_V4)
    assert (await connecting) is network.sockets[3]
    await drain_events()
    assert network.still_open == 1


async def test_the_next_address_is_tried_after_a_delay(network: Network, clock: Clock) -> None:
    network.host(V6, V4)
    connecting = begin()
    await clock.advance(0.24)
    assert network.tried == [V6]
    await clock.advance(0.01)
    assert network.tried == [V6, V4]
    network.answers(V6)
    assert (await connecting) is network.sockets[0]
    await drain_events()
    assert network.still_open == 1


async def test_an_address_that_refuses_lets_the_next_be_tried_at_once(network: Network) -> None:
    network.host(V6, V4)
    network.refuses(V6)
    network.answers(V4)
    assert (await begin()) is network.sockets[1]
    assert network.tried == [V6, V4]
    assert network.still_open == 1


async def test_all_that_refuse_are_told(network: Network) -> None:
    network.host(V6, V4)
    network.refuses(V6)
    network.refuses(V4)
    with pytest.raises(OSError, match=r"refused at 2001:db8::1; .*refused at 192\.0\.2\.1"):
        await begin()
    assert network.still_open == 0


async def test_of_two_that_answer_at_once_one_is_closed(network: Network, clock: Clock) -> None:
    network.host(V6, V4)
    connecting = begin()
    await clock.advance(0.25)
    network.answers(V6)
    network.answers(V4)
    await connecting
    await drain_events()
    assert network.still_open == 1


def test_a_socket_is_closed_whatever_the_system_says_of_it() -> None:
    for end in (socket.socket(), complaining := ComplainingSocket()):
        close_socket(end)
        assert end.fileno() == -1
    assert complaining.complaints == 1


async def test_one_that_cannot_be_closed_in_good_order_takes_nothing_from_the_other(
    network: Network, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = let_closing_fail(happy_eyeballs, monkeypatch)
    network.host(V6, V4)
    connecting = begin()
    await clock.advance(0.25)
    network.answers(V6)
    network.answers(V4)
    connected = await connecting
    assert network.still_open == 1
    assert sum(each.complaints for each in made) == 1
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        connected.close()


async def test_of_one_that_refuses_it_is_told_why_and_not_how_it_closed(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = let_closing_fail(happy_eyeballs, monkeypatch)
    network.host(V4)
    network.refuses(V4)
    with pytest.raises(ConnectionRefusedError, match=r"refused at 192\.0\.2\.1"):
        await begin()
    assert [each.complaints for each in made] == [1]


@pytest.mark.parametrize("turns", range(4))
async def test_an_attempt_that_somebody_else_cancels_takes_nothing_from_the_other(
    network: Network, clock: Clock, turns: int
) -> None:
    network.host(V6, V4)
    before = asyncio.all_tasks()
    connecting = begin()
    await asyncio.sleep(0)
    (attempt,) = asyncio.all_tasks() - before - {connecting}
    await clock.advance(0.25)
    network.answers(V4)
    for _ in range(turns):
        await asyncio.sleep(0)
    attempt.cancel()
    assert (await connecting) is network.sockets[1]
    await drain_events()
    assert network.still_open == 1


async def test_where_somebody_else_cancels_every_attempt_that_is_told(network: Network, clock: Clock) -> None:
    network.host(V6, V4)
    before = asyncio.all_tasks()
    connecting = begin()
    await clock.advance(0.25)
    network.refuses(V6)
    for attempt in asyncio.all_tasks() - before - {connecting}:
        attempt.cancel()
    with pytest.raises(OSError, match=r"(^|; )an attempt was cancelled($|; )"):
        await connecting
    assert network.still_open == 0


def nothing_happens(_: Network) -> None:
    pass


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize(
    "event", [nothing_happens, lambda network: network.answers(V4), lambda network: network.refuses(V4)]
)
async def test_whoever_cancels_leaves_no_socket_open(
    network: Network, clock: Clock, event: Callable[[Network], None], count: int
) -> None:
    network.host(V6, V4)
    connecting = begin()
    await clock.advance(0.25)
    event(network)
    for _ in range(count):
        await asyncio.sleep(0)
    connecting.cancel()
    with suppress(asyncio.CancelledError):
        (await connecting).close()
    await drain_events()
    assert network.still_open == 0


@pytest.mark.parametrize("answers", [False, True])
async def test_a_socket_that_closes_badly_does_not_keep_from_cancelling(
    network: Network, clock: Clock, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    made = let_closing_fail(happy_eyeballs, monkeypatch)
    network.host(V6, V4)
    connecting = begin()
    await clock.advance(0.25)
    if answers:
        network.answers(V4)
        await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await drain_events()
    assert network.still_open == 0
    assert [each.complaints for each in made] == [1, 1]


def test_the_delay_is_that_of_the_standard() -> None:
    assert happy_eyeballs._DELAY == 0.25

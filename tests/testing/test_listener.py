import asyncio
import gc
import socket
from contextlib import closing
from pathlib import Path

import pytest

from mailwire.testing import FaultProxy, Maildrop, Session, SMTPServer
from mailwire.testing.connection import Connection
from mailwire.testing.listener import Listener
from mailwire.testing.turns import drain_events
from tests.clock import Clock
from tests.failing_sockets import descriptors_left

GREETING = b"220 localhost ESMTP mailwire.testing\r\n"


class Sessions:
    """Opens sessions, and keeps them and whom they are for."""

    def __init__(self) -> None:
        self.opened: list[SMTPServer] = []
        self.peers: list[str] = []

    def open(self, peer: str) -> Session:
        self.peers.append(peer)
        self.opened.append(SMTPServer(Maildrop()))
        return self.opened[-1]


async def connect(listener: Listener) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, listener.address)
    return client


async def read(client: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(client, 4096)


async def test_every_client_has_a_session_of_its_own() -> None:
    sessions = Sessions()
    listener = Listener(sessions.open, None)
    listener.start()
    with closing(await connect(listener)) as one, closing(await connect(listener)) as other:
        assert await read(one) == await read(other) == GREETING
    await listener.wait_idle()
    await listener.close()

    assert sessions.peers == ["127.0.0.1", "127.0.0.1"]
    assert [session.closing for session in sessions.opened] == [True, True]


async def test_nothing_is_kept_of_a_client_that_is_gone() -> None:
    listener = Listener(Sessions().open, None)
    listener.start()
    for _ in range(3):
        with closing(await connect(listener)) as client:
            assert await read(client) == GREETING
        await listener.wait_idle()
    await drain_events()
    gc.collect()
    assert not [held for held in gc.get_objects() if isinstance(held, Connection)]
    await listener.close()


async def test_closing_cuts_the_clients_that_are_there() -> None:
    sessions = Sessions()
    listener = Listener(sessions.open, None)
    listener.start()
    with closing(await connect(listener)) as client:
        assert await read(client) == GREETING
        await listener.close()
        assert await read(client) == b""

    assert sessions.opened[0].closing


@pytest.mark.parametrize("turns", range(6))
async def test_a_client_may_come_while_it_is_closed(turns: int) -> None:
    listener = Listener(Sessions().open, None)
    listener.start()
    client = socket.create_connection(listener.address)
    for _ in range(turns):
        await asyncio.sleep(0)
    await listener.close()
    client.close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_closing_that_is_cancelled_cuts_the_clients_all_the_same(turns: int) -> None:
    sessions = Sessions()
    listener = Listener(sessions.open, None)
    listener.start()
    with closing(await connect(listener)) as client:
        assert await read(client) == GREETING
        closing_it = asyncio.create_task(listener.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing_it.cancel()
        await asyncio.wait([closing_it])
        if turns == 0:  # it has not begun
            await listener.close()
        await drain_events()
        assert client.recv(4096) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.address)
    await listener.close()


@pytest.mark.parametrize("turns", range(8))
async def test_a_client_may_come_while_it_is_closed_and_that_is_cancelled(turns: int) -> None:
    async with FaultProxy(9) as proxy:
        client = socket.create_connection((proxy.host, proxy.port))
        leaving = asyncio.create_task(proxy.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled() or leaving.exception() is None
        client.close()


async def test_nobody_is_let_in_when_it_is_closed() -> None:
    listener = Listener(Sessions().open, None)
    listener.start()
    await listener.close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.address)


async def test_closing_twice_or_before_the_start_is_no_error() -> None:
    listener = Listener(Sessions().open, None)
    await listener.close()
    await listener.wait_idle()
    listener.start()
    await listener.close()
    await listener.close()


async def test_who_comes_when_there_is_no_descriptor_left_is_served_when_there_is_one() -> None:
    clock = Clock()
    listener = Listener(Sessions().open, None)
    listener.start()
    with closing(socket.socket()) as client:
        client.setblocking(False)
        with descriptors_left(0):
            await asyncio.get_running_loop().sock_connect(client, listener.address)
            for _ in range(3):  # again and again
                await clock.advance(1)
            with pytest.raises(BlockingIOError):
                client.recv(1)
        await clock.advance(1)
        assert await read(client) == GREETING
        with closing(await connect(listener)) as other:
            assert await read(other) == GREETING
    await listener.close()


async def test_it_can_be_closed_while_there_is_no_descriptor_left() -> None:
    clock = Clock()
    listener = Listener(Sessions().open, None)
    listener.start()
    with closing(socket.socket()) as client:
        client.setblocking(False)
        with descriptors_left(0):
            await asyncio.get_running_loop().sock_connect(client, listener.address)
            await clock.advance(1)
            await listener.close()
        with pytest.raises(ConnectionResetError):
            await read(client)


async def test_it_is_started_once_and_has_no_port_before() -> None:
    listener = Listener(Sessions().open, None)
    with pytest.raises(RuntimeError, match="no port before it is started"):
        assert listener.address
    listener.start()
    with pytest.raises(RuntimeError, match="can be started once"):
        listener.start()
    await listener.close()


async def test_it_listens_at_a_path_instead(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sessions = Sessions()
    listener = Listener(sessions.open, path=str(path))
    listener.start()
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(path))
        client.setblocking(False)
        assert await read(client) == GREETING
    await listener.wait_idle()
    with pytest.raises(RuntimeError, match="a server at a Unix socket has no port"):
        assert listener.address
    await listener.close()
    assert not path.exists()
    assert sessions.peers == [""]


async def test_a_path_that_is_taken_is_told(tmp_path: Path) -> None:
    listener = Listener(Sessions().open, path=str(tmp_path))

    with pytest.raises(OSError, match="in use"):
        listener.start()
    await listener.close()

import asyncio
from pathlib import Path

import pytest

from mailwire.aio import unix_socket
from mailwire.aio.unix_socket import connect_unix
from tests.failing_sockets import let_closing_fail


async def test_a_socket_that_is_connected_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    async with await asyncio.start_unix_server(lambda _, writer: writer.close(), path):
        with await connect_unix(path) as connected:
            assert connected.getpeername() == path
            assert not connected.getblocking()


async def test_where_nobody_is_it_is_told_so_and_not_how_the_socket_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = let_closing_fail(unix_socket, monkeypatch)
    with pytest.raises(FileNotFoundError):
        await connect_unix(str(tmp_path / "nowhere"))
    assert [(each.complaints, each.fileno()) for each in made] == [(1, -1)]

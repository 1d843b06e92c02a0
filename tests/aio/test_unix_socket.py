import asyncio
from pathlib import Path

from mailwire.aio.unix_socket import connect_unix


async def test_a_socket_that_is_connected_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    async with await asyncio.start_unix_server(lambda _, writer: writer.close(), path):
        with await connect_unix(path) as connected:
            assert connected.getpeername() == path
            assert not connected.getblocking()

"""Where a proxy leads."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from mailwire.testing import MailServer
from mailwire.testing.destination import Destination

GREETING = b"220 localhost ESMTP mailwire.testing\r\n"


async def test_a_port_and_a_path_are_connected_to(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    async with MailServer(lmtp_path=path) as server:
        for destination in (
            Destination("127.0.0.1", server.smtp_port, None),
            Destination("localhost", server.smtp_port, None),
            Destination("localhost", None, path),
            Destination("localhost", None, str(path)),
        ):
            with await destination.connect() as end:
                assert await asyncio.get_running_loop().sock_recv(end, 4096) == GREETING


async def test_who_is_not_there_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await Destination("127.0.0.1", port, None).connect()
    with pytest.raises(FileNotFoundError):
        await Destination("localhost", None, tmp_path / "nothing").connect()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("localhost", None, None), "expected the port of a server, from 1 to 65535, got None"),
        (("localhost", 25, "/run/lmtp"), "expected the port of a server or a unix_path, got 25 and '/run/lmtp'"),
        (("localhost", None, ""), "expected unix_path to be a path, got ''"),
        (("localhost", None, 7), "expected unix_path to be a path, got 7"),
        ((None, None, "/run/lmtp"), "expected host to be text, got None"),
    ],
)
def test_what_leads_nowhere_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Destination(*given)

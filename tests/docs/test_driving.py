"""The README's loop over a socket ends, whatever the server does with the greeting and with EHLO."""

from typing import Self

import pytest

from mailwire import smtp
from tests.docs.blocks import BLOCKS, compiled

CONNECTING = 'socket.create_connection(("smtp.example.org", 587), timeout=60)'
(LOOP,) = (block.text for block in BLOCKS if block.place == "README.md" and "smtp.Connection()" in block.text)


class Server:
    """A socket on which the server says these `pieces` and closes. Nobody may read on behind the end."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [*pieces, b""]
        self.heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sendall(self, block: bytes) -> None:
        self.heard += block

    def recv(self, _: int) -> bytes:
        assert self.pieces, "the end was read already"
        return self.pieces.pop(0)


def drive(server: Server, *others: str) -> smtp.Connection:
    """Run the loop over that socket, with `others` queued behind EHLO, and return the machine."""
    text = LOOP.replace(CONNECTING, "server").replace("\nwith", "\n".join(("", *others, "with")), 1)
    assert "with server as sock" in text
    namespace = {"server": server}
    exec(compiled(text), namespace)
    connection = namespace["connection"]
    assert isinstance(connection, smtp.Connection)
    return connection


@pytest.mark.parametrize(
    "pieces",
    [[b"554 no\r\n"], [b"22", b"0 hi\r\n", b"502 no\r\n"], [b"220 hi\r\n", b"421 closing\r\n"]],
    ids=["no service", "no EHLO", "closing"],
)
def test_the_loop_of_the_readme_ends_behind_a_refusal_and_waits_for_no_more(pieces: list[bytes]) -> None:
    server = Server(*pieces)
    assert drive(server).extensions is None
    assert server.pieces == [b""]


def test_the_loop_of_the_readme_ends_where_the_server_closes_with_more_in_flight() -> None:
    pieces = b"220 hi\r\n", b"250-hi\r\n250 PIPELINING\r\n", b"421 closing\r\n"
    connection = drive(Server(*pieces), "connection.send(smtp.Mail(None))", "connection.send(smtp.Rset())")
    assert connection.state is smtp.State.CLOSED
    assert len(connection.in_flight) == 1

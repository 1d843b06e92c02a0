import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from mailwire.testing.hearing import ClientGone, Hearing
from mailwire.testing.link import Link
from mailwire.testing.script import shorten
from mailwire.testing.turns import drain_events


class Said:
    """What is heard of a client that says `data` and closes."""

    def __init__(self, data: bytes) -> None:
        ours, client = socket.socketpair()
        ours.setblocking(False)
        client.sendall(data)
        client.close()
        self.heard = bytearray()
        self.hearing = Hearing(Link(ours, bytearray()), self.heard)

    async def __aenter__(self) -> Hearing:
        return self.hearing

    async def __aexit__(self, *_: object) -> None:
        await self.hearing.link.close()


@pytest.fixture
async def empty() -> AsyncIterator[Hearing]:
    async with Said(b"") as hearing:
        yield hearing


async def test_nothing_is_heard_before_it_is_asked_for() -> None:
    said = Said(b"QUIT\r\n")
    async with said as hearing:
        assert hearing.unread == said.heard == b""
        assert hearing.is_at_end is False
        assert await hearing.hear_more()
        assert hearing.unread == said.heard == b"QUIT\r\n"
        assert not hearing.is_at_end
        assert not await hearing.hear_more()
        assert hearing.is_at_end
        assert not await hearing.hear_more()


async def test_what_was_taken_stays_recorded() -> None:
    said = Said(b"NOOP\r\nQUIT\r\nmore")
    async with said as hearing:
        await hearing.hear_line("NOOP")
        assert await hearing.next_line() == "QUIT"
        await hearing.hear(3)
        assert hearing.unread == b"e"
        await hearing.hear_out()
    assert said.heard == b"NOOP\r\nQUIT\r\nmore"


@pytest.mark.parametrize("count", [0, 1])
async def test_what_nobody_will_ask_for_is_recorded_and_not_kept(count: int) -> None:
    said = Said(b"QUIT\r\n")
    async with said as hearing:
        await hearing.fill(count)
        await hearing.hear_out(keep=False)
        assert hearing.unread == b""
    assert said.heard == b"QUIT\r\n"
    async with Said(b"QUIT\r\n") as hearing:
        await hearing.hear_out()
        assert await hearing.next_line() == "QUIT"


async def test_what_somebody_else_has_made_an_end_of_is_not_heard() -> None:
    said = Said(b"QUIT\r\n")
    async with said as hearing:
        hearing.is_at_end = True
        assert not await hearing.hear_more()
        with pytest.raises(ClientGone, match="expected the client to say 'QUIT', it closed"):
            await hearing.hear_line("QUIT")
    assert said.heard == b""


async def test_a_line_may_be_known_by_its_beginning() -> None:
    async with Said(b"MAIL FROM:<a>\r\nMAIL \r\nRCPT\r\n") as hearing:
        await hearing.hear_line("MAIL ...")
        await hearing.hear_line("MAIL ...")
        with pytest.raises(AssertionError, match=r"expected the client to say 'MAIL \.\.\.', it said 'RCPT'"):
            await hearing.hear_line("MAIL ...")


async def test_another_line_than_expected_fails() -> None:
    async with Said(b"QUIT now\r\n") as hearing:
        with pytest.raises(AssertionError, match="expected the client to say 'QUIT', it said 'QUIT now'"):
            await hearing.hear_line("QUIT")


@pytest.mark.parametrize("line", [b"QUIT\n", b"\n"])
async def test_a_line_ends_in_crlf(line: bytes) -> None:
    async with Said(line + b"QUIT\r\n") as hearing:
        await hearing.fill(1)
        with pytest.raises(AssertionError) as caught:
            await hearing.next_line()
    assert str(caught.value) == f"expected a line that ends in CRLF, the client said {line!r}"


async def test_octets_that_are_no_text_are_shown() -> None:
    async with Said(b"\xff\r\n") as hearing:
        assert await hearing.next_line() == "\\xff"


async def test_a_client_that_closes_in_the_middle_of_a_line_is_gone() -> None:
    async with Said(b"QU") as hearing:
        with pytest.raises(ClientGone, match=r"it closed \(b'QU' is left\)"):
            await hearing.hear_line("QUIT")


async def test_of_a_long_line_the_beginning_and_the_end_are_quoted() -> None:
    said, quoted = b"a" * 1000, f"'{'a' * 100}' ... '{'a' * 100}'"
    left = f"b'{'a' * 100}' ... b'{'a' * 100}' is left"
    async with Said(said + b"\n") as hearing:
        with pytest.raises(AssertionError, match=r"the client said b'a{100}' \.\.\. b'a{99}\\n'$"):
            await hearing.next_line()
    async with Said(said) as hearing:
        with pytest.raises(ClientGone) as caught:
            await hearing.hear_line("a" * 1000)
    assert str(caught.value) == f"expected the client to say {quoted}, it closed ({left})"


async def test_there_is_no_line_behind_the_end(empty: Hearing) -> None:
    assert await empty.next_line() is None


async def test_octets_that_do_not_come_are_missed() -> None:
    async with Said(b"123") as hearing:
        await hearing.fill(2)
        await hearing.fill(3)
        with pytest.raises(ClientGone, match="expected 4 octets from the client, got 3"):
            await hearing.hear(4)


@pytest.mark.parametrize(
    "message", [b".\r\n", b"\r\n.\r\n", b"hello\r\n.\r\n", b"..\r\nx.\r\n.\r\n", b"\n.\n\r.\r\n\r\n.\r\n"]
)
async def test_a_message_ends_at_its_dot(message: bytes) -> None:
    async with Said(message + b"QUIT\r\n") as hearing:
        await hearing.hear_mail_data()
        assert await hearing.next_line() == "QUIT"


@pytest.mark.parametrize("place", range(1, 12))
async def test_an_end_is_found_wherever_it_is_cut(place: int) -> None:
    ours, client = socket.socketpair()
    ours.setblocking(False)
    hearing = Hearing(Link(ours, bytearray()), bytearray())
    with client:
        message = b"hello\r\n.\r\nQUIT\r\n"
        client.sendall(message[:place])
        hearing_data = asyncio.create_task(hearing.hear_mail_data())
        await drain_events()
        client.sendall(message[place:])
        await hearing_data
        assert await hearing.next_line() == "QUIT"
    await hearing.link.close()


class Counted(bytearray):
    """Octets that count those in which something was looked for."""

    looked_at = 0

    def find(self, sought: Any, start: int = 0) -> int:  # type: ignore[override]
        Counted.looked_at += len(self) - start
        return super().find(sought, start)


@pytest.mark.parametrize("hear", [Hearing.next_line, Hearing.hear_mail_data])
async def test_what_grows_is_not_searched_from_its_beginning(hear: Callable[[Hearing], Any]) -> None:
    ours, client = socket.socketpair()
    ours.setblocking(False)
    hearing = Hearing(Link(ours, bytearray()), bytearray())
    hearing.unread = Counted()
    Counted.looked_at = 0
    with client:
        hearing_all = asyncio.create_task(hear(hearing))
        for _ in range(100):
            client.sendall(b"a" * 100)
            await drain_events()
        client.sendall(b"\r\n.\r\n")
        await hearing_all
    await hearing.link.close()
    assert 10_000 <= Counted.looked_at < 12_000


@pytest.mark.parametrize("size", [0, 1, 300])
@pytest.mark.parametrize("behind", [b"", b"QUIT\r\n"])
async def test_the_first_record_of_a_handshake_is_taken(size: int, behind: bytes) -> None:
    record = b"\x16\x03\x01" + size.to_bytes(2) + bytes(size)
    async with Said(record + behind) as hearing:
        await hearing.hear_hello()
        assert hearing.unread == behind


@pytest.mark.parametrize("said", [b"E", b"\x15\x03\x03\x00\x02\x01\x00", b"EHLO x\r\n"])
@pytest.mark.parametrize("known", [0, 1])
async def test_what_begins_no_handshake_is_told_of(said: bytes, known: int) -> None:
    async with Said(said) as hearing:
        await hearing.fill(known)
        with pytest.raises(AssertionError) as caught:
            await hearing.hear_hello()
    assert str(caught.value) == f"expected a handshake, the client said {said!r}"


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x00", b"\x16\x03\x01\x00\x02a"])
async def test_a_handshake_that_does_not_come_is_missed(said: bytes) -> None:
    async with Said(said) as hearing:
        with pytest.raises(ClientGone) as caught:
            await hearing.hear_hello()
    assert str(caught.value) == f"expected a handshake, the client closed after {said!r}"


async def test_a_message_without_its_dot_is_none() -> None:
    async with Said(b"hello\r\n") as hearing:
        with pytest.raises(ClientGone, match="expected a message, the client closed after"):
            await hearing.hear_mail_data()


def test_of_much_the_beginning_and_the_end_are_quoted() -> None:
    assert shorten(bytearray(b"QUIT\r\n")) == r"b'QUIT\r\n'"
    assert shorten("QUIT") == "'QUIT'"
    assert shorten("a" * 200 + "b" * 200) == f"'{'a' * 100}' ... '{'b' * 100}'"
    text = shorten(b"a" * 200 + b"b" * 200)
    assert text == f"b'{'a' * 100}' ... b'{'b' * 100}'"

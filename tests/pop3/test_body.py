import pytest

from mailwire._wire.lines import LineBuffer
from mailwire.pop3 import STANDARD, Quirks
from mailwire.pop3.body import Body


def taken(*pieces: bytes, quirks: Quirks = STANDARD, is_message: bool = True) -> tuple[Body, list[bytes]]:
    """A body of which `pieces` have come one by one, and what was taken behind each of them."""
    body, buffer = Body(quirks), LineBuffer(1000)
    body.begin(bare_lf=False, is_message=is_message)
    blocks = []
    for piece in pieces:
        buffer.feed(piece)
        blocks.append(b"".join(iter(lambda: body.take(buffer), b"")))
    return body, blocks


def test_a_body_is_handed_out_as_it_comes() -> None:
    body, blocks = taken(b"Subject: x\r\n", b"..\r\n.", b"\r\n")
    assert blocks == [b"Subject: x\r\n", b".\r\n", b""]
    assert body.finished
    assert body.octets == 15


def test_the_octets_of_a_message_that_is_taken_whole_are_counted() -> None:
    body, buffer = Body(STANDARD), LineBuffer(1000)
    body.begin(bare_lf=False, is_message=True)
    buffer.feed(b"x\r\n..\r\n.\r\n+OK\r\n")
    assert body.take_whole(buffer, 100) == b"x\r\n.\r\n"
    assert body.octets == 6
    assert buffer.next_line() == b"+OK"


@pytest.mark.parametrize("beginning", [b"+", b"+OK", b"-", b"-ERR", b"+OK text"])
def test_what_may_be_a_second_answer_is_held_back(beginning: bytes) -> None:
    body, blocks = taken(beginning)
    assert blocks == [b""]
    assert body.octets == 0


@pytest.mark.parametrize("beginning", [b"+x", b"+OKx", b"-ERx", b"-ERRx", b"OK", b"x+OK"])
def test_what_can_be_no_second_answer_is_handed_out_at_once(beginning: bytes) -> None:
    for first in range(1, len(beginning) + 1):
        body, blocks = taken(beginning[:first], beginning[first:], b"\r\n+OK more\r\n", b"+OK\r\n")
        assert b"".join(blocks[:2]) == beginning
        assert blocks[2:] == [b"\r\n+OK more\r\n", b"+OK\r\n"]
        assert body.stray is None


def test_what_began_like_a_second_answer_and_was_none_may_be_followed_by_one() -> None:
    _, blocks = taken(b"+OKAY\r\n", b"+OK 5 octets\r\n", b".\r\n")
    assert b"".join(blocks) == b"+OKAY\r\n+OK 5 octets\r\n"


@pytest.mark.parametrize("octets", [512, 513])
def test_a_second_answer_is_no_longer_than_an_answer_may_be(octets: int) -> None:
    line = b"+OK ".ljust(octets - 1, b"x") + b"\r\n"
    _, blocks = taken(line, b"x\r\n", quirks=Quirks(second_status=True))
    assert b"".join(blocks) == (b"x\r\n" if octets == 512 else line + b"x\r\n")


def test_a_listing_may_begin_like_an_answer() -> None:
    body, blocks = taken(b"+OK what\r\n", b".\r\n", is_message=False)
    assert blocks == [b"+OK what\r\n", b""]
    assert body.stray is None

import pytest

from mailwire._wire.lines import LineBuffer
from mailwire.pop3 import DEFAULT_LIMITS, Command, Limits, List, Response, Uidl
from mailwire.pop3.gathering import Gathering
from mailwire.pop3.response import SHOWN_LIMIT
from tests.pop3.sessions import CANARY, Language

STATUS = Response(True, b"follows")


def gathered(command: Command[object], *blocks: bytes, limits: Limits = DEFAULT_LIMITS) -> Gathering:
    gathering = Gathering(command, limits, LineBuffer(1000))
    for block in blocks:
        assert gathering.feed(block) is None
    return gathering


def test_a_body_is_joined_to_its_status_and_shown_whole() -> None:
    response, shown = gathered(Language(), b"en Eng", b"lish\r\n").finish(STATUS)
    assert response == Response(True, b"follows", b"en English\r\n")
    assert shown.shown() == response.shown()


def test_a_body_may_be_as_long_as_its_command_lets_it_and_no_longer() -> None:
    gathering = gathered(Language(), b"x" * 100)
    assert gathering.feed(b"y") == (
        f"the answer to LANG is longer than 100 octets, it begins with {LineBuffer(1000).quote_beginning(b'x' * 100)}"
    )


def test_a_listing_may_be_as_long_as_the_limit_and_no_longer() -> None:
    gathering = gathered(List(), b"1 5\r\n" * 2, limits=Limits(listing_octets=10))
    assert gathering.feed(b"2") == "the answer to LIST is longer than 10 octets"


@pytest.mark.parametrize("extra", [0, 1])
def test_a_listing_is_shown_up_to_a_length(extra: int) -> None:
    lines = b"1 5\r\n" * (SHOWN_LIMIT // 5 - 2)
    lines += b"2 ".ljust(SHOWN_LIMIT - len(lines) + extra - 2, b"0") + b"\r\n"
    response, shown = gathered(List(), lines[:100], lines[100:]).finish(STATUS)
    assert response.reading is not None
    whole = ("+OK follows", *lines.decode().splitlines(), ".")
    assert tuple(shown.shown()) == (("+OK follows", f"({len(lines)} octets)", ".") if extra else whole)


def test_what_a_listing_is_told_wrong_with_is_masked() -> None:
    buffer = LineBuffer(1000)
    buffer.mask_with(lambda said: said.replace(CANARY.encode(), b"****"))
    gathering = Gathering(Uidl(), DEFAULT_LIMITS, buffer)
    assert gathering.feed(b"x " + CANARY.encode() + b"\r\n") is None
    response, _ = gathering.finish(STATUS)
    assert [finding.said for finding in Uidl().parse(response).findings] == [b"x ****"]

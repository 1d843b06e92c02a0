from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.pop3 import HEADER_LIMIT, Fingerprint


def pieces(message: bytes, size: int) -> list[bytes]:
    return [message[place : place + size] for place in range(0, len(message), size)]


def fingerprint(*blocks: bytes) -> str:
    made = Fingerprint()
    for block in blocks:
        made.feed(block)
    return made.digest()


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_a_fingerprint_does_not_depend_on_the_cuts(octets: bytes, cuts: list[int]) -> None:
    message = octets.replace(b"\x00", b"\r\n").replace(b"\x01", b"\n")
    places = sorted({0, len(message), *(cut for cut in cuts if cut < len(message))})
    assert fingerprint(*(message[a:b] for a, b in pairwise(places))) == fingerprint(message)


def test_a_fingerprint_is_that_of_the_header_alone() -> None:
    header = b"Subject: x\r\nFrom: a@b\r\n"
    expected = fingerprint(header + b"\r\n")

    assert len(expected) == 32
    for body in (b"", b"Hello\r\n", b"\r\n", b"Hello\r\n\r\nSubject: y\r\n\r\n"):
        assert fingerprint(header + b"\r\n" + body) == expected
    # As TOP gives it, with a blank line or none.
    assert fingerprint(header) == expected
    assert fingerprint(header + b"x: y\r\n\r\n") != expected
    assert fingerprint(*pieces(header + b"\r\nHello\r\n", 1)) == expected


def test_all_that_a_header_ends_with_counts_but_for_line_ends() -> None:
    assert len({fingerprint(b"A: b" + end) for end in (b"", b" ", b"\t", b"X", b"\x0b")}) == 5


def test_bare_line_feeds_end_a_header_too() -> None:
    assert fingerprint(b"A: b\n\nc\n") == fingerprint(b"A: b\n\nd\r\n\r\n") == fingerprint(b"A: b\n\r\ne")


@pytest.mark.parametrize("message", [b"", b"\r\nHello\r\n", b"\nHello\n", b"\r\n"])
def test_no_header_has_no_fingerprint(message: bytes) -> None:
    assert fingerprint(message) == fingerprint(*pieces(message, 1)) == ""


def test_a_header_without_end_is_taken_so_far() -> None:
    endless = b"x" * HEADER_LIMIT

    assert fingerprint(endless) == fingerprint(endless, b"y") == fingerprint(*pieces(endless + b"zz", 1000))
    assert fingerprint(endless[:-1]) != fingerprint(endless)
    made = Fingerprint()
    for _ in range(10):
        made.feed(endless)
    assert len(made._header) == HEADER_LIMIT


def test_behind_the_header_no_block_is_needed() -> None:
    made, endless = Fingerprint(), Fingerprint()
    made.feed(b"A: b\r\n")
    endless.feed(b"x" * (HEADER_LIMIT - 1))
    assert not made.is_over
    assert not endless.is_over
    made.feed(b"\r\n")
    endless.feed(b"x")
    assert made.is_over
    assert endless.is_over

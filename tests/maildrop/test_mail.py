from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.errors import BudgetExceeded, ConnectionLost, LocalProtocolError
from mailwire.maildrop.mail import HEADER_LIMIT, Fingerprint, make_key
from tests.maildrop.mails import mail, split

MESSAGE = b"Subject: x\r\nFrom: a@b\r\n\r\nHello\r\n\r\nworld\r\n"


async def test_a_mail_is_read_whole_or_in_its_blocks() -> None:
    whole = mail(split(MESSAGE, 7))
    assert await whole.read() == MESSAGE
    assert (whole.octets, whole.is_complete, whole.failure) == (len(MESSAGE), True, None)
    assert whole.fingerprint == fingerprint(MESSAGE)

    blocks = mail(split(MESSAGE, 7))
    assert [block async for block in blocks] == split(MESSAGE, 7)
    assert blocks.is_complete


async def test_a_mail_comes_once() -> None:
    read = mail(MESSAGE)
    await read.read()
    with pytest.raises(LocalProtocolError, match="message 1 was read already"):
        await read.read()


async def test_a_mail_that_is_too_long_says_so_in_time() -> None:
    assert await mail(split(MESSAGE, 7)).read(limit=len(MESSAGE)) == MESSAGE
    long = mail(split(MESSAGE, 7))
    with pytest.raises(BudgetExceeded, match="longer than 20 octets"):
        await long.read(limit=20)
    assert (long.octets, long.is_complete, long.failure) == (21, False, None)


async def test_what_cuts_a_mail_off_passes_and_is_kept() -> None:
    error = ConnectionLost("gone")
    cut = mail([b"Subj"], error=error)
    with pytest.raises(ConnectionLost):
        await cut.read()
    assert cut.failure is error
    assert not cut.is_complete


def test_a_mail_shows_no_more_than_what_it_is() -> None:
    assert repr(mail(b"x", "a'b")) == "<Mail 1 of 'b@pop.example.org', \"a'b\", 0 octets so far>"


def test_a_key_is_that_of_an_account_a_uid_and_a_kind() -> None:
    keys = [make_key("a", "b"), make_key("ab", ""), make_key("", "ab"), make_key("a", "b", is_preview=True)]
    keys += [make_key("a", "../../etc/passwd\0"), make_key("a", "\ud800" * 100_000), make_key("a", "b preview")]

    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)
    assert make_key("a", "b") == keys[0]


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
    assert fingerprint(*split(header + b"\r\nHello\r\n", 1)) == expected


def test_bare_line_feeds_end_a_header_too() -> None:
    assert fingerprint(b"A: b\n\nc\n") == fingerprint(b"A: b\n\nd\r\n\r\n") == fingerprint(b"A: b\n\r\ne")


@pytest.mark.parametrize("message", [b"", b"\r\nHello\r\n", b"\nHello\n", b"\r\n"])
def test_no_header_has_no_fingerprint(message: bytes) -> None:
    assert fingerprint(message) == fingerprint(*split(message, 1)) == ""


def test_a_header_without_end_is_taken_so_far() -> None:
    endless = b"x" * HEADER_LIMIT

    assert fingerprint(endless) == fingerprint(endless, b"y") == fingerprint(*split(endless + b"zz", 1000))
    assert fingerprint(endless[:-1]) != fingerprint(endless)
    made = Fingerprint()
    for _ in range(10):
        made.feed(endless)
    assert len(made._header) == HEADER_LIMIT

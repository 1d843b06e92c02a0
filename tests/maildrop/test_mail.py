import hashlib
from collections.abc import AsyncIterator

import pytest

from mailwire.errors import BudgetExceeded, ConnectionLost, LocalProtocolError, MessageEmpty
from mailwire.maildrop import Mail
from mailwire.maildrop.mail import make_key
from mailwire.pop3 import Fingerprint
from tests.maildrop.mails import mail, split

MESSAGE = b"Subject: x\r\nFrom: a@b\r\n\r\nHello\r\n\r\nworld\r\n"


async def test_a_mail_is_read_whole_or_in_its_blocks() -> None:
    whole = mail(split(MESSAGE, 7))
    assert await whole.read() == MESSAGE
    assert (whole.octets, whole.is_complete, whole.failure) == (len(MESSAGE), True, None)
    fingerprint = Fingerprint()
    fingerprint.feed(MESSAGE)
    assert whole.fingerprint == fingerprint.digest() != ""

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


async def test_a_mail_that_has_a_size_does_not_come_empty() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    empty = Mail("a", 1, "u", 512, "k", nothing())
    with pytest.raises(MessageEmpty, match="message 1 came empty, and the server lists 512 octets"):
        await empty.read()
    assert isinstance(empty.failure, MessageEmpty)
    assert not empty.is_complete

    assert await mail(b"").read() == b""


def test_a_mail_is_a_whole_one_if_nothing_else_is_said() -> None:
    whole = Mail("a", 1, "u", 512, "k", mail(b"x").__aiter__())
    assert (whole.is_preview, whole.will_be_settled) == (False, True)
    cut = Mail("a", 1, "u", 512, "k", mail(b"x").__aiter__(), is_preview=True, will_be_settled=False)
    assert (cut.is_preview, cut.will_be_settled) == (True, False)


def test_a_mail_shows_no_more_than_what_it_is() -> None:
    assert repr(mail(b"x", "a'b")) == "<Mail 1 of 'b@pop.example.org', \"a'b\", 0 octets so far>"


def test_a_key_is_that_of_an_account_a_uid_and_a_kind() -> None:
    keys = [make_key("a", "b"), make_key("ab", ""), make_key("", "ab"), make_key("a", "b", is_preview=True)]
    keys += [make_key("a", "../../etc/passwd\0"), make_key("a", "\ud800" * 100_000), make_key("a", "b preview")]

    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)
    assert make_key("a", "b") == keys[0]


def test_a_key_is_the_same_in_every_version() -> None:
    # They are in databases and in the names of files.
    whole, preview = (hashlib.sha256(octets).hexdigest() for octets in (b"a@b\0\xc3\xa4", b"a@b\0\xc3\xa4\0preview"))
    assert (make_key("a@b", "ä"), make_key("a@b", "ä", is_preview=True)) == (whole, preview)

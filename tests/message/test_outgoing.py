from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage, NotSupported
from mailwire.message import Envelope, Outgoing
from mailwire.smtp import Mailbox
from tests.message.sending import EIGHT_BIT, ENVELOPE, UTF8, A, B, blocks_of, offered, parameters, prepared, wire


def test_octets_that_are_in_order_are_sent_as_they_are() -> None:
    octets = Path(__file__).parents[1].joinpath("data", "sylpheed-message.eml").read_bytes()
    assert wire(octets) == octets


@pytest.mark.parametrize(
    ("octets", "sent"),
    [
        (b"a: b\n\nc\n", b"a: b\r\n\r\nc\r\n"),
        (b"a: b\r\rc\r", b"a: b\r\n\r\nc\r\n"),
        (b"a: b\r\n\r\nc", b"a: b\r\n\r\nc\r\n"),
        (b"a\n.\n", b"a\r\n.\r\n"),
        (b"\r", b"\r\n"),
        (b"\n\r", b"\r\n\r\n"),
    ],
)
def test_every_line_end_becomes_crlf(octets: bytes, sent: bytes) -> None:
    assert wire(octets) == sent


async def test_large_octets_leave_in_blocks() -> None:
    octets = b"0123456789abcd\r\n" * 100_000
    outgoing = await Outgoing.prepare(octets, ENVELOPE, offered())
    assert outgoing.content is None
    blocks = await blocks_of(outgoing)
    assert b"".join(blocks) == octets
    assert len(blocks) > 1
    assert max(map(len, blocks)) <= 256 * 1024


def test_a_line_end_across_blocks_stays_one() -> None:
    line = b"x" * 510 + b"\r\n"
    for length in range(510 - 2, 510 + 2):
        octets = line * 511 + b"x" * length + b"\r\n.\r\n"
        assert wire(octets) == octets


async def test_the_blocks_can_be_taken_again() -> None:
    outgoing = await Outgoing.prepare(b"x\r\n", ENVELOPE, offered())
    assert await blocks_of(outgoing) == await blocks_of(outgoing) == [b"x\r\n"]


@pytest.mark.parametrize("octets", [b"\0", b"a: b\r\n\r\nc\0d\r\n"])
def test_a_nul_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidMessage, match="the message holds a NUL at octet"):
        wire(octets, *UTF8)


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="the message is empty"):
        wire(b"")


def test_octets_beyond_ascii_need_8bitmime() -> None:
    octets = "Subject: x\r\n\r\nä\r\n".encode()
    assert wire(octets, *EIGHT_BIT) == octets
    assert parameters(octets, *EIGHT_BIT) == {"BODY": "8BITMIME"}
    assert parameters(b"Subject: x\r\n", *EIGHT_BIT) == {}
    with pytest.raises(NotSupported, match=r"does not offer 8BITMIME \(RFC 6152\)") as caught:
        wire(octets, "SIZE")
    assert caught.value.extension == "8BITMIME"


@pytest.mark.parametrize("envelope", [Envelope(Mailbox("ä", "x.y"), (B,)), Envelope(A, (B, Mailbox("b", "ä.y")))])
def test_an_address_beyond_ascii_needs_smtputf8(envelope: Envelope) -> None:
    assert parameters(b"x", *UTF8, envelope=envelope) == {"SMTPUTF8": None}
    with pytest.raises(NotSupported, match=r"does not offer SMTPUTF8 \(RFC 6531\)") as caught:
        wire(b"x", *EIGHT_BIT, envelope=envelope)
    assert caught.value.extension == "SMTPUTF8"


@pytest.mark.parametrize(
    ("size", "limit"), [("", None), ("0", None), ("abc", None), ("7", None), ("8", None), ("6", 6), ("1", 1)]
)
def test_a_message_larger_than_the_server_takes_is_not_begun(size: str, limit: int | None) -> None:
    extensions = f"SIZE {size}"
    if limit is None:
        # The size counts the end of the last line, which was missing.
        assert prepared(b"hello", extensions).mail_parameters == {"SIZE": "7"}
    else:
        with pytest.raises(NotSupported, match=rf"has 7 octets, and the server takes {limit} \(RFC 1870\)") as caught:
            prepared(b"hello", extensions)
        assert caught.value.extension == "SIZE"


def test_a_size_is_told_only_to_those_who_ask_for_it() -> None:
    assert parameters(b"hello") == {}


def test_all_that_is_needed_is_told() -> None:
    envelope = Envelope(Mailbox("ä", "x.y"), (B,))
    assert parameters("ä\n".encode(), *UTF8, "SIZE", envelope=envelope) == {
        "BODY": "8BITMIME",
        "SMTPUTF8": None,
        "SIZE": "4",
    }


@given(st.binary(min_size=1, max_size=60))
def test_whatever_octets_are_given_leave_in_lines_unless_they_hold_a_nul(octets: bytes) -> None:
    try:
        sent = wire(octets, *UTF8)
    except InvalidMessage:
        assert b"\0" in octets
    else:
        assert sent.endswith(b"\r\n")
        assert not {0x0D, 0x0A, 0} & set(sent.replace(b"\r\n", b""))

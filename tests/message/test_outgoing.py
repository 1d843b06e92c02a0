import asyncio
import io
import re
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage, NotSupported, SourceFailed
from mailwire._wire.dots import DotStuffer, MailText
from mailwire.message import Content, Envelope, MessagePolicy, MessageSource, Outgoing
from mailwire.smtp import Mailbox
from tests.message.sending import (
    EIGHT_BIT,
    ENVELOPE,
    UTF8,
    A,
    B,
    all_of,
    blocks_of,
    offered,
    parameters,
    prepared,
    text_message,
    wire,
)


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
    # Two of them have room in the window of a pipeline.
    assert [len(block) for block in blocks] == [384 * 1024] * 4 + [27_136]


@pytest.mark.parametrize("octets_in_block", [256 * 1024, 384 * 1024])
def test_a_line_end_across_blocks_stays_one(octets_in_block: int) -> None:
    line = b"x" * 510 + b"\r\n"
    for length in range(510 - 2, 510 + 2):
        octets = line * (octets_in_block // len(line) - 1) + b"x" * length + b"\r\n.\r\n"
        assert wire(octets) == octets


async def test_octets_in_memory_are_at_hand(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"x\r\n")
    large = b"x\r\n" * 100_000
    for message, at_hand in ((b"x\r\n", True), (large, True), (path, False), (iter([b"x\r\n"]), False)):
        outgoing = await Outgoing.prepare(message, ENVELOPE, offered())
        assert outgoing.is_at_hand is at_hand


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
    with pytest.raises(NotSupported, match="8BITMIME") as caught:
        wire(octets, "SIZE")
    assert str(caught.value) == (
        "the message has octets beyond ASCII, and the server does not offer 8BITMIME (RFC 6152), or was not told to "
        "expect them"
    )
    assert caught.value.extension == "8BITMIME"


@pytest.mark.parametrize("envelope", [Envelope(Mailbox("ä", "x.y"), (B,)), Envelope(A, (B, Mailbox("b", "ä.y")))])
def test_an_address_beyond_ascii_needs_smtputf8(envelope: Envelope) -> None:
    assert parameters(b"x", *UTF8, envelope=envelope) == {"SMTPUTF8": None}
    with pytest.raises(NotSupported, match="SMTPUTF8") as caught:
        wire(b"x", *EIGHT_BIT, envelope=envelope)
    assert str(caught.value) == (
        "an address or a message id has characters beyond ASCII, and the server does not offer SMTPUTF8 (RFC 6531)"
    )
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


# What a message may be given as


TEXT = "Subject: x\n\nhello\n.\nä"
AS_SENT = "Subject: x\r\n\r\nhello\r\n.\r\nä\r\n".encode()


async def yielding(octets: bytes, size: int = 3) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


def given_as(octets: bytes, path: Path) -> dict[str, MessageSource]:
    """The same octets, in every way in which they can be given."""
    path.write_bytes(octets)
    return {
        "bytes": octets,
        "bytearray": bytearray(octets),
        "memoryview": memoryview(octets),
        "path": path,
        "file": io.BytesIO(octets),
        "list": [octets[:7], octets[7:]],
        "generator": (octets[place : place + 1] for place in range(len(octets))),
        "asynchronous generator": yielding(octets),
    }


KNOWN = ("bytes", "bytearray", "memoryview", "path", "file")


async def test_a_message_is_the_same_however_it_is_given(tmp_path: Path) -> None:
    for name, message in given_as(TEXT.encode(), tmp_path / "m").items():
        outgoing = await Outgoing.prepare(message, ENVELOPE, offered(*EIGHT_BIT, "SIZE 100"))
        assert await all_of(outgoing) == AS_SENT, name
        size = {"SIZE": str(len(AS_SENT))} if name in KNOWN else {}
        assert outgoing.mail_parameters == {"BODY": "8BITMIME", **size}, name
        assert outgoing.size == (len(AS_SENT) if name in KNOWN else None), name
        assert outgoing.is_repeatable == (not name.endswith("generator")), name
        assert (outgoing.content == AS_SENT) == (name in KNOWN[:3]), name
        if outgoing.is_repeatable:
            assert await all_of(outgoing) == AS_SENT, name


def test_a_text_is_sent_in_utf_8() -> None:
    assert wire(TEXT, *EIGHT_BIT) == AS_SENT
    with pytest.raises(InvalidMessage, match="cannot be written in UTF-8"):
        wire("Subject: \ud800\n")


@pytest.mark.parametrize("text", ["", "message.eml", "C:\\mail\\message.eml", "/var/mail/a"])
def test_a_text_that_may_be_a_path_is_no_message(text: str) -> None:
    with pytest.raises(InvalidMessage, match=r"a text of one line is no message \(a path is given as pathlib\.Path\)"):
        wire(text)


def test_of_a_long_text_that_is_no_message_a_piece_is_quoted() -> None:
    with pytest.raises(InvalidMessage, match=r"pathlib\.Path\): 'xxx.*xxx'\.\.\. \(100000 characters\)") as caught:
        Content("x" * 100_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("thing", [None, 7, object(), 1.5])
def test_what_is_no_message_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidMessage, match="expected a message, its octets or text, a path, a file or an iterable"):
        Content(thing)


async def test_a_file_may_give_as_little_as_it_likes() -> None:
    drops = iter([b"Subject: x\r", b"\n", b"\r", b"\n", b"hello\r"])

    class Dropping:
        def read(self, size: int, /) -> bytes:
            return next(drops, b"")

    outgoing = await Outgoing.prepare(Dropping(), ENVELOPE, offered())
    assert await blocks_of(outgoing) == [b"Subject: x", b"\r\n", b"\r\n", b"hello", b"\r\n"]


async def test_a_stream_reader_is_a_message_too() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(AS_SENT)
    reader.feed_eof()
    assert await all_of(await Outgoing.prepare(reader, ENVELOPE, offered(*EIGHT_BIT))) == AS_SENT


async def test_a_content_is_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(AS_SENT)
    content = Content(path)
    await content.check()
    path.write_bytes(AS_SENT * 2)
    assert (await Outgoing.prepare(content, ENVELOPE, offered(*EIGHT_BIT))).size == len(AS_SENT)
    message = Content(text_message("hällo\n"))
    seven = await Outgoing.prepare(message, ENVELOPE, offered())
    assert (await Outgoing.prepare(message, ENVELOPE, offered())).content is seven.content
    eight = await Outgoing.prepare(message, ENVELOPE, offered(*EIGHT_BIT))
    assert eight.content != seven.content
    assert message.is_repeatable


@pytest.mark.parametrize("size", [10, 262_143, 262_144, 262_145, 9_000_000])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
async def test_a_message_of_any_size_leaves_in_blocks(size: int, end: bytes, tmp_path: Path) -> None:
    line = b"0123456789" + end
    octets = (line * (size // len(line) + 1))[:size]
    sent = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    sent += b"" if sent.endswith(b"\r\n") else b"\r\n"
    for name, message in given_as(octets, tmp_path / "m").items():
        if name == "generator" or (name == "asynchronous generator" and size > 1_000_000):
            continue  # octet by octet is tried with less
        outgoing = await Outgoing.prepare(message, ENVELOPE, offered())
        blocks = await blocks_of(outgoing)
        assert b"".join(blocks) == sent, name
        assert max(map(len, blocks)) <= 2 * 256 * 1024
        assert outgoing.size in (None, len(sent))


# Smuggling: whatever a message is given as, and however it is cut, what leaves is lines


SMUGGLING = [
    *(b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r\r\n", b"\r\n\0.\r\n"),
    *(before + b"." + after for before, after in product((b"\n", b"\r", b"\r\n", b"\r\r\n", b"\r\n\r"), repeat=2)),
]
SAFE = re.compile(rb"(?:[^\r\n\0]|\r\n)*\Z")


@pytest.mark.parametrize("form", SMUGGLING, ids=repr)
@pytest.mark.parametrize("line_ends", ["normalise", "reject"])
async def test_no_smuggled_end_of_data_leaves(form: bytes, line_ends: Any, tmp_path: Path) -> None:
    octets = b"Subject: a\r\n\r\nfirst" + form + b"MAIL FROM:<forged@example.org>\r\nRCPT TO:<b@example.org>\r\n"
    dot = octets.index(b".")
    ways = given_as(octets, tmp_path / "m")
    ways["cut before the dot"] = [octets[:dot], octets[dot:]]
    ways["cut behind the dot"] = [octets[: dot + 1], octets[dot + 1 :]]
    is_standard = SAFE.match(octets) is not None
    for name, message in ways.items():
        wire = list[bytes]()
        stuffer = DotStuffer()
        try:
            outgoing = await Outgoing.prepare(
                Content(message, MessagePolicy(line_ends=line_ends)), ENVELOPE, offered("8BITMIME")
            )
            async with aclosing(outgoing.blocks()) as blocks:
                async for block in blocks:
                    wire.append(stuffer.feed(block))
            wire.append(stuffer.finish())
        except InvalidMessage:
            assert not is_standard, name
            assert line_ends == "reject" or b"\0" in octets, name
            # What had left by then is as safe.
            assert SAFE.match(b"".join(wire)), name
            assert b"\r\n.\r\n" not in b"".join(wire), name
            continue
        assert b"\0" not in octets
        assert line_ends == "normalise" or is_standard
        sent = b"".join(wire)
        assert SAFE.match(sent), name
        assert sent.find(b"\r\n.\r\n") == len(sent) - 5, name


# What a server takes: 4 of them, and 7 messages

ASCII = b"Subject: x\r\n\r\nhello\r\n"
BODY = "Subject: x\r\n\r\nhällo\r\n".encode()
HEADER = "Subject: ä\r\n\r\nhello\r\n".encode()
OTHER_HEADER = "Subject: ä\r\n\r\nhello\r\n".encode("latin1")
LONG = b"Subject: x\r\n\r\n" + b"x" * 999 + b"\r\n"


@pytest.mark.parametrize(
    ("make", "outcomes"),
    [
        # Without an extension; with 8BITMIME; with 8BITMIME and SMTPUTF8; with SMTPUTF8 alone.
        (lambda: ASCII, ["", "", "", ""]),
        (lambda: BODY, ["8BITMIME", "BODY", "BODY", "8BITMIME"]),
        (lambda: HEADER, ["SMTPUTF8", "SMTPUTF8", "BODY SMTPUTF8", "8BITMIME"]),
        (lambda: OTHER_HEADER, ["8BITMIME", "BODY", "BODY", "8BITMIME"]),
        (lambda: LONG, ["invalid"] * 4),
        (lambda: text_message("hällo\n", Subject="ä"), ["", "BODY", "BODY", ""]),
        (lambda: text_message("hello\n", Reply_To="ä@x.y"), ["SMTPUTF8", "SMTPUTF8", "BODY SMTPUTF8", "8BITMIME"]),
    ],
)
def test_what_cannot_be_carried_is_refused_before_it_is_begun(make: Callable[[], Any], outcomes: list[str]) -> None:
    for extensions, expected in zip([(), EIGHT_BIT, UTF8, ("SMTPUTF8",)], outcomes, strict=True):
        try:
            outcome = " ".join(parameters(make(), *extensions))
        except NotSupported as error:
            outcome = error.extension
        except InvalidMessage:
            outcome = "invalid"
        assert outcome == expected, extensions


async def test_the_same_is_refused_of_files(tmp_path: Path) -> None:
    for octets, extensions, extension in [
        (BODY, (), "8BITMIME"),
        (HEADER, EIGHT_BIT, "SMTPUTF8"),
        (ASCII, ("SIZE 10",), "SIZE"),
    ]:
        (tmp_path / "m").write_bytes(octets)
        with pytest.raises(NotSupported) as caught:
            await Outgoing.prepare(tmp_path / "m", ENVELOPE, offered(*extensions))
        assert caught.value.extension == extension
    for octets in (LONG, b"", b"a\0"):
        (tmp_path / "m").write_bytes(octets)
        with pytest.raises(InvalidMessage):
            await Content(tmp_path / "m").check()


def test_long_lines_may_be_allowed() -> None:
    assert wire(LONG, under=MessagePolicy(long_lines="allow")) == LONG
    assert wire(LONG.rstrip(), under=MessagePolicy(long_lines="allow")) == LONG
    with pytest.raises(InvalidMessage, match=r"a line of more than 998 octets, which begins at octet 14 \(RFC 5321"):
        wire(LONG)


def test_the_policy_can_demand_smtputf8() -> None:
    demanding = MessagePolicy(smtputf8=True)
    assert parameters(ASCII, *UTF8, under=demanding) == {"SMTPUTF8": None}
    with pytest.raises(
        NotSupported, match=r"^the policy demands UTF-8, and the server does not offer SMTPUTF8 "
    ) as caught:
        wire(ASCII, *EIGHT_BIT, under=demanding)
    assert caught.value.extension == "SMTPUTF8"


@pytest.mark.parametrize("text", [b"a\n", b"a\r", b"a\r\nb\n", b"\r"])
def test_under_reject_what_would_have_to_change_is_refused(text: bytes) -> None:
    rejecting = MessagePolicy(line_ends="reject")
    with pytest.raises(InvalidMessage, match="holds a bare"):
        wire(text, under=rejecting)
    assert wire(b"a\r\nb", under=rejecting) == b"a\r\nb\r\n"  # the end of the last line is added


# What is looked at only as it goes out


async def leave(
    message: MessageSource, *extensions: str, under: MessagePolicy | None = None
) -> tuple[bytes, Exception]:
    """What leaves of a message before the error that ends it."""
    outgoing = await Outgoing.prepare(Content(message, under or MessagePolicy()), ENVELOPE, offered(*extensions))
    left = b""
    try:
        async with aclosing(outgoing.blocks()) as blocks:
            async for block in blocks:
                left += block
    except (InvalidMessage, NotSupported, SourceFailed) as error:
        return left, error
    raise AssertionError("all of it has left")


async def test_an_octet_beyond_ascii_that_was_not_announced_does_not_leave() -> None:
    pieces = [b"Subject: x\r\n\r\n" + b"x\r\n" * 30_000, BODY[14:]]
    left, error = await leave(pieces)
    assert left == pieces[0]
    assert isinstance(error, NotSupported)
    assert error.extension == "8BITMIME"
    left, error = await leave(pieces, *EIGHT_BIT, under=MessagePolicy(eight_bit=False))
    assert left == pieces[0]
    assert "was not told to expect them" in str(error)


@pytest.mark.parametrize(
    ("eight_bit", "extensions", "expected"),
    [
        (None, (), {}),
        (None, EIGHT_BIT, {"BODY": "8BITMIME"}),
        (True, EIGHT_BIT, {"BODY": "8BITMIME"}),
        (False, EIGHT_BIT, {}),
        (False, (), {}),
    ],
)
async def test_what_is_announced_for_an_iterable(
    eight_bit: bool | None, extensions: tuple[str, ...], expected: dict[str, str]
) -> None:
    content = Content([ASCII], MessagePolicy(eight_bit=eight_bit))
    outgoing = await Outgoing.prepare(content, ENVELOPE, offered(*extensions, "SIZE 1000"))
    assert outgoing.mail_parameters == expected
    assert await all_of(outgoing) == ASCII


async def test_what_an_iterable_is_said_to_hold_must_be_offered() -> None:
    with pytest.raises(NotSupported, match="8BITMIME") as caught:
        await Outgoing.prepare(Content([ASCII], MessagePolicy(eight_bit=True)), ENVELOPE, offered())
    assert str(caught.value) == "the message has octets beyond ASCII, and the server does not offer 8BITMIME (RFC 6152)"


async def test_a_header_in_utf_8_that_was_not_announced_does_not_leave() -> None:
    left, error = await leave([HEADER], *UTF8)
    assert left == b""
    assert isinstance(error, NotSupported)
    assert error.extension == "SMTPUTF8"
    announced = Content([HEADER], MessagePolicy(smtputf8=True))
    assert await all_of(await Outgoing.prepare(announced, ENVELOPE, offered(*UTF8))) == HEADER


async def test_an_iterable_that_is_larger_than_the_server_takes_is_stopped() -> None:
    block = b"x" * 98 + b"\r\n"
    left, error = await leave((block * 1000 for _ in range(100)), "SIZE 250000")
    assert len(left) == 200_000
    assert isinstance(error, NotSupported)
    assert error.extension == "SIZE"
    assert "the server takes 250000 (RFC 1870)" in str(error)


@pytest.mark.parametrize(
    ("bad", "policy", "message"),
    [
        (b"a\0", MessagePolicy(), "holds a NUL at octet 90001"),
        (b"a\n", MessagePolicy(line_ends="reject"), "holds a bare LF at octet 90001"),
        (b"a\r", MessagePolicy(line_ends="reject"), "holds a bare CR at octet 90001"),
        (b"x" * 999, MessagePolicy(), "a line of more than 998 octets, which begins at octet 90000"),
    ],
)
async def test_what_no_server_may_be_given_does_not_leave(bad: bytes, policy: MessagePolicy, message: str) -> None:
    before = b"x\r\n" * 30_000
    left, error = await leave([before, bad], under=policy)
    assert left == before or bad.startswith(left.removeprefix(before))
    assert isinstance(error, InvalidMessage)
    assert message in str(error)


@pytest.mark.parametrize("nothing", [[], [b""], iter([])])
async def test_an_iterable_of_nothing_is_no_message(nothing: Any) -> None:
    left, error = await leave(nothing)
    assert (left, str(error)) == (b"", "the message is empty: it has not even a header")


@pytest.mark.parametrize("change", [b"", ASCII[:-1], ASCII + b"x", ASCII * 2])
async def test_a_file_that_has_changed_meanwhile_is_not_ended(change: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(ASCII)
    outgoing = await Outgoing.prepare(path, ENVELOPE, offered())
    path.write_bytes(change)
    with pytest.raises((SourceFailed, InvalidMessage)) as caught:
        await all_of(outgoing)
    if change:
        assert f"had 21 octets when it was looked at, and {len(change)} when it was sent" in str(caught.value)


async def test_a_buffer_that_has_changed_meanwhile_is_not_ended() -> None:
    held = bytearray(b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 50_000)
    outgoing = await Outgoing.prepare(held, ENVELOPE, offered())
    assert len(await all_of(outgoing)) == len(held)
    del held[-12:]
    with pytest.raises(SourceFailed, match="when it was looked at"):
        await all_of(outgoing)
    held += b"x\xffy\r\n" + b"0" * 7
    with pytest.raises(NotSupported, match="octets beyond ASCII"):
        await all_of(outgoing)


async def test_a_file_that_has_become_another_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(ASCII)
    outgoing = await Outgoing.prepare(path, ENVELOPE, offered())
    for change, error in ((ASCII.replace(b"h", b"\xe4"), NotSupported), (ASCII.replace(b"h", b"\0"), InvalidMessage)):
        path.write_bytes(change)
        with pytest.raises(error):
            await all_of(outgoing)


async def test_an_iterator_goes_out_once() -> None:
    outgoing = await Outgoing.prepare(iter([ASCII]), ENVELOPE, offered())
    assert not outgoing.is_repeatable
    assert await all_of(outgoing) == ASCII
    with pytest.raises(SourceFailed, match="used up"):
        await all_of(outgoing)


# Binary

BINARY = MessagePolicy(binary=True)
CHUNKED = ("CHUNKING", "BINARYMIME")
OCTETS = b"Subject: x\r\n\r\n\0\n\r.\n\xff" + b"x" * 2000


async def test_binary_octets_leave_as_they_are(tmp_path: Path) -> None:
    for name, message in given_as(OCTETS, tmp_path / "m").items():
        outgoing = await Outgoing.prepare(Content(message, BINARY), ENVELOPE, offered(*CHUNKED, "SIZE"))
        assert outgoing.is_binary
        assert await all_of(outgoing) == OCTETS, name
        size = {"SIZE": str(len(OCTETS))} if name in KNOWN else {}
        assert outgoing.mail_parameters == {"BODY": "BINARYMIME", **size}, name


@pytest.mark.parametrize(
    ("extensions", "missing"), [((), "CHUNKING"), (("CHUNKING",), "BINARYMIME"), (("BINARYMIME",), "CHUNKING")]
)
def test_binary_octets_need_chunking_and_binarymime(extensions: tuple[str, ...], missing: str) -> None:
    with pytest.raises(NotSupported, match=missing) as caught:
        wire(OCTETS, "8BITMIME", *extensions, under=BINARY)
    assert str(caught.value) == (
        f"the message is to be sent as it is, and the server does not offer {missing} (RFC 3030)"
    )
    assert caught.value.extension == missing


def test_octets_beyond_ascii_in_a_binary_body_ask_for_no_more() -> None:
    octets = "Subject: x\n\nä\n".encode()
    assert wire(octets, *CHUNKED, under=BINARY) == octets
    assert parameters(octets, *CHUNKED, "SMTPUTF8", under=BINARY) == {"BODY": "BINARYMIME"}
    with pytest.raises(NotSupported, match="SMTPUTF8"):
        wire("Subject: ä\n\nx\n".encode(), *CHUNKED, under=BINARY)


def test_a_binary_message_is_not_empty_either() -> None:
    with pytest.raises(InvalidMessage, match="the message is empty"):
        wire(b"", *CHUNKED, under=BINARY)
    assert wire(b"x", *CHUNKED, under=BINARY) == b"x"
    assert not prepared(b"x").is_binary


def test_a_message_may_be_binary_too() -> None:
    sent = wire(text_message("hällo\n"), *CHUNKED, under=BINARY)
    assert sent.endswith("\r\n\r\nhällo\r\n".encode())


# Large messages


async def test_what_was_mended_once_is_not_searched_again() -> None:
    for message in (ASCII, ASCII * 20_000, [ASCII], text_message()):
        outgoing = await Outgoing.prepare(message, ENVELOPE, offered())
        assert all(type(block) is MailText for block in await blocks_of(outgoing))


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
async def test_other_tasks_have_their_turn_while_a_large_message_goes_out(end: bytes) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    octets = (b"x" * 70 + end) * 400_000
    outgoing = await Outgoing.prepare(octets, ENVELOPE, offered())
    counting = asyncio.create_task(count())
    async with aclosing(outgoing.blocks()) as blocks:
        async for _ in blocks:
            pass
    counting.cancel()
    assert turns >= len(octets) // (1024 * 1024)


@pytest.mark.parametrize("kind", ["file", "generator", "asynchronous generator"])
async def test_a_large_message_is_never_in_memory_as_a_whole(kind: str, tmp_path: Path) -> None:
    block = (b"x" * 70 + b"\n") * 2000
    path = tmp_path / "m"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(block)

    async def yield_later() -> AsyncGenerator[bytes, None]:
        for _ in range(200):
            yield block

    ways: dict[str, MessageSource] = {
        "file": path,
        "generator": (block for _ in range(200)),
        "asynchronous generator": yield_later(),
    }
    octets = 0
    tracemalloc.start()
    try:
        outgoing = await Outgoing.prepare(ways[kind], ENVELOPE, offered("SIZE"))
        async with aclosing(outgoing.blocks()) as blocks:
            async for sent in blocks:
                octets += len(sent)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert octets == 200 * 2000 * 72
    assert peak < 4 * 1024 * 1024


async def test_blocks_that_are_left_close_their_source(tmp_path: Path) -> None:
    is_closed = False

    async def generate() -> AsyncGenerator[bytes, None]:
        nonlocal is_closed
        try:
            while True:
                yield b"x" * 70 + b"\r\n"
        finally:
            is_closed = True

    outgoing = await Outgoing.prepare(generate(), ENVELOPE, offered())
    async with aclosing(outgoing.blocks()) as blocks:
        async for _ in blocks:
            break
    assert is_closed

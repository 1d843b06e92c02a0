"""What is known of the octets of a message, and what is no message."""

from collections.abc import Callable
from email.message import Message
from email.policy import Policy
from itertools import product
from typing import Any

import pytest

from mailwire import InvalidMessage
from mailwire.message import Content, MessagePolicy
from mailwire.message.generation import generate, is_laborious
from mailwire.message.pieces import BLOCK_SIZE
from mailwire.message.source import MemorySource
from tests.message.sending import POLICIES, parsed, text_message

# What is known of the octets


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda octets: octets.decode()])
@pytest.mark.parametrize("size", [BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, BLOCK_SIZE + 2])
async def test_a_block_is_at_hand_and_more_is_looked_at(size: int, kind: Callable[[bytes], Any]) -> None:
    octets = b"\r\n" * (size // 2) + b"\r\n"[: size % 2]
    content = Content(kind(octets))
    at_hand = content.text_at_hand()
    assert (at_hand is not None) is (size <= BLOCK_SIZE)
    text = await content.text(eight_bit=False, utf8=False)
    assert text.policy == MessagePolicy()
    assert text.source.is_repeatable
    assert text.is_mended is (size == BLOCK_SIZE + 2)  # of few it is not asked
    assert await content.text(eight_bit=True, utf8=True) is text


async def test_few_octets_can_be_read_from_a_source_as_well() -> None:
    for message in (b"Subject: x\r\n", text_message()):
        text = await Content(message).text(eight_bit=False, utf8=False)
        assert isinstance(text.source, MemorySource)
        assert text.source.octets == text.given
        assert [piece async for piece in text.source.pieces()] == [text.given]
        assert text.policy == MessagePolicy()


async def test_an_iterable_is_looked_at_as_it_goes_out_and_is_used_up_then() -> None:
    for message, repeatable in ((iter([b"x\r\n"]), False), ([b"x\r\n"], True)):
        content = Content(message)
        assert content.is_repeatable is repeatable
        assert content.is_used_up is False
        assert content.text_at_hand() is None
        text = await content.text(eight_bit=False, utf8=False)
        assert (text.survey, text.is_mended) == (None, False)
        assert content.is_used_up is False
        assert [piece async for piece in text.source.pieces()] == [b"x\r\n"]
        assert content.is_used_up is not repeatable


def test_what_is_in_memory_is_never_used_up() -> None:
    for message in (b"x", b"x" * (BLOCK_SIZE + 1), "x\n", text_message()):
        content = Content(message)
        assert content.is_used_up is False
        assert content.is_repeatable is True


@pytest.mark.parametrize("of", POLICIES)
async def test_the_line_ends_of_a_message_are_not_the_caller_s(of: Policy) -> None:
    message = parsed("From: a@x.y\n\none\ntwo\n", of)
    for line_ends in ("normalise", "reject"):
        under = MessagePolicy(line_ends=line_ends, long_lines="allow")
        text = await Content(message, under).text(eight_bit=False, utf8=False)
        assert text.policy == MessagePolicy(line_ends="normalise", long_lines="allow")
        assert text.whole == b"From: a@x.y\r\n\r\none\r\ntwo\r\n"
    under = MessagePolicy(line_ends="reject")
    assert (await Content(b"x\r\n", under).text(eight_bit=False, utf8=False)).policy is under


def laborious() -> Message:
    folded = "\n ".join(["word" * 20] * 30)
    content = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit"
    return parsed(f"From: a@x.y\nTo: b@exämple.org\nX-Large: {folded}\n{content}\n\nä\n")


async def test_what_takes_long_is_made_in_a_thread_and_is_the_same() -> None:
    encoding = MessagePolicy(encode_domain=lambda domain: "xn--exmple-cua.org")
    seen = set[bytes]()
    for under, eight_bit, utf8 in product((MessagePolicy(), encoding), (False, True), (False, True)):
        message = laborious()
        assert is_laborious(message)
        content = Content(message, under)
        await content.check()
        assert content.needs_utf8 is (under is not encoding)
        if content.needs_utf8 and not utf8:
            continue  # it does not leave
        text = await content.text(eight_bit=eight_bit, utf8=utf8)
        parts = generate(message, under, eight_bit=eight_bit, utf8=utf8)
        assert text.whole == b"".join(b"".join([part] if isinstance(part, bytes) else part) for part in parts)
        seen.add(text.whole)
    assert len(seen) == 4  # in UTF-8 no domain is encoded


async def test_what_takes_long_is_refused_as_anything_is() -> None:
    message = laborious()
    message.set_raw("X-Odd", "a\0b")
    with pytest.raises(InvalidMessage, match="the header field X-Odd must not hold a line end or NUL"):
        await Content(message).check()


# What is no message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("message.eml", "'message.eml'"),
        ("x" * 120, f"'{'x' * 120}'"),
        ("x" * 121, f"'{'x' * 120}'... (121 characters)"),
    ],
)
def test_a_text_of_one_line_is_quoted_as_far_as_it_is_short(text: str, shown: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Content(text)
    told = f"a text of one line is no message (a path is given as pathlib.Path): {shown}"
    assert str(caught.value) == told


async def test_a_text_has_lines_by_whatever_line_end() -> None:
    for text in ("a\rb", "a\nb"):
        assert (await Content(text).text(eight_bit=False, utf8=False)).whole == b"a\r\nb\r\n"


async def test_a_text_beyond_ascii_is_in_one_piece_where_it_is_short() -> None:
    for characters, whole in ((BLOCK_SIZE, True), (BLOCK_SIZE + 1, False)):
        text = "ä" * (characters - 2) + "\r\n"
        content = Content(text, MessagePolicy(long_lines="allow", binary=True))
        source = (await content.text(eight_bit=True, utf8=False)).source
        assert isinstance(source, MemorySource)
        assert source.octets == (text.encode() if whole else None)
        assert b"".join([piece async for piece in source.pieces()]) == text.encode()


def test_what_is_no_message_is_refused_by_its_kind() -> None:
    with pytest.raises(InvalidMessage) as caught:
        Content(5)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "expected a message, its octets or text, a path, a file or an iterable of octets, got int"
    )
    released = memoryview(b"xyz")
    released.release()
    with pytest.raises(InvalidMessage) as caught:
        Content(released)
    assert str(caught.value) == f"the octets of the message cannot be had: {caught.value.__cause__}"
    assert isinstance(caught.value.__cause__, ValueError)

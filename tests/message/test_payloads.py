import asyncio
import email
from collections.abc import Callable
from email import policy
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.policy import Policy

import pytest

from mailwire import InvalidMessage
from mailwire.message import Content, MessagePolicy, Outgoing
from mailwire.message.payloads import put_in, take_out
from tests.message.sending import EIGHT_BIT, ENVELOPE, POLICIES, all_of, offered, parsed, text_message, wire
from tests.message.test_generation import SIGNED, attached, bounced, digest, nested, without_parts

LINES = "0123456789\n" * 50


def with_text(text: str) -> Callable[[], Message]:
    return lambda: text_message(text)


MAKE: list[Callable[[], Message]] = [
    *(nested, attached, bounced, digest, without_parts),
    *(with_text(LINES), with_text(LINES.rstrip()), with_text(LINES + "ä\n"), with_text("")),
    lambda: parsed(f"From: a@x.y\nBcc: c@x.y\n\n{LINES}"),
    lambda: parsed(SIGNED.format(LINES)),
    lambda: parsed(b"From: a@x.y\n\n" + b"a\rb\r\nc\n" * 30),
    lambda: MIMEText(LINES + "x" * 1500 + "\n"),
]


@pytest.fixture
def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", 10)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT])
@pytest.mark.parametrize("line_ends", ["normalise", "reject"])
def test_a_message_is_the_same_whether_its_bodies_are_taken_out_or_not(
    make: Callable[[], Message],
    extensions: tuple[str, ...],
    line_ends: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under = MessagePolicy(line_ends="reject") if line_ends == "reject" else MessagePolicy()
    message = make()
    for part in message.walk():  # the generator would choose others each time
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            part.set_boundary(f"b{id(part)}")
    plain = wire(message, *extensions, under=under)
    monkeypatch.setattr("mailwire.message.payloads.LARGE", 10)
    content = Content(message, under)
    outgoing = asyncio.run(Outgoing.prepare(content, ENVELOPE, offered(*extensions)))
    assert asyncio.run(all_of(outgoing)) == plain
    assert outgoing.size == len(plain)
    assert wire(message, *extensions, under=under) == plain


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize("of", POLICIES)
def test_a_large_body_stays_in_the_caller_s_message(of: Policy) -> None:
    message = parsed(f"From: a@x.y\n\n{LINES}", of)
    wire(message)
    assert message.get_payload() == LINES


@pytest.mark.usefixtures("all_is_large")
def test_a_large_body_with_long_lines_is_encoded_or_refused() -> None:
    long = "word " * 300 + "\n"
    again = email.message_from_bytes(wire(parsed(f"From: a@x.y\n\n{long}")), policy=policy.default)
    assert isinstance(again, EmailMessage)
    assert again.get_content().replace("\r\n", "\n") == long
    assert wire(parsed(f"From: a@x.y\n\n{long}"), under=MessagePolicy(long_lines="allow")).endswith(b"word \r\n")
    with pytest.raises(InvalidMessage, match="a line of more than 998 octets"):
        wire(parsed(SIGNED.format(long)))


@pytest.mark.usefixtures("all_is_large")
def test_a_binary_message_has_crlf_in_its_large_bodies_too() -> None:
    sent = wire(parsed(f"From: a@x.y\n\n{LINES}"), "CHUNKING", "BINARYMIME", under=MessagePolicy(binary=True))
    assert sent.endswith(LINES.replace("\n", "\r\n").encode())


@pytest.mark.usefixtures("all_is_large")
def test_bodies_are_put_where_they_were() -> None:
    parts = [MIMEText(text) for text in (LINES, "short", LINES.upper())]
    taken = take_out(parts, unless_long_lines=False)
    assert list(taken.values()) == [LINES, LINES.upper()]
    first, second = taken
    assert put_in(f"a{first}b{second}c".encode(), taken) == [b"a", LINES, b"b", LINES.upper(), b"c"]
    assert put_in(b"a", {}) == [b"a"]


async def test_a_large_attachment_goes_out_in_blocks() -> None:
    message = text_message()
    message.add_attachment(bytes(range(256)) * 8000, maintype="application", subtype="octet-stream", filename="x")
    outgoing = await Outgoing.prepare(message, ENVELOPE, offered("SIZE"))
    sent = await all_of(outgoing)
    assert outgoing.content is None
    assert outgoing.mail_parameters == {"SIZE": str(len(sent))}
    again = email.message_from_bytes(sent, policy=policy.default)
    assert isinstance(again, EmailMessage)
    assert [part.get_content() for part in again.iter_attachments()] == [bytes(range(256)) * 8000]

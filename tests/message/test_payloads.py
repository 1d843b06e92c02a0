import asyncio
import base64
import email
from collections.abc import Callable
from email import policy
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.policy import Policy

import pytest

from mailwire import InvalidMessage, NotSupported
from mailwire.message import Content, MessagePolicy, Outgoing
from mailwire.message.payloads import LARGE, is_large, put_in, take_out
from tests.message.sending import EIGHT_BIT, ENVELOPE, POLICIES, all_of, offered, parsed, text_message, wire
from tests.message.test_generation import SIGNED, attached, bounced, digest, nested, without_parts

LINES = "0123456789\n" * 50


def with_text(text: str) -> Callable[[], Message]:
    return lambda: text_message(text)


MAKE: list[Callable[[], Message]] = [
    *(nested, attached, bounced, digest, without_parts),
    *(with_text(LINES), with_text(LINES.rstrip()), with_text("")),
    lambda: parsed(f"From: a@x.y\nBcc: c@x.y\n\n{LINES}"),
    lambda: parsed(SIGNED.format(LINES)),
    lambda: parsed(b"From: a@x.y\n\n" + b"a\rb\r\nc\n" * 30),
]


@pytest.fixture
def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", 10)


@pytest.mark.parametrize(
    ("make", "extensions"),
    [
        *((make, extensions) for make in MAKE for extensions in ((), EIGHT_BIT)),
        # What does not fit is not encoded alike.
        (with_text(LINES + "ä\n"), EIGHT_BIT),
        (lambda: parsed("From: a@x.y\n\n" + LINES.replace("9", "ä")), EIGHT_BIT),
    ],
)
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
    taken = take_out(parts, eight_bit=True, long_lines=True)
    assert [b"".join(body).decode() for body in taken.values()] == [LINES, LINES.upper()]
    first, second = taken
    assert put_in(f"a{first}b{second}c".encode(), taken) == [b"a", taken[first], b"b", taken[second], b"c"]
    assert put_in(f"{second}{first}a{second}".encode(), taken) == [
        *(b"", taken[second], b"", taken[first], b"a", taken[second], b"")
    ]
    assert put_in(b"a", {}) == [b"a"]


def test_a_large_part_that_is_there_twice_goes_out_twice() -> None:
    message, part, other = nested(), MIMEText("0123456789\n" * 30_000), MIMEText("abcdefghi\n" * 30_000)
    message.set_payload([part, other, part])
    assert wire(message).count(b"\r\n0123456789") == 60_000
    assert wire(message).count(b"\r\nabcdefghi") == 30_000


EIGHT_BIT_LINES = "0123456789 ä\n" * 50
LONG_LINES = "word " * 300 + "\n" + LINES


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("text", [EIGHT_BIT_LINES, LONG_LINES, LONG_LINES + "ä"])
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT])
@pytest.mark.parametrize(
    "fields",
    ["", "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\nMIME-Version: 1.0\n"],
    ids=["bare", "MIME"],
)
def test_a_large_body_that_does_not_fit_is_encoded_in_base64(
    fields: str, extensions: tuple[str, ...], text: str, of: Policy
) -> None:
    message = parsed(f"From: a@x.y\nSubject: x\n{fields}\n{text}", of)
    before = message.as_bytes()
    sent = wire(message, *extensions)
    assert message.as_bytes() == before
    again = email.message_from_bytes(sent, policy=policy.default)
    is_fit = text is EIGHT_BIT_LINES and extensions == EIGHT_BIT
    assert sent.isascii() is not is_fit
    assert again["Content-Transfer-Encoding"] == (("8bit" if fields else None) if is_fit else "base64")
    assert str(again["Content-Type"]).replace('"', "") == str(message["Content-Type"]).replace('"', "")
    assert again["MIME-Version"] == ("1.0" if fields or not is_fit else None)
    assert (b"\r\nMIME-Version: 1.0\r\n" in sent) is bool(fields or not is_fit)
    body = again.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().replace("\r\n", "\n").removesuffix("\n") == text.removesuffix("\n")
    assert max(map(len, sent.split(b"\r\n"))) <= (998 if is_fit else 76)


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize("octets", [b"", b"\xff" * 57, bytes(range(256)) * 20])
def test_base64_in_a_line_of_any_length_is_put_in_lines(octets: bytes) -> None:
    encoded = base64.b64encode(octets).decode()
    spaced = f"{encoded[:1000]} \n\t{encoded[1000:]}" + " " * 1000
    sent = wire(parsed(f"From: a@x.y\nMIME-Version: 1.0\nContent-Transfer-Encoding: BASE64\n\n{spaced}"))
    _, _, body = sent.partition(b"\r\n\r\n")
    assert body == base64.encodebytes(octets).replace(b"\n", b"\r\n")


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize(
    "field",
    ["Content-Type: message/partial", "Content-Type: multipart/x", "Content-Transfer-Encoding: quoted-printable"],
)
def test_what_must_not_or_cannot_simply_be_encoded_stays_with_the_standard_library(field: str) -> None:
    message = parsed(f"From: a@x.y\n{field}\n\n{EIGHT_BIT_LINES}", policy.compat32)
    assert take_out([message], eight_bit=False, long_lines=False) == {}
    unwritable = MIMEText("a")
    unwritable.set_payload("Ω" * 100)
    assert take_out([unwritable], eight_bit=True, long_lines=True) == {}
    # What stands behind it is taken out all the same.
    (body,) = take_out([unwritable, MIMEText(LINES)], eight_bit=True, long_lines=True).values()
    assert b"".join(body).decode() == LINES


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize("kind", ["message/partial", "Message/RFC822", "multipart/x"])
def test_what_has_parts_of_its_own_is_not_encoded_even_if_it_was_given_as_a_text(kind: str) -> None:
    part = Message()
    part["Content-Type"] = kind
    part.set_payload(LONG_LINES)
    assert take_out([part], eight_bit=True, long_lines=False) == {}
    assert part.items() == [("Content-Type", kind)]
    assert part.get_payload() == LONG_LINES


def test_a_body_is_large_from_a_block_on() -> None:
    part = Message()
    part.set_payload("a" * (LARGE - 1))
    assert not is_large(part)
    part.set_payload("a" * LARGE)
    assert is_large(part)


@pytest.mark.usefixtures("all_is_large")
def test_what_is_signed_is_refused_and_not_encoded() -> None:
    with pytest.raises(NotSupported, match="8BITMIME"):
        wire(parsed(SIGNED.format(EIGHT_BIT_LINES)))
    assert EIGHT_BIT_LINES.replace("\n", "\r\n").encode() in wire(parsed(SIGNED.format(EIGHT_BIT_LINES)), *EIGHT_BIT)


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

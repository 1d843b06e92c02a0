import asyncio
import base64
import email
from collections.abc import Callable
from email import policy
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import Policy

import pytest

from mailwire import InvalidMessage, NotSupported
from mailwire.message import Content, MessagePolicy, Outgoing
from mailwire.message.payloads import LARGE, Allowed, bodies, put_in, stays, take_out
from tests.message.sending import EIGHT_BIT, ENVELOPE, POLICIES, all_of, blocks_of, offered, parsed, text_message, wire
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


def whose(form: str, octets: bytes) -> Callable[[], Message]:
    header = f"From: a@x.y\nMIME-Version: 1.0\n{form}\n\n"
    return lambda: parsed(header.encode() + octets)


# What may not leave as it is, in one way or another.
UNFIT: list[Callable[[], Message]] = [
    with_text(LINES + "ä\n"),
    lambda: parsed("From: a@x.y\n\n" + LINES.replace("9", "ä")),
    lambda: parsed("From: a@x.y\n\n" + LINES.replace("9", "ä" * 500)),
    lambda: parsed("From: a@x.y\n\n" + "word " * 400),
    whose("Content-Transfer-Encoding: base64", base64.b64encode(bytes(range(256)) * 20)),
    whose("Content-Transfer-Encoding: quoted-printable", b"=C3=A9 =0D=0A." * 500),
    whose("Content-Type: image/png\nContent-Transfer-Encoding: 8bit", b"\x89PNG\r\n\x1a\n\0\xff" * 20),
    whose("Content-Type: text/plain; charset=utf-16\nContent-Transfer-Encoding: 8bit", "x\n".encode("utf-16") * 20),
]

ALL = Allowed(eight_bit=True, long_lines=True, binary=False)


@pytest.fixture
def all_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", 10)


@pytest.mark.parametrize(
    ("make", "extensions"),
    [
        *((make, extensions) for make in MAKE for extensions in ((), EIGHT_BIT)),
        *((make, extensions) for make in UNFIT for extensions in ((), EIGHT_BIT)),
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
    taken = take_out([(part, "text/plain") for part in parts], ALL, may_encode=True)
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
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (EIGHT_BIT_LINES, "quoted-printable"),
        (EIGHT_BIT_LINES.replace("89", "öü"), "base64"),
        (LONG_LINES, "quoted-printable"),
        (LONG_LINES + "ä", "quoted-printable"),
    ],
)
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT])
@pytest.mark.parametrize(
    "fields",
    ["", "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\nMIME-Version: 1.0\n"],
    ids=["bare", "MIME"],
)
def test_a_large_text_that_does_not_fit_is_encoded_in_what_is_shorter(
    fields: str, extensions: tuple[str, ...], text: str, encoding: str, of: Policy
) -> None:
    message = parsed(f"From: a@x.y\nSubject: x\n{fields}\n{text}", of)
    before = message.as_bytes()
    sent = wire(message, *extensions)
    assert message.as_bytes() == before
    again = email.message_from_bytes(sent, policy=policy.default)
    is_fit = not text.startswith(LONG_LINES) and extensions == EIGHT_BIT
    assert sent.isascii() is not is_fit
    assert again["Content-Transfer-Encoding"] == (("8bit" if fields else None) if is_fit else encoding)
    assert str(again["Content-Type"]).replace('"', "") == str(message["Content-Type"]).replace('"', "")
    assert again["MIME-Version"] == ("1.0" if fields or not is_fit else None)
    assert (b"\r\nMIME-Version: 1.0\r\n" in sent) is bool(fields or not is_fit)
    body = again.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().removesuffix("\r\n") == text.replace("\n", "\r\n").removesuffix("\r\n")
    assert max(map(len, sent.split(b"\r\n"))) <= (998 if is_fit else 78)


@pytest.mark.usefixtures("all_is_large")
@pytest.mark.parametrize("octets", [b"", b"\xff" * 57, bytes(range(256)) * 20])
def test_base64_in_a_line_of_any_length_is_put_in_lines(octets: bytes) -> None:
    encoded = base64.b64encode(octets).decode()
    spaced = f"{encoded[:1000]} \n\t{encoded[1000:]}" + " " * 1000
    sent = wire(parsed(f"From: a@x.y\nMIME-Version: 1.0\nContent-Transfer-Encoding: BASE64\n\n{spaced}"))
    _, _, body = sent.partition(b"\r\n\r\n")
    assert body == base64.encodebytes(octets).replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    "field",
    [
        "Content-Type: message/partial",
        "Content-Type: Multipart/x",
        "Content-Transfer-Encoding: x-odd",
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: x-odd",
    ],
)
@pytest.mark.parametrize("text", [EIGHT_BIT_LINES, LONG_LINES])
@pytest.mark.parametrize("large", [10, 1_000_000])
def test_what_must_not_be_encoded_goes_out_as_it_is_to_be_refused(
    field: str, text: str, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    message = Message()
    message["From"] = "a@x.y"
    for each in field.split("\n"):
        message[each.partition(": ")[0]] = each.partition(": ")[2]
    message.set_payload(text.encode().decode("ascii", "surrogateescape"))
    header = f"From: a@x.y\n{field}\n\n"
    allowing = MessagePolicy(long_lines="allow")
    assert wire(message, *EIGHT_BIT, under=allowing) == (header + text).replace("\n", "\r\n").encode()
    if text is LONG_LINES:
        with pytest.raises(InvalidMessage, match="a line of more than 998 octets"):
            wire(message)
    else:
        with pytest.raises(NotSupported, match="8BITMIME"):
            wire(message)


def in_a_digest(kind: str, text: str) -> Message:
    """A digest of one part, put together and not parsed, whose header has this Content-Type, if any."""
    whole, part = MIMEMultipart("DIGEST", boundary="b"), Message()
    whole["From"] = "a@x.y"
    if kind:
        part["Content-Type"] = kind
    part.set_payload(text.encode().decode("ascii", "surrogateescape"))
    whole.attach(part)
    return whole


@pytest.mark.parametrize("text", [EIGHT_BIT_LINES, LONG_LINES])
@pytest.mark.parametrize("large", [10, 1_000_000])
def test_what_is_a_message_by_its_place_in_a_digest_is_not_encoded(
    text: str, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    inner = f"Subject: x\n\n{text}"
    refused, why = (InvalidMessage, "998 octets") if text is LONG_LINES else (NotSupported, "8BITMIME")
    with pytest.raises(refused, match=why):
        wire(in_a_digest("", inner))
    sent = wire(in_a_digest("", inner), *EIGHT_BIT, under=MessagePolicy(long_lines="allow"))
    assert f"\r\n--b\r\n\r\n{inner}".replace("\r\n", "\n").replace("\n", "\r\n").encode() in sent
    for kind in ("message/rfc822", "multipart/mixed"):
        with pytest.raises(refused, match=why):
            wire(in_a_digest(kind, inner))
    assert b"Content-Transfer-Encoding: " in wire(in_a_digest("text/plain", inner))


def test_what_a_part_is_goes_by_its_place() -> None:
    digest, mixed, inner = MIMEMultipart("digest"), MIMEMultipart("mixed"), Message()
    digest.replace_header("Content-Type", "multipart/digest ; boundary=b")
    parts = [text_message("one"), mixed, inner]
    inner.set_payload([text_message("three")])
    mixed.attach(text_message("two"))
    moved = text_message("moved")
    moved.set_default_type("message/rfc822")
    mixed.attach(moved)
    for part in parts:
        digest.attach(part)
    assert [(part.get_payload(), kind) for part, kind in bodies(digest)] == [
        ("one\n", "message/rfc822"),
        ("two\n", "text/plain"),
        ("moved\n", "text/plain"),
        ("three\n", "text/plain"),
    ]
    digest.replace_header("Content-Type", "multipart/digestive; boundary=b")
    assert {kind for _, kind in bodies(digest)} == {"text/plain"}
    assert list(bodies(Message())) == []


@pytest.mark.parametrize("large", [10, 1_000_000])
def test_what_is_no_ascii_and_no_octets_is_no_message(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    unwritable = MIMEText("a")
    unwritable.set_payload("Ω" * 100)
    with pytest.raises(InvalidMessage):
        wire(unwritable)


def test_a_body_is_large_from_a_block_on() -> None:
    part = Message()
    for size, is_small in ((LARGE - 1, True), (LARGE, False)):
        part.set_payload("a\n" * (size // 2) + "a" * (size % 2))
        assert stays(part, "text/plain", ALL) is is_small
    assert stays(part, "text/plain", Allowed(eight_bit=True, long_lines=True, binary=True))


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


# Octets that are no lines of text

PNG = b"\x89PNG\r\n\x1a\nIHDR\r\xff\0\n"
BINARY = ("CHUNKING", "BINARYMIME")
SIZES = [10, 1_000_000]  # from which a body is large


def received(sent: bytes) -> Message:
    return email.message_from_bytes(sent, policy=policy.default)


@pytest.mark.parametrize("large", SIZES)
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT])
@pytest.mark.parametrize(
    ("form", "octets"),
    [
        ("Content-Type: image/png\nContent-Transfer-Encoding: {}", PNG),
        ("Content-Type: image/png\nContent-Transfer-Encoding: {}", PNG.replace(b"\0", b"")),
        ("Content-Type: application/json\nContent-Transfer-Encoding: {}", b'{"a":\n1}\r\n'),
        ("Content-Type: application/json\nContent-Transfer-Encoding: {}", b'{"a":\r1}'),
        ("Content-Type: application/json\nContent-Transfer-Encoding: {}", b'{"a":\x001}'),
        ('Content-Type: Text/plain; Charset = "UTF-16"\nContent-Transfer-Encoding: {}', "ä\n".encode("utf-16")),
        ("Content-Type: text/plain; charset=utf-32-le\nContent-Transfer-Encoding: {}", "ä\n".encode("utf-32-le")),
        ("Content-Type: text/plain; charset=cp500\nContent-Transfer-Encoding: {}", "ä\n\x8e".encode("cp500")),
    ],
)
@pytest.mark.parametrize("encoding", ["7bit", "8Bit", "binary"])
def test_octets_arrive_as_they_are_in_base64(
    encoding: str, form: str, octets: bytes, extensions: tuple[str, ...], large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    message = whose(form.format(encoding), octets)()
    sent = wire(message, *extensions)
    assert received(sent)["Content-Transfer-Encoding"] == "base64"
    assert received(sent).get_payload(decode=True) == octets
    sent = wire(message, *BINARY, under=MessagePolicy(binary=True))
    assert sent.endswith(b"\r\n\r\n" + octets)
    assert received(sent)["Content-Transfer-Encoding"] == encoding


@pytest.mark.parametrize("large", SIZES)
@pytest.mark.parametrize(
    "form",
    [
        *("X-Odd: x", "Content-Type: text", "Content-Type: TEXT/csv", "Content-Type: text/plain; charset=x-odd"),
        *("Content-Type: text/plain; charset=utf-8-sig", "Content-Type: text/plain; charset=hex"),
        "Content-Type: text/plain\nContent-Type: image/png\nContent-Transfer-Encoding: 7bit\n"
        "Content-Transfer-Encoding: binary",
    ],
)
def test_the_line_ends_of_a_text_are_mended(form: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    for octets in (b"one\ntwo\rthree\r\nfour\n", b"one\n\xe4wo\rthree\r\nfour\n"):
        sent = wire(whose(form, octets)(), *EIGHT_BIT)
        assert sent.endswith(
            b"\r\n\r\n" + octets.replace(b"\n", b"\r\n").replace(b"\r\r", b"\r").replace(b"o\r", b"o\r\n")
        )


def test_a_text_that_says_that_it_is_binary_has_the_line_ends_that_it_has() -> None:
    message = whose("Content-Type: text/plain\nContent-Transfer-Encoding: binary", b"one\ntwo\n")()
    assert received(wire(message)).get_payload(decode=True) == b"one\ntwo\n"
    assert wire(message, *BINARY, under=MessagePolicy(binary=True)).endswith(b"\r\n\r\none\ntwo\n")
    message = whose("Content-Type: text/plain\nContent-Transfer-Encoding: binary", b"one\r\ntwo\r\n")()
    assert wire(message).endswith(b"\r\n\r\none\r\ntwo\r\n")


def test_what_is_no_text_and_has_crlf_alone_stays() -> None:
    message = whose("Content-Type: application/json", b'{"a":\r\n1}\r\n')()
    assert wire(message).endswith(b'\r\n\r\n{"a":\r\n1}\r\n')


def test_octets_that_are_signed_are_not_encoded() -> None:
    sent = wire(parsed(SIGNED.format("x").replace("text/plain", "image/png")), *EIGHT_BIT)
    assert sent.count(b"base64") == 0
    sent = wire(parsed(SIGNED.format("x\ny").replace("text/plain", "image/png")), *EIGHT_BIT)
    assert b"\r\n\r\nx\r\ny\r\n--b" in sent


async def test_large_octets_leave_a_binary_message_in_pieces() -> None:
    octets = PNG * 50_000
    message = text_message("hello\n")
    message.add_attachment(octets, maintype="image", subtype="png", cte="binary")
    content = Content(message, MessagePolicy(binary=True))
    blocks = await blocks_of(await Outgoing.prepare(content, ENVELOPE, offered(*BINARY)))
    again = received(b"".join(blocks))
    assert isinstance(again, EmailMessage)
    assert octets in b"".join(blocks)
    assert b"hello\r\n" in b"".join(blocks)
    assert max(map(len, blocks)) <= 384 * 1024


# Octets beyond ASCII for a server that takes none


@pytest.mark.parametrize("large", SIZES)
@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize(
    "form",
    [
        *("X-Odd: x", "Content-Type: application/x-odd", "Content-Type: text/plain"),
        *(
            f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit"
            for charset in ("utf-8", "us-ascii", "x-unknown", "gb2312", "shift_jis", "euc-jp", "iso-8859-1")
        ),
    ],
)
@pytest.mark.parametrize("octets", [b"\xe9t\xe9\r\n", b"\xe9t\xe9 foo bar baz\r\n" * 3])
def test_octets_that_their_charset_does_not_have_arrive_as_they_are(
    octets: bytes, form: str, of: Policy, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    message = parsed(f"From: a@x.y\n{form}\n\n".encode() + octets, of)
    sent = wire(message)
    assert sent.isascii()
    assert received(sent).get_payload(decode=True) == octets
    assert all(f"\r\n{line}\r\n".encode() in sent for line in form.split("\n") if "8bit" not in line)


@pytest.mark.parametrize(("text", "encoding"), [(b"\xe4" + b"x" * 5, "quoted-printable"), (b"\xe4xxxx", "base64")])
def test_a_text_is_encoded_in_base64_where_that_is_shorter(text: bytes, encoding: str) -> None:
    assert received(wire(parsed(b"\n" + text)))["Content-Transfer-Encoding"] == encoding


# What is encoded already


@pytest.mark.parametrize("large", SIZES)
@pytest.mark.parametrize(
    ("kind", "octets"),
    [
        ("text/plain; charset=utf-16-le", "hello \u0d0a world \u0a0d\n line\r\n".encode("utf-16-le") * 60),
        ("text/csv; charset=us-ascii", b"a;b\n1;2\n" * 200),
        ("application/pdf", b"%PDF\r\n\n" * 200),
    ],
)
def test_base64_in_one_long_line_is_not_decoded(
    kind: str, octets: bytes, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    sent = wire(whose(f"Content-Type: {kind}\nContent-Transfer-Encoding: base64", base64.b64encode(octets))())
    assert received(sent).get_payload(decode=True) == octets
    assert max(map(len, sent.split(b"\r\n"))) <= 76


@pytest.mark.parametrize("large", SIZES)
def test_quoted_printable_in_one_long_line_is_not_decoded(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    octets = b"\xc3\xa9 \r\nfoo " * 300
    quoted = b"=C3=A9 =0D=0Afoo " * 300
    sent = wire(whose("Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable", quoted)())
    assert received(sent).get_payload(decode=True) == octets + b"\r\n"
    assert max(map(len, sent.split(b"\r\n"))) <= 76
    assert sent.partition(b"\r\n\r\n")[2].replace(b"=\r\n", b"") == quoted + b"\r\n"


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-odd"])
def test_what_is_encoded_already_stays_as_it_is(encoding: str) -> None:
    message = whose(f"Content-Type: image/png\nContent-Transfer-Encoding: {encoding}", b"eHl6\n" * 5)()
    assert wire(message).endswith(b"\r\n\r\n" + b"eHl6\r\n" * 5)


# Lines that are too long


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("before", ["", "a{}", "y{}" * 800, "z" * 998 + "{}"])
@pytest.mark.parametrize("behind", ["", "{}", "{}b{}", "{}" + "z" * 998])
def test_a_line_of_998_characters_stays_and_a_longer_one_is_encoded(before: str, behind: str, end: str) -> None:
    for length in (997, 998, 999, 1000):
        part = Message()
        part.set_payload((before + "x" * length + behind).replace("{}", end))
        assert stays(part, "text/plain", Allowed(eight_bit=False, long_lines=False, binary=False)) is (length <= 998)
        assert stays(part, "text/plain", Allowed(eight_bit=False, long_lines=True, binary=False))

import inspect
import sys
from email.message import EmailMessage

import pytest

from mailwire import MessageUnreadable, RetrievedMessage
from mailwire.message import Envelope
from tests.message.sending import UTF8, text_message, wire


def test_a_retrieved_message_is_its_octets() -> None:
    message = RetrievedMessage(1, "u1", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n")
    assert message.parse()["Subject"] == "Grüße"
    assert "hello" not in repr(message)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe\0", b"no header", b"Content-Type: ;;;\r\n\r\n", b"Subject: =?x?y?z?=\r\n"]
)
def test_whatever_a_stranger_wrote_is_parsed(raw: bytes) -> None:
    assert isinstance(RetrievedMessage(1, None, raw).parse(), EmailMessage)


def test_a_message_that_was_sent_under_smtputf8_is_parsed_as_it_was() -> None:
    message = text_message(Subject="Grüße", To="bü@x.y")
    sent = wire(message, *UTF8, envelope=Envelope.of(message, None, None))
    assert RetrievedMessage(1, None, sent).parse()["Subject"] == "Grüße"


def test_what_was_parsed_can_be_sent_on_with_an_envelope() -> None:
    raw = b"From: x@y.z\r\nTo: q@r.s\r\nSubject: x\r\n\r\nhello\r\n.\r\n"
    assert wire(RetrievedMessage(1, None, raw).parse()) == raw


# What breaks the standard library's parser, or takes it minutes


def read(raw: bytes) -> EmailMessage:
    return RetrievedMessage(1, None, raw).parse()


def nested(depth: int) -> bytes:
    raw = b""
    for level in range(depth):
        raw += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
    return raw + b"\r\nhello\r\n"


def letter(multiparts: int, lines: int) -> bytes:
    """What has them, and is of no depth."""
    raw = b"\r\n" + b"Content-Type: multipart/x\r\n" * multiparts
    return raw + b"\n" * (lines - raw.count(b"\n"))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"Content-Type: text/plain" + b";" * 40_000 + b"\r\n\r\nx", "Content-Type fields of the message would take"),
        (
            b"Content-Type: text/plain" + b";\r\n " * 2000 + b"\r\n\r\nx",
            "Content-Type fields of the message would take",
        ),
        (b"\r\n" + (b"CONTENT-TYPE : a" + b";" * 1000 + b"\n") * 20, "Content-Type fields of the message would take"),
        (b"content-transfer-encoding:" + b";" * 9000 + b"\n\nx", "Content-Type fields of the message would take"),
        (
            b"Content-Type: a/b; " + b"(" * 3000 + b"\r\n\r\nx",
            "the header field Content-Type cannot be parsed: RecursionError",
        ),
        (nested(301), "more than 300 multiparts"),
        (b"X: y\r\n" * 20_000 + b"\r\nx", "more than 2000 fields"),
        (b"X: " + b"y" * 600_000 + b"\r\n\r\nx", "more than 524288 octets"),
        (b"x" * 600_000, "more than 524288 octets"),
        (nested(299) + b"x\r\n" * 33_000, "299 multiparts, and too many lines for them to be parsed"),
        (nested(299) + b"x\r" * 33_000, "299 multiparts, and too many lines for them to be parsed"),
        (letter(1, 10_000_001), "^the message has 1 multiparts, and too many lines for them to be parsed$"),
        # To the parser a bare CR ends a line.
        (
            b"X: y\rContent-Type: text/plain" + b";" * 16_000 + b"\r\n\r\nx",
            "Content-Type fields of the message would take",
        ),
        (b"\r\nx\rcontent-type: a/b" + b";" * 16_000, "Content-Type fields of the message would take"),
        (b"X: y\r" * 20_000 + b"\r\nx", "more than 2000 fields"),
        (nested(301).replace(b"\r\n", b"\r"), "more than 300 multiparts"),
        # A CRLF is one end of a line, beside a bare CR as well.
        (b"X: y\r" + b"X: y\r\n" * 2000 + b"\r\nx", "more than 2000 fields"),
        # And it is two octets.
        (b"X: y\r\n" + (b" " + b"y" * 998 + b"\r\n") * 524 + b"\r\nx", "more than 524288 octets"),
        (
            b"\r\nContent-Type: " + b"x" * 3987,
            "^the Content-Type fields of the message would take too long to be parsed$",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bomb_is_not_parsed(raw: bytes, reason: str) -> None:
    with pytest.raises(MessageUnreadable, match=reason):
        read(raw)
    assert RetrievedMessage(1, None, raw).raw is raw


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (b"To: " + b"." * 40_000, "the header field To has 40000 characters, and at most 16384 are parsed"),
        (b"To: " + b"(" * 3000, "the header field To cannot be parsed: RecursionError"),
        (b"To: " + b"x" * 16_385, "the header field To has 16385 characters, and at most 16384 are parsed"),
    ],
)
def test_a_field_that_is_a_bomb_is_not_parsed_when_it_is_asked_for(field: bytes, reason: str) -> None:
    message = read(b"Subject: x\r\n" + field + b"\r\n\r\nhello\r\n")
    assert message["Subject"] == "x"
    assert message.get_content() == "hello\r\n"
    with pytest.raises(MessageUnreadable, match=reason):
        message["To"]


@pytest.mark.parametrize("raw", [b"\r\nhello\r\n", b"\nhello\n", b"Subject: x", b"Subject: x\n\n", b"a: b\rc: d\r\re"])
def test_a_message_of_any_form_is_parsed(raw: bytes) -> None:
    assert isinstance(read(raw), EmailMessage)


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"X: " + b"y" * (512 * 1024 - 3), ["X"]),
        (b"X: y\r\n" * 2000 + b"\r\nx", ["X"] * 2000),
        (b"\r\n" + b"Content-Type: multipart/x\r\n" * 300, []),
        (letter(250, 40_000), []),
        (b"\r\nContent-Type: " + b"x" * 3986, []),
    ],
    ids=["octets", "fields", "multiparts", "passes", "labour"],
)
def test_as_much_as_may_be_is_parsed(raw: bytes, names: list[str]) -> None:
    assert read(raw).keys() == names


def test_a_field_of_as_many_characters_as_may_be_is_parsed() -> None:
    assert read(b"Subject: " + b"x" * 16_384 + b"\r\n\r\nhello\r\n")["Subject"] == "x" * 16_384


@pytest.mark.parametrize("header", [b"", b"Subject: x\r\n", b"Subject: x\rTo: a@x.y\r\n"])
def test_what_looks_like_fields_in_a_body_is_not_counted(header: bytes) -> None:
    body = b"X: y\r\n" * 3000
    assert read(header + b"\r\n" + body).get_payload() == body.decode()


def test_a_date_that_breaks_the_parser_is_told_of_when_it_is_asked_for() -> None:
    message = read(b"Date: Mon, 1 Jan 99999999999 00:00:00 +0000\r\n\r\nhello\r\n")
    with pytest.raises(MessageUnreadable, match=r"^the header field Date cannot be parsed: OverflowError: .") as caught:
        message["Date"]
    assert isinstance(caught.value.__cause__, OverflowError)


def test_a_message_of_many_parts_is_parsed() -> None:
    part = b"--b\r\nContent-Type: text/plain; charset=utf-8; format=flowed\r\n\r\nhello\r\n"
    message = read(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 500 + b"--b--\r\n")
    assert len(list(message.iter_parts())) == 500


def test_a_parsed_message_can_be_sent_on_whatever_its_fields() -> None:
    raw = b"From: a@x.y\r\nTo: " + b",\r\n ".join([b"." * 900] * 30) + b"\r\n\r\nhello\r\n"
    assert wire(read(raw)) == raw


def test_what_is_too_deep_for_the_caller_is_not_parsed() -> None:
    def go_down(frames: int) -> EmailMessage:
        return go_down(frames - 1) if frames else read(nested(100))

    with pytest.raises(MessageUnreadable, match="the header field Content-Type cannot be parsed: RecursionError"):
        go_down(sys.getrecursionlimit() - len(inspect.stack(0)) - 60)

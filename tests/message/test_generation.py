import contextlib
import copy
import email
from collections.abc import Callable
from email import policy
from email.header import Header
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import Policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage, NotSupported
from mailwire.message import Envelope
from mailwire.smtp import Mailbox
from tests.message.sending import (
    EIGHT_BIT,
    POLICIES,
    UTF8,
    A,
    parameters,
    parsed,
    text_message,
    wire,
)


def test_a_message_leaves_with_crlf_whatever_its_policy() -> None:
    for of in POLICIES:
        message = parsed("From: a@x.y\nSubject: x\n\nFrom here\n.\nto there\n", of)
        assert wire(message) == b"From: a@x.y\r\nSubject: x\r\n\r\nFrom here\r\n.\r\nto there\r\n"


def test_a_line_that_begins_with_from_is_not_mangled() -> None:
    message = Message()  # the older kind would be
    message["Subject"] = "x"
    message.set_unixfrom("From a@x.y Thu Jan  1 00:00:00 1970")
    message.set_payload("From a@x.y\n")
    assert wire(message) == b"Subject: x\r\n\r\nFrom a@x.y\r\n"


@pytest.mark.parametrize("of", POLICIES)
def test_bcc_is_for_the_envelope_alone(of: Policy) -> None:
    message = parsed("From: a@x.y\nBCC: b@x.y\nResent-Bcc: c@x.y\nBcc: d@x.y\nTo: e@x.y\n\nx\n", of)
    assert wire(message) == b"From: a@x.y\r\nTo: e@x.y\r\n\r\nx\r\n"


def test_a_message_that_was_resent_goes_out_with_its_resent_fields_but_for_the_hidden_ones() -> None:
    sent = wire(text_message(Resent_To="c@example.org", Resent_Bcc="d@example.org"))
    assert b"Resent-To: c@example.org\r\n" in sent
    assert b"d@example.org" not in sent


def test_octets_are_never_edited() -> None:
    assert wire(b"Bcc: b@x.y\r\n\r\n") == b"Bcc: b@x.y\r\n\r\n"


def nested() -> MIMEMultipart:
    message = MIMEMultipart()  # without a boundary yet
    message["From"] = "a@x.y"
    message["To"] = "b@x.y"
    message["Bcc"] = "c@x.y"
    inner = MIMEMultipart("alternative")
    inner.attach(MIMEText("plain ä", "plain", "utf-8"))
    inner.attach(MIMEText("<p>ä</p>", "html", "utf-8"))
    message.attach(inner)
    return message


def attached() -> EmailMessage:
    message = text_message("hällo\n", Bcc="c@x.y", Subject="Grüße")
    message.add_attachment(b"\0\1\2" * 1000, maintype="application", subtype="octet-stream", filename="ä.bin")
    message.add_attachment(text_message("inner ä\n", Bcc="d@x.y"))
    return message


@pytest.mark.parametrize(
    "make",
    [
        nested,
        attached,
        lambda: text_message("hällo\n", Bcc="c@x.y"),
        lambda: parsed(b"From: a@x.y\nBcc: c@x.y\nContent-Type: text/plain; charset=latin1\n\n\xe4\n", policy.compat32),
        lambda: parsed(b"From: a@x.y\nBcc: c@x.y\n\n\xe4\n"),
    ],
    ids=["nested", "attached", "text", "8-bit compat32", "8-bit"],
)
@pytest.mark.parametrize("extensions", [("8BITMIME", "SMTPUTF8"), ("8BITMIME",)])
def test_the_caller_s_message_stays_as_it_is(make: Callable[[], Message], extensions: tuple[str, ...]) -> None:
    message = make()
    before = copy.deepcopy(message)
    wire(message, *extensions)

    def shape(part: Message) -> list[object]:
        return [
            (list(inner.raw_items()), inner.get_boundary(), inner.preamble, type(inner.get_payload()))
            for inner in part.walk()
        ]

    assert shape(message) == shape(before)
    assert [part.get_payload() for part in message.walk() if not part.is_multipart()] == [
        part.get_payload() for part in before.walk() if not part.is_multipart()
    ]


def test_a_message_inside_keeps_its_bcc() -> None:
    # It is somebody's attachment, not the mail that is sent.
    sent = wire(attached())
    assert b"c@x.y" not in sent
    assert b"d@x.y" in sent


@pytest.mark.parametrize("extensions", [(), EIGHT_BIT, UTF8])
def test_a_text_beyond_ascii_is_made_to_fit_the_server(extensions: tuple[str, ...]) -> None:
    sent = wire(text_message("hällo\n", Subject="Grüße"), *extensions)
    again = email.message_from_bytes(sent, policy=policy.default)
    assert again["Subject"] == "Grüße"
    assert again.get_content().replace("\r\n", "\n") == "hällo\n"
    assert sent.isascii() == (not extensions)


@pytest.mark.parametrize("of", POLICIES)
def test_a_text_in_eight_bits_with_its_charset_is_made_to_fit_the_server(of: Policy) -> None:
    message = parsed(
        b"From: a@x.y\nContent-Type: text/plain; charset=latin1\nContent-Transfer-Encoding: 8bit\n\n\xe4\n", of
    )
    assert b"\r\n\r\n\xe4\r\n" in wire(message, *EIGHT_BIT)
    sent = wire(message)
    assert sent.isascii()
    again = email.message_from_bytes(sent, policy=policy.default)
    assert again.get_payload(decode=True) == b"\xe4\n"


@pytest.mark.parametrize("of", POLICIES)
def test_a_text_in_eight_bits_of_an_unknown_charset_needs_8bitmime(of: Policy) -> None:
    message = parsed(b"From: a@x.y\n\n\xe4\n", of)
    assert wire(message, *EIGHT_BIT) == b"From: a@x.y\r\n\r\n\xe4\r\n"
    with pytest.raises(NotSupported) as caught:
        wire(message)
    assert caught.value.extension == "8BITMIME"


@pytest.mark.parametrize("extensions", [(), EIGHT_BIT, UTF8])
def test_a_header_is_in_utf_8_only_where_smtputf8_is_asked_for(extensions: tuple[str, ...]) -> None:
    message = EmailMessage(policy=policy.SMTPUTF8)
    message["From"] = "Ä <a@example.org>"
    message["To"] = "b@example.org"
    message["Subject"] = "Grüße"
    message.set_content("hello\n")
    sent = wire(message, *extensions)
    assert sent.isascii() or "SMTPUTF8" in parameters(message, *extensions)
    assert email.message_from_bytes(sent, policy=policy.default)["Subject"] == "Grüße"


def test_under_smtputf8_an_address_stands_in_the_header_as_it_is() -> None:
    message = text_message(To="bü@exämple.org", Subject="Grüße")
    envelope = Envelope.of(message, None, None)
    sent = wire(message, *UTF8, envelope=envelope)
    assert "To: bü@exämple.org\r\nSubject: Grüße\r\n".encode() in sent
    assert parameters(message, *UTF8, envelope=envelope) == {"SMTPUTF8": None, "BODY": "8BITMIME"}


def test_a_message_of_the_older_kind_under_smtputf8_has_its_header_encoded() -> None:
    message: Any = Message()
    message["Subject"] = Header("Grüße", "utf-8")
    message.set_payload("hello\n")
    sent = wire(message, *UTF8, envelope=Envelope(A, (Mailbox("bü", "x.y"),)))
    assert sent.startswith(b"Subject: =?utf-8?")


@pytest.mark.parametrize(
    "value", ["x\r\nBcc: e@x.y", "x\nBcc: e@x.y", "x\rBcc: e@x.y", "x\r\n\r\nbody", "x\n", "\nx", "x\0y"]
)
@pytest.mark.parametrize("encoded", ["", "=?utf-8?q?=C3=A4?= "])
@pytest.mark.parametrize("of", [policy.compat32, policy.default, policy.SMTP, policy.SMTP.clone(refold_source="none")])
def test_a_line_end_in_a_header_field_is_refused(of: Policy, encoded: str, value: str) -> None:
    message = parsed("From: a@x.y\n\nx\n", of)
    message.set_raw("Subject", encoded + value)
    with pytest.raises(ValueError, match="Subject must not hold a line end or NUL"):
        wire(message)


@pytest.mark.parametrize("value", ["=?utf-8?q?x=0d=0aBcc=3A?=", "=?utf-8?b?eA0KQmNjOg==?=", "=?utf-8?q?x=00?="])
def test_an_encoded_line_end_in_a_header_field_is_refused_where_it_would_be_decoded(value: str) -> None:
    message = parsed("From: a@x.y\n\nx\n")
    message.set_raw("Subject", value)
    with pytest.raises(InvalidMessage, match="Subject must not hold a line end or NUL"):
        wire(message)


@pytest.mark.parametrize("fold", ["\r\n ", "\n\t", "\r\n  "])
@pytest.mark.parametrize("of", POLICIES)
def test_a_folded_field_is_none_the_worse(of: Policy, fold: str) -> None:
    message = parsed(f"From: a@x.y\nSubject: x{fold}y\n\nx\n", of)
    assert (
        wire(message)
        .replace(b"\r\n", b"")
        .replace(b"\t", b" ")
        .replace(b"  ", b" ")
        .startswith(b"From: a@x.ySubject: x y")
    )


def test_a_folded_field_goes_out_folded() -> None:
    message = parsed("Subject: one\n two\nX: =?utf-8?q?=C3=A4?=\n\nbody\n", policy.compat32)
    assert b"Subject: one\r\n two\r\n" in wire(message)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nBcc", "ä", "a\0"])
def test_a_field_whose_name_is_none_is_refused(name: str) -> None:
    message = parsed("From: a@x.y\n\nx\n", policy.compat32)
    message.set_raw(name, "x")
    with pytest.raises(InvalidMessage, match="expected the name of a header field, got"):
        wire(message)


def test_the_header_of_a_part_is_looked_at_too() -> None:
    message = nested()
    part = message.get_payload(0)
    assert isinstance(part, Message)
    part.set_raw("X-Part", "x\r\nBcc: e@x.y")
    with pytest.raises(InvalidMessage, match="X-Part must not hold a line end"):
        wire(message)


def test_a_message_that_the_standard_library_cannot_write_is_invalid() -> None:
    message = Message()
    message["Subject"] = "x"
    message.set_payload("ä")  # a text without a charset
    with pytest.raises(InvalidMessage, match="no octets can be made of the message: UnicodeEncodeError"):
        wire(message)


def test_a_nul_in_a_text_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="holds a NUL"):
        wire(text_message("a\0b\n"))


@given(st.binary(max_size=60))
def test_whatever_octets_are_a_message_leave_in_lines_or_are_refused(octets: bytes) -> None:
    for of in (policy.compat32, policy.default):
        for extensions in ((), EIGHT_BIT):
            with contextlib.suppress(InvalidMessage, NotSupported):
                sent = wire(parsed(octets, of), *extensions)
                assert sent.endswith(b"\r\n")
                assert not {0x0D, 0x0A, 0} & set(sent.replace(b"\r\n", b""))

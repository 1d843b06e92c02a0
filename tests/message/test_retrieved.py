from email.message import EmailMessage

import pytest

from mailwire import RetrievedMessage
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

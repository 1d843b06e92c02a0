import contextlib
from email import policy
from email.header import Header
from email.message import EmailMessage, Message
from email.policy import Policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import Delivery, InvalidMessage
from mailwire.message import Envelope
from mailwire.smtp import Mailbox
from tests.message.sending import (
    ENVELOPE,
    POLICIES,
    A,
    B,
    C,
    addresses,
    parsed,
    text_message,
)


def test_an_envelope_is_taken_as_given() -> None:
    envelope = Envelope.of(b"x", "a@example.org", ["b@example.org", '"c d"@example.org'])
    assert envelope == Envelope(A, (B, Mailbox("c d", "example.org")))


@pytest.mark.parametrize(
    "recipients", ["b@example.org", ["b@example.org"], ("b@example.org",), iter(["b@example.org"])]
)
def test_recipients_are_one_address_or_many(recipients: Any) -> None:
    assert Envelope.of(b"x", "a@example.org", recipients).recipients == (B,)


def test_a_sender_of_nothing_is_the_null_reverse_path() -> None:
    envelope = Envelope.of(b"x", "", "b@example.org")
    assert envelope.sender is None
    assert envelope.receipt_before_sending().sender == ""


def test_one_recipient_given_twice_stays_twice() -> None:
    assert Envelope.of(b"x", "", ["b@example.org"] * 2).recipients == (B, B)


@pytest.mark.parametrize(
    ("sender", "recipients"),
    [(None, "b@example.org"), ("a@example.org", None), (None, None)],
)
def test_octets_need_an_envelope(sender: str | None, recipients: str | None) -> None:
    with pytest.raises(InvalidMessage, match="octets needs a sender and recipients: its header is not read"):
        Envelope.of(b"From: a@example.org\r\nTo: b@example.org\r\n\r\n", sender, recipients)


def test_a_mail_to_nobody_is_none() -> None:
    with pytest.raises(InvalidMessage, match="the message has no recipient"):
        Envelope.of(b"x", "a@example.org", [])


@pytest.mark.parametrize(
    "address", ["", "a", "a@", "@b", "a@b@c", "a b@c", "<a@b>", "a@b, c@d", "A <a@b>", "a@b.", "@x:a@b"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidMessage, match=r"expected an address like name@example\.org, got"):
        Envelope.of(b"x", "a@example.org", [address])
    if address:
        with pytest.raises(InvalidMessage, match=r"expected an address like name@example\.org, got"):
            Envelope.of(b"x", address, ["b@example.org"])


@pytest.mark.parametrize("control", [chr(code) for code in (*range(0x20), 0x7F)])
@pytest.mark.parametrize(
    "address", ["{}a@example.org", "a{}b@example.org", '"a{}b"@example.org', "a@exam{}ple.org", "a@example.org{}"]
)
def test_a_control_in_an_address_is_refused(address: str, control: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        Envelope.of(b"x", "a@example.org", [address.format(control)])
    with pytest.raises(ValueError, match="expected an address"):
        Envelope.of(b"x", address.format(control), ["b@example.org"])


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize(
    ("header", "sender", "recipients"),
    [
        ("From: a@x.y\nTo: b@x.y", "a@x.y", ["b@x.y"]),
        (
            "From: Ann <a@x.y>\nTo: Bob <b@x.y>, c@x.y\nCc: d@x.y\nBcc: e@x.y",
            "a@x.y",
            ["b@x.y", "c@x.y", "d@x.y", "e@x.y"],
        ),
        ("From: a@x.y, c@x.y\nSender: s@x.y\nTo: b@x.y", "s@x.y", ["b@x.y"]),
        ("From: a@x.y\nSender: s@x.y\nTo: b@x.y", "s@x.y", ["b@x.y"]),
        ("From: a@x.y\nTo: undisclosed-recipients:;\nBcc: b@x.y", "a@x.y", ["b@x.y"]),
        ("From: a@x.y\nTo: friends: b@x.y, Cy <c@x.y>;, d@x.y", "a@x.y", ["b@x.y", "c@x.y", "d@x.y"]),
        ('From: a@x.y\nTo: "foo@x> ORCPT=y"@d.e', "a@x.y", ['"foo@x> ORCPT=y"@d.e']),
        ('From: a@x.y\nTo: "b c"@x.y, "b\\"c"@x.y, "b\\\\"@x.y', "a@x.y", ['"b c"@x.y', '"b\\"c"@x.y', '"b\\\\"@x.y']),
        ("From: a@x.y\nTo: b@x.y (Bob @ work), c@x.y", "a@x.y", ["b@x.y", "c@x.y"]),
        ("From: a@x.y\nTo: b@[192.0.2.1]", "a@x.y", ["b@[192.0.2.1]"]),
        ("From: a@x.y\nTo: =?utf-8?q?x=40y=2Ez=2C?= <b@x.y>", "a@x.y", ["b@x.y"]),
        ('From: a@x.y\nTo: "c@evil.org, d" <b@x.y>', "a@x.y", ["b@x.y"]),
        ("From: a@x.y\nTo: b@x.y\nTo: c@x.y", "a@x.y", ["b@x.y", "c@x.y"]),
        ("From: a@x.y\nTo: b@x.y,\n c@x.y,\n\td@x.y", "a@x.y", ["b@x.y", "c@x.y", "d@x.y"]),
        ("FROM: a@x.y\nto: b@x.y", "a@x.y", ["b@x.y"]),
        ('From: a@x.y\nTo: "b@evil.example x"@good.example', "a@x.y", ['"b@evil.example x"@good.example']),
    ],
    ids=lambda value: value.replace("\n", " | ")[:60] if isinstance(value, str) else "",
)
def test_an_envelope_is_made_of_the_header(header: str, sender: str, recipients: list[str], of: Policy) -> None:
    assert addresses(parsed(header + "\n\nx\n", of)) == (sender, recipients)


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("To: b@x.y", "neither From nor Sender"),
        ("From: a@x.y", "no recipient"),
        ("From: a@x.y\nTo:", "no recipient"),
        ("From: a@x.y\nTo: undisclosed-recipients:;", "no recipient"),
        ("From: a@x.y, c@x.y\nTo: b@x.y", "From has 2 addresses: give the sender explicitly, or in Sender"),
        ("From: a@x.y\nFrom: c@x.y\nTo: b@x.y", "From has 2 addresses"),
        ("From: a@x.y\nSender: s@x.y, t@x.y\nTo: b@x.y", "Sender has 2 addresses"),
        ("From: <>\nTo: b@x.y", "expected addresses in From"),
        ("From: a@x.y\nTo: <>", "expected addresses in To"),
        ("From: a@x.y\nTo: b", "expected addresses in To"),
        ("From: a@x.y\nTo: b@", "expected addresses in To"),
        ("From: a@x.y\nTo: b@x@y", "expected addresses in To|address"),
        ("From: a@x.y\nTo: <b@x>@y", "expected addresses in To"),
        ("From: a@x.y\nTo: b@x.y <c@x.y>", "expected addresses in To"),
        ("From: a@x.y\nTo: <@h1:b@x.y>x", "expected addresses in To"),
        ("From: nobody\nTo: b@x.y", "expected addresses in From"),
        ("From: a@x.y\nTo: b c@x.y", "expected addresses in To"),
        ("From: a@x.y\nTo: b@x.y c@x.y", "expected addresses in To"),
        ("From: a@x.y\nTo: b@x.y; c@x.y", "expected addresses in To"),
        ("From: a@x.y\nTo: <@h1,@h2:b@x.y>", "expected addresses in To"),
        ("From: a@x.y\nTo: b@x.y\nCc: c", "expected addresses in Cc"),
        ("From: a@x.y\nTo: b@x.y\nBcc: c", "expected addresses in Bcc"),
        ("From: a@x.y\nTo: =?utf-8?q?b=40x=2Ey?=", "expected addresses in To"),
        ("From: a@x.y\nTo: =?utf-8?q?b=0d=0aRSET?=@x.y", "address"),
        ("From: a@x.y\nTo: b@x.y\nResent-To: c@x.y", "Resent-To needs a sender and recipients given explicitly"),
        ("From: a@x.y\nTo: b@x.y\nresent-from: c@x.y", "resent-from needs"),
    ],
    ids=lambda value: value.replace("\n", " | ")[:60] if isinstance(value, str) else "",
)
def test_a_header_that_leaves_doubts_makes_no_envelope(header: str, reason: str, of: Policy) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        Envelope.of(parsed(header + "\n\nx\n", of), None, None)


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("address", [b"b\xff@x.y", b"b@x\xff.y", "bü@x.y".encode(), "b@xü.y".encode()])
def test_octets_in_an_address_that_had_to_be_guessed_at_go_nowhere(address: bytes, of: Policy) -> None:
    # What was read from octets with UTF-8 in its header has lost which characters they were.
    with pytest.raises(InvalidMessage):
        Envelope.of(parsed(b"From: a@x.y\nTo: " + address + b"\n\nx\n", of), None, None)


def test_a_header_that_was_resent_is_sent_where_the_envelope_is_given() -> None:
    message = parsed("From: a@x.y\nTo: b@x.y\nResent-To: c@x.y\n\nx\n")
    assert Envelope.of(message, "a@example.org", "b@example.org") == ENVELOPE


@pytest.mark.parametrize(("sender", "recipients"), [("a@example.org", None), (None, "b@example.org")])
def test_a_part_of_the_envelope_that_is_given_leaves_the_rest_to_the_header(
    sender: str | None, recipients: str | None
) -> None:
    assert Envelope.of(text_message(), sender, recipients) == ENVELOPE


def test_what_is_said_explicitly_goes_before_the_header() -> None:
    assert Envelope.of(text_message(To="x@y.z", From="q@r.s"), "a@example.org", "b@example.org") == ENVELOPE


@pytest.mark.parametrize("kind", [Message, EmailMessage])
def test_an_address_beyond_ascii_that_was_given_as_text_is_that_address(kind: type[Message]) -> None:
    message = kind()
    message["From"] = "a@example.org"
    message["To"] = "näme@b.example"
    assert addresses(message) == ("a@example.org", ["näme@b.example"])


def test_a_header_object_of_the_older_kind_is_read_too() -> None:
    message: Any = Message()
    message["From"] = "a@example.org"
    message["To"] = Header("b@example.org")
    assert addresses(message) == ("a@example.org", ["b@example.org"])


def test_an_address_beyond_ascii_makes_an_envelope_that_needs_smtputf8() -> None:
    message = text_message(To="bü@exämple.org")
    envelope = Envelope.of(message, None, None)
    assert str(envelope.recipients[0]) == "bü@exämple.org"
    assert not envelope.is_ascii
    assert ENVELOPE.is_ascii
    assert Envelope(None, (B,)).is_ascii


def test_before_anything_was_sent_the_receipt_says_so() -> None:
    receipt = Envelope(A, (B, C)).receipt_before_sending()
    assert receipt.delivery is Delivery.NOT_SENT
    assert receipt.sender == "a@example.org"
    assert [(entry.address, entry.reply, entry.delivery) for entry in receipt.recipients] == [
        ("b@example.org", None, Delivery.NOT_SENT),
        ("c@example.org", None, Delivery.NOT_SENT),
    ]
    assert receipt.reply is None
    assert receipt.octets == 0


@given(st.binary(max_size=24))
def test_whatever_octets_stand_in_the_place_of_an_address_are_one_or_are_refused(octets: bytes) -> None:
    for of in (policy.compat32, policy.default):
        with contextlib.suppress(InvalidMessage):
            Envelope.of(parsed(b"From: a@x.y\nTo: " + octets + b"\n\nx\n", of), None, None)

import contextlib
import copy
import email
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import Policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import Delivery, InvalidMessage, NotSupported, RetrievedMessage, compose
from mailwire.message import Envelope, Outgoing
from mailwire.smtp import Extensions, Mailbox

A, B, C = Mailbox("a", "example.org"), Mailbox("b", "example.org"), Mailbox("c", "example.org")
ENVELOPE = Envelope(A, (B,))
EIGHT_BIT = ("8BITMIME",)
UTF8 = ("8BITMIME", "SMTPUTF8")

POLICIES: list[Policy] = [policy.compat32, policy.default, policy.SMTP]


def parsed(text: str | bytes, of: Policy = policy.default) -> Message:
    """A message as a program has it that has read it."""
    octets = text.encode() if isinstance(text, str) else text
    return email.message_from_bytes(octets, policy=of)


def addresses(message: Message) -> tuple[str, list[str]]:
    envelope = Envelope.of(message, None, None)
    return str(envelope.sender), [str(mailbox) for mailbox in envelope.recipients]


def wire(message: Message | bytes, *extensions: str, envelope: Envelope = ENVELOPE) -> bytes:
    """The octets that leave, before dots are stuffed."""
    outgoing = Outgoing(message, envelope, Extensions(dict.fromkeys(extensions, ())))
    return b"".join(outgoing.blocks())


def parameters(message: Message | bytes, *extensions: str, envelope: Envelope = ENVELOPE) -> dict[str, str | None]:
    return dict(Outgoing(message, envelope, Extensions(dict.fromkeys(extensions, ()))).mail_parameters)


def text_message(text: str = "hello\n", **fields: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {"From": "a@example.org", "To": "b@example.org", **fields}.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


# The envelope


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


# Octets


def test_octets_that_are_in_order_are_sent_as_they_are() -> None:
    octets = Path(__file__).with_name("data").joinpath("sylpheed-message.eml").read_bytes()
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


def test_large_octets_leave_in_blocks() -> None:
    octets = b"0123456789abcd\r\n" * 100_000
    blocks = list(Outgoing(octets, ENVELOPE, Extensions()).blocks())
    assert b"".join(blocks) == octets
    assert len(blocks) > 1
    assert max(map(len, blocks)) <= 256 * 1024


def test_a_line_end_across_blocks_stays_one() -> None:
    for length in range(128 * 1024 - 2, 128 * 1024 + 2):
        octets = b"x" * length + b"\r\n.\r\n"
        assert wire(octets) == octets


def test_the_blocks_can_be_taken_again() -> None:
    outgoing = Outgoing(b"x\r\n", ENVELOPE, Extensions())
    assert list(outgoing.blocks()) == list(outgoing.blocks()) == [b"x\r\n"]


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
    extensions = Extensions({"SIZE": (size,) if size else ()})
    if limit is None:
        # The size counts the end of the last line, which was missing.
        assert Outgoing(b"hello", ENVELOPE, extensions).mail_parameters == {"SIZE": "7"}
    else:
        with pytest.raises(NotSupported, match=rf"has 7 octets, and the server takes {limit} \(RFC 1870\)") as caught:
            Outgoing(b"hello", ENVELOPE, extensions)
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


# Messages


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


# Compose


def test_a_composed_message_has_what_was_given() -> None:
    message = compose(
        sender="Ann <a@example.org>",
        to=["b@example.org", Address("Cy Müller", "c", "example.org")],
        cc="d@example.org, e@example.org",
        bcc="f@example.org",
        reply_to="g@example.org",
        subject="Grüße",
        text="hello\n",
    )
    assert message["From"] == "Ann <a@example.org>"
    assert message["To"] == "b@example.org, Cy Müller <c@example.org>"
    assert message["Cc"] == "d@example.org, e@example.org"
    assert message["Reply-To"] == "g@example.org"
    assert message["Subject"] == "Grüße"
    assert message.get_content() == "hello\n"
    sender, recipients = addresses(message)
    assert sender == "a@example.org"
    assert recipients == [f"{name}@example.org" for name in "bcdef"]


def test_a_composed_message_leaves_without_its_bcc() -> None:
    sent = wire(compose(sender="a@x.y", to="b@x.y", bcc="secret@x.y", text="x"))
    assert b"secret" not in sent
    assert b"cc:" not in sent.lower()


def test_a_composed_message_has_its_date_and_a_message_id_of_the_sender_s_domain() -> None:
    first = compose(sender="a@sender.example", to="b@x.y")
    second = compose(sender="a@sender.example", to="b@x.y")
    assert first["Message-ID"].endswith("@sender.example>")
    assert first["Message-ID"] != second["Message-ID"]
    assert abs(first["Date"].datetime - datetime.now(UTC)) < timedelta(hours=1)


@pytest.mark.parametrize("sender", ["a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@localhost", '"a b"@x.y', "Ä <a@x.y>"])
def test_a_message_id_is_in_order_whatever_the_sender(sender: str) -> None:
    sent = wire(compose(sender=sender, to="b@x.y", text="x"))
    (line,) = [line for line in sent.split(b"\r\n") if line.startswith(b"Message-ID:")]
    assert line.count(b"<") == line.count(b">") == line.count(b"@") == 1


def test_a_text_comes_with_its_html_if_there_is_one() -> None:
    message = compose(sender="a@x.y", to="b@x.y", text="hello\n", html="<p>hello</p>\n")
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_a_message_that_is_sent_twice_is_the_same_twice() -> None:
    message = compose(sender="a@x.y", to="b@x.y", text="hello\n", html="<p>hello</p>\n")
    assert wire(message) == wire(message)


def test_names_beyond_ascii_are_encoded() -> None:
    sent = wire(compose(sender="Zoë <a@x.y>", to=Address("Grüße, Jürgen", "b", "x.y"), text="x"))
    assert sent.isascii()
    again = email.message_from_bytes(sent, policy=policy.default)
    assert again["To"].addresses[0].display_name == "Grüße, Jürgen"


def test_nothing_that_was_not_given_stands_in_the_header() -> None:
    message = compose(sender="a@x.y", to="b@x.y")
    assert {"Cc", "Bcc", "Reply-To"}.isdisjoint(message.keys())


def test_a_mail_may_have_hidden_recipients_alone() -> None:
    message = compose(sender="a@x.y", to=[], bcc=["b@x.y", "c@x.y"], text="x")
    assert addresses(message) == ("a@x.y", ["b@x.y", "c@x.y"])
    assert b"b@x.y" not in wire(message)


FIELDS = ["sender", "to", "cc", "bcc", "reply_to", "subject"]


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\r\n", "\r\nBcc: e@x.y\r\n"])
@pytest.mark.parametrize("place", ["{}v", "v{}", "v{}w"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_line_end_in_a_field_is_refused(field: str, place: str, control: str) -> None:
    value = place.format(control).replace("v", "Val <v@x.y>")
    with pytest.raises(ValueError, match="line end or NUL"):
        compose(**{"sender": "a@x.y", "to": "b@x.y", field: value})


@pytest.mark.parametrize(
    "address", ["", "x", "a@", "@b", "a@b@c", "<a@b>@c", "a b@c", "a@b c@d", "a@b; c@d", "undisclosed:;"]
)
def test_a_sender_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        compose(sender=address, to="b@x.y")


@pytest.mark.parametrize("address", ["x", "a@", "@b", "a@b@c", "<a@b>@c", "a b@c", "a@b c@d", "a@b; c@d"])
@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
def test_an_address_that_is_none_is_not_composed(field: str, address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        compose(**{"sender": "a@x.y", "to": "b@x.y", field: address})


# What the standard library's parser is known to stumble over, and its like.
ODD_TEXT = st.text(alphabet='ab@.,;:<>()[]"\\ \t=?%\x80é\u2028', max_size=24)


@given(ODD_TEXT)
def test_whatever_stands_in_the_place_of_an_address_is_one_or_is_refused(text: str) -> None:
    try:
        composed = compose(sender="a@x.y", to=text)
        Envelope.of(composed, None, None)
    except ValueError:
        pass
    for of in (policy.compat32, policy.default):
        with contextlib.suppress(InvalidMessage):
            Envelope.of(parsed("From: a@x.y\nTo: " + text.replace("\u2028", "") + "\n\nx\n", of), None, None)


@given(st.binary(max_size=24))
def test_whatever_octets_stand_in_the_place_of_an_address_are_one_or_are_refused(octets: bytes) -> None:
    for of in (policy.compat32, policy.default):
        with contextlib.suppress(InvalidMessage):
            Envelope.of(parsed(b"From: a@x.y\nTo: " + octets + b"\n\nx\n", of), None, None)


@given(st.binary(min_size=1, max_size=60))
def test_whatever_octets_are_given_leave_in_lines_unless_they_hold_a_nul(octets: bytes) -> None:
    try:
        sent = wire(octets, *EIGHT_BIT)
    except InvalidMessage:
        assert b"\0" in octets
    else:
        assert sent.endswith(b"\r\n")
        assert not {0x0D, 0x0A, 0} & set(sent.replace(b"\r\n", b""))


@given(st.binary(max_size=60))
def test_whatever_octets_are_a_message_leave_in_lines_or_are_refused(octets: bytes) -> None:
    for of in (policy.compat32, policy.default):
        for extensions in ((), EIGHT_BIT):
            with contextlib.suppress(InvalidMessage, NotSupported):
                sent = wire(parsed(octets, of), *extensions)
                assert sent.endswith(b"\r\n")
                assert not {0x0D, 0x0A, 0} & set(sent.replace(b"\r\n", b""))


def test_a_group_is_recipients_too() -> None:
    message = compose(sender="a@x.y", to="friends: b@x.y, c@x.y;", text="x")
    assert addresses(message) == ("a@x.y", ["b@x.y", "c@x.y"])


# Retrieved


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

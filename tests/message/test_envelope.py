import contextlib
import re
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.policy import Policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import Delivery, InvalidMessage
from mailwire.message import Content, Envelope, MessagePolicy
from mailwire.message.envelope import names_many
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


@pytest.mark.parametrize("kind", [str, list, tuple, iter])
def test_recipients_are_one_address_or_many(kind: Any) -> None:
    recipients = "b@example.org" if kind is str else kind(["b@example.org"])
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
    with pytest.raises(
        InvalidMessage, match=r"^a message given as octets needs a sender and recipients: its header is not read$"
    ):
        Envelope.of(b"From: a@example.org\r\nTo: b@example.org\r\n\r\n", sender, recipients)


def test_a_mail_to_nobody_is_none() -> None:
    with pytest.raises(InvalidMessage, match=r"^the message has no recipient$"):
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
        ("From: a@x.y\nTo: b@x.y\nResent-To: c@x.y", "neither Resent-From nor Resent-Sender"),
        ("From: a@x.y\nTo: b@x.y\nresent-from: c@x.y", "no recipient"),
        ("From: a@x.y\nTo: b@x.y\nResent-From: c@x.y\nResent-To: d", "expected addresses in Resent-To"),
        ("From: a@x.y\nTo: b@x.y\nResent-From: c@x.y, d@x.y\nResent-To: d@x.y", "Resent-From has 2 addresses"),
    ],
    ids=lambda value: value.replace("\n", " | ")[:60] if isinstance(value, str) else "",
)
def test_a_header_that_leaves_doubts_makes_no_envelope(header: str, reason: str, of: Policy) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        Envelope.of(parsed(header + "\n\nx\n", of), None, None)


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("address", [b"b\xff@x.y", b"b@x\xff.y"])
def test_octets_in_an_address_that_had_to_be_guessed_at_go_nowhere(address: bytes, of: Policy) -> None:
    with pytest.raises(InvalidMessage):
        Envelope.of(parsed(b"From: a@x.y\nTo: " + address + b"\n\nx\n", of), None, None)


@pytest.mark.parametrize("of", POLICIES)
def test_an_address_in_octets_of_utf_8_is_what_it_says(of: Policy) -> None:
    message = parsed("From: ä@x.y\nTo: Ü <b@xü.y>\n\nx\n", of)
    assert addresses(message) == ("ä@x.y", ["b@xü.y"])


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


@pytest.mark.parametrize("names", [["To"], ["CC", "bcc"], ["Resent-To", "resent-cc", "To"]])
def test_a_header_names_many_where_all_that_names_recipients_is_long(names: list[str]) -> None:
    message: Any = Message()
    message["Subject"] = message["From"] = "x" * 6000
    assert not names_many(message)
    for name in names:
        message[name] = "x" * (5000 // len(names))
    message["Cc"] = Header("x" * (5000 % len(names)))
    assert not names_many(message)
    message["Bcc"] = "x"
    assert names_many(message)
    assert not names_many(b"To: " + b"x" * 6000)


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
    assert receipt.delivery is Delivery.NOT_SENT, "what was written on demand says the same"


@given(st.binary(max_size=24))
def test_whatever_octets_stand_in_the_place_of_an_address_are_one_or_are_refused(octets: bytes) -> None:
    for of in (policy.compat32, policy.default):
        with contextlib.suppress(InvalidMessage):
            Envelope.of(parsed(b"From: a@x.y\nTo: " + octets + b"\n\nx\n", of), None, None)


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize(
    ("header", "sender", "recipients"),
    [
        ("Resent-From: r@x.y\nResent-To: s@x.y\nFrom: a@x.y\nTo: b@x.y\nCc: c@x.y\nBcc: d@x.y", "r@x.y", ["s@x.y"]),
        ("From: a@x.y\nTo: b@x.y\nResent-To: s@x.y\nResent-From: r@x.y", "r@x.y", ["s@x.y"]),
        (
            "Resent-Sender: q@x.y\nResent-From: r@x.y, p@x.y\nResent-Cc: s@x.y\nResent-Bcc: t@x.y\nFrom: a@x.y",
            "q@x.y",
            ["s@x.y", "t@x.y"],
        ),
        (
            "RESENT-FROM: r@x.y\nresent-to: s@x.y\nReceived: x\nResent-From: o@x.y\nResent-To: p@x.y\nResent-Cc: q@x.y",
            "r@x.y",
            ["s@x.y"],
        ),
        ("Resent-From: r@x.y\nResent-To: s@x.y\nResent-From: o@x.y\nResent-To: p@x.y", "r@x.y", ["s@x.y"]),
    ],
    ids=lambda value: value.replace("\n", " | ")[:60] if isinstance(value, str) else "",
)
def test_a_message_that_was_resent_goes_to_whom_it_was_resent_last(
    header: str, sender: str, recipients: list[str], of: Policy
) -> None:
    assert addresses(parsed(header + "\n\nx\n", of)) == (sender, recipients)


def test_what_belongs_together_must_be_clear() -> None:
    message = parsed(
        "Resent-From: r@x.y\nResent-To: s@x.y\nResent-Cc: t@x.y\nResent-From: o@x.y\nResent-To: p@x.y\n\nx\n"
    )
    with pytest.raises(InvalidMessage, match="not clear which Resent- fields belong together"):
        Envelope.of(message)
    assert Envelope.of(message, "a@example.org", "b@example.org") == ENVELOPE


def test_mailboxes_are_taken_as_they_are() -> None:
    assert Envelope.of(b"x", A, B) == Envelope.of(b"x", A, [B]) == ENVELOPE
    assert Envelope.of(b"x", A, [B, "c@example.org"]).recipients == (B, C)


def test_a_content_makes_the_envelope_of_its_message() -> None:
    assert Envelope.of(Content(text_message())) == ENVELOPE
    with pytest.raises(InvalidMessage, match="given as octets needs a sender and recipients"):
        Envelope.of(Content(b"From: a@example.org\r\nTo: b@example.org\r\n\r\n"))


# Folding


FOLDING = MessagePolicy(fold_duplicates=True)


def test_duplicates_are_folded_on_request() -> None:
    given = ["b@example.org", "c@example.org", "b@EXAMPLE.org", '"b"@example.org', "B@example.org"]
    folded = Envelope.of(b"x", A, given, FOLDING)
    assert [str(mailbox) for mailbox in folded.recipients] == ["b@example.org", "c@example.org", "B@example.org"]
    assert len(Envelope.of(b"x", A, given).recipients) == 5


def test_domains_that_are_the_same_in_capitals_alone_are_not_folded() -> None:
    given = ["b@straße.example", "b@strasse.example"]
    assert [str(mailbox) for mailbox in Envelope.of(b"x", A, given, FOLDING).recipients] == given


def test_the_policy_of_a_content_holds_for_its_envelope() -> None:
    message = text_message(To="b@example.org, b@example.org")
    assert Envelope.of(Content(message, FOLDING)) == ENVELOPE
    assert Envelope.of(Content(message), policy=FOLDING) == ENVELOPE


# Domains beyond ASCII


def a_labels(domain: str) -> str:
    """A caller's encoder; what it knows of IDNA does for these tests."""
    return ".".join(
        label if label.isascii() else "xn--" + label.lower().encode("punycode").decode() for label in domain.split(".")
    )


ENCODING = MessagePolicy(encode_domain=a_labels)


def test_a_domain_beyond_ascii_becomes_a_labels_by_the_callers_encoder() -> None:
    envelope = Envelope.of(b"x", "a@exämple.org", ["b@exämple.org", "c@example.org", '"d e"@ü.ü'], ENCODING)
    assert envelope.is_ascii
    assert str(envelope.sender) == "a@xn--exmple-cua.org"
    assert [str(mailbox) for mailbox in envelope.recipients] == [
        "b@xn--exmple-cua.org",
        "c@example.org",
        '"d e"@xn--tda.xn--tda',
    ]


def test_where_the_local_part_needs_smtputf8_the_domain_stays() -> None:
    envelope = Envelope.of(b"x", "ä@exämple.org", ["b@example.org"], ENCODING)
    assert str(envelope.sender) == "ä@exämple.org"


def test_the_null_reverse_path_is_not_encoded() -> None:
    assert Envelope.of(b"x", "", B, ENCODING).sender is None


def idna_2003(domain: str) -> str:
    return domain.encode("idna").decode()


# Names that a mapping changes into other ones, or that look like other ones.
LOOK_ALIKES = [
    "faß.de",
    "ex\u00adample.org",
    "\uff45xample.org",
    "exam\u200dple.org",
    "exam\u200cple.org",
    "例\u3002jp",
    "example\uff0eorg",
    "exam\ufb01.org",
    "\uff45\uff58ample.org",
    "\U0001d41example.org",
    "exa\u0301mple.org",
    "ex\u0430mple.org",
    "\u0430\u0440\u0440\u04cf\u0435.com",
    "βόλος.com",
    "ς.gr",
    "\u2024example.org",
    "ß",
    "ǆ.example",
    "Å.example",
    "exampleﬀ.org",
    "①.example",
]


@pytest.mark.parametrize("domain", LOOK_ALIKES, ids=ascii)
def test_a_look_alike_is_refused_or_passed_as_it_is(domain: str) -> None:
    try:
        envelope = Envelope.of(b"x", A, f"b@{domain}")
    except InvalidMessage:
        pass  # it is no domain in any script
    else:
        assert envelope.recipients[0].domain == domain
    # With an encoder that maps much to something else, it is what only A-labels can be, or it is refused.
    try:
        encoded = Envelope.of(b"x", A, f"b@{domain}", MessagePolicy(encode_domain=idna_2003)).recipients[0].domain
    except InvalidMessage:
        return
    for label, a_label in zip(domain.split("."), encoded.split("."), strict=True):
        assert a_label == label if label.isascii() else a_label.startswith("xn--")


@pytest.mark.parametrize("domain", ["faß.de", "ex\u00adample.org", "\uff45xample.org", "例\u3002jp", "exam\ufb01.org"])
def test_a_mapping_to_another_name_is_refused(domain: str) -> None:
    with pytest.raises(InvalidMessage, match=r"expected A-labels for|cannot be written in A-labels"):
        Envelope.of(b"x", A, f"b@{domain}", MessagePolicy(encode_domain=idna_2003))


# What is no address by its type


@pytest.mark.parametrize("wrong", [0, False, 7, b"", b"a@example.org", None, ["a@example.org"], 1.5, object(), {}])
def test_what_is_no_address_by_its_type_is_quoted_and_refused(wrong: Any) -> None:
    expected = re.escape(
        "expected an address as text, smtp.Mailbox or email.headerregistry.Address, "
        f"got {wrong!r} ({type(wrong).__name__})"
    )
    calls: list[dict[str, Any]] = [
        {"sender": "a@example.org", "recipients": [wrong]},
        {"sender": "a@example.org", "recipients": ["b@example.org", wrong]},
        {"sender": "a@example.org", "recipients": ["b@example.org", wrong], "policy": MessagePolicy(smtputf8=True)},
    ]
    if wrong is not None:
        calls += [{"sender": wrong, "recipients": "b@example.org"}, {"sender": wrong}]
    if not isinstance(wrong, (list, dict, type(None))):
        calls += [{"sender": "a@example.org", "recipients": wrong}, {"recipients": wrong}]
    for call in calls:
        with pytest.raises(InvalidMessage, match=f"^{expected}$") as caught:
            Envelope.of(text_message(), **call)
        assert isinstance(caught.value, ValueError)


def test_a_long_value_that_is_no_address_is_quoted_in_part() -> None:
    with pytest.raises(InvalidMessage) as caught:
        Envelope.of(b"x", "a@example.org", [{"a" * 100_000}])  # type: ignore[list-item]
    assert len(str(caught.value)) < 500


def test_an_address_of_the_standard_library_is_one() -> None:
    given = Address("Anna Ä", "a", "example.org")
    for recipients in (Address("", "b", "example.org"), [Address("B", "b", "example.org")]):
        assert Envelope.of(b"x", given, recipients) == Envelope(A, (B,))
    assert Envelope.of(text_message(), given) == Envelope.of(text_message(), recipients=B) == Envelope(A, (B,))
    quoted = Envelope.of(b"x", Address("", "a b", "example.org"), "b@example.org")
    assert str(quoted.sender) == '"a b"@example.org'


@pytest.mark.parametrize("nobody", [Address("Nobody"), Address("", "a", "")])
def test_an_address_of_the_standard_library_that_has_no_mailbox_is_none(nobody: Address) -> None:
    with pytest.raises(InvalidMessage, match="expected"):
        Envelope.of(b"x", nobody, "b@example.org")

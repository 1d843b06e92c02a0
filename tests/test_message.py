"""What a caller hands over, turned into an envelope and octets for the wire; and `compose`, to make one."""

import email
from collections.abc import Iterable
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.policy import SMTP, SMTPUTF8, compat32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import Delivery, InvalidMessage, NotSupported, RetrievedMessage, compose
from mailwire.message import Envelope, Outgoing
from mailwire.smtp import Extensions, Mailbox

ALL = Extensions({"8BITMIME": (), "SMTPUTF8": (), "SIZE": ("1000000",)})
NONE = Extensions()
A, B = Mailbox("a", "example.org"), Mailbox("b", "example.org")


def envelope(message: Message | bytes, sender: str | None = None, to: str | Iterable[str] | None = None) -> Envelope:
    return Envelope.of(message, sender, to)


def headed(**fields: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content("text")
    return message


def content(message: Message | bytes, extensions: Extensions = ALL, sender: str = "a@example.org") -> bytes:
    return b"".join(Outgoing(message, envelope(message, sender, "b@example.org"), extensions).blocks())


# The envelope


def test_the_header_says_who_it_is_from_and_for() -> None:
    message = headed(From="a@example.org", To="b@example.org, c@example.org", Cc="d@example.org", Bcc="e@example.org")

    assert envelope(message).sender == A
    assert [str(to) for to in envelope(message).recipients] == [f"{name}@example.org" for name in "bcde"]


def test_what_is_said_explicitly_wins_over_the_header() -> None:
    message = headed(From="a@example.org", To="b@example.org")

    assert envelope(message, "x@example.org", "y@example.org") == Envelope(
        Mailbox("x", "example.org"), (Mailbox("y", "example.org"),)
    )
    assert envelope(message, to=["y@example.org"]).sender == A
    assert envelope(message, "x@example.org").recipients == (B,)


def test_the_null_sender_is_the_empty_text() -> None:
    assert envelope(b"x", "", ["b@example.org"]).sender is None


def test_the_sender_field_comes_before_from() -> None:
    message = headed(From="x@example.org, y@example.org", Sender="a@example.org", To="b@example.org")

    assert envelope(message).sender == A


def test_several_authors_need_a_sender() -> None:
    with pytest.raises(InvalidMessage, match="From has 2 addresses"):
        envelope(headed(From="x@example.org, y@example.org", To="b@example.org"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"To": "b@example.org"}, "neither From nor Sender"),
        ({"From": "a@example.org"}, "no recipient"),
        ({"From": "a@example.org", "To": "undisclosed-recipients:;"}, "no recipient"),
        ({"From": "a@example.org", "To": "b"}, "expected addresses in To"),
        ({"From": "nobody", "To": "b@example.org"}, "expected addresses in From"),
        ({"From": "a@example.org", "To": "b@example.org", "Resent-To": "c@example.org"}, "Resent-To"),
    ],
)
def test_a_header_that_does_not_say_is_told(fields: dict[str, str], expected: str) -> None:
    with pytest.raises(InvalidMessage, match=expected):
        envelope(headed(**fields))


def test_a_resent_message_goes_out_with_an_explicit_envelope_and_without_its_blind_copies() -> None:
    message = headed(From="a@example.org", To="b@example.org", Resent_To="c@example.org", Resent_Bcc="d@example.org")

    assert envelope(message, "a@example.org", "c@example.org").recipients == (Mailbox("c", "example.org"),)
    assert b"d@example.org" not in content(message)
    assert b"Resent-To: c@example.org" in content(message)


def test_octets_need_an_explicit_envelope() -> None:
    for sender, to in ((None, None), ("a@example.org", None), (None, "b@example.org")):
        with pytest.raises(InvalidMessage, match="its header is not read"):
            envelope(b"From: a@example.org\r\nTo: b@example.org\r\n\r\n", sender, to)
    with pytest.raises(InvalidMessage, match="no recipient"):
        envelope(b"x", "a@example.org", [])


def test_blind_copies_reach_those_named_and_nobody_else_hears_of_them() -> None:
    message = headed(From="a@example.org", To="undisclosed-recipients:;", Bcc="b@example.org")

    assert envelope(message).recipients == (B,)
    assert b"b@example.org" not in content(message)
    assert message["Bcc"] == "b@example.org"


@pytest.mark.parametrize(
    ("written", "local", "domain"),
    [
        ('"foo@x> ORCPT=y"@d.example', "foo@x> ORCPT=y", "d.example"),
        ('"a@evil.example x"@good.example', "a@evil.example x", "good.example"),
        ("Some Name <a@b.example>", "a", "b.example"),
        ('"Name, Some" <a@b.example>', "a", "b.example"),
        ("a@b.example (a comment)", "a", "b.example"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("=?utf-8?q?N=C3=A4me?= <a@b.example>", "a", "b.example"),
        ("n\u00e4me@b.example", "n\u00e4me", "b.example"),
    ],
)
def test_a_mailbox_in_a_header_goes_where_it_says(written: str, local: str, domain: str) -> None:
    old = Message(policy=compat32)
    old["To"] = written
    for message in (headed(To=written), old):
        assert envelope(message, "a@example.org").recipients == (Mailbox(local, domain),)


@pytest.mark.parametrize(
    "written",
    [
        "<a@b.example>@c.example",
        "a@b.example <c@d.example>",
        "a@b.example;c@d.example",
        "a b@c.example",
        "<@relay.example:a@b.example>x",
    ],
)
def test_what_a_parser_would_have_to_guess_goes_nowhere(written: str) -> None:
    with pytest.raises(InvalidMessage, match="expected addresses in To"):
        envelope(headed(To=written), "a@example.org")


def test_groups_are_their_members() -> None:
    message = headed(From="a@example.org", To="friends: b@example.org, Some <c@example.org>;")

    assert [str(to) for to in envelope(message).recipients] == ["b@example.org", "c@example.org"]


@pytest.mark.parametrize("control", ["\r", "\n", "\r\nRCPT TO:<x@y>", "\0", "\x7f"])
def test_no_address_holds_a_control(control: str) -> None:
    for address in (f"a{control}@example.org", f"a@exam{control}ple.org", f'"a{control}"@example.org'):
        with pytest.raises(InvalidMessage):
            envelope(b"x", address, "b@example.org")
        with pytest.raises(InvalidMessage):
            envelope(b"x", "a@example.org", [address])


def test_nothing_is_known_before_it_was_sent() -> None:
    receipt = envelope(b"x", "", ["b@example.org", "b@example.org"]).receipt_before_sending()

    assert (receipt.delivery, receipt.sender, receipt.octets, receipt.reply) == (Delivery.NOT_SENT, "", 0, None)
    assert [(to.address, to.reply, to.delivery) for to in receipt.recipients] == [
        ("b@example.org", None, Delivery.NOT_SENT)
    ] * 2


# The content


def test_octets_go_out_as_they_are_but_for_their_line_ends() -> None:
    assert content(b"Subject: x\n\nFrom here\r.\r\nlast") == b"Subject: x\r\n\r\nFrom here\r\n.\r\nlast\r\n"
    assert content(b"Subject: x\r\n\r\nbody\r") == b"Subject: x\r\n\r\nbody\r\n"


@given(st.binary(min_size=1))
def test_only_whole_lines_leave(octets: bytes) -> None:
    try:
        sent = content(octets)
    except InvalidMessage:
        assert b"\0" in octets
    else:
        assert sent.endswith(b"\r\n")
        assert sent.replace(b"\r\n", b"").translate(None, b"\r\n\0") == sent.replace(b"\r\n", b"")


@pytest.mark.parametrize(("octets", "expected"), [(b"", "is empty"), (b"a\0b", "a NUL at octet 1")])
def test_what_no_server_may_be_given_is_refused(octets: bytes, expected: str) -> None:
    with pytest.raises(InvalidMessage, match=expected):
        content(octets)


def test_a_large_message_goes_out_in_blocks() -> None:
    octets = b"0123456789abcdef\r\n" * 50_000
    blocks = list(Outgoing(octets, envelope(octets, "", "b@example.org"), ALL).blocks())

    assert b"".join(blocks) == octets
    assert len(blocks) > 1
    assert max(map(len, blocks)) <= 256 * 1024


def test_the_size_is_declared_where_the_server_wants_to_know_it() -> None:
    outgoing = Outgoing(b"12345678", envelope(b"x", "", "b@example.org"), ALL)

    assert outgoing.mail_parameters == {"SIZE": "10"}
    assert Outgoing(b"x", envelope(b"x", "", "b@example.org"), NONE).mail_parameters == {}
    assert Outgoing(b"x" * 99, envelope(b"x", "", "b@example.org"), Extensions({"SIZE": ()})).mail_parameters == {
        "SIZE": "101"
    }


def test_a_message_larger_than_the_server_takes_is_not_sent() -> None:
    with pytest.raises(NotSupported, match="12 octets, and the server takes 11") as error:
        content(b"1234567890", Extensions({"SIZE": ("11",)}))
    assert error.value.extension == "SIZE"


def test_octets_beyond_ascii_need_8bitmime() -> None:
    octets = "Subject: x\r\n\r\ngrüße\r\n".encode()

    assert Outgoing(octets, envelope(octets, "", "b@example.org"), ALL).mail_parameters["BODY"] == "8BITMIME"
    with pytest.raises(NotSupported) as error:
        content(octets, NONE)
    assert error.value.extension == "8BITMIME"


def test_a_message_is_made_to_fit_a_server_without_8bitmime() -> None:
    message = EmailMessage(policy=SMTP.clone(cte_type="8bit"))
    message["Subject"] = "x"
    message.set_content("grüße\n", cte="8bit")

    assert "grüße\r\n".encode() in content(message)
    assert content(message, NONE).isascii()
    assert email.message_from_bytes(content(message, NONE), policy=SMTP).get_content().strip() == "grüße"


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    message = headed(From="a@example.org", To="grüße@example.org", Subject="grüße")

    outgoing = Outgoing(message, envelope(message), ALL)
    assert "SMTPUTF8" in outgoing.mail_parameters
    assert outgoing.mail_parameters["SMTPUTF8"] is None
    assert "To: grüße@example.org\r\n".encode() in b"".join(outgoing.blocks())
    with pytest.raises(NotSupported) as error:
        Outgoing(message, envelope(message), Extensions({"8BITMIME": ()}))
    assert error.value.extension == "SMTPUTF8"


def test_a_message_of_an_older_policy_can_go_to_an_address_beyond_ascii() -> None:
    message = email.message_from_bytes(b"Subject: x\n\nbody\n")
    outgoing = Outgoing(message, envelope(message, "grüße@example.org", "b@example.org"), ALL)

    assert b"".join(outgoing.blocks()) == b"Subject: x\r\n\r\nbody\r\n"


def test_a_name_beyond_ascii_needs_nothing() -> None:
    message = headed(From="Älice <a@example.org>", To="b@example.org")

    assert b"=?utf-8?" in b"".join(Outgoing(message, envelope(message), NONE).blocks())


def test_a_line_that_begins_with_from_stays_so() -> None:
    message = Message(policy=compat32)
    message.set_payload("From here\nto there\n")

    assert content(message) == b"\r\nFrom here\r\nto there\r\n"


def test_the_callers_message_stays_as_it_was() -> None:
    message = compose(sender="a@example.org", to="b@example.org", bcc="c@example.org", text="t", html="<p>t</p>")
    before = (message.items(), [part.items() for part in message.walk()])
    nested = Message()
    nested["Content-Type"] = "multipart/mixed"
    nested.attach(Message())

    content(message)
    content(nested)

    assert (message.items(), [part.items() for part in message.walk()]) == before
    assert nested.get_boundary() is None


INJECTIONS = ["x\r\nBcc: y@z", "x\n\nbody", "x\rBcc: y@z", "x\n", "\r\nBcc: z", "x\0y"]


@pytest.mark.parametrize("value", INJECTIONS)
def test_a_header_field_is_one_field(value: str) -> None:
    for name in ("Subject", "From", "X-Other"):
        message = Message(policy=compat32)
        message[name] = value
        message.set_payload("body")
        with pytest.raises(InvalidMessage, match=f"the header field {name} must not hold a line end or NUL"):
            content(message)


def test_a_field_that_decodes_to_a_line_end_is_refused() -> None:
    message = email.message_from_bytes(b"Subject: =?utf-8?q?x=0D=0ABcc:_y=40z?=\r\n\r\nbody\r\n", policy=SMTP)

    with pytest.raises(InvalidMessage, match="the header field Subject"):
        content(message)


def test_a_folded_field_goes_out_folded() -> None:
    message = email.message_from_bytes(b"Subject: one\r\n two\r\nX: =?utf-8?q?=C3=A4?=\r\n\r\nbody\r\n")

    assert b"Subject: one\r\n two\r\n" in content(message)


def test_a_field_needs_a_name_that_is_one() -> None:
    message = Message()
    message["X Y"] = "z"

    with pytest.raises(InvalidMessage, match="expected the name of a header field"):
        content(message)


def test_parts_are_held_to_the_same() -> None:
    message, part = Message(), Message()
    message["Content-Type"] = "multipart/mixed"
    part["X"] = "y\r\n\r\nz"
    message.attach(part)

    with pytest.raises(InvalidMessage, match="the header field X"):
        content(message)


def test_what_breaks_the_generator_is_an_invalid_message() -> None:
    message = Message()
    message.set_payload("grüße")

    with pytest.raises(InvalidMessage, match="no octets can be made of the message"):
        content(message)


# compose


def test_a_composed_message_has_what_a_mail_needs() -> None:
    message = compose(
        sender=Address("Älice", "a", "example.org"),
        to=["b@example.org", "Some Name <c@example.org>"],
        cc="d@example.org",
        reply_to=Address("", "r", "example.org"),
        subject="Grüße",
        text="Hello\n",
        html="<p>Hello</p>",
    )
    parsed = email.message_from_bytes(content(message), policy=SMTP)

    assert parsed["From"].addresses[0].display_name == "Älice"
    assert [str(to) for to in envelope(message).recipients] == ["b@example.org", "c@example.org", "d@example.org"]
    assert (parsed["Subject"], parsed["Reply-To"]) == ("Grüße", "r@example.org")
    assert parsed["Message-ID"].endswith("@example.org>")
    assert parsed["Date"].datetime.tzinfo is not None
    assert [part.get_content_type() for part in parsed.walk()] == ["multipart/alternative", "text/plain", "text/html"]


def test_two_composed_messages_are_two() -> None:
    first, second = (compose(sender="a@example.org", to="b@example.org") for _ in range(2))

    assert first["Message-ID"] != second["Message-ID"]
    assert content(first) == content(first)


@pytest.mark.parametrize("value", ["x\n", "x\r", "x\r\ny", "x\0"])
def test_no_argument_that_becomes_a_field_holds_a_line_end(value: str) -> None:
    arguments = {"sender": "a@example.org", "to": "b@example.org"}
    for name in ("sender", "to", "cc", "bcc", "reply_to", "subject"):
        with pytest.raises(ValueError, match="must not hold a line end or NUL"):
            compose(**{**arguments, name: f"a@example.org{value}"})


@pytest.mark.parametrize("sender", ["", "nobody", "undisclosed:;", "<a@b>@c"])
def test_a_sender_that_is_no_address_is_refused(sender: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        compose(sender=sender, to="b@example.org")


# What was retrieved


def test_a_retrieved_message_is_parsed_on_request() -> None:
    message = RetrievedMessage(1, "uid", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nbody\r\n")

    assert message.parse()["Subject"] == "Grüße"
    assert "body" not in repr(message)


def test_a_message_that_was_sent_as_utf_8_is_parsed_as_such() -> None:
    message = EmailMessage(policy=SMTPUTF8)
    message["Subject"] = "Grüße"
    message.set_content("text")

    assert RetrievedMessage(1, None, content(message, sender="grüße@example.org")).parse()["Subject"] == "Grüße"

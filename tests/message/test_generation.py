import contextlib
import copy
import email
import threading
from collections.abc import Callable
from email import policy
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.mime.text import MIMEText
from email.policy import Policy
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage, NotSupported
from mailwire.message import Envelope, MessagePolicy, Outgoing
from mailwire.message.generation import check_header, generate, is_laborious, needs_utf8
from mailwire.message.verification import checking, verify
from mailwire.smtp import Mailbox
from tests.message.sending import (
    EIGHT_BIT,
    ENVELOPE,
    POLICIES,
    UTF8,
    A,
    B,
    all_of,
    offered,
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


def test_a_line_of_a_part_that_begins_with_from_is_not_mangled_either() -> None:
    message = MIMEMultipart()
    message.attach(MIMEText("From a@x.y\n"))
    assert b"\r\n\r\nFrom a@x.y\r\n" in wire(message)


def test_octets_in_a_field_of_a_part_are_made_to_fit_the_server() -> None:
    message = parsed(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment; filename=ä\n\nx\n--b--\n"
    )
    for extensions in ((), EIGHT_BIT):
        assert wire(message, *extensions).isascii()
        assert b"filename*=utf-8''%C3%A4\r\n" in wire(message, *extensions)


@pytest.mark.parametrize("of", POLICIES)
def test_bcc_is_for_the_envelope_alone(of: Policy) -> None:
    message = parsed("From: a@x.y\nBCC: b@x.y\nResent-Bcc: c@x.y\nBcc: d@x.y\nTo: e@x.y\n\nx\n", of)
    assert wire(message) == b"From: a@x.y\r\nTo: e@x.y\r\n\r\nx\r\n"


@pytest.mark.parametrize("of", POLICIES)
def test_bcc_is_left_out_where_it_is_the_last_field(of: Policy) -> None:
    assert wire(parsed("From: a@x.y\nBcc: b@x.y\n\nx\n", of)) == b"From: a@x.y\r\n\r\nx\r\n"


def test_a_message_that_was_resent_goes_out_with_its_resent_fields_but_for_the_hidden_ones() -> None:
    sent = wire(text_message(Resent_To="c@example.org", Resent_Bcc="d@example.org"))
    assert b"Resent-To: c@example.org\r\n" in sent
    assert b"d@example.org" not in sent


def test_octets_are_never_edited() -> None:
    assert wire(b"Bcc: b@x.y\r\n\r\n") == b"Bcc: b@x.y\r\n\r\n"


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("binary", [False, True])
def test_a_message_without_a_field_or_a_body_is_none(of: Policy, binary: bool) -> None:
    under, extensions = MessagePolicy(binary=binary), ("CHUNKING", "BINARYMIME")
    for text in ("", "\n", "Bcc: c@x.y\n", "Bcc: c@x.y\n\n"):
        with pytest.raises(InvalidMessage, match=r"^the message is empty: it has not even a header$"):
            wire(parsed(text, of), *extensions, under=under)
    assert wire(parsed("\nx", of), *extensions, under=under) == (b"\r\nx" if binary else b"\r\nx\r\n")
    assert wire(parsed("X: y", of), *extensions, under=under) == b"X: y\r\n\r\n"


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


def without_bcc(message: Message) -> Message:
    del message["Bcc"]
    return message


@pytest.mark.parametrize(
    "make",
    [
        nested,
        attached,
        lambda: without_bcc(nested()),
        lambda: text_message("x" * 2000 + "\n"),
        lambda: parsed("From: a@x.y\n\n" + "x" * 2000 + "\n"),
        lambda: parsed("From: a@x.y\nContent-Type: text/plain; charset=utf-8\n\n" + "ä\n" * 200_000),
        lambda: text_message("hällo\n", Bcc="c@x.y"),
        lambda: parsed(b"From: a@x.y\nBcc: c@x.y\nContent-Type: text/plain; charset=latin1\n\n\xe4\n", policy.compat32),
        lambda: parsed(b"From: a@x.y\nBcc: c@x.y\n\n\xe4\n"),
    ],
    ids=[
        *("nested", "attached", "nested without Bcc", "long lines", "long lines as read", "large"),
        *("text", "8-bit compat32", "8-bit"),
    ],
)
@pytest.mark.parametrize(("eight_bit", "utf8"), [(True, True), (True, False), (False, False)])
def test_the_caller_s_message_stays_as_it_is(make: Callable[[], Message], eight_bit: bool, utf8: bool) -> None:
    message = make()
    before = copy.deepcopy(message)
    generate(message, MessagePolicy(), eight_bit=eight_bit, utf8=utf8)

    def shape(part: Message) -> list[object]:
        return [
            (list(inner.raw_items()), inner.get_boundary(), inner.preamble, type(inner.get_payload()))
            for inner in part.walk()
        ]

    assert shape(message) == shape(before)
    assert [part.get_payload() for part in message.walk() if not part.is_multipart()] == [
        part.get_payload() for part in before.walk() if not part.is_multipart()
    ]


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("eight_bit", [False, True])
def test_octets_of_a_field_that_are_in_no_charset_are_encoded_for_a_server_of_seven_bits(
    of: Policy, eight_bit: bool
) -> None:
    message = parsed(b"From: a@x.y\nSubject: caf\xe9\n\nx\n", of)
    (octets,) = generate(message, MessagePolicy(), eight_bit=eight_bit, utf8=eight_bit)
    subject = b"caf\xe9" if eight_bit else b"=?unknown-8bit?q?caf=E9?="
    assert octets == b"From: a@x.y\r\nSubject: " + subject + b"\r\n\r\nx\r\n"


@pytest.mark.parametrize("of", POLICIES)
def test_octets_are_made_of_an_address_that_smtputf8_alone_can_express(of: Policy) -> None:
    # How it is written then, depends on the version of Python: it does not leave.
    message = parsed("From: a@x.y\nTo: \u00fc <\u00e4@x.y>, c@x.y\n\nx\n", of)
    (octets,) = generate(message, MessagePolicy(), eight_bit=True, utf8=False)
    assert isinstance(octets, bytes)
    assert octets.startswith(b"From: a@x.y\r\nTo: ")
    assert octets.endswith(b", c@x.y\r\n\r\nx\r\n")


@pytest.mark.parametrize("make", [nested, lambda: without_bcc(nested())])
def test_a_boundary_is_chosen_for_what_leaves_and_not_for_the_message_itself(make: Callable[[], Message]) -> None:
    message = make()
    for _ in range(2):
        generate(message, MessagePolicy(), eight_bit=True, utf8=False)
        assert [part.get_boundary() for part in message.walk() if part.is_multipart()] == [None, None]


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
    assert again.get_payload(decode=True) == b"\xe4\r\n"


@pytest.mark.parametrize("of", POLICIES)
def test_a_text_in_eight_bits_that_does_not_say_so_is_made_to_fit_the_server(of: Policy) -> None:
    message = parsed(b"From: a@x.y\nContent-Type: text/plain; charset=latin1\n\n\xe4\n", of)
    assert wire(message) == (
        b"From: a@x.y\r\nContent-Type: text/plain; charset=latin1\r\n"
        b"Content-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\n5A0K\r\n"
    )


@pytest.mark.parametrize("of", POLICIES)
def test_a_text_in_eight_bits_of_an_unknown_charset_is_made_to_fit_the_server(of: Policy) -> None:
    message = parsed(b"From: a@x.y\n\n\xe4\n", of)
    assert wire(message, *EIGHT_BIT) == b"From: a@x.y\r\n\r\n\xe4\r\n"
    assert wire(message) == (b"From: a@x.y\r\nContent-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\n5A0K\r\n")


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


@pytest.mark.parametrize("name", ["To", "resent-from"])
def test_in_an_address_field_of_the_older_kind_the_names_are_encoded_and_not_the_addresses(name: str) -> None:
    message: Any = Message()
    message[name] = Header("Ü <b@x.y>", "utf-8")
    message.set_payload("hello\n")
    again = email.message_from_bytes(wire(message), policy=policy.default)
    assert again[name].addresses == (Address("Ü", "b", "x.y"),)


def test_octets_that_nobody_knows_are_encoded_behind_a_header_in_utf_8() -> None:
    message = EmailMessage()
    message["To"] = "bü@x.y"
    message.set_payload("\udce4\n")
    parts = generate(message, MessagePolicy(), eight_bit=False, utf8=True)
    (octets,) = parts
    assert isinstance(octets, bytes)
    assert "To: bü@x.y\r\n".encode() in octets
    assert octets.endswith(b"\r\n\r\n5A0K\r\n")


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
def test_an_encoded_line_end_in_a_field_stays_encoded_or_is_refused(value: str) -> None:
    message = parsed("From: a@x.y\n\nx\n")
    message.set_raw("Subject", value)  # as it was read
    assert wire(message) == f"From: a@x.y\r\nSubject: {value}\r\n\r\nx\r\n".encode()
    with contextlib.suppress(ValueError):  # some versions of the standard library refuse it themselves
        assigned = text_message(Subject=value)
        with pytest.raises(InvalidMessage, match="Subject must not hold a line end or NUL"):
            wire(assigned)


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
        wire(message, *EIGHT_BIT)
    with pytest.raises(InvalidMessage, match="the text of the message cannot be written in ASCII"):
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


# Header injection, whatever the version of the standard library


FIELD_TEXT = st.text(
    st.sampled_from('ab:; \t\r\n\x0b\x0c\x1c\x85\u2028\u2029é<>@,=?"\\()[]') | st.characters(exclude_categories=["Cs"]),
    max_size=40,
) | st.sampled_from(
    [
        *(
            "x\r\nBcc: e@x.y",
            "x\r\n\r\nbody",
            "x\nBcc: e@x.y",
            "x\n y",
            "=?utf-8?q?x=0d=0aBcc:_e=40x.y?=",
            "\x85Bcc: e@x.y",
        ),
        *(
            "x\u2028Bcc: e@x.y",
            "x\x0bBcc: e@x.y",
            "é" * 50 + "\x1cBcc: e@x.y",
            "a" * 1200,
            "b c " * 400,
            "\udcff",
            "\udcc3\udcbc",
        ),
    ]
)
FIELD_NAMES = st.sampled_from(
    ["Subject", "X-Odd", "To", "From", "Reply-To", "Message-ID", "Date", "Content-Language", "Bcc"]
)


@given(
    st.lists(st.tuples(FIELD_NAMES, FIELD_TEXT), max_size=5), st.sampled_from(POLICIES), st.booleans(), st.booleans()
)
def test_what_is_generated_has_the_fields_that_the_message_has(
    fields: list[tuple[str, str]], of: Policy, assigned: bool, takes_utf8: bool
) -> None:
    message: Any = EmailMessage(policy=of) if of is not policy.compat32 else Message()
    message["X-First"] = "1"
    for name, value in fields:
        try:
            if assigned:
                message[name] = value
            else:
                message.set_raw(name, value)
        except Exception:
            continue  # the standard library has refused or failed
    message.set_payload("hello\n")
    try:
        sent = wire(message, *(UTF8 if takes_utf8 else ()))
    except (InvalidMessage, NotSupported):
        return
    header, _, body = sent.partition(b"\r\n\r\n")
    assert body == b"hello\r\n"
    names = [line.partition(b":")[0].decode() for line in header.split(b"\r\n") if line[:1] not in b" \t"]
    assert names == [name for name, _ in message.raw_items() if name != "Bcc"]
    # And as the standard library reads it again.
    assert email.message_from_bytes(sent, policy=policy.compat32).keys() == names


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("of", POLICIES)
def test_what_python_takes_for_a_line_end_makes_no_field(of: Policy, separator: str) -> None:
    message = parsed("From: a@x.y\n\nx\n", of)
    message.set_raw("Subject", f"x{separator}Bcc: e@x.y")
    for extensions in ((), EIGHT_BIT, UTF8):
        try:
            sent = wire(
                message, *extensions, envelope=Envelope(Mailbox("ä", "x.y"), (B,)) if extensions == UTF8 else ENVELOPE
            )
        except InvalidMessage:
            continue
        assert email.message_from_bytes(sent, policy=policy.compat32).keys() == ["From", "Subject"]


# Addresses beyond ASCII in the header


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("name", ["From", "Sender", "Reply-To", "To", "Cc", "Resent-To"])
def test_an_address_beyond_ascii_in_the_header_needs_smtputf8(of: Policy, name: str) -> None:
    read = parsed(f"{name}: Ü <b@exämple.org>\nSubject: Grüße\n\nx\n", of)
    assigned: Any = EmailMessage(policy=of) if of is not policy.compat32 else Message()
    assigned[name] = "Ü <b@exämple.org>"
    assigned["Subject"] = "Grüße"
    assigned.set_payload("x\n")
    for message in (read, assigned):
        sent = wire(message, *UTF8)
        assert f"{name}: Ü <b@exämple.org>\r\n".encode() in sent
        assert parameters(message, *UTF8) == {"BODY": "8BITMIME", "SMTPUTF8": None}
        with pytest.raises(NotSupported, match="SMTPUTF8") as caught:
            wire(message, *EIGHT_BIT)
        assert caught.value.extension == "SMTPUTF8"


@pytest.mark.parametrize("of", POLICIES)
def test_with_an_encoder_the_header_has_a_labels(of: Policy) -> None:
    text = 'Ü <b@exämple.org>, "c, d" <c@exämple.org>, exämple: e@x.y, f@ü;'
    read = parsed(f"To: {text}\n\nx\n", of)
    assigned: Any = EmailMessage(policy=of) if of is not policy.compat32 else Message()
    assigned["To"] = text
    assigned.set_payload("x\n")
    encoding = MessagePolicy(encode_domain={"exämple.org": "xn--exmple-cua.org", "ü": "xn--tda"}.__getitem__)
    for message in (read, assigned):
        sent = wire(message, under=encoding)
        assert sent.isascii()
        again = email.message_from_bytes(sent, policy=policy.default)
        assert [address.addr_spec for address in again["To"].addresses] == [
            *("b@xn--exmple-cua.org", "c@xn--exmple-cua.org", "e@x.y", "f@xn--tda")
        ]
        assert [address.display_name for address in again["To"].addresses] == ["Ü", "c, d", "", ""]
        assert "SMTPUTF8" not in parameters(message, *UTF8, under=encoding)


def test_with_an_encoder_a_local_part_beyond_ascii_still_needs_smtputf8() -> None:
    message = text_message(To="bü@exämple.org, c@exämple.org")
    encoding = MessagePolicy(encode_domain=lambda domain: "xn--exmple-cua.org")
    assert "To: bü@exämple.org, c@exämple.org\r\n".encode() in wire(message, *UTF8, under=encoding)
    with pytest.raises(NotSupported):
        wire(message, under=encoding)


@pytest.mark.parametrize("of", POLICIES)
def test_names_beyond_ascii_that_were_parsed_are_encoded(of: Policy) -> None:
    message = parsed("From: Zoë <a@x.y>\nSubject: Grüße\nX-Odd: ä\n\nx\n", of)
    for extensions in ((), EIGHT_BIT):
        sent = wire(message, *extensions)
        assert sent.isascii()
        again = email.message_from_bytes(sent, policy=policy.default)
        assert (again["Subject"], again["X-Odd"]) == ("Grüße", "ä")
        assert again["From"].addresses == (Address("Zoë", "a", "x.y"),)


@pytest.mark.parametrize("of", POLICIES)
def test_octets_in_a_header_that_are_not_utf_8_stay_or_are_marked(of: Policy) -> None:
    message = parsed(b"From: a@x.y\nSubject: Gr\xfc\xdfe\n\nx\n", of)
    sent = wire(message, *UTF8)
    assert b"Gr\xfc\xdfe" in sent or b"=?unknown-8bit?" in sent
    assert "SMTPUTF8" not in parameters(message, *UTF8)


@pytest.mark.parametrize("fold", ["\r\n ", "\n\t"])
def test_a_folded_field_with_octets_that_are_not_utf_8_leaves_as_it_is(fold: str) -> None:
    message = parsed(f"From: a@x.y\nSubject: Gr\xfc\xdfe{fold}x\n\nx\n".encode("latin-1"), policy.compat32)
    expected = f"From: a@x.y\r\nSubject: Gr\xfc\xdfe\r\n{fold[-1]}x\r\n\r\nx\r\n"
    assert wire(message, *EIGHT_BIT) == expected.encode("latin-1")


@pytest.mark.parametrize("of", POLICIES)
def test_what_looks_like_an_address_in_another_field_is_none(of: Policy) -> None:
    message = parsed("From: a@x.y\nSubject: b@exämple.org\n\nx\n", of)
    assert not needs_utf8(message, None)
    sent = wire(message, under=MessagePolicy(encode_domain=lambda domain: "xn--exmple-cua.org"))
    assert email.message_from_bytes(sent, policy=policy.default)["Subject"] == "b@exämple.org"


def test_a_field_that_holds_no_addresses_needs_nothing() -> None:
    message = parsed("From: a@x.y\nTo: Jürgen\n\nx\n")
    assert wire(message).isascii()


def test_an_address_beyond_ascii_that_is_not_sent_needs_nothing() -> None:
    for name in ("Bcc", "Resent-Bcc"):
        message = text_message(**{name.replace("-", "_"): "é@exämple.org"}, Subject="é")
        assert not needs_utf8(message, None)
        assert wire(message).isascii()
        assert needs_utf8(parsed(f"{name}: é@x.y\nTo: é@x.y\n\nx\n"), None)


# Message ids beyond ASCII

ID_FIELDS = ["Message-ID", "In-Reply-To", "References", "Resent-Message-ID", "Content-ID", "message-id"]


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("name", ID_FIELDS)
def test_a_message_id_beyond_ascii_needs_smtputf8(name: str, of: Policy) -> None:
    read = parsed(f"From: a@x.y\n{name}: <é@exämple.org>\n\nx\n", of)
    assigned: Any = EmailMessage(policy=of) if of is not policy.compat32 else Message()
    assigned["From"], assigned[name] = "a@x.y", "<é@exämple.org>"
    assigned.set_payload("x\n")
    for message in (read, assigned):
        assert wire(message, *UTF8) == f"From: a@x.y\r\n{name}: <é@exämple.org>\r\n\r\nx\r\n".encode()
        assert parameters(message, *UTF8) == {"BODY": "8BITMIME", "SMTPUTF8": None}
        with pytest.raises(NotSupported, match="a message id has characters beyond ASCII") as caught:
            wire(message, *EIGHT_BIT, under=MessagePolicy(encode_domain=lambda domain: "xn--exmple-cua.org"))
        assert caught.value.extension == "SMTPUTF8"


def test_a_message_id_that_is_no_text_needs_nothing() -> None:
    for name in ID_FIELDS:
        assert not needs_utf8(parsed(f"From: a@x.y\n{name}: <\xe9@x.y>\n\nx\n".encode("latin-1")), None)
        assert not needs_utf8(parsed(f"From: a@x.y\nSubject: é\n{name}: <e@x.y>\n\nx\n"), None)


@pytest.mark.parametrize("name", ["Disposition-Notification-To", "Return-Receipt-To", "Errors-To"])
def test_in_whatever_field_an_address_beyond_ascii_needs_smtputf8(name: str) -> None:
    for message in (text_message(**{name.replace("-", "_"): "Ü <é@x.y>"}), parsed(f"{name}: Ü <é@x.y>\n\nx\n")):
        assert f"{name}: Ü <é@x.y>\r\n".encode() in wire(message, *UTF8)
        with pytest.raises(NotSupported, match="SMTPUTF8"):
            wire(message, *EIGHT_BIT)


# What a field of addresses says


EVIL = "Smith, John <evil@example.com>, "
LISTS: list[list[Address]] = [
    [Address(EVIL + "word " * 20, "u", "example.org")],
    [Address(EVIL + "x" * 90, "u", "example.org")],
    [Address(EVIL + "Jöhn " * 20, "u", "example.org")],
    [Address("Łukasz Kowalski (Dział IT, Warszawa)", f"user{number}", "x.de") for number in range(8)],
    [Address("Smith, J. (Ltd.)", f"user{number}", "example.org") for number in range(8)],
    [Address("=?utf-8?q?Smith=2C_evil=40example=2Ecom=2C?=", "u", "example.org")],
    [Address("", "a b", "example.org"), Address('"', "c", "example.org"), Address("\\", "d", "example.org")],
]


def said_by(message: Any, name: str) -> list[Address]:
    """The addresses in the only field of that name, without blanks in their names: the standard library shows those
    between encoded words."""
    (value,) = message.get_all(name, [])
    return [
        Address("".join(address.display_name.split()), address.username, address.domain) for address in value.addresses
    ]


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("of", [policy.default, policy.SMTP, policy.SMTPUTF8])
@pytest.mark.parametrize("people", LISTS)
@pytest.mark.parametrize("name", ["From", "To", "Reply-To"])
def test_a_field_says_the_same_once_it_is_written(name: str, people: list[Address], of: Any, utf8: bool) -> None:
    message: Any = EmailMessage(policy=of)
    message[name] = people
    expected = said_by(message, name)
    assert [person.addr_spec for person in expected] == [person.addr_spec for person in people]
    message.set_content("x\n")
    under = MessagePolicy(smtputf8=utf8)
    for sent in (wire(message, *UTF8, under=under), wire(parsed(wire(message, *UTF8, under=under)), *UTF8)):
        assert said_by(email.message_from_string(sent.decode(), policy=policy.default), name) == expected


@pytest.mark.parametrize("name", ["From", "To"])
def test_the_commas_of_an_encoded_word_do_not_part_addresses(name: str) -> None:
    value = "=?utf-8?q?Smith=2C_evil=40example=2Ecom=2C?= <a@b.c>"
    for message in (text_message(), parsed("X: x\n\nx\n")):
        del message[name]
        message[name] = value
        for under in (MessagePolicy(), MessagePolicy(smtputf8=True)):
            assert f'\r\n{name}: "Smith, evil@example.com," <a@b.c>\r\n'.encode() in wire(message, *UTF8, under=under)


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Jü =?utf-8?q?=2C_evil=40example=2Ecom=2C?= <a@b.c>",
            "=?utf-8?q?J=C3=BC_?= =?utf-8?q?=2C_evil=40example=2Ecom=2C?= <a@b.c>",
        ),
        ("a@b.c (Jürgen Müller)", "a@b.c (=?utf-8?q?J=C3=BCrgen_M=C3=BCller?=)"),
        ('Jü, "Jü, a@b.c', '=?utf-8?q?J=C3=BC?=, "=?utf-8?q?J=C3=BC?=, a@b.c'),
    ],
)
def test_what_is_encoded_already_and_comments_stay_what_they_are(of: Policy, text: str, expected: str) -> None:
    for name in ("From", "Errors-To", "Disposition-Notification-To", "Return-Receipt-To", "Resent-From"):
        sent = wire(parsed(f"{name}: {text}\n\nx\n", of))
        assert sent.replace(b"\r\n ", b" ") == f"{name}: {expected}\r\n\r\nx\r\n".encode()
    assert wire(parsed(f"X-Odd: é\nFrom: {text}\n\nx\n", of), *UTF8, under=MessagePolicy(smtputf8=True)) == (
        f"X-Odd: é\r\nFrom: {text}\r\n\r\nx\r\n".encode()
    )


@pytest.mark.parametrize("of", POLICIES)
def test_a_long_line_of_addresses_is_broken_and_nothing_else(of: Policy) -> None:
    text = '"Smith, evil@example.com, J." <a@b.c>, ' * 45 + "z@b.c"
    sent = wire(parsed(f"To: {text}\n\nx\n", of))
    assert sent.replace(b"\r\n", b"") == f"To: {text}x".encode()
    assert max(map(len, sent.split(b"\r\n"))) <= 78


def test_a_comment_in_ascii_stays_where_the_standard_library_leaves_it() -> None:
    assert b"\r\nTo: a@b.c (Ann, b@b.c)\r\n" in wire(text_message(To="a@b.c (Ann, b@b.c)"))
    assert b"\r\nTo: a@b.c\r\n" in wire(text_message(To="a@b.c (Jürgen, Müller)"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What only the standard library takes for addresses, if anybody.
        ("undisclosed recipients", "undisclosed recipients"),
        ("[Team] Ann <a@x.y>", "[Team] Ann <a@x.y>"),
        ("foo, a@x.y", "foo, a@x.y"),
        ("=?utf-8?q?evil=40x=2Ey?=", '"evil@x.y"'),
        ("=?utf-8?q?=22?=", r'"\""'),
        ("foo, =?utf-8?q?Smith=2C_evil=40x=2Ey=2C?= <a@x.y>", 'foo, "Smith, evil@x.y," <a@x.y>'),
        ("foo, =?utf-8?q?=22=2C?= <a@x.y>", r'foo, "\"," <a@x.y>'),
    ],
)
def test_what_is_no_list_of_addresses_says_the_same_too(text: str, expected: str) -> None:
    assert f"\r\nTo: {expected}\r\n".encode() in wire(text_message(To=text))


def test_in_a_part_an_address_that_only_smtputf8_can_express_is_left_to_the_standard_library() -> None:
    outer, inner = text_message(), text_message(Cc="bü@x.y, Jü <c@x.y>")
    outer.add_attachment(inner)
    assert b"\r\nCc: =?utf-8?" in wire(outer, *EIGHT_BIT)
    assert "\r\nCc: bü@x.y, Jü <c@x.y>\r\n".encode() in wire(outer, *UTF8, under=MessagePolicy(smtputf8=True))


def test_in_a_field_that_the_standard_library_takes_for_text_addresses_stay_addresses_too() -> None:
    sent = wire(text_message(Errors_To="Jürgen, J. <a@x.y>", Disposition_Notification_To="Jürgen <a@x.y>"))
    assert b"\r\nErrors-To: =?utf-8?q?J=C3=BCrgen=2C?= J. <a@x.y>\r\n" in sent  # which is no list of addresses
    assert b"\r\nDisposition-Notification-To: =?utf-8?q?J=C3=BCrgen?= <a@x.y>\r\n" in sent


def test_quotes_round_what_is_encoded_go_from_addresses_and_stay_in_a_text() -> None:
    sent = wire(text_message(Errors_To='"Ö z" <a@x.y>', Subject='"Ö z" <a@x.y>'))
    assert b"\r\nErrors-To: =?utf-8?q?=C3=96_z?= <a@x.y>\r\n" in sent
    assert email.message_from_bytes(sent, policy=policy.default)["Subject"] == '"Ö z" <a@x.y>'


def test_what_is_written_anew_is_in_utf_8_under_smtputf8_alone() -> None:
    message = text_message(Reply_To="=?utf-8?q?J=C3=BC=2C?= <a@b.c>")
    assert b"\r\nReply-To: =?utf-8?q?J=C3=BC=2C?= <a@b.c>\r\n" in wire(message, *UTF8)
    assert '\r\nReply-To: "Jü," <a@b.c>\r\n'.encode() in wire(message, *UTF8, under=MessagePolicy(smtputf8=True))


def test_a_field_of_the_newer_kind_may_stand_in_a_message_of_the_older() -> None:
    message: Any = Message()
    message["To"] = text_message(To="Ü <b@x.y>")["To"]
    message.set_payload("x\n")
    assert wire(message) == b"To: =?utf-8?q?=C3=9C?= <b@x.y>\r\n\r\nx\r\n"


def test_addresses_beside_octets_that_are_not_utf_8_stay_as_they_are() -> None:
    for of in POLICIES:
        octets = b"To: J\xfc <a@x.y>\r\n\r\nx\r\n"
        assert wire(parsed(octets, of), *EIGHT_BIT).replace(b"=?unknown-8bit?q?J=FC?=", b"J\xfc") == octets


def test_octets_that_are_no_text_are_marked() -> None:
    assert b"\r\nTo: =?unknown-8bit?q?J=FC?= <a@x.y>\r\n" in wire(text_message(To="J\udcfc <a@x.y>"))


# Fields that are long


def test_a_field_that_was_parsed_is_written_as_it_was_read() -> None:
    field = "X-Odd: " + "word " * 60 + "\r\n"
    assert wire(parsed(f"From: a@x.y\n{field}\nx\n")) == f"From: a@x.y\r\n{field}\r\nx\r\n".encode()


@pytest.mark.parametrize("of", POLICIES)
def test_a_field_longer_than_a_line_may_be_is_folded(of: Policy) -> None:
    sent = wire(parsed("From: a@x.y\nSubject: " + "word " * 400 + "\n\nx\n", of))
    assert max(map(len, sent.split(b"\r\n"))) <= 998
    assert email.message_from_bytes(sent, policy=policy.default)["Subject"].split() == ["word"] * 400


def test_a_field_that_is_too_long_to_be_rewritten_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="the header field Subject has more than 10000 characters"):
        wire(parsed("From: a@x.y\nSubject: " + "word " * 4000 + "\n\nx\n"))


def test_a_field_of_10000_characters_is_rewritten_still() -> None:
    value = "word " * 2000
    message = parsed(f"From: a@x.y\nSubject: {value[:-1]}s\n\nx\n")
    assert email.message_from_bytes(wire(message), policy=policy.default)["Subject"].split()[-1] == "words"
    with pytest.raises(InvalidMessage, match=r"^the header field Subject has more than 10000 characters, and must be "):
        wire(parsed(f"From: a@x.y\nSubject: {value}s\n\nx\n"))


def test_bombs_in_a_header_are_not_parsed() -> None:
    # The standard library's parser takes minutes for the first, and goes into itself a thousand times for the second.
    bombs = [b"To: " + b"." * 40_000, b"Content-Language: " + b"(" * 900, b"X-Odd: " + b"=?" * 400]
    for bomb in bombs:
        folded = b"\n ".join(bomb[start : start + 900] for start in range(0, len(bomb), 900))
        message = parsed(b"From: a@x.y\n" + folded + b"\n\nx\n")
        assert wire(message) == b"From: a@x.y\r\n" + folded.replace(b"\n", b"\r\n") + b"\r\n\r\nx\r\n"


# Parts


def test_parts_that_are_nested_too_deep_are_refused() -> None:
    message: Message = MIMEText("x")
    for _ in range(2000):
        outer = MIMEMultipart()
        outer.attach(message)
        message = outer
    with pytest.raises(InvalidMessage, match="nested more than 64 deep"):
        wire(message)


def test_parts_may_be_nested_64_deep() -> None:
    message: Message = MIMEText("x")
    for _ in range(64):
        outer = MIMEMultipart()
        outer.attach(message)
        message = outer
    check_header(message)
    outer = MIMEMultipart()
    outer.attach(message)
    with pytest.raises(InvalidMessage, match=r"^the message has parts that are nested more than 64 deep$"):
        check_header(outer)


def test_what_a_field_holds_is_looked_at_in_each_of_its_kinds() -> None:
    message: Any = Message()
    message["Subject"] = Header("a\0b")
    with pytest.raises(InvalidMessage) as caught:
        check_header(message)
    assert str(caught.value) == r"the header field Subject must not hold a line end or NUL, got 'a\x00b'"
    check_header(text_message(Date="Thu, 26 Nov 2026 12:00:00 +0000"))
    with pytest.raises(InvalidMessage) as caught:
        check_header(text_message(Date="garbage"))
    assert str(caught.value) == "expected a date in the field Date, got 'garbage'"


def bounced() -> Message:
    return parsed(
        "From: a@x.y\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
        "Final-Recipient: rfc822; b@x.y\nAction: failed\n\nFinal-Recipient: rfc822; c@x.y\nAction: failed\n\n"
        "--b\nContent-Type: message/rfc822\n\nSubject: inner\n\nhello\n--b--\n"
    )


def digest() -> Message:
    return parsed(
        "From: a@x.y\nMIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n"
        "--b\n\nSubject: one\n\nhello\n--b\n\nSubject: two\n\nhello\n--b--\n"
    )


def without_parts() -> Message:
    return parsed("From: a@x.y\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\nhello\n")


@pytest.mark.parametrize("make", [nested, attached, bounced, digest, without_parts])
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT, UTF8])
def test_a_message_of_parts_goes_out_with_all_of_them(make: Callable[[], Message], extensions: tuple[str, ...]) -> None:
    message = make()
    again = email.message_from_bytes(wire(message, *extensions), policy=policy.default)
    assert [part.get_content_type() for part in again.walk()] == [part.get_content_type() for part in message.walk()]


FORGED = "two\n--b\nX-Forged: x\n\nthree\n--b--\nfour\n"


def holding(text: str, boundary: str = "b") -> MIMEMultipart:
    message = MIMEMultipart(boundary=boundary)
    for each in ("one", text, "five"):
        message.attach(MIMEText(each))
    return message


def texts_in(message: Message) -> list[object]:
    """The texts in a message, part by part, as they are when it was sent."""
    again = email.message_from_bytes(wire(message), policy=policy.default)
    decoded = [part.get_payload(decode=True) for part in again.walk() if not part.is_multipart()]
    return [octets.decode().replace("\r\n", "\n") for octets in decoded if isinstance(octets, bytes)]


@pytest.mark.parametrize(
    "text",
    [
        *(FORGED, "two\r\n--b \t\r\n", "--b", "--b--", "--but no more", "in -- --b a line"),
        # What is encoded may get the end of a line where it had none.
        "x" * 75 + "--b\nX-Forged: x\n\n" + "x" * 1000,
    ],
)
@pytest.mark.parametrize("large", [10, 1_000_000])
def test_a_delimiter_that_a_body_holds_is_replaced(text: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailwire.message.payloads.LARGE", large)
    message = holding(text)
    sent = wire(message)
    assert texts_in(message) == ["one", text.replace("\r\n", "\n"), "five"]
    assert message.get_boundary() == "b"
    first, second = (email.message_from_bytes(each).get_boundary() for each in (sent, wire(message)))
    assert first is not None
    assert second is not None
    assert first.startswith("=_")
    assert len(first) == 34
    assert first != second


def test_a_delimiter_that_no_body_holds_stays() -> None:
    message = holding("-b\n-- b\nb\n")
    message.epilogue = "--b"  # behind the end nobody looks for it
    outer = MIMEMultipart(boundary="o")
    outer.attach(message)
    outer.attach(message)  # as a message may be there twice
    for each, count in ((message, 1), (outer, 2)):
        assert wire(each).count(b'boundary="b"') == wire(each).count(b"--b--\r\n") == count


@pytest.mark.parametrize("inner", ["b", "b1"])
def test_a_delimiter_that_parts_within_parts_have_as_well_is_replaced(inner: str) -> None:
    # RFC 2046 5.1.1: it is sufficient that a line begins with it.
    outer = MIMEMultipart(boundary="b")
    outer.attach(holding("two", inner))
    outer.attach(MIMEText("six"))
    assert texts_in(outer) == ["one", "two", "five", "six"]
    sent = wire(outer)
    assert email.message_from_bytes(sent).get_boundary() != "b"
    assert f'boundary="{inner}"'.encode() in sent


def test_a_delimiter_is_looked_for_in_all_that_is_around_the_parts() -> None:
    message = holding("two")
    message.preamble = FORGED
    assert texts_in(message) == ["one", "two", "five"]
    outer = MIMEMultipart(boundary="o")
    outer.attach(message)
    outer.attach(MIMEText("six"))
    message.preamble, message.epilogue = None, "--o\n\nforged\n"
    assert texts_in(outer) == ["one", "two", "five", "six"]
    message.epilogue, message.preamble = None, "--o\n\nforged\n"
    assert texts_in(outer) == ["one", "two", "five", "six"]
    whole = EmailMessage()
    whole.set_content(text_message("--o\n\nforged\n"))
    message.preamble = None
    outer.attach(whole)
    assert texts_in(outer) == ["one", "two", "five", "six", "--o\n\nforged\n"]


def test_a_delimiter_is_looked_for_in_front_of_other_parts_too() -> None:
    message = MIMEMultipart(boundary="b")
    message.attach(MIMEText(FORGED))
    message.attach(holding("two", "other"))
    assert texts_in(message) == [FORGED, "one", "two", "five"]


def test_a_message_that_was_parsed_takes_its_own_text_as_a_part() -> None:
    octets = wire(holding("two"))
    message = parsed(octets)
    message.attach(MIMEText(octets.decode()))
    assert texts_in(message) == ["one", "two", "five", octets.decode().replace("\r\n", "\n")]


def test_a_delimiter_of_what_is_signed_is_not_replaced() -> None:
    for text in ("--bx", "x --b", "--b-", "--b x", "--b--x", "--bX", "--b\x0c"):
        sent = wire(parsed(SIGNED.format("x").replace("\nx\n", f"\n{text}\n")))
        assert f"\r\n{text}\r\n".encode() in sent
        assert b"boundary=b;" in sent
    for text in ("--b", "x\n--b", "--b--", "--b \t", "--b-- \n", "x\r--b\r", "--b\r\nx"):
        message = parsed(SIGNED.format("x"))
        part: Any = message.get_payload(0)
        part.set_payload(text)
        with pytest.raises(
            InvalidMessage,
            match=r"^a part of the message, which is signed, holds the delimiter of what it is a part of$",
        ):
            wire(message)


class Careless(policy.EmailPolicy):
    """A policy whose folding lets everything through, as that of some versions of the standard library does."""

    def fold(self, name: str, value: str) -> str:
        return f"{name}: {value}{self.linesep}"

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value.replace("|", "\r\n")).encode()


@pytest.mark.parametrize("value", ["x|Bcc: e@x.y", "x||body", "x|", "x| y|z"])
def test_a_line_end_that_the_generator_lets_through_is_found(value: str) -> None:
    message = EmailMessage(policy=Careless())
    message["From"] = "a@x.y"
    message.set_raw("X-Odd", value)
    message.set_payload("hello\n")
    with pytest.raises(InvalidMessage, match="the header field X-Odd cannot be written as one field"):
        wire(message)
    outer = MIMEMultipart(policy=Careless())
    outer.attach(message)
    with pytest.raises(InvalidMessage, match="the header field X-Odd cannot be written as one field"):
        wire(outer)
    with pytest.raises(InvalidMessage, match="expected a header with the fields"):
        verify(b"X: y\r\n\r\n" + wire(nested()), outer)


@pytest.mark.parametrize(
    "folded",
    [
        *(b"", b"X-Odd: x", b"X-Odd: x\n", b"X-Odd\r\n", b"X-Other: x\r\n", b" X-Odd: x\r\n", b"X-Odd: x\0\r\n"),
        *(b"X-Odd: x\n\r\n", b"X-Odd: x\r\r\n"),
        *(b"X-Odd: x\ny\r\n", b"X-Odd: x\ry\r\n", b"X-Odd: x\r\n y\nz\r\n", b"X-Odd: x\r\n y\rz\r\n"),
        *(b"X-Odd: x\r\ny: z\r\n", b"X-Odd: x\r\n\r\n", b"X-Odd: x\r\n \r\n y\r\n", b"X-Odd: x\r\n\t\r\n"),
    ],
)
def test_what_is_written_for_a_field_must_be_that_field(folded: bytes) -> None:
    class Odd(policy.EmailPolicy):
        def fold_binary(self, name: str, value: str) -> bytes:
            return folded if name == "X-Odd" else super().fold_binary(name, value)

    message = EmailMessage(policy=Odd())
    message["From"] = "a@x.y"
    message["X-Odd"] = "ä"
    with pytest.raises(InvalidMessage, match="the header field X-Odd cannot be written as one field"):
        wire(message)


@pytest.mark.parametrize("bare", [b"\n", b"\r"])
def test_a_bare_line_end_in_a_generated_header_is_found(bare: bytes) -> None:
    message = parsed("From: a@x.y\nSubject: x\n\nhello\n")
    with pytest.raises(InvalidMessage, match="expected CRLF alone in the header"):
        verify(b"From: a@x.y\r\nSubject: x" + bare + b"Bcc: e@x.y\r\n\r\nhello\r\n", message)


def test_a_delimiter_that_is_missing_is_found() -> None:
    message = nested()
    del message["Bcc"]
    with pytest.raises(InvalidMessage, match=r"the delimiter .* is not where it should be"):
        verify(wire(message).replace(b"\r\n--", b"\r\n-"), message)


def test_the_blocks_of_a_delivery_status_are_verified_each() -> None:
    octets = wire(bounced())
    for field in (b"Reporting-MTA: dns; x", b"Final-Recipient: rfc822; b@x.y", b"Final-Recipient: rfc822; c@x.y"):
        with pytest.raises(InvalidMessage, match="expected a header with the fields"):
            verify(octets.replace(field, b"X-Forged: x\r\n" + field), bounced())


def test_what_holds_a_message_holds_one() -> None:
    # The standard library's generator writes no more than the first.
    outer, first, second = Message(), Message(), Message()
    outer["Content-Type"], first["Subject"], second["X-Second"] = "message/rfc822", "one", "two"
    first.set_payload("1\n")
    outer.set_payload([first, second])
    assert wire(outer) == b"Content-Type: message/rfc822\r\n\r\nSubject: one\r\n\r\n1\r\n"


def test_a_boundary_that_is_octets_is_found() -> None:
    class Raw(policy.Compat32):
        def header_fetch_parse(self, name: str, value: str) -> str:
            return value

    octets = b'From: a@x.y\r\nContent-Type: multipart/mixed; boundary="\xe4"\r\n\r\n--\xe4\r\n\r\nx\r\n--\xe4--\r\n'
    assert wire(parsed(octets, Raw()), *EIGHT_BIT) == octets


def test_the_policy_that_checks_shows_itself_as_one() -> None:
    assert repr(checking(policy.SMTP.clone(utf8=True), as_read=False)).startswith("Checking(")


def test_a_message_that_is_all_header_is_verified_too() -> None:
    message = Message()
    message["From"] = "a@x.y"
    verify(b"From: a@x.y\r\n", message)
    verify(b"\r\n", Message())


# Long lines


LONG = "word " * 400


@pytest.mark.parametrize("charset", ["us-ascii", "utf-8", "latin1"])
@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT])
def test_a_text_with_long_lines_is_encoded_anew(charset: str, of: Policy, extensions: tuple[str, ...]) -> None:
    text = f"one\n{LONG}{'' if charset == 'us-ascii' else 'ä'}\n.\nFrom x\n"
    message = parsed(
        f"From: a@x.y\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n\n{text}".encode(
            charset
        ),
        of,
    )
    sent = wire(message, *extensions)
    assert max(map(len, sent.split(b"\r\n"))) <= 78
    again = email.message_from_bytes(sent, policy=policy.default)
    assert again["Content-Transfer-Encoding"] in ("quoted-printable", "base64")
    assert again.get_content().replace("\r\n", "\n") == text
    assert message["Content-Transfer-Encoding"] == "8bit"


def test_other_parts_with_long_lines_are_encoded_anew() -> None:
    message = MIMEMultipart()
    part = MIMENonMultipart("application", "json")
    part.set_payload("[" + "1, " * 1000 + "1]")
    message.attach(part)
    message.attach(MIMEText(LONG))
    message.attach(MIMEText("short"))
    again = email.message_from_bytes(wire(message), policy=policy.default)
    first, second, third = again.iter_parts()
    assert (first["Content-Transfer-Encoding"], first.get_content()) == ("base64", str(part.get_payload()).encode())
    assert second.get_content() == LONG
    assert third["Content-Transfer-Encoding"] == "7bit"


def test_a_message_without_mime_that_is_encoded_becomes_one_with_it() -> None:
    sent = wire(parsed(f"From: a@x.y\n\n{LONG}\n"))
    assert b"\r\nMIME-Version: 1.0\r\n" in sent
    assert email.message_from_bytes(sent, policy=policy.default).get_content() == f"{LONG}\r\n"


def test_what_is_encoded_anew_is_so_by_one_field() -> None:
    sent = wire(parsed(f"From: a@x.y\nMIME-Version: 1.0\ncontent-transfer-encoding: 7bit\n\n{LONG}\n"))
    header = sent.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert header == [b"From: a@x.y", b"MIME-Version: 1.0", b"Content-Transfer-Encoding: quoted-printable"]


def test_beside_what_is_encoded_anew_the_rest_stays() -> None:
    message = MIMEMultipart()
    message.attach(MIMEText(LONG))
    message.attach(MIMEText("y" * 998 + "\n"))
    message.attach(MIMEText("z" * 999 + "\n"))
    message.attach(parsed("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nä\n"))
    read = parsed(message.as_bytes())
    read["To"] = "bü@x.y"
    for utf8 in (False, True):
        (octets,) = generate(read, MessagePolicy(), eight_bit=True, utf8=utf8)
        assert isinstance(octets, bytes)
        again = email.message_from_bytes(octets, policy=policy.default)
        assert [part["Content-Transfer-Encoding"] for part in again.iter_parts()] == [
            *("quoted-printable", "7bit", "quoted-printable", "8bit")
        ]
        assert ("bü@x.y".encode() in octets) is utf8


def test_long_lines_that_are_allowed_stay() -> None:
    message = parsed(f"From: a@x.y\n\n{LONG}\n")
    assert wire(message, under=MessagePolicy(long_lines="allow")).endswith(f"\r\n\r\n{LONG}\r\n".encode())


SIGNED = (
    "From: a@x.y\nMIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b; protocol=x; micalg=y\n\n"
    "--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}\n--b\n\nsignature\n--b--\n"
)
DKIM = "DKIM-Signature: v=1\nFrom: a@x.y\nContent-Type: text/plain; charset=utf-8\n\n{}\n"


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("form", [SIGNED, DKIM])
def test_what_is_signed_is_not_encoded_anew(form: str, of: Policy) -> None:
    message = parsed(form.format("ä"), of)
    assert wire(message, *EIGHT_BIT) == form.format("ä").replace("\n", "\r\n").encode()
    with pytest.raises(NotSupported) as caught:
        wire(message)
    assert caught.value.extension == "8BITMIME"
    with pytest.raises(InvalidMessage, match="a line of more than 998 octets"):
        wire(parsed(form.format(LONG), of), *EIGHT_BIT)


SEALS = ["DKIM-Signature: v=1", "arc-message-signature: i=1"]


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("seal", SEALS)
def test_of_a_header_that_is_signed_nothing_is_changed(seal: str, of: Policy) -> None:
    header = f"{seal}\nFrom: a@x.y\nSubject: {'word ' * 30}end  \nX-Tab: a\tb\n\tc\nX-None:\n"
    expected = header.replace("\nX-None:", "\nX-None: ").replace("\n", "\r\n")
    for line_end in ("\n", "\r\n"):
        read = parsed(f"{header}Bcc: b@x.y\n\nx\n".replace("\n", line_end), of)
        assert wire(read) == f"{expected}\r\nx\r\n".encode()
    # And not that of a part.
    part = f'Content-Type: text/plain; {"x=y; " * 20}\n name="grüß.txt"\n\ny\n'
    whole = f"{header}Content-Type: multipart/mixed; boundary=b\n\n--b\n{part}--b--\n"
    sent = wire(parsed(whole, of), *EIGHT_BIT)
    assert sent == whole.replace("\nX-None:", "\nX-None: ").replace("\n", "\r\n").encode()


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize("field", ["Subject: grüß", "From: Grüß <a@x.y>", "X-Odd: gr\udcff", "X-Odd: grüß\n grüß"])
def test_a_header_beyond_ascii_that_is_signed_stays_or_needs_smtputf8(seal: str, of: Policy, field: str) -> None:
    header = f"{seal}\n{field}\nDate: x\n\n".encode("utf-8", "surrogateescape")
    message = parsed(header + b"x\n", of)
    assert wire(message, *UTF8).startswith(header.replace(b"\n", b"\r\n"))
    is_text = b"\xff" not in header
    assert parameters(message, *UTF8) == {"BODY": "8BITMIME", **({"SMTPUTF8": None} if is_text else {})}
    if is_text:
        with pytest.raises(NotSupported) as caught:
            wire(message, *EIGHT_BIT)
        assert caught.value.extension == "SMTPUTF8"


@pytest.mark.parametrize("of", POLICIES)
def test_what_was_assigned_to_what_is_signed_is_written_as_ever(of: Policy) -> None:
    message: Any = EmailMessage(policy=of) if of is not policy.compat32 else Message()
    message["DKIM-Signature"] = "v=1"
    message["From"] = "Jü <a@x.y>"
    message["Subject"] = "Grüße"
    message.set_payload("x\n")
    for sent in (wire(message), wire(message, *EIGHT_BIT)):
        assert b"From: =?utf-8?q?J=C3=BC?= <a@x.y>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" in sent


def test_what_a_part_of_what_is_signed_was_assigned_goes_out_in_utf_8_where_it_may() -> None:
    message: Any = EmailMessage()
    message["DKIM-Signature"], message["From"] = "v=1", "a@x.y"
    message.make_mixed()
    part = MIMEText("x\n")
    part["X-Odd"] = "Grüße"
    message.attach(part)
    assert "\r\nX-Odd: Grüße\r\n".encode() in wire(message, *UTF8, under=MessagePolicy(smtputf8=True))


def test_beside_what_is_signed_a_part_goes_out_in_utf_8_where_it_may() -> None:
    def part(name: str) -> EmailMessage:
        made = EmailMessage()
        made["Content-Disposition"] = f'attachment; filename="{name}ß"'
        return made

    inner, outer, message = (EmailMessage() for _ in range(3))
    inner["Content-Type"], outer["Content-Type"] = (f'multipart/signed; boundary="{mark}"' for mark in "io")
    inner.set_payload([part("within both"), part("within the inner")])
    outer.set_payload([inner, part("within the outer")])
    message["Content-Type"] = 'multipart/mixed; boundary="m"'
    message.set_payload([part("before"), outer, part("behind")])
    sent = wire(message, *UTF8, under=MessagePolicy(smtputf8=True)).decode()
    assert [name for name in ("before", "behind") if f'="{name}ß"' in sent] == ["before", "behind"]
    assert sent.count("ß") == 2
    assert sent.count("%C3%9F") == 3


def test_a_long_field_of_a_part_that_is_signed_stays_in_one_line() -> None:
    message = MIMEMultipart("signed", boundary="b")
    part = MIMEText("x\n")
    part["X-Odd"] = "Grüße"  # which is no octets yet
    part["X-Long"] = long = "word " * 30 + "end"
    message.attach(part)
    assert f"\r\nX-Odd: =?utf-8?b?R3LDvMOfZQ==?=\r\nX-Long: {long}\r\n\r\nx\r\n".encode() in wire(message)


@pytest.mark.parametrize("octets", [989, 990])
def test_a_field_of_a_part_that_is_signed_which_is_no_line_is_refused_before_it_is_written(octets: int) -> None:
    values: list[Any] = []

    class Watching(policy.EmailPolicy):
        def fold_binary(self, name: str, value: Any) -> bytes:
            values.append(value)
            return super().fold_binary(name, value)

    part = EmailMessage(Watching())
    part["Subject"] = subject = "e" * (octets - 3) + " é"  # beside "Subject: "
    part.set_content("x")
    if octets == 990:
        with pytest.raises(
            InvalidMessage,
            match=r"^the header field Subject of a part that is signed is a line of more than 998 octets$",
        ):
            wire(signed_whole(part, Message(), "b@x.y"))
    else:
        with pytest.raises(InvalidMessage, match="a line of more than 998 octets"):
            wire(signed_whole(part, Message(), "b@x.y"))
    assert (subject in values) is (octets == 989)


def test_a_part_that_was_parsed_and_is_signed_stays_beyond_ascii_too() -> None:
    part = 'Content-Type: text/plain; name="grüß.txt"\n\nx\n'
    whole = f"Subject: Grüße\nContent-Type: multipart/signed; boundary=b\n\n--b\n{part}\n--b--\n"
    for of in POLICIES:
        sent = wire(parsed(whole, of), *EIGHT_BIT)
        assert sent.startswith(b"Subject: =?utf-8?")
        assert part.replace("\n", "\r\n").encode() in sent


NAMED: Final = "Rechnung für März.pdf"


def signature() -> Message:
    part = Message()
    part["Content-Type"] = "application/pgp-signature"
    part.set_payload("-----BEGIN PGP SIGNATURE-----\n")
    return part


def file_part(of: Policy = policy.SMTP) -> EmailMessage:
    part = EmailMessage(of)
    part.set_content("hi\n")
    part.add_attachment(b"abc", maintype="application", subtype="pdf", filename=NAMED)
    part.set_boundary("=_in")
    return part


def signed_whole(part: Message, root: Message, to: str) -> Message:
    root["Content-Type"] = 'multipart/signed; protocol="application/pgp-signature"; micalg="pgp-sha256"'
    root["From"], root["To"] = "a@x.y", to
    root.attach(part)
    root.attach(signature())
    return root


@pytest.mark.parametrize("to", ["b@x.y", "jörg@x.y"])
@pytest.mark.parametrize("kind", [EmailMessage, Message])
def test_what_is_signed_is_the_same_whoever_gets_it(kind: type[Message], to: str) -> None:
    in_a_line = file_part().as_bytes(policy=policy.SMTP.clone(max_line_length=0))
    assert in_a_line in wire(signed_whole(file_part(), kind(), to), *UTF8)


@pytest.mark.parametrize("kind", [EmailMessage, Message])
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT, UTF8])
def test_what_was_parsed_from_what_was_signed_leaves_octet_for_octet(
    kind: type[Message], extensions: tuple[str, ...]
) -> None:
    octets = file_part().as_bytes()
    assert b"Content-Disposition: attachment;\r\n filename*=" in octets  # in two lines
    root = signed_whole(email.message_from_bytes(octets), kind(), "b@x.y")
    assert octets in wire(root, *extensions, under=MessagePolicy(smtputf8="SMTPUTF8" in extensions))


@pytest.mark.parametrize("to", ["b@x.y", "jörg@x.y"])
@pytest.mark.parametrize("description", ["Grüße", Header("Grüße", "utf-8")])
def test_what_the_older_kind_has_signed_is_the_same_whoever_gets_it(description: Any, to: str) -> None:
    part = MIMEText("x\n")
    part["Content-Description"] = description
    octets = part.as_bytes(policy=policy.compat32.clone(linesep="\r\n"))
    assert b"Content-Description: =?utf-8?b?R3LDvMOfZQ==?=\r\n" in octets
    assert octets in wire(signed_whole(part, EmailMessage(), to), *UTF8)


def test_what_was_signed_in_utf_8_stays_in_it() -> None:
    part = file_part(policy.SMTPUTF8)
    octets = part.as_bytes(policy=policy.SMTPUTF8.clone(max_line_length=0))
    assert NAMED.encode() in octets
    assert octets in wire(signed_whole(part, EmailMessage(), "jörg@x.y"), *UTF8)


# Parts whose header is beyond ASCII


FILE = (
    'Content-Type: text/plain; name="grüß.txt"\nContent-Disposition: attachment; filename="grüß.txt"\n'
    "Subject: {}\nBcc: Grüße <b@x.y>\n\nx\n"
)
PARTS = "From: a@x.y\nContent-Type: multipart/mixed; boundary=b\n\n--b\n{}\n--b\nContent-Type: {}\n\n{}\n--b--\n"


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize("extensions", [(), EIGHT_BIT])
def test_a_name_beyond_ascii_in_the_header_of_a_part_is_encoded_as_in_the_first(
    of: Policy, extensions: tuple[str, ...]
) -> None:
    message = parsed(PARTS.format(FILE.format("ä"), "message/rfc822", FILE.format("ä")), of)
    sent = wire(message, *extensions)
    assert sent.isascii()
    assert b"unknown-8bit" not in sent
    again = email.message_from_bytes(sent, policy=policy.default)
    file, forwarded = again.iter_parts()
    for part in (file, forwarded.get_payload(0)):
        assert isinstance(part, EmailMessage)
        assert (part.get_filename(), part["Subject"]) == ("grüß.txt", "ä")
        assert part["Bcc"].addresses == (Address("Grüße", "b", "x.y"),)
        assert part.keys() == ["Content-Type", "Content-Disposition", "Subject", "Bcc"]


@pytest.mark.parametrize("of", POLICIES)
def test_octets_that_are_no_utf_8_leave_a_message_its_parts_and_its_files(of: Policy) -> None:
    whole = (
        b"From: a@x.y\nSubject: f\xe9\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; charset="\xe9"; boundary="b"\n\n'
        b"--b\nContent-Type: text/plain\n\nhi\n"
        b'--b\nContent-Type: application/pdf; name="f\xe9.pdf"\nContent-Transfer-Encoding: base64\n'
        b'Content-Disposition: attachment;\n filename="f\xe9.pdf"\n\nYWJj\n--b--\n'
    )
    assert wire(parsed(whole, policy.compat32), *EIGHT_BIT) == whole.replace(b"\n", b"\r\n")
    sent = wire(parsed(whole, of))
    assert b"Subject: =?unknown-8bit?q?f=E9?=\r\n" in sent
    assert b"\r\nContent-Type: application/pdf; name*=unknown-8bit''f%E9.pdf\r\n" in sent
    assert b"\r\nContent-Disposition: attachment; filename*=unknown-8bit''f%E9.pdf\r\n" in sent
    _, text, file = email.message_from_bytes(sent).walk()
    assert (text.get_payload(), file.get_content_type()) == ("hi", "application/pdf")
    assert file.get_filename() == "fé.pdf"


@pytest.mark.parametrize("of", POLICIES)
def test_what_says_of_itself_that_it_is_unknown_stays_as_it_was_read(of: Policy) -> None:
    field = b'Content-Type: text/plain; name="=?unknown-8bit?q?f=E9?="\r\n'
    assert field in wire(parsed(b"From: a@x.y\r\n" + field + b"\r\nx\r\n", of))


def test_octets_that_are_no_utf_8_in_a_long_field_of_parameters_take_no_time() -> None:
    long = f"a/b; x=\udcff; {'y=z; ' * 2000}".encode("utf-8", "surrogateescape")
    message = parsed(b"From: a@x.y\nContent-Type: " + long + b"\n\nx\n", policy.compat32)
    with pytest.raises(
        InvalidMessage, match=r"^the header field Content-Type has more than 10000 characters, and must"
    ):
        wire(message)


@pytest.mark.parametrize(("length", "named"), [(10_000, True), (10_001, False)])
def test_a_file_whose_name_is_too_long_to_be_rewritten_goes_out_without_it(length: int, named: bool) -> None:
    before, behind = b'attachment; filename="', b'"'
    long = before + b"\xe9" * (length - len(before) - len(behind)) + behind
    whole = b"From: a@x.y\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b\nContent-Disposition: "
    _, file = email.message_from_bytes(wire(parsed(whole + long + b"\n\nx\n--b--\n", policy.compat32))).walk()
    assert (file.get_content_type(), file.get_payload()) == ("a/b", "x")
    assert (file.get_content_disposition() == "attachment") is named


@pytest.mark.parametrize("of", POLICIES)
def test_under_smtputf8_the_header_of_a_part_stays_as_it_is(of: Policy) -> None:
    whole = PARTS.format(FILE.format("ä"), "message/rfc822", FILE.format("ä"))
    sent = wire(parsed(whole, of), *UTF8, under=MessagePolicy(smtputf8=True))
    assert sent == whole.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("extensions", [(), EIGHT_BIT, UTF8])
def test_an_email_message_in_one_of_the_older_kind_keeps_the_names_of_its_files(extensions: tuple[str, ...]) -> None:
    held = file_part()
    held["Subject"], held["To"] = "Grüße", "Jörg <j@x.y>"
    around = MIMEMultipart()
    around.attach(held)
    for root in (around, MIMEMessage(held)):
        root["From"] = "a@x.y"
        sent = wire(root, *extensions, under=MessagePolicy(smtputf8="SMTPUTF8" in extensions))
        assert b"Content-Disposition: attachment;\r\n filename*=utf-8''Rechnung%20f%C3%BCr%20M%C3%A4rz.pdf\r\n" in sent
        assert b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nTo: =?utf-8?q?J=C3=B6rg?= <j@x.y>\r\n" in sent
        *_, file = email.message_from_bytes(sent, policy=policy.default).walk()
        assert isinstance(file, EmailMessage)
        assert (file.get_content_disposition(), file.get_filename()) == ("attachment", NAMED)
    assert held["Subject"] == "Grüße"  # the caller's stays as it is


def test_a_forwarded_message_that_is_signed_and_what_is_too_long_stay_as_they_are() -> None:
    forwarded = "DKIM-Signature: v=1\n" + FILE.format("ä")
    assert forwarded.replace("\n", "\r\n").encode() in wire(
        parsed(PARTS.format(FILE.format("x"), "message/rfc822", forwarded), policy.compat32), *EIGHT_BIT
    )
    for length, stays in ((10_000, False), (10_001, True)):
        long = "Ö <a@x.y>" + ",\n b@x.y" * 1240
        long += f" ({'c' * (length - len(long) - 4)})"  # of the first character there are two octets
        whole = PARTS.format(f"To: {long}\n\nx\n", "text/plain", "x")
        assert (long.replace("\n", "\r\n").encode() in wire(parsed(whole, policy.compat32), *EIGHT_BIT)) is stays


def test_a_long_line_in_the_header_of_a_part_stays_where_it_is_allowed() -> None:
    whole = PARTS.format(f"X-Long: {'word ' * 250}end\n\nx\n", "text/plain", "x")
    assert wire(parsed(whole), under=MessagePolicy(long_lines="allow")) == whole.replace("\n", "\r\n").encode()
    with pytest.raises(InvalidMessage, match="a line of more than 998 octets"):
        wire(parsed(whole))


# Labour


def body_of(octets: int) -> Message:
    message = Message()
    message.set_payload("x" * octets)
    return message


def parts_of(*octets: int) -> Message:
    message = MIMEMultipart()
    for each in octets:
        message.attach(body_of(each))
    return message


@pytest.mark.parametrize(
    ("message", "is_long"),
    [
        (text_message(), False),
        (text_message("x" * 70 + "\n" * 2_000_000), True),
        (text_message(Subject="word " * 500), True),
        (parsed("Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 200 + "--b--\n"), True),
        (attached(), False),
        (body_of(1024 * 1024), False),
        (body_of(1024 * 1024 + 1), True),
        (parts_of(1024 * 1024), False),
        (parts_of(512 * 1024, 512 * 1024), False),
        (parts_of(512 * 1024, 512 * 1024 + 1), True),
        (parts_of(*[1] * 100), False),
        (parts_of(*[1] * 101), True),
        (parsed("X: " + "x" * 2000 + "\n\n"), False),
        (parsed("X: " + "x" * 2001 + "\n\n"), True),
    ],
)
def test_what_takes_long_is_known_before(message: Message, is_long: bool) -> None:
    assert is_laborious(message) is is_long


@pytest.mark.parametrize(
    ("subject", "is_long"), [("é" * 200, False), ("é" * 201, True), ("e" * 2000, False), ("e" * 2001, True)]
)
def test_what_is_encoded_in_one_line_takes_long_sooner(subject: str, is_long: bool) -> None:
    part = text_message(Subject=subject)
    assert is_laborious(signed_whole(part, MIMEMultipart("signed"), "b@x.y")) is is_long
    assert is_laborious(part) is (len(subject) > 2000)


async def test_what_takes_long_is_generated_in_a_thread() -> None:
    threads = set[int]()

    class Watching(policy.EmailPolicy):
        def fold_binary(self, name: str, value: str) -> bytes:
            threads.add(threading.get_ident())
            return super().fold_binary(name, value)

    message = EmailMessage(policy=Watching())
    message["From"] = "a@example.org"
    message.set_content("0123456789abcde\n" * 100_000)
    outgoing = await Outgoing.prepare(message, ENVELOPE, offered("SIZE"))
    assert threads
    assert threading.get_ident() not in threads
    assert outgoing.size is not None
    assert outgoing.size == len(await all_of(outgoing)) > 1_700_000


# Long fields that were assigned


def test_a_long_field_that_was_assigned_is_not_encoded() -> None:
    url = f"<https://example.org/{'u' * 150}>"
    recipients = ", ".join(f"{'b' * length}@example.org" for length in (20, 75, 120))
    message = text_message(List_Unsubscribe=url, Reply_To=recipients)
    octets = wire(message)
    assert b"=?" not in octets
    again = email.message_from_bytes(octets, policy=policy.default)
    assert (again["List-Unsubscribe"], again["Reply-To"]) == (url, recipients)


def test_what_no_line_can_hold_is_encoded_as_what_is_beyond_ascii_is() -> None:
    for value in ("x" * 1000, "grüße " * 30):
        octets = wire(text_message(X_Long=value))
        assert b"=?utf-8?" in octets
        assert email.message_from_bytes(octets, policy=policy.default)["X-Long"].strip() == value.strip()


def test_a_long_field_that_holds_what_may_be_an_encoded_word_is_encoded() -> None:
    value = "=?x " + "u" * 150
    octets = wire(text_message(X_Odd=value))
    assert b"X-Odd: =?x =?utf-8?q?uuu" in octets
    assert email.message_from_bytes(octets, policy=policy.default)["X-Odd"] == value

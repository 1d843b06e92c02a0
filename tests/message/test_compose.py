import contextlib
import email
from datetime import UTC, datetime, timedelta
from email import policy
from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage, compose
from mailwire.message import Envelope
from tests.message.sending import (
    addresses,
    parsed,
    wire,
)


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


def test_a_group_is_recipients_too() -> None:
    message = compose(sender="a@x.y", to="friends: b@x.y, c@x.y;", text="x")
    assert addresses(message) == ("a@x.y", ["b@x.y", "c@x.y"])

import contextlib
import email
import io
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import policy
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import Policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import Attachment, InvalidMessage, compose
from mailwire.message import Envelope
from mailwire.smtp import Mailbox
from tests.message.sending import (
    POLICIES,
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


def test_the_fields_are_called_as_the_standard_calls_them() -> None:
    everybody: dict[str, Any] = dict.fromkeys(("sender", "to", "cc", "bcc", "reply_to"), "a@x.y")
    message = compose(**everybody, in_reply_to="<1@x.y>", text="hello")
    assert message.keys() == [
        *("From", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References"),
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    ]
    assert message["Subject"] == ""


def test_the_structure_is_written_in_small_letters() -> None:
    message = compose(
        sender="a@x.y",
        text="hello",
        html="<p>",
        inline={"a": Attachment(b"x", "x.png")},
        attachments=[Attachment("ä".encode(), "a.txt")],
    )
    sent = wire(message, envelope=Envelope.of(message, None, "b@x.y"))
    assert b'Content-Type: text/html; charset="utf-8"\r\n' in sent
    assert b"Content-Disposition: inline; " in sent
    assert re.search(rb'Content-Type: multipart/related;[^:]*[ \n]type="text/html"', sent)
    assert re.search(rb'Content-Type: text/plain;[ \r\n]+charset="utf-8"\r\n[^\0]+filename="a\.txt"', sent)
    alone = wire(compose(sender="a@x.y", to="b@x.y", html="<p>"))
    assert b'Content-Type: text/html; charset="utf-8"\r\n' in alone


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


def arguments(field: str, value: object) -> dict[str, Any]:
    return {"sender": "a@x.y", "to": "b@x.y", field: value}


NAMES = {"sender": "From", "to": "To", "cc": "Cc", "bcc": "Bcc", "reply_to": "Reply-To", "subject": "subject"}


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\r\n", "\r\nBcc: e@x.y\r\n"])
@pytest.mark.parametrize("place", ["{}v", "v{}", "v{}w"])
@pytest.mark.parametrize("field", NAMES)
def test_a_line_end_in_a_field_is_refused(field: str, place: str, control: str) -> None:
    value = place.format(control).replace("v", "Val <v@x.y>")
    with pytest.raises(ValueError, match="line end or NUL") as caught:
        compose(**arguments(field, value))
    assert str(caught.value) == f"{NAMES[field]} must not hold a line end or NUL, got {value!r}"


@pytest.mark.parametrize(
    "address", ["", "x", "a@", "@b", "a@b@c", "<a@b>@c", "a b@c", "a@b c@d", "a@b; c@d", "undisclosed:;"]
)
def test_a_sender_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        compose(sender=address, to="b@x.y")


@pytest.mark.parametrize("nobody", ["", "undisclosed:;", []])
def test_without_a_sender_there_is_no_mail(nobody: Any) -> None:
    with pytest.raises(InvalidMessage, match=r"^expected an address as the sender, got none$"):
        compose(sender=nobody, to="b@x.y")


@pytest.mark.parametrize("address", ["x", "a@", "@b", "a@b@c", "<a@b>@c", "a b@c", "a@b c@d", "a@b; c@d"])
@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
def test_an_address_that_is_none_is_not_composed(field: str, address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        compose(**arguments(field, address))


def test_what_is_read_in_more_than_one_way_is_refused_by_its_field_as_it_was_written() -> None:
    with pytest.raises(InvalidMessage) as caught:
        compose(sender="a@x.y", to="(Ann) a..b@x.y")
    assert str(caught.value) == (
        "expected addresses in To, got '(Ann) a..b@x.y': it can be read in more than one way: "
        "local-part is not dot-atom, quoted-string, or obs-local-part"
    )


def test_a_name_may_have_a_dot_and_a_list_may_have_an_empty_element() -> None:
    message = compose(sender="John Q. Public <j@example.org>", to="a@x.y,, Dr. Who <w@x.y>,", text="x")
    assert addresses(message) == ("j@example.org", ["a@x.y", "w@x.y"])
    again = email.message_from_bytes(wire(message), policy=policy.default)
    assert addresses(again) == ("j@example.org", ["a@x.y", "w@x.y"])
    assert again["From"].addresses == (Address("John Q. Public", "j", "example.org"),)


def test_addresses_are_given_in_any_form_that_is_one() -> None:
    message = compose(
        sender=Mailbox("a b", "x.y"),
        to=[Mailbox.parse("b@x.y"), Address("C, D", "c", "x.y")],
        cc=Mailbox("d", "x.y"),
        bcc=Group("all", (Address("", "e", "x.y"),)),  # type: ignore[arg-type]
        reply_to=iter(["f@x.y, g@x.y"]),
        headers={"Sender": "H <h@x.y>"},
    )
    assert addresses(message) == ("h@x.y", ["b@x.y", "c@x.y", "d@x.y", "e@x.y"])
    assert (message["From"], message["To"], message["Cc"]) == ('"a b"@x.y', 'b@x.y, "C, D" <c@x.y>', "d@x.y")
    assert (message["Bcc"], message["Reply-To"]) == ("all: e@x.y;", "f@x.y, g@x.y")


SEVERAL = "an address or several"
FILES = "a list of paths and Attachments"
PAIRS = "a mapping of names to texts, or pairs of both"


@pytest.mark.parametrize(
    ("argument", "value", "told"),
    [
        ("subject", None, "subject to be text, got None (NoneType)"),
        ("subject", b"x", "subject to be text, got b'x' (bytes)"),
        ("text", None, "text to be text, got None (NoneType)"),
        ("html", b"x", "html to be text or None, got b'x' (bytes)"),
        ("sender", None, f"From to be {SEVERAL}, got None (NoneType)"),
        ("to", None, f"To to be {SEVERAL}, got None (NoneType)"),
        ("to", b"a@b", f"To to be {SEVERAL}, got b'a@b' (bytes)"),
        ("to", bytearray(b"a@b"), f"To to be {SEVERAL}, got bytearray(b'a@b') (bytearray)"),
        ("cc", ["a@b", 5], f"Cc to be {SEVERAL}, got 5 (int)"),
        ("bcc", 5, f"Bcc to be {SEVERAL}, got 5 (int)"),
        ("reply_to", [None], f"Reply-To to be {SEVERAL}, got None (NoneType)"),
        ("attachments", "a.pdf", f"attachments to be {FILES}, got 'a.pdf' (str)"),
        ("attachments", Attachment(b"x", "y"), f"attachments to be {FILES}, got Attachment(name='y', "),
        ("attachments", None, f"attachments to be {FILES}, got None (NoneType)"),
        ("attachments", [b"x"], f"attachments to be {FILES}, got b'x' (bytes)"),
        ("inline", [], "inline to be a mapping of content ids to attachments, or None, got [] (list)"),
        ("inline", {"x": b""}, "inline['x'] to be a path or an Attachment, got b'' (bytes)"),
        ("inline", {5: Attachment(b"")}, "each content id to be text, got 5 (int)"),
        ("in_reply_to", 5, "in_reply_to to be a message, its Message-ID or None, got 5 (int)"),
        ("references", None, "references to be message ids, got None (NoneType)"),
        ("references", [b"<1@x.y>"], "references to be message ids, got b'<1@x.y>' (bytes)"),
        ("headers", None, f"headers to be {PAIRS}, got None (NoneType)"),
        ("headers", "X: y", f"headers to be {PAIRS}, got 'X: y' (str)"),
        ("headers", ["X: y"], f"headers to be {PAIRS}, got 'X: y' (str)"),
        ("headers", {"X": 5}, f"headers to be {PAIRS}, got ('X', 5) (tuple)"),
        ("headers", {5: "x"}, f"headers to be {PAIRS}, got (5, 'x') (tuple)"),
        ("headers", [["X", "y", "z"]], f"headers to be {PAIRS}, got ['X', 'y', 'z'] (list)"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_name(argument: str, value: object, told: str) -> None:
    given: dict[str, Any] = {"sender": "a@x.y", "to": "b@x.y", "html": "<p>", argument: value}
    with pytest.raises(ValueError, match=f"^expected {re.escape(told)}"):
        compose(**given)


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_a_subject_that_the_standard_library_refuses_is_refused_by_name(separator: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        compose(sender="a@x.y", to="b@x.y", subject=f"a{separator}b")
    assert str(caught.value).startswith(f"the field Subject cannot hold {f'a{separator}b'!r}: ")


def test_surrogates_are_refused_for_they_are_no_characters() -> None:
    for code in (0xD800, 0xDC80, 0xDFFF):
        text = f"é{chr(code)}"
        for argument, name in {"subject": "subject", "to": "To", "headers": "X-Odd"}.items():
            given = {"X-Odd": text} if argument == "headers" else text
            with pytest.raises(InvalidMessage) as caught:
                compose(**arguments(argument, given))
            assert str(caught.value) == f"{name} must not hold surrogates, got {text!r}"
        for argument in ("text", "html"):
            with pytest.raises(InvalidMessage, match=r"^neither text nor HTML may hold surrogates$"):
                compose(**arguments(argument, text))
    beside = "\ud7ff\ue000"
    assert compose(sender="a@x.y", to="b@x.y", subject=beside, text=beside)["Subject"] == beside


@pytest.mark.parametrize("name", ["Sender", "resent-to", "Errors-To", "Disposition-Notification-To"])
def test_a_further_field_of_addresses_holds_addresses(name: str) -> None:
    message = compose(sender="a@x.y", to="b@x.y", headers={name: "Jürgen <c@x.y>"})
    assert b"\r\n%b: =?utf-8?q?J=C3=BCrgen?= <c@x.y>\r\n" % name.encode() in wire(message)
    with pytest.raises(InvalidMessage) as caught:
        compose(sender="a@x.y", to="b@x.y", headers={name: "not an address"})
    assert str(caught.value).startswith(f"expected addresses in {name}, got 'not an address': ")


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


BLANK = ["", " ", ", \t,"]


@pytest.mark.parametrize("blank", BLANK)
@pytest.mark.parametrize(("field", "name"), list(NAMES.items())[:-1])
def test_a_blank_address_among_others_is_refused(field: str, name: str, blank: str) -> None:
    for several in ([blank], ["b@x.y", blank], iter([blank, "b@x.y"])):
        with pytest.raises(InvalidMessage, match=f"^expected addresses in {name}, got a blank text among them: "):
            compose(**arguments(field, several))


@pytest.mark.parametrize("blank", BLANK)
def test_where_there_is_no_address_there_is_no_field(blank: str) -> None:
    given: dict[str, Any] = dict.fromkeys(("to", "cc", "bcc", "reply_to"), blank)
    message = compose(sender="a@x.y", **given, headers={"Errors-To": blank})
    assert {"To", "Cc", "Bcc", "Reply-To", "Errors-To"}.isdisjoint(message.keys())


def test_a_group_of_nobody_says_something() -> None:
    message = compose(sender="a@x.y", to="undisclosed-recipients:;", bcc="b@x.y")
    assert message["To"] == "undisclosed-recipients:;"


def test_a_group_is_recipients_too() -> None:
    message = compose(sender="a@x.y", to="friends: b@x.y, c@x.y;", text="x")
    assert addresses(message) == ("a@x.y", ["b@x.y", "c@x.y"])


def test_html_alone_is_the_whole_text() -> None:
    message = compose(sender="a@x.y", to="b@x.y", html="<p>hello</p>\n")
    assert message.get_content_type() == "text/html"
    assert message.get_content() == "<p>hello</p>\n"


@pytest.mark.parametrize("argument", ["text", "html"])
def test_a_text_holds_no_nul(argument: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^neither text nor HTML may hold a NUL$"):
        compose(**arguments(argument, "a\0b"))


def test_a_text_with_long_lines_is_encoded() -> None:
    sent = wire(compose(sender="a@x.y", to="b@x.y", text="word " * 1000))
    assert max(map(len, sent.split(b"\r\n"))) <= 78


# Attachments


def test_attachments_are_octets_or_paths(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a;b\n")
    message = compose(
        sender="a@x.y",
        to="b@x.y",
        text="see below",
        attachments=[Attachment(b"\x89PNG\0", "Grüße.png"), path, Attachment.read(path, name="t"), Attachment(b"")],
    )
    assert message.get_content_type() == "multipart/mixed"
    again = email.message_from_bytes(wire(message), policy=policy.default)
    parts = list(again.iter_attachments())
    assert [(part.get_content_type(), part.get_filename()) for part in parts] == [
        ("image/png", "Grüße.png"),
        ("text/csv", "table.csv"),
        ("application/octet-stream", "t"),
        ("application/octet-stream", None),
    ]
    assert [part.get_payload(decode=True) for part in parts] == [b"\x89PNG\0", b"a;b\n", b"a;b\n", b""]
    assert all(part.get_content_disposition() == "attachment" for part in parts)


@pytest.mark.parametrize(
    ("name", "content_type", "expected"),
    [
        ("a.png", "", "image/png"),
        ("a.PDF", "", "application/pdf"),
        ("a.tar.gz", "", "application/octet-stream"),
        ("a.eml", "", "application/octet-stream"),
        ("a", "", "application/octet-stream"),
        (None, "", "application/octet-stream"),
        ("a.png", "application/x-odd", "application/x-odd"),
        ("a.png", "image/svg+xml", "image/svg+xml"),
    ],
)
def test_the_content_type_is_what_the_name_suggests(name: str | None, content_type: str, expected: str) -> None:
    assert Attachment(b"x", name, content_type).content_type == expected


@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\x1b", "\x7f"])
def test_a_name_holds_no_control_character(control: str) -> None:
    with pytest.raises(ValueError, match="must not hold control characters"):
        Attachment(b"x", f"a{control}b")


def test_a_file_that_is_read_has_the_content_type_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    assert Attachment.read(path) == Attachment(b"x", "a.png", "image/png")
    assert Attachment.read(path, content_type="image/gif") == Attachment(b"x", "a.png", "image/gif")


def test_the_name_of_a_file_may_be_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_bytes(b"menu\n")
    message = compose(sender="a@x.y", to="b@x.y", text="Hi", attachments=[path])
    again = email.message_from_bytes(wire(message), policy=policy.default)
    assert [part.get_filename() for part in again.iter_attachments()] == ["caf\ufffd.txt"]
    with pytest.raises(ValueError, match="must not hold surrogates"):
        Attachment(b"x", path.name)


@pytest.mark.parametrize(
    "content_type", ["image", "image/", "/png", "a/b/c", "image/png; x=y", "a b/c", "a/b\r\n", "ä/b"]
)
def test_what_is_no_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(ValueError, match="expected a content type such as image/png"):
        Attachment(b"x", None, content_type)


@pytest.mark.parametrize("content_type", ["message/rfc822", "multipart/mixed", "Message/Partial"])
def test_octets_are_no_message_of_parts(content_type: str) -> None:
    with pytest.raises(ValueError, match="that has parts of its own"):
        Attachment(b"x", None, content_type)


def test_a_text_that_is_attached_says_that_it_is_utf_8() -> None:
    message = compose(
        sender="a@x.y",
        to="b@x.y",
        attachments=[Attachment("ä".encode(), "a.txt"), Attachment(b"a", "b.txt"), Attachment(b"\xe4", "c.txt")],
    )
    assert [part.get_content_charset() for part in message.iter_attachments()] == ["utf-8", None, None]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("a secret",), "the data of an attachment to be octets, got str"),
        ((None,), "the data of an attachment to be octets, got NoneType"),
        ((io.BytesIO(b"x"),), "the data of an attachment to be octets, got BytesIO"),
        ((b"x", b"a"), "the name of an attachment to be text or None, got b'a' (bytes)"),
        ((b"x", Path("a.pdf")), "the name of an attachment to be text or None, got PosixPath('a.pdf') (PosixPath)"),
        ((b"x", "a", 5), "a content type to be text, got 5 (int)"),
    ],
)
def test_an_attachment_of_another_kind_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^expected {re.escape(problem)}$"):
        Attachment(*arguments)


@pytest.mark.parametrize("name", ["a.csv", "a.bin"])
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_the_octets_of_an_attachment_are_those_that_were_given(name: str, kind: Callable[[Any], Any]) -> None:
    octets = bytearray(b"a;b\n")
    attachment = Attachment(kind(octets), name)
    octets[0] = 0
    assert attachment == Attachment(b"a;b\n", name)
    assert type(attachment.data) is bytes
    again = email.message_from_bytes(
        wire(compose(sender="a@x.y", to="b@x.y", attachments=[attachment])), policy=policy.default
    )
    (file,) = again.iter_attachments()
    assert file.get_payload(decode=True) == b"a;b\n"


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        compose(sender="a@x.y", to="b@x.y", attachments=[tmp_path / "none"])


def test_the_data_of_an_attachment_are_not_shown() -> None:
    assert repr(Attachment(b"secret", "a.png")) == "Attachment(name='a.png', content_type='image/png')"


# Inline parts


def test_html_shows_inline_parts(tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    path.write_bytes(b"logo")
    message = compose(
        sender="a@x.y",
        to="b@x.y",
        text="hello",
        html='<img src="cid:logo@x.y"><img src="cid:other">',
        inline={"logo@x.y": path, "other": Attachment(b"other", None, "image/gif")},
        attachments=[Attachment(b"x", "x.pdf")],
    )
    again = email.message_from_bytes(wire(message), policy=policy.default)
    assert [part.get_content_type() for part in again.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/gif",
        "application/pdf",
    ]
    related = next(part for part in again.walk() if part.get_content_type() == "multipart/related")
    assert related.get_param("type") == "text/html"
    _, logo, other = related.iter_parts()
    assert (logo["Content-ID"], logo.get_content(), logo.get_filename()) == ("<logo@x.y>", b"logo", "logo.png")
    assert (other["Content-ID"], other.get_content(), other.get_filename()) == ("<other>", b"other", None)
    assert logo.get_content_disposition() == "inline"


def test_html_alone_shows_inline_parts_too() -> None:
    message = compose(sender="a@x.y", to="b@x.y", html="<p>", inline={"a": Attachment(b"x", "x.png")})
    assert [part.get_content_type() for part in message.walk()] == ["multipart/related", "text/html", "image/png"]


def test_inline_parts_need_html() -> None:
    with pytest.raises(InvalidMessage, match=r"^inline parts need HTML that shows them$"):
        compose(sender="a@x.y", to="b@x.y", text="x", inline={"a": Attachment(b"x")})


@pytest.mark.parametrize("content_id", ["", "<a>", "a b", "a\r\n", "ä", "a" * 901])
def test_what_is_no_content_id_is_refused(content_id: str) -> None:
    with pytest.raises(InvalidMessage, match="expected a content id"):
        compose(sender="a@x.y", to="b@x.y", html="<p>", inline={content_id: Attachment(b"x")})


def test_all_boundaries_are_chosen_when_a_message_is_composed() -> None:
    message = compose(
        sender="a@x.y",
        to="b@x.y",
        text="x",
        html="<p>",
        inline={"a": Attachment(b"x")},
        attachments=[Attachment(b"y")],
    )
    boundaries = [part.get_boundary() for part in message.walk() if part.is_multipart()]
    assert len(set(boundaries)) == 3
    assert all(re.fullmatch("=_[0-9a-f]{32}", str(boundary)) for boundary in boundaries)
    assert wire(message) == wire(message)


# Threads


def thread_of(message: EmailMessage) -> tuple[object, list[str]]:
    again = email.message_from_bytes(wire(message), policy=policy.default)
    return again["In-Reply-To"], (again["References"] or "").split()


def answer(**arguments: Any) -> tuple[object, list[str]]:
    return thread_of(compose(sender="a@x.y", to="b@x.y", **arguments))


def test_an_answer_refers_to_what_it_answers() -> None:
    assert answer(in_reply_to="<1@x.y>") == ("<1@x.y>", ["<1@x.y>"])
    assert answer(in_reply_to="<2@x.y>", references=["<1@x.y>", "<2@x.y>"]) == ("<2@x.y>", ["<1@x.y>", "<2@x.y>"])
    assert answer(in_reply_to="<2@x.y>", references="<1@x.y> <2@x.y>") == ("<2@x.y>", ["<1@x.y>", "<2@x.y>"])
    assert answer(references="<1@x.y><2@x.y>") == (None, ["<1@x.y>", "<2@x.y>"])
    assert answer() == (None, [])


@pytest.mark.parametrize("of", POLICIES)
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Message-ID: <2@x.y>\nReferences: <0@x.y>\n <1@x.y>", ("<2@x.y>", ["<0@x.y>", "<1@x.y>", "<2@x.y>"])),
        ("message-id: <2@x.y>\nIn-Reply-To: <1@x.y>", ("<2@x.y>", ["<1@x.y>", "<2@x.y>"])),
        # Of several, none is known to be the one before.
        ("Message-ID: <2@x.y>\nIn-Reply-To: <0@x.y> <1@x.y>", ("<2@x.y>", ["<0@x.y>", "<2@x.y>"])),
        ("Message-ID: <2@x.y>", ("<2@x.y>", ["<2@x.y>"])),
        ("Message-ID: junk <2@x.y> <3@x.y>\nReferences: a <b c> <1@x.y> <\xe4>", ("<2@x.y>", ["<1@x.y>", "<2@x.y>"])),
        ("References: <1@x.y>", (None, ["<1@x.y>"])),
        ("Subject: x", (None, [])),
    ],
)
def test_a_message_can_be_answered(header: str, expected: tuple[object, list[str]], of: Policy) -> None:
    assert answer(in_reply_to=parsed(f"{header}\n\nx\n", of)) == expected


def test_long_message_ids_stay_whole() -> None:
    long = [f"<{letter * 200}@x.y>" for letter in "abc"]
    message = compose(sender="a@x.y", to="b@x.y", in_reply_to=long[2], references=long)
    assert thread_of(message) == (long[2], long)
    assert email.message_from_bytes(message.as_bytes(), policy=policy.default)["References"].split() == long


def test_of_a_long_thread_the_first_and_the_last_are_kept() -> None:
    thread = [f"<{number}@x.y>" for number in range(500)]
    assert answer(references=thread) == (None, [thread[0], *thread[-99:]])


@pytest.mark.parametrize(
    "given",
    [
        *("", "1@x.y", "<1@x.y", "<1@x.y> x", "<a b>", "<1@x.y>\r\nBcc: <e@x.y>", "<ä>", "<>"),
        *("<1@x.y>\t<2@x.y>", "<1@x.y>\r\n <2@x.y>"),
    ],
)
@pytest.mark.parametrize("argument", ["in_reply_to", "references"])
def test_what_is_no_message_id_is_refused(argument: str, given: str) -> None:
    with pytest.raises(InvalidMessage, match="expected message ids") as caught:
        compose(**arguments(argument, given))
    assert str(caught.value) == f"expected message ids such as <id@example.org> in {argument}, got {given!r}"


# Further fields


def test_further_fields_are_given_as_they_are() -> None:
    message = compose(
        sender="a@x.y, c@x.y",
        to="b@x.y",
        headers={"Sender": "c@x.y", "X-Campaign": "Grüße", "List-Unsubscribe": "<mailto:u@x.y>"},
    )
    again = email.message_from_bytes(wire(message, envelope=Envelope.of(message)), policy=policy.default)
    assert (again["Sender"], again["X-Campaign"], again["List-Unsubscribe"]) == ("c@x.y", "Grüße", "<mailto:u@x.y>")
    assert addresses(message) == ("c@x.y", ["b@x.y"])


def test_a_field_may_be_given_several_times() -> None:
    message = compose(sender="a@x.y", to="b@x.y", headers=[("X-Tag", "1"), ("X-Tag", "2")])
    assert message.get_all("X-Tag") == ["1", "2"]


def test_date_and_message_id_may_be_given() -> None:
    date = "Thu, 26 Nov 2026 12:00:00 +0000"
    message = compose(sender="a@x.y", to="b@x.y", headers={"Date": date, "message-id": "<1@x.y>"})
    assert (message.get_all("Date"), message.get_all("Message-ID")) == ([date], ["<1@x.y>"])


@pytest.mark.parametrize("date", ["garbage", "", "Fri, 31 Feb 2026 12:00:00 +0000"])
def test_a_date_that_is_none_is_not_written_as_nothing(date: str) -> None:
    with pytest.raises(InvalidMessage, match="expected a date in the field Date"):
        compose(sender="a@x.y", to="b@x.y", headers={"Date": date})
    message = EmailMessage()
    message["From"], message["Resent-Date"] = "a@x.y", date
    with pytest.raises(InvalidMessage, match="expected a date in the field Resent-Date"):
        wire(message)


def test_a_date_that_was_read_stays_as_it_is() -> None:
    message = email.message_from_bytes(b"From: a@x.y\r\nDate: garbage\r\n\r\nx\r\n", policy=policy.default)
    assert b"\r\nDate: garbage\r\n" in wire(message)


@pytest.mark.parametrize(
    "name",
    ["From", "to", "Cc", "BCC", "Reply-To", "Subject", "In-Reply-To", "References", "Content-Type", "MIME-Version"],
)
def test_what_has_an_argument_of_its_own_is_no_further_field(name: str) -> None:
    with pytest.raises(InvalidMessage, match="is made of the other arguments"):
        compose(sender="a@x.y", to="b@x.y", headers={name: "x"})


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"X-Odd": "x\r\nBcc: e@x.y"}, r"X-Odd must not hold a line end or NUL, got 'x\r\nBcc: e@x.y'"),
        ({"X-Odd": "x\0"}, r"X-Odd must not hold a line end or NUL, got 'x\x00'"),
        ({"X\r\nBcc": "x"}, r"expected the name of a header field, got 'X\r\nBcc'"),
        ({"X Odd": "x"}, "expected the name of a header field, got 'X Odd'"),
        ({"": "x"}, "expected the name of a header field, got ''"),
        ({"Sender": '"'}, "expected addresses in Sender, got '\"': "),
    ],
)
def test_a_further_field_that_is_none_is_refused(headers: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidMessage, match=f"^{re.escape(told)}"):
        compose(sender="a@x.y", to="b@x.y", headers=headers)


@pytest.mark.parametrize(("sender", "domain"), [("a@exämple.org", "xn--exmple-cua.org"), ("a@ü", "xn--tda")])
def test_a_message_id_is_in_ascii_whatever_the_domain(sender: str, domain: str) -> None:
    message = compose(sender=sender, to="b@x.y")
    assert message["Message-ID"].endswith(f"@{domain}>")


URL = "https://example.org/unsubscribe?token=" + "0123456789" * 12


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-Unsubscribe", f"<{URL}>"),
        ("List-Unsubscribe", f"<{URL}>, <mailto:u@example.org?subject={'x' * 80}>"),
        ("List-Id", f"The list of all lists <{'l' * 60}.example.org>"),
        ("X-Words", "two  blanks\tand a tab " * 20 + "end"),
        ("Sender", f"{'s' * 100}@x.y"),
        ("Message-ID", f"<{'i' * 200}@x.y>"),
    ],
)
def test_a_long_field_in_ascii_is_folded_at_blanks_and_never_encoded(name: str, value: str) -> None:
    message = compose(sender="a@x.y", to="b@x.y", headers={name: value})
    assert message[name] == value
    for octets in (wire(message), message.as_bytes().replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")):
        header = octets.partition(b"\r\n\r\n")[0].decode()
        assert f"{name}: {value}" in header.replace("\r\n", "")
        longest = max(map(len, value.split(" ")))
        assert all(len(line) <= max(78, longest + len(name) + 2) for line in header.split("\r\n"))


def test_long_fields_of_one_name_all_stay() -> None:
    message = compose(sender="a@x.y", to="b@x.y", headers=[("X-Url", f"<{URL}{n}>") for n in range(3)])
    assert message.get_all("X-Url") == [f"<{URL}{n}>" for n in range(3)]


def test_long_addresses_stay_addresses() -> None:
    recipients = [f"{'b' * length}@example.org" for length in (20, 60, 64, 75, 120)]
    message = compose(sender="a@x.y", to=recipients, headers={"Sender": f"{'c' * 90}@x.y"})
    again = email.message_from_bytes(wire(message), policy=policy.default)
    assert addresses(again) == (f"{'c' * 90}@x.y", recipients)
    assert b"=?" not in wire(message)


def test_a_word_that_no_line_can_hold_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="the field X-Long has a word that is too long for a line"):
        compose(sender="a@x.y", to="b@x.y", headers={"X-Long": "x" * 1000})

import io
from email import message_from_bytes, message_from_string, policy
from email.generator import BytesGenerator
from email.header import Header
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from email.policy import Policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.message.plain import is_plain, write_plain

POLICIES: list[Policy] = [policy.SMTP, policy.default, policy.compat32, policy.SMTP.clone(max_line_length=40)]

FIELDS = st.sampled_from(
    [
        "From: A <a@example.org>",
        "Subject: a subject that is longer than the forty characters of a short line, and goes on",
        "To: b@example.org,\n c@example.org",
        "Content-Transfer-Encoding: quoted-printable",
        "X-Empty:",
        "MIME-Version: 1.0",
    ]
)
KINDS = st.sampled_from(
    [
        "Content-Type: text/plain; charset=us-ascii",
        "content-type: TEXT/html",
        "Content-Type:text/x-odd ; charset=utf-8; format=flowed",
        "Content-Type: text/plain\n ; charset=us-ascii",
        "Content-Type: text/",
        "Content-Type: text/plain/more",
        "Content-Type: nonsense",
        "Content-Type: message/rfc822",
        "Content-Type: multipart/mixed; boundary=x",
        "X-None: x",
    ]
)


def generated(message: Message, written: Policy) -> bytes:
    flat = io.BytesIO()
    BytesGenerator(flat, mangle_from_=False, policy=written).flatten(message)
    return flat.getvalue()


@given(
    fields=st.lists(FIELDS, max_size=4),
    kinds=st.lists(KINDS, max_size=2),
    body=st.text("a. \r\n", max_size=12),
    of=st.sampled_from(POLICIES),
)
def test_what_is_plain_is_written_as_the_standard_library_writes_it(
    fields: list[str], kinds: list[str], body: str, of: Policy
) -> None:
    message = message_from_string("\n".join((*kinds, *fields)) + "\n\n", policy=of)
    message.set_payload(body)
    written = of.clone(linesep="\r\n")
    if is_plain(message):
        assert write_plain(message, written) == generated(message, written)


@pytest.mark.parametrize("of", POLICIES)
def test_an_ordinary_message_is_plain(of: Policy) -> None:
    message = message_from_bytes(b"From: a@x\nContent-Type: text/plain\n\nline\n", policy=of)
    assert is_plain(message)
    assert write_plain(message, of.clone(linesep="\r\n")).endswith(b"Content-Type: text/plain\r\n\r\nline\r\n")
    assert is_plain(MIMEText("x"))
    assert is_plain(EmailMessage())


def test_without_a_body_there_is_an_empty_one() -> None:
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = "x"
    assert write_plain(message, policy.SMTP) == generated(message, policy.SMTP) == b"Subject: x\r\n\r\n"


def test_what_must_be_looked_at_more_closely_is_not_plain() -> None:
    class Own(EmailMessage):
        pass

    beyond = Message()
    beyond.set_payload("\udce4")
    kind = Message()
    kind["Content-Type"] = "image/png"
    header = Message()
    header["Content-Type"] = Header("application/x")  # type: ignore[assignment]
    digest = Message()
    digest.set_default_type("message/rfc822")
    parts = Message()
    parts.set_payload([Message()])
    assert not any(map(is_plain, (Own(), beyond, kind, header, digest, parts)))
